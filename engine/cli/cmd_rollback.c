/* release rollback: every node back to what it ran before. An unfinished release is walked back on its own
 * plan; a finished one gets a new plan whose targets are each node's own earlier revision, out of the
 * journal. */
#include "cli/choose.h"
#include "cli/confirm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "cli/watching.h"

static const struct option_def options[] = {
    {.name = "release", .arg = "N", .help = "take back release N instead of the last one"},
    {.name = "yes", .help = "do not ask; without a terminal the only way where a yes is wanted"},
    {.name = "dry-run", .help = "preflight, show the plan, change nothing"},
    ANY_TREE_OPTION,
    CHOOSE_OPTIONS,
    APPROVED_OPTION,
    OPTION_END,
};

/* ---- the plan that goes back */

static const char *fact_of(const struct plan_node *node, const char *name)
{
    for (size_t i = 0; i < node->n_facts; i++)
        if (strcmp(node->facts[i].name, name) == 0)
            return node->facts[i].value;
    return "";
}

/* Exactly the directory that it ran: an earlier recipe may have made another one of the same revision. */
static void keep_release_dir(struct arena *arena, struct plan_node *node)
{
    const char *before = fact_of(node, "release.before");
    struct op_pair *vars = arena_array(arena, node->n_vars + 1, sizeof *vars);
    size_t n = 0;
    if (*before == '\0')
        return;
    for (size_t i = 0; i < node->n_vars; i++)
        if (strcmp(node->vars[i].name, "release_dir") != 0)
            vars[n++] = node->vars[i];
    vars[n++] = (struct op_pair){.name = "release_dir", .value = before};
    node->vars = vars;
    node->n_vars = n;
}

/* A check that was not true of what the node ran then is not expected to be true of it now. */
static void keep_untrue_checks(struct arena *arena, struct plan_node *node)
{
    static const char was[] = "http.was.";
    struct op_pair *kept = arena_array(arena, node->n_facts + 1, sizeof *kept);
    size_t n = 0;
    for (size_t i = 0; i < node->n_facts; i++)
        if (str_starts(node->facts[i].name, was))
            kept[n++] = (struct op_pair){
                .name = arena_printf(arena, "http.back.%s", node->facts[i].name + strlen(was)),
                .value = node->facts[i].value};
    node->facts = kept;
    node->n_facts = n;
}

/* What an undo needs of the release that is taken back: it runs there, with what the step had. */
static void keep_for_undo(struct arena *arena, const struct plan *plan, const struct plan_node *of,
                          struct plan_node *node)
{
    size_t n_all, n = 0;
    const struct op_pair *all = plan_vars(plan, of, false, arena, &n_all);
    struct op_pair *vars = arena_array(arena, node->n_vars + 2, sizeof *vars);
    for (size_t i = 0; i < node->n_vars; i++)
        if (!str_starts(node->vars[i].name, "undo."))
            vars[n++] = node->vars[i];
    for (size_t i = 0; i < n_all; i++)
        if (strcmp(all[i].name, "release_dir") == 0 || strcmp(all[i].name, "rev") == 0)
            vars[n++] =
                (struct op_pair){.name = arena_printf(arena, "undo.%s", all[i].name), .value = all[i].value};
    node->vars = vars;
    node->n_vars = n;
}

/* Nodes that ran nothing before have nothing to go back to: they are left alone, and said. */
static void keep_nodes_with_past(struct arena *arena, struct plan *plan, const bool *out)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n_nodes; i++) {
        struct plan_node node = plan->nodes[i];
        if (out && out[i])
            continue;
        if (!node.rev_before || node.rev_before[0] == '\0') {
            say_note("%s: ran nothing before that release; it is left as it is", node.id);
            continue;
        }
        keep_for_undo(arena, plan, &plan->nodes[i], &node);
        keep_release_dir(arena, &node);
        node.rev = node.rev_before;
        node.rev_before = "";
        node.was_up = false;
        node.target.identity = NULL;
        keep_untrue_checks(arena, &node);
        plan->nodes[n++] = node;
    }
    plan->n_nodes = n;
}

static const struct op_pair *with_command(struct arena *arena, const struct plan_step *step)
{
    struct op_pair *args = arena_array(arena, step->n_args + 1, sizeof *args);
    for (size_t i = 0; i < step->n_args; i++) {
        args[i] = step->args[i];
        if (strcmp(args[i].name, "cmd") == 0)
            args[i].value = step->undo_cmd;
    }
    return args;
}

static struct plan_step undo_of(struct arena *arena, const struct plan_step *of)
{
    struct plan_step step = *of;
    step.args = with_command(arena, of);
    step.label = arena_printf(arena, "undo %s", of->label);
    step.undo_cmd = NULL;
    step.undoes = true;
    step.phase = PHASE_AFTER;
    step.once = ONCE_AFTER;
    return step;
}

/* Run-once steps (migrations) are not run again for an old revision. One that names its own undo runs that
 * when the last node is back, the last one first: until then nodes serve what it would take away. */
static void once_steps_back(struct arena *arena, struct plan *plan)
{
    struct plan_step *steps = arena_array(arena, plan->n_steps + 1, sizeof *steps);
    size_t n = 0, i = 0;
    for (; i < plan->n_steps && plan->steps[i].phase <= PHASE_AFTER; i++)
        if (plan->steps[i].once == ONCE_NO)
            steps[n++] = plan->steps[i];
        else if (!plan->steps[i].undo_cmd)
            say_note("%s: ran once in that release and names no `undo:`; its effect stays",
                     plan->steps[i].label);
    for (size_t k = i; k-- > 0;)
        if (plan->steps[k].once != ONCE_NO && plan->steps[k].undo_cmd)
            steps[n++] = undo_of(arena, &plan->steps[k]);
    for (; i < plan->n_steps; i++)
        steps[n++] = plan->steps[i];
    plan->steps = steps;
    plan->n_steps = n;
}

