/* SPDX-License-Identifier: MIT */
/* Inside of engine/run. */
#ifndef RELEASE_RUN_RUN_PRIV_H
#define RELEASE_RUN_RUN_PRIV_H

#include <pthread.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/lb.h"
#include "base/str.h"
#include "core/core.h"
#include "drivers/op/op.h"
#include "loop/loop.h"
#include "run/bridge.h"
#include "run/run.h"

/* ---- output.c: what an op prints, bounded, on its way from worker to journal
 * --------------------------------------- */

/* Kept of one op's output: the head goes to the journal as it comes, of the rest only the end; all of it is
 * counted and hashed (docs/promises.md#i8, row 47). */
#define OUTPUT_HEAD_BYTES (768u * 1024u)
#define OUTPUT_TAIL_BYTES (224u * 1024u)

struct output_chunk {
    struct output_chunk *next;
    int stream;
    size_t n;
    char data[];
};

struct outbuf {
    pthread_mutex_t lock;
    struct output_chunk *first, *last; /* waiting for the loop */
    size_t head_bytes;                 /* handed on so far */
    char *tail;                        /* ring of OUTPUT_TAIL_BYTES, made when the head is full */
    size_t tail_at, tail_n;
    int64_t total_bytes;
    struct sha256 *hash;
    int waker_fd; /* eventfd of the done queue */
};
void outbuf_init(struct outbuf *o, int waker_fd);
void outbuf_fini(struct outbuf *o);
void outbuf_write(void *ctx, int stream, const char *data, size_t n); /* worker's thread */
struct output_chunk *outbuf_take(struct outbuf *o);                   /* loop's thread; a list to free */
/* At the end of the op: what came behind the head, NULL when nothing did. When some of that is lost, a line
 * that says so (stream 0) comes first. */
struct output_chunk *outbuf_tail(struct outbuf *o);
void chunks_free(struct output_chunk *c);

/* ---- pool.c: workers, the work queue and the done queue
 * -------------------------------------------------------------- */

struct job {
    struct job *next;
    struct job *then; /* in a batch: put into the pool when this one is done */
    struct op_req req;
    struct op_spec spec;
    int64_t budget_ms; /* the deadline counts from when a worker takes it, not from when it queued */
    struct op *op;
    const struct op_result *own;    /* what this one said */
    const struct op_result *result; /* as `own`, or as all of them */
    struct job *also; /* the same question to further balancers: this worker asks them too, one by one */
    struct op_result folded; /* what all of them said; `result` then points here */
    struct outbuf out;
    struct arena arena; /* spec's strings */
    struct arena kept;  /* of a step that is in no plan */
    const char *label;  /* step for messages */
    int64_t taken_ms, done_ms;
    bool came_back; /* in a batch: the batch's thread has it again */
};

struct pool;
struct pool *pool_new(size_t n_workers);
void pool_free(struct pool *p); /* all jobs must have come back */
void pool_put(struct pool *p, struct job *job);
struct job *pool_take_done(struct pool *p); /* all finished jobs as a list; NULL when none */
int pool_done_fd(const struct pool *p);     /* readable when something finished or printed */
void pool_done_clear(struct pool *p);       /* before pool_take_done */
void job_free(struct job *job);

/* ---- facts.c: what ops reported about each node, for op_recall
 * ----------------------------------------------------------- */

struct facts;
struct facts *facts_new(const struct plan *plan);
void facts_free(struct facts *f);
/* node n_nodes = of the release as a whole. */
void facts_set(struct facts *f, uint32_t node, const char *name, const char *value);
void facts_set_json(struct facts *f, uint32_t node, const char *json); /* of a journal row */
const char *facts_get(const struct facts *f, uint32_t node, const char *name);
const struct op_pair *facts_all(const struct facts *f, uint32_t node, struct arena *arena, size_t *ret_n);
/* {"a":"b"} in `arena`; "" when there are none. */
const char *facts_json(const struct op_pair *facts, size_t n, struct arena *arena);

/* ---- bridge.c: from plan to core and back
 * ---------------------------------------------------------------------------------- */

/* A plan out of the journal may be damaged or a newer program's: bridge_core_plan takes only what is fit. */
bool bridge_fit(const struct plan *plan, struct err *err) MUST_CHECK;
/* What it changes is where requests go: what was before is recorded, and owed from then on. */
bool verb_takes_out(const struct verb *verb);
/* Which verb and which step a request of the core means. */
const struct verb *bridge_verb(const struct plan *plan, const struct op_req *req,
                               const struct plan_step **ret_step);
