/* SPDX-License-Identifier: MIT */
/* shared: -> the words that drivers know (drivers/verbs/releasedir.c). A plain path stays as it is written; a map
 * becomes
 * "/FLAGS/PATH", which no relative path can be: f a file, d a directory, r must be there, m must be a mount
 * point. */
#include "plans/compile_priv.h"

#include <stddef.h>
#include <string.h>

struct shared_path {
    const char *path, *file, *required, *mount;
};
#define AT(member) offsetof(struct shared_path, member)
static const struct field fields[] = {
    {.name = "path", .type = FIELD_TEXT, .offset = AT(path)},
    {.name = "file", .type = FIELD_TEXT, .offset = AT(file)},
    {.name = "required", .type = FIELD_TEXT, .offset = AT(required)},
    {.name = "mount", .type = FIELD_TEXT, .offset = AT(mount)},
    FIELD_END,
};

/* yes or no; `deflt` when it is not given. */
static bool said(struct compiler *c, const struct value *map, const char *key, const char *text, bool deflt)
{
    bool yes = deflt;
    if (text != NULL && !scalar_bool(text, &yes))
        problem_at(c->r.problems, map_get(map, key)->at, "shared: %s: '%s' is not yes or no", key, text);
    return yes;
}

static const struct value *map_word(struct compiler *c, const struct value *map)
{
    struct shared_path s = {.path = NULL};
    if (!schema_read(&c->r, map, "shared", fields, &s))
        return NULL;
    if (s.path == NULL) {
        problem_at(c->r.problems, map->at,
                   "shared: 'path' is missing, as in {path: config/master_key, file: yes}");
        return NULL;
    }
    bool slash = s.path[0] != '\0' && s.path[strlen(s.path) - 1] == '/';
    bool mount = said(c, map, "mount", s.mount, false), file = said(c, map, "file", s.file, false);
    if (file && (slash || mount)) {
        problem_at(c->r.problems, map->at, "shared: %s: a file %s", s.path,
                   slash ? "has no slash at its end" : "is no mount point");
        return NULL;
    }
    /* An empty file in the place of a key or a configuration is worse than none; an empty directory is where
     * uploads begin. */
    bool required = said(c, map, "required", s.required, file || mount);
    return value_scalar(c->r.arena, map->at,
                        arena_printf(c->r.arena, "/%s%s%s/%s", file ? "f" : "d", required ? "r" : "",
                                     mount ? "m" : "", s.path));
}

const struct value *shared_words(struct compiler *c, const struct value *list)
{
    if (value_is_null(list))
        return NULL;
    struct value *words = value_list(c->r.arena, list->at);
    for (size_t i = 0; i < (list->kind == VALUE_LIST ? list->n : 1); i++) {
        const struct value *v = list->kind == VALUE_LIST ? list->items[i] : list;
        const struct value *word = v->kind == VALUE_MAP ? map_word(c, v) : v;
        if (word != NULL && word->kind == VALUE_SCALAR)
            list_add(c->r.arena, words, word);
        else if (word != NULL)
            problem_at(c->r.problems, v->at, "shared: wanted a path or {path: ..}, found %s",
                       value_kind_text(v));
    }
    return words;
}
