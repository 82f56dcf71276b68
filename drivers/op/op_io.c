/* SPDX-License-Identifier: MIT */
/* The op's own sockets: connect, write, read, all under op_wait. */
#include "drivers/op/inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"

static int last_error(int fd)
{
    int error = 0;
    socklen_t n = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
        return errno;
    return error;
}

static enum link_end wait_end(enum wait w)
{
    return w == WAIT_LATE       ? LINK_LATE
           : w == WAIT_CANCELED ? LINK_CANCELED
           : w == WAIT_BOUND    ? LINK_BOUND
                                : LINK_OK;
}

/* *ret_error: 0 connected, else an errno. Not LINK_OK: the wait ended before that. */
static enum link_end connect_wait(struct op *op, int fd, const struct sockaddr *addr, socklen_t len,
                                  int64_t bound_ms, int *ret_error)
{
    *ret_error = 0;
    if (connect(fd, addr, len) == 0)
        return LINK_OK;
    *ret_error = errno;
    if (errno != EINPROGRESS)
        return LINK_OK;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    enum link_end end = wait_end(op_poll(op, &p, 1, bound_ms));
    if (end == LINK_OK)
        *ret_error = last_error(fd);
    return end;
}

static void freeaddrinfo_fn(struct addrinfo **list)
{
    if (*list)
        freeaddrinfo(*list);
}

enum link_end net_connect(struct op *op, const struct net_address *to, int64_t bound_ms, int *ret_fd,
                          struct err *err)
{
    char service[16];
    snprintf(service, sizeof(service), "%d", to->port);
    struct addrinfo hints = {.ai_family = to->family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    __attribute__((cleanup(freeaddrinfo_fn))) struct addrinfo *list = NULL;
    /* A name is looked up here and may take the resolver's own time; plans are frozen with addresses. */
    int rc = getaddrinfo(to->host, service, &hints, &list);
    if (rc != 0) {
        err_set(err, E_NET, "%s: no address for this name (%s); check `host` in the pillar", to->host,
                rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
        return LINK_LOST;
    }
    int error = 0;
    for (struct addrinfo *a = list; a; a = a->ai_next) {
        auto_fd int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            error = errno;
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        enum link_end end = connect_wait(op, fd, a->ai_addr, a->ai_addrlen, bound_ms, &error);
        if (end == LINK_BOUND)
            error = ETIMEDOUT;
        else if (end != LINK_OK)
            return end;
        if (error == 0) {
            *ret_fd = fd_take(&fd);
            return LINK_OK;
        }
    }
    err_set(err, E_NET, "%s port %d: cannot connect: %s", to->host, to->port, strerror(error));
    return LINK_LOST;
}

static void connect_fail(struct op *op, enum link_end end, const struct err *err)
{
    if (end == LINK_LATE || end == LINK_CANCELED)
        op_fail_wait(op, end == LINK_LATE ? WAIT_LATE : WAIT_CANCELED);
    else
        op_fail(op, err->code, "%s", err->text);
}

int op_connect_tcp(struct op *op, const char *host, int port)
{
    struct err err;
    int fd = -1;
    const struct net_address to = {.host = host, .port = port, .family = AF_UNSPEC};
    enum link_end end = net_connect(op, &to, CLOCK_NEVER, &fd, &err);
    if (end != LINK_OK)
        connect_fail(op, end, &err);
    return fd;
}

int op_connect_unix(struct op *op, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct err err;
    int error = 0;
    if (strlen(path) >= sizeof(addr.sun_path)) {
        op_fail(op, E_CONFIG, "%s: socket path is longer than %zu bytes", path, sizeof(addr.sun_path) - 1);
        return -1;
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    enum link_end end =
        fd < 0 ? (error = errno, LINK_OK)
               : connect_wait(op, fd, (const struct sockaddr *)&addr, sizeof(addr), CLOCK_NEVER, &error);
    if (end == LINK_OK && error == 0)
        return fd_take(&fd);
    if (end == LINK_OK)
        err_set(&err, E_NET, "%s: cannot connect: %s", path,
                error == EAGAIN ? "its queue of connections is full" : strerror(error));
    connect_fail(op, end == LINK_OK ? LINK_LOST : end, &err);
    return -1;
}

bool op_write_all(struct op *op, int fd, const void *data, size_t n)
{
    const char *p = data;
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN) {
            if (!op_wait(op, fd, POLLOUT))
                return false;
            continue;
        }
        if (done < 0) {
            op_fail(op, E_NET, "cannot send: %s", strerror(errno));
            return false;
        }
        p += done;
        n -= (size_t)done;
    }
    return true;
}

char *op_read_all(struct op *op, int fd, size_t max, size_t *ret_n)
{
    auto_buf struct buf all = BUF_INIT(max);
    char piece[16384];
    while (!all.cut) {
        ssize_t got = read(fd, piece, sizeof(piece));
        if (got == 0)
            break;
        if (got > 0) {
            buf_add(&all, piece, (size_t)got);
        } else if (errno == EAGAIN) {
            if (!op_wait(op, fd, POLLIN))
                return NULL;
        } else if (errno != EINTR) {
            op_fail(op, E_NET, "cannot read the answer: %s", strerror(errno));
            return NULL;
        }
    }
    if (ret_n)
        *ret_n = all.len;
    return arena_strndup(&op->arena, buf_str(&all), all.len);
}
