/* SPDX-License-Identifier: MIT */
/* One HTTPS request out of the server, on a thread that may wait: to response_urls, webhooks, Slack's Web
 * API.
 *
 * Never follows redirects, never asks a proxy, verifies TLS (1.2 or later), refuses link-local addresses
 * (docs/promises.md#s15), keeps at most 64 KiB of the answer. A URL may be a credential: it never appears in
 * a message. */
#ifndef RELEASE_CHAT_HTTPS_H
#define RELEASE_CHAT_HTTPS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* https, or plain http to this machine by address; no user, no control bytes. hosts not NULL: only what it
 * lists, each "host" (https, default port) or "scheme://host:port". */
bool https_url_ok(const char *url, const char *const *hosts, struct err *err) MUST_CHECK;

/* Once, before any thread. */
void https_init(void);

struct https_request {
    const char *url, *bearer; /* bearer NULL = none */
    const char *json;         /* the body */
    int timeout_ms;
};
struct https_answer {
    int status;
    int64_t retry_after_ms; /* of a 429 or 503, 0 = not said */
    struct buf body;
};
/* false: nothing came back (E_NET). Whoever calls this judges the status. */
bool https_send(const struct https_request *p, struct https_answer *ret, struct err *err) MUST_CHECK;
void https_answer_fini(struct https_answer *p);
#define auto_https_answer __attribute__((cleanup(https_answer_fini)))

#endif
