/* SPDX-License-Identifier: MIT */
/* The times at which an environment may be released (plans/times.h), as commands keep them. Main thread only. */
#ifndef RELEASE_CLI_OPENING_H
#define RELEASE_CLI_OPENING_H

#include "cli/session.h"

#define OVERRIDE_WINDOW_OPTIONS                                                                              \
    {.name = "override-window", .help = "although it is outside the pillar's windows; needs --reason"},      \
    {                                                                                                        \
        .name = "reason", .arg = "TEXT", .help = "why it cannot wait; recorded and announced"                \
    }
#define OVERRIDE_OPTIONS                                                                                     \
    OVERRIDE_WINDOW_OPTIONS,                                                                                 \
    {                                                                                                        \
        .name = "override", .arg = "GUARD,..",                                                               \
        .help = "although git: allow, max_age or signed refuses the revision; needs --reason"                \
    }

/* Outside of them: said with when they open, exit 6; with --override-window --reason it goes. What is overridden stands
 * in the plan. looks: it is only told. 0: it goes. */
int opening_ask(struct cli *cli, const char *env, struct plan *plan, bool looks);
/* For a plan that no time concerns: are the words about them sound? 0: yes. */
int opening_words(struct cli *cli);
/* Whoever only looks is told. */
void opening_tell(struct cli *cli, const char *env, const struct plan *plan);
/* The same as opening_ask, for those who cannot override it. */
int opening_refuse(struct cli *cli, const char *env, const struct plan *plan);
/* Is it stopped, to be resumed, when they close? */
bool opening_pauses(const struct plan *plan);
/* When a running release is to stop by itself, by the monotonic clock in ms; 0: it goes on to its end. */
int64_t opening_stop_at(struct cli *cli, const struct plan *plan);

#endif
