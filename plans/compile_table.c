/* SPDX-License-Identifier: MIT */
/* The compiler with the drivers of the program. Apart, so that tests of the compiler bring their own. */
#include "plans/compile_priv.h"

bool plan_compile(const struct pillar *pillar, const struct compile_request *req, struct arena *arena,
                  struct plan **ret, struct problems *problems)
{
    return plan_compile_with(pillar, req, driver_table, arena, ret, problems);
}
