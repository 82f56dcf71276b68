/* SPDX-License-Identifier: MIT */
/* The ledger of one turn: rows and output that wait for the next commit, and that commit
 * (docs/promises.md#i4). */
#include "run/run_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "plans/judge.h"

void *grown(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    *cap = *cap ? *cap * 2 : 64;
    return xrealloc(array, *cap * size);
}

void ledger_init(struct ledger *l, const struct plan *plan, int64_t release, const struct run_options *opt)
{
    *l = (struct ledger){.plan = plan, .release = release, .opt = opt, .output_since = -1};
}

static void clear(struct ledger *l)
{
    for (size_t i = 0; i < l->n_outputs; i++) {
        l->chunks[i]->next = NULL;
        chunks_free(l->chunks[i]);
    }
    l->n_rows = l->n_outputs = 0;
    l->output_since = -1;
    arena_reset(&l->arena);
}

void ledger_fini(struct ledger *l)
{
    clear(l);
    free(l->rows);
    free(l->outputs);
    free(l->chunks);
    arena_fini(&l->arena);
}

/* A judge that has seen too little stops the release, unless its role lets that pass. */
static bool judge_stops(const struct plan *plan, const struct record *record)
{
    size_t stage = (size_t)record->a;
    if (record->b != JUDGED_NOT || stage >= plan->n_stages)
        return record->b != JUDGED_WELL;
    const struct plan_role role = plan_role_of(plan, (size_t)plan->nodes[plan->stage_end[stage] - 1].role);
    return !role.judge || !role.judge->passes;
}

/* A release turns or stops by it, however many may fail. */
static bool decides(const struct plan *plan, const struct record *record)
{
    enum phase phase = (enum phase)record->a;
    if (record->kind != ROW_NOTE)
        return false;
    if (record->code == NOTE_JUDGED)
        return judge_stops(plan, record);
    if (record->code == NOTE_GANG_BAD)
        return phase == PHASE_BEFORE || phase == PHASE_AFTER || phase == PHASE_HOOK_BEFORE ||
               phase == PHASE_HOOK_AFTER || (phase == PHASE_VERIFY && record->b == 0);
    return record->code == NOTE_SOAK_FAILED;
}

/* From here on, what fails is no reason any more. */
static bool turns_or_stops(const struct record *record)
{
    return record->kind == ROW_NOTE &&
           ((record->code == NOTE_LIFE && record->a == LIFE_BACK) || record->code == NOTE_STOPPING);
}

/* Who failed first, where and why: the end names it; or what it ends by, where others were allowed to fail before. An
 * outcome comes right before what the core makes of it. */
static void keep_failure(struct ledger *l, const struct record *record, const struct row *row)
{
    bool outcome = record->kind == ROW_OUTCOME && record->code != OUT_OK;
    bool deadline = record->kind == ROW_NOTE && record->code == NOTE_DEADLINE;
    bool decided = decides(l->plan, record);
    bool failed = record->kind == ROW_NOTE &&
                  (record->code == NOTE_NODE_FAILED || record->code == NOTE_GANG_BAD ||
                   record->code == NOTE_NODE_LEFT || record->code == NOTE_SOAK_FAILED || decided);
    bool judged = record->kind == ROW_NOTE && record->code == NOTE_JUDGED;
    size_t n = strlen(row->node);
    if (outcome || deadline)
        str_keep(l->said, sizeof(l->said), row->text);
    else if (record->kind == ROW_OUTCOME)
        l->said[0] = '\0';
    bool first = !l->failed[0] || (decided && !l->decided);
    l->decided |= decided || turns_or_stops(record);
    if (!failed || !first)
        return;
    bool its_own =
        !judged && l->said[0] && strncmp(l->said, row->node, n) == 0 && (n == 0 || l->said[n] == ':');
    str_keep(l->failed, sizeof(l->failed), its_own ? l->said : row->text);
}

void ledger_record(struct ledger *l, const struct record *record, const struct facts *facts,
                   const struct job *job)
{
    struct row_context ctx = {.plan = l->plan,
                              .release = l->release,
                              .facts = facts,
                              .job = job,
                              .failed = l->failed,
                              .arena = &l->arena};
    l->rows = grown(l->rows, l->n_rows, &l->cap_rows, sizeof(*l->rows));
    rows_from_record(&ctx, record, &l->rows[l->n_rows]);
    keep_failure(l, record, &l->rows[l->n_rows++]);
}

/* Whose output it is; stream, data and n are the caller's to set. */
static struct output output_of(const struct ledger *l, const struct job *job)
{
    return (struct output){.release = l->release,
                           .node = job->req.node < l->plan->n_nodes ? l->plan->nodes[job->req.node].id : "",
                           .step = job->req.step == CORE_NO_STEP ? -1 : job->req.step,
                           .attempt = job->req.attempt,
                           .back = job->req.back};
}

