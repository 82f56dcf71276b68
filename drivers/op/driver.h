/* SPDX-License-Identifier: MIT */
/* The contract between the engine and what talks to the world.
 *
 * A driver is one file that ends in one `const struct driver` listed in drivers/table.c. A verb is a
 * straight-line function that runs on a worker thread, one op at a time, and reads top to bottom. It gets
 * everything from the op_* calls below and nothing else: no globals, no environment, no plan, no journal.
 *
 * Rules:
 *  - all waiting goes through op_wait, which honours deadline and cancel; a sleep or retry loop in a driver
 * is a bug, the core repeats short ops;
 *  - a CHANGE verb names the verb that observes its effect; "already so" is ok with the fact changed=no;
 *  - call op_sending(op) just before the first byte that may change the world. op_fail after it means
 * UNKNOWN, unless the other side clearly refused: then say so with op_refused();
 *  - read back after every write; when the write is accepted but its effect is not there yet, return OUT_OK
 * with op_ready(op, false): the core then repeats the observe verb until it is ready or the step's deadline
 * is gone;
 *  - an observe verb (READ) answers "is the effect of my CHANGE there?" by op_ready(op, true|false), OUT_OK
 * both times; OUT_UNKNOWN only when it could not find out. It gets the same arguments as the CHANGE verb.
 */
#ifndef RELEASE_DRIVERS_DRIVER_H
#define RELEASE_DRIVERS_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/words.h"

struct op;
struct balancer; /* drivers/balancer/balancer.h */
struct app;      /* drivers/app/app.h */

enum param_type {
    PARAM_STR,
    PARAM_INT,
    PARAM_BOOL,     /* "yes" | "no" once frozen */
    PARAM_DURATION, /* "60s"; op_arg_ms */
    PARAM_SIZE,     /* "64K"; op_arg_int gives bytes */
    PARAM_LIST,     /* of scalars; op_arg_list */
    PARAM_MAP,      /* string -> string; op_arg_map */
    PARAM_CHOICE,   /* one of `choices` */
    PARAM_SECRET,   /* file:PATH or env:NAME in the pillar; the value reaches the op, never plan or journal */
};

struct op_pair {
    const char *name, *value;
};
const char *op_pair_value(const struct op_pair *pairs, size_t n, const char *name); /* NULL: not there */

struct param {
    const char *name; /* Salt's word where Salt has one */
    enum param_type type;
    bool required;
    const char *deflt;   /* text form, NULL = not given */
    const char *choices; /* "restore|proceed|kill" for PARAM_CHOICE */
    const char *help;    /* one line, printed by docs and `release check` */
};
#define PARAM_END ((struct param){.name = NULL})

/* Where a verb acts. NODE: needs the node's connection. BALANCER: talks to balancers about one node.
 * CONTROLLER: runs here. FLEET: talks to balancers about all nodes, has no node (capacity, ban). */
enum scope { SCOPE_NODE, SCOPE_BALANCER, SCOPE_CONTROLLER, SCOPE_FLEET };

/* What a verb does to a release, whatever driver it is of. Plans, rules, rehearsals and watchers go by this;
 * a verb's name is for people and journals. OTHER: what its effect says (a look, a command, a message). */
#define DOES_LIST(X)                                                                                         \
    X(OTHER, "other")                                                                                        \
    X(FETCH, "fetch")       /* the revision's objects come to the node */                                    \
    X(READABLE, "readable") /* could they? for preflight */                                                  \
    X(UNPACK, "unpack")     /* its tree is written beside the one that runs */                               \
    X(CHECKOUT, "checkout") /* its tree is written over the one that runs */                                 \
    X(BUILD, "build")                                                                                        \
    X(SEAL, "seal")     /* the tree is complete */                                                           \
    X(SWITCH, "switch") /* `current` leads to it */                                                          \
    X(CLEAN, "clean")   /* old trees go */                                                                   \
    X(DRAIN, "drain")   /* no new sessions */                                                                \
    X(IDLE, "wait_idle")                                                                                     \
    X(ENABLE, "enable")                                                                                      \
    X(WAIT_UP, "wait_up")                                                                                    \
    X(STOP, "stop") /* the application */                                                                    \
    X(START, "start")                                                                                        \
    X(RESTART, "restart")                                                                                    \
    X(RELOAD, "reload") /* new processes of it, without going down */                                        \
    X(RUNNING, "running")                                                                                    \
    X(APP_PROBE, "probe") /* what the application does now; for preflight */                                 \
    X(REREAD, "reread")   /* a configuration that the revision brings */                                     \
    X(HEALTH, "check")                                                                                       \
    X(TRY, "try")       /* is the check true of what runs now? for preflight */                              \
    X(VERIFY, "verify") /* which revision's processes run */                                                 \
    X(CMD, "cmd")                                                                                            \
    X(LOOK, "look")                                                                                          \
    X(TELL, "tell")                                                                                          \
    X(NODES, "nodes") /* lists nodes, for app_servers: {DRIVER: {its parameters}} */                         \
    X(ONCE, "once")   /* rehearsals: a run-once step, whatever its verb */
