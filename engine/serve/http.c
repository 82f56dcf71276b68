/* SPDX-License-Identifier: MIT */
/* libmicrohttpd and the limits: one thread that moves bytes and never waits for the journal.
 *
 * A request is taken whole (header 8 KiB, body 64 KiB, 10 s), its connection suspended, and put to the
 * workers; the answer resumes it. At most 64 connections besides streams: when another comes, the one that
 * has kept us waiting longest, for a request or for taking its answer, goes, so that slow clients push out
 * each other and not who asks in one piece (S17). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "serve/events.h"
#include "serve/http_priv.h"

#define HEADERS_MAX 100

/* ---- connections */

static void conn_add(struct http *h, struct conn *c)
{
    c->next = h->conns.next;
    c->prev = &h->conns;
    h->conns.next->prev = c;
    h->conns.next = c;
}

static void conn_remove(struct conn *c)
{
    c->prev->next = c->next;
    c->next->prev = c->prev;
}

/* Its descriptor is still open: libmicrohttpd closes it only after it has told us. */
static void conn_end(struct conn *c)
{
    shutdown(c->fd, SHUT_RDWR);
    c->phase = CONN_ENDING;
}

/* An answer that is not taken within this is not wanted much. */
#define STUCK_MS 1000

/* Who does not take the answer goes first, then who has had none yet, then who has, then a fresh answer. */
static int place_of(const struct conn *c, int64_t now)
{
    if (c->phase == CONN_WRITING)
        return now - c->since_ms > STUCK_MS ? 0 : 3;
    return c->served ? 2 : 1;
}

static bool goes_before(const struct conn *c, const struct conn *other, int64_t now)
{
    if (!other)
        return true;
    int a = place_of(c, now), b = place_of(other, now);
    return a != b ? a < b : c->since_ms <= other->since_ms;
}

/* Never the newcomer: it may be the one that asks in one piece. */
static void make_room(struct http *h, const struct conn *newcomer)
{
    struct conn *oldest = NULL;
    size_t n = 0;
    int64_t now = clock_mono_ms();
    for (struct conn *c = h->conns.next; c != &h->conns; c = c->next) {
        bool waits = c->phase == CONN_READING || c->phase == CONN_WRITING;
        n += waits || c->phase == CONN_WORKING;
        if (waits && c != newcomer && goes_before(c, oldest, now))
            oldest = c;
    }
    h->counts.connections = n;
    if (n <= SERVE_CONNECTIONS || !oldest)
        return;
    conn_end(oldest);
    h->counts.evicted++;
}

void http_on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code)
{
    struct http *h = cls;
    pthread_mutex_lock(&h->lock);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct conn *c = xcalloc(1, sizeof *c);
        c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        c->since_ms = clock_mono_ms();
        *socket_context = c;
        conn_add(h, c);
        make_room(h, c);
    } else if (*socket_context) {
        conn_remove(*socket_context);
        free(*socket_context);
        *socket_context = NULL;
    }
    pthread_mutex_unlock(&h->lock);
}

void http_sweep(struct serve *s)
{
    struct http *h = s->http;
    int64_t now = clock_mono_ms();
    pthread_mutex_lock(&h->lock);
    for (struct conn *c = h->conns.next; c != &h->conns; c = c->next)
        if ((c->phase == CONN_READING && now - c->since_ms > SERVE_REQUEST_MS) ||
            (c->phase == CONN_WRITING && now - c->since_ms > SERVE_ANSWER_MS)) {
            conn_end(c);
            h->counts.late++;
        }
    pthread_mutex_unlock(&h->lock);
}

static void conn_set(struct exchange *x, enum conn_phase phase)
{
    pthread_mutex_lock(&x->http->lock);
    if (x->conn->phase != CONN_ENDING)
        x->conn->phase = phase;
    x->conn->since_ms = clock_mono_ms();
    pthread_mutex_unlock(&x->http->lock);
}

