/* YAML 1.1 typing with Salt's twists (PROTOCOLS section 11), done only where a type is asked for: leading
 * zeros are lost (0644 is 644), 08 and dates stay text, 12:30 is 750, 0o17 and 12e4567 stay text. */
#include "plans/value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

bool scalar_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL};
    static const char *const no[] = {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", NULL};
    *ret = one_of(text, yes);
    return *ret || one_of(text, no);
}

static bool is_null(const char *text)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    return one_of(text, words);
}

/* Copies the digits of s that belong to `set`, without underscores. false: another character, or nothing
 * left. */
static bool digits(const char *s, const char *set, char *ret, size_t size)
{
    size_t n = 0;
    for (; *s != '\0'; s++) {
        if (*s == '_')
            continue;
        if (strchr(set, *s) == NULL || n + 1 >= size)
            return false;
        ret[n++] = *s;
    }
    ret[n] = '\0';
    return n > 0;
}

static bool int_base(const char *s, const char *set, int base, int64_t *ret)
{
    char text[80];
    if (!digits(s, set, text, sizeof(text)))
        return false;
    errno = 0;
    *ret = strtoll(text, NULL, base);
    return errno == 0;
}

/* 12:30 -> 750; every part after the first is 0..59. */
static bool int_sexagesimal(const char *s, int64_t *ret)
{
    if (*s < '1' || *s > '9' || strchr(s, ':') == NULL)
        return false;
    int64_t sum = 0;
    while (true) {
        char *end;
        errno = 0;
        long part = strtol(s, &end, 10);
        bool first = sum == 0;
        if (end == s || errno != 0 || part < 0 || (!first && (part > 59 || end - s > 2)) ||
            sum > INT64_MAX / 120)
            return false;
        sum = sum * 60 + part;
        if (*end == '\0')
            return *ret = sum, true;
        if (*end != ':' || end[1] < '0' || end[1] > '9')
            return false;
        s = end + 1;
    }
}

static bool as_int(const char *text, int64_t *ret)
{
    bool minus = *text == '-';
    const char *s = *text == '-' || *text == '+' ? text + 1 : text;
    bool ok;
    if (s[0] == '0' && s[1] == 'x')
        ok = int_base(s + 2, "0123456789abcdefABCDEF", 16, ret);
    else if (s[0] == '0' && s[1] == 'b')
        ok = int_base(s + 2, "01", 2, ret);
    else if (s[0] == '0' && s[1] != '\0')
        ok = int_base(s, "01234567", 10, ret); /* octal by YAML's rule, decimal by Salt's */
    else if (s[0] >= '0' && s[0] <= '9')
        ok = int_base(s, "0123456789", 10, ret) || int_sexagesimal(s, ret);
    else
        ok = false;
    if (ok && minus)
        *ret = -*ret;
    return ok;
}

/* [-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?  or without digits before the dot. */
static bool as_float(const char *text, double *ret)
{
    static const char *const inf[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nan_words[] = {".nan", ".NaN", ".NAN", NULL};
    const char *s = *text == '-' || *text == '+' ? text + 1 : text;
    if (one_of(s, inf))
        return *ret = *text == '-' ? -INFINITY : INFINITY, true;
    if (one_of(text, nan_words))
        return *ret = NAN, true;
    char plain[80];
    size_t n = 0;
    bool dot = false, digit = false;
    for (; *s != '\0' && *s != 'e' && *s != 'E'; s++) {
        if (*s == '.' ? dot : *s != '_' && (*s < '0' || *s > '9'))
            return false;
        dot |= *s == '.';
        digit |= *s >= '0' && *s <= '9';
        if (*s != '_' && n < sizeof(plain) - 20)
            plain[n++] = *s;
    }
    if (!dot || !digit)
        return false;
    if (*s != '\0') {
        size_t exp = strspn(s + 1, "+-") == 1 ? strspn(s + 2, "0123456789") : 0;
        if (exp == 0 || exp > 8 || s[2 + exp] != '\0')
            return false;
        memcpy(plain + n, s, exp + 2);
        n += exp + 2;
    }
    plain[n] = '\0';
    *ret = strtod(plain, NULL) * (*text == '-' ? -1 : 1);
    return true;
}

enum scalar_type scalar_type(const struct value *v, int64_t *ret_int, double *ret_float)
{
    bool yes;
    if (!v->plain)
        return SCALAR_STR;
    if (is_null(v->text))
        return SCALAR_NULL;
    if (scalar_bool(v->text, &yes)) {
        *ret_int = yes;
        return SCALAR_BOOL;
    }
    if (as_int(v->text, ret_int))
        return SCALAR_INT;
    return as_float(v->text, ret_float) ? SCALAR_FLOAT : SCALAR_STR;
}
