/* SPDX-License-Identifier: MIT */
/* release check: pillar, plan and the world, looked at without touching anything. */
#include "cli/opening.h"
#include "cli/plan_brief.h"

#include <inttypes.h>

static const struct option_def options[] = {
    PLAN_OPTIONS,
    OPTION_END,
};

/* "2 of them in rotation", or of each role: "worker 1 without a balancer, web 2 of 3 in rotation". */
static const char *rotation_text(const struct plan *plan, struct arena *arena)
{
    const char *text = "";
    if (plan->n_roles == 0)
        return plan->capacity ? arena_printf(arena, "%zu of them in rotation", plan_up(plan)) : "no balancer";
    for (size_t r = 0; r < plan->n_roles; r++) {
        const struct plan_role *role = &plan->roles[r];
        size_t n = plan_role_count(plan, r), up = 0;
        for (size_t i = 0; i < plan->n_nodes; i++)
            up += plan->nodes[i].role == r && plan->nodes[i].was_up;
        text =
            role->capacity_step.verb
                ? arena_printf(arena, "%s%s%s %zu of %zu in rotation", text, r ? ", " : "", role->name, up, n)
                : arena_printf(arena, "%s%s%s %zu without a balancer", text, r ? ", " : "", role->name, n);
    }
    return text;
}

/* Not wrong (a stage and its base may share a node), but to be known: only one of them can be released at a
 * time. */
static void say_shared(struct session *s, const struct plan *plan)
{
    struct site_shared *shared;
    struct err err;
    size_t n, n_sites;
    const struct site *sites = run_sites(plan, &s->cli->arena, &n_sites);
    if (!sites_shared(reader(s->store, &s->cli->arena),
                      &(struct sites){.env = s->env, .list = sites, .n = n_sites}, &shared, &n, &err))
        return;
    for (size_t i = 0; i < n; i++)
        say_note("%s; the two cannot be changed at the same time",
                 site_shared_text(&shared[i], &s->cli->arena));
}

static int check(struct session *s, struct plan *plan)
{
    int status;
    if ((status = session_secrets(s, plan)) || (status = session_preflight(s, plan)))
        return status;
    say_shared(s, plan);
    opening_tell(s->cli, s->env, plan);
    struct arena *arena = &s->cli->arena;
    const char *roles = plan_roles_text(plan, arena);
    if (cli_flag(s->cli, "json")) {
        out_printf("{\"kind\":\"check\",\"env\":\"%s\",\"plan\":\"%s\",\"rev\":\"%s\",\"nodes\":%zu,\"up\":%"
                   "zu,\"steps\":%zu,"
                   "\"window\":%" PRIu32 ",\"min_up\":%" PRIu32 "%s%s}\n",
                   s->env, plan->name, plan->rev ? plan->rev : "", plan->n_nodes, plan_up(plan),
                   plan->n_steps, plan->window, plan->min_up, roles ? ",\"roles\":" : "", roles ? roles : "");
        return 0;
    }
    for (size_t i = 0; i < plan->n_rendered; i++)
        say_note("%s (sha256 %.12s)", plan->rendered[i].name, plan->rendered[i].value);
    out_printf("%s: %zu node%s, %s, plan %s with %zu steps%s%.12s: fine\n", s->env, plan->n_nodes,
               plan->n_nodes == 1 ? "" : "s", rotation_text(plan, arena), plan->name, plan->n_steps,
               plan->rev && plan->rev[0] ? ", revision " : "", plan->rev ? plan->rev : "");
    return 0;
}

static int run(struct cli *cli)
{
    return session_with_plan(cli, cli_plan_look, STORE_READ, check);
}

const struct command command_check = {
    .name = "check",
    .summary = "Preflight only: is everything fit for a release?",
    .usage = "[ENV]",
    .text = "Reports every problem of pillar and plan (exit 2) or of nodes, balancers and repository (exit "
            "6) at once.",
    .example = "  release check prod",
    .options = options,
    .max_words = 1,
    .run = run,
};
