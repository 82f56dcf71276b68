/* SPDX-License-Identifier: MIT */
/* HTML by the server (S14): whatever stands in a field, the markup stays what it is with a harmless one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "serve/page.h"
#include "unit/watch_fixture.h"

static const char *const hostile[] = {"<script>alert(1)</script>",
                                      "\"><svg onload=alert(1)>",
                                      "' onmouseover='alert(1)",
                                      "</td></tr></table><h1>",
                                      "&lt;b&gt; &amp; &#60;",
                                      "{{main}} {{csrf}}",
                                      "\x1b]0;x\x07 \x9b \xff\xfe",
                                      ("\xe2\x80\xae"
                                       "evil\xe2\x80\xac"),
                                      "%s%n%d",
                                      "javascript:alert(1)"};

static size_t count(const struct buf *b, const char *of)
{
    size_t n = 0;
    for (const char *p = buf_str(b); (p = strpbrk(p, of)) != NULL; p++)
        n++;
    return n;
}

/* All pieces with `text` wherever somebody else can write something. */
static void render(struct buf *out, const char *text)
{
    struct release_info r = {.id = 7,
                             .started_ms = 1000,
                             .ended_ms = 5000,
                             .exit_status = 4,
                             .env = text,
                             .app = text,
                             .kind = KIND_RELEASE,
                             .plan_name = text,
                             .rev = text,
                             .rev_typed = text,
                             .who = text,
                             .host = text,
                             .summary = text,
                             .resumable = true};
    struct node_state_info node = {
        .node = text, .rev = text, .release = 7, .at_ms = 1000, .debt = true, .debt_text = text};
    html_release_table(out, &r, 1, false);
    html_release_table(out, &r, 1, true);
    html_release_line(out, text, &r);
    html_release_facts(out, &r);
    html_node_table(out, &(struct env_state){.nodes = &node, .n_nodes = 1, .left = &(bool){true}}, 10);
    const char *ids[] = {text};
    const struct watch_step steps[] = {{.label = text, .verb = text, .phase = PHASE_CHECK}};
    struct watch_plan plan = fixture_plan;
    plan.nodes = ids;
    plan.n_nodes = plan.n_steps = 1;
    plan.steps = steps;
    struct model model;
    model_init(&model, &plan);
    model.nodes[0].step = 0;
    snprintf(model.nodes[0].text, sizeof model.nodes[0].text, "%s", text);
    html_model(out, &model, 10);
    model_fini(&model);
    auto_buf struct buf main = BUF_INIT(100000);
    html_row(&main, "<p title=\"%s\">x</p>", text);
    html_shell(out, &(struct html_page){.title = text,
                                        .view = text,
                                        .env = text,
                                        .release = text,
                                        .app = text,
                                        .apps = text,
                                        .csrf = text,
                                        .person = "",
                                        .main = buf_str(&main)});
}

static void hostile_text_adds_no_markup(void **state)
{
    (void)state;
    auto_buf struct buf plain = BUF_INIT(1024 * 1024);
    render(&plain, "harmless");
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        auto_buf struct buf out = BUF_INIT(1024 * 1024);
        render(&out, hostile[i]);
        for (const char *const *c = (const char *const[]){"<", ">", "\"", "'", NULL}; *c; c++)
            if (count(&out, *c) != count(&plain, *c))
                fail_msg("'%s': %zu times %s, wanted %zu", hostile[i], count(&out, *c), *c,
                         count(&plain, *c));
        for (const char *p = buf_str(&out); *p; p++)
            assert_true((unsigned char)*p >= 0x20 || *p == '\n');
        assert_null(strstr(buf_str(&out), "\xe2\x80\xae"));
    }
}

static void a_placeholder_in_data_is_not_filled(void **state)
{
    (void)state;
    auto_buf struct buf out = BUF_INIT(1024 * 1024);
    html_shell(&out, &(struct html_page){.title = "{{csrf}}", .csrf = "secret", .main = ""});
    assert_non_null(strstr(buf_str(&out), "<title>{{csrf}}</title>"));
}

static void text_is_escaped_once(void **state)
{
    (void)state;
    auto_buf struct buf out = BUF_INIT(1000);
    html_text(&out, "a&b<c>\"d\"'e'");
    assert_string_equal(buf_str(&out), "a&amp;b&lt;c&gt;&quot;d&quot;&#39;e&#39;");
    html_text(&out, NULL);
    assert_int_equal(out.len, strlen(buf_str(&out)));
}

/* The policy forbids what is inline and what is elsewhere; the files must not need it. */
static void files_have_nothing_inline_and_nothing_from_elsewhere(void **state)
{
    (void)state;
    for (const struct page_file *f = page_files; f->name; f++) {
        static const char *const never[] = {"innerHTML",      "outerHTML", "insertAdjacentHTML",
                                            "document.write", "eval(",     "https://",
                                            "style=",         "onclick=",  "onload="};
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
            if (strstr(f->data, never[i]))
                fail_msg("%s has %s", f->name, never[i]);
        assert_true(strcmp(f->name, "icon.svg") == 0 || !strstr(f->data, "http://"));
    }
    assert_non_null(page_file_find("index.html"));
    assert_null(page_file_find("../serve.c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_text_adds_no_markup),
        cmocka_unit_test(a_placeholder_in_data_is_not_filled),
        cmocka_unit_test(text_is_escaped_once),
        cmocka_unit_test(files_have_nothing_inline_and_nothing_from_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
