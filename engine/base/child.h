/* SPDX-License-Identifier: MIT */
/* Running a helper program to its end: what it is told on stdin, what it says within bounds, under a
 * deadline. For what happens outside a release (rendering a pillar, listing nodes); ops have
 * drivers/op/process.h.
 *
 * Ctrl-C, SIGTERM and SIGHUP end the program first and reach the caller afterwards. */
#ifndef RELEASE_BASE_CHILD_H
#define RELEASE_BASE_CHILD_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct child_req {
    const char *const *argv; /* NULL-terminated, no shell */
    const char *cwd;         /* or NULL */
    const char *input;       /* stdin, closed after it; what the program does not want is its business */
    size_t input_len;
    int64_t timeout_ms;
    /* Called about once a second with what stderr holds so far, or NULL. */
    void (*tick)(void *ctx, const char *stderr_text, int64_t elapsed_ms);
    void *ctx;
};

#define CHILD_STDERR_MAX 65536

/* stdout into *out, which has its bound set; the end of stderr into *said (at most CHILD_STDERR_MAX). false:
 * it could not be started (E_IO), did not end in time (E_LATE), was ended by a signal to us (E_CANCELED),
 * printed more than out's bound (E_LIMIT), or ended with another status than 0 (E_STATUS). Nothing of it runs
 * on. */
bool child_run(const struct child_req *req, struct buf *out, struct buf *said, struct err *err) MUST_CHECK;

#endif
