/* SPDX-License-Identifier: MIT */
/* The loop of a release (engine/loop) in virtual time: its ports are the world of sim.c. Here it may also die between any
 * two of its acts, stand still, or lose its journal; another session goes on from what was durable. */
#include "sim/sim_priv.h"

#include <string.h>

#define PAUSE_MS      40000
#define FAST_LOOKS    64
#define EVENTS_MAX    100000
#define EVENTS_A_NODE 5000
#define TIME_MAX_MS   (7 * 24 * 3600 * INT64_C(1000))

/* A look at the whole core costs a look at each node: in a large fleet not after each of its many events. */
static bool its_turn(struct sim *s)
{
    return !s->opt.fast || s->n_looks++ % FAST_LOOKS == 0;
}

static void journal(struct sim *s)
{
    for (; s->n_durable < s->n_rows; s->n_durable++) {
        const struct record *row = &s->rows[s->n_durable];
        oracle_durable(s, row);
        story_row(s, row);
        core_replay(s->twin, row);
    }
    int status;
    enum why why;
    if ((core_ended(s->core, &status, &why) || its_turn(s)) && !core_same(s->core, s->twin))
        oracle_broken(s, "the core replayed from the journal differs from the live one");
}

/* ---- the ports of the loop: session time runs from 0, as a controller's own clock does */

static int64_t port_now(void *ctx)
{
    const struct sim *s = ctx;
    return s->now - s->session_start;
}

static bool port_wait(void *ctx, int64_t until)
{
    struct sim *s = ctx;
    if (s->now < s->paused_until)
        world_stand_still(s, s->paused_until);
    if (s->kill_now || s->stops_given < s->stops_wanted)
        return true;
    int64_t next = s->n_heap ? s->heap[0].at : NEVER, to = until + s->session_start;
    s->stuck = next == NEVER && core_due(s->core) == CORE_NEVER;
    if (s->stuck)
        return true;
    bool comes = next <= to;
    if (comes)
        to = next;
    if (to > s->now)
        s->now = to;
    return comes;
}

/* Who asks the nodes hears that they are ours: of two controllers of one release only one runs here. */
static bool port_ours(void *ctx)
{
    (void)ctx;
    return true;
}

static enum loop_news lost(struct sim *s, enum sim_end how)
{
    s->how = how;
    return NEWS_LOST;
}

static enum loop_news port_take(void *ctx, struct event *ret)
{
    struct sim *s = ctx;
    struct sim_event ev;
    if (s->stuck)
        return lost(s, SIM_STUCK);
    while (!s->kill_now && event_pop(s, s->now, &ev))
        if (world_handle(s, &ev, ret))
            return NEWS_OUTCOME;
    if (s->kill_now)
        return lost(s, SIM_KILLED);
    if (s->stops_given == s->stops_wanted)
        return NEWS_NONE;
    if (s->stops_given++ == 0)
        s->stopped_at = s->now;
    oracle_order(s);
    return NEWS_INTERRUPT;
}

/* The rows wait for the commit; what has an op under way is told to give it up. */
static void port_decided(void *ctx, const struct event *ev, const struct update *up)
{
    struct sim *s = ctx;
    (void)ev;
    s->fig.n_events++;
    if (s->n_rows + up->n_records > s->cap_rows) {
        s->cap_rows = s->cap_rows ? s->cap_rows * 2 : 1024;
        s->rows = xrealloc(s->rows, s->cap_rows * sizeof(*s->rows));
    }
    memcpy(&s->rows[s->n_rows], up->records, up->n_records * sizeof(*s->rows));
    s->n_rows += up->n_records;
    for (uint32_t i = 0; up->cancel_all && i < s->n_ops; i++)
        if (s->ops[i].live && !s->ops[i].ghost && !s->ops[i].answered)
            sim_op_reply(s, &s->ops[i], 1, OUT_UNKNOWN, false);
    enum invariant broken = its_turn(s) ? core_check(s->core) : INVARIANT_NONE;
    if (broken != INVARIANT_NONE)
        oracle_broken(s, "core_check: invariant %d", (int)broken);
}