void exchange_answer(struct exchange *x)
{
    request_serve(&x->request, &x->reply);
}

struct http_counts http_counted(struct serve *s)
{
    struct http *h = s->http;
    pthread_mutex_lock(&h->lock);
    struct http_counts counts = h->counts;
    counts.connections = counts.streams = 0;
    for (struct conn *c = h->conns.next; c != &h->conns; c = c->next) {
        counts.connections += c->phase != CONN_STREAM && c->phase != CONN_ENDING;
        counts.streams += c->phase == CONN_STREAM;
    }
    pthread_mutex_unlock(&h->lock);
    return counts;
}

/* ---- a request comes in */

/* The first that is known of a request: its line. */
void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct http *h = cls;
    struct exchange *x = xcalloc(1, sizeof *x);
    x->http = h;
    x->connection = connection;
    x->conn = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    x->body = BUF_INIT(SERVE_BODY_BYTES);
    x->reply.body = BUF_INIT((size_t)32 * 1024 * 1024);
    x->uri = arena_strdup(&x->arena, uri);
    return x;
}

void http_on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                       enum MHD_RequestTerminationCode code)
{
    (void)cls;
    (void)connection;
    (void)code;
    struct exchange *x = *con_cls;
    if (!x)
        return;
    conn_set(x, CONN_READING); /* and waits for the next one */
    if (x->state == EX_DONE)
        x->conn->served = true; /* read under the lock by this thread alone */
    if (x->reply.stream)
        stream_free(x->reply.stream);
    buf_fini(&x->body);
    reply_fini(&x->reply);
    arena_fini(&x->arena);
    free(x);
    *con_cls = NULL;
}

struct gathered {
    struct exchange *x;
    struct pair *pairs;
    size_t n;
    int lengths, encodings, hosts;
    bool too_many, misnamed;
};

/* "Content-Length : 4" is a header for some programs and none for others. */
static bool is_token(const char *name)
{
    return name[0] &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~") ==
               strlen(name);
}

static enum MHD_Result gather(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    struct gathered *g = cls;
    if (g->n == HEADERS_MAX) {
        g->too_many = true;
        return MHD_NO;
    }
    g->misnamed |= !is_token(name);
    g->lengths += strcasecmp(name, "Content-Length") == 0;
    g->encodings += strcasecmp(name, "Transfer-Encoding") == 0;
    g->hosts += strcasecmp(name, "Host") == 0;
    g->pairs[g->n++] = (struct pair){.name = name, .value = value ? value : ""};
    return MHD_YES;
}

static bool digits_only(const char *text)
{
    return text[0] && strspn(text, "0123456789") == strlen(text) && strlen(text) < 16;
}

/* Anything that two programs in a row could read in two ways is refused (request smuggling). */
static bool framing_ok(const struct gathered *g, const struct request *r, struct reply *reply)
{
    const char *length = request_header(r, "Content-Length"), *te = request_header(r, "Transfer-Encoding");
    if (g->too_many)
        return reply_error(reply, 431, "limit", "more than %d header lines", HEADERS_MAX);
    if (g->misnamed)
        return reply_error(reply, 400, "framing", "a header's name is none");
    if (g->lengths + g->encodings > 1)
        return reply_error(reply, 400, "framing", "the length of the body is said twice");
    if (g->hosts != 1)
        return reply_error(reply, 400, "host", "wanted one Host header");
    if (length && !digits_only(length))
        return reply_error(reply, 400, "framing",
                           "Content-Length is no number; wanted the bytes of the body in digits");
    if (length && strtoll(length, NULL, 10) > SERVE_BODY_BYTES)
        return reply_error(reply, 413, "limit", "the body is larger than %d bytes", SERVE_BODY_BYTES);
    if (te && strcasecmp(te, "chunked") != 0)
        return reply_error(reply, 400, "framing", "this Transfer-Encoding is not understood");
    return true;
}

