/* One node's ladder: which step comes next, what an outcome means, when to look again. The same code walks
 * forward and back; a parallel phase is the same walk over its own range of steps. */
#include "core/core_priv.h"

static const struct core_step_def *step_def(const struct core *core, uint16_t step)
{
    return &core->plan->steps[step];
}

static int64_t step_deadline(const struct core *core, const struct node *n, uint16_t step)
{
    return n->started + step_def(core, step)->timeout_ms;
}

static int64_t interval(const struct core *core, uint16_t step)
{
    int64_t ms = step_def(core, step)->interval_ms;
    return ms > 0 ? ms : 500;
}

void node_due(struct core *core, struct node *n, int64_t at)
{
    n->due = at;
    if (at < core->min_due)
        core->min_due = at;
}

static bool goes_back(const struct core *core, const struct node *n)
{
    return n->state == NODE_BACK || core->life == LIFE_BACK_ONCE || core->life == LIFE_BACK_VERIFY;
}

/* Which run of the step this is, for whoever must know one run from the next: a node that goes forward again
 * after it went back does the step again, and so does the release after a run-once step was undone. */
static uint8_t walk_of(const struct core *core, const struct node *n, uint16_t step)
{
    if (step == CORE_NO_STEP)
        return 0;
    return step_def(core, step)->once != ONCE_NO ? core->once_walk[step] : n->walk;
}

