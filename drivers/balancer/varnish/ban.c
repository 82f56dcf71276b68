/* varnish: what concerns all nodes: the floor, `release lb`, and the cache. */
#include "drivers/balancer/varnish/varnish.h"

#include <inttypes.h>
#include <string.h>

/* ---- the fleet ----------------------------------------------------------------------------------- */

static bool place_named(struct op *op, const struct place *all, const char *name, struct place *ret)
{
    *ret = (struct place){.at = arena_array(op_arena(op), all->n + 1, sizeof *ret->at)};
    for (size_t i = 0; i < all->n; i++) {
        if (!strcmp(all->at[i].name, name))
            ret->at[ret->n++] = all->at[i];
    }
    return ret->n > 0;
}

/* serving: for each of `servers`, '1' as long as every Varnish asked so far sends it requests. */
static bool count_serving(struct varn *v, size_t i, char *serving, int64_t *ret)
{
    auto_vcli struct vcli c;
    struct place all, one;
    size_t n;
    const char *const *names = op_arg_list(v->op, "servers", &n);
    *ret = 0;
    if (!vcli_open(v->op, &v->admins[i], &c) || !varn_live(&c, NULL, &all))
        return false;
    for (size_t k = 0; n == 0 && k < all.n; k++)
        *ret += varn_backend_serving(&all.at[k]);
    for (size_t k = 0; k < n; k++) {
        if (!place_named(v->op, &all, names[k], &one)) {
            op_refused(v->op, E_NOTFOUND,
                       "%s: the active VCL has no backend \"%s\"; check `lb_server:` of the pillar",
                       v->admins[i].text, names[k]);
            return false;
        }
        *ret += varn_serving(&one);
        if (!varn_serving(&one))
            serving[k] = '0';
    }
    return true;
}

enum outcome varnish_run_capacity(struct op *op)
{
    struct varn v = {.op = op};
    size_t n;
    int64_t min = INT64_MAX, everywhere = 0;
    (void)op_arg_list(op, "servers", &n);
    char *serving = arena_alloc(op_arena(op), n + 1);
    memset(serving, '1', n);
    serving[n] = '\0';
    op_sending(op); /* as open_read */
    if (!varn_open(&v))
        return op_end(op);
    for (size_t i = 0; i < v.n; i++) {
        int64_t up;
        if (!count_serving(&v, i, serving, &up))
            return op_end(op);
        op_fact(op, arena_printf(op_arena(op), "lb.up.%s", v.admins[i].text), "%" PRId64, up);
        min = up < min ? up : min;
    }
    for (size_t k = 0; k < n; k++)
        everywhere += serving[k] == '1';
    if (n > 0)
        op_fact(op, "lb.serving", "%s", serving);
    op_gauge(op, n > 0 ? everywhere : min);
    return OUT_OK;
}

enum outcome varnish_run_show(struct op *op)
{
    struct varn v = {.op = op};
    op_sending(op); /* as open_read */
    if (!varn_open(&v))
        return op_end(op);
    for (size_t i = 0; i < v.n; i++) {
        auto_vcli struct vcli c;
        struct place all;
        if (!vcli_open(op, &v.admins[i], &c) || !varn_live(&c, NULL, &all))
            return op_end(op);
        for (size_t k = 0; k < all.n; k++)
            op_fact(op, arena_printf(op_arena(op), "lb.%s.%s", v.admins[i].text, all.at[k].name),
                    "{\"backend\":\"%s\",\"server\":\"%s\",\"state\":\"%s\",\"admin\":\"%s\",\"serving\":%s}",
                    all.at[k].vcl, all.at[k].name, all.at[k].healthy ? "healthy" : "sick", all.at[k].admin,
                    varn_backend_serving(&all.at[k]) ? "true" : "false");
    }
    return OUT_OK;
}

/* ---- ban ----------------------------------------------------------------------------------------- */

#define BAN_RECENT_S 600.0

enum outcome varnish_run_ban(struct op *op)
{
    struct varn v = {.op = op};
    const char *ban = op_arg(op, "ban");
    if (!ban || !*ban || strpbrk(ban, "\r\n") || !varn_open(&v))
        return op_failed(op) ? op_end(op)
                             : op_refused(op, E_CONFIG, "varnish.ban: the ban is empty or has a line end");
    for (size_t i = 0; i < v.n; i++) {
        auto_vcli struct vcli c;
        char *body;
        op_sending(op);
        if (!vcli_open(op, &v.admins[i], &c) || !vcli_want(&c, &body, "ban %s", ban))
            return op_end(op);
    }
    return OUT_OK;
}

/* A ban that is repeated does no harm; one that is missing leaves old pages. */
enum outcome varnish_run_banned(struct op *op)
{
    struct varn v = {.op = op};
    bool all = true;
    op_sending(op); /* as open_read */
    if (!varn_open(&v))
        return op_end(op);
    for (size_t i = 0; i < v.n; i++) {
        auto_vcli struct vcli c;
        char *body;
        bool there;
        struct err err = {0};
        if (!vcli_open(op, &v.admins[i], &c) || !vcli_want(&c, &body, "ban.list -j"))
            return op_end(op);
        if (!varnish_ban_parse(body, op_arg(op, "ban"), BAN_RECENT_S, &there, &err))
            return op_fail(op, err.code, "%s: %s", v.admins[i].text, err.text);
        all = all && there;
    }
    op_ready(op, all);
    return OUT_OK;
}
