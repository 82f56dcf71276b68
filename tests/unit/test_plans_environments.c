/* Which environments there are, where each one's pillar comes from, and what its release: block is. */
#include "plans_rig.h"

/* What release.yml is refused for; "" = it is not. */
static const char *yml_said(const char *text)
{
    static char all[8000];
    auto_problems struct problems problems = {.n = 0};
    auto_arena struct arena arena = {.head = NULL};
    struct release_yml yml;
    put("release.yml", text);
    bool ok = release_yml_load(&arena, dir, &yml, &problems);
    assert_int_equal(ok, problems.n == 0);
    (void)snprintf(all, sizeof(all), "%s", said(&problems));
    return all;
}

static void release_yml_is_read_with_its_places(void **state)
{
    (void)state;
    auto_problems struct problems problems = {.n = 0};
    auto_arena struct arena arena = {.head = NULL};
    struct release_yml yml;
    assert_true(release_yml_load(&arena, dir, &yml, &problems)); /* none is an empty one */
    assert_false(yml.found);
    assert_int_equal(yml.n_envs, 0);
    put("pillar/prod/x.sls", "");
    put("pillar/base/x.sls", "");
    put("release.yml", "environments:\n"
                       "  staging: {pillarenv: base, nodes: '*-staging'}\n"
                       "  prod: {roots: [pillar/prod, pillar/base/], nodes: [web1, 'db*'], renderer: own}\n"
                       "  qa: {command: [bin/pillar, '--of', x y]}\n"
                       "  dev: {pillar: {command: [p]}}\n"
                       "  own:\n"
                       "pillar: {renderer: salt}\n"
                       "grains: {web1: {roles: [web]}}\n"
                       "nodegroups: {web: 'L@web1', both: [web1, or, web2]}\n"
                       "state: /var/lib/x.db\n");
    if (!release_yml_load(&arena, dir, &yml, &problems))
        fail_msg("%s", said(&problems));
    assert_true(yml.found);
    assert_int_equal(yml.n_envs, 5);
    const struct env_rule *e = release_yml_env(&yml, "staging");
    assert_string_equal(e->pillarenv, "base");
    assert_int_equal(e->at.line, 2);
    assert_int_equal(e->n_nodes, 1);
    assert_string_equal(e->nodes[0], "*-staging");
    assert_int_equal(e->render.renderer, RENDERER_SALT);
    assert_int_equal(e->render.at.line, 7);
    e = release_yml_env(&yml, "prod");
    char want[200];
    (void)snprintf(want, sizeof(want), "%s/pillar/base", dir);
    assert_int_equal(e->n_roots, 2);
    assert_string_equal(e->roots[1], want);
    assert_int_equal(e->n_nodes, 2);
    assert_int_equal(e->render.renderer, RENDERER_OWN);
    e = release_yml_env(&yml, "qa");
    assert_int_equal(e->render.renderer, RENDERER_COMMAND);
    assert_string_equal(e->render.argv[2], "x y");
    assert_null(e->render.argv[3]);
    assert_string_equal(release_yml_env(&yml, "dev")->render.argv[0], "p");
    assert_null(release_yml_env(&yml, "own")->pillarenv);
    assert_null(release_yml_env(&yml, "stagin"));
    assert_non_null(value_get(yml.grains, "web1:roles:0"));
    assert_int_equal(yml.nodegroups->n, 2);
    assert_string_equal(yml.state, "/var/lib/x.db");
}

static void mistakes_of_release_yml_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", ""},
        {"enviroments: {}\n",
         "release.yml:1:1: release.yml: unknown key 'enviroments' (did you mean 'environments'?)\n"},
        {"environments: [a]\n", "release.yml:1:15: environments: wanted {NAME: {pillarenv: ..., roots: "
                                "[...], nodes: ...}, ...}, found a list\n"},
        {"environments: {a: {pilarenv: base}}\n", "release.yml:1:20: environments: a: unknown key 'pilarenv' "
                                                  "(did you mean 'pillarenv'?)\n"},
        {"environments: {a: base}\n",
         "release.yml:1:19: environments: a: wanted a map of keys, found text\n"},
        {"environments: {../a: {}}\n",
         "release.yml:1:16: environments: '../a' cannot be an environment's name (wanted: letters, digits, "
         "'.', '_', '-', not first '-' or '.'; not 'top')\n"},
        {"environments: {a: {roots: nowhere}}\n",
         "release.yml:1:27: environments: a: roots: there is no directory nowhere\n"},
        {"environments: {a: {roots: []}}\n",
         "release.yml:1:27: environments: a: roots: wanted a directory, or a list of them, found an empty "
         "list\n"},
        {"environments: {a: {nodes: 'web1 or web2'}}\n",
         "release.yml:1:27: environments: a: nodes: 'web1 or web2' is not a glob like '*-staging', or a list "
         "of globs and node ids\n"},
        {"environments: {a: {nodes: [x, {}]}}\n",
         "release.yml:1:31: environments: a: nodes: wanted a glob like '*-staging', or a list of globs and "
         "node ids, found a map\n"},
        {"environments: {a: {command: cat x}}\n",
         "release.yml:1:29: environments: a: command: wanted [PROGRAM, ARGUMENT, ...] (no shell reads it), "
         "found text\n"},
        {"environments: {a: {command: [x], renderer: salt}}\n",
         "release.yml:1:29: environments: a: give renderer or command, not both (release.yml:1:44)\n"},
        {"environments: {a: {pillar: {renderer: salt}, command: [x]}}\n",
         "release.yml:1:28: environments: a: give pillar or command, not both (release.yml:1:55)\n"},
        {"pillar: {renderer: jinja}\n", "release.yml:1:20: pillar: renderer: 'jinja' is not salt or own\n"},
        {"grains: {a: web}\n", "release.yml:1:13: grains: a: wanted {GRAIN: VALUE, ...}, found text\n"},
        {"nodegroups: [a]\n",
         "release.yml:1:13: nodegroups: wanted {NAME: 'L@app1,app2', ...}, found a list\n"},
        {"state: here\n",
         "release.yml:1:8: release.yml: state: 'here' is not an absolute path (wanted: /srv/app)\n"},
        {"state: /a\ngrains: x\nxy: 1\n", "release.yml:3:1: release.yml: unknown key 'xy'\n"
                                          "release.yml:2:9: grains: wanted {NODE: {GRAIN: VALUE, ...}, ...}, "
                                          "found text\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(yml_said(rows[i].text), rows[i].want) != 0)
            fail_msg("%s: got %s wanted %s", rows[i].text, yml_said(rows[i].text), rows[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(release_yml_is_read_with_its_places, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_of_release_yml_are_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
