/* SPDX-License-Identifier: MIT */
/* YAML 1.1 typing as Salt does it, done only where a type is asked for: PyYAML's patterns decide what a plain
 * scalar is, Salt's constructors what it is worth. So 0644 is 644 but -0644 is -420, 08 and dates stay text,
 * 12:30 is 750, 0o17 and 12e4567 stay text. What Salt itself dies of, and numbers that JSON has no word for,
 * are refused when a file is read (scalar_refused); the rest of plans/ never meets them. */
#include "plans/value.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS     "0123456789"
#define DIGITS_MAX 300 /* digits of a number; longer ones are a mistake */

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

enum form {
    FORM_NONE,
    FORM_BINARY,
    FORM_HEX,
    FORM_ZERO_LED, /* 0644: octal by YAML, decimal by Salt unless a sign stands before it */
    FORM_DECIMAL,
    FORM_SIXTIES, /* 12:30 */
    FORM_FLOAT,
    FORM_FLOAT_SIXTIES, /* 12:30.5 */
    FORM_INFINITE,
    FORM_NAN,
};

/* (:[0-5]?[0-9])+ */
static const char *sixties_end(const char *s)
{
    const char *from = s;
    while (*s == ':') {
        size_t n = strspn(s + 1, DIGITS);
        if (n == 0 || n > 2 || (n == 2 && s[1] > '5'))
            break;
        s += n + 1;
    }
    return s == from ? NULL : s;
}

/* ([eE][-+][0-9]+)? and then the end */
static bool is_exponent(const char *s)
{
    if (*s == '\0')
        return true;
    if ((*s != 'e' && *s != 'E') || (s[1] != '-' && s[1] != '+'))
        return false;
    size_t n = strspn(s + 2, DIGITS);
    return n > 0 && s[2 + n] == '\0';
}

static bool is_all(const char *s, const char *set)
{
    return *s != '\0' && s[strspn(s, set)] == '\0';
}

static enum form int_form(const char *s)
{
    if (s[0] == '0' && s[1] == 'b' && is_all(s + 2, "01_"))
        return FORM_BINARY;
    if (s[0] == '0' && s[1] == 'x' && is_all(s + 2, DIGITS "abcdefABCDEF_"))
        return FORM_HEX;
    if (s[0] == '0')
        return s[1] == '\0' ? FORM_DECIMAL : is_all(s + 1, "01234567_") ? FORM_ZERO_LED : FORM_NONE;
    if (s[0] < '1' || s[0] > '9')
        return FORM_NONE;
    const char *end = s + strspn(s, DIGITS "_");
    if (*end == '\0')
        return FORM_DECIMAL;
    end = sixties_end(end);
    return end != NULL && *end == '\0' ? FORM_SIXTIES : FORM_NONE;
}

