/* SPDX-License-Identifier: MIT */
/* What a plan comes to, for its forms: `release plan`, --brief, and the question before a change. */
#ifndef RELEASE_CLI_PLAN_BRIEF_H
#define RELEASE_CLI_PLAN_BRIEF_H

#include "cli/session.h"

/* The application is this directory of the repository; NULL: all of it. */
const char *plan_git_path(const struct plan *plan);
/* What node i shall run: a revision of its own, else the plan's. */
const char *plan_target(const struct plan *plan, size_t i);
/* Do both come from one revision, and go to one? */
bool plan_same_change(const struct plan *plan, size_t a, size_t b);
/* Is node i the first of its change? Each distinct one is told, and asked about, once. */
bool plan_first_of_change(const struct plan *plan, size_t i);
/* The commits between what nodes run and what they shall run (`to`, 40 digits); asked of the repository,
 * which may not know: NULL, and why. */
const struct probe *plan_commits(struct session *s, const struct plan *plan, const char *before,
                                 const char *to, const char **ret_why);
const char *probe_fact(const struct probe *probe, const char *name); /* "" when there is none */

/* How many are in rotation now. With roles, of those that a balancer is asked about: nobody sends requests to the
 * others. */
size_t plan_up(const struct plan *plan);
/* Each role's own figures as a JSON list (docs/json.md); NULL: the plan has no roles, and its own are all there is. */
const char *plan_roles_text(const struct plan *plan, struct arena *arena);
/* One JSON object: what a person has to know before saying yes (docs/json.md). `about` is what a rollback is
 * ("takes back release 9 (v7)"), NULL for a release. */
void brief_print(struct session *s, struct plan *plan, const char *about);
/* Somebody said yes to one plan (--digest); what came meanwhile (another node down, a moved branch) makes
 * another. 0: it is still that one, or none was named; else said, exit 6. */
int plan_as_confirmed(struct cli *cli, const struct plan *plan);

#endif
