/* SPDX-License-Identifier: MIT */
/* Inside of the core: its state and the functions that its files share. Not for other folders. */
#ifndef RELEASE_CORE_CORE_PRIV_H
#define RELEASE_CORE_CORE_PRIV_H

#include "core/core.h"

/* An op that only looks gets this long, unless its step has less left. */
#define LOOK_MS  10000
#define STALE_MS 5000 /* what a balancer said longer ago than this is asked again */
#define JUDGED_MS                                                                                            \
    1000 /* a drain goes out so soon after the floor was looked at, or that is looked at again */
#define READ_MS               30000 /* one look of a waiting step, a slow page included */
#define RETRY_FIRST_MS        1000
#define RETRY_MOST_MS         30000
#define OBSERVE_MOST_MS       8000  /* longest pause between two looks after an unknown outcome */
#define KILL_GRACE_MS         10000 /* after ROLE_KILL: how long sessions may still take to go */
#define RERUNS_MAX            3 /* runs of a change whose outcome stayed unknown and whose effect was not there */
#define SOAK_FAILS_MAX        3
#define CORE_DECISION_RECORDS 16
#define CORE_DECISION_OPS     4
#define LOSSES_MAX            5 /* then the balancer, or somebody behind it, does not want this node out */

/* ---- where a node stands. What is one state is one enumeration, and where each may lead is a table: walk.c, for these
 * two and for enum node_state. A decision that leads elsewhere stops the program. */

/* In its walk from drain to enable: what is so between it and its balancer, as far as rows say. */
enum hold {
    HOLD_NOT,       /* not in a walk: its balancer has it as it found it, or as it gave it back */
    HOLD_ADMITTED,  /* nothing of its walk begun */
    HOLD_HELD,      /* no drain in force: not yet, or it is being given back, or its plan has none */
    HOLD_OUT,       /* our drain is in force: the guard looks after it */
    HOLD_UNSEEN,    /* ... as the controller before this one left it: it may have been forgotten since */
    HOLD_MAY_BE_IN, /* its walk began anew while it may be in rotation: look, and mind the floor */
    HOLD_COUNT
};

/* In its step, as this controller has it; anew with each step. */
enum stance {
    STANCE_BEGINS,    /* nothing of it is in force */
    STANCE_SETTLES,   /* a change was taken, and its effect is waited for */
    STANCE_ESCALATED, /* a wait that went on to harder means */
    STANCE_KILLED,    /* ... and to the hardest */
    STANCE_COUNT
};

/* Which revision the directory of a host holds: its earlier one, the release's, or, from the intent on, something on the
 * way to the one or the other. */
enum dir { DIR_UNTOUCHED, DIR_FORTH, DIR_NEW, DIR_BACK, DIR_BEFORE };

/* From where a node was left for a person, or let go. */
enum left_from { LEFT_FROM_WALK, LEFT_FROM_ROTATION, LEFT_FROM_WAY_BACK };

/* What this controller itself learnt of a node whose drain is in force by the journal. */
enum guarded { GUARD_NEVER_ASKED, GUARD_ASKED, GUARD_SAW_IT_OUT };

/* ---- what the journal's rows make, and nothing else. Written by apply.c alone: everybody else has it as
 * const, and a replayed core has the same bytes here as the live one (core_same). No padding, so that bytes
 * can be compared. */

/* Flags are what is true beside all of these, and beside each other: what was done to the node in this release and is
 * not undone by its place (debt, touched, returned), what is known of its present step (unknown: whatever its place),
 * and what was found while it is in rotation (sick, suspect). */
struct node_kept {
    uint16_t step;          /* next step of its walk, as far as rows say; skipping is node_step()'s */
    uint16_t before_of;     /* 1 + the step whose state before is in the journal; 0 = none in this walk */
    uint16_t inflight_step; /* of the intent without outcome */
    uint16_t walk;          /* how often its walk was begun anew */
    uint8_t state;          /* enum node_state */
    uint8_t hold;           /* enum hold */
    uint8_t left_from;      /* enum left_from */
    uint8_t inflight;       /* role of an intent without outcome */
    uint8_t attempt;        /* runs of the present step */
    uint8_t losses;         /* how often its balancer forgot the drain of this walk */
    bool debt;              /* its balancer was touched and is owed its earlier state */
    bool touched;           /* a change step was begun: it may no longer be what it was */
    bool returned; /* to be given back to its balancer by this release at least once: it may be in rotation */
    bool unknown;  /* the present step's outcome is unknown: observe before anything else */
    bool gang_done;   /* through the present parallel phase */
    bool sick;        /* unhealthy while its stage was judged: in rotation, and no use there */
    uint8_t given_up; /* enum given_up */
    bool suspect;     /* in rotation, and certainly not running what it should: a resume walks it again */
    uint8_t dir;      /* enum dir, of the directory; in the first node of a host */
    bool spare;
};
_Static_assert(sizeof(struct node_kept) == 4 * sizeof(uint16_t) + 16,
               "bytes that nobody writes would be compared");

