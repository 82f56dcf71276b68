/* SPDX-License-Identifier: MIT */
/* Preflight: what is stopped while it serves refuses requests. With one server and no balancer a plan may be meant so, and
 * is then told, with the plan that need not. */
#include "run/preflight_priv.h"
#include "run/run_priv.h"

#include <string.h>

/* The step's port, as far as it has one: "" and 0 are none. */
static bool has_port(const struct plan_step *step)
{
    const char *port = op_pair_value(step->args, step->n_args, "port");
    return port && *port && strcmp(port, "0") != 0;
}

/* What of the role's steps stops something that answers requests, with nobody told to send none; NULL: nothing does. */
static const struct plan_step *refuses(const struct plan *plan, size_t role)
{
    const struct plan_step *stop = NULL;
    bool answers = false;
    for (size_t s = 0; s < plan->n_steps; s++) {
        const struct plan_step *step = &plan->steps[s];
        const struct verb *verb = verb_find(step->verb, NULL);
        if (!verb || !plan_role_takes(step, role) || step->back_only)
            continue;
        if (verb_takes_out(verb))
            return NULL;
        bool stops = verb->does == DOES_STOP || verb->does == DOES_RESTART;
        stop = stop || !stops ? stop : step;
        answers |= verb->does == DOES_HEALTH || (stops && has_port(step));
    }
    return answers ? stop : NULL;
}

void preflight_refusals(struct preflight *p, size_t role)
{
    const struct plan *plan = p->plan;
    const struct plan_step *stop = refuses(plan, role);
    const char *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < plan->n_nodes && stop; i++) {
        const struct plan_node *node = &plan->nodes[i];
        bool serves = node->role == role && (!plan->needs_rev || (node->rev_before && *node->rev_before));
        first = serves && !first ? node->id : first;
        n += serves;
    }
    if (n == 0 || !p->opt->warnings)
        return;
    const char *more = n > 1 ? arena_printf(p->arena, " and %zu more", n - 1) : "";
    problems_add(
        p->opt->warnings,
        "%s%s: no balancer is told, so requests are refused from %s until it listens again. `plan: reload` "
        "changes an application under load, if its master can (docs/plans.md#reload); a `balancer:` "
        "sends requests elsewhere meanwhile",
        first, more, stop->verb);
}
