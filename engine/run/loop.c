/* SPDX-License-Identifier: MIT */
/* The loop: take finished ops -> core_step for each -> one transaction with all rows -> commit -> only then
 * hand new ops to the workers. If a commit fails, memory is ahead of disk: nothing is dispatched any more,
 * and only a resume from the journal goes on (docs/promises.md#i4). */
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

/* A terminal that was closed or a SIGTERM: first as ctrl-C once; after this as twice (docs/promises.md#m50).
 */
#define TERM_ABORT_MS 60000

/* The loop looks up at least this often, and when it could not for so long, this process was paused
 * (docs/promises.md#m43). */
#define BEAT_MS   1000
#define PAUSED_MS 3000

struct loop {
    const struct plan *plan;
    const struct run_options *opt;
    int64_t release;
    struct core_plan core_plan;
    struct core *core;
    struct arena arena; /* core plan, node index */
    struct ledger ledger;
    struct facts *facts;
    struct pool *pool;
    struct conns *conns, *own_conns;
    int cancel_fd;
    struct job **running;
    size_t n_running, cap_running;
    struct op_req *ops; /* decided in this turn, to be dispatched after the commit */
    size_t n_ops, cap_ops;
    int64_t beat_ms;  /* when the loop was last seen alive */
    int64_t abort_at; /* when a SIGTERM turns into an abort */
    int signal_no, signals;
    bool back_told, superseded, paused;
    char summary[1200];
    struct release_ending end;
    struct err *err;
};

static void running_add(struct loop *l, struct job *job)
{
    l->running = grown(l->running, l->n_running, &l->cap_running, sizeof(*l->running));
    l->running[l->n_running++] = job;
}

static void running_remove(struct loop *l, const struct job *job)
{
    for (size_t i = 0; i < l->n_running; i++)
        if (l->running[i] == job) {
            l->running[i] = l->running[--l->n_running];
            return;
        }
}

/* One event through the core; its rows and ops wait for the commit. */
static void feed(struct loop *l, struct event ev, const struct job *job)
{
    static _Thread_local struct update up; /* large, and this thread's only one */
    ev.now_ms = clock_mono_ms();
    core_step(l->core, &ev, &up);
    for (uint32_t i = 0; i < up.n_records; i++)
        ledger_record(&l->ledger, &up.records[i], l->facts, job);
    for (uint32_t i = 0; i < up.n_ops; i++) {
        l->ops = grown(l->ops, l->n_ops, &l->cap_ops, sizeof(*l->ops));
        l->ops[l->n_ops++] = up.ops[i];
    }
    uint64_t one = 1;
    if (up.cancel_all)
        must(write(l->cancel_fd, &one, sizeof(one)) == sizeof(one));
}

/* The last thing a look saw, or why it saw nothing: said when the waiting ends without what was wanted. */
static void remember_look(struct loop *l, struct job *job)
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

/* That a node which is out, or is asked at the end what it runs, cannot be reached says nothing about what
 * was done there, nor about the revision: neither is a look that found nobody an observation, nor a step that
 * could not be asked for a step that failed (docs/promises.md#m13, 19). */
static enum outcome outcome_of(const struct loop *l, const struct job *job)
{
    const struct op_result *r = job->result;
    const struct verb *verb = job->spec.verb;
    enum phase phase = job->req.step < l->plan->n_steps ? l->plan->steps[job->req.step].phase : PHASE_PREPARE;
    bool unreached = r->err.code == E_NET || (r->err.code == E_LATE && verb->effect == EFFECT_READ);
    bool held = phase == PHASE_CHANGE || phase == PHASE_CHECK || phase == PHASE_VERIFY;
    /* A health check that finds nobody has failed; at the end it is only asked. */
    bool asks = !verb->waits || job->req.role == ROLE_OBSERVE || phase == PHASE_VERIFY;
    bool unknown = r->outcome == OUT_FAILED && unreached && held && asks && verb->scope == SCOPE_NODE;
    return unknown ? OUT_UNKNOWN : r->outcome;
}

static void take_job(struct loop *l, struct job *job)
{
    const struct op_result *r = job->result;
    if (r->err.code == E_FENCED && !l->superseded) {
        *l->err = r->err;
        l->superseded = true;
    }
    if (job->req.role == ROLE_NONE) { /* a chat room was told, or was not */
        ledger_output(&l->ledger, job, outbuf_take(&job->out));
        return;
    }
    for (size_t i = 0; i < r->n_facts; i++)
        facts_set(l->facts, job->req.node, r->facts[i].name, r->facts[i].value);
    if (job_is_quiet_look(job))
        remember_look(l, job);
    else
        ledger_output(&l->ledger, job, outbuf_take(&job->out));
    ledger_output(&l->ledger, job, outbuf_tail(&job->out));
    feed(l,
         (struct event){.kind = EV_OUTCOME,
                        .op = job->req.op,
                        .node = job->req.node,
                        .outcome = outcome_of(l, job),
                        .ready = r->ready,
                        .changed = r->changed,
                        .lost = r->lost,
                        .gauge = r->gauge},
         job);
}

