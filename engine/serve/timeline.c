/* A release's past in as many rows as somebody can look at. */
#include "serve/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

/* Moments of a band are at least a 160th of the whole apart: nobody sees more, and 2,000 nodes stay below 300
 * KB. */
#define MOMENTS 160

static bool within(int64_t from_ms, int64_t to_ms, int64_t a_ms, int64_t b_ms)
{
    return b_ms >= from_ms && (!to_ms || a_ms <= to_ms);
}

static json_t *spans_json(const struct track *t, int64_t from_ms, int64_t to_ms)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->n_spans; i++) {
        const struct track_span *s = &t->spans[i];
        if (within(from_ms, to_ms, s->from_ms, s->to_ms))
            json_array_append_new(
                list, json_pack("{s:s, s:i, s:I, s:I, s:s, s:b}", "node", t->model->plan->nodes[s->node],
                                "step", s->step, "from", (json_int_t)s->from_ms, "to", (json_int_t)s->to_ms,
                                "outcome", s->failed ? "failed" : "ok", "back", (int)s->back));
    }
    return list;
}

static json_t *stages_json(const struct track *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->n_stages; i++)
        json_array_append_new(list,
                              json_pack("{s:i, s:I, s:i}", "stage", (int)t->stages[i].stage, "at",
                                        (json_int_t)t->stages[i].at_ms, "up_to", (int)t->stages[i].up_to));
    return list;
}

static json_t *moment_json(int64_t at_ms, const uint32_t *counts)
{
    json_t *all = json_array();
    for (int i = 0; i < SHOWN_COUNT; i++)
        json_array_append_new(all, json_integer(counts[i]));
    return json_pack("{s:I, s:o}", "at", (json_int_t)at_ms, "counts", all);
}

/* How many nodes of the plan are in rotation; a change that comes less than `apart_ms` after the last is put
 * into it. */
static json_t *capacity_json(const struct track *t, int64_t apart_ms)
{
    json_t *list = json_array(), *last = NULL;
    int64_t up = (int64_t)t->model->plan->n_nodes, last_ms = 0;
    json_array_append_new(
        list, json_pack("{s:I, s:I}", "at", (json_int_t)t->model->started_ms, "up", (json_int_t)up));
    for (size_t i = 0; i < t->n_moves; i++) {
        const struct track_move *m = &t->moves[i];
        bool was = shown_is_out(m->from), is = shown_is_out(m->to);
        if (was == is)
            continue;
        up += was ? 1 : -1;
        if (last && m->at_ms - last_ms < apart_ms) {
            json_object_set_new(last, "up", json_integer(up));
            continue;
        }
        last = json_pack("{s:I, s:I}", "at", (json_int_t)m->at_ms, "up", (json_int_t)up);
        last_ms = m->at_ms;
        json_array_append_new(list, last);
    }
    return list;
}

/* ---- bands */

struct band {
    uint32_t counts[SHOWN_COUNT];
    int64_t last_ms; /* of its last moment */
    bool dirty;      /* counts are ahead of the last moment */
    json_t *moments;
};

static void band_flush(struct band *b, int64_t at_ms)
{
    if (!b->dirty)
        return;
    json_array_append_new(b->moments, moment_json(at_ms, b->counts));
    b->last_ms = at_ms;
    b->dirty = false;
}

static void bands_fill(const struct track *t, struct band *bands, size_t per_band, int64_t apart_ms)
{
    for (size_t i = 0; i < t->n_moves; i++) {
        const struct track_move *m = &t->moves[i];
        struct band *b = &bands[m->node / per_band];
        if (m->at_ms - b->last_ms >= apart_ms)
            band_flush(b, b->last_ms + apart_ms);
        b->counts[m->from]--;
        b->counts[m->to]++;
        if (!b->dirty && m->at_ms - b->last_ms >= apart_ms)
            b->last_ms = m->at_ms; /* a pause: the next moment begins here */
        b->dirty = true;
    }
}

static json_t *bands_json(const struct track *t, size_t rows, int64_t apart_ms)
{
    size_t n = t->model->plan->n_nodes, per_band = (n + rows - 1) / rows,
           n_bands = (n + per_band - 1) / per_band;
    struct band *bands = xcalloc(n_bands, sizeof *bands);
    json_t *list = json_array();
    for (size_t i = 0; i < n_bands; i++) {
        size_t in_band = i + 1 < n_bands ? per_band : n - i * per_band;
        bands[i].counts[SHOWN_WAITING] = (uint32_t)in_band;
        bands[i].moments = json_array();
        bands[i].last_ms = t->model->started_ms;
    }
    bands_fill(t, bands, per_band, apart_ms);
    for (size_t i = 0; i < n_bands; i++) {
        band_flush(&bands[i], t->model->last_ms < bands[i].last_ms + apart_ms ? t->model->last_ms
                                                                              : bands[i].last_ms + apart_ms);
        size_t in_band = i + 1 < n_bands ? per_band : n - i * per_band;
        json_array_append_new(list, json_pack("{s:I, s:I, s:o}", "first", (json_int_t)(i * per_band), "nodes",
                                              (json_int_t)in_band, "moments", bands[i].moments));
    }
    free(bands);
    return list;
}

json_t *timeline_json(const struct track *t, size_t rows, int64_t from_ms, int64_t to_ms)
{
    const struct model *m = t->model;
    int64_t apart_ms = (m->last_ms - m->started_ms) / MOMENTS;
    bool banded = m->plan->n_nodes > rows || m->plan->n_nodes > TRACK_SPANS_NODES;
    json_t *o = json_object();
    json_object_set_new(o, "release", json_integer(m->plan->release));
    if (banded)
        json_object_set_new(o, "bands", bands_json(t, rows, apart_ms));
    else
        json_object_set_new(o, "spans", spans_json(t, from_ms, to_ms));
    json_object_set_new(o, "stages", stages_json(t));
    json_object_set_new(o, "capacity", capacity_json(t, banded ? apart_ms : 0));
    return o;
}
