/* SPDX-License-Identifier: MIT */
/* Instances: several nodes that run in one directory of one machine. What is of the directory is done once for all
 * of them, by the first that needs it in its direction; what is of the process by each, one after the other, so that
 * a host never leaves rotation as a whole. Which revision the directory holds stands in the rows (enum dir). */
#include "core/core_priv.h"

uint32_t host_first(const struct core *core, uint32_t i)
{
    return core->plan->host_first && i < core->plan->n_nodes ? core->plan->host_first[i] : i;
}

uint32_t host_end(const struct core *core, uint32_t i)
{
    uint32_t first = host_first(core, i), end = first + 1;
    while (core->plan->host_first && end < core->plan->n_nodes && core->plan->host_first[end] == first)
        end++;
    return end;
}

static bool has_sisters(const struct core *core, uint32_t i)
{
    return core->plan->host_first && host_end(core, i) - host_first(core, i) > 1;
}

static bool is_out(const struct node *n)
{
    return n->kept.state == NODE_OUT || n->kept.state == NODE_BACK;
}

static enum dir dir_of(const struct core *core, uint32_t i)
{
    return (enum dir)core->nodes[host_first(core, i)].kept.dir;
}

static bool dir_goes_back(const struct core *core, uint32_t i)
{
    return dir_of(core, i) == DIR_BEFORE || dir_of(core, i) == DIR_BACK;
}

/* Nothing of it was touched, and yet: whatever ended meanwhile was started again from the directory, as it was then.
 * Where nothing ran before there is nothing that it should run, and nothing that ended. */
bool host_may_run_new(const struct core *core, uint32_t i)
{
    const struct node_kept *k = &core->nodes[i].kept;
    bool untouched = k->state == NODE_PENDING || k->state == NODE_FAILED ||
                     (k->state == NODE_UNDONE && !k->touched); /* drained, and given back */
    return untouched && has_sisters(core, i) && (core->plan->node_flags[i] & CORE_NODE_HAS_BEFORE) &&
           dir_of(core, i) != DIR_UNTOUCHED;
}

/* Before a node leaves, the first of its host prepares for all, and cleans up for all; while nodes change, whoever
 * comes first does what is of the directory, and the others find it done. */
bool host_has_done(const struct core *core, uint32_t i, uint16_t step)
{
    const struct core_step_def *def = step_def(core, step);
    if (!def->of_host || !has_sisters(core, i))
        return false;
    if (def->phase != PHASE_CHANGE)
        return i != host_first(core, i);
    bool back = node_goes_back(core, &core->nodes[i]);
    return back ? dir_of(core, i) == DIR_BEFORE || dir_of(core, i) == DIR_UNTOUCHED
                : dir_of(core, i) == DIR_NEW;
}

/* An instance failed and took the directory back with it: those that are done go back as well, whatever max_failed
 * allows elsewhere: what they run is not what their directory holds. Where one is left, a person looks first. */
bool host_turned(const struct core *core, uint32_t i)
{
    const struct node *n = &core->nodes[i];
    bool any = false;
    if (core->kept.counts[NODE_UNDONE] == 0 || n->kept.state != NODE_DONE || n->kept.suspect ||
        way_of(core, i)->dir_step == CORE_NO_STEP || !has_sisters(core, i) || !dir_goes_back(core, i))
        return false;
    for (uint32_t k = host_first(core, i); k < host_end(core, i); k++) {
        if (core->nodes[k].kept.state == NODE_LEFT)
            return false;
        any |= core->nodes[k].kept.state == NODE_UNDONE;
    }
    return any;
}

bool host_has_one_out(const struct core *core, uint32_t i)
{
    for (uint32_t k = host_first(core, i); k < host_end(core, i); k++)
        if (k != i && is_out(&core->nodes[k]))
            return true;
    return false;
}

/* One instance at a time; and forward none before the first one is done: then the directory holds the revision, and
 * that was seen to run there. Where the first one failed, or was given up, the others stay what they were. */
bool host_lets_out(const struct core *core, uint32_t i)
{
    if (!has_sisters(core, i))
        return true;
    if (host_has_one_out(core, i))
        return false;
    uint32_t first = host_first(core, i);
    const struct way *way = way_of(core, i);
    if (i == first || !way->of_host || core->nodes[i].kept.state == NODE_DONE)
        return true; /* a finished one goes back, or is walked again */
    const struct node *leader = &core->nodes[first];
    return leader->kept.state == NODE_DONE && !leader->kept.suspect &&
           (way->dir_step == CORE_NO_STEP || !dir_goes_back(core, i));
}

/* Its directory was prepared, or is being: by the first, for all. */
bool host_is_prepared(const struct core *core, uint32_t i)
{
    enum node_state first = (enum node_state)core->nodes[host_first(core, i)].kept.state;
    return first != NODE_FAILED && first != NODE_GONE;
}

static bool changes_now(const struct core *core, const struct node *n)
{
    const struct core_step_def *def = n->op ? step_def(core, n->op_step) : NULL;
    return def && def->phase == PHASE_CHANGE && def->effect != EFFECT_READ &&
           (n->op_role == ROLE_RUN || n->op_role == ROLE_UNDO);
}

/* After a crash two of a host may be out at once. What they change they change one after the other. */
bool host_is_busy(const struct core *core, uint32_t i, uint16_t step)
{
    if (step_def(core, step)->phase != PHASE_CHANGE || !has_sisters(core, i))
        return false;
    for (uint32_t k = host_first(core, i); k < host_end(core, i); k++) {
        const struct node *n = &core->nodes[k];
        bool unsure = is_out(n) && n->kept.unknown && !core->nodes[i].kept.unknown;
        if (k != i && (changes_now(core, n) || unsure))
            return true;
    }
    return false;
}

void host_wakes(struct core *core, uint32_t i)
{
    if (has_sisters(core, i) && core->scan > host_first(core, i))
        core->scan = host_first(core, i);
}
