/* SPDX-License-Identifier: MIT */
/* release task: a plan that is not a release (backup, data sync), with the same engine, lock and journal. */
#include "cli/confirm.h"

#include "base/auto.h"

static const struct option_def options[] = {
    {.name = "rev", .arg = "REV", .help = "for tasks that need a revision"},
    PILLAR_OPTIONS,
    {.name = "only", .arg = "NODE,..", .help = "only these nodes"},
    {.name = "exclude", .arg = "NODE,..", .help = "all but these nodes"},
    {.name = "yes", .help = "do not ask; without a terminal the only way where a yes is wanted"},
    {.name = "dry-run", .help = "preflight, show the plan, change nothing"},
    OPTION_END,
};

static int start(struct session *s, struct plan *plan)
{
    struct cli *cli = s->cli;
    int status;
    const char *why = arena_printf(&cli->arena, "task %s", plan->name);
    if ((status = session_refuse_unfinished(s)) || (status = session_lock(s, why, 0, false)) ||
        (status = session_secrets(s, plan)) || (status = session_preflight(s, plan)))
        return status;
    if (cli_flag(cli, "dry-run"))
        return session_dry_run(s, plan);
    return session_confirm(s, plan, NULL) ? session_start(s, plan, 0) : EXIT_USAGE;
}

static int run(struct cli *cli)
{
    const char *env = cli_env(cli, 1);
    auto_pillar struct pillar *pillar = NULL;
    struct plan *plan;
    struct session s;
    int status;
    if (!env)
        return EXIT_USAGE;
    if ((status = cli_pillar(cli, env, &pillar)))
        return status;
    struct compile_request req = {.root = cli_root(cli),
                                  .env = env,
                                  .plan_name = cli->words[0],
                                  .rev_typed = cli_opt(cli, "rev"),
                                  .only = cli_opt(cli, "only"),
                                  .exclude = cli_opt(cli, "exclude"),
                                  .task = true};
    if ((status = cli_compile(cli, pillar, &req, &plan)))
        return status;
    plan->kind = KIND_TASK;
    status = session_begin(&s, cli, env, STORE_WRITE);
    s.pillar = pillar;
    pillar = NULL;
    if (!status)
        status = start(&s, plan);
    return session_end(&s, status, "task ended");
}

const struct command command_task = {
    .name = "task",
    .summary = "Run a named plan that is not a release (backup, data sync)",
    .usage = "NAME [ENV]",
    .text = "NAME is a file plans/NAME.yml. A task takes the lock and is journaled; balancers are only "
            "touched when its\n"
            "plan has drain and enable phases.",
    .example = "  release task backup prod",
    .options = options,
    .min_words = 1,
    .max_words = 2,
    .run = run,
};
