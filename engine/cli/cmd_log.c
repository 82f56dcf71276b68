/* SPDX-License-Identifier: MIT */
/* release log: what a release did and what its steps printed. */
#include "cli/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/signals.h"
#include "cli/watching.h"

static const struct option_def options[] = {
    {.name = "node", .arg = "NODE", .help = "only this node"},
    {.name = "step", .arg = "STEP", .help = "only this step, by number, verb or label"},
    {.name = "follow", .help = "go on until the release ends"},
    {.name = "raw", .help = "the bytes as they came (not to a terminal)"},
    OPTION_END,
};

static int find_step(struct cli *cli, const struct watch_plan *plan, int *ret)
{
    const char *wanted = cli_opt(cli, "step");
    long long number;
    *ret = -1;
    if (!wanted)
        return 0;
    if (parse_number(wanted, &number) && number < (long long)plan->n_steps) {
        *ret = (int)number;
        return 0;
    }
    for (size_t i = 0; i < plan->n_steps; i++)
        if (strcmp(plan->steps[i].verb, wanted) == 0 || strcmp(plan->steps[i].label, wanted) == 0) {
            *ret = (int)i;
            return 0;
        }
    say_error("log: release %" PRId64 " has no step '%s'; its steps are:", plan->release, wanted);
    for (size_t i = 0; i < plan->n_steps; i++)
        say_note("  %zu  %-24s %s", i, plan->steps[i].verb, plan->steps[i].label);
    return EXIT_USAGE;
}

static int find_node(struct cli *cli, const struct watch_plan *plan)
{
    const char *wanted = cli_opt(cli, "node");
    if (!wanted)
        return 0;
    for (size_t i = 0; i < plan->n_nodes; i++)
        if (strcmp(plan->nodes[i], wanted) == 0)
            return 0;
    int near = str_nearest(wanted, plan->nodes, plan->n_nodes);
    say_error("log: release %" PRId64 " has no node '%s'%s%s%s", plan->release, wanted,
              near >= 0 ? "; did you mean '" : "", near >= 0 ? plan->nodes[near] : "", near >= 0 ? "'?" : "");
    return EXIT_USAGE;
}

/* Bytes as they came, for files and other programs; a terminal would obey them. */
static int raw(struct cli *cli, struct store *store, const struct watch_plan *plan, int step)
{
    int64_t id = 0;
    size_t n;
    if (isatty(STDOUT_FILENO)) {
        say_error("log: --raw to a terminal could make it do anything; send it to a file or through a pipe");
        return EXIT_USAGE;
    }
    do {
        auto_arena struct arena arena = {0};
        struct output *o;
        struct err err;
        if (!output_read(reader(store, &arena),
                         &(struct output_range){.release = plan->release,
                                                .node = cli_opt(cli, "node"),
                                                .step = step,
                                                .after = id,
                                                .limit = 64},
                         &o, &n, &err))
            return say_err(&err);
        for (size_t i = 0; i < n; i++) {
            struct buf bytes = {.data = (char *)(uintptr_t)o[i].data, .len = o[i].n};
            id = o[i].id;
            if (o[i].stream > 0 && write(STDOUT_FILENO, bytes.data, bytes.len) < 0)
                return 0;
        }
    } while (n == 64);
    return 0;
}

static int show(struct cli *cli, struct store *store, const struct watch_plan *plan, int step)
{
    struct err err;
    bool follow = cli_flag(cli, "follow");
    struct watch_spec spec = {.state_path = store_place(store),
                              .plan = plan,
                              .form = cli_flag(cli, "json") ? WATCH_JSON : WATCH_PLAIN,
                              .out_fd = STDOUT_FILENO,
                              .wake_fd = -1,
                              .output = true,
                              .colour = watching_colour(STDOUT_FILENO),
                              .quit_on_death = follow,
                              .node = cli_opt(cli, "node"),
                              .step = step,
                              .once = !follow};
    int stop_fd = follow ? signals_open() : -1;
    if (watch_run(&spec, stop_fd, &err))
        return signals_taken(stop_fd) ? EXIT_SIGINT : 0;
    return say_err(&err);
}

static int run(struct cli *cli)
{
    auto_store struct store *store = NULL;
    struct release_info *r;
    struct plan *plan;
    int status, step;
    if ((status = cli_store(cli, STORE_READ, &store)) || (status = cli_release_meant(cli, store, &r)) ||
        (status = stored_plan(cli, store, r->id, &plan)))
        return status;
    const struct watch_plan *w = watching_plan(&cli->arena, NULL, plan, r->id);
    if ((status = find_node(cli, w)) || (status = find_step(cli, w, &step)))
        return status;
    if (cli_flag(cli, "raw"))
        return raw(cli, store, w, step);
    if (plan->overrides && !cli_flag(cli, "json"))
        out_printf("overridden: %s\n", plan_overrides_text(plan, &cli->arena));
    return show(cli, store, w, step);
}

const struct command command_log = {
    .name = "log",
    .summary = "What a release did and what its steps printed",
    .usage = "[N | ENV] [--node NODE] [--step STEP] [--follow]",
    .text = "N is the number of a release; without it the newest one. Output of steps is made safe for "
            "terminals;\n"
            "--raw gives the bytes as they came.",
    .example = "  release log 41 --node app2 --follow",
    .options = options,
    .max_words = 1,
    .run = run,
};