#define DOES_ENUM(n, t) DOES_##n,
enum does { DOES_LIST(DOES_ENUM) DOES_COUNT };
const char *does_name(enum does does);

/* What a verb that does NODES reports: JSON {NODE: {"host": .., "lb_server": .., what else a node may be asked for}, ...}, one node a
 * line, and of whom and what that was asked, for people. */
#define NODES_FACT        "nodes"
#define NODES_FACT_SOURCE "nodes.source"

/* A transport that meets a host which nobody knows: HOST_KEY_FACT NAME (as known_hosts writes it) -> "FINGERPRINT TYPE BASE64 FILE",
 * FILE being where a line "NAME TYPE BASE64" would make it known. */
#define HOST_KEY_FACT "host_key."

/* `source: {artifact: ..}`: what stands for the version in its path or address, and before it, in the place of a repository's
 * address, for all its versions. */
#define SOURCE_VERSION "{rev}"
#define SOURCE_REPO    "artifact:"

/* Where a plan puts the revision. */
#define LAYOUT_RELEASES "releases" /* dir holds repo.git, releases/, shared/, current */
#define LAYOUT_IN_PLACE "in-place" /* dir is the checkout */

struct verb {
    const char *name; /* "haproxy.drain": driver, dot, verb */
    const char *help; /* one line */
    enum effect effect;
    enum scope scope;
    enum does does;
    const char *counts;        /* a waiting verb's gauge, for people: "sessions left"; NULL = it has none */
    const char *on_controller; /* the verb that does the same there, which hooks take; NULL = none */
    const char *observe;       /* verb name; required when effect is CHANGE */
    const char
        *undo_arg; /* the argument in whose place a step's own `undo:` stands; NULL: it takes none, the plan's
                                  way back brings its effect back */
    const char
        *only_with;       /* a line that stands for a step of each block leaves out blocks without this key */
    const char *escalate; /* for waiting verbs: the verb of ROLE_ESCALATE, or NULL */
    const char *kill;     /* for waiting verbs: the verb of ROLE_KILL, or NULL */
    bool waits;           /* READ verb repeated until ready (wait_idle, wait_up, http.check) */
    bool record_before;   /* run `observe` first and journal its facts before the first touch (drain) */
    bool forward_only;    /* never run on the way back (fetch, clean, notify) */
    bool of_directory;    /* changes what all instances of a host share: done once for all of them */
    const char *deadline; /* what the pillar calls its deadline; NULL: VERB_timeout, "": it has no name */
    int64_t default_timeout_ms; /* deadline of the step; the pillar's `timeout:` overrides */
    int64_t interval_ms;        /* between repeats of a waiting verb or of settling; 0 = 500 */
    const struct param
        *params; /* ends with PARAM_END; NULL = none. `timeout`, `retries`, `once` are the engine's */
    /* Are these arguments, as one node gets them, sound, and can the step end before its deadline? Asked when
     * a plan is made, without touching anything; NULL = nothing to ask beyond the types. */
    bool (*check)(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err);
    const struct balancer *balancer; /* of which kind, for the verbs of drivers/balancer; else NULL */
    const struct app *app;           /* the same for those of drivers/app */
    enum outcome (*run)(struct op *);
};

struct driver {
    const char *name;   /* "haproxy" */
    const char *help;   /* a paragraph: what it talks to, which versions, what it needs there */
    const char *layout; /* LAYOUT_*: its verify verb is for trees that lie so; NULL = for none */
    /* What a node may need so that this driver finds there what it works with: a text with {of} (each of the argument `proposal_of`),
     * {dir} (where the application starts), {user}, {port}; NULL = it has none to give. */
    const char *proposal, *proposal_of;
    const struct verb *verbs; /* ends with a zeroed row */
};

/* drivers/table.c: the explicit list, NULL-terminated. */
extern const struct driver *const driver_table[];
const struct verb *verb_find(const char *name, const struct driver **ret_driver); /* NULL when unknown */
/* What a person writes to give a step of it longer: `stop_timeout`, a name of its own, else the step's `timeout`. */
const char *verb_deadline_key(const struct verb *verb, struct arena *arena);
enum does verb_does(const char *name); /* DOES_OTHER when unknown */
/* A driver's first verb that does this; NULL when it has none. */
const struct verb *driver_verb(const struct driver *driver, enum does does);
/* The verb that verifies trees of this layout. */
const struct verb *verb_verifies(const char *layout);

/* ---- what an op was asked -------------------------------------------------------------------------------
 */

