/* SPDX-License-Identifier: MIT */
/* JSON as a value tree with places, equal parts kept once (json.h). */
#include "plans/json.h"

#include <stdlib.h>
#include <string.h>

#define SHARED_DEPTH 2  /* a node's tree and its first level of keys */
#define SHARED_BYTES 24 /* shorter ones cost less than the look-up */

struct shared {
    const char *text;
    size_t n;
    uint64_t hash;
    const struct value *v;
};

struct json {
    struct arena *arena;
    struct problems *problems;
    const char *file, *text, *end, *s;
    const char *line_begin;
    int line;
    size_t depth, n_values;
    struct shared *shared; /* open addressing; heap */
    size_t n_shared, cap_shared;
};

static struct place here(const struct json *j)
{
    return (struct place){.file = j->file, .line = j->line, .col = (int)(j->s - j->line_begin) + 1};
}

static const struct value *refuse(struct json *j, const char *why)
{
    problem_at(j->problems, here(j), "not JSON: %s", why);
    return NULL;
}

static void skip_space(struct json *j)
{
    for (; j->s < j->end && strchr(" \t\r\n", *j->s) != NULL && *j->s != '\0'; j->s++)
        if (*j->s == '\n') {
            j->line++;
            j->line_begin = j->s + 1;
        }
}

static bool next_is(struct json *j, char c)
{
    skip_space(j);
    if (j->s >= j->end || *j->s != c)
        return false;
    j->s++;
    return true;
}

/* ---- strings */

static bool hex4(const char *s, const char *end, unsigned *ret)
{
    *ret = 0;
    if (end - s < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return false;
        *ret = *ret * 16 + (unsigned)digit;
    }
    return true;
}

static size_t utf8_put(char *to, unsigned c)
{
    if (c < 0x80)
        return to[0] = (char)c, 1;
    if (c < 0x800)
        return to[0] = (char)(0xc0 | (c >> 6)), to[1] = (char)(0x80 | (c & 0x3f)), 2;
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | (c >> 12));
        to[1] = (char)(0x80 | ((c >> 6) & 0x3f));
        to[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | (c >> 18));
    to[1] = (char)(0x80 | ((c >> 12) & 0x3f));
    to[2] = (char)(0x80 | ((c >> 6) & 0x3f));
    to[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* j->s behind "\u". A pair of surrogates is one character; half a pair is none. */
static bool escaped_char(struct json *j, char *to, size_t *n)
{
    unsigned c, low;
    if (!hex4(j->s, j->end, &c) || c == 0 || (c >= 0xdc00 && c <= 0xdfff))
        return false;
    j->s += 4;
    if (c >= 0xd800 && c <= 0xdbff) {
        if (j->end - j->s < 6 || j->s[0] != '\\' || j->s[1] != 'u' || !hex4(j->s + 2, j->end, &low) ||
            low < 0xdc00 || low > 0xdfff)
            return false;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        j->s += 6;
    }
    *n += utf8_put(to + *n, c);
    return true;
}

/* j->s behind the opening quote; the bytes up to the closing one, unescaped. An escape never grows. */
static const char *string_read(struct json *j)
{
    const char *begin = j->s, *close = begin;
    while (close < j->end && *close != '"')
        close += *close == '\\' && close + 1 < j->end ? 2 : 1;
    if (close >= j->end)
        return refuse(j, "text without an end"), NULL;
    char *to = arena_alloc(j->arena, (size_t)(close - begin) + 1);
    size_t n = 0;
    while (j->s < close) {
        unsigned char c = (unsigned char)*j->s;
        static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
        if (c < 0x20)
            return refuse(j, "a control byte in text"), NULL;
        j->s++;
        if (c != '\\') {
            to[n++] = (char)c;
            continue;
        }
        const char *letter = *j->s == '\0' ? NULL : strchr(letters, *j->s);
        j->s++;
        if (letter != NULL)
            to[n++] = meant[letter - letters];
        else if (j->s[-1] != 'u' || !escaped_char(j, to, &n))
            return refuse(j, "an escape in text that is none"), NULL;
    }
    j->s = close + 1;
    to[n] = '\0';
    if (!utf8_valid(to))
        return refuse(j, "text that is not UTF-8"), NULL;
    return to;
}

/* ---- plain words and numbers */

/* As YAML writes what JSON means: 1e+16 wants its point, Python's NaN and Infinity a dot in front. */
static const char *plain_text(struct arena *a, const char *word, size_t n)
{
    static const char *const same[][2] = {{"NaN", ".nan"}, {"Infinity", ".inf"}, {"-Infinity", "-.inf"}};
    for (size_t i = 0; i < 3; i++)
        if (strlen(same[i][0]) == n && memcmp(word, same[i][0], n) == 0)
            return same[i][1];
    const char *text = arena_strndup(a, word, n);
    const char *e = strpbrk(text, "eE");
    if (e == NULL || strchr(text, 't') != NULL || strchr(text, 's') != NULL)
        return text;
    const char *sign = e[1] == '-' || e[1] == '+' ? "" : "+";
    const char *point = memchr(text, '.', (size_t)(e - text)) == NULL ? ".0" : "";
    return arena_printf(a, "%.*s%se%s%s", (int)(e - text), text, point, sign, e + 1);
}

static bool number_ok(const char *s, size_t n)
{
    size_t i = n > 0 && s[0] == '-';
    size_t digits = 0;
    for (; i < n && s[i] >= '0' && s[i] <= '9'; i++)
        digits++;
    if (digits == 0 || (digits > 1 && s[i - digits] == '0'))
        return false;
    if (i < n && s[i] == '.')
        for (i++, digits = 0; i < n && s[i] >= '0' && s[i] <= '9'; i++)
            digits++;
    if (digits > 0 && i < n && (s[i] == 'e' || s[i] == 'E')) {
        i++;
        i += i < n && (s[i] == '-' || s[i] == '+');
        for (digits = 0; i < n && s[i] >= '0' && s[i] <= '9'; i++)
            digits++;
    }
    return digits > 0 && i == n;
}

static const struct value *word_read(struct json *j)
{
    static const char *const words[] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};
    struct place at = here(j);
    size_t n = 0;
    while (j->s + n < j->end && strchr(" \t\r\n,:]}\"", j->s[n]) == NULL)
        n++;
    bool ok = number_ok(j->s, n);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        ok |= strlen(words[i]) == n && memcmp(words[i], j->s, n) == 0;
    if (!ok)
        return refuse(j, j->s == j->end ? "it ends too early" : "wanted a value");
    struct value *v = value_scalar(j->arena, at, plain_text(j->arena, j->s, n));
    v->plain = true;
    j->s += n;
    return v;
}

