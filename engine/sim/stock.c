/* SPDX-License-Identifier: MIT */
/* The stock plans in small: the steps of plans/rolling.yml, in-place.yml, restart.yml and reload.yml with
 * usual durations. */
#include "sim/sim_priv.h"

#include <string.h>

#define BUILD_TIMEOUT_MS 600000
#define JUDGE_WAIT_MS    30000

struct stock_step {
    enum phase phase;
    enum does does;
};

static const struct stock_step rolling[] = {
    {PHASE_PREPARE, DOES_FETCH}, {PHASE_PREPARE, DOES_UNPACK}, {PHASE_PREPARE, DOES_BUILD},
    {PHASE_PREPARE, DOES_SEAL},  {PHASE_DRAIN, DOES_DRAIN},    {PHASE_DRAIN, DOES_IDLE},
    {PHASE_CHANGE, DOES_STOP},   {PHASE_CHANGE, DOES_SWITCH},  {PHASE_CHANGE, DOES_ONCE},
    {PHASE_CHANGE, DOES_START},  {PHASE_CHECK, DOES_RUNNING},  {PHASE_CHECK, DOES_HEALTH},
    {PHASE_ENABLE, DOES_ENABLE}, {PHASE_ENABLE, DOES_WAIT_UP}, {PHASE_VERIFY, DOES_VERIFY},
    {PHASE_FINISH, DOES_CLEAN},  {PHASE_COUNT, DOES_COUNT},
};
static const struct stock_step in_place[] = {
    {PHASE_PREPARE, DOES_FETCH}, {PHASE_DRAIN, DOES_DRAIN},     {PHASE_DRAIN, DOES_IDLE},
    {PHASE_CHANGE, DOES_STOP},   {PHASE_CHANGE, DOES_CHECKOUT}, {PHASE_CHANGE, DOES_BUILD},
    {PHASE_CHANGE, DOES_ONCE},   {PHASE_CHANGE, DOES_START},    {PHASE_CHECK, DOES_RUNNING},
    {PHASE_CHECK, DOES_HEALTH},  {PHASE_ENABLE, DOES_ENABLE},   {PHASE_ENABLE, DOES_WAIT_UP},
    {PHASE_VERIFY, DOES_VERIFY}, {PHASE_COUNT, DOES_COUNT},
};
static const struct stock_step restart[] = {
    {PHASE_DRAIN, DOES_DRAIN},   {PHASE_DRAIN, DOES_IDLE},     {PHASE_CHANGE, DOES_STOP},
    {PHASE_CHANGE, DOES_START},  {PHASE_CHECK, DOES_RUNNING},  {PHASE_CHECK, DOES_HEALTH},
    {PHASE_ENABLE, DOES_ENABLE}, {PHASE_ENABLE, DOES_WAIT_UP}, {PHASE_COUNT, DOES_COUNT},
};

static const struct stock_step reload[] = {
    {PHASE_PREPARE, DOES_FETCH}, {PHASE_PREPARE, DOES_UNPACK}, {PHASE_PREPARE, DOES_BUILD},
    {PHASE_PREPARE, DOES_SEAL},  {PHASE_DRAIN, DOES_DRAIN},    {PHASE_DRAIN, DOES_IDLE},
    {PHASE_CHANGE, DOES_STOP},   {PHASE_CHANGE, DOES_SWITCH},  {PHASE_CHANGE, DOES_ONCE},
    {PHASE_CHANGE, DOES_RELOAD}, {PHASE_CHECK, DOES_RUNNING},  {PHASE_CHECK, DOES_HEALTH},
    {PHASE_ENABLE, DOES_ENABLE}, {PHASE_ENABLE, DOES_WAIT_UP}, {PHASE_VERIFY, DOES_VERIFY},
    {PHASE_FINISH, DOES_CLEAN},  {PHASE_COUNT, DOES_COUNT},
};

