/* SPDX-License-Identifier: MIT */
/* app_servers: in its many shapes (servers.c) -> nodes of the plan, in the order written. */
#include "plans/compile_priv.h"

#include "base/auto.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *const host_keys[] = {"host",      "address", "ip_address", "private_ip",
                                        "public_ip", "fqdn",    "ip"};
#define N_HOST_KEYS (sizeof(host_keys) / sizeof(host_keys[0]))

/* Names that mean something else in every template. */
static const char *const reserved[] = {"node",       "env",         "app",     "rev",   "rev_short",
                                       "rev_before", "release_dir", "release", "fence", "operator",
                                       "repo",       "git_path",    "of_host"};

/* How to read entries: `{pillar: a:b, host: KEY, port: KEY}` names the keys of a foreign tree. */
struct shape {
    const char *path, *name, *host, *port, *lb_server, *identity;
    const struct value *map; /* where they are named; NULL: our own form */
};
static const struct field shape_fields[] = {
    {.name = "pillar", .type = FIELD_TEXT, .offset = offsetof(struct shape, path)},
    {.name = "name", .type = FIELD_TEXT, .offset = offsetof(struct shape, name)},
    {.name = "host", .type = FIELD_TEXT, .offset = offsetof(struct shape, host)},
    {.name = "port", .type = FIELD_TEXT, .offset = offsetof(struct shape, port)},
    {.name = "lb_server", .type = FIELD_TEXT, .offset = offsetof(struct shape, lb_server)},
    {.name = "identity", .type = FIELD_TEXT, .offset = offsetof(struct shape, identity)},
    FIELD_END,
};

/* One entry while it becomes a node. */
struct node_reading {
    const struct server_entry *e;
    const struct value *map; /* its keys, or NULL */
    const struct shape *shape;
    const char *what; /* "app_servers: app1" */
};

struct node_list {
    struct plan_node *nodes;
    const struct value **entries; /* what each was read from, or NULL */
    size_t n, cap;
    struct value *seen; /* map: id or address -> itself, for duplicates */
};

static bool host_valid(const char *s)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-%";
    size_t n = strlen(s);
    return n > 0 && n <= 255 && s[0] != '-' && strspn(s, chars) == n;
}

static const struct value *scalar_of(const struct value *entry, const char *key)
{
    const struct value *v = map_get(entry, key);
    return v != NULL && v->kind == VALUE_SCALAR && !value_is_null(v) ? v : NULL;
}

/* A key that app_servers maps: every entry has to have it, and one value there. */
static const struct value *mapped(struct compiler *c, const struct node_reading *r, const char *word,
                                  const char *key)
{
    const struct value *v = r->map == NULL ? NULL : value_get(r->map, key);
    const struct value *said = map_get(r->shape->map, word);
    const char *asked =
        arena_printf(c->r.arena, "'%s: %s' (%s)", word, key, place_text(c->r.arena, said->at));
    if (value_is_null(v))
        problem_at(c->r.problems, r->e->at, "%s: has no '%s', which %s wants of every node", r->what, key,
                   asked);
    else if (v->kind != VALUE_SCALAR)
        problem_at(c->r.problems, v->at, "%s: %s is %s; %s wants one value of every node", r->what, key,
                   value_kind_text(v), asked);
    return value_is_null(v) || v->kind != VALUE_SCALAR ? NULL : v;
}

/* A key by its own name. A list in its place is never skipped: the next best thing would be another server.
 */
static const struct value *own_value(struct compiler *c, const struct node_reading *r, const char *key)
{
    const struct value *v = map_get(r->map, key);
    if (value_is_null(v))
        return NULL;
    if (v->kind == VALUE_SCALAR)
        return v;
    if (r->shape->map != NULL)
        problem_at(c->r.problems, v->at,
                   "%s: '%s' is %s; app_servers can name another key: {pillar: %s, %s: KEY}", r->what, key,
                   value_kind_text(v), r->shape->path, key);
    return NULL; /* in our own form check_entry_keys says so */
}

static const struct value *value_of(struct compiler *c, const struct node_reading *r, const char *word,
                                    const char *key)
{
    return key != NULL ? mapped(c, r, word, key) : own_value(c, r, word);
}

static const struct value *host_of(struct compiler *c, const struct node_reading *r)
{
    const struct value *entry = r->e->value;
    if (r->shape->host != NULL)
        return mapped(c, r, "host", r->shape->host);
    if (r->map == NULL)
        return value_is_null(entry) || entry->kind != VALUE_SCALAR ? NULL : entry;
    for (size_t i = 0; i < N_HOST_KEYS; i++)
        if (!value_is_null(map_get(r->map, host_keys[i])))
            return own_value(c, r, host_keys[i]);
    return NULL;
}

