/* SPDX-License-Identifier: MIT */
/* Orders that the server took: written before they begin, and how they ended (orders.h). */
#include "state/orders.h"

#include "state/process.h"
#include "state/store_priv.h"

bool order_insert(struct store *s, const struct order_new *o, int64_t *ret_id, struct err *err)
{
    char host[256];
    struct tx tx;
    auto_arena struct arena arena = {0};
    struct env_key key;
    process_host(host, sizeof(host));
    if (!env_resolve(reader(s, &arena), o->env, &key, err) || !tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(s,
                      SQL(ORDER_INSERT, arg_int(o->at_ms), arg_text(key.env), arg_text(wish_name(o->verb)),
                          arg_text(o->who), arg_text(via_name(o->via)), arg_text(o->place), arg_text(o->argv),
                          arg_text(host), arg_text(key.app)),
                      err);
    int64_t id = ok ? sql_id(s) : 0;
    if (!tx_close(&tx, ok, err))
        return false;
    *ret_id = id;
    return true;
}

struct order_event {
    int64_t order, at_ms, release, pid, pid_start;
    const char *event, *boot_id, *text;
    int exit_status;
};

static bool event_add(struct store *s, const struct order_event *e, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(s,
                      SQL(ORDER_EVENT, arg_int(e->order), arg_text(e->event), arg_int(e->at_ms),
                          arg_int(e->release), arg_int(e->pid), arg_int(e->pid_start),
                          arg_text(e->boot_id ? e->boot_id : ""), arg_int(e->exit_status),
                          arg_text(e->text ? e->text : "")),
                      err);
    return tx_close(&tx, ok, err);
}

bool order_started(struct store *s, int64_t id, int64_t pid, int64_t at_ms, struct err *err)
{
    char boot[64], state;
    struct order_event e = {.order = id, .event = "start", .at_ms = at_ms, .pid = pid, .exit_status = -1};
    process_boot(boot, sizeof(boot));
    e.boot_id = boot;
    if (!process_started(pid, &e.pid_start, &state))
        e.pid_start = 0;
    return event_add(s, &e, err);
}

bool order_release(struct store *s, int64_t id, int64_t release, int64_t at_ms, struct err *err)
{
    return event_add(
        s,
        &(struct order_event){
            .order = id, .event = "release", .at_ms = at_ms, .release = release, .exit_status = -1},
        err);
}

bool order_end(struct store *s, const struct order_end_new *end, struct err *err)
{
    struct order_event e = {.order = end->order,
                            .event = "end",
                            .at_ms = end->at_ms,
                            .exit_status = end->exit_status,
                            .text = end->text};
    return event_add(s, &e, err);
}

/* ---- reading */

static void order_from_row(struct query *q, struct arena *arena, struct order_info *ret)
{
    *ret = (struct order_info){
        .id = query_int(q, 0),
        .at_ms = query_int(q, 1),
        .env = env_from_row(q, 9, 2, arena),
        .verb = (enum wish)query_word(q, 3, wish_from_name),
        .who = query_text(q, 4, arena),
        .via = (enum via)query_word(q, 5, via_from_name),
        .place = query_text(q, 6, arena),
        .argv = query_text(q, 7, arena),
        .host = query_text(q, 8, arena),
        .pid = query_int(q, 10),
        .pid_start = query_int(q, 11),
        .boot_id = query_text(q, 12, arena),
        .release = query_int(q, 13),
        .ended_ms = query_int(q, 14),
        .exit_status = (int)query_int(q, 15),
        .text = query_text(q, 16, arena),
    };
}

bool order_get(struct reader r, int64_t id, struct order_info **ret, struct err *err)
{
    auto_query struct query q;
    *ret = NULL;
    if (!query_open(&q, r.store, SQL(ORDER_GET, arg_int(id)), err))
        return false;
    if (query_next(&q, err)) {
        *ret = arena_alloc(r.arena, sizeof(**ret));
        order_from_row(&q, r.arena, *ret);
    }
    return !q.failed;
}

bool order_list(struct reader r, const struct newest *which, struct order_info **ret, size_t *ret_n,
                struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct order_info);
    struct env_key key = {0};
    if (which->env && !env_resolve(r, which->env, &key, err))
        return false;
    auto_query struct query q;
    struct arg before = arg_before(which->before), most = arg_limit(which->limit);
    const struct statement *of_all = SQL(ORDER_ALL, before, most);
    const struct statement *of_one = SQL(ORDER_ENV, before, most, arg_text(key.env), arg_text(key.app));
    if (!query_open(&q, r.store, which->env ? of_one : of_all, err))
        return false;
    while (query_next(&q, err))
        order_from_row(&q, r.arena, vec_add(&found));
    if (q.failed)
        return false;
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}

bool order_of_release(struct store *s, int64_t release, int64_t *ret_id, struct err *err)
{
    return sql_number(s, SQL(ORDER_OF_RELEASE, arg_int(release)), ret_id, err);
}

bool order_last_change(struct store *s, int64_t *ret_id, struct err *err)
{
    return sql_number(s, SQL(ORDER_EVENT_LAST), ret_id, err);
}

bool order_changes(struct reader r, const struct since *since, struct order_change **ret, size_t *ret_n,
                   struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct order_change);
    auto_query struct query q;
    if (!query_open(&q, r.store, SQL(ORDER_EVENTS_AFTER, arg_int(since->after), arg_limit(since->limit)),
                    err))
        return false;
    while (query_next(&q, err))
        *(struct order_change *)vec_add(&found) =
            (struct order_change){.id = query_int(&q, 0), .order = query_int(&q, 1)};
    if (q.failed)
        return false;
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}
