/* SPDX-License-Identifier: MIT */
/* Preflight of git: the controller has named the revision; can the nodes bring it? */
#include "run/preflight_priv.h"

/* NULL: its driver has no such question. */
static const struct verb *readable(const struct plan_step *fetch)
{
    const struct driver *driver = NULL;
    return verb_find(fetch->verb, &driver) ? driver_verb(driver, DOES_READABLE) : NULL;
}

static const struct plan_step *fetch_step(const struct plan *plan, const struct plan_node *node)
{
    for (size_t s = 0; s < plan->n_steps; s++)
        if (plan_takes(&plan->steps[s], node) && verb_does(plan->steps[s].verb) == DOES_FETCH)
            return &plan->steps[s];
    return NULL;
}

/* The application is a directory of the repository: the revision must have it. */
static void path_judge(struct preflight *p)
{
    const struct plan_step *step = &p->plan->resolve_step;
    const char *trouble = preflight_fact(p->resolve, "path_trouble");
    const char *path = op_pair_value(step->args, step->n_args, "path");
    if (trouble && path)
        problems_add(p->problems, "%s: git: path: %s in revision %.12s: it %s", step->where, path,
                     p->plan->rev, trouble);
}

/* What git: wants of a revision (allow, max_age, keyring and signers), unless a person overrode it with a reason. */
static void guards_judge(struct preflight *p)
{
    for (int i = 0; i < OVERRIDE_COUNT; i++) {
        const char *name = override_name((enum override)i);
        const char *trouble = preflight_fact(p->resolve, arena_printf(p->arena, "guard.%s", name));
        if (!trouble)
            continue;
        if (!(p->plan->overrides >> i & 1))
            problems_add(
                p->problems,
                "revision %.12s %s; 'release run --override %s --reason TEXT' takes it all the same, and that is "
                "recorded",
                p->plan->rev, trouble, name);
        else if (p->opt->warnings)
            problems_add(p->opt->warnings, "revision %.12s %s; --override %s, because '%s'", p->plan->rev,
                         trouble, name, p->plan->override);
    }
}

void preflight_git(struct preflight *p)
{
    const struct plan *plan = p->plan;
    /* A way back goes to what is there already. */
    if (plan->kind != KIND_RELEASE || !preflight_good(p->resolve) || !plan->rev)
        return;
    path_judge(p);
    guards_judge(p);
    struct job **jobs = arena_array(p->arena, plan->n_nodes + 1, sizeof(struct job *));
    struct batch *b = batch_new(plan, p->opt);
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_step *step = fetch_step(plan, &plan->nodes[i]);
        const struct verb *verb = step ? readable(step) : NULL;
        jobs[i] = verb && preflight_good(p->asked[i].node) ? batch_add(b, step, verb, &plan->nodes[i]) : NULL;
    }
    batch_wait(b);
    for (size_t i = 0; i < plan->n_nodes && !b->canceled; i++)
        if (jobs[i] && !preflight_good(jobs[i]))
            preflight_problem(p, &plan->nodes[i], jobs[i]);
    if (b->canceled)
        problems_add(p->problems, "preflight: stopped by a signal");
    batch_free(b);
}
