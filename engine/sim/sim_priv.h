/* SPDX-License-Identifier: MIT */
/* Inside of the simulator: the world, its events, and what its files share. */
#ifndef RELEASE_SIM_SIM_PRIV_H
#define RELEASE_SIM_SIM_PRIV_H

#include "loop/loop.h"
#include "sim/sim.h"

#define NEVER INT64_MAX

/* Revisions, as far as a node cares. */
enum sim_rev { REV_OLD, REV_NEW, REV_NONE };

/* A span of time in which something is so: from <= t < to. */
struct span {
    int64_t from, to;
};

struct proc {
    int64_t started_at, ready_at, stopped_at; /* stopped by somebody; NEVER = not yet */
    int64_t dies_at, bad_at;                  /* by itself */
    uint8_t rev;
    bool errors; /* clients get some, and its health check sees none */
};

enum job_state { SIM_JOB_NEVER, SIM_JOB_RUNNING, SIM_JOB_ENDED, SIM_JOB_LOST };
/* What the runner on a node remembers of one key (step, direction, walk). */
struct sim_job {
    uint16_t walk;
    uint8_t state, rc;
    bool hangs, lies, half; /* status 0 without effect, status 1 with it */
    uint32_t gen, token;    /* gen: which start of it; token: the op that started it */
    uint32_t waiter, waiter_uid;
};

enum lb_admin { LB_READY, LB_DRAIN, LB_MAINT };
struct lb_node {
    uint8_t admin, before;
    bool by_hand; /* somebody else set it meanwhile */
    bool hand_in; /* somebody else put it into rotation, and nobody drained it since */
    int64_t out_at, maint_at, forgot_at;
    int64_t blind_at; /* since when its checks of the node fail, whatever the node does; NEVER */
};

struct sim_node {
    struct proc proc;
    struct span dead, frozen;
    bool disk_full, sessions_stay, sticky;
    bool crashes, unhealthy, unhealthy_later, wrong_rev, ran_wrong, slow_start,
        errors;    /* what starts is like that */
    bool unwanted; /* given up by order */
    bool hurt;     /* by a fault, not by us: what it runs is excused */
    uint8_t before, current;
    uint64_t made[2]; /* bit per making step: is that revision complete on disk? */
    uint32_t fence;   /* of the host, as are disk and jobs: those of its first instance count */
    uint32_t job_of, job_now;
    bool begun;                     /* drained by a controller, and not given back since */
    int64_t sessions_gone_at;       /* killed */
    int64_t touched_at, checked_at; /* last stop, switch or start by us; last good answer of the check */
    int64_t stop_began_at;
    struct lb_node lb[SIM_LBS_MAX];
    bool failed; /* by the rows, since the last order */
    bool left;   /* for a person, by the rows, or its preparation failed: what it runs is nobody's promise */
    bool listed; /* in sim.unsettled */
    bool counted;
};

/* One op on its way. */
struct sim_op {
    struct op_req req;
    uint32_t uid, next_free, fence;
    bool live, answered, ghost; /* ghost: nobody waits for its answer any more */
    bool has_fault;
    uint8_t fault; /* enum sim_fault_kind */
    enum outcome outcome;
    bool ready, lost, unreached;
    int64_t gauge;
};

enum sim_event_kind { E_ARRIVE, E_JOB, E_ANSWER, E_DEADLINE, E_WORLD };
struct sim_event {
    int64_t at;
    uint32_t seq, kind, a, b, c;
};

enum once_truth { TRUTH_NONE, TRUTH_RUNNING, TRUTH_OK, TRUTH_FAILED, TRUTH_LOST };

struct sim {
    const struct sim_plan *plan;
    struct sim_options opt;
    uint64_t rng;
    int64_t now, session_start;
    int64_t paused_until;

    struct core *core, *twin;
    struct loop loop;
    struct loop_room room;
    struct record *rows; /* [0, n_durable) survive the controller; the others are of this turn */
    size_t n_rows, n_durable, cap_rows;
    uint32_t session, fence;
    bool begun;
    bool kill_now;    /* after the event that is handled */
    bool stuck;       /* nothing will happen any more */
    enum sim_end how; /* why the loop could not go on */
    int stops_wanted, stops_given;
    int64_t stopped_at;
    uint64_t n_commits;
    uint64_t n_looks; /* at the core as a whole */
    int last_exit;

    struct sim_op *ops;
    uint32_t n_ops, cap_ops, free_op, last_uid;
    struct sim_event *heap;
    size_t n_heap, cap_heap;
    uint32_t last_seq, n_gen;

    struct sim_node *nodes; /* n_nodes + 1: the last is the controller */
    struct sim_job *jobs;   /* (n_nodes + 1) * n_steps * 2 */
    int64_t lb_down_until[SIM_LBS_MAX];
    int64_t git_down_until, quiet_until; /* no requests until then */
    bool flips;
    int64_t serving[CORE_GROUPS_MAX]; /* settled nodes that every balancer has in rotation */
    uint32_t *unsettled;              /* nodes whose state may still change by time alone */
    size_t n_unsettled;
    uint64_t need[CORE_GROUPS_MAX], prepare_bits; /* making steps */
    int8_t bit_of[CORE_STEPS_MAX];
    bool changes_rev;

    struct sim_fault faults[SIM_FAULTS_MAX];
    uint32_t struck[SIM_FAULTS_MAX];
    size_t n_faults;

