/* SPDX-License-Identifier: MIT */
/* Salt's merge (salt.utils.dictupdate): maps merge deep, anything else is replaced by the later one, order of
 * first appearance is kept. Many trees are summed up in one walk over each: maps that this sum made are
 * changed in place, those of the files never.
 *
 * A map that stands in two places of a file, by an alias, is one map to Python: a later file that changes it
 * in one place changes it in the other. So where such a map is about, the sum is copied with its sharing
 * before each step, and then changed, as Python does it. */
#include "plans/merge.h"

#include <string.h>

/* ---- copies that share what the original shares */

struct merge_copy {
    const struct value *from;
    struct value *to;
};
struct memo {
    struct merging *m;
    bool tree; /* what is shared is so to save copies alone: make them */
    struct merge_copy *pairs;
    size_t n, cap;
};

static size_t slot_of(const struct memo *memo, const struct value *v)
{
    size_t i = (size_t)(((uintptr_t)v >> 4) * 0x9e3779b97f4a7c15u >> 20) & (memo->cap - 1);
    while (memo->pairs[i].from != NULL && memo->pairs[i].from != v)
        i = (i + 1) & (memo->cap - 1);
    return i;
}

static void memo_put(struct memo *memo, const struct value *from, struct value *to)
{
    if (memo->n * 2 >= memo->cap) {
        struct memo old = *memo;
        memo->cap = memo->cap == 0 ? 64 : memo->cap * 2;
        memo->pairs = arena_array(memo->m->arena, memo->cap, sizeof(*memo->pairs));
        for (size_t i = 0; i < old.cap; i++)
            if (old.pairs[i].from != NULL)
                memo->pairs[slot_of(memo, old.pairs[i].from)] = old.pairs[i];
    }
    memo->pairs[slot_of(memo, from)] = (struct merge_copy){.from = from, .to = to};
    memo->n++;
}

/* A copy of the map itself, its values shared. */
static struct value *shallow(struct merging *m, const struct value *map)
{
    struct value *ret = arena_alloc(m->arena, sizeof(*ret));
    *ret = *map;
    ret->owner = m->token;
    ret->cap = map->n + 4;
    ret->entries = arena_array(m->arena, ret->cap, sizeof(ret->entries[0]));
    if (map->n > 0)
        memcpy(ret->entries, map->entries, map->n * sizeof(map->entries[0]));
    if (map->slots != NULL) {
        ret->slots = arena_array(m->arena, map->n_slots, sizeof(ret->slots[0]));
        memcpy(ret->slots, map->slots, map->n_slots * sizeof(map->slots[0]));
    }
    return ret;
}

static const struct value *deep(struct memo *memo, const struct value *v)
{
    struct arena *a = memo->m->arena;
    if (v->kind == VALUE_SCALAR)
        return v;
    const struct merge_copy *known = memo->tree || memo->cap == 0 ? NULL : &memo->pairs[slot_of(memo, v)];
    if (known != NULL && known->from != NULL)
        return known->to;
    struct value *ret = v->kind == VALUE_MAP ? shallow(memo->m, v) : value_list(a, v->at);
    if (!memo->tree)
        memo_put(memo, v, ret);
    for (size_t i = 0; i < v->n; i++) {
        if (v->kind == VALUE_MAP)
            ret->entries[i].value = deep(memo, v->entries[i].value);
        else
            list_add(a, ret, deep(memo, v->items[i]));
    }
    return ret;
}

/* ---- the sum */

static void refuse(struct merging *m, const struct entry *e, const struct entry *other, const char *why)
{
    if (m->problems != NULL)
        problem_at(m->problems, e->at, "key '%s': %s (the other place is %s)", e->key, why,
                   place_text(m->arena, other->at));
    m->ok = m->problems == NULL && m->ok;
}

/* NULL: not to be changed. */
static struct value *own_map(struct merging *m, struct entry *mine, const struct entry *e)
{
    if (mine->value->owner == m->token)
        return (struct value *)(uintptr_t)mine->value;
    if (m->exact) { /* it came with this very step, by another name of the same map */
        refuse(m, e, mine, "an alias makes it the same map as another that is changed here, too");
        return NULL;
    }
    struct value *copy = shallow(m, mine->value);
    mine->value = copy;
    return copy;
}

static void add_map(struct merging *m, struct value *sum, const struct value *over)
{
    for (size_t i = 0; i < over->n; i++) {
        const struct entry *e = &over->entries[i];
        const struct entry *twin = key_twin(sum, e);
        if (twin != NULL) {
            refuse(m, e, twin,
                   "the same key by its text or its number, but not by its type (quotes make it text)");
            continue;
        }
        struct entry *mine = (struct entry *)(uintptr_t)map_entry(sum, e->key);
        if (mine == NULL) {
            (void)map_add_entry(m->arena, sum, e);
            continue;
        }
        mine->at = e->at;
        if (mine->value->kind != VALUE_MAP || e->value->kind != VALUE_MAP) {
            mine->value = e->value;
            continue;
        }
        struct value *map = own_map(m, mine, e);
        if (map != NULL)
            add_map(m, map, e->value);
    }
}

void merge_start(struct merging *m, struct arena *a, struct problems *problems, const struct value *first)
{
    *m = (struct merging){.arena = a, .problems = problems, .sum = first, .ok = true};
}

/* A tree without aliases may have parts in common by our own doing; to Python they are two. */
static const struct value *copied(struct merging *m, const struct value *v)
{
    struct memo memo = {.m = m, .tree = !v->aliased};
    return deep(&memo, v);
}

void merge_add(struct merging *m, const struct value *over)
{
    if (m->sum == NULL || m->sum->kind != VALUE_MAP || over->kind != VALUE_MAP) {
        m->sum = over;
        return;
    }
    m->exact = m->sum->aliased || over->aliased;
    if (m->token == NULL)
        m->token = arena_alloc(m->arena, 1);
    struct value *sum = (struct value *)(uintptr_t)m->sum;
    if (m->exact) {
        over = over->aliased ? over : copied(m, over);
        m->token = arena_alloc(m->arena, 1);
        sum = (struct value *)(uintptr_t)copied(m, m->sum);
    } else if (sum->owner != m->token) {
        sum = shallow(m, m->sum);
    }
    add_map(m, sum, over);
    sum->aliased = m->sum->aliased || over->aliased;
    m->sum = sum;
}

const struct value *value_merge(struct arena *a, const struct value *base, const struct value *over)
{
    struct merging m;
    merge_start(&m, a, NULL, base);
    merge_add(&m, over);
    return m.sum;
}
