/* SPDX-License-Identifier: MIT */
/* Globs as Python's fnmatch reads them; the classes that are let through are the plain ones (glob_plain). */
#include "plans/glob.h"

#include <stddef.h>
#include <string.h>

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/* Behind '[' to its ']', or NULL: then the '[' is itself. */
static const char *class_end(const char *s)
{
    if (*s == '!')
        s++;
    if (*s == ']')
        s++;
    return strchr(s, ']');
}

/* A '-' is a range between two words, itself at either end. */
static bool class_plain(const char *s, const char *end)
{
    if (*s == '!')
        s++;
    for (const char *from = s; s < end; s++) {
        if (is_word(*s))
            continue;
        if (*s != '-')
            return false;
        if (s == from || s + 1 == end)
            continue;
        bool range = s[-1] != '-' && is_word(s[-1]) && is_word(s[1]) && s[-1] <= s[1];
        if (!range || (s + 2 < end && s[2] == '-') || (s - 2 >= from && s[-2] == '-'))
            return false;
    }
    return true;
}

bool glob_plain(const char *glob)
{
    for (const char *s = glob; *s != '\0'; s++) {
        const char *end = *s == '[' ? class_end(s + 1) : NULL;
        if (end == NULL)
            continue;
        if (!class_plain(s + 1, end))
            return false;
        s = end;
    }
    return true;
}

bool glob_literal(const char *glob)
{
    return strpbrk(glob, "*?[") == NULL;
}

static bool class_has(const char *s, const char *end, char c)
{
    bool negated = *s == '!';
    const char *from = negated ? s + 1 : s;
    for (s = from; s < end; s++) {
        bool range = s + 2 < end && s[1] == '-';
        if (range ? c >= s[0] && c <= s[2] : c == *s)
            return !negated;
        s += range ? 2 : 0;
    }
    return negated;
}

/* How many bytes of `text` the first item of the glob takes, a character of several bytes being one; 0: it
 * does not match. */
static size_t item_match(const char *glob, const char *text, size_t *ret_glob)
{
    const char *end = *glob == '[' ? class_end(glob + 1) : NULL;
    size_t n = 1;
    *ret_glob = end == NULL ? 1 : (size_t)(end - glob) + 1;
    while (((unsigned char)text[0] & 0xc0) == 0xc0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n++;
    if (*text == '\0')
        return 0;
    if (*glob == '?')
        return n;
    if (end == NULL)
        return *glob == *text ? 1 : 0;
    return n == 1 ? class_has(glob + 1, end, *text) : glob[1] == '!' ? n : 0;
}

bool glob_match(const char *glob, const char *text)
{
    const char *star = NULL, *again = NULL;
    while (true) {
        size_t n_glob = 0, n = 0;
        if (*glob == '*') {
            star = ++glob;
            again = text;
            continue;
        }
        if (*glob == '\0' && *text == '\0')
            return true;
        if (*glob != '\0')
            n = item_match(glob, text, &n_glob);
        if (n > 0) {
            glob += n_glob;
            text += n;
            continue;
        }
        if (star == NULL || *again == '\0')
            return false;
        glob = star; /* the last star takes one more */
        text = ++again;
    }
}
