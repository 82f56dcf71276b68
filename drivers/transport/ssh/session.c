/* SPDX-License-Identifier: MIT */
/* One SSH session: connect, host key, jump hosts, liveness. Login is in auth.c.
 *
 * libssh2 is used non-blocking throughout: every call that returns EAGAIN is followed by session_wait, which
 * honours the op's deadline and cancel. A session is used by one thread at a time. */
#include "drivers/transport/ssh/ssh_priv.h"

#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* No sign of life asked for or seen this long: ask. That long after: the link is dead. */
#define ALIVE_ASK_MS  15000
#define ALIVE_DEAD_MS 45000
/* libssh2 reads on as long as there is something, also a greeting without end or packets that mean nothing:
 * after this long it is told to wait, so that session_wait can look at deadline and cancel. */
#define TURN_MS   100
#define JUMPS_MAX 8

void session_err(struct ssh_session *s, struct err *err, enum err_code code, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    err_vset(err, code, fmt, ap);
    va_end(ap);
    if (s->condemned)
        err_set(err, code, "%s (it sent a packet that cannot be)", err->text);
    else if (libssh2_session_last_error(s->ssh, &text, NULL, 0) != 0 && text && *text &&
             libssh2_session_last_errno(s->ssh) != LIBSSH2_ERROR_EAGAIN)
        err_set(err, code, "%s (%s)", err->text, text);
}

/* ---- the wire
 * ------------------------------------------------------------------------------------------------------ */

/* Without QUICKACK re-armed each time, the kernel delays acknowledgements and a small command costs 40 ms
 * more (docs/protocols.md#ssh). */
static LIBSSH2_RECV_FUNC(wire_recv)
{
    struct ssh_session *s = *abstract;
    ssize_t n;
    (void)socket;
    if (clock_mono_ms() >= s->turn_end_ms)
        return -EAGAIN;
    if (s->outer) {
        n = safe_read(s->outer, s->via, 0, buffer, length);
        if (n == LIBSSH2_ERROR_EAGAIN)
            return -EAGAIN;
        if (n < 0)
            return -ECONNRESET;
    } else {
        n = recv(s->fd, buffer, length, flags);
        if (n < 0)
            return errno == EINTR ? -EAGAIN : -errno;
        setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
    }
    if (n > 0)
        s->heard_ms = clock_mono_ms();
    return n;
}

