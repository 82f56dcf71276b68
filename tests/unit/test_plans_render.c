/* SPDX-License-Identifier: MIT */
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
         "output of command bin/pillar --site eu:1:30: Salt could not render the pillar of 'web1':\n"
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
        "700ms and was ended (timeout: beside it sets another time than 700ms); it said:\n"
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

/* ---- environments */

#define BLOCK(servers)                                                                                       \
    "release:\n  app: site\n  repo: /srv/site.git\n  branch: main\n  dir: /srv/site\n  plan: rolling\n"      \
    "  service: site\n  app_servers: " servers "\n"

static bool load(struct rig *r, const char *env, const char *command, const char *override)
{
    const struct pillar_request req = {.root = dir,
                                       .env = env,
                                       .command = command,
                                       .overrides = &override,
                                       .n_overrides = override == NULL ? 0 : 1};
    return pillar_load_as(&req, &r->pillar, &r->problems);
}

static bool load_and_compile(struct rig *r, const char *env, const char *override)
{
    const struct compile_request req = {.root = dir, .env = env, .look = true};
    return load(r, env, NULL, override) && plan_compile(r->pillar, &req, &r->arena, &r->plan, &r->problems);
}

/* Prints the pillar of whoever is asked for, its own address in it; without a question that of web1. */
static void put_renderer(const char *block)
{
    char text[3000];
    (void)snprintf(text, sizeof(text),
                   "#!/usr/bin/python3\nimport json, sys\nr = json.load(sys.stdin)\nopen('asked', "
                   "'a').write(','.join(r['nodes']) + ';')\n"
                   "print(json.dumps({n: {'own': {'ip': '10.0.0.' + n[3:]}, 'release': %s} for n in "
                   "r['nodes'] or ['web1']}))\n",
                   block);
    (void)script("bin/pillar", text);
    put("release.yml", "environments:\n  prod: {command: [bin/pillar]}\n");
}

static void an_environment_is_rendered_by_a_command(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_renderer(
        "{'app': 'site', 'repo': '/srv/site.git', 'branch': 'main', 'dir': '/srv/site', 'service': 'site', "
        "'app_servers': ['web1', 'web2', 'web3']}");
    bool ok = load_and_compile(&r, "prod", "{release: {window: 2}}");
    assert_string_equal(said(&r.problems), "");
    assert_true(ok);
    assert_int_equal(r.plan->n_nodes, 3);
    assert_int_equal(r.plan->window, 2);
    assert_string_equal(pillar_differs(r.pillar), "own:ip");
    assert_int_equal(r.plan->n_rendered, 2); /* web1 told who else there is */
    assert_string_equal(r.plan->rendered[0].name, "pillar by command bin/pillar");
    assert_int_equal(strlen(r.plan->rendered[0].value), 64);
    char path[300], line[100];
    (void)snprintf(path, sizeof(path), "%s/asked", dir);
    auto_close_file FILE *f = fopen(path, "r");
    assert_non_null(fgets(line, sizeof(line), f));
    assert_string_equal(line, ";web2,web3;");
    auto_free char *text = plan_text(r.plan);
    assert_non_null(strstr(text, "\n  rendered    pillar by command bin/pillar (sha256 "));
}

static void consent_is_not_bound_to_what_the_plan_has_no_use_for(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    char before[65], after[65];
    put_renderer(
        "{'app': 'site', 'repo': '/srv/site.git', 'branch': 'main', 'dir': '/srv/site', 'service': 'site', "
        "'app_servers': ['web1']}");
    assert_true(load_and_compile(&r, "prod", NULL));
    plan_consent(r.plan, before);
    const struct op_pair other = {.name = r.plan->rendered[0].name, .value = before};
    r.plan->rendered = &other;
    plan_consent(r.plan, after);
    assert_string_equal(before, after);
    /* Nor to how the commit was called: the order that follows names the commit itself. */
    r.plan->rev = "f5d9859f5d9859f5d9859f5d9859f5d9859f5d98";
    plan_consent(r.plan, before);
    r.plan->rev_typed = r.plan->rev;
    plan_consent(r.plan, after);
    assert_string_equal(before, after);
    r.plan->rev = r.plan->rev_typed = "0123456789012345678901234567890123456789";
    plan_consent(r.plan, after);
    assert_string_not_equal(before, after);
}

