/* SPDX-License-Identifier: MIT */
/* What NITRO answers, as data. Pure, so that tests and the fuzzer can feed it anything. Numbers come as numbers
 * or as texts, by resource and firmware; what is not there is not told, what is there and wrong is an error. */
#include "drivers/balancer/netscaler/netscaler.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "base/str.h"

#define ROWS_MAX 100000

/* ---- addresses and names --------------------------------------------------- */

bool nitro_name_valid(const char *s)
{
    return word_valid(s, "._:@-", 127);
}

/* place: "HOST" or "HOST:PORT", an address of IPv6 in brackets. */
static bool is_here(const char *place)
{
    char host[256];
    const char *close = *place == '[' ? strchr(place, ']') : NULL;
    size_t n = close ? (size_t)(close - place) + 1 : strcspn(place, ":");
    if (n >= sizeof host || (place[n] && place[n] != ':'))
        return false;
    memcpy(host, place, n);
    host[n] = '\0';
    return host_is_here(host);
}

static bool url_valid(const char *url, bool insecure, struct err *err)
{
    bool tls = str_starts(url, "https://");
    const char *host = url + (tls ? 8 : 7);
    if (!tls && !str_starts(url, "http://"))
        return err_set(err, E_CONFIG, "url: \"%s\" does not begin with https://", url);
    if (!*host || host[0] == ':' || host[0] == '-' || strlen(url) > 200)
        return err_set(err, E_CONFIG, "url: \"%s\" names no host", url);
    for (const char *p = host; *p; p++) {
        if (!isascii((unsigned char)*p) || !(isalnum((unsigned char)*p) || strchr(".-_:[]", *p)))
            return err_set(err, E_CONFIG, "url: \"%s\": wanted https://HOST or https://HOST:PORT alone", url);
    }
    return tls || insecure || is_here(host) ||
           err_set(
               err, E_CONFIG,
               "url: \"%s\": the password would travel in plain http; wanted https:// (or `insecure_http: "
               "yes`)",
               url);
}

bool nitro_peer_parse(const char *text, bool insecure, struct arena *a, struct nitro_peer *ret,
                      struct err *err)
{
    *ret = (struct nitro_peer){.n = 0};
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, "|");
        if (ret->n == NITRO_NODES_MAX)
            return err_set(err, E_CONFIG, "url: \"%s\": more than %d nodes of one pair", text,
                           NITRO_NODES_MAX);
        ret->urls[ret->n] = arena_strndup(a, p, n);
        if (!url_valid(ret->urls[ret->n++], insecure, err))
            return false;
        p += n;
        if (!*p)
            return true;
    }
}

/* ---- the envelope ---------------------------------------------------------- */

static const char *visible(struct arena *a, const char *text, size_t n)
{
    auto_buf struct buf b = BUF_INIT(200);
    size_t line = strcspn(text, "\r\n");
    text_visible(&b, text, line < n ? line : n);
    return arena_strdup(a, buf_str(&b));
}

json_t *nitro_parse(const char *text, size_t n, struct arena *a, int64_t *ret_code, const char **ret_message,
                    struct err *err)
{
    json_error_t at;
    auto_json json_t *all = json_loadb(text, n, 0, &at);
    const json_t *code = json_object_get(all, "errorcode"), *message = json_object_get(all, "message");
    if (!json_is_object(all)) {
        size_t blank = strspn(text, " \t\r\n");
        bool html = blank < n && text[blank] == '<';
        err_set(err, E_PROTO, "answered %s (\"%s\") in place of JSON", html ? "a page" : "a text",
                visible(a, text + (blank < n ? blank : 0), n < 80 ? n - (blank < n ? blank : 0) : 80));
        return NULL;
    }
    if (!json_is_integer(code)) {
        err_set(err, E_PROTO, "answered JSON without an errorcode: not NITRO?");
        return NULL;
    }
    *ret_code = json_integer_value(code);
    *ret_message = json_is_string(message)
                       ? visible(a, json_string_value(message), strlen(json_string_value(message)))
                       : "";
    return json_incref(all);
}

/* ---- fields ---------------------------------------------------------------- */

