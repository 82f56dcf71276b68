/* SPDX-License-Identifier: MIT */
/* Pillar + plan file -> plan: what comes out, and every mistake with its place. */
#include "plans_rig.h"

#define FULL "#!yaml\n" FULL_BLOCK
#define FULL_BLOCK                                                                                           \
    "release:\n"                                                                                             \
    "  app: plone\n"                                                                                         \
    "  repo: https://git.example.org/site.git\n"                                                             \
    "  branch: main\n"                                                                                       \
    "  dir: /srv/plone\n"                                                                                    \
    "  user: webuser\n"                                                                                      \
    "  app_servers:\n"                                                                                       \
    "    app1: {host: 10.0.0.1, port: 8080, lb_server: srv1, zone: a}\n"                                     \
    "    app2: {host: 10.0.0.2, port: 8081, zone: b}\n"                                                      \
    "    app3: {host: 10.0.0.3, port: 8082, zone: c, ssh: {user: other, port: 2222}}\n"                      \
    "    app4: {host: 10.0.0.4, port: 8083, zone: d}\n"                                                      \
    "  ssh: {user: deploy, port: 22, key: /k, known_hosts: /kh}\n"                                           \
    "  balancer:\n"                                                                                          \
    "    haproxy: {sockets: ['tcp://lb1:9999'], backend: django, drain_timeout: 90s, on_timeout: proceed}\n" \
    "  supervisor: {programs: [zope], conf: /etc/supervisord.conf}\n"                                        \
    "  shared: [var, .env]\n"

#define REST                                                                                                 \
    "  build:\n"                                                                                             \
    "    - cmd.run: {cmd: 'env/bin/buildout -N', timeout: 30m, retries: 2}\n"                                \
    "    - cmd.run: {cmd: 'gulp {{x}} ${HOME:-y} {zone}', cwd: theme, when_changed: [theme]}\n"              \
    "    - cmd.run: {cmd: bin/upgrade, once: first, undo: 'bin/downgrade {rev}'}\n"                          \
    "    - cmd.run: {cmd: bin/backup, once: before}\n"                                                       \
    "    - cmd.run: {cmd: bin/report, once: after}\n"                                                        \
    "  check: {url: 'http://{host}:{port}/health', status: 200, stable: 3, within: 120s, warm: [/, "         \
    "/news]}\n"                                                                                              \
    "  stages: [1, 25%, 100%]\n"                                                                             \
    "  soak: 30s\n"                                                                                          \
    "  window: 25%\n"                                                                                        \
    "  min_up: 50%\n"                                                                                        \
    "  hooks: {before: [{cmd.run: {cmd: 'say {app}'}}], on_failure: [{cmd.run: 'say bad'}]}\n"               \
    "  notify: [{webhook: 'https://chat.example.org/hooks/SECRET', events: [started, failed]}]\n"

static const struct compile_request plain = {.rev_typed = "f5d9859"};

static void compile(struct rig *r, const char *pillar, const struct compile_request *req)
{
    put_pillar("prod.sls", pillar);
    if (!rig_compile(r, req))
        fail_msg("%s", said(&r->problems));
}

static void a_whole_release_block_becomes_a_plan(void **state)
{
    (void)state;
    static const char *const want[] = {
        "hook-before cmd.local",    "prepare git.fetch",         "prepare release.unpack",
        "prepare cmd.run",          "prepare cmd.run",           "prepare release.seal",
        "before cmd.run",           "drain haproxy.drain",       "drain haproxy.wait_idle",
        "change supervisord.stop",  "change release.switch",     "change cmd.run",
        "change supervisord.start", "check supervisord.running", "check http.check",
        "enable haproxy.enable",    "enable haproxy.wait_up",    "after cmd.run",
        "verify release.running",   "finish release.clean",      "hook-failure cmd.local",
    };
    auto_rig struct rig r = {.plan = NULL};
    compile(&r, FULL REST, &plain);
    const struct plan *p = r.plan;
    assert_int_equal(p->n_steps, sizeof(want) / sizeof(want[0]));
    for (size_t i = 0; i < p->n_steps; i++) {
        char line[100];
        (void)snprintf(line, sizeof(line), "%s %s", phase_name(p->steps[i].phase), p->steps[i].verb);
        assert_string_equal(line, want[i]);
    }
    assert_int_equal(p->n_nodes, 4);
    assert_int_equal(p->n_stages, 2);
    assert_int_equal(p->stage_end[0], 1);
    assert_int_equal(p->stage_end[1], 4);
    assert_int_equal(p->window, 1);
    assert_int_equal(p->min_up, 2);
    assert_int_equal(p->soak_ms, 30000);
    assert_true(p->capacity && p->rollback_on_failure && p->needs_rev);
    assert_string_equal(p->rev_typed, "f5d9859");
    assert_string_equal(p->rev, "");
    assert_string_equal(p->capacity_step.verb, "haproxy.capacity");
    assert_string_equal(rig_arg(&p->capacity_step, "servers"), "[\"srv1\",\"app2\",\"app3\",\"app4\"]");
    assert_string_equal(p->guard_step.verb, "haproxy.guard");
    assert_string_equal(rig_arg(&p->resolve_step, "rev"), "f5d9859");
}

static void steps_take_what_the_blocks_say(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    compile(&r, FULL REST, &plain);
    const struct plan_step *s = rig_step(r.plan, "haproxy.drain");
    assert_string_equal(rig_arg(s, "sockets"), "[\"tcp://lb1:9999\"]");
    assert_string_equal(rig_arg(s, "server"), "{lb_server}");
    assert_int_equal(s->timeout_ms, 30000);
    s = rig_step(r.plan, "haproxy.wait_idle");
    assert_int_equal(s->timeout_ms, 90000);
    assert_int_equal(s->escalate_ms, 45000);
    assert_int_equal(s->on_timeout, ON_TIMEOUT_PROCEED);
    s = rig_step(r.plan, "supervisord.stop");
    assert_string_equal(rig_arg(s, "programs"), "[\"zope\"]");
    assert_string_equal(rig_arg(s, "conf"), "/etc/supervisord.conf");
    assert_string_equal(rig_arg(s, "port"), "{port}");
    s = rig_step(r.plan, "http.check");
    assert_int_equal(s->timeout_ms, 120000);
    assert_int_equal(s->stable, 3);
    assert_string_equal(rig_arg(s, "warm"), "[\"/\",\"/news\"]");
    s = rig_step(r.plan, "cmd.run");
    assert_int_equal(s->timeout_ms, 1800000);
    assert_int_equal(s->retries, 2);
    assert_string_equal(s->label, "cmd.run env/bin/buildout -N");
    assert_non_null(strstr(s->where, "pillar/prod.sls:19:7"));
    assert_string_equal(rig_arg(rig_step(r.plan, "release.clean"), "keep"), "5");
    assert_string_equal(rig_arg(rig_step(r.plan, "release.unpack"), "shared"), "[\"var\",\".env\"]");
}

