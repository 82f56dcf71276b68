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

static bool line_take(struct arena *a, char *line, int number, const char **io_section, struct ini *io,
                      struct err *err)
{
    bool nested = *line == ' ' || *line == '\t'; /* `s3 =` has keys of its own below it */
    char *text = trim(line), *equals = strchr(text, '=');
    if (!*text || *text == '#' || *text == ';' || nested)
        return true;
    if (*text == '[') {
        char *close = strchr(text, ']');
        if (!close)
            return err_set(err, E_CONFIG, "%s:%d: a section without its ']'", io->path, number);
        *close = '\0';
        *io_section = trim(text + 1);
        section_add(a, io, *io_section);
        return true;
    }
    if (!equals || equals == text)
        return err_set(err, E_CONFIG, "%s:%d: wanted KEY = VALUE", io->path, number);
    if (!*io_section)
        return err_set(err, E_CONFIG, "%s:%d: a key before the first [section]", io->path, number);
    if (io->n == KEYS_MAX)
        return err_set(err, E_LIMIT, "%s:%d: more than %d keys", io->path, number, KEYS_MAX);
    *equals = '\0';
    cut_comment(equals + 1);
    key_add(a, io,
            (struct ini_key){
                .section = *io_section, .name = trim(text), .value = trim(equals + 1), .line = number});
    return true;
}

bool ini_parse(struct arena *a, const char *path, const char *text, struct ini *ret, struct err *err)
{
    char *pos = arena_strdup(a, text);
    const char *section = NULL;
    *ret = (struct ini){.path = path};
    for (int number = 1; pos; number++) {
        char *end = strchr(pos, '\n');
        if (end)
            *end = '\0';
        if (!line_take(a, pos, number, &section, ret, err))
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
