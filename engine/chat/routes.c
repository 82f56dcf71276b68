/* SPDX-License-Identifier: MIT */
/* The HTTP routes of Slack and Mattermost: who sent it, then what it does (routes.h). */
#include "chat/routes.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "chat/commands.h"
#include "chat/context.h"
#include "chat/https.h"
#include "chat/signatures.h"
#include "chat/workers.h"

#define ANSWER_MS 1800 /* of the three seconds that Slack waits; the rest is the network's */

/* A stranger learns nothing but that it was not enough. */
static void refuse(const struct request *r, struct reply *reply, const char *why)
{
    serve_log("chat: %s from %s refused: %s", r->path, r->peer, why);
    reply_error(reply, 401, "auth", "not signed as it should be");
}

/* ---- who it is */

/* An id or name of a room's, fit for rows and messages. */
static const char *word(const char *text)
{
    return text && name_valid(text, 64) ? text : NULL;
}

struct caller {
    const char *team, *channel, *user, *name, *reply_to;
};

static bool visit_of(struct request *r, enum via via, const struct caller *c, struct visit *ret)
{
    struct chat *chat = chat_of(r->serve);
    struct arena *a = r->arena;
    const char *user = word(c->user), *name = word(c->name), *team = word(c->team),
               *channel = word(c->channel);
    if (!user)
        return false;
    *ret = (struct visit){
        .serve = r->serve,
        .config = &chat->config,
        .store = r->store,
        .arena = a,
        .sender = {.via = via, .team = team, .channel = channel, .user = user},
        .asker = {.who = arena_printf(a, "%s:%s", via_name(via), name ? name : user),
                  .person = arena_printf(a, "%s/%s/%s", via_name(via), team ? team : "", user),
                  .via = via,
                  .place = arena_printf(a, "%s/%s/%s", team ? team : "", channel ? channel : "", user),
                  .reply_to = c->reply_to ? c->reply_to : ""},
    };
    return operator_valid(ret->asker.who);
}

/* S15: an address that serve.yml does not name is not answered to; the command itself is served. */
static const char *vetted(const char *url, const char *const *hosts)
{
    struct err err;
    if (!url || !url[0])
        return "";
    if (https_url_ok(url, hosts, &err))
        return url;
    serve_log("chat: a response_url is not used: %s", err.text);
    return "";
}

static void answer_json(struct reply *reply, json_t *o)
{
    if (o)
        reply_json(reply, 200, o);
    else
        reply_error(reply, 500, "internal", "the answer cannot be written as JSON");
}

/* ---- Slack */

static bool slack_signed(struct request *r, struct reply *reply)
{
    struct chat *chat = chat_of(r->serve);
    const char *signature = request_header(r, "X-Slack-Signature");
    if (!chat->config.slack_secret)
        return reply_error(reply, 404, "not-found", "there is nothing at this path");
    enum sign_result got =
        slack_check(chat->config.slack_secret, request_header(r, "X-Slack-Request-Timestamp"), signature,
                    r->body, r->body_bytes, clock_wall_ms() / 1000);
    if (got != SIGN_OK)
        refuse(r, reply, sign_result_name(got));
    return got == SIGN_OK;
}

/* What is left of the three seconds that Slack waits: requests may have stood in line here, and the stamp
 * says since when. A clock that differs costs an early "follows", nothing more. */
static int64_t budget_ms(const struct request *r)
{
    const char *stamp = request_header(r, "X-Slack-Request-Timestamp");
    int64_t spent = clock_wall_ms() / 1000 - strtoll(stamp, NULL, 10);
    return spent <= 0 ? ANSWER_MS : spent == 1 ? ANSWER_MS / 2 : 0;
}

static void slack_serve(struct request *r, struct reply *reply, const struct visit *v, struct received work)
{
    json_t *message = NULL;
    struct err err = {0};
    work.signature = request_header(r, "X-Slack-Signature");
    switch (worker_serve(v, &work, budget_ms(r), &message, &err)) {
    case SERVED_DONE: answer_json(reply, message); return;
    case SERVED_REPLAYED: refuse(r, reply, "played again"); break;
    case SERVED_FAILED: reply_err(reply, &err); break;
    case SERVED_BUSY: reply_error(reply, 503, "busy", "%s", err.text); break;
    case SERVED_FOLLOWS:
        answer_json(reply, json_pack("{s:s, s:s}", "response_type", "ephemeral", "text",
                                     "it takes a moment; the answer follows"));
        break;
    }
    json_decref(message);
}

