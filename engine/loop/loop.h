/* SPDX-License-Identifier: MIT */
/* The loop of a release, over ports: wait, take what came, decide, commit, and only then dispatch. What it is
 * run on is the caller's: engine/run puts a journal, workers and a clock behind the ports, engine/sim a world in
 * virtual time, the explorer every order in which things may happen. The rules of the loop stand here once, and
 * it is this code that all of them run:
 *
 * - What was decided is durable before anything of it is done. After a commit that failed nothing is decided or
 *   dispatched any more: memory is ahead of the journal, and only a resume goes on (docs/promises.md#i4).
 * - Who stood still may have been taken over: nothing is decided, and nothing that was decided is dispatched,
 *   before the others were asked whose the nodes are (docs/promises.md#m43).
 * - A first signal stops, a second aborts; what asked to be terminated is aborted after a minute even without
 *   one (docs/promises.md#m50).
 *
 * One thread owns a loop. It has no memory of its own but for its room, and no pointer into itself. */
#ifndef RELEASE_LOOP_LOOP_H
#define RELEASE_LOOP_LOOP_H

#include "core/core.h"

/* The loop looks up at least this often; when it could not for PAUSED, this process stood still. */
#define LOOP_BEAT_MS       1000
#define LOOP_PAUSED_MS     3000
#define LOOP_TERM_ABORT_MS 60000

/* What `take` hands over. INTERRUPT, TERMINATE: a signal, as ctrl-C or SIGTERM. LOST: nothing may be decided any
 * more (another holder has the nodes, the controller is dead). */
enum loop_news { NEWS_NONE, NEWS_OUTCOME, NEWS_INTERRUPT, NEWS_TERMINATE, NEWS_LOST };

/* All are called from the loop's thread, none may call the loop. */
struct loop_ports {
    int64_t (*now)(void *ctx); /* monotonic ms */
    /* Until `until`, or until there is something to take or to commit: then true. It may be a little late. */
    bool (*wait)(void *ctx, int64_t until);
    /* After a standstill: are the nodes still ours? May take a while. */
    bool (*ours)(void *ctx);
    /* One thing that came; OUTCOME fills op, node and what the op said. NONE ends the turn's taking. */
    enum loop_news (*take)(void *ctx, struct event *ret);
    /* The core has decided: `up` holds rows for the next commit. cancel_all: end every running op now. */
    void (*decided)(void *ctx, const struct event *ev, const struct update *up);
    /* Everything decided since the last one, in one transaction; called each turn, also when that is nothing.
     * The core may have ended. false: nothing of it is durable, or we are no longer who may write. */
    bool (*commit)(void *ctx);
    void (*dispatch)(void *ctx, const struct op_req *op);
};

/* What one turn needs; loops that take turns may share one. */
struct loop_room {
    struct update up;
    struct op_req *ops; /* decided in this turn, to be dispatched after the commit */
    size_t n_ops, cap_ops;
};
void loop_room_fini(struct loop_room *room);

enum loop_state {
    LOOP_GOES_ON,
    LOOP_ENDED,  /* the core has ended, and that is durable */
    LOOP_BROKEN, /* a commit failed */
    LOOP_LOST    /* it is not ours to go on */
};

struct loop {
    const struct loop_ports *ports;
    void *ctx;
    struct core *core;
    struct loop_room *room;
    enum loop_state state;
    int64_t beat_at;  /* when it was last seen alive, -1 = not yet */
    int64_t abort_at; /* when a TERMINATE turns into an abort */
    int64_t
        stop_at; /* the caller's, after loop_init: when it is stopped as by a first signal, while it goes forward and
                       * nodes are still to come; CORE_NEVER = not */
    uint8_t signals;
    bool terminated; /* by the first of them */
    bool paused;
};

/* The core is begun, or replayed from the journal, by the caller. */
void loop_init(struct loop *loop, const struct loop_ports *ports, void *ctx, struct core *core,
               struct loop_room *room);
/* Before an order to go on: it is given without that node. */
void loop_give_up(struct loop *loop, uint32_t node);
/* The first turn: START, RESUME or ROLLBACK. */
enum loop_state loop_begin(struct loop *loop, enum order first);
/* Every other turn, as long as it is LOOP_GOES_ON. */
enum loop_state loop_turn(struct loop *loop);
/* When the core has ended: the exit status of the command, by the operator's signals, too. */
int loop_exit(const struct loop *loop);

#endif
