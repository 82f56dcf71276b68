/* SPDX-License-Identifier: MIT */
/* The verbs about all servers: the floor is read here, `release lb` shows them, and preflight asks who else
 * sends to a node. */
#include "drivers/balancer/balancer.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

/* ---- capacity --------------------------------------------------------------------------------------------
 */

/* In every pool, and in every row of it, but for pools that nobody sends to. *ret_missing: a pool that does not have it ("" where pools have no
 * names). */
static bool serves(const struct lb *lb, const struct lb_table *t, const char *name, const char **ret_missing)
{
    bool all = true, some = false;
    size_t pools = lb->n_pools ? lb->n_pools : 1;
    for (size_t k = 0; k < pools; k++) {
        const char *pool = lb->n_pools && !lb->every ? lb->pools[k] : NULL;
        if (!lb_table_find(t, pool, name) && !(lb->can & LB_CAN_MEMBERSHIP))
            *ret_missing = pool ? pool : "";
        if (!lb_table_find(t, pool, name))
            all = false;
    }
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->rows[i].name, name) != 0 || t->rows[i].unused)
            continue;
        all = all && t->rows[i].serving;
        some = true;
    }
    return all && some;
}

/* serving: for each of `servers`, '1' as long as every balancer asked so far sends it requests. */
static bool count_serving(struct lb *lb, size_t peer, char *serving, int64_t *ret)
{
    struct lb_table t;
    size_t n;
    const char *const *names = op_arg_list(lb->op, "servers", &n);
    *ret = 0;
    if (!lb->kind->list(lb, peer, LB_ASK_FLOOR, &t))
        return false;
    for (size_t k = 0; n == 0 && k < t.n; k++)
        *ret += t.rows[k].serving;
    for (size_t k = 0; k < n; k++) {
        const char *missing = NULL;
        bool fine = serves(lb, &t, names[k], &missing);
        if (missing) {
            op_refused(lb->op, E_NOTFOUND, "%s: %s%s%s%s has %s %s \"%s\"; check `lb_server:` of the pillar",
                       lb->peers[peer].text, lb->every ? "no " : "", lb->kind->pool_noun, *missing ? " " : "",
                       missing, lb->every ? "a" : "no", lb->kind->server_noun, names[k]);
            return false;
        }
        *ret += fine;
        if (!fine)
            serving[k] = '0';
    }
    return true;
}

/* Two balancers may each have another server down: counted is who serves on all of them. */
enum outcome lb_run_capacity(struct op *op)
{
    auto_lb struct lb lb;
    size_t n;
    int64_t min = INT64_MAX, everywhere = 0;
    (void)op_arg_list(op, "servers", &n);
    char *serving = arena_alloc(op_arena(op), n + 1);
    memset(serving, '1', n);
    serving[n] = '\0';
    if (!lb_open_fleet(op, &lb))
        return op_end(op);
    for (size_t i = 0; i < lb.n_peers; i++) {
        int64_t up;
        if (!count_serving(&lb, i, serving, &up))
            return op_end(op);
        op_fact(op, arena_printf(op_arena(op), LB_FACT_UP "%s", lb.peers[i].text), "%" PRId64, up);
        min = up < min ? up : min;
    }
    for (size_t k = 0; k < n; k++)
        everywhere += serving[k] == '1';
    if (n > 0)
        op_fact(op, LB_FACT_SERVING, "%s", serving);
    op_gauge(op, n > 0 ? everywhere : min);
    return OUT_OK;
}

/* ---- show ------------------------------------------------------------------------------------------------
 */

static void set_text(struct op *op, json_t *row, const char *key, const char *text)
{
    if (text)
        json_object_set_new(row, key, json_string(lb_first_line(op, text)));
}

static void set_number(json_t *row, const char *key, int64_t n)
{
    if (n >= 0)
        json_object_set_new(row, key, json_integer(n));
}

static void set_traffic(json_t *row, const struct lb_traffic *t)
{
    set_number(row, "requests", t->requests);
    set_number(row, "errors", t->errors);
    set_number(row, "answer_ms", t->answer_ms);
}

static void show_row(struct op *op, const char *fact, json_t *row)
{
    auto_free char *text = json_dumps(row, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER);
    op_fact(op, fact, "%s", text);
    json_decref(row);
}