static void slack_command(struct request *r, struct reply *reply)
{
    struct visit v;
    if (!slack_signed(r, reply))
        return;
    struct caller c = {.team = request_form(r, "team_id"),
                       .channel = request_form(r, "channel_id"),
                       .user = request_form(r, "user_id"),
                       .name = request_form(r, "user_name"),
                       .reply_to =
                           vetted(request_form(r, "response_url"), chat_of(r->serve)->config.slack_hosts)};
    const char *text = request_form(r, "text");
    if (!visit_of(r, VIA_SLACK, &c, &v)) {
        reply_error(reply, 400, "usage", "user_id is missing");
        return;
    }
    slack_serve(r, reply, &v, (struct received){.text = text ? text : ""});
}

static const char *at(const json_t *o, const char *key, const char *below)
{
    const json_t *v = json_object_get(o, key);
    return json_string_value(below ? json_object_get(v, below) : v);
}

static bool payload_read(struct request *r, const json_t *p, struct visit *v, const char **action,
                         const char **code)
{
    const json_t *first = json_array_get(json_object_get(p, "actions"), 0);
    const char *name = at(p, "user", "username");
    struct caller c = {.team = at(p, "team", "id"),
                       .channel = at(p, "channel", "id"),
                       .user = at(p, "user", "id"),
                       .name = name ? name : at(p, "user", "name"),
                       .reply_to =
                           vetted(at(p, "response_url", NULL), chat_of(r->serve)->config.slack_hosts)};
    *action = at(first, "action_id", NULL);
    *code = at(first, "value", NULL);
    return *action && *code && visit_of(r, VIA_SLACK, &c, v);
}

static void slack_action(struct request *r, struct reply *reply)
{
    struct visit v;
    const char *action, *code;
    if (!slack_signed(r, reply))
        return;
    const char *text = request_form(r, "payload");
    json_t *payload = text ? json_loads(text, 0, NULL) : NULL;
    if (!payload || !payload_read(r, payload, &v, &action, &code))
        reply_error(reply, 400, "usage", "that is no block_actions payload");
    else
        slack_serve(r, reply, &v, (struct received){.action = action, .code = code});
    json_decref(payload);
}

/* ---- Mattermost */

static const char *mm_action_url(struct request *r)
{
    return arena_printf(r->arena, "%s/chat/mattermost/action", serve_url(r->serve));
}

/* NULL, and answered: no Mattermost is configured. */
static struct chat_config *mm_config(struct request *r, struct reply *reply)
{
    struct chat_config *config = &chat_of(r->serve)->config;
    if (config->mm_token)
        return config;
    reply_error(reply, 404, "not-found", "there is nothing at this path");
    return NULL;
}

static void mm_command(struct request *r, struct reply *reply)
{
    auto_said struct said out = SAID_INIT;
    struct chat_config *config = mm_config(r, reply);
    struct visit v;
    if (!config)
        return;
    if (!token_equal(request_form(r, "token"), config->mm_token)) {
        refuse(r, reply, "wrong token");
        return;
    }
    const char *const hosts[] = {config->mm_site, NULL};
    struct caller c = {.team = request_form(r, "team_id"),
                       .channel = request_form(r, "channel_id"),
                       .user = request_form(r, "user_id"),
                       .name = request_form(r, "user_name"),
                       .reply_to = vetted(request_form(r, "response_url"), hosts)};
    const char *text = request_form(r, "text");
    if (!visit_of(r, VIA_MATTERMOST, &c, &v)) {
        reply_error(reply, 400, "usage", "user_id is missing");
        return;
    }
    command_typed(&v, text ? text : "", &out);
    answer_json(reply, mattermost_message(&out, mm_action_url(r), config->mm_token));
}

