/* SPDX-License-Identifier: MIT */
/* Invariants: what must hold after every step. For harnesses; production does not pay for it. */
#include "core/core_priv.h"

#include <string.h>

/* Asked after every step of a simulation: nodes of a group stand side by side, so nobody is asked for his. */
static bool counts_agree(const struct core *core)
{
    uint32_t counts[NODE_STATE_COUNT] = {0}, of_group[CORE_GROUPS_MAX][NODE_STATE_COUNT];
    uint32_t g = 0, none = core->plan->n_nodes, n_groups = core->plan->n_groups;
    uint32_t inflight =
        (core->nodes[none].op != 0) + (core->nodes[none].side_op != 0) + (core->judge_op != 0);
    memset(of_group, 0, n_groups * sizeof(of_group[0]));
    each_node(core, i)
    {
        const struct node *n = &core->nodes[i];
        while (g + 1 < n_groups && i >= core->plan->groups[g].end)
            g++;
        inflight += (n->op != 0) + (n->side_op != 0);
        counts[n->kept.state]++;
        of_group[g][n->kept.state]++;
    }
    return memcmp(counts, core->kept.counts, sizeof(counts)) == 0 &&
           memcmp(of_group, core->kept.of_group, n_groups * sizeof(of_group[0])) == 0 &&
           inflight == core->n_inflight;
}

static enum invariant check_node(const struct core *core, uint32_t i, uint32_t g)
{
    const struct node *n = &core->nodes[i];
    const struct way *way = &core->ways[g];
    bool held = n->kept.state == NODE_OUT || n->kept.state == NODE_BACK;
    bool settled = n->kept.state != NODE_LEFT && n->kept.state != NODE_GONE;
    if (settled && held != (n->kept.hold != HOLD_NOT))
        return INVARIANT_HOLD;
    const uint32_t *counts = core->kept.counts, *mine = core->kept.of_group[g];
    if (held && n->kept.hold == HOLD_ADMITTED &&
        counts[NODE_OUT] + counts[NODE_BACK] > mine[NODE_OUT] + mine[NODE_BACK])
        return INVARIANT_GROUPS;
    if (held && n->kept.hold == HOLD_ADMITTED && host_has_one_out(core, i))
        return INVARIANT_HOST;
    if ((n->kept.state == NODE_DONE || n->kept.state == NODE_UNDONE || n->kept.state == NODE_PENDING) &&
        n->kept.debt && way->gives_back && !way->takes_elsewhere)
        return INVARIANT_DEBT;
    if (n->kept.state == NODE_BACK && way->changes && !n->kept.touched && !n->kept.debt)
        return INVARIANT_UNTOUCHED;
    if (n->kept.state == NODE_OUT && !core->kept.back && core->kept.life == LIFE_ROLL &&
        i >= core->plan->stage_end[core->kept.stage])
        return INVARIANT_STAGE;
    /* Somebody must be going to move it: an op, a timer, the run-once step of another node, or the next step
     * at once. */
    if (!held || core->kept.ended || core->kept.abort || n->op || n->side_op || n->due != CORE_NEVER)
        return INVARIANT_NONE;
    uint16_t step = node_step(core, n);
    if (step >= core->plan->n_steps || core->plan->steps[step].once == ONCE_NO)
        return INVARIANT_ORPHAN;
    return INVARIANT_NONE;
}

enum invariant core_check(const struct core *core)
{
    if (!counts_agree(core))
        return INVARIANT_COUNTS;
    /* held_most: the window, or what a resume found out already and must not add to. */
    for (uint32_t g = 0; g < core->plan->n_groups; g++)
        if (core->kept.of_group[g][NODE_OUT] + core->kept.of_group[g][NODE_BACK] > core->kept.held_most[g])
            return INVARIANT_WINDOW;
    if (core->kept.ended && core->n_inflight > 0)
        return INVARIANT_ENDED;
    uint32_t group = 0;
    each_node(core, i)
    {
        while (group + 1 < core->plan->n_groups && i >= core->plan->groups[group].end)
            group++;
        enum invariant broken = check_node(core, i, group);
        if (broken != INVARIANT_NONE)
            return broken;
    }
    return INVARIANT_NONE;
}

bool core_same(const struct core *a, const struct core *b)
{
    bool same = memcmp(&a->kept, &b->kept, sizeof(a->kept)) == 0;
    for (uint32_t i = 0; same && i <= a->plan->n_nodes; i++)
        same = memcmp(&a->nodes[i].kept, &b->nodes[i].kept, sizeof(a->nodes[i].kept)) == 0;
    return same;
}
