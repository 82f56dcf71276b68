/* SPDX-License-Identifier: MIT */
/* Ways to a target. A transport fills one `struct transport`, and has a line in `transport_table` (drivers/table.c).
 *
 * Transports never fail an op: they say how a call ended and node/ decides, because a lost link means another attempt for
 * a read, a re-attach for a change and nothing at all for a kill. */
#ifndef RELEASE_DRIVERS_TRANSPORT_H
#define RELEASE_DRIVERS_TRANSPORT_H

#include "drivers/op/inner.h"

/* An open way to one target. Transports embed it as their first member. */
struct link {
    const struct transport *transport;
    bool broken; /* do not use it again */
    int n_calls; /* running over it: a broken one is closed after the last */
};
struct call;  /* transports' own */
struct conns; /* open links, kept for later ops */

struct transport {
    const char *name;
    void (*init)(void); /* once, before any thread; NULL = nothing to do */
    enum link_end (*open)(struct op *op, struct conns *conns, const struct target *t, struct link **ret,
                          struct err *err);
    bool (*alive)(struct link *l); /* without waiting; false = drop it */
    void (*close)(struct link *l);
    /* req and what it points to must live until call_free. */
    enum link_end (*call)(struct op *op, struct link *l, const struct call_req *req, struct call **ret,
                          struct err *err);
    enum link_end (*pump)(struct op *op, struct call *c, int64_t bound_ms, struct call_end *ret,
                          struct err *err);
    /* Ends a local process that still runs; marks the link broken when the call cannot be ended cleanly. */
    void (*call_free)(struct call *c);
};
extern const struct transport transport_local, transport_ssh, transport_openssh;

/* The op's link to t: leased from the cache or opened; kept until the op ends. A broken one is replaced. */
enum link_end link_lease(struct op *op, const struct target *t, struct link **ret, struct err *err);

/* Everything that decides where a connection to t ends and how it gets there, as a text: two with the same can share one. */
void target_way(struct buf *out, const struct target *t);

/* What a transport keeps beside its links as long as the connections live, by name: made at first use, freed after all
 * links, the latest first. For verbs it is op_kept. */
void *conns_kept(struct conns *c, const char *key, void *(*make)(void), void (*end)(void *));

/* Login shells differ (csh and fish read quotes and new lines in ways of their own), so none gets to see the
 * command: it goes before the input, and all that the login shell must do is to become a `sh` that reads it.
 */
void call_text_wrap(const struct call_req *req, struct buf *command, struct buf *input);

#endif
