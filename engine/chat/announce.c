/* SPDX-License-Identifier: MIT */
/* What the threads that announce have in common: sinks, cursors, back-off (announce.h). */
#include "chat/announce.h"

#include "chat/door.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "chat/asks.h"
#include "base/notes.h"
#include "chat/tell.h"
#include "plans/plan.h"
#include "watch/watch.h"

#define PAGE_ROWS 200
#define OLD_MS    (INT64_C(24) * 3600 * 1000) /* what is older is news no more */

/* ---- sentences */

static void put_size(struct said *out, struct store *store, int64_t release, struct arena *arena)
{
    const char *json;
    struct plan *plan;
    struct err err;
    if (!release_plan(store, release, arena, &json, &err) || !json || !plan_decode(arena, json, &plan, &err))
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
    return 0;
}

unsigned announce_row(struct said *out, struct store *store, const struct row *row, const char *url,
                      struct arena *arena)
{
    struct release_info *r = NULL;
    struct err err;
    if (row->release == 0 || !release_get(store, row->release, arena, &r, &err) || !r || r->kind == KIND_EXEC)
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
    if (n->event != NOTICE_APPROVAL || !ask_get(store, n->ask, arena, &a, &err) || !a ||
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

/* ---- marks */

static const char *mark_name(char buf[100], const char *name, const char *what)
{
    snprintf(buf, 100, "chat:%s:%s", name, what);
    return buf;
}

static bool mark_put(struct store *w, const char *name, const char *what, int64_t seq, struct err *err)
{
    char buf[100];
    return cursor_set(w, mark_name(buf, name, what), seq, err);
}

static bool marks_put(struct serve *s, const char *name, const struct marks *m, bool born, struct err *err)
{
    struct store *w = serve_writer(s, err);
    bool ok = w && store_begin(w, err);
    if (ok) {
        ok = (!born || mark_put(w, name, "born", 1, err)) && mark_put(w, name, "rows", m->row, err) &&
             mark_put(w, name, "locks", m->lock, err) && mark_put(w, name, "notices", m->notice, err);
        ok = ok && store_commit(w, err);
        if (!ok)
            store_rollback(w);
    }
    if (w)
        serve_writer_done(s);
    return ok;
}

bool marks_load(struct serve *s, struct store *store, const char *name, struct marks *ret, struct err *err)
{
    char buf[100];
    int64_t born;
    if (!cursor_get(store, mark_name(buf, name, "born"), &born, err))
        return false;
    if (born)
        return cursor_get(store, mark_name(buf, name, "rows"), &ret->row, err) &&
               cursor_get(store, mark_name(buf, name, "locks"), &ret->lock, err) &&
               cursor_get(store, mark_name(buf, name, "notices"), &ret->notice, err);
    ret->row = journal_last_seq(store);
    return chat_ends(store, &ret->notice, &ret->lock, err) && marks_put(s, name, ret, true, err);
}

bool marks_save(struct serve *s, const char *name, const struct marks *was, const struct marks *now,
                struct err *err)
{
    if (was->row == now->row && was->lock == now->lock && was->notice == now->notice)
        return true;
    return marks_put(s, name, now, false, err);
}

bool sink_open(struct sink *k, struct marks *m)
{
    struct err err;
    while ((k->store = chat_store(k->serve, k->name)) != NULL) {
        if (marks_load(k->serve, k->store, k->name, m, &err)) {
            k->saved = *m;
            return true;
        }
        serve_log("chat: %s is silent: %s; trying again", k->name, err.text);
        store_close(k->store); /* one that failed refuses all that follows */
        if (serve_wait(k->serve, 1000))
            return false;
    }
    return false;
}

/* ---- one turn of a sink */

/* Said, but not written down: the next start says it once more. That is the one in flight. */
static void keep(struct sink *k, const struct marks *m)
{
    struct err err;
    if (!marks_save(k->serve, k->name, &k->saved, m, &err))
        serve_log("chat: %s: %s", k->name, err.text);
    else
        k->saved = *m;
}

static bool wanted(const struct sink *k, unsigned events, int64_t at_ms)
{
    return (events & k->events) && clock_wall_ms() - at_ms <= OLD_MS;
}

/* What is new, of each sort. */
struct news {
    struct row *rows;
    struct lock_event *locks;
    struct notice *notices;
    size_t n_rows, n_locks, n_notices, row, lock, notice;
};

static bool news_read(const struct sink *k, const struct marks *m, struct arena *arena, struct news *ret)
{
    struct err err;
    *ret = (struct news){0};
    return (!k->rows || journal_told(k->store, m->row, PAGE_ROWS, arena, &ret->rows, &ret->n_rows, &err)) &&
           lock_events_after(k->store, m->lock, PAGE_ROWS, arena, &ret->locks, &ret->n_locks, &err) &&
           notice_after(k->store, m->notice, PAGE_ROWS, arena, &ret->notices, &ret->n_notices, &err);
}

/* The earliest of the three, as far as clocks can tell: after an outage the story comes in its order. false:
 * no more. */
static bool news_next(struct sink *k, struct news *n, struct marks *m, struct said *out, unsigned *events,
                      int64_t *at_ms, struct arena *arena)
{
    int64_t row = n->row < n->n_rows ? n->rows[n->row].at_ms : INT64_MAX;
    int64_t lock = n->lock < n->n_locks ? n->locks[n->lock].at_ms : INT64_MAX;
    int64_t notice = n->notice < n->n_notices ? n->notices[n->notice].at_ms : INT64_MAX;
    if (row == INT64_MAX && lock == INT64_MAX && notice == INT64_MAX)
        return false;
    if (row <= lock && row <= notice) {
        *at_ms = row;
        m->row = n->rows[n->row].seq;
        *events = announce_row(out, k->store, &n->rows[n->row++], serve_url(k->serve), arena);
    } else if (lock <= notice) {
        *at_ms = lock;
        m->lock = n->locks[n->lock].id;
        *events = announce_lock(out, &n->locks[n->lock++]);
    } else {
        *at_ms = notice;
        m->notice = n->notices[n->notice].id;
        *events = announce_notice(out, k->store, &n->notices[n->notice++], arena);
    }
    return true;
}

bool sink_turn(struct sink *k, struct marks *m)
{
    auto_arena struct arena arena = {0};
    struct news news;
    k->wait_ms = 0;
    bool more = news_read(k, m, &arena, &news);
    while (more) {
        auto_said struct said out = SAID_INIT;
        struct marks before = *m;
        unsigned events = 0;
        int64_t at_ms = 0;
        more = news_next(k, &news, m, &out, &events, &at_ms, &arena);
        if (!more || !wanted(k, events, at_ms))
            continue;
        if (!k->send(k, &out)) {
            *m = before;
            return false;
        }
        keep(k, m);
    }
    /* What said nothing is passed over in steps: a release writes rows by the thousand. */
    if (memcmp(m, &k->saved, sizeof *m) != 0)
        keep(k, m);
    return true;
}

int64_t back_off_ms(unsigned failures)
{
    int64_t ms = 1000;
    while (failures-- > 1 && ms < 60000)
        ms *= 2;
    return ms < 60000 ? ms : 60000;
}
