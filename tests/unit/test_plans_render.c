/* Pillars rendered by another program: its JSON, its faults, and what is said about them. */
#include "unit/plans_rig.h"

#include <errno.h>
#include <signal.h>

#include "base/auto.h"
#include "base/child.h"
#include "base/clock.h"
#include "plans/json.h"
#include "plans/render.h"

/* ---- JSON */

struct json_rig {
    struct arena arena;
    struct problems problems;
    const struct value *v; /* NULL: problems say why */
};

static void json_rig_fini(struct json_rig *r)
{
    problems_fini(&r->problems);
    arena_fini(&r->arena);
}
#define auto_json __attribute__((cleanup(json_rig_fini)))

static struct json_rig read_text(const char *text)
{
    struct json_rig r = {.v = NULL};
    if (!json_read(&r.arena, "out", text, strlen(text), &r.v, &r.problems))
        r.v = NULL;
    return r;
}

static void json_means_what_it_says(void **state)
{
    (void)state;
    auto_json struct json_rig r = read_text(
        "{\"b\": \"yes\", \"a\": [1, -2.5, 1e+16, 2E3, true, null, {}, []],\n"
        " \"t\": \"q\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\\ud83d\\ude00 x\", \"big\": 123456789012}");
    auto_buf struct buf out = BUF_INIT(10000);
    assert_non_null(r.v);
    value_json(&out, r.v);
    assert_string_equal(buf_str(&out),
                        "{\"b\": \"yes\", \"a\": [1, -2.5, 1e+16, 2000.0, true, null, {}, []], "
                        "\"t\": \"q\\\"\\\\/\\u0008\\u000c\\n\\u000d\\t\u00e9\u20ac\U0001F600 x\", "
                        "\"big\": 123456789012}");
    assert_int_equal(map_entry(r.v, "t")->at.line, 2);
    assert_int_equal(map_entry(r.v, "t")->at.col, 2);
}

static void bad_json_is_refused_where_it_is_bad(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "out:1:1: not JSON: nothing was printed\n"},
        {" \n", "out:2:1: not JSON: nothing was printed\n"},
        {"hello", "out:1:1: not JSON: wanted a map or a list\n"},
        {"{\"a\": 1", "out:1:8: not JSON: wanted ',' or '}'\n"},
        {"{\"a\": ", "out:1:7: not JSON: it ends too early\n"},
        {"{\"a\": 01}", "out:1:7: not JSON: wanted a value\n"},
        {"{\"a\": 1.}", "out:1:7: not JSON: wanted a value\n"},
        {"{\"a\": 1e}", "out:1:7: not JSON: wanted a value\n"},
        {"{\"a\": tru}", "out:1:7: not JSON: wanted a value\n"},
        {"{\"a\": \"x", "out:1:8: not JSON: text without an end\n"},
        {"{\"a\": \"\\ud800\"}", "out:1:14: not JSON: an escape in text that is none\n"},
        {"{\"a\": \"\\u0000\"}", "out:1:10: not JSON: an escape in text that is none\n"},
        {"{\"a\": \"\xff\"}", "out:1:10: not JSON: text that is not UTF-8\n"},
        {"{a: 1}", "out:1:2: not JSON: wanted a key in quotes\n"},
        {"{\"a\" 1}", "out:1:6: not JSON: wanted ':' behind a key\n"},
        {"{\"a\": 1,}", "out:1:9: not JSON: wanted a key in quotes\n"},
        {"{\n \"a\": 1, \"a\": 2}", "out:2:10: key 'a' is there twice in one map\n"},
        {"{} {}", "out:1:4: not JSON: something stands behind its end\n"},
        {"{\"a\": {\"bbbbbbbbbbbbbbbbbbbbbbbbbbbb\": [}]}}", "out:1:41: not JSON: wanted a value\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_json struct json_rig r = read_text(rows[i][0]);
        assert_null(r.v);
        assert_string_equal(said(&r.problems), rows[i][1]);
    }
}

