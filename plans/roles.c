/* SPDX-License-Identifier: MIT */
/* `roles:` of the release: block. Each role is compiled as an environment of its own: the block, with the role's keys in
 * the place of the block's. Then they become one plan (roles_join.c). */
#include "plans/roles_priv.h"

#include <string.h>

/* What is the release's alone, whoever it is for. */
static const char *const of_release[] = {
    "app",    "repo", "branch", "shared",  "on_failure", "confirm",   "approval", "keep",          "hooks",
    "notify", "git",  "roles",  "windows", "tz",         "skip_days", "freeze",   "window_closes", "source"};
static const char *const of_role[] = {"app_servers", "plan",    "dir",    "user",       "ssh",    "balancer",
                                      "supervisor",  "service", "build",  "check",      "stages", "soak",
                                      "judge",       "window",  "min_up", "max_failed", "drain"};
#define N_OF_RELEASE (sizeof(of_release) / sizeof(of_release[0]))
#define N_OF_ROLE    (sizeof(of_role) / sizeof(of_role[0]))

const struct value *release_block_of(const struct pillar *p)
{
    return map_get(p->tree, "release");
}

bool has_roles(const struct pillar *p)
{
    return map_entry(release_block_of(p), "roles") != NULL;
}

static bool is_in(const char *const *words, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], word) == 0)
            return true;
    return false;
}

/* `balancer: none`: the role has none of it, whatever the block has. */
static bool says_none(const struct value *v)
{
    return value_is_null(v) || (v->kind == VALUE_SCALAR && strcmp(v->text, "none") == 0);
}

static bool is_driver(struct compiler *c, const char *key)
{
    for (size_t i = 0; c->table[i] != NULL; i++)
        if (strcmp(c->table[i]->name, key) == 0)
            return true;
    return false;
}

static void check_key(struct compiler *c, const char *role, const struct entry *e)
{
    if (is_in(of_release, N_OF_RELEASE, e->key))
        problem_at(
            c->r.problems, e->at,
            "release: roles: %s: '%s' is the release's, the same for all roles: write it beside roles:", role,
            e->key);
    else if (strcmp(e->key, "with") == 0)
        problem_at(
            c->r.problems, e->at,
            "release: roles: %s: 'with' is not known: roles are released one after the other, in the order written",
            role);
    else if (!is_in(of_role, N_OF_ROLE, e->key) && !is_driver(c, e->key))
        problem_at(c->r.problems, e->at, "release: roles: %s: unknown key '%s'%s", role, e->key,
                   nearest_hint(c->r.arena, e->key, of_role, N_OF_ROLE));
}

/* The block for this role. Its place is the role's, since what is missing is missing there. */
static const struct value *block_for(struct compiler *c, const struct entry *role)
{
    const struct value *all = release_block_of(c->pillar), *own = role->value;
    struct value *ret = value_map(c->r.arena, role->at);
    for (size_t i = 0; i < all->n; i++) {
        const struct entry *e = &all->entries[i];
        if (strcmp(e->key, "roles") != 0 && strcmp(e->key, "app_servers") != 0 &&
            map_entry(own, e->key) == NULL)
            (void)map_add(c->r.arena, ret, e->key, e->at, e->value);
    }
    for (size_t i = 0; i < own->n; i++)
        if (!says_none(own->entries[i].value))
            (void)map_add(c->r.arena, ret, own->entries[i].key, own->entries[i].at, own->entries[i].value);
    return ret;
}

static bool role_check(struct compiler *c, const struct entry *e)
{
    if (!name_valid(e->key, 32)) {
        problem_at(c->r.problems, e->at,
                   "release: roles: '%s' is not a name (wanted: letters, digits, '.', '_', '-')", e->key);
        return false;
    }
    if (e->value == NULL || e->value->kind != VALUE_MAP) {
        problem_at(c->r.problems, e->at,
                   "release: roles: %s: wanted a map with app_servers and what else is this role's", e->key);
        return false;
    }
    for (size_t i = 0; i < e->value->n; i++)
        check_key(c, e->key, &e->value->entries[i]);
    return true;
}

static bool roles_check(struct compiler *c, const struct value *roles)
{
    size_t before = c->r.problems->n + c->r.problems->dropped;
    const struct entry *servers = map_entry(release_block_of(c->pillar), "app_servers");
    const struct entry *e = map_entry(release_block_of(c->pillar), "roles");
    if (servers != NULL)
        problem_at(
            c->r.problems, servers->at,
            "release: app_servers stands beside roles: (%s): with roles every node is in one; write them under a role",
            place_text(c->r.arena, e->at));
    if (c->req->n_rehearsed > 0)
        problem_at(
            c->r.problems, e->at,
            "--nodes: an environment with roles is rehearsed with the nodes that it has; leave --nodes out");
    if (roles == NULL || roles->kind != VALUE_MAP || roles->n == 0)
        problem_at(
            c->r.problems, e->at,
            "release: roles: wanted {worker: {app_servers: ...}, web: {app_servers: ...}}, in the order of the "
            "release");
    else if (roles->n > PLAN_ROLES_MAX)
        problem_at(c->r.problems, e->at, "release: roles: %zu roles, at most %d", roles->n, PLAN_ROLES_MAX);
    else
        for (size_t i = 0; i < roles->n; i++)
            (void)role_check(c, &roles->entries[i]);
    return c->r.problems->n + c->r.problems->dropped == before;
}

