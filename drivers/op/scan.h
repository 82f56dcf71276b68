/* SPDX-License-Identifier: MIT */
/* Finds lines of ours in a stream of somebody else's bytes: "\001NONCE words\n". The nonce is new each time,
 * so no output imitates it by accident; what goes before and after arrives exactly as it was, whatever the
 * pieces. */
#ifndef RELEASE_DRIVERS_SCAN_H
#define RELEASE_DRIVERS_SCAN_H

#include "base/str.h"

#define NONCE_LEN     32
#define SCAN_LINE_MAX 4096

typedef void (*scan_fn)(void *ctx, const char *data, size_t n);
struct scan {
    char marker[NONCE_LEN + 3]; /* "\001NONCE " */
    size_t n_match;             /* bytes of it seen */
    bool in_line;               /* between a marker and the end of its line */
    struct buf line;
    scan_fn plain, found; /* found: the words, with their newline */
    void *ctx;
};

void nonce_make(char ret[NONCE_LEN + 1]);
void scan_init(struct scan *s, const char *nonce, scan_fn plain, scan_fn found, void *ctx);
void scan_fini(struct scan *s);
void scan_add(struct scan *s, const char *data, size_t n);
void scan_end(struct scan *s); /* what looked like the beginning of a marker was none */

#endif
