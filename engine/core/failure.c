/* SPDX-License-Identifier: MIT */
/* What a failing step means, by where it stands (docs/ARCHITECTURE.md#the-core-is-a-fold-over-its-rows). */
#include "core/core_priv.h"

static void leave(struct core *core, struct update *up, uint32_t i, uint16_t step, enum why why)
{
    const struct node_kept *k = &core->nodes[i].kept;
    /* A drain that was certainly refused has moved nobody. */
    bool refused = step == way_of(core, i)->drain_step && step != CORE_NO_STEP && why == WHY_BACK_FAILED &&
                   !node_drained(&core->nodes[i]);
    /* Not begun, or failed before anything of it was: it never left. */
    bool stayed = (k->state == NODE_PENDING || k->state == NODE_FAILED) && !k->debt;
    bool serves = where_walked(core, i) == WHERE_IT_WAS || k->state == NODE_DONE || k->state == NODE_UNDONE ||
                  refused || stayed;
    emit_note(core, up, NOTE_NODE_LEFT, i, step, why, serves ? WHERE_IT_WAS : WHERE_TOLD);
}

/* Back to where this release found it. Only what was touched is walked: a node that never left rotation, or
 * was not changed, has its balancer state given back and nothing else. */
void node_turn(struct core *core, struct update *up, uint32_t i, enum why why)
{
    const struct node *n = &core->nodes[i];
    bool has_before = core->plan->node_flags[i] & CORE_NODE_HAS_BEFORE;
    if (n->kept.touched && !has_before && node_drained(n))
        emit_note(core, up, NOTE_NODE_TURN, i, CORE_NO_STEP, core->phase_first[PHASE_CHANGE], why);
    else if (n->kept.touched)
        emit_note(core, up, NOTE_NODE_TURN, i, CORE_NO_STEP, core->phase_first[PHASE_DRAIN], why);
    else if (n->kept.debt)
        emit_note(core, up, NOTE_NODE_TURN, i, CORE_NO_STEP, core->phase_first[PHASE_ENABLE], why);
    else {
        emit_note(core, up, NOTE_NODE_TURN, i, CORE_NO_STEP, core->phase_first[PHASE_AFTER], why);
        emit_note(core, up, NOTE_NODE_IN, i, CORE_NO_STEP, 1, where_walked(core, i));
    }
}

static bool too_many_failed(const struct core *core, uint32_t i)
{
    uint32_t g = core_group_of(core->plan, i);
    return core->kept.failed[g] > core->plan->groups[g].max_failed;
}

/* In the walk forward, drain to enable. */
static void failed_out(struct core *core, struct update *up, uint32_t i, uint16_t step, bool unknown)
{
    const struct core_step_def *def = &core->plan->steps[step];
    if (def->phase == PHASE_DRAIN) {
        emit_note(core, up, NOTE_NODE_FAILED, i, step, 0, 0);
        node_turn(core, up, i, WHY_DRAIN);
        life_fail(core, up, WHY_DRAIN);
        node_advance(core, up, i);
        return;
    }
    /* A healthy node that its balancer does not take back, and anything that could not be learnt, says
     * nothing about the revision: the node stays as it is and a person looks. */
    bool balancer = def->phase == PHASE_ENABLE && (def->effect != EFFECT_READ || unknown);
    if (unknown || balancer) {
        leave(core, up, i, step, balancer ? WHY_BALANCER : WHY_UNKNOWN);
        life_fail(core, up, balancer ? WHY_BALANCER : WHY_UNKNOWN);
        return;
    }
    /* It waited for a run-once step of another node, and nobody knows what became of that. */
    bool waited = def->once != ONCE_NO && core->kept.once_state[step] == ONCE_RUNNING &&
                  core->kept.once_node[step] != i;
    emit_note(core, up, NOTE_NODE_FAILED, i, step, waited, 0);
    node_turn(core, up, i, WHY_FAILED);
    if (def->once != ONCE_NO)
        life_fail(core, up, waited ? WHY_UNKNOWN : WHY_ONCE);
    else if (too_many_failed(core, i))
        life_fail(core, up, WHY_FAILED);
    node_advance(core, up, i);
}

/* In a phase that all nodes take in parallel, or a run-once step or hook of the release. */
static void failed_gang(struct core *core, struct update *up, uint32_t i, uint16_t step, bool unknown)
{
    const struct node *n = &core->nodes[i];
    enum phase phase = (enum phase)core->plan->steps[step].phase;
    bool waited;
    emit_note(core, up, NOTE_GANG_BAD, i, step, phase, unknown);
    if (core->kept.life == LIFE_BACK_ONCE) {
        leave(core, up, i, step, unknown ? WHY_UNKNOWN : WHY_BACK_FAILED);
        return;
    }
    switch (phase) {
    case PHASE_PREPARE:
        emit_note(core, up, NOTE_NODE_FAILED, i, step, unknown, 0);
        if (too_many_failed(core, i))
            life_fail(core, up, unknown ? WHY_UNKNOWN : WHY_PREPARE);
        break;
    case PHASE_VERIFY:
        if (core->kept.life == LIFE_BACK_VERIFY && n->kept.state == NODE_DONE)
            break; /* it was never touched and runs the new one: it goes back, too */
        if (core->kept.life == LIFE_BACK_VERIFY)
            leave(core, up, i, step, WHY_VERIFY);
        else if (unknown)
            leave(core, up, i, step, WHY_UNKNOWN);
        else if (core->plan->rollback_on_failure)
            life_fail(core, up, WHY_VERIFY);
        break; /* where it only stops, all are looked at first: one resume then walks all that need it */
    case PHASE_BEFORE:
    case PHASE_AFTER:
        waited = core->kept.once_state[step] == ONCE_RUNNING && core->kept.once_node[step] != i;
        if (unknown)
            leave(core, up, i, step, WHY_UNKNOWN);
        else
            emit_note(core, up, NOTE_NODE_FAILED, i, step, waited, 0);
        life_fail(core, up, unknown || waited ? WHY_UNKNOWN : WHY_ONCE);
        break;
    case PHASE_HOOK_BEFORE: life_fail(core, up, WHY_HOOK); break;
    case PHASE_HOOK_AFTER: /* released and verified, but what was to follow did not: nobody goes back for that
                            */
        if (!core->kept.stop)
            emit_note(core, up, NOTE_STOPPING, core->plan->n_nodes, CORE_NO_STEP, 0, WHY_HOOK);
        break;
    case PHASE_FINISH: /* what is left to clean is a warning */
    case PHASE_HOOK_FAILURE: break;
    case PHASE_DRAIN:
    case PHASE_CHANGE:
    case PHASE_CHECK:
    case PHASE_ENABLE:
    case PHASE_COUNT: break;
    }
}

void node_failed(struct core *core, struct update *up, uint32_t i, uint16_t step, bool unknown)
{
    const struct node *n = &core->nodes[i];
    const struct core_step_def *def = &core->plan->steps[step];
    if (def->once == ONCE_NO && (def->warns || (def->warns_back && node_goes_back(core, n)))) {
        emit_note(core, up, NOTE_WENT_ON, i, step, unknown, 0);
        node_advance(core, up, i);
        return;
    }
    if (n->kept.state == NODE_BACK)
        leave(core, up, i, step, unknown ? WHY_UNKNOWN : WHY_BACK_FAILED);
    else if (n->kept.state == NODE_OUT)
        failed_out(core, up, i, step, unknown);
    else
        failed_gang(core, up, i, step, unknown);
}
