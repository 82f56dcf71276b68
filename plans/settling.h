/* SPDX-License-Identifier: MIT */
/* Whose environment it is, while that is found out (settle.c), and what becomes of the pillar then (settle_join.c). */
#ifndef RELEASE_PLANS_SETTLING_H
#define RELEASE_PLANS_SETTLING_H

#include "plans/pillar_priv.h"

struct settling {
    struct pillar *p;
    struct arena *a;
    struct problems *problems;
    struct value *candidates; /* map: id -> anything, in the order found */
    struct value *trees;      /* map: id -> its own merged pillar */
    struct value *chosen;     /* map: id -> anything, the environment's nodes in release order */
    const struct value *first_tree, *first_block, *first_servers;
    const char *first;          /* the node that these are of */
    const char *name_key;       /* of a list of maps */
    const struct value *at_set; /* the list that `set` was made of */
    struct value *set;
    struct servers_kept of_roles;
    bool own_values; /* some node has values of its own in the block */
};

/* The node's own merged pillar, kept. */
const struct value *settle_tree_of(struct settling *s, const char *id);
/* The nodes that a tree lists; of roles, those of all of them. *ret_name: the key of their ids in a list of maps. */
const struct value *settle_listed(struct settling *s, const struct value *tree, const char **ret_name);
/* The chosen nodes' pillar in one: what all share, and the release: block with each node's own values in it. */
void settle_join(struct settling *s);

#endif
