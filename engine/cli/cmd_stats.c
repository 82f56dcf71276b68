/* SPDX-License-Identifier: MIT */
/* release stats: how an environment is released, in the four figures of DORA. */
#include "cli/session.h"

#include <stdlib.h>

#include "base/auto.h"
#include "base/clock.h"
#include "cli/doc_text.h"
#include "watch/stats.h"

#define DAY_MS   86400000
#define DAYS     90
#define DAYS_MAX 36500

static const struct option_def options[] = {
    {.name = "days", .arg = "N", .help = "of the last N days (default 90)"},
    {.name = "md", .help = "Markdown"},
    OPTION_END,
};

static void put_json(const struct stats *stats, struct buf *out)
{
    json_t *o = stats_json(stats);
    auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    must(text);
    json_decref(o);
    buf_printf(out, "%s\n", text);
}

static int days_of(struct cli *cli, long long *ret)
{
    struct err err;
    if (!cli_number(cli, "days", DAYS, ret, &err))
        return say_err(&err);
    if (*ret >= 1 && *ret <= DAYS_MAX)
        return 0;
    say_error("stats: --days: wanted 1 to %d", DAYS_MAX);
    return EXIT_USAGE;
}

static int run(struct cli *cli)
{
    auto_store struct store *store = NULL;
    auto_buf struct buf out = BUF_INIT(1024 * 1024);
    struct stats stats;
    struct err err;
    long long days;
    const char *env = cli_env(cli, 0);
    int status;
    if (!env)
        return EXIT_USAGE;
    if ((status = days_of(cli, &days)) || (status = cli_store(cli, STORE_READ, &store)) ||
        (status = cli_env_meant(cli, store, env)) || (status = cli_env_known(cli, store, env)))
        return status;
    int64_t now = clock_wall_ms();
    if (!stats_read(reader(store, &cli->arena),
                    &(struct stats_span){.env = env, .from_ms = now - days * DAY_MS, .to_ms = now}, &stats,
                    &err))
        return say_err(&err);
    const struct doc doc = stats_doc(&stats, &cli->arena);
    if (cli_flag(cli, "json"))
        put_json(&stats, &out);
    else if (cli_flag(cli, "md"))
        doc_markdown(&doc, &out);
    else
        doc_text(&doc, &out);
    out_buf(&out);
    return 0;
}

const struct command command_stats = {
    .name = "stats",
    .summary = "How often, how fast and how well an environment is released",
    .usage = "[ENV] [--days N]",
    .text =
        "The four figures of DORA, out of the journal: deployment frequency, lead time for changes, change failure rate,\n"
        "time to restore. Each says how it is counted; what was not recorded is unknown, and part of no figure.",
    .example = "  release stats prod --days 30",
    .options = options,
    .max_words = 1,
    .run = run,
};
