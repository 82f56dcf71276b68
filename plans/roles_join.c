/* SPDX-License-Identifier: MIT */
/* The plans of the roles become one: steps in phase order and, in a phase, in the order of the roles; nodes role by role;
 * what runs once, once. */
#include "plans/roles_priv.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Written once, it runs once: where the same line came to several roles, the first of them has it. A line that stands
 * for a step of each block (balancer.ban) is the same only where it came from the same block. */
static bool runs_already(const struct plan *plan, const struct plan_step *step, uint8_t role)
{
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct plan_step *other = &plan->steps[i];
        if (other->once != ONCE_NO && other->role != role && strcmp(other->where, step->where) == 0 &&
            strcmp(other->verb, step->verb) == 0 && same_text(other->one_of, step->one_of))
            return true;
    }
    return false;
}

static void steps_join(struct joining *j, struct plan *plan)
{
    size_t n = 0;
    for (size_t r = 0; r < j->n_from; r++)
        n += j->from[r]->n_steps;
    plan->steps = arena_array(j->c->r.arena, n + 1, sizeof(*plan->steps));
    plan->n_steps = 0;
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        for (size_t r = 0; r < j->n_from; r++)
            for (size_t s = 0; s < j->from[r]->n_steps; s++) {
                struct plan_step step = j->from[r]->steps[s];
                bool hook = PHASE_IS_HOOK(step.phase);
                step.role = hook ? 0 : (uint8_t)(r + 1);
                if ((int)step.phase != phase || (hook && r > 0) ||
                    (step.once != ONCE_NO && runs_already(plan, &step, step.role)))
                    continue;
                plan->steps[plan->n_steps++] = step;
            }
    if (plan->n_steps > PLAN_STEPS_MAX)
        problems_add(j->c->r.problems, "%s: the roles have %zu steps together, at most %d",
                     place_text(j->c->r.arena, map_entry(release_block_of(j->c->pillar), "roles")->at),
                     plan->n_steps, PLAN_STEPS_MAX);
}

static const char *plan_var(const struct plan *plan, const char *name)
{
    return op_pair_value(plan->vars, plan->n_vars, name);
}

/* What the plan says for all, and this role otherwise, its nodes say themselves. */
static struct plan_node node_of_role(struct joining *j, size_t r, const struct plan_node *of)
{
    static const char *const names[] = {"recipe", "dir", "user"};
    struct plan_node node = *of;
    struct op_pair *vars = arena_array(j->c->r.arena, node.n_vars + 3, sizeof(*vars));
    memcpy(vars, node.vars, node.n_vars * sizeof(*vars));
    for (size_t i = 0; i < 3; i++) {
        const char *value = plan_var(j->from[r], names[i]), *first = plan_var(j->from[0], names[i]);
        if (value != NULL && strcmp(value, first) != 0 && op_pair_value(vars, node.n_vars, names[i]) == NULL)
            vars[node.n_vars++] = (struct op_pair){.name = names[i], .value = value};
    }
    node.vars = vars;
    node.role = (uint8_t)r;
    return node;
}

static void nodes_join(struct joining *j, struct plan *plan)
{
    size_t n = 0;
    for (size_t r = 0; r < j->n_from; r++)
        n += j->from[r]->n_nodes;
    plan->nodes = arena_array(j->c->r.arena, n + 1, sizeof(*plan->nodes));
    plan->n_nodes = plan->n_stages = 0;
    for (size_t r = 0; r < j->n_from; r++) {
        const struct plan *of = j->from[r];
        for (size_t s = 0; s < of->n_stages; s++) {
            if (plan->n_stages < PLAN_STAGES_MAX)
                plan->stage_end[plan->n_stages] = (uint32_t)plan->n_nodes + of->stage_end[s];
            if (++plan->n_stages == PLAN_STAGES_MAX + 1)
                problems_add(j->c->r.problems, "release: roles: more than %d stages in all roles together",
                             PLAN_STAGES_MAX);
        }
        for (size_t i = 0; i < of->n_nodes; i++)
            plan->nodes[plan->n_nodes + i] = node_of_role(j, r, &of->nodes[i]);
        plan->n_nodes += of->n_nodes;
    }
    if (plan->n_nodes > PLAN_NODES_MAX)
        problems_add(j->c->r.problems, "release: roles: %zu nodes in all roles together, at most %d",
                     plan->n_nodes, PLAN_NODES_MAX);
}

