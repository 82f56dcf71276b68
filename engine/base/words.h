/* SPDX-License-Identifier: MIT */
/* The shared vocabulary: one meaning each, in code, journal rows and messages (docs/glossary.md).
 *
 * Header-only on purpose: the core includes it and still links to nothing. Every list is an X-macro of
 * (ENUM_SUFFIX, "text"); the text is what the journal, --json and people see, so it never changes once
 * released. xxx_name() is total: an out-of-range value gives "?". */
#ifndef RELEASE_BASE_WORDS_H
#define RELEASE_BASE_WORDS_H

/* Three outcomes, never two. failed = certainly not done, or refused. unknown = deadline, cancel or a broken
 * link after something may have been sent: observe before anything else. */
#define OUTCOME_LIST(X) X(OK, "ok") X(FAILED, "failed") X(UNKNOWN, "unknown")

/* What a verb does to the world. READ: nothing, may be repeated freely. CHANGE: has an observe verb,
 * repeatable once observed. ONEWAY: cannot be observed afterwards (a webhook); done at most once. */
#define EFFECT_LIST(X) X(READ, "read") X(CHANGE, "change") X(ONEWAY, "oneway")

/* The phases of a plan in the order of a release. BEFORE and AFTER hold the run-once steps `once: before` and
 * `once: after`; HOOK_* run on the controller. Drain to enable are walked by one node at a time inside window
 * and floor; prepare, verify and finish run on all nodes in parallel. */
#define PHASE_LIST(X)                                                                                        \
    X(HOOK_BEFORE, "hook-before")                                                                            \
    X(PREPARE, "prepare")                                                                                    \
    X(BEFORE, "before")                                                                                      \
    X(DRAIN, "drain")                                                                                        \
    X(CHANGE, "change")                                                                                      \
    X(CHECK, "check")                                                                                        \
    X(ENABLE, "enable")                                                                                      \
    X(AFTER, "after")                                                                                        \
    X(VERIFY, "verify")                                                                                      \
    X(FINISH, "finish")                                                                                      \
    X(HOOK_AFTER, "hook-after")                                                                              \
    X(HOOK_FAILURE, "hook-failure")

/* What a person may override with a reason: the times, and what git: asks of a revision. */
#define OVERRIDE_LIST(X) X(WINDOW, "window") X(ALLOW, "allow") X(MAX_AGE, "max_age") X(SIGNED, "signed")

/* once: how often a step runs in one release. */
#define ONCE_LIST(X) X(NO, "no") X(BEFORE, "before") X(FIRST, "first") X(AFTER, "after")

/* What to do when a waiting step (balancer.wait_idle) reaches its deadline with sessions left. */
#define ON_TIMEOUT_LIST(X) X(RESTORE, "restore") X(PROCEED, "proceed") X(KILL, "kill")

/* Why an op was dispatched. */
#define ROLE_LIST(X)                                                                                         \
    X(NONE, "none")                                                                                          \
    X(RUN, "run")           /* the step's own verb */                                                        \
    X(OBSERVE, "observe")   /* its observe verb: after unknown, crash, or while it settles */                \
    X(BEFORE, "before")     /* its observe verb, to record the state before the first touch */               \
    X(UNDO, "undo")         /* its undo verb or command */                                                   \
    X(ESCALATE, "escalate") /* its escalate verb: half of the drain deadline is gone (maint for sticky) */   \
    X(KILL, "kill")         /* its kill verb: the deadline is gone and on_timeout says kill */               \
    X(GUARD, "guard")       /* is the node that we hold still out of rotation? */                            \
    X(SOAK, "soak")         /* health of a finished node while a stage soaks */                              \
    X(CAPACITY, "capacity") /* how many nodes does the balancer see in rotation now? */                      \
    X(JUDGE, "judge")       /* what did clients get of the nodes that are judged, and of the others? */

/* Kinds of journal rows. */
#define ROW_LIST(X) X(INTENT, "intent") X(OUTCOME, "outcome") X(NOTE, "note") X(ORDER, "order")

/* What an operator may order. STOP = ctrl-C once: finish current nodes, start no other. ABORT = twice: now.
 */
