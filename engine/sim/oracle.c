/* SPDX-License-Identifier: MIT */
/* The oracle: judges what the engine does to the simulated world, by that world alone. It knows no rule of
 * the core and asks it nothing; it reads processes, disks, balancers, and the journal's rows as they become
 * durable. */
#include "sim/sim_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A forgotten drain is found by a guard that looks every 2 s; a stop that was under way lands meanwhile. */
#define FORGOT_MS 9000

void oracle_broken(struct sim *s, const char *fmt, ...)
{
    if (s->broken[0])
        return;
    int n = snprintf(s->broken, sizeof(s->broken), "at %lld ms: ", (long long)s->now);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->broken + n, sizeof(s->broken) - (size_t)n, fmt, ap);
    va_end(ap);
}

static const char *name_of(const struct sim *s, uint32_t node, char buf[32])
{
    return sim_node_name(s->plan, node, buf);
}

/* ---- every order has its row, before anything is done for it */

void oracle_order(struct sim *s)
{
    int status;
    enum why why;
    if (s->orders_given == 0 || !core_ended(s->core, &status, &why))
        s->orders_given++;
}

static void orders_written(struct sim *s)
{
    if (s->orders_durable != s->orders_given)
        oracle_broken(s, "%u orders were given and %u are in the journal", s->orders_given,
                      s->orders_durable);
}

/* ---- I4: no change without an earlier durable intent */

static void order_of_groups(struct sim *s, const struct record *row);
static void judged_stages(struct sim *s, const struct record *row);

void oracle_durable(struct sim *s, const struct record *row)
{
    s->orders_durable += row->kind == ROW_ORDER;
    if (row->kind == ROW_NOTE || row->kind == ROW_ORDER)
        order_of_groups(s, row);
    if (row->kind == ROW_NOTE)
        judged_stages(s, row);
    if (row->kind != ROW_INTENT)
        return;
    if (row->op >= s->cap_intents) {
        uint32_t cap = s->cap_intents ? s->cap_intents : 1024;
        while (cap <= row->op)
            cap *= 2;
        s->intents = xrealloc(s->intents, cap);
        memset(s->intents + s->cap_intents, 0, cap - s->cap_intents);
        s->cap_intents = cap;
    }
    s->intents[row->op] = 1;
}

void oracle_effect(struct sim *s, const struct sim_op *op)
{
    if (op->ghost)
        return; /* of a controller that is gone: its intents were looked at when it sent them */
    if (op->req.op >= s->cap_intents || !s->intents[op->req.op])
        oracle_broken(s, "op %u changes %u without a durable intent", op->req.op, op->req.node);
}

/* ---- roles: one is through before a node of the next leaves, and back before one of the one before it goes back */

/* Nobody promises what it runs: it was given up, hurt, left, or has failed within what is tolerated. */
static bool excused(const struct sim *s, uint32_t node)
{
    for (uint32_t i = host_begin(s, node); i < host_behind(s, node);
         i++) { /* its instances stay behind together */
        const struct sim_node *n = &s->nodes[i];
        if (n->unwanted || n->hurt || n->left || n->wrong_rev || n->ran_wrong || n->failed)
            return true;
    }
    return false;
}

/* What a role was to run once is there before a node of the next leaves, unless the whole role was given up. */
static void once_of_groups(struct sim *s, uint32_t group)
{
    const struct core_plan *plan = &s->plan->core;
    for (uint32_t k = 0; k < plan->n_steps; k++) {
        const struct core_step_def *def = &plan->steps[k];
        bool wanted = def->once != ONCE_NO && s->plan->steps[k].does == DOES_ONCE &&
                      def->phase < PHASE_AFTER && def->group > 0 && def->group <= group;
        bool done = s->once[k] == TRUTH_OK || s->once[k] == TRUTH_LOST, given_up = true;
        for (uint32_t i = 0; wanted && i < plan->n_nodes; i++)
            given_up &= s->nodes[i].unwanted || core_group_of(plan, i) + 1 != def->group;
        if (wanted && !done && !given_up)
            oracle_broken(s, "role %u goes out and %s of role %u was not run", group + 1,
                          s->plan->steps[k].label, def->group);
    }
}

