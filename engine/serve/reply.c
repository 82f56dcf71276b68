/* SPDX-License-Identifier: MIT */
/* What goes back. Content types are always said and never guessed by the browser. */
#include <stdlib.h>
#include <string.h>

#include "serve/serve_priv.h"

void reply_header(struct reply *reply, const char *name, const char *value)
{
    must(reply->n_headers < REPLY_HEADERS_MAX);
    reply->headers[reply->n_headers++] = (struct pair){.name = name, .value = value};
}

void reply_text(struct reply *reply, int status, const char *type, const char *text, size_t n)
{
    reply->status = status;
    reply->type = type;
    buf_reset(&reply->body);
    buf_add(&reply->body, text, n);
}

void reply_html(struct reply *reply, int status, const char *html, size_t n)
{
    reply_text(reply, status, "text/html; charset=utf-8", html, n);
}

static int dump_add(const char *data, size_t n, void *body)
{
    buf_add(body, data, n);
    return 0;
}

void reply_json(struct reply *reply, int status, json_t *o)
{
    reply->status = status;
    reply->type = "application/json";
    buf_reset(&reply->body);
    must(o &&
         json_dump_callback(o, dump_add, &reply->body,
                            JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII | JSON_ENCODE_ANY) == 0);
    buf_puts(&reply->body, "\n");
    json_decref(o);
}

bool reply_error(struct reply *reply, int status, const char *code, const char *fmt, ...)
{
    auto_buf struct buf text = BUF_INIT(4000), safe = BUF_INIT(16000);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    text_visible(&safe, buf_str(&text), text.len);
    reply_json(reply, status, json_pack("{s:{s:s, s:s}}", "error", "code", code, "text", buf_str(&safe)));
    return false;
}

bool reply_err(struct reply *reply, const struct err *err)
{
    int status = err->code == E_JOURNAL                                                       ? 503
                 : err->code == E_NOTFOUND                                                    ? 404
                 : err->code == E_LOCKED || err->code == E_STATE || err->code == E_UNFINISHED ? 409
                                                                                              : 400;
    return reply_error(reply, status, err_code_name(err->code), "%s", err->text);
}

void reply_redirect(struct reply *reply, const char *path)
{
    reply_text(reply, 303, "text/plain; charset=utf-8", "", 0);
    reply_header(reply, "Location", path);
}

void reply_fini(struct reply *reply)
{
    buf_fini(&reply->body);
}
