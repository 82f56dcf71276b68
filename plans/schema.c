/* SPDX-License-Identifier: MIT */
/* Reading a map by its table of keys (schema.h). */
#include "plans/schema.h"

#include <stdlib.h>
#include <string.h>

bool choice_has(const char *choices, const char *word)
{
    size_t n = strlen(word);
    for (const char *s = choices; s != NULL; s = strchr(s, '|')) {
        s += *s == '|';
        if (strncmp(s, word, n) == 0 && (s[n] == '|' || s[n] == '\0'))
            return true;
    }
    return false;
}

const char *choices_text(struct arena *a, const char *choices)
{
    auto_buf struct buf out = BUF_INIT(4000);
    const char *last = strrchr(choices, '|');
    for (const char *s = choices; *s != '\0'; s++)
        if (*s != '|')
            buf_add(&out, s, 1);
        else
            buf_puts(&out, s == last ? " or " : ", ");
    return arena_strdup(a, buf_str(&out));
}

const char *home_expanded(struct arena *a, const char *path)
{
    const char *home = getenv("HOME");
    return str_starts(path, "~/") && home != NULL ? arena_printf(a, "%s%s", home, path + 1) : path;
}

const char *scalar_wanted(struct schema_reader *r, const struct value *v, const char *what,
                          const char *wanted)
{
    if (v->kind == VALUE_SCALAR)
        return v->text;
    problem_at(r->problems, v->at, "%s: wanted %s, found %s", what, wanted, value_kind_text(v));
    return NULL;
}

static bool number(const char *s, int64_t *ret)
{
    size_t n = strspn(s, "0123456789");
    if (n == 0 || n > 15 || s[n] != '\0')
        return false;
    *ret = strtoll(s, NULL, 10);
    return true;
}

bool int_read(struct schema_reader *r, const struct value *v, const char *what, int64_t min, int64_t max,
              int64_t *ret)
{
    const char *wanted = arena_printf(r->arena, "a number from %lld to %lld", (long long)min, (long long)max);
    const char *s = scalar_wanted(r, v, what, wanted);
    int64_t n;
    if (s == NULL)
        return false;
    if (!number(s, &n) || n < min || n > max) {
        problem_at(r->problems, v->at, "%s: '%s' is not %s", what, s, wanted);
        return false;
    }
    *ret = n;
    return true;
}

bool duration_read(struct schema_reader *r, const struct value *v, const char *what, int64_t *ret)
{
    const char *s = scalar_wanted(r, v, what, "a duration like 30s");
    int64_t n;
    if (s == NULL)
        return false;
    if (duration_parse(s, ret))
        return true;
    if (number(s, &n))
        problem_at(r->problems, v->at, "%s: '%s' needs a unit: %ss, %sms, %sm?", what, s, s, s, s);
    else
        problem_at(r->problems, v->at, "%s: '%s' is not a duration (wanted: 30s, 1500ms, 5m, 1h30m)", what,
                   s);
    return false;
}

bool share_read(struct schema_reader *r, const struct value *v, const char *what, struct share *ret)
{
    const char *s = scalar_wanted(r, v, what, "a number of nodes or a percentage");
    if (s == NULL)
        return false;
    size_t len = strlen(s);
    bool percent = len > 1 && s[len - 1] == '%';
    int64_t n;
    if (!number(percent ? arena_strndup(r->arena, s, len - 1) : s, &n) || (percent && n > 100)) {
        problem_at(r->problems, v->at,
                   "%s: '%s' is not a number of nodes or a percentage (wanted: 2 or 25%%)", what, s);
        return false;
    }
    *ret = (struct share){.given = true, .percent = percent, .n = n, .at = v->at};
    return true;
}

static bool name_read(struct schema_reader *r, const struct value *v, const char *what, const char **ret)
{
    const char *s = scalar_wanted(r, v, what, "a name");
    if (s == NULL)
        return false;
    if (!name_valid(s, 64)) {
        problem_at(r->problems, v->at,
                   "%s: '%s' is not a name (wanted: letters, digits, '.', '_', '-', not first '-' or '.')",
                   what, s);
        return false;
    }
    *ret = s;
    return true;
}

static bool path_read(struct schema_reader *r, const struct value *v, const char *what, const char **ret)
{
    const char *s = scalar_wanted(r, v, what, "an absolute path");
    if (s == NULL)
        return false;
    if (s[0] != '/' || strpbrk(s, "\n\r") != NULL) {
        problem_at(r->problems, v->at, "%s: '%s' is not an absolute path (wanted: /srv/app)", what, s);
        return false;
    }
    size_t n = strlen(s);
    while (n > 1 && s[n - 1] == '/')
        n--;
    *ret = arena_strndup(r->arena, s, n);
    return true;
}

static bool choice_read(struct schema_reader *r, const struct value *v, const char *what, const char *choices,
                        const char **ret)
{
    const char *s = scalar_wanted(r, v, what, choices_text(r->arena, choices));
    if (s == NULL)
        return false;
    if (!choice_has(choices, s)) {
        problem_at(r->problems, v->at, "%s: '%s' is not %s", what, s, choices_text(r->arena, choices));
        return false;
    }
    *ret = s;
    return true;
}

/* The target of an offset has the type that enum field_type says beside its name. */
static bool field_read(struct schema_reader *r, const struct value *v, const char *what,
                       const struct field *f, void *to)
{
    switch (f->type) {
    case FIELD_TEXT:
    case FIELD_FILE: {
        const char *s = scalar_wanted(r, v, what, "text");
        if (s != NULL)
            *(const char **)to = f->type == FIELD_FILE ? home_expanded(r->arena, s) : s;
        return s != NULL;
    }
    case FIELD_NAME: return name_read(r, v, what, to);
    case FIELD_PATH: return path_read(r, v, what, to);
    case FIELD_INT: return int_read(r, v, what, f->min, f->max, to);
    case FIELD_DURATION: return duration_read(r, v, what, to);
    case FIELD_SHARE: return share_read(r, v, what, to);
    case FIELD_CHOICE: return choice_read(r, v, what, f->choices, to);
    case FIELD_VALUE: *(const struct value **)to = v; return true;
    }
    return false;
}

static const struct field *field_find(const struct field *fields, const char *name)
{
    for (; fields->name != NULL; fields++)
        if (strcmp(fields->name, name) == 0)
            return fields;
    return NULL;
}

static bool unknown_key(struct schema_reader *r, const struct entry *e, const char *what,
                        const struct field *fields)
{
    const char *names[128];
    size_t n = 0;
    for (; fields[n].name != NULL && n < 128; n++)
        names[n] = fields[n].name;
    problem_at(r->problems, e->at, "%s: unknown key '%s'%s", what, e->key,
               nearest_hint(r->arena, e->key, names, n));
    return false;
}

bool schema_read(struct schema_reader *r, const struct value *map, const char *what,
                 const struct field *fields, void *ret)
{
    bool ok = true;
    if (map == NULL)
        return true;
    if (map->kind != VALUE_MAP) {
        problem_at(r->problems, map->at, "%s: wanted a map of keys, found %s", what, value_kind_text(map));
        return false;
    }
    for (size_t i = 0; i < map->n; i++) {
        const struct entry *e = &map->entries[i];
        const struct field *f = field_find(fields, e->key);
        if (f == NULL)
            ok = unknown_key(r, e, what, fields);
        else if (!value_is_null(e->value)) {
            const char *name = arena_printf(r->arena, "%s: %s", what, e->key);
            ok = field_read(r, e->value, name, f, (char *)ret + f->offset) && ok;
        }
    }
    return ok;
}
