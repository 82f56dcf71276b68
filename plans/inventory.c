/* SPDX-License-Identifier: MIT */
/* app_servers from whoever lists them: an Ansible inventory, a script in our own form, a driver (inventory.h). */
#include "plans/inventory.h"

#include <string.h>

#include "plans/schema.h"

#define GROUP_DEPTH_MAX 32
#define LIST_TIMEOUT_MS (2 * 60 * 1000)

/* The map under app_servers. */
struct inventory_question {
    const struct value *command, *vars;
    const char *match, *group, *host, *port, *lb_server, *ssh;
    int64_t timeout_ms;
};

#define AT(member) offsetof(struct inventory_question, member)
static const struct field fields[] = {
    {.name = "command", .type = FIELD_VALUE, .offset = AT(command)},
    {.name = "match", .type = FIELD_TEXT, .offset = AT(match)},
    {.name = "group", .type = FIELD_TEXT, .offset = AT(group)},
    {.name = "host", .type = FIELD_TEXT, .offset = AT(host)},
    {.name = "port", .type = FIELD_TEXT, .offset = AT(port)},
    {.name = "lb_server", .type = FIELD_TEXT, .offset = AT(lb_server)},
    {.name = "vars", .type = FIELD_VALUE, .offset = AT(vars)},
    {.name = "ssh", .type = FIELD_CHOICE, .offset = AT(ssh), .choices = "yes|no|true|false"},
    {.name = "timeout", .type = FIELD_DURATION, .offset = AT(timeout_ms)},
    FIELD_END,
};

struct inventory_ask {
    struct schema_reader r;
    const struct value *map; /* app_servers */
    const struct inventory_request *req;
    struct inventory_question q;
    bool login; /* what an inventory says about the login is taken */
    const struct entry *driver;
    const struct verb *verb; /* that lists its nodes */
};

bool inventory_wanted(const struct value *v)
{
    const struct value *command = map_get(v, "command"), *match = map_get(v, "match");
    const struct verb *verb;
    return inventory_driver(v, &verb) != NULL || (command != NULL && command->kind == VALUE_LIST) ||
           (match != NULL && match->kind == VALUE_SCALAR);
}

/* ---- one node */

static bool lacks(struct inventory_ask *k, const char *node, struct place at, const char *what,
                  const char *key)
{
    problem_at(k->r.problems, at, "app_servers: node '%s' has no plain value '%s', which %s: names (%s)",
               node, key, what, place_text(k->r.arena, k->map->at));
    return false;
}

/* `a:b` leads into the node's values, unless one is called so. */
static bool take(struct inventory_ask *k, struct value *to, const char *what, const char *path,
                 const char *node, const struct value *from)
{
    const struct value *v = map_get(from, path);
    if (v == NULL && from != NULL)
        v = value_get(from, path);
    if (v == NULL || v->kind != VALUE_SCALAR || value_is_null(v))
        return lacks(k, node, from == NULL ? k->map->at : from->at, what, path);
    map_put(k->r.arena, to, what, v->at, v);
    return true;
}

static bool take_named(struct inventory_ask *k, struct value *to, const char *node, const struct value *from)
{
    const struct inventory_question *q = &k->q;
    bool number = q->port != NULL && q->port[0] >= '0' && q->port[0] <= '9';
    bool ok = q->host == NULL || take(k, to, "host", q->host, node, from);
    if (number)
        map_put(k->r.arena, to, "port", k->map->at, value_scalar(k->r.arena, k->map->at, q->port));
    else
        ok = (q->port == NULL || take(k, to, "port", q->port, node, from)) && ok;
    ok = (q->lb_server == NULL || take(k, to, "lb_server", q->lb_server, node, from)) && ok;
    for (size_t i = 0; q->vars != NULL && i < q->vars->n; i++) {
        const char *path = q->vars->items[i]->text, *colon = strrchr(path, ':');
        ok = take(k, to, colon == NULL ? path : colon + 1, path, node, from) && ok;
    }
    return ok;
}

/* ---- ansible-inventory --list */

static void login_put(struct inventory_ask *k, struct value *ssh, const char *name, const struct value *vars,
                      const char *const *keys)
{
    for (; *keys != NULL; keys++) {
        const struct value *v = map_get(vars, *keys);
        if (v != NULL && v->kind == VALUE_SCALAR && !value_is_null(v))
            map_put(k->r.arena, ssh, name, v->at, v);
    }
}

