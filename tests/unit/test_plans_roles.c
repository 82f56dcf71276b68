/* SPDX-License-Identifier: MIT */
/* roles: of the release: block. One plan over groups of nodes that differ, and every mistake with its place and role. */
#include "plans_rig.h"

#include "base/auto.h"

#define COMMON                                                                                                 \
    "#!yaml\nrelease:\n  app: shop\n  repo: https://git.example.org/shop.git\n  dir: /srv/shop\n  user: web\n" \
    "  build:\n    - cmd.run: make\n    - cmd.run: {cmd: bin/migrate, once: first, undo: bin/back}\n"          \
    "  hooks: {before: [{cmd.run: {cmd: 'say {app}'}}], change: [{cmd.run: {cmd: 'rm cache'}}]}\n"
#define ROLES                                                                                                \
    "  roles:\n"                                                                                             \
    "    worker:\n"                                                                                          \
    "      app_servers: {w1: {host: 10.0.0.1}, w2: {host: 10.0.0.2}}\n"                                      \
    "      supervisor: {programs: [celery]}\n"                                                               \
    "      balancer: none\n"                                                                                 \
    "      window: 2\n"                                                                                      \
    "      user: celery\n"                                                                                   \
    "    web:\n"                                                                                             \
    "      app_servers: {a1: {host: 10.0.1.1, port: 80}, a2: {host: 10.0.1.2, port: 80}, a3: {host: "        \
    "10.0.1.3, port: 80}}\n"                                                                                 \
    "      supervisor: {programs: [gunicorn]}\n"                                                             \
    "      balancer: {haproxy: {sockets: ['tcp://lb1:9999'], backend: web}}\n"                               \
    "      stages: [1, 100%]\n"                                                                              \
    "      min_up: 2\n"                                                                                      \
    "      max_failed: 1\n"                                                                                  \
    "      soak: 3s\n"
#define COMMON_LB "  balancer: {haproxy: {sockets: ['tcp://lb0:9999'], backend: other}}\n"

static const struct compile_request plain = {.rev_typed = "f5d9859"};

static void compile(struct rig *r, const char *pillar, const struct compile_request *req)
{
    put_pillar("prod.sls", pillar);
    if (!rig_compile(r, req))
        fail_msg("%s", said(&r->problems));
}

static void lines_of(const struct plan *p, char *out, size_t size)
{
    out[0] = '\0';
    for (size_t i = 0; i < p->n_steps; i++)
        (void)snprintf(out + strlen(out), size - strlen(out), "%d %s %s\n", p->steps[i].role,
                       phase_name(p->steps[i].phase), p->steps[i].verb);
}

/* In phase order, and in a phase in the order of the roles; hooks of the release and what runs once are there once. */
static void roles_become_one_plan(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    char got[4000];
    compile(&r, COMMON COMMON_LB ROLES, &plain);
    lines_of(r.plan, got, sizeof(got));
    assert_string_equal(
        got, "0 hook-before cmd.local\n"
             "1 prepare git.fetch\n1 prepare release.unpack\n1 prepare cmd.run\n1 prepare release.seal\n"
             "2 prepare git.fetch\n2 prepare release.unpack\n2 prepare cmd.run\n2 prepare release.seal\n"
             "2 drain haproxy.drain\n2 drain haproxy.wait_idle\n"
             "1 change supervisord.stop\n1 change release.switch\n1 change cmd.run\n"
             "1 change supervisord.start\n1 change cmd.run\n"
             "2 change supervisord.stop\n2 change release.switch\n2 change supervisord.start\n"
             "2 change cmd.run\n"
             "1 check supervisord.running\n2 check supervisord.running\n"
             "2 enable haproxy.enable\n2 enable haproxy.wait_up\n"
             "1 verify release.running\n2 verify release.running\n"
             "1 finish release.clean\n2 finish release.clean\n");
}

