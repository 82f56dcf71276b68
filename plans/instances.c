/* SPDX-License-Identifier: MIT */
/* Instances: `instances: {a: {port: 8081}, b: {port: 8082}}`, `instances: [a, b]` or `instances: 4` in an entry of
 * app_servers: several processes in one directory of one host. Each becomes a node of its own, HOST.NAME, with what the
 * host says and what it says itself; {n} and {instance} in these values are its number and name. What is of the
 * directory stays the host's. */
#include "plans/compile_priv.h"

#include <string.h>

#include "base/auto.h"

#define INSTANCES_MAX 64

/* A machine and its directory are one for all of its instances. */
static const char *const of_the_host[] = {"host", "address", "ip_address", "private_ip", "public_ip", "fqdn",
                                          "ip",   "dir",     "ssh",        "identity",   "instances", "user"};

static bool is_in(const char *const *list, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], key) == 0)
            return true;
    return false;
}

bool instances_wanted(const struct server_entry *e)
{
    return e->value != NULL && e->value->kind == VALUE_MAP && map_get(e->value, "instances") != NULL;
}

size_t instances_count(struct compiler *c, const struct server_entry *e)
{
    const struct value *v = map_get(e->value, "instances");
    int64_t n = 0;
    if (v->kind == VALUE_SCALAR && !value_is_null(v))
        return int_read(&c->r, v, arena_printf(c->r.arena, "app_servers: %s: instances", e->id), 1,
                        INSTANCES_MAX, &n)
                   ? (size_t)n
                   : 0;
    if (v->kind != VALUE_SCALAR && v->n >= 1 && v->n <= INSTANCES_MAX)
        return v->n;
    problem_at(
        c->r.problems, v->at,
        "app_servers: %s: instances: wanted a number from 1 to %d, a list of names, or a map {a: {port: ..}, "
        "...} of as many",
        e->id, INSTANCES_MAX);
    return 0;
}

/* ---- one of them */

struct instance_name {
    const char *name, *n;
};

/* Other names are templates' own, and stay. */
static const char *filled(struct arena *a, const char *text, const struct instance_name *by)
{
    static const char n_mark[] = "{n}", name_mark[] = "{instance}";
    auto_buf struct buf out = BUF_INIT((size_t)YAML_BYTES_MAX);
    if (strchr(text, '{') == NULL)
        return text;
    while (*text != '\0') {
        bool n = str_starts(text, n_mark), name = str_starts(text, name_mark);
        if (n || name) {
            buf_puts(&out, n ? by->n : by->name);
            text += strlen(n ? n_mark : name_mark);
        } else {
            buf_add(&out, text++, 1);
        }
    }
    return arena_strdup(a, buf_str(&out));
}

static const struct value *filled_value(struct arena *a, const struct value *v,
                                        const struct instance_name *by)
{
    if (v->kind == VALUE_SCALAR && !value_is_null(v) && strchr(v->text, '{') != NULL)
        return value_scalar(a, v->at, filled(a, v->text, by));
    if (v->kind != VALUE_LIST)
        return v;
    struct value *list = value_list(a, v->at);
    for (size_t i = 0; i < v->n; i++)
        list_add(a, list, filled_value(a, v->items[i], by));
    return list;
}

static void take(struct compiler *c, const char *what, struct value *to, const struct value *from,
                 const struct instance_name *by)
{
    static const char *const ours[] = {"n", "instance"};
    for (size_t i = 0; i < from->n; i++) {
        const struct entry *e = &from->entries[i];
        if (strcmp(e->key, "instances") == 0)
            continue;
        if (is_in(ours, 2, e->key))
            problem_at(c->r.problems, e->at, "%s: '%s' cannot be set: it is the instance's %s", what, e->key,
                       strcmp(e->key, "n") == 0 ? "number" : "name");
        else
            map_put(c->r.arena, to, e->key, e->at, filled_value(c->r.arena, e->value, by));
    }
}

/* The map that stands behind its name; NULL: it says nothing itself. */
static const struct value *own_map(struct compiler *c, const char *what, const struct entry *of)
{
    if (of == NULL || value_is_null(of->value))
        return NULL;
    if (of->value->kind != VALUE_MAP) {
        problem_at(c->r.problems, of->value->at, "%s: wanted {port: .., lb_server: ..}, found %s", what,
                   value_kind_text(of->value));
        return NULL;
    }
    for (size_t i = 0; i < of->value->n; i++) {
        const struct entry *e = &of->value->entries[i];
        if (is_in(of_the_host, sizeof(of_the_host) / sizeof(of_the_host[0]), e->key))
            problem_at(
                c->r.problems, e->at,
                "%s: '%s' is the host's: instances run on one machine, in one directory; write it beside "
                "'instances:', or make this a node of its own",
                what, e->key);
    }
    return of->value;
}