    /* Oracle. */
    char broken[400];
    uint8_t once[CORE_STEPS_MAX];
    uint8_t *intents; /* of this session, by op number: durable */
    uint32_t cap_intents;
    uint32_t orders_given,
        orders_durable; /* of this session: those that a running release was given, and rows */
    int64_t reading_at[CORE_GROUPS_MAX]; /* last capacity reading */
    uint8_t judge_said;                  /* enum judged: the last answer of a judge after the soak */
    bool judged;                         /* by the rows: the judge lets this soak end */
    bool judge_was_blind; /* once: it could not be asked, saw nothing, or did not tell the truth */
    bool turned;          /* by the rows it goes back */
    bool ever_faulty;     /* a fault was asked for, or a node ran nothing before */
    struct sim_figures fig;
};

/* ---- sim.c */
uint64_t sim_draw(struct sim *s, uint64_t below); /* 0..below-1 */
bool sim_coin(struct sim *s, unsigned per_cent);
void event_push(struct sim *s, int64_t at, enum sim_event_kind kind, uint32_t a, uint32_t b, uint32_t c);
bool event_pop(struct sim *s, int64_t until, struct sim_event *ret);
#define RESTART_MS 1000 /* from one controller to the next */
/* true: it is an answer for the controller. */
bool world_handle(struct sim *s, const struct sim_event *ev, struct event *ret);
void world_pass(struct sim *s, int64_t ms);           /* no controller runs; what is under way arrives */
void world_stand_still(struct sim *s, int64_t until); /* the controller is not scheduled; the world is */

/* ---- story.c */
void sim_say(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void story_row(struct sim *s, const struct record *row);

/* ---- nodes.c: processes, disks, jobs */
/* The node whose disk and runner this one uses: the first instance of its host, or itself. */
struct sim_node *host_of(const struct sim *s, const struct sim_node *n);
uint32_t host_begin(const struct sim *s, uint32_t i);
uint32_t host_behind(const struct sim *s, uint32_t i);
bool span_holds(const struct span *span, int64_t t);
bool proc_alive(const struct sim_node *n, int64_t t);
bool node_healthy(const struct sim_node *n, int64_t t);
bool node_complete(const struct sim *s, const struct sim_node *n, uint8_t rev);
int64_t node_bad_since(const struct sim_node *n, int64_t t);
void node_spawn(struct sim *s, uint32_t i, uint8_t rev);
void app_dies(struct sim *s, uint32_t i); /* faults.c */
struct sim_job *node_job_of(struct sim *s, uint32_t node, uint16_t step, bool back);
void job_start(struct sim *s, struct sim_op *op, uint32_t op_index);
void job_event(struct sim *s, uint32_t node, uint32_t slot, uint32_t gen);
void job_kill(struct sim *s, uint32_t node, uint32_t slot);
void node_look(struct sim *s, struct sim_op *op, enum does does);

/* ---- balancers.c */
uint32_t lbs_of(const struct sim *s, uint32_t node); /* how many send to it */
bool lb_any_down(const struct sim *s);
int64_t lb_sessions(const struct sim *s, uint32_t i);
bool lb_sends(const struct sim *s, uint32_t b, uint32_t node); /* would it send a request there now? */
bool lb_out_everywhere(const struct sim *s, uint32_t node);
bool lb_as_before(const struct sim *s, uint32_t node);
bool lb_in_rotation(const struct sim *s, uint32_t node); /* of all balancers */
int64_t lb_count(struct sim *s, uint32_t group);         /* its nodes that every balancer has in rotation */
void lb_touch(struct sim *s, uint32_t i); /* something about its rotation changed or will by time */
void lb_change(struct sim *s, struct sim_op *op, enum does does);
void lb_look(struct sim *s, struct sim_op *op, enum does does);
void lb_forget(struct sim *s, uint32_t b);
void lb_set(struct sim *s, uint32_t b, uint32_t i, enum lb_admin admin);

/* ---- ops.c */
void sim_op_dispatch(struct sim *s, const struct op_req *req);
void sim_op_arrive(struct sim *s, uint32_t index, uint32_t uid);
void sim_op_deadline(struct sim *s, uint32_t index, uint32_t uid);
/* The answer leaves for the controller; `ms` from now it is there. */
void sim_op_reply(struct sim *s, struct sim_op *op, int64_t ms, enum outcome outcome, bool ready);
void sim_op_free(struct sim *s, uint32_t index);
void sim_ops_forget(struct sim *s); /* the controller is gone */
/* Marks the key of this op on its node: what of it arrives later starts nothing. */
void sim_ops_give_up(struct sim *s, const struct sim_op *op);
int64_t sim_op_takes(struct sim *s, int64_t ms);
enum does sim_op_does(const struct sim *s, const struct op_req *req);

/* ---- faults.c */
/* At the dispatch of an op: strikes what is to strike; true: *ret stands for how this op goes. */
bool fault_for_op(struct sim *s, const struct op_req *req, enum sim_fault_kind *ret);
void fault_world(struct sim *s, size_t index, uint32_t node);
bool fault_at_commit(struct sim *s, enum sim_fault_kind kind);

/* ---- oracle.c */
void oracle_broken(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Before it goes to the core. */
void oracle_order(struct sim *s);
void oracle_durable(struct sim *s, const struct record *row);
void oracle_sent(struct sim *s, const struct op_req *req);
void oracle_judge_asked(struct sim *s, uint8_t look, enum judged said);
void oracle_effect(struct sim *s, const struct sim_op *op);
void oracle_taken_out(struct sim *s, uint32_t node);
void oracle_stopping(struct sim *s, uint32_t node, uint16_t step, bool late);
void oracle_starting(struct sim *s, uint32_t node, bool back);
void oracle_host_serves(struct sim *s, uint32_t node);
void oracle_given_back(struct sim *s, uint32_t node);
void oracle_once(struct sim *s, uint16_t step, bool undo, enum once_truth truth);
void oracle_end(struct sim *s, int status);

#endif