static LIBSSH2_SEND_FUNC(wire_send)
{
    struct ssh_session *s = *abstract;
    (void)socket;
    if (s->outer) {
        ssize_t n = safe_write(s->outer, s->via, buffer, length);
        return n == LIBSSH2_ERROR_EAGAIN ? -EAGAIN : n < 0 ? -ECONNRESET : n;
    }
    ssize_t n = send(s->fd, buffer, length, flags | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    return n;
}

static int root_fd(const struct ssh_session *s)
{
    while (s->outer)
        s = s->outer;
    return s->fd;
}

static short wanted_events(const struct ssh_session *s)
{
    short events = POLLIN;
    for (; s; s = s->outer)
        if (libssh2_session_block_directions(s->ssh) & LIBSSH2_SESSION_BLOCK_OUTBOUND)
            events |= POLLOUT;
    return events;
}

static void turn_begin(struct ssh_session *s)
{
    int64_t end_ms = clock_mono_ms() + TURN_MS;
    for (; s; s = s->outer)
        s->turn_end_ms = end_ms;
}

/* Asks for a sign of life when nothing came for a while. False: none came for too long. */
static bool alive_look(struct ssh_session *s)
{
    int64_t now = clock_mono_ms();
    if (now - s->heard_ms >= ALIVE_DEAD_MS)
        return false;
    if (now - s->heard_ms >= ALIVE_ASK_MS && now - s->asked_ms >= ALIVE_ASK_MS &&
        !(libssh2_session_block_directions(s->ssh) & LIBSSH2_SESSION_BLOCK_OUTBOUND)) {
        int next = 0;
        s->asked_ms = now;
        safe_keepalive(s, &next);
    }
    return true;
}

enum link_end session_wait(struct op *op, struct ssh_session *s, int64_t bound_ms, struct err *err)
{
    struct pollfd p = {.fd = root_fd(s), .events = wanted_events(s)};
    for (;;) {
        int64_t look = clock_mono_ms() + ALIVE_ASK_MS;
        switch (op_poll(op, &p, 1, look < bound_ms ? look : bound_ms)) {
        case WAIT_READY:
            if (clock_mono_ms() >= bound_ms)
                break;
            turn_begin(s);
            return LINK_OK;
        case WAIT_LATE: return LINK_LATE;
        case WAIT_CANCELED: return LINK_CANCELED;
        case WAIT_BOUND: break;
        }
        if (clock_mono_ms() >= bound_ms)
            return LINK_BOUND;
        if (!alive_look(s)) {
            err_set(err, E_NET, "no sign of life for %d s", ALIVE_DEAD_MS / 1000);
            return LINK_LOST;
        }
    }
}

/* ---- opening
 * ------------------------------------------------------------------------------------------------------ */

static enum link_end handshake(struct op *op, struct ssh_session *s, const struct ssh_settings *set,
                               int64_t bound_ms, struct err *err)
{
    int rc;
    while ((rc = safe_handshake(s, root_fd(s))) == LIBSSH2_ERROR_EAGAIN) {
        enum link_end end = session_wait(op, s, bound_ms, err);
        if (end == LINK_BOUND) {
            err_set(err, E_NET, "%s: %s port %d accepts connections, but no SSH greeting came in %d s",
                    set->name, set->host, set->port, CONNECT_MS / 1000);
            return LINK_LOST;
        }
        if (end != LINK_OK)
            return end;
    }
    if (rc == 0)
        return LINK_OK;
    if (rc == LIBSSH2_ERROR_KEX_FAILURE || rc == LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE) {
        session_err(
            s, err, E_PROTO,
            "%s: %s offers no key exchange, cipher or known host key type that the ssh transport can use; "
            "set `ssh: {transport: openssh}` in the pillar",
            set->name, set->host);
        return LINK_REFUSED;
    }
    s->dropped = true;
    session_err(s, err, E_NET, "%s: %s port %d: the SSH handshake broke off", set->name, set->host,
                set->port);
    return LINK_LOST;
}

static enum link_end handshake_checked(struct op *op, struct ssh_session *s, const struct ssh_settings *set,
                                       int64_t bound_ms, struct err *err)
{
    struct arena *arena = op_arena(op);
    struct known_hosts known;
    if (!host_key_prepare(op, s, set, &known, err))
        return LINK_REFUSED;
    enum link_end end = handshake(op, s, set, bound_ms, err);
    if (end == LINK_LOST && s->proxy) {
        const char *said = proxy_said(s->proxy, arena);
        err_set(err, E_NET, "%s: ProxyCommand (%.200s) ended the connection%s%s", set->name,
                set->proxy_command, *said ? ": " : " without a word", said);
    }
    return end == LINK_OK ? host_key_check(op, s, set, &known, err) : end;
}

/* libssh2 zeroes 50 KiB of packet buffers in each session, of which small commands use one page or two. The
 * pages that are still all zero go back to the kernel, which gives zeroes when they are touched: 200 idle
 * sessions cost a third. */
static void zero_pages_return(void *block)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t end = ((uintptr_t)block + malloc_usable_size(block)) / page * page;
    for (uintptr_t p = ((uintptr_t)block + page - 1) / page * page; p + page <= end; p += page) {
        const char *bytes = (const char *)p;
        if (bytes[0] == 0 && memcmp(bytes, bytes + 1, page - 1) == 0)
            madvise((void *)p, page, MADV_DONTNEED);
    }
}

