/* SPDX-License-Identifier: MIT */
/* Whose environment is this? The ids of its nodes stand in the release: block, and which block there is
 * depends on the node: so every id that any block could mean is asked what its own pillar says, and a node
 * belongs to the environment when the block of its own pillar lists it. All of them must have the same block.
 * Nothing of it may come from a target that another node's pillar lacks: merged over all targets, the last
 * one's block would release staging to production.
 *
 * What a node may have of its own: its entry in app_servers, and plain `dir` and `user`. */
#include "plans/settling.h"

#include <fnmatch.h>
#include <string.h>

const struct value *settle_tree_of(struct settling *s, const char *id)
{
    const struct value *tree = map_get(s->trees, id);
    if (tree != NULL)
        return tree;
    tree = pillar_tree_of(s->p, id);
    (void)map_add(s->a, s->trees, id, s->trees->at, tree);
    return tree;
}

const struct value *settle_listed(struct settling *s, const struct value *tree, const char **ret_name)
{
    return servers_of_all(s->a, &s->of_roles, tree, ret_name);
}

static bool is_wanted(const struct env_rule *rule, const char *id)
{
    if (rule == NULL || rule->n_nodes == 0)
        return true;
    for (size_t i = 0; i < rule->n_nodes; i++)
        if (fnmatch(rule->nodes[i], id, 0) == 0)
            return true;
    return false;
}

/* ---- ids */

static void candidates_add(struct settling *s, const struct value *servers, const char *name_key)
{
    struct server_entry e;
    for (size_t i = 0; i < servers_count(servers); i++)
        if (servers_at(servers, name_key, i, &e) && is_wanted(s->p->rule, e.id))
            (void)map_add(s->a, s->candidates, e.id, e.at, s->candidates);
}

/* A layer's path need not lead anywhere in the layer itself. */
static void candidates_behind(struct settling *s, const struct value *servers)
{
    const struct value *path = map_get(servers, "pillar");
    const char *name_key;
    if (path == NULL || path->kind != VALUE_SCALAR || value_is_null(path))
        return;
    const struct value *list = servers_behind(s->p->tree, servers, &name_key);
    candidates_add(s, list, name_key);
}

/* From every layer by itself too: where lists replace each other the merge of all has only the last one's. */
static void candidates_find(struct settling *s)
{
    struct pillar *p = s->p;
    const struct env_rule *rule = p->rule;
    const char *name_key;
    const struct value *servers = settle_listed(s, p->tree, &name_key);
    candidates_add(s, servers, name_key);
    for (size_t i = 0; p->per_node && i < p->top.n; i++) {
        const struct value *tree = p->top.layers[i].tree;
        const struct value *block = map_get(tree, "release"), *roles = map_get(block, "roles");
        servers = settle_listed(s, tree, &name_key);
        candidates_add(s, servers, name_key);
        candidates_behind(s, map_get(block, "app_servers"));
        for (size_t r = 0; roles != NULL && roles->kind == VALUE_MAP && r < roles->n; r++)
            candidates_behind(s, map_get(roles->entries[r].value, "app_servers"));
    }
    const struct value *last = servers;
    for (size_t i = 0; p->rendered != NULL && i < p->rendered->n; i++) {
        servers = settle_listed(s, p->rendered->entries[i].value, &name_key);
        if (servers != last)
            candidates_add(s, servers, name_key);
        last = servers;
    }
    for (size_t i = 0; rule != NULL && i < rule->n_nodes; i++)
        if (strpbrk(rule->nodes[i], "*?[") == NULL)
            (void)map_add(s->a, s->candidates, rule->nodes[i], rule->nodes_at, s->candidates);
}

/* The ids of a list as a set; nodes that share a list share it. */
static const struct value *ids_of(struct settling *s, const struct value *servers, const char *name_key)
{
    struct server_entry e;
    if (s->set != NULL && s->at_set == servers)
        return s->set;
    s->set = value_map(s->a, (struct place){.file = NULL});
    s->at_set = servers;
    for (size_t i = 0; i < servers_count(servers); i++)
        if (servers_at(servers, name_key, i, &e) && is_wanted(s->p->rule, e.id))
            (void)map_add(s->a, s->set, e.id, e.at, s->set);
    return s->set;
}

/* ---- one block for all */

static bool is_plain(const struct value *v)
{
    return v == NULL || v->kind == VALUE_SCALAR;
}

static bool may_differ(const char *key, const struct value *a, const struct value *b)
{
    return (strcmp(key, "dir") == 0 || strcmp(key, "user") == 0) && is_plain(a) && is_plain(b);
}

struct difference {
    const char *key;
    const struct entry *a, *b; /* NULL: not there */
};

