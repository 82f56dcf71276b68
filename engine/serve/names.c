/* SPDX-License-Identifier: MIT */
/* What the server may be called: names that a Host header may say, and what follows for Origin. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "serve/serve_priv.h"

static void host_add(struct serve *s, const char *host)
{
    if (host[0] && s->n_hosts < sizeof s->hosts / sizeof s->hosts[0])
        snprintf(s->hosts[s->n_hosts++], sizeof s->hosts[0], "%s", host);
}

/* What people may call it: the page's address, the address it listens on, and localhost on this machine. */
void serve_name(struct serve *s)
{
    const struct listen_address *at = &s->address;
    char own[100];
    snprintf(own, sizeof own, at->ip6 ? "[%s]:%d" : "%s:%d", at->host, at->port);
    if (s->config.url)
        snprintf(s->url, sizeof s->url, "%s", s->config.url);
    else
        snprintf(s->url, sizeof s->url, "%s://%s", s->config.tls_cert ? "https" : "http", own);
    const char *host = strstr(s->url, "://") + 3;
    char name[300];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(host, "/"), host);
    host_add(s, name);
    host_add(s, own);
    if (at->loopback) {
        snprintf(name, sizeof name, "localhost:%d", at->port);
        host_add(s, name);
        snprintf(name, sizeof name, "127.0.0.1:%d", at->port);
        host_add(s, name);
    }
}

/* ---- where it was sent, and from */

/* DNS rebinding: a page of a stranger whose name points here asks with its own name as Host. */
bool host_ok(const struct serve *s, const char *host)
{
    for (size_t i = 0; host && i < s->n_hosts; i++)
        if (strcasecmp(s->hosts[i], host) == 0)
            return true;
    return false;
}

bool origin_ok(const struct serve *s, const struct request *r)
{
    const char *origin = request_header(r, "Origin"), *site = request_header(r, "Sec-Fetch-Site");
    if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0 &&
        strcmp(r->method, "POST") == 0)
        return false;
    if (!origin)
        return true;
    const char *host = strstr(origin, "://");
    bool http = str_starts(origin, "http://") || str_starts(origin, "https://");
    return http && host_ok(s, host + 3);
}
