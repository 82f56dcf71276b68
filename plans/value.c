/* SPDX-License-Identifier: MIT */
/* The value tree: maps with the order of writing and quick look-up, paths, and the messages that carry a
 * place. */
#include "plans/value.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define HASH_FROM 12 /* entries; below that a walk is quicker */

static struct value *value_new(struct arena *a, enum value_kind kind, struct place at)
{
    struct value *v = arena_alloc(a, sizeof(*v));
    *v = (struct value){.kind = kind, .at = at, .weight = 1};
    return v;
}

struct value *value_map(struct arena *a, struct place at)
{
    return value_new(a, VALUE_MAP, at);
}

struct value *value_list(struct arena *a, struct place at)
{
    return value_new(a, VALUE_LIST, at);
}

struct value *value_scalar(struct arena *a, struct place at, const char *text)
{
    struct value *v = value_new(a, VALUE_SCALAR, at);
    v->text = text;
    return v;
}

/* Room for one more; the arena keeps the old array, so growth doubles. */
static void *grown(struct arena *a, const void *old, size_t n, size_t *cap, size_t size)
{
    *cap = *cap == 0 ? 4 : *cap * 2;
    char *p = arena_array(a, *cap, size);
    if (n > 0)
        memcpy(p, old, n * size);
    return p;
}

void list_add(struct arena *a, struct value *list, const struct value *item)
{
    if (list->n == list->cap)
        list->items = grown(a, list->items, list->n, &list->cap, sizeof(list->items[0]));
    list->items[list->n++] = item;
    list->weight += item->weight;
}

static uint32_t key_hash(const char *key)
{
    uint32_t h = 2166136261u;
    for (; *key != '\0'; key++)
        h = (h ^ (unsigned char)*key) * 16777619u;
    return h;
}

static void slot_put(struct value *map, size_t entry)
{
    size_t mask = map->n_slots - 1;
    size_t i = key_hash(map->entries[entry].key) & mask;
    while (map->slots[i] != 0)
        i = (i + 1) & mask;
    map->slots[i] = (uint32_t)entry + 1;
}

static void map_index(struct arena *a, struct value *map)
{
    if (map->n < HASH_FROM)
        return;
    if (map->n * 2 < map->n_slots) {
        slot_put(map, map->n - 1);
        return;
    }
    map->n_slots = map->n_slots == 0 ? 64 : map->n_slots * 2;
    map->slots = arena_array(a, map->n_slots, sizeof(map->slots[0]));
    for (size_t i = 0; i < map->n; i++)
        slot_put(map, i);
}

static struct entry *entry_find(const struct value *map, const char *key)
{
    if (map == NULL || map->kind != VALUE_MAP)
        return NULL;
    if (map->slots == NULL) {
        for (size_t i = 0; i < map->n; i++)
            if (strcmp(map->entries[i].key, key) == 0)
                return &map->entries[i];
        return NULL;
    }
    size_t mask = map->n_slots - 1;
    for (size_t i = key_hash(key) & mask; map->slots[i] != 0; i = (i + 1) & mask) {
        struct entry *e = &map->entries[map->slots[i] - 1];
        if (strcmp(e->key, key) == 0)
            return e;
    }
    return NULL;
}

bool map_add_entry(struct arena *a, struct value *map, const struct entry *entry)
{
    if (entry_find(map, entry->key) != NULL)
        return false;
    if (map->n == map->cap)
        map->entries = grown(a, map->entries, map->n, &map->cap, sizeof(map->entries[0]));
    map->entries[map->n++] = *entry;
    map->weight += entry->value->weight;
    map->key_types |= (uint8_t)(1u << entry->type);
    map_index(a, map);
    return true;
}

bool map_add(struct arena *a, struct value *map, const char *key, struct place at, const struct value *value)
{
    return map_add_entry(a, map, &(struct entry){.key = key, .at = at, .value = value});
}

static bool is_number(enum scalar_type type)
{
    return type == SCALAR_BOOL || type == SCALAR_INT || type == SCALAR_BIG || type == SCALAR_FLOAT;
}

/* To Python, whose maps Salt merges in, 1, 1.0 and true are one key; to JSON 1 and "1" are. */
const struct entry *key_twin(const struct value *map, const struct entry *entry)
{
    const struct entry *same = entry_find(map, entry->key);
    if (same != NULL && same->type != entry->type)
        return same;
    if (!is_number(entry->type) || map == NULL || map->kind != VALUE_MAP ||
        (map->key_types & ~(1u << entry->type | 1u << SCALAR_STR | 1u << SCALAR_NULL)) == 0)
        return NULL;
    bool is_bool = entry->type == SCALAR_BOOL;
    double number = is_bool ? entry->key[0] == 't' : strtod(entry->key, NULL);
    for (size_t i = 0; i < map->n; i++) {
        const struct entry *e = &map->entries[i];
        if (!is_number(e->type) || e->type == entry->type)
            continue;
        if ((e->type == SCALAR_BOOL ? e->key[0] == 't' : strtod(e->key, NULL)) == number)
            return e;
    }
    return NULL;
}

