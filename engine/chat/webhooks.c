/* SPDX-License-Identifier: MIT */
/* Webhooks: {"text": ...} as Slack, Mattermost and Rocket.Chat take it. Each has a thread: a dead one waits
 * alone. */
#include <stdlib.h>

#include "base/auto.h"
#include "chat/https.h"
#include "chat/sinks.h"

#define POLL_MS 250
#define POST_MS 10000

static bool hook_send(struct room_sink *k, struct said *said)
{
    const struct hook *hook = k->data;
    struct err err = {0};
    json_t *message = webhook_message(said);
    auto_free char *json = json_dumps(message, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(message);
    if (!json)
        return true;
    auto_https_answer struct https_answer got;
    bool ok = https_send(&(struct https_request){.url = hook->url, .json = json, .timeout_ms = POST_MS}, &got,
                         &err);
    k->wait_ms = got.retry_after_ms;
    if (ok && got.status >= 200 && got.status < 300)
        return true;
    /* It will never be taken in this form: the others must not wait behind it for ever. */
    bool hopeless = ok && (got.status == 400 || got.status == 413 || got.status == 422);
    serve_log("chat: %s: %s%s", hook->name, ok ? "the message was not taken" : err.text,
              hopeless ? "; it is left out" : "; trying again");
    return hopeless;
}

/* Sleeps in pieces, so that the end of the server is not held up. */
static bool idle(struct serve *s, bool ok, unsigned *failures, int64_t wanted_ms)
{
    *failures = ok ? 0 : *failures + 1;
    int64_t ms = ok ? POLL_MS : wanted_ms > 0 && wanted_ms < 600000 ? wanted_ms : back_off_ms(*failures);
    return serve_wait(s, ms);
}

void hook_run(struct serve *s, void *arg)
{
    const struct hook *hook = arg;
    struct room_sink k = {.name = hook->name,
                          .events = hook->events,
                          .rows = true,
                          .send = hook_send,
                          .serve = s,
                          .data = hook};
    struct sink_marks m;
    unsigned failures = 0;
    if (!sink_open(&k, &m))
        return;
    bool end;
    do {
        bool ok = sink_turn(&k, &m);
        end = idle(s, ok, &failures, k.wait_ms);
    } while (!end);
    store_close(k.store);
}
