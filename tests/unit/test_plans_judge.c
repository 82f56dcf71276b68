/* SPDX-License-Identifier: MIT */
/* `judge:` in the block and in a role, what the plan keeps of it, and what may be wrong with it. */
#include "plans/judge.h"

#include "plans_rig.h"

#define HEAD                                                                                                 \
    "release:\n  app: plone\n  repo: https://git.example.org/site.git\n  dir: /srv/plone\n"                  \
    "  app_servers: {app1: {host: 10.0.0.1, port: 8080}, app2: {host: 10.0.0.2, port: 8080}}\n"              \
    "  supervisor: {programs: [zope], conf: /etc/supervisord.conf}\n"
#define BALANCER                                                                                             \
    "  balancer: {haproxy: {sockets: ['tcp://lb1:9999'], backend: django, server: '{node}-web'}}\n"

static const struct compile_request plain = {.rev_typed = "f5d9859"};

static void a_judge_is_read(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    auto_buf struct buf text = BUF_INIT(1000);
    put_pillar(
        "prod.sls", HEAD BALANCER
        "  judge: {errors: 0.25%, worse_than_others: 2x, slower: 1.5x, min_requests: 300, deadline: 90s, "
        "on_no_traffic: pass}\n");
    if (!rig_compile(&r, &plain))
        fail_msg("%s", said(&r.problems));
    const struct plan_judge *j = r.plan->judge;
    assert_int_equal(j->errors_ppm, 2500);
    assert_int_equal(j->worse_percent, 200);
    assert_int_equal(j->slower_percent, 150);
    assert_int_equal(j->min_requests, 300);
    assert_int_equal(j->deadline_ms, 90000);
    assert_true(j->passes);
    /* It looks for the servers that the drains take out. */
    assert_string_equal(j->step.verb, "haproxy.show");
    assert_string_equal(op_pair_value(j->step.args, j->step.n_args, "servers"),
                        "[\"app1-web\",\"app2-web\"]");
    judge_text(j, &text);
    assert_string_equal(
        buf_str(&text),
        "at most 0.25% errors, 2x the errors of the others, 1.5x their time, from 300 requests");
}

static void what_is_not_said_is_500_requests_and_a_stop(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_pillar("prod.sls", HEAD BALANCER "  judge: {worse_than_others: 2x}\n");
    if (!rig_compile(&r, &plain))
        fail_msg("%s", said(&r.problems));
    assert_int_equal(r.plan->judge->min_requests, 500);
    assert_int_equal(r.plan->judge->deadline_ms, 600000);
    assert_int_equal(r.plan->judge->errors_ppm, 0);
    assert_false(r.plan->judge->passes);
}

static void a_program_and_a_query_need_no_balancer(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    auto_buf struct buf text = BUF_INIT(1000);
    put_pillar("prod.sls",
               HEAD "  judge:\n    cmd: [/usr/local/bin/shop-is-well, '{rev}']\n"
                    "    prometheus: {url: 'http://mon:9090', query: 'sum(rate(errors{job=\"shop\"}[1m]))', "
                    "max: 0.5, user: ops, password: 'env:MON'}\n");
    if (!rig_compile(&r, &plain))
        fail_msg("%s", said(&r.problems));
    const struct plan_judge *j = r.plan->judge;
    assert_null(j->step.verb);
    assert_string_equal(op_pair_value(j->cmd.args, j->cmd.n_args, "cmd"),
                        "[\"/usr/local/bin/shop-is-well\",\"{rev}\"]");
    assert_string_equal(op_pair_value(j->prometheus.args, j->prometheus.n_args, "query"),
                        "sum(rate(errors{{job=\"shop\"}}[1m]))");
    assert_string_equal(r.plan->secrets[0].name, "env:MON");
    judge_text(j, &text);
    assert_string_equal(buf_str(&text), "its cmd ends with 0; its query gives at most 0.5");
}

