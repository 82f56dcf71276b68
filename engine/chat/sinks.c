/* SPDX-License-Identifier: MIT */
/* What the threads that announce have in common: sinks, their marks, back-off (sinks.h). */
#include "chat/sinks.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "chat/announce.h"
#include "chat/context.h"

#define PAGE_ROWS 200
#define OLD_MS    (INT64_C(24) * 3600 * 1000) /* what is older is news no more */

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

static bool marks_put(struct serve *s, const char *name, const struct sink_marks *m, bool born,
                      struct err *err)
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

bool marks_load(struct serve *s, struct store *store, const char *name, struct sink_marks *ret,
                struct err *err)
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

bool marks_save(struct serve *s, const char *name, const struct sink_marks *was, const struct sink_marks *now,
                struct err *err)
{
    if (was->row == now->row && was->lock == now->lock && was->notice == now->notice)
        return true;
    return marks_put(s, name, now, false, err);
}

bool sink_open(struct room_sink *k, struct sink_marks *m)
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
static void keep(struct room_sink *k, const struct sink_marks *m)
{
    struct err err;
    if (!marks_save(k->serve, k->name, &k->saved, m, &err))
        serve_log("chat: %s: %s", k->name, err.text);
    else
        k->saved = *m;
}

/* What one thing was, for those who hear of some things only, and when it was. */
struct announced {
    unsigned events;
    int64_t at_ms;
};

static bool wanted(const struct room_sink *k, const struct announced *a)
{
    return (a->events & k->events) && clock_wall_ms() - a->at_ms <= OLD_MS;
}

/* What is new, of each sort; it lives in `arena`. */
struct news {
    struct arena *arena;
    struct row *rows;
    struct lock_event *locks;
    struct notice *notices;
    size_t n_rows, n_locks, n_notices, row, lock, notice;
};

static bool news_read(const struct room_sink *k, const struct sink_marks *m, struct arena *arena,
                      struct news *ret)
{
    struct err err;
    *ret = (struct news){.arena = arena};
    return (!k->rows ||
            journal_told(reader(k->store, arena), &(struct since){.after = m->row, .limit = PAGE_ROWS},
                         &ret->rows, &ret->n_rows, &err)) &&
           lock_events_after(reader(k->store, arena), &(struct since){.after = m->lock, .limit = PAGE_ROWS},
                             &ret->locks, &ret->n_locks, &err) &&
           notice_after(reader(k->store, arena), &(struct since){.after = m->notice, .limit = PAGE_ROWS},
                        &ret->notices, &ret->n_notices, &err);
}

/* The earliest of the three, as far as clocks can tell: after an outage the story comes in its order. false:
 * no more. */
static bool news_next(struct room_sink *k, struct news *n, struct sink_marks *m, struct said *out,
                      struct announced *ret)
{
    int64_t row = n->row < n->n_rows ? n->rows[n->row].at_ms : INT64_MAX;
    int64_t lock = n->lock < n->n_locks ? n->locks[n->lock].at_ms : INT64_MAX;
    int64_t notice = n->notice < n->n_notices ? n->notices[n->notice].at_ms : INT64_MAX;
    if (row == INT64_MAX && lock == INT64_MAX && notice == INT64_MAX)
        return false;
    if (row <= lock && row <= notice) {
        ret->at_ms = row;
        m->row = n->rows[n->row].seq;
        ret->events = announce_row(out, k->store, &n->rows[n->row++], serve_url(k->serve), n->arena);
    } else if (lock <= notice) {
        ret->at_ms = lock;
        m->lock = n->locks[n->lock].id;
        ret->events = announce_lock(out, &n->locks[n->lock++]);
    } else {
        ret->at_ms = notice;
        m->notice = n->notices[n->notice].id;
        ret->events = announce_notice(out, k->store, &n->notices[n->notice++], n->arena);
    }
    return true;
}

bool sink_turn(struct room_sink *k, struct sink_marks *m)
{
    auto_arena struct arena arena = {0};
    struct news news;
    k->wait_ms = 0;
    bool more = news_read(k, m, &arena, &news);
    while (more) {
        auto_said struct said out = SAID_INIT;
        struct sink_marks before = *m;
        struct announced what = {0};
        more = news_next(k, &news, m, &out, &what);
        if (!more || !wanted(k, &what))
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
