/* SPDX-License-Identifier: MIT */
/* Numbers of nodes: stages, window, floor, budget. Window and stages round up to at least 1, the floor rounds
 * up, the budget of failures rounds down: every rounding is the careful one. */
#include "plans/compile_priv.h"

#include <string.h>

static uint32_t share_of(const struct share *s, size_t n, bool up)
{
    if (!s->percent)
        return (uint32_t)s->n;
    return (uint32_t)(((uint64_t)s->n * n + (up ? 99 : 0)) / 100);
}

static uint32_t at_least_one(uint32_t n)
{
    return n == 0 ? 1 : n;
}

static uint32_t at_most(uint32_t n, size_t max)
{
    return n > max ? (uint32_t)max : n;
}

static void stage_add(struct plan *plan, uint32_t end)
{
    uint32_t before = plan->n_stages == 0 ? 0 : plan->stage_end[plan->n_stages - 1];
    if (end > before && plan->n_stages < PLAN_STAGES_MAX)
        plan->stage_end[plan->n_stages++] = end;
}

/* [5, 2] and [50%, 10%] are mistakes; [5, 25%] on ten nodes is not, whatever comes out. */
static void stages_of_list(struct compiler *c, const struct value *list)
{
    struct share last = {.given = false};
    if (list->n == 0)
        problem_at(c->r.problems, list->at, "stages: the list is empty (wanted: [1, 25%%, 100%%])");
    if (list->n > PLAN_STAGES_MAX)
        problem_at(c->r.problems, list->at, "stages: %zu stages, at most %d", list->n, PLAN_STAGES_MAX);
    for (size_t i = 0; i < list->n; i++) {
        struct share s;
        if (!share_read(&c->r, list->items[i], "stages", &s))
            continue;
        if (s.n == 0)
            problem_at(c->r.problems, s.at, "stages: a stage of 0 nodes");
        if (last.given && last.percent == s.percent && s.n <= last.n)
            problem_at(c->r.problems, s.at, "stages: '%s' comes after '%s', and stages only grow",
                       list->items[i]->text, list->items[i - 1]->text);
        last = s;
        stage_add(c->plan, at_most(at_least_one(share_of(&s, c->plan->n_nodes, true)), c->plan->n_nodes));
    }
}

/* "1,25%,100%" of the command line. */
static const struct value *list_of_option(struct compiler *c, const char *text)
{
    struct place at = {.file = "--stage"};
    struct value *list = value_list(c->r.arena, at);
    for (const char *s = text; *s != '\0';) {
        size_t n = strcspn(s, ",");
        list_add(c->r.arena, list, value_scalar(c->r.arena, at, arena_strndup(c->r.arena, s, n)));
        s += n + (s[n] == ',');
    }
    return list;
}

static const struct value *stages_value(struct compiler *c)
{
    if (c->req->stages != NULL)
        return list_of_option(c, c->req->stages);
    const struct value *v = c->b.stages;
    if (v == NULL || v->kind == VALUE_LIST)
        return v;
    struct value *list = value_list(c->r.arena, v->at);
    list_add(c->r.arena, list, v);
    return list;
}

static void window_set(struct compiler *c)
{
    struct plan *plan = c->plan;
    struct share window = c->b.window.given ? c->b.window : (struct share){.n = 1, .at = c->b.window.at};
    if (c->req->window != NULL) {
        struct place at = {.file = "--window"};
        (void)share_read(&c->r, value_scalar(c->r.arena, at, c->req->window), "window", &window);
    }
    if (window.n == 0)
        problem_at(c->r.problems, window.at,
                   "window: no node may be out, so nothing can be released (wanted: 1 or more)");
    plan->window = at_most(at_least_one(share_of(&window, plan->n_nodes, true)), plan->n_nodes);
}

static bool takes_nodes_out(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_steps; i++)
        if (plan->steps[i].phase == PHASE_DRAIN || plan->steps[i].phase == PHASE_CHANGE)
            return true;
    return false;
}

/* The floor counts all nodes of the environment: --only leaves the others in rotation. */
static void floor_set(struct compiler *c)
{
    struct plan *plan = c->plan;
    struct share min_up = c->b.min_up.given ? c->b.min_up : (struct share){.percent = true, .n = 50};
    if (!plan->capacity && !c->b.min_up.given)
        return;
    plan->min_up = share_of(&min_up, c->n_all_nodes, true);
    if (!takes_nodes_out(plan) || c->nodes_wrong || c->n_all_nodes == 0 || plan->min_up < c->n_all_nodes)
        return;
    struct place at = c->b.min_up.given ? c->b.min_up.at : c->b.map->at;
    problem_at(
        c->r.problems, at,
        "min_up: %lld%s of %zu nodes is %u: not even one node could leave rotation (wanted: at most %zu%s)",
        (long long)min_up.n, min_up.percent ? "%" : "", c->n_all_nodes, plan->min_up, c->n_all_nodes - 1,
        c->n_all_nodes == 1 ? "; with 'min_up: 0' the application is away while its only node is out" : "");
}

void stages_set(struct compiler *c)
{
    struct plan *plan = c->plan;
    const struct value *list = stages_value(c);
    if (list != NULL)
        stages_of_list(c, list);
    else
        stage_add(plan, at_most(1, plan->n_nodes));
    stage_add(plan, (uint32_t)plan->n_nodes);
    window_set(c);
    floor_set(c);
    plan->max_failed = c->b.max_failed.given ? share_of(&c->b.max_failed, plan->n_nodes, false) : 0;
}
