/* SPDX-License-Identifier: MIT */
/* Sections and keys of AWS's shared files (ini.h). */
#include "drivers/aws/ini.h"

#include <string.h>

#define KEYS_MAX 20000

static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    for (size_t n = strlen(text); n && strchr(" \t\r", text[n - 1]); n--)
        text[n - 1] = '\0';
    return text;
}

static void section_add(struct arena *a, struct ini *io, const char *name)
{
    if (io->n_sections == io->cap_sections) {
        io->cap_sections = io->cap_sections ? 2 * io->cap_sections : 16;
        const char **more = arena_array(a, io->cap_sections, sizeof *more);
        if (io->n_sections)
            memcpy(more, io->sections, io->n_sections * sizeof *more);
        io->sections = more;
    }
    io->sections[io->n_sections++] = name;
}

static void key_add(struct arena *a, struct ini *io, struct ini_key key)
{
    if (io->n == io->cap) {
        io->cap = io->cap ? 2 * io->cap : 32;
        struct ini_key *more = arena_array(a, io->cap, sizeof *more);
        if (io->n)
            memcpy(more, io->keys, io->n * sizeof *more);
        io->keys = more;
    }
    io->keys[io->n++] = key;
}

/* Values end at " #" or " ;". */
static void cut_comment(char *value)
{
    for (char *p = value; *p; p++) {
        if ((*p == ' ' || *p == '\t') && (p[1] == '#' || p[1] == ';'))
            *p = '\0';
        if (!*p)
            return;
    }
}

struct ini_place {
    int line;
    const char *section;
    size_t depth; /* of the last key */
    char *tail;   /* the end of its value; NULL: this section has no key yet */
};

static bool section_take(struct arena *a, char *text, struct ini_place *io_at, struct ini *io,
                         struct err *err)
{
    char *close = strchr(text, ']');
    if (!close)
        return err_set(err, E_CONFIG, "%s:%d: a section without its ']'", io->path, io_at->line);
    *close = '\0';
    io_at->section = trim(text + 1);
    io_at->tail = NULL;
    section_add(a, io, io_at->section);
    return true;
}

static bool key_take(struct arena *a, char *text, struct ini_place *io_at, struct ini *io, struct err *err)
{
    char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return err_set(err, E_CONFIG, "%s:%d: wanted KEY = VALUE", io->path, io_at->line);
    if (!io_at->section)
        return err_set(err, E_CONFIG, "%s:%d: a key before the first [section]", io->path, io_at->line);
    if (io->n == KEYS_MAX)
        return err_set(err, E_LIMIT, "%s:%d: more than %d keys", io->path, io_at->line, KEYS_MAX);
    *equals = '\0';
    cut_comment(equals + 1);
    char *value = trim(equals + 1);
    key_add(a, io, (struct ini_key){.section = io_at->section, .name = trim(text), .value = value});
    io_at->tail = value + strlen(value);
    return true;
}

/* Where the file's text is: what is between the end of the value and this line is read already. */
static void value_goes_on(struct ini_place *io_at, const char *text)
{
    size_t len = strlen(text);
    *io_at->tail = '\n';
    memmove(io_at->tail + 1, text, len + 1);
    io_at->tail += 1 + len;
}

static bool line_take(struct arena *a, char *line, struct ini_place *io_at, struct ini *io, struct err *err)
{
    size_t depth = strspn(line, " \t\r");
    char *text = trim(line);
    if (!*text || *text == '#' || *text == ';')
        return true;
    if (io_at->tail && depth > io_at->depth) {
        value_goes_on(io_at, text);
        return true;
    }
    if (*text == '[')
        return section_take(a, text, io_at, io, err);
    io_at->depth = depth;
    return key_take(a, text, io_at, io, err);
}

bool ini_parse(struct arena *a, const char *path, const char *text, struct ini *ret, struct err *err)
{
    char *pos = arena_strdup(a, text);
    struct ini_place at = {.line = 1};
    *ret = (struct ini){.path = path};
    for (; pos; at.line++) {
        char *end = strchr(pos, '\n');
        if (end)
            *end = '\0';
        if (!line_take(a, pos, &at, ret, err))
            return false;
        pos = end ? end + 1 : NULL;
    }
    return true;
}

const char *ini_get(const struct ini *ini, const char *section, const char *name)
{
    for (size_t i = ini->n; i > 0; i--) {
        if (!strcmp(ini->keys[i - 1].section, section) && !strcmp(ini->keys[i - 1].name, name))
            return ini->keys[i - 1].value;
    }
    return NULL;
}

bool ini_has(const struct ini *ini, const char *section)
{
    for (size_t i = 0; i < ini->n_sections; i++) {
        if (!strcmp(ini->sections[i], section))
            return true;
    }
    return false;
}
