/* SPDX-License-Identifier: MIT */
/* release rollback: every node back to what it ran before. An unfinished release is walked back on its own
 * plan; a finished one gets a new plan whose targets are each node's own earlier revision, out of the
 * journal; a revision, or a moment, that was named gets the environment's plan (rollback_to.c). */
#include "cli/rollback.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/lb.h"
#include "cli/choose.h"
#include "cli/confirm.h"
#include "cli/plan_brief.h"
#include "cli/watching.h"
#include "run/look.h"
#include "watch/json.h"

static const struct option_def options[] = {
    {.name = "release", .arg = "N", .help = "take back release N instead of the last one"},
    {.name = "to", .arg = "REV", .help = "every node to this commit, branch or tag"},
    {.name = "before",
     .arg = "N",
     .help = "every node to what it ran before release N, however that one ended"},
    {.name = "yes", .help = "do not ask; without a terminal the only way where a yes is wanted"},
    {.name = "dry-run", .help = "preflight, show the plan, change nothing"},
    {.name = "brief",
     .help = "look only, without the lock: one JSON object as of 'release plan --brief', with its digest"},
    {.name = "digest", .arg = "HEX", .help = "only when the plan is still this one ('--brief')"},
    ANY_TREE_OPTION,
    CHOOSE_OPTIONS,
    APPROVED_OPTION,
    OPTION_END,
};

/* ---- nodes that are there already */

/* On disk, in its own directory where the node has one to go to, and owing nothing: then only its processes
 * are to be asked. */
static bool stands_there(const struct plan_node *node)
{
    const char *now = rollback_fact(node, "release.before"), *dir = now;
    for (size_t i = 0; i < node->n_vars; i++)
        if (strcmp(node->vars[i].name, "release_dir") == 0)
            dir = node->vars[i].value;
    return strcmp(node->rev_before, node->rev) == 0 && strcmp(dir, now) == 0 &&
           *rollback_fact(node, LB_FACT_RETURNS) == '\0' && *rollback_fact(node, LB_FACT_BEFORE) == '\0';
}

/* Nodes that are seen to run what they would go to leave the plan: nothing is restarted for nothing. */
static int drop_unchanged(struct session *s, struct plan *plan)
{
    struct arena *arena = &s->cli->arena;
    struct look *looks;
    struct err err;
    size_t there = 0, kept = 0;
    for (size_t i = 0; i < plan->n_nodes; i++)
        there += stands_there(&plan->nodes[i]);
    if (there == 0)
        return 0;
    if (!run_look(plan, arena, &s->opt, &looks, &err))
        return say_err(&err);
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_node *node = &plan->nodes[i];
        if (stands_there(node) && look_runs(&looks[i], node->rev))
            say_note("%s: runs %.12s already; it is left as it is", node->id, node->rev);
        else
            plan->nodes[kept++] = *node;
    }
    plan->n_nodes = kept;
    if (kept > 0)
        rollback_nodes_known(arena, plan);
    return 0;
}

/* Nothing would change: a look says it as an object, too. */
static int nothing_to_do(struct session *s, struct plan *plan, const char *about)
{
    say_note("rollback: every node of %s runs already what it would go to: there is nothing to change; "
             "nothing was touched",
             s->env);
    if (cli_flag(s->cli, "brief"))
        brief_print(s, plan, about);
    return 0;
}

int rollback_go(struct session *s, struct plan *plan, const char *why, const char *about, int64_t of_release)
{
    bool look = cli_flag(s->cli, "brief");
    int status = look ? 0 : session_lock(s, why, 0, false);
    if (status)
        return status;
    rollback_nodes_known(&s->cli->arena, plan);
    if ((status = session_secrets(s, plan)) || (status = session_preflight(s, plan)) ||
        (status = drop_unchanged(s, plan)) || (status = plan_as_confirmed(s->cli, plan)))
        return status;
    if (plan->n_nodes == 0)
        return nothing_to_do(s, plan, about);
    if (look) {
        brief_print(s, plan, about);
        return 0;
    }
    if (cli_flag(s->cli, "dry-run"))
        return session_dry_run(s, plan);
    return session_confirm(s, plan, about) ? session_start(s, plan, of_release) : EXIT_USAGE;
}

