/* SPDX-License-Identifier: MIT */
/* Folds of releases, kept between requests and gone on with (fold.h). */
#include "serve/fold.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "serve/watching_plan.h"

#define FOLDS 8 /* more than there are workers, so that one is always free */
#define ROWS  2000

struct folds {
    pthread_mutex_t lock;
    struct fold folds[FOLDS];
};

void folds_open(struct serve *s)
{
    s->folds = xcalloc(1, sizeof *s->folds);
    pthread_mutex_init(&s->folds->lock, NULL);
    for (size_t i = 0; i < FOLDS; i++)
        pthread_mutex_init(&s->folds->folds[i].lock, NULL);
}

/* Everything but the lock and who uses it. */
static void forget(struct fold *f)
{
    if (f->ready)
        model_fini(&f->model);
    free(f->spans);
    free(f->moves);
    free(f->stages);
    free(f->outcome);
    arena_fini(&f->arena);
    f->spans = NULL;
    f->moves = NULL;
    f->stages = NULL;
    f->outcome = NULL;
    f->n_spans = f->cap_spans = f->n_moves = f->cap_moves = f->n_stages = f->cap_stages = 0;
    f->ready = false;
    f->seq = 0;
    f->release = 0;
}

void folds_free(struct serve *s)
{
    for (size_t i = 0; s->folds && i < FOLDS; i++) {
        forget(&s->folds->folds[i]);
        pthread_mutex_destroy(&s->folds->folds[i].lock);
    }
    if (s->folds)
        pthread_mutex_destroy(&s->folds->lock);
    free(s->folds);
    s->folds = NULL;
}

/* ---- what the fold keeps besides the model */

static void *grow(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return items;
    *cap = *cap ? *cap * 2 : 64;
    return xrealloc(items, *cap * size);
}

static void span_add(struct fold *f, uint32_t node, const struct model_node *was, enum outcome outcome,
                     int64_t at_ms)
{
    if (was->step < 0 || !was->step_ms)
        return;
    f->spans = grow(f->spans, f->n_spans, &f->cap_spans, sizeof *f->spans);
    f->spans[f->n_spans++] = (struct step_span){.node = node,
                                                .step = (int16_t)was->step,
                                                .back = was->state == SHOWN_BACK,
                                                .outcome = (uint8_t)outcome,
                                                .from_ms = was->step_ms,
                                                .to_ms = at_ms};
}

static void move_add(struct fold *f, uint32_t node, enum shown from, enum shown to, int64_t at_ms)
{
    f->moves = grow(f->moves, f->n_moves, &f->cap_moves, sizeof *f->moves);
    f->moves[f->n_moves++] =
        (struct move){.node = node, .from = (uint8_t)from, .to = (uint8_t)to, .at_ms = at_ms};
}

static void stage_add(struct fold *f, const struct row *row)
{
    if (row->kind != ROW_NOTE || note_from_name(row->code) != NOTE_STAGE)
        return;
    f->stages = grow(f->stages, f->n_stages, &f->cap_stages, sizeof *f->stages);
    f->stages[f->n_stages++] = (struct stage_mark){.stage = (int)row->a, .at_ms = row->at_ms};
}

/* An order to go on moves many nodes at once, and so does the end. */
static void apply_to_many(struct fold *f, const struct row *row)
{
    size_t n = f->plan->n_nodes;
    struct model_node *before = xcalloc(n + 1, sizeof *before);
    memcpy(before, f->model.nodes, n * sizeof *before);
    model_apply(&f->model, row);
    for (size_t i = 0; i < n; i++) {
        const struct model_node *is = &f->model.nodes[i];
        if (before[i].step != is->step)
            span_add(f, (uint32_t)i, &before[i], (enum outcome)f->outcome[i], row->at_ms);
        if (before[i].state != is->state)
            move_add(f, (uint32_t)i, before[i].state, is->state, row->at_ms);
    }
    free(before);
}

static bool moves_many(const struct row *row)
{
    return row->kind == ROW_ORDER || (row->kind == ROW_NOTE && note_from_name(row->code) == NOTE_END);
}

