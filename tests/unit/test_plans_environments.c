/* SPDX-License-Identifier: MIT */
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

/* What loading ENV says, or the merged tree at `path` as JSON. */
static const char *loaded(const char *env, const char *path)
{
    static char text[20000];
    auto_problems struct problems problems = {.n = 0};
    struct pillar *p = NULL;
    bool ok = pillar_load(dir, env, NULL, 0, &p, &problems);
    char *json = ok ? pillar_json(p, path) : NULL;
    (void)snprintf(text, sizeof(text), "%s", ok ? json : said(&problems));
    assert_int_equal(ok, problems.n == 0);
    free(json);
    pillar_free(p);
    return text;
}

static const char *loaded_node(const char *env, const char *node)
{
    static char text[20000];
    auto_problems struct problems problems = {.n = 0};
    struct pillar *p = NULL;
    const struct pillar_request req = {.root = dir, .env = env, .node = node};
    bool ok = pillar_load_as(&req, &p, &problems);
    char *json = ok ? pillar_json(p, NULL) : NULL;
    (void)snprintf(text, sizeof(text), "%s", ok ? json : said(&problems));
    free(json);
    pillar_free(p);
    return text;
}

#define assert_loads(env, path, want) assert_string_equal(loaded(env, path), want)

/* Where the message ends does not matter to a row, how it begins does. */
static void assert_says(const char *got, const char *want)
{
    if (strstr(got, want) == NULL)
        fail_msg("got:    %s\nwanted: %s", got, want);
}

