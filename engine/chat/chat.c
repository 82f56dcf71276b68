/* SPDX-License-Identifier: MIT */
/* The part as the server sees it: configuration, threads, what it adds to the API. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "chat/ask_thread.h"
#include "chat/asks.h"
#include "chat/chat.h"
#include "chat/context.h"
#include "chat/https.h"
#include "chat/outbox.h"
#include "chat/routes.h"
#include "chat/sinks.h"
#include "chat/workers.h"

#define WORKERS 2 /* commands at work at once */

static bool configure(struct serve *s, const struct serve_config *config, struct problems *problems)
{
    struct chat *chat = xcalloc(1, sizeof *chat);
    serve_put(s, "chat", chat);
    return chat_config_read(config, &chat->config, problems);
}

static bool start(struct serve *s, struct err *err)
{
    struct chat_config *c = &chat_of(s)->config;
    https_init();
    if (!serve_thread(s, "chat-outbox", outbox_run, NULL, err) ||
        !serve_thread(s, "chat-follow", ask_thread_run, NULL, err))
        return false;
    for (int i = 0; i < WORKERS; i++)
        if (!serve_thread(s, "chat-worker", worker_run, NULL, err))
            return false;
    for (size_t i = 0; i < c->n_hooks; i++)
        if (!serve_thread(s, "chat-hook", hook_run, &c->hooks[i], err))
            return false;
    return !c->slack_token || serve_thread(s, "chat-bot", bot_run, c, err);
}

static void stop(struct serve *s)
{
    struct chat *chat = chat_of(s);
    if (!chat)
        return;
    chat_config_fini(&chat->config);
    free(chat);
    serve_put(s, "chat", NULL);
}

/* What the second person says yes to is pinned: a revision and its plan, or the number of a release. */
static bool hold(struct request *r, const struct order_wish *w, const struct asker *who,
                 char code[ASK_CODE_LEN + 1], int64_t *ret_look, struct err *err)
{
    struct order_wish wish = *w;
    struct release_info *about;
    if (ask_wants_look(w))
        return ask_look(r->serve, &wish, who, ret_look, code, err);
    return ask_subject(r->store, &wish, r->arena, &about, err) &&
           ask_open(r->serve, &wish, who, ASK_APPROVE, code, err);
}

/* What comes from the page or the API and needs a second person waits for one, as what comes from a room
 * does. */
static enum gate gate(const struct order_wish *w, struct request *r, struct reply *reply)
{
    struct asker who = {
        .who = w->who, .person = r->actor.person, .via = w->via, .place = w->place, .reply_to = ""};
    char code[ASK_CODE_LEN + 1];
    int64_t look = 0;
    struct consent consent;
    struct err err;
    if (!WISH_MOVES(w->verb))
        return GATE_PASS;
    /* A pillar that cannot be read may ask for a second person: nothing goes past it. */
    if (!consent_of(serve_root(r->serve), w->env, &consent, &err)) {
        reply_err(reply, &err);
        return GATE_HELD;
    }
    if (!consent.second)
        return GATE_PASS;
    if (!hold(r, w, &who, code, &look, &err)) {
        reply_err(reply, &err);
        return GATE_HELD;
    }
    json_t *o =
        json_pack("{s:s, s:s}", "pending", code, "text",
                  arena_printf(r->arena, "%s of %s waits for a second person: approve %s within 15 minutes",
                               wish_name(w->verb), w->env, code));
    if (look)
        json_object_set_new(o, "look", json_integer(look));
    reply_json(reply, 202, o);
    return GATE_HELD;
}

static json_t *place_json(const struct waiter *p)
{
    return json_pack("{s:s, s:I, s:o, s:o}", "who", p->who, "since", (json_int_t)p->joined_ms, "turn",
                     p->offered_ms ? json_integer(p->offered_ms) : json_null(), "until",
                     p->offered_ms ? json_integer(p->offered_ms + p->lapse_ms) : json_null());
}

static void put_word(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, json_string(text ? text : ""));
}

static json_t *ask_json(const struct ask *a, struct arena *arena)
{
    struct order_wish w = {0};
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "code", a->code, "state",
                          ask_state_name(a->state), "verb", wish_name(a->verb), "who", a->who, "since",
                          (json_int_t)a->made_ms, "until", (json_int_t)a->lapse_ms);
    if (!wish_load(a, arena, &w))
        return o;
    put_word(o, "rev", w.rev);
    put_word(o, "plan", w.plan);
    put_word(o, "stages", w.stages);
    put_word(o, "window", w.window);
    put_word(o, "only", w.only);
    put_word(o, "exclude", w.exclude);
    put_word(o, "to", w.to);
    json_object_set_new(o, "release", w.release ? json_integer(w.release) : json_null());
    json_object_set_new(o, "before", w.before ? json_integer(w.before) : json_null());
    return o;
}

static void env_json(struct store *store, const char *env, json_t *o)
{
    auto_arena struct arena arena = {0};
    struct waiter *places;
    struct ask *asks;
    struct err err;
    size_t n;
    json_t *queue = json_array(), *pending = json_array();
    if (queue_list(reader(store, &arena), env, &places, &n, &err))
        for (size_t i = 0; i < n; i++)
            json_array_append_new(queue, place_json(&places[i]));
    if (ask_list(reader(store, &arena), env, &asks, &n, &err))
        for (size_t i = 0; i < n; i++)
            if (asks[i].state == ASK_CONFIRM || asks[i].state == ASK_APPROVE ||
                (asks[i].state == ASK_PLAN && ask_confirmed(&asks[i])))
                json_array_append_new(pending, ask_json(&asks[i], &arena));
    json_object_set_new(o, "queue", queue);
    json_object_set_new(o, "pending", pending);
}

static void metrics(struct store *store, struct buf *out)
{
    auto_arena struct arena arena = {0};
    struct waiter *places;
    struct ask *asks;
    struct err err;
    size_t n = 0, n_asks = 0;
    if (!queue_list(reader(store, &arena), NULL, &places, &n, &err) ||
        !ask_list(reader(store, &arena), NULL, &asks, &n_asks, &err))
        return;
    buf_printf(out,
               "# HELP release_queue_places People who wait for a lock.\n# TYPE release_queue_places gauge\n"
               "release_queue_places %zu\n"
               "# HELP release_questions_open Requests from rooms without their last answer.\n"
               "# TYPE release_questions_open gauge\nrelease_questions_open %zu\n",
               n, n_asks);
}

const struct serve_part chat_part = {
    .name = "chat",
    .routes = chat_routes,
    .config = configure,
    .start = start,
    .stop = stop,
    .gate = gate,
    .env_json = env_json,
    .metrics = metrics,
};