static void each_role_has_its_own_limits_and_balancer(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    compile(&r, COMMON COMMON_LB ROLES, &plain);
    const struct plan *p = r.plan;
    assert_int_equal(p->n_roles, 2);
    assert_string_equal(p->roles[0].name, "worker");
    assert_int_equal(p->roles[0].window, 2);
    assert_int_equal(p->roles[0].min_up, 0);
    assert_int_equal(p->roles[0].max_failed, 0);
    assert_int_equal(p->roles[0].soak_ms, 10000);
    assert_null(p->roles[0].capacity_step.verb);
    assert_null(p->roles[0].guard_step.verb);
    assert_string_equal(p->roles[1].name, "web");
    assert_int_equal(p->roles[1].window, 1);
    assert_int_equal(p->roles[1].min_up, 2);
    assert_int_equal(p->roles[1].max_failed, 1);
    assert_int_equal(p->roles[1].soak_ms, 3000);
    assert_string_equal(rig_arg(&p->roles[1].capacity_step, "servers"), "[\"a1\",\"a2\",\"a3\"]");
    assert_string_equal(rig_arg(&p->roles[1].guard_step, "backend"), "web");
    assert_null(p->capacity_step.verb);
    const uint32_t ends[] = {1, 2, 3, 5};
    assert_int_equal(p->n_stages, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(p->stage_end[i], ends[i]);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(p->nodes[i].role, i >= 2);
}

static const char *var(const struct plan *p, const struct plan_node *node, const char *name, struct arena *a)
{
    size_t n;
    const struct op_pair *vars = plan_vars(p, node, false, a, &n);
    return op_pair_value(vars, n, name);
}

static void a_role_says_its_own_user_and_recipe(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    compile(&r,
            COMMON
            "  roles:\n    worker: {app_servers: [w1], supervisor: {programs: [c]}, user: celery, dir: "
            "/srv/worker, build: [{cmd.run: pip install}]}\n"
            "    web: {app_servers: [a1], supervisor: {programs: [g]}}\n",
            &(struct compile_request){.rev_typed = "f5d98590000000000000000000000000000000aa"});
    const struct plan *p = r.plan;
    assert_string_equal(var(p, &p->nodes[0], "user", &r.arena), "celery");
    assert_string_equal(var(p, &p->nodes[1], "user", &r.arena), "web");
    assert_string_equal(var(p, &p->nodes[0], "dir", &r.arena), "/srv/worker");
    assert_string_equal(var(p, &p->nodes[1], "dir", &r.arena), "/srv/shop");
    assert_string_not_equal(var(p, &p->nodes[0], "recipe", &r.arena),
                            var(p, &p->nodes[1], "recipe", &r.arena));
    /* the migration is in the build that web inherits, so it is web's */
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].once != ONCE_NO)
            assert_int_equal(p->steps[i].role, 2);
}

/* What stands for a step of each block is as often there as there are blocks; what came to two roles from one, once. */
static void each_cache_is_banned_once(void **state)
{
    (void)state;
#define CACHE(socket) "{haproxy: {sockets: ['tcp://" socket ":1'], backend: b, ban: x}}"
#define PAIR(api, web)                                                                                       \
    "  min_up: 0\n  roles:\n    api: {app_servers: [w1], supervisor: {programs: [c]}" api "}\n"              \
    "    web: {app_servers: [a1], supervisor: {programs: [g]}" web "}\n"
    static const struct {
        const char *text, *want;
    } rows[] = {
        {PAIR(", balancer: [" CACHE("c1") ", " CACHE("c2") "]", ""), "1 c1 1 c2 "},
        {PAIR(", balancer: " CACHE("c1"), ", balancer: " CACHE("c2")), "1 c1 2 c2 "},
        {"  balancer: [" CACHE("c1") ", " CACHE("c2") "]\n" PAIR("", ""), "1 c1 1 c2 "},
        {"  balancer: " CACHE("c1") "\n" PAIR("", ", balancer: " CACHE("c2")), "1 c1 2 c2 "},
    };
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        auto_rig struct rig r = {.plan = NULL};
        char text[4000], got[200] = "";
        (void)snprintf(text, sizeof(text), "%s%s", COMMON, rows[k].text);
        compile(&r, text, &plain);
        for (size_t i = 0; i < r.plan->n_steps; i++)
            if (strcmp(r.plan->steps[i].verb, "haproxy.ban") == 0)
                (void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%d %.2s ",
                               r.plan->steps[i].role,
                               strstr(rig_arg(&r.plan->steps[i], "sockets"), "//") + 2);
        assert_string_equal(got, rows[k].want);
    }
}

