/* SPDX-License-Identifier: MIT */
/* Streams of /events: between http.c, events.c (one stream each) and feed.c (the thread that feeds them).
 * Inside engine/serve. */
#ifndef RELEASE_SERVE_EVENTS_H
#define RELEASE_SERVE_EVENTS_H

#include <microhttpd.h>

#include "serve/serve_priv.h"

#define STREAM_FILLED   65536 /* so much waits for a reader before rows wait in the journal */
#define STREAM_RELEASES 30    /* so many of the newest are looked at for a beginning or an end */
#define STREAM_FULL     (4 * STREAM_FILLED) /* whoever has so much waiting comes again */

struct stream {
    struct stream *next;
    struct streams *all;
    struct MHD_Connection *connection;
    char env[ENV_NAME_MAX]; /* "" = all */
    int64_t token;          /* whose right to look it is, 0 = the proxy's; `login` as in struct actor */
    char login[72];
    int64_t release, after; /* release 0 = all; rows up to `after` were sent */
    struct buf pending;
    bool waiting; /* suspended until there is something */
    bool fresh;   /* was not told yet how things stand */
    bool ended;
    int64_t born_ms, beat_ms; /* monotonic */
};

/* Rows formatted once for all streams that stand at the same place. */
struct event_batch {
    int64_t release, after, next;
    char env[ENV_NAME_MAX];
    struct buf text;
};

/* What was published last, to see what changed. */
struct seen {
    int64_t release, ended_ms;
};
struct seen_lock {
    char env[ENV_NAME_MAX];
    char *text;
};

struct streams {
    struct serve *serve;
    pthread_mutex_t lock;
    struct stream *first;
    size_t n;
    bool stopping;
    /* the thread's own */
    struct store *store;
    int64_t version, last_seq, order_event, envs_ms;
    struct seen seen[STREAM_RELEASES];
    size_t n_seen;
    struct seen_lock *locks;
    size_t n_locks;
    bool baseline; /* what changes from here on is news */
    struct event_batch batches[8];
    size_t n_batches;
};

/* ---- events.c; all->lock is held */
void stream_put(struct stream *st, const char *text, size_t n);
void stream_wake(struct stream *st);
/* Whether news of that environment ("" = of none) and release (0 = of none) are for it. */
bool stream_wants(const struct stream *st, const char *env, int64_t release);

/* ---- for http.c */
/* The response that a stream becomes; it frees the stream when the connection ends. libmicrohttpd's thread.
 */
struct MHD_Response *stream_response(struct stream *st, struct MHD_Connection *connection);
/* One that never became a response. */
void stream_free(struct stream *st);

#endif
