/* SPDX-License-Identifier: MIT */
/* app_servers as it is written, before anybody asks what the nodes are: a map keyed by id, a list of ids, a
 * list of {id: {...}}, a list of {name: ID, host: ...}, or `pillar: PATH` to any of these elsewhere. */
#include "plans/pillar_priv.h"

#include <string.h>

static const char *text_of(const struct value *map, const char *key)
{
    const struct value *v = map_get(map, key);
    return v != NULL && v->kind == VALUE_SCALAR && !value_is_null(v) ? v->text : NULL;
}

const struct value *servers_of(const struct value *tree, const char **ret_name)
{
    return servers_behind(tree, map_get(map_get(tree, "release"), "app_servers"), ret_name);
}

const struct value *servers_behind(const struct value *tree, const struct value *servers,
                                   const char **ret_name)
{
    const char *path = text_of(servers, "pillar");
    *ret_name = "name";
    if (path == NULL)
        return servers;
    if (text_of(servers, "name") != NULL)
        *ret_name = text_of(servers, "name");
    return value_get(tree, path);
}

/* Do the roles lead to the lists of the last ones? Nodes whose trees differ elsewhere have their block in common, and a
 * path out of it leads where it led. */
static bool same_lists(const struct servers_kept *kept, const struct value *tree, const struct value *roles)
{
    const char *name;
    for (size_t r = 0; kept->roles == roles && r < roles->n; r++)
        if (servers_behind(tree, map_get(roles->entries[r].value, "app_servers"), &name) != kept->lists[r])
            return false;
    return kept->roles == roles;
}

static void gather(struct arena *a, struct servers_kept *kept, const struct value *tree,
                   const struct value *roles)
{
    struct value *all = value_map(a, roles->at);
    struct server_entry e;
    const char *name;
    *kept = (struct servers_kept){
        .roles = roles, .all = all, .lists = arena_array(a, roles->n + 1, sizeof(const struct value *))};
    for (size_t r = 0; r < roles->n; r++) {
        const struct value *list =
            servers_behind(tree, map_get(roles->entries[r].value, "app_servers"), &name);
        kept->lists[r] = list;
        for (size_t i = 0; i < servers_count(list); i++)
            if (servers_at(list, name, i, &e))
                (void)map_add(a, all, e.id, e.at, e.value != NULL ? e.value : value_map(a, e.at));
    }
}

const struct value *servers_of_all(struct arena *a, struct servers_kept *kept, const struct value *tree,
                                   const char **ret_name)
{
    const struct value *roles = map_get(map_get(tree, "release"), "roles");
    if (roles == NULL || roles->kind != VALUE_MAP)
        return servers_of(tree, ret_name);
    if (!same_lists(kept, tree, roles))
        gather(a, kept, tree, roles);
    *ret_name = "name";
    return kept->all;
}

size_t servers_count(const struct value *servers)
{
    return servers == NULL || servers->kind == VALUE_SCALAR ? 0 : servers->n;
}

bool servers_at(const struct value *servers, const char *name_key, size_t i, struct server_entry *ret)
{
    if (servers->kind == VALUE_MAP) {
        const struct entry *e = &servers->entries[i];
        *ret = (struct server_entry){.id = e->key, .at = e->at, .value = e->value};
        return true;
    }
    const struct value *item = servers->items[i];
    *ret = (struct server_entry){.at = item->at};
    if (item->kind == VALUE_SCALAR && !value_is_null(item))
        ret->id = item->text;
    else if (item->kind == VALUE_MAP && (ret->id = text_of(item, name_key)) != NULL)
        *ret = (struct server_entry){.id = ret->id, .at = item->at, .value = item, .whole = true};
    else if (item->kind == VALUE_MAP && item->n == 1)
        *ret = (struct server_entry){
            .id = item->entries[0].key, .at = item->at, .value = item->entries[0].value};
    return ret->id != NULL;
}