bool instance_at(struct compiler *c, const struct server_entry *e, size_t i, struct server_entry *ret)
{
    struct arena *a = c->r.arena;
    const struct value *v = map_get(e->value, "instances");
    const struct entry *own = v->kind == VALUE_MAP ? &v->entries[i] : NULL;
    const struct value *item = v->kind == VALUE_LIST ? v->items[i] : NULL;
    struct instance_name by = {.n = arena_printf(a, "%zu", i + 1)};
    if (item != NULL && (item->kind != VALUE_SCALAR || value_is_null(item))) {
        problem_at(c->r.problems, item->at, "app_servers: %s: instances: a list holds names, found %s", e->id,
                   value_kind_text(item));
        return false;
    }
    by.name = own != NULL ? own->key : item != NULL ? item->text : by.n;
    struct place at = own != NULL ? own->at : item != NULL ? item->at : e->at;
    struct value *all = value_map(a, at);
    const char *what = arena_printf(a, "app_servers: %s: instances: %s", e->id, by.name);
    const struct value *itself = own_map(c, what, own);
    map_put(a, all, "n", at, value_scalar(a, at, by.n));
    map_put(a, all, "instance", at, value_scalar(a, at, by.name));
    take(c, arena_printf(a, "app_servers: %s", e->id), all, e->value, &by);
    if (itself != NULL)
        take(c, what, all, itself, &by);
    *ret = (struct server_entry){.id = arena_printf(a, "%s.%s", e->id, by.name),
                                 .at = at,
                                 .value = all,
                                 .whole = e->whole,
                                 .of_host = e->id};
    return true;
}

/* ---- what they run */

/* A list that the application's driver takes, such as supervisord's programs: which of them are whose. */
bool instance_own_key(struct compiler *c, const char *key)
{
    for (size_t i = 0; i < c->b.n_apps; i++)
        for (const struct driver *const *d = c->table; *d != NULL; d++) {
            if (strcmp((*d)->name, c->b.apps[i].driver) != 0)
                continue;
            for (const struct verb *v = (*d)->verbs; v->name != NULL; v++) {
                const struct param *p = param_find(v, key);
                if (p != NULL && p->type == PARAM_LIST)
                    return true;
            }
        }
    return false;
}

static const char *own_json(struct compiler *c, const struct value *v)
{
    const struct value *const one[1] = {v};
    const struct value *const *items = v->kind == VALUE_LIST ? v->items : one;
    size_t n = v->kind == VALUE_LIST ? v->n : 1;
    auto_buf struct buf out = BUF_INIT((size_t)YAML_BYTES_MAX * 4);
    buf_puts(&out, "[");
    for (size_t i = 0; i < n; i++) {
        if (items[i]->kind != VALUE_SCALAR || value_is_null(items[i]))
            return NULL;
        buf_puts(&out, i == 0 ? "" : ",");
        json_string_add(&out, items[i]->text);
    }
    buf_puts(&out, "]");
    return n == 0 ? NULL : arena_strdup(c->r.arena, buf_str(&out));
}

void instance_own_set(struct compiler *c, struct plan_node *node, const struct value *map, const char *what)
{
    struct op_pair *own = arena_array(c->r.arena, map->n + 1, sizeof(*own));
    for (size_t i = 0; i < map->n; i++) {
        const struct entry *e = &map->entries[i];
        if (e->value->kind == VALUE_MAP || value_is_null(e->value) || !instance_own_key(c, e->key))
            continue;
        const char *json = own_json(c, e->value);
        if (json == NULL)
            problem_at(c->r.problems, e->value->at, "%s: %s: wanted names, as in [zope1]", what, e->key);
        else
            own[node->n_own++] = (struct op_pair){.name = e->key, .value = json};
    }
    node->own = own;
}

bool instances_say_all(const struct compiler *c, const struct verb *verb, const char *param)
{
    bool all = plan_verb_takes_own(verb) && c->n_all_nodes > 0;
    for (size_t i = 0; all && i < c->n_all_nodes; i++)
        all = op_pair_value(c->all_nodes[i].own, c->all_nodes[i].n_own, param) != NULL;
    return all;
}

/* ---- proofs */

/* By a template of its own: server: "{host}-{n}". */
static bool names_server(const struct value *block)
{
    static const char *const keys[] = {"server", "backend"};
    for (size_t i = 0; i < 2; i++) {
        const struct value *v = map_get(block, keys[i]);
        if (v != NULL && v->kind == VALUE_SCALAR && !value_is_null(v) && strchr(v->text, '{') != NULL)
            return true;
    }
    return false;
}

/* Each has a server of its own, unless the balancer's block says by a name of its own which it is. */
static void server_wanted(struct compiler *c, const struct plan_node *node, const struct value *entry,
                          struct place at)
{
    bool named = map_get(entry, "lb_server") != NULL;
    for (size_t i = 0; !named && i < c->b.n_balancers; i++)
        if (!names_server(c->b.balancers[i].map)) {
            problem_at(
                c->r.problems, at,
                "app_servers: instance '%s' has no lb_server, and %s sends to each by a server of its own "
                "(wanted: lb_server: NAME, or once beside instances: lb_server: \"%s-{n}\")",
                node->id, c->b.balancers[i].what, node->of_host);
            return;
        }
}