static bool method_ok(struct request *r, const char *method, const char *version, struct reply *reply)
{
    r->method = strcmp(method, "POST") == 0 ? "POST" : "GET";
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "POST") != 0)
        return reply_error(reply, 405, "method", "wanted GET, HEAD or POST");
    return strcmp(version, "HTTP/1.1") == 0 || strcmp(version, "HTTP/1.0") == 0 ||
           reply_error(reply, 505, "method", "wanted HTTP/1.1");
}

static void peer_of(struct exchange *x)
{
    const struct sockaddr *addr =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    char text[INET6_ADDRSTRLEN] = "?";
    struct request *r = &x->request;
    if (addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)addr)->sin_addr, text, sizeof text);
    else if (addr->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr, text, sizeof text);
    r->peer = arena_strdup(&x->arena, text);
    r->loopback = str_starts(text, "127.") || strcmp(text, "::1") == 0;
}

/* Behind the named proxy: the last address of X-Forwarded-For, which the proxy itself put there. */
static void from_of(struct exchange *x)
{
    struct request *r = &x->request;
    const struct serve_config *c = &r->serve->config;
    const char *list = request_header(r, "X-Forwarded-For"), *last = list ? strrchr(list, ',') : NULL;
    unsigned char bytes[16];
    r->from = r->peer;
    if (!list || !c->proxy_address || strcmp(r->peer, c->proxy_address) != 0)
        return;
    last = last ? last + 1 : list;
    last += strspn(last, " ");
    if (inet_pton(AF_INET, last, bytes) == 1 || inet_pton(AF_INET6, last, bytes) == 1)
        r->from = arena_printf(&x->arena, "%s by %s", last, r->peer);
}

/* In the clear over a network only the named proxy may come (config_exposure_ok). */
static bool peer_ok(const struct serve *s, const struct request *r, struct reply *reply)
{
    const struct serve_config *c = &s->config;
    if (r->loopback || c->tls_cert || (c->proxy_address && strcmp(r->peer, c->proxy_address) == 0))
        return true;
    return reply_error(reply, 403, "peer", "%s is not the proxy that this server listens to", r->peer);
}

static bool headers_ok(struct exchange *x, const char *method, const char *version)
{
    struct request *r = &x->request;
    struct gathered g = {.x = x, .pairs = arena_array(&x->arena, HEADERS_MAX, sizeof(struct pair))};
    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, gather, &g);
    *r = (struct request){.serve = x->http->serve,
                          .arena = &x->arena,
                          .headers = g.pairs,
                          .n_headers = g.n,
                          .actor = {.name = "", .csrf = ""}};
    peer_of(x);
    from_of(x);
    size_t bytes =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
    if (bytes > SERVE_HEADER_BYTES)
        return reply_error(&x->reply, 431, "limit", "the header is larger than %d bytes", SERVE_HEADER_BYTES);
    return method_ok(r, method, version, &x->reply) && framing_ok(&g, r, &x->reply) &&
           peer_ok(r->serve, r, &x->reply);
}

/* All is here: the pieces of the request that are not bytes any more. */
static bool request_complete(struct exchange *x)
{
    struct request *r = &x->request;
    const char *query = strchr(x->uri, '?'), *type = request_header(r, "Content-Type");
    r->body = x->body.data ? x->body.data : "";
    r->body_bytes = x->body.len;
    if (!path_clean(&x->arena, x->uri, &r->path))
        return reply_error(
            &x->reply, 400, "path",
            "the path cannot be taken; wanted it from '/' on, without '..', '//' or control bytes");
    if (query && !pairs_parse(&x->arena, query + 1, (struct pair **)(uintptr_t)&r->query, &r->n_query))
        return reply_error(&x->reply, 400, "usage",
                           "the query cannot be read; wanted NAME=VALUE with & between them, URL-encoded");
    if (type && strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0 &&
        !memchr(r->body, 0, r->body_bytes) &&
        !pairs_parse(&x->arena, r->body, (struct pair **)(uintptr_t)&r->form, &r->n_form))
        return reply_error(&x->reply, 400, "usage", "the form cannot be read");
    return true;
}

