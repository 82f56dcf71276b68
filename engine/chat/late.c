/* SPDX-License-Identifier: MIT */
/* Answers that would be too late for Slack's three seconds (late.h). */
#include "chat/late.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "chat/door.h"
#include "chat/outbox.h"
#include "chat/sign.h"
#include "state/chat.h"

#define IDLE_MS 200
#define MOST    256 /* waiting at once: more than the server has connections */

struct late {
    struct visit visit; /* its strings live in `arena` */
    struct arena arena;
    struct late_work work;
    enum late_end end;
    json_t *message;
    struct err err;
    bool done, left; /* left: the request was answered without it */
    struct late *next;
};

/* Protects the list and the flags of every job in it. */
static pthread_mutex_t jobs_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t jobs_new = PTHREAD_COND_INITIALIZER, jobs_done = PTHREAD_COND_INITIALIZER;
static struct late *jobs;
static size_t n_jobs;
static bool closed; /* the server ends: nobody would do what comes now */

static const char *kept(struct late *j, const char *text)
{
    return text ? arena_strdup(&j->arena, text) : NULL;
}

static struct late *job_new(const struct visit *v, const struct late_work *work)
{
    struct late *j = xcalloc(1, sizeof *j);
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
    j->work = (struct late_work){.signature = kept(j, work->signature),
                                 .text = kept(j, work->text),
                                 .action = kept(j, work->action),
                                 .code = kept(j, work->code)};
    return j;
}

static void job_free(struct late *j)
{
    json_decref(j->message);
    arena_fini(&j->arena);
    free(j);
}

/* ---- the work */

/* Remembers the signature for twice as long as its stamp is good. */
static enum late_end first_time(struct late *j)
{
    bool is_new = false;
    int64_t now = clock_wall_ms();
    struct store *w = serve_writer(j->visit.serve, &j->err);
    bool ok =
        w && seen_add(w, j->work.signature, now, now - 2 * SIGN_SKEW_S * INT64_C(1000), &is_new, &j->err);
    if (w)
        serve_writer_done(j->visit.serve);
    return !ok ? LATE_FAILED : is_new ? LATE_DONE : LATE_REPLAYED;
}

static void job_work(struct late *j, struct store *store)
{
    auto_said struct said out = SAID_INIT;
    j->end = first_time(j);
    if (j->end != LATE_DONE)
        return;
    j->visit.store = store;
    if (j->work.text)
        desk_command(&j->visit, j->work.text, &out);
    else
        desk_press(&j->visit, j->work.action, j->work.code, &out);
    out.replace = !j->work.text && out.in_channel; /* done: the question with its buttons goes away */
    j->message = slack_message(&out);
    if (!j->message)
        j->end = LATE_FAILED;
}

/* A button's answer is shown only when it comes by its response_url. */
static void job_end(struct late *j)
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

static struct late *job_take(void)
{
    struct timespec ts;
    until(&ts, IDLE_MS);
    pthread_mutex_lock(&jobs_lock);
    if (!jobs)
        pthread_cond_clockwait(&jobs_new, &jobs_lock, CLOCK_MONOTONIC, &ts);
    struct late *j = jobs;
    if (j) {
        jobs = j->next;
        n_jobs--;
    }
    pthread_mutex_unlock(&jobs_lock);
    return j;
}

static void close_desks(void)
{
    pthread_mutex_lock(&jobs_lock);
    closed = true;
    pthread_mutex_unlock(&jobs_lock);
}

void late_run(struct serve *s, void *arg)
{
    (void)arg;
    struct store *store = chat_store(s, "a desk");
    if (!store) {
        close_desks();
        return;
    }
    for (bool ending = false;;) {
        if (!ending && serve_wait(s, 0)) {
            close_desks();
            ending = true;
        }
        struct late *j = job_take();
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

static bool job_add(struct late *j, struct err *err)
{
    pthread_mutex_lock(&jobs_lock);
    bool room = n_jobs < MOST && !closed;
    if (closed)
        err_set(err, E_LIMIT, "the server is being restarted; try again in a moment");
    else if (!room)
        err_set(err, E_LIMIT, "too many commands at once; try again");
    struct late **end = &jobs;
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
static bool job_wait(struct late *j, int64_t budget_ms)
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

enum late_end late_serve(const struct visit *v, const struct late_work *work, int64_t budget_ms, json_t **ret,
                         struct err *err)
{
    struct late *j = job_new(v, work);
    *ret = NULL;
    if (!job_add(j, err)) {
        job_free(j);
        return LATE_BUSY;
    }
    if (!job_wait(j, budget_ms))
        return LATE_FOLLOWS;
    enum late_end end = j->end;
    *ret = json_incref(j->message);
    *err = j->err;
    job_free(j);
    return end;
}
