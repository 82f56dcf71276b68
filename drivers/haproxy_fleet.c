/* haproxy: what the balancers say of all servers: the floor is read here, and `release lb` shows it. */
#include "drivers/haproxy.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"

static bool count_serving(struct hap *h, size_t i, int64_t *ret)
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
    }
    return true;
}

enum outcome haproxy_run_capacity(struct op *op)
{
    struct hap h;
    int64_t min = INT64_MAX;
    op_sending(op); /* as hap_open_read */
    if (!hap_open_fleet(op, &h))
        return op_end(op);
    for (size_t i = 0; i < h.n; i++) {
        int64_t up;
        if (!count_serving(&h, i, &up))
            return op_end(op);
        op_fact(op, arena_printf(op_arena(op), "lb.up.%s", h.socks[i].text), "%" PRId64, up);
        min = up < min ? up : min;
    }
    op_gauge(op, min);
    return OUT_OK;
}

static void show_server(struct hap *h, size_t i, const struct hap_server *s)
{
    auto_buf struct buf status = BUF_INIT(100), check = BUF_INIT(100);
    text_visible(&status, s->status, strcspn(s->status, "\"\\"));
    text_visible(&check, s->check_status, strcspn(s->check_status, "\"\\"));
    op_fact(h->op, arena_printf(op_arena(h->op), "lb.%s.%s", h->socks[i].text, s->name),
            "{\"backend\":\"%s\",\"state\":\"%s\",\"admin\":\"%s\",\"sessions\":%" PRId64
            ",\"queued\":%" PRId64 ",\"weight\":%d,\"check\":\"%s\",\"serving\":%s}",
            h->backend, buf_str(&status), hap_admin_name(hap_admin_of(s)), s->sessions, s->queued, s->weight,
            buf_str(&check), hap_is_serving(s) ? "true" : "false");
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
