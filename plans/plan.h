/* SPDX-License-Identifier: MIT */
/* The plan: the frozen list of what one release will do.
 *
 * Flat and read-only once made; owned by one arena. It is stored in the journal as canonical JSON with its
 * SHA-256 digest, and a resume reads it from there, never from the pillar. Steps are templates: their
 * arguments may hold {name} placeholders, expanded per node at dispatch by plan_args, which cannot fail
 * because the compiler has proved every name. */
#ifndef RELEASE_PLANS_PLAN_H
#define RELEASE_PLANS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/words.h"
#include "drivers/op/driver.h"
#include "drivers/op/target.h"

#define PLAN_STEPS_MAX  256
#define PLAN_STAGES_MAX 32
#define PLAN_NODES_MAX  20000
#define PLAN_ROLES_MAX  8

struct plan_judge; /* plans/judge.h */

struct plan_step {
    const char *verb;   /* "haproxy.drain": always a real verb, `balancer.` is resolved */
    const char *label;  /* for people: "drain", "cmd.run env/bin/buildout -N" */
    const char *counts; /* what its gauge is, for people: "sessions left"; NULL = it has none, or is older */
    enum phase phase;
    uint8_t role; /* 1 + the role whose nodes take it; 0 = it is everybody's */
    enum once once;
    enum on_timeout on_timeout;
    int64_t timeout_ms;           /* the step's deadline, all attempts and waiting included */
    int64_t interval_ms;          /* between repeats of a waiting or settling step */
    int64_t escalate_ms;          /* waiting step: when to run the escalate verb; 0 = never */
    int retries;                  /* after a certain failure; 0 = none */
    int stable;                   /* waiting step: this many times ready in a row */
    bool forward_only, back_only; /* the way on which it runs; neither: both */
    bool out_only;                /* back_only, of nodes alone that ran nothing before */
    bool warns, warns_back;       /* its failure is a warning, always or on the way back only */
    bool
        undoes; /* of a rollback: takes back what a step of the release did, as that release's plan expands */
    const char *undo_cmd; /* a run-once step's own `undo:` command (cmd.run), or NULL */
    const struct op_pair *args;
    size_t n_args;
    const char *where; /* "pillar/prod.sls:31:7": where it was written */
    const char
        *by_block; /* while it is compiled: place and name of the block that gave it all arguments, or NULL */
    const char *one_of; /* while it is compiled: the block that it is of, where a line has a step of each */
    const struct plan_step *also; /* beside the steps: the same question to the next balancer, or NULL */
};

struct plan_node {
    const char *id;
    const char *rev; /* 40 hex to go to; differs per node when rolling back an older release */
    const char
        *rev_before; /* what it ran before: 40 hex; "" = nothing. Filled by preflight before freezing */
    bool was_up;     /* in rotation on every balancer at preflight */
    uint8_t role;    /* number of its role; 0 where the plan has none */
    struct target target;
    const struct op_pair *vars; /* node, host, port, lb_server, and every scalar of its pillar entry */
    size_t n_vars;
    const struct op_pair *facts; /* from preflight: recalled by ops like facts of earlier steps */
    size_t n_facts;
    const char *where; /* file:line:column of its pillar entry */
    /* An instance: the node's entry that it is of, which others are of as well; else NULL. They stand side by side. */
    const char *of_host;
    const struct op_pair *own; /* parameters of the application's verbs that are its own: programs, as JSON */
    size_t n_own;
};

/* Nodes that are alike among others that are not: its own limits, and its own balancer to ask. Its nodes stand side by
 * side in the plan, and are through before the next role begins. */
struct plan_role {
    const char *name;
    uint32_t window, min_up, max_failed;
    int64_t soak_ms;
    const struct plan_judge *judge; /* NULL: the health checks alone say how its stages are */
    struct plan_step capacity_step, guard_step, show_step, survey_step, probe_step; /* as in struct plan */
    struct target ssh_defaults; /* without a transport: as in the plan, which is older */
};

struct plan {
    const char *env, *app, *name; /* name = plan file: "rolling", "in-place", "restart", a task's name */
    enum release_kind kind;
    const char *rev, *rev_typed; /* 40 hex and what the operator wrote; "" for tasks */
    const char *dir, *user, *repo;
    bool needs_rev;          /* false for restart and tasks */
    struct plan_step *steps; /* in phase order */
    size_t n_steps;
    struct plan_node *nodes; /* in release order */
    size_t n_nodes;
    uint32_t stage_end[PLAN_STAGES_MAX]; /* cumulative node counts, the last = n_nodes */
    size_t n_stages;
    int64_t soak_ms;
    const struct plan_judge *judge; /* as in struct plan_role */
    uint32_t window;                /* nodes out at once, >= 1 */
    uint32_t min_up;                /* floor: nodes that must stay in rotation */
    uint32_t max_failed;            /* failing nodes tolerated before the roll stops */
    bool rollback_on_failure;
    uint32_t keep;
    bool capacity; /* there is a balancer: read the floor live by `capacity` below */
    /* READ verbs used beside the steps; verb NULL when the plan has no use for one. capacity, guard, show
     * and survey ask every balancer (the others by `also`; what they say is folded into one answer); probe
     * asks a node what it runs (release.probe); resolve and log ask the repository (git.*). */
    struct plan_step capacity_step, guard_step, show_step, probe_step, resolve_step, log_step;
    /* Asked by preflight: addresses that more than one server of a balancer stands for. */
    struct plan_step survey_step;
    /* In their order; 0 = all nodes are alike. With roles the limits above are the widest of them, for whoever shows them,
     * and of the steps beside there are only resolve and log. */
    struct plan_role *roles;
    size_t n_roles;
    struct target ssh_defaults;
    const struct op_pair *vars; /* env, app, rev, dir, user ... for every node */
    size_t n_vars;
    const struct op_pair
        *secrets; /* reference -> nothing: names of secret references used, values never stored */
    size_t n_secrets;
    const struct op_pair *events; /* notify: webhooks are ordinary steps' arguments; (event, JSON of args) */
    size_t n_events;
    /* Who else said what this plan is about: "pillar by salt", "app_servers by command bin/hosts" -> SHA-256
     * of what was printed. n 0 = all of it was read from files. */
    const struct op_pair *rendered;
    size_t n_rendered;
    const struct plan_times *times; /* when it may be released (plans/times.h); NULL = always */
    uint8_t overrides; /* bits of enum override: what was overridden when it began. No yes is about these */
    const char *override; /* why; NULL = nothing was */
    /* What the repository said of the revision and of the way to it, filled by preflight, and why: kept in the row
     * that begins the release, no part of what is frozen. */
    const struct op_pair *about;
    size_t n_about;
    char digest[65];
};

