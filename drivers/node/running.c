/* SPDX-License-Identifier: MIT */
/* Asks the processes, not the disk (docs/promises.md#what-they-rest-on): see drivers/node/sh/running.sh. */
#include "drivers/node/running.h"

#include <string.h>

#include "drivers/node/report.h"
#include "drivers/node/scripts.h"

#define FIXED_ARGS 8

const struct param running_params[] = {
    {.name = "dir", .type = PARAM_STR, .help = "as in the other steps; default {dir}"},
    {.name = "user", .type = PARAM_STR, .help = "whose processes these are; default {user}"},
    {.name = "port", .type = PARAM_INT, .help = "port that the application listens on; default {port}"},
    {.name = "listen", .type = PARAM_STR, .help = "address of that port; default: the node's host"},
    {.name = "strict",
     .type = PARAM_BOOL,
     .deflt = "yes",
     .help = "no: other processes that run old code are only named, as on a host with instances"},
    {.name = "unseen",
     .type = PARAM_LIST,
     .help = "programs that cannot be seen to come from a release (php-fpm), judged by their age; all"},
    PARAM_END,
};

/* root reads everybody's processes; another login looks as the user that they belong to. */
static const char *looks_as(const struct op *op)
{
    const struct target *t = op_target(op);
    return t != NULL && t->ssh.user != NULL && strcmp(t->ssh.user, "root") == 0 ? NULL
                                                                                : report_runas(op, "user");
}

enum outcome running_run(struct op *op, const char *layout)
{
    const char *dir = arg_or_var(op, "dir"), *rev = arg_or_var(op, "rev");
    if (!want_path(op, "dir", dir) || !want_rev(op, rev))
        return op_end(op);
    size_t n, i = 0;
    const char *listen = op_arg(op, "listen");
    const char *const *unseen = op_arg_list(op, "unseen", &n);
    const char **args = arena_array(op_arena(op), n + FIXED_ARGS + 1, sizeof *args);
    args[i++] = layout;
    args[i++] = dir;
    args[i++] = rev;
    args[i++] = arg_or_var(op, "port");
    args[i++] = listen != NULL && *listen != '\0' ? listen : arg_or_var(op, "host");
    args[i++] = recall_or_empty(op, "app.started");
    bool alone = op_var(op, "of_host") ==
                 NULL; /* its sisters there may run the earlier revision, and are asked themselves */
    args[i++] = op_arg_bool(op, "strict") && alone ? "yes" : "no";
    args[i++] = recall_or_empty(op, "app.reloaded");
    for (size_t k = 0; k < n; k++)
        args[i++] = unseen[k];
    return report_read(op, &(struct node_cmd){.script = script_running, .args = args, .runas = looks_as(op)});
}
