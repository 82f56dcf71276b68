/* SPDX-License-Identifier: MIT */
/* The loop, written once (loop.h). */
#include "loop/loop.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/arena.h"

static int64_t now_of(const struct loop *l)
{
    return l->ports->now(l->ctx);
}

void loop_room_fini(struct loop_room *room)
{
    free(room->ops);
    room->ops = NULL;
    room->n_ops = room->cap_ops = 0;
}

void loop_init(struct loop *l, const struct loop_ports *ports, void *ctx, struct core *core,
               struct loop_room *room)
{
    *l = (struct loop){.ports = ports,
                       .ctx = ctx,
                       .core = core,
                       .room = room,
                       .state = LOOP_GOES_ON,
                       .beat_at = -1,
                       .abort_at = CORE_NEVER,
                       .stop_at = CORE_NEVER};
    room->n_ops = 0;
}

/* ---- deciding */

static void decide(struct loop *l, struct event *ev)
{
    struct loop_room *room = l->room;
    ev->now_ms = now_of(l);
    core_step(l->core, ev, &room->up);
    for (uint32_t i = 0; i < room->up.n_ops; i++) {
        if (room->n_ops == room->cap_ops) {
            room->cap_ops = room->cap_ops ? room->cap_ops * 2 : 64;
            room->ops = xrealloc(room->ops, room->cap_ops * sizeof(*room->ops));
        }
        room->ops[room->n_ops++] = room->up.ops[i];
    }
    l->ports->decided(l->ctx, ev, &room->up);
}

static void order(struct loop *l, enum order what)
{
    decide(l, &(struct event){.kind = EV_ORDER, .order = what});
}

static void take_signal(struct loop *l, bool terminate)
{
    l->signals += l->signals < UINT8_MAX;
    if (l->signals == 1) {
        l->terminated = terminate;
        order(l, ORDER_STOP);
        if (terminate)
            l->abort_at = now_of(l) + LOOP_TERM_ABORT_MS;
    } else if (l->signals == 2) {
        order(l, ORDER_ABORT);
    }
}

/* false: it is not ours any more. */
static bool take_all(struct loop *l)
{
    for (;;) {
        struct event ev = {.kind = EV_OUTCOME};
        switch (l->ports->take(l->ctx, &ev)) {
        case NEWS_OUTCOME:
            must(ev.kind == EV_OUTCOME);
            decide(l, &ev);
            break;
        case NEWS_INTERRUPT: take_signal(l, false); break;
        case NEWS_TERMINATE: take_signal(l, true); break;
        case NEWS_LOST: return false;
        case NEWS_NONE: return true;
        }
    }
}

static void take_time(struct loop *l)
{
    if (l->stop_at != CORE_NEVER && now_of(l) >= l->stop_at) {
        l->stop_at = CORE_NEVER;
        if (core_life(l->core) <= LIFE_ROLL && core_count(l->core, NODE_PENDING) > 0)
            order(l, ORDER_STOP);
    }
    if (l->abort_at != CORE_NEVER && now_of(l) >= l->abort_at) {
        l->abort_at = CORE_NEVER;
        order(l, ORDER_ABORT);
    }
    if (now_of(l) >= core_due(l->core))
        decide(l, &(struct event){.kind = EV_TIMER});
}

/* ---- waiting */

static void beat(struct loop *l)
{
    int64_t now = now_of(l);
    l->paused |= l->beat_at >= 0 && now - l->beat_at > LOOP_PAUSED_MS;
    l->beat_at = now;
}

static void wait_for_news(struct loop *l)
{
    int64_t until = core_due(l->core);
    if (l->abort_at < until)
        until = l->abort_at;
    if (l->stop_at < until)
        until = l->stop_at;
    bool came = false;
    do {
        beat(l);
        int64_t next = l->beat_at + LOOP_BEAT_MS;
        came = l->ports->wait(l->ctx, next < until ? next : until);
    } while (!came && now_of(l) < until);
    beat(l);
}

/* Others may have taken over while this process stood still. Nodes and journal refuse it then, but balancers
 * have no fence: so nothing is decided, or done, before the nodes were asked whose they are. */
static bool still_ours(struct loop *l)
{
    if (!l->paused)
        return true;
    l->paused = false;
    bool ours = l->ports->ours(l->ctx);
    l->beat_at = now_of(l); /* the asking is no standstill */
    return ours;
}

/* ---- a turn */

static enum loop_state commit_and_dispatch(struct loop *l)
{
    int status;
    enum why why;
    if (!l->ports->commit(l->ctx))
        return LOOP_BROKEN;
    if (core_ended(l->core, &status, &why))
        return LOOP_ENDED; /* durable, and nothing is left to be done whoever owns the nodes now */
    beat(l);               /* a disk may keep us as long as a debugger does */
    if (!still_ours(l))
        return LOOP_LOST;
    for (size_t i = 0; i < l->room->n_ops; i++)
        l->ports->dispatch(l->ctx, &l->room->ops[i]);
    l->room->n_ops = 0;
    return LOOP_GOES_ON;
}

void loop_give_up(struct loop *l, uint32_t node)
{
    must(l->state == LOOP_GOES_ON);
    decide(l, &(struct event){.kind = EV_GIVE_UP, .node = node});
}

enum loop_state loop_begin(struct loop *l, enum order first)
{
    must(l->state == LOOP_GOES_ON);
    beat(l);
    if (first == ORDER_START)
        decide(l, &(struct event){.kind = EV_START});
    else
        order(l, first);
    return l->state = commit_and_dispatch(l);
}

enum loop_state loop_turn(struct loop *l)
{
    must(l->state == LOOP_GOES_ON && l->room->n_ops == 0);
    wait_for_news(l);
    if (!still_ours(l) || !take_all(l))
        return l->state = LOOP_LOST;
    take_time(l);
    return l->state = commit_and_dispatch(l);
}

int loop_exit(const struct loop *l)
{
    int status;
    enum why why;
    must(core_ended(l->core, &status, &why));
    bool by_signal =
        l->signals > 0 && why == WHY_OPERATOR && (status == EXIT_STOPPED || status == EXIT_PERSON);
    return !by_signal ? status : l->terminated ? EXIT_SIGTERM : EXIT_SIGINT;
}
