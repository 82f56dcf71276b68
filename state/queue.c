/* SPDX-License-Identifier: MIT */
/* Who waits for the lock of an environment. The lock stays the only authority: a place is a promise that a
 * free lock is kept for somebody for a while, judged in the transaction that takes the lock. */
#include <string.h>

#include "state/chat.h"
#include "state/store_priv.h"

const char *person_bare(const char *who)
{
    const char *colon = strrchr(who, ':');
    return colon ? colon + 1 : who;
}

bool queue_same(const char *a, const char *b)
{
    if (strcmp(a, b) == 0)
        return true;
    /* On a terminal ann is ann; in a room she is slack:ann. Two rooms' names are two people until they say
     * so. */
    return (!strchr(a, ':') || !strchr(b, ':')) && strcmp(person_bare(a), person_bare(b)) == 0;
}

static void place_from_row(struct query *q, struct arena *arena, struct waiter *ret)
{
    *ret = (struct waiter){
        .id = query_int(q, 0),
        .env = env_from_row(q, 9, 1, arena),
        .who = query_text(q, 2, arena),
        .person = query_text(q, 3, arena),
        .via = (enum via)query_word(q, 4, via_from_name),
        .place = query_text(q, 5, arena),
        .joined_ms = query_int(q, 6),
        .lapse_ms = query_int(q, 7),
        .offered_ms = query_int(q, 8),
    };
}

bool queue_list(struct reader r, const char *env, struct waiter **ret, size_t *ret_n, struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct waiter);
    struct env_key key = {0};
    auto_query struct query q = {0};
    if ((env && !env_resolve(r, env, &key, err)) ||
        !query_open(&q, r.store, SQL(QUEUE_OPEN, arg_text(key.env), arg_text(key.app)), err))
        return false;
    while (query_next(&q, err))
        place_from_row(&q, r.arena, vec_add(&found));
    if (q.failed)
        return false;
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}

static bool tell(struct store *s, const struct waiter *p, enum notice_kind event, int64_t now_ms,
                 struct err *err)
{
    return notice_add(s,
                      &(struct notice){.at_ms = now_ms,
                                       .env = p->env,
                                       .event = event,
                                       .who = p->who,
                                       .person = p->person,
                                       .via = p->via},
                      err);
}

static bool place_end(struct store *s, int64_t id, enum queued how, int64_t now_ms, struct err *err)
{
    return sql_run(s, SQL(QUEUE_END, arg_int(id), arg_int(now_ms), arg_text(queued_name(how))), err);
}

/* The lock is free: the first place that has not lapsed gets it offered. */
static bool offer(struct store *s, const struct waiter *places, size_t n, int64_t now_ms, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct waiter *p = &places[i];
        if (p->offered_ms == 0)
            return sql_run(s, SQL(QUEUE_OFFER, arg_int(p->id), arg_int(now_ms)), err) &&
                   tell(s, p, NOTICE_TURN, now_ms, err);
        if (now_ms < p->offered_ms + p->lapse_ms)
            return true;
        if (!place_end(s, p->id, QUEUED_LAPSED, now_ms, err) || !tell(s, p, NOTICE_LAPSED, now_ms, err))
            return false;
    }
    return true;
}

/* Of this environment's places. */
static bool withdraw(struct store *s, const char *env, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct env_key key;
    return env_resolve(reader(s, &arena), env, &key, err) &&
           sql_run(s, SQL(QUEUE_WITHDRAW, arg_text(key.env), arg_text(key.app)), err);
}

/* Behind all who wait, or before them. */
static bool place_add(struct store *s, const struct waiter *p, bool at_front, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct env_key key;
    if (!env_resolve(reader(s, &arena), p->env, &key, err))
        return false;
    const struct arg values[] = {arg_text(key.env),
                                 arg_text(p->who),
                                 arg_text(p->person),
                                 arg_text(via_name(p->via)),
                                 arg_text(p->place ? p->place : ""),
                                 arg_int(p->joined_ms),
                                 arg_int(p->lapse_ms),
                                 arg_text(key.app)};
    return sql_run(s,
                   &(struct statement){.id = at_front ? SQL_QUEUE_FRONT : SQL_QUEUE_INSERT,
                                       .args = values,
                                       .n = sizeof(values) / sizeof(values[0])},
                   err);
}

