/* SPDX-License-Identifier: MIT */
/* Which layers of top.sls a node gets, and what Salt would make of them for it: the files of all targets that
 * match, each once, at its first place, rendered one after another for this node. Nodes with the same files
 * share one tree. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "plans/merge.h"
#include "plans/pillar_priv.h"

/* Targets that are one node's id are looked up, the others asked: 10,000 of each are no 10^8 questions. */
struct literal {
    const char *id;
    size_t target;
};
struct layering {
    struct literal *literals; /* sorted */
    size_t n_literals;
    size_t *asked; /* targets, in order */
    size_t n_asked;
    struct value *by_node;  /* map: id -> tree */
    struct value *by_files; /* map: names of files, a line each -> tree */
};

static int by_id(const void *a, const void *b)
{
    const struct literal *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    return order != 0 ? order : x->target < y->target ? -1 : x->target > y->target;
}

static struct layering *layering_new(struct pillar *p)
{
    const struct top *top = &p->top;
    struct layering *l = arena_alloc(&p->arena, sizeof(*l));
    l->literals = arena_array(&p->arena, top->n_targets + 1, sizeof(*l->literals));
    l->asked = arena_array(&p->arena, top->n_targets + 1, sizeof(*l->asked));
    for (size_t i = 0; i < top->n_targets; i++) {
        const char *id = matcher_id(top->targets[i].matcher);
        if (id == NULL)
            l->asked[l->n_asked++] = i;
        else
            l->literals[l->n_literals++] = (struct literal){.id = id, .target = i};
    }
    qsort(l->literals, l->n_literals, sizeof(*l->literals), by_id);
    l->by_node = value_map(&p->arena, (struct place){.file = NULL});
    l->by_files = value_map(&p->arena, (struct place){.file = NULL});
    return l;
}

/* ---- who a target is for */

static const struct value *grains_file(struct pillar *p, const char *node)
{
    struct stat st;
    const char *path = root_path(&p->arena, p->root, arena_printf(&p->arena, "grains/%s.yml", node));
    return name_valid(node, 64) && lstat(path, &st) == 0 ? yaml_load_file(&p->arena, path, &p->late) : NULL;
}

static const struct value *grains_of(struct pillar *p, const char *node)
{
    const struct entry *own = map_entry(p->yml.grains, node);
    const struct value *file = grains_file(p, node);
    if (own != NULL && file != NULL)
        problem_at(&p->late, own->at, "grains of '%s' stand here and in %s; one of them is too many", node,
                   file->at.file);
    return file != NULL ? file : own == NULL ? NULL : own->value;
}

static bool target_is_for(struct pillar *p, const struct top_layer *layer, struct match_node *node)
{
    if (!matcher_local(layer->matcher) && node->grains == NULL)
        node->grains = grains_of(p, node->id);
    enum answer answer = matcher_asks(layer->matcher, node);
    if (answer != ANSWER_UNKNOWN)
        return answer == ANSWER_YES;
    problem_at(
        &p->late, layer->at,
        "whether target '%s' is for node '%s' is not known: %s (wanted: its grains in %s or in release.yml, "
        "'grains: {%s: {...}}', also those that are empty; or let Salt itself render the pillar, "
        "release.yml: "
        "'pillar: {renderer: salt}')",
        layer->target, node->id, node->why,
        root_path(&p->arena, p->root, arena_printf(&p->arena, "grains/%s.yml", node->id)), node->id);
    return false;
}

bool pillar_layer_matches(struct pillar *p, const struct top_layer *layer, const char *node)
{
    auto_arena struct arena scratch = {.head = NULL};
    struct match_node asked = {.arena = &scratch, .id = node};
    return target_is_for(p, layer, &asked);
}

