/* SPDX-License-Identifier: MIT */
/* npm 6 and later. `npm ci` where there is a lock file, skipped when what is installed came from that very
 * file. */
#include <string.h>

#include "drivers/node/jobrun.h"
#include "drivers/node/report.h"
#include "drivers/node/scripts.h"
#include "drivers/verbs/scripts.h"

static const struct param params[] = {
    {.name = "dir",
     .type = PARAM_STR,
     .help = "where package.json is; relative ones start at the release directory"},
    {.name = "runas", .type = PARAM_STR, .help = "user; default {user}"},
    {.name = "env", .type = PARAM_MAP, .help = "more environment"},
    {.name = "offline", .type = PARAM_BOOL, .deflt = "no", .help = "only from npm's cache on the node"},
    PARAM_END,
};

#define STATUS_NOT_YET 75

static bool call(struct op *op, const char *act,
                 bool (*run)(struct op *, const struct node_cmd *, struct node_result *),
                 struct node_result *ret)
{
    const char *args[] = {act,
                          jobrun_built_dir(op),
                          op_var(op, "rev") ? op_var(op, "rev") : "",
                          op_arg_bool(op, "offline") ? "yes" : "no",
                          *jobrun_checkout(op) ? script_tree : "",
                          jobrun_checkout(op),
                          NULL};
    struct node_cmd cmd = {
        .script = script_npm, .args = args, .cwd = jobrun_cwd(op, "dir"), .runas = report_runas(op, "runas")};
    cmd.env = jobrun_env(op, &cmd.n_env);
    return run(op, &cmd, ret);
}

static enum outcome npm_install(struct op *op)
{
    struct node_result res = {0};
    return call(op, "install", node_change, &res) ? jobrun_judge(op, &res) : op_end(op);
}

static enum outcome npm_installed(struct op *op)
{
    struct node_result res = {0};
    if (!call(op, "installed", node_read, &res))
        return op_end(op);
    if (res.status != 0 && res.status != STATUS_NOT_YET)
        return op_unknown(op, E_STATUS, "cannot tell whether the packages are installed: %s",
                          report_tail(op, res.err));
    op_ready(op, res.status == 0);
    return op_end(op);
}

static const struct verb verbs[] = {
    {.name = "npm.install",
     .help = "install the packages of package.json, by the lock file where there is one",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .does = DOES_BUILD,
     .of_directory = true,
     .observe = "npm.installed",
     .forward_only = false,
     .default_timeout_ms = 1200000,
     .interval_ms = 1000,
     .params = params,
     .run = npm_install},
    {.name = "npm.installed",
     .help = "are they installed, from the present lock file?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 30000,
     .params = params,
     .run = npm_installed},
    {0},
};

const struct driver npm_driver = {
    .name = "npm",
    .help = "npm 6 and later: npm ci where there is a lock file.",
    .verbs = verbs,
};
