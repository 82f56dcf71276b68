/* SPDX-License-Identifier: MIT */
/* The switch on events, and what the outside may ask. */
#include "core/core_priv.h"

#include <string.h>

size_t core_size(const struct core_plan *plan)
{
    return sizeof(struct core) + ((size_t)plan->n_nodes + 1) * sizeof(struct node);
}

uint32_t core_group_of(const struct core_plan *plan, uint32_t node)
{
    uint32_t g = 0;
    while (g + 1 < plan->n_groups && node >= plan->groups[g].end)
        g++;
    return g;
}

static void find_way(struct core *core, uint32_t g)
{
    const struct core_plan *plan = core->plan;
    struct way *w = &core->ways[g];
    bool takes_out = false;
    *w = (struct way){.drain_step = CORE_NO_STEP,
                      .change_step = core->phase_first[PHASE_CHECK],
                      .up_step = CORE_NO_STEP,
                      .soak_step = CORE_NO_STEP,
                      .dir_step = CORE_NO_STEP};
    for (uint16_t i = (uint16_t)plan->n_steps; i-- > 0;) {
        const struct core_step_def *def = &plan->steps[i];
        if (!step_is_of(def, g))
            continue;
        w->gives_back |= def->gives_back || (def->phase == PHASE_ENABLE && def->effect != EFFECT_READ);
        w->takes_elsewhere |= def->takes_out && def->phase != PHASE_DRAIN;
        w->changes |= def->phase == PHASE_CHANGE;
        w->of_host |= def->of_host;
        if (def->of_host && def->phase == PHASE_CHANGE && w->dir_step == CORE_NO_STEP)
            w->dir_step = i;
        if (def->phase == PHASE_DRAIN && def->effect == EFFECT_CHANGE && (def->takes_out || !takes_out))
            w->drain_step = i;
        takes_out |= def->phase == PHASE_DRAIN && def->takes_out;
        if (def->phase == PHASE_CHANGE)
            w->change_step = i;
        if (def->phase == PHASE_ENABLE && def->waits)
            w->up_step = i;
        /* The last one: it asks the most (http.check stands behind app.running). */
        if (def->phase == PHASE_CHECK && def->waits && w->soak_step == CORE_NO_STEP)
            w->soak_step = i;
    }
}

static void find_steps(struct core *core)
{
    const struct core_plan *plan = core->plan;
    uint32_t s = 0;
    for (uint32_t phase = 0; phase <= PHASE_COUNT; phase++) {
        while (s < plan->n_steps && plan->steps[s].phase < phase)
            s++;
        core->phase_first[phase] = (uint16_t)s;
    }
    for (uint32_t g = 0; g < plan->n_groups; g++)
        find_way(core, g);
}

struct core *core_init(void *mem, const struct core_plan *plan)
{
    struct core *core = mem;
    memset(mem, 0, core_size(plan));
    core_must(plan->n_groups >= 1 && plan->n_groups <= CORE_GROUPS_MAX);
    core->plan = plan;
    find_steps(core);
    apply_first(core);
    readings_forget(core);
    core->min_due = CORE_NEVER;
    for (uint32_t i = 0; i <= plan->n_nodes; i++) {
        struct node *n = &core->nodes[i];
        n->started = -1;
        n->gauge_said = -1;
        n->guard_due = 0;
    }
    return core;
}

void core_replay(struct core *core, const struct record *row)
{
    core_apply(core, row);
}

static void on_outcome(struct core *core, struct update *up, const struct event *ev)
{
    uint32_t none = core->plan->n_nodes;
    if (ev->op == 0 || ev->node > none)
        return;
    struct node *n = &core->nodes[ev->node];
    if (core->judge_op == ev->op && ev->node == none) {
        core->n_inflight--;
        core->judge_op = 0;
        judge_outcome(core, up, ev);
    } else if (n->op == ev->op) {
        core->n_inflight--;
        node_outcome(core, up, ev->node, ev);
    } else if (n->side_op == ev->op && ev->node == none) {
        core->n_inflight--;
        n->side_op = 0;
        roll_capacity_outcome(core, ev);
    } else if (n->side_op == ev->op) {
        core->n_inflight--;
        guard_outcome(core, up, ev->node, ev);
    }
}

