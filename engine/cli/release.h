/* SPDX-License-Identifier: MIT */
/* Releasing a revision, for the commands that do: run, and promote, which takes it from another environment. */
#ifndef RELEASE_CLI_RELEASE_H
#define RELEASE_CLI_RELEASE_H

#include "cli/cli.h"

/* What both take beside where the revision comes from. */
#define RELEASE_OPTIONS                                                                                      \
    {.name = "yes", .help = "do not ask; without a terminal the only way where a yes is wanted"},            \
        {.name = "only-outdated",                                                                            \
         .help = "leave alone the nodes that are seen to run the revision already"},                         \
        {.name = "dry-run", .help = "preflight, show the plan, change nothing"},                             \
        {.name = "digest",                                                                                   \
         .arg = "HEX",                                                                                       \
         .help = "only when the plan is still this one ('release plan --brief')"},                           \
        APPROVED_OPTION, OVERRIDE_OPTIONS

/* --rev (by cli_take when nobody typed it) to `env`; deed: "releasing", "promoting from test", for who finds the lock held. An exit
 * status. */
int release_to(struct cli *cli, const char *env, const char *deed);

#endif
