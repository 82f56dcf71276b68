/* SPDX-License-Identifier: MIT */
/* The simulator: the real core and the loop's rules (intent, commit, dispatch, replay) in virtual time,
 * against a simulated fleet: nodes with processes, release directories and jobs, balancers with sessions and
 * reloads, a journal that can fail, a controller that can die between any two of its acts.
 *
 * The same seed gives the same run, always. An oracle that shares no rule with the core judges every effect
 * and every end by the simulated world alone; the first broken promise is in sim_broken(). One thread owns a
 * sim. */
#ifndef RELEASE_SIM_SIM_H
#define RELEASE_SIM_SIM_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "core/core.h"
#include "drivers/op/driver.h"

#define SIM_ANY        UINT32_MAX
#define SIM_ANY_STEP   UINT16_MAX
#define SIM_EVER       UINT32_MAX
#define SIM_FAULTS_MAX 32
#define SIM_LBS_MAX    4

/* How long a step of this sort usually takes, ms. */
int64_t sim_usual_ms(enum does does);

struct sim_step {
    const char *label;
    enum does does;
    int64_t ms;
};

/* What is simulated. core.node_flags says who serves before (others are in maintenance by hand) and who ran a
 * revision before. */
struct sim_plan {
    struct core_plan core;
    struct sim_step steps[CORE_STEPS_MAX];
    const char *const *names;   /* of the nodes; NULL = n1, n2, ... */
    uint32_t n_lbs;             /* 0 = no balancer */
    bool bare[CORE_GROUPS_MAX]; /* groups that no balancer sends anything to */
    int64_t session_ms;         /* how long the sessions of a drained node take to go */
    int64_t warm_ms;            /* from start to healthy */
    int64_t commit_ms;          /* of one commit of the journal */
    bool check_sees_rev;        /* the health check tells one revision from another */
};

/* The stock plans in small, for tests and rehearsal. */
struct sim_shape {
    const char *plan; /* "rolling", "in-place", "restart" */
    uint32_t n_nodes, window, min_up, max_failed, n_lbs;
    uint32_t n_maint; /* the last so many were in maintenance before */
    uint32_t n_new;   /* the last so many ran nothing before, and their balancers found nothing there */
    uint32_t
        n_down; /* the first so many have no application running before, and come back with the release */
    bool stop_on_failure;
    uint32_t stages[CORE_STAGES_MAX];
    uint32_t n_stages; /* 0 = one stage of all */
    int64_t soak_ms;
    bool judge, judge_passes,
        judge_late; /* a judge of groups with a balancer; one that has seen too little lets them pass */
    enum once once;
    bool once_undo;
    enum on_timeout on_timeout;
    uint8_t retries;
    bool hooks, blind_check;
    bool unverified; /* it has no steps to verify with */
    /* Roles, in their order: so many nodes each, n_nodes in all. window, min_up and max_failed hold for each, the floor
     * as far as it leaves one that may go. 0 = one role of all. */
    uint32_t roles[CORE_GROUPS_MAX], n_roles;
    uint32_t n_bare;    /* the first so many have no balancer */
    uint32_t once_role; /* whose the run-once step is, from 0; n_roles: each has one */
    uint32_t instances; /* so many nodes in a row are one host; 0, 1: each is one */
};
/* false: no such plan, or numbers that do not fit together. Memory from `arena`. */
bool sim_plan_stock(const struct sim_shape *shape, struct arena *arena, struct sim_plan *ret,
                    struct err *err) MUST_CHECK;

/* ---- faults.c */

