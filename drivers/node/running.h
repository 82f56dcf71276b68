/* SPDX-License-Identifier: MIT */
/* Which revision do the processes of a node run? One question for two layouts: release.running and
 * git.running. */
#ifndef RELEASE_DRIVERS_RUNNING_H
#define RELEASE_DRIVERS_RUNNING_H

#include "drivers/op/driver.h"

extern const struct param running_params[];
enum outcome running_run(struct op *op, const char *layout);
#define RUNNING_ROW(driver)                                                                                  \
    .name = driver ".running", .effect = EFFECT_READ, .scope = SCOPE_NODE, .does = DOES_VERIFY,              \
    .waits = true, .default_timeout_ms = 30000, .interval_ms = 500, .params = running_params

#endif
