/* SPDX-License-Identifier: MIT */
/* What `release plan` works out beside the plan, for its two forms. */
#ifndef RELEASE_CLI_PLAN_BRIEF_H
#define RELEASE_CLI_PLAN_BRIEF_H

#include "cli/session.h"

/* Is nodes[i] the first that runs this revision? Each distinct one is asked for once. */
bool plan_first_with(const struct plan *plan, size_t i);
/* The commits between what nodes run and what they shall run (`to`, 40 digits); asked of the repository,
 * which may not know: NULL, and why. */
const struct probe *plan_commits(struct session *s, const struct plan *plan, const char *before,
                                 const char *to, const char **ret_why);
const char *probe_fact(const struct probe *probe, const char *name); /* "" when there is none */

/* One JSON object: what a person has to know before saying yes (docs/json.md). */
void brief_print(struct session *s, struct plan *plan);

#endif
