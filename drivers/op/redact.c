/* SPDX-License-Identifier: MIT */
/* Hiding secrets by value (docs/promises.md#s8): as they are, in base64 (all three alignments) and URL form.
 *
 * Output comes in pieces cut anywhere, so what may be the beginning of a secret is held back. */
#include "drivers/op/inner.h"

#include <stdlib.h>
#include <string.h>

#define MASK "***"
/* Shorter ones would blank out half of any log, and are not secrets. */
#define SECRET_MIN 4

struct redactor {
    struct arena arena;
    struct {
        const char *text;
        size_t len;
    } * words;
    size_t n_words, longest;
    char *held;
    size_t n_held;
};

static void word_add(struct redactor *r, const char *text, size_t len)
{
    if (len < SECRET_MIN)
        return;
    r->words[r->n_words].text = arena_strndup(&r->arena, text, len);
    r->words[r->n_words++].len = len;
    if (len > r->longest)
        r->longest = len;
}

/* Base64 of a text that begins at any offset of a longer one: only the characters that do not depend on the
 * neighbours. */
static void add_base64(struct redactor *r, const char *secret, size_t n, size_t shift)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n_bits = 8 * n, first = (6 - 8 * shift % 6) % 6;
    auto_buf struct buf out = BUF_INIT(2 * n + 8);
    for (size_t bit = first; bit + 6 <= n_bits; bit += 6) {
        unsigned v = 0;
        for (size_t i = bit; i < bit + 6; i++)
            v = v << 1 | (((unsigned char)secret[i / 8] >> (7 - i % 8)) & 1u);
        buf_add(&out, &digits[v], 1);
    }
    if (out.len >= 6)
        word_add(r, buf_str(&out), out.len);
}

static void add_url(struct redactor *r, const char *secret)
{
    auto_buf struct buf out = BUF_INIT(3 * strlen(secret) + 1);
    for (const char *p = secret; *p; p++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~", *p))
            buf_add(&out, p, 1);
        else
            buf_printf(&out, "%%%02X", (unsigned char)*p);
    if (strcmp(buf_str(&out), secret) != 0)
        word_add(r, buf_str(&out), out.len);
}

struct redactor *redact_new(const char *const *secrets)
{
    size_t n = 0;
    while (secrets && secrets[n])
        n++;
    if (n == 0)
        return NULL;
    struct redactor *r = xcalloc(1, sizeof(*r));
    r->words = arena_array(&r->arena, 5 * n, sizeof(*r->words));
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(secrets[i]);
        word_add(r, secrets[i], len);
        if (len < SECRET_MIN)
            continue;
        for (size_t shift = 0; shift < 3; shift++)
            add_base64(r, secrets[i], len, shift);
        add_url(r, secrets[i]);
    }
    return r;
}

void redact_free(struct redactor *r)
{
    if (!r)
        return;
    free(r->held);
    arena_fini(&r->arena);
    free(r);
}

/* The longest secret at p, 0 when none; *ret_part when p could be the beginning of one. */
static size_t match_at(const struct redactor *r, const char *p, size_t n, bool *ret_part)
{
    size_t best = 0;
    *ret_part = false;
    for (size_t i = 0; i < r->n_words; i++) {
        size_t len = r->words[i].len;
        if (len <= n && memcmp(r->words[i].text, p, len) == 0 && len > best)
            best = len;
        else if (len > n && memcmp(r->words[i].text, p, n) == 0)
            *ret_part = true;
    }
    return best;
}

/* Writes all of p that is decided; returns how many bytes were used up. */
static size_t redact_pass(const struct redactor *r, const char *p, size_t n, bool last, redact_write_fn write,
                          void *ctx)
{
    size_t plain = 0, i = 0;
    if (n == 0)
        return 0;
    while (i < n) {
        bool part = false;
        size_t len = match_at(r, p + i, n - i, &part);
        if (part && !last)
            break;
        if (len == 0) {
            i++;
            continue;
        }
        write(ctx, p + plain, i - plain);
        write(ctx, MASK, sizeof(MASK) - 1);
        i += len;
        plain = i;
    }
    write(ctx, p + plain, i - plain);
    return i;
}

void redact_add(struct redactor *r, const char *data, size_t n, redact_write_fn write, void *ctx)
{
    r->held = xrealloc(r->held, r->n_held + n);
    memcpy(r->held + r->n_held, data, n);
    r->n_held += n;
    size_t used = redact_pass(r, r->held, r->n_held, false, write, ctx);
    r->n_held -= used;
    memmove(r->held, r->held + used, r->n_held);
}

void redact_flush(struct redactor *r, redact_write_fn write, void *ctx)
{
    redact_pass(r, r->held, r->n_held, true, write, ctx);
    r->n_held = 0;
}

static void add_to_buf(void *ctx, const char *data, size_t n)
{
    buf_add(ctx, data, n);
}

const char *redact_text(const char *const *secrets, const char *text, struct arena *arena)
{
    struct redactor *r = redact_new(secrets);
    if (!r)
        return text;
    auto_buf struct buf out = BUF_INIT(4 * strlen(text) + 16);
    redact_pass(r, text, strlen(text), true, add_to_buf, &out);
    redact_free(r);
    return arena_strndup(arena, buf_str(&out), out.len);
}
