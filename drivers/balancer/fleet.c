/* haproxy: what the balancers say of all servers: the floor is read here, and `release lb` shows it. */
#include "drivers/balancer/haproxy/haproxy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* serving: for each of `servers`, '1' as long as every balancer asked so far sends it requests. */
static bool count_serving(struct hap *h, size_t i, char *serving, int64_t *ret)
{
    struct hap_table t;
    size_t n;
    const char *const *names = op_arg_list(h->op, "servers", &n);
    *ret = 0;
    if (!hap_table(h, i, false, &t))
        return false;
    for (size_t k = 0; n == 0 && k < t.n; k++)
        *ret += hap_is_serving(&t.rows[k]);
    for (size_t k = 0; k < n; k++) {
        const struct hap_server *s = hap_table_find(&t, names[k]);
        if (!s) {
            op_refused(h->op, E_NOTFOUND,
                       "%s: backend %s has no server \"%s\"; check `lb_server:` of the pillar",
                       h->socks[i].text, h->backend, names[k]);
            return false;
        }
        *ret += hap_is_serving(s);
        if (!hap_is_serving(s))
            serving[k] = '0';
    }
    return true;
}

/* Two balancers may each have another server down: counted is who serves on all of them. */
enum outcome haproxy_run_capacity(struct op *op)
{
    struct hap h;
    size_t n;
    int64_t min = INT64_MAX, everywhere = 0;
    (void)op_arg_list(op, "servers", &n);
    char *serving = arena_alloc(op_arena(op), n + 1);
    memset(serving, '1', n);
    serving[n] = '\0';
    op_sending(op); /* as hap_open_read */
    if (!hap_open_fleet(op, &h))
        return op_end(op);
    for (size_t i = 0; i < h.n; i++) {
        int64_t up;
        if (!count_serving(&h, i, serving, &up))
            return op_end(op);
        op_fact(op, arena_printf(op_arena(op), "lb.up.%s", h.socks[i].text), "%" PRId64, up);
        min = up < min ? up : min;
    }
    for (size_t k = 0; k < n; k++)
        everywhere += serving[k] == '1';
    if (n > 0)
        op_fact(op, "lb.serving", "%s", serving);
    op_gauge(op, n > 0 ? everywhere : min);
    return OUT_OK;
}

static void show_server(struct hap *h, size_t i, const struct hap_server *s)
{
    auto_buf struct buf status = BUF_INIT(100), check = BUF_INIT(100), name = BUF_INIT(300);
    text_visible(&status, s->status, strcspn(s->status, "\"\\"));
    text_visible(&check, s->check_status, strcspn(s->check_status, "\"\\"));
    text_visible(&name, s->name, strcspn(s->name, "\"\\"));
    op_fact(h->op, arena_printf(op_arena(h->op), "lb.%s.%s", h->socks[i].text, buf_str(&name)),
            "{\"backend\":\"%s\",\"server\":\"%s\",\"state\":\"%s\",\"admin\":\"%s\",\"sessions\":%" PRId64
            ",\"queued\":%" PRId64 ",\"weight\":%d,\"check\":\"%s\",\"serving\":%s}",
            h->backend, buf_str(&name), buf_str(&status), hap_admin_name(hap_admin_of(s)), s->sessions,
            s->queued, s->weight, buf_str(&check), hap_is_serving(s) ? "true" : "false");
}

enum outcome haproxy_run_show(struct op *op)
{
    struct hap h;
    op_sending(op); /* as hap_open_read */
    if (!hap_open_fleet(op, &h))
        return op_end(op);
    for (size_t i = 0; i < h.n; i++) {
        struct hap_table t;
        if (!hap_table(&h, i, true, &t))
            return op_end(op);
        for (size_t k = 0; k < t.n; k++)
            show_server(&h, i, &t.rows[k]);
    }
    return OUT_OK;
}

/* ---- who else sends there -------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
    const struct hap_server *x = a, *y = b;
    int order = strcmp(x->addr, y->addr);
    return order ? order : (x->port > y->port) - (x->port < y->port);
}

static bool is_ignored(struct op *op, const char *backend)
{
    size_t n;
    const char *const *names = op_arg_list(op, "ignore_backends", &n);
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(names[i], backend))
            return true;
    }
    return false;
}

/* Servers that stand for one address; those in maintenance, and those of backends that the pillar says to
 * ignore, are left out. */
static void report_shared(struct hap *h, size_t i, const struct hap_server *rows, size_t n)
{
    auto_buf struct buf names = BUF_INIT(8192);
    size_t used = 0;
    for (size_t k = 0; k < n; k++) {
        if (hap_admin_of(&rows[k]) == HAP_MAINT || is_ignored(h->op, rows[k].backend))
            continue;
        buf_printf(&names, "%s%s/%s", used++ ? " " : "", rows[k].backend, rows[k].name);
    }
    if (used > 1)
        op_fact(h->op,
                arena_printf(op_arena(h->op), "lb.at.%s %s:%d", h->socks[i].text, rows->addr, rows->port),
                "%s%s", buf_str(&names), names.cut ? "..." : "");
}

enum outcome haproxy_run_survey(struct op *op)
{
    struct hap h;
    op_sending(op); /* as hap_open_read */
    if (!hap_open_fleet(op, &h))
        return op_end(op);
    for (size_t i = 0; i < h.n; i++) {
        struct hap_table t;
        if (!hap_table_all(&h, i, &t))
            return op_end(op);
        qsort(t.rows, t.n, sizeof *t.rows, by_address);
        for (size_t from = 0, to; from < t.n; from = to) {
            for (to = from + 1; to < t.n && by_address(&t.rows[from], &t.rows[to]) == 0;)
                to++;
            if (to > from + 1 && t.rows[from].port > 0)
                report_shared(&h, i, t.rows + from, to - from);
        }
    }
    return OUT_OK;
}
