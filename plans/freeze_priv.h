/* SPDX-License-Identifier: MIT */
/* The number of the frozen plan's form, shared by freeze.c and thaw.c. */
#ifndef RELEASE_PLANS_FREEZE_PRIV_H
#define RELEASE_PLANS_FREEZE_PRIV_H

#define FREEZE_FORMAT 1

#endif