void map_put(struct arena *a, struct value *map, const char *key, struct place at, const struct value *value)
{
    struct entry *e = entry_find(map, key);
    if (e == NULL) {
        (void)map_add(a, map, key, at, value);
        return;
    }
    e->at = at;
    e->value = value;
}

const struct entry *map_entry(const struct value *map, const char *key)
{
    return entry_find(map, key);
}

const struct value *map_get(const struct value *map, const char *key)
{
    const struct entry *e = entry_find(map, key);
    return e == NULL ? NULL : e->value;
}

static const struct value *child_get(const struct value *v, const char *name)
{
    if (v->kind == VALUE_MAP)
        return map_get(v, name);
    if (v->kind != VALUE_LIST || name[0] < '0' || name[0] > '9')
        return NULL;
    char *end;
    unsigned long i = strtoul(name, &end, 10);
    return *end == '\0' && i < v->n ? v->items[i] : NULL;
}

const struct value *value_get(const struct value *root, const char *path)
{
    const struct value *v = root;
    char name[512];
    while (v != NULL && *path != '\0') {
        size_t n = strcspn(path, ":");
        if (n >= sizeof(name))
            return NULL;
        memcpy(name, path, n);
        name[n] = '\0';
        v = child_get(v, name);
        path += n;
        if (*path == ':')
            path++;
    }
    return v;
}

bool value_is_null(const struct value *v)
{
    if (v == NULL)
        return true;
    int64_t i;
    double f;
    return v->kind == VALUE_SCALAR && scalar_type(v, &i, &f) == SCALAR_NULL;
}

const char *value_kind_text(const struct value *v)
{
    switch (v->kind) {
    case VALUE_SCALAR: return value_is_null(v) ? "nothing" : "text";
    case VALUE_LIST: return "a list";
    case VALUE_MAP: return "a map";
    }
    return "?";
}

#define PROBLEMS_MAX 100

/* A block that serves several steps would repeat its mistake for each of them. */
static bool said_already(const struct problems *p, const char *line)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->lines[i], line) == 0)
            return true;
    return false;
}

static void problems_vadd(struct problems *p, const char *fmt, va_list ap)
{
    const char *line = arena_vprintf(&p->arena, fmt, ap);
    if (said_already(p, line))
        return;
    if (p->n == PROBLEMS_MAX) {
        p->dropped++;
        return;
    }
    if (p->n == p->cap)
        p->lines = grown(&p->arena, p->lines, p->n, &p->cap, sizeof(p->lines[0]));
    p->lines[p->n++] = line;
}

void problems_add(struct problems *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    problems_vadd(p, fmt, ap);
    va_end(ap);
}

void problems_fini(struct problems *p)
{
    arena_fini(&p->arena);
    *p = (struct problems){.n = 0};
}

void problem_at(struct problems *p, struct place at, const char *fmt, ...)
{
    auto_buf struct buf text = BUF_INIT(4096);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    if (at.file == NULL)
        problems_add(p, "%s", buf_str(&text));
    else if (at.line == 0)
        problems_add(p, "%s: %s", at.file, buf_str(&text));
    else
        problems_add(p, "%s:%d:%d: %s", at.file, at.line, at.col, buf_str(&text));
}

const char *nearest_hint(struct arena *a, const char *word, const char *const *names, size_t n)
{
    int i = str_nearest(word, names, n);
    return i < 0 ? "" : arena_printf(a, " (did you mean '%s'?)", names[i]);
}

const char *place_text(struct arena *a, struct place at)
{
    if (at.file == NULL)
        return "";
    return arena_printf(a, "%s:%d:%d", at.file, at.line, at.col);
}

bool value_same(const struct value *a, const struct value *b)
{
    if (a == b)
        return true;
    if (a == NULL || b == NULL || a->kind != b->kind || a->n != b->n)
        return false;
    if (a->kind == VALUE_SCALAR)
        return strcmp(a->text, b->text) == 0 && a->plain == b->plain;
    for (size_t i = 0; i < a->n; i++)
        if (!(a->kind == VALUE_LIST ? value_same(a->items[i], b->items[i])
                                    : value_same(a->entries[i].value, map_get(b, a->entries[i].key))))
            return false;
    return true;
}
