/* SPDX-License-Identifier: MIT */
/* The thread that sends answers to response_urls (outbox.h). */
#include "chat/outbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/clock.h"
#include "chat/https.h"

#define TICK_MS    100
#define POST_MS    5000
#define LAST_MS    2000 /* for all that still waits when the server ends */
#define TRIES      3
#define AGAIN_MS   2000
#define OUTBOX_MAX 256

struct outgoing {
    char *url;
    json_t *message;
    int tries;
    int64_t due_ms; /* monotonic */
    struct outgoing *next;
};
static pthread_mutex_t outbox_lock = PTHREAD_MUTEX_INITIALIZER;
static struct outgoing *outbox;
static size_t n_outbox;

static void outgoing_free(struct outgoing *o)
{
    json_decref(o->message);
    free(o->url);
    free(o);
}

static void put(struct outgoing *o)
{
    struct outgoing **end = &outbox;
    pthread_mutex_lock(&outbox_lock);
    while (*end)
        end = &(*end)->next;
    o->next = NULL;
    bool room = n_outbox < OUTBOX_MAX;
    if (room) {
        *end = o;
        n_outbox++;
    }
    pthread_mutex_unlock(&outbox_lock);
    if (!room) {
        serve_log("chat: too many answers wait; one is dropped");
        outgoing_free(o);
    }
}

void outbox_add(const char *url, json_t *message)
{
    struct outgoing *o = xcalloc(1, sizeof *o);
    o->url = xstrdup(url);
    o->message = json_incref(message);
    put(o);
}

/* The first whose time has come by `now`; NULL: none. */
static struct outgoing *take(int64_t now)
{
    struct outgoing *found = NULL;
    pthread_mutex_lock(&outbox_lock);
    for (struct outgoing **p = &outbox; *p; p = &(*p)->next)
        if ((*p)->due_ms <= now) {
            found = *p;
            *p = found->next;
            n_outbox--;
            break;
        }
    pthread_mutex_unlock(&outbox_lock);
    return found;
}

static bool deliver(const struct outgoing *o, int64_t timeout_ms)
{
    struct err err;
    auto_https_answer struct https_answer got = {0};
    auto_free char *json = json_dumps(o->message, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (!json)
        return true;
    bool ok = https_send(&(struct https_request){.url = o->url, .json = json, .timeout_ms = (int)timeout_ms},
                         &got, &err);
    if (!ok)
        serve_log("chat: an answer could not be sent: %s", err.text);
    else if (got.status >= 300)
        serve_log("chat: an answer was not taken: status %d", got.status);
    return ok && got.status != 429 && got.status < 500;
}

static void send_due(struct serve *s)
{
    struct outgoing *o;
    while (!serve_wait(s, 0) && (o = take(clock_mono_ms()))) {
        if (deliver(o, POST_MS) || ++o->tries == TRIES) {
            outgoing_free(o);
            continue;
        }
        o->due_ms = clock_mono_ms() + AGAIN_MS;
        put(o);
    }
}

/* The server ends: each gets one more try while there is time. Whose answer was not sent asks again; what
 * stands in the store is said after the next start. */
static void send_last(void)
{
    int64_t until = clock_mono_ms() + LAST_MS;
    struct outgoing *o;
    while ((o = take(INT64_MAX))) {
        int64_t left = until - clock_mono_ms();
        if (left > 0)
            deliver(o, left);
        outgoing_free(o);
    }
}

void outbox_run(struct serve *s, void *arg)
{
    (void)arg;
    while (!serve_wait(s, TICK_MS))
        send_due(s);
    send_last();
}
