/* SPDX-License-Identifier: MIT */
/* Releases: their own row, what each node does, the timeline, rows, output, plan and the difference of two
 * plans. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "serve/api.h"
#include "serve/fold.h"
#include "watch/json.h"

#define ROWS_MAX   2000
#define OUTPUT_MAX 1000
#define BANDS_MAX  1000

/* ---- lists and single ones */

static void list(struct request *r, struct reply *reply)
{
    struct release_info *releases;
    struct err err;
    int64_t limit, before;
    size_t n;
    if (!request_number(r, "limit", 20, &limit, reply) || !request_number(r, "before", 0, &before, reply))
        return;
    const char *env = request_query(r, "env");
    if (!release_list(reader(r->store, r->arena),
                      &(struct newest){.env = env && env[0] ? env : NULL,
                                       .limit = limit > 1000 ? 1000 : (size_t)limit,
                                       .before = before},
                      &releases, &n, &err)) {
        reply_err(reply, &err);
        return;
    }
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(all, watch_release_json(&releases[i]));
    reply_json(reply, 200, all);
}

/* The fold of vars[0]; NULL: said. */
static struct fold *fold_of(struct request *r, struct reply *reply)
{
    struct err err;
    int64_t id;
    if (!api_number(r, 0, &id, reply))
        return NULL;
    struct fold *f = fold_get(r->serve, r->store, id, &err);
    if (!f)
        reply_err(reply, &err);
    return f;
}

static json_t *steps_json(const struct watch_plan *w)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < w->n_steps; i++)
        json_array_append_new(steps, json_pack("{s:o, s:s, s:s?, s:s, s:I}", "label",
                                               watch_text_json(w->steps[i].label, strlen(w->steps[i].label)),
                                               "verb", w->steps[i].verb, "counts", w->steps[i].counts,
                                               "phase", phase_name(w->steps[i].phase), "usual_ms",
                                               (json_int_t)w->steps[i].usual_ms));
    return steps;
}

/* Each role's own figures; none without roles, and then the plan's hold for all. */
static json_t *roles_json(const struct plan *plan)
{
    json_t *list = json_array();
    for (size_t r = 0; r < plan->n_roles; r++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I}", "name", plan->roles[r].name, "nodes",
                                              (json_int_t)plan_role_count(plan, r), "window",
                                              (json_int_t)plan->roles[r].window, "min_up",
                                              (json_int_t)plan->roles[r].min_up));
    return list;
}

static void add_plan(json_t *o, const struct fold *f)
{
    json_t *nodes = json_array(), *stages = json_array();
    for (size_t i = 0; i < f->plan->n_nodes; i++)
        json_array_append_new(nodes, json_string(f->plan->nodes[i].id));
    for (size_t i = 0; i < f->plan->n_stages; i++)
        json_array_append_new(stages, json_integer(f->plan->stage_end[i]));
    json_object_set_new(o, "nodes", nodes);
    json_object_set_new(o, "steps", steps_json(f->watch));
    json_object_set_new(o, "stage_end", stages);
    json_object_set_new(o, "window", json_integer(f->plan->window));
    json_object_set_new(o, "min_up", json_integer(f->plan->min_up));
    json_object_set_new(o, "roles", roles_json(f->plan));
    json_object_set_new(o, "soak_ms", json_integer(f->plan->soak_ms));
}

static void one(struct request *r, struct reply *reply)
{
    struct release_info *info = NULL;
    struct err err;
    struct fold *f = fold_of(r, reply);
    if (!f)
        return;
    if (release_get(reader(r->store, r->arena), f->release, &info, &err) && info) {
        json_t *o = watch_release_json(info);
        add_plan(o, f);
        reply_json(reply, 200, o);
    } else
        reply_err(reply, &err);
    fold_put(r->serve, f);
}

/* ---- the model */

