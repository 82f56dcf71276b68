/* SPDX-License-Identifier: MIT */
/* release history: past releases, newest first. */
#include "cli/session.h"

#include <inttypes.h>

#include "base/clock.h"
#include "cli/watching.h"

static const struct option_def options[] = {
    {.name = "limit", .arg = "N", .help = "at most N of them (default 20)"},
    OPTION_END,
};

static void add_row(struct table *t, struct arena *arena, const struct release_info *r)
{
    char when[CLOCK_TEXT_MAX], took[DURATION_TEXT_MAX] = "";
    if (r->ended_ms)
        duration_text(r->ended_ms - r->started_ms >= 10000 ? (r->ended_ms - r->started_ms) / 1000 * 1000
                                                           : r->ended_ms - r->started_ms,
                      took, sizeof took);
    const char *result = r->exit_status < 0 ? (r->resumable ? "unfinished" : "unfinished, given up")
                                            : arena_printf(arena, "%d %s%s", r->exit_status, end_text(r),
                                                           r->resumable ? " (resumable)" : "");
    const char *what = r->of_release
                           ? arena_printf(arena, "%s of %" PRId64, kind_name(r->kind), r->of_release)
                           : kind_name(r->kind);
    TABLE_ROW(t, arena_printf(arena, "%" PRId64, r->id), r->app, env_bare(r->env), what,
              r->rev[0] ? arena_strndup(arena, r->rev, 12) : "-",
              clock_text(r->started_ms, when, sizeof when), took,
              arena_printf(arena, "%s@%s", r->who, r->host), result);
}

static int print(struct cli *cli, struct store *store, const struct release_info *list, size_t n)
{
    auto_buf struct buf out = BUF_INIT(16 * 1024 * 1024);
    if (cli_flag(cli, "json"))
        for (size_t i = 0; i < n; i++)
            jsonl_release(&list[i], &out);
    else if (n == 0)
        buf_printf(&out, "no releases yet in the journal %s\n", store_place(store));
    else {
        struct table t;
        table_init(&t, &cli->arena, 9);
        TABLE_ROW(&t, "N", "APP", "ENV", "WHAT", "REVISION", "STARTED", "TOOK", "WHO", "RESULT");
        for (size_t i = 0; i < n; i++)
            add_row(&t, &cli->arena, &list[i]);
        table_render(&t, &out);
    }
    out_buf(&out);
    return 0;
}

static int run(struct cli *cli)
{
    auto_store struct store *store = NULL;
    struct release_info *list;
    const char *env;
    struct err err;
    long long limit;
    size_t n;
    int status;
    if ((status = cli_env_or_all(cli, 0, &env)) || (status = cli_store(cli, STORE_READ, &store)))
        return status;
    if (env && (status = cli_env_meant(cli, store, env)))
        return status;
    if (!cli_number(cli, "limit", 20, &limit, &err) ||
        !release_list(reader(store, &cli->arena), &(struct newest){.env = env, .limit = (size_t)limit}, &list,
                      &n, &err))
        return say_err(&err);
    if (n == 0 && env && (status = cli_env_known(cli, store, env)))
        return status;
    return print(cli, store, list, n);
}

const struct command command_history = {
    .name = "history",
    .summary = "Past releases, newest first",
    .usage = "[ENV] [--limit N]",
    .example = "  release history prod",
    .options = options,
    .max_words = 1,
    .run = run,
};
