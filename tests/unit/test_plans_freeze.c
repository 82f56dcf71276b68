/* SPDX-License-Identifier: MIT */
/* The frozen plan: a round trip that loses nothing, a digest that sees every change, damage that is refused,
 * and 10,000 nodes in time. */
#include "plans/judge.h"
#include "plans/times.h"
#include "plans_rig.h"

static uint64_t seed = 88172645463325252u;

static uint64_t dice(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

/* Texts with everything that JSON, templates and terminals trip over. */
static const char *any_text(struct arena *a)
{
    static const char *const parts[] = {"x",     "\"", "\\", "\n", "\x01", "\xc3\xa9", "\xf0\x9f\x98\x80",
                                        "{rev}", "{{", "}}", " ",  "/",    "-",        "'"};
    char text[200] = "";
    for (size_t i = dice(12); i > 0; i--)
        (void)strcat(text, parts[dice(sizeof(parts) / sizeof(parts[0]))]);
    return arena_strdup(a, text);
}

static const struct op_pair *any_pairs(struct arena *a, size_t *ret_n)
{
    *ret_n = dice(4);
    struct op_pair *p = arena_array(a, *ret_n + 1, sizeof(*p));
    for (size_t i = 0; i < *ret_n; i++)
        p[i] = (struct op_pair){.name = any_text(a), .value = any_text(a)};
    return p;
}

static struct target any_target(struct arena *a)
{
    struct target t = {.id = any_text(a), .ssh = {.port = (int)dice(65536)}, .transport = "ssh"};
    if (dice(2))
        t.ssh.user = any_text(a);
    if (dice(2))
        t.identity = any_text(a);
    if (dice(2))
        t.host = any_text(a);
    return t;
}

static struct plan_step any_step(struct arena *a)
{
    struct plan_step s = {.verb = any_text(a),
                          .label = any_text(a),
                          .phase = (enum phase)dice(PHASE_COUNT),
                          .once = (enum once)dice(ONCE_COUNT),
                          .on_timeout = (enum on_timeout)dice(ON_TIMEOUT_COUNT),
                          .timeout_ms = (int64_t)dice(1000000),
                          .interval_ms = (int64_t)dice(1000),
                          .escalate_ms = (int64_t)dice(1000),
                          .retries = (int)dice(100),
                          .stable = (int)dice(256),
                          .forward_only = dice(2),
                          .undo_cmd = dice(2) ? any_text(a) : NULL,
                          .where = any_text(a)};
    s.args = any_pairs(a, &s.n_args);
    return s;
}

static struct plan_node any_node(struct arena *a)
{
    struct plan_node n = {.id = any_text(a),
                          .rev = any_text(a),
                          .rev_before = any_text(a),
                          .was_up = dice(2),
                          .target = any_target(a),
                          .where = any_text(a)};
    n.vars = any_pairs(a, &n.n_vars);
    n.facts = any_pairs(a, &n.n_facts);
    if (dice(3) == 0) {
        n.of_host = any_text(a);
        n.own = any_pairs(a, &n.n_own);
    }
    return n;
}

static struct plan *any_plan(struct arena *a)
{
    struct plan *p = arena_alloc(a, sizeof(*p));
    *p = (struct plan){.env = any_text(a),
                       .app = any_text(a),
                       .name = any_text(a),
                       .kind = KIND_RELEASE,
                       .rev = any_text(a),
                       .rev_typed = any_text(a),
                       .dir = any_text(a),
                       .user = any_text(a),
                       .repo = any_text(a),
                       .needs_rev = dice(2),
                       .n_steps = dice(6),
                       .n_nodes = dice(6),
                       .n_stages = dice(4),
                       .soak_ms = (int64_t)dice(100000),
                       .window = (uint32_t)dice(100),
                       .min_up = (uint32_t)dice(100),
                       .max_failed = (uint32_t)dice(9),
                       .rollback_on_failure = dice(2),
                       .keep = (uint32_t)dice(9),
                       .capacity = dice(2),
                       .ssh_defaults = any_target(a)};
    p->steps = arena_array(a, p->n_steps + 1, sizeof(*p->steps));
    p->nodes = arena_array(a, p->n_nodes + 1, sizeof(*p->nodes));
    for (size_t i = 0; i < p->n_steps; i++)
        p->steps[i] = any_step(a);
    for (size_t i = 0; i < p->n_nodes; i++)
        p->nodes[i] = any_node(a);
    for (size_t i = 0; i < p->n_stages; i++)
        p->stage_end[i] = (uint32_t)dice(1000);
    struct plan_step *beside[] = {&p->capacity_step, &p->guard_step, &p->show_step,  &p->probe_step,
                                  &p->resolve_step,  &p->log_step,   &p->survey_step};
    for (size_t i = 0; i < sizeof(beside) / sizeof(*beside); i++)
        if (dice(2))
            *beside[i] = any_step(a);
    struct plan_step *also = arena_array(a, 2, sizeof(*also));
    also[0] = any_step(a);
    also[1] = any_step(a);
    also[0].also = &also[1];
    if (p->capacity_step.verb != NULL && dice(2))
        p->capacity_step.also = &also[0];
    p->vars = any_pairs(a, &p->n_vars);
    p->secrets = any_pairs(a, &p->n_secrets);
    p->events = any_pairs(a, &p->n_events);
    static const char *const texts[] = {"(M-F,8-16)", "(S,9-12)"};
    static const struct plan_freeze freeze = {"2026-12-18", "2027-01-04", "rest"};
    static const struct plan_times times = {.windows = texts,
                                            .n_windows = 2,
                                            .tz = "Europe/Berlin",
                                            .skip_days = texts,
                                            .n_skip_days = 1,
                                            .freezes = &freeze,
                                            .n_freezes = 1,
                                            .pauses = true};
    if (dice(2))
        p->times = &times;
    if (dice(2)) {
        struct plan_judge *judge = arena_alloc(a, sizeof(*judge));
        *judge = (struct plan_judge){.errors_ppm = (int64_t)dice(1000000),
                                     .worse_percent = (int64_t)dice(1000),
                                     .slower_percent = (int64_t)dice(1000),
                                     .min_requests = 1 + (int64_t)dice(1000),
                                     .deadline_ms = (int64_t)dice(1000),
                                     .passes = dice(2),
                                     .step = any_step(a),
                                     .where = any_text(a)};
        p->judge = judge;
    }
    if (dice(2))
        p->override = "it burns", p->overrides = 1u << OVERRIDE_WINDOW | 1u << OVERRIDE_SIGNED;
    return p;
}

static void a_plan_survives_encoding_and_decoding(void **state)
{
    (void)state;
    for (int round = 0; round < 500; round++) {
        auto_arena struct arena a = {.head = NULL};
        struct plan *p = any_plan(&a), *q;
        struct err err;
        char *json = plan_encode(p);
        if (!plan_decode(&a, json, &q, &err))
            fail_msg("%s\n%s", err.text, json);
        assert_string_equal(q->digest, p->digest);
        char *again = plan_encode(q);
        assert_string_equal(again, json);
        assert_string_equal(q->digest, p->digest);
        free(json);
        free(again);
    }
}

/* The round trip above would also hold for a member that both sides forget: compare the structs themselves.
 */
static void every_member_is_in_the_encoding(void **state)
{
    (void)state;
    auto_arena struct arena a = {.head = NULL};
    struct plan_step s = any_step(&a), none = {.verb = NULL};
    struct plan_node n = any_node(&a);
    struct plan p = {.env = "e",
                     .app = "a",
                     .name = "n",
                     .kind = KIND_TASK,
                     .rev = "r",
                     .rev_typed = "t",
                     .dir = "d",
                     .user = "u",
                     .repo = "o",
                     .steps = &s,
                     .n_steps = 1,
                     .nodes = &n,
                     .n_nodes = 1,
                     .override = "it burns",
                     .overrides = 1u << OVERRIDE_MAX_AGE,
                     .capacity_step = none};
    struct plan_step also = {.verb = "also.this", .label = "", .where = ""};
    s.retries = 7;
    s.also = &also;
    s.undo_cmd = "undo it";
    n.was_up = true;
    const char *window = "(M,1-2)";
    const struct plan_times times = {.windows = &window, .n_windows = 1, .tz = "Asia/Tokyo", .pauses = true};
    p.times = &times;
    char *json = plan_encode(&p);
    char digest[65];
    (void)strcpy(digest, p.digest);
    static const char *const members[] = {"\"retries\":7",
                                          "\"undo_cmd\":\"undo it\"",
                                          "\"was_up\":true",
                                          "\"rev_typed\":\"t\"",
                                          "\"needs_rev\":false",
                                          "\"verb\":\"also.this\"",
                                          "\"override\":\"it burns\"",
                                          "\"overrides\":[\"max_age\"]",
                                          "\"tz\":\"Asia/Tokyo\"",
                                          "\"windows\":[\"(M,1-2)\"]",
                                          "\"pauses\":true"};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        assert_non_null(strstr(json, members[i]));
    free(json);
    s.interval_ms++;
    free(plan_encode(&p));
    assert_string_not_equal(p.digest, digest);
}

/* Each flag of a step, by itself: there and back, and the digest knows it. */
static void every_flag_of_a_step_is_frozen(void **state)
{
    (void)state;
    auto_arena struct arena a = {.head = NULL};
    static const size_t flags[] = {offsetof(struct plan_step, forward_only),
                                   offsetof(struct plan_step, back_only), offsetof(struct plan_step, warns),
                                   offsetof(struct plan_step, warns_back),
                                   offsetof(struct plan_step, undoes)};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct plan *p = any_plan(&a), *q;
        struct err err;
        struct plan_step one = any_step(&a);
        bool *flag = (bool *)((char *)&one + flags[i]);
        p->steps = &one;
        p->n_steps = 1;
        *flag = false;
        free(plan_encode(p));
        char digest[65];
        (void)strcpy(digest, p->digest);
        *flag = true;
        char *json = plan_encode(p);
        assert_string_not_equal(p->digest, digest);
        if (!plan_decode(&a, json, &q, &err))
            fail_msg("%s", err.text);
        assert_true(*(bool *)((char *)&q->steps[0] + flags[i]));
        free(json);
    }
}

