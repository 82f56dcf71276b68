/* SPDX-License-Identifier: MIT */
/* The core: every rule of a release, as a pure state machine (docs/ARCHITECTURE.md).
 *
 * No I/O, clock, thread, allocation or text. Events go in with their time; out come records (journal rows)
 * and ops to run. The durable part of the state changes only in apply(), by records: so the live core and one
 * rebuilt from the journal by core_replay cannot differ, and a journal written by an older engine stays
 * readable whatever the rules decide today. Timers and poll counters are volatile: a resume starts them anew.
 *
 * The caller (engine/run, the simulator, the explorer) must, in this order: commit the records of an update
 * durably, then run its ops. Ops with effect READ need no intent row. Each op ends in exactly one EV_OUTCOME
 * with its number.
 *
 * The state is one block of core_size() bytes, without pointers but the one to the constant plan: copy it,
 * compare it. */
#ifndef RELEASE_CORE_CORE_H
#define RELEASE_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/notes.h"
#include "base/words.h"

#define CORE_NEVER       INT64_MAX
#define CORE_NO_STEP     UINT16_MAX
#define CORE_STEPS_MAX   256
#define CORE_STAGES_MAX  32
#define CORE_GROUPS_MAX  8
#define CORE_RECORDS_MAX 512
#define CORE_OPS_MAX     256
/* Ops that belong to no node (capacity, hooks) carry this node number: the slot after the last node. */
#define core_no_node(plan) ((plan)->n_nodes)

/* One step, as far as the rules care. Steps stand in phase order. */
struct core_step_def {
    uint8_t phase, effect, once, on_timeout;
    uint8_t group;           /* 1 + the group whose nodes take it; 0 = every group */
    uint8_t retries, stable; /* stable: ready this many times in a row, 0 = 1 */
    bool waits;              /* READ, repeated until ready */
    bool record_before;      /* ROLE_BEFORE first */
    bool forward_only, back_only;
    bool out_only;   /* on the way back of a node that ran nothing before, and on no other */
    bool warns;      /* its failure is a warning: the node goes on without it */
    bool warns_back; /* ... on the way back */
    bool
        takes_out; /* takes its node out of rotation, wherever it stands: from then on its balancer is owed */
    bool gives_back; /* and gives it back */
    bool stops;   /* ends the application: the one change that a node which ran nothing before goes back by */
    bool of_host; /* of the directory: once for all instances of a host */
    bool has_observe, has_undo, has_escalate, has_kill;
    int64_t timeout_ms, interval_ms, escalate_ms;
};

/* Nodes that are alike: what people call a role (here it is `enum role` that is called so). They stand side by side
 * in the order of the release, and a stage ends where a group does: so groups are walked one after the other, and
 * back in reverse. */
struct core_group {
    uint32_t end; /* the first node behind it; it begins where the group before it ends */
    uint32_t window, min_up, max_failed;
    uint32_t n_others; /* nodes of it that this plan leaves alone: they serve, too */
    bool has_capacity, has_guard;
    int64_t soak_ms;
    bool judges;           /* while it soaks, ROLE_JUDGE asks what clients got */
    bool judge_late;       /* ... only when the soak is over */
    int64_t judge_look_ms; /* how long the look behind the soak may take; 0: as long as any */
    uint8_t unjudged;      /* enum unjudged */
    int64_t judge_wait_ms; /* how long beyond the soak a judge may wait until it has seen enough */
};
/* A judge that has not seen enough when its time is gone. */
enum unjudged { UNJUDGED_STOPS, UNJUDGED_PASSES };

struct core_plan {
    uint32_t n_nodes, n_steps, n_stages, n_groups; /* n_groups >= 1 */
    struct core_group groups[CORE_GROUPS_MAX];
    struct core_step_def steps[CORE_STEPS_MAX];
    uint32_t stage_end[CORE_STAGES_MAX]; /* cumulative */
    bool rollback_on_failure;
    int64_t guard_ms;          /* how often a held node is looked at */
    int64_t floor_wait_ms;     /* how long to wait for capacity before stopping */
    int64_t unknown_grace_ms;  /* how long beyond a step's deadline to go on observing */
    const uint8_t *node_flags; /* n_nodes: CORE_NODE_* as preflight saw them */
    /* n_nodes: the first node of each one's host. Instances of a host share a directory, and stand side by side in one
     * group. NULL: each node is a host. */
    const uint32_t *host_first;
};
#define CORE_NODE_WAS_UP 1u /* in rotation before the release */
#define CORE_NODE_HAS_BEFORE                                                                                 \
    2u /* ran a revision before the release: without, it is undone by leaving it out */
#define CORE_NODE_COMES_BACK 4u /* was out, down or by a debt: in rotation once it was walked */

/* GIVE_UP: before an order to go on: the release is to end without this node. */
enum event_kind { EV_START, EV_OUTCOME, EV_TIMER, EV_ORDER, EV_GIVE_UP };
struct event {
    int64_t now_ms; /* monotonic in one run; a resume starts anew */
    enum event_kind kind;
    uint32_t op, node; /* EV_OUTCOME: as in its op_req; EV_GIVE_UP: node */
    enum outcome outcome;
    bool ready, changed, lost;
    /* FAILED, and why that may say nothing of the node: it could not be reached, or what only looks had no
     * answer in its time. */
    bool unreached, late;
    int64_t gauge;    /* sessions left, nodes up, enum judged, ... */
    enum order order; /* EV_ORDER: STOP, ABORT, RESUME, ROLLBACK */
};

