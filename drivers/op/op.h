/* SPDX-License-Identifier: MIT */
/* Making and running ops: for engine/run, the simulator and driver tests. Drivers see drivers/op/driver.h only.
 */
#ifndef RELEASE_DRIVERS_OP_H
#define RELEASE_DRIVERS_OP_H

#include "drivers/op/driver.h"
#include "drivers/op/target.h"

/* Open connections, shared by all workers; thread-safe. A worker leases one for an op and gives it back. */
struct conns;
struct transport;
extern const struct transport *const transport_table[]; /* drivers/table.c: NULL-terminated */
struct conns *conns_new(const struct transport *const *table);
void conns_free(struct conns *c); /* closes all; no op may be running */

struct op_sink {
    /* Called on the worker's thread; stream 1, 2, or 0 for op_say lines. */
    void (*write)(void *ctx, int stream, const char *data, size_t n);
    void *ctx;
};

/* All pointers must stay valid until op_free; nothing is copied but what the op itself makes. */
struct op_spec {
    const struct verb *verb;
    const struct op_pair *args; /* substituted; lists and maps as JSON text */
    size_t n_args;
    const struct op_pair *vars;
    size_t n_vars;
    const struct op_pair *recall;
    size_t n_recall;
    const struct target *target;       /* NULL for CONTROLLER and FLEET verbs without a node */
    const struct target *ssh_defaults; /* for op_target_host */
    const char *const *secrets;        /* NULL-terminated values never to be shown; may be NULL */
    struct conns *conns;
    struct op_sink sink; /* write may be NULL */
    int64_t deadline_mono_ms;
    int cancel_fd;   /* readable = stop now; -1 = none */
    int64_t release; /* number; 0 outside a release */
    int64_t fence;
    const char *holder;   /* "ann@ctl1", written beside the fence on the node */
    const char *owner;    /* the journal, "j:3fa9...": no other one's steps run on the node; NULL = none */
    int64_t forced;       /* a node of another journal up to this fence is taken from it; 0 = none */
    const char *step_key; /* "41-7" or "41-7-back": stable over attempts, unique per node and direction */
    int attempt;          /* 1.. */
    bool going_back;
};

struct op_result {
    enum outcome outcome;
    struct err err;
    bool ready, changed, lost;
    int64_t gauge;
    const struct op_pair *facts; /* in the op's arena */
    size_t n_facts;
};

struct op *op_new(const struct op_spec *spec);
/* Runs the verb to its end on this thread. The result stays valid until op_free. */
const struct op_result *op_run(struct op *op);
void op_free(struct op *op);

/* Once, before any thread: the transports, libcurl, SIGPIPE. */
void drivers_init(void);

#endif
