/* SPDX-License-Identifier: MIT */
/* release rollback --to REV and --before N: all nodes of today's pillar, by today's plan, to a revision that
 * was named or to what each of them ran before release N began. What a node ran is what the preflight of the
 * first release since then that had it in its plan has seen and frozen: so nothing is guessed, and it does
 * not matter how those releases ended or for which nodes they were. */
#include "cli/rollback.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "cli/plan_brief.h"

/* ---- the environment's plan */

/* What ran once is done, and which of it belongs to the way between two revisions, nobody knows. */
static void drop_once_steps(struct plan *plan)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n_steps; i++)
        if (plan->steps[i].once == ONCE_NO)
            plan->steps[n++] = plan->steps[i];
        else
            say_note(
                "%s: runs once in a release; it is neither run nor undone on this way, what it did stays",
                plan->steps[i].label);
    plan->n_steps = n;
}

static int plan_of_today(struct session *s, const char *rev, struct plan **ret)
{
    struct cli *cli = s->cli;
    int status = s->pillar ? 0 : cli_pillar(cli, s->env, &s->pillar);
    if (status)
        return status;
    const struct compile_request req = {.root = cli_root(cli),
                                        .env = env_bare(s->env),
                                        .rev_typed = rev,
                                        .only = cli_opt(cli, "only"),
                                        .exclude = cli_opt(cli, "exclude")};
    if ((status = cli_compile(cli, s->pillar, &req, ret)))
        return status;
    if (!(*ret)->needs_rev) {
        say_error("rollback: the plan of %s, %s, is not about a revision; nothing was touched", s->env,
                  (*ret)->name);
        return EXIT_USAGE;
    }
    (*ret)->kind = KIND_ROLLBACK;
    drop_once_steps(*ret);
    rollback_one_stage(*ret);
    plan_roles_reverse(*ret, &cli->arena);
    return 0;
}

int rollback_to(struct session *s, const char *rev, const char *about)
{
    struct arena *arena = &s->cli->arena;
    struct plan *plan;
    int status = plan_of_today(s, rev, &plan);
    if (status)
        return status;
    return rollback_go(s, plan, arena_printf(arena, "rolling %s back to %s", s->env, rev), about, 0);
}

/* ---- what ran before */

/* Today's nodes by name, and what was found of each. */
struct past {
    struct plan *plan;
    uint32_t *by_name;
    bool *known;
};

static int by_id(const void *a, const void *b, void *nodes)
{
    const struct plan_node *n = nodes;
    return strcmp(n[*(const uint32_t *)a].id, n[*(const uint32_t *)b].id);
}

static void past_init(struct past *p, struct plan *plan, struct arena *arena)
{
    *p = (struct past){.plan = plan,
                       .by_name = arena_array(arena, plan->n_nodes + 1, sizeof *p->by_name),
                       .known = arena_array(arena, plan->n_nodes + 1, sizeof *p->known)};
    memset(p->known, 0, (plan->n_nodes + 1) * sizeof *p->known);
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        p->by_name[i] = i;
    qsort_r(p->by_name, plan->n_nodes, sizeof *p->by_name, by_id, plan->nodes);
}

