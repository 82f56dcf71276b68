/* SPDX-License-Identifier: MIT */
/* serve.yml, read through the pillar's own reader: same places, same hints, same refusal of files that others
 * may write. */
#include "serve/config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plans/sls.h"

#define DEFAULT_LISTEN "127.0.0.1:8710"

/* ---- addresses */

static bool port_parse(const char *text, int *ret)
{
    size_t n = strspn(text, "0123456789");
    long port = strtol(text, NULL, 10);
    *ret = (int)port;
    return n > 0 && n <= 5 && text[n] == '\0' && port <= 65535;
}

bool listen_parse(const char *text, struct listen_address *ret, struct err *err)
{
    unsigned char bytes[16];
    const char *colon = strrchr(text, ':');
    *ret = (struct listen_address){0};
    size_t n = colon ? (size_t)(colon - text) : 0;
    bool bracket = n > 2 && text[0] == '[' && colon[-1] == ']';
    const char *host = bracket ? text + 1 : text;
    n -= bracket ? 2 : 0;
    if (!colon || n == 0 || n >= sizeof ret->host || !port_parse(colon + 1, &ret->port))
        return err_set(err, E_USAGE,
                       "listen: '%s' is not ADDRESS:PORT (wanted: 127.0.0.1:8710 or [::1]:8710)", text);
    memcpy(ret->host, host, n);
    if (!bracket && strcmp(ret->host, "localhost") == 0)
        memcpy(ret->host, "127.0.0.1", sizeof "127.0.0.1");
    ret->ip6 = bracket && inet_pton(AF_INET6, ret->host, bytes) == 1;
    if (!ret->ip6 && (bracket || inet_pton(AF_INET, ret->host, bytes) != 1))
        return err_set(err, E_USAGE,
                       "listen: '%s' is not an address (names may mean several: write 127.0.0.1:8710)", text);
    static const unsigned char v6_loopback[16] = {[15] = 1};
    ret->loopback = ret->ip6 ? memcmp(bytes, v6_loopback, 16) == 0 : bytes[0] == 127;
    return true;
}

bool config_exposure_ok(const struct serve_config *c, const struct listen_address *at, struct err *err)
{
    if (at->loopback || c->tls_cert || c->proxy_address)
        return true;
    return err_set(
        err, E_USAGE,
        "listen: %s is open to others, and tokens would cross the network in the clear; wanted: "
        "127.0.0.1 behind a proxy, `tls: {cert: .., key: ..}`, or the one proxy that may come: `proxy: "
        "{address: ..}` in serve.yml; nothing was opened",
        c->listen);
}

/* ---- the file */

struct top_block {
    const char *listen, *url;
    const struct value *tls, *proxy, *slack, *mattermost, *webhooks, *allow, *queue;
};
static const struct field top_fields[] = {
    {.name = "listen", .type = FIELD_TEXT, .offset = offsetof(struct top_block, listen)},
    {.name = "url", .type = FIELD_TEXT, .offset = offsetof(struct top_block, url)},
    {.name = "tls", .type = FIELD_VALUE, .offset = offsetof(struct top_block, tls)},
    {.name = "proxy", .type = FIELD_VALUE, .offset = offsetof(struct top_block, proxy)},
    {.name = "slack", .type = FIELD_VALUE, .offset = offsetof(struct top_block, slack)},
    {.name = "mattermost", .type = FIELD_VALUE, .offset = offsetof(struct top_block, mattermost)},
    {.name = "webhooks", .type = FIELD_VALUE, .offset = offsetof(struct top_block, webhooks)},
    {.name = "allow", .type = FIELD_VALUE, .offset = offsetof(struct top_block, allow)},
    {.name = "queue", .type = FIELD_VALUE, .offset = offsetof(struct top_block, queue)},
    FIELD_END,
};

struct tls_block {
    const char *cert, *key;
};
static const struct field tls_fields[] = {
    {.name = "cert", .type = FIELD_PATH, .offset = offsetof(struct tls_block, cert)},
    {.name = "key", .type = FIELD_PATH, .offset = offsetof(struct tls_block, key)},
    FIELD_END,
};

struct proxy_block {
    const char *address, *user_header, *role;
};
static const struct field proxy_fields[] = {
    {.name = "address", .type = FIELD_TEXT, .offset = offsetof(struct proxy_block, address)},
    {.name = "user_header", .type = FIELD_NAME, .offset = offsetof(struct proxy_block, user_header)},
    {.name = "role",
     .type = FIELD_CHOICE,
     .offset = offsetof(struct proxy_block, role),
     .choices = "viewer|operator|admin"},
    FIELD_END,
};

