/* SPDX-License-Identifier: MIT */
/* What chat rooms wait for and were told: asks, seen requests, messages, notices. queue.c has the queue. */
#include "state/chat.h"

#include <string.h>

#include "base/hash.h"
#include "state/store_priv.h"

/* No 0, 1, I and O: a code is read from a screen and typed. */
static const char code_alphabet[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/* ---- asks */

static void code_draw(char ret[ASK_CODE_LEN + 1])
{
    char hex[2 * ASK_CODE_LEN + 1];
    random_hex(ASK_CODE_LEN, hex);
    for (size_t i = 0; i < ASK_CODE_LEN; i++) {
        unsigned high = (unsigned)(hex[2 * i] <= '9' ? hex[2 * i] - '0' : hex[2 * i] - 'a' + 10);
        unsigned low = (unsigned)(hex[2 * i + 1] <= '9' ? hex[2 * i + 1] - '0' : hex[2 * i + 1] - 'a' + 10);
        ret[i] = code_alphabet[(16 * high + low) % 32];
    }
    ret[ASK_CODE_LEN] = '\0';
}

bool ask_code_valid(const char *text)
{
    return strlen(text) == ASK_CODE_LEN && strspn(text, code_alphabet) == ASK_CODE_LEN;
}

static bool code_free(struct store *s, const char *code, bool *ret, struct err *err)
{
    auto_query struct query q;
    if (!query_open(&q, s, SQL(ASK_CODE, arg_text(code)), err))
        return false;
    *ret = !query_next(&q, err);
    return !q.failed;
}

static bool ask_insert(struct store *s, const struct ask_new *a, char code[ASK_CODE_LEN + 1], struct err *err)
{
    auto_arena struct arena arena = {0};
    struct env_key key;
    bool is_free = false;
    if (!env_resolve(reader(s, &arena), a->env, &key, err))
        return false;
    while (!is_free) { /* a million codes, a handful open */
        code_draw(code);
        if (!code_free(s, code, &is_free, err))
            return false;
    }
    return sql_run(s,
                   SQL(ASK_INSERT, arg_text(code), arg_text(key.env), arg_text(wish_name(a->verb)),
                       arg_text(a->who), arg_text(a->person), arg_text(via_name(a->via)),
                       arg_text(a->place ? a->place : ""), arg_text(a->reply_to ? a->reply_to : ""),
                       arg_text(a->wish), arg_text(ask_state_name(a->state)), arg_int(a->plan_order),
                       arg_int(a->order), arg_int(a->made_ms), arg_int(a->lapse_ms), arg_text(key.app)),
                   err);
}

bool ask_add(struct store *s, const struct ask_new *a, int64_t *ret_id, char ret_code[ASK_CODE_LEN + 1],
             struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = ask_insert(s, a, ret_code, err);
    int64_t id = ok ? sql_id(s) : 0;
    if (!tx_close(&tx, ok, err))
        return false;
    *ret_id = id;
    return true;
}

static void ask_from_row(struct query *q, struct arena *arena, struct ask *ret)
{
    *ret = (struct ask){
        .id = query_int(q, 0),
        .code = query_text(q, 1, arena),
        .env = env_from_row(q, 19, 2, arena),
        .verb = (enum wish)query_word(q, 3, wish_from_name),
        .who = query_text(q, 4, arena),
        .person = query_text(q, 5, arena),
        .via = (enum via)query_word(q, 6, via_from_name),
        .place = query_text(q, 7, arena),
        .reply_to = query_text(q, 8, arena),
        .wish = query_text(q, 9, arena),
        .state = (enum ask_state)query_word(q, 10, ask_state_from_name),
        .rev = query_text(q, 11, arena),
        .digest = query_text(q, 12, arena),
        .approved_by = query_text(q, 13, arena),
        .plan_order = query_int(q, 14),
        .order = query_int(q, 15),
        .made_ms = query_int(q, 16),
        .lapse_ms = query_int(q, 17),
        .said = query_int(q, 18),
    };
}

static bool ask_one(struct reader r, const struct statement *what, struct ask **ret, struct err *err)
{
    auto_query struct query q;
    *ret = NULL;
    if (!query_open(&q, r.store, what, err))
        return false;
    if (query_next(&q, err)) {
        *ret = arena_alloc(r.arena, sizeof(**ret));
        ask_from_row(&q, r.arena, *ret);
    }
    return !q.failed;
}

bool ask_get(struct reader r, int64_t id, struct ask **ret, struct err *err)
{
    return ask_one(r, SQL(ASK_GET, arg_int(id)), ret, err);
}

bool ask_find(struct reader r, const char *code, struct ask **ret, struct err *err)
{
    return ask_one(r, SQL(ASK_CODE, arg_text(code)), ret, err);
}

bool ask_list(struct reader r, const char *env, struct ask **ret, size_t *ret_n, struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct ask);
    struct env_key key = {0};
    auto_query struct query q = {0};
    if ((env && !env_resolve(r, env, &key, err)) ||
        !query_open(&q, r.store, SQL(ASK_OPEN, arg_text(key.env), arg_text(key.app)), err))
        return false;
    while (query_next(&q, err))
        ask_from_row(&q, r.arena, vec_add(&found));
    if (q.failed)
        return false;
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}

