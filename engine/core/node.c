/* SPDX-License-Identifier: MIT */
/* One node's ladder: which step comes next, and what has to be known before it. The same code walks forward
 * and back; a parallel phase is the same walk over its own range of steps. What an outcome means is in
 * outcome.c. */
#include "core/core_priv.h"

void node_due(struct core *core, struct node *n, int64_t at)
{
    n->due = at;
    if (at < core->min_due)
        core->min_due = at;
}

bool node_goes_back(const struct core *core, const struct node *n)
{
    return n->kept.state == NODE_BACK || core->kept.life == LIFE_BACK_ONCE ||
           core->kept.life == LIFE_BACK_VERIFY;
}

/* Which run of the step this is, for whoever must know one run from the next: a node that goes forward again
 * after it went back does the step again, and so does the release after a run-once step was undone. */
static uint16_t walk_of(const struct core *core, const struct node *n, uint16_t step)
{
    if (step == CORE_NO_STEP)
        return 0;
    return step_def(core, step)->once != ONCE_NO ? core->kept.once_walk[step] : n->kept.walk;
}

uint32_t node_dispatch(struct core *core, struct update *up, uint32_t i, uint16_t step, enum role role,
                       int64_t deadline)
{
    struct node *n = &core->nodes[i];
    uint32_t op = ++core->last_op;
    core_must(up->n_ops < CORE_OPS_MAX && !core->kept.ended && !core->kept.abort);
    core_must(step < core->plan->n_steps ||
              (step == CORE_NO_STEP && (role == ROLE_CAPACITY || role == ROLE_GUARD || role == ROLE_JUDGE)));
    bool back = node_goes_back(core, n);
    bool looks = role == ROLE_OBSERVE || role == ROLE_BEFORE || role == ROLE_SOAK || role == ROLE_CAPACITY ||
                 role == ROLE_JUDGE || (role == ROLE_GUARD && step == CORE_NO_STEP) ||
                 (role == ROLE_RUN && step_def(core, step)->effect == EFFECT_READ);
    if (!looks)
        emit(core, up,
             (struct record){.kind = ROW_INTENT,
                             .code = (uint8_t)role,
                             .role = (uint8_t)role,
                             .attempt = (uint8_t)(role == ROLE_GUARD ? 0 /* beside the step, not of it */
                                                                     : n->kept.attempt + (role == ROLE_RUN ||
                                                                                          role == ROLE_UNDO)),
                             .back = back,
                             .node = i,
                             .step = step,
                             .op = op});
    up->ops[up->n_ops++] = (struct op_req){.op = op,
                                           .node = i,
                                           .step = step,
                                           .role = role,
                                           .group = (uint8_t)core_group_of(core->plan, i),
                                           .attempt = n->kept.attempt ? n->kept.attempt : 1,
                                           .walk = walk_of(core, n, step),
                                           .back = back,
                                           .deadline_ms = deadline};
    core->n_inflight++;
    return op;
}

/* A look is short; a change may use all that is left of its step. */
static int64_t op_deadline(const struct core *core, const struct node *n, uint16_t step, enum role role)
{
    if (role != ROLE_RUN && role != ROLE_UNDO)
        return core->now + LOOK_MS;
    int64_t deadline = step_deadline(core, n, step);
    if (step_def(core, step)->effect == EFFECT_READ && deadline > core->now + READ_MS)
        deadline = core->now + READ_MS;
    return deadline > core->now + 1000 ? deadline : core->now + 1000;
}

void node_send(struct core *core, struct update *up, uint32_t i, uint16_t step, enum role role)
{
    struct node *n = &core->nodes[i];
    core_must(n->op == 0); /* one op of its own steps at a time */
    if (n->started < 0)
        n->started = core->now;
    n->op = node_dispatch(core, up, i, step, role, op_deadline(core, n, step, role));
    n->op_role = (uint8_t)role;
    n->op_step = step;
    n->op_at = core->now;
    n->due = CORE_NEVER;
}

bool node_owes_undo_of(const struct core *core, uint32_t i, uint16_t step)
{
    const struct core_step_def *def = step_def(core, step);
    return def->once != ONCE_NO && def->has_undo && core->kept.once_state[step] != ONCE_FREE &&
           core->kept.once_node[step] == i;
}

