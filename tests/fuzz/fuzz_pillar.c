/* SPDX-License-Identifier: MIT */
/* The pillar as a file (docs/promises.md#s5): read, merged, compiled; what compiles must survive freezing.
 * libFuzzer's -timeout stands for "no bomb": run.sh gives it 5 s under sanitizers. */
#include "fuzz_plans.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    root_make();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_arena struct arena arena = {0};
    struct plan *plan = NULL;
    file_put("pillar/prod.sls", data, n);
    if (root_compile(NULL, &arena, &plan)) {
        plan_survives(plan);
        plan_expands(plan);
        free(plan_text(plan));
    }
    return 0;
}