static const char *envs_known(void)
{
    static char text[1000];
    auto_arena struct arena arena = {.head = NULL};
    text[0] = '\0';
    for (const char *const *e = pillar_envs(dir, &arena); *e != NULL; e++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", *e);
    return text;
}

/* The tree that released to production: two targets in base, a block in each. */
static void two_fleets_in_base(void)
{
    put_pillar("top.sls",
               "base:\n  '*': [common]\n  '*-staging': [staging]\n  '*-production': [production]\n");
    put_pillar("common.sls", "org: x\nrelease: {app: shop, dir: /srv/shop}\n");
    put_pillar("staging.sls", "release: {branch: next, app_servers: {a-staging: 10.0.0.1}}\n");
    put_pillar("production.sls", "release: {branch: main, app_servers: {a-production: 10.0.1.1}}\n");
}

static void staging_never_means_production(void **state)
{
    (void)state;
    two_fleets_in_base();
    assert_loads(
        "staging", NULL,
        "unknown environment 'staging': known in pillar/ are base; section base of the top file has it "
        "as a file of target '*-staging' (pillar/top.sls:3:3), which is no environment: if these nodes "
        "are one, write into release.yml: environments: {staging: {pillarenv: base, nodes: "
        "'*-staging'}}\n");
    assert_loads(
        "base", NULL,
        "the nodes of environment base have different release: blocks: 'branch' is not the same: node "
        "a-staging (target '*-staging', pillar/top.sls:3:3) has it from pillar/staging.sls:1:11, node "
        "a-production (target '*-production', pillar/top.sls:4:3) has it from "
        "pillar/production.sls:1:11; one environment has one block: make each an environment of its "
        "own in release.yml (environments: {NAME: {pillarenv: SECTION, nodes: GLOB}}), or give its "
        "nodes plain values in app_servers\n");
    put("release.yml", "environments:\n  staging: {pillarenv: base, nodes: '*-staging'}\n"
                       "  prod: {pillarenv: base, nodes: ['*-production']}\n");
    assert_loads("staging", "release",
                 "{\"app\": \"shop\", \"dir\": \"/srv/shop\", \"branch\": \"next\", \"app_servers\": "
                 "{\"a-staging\": \"10.0.0.1\"}}");
    assert_loads("prod", "release:app_servers", "{\"a-production\": \"10.0.1.1\"}");
    assert_loads("prod", "release:branch", "\"main\"");
    assert_loads("production", NULL,
                 "unknown environment 'production': known in pillar/ are base, prod, "
                 "staging; section base of the top file has it as a file of target '*-production' "
                 "(pillar/top.sls:4:3), which is no environment: if these nodes are one, write into "
                 "release.yml: environments: {production: {pillarenv: base, nodes: '*-production'}}\n");
    assert_string_equal(envs_known(), "base prod staging ");
}

static void no_name_is_guessed(void **state)
{
    (void)state;
    put_pillar("top.sls", "base:\n  '*': [common]\nprod:\n  '*': [common]\n");
    put_pillar("common.sls", "release: {app_servers: [a]}\n");
    put_pillar("qa.yml", "release: {app_servers: [q]}\n");
    assert_loads("prdo", NULL,
                 "unknown environment 'prdo' (did you mean 'prod'?): known in pillar/ are base, prod, qa\n");
    assert_loads(
        "common", NULL,
        "unknown environment 'common': known in pillar/ are base, prod, qa; section base of the top "
        "file has it as a file of target '*' (pillar/top.sls:2:3), which is no environment: if these "
        "nodes are one, write into release.yml: environments: {common: {pillarenv: base, nodes: "
        "'*'}}\n");
    assert_loads("top", NULL, "unknown environment 'top': known in pillar/ are base, prod, qa\n");
    assert_loads("prod", "release:app_servers", "[\"a\"]");
    assert_loads("qa", "release:app_servers", "[\"q\"]");
    auto_problems struct problems problems = {.n = 0};
    assert_int_equal(pillar_known(dir, "qa", &problems), PILLAR_KNOWN_YES);
    assert_int_equal(pillar_known(dir, "qaa", &problems), PILLAR_KNOWN_NO);
    assert_int_equal(pillar_known("/nonexistent", "qa", &problems), PILLAR_KNOWN_CANNOT_TELL);
}

static void two_places_for_one_name_are_refused(void **state)
{
    (void)state;
    static const char want[] =
        "environment 'prod' has two sources: section prod at pillar/top.sls:1:1 and the "
        "file pillar/prod.sls; nothing says which of them is meant: remove or rename "
        "one\n";
    put_pillar("top.sls", "prod:\n  '*': [web]\nbase:\n  '*': [web]\n");
    put_pillar("web.sls", "release: {app_servers: [a]}\n");
    put_pillar("prod.sls", "release: {app_servers: [b]}\n");
    assert_loads("prod", NULL, want);
    put_pillar("prod.sls", "zone: b\n"); /* no block: a file that others may include */
    assert_loads("prod", "release:app_servers", "[\"a\"]");
    put_pillar("prod.sls", "release: {app_servers: [b]}\n");
    put_pillar("web.sls", "include: [prod]\n"); /* it is part of the section */
    assert_loads("prod", "release:app_servers", "[\"b\"]");
    put_pillar("prod.json", "{\"release\": {\"app_servers\": [\"c\"]}}");
    assert_says(loaded("prod", NULL), "section prod at pillar/top.sls:1:1 and the file pillar/prod.json;");
    put_pillar("qa.sls", "release: {app_servers: [b]}\n");
    put_pillar("qa/init.sls", "release: {app_servers: [c]}\n");
    assert_says(loaded("qa", NULL), "environment 'qa' has two sources: the file pillar/qa.sls and the file "
                                    "pillar/qa/init.sls;");
    put_pillar("s.sls", "release: {app_servers: [s]}\n");
    put("release.yml", "environments:\n  s: {pillarenv: base}\n  prod: {pillarenv: base}\n");
    assert_says(
        loaded("s", NULL),
        "environment 's' has two sources: section base at pillar/top.sls:3:1 and the file pillar/s.sls;");
    assert_says(loaded("prod", NULL),
                "environment 'prod' has two sources: its entry at release.yml:3:3 and the "
                "section at pillar/top.sls:1:1;");
}

static void an_entry_says_where_its_pillar_is(void **state)
{
    (void)state;
    put_pillar("top.sls", "base:\n  '*': [web]\n");
    put_pillar("web.sls", "release: {app_servers: [a]}\n");
    put_pillar("plain.sls", "release: {app_servers: [p1, p2]}\n");
    put("release.yml", "environments:\n  a: {pillarenv: bsae}\n  b: {nodes: x}\n  c: {command: [x]}\n"
                       "  plain: {nodes: p2}\n");
    assert_loads("a", NULL,
                 "release.yml:2:18: environments: a: pillarenv: pillar/top.sls has no section 'bsae' "
                 "(did you mean 'base'?) (it has: base)\n");
    assert_loads(
        "b", NULL,
        "release.yml:3:3: environments: b: its pillar is nowhere: there is no section 'b' in a top.sls "
        "and no file b.sls under pillar/ (wanted: pillarenv: SECTION, roots: [DIRECTORY], or command: "
        "[PROGRAM])\n");
    assert_says(loaded("c", NULL), "release.yml:4:16: pillar of c by command x: cannot start x");
    assert_loads("plain", "release:app_servers", "[\"p2\"]"); /* nodes: chooses */
}

static void roots_are_searched_as_salt_searches_them(void **state)
{
    (void)state;
    put("env/prod/top.sls", "prod:\n  '*': [site, more, deep.x]\n");
    put("env/prod/site.sls", "from: prod\nrelease: {app_servers: [a]}\n");
    put("env/base/top.sls", "prod:\n  '*': [nothing]\n");
    put("env/base/site.sls", "from: base\n");
    put("env/base/more.sls", "more: base\n");
    put("env/prod/deep/x/init.sls", "deep: init\n");
    put("env/base/deep/x.sls", "include: [.y]\ndeep: file\n"); /* x.sls anywhere before x/init.sls */
    put("env/prod/deep/y.sls", "near: prod\n");
    put("env/qa/qa.sls", "release: {app_servers: [q]}\n");
    put("release.yml", "environments:\n  prod: {roots: [env/prod, env/base]}\n  qa: {roots: env/qa}\n");
    assert_loads("prod", NULL,
                 "{\"from\": \"prod\", \"release\": {\"app_servers\": [\"a\"]}, \"more\": "
                 "\"base\", \"near\": \"prod\", \"deep\": \"file\"}");
    assert_loads("qa", "release:app_servers", "[\"q\"]");
    put("env/prod/more.sls", "include: [nowhere]\n");
    assert_loads("prod", NULL,
                 "env/prod/more.sls:1:11: no pillar file for 'nowhere' under env/prod/, env/base/\n");
    put_pillar("prod.sls", "release: {app_servers: [z]}\n");
    assert_says(loaded("prod", NULL),
                "environment 'prod' has two sources: its entry at release.yml:2:3 and the "
                "file pillar/prod.sls;");
}

static void a_target_that_is_not_its_node_is_refused(void **state)
{
    (void)state;
    put_pillar("top.sls", "prod:\n  'weeb*':\n    - web\n");
    put_pillar("web.sls", "release:\n  app: x\n  app_servers: {web1: 10.0.0.1}\n");
    assert_says(loaded("prod", NULL),
                "pillar/web.sls:3:17: node 'web1' is in app_servers, but its own pillar has "
                "no release: block with it: the block at pillar/web.sls:1:1 is for");
    put_pillar("top.sls", "prod:\n  '*':\n    - web\n  'web22':\n    - two\n");
    put_pillar("two.sls", "release: {app_servers: {web2: 10.0.0.2}}\n");
    assert_says(loaded("prod", NULL), "pillar/two.sls:1:25: node 'web2' is listed here for target 'web22' "
                                      "(pillar/top.sls:4:3), which does not match it");
    put_pillar("top.sls", "prod:\n  'web1':\n    - web\n");
    put_pillar("web.sls", "release: {app: x, app_servers: {web1: 10.0.0.1, web2: 10.0.0.2}}\n");
    assert_says(loaded("prod", NULL),
                "pillar/web.sls:1:49: node 'web2' is in app_servers, but its own pillar has "
                "no release: block: the one at pillar/web.sls:1:1 comes with target 'web1' "
                "(pillar/top.sls:2:3), which does not match it");
    put_pillar("web.sls", "release: {app: x}\n");
    assert_says(loaded("prod", NULL), "pillar/web.sls:1:1: this release: block is for some targets");
    put_pillar("top.sls", "prod:\n  '*':\n    - web\n");
    put_pillar("web.sls", "release: {app: x, app_servers: [a, b]}\n");
    put("release.yml", "environments: {prod: {nodes: [a, 'c*']}}\n");
    assert_says(loaded("prod", NULL), "release.yml:1:30: environments: prod: nodes: 'c*' matches none of the "
                                      "nodes in app_servers (pillar/web.sls:1:32)");
    put("release.yml", "environments: {prod: {nodes: 'c*'}}\n");
    assert_says(loaded("prod", NULL), "release.yml:1:30: environments: prod: nodes: none of the 2 nodes");
}

static void blocks_of_two_targets_are_one_or_refused(void **state)
{
    (void)state;
    put_pillar("top.sls", "prod:\n  '*': [all]\n  'web*': [web]\n  'blog*': [blog]\n");
    put_pillar("all.sls", "release: {app_servers: [web1, blog1]}\n");
    put_pillar("web.sls", "role: web\nrelease: {app: x, check: {url: 'http://{host}/', status: 200}}\n");
    put_pillar("blog.sls", "role: blog\nrelease: {check: {status: 200, url: 'http://{host}/'}, app: x}\n");
    assert_loads("prod", "release:app", "\"x\""); /* the same, written twice and in another order */
    assert_loads("prod", "role", "null");
    put_pillar("blog.sls", "role: blog\nrelease: {check: {status: 201, url: 'http://{host}/'}, app: x}\n");
    assert_says(loaded("prod", NULL),
                "'check' is not the same: node web1 (target 'web*', pillar/top.sls:3:3) has "
                "it from pillar/web.sls:2:19, node blog1 (target 'blog*', "
                "pillar/top.sls:4:3) has it from pillar/blog.sls:2:11;");
    put_pillar("blog.sls", "release: {app: x}\n");
    assert_says(loaded("prod", NULL),
                "'check' is not the same: node web1 (target 'web*', pillar/top.sls:3:3) has "
                "it from pillar/web.sls:2:19, node blog1 (target 'blog*', "
                "pillar/top.sls:4:3) has none;");
    put_pillar("all.sls", "x: 1\n");
    put_pillar("web.sls", "release: {app: x, app_servers: [web1]}\n");
    put_pillar("blog.sls", "release: {app: x, app_servers: [blog1]}\n");
    assert_says(loaded("prod", NULL), "app_servers of node blog1 (target 'blog*', pillar/top.sls:4:3) lists "
                                      "'blog1' (pillar/blog.sls:1:33), that of node web1 (target 'web*', "
                                      "pillar/top.sls:3:3) does not; one environment has one list of nodes");
}

/* The compiled node's variable, by the rig's plan. */
static const char *var_of(const struct plan *plan, const char *id, const char *name)
{
    for (size_t i = 0; i < plan->n_nodes; i++)
        if (strcmp(plan->nodes[i].id, id) == 0)
            return op_pair_value(plan->nodes[i].vars, plan->nodes[i].n_vars, name);
    return NULL;
}

static void nodes_have_plain_values_of_their_own(void **state)
{
    (void)state;
    put_pillar("top.sls", "prod:\n  '*': [all]\n  'b': [b]\n  'c': [c]\n");
    put_pillar("all.sls", "zone: eu\nown: {a: 1, b: 2}\n"
                          "release: {app: x, repo: /r, dir: /srv/x, branch: main, plan: p, app_servers: {a: "
                          "10.0.0.1, b: {port: 80}, c: 10.0.0.3}}\n");
    put_pillar("b.sls", "own: {b: 3}\nrelease: {dir: /srv/b, app_servers: {b: {host: 10.9.9.9}}}\n");
    put_pillar("c.sls", "zone: us\nrelease: {user: carl}\n");
    put("plans/p.yml", "change: [{cmd.run: 'say {pillar:zone} {dir}'}]\n");
    auto_rig struct rig r = {.plan = NULL};
    if (!rig_compile(&r, &(struct compile_request){.look = true}))
        fail_msg("%s", said(&r.problems));
    assert_string_equal(pillar_differs(r.pillar), "own:b, zone");
    assert_int_equal(r.plan->n_nodes, 3);
    assert_string_equal(r.plan->dir, "/srv/x");
    assert_null(var_of(r.plan, "a", "dir"));
    assert_string_equal(var_of(r.plan, "b", "dir"), "/srv/b");
    assert_string_equal(var_of(r.plan, "b", "host"), "10.9.9.9");
    assert_string_equal(var_of(r.plan, "b", "port"), "80");
    assert_string_equal(var_of(r.plan, "c", "host"), "10.0.0.3");
    assert_string_equal(var_of(r.plan, "c", "user"), "carl");
    assert_string_equal(var_of(r.plan, "a", "pillar:zone"), "eu");
    assert_string_equal(var_of(r.plan, "c", "pillar:zone"), "us");
}

static void a_step_for_all_nodes_takes_no_value_of_one(void **state)
{
    (void)state;
    put_pillar("top.sls", "prod:\n  '*': [all]\n  'b': [b]\n  'db1': [db]\n");
    put_pillar("all.sls", "zone: eu\nrelease: {app: x, repo: /r, dir: /srv/x, branch: main, plan: p, "
                          "app_servers: [a, b], hooks: {before: [{cmd.run: 'say {pillar:zone}'}]}}\n");
    put_pillar("b.sls", "zone: us\n");
    put_pillar("db.sls", "zone: db\nsecret: db\n"); /* of no node of this environment */
    put("plans/p.yml", "change: [{cmd.run: true}]\n");
    auto_rig struct rig r = {.plan = NULL};
    assert_false(rig_compile(&r, &(struct compile_request){.look = true}));
    assert_says(said(&r.problems),
                "{pillar:zone}: this step runs once for all nodes, and not every node has the "
                "same at 'zone' in its pillar");
    assert_loads("prod", "secret", "null");
    put_pillar("b.sls", "zone: eu\n");
    assert_loads("prod", "zone", "\"eu\"");
    assert_string_equal(
        loaded_node("prod", "db1"),
        "{\"zone\": \"db\", \"release\": {\"app\": \"x\", \"repo\": \"/r\", \"dir\": "
        "\"/srv/x\", \"branch\": \"main\", \"plan\": \"p\", \"app_servers\": [\"a\", \"b\"], "
        "\"hooks\": {\"before\": [{\"cmd.run\": \"say {pillar:zone}\"}]}}, \"secret\": \"db\"}");
}

/* ---- whatever the tree, it is each node's own pillar or nothing */

static unsigned rnd(unsigned *seed, unsigned n)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % n;
}

