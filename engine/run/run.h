/* SPDX-License-Identifier: MIT */
/* The shell around the core: preflight, loop, worker pool, recovery. One thread calls run_*; it owns the core
 * and the writing store. Workers run ops and hand back copies. */
#ifndef RELEASE_RUN_RUN_H
#define RELEASE_RUN_RUN_H

#include "base/err.h"
#include "plans/pillar.h"
#include "plans/plan.h"
#include "state/store.h"

struct run_options {
    const bool *give_up; /* of the plan's nodes: the orders to go on are given without them; NULL = none */
    struct store *store;
    const char *who, *host; /* operator, controller host */
    int64_t fence;          /* of the lock grant held */
    const char *owner;      /* of the nodes: this journal, "j:3fa9..."; NULL = they are not claimed */
    int64_t forced;         /* nodes of another journal up to this fence may be taken from it */
    int64_t began_ms; /* started_ms of the release's row: the same in each resume of it, and in no other */
    const struct secrets *secrets;
    struct conns *conns; /* open connections, kept from preflight to release; NULL = own ones */
    size_t workers;      /* 0 = 64, at most 1024 */
    int wake_fd;         /* eventfd written after each commit, for watchers; -1 = none */
    int64_t stop_at;     /* as in struct loop; 0 = never */
    int signal_fd;       /* signalfd with SIGINT, SIGTERM, SIGHUP; -1 = none */
    struct problems
        *warnings; /* preflight: what does not stop a release, and should be known; NULL = not wanted */
    /* Preflight and probes that take long: on the caller's thread, every few seconds, what is still waited
     * for
     * ("git.resolve, app3 (release.probe) and 7 more"). NULL = not wanted. */
    void (*waits)(void *ctx, const char *what, int64_t since_ms);
    void *waits_ctx;
    bool *ret_held;  /* preflight: set when another journal holds a node; NULL = not wanted */
    int *ret_signal; /* preflight and probes: the signal that ended them; NULL = not wanted */
};

/* Preflight (docs/promises.md#i13): asks every node and balancer in parallel, changes nothing, reports every
 * problem at once. Fills rev (resolved by the repository when rev_typed is not 40 hex, see git.resolve),
 * rev_before, was_up, identity and facts of the plan. false: problems has at least one line, "node: what,
 * observed, wanted, what next". */
bool run_preflight(struct plan *plan, struct arena *arena, const struct run_options *opt,
                   struct problems *problems) MUST_CHECK;

/* Where the plan's nodes stand, for sites_take; in `arena`. Directories are known after preflight. */
struct site *run_sites(const struct plan *plan, struct arena *arena, size_t *ret_n);

/* The lock on the nodes themselves, for controllers that do not share a journal: every node belongs to
 * opt->owner from here to run_free. The first node by name is asked before the others, so that of several
 * contenders one gets all. anyway: nodes that do not answer are passed over (a resume goes on without them).
 * false: E_FENCED with the holder's line, E_LOCKED when that is another environment of this journal, or why a
 * node could not be asked; none is kept. */
bool run_claim(const struct plan *plan, const struct run_options *opt, bool anyway,
               struct err *err) MUST_CHECK;
/* After a pause: is no node another's by now? Asks all at once and waits a few seconds; who does not answer
 * in that time refuses late commands by itself. false: E_FENCED. */
bool run_still_ours(const struct plan *plan, const struct run_options *opt, struct err *err) MUST_CHECK;
/* Gives them back. Nodes that do not answer stay ours: said in `ret_left` ("app1, app2"), NULL when there are
 * none. */
void run_free(const struct plan *plan, const struct run_options *opt, struct arena *arena,
              const char **ret_left);

/* Runs or continues a release (opt->give_up: without those nodes) whose row and plan are in the store. order:
 * START for a new one; RESUME or ROLLBACK for one that was interrupted. Ends when the core ends; writes
 * release_end. *ret_exit by the table of exit statuses. false: the journal failed (E_JOURNAL) or the lock is
 * somebody else's by now (E_FENCED); nothing more was dispatched. */
bool run_release(const struct plan *plan, int64_t release, enum order order, const struct run_options *opt,
                 int *ret_exit, struct err *err) MUST_CHECK;

/* One READ verb per node (or one FLEET verb) outside a release, in parallel: for lb, status, check. Results
 * in node order; text is "" or the failure. */
struct probe {
    const char *node;
    enum outcome outcome;
    enum err_code code; /* of the failure */
    const char *text;
    const struct op_pair *facts;
    size_t n_facts;
};
struct probes {
    struct arena *arena; /* the caller says where they are to live */
    struct probe *list;
    size_t n;
};
bool run_probe(const struct plan *plan, const struct plan_step *step, const struct run_options *opt,
               struct probes *io, struct err *err) MUST_CHECK;

/* The nodes that a driver lists, for pillar_lists_by: once, on this thread. */
bool run_list_nodes(const struct listing *listing, struct arena *arena, const struct op_pair **ret_facts,
                    size_t *ret_n, struct err *err);

/* Tells the chat rooms that want to hear of `event`, outside a release; waits a few seconds at most. */
void run_tell(const struct plan *plan, const char *event, const char *text, const struct run_options *opt);

#endif
