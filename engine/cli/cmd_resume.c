/* SPDX-License-Identifier: MIT */
/* release resume: go on with what was interrupted, by the plan that was frozen when it began. */
#include "cli/choose.h"
#include "cli/opening.h"

#include <inttypes.h>

static const struct option_def options[] = {
    {.name = "yes",
     .help = "accepted for scripts; resume never asks: the release was confirmed when it began"},
    ANY_TREE_OPTION,
    CHOOSE_OPTIONS,
    APPROVED_OPTION,
    OVERRIDE_WINDOW_OPTIONS,
    OPTION_END,
};

static int resume(struct session *s)
{
    struct release_info *r;
    struct err err;
    if (!release_unfinished(reader(s->store, &s->cli->arena), s->env, &r, &err))
        return say_err(&err);
    int status = r ? 0 : cli_env_known(s->cli, s->store, s->env);
    if (status)
        return status;
    if (!r) {
        say_error("resume: %s has no unfinished release in the journal %s; 'release history %s' lists them, "
                  "'release run --rev REV %s' starts a new one",
                  s->env, store_place(s->store), s->env, s->env);
        return EXIT_USAGE;
    }
    return session_continue(s, r, ORDER_RESUME);
}

static int run(struct cli *cli)
{
    struct session s;
    const char *env = cli_env(cli, 0);
    if (!env)
        return EXIT_USAGE;
    int status = session_begin(&s, cli, env, STORE_WRITE);
    if (!status)
        status = resume(&s);
    return session_end(&s, status, "resume ended");
}

const struct command command_resume = {
    .name = "resume",
    .summary = "Go on with an interrupted release",
    .usage = "[ENV]",
    .text =
        "Works from the journal: what was done stays done, what was under way is looked at first. The "
        "plan is the\n"
        "one that was frozen when the release began, whatever the pillar says today. A node that died for "
        "good is given\n"
        "up with --exclude, one that left the pillar is dropped: the release ends without it.",
    .example = "  release resume prod",
    .options = options,
    .max_words = 1,
    .run = run,
};
