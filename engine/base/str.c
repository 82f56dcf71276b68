/* SPDX-License-Identifier: MIT */
/* Buffers, quoting, names, durations, and text made safe to show (str.h). */
#include "base/str.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/err.h"

void buf_add(struct buf *b, const void *data, size_t n)
{
    size_t room = b->max_bytes > b->len ? b->max_bytes - b->len : 0;
    if (n > room) {
        n = room;
        b->cut = true;
    }
    if (b->len + n + 1 > b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 128;
        if (cap < b->len + n + 1)
            cap = b->len + n + 1;
        b->data = xrealloc(b->data, cap);
        b->cap = cap;
    }
    if (n)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_puts(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    char *text = NULL;
    int n = vasprintf(&text, fmt, ap);
    must(n >= 0);
    buf_add(b, text, (size_t)n);
    free(text);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->cut = false;
    if (b->data)
        b->data[0] = '\0';
}

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max_bytes = b->max_bytes};
}

const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}

void quote_sh(struct buf *out, const char *word)
{
    buf_puts(out, "'");
    for (const char *p = word; *p;) {
        size_t plain = strcspn(p, "'");
        buf_add(out, p, plain);
        p += plain;
        if (*p == '\'') {
            buf_puts(out, "'\\''");
            p++;
        }
    }
    buf_puts(out, "'");
}

/* Decodes one UTF-8 character at p; its length, or 0 when it is not valid (overlong, surrogate, cut). */
static size_t utf8_decode(const unsigned char *p, size_t n, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80             ? 1
                 : (p[0] & 0xe0) == 0xc0 ? 2
                 : (p[0] & 0xf0) == 0xe0 ? 3
                 : (p[0] & 0xf8) == 0xf0 ? 4
                                         : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t c = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (len > 1 && (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)))
        return 0;
    *ret = c;
    return len;
}

bool utf8_valid(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t n = strlen(s), len;
    uint32_t c;
    for (size_t i = 0; i < n; i += len)
        if ((len = utf8_decode(p + i, n - i, &c)) == 0)
            return false;
    return true;
}

/* Characters that change what a reader sees of the others: bidi controls, zero width, line separators, tags.
 */
static bool is_trickster(uint32_t c)
{
    return (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
           c == 0x061c || c == 0x180e || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
           (c >= 0xe0000 && c <= 0xe007f);
}

void text_visible(struct buf *out, const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        size_t len = utf8_decode(p + i, n - i, &c);
        if (len == 0) {
            buf_printf(out, "\\x%02x", p[i]);
            i++;
            continue;
        }
        if (c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f) || (c >= 0xa0 && !is_trickster(c)))
            buf_add(out, p + i, len);
        else if (c < 0xa0)
            buf_printf(out, "\\x%02x", (unsigned)c);
        else
            buf_printf(out, "\\u%04x", (unsigned)c);
        i += len;
    }
}

void str_keep(char *dst, size_t n, const char *text)
{
    static const char more[] = "...";
    size_t len = strlen(text), end = n > sizeof(more) ? n - sizeof(more) : 0;
    if (len < n) {
        memcpy(dst, text, len + 1);
        return;
    }
    size_t word = end;
    while (word > 0 && text[word] != ' ')
        word--;
    if (word >= end / 2)
        end = word;
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80) /* not inside a character */
        end--;
    memcpy(dst, text, end);
    snprintf(dst + end, n - end, "%s", more);
}

bool name_valid(const char *s, size_t max)
{
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return n > 0 && s[n] == '\0' && n <= max && s[0] != '-' && s[0] != '.';
}

bool word_valid(const char *s, const char *signs, size_t max)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if (!isascii((unsigned char)s[i]) || (!isalnum((unsigned char)s[i]) && !strchr(signs, s[i])))
            return false;
    return n > 0 && n <= max && s[0] != '-';
}

bool is_hex(const char *s, size_t n)
{
    return strspn(s, "0123456789abcdef") >= n;
}

bool rev_valid(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > 200 || s[0] == '-' || s[0] == '/' || s[0] == '.' || s[n - 1] == '/' || s[n - 1] == '.')
        return false;
    if (strstr(s, "..") || strstr(s, "@{") || strstr(s, "//") || strstr(s, "/.") || strstr(s, "::") ||
        strcmp(s, "@") == 0)
        return false;
    if (n >= 5 && (strcmp(s + n - 5, ".lock") == 0 || strstr(s, ".lock/")))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f || strchr("~^:?*[\\", s[i]))
            return false;
    return utf8_valid(s);
}

