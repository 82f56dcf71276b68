/* SPDX-License-Identifier: MIT */
/* The release: block of the pillar, typed (docs/pillar.md). */
#include "plans/compile_priv.h"

#include <stddef.h>
#include <string.h>

#define AT(member) offsetof(struct release_block, member)

static const struct field release_fields[] = {
    {.name = "app", .type = FIELD_NAME, .offset = AT(app)},
    {.name = "repo", .type = FIELD_TEXT, .offset = AT(repo)},
    {.name = "branch", .type = FIELD_TEXT, .offset = AT(branch)},
    {.name = "dir", .type = FIELD_PATH, .offset = AT(dir)},
    {.name = "user", .type = FIELD_NAME, .offset = AT(user)},
    {.name = "plan", .type = FIELD_NAME, .offset = AT(plan)},
    {.name = "app_servers", .type = FIELD_VALUE, .offset = AT(app_servers)},
    {.name = "ssh", .type = FIELD_VALUE, .offset = AT(ssh)},
    {.name = "balancer", .type = FIELD_VALUE, .offset = AT(balancer)},
    {.name = "supervisor", .type = FIELD_VALUE, .offset = AT(supervisor)},
    {.name = "service", .type = FIELD_VALUE, .offset = AT(service)},
    {.name = "shared", .type = FIELD_VALUE, .offset = AT(shared)},
    {.name = "build", .type = FIELD_VALUE, .offset = AT(build)},
    {.name = "check", .type = FIELD_VALUE, .offset = AT(check)},
    {.name = "stages", .type = FIELD_VALUE, .offset = AT(stages)},
    {.name = "soak", .type = FIELD_DURATION, .offset = AT(soak_ms)},
    {.name = "judge", .type = FIELD_VALUE, .offset = AT(judge)},
    {.name = "window", .type = FIELD_SHARE, .offset = AT(window)},
    {.name = "min_up", .type = FIELD_SHARE, .offset = AT(min_up)},
    {.name = "max_failed", .type = FIELD_SHARE, .offset = AT(max_failed)},
    {.name = "on_failure", .type = FIELD_CHOICE, .offset = AT(on_failure), .choices = "rollback|stop"},
    {.name = "confirm", .type = FIELD_CHOICE, .offset = AT(confirm), .choices = "yes|no|true|false"},
    {.name = "approval", .type = FIELD_CHOICE, .offset = AT(approval), .choices = "other|no"},
    {.name = "keep", .type = FIELD_INT, .offset = AT(keep), .min = 1, .max = 1000},
    {.name = "windows", .type = FIELD_VALUE, .offset = AT(windows)},
    {.name = "tz", .type = FIELD_TEXT, .offset = AT(tz)},
    {.name = "skip_days", .type = FIELD_VALUE, .offset = AT(skip_days)},
    {.name = "freeze", .type = FIELD_VALUE, .offset = AT(freeze)},
    {.name = "window_closes", .type = FIELD_CHOICE, .offset = AT(window_closes), .choices = "finish|pause"},
    {.name = "drain", .type = FIELD_CHOICE, .offset = AT(drain), .choices = "yes|no|true|false"},
    {.name = "hooks", .type = FIELD_VALUE, .offset = AT(hooks)},
    {.name = "notify", .type = FIELD_VALUE, .offset = AT(notify)},
};
#define N_RELEASE_FIELDS (sizeof(release_fields) / sizeof(release_fields[0]))

#define SSH_AT(member) offsetof(struct ssh_block, member)
static const struct field ssh_fields[] = {
    {.name = "user", .type = FIELD_NAME, .offset = SSH_AT(user)},
    {.name = "port", .type = FIELD_INT, .offset = SSH_AT(port), .min = 1, .max = 65535},
    {.name = "key", .type = FIELD_FILE, .offset = SSH_AT(key)},
    {.name = "known_hosts", .type = FIELD_FILE, .offset = SSH_AT(known_hosts)},
    {.name = "proxy_jump", .type = FIELD_TEXT, .offset = SSH_AT(proxy_jump)},
    {.name = "config", .type = FIELD_FILE, .offset = SSH_AT(config)},
    {.name = "transport", .type = FIELD_CHOICE, .offset = SSH_AT(transport), .choices = "ssh|openssh|local"},
    FIELD_END,
};

