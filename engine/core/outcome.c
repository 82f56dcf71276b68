/* SPDX-License-Identifier: MIT */
/* What an outcome means for the step of its node: done, tried again, looked at again, or failed. */
#include "core/core_priv.h"

static int64_t interval(const struct core *core, uint16_t step)
{
    int64_t ms = step_def(core, step)->interval_ms;
    return ms > 0 ? ms : 500;
}

static void emit_outcome(struct core *core, struct update *up, uint32_t i, const struct event *ev, bool done)
{
    struct node *n = &core->nodes[i];
    emit(core, up,
         (struct record){.kind = ROW_OUTCOME,
                         .code = (uint8_t)ev->outcome,
                         .role = n->op_role,
                         .attempt = n->kept.attempt,
                         .back = node_goes_back(core, n),
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
    if (def->phase == PHASE_DRAIN && node_drained(n)) {
        n->guarded = GUARD_SAW_IT_OUT;
        guard_again(core, n);
    }
    node_advance(core, up, i);
}

static void retry_or_fail(struct core *core, struct update *up, uint32_t i, uint16_t step)
{
    struct node *n = &core->nodes[i];
    const struct core_step_def *def = step_def(core, step);
    int64_t pause = RETRY_FIRST_MS;
    for (int k = 1; k < n->kept.attempt && pause < RETRY_MOST_MS; k++)
        pause *= 2;
    if (pause > RETRY_MOST_MS)
        pause = RETRY_MOST_MS;
    /* A healthy node that cannot be given back to its balancer is tried until the deadline: nothing is wrong
     * with it. */
    bool enabling = def->phase == PHASE_ENABLE && core->now + pause < step_deadline(core, n, step);
    if (!enabling && n->kept.attempt > def->retries) {
        node_failed(core, up, i, step, false);
        return;
    }
    emit_note(core, up, NOTE_RETRY, i, step, n->kept.attempt, pause);
    walk_stance(n, STANCE_BEGINS);
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
        if (n->kept.losses >= LOSSES_MAX)
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
        walk_stance(n, STANCE_SETTLES);
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
    bool settles = n->stance == STANCE_SETTLES;
    if (ev->outcome == OUT_OK && ev->ready) {
        step_done(core, up, i, ev);
    } else if (ev->outcome == OUT_UNKNOWN) {
        look_again(core, up, i, step);
    } else if (ev->outcome == OUT_FAILED) {
        emit_outcome(core, up, i, ev, false);
        retry_or_fail(core, up, i, step);
    } else if (settles && core->now < step_deadline(core, n, step)) {
        node_due(core, n, core->now + interval(core, step));
    } else if (settles || n->kept.attempt >= step_def(core, step)->retries + RERUNS_MAX) {
        emit_note(core, up, NOTE_DEADLINE, i, step, ev->gauge, core->now - n->started);
        node_failed(core, up, i, step, false);
    } else {
        /* Observed: it was not done. So doing it (again) is safe. */
        n->started = -1;
        if (node_drains_again(core, n, step)) {
            n->seen_in = way_of(core, i)->up_step == CORE_NO_STEP ? SEEN_ALL : SEEN_SOMEWHERE;
            node_advance(core, up, i);
            return;
        }
        if (node_drains_anew(core, up, i))
            return;
        node_send(core, up, i, step,
                  node_goes_back(core, n) && step_def(core, step)->once != ONCE_NO ? ROLE_UNDO : ROLE_RUN);
    }
}

/* Is it up at every balancer, or only in rotation somewhere? */
static void outcome_seen_in(struct core *core, struct update *up, uint32_t i, const struct event *ev)
{
    struct node *n = &core->nodes[i];
    if (ev->outcome != OUT_OK) {
        look_again(core, up, i, node_step(core, n));
        return;
    }
    n->seen_in = ev->ready ? SEEN_ALL : SEEN_SOME;
    n->seen_at = core->now;
    node_advance(core, up, i);
}

/* That a node which is out, or is asked at the end what it runs, cannot be reached says nothing about what was
 * done there, nor about the revision: neither is a look that found nobody an observation, wherever it is made,
 * nor a step that could not be asked for a step that failed (docs/promises.md#m13, 19). A check whose own look has
 * no answer in time has failed: the application was asked, and is silent; at the end it is only asked. */
static enum outcome outcome_of(const struct core *core, const struct node *n, const struct event *ev)
{
    const struct core_step_def *def = step_def(core, n->op_step);
    bool held = def->phase == PHASE_CHANGE || def->phase == PHASE_CHECK || def->phase == PHASE_VERIFY;
    bool observes = n->op_role == ROLE_OBSERVE;
    bool silent = ev->late && (!def->waits || def->phase == PHASE_VERIFY);
    bool nobody = ev->outcome == OUT_FAILED && (ev->unreached || silent);
    return nobody && (held || observes) ? OUT_UNKNOWN : ev->outcome;
}

void node_outcome(struct core *core, struct update *up, uint32_t i, const struct event *said)
{
    struct node *n = &core->nodes[i];
    enum role role = (enum role)n->op_role;
    uint16_t step = n->op_step;
    struct event meant = *said;
    const struct event *ev = &meant;
    meant.outcome = outcome_of(core, n, said);
    n->op = 0;
    n->due = 0;
    host_wakes(core, i);
    if (role == ROLE_SOAK) {
        roll_soak_outcome(core, up, i, ev);
        return;
    }
    if (n->seen_in == SEEN_SOMEWHERE && step == way_of(core, i)->up_step && node_step(core, n) != step &&
        !core->kept.abort) {
        outcome_seen_in(core, up, i, ev);
        return;
    }
    /* The release went another way meanwhile: the row is kept, the walk is not moved by it. */
    bool turned = core->kept.life == LIFE_BACK && n->kept.state == NODE_OUT;
    bool stale =
        core->kept.abort || turned || node_walk_end(core, i) == NODE_NO_WALK || node_step(core, n) != step;
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