/* What leads to another machine than the address says, and cannot be done here. */
static bool login_possible(struct inventory_ask *k, const char *node, const struct value *vars)
{
    static const char *const args[] = {"ansible_ssh_common_args", "ansible_ssh_extra_args",
                                       "ansible_ssh_args", NULL};
    for (size_t i = 0; args[i] != NULL; i++) {
        const struct value *v = map_get(vars, args[i]);
        if (v == NULL || (v->kind == VALUE_SCALAR && (value_is_null(v) || v->text[0] == '\0')))
            continue;
        problem_at(k->r.problems, v->at,
                   "app_servers: node '%s': %s is not read; say it in the release: block (ssh: proxy_jump or "
                   "config) "
                   "and write 'ssh: no' beside group: to take no login from the inventory",
                   node, args[i]);
        return false;
    }
    const struct value *c = map_get(vars, "ansible_connection");
    const char *how = c != NULL && c->kind == VALUE_SCALAR ? c->text : "ssh";
    if (choice_has("ssh|smart|paramiko|local", how))
        return true;
    problem_at(k->r.problems, c->at,
               "app_servers: node '%s': ansible_connection: %s is not possible (wanted: ssh or local; 'ssh: "
               "no' beside "
               "group: takes no login from the inventory)",
               node, how);
    return false;
}

static bool take_login(struct inventory_ask *k, struct value *to, const char *node, const struct value *vars)
{
    static const char *const port[] = {"ansible_ssh_port", "ansible_port", NULL},
                             *const user[] = {"ansible_ssh_user", "ansible_user", NULL},
                             *const key[] = {"ansible_private_key_file", "ansible_ssh_private_key_file",
                                             NULL},
                             *const host[] = {"ansible_ssh_host", "ansible_host", NULL};
    struct value *ssh = value_map(k->r.arena, to->at);
    const struct value *c = map_get(vars, "ansible_connection");
    if (k->q.host == NULL)
        login_put(k, to, "host", vars, host);
    if (!k->login)
        return true;
    if (!login_possible(k, node, vars))
        return false;
    login_put(k, ssh, "port", vars, port);
    login_put(k, ssh, "user", vars, user);
    login_put(k, ssh, "key", vars, key);
    if (c != NULL && c->kind == VALUE_SCALAR && strcmp(c->text, "local") == 0)
        map_put(k->r.arena, ssh, "transport", c->at, c);
    if (ssh->n > 0)
        (void)map_add(k->r.arena, to, "ssh", ssh->at, ssh);
    return true;
}

struct group_walk {
    struct inventory_ask *k;
    const struct value *inventory;
    struct value *hosts, *seen; /* maps: name -> anything */
    size_t depth;
};

/* The group's own hosts as listed, then those of each child. */
static bool group_walk(struct group_walk *w, const char *name, struct place at)
{
    struct arena *a = w->k->r.arena;
    const struct value *group = map_get(w->inventory, name), *hosts = map_get(group, "hosts"),
                       *children = map_get(group, "children");
    if (!map_add(a, w->seen, name, at, w->inventory))
        return true;
    if (w->depth == GROUP_DEPTH_MAX) {
        problem_at(w->k->r.problems, at, "app_servers: groups nested deeper than %d", GROUP_DEPTH_MAX);
        return false;
    }
    for (size_t i = 0; hosts != NULL && hosts->kind == VALUE_LIST && i < hosts->n; i++)
        if (hosts->items[i]->kind == VALUE_SCALAR)
            (void)map_add(a, w->hosts, hosts->items[i]->text, hosts->items[i]->at, w->inventory);
    bool ok = true;
    w->depth++;
    for (size_t i = 0; children != NULL && children->kind == VALUE_LIST && i < children->n; i++)
        if (children->items[i]->kind == VALUE_SCALAR)
            ok = group_walk(w, children->items[i]->text, children->items[i]->at) && ok;
    w->depth--;
    return ok;
}

static bool group_unknown(struct inventory_ask *k, const struct value *inventory)
{
    const char **names = arena_array(k->r.arena, inventory->n + 1, sizeof(*names));
    auto_buf struct buf list = BUF_INIT(2000);
    size_t n = 0;
    for (size_t i = 0; i < inventory->n; i++)
        if (strcmp(inventory->entries[i].key, "_meta") != 0)
            names[n++] = inventory->entries[i].key;
    for (size_t i = 0; i < n; i++)
        buf_printf(&list, "%s%s", i == 0 ? "" : ", ", names[i]);
    if (k->q.group == NULL)
        problem_at(k->r.problems, k->map->at,
                   "app_servers: the program printed an inventory: which of its groups are the nodes? "
                   "(wanted: group: "
                   "NAME; it has %s)",
                   buf_str(&list));
    else
        problem_at(k->r.problems, k->map->at, "app_servers: the inventory has no group '%s'%s (it has %s)",
                   k->q.group, nearest_hint(k->r.arena, k->q.group, names, n), buf_str(&list));
    return false;
}

