/* SPDX-License-Identifier: MIT */
#include "sim/from_plan.h"

#include <string.h>

#include "drivers/balancer/balancer.h"
#include "run/bridge.h"

#define SESSION_MS 1500
#define WARM_MS    800
#define COMMIT_MS  2

static enum does does_of(const struct plan_step *step, const struct core_step_def *def, bool in_place)
{
    enum does does = verb_does(step->verb);
    if (def->once != ONCE_NO)
        return DOES_ONCE;
    if (does == DOES_REREAD)
        return DOES_CMD;
    if (does != DOES_OTHER)
        return does;
    if (def->effect == EFFECT_ONEWAY)
        return DOES_TELL;
    if (def->effect == EFFECT_READ)
        return DOES_LOOK;
    return step->phase == PHASE_PREPARE || (step->phase == PHASE_CHANGE && in_place) ? DOES_BUILD : DOES_CMD;
}

static bool has_step(const struct plan *plan, enum does does)
{
    for (size_t i = 0; i < plan->n_steps; i++)
        if (verb_does(plan->steps[i].verb) == does)
            return true;
    return false;
}

static const char *arg_of(const struct plan_step *step, const char *name)
{
    for (size_t i = 0; i < step->n_args; i++)
        if (strcmp(step->args[i].name, name) == 0)
            return step->args[i].value;
    return NULL;
}

/* As many as the first drain names balancers, within reason. */
static uint32_t count_lbs(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct plan_step *step = &plan->steps[i];
        const struct verb *verb = step->phase == PHASE_DRAIN ? verb_find(step->verb, NULL) : NULL;
        const char *names = verb && verb->balancer ? arg_of(step, verb->balancer->peers_param) : NULL;
        uint32_t n = 0;
        for (; names && *names; names++)
            n += *names == '"';
        if (n > 0)
            return n / 2 < SIM_LBS_MAX ? n / 2 : SIM_LBS_MAX;
        if (step->phase == PHASE_DRAIN)
            return 1;
    }
    return 0;
}

static bool has_drain(const struct core_plan *core, uint32_t group)
{
    for (uint32_t k = 0; k < core->n_steps; k++)
        if (core->steps[k].phase == PHASE_DRAIN &&
            (core->steps[k].group == 0 || core->steps[k].group == group + 1))
            return true;
    return false;
}

void sim_plan_of(const struct plan *plan, struct arena *arena, struct sim_plan *ret)
{
    bool in_place = has_step(plan, DOES_CHECKOUT);
    const char **names = arena_array(arena, plan->n_nodes + 1, sizeof(*names));
    uint8_t *flags = arena_array(arena, plan->n_nodes + 1, 1);
    *ret = (struct sim_plan){.session_ms = SESSION_MS, .warm_ms = WARM_MS, .commit_ms = COMMIT_MS};
    bridge_core_plan(plan, arena, &ret->core);
    ret->n_lbs = count_lbs(plan);
    for (uint32_t g = 0; g < ret->core.n_groups; g++)
        ret->bare[g] = !has_drain(&ret->core, g);
    for (size_t i = 0; i < plan->n_nodes; i++) {
        names[i] = plan->nodes[i].id;
        flags[i] = CORE_NODE_WAS_UP | CORE_NODE_HAS_BEFORE;
    }
    ret->names = names;
    ret->core.node_flags = flags;
    for (size_t i = 0; i < plan->n_steps; i++) {
        enum does does = does_of(&plan->steps[i], &ret->core.steps[i], in_place);
        ret->steps[i] =
            (struct sim_step){.label = plan->steps[i].label, .does = does, .ms = sim_usual_ms(does)};
        ret->check_sees_rev |= does == DOES_HEALTH && arg_of(&plan->steps[i], "rev_header") != NULL;
    }
}
