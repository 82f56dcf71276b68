/* SPDX-License-Identifier: MIT */
/* Instances of a plan, for whoever reads it. */
#include "plans/plan.h"

#include <string.h>

bool plan_step_of_host(const struct plan_step *step)
{
    const struct verb *verb = verb_find(step->verb, NULL);
    return step->phase == PHASE_PREPARE || step->phase == PHASE_FINISH ||
           (verb != NULL && verb->of_directory);
}

bool plan_verb_takes_own(const struct verb *verb)
{
    return verb != NULL && (verb->app != NULL || verb->does == DOES_VERIFY);
}

bool plan_says_own(const struct plan *plan, const struct plan_step *step, const char *param)
{
    bool any = false;
    for (size_t i = 0; i < plan->n_nodes && plan_verb_takes_own(verb_find(step->verb, NULL)) && !any; i++)
        any = plan_takes(step, &plan->nodes[i]) &&
              op_pair_value(plan->nodes[i].own, plan->nodes[i].n_own, param) != NULL;
    return any;
}

bool plan_same_host(const struct plan_node *a, const struct plan_node *b)
{
    return a->of_host != NULL && b->of_host != NULL && a->role == b->role &&
           strcmp(a->of_host, b->of_host) == 0;
}

bool plan_first_of_host(const struct plan *plan, size_t i)
{
    return i == 0 || !plan_same_host(&plan->nodes[i - 1], &plan->nodes[i]);
}

bool plan_has_instances(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_nodes; i++)
        if (plan->nodes[i].of_host != NULL)
            return true;
    return false;
}