static void nesting_has_an_end(void **state)
{
    (void)state;
    char text[200001];
    memset(text, '[', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    double before = cpu_ms();
    auto_json struct json_rig r = read_text(text);
    assert_null(r.v);
    assert_string_equal(said(&r.problems), "out:1:65: not JSON: nested deeper than 64 levels\n");
    assert_true(cpu_ms() - before < 1000);
}

/* 10,000 nodes with 4 KB of pillar each, all but one value the same. */
static void what_is_the_same_is_kept_once(void **state)
{
    (void)state;
    auto_buf struct buf text = BUF_INIT(JSON_BYTES_MAX);
    buf_puts(&text, "{");
    for (int i = 0; i < 10000; i++) {
        buf_printf(&text, "%s\n\"n%d\": {\"own\": {\"number\": %d, \"more\": \"%d\"}, \"same\": {",
                   i == 0 ? "" : ",", i, i, i);
        for (int k = 0; k < 100; k++)
            buf_printf(&text, "%s\"key%d\": \"a value that is there %d\"", k == 0 ? "" : ", ", k, k);
        buf_puts(&text, "}}");
    }
    buf_puts(&text, "}");
    double before = cpu_ms();
    auto_json struct json_rig r = read_text(buf_str(&text));
    assert_non_null(r.v);
    assert_true(cpu_ms() - before < 4000);
    assert_int_equal(r.v->n, 10000);
    assert_ptr_equal(value_get(r.v, "n1:same"), value_get(r.v, "n9999:same"));
    assert_string_equal(value_get(r.v, "n9999:own:number")->text, "9999");
    assert_int_equal(map_entry(r.v, "n9999")->at.line, 10001);
    assert_true(text.len > (size_t)35 * 1024 * 1024);
    assert_true(r.arena.total_bytes < text.len / 2);
}

/* ---- running it */

static const char *script(const char *name, const char *text)
{
    static char path[300];
    put(name, text);
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(chmod(path, 0755), 0);
    return path;
}

struct ran {
    struct arena arena;
    struct problems problems;
    struct rendered r;
    bool ok;
};

static void ran_fini(struct ran *r)
{
    problems_fini(&r->problems);
    arena_fini(&r->arena);
}
#define auto_ran __attribute__((cleanup(ran_fini)))

static struct ran render(const char *text, int64_t timeout_ms)
{
    static const char *const argv[] = {"bin/pillar", "--site", "eu", NULL};
    static const char *const nodes[] = {"web1", "web2", "db*"};
    const struct render_rule rule = {.renderer = RENDERER_COMMAND,
                                     .argv = argv,
                                     .timeout_ms = timeout_ms,
                                     .at = {.file = "release.yml", .line = 3, .col = 9}};
    const struct render_request req = {
        .root = dir, .env = "prod", .pillarenv = "base", .nodes = nodes, .n_nodes = 3};
    struct ran ran = {.ok = false};
    (void)script("bin/pillar", text);
    ran.ok = render_pillars(&rule, &req, &ran.arena, &ran.r, &ran.problems);
    return ran;
}

static void the_program_hears_what_is_wanted_and_is_believed(void **state)
{
    (void)state;
    auto_ran struct ran r =
        render("#!/bin/sh\n"
               "cat >request; printf '%s|' \"$@\" >words\n"
               "echo '{\"web1\": {\"a\": 1}, \"db7\": {}, \"web2\": {\"a\": 2}, \"other\": {\"a\": 3}}'\n",
               0);
    char path[300], line[500];
    assert_string_equal(said(&r.problems), "");
    assert_true(r.ok);
    assert_string_equal(r.r.source, "command bin/pillar --site eu");
    assert_int_equal(strlen(r.r.digest), 64);
    assert_int_equal(r.r.nodes->n, 3); /* `other` was not asked for */
    assert_string_equal(value_get(r.r.nodes, "web2:a")->text, "2");
    (void)snprintf(path, sizeof(path), "%s/request", dir);
    auto_close_file FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    assert_string_equal(line,
                        "{\"version\": 1, \"want\": \"pillar\", \"env\": \"prod\", \"pillarenv\": \"base\", "
                        "\"nodes\": [\"web1\", \"web2\", \"db*\"]}\n");
    (void)snprintf(path, sizeof(path), "%s/words", dir);
    auto_close_file FILE *words = fopen(path, "r");
    assert_non_null(fgets(line, sizeof(line), words));
    assert_string_equal(line, "--site|eu|");
}

static void faults_of_the_program_are_told(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"#!/bin/sh\necho 'progress 1 of 3' >&2; echo 'no route to the \033[31mCMDB' >&2; exit 1\n",
         "release.yml:3:9: pillar of prod by command bin/pillar --site eu: bin/pillar ended with status 1; "
         "it said:\n"
         "    no route to the \\x1b[31mCMDB\n"},
        {"#!/bin/sh\nkill -9 $$\n", "release.yml:3:9: pillar of prod by command bin/pillar --site eu: "
                                    "bin/pillar was ended by signal 9; it said "
                                    "nothing on stderr\n"},
        {"#!/no/such/shell\n",
         "release.yml:3:9: pillar of prod by command bin/pillar --site eu: cannot start "
         "bin/pillar: No such file or directory; it said nothing on stderr\n"},
        {"#!/bin/sh\necho '{\"web1\": {\"token\": \"s3cr3t\"}'\n",
         "output of command bin/pillar --site eu:2:1: not JSON: wanted ',' or '}'\n"},
        {"#!/bin/sh\necho '[\"web1\"]'\n",
         "output of command bin/pillar --site eu:1:1: wanted {NODE: {its pillar}, ...}, found a list\n"},
        {"#!/bin/sh\necho '{\"web1\": {}}'\n", "release.yml:3:9: pillar of prod by command bin/pillar --site "
                                               "eu: nothing was printed for node web2\n"},
        {"#!/bin/sh\necho '{\"web1\": {}, \"web2\": []}'\n",
         "output of command bin/pillar --site eu:1:22: the pillar of node 'web2' is a list, not a map\n"},
        {"#!/bin/sh\necho '{\"web1\": {\"a\": 1, \"_errors\": [\"SLS x failed\", \"line 2: {{ y\"]}, "
         "\"web2\": {}}'\n",
         "output of command bin/pillar --site eu:1:30: Salt could not render the pillar of node 'web1':\n"
         "    SLS x failed\n    line 2: {{ y\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_ran struct ran r = render(rows[i][0], 0);
        assert_false(r.ok);
        assert_string_equal(said(&r.problems), rows[i][1]);
    }
}