static void limits_join(struct joining *j, struct plan *plan)
{
    plan->roles = arena_array(j->c->r.arena, j->n_from, sizeof(*plan->roles));
    plan->n_roles = j->n_from;
    for (size_t r = 0; r < j->n_from; r++) {
        const struct plan *of = j->from[r];
        plan->roles[r] = (struct plan_role){.name = j->names[r],
                                            .window = of->window,
                                            .min_up = of->min_up,
                                            .max_failed = of->max_failed,
                                            .soak_ms = of->soak_ms,
                                            .judge = of->judge,
                                            .guard_step = of->guard_step,
                                            .show_step = of->show_step,
                                            .survey_step = of->survey_step,
                                            .probe_step = of->probe_step,
                                            .ssh_defaults = of->ssh_defaults};
        if (of->capacity)
            plan->roles[r].capacity_step = of->capacity_step;
        plan_role_mark(&plan->roles[r], r, j->c->r.arena);
    }
    plan_roles_widest(plan);
    plan->capacity_step = plan->guard_step = plan->show_step = plan->survey_step = plan->probe_step =
        (struct plan_step){.verb = NULL};
}

/* The plan's own, and how many nodes are left out of all roles. */
static void vars_join(struct joining *j, struct plan *plan)
{
    struct op_pair *vars = arena_array(j->c->r.arena, plan->n_vars + 1, sizeof(*vars));
    size_t all = 0;
    for (size_t r = 0; r < j->n; r++)
        all += j->roles[r].c.n_all_nodes;
    for (size_t i = 0; i < plan->n_vars; i++) {
        vars[i] = plan->vars[i];
        if (strcmp(vars[i].name, "left_out") == 0)
            vars[i].value = arena_printf(j->c->r.arena, "%zu", all - plan->n_nodes);
    }
    plan->vars = vars;
}

static void secrets_join(struct joining *j, struct plan *plan)
{
    size_t n = 0;
    for (size_t r = 0; r < j->n_from; r++)
        n += j->from[r]->n_secrets;
    struct op_pair *secrets = arena_array(j->c->r.arena, n + 1, sizeof(*secrets));
    plan->n_secrets = 0;
    for (size_t r = 0; r < j->n_from; r++)
        for (size_t i = 0; i < j->from[r]->n_secrets; i++)
            if (op_pair_value(secrets, plan->n_secrets, j->from[r]->secrets[i].name) == NULL)
                secrets[plan->n_secrets++] = j->from[r]->secrets[i];
    plan->secrets = secrets;
}

/* Who is of no role (hooks) logs in as the release says, else as the first role that is written: whatever roles are in
 * this plan. */
static void ssh_join(struct joining *j, struct plan *plan)
{
    struct compiler *c = j->c;
    const struct value *ssh = map_get(release_block_of(c->pillar), "ssh");
    plan->ssh_defaults = j->roles[0].c.plan->ssh_defaults;
    if (value_is_null(ssh))
        return;
    struct ssh_block all = {.transport = "ssh"};
    (void)ssh_read(c, ssh, "release: ssh", &all);
    plan->ssh_defaults.transport = all.transport;
    plan->ssh_defaults.ssh = ssh_way(&all);
}

void roles_join(struct joining *j)
{
    struct plan *plan = j->c->plan;
    for (size_t r = 0; r < j->n; r++)
        if (j->roles[r].c.plan->n_nodes > 0) {
            j->names[j->n_from] = j->roles[r].e->key;
            j->from[j->n_from++] = j->roles[r].c.plan;
        }
    *plan = *j->from[0];
    steps_join(j, plan);
    nodes_join(j, plan);
    limits_join(j, plan);
    vars_join(j, plan);
    secrets_join(j, plan);
    ssh_join(j, plan);
}
