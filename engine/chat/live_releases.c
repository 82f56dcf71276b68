/* SPDX-License-Identifier: MIT */
/* The releases whose message in a room is kept up to date (live_releases.h). */
#include "chat/live_releases.h"

#include "plans/plan.h"
#include "serve/watching_plan.h"

static void place_empty(struct live *l)
{
    if (l->release)
        model_fini(&l->model);
    arena_fini(&l->arena);
    *l = (struct live){0};
}

/* Empty places were last used in turn 0: before all others. */
static struct live *place_for(struct lives *all, int64_t release)
{
    struct live *oldest = &all->places[0];
    for (size_t i = 0; i < LIVE_MAX; i++) {
        if (all->places[i].release == release)
            return &all->places[i];
        if (all->places[i].used < oldest->used)
            oldest = &all->places[i];
    }
    place_empty(oldest);
    return oldest;
}

static bool begin(struct live *l, struct store *store, int64_t release)
{
    const char *json;
    struct plan *plan;
    struct err err;
    if (!release_plan(reader(store, &l->arena), release, &json, &err) || !json ||
        !plan_decode(&l->arena, json, &plan, &err)) {
        place_empty(l);
        return false;
    }
    model_init(&l->model, watching_plan(&l->arena, store, plan, release));
    l->release = release;
    return true;
}

static bool catch_up(struct live *l, struct store *store)
{
    struct err err;
    size_t n;
    do {
        auto_arena struct arena arena = {0};
        struct row *rows;
        if (!journal_read(reader(store, &arena),
                          &(struct row_range){.release = l->release, .after = l->seq, .limit = 1000}, &rows,
                          &n, &err))
            return false;
        for (size_t i = 0; i < n; i++) {
            model_apply(&l->model, &rows[i]);
            l->seq = rows[i].seq;
        }
    } while (n == 1000);
    return true;
}

const struct model *live_model(struct lives *all, struct store *store, int64_t release)
{
    struct live *l = place_for(all, release);
    if (!l->release && !begin(l, store, release))
        return NULL;
    l->used = ++all->turn;
    return catch_up(l, store) ? &l->model : NULL;
}

void live_forget(struct lives *all, int64_t release)
{
    for (size_t i = 0; i < LIVE_MAX; i++)
        if (all->places[i].release == release)
            place_empty(&all->places[i]);
}

void lives_fini(struct lives *all)
{
    for (size_t i = 0; i < LIVE_MAX; i++)
        place_empty(&all->places[i]);
}

/* Without an end and still not to be resumed: abandoned, or a later release of the environment went well. */
bool live_is_given_up(const struct release_info *r)
{
    return r->ended_ms == 0 && !r->resumable;
}

bool live_is_final(const struct model *m, const struct release_info *r)
{
    return (m->ended && r->ended_ms > 0) || live_is_given_up(r);
}
