/* SPDX-License-Identifier: MIT */
/* What was asked of AWS and is true for a while: session credentials, a group's name and settings. Shared by all
 * workers; wiped at the end. */
#ifndef RELEASE_DRIVERS_AWS_KEEP_H
#define RELEASE_DRIVERS_AWS_KEEP_H

#include <stdint.h>

#include "drivers/op/driver.h"

struct aws_keep;
/* Lives as long as the op's connections. */
struct aws_keep *aws_keep_of(struct op *op);
char *aws_keep_get(struct aws_keep *k, const char *key, struct arena *a);
void aws_keep_put(struct aws_keep *k, const char *key, const char *value, int64_t for_ms);

#endif
