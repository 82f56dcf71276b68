/* Asks the processes, not the disk (PROMISES: Knight Capital): see drivers/sh/running.sh. */
#include "drivers/running.h"

#include <string.h>

#include "drivers/report.h"
#include "drivers/scripts.h"

const struct param running_params[] = {
    {.name = "dir", .type = PARAM_STR, .help = "as in the other steps; default {dir}"},
    {.name = "user", .type = PARAM_STR, .help = "whose processes these are; default {user}"},
    {.name = "port", .type = PARAM_INT, .help = "port that the application listens on; default {port}"},
    {.name = "listen", .type = PARAM_STR, .help = "address of that port; default: the node's host"},
    {.name = "strict",
     .type = PARAM_BOOL,
     .deflt = "yes",
     .help = "no: other processes that run old code are only named"},
    PARAM_END,
};

/* root reads everybody's processes; another login looks as the user that they belong to. */
static const char *looks_as(const struct op *op)
{
    const struct target *t = op_target(op);
    return t != NULL && t->user != NULL && strcmp(t->user, "root") == 0 ? NULL : report_runas(op, "user");
}

enum outcome running_run(struct op *op, const char *layout)
{
    const char *dir = arg_or_var(op, "dir"), *rev = arg_or_var(op, "rev");
    if (!want_path(op, "dir", dir) || !want_rev(op, rev))
        return op_end(op);
    const char *listen = op_arg(op, "listen");
    const char *args[] = {
        layout,
        dir,
        rev,
        arg_or_var(op, "port"),
        listen != NULL && *listen != '\0' ? listen : arg_or_var(op, "host"),
        recall_or_empty(op, "app.started"),
        op_arg_bool(op, "strict") ? "yes" : "no",
        NULL,
    };
    return report_read(op, &(struct node_cmd){.script = script_running, .args = args, .runas = looks_as(op)});
}
