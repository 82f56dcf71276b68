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
    if (!store || !journal_step_times(store, plan->env, plan->name, arena, &times, &n_times, &err))
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
                                .usual_ms = usual_ms(times, n_times, plan->steps[i].verb, (int)i)};
    struct watch_plan *w = arena_alloc(arena, sizeof *w);
    *w = (struct watch_plan){.release = release,
                             .env = plan->env,
                             .app = plan->app,
                             .kind = plan->kind,
                             .rev = plan->rev ? plan->rev : "",
                             .plan_name = plan->name,
                             .nodes = nodes,
                             .n_nodes = plan->n_nodes,
                             .steps = steps,
                             .n_steps = plan->n_steps,
                             .stage_end = plan->stage_end,
                             .n_stages = plan->n_stages,
                             .window = plan->window,
                             .soak_ms = plan->soak_ms};
    return w;
}
