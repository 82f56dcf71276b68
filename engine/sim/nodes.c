/* SPDX-License-Identifier: MIT */
/* Simulated nodes: what runs, what is complete on the disk, and the runner's jobs. A process is a few
 * instants, so whether it lives or is healthy at any time is arithmetic and costs no events. */
#include "sim/sim_priv.h"

uint32_t host_begin(const struct sim *s, uint32_t i)
{
    const uint32_t *first = s->plan->core.host_first;
    return first && i < s->plan->core.n_nodes ? first[i] : i;
}

uint32_t host_behind(const struct sim *s, uint32_t i)
{
    uint32_t end = host_begin(s, i) + 1;
    while (end < s->plan->core.n_nodes && host_begin(s, end) == host_begin(s, i))
        end++;
    return end;
}

struct sim_node *host_of(const struct sim *s, const struct sim_node *n)
{
    return &s->nodes[host_begin(s, (uint32_t)(n - s->nodes))];
}

bool span_holds(const struct span *span, int64_t t)
{
    return span->from <= t && t < span->to;
}

bool proc_alive(const struct sim_node *n, int64_t t)
{
    const struct proc *p = &n->proc;
    return p->started_at <= t && t < p->stopped_at && t < p->dies_at && !span_holds(&n->dead, t);
}

bool node_healthy(const struct sim_node *n, int64_t t)
{
    const struct proc *p = &n->proc;
    return proc_alive(n, t) && p->ready_at <= t && t < p->bad_at && !span_holds(&n->frozen, t);
}

/* Since when it is not healthy by itself; NEVER when it is. */
int64_t node_bad_since(const struct sim_node *n, int64_t t)
{
    int64_t since = NEVER;
    if (n->proc.dies_at <= t && n->proc.dies_at < since)
        since = n->proc.dies_at;
    if (n->proc.bad_at <= t && n->proc.bad_at < since)
        since = n->proc.bad_at;
    if (span_holds(&n->dead, t) && n->dead.from < since)
        since = n->dead.from;
    if (span_holds(&n->frozen, t) && n->frozen.from < since)
        since = n->frozen.from;
    return since;
}

bool node_complete(const struct sim *s, const struct sim_node *n, uint8_t rev)
{
    uint64_t need = s->need[core_group_of(&s->plan->core, (uint32_t)(n - s->nodes))];
    return rev != REV_NONE && (host_of(s, n)->made[rev] & need) == need;
}

void node_spawn(struct sim *s, uint32_t i, uint8_t rev)
{
    struct sim_node *n = &s->nodes[i];
    bool is_new = rev == REV_NEW || !s->changes_rev;
    n->ran_wrong =
        n->wrong_rev && rev == REV_NEW; /* also when the fault is gone: the process stays as it is */
    if (n->ran_wrong)
        rev = REV_OLD;
    n->proc = (struct proc){.started_at = s->now,
                            .ready_at = s->now + s->plan->warm_ms + (n->slow_start && is_new ? 40000 : 0),
                            .stopped_at = NEVER,
                            .dies_at = n->crashes && is_new ? s->now + 3000 : NEVER,
                            .bad_at = n->unhealthy_later && is_new ? s->now + 12000 : NEVER,
                            .errors = n->errors && is_new,
                            .rev = rev};
    if ((n->unhealthy && is_new) || !node_complete(s, n, host_of(s, n)->current))
        n->proc.ready_at = NEVER;
    lb_touch(s, i);
}

struct sim_job *node_job_of(struct sim *s, uint32_t node, uint16_t step, bool back)
{
    return &s->jobs[((size_t)node * s->plan->core.n_steps + step) * 2 + back];
}

static uint8_t wanted_rev(const struct sim_node *n, bool back)
{
    return back ? n->before : REV_NEW;
}

static bool makes(enum does does)
{
    return does == DOES_FETCH || does == DOES_UNPACK || does == DOES_BUILD || does == DOES_SEAL ||
           does == DOES_CHECKOUT;
}

static bool writes(enum does does)
{
    return makes(does) || does == DOES_SWITCH || does == DOES_ONCE || does == DOES_CMD;
}

/* Does a controller still wait for it? */
static bool awaited(const struct sim *s, const struct sim_job *job)
{
    const struct sim_op *op = job->waiter == UINT32_MAX ? NULL : &s->ops[job->waiter];
    return op && op->live && !op->ghost && op->uid == job->waiter_uid && !op->answered;
}

