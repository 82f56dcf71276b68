/* SPDX-License-Identifier: MIT */
/* Who may leave rotation: window, floor, stages, soak. Forward in node order, back in reverse. */
#include "core/core_priv.h"

#define CAPACITY_AGAIN_MS 1000

static uint32_t nodes_out(const struct core *core)
{
    return core->kept.counts[NODE_OUT] + core->kept.counts[NODE_BACK];
}

static bool waits_forward(const struct node *n)
{
    return n->kept.state == NODE_PENDING || (n->kept.state == NODE_DONE && n->kept.suspect);
}

static bool ran_nothing(const struct core *core, uint32_t i)
{
    return core->nodes[i].kept.touched && !(core->plan->node_flags[i] & CORE_NODE_HAS_BEFORE);
}

/* Those that ran nothing before leave rotation last, when the others are back: until then they make room. */
static uint32_t next_that_ran_nothing(const struct core *core)
{
    uint32_t next = core->plan->n_nodes;
    each_node(core, i)
    {
        const struct node *n = &core->nodes[i];
        bool out = n->kept.state == NODE_OUT || n->kept.state == NODE_BACK;
        if (out && !ran_nothing(core, i))
            return core->plan->n_nodes;
        if (n->kept.state == NODE_DONE)
            next = i;
    }
    return next;
}

/* The next node that waits for admission, or n_nodes. */
static uint32_t next_waiting(struct core *core)
{
    uint32_t none = core->plan->n_nodes;
    if (core->kept.life == LIFE_BACK) {
        if (core->kept.n_sick > 0)
            each_node(core,
                      i) if (core->nodes[i].kept.state == NODE_DONE && core->nodes[i].kept.sick) return i;
        for (; core->admit_hint > 0; core->admit_hint--)
            if (core->nodes[core->admit_hint - 1].kept.state == NODE_DONE &&
                !ran_nothing(core, core->admit_hint - 1))
                return core->admit_hint - 1;
        return core->kept.counts[NODE_DONE] > 0 ? next_that_ran_nothing(core) : none;
    }
    for (; core->admit_hint < core->plan->stage_end[core->kept.stage]; core->admit_hint++)
        if (waits_forward(&core->nodes[core->admit_hint]))
            return core->admit_hint;
    return none;
}

/* In rotation but for what we do with it. */
static bool serves(const struct core *core, uint32_t i)
{
    uint8_t flags = core->plan->node_flags[i];
    return (flags & CORE_NODE_WAS_UP) || ((flags & CORE_NODE_COMES_BACK) && core->nodes[i].kept.returned);
}

static void ask_capacity(struct core *core, struct update *up)
{
    struct node *none = &core->nodes[core->plan->n_nodes];
    if (none->side_op || core->cap_due > core->now)
        return;
    /* Nodes on their way out whose drain the balancer has not confirmed yet: the reading may still count
     * them. And those that we hold serve nobody, whatever a balancer that forgot our drain says of them, nor
     * do those that were out before. */
    core->cap_undrained = 0;
    core->cap_most = core->plan->n_others;
    each_node(core, i)
    {
        const struct node *n = &core->nodes[i];
        bool was_up = serves(core, i);
        bool ours = n->kept.state == NODE_OUT || n->kept.state == NODE_BACK;
        bool held = ours && (!node_may_be_in(n) || n->seen_in == SEEN_SOME) &&
                    node_step(core, n) < core->phase_first[PHASE_ENABLE];
        core->cap_most += was_up && !held;
        core->cap_undrained += was_up && ours && !node_may_be_in(n) && !n->kept.drained &&
                               node_step(core, n) < core->phase_first[PHASE_CHANGE];
        /* Left for a person while its guard drained it again. */
        core->cap_undrained += n->kept.state == NODE_LEFT && n->side_op && n->side_role == ROLE_RUN;
    }
    none->side_op =
        node_dispatch(core, up, core->plan->n_nodes, CORE_NO_STEP, ROLE_CAPACITY, core->now + LOOK_MS);
    none->side_role = ROLE_CAPACITY;
    core->cap_asked = core->now;
}

void roll_capacity_outcome(struct core *core, const struct event *ev)
{
    core->cap_valid = ev->outcome == OUT_OK;
    core->cap_unknown = ev->outcome != OUT_OK;
    core->cap_avail = ev->outcome == OUT_OK ? ev->gauge - core->cap_undrained : 0;
    if (core->cap_avail > core->cap_most)
        core->cap_avail = core->cap_most;
    core->cap_due = ev->outcome == OUT_OK ? core->now : core->now + CAPACITY_AGAIN_MS;
    core->min_due = core->now; /* held nodes may wait for it, be it good or bad */
}

