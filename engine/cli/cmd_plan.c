/* SPDX-License-Identifier: MIT */
/* release plan: everything that a release would do, without doing any of it. */
#include "cli/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "cli/opening.h"
#include "cli/plan_brief.h"
#include "cli/watching.h"

static const struct option_def options[] = {
    PLAN_OPTIONS,
    {.name = "brief",
     .help = "one JSON object instead: revision, nodes, capacity, commits in figures, and the plan's digest"},
    OPTION_END,
};

const char *plan_git_path(const struct plan *plan)
{
    return op_pair_value(plan->vars, plan->n_vars, "git_path");
}

static void list_runners(const struct plan *plan, const char *rev, struct buf *out)
{
    size_t n = 0, shown = 0;
    for (size_t i = 0; i < plan->n_nodes; i++)
        if (strcmp(plan->nodes[i].rev_before, rev) == 0 && ++n <= 6)
            buf_printf(out, "%s%s", shown++ ? ", " : "", plan->nodes[i].id);
    if (n > 6)
        buf_printf(out, " and %zu more", n - 6);
}

const char *probe_fact(const struct probe *probe, const char *name)
{
    for (size_t i = 0; i < probe->n_facts; i++)
        if (strcmp(probe->facts[i].name, name) == 0)
            return probe->facts[i].value;
    return "";
}

static const char *direction_text(int direction)
{
    if (direction == DIRECTION_BACKWARD)
        return "    BACK to an ancestor; it takes away:\n";
    if (direction == DIRECTION_SIDEWAYS)
        return "    another line of history; it adds:\n";
    return "";
}

static void put_log(const struct probe *probe, struct buf *out)
{
    size_t shown = 0;
    buf_puts(out, direction_text(direction_from_name(probe_fact(probe, "direction"))));
    for (size_t i = 0; i < probe->n_facts; i++)
        if (str_starts(probe->facts[i].name, "commit.")) {
            buf_puts(out, "    ");
            text_visible(out, probe->facts[i].value, strlen(probe->facts[i].value));
            buf_puts(out, "\n");
            shown++;
        }
    long long count;
    if (shown == 0 && strcmp(probe_fact(probe, "count"), "0") == 0)
        buf_puts(out, "    (none)\n");
    if (parse_number(probe_fact(probe, "count"), &count) && count > (long long)shown)
        buf_printf(out, "    ... and %lld more\n", count - (long long)shown);
}

const struct probe *plan_commits(struct session *s, const struct plan *plan, const char *before,
                                 const char *to, const char **ret_why)
{
    struct probes probes = {.arena = &s->cli->arena};
    struct err err;
    *ret_why = "this plan has no repository";
    if (!plan->log_step.verb)
        return NULL;
    struct plan_step step = plan_log_between(plan, before, to, &s->cli->arena);
    bool ok = run_probe(plan, &step, &s->opt, &probes, &err);
    if (ok && probes.n > 0 && probes.list[0].outcome == OUT_OK)
        return &probes.list[0];
    *ret_why = !ok ? arena_strdup(&s->cli->arena, err.text) : probes.n ? probes.list[0].text : "no answer";
    return NULL;
}

static void put_commits(struct session *s, const struct plan *plan, const char *before, struct buf *out)
{
    const char *why;
    const struct probe *probe = plan_commits(s, plan, before, plan->rev, &why);
    if (probe)
        put_log(probe, out);
    else
        buf_printf(out, "    (the commits cannot be listed: %s)\n", why);
}

static void put_changes(struct session *s, const struct plan *plan, struct buf *out)
{
    const char *path = plan_git_path(plan);
    buf_puts(out, "\ncommits");
    if (path) {
        buf_puts(out, " that touch ");
        text_visible(out, path, strlen(path));
    }
    buf_puts(out, ":\n");
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const char *before = plan->nodes[i].rev_before;
        if (!plan_first_of_change(plan, i))
            continue;
        buf_printf(out, "  %.12s -> %s  on ", before[0] ? before : "nothing", plan->rev);
        list_runners(plan, before, out);
        buf_puts(out, "\n");
        if (strcmp(before, plan->rev) == 0)
            buf_puts(out, "    (runs it already)\n");
        else if (before[0])
            put_commits(s, plan, before, out);
    }
}

static void put_eta(struct session *s, const struct plan *plan, struct buf *out)
{
    struct model m;
    char text[DURATION_TEXT_MAX];
    model_init(&m, watching_plan(&s->cli->arena, s->store, plan, 0));
    m.started_ms = clock_wall_ms();
    int64_t left = model_left_ms(&m, m.started_ms);
    if (left >= 0)
        buf_printf(out, "\ntime: about %s, by past releases of %s\n",
                   duration_text((left + 999) / 1000 * 1000, text, sizeof text), plan->env);
    else
        buf_printf(out, "\ntime: not known; there is no past release of %s with this plan\n", plan->env);
    model_fini(&m);
}

static int show(struct session *s, struct plan *plan)
{
    int status;
    if ((status = session_secrets(s, plan)) || (status = session_preflight(s, plan)))
        return status;
    bool brief = cli_flag(s->cli, "brief");
    if (!brief)
        opening_tell(s->cli, s->env, plan);
    else if ((status = opening_refuse(s->cli, s->env,
                                      plan))) /* who is asked for a yes is told that it would be refused */
        return status;
    if (brief) {
        brief_print(s, plan, NULL);
        return 0;
    }
    if (cli_flag(s->cli, "json")) {
        auto_free char *json = plan_encode(plan);
        out_printf("%s\n", json);
        return 0;
    }
    auto_buf struct buf out = BUF_INIT(32 * 1024 * 1024);
    auto_free char *text = plan_text(plan);
    buf_puts(&out, text);
    if (plan->needs_rev)
        put_changes(s, plan, &out);
    put_eta(s, plan, &out);
    out_buf(&out);
    return 0;
}

static int run(struct cli *cli)
{
    return session_with_plan(cli, cli_plan, STORE_READ, show);
}

const struct command command_plan = {
    .name = "plan",
    .summary = "Everything that a release would do, read-only",
    .usage = "--rev REV [ENV]",
    .text = "Asks nodes, balancers and repository, changes nothing, and prints the order of the nodes, "
            "stages, window and\n"
            "floor, every step, the commits between what each node runs and REV, run-once steps and the time "
            "it takes.\n"
            "With --json the frozen plan itself, with --brief what a person has to know before saying yes.",
    .example = "  release plan --rev f5d9859 prod",
    .options = options,
    .max_words = 1,
    .run = run,
};
