/* SPDX-License-Identifier: MIT */
/* release promote: what one environment runs, to another one. */
#include "cli/opening.h"
#include "cli/release.h"
#include "cli/session.h"

#include <string.h>

#include "watch/json.h"

static const struct option_def options[] = {
    {.name = "plan", .arg = "NAME", .help = "plan to follow (default: the pillar's plan)"},
    PILLAR_OPTIONS,
    {.name = "only", .arg = "NODE,..", .help = "only these nodes"},
    {.name = "exclude", .arg = "NODE,..", .help = "all but these nodes; recorded"},
    {.name = "only-role", .arg = "ROLE,..", .help = "only the nodes of these roles"},
    {.name = "stages", .arg = "LIST", .help = "how far to go before judging, as in 1,25%,100%"},
    {.name = "window", .arg = "N", .help = "nodes out at once, a number or a percentage"},
    RELEASE_OPTIONS,
    OPTION_END,
};
static const struct option_def rev_option = {.name = "rev", .arg = "REV", .help = ""};

static int look_plan(struct cli *cli, const char *env, struct plan **ret)
{
    auto_pillar struct pillar *pillar = NULL;
    int status = cli_pillar(cli, env, &pillar);
    const struct compile_request req = {.root = cli_root(cli), .env = env, .look = true};
    return status ? status : cli_compile(cli, pillar, &req, ret);
}

static const char *var_of(const struct plan *plan, const char *name)
{
    const char *value = op_pair_value(plan->vars, plan->n_vars, name);
    return value ? value : "";
}

/* A revision is the same one only out of the same place. */
static int same_source(struct cli *cli, const struct plan *from, const struct plan *to)
{
    const struct {
        const char *what, *from, *to;
    } rows[] = {{"application", from->app, to->app},
                {"repo", from->repo, to->repo},
                {"git: path", var_of(from, "git_path"), var_of(to, "git_path")}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].from, rows[i].to) != 0) {
            say_error(
                "promote: %s and %s are not the same: %s '%s' in %s, '%s' in %s; 'release run --rev REV %s' releases what you name; "
                "nothing was touched",
                from->env, to->env, rows[i].what, rows[i].from, from->env, rows[i].to, to->env,
                cli->words[1]);
            return EXIT_PREFLIGHT;
        }
    return 0;
}

static const struct node_state_info *state_of(const struct env_state *st, const char *node)
{
    for (size_t i = 0; i < st->n_nodes; i++)
        if (strcmp(st->nodes[i].node, node) == 0)
            return &st->nodes[i];
    return NULL;
}

/* The one revision that every node of the pillar was last seen to run. */
static int live_revision(const struct plan *from, const struct env_state *st, const char **ret)
{
    const struct node_state_info *first = NULL;
    if (st->unfinished) {
        say_error(
            "promote: release %lld of %s is not over, so nobody can say what it runs; 'release resume %s' or 'release rollback %s' "
            "first; nothing was touched",
            (long long)st->unfinished->id, from->env, from->env, from->env);
        return EXIT_PREFLIGHT;
    }
    for (size_t i = 0; i < from->n_nodes; i++) {
        const struct node_state_info *node = state_of(st, from->nodes[i].id);
        if (!node || !node->rev || !*node->rev) {
            say_error(
                "promote: what %s of %s runs is not known here: it was never released to by this journal; nothing was touched",
                from->nodes[i].id, from->env);
            return EXIT_PREFLIGHT;
        }
        if (first && strcmp(first->rev, node->rev) != 0) {
            say_error(
                "promote: %s does not run one revision: %s has %.12s, %s has %.12s; nothing was touched",
                from->env, first->node, first->rev, node->node, node->rev);
            return EXIT_PREFLIGHT;
        }
        first = first ? first : node;
    }
    if (!first) {
        say_error("promote: %s has no nodes; nothing was touched", from->env);
        return EXIT_PREFLIGHT;
    }
    *ret = first->rev;
    return 0;
}

static int take_revision(struct cli *cli, const struct plan *from, const char **ret)
{
    struct store *store;
    struct env_state st;
    struct err err;
    int status = cli_store(cli, STORE_READ, &store);
    if (status)
        return status;
    status = env_state_read(store, cli->words[0], &cli->arena, &st, &err) ? live_revision(from, &st, ret)
                                                                          : say_err(&err);
    store_close(store);
    return status;
}

static int promote(struct cli *cli)
{
    const char *from_env = cli->words[0], *to_env = cli->words[1], *rev = NULL;
    struct plan *from, *to;
    int status;
    if (strcmp(from_env, to_env) == 0) {
        say_error("promote: from %s to itself; nothing was touched", from_env);
        return EXIT_USAGE;
    }
    if ((status = look_plan(cli, from_env, &from)) || (status = look_plan(cli, to_env, &to)) ||
        (status = same_source(cli, from, to)) || (status = take_revision(cli, from, &rev)))
        return status;
    cli_take(cli, &rev_option, rev);
    say_note("%s runs %.12s", from_env, rev);
    return release_to(cli, to_env, arena_printf(&cli->arena, "promoting from %s:", from_env));
}

const struct command command_promote = {
    .name = "promote",
    .summary = "Release to one environment what another one runs",
    .usage = "FROM TO",
    .text =
        "The revision that every node of FROM runs by the journal is released to TO, as 'release run' does it. Both\n"
        "must be of one application and one repository (or source: an artifact is then the same byte for byte).\n"
        "FROM must run one revision, and no release of it may be unfinished.",
    .example = "  release promote test prod",
    .options = options,
    .min_words = 2,
    .max_words = 2,
    .run = promote,
};
