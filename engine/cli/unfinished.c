/* SPDX-License-Identifier: MIT */
/* What the journal says of a release that was begun and not ended. */
#include "cli/session.h"

#include <inttypes.h>
#include <string.h>

#include "base/notes.h"
#include "watch/watch.h"

/* Each row of a release, oldest first. */
static void rows_each(struct session *s, int64_t release, void (*take)(void *ctx, const struct row *row),
                      void *ctx)
{
    struct row *rows;
    size_t n;
    struct err err;
    int64_t seq = 0;
    do {
        if (!journal_read(reader(s->store, &s->cli->arena),
                          &(struct row_range){.release = release, .after = seq, .limit = 1000}, &rows, &n,
                          &err))
            return;
        for (size_t i = 0; i < n; i++) {
            seq = rows[i].seq;
            take(ctx, &rows[i]);
        }
    } while (n == 1000);
}

struct place_seen {
    const struct plan *plan;
    struct arena *arena;
    const char *text;
};

static void take_place(void *ctx, const struct row *row)
{
    struct place_seen *at = ctx;
    if (row->node[0] && row->step >= 0 && row->step < (int)at->plan->n_steps)
        at->text = arena_printf(at->arena, "%s/%s", row->node, at->plan->steps[row->step].label);
}

/* Where an unfinished release was: the last step that the journal knows, as "app3/stop". */
static const char *last_place(struct session *s, int64_t release)
{
    struct err err;
    struct plan *plan;
    const char *json;
    struct place_seen at = {.arena = &s->cli->arena, .text = "its beginning"};
    if (!release_plan(reader(s->store, &s->cli->arena), release, &json, &err) || !json ||
        !plan_decode(&s->cli->arena, json, &plan, &err))
        return at.text;
    at.plan = plan;
    rows_each(s, release, take_place, &at);
    return at.text;
}

static void take_turn(void *ctx, const struct row *row)
{
    if (row->kind == ROW_NOTE && strcmp(row->code, note_name(NOTE_LIFE)) == 0 && row->a == LIFE_BACK)
        *(bool *)ctx = true;
}

bool session_has_turned(struct session *s, int64_t release)
{
    bool turned = false;
    rows_each(s, release, take_turn, &turned);
    return turned;
}

int session_refuse_unfinished(struct session *s)
{
    struct release_info *r;
    struct err err;
    if (!release_unfinished(reader(s->store, &s->cli->arena), s->env, &r, &err))
        return say_err(&err);
    if (!r)
        return 0;
    /* While its engine lives it is not unfinished but running: the lock will say so. */
    struct lock_info lock;
    if (lock_get(reader(s->store, &s->cli->arena), s->env, &lock, &err) && lock.held &&
        lock.release == r->id && lock.holder != HOLDER_DEAD)
        return 0;
    say_error("%s %" PRId64
              " of %s is unfinished at %s%s%s: 'release resume %s' goes on with it, 'release rollback %s' "
              "takes it back; nothing was touched",
              kind_name(r->kind), r->id, s->env, last_place(s, r->id), r->exit_status < 0 ? "" : ", ",
              r->exit_status < 0 ? "" : end_text(r), s->env, s->env);
    return EXIT_STOPPED;
}
