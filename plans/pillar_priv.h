/* SPDX-License-Identifier: MIT */
/* An environment's merged data, as the rest of plans/ sees it. */
#ifndef RELEASE_PLANS_PILLAR_PRIV_H
#define RELEASE_PLANS_PILLAR_PRIV_H

#include "plans/release_yml.h"
#include "plans/top.h"

struct pillar {
    struct arena arena;
    /* What every node of the environment has, the release: block that they share in it. Without layers for
     * some nodes only: all there is. */
    const struct value *tree;
    const char *env;
    const char *root;            /* as given */
    struct release_yml yml;      /* ROOT/release.yml: grains, nodegroups, who renders */
    const struct env_rule *rule; /* its entry for this environment, or NULL */
    struct top top;              /* layers of top.sls; n 0 = one file for all nodes */
    const struct value **overrides;
    size_t n_overrides;
    bool unknown;                /* there are environments, and this is none of them */
    bool per_node;               /* nodes may have different pillars */
    struct sls_reader reader;    /* of its files */
    struct layering *layering;   /* trees of nodes (layers.c) */
    struct problems late;        /* what was found while a node's tree was made */
    const struct value *servers; /* app_servers with each node's own entry; NULL: as the tree has them */
    const struct value *chosen;  /* map: id -> anything, when not all that are listed are meant; else NULL */
    const char *differs;         /* paths that are not the same on all nodes, for people; NULL: none */
    int64_t wait_max_ms;         /* for other programs; 0 = what release.yml says */
    struct render_rule command;  /* --pillar-command; RENDERER_OWN: not given */
    const struct value
        *rendered;           /* map: node id -> its pillar, when another program rendered it; else NULL */
    struct op_pair *sources; /* who else was asked -> digest of the answer */
    size_t n_sources;
    struct value *answers; /* what they said where app_servers asks; NULL: not asked */
};

/* What Salt would give this node: only the layers whose target matches. The whole tree when no layer is per
 * node. What cannot be said of a node is a problem in p->late. */
const struct value *pillar_tree_of(struct pillar *p, const char *node);
/* The layers for '*' alone; without others the whole tree. */
const struct value *pillar_tree_of_all(struct pillar *p);
/* The same, made of the layers. */
const struct value *pillar_everyones(struct pillar *p);
bool pillar_layer_matches(struct pillar *p, const struct top_layer *layer, const char *node);
/* The layer that gave this node its `key`, the last one; NULL when none did, or there are no layers. */
const struct top_layer *pillar_layer_of(struct pillar *p, const char *node, const char *key);

/* rendered.c: what other programs know. */
const struct render_rule *pillar_renderer(const struct pillar *p);
bool pillar_command_read(struct pillar *p, const char *text, struct problems *problems);
/* All nodes of the environment, or `only` that one. Fills rendered and tree. */
bool pillar_render(struct pillar *p, const char *only, struct problems *problems);
/* A file ENV.json, as other programs print it: one pillar for all, then it is the tree; or {NODE: pillar},
 * then rendered is set, for pillar_by_node once the --pillar texts are read. */
bool pillar_json_load(struct pillar *p, const char *path, struct problems *problems);
bool pillar_by_node(struct pillar *p, const struct value *nodes, struct problems *problems);
/* `app_servers: {command: ...}` in what was read from files. */
bool pillar_ask_servers(struct pillar *p, struct problems *problems);
/* The same in a node's tree, once they were asked. */
const struct value *pillar_answered(struct pillar *p, const struct value *tree);

/* settle.c: whose environment this is. Finds the nodes, demands that their release: blocks are one, and makes
 * p->tree what they share. false: problems has why. */
bool pillar_settle(struct pillar *p, struct problems *problems);

/* One node as app_servers has it, in whichever shape (servers.c). */
struct server_entry {
    const char *id;
    struct place at;
    const struct value *value; /* what stands behind the id, or NULL */
    bool whole;                /* value is the whole item of a list, {name: ID, host: ...} */
    const char *of_host;       /* an instance: the id of the entry that it is of; else NULL */
};
/* The list itself: release:app_servers, or where its `pillar: PATH` leads in the same tree; NULL: nothing is
 * there. *ret_name is the key that holds the id in a list of maps. */
const struct value *servers_of(const struct value *tree, const char **ret_name);
/* The same of a list by itself. */
const struct value *servers_behind(const struct value *tree, const struct value *servers,
                                   const char **ret_name);
/* Of all roles, where there are any: a map made for this, and kept for the next tree that has the same. Begins as {0}. */
struct servers_kept {
    const struct value *roles, *all;
    const struct value **lists; /* of each role */
};
const struct value *servers_of_all(struct arena *a, struct servers_kept *kept, const struct value *tree,
                                   const char **ret_name);
size_t servers_count(const struct value *servers);
/* false: the i-th is no node, in no shape that there is. */
bool servers_at(const struct value *servers, const char *name_key, size_t i, struct server_entry *ret);

#endif