/* What a step ended with: its own outcome, or failed when the node turned round in it. */
static enum outcome outcome_of(const struct fold *f, int i, const struct row *row)
{
    if (row->kind == ROW_NOTE && note_from_name(row->code) == NOTE_NODE_TURN)
        return OUT_FAILED;
    return (enum outcome)f->outcome[i];
}

static void apply_node(struct fold *f, int i, const struct row *row)
{
    struct model_node was = f->model.nodes[i];
    model_apply(&f->model, row);
    const struct model_node *is = &f->model.nodes[i];
    int outcome = row->kind == ROW_OUTCOME ? outcome_from_name(row->code) : -1;
    if (outcome >= 0)
        f->outcome[i] = (uint8_t)outcome;
    if (was.step != is->step) {
        span_add(f, (uint32_t)i, &was, outcome_of(f, i, row), row->at_ms);
        f->outcome[i] = OUT_OK;
    }
    if (was.state != is->state)
        move_add(f, (uint32_t)i, was.state, is->state, row->at_ms);
}

static void apply(struct fold *f, const struct row *row)
{
    int i = row->node[0] ? model_find(&f->model, row->node) : -1;
    if (moves_many(row))
        apply_to_many(f, row);
    else if (i >= 0)
        apply_node(f, i, row);
    else
        model_apply(&f->model, row);
    stage_add(f, row);
    f->seq = row->seq;
}

/* ---- bringing it up to date */

static bool load_plan(struct fold *f, struct store *store, struct err *err)
{
    auto_arena struct arena text = {0};
    struct release_info *r = NULL;
    const char *json;
    if (!release_get(reader(store, &text), f->release, &r, err))
        return false;
    if (!r)
        return err_set(err, E_NOTFOUND, "there is no release %lld", (long long)f->release);
    if (!release_plan(reader(store, &text), f->release, &json, err) ||
        !plan_decode(&f->arena, json, &f->plan, err))
        return false;
    f->watch = watching_plan(&f->arena, store, f->plan, f->release);
    model_init(&f->model, f->watch);
    f->outcome = xcalloc(f->plan->n_nodes + 1, 1);
    f->ready = true;
    return true;
}

static bool catch_up(struct fold *f, struct store *store, struct err *err)
{
    size_t n;
    do {
        auto_arena struct arena arena = {0};
        struct row *rows;
        if (!journal_read(reader(store, &arena),
                          &(struct row_range){.release = f->release, .after = f->seq, .limit = ROWS}, &rows,
                          &n, err))
            return false;
        for (size_t i = 0; i < n; i++)
            apply(f, &rows[i]);
    } while (n == ROWS);
    return true;
}

/* The place of this release, else the one that was not used for longest. */
static struct fold *place_of(struct folds *folds, int64_t release)
{
    struct fold *best = NULL;
    for (size_t i = 0; i < FOLDS; i++) {
        struct fold *f = &folds->folds[i];
        if (f->release == release)
            return f;
        if (f->users == 0 && (!best || f->used_ms < best->used_ms))
            best = f;
    }
    return best;
}

struct fold *fold_get(struct serve *s, struct store *store, int64_t release, struct err *err)
{
    struct folds *folds = s->folds;
    pthread_mutex_lock(&folds->lock);
    struct fold *f = place_of(folds, release);
    must(f);
    if (f->release != release) {
        forget(f);
        f->release = release;
    }
    f->users++;
    f->used_ms = clock_mono_ms();
    pthread_mutex_unlock(&folds->lock);
    pthread_mutex_lock(&f->lock);
    if ((f->ready || load_plan(f, store, err)) && catch_up(f, store, err))
        return f;
    fold_put(s, f);
    return NULL;
}

void fold_put(struct serve *s, struct fold *f)
{
    pthread_mutex_unlock(&f->lock);
    pthread_mutex_lock(&s->folds->lock);
    f->users--;
    if (f->users == 0 && !f->ready)
        forget(f);
    pthread_mutex_unlock(&s->folds->lock);
}
