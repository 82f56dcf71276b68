/* SPDX-License-Identifier: MIT */
/* What an environment asks of people before it is changed (`confirm:` and `approval:` of its release: block),
 * and what their yes is bound to. */
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "plans/value.h"

bool pillar_confirms(const struct pillar *p, const char *env)
{
    const struct value *v = pillar_get(p, "release:confirm");
    bool yes;
    if (v && v->kind == VALUE_SCALAR && scalar_bool(v->text, &yes))
        return yes;
    return str_starts(env, "prod");
}

const char *pillar_app(const struct pillar *p)
{
    const struct value *v = pillar_get(p, "release:app");
    return v && v->kind == VALUE_SCALAR ? v->text : "";
}

bool pillar_wants_second(const struct pillar *p)
{
    const struct value *v = pillar_get(p, "release:approval");
    return v && v->kind == VALUE_SCALAR && strcmp(v->text, "other") == 0;
}

void plan_consent(const struct plan *plan, char ret[65])
{
    struct plan copy = *plan;
    auto_free struct plan_node *nodes = xcalloc(plan->n_nodes + 1, sizeof *nodes);
    for (size_t i = 0; i < plan->n_nodes; i++) {
        nodes[i] = plan->nodes[i];
        nodes[i].facts = NULL;
        nodes[i].n_facts = 0;
    }
    copy.nodes = nodes;
    /* The commit is what a yes is for: once it is given the order names that, and not the branch or tag. */
    copy.rev_typed = plan->rev;
    copy.resolve_step = (struct plan_step){0};
    copy.override = NULL;
    copy.overrides = 0;
    copy.n_rendered =
        0; /* values that the plan has no use for may change in a rendered pillar every minute */
    free(plan_encode(&copy)); /* it also writes the digest */
    memcpy(ret, copy.digest, sizeof copy.digest);
}
