/* SPDX-License-Identifier: MIT */
/* Slack's bot: one message for each release, kept up to date by chat.update, and the news of locks and queue.
 *
 * Which message belongs to which release stands in the store (messages), so a restart goes on with the same
 * one. Slack takes about one change a second in a channel: what came meanwhile is in the next. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/hash.h"
#include "chat/https.h"
#include "chat/live_releases.h"
#include "chat/sentences.h"
#include "chat/sinks.h"

#define SINK    "bot"
#define POLL_MS 250
#define POST_MS 10000
#define PACE_MS 1200

struct bot {
    struct serve *serve;
    const struct chat_config *config;
    struct store *store;
    struct lives live;
    int64_t next_ms; /* monotonic: not before */
    unsigned failures;
};

/* ---- Slack's Web API */

enum api_end { API_OK, API_LATER, API_GONE, API_NEVER };

static enum api_end api_error(struct bot *b, const char *method, const char *error)
{
    static const char *const gone[] = {"message_not_found", "cant_update_message", "edit_window_closed"};
    serve_log("chat: Slack: %s: %s", method, error);
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        if (strcmp(error, gone[i]) == 0)
            return API_GONE;
    b->failures++;
    b->next_ms = clock_mono_ms() + back_off_ms(b->failures);
    return strcmp(error, "invalid_blocks") == 0 || strcmp(error, "msg_too_long") == 0 ? API_NEVER : API_LATER;
}

/* ts: in "" for a new message, out its name; `arena` keeps it. */
static enum api_end api_call(struct bot *b, const char *method, json_t *body, struct arena *arena,
                             const char **ts)
{
    struct err err;
    auto_https_answer struct https_answer got = {0};
    auto_free char *json = json_dumps(body, JSON_COMPACT | JSON_ENSURE_ASCII);
    const struct https_request p = {.url = arena_printf(arena, "%s/%s", b->config->slack_api, method),
                                    .bearer = b->config->slack_token,
                                    .json = json,
                                    .timeout_ms = POST_MS};
    if (!json)
        return API_NEVER;
    bool ok = https_send(&p, &got, &err);
    b->next_ms = clock_mono_ms() + PACE_MS;
    if (!ok || got.status != 200) {
        b->failures++;
        serve_log("chat: Slack: %s: %s", method, ok ? "not taken" : err.text);
        int64_t wait = got.retry_after_ms > 0 ? got.retry_after_ms : back_off_ms(b->failures);
        b->next_ms = clock_mono_ms() + (wait < 600000 ? wait : 600000);
        return API_LATER;
    }
    json_t *o = json_loads(buf_str(&got.body), 0, NULL);
    const char *error = json_string_value(json_object_get(o, "error"));
    const char *new_ts = json_string_value(json_object_get(o, "ts"));
    enum api_end end = API_OK;
    if (!json_is_true(json_object_get(o, "ok")))
        end = api_error(b, method, error ? error : "an answer that is not understood");
    else {
        b->failures = 0;
        *ts = arena_strdup(arena, new_ts ? new_ts : *ts);
    }
    json_decref(o);
    return end;
}

/* ---- what the message shows */

static void put_counts(struct said *out, const struct model *m)
{
    static const enum shown shown[] = {SHOWN_DONE,   SHOWN_OUT,    SHOWN_PREPARING, SHOWN_BACK,
                                       SHOWN_UNDONE, SHOWN_FAILED, SHOWN_LEFT};
    say_text(out, "\n%u of %zu nodes done", m->counts[SHOWN_DONE], m->plan->n_nodes);
    for (size_t i = 1; i < sizeof shown / sizeof shown[0]; i++)
        if (m->counts[shown[i]])
            say_text(out, ", %u %s", m->counts[shown[i]], shown_name(shown[i]));
    if (m->plan->n_stages > 1 && !m->ended)
        say_text(out, "; stage %u of %zu", m->stage + 1, m->plan->n_stages);
}

static void put_release_message(struct said *out, const struct release_info *r, const struct model *m)
{
    tell_release(out, r);
    say_text(out, ": ");
    if (m->ended && r->ended_ms)
        tell_end(out, r);
    else if (live_is_given_up(r))
        say_text(out, "unfinished, and given up");
    else
        say_text(out, "%s%s", life_name(m->life), m->stopping ? ", stopping" : "");
    put_counts(out, m);
    if (m->failed_node >= 0) {
        say_text(out, "\n");
        say_quote(out, m->plan->nodes[m->failed_node]);
        say_text(out, " failed: ");
        say_quote(out, m->failed_text);
    }
    if (m->ended && r->summary[0]) {
        say_text(out, "\n");
        say_quote(out, r->summary);
    }
}

/* ---- one message */

