/* SPDX-License-Identifier: MIT */
/* Slack's signatures; pure (signatures.h). */
#include "chat/signatures.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

struct signed_part {
    const void *data;
    size_t n;
};

static void hmac_hex(const char *secret, const struct signed_part *parts, size_t n, char ret[65])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char md[EVP_MAX_MD_SIZE];
    size_t md_len = 0;
    EVP_PKEY *key =
        EVP_PKEY_new_mac_key(EVP_PKEY_HMAC, NULL, (const unsigned char *)secret, (int)strlen(secret));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(key && ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1);
    for (size_t i = 0; i < n; i++)
        must(EVP_DigestSignUpdate(ctx, parts[i].data, parts[i].n) == 1);
    md_len = sizeof md;
    must(EVP_DigestSignFinal(ctx, md, &md_len) == 1 && md_len == 32);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    for (size_t i = 0; i < 32; i++) {
        ret[2 * i] = digits[md[i] >> 4];
        ret[2 * i + 1] = digits[md[i] & 15];
    }
    ret[64] = '\0';
}

void slack_sign(const char *secret, const char *stamp, const void *body, size_t n,
                char ret[SIGN_TEXT_LEN + 1])
{
    const struct signed_part parts[] = {{"v0:", 3}, {stamp, strlen(stamp)}, {":", 1}, {body, n}};
    memcpy(ret, "v0=", 3);
    hmac_hex(secret, parts, 4, ret + 3);
}

const char *sign_result_name(enum sign_result r)
{
    static const char *const names[] = {"ok",
                                        "no signature",
                                        "malformed signature or stamp",
                                        "stamp too old",
                                        "stamp in the future",
                                        "wrong signature"};
    return (unsigned)r < sizeof names / sizeof names[0] ? names[r] : "?";
}

static bool stamp_read(const char *stamp, int64_t *ret)
{
    size_t n = strspn(stamp, "0123456789");
    if (n == 0 || n > 12 || stamp[n] != '\0')
        return false;
    *ret = strtoll(stamp, NULL, 10);
    return true;
}

enum sign_result slack_check(const char *secret, const char *stamp, const char *signature, const void *body,
                             size_t n, int64_t now_s)
{
    char wanted[SIGN_TEXT_LEN + 1];
    int64_t at;
    if (!stamp || !signature)
        return SIGN_MISSING;
    if (!stamp_read(stamp, &at) || strlen(signature) != SIGN_TEXT_LEN || !str_starts(signature, "v0="))
        return SIGN_MALFORMED;
    if (at < now_s - SIGN_SKEW_S)
        return SIGN_OLD;
    if (at > now_s + SIGN_SKEW_S)
        return SIGN_FUTURE;
    slack_sign(secret, stamp, body, n, wanted);
    return secret_equal(wanted, signature, SIGN_TEXT_LEN) ? SIGN_OK : SIGN_WRONG;
}

bool token_equal(const char *a, const char *b)
{
    char hash_a[SHA256_HEX_LEN + 1], hash_b[SHA256_HEX_LEN + 1];
    if (!a || !b)
        return false;
    sha256_hex(a, strlen(a), hash_a);
    sha256_hex(b, strlen(b), hash_b);
    return secret_equal(hash_a, hash_b, SHA256_HEX_LEN);
}

void proof_make(const char *secret, const char *what, char ret[65])
{
    const struct signed_part parts[] = {{"release-button:", 15}, {what, strlen(what)}};
    hmac_hex(secret, parts, 2, ret);
}
