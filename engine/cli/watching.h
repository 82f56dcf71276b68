/* SPDX-License-Identifier: MIT */
/* What the command line shows of a release: in which form, and its last words. */
#ifndef RELEASE_CLI_WATCHING_H
#define RELEASE_CLI_WATCHING_H

#include "cli/session.h"
#include "serve/watching_plan.h"
#include "watch/watch.h"

/* --json, a live board on a terminal, or lines. */
enum watch_form watching_form(const struct cli *cli);
bool watching_colour(int fd);
/* The last word about a release that has just ended, and what its failing step printed last. */
void final_words(struct cli *cli, struct store *store, const struct plan *plan, int64_t release,
                 int exit_status);

#endif