static void a_program_that_hangs_is_ended_with_its_children(void **state)
{
    (void)state;
    int64_t began = clock_mono_ms();
    auto_ran struct ran r = render("#!/bin/sh\nsleep 1000 & echo $! >child; echo waiting >&2; wait\n", 700);
    assert_false(r.ok);
    assert_true(clock_mono_ms() - began < 30000);
    assert_string_equal(
        said(&r.problems),
        "release.yml:3:9: pillar of prod by command bin/pillar --site eu: bin/pillar did not end within "
        "700ms and was ended (pillar: timeout: sets another time than 700ms); it said:\n"
        "    waiting\n");
    char path[300];
    int pid = 0;
    (void)snprintf(path, sizeof(path), "%s/child", dir);
    auto_close_file FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    for (int64_t until = clock_mono_ms() + 20000; kill(pid, 0) == 0;) {
        char stat[100] = "";
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        auto_close_file FILE *p = fopen(path, "r");
        if (p == NULL || fgets(stat, sizeof(stat), p) == NULL || strstr(stat, ") Z ") != NULL)
            break; /* dead, and whoever adopted it has not looked yet */
        assert_true(clock_mono_ms() < until);
    }
}

static void too_much_output_ends_it(void **state)
{
    (void)state;
    auto_ran struct ran r = render("#!/bin/sh\nhead -c 314572800 /dev/zero\n", 0);
    assert_false(r.ok);
    assert_string_equal(said(&r.problems),
                        "release.yml:3:9: pillar of prod by command bin/pillar --site eu: bin/pillar "
                        "printed more than 256 MiB; it said nothing on stderr\n");
}

