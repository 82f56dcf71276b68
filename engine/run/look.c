/* SPDX-License-Identifier: MIT */
#include "run/look.h"
#include "run/probe_priv.h"

#include <stdlib.h>
#include <string.h>

static const char *fact(const struct job *job, const char *name)
{
    const char *found = "";
    for (size_t i = 0; job && job->result && i < job->result->n_facts; i++)
        if (strcmp(job->result->facts[i].name, name) == 0)
            found = job->result->facts[i].value;
    return found;
}

static const char *kept_fact(const struct job *job, const char *name, struct arena *arena)
{
    return arena_strdup(arena, fact(job, name));
}

void look_init(struct look *look, const struct plan_node *node)
{
    *look = (struct look){.node = node->id,
                          .text = "",
                          .disk = node->rev_before ? node->rev_before : "",
                          .states = "",
                          .app_text = "",
                          .now = "",
                          .config = "",
                          .runs = "",
                          .how = "",
                          .unseen = "",
                          .old = ""};
}

const struct plan_step *look_app_step(const struct plan *plan, const struct plan_node *node,
                                      const struct verb **ret)
{
    const struct plan_step *found = NULL;
    for (size_t s = 0; s < plan->n_steps; s++) {
        const struct plan_step *step = &plan->steps[s];
        const struct driver *driver;
        if (!plan_takes(step, node) || step->phase != PHASE_CHANGE || !verb_find(step->verb, &driver) ||
            !driver_verb(driver, DOES_APP_PROBE))
            continue;
        const struct verb *probe = driver_verb(driver, DOES_APP_PROBE);
        /* What a reload needs is asked with its arguments, whatever of that driver stands before it. */
        if (!found || (probe == *ret && verb_does(step->verb) == DOES_RELOAD)) {
            *ret = probe;
            found = step;
        }
    }
    return found;
}

void look_take_app(struct look *look, const struct job *app, struct arena *arena)
{
    if (!app)
        return;
    if (app->result->outcome != OUT_OK)
        look->app_text = arena_strdup(arena, app->result->err.text);
    look->states = kept_fact(app, "app.states", arena);
    look->now = kept_fact(app, "app.now", arena);
    look->config = kept_fact(app, "app.config", arena);
    look->brings = strcmp(fact(app, "app.brings"), "yes") == 0;
}

/* ---- the processes */

static const struct plan_step *running_step(const struct plan *plan, const struct plan_node *node)
{
    for (size_t s = 0; s < plan->n_steps; s++)
        if (plan_takes(&plan->steps[s], node) && verb_does(plan->steps[s].verb) == DOES_VERIFY)
            return &plan->steps[s];
    return NULL;
}

static void take_processes(struct look *look, const struct job *job, struct arena *arena)
{
    look->runs = kept_fact(job, "running_rev", arena);
    look->how = kept_fact(job, "how", arena);
    look->unseen = kept_fact(job, "unseen", arena);
    look->old = kept_fact(job, "old_pids", arena);
    if (!*look->how && job->result->outcome != OUT_OK)
        look->text = arena_strdup(arena, job->result->err.text);
}

/* The verb that verifies a release, asked whether each node runs what is on its disk. */
static void ask_processes(const struct plan *plan, struct arena *arena, const struct run_options *opt,
                          struct look *looks)
{
    struct plan there = *plan;
    there.nodes = arena_array(arena, plan->n_nodes + 1, sizeof(*there.nodes));
    struct job **jobs = arena_array(arena, plan->n_nodes + 1, sizeof(struct job *));
    struct op_pair *started = arena_array(arena, plan->n_nodes + 1, sizeof(*started));
    struct batch *b = batch_new(&there, opt);
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_step *step = running_step(plan, &plan->nodes[i]);
        jobs[i] = NULL;
        if (!step || !*looks[i].disk || looks[i].outcome != OUT_OK)
            continue;
        there.nodes[i] = plan->nodes[i];
        there.nodes[i].rev = looks[i].disk;
        started[i] = (struct op_pair){.name = "app.started", .value = looks[i].now};
        jobs[i] = batch_later(b, step, verb_find(step->verb, NULL), &there.nodes[i]);
        jobs[i]->spec.recall = &started[i];
        jobs[i]->spec.n_recall = *looks[i].now ? 1 : 0;
        batch_start(b, jobs[i]);
    }
    batch_wait(b);
    for (size_t i = 0; i < plan->n_nodes && !b->canceled; i++)
        if (jobs[i])
            take_processes(&looks[i], jobs[i], arena);
    batch_free(b);
}