/* ---- which release */

bool rollback_is_kind(const struct release_info *r)
{
    return KIND_MOVES(r->kind);
}

static int last_finished(struct session *s, struct release_info **ret)
{
    struct env_state st;
    struct err err;
    if (!release_rollback_of(reader(s->store, &s->cli->arena), s->env, ret, &err) ||
        !env_state_brief(s->store, s->env, &s->cli->arena, &st, &err))
        return say_err(&err);
    if (*ret && *back_story(&st, *ret, &s->cli->arena))
        say_note("%s", back_story(&st, *ret, &s->cli->arena));
    int status = *ret ? 0 : cli_env_known(s->cli, s->store, s->env);
    if (*ret || status)
        return status;
    const struct release_info *last = st.last;
    if (last && last->exit_status == EXIT_RELEASED && last->kind == KIND_ROLLBACK && last->of_release == 0)
        say_error("rollback: rollback %" PRId64 " went to %s, a revision that was named: what comes before "
                  "that is not known. '--release %" PRId64 "' takes that one back, '--to REV' and '--before "
                  "N' say where to go; nothing was touched",
                  last->id, back_name(last, &s->cli->arena), last->id);
    else
        say_error("rollback: %s has no finished release to take back in the journal %s; 'release history "
                  "%s' lists what there was, '--to REV' goes to a revision; nothing was touched",
                  s->env, store_place(s->store), s->env);
    return EXIT_USAGE;
}

/* ---- what is said first */

static const char *left_out(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_vars; i++)
        if (strcmp(plan->vars[i].name, "left_out") == 0)
            return plan->vars[i].value;
    return "0";
}

/* "'--release 8' takes back the one before, '--before 8' all nodes": for who meant more than this one. */
static const char *others(struct session *s, int64_t before_id)
{
    struct release_info *r = NULL;
    struct err err;
    if (!release_in_force(reader(s->store, &s->cli->arena), s->env, before_id, &r, &err) || !r)
        return "'--to REV' takes all nodes to a revision";
    return arena_printf(&s->cli->arena,
                        "'release rollback --release %" PRId64 " %s' takes back the one before it (%s), "
                        "'--before %" PRId64 "' takes all nodes to what they ran before that",
                        r->id, s->env, back_name(r, &s->cli->arena), r->id);
}

static void say_reach(struct session *s, const struct release_info *r, const struct plan *plan)
{
    const char *out = left_out(plan);
    if (strcmp(out, "0") != 0)
        say_note("release %" PRId64 " was of %zu node%s only (%s left out): the others stay as they are; %s",
                 r->id, plan->n_nodes, plan->n_nodes == 1 ? "" : "s", out, others(s, r->id));
}

int rollback_finished(struct session *s, const struct release_info *r)
{
    struct arena *arena = &s->cli->arena;
    struct plan *plan;
    int status;
    bool *out = NULL;
    session_pillar_if_readable(s);
    if ((status = session_refuse_foreign(s, r)) || (status = stored_plan(s->cli, s->store, r->id, &plan)) ||
        (status = choose_nodes(s, plan, &out)))
        return status;
    say_reach(s, r, plan);
    rollback_turn(arena, plan, out, r->id);
    if (plan->n_nodes == 0) {
        say_error("rollback: no node of release %" PRId64 " of %s ran anything before it: there is nothing "
                  "to go back to; %s; nothing was touched",
                  r->id, s->env, others(s, r->id));
        return EXIT_USAGE;
    }
    return rollback_go(s, plan, arena_printf(arena, "rolling release %" PRId64 " back", r->id),
                       back_way_text(&(struct back_way){.release = r->id}, r, arena), r->id);
}

/* ---- what was asked for */

/* The last order's process is gone, and its release has no number: its plan was never frozen. Whoever wants
 * back what that did is back; the finished release before it is not what they mean. */
