/* SPDX-License-Identifier: MIT */
/* A node that we hold out of rotation stays out: a balancer that reloads forgets our drain, and the next
 * request would meet a stopped application (docs/promises.md#m24). While the node works, a short look repeats
 * beside its own steps. */
#include "core/core_priv.h"

/* Nodes that are left for a person are looked after as long as the release acts on others. */
static bool acts_on_others(const struct core *core)
{
    if (core->kept.counts[NODE_OUT] + core->kept.counts[NODE_BACK] > 0)
        return true;
    return !core->kept.stop && (core->kept.life == LIFE_ROLL ||
                                (core->kept.life == LIFE_BACK && core->kept.counts[NODE_DONE] > 0));
}

static bool guarded(const struct core *core, const struct node *n)
{
    bool held = n->kept.state == NODE_OUT || n->kept.state == NODE_BACK;
    bool let_go = n->kept.state == NODE_GONE && !n->kept.given_up;
    bool left = (n->kept.state == NODE_LEFT || let_go) && n->kept.left_from != LEFT_FROM_ROTATION &&
                acts_on_others(core);
    uint32_t i = (uint32_t)(n - core->nodes);
    return node_drained(n) && (held || left) && group_of(core, i)->has_guard &&
           way_of(core, i)->drain_step != CORE_NO_STEP && !core->kept.abort;
}

/* Nothing is stopped before the balancer answered; what is stopped already goes on when it cannot be asked.
 */
bool guard_unsure(const struct core *core, const struct node *n)
{
    if (!guarded(core, n) || n->guarded == GUARD_SAW_IT_OUT)
        return false;
    return n->guarded == GUARD_NEVER_ASKED ||
           node_step(core, n) == way_of(core, (uint32_t)(n - core->nodes))->change_step;
}

void guard_look(struct core *core, struct update *up, uint32_t i)
{
    struct node *n = &core->nodes[i];
    if (!guarded(core, n) || n->side_op || n->guard_due > core->now || !has_room(core, up))
        return;
    n->side_op = node_dispatch(core, up, i, CORE_NO_STEP, ROLE_GUARD, core->now + LOOK_MS);
    n->side_role = ROLE_GUARD;
    n->side_at = core->now;
    n->guard_due = CORE_NEVER;
}

void guard_again(struct core *core, struct node *n)
{
    n->guard_due = core->now + core->plan->guard_ms;
    if (n->guard_due < core->min_due)
        core->min_due = n->guard_due;
}

void guard_outcome(struct core *core, struct update *up, uint32_t i, const struct event *ev)
{
    struct node *n = &core->nodes[i];
    bool was_drain = n->side_role == ROLE_RUN;
    n->side_op = 0;
    if (was_drain)
        emit(core, up,
             (struct record){.kind = ROW_OUTCOME,
                             .code = (uint8_t)ev->outcome,
                             .role = ROLE_GUARD,
                             .back = n->kept.state == NODE_BACK,
                             .node = i,
                             .step = way_of(core, i)->drain_step,
                             .op = ev->op});
    if (!guarded(core, n)) {
        node_advance(core, up, i);
        return;
    }
    bool told = !was_drain && ev->outcome == OUT_OK, lost = told && (ev->lost || !ev->ready);
    bool stale = core->now - n->side_at > STALE_MS;
    bool unsure = n->guarded != GUARD_SAW_IT_OUT;
    if (unsure && told && !lost && !stale)
        n->guarded = GUARD_SAW_IT_OUT;
    else if (unsure && !was_drain)
        n->guarded = GUARD_ASKED;
    if (unsure && n->guarded == GUARD_SAW_IT_OUT)
        n->started = -1; /* its step had to wait for this */
    if (lost && unsure && n->kept.state != NODE_LEFT && n->kept.state != NODE_GONE &&
        node_step(core, n) >= core->phase_first[PHASE_CHANGE] &&
        node_step(core, n) < core->phase_first[PHASE_CHECK]) {
        emit_note(core, up, NOTE_LOST, i, way_of(core, i)->drain_step, 1, 0);
        node_advance(core, up, i);
        return;
    }
    uint16_t step = node_step(core, n);
    bool enabling = step >= core->phase_first[PHASE_ENABLE] && !n->op;
    bool matters = step >= core->phase_first[PHASE_CHANGE] ||
                   ((n->kept.state == NODE_LEFT || n->kept.state == NODE_GONE) && n->kept.touched);
    if (lost && !enabling && matters) {
        n->lost_here = step == way_of(core, i)->change_step;
        emit_note(core, up, NOTE_LOST, i, way_of(core, i)->drain_step, 0, 0);
        n->side_op = node_dispatch(core, up, i, way_of(core, i)->drain_step, ROLE_GUARD, core->now + LOOK_MS);
        n->side_role = ROLE_RUN;
        return;
    }
    guard_again(core, n);
    if (stale && unsure)
        n->guard_due = core->min_due = core->now;
    node_advance(core, up, i);
}
