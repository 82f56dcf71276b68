/* SPDX-License-Identifier: MIT */
/* Simulated balancers: what each was told of each node, its health checks, its sessions, and its forgetting.
 */
#include "sim/sim_priv.h"

/* A check must succeed for so long before a node counts as up, and fail for so long before it is down. */
#define RISE_MS    500
#define FALL_MS    2000
#define SETTLED_MS 2500

uint32_t lbs_of(const struct sim *s, uint32_t node)
{
    return s->plan->bare[core_group_of(&s->plan->core, node)] ? 0 : s->plan->n_lbs;
}

static bool lb_down(const struct sim *s, uint32_t b)
{
    return s->lb_down_until[b] > s->now;
}

bool lb_any_down(const struct sim *s)
{
    for (uint32_t b = 0; b < s->plan->n_lbs; b++)
        if (lb_down(s, b))
            return true;
    return false;
}

static bool thinks_up(const struct sim_node *n, int64_t t)
{
    return node_healthy(n, t) ? node_healthy(n, t - RISE_MS) : node_healthy(n, t - FALL_MS);
}

bool lb_sends(const struct sim *s, uint32_t b, uint32_t i)
{
    const struct lb_node *l = &s->nodes[i].lb[b];
    return l->admin == LB_READY && l->blind_at > s->now && thinks_up(&s->nodes[i], s->now);
}

bool lb_in_rotation(const struct sim *s, uint32_t i)
{
    for (uint32_t b = 0; b < lbs_of(s, i); b++)
        if (!lb_sends(s, b, i))
            return false;
    return lbs_of(s, i) > 0 || node_healthy(&s->nodes[i], s->now);
}

bool lb_out_everywhere(const struct sim *s, uint32_t i)
{
    for (uint32_t b = 0; b < lbs_of(s, i); b++)
        if (s->nodes[i].lb[b].admin == LB_READY)
            return false;
    return true;
}

/* What somebody else set meanwhile is not ours to undo. */
bool lb_as_before(const struct sim *s, uint32_t i)
{
    for (uint32_t b = 0; b < lbs_of(s, i); b++) {
        const struct lb_node *l = &s->nodes[i].lb[b];
        if (!l->by_hand && l->admin != l->before)
            return false;
    }
    return true;
}

int64_t lb_sessions(const struct sim *s, uint32_t i)
{
    const struct sim_node *n = &s->nodes[i];
    int64_t left = 0;
    if (s->plan->session_ms == 0 || !proc_alive(n, s->now))
        return 0;
    for (uint32_t b = 0; b < lbs_of(s, i); b++) {
        const struct lb_node *l = &n->lb[b];
        int64_t out = n->sticky ? l->maint_at : l->out_at;
        if (l->before != LB_READY && l->out_at < 0)
            continue; /* nobody was sent there for long */
        if (l->admin != LB_READY && n->proc.started_at > out && out >= 0)
            continue; /* they ended with the process before */
        if (l->admin == LB_READY || n->sessions_stay || out < 0)
            left += n->sessions_gone_at >= l->out_at && l->out_at >= 0 ? 0 : 20;
        else if (s->now < out + s->plan->session_ms && n->sessions_gone_at < l->out_at)
            left += 1 + (out + s->plan->session_ms - s->now) * 19 / s->plan->session_ms;
    }
    return left;
}

/* Settled nodes are counted once; the few whose state changes by time are looked at each time. */
static bool long_past(int64_t instant, int64_t now)
{
    return instant == NEVER || instant < now - SETTLED_MS;
}

static bool is_settled(const struct sim_node *n, int64_t now)
{
    const struct proc *p = &n->proc;
    return long_past(p->ready_at, now) && long_past(p->stopped_at, now) && long_past(p->dies_at, now) &&
           long_past(p->bad_at, now) && long_past(n->dead.from, now) && long_past(n->dead.to, now) &&
           long_past(n->frozen.from, now) && long_past(n->frozen.to, now);
}

static void uncount(struct sim *s, uint32_t i)
{
    s->serving[core_group_of(&s->plan->core, i)] -= s->nodes[i].counted;
    s->nodes[i].counted = false;
}

