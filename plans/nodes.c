/* app_servers: in its many shapes (a map keyed by id, a list of ids, or another place of the pillar) -> nodes
 * of the plan, in the order written. */
#include "plans/compile_priv.h"

#include <stdlib.h>
#include <string.h>

static const char *const host_keys[] = {"host",      "address", "ip_address", "private_ip",
                                        "public_ip", "fqdn",    "ip"};
#define N_HOST_KEYS (sizeof(host_keys) / sizeof(host_keys[0]))

/* Names that mean something else in every template. */
static const char *const reserved[] = {"node",      "env",        "app",         "rev",
                                       "rev_short", "rev_before", "release_dir", "release",
                                       "fence",     "operator",   "repo"};

/* How to read entries: `{pillar: a:b, host: KEY, port: KEY}` names the keys of a foreign tree. */
struct shape {
    const char *host_key, *port_key;
    bool foreign; /* keys that mean nothing to us are not mistakes */
};

struct node_list {
    struct plan_node *nodes;
    const struct value **entries; /* what each was read from, or NULL */
    size_t n, cap;
    struct value *seen; /* map: id or address -> itself, for duplicates */
};

const char *pair_get(const struct op_pair *pairs, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(pairs[i].name, name) == 0)
            return pairs[i].value;
    return NULL;
}

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

static const struct value *host_of(const struct value *entry, const struct shape *shape)
{
    if (shape->host_key != NULL)
        return scalar_of(entry, shape->host_key);
    for (size_t i = 0; i < N_HOST_KEYS; i++) {
        const struct value *v = scalar_of(entry, host_keys[i]);
        if (v != NULL)
            return v;
    }
    return NULL;
}

static bool is_reserved(const char *name)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcmp(reserved[i], name) == 0)
            return true;
    return false;
}

static void check_entry_keys(struct compiler *c, const struct value *entry, const char *what,
                             const struct shape *shape)
{
    static const char *const known[] = {"ssh", "host", "port", "lb_server", "identity"};
    for (size_t i = 0; entry != NULL && i < entry->n; i++) {
        const struct entry *e = &entry->entries[i];
        if (is_reserved(e->key) && !shape->foreign)
            problem_at(c->r.problems, e->at, "%s: '%s' cannot be set: it means the release's own", what,
                       e->key);
        else if (e->value->kind != VALUE_SCALAR && strcmp(e->key, "ssh") != 0 && !shape->foreign)
            problem_at(c->r.problems, e->at, "%s: '%s' is %s; a node has plain values and ssh:%s", what,
                       e->key, value_kind_text(e->value), nearest_hint(c->r.arena, e->key, known, 5));
    }
}

static void target_set(struct compiler *c, struct plan_node *node, const struct ssh_block *ssh,
                       const char *host)
{
    node->target = (struct target){
        .id = node->id,
        .transport = ssh->transport,
        .host = host,
        .port = (int)ssh->port,
        .user = ssh->user,
        .key = ssh->key,
        .known_hosts = ssh->known_hosts,
        .proxy_jump = ssh->proxy_jump,
        .ssh_config = ssh->config,
        .state_dir = arena_printf(c->r.arena, ".release/%s/%s", c->pillar->env, node->id),
    };
}

static void var_add(struct op_pair *vars, size_t *n, const char *name, const char *value)
{
    if (value != NULL)
        vars[(*n)++] = (struct op_pair){.name = name, .value = value};
}

static const char *port_of(struct compiler *c, const struct value *entry, const char *what,
                           const struct shape *shape)
{
    const char *key = shape->port_key == NULL ? "port" : shape->port_key;
    if (key[0] >= '0' && key[0] <= '9')
        return key;
    const struct value *v = scalar_of(entry, key);
    int64_t n;
    if (v == NULL)
        return NULL;
    const char *name = arena_printf(c->r.arena, "%s: %s", what, key);
    return int_read(&c->r, v, name, 1, 65535, &n) ? arena_printf(c->r.arena, "%lld", (long long)n) : NULL;
}