bool ssh_read(struct compiler *c, const struct value *map, const char *what, struct ssh_block *ret)
{
    return schema_read(&c->r, map, what, ssh_fields, ret);
}

struct ssh_way ssh_way(const struct ssh_block *ssh)
{
    return (struct ssh_way){.port = (int)ssh->port,
                            .user = ssh->user,
                            .key = ssh->key,
                            .known_hosts = ssh->known_hosts,
                            .proxy_jump = ssh->proxy_jump,
                            .config = ssh->config};
}

/* `git:`, `npm:`, `cmd:` ... give defaults to that driver's verbs, whichever drivers there are. */
static const struct field *all_fields(struct compiler *c)
{
    size_t n = 0;
    while (c->table[n] != NULL)
        n++;
    struct field *ret = arena_array(c->r.arena, N_RELEASE_FIELDS + n + 1, sizeof(*ret));
    memcpy(ret, release_fields, sizeof(release_fields));
    for (size_t i = 0; i < n; i++)
        ret[N_RELEASE_FIELDS + i] =
            (struct field){.name = c->table[i]->name, .type = FIELD_VALUE, .offset = AT(map)};
    return ret;
}

static void driver_block_add(struct compiler *c, struct driver_block **list, size_t *n,
                             struct driver_block block)
{
    struct driver_block *bigger = arena_array(c->r.arena, *n + 1, sizeof(*bigger));
    if (*n > 0)
        memcpy(bigger, *list, *n * sizeof(*bigger));
    bigger[(*n)++] = block;
    *list = bigger;
}

static const char *const block_keys[] = {"drain_timeout", "on_timeout", "sticky", "within",
                                         "stable",        "interval",   "events"};
#define N_BLOCK_KEYS (sizeof(block_keys) / sizeof(block_keys[0]))
#define NAMES_MAX    256

static size_t name_once(const char **names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return n;
    if (n < NAMES_MAX)
        names[n++] = name;
    return n;
}

/* What a driver's block may hold: every parameter of its verbs, `VERB_timeout` for each, and the engine's own
 * words. */
static size_t driver_keys(struct compiler *c, const struct driver *d, const char **names)
{
    size_t n = 0;
    for (size_t i = 0; i < N_BLOCK_KEYS; i++)
        n = name_once(names, n, block_keys[i]);
    for (const struct verb *v = d->verbs; v->name != NULL; v++) {
        n = name_once(names, n, arena_printf(c->r.arena, "%s_timeout", strchr(v->name, '.') + 1));
        for (const struct param *p = v->params; p != NULL && p->name != NULL; p++)
            n = name_once(names, n, p->name);
    }
    return n;
}

static const struct driver *driver_find(struct compiler *c, const char *name)
{
    for (size_t i = 0; c->table[i] != NULL; i++)
        if (strcmp(c->table[i]->name, name) == 0)
            return c->table[i];
    return NULL;
}

bool block_may_hold(struct compiler *c, const struct driver_block *b, const char *key)
{
    const char *names[NAMES_MAX];
    const struct driver *d = driver_find(c, b->driver);
    size_t n = d == NULL ? 0 : driver_keys(c, d, names);
    return name_once(names, n, key) == n;
}

static void block_check_keys(struct compiler *c, const struct driver_block *b)
{
    const char *names[NAMES_MAX];
    const struct driver *d = driver_find(c, b->driver);
    if (d == NULL)
        return;
    size_t n = driver_keys(c, d, names);
    for (size_t i = 0; i < b->map->n; i++) {
        const struct entry *e = &b->map->entries[i];
        if (!block_may_hold(c, b, e->key))
            problem_at(c->r.problems, e->at, "%s: unknown key '%s'%s", b->what, e->key,
                       nearest_hint(c->r.arena, e->key, names, n));
    }
}