static const char *text_at(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

/* -1: not there. -2: there, and no number that can be. */
static int64_t number_at(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    const char *s = json_string_value(v);
    int64_t n = -2;
    char *end;
    if (!v || json_is_null(v) || (s && !*s))
        return -1;
    if (json_is_integer(v))
        n = json_integer_value(v);
    if (s && isdigit((unsigned char)*s)) {
        errno = 0;
        n = strtoll(s, &end, 10);
        n = *end || errno ? -2 : n;
    }
    return n < 0 || n > INT64_MAX / 1000000 ? -2 : n;
}

/* One row of `kind`: a list, or the object itself where there is one (hanode). */
static const json_t *row_at(const json_t *root, const char *kind, size_t i)
{
    const json_t *list = json_object_get(root, kind);
    return json_is_object(list) && i == 0 ? list : json_array_get(list, i);
}

size_t nitro_rows_of(const json_t *root, const char *kind)
{
    const json_t *list = json_object_get(root, kind);
    return json_is_object(list) ? 1 : json_array_size(list);
}

static bool rows_fit(const json_t *root, const char *kind, struct err *err)
{
    const json_t *list = json_object_get(root, kind);
    if (list && !json_is_array(list) && !json_is_object(list))
        return err_set(err, E_PROTO, "\"%s\" is no list", kind);
    return nitro_rows_of(root, kind) <= ROWS_MAX ||
           err_set(err, E_LIMIT, "\"%s\" has more than %d rows", kind, ROWS_MAX);
}

static void room_for(struct arena *a, struct lb_table *io, size_t more)
{
    struct lb_server *rows = arena_array(a, io->n + more + 1, sizeof *rows);
    if (io->n)
        memcpy(rows, io->rows, io->n * sizeof *rows);
    io->rows = rows;
}

/* ---- states ---------------------------------------------------------------- */

/* config says it in words, stat in short ones; TROFS is on its way out. */
static bool is_leaving(const char *state)
{
    return !strcmp(state, "GOING OUT OF SERVICE") || !strcmp(state, "DOWN WHEN GOING OUT OF SERVICE") ||
           !strcmp(state, "TROFS") || !strcmp(state, "TROFS_DOWN");
}

static bool is_off(const char *state)
{
    return !strcmp(state, "OUT OF SERVICE") || !strcmp(state, "OFS");
}

/* Nobody but an administrator takes a service out: its monitors make it DOWN, or UNKNOWN before they know. */
static enum lb_state state_of(const char *state)
{
    static const char *const in[] = {"UP", "DOWN", "UNKNOWN", "BUSY"};
    if (is_leaving(state) || is_off(state))
        return LB_DRAIN;
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        if (!strcmp(state, in[i]))
            return LB_READY;
    }
    return LB_UNKNOWN;
}

static bool row_of(const json_t *o, const char *pool, const char *name, struct arena *a,
                   struct lb_server *ret, struct err *err)
{
    const char *state = text_at(o, "svrstate"), *admin = text_at(o, "state");
    const char *ip = text_at(o, "ip") ? text_at(o, "ip") : text_at(o, "ipaddress");
    int64_t port = number_at(o, "port"), weight = number_at(o, "weight");
    if (!name || !*name || !pool || !*pool)
        return err_set(err, E_PROTO, "a row without its names");
    if (!state)
        return err_set(err, E_PROTO, "%s/%s: its state (svrstate) is not told",
                       visible(a, pool, strlen(pool)), visible(a, name, strlen(name)));
    if (port > 65535 || port == -2 || weight == -2 || weight > INT_MAX)
        return err_set(err, E_PROTO, "%s/%s: its port or weight is no number that can be",
                       visible(a, pool, strlen(pool)), visible(a, name, strlen(name)));
    bool enabled = !admin || strcmp(admin, "DISABLED") != 0;
    *ret = (struct lb_server){.pool = arena_strdup(a, pool),
                              .name = arena_strdup(a, name),
                              .state = state_of(state),
                              .leaving = is_leaving(state),
                              .serving = enabled && !strcmp(state, "UP"),
                              .up = !strcmp(state, "UP"),
                              .weight = (int)weight,
                              .sessions = -1,
                              .queued = -1,
                              .status = arena_strdup(a, state),
                              .addr = ip ? arena_strdup(a, ip) : "",
                              .port = port > 0 ? (int)port : 0};
    ret->own = ret->name;
    return true;
}

/* ---- lists ----------------------------------------------------------------- */

static int by_member(const void *x, const void *y)
{
    const struct lb_server *p = x, *q = y;
    int order = strcmp(p->pool, q->pool);
    order = order ? order : strcmp(p->own, q->own);
    return order ? order : (p->port > q->port) - (p->port < q->port);
}