enum sim_fault_at { FAULT_AT_OP, FAULT_AT_WORLD, FAULT_AT_COMMIT };
/* X(NAME, "name", where it strikes, "what it does") */
#define SIM_FAULT_LIST(X)                                                                                    \
    X(NODE_DEAD, "node-dead", WORLD, "the node is gone from then on")                                        \
    X(NODE_FROZEN, "node-frozen", WORLD, "the node hangs for 5 minutes, then goes on")                       \
    X(NODE_HICCUP, "node-hiccup", WORLD, "the node hangs for 3 seconds, then goes on")                       \
    X(SSH_REFUSED, "ssh-refused", OP, "the connection is refused, nothing was sent")                         \
    X(SSH_DROP, "ssh-drop", OP, "the connection breaks before the command arrives")                          \
    X(SSH_DROP_AFTER, "ssh-drop-after-start", OP, "the connection breaks while the command runs on")         \
    X(ANSWER_LOST, "answer-lost", OP, "all is done, and the answer never comes")                             \
    X(CMD_FAILS, "cmd-fails", OP, "the command ends with status 1 and has done nothing")                     \
    X(CMD_HALF, "cmd-half", OP, "the command does its work and ends with status 1")                          \
    X(CMD_HANGS, "cmd-hangs", OP, "the command never ends and is killed at its deadline")                    \
    X(CMD_KILLED, "cmd-killed", OP, "the command is killed on the node, nobody sees its end")                \
    X(CMD_LIES, "cmd-lies", OP, "the command ends with status 0 and has done nothing")                       \
    X(SLOW, "slow", OP, "the command takes ten times as long")                                               \
    X(BUILD_FAILS, "build-fails", OP, "a build ends with status 1, always on that node")                     \
    X(DISK_FULL, "disk-full", WORLD, "nothing can be written on the node any more")                          \
    X(START_FAILS, "start-fails", OP, "the application does not start")                                      \
    X(STOP_DEAF, "stop-deaf", OP, "the application does not stop")                                           \
    X(CRASH_AFTER_START, "crash-after-start", WORLD, "the new revision ends 3 s after each start")           \
    X(UNHEALTHY, "unhealthy", WORLD, "the new revision never becomes healthy")                               \
    X(UNHEALTHY_LATER, "unhealthy-later", WORLD, "the new revision becomes unhealthy 12 s after its start")  \
    X(WRONG_REVISION, "wrong-revision", WORLD, "what starts is the old revision, whatever the disk says")    \
    X(SLOW_START, "slow-start", WORLD, "the application takes 40 s to become healthy")                       \
    X(APP_DIES, "app-dies", WORLD, "the application of that node ends by itself")                            \
    X(OTHER_NODE_DIES, "other-node-dies", WORLD, "the application of another serving node ends by itself")   \
    X(OTHER_NODES_DIE, "other-nodes-die", WORLD, "the applications of half of the other nodes end")          \
    X(LB_DOWN, "lb-down", WORLD, "no balancer answers for 20 s")                                             \
    X(LB_GONE, "lb-gone", WORLD, "no balancer answers any more")                                             \
    X(LB_ONE_DOWN, "lb-one-down", WORLD, "the last balancer does not answer for 20 s")                       \
    X(LB_REFUSES, "lb-refuses", OP, "the last balancer refuses the change")                                  \
    X(LB_GARBAGE, "lb-garbage", OP, "the balancer's answer makes no sense")                                  \
    X(LB_LIES, "lb-lies", OP, "the balancer says yes and does nothing")                                      \
    X(LB_FORGETS, "lb-forgets", WORLD, "the first balancer reloads and forgets what it was told")            \
    X(LB_FORGETS_ALL, "lb-forgets-all", WORLD, "all balancers reload and forget what they were told")        \
    X(LB_FIRST_SEES_DOWN, "lb-first-sees-down", WORLD, "the first balancer's checks of that node fail")      \
    X(LB_LAST_SEES_DOWN, "lb-last-sees-down", WORLD, "the last balancer's checks of that node fail")         \
    X(SESSIONS_STAY, "sessions-stay", WORLD, "the sessions of that node do not end")                         \
    X(STICKY, "sticky", WORLD, "sessions of that node end only in maintenance")                              \
    X(OPERATOR_MAINT, "operator-maint", WORLD, "somebody sets the node to maintenance by hand")              \
    X(OPERATOR_READY, "operator-ready", WORLD, "somebody puts the node into rotation by hand")               \
    X(GIT_DOWN, "git-down", WORLD, "the git remote does not answer for 2 minutes")                           \
    X(GIT_GONE, "git-gone", WORLD, "the git remote does not answer any more")                                \
    X(LATE_COMMAND, "late-command", OP, "the command arrives 30 s late, its answer never")                   \
    X(JOURNAL_FULL, "journal-full", COMMIT, "that commit fails, as do all after it")                         \
    X(JOURNAL_IO, "journal-io", COMMIT, "that commit fails")                                                 \
    X(KILL_BEFORE_COMMIT, "kill-before-commit", COMMIT, "the controller dies before that commit")            \
    X(KILL_AFTER_COMMIT, "kill-after-commit", COMMIT, "the controller dies after it, nothing dispatched")    \
    X(KILL_AFTER_EFFECT, "kill-after-effect", OP, "the controller dies when it is done, before it hears")    \
    X(PAUSED, "paused", COMMIT, "the controller stands still for 40 s")                                      \
    X(CTRL_C, "ctrl-c", COMMIT, "the operator presses ctrl-C")                                               \
    X(CTRL_C_TWICE, "ctrl-c-twice", COMMIT, "the operator presses ctrl-C twice")                             \
    X(ERRORS, "errors", WORLD, "the new revision gives clients errors that its check does not see")          \
    X(NO_REQUESTS, "no-requests", WORLD, "no client asks for anything for 2 minutes")                        \
    X(JUDGE_FLIPS, "judge-flips", WORLD, "each look of a judge says something else")