static void role_compile(struct joining *j, const struct entry *e)
{
    struct compiler *c = j->c;
    struct part *r = &j->roles[j->n++];
    *r = (struct part){.e = e};
    r->c = *c;
    r->c.r.problems = &r->problems;
    r->c.n_problems_before = 0;
    r->c.plan = arena_alloc(c->r.arena, sizeof(*r->c.plan));
    r->c.block = block_for(c, e);
    r->c.role = e->key;
    r->c.left_alone = c->req->only_role != NULL && !named_in(c->req->only_role, e->key);
    compile_block(&r->c);
}

/* ---- what they found */

static bool said(const struct problems *p, const char *line)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->lines[i], line) == 0)
            return true;
    return false;
}

/* A mistake in what all roles inherit is one; any other is said with its role. */
static void problems_join(struct joining *j)
{
    struct problems *all = j->c->r.problems;
    for (size_t r = 0; r < j->n; r++)
        for (size_t i = 0; i < j->roles[r].problems.n; i++) {
            const char *line = j->roles[r].problems.lines[i];
            size_t have = 0;
            for (size_t k = 0; k < j->n; k++)
                have += said(&j->roles[k].problems, line);
            if (j->n > 1 && have == j->n && r == 0)
                problems_add(all, "%s", line);
            else if (j->n == 1 || have < j->n)
                problems_add(all, "%s (role %s)", line, j->roles[r].e->key);
        }
    for (size_t r = 0; r < j->n; r++) {
        all->dropped += j->roles[r].problems.dropped;
        problems_fini(&j->roles[r].problems);
    }
}

/* ---- names */

static void check_twins(struct joining *j)
{
    struct compiler *c = j->c;
    struct value *seen = value_map(c->r.arena, (struct place){.file = NULL});
    for (size_t r = 0; r < j->n; r++)
        for (size_t i = 0; i < j->roles[r].c.n_all_nodes; i++) {
            const struct plan_node *node = &j->roles[r].c.all_nodes[i];
            const char *id =
                node->of_host != NULL ? node->of_host : node->id; /* its instances are together */
            if (i > 0 && plan_same_host(node - 1, node))
                continue;
            const struct entry *e = map_entry(seen, id);
            if (e != NULL)
                problems_add(
                    c->r.problems,
                    "%s: node '%s' is in role %s and in role %s, and a node has one role: give it a name and a "
                    "directory of its own in each ('%s-%s: {host: ..., dir: ...}'), or make what it runs one role",
                    node->where, id, e->value->text, j->roles[r].e->key, id, j->roles[r].e->key);
            else
                (void)map_add(c->r.arena, seen, id, seen->at,
                              value_scalar(c->r.arena, seen->at, j->roles[r].e->key));
        }
}

/* What --only, --exclude and --only-role name must be there, in some role. */
static void check_words(struct joining *j)
{
    struct compiler *c = j->c;
    const char *names[PLAN_ROLES_MAX];
    size_t n = 0, left = 0;
    for (size_t r = 0; r < j->n; r++)
        n += j->roles[r].c.n_all_nodes;
    const char **ids = arena_array(c->r.arena, 2 * n + 1, sizeof(*ids));
    size_t n_nodes = n;
    n = 0;
    for (size_t r = 0; r < j->n; r++) {
        names[r] = j->roles[r].e->key;
        left += j->roles[r].c.plan->n_nodes;
        n += node_ids(j->roles[r].c.all_nodes, j->roles[r].c.n_all_nodes, ids + n);
    }
    check_named(c, "--only", c->req->only, "node", ids, n);
    check_named(c, "--exclude", c->req->exclude, "node", ids, n);
    check_named(c, "--only-role", c->req->only_role, "role", names, j->n);
    if (left == 0)
        problems_add(
            c->r.problems,
            "no node is left of the %zu of environment %s: --only, --exclude and --only-role leave none out of "
            "which to choose",
            n_nodes, c->pillar->env);
}

/* One application has one way of being where it is, and is about a revision or not. */
static void check_alike(struct joining *j)
{
    const struct compiler *a = &j->roles[0].c;
    for (size_t r = 1; r < j->n; r++) {
        const struct compiler *b = &j->roles[r].c;
        if (strcmp(a->layout, b->layout) != 0)
            problem_at(
                j->c->r.problems, b->b.map->at,
                "release: roles: plan %s of role %s has layout %s, plan %s of role %s layout %s: roles of one release "
                "have the same",
                b->plan->name, b->role, b->layout, a->plan->name, a->role, a->layout);
        if (a->revision != b->revision)
            problem_at(
                j->c->r.problems, b->b.map->at,
                "release: roles: plan %s of role %s is %sabout a revision, plan %s of role %s is %s: roles of one "
                "release are the same in that",
                b->plan->name, b->role, b->revision ? "" : "not ", a->plan->name, a->role,
                a->revision ? "" : "not");
    }
}

void roles_compile(struct compiler *c)
{
    const struct value *roles = map_get(release_block_of(c->pillar), "roles");
    struct joining j = {.c = c};
    size_t before = c->r.problems->n + c->r.problems->dropped;
    if (!roles_check(c, roles))
        return;
    for (size_t i = 0; i < roles->n; i++)
        role_compile(&j, &roles->entries[i]);
    problems_join(&j);
    if (c->r.problems->n + c->r.problems->dropped > before)
        return;
    check_twins(&j);
    check_words(&j);
    check_alike(&j);
    if (c->r.problems->n + c->r.problems->dropped == before)
        roles_join(&j);
}
