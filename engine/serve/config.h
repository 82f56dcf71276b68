/* SPDX-License-Identifier: MIT */
/* ROOT/serve.yml: where to listen, how people come in, and what the parts want to know. Read once at start;
 * every mistake is reported with file, line and column. */
#ifndef RELEASE_SERVE_CONFIG_H
#define RELEASE_SERVE_CONFIG_H

#include "plans/schema.h"
#include "serve/serve.h"

struct serve_config {
    struct arena arena;
    const char *path;   /* of the file; "" = there is none */
    const char *listen; /* "127.0.0.1:8710" */
    const char *url;    /* "https://release.example.org", or made from listen */
    bool url_given;
    const char *tls_cert, *tls_key; /* files, or NULL */
    const char *proxy_address;      /* the one peer whose user header is believed, or NULL */
    const char *proxy_header;       /* X-Remote-User */
    enum right proxy_right;
    /* For the parts; NULL when absent. Read with schema_read (plans/schema.h). */
    const struct value *slack, *mattermost, *webhooks, *allow, *queue;
};
/* A missing file is an empty one unless it was named. false: problems has why. */
bool config_load(const char *path, bool must_exist, const char *listen, struct serve_config *ret,
                 struct problems *problems) MUST_CHECK;
void config_fini(struct serve_config *c);

/* "127.0.0.1:8710", "[::1]:8710", ":8710" refused: an address is named, not meant. */
struct listen_address {
    char host[64];
    int port; /* 0 = any free one */
    bool ip6, loopback;
};
bool listen_parse(const char *text, struct listen_address *ret, struct err *err) MUST_CHECK;
/* S16: other than loopback only with TLS or behind a named proxy. */
bool config_exposure_ok(const struct serve_config *c, const struct listen_address *at,
                        struct err *err) MUST_CHECK;

#endif