static void order_of_groups(struct sim *s, const struct record *row)
{
    const struct core_plan *plan = &s->plan->core;
    char name[32], other[32];
    struct sim_node *n = &s->nodes[row->node];
    s->turned |= row->kind == ROW_ORDER && row->code == ORDER_ROLLBACK;
    s->turned |= row->kind == ROW_NOTE && row->code == NOTE_LIFE && row->a == LIFE_BACK;
    n->left |= row->kind == ROW_NOTE && (row->code == NOTE_NODE_LEFT || row->code == NOTE_GANG_BAD);
    n->failed |= row->kind == ROW_NOTE && row->code == NOTE_NODE_FAILED;
    for (uint32_t i = 0; row->kind == ROW_ORDER && i < plan->n_nodes; i++)
        s->nodes[i].failed = false; /* the order is a new chance */
    if (row->kind != ROW_NOTE || row->code != NOTE_ADMIT || !s->changes_rev)
        return;
    bool back = s->turned;
    uint32_t group = core_group_of(plan, row->node);
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const struct sim_node *o = &s->nodes[i];
        uint32_t g = core_group_of(plan, i);
        bool first = back ? g > group : g < group,
             gone = proc_alive(o, s->now) && o->proc.rev == (back ? REV_NEW : REV_OLD);
        gone &=
            !back || o->touched_at >= 0; /* an instance that nobody moved, started again by somebody else */
        if (first && gone && !excused(s, i))
            oracle_broken(s, "%s leaves %s %s of another role has", name_of(s, row->node, name),
                          back ? "on its way back before" : "before", name_of(s, i, other));
    }
    if (!back)
        once_of_groups(s, group);
}

/* ---- judges: no stage is left without a verdict, and none has a verdict that no judge gave */

void oracle_judge_asked(struct sim *s, uint8_t look, enum judged said)
{
    s->judge_said = look == JUDGE_LAST || said == JUDGED_BADLY ? (uint8_t)said : JUDGED_NOT;
    s->judge_was_blind |= s->flips || (look == JUDGE_LAST && said == JUDGED_NOT);
}

static void judged_stages(struct sim *s, const struct record *row)
{
    const struct core_plan *plan = &s->plan->core;
    bool known = row->a >= 0 && row->a < plan->n_stages;
    uint32_t stage = known ? (uint32_t)row->a : 0;
    const struct core_group *group = &plan->groups[core_group_of(plan, plan->stage_end[stage] - 1)];
    if (row->code == NOTE_SOAK) {
        s->judged = false;
        s->judge_said = JUDGED_NOT;
    } else if (row->code == NOTE_JUDGED) {
        s->judged = row->b == JUDGED_WELL || (row->b == JUDGED_NOT && group->unjudged == UNJUDGED_PASSES);
        if (row->b != s->judge_said && row->b != JUDGED_NOT)
            oracle_broken(s, "stage %u is judged (%d) by what no judge said", stage + 1, (int)row->b);
    } else if (row->code == NOTE_SOAKED && group->judges && !s->judged) {
        oracle_broken(s, "stage %u is left and its judge did not pass it", stage + 1);
    }
}

/* Who was judged gives no errors, as far as a judge could know. */
static void judged_at_end(struct sim *s, uint32_t i)
{
    const struct core_plan *plan = &s->plan->core;
    const struct sim_node *n = &s->nodes[i];
    char name[32];
    if (plan->groups[core_group_of(plan, i)].judges && n->proc.errors && proc_alive(n, s->now) && !n->hurt &&
        lb_in_rotation(s, i) && !s->judge_was_blind)
        oracle_broken(s, "%s gives its clients errors, yet the exit status is 0", name_of(s, i, name));
}

/* ---- ctrl-C: no other node is begun */

