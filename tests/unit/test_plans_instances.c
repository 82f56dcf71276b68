/* SPDX-License-Identifier: MIT */
/* instances: of an entry of app_servers. Each a node of its own in its host's directory, and every mistake with its place. */
#include "plans_rig.h"

#include "base/auto.h"
#include "run/bridge.h"

#define HEAD                                                                                                 \
    "#!yaml\nrelease:\n  app: plone\n  repo: https://git.example.org/site.git\n  dir: /srv/plone\n"          \
    "  user: web\n  stages: [1, 100%]\n  build:\n    - cmd.run: make\n"
#define LB "  balancer: {haproxy: {sockets: ['tcp://lb1:9999'], backend: plone}}\n"
#define SV "  supervisor: {conf: /etc/supervisord.conf}\n"
#define NODES                                                                                                \
    "  app_servers:\n"                                                                                       \
    "    app1:\n"                                                                                            \
    "      host: 10.0.0.11\n"                                                                                \
    "      instances:\n"                                                                                     \
    "        zope1: {port: 8081, lb_server: one, programs: [zope1, tasks1]}\n"                               \
    "        zope2: {port: 8082, lb_server: two, programs: zope2}\n"                                         \
    "    app2:\n"                                                                                            \
    "      host: 10.0.0.12\n"                                                                                \
    "      port: '808{n}'\n"                                                                                 \
    "      lb_server: 'app2-{instance}'\n"                                                                   \
    "      programs: ['zope{n}']\n"                                                                          \
    "      instances: 3\n"

static const struct compile_request plain = {.rev_typed = "f5d98590000000000000000000000000000000aa"};

/* By the real table: what is of the directory, and who takes programs, stands in it. */
static bool compile(struct rig *r, const char *pillar, const struct compile_request *req)
{
    struct compile_request own = *req;
    own.root = dir;
    own.env = "prod";
    put_pillar("prod.sls", pillar);
    return pillar_load(dir, "prod", NULL, 0, &r->pillar, &r->problems) &&
           plan_compile_with(r->pillar, &own, driver_table, &r->arena, &r->plan, &r->problems);
}

static const char *arg(struct rig *r, const struct plan *p, const char *verb, size_t node, const char *name)
{
    size_t n;
    const struct op_pair *args = plan_args(p, rig_step(p, verb), &p->nodes[node], false, &r->arena, &n);
    return op_pair_value(args, n, name);
}

static void check_plan(struct rig *r, const struct plan *p)
{
    static const char *const ids[] = {"app1.zope1", "app1.zope2", "app2.1", "app2.2", "app2.3"},
                             *const ports[] = {"8081", "8082", "8081", "8082", "8083"},
                             *const servers[] = {"one", "two", "app2-1", "app2-2", "app2-3"},
                             *const programs[] = {"[\"zope1\",\"tasks1\"]", "[\"zope2\"]", "[\"zope1\"]",
                                                  "[\"zope2\"]", "[\"zope3\"]"};
    static const uint32_t first[] = {0, 0, 2, 2, 2};
    struct core_plan core;
    assert_int_equal(p->n_nodes, 5);
    bridge_core_plan(p, &r->arena, &core);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(p->nodes[i].id, ids[i]);
        assert_string_equal(p->nodes[i].of_host, i < 2 ? "app1" : "app2");
        assert_string_equal(p->nodes[i].target.host, i < 2 ? "10.0.0.11" : "10.0.0.12");
        assert_string_equal(p->nodes[i].target.state_dir, p->nodes[0].target.state_dir);
        assert_string_equal(arg(r, p, "supervisord.stop", i, "programs"), programs[i]);
        assert_string_equal(arg(r, p, "supervisord.stop", i, "port"), ports[i]);
        assert_string_equal(arg(r, p, "release.running", i, "port"), ports[i]);
        assert_string_equal(arg(r, p, "haproxy.drain", i, "server"), servers[i]);
        assert_int_equal(core.host_first[i], first[i]);
    }
    for (size_t s = 0; s < p->n_steps; s++) {
        enum phase phase = p->steps[s].phase;
        bool of_host = phase == PHASE_PREPARE || phase == PHASE_FINISH ||
                       strcmp(p->steps[s].verb, "release.switch") == 0;
        assert_int_equal(core.steps[s].of_host, of_host);
    }
    assert_string_equal(rig_arg(&p->capacity_step, "servers"),
                        "[\"one\",\"two\",\"app2-1\",\"app2-2\",\"app2-3\"]");
    assert_int_equal(p->stage_end[0], 1);
    assert_int_equal(p->stage_end[1], 5);
}