/* ---- the answer */

static void add_headers(struct MHD_Response *response, const struct exchange *x)
{
    const struct reply *reply = &x->reply;
    bool page = reply->type && !str_starts(reply->type, "application/json");
    MHD_add_response_header(response, "Content-Type",
                            reply->type ? reply->type : "text/plain; charset=utf-8");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "X-Frame-Options", "DENY");
    /* Not no-referrer: a form's POST would then come with `Origin: null`, as a stranger's does. */
    MHD_add_response_header(response, "Referrer-Policy", "same-origin");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(response, "Content-Security-Policy",
                            page ? SERVE_PAGE_POLICY : SERVE_DATA_POLICY);
    bool cache = false;
    for (size_t i = 0; i < reply->n_headers; i++) {
        cache |= strcmp(reply->headers[i].name, "Cache-Control") == 0;
        MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    }
    if (!cache)
        MHD_add_response_header(response, "Cache-Control", "no-store");
    if (x->http->serve->config.tls_cert)
        MHD_add_response_header(response, "Strict-Transport-Security", "max-age=31536000");
}

static struct MHD_Response *response_of(struct exchange *x)
{
    struct reply *reply = &x->reply;
    if (reply->stream) {
        conn_set(x, CONN_STREAM);
        struct stream *stream = reply->stream;
        reply->stream = NULL; /* the response's now */
        return stream_response(stream, x->connection);
    }
    conn_set(x, CONN_WRITING);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(reply->body.len, reply->body.data, MHD_RESPMEM_MUST_FREE);
    reply->body.data = NULL; /* libmicrohttpd's now */
    reply->body.len = reply->body.cap = 0;
    return response;
}

static enum MHD_Result respond(struct exchange *x)
{
    struct reply *reply = &x->reply;
    struct MHD_Response *response = response_of(x);
    add_headers(response, x);
    pthread_mutex_lock(&x->http->lock);
    x->http->counts.answers[reply->status >= 100 && reply->status < 600 ? reply->status / 100 : 0]++;
    pthread_mutex_unlock(&x->http->lock);
    if (x->state == EX_REFUSED)
        MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result ok = MHD_queue_response(x->connection, (unsigned)reply->status, response);
    MHD_destroy_response(response);
    return ok;
}

static enum MHD_Result refuse(struct exchange *x)
{
    x->state = EX_REFUSED;
    return respond(x);
}

void exchange_done(struct exchange *x)
{
    x->state = EX_DONE;
    MHD_resume_connection(x->connection);
}

/* Suspended before a worker can have it: it may be done before we are back. */
static enum MHD_Result hand_over(struct exchange *x)
{
    if (!request_complete(x))
        return refuse(x);
    bool slow = route_is_slow(&x->request);
    conn_set(x, CONN_WORKING);
    x->state = EX_WORKING;
    MHD_suspend_connection(x->connection);
    if (work_put(x->http->work, x, slow))
        return MHD_YES;
    reply_error(&x->reply, 503, "busy", "too many requests are waiting; try again");
    exchange_done(x);
    return MHD_YES;
}

enum MHD_Result http_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data, size_t *n,
                                void **con_cls)
{
    (void)cls;
    (void)connection;
    (void)url;
    struct exchange *x = *con_cls;
    if (!x)
        return MHD_NO;
    switch (x->state) {
    case EX_HEADERS: x->state = EX_BODY; return headers_ok(x, method, version) ? MHD_YES : refuse(x);
    case EX_BODY:
        if (*n == 0)
            return hand_over(x);
        buf_add(&x->body, data, *n);
        *n = 0;
        return x->body.cut ? MHD_NO : MHD_YES; /* a chunked body without end: there is no polite way out */
    case EX_DONE: return respond(x);
    case EX_REFUSED:
    case EX_WORKING: *n = 0; return MHD_YES;
    }
    return MHD_NO;
}
