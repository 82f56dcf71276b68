/* SPDX-License-Identifier: MIT */
/* Commands of the pillar: on the nodes (cmd.run) and on the controller (cmd.local, for hooks).
 *
 * The text of `cmd` is the operator's own shell text and goes as one word to `sh -c`. Values of the release
 * are in the environment as RELEASE_REV and so on, so nothing needs to be spliced into it. */
#include <inttypes.h>
#include <string.h>

#include "drivers/node/jobrun.h"
#include "drivers/node/report.h"
#include "drivers/node/scripts.h"
#include "drivers/verbs/scripts.h"

static const struct param run_params[] = {
    {.name = "cmd",
     .type = PARAM_STR,
     .required = true,
     .help = "shell text; RELEASE_REV, RELEASE_NODE ... are in its environment"},
    {.name = "cwd",
     .type = PARAM_STR,
     .help = "directory; relative ones start at the release directory, which is the default"},
    {.name = "runas", .type = PARAM_STR, .help = "user; default {user}"},
    {.name = "env", .type = PARAM_MAP, .help = "more environment"},
    {.name = "shell", .type = PARAM_STR, .deflt = "/bin/sh", .help = "shell that gets the text"},
    {.name = "creates", .type = PARAM_STR, .help = "skip when this path exists"},
    {.name = "unless", .type = PARAM_STR, .help = "skip when this command ends with 0"},
    {.name = "onlyif", .type = PARAM_STR, .help = "skip unless this command ends with 0"},
    {.name = "when_changed",
     .type = PARAM_LIST,
     .help = "skip when no commit since the node's present revision touches these paths"},
    {.name = "outputs",
     .type = PARAM_LIST,
     .help = "what a skipped command would have made, copied from the release before; default: when_changed"},
    PARAM_END,
};
static const struct param local_params[] = {
    {.name = "cmd",
     .type = PARAM_STR,
     .required = true,
     .help = "shell text; RELEASE_REV, RELEASE_ENV ... are in its environment"},
    {.name = "cwd", .type = PARAM_STR, .help = "directory; default: the login directory"},
    {.name = "env", .type = PARAM_MAP, .help = "more environment"},
    {.name = "shell", .type = PARAM_STR, .deflt = "/bin/sh", .help = "shell that gets the text"},
    {.name = "creates", .type = PARAM_STR, .help = "skip when this path exists"},
    {.name = "unless", .type = PARAM_STR, .help = "skip when this command ends with 0"},
    {.name = "onlyif", .type = PARAM_STR, .help = "skip unless this command ends with 0"},
    PARAM_END,
};

#define FIXED_ARGS 16

static const char *git_dir(struct op *op)
{
    const char *dir = op_var(op, "dir");
    if (dir == NULL || *dir == '\0')
        return "";
    return arena_printf(op_arena(op), "%s/%s", dir, *jobrun_checkout(op) ? ".git" : "repo.git");
}

/* On the way back a step is always run: what it was skipped for on the way there is not what differs now. */
static const char *const *script_args(struct op *op)
{
    struct arena *a = op_arena(op);
    size_t n_paths = 0, n_outputs = 0, i = 0;
    const char *const *paths = op_arg_list(op, "when_changed", &n_paths);
    const char *const *outputs = op_arg_list(op, "outputs", &n_outputs);
    const char *rev_before = op_var(op, "rev_before");
    const char **args = arena_array(a, n_paths + n_outputs + FIXED_ARGS, sizeof *args);
    args[i++] = op_arg(op, "cmd");
    args[i++] = op_arg_text(op, "shell");
    args[i++] = op_arg_text(op, "creates");
    args[i++] = op_arg_text(op, "unless");
    args[i++] = op_arg_text(op, "onlyif");
    args[i++] = jobrun_built_dir(op);
    args[i++] = op_var(op, "rev") ? op_var(op, "rev") : "";
    args[i++] = git_dir(op);
    args[i++] = rev_before != NULL && !op_going_back(op) ? rev_before : "";
    args[i++] = jobrun_base(op);
    args[i++] = recall_or_empty(op, "release.before");
    args[i++] = *jobrun_checkout(op) ? script_tree : "";
    args[i++] = jobrun_checkout(op);
    args[i++] = arg_or_var(op, "git_path");
    args[i++] = arena_printf(a, "%zu", n_paths);
    for (size_t p = 0; p < n_paths; p++)
        args[i++] = paths[p];
    for (size_t o = 0; o < n_outputs; o++)
        args[i++] = outputs[o];
    return args;
}

static enum outcome cmd_run(struct op *op)
{
    struct node_cmd cmd = {.script = script_cmd,
                           .args = script_args(op),
                           .cwd = jobrun_cwd(op, "cwd"),
                           .runas = report_runas(op, "runas")};
    struct node_result res = {0};
    cmd.env = jobrun_env(op, &cmd.n_env);
    return node_change(op, &cmd, &res) ? jobrun_judge(op, &res) : op_end(op);
}

/* For hooks: the release number and step keep it from running twice where the engine gives a place for jobs
 * (a target on the controller); elsewhere it is a plain command. */
static enum outcome cmd_local(struct op *op)
{
    const char *args[] = {op_arg(op, "cmd"),
                          op_arg_text(op, "shell"),
                          op_arg_text(op, "creates"),
                          op_arg_text(op, "unless"),
                          op_arg_text(op, "onlyif"),
                          "",
                          "",
                          "",
                          "",
                          "",
                          "",
                          "",
                          "",
                          "",
                          "0",
                          NULL};
    struct node_cmd cmd = {.script = script_cmd, .args = args, .cwd = op_arg(op, "cwd")};
    struct node_result res = {0};
    const struct target *t = op_target(op);
    bool has_place = t != NULL && t->transport != NULL && strcmp(t->transport, "local") == 0;
    cmd.env = jobrun_env(op, &cmd.n_env);
    if (has_place)
        return node_change(op, &cmd, &res) ? jobrun_judge(op, &res) : op_end(op);
    op_sending(op);
    return target_read(op, &target_controller, &cmd, &res) ? jobrun_judge(op, &res) : op_end(op);
}

static const struct verb verbs[] = {
    {.name = "cmd.run",
     .help = "run a command on the node",
     .deadline = "timeout",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_NODE,
     .on_controller = "cmd.local",
     .undo_arg = "cmd",
     .observe = "cmd.ran",
     .default_timeout_ms = 600000,
     .interval_ms = 1000,
     .params = run_params,
     .run = cmd_run},
    {.name = "cmd.ran",
     .help = "did the command of this step run, and how did it end?",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .default_timeout_ms = 15000,
     .params = run_params,
     .run = jobrun_observe},
    {.name = "cmd.local",
     .help = "run a command on the controller, for hooks",
     .effect = EFFECT_ONEWAY,
     .scope = SCOPE_CONTROLLER,
     .undo_arg = "cmd",
     .default_timeout_ms = 600000,
     .params = local_params,
     .run = cmd_local},
    {0},
};

const struct driver cmd_driver = {
    .name = "cmd",
    .help = "Commands of the pillar, in Salt's words: cmd.run on nodes, cmd.local on the controller.",
    .verbs = verbs,
};
