/* SPDX-License-Identifier: MIT */
#include "serve/report_of.h"

#include "plans/plan.h"
#include "serve/watching_plan.h"

bool report_of_release(struct reader r, const struct release_info *release, struct report *ret,
                       struct err *err)
{
    const char *json;
    struct plan *plan;
    if (!release_plan(r, release->id, &json, err) || !plan_decode(r.arena, json, &plan, err))
        return false;
    bool *was_up = arena_array(r.arena, plan->n_nodes + 1, sizeof *was_up);
    for (size_t i = 0; i < plan->n_nodes; i++)
        was_up[i] = plan->nodes[i].was_up;
    const struct report_of of = {.release = release,
                                 .plan = watching_plan(r.arena, r.store, plan, release->id),
                                 .was_up = was_up,
                                 .overrides = plan_overrides_text(plan, r.arena)};
    return report_gather(r, &of, ret, err);
}
