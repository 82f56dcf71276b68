/* SPDX-License-Identifier: MIT */
/* The objects of docs/json.md, for whoever puts them into larger ones (the server). The caller owns what
 * comes back. */
#ifndef RELEASE_WATCH_JSON_H
#define RELEASE_WATCH_JSON_H

#include <jansson.h>

#include "watch/watch.h"

json_t *watch_row_json(const struct watch_plan *plan, const struct row *row);
json_t *watch_output_json(const struct watch_plan *plan, const struct output *o);
json_t *watch_release_json(const struct release_info *r);
/* Bytes that are no UTF-8 are given in their visible form. */
json_t *watch_text_json(const char *text, size_t n);

/* ---- where an environment stands: `release status` */

struct env_state {
    const char *env;
    struct lock_info lock;
    struct release_info *last;       /* newest release or rollback, or NULL */
    struct release_info *unfinished; /* resumable, or running */
    struct node_state_info *nodes;
    size_t n_nodes;
    const char **gone; /* nodes that the newest release of the whole environment did not have any more */
    size_t n_gone;
    int64_t gone_since;           /* that release */
    struct release_info *running; /* the lock's release while its engine lives */
};
/* Everything lives in `arena`. */
bool env_state_read(struct store *store, const char *env, struct arena *arena, struct env_state *ret,
                    struct err *err) MUST_CHECK;
/* The same without its nodes, which take a question each: for many environments at once. */
bool env_state_brief(struct store *store, const char *env, struct arena *arena, struct env_state *ret,
                     struct err *err) MUST_CHECK;
/* Why a plain rollback takes back release `back` and not what was done last; "" when that is the last. */
const char *back_story(const struct env_state *st, const struct release_info *back, struct arena *arena);
/* Its order died before its plan was frozen: nothing of it was touched. */
bool lock_never_begun(const struct lock_info *lock);
json_t *env_state_json(const struct env_state *st, struct arena *arena);
/* null when it is free */
json_t *env_lock_json(const struct lock_info *l, struct arena *arena);

#endif
