/* SPDX-License-Identifier: MIT */
/* What NGINX Plus' API answers, as data. Pure, so that tests and the fuzzer can feed it anything. How a server is set stands in
 * `servers` (down, drain); a peer's `state` mixes that with what its checks say, and tells who gets requests. */
#include "drivers/balancer/nginx_plus/nginx_plus.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define ROWS_MAX 100000

bool plus_name_valid(const char *s)
{
    return word_valid(s, "._:@~[]-", 200) && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

static const char *visible(struct arena *a, const char *text, size_t n)
{
    auto_buf struct buf b = BUF_INIT(200);
    text_visible(&b, text, strnlen(text, n));
    return arena_strdup(a, buf_str(&b));
}

json_t *plus_json(const char *text, size_t n, struct arena *a, struct err *err)
{
    json_error_t at;
    json_t *root = json_loadb(text, n, 0, &at);
    size_t blank = strspn(text, " \t\r\n");
    if (!root)
        err_set(err, E_PROTO, "answered %s (\"%s\") in place of JSON",
                blank < n && text[blank] == '<' ? "a page" : "a text",
                visible(a, text + (blank < n ? blank : 0), 80));
    return root;
}

bool plus_version(const json_t *root, int *ret, struct err *err)
{
    int best = 0;
    for (size_t i = 0; i < json_array_size(root); i++) {
        json_int_t v = json_integer_value(json_array_get(root, i));
        if (v >= PLUS_VERSION_MIN && v <= PLUS_VERSION_MAX && v > best)
            best = (int)v;
    }
    *ret = best;
    return best ||
           err_set(err, E_PROTO, "tells no version of the API between %d and %d: not NGINX Plus' API?",
                   PLUS_VERSION_MIN, PLUS_VERSION_MAX);
}

const char *plus_error(const json_t *root, struct arena *a, const char **ret_code)
{
    const json_t *e = json_object_get(root, "error");
    const char *text = json_string_value(json_object_get(e, "text"));
    const char *code = json_string_value(json_object_get(e, "code"));
    *ret_code = code ? visible(a, code, 60) : "";
    if (!text || !code)
        return NULL;
    return arena_printf(a, "%s (%s)", visible(a, text, 200), *ret_code);
}

/* ---- fields ---------------------------------------------------------------- */

/* -1: not there. -2: there, and no number that can be. */
static int64_t number_at(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (!v)
        return -1;
    json_int_t n = json_integer_value(v);
    return json_is_integer(v) && n >= 0 && n <= INT64_MAX / 1000000 ? (int64_t)n : -2;
}

static bool place_parse(const char *text, struct arena *a, const char **ret_host, int *ret_port)
{
    const char *colon = strrchr(text, ':');
    bool six = text[0] == '[';
    char *end;
    long port = colon ? strtol(colon + 1, &end, 10) : 0;
    if (!colon || !isdigit((unsigned char)colon[1]) || *end || port < 1 || port > 65535 || colon == text ||
        (six && (colon[-1] != ']' || colon - text < 3)))
        return false;
    *ret_host = arena_strndup(a, text + six, (size_t)(colon - text) - (six ? 2 : 0));
    *ret_port = (int)port;
    return true;
}

bool plus_server_state(const json_t *server, enum lb_state *ret)
{
    const json_t *down = json_object_get(server, "down"), *drain = json_object_get(server, "drain");
    *ret = json_is_true(down) ? LB_MAINT : json_is_true(drain) ? LB_DRAIN : LB_READY;
    return json_is_boolean(down) && (!drain || json_is_boolean(drain));
}

/* ---- one upstream ---------------------------------------------------------- */

/* Both lists have the same order, but where somebody changes the upstream in between. */
static const json_t *peer_of(const json_t *upstream, size_t like, int64_t id)
{
    const json_t *peers = json_object_get(upstream, "peers");
    if (number_at(json_array_get(peers, like), "id") == id)
        return json_array_get(peers, like);
    for (size_t i = 0; i < json_array_size(peers); i++) {
        if (number_at(json_array_get(peers, i), "id") == id)
            return json_array_get(peers, i);
    }
    return NULL;
}

/* Times are averages in milliseconds; what went wrong: answers of 5xx, and attempts that got no answer. */
static bool traffic_of(const json_t *peer, struct lb_traffic *ret)
{
    int64_t s5 = number_at(json_object_get(peer, "responses"), "5xx"), fails = number_at(peer, "fails");
    *ret = (struct lb_traffic){.requests = number_at(peer, "requests"),
                               .errors = s5 >= 0 && fails >= 0     ? s5 + fails
                                         : s5 == -2 || fails == -2 ? -2
                                                                   : -1,
                               .answer_ms = number_at(peer, "response_time")};
    return ret->requests != -2 && ret->errors != -2 && ret->answer_ms != -2;
}

static bool row_of(const char *pool, const json_t *s, const json_t *peer, struct arena *a,
                   struct lb_server *ret, struct err *err)
{
    const char *address = json_string_value(json_object_get(peer, "server"));
    const char *name = json_string_value(json_object_get(peer, "name"));
    const char *state = json_string_value(json_object_get(peer, "state"));
    const char *route = json_string_value(json_object_get(s, "route"));
    int64_t weight = number_at(s, "weight"), active = number_at(peer, "active");
    struct lb_traffic *traffic = arena_alloc(a, sizeof *traffic);
    struct plus_server *own = arena_alloc(a, sizeof *own);
    if (!address || !*address || !state || !plus_server_state(s, &ret->state))
        return err_set(err, E_PROTO, "%s: a server without its address or state", pool);
    if (!traffic_of(peer, traffic) || active == -2 || weight == -2 || weight > INT_MAX)
        return err_set(err, E_PROTO, "%s: a server with a number that cannot be", pool);
    *own = (struct plus_server){.id = number_at(s, "id"),
                                .address = arena_strdup(a, address),
                                .name = arena_strdup(a, name ? name : address)};
    bool up = ret->state == LB_READY && !strcmp(state, "up");
    *ret = (struct lb_server){.pool = pool,
                              .name = route && *route ? arena_strdup(a, route) : own->address,
                              .label = own->address,
                              .state = ret->state,
                              .serving = up,
                              .up = up,
                              .weight = (int)weight,
                              .sessions = active,
                              .queued = -1,
                              .traffic = traffic,
                              .status = arena_strdup(a, state),
                              .addr = own->address,
                              .own = own};
    (void)place_parse(own->address, a, &ret->addr, &ret->port);
    return true;
}

static bool more_rows(size_t n, struct arena *a, struct lb_table *io, struct err *err)
{
    if (io->n + n > ROWS_MAX)
        return err_set(err, E_LIMIT, "more than %d servers", ROWS_MAX);
    struct lb_server *rows = arena_array(a, io->n + n + 1, sizeof *rows);
    if (io->n)
        memcpy(rows, io->rows, io->n * sizeof *rows);
    io->rows = rows;
    return true;
}

bool plus_servers(const char *pool, const json_t *servers, const json_t *upstream, struct arena *a,
                  struct lb_table *io, struct err *err)
{
    if (!json_is_array(servers) || !json_is_array(json_object_get(upstream, "peers")))
        return err_set(err, E_PROTO, "%s: its servers, or what runs on them, are no list", pool);
    if (!more_rows(json_array_size(servers), a, io, err))
        return false;
    for (size_t i = 0; i < json_array_size(servers); i++) {
        const json_t *s = json_array_get(servers, i), *peer = peer_of(upstream, i, number_at(s, "id"));
        if (number_at(s, "id") < 0)
            return err_set(err, E_PROTO, "%s: a server without its id", pool);
        if (peer && !row_of(pool, s, peer, a, &io->rows[io->n], err))
            return false;
        io->n += peer != NULL;
    }
    return true;
}

/* ---- all upstreams --------------------------------------------------------- */

bool plus_upstreams(const json_t *root, struct arena *a, struct lb_table *io, struct err *err)
{
    const char *pool;
    json_t *upstream, *peer;
    size_t i;
    if (!json_is_object(root))
        return err_set(err, E_PROTO, "its upstreams are no object");
    json_object_foreach((json_t *)(uintptr_t)root, pool, upstream)
    {
        json_t *peers = json_object_get(upstream, "peers");
        if (!more_rows(json_array_size(peers), a, io, err))
            return false;
        json_array_foreach(peers, i, peer)
        {
            const char *address = json_string_value(json_object_get(peer, "server"));
            const char *state = json_string_value(json_object_get(peer, "state"));
            struct lb_server *row = &io->rows[io->n];
            *row = (struct lb_server){.weight = -1, .sessions = -1, .queued = -1};
            if (!address || !place_parse(address, a, &row->addr, &row->port))
                continue; /* a unix socket is no node's */
            row->pool = arena_strdup(a, pool);
            row->name = arena_strdup(a, address);
            row->state = state && !strcmp(state, "down") ? LB_MAINT : LB_READY;
            io->n++;
        }
    }
    return true;
}
