/* SPDX-License-Identifier: MIT */
/* One pillar for all nodes of an environment (settling.h): what they share, and each node's own dir and user. */
#include "plans/settling.h"

#include <string.h>

#define PATHS_SHOWN 12

/* ---- what they share */

struct sharing {
    struct settling *s;
    struct value *paths; /* map: what was left out */
};

static void leave_out(struct sharing *sh, const char *path)
{
    (void)map_add(sh->s->a, sh->paths, path, sh->paths->at, sh->paths);
}

static const char *path_join(struct arena *a, const char *path, const char *key)
{
    return *path == '\0' ? key : arena_printf(a, "%s:%s", path, key);
}

static const struct value *shared(struct sharing *sh, const char *path, const struct value *x,
                                  const struct value *y)
{
    struct arena *a = sh->s->a;
    if (value_same(x, y))
        return x;
    if (x->kind != VALUE_MAP || y->kind != VALUE_MAP) {
        leave_out(sh, path);
        return NULL;
    }
    struct value *ret = value_map(a, x->at);
    for (size_t i = 0; i < x->n; i++) {
        const struct entry *e = &x->entries[i];
        const char *below = path_join(a, path, e->key);
        const struct value *other = map_get(y, e->key);
        const struct value *v = other == NULL ? NULL : shared(sh, below, e->value, other);
        if (other == NULL)
            leave_out(sh, below);
        if (v != NULL)
            (void)map_add(a, ret, e->key, e->at, v);
    }
    for (size_t i = 0; i < y->n; i++)
        if (map_entry(x, y->entries[i].key) == NULL)
            leave_out(sh, path_join(a, path, y->entries[i].key));
    return ret;
}

static struct value *map_without(struct arena *a, const struct value *map, const char *key)
{
    struct value *ret = value_map(a, map->at);
    for (size_t i = 0; i < map->n; i++)
        if (strcmp(map->entries[i].key, key) != 0)
            (void)map_add(a, ret, map->entries[i].key, map->entries[i].at, map->entries[i].value);
    return ret;
}

static const struct value *all_share(struct settling *s)
{
    struct sharing sh = {.s = s, .paths = value_map(s->a, (struct place){.file = NULL})};
    const struct value *last = s->first_tree, *tree = map_without(s->a, last, "release");
    for (size_t i = 0; i < s->chosen->n; i++) {
        const struct value *own = settle_tree_of(s, s->chosen->entries[i].key);
        if (own != last)
            tree = shared(&sh, "", tree, map_without(s->a, own, "release"));
        last = own;
    }
    auto_buf struct buf text = BUF_INIT(2000);
    for (size_t i = 0; i < sh.paths->n && i < PATHS_SHOWN; i++)
        buf_printf(&text, "%s%s", i == 0 ? "" : ", ", sh.paths->entries[i].key);
    if (sh.paths->n > PATHS_SHOWN)
        buf_printf(&text, " and %zu more", sh.paths->n - PATHS_SHOWN);
    s->p->differs = sh.paths->n == 0 ? NULL : arena_strdup(s->a, buf_str(&text));
    return tree;
}

/* ---- the block with each node's own values in it */

static const struct value *own_values_of(struct settling *s, const struct value *tree)
{
    static const char *const keys[] = {"dir", "user"};
    const struct value *block = map_get(tree, "release");
    struct value *own = value_map(s->a, block->at);
    for (size_t i = 0; i < 2; i++) {
        const struct entry *e = map_entry(block, keys[i]);
        if (e != NULL && !value_same(e->value, map_get(s->first_block, keys[i])))
            (void)map_add(s->a, own, keys[i], e->at, e->value);
    }
    return own;
}

/* What stands in app_servers wins over the block, as it does without layers. */
static const struct value *with_own(struct settling *s, const struct server_entry *e, const struct value *own)
{
    if (own->n == 0)
        return e->value;
    if (e->value == NULL || value_is_null(e->value))
        return own;
    if (e->value->kind == VALUE_MAP)
        return value_merge(s->a, own, e->value);
    struct value *address = value_map(s->a, e->at);
    (void)map_add(s->a, address, "host", e->at, e->value);
    return value_merge(s->a, own, address);
}

static bool entry_in(const struct value *servers, const char *name_key, const char *id, size_t guess,
                     struct server_entry *ret)
{
    size_t n = servers_count(servers);
    if (guess < n && servers_at(servers, name_key, guess, ret) && strcmp(ret->id, id) == 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (servers_at(servers, name_key, i, ret) && strcmp(ret->id, id) == 0)
            return true;
    return false;
}

static void joined_add(struct settling *s, struct value *list, size_t number, const char *id)
{
    const struct value *tree = settle_tree_of(s, id);
    const char *name_key;
    const struct value *servers = settle_listed(s, tree, &name_key);
    struct server_entry e;
    if (!entry_in(servers, name_key, id, number, &e))
        return;
    const struct value *v = with_own(s, &e, own_values_of(s, tree));
    struct value *empty = value_scalar(s->a, e.at, "");
    empty->plain = true;
    if (list->kind == VALUE_MAP) {
        (void)map_add(s->a, list, id, e.at, v == NULL ? empty : v);
    } else if (e.whole) {
        list_add(s->a, list, v);
    } else if (v == NULL) {
        list_add(s->a, list, value_scalar(s->a, e.at, id));
    } else {
        struct value *item = value_map(s->a, e.at);
        (void)map_add(s->a, item, id, e.at, v);
        list_add(s->a, list, item);
    }
}

static const struct value *joined_servers(struct settling *s)
{
    const struct value *like = s->first_servers;
    struct value *list = like->kind == VALUE_MAP ? value_map(s->a, like->at) : value_list(s->a, like->at);
    for (size_t i = 0; i < s->chosen->n; i++)
        joined_add(s, list, i, s->chosen->entries[i].key);
    return list;
}

static struct value *map_with(struct arena *a, const struct value *map, const char *key,
                              const struct value *v)
{
    struct value *ret = value_map(a, map->at);
    for (size_t i = 0; i < map->n; i++)
        (void)map_add(a, ret, map->entries[i].key, map->entries[i].at,
                      strcmp(map->entries[i].key, key) == 0 ? v : map->entries[i].value);
    return ret;
}

void settle_join(struct settling *s)
{
    const struct entry *release = map_entry(s->first_tree, "release");
    const struct value *block = s->first_block;
    bool all = s->chosen->n == servers_count(s->first_servers);
    if (map_get(block, "roles") != NULL)
        s->p->chosen = all ? NULL : s->chosen;
    else if (s->own_values || !all)
        s->p->servers = joined_servers(s);
    if (s->p->servers != NULL && map_get(block, "app_servers") == s->first_servers)
        block = map_with(s->a, block, "app_servers", s->p->servers);
    const struct value *rest = all_share(s);
    struct value *tree = value_map(s->a, s->first_tree->at);
    for (size_t i = 0; i < rest->n; i++)
        (void)map_add(s->a, tree, rest->entries[i].key, rest->entries[i].at, rest->entries[i].value);
    (void)map_add(s->a, tree, "release", release->at, block);
    s->p->tree = tree;
}
