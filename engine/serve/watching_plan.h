/* SPDX-License-Identifier: MIT */
/* Between plans and watchers: engine/watch knows no plans, so what it needs of one is copied. For the server
 * and the command line. */
#ifndef RELEASE_SERVE_WATCHING_PLAN_H
#define RELEASE_SERVE_WATCHING_PLAN_H

#include "plans/plan.h"
#include "watch/watch.h"

/* Everything lives in `arena` or in the plan; usual times come from the journal when there is one. */
const struct watch_plan *watching_plan(struct arena *arena, struct store *store, const struct plan *plan,
                                       int64_t release);

#endif
