/* SPDX-License-Identifier: MIT */
/* LVS: addresses of services (first byte 's'), of real servers ('a'), and what ipvsadm lists. What is taken stays words of their own
 * in a command, and a table's rows belong to its services. */
#include "drivers/balancer/lvs/lvs.h"
#include "fuzz.h"

static void service(const char *text)
{
    auto_arena struct arena a = {0};
    struct lvs_service s, again;
    if (!lvs_service_parse(text, &a, &s))
        return;
    must(lvs_name_valid(s.text) && *s.address != '-' &&
         strspn(s.address, "0123456789abcdef.:[]") == strlen(s.address));
    must(lvs_service_parse(s.text, &a, &again) && !strcmp(again.text, s.text));
}

static void address(const char *text)
{
    auto_arena struct arena a = {0};
    struct lvs_address at;
    if (lvs_address_parse(text, &a, &at))
        must(*at.host && at.port >= -1 && at.port <= 65535 && lvs_address_same(&at, &at));
}

static void list(const char *text, size_t n)
{
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct lvs_table t;
    if (!lvs_table_parse(text, n, &a, &t, &err)) {
        must(err.code != E_NONE && err.text[0]);
        return;
    }
    for (size_t i = 0; i < t.n; i++) {
        const struct lvs_server *s = &t.rows[i];
        must(s->service >= t.services && s->service < t.services + t.n_services && s->weight >= 0);
        must(s->active >= 0 && s->inactive >= 0 && s->templates >= 0 && s->open >= 0 && s->address.port >= 0);
        service(s->service->text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    char *text = fuzz_text(data + 1, n - 1);
    if (data[0] == 's')
        service(text);
    else if (data[0] == 'a')
        address(text);
    else
        list(text, strlen(text));
    free(text);
    return 0;
}
