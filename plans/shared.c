/* SPDX-License-Identifier: MIT */
/* shared: -> the words that drivers know (drivers/verbs/releasedir.c). A plain path stays as it is written; a map
 * becomes "/FLAGS[,mode=OCTAL][,owner=USER[:GROUP]]/PATH", which no relative path can be: f a file, d a directory, r must
 * be there, m must be a mount point, c its first content comes from the controller. That content is in a map of its own,
 * PATH: REFERENCE, since it is read and kept like a secret. */
#include "plans/compile_priv.h"

#include <stddef.h>
#include <string.h>

struct shared_path {
    const char *path, *file, *required, *mount, *mode, *owner, *from;
    const struct value *map;
};
#define AT(member) offsetof(struct shared_path, member)
static const struct field fields[] = {
    {.name = "path", .type = FIELD_TEXT, .offset = AT(path)},
    {.name = "file", .type = FIELD_TEXT, .offset = AT(file)},
    {.name = "required", .type = FIELD_TEXT, .offset = AT(required)},
    {.name = "mount", .type = FIELD_TEXT, .offset = AT(mount)},
    {.name = "mode", .type = FIELD_TEXT, .offset = AT(mode)},
    {.name = "owner", .type = FIELD_TEXT, .offset = AT(owner)},
    {.name = "from", .type = FIELD_TEXT, .offset = AT(from)},
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

/* The octal digits without their leading zeros; NULL: told. In quotes only: YAML reads 0640 as the number 416, and what Salt
 * renders has no more than that. */
static const char *mode_digits(struct compiler *c, const struct shared_path *s)
{
    const struct value *v = map_get(s->map, "mode");
    const char *digits = s->mode + strspn(s->mode, "0");
    size_t n = strlen(digits);
    if (!v->plain && n >= 1 && n <= 4 && strspn(digits, "01234567") == n)
        return digits;
    problem_at(c->r.problems, v->at,
               "shared: mode: %s is no mode; wanted octal digits in quotes, as in \"0640\"", s->mode);
    return NULL;
}

static bool name_ok(const char *name, size_t n)
{
    return n > 0 && n <= 32 && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-$") >= n &&
           strspn(name, "0123456789") < n;
}

static bool owner_ok(struct compiler *c, const struct shared_path *s)
{
    const char *colon = strchr(s->owner, ':');
    size_t n = colon != NULL ? (size_t)(colon - s->owner) : strlen(s->owner);
    if (name_ok(s->owner, n) && (colon == NULL || name_ok(colon + 1, strlen(colon + 1))))
        return true;
    problem_at(c->r.problems, map_get(s->map, "owner")->at,
               "shared: owner: '%s' is no owner; wanted USER or USER:GROUP, by their names", s->owner);
    return false;
}

/* Where the first content is; it is read as secrets are, so nobody's key comes to stand in plan or journal. */
static bool from_ok(struct compiler *c, const struct shared_path *s, bool required, bool file)
{
    const struct value *at = map_get(s->map, "from");
    if (!secret_is_reference(s->from))
        problem_at(c->r.problems, at->at,
                   "shared: from: '%s' says no place; wanted file:PATH, cmd:COMMAND or env:NAME on the "
                   "machine that releases",
                   s->from);
    else if (!file)
        problem_at(c->r.problems, at->at, "shared: from: brings a file; say `file: yes` as well");
    else if (required)
        problem_at(c->r.problems, at->at,
                   "shared: from: brings what is missing, and `required: yes` refuses it: leave one out");
    else
        return true;
    return false;
}

static void content_add(struct compiler *c, const struct shared_path *s)
{
    if (c->b.content == NULL)
        c->b.content = value_map(c->r.arena, s->map->at);
    if (!map_add(c->r.arena, c->b.content, s->path, s->map->at,
                 value_scalar(c->r.arena, s->map->at, s->from)))
        problem_at(c->r.problems, s->map->at, "shared: %s stands there twice", s->path);
}

static const struct value *map_word(struct compiler *c, const struct value *map)
{
    struct shared_path s = {.map = map};
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
    bool required = said(c, map, "required", s.required, (file || mount) && s.from == NULL);
    const char *mode = s.mode != NULL ? mode_digits(c, &s) : "";
    if (mode == NULL || (s.owner != NULL && !owner_ok(c, &s)) ||
        (s.from != NULL && !from_ok(c, &s, required, file)))
        return NULL;
    if (s.from != NULL)
        content_add(c, &s);
    return value_scalar(c->r.arena, map->at,
                        arena_printf(c->r.arena, "/%s%s%s%s%s%s%s%s/%s", file ? "f" : "d",
                                     required ? "r" : "", mount ? "m" : "", s.from != NULL ? "c" : "",
                                     *mode ? ",mode=" : "", mode, s.owner != NULL ? ",owner=" : "",
                                     s.owner != NULL ? s.owner : "", s.path));
}

const struct value *shared_words(struct compiler *c, const struct value *list)
{
    if (value_is_null(list))
        return NULL;
    struct value *words = value_list(c->r.arena, list->at);
    for (size_t i = 0; i < (list->kind == VALUE_LIST ? list->n : 1); i++) {
        const struct value *v = list->kind == VALUE_LIST ? list->items[i] : list;
        const struct value *word = v->kind == VALUE_MAP ? map_word(c, v) : v;
        if (word == v && v->kind == VALUE_SCALAR && v->text[0] == '/')
            problem_at(c->r.problems, v->at,
                       "shared: '%s': wanted a path in dir/shared, without the slash at its beginning",
                       v->text);
        else if (word != NULL && word->kind == VALUE_SCALAR)
            list_add(c->r.arena, words, word);
        else if (word != NULL)
            problem_at(c->r.problems, v->at, "shared: wanted a path or {path: ..}, found %s",
                       value_kind_text(v));
    }
    return words;
}