static bool is_reserved(const char *name)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcmp(reserved[i], name) == 0)
            return true;
    return false;
}

/* In a foreign tree, keys that mean nothing to us are no mistakes. */
static void check_entry_keys(struct compiler *c, const struct node_reading *r)
{
    static const char *const known[] = {"ssh", "host", "port", "lb_server", "identity"};
    for (size_t i = 0; r->shape->map == NULL && r->map != NULL && i < r->map->n; i++) {
        const struct entry *e = &r->map->entries[i];
        if (is_reserved(e->key))
            problem_at(c->r.problems, e->at, "%s: '%s' cannot be set: it means the release's own", r->what,
                       e->key);
        else if (r->e->of_host != NULL && e->value->kind == VALUE_LIST && instance_own_key(c, e->key))
            continue; /* what of the application it is */
        else if (e->value->kind != VALUE_SCALAR && strcmp(e->key, "ssh") != 0)
            problem_at(c->r.problems, e->at, "%s: '%s' is %s; a node has plain values and ssh:%s", r->what,
                       e->key, value_kind_text(e->value), nearest_hint(c->r.arena, e->key, known, 5));
    }
}

static void target_set(struct plan_node *node, const struct ssh_block *ssh, const char *host)
{
    node->target = (struct target){
        .id = node->id,
        .transport = ssh->transport,
        .host = host,
        .ssh = ssh_way(ssh),
    };
}

static void var_add(struct op_pair *vars, size_t *n, const char *name, const char *value)
{
    if (value != NULL)
        vars[(*n)++] = (struct op_pair){.name = name, .value = value};
}

static const char *port_of(struct compiler *c, const struct node_reading *r)
{
    const char *key = r->shape->port;
    if (key != NULL && key[0] >= '0' && key[0] <= '9')
        return key; /* the port itself; follow() has looked at it */
    const struct value *v = value_of(c, r, "port", key);
    int64_t n;
    if (v == NULL)
        return NULL;
    const char *name = arena_printf(c->r.arena, "%s: %s", r->what, key == NULL ? "port" : key);
    return int_read(&c->r, v, name, 1, 65535, &n) ? arena_printf(c->r.arena, "%lld", (long long)n) : NULL;
}

