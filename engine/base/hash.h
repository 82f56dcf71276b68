/* SHA-256 through libcrypto: plan digests, output hashes, Varnish's challenge. */
#ifndef RELEASE_BASE_HASH_H
#define RELEASE_BASE_HASH_H

#include <stddef.h>

#define SHA256_HEX_LEN 64
/* 64 lower-case hex digits and a NUL into ret. */
void sha256_hex(const void *data, size_t n, char ret[SHA256_HEX_LEN + 1]);

/* Incremental. */
struct sha256;
struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *s, const void *data, size_t n);
void sha256_end(struct sha256 *s, char ret[SHA256_HEX_LEN + 1]); /* frees s */

#endif