static bool stop_app(struct sim *s, uint32_t i, uint16_t step, bool back)
{
    struct sim_node *n = &s->nodes[i];
    oracle_stopping(s, i, step, !awaited(s, node_job_of(s, i, step, back)));
    if (n->proc.stopped_at > s->now)
        n->proc.stopped_at = s->now; /* a dead one too: nobody starts it again by itself */
    n->touched_at = s->now;
    lb_touch(s, i);
    return true;
}

static bool start_app(struct sim *s, uint32_t i, bool back)
{
    struct sim_node *n = &s->nodes[i];
    n->touched_at = s->now;
    uint8_t current = host_of(s, n)->current;
    if (current == REV_NONE)
        return false;
    if (!proc_alive(n, s->now)) {
        oracle_starting(s, i, back);
        node_spawn(s, i, current);
    }
    return true;
}

/* Its master stays, its workers are others; who is down is started. */
static bool reload_app(struct sim *s, uint32_t i, bool back)
{
    struct sim_node *n = &s->nodes[i];
    n->touched_at = s->now;
    if (!proc_alive(n, s->now))
        return start_app(s, i, back);
    uint8_t current = host_of(s, n)->current;
    if (current == REV_NONE)
        return false;
    node_spawn(s, i, current);
    if (n->proc.ready_at != NEVER)
        n->proc.ready_at = s->now; /* the old ones serve until the new ones do */
    return true;
}

static bool check_out(struct sim *s, struct sim_node *n, uint8_t rev, int bit)
{
    if (rev == REV_NONE)
        return false;
    struct sim_node *host = host_of(s, n);
    if (host->current != rev) { /* the tree is the other revision's no more, and not yet this one's */
        host->made[0] &= s->prepare_bits;
        host->made[1] &= s->prepare_bits;
    }
    host->made[rev] |= UINT64_C(1) << bit;
    host->current = rev;
    n->touched_at = s->now;
    return true;
}

/* The work of one job; false: status 1. */
static bool work(struct sim *s, uint32_t i, uint16_t step, bool back)
{
    struct sim_node *n = &s->nodes[i];
    enum does does = s->plan->steps[step].does;
    uint8_t rev = wanted_rev(n, back);
    if (n->disk_full && writes(does))
        return false;
    switch ((int)does) {
    case DOES_FETCH:
        if (s->git_down_until > s->now)
            return false;
        host_of(s, n)->made[REV_NEW] |= UINT64_C(1) << s->bit_of[step];
        return true;
    case DOES_UNPACK:
    case DOES_BUILD:
    case DOES_SEAL:
        if (rev != REV_NONE)
            host_of(s, n)->made[rev] |= UINT64_C(1) << s->bit_of[step];
        return true;
    case DOES_CHECKOUT: return check_out(s, n, rev, s->bit_of[step]);
    case DOES_SWITCH:
        if (!node_complete(s, n, rev))
            return false;
        host_of(s, n)->current = rev;
        n->touched_at = s->now;
        return true;
    case DOES_STOP: return stop_app(s, i, step, back);
    case DOES_START: return start_app(s, i, back);
    case DOES_RESTART: return stop_app(s, i, step, back) && start_app(s, i, back);
    case DOES_RELOAD: return reload_app(s, i, back);
    default: return true; /* nothing that the world keeps */
    }
}

static uint32_t slot_of(uint16_t step, bool back)
{
    return (uint32_t)step * 2 + back;
}

static struct sim_job *job_at(struct sim *s, uint32_t node, uint32_t slot)
{
    return node_job_of(s, node, (uint16_t)(slot / 2), slot % 2);
}

static bool is_once(const struct sim *s, uint16_t step)
{
    return s->plan->core.steps[step].once != ONCE_NO;
}

void job_kill(struct sim *s, uint32_t node, uint32_t slot)
{
    struct sim_job *job = job_at(s, node, slot);
    if (job->state != SIM_JOB_RUNNING)
        return;
    job->state = SIM_JOB_ENDED;
    job->rc = 143;
    if (is_once(s, (uint16_t)(slot / 2)))
        oracle_once(s, (uint16_t)(slot / 2), slot % 2, TRUTH_FAILED);
}

static void job_answer(struct sim *s, struct sim_job *job, enum outcome outcome)
{
    if (job->waiter == UINT32_MAX)
        return;
    struct sim_op *op = &s->ops[job->waiter];
    if (op->live && op->uid == job->waiter_uid && !op->answered)
        sim_op_reply(s, op, sim_op_takes(s, 10), outcome, !job->lies);
    job->waiter = UINT32_MAX;
}