/* `service: plone` is short for `service: {name: plone}`. */
static const struct value *as_map(struct compiler *c, const struct value *v, const char *key)
{
    if (v->kind == VALUE_MAP)
        return v;
    struct value *map = value_map(c->r.arena, v->at);
    (void)map_add(c->r.arena, map, key, v->at, v);
    return map;
}

static bool can_balance(struct compiler *c, const char *driver)
{
    return table_verb(c->table, arena_printf(c->r.arena, "%s.drain", driver)) != NULL;
}

static void balancer_unknown(struct compiler *c, const struct entry *e)
{
    const char *names[NAMES_MAX];
    size_t n = 0;
    auto_buf struct buf known = BUF_INIT(1000);
    for (size_t i = 0; c->table[i] != NULL; i++)
        if (can_balance(c, c->table[i]->name)) {
            buf_printf(&known, "%s%s", n == 0 ? "" : ", ", c->table[i]->name);
            n = name_once(names, n, c->table[i]->name);
        }
    problem_at(c->r.problems, e->at, "release: balancer: unknown kind '%s'%s (known: %s)", e->key,
               nearest_hint(c->r.arena, e->key, names, n), buf_str(&known));
}

static void balancer_add(struct compiler *c, const struct value *v)
{
    if (v->kind != VALUE_MAP) {
        problem_at(c->r.problems, v->at,
                   "release: balancer: wanted {haproxy: {...}} or a list of such maps, found %s",
                   value_kind_text(v));
        return;
    }
    for (size_t i = 0; i < v->n; i++) {
        const struct entry *e = &v->entries[i];
        const char *what = arena_printf(c->r.arena, "release: balancer: %s", e->key);
        if (!can_balance(c, e->key)) {
            balancer_unknown(c, e);
            continue;
        }
        if (e->value->kind != VALUE_MAP) {
            problem_at(c->r.problems, e->value->at, "%s: wanted a map of keys, found %s", what,
                       value_kind_text(e->value));
            continue;
        }
        driver_block_add(c, &c->b.balancers, &c->b.n_balancers,
                         (struct driver_block){.driver = e->key, .what = what, .map = e->value});
    }
}

static void balancers_read(struct compiler *c)
{
    const struct value *v = c->b.balancer;
    if (v == NULL)
        return;
    if (v->kind != VALUE_LIST) {
        balancer_add(c, v);
        return;
    }
    for (size_t i = 0; i < v->n; i++)
        balancer_add(c, v->items[i]);
}

static void checks_read(struct compiler *c)
{
    const struct value *v = c->b.check;
    bool list = v != NULL && v->kind == VALUE_LIST;
    size_t n = v == NULL ? 0 : list ? v->n : 1;
    for (size_t i = 0; i < n; i++)
        driver_block_add(c, &c->b.checks, &c->b.n_checks,
                         (struct driver_block){.driver = "http",
                                               .what = "release: check",
                                               .map = as_map(c, list ? v->items[i] : v, "url")});
}

static void apps_read(struct compiler *c)
{
    if (c->b.supervisor != NULL)
        driver_block_add(c, &c->b.apps, &c->b.n_apps,
                         (struct driver_block){.driver = "supervisord",
                                               .what = "release: supervisor",
                                               .map = as_map(c, c->b.supervisor, "programs")});
    if (c->b.service != NULL)
        driver_block_add(c, &c->b.apps, &c->b.n_apps,
                         (struct driver_block){.driver = "service",
                                               .what = "release: service",
                                               .map = as_map(c, c->b.service, "name")});
}

static void blocks_check(struct compiler *c, const struct driver_block *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        block_check_keys(c, &list[i]);
}