static json_t *node_json(const struct fold *f, size_t i)
{
    const struct model_node *n = &f->model.nodes[i];
    json_t *o = json_pack("{s:s, s:s, s:i, s:I, s:I, s:I}", "node", f->plan->nodes[i].id, "state",
                          shown_name(n->state), "step", n->step, "since", (json_int_t)n->since_ms,
                          "step_since", (json_int_t)n->step_ms, "out_ms", (json_int_t)n->out_ms);
    const char *role = plan_role_name(f->plan, &f->plan->nodes[i]);
    json_object_set_new(o, "role", json_string(role ? role : ""));
    json_object_set_new(o, "gauge", json_integer(n->gauge));
    json_object_set_new(o, "attempt", json_integer(n->attempt));
    json_object_set_new(o, "unknown", json_boolean(n->unknown));
    json_object_set_new(o, "text", watch_text_json(n->text, strlen(n->text)));
    return o;
}

/* Those that somebody would look for among thousands: out of rotation, going back, failed, left. */
static bool is_active(enum shown s)
{
    return s == SHOWN_OUT || s == SHOWN_BACK || s == SHOWN_FAILED || s == SHOWN_LEFT || s == SHOWN_PREPARING;
}

static json_t *nodes_json(const struct fold *f, bool active_only)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < f->plan->n_nodes; i++)
        if (!active_only || is_active(f->model.nodes[i].state))
            json_array_append_new(nodes, node_json(f, i));
    return nodes;
}

static json_t *counts_json(const struct model *m)
{
    json_t *counts = json_object();
    for (int i = 0; i < SHOWN_COUNT; i++)
        json_object_set_new(counts, shown_name((enum shown)i), json_integer(m->counts[i]));
    return counts;
}

static json_t *failed_json(const struct fold *f)
{
    const struct model *m = &f->model;
    if (m->failed_node < 0)
        return json_null();
    return json_pack("{s:s, s:i, s:s, s:o}", "node", f->plan->nodes[m->failed_node].id, "step",
                     m->failed_step, "label", watch_label(f->watch, m->failed_step), "text",
                     watch_text_json(m->failed_text, strlen(m->failed_text)));
}

static void model(struct request *r, struct reply *reply)
{
    const char *summary = request_query(r, "summary");
    struct fold *f = fold_of(r, reply);
    if (!f)
        return;
    const struct model *m = &f->model;
    json_t *o =
        json_pack("{s:I, s:s, s:I, s:s, s:i, s:i, s:I, s:I, s:I}", "release", (json_int_t)f->release, "env",
                  f->plan->env, "seq", (json_int_t)f->seq, "life", life_name(m->life), "life_code",
                  (int)m->life, "stage", (int)m->stage, "started", (json_int_t)m->started_ms, "last",
                  (json_int_t)m->last_ms, "soak_until", (json_int_t)m->soak_until_ms);
    must(o);
    json_object_set_new(o, "ended", json_boolean(m->ended));
    json_object_set_new(o, "stopping", json_boolean(m->stopping));
    json_object_set_new(o, "told", json_string(m->told == ORDER_START ? "" : order_name(m->told)));
    json_object_set_new(o, "exit", m->ended ? json_integer(m->exit_status) : json_null());
    json_object_set_new(o, "text", watch_text_json(m->text, strlen(m->text)));
    json_object_set_new(o, "failed", failed_json(f));
    json_object_set_new(o, "counts", counts_json(m));
    json_object_set_new(o, "left_ms", json_integer(model_left_ms(m, clock_wall_ms())));
    bool brief = summary && strcmp(summary, "1") == 0;
    json_object_set_new(o, "nodes", nodes_json(f, brief && f->plan->n_nodes > 200));
    fold_put(r->serve, f);
    reply_json(reply, 200, o);
}

/* ---- the timeline */

struct range {
    int64_t from, to;
};

static json_t *spans_json(const struct fold *f, struct range range)
{
    json_t *spans = json_array();
    for (size_t i = 0; i < f->n_spans; i++) {
        const struct step_span *s = &f->spans[i];
        if (s->to_ms < range.from || s->from_ms > range.to)
            continue;
        json_array_append_new(spans, json_pack("{s:s, s:i, s:I, s:I, s:s, s:b}", "node",
                                               f->plan->nodes[s->node].id, "step", (int)s->step, "from",
                                               (json_int_t)s->from_ms, "to", (json_int_t)s->to_ms, "outcome",
                                               outcome_name(s->outcome), "back", (int)s->back));
    }
    for (size_t i = 0; i < f->plan->n_nodes; i++) {
        const struct model_node *n = &f->model.nodes[i];
        if (n->step >= 0 && n->step_ms && !f->model.ended && n->step_ms <= range.to)
            json_array_append_new(spans,
                                  json_pack("{s:s, s:i, s:I, s:n, s:n, s:b}", "node", f->plan->nodes[i].id,
                                            "step", n->step, "from", (json_int_t)n->step_ms, "to", "outcome",
                                            "back", (int)(n->state == SHOWN_BACK)));
    }
    return spans;
}