static void remember(struct bot *b, int64_t release, const struct message *m)
{
    struct err err;
    struct store *w = serve_writer(b->serve, &err);
    if (!w || !message_put(w, SINK, release, m, &err))
        serve_log("chat: the message of release %" PRId64 ": %s", release, err.text);
    if (w)
        serve_writer_done(b->serve);
}

static void put_message(struct bot *b, int64_t release, struct said *out, bool final, struct arena *arena)
{
    struct message *m = NULL;
    struct err err;
    char digest[SHA256_HEX_LEN + 1];
    if (!message_get(reader(b->store, arena), SINK, release, &m, &err) || !m)
        return;
    sha256_hex(buf_str(&out->text), out->text.len, digest);
    if (strcmp(digest, m->digest) == 0 && m->done == final)
        return;
    bool first = !m->ts[0];
    json_t *body = slack_post(out, first ? b->config->slack_channel : m->place);
    if (!first)
        json_object_set_new(body, "ts", json_string(m->ts));
    enum api_end end = strcmp(digest, m->digest) == 0
                           ? API_OK
                           : api_call(b, first ? "chat.postMessage" : "chat.update", body, arena, &m->ts);
    json_decref(body);
    if (end == API_LATER)
        return;
    if (end == API_GONE)
        m->ts = ""; /* somebody took it away: a new one */
    remember(b, release,
             &(struct message){.place = first ? b->config->slack_channel : m->place,
                               .ts = m->ts,
                               .digest = end == API_GONE ? "" : digest,
                               .done = final && end != API_GONE});
}

static void show_release(struct bot *b, int64_t release)
{
    auto_arena struct arena arena = {0};
    auto_said struct said out = SAID_INIT;
    struct release_info *r = NULL;
    struct message *m = NULL;
    struct err err;
    const struct model *model = live_model(&b->live, b->store, release);
    if (!model || !release_get(reader(b->store, &arena), release, &r, &err) || !r)
        return;
    put_release_message(&out, r, model);
    out.link = arena_printf(&arena, "%s/release/%" PRId64, serve_url(b->serve), release);
    out.link_label = "watch it";
    put_message(b, release, &out, live_is_final(model, r), &arena);
    if (message_get(reader(b->store, &arena), SINK, release, &m, &err) && m && m->done)
        live_forget(&b->live, release);
}

/* ---- the loop */

/* A release that began or goes on gets its message (back): done 0 is what makes it live. */
static void open_messages(struct bot *b, struct sink_marks *m)
{
    auto_arena struct arena arena = {0};
    struct row *rows;
    struct err err;
    size_t n;
    if (!journal_told(reader(b->store, &arena), &(struct since){.after = m->row, .limit = 500}, &rows, &n,
                      &err))
        return;
    for (size_t i = 0; i < n; i++) {
        struct message *old = NULL;
        struct release_info *r = NULL;
        m->row = rows[i].seq;
        bool begins = rows[i].kind == ROW_ORDER && rows[i].release > 0;
        if (!begins || !message_get(reader(b->store, &arena), SINK, rows[i].release, &old, &err) ||
            !release_get(reader(b->store, &arena), rows[i].release, &r, &err) || !r || r->kind == KIND_EXEC)
            continue;
        if (!old || old->done)
            remember(b, rows[i].release,
                     &(struct message){.place = old ? old->place : b->config->slack_channel,
                                       .ts = old ? old->ts : "",
                                       .digest = ""});
    }
}

static void show_releases(struct bot *b)
{
    auto_arena struct arena arena = {0};
    int64_t *open;
    struct err err;
    size_t n;
    if (!message_open(reader(b->store, &arena), SINK, &open, &n, &err))
        return;
    for (size_t i = 0; i < n && clock_mono_ms() >= b->next_ms; i++)
        show_release(b, open[i]);
}

static bool bot_send(struct room_sink *k, struct said *said)
{
    struct bot *b = (struct bot *)(uintptr_t)k->data;
    auto_arena struct arena arena = {0};
    const char *ts = "";
    if (clock_mono_ms() < b->next_ms)
        return false; /* not before; the turn ends here and goes on later */
    json_t *body = slack_post(said, b->config->slack_channel);
    enum api_end end = api_call(b, "chat.postMessage", body, &arena, &ts);
    json_decref(body);
    return end != API_LATER;
}

void bot_run(struct serve *s, void *arg)
{
    struct bot b = {.serve = s, .config = arg};
    struct room_sink k = {
        .name = SINK, .events = EVENT_LOCK | EVENT_QUEUE, .send = bot_send, .serve = s, .data = &b};
    struct sink_marks m;
    if (!sink_open(&k, &m))
        return;
    b.store = k.store;
    while (!serve_wait(s, POLL_MS)) {
        open_messages(&b, &m);
        if (clock_mono_ms() >= b.next_ms)
            show_releases(&b);
        sink_turn(&k, &m);
    }
    lives_fini(&b.live);
    store_close(b.store);
}