/* Steps that this node does not take in this direction. */
static bool step_skipped(const struct core *core, uint32_t i, uint16_t step)
{
    const struct core_step_def *def = step_def(core, step);
    if (core->kept.life == LIFE_BACK_ONCE)
        return !node_owes_undo_of(core, i, step);
    if (!step_is_of(def, core_group_of(core->plan, i)))
        return true;
    if (node_stays_out(core, i) ? def->phase == PHASE_CHANGE && !def->stops : def->out_only)
        return true;
    if (host_has_done(core, i, step))
        return true;
    bool nothing_there = i < core->plan->n_nodes && !(core->plan->node_flags[i] & CORE_NODE_HAS_BEFORE);
    if (node_goes_back(core, &core->nodes[i]) && nothing_there && def->waits && def->phase == PHASE_ENABLE)
        return true; /* given back to its balancer, where it was not up before either */
    if (node_goes_back(core, &core->nodes[i]))
        return def->forward_only || def->once != ONCE_NO; /* undone when all nodes are back */
    return def->back_only || (def->once != ONCE_NO && core->kept.once_state[step] == ONCE_DONE);
}

/* Groups run what they run once in their order, one at a time, and take it back in reverse: it may be about one
 * database. Where one fails, the life ends and the next is not begun. */
static bool waits_its_turn(const struct core *core, uint32_t i)
{
    uint8_t life = core->kept.life;
    bool forward = life == LIFE_BEFORE || life == LIFE_AFTER;
    uint32_t from = forward ? 0 : i + 1;
    uint32_t end = forward ? i : life == LIFE_BACK_ONCE ? core->plan->n_nodes : 0;
    for (uint32_t k = from; k < end; k++)
        if (!core->nodes[k].kept.gang_done)
            return true;
    return false;
}

static bool waits_for_other(const struct core *core, uint32_t i, uint16_t step)
{
    const struct core_step_def *def = step_def(core, step);
    if (def->once == ONCE_NO)
        return false;
    return waits_its_turn(core, i) ||
           (core->kept.once_state[step] == ONCE_RUNNING && core->kept.once_node[step] != i &&
            !node_goes_back(core, &core->nodes[i]));
}

/* A run-once step that failed, or whose node is left with its outcome unknown: nobody may run it again
 * without an order. */
static bool once_is_hopeless(const struct core *core, uint32_t i, uint16_t step)
{
    const struct core_step_def *def = step_def(core, step);
    if (def->once == ONCE_NO || node_goes_back(core, &core->nodes[i]))
        return false;
    uint32_t owner = core->kept.once_node[step];
    return core->kept.once_state[step] == ONCE_FAILED ||
           (core->kept.once_state[step] == ONCE_RUNNING && owner != i &&
            (core->nodes[owner].kept.state == NODE_LEFT || core->nodes[owner].kept.state == NODE_FAILED ||
             core->nodes[owner].kept.state == NODE_GONE));
}

bool node_stays_out(const struct core *core, uint32_t i)
{
    const struct node *n = &core->nodes[i];
    return n->kept.state == NODE_BACK && n->kept.touched &&
           !(core->plan->node_flags[i] & CORE_NODE_HAS_BEFORE);
}

uint16_t node_walk_end(const struct core *core, uint32_t i)
{
    uint16_t first, end;
    const struct node *n = &core->nodes[i];
    if (node_stays_out(core, i))
        return core->phase_first[PHASE_CHECK];
    if (n->kept.state == NODE_OUT || n->kept.state == NODE_BACK)
        return core->phase_first[PHASE_AFTER];
    return life_range(core, &first, &end) && !n->kept.gang_done ? end : NODE_NO_WALK;
}

static uint16_t step_before(const struct core *core, uint32_t i, uint16_t end)
{
    uint16_t step = core->nodes[i].kept.step;
    while (step < end && step_skipped(core, i, step))
        step++;
    return step;
}

uint16_t node_step(const struct core *core, const struct node *n)
{
    uint32_t i = (uint32_t)(n - core->nodes);
    uint16_t end = node_walk_end(core, i);
    return end == NODE_NO_WALK ? n->kept.step : step_before(core, i, end);
}

enum whereabouts where_walked(const struct core *core, uint32_t i)
{
    const struct way *way = way_of(core, i);
    bool balanced = way->drain_step != CORE_NO_STEP || way->takes_elsewhere;
    return balanced ? WHERE_TOLD : WHERE_IT_WAS;
}

