/* SPDX-License-Identifier: MIT */
/* The store: journal, frozen plans, lock, captured output, cursors (docs/journal.md).
 *
 * SQLite: WAL, synchronous=FULL, file 0600 in a 0700 directory, made under a temporary name, synced and
 * renamed. The journal is append-only (no UPDATE, no DELETE); the schema is versioned, migrations go forward
 * only and never destroy; a newer version is refused. One thread uses one struct store. Writers open WRITE;
 * status, history, watchers and servers open READ on their own connection. All strings that come back live in
 * the caller's arena.
 *
 * Every failing call gives E_JOURNAL but for lock_take and lock_bind (E_LOCKED). After a failed commit
 * nothing of that transaction may be believed and no change may be dispatched. */
#ifndef RELEASE_STATE_STORE_H
#define RELEASE_STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/words.h"

struct store;
enum store_mode { STORE_READ, STORE_WRITE };

/* path NULL: $RELEASE_STATE, else $XDG_STATE_HOME/release/release.db, else ~/.local/state/release/release.db
 * (root: /var/lib/release/release.db). READ on a missing file: ok with an empty store. */
bool store_open(const char *path, enum store_mode mode, struct store **ret, struct err *err) MUST_CHECK;
void store_close(struct store *s);
#define auto_store __attribute__((cleanup(store_auto_close)))
void store_auto_close(struct store **s);
/* Where it is kept, for people and for store_open: a file's whole name. */
const char *store_place(const struct store *s);
/* Whom a question is put to, and where what it answers lives. */
struct reader {
    struct store *store;
    struct arena *arena;
};
struct reader reader(struct store *s, struct arena *arena);
/* Newest first: what people page through. */
struct newest {
    const char *env; /* NULL = all */
    size_t limit;
    int64_t before; /* only those with a lower number; 0 = from the newest on */
};
/* Oldest first: what a cursor follows. */
struct since {
    int64_t after; /* only those with a higher number */
    size_t limit;
};
/* A number that changes when another connection has committed: cheap, for pollers. */
bool store_version(struct store *s, int64_t *ret, struct err *err) MUST_CHECK;

/* Who this journal is, wherever its file lies: 32 hex digits, made once. "" on an empty store. */
bool store_identity(struct reader r, const char **ret, struct err *err) MUST_CHECK;

/* BEGIN IMMEDIATE; on a READ store: one snapshot for several reads, until commit or rollback. */
bool store_begin(struct store *s, struct err *err) MUST_CHECK;
bool store_commit(struct store *s, struct err *err) MUST_CHECK; /* durable when it returns true */
void store_rollback(struct store *s);

/* ---- environments
 * ------------------------------------------------------------------------------------------------ */

/* An environment is (application, name). Every `env` that this header takes is "prod", of the store's tree,
 * or "shop:prod"; every one that it gives is the shorter one that leads back to the same. A bare name that
 * could mean several is E_USAGE with all of them. */
struct env_key {
    const char *app, *env; /* app "": not known (nothing was ever released under that name) */
};
#define ENV_NAME_MAX 140
/* The tree that bare names are of: its real path, NULL for none. */
void store_scope(struct store *s, const char *root);
/* The tree's pillar says that its environment `env` is of application `app`. */
void store_app(struct store *s, const char *env, const char *app);
bool env_resolve(struct reader r, const char *name, struct env_key *ret, struct err *err) MUST_CHECK;
/* The shortest name that env_resolve leads back from. */
const char *env_name(struct reader r, const char *app, const char *env);
/* Names of all environments that were ever released. */
bool env_all(struct reader r, const char *const **ret, size_t *ret_n, struct err *err) MUST_CHECK;
bool env_same(struct reader r, const char *a, const char *b);
const char *env_bare(const char *name); /* "shop:prod" -> "prod": what the pillar calls it */
bool env_valid(const char *name);

/* ---- releases
 * ---------------------------------------------------------------------------------------------------- */

struct release_new {
    const char *env, *app, *plan_name;
    enum release_kind kind;
    const char *rev, *rev_typed;
    const char *root;       /* the tree it is released from, NULL = none */
    const char *who, *host; /* operator, and where the controller runs */
    const char *plan_json, *plan_digest;
    int64_t of_release; /* rollback of N, or 0 */
    int64_t at_ms;
};
bool release_insert(struct store *s, const struct release_new *r, int64_t *ret_id,
                    struct err *err) MUST_CHECK;
/* One row per end; a resumed release has several, the last counts. */
struct release_end_new {
    int64_t release, at_ms;
    int exit_status;
    const char *summary; /* NULL = nothing to say */
};
bool release_end(struct store *s, const struct release_end_new *e, struct err *err) MUST_CHECK;