/* Only what is named becomes part of the plan: host variables hold whatever a playbook needs, passwords too.
 */
static bool from_inventory(struct inventory_ask *k, const struct value *inventory, struct value *ret)
{
    struct group_walk w = {.k = k,
                           .inventory = inventory,
                           .hosts = value_map(k->r.arena, inventory->at),
                           .seen = value_map(k->r.arena, inventory->at)};
    const struct value *all = map_get(map_get(inventory, "_meta"), "hostvars");
    if (k->q.group == NULL || map_get(inventory, k->q.group) == NULL)
        return group_unknown(k, inventory);
    bool ok = group_walk(&w, k->q.group, k->map->at);
    for (size_t i = 0; i < w.hosts->n; i++) {
        const struct entry *e = &w.hosts->entries[i];
        const struct value *vars = map_get(all, e->key);
        struct value *entry = value_map(k->r.arena, e->at);
        ok = take_login(k, entry, e->key, vars) && take_named(k, entry, e->key, vars) && ok;
        (void)map_add(k->r.arena, ret, e->key, e->at, entry);
    }
    return ok;
}

/* ---- plain lists and maps */

static bool names_keys(const struct inventory_question *q)
{
    return q->host != NULL || q->port != NULL || q->lb_server != NULL || q->vars != NULL;
}

static bool add_node(struct inventory_ask *k, struct value *ret, const char *id, struct place at,
                     const struct value *values)
{
    struct value *entry = value_map(k->r.arena, at);
    bool ok = take_named(k, entry, id, values);
    if (map_add(k->r.arena, ret, id, at, entry))
        return ok;
    problem_at(k->r.problems, at, "app_servers: node '%s' is listed twice", id);
    return false;
}

/* A list of ids that Salt matched: what is named stands in each node's own pillar. */
static bool from_match(struct inventory_ask *k, const struct value *answer, struct value *ret)
{
    bool ok = answer->kind == VALUE_LIST;
    if (!ok)
        problem_at(k->r.problems, answer->at, "app_servers: match: wanted a list of node ids, found %s",
                   value_kind_text(answer));
    for (size_t i = 0; ok && i < answer->n; i++) {
        const struct value *id = answer->items[i];
        ok = add_node(k, ret, id->text, id->at, map_get(k->req->rendered, id->text)) && ok;
    }
    if (ok && answer->n == 0) {
        problem_at(k->r.problems, k->map->at, "app_servers: no node matches '%s'", k->q.match);
        return false;
    }
    return ok;
}

static bool from_map(struct inventory_ask *k, const struct value *answer, struct value *ret)
{
    bool ok = true;
    for (size_t i = 0; i < answer->n; i++)
        ok = add_node(k, ret, answer->entries[i].key, answer->entries[i].at, answer->entries[i].value) && ok;
    return ok;
}

/* ---- asking */

/* What stands beside the driver's own map. */
static const struct value *keys_of(struct inventory_ask *k)
{
    struct value *ret = value_map(k->r.arena, k->map->at);
    for (size_t i = 0; i < k->map->n; i++)
        if (&k->map->entries[i] != k->driver)
            (void)map_add_entry(k->r.arena, ret, &k->map->entries[i]);
    return ret;
}

static bool one_is_asked(struct inventory_ask *k)
{
    const char *name = k->driver == NULL ? "" : k->driver->key;
    if ((k->q.command != NULL) + (k->q.match != NULL) + (k->driver != NULL) > 1)
        problem_at(k->r.problems, k->map->at, "app_servers: give command or match%s%s, not both",
                   k->driver == NULL ? "" : " or ", name);
    else if (k->driver != NULL && (k->q.group != NULL || k->q.ssh != NULL))
        problem_at(k->r.problems, k->map->at,
                   "app_servers: %s: group: and ssh: are for a command: that prints an inventory", name);
    else
        return true;
    return false;
}