#define ORDER_LIST(X)                                                                                        \
    X(START, "start")                                                                                        \
    X(STOP, "stop")                                                                                          \
    X(ABORT, "abort")                                                                                        \
    X(RESUME, "resume")                                                                                      \
    X(ROLLBACK, "rollback")                                                                                  \
    X(ABANDON, "abandon")

/* What a row of `releases` is: a plan brought to the nodes, one taken back, a pillar's task, a command. */
#define KIND_LIST(X) X(RELEASE, "release") X(ROLLBACK, "rollback") X(TASK, "task") X(EXEC, "exec")

/* Who may ask the server for what; each includes those before it. */
#define RIGHT_LIST(X) X(NONE, "none") X(VIEWER, "viewer") X(OPERATOR, "operator") X(ADMIN, "admin")

/* The server's door by which somebody came in; NONE: the command line, of which no order is kept. */
#define VIA_LIST(X) X(NONE, "") X(API, "api") X(PAGE, "page") X(SLACK, "slack") X(MATTERMOST, "mattermost")

/* The formatter breaks lists of this length in the middle of a row. */
/* clang-format off */

/* What people tell the server to do to an environment: the verb of an order, and of what waits for a yes. */
#define WISH_LIST(X)                                                                                         \
    X(RUN, "run") X(PLAN, "plan") X(ROLLBACK, "rollback") X(RESUME, "resume")                                \
    X(PAUSE, "pause") X(ABORT, "abort") X(LOCK, "lock") X(UNLOCK, "unlock")                                  \
    X(TAKE, "take") X(HAND, "hand") X(QUEUE, "queue") X(LEAVE, "leave")

/* Where a request from a room, the page or the API stands (state/chat.h). */
#define ASK_LIST(X)                                                                                          \
    X(PLAN, "plan")       /* a child looks at what it would do */                                            \
    X(CONFIRM, "confirm") /* waits for the person's yes */                                                   \
    X(APPROVE, "approve") /* waits for a second person */                                                    \
    X(GOING, "going")     /* the order runs */                                                               \
    X(ENDED, "ended")

/* What happened to the lock of an environment. */
#define LOCK_EVENT_LIST(X)                                                                                   \
    X(TAKE, "take")                                                                                          \
    X(TAKE_OVER, "take-over") /* from a holder that died, or by hand from one to another */                  \
    X(BIND, "bind")           /* the release that it is for is known now */                                  \
    X(FREE, "free")                                                                                          \
    X(FORCE, "force")
/* clang-format on */

/* How a place in the queue for the lock ended. */
#define QUEUED_LIST(X) X(WAITS, "") X(LEFT, "left") X(LAPSED, "lapsed") X(MOVED, "moved") X(TAKEN, "taken")

/* What rooms shall hear of and no other table has. */
#define NOTICE_LIST(X) X(TURN, "turn") X(LAPSED, "lapsed") X(APPROVAL, "approval")

/* From the revision that a node runs to the one that it gets, as git's history says (drivers/verbs/sh/git.sh). */
#define DIRECTION_LIST(X)                                                                                    \
    X(UNKNOWN, "") X(SAME, "same") X(FORWARD, "forward") X(BACKWARD, "backward") X(SIDEWAYS, "sideways")

#define WORDS_ENUM_OUT(n, t)    OUT_##n,
#define WORDS_ENUM_EFFECT(n, t) EFFECT_##n,
#define WORDS_ENUM_PHASE(n, t)  PHASE_##n,
#define WORDS_ENUM_ONCE(n, t)   ONCE_##n,
#define WORDS_ENUM_ONT(n, t)    ON_TIMEOUT_##n,
#define WORDS_ENUM_ROLE(n, t)   ROLE_##n,
#define WORDS_ENUM_ROW(n, t)    ROW_##n,
#define WORDS_ENUM_ORDER(n, t)  ORDER_##n,
#define WORDS_ENUM_KIND(n, t)   KIND_##n,
#define WORDS_ENUM_RIGHT(n, t)  RIGHT_##n,
#define WORDS_ENUM_VIA(n, t)    VIA_##n,
#define WORDS_ENUM_WISH(n, t)   WISH_##n,
#define WORDS_ENUM_ASK(n, t)    ASK_##n,
#define WORDS_ENUM_LOCK(n, t)   LOCK_EVENT_##n,
#define WORDS_ENUM_QUEUED(n, t) QUEUED_##n,
#define WORDS_ENUM_NOTICE(n, t) NOTICE_##n,
#define WORDS_ENUM_DIR(n, t)    DIRECTION_##n,
#define WORDS_ENUM_OVER(n, t)   OVERRIDE_##n,