static void job_end(struct sim *s, uint32_t node, uint32_t slot)
{
    struct sim_job *job = job_at(s, node, slot);
    uint16_t step = (uint16_t)(slot / 2);
    bool back = slot % 2, idle = job->rc != 0 && !job->half;
    bool worked = idle || job->lies || work(s, node, step, back);
    s->fig.n_effects++;
    job->state = SIM_JOB_ENDED;
    if (!worked)
        job->rc = 1;
    if (is_once(s, step))
        oracle_once(s, step, back, job->rc == 0 ? TRUTH_OK : TRUTH_FAILED);
    job_answer(s, job, job->rc == 0 ? OUT_OK : OUT_FAILED);
}

void job_event(struct sim *s, uint32_t node, uint32_t slot, uint32_t gen)
{
    struct sim_job *job = job_at(s, node, slot);
    struct sim_node *n = &s->nodes[node];
    if (job->gen != gen || job->state != SIM_JOB_RUNNING)
        return;
    if (span_holds(&n->frozen, s->now) && n->frozen.to != NEVER) {
        event_push(s, n->frozen.to, E_JOB, node, slot, gen);
        return;
    }
    bool killed = job->rc == 255;
    if (killed || span_holds(&n->dead, s->now)) {
        job->state = SIM_JOB_LOST;
        if (sim_coin(s, 50) && killed)
            work(s, node, (uint16_t)(slot / 2), slot % 2);
        if (is_once(s, (uint16_t)(slot / 2))) {
            oracle_once(s, (uint16_t)(slot / 2), slot % 2, TRUTH_LOST);
            s->fig.lost_once = true;
        }
        job_answer(s, job, OUT_UNKNOWN);
        return;
    }
    job_end(s, node, slot);
}

static int64_t job_ms(struct sim *s, const struct sim_op *op)
{
    int64_t ms = sim_op_takes(s, s->plan->steps[op->req.step].ms);
    return op->has_fault && op->fault == FAULT_SLOW ? ms * 10 : ms;
}

/* A lie is only possible where nothing could be read back. */
static bool can_lie(enum does does)
{
    return does == DOES_START || does == DOES_STOP || does == DOES_SWITCH || does == DOES_RELOAD;
}

static void job_fault(struct sim *s, struct sim_op *op, struct sim_job *job, int64_t *io_ms)
{
    if (!op->has_fault)
        return;
    switch (op->fault) {
    case FAULT_CMD_HALF: job->half = true; /* fall through */
    case FAULT_CMD_FAILS:
    case FAULT_BUILD_FAILS:
    case FAULT_START_FAILS:
    case FAULT_STOP_DEAF: job->rc = 1; break;
    case FAULT_CMD_LIES: job->lies = can_lie(s->plan->steps[op->req.step].does); break;
    case FAULT_CMD_HANGS:
        job->hangs = true;
        *io_ms = NEVER;
        break;
    case FAULT_CMD_KILLED: job->rc = 255; break;
    default: break;
    }
}

/* Asked for a key that is known: what the runner answers without starting anything. */
static bool job_known(struct sim *s, struct sim_op *op, uint32_t index, struct sim_job *job)
{
    if (job->walk != op->req.walk || job->state == SIM_JOB_NEVER)
        return false;
    if (job->state == SIM_JOB_ENDED && job->rc == 0) {
        sim_op_reply(s, op, sim_op_takes(s, 15), OUT_OK, !job->lies); /* the same words as then */
        return true;
    }
    if (job->state != SIM_JOB_RUNNING)
        return false;
    job->waiter = index;
    job->waiter_uid = op->uid;
    event_push(s, op->req.deadline_ms + s->session_start, E_DEADLINE, index, op->uid, 0);
    return true;
}