static void each_instance_is_a_node_of_its_host(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    struct plan *again;
    struct err err;
    if (!compile(&r, HEAD LB SV NODES, &plain))
        fail_msg("%s", said(&r.problems));
    check_plan(&r, r.plan);
    auto_free char *json = plan_encode(r.plan);
    assert_non_null(strstr(json, "\"format\":3"));
    if (!plan_decode(&r.arena, json, &again, &err))
        fail_msg("%s", err.text);
    check_plan(&r, again);
}

static void systemd_takes_it_by_template(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    if (!compile(
            &r,
            HEAD
            "  service: {name: 'app@{n}'}\n"
            "  app_servers: {app1: {instances: [blue, green], port: '80{n}0', lb_server: '{instance}'}}\n",
            &plain))
        fail_msg("%s", said(&r.problems));
    assert_string_equal(r.plan->nodes[1].id, "app1.green");
    assert_string_equal(r.plan->nodes[1].target.host, "app1");
    assert_string_equal(arg(&r, r.plan, "service.stop", 0, "name"), "app@1");
    assert_string_equal(arg(&r, r.plan, "service.start", 1, "name"), "app@2");
}

static void a_host_is_chosen_as_a_whole(void **state)
{
    (void)state;
    auto_rig struct rig host = {.plan = NULL}, one = {.plan = NULL}, restart = {.plan = NULL};
    struct compile_request req = plain;
    req.only = "app2";
    if (!compile(&host, HEAD LB SV NODES, &req))
        fail_msg("%s", said(&host.problems));
    assert_int_equal(host.plan->n_nodes, 3);
    req.only = "app1.zope2";
    assert_false(compile(&one, HEAD LB SV NODES, &req));
    assert_non_null(
        strstr(said(&one.problems),
               "--only, --exclude: app1.zope2 is chosen and app1.zope1 is not, but they run in one "
               "directory, which git.fetch"));
    assert_non_null(strstr(said(&one.problems), "name the host, app1, or all of its instances"));
    req.plan_name = "restart"; /* nothing of the directory is touched */
    if (!compile(&restart, HEAD LB SV NODES, &req))
        fail_msg("%s", said(&restart.problems));
    assert_int_equal(restart.plan->n_nodes, 1);
}