static const char *one_of(unsigned *seed, const char *const *words, unsigned n)
{
    return words[rnd(seed, n)];
}

static void random_layer(unsigned *seed, const char *name)
{
    static const char *const apps[] = {"", "", "app: x, ", "app: x, ", "app: y, "};
    static const char *const dirs[] = {"", "", "dir: /one, ", "dir: /two, "};
    static const char *const checks[] = {"", "", "check: {a: 1, b: [2]}, ", "check: {a: 2}, "};
    static const char *const servers[] = {"", "app_servers: {a1: 10.0.0.1, a2: {port: 80}}, ",
                                          "app_servers: {b1: , a1: {dir: /own}}, ", "app_servers: [a1, a2], ",
                                          "app_servers: [{name: b1, host: h}, a2], "};
    char file[20], text[500];
    (void)snprintf(file, sizeof(file), "%s.sls", name);
    (void)snprintf(text, sizeof(text), "zone: %u\nrelease: {%s%s%s%s}\n", rnd(seed, 2), one_of(seed, apps, 5),
                   one_of(seed, dirs, 4), one_of(seed, checks, 4), one_of(seed, servers, 5));
    put_pillar(file, text);
}

static void random_tree(unsigned *seed)
{
    static const char *const targets[] = {"*", "a*", "b*", "?1", "a2", "zz*"};
    char top[1000] = "prod:\n";
    bool used[6] = {false};
    for (unsigned i = 0, n = 1 + rnd(seed, 4); i < n; i++) {
        unsigned t = rnd(seed, 6);
        char name[2] = {(char)('p' + i), '\0'};
        if (used[t])
            continue;
        used[t] = true;
        random_layer(seed, name);
        (void)snprintf(top + strlen(top), sizeof(top) - strlen(top), "  '%s': [%s]\n", targets[t], name);
    }
    put_pillar("top.sls", top);
}