static void arguments_expand_for_each_node(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    compile(&r, FULL REST, &plain);
    struct plan *p = r.plan;
    size_t n;
    p->rev = "f5d985900000000000000000000000000000beef";
    p->nodes[1].rev_before = "1111111111111111111111111111111111111111";
    const struct plan_step *gulp = &p->steps[4], *upgrade = &p->steps[11];
    const struct op_pair *args = plan_args(p, gulp, &p->nodes[1], false, &r.arena, &n);
    assert_string_equal(op_pair_value(args, n, "cmd"), "gulp {x} ${HOME:-y} b");
    assert_string_equal(upgrade->undo_cmd, "bin/downgrade {rev}");
    assert_int_equal(upgrade->once, ONCE_FIRST);
    const struct op_pair *vars = plan_vars(p, &p->nodes[1], false, &r.arena, &n);
    assert_string_equal(op_pair_value(vars, n, "rev"), p->rev);
    assert_string_equal(op_pair_value(vars, n, "rev_short"), "f5d98590");
    assert_string_equal(op_pair_value(vars, n, "host"), "10.0.0.2");
    assert_string_equal(op_pair_value(vars, n, "user"), "webuser");
    assert_memory_equal(op_pair_value(vars, n, "release_dir"), "/srv/plone/releases/f5d985900000-", 33);
    vars = plan_vars(p, &p->nodes[1], true, &r.arena, &n);
    assert_string_equal(op_pair_value(vars, n, "rev"), "1111111111111111111111111111111111111111");
    assert_memory_equal(op_pair_value(vars, n, "release_dir"), "/srv/plone/releases/111111111111-", 33);
    const struct op_pair before = {.name = "release.before", .value = "/srv/plone/releases/old"};
    p->nodes[1].facts = &before;
    p->nodes[1].n_facts = 1;
    vars = plan_vars(p, &p->nodes[1], true, &r.arena, &n);
    assert_string_equal(op_pair_value(vars, n, "release_dir"), "/srv/plone/releases/old");
    vars = plan_vars(p, NULL, false, &r.arena, &n);
    assert_string_equal(op_pair_value(vars, n, "app"), "plone");
    assert_null(op_pair_value(vars, n, "host"));
}

static void nodes_keep_their_own_ways(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    compile(&r, FULL REST, &plain);
    const struct target *a = &r.plan->nodes[0].target, *c = &r.plan->nodes[2].target;
    assert_string_equal(a->ssh.user, "deploy");
    assert_int_equal(a->ssh.port, 22);
    assert_string_equal(c->ssh.user, "other");
    assert_int_equal(c->ssh.port, 2222);
    assert_string_equal(c->ssh.key, "/k");
    /* one directory is one place for the runner's lock, whoever works in it */
    assert_true(str_starts(c->state_dir, ".release/at/plone-"));
    assert_string_equal(c->state_dir, a->state_dir);
    assert_string_equal(a->transport, "ssh");
}

static void only_and_exclude_choose(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    const struct compile_request req = {
        .only = "app4,app1,app2", .exclude = "app2", .stages = "1,2", .window = "100%"};
    compile(&r, FULL REST, &req);
    assert_int_equal(r.plan->n_nodes, 2);
    assert_string_equal(r.plan->nodes[0].id, "app1");
    assert_string_equal(r.plan->nodes[1].id, "app4");
    assert_int_equal(r.plan->window, 2);
    assert_int_equal(r.plan->min_up, 2); /* of all four: the others stay in rotation */
    assert_string_equal(r.plan->rev_typed, "main");
    assert_string_equal(rig_arg(&r.plan->capacity_step, "servers"), "[\"srv1\",\"app2\",\"app3\",\"app4\"]");
}

static void secrets_never_reach_the_plan(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    compile(&r, FULL REST, &plain);
    char *json = plan_encode(r.plan), *text = plan_text(r.plan);
    assert_null(strstr(json, "SECRET"));
    assert_null(strstr(text, "SECRET"));
    assert_int_equal(r.plan->n_events, 2);
    assert_string_equal(r.plan->events[1].name, "failed");
    assert_string_equal(r.plan->events[1].value, "{\"url\":\"pillar:release:notify:0:webhook\"}");
    struct secrets *s;
    struct err err;
    assert_true(secrets_load(r.plan, r.pillar, &s, &err));
    assert_string_equal(secrets_get(s, "pillar:release:notify:0:webhook"),
                        "https://chat.example.org/hooks/SECRET");
    assert_string_equal(secrets_values(s)[0], "https://chat.example.org/hooks/SECRET");
    assert_null(secrets_values(s)[1]);
    secrets_free(s);
    free(json);
    free(text);
}

