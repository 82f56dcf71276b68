/* SPDX-License-Identifier: MIT */
/* A release for real: the loop (engine/loop) on a journal, a pool of workers, a clock and signals. Here stand its
 * ports, what is said to chat rooms, and the reading of the journal before a resume; its rules stand there. */
#include "run/run_priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "run/judge.h"

/* One release under way. */
struct run {
    const struct plan *plan;
    const struct run_options *opt;
    int64_t release;
    struct core_plan core_plan;
    struct core *core;
    struct loop loop;
    struct loop_room room;
    struct arena arena; /* core plan, node index */
    struct ledger ledger;
    struct facts *facts;
    struct judge *judge;
    struct pool *pool;
    struct conns *conns, *own_conns;
    int cancel_fd;
    struct job **running;
    size_t n_running, cap_running;
    struct job *fresh;      /* ended, and not taken by the loop yet */
    struct job *taken;      /* taken in this turn: their totals go with its commit */
    const struct job *told; /* whose outcome is being decided; NULL = a timer's, an order's */
    bool fetched;           /* in this turn */
    bool back_told;
    char summary[1200];
    struct err *err;
};

static void running_add(struct run *l, struct job *job)
{
    l->running = grown(l->running, l->n_running, &l->cap_running, sizeof(*l->running));
    l->running[l->n_running++] = job;
}

static void running_remove(struct run *l, const struct job *job)
{
    for (size_t i = 0; i < l->n_running; i++)
        if (l->running[i] == job) {
            l->running[i] = l->running[--l->n_running];
            return;
        }
}

/* The last thing a look saw, or why it saw nothing: said when the waiting ends without what was wanted. */
static void remember_look(struct run *l, struct job *job)
{
    struct output_chunk *first = outbuf_take(&job->out);
    bool unknown = job->result->outcome == OUT_UNKNOWN;
    facts_set(l->facts, job->req.node, "look.unknown", unknown ? job->result->err.text : "");
    if (!first)
        return;
    size_t n = first->n > 0 && first->data[first->n - 1] == '\n' ? first->n - 1 : first->n;
    facts_set(l->facts, job->req.node, "look",
              arena_strndup(&l->ledger.arena, first->data, n < 400 ? n : 400));
    chunks_free(first);
}

/* Nobody was asked: a link that was not made. A look that could not log in has seen nothing either; what a change
 * says of rights is its own answer. */
static bool unreached(const struct job *job)
{
    enum err_code code = job->result->err.code;
    bool login = code == E_AUTH || code == E_HOSTKEY;
    return code == E_NET || (login && job->req.role == ROLE_OBSERVE);
}

static void take_job(struct run *l, struct job *job, struct event *ret)
{
    const struct op_result *r = job->result;
    const struct verb *verb = job->spec.verb;
    bool of_node = verb->scope == SCOPE_NODE;  /* what follows from it is the core's to say */
    bool judges = job->req.role == ROLE_JUDGE; /* what it saw is the judge's to sum up */
    for (size_t i = 0; i < r->n_facts && !judges; i++)
        facts_set(l->facts, job->req.node, r->facts[i].name, r->facts[i].value);
    if (job_is_quiet_look(job))
        remember_look(l, job);
    else
        ledger_output(&l->ledger, job, outbuf_take(&job->out));
    ledger_output(&l->ledger, job, outbuf_tail(&job->out));
    *ret =
        (struct event){.kind = EV_OUTCOME,
                       .op = job->req.op,
                       .node = job->req.node,
                       .outcome = judges ? OUT_OK : r->outcome, /* its verdict says what could not be asked */
                       .ready = r->ready,
                       .changed = r->changed,
                       .lost = r->lost,
                       .unreached = of_node && unreached(job),
                       .late = of_node && r->err.code == E_LATE && verb->effect == EFFECT_READ,
                       .gauge = judges ? judge_take(l->judge, l->core, job, l->facts) : r->gauge};
}