static const char *json_at(const struct pillar *p, const char *path)
{
    static char text[2][4000];
    static unsigned turn;
    char *json = pillar_json(p, path);
    turn = !turn;
    (void)snprintf(text[turn], sizeof(text[turn]), "%s", json);
    free(json);
    return text[turn];
}

static bool lists(const struct value *servers, const char *id)
{
    struct server_entry e;
    for (size_t i = 0; i < servers_count(servers); i++)
        if (servers_at(servers, "name", i, &e) && strcmp(e.id, id) == 0)
            return true;
    return false;
}

/* What the release will do to this node is what the node's own pillar says. */
static void assert_its_own(const struct pillar *env, const struct server_entry *e)
{
    static const char *const shared[] = {"release:app", "release:check"};
    auto_problems struct problems problems = {.n = 0};
    struct pillar *own = NULL;
    const struct pillar_request req = {.root = dir, .env = "prod", .node = e->id};
    assert_true(pillar_load_as(&req, &own, &problems));
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(json_at(own, shared[i]), json_at(env, shared[i]));
    assert_true(lists(pillar_get(own, "release:app_servers"), e->id));
    const struct value *mine = map_get(e->value, "dir"), *block = pillar_get(env, "release:dir"),
                       *wanted = pillar_get(own, "release:dir"), *given = mine != NULL ? mine : block;
    if (wanted != NULL && strcmp(given->text, "/own") != 0)
        assert_string_equal(given->text, wanted->text);
    if (pillar_get(env, "zone") != NULL)
        assert_string_equal(json_at(own, "zone"), json_at(env, "zone"));
    pillar_free(own);
}

