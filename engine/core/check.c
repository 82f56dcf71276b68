/* Invariants: what must hold after every step. For harnesses; production does not pay for it. */
#include "core/core_priv.h"

#include <string.h>

static bool counts_agree(const struct core *core)
{
    uint32_t counts[NODE_STATE_COUNT] = {0};
    uint32_t inflight = 0;
    for (uint32_t i = 0; i <= core->plan->n_nodes; i++) {
        const struct node *n = &core->nodes[i];
        inflight += (n->op != 0) + (n->side_op != 0);
        if (i < core->plan->n_nodes)
            counts[n->state]++;
    }
    return memcmp(counts, core->counts, sizeof(counts)) == 0 && inflight == core->n_inflight;
}

static enum invariant check_node(const struct core *core, uint32_t i)
{
    const struct node *n = &core->nodes[i];
    bool held = n->state == NODE_OUT || n->state == NODE_BACK;
    if ((n->state == NODE_DONE || n->state == NODE_UNDONE || n->state == NODE_PENDING) && n->debt)
        return INVARIANT_DEBT;
    bool plan_changes = core->phase_first[PHASE_CHANGE] < core->phase_first[PHASE_CHECK];
    if (n->state == NODE_BACK && plan_changes && !n->touched && !n->debt)
        return INVARIANT_UNTOUCHED;
    if (n->state == NODE_OUT && !core->back && core->life == LIFE_ROLL &&
        i >= core->plan->stage_end[core->stage])
        return INVARIANT_STAGE;
    /* Somebody must be going to move it: an op, a timer, the run-once step of another node, or the next step
     * at once. */
    bool waits_once = n->step < core->plan->n_steps && core->plan->steps[n->step].once != ONCE_NO;
    if (held && !core->ended && !core->abort && !n->op && !n->side_op && n->due == CORE_NEVER && !waits_once)
        return INVARIANT_ORPHAN;
    return INVARIANT_NONE;
}

enum invariant core_check(const struct core *core)
{
    if (!counts_agree(core))
        return INVARIANT_COUNTS;
    /* held_most: the window, or what a resume found out already and must not add to. */
    if (core->counts[NODE_OUT] + core->counts[NODE_BACK] > core->held_most)
        return INVARIANT_WINDOW;
    if (core->ended && core->n_inflight > 0)
        return INVARIANT_ENDED;
    each_node(core, i)
    {
        enum invariant broken = check_node(core, i);
        if (broken != INVARIANT_NONE)
            return broken;
    }
    return INVARIANT_NONE;
}

static bool node_same(const struct node *a, const struct node *b)
{
    return a->state == b->state && a->inflight == b->inflight && a->attempt == b->attempt &&
           a->walk == b->walk && a->losses == b->losses && a->debt == b->debt && a->drained == b->drained &&
           a->touched == b->touched && a->fresh == b->fresh && a->returned == b->returned &&
           a->before_of == b->before_of && a->unknown == b->unknown && a->gang_done == b->gang_done &&
           a->left_in == b->left_in && a->left_back == b->left_back && a->may_be_in == b->may_be_in &&
           a->suspect == b->suspect && a->sick == b->sick && a->inflight_step == b->inflight_step;
}

bool core_same(const struct core *a, const struct core *b)
{
    bool same = a->life == b->life && a->stop == b->stop && a->abort == b->abort && a->back == b->back &&
                a->ended == b->ended && a->exit_status == b->exit_status && a->stage == b->stage &&
                a->soaking == b->soaking && a->n_failed == b->n_failed && a->gang_todo == b->gang_todo &&
                memcmp(a->counts, b->counts, sizeof(a->counts)) == 0 &&
                memcmp(a->once_state, b->once_state, sizeof(a->once_state)) == 0 &&
                memcmp(a->once_walk, b->once_walk, sizeof(a->once_walk)) == 0;
    for (uint32_t i = 0; same && i <= a->plan->n_nodes; i++)
        same = node_same(&a->nodes[i], &b->nodes[i]);
    return same;
}
