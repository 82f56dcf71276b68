/* SPDX-License-Identifier: MIT */
/* Node lists that somebody else knows: `app_servers: {command: [...]}`, `{match: 'G@roles:web'}`, and `{ec2: {...}}` of a driver
 * that lists nodes. What it answers becomes an ordinary app_servers map, so that nobody else has to know. Private to plans/. */
#ifndef RELEASE_PLANS_INVENTORY_H
#define RELEASE_PLANS_INVENTORY_H

#include "plans/render.h"

struct inventory_request {
    const char *root, *env, *pillarenv;
    const struct render_rule *render; /* who renders the pillar: only Salt knows who matches */
    const char *const *globs;         /* nodes of the environment; n 0 = all */
    size_t n_globs;
    const struct value *grains, *rendered; /* map: node -> its grains, its pillar; NULL */
    int64_t wait_max_ms;                   /* at most this time, whatever timeout: says; 0 = that */
};

/* Whether app_servers is a question and not a list. */
bool inventory_wanted(const struct value *app_servers);
/* Asks; *ret is a map by node id, *ret_answer who said so. false: problems has why. */
bool inventory_ask(const struct value *app_servers, const struct inventory_request *req, struct arena *a,
                   const struct value **ret, struct rendered *ret_answer,
                   struct problems *problems) MUST_CHECK;

/* ---- a driver's list: inventory_driver.c ---- */

/* The key under app_servers that names a driver with a verb that lists nodes; NULL: there is none. */
const struct entry *inventory_driver(const struct value *app_servers, const struct verb **ret);
/* Asks it, by whom pillar_lists_by named; ret_answer->nodes is a map by node id. */
bool inventory_driver_ask(const struct entry *e, const struct verb *verb, int64_t timeout_ms, struct arena *a,
                          struct rendered *ret_answer, struct problems *problems) MUST_CHECK;

#endif
