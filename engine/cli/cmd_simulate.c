/* SPDX-License-Identifier: MIT */
/* release simulate: rehearse a plan. The same rules as `release run` in virtual time, against a simulated
 * fleet. */
#include "cli/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "cli/watching.h"
#include "sim/from_plan.h"

#define SHOWN_NODES 50 /* with more, lines about single nodes only when something went wrong there */
#define THEN_MAX    8

static const struct option_def options[] = {
    PLAN_OPTIONS,
    {.name = "nodes", .arg = "N", .help = "as if there were N nodes"},
    {.name = "fault", .arg = "FAULT", .help = "something that goes wrong, as below", .many = true},
    {.name = "then",
     .arg = "ORDER",
     .help = "afterwards: resume, rollback, or heal (the faults are gone)",
     .many = true},
    {.name = "seed", .arg = "S", .help = "draw durations from S; the same S is the same run"},
    {.name = "all", .help = "every line also with many nodes"},
    OPTION_END,
};

struct stage {
    bool json, all;
    const struct sim_plan *plan;
    struct buf out;
};

static void tell(void *ctx, const struct sim_line *line)
{
    struct stage *st = ctx;
    int64_t at_ms = line->at_ms;
    if (!st->all && st->plan->core.n_nodes > SHOWN_NODES && line->routine)
        return;
    if (st->json) {
        buf_printf(&st->out, "{\"kind\":\"line\",\"at_ms\":%" PRId64 ",\"text\":\"", at_ms);
        for (const char *p = line->text; *p; p++)
            buf_printf(&st->out, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
        buf_puts(&st->out, "\"}\n");
    } else {
        buf_printf(&st->out, "[%7" PRId64 ".%03d] %s\n", at_ms / 1000, (int)(at_ms % 1000), line->text);
    }
}

static int add_faults(struct cli *cli, const struct sim_plan *plan, struct sim *sim)
{
    size_t n;
    const char *const *texts = cli_opts(cli, "fault", &n);
    for (size_t i = 0; i < n; i++) {
        struct sim_fault fault;
        struct err err;
        if (i >= SIM_FAULTS_MAX) {
            say_error("simulate: more than %d faults", SIM_FAULTS_MAX);
            return EXIT_USAGE;
        }
        if (!sim_fault_parse(plan, texts[i], &fault, &err)) {
            err_wrap(&err, "simulate: --fault %s", texts[i]);
            return say_err(&err);
        }
        sim_fault(sim, &fault);
    }
    return 0;
}

/* What past releases took, where the journal knows. */
static void use_past_times(struct cli *cli, const struct plan *plan, struct sim_plan *sp)
{
    struct store *store;
    struct step_time *times;
    struct err err;
    size_t n;
    const char *path;
    if (cli_state(cli, STORE_READ, &path) || !store_open(path, STORE_READ, &store, &err))
        return;
    store_scope(store, cli_tree(cli));
    store_app(store, plan->env, plan->app);
    if (journal_step_times(reader(store, &cli->arena),
                           &(struct plan_runs){.env = plan->env, .plan = plan->name}, &times, &n, &err))
        for (size_t i = 0; i < n; i++)
            if (times[i].step >= 0 && (size_t)times[i].step < plan->n_steps && times[i].median_ms >= 0 &&
                strcmp(times[i].verb, plan->steps[times[i].step].verb) == 0)
                sp->steps[times[i].step].ms = times[i].median_ms;
    store_close(store);
}

static bool order_of(const char *text, enum order *ret)
{
    *ret = strcmp(text, "resume") == 0 ? ORDER_RESUME : ORDER_ROLLBACK;
    return *ret == ORDER_RESUME || strcmp(text, "rollback") == 0;
}

static uint32_t least_of(const struct plan *plan, const struct sim_figures *fig, uint32_t role)
{
    uint32_t of = (uint32_t)plan_role_count(plan, role);
    return fig->least_up[role] > of ? of : fig->least_up[role];
}

/* In rotation behind balancers, of all roles that have one, and what must stay of them. */
static uint32_t sum_up(const struct stage *st, const struct plan *plan, const struct sim_figures *fig,
                       uint32_t *ret_min_up)
{
    uint32_t least = 0;
    *ret_min_up = 0;
    for (uint32_t r = 0; r < plan_n_roles(plan); r++) {
        bool counts = plan->n_roles == 0 || !st->plan->bare[r];
        least += counts ? least_of(plan, fig, r) : 0;
        *ret_min_up += counts ? plan_role_of(plan, r).min_up : 0;
    }
    return least;
}

static void put_roles(struct stage *st, const struct plan *plan, const struct sim_figures *fig)
{
    for (uint32_t r = 0; r < plan->n_roles; r++) {
        buf_printf(&st->out,
                   "%s{\"name\":\"%s\",\"nodes\":%zu,\"min_up\":%u,\"least_up\":", r ? "," : ",\"roles\":[",
                   plan->roles[r].name, plan_role_count(plan, r), plan->roles[r].min_up);
        buf_printf(&st->out, st->plan->bare[r] ? "null}" : "%u}", least_of(plan, fig, r));
    }
    buf_puts(&st->out, plan->n_roles ? "]" : "");
}

static void put_end(struct stage *st, const struct plan *plan, struct sim *sim, int status)
{
    struct sim_figures fig = sim_figures(sim);
    char text[DURATION_TEXT_MAX];
    uint32_t n = st->plan->core.n_nodes, min_up, least = sum_up(st, plan, &fig, &min_up);
    if (st->json) {
        buf_printf(&st->out,
                   "{\"kind\":\"simulated\",\"env\":\"%s\",\"plan\":\"%s\",\"nodes\":%u,\"exit\":%d,"
                   "\"duration_ms\":%" PRId64 ",\"least_up\":%u,\"min_up\":%u,\"commits\":%" PRIu64
                   ",\"ops\":%" PRIu64,
                   plan->env, plan->name, n, status, fig.now_ms, least, min_up, fig.n_commits, fig.n_ops);
        put_roles(st, plan, &fig);
        buf_puts(&st->out, "}\n");
        return;
    }
    buf_printf(&st->out, "\n%u node%s, plan %s with %zu steps: %s; ", n, n == 1 ? "" : "s", plan->name,
               plan->n_steps, duration_text(fig.now_ms, text, sizeof text));
    for (uint32_t r = 0; st->plan->n_lbs > 0 && r < plan_n_roles(plan); r++) {
        struct plan_role role = plan_role_of(plan, r);
        if (!st->plan->bare[r])
            buf_printf(&st->out, "%s%sat least %u of %zu in rotation (%u must stay); ", role.name,
                       *role.name ? ": " : "", least_of(plan, &fig, r), plan_role_count(plan, r),
                       role.min_up);
    }
    buf_printf(&st->out, "it would end with exit status %d\n", status);
}

static int play(struct cli *cli, const struct plan *plan, struct stage *st, struct sim *sim)
{
    size_t n;
    int status, unused;
    const char *const *then = cli_opts(cli, "then", &n);
    if ((status = add_faults(cli, st->plan, sim)))
        return status;
    sim_session(sim, ORDER_START, &status);
    for (size_t i = 0; i < n; i++) {
        enum order order;
        if (strcmp(then[i], "heal") == 0)
            sim_heal(sim);
        else if (!order_of(then[i], &order)) {
            say_error("simulate: --then %s: wanted resume, rollback or heal", then[i]);
            return EXIT_USAGE;
        } else if (sim_resumable(sim))
            sim_session(sim, order, &status);
    }
    put_end(st, plan, sim, status);
    out_buf(&st->out);
    unused = status;
    if (sim_broken(sim)) {
        say_error("simulate: a promise is broken, please report it with this command line: %s",
                  sim_broken(sim));
        return EXIT_PERSON;
    }
    return unused;
}

static int compile(struct cli *cli, const char *env, struct pillar **ret_pillar, struct plan **ret)
{
    long long n_nodes;
    struct err err;
    int status = cli_pillar(cli, env, ret_pillar);
    if (status)
        return status;
    if (!cli_number(cli, "nodes", 0, &n_nodes, &err))
        return say_err(&err);
    if (n_nodes > PLAN_NODES_MAX) {
        say_error("simulate: --nodes %lld: at most %d", n_nodes, PLAN_NODES_MAX);
        return EXIT_USAGE;
    }
    struct compile_request req = {
        .root = cli_root(cli),
        .env = env,
        .plan_name = cli_opt(cli, "plan"),
        .rev_typed = cli_opt(cli, "rev"),
        .only = cli_opt(cli, "only"),
        .exclude = cli_opt(cli, "exclude"),
        .only_role = cli_opt(cli, "only-role"),
        .stages = cli_opt(cli, "stages") ? cli_opt(cli, "stages") : cli_opt(cli, "stage"),
        .window = cli_opt(cli, "window"),
        .n_rehearsed = (size_t)n_nodes,
    };
    return cli_compile(cli, *ret_pillar, &req, ret);
}

static int run(struct cli *cli)
{
    const char *env = cli_env(cli, 0);
    auto_pillar struct pillar *pillar = NULL;
    struct plan *plan;
    struct sim_plan sp;
    struct err err;
    long long seed;
    int status;
    if (!env)
        return EXIT_USAGE;
    if ((status = compile(cli, env, &pillar, &plan)))
        return status;
    if (!cli_number(cli, "seed", 0, &seed, &err))
        return say_err(&err);
    sim_plan_of(plan, &cli->arena, &sp);
    use_past_times(cli, plan, &sp);
    struct stage st = {.json = cli_flag(cli, "json"),
                       .all = cli_flag(cli, "all"),
                       .plan = &sp,
                       .out = BUF_INIT(256u * 1024u * 1024u)};
    struct sim *sim = sim_new(&sp, &(struct sim_options){.seed = (uint64_t)seed,
                                                         .steady = !cli_opt(cli, "seed"),
                                                         .fast = sp.core.n_nodes > 200,
                                                         .story = tell,
                                                         .ctx = &st});
    status = play(cli, plan, &st, sim);
    sim_free(sim);
    buf_fini(&st.out);
    return status;
}

#define FAULT_LINE(n, t, w, h) "  " t ": " h "\n"
const struct command command_simulate = {
    .name = "simulate",
    .summary = "Rehearse a release in virtual time, on a simulated fleet",
    .usage = "--rev REV [ENV] [--nodes N] [--fault NAME@NODE/STEP] [--seed S]",
    .text =
        "The same engine in virtual time, on simulated nodes and balancers: nothing is connected to. Prints "
        "what\n"
        "would happen and when, the fewest nodes in rotation, and how long it takes (by past releases where "
        "the\n"
        "journal knows, else by rule of thumb). Ends with the exit status that the release would end "
        "with.\n\n"
        "FAULT is NAME@NODE/STEP (NODE and STEP may be '*'; a step by its label, by what it does or by its\n"
        "phase; 'back:' before the step: only on the way back), NAME@NODE/+12s, or NAME@7 for the seventh\n"
        "commit of the journal. 'x3' or 'x*' behind it, after a blank: how often. Faults:\n" SIM_FAULT_LIST(
            FAULT_LINE),
    .example = "  release simulate --rev f5d9859 prod\n"
               "  release simulate --rev f5d9859 prod --nodes 10000 --window 5%\n"
               "  release simulate --rev f5d9859 prod --fault kill-after-commit@40 --then rollback\n"
               "  release simulate --rev f5d9859 prod --fault 'unhealthy@app3/*'",
    .options = options,
    .max_words = 1,
    .run = run,
};