/* When the core has ended: its status and summary, for the journal and the chat rooms. */
static bool ending(struct run *l, struct release_ending *ret)
{
    enum why why;
    int status;
    if (!core_ended(l->core, &status, &why))
        return false;
    snprintf(l->summary, sizeof(l->summary),
             l->plan->kind == KIND_ROLLBACK
                 ? "%u back on what they ran before, %u not taken back, %u left out, %u failed%s%s"
                 : "%u on the new revision, %u on the earlier one, %u left out, %u failed%s%s",
             core_count(l->core, NODE_DONE),
             core_count(l->core, NODE_UNDONE) + core_count(l->core, NODE_PENDING),
             core_count(l->core, NODE_LEFT) + core_count(l->core, NODE_OUT) + core_count(l->core, NODE_BACK) +
                 core_count(l->core, NODE_GONE),
             core_count(l->core, NODE_FAILED), why != WHY_NONE ? "; " : "",
             rows_why(l->plan, why, l->ledger.failed, &l->ledger.arena));
    size_t n = strlen(l->summary);
    if (core_lost(l->core) > 0)
        snprintf(l->summary + n, sizeof(l->summary) - n,
                 "; balancers forgot a drain %u time%s: requests may have met a node that was out",
                 core_lost(l->core), core_lost(l->core) == 1 ? "" : "s");
    *ret = (struct release_ending){.exit_status = loop_exit(&l->loop), .summary = l->summary};
    return true;
}

static void jobs_free(struct job *job)
{
    for (struct job *next; job; job = next) {
        next = job->next;
        job_free(job);
    }
}

static void cancel_all(struct run *l)
{
    uint64_t one = 1;
    must(write(l->cancel_fd, &one, sizeof(one)) == sizeof(one));
}

static void start(struct run *l, struct job *job)
{
    job->spec.cancel_fd = l->cancel_fd;
    running_add(l, job);
    pool_put(l->pool, job);
}

/* ---- the ports of the loop */

static int64_t port_now(void *ctx)
{
    (void)ctx;
    return clock_mono_ms();
}

static bool port_wait(void *ctx, int64_t until)
{
    struct run *l = ctx;
    int64_t print = ledger_due(&l->ledger), now = clock_mono_ms(), to = print < until ? print : until;
    struct pollfd fds[2] = {{.fd = pool_done_fd(l->pool), .events = POLLIN},
                            {.fd = l->opt->signal_fd, .events = POLLIN}};
    int n = poll(fds, 2, to <= now ? 0 : to - now > LOOP_BEAT_MS ? LOOP_BEAT_MS : (int)(to - now));
    must(n >= 0 || errno == EINTR);
    return n != 0 || clock_mono_ms() >= print;
}

static bool port_ours(void *ctx)
{
    struct run *l = ctx;
    return !l->opt->owner || run_still_ours(l->plan, l->opt, l->err);
}

static enum loop_news take_signal(struct run *l)
{
    struct signalfd_siginfo info;
    if (l->opt->signal_fd < 0 || read(l->opt->signal_fd, &info, sizeof(info)) != sizeof(info))
        return NEWS_NONE;
    return info.ssi_signo == SIGINT ? NEWS_INTERRUPT : NEWS_TERMINATE;
}

static enum loop_news port_take(void *ctx, struct event *ret)
{
    struct run *l = ctx;
    l->told = NULL;
    if (!l->fetched) {
        pool_done_clear(l->pool);
        l->fresh = pool_take_done(l->pool);
        for (const struct job *job = l->fresh; job; job = job->next)
            running_remove(l, job); /* all of them, though the turn may end before all are told */
        l->fetched = true;
    }
    for (struct job *job; (job = l->fresh);) {
        l->fresh = job->next;
        job->next = l->taken;
        l->taken = job;
        if (job->result->err.code == E_FENCED) { /* what is to be undone is the other holder's work now */
            *l->err = job->result->err;
            return NEWS_LOST;
        }
        if (job->req.role == ROLE_NONE) { /* a chat room was told, or was not */
            ledger_output(&l->ledger, job, outbuf_take(&job->out));
            continue;
        }
        take_job(l, job, ret);
        l->told = job;
        return NEWS_OUTCOME;
    }
    return take_signal(l);
}

static void port_decided(void *ctx, const struct event *ev, const struct update *up)
{
    struct run *l = ctx;
    (void)ev;
    for (uint32_t i = 0; i < up->n_records; i++)
        ledger_record(&l->ledger, &up->records[i], l->facts, l->told);
    if (up->cancel_all)
        cancel_all(l);
}