static int exit_of(const struct loop *l, int status, enum why why)
{
    bool by_signal =
        l->signal_no != 0 && why == WHY_OPERATOR && (status == EXIT_STOPPED || status == EXIT_PERSON);
    return !by_signal ? status : l->signal_no == SIGINT ? EXIT_SIGINT : EXIT_SIGTERM;
}

/* When the core has ended: its status and summary, for the journal and the chat rooms. */
static const struct release_ending *ending(struct loop *l, int *ret_exit)
{
    enum why why;
    int status;
    if (!core_ended(l->core, &status, &why))
        return NULL;
    *ret_exit = exit_of(l, status, why);
    snprintf(l->summary, sizeof(l->summary),
             strcmp(l->plan->kind, "rollback") == 0
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
    l->end = (struct release_ending){.exit_status = *ret_exit, .summary = l->summary};
    return &l->end;
}

/* Durable, or nothing is dispatched any more. */
static bool commit(struct loop *l, struct job *done, int *ret_exit)
{
    return ledger_commit(&l->ledger, done, ending(l, ret_exit), l->err);
}

static void dispatch(struct loop *l)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < l->n_ops; i++) {
        if (l->ops[i].role == ROLE_ESCALATE || l->ops[i].role == ROLE_KILL)
            facts_set(l->facts, l->ops[i].node, LB_FACT_MAINT, LB_OURS); /* as its intent says */
        struct job *job =
            bridge_job(l->plan, &l->ops[i], l->facts, l->release, l->opt, l->conns, pool_done_fd(l->pool));
        job->spec.cancel_fd = l->cancel_fd;
        job->budget_ms = l->ops[i].deadline_ms > now ? l->ops[i].deadline_ms - now : 1;
        running_add(l, job);
        pool_put(l->pool, job);
    }
    l->n_ops = 0;
}

/* Chat rooms hear of the rows after they are durable. */
static void tell(struct loop *l, const char *event, const char *what)
{
    const struct plan *plan = l->plan;
    if (plan->n_events == 0)
        return;
    auto_buf struct buf text = BUF_INIT(3000);
    buf_printf(&text, "%s %s: %s %lld%s%.12s by %s: %s", plan->app, plan->env, plan->kind,
               (long long)l->release, plan->rev && *plan->rev ? ", revision " : "",
               plan->rev ? plan->rev : "", l->opt->who, what);
    struct job *job = notify_jobs(plan, event, buf_str(&text), l->opt, l->conns, pool_done_fd(l->pool));
    for (struct job *next; job; job = next) {
        next = job->next;
        job->spec.cancel_fd = l->cancel_fd;
        running_add(l, job);
        pool_put(l->pool, job);
    }
}

static void tell_end(struct loop *l, int status)
{
    const char *event = status == EXIT_RELEASED                               ? "finished"
                        : status == EXIT_ROLLED_BACK || status == EXIT_PERSON ? "failed"
                                                                              : "stopped";
    auto_buf struct buf text = BUF_INIT(2000);
    buf_printf(&text, "%s: %s", event, l->summary);
    tell(l, event, buf_str(&text));
}

static void order(struct loop *l, enum order what)
{
    feed(l, (struct event){.kind = EV_ORDER, .order = what}, NULL);
}

static void go_on(struct loop *l, enum order what)
{
    for (uint32_t i = 0; l->opt->give_up && i < l->plan->n_nodes; i++)
        if (l->opt->give_up[i])
            feed(l, (struct event){.kind = EV_GIVE_UP, .node = i}, NULL);
    order(l, what);
}