int64_t sim_usual_ms(enum does does)
{
    static const int64_t ms[DOES_COUNT] = {
        [DOES_FETCH] = 2000,   [DOES_UNPACK] = 800,  [DOES_CHECKOUT] = 1200, [DOES_BUILD] = 5000,
        [DOES_SEAL] = 100,     [DOES_SWITCH] = 50,   [DOES_CLEAN] = 300,     [DOES_DRAIN] = 10,
        [DOES_IDLE] = 10,      [DOES_ENABLE] = 10,   [DOES_WAIT_UP] = 10,    [DOES_STOP] = 1500,
        [DOES_START] = 2000,   [DOES_RUNNING] = 20,  [DOES_RESTART] = 3500,  [DOES_HEALTH] = 30,
        [DOES_APP_PROBE] = 30, [DOES_VERIFY] = 40,   [DOES_CMD] = 1000,      [DOES_LOOK] = 30,
        [DOES_TELL] = 200,     [DOES_ONCE] = 3000,   [DOES_OTHER] = 30,      [DOES_REREAD] = 1000,
        [DOES_TRY] = 30,       [DOES_RELOAD] = 1200,
    };
    return ms[does];
}

static bool is_lb_step(enum does does)
{
    return does == DOES_DRAIN || does == DOES_IDLE || does == DOES_ENABLE || does == DOES_WAIT_UP;
}

static bool waits(enum does does)
{
    return does == DOES_IDLE || does == DOES_RUNNING || does == DOES_HEALTH || does == DOES_WAIT_UP ||
           does == DOES_VERIFY;
}

static struct core_step_def define(const struct sim_shape *shape, enum phase phase, enum does does)
{
    struct core_step_def def = {.phase = (uint8_t)phase,
                                .effect = waits(does) ? EFFECT_READ : EFFECT_CHANGE,
                                .waits = waits(does),
                                .has_observe = true,
                                .timeout_ms = 60000,
                                .interval_ms = 500};
    if (does == DOES_BUILD || does == DOES_ONCE || does == DOES_FETCH) {
        def.timeout_ms = BUILD_TIMEOUT_MS;
        def.interval_ms = 1000;
    }
    def.forward_only = does == DOES_FETCH || does == DOES_CLEAN;
    def.record_before = def.takes_out = does == DOES_DRAIN;
    def.gives_back = does == DOES_ENABLE;
    def.stops = does == DOES_STOP;
    def.of_host = phase == PHASE_PREPARE || phase == PHASE_FINISH || does == DOES_SWITCH;
    def.out_only = def.back_only = def.stops && strcmp(shape->plan, "reload") == 0;
    def.warns_back = does == DOES_CMD && phase == PHASE_CHANGE;
    def.stable = does == DOES_HEALTH ? 3 : 0;
    def.retries = waits(does) ? 0 : shape->retries;
    if (does == DOES_ONCE) {
        def.once = (uint8_t)shape->once;
        def.has_undo = shape->once_undo;
    }
    if (does == DOES_IDLE) {
        def.on_timeout = (uint8_t)shape->on_timeout;
        def.has_escalate = def.has_kill = true;
        def.escalate_ms = 30000;
    }
    if (does == DOES_TELL) {
        def.effect = EFFECT_ONEWAY;
        def.has_observe = false;
    }
    return def;
}

/* group: as in core_step_def. */
static void add(const struct sim_shape *shape, struct sim_plan *p, enum phase phase, enum does does,
                const char *label, uint8_t group)
{
    uint32_t k = p->core.n_steps++;
    p->core.steps[k] = define(shape, phase, does);
    p->core.steps[k].group = group;
    p->steps[k] = (struct sim_step){.label = label, .does = does, .ms = sim_usual_ms(does)};
}

static enum phase once_phase(const struct sim_shape *shape, enum phase phase)
{
    return shape->once == ONCE_BEFORE ? PHASE_BEFORE : shape->once == ONCE_AFTER ? PHASE_AFTER : phase;
}