void oracle_sent(struct sim *s, const struct op_req *req)
{
    char name[32];
    if (s->orders_durable == 0)
        oracle_broken(s, "op %u is sent before the order is in the journal", req->op);
    if (req->node >= s->plan->core.n_nodes || req->step == CORE_NO_STEP || req->back ||
        req->role == ROLE_GUARD || s->plan->core.steps[req->step].phase != PHASE_DRAIN)
        return;
    struct sim_node *n = &s->nodes[req->node];
    if (!n->begun && s->stops_given > 0 && s->stopped_at < s->now)
        oracle_broken(s, "%s is begun after ctrl-C", name_of(s, req->node, name));
    n->begun = true;
}

/* ---- run-once steps: never twice, unless it certainly failed or was undone */

/* What only a node that was given up could undo, is not undone. */
static bool any_unwanted(const struct sim *s)
{
    for (uint32_t i = 0; i < s->plan->core.n_nodes; i++)
        if (s->nodes[i].unwanted)
            return true;
    return false;
}

/* What the undo takes away (columns, tables) is not used by anybody any more. */
static void undone_in_time(struct sim *s, uint16_t step)
{
    char name[32];
    for (uint32_t i = 0; s->changes_rev && i < s->plan->core.n_nodes; i++) {
        const struct sim_node *n = &s->nodes[i];
        if (n->proc.rev == REV_NEW && proc_alive(n, s->now) && lb_in_rotation(s, i) && !n->unwanted &&
            !n->hurt)
            oracle_broken(s, "%s is undone while %s serves the new revision", s->plan->steps[step].label,
                          name_of(s, i, name));
    }
}

void oracle_once(struct sim *s, uint16_t step, bool undo, enum once_truth truth)
{
    uint8_t *was = &s->once[step];
    if (undo) {
        if (truth == TRUTH_RUNNING)
            undone_in_time(s, step);
        if (truth == TRUTH_OK)
            *was = TRUTH_NONE;
        return;
    }
    if (truth == TRUTH_RUNNING && *was != TRUTH_NONE && *was != TRUTH_FAILED)
        oracle_broken(s, "%s is started again though it %s", s->plan->steps[step].label,
                      *was == TRUTH_OK        ? "is done"
                      : *was == TRUTH_RUNNING ? "is running"
                                              : "may be done: nobody saw its end");
    *was = (uint8_t)truth;
    for (uint32_t k = 0; truth == TRUTH_RUNNING && k < s->plan->core.n_steps; k++)
        if (k != step && s->once[k] == TRUTH_RUNNING && !any_unwanted(s))
            oracle_broken(s, "%s of two roles run at the same time", s->plan->steps[step].label);
}

/* ---- I1: the floor */

static bool lost_since(const struct sim *s, uint32_t group, int64_t since)
{
    for (uint32_t i = 0; i < s->plan->core.n_nodes; i++) {
        const struct sim_node *n = &s->nodes[i];
        if (core_group_of(&s->plan->core, i) != group)
            continue;
        int64_t bad = node_bad_since(n, s->now);
        if (bad != NEVER && bad >= since)
            return true;
        if (n->frozen.from != NEVER && n->frozen.to >= since)
            return true;
        for (uint32_t b = 0; b < lbs_of(s, i); b++)
            if (n->lb[b].by_hand || (n->lb[b].blind_at != NEVER && n->lb[b].blind_at >= since) ||
                (n->lb[b].forgot_at >= 0 && n->lb[b].out_at >= since))
                return true;
    }
    return false;
}

/* A node that served was drained by us just now. */
void oracle_taken_out(struct sim *s, uint32_t node)
{
    uint32_t g = core_group_of(&s->plan->core, node), min_up = s->plan->core.groups[g].min_up;
    int64_t least = lb_count(s, g);
    char name[32];
    if (least < s->fig.least_up[g])
        s->fig.least_up[g] = (uint32_t)least;
    if (s->nodes[node].before == REV_NONE)
        return; /* without it there are as many as before the release */
    if (least >= (int64_t)min_up || lost_since(s, g, s->reading_at[g] - 3000))
        return;
    oracle_broken(s, "%s was drained and only %lld nodes serve; %u must", name_of(s, node, name),
                  (long long)least, min_up);
}