static bool settle(struct store *s, const char *env, int64_t now_ms, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct lock_info lock;
    struct waiter *places;
    size_t n;
    if (!queue_list(reader(s, &arena), env, &places, &n, err))
        return false;
    if (n == 0)
        return true;
    if (!lock_get(reader(s, &arena), env, &lock, err))
        return false;
    if (!lock.held)
        return offer(s, places, n, now_ms, err);
    return places[0].offered_ms == 0 || withdraw(s, env, err);
}

bool queue_settle(struct store *s, const char *env, int64_t now_ms, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    return tx_close(&tx, settle(s, env, now_ms, err), err);
}

static int find(const struct waiter *places, size_t n, const char *who)
{
    for (size_t i = 0; i < n; i++)
        if (queue_same(places[i].who, who))
            return (int)i;
    return -1;
}

static bool join(struct store *s, const struct waiter *p, size_t *ret_ahead, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct waiter *places;
    size_t n;
    if (!queue_list(reader(s, &arena), p->env, &places, &n, err))
        return false;
    int at = find(places, n, p->who);
    *ret_ahead = at < 0 ? n : (size_t)at;
    if (at >= 0)
        return true;
    return place_add(s, p, false, err) && settle(s, p->env, p->joined_ms, err);
}

bool queue_join(struct store *s, const struct waiter *p, size_t *ret_ahead, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    return tx_close(&tx, join(s, p, ret_ahead, err), err);
}

static bool leave(struct store *s, const struct turn *turn, bool *ret_was, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct waiter *places;
    size_t n;
    if (!queue_list(reader(s, &arena), turn->env, &places, &n, err))
        return false;
    int at = find(places, n, turn->who);
    *ret_was = at >= 0;
    return at < 0 || (place_end(s, places[at].id, QUEUED_LEFT, turn->now_ms, err) &&
                      settle(s, turn->env, turn->now_ms, err));
}

bool queue_leave(struct store *s, const struct turn *turn, bool *ret_was, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    return tx_close(&tx, leave(s, turn, ret_was, err), err);
}

static bool take_turn(struct reader r, const struct waiter *p, const char **ret_over, struct err *err)
{
    struct store *s = r.store;
    struct waiter *places;
    size_t n;
    *ret_over = NULL;
    if (!queue_list(r, p->env, &places, &n, err))
        return false;
    int at = find(places, n, p->who);
    if (n > 0 && at != 0)
        *ret_over = places[0].who;
    if (at >= 0 && !place_end(s, places[at].id, QUEUED_MOVED, p->joined_ms, err))
        return false;
    return withdraw(s, p->env, err) && place_add(s, p, n > 0, err) && settle(s, p->env, p->joined_ms, err);
}

bool queue_take_turn(struct store *s, const struct waiter *p, struct arena *arena, const char **ret_over,
                     struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    return tx_close(&tx, take_turn(reader(s, arena), p, ret_over, err), err);
}

bool queue_turn(struct reader r, const struct turn *turn, const struct waiter **ret_other, struct err *err)
{
    struct waiter *places;
    size_t n;
    *ret_other = NULL;
    if (!settle(r.store, turn->env, turn->now_ms, err) || !queue_list(r, turn->env, &places, &n, err))
        return false;
    if (n > 0 && !queue_same(places[0].who, turn->who))
        *ret_other = &places[0];
    return true;
}

bool queue_served(struct store *s, const struct turn *turn, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct waiter *places;
    size_t n;
    if (!queue_list(reader(s, &arena), turn->env, &places, &n, err))
        return false;
    int at = find(places, n, turn->who);
    return (at < 0 || place_end(s, places[at].id, QUEUED_TAKEN, turn->now_ms, err)) &&
           settle(s, turn->env, turn->now_ms, err);
}
