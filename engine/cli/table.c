/* SPDX-License-Identifier: MIT */
/* All verbs of the command line, in the order of help. */
#include "cli/cli.h"

#include <string.h>

/* clang-format off */
#define COMMANDS(X)                                                                                          \
    X(run)                                                                                                   \
    X(promote)                                                                                               \
    X(rollback)                                                                                              \
    X(resume)                                                                                                \
    X(plan)                                                                                                  \
    X(check)                                                                                                 \
    X(status)                                                                                                \
    X(history)                                                                                               \
    X(log)                                                                                                   \
    X(report)                                                                                                \
    X(stats)                                                                                                 \
    X(lock)                                                                                                  \
    X(unlock)                                                                                                \
    X(nodes)                                                                                                 \
    X(pillar)                                                                                                \
    X(lb)                                                                                                    \
    X(exec)                                                                                                  \
    X(task)                                                                                                  \
    X(simulate)                                                                                              \
    X(doctor)                                                                                                \
    X(init)                                                                                                  \
    X(prepare)                                                                                               \
    X(serve)                                                                                                 \
    X(token)
/* clang-format on */

#define DECLARE(name) extern const struct command command_##name;
COMMANDS(DECLARE)

#define ROW(name) &command_##name,
const struct command *const command_table[] = {COMMANDS(ROW) NULL};

const struct command *command_find(const char *name)
{
    for (const struct command *const *c = command_table; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}