static void walk_finished(struct core *core, struct update *up, uint32_t i)
{
    struct node *n = &core->nodes[i];
    enum phase phase;
    if (node_stays_out(core, i))
        emit_note(core, up, NOTE_NODE_LEFT, i, CORE_NO_STEP, WHY_NOTHING_BEFORE, where_walked(core, i));
    else if ((n->kept.state == NODE_OUT || n->kept.state == NODE_BACK) && n->kept.debt &&
             !way_of(core, i)->gives_back)
        emit_note(core, up, NOTE_NODE_OUT, i, CORE_NO_STEP, n->kept.state == NODE_BACK, 0);
    else if (n->kept.state == NODE_OUT || n->kept.state == NODE_BACK)
        emit_note(core, up, NOTE_NODE_IN, i, CORE_NO_STEP, n->kept.state == NODE_BACK, where_walked(core, i));
    else if (life_gang_phase((enum life)core->kept.life, &phase))
        emit_note(core, up, NOTE_GANG_OK, i, CORE_NO_STEP, phase, 0);
}

/* A waiting step at half of its deadline, or beyond it. true: something else than another look was started.
 */
static bool wait_is_late(struct core *core, struct update *up, uint32_t i, uint16_t step)
{
    struct node *n = &core->nodes[i];
    const struct core_step_def *def = step_def(core, step);
    int64_t spent = core->now - n->started;
    bool draining = def->phase == PHASE_DRAIN;
    if (def->has_escalate && n->stance == STANCE_BEGINS && def->escalate_ms > 0 &&
        spent >= def->escalate_ms && spent < def->timeout_ms) {
        walk_stance(n, STANCE_ESCALATED);
        emit_note(core, up, NOTE_ESCALATE, i, step, n->gauge, spent);
        node_send(core, up, i, step, ROLE_ESCALATE);
        return true;
    }
    if (spent < def->timeout_ms || (n->stance == STANCE_KILLED && core->now < n->kill_until))
        return false;
    emit_note(core, up, NOTE_DEADLINE, i, step, n->gauge, spent);
    if (draining && !n->last_unknown && def->on_timeout == ON_TIMEOUT_KILL && def->has_kill &&
        n->stance != STANCE_KILLED) {
        walk_stance(n, STANCE_KILLED);
        n->kill_until = core->now + KILL_GRACE_MS;
        node_send(core, up, i, step, ROLE_KILL);
    } else if (draining && !n->last_unknown && def->on_timeout == ON_TIMEOUT_PROCEED) {
        emit_note(core, up, NOTE_PROCEED, i, step, n->gauge, spent);
        emit(core, up,
             (struct record){.kind = ROW_OUTCOME,
                             .code = OUT_OK,
                             .role = ROLE_RUN,
                             .back = node_goes_back(core, n),
                             .node = i,
                             .step = step,
                             .a = 1,
                             .b = n->gauge});
        node_advance(core, up, i);
    } else {
        node_failed(core, up, i, step, n->last_unknown);
    }
    return true;
}

/* A held node that may be in rotation all the same (its enable was begun, then it was turned round; or we
 * stood still since its admission): whether it is has to be looked at, and if so, it may only leave inside
 * the floor like any other. */
bool node_drains_again(const struct core *core, const struct node *n, uint16_t step)
{
    const struct core_step_def *def = step_def(core, step);
    return node_may_be_in(n) && def->phase == PHASE_DRAIN && def->effect == EFFECT_CHANGE && def->has_observe;
}

/* Its drain was forgotten, and made good by the guard, while the application was to be stopped and was not:
 * who came meanwhile is waited for like those before. true: it walks from drain. */
bool node_drains_anew(struct core *core, struct update *up, uint32_t i)
{
    struct node *n = &core->nodes[i];
    if (!n->lost_here || n->kept.losses >= LOSSES_MAX || node_step(core, n) != way_of(core, i)->change_step)
        return false;
    emit_note(core, up, NOTE_LOST, i, way_of(core, i)->drain_step, 1, 0);
    node_advance(core, up, i);
    return true;
}

/* What was seen of it is older than the reading that it would be judged by, or than the one to be asked for.
 */
