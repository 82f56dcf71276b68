/* SPDX-License-Identifier: MIT */
#include "serve/watching_plan.h"

#include <string.h>

static int64_t usual_ms(const struct step_time *times, size_t n, const char *verb, int step)
{
    for (size_t i = 0; i < n; i++)
        if (times[i].step == step && strcmp(times[i].verb, verb) == 0)
            return times[i].median_ms;
    return -1;
}

const struct watch_plan *watching_plan(struct arena *arena, struct store *store, const struct plan *plan,
                                       int64_t release)
{
    struct step_time *times = NULL;
    size_t n_times = 0;
    struct err err; /* no past means no ETA, nothing worse */
    if (!store ||
        !journal_step_times(reader(store, arena), &(struct plan_runs){.env = plan->env, .plan = plan->name},
                            &times, &n_times, &err))
        n_times = 0;
    const char **nodes = arena_array(arena, plan->n_nodes + 1, sizeof *nodes);
    struct watch_step *steps = arena_array(arena, plan->n_steps + 1, sizeof *steps);
    for (size_t i = 0; i < plan->n_nodes; i++)
        nodes[i] = plan->nodes[i].id;
    for (size_t i = 0; i < plan->n_steps; i++)
        steps[i] =
            (struct watch_step){.label = plan->steps[i].label ? plan->steps[i].label : plan->steps[i].verb,
                                .verb = plan->steps[i].verb,
                                .counts = plan->steps[i].counts,
                                .phase = plan->steps[i].phase,
                                .role = plan->steps[i].role,
                                .usual_ms = usual_ms(times, n_times, plan->steps[i].verb, (int)i)};
    const char **roles = arena_array(arena, plan->n_roles + 1, sizeof *roles);
    uint32_t *windows = arena_array(arena, plan->n_roles + 1, sizeof *windows);
    uint8_t *role_of = arena_array(arena, plan->n_nodes + 1, sizeof *role_of);
    for (size_t r = 0; r < plan->n_roles; r++) {
        roles[r] = plan->roles[r].name;
        windows[r] = plan->roles[r].window;
    }
    for (size_t i = 0; i < plan->n_nodes; i++)
        role_of[i] = plan->nodes[i].role;
    struct watch_plan *w = arena_alloc(arena, sizeof *w);
    *w = (struct watch_plan){.release = release,
                             .env = plan->env,
                             .app = plan->app,
                             .kind = plan->kind,
                             .rev = plan->rev ? plan->rev : "",
                             .plan_name = plan->name,
                             .nodes = nodes,
                             .n_nodes = plan->n_nodes,
                             .roles = plan->n_roles ? roles : NULL,
                             .role_of = role_of,
                             .windows = windows,
                             .n_roles = plan->n_roles,
                             .steps = steps,
                             .n_steps = plan->n_steps,
                             .stage_end = plan->stage_end,
                             .n_stages = plan->n_stages,
                             .window = plan->window,
                             .soak_ms = plan->soak_ms};
    return w;
}
