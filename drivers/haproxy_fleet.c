/* haproxy: what the balancers say of all servers: the floor is read here, and `release lb` shows it. */
#include "drivers/haproxy.h"

#include <inttypes.h>
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