static bool seen_long_ago(const struct core *core, uint32_t i)
{
    const struct reading *r = &core->readings[core_group_of(core->plan, i)];
    bool pausing = r->due > core->now;
    return !pausing && core->nodes[i].seen_at < (r->read == READ_WELL ? r->asked : core->now);
}

/* It is held and may be in rotation: seen whether it is, then whether everywhere, then it may leave inside the
 * floor. false: not yet; what was asked comes back here. */
static bool may_drain_again(struct core *core, struct update *up, uint32_t i, uint16_t step)
{
    struct node *n = &core->nodes[i];
    if (n->seen_in == SEEN_NOT_YET) {
        node_send(core, up, i, step, ROLE_OBSERVE);
        return false;
    }
    uint16_t up_step = way_of(core, i)->up_step;
    if (up_step != CORE_NO_STEP && (n->seen_in == SEEN_SOMEWHERE || seen_long_ago(core, i))) {
        n->seen_in = SEEN_SOMEWHERE;
        node_send(core, up, i, up_step, ROLE_OBSERVE);
        return false;
    }
    if (!roll_may_drain(core, up, i)) {
        n->due = core->now; /* it has a turn with every reading */
        return false;
    }
    return true;
}

/* The step that the node stands before, or is in the middle of. */
static void step_go(struct core *core, struct update *up, uint32_t i, uint16_t step)
{
    struct node *n = &core->nodes[i];
    const struct core_step_def *def = step_def(core, step);
    bool back = node_goes_back(core, n);

    /* A drain by the guard must not land after our enable: its outcome comes back here. */
    if (def->phase == PHASE_ENABLE && n->side_op)
        return;
    if (n->started < 0)
        n->started = core->now;

    /* Nothing is stopped before the balancer said that the node is out: its answer comes back here. */
    if (def->phase == PHASE_CHANGE && guard_unsure(core, n)) {
        if (core->now > step_deadline(core, n, step) + core->plan->unknown_grace_ms)
            node_failed(core, up, i, step, true);
        return;
    }

    /* A wait is one more look, until it is too late for another. */
    if (def->effect == EFFECT_READ) {
        if (!wait_is_late(core, up, i, step))
            node_send(core, up, i, step, ROLE_RUN);
        return;
    }

    /* What the floor was judged by is too old to drain by. */
    bool recorded = !def->record_before || n->kept.before_of == step + 1;
    if (step == way_of(core, i)->drain_step && recorded && !node_drained(n) &&
        core->now - n->judged_at > JUDGED_MS)
        n->stale = true;

    /* What may be done already is looked at, never done again unseen. */
    bool drains_again = node_drains_again(core, n, step);
    bool once_open = def->once != ONCE_NO && !back && core->kept.once_state[step] == ONCE_RUNNING;
    if (!drains_again && (n->kept.unknown || n->stance == STANCE_SETTLES || once_open)) {
        node_send(core, up, i, step, ROLE_OBSERVE);
        return;
    }
    if (drains_again && !may_drain_again(core, up, i, step))
        return;

    /* What is to be given back is written down before it is taken. */
    if (!recorded) {
        node_send(core, up, i, step, ROLE_BEFORE);
        return;
    }

    if (!node_drains_anew(core, up, i))
        node_send(core, up, i, step, back && def->once != ONCE_NO ? ROLE_UNDO : ROLE_RUN);
}

void node_advance(struct core *core, struct update *up, uint32_t i)
{
    struct node *n = &core->nodes[i];
    if (n->op || core->kept.ended || core->kept.abort || !has_room(core, up))
        return;
    if (core->kept.life == LIFE_BACK && n->kept.state == NODE_OUT)
        node_turn(core, up, i, (enum why)core->kept.why);
    uint16_t end = node_walk_end(core, i);
    if (end == NODE_NO_WALK || n->due > core->now)
        return;
    if (core->kept.stop && n->kept.state != NODE_OUT && n->kept.state != NODE_BACK)
        return; /* a parallel phase starts nothing new */
    uint16_t step = step_before(core, i, end);
    if (step >= end) {
        walk_finished(core, up, i);
        return;
    }
    if (once_is_hopeless(core, i, step))
        node_failed(core, up, i, step, false);
    else if (!waits_for_other(core, i, step) && !host_is_busy(core, i, step))
        step_go(core, up, i, step);
}
