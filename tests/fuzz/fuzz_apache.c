/* SPDX-License-Identifier: MIT */
/* Apache's balancer-manager, and addresses of balancers that are asked by HTTP. First byte: which parser. A member that is out never
 * serves, a form stays one form, and what curl is given to read has one option a line. */
#include "drivers/balancer/apache/apache.h"
#include "drivers/balancer/door.h"
#include "fuzz.h"

static void form(const struct apache_member *m, struct arena *a)
{
    const struct apache_put put = {.member = m, .disabled = true};
    const char *text = apache_form(&put, a);
    size_t fields = 1;
    if (!text)
        return;
    for (const char *p = text; *p; p++) {
        must(!strchr(" \t\r\n\"'#?", *p));
        fields += *p == '&';
    }
    must(fields == 5 + (*m->nonce != '\0'));
}

static void list(const char *text, size_t n)
{
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct lb_table t;
    if (!apache_parse(text, n, &a, &t, &err)) {
        must(err.code != E_NONE && err.text[0]);
        return;
    }
    for (size_t i = 0; i < t.n; i++) {
        const struct lb_server *s = &t.rows[i];
        must(*s->pool && *s->name && *s->status && s->addr && s->own);
        must(s->port >= 0 && s->port <= 65535 && s->weight >= -1 && s->sessions >= -1);
        must(s->traffic->requests >= -1 && !(s->serving && lb_state_is_out(s->state)));
        form(s->own, &a);
    }
}

static void door(const char *text)
{
    auto_arena struct arena a = {0};
    auto_buf struct buf curl = BUF_INIT(1u << 20);
    struct err err = {0};
    struct lb_door d;
    const struct lb_door_rule rule = {.login = true};
    const struct http_req req = {.url = text, .user = "u", .password = text, .body = text};
    size_t lines = 0;
    lb_door_curl(&req, &curl);
    for (const char *p = buf_str(&curl); *p; p++)
        lines += *p == '\n';
    must(curl.cut || lines == 5);
    if (!lb_door_parse(text, &rule, &a, &d, &err))
        return;
    must(!strpbrk(d.url, " \t\r\n;,'\"$`\\@?#=") && *d.name && (!d.host || (*d.host && *d.host != '-')));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    char *text = fuzz_text(data + 1, n - 1);
    if (data[0] == 'd')
        door(text);
    else
        list(text, strlen(text));
    free(text);
    return 0;
}
