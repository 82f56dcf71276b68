/* SPDX-License-Identifier: MIT */
/* A release as it stands: its frozen plan and the fold of its rows, kept between requests and gone on with
 * from where it was. What is kept is only speed: a restart folds anew. Inside engine/serve. */
#ifndef RELEASE_SERVE_FOLD_H
#define RELEASE_SERVE_FOLD_H

#include "plans/plan.h"
#include "serve/serve_priv.h"
#include "watch/watch.h"

struct step_span {
    uint32_t node;
    int16_t step;
    bool back;
    uint8_t outcome; /* enum outcome */
    int64_t from_ms, to_ms;
};
/* A node enters a state. */
struct move {
    uint32_t node;
    uint8_t from, to; /* enum shown */
    int64_t at_ms;
};
struct stage_mark {
    int stage;
    int64_t at_ms;
};

struct fold {
    int64_t release; /* 0 = an empty place */
    pthread_mutex_t lock;
    unsigned users;
    int64_t used_ms;
    struct arena arena;
    struct plan *plan;
    const struct watch_plan *watch;
    struct model model;
    bool ready;
    int64_t seq; /* of the last row that is in it */
    struct step_span *spans;
    struct move *moves;
    struct stage_mark *stages;
    size_t n_spans, cap_spans, n_moves, cap_moves, n_stages, cap_stages;
    uint8_t *outcome; /* per node: of its last outcome row */
};

/* The fold of a release, up to date and ours alone until fold_put. NULL: err says why (E_NOTFOUND: no such
 * release). */
struct fold *fold_get(struct serve *s, struct store *store, int64_t release, struct err *err) MUST_CHECK;
void fold_put(struct serve *s, struct fold *f);
#endif