struct release_info {
    int64_t id, of_release, started_ms,
        ended_ms;    /* ended_ms 0 = unfinished (running, or its controller died) */
    int exit_status; /* -1 while unfinished */
    enum release_kind kind;
    const char *env, *app, *plan_name, *rev, *rev_typed, *who, *host, *plan_digest, *summary;
    const char *root; /* the tree it was released from, "" = not known (an older journal) */
    enum release_back {
        BACK_BY_ITSELF,
        BACK_ORDERED,
        BACK_UNTOUCHED
    } back;         /* of one that ended with 1: who said so, or that no node had left rotation yet */
    bool resumable; /* unfinished, or ended 4, 5, 7, 130, 143 and not abandoned, rolled back or followed by
                       resume = 0/1 */
};
bool release_list(struct reader r, const struct newest *which, struct release_info **ret, size_t *ret_n,
                  struct err *err) MUST_CHECK;
bool release_get(struct reader r, int64_t id, struct release_info **ret,
                 struct err *err) MUST_CHECK; /* *ret NULL when there is none */
/* The newest of env that is resumable and a release or a rollback; NULL when none. */
bool release_unfinished(struct reader r, const char *env, struct release_info **ret,
                        struct err *err) MUST_CHECK;
/* What `rollback` without a number takes back: the unfinished release, else the newest that is still in
 * force, so that a second rollback goes further back, never forward again. *ret NULL when there is none. */
bool release_rollback_of(struct reader r, const char *env, struct release_info **ret,
                         struct err *err) MUST_CHECK;
/* The same for finished ones with id < before_id: the newest whose work was not taken back before that. NULL,
 * too, when the newest of all is a rollback to a revision that was named (of_release 0). */
bool release_in_force(struct reader r, const char *env, int64_t before_id, struct release_info **ret,
                      struct err *err) MUST_CHECK;
bool release_plan(struct reader r, int64_t id, const char **ret_json, struct err *err) MUST_CHECK;
/* Ends of releases; for counters that are kept by a cursor. */
struct release_ended {
    int64_t id, release, took_ms;
    const char *env;
    enum release_kind kind;
    int exit_status;
};
bool release_ends_after(struct reader r, const struct since *since, struct release_ended **ret, size_t *ret_n,
                        struct err *err) MUST_CHECK;

/* ---- journal
 * ----------------------------------------------------------------------------------------------------- */

struct row {
    int64_t seq;   /* set by append */
    int64_t at_ms; /* wall time, for people */
    int64_t release;
    enum row_kind kind;
    const char *node;        /* id, "" = none */
    int step;                /* index in the plan, -1 = none */
    const char *verb;        /* for people and queries, "" = none */
    const char *role, *code; /* texts of words.h / notes.h */
    int attempt;
    bool back;
    int64_t a, b;
    const char *facts; /* JSON object text, "" = none */
    const char *text;  /* message for people, "" = none */
};
bool journal_append(struct store *s, struct row *row, struct err *err) MUST_CHECK; /* inside a transaction */
/* Oldest first, with a higher seq than `after`, at most limit. */
struct row_range {
    int64_t release; /* 0 = of all */
    int64_t after;
    size_t limit;
};
bool journal_read(struct reader r, const struct row_range *range, struct row **ret, size_t *ret_n,
                  struct err *err) MUST_CHECK;
int64_t journal_last_seq(struct store *s);

/* Durations of past steps for the ETA: median ms of (verb, phase position) over the last runs of a plan; -1
 * when none. */
struct plan_runs {
    const char *env, *plan;
};
struct step_time {
    const char *verb;
    int step;
    int64_t median_ms, longest_ms;
    const char *longest_node; /* where it took that long; "" = on the controller */
    size_t n;
};
bool journal_step_times(struct reader r, const struct plan_runs *runs, struct step_time **ret, size_t *ret_n,
                        struct err *err) MUST_CHECK;
/* The same of one release. */
bool journal_release_times(struct reader r, int64_t release, struct step_time **ret, size_t *ret_n,
                           struct err *err) MUST_CHECK;

/* ---- captured output
 * ------------------------------------------------------------------------------------------------ */

struct output {
    int64_t id, release, at_ms;
    const char *node;
    int step, attempt, stream; /* stream 0 = the engine's own lines, 1 stdout, 2 stderr */
    bool back;
    const char *data;
    size_t n;
};
bool output_append(struct store *s, const struct output *o, struct err *err) MUST_CHECK;
/* Totals of one op, written once at its end when it printed anything. */
struct output_sum {
    int64_t release, at_ms, total_bytes;
    const char *node, *sha256;
    int step, attempt;
    bool back, cut;
};
bool output_end(struct store *s, const struct output_sum *sum, struct err *err) MUST_CHECK;
/* Those of one release, in the order of the ops' ends. */
bool output_sums(struct reader r, int64_t release, struct output_sum **ret, size_t *ret_n,
                 struct err *err) MUST_CHECK;
/* Oldest first, with a higher id than `after`, at most limit. */
struct output_range {
    int64_t release;
    const char *node; /* NULL = all */
    int step;         /* -1 = all */
    int64_t after;
    size_t limit;
};
bool output_read(struct reader r, const struct output_range *range, struct output **ret, size_t *ret_n,
                 struct err *err) MUST_CHECK;
/* The newest first, of one node and step. */
bool output_last(struct reader r, const struct output_range *range, struct output **ret, size_t *ret_n,
                 struct err *err) MUST_CHECK;

