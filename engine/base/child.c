/* SPDX-License-Identifier: MIT */
/* Running a helper to its end, within its bounds of time and output (child.h). */
#include "base/child.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/spawn.h"

#define TICK_MS 1000

struct child_run {
    const struct child_req *req;
    struct spawned s;
    size_t n_written;
    struct buf *out, *said;
    int64_t began_ms;
};

/* What is pending stays pending: the signals are looked at here, and obeyed by whoever called. */
static int signals_hold(sigset_t *ret_before)
{
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGHUP);
    sigset_t held = ours;
    sigaddset(&held, SIGPIPE); /* of a program that does not read its input */
    must(pthread_sigmask(SIG_BLOCK, &held, ret_before) == 0);
    return signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void signals_release(const sigset_t *before)
{
    sigset_t pipe_only;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    while (!sigismember(before, SIGPIPE) && sigtimedwait(&pipe_only, NULL, &(struct timespec){0}) == SIGPIPE)
        continue;
    must(pthread_sigmask(SIG_SETMASK, before, NULL) == 0);
}

static void input_write(struct child_run *c)
{
    while (c->n_written < c->req->input_len) {
        ssize_t n = write(c->s.fds[0], c->req->input + c->n_written, c->req->input_len - c->n_written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            break;
        c->n_written += (size_t)n;
    }
    fd_forget(&c->s.fds[0]);
}

/* The end of what it said tells why it failed, so the older half goes when there is too much. */
static void said_add(struct buf *said, const char *data, size_t n)
{
    if (said->len + n > CHILD_STDERR_MAX) {
        size_t keep = said->len / 2;
        memmove(said->data, said->data + (said->len - keep), keep);
        said->len = keep;
        said->data[keep] = '\0';
    }
    buf_add(said, data, n);
}

/* True: there may be more. */
static bool stream_read(struct child_run *c, int stream)
{
    char piece[32768];
    if (c->s.fds[stream] < 0)
        return false;
    ssize_t n = read(c->s.fds[stream], piece, sizeof(piece));
    if (n > 0 && stream == 1)
        buf_add(c->out, piece, (size_t)n);
    else if (n > 0)
        said_add(c->said, piece, (size_t)n);
    else if (n == 0)
        fd_forget(&c->s.fds[stream]);
    return (n > 0 || (n < 0 && errno == EINTR)) && !c->out->cut;
}

static bool judge(const struct child_run *c, int status, struct err *err)
{
    const char *name = c->req->argv[0];
    if (WIFSIGNALED(status))
        return err_set(err, E_STATUS, "%s was ended by signal %d", name, WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return err_set(err, E_STATUS, "%s ended with status %d", name, WEXITSTATUS(status));
    return true;
}

/* What it printed before it ended is in the pipes; who else holds them open is not waited for. */
static bool reap(struct child_run *c, struct err *err)
{
    int status = 0;
    while (waitpid(c->s.pid, &status, 0) < 0 && errno == EINTR)
        continue;
    kill(-c->s.pid, SIGKILL); /* what it left behind in its group has nobody to report to */
    c->s.pid = 0;
    while (stream_read(c, 1))
        continue;
    while (stream_read(c, 2))
        continue;
    if (c->out->cut)
        return err_set(err, E_LIMIT, "%s printed more than %zu MiB", c->req->argv[0],
                       c->out->max_bytes / (1024 * 1024));
    return judge(c, status, err);
}

static bool pump(struct child_run *c, int signals, struct err *err)
{
    char text[DURATION_TEXT_MAX];
    for (int64_t ticked = c->began_ms;;) {
        if (c->s.fds[0] >= 0)
            input_write(c);
        struct pollfd fds[] = {
            {.fd = c->s.pid_fd, .events = POLLIN},  {.fd = signals, .events = POLLIN},
            {.fd = c->s.fds[0], .events = POLLOUT}, {.fd = c->s.fds[1], .events = POLLIN},
            {.fd = c->s.fds[2], .events = POLLIN},
        };
        int64_t now = clock_mono_ms(), left = c->began_ms + c->req->timeout_ms - now;
        if (left <= 0)
            return err_set(err, E_LATE, "%s did not end within %s and was ended", c->req->argv[0],
                           duration_text(c->req->timeout_ms, text, sizeof(text)));
        if (c->req->tick != NULL && now - ticked >= TICK_MS) {
            c->req->tick(c->req->ctx, buf_str(c->said), now - c->began_ms);
            ticked = now;
        }
        if (poll(fds, 5, (int)(left < TICK_MS ? left : TICK_MS)) < 0 && errno != EINTR)
            return err_errno(err, E_IO, "cannot wait for %s", c->req->argv[0]);
        if (fds[1].revents)
            return err_set(err, E_CANCELED, "%s was ended: a signal asked us to stop", c->req->argv[0]);
        if (fds[3].revents)
            (void)stream_read(c, 1);
        if (fds[4].revents)
            (void)stream_read(c, 2);
        if (fds[0].revents || c->out->cut) {
            if (c->out->cut)
                kill(-c->s.pid, SIGKILL);
            return reap(c, err);
        }
    }
}

bool child_run(const struct child_req *req, struct buf *out, struct buf *said, struct err *err)
{
    struct child_run c = {.req = req, .out = out, .said = said, .began_ms = clock_mono_ms()};
    sigset_t before;
    said->max_bytes = CHILD_STDERR_MAX;
    auto_fd int signals = signals_hold(&before);
    bool ok = signals >= 0 || err_errno(err, E_IO, "cannot watch for signals");
    ok = ok && spawn_piped(req->argv, req->cwd, &c.s, err);
    if (ok) {
        ok = pump(&c, signals, err);
        spawn_end(&c.s);
    }
    signals_release(&before);
    return ok;
}