static void blocks_that_differ_are_refused(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_renderer("{'app': n, 'app_servers': ['web1', 'web2']}");
    assert_false(load(&r, "prod", NULL, NULL));
    assert_non_null(strstr(said(&r.problems), "different release: blocks: 'app' is not the same"));
}

static void a_revision_that_became_a_number_is_refused(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_renderer("{'app': 'site', 'branch': 123456, 'app_servers': ['web1']}");
    assert_false(load(&r, "prod", NULL, NULL));
    assert_non_null(strstr(said(&r.problems), "release: branch: of node 'web1' is 123456, no text"));
}

static void only_the_node_in_question_is_asked_for(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_renderer("{'app': 'site'}");
    const struct pillar_request req = {.root = dir, .env = "prod", .node = "db7"};
    assert_true(pillar_load_as(&req, &r.pillar, &r.problems));
    auto_free char *json = pillar_json(r.pillar, "own");
    assert_string_equal(json, "{\"ip\": \"10.0.0.\"}");
}

static void a_command_on_the_command_line(void **state)
{
    (void)state;
    static const char *const good[] = {"bin/pillar", " bin/pillar  --site eu ", "[bin/pillar, 'a b']"};
    put_renderer("{'app': 'site', 'app_servers': ['web1']}");
    put("release.yml", "environments:\n  prod:\n");
    for (size_t i = 0; i < 3; i++) {
        auto_rig struct rig r = {.plan = NULL};
        assert_true(load(&r, "prod", good[i], NULL));
    }
    auto_rig struct rig r = {.plan = NULL};
    assert_false(load(&r, "prod", "bin/pillar | jq .", NULL));
    assert_false(load(&r, "prod", "", NULL));
    assert_false(load(&r, "nobody", "bin/pillar", NULL));
    assert_string_equal(
        said(&r.problems),
        "--pillar-command: 'bin/pillar | jq .': no shell reads this (wanted: PROGRAM ARG ..., or a list: "
        "'[PROGRAM, \"an ARG\"]')\n"
        "--pillar-command:1:1: --pillar-command: wanted [PROGRAM, ARGUMENT, ...] (no shell reads it), "
        "found an empty list\n"
        "unknown environment 'nobody': known in pillar/ are prod\n");
}

static void env_json_is_read_by_node(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_pillar("prod.json",
               "{\"web1\": {\"own\": 1, \"release\": {\"app\": \"site\", \"repo\": \"/srv/site.git\", "
               "\"branch\": \"main\","
               " \"dir\": \"/srv/site\", \"service\": \"site\", \"app_servers\": [\"web1\", \"web2\"]}},\n"
               " \"web2\": {\"own\": 2, \"release\": {\"app\": \"site\", \"repo\": \"/srv/site.git\", "
               "\"branch\": \"main\","
               " \"dir\": \"/srv/site\", \"service\": \"site\", \"app_servers\": [\"web1\", \"web2\"]}}}");
    bool ok = load_and_compile(&r, "prod", "{release: {window: 2}}");
    assert_string_equal(said(&r.problems), "");
    assert_true(ok);
    assert_int_equal(r.plan->n_nodes, 2);
    assert_int_equal(r.plan->window, 2);
    assert_string_equal(pillar_differs(r.pillar), "own");
}

static void env_json_that_is_half_an_answer_is_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{\"local\": {\"release\": {\"app_servers\": [\"a\", \"b\"]}}}",
         "pillar/prod.json: under 'local' is the pillar that Salt gives to one id, and app_servers has 2 "
         "nodes: nothing says "
         "that theirs is the same; write all of them, as {NODE: pillar}: salt -L 'NODE,NODE' pillar.items "
         "--out=json "
         "--static > pillar/prod.json, or let Salt render each time (release.yml: environments: {ENV: "
         "{renderer: salt}}, "
         "and remove this file)\n"},
        {"{\"release\": {\"app_servers\": [\"a\"]}, \"_errors\": [\"Rendering SLS 'x' failed\"]}",
         "pillar/prod.json:1:48: Salt could not render the pillar of 'prod':\n    Rendering SLS 'x' "
         "failed\n"},
        {"{\"a\": {\"_errors\": [\"x\"], \"release\": {\"app_servers\": [\"a\"]}}}",
         "pillar/prod.json:1:19: Salt could not render the pillar of 'a':\n    x\n"},
        {"[1]", "pillar/prod.json:1:1: the file must hold a map of keys\n"},
        {"{\"a\": 1,}", "pillar/prod.json:1:9: not JSON: wanted a key in quotes\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        put_pillar("prod.json", rows[i][0]);
        assert_false(load(&r, "prod", NULL, NULL));
        assert_string_equal(said(&r.problems), rows[i][1]);
    }
}

