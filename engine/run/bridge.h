/* SPDX-License-Identifier: MIT */
/* From the plan to the core's view of it: for the shell around the core, and for the simulator. */
#ifndef RELEASE_RUN_BRIDGE_H
#define RELEASE_RUN_BRIDGE_H

#include "base/arena.h"
#include "core/core.h"
#include "plans/plan.h"

void bridge_core_plan(const struct plan *plan, struct arena *arena, struct core_plan *ret);

#endif
