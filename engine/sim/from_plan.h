/* SPDX-License-Identifier: MIT */
/* A compiled plan as something to simulate: what each verb does to the world, and how long it takes. */
#ifndef RELEASE_SIM_FROM_PLAN_H
#define RELEASE_SIM_FROM_PLAN_H

#include "plans/plan.h"
#include "sim/sim.h"

/* All nodes serve and run a revision before. Names, labels and flags live in `arena`, the rest in the plan.
 */
void sim_plan_of(const struct plan *plan, struct arena *arena, struct sim_plan *ret);

#endif