/* A journal row. What code, a and b mean depends on kind:
 *   INTENT   code = role
 *   OUTCOME  code = outcome, role as in the intent, a = 1 when the step is done with it, b = gauge
 *   NOTE     code = enum note
 *   ORDER    code = enum order */
struct record {
    enum row_kind kind;
    uint8_t code, role, attempt;
    bool back;     /* the node was going back */
    uint32_t node; /* core_no_node = none */
    uint16_t step; /* CORE_NO_STEP = none */
    uint32_t op;   /* INTENT, OUTCOME: number in this run; not replayed */
    int64_t a, b;
};

struct op_req {
    uint32_t op, node;
    uint16_t step; /* CORE_NO_STEP for ROLE_CAPACITY, ROLE_JUDGE and ROLE_GUARD: the plan's steps for these */
    enum role role;
    uint8_t group; /* of the node; ROLE_CAPACITY, ROLE_JUDGE: whose floor, whose stage */
    uint8_t look;  /* ROLE_JUDGE: enum judge_look */
    uint8_t attempt;
    uint16_t walk; /* how often the walk was begun anew: what an earlier one did says nothing any more */
    bool back;
    int64_t deadline_ms; /* in the time of event.now_ms */
};

/* The looks of a judge in one soak. FIRST: what went before it does not count, so a controller that takes over begins anew.
 * EARLY: only what is beyond doubt is a verdict yet. LAST: the soak is over. */
enum judge_look { JUDGE_FIRST, JUDGE_EARLY, JUDGE_LAST };

struct update {
    uint32_t n_records, n_ops;
    struct record records[CORE_RECORDS_MAX];
    struct op_req ops[CORE_OPS_MAX];
    bool cancel_all; /* end every running op now (ABORT) */
};

#define NODE_STATE_LIST(X)                                                                                   \
    X(PENDING, "pending") /* not begun, or only prepared; serves what it served before */                    \
    X(OUT, "out")         /* admitted: draining, changing, checking, coming back */                          \
    X(DONE, "done")       /* on the new revision, in rotation */                                             \
    X(BACK, "going back") /* on its way to the earlier revision */                                           \
    X(UNDONE, "undone")   /* on the earlier revision, balancer as before */                                  \
    X(FAILED, "failed")   /* failed where nothing of it was touched; serves what it served before */         \
    X(LEFT, "left out")   /* out of rotation or unknown: needs a person */                                   \
    X(GONE, "let go")     /* the release is done with it: undone by leaving it out, or given up by order */
#define NODE_STATE_ENUM(n, t) NODE_##n,
enum node_state { NODE_STATE_LIST(NODE_STATE_ENUM) NODE_STATE_COUNT };

/* What the outside may know of a node, for boards and the simulator's oracle. */
struct core_view {
    enum node_state state;
    uint16_t step; /* being worked on, or CORE_NO_STEP */
    bool back, debt, touched, busy;
    uint8_t attempt;
};

struct core;
size_t core_size(const struct core_plan *plan);
/* mem of core_size bytes, aligned for int64_t; plan must outlive it. */
struct core *core_init(void *mem, const struct core_plan *plan);
/* Rebuilds from a journal: every row of the release in order. Then EV_START (crash), or EV_ORDER RESUME /
 * ROLLBACK: intents without outcome become unknown and are observed. */
void core_replay(struct core *core, const struct record *row);
/* Total: cannot fail. Stale or repeated outcomes are ignored. `ret` is overwritten. */
void core_step(struct core *core, const struct event *ev, struct update *ret);
/* When to send EV_TIMER; CORE_NEVER when only an outcome or order can change anything. */
int64_t core_due(const struct core *core);
bool core_ended(const struct core *core, int *ret_exit, enum why *ret_why);
enum life core_life(const struct core *core);
void core_view(const struct core *core, uint32_t node, struct core_view *ret);
/* Nodes out of rotation through us, by state. */
uint32_t core_count(const struct core *core, enum node_state state);
uint32_t core_group_of(const struct core_plan *plan, uint32_t node);
/* How often a balancer forgot a drain of this release: requests may have met a node that was out. */
uint32_t core_lost(const struct core *core);

#define INVARIANT_LIST(X)                                                                                    \
    X(NONE, "none broken")                                                                                   \
    X(WINDOW, "more nodes out than the window")                                                              \
    X(COUNTS, "counters disagree with node states")                                                          \
    X(DEBT, "a node counted in rotation still has a balancer debt")                                          \
    X(UNTOUCHED, "a node that was never touched is going back")                                              \
    X(STAGE, "a node of a later stage is out")                                                               \
    X(HOLD, "a node's place in the release and its place to its balancer contradict each other")             \
    X(GROUPS, "a node was admitted while one of another group is out")                                       \
    X(HOST, "two instances of a host were taken out at once")                                                \
    X(ENDED, "an op is in flight after the end")                                                             \
    X(ORPHAN, "a node is out but nothing will move it")
#define INVARIANT_ENUM(n, t) INVARIANT_##n,
enum invariant { INVARIANT_LIST(INVARIANT_ENUM) INVARIANT_COUNT };
enum invariant core_check(const struct core *core);
/* For comparing a replayed core with the live one: the durable part only. */
bool core_same(const struct core *a, const struct core *b);

#endif