static bool port_commit(void *ctx)
{
    struct run *l = ctx;
    struct release_ending end;
    for (size_t i = 0; i < l->n_running; i++)
        if (l->running[i]->spec.verb->effect != EFFECT_READ)
            ledger_output(&l->ledger, l->running[i], outbuf_take(&l->running[i]->out));
    bool ok = ledger_commit(&l->ledger, l->taken, ending(l, &end) ? &end : NULL, l->err);
    jobs_free(l->taken);
    l->taken = NULL;
    l->told = NULL;
    l->fetched = false;
    return ok;
}

static struct job_basis basis_of(const struct run *l)
{
    return (struct job_basis){.plan = l->plan,
                              .opt = l->opt,
                              .conns = l->conns,
                              .waker_fd = pool_done_fd(l->pool),
                              .facts = l->facts,
                              .release = l->release};
}

static void port_dispatch(void *ctx, const struct op_req *op)
{
    struct run *l = ctx;
    int64_t now = clock_mono_ms();
    if (op->role == ROLE_ESCALATE || op->role == ROLE_KILL)
        facts_set(l->facts, op->node, LB_FACT_MAINT, LB_OURS); /* as its intent says */
    const struct job_basis basis = basis_of(l);
    struct job *job = bridge_job(&basis, op);
    job->budget_ms = op->deadline_ms > now ? op->deadline_ms - now : 1;
    start(l, job);
}

static const struct loop_ports ports = {
    .now = port_now,
    .wait = port_wait,
    .ours = port_ours,
    .take = port_take,
    .decided = port_decided,
    .commit = port_commit,
    .dispatch = port_dispatch,
};

/* ---- chat rooms */

/* Chat rooms hear of the rows after they are durable. */
static void tell(struct run *l, const char *event, const char *what)
{
    const struct plan *plan = l->plan;
    if (plan->n_events == 0)
        return;
    auto_buf struct buf text = BUF_INIT(3000);
    buf_printf(&text, "%s %s: %s %lld%s%.12s by %s: %s", plan->app, plan->env, kind_name(plan->kind),
               (long long)l->release, plan->rev && *plan->rev ? ", revision " : "",
               plan->rev ? plan->rev : "", l->opt->who, what);
    if (plan->override && strcmp(event, "started") == 0)
        buf_printf(&text, "; overridden: %s", plan_overrides_text(plan, &l->arena));
    const struct job_basis basis = basis_of(l);
    struct job *job = notify_jobs(&basis, event, buf_str(&text));
    for (struct job *next; job; job = next) {
        next = job->next;
        start(l, job);
    }
}

static void tell_end(struct run *l, int status)
{
    const char *event = status == EXIT_RELEASED                               ? "finished"
                        : status == EXIT_ROLLED_BACK || status == EXIT_PERSON ? "failed"
                                                                              : "stopped";
    auto_buf struct buf text = BUF_INIT(2000);
    buf_printf(&text, "%s: %s", event, l->summary);
    tell(l, event, buf_str(&text));
}

/* What chat rooms hear last may take a moment, and no longer. */
static void wait_for_chats(struct run *l)
{
    int64_t until = clock_mono_ms() + NOTIFY_MS / 2;
    while (l->n_running > 0 && clock_mono_ms() < until) {
        struct pollfd fd = {.fd = pool_done_fd(l->pool), .events = POLLIN};
        poll(&fd, 1, 100);
        pool_done_clear(l->pool);
        struct job *done = pool_take_done(l->pool);
        for (struct job *job = done; job; job = job->next)
            running_remove(l, job);
        jobs_free(done);
    }
}

/* ---- beginning and end */

/* After a failed commit: no op may go on changing things that we cannot record; those that run on a node
 * detached are found there by the resume. */
static void end_running(struct run *l)
{
    cancel_all(l);
    while (l->n_running > 0) {
        struct pollfd fd = {.fd = pool_done_fd(l->pool), .events = POLLIN};
        poll(&fd, 1, 1000);
        pool_done_clear(l->pool);
        struct job *done = pool_take_done(l->pool);
        for (struct job *job = done; job; job = job->next)
            running_remove(l, job);
        jobs_free(done);
    }
}

