/* SPDX-License-Identifier: MIT */
/* One op on its way: it travels, arrives, works, and its answer travels back; or a fault takes it. */
#include "sim/sim_priv.h"

#include <string.h>

#define LOSS_NOTICED_MS 400 /* until a broken connection is noticed and given up */
#define LATE_MS         30000
#define CONNECT_MS      10000

/* A duration as drawn for this op. */
int64_t sim_op_takes(struct sim *s, int64_t ms)
{
    if (s->opt.steady || ms < 2)
        return ms;
    return ms / 2 + (int64_t)sim_draw(s, (uint64_t)ms);
}

enum does sim_op_does(const struct sim *s, const struct op_req *req)
{
    return req->step == CORE_NO_STEP ? DOES_LOOK : s->plan->steps[req->step].does;
}

static bool is_lb(const struct sim *s, const struct op_req *req)
{
    enum does does = sim_op_does(s, req);
    return req->role == ROLE_CAPACITY || req->role == ROLE_JUDGE || req->role == ROLE_GUARD ||
           req->role == ROLE_ESCALATE || req->role == ROLE_KILL || does == DOES_DRAIN || does == DOES_IDLE ||
           does == DOES_ENABLE || does == DOES_WAIT_UP;
}

static bool is_look(const struct sim *s, const struct op_req *req)
{
    if (req->step == CORE_NO_STEP || req->role == ROLE_OBSERVE || req->role == ROLE_BEFORE ||
        req->role == ROLE_SOAK)
        return true;
    return req->role == ROLE_RUN && s->plan->core.steps[req->step].effect == EFFECT_READ;
}

static struct sim_op *sim_op_new(struct sim *s, uint32_t *ret_index)
{
    uint32_t index = s->free_op;
    if (index == UINT32_MAX) {
        if (s->n_ops == s->cap_ops) {
            s->cap_ops = s->cap_ops ? s->cap_ops * 2 : 64;
            s->ops = xrealloc(s->ops, s->cap_ops * sizeof(*s->ops));
        }
        index = s->n_ops++;
    } else {
        s->free_op = s->ops[index].next_free;
    }
    s->ops[index] = (struct sim_op){.live = true, .uid = ++s->last_uid, .fence = s->fence};
    *ret_index = index;
    return &s->ops[index];
}

void sim_op_free(struct sim *s, uint32_t index)
{
    s->ops[index].live = false;
    s->ops[index].next_free = s->free_op;
    s->free_op = index;
}

void sim_op_reply(struct sim *s, struct sim_op *op, int64_t ms, enum outcome outcome, bool ready)
{
    uint32_t index = (uint32_t)(op - s->ops);
    int64_t at = s->now + ms, deadline = op->req.deadline_ms + s->session_start;
    op->answered = true;
    op->outcome = outcome;
    op->ready = ready;
    bool drops = op->has_fault && (op->fault == FAULT_ANSWER_LOST || op->fault == FAULT_SSH_DROP_AFTER);
    if (drops || (at > deadline && !op->ghost)) {
        op->outcome = OUT_UNKNOWN;
        op->ready = op->lost = op->unreached = false;
        at = drops ? s->now + LOSS_NOTICED_MS : deadline;
    }
    if (op->has_fault && op->fault == FAULT_KILL_AFTER_EFFECT)
        s->kill_now = true;
    event_push(s, at > s->now ? at : s->now, E_ANSWER, index, op->uid, 0);
}

void sim_op_deadline(struct sim *s, uint32_t index, uint32_t uid)
{
    struct sim_op *op = &s->ops[index];
    if (!op->live || op->uid != uid || op->answered)
        return;
    if (op->ghost) { /* who would have ended it is gone */
        sim_op_free(s, index);
        return;
    }
    struct sim_node *n = &s->nodes[op->req.node];
    bool reached = !span_holds(&n->frozen, s->now) && !span_holds(&n->dead, s->now);
    if (reached && op->req.step != CORE_NO_STEP && !is_lb(s, &op->req))
        job_kill(s, op->req.node, (uint32_t)op->req.step * 2 + op->req.back);
    sim_op_reply(s, op, 0, OUT_UNKNOWN, false);
}

/* Nothing was sent: the node could not be reached. What follows from that is the core's to say. */
static void cannot_reach(struct sim *s, struct sim_op *op, int64_t ms)
{
    op->unreached = true;
    sim_op_reply(s, op, ms, OUT_FAILED, false);
}