#define SIM_FAULT_ENUM(n, t, w, h) FAULT_##n,
enum sim_fault_kind { SIM_FAULT_LIST(SIM_FAULT_ENUM) FAULT_COUNT };
const char *sim_fault_name(enum sim_fault_kind kind);
enum sim_fault_at sim_fault_at(enum sim_fault_kind kind);

struct sim_fault {
    enum sim_fault_kind kind;
    uint32_t node;    /* SIM_ANY */
    uint16_t step;    /* SIM_ANY_STEP */
    uint32_t times;   /* OP: how often; SIM_EVER */
    int64_t at_ms;    /* WORLD: at this time instead of at a step; -1 = not given */
    uint32_t nth;     /* COMMIT: at which commit of the whole run, from 1 */
    bool on_way_back; /* only there */
};
/* NAME@node/step, NAME@node/+12s, NAME@7 (the seventh commit); node or step may be `*`; `x3` or `x*` behind:
 * how often; `back:` before the step: only on the way back. Steps by label, by what they do, or by phase. */
bool sim_fault_parse(const struct sim_plan *plan, const char *text, struct sim_fault *ret,
                     struct err *err) MUST_CHECK;
void sim_fault_text(const struct sim_plan *plan, const struct sim_fault *fault, struct buf *out);

/* ---- running */

/* One line of the story: virtual time since the first start, and what happened. */
struct sim_line {
    int64_t at_ms;
    const char *text;
    bool routine; /* one node doing what it should: left out where there are many */
};
typedef void (*sim_story_fn)(void *ctx, const struct sim_line *line);

struct sim_options {
    uint64_t seed;
    bool steady; /* every op takes its usual time, not a drawn one: stories that are kept as tests */
    bool fast;   /* large fleets: invariants, and the twin that replays every row, are held against the core
                  * now and then, and at each end */
    sim_story_fn story;
    void *ctx;
};

enum sim_end { SIM_ENDED, SIM_KILLED, SIM_JOURNAL, SIM_STUCK };

struct sim;
/* plan must outlive it. */
struct sim *sim_new(const struct sim_plan *plan, const struct sim_options *opt);
void sim_free(struct sim *s);
void sim_fault(struct sim *s, const struct sim_fault *fault);
/* Runs one controller from its order (START, RESUME, ROLLBACK) until the release ends, it dies or its journal
 * fails. ret_exit: what the command would end with (137 when it was killed). */
enum sim_end sim_session(struct sim *s, enum order order, int *ret_exit);
/* All faults are gone: dead nodes boot, what hung goes on, the disk has room. */
void sim_heal(struct sim *s);
/* The next orders to go on are given without that node, as --exclude does. */
void sim_give_up(struct sim *s, uint32_t node, bool give_up);
bool sim_resumable(const struct sim *s); /* by its journal: begun, and neither released nor rolled back */
/* The first broken promise, or NULL. */
const char *sim_broken(const struct sim *s);

struct sim_figures {
    int64_t now_ms;
    uint32_t least_up[CORE_GROUPS_MAX]; /* lowest number of its nodes in rotation, seen by all balancers */
    uint64_t n_ops, n_commits, n_rows, n_events;
    uint64_t n_effects; /* changes that reached the world */
    bool lost_once;     /* nobody knows how a run-once step ended: a person must look */
    bool excused_dead;  /* a node went away for good: it may be left out */
};
struct sim_figures sim_figures(const struct sim *s);
/* Truth of the world, for tests: revision that the node's process runs (0 before, 1 new, -1 none); in
 * rotation. */
int sim_running(const struct sim *s, uint32_t node);
bool sim_in_rotation(const struct sim *s, uint32_t node);
const char *sim_node_name(const struct sim_plan *plan, uint32_t node, char buf[32]);

#endif
