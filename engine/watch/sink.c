/* SPDX-License-Identifier: MIT */
/* Writing to whoever watches. A watcher runs beside a release: a reader that stops reading (less, a hung
 * terminal) must not hold the engine's end up, and one that goes away must not kill it. */
#include "watch/watch_priv.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"

#define CHUNK    4096 /* PIPE_BUF: a pipe that polls writable takes this much without blocking */
#define GRACE_MS 2000

static bool sink_ready(struct sink *s, int64_t *give_up_ms)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = s->fd, .events = POLLOUT}, {.fd = s->stop_fd, .events = POLLIN}};
        bool stopping = *give_up_ms != CLOCK_NEVER;
        int64_t left = stopping ? *give_up_ms - clock_mono_ms() : -1;
        if (stopping && left <= 0)
            return false;
        int n = poll(fds, stopping || s->stop_fd < 0 ? 1 : 2, (int)left);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0 && fds[0].revents)
            return (fds[0].revents & POLLOUT) != 0;
        if (n > 0 && fds[1].revents)
            *give_up_ms = clock_mono_ms() + GRACE_MS;
    }
}

void sink_write(struct sink *s, const char *data, size_t n)
{
    int64_t give_up_ms = CLOCK_NEVER;
    while (n > 0 && !s->dead) {
        if (!sink_ready(s, &give_up_ms)) {
            s->dead = true;
            return;
        }
        ssize_t done = write(s->fd, data, n < CHUNK ? n : CHUNK);
        if (done < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (done <= 0) {
            s->dead = true;
            return;
        }
        data += done;
        n -= (size_t)done;
    }
}
