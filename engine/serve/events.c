/* SPDX-License-Identifier: MIT */
/* /events: the journal as server-sent events, one stream per page; feed.c feeds them.
 *
 * A row has its place in the journal as id, so a browser that comes again says where it was (Last-Event-ID)
 * and loses nothing, also over a restart of the server. Everything else (lock, release, queue, order) is a
 * state that is sent when it changes, and has no id. A reader that does not keep up keeps at most one full
 * buffer here: the rest waits in the journal. */
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "serve/api.h"
#include "serve/events.h"

void streams_open(struct serve *s)
{
    s->streams = xcalloc(1, sizeof *s->streams);
    s->streams->serve = s;
    pthread_mutex_init(&s->streams->lock, NULL);
}

void streams_free(struct serve *s)
{
    struct streams *all = s->streams;
    for (size_t i = 0; all && i < all->n_locks; i++)
        free(all->locks[i].text);
    if (all) {
        free(all->locks);
        pthread_mutex_destroy(&all->lock);
    }
    free(all);
    s->streams = NULL;
}

size_t streams_counted(struct serve *s)
{
    pthread_mutex_lock(&s->streams->lock);
    size_t n = s->streams->n;
    pthread_mutex_unlock(&s->streams->lock);
    return n;
}

/* ---- one stream; all->lock is held */

void stream_wake(struct stream *st)
{
    if (!st->waiting)
        return;
    st->waiting = false;
    MHD_resume_connection(st->connection);
}

/* A buffer that is full although rows stop long before: whoever reads so slowly comes again. */
void stream_put(struct stream *st, const char *text, size_t n)
{
    buf_add(&st->pending, text, n);
    if (st->pending.cut)
        st->ended = true;
    stream_wake(st);
}

bool stream_wants(const struct stream *st, const char *env, int64_t release)
{
    if (st->env[0] && env[0] && strcmp(st->env, env) != 0)
        return false;
    return !st->release || !release || st->release == release;
}

static ssize_t stream_read(void *cls, uint64_t pos, char *to, size_t max)
{
    (void)pos;
    struct stream *st = cls;
    struct streams *all = st->all;
    pthread_mutex_lock(&all->lock);
    size_t n = st->pending.len < max ? st->pending.len : max;
    if (n > 0) {
        memcpy(to, st->pending.data, n);
        memmove(st->pending.data, st->pending.data + n, st->pending.len - n);
        st->pending.len -= n;
        if (st->pending.len == 0 && st->pending.cap > STREAM_FILLED) /* fifty pages at rest hold nothing */
            buf_fini(&st->pending);
    } else if (!st->ended && !all->stopping) {
        st->waiting = true;
        MHD_suspend_connection(st->connection);
    }
    bool over = n == 0 && !st->waiting;
    pthread_mutex_unlock(&all->lock);
    return over ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)n;
}

void stream_free(struct stream *st)
{
    struct streams *all = st->all;
    pthread_mutex_lock(&all->lock);
    struct stream **at = &all->first;
    while (*at != st)
        at = &(*at)->next;
    *at = st->next;
    all->n--;
    pthread_mutex_unlock(&all->lock);
    buf_fini(&st->pending);
    free(st);
}

static void on_free(void *cls)
{
    stream_free(cls);
}

struct MHD_Response *stream_response(struct stream *st, struct MHD_Connection *connection)
{
    st->connection = connection;
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 8192, stream_read, st, on_free);
}

/* ---- a new one */

static struct stream *stream_new(struct streams *all)
{
    struct stream *st = xcalloc(1, sizeof *st);
    st->all = all;
    st->pending = BUF_INIT(STREAM_FULL);
    st->fresh = true;
    st->born_ms = st->beat_ms = clock_mono_ms();
    return st;
}

static bool join(struct streams *all, struct stream *st)
{
    pthread_mutex_lock(&all->lock);
    bool fits = all->n < SERVE_STREAMS && !all->stopping;
    if (fits) {
        st->next = all->first;
        all->first = st;
        all->n++;
    }
    pthread_mutex_unlock(&all->lock);
    return fits;
}

/* Where it stands: what the browser says it had, else what the page says its snapshot had, else now. */
static bool cursor_of(const struct request *r, int64_t *ret, struct reply *reply)
{
    const char *last = request_header(r, "Last-Event-ID");
    size_t n = last ? strspn(last, "0123456789") : 0;
    if (n > 0 && n <= 18 && last[n] == '\0') {
        *ret = strtoll(last, NULL, 10);
        return true;
    }
    return request_number(r, "after", journal_last_seq(r->store), ret, reply);
}

static void events(struct request *r, struct reply *reply)
{
    const char *env = request_query(r, "env");
    struct stream *st = stream_new(r->serve->streams);
    bool ok = request_number(r, "release", 0, &st->release, reply) && cursor_of(r, &st->after, reply);
    if (ok && env && env[0] && !env_valid(env))
        ok = reply_error(reply, 400, "usage", "env: '%.100s' cannot be an environment's name: " NAME_WANTED,
                         env);
    if (ok && env)
        snprintf(st->env, sizeof st->env, "%s", env);
    st->token = r->actor.token;
    snprintf(st->login, sizeof st->login, "%s", r->actor.login);
    buf_puts(&st->pending, "retry: 2000\n\n");
    if (ok && !join(r->serve->streams, st)) {
        ok = reply_error(reply, 503, "busy", "%d streams are open already; close a page", SERVE_STREAMS);
        reply_header(reply, "Retry-After", "10");
    }
    if (!ok) {
        buf_fini(&st->pending);
        free(st);
        return;
    }
    reply->status = 200;
    reply->type = "text/event-stream";
    reply->stream = st;
    reply_header(reply, "X-Accel-Buffering", "no");
}

const struct route event_routes[] = {
    {.method = "GET", .pattern = "/events", .right = RIGHT_VIEWER, .handle = events},
    ROUTE_END,
};

/* ---- what all are told */

void serve_publish(struct serve *s, const char *event, const char *env, int64_t release, const char *data)
{
    struct streams *all = s->streams;
    auto_buf struct buf text = BUF_INIT(STREAM_FILLED);
    buf_printf(&text, "event: %s\ndata: %s\n\n", event, data);
    if (text.cut)
        return;
    pthread_mutex_lock(&all->lock);
    for (struct stream *st = all->first; st; st = st->next)
        if (stream_wants(st, env, release))
            stream_put(st, text.data, text.len);
    pthread_mutex_unlock(&all->lock);
}