static void damage_is_refused(void **state)
{
    (void)state;
    auto_arena struct arena a = {.head = NULL};
    struct plan *p = any_plan(&a), *q;
    struct err err;
    char *json = plan_encode(p);
    static const struct {
        const char *json, *want;
    } rows[] = {
        {"", "the frozen plan is damaged: "},
        {"[]", "the frozen plan is damaged: no format"},
        {"{\"format\":4}", "the plan was frozen by a newer release (format 4, known is 3)"},
        {"{\"format\":1}", "the frozen plan is damaged at 'env'"},
        {"{\"format\":1,\"format\":1}", "the frozen plan is damaged: duplicate object key"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_false(plan_decode(&a, rows[i].json, &q, &err));
        assert_int_equal(err.code, E_JOURNAL);
        if (!str_starts(err.text, rows[i].want))
            fail_msg("%s: %s", rows[i].json, err.text);
    }
    for (size_t cut = 0; cut + 1 < strlen(json); cut += 7) {
        char *part = strndup(json, cut);
        assert_false(plan_decode(&a, part, &q, &err));
        free(part);
    }
    char *kind = strstr(json, "\"kind\":\"release\"");
    assert_non_null(kind);
    memcpy(kind + strlen("\"kind\":\""), "relapse", strlen("relapse"));
    assert_false(plan_decode(&a, json, &q, &err));
    assert_non_null(strstr(err.text, "kind"));
    free(json);
}

/* Any byte may flip in a journal: that must never be more than a refusal or another digest. */
static void flipped_bytes_do_no_harm(void **state)
{
    (void)state;
    auto_arena struct arena a = {.head = NULL};
    struct plan *p = any_plan(&a);
    char *json = plan_encode(p), digest[65];
    (void)strcpy(digest, p->digest);
    for (size_t i = 0; i < strlen(json); i += 3) {
        auto_arena struct arena b = {.head = NULL};
        struct plan *q;
        struct err err;
        char was = json[i];
        json[i] = (char)(was ^ (1 << dice(7)));
        if (json[i] != '\0' && json[i] != was && plan_decode(&b, json, &q, &err))
            assert_string_not_equal(q->digest, digest);
        json[i] = was;
    }
    free(json);
}

static void lists_and_maps_expand_inside_their_strings(void **state)
{
    (void)state;
    auto_arena struct arena a = {.head = NULL};
    const struct op_pair env[] = {
        {.name = "env", .value = "{\"A\":\"{nasty}\",\"B\":\"{{x}}\",\"{nasty}\":\"k\"}"}};
    const struct op_pair servers[] = {{.name = "servers", .value = "[\"{nasty}\",\"{node}\",\"plain\"]"}};
    const struct op_pair vars[] = {{.name = "nasty", .value = "a\"],[\"b\\"},
                                   {.name = "node", .value = "n1"}};
    const struct plan plan = {.rev = "", .dir = "/d"};
    const struct plan_node node = {.id = "n1", .rev = "", .rev_before = "", .vars = vars, .n_vars = 2};
    const struct plan_step run = {.verb = "cmd.run", .args = env, .n_args = 1};
    const struct plan_step capacity = {.verb = "haproxy.capacity", .args = servers, .n_args = 1};
    size_t n;
    const struct op_pair *args = plan_args(&plan, &run, &node, false, &a, &n);
    assert_string_equal(args[0].value, "{\"A\":\"a\\\"],[\\\"b\\\\\",\"B\":\"{x}\",\"{nasty}\":\"k\"}");
    args = plan_args(&plan, &capacity, &node, false, &a, &n);
    assert_string_equal(args[0].value, "[\"a\\\"],[\\\"b\\\\\",\"n1\",\"plain\"]");
}

static char *big_pillar(size_t n)
{
    char *text = malloc(1000 + n * 80);
    assert_non_null(text);
    char *end =
        text + sprintf(text, "release:\n  app: a\n  repo: r\n  dir: /d\n  branch: main\n  supervisor: z\n"
                             "  balancer: {haproxy: {sockets: [s], backend: b}}\n"
                             "  check: {url: 'http://{host}:{port}/'}\n  window: 1%%\n  app_servers:\n");
    for (size_t i = 0; i < n; i++)
        end += sprintf(end, "    app%zu: {host: 10.%zu.%zu.%zu, port: 8080, lb_server: s%zu}\n", i, i / 65536,
                       i / 256 % 256, i % 256, i);
    return text;
}

static void ten_thousand_nodes_are_compiled_in_time(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    char *pillar = big_pillar(10000);
    put_pillar("prod.sls", pillar);
    double from = cpu_ms();
    if (!rig_compile(&r, &(struct compile_request){.rev_typed = "f5d9859"}))
        fail_msg("%s", said(&r.problems));
    double compiled = cpu_ms();
    char *json = plan_encode(r.plan);
    double encoded = cpu_ms();
    struct plan *back;
    struct err err;
    assert_true(plan_decode(&r.arena, json, &back, &err));
    print_message("10,000 nodes: load and compile %.0f ms, encode %.0f ms, decode %.0f ms CPU, %zu bytes "
                  "(wanted: under 1 s "
                  "without sanitizers)\n",
                  compiled - from, encoded - compiled, cpu_ms() - encoded, strlen(json));
    assert_int_equal(back->n_nodes, 10000);
    assert_int_equal(back->window, 100);
    assert_true(encoded - from < 20000);
    free(json);
    free(pillar);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_plan_survives_encoding_and_decoding),
        T(every_member_is_in_the_encoding),
        T(every_flag_of_a_step_is_frozen),
        T(damage_is_refused),
        T(flipped_bytes_do_no_harm),
        T(lists_and_maps_expand_inside_their_strings),
        T(ten_thousand_nodes_are_compiled_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