static void secret_files_must_be_private(void **state)
{
    (void)state;
    char path[200], reference[210];
    struct secrets *s;
    struct err err;
    put("pw", "hunter2\n");
    (void)snprintf(path, sizeof(path), "%s/pw", dir);
    (void)snprintf(reference, sizeof(reference), "file:%s", path);
    const struct op_pair secret = {.name = reference, .value = ""};
    const struct plan plan = {.secrets = &secret, .n_secrets = 1};
    assert_false(secrets_load(&plan, NULL, &s, &err));
    assert_non_null(strstr(err.text, "mode 0644 lets others read it"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_true(secrets_load(&plan, NULL, &s, &err));
    assert_string_equal(secrets_get(s, reference), "hunter2");
    assert_null(secrets_get(s, "file:/other"));
    secrets_free(s);
    /* Half of a file is none: it may be a configuration that is put in place for good (shared: from). */
    char *long_text = xcalloc(1, 65537 + 1);
    memset(long_text, 'x', 65537);
    put("pw", long_text);
    assert_int_equal(chmod(path, 0600), 0);
    assert_false(secrets_load(&plan, NULL, &s, &err));
    assert_non_null(strstr(err.text, "more than 64 KiB"));
    long_text[65536] = '\0';
    put("pw", long_text);
    assert_int_equal(chmod(path, 0600), 0);
    assert_true(secrets_load(&plan, NULL, &s, &err));
    assert_int_equal(strlen(secrets_get(s, reference)), 65536);
    secrets_free(s);
    free(long_text);
    const struct op_pair missing = {.name = "env:RELEASE_NO_SUCH_VARIABLE", .value = ""};
    const struct plan other = {.secrets = &missing, .n_secrets = 1};
    assert_false(secrets_load(&other, NULL, &s, &err));
    assert_non_null(strstr(err.text, "the environment has no such variable"));
}

#define HEAD  "release:\n  app: a\n  repo: r\n  dir: /d\n  branch: main\n"
#define NODES "  app_servers: {n1: {host: h1, port: 1}, n2: {host: h2, port: 2}}\n"
#define TAIL  "  supervisor: zope\n"

/* Where the first content is stands in the plan; what it is does not. */
static void what_shared_paths_are_reaches_the_node(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    compile(&r,
            HEAD NODES TAIL
            "  shared: [{path: conf/key, file: yes, mode: \"0640\", owner: 'app:www-data', from: "
            "\"file:/etc/release/key\"}, {path: blobs, mount: yes, mode: '2770'}]\n",
            &plain);
    const struct plan_step *s = rig_step(r.plan, "release.unpack");
    assert_string_equal(rig_arg(s, "shared"),
                        "[\"/fc,mode=640,owner=app:www-data/conf/key\",\"/drm,mode=2770/blobs\"]");
    assert_string_equal(rig_arg(s, "content"), "{\"conf/key\":\"file:/etc/release/key\"}");
    assert_int_equal(r.plan->n_secrets, 1);
    assert_string_equal(r.plan->secrets[0].name, "file:/etc/release/key");
}

static void every_mistake_is_reported_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *pillar, *want;
    } rows[] = {
        {"a: 1\n", "pillar/prod.sls:1:1: no 'release:' block in this environment's pillar"},
        {"release: 3\n", "pillar/prod.sls:1:10: release: wanted a map of keys, found text\n"},
        {HEAD NODES TAIL
         "  stagse: [1]\n  soak: 30\n  window: x\n  min_up: 300%\n  keep: 0\n  on_failure: panic\n",
         "pillar/prod.sls:8:3: release: unknown key 'stagse' (did you mean 'stages'?)\n"
         "pillar/prod.sls:9:9: release: soak: '30' needs a unit: 30s, 30ms, 30m?\n"
         "pillar/prod.sls:10:11: release: window: 'x' is not a number of nodes or a percentage (wanted: 2 or "
         "25%)\n"
         "pillar/prod.sls:11:11: release: min_up: '300%' is not a number of nodes or a percentage (wanted: 2 "
         "or 25%)\n"
         "pillar/prod.sls:12:9: release: keep: '0' is not a number from 1 to 1000\n"
         "pillar/prod.sls:13:15: release: on_failure: 'panic' is not rollback or stop\n"},
        {HEAD NODES TAIL "  build:\n    - cmd.run: {cmd: make, cwd: 'env:PLACE'}\n",
         "pillar/prod.sls:9:33: cmd.run: cwd: 'env:PLACE' is not read here as a secret, but taken as it is "
         "written; this verb takes one by its environment: `env: {NAME: \"env:NAME\"}`\n"},
        {HEAD NODES TAIL "  build:\n    - cmd.run: {cmd: make, when_changed: [a, 'env:ONE']}\n",
         "pillar/prod.sls:9:46: cmd.run: when_changed: 'env:ONE' is not read here as a secret, but taken as it is "
         "written; this verb takes one by its environment: `env: {NAME: \"env:NAME\"}`\n"},
        {HEAD TAIL "  app_servers: {}\n", "pillar/prod.sls:7:16: app_servers: the list of nodes is empty\n"},
        {HEAD TAIL, "pillar/prod.sls:2:3: release: no app_servers (wanted: "},
        {HEAD TAIL "  app_servers: [n1, n2, n1, '-x']\n",
         "pillar/prod.sls:7:25: app_servers: node 'n1' is listed twice (first at pillar/prod.sls:7:17)\n"
         "pillar/prod.sls:7:29: app_servers: '-x' is not a node id (wanted: letters, digits, '.', '_', '-', "
         "not first '-' "
         "or '.')\n"},
        {HEAD TAIL "  app_servers: {n1: {host: h, port: 1}, n2: {host: h, port: 1}}\n",
         "pillar/prod.sls:7:41: node 'n2' has the same host, port and dir as the one at "
         "pillar/prod.sls:7:17\n"},
        {HEAD TAIL "  app_servers: {n1: {host: 'a b', port: 99999, rev: x, shh: {user: u}}}\n",
         "pillar/prod.sls:7:48: app_servers: n1: 'rev' cannot be set: it means the release's own\n"
         "pillar/prod.sls:7:56: app_servers: n1: 'shh' is a map; a node has plain values and ssh: (did you "
         "mean 'ssh'?)\n"
         "pillar/prod.sls:7:28: app_servers: n1: 'a b' is not a host name or address\n"},
        {HEAD TAIL "  app_servers: {pillar: 'x:y'}\n",
         "pillar/prod.sls:7:25: app_servers: the pillar has nothing at 'x:y'\n"},
        {HEAD TAIL NODES "  ssh: {usr: x, port: 0}\n",
         "pillar/prod.sls:8:9: release: ssh: unknown key 'usr' (did you mean 'user'?)\n"
         "pillar/prod.sls:8:23: release: ssh: port: '0' is not a number from 1 to 65535\n"},
        {HEAD TAIL NODES "  balancer: {haprxy: {backend: b}}\n",
         "pillar/prod.sls:8:14: release: balancer: unknown kind 'haprxy' (did you mean 'haproxy'?) (known: "
         "haproxy)\n"},
        {HEAD TAIL NODES
         "  balancer: {haproxy: {sockets: [x], backnd: b, drain_timeout: 60, on_timeout: wait}}\n",
         "pillar/prod.sls:8:38: release: balancer: haproxy: unknown key 'backnd' (did you mean 'backend'?)\n"
         "pillar/prod.sls:8:23: release: balancer: haproxy: 'backend' is missing (its backend)\n"
         "pillar/prod.sls:8:64: release: balancer: haproxy: drain_timeout: '60' needs a unit: 60s, 60ms, "
         "60m?\n"
         "pillar/prod.sls:8:80: release: balancer: haproxy: on_timeout: 'wait' is not restore, proceed or "
         "kill\n"},
        {HEAD TAIL NODES "  balancer: {haproxy: {sockets: [x], backend: b, on_timeout: kill}}\n",
         "pillar/prod.sls:8:62: release: balancer: haproxy: on_timeout: kill: haproxy has no way to end "
         "sessions; say restore or proceed\n"},
        {HEAD NODES "  build:\n    - cmd.rnu: {cmd: x}\n    - cmd.run: {cdm: x}\n    - cmd.run: {cmd: [x], "
                    "quiet: maybe, max: big, "
                    "n: 1.5, how: odd, pause: 5}\n    - cmd.run:\n      cmd: x\n" TAIL,
         "pillar/prod.sls:8:7: unknown verb 'cmd.rnu' (did you mean 'cmd.run'?)\n"
         "pillar/prod.sls:9:17: cmd.run: unknown parameter 'cdm' (did you mean 'cmd'?)\n"
         "pillar/prod.sls:9:7: cmd.run: 'cmd' is missing (shell text)\n"
         "pillar/prod.sls:10:22: cmd.run: cmd: wanted text, found a list\n"
         "pillar/prod.sls:10:34: cmd.run: quiet: 'maybe' is not yes or no\n"
         "pillar/prod.sls:10:46: cmd.run: max: 'big' is not a size (64K, 10M)\n"
         "pillar/prod.sls:10:54: cmd.run: n: '1.5' is not a number\n"
         "pillar/prod.sls:10:64: cmd.run: how: 'odd' is not soft or hard\n"
         "pillar/prod.sls:10:76: cmd.run: pause: '5' is not a duration (30s, 5m)\n"
         "pillar/prod.sls:12:7: 'cmd' stands beside 'cmd.run': a step is one verb, and its arguments are "
         "indented under it\n"},
        {HEAD NODES TAIL "  build: [{cmd.run: {cmd: 'echo {rve} {pillar:a:b} {node} {zone}'}}]\n",
         "pillar/prod.sls:8:27: unknown name {rve} (did you mean 'rev'?) (a brace that is meant as it stands "
         "is written {{rve}})\n"
         "pillar/prod.sls:8:27: {pillar:a:b}: the pillar has nothing at 'a:b'\n"
         "pillar/prod.sls:8:27: unknown name {zone} (did you mean 'node'?) (a brace that is meant as it "
         "stands is written "
         "{{zone}})\n"},
        {HEAD TAIL
         "  app_servers: {n1: {port: 1, zone: a}, n2: {}}\n  build: [{cmd.run: {cmd: 'x {zone} {port}'}}]\n",
         "pillar/prod.sls:8:27: {zone}: node 'n2' (pillar/prod.sls:7:41) has no 'zone'\n"
         "pillar/prod.sls:8:27: {port}: node 'n2' (pillar/prod.sls:7:41) has no 'port'\n"},
        {HEAD NODES TAIL "  hooks: {before: [{cmd.run: 'x {host}'}], befor: []}\n",
         "pillar/prod.sls:8:44: release: hooks: unknown key 'befor' (did you mean 'before'?)\n"
         "pillar/prod.sls:8:30: {host}: this step runs once for all nodes, so there is no host\n"},
        {HEAD NODES "  supervisor: {programs: [z], password: geheim}\n",
         "pillar/prod.sls:7:41: release: supervisor: password: 'geheim' is not a reference to a secret "
         "(file:PATH, env:NAME or cmd:COMMAND; "
         "secrets do not belong into the pillar)\n"},
        {HEAD NODES TAIL "  git: {path: apps/}\n",
         "pillar/prod.sls:8:15: release: git: path: 'apps/' has an empty part, or a slash at its end; wanted a "
         "directory of the repository, as in apps/site\n"},
        {HEAD NODES TAIL "  git: {path: 'a/*'}\n",
         "pillar/prod.sls:8:15: release: git: path: 'a/*' has a sign that is a pattern's, a template's or not "
         "visible; wanted a directory of the repository, as in apps/site\n"},
        {HEAD NODES TAIL "  plan: in-place\n  git: {path: apps/site}\n",
         "pillar/prod.sls:9:15: release: git: path: plan in-place checks out the whole repository "
         "(git.checkout at (built-in) in-place.yml:5:21); `plan: rolling` puts apps/site alone into a release "
         "directory, or leave 'path' out\n"},
        {HEAD NODES TAIL "  shared: [a, {path: b/, file: yes}, {pth: c}, {path: d, mount: maybe}, [e]]\n",
         "pillar/prod.sls:8:15: shared: b/: a file has no slash at its end\n"
         "pillar/prod.sls:8:39: shared: unknown key 'pth' (did you mean 'path'?)\n"
         "pillar/prod.sls:8:65: shared: mount: 'maybe' is not yes or no\n"
         "pillar/prod.sls:8:73: shared: wanted a path or {path: ..}, found a list\n"},
        {HEAD NODES TAIL
         "  shared: [/data/x, {path: k, mode: 0640}, {path: l, owner: 'a b'}, {path: m, owner: '33:33'}]\n",
         "pillar/prod.sls:8:12: shared: '/data/x': wanted a path in dir/shared, without the slash at its beginning\n"
         "pillar/prod.sls:8:37: shared: mode: 0640 is no mode; wanted octal digits in quotes, as in \"0640\"\n"
         "pillar/prod.sls:8:61: shared: owner: 'a b' is no owner; wanted USER or USER:GROUP, by their names\n"
         "pillar/prod.sls:8:86: shared: owner: '33:33' is no owner; wanted USER or USER:GROUP, by their names\n"},
        {HEAD NODES TAIL
         "  shared: [{path: k, file: yes, from: /etc/k}, {path: l, from: 'file:/l'}, {path: m, file: yes, required: yes, from: 'file:/m'}]\n",
         "pillar/prod.sls:8:39: shared: from: '/etc/k' says no place; wanted file:PATH, cmd:COMMAND or env:NAME on the machine that releases\n"
         "pillar/prod.sls:8:64: shared: from: brings a file; say `file: yes` as well\n"
         "pillar/prod.sls:8:118: shared: from: brings what is missing, and `required: yes` refuses it: leave one out\n"},
        {HEAD NODES TAIL "  notify: [{webhook: 'ftp://x', events: [begun]}, {events: [failed]}]\n",
         "pillar/prod.sls:8:22: release: notify: webhook: not an address (wanted: https://..., file:PATH or "
         "env:NAME)\n"
         "pillar/prod.sls:8:42: release: notify: unknown event 'begun' (known: started, finished, failed, "
         "stopped, "
         "rollback, lock)\n"
         "pillar/prod.sls:8:51: release: notify: wanted {webhook: https://..., events: [...]}, found a "
         "map\n"},
        {HEAD NODES, "pillar/prod.sls:2:3: release: neither supervisor: nor service:, so app.stop "
                     "((built-in) rolling.yml:5:11) "
                     "has no application to act on\n"},
        /* One mistake, one message: whatever else needs what is wrong or missing. */
        {"release:\n  app: z\n  repo: /r\n  dir: /d\n  branch: m\n  app_servers: {n1: {host: 'a b', port: "
         "80}}\n" TAIL
         "  check: {url: 'http://{host}:{port}/{node}'}\n  build: [{cmd.run: 'x {node} {zone}'}]\n",
         "pillar/prod.sls:6:28: app_servers: n1: 'a b' is not a host name or address\n"},
        {"release:\n  app: z\n  repo: /r\n  dir: /d\n  branch: m\n" TAIL
         "  check: {url: 'http://{host}:{port}/{node}'}\n  build: [{cmd.run: 'x {node} {zone}'}]\n",
         "pillar/prod.sls:2:3: release: no app_servers (wanted: {app1: {host: 10.10.10.11, port: 8080}, "
         "...}, or "
         "{pillar: \"a:b\"})\n"},
        {"release:\n  app: z\n  repo: /r\n  branch: m\n" NODES TAIL "  build: [{cmd.run: 'x {dir} {dir}'}]\n",
         "pillar/prod.sls:2:3: release: no dir (wanted: dir: /srv/plone)\n"},
        {HEAD "  app_servers: {n1: {port: '80:30'}}\n" TAIL "  check: {url: 'http://{host}:{port}/'}\n",
         "pillar/prod.sls:6:28: app_servers: n1: port: '80:30' is not a number from 1 to 65535\n"},
        {HEAD "  ssh: {port: 80:30}\n" NODES TAIL,
         "pillar/prod.sls:6:15: release: ssh: port: '80:30' is not a number from 1 to 65535\n"},
        {HEAD NODES TAIL "  min_up: 100%\n", "pillar/prod.sls:8:11: min_up: 100% of 2 nodes is 2: not even "
                                             "one node could leave rotation (wanted: at most 1)\n"},
        {HEAD NODES TAIL "  window: 0\n  stages: [50%, 10%, 0]\n",
         "pillar/prod.sls:9:17: stages: '10%' comes after '50%', and stages only grow\n"
         "pillar/prod.sls:9:22: stages: a stage of 0 nodes\n"
         "pillar/prod.sls:8:11: window: no node may be out, so nothing can be released (wanted: 1 or "
         "more)\n"},
        {HEAD NODES TAIL "  plan: roling\n", "pillar/prod.sls:8:9: unknown plan 'roling' (did you mean "
                                             "'rolling'?): there is no plans/roling.yml, and built in are"},
        {"release:\n  app_servers: [n1, n2]\n  supervisor: z\n",
         "pillar/prod.sls:2:3: release: no app (wanted: app: plone)\n"
         "pillar/prod.sls:2:3: release: no repo (wanted: repo: https://git.example.org/site.git)\n"
         "pillar/prod.sls:2:3: release: no dir (wanted: dir: /srv/plone)\n"
         "pillar/prod.sls:2:3: no revision: give --rev REV, or branch: in the pillar\n"},
        {HEAD NODES TAIL "  build: [{cmd.run: {cmd: x, undo: y}}, {cmd.run: {cmd: x, once: sometimes}}]\n",
         "pillar/prod.sls:8:30: cmd.run: undo: only a cmd.* step that runs once names its own way back"},
        {HEAD NODES TAIL "  build: [{cmd.run: {cmd: x, once: first, way: back}}]\n",
         "pillar/prod.sls:8:43: cmd.run: way: a step that runs once runs on the way forward"},
        {HEAD NODES TAIL "  build: [{cmd.run: {cmd: x, once: first, if_fails: warn}}]\n",
         "pillar/prod.sls:8:43: cmd.run: if_fails: a step that runs once runs on the way forward"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        put_pillar("prod.sls", rows[i].pillar);
        if (rig_compile(&r, &(struct compile_request){.rev_typed = NULL}))
            fail_msg("%s: nothing was said", rows[i].pillar);
        const char *got = said(&r.problems);
        if (strncmp(got, rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("%s\n--- got\n%s--- wanted\n%s", rows[i].pillar, got, rows[i].want);
    }
}

static void plan_files_are_checked_too(void **state)
{
    (void)state;
    static const struct {
        const char *plan, *want;
    } rows[] = {
        {"prepair: [git.fetch]\nchange: [app.stop, git.fetsh]\n",
         "plans/own.yml:1:1: plan own: unknown phase 'prepair' (did you mean 'prepare'?)\n"
         "plans/own.yml:2:20: unknown verb 'git.fetsh' (did you mean 'git.fetch'?)\n"},
        {"change: [build]\n",
         "pillar/prod.sls:9:11: 'once: first' has no place: plan own has no word 'once'"},
        {"revision: no\nchange: [{cmd.run: 'x {rev}'}]\n",
         "plans/own.yml:2:20: {rev}: this plan is not about a revision\n"},
        {"change: []\nrevision: no\n", "plans/own.yml:1:1: plan own has no steps\n"},
        {"layout: odd\nchange: [app.stop]\n",
         "plans/own.yml:1:9: plan own: layout: 'odd' is not releases or in-place\n"},
        {"change: {cmd.run: x}\ncheck: [[a]]\n",
         "plans/own.yml:2:9: a step is a verb or {verb: {arguments}}, found a list\n"},
    };
    put_pillar("prod.sls", HEAD NODES TAIL "  plan: own\n  build: [{cmd.run: {cmd: x, once: first}}]\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        put("plans/own.yml", rows[i].plan);
        assert_false(rig_compile(&r, &plain));
        if (strncmp(said(&r.problems), rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("%s\n--- got\n%s--- wanted\n%s", rows[i].plan, said(&r.problems), rows[i].want);
    }
}

/* Of the repository's directory only release.unpack knows. */
static void a_plan_that_would_take_all_of_the_repository_is_refused(void **state)
{
    (void)state;
    put_pillar("prod.sls", HEAD NODES TAIL "  plan: own\n  git: {path: apps/site}\n");
    put("plans/own.yml", "prepare: [git.fetch, {cmd.run: 'tar x'}]\nchange: [app.stop]\n");
    auto_rig struct rig r = {.plan = NULL};
    assert_false(rig_compile(&r, &plain));
    assert_non_null(strstr(said(&r.problems),
                           "pillar/prod.sls:9:15: release: git: path: plan own has no release.unpack, "
                           "so nothing would look at it; `plan: rolling` puts apps/site alone"));
}

static void bad_options_are_named(void **state)
{
    (void)state;
    static const struct {
        struct compile_request req;
        const char *want;
    } rows[] = {
        {{.only = "app9"},
         "--only: no node 'app9' in environment prod (did you mean 'app1'?)\n"
         "no node is left of the 4 of environment prod"},
        {{.exclude = "app1,app2,app3,app4"}, "no node is left of the 4 of environment prod"},
        {{.rev_typed = "--upload-pack=x"}, "--rev: '--upload-pack=x' is not a revision"},
        {{.window = "many"}, "--window: window: 'many' is not a number of nodes or a percentage"},
        {{.stages = "1,x"}, "--stage: stages: 'x' is not a number of nodes or a percentage"},
        {{.plan_name = "../x"}, "unknown plan '../x'"},
    };
    put_pillar("prod.sls", FULL REST);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        assert_false(rig_compile(&r, &rows[i].req));
        if (strncmp(said(&r.problems), rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("got %swanted %s", said(&r.problems), rows[i].want);
    }
}

static void app_servers_may_have_many_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *servers, *want; /* id=host:port of each node */
    } rows[] = {
        {"  app_servers: [a, b, c]\n", "a=a: b=b: c=c: "},
        {"  app_servers: {b: 10.0.0.2, a: {address: 10.0.0.1, port: 0800}, c: }\n",
         "b=10.0.0.2: a=10.0.0.1:800 c=c: "},
        {"  app_servers: [{a: {fqdn: a.x}}, b]\n", "a=a.x: b=b: "},
        {"  app_servers: {pillar: 'z:webheads'}\nz: {webheads: {p1: {public_ip: 1.1.1.1, private_ip: "
         "10.0.0.1, nginx_port: "
         "81, roles: [x]}}}\n",
         "p1=10.0.0.1: "},
        {"  app_servers: {pillar: 'z:webheads', host: public_ip, port: nginx_port}\nz: {webheads: {p1: "
         "{public_ip: 1.1.1.1, "
         "private_ip: 10.0.0.1, nginx_port: 81}}}\n",
         "p1=1.1.1.1:81 "},
        {"  app_servers: {pillar: 'upstream:app:nodes', port: '8080'}\nupstream: {app: {nodes: [10.0.0.1, "
         "10.0.0.2]}}\n",
         "10.0.0.1=10.0.0.1:8080 10.0.0.2=10.0.0.2:8080 "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        char pillar[2000], got[500] = "";
        (void)snprintf(pillar, sizeof(pillar), HEAD TAIL "%s", rows[i].servers);
        compile(&r, pillar, &plain);
        for (size_t k = 0; k < r.plan->n_nodes; k++) {
            const struct plan_node *n = &r.plan->nodes[k];
            const char *port = op_pair_value(n->vars, n->n_vars, "port");
            size_t len = strlen(got);
            (void)snprintf(got + len, sizeof(got) - len, "%s=%s:%s ", n->id, n->target.host,
                           port == NULL ? "" : port);
        }
        assert_string_equal(got, rows[i].want);
    }
}

static void stages_window_and_floor_round_with_care(void **state)
{
    (void)state;
    static const struct {
        int nodes;
        const char *keys, *want; /* stages | window | min_up | max_failed */
    } rows[] = {
        {10, "  stages: [1, 25%, 100%]\n  window: 25%\n  min_up: 75%\n  max_failed: 15%\n",
         "1 3 10 | 3 | 8 | 1"},
        {10, "", "1 10 | 1 | 5 | 0"},
        {3, "  stages: [5, 25%]\n  window: 50%\n  min_up: 1\n  max_failed: 2\n", "3 | 2 | 1 | 2"},
        {3, "  stages: 50%\n  window: 9\n  min_up: 0\n", "2 3 | 3 | 0 | 0"},
        {1, "  min_up: 0\n", "1 | 1 | 0 | 0"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        char pillar[2000], got[200] = "";
        size_t n = (size_t)snprintf(pillar, sizeof(pillar),
                                    HEAD TAIL "  balancer: {haproxy: {sockets: [s], backend: b}}\n%s"
                                              "  app_servers: [",
                                    rows[i].keys);
        for (int k = 0; k < rows[i].nodes; k++)
            n += (size_t)snprintf(pillar + n, sizeof(pillar) - n, "n%d, ", k);
        (void)snprintf(pillar + n, sizeof(pillar) - n, "]\n");
        compile(&r, pillar, &plain);
        for (size_t k = 0; k < r.plan->n_stages; k++)
            (void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%u ", r.plan->stage_end[k]);
        (void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "| %u | %u | %u", r.plan->window,
                       r.plan->min_up, r.plan->max_failed);
        assert_string_equal(got, rows[i].want);
    }
}

static void one_node_behind_a_balancer_needs_a_word(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put_pillar("prod.sls",
               HEAD TAIL "  app_servers: [n1]\n  balancer: {haproxy: {sockets: [s], backend: b}}\n");
    assert_false(rig_compile(&r, &plain));
    assert_string_equal(said(&r.problems),
                        "pillar/prod.sls:2:3: min_up: 50% of 1 nodes is 1: not even one node could leave "
                        "rotation (wanted: at most 0; with 'min_up: 0' the application is away while its "
                        "only node is out)\n");
    auto_rig struct rig alone = {.plan = NULL};
    compile(&alone, HEAD TAIL "  app_servers: [n1]\n", &plain);
    assert_false(alone.plan->capacity);
    assert_int_equal(alone.plan->min_up, 0);
}

static void several_balancers_and_checks_make_several_steps(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    size_t drains = 0, checks = 0;
    compile(&r,
            HEAD NODES TAIL
            "  balancer: [{haproxy: {sockets: [s], backend: b1}}, {haproxy: {sockets: [s], backend: b2}}]\n"
            "  check: ['http://{host}/', {url: 'http://{host}/x', stable: 2}]\n",
            &plain);
    for (size_t i = 0; i < r.plan->n_steps; i++) {
        const struct plan_step *s = &r.plan->steps[i];
        if (strcmp(s->verb, "haproxy.drain") == 0)
            assert_string_equal(rig_arg(s, "backend"), drains++ == 0 ? "b1" : "b2");
        if (strcmp(s->verb, "http.check") == 0)
            assert_int_equal(s->stable, checks++ == 0 ? 1 : 2);
    }
    assert_int_equal(drains, 2);
    assert_int_equal(checks, 2);
    /* The floor and the guard ask both: the least of them counts. */
    const struct plan_step *beside[] = {&r.plan->capacity_step, &r.plan->guard_step};
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(rig_arg(beside[i], "backend"), "b1");
        assert_non_null(beside[i]->also);
        assert_string_equal(rig_arg(beside[i]->also, "backend"), "b2");
        assert_null(beside[i]->also->also);
    }
}

/* Names in `dir:` are put in for each node; one that stands for nothing is one mistake, where it is written.
 */
static void a_directory_may_name_its_node(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL}, bad = {.plan = NULL};
    put_pillar("prod.sls",
               "release:\n  app: a\n  repo: r\n  dir: '/d/{node}/{app}'\n  branch: main\n" TAIL
               "  app_servers: {n1: {host: h1, port: 1}, n2: {host: h1, port: 1}, n3: {host: h3, dir: "
               "'/e/{zone}', zone: z}}\n");
    assert_true(rig_compile(&r, &plain));
    static const char *const dirs[] = {"/d/n1/a", "/d/n2/a", "/e/z"};
    for (size_t i = 0; i < 3; i++) {
        size_t n;
        const struct op_pair *vars = plan_vars(r.plan, &r.plan->nodes[i], false, &r.arena, &n);
        assert_string_equal(op_pair_value(vars, n, "dir"), dirs[i]);
        assert_true(str_starts(op_pair_value(vars, n, "release_dir"), dirs[i]));
    }
    put_pillar("prod.sls", "release:\n  app: a\n  repo: r\n  dir: '/d/{nodde}'\n  branch: main\n" NODES TAIL);
    assert_false(rig_compile(&bad, &plain));
    assert_non_null(strstr(said(&bad.problems), "prod.sls:4:3: dir: '{nodde}' names nothing"));
    assert_int_equal(bad.problems.n, 1);
}

/* Several processes on a host: each block drains and counts the server that it names itself. */
static void blocks_may_name_their_own_servers(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL}, one = {.plan = NULL}, same = {.plan = NULL};
    compile(&r,
            HEAD NODES TAIL "  balancer:\n"
                            "    - haproxy: {sockets: [s], backend: b, server: '{node}-a'}\n"
                            "    - haproxy: {sockets: [s], backend: b, server: '{node}-b'}\n"
                            "    - haproxy: {sockets: [s], backend: c}\n",
            &plain);
    const struct plan_step *s = &r.plan->capacity_step;
    assert_string_equal(rig_arg(s, "servers"), "[\"n1-a\",\"n2-a\"]");
    assert_string_equal(rig_arg(s->also, "servers"), "[\"n1-b\",\"n2-b\"]");
    assert_string_equal(rig_arg(s->also->also, "servers"), "[\"n1\",\"n2\"]");
    compile(&one, HEAD NODES TAIL "  balancer: {haproxy: {sockets: [s], backend: b, server: '{node}-a'}}\n",
            &(struct compile_request){.rev_typed = "f5d9859", .only = "n2"});
    assert_string_equal(rig_arg(&one.plan->capacity_step, "servers"), "[\"n1-a\",\"n2-a\"]");
    put_pillar("prod.sls",
               HEAD NODES TAIL "  balancer: {haproxy: {sockets: [s], backend: b, server: web}}\n");
    assert_false(rig_compile(&same, &plain));
    assert_non_null(strstr(said(&same.problems), "'web' is the server of node n1 and of node n2"));
}

static const char *expanded_arg(struct rig *r, const char *verb, const char *name, size_t node)
{
    for (size_t i = 0; i < r->plan->n_steps; i++) {
        size_t n;
        if (strcmp(r->plan->steps[i].verb, verb) != 0)
            continue;
        const struct op_pair *args =
            plan_args(r->plan, &r->plan->steps[i], &r->plan->nodes[node], false, &r->arena, &n);
        for (size_t k = 0; k < n; k++)
            if (strcmp(args[k].name, name) == 0)
                return args[k].value;
    }
    return NULL;
}

/* Whichever way it is written, either kind of address makes a URL of it. */
static void hosts_in_urls_have_brackets_when_they_need_them(void **state)
{
    (void)state;
    static const struct {
        const char *written, *v4, *v6;
    } rows[] = {
        {"http://{host}:{port}/", "http://10.0.0.1:80/", "http://[fd00::1]:80/"},
        {"http://[{host}]:{port}/", "http://10.0.0.1:80/", "http://[fd00::1]:80/"},
        {"https://u@{host}/a?b={host}", "https://u@10.0.0.1/a?b=10.0.0.1", "https://u@[fd00::1]/a?b=fd00::1"},
        {"http://h/{host}/[{host}]", "http://h/10.0.0.1/[10.0.0.1]", "http://h/fd00::1/[fd00::1]"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_rig struct rig r = {.plan = NULL};
        char text[1000];
        (void)snprintf(text, sizeof(text),
                       HEAD
                       "  app_servers: {a: {host: 10.0.0.1, port: 80}, b: {host: 'fd00::1', port: 80}}\n" TAIL
                       "  check: '%s'\n",
                       rows[i].written);
        compile(&r, text, &plain);
        assert_string_equal(expanded_arg(&r, "http.check", "url", 0), rows[i].v4);
        assert_string_equal(expanded_arg(&r, "http.check", "url", 1), rows[i].v6);
    }
}

/* docs/plans.md: what a step does not say itself, the pillar's block says. */
static void a_check_with_its_own_url_takes_the_rest_from_the_block(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put("plans/mine.yml", "check: [{http.check: {url: 'http://{host}/own'}}]\nenable: []\n");
    compile(&r, HEAD NODES TAIL "  check: {url: 'http://{host}/', status: 204, stable: 4}\n",
            &(struct compile_request){.rev_typed = "f5d9859", .plan_name = "mine"});
    const struct plan_step *s = &r.plan->steps[0];
    assert_string_equal(s->verb, "http.check");
    assert_string_equal(rig_arg(s, "url"), "http://{host}/own");
    assert_string_equal(rig_arg(s, "status"), "204");
    assert_int_equal(s->stable, 4);
}

static void restart_and_tasks_need_no_revision(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL}, task = {.plan = NULL};
    size_t n;
    compile(&r, FULL REST, &(struct compile_request){.plan_name = "restart"});
    assert_false(r.plan->needs_rev);
    assert_string_equal(r.plan->rev_typed, "");
    for (size_t i = 0; i < r.plan->n_steps; i++)
        assert_string_not_equal(r.plan->steps[i].verb, "cmd.run");
    const struct op_pair *vars = plan_vars(r.plan, &r.plan->nodes[0], false, &r.arena, &n);
    assert_string_equal(op_pair_value(vars, n, "release_dir"), "/srv/plone/current");
    compile(&task, FULL REST, &(struct compile_request){.plan_name = "backup", .task = true});
    assert_int_equal(task.plan->kind, KIND_TASK);
    assert_int_equal(task.plan->n_steps, 1);
    assert_string_equal(rig_arg(&task.plan->steps[0], "cwd"), "{dir}");
    auto_rig struct rig wrong = {.plan = NULL};
    assert_false(rig_compile(&wrong, &(struct compile_request){.plan_name = "rolling", .task = true}));
    assert_non_null(strstr(said(&wrong.problems), "git.fetch but no revision: 'release run --plan rolling'"));
}

/* `drain: no` is for a plan that leaves the application up, and no other drains less for it. */
static void a_reload_may_leave_its_node_in_rotation(void **state)
{
    (void)state;
    auto_rig struct rig with = {.plan = NULL}, without = {.plan = NULL}, restart = {.plan = NULL};
    auto_rig struct rig wrong = {.plan = NULL};
    compile(&with, FULL "  plan: reload\n", &plain);
    const struct plan_step *reload = rig_step(with.plan, "supervisord.reload");
    assert_string_equal(rig_arg(reload, "workers"), "new");
    assert_int_equal(rig_step(with.plan, "haproxy.drain")->phase, PHASE_DRAIN);
    assert_true(with.plan->capacity);
    const struct plan_step *stop = rig_step(with.plan, "supervisord.stop");
    assert_true(stop->out_only && stop->back_only);
    compile(&without, FULL "  plan: reload\n  drain: no\n", &plain);
    for (size_t i = 0; i < without.plan->n_steps; i++)
        assert_false(without.plan->steps[i].phase == PHASE_DRAIN ||
                     without.plan->steps[i].phase == PHASE_ENABLE);
    assert_false(without.plan->capacity);
    assert_null(without.plan->guard_step.verb);
    compile(&restart, FULL "  plan: reload\n  drain: no\n",
            &(struct compile_request){.plan_name = "restart"});
    assert_int_equal(rig_step(restart.plan, "haproxy.drain")->phase, PHASE_DRAIN);
    put_pillar("prod.sls", FULL "  drain: no\n");
    assert_false(rig_compile(&wrong, &plain));
    assert_non_null(strstr(said(&wrong.problems),
                           "drain: no: plan rolling stops the application ((built-in) rolling.yml:"));
}

static void in_place_builds_where_it_runs(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    size_t n;
    compile(&r, FULL REST, &(struct compile_request){.plan_name = "in-place", .rev_typed = "1e5f"});
    assert_string_equal(r.plan->rev_typed, "1e5f");
    assert_int_equal(rig_step(r.plan, "git.running")->phase, PHASE_VERIFY);
    assert_int_equal(rig_step(r.plan, "git.checkout")->phase, PHASE_CHANGE);
    const struct op_pair *vars = plan_vars(r.plan, &r.plan->nodes[0], false, &r.arena, &n);
    assert_string_equal(op_pair_value(vars, n, "release_dir"), "/srv/plone");
}

static void own_plans_win_and_get_what_they_forgot(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    put("plans/rolling.yml",
        "prepare: [git.fetch, release.unpack, build, {cmd.run: {cmd: 'x', label: 'the x'}}]\n"
        "change: [supervisord.stop, release.switch, hooks, once, supervisord.start]\n");
    compile(&r, HEAD NODES TAIL "  hooks: {change: [{cmd.run: 'y {host}'}], prepare: [{cmd.run: z}]}\n",
            &plain);
    static const char *const want[] = {"git.fetch",      "release.unpack",   "the x",
                                       "release.seal",   "cmd.run z",        "supervisord.stop",
                                       "release.switch", "cmd.run y {host}", "supervisord.start",
                                       "release.running"};
    assert_int_equal(r.plan->n_steps, sizeof(want) / sizeof(want[0]));
    for (size_t i = 0; i < r.plan->n_steps; i++)
        assert_string_equal(r.plan->steps[i].label, want[i]);
}

static void nodes_of_a_top_file_have_their_own_pillar(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    size_t n;
    put_pillar("top.sls", "prod:\n  '*': [common]\n  'n1': [one]\n  'n2': [two]\n");
    put_pillar("common.sls",
               HEAD NODES TAIL "  build: [{cmd.run: {cmd: 'x {pillar:role} {pillar:same}'}}]\nsame: s\n");
    put_pillar("one.sls", "role: '{first}'\n");
    put_pillar("two.sls", "role: second\n");
    if (!rig_compile(&r, &plain))
        fail_msg("%s", said(&r.problems));
    const struct plan_step *s = rig_step(r.plan, "cmd.run");
    const struct op_pair *args = plan_args(r.plan, s, &r.plan->nodes[0], false, &r.arena, &n);
    assert_string_equal(op_pair_value(args, n, "cmd"), "x {first} s");
    args = plan_args(r.plan, s, &r.plan->nodes[1], false, &r.arena, &n);
    assert_string_equal(op_pair_value(args, n, "cmd"), "x second s");
}

static void the_recipe_changes_with_what_is_built(void **state)
{
    (void)state;
    static const char *const builds[] = {"  build: [{cmd.run: {cmd: x}}]\n",
                                         "  build: [{cmd.run: {cmd: y}}]\n",
                                         "  build: [{cmd.run: {cmd: x}}]\n  shared: [var]\n",
                                         "  build: [{cmd.run: {cmd: x}}]\n  soak: 1m\n",
                                         "  build: [{cmd.run: {cmd: x}}]\n  git: {path: apps/site}\n",
                                         "  build: [{cmd.run: {cmd: x}}]\n  git: {path: apps/shop}\n"};
    char recipes[6][8];
    for (size_t i = 0; i < 6; i++) {
        auto_rig struct rig r = {.plan = NULL};
        char pillar[1000];
        (void)snprintf(pillar, sizeof(pillar), HEAD NODES TAIL "%s", builds[i]);
        compile(&r, pillar, &plain);
        (void)snprintf(recipes[i], sizeof(recipes[i]), "%s",
                       op_pair_value(r.plan->vars, r.plan->n_vars, "recipe"));
        assert_int_equal(strlen(recipes[i]), 6);
    }
    assert_string_not_equal(recipes[0], recipes[1]);
    assert_string_not_equal(recipes[0], recipes[2]);
    assert_string_equal(recipes[0], recipes[3]);
    assert_string_not_equal(recipes[0], recipes[4]);
    assert_string_not_equal(recipes[4], recipes[5]);
}

static void the_plan_reads_well(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    compile(&r, FULL REST, &plain);
    r.plan->rev = "f5d985900000000000000000000000000000beef";
    r.plan->nodes[0].rev_before = "1111111111111111111111111111111111111111";
    char *text = plan_text(r.plan);
    print_message("%s", text);
    static const char *const wanted[] = {
        "release of plone in prod, plan rolling\n",
        "  revision    f5d985900000 (f5d9859)\n",
        "  stages      1, 4 of 4 nodes; each judged for 30s\n",
        "  floor       2 must stay in rotation, read from the balancer before each drain\n",
        "  drain       wait 1m30s for sessions to end, after 45s also sticky ones go elsewhere; what is left "
        "then: go on "
        "(on_timeout: proceed)\n",
        "    1  app1  stage 1  10.0.0.1:8080  111111111111 -> f5d985900000\n",
        "    2  app2  stage 2  10.0.0.2:8081  unknown -> f5d985900000\n",
        "  before: once, on the first node, before any leaves rotation; a failure fails the release\n",
        "  change: node by node, inside window and floor; a node that fails goes back to what it ran\n",
        "    git.fetch               repo=https://git.example.org/site.git  [1m00s]\n",
        "once: on the first node only, undone on the way back]\n",
        ", way: both]\n",
        "told to a webhook: started, failed\n",
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (strstr(text, wanted[i]) == NULL)
            fail_msg("missing: %s", wanted[i]);
    free(text);
}

static void the_plan_says_each_hooks_way_and_what_its_failure_means(void **state)
{
    (void)state;
    auto_rig struct rig r = {.plan = NULL};
    compile(&r,
            HEAD NODES TAIL
            "  hooks: {change: [{cmd.run: a}, {cmd.run: {cmd: b, way: forward}},\n"
            "    {cmd.run: {cmd: c, way: back, if_fails: fail}}, {cmd.run: {cmd: d, if_fails: warn}}],\n"
            "    after: [{cmd.run: e}]}\n",
            &plain);
    static const char *const wanted[] = {
        "cmd=a  [10m00s, way: both, if it fails on the way back: a warning]\n",
        "cmd=b  [10m00s, way: forward]\n",
        "cmd=c  [10m00s, way: back]\n",
        "cmd=d  [10m00s, way: both, if it fails: a warning]\n",
        "hook-after: on the controller; a failure: released, not done; a resume runs it again\n",
    };
    char *text = plan_text(r.plan);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (strstr(text, wanted[i]) == NULL)
            fail_msg("missing: %s in %s", wanted[i], text);
    free(text);
}

/* `drain_timeout` is how long sessions are waited for, whatever the balancer. */
static void each_wait_for_sessions_has_the_blocks_deadline(void **state)
{
    (void)state;
    int n = 0;
    for (size_t i = 0; driver_table[i] != NULL; i++) {
        const struct verb *idle = driver_verb(driver_table[i], DOES_IDLE);
        if (idle == NULL || !idle->waits)
            continue;
        n++;
        if (idle->deadline == NULL || strcmp(idle->deadline, "drain_timeout") != 0)
            fail_msg("%s: its deadline is not drain_timeout", idle->name);
    }
    assert_in_range(n, 5, 100);
}

/* Not for messages: for crashes and leaks, under sanitizers. */
static void mutilated_pillars_are_only_refused(void **state)
{
    (void)state;
    static const char *const shreds[] = {"{",   "}",       "[",    "]",  ":",     " ",      "\n", "- ",
                                         "&a ", "*a",      "'",    "\"", "{rev}", "<<: *a", "#",  "0",
                                         "%",   "release", "null", "\t", "!x ",   "|\n"};
    char *text = malloc(strlen(FULL REST) * 2 + 200);
    size_t compiled = 0;
    assert_non_null(text);
    srand(42);
    for (int round = 0; round < 3000; round++) {
        (void)strcpy(text, FULL REST);
        for (int i = rand() % 3; i >= 0; i--) {
            size_t n = strlen(text), at = (size_t)rand() % n, drop = (size_t)rand() % 12;
            const char *shred = shreds[(size_t)rand() % (sizeof(shreds) / sizeof(shreds[0]))];
            drop = drop > n - at ? n - at : drop;
            memmove(text + at + strlen(shred), text + at + drop, n - at - drop + 1);
            memcpy(text + at, shred, strlen(shred));
        }
        auto_rig struct rig r = {.plan = NULL};
        put_pillar("prod.sls", text);
        if (rig_compile(&r, &plain)) {
            compiled++;
            free(plan_text(r.plan));
        } else {
            assert_true(r.problems.n > 0);
        }
    }
    print_message("%zu of 3000 still made a plan\n", compiled);
    free(text);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_whole_release_block_becomes_a_plan),
        T(steps_take_what_the_blocks_say),
        T(arguments_expand_for_each_node),
        T(what_shared_paths_are_reaches_the_node),
        T(nodes_keep_their_own_ways),
        T(only_and_exclude_choose),
        T(secrets_never_reach_the_plan),
        T(secret_files_must_be_private),
        T(every_mistake_is_reported_with_its_place),
        T(plan_files_are_checked_too),
        T(a_plan_that_would_take_all_of_the_repository_is_refused),
        T(bad_options_are_named),
        T(app_servers_may_have_many_shapes),
        T(stages_window_and_floor_round_with_care),
        T(one_node_behind_a_balancer_needs_a_word),
        T(several_balancers_and_checks_make_several_steps),
        T(a_directory_may_name_its_node),
        T(blocks_may_name_their_own_servers),
        T(hosts_in_urls_have_brackets_when_they_need_them),
        T(a_check_with_its_own_url_takes_the_rest_from_the_block),
        T(restart_and_tasks_need_no_revision),
        T(a_reload_may_leave_its_node_in_rotation),
        T(in_place_builds_where_it_runs),
        T(own_plans_win_and_get_what_they_forgot),
        T(nodes_of_a_top_file_have_their_own_pillar),
        T(the_recipe_changes_with_what_is_built),
        T(the_plan_reads_well),
        T(the_plan_says_each_hooks_way_and_what_its_failure_means),
        T(each_wait_for_sessions_has_the_blocks_deadline),
        T(mutilated_pillars_are_only_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
