/* SPDX-License-Identifier: MIT */
/* The parts of `release rollback`: a release's own plan turned round, the environment's plan to a revision or
 * to what ran before a release, and what both have in common. Statuses as in session.h. */
#ifndef RELEASE_CLI_ROLLBACK_H
#define RELEASE_CLI_ROLLBACK_H

#include "cli/session.h"

/* ---- rollback_turn.c */

/* The frozen plan of a finished release, turned round. Nodes with out[i] (NULL: none) and those that ran
 * nothing before leave it. */
void rollback_turn(struct arena *arena, struct plan *plan, const bool *out, int64_t of_release);
/* Its nodes are final, or some have left it: steps and roles that are nobody's leave it, too. An undo that nobody is there
 * for is said. */
void rollback_nodes_known(struct arena *arena, struct plan *plan);
/* No soak: what it goes back to has served before. Window and floor stay. */
void rollback_one_stage(struct plan *plan);
/* Exactly the directory that it ran ("": not known): an earlier recipe may have made another one of the same
 * revision. */
void rollback_keep_dir(struct arena *arena, struct plan_node *node, const char *before);
/* What the node was last seen to be; "" when nobody asked. */
const char *rollback_fact(const struct plan_node *node, const char *name);

/* ---- rollback_to.c */

/* Every node to `rev`, by the environment's plan of today. */
int rollback_to(struct session *s, const char *rev, const char *about);
/* Every node to what it ran before that release began, whatever became of it and of later ones. */
int rollback_before(struct session *s, const struct release_info *r, const char *about);

/* ---- cmd_rollback.c */

/* Release `r`, which was finished, is taken back by its own plan. */
int rollback_finished(struct session *s, const struct release_info *r);
bool rollback_is_kind(
    const struct release_info *r); /* a release or a rollback: what nodes run depends on it */
/* Locked, preflighted, without the nodes that run what they would go to; asked about; started. Where nothing
 * is left that would change: said, 0. */
int rollback_go(struct session *s, struct plan *plan, const char *why, const char *about, int64_t of_release);

#endif