/* One group's steps of a phase. */
static void add_phase(const struct sim_shape *shape, const struct stock_step *rows, struct sim_plan *p,
                      int phase, uint32_t g)
{
    uint8_t tag = p->core.n_groups > 1 ? (uint8_t)(g + 1) : 0;
    for (const struct stock_step *r = rows; r->phase != PHASE_COUNT; r++) {
        enum phase at = r->does == DOES_ONCE ? once_phase(shape, r->phase) : r->phase;
        bool skipped =
            (r->does == DOES_ONCE &&
             (shape->once == ONCE_NO ||
              (shape->once_role != g && (g >= shape->n_roles || shape->once_role < shape->n_roles)))) ||
            (is_lb_step(r->does) && (shape->n_lbs == 0 || p->bare[g])) ||
            (phase == PHASE_VERIFY && shape->unverified);
        if ((int)at == phase && !skipped)
            add(shape, p, at, r->does, does_name(r->does), tag);
        if (shape->hooks && phase == PHASE_CHANGE && !skipped && r->does == DOES_START)
            add(shape, p, PHASE_CHANGE, DOES_CMD, "hook-change", tag);
    }
}

static void add_all(const struct sim_shape *shape, const struct stock_step *rows, struct sim_plan *p)
{
    if (shape->hooks)
        add(shape, p, PHASE_HOOK_BEFORE, DOES_CMD, "hook-before", 0);
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        for (uint32_t g = 0; g < p->core.n_groups; g++)
            add_phase(shape, rows, p, phase, g);
    if (shape->hooks) {
        add(shape, p, PHASE_HOOK_AFTER, DOES_CMD, "hook-after", 0);
        add(shape, p, PHASE_HOOK_AFTER, DOES_TELL, "hook-tell", 0);
        add(shape, p, PHASE_HOOK_FAILURE, DOES_CMD, "hook-failure", 0);
    }
}

/* A stage ends where a role does, whatever else ends it. */
static uint32_t add_stage(struct core_plan *core, uint32_t end)
{
    uint32_t from = core->n_stages > 0 ? core->stage_end[core->n_stages - 1] : 0;
    for (uint32_t g = 0; g < core->n_groups; g++) {
        uint32_t at = core->groups[g].end < end ? core->groups[g].end : end;
        if (at > from && core->n_stages < CORE_STAGES_MAX)
            core->stage_end[core->n_stages++] = from = at;
    }
    return from;
}

static bool set_stages(const struct sim_shape *shape, struct core_plan *core, struct err *err)
{
    for (uint32_t i = 0; i < shape->n_stages; i++) {
        if (shape->stages[i] <= (i ? shape->stages[i - 1] : 0) || shape->stages[i] > shape->n_nodes)
            return err_set(err, E_USAGE, "stages must rise up to the number of nodes");
        add_stage(core, shape->stages[i]);
    }
    if (shape->n_stages == 0)
        add_stage(core, shape->n_nodes);
    return core->stage_end[core->n_stages - 1] == shape->n_nodes ||
           err_set(err, E_USAGE, "the last stage must be all nodes");
}

