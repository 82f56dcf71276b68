/* SPDX-License-Identifier: MIT */
/* One HTTP request by libcurl under op_wait; link-local addresses are refused (http_call.h). */
#include "drivers/op/http_call.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/str.h"

#define HEAD_MAX_BYTES (32u << 10)
#define HEADERS_MAX    200

struct http_exchange {
    struct op *op;
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    int epoll_fd;     /* libcurl's sockets: op_wait waits for one fd */
    int64_t timer_ms; /* monotonic time at which libcurl wants to be called, CLOCK_NEVER = not */
    struct buf head, body;
    bool link_local, link_local_meant;
    FILE *to;
    bool full; /* what was to go there could not be written */
};

static void call_fini(struct http_exchange *c)
{
    if (c->multi && c->easy)
        curl_multi_remove_handle(c->multi, c->easy);
    curl_easy_cleanup(c->easy);
    curl_multi_cleanup(c->multi);
    curl_slist_free_all(c->headers);
    curl_slist_free_all(c->connect_to);
    auto_fd_fn(&c->epoll_fd);
    buf_fini(&c->head);
    buf_fini(&c->body);
}

/* ---- what libcurl calls -------------------------------------------------------------------------- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *unused)
{
    (void)easy, (void)unused;
    struct http_exchange *c = ctx;
    struct epoll_event ev = {.data.fd = fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    ev.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, fd, &ev) < 0)
        return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -1 : 0;
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    (void)multi;
    struct http_exchange *c = ctx;
    c->timer_ms = timeout_ms < 0 ? CLOCK_NEVER : clock_mono_ms() + timeout_ms;
    return 0;
}

/* Returning less than n ends the transfer: enough is enough. */
static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct http_exchange *c = ctx;
    long status = 0;
    if (c->to)
        curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200) {
        c->full = fwrite(data, 1, size * n, c->to) != size * n;
        return c->full ? 0 : size * n;
    }
    buf_add(&c->body, data, size * n);
    return c->body.cut ? 0 : size * n;
}

static size_t on_head(char *data, size_t size, size_t n, void *ctx)
{
    struct http_exchange *c = ctx;
    buf_add(&c->head, data, size * n);
    return c->head.cut ? 0 : size * n;
}

/* Link-local addresses are where clouds keep credentials (docs/promises.md#s15). */
static bool is_link_local(const struct sockaddr *sa)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (sa->sa_family == AF_INET) {
        memcpy(&v4, sa, sizeof v4);
        return (ntohl(v4.sin_addr.s_addr) >> 16) == 0xa9fe;
    }
    if (sa->sa_family != AF_INET6)
        return true;
    memcpy(&v6, sa, sizeof v6);
    const unsigned char *b = v6.sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return b[12] == 0xa9 && b[13] == 0xfe;
    return IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr);
}

static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *addr)
{
    (void)purpose;
    struct http_exchange *c = ctx;
    if (!c->link_local_meant && is_link_local(&addr->addr)) {
        c->link_local = true;
        return CURL_SOCKET_BAD;
    }
    return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

/* ---- one request --------------------------------------------------------------------------------- */

bool http_text_valid(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    }
    return true;
}

static bool add_headers(struct http_exchange *c, const struct http_req *req)
{
    for (size_t i = 0; i < req->n_headers; i++) {
        const struct op_pair *h = &req->headers[i];
        if (!*h->name || strchr(h->name, ':') || !http_text_valid(h->name) || !http_text_valid(h->value)) {
            op_refused(c->op, E_CONFIG, "a request header has a line end or colon where none may be");
            return false;
        }
        c->headers =
            curl_slist_append(c->headers, arena_printf(op_arena(c->op), "%s: %s", h->name, h->value));
        must(c->headers);
    }
    return true;
}

