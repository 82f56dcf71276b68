/* SPDX-License-Identifier: MIT */
/* The number of the frozen plan's form, shared by freeze.c and thaw.c. */
#ifndef RELEASE_PLANS_FREEZE_PRIV_H
#define RELEASE_PLANS_FREEZE_PRIV_H

#define FREEZE_FORMAT 3
/* A plan without instances, or roles, is what it was, for those who know nothing of them: they would change a directory
 * once for each of its instances. */
#define FREEZE_FORMAT_OF(plan) (plan_has_instances(plan) ? 3 : (plan)->n_roles > 0 ? 2 : 1)

#endif