/* Everybody whose time has come. */
static void on_time(struct core *core, struct update *up)
{
    if (core->now < core->min_due)
        return;
    each_node(core, i)
    {
        struct node *n = &core->nodes[i];
        if (core->kept.soaking && n->kept.state == NODE_DONE && way_of(core, i)->soak_step != CORE_NO_STEP)
            roll_soak_look(core, up, i);
        else if (n->due <= core->now)
            node_advance(core, up, i);
        guard_look(core, up, i);
    }
    node_advance(core, up, core->plan->n_nodes);
    judge_look(core, up);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The next moment at which somebody's time comes. What is due already had its turn above; it moves on by an
 * outcome, or, when the update was full, at once. */
static void find_min_due(struct core *core)
{
    if (core->now < core->min_due)
        return;
    core->min_due = core->more ? core->now : CORE_NEVER;
    for (uint32_t i = 0; i <= core->plan->n_nodes; i++) {
        const struct node *n = &core->nodes[i];
        if (!n->op && n->due > core->now)
            core->min_due = least(core->min_due, n->due);
        if (!n->side_op && node_drained(n) && n->guard_due > core->now)
            core->min_due = least(core->min_due, n->guard_due);
        if (core->kept.soaking && !core->kept.stop && n->kept.state == NODE_DONE && !n->op &&
            n->due <= core->now && way_of(core, i)->soak_step != CORE_NO_STEP)
            core->min_due = core->now; /* its first look of this soak */
    }
    if (core->kept.soaking && core->soak_until > core->now)
        core->min_due = least(core->min_due, core->soak_until);
    core->min_due = least(core->min_due, judge_due(core));
    for (uint32_t g = 0; g < core->plan->n_groups; g++)
        if (core->readings[g].due > core->now)
            core->min_due = least(core->min_due, core->readings[g].due);
}

void core_step(struct core *core, const struct event *ev, struct update *ret)
{
    ret->n_records = ret->n_ops = 0;
    ret->cancel_all = false;
    if (ev->now_ms > core->now)
        core->now = ev->now_ms; /* time never runs back in here */
    core->more = false;
    if (ev->kind == EV_GIVE_UP) { /* the order behind it moves things */
        if (ev->node < core->plan->n_nodes)
            emit_note(core, ret, NOTE_GIVEN_UP, ev->node, CORE_NO_STEP, 0, 0);
        return;
    }
    switch (ev->kind) {
    case EV_START:
        if (core->kept.life == LIFE_NEW)
            emit(core, ret,
                 (struct record){.kind = ROW_ORDER,
                                 .code = ORDER_START,
                                 .node = core->plan->n_nodes,
                                 .step = CORE_NO_STEP});
        else
            life_order(core, ret, ORDER_RESUME);
        break;
    case EV_OUTCOME: on_outcome(core, ret, ev); break;
    case EV_ORDER: life_order(core, ret, ev->order); break;
    case EV_GIVE_UP:
    case EV_TIMER: break;
    }
    if (life_order_written(core, ret)) {
        on_time(core, ret);
        life_pump(core, ret);
    }
    for (uint32_t g = 0; !core->more && g < core->plan->n_groups; g++)
        reading_ends(&core->readings[g]); /* it serves the admissions of one moment */
    find_min_due(core);
}

int64_t core_due(const struct core *core)
{
    if (core->kept.ended)
        return CORE_NEVER;
    return core->more ? core->now : core->min_due;
}

bool core_ended(const struct core *core, int *ret_exit, enum why *ret_why)
{
    *ret_exit = (int)core->kept.exit_status;
    *ret_why = (enum why)core->kept.why;
    return core->kept.ended;
}

enum life core_life(const struct core *core)
{
    return (enum life)core->kept.life;
}

void core_view(const struct core *core, uint32_t node, struct core_view *ret)
{
    const struct node *n = &core->nodes[node];
    *ret = (struct core_view){.state = (enum node_state)n->kept.state,
                              .step = n->op ? n->op_step : node_step(core, n),
                              .back = n->kept.state == NODE_BACK,
                              .debt = n->kept.debt,
                              .touched = n->kept.touched,
                              .busy = n->op != 0,
                              .attempt = n->kept.attempt};
}

uint32_t core_lost(const struct core *core)
{
    return core->kept.n_lost;
}

uint32_t core_count(const struct core *core, enum node_state state)
{
    return core->kept.counts[state];
}
