/* SPDX-License-Identifier: MIT */
/* Where the nodes of a plan stand: what the lock goes by, beside the environment's name (state/sites.c). The
 * address is the plan's; the directory is known by what its machine calls it, which only preflight knows. */
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "run/probe_priv.h"

static const char *named(const struct op_pair *pairs, size_t n, const char *name)
{
    for (size_t i = n; i-- > 0;)
        if (strcmp(pairs[i].name, name) == 0)
            return pairs[i].value;
    return NULL;
}

/* "vm1:3d12... /srv/plone": a name may lead to a directory on many ways, its machine knows where it ends. */
static const char *directory_of(const struct plan_node *node, struct arena *arena)
{
    const char *place = named(node->facts, node->n_facts, "place");
    const char *path = place ? strchr(place, ' ') : NULL;
    return path && node->target.identity ? arena_printf(arena, "%s on %s", path + 1, node->target.identity)
                                         : NULL;
}

struct site *run_sites(const struct plan *plan, struct arena *arena, size_t *ret_n)
{
    struct site *sites = arena_array(arena, 2 * plan->n_nodes + 1, sizeof(*sites));
    *ret_n = 0;
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_node *node = &plan->nodes[i];
        const char *port = named(node->vars, node->n_vars, "port"), *dir = directory_of(node, arena);
        if (port)
            sites[(*ret_n)++] = (struct site){
                .site = arena_printf(arena, "%s port %s", node->target.host, port), .node = node->id};
        if (dir && plan_first_of_host(plan, i))
            sites[(*ret_n)++] = (struct site){.site = dir, .node = node->id};
    }
    return sites;
}

void preflight_place(struct plan_node *node, const char *place, struct arena *arena)
{
    if (!place || !place[0])
        return;
    struct op_pair *facts = arena_array(arena, node->n_facts + 1, sizeof(*facts));
    for (size_t i = 0; i < node->n_facts; i++)
        facts[i] = node->facts[i];
    facts[node->n_facts++] = (struct op_pair){.name = "place", .value = arena_strdup(arena, place)};
    node->facts = facts;
}

struct spot {
    const char *key;
    const struct plan_node *node;
};

static int spot_cmp(const void *left, const void *right)
{
    const struct spot *a = left, *b = right;
    int order = strcmp(a->key, b->key);
    return order ? order : (a->node > b->node) - (a->node < b->node);
}

/* Two nodes in one directory would delete each other's trees while they are built. Machines that were cloned
 * with name and machine-id were still started at different times. */
static void check_twins(const struct plan *plan, struct arena *arena, struct problems *problems)
{
    auto_free struct spot *spots = xcalloc(plan->n_nodes + 1, sizeof(*spots));
    size_t n = 0;
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_node *node = &plan->nodes[i];
        const char *place = named(node->facts, node->n_facts, "place");
        if (place && node->target.identity)
            spots[n++] = (struct spot){.key = arena_printf(arena, "%s %s", node->target.identity, place),
                                       .node = node};
    }
    qsort(spots, n, sizeof(*spots), spot_cmp);
    for (size_t i = 1; i < n; i++)
        if (strcmp(spots[i].key, spots[i - 1].key) == 0 && !plan_same_host(spots[i].node, spots[i - 1].node))
            problems_add(
                problems,
                "%s and %s: one machine (%s) and one directory, %s; a directory has one owner at a "
                "time: give each node a `dir` of its own, or list the machine once (several processes there: "
                "`instances:`)",
                spots[i - 1].node->id, spots[i].node->id, spots[i].node->target.identity,
                strrchr(spots[i].key, ' ') + 1);
}

void preflight_sites(const struct plan *plan, struct arena *arena, const struct run_options *opt,
                     struct problems *problems)
{
    struct site_shared *shared;
    size_t n, n_sites;
    struct err err;
    check_twins(plan, arena, problems);
    if (!opt->store)
        return;
    const struct site *sites = run_sites(plan, arena, &n_sites);
    if (!sites_shared(reader(opt->store, arena),
                      &(struct sites){.env = plan->env, .list = sites, .n = n_sites}, &shared, &n, &err)) {
        problems_add(problems, "journal: %s", err.text);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!shared[i].held && !shared[i].unfinished)
            continue;
        problems_add(problems, "%s; the two cannot be changed at the same time, and %s",
                     site_shared_text(&shared[i], arena),
                     shared[i].held ? lock_text(&shared[i].lock, arena)
                                    : arena_printf(arena, "its %s %lld is unfinished ('release resume %s')",
                                                   kind_name(shared[i].unfinished->kind),
                                                   (long long)shared[i].unfinished->id, shared[i].env));
        if (opt->ret_held)
            *opt->ret_held = true;
    }
}