/* The first of those with this id; they stand in the order of the file. */
static size_t literal_find(const struct layering *l, const char *id)
{
    size_t low = 0, high = l->n_literals;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (strcmp(l->literals[mid].id, id) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The targets that match, in order, into ret. */
static size_t targets_of(struct pillar *p, const char *node, size_t *ret)
{
    auto_arena struct arena scratch = {.head = NULL};
    struct match_node asked = {.arena = &scratch, .id = node};
    const struct layering *l = p->layering;
    size_t n = 0, i = literal_find(l, node);
    for (size_t k = 0; k < l->n_asked; k++) {
        const struct top_target *t = &p->top.targets[l->asked[k]];
        for (;
             i < l->n_literals && l->literals[i].target < l->asked[k] && strcmp(l->literals[i].id, node) == 0;
             i++)
            ret[n++] = l->literals[i].target;
        if (t->n > 0 && target_is_for(p, &p->top.layers[t->from], &asked))
            ret[n++] = l->asked[k];
    }
    for (; i < l->n_literals && strcmp(l->literals[i].id, node) == 0; i++)
        ret[n++] = l->literals[i].target;
    return n;
}

/* ---- what it gets */

struct layer_files {
    struct arena *arena;
    const struct top_layer **layers;
    size_t n;
    struct value *names; /* set */
    struct buf key;
};

static void files_add(struct layer_files *f, const struct top_target *target, const struct top *top)
{
    for (size_t i = 0; i < target->n; i++) {
        const struct top_layer *layer = &top->layers[target->from + i];
        if (!map_add(f->arena, f->names, layer->name, layer->at, f->names))
            continue;
        f->layers[f->n++] = layer;
        buf_printf(&f->key, "%s\n", layer->name);
    }
}

static const struct value *nothing(struct pillar *p)
{
    return value_map(&p->arena, p->tree == NULL ? (struct place){.file = NULL} : p->tree->at);
}

static const struct value *files_render(struct pillar *p, const struct layer_files *f)
{
    struct merging sum;
    merge_start(&sum, &p->arena, &p->late, NULL);
    p->reader.problems = &p->late;
    sls_session(&p->reader);
    for (size_t i = 0; i < f->n; i++) {
        const struct top_layer *layer = f->layers[i];
        const struct value *tree = sls_load_next(&p->reader, layer->name, layer->name_at);
        if (tree != NULL)
            merge_add(&sum, tree);
    }
    for (size_t i = 0; i < p->n_overrides; i++)
        merge_add(&sum, p->overrides[i]);
    return pillar_answered(p, sum.sum == NULL ? nothing(p) : sum.sum);
}

static const struct value *tree_of_targets(struct pillar *p, const size_t *targets, size_t n)
{
    auto_arena struct arena scratch = {.head = NULL};
    struct layer_files f = {.arena = &scratch, .key = BUF_INIT(64u * 1024 * 1024)};
    f.layers = arena_array(&scratch, p->top.n + 1, sizeof(const struct top_layer *));
    f.names = value_map(&scratch, (struct place){.file = NULL});
    for (size_t i = 0; i < n; i++)
        files_add(&f, &p->top.targets[targets[i]], &p->top);
    const struct value *tree = map_get(p->layering->by_files, buf_str(&f.key));
    if (tree == NULL) {
        tree = files_render(p, &f);
        (void)map_add(&p->arena, p->layering->by_files, arena_strdup(&p->arena, buf_str(&f.key)), tree->at,
                      tree);
    }
    buf_fini(&f.key);
    return tree;
}

static size_t everyone(const struct pillar *p, size_t *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < p->top.n_targets; i++)
        if (matcher_everyone(p->top.targets[i].matcher))
            ret[n++] = i;
    return n;
}

static struct layering *layering_of(struct pillar *p)
{
    if (p->layering == NULL)
        p->layering = layering_new(p);
    return p->layering;
}

const struct value *pillar_tree_of(struct pillar *p, const char *node)
{
    if (p->rendered != NULL) {
        const struct value *own = map_get(p->rendered, node);
        return own != NULL ? own : value_map(&p->arena, p->rendered->at);
    }
    if (!p->per_node)
        return p->tree;
    const struct value *tree = map_get(layering_of(p)->by_node, node);
    if (tree != NULL)
        return tree;
    auto_arena struct arena scratch = {.head = NULL};
    size_t *targets = arena_array(&scratch, p->top.n_targets + 1, sizeof(*targets));
    size_t n = targets_of(p, node, targets);
    tree = tree_of_targets(p, targets, n);
    (void)map_add(&p->arena, p->layering->by_node, arena_strdup(&p->arena, node), tree->at, tree);
    return tree;
}

const struct value *pillar_everyones(struct pillar *p)
{
    auto_arena struct arena scratch = {.head = NULL};
    size_t *targets = arena_array(&scratch, p->top.n_targets + 1, sizeof(*targets));
    (void)layering_of(p);
    return tree_of_targets(p, targets, everyone(p, targets));
}

const struct value *pillar_tree_of_all(struct pillar *p)
{
    return p->per_node ? pillar_everyones(p) : p->tree;
}

const struct top_layer *pillar_layer_of(struct pillar *p, const char *node, const char *key)
{
    auto_arena struct arena scratch = {.head = NULL};
    if (p->top.n_targets == 0)
        return NULL;
    size_t *targets = arena_array(&scratch, p->top.n_targets + 1, sizeof(*targets));
    (void)layering_of(p);
    const struct top_layer *last = NULL;
    for (size_t i = 0, n = targets_of(p, node, targets); i < n; i++) {
        const struct top_target *t = &p->top.targets[targets[i]];
        for (size_t k = t->from; k < t->from + t->n; k++)
            if (map_entry(p->top.layers[k].tree, key) != NULL)
                last = &p->top.layers[k];
    }
    return last;
}
