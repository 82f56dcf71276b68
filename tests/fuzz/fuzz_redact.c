/* SPDX-License-Identifier: MIT */
/* Hiding secrets by value (docs/promises.md#s8): however the output is cut into pieces, no secret comes
 * through. Parts of the input, cut by NUL: two secrets, then pieces in which \x01 and \x02 stand for the
 * secrets. */
#include "drivers/op/inner.h"
#include "fuzz.h"

static void add(void *ctx, const char *data, size_t n)
{
    buf_add(ctx, data, n);
}

static void piece_feed(struct redactor *r, const char *piece, const char *const *secrets, unsigned step,
                       struct buf *shown)
{
    auto_buf struct buf text = BUF_INIT(1 << 20);
    for (; *piece; piece++)
        if (*piece == '\x01' || *piece == '\x02')
            buf_puts(&text, secrets[*piece - 1]);
        else
            buf_add(&text, piece, 1);
    for (size_t i = 0; i < text.len; i += step)
        redact_add(r, text.data + i, text.len - i < step ? text.len - i : step, add, shown);
}

/* What "***" and its neighbours happen to spell is no leak. */
static bool sought(const char *secret)
{
    return strlen(secret) >= 4 && !strchr(secret, '*');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_buf struct buf shown = BUF_INIT(SIZE_MAX);
    unsigned step = fuzz_byte(data, &n) % 37 + 1;
    if (n > 8192)
        return 0;
    char *a = fuzz_part(&data, &n, 0), *b = fuzz_part(&data, &n, 0);
    const char *const secrets[] = {a, b, NULL};
    struct redactor *r = redact_new(secrets);
    while (n) {
        char *piece = fuzz_part(&data, &n, 0);
        piece_feed(r, piece, secrets, step, &shown);
        free(piece);
    }
    redact_flush(r, add, &shown);
    for (int i = 0; i < 2; i++)
        must(!sought(secrets[i]) || !strstr(buf_str(&shown), secrets[i]));
    redact_free(r);
    free(a);
    free(b);
    return 0;
}
