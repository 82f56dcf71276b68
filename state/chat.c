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
    if (!query_open(&q, s, SQL_ASK_CODE, ARGS(arg_text(code)), err))
        return false;
    *ret = !query_next(&q, err);
    return !q.failed;
}

static bool ask_insert(struct store *s, const struct ask_new *a, char code[ASK_CODE_LEN + 1], struct err *err)
{
    auto_arena struct arena arena = {0};
    struct env_key key;
    bool is_free = false;
    if (!env_resolve(s, a->env, &arena, &key, err))
        return false;
    while (!is_free) { /* a million codes, a handful open */
        code_draw(code);
        if (!code_free(s, code, &is_free, err))
            return false;
    }
    return sql_run(s, SQL_ASK_INSERT,
                   ARGS(arg_text(code), arg_text(key.env), arg_text(wish_name(a->verb)), arg_text(a->who),
                        arg_text(a->person), arg_text(via_name(a->via)), arg_text(a->place ? a->place : ""),
                        arg_text(a->reply_to ? a->reply_to : ""), arg_text(a->wish),
                        arg_text(ask_state_name(a->state)), arg_int(a->plan_order), arg_int(a->order),
                        arg_int(a->made_ms), arg_int(a->lapse_ms), arg_text(key.app)),
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

static bool ask_one(struct store *s, enum sql id, struct arg key, struct arena *arena, struct ask **ret,
                    struct err *err)
{
    auto_query struct query q;
    *ret = NULL;
    if (!query_open(&q, s, id, &key, 1, err))
        return false;
    if (query_next(&q, err)) {
        *ret = arena_alloc(arena, sizeof(**ret));
        ask_from_row(&q, arena, *ret);
    }
    return !q.failed;
}

bool ask_get(struct store *s, int64_t id, struct arena *arena, struct ask **ret, struct err *err)
{
    return ask_one(s, SQL_ASK_GET, arg_int(id), arena, ret, err);
}

bool ask_find(struct store *s, const char *code, struct arena *arena, struct ask **ret, struct err *err)
{
    return ask_one(s, SQL_ASK_CODE, arg_text(code), arena, ret, err);
}

bool ask_list(struct store *s, const char *env, struct arena *arena, struct ask **ret, size_t *ret_n,
              struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct ask);
    struct env_key key = {0};
    auto_query struct query q = {0};
    if ((env && !env_resolve(s, env, arena, &key, err)) ||
        !query_open(&q, s, SQL_ASK_OPEN, ARGS(arg_text(key.env), arg_text(key.app)), err))
        return false;
    while (query_next(&q, err))
        ask_from_row(&q, arena, vec_add(&found));
    if (q.failed)
        return false;
    *ret = vec_take(&found, arena, ret_n);
    return true;
}

bool ask_move(struct store *s, int64_t id, enum ask_state from, enum ask_state to,
              const struct ask_change *change, bool *ret_moved, struct err *err)
{
    static const struct ask_change nothing = {0};
    const struct ask_change *c = change ? change : &nothing;
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(s, SQL_ASK_MOVE,
                      ARGS(arg_int(id), arg_text(ask_state_name(from)), arg_text(ask_state_name(to)),
                           arg_text(c->rev), arg_text(c->digest), arg_text(c->approved_by), arg_int(c->order),
                           arg_int(c->lapse_ms)),
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
    return tx_close(&tx, sql_run(s, SQL_ASK_SAID, ARGS(arg_int(id), arg_int(said)), err), err);
}

/* ---- requests seen */

bool seen_add(struct store *s, const char *hash, int64_t at_ms, int64_t forget_ms, bool *ret_new,
              struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(s, SQL_SEEN_FORGET, ARGS(arg_int(forget_ms)), err) &&
              sql_run(s, SQL_SEEN_INSERT, ARGS(arg_text(hash), arg_int(at_ms)), err);
    bool is_new = ok && sql_changed(s) == 1;
    if (!tx_close(&tx, ok, err))
        return false;
    *ret_new = is_new;
    return true;
}

/* ---- messages */

bool message_get(struct store *s, const char *sink, int64_t release, struct arena *arena,
                 struct message **ret, struct err *err)
{
    auto_query struct query q;
    *ret = NULL;
    if (!query_open(&q, s, SQL_MESSAGE_GET, ARGS(arg_text(sink), arg_int(release)), err))
        return false;
    if (query_next(&q, err)) {
        *ret = arena_alloc(arena, sizeof(**ret));
        **ret = (struct message){.place = query_text(&q, 0, arena),
                                 .ts = query_text(&q, 1, arena),
                                 .digest = query_text(&q, 2, arena),
                                 .done = query_int(&q, 3) != 0};
    }
    return !q.failed;
}

bool message_put(struct store *s, const char *sink, int64_t release, const struct message *m, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(s, SQL_MESSAGE_PUT,
                      ARGS(arg_text(sink), arg_int(release), arg_text(m->place), arg_text(m->ts),
                           arg_text(m->digest), arg_int(m->done)),
                      err);
    return tx_close(&tx, ok, err);
}

bool message_open(struct store *s, const char *sink, struct arena *arena, int64_t **ret, size_t *ret_n,
                  struct err *err)
{
    auto_vec struct vec found = VEC_INIT(int64_t);
    auto_query struct query q;
    if (!query_open(&q, s, SQL_MESSAGE_OPEN, ARGS(arg_text(sink)), err))
        return false;
    while (query_next(&q, err))
        *(int64_t *)vec_add(&found) = query_int(&q, 0);
    if (q.failed)
        return false;
    *ret = vec_take(&found, arena, ret_n);
    return true;
}

/* ---- what happened */

bool notice_add(struct store *s, const struct notice *n, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct env_key key;
    struct tx tx;
    if (!env_resolve(s, n->env, &arena, &key, err) || !tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(s, SQL_NOTICE_INSERT,
                      ARGS(arg_int(n->at_ms), arg_text(key.env), arg_text(notice_name(n->event)),
                           arg_text(n->who), arg_text(n->person), arg_text(via_name(n->via)), arg_int(n->ask),
                           arg_text(n->text ? n->text : ""), arg_text(key.app)),
                      err);
    return tx_close(&tx, ok, err);
}

bool notice_after(struct store *s, int64_t after, size_t limit, struct arena *arena, struct notice **ret,
                  size_t *ret_n, struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct notice);
    auto_query struct query q;
    if (!query_open(&q, s, SQL_NOTICE_AFTER, ARGS(arg_int(after), arg_int((int64_t)limit)), err))
        return false;
    while (query_next(&q, err))
        *(struct notice *)vec_add(&found) = (struct notice){
            .id = query_int(&q, 0),
            .at_ms = query_int(&q, 1),
            .env = env_from_row(&q, 9, 2, arena),
            .event = (enum notice_kind)query_word(&q, 3, notice_from_name),
            .who = query_text(&q, 4, arena),
            .person = query_text(&q, 5, arena),
            .via = (enum via)query_word(&q, 6, via_from_name),
            .ask = query_int(&q, 7),
            .text = query_text(&q, 8, arena),
        };
    if (q.failed)
        return false;
    *ret = vec_take(&found, arena, ret_n);
    return true;
}

bool lock_events_after(struct store *s, int64_t after, size_t limit, struct arena *arena,
                       struct lock_event **ret, size_t *ret_n, struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct lock_event);
    auto_query struct query q;
    if (!query_open(&q, s, SQL_LOCK_EVENTS, ARGS(arg_int(after), arg_int((int64_t)limit)), err))
        return false;
    while (query_next(&q, err))
        *(struct lock_event *)vec_add(&found) = (struct lock_event){
            .id = query_int(&q, 0),
            .at_ms = query_int(&q, 1),
            .env = env_from_row(&q, 10, 2, arena),
            .event = (enum lock_event_kind)query_word(&q, 3, lock_event_from_name),
            .fence = query_int(&q, 4),
            .over_fence = query_int(&q, 5),
            .release = query_int(&q, 6),
            .who = query_text(&q, 7, arena),
            .why = query_text(&q, 8, arena),
            .by_hand = query_int(&q, 9) != 0,
        };
    if (q.failed)
        return false;
    *ret = vec_take(&found, arena, ret_n);
    return true;
}

static bool one_number(struct store *s, enum sql id, int64_t *ret, struct err *err)
{
    auto_query struct query q;
    if (!query_open(&q, s, id, NO_ARGS, err))
        return false;
    *ret = query_next(&q, err) ? query_int(&q, 0) : 0;
    return !q.failed;
}

bool chat_ends(struct store *s, int64_t *ret_notice, int64_t *ret_lock, struct err *err)
{
    return one_number(s, SQL_NOTICE_LAST, ret_notice, err) &&
           one_number(s, SQL_LOCK_EVENT_LAST, ret_lock, err);
}
