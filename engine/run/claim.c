/* SPDX-License-Identifier: MIT */
/* The lock on the nodes (docs/promises.md#lock, rows 40, 43, 44): beside the journal's own lock, for
 * controllers with journals of their own. Taken between preflight and the frozen plan, given back when
 * nothing of the release is left to do; a dead holder's stays, and is recognised by the journal that resumes.
 */
#include <stdlib.h>
#include <string.h>

#include "drivers/node/node.h"
#include "run/probe_priv.h"

#define CLAIM_MS 30000
/* The loop waits for this one, and nothing is decided meanwhile. */
#define STILL_OURS_MS 2500

static enum outcome claim_one(struct op *op)
{
    enum outcome outcome = node_claim(op);
    failpoint("node-claimed");
    return outcome;
}

static enum outcome free_one(struct op *op)
{
    enum outcome outcome = node_free(op);
    failpoint("node-freed");
    return outcome;
}

static const struct verb claim_verb = {.name = "node.claim",
                                       .help = "the node belongs to this journal",
                                       .effect = EFFECT_READ, /* no step of a plan: no intent, no outcome */
                                       .scope = SCOPE_NODE,
                                       .run = claim_one};
static const struct verb free_verb = {.name = "node.free",
                                      .help = "the node belongs to no journal",
                                      .effect = EFFECT_READ,
                                      .scope = SCOPE_NODE,
                                      .run = free_one};
static const struct plan_step lock_step = {
    .verb = "node.claim", .label = "node lock", .timeout_ms = CLAIM_MS};

static const struct plan_step look_step = {
    .verb = "node.claim", .label = "node lock", .timeout_ms = STILL_OURS_MS};

static size_t first_by_name(const struct plan *plan)
{
    size_t first = 0;
    for (size_t i = 1; i < plan->n_nodes; i++)
        if (plan_first_of_host(plan, i) && strcmp(plan->nodes[i].id, plan->nodes[first].id) < 0)
            first = i;
    return first;
}

/* One answer of a node: true when it is ours, or may be passed over. The worst refusal is kept: of another
 * holder before that of a broken link. */
static bool claimed(const struct job *job, bool anyway, struct err *err)
{
    const struct op_result *r = job->result;
    if (r->outcome == OUT_OK)
        return true;
    bool held = r->err.code == E_FENCED || r->err.code == E_LOCKED;
    if (!held && anyway)
        return true;
    if (err->code == E_NONE || (held && err->code != E_FENCED && err->code != E_LOCKED))
        *err = r->err;
    return false;
}

/* Whom to ask at once, and how long to wait. */
struct asking {
    const struct plan_step *step;
    size_t from, to, except; /* of the plan's nodes; except SIZE_MAX: none */
    bool anyway;             /* one that cannot be reached is passed over */
};

static bool ask(const struct plan *plan, const struct run_options *opt, const struct asking *whom,
                struct err *err)
{
    struct run_options quiet = *opt;
    quiet.signal_fd = -1; /* whoever runs the release takes the signals */
    struct batch *b = batch_new(plan, &quiet);
    bool ok = true;
    for (size_t i = whom->from; i < whom->to; i++) /* a host's directory is claimed once */
        if (i != whom->except && plan_first_of_host(plan, i))
            batch_add(b, whom->step, &claim_verb, &plan->nodes[i]);
    batch_wait(b);
    for (size_t i = 0; i < b->n; i++)
        ok = claimed(b->jobs[i], whom->anyway, err) && ok;
    batch_free(b);
    return ok;
}

bool run_claim(const struct plan *plan, const struct run_options *opt, bool anyway, struct err *err)
{
    const char *unused;
    auto_arena struct arena arena = {0};
    if (plan->n_nodes == 0)
        return true;
    size_t first = first_by_name(plan);
    *err = (struct err){.code = E_NONE};
    const struct asking one = {
        .step = &lock_step, .from = first, .to = first + 1, .except = SIZE_MAX, .anyway = anyway};
    const struct asking others = {.step = &lock_step, .to = plan->n_nodes, .except = first, .anyway = anyway};
    if (ask(plan, opt, &one, err) && ask(plan, opt, &others, err))
        return true;
    if (!anyway) /* a release that goes on keeps what it has: its nodes are half-way */
        run_free(plan, opt, &arena, &unused);
    return false;
}

bool run_still_ours(const struct plan *plan, const struct run_options *opt, struct err *err)
{
    *err = (struct err){.code = E_NONE};
    const struct asking all = {.step = &look_step, .to = plan->n_nodes, .except = SIZE_MAX, .anyway = true};
    return ask(plan, opt, &all, err);
}

void run_free(const struct plan *plan, const struct run_options *opt, struct arena *arena,
              const char **ret_left)
{
    struct run_options quiet = *opt;
    quiet.signal_fd = -1;
    struct batch *b = batch_new(plan, &quiet);
    *ret_left = NULL;
    const char **asked = arena_array(arena, plan->n_nodes + 1, sizeof(*asked));
    for (size_t i = 0; i < plan->n_nodes; i++)
        if (plan_first_of_host(plan, i)) {
            asked[b->n] = plan->nodes[i].id;
            batch_add(b, &lock_step, &free_verb, &plan->nodes[i]);
        }
    batch_wait(b);
    for (size_t i = 0; i < b->n; i++)
        if (b->jobs[i]->result->outcome != OUT_OK)
            *ret_left = *ret_left ? arena_printf(arena, "%s, %s", *ret_left, asked[i]) : asked[i];
    batch_free(b);
}
