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
json_t *watch_text_json(const char *s, size_t n);

/* ---- where an environment stands: `release status` */

struct env_state {
    const char *env;
    struct lock_info lock;
    struct release_info *last;       /* newest release or rollback, or NULL */
    struct release_info *unfinished; /* resumable, or running */
    struct node_state_info *nodes;
    size_t n_nodes;
    const bool *left;  /* nodes[i] left the pillar, and is still owed; NULL: none did */
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
/* Where a rollback goes; all three not given (0, NULL): to before what was done last. The words of a mistake are
 * those of the command line, by whichever door it comes in. */
struct back_way {
    int64_t release; /* to before that finished one, by its own plan */
    int64_t before;  /* to what every node ran before that one, however it ended */
    const char *to;  /* to a revision */
};
/* Two of them, or a release that is none of this environment or cannot be taken back: E_USAGE. *ret is the
 * release that is named, NULL when none is. */
bool back_way_ok(struct reader r, const char *env, const struct back_way *way, struct release_info **ret,
                 struct err *err) MUST_CHECK;
/* "every node to v7", "takes back release 9 (v7 3fa9c1d20b44)": what is said yes to. `named` is what
 * back_way_ok gave. */
const char *back_way_text(const struct back_way *way, const struct release_info *named, struct arena *arena);
/* "v7 3fa9c1d20b44", or the commit alone; in one line that shows what strangers typed and obeys none of it. */
const char *back_name(const struct release_info *r, struct arena *arena);
/* Its order died before its plan was frozen: nothing of it was touched. */
bool lock_never_begun(const struct lock_info *lock);
/* "app4, app7: no nodes of prod any more since release 9"; "" when none is gone. */
const char *env_gone_text(const struct env_state *st, struct arena *arena);
/* The application of an environment, "" when it is not known. */
const char *env_app(struct store *store, const char *env, struct arena *arena);
/* "prod", and with `apart`, where several applications live beside each other, "prod of shop". */
const char *env_title(struct store *store, const char *env, bool apart, struct arena *arena);
/* The same where the application is known; "": it is none that would be told. */
const char *env_title_with(const char *env, const char *app, struct arena *arena);
json_t *env_state_json(const struct env_state *st, struct arena *arena);
/* null when it is free */
json_t *env_lock_json(const struct lock_info *l, struct arena *arena);

#endif