struct core_kept {
    uint32_t stage, exit_status;
    uint32_t n_sick;
    uint32_t failed[CORE_GROUPS_MAX];    /* counts against max_failed */
    uint32_t held_most[CORE_GROUPS_MAX]; /* the window, or what a resume found out of rotation already */
    uint32_t gang_todo;
    uint32_t n_lost; /* how often a balancer forgot a drain, over all nodes and walks */
    uint32_t counts[NODE_STATE_COUNT], of_group[CORE_GROUPS_MAX][NODE_STATE_COUNT];
    uint32_t once_node[CORE_STEPS_MAX];
    uint16_t once_walk[CORE_STEPS_MAX]; /* how often it was undone: it may run once after each */
    uint8_t once_state[CORE_STEPS_MAX];
    uint8_t life, why;
    bool stop, abort, back, ended, soaking;
    bool judged; /* the judge lets this soak end */
};
_Static_assert(sizeof(struct core_kept) ==
                   (5 + (CORE_GROUPS_MAX + 1) * NODE_STATE_COUNT + 2 * CORE_GROUPS_MAX + CORE_STEPS_MAX) *
                           sizeof(uint32_t) +
                       3 * CORE_STEPS_MAX + 8,
               "bytes that nobody writes would be compared");

struct node {
    const struct node_kept kept;

    /* Volatile: timers and counters, anew after a resume. */
    uint8_t op_role, side_role, ready_count, soak_fails, looks;
    uint8_t stance;  /* enum stance */
    uint8_t guarded; /* enum guarded */
    uint8_t seen_in; /* enum seen_in: what the looks at one that may be in rotation found */
    /* Each may be so in every stance. */
    bool last_unknown; /* the last look could not find out */
    bool stale;        /* what its admission was judged by is old, and its drain not begun: judge it anew */
    bool lost_here; /* its drain was forgotten while the first change step was tried: sessions may be back */
    uint16_t op_step;
    uint32_t op, side_op;   /* op numbers in flight, 0 = none */
    int64_t op_at, side_at; /* when they were sent */
    int64_t started;        /* when the present step began, -1 = not yet */
    int64_t judged_at;      /* when the floor was looked at for it */
    int64_t seen_at;        /* when seen_in was found */
    int64_t kill_until;
    int64_t due; /* when to go on, CORE_NEVER = on an outcome only */
    int64_t guard_due;
    int64_t gauge, gauge_said;
};

/* SOME: in rotation somewhere, but not up at every balancer, so a reading of the least does not count it. */
enum seen_in { SEEN_NOT_YET, SEEN_SOMEWHERE, SEEN_SOME, SEEN_ALL };

/* By order: asked for before one, in force since one; the next order takes the node up again unless asked
 * anew. */
enum given_up { GIVEN_UP_NOT, GIVEN_UP_ASKED, GIVEN_UP };

enum once_state { ONCE_FREE, ONCE_RUNNING, ONCE_DONE, ONCE_FAILED, ONCE_UNDOING };

/* Constant: what the plan's steps are to the nodes of a group. */
struct way {
    /* The first drain (of a plan that takes nodes out by commands alone, the first of these), the first change, the first wait for the balancer's "up", the check repeated while soaking. */
    uint16_t drain_step, change_step, up_step, soak_step;
    uint16_t dir_step;    /* the last change of the directory */
    bool of_host;         /* something is of the directory, be it only prepared */
    bool gives_back;      /* the plan gives back what it takes out */
    bool takes_elsewhere; /* nodes are taken out by other steps than those of PHASE_DRAIN */
    bool changes;
};