static void random_trees_mean_what_each_node_has_or_are_refused(void **state)
{
    (void)state;
    unsigned n_taken = 0, n_refused = 0, n_nodes = 0;
    for (unsigned i = 1; i <= 1500; i++) {
        auto_problems struct problems problems = {.n = 0};
        struct pillar *p = NULL;
        unsigned seed = i * 7919u;
        random_tree(&seed);
        bool ok = pillar_load(dir, "prod", NULL, 0, &p, &problems);
        assert_int_equal(ok, problems.n == 0);
        const struct value *servers = ok ? pillar_get(p, "release:app_servers") : NULL;
        struct server_entry e;
        n_taken += servers_count(servers) > 0;
        n_refused += !ok;
        for (size_t k = 0; k < servers_count(servers); k++) {
            assert_true(servers_at(servers, "name", k, &e));
            assert_its_own(p, &e);
            n_nodes++;
        }
        pillar_free(p);
    }
    print_message("%u taken with %u nodes, %u refused\n", n_taken, n_nodes, n_refused);
    assert_true(n_taken > 200 && n_refused > 200);
}

/* ---- app_servers in every shape */

#define SITE                                                                                                 \
    "site:\n"                                                                                                \
    "  webs:\n"                                                                                              \
    "    web1: {net: {ip: 10.0.0.1}, http: 8001, bk: w-one, uid: web1}\n"                                    \
    "    web2: {net: {ip: 10.0.0.2}, http: 8002, bk: w-two, uid: web2, tags: [a]}\n"                         \
    "  list:\n"                                                                                              \
    "    - {id: web1, addr: 10.0.0.1}\n"                                                                     \
    "    - {id: web2, addr: 10.0.0.2, port: 81}\n"                                                           \
    "  bad:\n"                                                                                               \
    "    web1: {ip: 10.0.0.1, port: 80}\n"                                                                   \
    "    web2: {ips: [10.0.0.2], port: [80]}\n"                                                              \
    "    web3: {host: [10.0.0.3]}\n"                                                                         \
    "    web4: 10.0.0.4\n"

