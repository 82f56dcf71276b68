/* SPDX-License-Identifier: MIT */
/* release run: a new revision on every node of an environment. */
#include "cli/confirm.h"
#include "cli/opening.h"
#include "cli/plan_brief.h"
#include "cli/release.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "run/look.h"

static const struct option_def options[] = {PLAN_OPTIONS, RELEASE_OPTIONS, OPTION_END};

/* What was typed, as the repository knows it. */
static int revision_of(struct session *s, const struct plan *plan, const char **ret)
{
    struct probe *answer;
    size_t n;
    int status;
    if (!plan->resolve_step.verb) {
        say_error("run: --only-outdated: plan %s is not about a revision; nothing was touched", plan->name);
        return EXIT_USAGE;
    }
    if ((status = probe_step(s, plan, &plan->resolve_step, &answer, &n)))
        return status;
    for (size_t i = 0; n == 1 && i < answer[0].n_facts; i++)
        if (strcmp(answer[0].facts[i].name, "rev") == 0) {
            *ret = answer[0].facts[i].value;
            return 0;
        }
    say_error("run: revision '%s': %s; nothing was touched", plan->rev_typed, n == 1 ? answer[0].text : "");
    return EXIT_PREFLIGHT;
}

/* Its directory is brought to the revision once for all of its instances. */
static bool host_is_outdated(const struct plan *plan, const struct look *looks, size_t i, const char *rev)
{
    while (!plan_first_of_host(plan, i))
        i--;
    bool any = !look_runs(&looks[i], rev);
    for (size_t k = i + 1; k < plan->n_nodes && !plan_first_of_host(plan, k); k++)
        any |= !look_runs(&looks[k], rev);
    return any;
}

/* Only nodes that do not run the revision, or of which that is not certain, stay in the plan; NULL: none. */
static int outdated(struct session *s, struct plan **plan)
{
    struct cli *cli = s->cli;
    struct look *looks;
    struct err err;
    const char *rev = NULL;
    size_t n_left = 0;
    int status = revision_of(s, *plan, &rev);
    if (status)
        return status;
    if (!run_look(*plan, &cli->arena, &s->opt, &looks, &err))
        return say_err(&err);
    auto_buf struct buf only = BUF_INIT(4 * 1024 * 1024);
    for (size_t i = 0; i < (*plan)->n_nodes; i++)
        if (host_is_outdated(*plan, looks, i, rev)) {
            buf_printf(&only, "%s%s", only.len ? "," : "", (*plan)->nodes[i].id);
            n_left++;
        }
    say_note("%zu of %zu nodes run %.12s already%s", (*plan)->n_nodes - n_left, (*plan)->n_nodes, rev,
             n_left ? " and are left alone" : ": nothing to do; without --only-outdated they are restarted");
    if (n_left == 0) {
        *plan = NULL;
        return 0;
    }
    const struct plan *all = *plan;
    if (n_left == all->n_nodes)
        return 0;
    status = cli_plan_only(cli, s->env, s->pillar, arena_strdup(&cli->arena, buf_str(&only)), plan);
    if (!status) {
        (*plan)->overrides = all->overrides;
        (*plan)->override = all->override;
    }
    return status;
}

static int run_locked(struct session *s, struct plan *plan)
{
    struct cli *cli = s->cli;
    int status;
    if ((status = session_secrets(s, plan)))
        return status;
    if (cli_flag(cli, "only-outdated") && ((status = outdated(s, &plan)) || !plan))
        return status;
    if ((status = session_preflight(s, plan)) || (status = plan_as_confirmed(cli, plan)))
        return status;
    if (cli_flag(cli, "dry-run"))
        return session_dry_run(s, plan);
    return session_confirm(s, plan, NULL) ? session_start(s, plan, 0) : EXIT_USAGE;
}

int release_to(struct cli *cli, const char *env, const char *deed)
{
    auto_pillar struct pillar *pillar = NULL;
    struct plan *plan;
    struct session s;
    int status;
    if ((status = cli_plan(cli, env, &pillar, &plan)))
        return status;
    if ((status = opening_ask(cli, env, plan, cli_flag(cli, "dry-run"))))
        return status;
    if ((status = session_begin(&s, cli, env, STORE_WRITE)))
        return session_end(&s, status, "");
    s.pillar = pillar;
    pillar = NULL;
    const char *overrides = plan_overrides_text(plan, &cli->arena);
    const char *why =
        arena_printf(&cli->arena, "%s %s%s%s", deed, plan->rev_typed ? plan->rev_typed : plan->name,
                     *overrides ? ", overriding " : "", overrides);
    if (!(status = session_refuse_unfinished(&s)) && !(status = session_lock(&s, why, 0, false)))
        status = run_locked(&s, plan);
    return session_end(&s, status, "run ended");
}

static int run(struct cli *cli)
{
    const char *env = cli_env(cli, 0);
    return env ? release_to(cli, env, "releasing") : EXIT_USAGE;
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