static void roots_are_not_for_others(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_pillar("x", "");
    put("release.yml",
        "environments:\n  prod: {roots: [pillar], renderer: salt}\npillar: {command: [x], python: y}\n");
    assert_false(load(&r, "prod", NULL, NULL));
    assert_string_equal(
        said(&r.problems),
        "release.yml:3:32: pillar: python goes with renderer: salt\n"
        "release.yml:2:17: environments: prod: roots are read by this program, and the pillar is rendered by "
        "another (release.yml:2:37); leave roots out, or write renderer: own\n");
}

static void a_file_beside_a_command_is_a_second_source(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_renderer("{'app': 'site', 'app_servers': ['web1']}");
    put_pillar("prod.sls", BLOCK("[web1]"));
    assert_false(load(&r, "prod", NULL, NULL));
    assert_string_equal(
        said(&r.problems),
        "environment 'prod' has two sources: its entry at release.yml:2:3 and the file pillar/prod.sls; "
        "nothing says which of them is meant: remove or rename one\n");
}

/* ---- node lists */

static const char inventory[] =
    "{\"_meta\": {\"hostvars\": {\n"
    "  \"a1\": {\"ansible_host\": \"10.0.0.1\", \"ansible_port\": 2201, \"ansible_user\": \"deploy\", "
    "\"http\": {\"port\": 8001},"
    " \"zone\": \"a\", \"password\": \"s3cr3t\"},\n"
    "  \"b1\": {\"http\": {\"port\": 8002}, \"zone\": \"b\", \"ansible_connection\": \"local\"},\n"
    "  \"db1\": {\"ansible_ssh_common_args\": \"-o ProxyCommand=x\"}}},\n"
    " \"all\": {\"children\": [\"web\", \"db\"]}, \"db\": {\"hosts\": [\"db1\"]},\n"
    " \"web\": {\"hosts\": [\"b1\"], \"children\": [\"old\", \"web\"]}, \"old\": {\"hosts\": [\"a1\", "
    "\"b1\"]}}";

static void put_list(const char *app_servers, const char *answer)
{
    auto_buf struct buf block = BUF_INIT(10000), text = BUF_INIT(10000);
    buf_printf(&block, BLOCK("%s"), app_servers);
    put_pillar("prod.sls", buf_str(&block));
    buf_printf(&text, "#!/bin/sh\ncat <<'END'\n%s\nEND\n", answer);
    (void)script("bin/hosts", buf_str(&text));
}

static const char *var(const struct plan_node *n, const char *name)
{
    return op_pair_value(n->vars, n->n_vars, name);
}

static void an_inventory_gives_the_nodes_of_a_group(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_list("{command: [bin/hosts, --list], group: web, port: \"http:port\", vars: [zone]}", inventory);
    bool ok = load_and_compile(&r, "prod", NULL);
    assert_string_equal(said(&r.problems), "");
    assert_true(ok);
    assert_int_equal(r.plan->n_nodes, 2);
    const struct plan_node *b1 = &r.plan->nodes[0], *a1 = &r.plan->nodes[1];
    assert_string_equal(b1->id, "b1");
    assert_string_equal(b1->target.host, "b1");
    assert_string_equal(b1->target.transport, "local");
    assert_string_equal(a1->target.host, "10.0.0.1");
    assert_int_equal(a1->target.ssh.port, 2201);
    assert_string_equal(a1->target.ssh.user, "deploy");
    assert_string_equal(var(a1, "port"), "8001");
    assert_string_equal(var(a1, "zone"), "a");
    auto_free char *frozen = plan_encode(r.plan);
    assert_null(strstr(frozen, "s3cr3t"));
    assert_string_equal(r.plan->rendered[0].name, "app_servers by command bin/hosts --list");
}

