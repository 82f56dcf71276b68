/* SPDX-License-Identifier: MIT */
/* The world in virtual time: events, chance, faults healed. The controller that lives in it is controller.c. */
#include "sim/sim_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t sim_draw(struct sim *s, uint64_t below)
{
    uint64_t z = s->rng += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

bool sim_coin(struct sim *s, unsigned per_cent)
{
    return sim_draw(s, 100) < per_cent;
}

/* ---- events: a heap by time, then by order of birth */

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

void event_push(struct sim *s, int64_t at, enum sim_event_kind kind, uint32_t a, uint32_t b, uint32_t c)
{
    if (s->n_heap == s->cap_heap) {
        s->cap_heap = s->cap_heap ? s->cap_heap * 2 : 128;
        s->heap = xrealloc(s->heap, s->cap_heap * sizeof(*s->heap));
    }
    struct sim_event ev = {.at = at, .seq = ++s->last_seq, .kind = kind, .a = a, .b = b, .c = c};
    size_t i = s->n_heap++;
    for (; i > 0 && earlier(&ev, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = ev;
}

bool event_pop(struct sim *s, int64_t until, struct sim_event *ret)
{
    if (s->n_heap == 0 || s->heap[0].at > until)
        return false;
    *ret = s->heap[0];
    struct sim_event last = s->heap[--s->n_heap];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= s->n_heap)
            break;
        if (child + 1 < s->n_heap && earlier(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!earlier(&s->heap[child], &last))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;
    return true;
}

/* ---- making */

static void world_init(struct sim *s)
{
    const struct core_plan *plan = &s->plan->core;
    int bit = 0; /* of all groups: each has its own steps */
    for (uint32_t k = 0; k < plan->n_steps; k++) {
        enum does does = s->plan->steps[k].does;
        bool makes = does == DOES_FETCH || does == DOES_UNPACK || does == DOES_BUILD || does == DOES_SEAL ||
                     does == DOES_CHECKOUT;
        s->bit_of[k] = -1;
        s->changes_rev |= does == DOES_SWITCH || does == DOES_CHECKOUT;
        if (!makes)
            continue;
        s->bit_of[k] = (int8_t)bit;
        for (uint32_t g = 0; g < plan->n_groups; g++)
            if (plan->steps[k].group == 0 || plan->steps[k].group == g + 1)
                s->need[g] |= UINT64_C(1) << bit;
        if (plan->steps[k].phase == PHASE_PREPARE)
            s->prepare_bits |= UINT64_C(1) << bit;
        bit += bit < 63;
    }
    for (uint32_t i = 0; i <= plan->n_nodes; i++) {
        struct sim_node *n = &s->nodes[i];
        bool ran = i < plan->n_nodes && (plan->node_flags[i] & CORE_NODE_HAS_BEFORE);
        bool down = i < plan->n_nodes && (plan->node_flags[i] & CORE_NODE_COMES_BACK);
        bool up = i < plan->n_nodes && (down || (plan->node_flags[i] & CORE_NODE_WAS_UP));
        n->hurt = down && ran;
        n->before = n->current = ran ? REV_OLD : REV_NONE;
        n->made[REV_OLD] = ran ? s->need[core_group_of(plan, i)] : 0;
        n->dead = n->frozen = (struct span){NEVER, NEVER};
        n->proc = (struct proc){.stopped_at = ran ? NEVER : INT64_MIN / 2,
                                .started_at = INT64_MIN / 2,
                                .ready_at = INT64_MIN / 2,
                                .dies_at = down && ran ? INT64_MIN / 2 : NEVER,
                                .bad_at = NEVER,
                                .rev = n->before};
        n->job_now = UINT32_MAX; /* of a host's disk, its first instance's is used */
        n->touched_at = n->checked_at = n->sessions_gone_at = n->stop_began_at = -1;
        for (uint32_t b = 0; b < SIM_LBS_MAX; b++)
            n->lb[b] = (struct lb_node){.admin = up ? LB_READY : LB_MAINT,
                                        .before = up ? LB_READY : LB_MAINT,
                                        .out_at = -1,
                                        .maint_at = -1,
                                        .forgot_at = -1,
                                        .blind_at = NEVER};
        s->ever_faulty |= i < plan->n_nodes && !ran;
        if (i < plan->n_nodes)
            lb_touch(s, i);
    }
}

struct sim *sim_new(const struct sim_plan *plan, const struct sim_options *opt)
{
    struct sim *s = xcalloc(1, sizeof(*s));
    size_t n = (size_t)plan->core.n_nodes + 1;
    s->plan = plan;
    s->opt = *opt;
    s->rng = opt->seed * UINT64_C(2654435761) + 1;
    s->core = core_init(xcalloc(1, core_size(&plan->core)), &plan->core);
    s->twin = core_init(xcalloc(1, core_size(&plan->core)), &plan->core);
    s->nodes = xcalloc(n, sizeof(*s->nodes));
    s->jobs = xcalloc(n * (plan->core.n_steps + 1u) * 2, sizeof(*s->jobs));
    s->unsettled = xcalloc(n, sizeof(*s->unsettled));
    s->free_op = UINT32_MAX;
    for (uint32_t g = 0; g < CORE_GROUPS_MAX; g++) {
        s->reading_at[g] = -1;
        s->fig.least_up[g] = UINT32_MAX;
    }
    s->last_exit = -1;
    world_init(s);
    return s;
}

void sim_free(struct sim *s)
{
    if (!s)
        return;
    free(s->core);
    free(s->twin);
    free(s->rows);
    loop_room_fini(&s->room);
    free(s->ops);
    free(s->heap);
    free(s->nodes);
    free(s->jobs);
    free(s->unsettled);
    free(s->intents);
    free(s);
}

void sim_fault(struct sim *s, const struct sim_fault *fault)
{
    must(s->n_faults < SIM_FAULTS_MAX);
    s->ever_faulty = true;
    s->struck[s->n_faults] = 0;
    s->faults[s->n_faults++] = *fault;
    if (sim_fault_at(fault->kind) == FAULT_AT_WORLD && fault->at_ms >= 0)
        event_push(s, s->now + fault->at_ms, E_WORLD, (uint32_t)(s->n_faults - 1), UINT32_MAX, 0);
}

static void heal_node(struct sim *s, uint32_t i)
{
    struct sim_node *n = &s->nodes[i];
    bool was_dead = span_holds(&n->dead, s->now);
    bool fell = n->proc.stopped_at == NEVER && (n->proc.dies_at <= s->now || was_dead);
    if (was_dead && n->job_now != UINT32_MAX) {
        struct sim_job *job = node_job_of(s, n->job_of, (uint16_t)(n->job_now / 2), n->job_now % 2);
        if (job->state == SIM_JOB_RUNNING)
            event_push(s, n->dead.from, E_JOB, n->job_of, n->job_now, job->gen);
    }
    if (span_holds(&n->frozen, s->now))
        n->frozen.to = s->now;
    for (uint32_t k = 0; k < s->plan->core.n_steps * 2;
         k++) { /* what hung goes on, what was recorded is true */
        struct sim_job *job = node_job_of(s, i, (uint16_t)(k / 2), k % 2);
        if (job->lies && job->state == SIM_JOB_ENDED)
            job->state = SIM_JOB_NEVER;
        job->lies = job->half = false;
        if (job->state == SIM_JOB_RUNNING && job->rc == 1)
            job->rc = 0;
        if (job->state == SIM_JOB_RUNNING && job->hangs)
            event_push(s, s->now + 2 * RESTART_MS, E_JOB, i, k, job->gen);
    }
    if (was_dead)
        n->dead.to = s->now;
    n->hurt = n->disk_full = n->sessions_stay = n->sticky = false;
    n->crashes = n->unhealthy = n->unhealthy_later = n->wrong_rev = n->slow_start = n->errors =
        n->proc.errors = false;
    n->proc.dies_at = n->proc.dies_at <= s->now ? n->proc.dies_at : NEVER;
    n->proc.bad_at = NEVER;
    if (n->proc.ready_at > s->now && node_complete(s, n, n->proc.rev))
        n->proc.ready_at = s->now;
    uint8_t current = host_of(s, n)->current;
    if (fell && current != REV_NONE)
        node_spawn(s, i, current);
    for (uint32_t b = 0; b < lbs_of(s, i); b++) { /* whoever set it to maintenance is done */
        bool was_by_hand = n->lb[b].by_hand;
        n->lb[b].by_hand = false;
        n->lb[b].blind_at = NEVER;
        if (was_by_hand && (n->lb[b].before != LB_READY || proc_alive(n, s->now))) {
            lb_set(s, b, i, (enum lb_admin)n->lb[b].before);
            n->lb[b].forgot_at = s->now;
        }
    }
    lb_touch(s, i);
}

/* ---- events as they come */

/* The answer of an op is there. false: nobody waits for it. */
static bool answer(struct sim *s, uint32_t index, uint32_t uid, struct event *ret)
{
    struct sim_op *op = &s->ops[index];
    if (!op->live || op->uid != uid)
        return false;
    *ret = (struct event){.kind = EV_OUTCOME,
                          .op = op->req.op,
                          .node = op->req.node,
                          .outcome = op->outcome,
                          .ready = op->ready,
                          .changed = true,
                          .lost = op->lost,
                          .unreached = op->unreached,
                          .gauge = op->gauge};
    bool ghost = op->ghost;
    if (op->has_fault && op->fault == FAULT_LATE_COMMAND && !ghost)
        sim_ops_give_up(s, op);
    sim_op_free(s, index);
    return !ghost;
}

/* true: it is an answer for the controller. */
bool world_handle(struct sim *s, const struct sim_event *ev, struct event *ret)
{
    if (s->now < ev->at)
        s->now = ev->at;
    switch ((enum sim_event_kind)ev->kind) {
    case E_ARRIVE: sim_op_arrive(s, ev->a, ev->b); break;
    case E_JOB: job_event(s, ev->a, ev->b, ev->c); break;
    case E_DEADLINE: sim_op_deadline(s, ev->a, ev->b); break;
    case E_WORLD: fault_world(s, ev->a, ev->b); break;
    case E_ANSWER:
        if (s->now >= s->paused_until)
            return answer(s, ev->a, ev->b, ret);
        event_push(s, s->paused_until, E_ANSWER, ev->a, ev->b, 0); /* it waits in the pipe */
        break;
    }
    return false;
}

/* No controller runs; what is under way in the world arrives. */
void world_pass(struct sim *s, int64_t ms)
{
    struct sim_event ev;
    struct event unused;
    int64_t until = s->now + ms;
    while (event_pop(s, until, &ev))
        must(!world_handle(s, &ev, &unused));
    s->now = until;
}

/* The controller is not scheduled until then; the world is. */
void world_stand_still(struct sim *s, int64_t until)
{
    struct sim_event ev;
    struct event unused;
    while (!s->kill_now && event_pop(s, until - 1, &ev))
        must(!world_handle(s, &ev, &unused));
    if (!s->kill_now)
        s->now = until;
}

void sim_heal(struct sim *s)
{
    s->quiet_until = 0;
    s->flips = false;
    sim_say(s, "    all faults are gone");
    world_pass(s, RESTART_MS);
    s->n_faults = 0;
    for (uint32_t i = 0; i < s->n_ops; i++)
        s->ops[i].has_fault &= s->ops[i].fault == FAULT_LATE_COMMAND;
    s->git_down_until = 0;
    memset(s->lb_down_until, 0, sizeof(s->lb_down_until));
    for (uint32_t i = 0; i < s->plan->core.n_nodes; i++)
        heal_node(s, i);
}

/* ---- what harnesses ask */

void sim_give_up(struct sim *s, uint32_t node, bool give_up)
{
    s->nodes[node].unwanted = give_up;
}

bool sim_resumable(const struct sim *s)
{
    return s->n_durable > 0 && s->last_exit != 0 && s->last_exit != 1;
}

const char *sim_broken(const struct sim *s)
{
    return s->broken[0] ? s->broken : NULL;
}

struct sim_figures sim_figures(const struct sim *s)
{
    struct sim_figures fig = s->fig;
    fig.now_ms = s->now;
    fig.n_commits = s->n_commits;
    fig.n_rows = s->n_durable;
    return fig;
}

int sim_running(const struct sim *s, uint32_t node)
{
    const struct sim_node *n = &s->nodes[node];
    return proc_alive(n, s->now) ? n->proc.rev : -1;
}

bool sim_in_rotation(const struct sim *s, uint32_t node)
{
    return lb_in_rotation(s, node);
}