/* Written twice by its anchor, it runs twice, though both were written in one place. */
static void a_line_that_is_named_again_runs_again(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    size_t n = 0;
    compile(&r,
            COMMON "  min_up: 0\n  supervisor: {programs: [x]}\n  roles:\n"
                   "    api: {app_servers: [w1], build: [&s {cmd.run: {cmd: again, once: before}}, *s]}\n"
                   "    web: {app_servers: [a1]}\n",
            &plain);
    for (size_t i = 0; i < r.plan->n_steps; i++)
        n += r.plan->steps[i].once == ONCE_BEFORE && r.plan->steps[i].role == 1;
    assert_int_equal(n, 2);
}

/* Who works for no role logs in as the release says, whichever roles are in the plan. */
static void a_role_logs_in_its_own_way(void **state)
{
    (void)state;
    static const char *const of[] = {NULL, "web"};
    for (size_t i = 0; i < 2; i++) {
        auto_rig struct rig r = {.plan = NULL};
        compile(&r,
                COMMON
                "  ssh: {user: all}\n  supervisor: {programs: [x]}\n"
                "  roles:\n    worker: {app_servers: [w1], ssh: {user: ops}}\n    web: {app_servers: [a1]}\n",
                &(struct compile_request){.rev_typed = "f5d9859", .only_role = of[i]});
        assert_string_equal(r.plan->ssh_defaults.ssh.user, "all");
        assert_string_equal(r.plan->roles[r.plan->n_roles - 1].ssh_defaults.ssh.user, "all");
        if (of[i] == NULL)
            assert_string_equal(r.plan->roles[0].ssh_defaults.ssh.user, "ops");
    }
}

static void only_role_leaves_the_others_alone(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    compile(&r, COMMON ROLES,
            &(struct compile_request){.rev_typed = "f5d9859", .only_role = "web", .exclude = "a2"});
    assert_int_equal(r.plan->n_roles, 1);
    assert_string_equal(r.plan->roles[0].name, "web");
    assert_int_equal(r.plan->n_nodes, 2);
    assert_string_equal(r.plan->nodes[1].id, "a3");
    assert_string_equal(op_pair_value(r.plan->vars, r.plan->n_vars, "left_out"), "3");
    assert_string_equal(rig_arg(&r.plan->roles[0].capacity_step, "servers"), "[\"a1\",\"a2\",\"a3\"]");
    for (size_t i = 0; i < r.plan->n_steps; i++)
        assert_true(r.plan->steps[i].role <= 1);
}

/* A way back begins with the role that was last. */
static void reversed_the_last_role_is_first(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    compile(&r, COMMON ROLES, &plain);
    plan_roles_reverse(r.plan, &r.arena);
    static const char *const ids[] = {"a1", "a2", "a3", "w1", "w2"};
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(r.plan->nodes[i].id, ids[i]);
        assert_string_equal(plan_role_name(r.plan, &r.plan->nodes[i]), i < 3 ? "web" : "worker");
    }
    for (size_t i = 0; i < r.plan->n_steps; i++)
        if (r.plan->steps[i].phase == PHASE_DRAIN)
            assert_true(plan_takes(&r.plan->steps[i], &r.plan->nodes[0]) &&
                        !plan_takes(&r.plan->steps[i], &r.plan->nodes[4]));
}

/* What has no node left is not asked for: neither its balancer nor its steps. */
static void a_role_without_nodes_leaves_the_plan(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    compile(&r, COMMON ROLES, &plain);
    struct plan *p = r.plan;
    p->nodes += 2;
    p->n_nodes -= 2;
    plan_roles_drop_empty(p, &r.arena);
    assert_int_equal(p->n_roles, 1);
    assert_string_equal(plan_role_name(p, &p->nodes[0]), "web");
    assert_int_equal(p->roles[0].guard_step.role, 1);
    assert_int_equal(p->window, 1); /* the worker's was wider */
    for (size_t i = 0; i < p->n_steps; i++)
        assert_true(p->steps[i].role <= 1 && strstr(p->steps[i].label, "migrate") == NULL);
    assert_int_equal(rig_step(p, "haproxy.drain")->role, 1);
    p->n_nodes = 0;
    plan_roles_drop_empty(p, &r.arena);
    assert_int_equal(p->n_roles, 0);
}

