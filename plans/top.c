/* SPDX-License-Identifier: MIT */
/* top.sls as Salt has it (salt/pillar/__init__.py, get_tops, merge_tops): section -> target -> files, targets
 * in the order written unless they say `order:`, a target that another top file includes and names again
 * replaced where it stands. Salt passes over much in silence - an include that is not there, a number among
 * the files, a word it does not know; here these are mistakes. */
#include "plans/top.h"

#include <stdlib.h>
#include <string.h>

/* A target with what its list says of it. */
struct aim {
    const struct entry *entry;
    const char *match; /* NULL: compound */
    int64_t order;
    size_t number; /* where it stood, for equal orders */
};

struct top_reading {
    struct sls_reader *r;
    const char *section;
    struct value *targets; /* map: target -> its list, of all top files */
    struct value *ignored;
    struct value *alone; /* map: name -> the file's tree */
    struct match_reader match;
};

/* ---- what stands in the files */

static bool section_ok(struct top_reading *x, const struct entry *e)
{
    struct problems *problems = x->r->problems;
    bool ok = e->value->kind == VALUE_MAP;
    if (!ok)
        problem_at(problems, e->value->at, "section %s wants a map of targets, not %s", e->key,
                   value_kind_text(e->value));
    for (size_t i = 0; ok && i < e->value->n; i++) {
        const struct entry *target = &e->value->entries[i];
        if (target->value->kind == VALUE_LIST && target->type == SCALAR_STR)
            continue;
        problem_at(problems, target->at, "target '%s' wants %s", target->key,
                   target->type == SCALAR_STR ? "a list of pillar files" : "quotes: it is no text to YAML");
        ok = false;
    }
    return ok;
}

static bool targets_take(struct top_reading *x, const struct value *file)
{
    bool ok = true;
    for (size_t i = 0; i < file->n; i++) {
        const struct entry *e = &file->entries[i];
        if (strcmp(e->key, "include") == 0)
            continue;
        ok = section_ok(x, e) && ok;
        for (size_t k = 0; ok && strcmp(e->key, x->section) == 0 && k < e->value->n; k++) {
            const struct entry *t = &e->value->entries[k];
            map_put(x->r->arena, x->targets, t->key, t->at, t->value);
        }
    }
    return ok;
}

/* Salt reads one level of them, and takes a missing one for an empty one. */
static bool include_one(struct top_reading *x, const struct value *item)
{
    const char *path = value_is_text(item) ? sls_find(x->r, item->text) : NULL;
    if (path == NULL) {
        problem_at(x->r->problems, item->at, "include: no top file '%s' under %s",
                   item->kind == VALUE_SCALAR ? item->text : "", sls_dirs(x->r));
        return false;
    }
    const struct value *file = yaml_load_file(x->r->arena, path, x->r->problems);
    const struct entry *more = map_entry(file, "include");
    if (more != NULL)
        problem_at(x->r->problems, more->at, "an included top file's own include is not read by Salt");
    return file != NULL && more == NULL && targets_take(x, file);
}

static bool files_read(struct top_reading *x, const struct value *file)
{
    const struct value *include = map_get(file, "include");
    bool ok = targets_take(x, file);
    if (include != NULL && include->kind != VALUE_LIST) {
        problem_at(x->r->problems, include->at, "include wants a list of top files, not %s",
                   value_kind_text(include));
        return false;
    }
    for (size_t i = 0; include != NULL && i < include->n; i++)
        ok = include_one(x, include->items[i]) && ok;
    return ok;
}

/* ---- one target */

static bool option_read(struct top_reading *x, const struct entry *e, struct aim *t, bool *ret_ignore)
{
    double f;
    int64_t i = 0;
    enum scalar_type type = e->value->kind == VALUE_SCALAR ? scalar_type(e->value, &i, &f) : SCALAR_NULL;
    if (strcmp(e->key, "match") == 0 && type == SCALAR_STR) {
        t->match = e->value->text;
        return true;
    }
    if (strcmp(e->key, "ignore_missing") == 0 && type == SCALAR_BOOL) {
        *ret_ignore |= i != 0;
        return true;
    }
    if (strcmp(e->key, "order") == 0 && type == SCALAR_INT) {
        t->order = i;
        return true;
    }
    static const char *const known[] = {"match", "ignore_missing", "order"};
    problem_at(x->r->problems, e->at,
               "'%s' is not read here%s (wanted: match: glob, ignore_missing: yes, order: 10)", e->key,
               nearest_hint(x->r->arena, e->key, known, 3));
    return false;
}