static void set_safety(struct http_exchange *c)
{
    curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(c->easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(c->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c->easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(c->easy, CURLOPT_OPENSOCKETDATA, c);
}

static void set_request(struct http_exchange *c, const struct http_req *req)
{
    curl_easy_setopt(c->easy, CURLOPT_USERAGENT, "release");
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
    if (req->redirects) {
        curl_easy_setopt(c->easy, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(c->easy, CURLOPT_MAXREDIRS, (long)req->redirects);
        curl_easy_setopt(c->easy, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    }
    if (req->method)
        curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, req->method);
    if (req->ca)
        curl_easy_setopt(c->easy, CURLOPT_CAINFO, req->ca);
    if (req->user) {
        curl_easy_setopt(c->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(c->easy, CURLOPT_USERNAME, req->user);
        curl_easy_setopt(c->easy, CURLOPT_PASSWORD, req->password);
    }
    if (req->address) {
        c->connect_to = curl_slist_append(NULL, arena_printf(op_arena(c->op), "::%s", req->address));
        curl_easy_setopt(c->easy, CURLOPT_CONNECT_TO, c->connect_to);
    }
    if (req->body) {
        curl_easy_setopt(c->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, req->body);
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
    }
}

static bool call_init(struct http_exchange *c, const struct http_req *req)
{
    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    c->easy = curl_easy_init();
    c->multi = curl_multi_init();
    if (c->epoll_fd < 0 || !c->easy || !c->multi) {
        op_refused(c->op, E_IO, "the controller is out of file descriptors or memory (%s)", strerror(errno));
        return false;
    }
    c->link_local_meant = req->link_local;
    c->to = req->to;
    if (!add_headers(c, req))
        return false;
    if (curl_easy_setopt(c->easy, CURLOPT_URL, req->url) != CURLE_OK) {
        op_refused(c->op, E_CONFIG, "the URL cannot be used; wanted http:// or https:// and a host");
        return false;
    }
    set_safety(c);
    set_request(c, req);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    if (curl_multi_add_handle(c->multi, c->easy) == CURLM_OK)
        return true;
    op_refused(c->op, E_IO, "the controller is out of memory for one more request");
    return false;
}

static void give_events(struct http_exchange *c, int *ret_running)
{
    struct epoll_event evs[8];
    int n = epoll_wait(c->epoll_fd, evs, 8, 0);
    for (int i = 0; i < n; i++) {
        int mask = (evs[i].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
                   (evs[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (evs[i].events & EPOLLERR ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(c->multi, evs[i].data.fd, mask, ret_running);
    }
}

static bool transfer(struct http_exchange *c)
{
    int running = 1;
    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    while (running) {
        int64_t left = c->timer_ms == CLOCK_NEVER ? 1000 : c->timer_ms - clock_mono_ms();
        bool late = left <= 0;
        if (!late && !op_wait_ms(c->op, c->epoll_fd, POLLIN, left > 1000 ? 1000 : (int)left, &late) && !late)
            return false;
        if (!late)
            give_events(c, &running);
        if (c->timer_ms != CLOCK_NEVER && clock_mono_ms() >= c->timer_ms) {
            c->timer_ms = CLOCK_NEVER;
            curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
    }
    return true;
}

static CURLcode result_of(struct http_exchange *c)
{
    int left;
    const CURLMsg *m = curl_multi_info_read(c->multi, &left);
    return m && m->msg == CURLMSG_DONE ? m->data.result : CURLE_RECV_ERROR;
}

static enum http_end end_of(struct http_exchange *c, CURLcode rc, int status)
{
    curl_off_t sent = 0;
    long request_bytes = 0;
    if (rc == CURLE_OK || (c->body.cut && status > 0))
        return HTTP_ANSWERED;
    curl_easy_getinfo(c->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    return sent == 0 && request_bytes == 0 ? HTTP_NOT_SENT : HTTP_BROKEN;
}

bool http_call(struct op *op, const struct http_req *req, struct http_res *ret)
{
    __attribute__((cleanup(call_fini))) struct http_exchange c = {
        .op = op, .epoll_fd = -1, .timer_ms = CLOCK_NEVER, .head = BUF_INIT(HEAD_MAX_BYTES)};
    c.body = BUF_INIT(req->max_bytes);
    int64_t began_ms = clock_mono_ms();
    long status = 0;
    *ret = (struct http_res){0};
    if (!call_init(&c, req) || !transfer(&c))
        return false;
    CURLcode rc = result_of(&c);
    curl_easy_getinfo(c.easy, CURLINFO_RESPONSE_CODE, &status);
    http_parse(op_arena(op), buf_str(&c.head), c.head.len, ret);
    ret->end = end_of(&c, rc, (int)status);
    ret->status = (int)status;
    ret->untrusted = rc == CURLE_PEER_FAILED_VERIFICATION;
    ret->took_ms = clock_mono_ms() - began_ms;
    ret->cut = c.body.cut;
    ret->body = arena_strndup(op_arena(op), buf_str(&c.body), c.body.len);
    ret->body_len = c.body.len;
    if (c.link_local)
        ret->problem = "a link-local address, which is refused";
    else if (c.full)
        ret->problem = "the file that it goes to cannot be written: is the disk full?";
    else if (ret->end != HTTP_ANSWERED)
        ret->problem = curl_easy_strerror(rc);
    return true;
}

/* ---- answers ------------------------------------------------------------------------------------- */

const char *http_header(const struct http_res *res, const char *name)
{
    for (size_t i = 0; i < res->n_headers; i++) {
        if (!strcasecmp(res->headers[i].name, name))
            return res->headers[i].value;
    }
    return NULL;
}

static bool parse_status(const char *line, int *ret)
{
    const char *space = strchr(line, ' ');
    if (!str_starts(line, "HTTP/") || !space)
        return false;
    char *end;
    long v = strtol(space + 1, &end, 10);
    if (end != space + 4 || v < 100 || v > 999)
        return false;
    *ret = (int)v;
    return true;
}

static void parse_header(char *line, struct http_res *io)
{
    char *colon = strchr(line, ':');
    if (!colon || colon == line || io->n_headers == HEADERS_MAX)
        return;
    *colon = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t");
    for (size_t n = strlen(value); n && strchr(" \t", value[n - 1]); n--)
        value[n - 1] = '\0';
    io->headers[io->n_headers++] = (struct op_pair){.name = line, .value = value};
}

/* Cuts the next line off, without its line end; NULL at the end. */
static char *cut_line(char **io, char *end)
{
    char *line = *io;
    if (line >= end)
        return NULL;
    char *nl = memchr(line, '\n', (size_t)(end - line));
    *io = nl ? nl + 1 : end;
    if (nl)
        *nl = '\0';
    if (nl && nl > line && nl[-1] == '\r')
        nl[-1] = '\0';
    return line;
}

bool http_parse(struct arena *a, const char *text, size_t n, struct http_res *ret)
{
    char *pos = arena_strndup(a, text, n), *end = pos + n, *line;
    *ret = (struct http_res){.headers = arena_array(a, HEADERS_MAX, sizeof *ret->headers), .body = end};
    do {
        /* "100 Continue" and friends come before the answer. */
        if (!(line = cut_line(&pos, end)) || !parse_status(line, &ret->status))
            return false;
        ret->n_headers = 0;
        while ((line = cut_line(&pos, end)) && *line)
            parse_header(line, ret);
    } while (ret->status < 200 && pos < end);
    ret->body = pos;
    ret->body_len = (size_t)(end - pos);
    return true;
}
