/* release run: a new revision on every node of an environment. */
#include "cli/confirm.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

static const struct option_def options[] = {
    PLAN_OPTIONS,
    {.name = "yes", .help = "do not ask; without a terminal the only way where a yes is wanted"},
    {.name = "dry-run", .help = "preflight, show the plan, change nothing"},
    {.name = "digest", .arg = "HEX", .help = "only when the plan is still this one ('release plan --brief')"},
    APPROVED_OPTION,
    OPTION_END,
};

/* Somebody said yes to one plan; what came meanwhile (another node down, a moved branch) makes another. */
static int same_plan(struct cli *cli, const struct plan *plan)
{
    const char *wanted = cli_opt(cli, "digest");
    char digest[65];
    if (!wanted)
        return 0;
    plan_consent(plan, digest);
    if (strcmp(wanted, digest) == 0)
        return 0;
    say_error("run: the plan is not the one that was confirmed (%.12s, now %.12s): nodes, revision or "
              "settings have "
              "changed since; look at it again and confirm it; nothing was touched",
              wanted, digest);
    return EXIT_PREFLIGHT;
}

static int run_locked(struct session *s, struct plan *plan)
{
    struct cli *cli = s->cli;
    int status;
    if ((status = session_secrets(s, plan)) || (status = session_preflight(s, plan)) ||
        (status = same_plan(cli, plan)))
        return status;
    if (cli_flag(cli, "dry-run"))
        return session_dry_run(s, plan);
    return session_confirm(s, plan, NULL) ? session_start(s, plan, 0) : EXIT_USAGE;
}

static int run(struct cli *cli)
{
    const char *env = cli_env(cli, 0);
    auto_pillar struct pillar *pillar = NULL;
    struct plan *plan;
    struct session s;
    int status;
    if (!env)
        return EXIT_USAGE;
    if ((status = cli_plan(cli, env, &pillar, &plan)))
        return status;
    if ((status = session_begin(&s, cli, env, STORE_WRITE)))
        return session_end(&s, status, "");
    s.pillar = pillar;
    pillar = NULL;
    const char *why =
        arena_printf(&cli->arena, "releasing %s", plan->rev_typed ? plan->rev_typed : plan->name);
    if (!(status = session_refuse_unfinished(&s)) && !(status = session_lock(&s, why, 0, false)))
        status = run_locked(&s, plan);
    return session_end(&s, status, "run ended");
}

const struct command command_run = {
    .name = "run",
    .summary = "Release a revision to an environment, node by node",
    .usage = "--rev REV [ENV]",
    .text = "Takes the lock, asks every node and balancer whether they are fit (preflight), freezes the plan "
            "in the\n"
            "journal and walks it: prepare on all nodes, then node by node drain, change, check, enable. On "
            "a failure\n"
            "every touched node goes back to what it ran before (on_failure: rollback). Ctrl-C once finishes "
            "the nodes\n"
            "that are out and stops; twice stops now. Both leave the release resumable.",
    .example = "  release run --rev f5d9859 prod",
    .options = options,
    .max_words = 1,
    .run = run,
};