/* What compiling with this app_servers says; "" = nothing. */
static const char *servers_said(struct rig *r, const char *servers)
{
    char text[2000];
    (void)snprintf(text, sizeof(text),
                   SITE
                   "release:\n  {app: x, repo: /r, dir: /srv/x, branch: main, plan: p,\n  app_servers: %s}\n",
                   servers);
    put_pillar("prod.sls", text);
    put("plans/p.yml", "change: [{cmd.run: true}]\n");
    (void)rig_compile(r, &(struct compile_request){.look = true});
    return said(&r->problems);
}

static void mapped_servers_have_what_was_mapped(void **state)
{
    (void)state;
    static const char mapping[] =
        "{pillar: 'site:webs', host: 'net:ip', port: http, lb_server: bk, identity: uid}";
    auto_rig struct rig r = {.plan = NULL};
    assert_string_equal(servers_said(&r, mapping), "");
    assert_int_equal(r.plan->n_nodes, 2);
    assert_string_equal(r.plan->nodes[1].target.host, "10.0.0.2");
    assert_string_equal(r.plan->nodes[1].target.identity, "web2");
    assert_string_equal(var_of(r.plan, "web2", "port"), "8002");
    assert_string_equal(var_of(r.plan, "web2", "lb_server"), "w-two");
    auto_rig struct rig list = {.plan = NULL};
    assert_string_equal(servers_said(&list, "{pillar: 'site:list', name: id, host: addr, port: 8080}"), "");
    assert_string_equal(list.plan->nodes[0].id, "web1");
    assert_string_equal(list.plan->nodes[1].target.host, "10.0.0.2");
    assert_string_equal(var_of(list.plan, "web2", "port"), "8080");
    auto_rig struct rig own = {.plan = NULL};
    assert_string_equal(
        servers_said(&own, "[{name: a, host: 10.0.0.1, port: 80, zone: z}, {name: b}, c, {d: 10.0.0.4}]"),
        "");
    assert_int_equal(own.plan->n_nodes, 4);
    assert_string_equal(own.plan->nodes[0].target.host, "10.0.0.1");
    assert_string_equal(var_of(own.plan, "a", "zone"), "z");
    assert_null(var_of(own.plan, "a", "name")); /* it is the id */
    assert_string_equal(own.plan->nodes[1].target.host, "b");
    assert_string_equal(own.plan->nodes[3].target.host, "10.0.0.4");
}