uint32_t node_dispatch(struct core *core, struct update *up, uint32_t i, uint16_t step, enum role role,
                       int64_t deadline)
{
    struct node *n = &core->nodes[i];
    uint32_t op = ++core->last_op;
    bool back = goes_back(core, n);
    bool looks = role == ROLE_OBSERVE || role == ROLE_BEFORE || role == ROLE_SOAK || role == ROLE_CAPACITY ||
                 (role == ROLE_GUARD && step == CORE_NO_STEP) ||
                 (role == ROLE_RUN && step_def(core, step)->effect == EFFECT_READ);
    if (!looks)
        emit(core, up,
             (struct record){.kind = ROW_INTENT,
                             .code = (uint8_t)role,
                             .role = (uint8_t)role,
                             .attempt = (uint8_t)(role == ROLE_GUARD
                                                      ? 0 /* beside the step, not of it */
                                                      : n->attempt + (role == ROLE_RUN || role == ROLE_UNDO)),
                             .back = back,
                             .node = i,
                             .step = step,
                             .op = op});
    up->ops[up->n_ops++] = (struct op_req){.op = op,
                                           .node = i,
                                           .step = step,
                                           .role = role,
                                           .attempt = n->attempt ? n->attempt : 1,
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

static void dispatch_main(struct core *core, struct update *up, uint32_t i, uint16_t step, enum role role)
{
    struct node *n = &core->nodes[i];
    if (n->started < 0)
        n->started = core->now;
    n->op = node_dispatch(core, up, i, step, role, op_deadline(core, n, step, role));
    n->op_role = (uint8_t)role;
    n->op_step = step;
    n->op_at = core->now;
    n->due = CORE_NEVER;
}

/* Steps that this node does not take in this direction. */
static bool step_skipped(const struct core *core, uint32_t i, uint16_t step)
{
    const struct core_step_def *def = step_def(core, step);
    if (goes_back(core, &core->nodes[i])) {
        bool undo =
            core->back && def->has_undo && core->once_state[step] != ONCE_FREE && core->once_node[step] == i;
        if (core->life == LIFE_BACK_ONCE && def->once == ONCE_NO)
            return true;
        return def->forward_only || (def->once != ONCE_NO && !undo);
    }
    return def->once != ONCE_NO && core->once_state[step] == ONCE_DONE;
}

static bool waits_for_other(const struct core *core, uint32_t i, uint16_t step)
{
    const struct core_step_def *def = step_def(core, step);
    return def->once != ONCE_NO && core->once_state[step] == ONCE_RUNNING && core->once_node[step] != i &&
           !goes_back(core, &core->nodes[i]);
}

/* A run-once step that failed, or whose node is left with its outcome unknown: nobody may run it again
 * without an order. */
static bool once_is_hopeless(const struct core *core, uint32_t i, uint16_t step)
{
    const struct core_step_def *def = step_def(core, step);
    if (def->once == ONCE_NO || goes_back(core, &core->nodes[i]))
        return false;
    uint32_t owner = core->once_node[step];
    return core->once_state[step] == ONCE_FAILED ||
           (core->once_state[step] == ONCE_RUNNING && owner != i &&
            (core->nodes[owner].state == NODE_LEFT || core->nodes[owner].state == NODE_FAILED));
}

#define NO_WALK UINT16_MAX
/* The end of the range of steps that the node walks now (an empty one ends where it begins, at 0 even), or
 * NO_WALK when it has nothing to do in this life. */
static uint16_t walk_end(const struct core *core, uint32_t i)
{
    uint16_t first, end;
    const struct node *n = &core->nodes[i];
    if (n->state == NODE_OUT || n->state == NODE_BACK)
        return core->phase_first[PHASE_AFTER];
    return life_range(core, &first, &end) && !n->gang_done ? end : NO_WALK;
}

static void walk_finished(struct core *core, struct update *up, uint32_t i)
{
    struct node *n = &core->nodes[i];
    enum phase phase;
    if (n->state == NODE_OUT || n->state == NODE_BACK)
        emit_note(core, up, NOTE_NODE_IN, i, CORE_NO_STEP, n->state == NODE_BACK, 0);
    else if (life_gang_phase((enum life)core->life, &phase))
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
    if (def->has_escalate && !n->escalated && def->escalate_ms > 0 && spent >= def->escalate_ms &&
        spent < def->timeout_ms) {
        n->escalated = true;
        emit_note(core, up, NOTE_ESCALATE, i, step, n->gauge, spent);
        dispatch_main(core, up, i, step, ROLE_ESCALATE);
        return true;
    }
    if (spent < def->timeout_ms || (n->killed && core->now < n->kill_until))
        return false;
    emit_note(core, up, NOTE_DEADLINE, i, step, n->gauge, spent);
    if (draining && !n->last_unknown && def->on_timeout == ON_TIMEOUT_KILL && def->has_kill && !n->killed) {
        n->killed = true;
        n->kill_until = core->now + KILL_GRACE_MS;
        dispatch_main(core, up, i, step, ROLE_KILL);
    } else if (draining && !n->last_unknown && def->on_timeout == ON_TIMEOUT_PROCEED) {
        emit_note(core, up, NOTE_PROCEED, i, step, n->gauge, spent);
        emit(core, up,
             (struct record){.kind = ROW_OUTCOME,
                             .code = OUT_OK,
                             .role = ROLE_RUN,
                             .back = goes_back(core, n),
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
static bool drains_again(const struct core *core, const struct node *n, uint16_t step)
{
    const struct core_step_def *def = step_def(core, step);
    return node_may_be_in(n) && def->phase == PHASE_DRAIN && def->effect == EFFECT_CHANGE && def->has_observe;
}

/* Its drain was forgotten, and made good by the guard, while the application was to be stopped and was not:
 * who came meanwhile is waited for like those before. true: it walks from drain. */
static bool drains_anew(struct core *core, struct update *up, uint32_t i)
{
    struct node *n = &core->nodes[i];
    if (!n->lost_here || n->losses >= LOSSES_MAX || n->step != core->phase_first[PHASE_CHANGE])
        return false;
    emit_note(core, up, NOTE_LOST, i, core->drain_step, 1, 0);
    node_advance(core, up, i);
    return true;
}

/* What was seen of it is older than the reading that it would be judged by, or than the one to be asked for.
 */
static bool seen_long_ago(const struct core *core, const struct node *n)
{
    bool pausing = core->cap_due > core->now;
    return !pausing && n->seen_at < (core->cap_valid ? core->cap_asked : core->now);
}

/* The step that the node stands before, or is in the middle of. */
static void step_go(struct core *core, struct update *up, uint32_t i, uint16_t step)
{
    struct node *n = &core->nodes[i];
    const struct core_step_def *def = step_def(core, step);
    bool back = goes_back(core, n);
    bool once_open = def->once != ONCE_NO && !back && core->once_state[step] == ONCE_RUNNING;
    if (def->phase == PHASE_ENABLE && n->side_op)
        return; /* a drain by the guard must not land after our enable; its outcome comes back here */
    if (n->started < 0)
        n->started = core->now;
    if (def->phase == PHASE_CHANGE && guard_unsure(core, n)) { /* its answer comes back here */
        if (core->now > step_deadline(core, n, step) + core->plan->unknown_grace_ms)
            node_failed(core, up, i, step, true);
        return;
    }
    bool recorded = !def->record_before || n->before_of == step + 1;
    if (step == core->drain_step && recorded && !n->drained && core->now - n->judged_at > JUDGED_MS)
        n->stale = true;
    if (def->effect == EFFECT_READ) {
        if (!wait_is_late(core, up, i, step))
            dispatch_main(core, up, i, step, ROLE_RUN);
    } else if (drains_again(core, n, step) ? n->seen_in == SEEN_NOT_YET
                                           : n->unknown || n->settling || once_open) {
        dispatch_main(core, up, i, step, ROLE_OBSERVE);
    } else if (drains_again(core, n, step) && core->up_step != CORE_NO_STEP &&
               (n->seen_in == SEEN_SOMEWHERE || seen_long_ago(core, n))) {
        n->seen_in = SEEN_SOMEWHERE;
        dispatch_main(core, up, i, core->up_step, ROLE_OBSERVE);
    } else if (drains_again(core, n, step) && !roll_may_drain(core, up, i)) {
        n->due = core->now; /* it has a turn with every reading */
    } else if (!recorded) {
        dispatch_main(core, up, i, step, ROLE_BEFORE);
    } else if (!drains_anew(core, up, i)) {
        dispatch_main(core, up, i, step, back && def->once != ONCE_NO ? ROLE_UNDO : ROLE_RUN);
    }
}

void node_advance(struct core *core, struct update *up, uint32_t i)
{
    struct node *n = &core->nodes[i];
    if (n->op || core->ended || core->abort || !has_room(core, up))
        return;
    if (core->life == LIFE_BACK && n->state == NODE_OUT)
        node_turn(core, up, i, (enum why)core->why);
    uint16_t end = walk_end(core, i);
    if (end == NO_WALK || n->due > core->now)
        return;
    if (core->stop && n->state != NODE_OUT && n->state != NODE_BACK)
        return; /* a parallel phase starts nothing new */
    uint16_t step = n->step;
    while (step < end && step_skipped(core, i, step))
        step++;
    if (step >= end) {
        walk_finished(core, up, i);
        return;
    }
    n->step = step; /* skipping is derived from durable state, so a replay skips the same */
    if (once_is_hopeless(core, i, step))
        node_failed(core, up, i, step, false);
    else if (!waits_for_other(core, i, step))
        step_go(core, up, i, step);
}

static void emit_outcome(struct core *core, struct update *up, uint32_t i, const struct event *ev, bool done)
{
    struct node *n = &core->nodes[i];
    emit(core, up,
         (struct record){.kind = ROW_OUTCOME,
                         .code = (uint8_t)ev->outcome,
                         .role = n->op_role,
                         .attempt = n->attempt,
                         .back = goes_back(core, n),
                         .node = i,
                         .step = n->op_step,
                         .op = ev->op,
                         .a = done,
                         .b = ev->gauge});
}

static void step_done(struct core *core, struct update *up, uint32_t i, const struct event *ev)
{
    struct node *n = &core->nodes[i];
    const struct core_step_def *def = step_def(core, n->op_step);
    emit_outcome(core, up, i, ev, true);
    if (def->once != ONCE_NO)
        core->scan = 0; /* others wait for it */
    if (def->phase == PHASE_DRAIN && n->drained) {
        n->seen_out = true;
        guard_again(core, n);
    }
    node_advance(core, up, i);
}

static void retry_or_fail(struct core *core, struct update *up, uint32_t i, uint16_t step)
{
    struct node *n = &core->nodes[i];
    const struct core_step_def *def = step_def(core, step);
    int64_t pause = RETRY_FIRST_MS;
    for (int k = 1; k < n->attempt && pause < RETRY_MOST_MS; k++)
        pause *= 2;
    if (pause > RETRY_MOST_MS)
        pause = RETRY_MOST_MS;
    /* A healthy node that cannot be given back to its balancer is tried until the deadline: nothing is wrong
     * with it. */
    bool enabling = def->phase == PHASE_ENABLE && core->now + pause < step_deadline(core, n, step);
    if (!enabling && n->attempt > def->retries) {
        node_failed(core, up, i, step, false);
        return;
    }
    emit_note(core, up, NOTE_RETRY, i, step, n->attempt, pause);
    n->settling = false;
    node_due(core, n, core->now + pause);
}

/* Look again, ever less often, as long as the step's deadline and the grace allow. */
static void look_again(struct core *core, struct update *up, uint32_t i, uint16_t step)
{
    struct node *n = &core->nodes[i];
    int64_t pause = 250;
    for (int k = 0; k < n->looks && pause < OBSERVE_MOST_MS; k++)
        pause *= 2;
    n->looks += n->looks < 16;
    if (core->now + pause > step_deadline(core, n, step) + core->plan->unknown_grace_ms)
        node_failed(core, up, i, step, true);
    else
        node_due(core, n, core->now + pause);
}

static void outcome_read(struct core *core, struct update *up, uint32_t i, const struct event *ev)
{
    struct node *n = &core->nodes[i];
    uint16_t step = n->op_step;
    const struct core_step_def *def = step_def(core, step);
    n->last_unknown = ev->outcome == OUT_UNKNOWN;
    if (ev->outcome == OUT_FAILED) {
        emit_outcome(core, up, i, ev, false);
        node_failed(core, up, i, step, false);
        return;
    }
    if (ev->lost && def->phase == PHASE_DRAIN) {
        emit_note(core, up, NOTE_LOST, i, step, 0, 0);
        n->judged_at = core->now; /* it was out until a moment ago: drained again at once */
        if (n->losses >= LOSSES_MAX)
            node_failed(core, up, i, step, false);
        else
            node_advance(core, up, i);
        return;
    }
    /* We stood still (a suspended laptop): what was so then may not be so now, and the next step stops the
     * application. */
    bool stale = def->phase == PHASE_DRAIN && core->now - n->op_at > STALE_MS;
    n->ready_count = ev->outcome == OUT_OK && ev->ready && !stale ? (uint8_t)(n->ready_count + 1) : 0;
    n->gauge = ev->outcome == OUT_OK ? ev->gauge : n->gauge;
    if (n->ready_count > 0 && n->ready_count >= def->stable) {
        step_done(core, up, i, ev);
        return;
    }
    if (ev->outcome == OUT_OK && n->gauge != n->gauge_said) {
        emit_note(core, up, NOTE_PROGRESS, i, step, n->gauge, 0);
        n->gauge_said = n->gauge;
    }
    node_due(core, n, core->now + interval(core, step));
}

static void outcome_change(struct core *core, struct update *up, uint32_t i, const struct event *ev)
{
    struct node *n = &core->nodes[i];
    uint16_t step = n->op_step;
    const struct core_step_def *def = step_def(core, step);
    bool oneway = def->effect == EFFECT_ONEWAY;
    if (oneway || (ev->outcome == OUT_OK && (ev->ready || !def->has_observe))) {
        struct event done = *ev;
        done.outcome =
            oneway && ev->outcome == OUT_UNKNOWN ? OUT_OK : ev->outcome; /* at most once: never again */
        if (done.outcome == OUT_OK) {
            step_done(core, up, i, &done);
            return;
        }
    }
    emit_outcome(core, up, i, ev, false);
    if (ev->outcome == OUT_OK) {
        n->settling = true;
        node_due(core, n, core->now + interval(core, step));
    } else if (ev->outcome == OUT_FAILED) {
        retry_or_fail(core, up, i, step);
    } else if (!def->has_observe) {
        node_failed(core, up, i, step, true);
    } else {
        node_due(core, n, core->now);
        node_advance(core, up, i);
    }
}

static void outcome_observe(struct core *core, struct update *up, uint32_t i, const struct event *ev)
{
    struct node *n = &core->nodes[i];
    uint16_t step = n->op_step;
    if (ev->outcome == OUT_OK && ev->ready) {
        step_done(core, up, i, ev);
    } else if (ev->outcome == OUT_UNKNOWN) {
        look_again(core, up, i, step);
    } else if (ev->outcome == OUT_FAILED) {
        emit_outcome(core, up, i, ev, false);
        retry_or_fail(core, up, i, step);
    } else if (n->settling && core->now < step_deadline(core, n, step)) {
        node_due(core, n, core->now + interval(core, step));
    } else if (n->settling || n->attempt >= step_def(core, step)->retries + RERUNS_MAX) {
        emit_note(core, up, NOTE_DEADLINE, i, step, ev->gauge, core->now - n->started);
        node_failed(core, up, i, step, false);
    } else {
        /* Observed: it was not done. So doing it (again) is safe. A run-once step observed as not done is
         * free. */
        n->started = -1;
        if (step_def(core, step)->once != ONCE_NO)
            n->settling = false;
        if (drains_again(core, n, step)) {
            n->seen_in = core->up_step == CORE_NO_STEP ? SEEN_ALL : SEEN_SOMEWHERE;
            node_advance(core, up, i);
            return;
        }
        if (drains_anew(core, up, i))
            return;
        dispatch_main(core, up, i, step,
                      goes_back(core, n) && step_def(core, step)->once != ONCE_NO ? ROLE_UNDO : ROLE_RUN);
    }
}

/* Is it up at every balancer, or only in rotation somewhere? */
static void outcome_seen_in(struct core *core, struct update *up, uint32_t i, const struct event *ev)
{
    struct node *n = &core->nodes[i];
    if (ev->outcome != OUT_OK) {
        look_again(core, up, i, n->step);
        return;
    }
    n->seen_in = ev->ready ? SEEN_ALL : SEEN_SOME;
    n->seen_at = core->now;
    node_advance(core, up, i);
}

void node_outcome(struct core *core, struct update *up, uint32_t i, const struct event *ev)
{
    struct node *n = &core->nodes[i];
    enum role role = (enum role)n->op_role;
    uint16_t step = n->op_step;
    n->op = 0;
    n->due = 0;
    if (role == ROLE_SOAK) {
        roll_soak_outcome(core, up, i, ev);
        return;
    }
    if (n->seen_in == SEEN_SOMEWHERE && step == core->up_step && n->step != step && !core->abort) {
        outcome_seen_in(core, up, i, ev);
        return;
    }
    /* The release went another way meanwhile: the row is kept, the walk is not moved by it. */
    bool turned = core->life == LIFE_BACK && n->state == NODE_OUT;
    bool stale = core->abort || turned || walk_end(core, i) == NO_WALK || n->step != step;
    bool looks = role == ROLE_OBSERVE || (role == ROLE_RUN && step_def(core, step)->effect == EFFECT_READ);
    if (stale) {
        if (!looks)
            emit_outcome(core, up, i, ev, false);
        node_advance(core, up, i);
        return;
    }
    if (role == ROLE_BEFORE) {
        n->last_unknown = ev->outcome == OUT_UNKNOWN;
        emit_outcome(core, up, i, ev, false);
        if (ev->outcome == OUT_OK)
            node_advance(core, up, i);
        else if (core->now + 1000 < step_deadline(core, n, step))
            node_due(core, n, core->now + 1000);
        else
            node_failed(core, up, i, step, false);
    } else if (role == ROLE_OBSERVE) {
        outcome_observe(core, up, i, ev);
    } else if (role == ROLE_ESCALATE || role == ROLE_KILL) {
        emit_outcome(core, up, i, ev, false);
        node_due(core, n, core->now);
        node_advance(core, up, i);
    } else if (looks) {
        outcome_read(core, up, i, ev);
    } else {
        outcome_change(core, up, i, ev);
    }
}
