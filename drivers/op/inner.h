/* SPDX-License-Identifier: MIT */
/* What the floors of an op share (op/, transport/, node/) and no verb sees: the op itself, and waiting that does not fail
 * it. */
#ifndef RELEASE_DRIVERS_INNER_H
#define RELEASE_DRIVERS_INNER_H

#include <poll.h>

#include "base/str.h"
#include "drivers/op/call.h"
#include "drivers/op/op.h"
#include "drivers/op/redact.h"

struct lease;

/* A list among the arguments, taken apart once: a balancer's table asks for it row by row. */
struct op_list {
    const char *text; /* the argument's own */
    const char *const *items;
    size_t n;
};

struct op {
    struct op_spec spec;
    struct arena arena;
    struct op_result result;
    struct err err;
    struct op_list lists[4];
    size_t n_lists;
    struct op_pair *facts;
    size_t n_facts, cap_facts;
    int64_t deadline_ms;
    bool sent, failed;
    const char *asking; /* who is waited for, when it is not the target: its name in messages */
    bool unreached;     /* the last lease found no open link and could not make one */
    bool deaf;          /* the cancel fd is not looked at: a kill at the deadline must reach the node */
    struct redactor *redactors[3]; /* by stream; NULL = nothing to hide */
    struct lease *leases;          /* links that it uses */
    void (*leave)(struct op *);    /* gives them back; set by who leased them (transport/conns.c) */
};

/* ---- waiting without failing the op
 * --------------------------------------------------------------------------------- */

enum wait { WAIT_READY, WAIT_BOUND, WAIT_LATE, WAIT_CANCELED };
/* Waits for any of fds; bound_ms is a monotonic time (CLOCK_NEVER = none) that may come before the deadline.
 */
enum wait op_poll(struct op *op, struct pollfd *fds, nfds_t n, int64_t bound_ms);
/* The op fails with the words for it: E_LATE or E_CANCELED. */
enum outcome op_fail_wait(struct op *op, enum wait why);

/* Non-blocking, close-on-exec, TCP_NODELAY, with a bound of its own. family: AF_INET, AF_INET6 or AF_UNSPEC.
 * LINK_LOST: err says why. */
struct net_address {
    const char *host;
    int port, family;
};
enum link_end net_connect(struct op *op, const struct net_address *to, int64_t bound_ms, int *ret_fd,
                          struct err *err);

#endif
