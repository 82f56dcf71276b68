/* SPDX-License-Identifier: MIT */
/* What the repository says of the revision, and of the way to it from what the nodes run: kept in the release's first row, for
 * whoever asks later what was released. A repository that cannot say it stops no release. */
#include "run/preflight_priv.h"

#include <string.h>

struct way_from {
    const char *from;
    size_t nodes;
    struct job *log;
};

static void add(struct preflight *p, const char *name, const char *value)
{
    plan_about(p->plan, name, value, p->arena);
}

static void about_commit(struct preflight *p)
{
    static const char *const names[] = {"date", "author", "subject"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = preflight_fact(p->resolve, names[i]);
        if (value)
            add(p, arena_printf(p->arena, "commit.%s", names[i]), value);
    }
}

/* What nodes run that is another revision, that of most nodes first; *ret_n of them, at most PLAN_CHANGES_MAX. */
static void changes_of(const struct plan *plan, struct way_from ret[PLAN_CHANGES_MAX], size_t *ret_n)
{
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const char *from = plan->nodes[i].rev_before;
        size_t k = 0, nodes = 0;
        if (!from || !*from || strcmp(from, plan->rev) == 0)
            continue;
        while (k < i && strcmp(plan->nodes[k].rev_before ? plan->nodes[k].rev_before : "", from) != 0)
            k++;
        if (k < i) /* seen */
            continue;
        for (; k < plan->n_nodes; k++)
            nodes += plan->nodes[k].rev_before && strcmp(plan->nodes[k].rev_before, from) == 0;
        size_t at = *ret_n < PLAN_CHANGES_MAX ? (*ret_n)++ : PLAN_CHANGES_MAX;
        for (; at > 0 && ret[at - 1].nodes < nodes; at--)
            if (at < PLAN_CHANGES_MAX)
                ret[at] = ret[at - 1];
        if (at < PLAN_CHANGES_MAX)
            ret[at] = (struct way_from){.from = from, .nodes = nodes};
    }
}

static void about_change(struct preflight *p, size_t number, const struct way_from *c)
{
    static const char *const names[] = {"direction", "count"};
    const char *head = arena_printf(p->arena, "change.%zu.", number), *value;
    add(p, arena_printf(p->arena, "%sfrom", head), c->from);
    add(p, arena_printf(p->arena, "%snodes", head), arena_printf(p->arena, "%zu", c->nodes));
    if (!preflight_good(c->log)) {
        add(p, arena_printf(p->arena, "%sunknown", head), c->log->result->err.text);
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if ((value = preflight_fact(c->log, names[i])) != NULL)
            add(p, arena_printf(p->arena, "%s%s", head, names[i]), value);
    for (int i = 1; i <= PLAN_COMMITS_MAX; i++) {
        const char *name = arena_printf(p->arena, "commit.%d", i);
        if (!(value = preflight_fact(c->log, name)))
            return;
        add(p, arena_printf(p->arena, "%s%s", head, name), value);
    }
}

void preflight_about(struct preflight *p)
{
    struct way_from changes[PLAN_CHANGES_MAX] = {{0}};
    size_t n = 0;
    const struct plan *plan = p->plan;
    if (plan->kind != KIND_RELEASE || !plan->rev || !*plan->rev)
        return;
    about_commit(p);
    const struct verb *verb = plan->log_step.verb ? verb_find(plan->log_step.verb, NULL) : NULL;
    if (!verb)
        return;
    changes_of(plan, changes, &n);
    struct batch *b = batch_new(plan, p->opt);
    struct plan_step steps[PLAN_CHANGES_MAX];
    for (size_t i = 0; i < n; i++) {
        steps[i] = plan_log_between(plan, changes[i].from, plan->rev, p->arena);
        changes[i].log = batch_add(b, &steps[i], verb, NULL);
    }
    batch_wait(b);
    for (size_t i = 0; i < n && !b->canceled; i++)
        about_change(p, i + 1, &changes[i]);
    batch_free(b);
}