static int refuse_never_begun(struct session *s)
{
    struct lock_info lock;
    struct err err;
    if (!lock_get(reader(s->store, &s->cli->arena), s->env, &lock, &err))
        return say_err(&err);
    if (!lock_never_begun(&lock))
        return 0;
    say_error("rollback: %s is %s; that one died before its plan was frozen, so nothing of it was touched "
              "and there is nothing of it to take back. %s; nothing was touched",
              s->env, lock_text(&lock, &s->cli->arena), others(s, INT64_MAX));
    return EXIT_USAGE;
}

/* A number that is none of a release is no "not given". */
static bool number_of(struct session *s, const char *name, int64_t *ret, struct err *err)
{
    long long n;
    if (!cli_number(s->cli, name, 0, &n, err))
        return false;
    *ret = n;
    return n > 0 || !cli_opt(s->cli, name) ||
           err_set(err, E_USAGE,
                   "rollback: --%s: '%s' is not the number of a release (wanted one as in --%s 41)", name,
                   cli_opt(s->cli, name), name);
}

static int last_back(struct session *s)
{
    struct release_info *r;
    int status = refuse_never_begun(s);
    if (!status)
        status = last_finished(s, &r);
    return status ? status : rollback_finished(s, r);
}

/* It goes back on its own plan, which is frozen: there is nothing to look at, and what was looked at was
 * another. */
static bool by_its_own_plan(struct session *s, const struct release_info *r, const struct back_way *way)
{
    bool other = way->to || (way->release && way->release != r->id) || (way->before && way->before != r->id);
    return !other && !cli_flag(s->cli, "brief") && !cli_opt(s->cli, "digest");
}

static int rollback(struct session *s)
{
    struct release_info *open, *named;
    struct back_way way = {.to = cli_opt(s->cli, "to")};
    struct err err;
    if (!number_of(s, "release", &way.release, &err) || !number_of(s, "before", &way.before, &err) ||
        !back_way_ok(reader(s->store, &s->cli->arena), s->env, &way, &named, &err) ||
        !release_unfinished(reader(s->store, &s->cli->arena), s->env, &open, &err))
        return say_err(&err);
    if (open && by_its_own_plan(s, open, &way))
        return session_continue(s, open, ORDER_ROLLBACK);
    if (open)
        return session_refuse_unfinished(s);
    const char *about = named || way.to ? back_way_text(&way, named, &s->cli->arena) : NULL;
    if (way.to)
        return rollback_to(s, way.to, about);
    if (way.before)
        return rollback_before(s, named, about);
    return named ? rollback_finished(s, named) : last_back(s);
}

static int run(struct cli *cli)
{
    struct session s;
    const char *env = cli_env(cli, 0);
    if (!env)
        return EXIT_USAGE;
    int status = session_begin(&s, cli, env, cli_flag(cli, "brief") ? STORE_READ : STORE_WRITE);
    if (!status)
        status = rollback(&s);
    return session_end(&s, status, "rollback ended");
}

const struct command command_rollback = {
    .name = "rollback",
    .summary = "Back to what each node ran before",
    .usage = "[ENV]",
    .text =
        "An unfinished release is walked back on its own plan. Otherwise the last finished release (or "
        "--release N)\n"
        "is taken back: each node goes to its own earlier revision, with the same window, floor and "
        "checks. A second\n"
        "rollback goes further back; --release N of a rollback goes forward again. Run-once\n"
        "steps are not run again; one that names its own `undo:` command runs that, when the last node "
        "is back. A "
        "node that\n"
        "died is left alone with --exclude, one that left the pillar is.\n"
        "Scripts say where to: --before N takes every node to what it ran before release N began, also when\n"
        "N failed and went back by itself or was of a few nodes only; --to REV takes every node to a\n"
        "revision. Both go by the environment's plan of today and undo nothing that ran once, unless N is\n"
        "the only release since. Nodes that run it already are left as they are; when all do, nothing is\n"
        "done, and that is 0.",
    .example = "  release rollback prod",
    .options = options,
    .max_words = 1,
    .run = run,
};
