/* SPDX-License-Identifier: MIT */
/* The number of the frozen plan's form, shared by freeze.c and thaw.c. */
#ifndef RELEASE_PLANS_FREEZE_PRIV_H
#define RELEASE_PLANS_FREEZE_PRIV_H

#define FREEZE_FORMAT 2
/* A plan without roles is what it was, for those who know nothing of them. */
#define FREEZE_FORMAT_OF(plan) ((plan)->n_roles > 0 ? 2 : 1)

#endif
