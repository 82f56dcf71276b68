#include "sim/from_plan.h"

#include <string.h>

#include "drivers/balancer/balancer.h"
#include "run/bridge.h"

#define SESSION_MS 1500
#define WARM_MS    800
#define COMMIT_MS  2

static int64_t usual_ms(enum sim_does does)
{
    static const int64_t ms[] = {
#define MS(n, t, m) m,
        SIM_DOES_LIST(MS)
#undef MS
    };
    return ms[does];
}

/* Drivers of one kind name their verbs alike: haproxy.drain, varnish.drain. */
static const struct {
    const char *verb; /* whole, or ".verb" of any driver */
    enum sim_does does;
} verbs[] = {
    {"git.fetch", DOES_FETCH},       {"git.checkout", DOES_CHECKOUT},  {"git.running", DOES_VERIFY},
    {"release.unpack", DOES_UNPACK}, {"release.seal", DOES_SEAL},      {"release.switch", DOES_SWITCH},
    {"release.clean", DOES_CLEAN},   {"release.running", DOES_VERIFY}, {"http.check", DOES_HEALTH},
    {"npm.install", DOES_BUILD},     {".drain", DOES_DRAIN},           {".wait_idle", DOES_IDLE},
    {".enable", DOES_ENABLE},        {".wait_up", DOES_WAIT_UP},       {".stop", DOES_STOP},
    {".start", DOES_START},          {".restart", DOES_RESTART},       {".running", DOES_RUNNING},
    {".reread", DOES_CMD},
};

static bool named(const char *verb, const char *pattern)
{
    size_t n = strlen(verb), m = strlen(pattern);
    return *pattern == '.' ? n > m && strcmp(verb + n - m, pattern) == 0 : strcmp(verb, pattern) == 0;
}

static enum sim_does does_of(const struct plan_step *step, const struct core_step_def *def, bool in_place)
{
    if (def->once != ONCE_NO)
        return DOES_ONCE;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (named(step->verb, verbs[i].verb))
            return verbs[i].does;
    if (def->effect == EFFECT_ONEWAY)
        return DOES_TELL;
    if (def->effect == EFFECT_READ)
        return DOES_LOOK;
    return step->phase == PHASE_PREPARE || (step->phase == PHASE_CHANGE && in_place) ? DOES_BUILD : DOES_CMD;
}

static bool has_verb(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n_steps; i++)
        if (strcmp(plan->steps[i].verb, name) == 0)
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

void sim_plan_of(const struct plan *plan, struct arena *arena, struct sim_plan *ret)
{
    bool in_place = has_verb(plan, "git.checkout");
    const char **names = arena_array(arena, plan->n_nodes + 1, sizeof(*names));
    uint8_t *flags = arena_array(arena, plan->n_nodes + 1, 1);
    *ret = (struct sim_plan){.session_ms = SESSION_MS, .warm_ms = WARM_MS, .commit_ms = COMMIT_MS};
    bridge_core_plan(plan, arena, &ret->core);
    ret->n_lbs = count_lbs(plan);
    for (size_t i = 0; i < plan->n_nodes; i++) {
        names[i] = plan->nodes[i].id;
        flags[i] = CORE_NODE_WAS_UP | CORE_NODE_HAS_BEFORE;
    }
    ret->names = names;
    ret->core.node_flags = flags;
    for (size_t i = 0; i < plan->n_steps; i++) {
        enum sim_does does = does_of(&plan->steps[i], &ret->core.steps[i], in_place);
        ret->steps[i] = (struct sim_step){.label = plan->steps[i].label, .does = does, .ms = usual_ms(does)};
        ret->check_sees_rev |= does == DOES_HEALTH && arg_of(&plan->steps[i], "rev_header") != NULL;
    }
}
