/* What a timeline needs of the past: which step ran when on which node, who entered which state when, when
 * stages began. Told row by row beside a model; pure, no I/O. Memory: 24 bytes per change of state, 40 per
 * step where spans are kept. */
#ifndef RELEASE_WATCH_TRACK_H
#define RELEASE_WATCH_TRACK_H

#include "watch/watch.h"

/* Above this many nodes nobody looks at single steps; they are not kept. */
#define TRACK_SPANS_NODES 200

struct track_span {
    uint32_t node;
    int step;
    int64_t from_ms, to_ms;
    bool failed, back; /* back: on the way back */
};
struct track_move {
    int64_t at_ms;
    uint32_t node;
    enum shown from, to;
};
struct track_stage {
    int64_t at_ms;
    uint32_t stage, up_to; /* from 0; so many nodes at its end */
};

struct track {
    const struct model *model;
    struct track_seen *seen; /* per node, as the last row left it */
    struct track_span *spans;
    size_t n_spans, cap_spans;
    struct track_move *moves; /* oldest first */
    size_t n_moves, cap_moves;
    struct track_stage *stages;
    size_t n_stages, cap_stages;
};
void track_init(struct track *t, const struct model *m);
void track_fini(struct track *t);
/* After model_apply of the same row. */
void track_apply(struct track *t, const struct row *row);

/* Nodes that are out of rotation in this state. */
bool shown_is_out(enum shown s);

#endif
