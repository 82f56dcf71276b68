/* SPDX-License-Identifier: MIT */
/* ssh-agent, spoken by ourselves: libssh2's own client blocks for as long as the agent likes (a confirmation
 * dialog, a forwarded agent whose connection hangs), and here every wait honours deadline and cancel. */
#include "drivers/transport/ssh/ssh_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"

#define AGENT_MAX       (256u * 1024u)
#define AGENT_LIST      11
#define AGENT_LISTED    12
#define AGENT_SIGN      13
#define AGENT_SIGNED    14
#define AGENT_OPEN_MS   5000
#define AGENT_ANSWER_MS 20000 /* somebody may have to touch or confirm */

bool agent_open(struct agent *a, struct op *op, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    *a = (struct agent){.fd = -1, .op = op};
    if (!path || strlen(path) >= sizeof(addr.sun_path))
        return false;
    memcpy(addr.sun_path, path, strlen(path) + 1);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int64_t bound = clock_mono_ms() + AGENT_OPEN_MS;
    struct pollfd none = {.fd = -1};
    if (fd < 0)
        return false;
    /* EAGAIN: many connect at once and its queue is full. */
    while (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
        if (errno != EAGAIN || clock_mono_ms() >= bound ||
            op_poll(op, &none, 1, clock_mono_ms() + 20) != WAIT_BOUND)
            return false;
    a->fd = fd_take(&fd);
    return true;
}

void agent_close(struct agent *a)
{
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
}

static bool agent_wait(struct agent *a, short events, int64_t bound)
{
    struct pollfd p = {.fd = a->fd, .events = events};
    enum wait w = op_poll(a->op, &p, 1, bound);
    if (w == WAIT_LATE)
        a->end = LINK_LATE;
    if (w == WAIT_CANCELED)
        a->end = LINK_CANCELED;
    return w == WAIT_READY;
}

static bool agent_io(struct agent *a, unsigned char *data, size_t n, bool sending, int64_t bound)
{
    while (n) {
        ssize_t done = sending ? write(a->fd, data, n) : read(a->fd, data, n);
        if (done < 0 && errno == EAGAIN) {
            if (!agent_wait(a, sending ? POLLOUT : POLLIN, bound))
                return false;
        } else if (done <= 0 && errno != EINTR) {
            return false;
        } else if (done > 0) {
            data += done;
            n -= (size_t)done;
        }
    }
    return true;
}

static void put32(struct buf *b, size_t n)
{
    unsigned char raw[4] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16), (unsigned char)(n >> 8),
                            (unsigned char)n};
    buf_add(b, raw, 4);
}

static size_t get32(const unsigned char *p)
{
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

/* request: type and body. The answer's body, malloc'd; NULL when it is not of type `wanted`. */
static unsigned char *agent_ask(struct agent *a, const struct buf *request, int wanted, size_t *ret_n)
{
    int64_t bound = clock_mono_ms() + AGENT_ANSWER_MS;
    auto_buf struct buf out = BUF_INIT(AGENT_MAX);
    unsigned char head[5];
    put32(&out, request->len);
    buf_add(&out, request->data, request->len);
    if (out.cut || !agent_io(a, (unsigned char *)out.data, out.len, true, bound) ||
        !agent_io(a, head, sizeof(head), false, bound))
        return NULL;
    size_t n = get32(head);
    if (n < 1 || n > AGENT_MAX)
        return NULL;
    unsigned char *body = xcalloc(1, n);
    if (!agent_io(a, body, n - 1, false, bound) || head[4] != wanted) {
        free(body);
        return NULL;
    }
    *ret_n = n - 1;
    return body;
}

static bool take_string(const unsigned char **p, size_t *left, const unsigned char **ret, size_t *ret_n)
{
    if (*left < 4 || get32(*p) > *left - 4)
        return false;
    *ret_n = get32(*p);
    *ret = *p + 4;
    *left -= 4 + *ret_n;
    *p += 4 + *ret_n;
    return true;
}

bool agent_list(struct agent *a, struct arena *arena, struct agent_key **ret, size_t *ret_n)
{
    auto_buf struct buf request = BUF_INIT(16);
    buf_add(&request, &(unsigned char){AGENT_LIST}, 1);
    size_t left, n = 0;
    auto_free unsigned char *body = agent_ask(a, &request, AGENT_LISTED, &left);
    if (!body || left < 4)
        return false;
    size_t count = get32(body);
    const unsigned char *p = body + 4, *blob, *comment, *type, *inner;
    left -= 4;
    if (count > left / 8)
        return false;
    *ret = arena_array(arena, count + 1, sizeof(**ret));
    for (; n < count; n++) {
        size_t n_blob, n_comment, n_type, n_inner;
        if (!take_string(&p, &left, &blob, &n_blob) || !take_string(&p, &left, &comment, &n_comment))
            return false;
        inner = blob;
        n_inner = n_blob;
        if (!take_string(&inner, &n_inner, &type, &n_type))
            return false;
        unsigned char *copy = arena_alloc(arena, n_blob);
        memcpy(copy, blob, n_blob);
        (*ret)[n] = (struct agent_key){.blob = copy,
                                       .len = n_blob,
                                       .type = arena_strndup(arena, (const char *)type, n_type),
                                       .comment = arena_strndup(arena, (const char *)comment, n_comment)};
    }
    *ret_n = n;
    return true;
}

int agent_sign_cb(LIBSSH2_SESSION *session, unsigned char **sig, size_t *sig_len, const unsigned char *data,
                  size_t data_len, void **abstract)
{
    (void)session;
    struct agent_sign *s = *abstract;
    auto_buf struct buf request = BUF_INIT(AGENT_MAX);
    buf_add(&request, &(unsigned char){AGENT_SIGN}, 1);
    put32(&request, s->key->len);
    buf_add(&request, s->key->blob, s->key->len);
    put32(&request, data_len);
    buf_add(&request, data, data_len);
    put32(&request, 0);
    size_t left, n_outer, n_type, n_sig;
    auto_free unsigned char *body = agent_ask(s->agent, &request, AGENT_SIGNED, &left);
    const unsigned char *p = body, *outer, *type, *raw;
    if (!body || !take_string(&p, &left, &outer, &n_outer) ||
        !take_string(&outer, &n_outer, &type, &n_type) || !take_string(&outer, &n_outer, &raw, &n_sig))
        return -1;
    *sig = malloc(n_sig ? n_sig : 1); /* libssh2 frees it with its own free */
    if (!*sig)
        return -1;
    memcpy(*sig, raw, n_sig);
    *sig_len = n_sig;
    return 0;
}
