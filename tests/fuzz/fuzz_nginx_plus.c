/* SPDX-License-Identifier: MIT */
/* Answers of NGINX Plus' API: how servers are set, and behind a byte 1 what runs on them. A server that is out never serves, and
 * each row has an id to be told by. */
#include <jansson.h>

#include "drivers/balancer/nginx_plus/nginx_plus.h"
#include "drivers/op/auto_json.h"
#include "fuzz.h"

static void check_rows(const struct lb_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct lb_server *s = &t->rows[i];
        const struct plus_server *own = s->own;
        must(s->name && *s->name && s->addr && *s->addr && s->port >= 0 && s->port <= 65535);
        must(s->weight >= -1 && s->sessions >= -1 && !(s->serving && lb_state_is_out(s->state)));
        must(!own ||
             (own->id >= 0 && *own->address && s->traffic->errors >= -1 && s->traffic->requests >= -1));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct lb_table one = {0}, all = {0};
    const char *code;
    int version = 0;
    char *first = fuzz_part(&data, &n, '\x01'), *second = fuzz_text(data, n);
    auto_json json_t *servers = plus_json(first, strlen(first), &a, &err);
    must(servers || (err.code != E_NONE && err.text[0]));
    auto_json json_t *upstream = plus_json(second, strlen(second), &a, &err);
    free(first);
    free(second);
    must(!plus_version(servers, &version, &err) ||
         (version >= PLUS_VERSION_MIN && version <= PLUS_VERSION_MAX));
    const char *words = plus_error(servers, &a, &code);
    must(code && (!words || !strpbrk(words, "\r\x1b")));
    if (plus_servers("p", servers, upstream, &a, &one, &err))
        check_rows(&one);
    if (plus_upstreams(upstream, &a, &all, &err))
        check_rows(&all);
    return 0;
}