/* Is a node out that does not itself wait for the floor? It comes back, or is left. */
static bool others_come(const struct core *core)
{
    each_node(core, i)
    {
        const struct node *n = &core->nodes[i];
        bool waits = node_may_be_in(n) && n->seen_in != SEEN_NOT_YET;
        if ((n->kept.state == NODE_OUT || n->kept.state == NODE_BACK) && !waits)
            return true;
    }
    return false;
}

/* Too few in rotation, or the balancer does not answer: wait a while, then stop. The while begins when those
 * that we hold are back. */
static void floor_short(struct core *core, struct update *up)
{
    uint32_t none = core->plan->n_nodes;
    if (core->floor_since < 0) {
        core->floor_since = core->now;
        emit_note(core, up, NOTE_FLOOR_WAIT, none, CORE_NO_STEP, core->cap_avail, core->plan->min_up);
    }
    if (!core->cap_unknown && others_come(core))
        core->floor_since = core->now;
    core->cap_due = core->now + CAPACITY_AGAIN_MS;
    if (core->cap_due < core->min_due)
        core->min_due = core->cap_due;
    if (core->now - core->floor_since < core->plan->floor_wait_ms)
        return;
    emit_note(core, up, NOTE_FLOOR_STOP, none, CORE_NO_STEP, core->cap_avail, core->plan->min_up);
    if (!core->kept.stop)
        emit_note(core, up, NOTE_STOPPING, none, CORE_NO_STEP, 0,
                  core->cap_unknown ? WHY_BALANCER : WHY_FLOOR);
}

/* May node i leave rotation now? true: yes. false: a reading was asked for, or there are too few. */
static bool floor_allows(struct core *core, struct update *up, uint32_t i)
{
    if (!serves(core, i))
        return true;
    if (core->kept.life == LIFE_BACK && ran_nothing(core, i))
        return true; /* what it adds is of this release: without it there are as many as before */
    if (!core->plan->has_capacity) {
        int64_t in = (int64_t)core->plan->n_nodes - nodes_out(core) - core->kept.counts[NODE_LEFT];
        core->cap_avail = in;
        core->cap_valid = true;
    }
    if (core->cap_unknown && core->cap_due > core->now) {
        if (core->floor_since < 0 || core->now - core->floor_since >= core->plan->floor_wait_ms)
            floor_short(core, up);
        return false;
    }
    if (!core->cap_valid) {
        ask_capacity(core, up);
        return false;
    }
    /* A node that failed its health check while its stage was judged serves nobody, and one that a balancer
     * has out is in no reading of the least: they may go even when the others are just enough. */
    bool uncounted = core->nodes[i].kept.sick || core->nodes[i].seen_in == SEEN_SOME;
    if (core->plan->min_up > 0 && core->cap_avail - !uncounted < (int64_t)core->plan->min_up) {
        floor_short(core, up);
        return false;
    }
    return true;
}

bool roll_may_drain(struct core *core, struct update *up, uint32_t i)
{
    if (floor_allows(core, up, i)) {
        core->cap_avail -= core->nodes[i].seen_in != SEEN_SOME;
        core->nodes[i].judged_at = core->now;
        core->floor_since = -1;
        return true;
    }
    if (core->floor_since < 0 || core->now - core->floor_since < core->plan->floor_wait_ms)
        return false;
    if (core->nodes[i].kept.state == NODE_OUT && !core->nodes[i].kept.touched)
        node_turn(core, up, i, WHY_FLOOR); /* nothing of it was changed: it is given back what it had */
    else
        emit_note(core, up, NOTE_NODE_LEFT, i, core->drain_step, WHY_FLOOR, 0);
    return false;
}

static void admit(struct core *core, struct update *up, uint32_t i)
{
    /* A sick one, too, may be in the reading: it may go when the others are just enough, and nobody with it.
     */
    bool counted = serves(core, i);
    bool known = core->cap_valid && core->cap_avail >= 0; /* not asked for a node that serves nobody */
    int64_t read = where_walked(core) == WHERE_IT_WAS ? ADMIT_NO_BALANCER
                   : known                            ? core->cap_avail
                                                      : ADMIT_UNREAD;
    emit_note(core, up, NOTE_ADMIT, i, CORE_NO_STEP, read, core->plan->min_up);
    core->cap_avail -= counted;
    core->floor_since = -1;
    core->nodes[i].judged_at = core->now;
    node_advance(core, up, i);
}

