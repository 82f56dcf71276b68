/* An environment's merged data, as the rest of plans/ sees it. */
#ifndef RELEASE_PLANS_PILLAR_PRIV_H
#define RELEASE_PLANS_PILLAR_PRIV_H

#include "plans/release_yml.h"
#include "plans/top.h"

struct pillar {
    struct arena arena;
    const struct value *tree; /* every layer and override merged */
    const char *env;
    const char *root;            /* as given */
    struct release_yml yml;      /* ROOT/release.yml: grains, nodegroups, who renders */
    const struct env_rule *rule; /* its entry for this environment, or NULL */
    struct top top;              /* layers of top.sls; n 0 = one file for all nodes */
    const struct value **overrides;
    size_t n_overrides;
    bool per_node;           /* some layer is not for every node */
    struct node_tree *trees; /* merged trees of nodes, by which layers match */
};

/* What Salt would give this node: only the layers whose target matches. The whole tree when no layer is per
 * node. */
const struct value *pillar_tree_of(struct pillar *p, const char *node);

#endif
