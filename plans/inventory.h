/* SPDX-License-Identifier: MIT */
/* Node lists that another program knows: `app_servers: {command: [...]}` and `{match: 'G@roles:web'}`. What
 * it answers becomes an ordinary app_servers map, so that nobody else has to know. Private to plans/. */
#ifndef RELEASE_PLANS_INVENTORY_H
#define RELEASE_PLANS_INVENTORY_H

#include "plans/render.h"

struct inventory_request {
    const char *root, *env, *pillarenv;
    const struct render_rule *render; /* who renders the pillar: only Salt knows who matches */
    const char *const *globs;         /* nodes of the environment; n 0 = all */
    size_t n_globs;
    const struct value *grains, *rendered; /* map: node -> its grains, its pillar; NULL */
};

/* Whether app_servers is a question and not a list. */
bool inventory_wanted(const struct value *app_servers);
/* Asks; *ret is a map by node id, *ret_answer who said so. false: problems has why. */
bool inventory_ask(const struct value *app_servers, const struct inventory_request *req, struct arena *a,
                   const struct value **ret, struct rendered *ret_answer,
                   struct problems *problems) MUST_CHECK;

#endif
