/* SPDX-License-Identifier: MIT */
/* The canonical request, the string to sign, the derived key, and the header (sigv4.h). */
#include "drivers/aws/sigv4.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define TEXT_MAX  ((size_t)4 << 20)

void sigv4_date(time_t at, char ret[SIGV4_DATE_LEN + 1])
{
    struct tm tm;
    must(gmtime_r(&at, &tm) && strftime(ret, SIGV4_DATE_LEN + 1, "%Y%m%dT%H%M%SZ", &tm) == SIGV4_DATE_LEN);
}

/* ---- names and values ------------------------------------------------------ */

static void encode(struct buf *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (isalnum(*p) || strchr("-._~", *p))
            buf_add(out, p, 1);
        else
            buf_printf(out, "%%%02X", *p);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct op_pair *)a)->name, ((const struct op_pair *)b)->name);
}

static struct op_pair *sorted(struct arena *a, const struct op_pair *pairs, size_t n)
{
    struct op_pair *copy = arena_array(a, n + 1, sizeof *copy);
    if (n)
        memcpy(copy, pairs, n * sizeof *copy);
    qsort(copy, n, sizeof *copy, by_name);
    return copy;
}

const char *sigv4_encode(struct arena *a, const struct op_pair *pairs, size_t n)
{
    auto_buf struct buf b = BUF_INIT(TEXT_MAX);
    const struct op_pair *list = sorted(a, pairs, n);
    for (size_t i = 0; i < n; i++) {
        buf_puts(&b, i ? "&" : "");
        encode(&b, list[i].name);
        buf_puts(&b, "=");
        encode(&b, list[i].value);
    }
    must(!b.cut);
    return arena_strdup(a, buf_str(&b));
}

/* ---- headers --------------------------------------------------------------- */

static char *lower(struct arena *a, const char *text)
{
    char *ret = arena_strdup(a, text);
    for (char *p = ret; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return ret;
}

/* Ends trimmed, runs of blanks one blank. */
static char *trimmed(struct arena *a, const char *text)
{
    char *ret = arena_strdup(a, text), *to = ret;
    for (const char *from = text + strspn(text, " \t"); *from; from++) {
        bool blank = *from == ' ' || *from == '\t';
        if (!blank)
            *to++ = *from;
        else if (from[1] && from[1] != ' ' && from[1] != '\t')
            *to++ = ' ';
    }
    *to = '\0';
    return ret;
}

static struct op_pair *canonical_headers(struct arena *a, const struct sigv4_request *req)
{
    struct op_pair *list = arena_array(a, req->n_headers + 1, sizeof *list);
    for (size_t i = 0; i < req->n_headers; i++)
        list[i] = (struct op_pair){.name = lower(a, req->headers[i].name),
                                   .value = trimmed(a, req->headers[i].value)};
    qsort(list, req->n_headers, sizeof *list, by_name);
    return list;
}

static const char *signed_names(struct arena *a, const struct op_pair *headers, size_t n)
{
    auto_buf struct buf b = BUF_INIT(TEXT_MAX);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i ? ";" : "", headers[i].name);
    return arena_strdup(a, buf_str(&b));
}

/* ---- the signature --------------------------------------------------------- */

static const char *canonical_request(struct arena *a, const struct sigv4_request *req,
                                     const struct op_pair *headers, const char *names)
{
    auto_buf struct buf b = BUF_INIT(TEXT_MAX);
    char hash[SHA256_HEX_LEN + 1];
    buf_printf(&b, "%s\n%s\n%s\n", req->method, req->path, req->query);
    for (size_t i = 0; i < req->n_headers; i++)
        buf_printf(&b, "%s:%s\n", headers[i].name, headers[i].value);
    sha256_hex(req->body, req->n_body, hash);
    buf_printf(&b, "\n%s\n%s", names, hash);
    must(!b.cut);
    return arena_strdup(a, buf_str(&b));
}

static void signature(const struct sigv4_keys *keys, const struct sigv4_request *req, const char *to_sign,
                      char ret[SHA256_HEX_LEN + 1])
{
    unsigned char key[SHA256_BYTES];
    auto_buf struct buf first = BUF_INIT(TEXT_MAX);
    buf_printf(&first, "AWS4%s", keys->secret);
    hmac_sha256(buf_str(&first), first.len, req->date, 8, key);
    hmac_sha256(key, sizeof key, req->region, strlen(req->region), key);
    hmac_sha256(key, sizeof key, req->service, strlen(req->service), key);
    hmac_sha256(key, sizeof key, "aws4_request", strlen("aws4_request"), key);
    hmac_sha256(key, sizeof key, to_sign, strlen(to_sign), key);
    bytes_hex(key, sizeof key, ret);
    secret_wipe(key, sizeof key);
    secret_wipe(first.data, first.len);
}

const char *sigv4_authorization(struct arena *a, const struct sigv4_keys *keys,
                                const struct sigv4_request *req, const char **ret_canonical)
{
    char hash[SHA256_HEX_LEN + 1], sig[SHA256_HEX_LEN + 1];
    must(strlen(req->date) == SIGV4_DATE_LEN && req->n_headers <= SIGV4_HEADERS_MAX);
    const struct op_pair *headers = canonical_headers(a, req);
    const char *names = signed_names(a, headers, req->n_headers);
    const char *canonical = canonical_request(a, req, headers, names);
    const char *scope = arena_printf(a, "%.8s/%s/%s/aws4_request", req->date, req->region, req->service);
    sha256_hex(canonical, strlen(canonical), hash);
    signature(keys, req, arena_printf(a, "%s\n%s\n%s\n%s", ALGORITHM, req->date, scope, hash), sig);
    if (ret_canonical)
        *ret_canonical = canonical;
    return arena_printf(a, "%s Credential=%s/%s, SignedHeaders=%s, Signature=%s", ALGORITHM, keys->id, scope,
                        names, sig);
}
