/* SPDX-License-Identifier: MIT */
/* Preflight: a check with a mistake in it is never true, and a release would find that out with a node out of
 * rotation, on the way there and on the way back. So it is tried on what runs now. It may be right all the
 * same, when what it asks for comes with this revision: that is said, and no reason to refuse. */
#include "run/preflight_priv.h"

#include <string.h>

/* One question after the other over the node's connection, as all of them. */
void preflight_try(struct preflight *p, size_t i)
{
    const struct plan *plan = p->plan;
    struct asked *a = &p->asked[i];
    a->checks = arena_array(p->arena, plan->n_steps + 1, sizeof(struct job *));
    if (plan->kind != KIND_RELEASE)
        return; /* a rollback knows it from the release that it takes back */
    for (size_t s = 0; s < plan->n_steps; s++) {
        const struct plan_step *step = &plan->steps[s];
        const struct driver *driver;
        if (!plan_takes(step, &plan->nodes[i]) || step->phase != PHASE_CHECK ||
            !verb_find(step->verb, &driver))
            continue;
        const struct verb *verb = driver_verb(driver, DOES_TRY);
        if (verb)
            a->checks[a->n_checks++] = batch_add_after(p->batch, a->node, step, verb, &plan->nodes[i]);
    }
}

static void keep_facts(struct preflight *p, struct plan_node *node, const struct op_result *r)
{
    struct op_pair *facts = arena_array(p->arena, node->n_facts + r->n_facts + 1, sizeof(*facts));
    for (size_t k = 0; k < node->n_facts; k++)
        facts[k] = node->facts[k];
    const struct op_pair *more = pairs_copy(r->facts, r->n_facts, p->arena);
    for (size_t k = 0; k < r->n_facts; k++)
        if (strstr(more[k].name, ".was."))
            facts[node->n_facts++] = more[k];
    node->facts = facts;
}

/* Only what serves is expected to pass: a node that ran nothing, or is out, need not. */
void preflight_tried(struct preflight *p, size_t i)
{
    struct plan_node *node = &p->plan->nodes[i];
    const struct asked *a = &p->asked[i];
    for (size_t k = 0; k < a->n_checks && preflight_good(a->node); k++) {
        const struct job *job = a->checks[k];
        if (preflight_good(job) && job->result->ready)
            continue;
        if (preflight_good(job))
            keep_facts(p, node, job->result);
        const char *seen = preflight_good(job) ? preflight_fact(job, "observed") : job->result->err.text;
        if (p->opt->warnings && node->was_up && node->rev_before && *node->rev_before)
            problems_add(
                p->opt->warnings,
                "%s: its check is not true of what it runs now: %s. Is it written right? A release ends "
                "with the node going back when it is not true of the new revision either",
                node->id, seen ? seen : "nothing was seen");
    }
}
