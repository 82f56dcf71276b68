/* SPDX-License-Identifier: MIT */
/* How a command runs somewhere: what it is given, and how it ended. Shared by programs on the controller (process.h) and
 * by the transports. */
#ifndef RELEASE_DRIVERS_CALL_H
#define RELEASE_DRIVERS_CALL_H

#include <stddef.h>

enum link_end {
    LINK_OK,       /* open: connected; pump: the command ended, its status is known */
    LINK_BOUND,    /* pump: the bound passed, the command still runs */
    LINK_LOST,     /* the connection broke, or ended without a status; reopen and look */
    LINK_REFUSED,  /* will not work next time either: host key, login, unknown host */
    LINK_LATE,     /* the op's deadline */
    LINK_CANCELED, /* the op's cancel fd */
};

typedef void (*call_output_fn)(void *ctx, int stream, const char *data, size_t n);
struct call_req {
    const char *command; /* for the login shell of the target */
    const char *prelude; /* what a shell that stays may run once for all, or NULL; command works without it */
    const void *input;   /* stdin, closed after it */
    size_t input_len;
    call_output_fn output;
    void *ctx;
};
struct call_end {
    int status, signal; /* as struct node_result */
};

#endif
