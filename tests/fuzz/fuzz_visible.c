/* SPDX-License-Identifier: MIT */
/* The terminal filter (docs/promises.md#s9): whatever a remote prints, what reaches the terminal is valid
 * UTF-8 without a byte that a terminal, page or chat obeys. Judged by a decoder of its own. */
#include "fuzz.h"

static size_t decode(const unsigned char *p, size_t n, uint32_t *ret)
{
    if (p[0] < 0x80) {
        *ret = p[0];
        return 1;
    }
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    must(p[0] >= 0xc2 && p[0] <= 0xf4 && len <= n);
    uint32_t c = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        must((p[i] & 0xc0) == 0x80);
        c = c << 6 | (p[i] & 0x3fu);
    }
    must(c >= (len == 2 ? 0x80u : len == 3 ? 0x800u : 0x10000u) && c <= 0x10ffff && c >> 11 != 0x1b);
    *ret = c;
    return len;
}

static bool obeyed(uint32_t c)
{
    if (c == '\n' || c == '\t')
        return false;
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f || c == 0x200b ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || c == 0x2028 ||
           c == 0x2029;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_buf struct buf shown = BUF_INIT(SIZE_MAX);
    char *copy = malloc(n + 1);
    must(copy != NULL);
    if (n)
        memcpy(copy, data, n);
    text_visible(&shown, copy, n);
    free(copy);
    const unsigned char *p = (const unsigned char *)buf_str(&shown);
    uint32_t c;
    for (size_t i = 0; i < shown.len; i += decode(p + i, shown.len - i, &c)) {
        decode(p + i, shown.len - i, &c);
        must(!obeyed(c));
    }
    must(n == 0 || shown.len >= 1);
    return 0;
}
