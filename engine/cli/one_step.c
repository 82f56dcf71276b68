/* SPDX-License-Identifier: MIT */
/* A plan for one step on all of its nodes at once: under the lock and in the journal like any release, without a balancer. */
#include "cli/session.h"

/* The nodes and how to reach them are the plan's; what it does is one step on all of them at once. */
void plan_only_step(struct plan *plan, struct plan_step *step, const char *name)
{
    plan->kind = KIND_EXEC;
    plan->name = name;
    plan->rev = plan->rev_typed = "";
    plan->needs_rev = false;
    plan->steps = step;
    plan->n_steps = 1;
    plan->n_roles = 0; /* all nodes are alike to it */
    for (size_t i = 0; i < plan->n_nodes; i++)
        plan->nodes[i].role = 0;
    plan->capacity = false;
    plan->capacity_step = plan->guard_step = plan->show_step = plan->resolve_step = plan->log_step =
        plan->survey_step = (struct plan_step){.verb = NULL};
    plan->probe_step.verb = NULL;
    plan->max_failed = 0; /* one failing node makes it exit 1; all nodes have been asked by then */
    plan->min_up = 0;
    plan->n_stages = 1;
    plan->stage_end[0] = (uint32_t)plan->n_nodes;
    plan->soak_ms = 0;
    plan->n_events = 0;
}