static bool dies_at_commit(struct sim *s, enum sim_end how)
{
    s->how = how;
    return false;
}

static bool port_commit(void *ctx)
{
    struct sim *s = ctx;
    if (s->n_rows == s->n_durable)
        return true;
    if (fault_at_commit(s, FAULT_KILL_BEFORE_COMMIT)) {
        s->n_commits++;
        return dies_at_commit(s, SIM_KILLED);
    }
    bool fails = fault_at_commit(s, FAULT_JOURNAL_IO) || fault_at_commit(s, FAULT_JOURNAL_FULL);
    bool dies = fault_at_commit(s, FAULT_KILL_AFTER_COMMIT), pauses = fault_at_commit(s, FAULT_PAUSED);
    if (fault_at_commit(s, FAULT_CTRL_C))
        s->stops_wanted = 1;
    if (fault_at_commit(s, FAULT_CTRL_C_TWICE))
        s->stops_wanted = 2;
    s->n_commits++;
    if (fails)
        return dies_at_commit(s, SIM_JOURNAL);
    journal(s);
    s->now += s->plan->commit_ms;
    if (pauses)
        s->paused_until = s->now + PAUSE_MS;
    return !dies || dies_at_commit(s, SIM_KILLED);
}

static void port_dispatch(void *ctx, const struct op_req *op)
{
    sim_op_dispatch(ctx, op);
}

static const struct loop_ports ports = {
    .now = port_now,
    .wait = port_wait,
    .ours = port_ours,
    .take = port_take,
    .decided = port_decided,
    .commit = port_commit,
    .dispatch = port_dispatch,
};

/* ---- one controller after the other */

static void controller_new(struct sim *s)
{
    s->session++;
    s->fence++;
    if (s->begun)
        world_pass(s, RESTART_MS);
    s->session_start = s->now;
    s->kill_now = false;
    s->orders_given = s->orders_durable = 0;
    s->stops_wanted = s->stops_given = 0;
    s->paused_until = INT64_MIN;
    s->begun = true;
    core_init(s->core, &s->plan->core);
    for (size_t i = 0; i < s->n_durable; i++)
        core_replay(s->core, &s->rows[i]);
    s->n_rows = s->n_durable;
    s->stuck = false;
    s->how = SIM_ENDED;
    loop_init(&s->loop, &ports, s, s->core, &s->room);
    if (s->cap_intents)
        memset(s->intents, 0, s->cap_intents);
}

static enum sim_end controller_run(struct sim *s, enum order order)
{
    uint64_t most = EVENTS_MAX + (uint64_t)s->plan->core.n_nodes * EVENTS_A_NODE;
    for (uint32_t i = 0; order != ORDER_START && i < s->plan->core.n_nodes; i++)
        if (s->nodes[i].unwanted)
            loop_give_up(&s->loop, i);
    oracle_order(s);
    enum loop_state state = loop_begin(&s->loop, order);
    for (uint64_t turns = 0; state == LOOP_GOES_ON; turns++) {
        if (turns > most || s->now - s->session_start > TIME_MAX_MS)
            return SIM_STUCK;
        state = loop_turn(&s->loop);
    }
    return state == LOOP_ENDED ? SIM_ENDED : s->how;
}

/* What the command ends with. */
static int exit_of(struct sim *s, enum sim_end end)
{
    int status;
    enum why why;
    switch (end) {
    case SIM_KILLED: return 137;
    case SIM_JOURNAL: return EXIT_JOURNAL;
    case SIM_STUCK: return -1;
    case SIM_ENDED: break;
    }
    must(core_ended(s->core, &status, &why));
    oracle_end(s, status);
    return loop_exit(&s->loop);
}

enum sim_end sim_session(struct sim *s, enum order order, int *ret_exit)
{
    controller_new(s);
    enum sim_end end = controller_run(s, order);
    *ret_exit = s->last_exit = exit_of(s, end);
    if (end == SIM_STUCK)
        oracle_broken(s, "nothing moves any more and the release has not ended");
    sim_ops_forget(s);
    s->n_rows = s->n_durable;
    sim_say(s, "exit %d", *ret_exit);
    return end;
}
