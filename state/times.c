/* SPDX-License-Identifier: MIT */
/* How long steps took before, for the ETA: read off the rows, kept nowhere.
 *
 * A step of a node begins with its first intent row; a READ step has none and begins with the node's previous
 * row. It ends with its outcome row that says `ok` and done (a = 1). The way back does not count, and rows of
 * the roles before, guard, soak and capacity are no beginning: a node may wait long for its turn after them.
 */
#include <stdlib.h>
#include <string.h>

#include "state/store_priv.h"

#define RUNS_MAX 20
/* Enough for a median; a large fleet gets there with its newest few releases. */
#define ROWS_ENOUGH 10000

struct sample {
    int step;
    const char *verb, *node;
    int64_t ms;
};

/* When step (or -1: anything) of node was last begun (or seen). Open addressing, cleared per release. */
struct mark {
    const char *node;
    int step;
    bool set;
    int64_t at_ms;
};
struct marks {
    struct mark *slots;
    size_t n, cap; /* cap is a power of two */
};

static size_t mark_hash(const char *node, int step)
{
    size_t h = 1469598103934665603u ^ (size_t)(step + 1);
    for (; *node; node++)
        h = (h ^ (unsigned char)*node) * 1099511628211u;
    return h ^ (h >> 29);
}

static struct mark *mark_find(struct marks *m, const char *node, int step)
{
    size_t i = mark_hash(node, step) & (m->cap - 1);
    while (m->slots[i].node && (m->slots[i].step != step || strcmp(m->slots[i].node, node) != 0))
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

static void marks_grow(struct marks *m)
{
    struct marks bigger = {.cap = m->cap ? m->cap * 2 : 256};
    bigger.slots = xcalloc(bigger.cap, sizeof(*bigger.slots));
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].node) {
            *mark_find(&bigger, m->slots[i].node, m->slots[i].step) = m->slots[i];
            bigger.n++;
        }
    free(m->slots);
    *m = bigger;
}

static struct mark *mark_get(struct marks *m, struct arena *names, const char *node, int step)
{
    if (m->n * 2 >= m->cap)
        marks_grow(m);
    struct mark *at = mark_find(m, node, step);
    if (!at->node) {
        *at = (struct mark){.node = arena_strdup(names, node), .step = step};
        m->n++;
    }
    return at;
}

static bool is_beginning(const char *role)
{
    return strcmp(role, "run") == 0 || strcmp(role, "observe") == 0;
}

/* Columns of SQL_TIMES_ROWS. */
static void row_take(const struct query *q, struct marks *m, struct arena *scratch, struct vec *samples)
{
    const char *node = query_peek(q, 0), *role = query_peek(q, 4);
    int step = (int)query_int(q, 1);
    bool intent = strcmp(query_peek(q, 3), "intent") == 0, outcome = strcmp(query_peek(q, 3), "outcome") == 0;
    int64_t at_ms = query_int(q, 8);
    if (step >= 0 && (intent || outcome) && query_int(q, 6) == 0 && is_beginning(role)) {
        struct mark last = *mark_get(m, scratch, node, -1);
        struct mark *begun = mark_get(m, scratch, node, step);
        if (!begun->set && (intent || last.set)) {
            begun->set = true;
            begun->at_ms = intent ? at_ms : last.at_ms;
        }
        if (outcome && query_int(q, 7) == 1 && begun->set) {
            /* A wall clock that jumped back gives no sample. */
            if (strcmp(query_peek(q, 5), "ok") == 0 && at_ms >= begun->at_ms)
                *(struct sample *)vec_add(samples) = (struct sample){.step = step,
                                                                     .verb = query_text(q, 2, scratch),
                                                                     .node = begun->node,
                                                                     .ms = at_ms - begun->at_ms};
            begun->set = false;
        }
    }
    struct mark *last = mark_get(m, scratch, node, -1);
    last->set = true;
    last->at_ms = at_ms;
}

/* What was measured so far, of how many rows. */
struct step_history {
    struct vec samples;
    size_t rows;
};

static void history_fini(struct step_history *h)
{
    vec_fini(&h->samples);
}
#define auto_history __attribute__((cleanup(history_fini)))

static bool release_take(struct reader r, int64_t release, struct step_history *h, struct err *err)
{
    struct marks marks = {0};
    auto_query struct query q;
    if (!query_open(&q, r.store, SQL(TIMES_ROWS, arg_int(release)), err))
        return false;
    for (; query_next(&q, err); h->rows++)
        row_take(&q, &marks, r.arena, &h->samples);
    free(marks.slots);
    return !q.failed;
}

static int sample_cmp(const void *left, const void *right)
{
    const struct sample *a = left, *b = right;
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    int verb = strcmp(a->verb, b->verb);
    return verb ? verb : (a->ms > b->ms) - (a->ms < b->ms);
}

/* Sorted samples -> one line per (step, verb). Of an even number the lower middle one. */
static void medians(const struct sample *list, size_t n, struct arena *arena, struct vec *out)
{
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n; to++)
            if (list[to].step != list[from].step || strcmp(list[to].verb, list[from].verb) != 0)
                break;
        *(struct step_time *)vec_add(out) = (struct step_time){
            .verb = arena_strdup(arena, list[from].verb),
            .step = list[from].step,
            .median_ms = list[from + (to - from - 1) / 2].ms,
            .longest_ms = list[to - 1].ms,
            .longest_node = arena_strdup(arena, list[to - 1].node),
            .n = to - from,
        };
    }
}

static bool releases_of(struct reader r, const struct plan_runs *runs, int64_t ids[RUNS_MAX], size_t *ret_n,
                        struct err *err)
{
    struct env_key key;
    auto_query struct query q = {0};
    if (!env_resolve(r, runs->env, &key, err) ||
        !query_open(&q, r.store,
                    SQL(TIMES_RELEASES, arg_text(key.env), arg_text(runs->plan), arg_text(key.app)), err))
        return false;
    for (*ret_n = 0; *ret_n < RUNS_MAX && query_next(&q, err); ++*ret_n)
        ids[*ret_n] = query_int(&q, 0);
    return !q.failed;
}

static bool times_given(struct reader r, struct step_history *h, struct step_time **ret, size_t *ret_n)
{
    auto_vec struct vec found = VEC_INIT(struct step_time);
    if (h->samples.n)
        qsort(h->samples.data, h->samples.n, sizeof(struct sample), sample_cmp);
    medians(h->samples.data, h->samples.n, r.arena, &found);
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}

bool journal_step_times(struct reader r, const struct plan_runs *runs, struct step_time **ret, size_t *ret_n,
                        struct err *err)
{
    auto_arena struct arena scratch = {0};
    auto_history struct step_history h = {.samples = VEC_INIT(struct sample)};
    struct reader aside = reader(r.store, &scratch);
    int64_t ids[RUNS_MAX];
    size_t n_ids = 0;
    if (!releases_of(aside, runs, ids, &n_ids, err))
        return false;
    for (size_t i = 0; i < n_ids && h.rows < ROWS_ENOUGH; i++)
        if (!release_take(aside, ids[i], &h, err))
            return false;
    return times_given(r, &h, ret, ret_n);
}

bool journal_release_times(struct reader r, int64_t release, struct step_time **ret, size_t *ret_n,
                           struct err *err)
{
    auto_arena struct arena scratch = {0};
    auto_history struct step_history h = {.samples = VEC_INIT(struct sample)};
    return release_take(reader(r.store, &scratch), release, &h, err) && times_given(r, &h, ret, ret_n);
}
