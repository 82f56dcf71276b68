/* SPDX-License-Identifier: MIT */
/* SHA-256 through libcrypto: plan digests, output hashes, Varnish's challenge, stored tokens, requests that are signed. */
#ifndef RELEASE_BASE_HASH_H
#define RELEASE_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>

#define SHA256_HEX_LEN 64
/* 64 lower-case hex digits and a NUL into ret. */
void sha256_hex(const void *data, size_t n, char ret[SHA256_HEX_LEN + 1]);

/* Incremental. */
struct sha256;
struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *s, const void *data, size_t n);
void sha256_end(struct sha256 *s, char ret[SHA256_HEX_LEN + 1]); /* frees s */

#define SHA256_BYTES 32
/* HMAC-SHA256, raw: for signatures. */
void hmac_sha256(const void *key, size_t n_key, const void *data, size_t n, unsigned char ret[SHA256_BYTES]);
/* 2 * n lower-case hex digits and a NUL. */
void bytes_hex(const void *data, size_t n, char *ret);
/* Overwrites what must not stay in memory. */
void secret_wipe(void *data, size_t n);

/* Same bytes? In a time that depends on n alone: for tokens, signatures and their hashes. */
bool secret_equal(const void *a, const void *b, size_t n);
/* 2 * n_bytes (at most 64) hex digits of the kernel's randomness and a NUL. */
void random_hex(size_t n_bytes, char *ret);

#endif