/* ---- what reads the same is the same */

/* The end of the value that begins here, judged by quotes and brackets alone. */
static const char *slice_end(const struct json *j)
{
    size_t depth = 0;
    for (const char *s = j->s; s < j->end; s++) {
        if (*s == '"') {
            for (s++; s < j->end && *s != '"'; s++)
                s += *s == '\\';
            if (s >= j->end)
                return NULL;
        } else if (*s == '{' || *s == '[') {
            depth++;
        } else if (*s == '}' || *s == ']') {
            if (--depth == 0)
                return s + 1;
        }
    }
    return NULL;
}

static uint64_t text_hash(const char *s, size_t n)
{
    uint64_t h = 1469598103934665603u;
    for (; n >= 8; s += 8, n -= 8) {
        uint64_t part;
        memcpy(&part, s, 8);
        h = (h ^ part) * 1099511628211u;
        h ^= h >> 29;
    }
    for (; n > 0; s++, n--)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h ^ (h >> 32);
}

static struct shared *shared_slot(const struct json *j, const struct shared *key)
{
    size_t mask = j->cap_shared - 1;
    for (size_t i = key->hash & mask;; i = (i + 1) & mask) {
        struct shared *s = &j->shared[i];
        if (s->v == NULL ||
            (s->hash == key->hash && s->n == key->n && memcmp(s->text, key->text, key->n) == 0))
            return s;
    }
}

static void shared_add(struct json *j, const struct shared *key)
{
    if (j->n_shared * 2 >= j->cap_shared) {
        struct json bigger = *j;
        bigger.cap_shared = j->cap_shared == 0 ? 1024 : j->cap_shared * 2;
        bigger.shared = xcalloc(bigger.cap_shared, sizeof(*bigger.shared));
        for (size_t i = 0; i < j->cap_shared; i++)
            if (j->shared[i].v != NULL)
                *shared_slot(&bigger, &j->shared[i]) = j->shared[i];
        free(j->shared);
        *j = bigger;
    }
    *shared_slot(j, key) = *key;
    j->n_shared++;
}

