/* SPDX-License-Identifier: MIT */
/* Names and values of a request. Everything here is pure and total: bytes of strangers go in. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "serve/serve_priv.h"

#define PAIRS_MAX      100
#define JSON_DEPTH_MAX 16

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool url_decode(struct arena *a, const char *text, size_t n, bool plus, const char **ret)
{
    char *out = arena_alloc(a, n + 1);
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < n ? hex_digit(text[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
            if (low < 0 || (high == 0 && low == 0))
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus)
            c = ' ';
        else if (c == '\0')
            return false;
        out[len++] = c;
    }
    *ret = out;
    return true;
}

bool pairs_parse(struct arena *a, const char *text, struct pair **ret, size_t *ret_n)
{
    struct pair *pairs = arena_array(a, PAIRS_MAX, sizeof *pairs);
    size_t n = 0;
    while (*text) {
        size_t len = strcspn(text, "&");
        const char *eq = memchr(text, '=', len);
        size_t name = eq ? (size_t)(eq - text) : len;
        if (len > 0) {
            if (n == PAIRS_MAX || !url_decode(a, text, name, true, &pairs[n].name) ||
                !url_decode(a, eq ? eq + 1 : "", eq ? len - name - 1 : 0, true, &pairs[n].value))
                return false;
            n++;
        }
        text += len + (text[len] == '&');
    }
    *ret = pairs;
    *ret_n = n;
    return true;
}

static bool climbs(const char *path)
{
    for (const char *p = path; (p = strchr(p, '/')) != NULL;) {
        p++;
        size_t n = strcspn(p, "/");
        if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return true;
    }
    return false;
}

bool path_clean(struct arena *a, const char *raw, const char **ret)
{
    size_t n = strcspn(raw, "?#");
    if (raw[0] != '/' || !url_decode(a, raw, n, false, ret) || climbs(*ret))
        return false;
    for (const char *p = *ret; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '\\')
            return false;
    /* A second decoding somewhere would see another path: none of ours has a '%'. */
    return strchr(*ret, '%') == NULL && strstr(*ret, "//") == NULL;
}

/* ---- looking things up */

static const char *pair_get(const struct pair *pairs, size_t n, const char *name, bool any_case)
{
    for (size_t i = 0; i < n; i++)
        if ((any_case ? strcasecmp(pairs[i].name, name) : strcmp(pairs[i].name, name)) == 0)
            return pairs[i].value;
    return NULL;
}

const char *request_header(const struct request *r, const char *name)
{
    return pair_get(r->headers, r->n_headers, name, true);
}

const char *request_query(const struct request *r, const char *name)
{
    return pair_get(r->query, r->n_query, name, false);
}

const char *request_form(const struct request *r, const char *name)
{
    return pair_get(r->form, r->n_form, name, false);
}

bool request_number(const struct request *r, const char *name, int64_t deflt, int64_t *ret,
                    struct reply *reply)
{
    const char *text = request_query(r, name);
    *ret = deflt;
    if (!text)
        return true;
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 18 || text[n] != '\0')
        return reply_error(reply, 400, "usage", "%s: wanted a whole number, as in %s=41", name, name);
    *ret = strtoll(text, NULL, 10);
    return true;
}

const char *cookie_get(const struct request *r, const char *name)
{
    const char *p = request_header(r, "Cookie");
    size_t len = strlen(name);
    while (p && *p) {
        p += strspn(p, " ;");
        size_t n = strcspn(p, ";");
        if (n > len && strncmp(p, name, len) == 0 && p[len] == '=')
            return arena_strndup(r->arena, p + len + 1, n - len - 1);
        p += n;
    }
    return NULL;
}

bool request_is_json(const struct request *r)
{
    const char *type = request_header(r, "Content-Type");
    size_t n = type ? strcspn(type, "; ") : 0;
    return n == strlen("application/json") && strncasecmp(type, "application/json", n) == 0;
}

/* The parser's own limit on depth is in the thousands; no body of ours is nested. */
static bool too_deep(const char *body, size_t n)
{
    int depth = 0;
    for (size_t i = 0; i < n; i++) {
        depth += body[i] == '{' || body[i] == '[';
        depth -= body[i] == '}' || body[i] == ']';
        if (depth > JSON_DEPTH_MAX)
            return true;
    }
    return false;
}

json_t *request_json(const struct request *r, struct reply *reply)
{
    json_error_t why;
    if (r->body_bytes == 0)
        return json_object();
    if (!request_is_json(r)) {
        reply_error(reply, 415, "usage", "the body must be JSON, with Content-Type: application/json");
        return NULL;
    }
    if (too_deep(r->body, r->body_bytes)) {
        reply_error(reply, 400, "usage", "the body is nested deeper than %d", JSON_DEPTH_MAX);
        return NULL;
    }
    json_t *o = json_loadb(r->body, r->body_bytes, JSON_REJECT_DUPLICATES, &why);
    if (o && json_is_object(o))
        return o;
    if (o)
        reply_error(reply, 400, "usage", "the body is not a JSON object");
    else
        reply_error(reply, 400, "usage", "the body is not JSON: line %d, column %d", why.line, why.column);
    json_decref(o);
    return NULL;
}
