/* SPDX-License-Identifier: MIT */
/* nginx's file of servers, its configuration as `nginx -T` shows it, and what the script on its host tells. First byte:
 * which. An address holds nothing but a host and a port; the edit of a line finds it by its bytes. */
#include "drivers/balancer/nginx/nginx.h"
#include "fuzz.h"

static void check_servers(const struct nginx_servers *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct nginx_server *r = &s->rows[i];
        must(r->addr && *r->addr && !strpbrk(r->addr, " \t\r\n;#{}$\"'\\") && r->host && *r->host);
        must(r->port >= 1 && r->port <= 65535 && r->line >= 1);
        must(!r->name || nginx_name_valid(r->name));
        for (size_t k = 0; k < i; k++)
            must(strcmp(s->rows[k].host, r->host) != 0 || s->rows[k].port != r->port);
    }
}

static void look(const char *text, size_t n)
{
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct nginx_look l;
    if (!nginx_look_parse(text, n, &a, &l, &err)) {
        must(err.code == E_PROTO || err.code == E_CONFIG || err.code == E_LIMIT);
        return;
    }
    check_servers(&l.servers);
    must(!l.stale || l.current > 0);
    must(!l.unfit_status || l.status);
}

static void config(const char *text, size_t n)
{
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct nginx_config c;
    if (!nginx_config_parse(text, n, "/f", &a, &c, &err)) {
        must(err.code == E_PROTO);
        return;
    }
    for (size_t i = 0; i < c.n; i++)
        must(c.uses[i].upstream && c.uses[i].host && c.uses[i].file && c.uses[i].port >= 1);
    for (size_t i = 0; i < c.n_including; i++)
        must(nginx_config_includes(&c, c.including[i]));
    must(c.n_including <= c.n_upstreams);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct nginx_servers s;
    if (n == 0)
        return 0;
    char *text = malloc(n); /* of exactly that size, and not terminated */
    must(text != NULL);
    memcpy(text, data + 1, n - 1);
    if (data[0] == 'l')
        look(text, n - 1);
    else if (data[0] == 'c')
        config(text, n - 1);
    else if (nginx_servers_parse(text, n - 1, &a, &s, &err))
        check_servers(&s);
    else
        must(err.code == E_CONFIG || err.code == E_LIMIT);
    free(text);
    return 0;
}