/* Whoever knows nothing of roles would walk every step on every node: the form has another number then, and only then. */
static void frozen_it_is_the_same_and_old_programs_refuse_it(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL}, alike = {.plan = NULL};
    struct plan *back;
    struct err err;
    compile(&r, COMMON ROLES, &plain);
    auto_free char *json = plan_encode(r.plan);
    assert_non_null(strstr(json, "\"format\":2"));
    if (!plan_decode(&r.arena, json, &back, &err))
        fail_msg("%s", err.text);
    auto_free char *again = plan_encode(back);
    assert_string_equal(again, json);
    assert_int_equal(back->n_roles, 2);
    assert_int_equal(back->roles[1].min_up, 2);
    assert_int_equal(back->nodes[4].role, 1);
    compile(&alike, COMMON "  app_servers: [a1, a2]\n  supervisor: {programs: [g]}\n", &plain);
    auto_free char *without = plan_encode(alike.plan);
    assert_non_null(strstr(without, "\"format\":1"));
    assert_null(strstr(without, "\"role"));
}

static void damaged_roles_are_refused(void **state)
{
    (void)state;
    static const char *const rows[][3] = {/* in which list, what, instead */
                                          {"\"nodes\":[", "\"role\":1,\"target\"", "\"role\":7,\"target\""},
                                          {"\"roles\":[", "\"role\":2", "\"role\":1"},
                                          {"\"steps\":[", "\"role\":2", "\"role\":3"},
                                          {"", "\"roles\":[{", "\"rules\":[{"}};
    auto_rig struct rig r = {.plan = NULL};
    compile(&r, COMMON ROLES, &plain);
    auto_free char *json = plan_encode(r.plan);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct plan *back;
        struct err err = {.code = E_NONE};
        auto_free char *bad = xstrdup(json);
        char *at = strstr(strstr(bad, rows[i][0]), rows[i][1]);
        assert_non_null(at);
        memcpy(at, rows[i][2], strlen(rows[i][2]));
        assert_false(plan_decode(&r.arena, bad, &back, &err));
        assert_int_equal(err.code, E_JOURNAL);
    }
}

static void the_plan_is_shown_with_its_roles(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    compile(&r, COMMON ROLES, &plain);
    auto_free char *text = plan_text(r.plan);
    static const char *const words[] = {"one role after the other; back in reverse",
                                        "role        worker, 2 nodes; each stage judged for 10s",
                                        "role        web, 3 nodes; each stage judged for 3s",
                                        "floor       2 must stay in rotation",
                                        "  1  w1    worker  stage 1",
                                        "  4  a2    web  stage 4",
                                        ", role web"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strstr(text, words[i]) == NULL)
            fail_msg("'%s' is not in\n%s", words[i], text);
}

