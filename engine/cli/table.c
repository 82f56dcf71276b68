/* SPDX-License-Identifier: MIT */
/* All verbs of the command line, in the order of help. */
#include "cli/cli.h"

#include <string.h>

extern const struct command command_run, command_rollback, command_resume, command_plan, command_check,
    command_status, command_history, command_log, command_lock, command_unlock, command_nodes, command_pillar,
    command_lb, command_exec, command_task, command_simulate, command_doctor, command_init, command_prepare,
    command_serve, command_token;

const struct command *const command_table[] = {
    &command_run,     &command_rollback,
    &command_resume,  &command_plan,
    &command_check,   &command_status,
    &command_history, &command_log,
    &command_lock,    &command_unlock,
    &command_nodes,   &command_pillar,
    &command_lb,      &command_exec,
    &command_task,    &command_simulate,
    &command_doctor,  &command_init,
    &command_prepare, &command_serve,
    &command_token,   NULL,
};

const struct command *command_find(const char *name)
{
    for (const struct command *const *c = command_table; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}