/* The private key must be nobody else's; the certificate is no secret. */
static bool key_is_private(struct schema_reader *r, const struct value *at, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
        problem_at(r->problems, at->at, "tls: key: %s cannot be read", path);
        return false;
    }
    if ((st.st_mode & 037) == 0)
        return true;
    problem_at(r->problems, at->at,
               "tls: key: %s has mode %04o (wanted: 0600 or 0640); 'chmod 0640 %s' repairs it", path,
               (unsigned)(st.st_mode & 07777), path);
    return false;
}

static bool tls_read(struct schema_reader *r, const struct value *v, struct serve_config *c)
{
    struct tls_block b = {0};
    if (!v)
        return true;
    if (!schema_read(r, v, "tls", tls_fields, &b))
        return false;
    if (!b.cert || !b.key) {
        problem_at(r->problems, v->at, "tls: wanted both cert: and key:, files in PEM");
        return false;
    }
    if (access(b.cert, R_OK) != 0) {
        problem_at(r->problems, v->at, "tls: cert: %s cannot be read", b.cert);
        return false;
    }
    c->tls_cert = b.cert;
    c->tls_key = b.key;
    return key_is_private(r, v, b.key);
}

static bool proxy_read(struct schema_reader *r, const struct value *v, struct serve_config *c)
{
    struct proxy_block b = {.role = "viewer"};
    unsigned char bytes[16];
    if (!v)
        return true;
    if (!schema_read(r, v, "proxy", proxy_fields, &b))
        return false;
    if (!b.address ||
        (inet_pton(AF_INET, b.address, bytes) != 1 && inet_pton(AF_INET6, b.address, bytes) != 1)) {
        problem_at(r->problems, v->at,
                   "proxy: address: wanted the one address that it comes from, like 127.0.0.1");
        return false;
    }
    c->proxy_address = b.address;
    c->proxy_header = b.user_header;
    c->proxy_right = (enum right)right_from_name(b.role);
    return true;
}

/* "https://release.example.org[:port][/below]", no slash at the end. */
static bool url_read(struct schema_reader *r, const struct value *map, struct serve_config *c)
{
    const struct value *v = map_get(map, "url");
    const char *host = c->url ? strstr(c->url, "://") : NULL;
    if (!c->url)
        return true;
    bool http = str_starts(c->url, "http://") || str_starts(c->url, "https://");
    size_t n =
        http ? strspn(host + 3, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]") : 0;
    if (!http || n == 0 || (host[3 + n] != '\0' && host[3 + n] != '/')) {
        problem_at(r->problems, v->at,
                   "url: '%s' is not an address of a page (wanted: https://release.example.org)", c->url);
        return false;
    }
    size_t len = strlen(c->url);
    while (len > 0 && c->url[len - 1] == '/')
        len--;
    c->url = arena_strndup(r->arena, c->url, len);
    c->url_given = true;
    return true;
}

static bool file_read(const char *path, struct serve_config *c, struct problems *problems)
{
    struct schema_reader r = {.arena = &c->arena, .problems = problems};
    const struct value *map = yaml_load_file(&c->arena, path, problems);
    struct top_block b = {0};
    if (!map)
        return false;
    bool ok = schema_read(&r, map, "serve.yml", top_fields, &b);
    c->listen = b.listen;
    c->url = b.url;
    c->slack = b.slack;
    c->mattermost = b.mattermost;
    c->webhooks = b.webhooks;
    c->allow = b.allow;
    c->queue = b.queue;
    ok = url_read(&r, map, c) && ok;
    ok = tls_read(&r, b.tls, c) && ok;
    return proxy_read(&r, b.proxy, c) && ok;
}

bool config_load(const char *path, bool must_exist, const char *listen, struct serve_config *ret,
                 struct problems *problems)
{
    *ret = (struct serve_config){.path = ""};
    if (must_exist || access(path, F_OK) == 0) {
        ret->path = arena_strdup(&ret->arena, path);
        if (!file_read(ret->path, ret, problems))
            return false;
    }
    if (listen)
        ret->listen = arena_strdup(&ret->arena, listen);
    if (!ret->listen)
        ret->listen = DEFAULT_LISTEN;
    return true;
}

void config_fini(struct serve_config *c)
{
    arena_fini(&c->arena);
}
