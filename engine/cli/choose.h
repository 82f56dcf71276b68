/* SPDX-License-Identifier: MIT */
/* Which nodes of a frozen plan a way back or a resume is about: --only, --exclude, and today's pillar. */
#ifndef RELEASE_CLI_CHOOSE_H
#define RELEASE_CLI_CHOOSE_H

#include "cli/session.h"

#define CHOOSE_OPTIONS                                                                                       \
    {.name = "only", .arg = "NODE,..", .help = "only these nodes; the others are left as they are"},         \
    {                                                                                                        \
        .name = "exclude", .arg = "NODE,..", .help = "all but these nodes, as one that died; recorded"       \
    }

/* *ret_out[i]: node i of the plan is not wanted: by an option, or since it left the pillar (said, one line
 * each). NULL when all are. A name that is no node of the plan is a mistake. */
int choose_nodes(struct session *s, const struct plan *plan, bool **ret_out);

#endif