/* ---- lock
 * -------------------------------------------------------------------------------------------------------------
 */

struct lock_info {
    bool held;
    int64_t fence, release, since_ms; /* release 0 = held by hand */
    const char *env, *app, *who, *why, *host, *boot_id;
    int64_t pid, pid_start; /* start time from /proc: a reused pid is not the holder */
    enum holder {
        HOLDER_ALIVE,
        HOLDER_DEAD,
        HOLDER_ELSEWHERE /* other host: cannot tell */,
        HOLDER_BY_HAND
    } holder;
};
struct lock_request {
    const char *env, *who, *why;
    int64_t release; /* 0 = not known yet (set by lock_bind) or by hand */
    bool by_hand;
    bool in_turn;   /* honour the queue (state/chat.h): a free lock that is kept for somebody else refuses */
    bool take_over; /* resume, rollback: from a holder that is not alive; a living one still refuses */
};
/* One transaction of its own. false with E_LOCKED: *ret says who holds it. A holder on another host cannot be
 * judged and counts as living: only lock_force ends it. Each grant gets a fence above all
 * before. */
bool lock_take(struct store *s, const struct lock_request *req, struct arena *arena, struct lock_info *ret,
               struct err *err) MUST_CHECK;
/* A lock that is free or held by hand is held by hand for `to` from now on, in one transaction. A lock of a
 * run refuses with E_LOCKED, *ret says who holds it. */
struct lock_handover {
    const char *env;
    const char *from; /* only when that person holds it; NULL: whoever does */
    const char *to, *why;
};
bool lock_pass(struct store *s, const struct lock_handover *over, struct arena *arena, struct lock_info *ret,
               struct err *err) MUST_CHECK;
/* Writes which release the grant is for. false with E_LOCKED: the grant is not ours any more. */
bool lock_bind(struct store *s, const char *env, int64_t fence, int64_t release, struct err *err) MUST_CHECK;
/* A grant is given back, or broken. */
struct lock_end {
    const char *env, *who, *why;
    int64_t fence; /* free: of the grant; force: later grants of any env are above it, too (0 = none named) */
};
/* Ok when it is not held by that grant any more. */
bool lock_free(struct store *s, const struct lock_end *end, struct err *err) MUST_CHECK;
/* Whoever holds it; recorded with who and why. */
bool lock_force(struct store *s, const struct lock_end *end, struct err *err) MUST_CHECK;
/* The highest fence that was ever given. */
bool lock_fence_last(struct store *s, int64_t *ret, struct err *err) MUST_CHECK;
/* The fence of a lock_force since the last release of env began, 0 = none was named: nodes that another
 * journal holds up to it may be taken from that one, once. */
bool lock_forced(struct store *s, const char *env, int64_t *ret, struct err *err) MUST_CHECK;
bool lock_get(struct reader r, const char *env, struct lock_info *ret, struct err *err) MUST_CHECK;
/* "held by ann@ctl1 since 09:13:59 (release 41, pid 812 alive): deploying f5d9859" */
char *lock_text(const struct lock_info *l, struct arena *arena);

/* ---- sites: what the lock goes by beside the environment's name
 * ------------------------------------------------- */

/* Where a node stands: "10.0.0.7 port 8080", "/srv/plone on vm1:3d12...". */
struct site {
    const char *site, *node;
};
/* Where the nodes of an environment stand. */
struct sites {
    const char *env;
    const struct site *list;
    size_t n;
};
/* Another environment that has one of them; the first site of each is named. */
struct site_shared {
    const char *env, *node, *other_node, *site;
    struct lock_info lock;
    bool held;                       /* by somebody who lives, or whose release can be gone on with */
    struct release_info *unfinished; /* NULL: none */
};
bool sites_shared(struct reader r, const struct sites *at, struct site_shared **ret, size_t *ret_n,
                  struct err *err) MUST_CHECK;
char *site_shared_text(const struct site_shared *x, struct arena *arena);
/* The lock of at->env, which the caller holds, is for these now. false with E_LOCKED: another environment that
 * has one of them is held or (unless this one goes on with a release of its own) has an unfinished release.
 */
bool sites_take(struct store *s, const struct sites *at, bool going_on, struct err *err) MUST_CHECK;

/* ---- nodes and cursors
 * -------------------------------------------------------------------------------------------------- */

/* What each node was last known to run, be and owe: from the journal's notes and facts. */
struct node_state_info {
    const char *node, *rev, *identity;
    int64_t release, at_ms;
    bool debt;             /* drained by us and not yet given back */
    const char *debt_text; /* "haproxy.drain: out of rotation by release 41; before: UP" */
};
bool node_states(struct reader r, const char *env, struct node_state_info **ret, size_t *ret_n,
                 struct err *err) MUST_CHECK;

bool cursor_get(struct store *s, const char *observer, int64_t *ret_seq, struct err *err) MUST_CHECK;
bool cursor_set(struct store *s, const char *observer, int64_t seq, struct err *err) MUST_CHECK;

#endif
