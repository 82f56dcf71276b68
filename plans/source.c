/* SPDX-License-Identifier: MIT */
/* `source: {artifact: ..}` in the place of `repo:`: versions that were built elsewhere (drivers/verbs/source.c). */
#include "plans/compile_priv.h"

#include <string.h>

#include "base/auto.h"
#include "plans/subst.h"

/* What is asked of a repository cannot be asked of an archive. */
static const char *const of_repositories[] = {"path",    "allow",      "max_age", "signers",
                                              "keyring", "submodules", "lfs"};

static const char *artifact_of(struct compiler *c, const struct value *source)
{
    const struct value *v = source->kind == VALUE_MAP ? map_get(source, "artifact") : NULL;
    if (value_is_null(v))
        problem_at(c->r.problems, source->at,
                   "release: source: no artifact (wanted: source: {artifact: /srv/builds/shop-" SOURCE_VERSION
                   ".tar.gz})");
    else if (v->kind != VALUE_SCALAR)
        problem_at(c->r.problems, v->at, "release: source: artifact: wanted text, found %s",
                   value_kind_text(v));
    else if (strstr(v->text, SOURCE_VERSION) == NULL)
        problem_at(c->r.problems, v->at,
                   "release: source: artifact: '%s' is one file for all versions; wanted " SOURCE_VERSION
                   " in it, in whose place --rev stands",
                   v->text);
    else
        return v->text;
    return NULL;
}

/* The controller alone reads it. */
static const struct value *git_block(struct compiler *c, const struct value *source)
{
    const struct value *written = map_get(c->b.map, "git");
    struct value *git = value_map(c->r.arena, source->at);
    for (size_t i = 0; written != NULL && written->kind == VALUE_MAP && i < written->n; i++) {
        const struct entry *e = &written->entries[i];
        for (size_t k = 0; k < sizeof of_repositories / sizeof *of_repositories; k++)
            if (strcmp(e->key, of_repositories[k]) == 0)
                problem_at(
                    c->r.problems, e->at,
                    "release: git: %s: is asked of a repository, and `source` is none; leave one of the two out",
                    e->key);
        map_put(c->r.arena, git, e->key, e->at, e->value);
    }
    const struct value *via = map_get(git, "via");
    if (via != NULL && (via->kind != VALUE_SCALAR || strcmp(via->text, "controller") != 0))
        problem_at(
            c->r.problems, via->at,
            "release: git: via: nodes do not read the artifact; leave `via` out, the controller brings it");
    map_put(c->r.arena, git, "via", source->at, value_scalar(c->r.arena, source->at, "controller"));
    return git;
}

void source_read(struct compiler *c)
{
    const struct value *source = map_get(c->b.map, "source");
    const struct entry *repo = map_entry(c->b.map, "repo");
    if (value_is_null(source))
        return;
    if (repo != NULL && !value_is_null(repo->value))
        problem_at(c->r.problems, repo->at,
                   "release: repo and source: one of the two says what is released; leave the other out");
    c->b.artifact = artifact_of(c, source);
    c->b.repo = arena_printf(c->r.arena, SOURCE_REPO "%s", c->b.artifact != NULL ? c->b.artifact : "");
    struct value *map = value_map(c->r.arena, c->b.map->at);
    for (size_t i = 0; i < c->b.map->n; i++)
        map_put(c->r.arena, map, c->b.map->entries[i].key, c->b.map->entries[i].at,
                c->b.map->entries[i].value);
    map_put(c->r.arena, map, "repo", source->at, value_scalar(c->r.arena, source->at, c->b.repo));
    map_put(c->r.arena, map, "git", source->at, git_block(c, source));
    c->b.map = map;
}

/* As written: {rev} in them is the version's name, which the driver puts in, and no variable of the plan's. */
static void put_literal(struct compiler *c, struct value *args, const char *name)
{
    const struct value *v = map_get(map_get(c->b.map, "source"), name);
    if (value_is_null(v) || v->kind != VALUE_SCALAR)
        return;
    auto_buf struct buf text = BUF_INIT(10000);
    subst_literal(&text, v->text);
    map_put(c->r.arena, args, name, v->at,
            value_scalar(c->r.arena, v->at, arena_strdup(c->r.arena, buf_str(&text))));
}

void source_args(struct compiler *c, struct value *args)
{
    put_literal(c, args, "artifact");
    put_literal(c, args, "sha256");
}

void source_missed(struct compiler *c)
{
    const struct value *source = map_get(c->b.map, "source");
    for (size_t i = 0; !value_is_null(source) && c->plan->needs_rev && i < c->plan->n_steps; i++) {
        const struct plan_step *s = &c->plan->steps[i];
        if (verb_does(s->verb) != DOES_CHECKOUT)
            continue;
        problem_at(
            c->r.problems, source->at,
            "release: source: plan %s checks out a repository (%s at %s), and an artifact goes into a directory of its own; "
            "take `plan: rolling`",
            c->plan->name, s->verb, s->where);
        return;
    }
}