static struct ssh_session *session_new(void)
{
    struct ssh_session *s = xcalloc(1, sizeof(*s));
    s->fd = -1;
    s->ssh = libssh2_session_init_ex(NULL, NULL, NULL, s);
    must(s->ssh != NULL);
    zero_pages_return(s->ssh);
    libssh2_session_set_blocking(s->ssh, 0);
    /* libssh2's interface takes functions as void *. */
    LIBSSH2_RECV_FUNC((*recv_fn)) = wire_recv;
    LIBSSH2_SEND_FUNC((*send_fn)) = wire_send;
    void *p;
    memcpy(&p, &recv_fn, sizeof(p));
    libssh2_session_callback_set(s->ssh, LIBSSH2_CALLBACK_RECV, p);
    memcpy(&p, &send_fn, sizeof(p));
    libssh2_session_callback_set(s->ssh, LIBSSH2_CALLBACK_SEND, p);
    libssh2_keepalive_config(s->ssh, 1, 1);
    s->heard_ms = clock_mono_ms();
    turn_begin(s);
    return s;
}

void session_close(struct ssh_session *s)
{
    if (!s)
        return;
    /* Without good-bye: closing must not wait for anybody, and TCP tells the other side. On a shut socket
     * every call of libssh2 ends at once. */
    if (root_fd(s) >= 0)
        shutdown(root_fd(s), SHUT_RDWR);
    for (int i = 0; i < 100 && safe_session_free(s) == LIBSSH2_ERROR_EAGAIN; i++)
        continue;
    session_close(s->outer);
    if (s->fd >= 0)
        close(s->fd);
    proxy_end(s->proxy);
    free(s);
}

/* The way to `set`'s host through an open session. Takes `outer`. */
static enum link_end tunnel(struct op *op, struct ssh_session *s, struct ssh_session *outer,
                            const struct ssh_settings *set, int64_t bound_ms, struct err *err)
{
    s->outer = outer;
    while (!(s->via = safe_tunnel(outer, set->host, set->port))) {
        if (safe_errno(outer) != LIBSSH2_ERROR_EAGAIN) {
            session_err(outer, err, E_NET, "%s: the jump host cannot reach %s port %d", set->name, set->host,
                        set->port);
            return LINK_LOST;
        }
        enum link_end end = session_wait(op, outer, bound_ms, err);
        if (end == LINK_BOUND) {
            err_set(err, E_NET, "%s: the jump host did not reach %s port %d in %d s", set->name, set->host,
                    set->port, CONNECT_MS / 1000);
            return LINK_LOST;
        }
        if (end != LINK_OK)
            return end;
    }
    return LINK_OK;
}

/* The first of the way: a socket, or ProxyCommand's. */
static enum link_end first_hop(struct op *op, struct ssh_session *s, const struct ssh_settings *set,
                               int64_t bound_ms, struct err *err)
{
    static const int families[] = {[0] = AF_UNSPEC, [4] = AF_INET, [6] = AF_INET6};
    if (set->proxy_command) {
        s->proxy = proxy_start(set->proxy_command, op_arena(op), &s->fd, err);
        return s->proxy ? LINK_OK : (err_wrap(err, "%s", set->name), LINK_REFUSED);
    }
    const struct net_address to = {.host = set->host, .port = set->port, .family = families[set->family]};
    enum link_end end = net_connect(op, &to, bound_ms, &s->fd, err);
    if (end == LINK_LOST)
        err_wrap(err, "%s", set->name);
    return end;
}

/* One hop: s is connected by socket or tunnel, then greeted, checked, logged in. */
static enum link_end hop(struct op *op, struct ssh_session *s, struct ssh_session *outer,
                         const struct ssh_settings *set, struct err *err)
{
    int64_t bound_ms = clock_mono_ms() + (set->connect_ms ? set->connect_ms : CONNECT_MS);
    enum link_end end =
        outer ? tunnel(op, s, outer, set, bound_ms, err) : first_hop(op, s, set, bound_ms, err);
    if (end == LINK_OK)
        end = handshake_checked(op, s, set, bound_ms, err);
    return end == LINK_OK ? session_login(op, s, set, err) : end;
}

