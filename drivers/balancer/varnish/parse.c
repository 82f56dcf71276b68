/* SPDX-License-Identifier: MIT */
/* Varnish's answers as data. Pure, so that the tests and the fuzzer can feed it anything. */
#include "drivers/balancer/varnish/varnish.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/hash.h"
#include "base/str.h"
#include "drivers/op/auto_json.h"

#define BODY_MAX (8u << 20)

bool varnish_head_parse(const char head[VARNISH_HEAD], int *ret_status, size_t *ret_len)
{
    char text[VARNISH_HEAD];
    if (head[VARNISH_HEAD - 1] != '\n')
        return false;
    memcpy(text, head, VARNISH_HEAD - 1);
    text[VARNISH_HEAD - 1] = '\0';
    for (int i = 0; i < 3; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
    }
    if (text[3] != ' ' || !isdigit((unsigned char)text[4]))
        return false;
    char *end;
    unsigned long len = strtoul(text + 4, &end, 10);
    if (end[strspn(end, " ")] || len > BODY_MAX)
        return false;
    *ret_status = (int)strtol(text, NULL, 10);
    *ret_len = len;
    return true;
}

void varnish_auth(const char *challenge, const char *secret, char ret[65])
{
    struct sha256 *s = sha256_new();
    sha256_add(s, challenge, VARNISH_CHALLENGE);
    sha256_add(s, "\n", 1);
    sha256_add(s, secret, strlen(secret));
    sha256_add(s, challenge, VARNISH_CHALLENGE);
    sha256_add(s, "\n", 1);
    sha256_end(s, ret);
}

bool varnish_name_valid(const char *s)
{
    return word_valid(s, "_.-", 200) && s[0] != '.';
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

static bool strange(struct err *err, const char *what, const char *text)
{
    auto_buf struct buf b = BUF_INIT(120);
    size_t line = strcspn(text, "\r\n");
    text_visible(&b, text, line < 80 ? line : 80);
    return err_set(err, E_PROTO, "%s answered \"%s\", which is not the JSON wanted", what, buf_str(&b));
}

static const char *str_of(const json_t *o, const char *key, struct arena *a)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? arena_strdup(a, s) : "";
}

/* [version, [command], time, row, row ...]: rows begin at index 3. */
static json_t *load_answer(const char *text, const char *what, struct err *err)
{
    json_t *all = json_loads(text, 0, NULL);
    if (json_is_array(all) && json_array_size(all) >= 3 && json_is_array(json_array_get(all, 1)))
        return all;
    json_decref(all);
    strange(err, what, text);
    return NULL;
}

bool varnish_vcls_parse(const char *text, struct arena *a, struct varnish_vcls *ret, struct err *err)
{
    auto_json json_t *all = load_answer(text, "vcl.list", err);
    if (!all)
        return false;
    *ret = (struct varnish_vcls){.rows = arena_array(a, json_array_size(all), sizeof *ret->rows)};
    for (size_t i = 3; i < json_array_size(all); i++) {
        const json_t *o = json_array_get(all, i);
        if (!json_is_string(json_object_get(o, "name")))
            return strange(err, "vcl.list", text);
        struct varnish_vcl v = {.name = str_of(o, "name", a)};
        v.active = !strcmp(str_of(o, "status", a), "active");
        v.label = !strcmp(str_of(o, "state", a), "label");
        v.target = v.label ? str_of(json_object_get(o, "label"), "name", a) : NULL;
        if (v.active)
            ret->active = v.name;
        ret->rows[ret->n++] = v;
    }
    return true;
}

/* probe_message is [good, window, "healthy"], or [total.., "healthy"] for directors, or without a probe
 * [0, 0, "healthy"]: the last word counts. */
static bool says_healthy(const json_t *message)
{
    const json_t *last =
        json_is_array(message) ? json_array_get(message, json_array_size(message) - 1) : message;
    const char *word = json_string_value(last);
    return word && !strcmp(word, "healthy");
}

bool varnish_backends_parse(const char *text, struct arena *a, struct varnish_backends *ret, struct err *err)
{
    auto_json json_t *all = load_answer(text, "backend.list", err);
    if (!all)
        return false;
    json_t *map = json_array_get(all, 3);
    if (!json_is_object(map))
        return strange(err, "backend.list", text);
    *ret = (struct varnish_backends){.rows = arena_array(a, json_object_size(map) + 1, sizeof *ret->rows)};
    const char *key;
    json_t *o;
    json_object_foreach(map, key, o)
    {
        const char *dot = strchr(key, '.');
        if (!dot || dot == key || !dot[1] || !json_is_string(json_object_get(o, "admin_health")))
            return strange(err, "backend.list", text);
        ret->rows[ret->n++] = (struct varnish_backend){
            .vcl = arena_strndup(a, key, (size_t)(dot - key)),
            .name = arena_strdup(a, dot + 1),
            .admin = str_of(o, "admin_health", a),
            .healthy = says_healthy(json_object_get(o, "probe_message")),
            .director = strcmp(str_of(o, "type", a), "backend") != 0,
        };
    }
    return true;
}

/* "VBE.boot.web1.conn" of "web1"? */
static bool is_conn_of(const char *key, const char *backend)
{
    size_t n = strlen(backend);
    const char *dot = str_starts(key, "VBE.") ? strchr(key + 4, '.') : NULL;
    return dot && !strncmp(dot + 1, backend, n) && !strcmp(dot + 1 + n, ".conn");
}

bool varnish_conns_parse(const char *text, const char *backend, int64_t *ret, struct err *err)
{
    auto_json json_t *all = json_loads(text, 0, NULL);
    json_t *counters = json_object_get(all, "counters"); /* 6.5 and later; before, they stood at the top */
    bool found = false;
    const char *key;
    json_t *o;
    *ret = 0;
    json_object_foreach(counters ? counters : all, key, o)
    {
        const json_t *value = json_object_get(o, "value");
        if (!is_conn_of(key, backend) || !json_is_integer(value))
            continue;
        *ret += json_integer_value(value);
        found = true;
    }
    return found || err_set(err, E_NOTFOUND, "varnishstat has no counter VBE.*.%s.conn", backend);
}

bool varnish_ban_parse(const char *text, const char *ban, double max_age_s, bool *ret, struct err *err)
{
    auto_json json_t *all = load_answer(text, "ban.list", err);
    if (!all)
        return false;
    double now = json_number_value(json_array_get(all, 2));
    *ret = false;
    for (size_t i = 3; i < json_array_size(all); i++) {
        const json_t *o = json_array_get(all, i);
        const char *is = json_string_value(json_object_get(o, "spec"));
        if (is && !strcmp(is, ban) && now - json_number_value(json_object_get(o, "time")) <= max_age_s)
            *ret = true;
    }
    return true;
}
