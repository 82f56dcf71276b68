/* SPDX-License-Identifier: MIT */
/* Workers: threads that answer requests, each with a READ store of its own. Requests that start a child and
 * wait for it have workers of their own, so that a slow balancer never holds up a page. */
#include <stdlib.h>

#include "serve/http_priv.h"

struct lane {
    struct work *work;
    struct exchange *first, **last;
    size_t n;
    pthread_cond_t wake;
    pthread_t threads[SERVE_WORKERS];
    size_t n_threads;
};

struct work {
    struct serve *serve;
    struct work_calls calls;
    pthread_mutex_t lock;
    bool stopping;
    struct lane quick, slow;
};

static struct exchange *take(struct lane *lane)
{
    struct work *w = lane->work;
    pthread_mutex_lock(&w->lock);
    while (!lane->first && !w->stopping)
        pthread_cond_wait(&lane->wake, &w->lock);
    struct exchange *x = lane->first;
    if (x) {
        lane->first = x->next;
        if (!lane->first)
            lane->last = &lane->first;
        lane->n--;
    }
    pthread_mutex_unlock(&w->lock);
    return x;
}

/* A store that could not be opened is tried again with the next request: the journal may come back. */
static void answer(struct work *w, struct exchange *x, struct store **store)
{
    struct err err;
    if (!*store && !serve_store(w->serve, store, &err)) {
        *store = NULL;
        reply_err(&x->reply, &err);
        return;
    }
    x->request.store = *store;
    w->calls.answer(x);
}

static void *run(void *arg)
{
    struct lane *lane = arg;
    struct store *store = NULL;
    struct exchange *x;
    while ((x = take(lane)) != NULL) {
        answer(lane->work, x, &store);
        lane->work->calls.done(x);
    }
    store_close(store);
    return NULL;
}

static bool lane_start(struct lane *lane, size_t n, struct err *err)
{
    for (; lane->n_threads < n; lane->n_threads++)
        if (pthread_create(&lane->threads[lane->n_threads], NULL, run, lane) != 0)
            return err_set(err, E_LIMIT, "no thread for a worker of the server (limit reached?)");
    return true;
}

static void lane_init(struct work *w, struct lane *lane)
{
    lane->work = w;
    lane->last = &lane->first;
    pthread_cond_init(&lane->wake, NULL);
}

struct work *work_start(struct serve *s, const struct work_calls *calls, struct err *err)
{
    struct work *w = xcalloc(1, sizeof *w);
    w->serve = s;
    w->calls = *calls;
    pthread_mutex_init(&w->lock, NULL);
    lane_init(w, &w->quick);
    lane_init(w, &w->slow);
    if (lane_start(&w->quick, SERVE_WORKERS, err) && lane_start(&w->slow, SERVE_SLOW_WORKERS, err))
        return w;
    work_stop(w);
    work_free(w);
    return NULL;
}

bool work_put(struct work *w, struct exchange *x, bool slow)
{
    struct lane *lane = slow ? &w->slow : &w->quick;
    pthread_mutex_lock(&w->lock);
    bool fits = !w->stopping && lane->n < SERVE_QUEUE;
    if (fits) {
        x->next = NULL;
        *lane->last = x;
        lane->last = &x->next;
        lane->n++;
        pthread_cond_signal(&lane->wake);
    }
    pthread_mutex_unlock(&w->lock);
    return fits;
}

static void lane_stop(struct lane *lane)
{
    for (size_t i = 0; i < lane->n_threads; i++)
        pthread_join(lane->threads[i], NULL);
    lane->n_threads = 0;
}

void work_stop(struct work *w)
{
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->quick.wake);
    pthread_cond_broadcast(&w->slow.wake);
    pthread_mutex_unlock(&w->lock);
    lane_stop(&w->quick);
    lane_stop(&w->slow);
}

void work_free(struct work *w)
{
    if (!w)
        return;
    pthread_cond_destroy(&w->quick.wake);
    pthread_cond_destroy(&w->slow.wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