const struct driver_block *block_of_driver(struct compiler *c, const char *driver)
{
    const struct driver_block *lists[] = {c->b.balancers, c->b.apps};
    const size_t sizes[] = {c->b.n_balancers, c->b.n_apps};
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < sizes[l]; i++)
            if (strcmp(lists[l][i].driver, driver) == 0)
                return &lists[l][i];
    const struct value *map = map_get(c->b.map, driver);
    if (map == NULL || map->kind != VALUE_MAP)
        return NULL;
    for (size_t i = 0; i < N_RELEASE_FIELDS; i++)
        if (strcmp(release_fields[i].name, driver) == 0)
            return NULL; /* read already, under its own rules */
    struct driver_block *b = arena_alloc(c->r.arena, sizeof(*b));
    *b = (struct driver_block){
        .driver = driver, .what = arena_printf(c->r.arena, "release: %s", driver), .map = map};
    return b;
}

static void plain_blocks_check(struct compiler *c)
{
    for (size_t i = 0; c->table[i] != NULL; i++) {
        const struct driver_block *b = block_of_driver(c, c->table[i]->name);
        if (b != NULL)
            block_check_keys(c, b);
    }
}

static void texts_check(struct compiler *c)
{
    const char *branch = c->b.branch;
    if (branch != NULL && !rev_valid(branch))
        problem_at(c->r.problems, map_get(c->b.map, "branch")->at,
                   "release: branch: '%s' is not a branch, tag or revision", branch);
    if (c->b.repo != NULL && (c->b.repo[0] == '-' || str_starts(c->b.repo, "ext::")))
        problem_at(c->r.problems, map_get(c->b.map, "repo")->at,
                   "release: repo: '%s' is not the URL of a repository", c->b.repo);
}

/* `git: {path: apps/site}`: the one key of a driver's block that makes another release out of the same revision. */
static void git_path_read(struct compiler *c)
{
    const struct value *git = map_get(c->b.map, "git");
    const struct value *v = git != NULL && git->kind == VALUE_MAP ? map_get(git, "path") : NULL;
    if (value_is_null(v))
        return;
    const char *wrong = v->kind == VALUE_SCALAR ? subdir_trouble(v->text) : NULL;
    if (v->kind != VALUE_SCALAR) /* as the verbs that read it say (args.c) */
        problem_at(c->r.problems, v->at, "release: git: path: wanted text, found %s", value_kind_text(v));
    else if (wrong != NULL)
        problem_at(c->r.problems, v->at,
                   "release: git: path: '%s' %s; wanted a directory of the repository, as in apps/site",
                   v->text, wrong);
    else
        c->b.git_path = v->text;
}

bool block_read(struct compiler *c)
{
    const struct value *map = c->block != NULL ? c->block : map_get(c->pillar->tree, "release");
    c->b = (struct release_block){
        .map = map, .plan = "rolling", .on_failure = "rollback", .soak_ms = 10000, .keep = 5};
    if (map == NULL) {
        problem_at(c->r.problems, c->pillar->tree->at,
                   "no 'release:' block in this environment's pillar (wanted: release: {app: ..., repo: ..., "
                   "dir: ..., "
                   "app_servers: ...}); 'release init' writes one");
        return false;
    }
    if (!schema_read(&c->r, map, "release", all_fields(c), &c->b) && map->kind != VALUE_MAP)
        return false;
    c->b.map = map;
    c->b.shared = shared_words(c, c->b.shared);
    c->b.ssh_defaults = (struct ssh_block){.transport = "ssh"};
    (void)ssh_read(c, c->b.ssh, "release: ssh", &c->b.ssh_defaults);
    source_read(c);
    texts_check(c);
    git_path_read(c);
    balancers_read(c);
    checks_read(c);
    apps_read(c);
    blocks_check(c, c->b.balancers, c->b.n_balancers);
    blocks_check(c, c->b.checks, c->b.n_checks);
    blocks_check(c, c->b.apps, c->b.n_apps);
    plain_blocks_check(c);
    return true;
}
