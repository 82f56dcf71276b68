/* SPDX-License-Identifier: MIT */
/* HAProxy's answers and the addresses of its sockets. First byte: which parser. A server is only ever found
 * under its exact name, with numbers in their range: that is what the floor and every drain are judged by. */
#include "drivers/balancer/haproxy/haproxy.h"
#include "fuzz.h"

static void check_rows(const struct hap_table *t, bool with_stat)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct hap_server *s = &t->rows[i];
        must(s->backend != NULL && s->addr != NULL && s->backend_id >= 0 && s->port >= 0 && s->port <= 65535);
        must(!with_stat || !hap_is_up(s) || !hap_is_out(s));
        must(s->name != NULL && s->op_state >= 0 && s->op_state <= 3 && s->weight >= 0 && s->weight <= 256);
        must(!with_stat || (s->sessions >= 0 && s->queued >= 0 && s->status && s->check_status));
        must(!(hap_is_out(s) && hap_is_serving(s)));
        must(hap_state_of(s) != LB_UNKNOWN);
        must(hap_inherited_of(s) == LB_UNKNOWN || (hap_is_out(s) && !hap_is_serving(s)));
    }
}

static void tables(const uint8_t *data, size_t n)
{
    auto_arena struct arena arena = {0};
    struct err err = {0};
    struct hap_table t = {0};
    struct hap_table all;
    char *state = fuzz_part(&data, &n, '\x01'), *stat = fuzz_text(data, n);
    if (hap_parse_state(state, NULL, &arena, &all, &err)) {
        check_rows(&all, false);
        if (hap_parse_stat(stat, NULL, &arena, &all, &err)) {
            hap_stand_by(&all, data && n % 2);
            check_rows(&all, true);
        }
    }
    err = (struct err){0};
    if (hap_parse_state(state, "web", &arena, &t, &err)) {
        check_rows(&t, false);
        if (hap_parse_stat(stat, "web", &arena, &t, &err))
            check_rows(&t, true);
        else
            must(err.code != E_NONE && err.text[0]);
    } else {
        must(err.code != E_NONE && err.text[0]);
    }
    free(state);
    free(stat);
}

/* Stat, or what a master and old workers say: a PID and a session's id go into a command. */
static void old_workers(const char *text)
{
    auto_arena struct arena arena = {0};
    struct err err = {0};
    struct hap_pids old;
    struct hap_ids ids;
    int64_t left;
    if (hap_parse_old_workers(text, &arena, &old, &err))
        for (size_t i = 0; i < old.n; i++)
            must(old.pids[i] > 0);
    else
        must(err.code != E_NONE && err.text[0]);
    must(!hap_parse_left(text, (struct hap_key){"web", "app1"}, &arena, &left, &err) || left >= -1);
    if (!hap_parse_sessions(text, (struct hap_key){"web", "app1"}, &arena, &ids, &err))
        return;
    for (size_t i = 0; i < ids.n; i++)
        must(ids.ids[i][0] == '0' && ids.ids[i][1] == 'x' &&
             strspn(ids.ids[i] + 2, "0123456789abcdefABCDEF") == strlen(ids.ids[i]) - 2);
}

static void address(const char *text)
{
    auto_arena struct arena arena = {0};
    struct err err = {0};
    struct hap_socket s;
    if (!hap_socket_parse(text, &arena, &s, &err))
        return;
    /* It goes into a socat address and into ssh: nothing there may be an option or end a word. */
    must(s.path || (s.host && s.port >= 1 && s.port <= 65535));
    must(!s.host || (s.host[0] != '-' && !strpbrk(s.host, " \t\n;,'\"$`\\")));
    must(!s.path || (s.path[0] == '/' && !strpbrk(s.path, " \t\n;,:'\"$`\\")));
}

static void name(const char *text)
{
    if (hap_name_valid(text))
        must(text[0] != '-' && !strpbrk(text, " \t\r\n;/<'\"$`\\"));
}

static void before(const uint8_t *data, size_t n)
{
    struct lb_before b;
    char *fact = fuzz_text(data, n);
    if (lb_before_find(fact, "tcp://lb1:9999", "web", "app1", &b)) {
        must(!b.agent || b.weight >= 0);
        must(b.state > LB_UNKNOWN && b.state < LB_STATES && b.weight >= -1);
        must(strstr(fact, "tcp://lb1:9999 web/app1="));
    }
    free(fact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    char *text = fuzz_text(data + 1, n - 1);
    switch (data[0]) {
    case 'a': address(text); break;
    case 'n': name(text); break;
    case 'b': before(data + 1, n - 1); break;
    case 'm': old_workers(text); break;
    default: tables(data + 1, n - 1);
    }
    free(text);
    return 0;
}
