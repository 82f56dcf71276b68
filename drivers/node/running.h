/* SPDX-License-Identifier: MIT */
/* Which revision do the processes of a node run? One question for two layouts: release.running and
 * git.running. */
#ifndef RELEASE_DRIVERS_RUNNING_H
#define RELEASE_DRIVERS_RUNNING_H

#include "drivers/op/driver.h"

extern const struct param running_params[];
enum outcome running_run(struct op *op, const char *layout);

#endif
