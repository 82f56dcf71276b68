/* SPDX-License-Identifier: MIT */
/* Finding marked lines in a stream that comes in pieces (scan.h). */
#include "drivers/op/scan.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"

void nonce_make(char ret[NONCE_LEN + 1])
{
    unsigned char raw[NONCE_LEN / 2];
    must(getrandom(raw, sizeof(raw), 0) == (ssize_t)sizeof(raw));
    for (size_t i = 0; i < sizeof(raw); i++)
        snprintf(ret + 2 * i, 3, "%02x", raw[i]);
}

void scan_init(struct scan *s, const char *nonce, scan_fn plain, scan_fn found, void *ctx)
{
    *s = (struct scan){.line = BUF_INIT(SCAN_LINE_MAX), .plain = plain, .found = found, .ctx = ctx};
    snprintf(s->marker, sizeof(s->marker), "\001%s ", nonce);
}

void scan_fini(struct scan *s)
{
    buf_fini(&s->line);
}

void scan_end(struct scan *s)
{
    if (s->n_match)
        s->plain(s->ctx, s->marker, s->n_match);
    s->n_match = 0;
}

static size_t line_add(struct scan *s, const char *data, size_t n)
{
    const char *end = memchr(data, '\n', n);
    size_t used = end ? (size_t)(end - data) + 1 : n;
    buf_add(&s->line, data, used);
    if (end) {
        s->in_line = false;
        s->found(s->ctx, buf_str(&s->line), s->line.len);
        buf_reset(&s->line);
    }
    return used;
}

static size_t match_add(struct scan *s, char c)
{
    if (c != s->marker[s->n_match]) {
        scan_end(s); /* and the same byte again: it may begin another */
        return 0;
    }
    if (s->marker[++s->n_match] == '\0') {
        s->n_match = 0;
        s->in_line = true;
    }
    return 1;
}

void scan_add(struct scan *s, const char *data, size_t n)
{
    while (n) {
        size_t used;
        if (s->in_line) {
            used = line_add(s, data, n);
        } else if (s->n_match || *data == s->marker[0]) {
            used = match_add(s, *data);
        } else {
            const char *next = memchr(data, s->marker[0], n);
            used = next ? (size_t)(next - data) : n;
            s->plain(s->ctx, data, used);
        }
        data += used;
        n -= used;
    }
}