static enum form float_form(const char *text)
{
    static const char *const inf[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nan_words[] = {".nan", ".NaN", ".NAN", NULL};
    const char *s = *text == '-' || *text == '+' ? text + 1 : text;
    if (one_of(s, inf))
        return FORM_INFINITE;
    if (one_of(text, nan_words))
        return FORM_NAN;
    if (*text == '.') /* no sign before a leading dot: -.5 is text */
        return text[1] >= '0' && text[1] <= '9' && is_exponent(text + 1 + strspn(text + 1, DIGITS "_"))
                   ? FORM_FLOAT
                   : FORM_NONE;
    if (*s < '0' || *s > '9')
        return FORM_NONE;
    const char *end = s + strspn(s, DIGITS "_");
    if (*end == '.')
        return is_exponent(end + 1 + strspn(end + 1, DIGITS "_")) ? FORM_FLOAT : FORM_NONE;
    end = sixties_end(end);
    return end != NULL && *end == '.' && end[1 + strspn(end + 1, DIGITS "_")] == '\0' ? FORM_FLOAT_SIXTIES
                                                                                      : FORM_NONE;
}

static enum form form_of(const char *text)
{
    enum form form = int_form(*text == '-' || *text == '+' ? text + 1 : text);
    return form != FORM_NONE ? form : float_form(text);
}

/* Without underscores and sign. false: too long. */
static bool digits_of(const char *text, char ret[DIGITS_MAX + 1])
{
    size_t n = 0;
    for (const char *s = *text == '-' || *text == '+' ? text + 1 : text; *s != '\0'; s++) {
        if (*s == '_')
            continue;
        if (n == DIGITS_MAX)
            return false;
        ret[n++] = *s;
    }
    ret[n] = '\0';
    return true;
}

/* Salt's: leading zeros go, unless a sign hides them. */
static const char *without_zeros(const char *text)
{
    const char *s = text + strspn(text, "0");
    return *s == '\0' ? "0" : s;
}

static bool based(const char *digits, int base, bool minus, int64_t *ret)
{
    char signed_text[DIGITS_MAX + 2];
    char *end;
    (void)snprintf(signed_text, sizeof(signed_text), "%s%s", minus ? "-" : "", digits);
    errno = 0;
    *ret = strtoll(signed_text, &end, base);
    return errno == 0 && *digits != '\0' && *end == '\0';
}

static bool int_sixties(const char *digits, bool minus, int64_t *ret)
{
    int64_t sum = 0;
    for (const char *s = digits;; s++) {
        char *end;
        errno = 0;
        long part = strtol(s, &end, 10);
        if (errno != 0 || sum > (INT64_MAX - part) / 60)
            return false;
        sum = sum * 60 + part;
        s = end;
        if (*s == '\0')
            break;
    }
    *ret = minus ? -sum : sum;
    return true;
}

/* As Python adds them up, from the right, so that the last bit is the same. */
static double float_sixties(char *digits)
{
    double sum = 0, base = 1;
    while (true) {
        char *colon = strrchr(digits, ':');
        sum += strtod(colon == NULL ? digits : colon + 1, NULL) * base;
        base *= 60;
        if (colon == NULL)
            return sum;
        *colon = '\0';
    }
}

struct number {
    enum scalar_type type; /* SCALAR_STR: there is no such number */
    int64_t i;
    double f;
    char digits[DIGITS_MAX + 1]; /* SCALAR_BIG, without its sign */
    const char *refused;         /* Salt dies of it, or nothing here can hold it */
};

static void number_int(enum form form, const char *text, struct number *n)
{
    bool minus = *text == '-', ok = true;
    const char *body = form == FORM_ZERO_LED ? without_zeros(text) : text;
    if (!digits_of(body, n->digits)) {
        n->refused = "a number of more than 300 digits";
        return;
    }
    n->type = SCALAR_INT;
    if (form == FORM_BINARY || form == FORM_HEX)
        ok = based(n->digits + 2, form == FORM_HEX ? 16 : 2, minus, &n->i);
    else if (form == FORM_SIXTIES)
        ok = int_sixties(n->digits, minus, &n->i);
    else if (n->digits[0] == '0' && n->digits[1] != '\0')
        ok = based(n->digits, 8, minus, &n->i);
    else if (n->digits[0] == '\0')
        ok = false;
    else if (!based(n->digits, 10, minus, &n->i))
        n->type = SCALAR_BIG;
    if (!ok)
        n->refused = "an integer that Salt cannot read, or that is beyond 64 bits and not decimal";
}

static void number_float(enum form form, const char *text, struct number *n)
{
    if (form == FORM_INFINITE || form == FORM_NAN) {
        n->refused = "a number without end or value, which JSON has no word for";
        return;
    }
    if (!digits_of(text, n->digits)) {
        n->refused = "a number of more than 300 digits";
        return;
    }
    n->type = SCALAR_FLOAT;
    n->f = form == FORM_FLOAT ? strtod(n->digits, NULL) : float_sixties(n->digits);
    if (*text == '-')
        n->f = -n->f;
    if (!isfinite(n->f))
        n->refused = "a number beyond what a float holds";
}

static void number_of(const char *text, struct number *n)
{
    enum form form = form_of(text);
    *n = (struct number){.type = SCALAR_STR};
    if (form == FORM_NONE)
        return;
    if (form >= FORM_FLOAT)
        number_float(form, text, n);
    else
        number_int(form, text, n);
}

enum scalar_type scalar_type(const struct value *v, int64_t *ret_int, double *ret_float)
{
    bool yes;
    struct number n;
    if (!v->plain)
        return SCALAR_STR;
    if (is_null(v->text))
        return SCALAR_NULL;
    if (scalar_bool(v->text, &yes)) {
        *ret_int = yes;
        return SCALAR_BOOL;
    }
    number_of(v->text, &n);
    *ret_int = n.i;
    *ret_float = n.f;
    return n.refused != NULL ? SCALAR_STR : n.type;
}

bool value_is_text(const struct value *v)
{
    int64_t i;
    double f;
    return v->kind == VALUE_SCALAR && scalar_type(v, &i, &f) == SCALAR_STR && v->text[0] != '\0';
}

const char *scalar_refused(const struct value *v)
{
    struct number n;
    if (!v->plain)
        return NULL;
    if (strcmp(v->text, "=") == 0 || strcmp(v->text, "<<") == 0)
        return "a sign that has a meaning of its own in YAML and none here (quotes make it text)";
    number_of(v->text, &n);
    return n.refused;
}

/* The shortest text that reads back as the same number, with exponents where Python (and so Salt's JSON) has
 * them. */
static void float_text(struct buf *out, double f)
{
    char text[40];
    int digits = 1;
    while (snprintf(text, sizeof(text), "%.*e", digits - 1, f) > 0 && strtod(text, NULL) != f && digits < 17)
        digits++;
    int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent < -4 || exponent >= 16)
        buf_puts(out, text);
    else
        buf_printf(out, "%.*f", digits - 1 - exponent > 1 ? digits - 1 - exponent : 1, f);
}

enum scalar_type scalar_text(struct buf *out, const struct value *v)
{
    int64_t i = 0;
    double f = 0;
    enum scalar_type type = scalar_type(v, &i, &f);
    struct number n;
    switch (type) {
    case SCALAR_NULL: buf_puts(out, "null"); break;
    case SCALAR_BOOL: buf_puts(out, i != 0 ? "true" : "false"); break;
    case SCALAR_INT: buf_printf(out, "%" PRId64, i); break;
    case SCALAR_BIG:
        number_of(v->text, &n);
        buf_printf(out, "%s%s", v->text[0] == '-' ? "-" : "", n.digits);
        break;
    case SCALAR_FLOAT: float_text(out, f); break;
    case SCALAR_STR: buf_puts(out, v->text); break;
    }
    return type;
}