static void take_signals(struct loop *l)
{
    struct signalfd_siginfo info;
    while (l->opt->signal_fd >= 0 && read(l->opt->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (l->signals++ == 0) {
            l->signal_no = (int)info.ssi_signo;
            order(l, ORDER_STOP);
            if (l->signal_no != SIGINT)
                l->abort_at = clock_mono_ms() + TERM_ABORT_MS;
        } else if (l->signals == 2) {
            order(l, ORDER_ABORT);
        }
    }
    if (l->abort_at != CLOCK_NEVER && clock_mono_ms() >= l->abort_at) {
        l->abort_at = CLOCK_NEVER;
        order(l, ORDER_ABORT);
    }
}

static void beat(struct loop *l)
{
    int64_t now = clock_mono_ms();
    if (l->beat_ms > 0 && now - l->beat_ms > PAUSED_MS)
        l->paused = true;
    l->beat_ms = now;
}

/* Others may have taken over while this process was paused. Nodes and journal refuse it then, but balancers
 * have no fence: so nothing is decided before the nodes were asked whose they are. */
static bool still_ours(struct loop *l)
{
    bool ask = l->paused && l->opt->owner;
    l->paused = false;
    bool ours = !ask || run_still_ours(l->plan, l->opt, l->err);
    if (ask)
        l->beat_ms = clock_mono_ms(); /* the asking is no pause */
    l->superseded |= !ours;
    return ours;
}

static void wait_for_work(struct loop *l)
{
    int64_t until = core_due(l->core);
    if (l->abort_at < until)
        until = l->abort_at;
    if (ledger_due(&l->ledger) < until)
        until = ledger_due(&l->ledger);
    struct pollfd fds[2] = {{.fd = pool_done_fd(l->pool), .events = POLLIN},
                            {.fd = l->opt->signal_fd, .events = POLLIN}};
    for (int n = 0; n == 0;) {
        beat(l);
        int64_t left = until == CLOCK_NEVER ? BEAT_MS : until - clock_mono_ms();
        n = poll(fds, 2, left < 0 ? 0 : left > BEAT_MS ? BEAT_MS : (int)left);
        must(n >= 0 || errno == EINTR);
        if (left <= 0)
            break;
    }
    beat(l);
}

static void jobs_free(struct job *job)
{
    for (struct job *next; job; job = next) {
        next = job->next;
        job_free(job);
    }
}

/* What chat rooms hear last may take a moment, and no longer. */
static void wait_for_chats(struct loop *l)
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

/* One turn. false: the journal failed, or the nodes are another holder's: then nothing is decided any more,
 * for what would be undone on a balancer, which has no fence, is that holder's work. */
static bool turn(struct loop *l, int *ret_exit)
{
    wait_for_work(l);
    if (!still_ours(l))
        return false;
    pool_done_clear(l->pool);
    struct job *done = pool_take_done(l->pool);
    for (struct job *job = done; job; job = job->next) {
        running_remove(l, job);
        take_job(l, job);
    }
    if (l->superseded) {
        jobs_free(done);
        return false;
    }
    for (size_t i = 0; i < l->n_running; i++)
        if (l->running[i]->spec.verb->effect != EFFECT_READ)
            ledger_output(&l->ledger, l->running[i], outbuf_take(&l->running[i]->out));
    take_signals(l);
    if (clock_mono_ms() >= core_due(l->core))
        feed(l, (struct event){.kind = EV_TIMER}, NULL);
    bool ok = commit(l, done, ret_exit);
    jobs_free(done);
    if (!ok)
        return false;
    dispatch(l);
    if (core_life(l->core) == LIFE_BACK && !l->back_told) {
        l->back_told = true;
        tell(l, "rollback", "going back to the earlier revisions");
    }
    return true;
}

/* After a failed commit: no op may go on changing things that we cannot record; those that run on a node
 * detached are found there by the resume. */
static void give_up(struct loop *l)
{
    uint64_t one = 1;
    must(write(l->cancel_fd, &one, sizeof(one)) == sizeof(one));
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

static bool replay(struct loop *l, struct err *err)
{
    struct node_index *index = node_index_new(l->plan, &l->arena);
    for (int64_t after = 0;;) {
        auto_arena struct arena arena = {0};
        struct row *rows;
        size_t n;
        if (!journal_read(l->opt->store, l->release, after, REPLAY_ROWS, &arena, &rows, &n, err))
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

static void loop_init(struct loop *l, const struct plan *plan, int64_t release, const struct run_options *opt,
                      struct err *err)
{
    *l = (struct loop){.plan = plan,
                       .opt = opt,
                       .release = release,
                       .facts = facts_new(plan),
                       .pool = pool_new(opt->workers),
                       .conns = opt->conns,
                       .cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                       .abort_at = CLOCK_NEVER,
                       .err = err};
    must(l->cancel_fd >= 0);
    if (!l->conns)
        l->conns = l->own_conns = conns_new();
    ledger_init(&l->ledger, plan, release, opt);
    bridge_core_plan(plan, &l->arena, &l->core_plan);
    l->core = core_init(arena_alloc(&l->arena, core_size(&l->core_plan)), &l->core_plan);
}

static void loop_fini(struct loop *l)
{
    ledger_fini(&l->ledger);
    pool_free(l->pool);
    conns_free(l->own_conns);
    facts_free(l->facts);
    close(l->cancel_fd);
    free(l->running);
    free(l->ops);
    arena_fini(&l->arena);
}

bool run_release(const struct plan *plan, int64_t release, enum order first, const struct run_options *opt,
                 int *ret_exit, struct err *err)
{
    struct loop l;
    int unused;
    enum why why;
    if (!bridge_fit(plan, err))
        return false;
    loop_init(&l, plan, release, opt, err);
    bool ok = first == ORDER_START || replay(&l, err);
    if (ok) {
        if (first == ORDER_START)
            feed(&l, (struct event){.kind = EV_START}, NULL);
        else
            go_on(&l, first);
        ok = commit(&l, NULL, ret_exit);
        if (ok) {
            dispatch(&l);
            tell(&l, "started", first == ORDER_START ? "started" : order_name(first));
        }
    }
    while (ok && !core_ended(l.core, &unused, &why))
        ok = turn(&l, ret_exit);
    if (ok) {
        tell_end(&l, *ret_exit);
        wait_for_chats(&l);
    }
    give_up(&l);
    loop_fini(&l);
    if (!ok && err->code == E_NONE)
        err_set(err, E_JOURNAL, "the journal cannot be written");
    return ok;
}