/* The first key that is not the same, but for the nodes themselves. */
static bool difference_find(struct settling *s, const struct value *block, struct difference *ret)
{
    const struct value *maps[] = {s->first_block, block};
    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < maps[m]->n; i++) {
            const char *key = maps[m]->entries[i].key;
            *ret = (struct difference){
                .key = key, .a = map_entry(s->first_block, key), .b = map_entry(block, key)};
            const struct value *a = ret->a == NULL ? NULL : ret->a->value,
                               *b = ret->b == NULL ? NULL : ret->b->value;
            bool list = strcmp(key, "app_servers") == 0 && map_get(a, "pillar") == NULL;
            if (value_same(a, b) || (list && a != NULL && b != NULL))
                continue;
            if (!may_differ(key, a, b) || map_get(s->first_block, "roles") != NULL)
                return true;
            s->own_values = true;
        }
    return false;
}

static const char *given_by(struct settling *s, const char *node)
{
    const struct top_layer *layer = pillar_layer_of(s->p, node, "release");
    return layer == NULL
               ? ""
               : arena_printf(s->a, " (target '%s', %s)", layer->target, place_text(s->a, layer->at));
}

static const char *side(struct settling *s, const char *node, const struct entry *e)
{
    return e == NULL ? arena_printf(s->a, "node %s%s has none", node, given_by(s, node))
                     : arena_printf(s->a, "node %s%s has it from %s", node, given_by(s, node),
                                    place_text(s->a, e->at));
}

static bool refuse_difference(struct settling *s, const char *node, const struct difference *d)
{
    problems_add(
        s->problems,
        "the nodes of environment %s have different release: blocks: '%s' is not the same: %s, %s; one "
        "environment has one block: make each an environment of its own in %s (environments: {NAME: "
        "{pillarenv: SECTION, nodes: GLOB}}), or give its nodes plain values in app_servers",
        s->p->env, d->key, side(s, s->first, d->a), side(s, node, d->b), s->p->yml.path);
    return false;
}

static void refuse_list(struct settling *s, const char *has, const char *lacks, const struct entry *id)
{
    problems_add(
        s->problems,
        "the nodes of environment %s have different release: blocks: app_servers of node %s%s lists '%s' "
        "(%s), that of node %s%s does not; one environment has one list of nodes: make each an "
        "environment of its own in %s (environments: {NAME: {pillarenv: SECTION, nodes: GLOB}})",
        s->p->env, has, given_by(s, has), id->key, place_text(s->a, id->at), lacks, given_by(s, lacks),
        s->p->yml.path);
}

static bool same_nodes(struct settling *s, const char *node, const struct value *servers,
                       const char *name_key)
{
    if (servers == s->first_servers)
        return true;
    const struct value *ids = ids_of(s, servers, name_key);
    const struct value *sets[] = {s->chosen, ids}, *others[] = {ids, s->chosen};
    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < sets[m]->n; i++) {
            const struct entry *e = &sets[m]->entries[i];
            if (map_entry(others[m], e->key) != NULL)
                continue;
            refuse_list(s, m == 0 ? s->first : node, m == 0 ? node : s->first, e);
            return false;
        }
    return true;
}

static bool no_block(struct settling *s, const char *node, struct place at)
{
    const struct entry *block = map_entry(s->first_tree, "release");
    const struct top_layer *layer = pillar_layer_of(s->p, s->first, "release");
    problem_at(
        s->problems, at,
        "node '%s' is in app_servers, but its own pillar has no release: block: the one at %s comes with "
        "target '%s' (%s), which does not match it",
        node, place_text(s->a, block->at), layer == NULL ? "*" : layer->target,
        place_text(s->a, layer == NULL ? block->at : layer->at));
    return false;
}

static bool node_agrees(struct settling *s, const char *node, struct place at)
{
    const struct value *tree = settle_tree_of(s, node), *block = map_get(tree, "release");
    const char *name_key;
    struct difference d;
    if (tree == s->first_tree)
        return true;
    if (block == NULL)
        return no_block(s, node, at);
    if (block->kind != s->first_block->kind || difference_find(s, block, &d)) {
        if (block->kind != s->first_block->kind)
            d = (struct difference){.key = "release"};
        return refuse_difference(s, node, &d);
    }
    const struct value *servers = settle_listed(s, tree, &name_key);
    if (!same_nodes(s, node, servers, name_key))
        return false;
    s->own_values |= servers != s->first_servers;
    return true;
}

/* ---- who belongs to it */

/* A node whose own block lists it. The first one's list gives the order of the release. */
static void first_choose(struct settling *s)
{
    for (size_t i = 0; i < s->candidates->n; i++) {
        const char *id = s->candidates->entries[i].key, *name_key;
        const struct value *tree = settle_tree_of(s, id), *servers = settle_listed(s, tree, &name_key);
        if (servers != s->at_set)
            candidates_add(s, servers, name_key); /* the loop goes on over what this adds */
        const struct value *ids = ids_of(s, servers, name_key);
        if (s->first != NULL || map_entry(ids, id) == NULL)
            continue;
        s->first = id;
        s->first_tree = tree;
        s->first_block = map_get(tree, "release");
        s->first_servers = servers;
        s->name_key = name_key;
        s->chosen = s->set;
    }
}

