/* SPDX-License-Identifier: MIT */
/* Many READ ops at once, without core and journal: shared by probes and preflight. */
#ifndef RELEASE_RUN_PROBE_PRIV_H
#define RELEASE_RUN_PROBE_PRIV_H

#include "run/run_priv.h"

struct batch {
    const struct plan *plan;
    const struct run_options *opt;
    struct pool *pool;
    struct conns *conns, *own_conns;
    int cancel_fd;
    struct job **jobs; /* in the order of batch_add; results stay valid until batch_free */
    size_t n;
    bool canceled; /* by a signal */
};
struct batch *batch_new(const struct plan *plan, const struct run_options *opt);
struct job_basis batch_basis(const struct batch *b);
/* Starts at once. node NULL: FLEET and CONTROLLER verbs. */
struct job *batch_add(struct batch *b, const struct plan_step *step, const struct verb *verb,
                      const struct plan_node *node);
/* The same in two parts, for jobs that others are to follow. */
struct job *batch_later(struct batch *b, const struct plan_step *step, const struct verb *verb,
                        const struct plan_node *node);
void batch_take(struct batch *b, struct job *job); /* a job made elsewhere */
void batch_start(struct batch *b, struct job *job);
/* Starts when `after` is done: a node is asked one thing after the other over one connection. */
struct job *batch_add_after(struct batch *b, struct job *after, const struct plan_step *step,
                            const struct verb *verb, const struct plan_node *node);
void batch_wait(struct batch *b);
void batch_free(struct batch *b);
/* sites.c: the directory that a node works in, as its machine calls it, becomes a fact of the plan; who else
 * works there is a problem. */
void preflight_place(struct plan_node *node, const char *place, struct arena *arena);
void preflight_sites(const struct plan *plan, struct arena *arena, const struct run_options *opt,
                     struct problems *problems);
const struct op_pair *pairs_copy(const struct op_pair *pairs, size_t n, struct arena *arena);

#endif
