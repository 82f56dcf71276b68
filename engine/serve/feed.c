/* SPDX-License-Identifier: MIT */
/* The thread that feeds all streams: it reads the journal once for those that stand at the same place, and
 * says what changed besides rows. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "serve/api.h"
#include "serve/events.h"
#include "serve/fold.h"
#include "state/orders.h"
#include "state/tokens.h"
#include "watch/json.h"

#define TICK_MS 200
#define BEAT_MS 15000
#define LIFE_MS (15 * 60 * 1000) /* then the browser comes again, and its right to look is asked for anew */
#define ROWS    500
#define ENVS_MS 10000

static void publish_json(struct streams *all, const char *event, const char *env, int64_t release, json_t *o)
{
    auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    must(text);
    json_decref(o);
    if (all->baseline)
        serve_publish(all->serve, event, env, release, text);
}

/* ---- what changed */

static struct seen_lock *lock_seen(struct streams *all, const char *env)
{
    for (size_t i = 0; i < all->n_locks; i++)
        if (strcmp(all->locks[i].env, env) == 0)
            return &all->locks[i];
    all->locks = xrealloc(all->locks, (all->n_locks + 1) * sizeof *all->locks);
    struct seen_lock *l = &all->locks[all->n_locks++];
    *l = (struct seen_lock){.text = xstrdup("null")};
    snprintf(l->env, sizeof l->env, "%s", env);
    return l;
}

