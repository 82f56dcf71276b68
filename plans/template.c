/* SPDX-License-Identifier: MIT */
/* Proving the {names} of a template at compile time, so that expanding it later cannot fail. */
#include "plans/compile_priv.h"

#include <string.h>

#include "plans/subst.h"

#define TEMPLATE_BYTES_MAX ((size_t)YAML_BYTES_MAX * 3)
#define NAMES_MAX          128

struct proving {
    struct compiler *c;
    const struct template_place *where;
};

static bool is_rev_name(const char *name)
{
    return strcmp(name, "rev") == 0 || strcmp(name, "rev_short") == 0 || strcmp(name, "rev_before") == 0;
}

/* Names that every node and the controller know, whatever the node. */
bool is_plan_name(const struct compiler *c, const char *name)
{
    if (is_rev_name(name))
        return c->revision;
    if (strcmp(name, "dir") == 0 || strcmp(name, "release_dir") == 0)
        return c->b.dir != NULL;
    if (strcmp(name, "repo") == 0)
        return c->b.repo != NULL;
    return strcmp(name, "env") == 0 || strcmp(name, "app") == 0 || strcmp(name, "user") == 0;
}

static bool is_node_name(const struct compiler *c, const char *name)
{
    for (size_t i = 0; i < c->n_node_names; i++)
        if (strcmp(c->node_names[i], name) == 0)
            return true;
    return false;
}

static void use_add(struct compiler *c, const char *name, struct place at)
{
    for (size_t i = 0; i < c->n_uses; i++)
        if (strcmp(c->uses[i].name, name) == 0)
            return;
    if (c->n_uses == c->cap_uses) {
        c->cap_uses = c->cap_uses == 0 ? 16 : c->cap_uses * 2;
        struct var_use *bigger = arena_array(c->r.arena, c->cap_uses, sizeof(*bigger));
        for (size_t i = 0; i < c->n_uses; i++)
            bigger[i] = c->uses[i];
        c->uses = bigger;
    }
    c->uses[c->n_uses++] = (struct var_use){.name = arena_strdup(c->r.arena, name), .at = at};
}

/* Is it said already that the release: block has no dir, or no repo? By whoever misses it first: a plan about
 * a revision, the reader of a value that was no text, or the first place that names it. */
static bool block_told(struct compiler *c, bool repo)
{
    bool *told = repo ? &c->told_repo : &c->told_dir;
    bool before = *told || c->revision || map_get(c->b.map, repo ? "repo" : "dir") != NULL;
    *told = true;
    return before;
}

static void unknown_name(struct proving *p, const char *name)
{
    static const char *const plan_names[] = {"rev",  "rev_short", "rev_before",  "node", "host",
                                             "port", "dir",       "release_dir", "user", "app",
                                             "env",  "lb_server", "repo"};
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < sizeof(plan_names) / sizeof(plan_names[0]); i++)
        names[n++] = plan_names[i];
    for (size_t i = 0; i < p->c->n_node_names && n < NAMES_MAX; i++)
        names[n++] = p->c->node_names[i];
    struct problems *problems = p->c->r.problems;
    bool block_key =
        strcmp(name, "dir") == 0 || strcmp(name, "release_dir") == 0 || strcmp(name, "repo") == 0;
    if (block_key ? block_told(p->c, strcmp(name, "repo") == 0) : p->c->nodes_wrong)
        return;
    if (is_rev_name(name))
        problem_at(problems, p->where->at, "{%s}: this plan is not about a revision", name);
    else if (block_key)
        problem_at(problems, p->where->at, "{%s}: the release: block has no %s", name,
                   strcmp(name, "repo") == 0 ? "repo" : "dir");
    else if (strcmp(name, "port") == 0 && !p->c->told_port)
        problem_at(problems, p->where->at, "{port}: no node has a port"), p->c->told_port = true;
    else if (strcmp(name, "port") == 0)
        return;
    else
        problem_at(problems, p->where->at,
                   "unknown name {%s}%s (a brace that is meant as it stands is written {{%s}})", name,
                   nearest_hint(p->c->r.arena, name, names, n), name);
}

/* {pillar:a:b}: a constant, unless top.sls gives nodes different pillars. */
static void pillar_name(struct proving *p, const char *name, struct buf *out)
{
    const char *path = name + strlen("pillar:");
    const struct value *v = pillar_get(p->c->pillar, path);
    if (p->c->pillar->per_node && !p->where->no_node) {
        use_add(p->c, name, p->where->at); /* whether every node has it is proved node by node */
        buf_printf(out, "{%s}", name);
    } else if (v == NULL && p->c->pillar->per_node)
        problem_at(p->c->r.problems, p->where->at,
                   "{%s}: this step runs once for all nodes, and not every node has the same at '%s' in its "
                   "pillar",
                   name, path);
    else if (v == NULL)
        problem_at(p->c->r.problems, p->where->at, "{%s}: the pillar has nothing at '%s'", name, path);
    else if (v->kind != VALUE_SCALAR)
        problem_at(p->c->r.problems, p->where->at, "{%s}: wanted text, found %s (%s)", name,
                   value_kind_text(v), place_text(p->c->r.arena, v->at));
    else
        subst_literal(out, v->text);
}

static void prove_name(void *ctx, const char *name, struct buf *out)
{
    struct proving *p = ctx;
    if (str_starts(name, "pillar:")) {
        pillar_name(p, name, out);
        return;
    }
    bool of_node = is_node_name(p->c, name);
    if (of_node && p->where->no_node && !is_plan_name(p->c, name))
        problem_at(p->c->r.problems, p->where->at,
                   "{%s}: this step runs once for all nodes, so there is no %s", name, name);
    else if (!of_node && !is_plan_name(p->c, name))
        unknown_name(p, name);
    else if (of_node && !is_plan_name(p->c, name))
        use_add(p->c, name, p->where->at);
    buf_printf(out, "{%s}", name);
}

const char *template_text(struct compiler *c, const char *written, const struct template_place *where)
{
    if (strpbrk(written, "{}") == NULL)
        return written;
    struct proving p = {.c = c, .where = where};
    auto_buf struct buf out = BUF_INIT(TEMPLATE_BYTES_MAX);
    subst_canonical(&out, written, prove_name, &p);
    return arena_strdup(c->r.arena, buf_str(&out));
}
