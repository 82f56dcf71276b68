/* SPDX-License-Identifier: MIT */
/* The question before anything is changed (`run`, `rollback`, `task`). */
#ifndef RELEASE_CLI_CONFIRM_H
#define RELEASE_CLI_CONFIRM_H

#include "cli/session.h"

/* Shows what would be done and, where the pillar wants it (`confirm:`, a --window by hand) and no --yes was
 * given, has the environment's name typed. `about` stands for the revision in the first line ("takes back
 * release 9 (v7)"), or NULL. Preflight must be over: from -> to is shown, and the commits are asked for when
 * a person is there. false: said why; nothing was touched (exit 2). */
bool session_confirm(struct session *s, const struct plan *plan, const char *about);
/* --dry-run: the whole plan, or its frozen JSON. Returns 0. */
int session_dry_run(struct session *s, struct plan *plan);

#endif
