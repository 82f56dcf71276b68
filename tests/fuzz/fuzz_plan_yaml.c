/* SPDX-License-Identifier: MIT */
/* A plan file of one's own, over a pillar that is in order. */
#include "fuzz_plans.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    root_make();
    file_put("pillar/prod.sls", good_pillar, sizeof(good_pillar) - 1);
    auto_arena struct arena arena = {0};
    struct plan *plan = NULL;
    must(
        root_compile("rolling", &arena, &plan)); /* else every input would be refused for the pillar's sake */
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_arena struct arena arena = {0};
    struct plan *plan = NULL;
    file_put("plans/fuzz.yml", data, n);
    if (root_compile("fuzz", &arena, &plan)) {
        plan_survives(plan);
        plan_expands(plan);
        free(plan_text(plan));
    }
    return 0;
}