static bool set_groups(const struct sim_shape *shape, struct sim_plan *p, struct err *err)
{
    struct core_plan *core = &p->core;
    uint32_t first = 0;
    core->n_groups = shape->n_roles ? shape->n_roles : 1;
    for (uint32_t g = 0; g < core->n_groups; g++) {
        uint32_t n = shape->n_roles ? shape->roles[g] : shape->n_nodes;
        p->bare[g] = g < shape->n_bare;
        core->groups[g] = (struct core_group){
            .end = first + n,
            .window = shape->window ? shape->window : 1,
            .min_up = shape->min_up,
            .max_failed = shape->max_failed,
            .has_capacity = shape->n_lbs > 0 && !p->bare[g],
            .has_guard = shape->n_lbs > 0 && !p->bare[g],
            .soak_ms = shape->soak_ms,
            .judges = shape->judge && shape->soak_ms > 0 && shape->n_lbs > 0 && !p->bare[g],
            .unjudged = shape->judge_passes ? UNJUDGED_PASSES : UNJUDGED_STOPS,
            .judge_late = shape->judge_late,
            .judge_wait_ms = JUDGE_WAIT_MS};
        if (shape->n_roles > 1 && shape->min_up >= n)
            core->groups[g].min_up = n > 0 ? n - 1 : 0;
        if (n == 0)
            return err_set(err, E_USAGE, "role %u has no nodes", g + 1);
        first += n;
    }
    return first == shape->n_nodes ||
           err_set(err, E_USAGE, "the roles have %u nodes, not %u", first, shape->n_nodes);
}

/* A host ends where a role does. */
static bool set_hosts(const struct sim_shape *shape, const struct stock_step *rows, struct core_plan *core,
                      struct arena *arena, struct err *err)
{
    if (shape->instances < 2)
        return true;
    if (rows == in_place)
        return err_set(err, E_USAGE, "instances need a plan whose change leaves the running tree alone");
    uint32_t *first = arena_array(arena, core->n_nodes, sizeof(*first));
    for (uint32_t i = 0, g = 0, begin = 0; i < core->n_nodes; i++) {
        if (i == core->groups[g].end) {
            begin = i;
            g++;
        }
        first[i] = i - (i - begin) % shape->instances;
    }
    core->host_first = first;
    return true;
}

bool sim_plan_stock(const struct sim_shape *shape, struct arena *arena, struct sim_plan *ret, struct err *err)
{
    const struct stock_step *rows = strcmp(shape->plan, "rolling") == 0    ? rolling
                                    : strcmp(shape->plan, "in-place") == 0 ? in_place
                                    : strcmp(shape->plan, "restart") == 0  ? restart
                                    : strcmp(shape->plan, "reload") == 0   ? reload
                                                                           : NULL;
    if (!rows)
        return err_set(err, E_USAGE, "there is no plan '%s' (rolling, in-place, restart, reload)",
                       shape->plan);
    if (shape->n_nodes == 0 || shape->n_lbs > SIM_LBS_MAX || shape->n_maint + shape->n_new > shape->n_nodes)
        return err_set(err, E_USAGE, "wanted at least one node and at most %d balancers", SIM_LBS_MAX);
    *ret = (struct sim_plan){
        .n_lbs = shape->n_lbs, .session_ms = 1500, .warm_ms = 800, .check_sees_rev = !shape->blind_check};
    ret->core = (struct core_plan){.n_nodes = shape->n_nodes,
                                   .rollback_on_failure = !shape->stop_on_failure,
                                   .guard_ms = 2000,
                                   .floor_wait_ms = 60000,
                                   .unknown_grace_ms = 30000};
    uint8_t *flags = arena_array(arena, shape->n_nodes, 1);
    for (uint32_t i = 0; i < shape->n_nodes; i++) {
        uint32_t behind =
            shape->n_nodes - i; /* the last n_new ran nothing, those before them were in maintenance */
        bool is_new = behind <= shape->n_new, maint = behind <= shape->n_new + shape->n_maint;
        /* A new one is known to its balancers, who find nothing there. */
        flags[i] =
            (uint8_t)(is_new ? CORE_NODE_COMES_BACK : CORE_NODE_HAS_BEFORE | (maint ? 0 : CORE_NODE_WAS_UP));
        if (i < shape->n_down && !maint)
            flags[i] = CORE_NODE_HAS_BEFORE | CORE_NODE_COMES_BACK;
    }
    ret->core.node_flags = flags;
    if (!set_groups(shape, ret, err) || !set_hosts(shape, rows, &ret->core, arena, err))
        return false;
    add_all(shape, rows, ret);
    return set_stages(shape, &ret->core, err);
}