void lb_touch(struct sim *s, uint32_t i)
{
    uncount(s, i);
    if (s->nodes[i].listed)
        return;
    s->nodes[i].listed = true;
    s->unsettled[s->n_unsettled++] = i;
}

int64_t lb_count(struct sim *s, uint32_t group)
{
    int64_t n = 0;
    for (size_t k = 0; k < s->n_unsettled;) {
        uint32_t i = s->unsettled[k];
        struct sim_node *node = &s->nodes[i];
        if (!is_settled(node, s->now)) {
            n += core_group_of(&s->plan->core, i) == group && lb_in_rotation(s, i);
            k++;
            continue;
        }
        node->counted = lb_in_rotation(s, i);
        s->serving[core_group_of(&s->plan->core, i)] += node->counted;
        node->listed = false;
        s->unsettled[k] = s->unsettled[--s->n_unsettled];
    }
    return n + s->serving[group];
}

void lb_set(struct sim *s, uint32_t b, uint32_t i, enum lb_admin admin)
{
    struct lb_node *l = &s->nodes[i].lb[b];
    if (l->admin == LB_READY && admin != LB_READY)
        l->out_at = s->now;
    if (admin == LB_MAINT && l->admin != LB_MAINT)
        l->maint_at = s->now;
    if (admin == LB_READY)
        l->maint_at = -1;
    l->hand_in &= admin == LB_READY;
    l->admin = (uint8_t)admin;
    lb_touch(s, i);
}

void lb_forget(struct sim *s, uint32_t b)
{
    for (uint32_t i = 0; i < s->plan->core.n_nodes; i++) {
        struct lb_node *l = &s->nodes[i].lb[b];
        if (l->admin == l->before)
            continue;
        l->forgot_at = s->now;
        l->by_hand = false;
        lb_set(s, b, i, (enum lb_admin)l->before); /* its configuration knows the state before */
    }
}

static void drain(struct sim *s, struct sim_op *op, bool refuses)
{
    uint32_t i = op->req.node, last = s->plan->n_lbs - 1;
    if (refuses && s->nodes[i].lb[last].admin == LB_READY) { /* the others are put back */
        sim_op_reply(s, op, sim_op_takes(s, 5), OUT_FAILED, false);
        return;
    }
    bool was_in = lb_in_rotation(s, i);
    for (uint32_t b = 0; b <= last; b++)
        if (s->nodes[i].lb[b].admin == LB_READY)
            lb_set(s, b, i, LB_DRAIN);
    if (was_in)
        oracle_taken_out(s, i);
    sim_op_reply(s, op, sim_op_takes(s, 5), OUT_OK, true);
}

static void maint(struct sim *s, struct sim_op *op)
{
    for (uint32_t b = 0; b < s->plan->n_lbs; b++)
        lb_set(s, b, op->req.node, LB_MAINT);
    sim_op_reply(s, op, sim_op_takes(s, 5), OUT_OK, true);
}

static void give_back(struct sim *s, struct sim_op *op, bool refuses)
{
    uint32_t i = op->req.node;
    struct sim_node *n = &s->nodes[i];
    for (uint32_t b = 0; b < lbs_of(s, i); b++) {
        if (refuses && b == s->plan->n_lbs - 1 && n->lb[b].admin != n->lb[b].before) {
            sim_op_reply(s, op, sim_op_takes(s, 5), OUT_FAILED, false);
            return;
        }
        bool changes = !n->lb[b].by_hand && n->lb[b].admin != n->lb[b].before;
        if (changes && n->lb[b].before == LB_READY)
            oracle_given_back(s, i);
        if (changes)
            lb_set(s, b, i, (enum lb_admin)n->lb[b].before);
    }
    n->begun = false;
    sim_op_reply(s, op, sim_op_takes(s, 5), OUT_OK, true);
}

