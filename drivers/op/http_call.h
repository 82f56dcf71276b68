/* SPDX-License-Identifier: MIT */
/* One HTTP request for one op: libcurl's multi interface under op_wait. Used by http, notify, aws and balancers.
 *
 * Follows redirects only where it is told to, never asks a proxy, verifies TLS (1.2 or later), refuses link-local addresses (but where it is told that one is meant), and
 * keeps at most max_bytes of the body. */
#ifndef RELEASE_DRIVERS_HTTP_CALL_H
#define RELEASE_DRIVERS_HTTP_CALL_H

#include <stdio.h>

#include "drivers/op/driver.h"

struct http_req {
    const char *url;
    const char *method; /* NULL: GET, or POST with a body */
    const char *body;
    size_t body_len;
    const struct op_pair *headers;
    size_t n_headers;
    const char *user, *password; /* basic authentication; NULL: none */
    const char *ca;              /* file of CA certificates, NULL = the system's */
    const char *address;         /* "host:port" to connect to instead of the URL's; NULL = the URL's */
    bool link_local;             /* such an address is meant: where a machine's own credentials are */
    int redirects; /* so many are followed, to https alone; 0: none. Authorization goes to the first host only */
    FILE *
        to; /* what is answered with 200 goes there, all of it; max_bytes is for what else is. NULL: the body is in the result */
    size_t max_bytes;
    int timeout_ms;
};

enum http_end {
    HTTP_ANSWERED, /* status, headers and body (perhaps cut) are there */
    HTTP_NOT_SENT, /* no address, refused, no TLS: nothing reached the other side */
    HTTP_BROKEN,   /* the connection broke or its time was up after something may have been sent */
};

struct http_res {
    enum http_end end;
    const char *problem; /* never holds the URL; NULL when answered */
    int status;
    struct op_pair *headers;
    size_t n_headers;
    char *body; /* NUL-terminated */
    size_t body_len;
    bool cut;
    bool untrusted; /* not sent: its certificate is not the one of that name, or nobody vouches for it */
    int64_t took_ms;
};

/* false: op failed (deadline, cancel, or a request that cannot be made). */
bool http_call(struct op *op, const struct http_req *req, struct http_res *ret);
/* Value of the first header of that name, any case; NULL when there is none. */
const char *http_header(const struct http_res *res, const char *name);
/* Takes a whole answer as `curl -i` prints it (headers, empty line, body) apart; false: it is none. */
bool http_parse(struct arena *a, const char *text, size_t n, struct http_res *ret);
/* No line end or other control byte: fit for a header name or value. */
bool http_text_valid(const char *s);

#endif