/* ---- values */

static const struct value *value_read(struct json *j);

static const struct value *list_read(struct json *j)
{
    struct value *list = value_list(j->arena, here(j));
    j->s++;
    if (next_is(j, ']'))
        return list;
    do {
        const struct value *item = value_read(j);
        if (item == NULL)
            return NULL;
        list_add(j->arena, list, item);
    } while (next_is(j, ','));
    return next_is(j, ']') ? list : refuse(j, "wanted ',' or ']'");
}

static bool entry_read(struct json *j, struct value *map)
{
    skip_space(j);
    struct place at = here(j);
    if (!next_is(j, '"'))
        return refuse(j, "wanted a key in quotes") != NULL;
    const char *key = string_read(j);
    if (key == NULL)
        return false;
    if (!next_is(j, ':'))
        return refuse(j, "wanted ':' behind a key") != NULL;
    const struct value *v = value_read(j);
    if (v == NULL)
        return false;
    if (map_add(j->arena, map, key, at, v))
        return true;
    problem_at(j->problems, at, "key '%s' is there twice in one map", key);
    return false;
}

static const struct value *map_read(struct json *j)
{
    struct value *map = value_map(j->arena, here(j));
    j->s++;
    if (next_is(j, '}'))
        return map;
    do {
        if (!entry_read(j, map))
            return NULL;
    } while (next_is(j, ','));
    return next_is(j, '}') ? map : refuse(j, "wanted ',' or '}'");
}

static const struct value *collection_read(struct json *j)
{
    if (j->depth == YAML_DEPTH_MAX)
        return refuse(j, "nested deeper than 64 levels");
    j->depth++;
    const struct value *v = *j->s == '{' ? map_read(j) : list_read(j);
    j->depth--;
    return v;
}

/* Read once for all that read the same. Lines inside are counted as they are skipped. */
static const struct value *shared_read(struct json *j)
{
    const char *begin = j->s, *end = slice_end(j);
    if (end == NULL || end - begin < SHARED_BYTES)
        return collection_read(j);
    struct shared key = {
        .text = begin, .n = (size_t)(end - begin), .hash = text_hash(begin, (size_t)(end - begin))};
    const struct shared *known = j->cap_shared == 0 ? NULL : shared_slot(j, &key);
    if (known != NULL && known->v != NULL) {
        for (const char *nl; (nl = memchr(j->s, '\n', (size_t)(end - j->s))) != NULL; j->s = nl + 1) {
            j->line++;
            j->line_begin = nl + 1;
        }
        j->s = end;
        return known->v;
    }
    key.v = collection_read(j);
    if (key.v != NULL)
        shared_add(j, &key);
    return key.v;
}

static const struct value *value_read(struct json *j)
{
    skip_space(j);
    if (++j->n_values > JSON_VALUES_MAX)
        return refuse(j, "more than 16,000,000 distinct values");
    if (j->s >= j->end)
        return refuse(j, "it ends too early");
    if (*j->s == '{' || *j->s == '[')
        return j->depth > 0 && j->depth <= SHARED_DEPTH ? shared_read(j) : collection_read(j);
    if (*j->s != '"')
        return word_read(j);
    struct place at = here(j);
    j->s++;
    const char *text = string_read(j);
    return text == NULL ? NULL : value_scalar(j->arena, at, text);
}

bool json_read(struct arena *a, const char *file, const char *text, size_t n, const struct value **ret,
               struct problems *problems)
{
    struct json j = {.arena = a,
                     .problems = problems,
                     .file = file,
                     .text = text,
                     .s = text,
                     .end = text + n,
                     .line_begin = text,
                     .line = 1};
    const struct value *v;
    skip_space(&j);
    if (n > JSON_BYTES_MAX)
        v = refuse(&j, "larger than 256 MiB");
    else if (j.s >= j.end)
        v = refuse(&j, "nothing was printed");
    else if (*j.s != '{' && *j.s != '[')
        v = refuse(&j, "wanted a map or a list");
    else
        v = value_read(&j);
    skip_space(&j);
    if (v != NULL && j.s < j.end)
        v = refuse(&j, "something stands behind its end");
    free(j.shared);
    if (v != NULL)
        *ret = v;
    return v != NULL;
}