static void a_role_has_its_own(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_pillar(
        "prod.sls",
        "release:\n  app: plone\n  repo: https://git.example.org/site.git\n  dir: /srv/plone\n"
        "  supervisor: {programs: [zope], conf: /etc/supervisord.conf}\n" BALANCER "  roles:\n"
        "    api: {app_servers: {a1: {host: 10.0.0.1, port: 80}, a2: {host: 10.0.0.2, port: 80}}, judge: {errors: "
        "2%}}\n"
        "    web: {app_servers: {w1: {host: 10.0.0.3, port: 80}, w2: {host: 10.0.0.4, port: 80}}}\n");
    if (!rig_compile(&r, &plain))
        fail_msg("%s", said(&r.problems));
    assert_int_equal(r.plan->roles[0].judge->errors_ppm, 20000);
    assert_int_equal(r.plan->roles[0].judge->step.role, 1);
    assert_null(r.plan->roles[1].judge);
}

static void every_mistake_is_told_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *pillar, *want;
    } rows[] = {
        {HEAD BALANCER "  judge: 1%\n",
         "pillar/prod.sls:8:10: release: judge: wanted a map of keys, found text\n"},
        {HEAD BALANCER "  judge: {}\n",
         "pillar/prod.sls:8:10: release: judge: it says no limit (wanted one of "},
        {HEAD BALANCER "  judge: {errors: 1, worse_than_others: 2, slower: x}\n",
         "pillar/prod.sls:8:19: release: judge: errors: '1' is not a share of requests, as in 1% or 0.5%\n"
         "pillar/prod.sls:8:41: release: judge: worse_than_others: '2' is not a factor, as in 2x or 1.5x\n"
         "pillar/prod.sls:8:52: release: judge: slower: 'x' is not a factor, as in 2x or 1.5x\n"},
        {HEAD BALANCER "  judge: {errors: 0%}\n", "errors: '0%' is not a share"},
        {HEAD BALANCER "  judge: {errors: 101%}\n", "errors: '101%' is not a share"},
        {HEAD BALANCER "  judge: {errors: -1%}\n", "errors: '-1%' is not a share"},
        {HEAD BALANCER "  judge: {errors: 0.00001%}\n", "errors: '0.00001%' is not a share"},
        {HEAD BALANCER "  judge: {errors: [1%]}\n", "errors: 'a list' is not a share"},
        {HEAD BALANCER "  judge: {worse_than_others: 0.5x}\n",
         "worse_than_others and slower are at least 1x"},
        {HEAD BALANCER "  judge: {errors: 1%, min_requests: 0}\n",
         "pillar/prod.sls:8:37: release: judge: min_requests: '0' is not a number from 1 to 1000000000\n"},
        {HEAD BALANCER "  judge: {errrors: 1%}\n", "unknown key 'errrors' (did you mean 'errors'?)"},
        {HEAD BALANCER "  judge: {errors: 1%, on_no_traffic: maybe}\n", "'maybe' is not stop or pass"},
        {HEAD BALANCER "  judge: {errors: 1%}\n  soak: 0s\n", "`soak` is 0, so there is no time in which"},
        {HEAD BALANCER "  judge: {slower: 2x}\n  soak: 3s\n", "slower: it takes a `soak` of at least 5s"},
        {HEAD "  judge: {prometheus: {url: 'http://mon:9090', query: up, max: nan}}\n",
         "release: judge: prometheus: max: 'nan' is not a number"},
        {HEAD "  judge: {prometheus: {url: 'http://mon:9090', query: up, max: 1e999}}\n",
         "release: judge: prometheus: max: '1e999' is not a number"},
        {HEAD "  judge: {prometheus: {url: 'http://mon:9090', query: up, max: 1ms}}\n",
         "release: judge: prometheus: max: '1ms' is not a number"},
        {HEAD "  judge: {errors: 1%}\n",
         "pillar/prod.sls:7:10: release: judge: what clients get is counted by a balancer, and "
         "`balancer:` names none\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        put_pillar("prod.sls", rows[i].pillar);
        assert_false(rig_compile(&r, &plain));
        if (strstr(said(&r.problems), rows[i].want) == NULL)
            fail_msg("row %zu:\n%swanted:\n%s", i, said(&r.problems), rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_judge_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_said_is_500_requests_and_a_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(a_program_and_a_query_need_no_balancer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_role_has_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(every_mistake_is_told_with_its_place, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