/* One stage, no soak: what it goes back to has served before. Window and floor stay. */
static void plan_turn(struct arena *arena, struct plan *plan, const bool *out, int64_t of_release)
{
    keep_nodes_with_past(arena, plan, out);
    once_steps_back(arena, plan);
    plan->kind = "rollback";
    plan->rev_typed = arena_printf(arena, "before release %" PRId64, of_release);
    plan->rev = plan->n_nodes ? plan->nodes[0].rev : "";
    plan->n_stages = 1;
    plan->stage_end[0] = (uint32_t)plan->n_nodes;
    plan->soak_ms = 0;
    if (plan->window > plan->n_nodes)
        plan->window = (uint32_t)plan->n_nodes;
}

/* ---- which release */

static bool can_be_taken_back(const struct release_info *r)
{
    return r->exit_status == EXIT_RELEASED &&
           (strcmp(r->kind, "release") == 0 || strcmp(r->kind, "rollback") == 0);
}

static int last_finished(struct session *s, struct release_info **ret)
{
    struct err err;
    if (!release_rollback_of(s->store, s->env, &s->cli->arena, ret, &err))
        return say_err(&err);
    int status = *ret ? 0 : cli_env_known(s->cli, s->store, s->env);
    if (*ret || status)
        return status;
    say_error(
        "rollback: %s has no finished release to take back in the journal %s; 'release history %s' lists "
        "what there was; nothing was touched",
        s->env, store_place(s->store), s->env);
    return EXIT_USAGE;
}

static int named_release(struct session *s, int64_t id, struct release_info **ret)
{
    struct err err;
    if (!release_get(s->store, id, &s->cli->arena, ret, &err))
        return say_err(&err);
    if (*ret && env_same(s->store, (*ret)->env, s->env, &s->cli->arena) && can_be_taken_back(*ret))
        return 0;
    if (!*ret)
        say_error("rollback: there is no release %" PRId64 "; 'release history %s' lists them", id, s->env);
    else if (!env_same(s->store, (*ret)->env, s->env, &s->cli->arena))
        say_error("rollback: release %" PRId64 " is of %s, not of %s; 'release history %s' lists them", id,
                  (*ret)->env, s->env, s->env);
    else
        say_error("rollback: %s %" PRId64
                  " ended with %d (%s); only a release that was finished can be taken back by "
                  "number",
                  (*ret)->kind, id, (*ret)->exit_status, exit_text((*ret)->kind, (*ret)->exit_status));
    return EXIT_USAGE;
}

static int roll_finished_back(struct session *s, const struct release_info *r)
{
    struct cli *cli = s->cli;
    struct plan *plan;
    int status;
    bool *out = NULL;
    session_pillar_if_readable(s);
    if ((status = session_refuse_foreign(s, r)) || (status = stored_plan(cli, s->store, r->id, &plan)) ||
        (status = choose_nodes(s, plan, &out)))
        return status;
    plan_turn(&cli->arena, plan, out, r->id);
    if (plan->n_nodes == 0) {
        say_error("rollback: no node of %s ran anything before release %" PRId64 "; nothing was touched",
                  s->env, r->id);
        return EXIT_USAGE;
    }
    const char *why = arena_printf(&cli->arena, "rolling release %" PRId64 " back", r->id);
    if ((status = session_lock(s, why, 0, false)) || (status = session_secrets(s, plan)) ||
        (status = session_preflight(s, plan)))
        return status;
    if (cli_flag(cli, "dry-run"))
        return session_dry_run(s, plan);
    const char *about =
        arena_printf(&cli->arena, "takes back release %" PRId64 " (%s)", r->id, release_name(&cli->arena, r));
    return session_confirm(s, plan, about) ? session_start(s, plan, r->id) : EXIT_USAGE;
}

static int rollback(struct session *s)
{
    struct release_info *r;
    struct err err;
    long long wanted;
    int status;
    if (!cli_number(s->cli, "release", 0, &wanted, &err) ||
        !release_unfinished(s->store, s->env, &s->cli->arena, &r, &err))
        return say_err(&err);
    if (r && (wanted == 0 || wanted == r->id))
        return session_continue(s, r, ORDER_ROLLBACK);
    if (r)
        return session_refuse_unfinished(s);
    status = wanted ? named_release(s, wanted, &r) : last_finished(s, &r);
    return status ? status : roll_finished_back(s, r);
}

static int run(struct cli *cli)
{
    struct session s;
    const char *env = cli_env(cli, 0);
    if (!env)
        return EXIT_USAGE;
    int status = session_begin(&s, cli, env, STORE_WRITE);
    if (!status)
        status = rollback(&s);
    return session_end(&s, status, "rollback ended");
}

const struct command command_rollback = {
    .name = "rollback",
    .summary = "Back to what each node ran before",
    .usage = "[ENV]",
    .text = "An unfinished release is walked back on its own plan. Otherwise the last finished release (or "
            "--release N)\n"
            "is taken back: each node goes to its own earlier revision, with the same window, floor and "
            "checks. A second\n"
            "rollback goes further back; --release N of a rollback goes forward again. Run-once\n"
            "steps are not run again; one that names its own `undo:` command runs that, when the last node "
            "is back. A "
            "node that\n"
            "died is left alone with --exclude, one that left the pillar is.",
    .example = "  release rollback prod",
    .options = options,
    .max_words = 1,
    .run = run,
};