enum outcome { OUTCOME_LIST(WORDS_ENUM_OUT) OUT_COUNT };
enum effect { EFFECT_LIST(WORDS_ENUM_EFFECT) EFFECT_COUNT };
enum phase { PHASE_LIST(WORDS_ENUM_PHASE) PHASE_COUNT };
enum once { ONCE_LIST(WORDS_ENUM_ONCE) ONCE_COUNT };
enum on_timeout { ON_TIMEOUT_LIST(WORDS_ENUM_ONT) ON_TIMEOUT_COUNT };
enum role { ROLE_LIST(WORDS_ENUM_ROLE) ROLE_COUNT };
enum row_kind { ROW_LIST(WORDS_ENUM_ROW) ROW_COUNT };
enum order { ORDER_LIST(WORDS_ENUM_ORDER) ORDER_COUNT };
enum release_kind { KIND_LIST(WORDS_ENUM_KIND) KIND_COUNT };
enum right { RIGHT_LIST(WORDS_ENUM_RIGHT) RIGHT_COUNT };
enum via { VIA_LIST(WORDS_ENUM_VIA) VIA_COUNT };
enum wish { WISH_LIST(WORDS_ENUM_WISH) WISH_COUNT };
enum ask_state { ASK_LIST(WORDS_ENUM_ASK) ASK_COUNT };
enum lock_event_kind { LOCK_EVENT_LIST(WORDS_ENUM_LOCK) LOCK_EVENT_COUNT };
enum queued { QUEUED_LIST(WORDS_ENUM_QUEUED) QUEUED_COUNT };
enum notice_kind { NOTICE_LIST(WORDS_ENUM_NOTICE) NOTICE_COUNT };
enum direction { DIRECTION_LIST(WORDS_ENUM_DIR) DIRECTION_COUNT };
enum override { OVERRIDE_LIST(WORDS_ENUM_OVER) OVERRIDE_COUNT };

/* Implemented in engine/base/words.c; the core never needs the texts. */
const char *outcome_name(enum outcome v);
const char *effect_name(enum effect v);
const char *phase_name(enum phase v);
const char *once_name(enum once v);
const char *on_timeout_name(enum on_timeout v);
const char *role_name(enum role v);
const char *row_kind_name(enum row_kind v);
const char *order_name(enum order v);
const char *kind_name(enum release_kind v);
const char *right_name(enum right v);
const char *via_name(enum via v);
const char *wish_name(enum wish v);
const char *ask_state_name(enum ask_state v);
const char *lock_event_name(enum lock_event_kind v);
const char *queued_name(enum queued v);
const char *notice_name(enum notice_kind v);
const char *direction_name(enum direction v);
const char *override_name(enum override v);
/* The reverse: -1 when the text is none of them. */
int phase_from_name(const char *text);
int once_from_name(const char *text);
int on_timeout_from_name(const char *text);
int outcome_from_name(const char *text);
int role_from_name(const char *text);
int row_kind_from_name(const char *text);
int order_from_name(const char *text);
int kind_from_name(const char *text);
int right_from_name(const char *text);
int via_from_name(const char *text);
int wish_from_name(const char *text);
int ask_state_from_name(const char *text);
int lock_event_from_name(const char *text);
int notice_from_name(const char *text);
int direction_from_name(const char *text);
int override_from_name(const char *text);

/* On the controller, once for the release: of no node, and of no role. */
#define PHASE_IS_HOOK(phase)                                                                                 \
    ((phase) == PHASE_HOOK_BEFORE || (phase) == PHASE_HOOK_AFTER || (phase) == PHASE_HOOK_FAILURE)
/* A release or a rollback: what nodes run is another revision afterwards, so `resume` and `rollback` are of it.
 * Tasks and commands run and are done. */
#define KIND_MOVES(kind) ((kind) == KIND_RELEASE || (kind) == KIND_ROLLBACK)
/* The wishes that bring a revision to nodes or take one back: these ask for a yes. */
#define WISH_MOVES(wish) ((wish) == WISH_RUN || (wish) == WISH_ROLLBACK || (wish) == WISH_RESUME)

#endif