static void add_chunk(struct ledger *l, const struct job *job, struct output_chunk *chunk)
{
    size_t cap = l->cap_outputs;
    l->outputs = grown(l->outputs, l->n_outputs, &l->cap_outputs, sizeof(*l->outputs));
    if (l->cap_outputs != cap)
        l->chunks = xrealloc(l->chunks, l->cap_outputs * sizeof(struct output_chunk *));
    l->chunks[l->n_outputs] = chunk;
    l->outputs[l->n_outputs] = output_of(l, job);
    l->outputs[l->n_outputs].stream = chunk->stream;
    l->outputs[l->n_outputs].data = chunk->data;
    l->outputs[l->n_outputs++].n = chunk->n;
    if (l->output_since < 0)
        l->output_since = clock_mono_ms();
}

void ledger_output(struct ledger *l, const struct job *job, struct output_chunk *chunks)
{
    for (struct output_chunk *next; chunks; chunks = next) {
        next = chunks->next;
        add_chunk(l, job, chunks);
    }
}

/* Looks repeat every half second for minutes: what they say goes to the journal only when they end a step or
 * fail. */
bool job_is_quiet_look(const struct job *job)
{
    return job->spec.verb->effect == EFFECT_READ && job->result->outcome == OUT_OK && !job->result->ready;
}

static bool write_outputs(struct ledger *l, int64_t at_ms, struct err *err)
{
    for (size_t i = 0; i < l->n_outputs; i++) {
        l->outputs[i].at_ms = at_ms;
        if (!output_append(l->opt->store, &l->outputs[i], err))
            return false;
    }
    return true;
}

static bool write_rows(struct ledger *l, int64_t at_ms, struct err *err)
{
    for (size_t i = 0; i < l->n_rows; i++) {
        l->rows[i].at_ms = at_ms;
        if (!journal_append(l->opt->store, &l->rows[i], err))
            return false;
    }
    return true;
}

/* Totals of the ops that ended in this turn and printed something. */
static bool write_totals(struct ledger *l, int64_t at_ms, struct job *done, struct err *err)
{
    for (struct job *job = done; job; job = job->next) {
        char hash[SHA256_HEX_LEN + 1] = "";
        if (!job->out.hash || job_is_quiet_look(job))
            continue;
        struct sha256 *h = job->out.hash;
        job->out.hash = NULL;
        sha256_end(h, hash);
        const struct output o = output_of(l, job);
        const struct output_sum sum = {.release = o.release,
                                       .at_ms = at_ms,
                                       .node = o.node,
                                       .step = o.step,
                                       .attempt = o.attempt,
                                       .back = o.back,
                                       .total_bytes = job->out.total_bytes,
                                       .cut = job->out.tail_n > 0,
                                       .sha256 = hash};
        if (!output_end(l->opt->store, &sum, err))
            return false;
    }
    return true;
}

static bool has_totals(struct job *done)
{
    for (const struct job *job = done; job; job = job->next)
        if (job->out.hash && !job_is_quiet_look(job))
            return true;
    return false;
}

int64_t ledger_due(const struct ledger *l)
{
    return l->output_since < 0 ? CLOCK_NEVER : l->output_since + OUTPUT_COMMIT_MS;
}

/* In the transaction of the rows: of a holder that was paused and taken over meanwhile, nothing is written
 * any more, and so nothing dispatched (docs/promises.md#m43). Nodes refuse it by their fence; balancers have
 * none.
 */
static bool still_ours(struct ledger *l, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct lock_info lock;
    if (l->opt->fence == 0)
        return true;
    if (!lock_get(reader(l->opt->store, &arena), l->plan->env, &lock, err))
        return false;
    if (lock.held && lock.fence == l->opt->fence)
        return true;
    return err_set(err, E_FENCED,
                   "the lock of %s was taken away meanwhile (our grant was %lld); now it is %s", l->plan->env,
                   (long long)l->opt->fence, lock_text(&lock, &arena));
}

static bool write_end(struct ledger *l, int64_t at_ms, const struct release_ending *ending, struct err *err)
{
    return release_end(l->opt->store,
                       &(struct release_end_new){.release = l->release,
                                                 .exit_status = ending->exit_status,
                                                 .summary = ending->summary,
                                                 .at_ms = at_ms},
                       err);
}

bool ledger_commit(struct ledger *l, struct job *done, const struct release_ending *ending, struct err *err)
{
    struct store *store = l->opt->store;
    bool only_output = l->n_rows == 0 && !has_totals(done) && !ending;
    if (only_output && (l->n_outputs == 0 || clock_mono_ms() < ledger_due(l)))
        return true;
    int64_t at_ms = clock_wall_ms();
    failpoint("commit-before");
    bool ok = store_begin(store, err) && still_ours(l, err) && write_outputs(l, at_ms, err) &&
              write_rows(l, at_ms, err) && write_totals(l, at_ms, done, err) &&
              (!ending || write_end(l, at_ms, ending, err)) && store_commit(store, err);
    if (!ok) {
        store_rollback(store);
        return false;
    }
    failpoint("commit-after");
    clear(l);
    uint64_t one = 1;
    if (l->opt->wake_fd >= 0 && write(l->opt->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        return err_errno(err, E_IO, "cannot wake the watcher");
    return true;
}
