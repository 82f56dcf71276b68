/* SPDX-License-Identifier: MIT */
/* release pillar: the merged tree, each value with the file and line that it came from. */
#include "cli/session.h"

#include <stdlib.h>

#include "base/auto.h"

static const struct option_def options[] = {
    {.name = "file", .arg = "F", .help = "one file on its own instead of an environment"},
    {.name = "path", .arg = "A:B", .help = "only this part, as in release:app_servers"},
    PILLAR_OPTIONS,
    OPTION_END,
};

static int load_file(const char *file, const char *root, struct pillar **ret)
{
    auto_problems struct problems problems = {0};
    return pillar_load_file(file, root, ret, &problems) ? 0 : cli_problems(&problems, "pillar", EXIT_USAGE);
}

static int load_node(struct cli *cli, const char *env, const char *node, struct pillar **ret)
{
    auto_problems struct problems problems = {0};
    size_t n;
    const char *const *overrides = cli_opts(cli, "pillar", &n);
    if (!name_valid(node, 64)) {
        say_error("pillar: '%s' cannot be a node's id (letters, digits, '.', '_' and '-')", node);
        return EXIT_USAGE;
    }
    const struct pillar_request req = {.root = cli_root(cli),
                                       .env = env,
                                       .overrides = overrides,
                                       .n_overrides = n,
                                       .command = cli_opt(cli, "pillar-command"),
                                       .node = node};
    return pillar_load_as(&req, ret, &problems) ? 0 : cli_problems(&problems, "pillar", EXIT_USAGE);
}

/* What the environment's tree leaves out is said, not only left out. */
static int load_env(struct cli *cli, const char *env, struct pillar **ret)
{
    int status = cli_pillar(cli, env, ret);
    if (!status && pillar_differs(*ret))
        say_note("not the same on all nodes, so not shown: %s ('release pillar %s NODE' shows a node's own)",
                 pillar_differs(*ret), env);
    return status;
}

static int load(struct cli *cli, struct pillar **ret)
{
    if (cli_opt(cli, "file"))
        return load_file(cli_opt(cli, "file"), cli_opt(cli, "root"), ret);
    const char *env = cli_env(cli, 0);
    if (!env)
        return EXIT_USAGE;
    return cli->n_words > 1 ? load_node(cli, env, cli->words[1], ret) : load_env(cli, env, ret);
}

static int run(struct cli *cli)
{
    auto_pillar struct pillar *pillar = NULL;
    int status = load(cli, &pillar);
    if (status)
        return status;
    const char *path = cli_opt(cli, "path");
    if (path && !pillar_get(pillar, path)) {
        say_error("pillar: there is nothing at '%s'; 'release pillar %s' shows all of it", path,
                  cli->n_words ? cli->words[0] : "");
        return EXIT_USAGE;
    }
    auto_free char *text = cli_flag(cli, "json") ? pillar_json(pillar, path) : pillar_text(pillar, path);
    out_text(text);
    size_t n = 0;
    while (text[n])
        n++;
    if (n == 0 || text[n - 1] != '\n')
        out_text("\n");
    return 0;
}

const struct command command_pillar = {
    .name = "pillar",
    .summary = "The merged pillar, or one node's, each value with its file and line",
    .usage = "[ENV [NODE]] [--path A:B] | --file F",
    .example = "  release pillar prod --path release:balancer",
    .options = options,
    .max_words = 2,
    .run = run,
};