static bool all_agree(struct settling *s)
{
    bool ok = true;
    for (size_t i = 0; ok && i < s->chosen->n; i++)
        ok = node_agrees(s, s->chosen->entries[i].key, s->chosen->entries[i].at);
    for (size_t i = 0; ok && i < s->candidates->n; i++) {
        const char *id = s->candidates->entries[i].key, *name_key;
        const struct value *servers = settle_listed(s, settle_tree_of(s, id), &name_key);
        if (map_entry(s->chosen, id) == NULL && map_entry(ids_of(s, servers, name_key), id) != NULL)
            ok = node_agrees(s, id, s->candidates->entries[i].at);
    }
    return ok;
}

/* ---- nobody */

static bool nobody(struct settling *s)
{
    struct pillar *p = s->p;
    const struct entry *block = map_entry(p->tree, "release");
    const char *name_key;
    const struct value *servers = settle_listed(s, p->tree, &name_key);
    struct server_entry e;
    const struct value *everyone = pillar_tree_of_all(p);
    if (block == NULL || (servers_count(servers) == 0 && map_get(everyone, "release") != NULL)) {
        p->tree = everyone; /* all that can be shown; the compiler says what is missing */
        return true;
    }
    if (s->candidates->n == 0 && servers_count(servers) > 0 && p->rule != NULL && p->rule->n_nodes > 0)
        problem_at(s->problems, p->rule->nodes_at,
                   "environments: %s: nodes: none of the %zu nodes of app_servers (%s) matches '%s'", p->env,
                   servers_count(servers), place_text(s->a, servers->at), p->rule->nodes[0]);
    else if (servers_count(servers) > 0 && servers_at(servers, name_key, 0, &e))
        problem_at(
            s->problems, e.at,
            "node '%s' is in app_servers, but its own pillar has no release: block with it: the block at "
            "%s is for targets of the top file that are not this node ('release pillar %s %s' shows what "
            "the node has)",
            e.id, place_text(s->a, block->at), p->env, e.id);
    else
        problem_at(
            s->problems, block->at,
            "this release: block is for some targets of the top file only and lists no node in "
            "app_servers, so nobody knows whose it is (wanted: app_servers: {app1: {host: 10.10.10.11}, "
            "...})");
    return false;
}

/* ---- what was written and means nobody */

static bool is_matched(const struct settling *s, const char *glob)
{
    for (size_t i = 0; i < s->chosen->n; i++)
        if (fnmatch(glob, s->chosen->entries[i].key, 0) == 0)
            return true;
    return false;
}

static bool globs_match(struct settling *s)
{
    const struct env_rule *rule = s->p->rule;
    bool ok = true;
    for (size_t i = 0; rule != NULL && i < rule->n_nodes; i++) {
        if (is_matched(s, rule->nodes[i]))
            continue;
        problem_at(s->problems, rule->nodes_at,
                   "environments: %s: nodes: '%s' matches none of the nodes in app_servers (%s)", s->p->env,
                   rule->nodes[i], place_text(s->a, s->first_servers->at));
        ok = false;
    }
    return ok;
}

/* A layer that lists a node which never gets that layer: its target does not mean what its writer thinks. */
static bool layers_reach(struct settling *s)
{
    struct pillar *p = s->p;
    const char *name_key;
    struct server_entry e;
    bool ok = true;
    for (size_t l = 0; p->per_node && l < p->top.n; l++) {
        const struct top_layer *layer = &p->top.layers[l];
        const struct value *servers = settle_listed(s, layer->tree, &name_key);
        for (size_t i = 0; ok && i < servers_count(servers); i++) {
            if (!servers_at(servers, name_key, i, &e) || !is_wanted(p->rule, e.id) ||
                map_entry(s->chosen, e.id) != NULL || pillar_layer_matches(p, layer, e.id))
                continue;
            problem_at(s->problems, e.at,
                       "node '%s' is listed here for target '%s' (%s), which does not match it: it would be "
                       "left out ('release pillar %s %s' shows what the node has)",
                       e.id, layer->target, place_text(s->a, layer->at), p->env, e.id);
            ok = false;
        }
    }
    return ok;
}

bool pillar_settle(struct pillar *p, struct problems *problems)
{
    struct settling s = {.p = p,
                         .a = &p->arena,
                         .problems = problems,
                         .candidates = value_map(&p->arena, (struct place){.file = NULL}),
                         .trees = value_map(&p->arena, (struct place){.file = NULL})};
    if (!p->per_node && (p->rule == NULL || p->rule->n_nodes == 0))
        return true;
    candidates_find(&s);
    first_choose(&s);
    if (s.first == NULL)
        return nobody(&s);
    if (!all_agree(&s) || !layers_reach(&s) || !globs_match(&s))
        return false;
    settle_join(&s);
    return true;
}
