/* SPDX-License-Identifier: MIT */
/* Runs a driver's verb that lists nodes, for a pillar that is being read: no plan is there yet, and no journal. */
#include <pthread.h>

#include "base/clock.h"
#include "run/probe_priv.h"

/* Commands that open a session make the drivers ready themselves, later; the server's threads read pillars, too. */
static void ready(void)
{
    drivers_init();
}

bool run_list_nodes(const struct listing *listing, struct arena *arena, const struct op_pair **ret_facts,
                    size_t *ret_n, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    must(pthread_once(&once, ready) == 0);
    struct conns *conns = conns_new(transport_table);
    const struct op_spec spec = {.verb = listing->verb,
                                 .args = listing->args,
                                 .n_args = listing->n_args,
                                 .conns = conns,
                                 .deadline_mono_ms = clock_mono_ms() + listing->timeout_ms,
                                 .cancel_fd = -1,
                                 .attempt = 1};
    struct op *op = op_new(&spec);
    const struct op_result *result = op_run(op);
    bool ok = result->outcome == OUT_OK;
    if (ok) {
        *ret_facts = pairs_copy(result->facts, result->n_facts, arena);
        *ret_n = result->n_facts;
    } else {
        *err = result->err;
    }
    op_free(op);
    conns_free(conns);
    return ok;
}