static bool same_server(const struct lb_server *p, const struct lb_server *q)
{
    return !strcmp(p->pool, q->pool) && !strcmp(p->own, q->own);
}

/* A server that stands in the group with several ports is told apart by them. */
static void name_apart(struct arena *a, struct lb_server *rows, size_t n)
{
    if (n > 1)
        qsort(rows, n, sizeof *rows, by_member);
    for (size_t i = 0; i < n; i++) {
        if ((i > 0 && same_server(&rows[i - 1], &rows[i])) ||
            (i + 1 < n && same_server(&rows[i], &rows[i + 1])))
            rows[i].name = arena_printf(a, "%s:%d", (const char *)rows[i].own, rows[i].port);
    }
}

bool nitro_members(const json_t *root, struct arena *a, struct lb_table *io, struct err *err)
{
    static const char kind[] = "servicegroup_servicegroupmember_binding";
    size_t first = io->n, n = nitro_rows_of(root, kind);
    if (!rows_fit(root, kind, err))
        return false;
    room_for(a, io, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *o = row_at(root, kind, i);
        const char *name = text_at(o, "servername") ? text_at(o, "servername") : text_at(o, "ip");
        if (!row_of(o, text_at(o, "servicegroupname"), name, a, &io->rows[io->n], err))
            return false;
        io->n++;
    }
    name_apart(a, io->rows + first, n);
    return true;
}

bool nitro_services(const json_t *root, struct arena *a, struct lb_table *io, struct err *err)
{
    size_t n = nitro_rows_of(root, "service");
    if (!rows_fit(root, "service", err))
        return false;
    room_for(a, io, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *o = row_at(root, "service", i);
        if (!row_of(o, NITRO_SERVICES, text_at(o, "name"), a, &io->rows[io->n], err))
            return false;
        if (text_at(o, "servername"))
            io->rows[io->n].own = arena_strdup(a, text_at(o, "servername"));
        io->n++;
    }
    return true;
}

/* A server has no monitors: whether it serves is told by what is bound to it. */
bool nitro_servers(const json_t *root, struct arena *a, struct lb_table *io, struct err *err)
{
    size_t n = nitro_rows_of(root, "server");
    if (!rows_fit(root, "server", err))
        return false;
    room_for(a, io, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *o = row_at(root, "server", i);
        const char *name = text_at(o, "name"), *state = text_at(o, "state");
        if (!name || !*name || !state)
            return err_set(err, E_PROTO, "a server without its name or state");
        io->rows[io->n++] = (struct lb_server){
            .pool = NITRO_SERVICES,
            .name = arena_strdup(a, name),
            .state = !strcmp(state, "ENABLED")    ? LB_READY
                     : !strcmp(state, "DISABLED") ? LB_DRAIN
                                                  : LB_UNKNOWN,
            .weight = -1,
            .sessions = -1,
            .queued = -1,
            .status = arena_strdup(a, state),
            .addr = text_at(o, "ipaddress") ? arena_strdup(a, text_at(o, "ipaddress")) : ""};
        io->rows[io->n - 1].own = io->rows[io->n - 1].name;
    }
    return true;
}

/* Serves when all that is bound serves; leaves as long as one of them does. */
static bool bound_into(const json_t *o, struct lb_server *s, struct err *err)
{
    static const char *const kinds[] = {"server_service_binding", "server_servicegroup_binding"};
    size_t n = 0, up = 0;
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < json_array_size(json_object_get(o, kinds[k])); i++, n++) {
            const char *state = text_at(row_at(o, kinds[k], i), "svrstate");
            if (!state)
                return err_set(err, E_PROTO, "a binding of a server without its state (svrstate)");
            up += !strcmp(state, "UP");
            s->leaving = s->leaving || is_leaving(state);
        }
    s->up = n > 0 && up == n;
    s->serving = s->up && s->state == LB_READY;
    return true;
}

bool nitro_bound(const json_t *root, struct lb_table *io, struct err *err)
{
    for (size_t i = 0; i < nitro_rows_of(root, "server_binding"); i++) {
        const json_t *o = row_at(root, "server_binding", i);
        const char *name = text_at(o, "name");
        for (size_t k = 0; name && k < io->n; k++) {
            if (!strcmp(io->rows[k].name, name) && !bound_into(o, &io->rows[k], err))
                return false;
        }
    }
    return true;
}