/* ---- I2, I3: who is in rotation runs something complete and healthy; who is stopped gets no requests */

static bool forgot_lately(const struct sim *s, uint32_t node)
{
    for (uint32_t b = 0; b < lbs_of(s, node); b++) {
        const struct lb_node *l = &s->nodes[node].lb[b];
        bool blind = s->lb_down_until[b] != 0 && s->lb_down_until[b] > s->now - FORGOT_MS;
        if (l->forgot_at >= 0 && (l->forgot_at + FORGOT_MS > s->now || blind))
            return true;
    }
    return false;
}

static bool may_cut_sessions(const struct sim *s)
{
    const struct core_plan *plan = &s->plan->core;
    bool waits = false;
    for (uint32_t k = 0; k < plan->n_steps; k++)
        if (s->plan->steps[k].does == DOES_IDLE) {
            waits = true;
            if (plan->steps[k].on_timeout != ON_TIMEOUT_RESTORE)
                return true;
        }
    return !waits;
}

/* late: it hung on the node since before; whoever put the node into rotation by hand meanwhile did not know.
 */
void oracle_stopping(struct sim *s, uint32_t node, uint16_t step, bool late)
{
    char name[32];
    for (uint32_t b = 0; late && b < lbs_of(s, node); b++)
        if (s->nodes[node].lb[b].hand_in)
            return;
    if (!proc_alive(&s->nodes[node], s->now) || forgot_lately(s, node))
        return;
    oracle_host_serves(s, node);
    for (uint32_t b = 0; b < lbs_of(s, node); b++)
        if (lb_sends(s, b, node))
            oracle_broken(s, "%s: %s while balancer %u sends requests there", name_of(s, node, name),
                          s->plan->steps[step].label, b + 1);
    for (uint32_t b = 0; late && b < lbs_of(s, node); b++)
        if (s->nodes[node].lb[b].forgot_at >= 0)
            return; /* it was in rotation again meanwhile: those sessions are of then */
    int64_t left = lb_sessions(s, node);
    if (left > 0 && !may_cut_sessions(s))
        oracle_broken(s, "%s: %s with %lld sessions left", name_of(s, node, name), s->plan->steps[step].label,
                      (long long)left);
}

/* ---- instances: their host serves on, and none starts what its directory should not hold */

void oracle_host_serves(struct sim *s, uint32_t node)
{
    char name[32], other[32];
    for (uint32_t i = host_begin(s, node); i < host_behind(s, node); i++) {
        const struct sim_node *o = &s->nodes[i];
        if (i != node && o->touched_at >= 0 && o->proc.stopped_at <= s->now && !o->left && !o->hurt &&
            !o->unwanted && o->before != REV_NONE)
            oracle_broken(s, "%s is stopped while %s of its host is", name_of(s, node, name),
                          name_of(s, i, other));
    }
}

void oracle_starting(struct sim *s, uint32_t node, bool back)
{
    char name[32];
    const struct sim_node *n = &s->nodes[node];
    if (s->changes_rev && host_of(s, n)->current != (back ? n->before : REV_NEW))
        oracle_broken(s, "%s is started%s and its directory holds the other revision", name_of(s, node, name),
                      back ? " on its way back" : "");
}

static bool has_check(const struct sim *s)
{
    for (uint32_t k = 0; k < s->plan->core.n_steps; k++)
        if (s->plan->steps[k].does == DOES_HEALTH)
            return true;
    return false;
}

void oracle_given_back(struct sim *s, uint32_t node)
{
    const struct sim_node *n = &s->nodes[node];
    char name[32];
    if (n->touched_at < 0 || !has_check(s))
        return;
    int64_t bad = node_healthy(n, s->now) ? NEVER : node_bad_since(n, s->now);
    if (!node_complete(s, n, host_of(s, n)->current))
        oracle_broken(s, "%s is put into rotation with an incomplete revision", name_of(s, node, name));
    else if (n->checked_at < n->touched_at)
        oracle_broken(s, "%s is put into rotation without a good check since it was changed",
                      name_of(s, node, name));
    else if (!node_healthy(n, s->now) && (bad == NEVER || bad < n->checked_at))
        oracle_broken(s, "%s is put into rotation though it is not healthy", name_of(s, node, name));
}