/* Arguments after substitution. NULL / 0 / false / empty when not given and without default. */
const char *op_arg(const struct op *op, const char *name);
const char *op_arg_text(const struct op *op, const char *name); /* "" when there is none */
int64_t op_arg_int(const struct op *op, const char *name);      /* also PARAM_SIZE, bytes */
int64_t op_arg_ms(const struct op *op, const char *name);
bool op_arg_bool(const struct op *op, const char *name);
/* NULL-terminated array in the op's arena. */
const char *const *op_arg_list(struct op *op, const char *name, size_t *ret_n);
const struct op_pair *op_arg_map(struct op *op, const char *name, size_t *ret_n);

/* Variables of the release and node: env, app, release (number), node, host, port, rev (40 hex; on the way
 * back the node's earlier revision), rev_before, dir, release_dir, user, operator, fence ... NULL when there
 * is none. */
const char *op_var(const struct op *op, const char *name);
/* A fact that an earlier op of this node reported in this release (from the journal, so also after a resume).
 */
const char *op_recall(const struct op *op, const char *fact);
bool op_going_back(const struct op *op); /* on the way back to the earlier revision */
const struct verb *op_verb(const struct op *op);

/* ---- waiting
 * ------------------------------------------------------------------------------------------------ */

/* Waits until fd is ready for `events` (POLLIN, POLLOUT), the deadline passes or the op is cancelled. true:
 * ready. false: op_fail was called already (E_LATE, E_CANCELED); return op_end(op). fd -1 waits for nothing
 * but the deadline. Never call poll, select or sleep yourself. */
bool op_wait(struct op *op, int fd, short events);
int op_left_ms(const struct op *op); /* until the deadline, 0 when it is gone */
/* The same with an own, earlier bound: false with *ret_late = true when only the bound passed (op not
 * failed). */
bool op_wait_ms(struct op *op, int fd, short events, int bound_ms, bool *ret_late);
/* Who is waited for from here on, for the message of a wait that ends too late; NULL: the op's own target
 * again. The text must live as long as the op. */
void op_asking(struct op *op, const char *who);
/* Gives the op an earlier deadline for what follows (connect phases); returns the old one for
 * op_deadline_set. */
int64_t op_deadline_cap(struct op *op, int64_t ms_from_now);
void op_deadline_set(struct op *op, int64_t deadline_mono_ms);

/* Non-blocking, close-on-exec, TCP_NODELAY; "host", port 1..65535, or unix socket path. -1: op_fail was
 * called. */
int op_connect_tcp(struct op *op, const char *host, int port);
int op_connect_unix(struct op *op, const char *path);
bool op_write_all(struct op *op, int fd, const void *data, size_t n);
/* Reads until EOF or max bytes into the arena, NUL-terminated. NULL: op_fail was called. */
char *op_read_all(struct op *op, int fd, size_t max, size_t *ret_n);

/* ---- what an op reports
 * -------------------------------------------------------------------------------------- */

void op_sending(struct op *op);
void op_fact(struct op *op, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void op_ready(struct op *op, bool ready);     /* default true */
void op_changed(struct op *op, bool changed); /* default true for CHANGE verbs */
void op_lost(struct op *op); /* a balancer forgot a drain that we rely on (reload): drain again */
void op_gauge(struct op *op,
              int64_t value); /* the number people watch: sessions left, healthy in a row, up */
/* One line of the step's log, without newline. */
void op_say(struct op *op, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Raw output of a remote command; stream 1 or 2. Bounded and made safe further up. */
void op_output(struct op *op, int stream, const void *data, size_t n);

/* Each returns the outcome to return. op_fail: FAILED before op_sending, UNKNOWN after it. op_refused: FAILED
 * in both cases: the other side answered, and the change was certainly not made. op_unknown: UNKNOWN in both
 * cases. op_end: ok, or what op_fail recorded. The first recorded failure stays. */
enum outcome op_fail(struct op *op, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum outcome op_refused(struct op *op, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum outcome op_unknown(struct op *op, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum outcome op_end(struct op *op);
bool op_failed(const struct op *op);
/* Between the two a failed op acts again as one that has not failed, to undo what it did or to ask others: what fails there is forgotten, and what was
 * recorded before stands again. */
struct op_failure {
    bool failed;
    enum outcome outcome;
    struct err err;
};
struct op_failure op_set_aside(struct op *op);
void op_take_up(struct op *op, const struct op_failure *was);
const struct err *op_err(const struct op *op);

struct arena *op_arena(struct op *op); /* freed with the op */

/* What the ops of this process share, such as a login: made by the first that asks for this key, ended when all
 * connections are (once, when no op runs any more). It does its own locking. */
void *op_kept(struct op *op, const char *key, void *(*make)(void), void (*end)(void *));

#endif