/* The floor of a group as it was read last. */
enum read { READ_NOT, READ_WELL, READ_FAILED };
struct reading {
    uint8_t read; /* enum read */
    int64_t avail, undrained, most, asked, due, short_since;
};

struct core {
    const struct core_plan *plan;
    uint16_t phase_first[PHASE_COUNT + 1]; /* constant: first step of each phase, whoever takes it */
    struct way ways[CORE_GROUPS_MAX];

    const struct core_kept kept;

    /* Volatile. */
    int64_t now;
    uint32_t last_op, n_inflight;
    uint32_t scan;       /* nodes before it have had their turn in pump() since the last global change */
    uint32_t admit_hint; /* nodes before it (behind it, going back) are not waiting for admission */
    bool more;           /* the update was full: come again at once */
    uint32_t close_scan; /* nodes before it have no open intent any more; of an order that goes on */
    uint8_t order,
        then; /* enum order: given and not written yet, since open intents are closed first; and behind it */
    uint8_t asks;       /* the group whose reading is under way */
    uint8_t judge_look; /* enum judge_look: under way, or the next */
    uint32_t
        judge_op; /* 0 = none. Beside all else: a program may take a minute, and the way back does not wait for it */
    struct reading readings[CORE_GROUPS_MAX];
    int64_t soak_until, judge_due, min_due;

    struct node nodes[]; /* n_nodes + 1: the last belongs to no server (hooks, capacity) */
};

/* That the last one failed is so until the next. */
static inline void reading_ends(struct reading *r)
{
    if (r->read == READ_WELL)
        r->read = READ_NOT;
}

/* Our drain is in force, by the rows. */
static inline bool node_drained(const struct node *n)
{
    return n->kept.hold == HOLD_OUT || n->kept.hold == HOLD_UNSEEN;
}

/* Held, and in rotation all the same as far as we know. */
static inline bool node_may_be_in(const struct node *n)
{
    return n->kept.hold == HOLD_UNSEEN || n->kept.hold == HOLD_MAY_BE_IN || n->stale;
}

/* A rule that is wrong must stop, not act. Text and files are not the core's. */
#define core_must(x) ((x) ? (void)0 : __builtin_trap())

#define each_node(core, i) for (uint32_t i = 0; i < (core)->plan->n_nodes; i++)

/* apply.c: the fold. */
void apply_first(struct core *core);     /* before the first row */
void readings_forget(struct core *core); /* what floors were judged by, and how long somebody waits for one */
void core_apply(struct core *core, const struct record *row);

/* emit.c: applies a record and puts it into the update. */
void emit(struct core *core, struct update *up, struct record row);
/* Whom no balancer knows leaves no rotation and comes back to none. */
enum whereabouts where_walked(const struct core *core, uint32_t i);
void emit_note(struct core *core, struct update *up, enum note code, uint32_t node, uint16_t step, int64_t a,
               int64_t b);
bool has_room(struct core *core, const struct update *up);

/* walk.c: which place leads to which. */
bool walk_state_leads(enum node_state from, enum node_state to);
bool walk_hold_leads(enum hold from, enum hold to);
void walk_stance(struct node *n, enum stance to);

/* life.c: the release as a whole. */
bool life_gang_phase(enum life life, enum phase *ret_phase);
/* The steps that a parallel life walks: from *ret_first to before *ret_end. false: it is not parallel. */
bool life_range(const struct core *core, uint16_t *ret_first, uint16_t *ret_end);
bool life_takes_part(const struct core *core, uint32_t node);
void life_pump(struct core *core, struct update *up);
void life_fail(struct core *core, struct update *up, enum why why);
void life_next(struct core *core, struct update *up);
/* All of the group are through, none is done, and what it was to run once did not run. Nothing is missing where all of
 * them were given up by order: then the release goes on, and ends with 4. */
bool life_once_failed(const struct core *core, uint32_t g);
void life_order(struct core *core, struct update *up, enum order order);
/* An order whose rows did not fit into one update: goes on with it. true: it is written now, and nothing else
 * waits. */
bool life_order_written(struct core *core, struct update *up);

static inline const struct way *way_of(const struct core *core, uint32_t i)
{
    return &core->ways[core_group_of(core->plan, i)];
}

static inline const struct core_group *group_of(const struct core *core, uint32_t i)
{
    return &core->plan->groups[core_group_of(core->plan, i)];
}

