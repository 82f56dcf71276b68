/* SPDX-License-Identifier: MIT */
/* NITRO's answers and addresses. First byte: which parser. A server that is out never serves, one that is on its way
 * out is out, and an address carries nothing but a host and a port: the password goes there. */
#include <arpa/inet.h>
#include <curl/curl.h>

#include "drivers/balancer/netscaler/netscaler.h"
#include "fuzz.h"

static void check_rows(const struct lb_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct lb_server *s = &t->rows[i];
        must(s->pool && *s->pool && s->name && *s->name && s->own && s->addr && s->status);
        must(s->port >= 0 && s->port <= 65535 && s->weight >= -1 && s->sessions >= -1);
        must(!(s->serving && lb_state_is_out(s->state)) && !(s->serving && s->leaving));
        must(!s->traffic || s->traffic->requests >= -1);
    }
}

/* Two answers, one behind the other: a list and its statistics. */
static void answers(const uint8_t *data, size_t n)
{
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct lb_table members = {0}, services = {0}, servers = {0};
    struct nitro_bond *bonds;
    int64_t code;
    const char *words = "";
    enum nitro_ha ha;
    bool disabled;
    char *first = fuzz_part(&data, &n, '\x01');
    auto_json json_t *list = nitro_parse(first, strlen(first), &a, &code, &words, &err);
    must(list || (err.code != E_NONE && err.text[0]));
    char *second = fuzz_text(data, n);
    auto_json json_t *more = nitro_parse(second, strlen(second), &a, &code, &words, &err);
    free(first);
    free(second);
    if (nitro_members(list, &a, &members, &err)) {
        nitro_member_stats(more, "g", &a, &members, &err);
        check_rows(&members);
    }
    if (nitro_services(list, &a, &services, &err)) {
        nitro_service_stats(more, &a, &services, &err);
        check_rows(&services);
    }
    if (nitro_servers(list, &a, &servers, &err) && nitro_bound(more, &servers, &err)) {
        for (size_t i = 0; i < servers.n; i++)
            must(!(servers.rows[i].serving && lb_state_is_out(servers.rows[i].state)));
    }
    for (size_t i = 0, k = nitro_bonds(list, &a, &bonds); i < k; i++)
        must(!bonds[i].group != !bonds[i].service && bonds[i].port >= 0 && bonds[i].port <= 65535);
    (void)nitro_ha_of(list, &a, &ha, &words, &err);
    (void)nitro_server_disabled(list, &disabled, &err);
}

/* As the client reads it: what the host is, is curl's to say. */
static bool leads_here(const char *url)
{
    CURLU *u = curl_url();
    char *host = NULL;
    unsigned char bytes[4];
    bool here = curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                (!strcmp(host, "localhost") || !strcmp(host, "[::1]") ||
                 (inet_pton(AF_INET, host, bytes) == 1 && bytes[0] == 127));
    bool is_url = host != NULL; /* one that curl cannot read leads nowhere */
    curl_free(host);
    curl_url_cleanup(u);
    return here || !is_url;
}

static void address(const char *text)
{
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct nitro_peer p;
    if (!nitro_peer_parse(text, false, &a, &p, &err))
        return;
    must(p.n >= 1 && p.n <= NITRO_NODES_MAX);
    for (size_t i = 0; i < p.n; i++)
        must((str_starts(p.urls[i], "https://") || leads_here(p.urls[i])) &&
             !strpbrk(p.urls[i], " \t\r\n;,'\"$`\\@?#="));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    char *text = fuzz_text(data + 1, n - 1);
    if (data[0] == 'a')
        address(text);
    else
        answers(data + 1, n - 1);
    free(text);
    return 0;
}