static void mapped_servers_that_lack_a_key_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *servers, *want;
    } rows[] = {
        {"{pillar: 'site:bad', host: ip}", "pillar/prod.sls:10:5: app_servers: web2: has no 'ip', which "
                                           "'host: ip' (pillar/prod.sls:15:43) wants of "
                                           "every node\n"},
        {"{pillar: 'site:bad', host: ip}", "app_servers: web4: has no 'ip'"}, /* an address is no map */
        {"{pillar: 'site:bad', host: ips}", "pillar/prod.sls:10:17: app_servers: web2: ips is a list; 'host: "
                                            "ips' (pillar/prod.sls:15:43) wants one "
                                            "value of every node\n"},
        {"{pillar: 'site:bad'}",
         "pillar/prod.sls:11:18: app_servers: web3: 'host' is a list; app_servers can name "
         "another key: {pillar: site:bad, host: KEY}\n"},
        {"{pillar: 'site:bad'}", "pillar/prod.sls:10:35: app_servers: web2: 'port' is a list;"},
        {"{pillar: 'site:bad', lb_server: bk}", "app_servers: web1: has no 'bk', which 'lb_server: bk'"},
        {"{pillar: 'site:webs', hots: ip}",
         "pillar/prod.sls:15:38: app_servers: unknown key 'hots' (did you mean 'host'?)\n"},
        {"{pillar: 'site:webs', port: 80:80}",
         "app_servers: port: '80:80' is not a number from 1 to 65535\n"},
        {"{pillar: 'site:webs', port: 99999}",
         "app_servers: port: '99999' is not a number from 1 to 65535\n"},
        {"{pillar: 'site:wbs'}", "app_servers: the pillar has nothing at 'site:wbs'\n"},
        {"{pillar: 'site:list'}", "pillar/prod.sls:6:7: app_servers: a list holds node ids, {id: {host: "
                                  "...}} or {name: id, host: ...}, "
                                  "found a map\n"},
        {"{a: {host: [x]}}", "app_servers: a: 'host' is a list; a node has plain values and ssh:"},
        {"[{name: a, host: [x]}]", "app_servers: a: 'host' is a list; a node has plain values and ssh:"},
        {"[{name: a}, {name: a}]", "app_servers: node 'a' is listed twice"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        assert_says(servers_said(&r, rows[i].servers), rows[i].want);
        assert_null(r.plan);
    }
}

