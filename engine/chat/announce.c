/* SPDX-License-Identifier: MIT */
/* Rows, locks and notices as sentences for a room (announce.h). */
#include "chat/announce.h"

#include <inttypes.h>
#include <string.h>

#include "base/notes.h"
#include "chat/asks.h"
#include "chat/sentences.h"
#include "plans/plan.h"
#include "watch/watch.h"

static void put_size(struct said *out, struct store *store, int64_t release, struct arena *arena)
{
    const char *json;
    struct plan *plan;
    struct err err;
    if (!release_plan(reader(store, arena), release, &json, &err) || !json ||
        !plan_decode(arena, json, &plan, &err))
        return;
    say_text(out, ": %zu node%s, %u out at once", plan->n_nodes, plan->n_nodes == 1 ? "" : "s", plan->window);
}

static unsigned told_order(struct said *out, struct store *store, const struct row *row,
                           const struct release_info *r, struct arena *arena)
{
    int order = order_from_name(row->code);
    tell_release(out, r);
    switch (order) {
    case ORDER_START:
        say_text(out, " has started");
        put_size(out, store, r->id, arena);
        return EVENT_STARTED;
    case ORDER_RESUME: say_text(out, " goes on"); return EVENT_STARTED;
    case ORDER_ROLLBACK: say_text(out, " is taken back"); return EVENT_STARTED;
    case ORDER_STOP:
        say_text(out, ": told to stop; the nodes that are out come back first");
        return EVENT_GATE;
    case ORDER_ABORT: say_text(out, ": told to stop at once"); return EVENT_GATE;
    case ORDER_ABANDON: say_text(out, " is given up"); return EVENT_FAILED;
    default: return 0;
    }
}

static unsigned told_end(struct said *out, const struct row *row, const struct release_info *r)
{
    char took[DURATION_TEXT_MAX];
    int64_t ms = row->at_ms - r->started_ms;
    int status = (int)row->a;
    tell_release(out, r);
    say_text(out, ": %s", r->exit_status == status ? end_text(r) : exit_text(r->kind, status));
    if (ms >= 0)
        say_text(out, " after %s", duration_text(ms, took, sizeof took));
    if (r->exit_status == status && r->summary[0]) {
        say_text(out, "\n");
        say_quote(out, r->summary);
    }
    if (status == EXIT_RELEASED)
        return r->kind == KIND_ROLLBACK ? EVENT_ROLLED_BACK | EVENT_FINISHED : EVENT_FINISHED;
    return status == EXIT_ROLLED_BACK ? EVENT_ROLLED_BACK | EVENT_FAILED : EVENT_FAILED;
}

/* Stages count from 0 in rows, from 1 for people. */
static unsigned told_note(struct said *out, const struct row *row, const struct release_info *r)
{
    char time[DURATION_TEXT_MAX];
    int note = note_from_name(row->code);
    if (note == NOTE_END)
        return told_end(out, row, r);
    tell_release(out, r);
    if (note == NOTE_STAGE && row->a > 0) {
        say_text(out, ": stage %" PRId64 " is done; next: up to %" PRId64 " nodes", row->a, row->b);
        return EVENT_STAGE;
    }
    if (note == NOTE_SOAK) {
        say_text(out, ": stage %" PRId64 " is out; it is judged for %s", row->a + 1,
                 duration_text(row->b, time, sizeof time));
        return EVENT_GATE;
    }
    if (note == NOTE_JUDGED) {
        say_text(out, ": %s", row->text);
        return EVENT_GATE;
    }
    return 0;
}

unsigned announce_row(struct said *out, struct store *store, const struct row *row, const char *url,
                      struct arena *arena)
{
    struct release_info *r = NULL;
    struct err err;
    if (row->release == 0 || !release_get(reader(store, arena), row->release, &r, &err) || !r ||
        r->kind == KIND_EXEC)
        return 0;
    out->link = arena_printf(arena, "%s/release/%" PRId64, url, r->id);
    out->link_label = "watch it";
    return row->kind == ROW_ORDER ? told_order(out, store, row, r, arena) : told_note(out, row, r);
}

static void put_why(struct said *out, const char *lead, const char *why)
{
    if (!why[0])
        return;
    say_text(out, "%s", lead);
    say_quote(out, why);
}

unsigned announce_lock(struct said *out, const struct lock_event *e)
{
    if (!e->by_hand && e->event != LOCK_EVENT_FORCE)
        return 0; /* a release's own lock: its start and end are told */
    static const char *const told[] = {[LOCK_EVENT_TAKE] = "locked by ",
                                       [LOCK_EVENT_TAKE_OVER] = "the lock passes to ",
                                       [LOCK_EVENT_FREE] = "freed by ",
                                       [LOCK_EVENT_FORCE] = "the lock is broken by ",
                                       [LOCK_EVENT_BIND] = NULL};
    if (!told[e->event])
        return 0;
    say_text(out, "%s: %s", e->env, told[e->event]);
    say_quote(out, e->who);
    put_why(out, ": ", strcmp(e->why, "by hand") == 0 ? "" : e->why);
    return EVENT_LOCK;
}

unsigned announce_notice(struct said *out, struct store *store, const struct notice *n, struct arena *arena)
{
    struct ask *a = NULL;
    struct err err;
    say_text(out, "%s: ", n->env);
    if (n->event == NOTICE_TURN) {
        say_text(out, "the lock is free and ");
        say_quote(out, n->who);
        say_text(out, " is next");
        return EVENT_QUEUE;
    }
    if (n->event == NOTICE_LAPSED) {
        say_quote(out, n->who);
        say_text(out, " did not take the lock in time; the place has lapsed");
        return EVENT_QUEUE;
    }
    if (n->event != NOTICE_APPROVAL || !ask_get(reader(store, arena), n->ask, &a, &err) || !a ||
        a->state != ASK_APPROVE)
        return 0;
    say_quote(out, n->who);
    say_text(out, " asks a second person to approve: ");
    ask_tell(out, a, arena);
    say_text(out, ". `approve %s`", a->code);
    say_button(out, "Approve", "approve", a->code, BUTTON_PRIMARY);
    say_cancel(out, a->code);
    return EVENT_QUEUE;
}
