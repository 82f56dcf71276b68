/* SPDX-License-Identifier: MIT */
/* Signature version 4 of AWS: pure text in, text out (docs/protocols.md#aws).
 *
 * Our own and not libcurl's: that of Debian 12 (7.88) signs a query as it stands, unsorted, and signs none of the
 * headers that it does not know. */
#ifndef RELEASE_DRIVERS_AWS_SIGV4_H
#define RELEASE_DRIVERS_AWS_SIGV4_H

#include <time.h>

#include "base/arena.h"
#include "drivers/op/driver.h"

#define SIGV4_HEADERS_MAX 16
#define SIGV4_DATE_LEN    16 /* 20261120T093000Z */

struct sigv4_keys {
    const char *id, *secret;
    const char *token; /* of a session; NULL: none */
};

struct sigv4_request {
    const char *method, *path, *query; /* query: as sigv4_encode wrote it, "" for none; path: "/" */
    const struct op_pair *headers;     /* all are signed: Host and X-Amz-Date, too */
    size_t n_headers;
    const char *body;
    size_t n_body;
    const char *region, *service, *date; /* date: the value of X-Amz-Date */
};

/* Writes SIGV4_DATE_LEN characters and a NUL. */
void sigv4_date(time_t at, char ret[SIGV4_DATE_LEN + 1]);
/* The value of the header Authorization. *ret_canonical, for tests: the text that was hashed; may be NULL. */
const char *sigv4_authorization(struct arena *a, const struct sigv4_keys *keys,
                                const struct sigv4_request *req, const char **ret_canonical);
/* "Name=Value&Name=Value", percent-encoded, sorted by name: a form body, or a query. */
const char *sigv4_encode(struct arena *a, const struct op_pair *pairs, size_t n);

#endif