/* A row without a server is about all of its pool's. */
static bool show_pools(struct lb *lb, size_t peer)
{
    struct lb_pool_traffic pools[LB_POOLS_MAX];
    size_t n = 0;
    if (!lb->kind->count_pools)
        return true;
    if (!lb->kind->count_pools(lb, peer, pools, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        json_t *row = json_object();
        set_text(lb->op, row, "balancer", lb->peers[peer].text);
        set_text(lb->op, row, "backend", pools[i].pool);
        set_number(row, "seconds", pools[i].seconds);
        set_traffic(row, &pools[i].traffic);
        show_row(lb->op,
                 arena_printf(op_arena(lb->op), LB_FACT_SHOW "%s.%s/", lb->peers[peer].text, pools[i].pool),
                 row);
    }
    return true;
}

/* What was not told is not there. */
static void show_server(struct lb *lb, size_t peer, const struct lb_server *s)
{
    struct op *op = lb->op;
    json_t *row = json_object();
    const char *name = lb_first_line(op, s->name), *pool = lb_first_line(op, s->pool);
    set_text(op, row, "balancer", lb->peers[peer].text);
    set_text(op, row, "backend", pool);
    set_text(op, row, "server", name);
    set_text(op, row, "state", s->status);
    set_text(op, row, "admin", lb_word(lb, lb_server_shown(s)));
    set_number(row, "sessions", s->sessions);
    set_number(row, "queued", s->queued);
    set_number(row, "weight", s->weight);
    set_text(op, row, "check", s->check);
    if (s->traffic)
        set_traffic(row, s->traffic);
    json_object_set_new(row, "serving", json_boolean(s->serving));
    json_object_set_new(row, "up", json_boolean(s->up));
    /* The same name in several pools is several rows. */
    show_row(op,
             lb->n_pools > 1 || lb->every || !lb->kind->pools_param
                 ? arena_printf(op_arena(op), LB_FACT_SHOW "%s.%s/%s", lb->peers[peer].text, pool, name)
                 : arena_printf(op_arena(op), LB_FACT_SHOW "%s.%s", lb->peers[peer].text, name),
             row);
}

static bool show_peer(struct lb *lb, size_t peer)
{
    struct lb_table t;
    if (!lb->kind->list(lb, peer, LB_ASK_COUNTS, &t))
        return false;
    for (size_t k = 0; k < t.n; k++)
        show_server(lb, peer, &t.rows[k]);
    return show_pools(lb, peer);
}

/* One that cannot be asked fails it, and hides no other. */
enum outcome lb_run_show(struct op *op)
{
    auto_lb struct lb lb;
    struct op_failure first = {.failed = false};
    if (!lb_open_fleet(op, &lb))
        return op_end(op);
    for (size_t i = 0; i < lb.n_peers; i++) {
        if (show_peer(&lb, i))
            continue;
        const struct op_failure failure = op_set_aside(op);
        first = first.failed ? first : failure;
    }
    if (first.failed)
        op_take_up(op, &first);
    return op_end(op);
}

/* ---- who else sends there -------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
    const struct lb_server *x = a, *y = b;
    int order = strcmp(x->addr, y->addr);
    return order ? order : (x->port > y->port) - (x->port < y->port);
}

static bool is_ignored(struct op *op, const char *pool)
{
    size_t n;
    const char *const *names = op_arg_list(op, "ignore_backends", &n);
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(names[i], pool))
            return true;
    }
    return false;
}

/* Servers that stand for one address; those in maintenance, and those of pools that the pillar says to
 * ignore, are left out. */
static void report_shared(struct lb *lb, size_t peer, const struct lb_server *rows, size_t n)
{
    auto_buf struct buf names = BUF_INIT(8192);
    size_t used = 0;
    for (size_t k = 0; k < n; k++) {
        if (lb_server_shown(&rows[k]) == LB_MAINT || is_ignored(lb->op, rows[k].pool))
            continue;
        buf_printf(&names, "%s%s/%s", used++ ? " " : "", rows[k].pool, rows[k].name);
    }
    if (used > 1)
        op_fact(lb->op,
                arena_printf(op_arena(lb->op), LB_FACT_SHARED "%s %s:%d", lb->peers[peer].text, rows->addr,
                             rows->port),
                "%s%s", buf_str(&names), names.cut ? "..." : "");
}

enum outcome lb_run_survey(struct op *op)
{
    auto_lb struct lb lb;
    if (!lb_open_fleet(op, &lb))
        return op_end(op);
    for (size_t i = 0; i < lb.n_peers; i++) {
        struct lb_table t;
        if (lb.kind->may && !lb.kind->may(&lb, i))
            return op_end(op);
        if (!lb.kind->list(&lb, i, LB_ASK_ALL, &t))
            return op_end(op);
        qsort(t.rows, t.n, sizeof *t.rows, by_address);
        for (size_t from = 0, to; from < t.n; from = to) {
            for (to = from + 1; to < t.n && by_address(&t.rows[from], &t.rows[to]) == 0;)
                to++;
            if (to > from + 1 && t.rows[from].port > 0)
                report_shared(&lb, i, t.rows + from, to - from);
        }
    }
    return OUT_OK;
}
