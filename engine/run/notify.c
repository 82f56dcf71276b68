/* SPDX-License-Identifier: MIT */
/* Telling chat rooms what a release does: beside it, never in its way. A dead or slow webhook costs the
 * release nothing but a few seconds at its very end. */
#include "run/probe_priv.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const struct plan_step *webhook_step(const char *json, const char *event, const char *text,
                                            struct arena *arena)
{
    json_t *object = json_loads(json, 0, NULL);
    size_t n = 0;
    struct op_pair *args = arena_array(arena, json_object_size(object) + 3, sizeof(*args));
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (json_is_string(value))
            args[n++] = (struct op_pair){.name = arena_strdup(arena, name),
                                         .value = arena_strdup(arena, json_string_value(value))};
    }
    json_decref(object);
    args[n++] = (struct op_pair){.name = "event", .value = event};
    args[n++] = (struct op_pair){.name = "text", .value = arena_strdup(arena, text)};
    struct plan_step *step = arena_alloc(arena, sizeof(*step));
    *step = (struct plan_step){
        .verb = "notify.webhook", .label = "notify", .phase = PHASE_HOOK_AFTER, .args = args, .n_args = n};
    return step;
}

struct job *notify_jobs(const struct job_basis *a, const char *event, const char *text)
{
    const struct plan *plan = a->plan;
    const struct verb *verb = verb_find("notify.webhook", NULL);
    struct job *first = NULL;
    for (size_t i = 0; verb && i < plan->n_events; i++) {
        if (strcmp(plan->events[i].name, event) != 0)
            continue;
        struct arena arena = {0};
        const struct plan_step *step = webhook_step(plan->events[i].value, event, text, &arena);
        struct job *job = bridge_probe_job(a, &(struct step_call){.step = step, .verb = verb});
        job->req.role = ROLE_NONE; /* nobody's outcome: the core does not hear of it */
        job->budget_ms = NOTIFY_MS;
        job->kept = arena; /* the step's strings live as long as the job */
        job->next = first;
        first = job;
    }
    return first;
}

void run_tell(const struct plan *plan, const char *event, const char *text, const struct run_options *opt)
{
    if (plan->n_events == 0)
        return;
    struct batch *b = batch_new(plan, opt);
    const struct job_basis basis = batch_basis(b);
    struct job *job = notify_jobs(&basis, event, text);
    for (struct job *next; job; job = next) {
        next = job->next;
        batch_take(b, job);
        batch_start(b, job);
    }
    batch_wait(b);
    batch_free(b);
}