/* A band of nodes in one row: how many of it were in each state from each moment on. */
static json_t *moment_json(int64_t at_ms, const uint32_t *counts)
{
    json_t *list = json_array();
    for (int i = 0; i < SHOWN_COUNT; i++)
        json_array_append_new(list, json_integer(counts[i]));
    return json_pack("{s:I, s:o}", "at", (json_int_t)at_ms, "counts", list);
}

struct band {
    uint32_t counts[SHOWN_COUNT];
    int64_t at_ms; /* of the moment that is not written yet, 0 = none */
    json_t *moments;
};

static void band_move(struct band *b, const struct move *m, struct range range)
{
    if (b->at_ms && b->at_ms != m->at_ms && b->at_ms >= range.from && b->at_ms <= range.to)
        json_array_append_new(b->moments, moment_json(b->at_ms, b->counts));
    b->counts[m->from]--;
    b->counts[m->to]++;
    b->at_ms = m->at_ms;
}

static json_t *bands_json(const struct fold *f, size_t rows, struct range range, struct arena *arena)
{
    size_t n = f->plan->n_nodes, per = (n + rows - 1) / rows, n_bands = (n + per - 1) / per;
    struct band *bands = arena_array(arena, n_bands, sizeof *bands);
    json_t *all = json_array();
    for (size_t b = 0; b < n_bands; b++) {
        size_t size = n - b * per < per ? n - b * per : per;
        bands[b].counts[SHOWN_WAITING] = (uint32_t)size;
        bands[b].moments = json_array();
        json_array_append_new(bands[b].moments, moment_json(f->model.started_ms, bands[b].counts));
        json_array_append_new(all, json_pack("{s:I, s:I, s:o}", "first", (json_int_t)(b * per), "n",
                                             (json_int_t)size, "moments", bands[b].moments));
    }
    for (size_t i = 0; i < f->n_moves; i++)
        band_move(&bands[f->moves[i].node / per], &f->moves[i], range);
    for (size_t b = 0; b < n_bands; b++)
        if (bands[b].at_ms >= range.from && bands[b].at_ms && bands[b].at_ms <= range.to)
            json_array_append_new(bands[b].moments, moment_json(bands[b].at_ms, bands[b].counts));
    return all;
}

static bool is_out(enum shown s)
{
    return s == SHOWN_OUT || s == SHOWN_BACK || s == SHOWN_LEFT;
}

/* Nodes in rotation as this release moved them; one point per moment. */
static json_t *capacity_json(const struct fold *f, struct range range)
{
    json_t *points = json_array();
    int64_t up = (int64_t)f->plan->n_nodes, at_ms = f->model.started_ms;
    for (size_t i = 0; i < f->n_moves; i++) {
        const struct move *m = &f->moves[i];
        if (is_out(m->from) == is_out(m->to))
            continue;
        if (m->at_ms != at_ms && at_ms >= range.from && at_ms <= range.to)
            json_array_append_new(points,
                                  json_pack("{s:I, s:I}", "at", (json_int_t)at_ms, "up", (json_int_t)up));
        up += is_out(m->from) ? 1 : -1;
        at_ms = m->at_ms;
    }
    json_array_append_new(points, json_pack("{s:I, s:I}", "at", (json_int_t)at_ms, "up", (json_int_t)up));
    return points;
}

static json_t *stages_json(const struct fold *f)
{
    json_t *stages = json_array();
    for (size_t i = 0; i < f->n_stages; i++)
        json_array_append_new(stages, json_pack("{s:i, s:I}", "stage", f->stages[i].stage, "at",
                                                (json_int_t)f->stages[i].at_ms));
    return stages;
}

