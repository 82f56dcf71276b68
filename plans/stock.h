/* SPDX-License-Identifier: MIT */
/* The plan files that are compiled in; ROOT/plans/NAME.yml wins over them. */
#ifndef RELEASE_PLANS_STOCK_H
#define RELEASE_PLANS_STOCK_H

struct stock_plan {
    const char *name, *text;
};
extern const struct stock_plan stock_plans[]; /* ends with a zeroed row */

#endif