const char *subdir_trouble(const char *s)
{
    if (*s == '/')
        return "is absolute";
    if (*s == '-' || *s == ':')
        return "begins with a sign that git reads as something else";
    for (const char *part = s;; part += strcspn(part, "/") + 1) {
        size_t n = strcspn(part, "/");
        if (n == 0)
            return *s == '\0' ? "is empty" : "has an empty part, or a slash at its end";
        if ((n == 1 || n == 2) && strncmp(part, "..", n) == 0)
            return "has a part '.' or '..'";
        if (n == 4 && strncasecmp(part, ".git", n) == 0)
            return "has a part '.git'";
        if (part[n] == '\0')
            break;
    }
    for (const char *c = s; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f || strchr("*?[]{}\\\"", *c))
            return "has a sign that is a pattern's, a template's or not visible";
    return strlen(s) > 1000 ? "is too long" : utf8_valid(s) ? NULL : "is not UTF-8";
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

size_t str_hash(const char *s)
{
    size_t h = 5381;
    for (; *s; s++)
        h = h * 33 + (unsigned char)*s;
    return h;
}

#define NEAREST_LEN_MAX 63

/* Edit distance with one row; words longer than the row count as far away. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NEAREST_LEN_MAX + 1];
    size_t na = strlen(a), nb = strlen(b);
    if (na > NEAREST_LEN_MAX || nb > NEAREST_LEN_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

int str_nearest(const char *word, const char *const *names, size_t n)
{
    size_t limit = strlen(word) / 3 < 3 ? strlen(word) / 3 + 1 : 3;
    int best = -1;
    for (size_t i = 0; i < n; i++) {
        size_t d = edit_distance(word, names[i]);
        if (d < limit + 1 && (best < 0 || d < edit_distance(word, names[best])))
            best = (int)i;
    }
    return best;
}

/* A thousand years: so much, added to any time that there is, overflows nothing. */
#define DURATION_MAX_MS ((int64_t)1000 * 365 * 86400000)

static int64_t unit_ms(const char **p)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t n = strlen(units[i].unit);
        if (strncmp(*p, units[i].unit, n) == 0 && !isalpha((unsigned char)(*p)[n])) {
            *p += n;
            return units[i].ms;
        }
    }
    return 0;
}

bool duration_parse(const char *s, int64_t *ret_ms)
{
    int64_t sum = 0;
    const char *p = s;
    if (strcmp(s, "0") == 0) {
        *ret_ms = 0;
        return true;
    }
    do {
        if (!isdigit((unsigned char)*p))
            return false;
        char *end;
        double number = strtod(p, &end);
        if (strspn(p, "0123456789.") != (size_t)(end - p) || number > 1e9)
            return false;
        p = end;
        int64_t ms = unit_ms(&p);
        if (ms == 0)
            return false;
        sum += (int64_t)(number * (double)ms);
        if (sum > DURATION_MAX_MS)
            return false;
    } while (*p);
    *ret_ms = sum;
    return true;
}

bool size_parse(const char *s, int64_t *ret_bytes)
{
    static const char units[] = "KMGT";
    if (!isdigit((unsigned char)*s))
        return false;
    char *end;
    long long n = strtoll(s, &end, 10);
    int shift = 0;
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (unit) {
        shift = 10 * (int)(unit - units + 1);
        end++;
        if (*end == 'B')
            end++;
    }
    if (*end || n > (INT64_MAX >> (shift + 1)))
        return false;
    *ret_bytes = (int64_t)n << shift;
    return true;
}

const char *duration_text(int64_t ms, char *buf, size_t n)
{
    if (ms < 0)
        ms = 0;
    int64_t s = ms / 1000;
    if (ms < 1000)
        snprintf(buf, n, "%" PRId64 "ms", ms);
    else if (ms < 60000 && ms % 1000 >= 100 && s < 10)
        snprintf(buf, n, "%" PRId64 ".%" PRId64 "s", s, ms % 1000 / 100);
    else if (s < 60)
        snprintf(buf, n, "%" PRId64 "s", s);
    else if (s < 3600)
        snprintf(buf, n, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(buf, n, "%" PRId64 "h%02" PRId64 "m", s / 3600, s % 3600 / 60);
    else
        snprintf(buf, n, "%" PRId64 "d%" PRId64 "h", s / 86400, s % 86400 / 3600);
    return buf;
}

/* It stands in rows, messages and locks: a name, with where it comes from before a colon. */
bool operator_valid(const char *text)
{
    const char *colon = strchr(text, ':'), *name = colon ? colon + 1 : text;
    size_t from = colon ? (size_t)(colon - text) : 0;
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-");
    return n > 0 && n <= 64 && name[n] == '\0' && name[0] != '-' && from <= 16 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz") >= from && !(colon && from == 0);
}
