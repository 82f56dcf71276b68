#include "base/hash.h"

#include <openssl/evp.h>
#include <stdlib.h>

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

void sha256_end(struct sha256 *s, char ret[SHA256_HEX_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    must(EVP_DigestFinal_ex(s->ctx, md, &n) == 1 && n * 2 == SHA256_HEX_LEN);
    for (unsigned int i = 0; i < n; i++) {
        ret[2 * i] = digits[md[i] >> 4];
        ret[2 * i + 1] = digits[md[i] & 15];
    }
    ret[SHA256_HEX_LEN] = '\0';
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

void sha256_hex(const void *data, size_t n, char ret[SHA256_HEX_LEN + 1])
{
    struct sha256 *s = sha256_new();
    sha256_add(s, data, n);
    sha256_end(s, ret);
}
