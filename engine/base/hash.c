/* SPDX-License-Identifier: MIT */
/* SHA-256 by libcrypto (hash.h). */
#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/arena.h"
#include "base/err.h"

struct sha256 {
    EVP_MD_CTX *ctx;
};

struct sha256 *sha256_new(void)
{
    struct sha256 *s = xcalloc(1, sizeof(*s));
    s->ctx = EVP_MD_CTX_new();
    must(s->ctx && EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) == 1);
    return s;
}

void sha256_add(struct sha256 *s, const void *data, size_t n)
{
    must(EVP_DigestUpdate(s->ctx, data, n) == 1);
}

void bytes_hex(const void *data, size_t n, char *ret)
{
    const unsigned char *bytes = data;
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        ret[2 * i] = digits[bytes[i] >> 4];
        ret[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret[2 * n] = '\0';
}

void sha256_end(struct sha256 *s, char ret[SHA256_HEX_LEN + 1])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    must(EVP_DigestFinal_ex(s->ctx, md, &n) == 1 && n * 2 == SHA256_HEX_LEN);
    bytes_hex(md, n, ret);
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

void sha256_hex(const void *data, size_t n, char ret[SHA256_HEX_LEN + 1])
{
    struct sha256 *s = sha256_new();
    sha256_add(s, data, n);
    sha256_end(s, ret);
}

void hmac_sha256(const void *key, size_t n_key, const void *data, size_t n, unsigned char ret[SHA256_BYTES])
{
    unsigned int n_ret = 0;
    must(n_key <= INT_MAX && HMAC(EVP_sha256(), key, (int)n_key, data, n, ret, &n_ret) &&
         n_ret == SHA256_BYTES);
}

void secret_wipe(void *data, size_t n)
{
    OPENSSL_cleanse(data, n);
}

bool secret_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void random_hex(size_t n_bytes, char *ret)
{
    unsigned char bytes[64];
    must(n_bytes <= sizeof bytes);
    /* Up to 256 bytes come whole or not at all, once the kernel has been seeded. */
    must(getrandom(bytes, n_bytes, 0) == (ssize_t)n_bytes);
    bytes_hex(bytes, n_bytes, ret);
    OPENSSL_cleanse(bytes, sizeof bytes);
}