/* ---- I5, I10: the exit status is true */

static bool runs(const struct sim *s, const struct sim_node *n, uint8_t rev)
{
    if (n->hurt || !s->changes_rev)
        return true;

    return proc_alive(n, s->now) && n->proc.rev == rev;
}

static void end_of_node(struct sim *s, uint32_t i, int status)
{
    const struct sim_node *n = &s->nodes[i];
    uint8_t current = host_of(s, n)->current;
    char name[32];
    name_of(s, i, name);
    if (n->unwanted)
        return;
    if (status == 1 && n->before == REV_NONE && proc_alive(n, s->now) && !n->hurt)
        oracle_broken(s, "%s ran nothing before and runs, yet the exit status is 1", name);
    if (status != 0 && n->before == REV_NONE && !lb_as_before(s, i)) {
        /* What ran nothing is undone when nobody is sent there. */
        if (lb_in_rotation(s, i) && lbs_of(s, i) > 0)
            oracle_broken(s, "%s ran nothing before and serves, yet the exit status is %d", name, status);
        return;
    }
    if (!lb_as_before(s, i))
        oracle_broken(s, "%s is not in the balancer's state of before, yet the exit status is %d", name,
                      status);
    else if (status == 0 && !runs(s, n, REV_NEW))
        oracle_broken(s, "%s does not run the new revision, yet the exit status is 0", name);
    else if (status == 1 && n->before != REV_NONE && !runs(s, n, n->before))
        oracle_broken(s, "%s does not run what it ran before, yet the exit status is 1", name);
    else if (status == 4 && !n->hurt && n->before != REV_NONE && !proc_alive(n, s->now))
        oracle_broken(s, "%s runs nothing, yet the exit status is 4", name);
    else if (status != 5 && !node_complete(s, n, current) && current != REV_NONE)
        oracle_broken(s, "%s has an incomplete revision as its current one, yet the exit status is %d", name,
                      status);
}

void oracle_end(struct sim *s, int status)
{
    orders_written(s);
    if (status != 0 && status != 1 && status != 4 && status != 5) {
        oracle_broken(s, "exit status %d", status);
        return;
    }
    if (status == 5 && !s->ever_faulty)
        oracle_broken(s, "exit status 5 though nothing was wrong");
    for (uint32_t i = 0; i < s->plan->core.n_nodes && status != 5 && !s->broken[0]; i++)
        end_of_node(s, i, status);
    for (uint32_t i = 0; i < s->plan->core.n_nodes && status == 0 && !s->broken[0]; i++)
        judged_at_end(s, i);
    for (uint32_t k = 0; k < s->plan->core.n_steps; k++) {
        const struct core_step_def *def = &s->plan->core.steps[k];
        const struct sim_job *job = node_job_of(s, s->plan->core.n_nodes, (uint16_t)k, false);
        if (status == 0 && def->phase == PHASE_HOOK_AFTER && def->effect == EFFECT_CHANGE &&
            !(job->state == SIM_JOB_ENDED && job->rc == 0))
            oracle_broken(s, "%s did not end well, yet the exit status is 0", s->plan->steps[k].label);
        if (def->once == ONCE_NO || s->plan->steps[k].does != DOES_ONCE)
            continue;
        if (status == 0 && s->once[k] != TRUTH_OK)
            oracle_broken(s, "%s was not run, yet the exit status is 0", s->plan->steps[k].label);
        if (status == 1 && def->has_undo && s->once[k] == TRUTH_OK && !any_unwanted(s))
            oracle_broken(s, "%s was not undone, yet the exit status is 1", s->plan->steps[k].label);
    }
}