static void same_value(struct compiler *c, const struct plan_node *first, const struct plan_node *node,
                       const char *name, struct place at)
{
    const char *a = op_pair_value(first->vars, first->n_vars, name),
               *b = op_pair_value(node->vars, node->n_vars, name);
    if (a == NULL || b == NULL || strcmp(a, b) != 0)
        return;
    problem_at(c->r.problems, at, "app_servers: instances '%s' and '%s' have the same %s %s%s", first->id,
               node->id, name, a,
               strcmp(name, "port") == 0 ? ": give each its own, or write {n} in it (port: \"808{n}\")"
                                         : arena_printf(c->r.arena,
                                                        ": give each its own, or write {n} in it "
                                                        "(lb_server: \"%s-{n}\")",
                                                        node->of_host));
}

/* Against those of its host before it. */
void instance_check(struct compiler *c, const struct plan_node *nodes, size_t i, const struct value *entry,
                    struct place at)
{
    const struct plan_node *node = &nodes[i];
    size_t first = i;
    while (first > 0 && plan_same_host(&nodes[first - 1], node))
        first--;
    server_wanted(c, node, entry, at);
    for (size_t k = first; k < i; k++) {
        same_value(c, &nodes[k], node, "port", at);
        if (c->b.n_balancers > 0 && map_get(entry, "lb_server") != NULL)
            same_value(c, &nodes[k], node, "lb_server", at);
    }
    const char *a = op_pair_value(nodes[first].vars, nodes[first].n_vars, "dir"),
               *b = op_pair_value(node->vars, node->n_vars, "dir");
    if (first < i && a != NULL && b != NULL && strcmp(a, b) != 0)
        problem_at(
            c->r.problems, at,
            "app_servers: instances '%s' and '%s' have directories of their own, %s and %s: instances share "
            "one (a dir: with {host} in place of {node} or {n}), or list them as nodes",
            nodes[first].id, node->id, a, b);
}

static const struct plan_node *any_instance(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_nodes; i++)
        if (plan->nodes[i].of_host != NULL)
            return &plan->nodes[i];
    return NULL;
}

/* Once for the host: so it must be the same command for each of them. */
static void step_prove(struct compiler *c, const struct plan_step *step)
{
    const struct plan *plan = c->plan;
    auto_arena struct arena scratch = {.head = NULL};
    for (size_t i = 1; i < plan->n_nodes; i++) {
        const struct plan_node *a = &plan->nodes[i - 1], *b = &plan->nodes[i];
        if (!plan_same_host(a, b))
            continue;
        size_t n, m;
        const struct op_pair *one = plan_args(plan, step, a, false, &scratch, &n),
                             *other = plan_args(plan, step, b, false, &scratch, &m);
        for (size_t k = 0; k < n; k++)
            if (strcmp(one[k].value, other[k].value) != 0) {
                problems_add(
                    c->r.problems,
                    "%s: %s: %s is '%s' for %s and '%s' for %s, but what is of the directory runs once for "
                    "all instances of %s: leave out what differs",
                    step->where, step->label != NULL ? step->label : step->verb, one[k].name, one[k].value,
                    a->id, other[k].value, b->id, a->of_host);
                return;
            }
    }
}

/* Part of a host's instances would be left on a directory that is changed under them. */
static void chosen_prove(struct compiler *c, const struct plan_step *by)
{
    const struct plan *plan = c->plan;
    for (size_t i = 0, k = 0; i < c->n_all_nodes; i++) {
        const struct plan_node *node = &c->all_nodes[i];
        if (k < plan->n_nodes && strcmp(plan->nodes[k].id, node->id) == 0) {
            k++;
            continue;
        }
        for (size_t p = 0; node->of_host != NULL && p < plan->n_nodes; p++)
            if (plan_same_host(&plan->nodes[p], node)) {
                problems_add(
                    c->r.problems,
                    "--only, --exclude: %s is chosen and %s is not, but they run in one directory, which %s "
                    "(%s) is about: name the host, %s, or all of its instances",
                    plan->nodes[p].id, node->id, by->verb, by->where, node->of_host);
                return;
            }
    }
}

void instances_prove(struct compiler *c)
{
    const struct plan *plan = c->plan;
    const struct plan_node *one = any_instance(plan);
    const struct plan_step *of_host = NULL;
    if (one == NULL)
        return;
    for (size_t s = 0; s < plan->n_steps; s++) {
        const struct plan_step *step = &plan->steps[s];
        if (!plan_step_of_host(step))
            continue;
        of_host = of_host == NULL ? step : of_host;
        if (step->phase == PHASE_CHANGE && verb_does(step->verb) != DOES_SWITCH) {
            problems_add(
                c->r.problems,
                "%s: plan %s has %s while instances are out one after the other, and would change the "
                "directory under those of %s (%s) that still run: instances need a plan that builds beside "
                "what runs, as `plan: rolling` does, or nodes with a `dir` of their own",
                step->where, plan->name, step->verb, one->of_host, one->where);
            return;
        }
        step_prove(c, step);
    }
    if (of_host != NULL)
        chosen_prove(c, of_host);
}