/* Our own proof, which nobody but Mattermost's server has seen, says that the button is ours. */
static bool mm_button_ok(const struct chat_config *config, const char *action, const char *code,
                         const char *proof)
{
    auto_arena struct arena arena = {0};
    char wanted[65];
    if (!action || !code || !proof || strlen(action) > 16 || strlen(code) > 16)
        return false;
    proof_make(config->mm_token, arena_printf(&arena, "%s:%s", action, code), wanted);
    return token_equal(proof, wanted);
}

static void mm_action(struct request *r, struct reply *reply)
{
    auto_said struct said out = SAID_INIT;
    struct chat_config *config = mm_config(r, reply);
    struct visit v;
    if (!config)
        return;
    json_t *body = request_json(r, reply);
    if (!body)
        return;
    const char *action = at(body, "context", "action"), *code = at(body, "context", "code");
    struct caller c = {.team = at(body, "team_id", NULL),
                       .channel = at(body, "channel_id", NULL),
                       .user = at(body, "user_id", NULL),
                       .name = at(body, "user_name", NULL)};
    if (!mm_button_ok(config, action, code, at(body, "context", "proof")))
        refuse(r, reply, "a button that is not ours");
    else if (!visit_of(r, VIA_MATTERMOST, &c, &v))
        reply_error(reply, 400, "usage", "user_id is missing");
    else {
        command_pressed(&v, action, code, &out);
        json_t *message = mattermost_message(&out, NULL, NULL);
        json_t *text = json_incref(json_object_get(message, "text"));
        json_decref(message);
        /* Done: the question goes away for everybody; a refusal is for who pressed. */
        reply_json(reply, 200,
                   out.in_channel ? json_pack("{s:{s:o, s:{}}}", "update", "message", text, "props")
                                  : json_pack("{s:o}", "ephemeral_text", text));
    }
    json_decref(body);
}

/* ---- the page and the API: a second person's yes */

static void api_answer(struct request *r, struct reply *reply, enum ask_reply what)
{
    auto_said struct said out = SAID_INIT;
    struct err err;
    json_t *body = request_is_json(r) ? request_json(r, reply) : json_object();
    if (!body)
        return;
    const char *code = request_is_json(r) ? at(body, "code", NULL) : request_form(r, "code");
    struct asker who = {
        .who = r->actor.name, .person = r->actor.person, .via = VIA_API, .place = r->peer, .reply_to = ""};
    if (r->actor.unnamed_bot)
        reply_error(reply, 403, "auth",
                    "%s is a bot and has not said who answers: header X-Release-On-Behalf-Of", r->actor.name);
    else if (!code || !ask_code_valid(code))
        reply_error(reply, 400, "usage", "code: wanted the question's code, like K7Q2");
    else if (!ask_answer(r->serve, reader(r->store, r->arena),
                         &(struct ask_answer){.code = code, .reply = what, .who = &who}, &out, &err))
        reply_error(reply, err.code == E_NOTFOUND ? 404 : 409, err_code_name(err.code), "%s", err.text);
    else
        reply_json(reply, 200, json_pack("{s:s}", "text", buf_str(&out.text)));
    json_decref(body);
}

static void api_approve(struct request *r, struct reply *reply)
{
    api_answer(r, reply, ANSWER_APPROVE);
}

static void api_cancel(struct request *r, struct reply *reply)
{
    api_answer(r, reply, ANSWER_CANCEL);
}

const struct route chat_routes[] = {
    {.method = "POST", .pattern = "/chat/slack/command", .flags = ROUTE_SIGNED, .handle = slack_command},
    {.method = "POST", .pattern = "/chat/slack/action", .flags = ROUTE_SIGNED, .handle = slack_action},
    {.method = "POST", .pattern = "/chat/mattermost/command", .flags = ROUTE_SIGNED, .handle = mm_command},
    {.method = "POST", .pattern = "/chat/mattermost/action", .flags = ROUTE_SIGNED, .handle = mm_action},
    {.method = "POST", .pattern = "/api/v1/approve", .right = RIGHT_OPERATOR, .handle = api_approve},
    {.method = "POST", .pattern = "/api/v1/cancel", .right = RIGHT_OPERATOR, .handle = api_cancel},
    ROUTE_END,
};
