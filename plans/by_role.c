/* SPDX-License-Identifier: MIT */
/* Roles of a plan, for whoever reads it. */
#include "plans/judge.h"

size_t plan_n_roles(const struct plan *plan)
{
    return plan->n_roles > 0 ? plan->n_roles : 1;
}

struct plan_role plan_role_of(const struct plan *plan, size_t role)
{
    if (role < plan->n_roles)
        return plan->roles[role];
    return (struct plan_role){.name = "",
                              .window = plan->window,
                              .min_up = plan->min_up,
                              .max_failed = plan->max_failed,
                              .soak_ms = plan->soak_ms,
                              .judge = plan->judge,
                              .capacity_step = plan->capacity ? plan->capacity_step : (struct plan_step){0},
                              .guard_step = plan->guard_step,
                              .show_step = plan->show_step,
                              .survey_step = plan->survey_step,
                              .probe_step = plan->probe_step};
}

const char *plan_role_name(const struct plan *plan, const struct plan_node *node)
{
    return node->role < plan->n_roles ? plan->roles[node->role].name : NULL;
}

size_t plan_role_count(const struct plan *plan, size_t role)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n_nodes; i++)
        n += plan->nodes[i].role == role;
    return n;
}

const struct plan_step *plan_probe(const struct plan *plan, const struct plan_node *node)
{
    const struct plan_step *step =
        node->role < plan->n_roles ? &plan->roles[node->role].probe_step : &plan->probe_step;
    return step->verb != NULL ? step : NULL;
}

bool plan_role_takes(const struct plan_step *step, size_t role)
{
    return step->role == 0 || step->role == role + 1;
}

bool plan_takes(const struct plan_step *step, const struct plan_node *node)
{
    return plan_role_takes(step, node->role);
}

const struct target *plan_ssh(const struct plan *plan, const struct plan_step *step,
                              const struct plan_node *node)
{
    size_t role = node != NULL ? node->role : step->role > 0 ? step->role - 1u : PLAN_ROLES_MAX;
    bool own = role < plan->n_roles && plan->roles[role].ssh_defaults.transport != NULL;
    return own ? &plan->roles[role].ssh_defaults : &plan->ssh_defaults;
}

static struct plan_judge *judge_copy(const struct plan_judge *judge, struct arena *arena)
{
    struct plan_judge *copy = judge == NULL ? NULL : arena_alloc(arena, sizeof(*copy));
    if (copy != NULL)
        *copy = *judge;
    return copy;
}

void plan_role_mark(struct plan_role *role, size_t number, struct arena *arena)
{
    struct plan_judge *judge = judge_copy(role->judge, arena);
    struct plan_step *beside[] = {&role->capacity_step, &role->guard_step,
                                  &role->show_step,     &role->survey_step,
                                  &role->probe_step,    judge == NULL ? NULL : &judge->step};
    role->judge = judge;
    for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
        for (struct plan_step *step = beside[i]; step != NULL;) {
            struct plan_step *also = step->also == NULL ? NULL : arena_alloc(arena, sizeof(*also));
            if (also != NULL)
                *also = *step->also;
            step->role = (uint8_t)(number + 1);
            step->also = also;
            step = also;
        }
}

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void plan_roles_widest(struct plan *plan)
{
    plan->window = plan->min_up = plan->max_failed = 0;
    plan->soak_ms = 0;
    plan->judge = NULL;
    plan->capacity = false;
    for (size_t r = 0; r < plan->n_roles; r++) {
        const struct plan_role *of = &plan->roles[r];
        plan->window = most(plan->window, of->window);
        plan->min_up = most(plan->min_up, of->min_up);
        plan->max_failed = most(plan->max_failed, of->max_failed);
        plan->soak_ms = of->soak_ms > plan->soak_ms ? of->soak_ms : plan->soak_ms;
        plan->capacity |= of->capacity_step.verb != NULL;
    }
}

void plan_roles_drop_empty(struct plan *plan, struct arena *arena)
{
    struct plan_role *roles = arena_array(arena, plan->n_roles + 1, sizeof(*roles));
    uint8_t now[PLAN_ROLES_MAX + 1] = {0}; /* as in struct plan_step: 0 = everybody's, or nobody's any more */
    size_t n = 0, n_steps = 0;
    for (size_t r = 0; r < plan->n_roles; r++)
        if (plan_role_count(plan, r) > 0) {
            roles[n] = plan->roles[r];
            plan_role_mark(&roles[n], n, arena);
            now[r + 1] = (uint8_t)++n;
        }
    if (n == plan->n_roles)
        return;
    for (size_t i = 0; i < plan->n_nodes; i++)
        plan->nodes[i].role = (uint8_t)(now[plan->nodes[i].role + 1] - 1);
    for (size_t s = 0; s < plan->n_steps; s++) {
        struct plan_step step = plan->steps[s];
        if (step.role > 0 && now[step.role] == 0)
            continue;
        step.role = now[step.role];
        plan->steps[n_steps++] = step;
    }
    plan->roles = roles;
    plan->n_roles = n;
    plan->n_steps = n_steps;
    plan_roles_widest(plan);
}

void plan_roles_reverse(struct plan *plan, struct arena *arena)
{
    size_t n = plan->n_roles, k = 0;
    struct plan_node *nodes = arena_array(arena, plan->n_nodes + 1, sizeof(*nodes));
    struct plan_role *roles = arena_array(arena, n + 1, sizeof(*roles));
    if (n < 2)
        return;
    for (size_t r = n; r-- > 0;)
        for (size_t i = 0; i < plan->n_nodes; i++)
            if (plan->nodes[i].role == r) {
                nodes[k] = plan->nodes[i];
                nodes[k++].role = (uint8_t)(n - 1 - r);
            }
    for (size_t r = 0; r < n; r++) {
        roles[r] = plan->roles[n - 1 - r];
        plan_role_mark(&roles[r], r, arena);
    }
    for (size_t s = 0; s < plan->n_steps; s++)
        if (plan->steps[s].role > 0)
            plan->steps[s].role = (uint8_t)(n + 1 - plan->steps[s].role);
    plan->nodes = nodes;
    plan->roles = roles;
}