size_t nitro_bonds(const json_t *root, struct arena *a, struct nitro_bond **ret)
{
    static const struct {
        const char *kind, *name;
    } rows[] = {{"server_service_binding", "servicename"},
                {"server_servicegroup_binding", "servicegroupname"}};
    const json_t *o = row_at(root, "server_binding", 0);
    size_t all = 0, n = 0;
    for (size_t k = 0; k < 2; k++)
        all += json_array_size(json_object_get(o, rows[k].kind));
    *ret = arena_array(a, all + 1, sizeof **ret);
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < json_array_size(json_object_get(o, rows[k].kind)); i++) {
            const json_t *b = row_at(o, rows[k].kind, i);
            const char *name = text_at(b, rows[k].name), *ip = text_at(b, "serviceipaddress");
            int64_t port = number_at(b, "port");
            if (name)
                (*ret)[n++] = (struct nitro_bond){.service = k == 0 ? arena_strdup(a, name) : NULL,
                                                  .group = k == 1 ? arena_strdup(a, name) : NULL,
                                                  .ip = ip ? arena_strdup(a, ip) : NULL,
                                                  .port = port > 0 && port <= 65535 ? (int)port : 0};
        }
    return n;
}

bool nitro_server_disabled(const json_t *root, bool *ret, struct err *err)
{
    const char *state = text_at(row_at(root, "server", 0), "state");
    *ret = state && !strcmp(state, "DISABLED");
    return state || err_set(err, E_PROTO, "a server without its state");
}

/* ---- statistics ------------------------------------------------------------ */

static bool counts_into(const json_t *o, struct arena *a, struct lb_server *s, struct err *err)
{
    int64_t clients = number_at(o, "curclntconnections"), active = number_at(o, "activetransactions");
    int64_t surge = number_at(o, "surgecount"), requests = number_at(o, "totalrequests");
    if (clients == -2 || active == -2 || surge == -2 || requests == -2)
        return err_set(err, E_PROTO, "statistics with a number that is none");
    struct lb_traffic *t = arena_alloc(a, sizeof *t);
    *t = (struct lb_traffic){.requests = requests, .errors = -1, .answer_ms = -1};
    s->sessions = clients < 0 ? -1 : active > clients ? active : clients;
    s->queued = surge;
    s->traffic = t;
    return true;
}

bool nitro_member_stats(const json_t *root, const char *pool, struct arena *a, struct lb_table *io,
                        struct err *err)
{
    const json_t *group = row_at(root, "servicegroup", 0);
    if (!rows_fit(group, "servicegroupmember", err))
        return false;
    for (size_t i = 0; i < nitro_rows_of(group, "servicegroupmember"); i++) {
        const json_t *o = row_at(group, "servicegroupmember", i);
        const char *ip = text_at(o, "primaryipaddress");
        int64_t port = number_at(o, "primaryport");
        for (size_t k = 0; ip && k < io->n; k++) {
            struct lb_server *s = &io->rows[k];
            if (s->port == port && !strcmp(s->addr, ip) && !strcmp(s->pool, pool) &&
                !counts_into(o, a, s, err))
                return false;
        }
    }
    return true;
}

bool nitro_service_stats(const json_t *root, struct arena *a, struct lb_table *io, struct err *err)
{
    if (!rows_fit(root, "service", err))
        return false;
    for (size_t i = 0; i < nitro_rows_of(root, "service"); i++) {
        const json_t *o = row_at(root, "service", i);
        const char *name = text_at(o, "name");
        for (size_t k = 0; name && k < io->n; k++) {
            if (!strcmp(io->rows[k].name, name) && !counts_into(o, a, &io->rows[k], err))
                return false;
        }
    }
    return true;
}

/* ---- high availability ----------------------------------------------------- */

bool nitro_ha_of(const json_t *root, struct arena *a, enum nitro_ha *ret, const char **ret_words,
                 struct err *err)
{
    const json_t *o = row_at(root, "hanode", 0);
    const char *pair = text_at(o, "hacurstatus"), *master = text_at(o, "hacurmasterstate");
    *ret_words = master ? visible(a, master, strlen(master)) : "";
    if (!pair)
        return err_set(err, E_PROTO, "does not tell whether it is one of a pair (hacurstatus)");
    if (strcmp(pair, "YES") != 0 || (master && !strcasecmp(master, "Primary")))
        *ret = NITRO_PRIMARY;
    else
        *ret = master && !strcasecmp(master, "Secondary") ? NITRO_SECONDARY : NITRO_NEITHER;
    return true;
}