static void admit_all(struct core *core, struct update *up)
{
    while (!core->kept.stop && nodes_out(core) < core->plan->window && has_room(core, up)) {
        uint8_t life = core->kept.life;
        uint32_t i = next_waiting(core);
        if (i == core->plan->n_nodes || !floor_allows(core, up, i))
            break;
        admit(core, up, i);
        if (core->kept.life != life)
            break;
    }
}

void roll_soak_look(struct core *core, struct update *up, uint32_t i)
{
    struct node *n = &core->nodes[i];
    if (n->kept.state != NODE_DONE || n->op || n->due > core->now || core->kept.stop || !has_room(core, up))
        return;
    n->op = node_dispatch(core, up, i, core->soak_step, ROLE_SOAK, core->now + LOOK_MS);
    n->op_role = ROLE_SOAK;
    n->op_step = core->soak_step;
    n->due = CORE_NEVER;
}

void roll_soak_outcome(struct core *core, struct update *up, uint32_t i, const struct event *ev)
{
    struct node *n = &core->nodes[i];
    if (n->kept.state == NODE_OUT || n->kept.state == NODE_BACK) { /* admitted while it was being looked at */
        node_advance(core, up, i);
        return;
    }
    n->due = CORE_NEVER;
    if (!core->kept.soaking || n->kept.state != NODE_DONE)
        return;
    bool good = ev->outcome == OUT_OK && ev->ready;
    n->soak_fails = good ? 0 : (uint8_t)(n->soak_fails + 1);
    if (n->soak_fails >= SOAK_FAILS_MAX) {
        emit_note(core, up, NOTE_SOAK_FAILED, i, core->soak_step, n->soak_fails, ev->outcome != OUT_OK);
        life_fail(core, up, WHY_SOAK);
        return;
    }
    int64_t pause = core->plan->soak_ms / 5;
    pause = pause < 500 ? 500 : pause > 10000 ? 10000 : pause;
    if (!good)
        pause = 1000;
    if (core->now + pause <= core->soak_until || !good)
        node_due(core, n, core->now + pause);
}

static void soak_begin(struct core *core, struct update *up)
{
    if (!core->kept.soaking)
        emit_note(core, up, NOTE_SOAK, core->plan->n_nodes, CORE_NO_STEP, core->kept.stage,
                  core->plan->soak_ms);
    core->soak_until = core->now + core->plan->soak_ms;
    if (core->soak_until < core->min_due)
        core->min_due = core->soak_until;
    if (core->soak_step != CORE_NO_STEP)
        each_node(core, i) if (core->nodes[i].kept.state == NODE_DONE)
            node_due(core, &core->nodes[i], core->now);
}

static bool soak_finished(struct core *core)
{
    if (core->now < core->soak_until)
        return false;
    each_node(core, i)
    {
        const struct node *n = &core->nodes[i];
        if (n->kept.state == NODE_DONE && (n->op || n->soak_fails > 0))
            return false;
    }
    return true;
}

static void stage_next(struct core *core, struct update *up)
{
    uint32_t none = core->plan->n_nodes;
    if (core->kept.soaking)
        emit_note(core, up, NOTE_SOAKED, none, CORE_NO_STEP, core->kept.stage, 0);
    if (core->kept.stage + 1 < core->plan->n_stages) {
        emit_note(core, up, NOTE_STAGE, none, CORE_NO_STEP, core->kept.stage + 1,
                  core->plan->stage_end[core->kept.stage + 1]);
        return;
    }
    life_next(core, up);
}

void roll_pump(struct core *core, struct update *up)
{
    if (!core->kept.soaking)
        admit_all(core, up);
    if (core->kept.life != LIFE_ROLL || core->kept.stop || core->more)
        return;
    bool stage_out = next_waiting(core) != core->plan->n_nodes || nodes_out(core) > 0;
    if (stage_out)
        return;
    if (!core->kept.soaking && core->plan->soak_ms > 0 && core->kept.counts[NODE_DONE] > 0)
        soak_begin(core, up);
    else if (!core->kept.soaking || soak_finished(core))
        stage_next(core, up);
}
