/* release pillar: the merged tree, each value with the file and line that it came from. */
#include "cli/session.h"

#include <stdlib.h>

#include "base/auto.h"

static const struct option_def options[] = {
    {.name = "file", .arg = "F", .help = "one file on its own instead of an environment"},
    {.name = "path", .arg = "A:B", .help = "only this part, as in release:app_servers"},
    {.name = "pillar", .arg = "JSON", .help = "merged into the pillar, deep", .many = true},
    OPTION_END,
};

static int load(struct cli *cli, struct pillar **ret)
{
    const char *file = cli_opt(cli, "file");
    const char *env = file ? NULL : cli_env(cli, 0);
    if (!file)
        return env ? cli_pillar(cli, env, ret) : EXIT_USAGE;
    auto_problems struct problems problems = {0};
    if (pillar_load_file(file, ret, &problems))
        return 0;
    return cli_problems(&problems, "pillar", EXIT_USAGE);
}

/* The node's own entry, for `release pillar ENV NODE`. */
static const char *wanted_path(struct cli *cli)
{
    if (cli->n_words > 1)
        return arena_printf(&cli->arena, "release:app_servers:%s", cli->words[1]);
    return cli_opt(cli, "path");
}

static int run(struct cli *cli)
{
    auto_pillar struct pillar *pillar = NULL;
    int status = load(cli, &pillar);
    if (status)
        return status;
    const char *path = wanted_path(cli);
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
    .summary = "The merged pillar, each value with its file and line",
    .usage = "[ENV [NODE]] [--path A:B] | --file F",
    .example = "  release pillar prod --path release:balancer",
    .options = options,
    .max_words = 2,
    .run = run,
};