#define REPLAY_ROWS 4096

static bool replay(struct run *l, struct err *err)
{
    struct node_index *index = node_index_new(l->plan, &l->arena);
    for (int64_t after = 0;;) {
        auto_arena struct arena arena = {0};
        struct row *rows;
        size_t n;
        if (!journal_read(reader(l->opt->store, &arena),
                          &(struct row_range){.release = l->release, .after = after, .limit = REPLAY_ROWS},
                          &rows, &n, err))
            return false;
        for (size_t i = 0; i < n; i++) {
            struct record record;
            if (!rows_to_record(l->plan, index, &rows[i], &record))
                return err_set(
                    err, E_JOURNAL,
                    "release %lld: journal row %lld (%s %s) is not understood: was it written by a newer "
                    "release? Resume with that one.",
                    (long long)l->release, (long long)rows[i].seq, row_kind_name(rows[i].kind), rows[i].code);
            core_replay(l->core, &record);
            facts_set_json(l->facts, record.node, rows[i].facts);
            after = rows[i].seq;
        }
        if (n < REPLAY_ROWS)
            return true;
    }
}

static void run_init(struct run *l, const struct plan *plan, int64_t release, const struct run_options *opt,
                     struct err *err)
{
    *l = (struct run){.plan = plan,
                      .opt = opt,
                      .release = release,
                      .facts = facts_new(plan),
                      .judge = judge_new(plan),
                      .pool = pool_new(opt->workers),
                      .conns = opt->conns,
                      .cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                      .err = err};
    must(l->cancel_fd >= 0);
    if (!l->conns)
        l->conns = l->own_conns = conns_new(transport_table);
    ledger_init(&l->ledger, plan, release, opt);
    bridge_core_plan(plan, &l->arena, &l->core_plan);
    l->core = core_init(arena_alloc(&l->arena, core_size(&l->core_plan)), &l->core_plan);
    loop_init(&l->loop, &ports, l, l->core, &l->room);
    if (opt->stop_at)
        l->loop.stop_at = opt->stop_at;
}

static void run_fini(struct run *l)
{
    jobs_free(l->taken);
    jobs_free(l->fresh);
    ledger_fini(&l->ledger);
    pool_free(l->pool);
    conns_free(l->own_conns);
    facts_free(l->facts);
    judge_free(l->judge);
    loop_room_fini(&l->room);
    close(l->cancel_fd);
    free(l->running);
    arena_fini(&l->arena);
}

static enum loop_state begin(struct run *l, enum order first)
{
    for (uint32_t i = 0; first != ORDER_START && l->opt->give_up && i < l->plan->n_nodes; i++)
        if (l->opt->give_up[i])
            loop_give_up(&l->loop, i);
    enum loop_state state = loop_begin(&l->loop, first);
    if (state == LOOP_GOES_ON || state == LOOP_ENDED)
        tell(l, "started", first == ORDER_START ? "started" : order_name(first));
    return state;
}

/* One more turn, and what chat rooms hear of it. */
static enum loop_state turn(struct run *l)
{
    enum loop_state state = loop_turn(&l->loop);
    bool durable = state == LOOP_GOES_ON || state == LOOP_ENDED;
    if (durable && core_life(l->core) == LIFE_BACK && !l->back_told) {
        l->back_told = true;
        tell(l, "rollback", "going back to the earlier revisions");
    }
    return state;
}

bool run_release(const struct plan *plan, int64_t release, enum order first, const struct run_options *opt,
                 int *ret_exit, struct err *err)
{
    struct run l;
    if (!bridge_fit(plan, err))
        return false;
    run_init(&l, plan, release, opt, err);
    enum loop_state state = LOOP_BROKEN;
    if (first == ORDER_START || replay(&l, err))
        for (state = begin(&l, first); state == LOOP_GOES_ON;)
            state = turn(&l);
    if (state == LOOP_ENDED) {
        *ret_exit = loop_exit(&l.loop);
        tell_end(&l, *ret_exit);
        wait_for_chats(&l);
    }
    end_running(&l);
    run_fini(&l);
    if (state != LOOP_ENDED && err->code == E_NONE)
        err_set(err, E_JOURNAL, "the journal cannot be written");
    return state == LOOP_ENDED;
}
