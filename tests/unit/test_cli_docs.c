/* SPDX-License-Identifier: MIT */
/* The reference pages say what the program says: docs/cli.md and docs/verbs.md are printed from its tables,
 * the man page names every verb and option, and each verb of a driver can explain itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/auto.h"
#include "cli/docs.h"
#include "drivers/op/driver.h"

static void read_file(const char *path, struct buf *ret)
{
    auto_close_file FILE *f = fopen(path, "re");
    char chunk[8192];
    size_t n;
    if (!f)
        fail_msg("%s cannot be read", path);
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_add(ret, chunk, n);
}

static void same_text(const struct buf *file, const struct buf *made, const char *path, const char *how)
{
    size_t line = 1, i = 0;
    while (i < file->len && i < made->len && file->data[i] == made->data[i])
        line += file->data[i++] == '\n';
    if (i < file->len || i < made->len)
        fail_msg("%s:%zu differs from what '%s' prints: print it anew", path, line, how);
}

static void the_command_line_is_described_as_it_is(void **state)
{
    (void)state;
    auto_buf struct buf file = BUF_INIT(4 * 1024 * 1024), made = BUF_INIT(4 * 1024 * 1024);
    read_file(SOURCE_DIR "/docs/cli.md", &file);
    docs_cli(&made);
    same_text(&file, &made, "docs/cli.md", "release help --markdown");
}

static void verbs_are_described_as_they_are(void **state)
{
    (void)state;
    auto_buf struct buf file = BUF_INIT(4 * 1024 * 1024), made = BUF_INIT(4 * 1024 * 1024);
    read_file(SOURCE_DIR "/docs/verbs.md", &file);
    docs_verbs(&made);
    same_text(&file, &made, "docs/verbs.md", "release help --verbs");
}

static void want(const struct buf *page, const char *text)
{
    if (!strstr(buf_str(page), text))
        fail_msg("docs/release.1 does not have '%s'", text);
}

static void the_man_page_names_every_verb_and_option(void **state)
{
    (void)state;
    auto_buf struct buf page = BUF_INIT(4 * 1024 * 1024);
    char text[128];
    read_file(SOURCE_DIR "/docs/release.1", &page);
    for (const struct command *const *c = command_table; *c; c++) {
        snprintf(text, sizeof text, ".It Cm %s", (*c)->name);
        want(&page, text);
        for (const struct option_def *o = (*c)->options; o && o->name; o++) {
            snprintf(text, sizeof text, "Fl -%s", o->name);
            want(&page, text);
        }
    }
    for (const struct option_def *o = common_options; o->name; o++) {
        snprintf(text, sizeof text, "Fl -%s", o->name);
        want(&page, text);
    }
}

static void every_verb_of_every_driver_explains_itself(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct driver *const *d = driver_table; *d; d++)
        for (const struct verb *v = (*d)->verbs; v->name; v++, n++) {
            auto_buf struct buf text = BUF_INIT(65536);
            assert_true(help_verb(&text, v->name));
            assert_true(v->help && v->help[0]);
            for (const struct param *p = v->params; p && p->name; p++)
                if (!p->help || !p->help[0] || !strstr(buf_str(&text), p->name))
                    fail_msg("%s: parameter %s is not explained", v->name, p->name);
        }
    assert_true(n > 10);
    auto_buf struct buf none = BUF_INIT(100);
    assert_false(help_verb(&none, "haproxy.drian"));
    assert_int_equal(none.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_command_line_is_described_as_it_is),
        cmocka_unit_test(verbs_are_described_as_they_are),
        cmocka_unit_test(the_man_page_names_every_verb_and_option),
        cmocka_unit_test(every_verb_of_every_driver_explains_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