bool ask_move(struct store *s, const struct ask_step *step, bool *ret_moved, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(s,
                      SQL(ASK_MOVE, arg_int(step->id), arg_text(ask_state_name(step->from)),
                          arg_text(ask_state_name(step->to)), arg_text(step->rev), arg_text(step->digest),
                          arg_text(step->approved_by), arg_int(step->order), arg_int(step->lapse_ms)),
                      err);
    bool moved = ok && sql_changed(s) == 1;
    if (!tx_close(&tx, ok, err))
        return false;
    *ret_moved = moved;
    return true;
}

bool ask_said(struct store *s, int64_t id, int64_t said, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    return tx_close(&tx, sql_run(s, SQL(ASK_SAID, arg_int(id), arg_int(said)), err), err);
}

/* ---- requests seen */

bool seen_add(struct store *s, const struct seen_new *seen, bool *ret_new, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(s, SQL(SEEN_FORGET, arg_int(seen->forget_ms)), err) &&
              sql_run(s, SQL(SEEN_INSERT, arg_text(seen->hash), arg_int(seen->at_ms)), err);
    bool is_new = ok && sql_changed(s) == 1;
    if (!tx_close(&tx, ok, err))
        return false;
    *ret_new = is_new;
    return true;
}

/* ---- messages */

bool message_get(struct reader r, const char *sink, int64_t release, struct message **ret, struct err *err)
{
    auto_query struct query q;
    *ret = NULL;
    if (!query_open(&q, r.store, SQL(MESSAGE_GET, arg_text(sink), arg_int(release)), err))
        return false;
    if (query_next(&q, err)) {
        *ret = arena_alloc(r.arena, sizeof(**ret));
        **ret = (struct message){.place = query_text(&q, 0, r.arena),
                                 .ts = query_text(&q, 1, r.arena),
                                 .digest = query_text(&q, 2, r.arena),
                                 .done = query_int(&q, 3) != 0};
    }
    return !q.failed;
}

bool message_put(struct store *s, const char *sink, int64_t release, const struct message *m, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(s,
                      SQL(MESSAGE_PUT, arg_text(sink), arg_int(release), arg_text(m->place), arg_text(m->ts),
                          arg_text(m->digest), arg_int(m->done)),
                      err);
    return tx_close(&tx, ok, err);
}

bool message_open(struct reader r, const char *sink, int64_t **ret, size_t *ret_n, struct err *err)
{
    auto_vec struct vec found = VEC_INIT(int64_t);
    auto_query struct query q;
    if (!query_open(&q, r.store, SQL(MESSAGE_OPEN, arg_text(sink)), err))
        return false;
    while (query_next(&q, err))
        *(int64_t *)vec_add(&found) = query_int(&q, 0);
    if (q.failed)
        return false;
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}

/* ---- what happened */

bool notice_add(struct store *s, const struct notice *n, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct env_key key;
    struct tx tx;
    if (!env_resolve(reader(s, &arena), n->env, &key, err) || !tx_open(&tx, s, err))
        return false;
    bool ok =
        sql_run(s,
                SQL(NOTICE_INSERT, arg_int(n->at_ms), arg_text(key.env), arg_text(notice_name(n->event)),
                    arg_text(n->who), arg_text(n->person), arg_text(via_name(n->via)), arg_int(n->ask),
                    arg_text(n->text ? n->text : ""), arg_text(key.app)),
                err);
    return tx_close(&tx, ok, err);
}

bool notice_after(struct reader r, const struct since *since, struct notice **ret, size_t *ret_n,
                  struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct notice);
    auto_query struct query q;
    if (!query_open(&q, r.store, SQL(NOTICE_AFTER, arg_int(since->after), arg_limit(since->limit)), err))
        return false;
    while (query_next(&q, err))
        *(struct notice *)vec_add(&found) = (struct notice){
            .id = query_int(&q, 0),
            .at_ms = query_int(&q, 1),
            .env = env_from_row(&q, 9, 2, r.arena),
            .event = (enum notice_kind)query_word(&q, 3, notice_from_name),
            .who = query_text(&q, 4, r.arena),
            .person = query_text(&q, 5, r.arena),
            .via = (enum via)query_word(&q, 6, via_from_name),
            .ask = query_int(&q, 7),
            .text = query_text(&q, 8, r.arena),
        };
    if (q.failed)
        return false;
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}

bool lock_events_after(struct reader r, const struct since *since, struct lock_event **ret, size_t *ret_n,
                       struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct lock_event);
    auto_query struct query q;
    if (!query_open(&q, r.store, SQL(LOCK_EVENTS, arg_int(since->after), arg_limit(since->limit)), err))
        return false;
    while (query_next(&q, err))
        *(struct lock_event *)vec_add(&found) = (struct lock_event){
            .id = query_int(&q, 0),
            .at_ms = query_int(&q, 1),
            .env = env_from_row(&q, 10, 2, r.arena),
            .event = (enum lock_event_kind)query_word(&q, 3, lock_event_from_name),
            .fence = query_int(&q, 4),
            .over_fence = query_int(&q, 5),
            .release = query_int(&q, 6),
            .who = query_text(&q, 7, r.arena),
            .why = query_text(&q, 8, r.arena),
            .by_hand = query_int(&q, 9) != 0,
        };
    if (q.failed)
        return false;
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}

bool chat_ends(struct store *s, int64_t *ret_notice, int64_t *ret_lock, struct err *err)
{
    return sql_number(s, SQL(NOTICE_LAST), ret_notice, err) &&
           sql_number(s, SQL(LOCK_EVENT_LAST), ret_lock, err);
}