#define ONE(entry) HEAD LB SV "  app_servers:\n    app1: " entry "\n"
static void every_mistake_has_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *pillar, *want;
    } rows[] = {
        {ONE("{instances: {a: {port: 81, lb_server: a, programs: a}, b: {port: 81, lb_server: b, programs: b}}}"),
         "prod.sls:13:66: app_servers: instances 'app1.a' and 'app1.b' have the same port 81: give each its own, or "
         "write {n} in it (port: \"808{n}\")"},
        {ONE("{instances: {a: {port: 81, lb_server: a, programs: a}, b: {port: 82, lb_server: a, programs: b}}}"),
         "instances 'app1.a' and 'app1.b' have the same lb_server a: give each its own"},
        {ONE("{instances: {a: {port: 81, lb_server: a, programs: a}, b: {port: 82, programs: b}}}"),
         "app_servers: instance 'app1.b' has no lb_server, and release: balancer: haproxy sends to each by a server of "
         "its own (wanted: lb_server: NAME, or once beside instances: lb_server: \"app1-{n}\")"},
        {ONE("{instances: 2, port: 81, lb_server: 'a{n}', programs: 'z{n}'}"), "have the same port 81"},
        {ONE("{instances: 2, port: '8{n}', lb_server: a, programs: 'z{n}'}"), "have the same lb_server a"},
        {ONE("{instances: 0, port: '8{n}'}"),
         "app_servers: app1: instances: '0' is not a number from 1 to 64"},
        {ONE("{instances: 65, port: '8{n}'}"),
         "app_servers: app1: instances: '65' is not a number from 1 to 64"},
        {ONE("{instances: {}, port: '8{n}'}"), "wanted a number from 1 to 64, a list of names, or a map"},
        {ONE("{instances: null, port: '8{n}'}"), "wanted a number from 1 to 64, a list of names, or a map"},
        {ONE("{instances: [[a]], port: '8{n}'}"), "instances: a list holds names, found a list"},
        {ONE("{instances: ['a/b'], port: '8{n}', lb_server: x, programs: x}"), "'app1.a/b' is not a node id"},
        {ONE("{instances: {a: 81}}"), "instances: a: wanted {port: .., lb_server: ..}, found"},
        {ONE("{instances: {a: {port: 81, host: x, lb_server: a, programs: a}}}"),
         "'host' is the host's: instances run on one machine, in one directory; write it beside 'instances:'"},
        {ONE("{n: 3, instances: {a: {port: 81, lb_server: a, programs: a}}}"), "'n' cannot be set"},
        {ONE("{instances: {a: {port: 81, lb_server: a, programs: [[a]]}}}"),
         "programs: wanted names, as in [zope1]"},
        {ONE("{instances: {a: {port: 81, lb_server: a, program: [a]}}}"), "'program' is a list"},
        {ONE("{dir: '/srv/{node}', instances: 2, port: '8{n}', lb_server: 'a{n}', programs: 'z{n}'}"),
         "have directories of their own, /srv/app1.1 and /srv/app1.2: instances share one"},
        {HEAD "    - cmd.run: 'echo {port}'\n" LB SV NODES,
         "cmd is 'echo 8081' for app1.zope1 and 'echo 8082' for app1.zope2, but what is of the directory runs once for "
         "all instances of app1"},
        {HEAD "  plan: in-place\n" LB SV NODES,
         "plan in-place has git.checkout while instances are out one after the other, and would change the directory "
         "under those of app1"},
        {HEAD LB SV NODES "    app1: {host: 10.0.0.13}\n", "app1"},
        {HEAD
         "  roles:\n    web: {balancer: none, app_servers: {app1: {instances: 2, port: '8{n}', programs: 'z{n}'}}, "
         "supervisor: {conf: x}}\n    cron: {balancer: none, app_servers: [app1], supervisor: {programs: [c]}}\n",
         "node 'app1' is in role web and in role cron"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        if (compile(&r, rows[i].pillar, &plain))
            fail_msg("row %zu: no problem was found", i);
        if (strstr(said(&r.problems), rows[i].want) == NULL)
            fail_msg("row %zu: %s\nwanted: %s", i, said(&r.problems), rows[i].want);
    }
}

static void instances_of_two_roles_stand_in_theirs(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    if (!compile(
            &r,
            HEAD
            "  roles:\n"
            "    worker: {balancer: none, app_servers: {w1: {instances: 2, programs: 'c{n}'}}, supervisor: "
            "{conf: x}}\n"
            "    web: {app_servers: {app1: {instances: 2, port: '808{n}', lb_server: 'a{n}'}}, supervisor: "
            "{programs: ['z{n}']}, balancer: {haproxy: {sockets: ['tcp://lb1:9999'], backend: plone}}}\n",
            &plain))
        fail_msg("%s", said(&r.problems));
    struct core_plan core;
    bridge_core_plan(r.plan, &r.arena, &core);
    assert_int_equal(r.plan->n_nodes, 4);
    assert_int_equal(core.host_first[1], 0);
    assert_int_equal(core.host_first[3], 2);
    assert_int_equal(core.groups[0].end, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_instance_is_a_node_of_its_host, setup, teardown),
        cmocka_unit_test_setup_teardown(systemd_takes_it_by_template, setup, teardown),
        cmocka_unit_test_setup_teardown(a_host_is_chosen_as_a_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(every_mistake_has_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(instances_of_two_roles_stand_in_theirs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
