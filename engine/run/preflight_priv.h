/* SPDX-License-Identifier: MIT */
/* What preflight asked, and what its parts share: preflight.c asks and judges the nodes, preflight_lb.c what
 * the balancers say of more than one server. */
#ifndef RELEASE_RUN_PREFLIGHT_PRIV_H
#define RELEASE_RUN_PREFLIGHT_PRIV_H

#include "run/probe_priv.h"

/* The questions about one node; a job's result is there once the batch is done. */
struct asked {
    struct job *node, *runs, *app, **balancer, **checks;
    size_t n_balancers, n_checks;
};

struct preflight {
    struct plan *plan;
    struct arena *arena;
    const struct run_options *opt;
    struct problems *problems;
    struct batch *batch;
    struct asked *asked; /* by node */
    struct job *resolve, *capacity[PLAN_ROLES_MAX], *survey[PLAN_ROLES_MAX], *judge[PLAN_ROLES_MAX],
        *query[PLAN_ROLES_MAX]; /* by role */
};

/* A fact that a job reported, NULL when it did not. */
const char *preflight_fact(const struct job *job, const char *name);
bool preflight_good(const struct job *job);
void preflight_problem(struct preflight *p, const struct plan_node *node, const struct job *job);
/* The node's own directory, else the plan's. */
const char *preflight_dir(const struct preflight *p, const struct plan_node *node);

/* Can every node read the repository, where it does not have the revision? */
void preflight_git(struct preflight *p);

/* What the repository says of the revision and of the way to it: becomes plan->about. */
void preflight_about(struct preflight *p);

/* Servers of other backends that stand for a node's address, and that no drain of the plan takes out. */
void preflight_shared(struct preflight *p);
/* Nodes that are stopped while they are in rotation, because no balancer is told: that is said. */
void preflight_refusals(struct preflight *p, size_t role);
/* Shared paths of a node that are missing, or not what the pillar says. */
void preflight_paths(struct preflight *p, size_t i);
/* The plan's checks are tried on what the node runs now, and what came of it is kept in its facts. */
void preflight_try(struct preflight *p, size_t i);
void preflight_tried(struct preflight *p, size_t i);

#endif
