/* The timeline's past, by comparing what a row changed in the model. */
#include "watch/track.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

struct track_seen {
    enum shown state;
    int step;
    int64_t since_ms; /* begin of the bar that is being drawn */
    bool closed;      /* its step failed: the bar has its end */
};

bool shown_is_out(enum shown s)
{
    return s == SHOWN_OUT || s == SHOWN_BACK || s == SHOWN_LEFT;
}

static bool is_trouble(enum shown s)
{
    return s == SHOWN_FAILED || s == SHOWN_LEFT;
}

void track_init(struct track *t, const struct model *m)
{
    *t = (struct track){.model = m};
    t->seen = xcalloc(m->plan->n_nodes + 1, sizeof *t->seen);
    for (size_t i = 0; i < m->plan->n_nodes; i++)
        t->seen[i] = (struct track_seen){.state = m->nodes[i].state, .step = -1};
}

void track_fini(struct track *t)
{
    free(t->seen);
    free(t->spans);
    free(t->moves);
    free(t->stages);
}

/* Room for one more; returns the array. */
static void *grow(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return items;
    *cap = *cap ? 2 * *cap : 64;
    return xrealloc(items, *cap * size);
}

static void add_span(struct track *t, uint32_t i, int64_t at_ms, bool failed)
{
    const struct track_seen *seen = &t->seen[i];
    if (seen->closed || seen->step < 0 || !seen->since_ms || t->model->plan->n_nodes > TRACK_SPANS_NODES)
        return;
    t->spans = grow(t->spans, t->n_spans, &t->cap_spans, sizeof *t->spans);
    t->spans[t->n_spans++] = (struct track_span){.node = i,
                                                 .step = seen->step,
                                                 .from_ms = seen->since_ms,
                                                 .to_ms = at_ms,
                                                 .failed = failed,
                                                 .back = seen->state == SHOWN_BACK};
}

static void look(struct track *t, uint32_t i, const struct row *row)
{
    const struct model_node *now = &t->model->nodes[i];
    struct track_seen *seen = &t->seen[i];
    bool turned = row->kind == ROW_NOTE && note_from_name(row->code) == NOTE_NODE_TURN;
    if (now->step != seen->step) {
        add_span(t, i, row->at_ms, turned);
        seen->step = now->step;
        seen->since_ms = row->at_ms;
        seen->closed = false;
    }
    if (now->state == seen->state)
        return;
    if (is_trouble(now->state)) {
        add_span(t, i, row->at_ms, true);
        seen->closed = true;
    } else if (is_trouble(seen->state)) { /* somebody ordered to go on */
        seen->since_ms = row->at_ms;
        seen->closed = false;
    }
    t->moves = grow(t->moves, t->n_moves, &t->cap_moves, sizeof *t->moves);
    t->moves[t->n_moves++] =
        (struct track_move){.at_ms = row->at_ms, .node = i, .from = seen->state, .to = now->state};
    seen->state = now->state;
}

void track_apply(struct track *t, const struct row *row)
{
    if (row->kind == ROW_ORDER) /* may take up any node */
        for (uint32_t i = 0; i < t->model->plan->n_nodes; i++)
            look(t, i, row);
    int i = row->node[0] ? model_find(t->model, row->node) : -1;
    if (i >= 0)
        look(t, (uint32_t)i, row);
    if (row->kind != ROW_NOTE || row->node[0] || note_from_name(row->code) != NOTE_STAGE)
        return;
    t->stages = grow(t->stages, t->n_stages, &t->cap_stages, sizeof *t->stages);
    t->stages[t->n_stages++] =
        (struct track_stage){.at_ms = row->at_ms, .stage = (uint32_t)row->a, .up_to = (uint32_t)row->b};
}