static void much_on_stderr_is_cut_at_its_beginning(void **state)
{
    (void)state;
    auto_ran struct ran r = render("#!/bin/sh\nseq 1 100000 >&2; exit 3\n", 0);
    assert_false(r.ok);
    assert_string_equal(
        said(&r.problems),
        "release.yml:3:9: pillar of prod by command bin/pillar --site eu: bin/pillar ended with status 3; "
        "it said:\n    99993\n    99994\n    99995\n    99996\n    99997\n    99998\n    99999\n"
        "    100000\n");
}

/* A request that is larger than a pipe, and a program that does not want it: no signal, no hang. */
static void who_does_not_listen_is_no_fault(void **state)
{
    (void)state;
    auto_free char *text = xcalloc(1, 4 * 1024 * 1024 + 1);
    memset(text, ' ', (size_t)4 * 1024 * 1024);
    static const char *const argv[] = {"sh", "-c", "exec <&-; echo done", NULL};
    const struct child_req req = {
        .argv = argv, .input = text, .input_len = strlen(text), .timeout_ms = 60000};
    auto_buf struct buf out = BUF_INIT(100), err_out = BUF_INIT(0);
    struct err err;
    assert_true(child_run(&req, &out, &err_out, &err));
    assert_string_equal(buf_str(&out), "done\n");
}

static size_t n_ticks;
static char ticked[300];
static void on_progress(const char *text)
{
    n_ticks++;
    (void)snprintf(ticked, sizeof(ticked), "%s", text);
}

static void progress_is_told(void **state)
{
    (void)state;
    pillar_on_progress(on_progress);
    auto_ran struct ran r = render("#!/bin/sh\necho 'progress 20 of 90' >&2; sleep 2\n"
                                   "echo '{\"web1\": {}, \"web2\": {}}'\n",
                                   0);
    pillar_on_progress(NULL);
    assert_true(r.ok);
    assert_true(n_ticks > 0);
    assert_true(str_starts(ticked, "pillar of prod by command bin/pillar --site eu: 20 of 90 nodes, "));
}

static void ten_thousand_nodes_at_once(void **state)
{
    (void)state;
    static const char *const argv[] = {"bin/many", NULL};
    const struct render_rule rule = {.renderer = RENDERER_COMMAND, .argv = argv};
    struct ran ran = {.ok = false};
    const char **nodes = arena_array(&ran.arena, 10000, sizeof(*nodes));
    for (int i = 0; i < 10000; i++)
        nodes[i] = arena_printf(&ran.arena, "n%d", i + 1);
    const struct render_request req = {.root = dir, .env = "prod", .nodes = nodes, .n_nodes = 10000};
    (void)script("bin/many",
                 "#!/usr/bin/awk -f\nBEGIN {\n  getline request; n = split(request, words, /\"n[0-9]+\"/)\n"
                 "  for (i = 1; i < n; i++)\n"
                 "    printf(\"%s\\n\\\"n%d\\\": {\\\"number\\\": %d}\", (i > 1 ? \",\" : \"{\"), i, i)\n"
                 "  print \"}\"\n}\n");
    double before = cpu_ms();
    ran.ok = render_pillars(&rule, &req, &ran.arena, &ran.r, &ran.problems);
    assert_string_equal(said(&ran.problems), "");
    assert_true(ran.ok);
    assert_int_equal(ran.r.nodes->n, 10000);
    assert_true(cpu_ms() - before < 2000);
    ran_fini(&ran);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(json_means_what_it_says, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_json_is_refused_where_it_is_bad, setup, teardown),
        cmocka_unit_test_setup_teardown(nesting_has_an_end, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_the_same_is_kept_once, setup, teardown),
        cmocka_unit_test_setup_teardown(the_program_hears_what_is_wanted_and_is_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(faults_of_the_program_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_program_that_hangs_is_ended_with_its_children, setup, teardown),
        cmocka_unit_test_setup_teardown(too_much_output_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(much_on_stderr_is_cut_at_its_beginning, setup, teardown),
        cmocka_unit_test_setup_teardown(who_does_not_listen_is_no_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(progress_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(ten_thousand_nodes_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