/* Facts of a release's first row (docs/journal.md): of its commit, and of up to PLAN_CHANGES_MAX ways from what nodes ran,
 * the one of most nodes first, "change.1.from". */
#define PLAN_CHANGES_MAX 3
#define PLAN_COMMITS_MAX 20 /* of each */

/* Whoever asks by role need not ask whether there are any: a plan without has one, number 0. */
size_t plan_n_roles(const struct plan *plan);
struct plan_role plan_role_of(const struct plan *plan, size_t role);
/* Whether somebody else listed its nodes (app_servers: {ec2: ..}, a command): who is not listed at another time was not taken out
 * by a person. */
bool plan_is_listed(const struct plan *plan);
const char *plan_role_name(const struct plan *plan, const struct plan_node *node); /* NULL: it has none */
size_t plan_role_count(const struct plan *plan, size_t role);                      /* its nodes */
/* What asks it what it runs; NULL: nothing does. */
const struct plan_step *plan_probe(const struct plan *plan, const struct plan_node *node);
/* Of the directory: done once for all instances of a host. */
bool plan_step_of_host(const struct plan_step *step);
bool plan_same_host(const struct plan_node *a, const struct plan_node *b); /* instances of one host */
bool plan_first_of_host(const struct plan *plan, size_t node);             /* or alone there */
bool plan_has_instances(const struct plan *plan);
bool plan_verb_takes_own(const struct verb *verb);
/* Is there a node whose own value stands in the place of this argument of the step? */
bool plan_says_own(const struct plan *plan, const struct plan_step *step, const char *param);
/* Do nodes of the role take this step, does the node? */
bool plan_role_takes(const struct plan_step *step, size_t role);
bool plan_takes(const struct plan_step *step, const struct plan_node *node);
/* How the hosts of balancers are logged in to by a step: as its node's role says, its own, or the whole plan. */
const struct target *plan_ssh(const struct plan *plan, const struct plan_step *step,
                              const struct plan_node *node);
/* Its steps beside the others are of the role with this number. */
void plan_role_mark(struct plan_role *role, size_t number, struct arena *arena);
/* Roles without a node are no part of the plan, nor are their steps. */
void plan_roles_drop_empty(struct plan *plan, struct arena *arena);
/* "window, allow: the shop burns", safe to show; "" = nothing was overridden. */
const char *plan_overrides_text(const struct plan *plan, struct arena *arena);
/* The widest of the roles' limits become the plan's. */
void plan_roles_widest(struct plan *plan);
/* The last role first, as a way back wants it. */
void plan_roles_reverse(struct plan *plan, struct arena *arena);

/* Canonical JSON (keys sorted), and its digest into plan->digest. Caller frees with free(). */
char *plan_encode(struct plan *plan);
/* Reads what plan_encode wrote; everything lives in `arena`. false: E_JOURNAL, damaged or from a newer
 * version. */
bool plan_decode(struct arena *arena, const char *json, struct plan **ret, struct err *err) MUST_CHECK;

/* The arguments of one step for one node (NULL for FLEET and CONTROLLER steps), {placeholders} expanded.
 * `going_back` makes {rev} the node's rev_before. Lives in `arena`. */
const struct op_pair *plan_args(const struct plan *plan, const struct plan_step *step,
                                const struct plan_node *node, bool going_back, struct arena *arena,
                                size_t *ret_n);
/* What the balancers of a block call a node's server, by the arguments of one of its verbs. */
const char *plan_server(const struct plan *plan, const struct plan_step *step, const struct verb *verb,
                        const struct plan_node *node, struct arena *arena);
/* One more of plan->about; all of it lives in `arena`. */
void plan_about(struct plan *plan, const char *name, const char *value, struct arena *arena);
/* git.log between two revisions: outside a release there is no {rev_before}. Lives in `arena`. */
struct plan_step plan_log_between(const struct plan *plan, const char *from, const char *to,
                                  struct arena *arena);
/* Variables of a node for op_var, by the same rule. */
const struct op_pair *plan_vars(const struct plan *plan, const struct plan_node *node, bool going_back,
                                struct arena *arena, size_t *ret_n);

#endif
