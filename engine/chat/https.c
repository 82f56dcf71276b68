/* SPDX-License-Identifier: MIT */
/* One HTTPS request out, to configured hosts alone (https.h). */
#include "chat/https.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/host.h"

#define ANSWER_MAX (64 * 1024)

/* ---- where to */

struct url {
    CURLU *handle;
    char *scheme, *host, *port, *user;
};

static void url_fini(struct url *u)
{
    curl_free(u->scheme);
    curl_free(u->host);
    curl_free(u->port);
    curl_free(u->user);
    curl_url_cleanup(u->handle);
}
#define auto_url __attribute__((cleanup(url_fini)))

static bool url_open(const char *text, struct url *ret)
{
    *ret = (struct url){.handle = curl_url()};
    if (!ret->handle || !text || strlen(text) > 2000)
        return false;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c <= 0x20 || *c >= 0x7f)
            return false;
    if (curl_url_set(ret->handle, CURLUPART_URL, text, 0) != CURLUE_OK)
        return false;
    curl_url_get(ret->handle, CURLUPART_USER, &ret->user, 0);
    return curl_url_get(ret->handle, CURLUPART_SCHEME, &ret->scheme, 0) == CURLUE_OK &&
           curl_url_get(ret->handle, CURLUPART_HOST, &ret->host, 0) == CURLUE_OK &&
           curl_url_get(ret->handle, CURLUPART_PORT, &ret->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
}

static bool same_place(const struct url *u, const char *listed)
{
    if (!strstr(listed, "://"))
        return strcmp(u->scheme, "https") == 0 && strcmp(u->port, "443") == 0 &&
               strcasecmp(u->host, listed) == 0;
    auto_url struct url l;
    return url_open(listed, &l) && strcmp(l.scheme, u->scheme) == 0 && strcasecmp(l.host, u->host) == 0 &&
           strcmp(l.port, u->port) == 0;
}

bool https_url_ok(const char *url, const char *const *hosts, struct err *err)
{
    auto_url struct url u;
    if (!url_open(url, &u))
        return err_set(err, E_CONFIG, "that is not a URL");
    bool https = strcmp(u.scheme, "https") == 0;
    if (!https && strcmp(u.scheme, "http") != 0)
        return err_set(err, E_CONFIG, "the URL is neither https nor http");
    if (u.user)
        return err_set(err, E_CONFIG, "a URL with a user in it is refused");
    if (!https && !host_is_loopback(u.host))
        return err_set(err, E_CONFIG, "plain http goes to this machine only (wanted: https)");
    if (!hosts)
        return true;
    for (size_t i = 0; hosts[i]; i++)
        if (same_place(&u, hosts[i]))
            return true;
    return err_set(err, E_REFUSED, "the URL leads to a host that serve.yml does not name");
}

/* ---- the request */

void https_init(void)
{
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    buf_add(ctx, data, size * n);
    return size * n;
}

static bool link_local(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        uint32_t a = ntohl(in.sin_addr.s_addr);
        return (a >> 16) == 0xa9fe || a == 0 || (a >> 28) >= 0xe;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, sa, sizeof in6);
    return IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr) || IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) ||
           IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr) || IN6_IS_ADDR_MULTICAST(&in6.sin6_addr);
}

/* Judged where the connection is made: whatever the name resolved to. */
static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)ctx;
    (void)purpose;
    if ((address->family != AF_INET && address->family != AF_INET6) || link_local(&address->addr))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static void set_limits(CURL *c)
{
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https,http");
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
}

static struct curl_slist *headers_of(const struct https_request *p)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json; charset=utf-8");
    headers = curl_slist_append(headers, "Expect:");
    if (p->bearer) {
        auto_buf struct buf line = BUF_INIT(5000);
        buf_printf(&line, "Authorization: Bearer %s", p->bearer);
        headers = curl_slist_append(headers, buf_str(&line));
    }
    return headers;
}

bool https_send(const struct https_request *p, struct https_answer *ret, struct err *err)
{
    *ret = (struct https_answer){.body = BUF_INIT(ANSWER_MAX)};
    CURL *c = curl_easy_init();
    must(c != NULL);
    struct curl_slist *headers = headers_of(p);
    set_limits(c);
    curl_easy_setopt(c, CURLOPT_URL, p->url);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, p->json);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)p->timeout_ms);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)p->timeout_ms / 2);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &ret->body);
    CURLcode rc = curl_easy_perform(c);
    long status = 0;
    curl_off_t after = 0;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &after);
    ret->status = (int)status;
    ret->retry_after_ms = (int64_t)after * 1000;
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    return rc == CURLE_OK || err_set(err, E_NET, "%s", curl_easy_strerror(rc));
}

void https_answer_fini(struct https_answer *p)
{
    buf_fini(&p->body);
}