/* The same command again, later, for nobody. */
static void send_late(struct sim *s, uint32_t of, int64_t ms)
{
    uint32_t index;
    struct sim_op copy = s->ops[of]; /* sim_op_new may move them all */
    struct sim_op *ghost = sim_op_new(s, &index);
    uint32_t uid = ghost->uid;
    *ghost = copy;
    ghost->uid = uid;
    ghost->ghost = ghost->live = true;
    ghost->answered = false;
    event_push(s, s->now + ms, E_ARRIVE, index, uid, 0);
}

/* Faults of the way there. true: nothing arrives. */
static bool lost_on_the_way(struct sim *s, uint32_t index, bool look)
{
    struct sim_op *op = &s->ops[index];
    if (!op->has_fault)
        return false;
    switch (op->fault) {
    case FAULT_SSH_REFUSED: cannot_reach(s, op, 20); return true;
    case FAULT_SSH_DROP: sim_op_reply(s, op, LOSS_NOTICED_MS, OUT_UNKNOWN, false); return true;
    case FAULT_LATE_COMMAND:
        if (!look)
            send_late(s, index, LATE_MS);
        op = &s->ops[index];
        sim_op_reply(s, op, CONNECT_MS, OUT_UNKNOWN, false);
        return true;
    default: return false;
    }
}

/* false: the node cannot be reached now, and that was dealt with. */
static bool reaches(struct sim *s, uint32_t index, bool look)
{
    struct sim_op *op = &s->ops[index];
    struct sim_node *n = &s->nodes[op->req.node];
    int64_t deadline = op->req.deadline_ms + s->session_start;
    if (span_holds(&n->dead, s->now)) { /* connecting fails, so nothing was sent */
        if (op->ghost)
            sim_op_free(s, index);
        else
            cannot_reach(s, op, CONNECT_MS);
        return false;
    }
    if (!span_holds(&n->frozen, s->now))
        return true;
    if (!look && !op->ghost && sim_coin(s, 50)) /* what hangs in its kernel is done when it goes on */
        send_late(s, index, n->frozen.to == NEVER ? LATE_MS * 100 : n->frozen.to - s->now);
    op = &s->ops[index];
    if (op->ghost)
        sim_op_free(s, index);
    else if (n->frozen.to <= deadline && look)
        event_push(s, n->frozen.to, E_ARRIVE, index, op->uid, 0);
    else
        sim_op_reply(s, op, deadline - s->now, OUT_UNKNOWN, false);
    return false;
}

void sim_op_arrive(struct sim *s, uint32_t index, uint32_t uid)
{
    struct sim_op *op = &s->ops[index];
    if (!op->live || op->uid != uid || op->answered)
        return;
    bool look = is_look(s, &op->req), lb = is_lb(s, &op->req);
    enum does does = sim_op_does(s, &op->req);
    if (!op->ghost && lost_on_the_way(s, index, look))
        return;
    if (lb) {
        if (look)
            lb_look(s, op, does);
        else
            lb_change(s, op, op->req.role == ROLE_GUARD ? DOES_DRAIN : does);
    } else if (op->req.role == ROLE_SOAK || does == DOES_HEALTH) { /* over HTTP: no node to log in to */
        if (span_holds(&s->nodes[op->req.node].frozen, s->now))
            sim_op_reply(s, op, CONNECT_MS / 2, OUT_UNKNOWN, false);
        else
            node_look(s, op, does);
    } else if (reaches(s, index, look)) {
        if (look)
            node_look(s, op, does);
        else
            job_start(s, op, index);
    }
}

void sim_op_dispatch(struct sim *s, const struct op_req *req)
{
    uint32_t index;
    enum sim_fault_kind fault = FAULT_COUNT;
    bool struck = fault_for_op(s, req, &fault);
    struct sim_op *op = sim_op_new(s, &index);
    op->req = *req;
    op->has_fault = struck;
    op->fault = (uint8_t)fault;
    s->fig.n_ops++;
    oracle_sent(s, req);
    event_push(s, s->now + sim_op_takes(s, 5), E_ARRIVE, index, op->uid, 0);
}

void sim_ops_give_up(struct sim *s, const struct sim_op *op)
{
    for (uint32_t i = 0; i < s->n_ops; i++)
        if (s->ops[i].live && s->ops[i].ghost && s->ops[i].fence == op->fence &&
            s->ops[i].req.op == op->req.op)
            sim_op_free(s, i);
}

/* The controller is gone: what was under way to nodes and balancers may still arrive, or may not. */
void sim_ops_forget(struct sim *s)
{
    for (uint32_t i = 0; i < s->n_ops; i++) {
        struct sim_op *op = &s->ops[i];
        if (!op->live || op->ghost)
            continue;
        if (op->answered || sim_coin(s, 50))
            sim_op_free(s, i);
        else
            op->ghost = true;
    }
}