/* The place of a node in today's plan; n_nodes: it is in none. */
static size_t past_find(const struct past *p, const char *id)
{
    size_t low = 0, high = p->plan->n_nodes;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(p->plan->nodes[p->by_name[mid]].id, id);
        if (order == 0)
            return p->by_name[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return p->plan->n_nodes;
}

/* What release `id` found on its nodes, for those of which no earlier one knew. */
static int past_add(struct session *s, struct past *p, int64_t id)
{
    struct plan *then;
    int status = stored_plan(s->cli, s->store, id, &then);
    if (status || !then->needs_rev)
        return status;
    for (size_t k = 0; k < then->n_nodes; k++) {
        size_t i = past_find(p, then->nodes[k].id);
        if (i == p->plan->n_nodes || p->known[i])
            continue;
        p->known[i] = true;
        p->plan->nodes[i].rev = then->nodes[k].rev_before;
        rollback_keep_dir(&s->cli->arena, &p->plan->nodes[i],
                          rollback_fact(&then->nodes[k], "release.before"));
    }
    return 0;
}

/* Nodes without a past are left alone, and said. */
static void drop_without_past(struct past *p, int64_t before)
{
    size_t n = 0;
    for (size_t i = 0; i < p->plan->n_nodes; i++) {
        const struct plan_node *node = &p->plan->nodes[i];
        if (p->known[i] && node->rev && node->rev[0])
            p->plan->nodes[n++] = *node;
        else if (p->known[i])
            say_note("%s: ran nothing before release %" PRId64 "; it is left as it is", node->id, before);
        else
            say_note("%s: no release from %" PRId64 " on was for it; it is left as it is", node->id, before);
    }
    p->plan->n_nodes = n;
}

/* Releases and rollbacks with this number or a later one, oldest first. */
static int since(struct session *s, int64_t id, const struct release_info ***ret, size_t *ret_n)
{
    struct release_info *list;
    struct err err;
    const struct release_info **found = NULL;
    size_t n, n_found = 0, cap = 0;
    int64_t before = 0;
    do {
        if (!release_list(reader(s->store, &s->cli->arena),
                          &(struct newest){.env = s->env, .limit = 100, .before = before}, &list, &n, &err))
            return say_err(&err);
        for (size_t i = 0; i < n; i++) {
            before = list[i].id;
            if (before < id || !rollback_is_kind(&list[i]))
                continue;
            if (n_found == cap) {
                const struct release_info **more = arena_array(&s->cli->arena, 2 * cap + 64, sizeof *more);
                for (size_t k = 0; k < n_found; k++)
                    more[k] = found[k];
                found = more;
                cap = 2 * cap + 64;
            }
            found[n_found++] = &list[i];
        }
    } while (n == 100 && before >= id);
    for (size_t i = 0; i < n_found / 2; i++) {
        const struct release_info *swap = found[i];
        found[i] = found[n_found - 1 - i];
        found[n_found - 1 - i] = swap;
    }
    *ret = found;
    *ret_n = n_found;
    return 0;
}

static int go_before(struct session *s, int64_t id, const char *about, const struct release_info **list,
                     size_t n)
{
    struct arena *arena = &s->cli->arena;
    struct plan *plan;
    struct past past;
    int status = plan_of_today(s, list[0]->rev[0] ? list[0]->rev : NULL, &plan);
    if (status)
        return status;
    past_init(&past, plan, arena);
    for (size_t i = 0; i < n && !status; i++)
        status = past_add(s, &past, list[i]->id);
    if (status)
        return status;
    drop_without_past(&past, id);
    if (plan->n_nodes == 0) {
        say_error("rollback: no node of %s has a past before release %" PRId64
                  " to go to; nothing was touched",
                  s->env, id);
        return EXIT_USAGE;
    }
    plan->rev = plan->nodes[0].rev;
    plan->rev_typed = arena_printf(arena, "before release %" PRId64, id);
    return rollback_go(s, plan, arena_printf(arena, "rolling %s back to before release %" PRId64, s->env, id),
                       about, list[0]->id);
}

/* A look says it as an object, too. There is no plan of it: none of the nodes was ever touched since. */
static int nothing_since(struct session *s, const struct release_info *r, const char *about)
{
    struct plan none = {.kind = KIND_ROLLBACK,
                        .env = s->key.env,
                        .app = s->key.app,
                        .name = "",
                        .rev_typed = arena_printf(&s->cli->arena, "before release %" PRId64, r->id)};
    say_note("rollback: nothing was released to %s since %s %" PRId64 ": there is nothing to change; "
             "nothing was touched",
             s->env, kind_name(r->kind), r->id);
    if (cli_flag(s->cli, "brief"))
        brief_print(s, &none, about);
    return 0;
}

int rollback_before(struct session *s, const struct release_info *r, const char *about)
{
    const struct release_info **list;
    size_t n;
    int64_t id = r->id;
    int status = since(s, id, &list, &n);
    if (status)
        return status;
    if (n == 0)
        return nothing_since(s, r, about);
    if (n == 1 && list[0]->exit_status == EXIT_RELEASED) /* its own plan knows what it did once, too */
        return rollback_finished(s, list[0]);
    return go_before(s, id, about, list, n);
}