/* Runs the step under its key: at most one job at a time on a node, never twice what ended well. */
void job_start(struct sim *s, struct sim_op *op, uint32_t index)
{
    uint32_t node = op->req.node, slot = slot_of(op->req.step, op->req.back);
    struct sim_node *n = &s->nodes[node], *host = host_of(s, n);
    struct sim_job *job = job_at(s, node, slot);
    if (op->fence < host->fence) { /* refused: a later grant was here */
        sim_op_reply(s, op, sim_op_takes(s, 15), OUT_FAILED, false);
        return;
    }
    host->fence = op->fence;
    if (job_known(s, op, index, job))
        return;
    if (host->job_now != UINT32_MAX && (host->job_of != node || host->job_now != slot))
        job_kill(s, host->job_of, host->job_now);
    oracle_effect(s, op);
    if (is_once(s, op->req.step))
        oracle_once(s, op->req.step, op->req.back, TRUTH_RUNNING);
    enum does does = s->plan->steps[op->req.step].does;
    uint8_t rev = wanted_rev(n, op->req.back);
    if (makes(does) && does != DOES_CHECKOUT && rev != REV_NONE && !node_complete(s, n, rev))
        host->made[rev] &= ~(UINT64_C(1) << s->bit_of[op->req.step]);
    if (does == DOES_STOP || does == DOES_RESTART)
        n->stop_began_at = s->now;
    host->job_of = node;
    host->job_now = slot;
    *job = (struct sim_job){.state = SIM_JOB_RUNNING,
                            .walk = op->req.walk,
                            .gen = ++s->n_gen,
                            .token = op->uid,
                            .waiter = op->ghost ? UINT32_MAX : index,
                            .waiter_uid = op->uid};
    int64_t ms = job_ms(s, op), deadline = op->req.deadline_ms + s->session_start;
    job_fault(s, op, job, &ms);
    if (does == DOES_RELOAD && op->has_fault && op->fault == FAULT_START_FAILS)
        app_dies(s, node); /* its new workers do not come up, and it ends with them */
    if (ms != NEVER)
        event_push(s, s->now + ms, E_JOB, node, slot, job->gen);
    if (!op->ghost && (ms == NEVER || s->now + ms > deadline))
        event_push(s, deadline, E_DEADLINE, index, op->uid, 0);
}

/* What an observing verb of a command without a visible trace learns from the runner. */
static void look_job(struct sim *s, struct sim_op *op)
{
    const struct sim_job *job = node_job_of(s, op->req.node, op->req.step, op->req.back);
    int64_t ms = sim_op_takes(s, 10);
    if (job->walk != op->req.walk || job->state == SIM_JOB_NEVER || job->state == SIM_JOB_RUNNING)
        sim_op_reply(s, op, ms, OUT_OK, false);
    else if (job->state == SIM_JOB_ENDED)
        sim_op_reply(s, op, ms, job->rc == 0 ? OUT_OK : OUT_FAILED, true);
    else if (is_once(s, op->req.step))
        sim_op_reply(s, op, ms, OUT_UNKNOWN, false);
    else
        sim_op_reply(s, op, ms, OUT_OK, false);
}

static bool runs_wanted(const struct sim *s, const struct sim_node *n, bool back)
{
    return !s->changes_rev || n->proc.rev == wanted_rev(n, back);
}

static bool looks_ready(struct sim *s, const struct sim_op *op, enum does does)
{
    struct sim_node *n = &s->nodes[op->req.node];
    uint8_t rev = wanted_rev(n, op->req.back);
    bool good;
    switch ((int)does) {
    case DOES_FETCH:
    case DOES_UNPACK:
    case DOES_SEAL: return rev != REV_NONE && (host_of(s, n)->made[rev] >> s->bit_of[op->req.step] & 1);
    case DOES_CHECKOUT:
    case DOES_SWITCH: return host_of(s, n)->current == rev && rev != REV_NONE;
    case DOES_STOP: return !proc_alive(n, s->now);
    case DOES_START:
    case DOES_RESTART: return proc_alive(n, s->now) && n->proc.started_at > n->stop_began_at;
    case DOES_RUNNING: return proc_alive(n, s->now);
    case DOES_RELOAD: return proc_alive(n, s->now) && n->proc.rev == rev;
    case DOES_HEALTH:
        good = node_healthy(n, s->now) && (!s->plan->check_sees_rev || runs_wanted(s, n, op->req.back));
        if (good)
            n->checked_at = s->now;
        return good;
    case DOES_VERIFY: return proc_alive(n, s->now) && runs_wanted(s, n, op->req.back);
    default: return true;
    }
}

void node_look(struct sim *s, struct sim_op *op, enum does does)
{
    bool by_job = does == DOES_BUILD || does == DOES_ONCE || does == DOES_CMD || does == DOES_CLEAN;
    if (by_job && op->req.role == ROLE_OBSERVE)
        look_job(s, op);
    else
        sim_op_reply(s, op, sim_op_takes(s, 10), OUT_OK, looks_ready(s, op, does));
}
