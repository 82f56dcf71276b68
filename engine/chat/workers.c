/* SPDX-License-Identifier: MIT */
/* Commands within Slack's three seconds, or later by response_url (workers.h). */
#include "chat/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "chat/context.h"
#include "chat/outbox.h"
#include "chat/signatures.h"
#include "state/chat.h"

#define IDLE_MS 200
#define MOST    256 /* waiting at once: more than the server has connections */

struct chat_job {
    struct visit visit; /* its strings live in `arena` */
    struct arena arena;
    struct received work;
    enum served end;
    json_t *message;
    struct err err;
    bool done, left; /* left: the request was answered without it */
    struct chat_job *next;
};

/* Protects the list and the flags of every job in it. */
static pthread_mutex_t jobs_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t jobs_new = PTHREAD_COND_INITIALIZER, jobs_done = PTHREAD_COND_INITIALIZER;
static struct chat_job *jobs;
static size_t n_jobs;
static bool closed; /* the server ends: nobody would do what comes now */

static const char *kept(struct chat_job *j, const char *text)
{
    return text ? arena_strdup(&j->arena, text) : NULL;
}

static struct chat_job *job_new(const struct visit *v, const struct received *work)
{
    struct chat_job *j = xcalloc(1, sizeof *j);
    j->visit = (struct visit){
        .serve = v->serve,
        .config = v->config,
        .sender = {.via = v->sender.via,
                   .team = kept(j, v->sender.team),
                   .channel = kept(j, v->sender.channel),
                   .user = kept(j, v->sender.user)},
        .asker = {.who = kept(j, v->asker.who),
                  .person = kept(j, v->asker.person),
                  .via = v->asker.via,
                  .place = kept(j, v->asker.place),
                  .reply_to = kept(j, v->asker.reply_to)},
    };
    j->visit.arena = &j->arena;
    j->work = (struct received){.signature = kept(j, work->signature),
                                .text = kept(j, work->text),
                                .action = kept(j, work->action),
                                .code = kept(j, work->code)};
    return j;
}

static void job_free(struct chat_job *j)
{
    json_decref(j->message);
    arena_fini(&j->arena);
    free(j);
}

/* ---- the work */

/* Remembers the signature for twice as long as its stamp is good. */
static enum served first_time(struct chat_job *j)
{
    bool is_new = false;
    int64_t now = clock_wall_ms();
    struct store *w = serve_writer(j->visit.serve, &j->err);
    bool ok = w && seen_add(w,
                            &(struct seen_new){.hash = j->work.signature,
                                               .at_ms = now,
                                               .forget_ms = now - 2 * SIGN_SKEW_S * INT64_C(1000)},
                            &is_new, &j->err);
    if (w)
        serve_writer_done(j->visit.serve);
    return !ok ? SERVED_FAILED : is_new ? SERVED_DONE : SERVED_REPLAYED;
}

static void job_work(struct chat_job *j, struct store *store)
{
    auto_said struct said out = SAID_INIT;
    j->end = first_time(j);
    if (j->end != SERVED_DONE)
        return;
    j->visit.store = store;
    if (j->work.text)
        command_typed(&j->visit, j->work.text, &out);
    else
        command_pressed(&j->visit, j->work.action, j->work.code, &out);
    out.replace = !j->work.text && out.in_channel; /* done: the question with its buttons goes away */
    j->message = slack_message(&out);
    if (!j->message)
        j->end = SERVED_FAILED;
}

/* A button's answer is shown only when it comes by its response_url. */
static void job_end(struct chat_job *j)
{
    pthread_mutex_lock(&jobs_lock);
    bool left = j->left;
    bool tell = j->message && j->visit.asker.reply_to[0] && (left || !j->work.text);
    if (tell)
        outbox_add(j->visit.asker.reply_to, j->message);
    j->done = true;
    pthread_cond_broadcast(&jobs_done);
    pthread_mutex_unlock(&jobs_lock);
    if (left)
        job_free(j);
}

/* Monotonic: a clock that is set must not shorten or lengthen what is left of Slack's patience. */
static void until(struct timespec *ts, int64_t ms)
{
    clock_gettime(CLOCK_MONOTONIC, ts);
    ts->tv_sec += ms / 1000;
    ts->tv_nsec += (long)(ms % 1000) * 1000000;
    if (ts->tv_nsec >= 1000000000) {
        ts->tv_sec++;
        ts->tv_nsec -= 1000000000;
    }
}

static struct chat_job *job_take(void)
{
    struct timespec ts;
    until(&ts, IDLE_MS);
    pthread_mutex_lock(&jobs_lock);
    if (!jobs)
        pthread_cond_clockwait(&jobs_new, &jobs_lock, CLOCK_MONOTONIC, &ts);
    struct chat_job *j = jobs;
    if (j) {
        jobs = j->next;
        n_jobs--;
    }
    pthread_mutex_unlock(&jobs_lock);
    return j;
}

static void close_workers(void)
{
    pthread_mutex_lock(&jobs_lock);
    closed = true;
    pthread_mutex_unlock(&jobs_lock);
}

void worker_run(struct serve *s, void *arg)
{
    (void)arg;
    struct store *store = chat_store(s, "a worker");
    if (!store) {
        close_workers();
        return;
    }
    for (bool ending = false;;) {
        if (!ending && serve_wait(s, 0)) {
            close_workers();
            ending = true;
        }
        struct chat_job *j = job_take();
        if (!j && ending)
            break; /* what was taken before is done */
        if (j) {
            job_work(j, store);
            job_end(j);
        }
    }
    store_close(store);
}

/* ---- the request */

static bool job_add(struct chat_job *j, struct err *err)
{
    pthread_mutex_lock(&jobs_lock);
    bool room = n_jobs < MOST && !closed;
    if (closed)
        err_set(err, E_LIMIT, "the server is being restarted; try again in a moment");
    else if (!room)
        err_set(err, E_LIMIT, "too many commands at once; try again");
    struct chat_job **end = &jobs;
    while (*end)
        end = &(*end)->next;
    if (room) {
        *end = j;
        n_jobs++;
        pthread_cond_signal(&jobs_new);
    }
    pthread_mutex_unlock(&jobs_lock);
    return room;
}

/* true: it is done, and ours. */
static bool job_wait(struct chat_job *j, int64_t budget_ms)
{
    struct timespec ts;
    until(&ts, budget_ms);
    pthread_mutex_lock(&jobs_lock);
    while (!j->done && pthread_cond_clockwait(&jobs_done, &jobs_lock, CLOCK_MONOTONIC, &ts) != ETIMEDOUT)
        ;
    bool done = j->done;
    j->left = !done;
    pthread_mutex_unlock(&jobs_lock);
    return done;
}

enum served worker_serve(const struct visit *v, const struct received *work, int64_t budget_ms, json_t **ret,
                         struct err *err)
{
    struct chat_job *j = job_new(v, work);
    *ret = NULL;
    if (!job_add(j, err)) {
        job_free(j);
        return SERVED_BUSY;
    }
    if (!job_wait(j, budget_ms))
        return SERVED_FOLLOWS;
    enum served end = j->end;
    *ret = json_incref(j->message);
    *err = j->err;
    job_free(j);
    return end;
}