static bool is_own_key(const struct node_reading *r, const char *key)
{
    static const char *const keys[] = {"host", "port", "lb_server", "identity"};
    for (size_t i = 0; i < 4; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return r->e->whole && strcmp(key, "name") == 0;
}

static void vars_set(struct compiler *c, struct plan_node *node, const struct node_reading *r)
{
    const struct value *map = r->map;
    struct op_pair *vars = arena_array(c->r.arena, (map == NULL ? 0 : map->n) + 6, sizeof(*vars));
    size_t n = 0;
    const struct value *lb = value_of(c, r, "lb_server", r->shape->lb_server);
    var_add(vars, &n, "node", node->id);
    var_add(vars, &n, "host", node->target.host);
    var_add(vars, &n, "port", port_of(c, r));
    var_add(vars, &n, "lb_server", lb == NULL ? node->id : lb->text);
    var_add(vars, &n, "of_host", node->of_host);
    for (size_t i = 0; map != NULL && i < map->n; i++) {
        const struct entry *e = &map->entries[i];
        bool own = node->of_host != NULL && instance_own_key(c, e->key); /* a list, even of one */
        if (e->value->kind == VALUE_SCALAR && !own && !is_own_key(r, e->key) && !is_reserved(e->key))
            var_add(vars, &n, e->key, e->value->text);
    }
    node->vars = vars;
    node->n_vars = n;
    const char *dir = place_dir(c, node, map_entry(map, "dir"));
    for (size_t i = 0; i < n && dir != NULL; i++)
        if (strcmp(vars[i].name, "dir") == 0) {
            vars[i].value = dir;
            return;
        }
    var_add(vars, &node->n_vars, "dir", dir);
}

static bool seen_before(struct compiler *c, struct node_list *list, const char *key, struct place at,
                        struct place *ret)
{
    const struct entry *e = map_entry(list->seen, key);
    if (e != NULL) {
        *ret = e->at;
        return true;
    }
    (void)map_add(c->r.arena, list->seen, key, at, value_scalar(c->r.arena, at, key));
    return false;
}

static void check_twins(struct compiler *c, struct node_list *list, const struct plan_node *node,
                        struct place at)
{
    struct arena *a = c->r.arena;
    struct place first;
    const char *port = op_pair_value(node->vars, node->n_vars, "port"),
               *dir = op_pair_value(node->vars, node->n_vars, "dir");
    const char *key = arena_printf(a, "=%s %d %s %s", node->target.host, node->target.ssh.port,
                                   port == NULL ? "" : port, dir == NULL ? "" : dir);
    bool processes = node->of_host != NULL && port == NULL; /* instances that do not listen */
    if (!processes && seen_before(c, list, key, at, &first))
        problem_at(c->r.problems, at, "node '%s' has the same host, port and dir as the one at %s", node->id,
                   place_text(a, first));
    const char *server = op_pair_value(node->vars, node->n_vars, "lb_server");
    if (c->b.n_balancers > 0 && seen_before(c, list, arena_printf(a, "+%s", server), at, &first))
        problem_at(c->r.problems, at, "node '%s' has the same lb_server '%s' as the one at %s", node->id,
                   server, place_text(a, first));
}

static struct plan_node *node_new(struct compiler *c, struct node_list *list, const struct value *entry)
{
    if (list->n == list->cap) {
        size_t cap = list->cap == 0 ? 16 : list->cap * 2;
        struct plan_node *nodes = arena_array(c->r.arena, cap, sizeof(*nodes));
        const struct value **entries = arena_array(c->r.arena, cap, sizeof(*entries));
        for (size_t i = 0; i < list->n; i++) {
            nodes[i] = list->nodes[i];
            entries[i] = list->entries[i];
        }
        list->nodes = nodes;
        list->entries = entries;
        list->cap = cap;
    }
    list->entries[list->n] = entry;
    return &list->nodes[list->n++];
}

static bool id_ok(struct compiler *c, struct node_list *list, const char *id, struct place at)
{
    struct place first;
    if (!name_valid(id, 64)) {
        problem_at(c->r.problems, at,
                   "app_servers: '%s' is not a node id (wanted: letters, digits, '.', '_', '-', not first "
                   "'-' or '.')",
                   id);
        return false;
    }
    if (!seen_before(c, list, id, at, &first))
        return true;
    problem_at(c->r.problems, at, "app_servers: node '%s' is listed twice (first at %s)", id,
               place_text(c->r.arena, first));
    return false;
}

static bool host_ok(struct compiler *c, const struct node_reading *r, const struct value *host)
{
    if (host == NULL || host_valid(host->text))
        return true;
    problem_at(c->r.problems, host->at, "%s: '%s' is not a host name or address", r->what, host->text);
    return false;
}

/* The value is a map, an address, or nothing (the id is the host's name). */
static void node_add(struct compiler *c, struct node_list *list, const struct server_entry *e,
                     const struct shape *shape)
{
    const struct value *entry = e->value;
    struct node_reading r = {.e = e,
                             .map = entry != NULL && entry->kind == VALUE_MAP ? entry : NULL,
                             .shape = shape,
                             .what = arena_printf(c->r.arena, "app_servers: %s", e->id)};
    struct ssh_block ssh = c->b.ssh_defaults;
    if (!id_ok(c, list, e->id, e->at))
        return;
    if (entry != NULL && entry->kind == VALUE_LIST) {
        problem_at(c->r.problems, entry->at, "%s: wanted {host: ..., port: ...} or an address, found a list",
                   r.what);
        return;
    }
    check_entry_keys(c, &r);
    if (shape->map == NULL)
        (void)ssh_read(c, map_get(r.map, "ssh"), arena_printf(c->r.arena, "%s: ssh", r.what), &ssh);
    const struct value *host = host_of(c, &r);
    if (!host_ok(c, &r, host))
        return;
    struct plan_node *node = node_new(c, list, r.map);
    *node =
        (struct plan_node){.id = e->id, .rev = "", .rev_before = "", .where = place_text(c->r.arena, e->at)};
    node->of_host = e->of_host;
    target_set(node, &ssh, host != NULL ? host->text : e->of_host != NULL ? e->of_host : e->id);
    const struct value *identity = value_of(c, &r, "identity", shape->identity);
    node->target.identity = identity == NULL ? NULL : identity->text;
    vars_set(c, node, &r);
    node->target.state_dir = place_state_dir(c, node);
    size_t before = c->r.problems->n + c->r.problems->dropped;
    if (e->of_host != NULL) {
        instance_own_set(c, node, r.map, r.what);
        instance_check(c, list->nodes, list->n - 1, r.map, e->at);
    }
    if (c->r.problems->n + c->r.problems->dropped == before)
        check_twins(c, list, node, e->at);
}

/* A host with instances is as many nodes; in a foreign tree the word means nothing to us. */
static void entry_add(struct compiler *c, struct node_list *list, const struct server_entry *e,
                      const struct shape *shape)
{
    struct server_entry one;
    struct place first;
    if (shape->map != NULL || !instances_wanted(e)) {
        node_add(c, list, e, shape);
        return;
    }
    size_t n = instances_count(c, e);
    if (n > 0 && seen_before(c, list, e->id, e->at, &first))
        problem_at(c->r.problems, e->at, "app_servers: node '%s' is listed twice (first at %s)", e->id,
                   place_text(c->r.arena, first));
    for (size_t i = 0; i < n; i++)
        if (instance_at(c, e, i, &one))
            node_add(c, list, &one, shape);
}

static void entries_add(struct compiler *c, struct node_list *list, const struct value *v,
                        const struct shape *shape)
{
    struct server_entry e;
    if (v->kind == VALUE_SCALAR)
        problem_at(c->r.problems, v->at,
                   "app_servers: wanted a map keyed by node id, or a list of ids, found %s",
                   value_kind_text(v));
    for (size_t i = 0; i < servers_count(v); i++)
        if (servers_at(v, shape->name, i, &e)) {
            if (c->pillar->chosen == NULL || map_entry(c->pillar->chosen, e.id) != NULL)
                entry_add(c, list, &e, shape);
        } else {
            problem_at(
                c->r.problems, v->items[i]->at,
                "app_servers: a list holds node ids, {id: {host: ...}} or {%s: id, host: ...}, found %s",
                shape->name, value_kind_text(v->items[i]));
        }
}

/* {pillar: "a:b:c"}: the nodes are in another place of the merged pillar. */
static const struct value *follow(struct compiler *c, const struct value *v, struct shape *shape)
{
    const char *name_key;
    const struct value *there = c->role == NULL ? c->pillar->servers : NULL;
    if (scalar_of(v, "pillar") == NULL)
        return there == NULL ? v : there;
    shape->map = v;
    if (!schema_read(&c->r, v, "app_servers", shape_fields, shape))
        return NULL;
    const char *port = shape->port;
    int64_t n;
    if (port != NULL && port[0] >= '0' && port[0] <= '9' &&
        !int_read(&c->r, map_get(v, "port"), "app_servers: port", 1, 65535, &n))
        return NULL;
    if (there == NULL)
        there = servers_behind(c->pillar->tree, v, &name_key);
    if (there == NULL)
        problem_at(c->r.problems, map_get(v, "pillar")->at, "app_servers: the pillar has nothing at '%s'",
                   shape->path);
    return there;
}

bool named_in(const char *list, const char *id)
{
    size_t len = strlen(id);
    for (const char *s = list; s != NULL && *s != '\0';) {
        size_t n = strcspn(s, ",");
        if (n == len && memcmp(s, id, n) == 0)
            return true;
        s += n + (s[n] == ',');
    }
    return false;
}

bool node_named_in(const char *list, const struct plan_node *node)
{
    return named_in(list, node->id) || (node->of_host != NULL && named_in(list, node->of_host));
}

size_t node_ids(const struct plan_node *nodes, size_t n, const char **ret)
{
    size_t n_ids = 0;
    for (size_t i = 0; i < n; i++)
        ret[n_ids++] = nodes[i].id;
    for (size_t i = 0; i < n; i++)
        if (nodes[i].of_host != NULL && (i == 0 || !plan_same_host(&nodes[i - 1], &nodes[i])))
            ret[n_ids++] = nodes[i].of_host;
    return n_ids;
}

void check_named(struct compiler *c, const char *option, const char *list, const char *what, const char **ids,
                 size_t n_ids)
{
    for (const char *s = list; s != NULL && *s != '\0';) {
        size_t n = strcspn(s, ",");
        const char *id = arena_strndup(c->r.arena, s, n);
        bool known = false;
        for (size_t i = 0; i < n_ids && !known; i++)
            known = strcmp(ids[i], id) == 0;
        if (!known)
            problems_add(c->r.problems, "%s: no %s '%s' in environment %s%s", option, what, id,
                         c->pillar->env, nearest_hint(c->r.arena, id, ids, n_ids));
        s += n + (s[n] == ',');
    }
}

static void choose(struct compiler *c, const struct node_list *all)
{
    struct plan *plan = c->plan;
    plan->nodes = arena_array(c->r.arena, all->n + 1, sizeof(*plan->nodes));
    if (!c->nodes_wrong && c->role == NULL) {
        const char **ids = arena_array(c->r.arena, 2 * all->n + 1, sizeof(*ids));
        size_t n = node_ids(all->nodes, all->n, ids);
        check_named(c, "--only", c->req->only, "node", ids, n);
        check_named(c, "--exclude", c->req->exclude, "node", ids, n);
    }
    for (size_t i = 0; i < all->n; i++) {
        const struct plan_node *node = &all->nodes[i];
        if (!c->left_alone && (c->req->only == NULL || node_named_in(c->req->only, node)) &&
            (c->req->exclude == NULL || !node_named_in(c->req->exclude, node)))
            plan->nodes[plan->n_nodes++] = *node;
    }
    if (plan->n_nodes == 0 && all->n > 0 && !c->nodes_wrong && c->role == NULL)
        problems_add(c->r.problems,
                     "no node is left of the %zu of environment %s: --only and --exclude leave none out of "
                     "which to choose",
                     all->n, c->pillar->env);
}

static void learn_names(struct compiler *c, const struct node_list *all)
{
    auto_arena struct arena scratch = {.head = NULL};
    struct value *names = value_map(&scratch, (struct place){.file = NULL});
    c->all_have_port = all->n > 0;
    c->servers = arena_array(c->r.arena, all->n + 1, sizeof(*c->servers));
    for (size_t i = 0; i < all->n; i++) {
        const struct plan_node *node = &all->nodes[i];
        bool port = false;
        for (size_t v = 0; v < node->n_vars; v++) {
            (void)map_add(&scratch, names, node->vars[v].name, names->at, names);
            port = port || strcmp(node->vars[v].name, "port") == 0;
        }
        c->all_have_port = c->all_have_port && port;
        c->servers[i] = op_pair_value(node->vars, node->n_vars, "lb_server");
    }
    c->node_names = arena_array(c->r.arena, names->n + 1, sizeof(*c->node_names));
    for (size_t i = 0; i < names->n; i++)
        c->node_names[c->n_node_names++] = names->entries[i].key;
}

void nodes_read(struct compiler *c)
{
    struct node_list list = {.seen = value_map(c->r.arena, (struct place){.file = NULL})};
    struct shape shape = {.name = "name"};
    const struct value *v = c->b.app_servers;
    size_t before = c->r.problems->n + c->r.problems->dropped;
    if (v == NULL && c->role != NULL) {
        c->nodes_wrong = true;
        problem_at(c->r.problems, c->b.map->at,
                   "release: roles: it has no nodes (wanted: app_servers: {app1: {host: 10.10.10.11}, ...})");
        return;
    }
    if (v == NULL) {
        c->nodes_wrong = true;
        problem_at(c->r.problems, c->b.map->at,
                   "release: no app_servers (wanted: {app1: {host: 10.10.10.11, port: 8080}, ...}, or "
                   "{pillar: \"a:b\"})");
        return;
    }
    v = follow(c, v, &shape);
    if (v != NULL)
        entries_add(c, &list, v, &shape);
    if (v != NULL && list.n == 0 && c->pillar->chosen == NULL &&
        c->r.problems->n + c->r.problems->dropped == before)
        problem_at(c->r.problems, v->at, "app_servers: the list of nodes is empty");
    if (list.n > PLAN_NODES_MAX)
        problem_at(c->r.problems, v->at, "app_servers: %zu nodes, at most %d", list.n, PLAN_NODES_MAX);
    c->n_all_nodes = list.n; /* instances are nodes */
    c->nodes_wrong = c->r.problems->n + c->r.problems->dropped > before;
    c->all_nodes = list.nodes;
    learn_names(c, &list);
    choose(c, &list);
}

void nodes_rehearse(struct compiler *c)
{
    struct plan *plan = c->plan;
    size_t n = c->req->n_rehearsed < PLAN_NODES_MAX ? c->req->n_rehearsed : PLAN_NODES_MAX;
    if (n == 0)
        return;
    struct plan_node *nodes = arena_array(c->r.arena, n, sizeof(*nodes));
    for (size_t i = 0; i < n; i++) {
        nodes[i] = plan->nodes[i % plan->n_nodes];
        nodes[i].id = arena_printf(c->r.arena, "n%zu", i + 1);
        nodes[i].of_host = NULL; /* as many machines */
    }
    plan->nodes = nodes;
    plan->n_nodes = c->n_all_nodes = n;
}
