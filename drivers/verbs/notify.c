/* SPDX-License-Identifier: MIT */
/* notify: tells a chat room, by a webhook that takes Slack's JSON (Slack, Mattermost, Rocket.Chat).
 *
 * The URL is the credential: it never appears in a message, fact or log. */
#include <curl/curl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/host.h"
#include "base/str.h"
#include "drivers/op/auto_curlu.h"
#include "drivers/op/auto_json.h"
#include "drivers/op/http_call.h"

#define TEXT_MAX_BYTES   4000
#define ANSWER_MAX_BYTES 4096

/* ---- what is said -------------------------------------------------------------------------------- */

/* Slack reads & < > as markup: a branch name must not become a link or a mention (docs/promises.md#s12). */
static const char *slack_text(struct op *op, const char *text)
{
    auto_buf struct buf safe = BUF_INIT(TEXT_MAX_BYTES), out = BUF_INIT(2 * TEXT_MAX_BYTES);
    text_visible(&safe, text, strlen(text));
    for (const char *p = buf_str(&safe); *p; p++) {
        if (*p == '&')
            buf_puts(&out, "&amp;");
        else if (*p == '<')
            buf_puts(&out, "&lt;");
        else if (*p == '>')
            buf_puts(&out, "&gt;");
        else
            buf_add(&out, p, 1);
    }
    /* A cut may have parted a character: jansson takes whole UTF-8 only. */
    while (out.len && ((unsigned char)out.data[out.len - 1] & 0x80) && out.cut + safe.cut)
        out.data[--out.len] = '\0';
    return arena_strdup(op_arena(op), buf_str(&out));
}

static const char *var(struct op *op, const char *name, const char *none)
{
    const char *v = op_var(op, name);
    return v && *v ? v : none;
}

static const char *default_text(struct op *op)
{
    const char *rev = var(op, "rev", "");
    return arena_printf(op_arena(op), "%s %s: release %s %s%s%.12s (%s)", var(op, "app", "release"),
                        var(op, "env", ""), var(op, "release", ""), op_arg(op, "event"),
                        *rev ? ", revision " : "", rev, var(op, "operator", "?"));
}

static json_t *fields_json(struct op *op)
{
    size_t n;
    const struct op_pair *fields = op_arg_map(op, "fields", &n);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:b}", "title", slack_text(op, fields[i].name),
                                              "value", slack_text(op, fields[i].value), "short", 1));
    return list;
}

static const char *message(struct op *op)
{
    const char *text = op_arg(op, "text");
    auto_json json_t *m = json_object();
    json_object_set_new(m, "text", json_string(slack_text(op, text && *text ? text : default_text(op))));
    json_t *fields = fields_json(op);
    if (json_array_size(fields) > 0)
        json_object_set_new(m, "attachments", json_pack("[{s:O}]", "fields", fields));
    json_decref(fields);
    auto_free char *body = json_dumps(m, JSON_COMPACT);
    return body ? arena_strdup(op_arena(op), body) : NULL;
}

/* ---- where to ------------------------------------------------------------------------------------ */

/* https, or plain http to this machine; elsewhere only when the pillar says so. */
static bool url_allowed(struct op *op, const char *url)
{
    auto_curlu CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL;
    bool fine = url && http_text_valid(url) && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK;
    if (!fine)
        op_refused(op, E_CONFIG, "notify.webhook: its url is not a URL");
    else if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
        op_refused(op, E_CONFIG, "notify.webhook: its url is neither https nor http");
    else if (!strcmp(scheme, "http") && !host_is_here(host) && !op_arg_bool(op, "insecure_http"))
        op_refused(op, E_CONFIG, "notify.webhook: its url is plain http; use https, or `insecure_http: yes`");
    curl_free(scheme);
    curl_free(host);
    return !op_failed(op);
}

static enum outcome answered(struct op *op, const struct http_res *res)
{
    if (res->status >= 200 && res->status < 300)
        return OUT_OK;
    auto_buf struct buf words = BUF_INIT(200);
    text_visible(&words, res->body, strnlen(res->body, strcspn(res->body, "\r\n")));
    if (res->status >= 500)
        return op_fail(op, E_PROTO, "notify.webhook: the chat answered %d %s", res->status, buf_str(&words));
    return op_refused(op, E_REFUSED,
                      "notify.webhook: the chat answered %d %s, wanted 200; check the webhook's url",
                      res->status, buf_str(&words));
}

static enum outcome run_webhook(struct op *op)
{
    static const struct op_pair json_type = {.name = "Content-Type", .value = "application/json"};
    const char *url = op_arg(op, "url");
    if (!url_allowed(op, url))
        return op_end(op);
    const char *body = message(op);
    if (!body)
        return op_refused(op, E_CONFIG, "notify.webhook: the text cannot be written as JSON");
    struct http_req req = {.url = url,
                           .body = body,
                           .body_len = strlen(body),
                           .headers = &json_type,
                           .n_headers = 1,
                           .ca = op_arg(op, "ca"),
                           .max_bytes = ANSWER_MAX_BYTES,
                           .timeout_ms = (int)op_arg_ms(op, "request_timeout")};
    struct http_res res;
    op_sending(op);
    if (!http_call(op, &req, &res))
        return op_end(op);
    if (res.end == HTTP_NOT_SENT)
        return op_refused(op, E_NET, "notify.webhook: %s; nobody was told", res.problem);
    if (res.end == HTTP_BROKEN)
        return op_fail(op, E_NET, "notify.webhook: %s", res.problem);
    return answered(op, &res);
}

static const struct param webhook_params[] = {
    {.name = "url",
     .type = PARAM_SECRET,
     .required = true,
     .help = "the webhook; file:PATH or env:NAME keeps it secret"},
    {.name = "event",
     .type = PARAM_STR,
     .deflt = "event",
     .help = "what happened: started, finished, failed, lock"},
    {.name = "text",
     .type = PARAM_STR,
     .help = "what to say; default: application, environment, event, revision"},
    {.name = "fields", .type = PARAM_MAP, .help = "more to show, name and value"},
    {.name = "insecure_http",
     .type = PARAM_BOOL,
     .deflt = "no",
     .help = "allow plain http to another machine"},
    {.name = "ca", .type = PARAM_STR, .help = "file of CA certificates; default: the system's"},
    {.name = "request_timeout", .type = PARAM_DURATION, .deflt = "5s", .help = "for the request"},
    PARAM_END,
};

static const struct verb verbs[] = {
    {.name = "notify.webhook",
     .help = "posts a message as Slack's incoming webhooks take it",
     .effect = EFFECT_ONEWAY,
     .scope = SCOPE_CONTROLLER,
     .forward_only = true,
     .default_timeout_ms = 10000,
     .params = webhook_params,
     .run = run_webhook},
    {0},
};

extern const struct driver notify_driver;
const struct driver notify_driver = {
    .name = "notify",
    .help = "Chat messages through an incoming webhook that takes Slack's JSON. TLS is always verified, "
            "redirects "
            "are not followed, and the URL never appears in messages.",
    .verbs = verbs,
};
