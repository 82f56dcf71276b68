/* SPDX-License-Identifier: MIT */
/* release exec: a command on the nodes of an environment, under the lock and in the journal like any release,
 * but without touching a balancer. One word is text for the node's shell; several are passed on as they are.
 */
#include "cli/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static const struct option_def options[] = {
    {.name = "only", .arg = "NODE,..", .help = "only these nodes"},
    {.name = "exclude", .arg = "NODE,..", .help = "all but these nodes"},
    {.name = "timeout", .arg = "TIME", .help = "deadline on each node (default 10m)"},
    {.name = "runas", .arg = "USER", .help = "as another user of the node"},
    {.name = "cwd", .arg = "DIR", .help = "in this directory of the node"},
    PILLAR_OPTIONS,
    OPTION_END,
};

static const char *command_text(struct cli *cli)
{
    auto_buf struct buf text = BUF_INIT(128 * 1024);
    if (cli->n_rest == 1)
        buf_puts(&text, cli->rest[0]);
    else
        for (size_t i = 0; i < cli->n_rest; i++) {
            buf_puts(&text, i ? " " : "");
            quote_sh(&text, cli->rest[i]);
        }
    return text.cut ? NULL : arena_strdup(&cli->arena, buf_str(&text));
}

/* Steps hold templates: a brace that is meant is written twice (plans/plan.h). */
static const char *literal(struct arena *arena, const char *text)
{
    char *out = arena_alloc(arena, 2 * strlen(text) + 1), *p = out;
    for (; *text; text++) {
        if (*text == '{' || *text == '}')
            *p++ = *text;
        *p++ = *text;
    }
    return out;
}

static bool make_step(struct cli *cli, struct plan_step *ret, struct err *err)
{
    struct arena *arena = &cli->arena;
    struct op_pair *args = arena_array(arena, 4, sizeof *args);
    const char *cmd = command_text(cli), *timeout = cli_opt(cli, "timeout");
    int64_t timeout_ms = 600000;
    size_t n = 0;
    if (!cmd)
        return err_set(err, E_USAGE,
                       "exec: the command is longer than 128 KiB; put it into a script on the nodes");
    if (timeout && (!duration_parse(timeout, &timeout_ms) || timeout_ms <= 0))
        return err_set(err, E_USAGE, "exec: --timeout: '%s' is not a duration (wanted 90s, 10m, 1h)",
                       timeout);
    args[n++] = (struct op_pair){.name = "cmd", .value = literal(arena, cmd)};
    if (cli_opt(cli, "cwd"))
        args[n++] = (struct op_pair){.name = "cwd", .value = literal(arena, cli_opt(cli, "cwd"))};
    if (cli_opt(cli, "runas"))
        args[n++] = (struct op_pair){.name = "runas", .value = literal(arena, cli_opt(cli, "runas"))};
    *ret = (struct plan_step){.verb = "cmd.run",
                              .label = arena_printf(arena, "cmd.run %.60s", cmd),
                              .phase = PHASE_PREPARE,
                              .timeout_ms = timeout_ms,
                              .interval_ms = 500,
                              .args = args,
                              .n_args = n,
                              .where = "command line"};
    return true;
}

static int start(struct session *s, struct plan *plan)
{
    int status;
    if ((status = session_refuse_unfinished(s)) || (status = session_lock(s, "exec", 0, false)) ||
        (status = session_secrets(s, plan)) || (status = session_preflight(s, plan)))
        return status;
    return session_start(s, plan, 0);
}

static int run(struct cli *cli)
{
    const char *env = cli_env(cli, 0);
    auto_pillar struct pillar *pillar = NULL;
    struct plan_step *step = arena_alloc(&cli->arena, sizeof *step);
    struct plan *plan;
    struct session s;
    struct err err;
    int status;
    if (!env)
        return EXIT_USAGE;
    if (cli->n_rest == 0) {
        say_error("exec: which command? 'release exec %s -- uptime'", env);
        return EXIT_USAGE;
    }
    if (!make_step(cli, step, &err))
        return say_err(&err);
    if ((status = cli_plan_look(cli, env, &pillar, &plan)))
        return status;
    plan_only_step(plan, step, "exec");
    status = session_begin(&s, cli, env, STORE_WRITE);
    s.pillar = pillar;
    pillar = NULL;
    if (!status)
        status = start(&s, plan);
    return session_end(&s, status, "exec ended");
}

const struct command command_exec = {
    .name = "exec",
    .summary = "A command on the nodes, under the lock and in the journal",
    .usage = "[ENV] [--only NODE,..] -- CMD [ARG..]",
    .text = "Runs on all nodes at once and touches no balancer. One word behind -- is text for the node's "
            "shell; several\n"
            "are passed on as they are, without a shell looking at them. Exit status 1 when a node's command "
            "failed.",
    .example = "  release exec prod -- uptime\n  release exec prod --only app1 -- 'ls /srv | wc -l'",
    .options = options,
    .max_words = 1,
    .rest = true,
    .run = run,
};
