/* SPDX-License-Identifier: MIT */
/* A walk over the pattern lets through what means the same to Python's `re` and to PCRE2; then PCRE2 decides.
 * Without back references, possessive quantifiers and look-behind both accept the same texts, whatever path
 * they take to it. Node ids and grains are matched: ASCII without control bytes, so classes like \w and the
 * two ideas of where a line ends do not differ either. */
#include "plans/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS_MAX  64
#define REPEAT_MAX  1000
#define MATCH_LIMIT 1000000

struct regex {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
};

struct regex_walk {
    const char *start, *s;
    bool atom;              /* a quantifier may follow */
    bool fixed[GROUPS_MAX]; /* open groups that none may follow: look-ahead */
    size_t depth;
    const char *why;
};

static bool no(struct regex_walk *w, const char *why)
{
    w->why = why;
    return false;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Not \B: the two disagree about it in an empty text. */
static bool walk_escape(struct regex_walk *w)
{
    char c = w->s[1];
    if (c == '\0')
        return no(w, "a backslash at its end");
    if (is_alnum(c) && strchr("dDwWsSbAZ", c) == NULL)
        return no(w, "a backslash before this letter or digit");
    w->atom = strchr("bAZ", c) == NULL;
    w->s += 2;
    return true;
}

/* A class escape takes no part in a range, and Python warns of what may become set operations. */
static bool walk_class(struct regex_walk *w)
{
    const char *s = w->s + 1;
    if (*s == '^')
        s++;
    for (bool first = true, set = false; *s != ']' || first; first = false) {
        bool dash = *s == '-' && !first && s[1] != ']';
        if (*s == '\0')
            return no(w, "a '[' without its ']'");
        if (*s == '[' || (strchr("-&|~", *s) != NULL && s[1] == *s))
            return no(w, "a set inside '[...]'");
        if (dash && (set || s[1] == '\\'))
            return no(w, "a range with a backslash");
        set = *s == '\\' && is_alnum(s[1]);
        if (set && strchr("dDwWsS", s[1]) == NULL)
            return no(w, "a backslash before this letter or digit");
        if (*s == '\\' && s[1] == '\0')
            return no(w, "a '[' without its ']'");
        s += *s == '\\' ? 2 : 1;
    }
    w->s = s + 1;
    w->atom = true;
    return true;
}

static bool walk_open(struct regex_walk *w)
{
    bool ahead = false;
    if (w->depth == GROUPS_MAX)
        return no(w, "more than 64 groups in each other");
    if (strncmp(w->s, "(?P<", 4) == 0) {
        size_t n = strspn(w->s + 4, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
        if (n == 0 || n > 30 || w->s[4 + n] != '>')
            return no(w, "this name of a group");
        w->s += n + 5;
    } else if (w->s[1] == '?') {
        ahead = w->s[2] == '=' || w->s[2] == '!';
        if (!ahead && w->s[2] != ':')
            return no(w, "a group of this kind");
        w->s += 3;
    } else {
        w->s++;
    }
    w->fixed[w->depth++] = ahead;
    w->atom = false;
    return true;
}

static bool walk_close(struct regex_walk *w)
{
    if (w->depth == 0)
        return no(w, "a ')' without its '('");
    w->atom = !w->fixed[--w->depth];
    w->s++;
    return true;
}

/* {3} {3,} {3,5} */
static size_t braces_len(const char *s)
{
    char *end;
    if (s[1] < '0' || s[1] > '9' || strtoul(s + 1, &end, 10) > REPEAT_MAX)
        return 0;
    if (*end == ',' && end[1] >= '0' && end[1] <= '9') {
        if (strtoul(end + 1, &end, 10) > REPEAT_MAX)
            return 0;
    } else if (*end == ',') {
        end++;
    }
    return *end == '}' ? (size_t)(end - s) + 1 : 0;
}

static bool walk_quantifier(struct regex_walk *w)
{
    size_t n = *w->s == '{' ? braces_len(w->s) : 1;
    if (n == 0)
        return no(w, "a '{' that repeats nothing");
    if (!w->atom)
        return no(w, "a repetition where there is nothing to repeat");
    w->s += n;
    if (*w->s == '+')
        return no(w, "a possessive repetition");
    if (*w->s == '?')
        w->s++;
    w->atom = false;
    return true;
}

static bool walk_one(struct regex_walk *w)
{
    unsigned char c = (unsigned char)*w->s;
    if (c < 0x20 || c > 0x7e)
        return no(w, "a character that is not plain ASCII");
    switch (c) {
    case '\\': return walk_escape(w);
    case '[': return walk_class(w);
    case '(': return walk_open(w);
    case ')': return walk_close(w);
    case '*':
    case '+':
    case '?':
    case '{': return walk_quantifier(w);
    default: break;
    }
    w->atom = c != '|' && c != '^' && c != '$';
    w->s++;
    return true;
}

static bool walk_all(struct regex_walk *w)
{
    if (strncmp(w->s, "(?i)", 4) == 0)
        w->s += 4;
    while (*w->s != '\0')
        if (!walk_one(w))
            return false;
    return w->depth == 0 || no(w, "a '(' without its ')'");
}

static void *take(size_t n, void *arena)
{
    return arena_alloc(arena, n);
}

static void drop(void *p, void *arena)
{
    (void)p, (void)arena; /* all of it goes with the arena */
}

struct regex *regex_new(struct arena *a, const char *pattern, const char **ret_why)
{
    struct regex_walk w = {.start = pattern, .s = pattern};
    if (!walk_all(&w)) {
        *ret_why = arena_printf(a, "%s, at its character %d", w.why, (int)(w.s - w.start) + 1);
        return NULL;
    }
    int error;
    PCRE2_SIZE at;
    pcre2_general_context *memory = pcre2_general_context_create(take, drop, a);
    pcre2_compile_context *context = pcre2_compile_context_create(memory);
    struct regex *re = arena_alloc(a, sizeof(*re));
    re->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                             PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &at, context);
    if (re->code == NULL) {
        PCRE2_UCHAR text[120];
        (void)pcre2_get_error_message(error, text, sizeof(text));
        *ret_why = arena_printf(a, "%s, at its character %d", (const char *)text, (int)at + 1);
        return NULL;
    }
    re->data = pcre2_match_data_create_from_pattern(re->code, memory);
    re->context = pcre2_match_context_create(memory);
    (void)pcre2_set_match_limit(re->context, MATCH_LIMIT);
    return re;
}

int regex_match(struct regex *re, const char *text)
{
    for (const char *s = text; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
            return -1;
    int n = pcre2_match(re->code, (PCRE2_SPTR)text, strlen(text), 0, PCRE2_ANCHORED, re->data, re->context);
    return n >= 0 ? 1 : n == PCRE2_ERROR_NOMATCH ? 0 : -1;
}