static bool question_read(struct inventory_ask *k)
{
    k->driver = inventory_driver(k->map, &k->verb);
    bool ok = schema_read(&k->r, k->driver == NULL ? k->map : keys_of(k), "app_servers", fields, &k->q),
         yes = true;
    const struct value *lists[] = {k->q.command, k->q.vars};
    static const char *const what[] = {"command: wanted [PROGRAM, ARGUMENT, ...]",
                                       "vars: wanted a list of names"};
    k->login = k->q.ssh == NULL || !scalar_bool(k->q.ssh, &yes) || yes;
    for (size_t m = 0; m < 2; m++) {
        bool good = lists[m] == NULL || (lists[m]->kind == VALUE_LIST && lists[m]->n > 0);
        for (size_t i = 0; good && lists[m] != NULL && i < lists[m]->n; i++)
            good = lists[m]->items[i]->kind == VALUE_SCALAR && !value_is_null(lists[m]->items[i]);
        if (!good)
            problem_at(k->r.problems, lists[m]->at, "app_servers: %s", what[m]);
        ok = ok && good;
    }
    return ok && one_is_asked(k);
}

static int64_t timeout_of(const struct inventory_ask *k, int64_t usual)
{
    int64_t ret = k->q.timeout_ms > 0 ? k->q.timeout_ms : usual, most = k->req->wait_max_ms;
    return most > 0 && most < ret ? most : ret;
}

static bool rule_of(struct inventory_ask *k, struct render_rule *ret)
{
    struct arena *a = k->r.arena;
    if (k->q.command == NULL) {
        if (k->req->render->renderer != RENDERER_SALT) {
            problem_at(
                k->r.problems, k->map->at,
                "app_servers: match: '%s' asks Salt who that is, and Salt does not render the pillar of %s "
                "(wanted in release.yml: environments: {%s: {renderer: salt}})",
                k->q.match, k->req->env, k->req->env);
            return false;
        }
        *ret = *k->req->render;
    } else {
        const char **argv = arena_array(a, k->q.command->n + 1, sizeof(*argv));
        for (size_t i = 0; i < k->q.command->n; i++)
            argv[i] = k->q.command->items[i]->text;
        *ret = (struct render_rule){.renderer = RENDERER_COMMAND,
                                    .argv = argv,
                                    .timeout_ms = LIST_TIMEOUT_MS,
                                    .at = k->q.command->at};
    }
    ret->timeout_ms = timeout_of(k, ret->timeout_ms > 0 ? ret->timeout_ms : RENDER_TIMEOUT_MS);
    return true;
}

static bool answer_take(struct inventory_ask *k, const struct value *answer, const struct value **ret)
{
    struct value *nodes = value_map(k->r.arena, answer->at);
    *ret = nodes;
    if (k->q.match != NULL)
        return from_match(k, answer, nodes);
    if (map_get(map_get(answer, "_meta"), "hostvars") != NULL)
        return from_inventory(k, answer, nodes);
    if (k->q.group != NULL) {
        problem_at(k->r.problems, k->map->at,
                   "app_servers: group: '%s' wants an inventory as `ansible-inventory --list` prints it, "
                   "with _meta: "
                   "hostvars",
                   k->q.group);
        return false;
    }
    if (names_keys(&k->q) && answer->kind == VALUE_MAP)
        return from_map(k, answer, nodes);
    *ret = answer;
    return true;
}

/* The driver says where each node is, and what balancers call it. */
static bool ask_driver(struct inventory_ask *k, const struct value **ret, struct rendered *ret_answer)
{
    struct value *nodes = value_map(k->r.arena, k->map->at);
    int64_t timeout_ms = timeout_of(k, k->verb->default_timeout_ms);
    if (!inventory_driver_ask(k->driver, k->verb, timeout_ms, k->r.arena, ret_answer, k->r.problems))
        return false;
    k->q.host = k->q.host == NULL ? "host" : k->q.host;
    k->q.lb_server = k->q.lb_server == NULL ? "lb_server" : k->q.lb_server;
    *ret = nodes;
    return from_map(k, ret_answer->nodes, nodes);
}

bool inventory_ask(const struct value *app_servers, const struct inventory_request *req, struct arena *a,
                   const struct value **ret, struct rendered *ret_answer, struct problems *problems)
{
    struct inventory_ask k = {.r = {.arena = a, .problems = problems}, .map = app_servers, .req = req};
    struct render_rule rule;
    if (!question_read(&k))
        return false;
    if (k.driver != NULL)
        return ask_driver(&k, ret, ret_answer);
    if (!rule_of(&k, &rule))
        return false;
    const struct render_request ask = {.root = req->root,
                                       .env = req->env,
                                       .pillarenv = req->pillarenv,
                                       .nodes = req->globs,
                                       .n_nodes = req->n_globs,
                                       .match = k.q.match,
                                       .grains = req->grains};
    return render_nodes(&rule, &ask, a, ret_answer, problems) && answer_take(&k, ret_answer->nodes, ret);
}