/* Per-node layers and an order of the list that is the first node's. */
static void servers_elsewhere_come_from_each_nodes_own_pillar(void **state)
{
    (void)state;
    put_pillar("top.sls", "prod:\n  '*': [all]\n  'web2': [two]\n");
    put_pillar("all.sls", SITE "release: {app: x, repo: /r, dir: /srv/x, branch: main, plan: p, app_servers: "
                               "{pillar: 'site:webs', host: 'net:ip', port: http}}\n");
    put_pillar("two.sls", "site: {webs: {web2: {net: {ip: 10.2.2.2}}, web1: {http: 1}}}\n");
    put("plans/p.yml", "change: [{cmd.run: true}]\n");
    auto_rig struct rig r = {.plan = NULL};
    if (!rig_compile(&r, &(struct compile_request){.look = true}))
        fail_msg("%s", said(&r.problems));
    assert_string_equal(r.plan->nodes[0].id, "web1");
    assert_string_equal(var_of(r.plan, "web1", "port"), "8001"); /* what web2 says of web1 does not count */
    assert_string_equal(r.plan->nodes[1].target.host, "10.2.2.2");
    assert_string_equal(var_of(r.plan, "web2", "port"), "8002");
    put("release.yml", "environments: {prod: {nodes: web2}}\n");
    auto_rig struct rig one = {.plan = NULL};
    assert_true(rig_compile(&one, &(struct compile_request){.look = true}));
    assert_int_equal(one.plan->n_nodes, 1);
    assert_string_equal(one.plan->nodes[0].id, "web2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(release_yml_is_read_with_its_places, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_of_release_yml_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(staging_never_means_production, setup, teardown),
        cmocka_unit_test_setup_teardown(no_name_is_guessed, setup, teardown),
        cmocka_unit_test_setup_teardown(two_places_for_one_name_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(an_entry_says_where_its_pillar_is, setup, teardown),
        cmocka_unit_test_setup_teardown(roots_are_searched_as_salt_searches_them, setup, teardown),
        cmocka_unit_test_setup_teardown(a_target_that_is_not_its_node_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_of_two_targets_are_one_or_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(nodes_have_plain_values_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(a_step_for_all_nodes_takes_no_value_of_one, setup, teardown),
        cmocka_unit_test_setup_teardown(random_trees_mean_what_each_node_has_or_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(mapped_servers_have_what_was_mapped, setup, teardown),
        cmocka_unit_test_setup_teardown(mapped_servers_that_lack_a_key_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(servers_elsewhere_come_from_each_nodes_own_pillar, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