bool run_look(const struct plan *plan, struct arena *arena, const struct run_options *opt, struct look **ret,
              struct err *err)
{
    for (size_t i = 0; i < plan->n_nodes; i++)
        if (!plan_probe(plan, &plan->nodes[i]))
            return err_set(err, E_CONFIG, "the plan %s knows no way to ask a node what it runs", plan->name);
    struct look *looks = arena_array(arena, plan->n_nodes + 1, sizeof(*looks));
    struct job **jobs = arena_array(arena, 2 * plan->n_nodes + 1, sizeof(struct job *));
    struct batch *b = batch_new(plan, opt);
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_step *probe = plan_probe(plan, &plan->nodes[i]);
        const struct verb *app_verb = NULL;
        const struct plan_step *app_step = look_app_step(plan, &plan->nodes[i], &app_verb);
        jobs[2 * i] = batch_later(b, probe, verb_find(probe->verb, NULL), &plan->nodes[i]);
        jobs[2 * i + 1] =
            app_step ? batch_add_after(b, jobs[2 * i], app_step, app_verb, &plan->nodes[i]) : NULL;
        batch_start(b, jobs[2 * i]);
    }
    batch_wait(b);
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct op_result *result = jobs[2 * i]->result;
        look_init(&looks[i], &plan->nodes[i]);
        looks[i].outcome = result->outcome;
        looks[i].text = arena_strdup(arena, result->err.text);
        looks[i].disk = kept_fact(jobs[2 * i], "rev_before", arena);
        look_take_app(&looks[i], jobs[2 * i + 1], arena);
    }
    bool canceled = b->canceled;
    batch_free(b);
    if (!canceled)
        ask_processes(plan, arena, opt, looks);
    *ret = looks;
    return true;
}

/* ---- what it means */

const char *look_down(const struct look *look, struct arena *arena)
{
    auto_buf struct buf down = BUF_INIT(4000);
    bool any_up = false;
    for (const char *p = look->states; *p;) {
        size_t n = strcspn(p, ",");
        const char *end = p + n, *state = end;
        while (state > p && state[-1] != ' ')
            state--;
        size_t len = (size_t)(end - state);
        bool up = (len == 7 && memcmp(state, "RUNNING", 7) == 0) || (len == 2 && memcmp(state, "up", 2) == 0);
        bool ended = len == 6 && memcmp(state, "EXITED", 6) == 0;
        any_up |= up;
        if (!up && !ended)
            buf_printf(&down, "%s%.*s", down.len ? ", " : "", (int)n, p);
        p = end + strspn(end, ", ");
    }
    if (*look->states && !any_up && down.len == 0)
        buf_puts(&down, look->states); /* one-shots only, and all of them have ended */
    return arena_strdup(arena, buf_str(&down));
}

bool look_runs(const struct look *look, const char *rev)
{
    auto_arena struct arena scratch = {0};
    return look->outcome == OUT_OK && !*look->text && !*look->app_text && strcmp(look->disk, rev) == 0 &&
           strcmp(look->runs, rev) == 0 && !*look->unseen && !*look->old && !*look_down(look, &scratch);
}

/* Nothing that runs there comes from a release: a new one would change nothing, and nobody could tell. */
static void check_seen(const struct plan *plan, const struct look *look, const struct run_options *opt,
                       struct problems *problems)
{
    struct problems *to = plan->kind == KIND_ROLLBACK ? opt->warnings : problems;
    if (*look->unseen && to)
        problems_add(to, "%s: what runs there is not seen to come from the release: %s", look->node,
                     look->unseen);
}

/* Does the release of any node that takes the step bring a configuration, as far as is known? */
static bool any_brings(const struct plan *plan, const struct plan_step *step, const struct look *looks)
{
    for (size_t i = 0; i < plan->n_nodes; i++)
        if (plan_takes(step, &plan->nodes[i]) && (looks[i].brings || *looks[i].app_text))
            return true;
    return false;
}

/* Steps that take in a configuration, where no node's release brings one. */
static void drop_reread(struct plan *plan, const struct look *looks)
{
    size_t k = 0;
    for (size_t s = 0; s < plan->n_steps; s++)
        if (verb_does(plan->steps[s].verb) != DOES_REREAD || any_brings(plan, &plan->steps[s], looks))
            plan->steps[k++] = plan->steps[s];
    plan->n_steps = k;
}

void look_check(struct plan *plan, struct arena *arena, const struct run_options *opt, struct look *looks,
                struct problems *problems)
{
    ask_processes(plan, arena, opt, looks);
    for (size_t i = 0; i < plan->n_nodes; i++) {
        check_seen(plan, &looks[i], opt, problems);
        if (*looks[i].config && opt->warnings)
            problems_add(opt->warnings, "%s: %s", looks[i].node, looks[i].config);
    }
    drop_reread(plan, looks);
}
