/* SPDX-License-Identifier: MIT */
/* Pillars that somebody else renders: the user's own Salt, or any program (docs/pillar.md). One process for
 * all nodes, without a shell, under a deadline, its output bounded; what it says on stderr is shown when it
 * fails. Private to plans/.
 *
 * On its stdin the program finds one JSON object, see request_put in render.c; it prints one as well. What it
 * prints may hold secrets: it is never quoted in a message. */
#ifndef RELEASE_PLANS_RENDER_H
#define RELEASE_PLANS_RENDER_H

#include "plans/release_yml.h"

#define RENDER_TIMEOUT_MS (10 * 60 * 1000)

struct render_request {
    const char *root, *env;
    const char *pillarenv;    /* NULL = what ENV means to the program */
    const char *const *nodes; /* ids and globs; n 0 = all of ENV */
    size_t n_nodes;
    const char *match;          /* a Salt compound target that the nodes must match, or NULL */
    const struct value *grains; /* map node -> its grains, or NULL */
};

struct rendered {
    const char *source;        /* "salt", "command bin/pillar-of": for people and the frozen plan */
    const struct value *nodes; /* map: node id -> its pillar, in the order printed */
    char digest[65];           /* of all that was printed */
};

/* Every node that was asked for by name is there; `_errors` in a pillar are problems. false: problems has
 * why. */
bool render_pillars(const struct render_rule *rule, const struct render_request *req, struct arena *a,
                    struct rendered *ret, struct problems *problems) MUST_CHECK;
/* Which nodes are there: whatever list or map the program prints. */
bool render_nodes(const struct render_rule *rule, const struct render_request *req, struct arena *a,
                  struct rendered *ret, struct problems *problems) MUST_CHECK;
/* ENV.json and the like: `{NODE: pillar}` as `salt '*' pillar.items --out=json --static` prints it, when no
 * key is `release`. */
bool is_by_node(const struct value *v);
/* `_errors` of each pillar in a map by node. false: problems has them. */
bool rendered_ok(const struct value *nodes, struct arena *a, struct problems *problems) MUST_CHECK;

#endif
