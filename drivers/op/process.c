/* SPDX-License-Identifier: MIT */
/* Starting, feeding, reading and ending a program on the controller (process.h). */
#include "drivers/op/process.h"
#include "drivers/op/inner.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/spawn.h"

struct process {
    const struct call_req *req;
    struct spawned s;
    size_t n_written;
};

struct process *process_start(const char *const *argv, const struct call_req *req, struct err *err)
{
    struct spawned s;
    if (!spawn_piped(argv, NULL, &s, err))
        return NULL;
    struct process *c = xcalloc(1, sizeof(*c));
    *c = (struct process){.req = req, .s = s};
    return c;
}

static void input_write(struct process *c)
{
    while (c->n_written < c->req->input_len) {
        ssize_t n =
            write(c->s.fds[0], (const char *)c->req->input + c->n_written, c->req->input_len - c->n_written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            break; /* it does not want the rest: its business */
        c->n_written += (size_t)n;
    }
    fd_forget(&c->s.fds[0]);
}

/* At most one buffer a turn, so that one stream cannot starve the other or the deadline. True: there may be
 * more. */
static bool output_read(struct process *c, int stream)
{
    char piece[65536];
    if (c->s.fds[stream] < 0)
        return false;
    ssize_t n = read(c->s.fds[stream], piece, sizeof(piece));
    if (n > 0)
        c->req->output(c->req->ctx, stream, piece, (size_t)n);
    else if (n == 0)
        fd_forget(&c->s.fds[stream]);
    return n > 0 || (n < 0 && errno == EINTR);
}

static void reap(struct process *c, struct call_end *ret)
{
    int status = 0;
    while (waitpid(c->s.pid, &status, 0) < 0 && errno == EINTR)
        continue;
    c->s.pid = 0;
    /* What it printed before it ended is in the pipes; who else holds them open is not waited for. */
    while (output_read(c, 1))
        continue;
    while (output_read(c, 2))
        continue;
    ret->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    ret->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

enum link_end process_pump(struct op *op, struct process *c, int64_t bound_ms, struct call_end *ret,
                           struct err *err)
{
    (void)err;
    for (;;) {
        if (c->s.fds[0] >= 0)
            input_write(c);
        struct pollfd fds[] = {
            {.fd = c->s.pid_fd, .events = POLLIN},
            {.fd = c->s.fds[0], .events = POLLOUT},
            {.fd = c->s.fds[1], .events = POLLIN},
            {.fd = c->s.fds[2], .events = POLLIN},
        };
        switch (op_poll(op, fds, 4, bound_ms)) {
        case WAIT_READY: break;
        case WAIT_BOUND: return LINK_BOUND;
        case WAIT_LATE: return LINK_LATE;
        case WAIT_CANCELED: return LINK_CANCELED;
        }
        if (fds[2].revents)
            output_read(c, 1);
        if (fds[3].revents)
            output_read(c, 2);
        if (fds[0].revents) {
            reap(c, ret);
            return LINK_OK;
        }
    }
}

void process_fail(struct op *op, enum link_end end)
{
    op_fail_wait(op, end == LINK_CANCELED ? WAIT_CANCELED : WAIT_LATE);
}

void process_free(struct process *c)
{
    if (!c)
        return;
    spawn_end(&c->s);
    free(c);
}