static bool item_read(struct top_reading *x, const struct value *item, struct aim *t, bool *ret_ignore)
{
    bool ok = true;
    if (item->kind == VALUE_MAP) {
        for (size_t i = 0; i < item->n; i++)
            ok = option_read(x, &item->entries[i], t, ret_ignore) && ok;
        return ok;
    }
    if (value_is_text(item) && strpbrk(item->text, "*?[/") == NULL)
        return true;
    problem_at(x->r->problems, item->at,
               "target '%s': '%s' is no plain name of a pillar file (wanted: a.b for a/b.sls)", t->entry->key,
               item->kind == VALUE_SCALAR ? item->text : value_kind_text(item));
    return false;
}

static bool aim_read(struct top_reading *x, const struct entry *entry, struct aim *ret)
{
    bool ok = true, ignore = false;
    ret->entry = entry;
    for (size_t i = 0; i < entry->value->n; i++)
        ok = item_read(x, entry->value->items[i], ret, &ignore) && ok;
    for (size_t i = 0; ok && ignore && i < entry->value->n; i++)
        if (entry->value->items[i]->kind == VALUE_SCALAR)
            (void)map_add(x->r->arena, x->ignored, entry->value->items[i]->text, entry->at, entry->value);
    return ok;
}

static int by_order(const void *a, const void *b)
{
    const struct aim *x = a, *y = b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

/* ---- layers */

static struct top_layer *layer_add(struct top_reading *x, struct top *top)
{
    if (top->n == top->cap) {
        size_t cap = top->cap == 0 ? 8 : top->cap * 2;
        struct top_layer *bigger = arena_array(x->r->arena, cap, sizeof(*bigger));
        if (top->n > 0)
            memcpy(bigger, top->layers, top->n * sizeof(*bigger));
        top->layers = bigger;
        top->cap = cap;
    }
    return &top->layers[top->n++];
}

static const struct value *alone(struct top_reading *x, const struct value *item)
{
    const struct value *tree = map_get(x->alone, item->text);
    if (tree != NULL)
        return tree;
    tree = sls_load_named(x->r, item->text, item->at);
    if (tree != NULL)
        (void)map_add(x->r->arena, x->alone, item->text, item->at, tree);
    return tree;
}

static bool layers_load(struct top_reading *x, const struct aim *t, struct top *top)
{
    const struct value *list = t->entry->value;
    struct top_target *target = &top->targets[top->n_targets++];
    bool ok = true;
    *target = (struct top_target){.from = top->n};
    target->matcher = matcher_new(&x->match, t->entry->key, t->match, t->entry->at);
    for (size_t i = 0; i < list->n; i++) {
        const struct value *item = list->items[i];
        const struct value *tree = item->kind == VALUE_SCALAR ? alone(x, item) : NULL;
        ok = ok && (tree != NULL || item->kind != VALUE_SCALAR);
        if (tree != NULL)
            *layer_add(x, top) = (struct top_layer){.target = t->entry->key,
                                                    .at = t->entry->at,
                                                    .matcher = target->matcher,
                                                    .name = item->text,
                                                    .name_at = item->at,
                                                    .tree = tree};
    }
    target->n = top->n - target->from;
    return ok && target->matcher != NULL;
}

static bool section_load(struct top_reading *x, struct top *ret)
{
    size_t n = x->targets->n;
    struct aim *targets = arena_array(x->r->arena, n + 1, sizeof(*targets));
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        targets[i].number = i;
        ok = aim_read(x, &x->targets->entries[i], &targets[i]) && ok;
    }
    if (!ok)
        return false;
    qsort(targets, n, sizeof(*targets), by_order);
    ret->targets = arena_array(x->r->arena, n + 1, sizeof(*ret->targets));
    ret->ignored = x->r->ignored = x->ignored;
    for (size_t i = 0; i < n; i++)
        ok = layers_load(x, &targets[i], ret) && ok;
    return ok;
}

bool top_load(struct sls_reader *r, const char *path, const char *section, const struct value *nodegroups,
              struct top *ret)
{
    struct place nowhere = {.file = NULL};
    struct top_reading x = {.r = r,
                            .section = section,
                            .targets = value_map(r->arena, nowhere),
                            .ignored = value_map(r->arena, nowhere),
                            .alone = value_map(r->arena, nowhere),
                            .match = {.arena = r->arena, .problems = r->problems, .nodegroups = nodegroups}};
    r->salt = true;
    const struct value *file = yaml_load_file(r->arena, path, r->problems);
    if (file == NULL || !files_read(&x, file))
        return false;
    const struct entry *own = map_entry(file, section);
    if ((own != NULL && own->type == SCALAR_STR) || x.targets->n > 0)
        return section_load(&x, ret);
    problem_at(r->problems, file->at, "no section '%s'", section);
    return false;
}