static void timeline(struct request *r, struct reply *reply)
{
    struct range range;
    int64_t rows;
    if (!request_number(r, "from", 0, &range.from, reply) ||
        !request_number(r, "to", INT64_MAX, &range.to, reply) ||
        !request_number(r, "rows", 200, &rows, reply))
        return;
    rows = rows < 1 ? 1 : rows > BANDS_MAX ? BANDS_MAX : rows;
    struct fold *f = fold_of(r, reply);
    if (!f)
        return;
    json_t *o =
        json_pack("{s:I, s:I, s:I, s:I}", "release", (json_int_t)f->release, "seq", (json_int_t)f->seq,
                  "from", (json_int_t)f->model.started_ms, "to", (json_int_t)f->model.last_ms);
    if (f->plan->n_nodes <= (size_t)rows)
        json_object_set_new(o, "spans", spans_json(f, range));
    else
        json_object_set_new(o, "bands", bands_json(f, (size_t)rows, range, r->arena));
    json_object_set_new(o, "capacity", capacity_json(f, range));
    json_object_set_new(o, "floor", json_integer(f->plan->min_up));
    json_object_set_new(o, "stages", stages_json(f));
    fold_put(r->serve, f);
    reply_json(reply, 200, o);
}

/* ---- rows and output */

static void rows(struct request *r, struct reply *reply)
{
    struct row *found;
    struct err err;
    int64_t after, limit;
    size_t n;
    if (!request_number(r, "after", 0, &after, reply) || !request_number(r, "limit", 500, &limit, reply))
        return;
    struct fold *f = fold_of(r, reply);
    if (!f)
        return;
    if (journal_read(reader(r->store, r->arena),
                     &(struct row_range){.release = f->release,
                                         .after = after,
                                         .limit = limit > ROWS_MAX ? ROWS_MAX : (size_t)limit},
                     &found, &n, &err)) {
        json_t *list_json = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(list_json, watch_row_json(f->watch, &found[i]));
        reply_json(
            reply, 200,
            json_pack("{s:o, s:I}", "rows", list_json, "next", (json_int_t)(n ? found[n - 1].seq : after)));
    } else
        reply_err(reply, &err);
    fold_put(r->serve, f);
}

static void output(struct request *r, struct reply *reply)
{
    struct output *found;
    struct err err;
    int64_t after, limit, step;
    size_t n;
    const char *node = request_query(r, "node");
    if (!request_number(r, "after", 0, &after, reply) || !request_number(r, "limit", 200, &limit, reply) ||
        !request_number(r, "step", -1, &step, reply))
        return;
    struct fold *f = fold_of(r, reply);
    if (!f)
        return;
    if (output_read(reader(r->store, r->arena),
                    &(struct output_range){.release = f->release,
                                           .node = node && node[0] ? node : NULL,
                                           .step = (int)step,
                                           .after = after,
                                           .limit = limit > OUTPUT_MAX ? OUTPUT_MAX : (size_t)limit},
                    &found, &n, &err)) {
        json_t *list_json = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(list_json, watch_output_json(f->watch, &found[i]));
        reply_json(
            reply, 200,
            json_pack("{s:o, s:I}", "output", list_json, "next", (json_int_t)(n ? found[n - 1].id : after)));
    } else
        reply_err(reply, &err);
    fold_put(r->serve, f);
}

const struct route api_release_routes[] = {
    {.method = "GET", .pattern = "/api/v1/releases", .right = RIGHT_VIEWER, .handle = list},
    {.method = "GET", .pattern = "/api/v1/releases/{n}", .right = RIGHT_VIEWER, .handle = one},
    {.method = "GET", .pattern = "/api/v1/releases/{n}/model", .right = RIGHT_VIEWER, .handle = model},
    {.method = "GET", .pattern = "/api/v1/releases/{n}/timeline", .right = RIGHT_VIEWER, .handle = timeline},
    {.method = "GET", .pattern = "/api/v1/releases/{n}/rows", .right = RIGHT_VIEWER, .handle = rows},
    {.method = "GET", .pattern = "/api/v1/releases/{n}/output", .right = RIGHT_VIEWER, .handle = output},
    ROUTE_END,
};