/* A changing verb of the balancers: drain (also the guard's), maint and kill of a waiting step, enable. */
void lb_change(struct sim *s, struct sim_op *op, enum does does)
{
    enum sim_fault_kind fault = op->has_fault ? (enum sim_fault_kind)op->fault : FAULT_COUNT;
    bool drains = does == DOES_DRAIN;
    if (s->plan->n_lbs == 0) {
        sim_op_reply(s, op, 1, OUT_OK, true);
        return;
    }
    if (lb_any_down(s)) {
        sim_op_reply(s, op, sim_op_takes(s, 2000), OUT_UNKNOWN, false);
        return;
    }
    bool does_it = fault != FAULT_LB_LIES && (fault != FAULT_LB_GARBAGE || sim_coin(s, 50));
    oracle_effect(s, op);
    s->fig.n_effects++;
    if (!does_it)
        sim_op_reply(s, op, sim_op_takes(s, 5), fault == FAULT_LB_LIES ? OUT_OK : OUT_UNKNOWN, false);
    else if (op->req.role == ROLE_ESCALATE)
        maint(s, op);
    else if (op->req.role == ROLE_KILL) {
        s->nodes[op->req.node].sessions_gone_at = s->now;
        sim_op_reply(s, op, sim_op_takes(s, 5), OUT_OK, true);
    } else if (drains)
        drain(s, op, fault == FAULT_LB_REFUSES);
    else
        give_back(s, op, fault == FAULT_LB_REFUSES);
    if (fault == FAULT_LB_GARBAGE && does_it)
        op->outcome = OUT_UNKNOWN;
}

static bool wait_up(struct sim *s, uint32_t i)
{
    for (uint32_t b = 0; b < lbs_of(s, i); b++) {
        const struct lb_node *l = &s->nodes[i].lb[b];
        if (l->before == LB_READY && !l->by_hand && !lb_sends(s, b, i))
            return false;
    }
    return true;
}

static int64_t capacity(struct sim *s, uint32_t group)
{
    s->reading_at[group] = s->now;
    return lb_count(s, group);
}

/* Does a node that is judged give its clients errors? */
static bool errors_seen(const struct sim *s, uint32_t group)
{
    for (uint32_t i = 0; i < s->plan->core.n_nodes; i++) {
        const struct sim_node *n = &s->nodes[i];
        if (core_group_of(&s->plan->core, i) == group && n->proc.errors && proc_alive(n, s->now) &&
            lb_in_rotation(s, i))
            return true;
    }
    return false;
}

/* Before the soak is over only some of what is wrong is beyond doubt. */
static enum judged judge_says(struct sim *s, const struct op_req *req)
{
    if (s->flips)
        return (enum judged)sim_draw(s, JUDGED_BADLY + 1);
    if (s->quiet_until > s->now)
        return JUDGED_NOT;
    bool last = req->look == JUDGE_LAST, errors = errors_seen(s, req->group);
    if (errors)
        return last || (!s->opt.steady && sim_coin(s, 20)) ? JUDGED_BADLY : JUDGED_NOT;
    return last ? JUDGED_WELL : JUDGED_NOT;
}

void lb_look(struct sim *s, struct sim_op *op, enum does does)
{
    uint32_t i = op->req.node;
    bool garbage = op->has_fault && op->fault == FAULT_LB_GARBAGE, ready = true;
    if (op->req.role == ROLE_JUDGE)
        oracle_judge_asked(s, op->req.look, JUDGED_NOT);
    if (garbage || (lb_any_down(s) && s->plan->n_lbs > 0)) {
        sim_op_reply(s, op, sim_op_takes(s, garbage ? 5 : 2000), OUT_UNKNOWN, false);
        return;
    }
    if (op->req.role == ROLE_CAPACITY) {
        op->gauge = capacity(s, op->req.group);
    } else if (op->req.role == ROLE_JUDGE) {
        op->gauge = judge_says(s, &op->req);
        oracle_judge_asked(s, op->req.look, (enum judged)op->gauge);
    } else if (op->req.role == ROLE_GUARD || does == DOES_IDLE) {
        op->lost = !lb_out_everywhere(s, i);
        op->gauge = lb_sessions(s, i);
        ready = !op->lost && (op->req.role == ROLE_GUARD || op->gauge == 0);
    } else if (does == DOES_DRAIN) {
        ready = lb_out_everywhere(s, i);
    } else if (does == DOES_ENABLE) {
        ready = lb_as_before(s, i);
    } else if (does == DOES_WAIT_UP) {
        ready = wait_up(s, i);
    }
    sim_op_reply(s, op, sim_op_takes(s, 5), OUT_OK, ready);
}
