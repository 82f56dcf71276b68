/* SPDX-License-Identifier: MIT */
/* A frozen plan out of a damaged journal. What is accepted must be fit for everything that a resume does with
 * it. */
#include "fuzz_plans.h"
#include "run/run_priv.h"

static void replayable(const struct plan *plan)
{
    auto_arena struct arena arena = {0};
    static struct core_plan rules;
    static struct update update;
    bridge_core_plan(plan, &arena, &rules);
    struct core *core = core_init(arena_alloc(&arena, core_size(&rules)), &rules);
    core_step(core, &(struct event){.kind = EV_START, .now_ms = 1}, &update);
    for (uint32_t i = 0; i < update.n_ops; i++) {
        const struct plan_step *step;
        must(bridge_verb(plan, &update.ops[i], &step) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_arena struct arena arena = {0};
    struct err err = {0};
    struct plan *plan = NULL;
    char *json = fuzz_text(data, n);
    if (plan_decode(&arena, json, &plan, &err)) {
        plan_survives(plan);
        plan_expands(plan);
        free(plan_text(plan));
        if (bridge_fit(plan, &err))
            replayable(plan);
    } else {
        must(err.code == E_JOURNAL && err.text[0]);
    }
    free(json);
    return 0;
}