static void mistakes_in_a_list_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *servers, *answer, *said;
    } rows[] = {
        {"{command: [bin/hosts], port: http}", inventory,
         "pillar/prod.sls:8:16: app_servers: the program printed an inventory: which of its groups are the "
         "nodes? (wanted: "
         "group: NAME; it has all, db, web, old)\n"},
        {"{command: [bin/hosts], group: webb}", inventory,
         "pillar/prod.sls:8:16: app_servers: the inventory has no group 'webb' (did you mean 'web'?) (it has "
         "all, db, web, "
         "old)\n"},
        {"{command: [bin/hosts], group: db}", inventory,
         "output of command bin/hosts:4:38: app_servers: node 'db1': ansible_ssh_common_args is not read; "
         "say it in the "
         "release: block (ssh: proxy_jump or config) and write 'ssh: no' beside group: to take no login from "
         "the "
         "inventory\n"},
        {"{command: [bin/hosts], group: web, host: adress}", inventory,
         "output of command bin/hosts:3:9: app_servers: node 'b1' has no plain value 'adress', which host: "
         "names "
         "(pillar/prod.sls:8:16)\n"
         "output of command bin/hosts:2:9: app_servers: node 'a1' has no plain value 'adress', which host: "
         "names "
         "(pillar/prod.sls:8:16)\n"},
        {"{command: [bin/hosts], gruop: web}", inventory,
         "pillar/prod.sls:8:39: app_servers: unknown key 'gruop' (did you mean 'group'?)\n"},
        {"{command: [bin/hosts], group: web}", "[a1]",
         "output of command bin/hosts:1:2: not JSON: wanted a value\n"},
        {"{command: [bin/hosts], group: web}", "[\"a1\"]",
         "pillar/prod.sls:8:16: app_servers: group: 'web' wants an inventory as `ansible-inventory --list` "
         "prints it, with "
         "_meta: hostvars\n"},
        {"{command: [bin/hosts], host: ip}",
         "{\"a1\": {\"ip\": \"10.0.0.1\"}, \"a2\": {\"ip\": [\"10.0.0.2\"]}}",
         "output of command bin/hosts:1:34: app_servers: node 'a2' has no plain value 'ip', which host: "
         "names "
         "(pillar/prod.sls:8:16)\n"},
        {"{match: \"G@roles:web\"}", "[]",
         "pillar/prod.sls:8:16: app_servers: match: 'G@roles:web' asks Salt who that is, and Salt does not "
         "render the pillar "
         "of prod (wanted in release.yml: environments: {prod: {renderer: salt}})\n"},
        {"{command: [bin/none]}", "",
         "pillar/prod.sls:8:26: nodes of prod by command bin/none: cannot start bin/none: No such file or "
         "directory; it said "
         "nothing on stderr\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        put_list(rows[i].servers, rows[i].answer);
        assert_false(load(&r, "prod", NULL, NULL));
        assert_string_equal(said(&r.problems), rows[i].said);
    }
}

static void any_script_lists_nodes_in_our_own_form(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "[\"web1\", \"web2\"]", "{\"web1\": {\"host\": \"10.0.0.1\", \"port\": 80}, \"web2\": \"10.0.0.2\"}"};
    for (size_t i = 0; i < 2; i++) {
        auto_rig struct rig r = {.plan = NULL};
        put_list("{command: [bin/hosts]}", answers[i]);
        assert_true(load_and_compile(&r, "prod", NULL));
        assert_int_equal(r.plan->n_nodes, 2);
        assert_string_equal(r.plan->nodes[1].target.host, i == 0 ? "web2" : "10.0.0.2");
    }
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
        cmocka_unit_test_setup_teardown(an_environment_is_rendered_by_a_command, setup, teardown),
        cmocka_unit_test_setup_teardown(consent_is_not_bound_to_what_the_plan_has_no_use_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(blocks_that_differ_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revision_that_became_a_number_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(only_the_node_in_question_is_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_on_the_command_line, setup, teardown),
        cmocka_unit_test_setup_teardown(env_json_is_read_by_node, setup, teardown),
        cmocka_unit_test_setup_teardown(env_json_that_is_half_an_answer_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(roots_are_not_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_beside_a_command_is_a_second_source, setup, teardown),
        cmocka_unit_test_setup_teardown(an_inventory_gives_the_nodes_of_a_group, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_in_a_list_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(any_script_lists_nodes_in_our_own_form, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
