/* SPDX-License-Identifier: MIT */
/* What our server was before this release, and what this release told it since: facts that later ops recall. */
#include "drivers/balancer/balancer.h"

#include <string.h>

#include "base/str.h"

#define FACT_MAX 60000

/* How entries call the balancer of a place. */
static const char *who(const struct lb *lb, const struct lb_place *p)
{
    const char *text = lb->peers[p->peer].text;
    return lb->kind->shared_peers ? arena_printf(op_arena(lb->op), "%s:%s", lb->kind->name, text) : text;
}

bool lb_recall(const struct lb *lb, const struct lb_place *p, struct lb_before *ret)
{
    return lb_before_find(op_recall(lb->op, LB_FACT_BEFORE), who(lb, p), p->pool, lb->server, ret);
}

bool lb_recorded(const struct lb *lb)
{
    struct lb_before b;
    for (size_t i = 0; i < lb->n; i++) {
        if (!lb_recall(lb, &lb->at[i], &b))
            return false;
    }
    return true;
}

bool lb_report_before(struct lb *lb)
{
    if (lb_recorded(lb))
        return true;
    /* Another balancer step of the same node may have recorded its own entries: keep them. */
    const char *old = op_recall(lb->op, LB_FACT_BEFORE);
    auto_buf struct buf b = BUF_INIT(FACT_MAX);
    buf_puts(&b, old ? old : "");
    for (size_t i = 0; i < lb->n; i++) {
        const struct lb_place *p = &lb->at[i];
        struct lb_before was;
        if (lb_recall(lb, p, &was))
            continue;
        was = (struct lb_before){.state = lb_place_state(p),
                                 .behind = lb_place_inherited(p) != LB_UNKNOWN,
                                 .weight = lb->can & LB_CAN_WEIGHT ? lb_place_weight(p) : -1,
                                 .agent = lb_place_agent(p)};
        lb_before_add(&b, who(lb, p), p->pool, lb->server, lb_word(lb, was.state), &was);
    }
    if (b.cut) {
        op_refused(lb->op, E_CONFIG, "%s: its state on all balancers is more than %d bytes of text",
                   lb->server, FACT_MAX);
        return false;
    }
    op_fact(lb->op, LB_FACT_BEFORE, "%s", buf_str(&b));
    return true;
}

void lb_report_address(struct lb *lb)
{
    auto_buf struct buf b = BUF_INIT(FACT_MAX);
    for (size_t i = 0; i < lb->n; i++)
        for (size_t k = 0; k < lb->at[i].n; k++) {
            const struct lb_server *s = &lb->at[i].rows[k];
            if (s->port > 0)
                buf_printf(&b, "%s%s %s:%d", b.len ? ";" : "", lb->peers[lb->at[i].peer].text, s->addr,
                           s->port);
        }
    if (!b.cut && b.len)
        op_fact(lb->op, LB_FACT_AT, "%s", buf_str(&b));
}

/* ---- what was told ----------------------------------------------------------------------------------------
 */

bool lb_puts(const struct lb *lb, enum lb_state s)
{
    return s != LB_MAINT || (lb->can & LB_CAN_MAINT);
}

bool lb_was_told(const struct lb *lb, const struct lb_place *p)
{
    struct lb_before b;
    return lb_before_find(op_recall(lb->op, LB_FACT_TOLD), who(lb, p), p->pool, lb->server, &b);
}

static void add_told(const struct lb *lb, const struct lb_place *p, struct buf *io)
{
    static const struct lb_before drained = {.state = LB_DRAIN, .weight = -1};
    struct lb_before b;
    if (!lb_before_find(buf_str(io), who(lb, p), p->pool, lb->server, &b))
        lb_before_add(io, who(lb, p), p->pool, lb->server, "drain", &drained);
}

void lb_report_told(struct lb *lb, const struct lb_place *p)
{
    struct lb_before was;
    bool foreign = lb_recall(lb, p, &was) && !lb_puts(lb, was.state);
    const char *old = lb->told ? lb->told : op_recall(lb->op, LB_FACT_TOLD);
    auto_buf struct buf b = BUF_INIT(FACT_MAX);
    if (!foreign && !(lb->can & LB_CAN_LAG))
        return;
    buf_puts(&b, old ? old : "");
    add_told(lb, p, &b);
    lb->told = arena_strdup(op_arena(lb->op), buf_str(&b));
    op_fact(lb->op, LB_FACT_TOLD, "%s", lb->told);
}

static bool is_mine(const struct lb *lb, const struct lb_entry *e)
{
    for (size_t i = 0; i < lb->n; i++) {
        const char *balancer = who(lb, &lb->at[i]);
        const char *server = arena_printf(op_arena(lb->op), "%s/%s", lb->at[i].pool, lb->server);
        if (strlen(balancer) == e->n_balancer && !memcmp(balancer, e->balancer, e->n_balancer) &&
            strlen(server) == e->n_server && !memcmp(server, e->server, e->n_server))
            return true;
    }
    return false;
}

/* Other blocks of the same node keep theirs. */
void lb_forget_told(struct lb *lb)
{
    const char *told = op_recall(lb->op, LB_FACT_TOLD);
    auto_buf struct buf b = BUF_INIT(FACT_MAX);
    struct lb_entry e;
    if (!told || !*told)
        return;
    while (lb_entry_next(&told, &e)) {
        if (!is_mine(lb, &e))
            buf_printf(&b, "%s%.*s %.*s=drain", b.len ? ";" : "", (int)e.n_balancer, e.balancer,
                       (int)e.n_server, e.server);
    }
    op_fact(lb->op, LB_FACT_TOLD, "%s", buf_str(&b));
}