static bool look_at_locks(struct streams *all, struct arena *arena, struct err *err)
{
    size_t n;
    if (all->envs_ms == 0 || clock_mono_ms() - all->envs_ms > ENVS_MS) {
        const char *const *envs = api_envs(all->serve, all->store, arena, &n);
        for (size_t i = 0; i < n; i++)
            lock_seen(all, envs[i]);
        all->envs_ms = clock_mono_ms();
    }
    for (size_t i = 0; i < all->n_locks; i++) {
        struct lock_info l;
        if (!lock_get(reader(all->store, arena), all->locks[i].env, &l, err))
            return false;
        json_t *lock = env_lock_json(&l, arena);
        char *text = json_dumps(lock, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
        bool same = strcmp(text, all->locks[i].text) == 0;
        free(all->locks[i].text);
        all->locks[i].text = text;
        if (!same)
            publish_json(all, "lock", all->locks[i].env, 0,
                         json_pack("{s:s, s:O}", "env", all->locks[i].env, "lock", lock));
        json_decref(lock);
    }
    return true;
}

static bool release_is_news(struct streams *all, const struct release_info *r)
{
    for (size_t i = 0; i < all->n_seen; i++)
        if (all->seen[i].release == r->id)
            return all->seen[i].ended_ms != r->ended_ms;
    return true;
}

static bool look_at_releases(struct streams *all, struct arena *arena, struct err *err)
{
    struct release_info *list;
    size_t n;
    if (!release_list(reader(all->store, arena), &(struct newest){.limit = STREAM_RELEASES}, &list, &n, err))
        return false;
    for (size_t i = 0; i < n; i++)
        lock_seen(all, list[i].env); /* one that the pillar does not know has a lock, too */
    for (size_t i = n; i-- > 0;)
        if (release_is_news(all, &list[i]))
            publish_json(all, "release", list[i].env, list[i].id, watch_release_json(&list[i]));
    all->n_seen = n;
    for (size_t i = 0; i < n; i++)
        all->seen[i] = (struct seen){.release = list[i].id, .ended_ms = list[i].ended_ms};
    return true;
}

static bool look_at_orders(struct streams *all, struct arena *arena, struct err *err)
{
    struct order_change *changes;
    size_t n;
    if (!all->baseline)
        return order_last_change(all->store, &all->order_event, err);
    if (!order_changes(reader(all->store, arena), &(struct since){.after = all->order_event, .limit = 200},
                       &changes, &n, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct order_info *o;
        if (!order_get(reader(all->store, arena), changes[i].order, &o, err))
            return false;
        all->order_event = changes[i].id;
        if (o)
            publish_json(all, "order", o->env, o->release, api_order_json(o));
    }
    return true;
}

/* A revoked token and a login that was ended show nothing more, also to whoever looks already. */
static bool look_at_rights(struct streams *all, struct err *err)
{
    bool ok = true;
    pthread_mutex_lock(&all->lock);
    for (struct stream *st = all->first; st && ok; st = st->next) {
        bool in_force = true;
        if (st->ended || st->token == 0)
            continue;
        ok = token_in_force(all->store, st->token, st->login, &in_force, err);
        if (ok && !in_force) {
            st->ended = true;
            buf_reset(&st->pending);
            stream_wake(st);
        }
    }
    pthread_mutex_unlock(&all->lock);
    return ok;
}

/* One that joined after its token was looked at may have missed the change that took its right. */
static bool any_fresh(struct streams *all)
{
    bool fresh = false;
    pthread_mutex_lock(&all->lock);
    for (const struct stream *st = all->first; st; st = st->next)
        fresh |= st->fresh;
    pthread_mutex_unlock(&all->lock);
    return fresh;
}

/* ---- rows */

/* The rows of one release in a run of rows: labels come from its plan. */
static void add_rows(struct streams *all, struct event_batch *b, const struct row *rows, size_t n)
{
    struct err err;
    struct fold *f = rows[0].release ? fold_get(all->serve, all->store, rows[0].release, &err) : NULL;
    bool wanted = !b->env[0] || (f && strcmp(f->plan->env, b->env) == 0);
    for (size_t i = 0; wanted && i < n; i++) {
        json_t *o = watch_row_json(f ? f->watch : NULL, &rows[i]);
        auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
        json_decref(o);
        buf_printf(&b->text, "id: %lld\nevent: row\ndata: %s\n\n", (long long)rows[i].seq, text);
    }
    if (f)
        fold_put(all->serve, f);
}

static bool read_batch(struct streams *all, struct event_batch *b, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct row *rows;
    size_t n, from = 0;
    if (!journal_read(reader(all->store, &arena),
                      &(struct row_range){.release = b->release, .after = b->after, .limit = ROWS}, &rows, &n,
                      err))
        return false;
    for (size_t i = 1; i <= n; i++)
        if (i == n || rows[i].release != rows[from].release) {
            add_rows(all, b, &rows[from], i - from);
            from = i;
        }
    b->next = n ? rows[n - 1].seq : b->after;
    if (n < ROWS && b->next < all->last_seq) /* what lies between is of other releases */
        b->next = all->last_seq;
    return true;
}

/* NULL: the journal cannot be read just now. Batches live for one round. */
static struct event_batch *batch_for(struct streams *all, const struct stream *st)
{
    struct err err;
    for (size_t i = 0; i < all->n_batches; i++) {
        struct event_batch *b = &all->batches[i];
        if (b->release == st->release && b->after == st->after && strcmp(b->env, st->env) == 0)
            return b;
    }
    if (all->n_batches == sizeof all->batches / sizeof all->batches[0])
        return NULL; /* the next round is his */
    struct event_batch *b = &all->batches[all->n_batches];
    *b = (struct event_batch){
        .release = st->release, .after = st->after, .text = BUF_INIT((size_t)16 * 1024 * 1024)};
    snprintf(b->env, sizeof b->env, "%s", st->release ? "" : st->env);
    if (!read_batch(all, b, &err)) {
        buf_fini(&b->text);
        return NULL;
    }
    all->n_batches++;
    return b;
}

/* The next stream that has room and is behind; its place is copied, as it may go while we read. */
static bool next_behind(struct streams *all, struct stream **at, struct stream *ret)
{
    pthread_mutex_lock(&all->lock);
    struct stream *st = all->first;
    while (st && *at && st != *at)
        st = st->next;
    st = *at ? (st ? st->next : NULL) : all->first;
    while (st && (st->after >= all->last_seq || st->pending.len >= STREAM_FILLED || st->ended || st->fresh))
        st = st->next;
    *at = st;
    if (st)
        *ret = *st;
    pthread_mutex_unlock(&all->lock);
    return st != NULL;
}

static void hand_out(struct streams *all, const struct stream *st, const struct stream *was,
                     const struct event_batch *b)
{
    pthread_mutex_lock(&all->lock);
    for (struct stream *i = all->first; i; i = i->next)
        if (i == st && i->after == was->after && i->born_ms == was->born_ms) {
            /* More than a buffer holds: it grows for the moment rather than lose the place. */
            if (i->pending.max_bytes < i->pending.len + b->text.len + STREAM_FULL)
                i->pending.max_bytes = i->pending.len + b->text.len + STREAM_FULL;
            i->after = b->next;
            if (b->text.len)
                stream_put(i, b->text.data, b->text.len);
        }
    pthread_mutex_unlock(&all->lock);
}

static bool pump_rows(struct streams *all)
{
    struct stream *at = NULL, copy;
    bool more = false;
    while (next_behind(all, &at, &copy)) {
        struct event_batch *b = batch_for(all, &copy);
        if (b)
            hand_out(all, at, &copy, b);
        more |= !b || b->next < all->last_seq;
    }
    for (size_t i = 0; i < all->n_batches; i++)
        buf_fini(&all->batches[i].text);
    all->n_batches = 0;
    return more;
}

/* ---- the thread */

/* Locks as they stand: what changed while the page was on its way would otherwise stay unseen. By the thread
 * that also tells of changes, so that an old state never follows a new one. */
static void greet(struct streams *all)
{
    pthread_mutex_lock(&all->lock);
    for (struct stream *st = all->first; st; st = st->next) {
        auto_buf struct buf text = BUF_INIT(STREAM_FILLED);
        for (size_t i = 0; st->fresh && i < all->n_locks; i++)
            if (stream_wants(st, all->locks[i].env, 0))
                buf_printf(&text, "event: lock\ndata: {\"env\":\"%s\",\"lock\":%s}\n\n", all->locks[i].env,
                           all->locks[i].text);
        st->fresh = false;
        if (text.len)
            stream_put(st, text.data, text.len);
    }
    pthread_mutex_unlock(&all->lock);
}

/* Nobody looks at the descriptor of a suspended connection but us: a page that was closed would hold its
 * place until something is written. It stays open as long as the connection is suspended. */
static bool peer_left(const struct stream *st)
{
    if (!st->waiting)
        return false;
    struct pollfd fd = {
        .fd = MHD_get_connection_info(st->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
        .events = POLLRDHUP};
    return poll(&fd, 1, 0) > 0;
}

static void beat(struct streams *all)
{
    int64_t now = clock_mono_ms();
    pthread_mutex_lock(&all->lock);
    for (struct stream *st = all->first; st; st = st->next) {
        if (!st->ended && (now - st->born_ms > LIFE_MS || peer_left(st))) {
            st->ended = true;
            stream_wake(st);
        }
        if (now - st->beat_ms > BEAT_MS && !st->ended) {
            st->beat_ms = now;
            if (st->pending.len == 0)
                stream_put(st, ":\n\n", 3);
        }
    }
    pthread_mutex_unlock(&all->lock);
}

static bool look(struct streams *all, struct err *err)
{
    auto_arena struct arena arena = {0};
    if (!all->store && !serve_store(all->serve, &all->store, err)) {
        all->store = NULL;
        return false;
    }
    int64_t version;
    if (!store_version(all->store, &version, err))
        return false;
    if (version == all->version && all->baseline)
        return !any_fresh(all) || look_at_rights(all, err);
    if (!look_at_rights(all, err) || !look_at_releases(all, &arena, err) ||
        !look_at_locks(all, &arena, err) || !look_at_orders(all, &arena, err))
        return false;
    all->last_seq = journal_last_seq(all->store);
    all->version = version;
    all->baseline = true;
    return true;
}

static void run(struct serve *s, void *arg)
{
    struct streams *all = arg;
    bool more = false;
    struct err err;
    while (!serve_wait(s, more ? 1 : TICK_MS)) {
        more = false;
        beat(all);
        if (!look(all, &err))
            continue; /* the journal cannot be read just now: the next round may */
        greet(all);
        more = pump_rows(all);
    }
    pthread_mutex_lock(&all->lock);
    all->stopping = true;
    for (struct stream *st = all->first; st; st = st->next)
        stream_wake(st);
    pthread_mutex_unlock(&all->lock);
    store_close(all->store);
    all->store = NULL;
}

bool streams_start(struct serve *s, struct err *err)
{
    return serve_thread(s, "streams", run, s->streams, err);
}
