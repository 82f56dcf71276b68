/* SPDX-License-Identifier: MIT */
/* varnish: what concerns the cache. */
#include "drivers/balancer/varnish/varnish.h"

#include <string.h>

#define BAN_RECENT_S 600.0

enum outcome varnish_run_ban(struct op *op)
{
    auto_lb struct lb lb = {.op = op};
    const char *ban = op_arg(op, "ban");
    if (!ban || !*ban || strpbrk(ban, "\r\n"))
        return op_refused(op, E_CONFIG, "varnish.ban: the ban is empty or has a line end");
    if (!lb_open_fleet(op, &lb))
        return op_end(op);
    for (size_t i = 0; i < lb.n_peers; i++) {
        struct vcli *c = varnish_cli(&lb, i);
        char *body;
        if (!c || !vcli_want(c, &body, "ban %s", ban))
            return op_end(op);
    }
    return OUT_OK;
}

/* A ban that is repeated does no harm; one that is missing leaves old pages. */
enum outcome varnish_run_banned(struct op *op)
{
    auto_lb struct lb lb;
    bool all = true;
    if (!lb_open_fleet(op, &lb))
        return op_end(op);
    for (size_t i = 0; i < lb.n_peers; i++) {
        struct vcli *c = varnish_cli(&lb, i);
        char *body;
        bool there;
        struct err err = {0};
        if (!c || !vcli_want(c, &body, "ban.list -j"))
            return op_end(op);
        if (!varnish_ban_parse(body, op_arg(op, "ban"), BAN_RECENT_S, &there, &err))
            return op_fail(op, err.code, "%s: %s", lb.peers[i].text, err.text);
        all = all && there;
    }
    op_ready(op, all);
    return OUT_OK;
}