static void mistakes_have_place_role_and_way_out(void **state)
{
    (void)state;
    static const struct {
        const char *roles, *want;
    } rows[] = {
        {"  roles: {worker: {window: 1}}\n",
         "pillar/prod.sls:12:11: release: roles: it has no nodes (wanted: app_servers: {app1: {host: 10.10.10.11}, "
         "...}) (role worker)"},
        {"  roles: {worker: {app_servers: {}}}\n", "the list of nodes is empty (role worker)"},
        {"  roles: {worker: {app_servers: [a], chek: x}}\n",
         "pillar/prod.sls:12:38: release: roles: worker: unknown key 'chek' (did you mean 'check'?)"},
        {"  roles: {worker: {app_servers: [a], keep: 3}}\n",
         "worker: 'keep' is the release's, the same for all roles"},
        {"  roles: {w: {app_servers: [a], with: b}, b: {app_servers: [b]}}\n",
         "roles are released one after the other"},
        {"  roles: {w: {app_servers: [a]}, web: {app_servers: {a: 10.0.0.1}}}\n",
         "node 'a' is in role w and in role web, and a node has one role: give it a name and a directory of its own"},
        {"  app_servers: [b]\n  roles: {w: {app_servers: [a]}}\n",
         "pillar/prod.sls:12:3: release: app_servers stands beside roles: (pillar/prod.sls:13:3)"},
        {"  roles: [w]\n", "pillar/prod.sls:12:3: release: roles: wanted {worker:"},
        {"  roles: {}\n", "pillar/prod.sls:12:3: release: roles: wanted {worker:"},
        {"  roles: {w: {app_servers: {command: [bin/none]}}}\n",
         "pillar/prod.sls:12:38: nodes of prod by command bin/none: cannot start bin/none"},
        {"  roles: {w: {app_servers: [a]}, v: {app_servers: [b], plan: in-place}}\n", "have the same"},
        {"  roles: {a: {app_servers: [1a]}, b: {app_servers: [2a]}, c: {app_servers: [3a]}, d: {app_servers: [4a]}, "
         "e: {app_servers: [5a]}, f: {app_servers: [6a]}, g: {app_servers: [7a]}, h: {app_servers: [8a]}, i: "
         "{app_servers: [9a]}}\n",
         "9 roles, at most 8"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        char text[4000];
        (void)snprintf(text, sizeof(text), "%s  supervisor: {programs: [x]}\n%s", COMMON, rows[i].roles);
        put_pillar("prod.sls", text);
        assert_false(rig_compile(&r, &plain));
        if (strstr(said(&r.problems), rows[i].want) == NULL)
            fail_msg("%s\nwanted: %s\ngot: %s", rows[i].roles, rows[i].want, said(&r.problems));
    }
}

/* What all roles inherit is one mistake, not one for each. */
static void a_common_mistake_is_told_once(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_pillar("prod.sls",
               COMMON "  soak: long\n  supervisor: {programs: [x]}\n"
                      "  roles:\n    worker: {app_servers: [w1]}\n    web: {app_servers: [a1]}\n");
    assert_false(rig_compile(&r, &plain));
    const char *text = said(&r.problems), *first = strstr(text, "soak: 'long'");
    assert_non_null(first);
    assert_null(strstr(first + 1, "soak"));
    assert_null(strstr(text, "(role"));
}

/* Nodes of which top.sls knows, each with its own pillar: the block with its roles must be the same. */
static void roles_of_a_top_file(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_pillar("top.sls", "prod:\n  'w*': [shop]\n  'a*': [shop]\n");
    put_pillar("shop.sls", COMMON ROLES);
    assert_int_equal(rig_compile(&r, &plain) ? 0 : fprintf(stderr, "%s", said(&r.problems)), 0);
    assert_int_equal(r.plan->n_nodes, 5);
    assert_int_equal(r.plan->n_roles, 2);
    auto_rig struct rig lost = {.plan = NULL};
    put_pillar("top.sls", "prod:\n  'w*': [shop]\n");
    assert_false(rig_compile(&lost, &plain));
    assert_non_null(strstr(said(&lost.problems), "'a1'"));
}

/* Blocks of two environments in one top file: the last one's is what all together have, and the path of a role's list
 * leads where its own block says. */
static void a_list_behind_a_path_is_of_its_own_block(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put("release.yml", "environments: {prod: {pillarenv: base, nodes: 'a*'}}\n");
    put_pillar("top.sls", "base:\n  '*': [lists]\n  'a*': [shop]\n  'z*': [other]\n");
    put_pillar("lists.sls", "site: {shop: {a1: 10.0.0.1, a2: 10.0.0.2}, other: {z1: 10.0.0.9}}\n");
    put_pillar("shop.sls", COMMON "  supervisor: {programs: [x]}\n"
                                  "  roles: {web: {app_servers: {pillar: 'site:shop'}}}\n");
    put_pillar("other.sls", COMMON "  supervisor: {programs: [x]}\n"
                                   "  roles: {web: {app_servers: {pillar: 'site:other'}}}\n");
    if (!rig_compile(&r, &plain))
        fail_msg("%s", said(&r.problems));
    assert_int_equal(r.plan->n_nodes, 2);
    assert_string_equal(r.plan->nodes[1].id, "a2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(roles_become_one_plan, setup, teardown),
        cmocka_unit_test_setup_teardown(each_role_has_its_own_limits_and_balancer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_role_says_its_own_user_and_recipe, setup, teardown),
        cmocka_unit_test_setup_teardown(each_cache_is_banned_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_that_is_named_again_runs_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_role_logs_in_its_own_way, setup, teardown),
        cmocka_unit_test_setup_teardown(only_role_leaves_the_others_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(reversed_the_last_role_is_first, setup, teardown),
        cmocka_unit_test_setup_teardown(a_role_without_nodes_leaves_the_plan, setup, teardown),
        cmocka_unit_test_setup_teardown(frozen_it_is_the_same_and_old_programs_refuse_it, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_roles_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_plan_is_shown_with_its_roles, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_have_place_role_and_way_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_common_mistake_is_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(roles_of_a_top_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_behind_a_path_is_of_its_own_block, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