/* What all jobs of a run are made of. */
struct job_basis {
    const struct plan *plan;
    const struct run_options *opt;
    struct conns *conns;
    int waker_fd;              /* written to when a job has printed something */
    const struct facts *facts; /* of the release, as its number; probes have neither */
    int64_t release;
};
struct job *bridge_job(const struct job_basis *a, const struct op_req *req);
/* A verb for a step, at a node (NULL: at none). */
struct step_call {
    const struct plan_step *step;
    const struct verb *verb;
    const struct plan_node *node;
};
/* A job for a step that no core asked for: preflight and probes. */
struct job *bridge_probe_job(const struct job_basis *a, const struct step_call *call);

/* ---- rows.c: records of the core as journal rows, and back
 * -------------------------------------------------------------------- */

struct row_context {
    const struct plan *plan;
    int64_t release;
    const struct facts *facts;
    const struct job *job; /* whose outcome caused these records; NULL for timers and orders */
    const char *failed;    /* what failed first, for people; "" = nothing has */
    struct arena *arena;   /* texts of the rows */
};
/* "ended: WHY", with the node that it is about where one is known. In `arena`. */
const char *rows_why(const struct plan *plan, enum why why, const char *failed, struct arena *arena);
void rows_from_record(const struct row_context *ctx, const struct record *record, struct row *ret);
/* ---- ledger.c: rows and output of one turn, and their commit
 * ------------------------------------------------------ */

/* What steps print becomes durable with the next decision, but at the latest after this. */
#define OUTPUT_COMMIT_MS 300

struct ledger {
    const struct plan *plan;
    const struct run_options *opt;
    int64_t release;
    struct row *rows;
    size_t n_rows, cap_rows;
    struct output *outputs;
    size_t n_outputs, cap_outputs;
    struct output_chunk **chunks; /* owners of the outputs' bytes */
    int64_t output_since;         /* oldest output not committed, -1 = none */
    struct arena arena;           /* texts of the rows */
    char said[800];               /* the last thing that went wrong in this turn, "app1: check: ..." */
    char failed[800];             /* the same of what failed first; "" = nothing has */
    bool decided;                 /* the release turned or stops: what fails now is no reason any more */
};
struct release_ending {
    int exit_status;
    const char *summary;
};
void ledger_init(struct ledger *l, const struct plan *plan, int64_t release, const struct run_options *opt);
void ledger_fini(struct ledger *l);
void ledger_record(struct ledger *l, const struct record *record, const struct facts *facts,
                   const struct job *job);
void ledger_output(struct ledger *l, const struct job *job, struct output_chunk *chunks); /* takes the list */
int64_t ledger_due(const struct ledger *l); /* when waiting output wants its commit */
/* One transaction with everything that waits, when there is reason for one. `done`: the ops that ended in
 * this turn. `ending` NULL: the release goes on. false: nothing of it may be believed, dispatch nothing. */
bool ledger_commit(struct ledger *l, struct job *done, const struct release_ending *ending, struct err *err);
bool job_is_quiet_look(const struct job *job);
/* An array with room for one more than n. */
void *grown(void *array, size_t n, size_t *cap, size_t size);

struct node_index; /* id -> number */
struct node_index *node_index_new(const struct plan *plan, struct arena *arena);
bool rows_to_record(const struct plan *plan, const struct node_index *index, const struct row *row,
                    struct record *ret);

/* ---- notify.c: chat rooms
 * ---------------------------------------------------------------------------------------------- */

#define NOTIFY_MS 10000
/* One job for each webhook of the plan that wants `event`, not yet started; a list. */
struct job *notify_jobs(const struct job_basis *a, const char *event, const char *text);

/* ---- failpoint.c: dying at a chosen instant, in test builds
 * ---------------------------------------------------------------------- */

/* RELEASE_FAIL="commit-after:7" kills this process (SIGKILL) the 7th time it passes that point:
 * commit-before, commit-after, effect-after (a change is done, its outcome not yet in the journal), the same by
 * the verb's name (haproxy.drain), node-claimed, node-freed. Nothing in other builds. */
void failpoint(const char *name);

#endif
