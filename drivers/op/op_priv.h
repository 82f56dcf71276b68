/* SPDX-License-Identifier: MIT */
/* What the transports and the op share, and no driver sees: the op itself, waiting that does not fail the op,
 * and links (an open way to a target) with calls (one command running over it).
 *
 * Transports never fail an op: they say how a call ended and node.c decides, because a lost link means
 * another attempt for a read, a re-attach for a change and nothing at all for a kill. */
#ifndef RELEASE_DRIVERS_OP_PRIV_H
#define RELEASE_DRIVERS_OP_PRIV_H

#include <poll.h>

#include "base/str.h"
#include "drivers/op/op.h"

struct redactor;
struct lease;

struct op {
    struct op_spec spec;
    struct arena arena;
    struct op_result result;
    struct err err;
    struct op_pair *facts;
    size_t n_facts, cap_facts;
    int64_t deadline_ms;
    bool sent, failed;
    const char *asking; /* who is waited for, when it is not the target: its name in messages */
    bool unreached;     /* the last lease found no open link and could not make one */
    bool deaf;          /* the cancel fd is not looked at: a kill at the deadline must reach the node */
    struct redactor *redactors[3]; /* by stream; NULL = nothing to hide */
    struct lease *leases;
};

/* ---- waiting without failing the op
 * --------------------------------------------------------------------------------- */

enum wait { WAIT_READY, WAIT_BOUND, WAIT_LATE, WAIT_CANCELED };
/* Waits for any of fds; bound_ms is a monotonic time (CLOCK_NEVER = none) that may come before the deadline.
 */
enum wait op_poll(struct op *op, struct pollfd *fds, nfds_t n, int64_t bound_ms);
/* The op fails with the words for it: E_LATE or E_CANCELED. */
enum outcome op_fail_wait(struct op *op, enum wait why);

/* ---- hiding secrets (redact.c)
 * ------------------------------------------------------------------------------------ */

/* Replaces every secret, also in base64 and URL form, by "***". One per stream: what may be the beginning of
 * a secret is held back until the next piece or redact_flush. */
struct redactor *redact_new(const char *const *secrets); /* NULL when there is nothing to hide */
void redact_free(struct redactor *r);
typedef void (*redact_write_fn)(void *ctx, const char *data, size_t n);
void redact_add(struct redactor *r, const char *data, size_t n, redact_write_fn write, void *ctx);
void redact_flush(struct redactor *r, redact_write_fn write, void *ctx);
/* A whole text at once, in the arena; the text itself when nothing is to be hidden. */
const char *redact_text(const char *const *secrets, const char *text, struct arena *arena);

/* ---- links and calls
 * ---------------------------------------------------------------------------------------------- */

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

/* Login shells differ (csh and fish read quotes and new lines in ways of their own), so none gets to see the
 * command: it goes before the input, and all that the login shell must do is to become a `sh` that reads it.
 */
void call_text_wrap(const struct call_req *req, struct buf *command, struct buf *input);

/* An open way to one target. Transports embed it as their first member. */
struct link {
    const struct transport *transport;
    bool broken; /* do not use it again */
    int n_calls; /* running over it: a broken one is closed after the last */
};
struct call; /* transports' own */

struct transport {
    const char *name;
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
/* NULL when unknown. */
const struct transport *transport_find(const char *name);

/* The op's link to t: leased from the cache or opened; kept until the op ends. A broken one is replaced. */
enum link_end link_lease(struct op *op, const struct target *t, struct link **ret, struct err *err);
void op_leases_return(struct op *op); /* end of the op */

/* Non-blocking, close-on-exec, TCP_NODELAY, with a bound of its own. family: AF_INET, AF_INET6 or AF_UNSPEC.
 * LINK_LOST: err says why. */
enum link_end net_connect(struct op *op, const char *host, int port, int family, int64_t bound_ms,
                          int *ret_fd, struct err *err);

/* What `ssh -G` says about a target, asked once for each (conns.c keeps it, ssh/settings.c asks). */
struct ssh_settings;
struct ssh_settings *conns_settings_get(struct conns *c, const char *key);
/* Takes ownership; when another thread was faster its own is kept and returned. */
struct ssh_settings *conns_settings_put(struct conns *c, const char *key, struct ssh_settings *s);
void ssh_settings_free(struct ssh_settings *s);
/* Held while one asks what serves all. */
void conns_ask_lock(struct conns *c);
void conns_ask_unlock(struct conns *c);
/* Logins to jump hosts that nodes share (ssh/hop.c); they end after the links that go through them. */
struct hops;
struct hops *hops_new(void);
void hops_free(struct hops *all);
struct hops *conns_hops(struct conns *c);
/* Private 0700 directory for control sockets, made at first use and removed by conns_free. */
const char *conns_dir(struct conns *c, struct err *err);

/* ---- the runner (runner.sh)
 * ------------------------------------------------------------------------------------------- */

extern const char runner_text[];
extern const unsigned int runner_text_len;

#endif