static bool is_own_key(const char *key)
{
    static const char *const keys[] = {"host", "port", "lb_server", "identity"};
    for (size_t i = 0; i < 4; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

static void vars_set(struct compiler *c, struct plan_node *node, const struct value *entry, const char *what,
                     const struct shape *shape)
{
    struct op_pair *vars = arena_array(c->r.arena, (entry == NULL ? 0 : entry->n) + 4, sizeof(*vars));
    size_t n = 0;
    const struct value *lb = scalar_of(entry, "lb_server");
    var_add(vars, &n, "node", node->id);
    var_add(vars, &n, "host", node->target.host);
    var_add(vars, &n, "port", port_of(c, entry, what, shape));
    var_add(vars, &n, "lb_server", lb == NULL ? node->id : lb->text);
    for (size_t i = 0; entry != NULL && i < entry->n; i++) {
        const struct entry *e = &entry->entries[i];
        if (e->value->kind == VALUE_SCALAR && !is_own_key(e->key) && !is_reserved(e->key))
            var_add(vars, &n, e->key, e->value->text);
    }
    node->vars = vars;
    node->n_vars = n;
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
    const char *port = pair_get(node->vars, node->n_vars, "port"),
               *dir = pair_get(node->vars, node->n_vars, "dir");
    const char *key = arena_printf(a, "=%s %d %s %s", node->target.host, node->target.port,
                                   port == NULL ? "" : port, dir == NULL ? "" : dir);
    if (seen_before(c, list, key, at, &first))
        problem_at(c->r.problems, at, "node '%s' has the same host, port and dir as the one at %s", node->id,
                   place_text(a, first));
    const char *server = pair_get(node->vars, node->n_vars, "lb_server");
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

/* entry: a map, an address, or nothing (the id is the host's name). */
static void node_add(struct compiler *c, struct node_list *list, const char *id, const struct value *entry,
                     struct place at, const struct shape *shape)
{
    const char *what = arena_printf(c->r.arena, "app_servers: %s", id);
    const struct value *map = entry != NULL && entry->kind == VALUE_MAP ? entry : NULL;
    const struct value *host = map != NULL                   ? host_of(map, shape)
                               : value_is_null(entry)        ? NULL
                               : entry->kind == VALUE_SCALAR ? entry
                                                             : NULL;
    struct ssh_block ssh = c->b.ssh_defaults;
    if (!id_ok(c, list, id, at))
        return;
    if (entry != NULL && entry->kind == VALUE_LIST) {
        problem_at(c->r.problems, entry->at, "%s: wanted {host: ..., port: ...} or an address, found a list",
                   what);
        return;
    }
    check_entry_keys(c, map, what, shape);
    (void)ssh_read(c, shape->foreign ? NULL : map_get(map, "ssh"), arena_printf(c->r.arena, "%s: ssh", what),
                   &ssh);
    if (host != NULL && !host_valid(host->text)) {
        problem_at(c->r.problems, host->at, "%s: '%s' is not a host name or address", what, host->text);
        return;
    }
    struct plan_node *node = node_new(c, list, map);
    *node = (struct plan_node){.id = id, .rev = "", .rev_before = "", .where = place_text(c->r.arena, at)};
    target_set(c, node, &ssh, host == NULL ? id : host->text);
    const struct value *identity = scalar_of(map, "identity");
    node->target.identity = identity == NULL ? NULL : identity->text;
    vars_set(c, node, map, what, shape);
    check_twins(c, list, node, at);
}

static void list_item_add(struct compiler *c, struct node_list *list, const struct value *item,
                          const struct shape *shape)
{
    if (item->kind == VALUE_SCALAR && !value_is_null(item))
        node_add(c, list, item->text, NULL, item->at, shape);
    else if (item->kind == VALUE_MAP && item->n == 1)
        node_add(c, list, item->entries[0].key, item->entries[0].value, item->at, shape);
    else
        problem_at(c->r.problems, item->at,
                   "app_servers: a list holds node ids or {id: {host: ...}}, found %s",
                   value_kind_text(item));
}

/* A null makes `a: ` in a list of hosts look like an empty node; the map form needs no care. */
static void entries_add(struct compiler *c, struct node_list *list, const struct value *v,
                        const struct shape *shape)
{
    if (v->kind == VALUE_LIST) {
        for (size_t i = 0; i < v->n; i++)
            list_item_add(c, list, v->items[i], shape);
        return;
    }
    if (v->kind != VALUE_MAP) {
        problem_at(c->r.problems, v->at,
                   "app_servers: wanted a map keyed by node id, or a list of ids, found %s",
                   value_kind_text(v));
        return;
    }
    for (size_t i = 0; i < v->n; i++)
        node_add(c, list, v->entries[i].key, v->entries[i].value, v->entries[i].at, shape);
}

/* {pillar: "a:b:c"}: the nodes are in another place of the merged pillar. */
static const struct value *follow(struct compiler *c, const struct value *v, struct shape *shape)
{
    const struct value *path = scalar_of(v, "pillar");
    if (path == NULL)
        return v;
    const struct value *host = scalar_of(v, "host"), *port = scalar_of(v, "port");
    *shape = (struct shape){.foreign = true,
                            .host_key = host == NULL ? NULL : host->text,
                            .port_key = port == NULL ? NULL : port->text};
    const struct value *there = pillar_get(c->pillar, path->text);
    if (there == NULL)
        problem_at(c->r.problems, path->at, "app_servers: the pillar has nothing at '%s'", path->text);
    return there;
}

static bool named_in(const char *list, const char *id)
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

static void check_named(struct compiler *c, const char *option, const char *list, const struct node_list *all)
{
    const char **ids = arena_array(c->r.arena, all->n + 1, sizeof(*ids));
    for (size_t i = 0; i < all->n; i++)
        ids[i] = all->nodes[i].id;
    for (const char *s = list; s != NULL && *s != '\0';) {
        size_t n = strcspn(s, ",");
        const char *id = arena_strndup(c->r.arena, s, n);
        bool known = false;
        for (size_t i = 0; i < all->n && !known; i++)
            known = strcmp(ids[i], id) == 0;
        if (!known)
            problems_add(c->r.problems, "%s: no node '%s' in environment %s%s", option, id, c->pillar->env,
                         nearest_hint(c->r.arena, id, ids, all->n));
        s += n + (s[n] == ',');
    }
}

static void choose(struct compiler *c, const struct node_list *all)
{
    struct plan *plan = c->plan;
    plan->nodes = arena_array(c->r.arena, all->n + 1, sizeof(*plan->nodes));
    check_named(c, "--only", c->req->only, all);
    check_named(c, "--exclude", c->req->exclude, all);
    for (size_t i = 0; i < all->n; i++) {
        const char *id = all->nodes[i].id;
        if ((c->req->only == NULL || named_in(c->req->only, id)) &&
            (c->req->exclude == NULL || !named_in(c->req->exclude, id)))
            plan->nodes[plan->n_nodes++] = all->nodes[i];
    }
    if (plan->n_nodes == 0 && all->n > 0)
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
        c->servers[i] = pair_get(node->vars, node->n_vars, "lb_server");
    }
    c->node_names = arena_array(c->r.arena, names->n + 1, sizeof(*c->node_names));
    for (size_t i = 0; i < names->n; i++)
        c->node_names[c->n_node_names++] = names->entries[i].key;
}

void nodes_read(struct compiler *c)
{
    struct node_list list = {.seen = value_map(c->r.arena, (struct place){.file = NULL})};
    struct shape shape = {.foreign = false};
    const struct value *v = c->b.app_servers;
    if (v == NULL) {
        problem_at(c->r.problems, c->b.map->at,
                   "release: no app_servers (wanted: {app1: {host: 10.10.10.11, port: 8080}, ...}, or "
                   "{pillar: \"a:b\"})");
        return;
    }
    v = follow(c, v, &shape);
    size_t before = c->r.problems->n;
    if (v != NULL)
        entries_add(c, &list, v, &shape);
    if (v != NULL && list.n == 0 && c->r.problems->n == before)
        problem_at(c->r.problems, v->at, "app_servers: the list of nodes is empty");
    if (list.n > PLAN_NODES_MAX)
        problem_at(c->r.problems, v->at, "app_servers: %zu nodes, at most %d", list.n, PLAN_NODES_MAX);
    c->n_all_nodes = list.n;
    learn_names(c, &list);
    choose(c, &list);
}

/* ---- what steps use
 * ------------------------------------------------------------------------------------------- */

static const char *node_pillar_value(struct compiler *c, const struct plan_node *node, const char *name)
{
    const struct value *v = value_get(pillar_tree_of(c->pillar, node->id), name + strlen("pillar:"));
    return v != NULL && v->kind == VALUE_SCALAR ? v->text : NULL;
}

static void add_node_var(struct compiler *c, struct plan_node *node, const char *name, const char *value)
{
    struct op_pair *vars = arena_array(c->r.arena, node->n_vars + 1, sizeof(*vars));
    memcpy(vars, node->vars, node->n_vars * sizeof(*vars));
    vars[node->n_vars++] = (struct op_pair){.name = name, .value = value};
    node->vars = vars;
}

static bool prove_one(struct compiler *c, struct plan_node *node, const struct var_use *use)
{
    if (pair_get(node->vars, node->n_vars, use->name) != NULL)
        return true;
    if (!str_starts(use->name, "pillar:")) {
        problem_at(c->r.problems, use->at, "{%s}: node '%s' (%s) has no '%s'", use->name, node->id,
                   node->where, use->name);
        return false;
    }
    const char *value = node_pillar_value(c, node, use->name);
    if (value == NULL)
        problem_at(c->r.problems, use->at, "{%s}: the pillar of node '%s' has no such text", use->name,
                   node->id);
    else
        add_node_var(c, node, use->name, value);
    return value != NULL;
}

void nodes_prove(struct compiler *c)
{
    for (size_t u = 0; u < c->n_uses; u++)
        for (size_t i = 0; i < c->plan->n_nodes; i++)
            if (!prove_one(c, &c->plan->nodes[i], &c->uses[u]))
                break; /* one node stands for all that lack it */
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
    }
    plan->nodes = nodes;
    plan->n_nodes = c->n_all_nodes = n;
}