static inline bool step_is_of(const struct core_step_def *def, uint32_t g)
{
    return def->group == 0 || def->group == g + 1;
}

static inline const struct core_step_def *step_def(const struct core *core, uint16_t step)
{
    return &core->plan->steps[step];
}

static inline int64_t step_deadline(const struct core *core, const struct node *n, uint16_t step)
{
    return n->started + step_def(core, step)->timeout_ms;
}

/* node.c: one node's ladder, both directions. */
#define NODE_NO_WALK UINT16_MAX
/* The end of the range of steps that the node walks now (an empty one ends where it begins, at 0 even), or
 * NODE_NO_WALK when it has nothing to do in this life. */
uint16_t node_walk_end(const struct core *core, uint32_t i);
bool node_goes_back(const struct core *core, const struct node *n);
/* The step that it stands before, or is in the middle of: the next one by the rows, without those that it
 * does not take. */
uint16_t node_step(const struct core *core, const struct node *n);
/* An op of the node's own step; its outcome comes to node_outcome. */
void node_send(struct core *core, struct update *up, uint32_t i, uint16_t step, enum role role);
bool node_drains_again(const struct core *core, const struct node *n, uint16_t step);
bool node_drains_anew(struct core *core, struct update *up, uint32_t i);
void node_advance(struct core *core, struct update *up, uint32_t i);
uint32_t node_dispatch(struct core *core, struct update *up, uint32_t i, uint16_t step, enum role role,
                       int64_t deadline);
void node_due(struct core *core, struct node *n, int64_t at);

/* A run-once step that this node began, and that is to be undone when the release goes back. */
bool node_owes_undo_of(const struct core *core, uint32_t i, uint16_t step);
/* It ran nothing before and was touched: its way back ends where its drain is in force and its application
 * stopped. */
bool node_stays_out(const struct core *core, uint32_t i);

/* host.c: instances of one host. */
uint32_t host_first(const struct core *core, uint32_t i);
uint32_t host_end(const struct core *core, uint32_t i); /* the first node behind its host */
bool host_has_done(const struct core *core, uint32_t i, uint16_t step);
bool host_is_prepared(const struct core *core, uint32_t i);
bool host_turned(const struct core *core, uint32_t i);
bool host_may_run_new(const struct core *core, uint32_t i);
bool host_has_one_out(const struct core *core, uint32_t i); /* another than this one */
bool host_lets_out(const struct core *core, uint32_t i);
bool host_is_busy(const struct core *core, uint32_t i, uint16_t step);
void host_wakes(struct core *core, uint32_t i); /* its sisters have a turn */

/* outcome.c */
void node_outcome(struct core *core, struct update *up, uint32_t i, const struct event *said);

/* failure.c: what a failing step means where it stands. */
void node_failed(struct core *core, struct update *up, uint32_t i, uint16_t step, bool unknown);
void node_turn(struct core *core, struct update *up, uint32_t i, enum why why);

/* roll.c: who may leave rotation, stages, soak. */
void roll_pump(struct core *core, struct update *up);
/* May a node that is held, and in rotation all the same, be drained now? It asks for a reading when it must.
 */
bool roll_may_drain(struct core *core, struct update *up, uint32_t i);
void roll_capacity_outcome(struct core *core, const struct event *ev);
void roll_soak_outcome(struct core *core, struct update *up, uint32_t i, const struct event *ev);
void roll_soak_look(struct core *core, struct update *up, uint32_t i);

/* A stage is of the group that its last node is of; who was done before is judged with it. */
static inline const struct core_group *stage_group(const struct core *core)
{
    return group_of(core, core->plan->stage_end[core->kept.stage] - 1);
}

/* judge.c: what clients got decides, too. */
void judge_begin(struct core *core);
void judge_look(struct core *core, struct update *up);
void judge_outcome(struct core *core, struct update *up, const struct event *ev);
int64_t judge_due(const struct core *core); /* CORE_NEVER: on an outcome only */

/* guard.c: a held node stays out. */
void guard_again(struct core *core, struct node *n);
/* Is the drain in force only by the journal, so that the guard must have a look before anything is stopped?
 */
bool guard_unsure(const struct core *core, const struct node *n);
void guard_look(struct core *core, struct update *up, uint32_t i);
void guard_outcome(struct core *core, struct update *up, uint32_t i, const struct event *ev);

#endif