bool jump_target(struct op *op, const struct target *t, const char *word, struct target *ret)
{
    struct arena *arena = op_arena(op);
    char *text = arena_strdup(arena, word), *at = strrchr(text, '@');
    char *host = at ? at + 1 : text, *colon = strrchr(host, ':');
    *ret = (struct target){
        .ssh = {.key = t->ssh.key, .known_hosts = t->ssh.known_hosts, .config = t->ssh.config}};
    if (str_starts(text, "ssh://"))
        host = at ? host : text + 6;
    if (at) {
        *at = '\0';
        ret->ssh.user = str_starts(text, "ssh://") ? text + 6 : text;
    }
    if (host[0] == '[' && strchr(host, ']')) {
        colon = strchr(host, ']')[1] == ':' ? strchr(host, ']') + 1 : NULL;
        *strchr(host, ']') = '\0';
        host++;
    }
    if (colon) {
        *colon = '\0';
        /* A port is digits: what else stands there is a mistake, not a part to be left out. */
        ret->ssh.port =
            strlen(colon + 1) < 6 && colon[1 + strspn(colon + 1, "0123456789")] == '\0' ? atoi(colon + 1) : 0;
    }
    ret->host = host;
    ret->id = arena_printf(arena, "%s: jump host %s", t->id, host);
    return *host && (!colon || (ret->ssh.port > 0 && ret->ssh.port < 65536));
}

/* *outer: the session through which it goes, if any; then the new one, also one that did not come about: to be
 * looked at and closed. */
static enum link_end open_over(struct op *op, struct conns *conns, const struct target *t,
                               struct ssh_session **outer, struct err *err)
{
    const struct ssh_settings *set = NULL;
    enum link_end end = ssh_settings_find(op, conns, t, &set, err);
    if (end != LINK_OK)
        return end;
    struct ssh_session *s = session_new();
    struct ssh_session *below = *outer;
    *outer = s;
    end = hop(op, s, below, set, err);
    if (!s->outer)
        session_close(below);
    return end;
}

/* As ssh has it: of several jump hosts the first is reached as the configuration says of *it*, which may be
 * through others; each further one through the one before it. *at: the session so far. */
static enum link_end way_open(struct op *op, struct conns *conns, const struct target *t, int depth,
                              struct ssh_session **at, struct err *err)
{
    const struct ssh_settings *set = NULL;
    enum link_end end = ssh_settings_find(op, conns, t, &set, err);
    char *rest = NULL,
         *jumps = end == LINK_OK && set->proxy_jump ? arena_strdup(op_arena(op), set->proxy_jump) : NULL;
    if (jumps && depth == JUMPS_MAX) {
        err_set(err, E_CONFIG, "%s: ProxyJump leads in a circle, or through more than %d hosts", t->id,
                JUMPS_MAX);
        return LINK_REFUSED;
    }
    for (char *word = jumps ? strtok_r(jumps, ",", &rest) : NULL; word && end == LINK_OK;
         word = strtok_r(NULL, ",", &rest)) {
        struct target jump;
        if (!jump_target(op, t, word, &jump)) {
            err_set(err, E_CONFIG, "%s: proxy_jump: '%s' is not user@host:port", t->id, word);
            return LINK_REFUSED;
        }
        jump.ssh.proxy_jump = *at ? "" : NULL;
        end = way_open(op, conns, &jump, depth + 1, at, err);
    }
    return end == LINK_OK ? open_over(op, conns, t, at, err) : end;
}

enum link_end session_open(struct op *op, struct conns *conns, const struct target *t,
                           struct ssh_session **ret, struct err *err)
{
    struct pollfd none = {.fd = -1};
    for (int attempt = 0;; attempt++) {
        struct ssh_session *at = NULL;
        enum link_end end = way_open(op, conns, t, 0, &at, err);
        *ret = end == LINK_OK ? at : NULL;
        if (end == LINK_OK)
            return LINK_OK;
        bool dropped = at && at->dropped;
        session_close(at);
        /* sshd drops connections at random while more than MaxStartups are logging in: that is not an answer.
         */
        if (end != LINK_LOST || attempt == 3 || !dropped)
            return end;
        enum wait w = op_poll(op, &none, 1, clock_mono_ms() + (100 << attempt) + clock_mono_ms() % 100);
        if (w != WAIT_BOUND)
            return w == WAIT_LATE ? LINK_LATE : LINK_CANCELED;
    }
}
