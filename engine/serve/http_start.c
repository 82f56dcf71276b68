/* SPDX-License-Identifier: MIT */
/* The listening socket, TLS, and libmicrohttpd's daemon: opened last, closed in the order that answers
 * everybody. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "serve/http_priv.h"

#define POOL_BYTES (3 * SERVE_HEADER_BYTES) /* libmicrohttpd's for one connection: header, then answer */

static int listen_socket(const struct listen_address *at, struct err *err)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)at->port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)at->port)};
    auto_fd int fd = socket(at->ip6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (at->ip6)
        inet_pton(AF_INET6, at->host, &six.sin6_addr);
    else
        inet_pton(AF_INET, at->host, &four.sin_addr);
    const struct sockaddr *addr = at->ip6 ? (const void *)&six : (const void *)&four;
    socklen_t n = at->ip6 ? sizeof six : sizeof four;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 || bind(fd, addr, n) != 0 ||
        listen(fd, 512) != 0) {
        /* In use, or not there yet: that may pass, and is no mistake of the configuration. */
        bool passes = errno == EADDRINUSE || errno == EADDRNOTAVAIL;
        err_errno(err, passes ? E_NET : E_USAGE, "listen: %s%s%s:%d cannot be opened", at->ip6 ? "[" : "",
                  at->host, at->ip6 ? "]" : "", at->port);
        return -1;
    }
    return fd_take(&fd);
}

/* Port 0 means any free one: which it became. */
static void learn_port(int fd, struct listen_address *at)
{
    struct sockaddr_storage addr;
    socklen_t n = sizeof addr;
    if (getsockname(fd, (struct sockaddr *)&addr, &n) != 0)
        return;
    at->port =
        ntohs(at->ip6 ? ((struct sockaddr_in6 *)&addr)->sin6_port : ((struct sockaddr_in *)&addr)->sin_port);
}

static char *file_text(const char *path, struct err *err)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = xcalloc(1, 65536);
    ssize_t n = fd < 0 ? -1 : read(fd, text, 65535);
    if (n > 0)
        return text;
    free(text);
    err_errno(err, E_USAGE, "tls: %s cannot be read", path);
    return NULL;
}

static bool tls_load(struct http *h, struct err *err)
{
    const struct serve_config *c = &h->serve->config;
    if (!c->tls_cert)
        return true;
    h->cert = file_text(c->tls_cert, err);
    h->key = h->cert ? file_text(c->tls_key, err) : NULL;
    return h->key != NULL;
}

static bool daemon_start(struct http *h, int fd, struct err *err)
{
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, h->cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, h->key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t) "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | (h->cert ? MHD_USE_TLS : 0u);
    h->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, http_on_request, h, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_CONNECTION,
        http_on_connection, h, MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, h, MHD_OPTION_URI_LOG_CALLBACK,
        http_on_uri, h, MHD_OPTION_CONNECTION_LIMIT, (unsigned)(SERVE_CONNECTIONS + SERVE_STREAMS + 64),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(SERVE_REQUEST_MS / 1000), MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY,
        h->cert ? tls : none, MHD_OPTION_END);
    return h->daemon != NULL ||
           err_set(err, E_USAGE, "the server cannot start on %s%s", h->serve->config.listen,
                   h->cert ? " (are certificate and key in PEM, and do they belong together?)" : "");
}

bool http_start(struct serve *s, struct err *err)
{
    static const struct work_calls calls = {.answer = exchange_answer, .done = exchange_done};
    struct http *h = s->http = xcalloc(1, sizeof *h);
    h->serve = s;
    h->quiesced_fd = -1;
    h->conns.next = h->conns.prev = &h->conns;
    pthread_mutex_init(&h->lock, NULL);
    auto_fd int fd = listen_socket(&s->address, err);
    if (fd < 0 || !tls_load(h, err) || !(h->work = work_start(s, &calls, err)))
        return false;
    learn_port(fd, &s->address);
    serve_name(s);
    if (!daemon_start(h, fd, err))
        return false;
    fd_take(&fd); /* the daemon closes it */
    return true;
}

/* Whoever comes now is refused at the door, and does not wait for an answer that the end may swallow. */
void http_quiesce(struct serve *s)
{
    struct http *h = s->http;
    if (!h || !h->daemon)
        return;
    h->quiesced_fd = MHD_quiesce_daemon(h->daemon);
    if (h->quiesced_fd >= 0)
        shutdown(h->quiesced_fd, SHUT_RDWR);
}

/* Workers first: each suspended connection is answered, then libmicrohttpd may close them all. */
void http_stop(struct serve *s)
{
    struct http *h = s->http;
    if (!h)
        return;
    if (h->work)
        work_stop(h->work);
    if (h->daemon)
        MHD_stop_daemon(h->daemon);
    auto_fd_fn(&h->quiesced_fd); /* ours since it was quiesced; its thread is gone only now */
    work_free(h->work);
    free(h->cert);
    free(h->key);
    pthread_mutex_destroy(&h->lock);
    free(h);
    s->http = NULL;
}
