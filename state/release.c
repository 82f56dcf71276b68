/* SPDX-License-Identifier: MIT */
/* Releases: one row when it begins, its frozen plan beside it, one row per end. */
#include <string.h>

#include "state/store_priv.h"

bool release_insert(struct store *s, const struct release_new *r, int64_t *ret_id, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(s,
                      SQL(RELEASE_INSERT, arg_text(env_bare(r->env)), arg_text(r->app ? r->app : ""),
                          arg_text(kind_name(r->kind)), arg_text(r->plan_name ? r->plan_name : ""),
                          arg_text(r->rev ? r->rev : ""), arg_text(r->rev_typed ? r->rev_typed : ""),
                          arg_text(r->who ? r->who : ""), arg_text(r->host ? r->host : ""),
                          arg_text(r->plan_digest ? r->plan_digest : ""), arg_int(r->of_release),
                          arg_int(r->at_ms), arg_text(r->root ? r->root : "")),
                      err);
    int64_t id = ok ? sql_id(s) : 0;
    ok = ok && sql_run(s, SQL(PLAN_INSERT, arg_int(id), arg_text(r->plan_json ? r->plan_json : "")), err);
    if (!tx_close(&tx, ok, err))
        return false;
    *ret_id = id;
    return true;
}

bool release_end(struct store *s, const struct release_end_new *e, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(s,
                      SQL(RELEASE_END, arg_int(e->release), arg_int(e->exit_status),
                          arg_text(e->summary ? e->summary : ""), arg_int(e->at_ms)),
                      err);
    return tx_close(&tx, ok, err);
}

/* Exits after which there is something to go on with. 0 and 1 are done; 2, 3 and 6 touched nothing. */
static bool exit_resumable(int status)
{
    switch (status) {
    case -1: /* no end row: running, or its controller died */
    case EXIT_STOPPED:
    case EXIT_PERSON:
    case EXIT_JOURNAL:
    case EXIT_SIGINT:
    case EXIT_SIGTERM: return true;
    default: return false;
    }
}

/* The newest release or rollback of env that ended well; whatever came before it is history. */
static bool settled_get(struct store *s, const char *env, int64_t *ret, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct env_key key;
    auto_query struct query q = {0};
    *ret = 0;
    if (!env_resolve(reader(s, &arena), env, &key, err) ||
        !query_open(&q, s, SQL(RELEASE_SETTLED, arg_text(key.env), arg_text(key.app)), err))
        return false;
    if (query_next(&q, err))
        *ret = query_int(&q, 0);
    return !q.failed;
}

/* Columns of SQL_RELEASE_COLUMNS. `resumable` here knows its own end and abandon only; see mark_settled. */
static void release_from_row(struct query *q, struct arena *arena, struct release_info *ret)
{
    *ret = (struct release_info){
        .id = query_int(q, 0),
        .of_release = query_int(q, 1),
        .started_ms = query_int(q, 2),
        .ended_ms = query_int(q, 3),
        .exit_status = (int)query_int(q, 4),
        .env = env_from_row(q, 6, 5, arena),
        .app = query_text(q, 6, arena),
        .kind = (enum release_kind)query_word(q, 7, kind_from_name),
        .plan_name = query_text(q, 8, arena),
        .rev = query_text(q, 9, arena),
        .rev_typed = query_text(q, 10, arena),
        .who = query_text(q, 11, arena),
        .host = query_text(q, 12, arena),
        .plan_digest = query_text(q, 13, arena),
        .summary = query_text(q, 14, arena),
    };
    ret->resumable = exit_resumable(ret->exit_status) && query_int(q, 15) == 0;
    ret->root = query_text(q, 16, arena);
    ret->back = (enum release_back)query_int(q, 17);
}

/* A release is not resumable once a later one of its environment ended well. Asked once per environment. */
static bool mark_settled(struct store *s, struct release_info *list, size_t n, struct err *err)
{
    struct seen {
        const char *env;
        int64_t settled;
    };
    auto_vec struct vec seen = VEC_INIT(struct seen);
    for (size_t i = 0; i < n; i++) {
        if (!list[i].resumable)
            continue;
        struct seen *known = seen.data;
        size_t k = 0;
        while (k < seen.n && strcmp(known[k].env, list[i].env) != 0)
            k++;
        if (k == seen.n) {
            struct seen *fresh = vec_add(&seen);
            fresh->env = list[i].env;
            if (!settled_get(s, fresh->env, &fresh->settled, err))
                return false;
            known = seen.data;
        }
        list[i].resumable = list[i].id > known[k].settled;
    }
    return true;
}

bool release_list(struct reader r, const struct newest *which, struct release_info **ret, size_t *ret_n,
                  struct err *err)
{
    auto_vec struct vec list = VEC_INIT(struct release_info);
    struct env_key key = {0};
    struct arg before = arg_before(which->before), most = arg_limit(which->limit);
    if (which->env && !env_resolve(r, which->env, &key, err))
        return false;
    const struct statement *of_all = SQL(RELEASE_ALL, before, most);
    const struct statement *of_one = SQL(RELEASE_ENV, before, most, arg_text(key.env), arg_text(key.app));
    {
        auto_query struct query q;
        if (!query_open(&q, r.store, which->env ? of_one : of_all, err))
            return false;
        while (query_next(&q, err))
            release_from_row(&q, r.arena, vec_add(&list));
        if (q.failed)
            return false;
    }
    if (!mark_settled(r.store, list.data, list.n, err))
        return false;
    *ret = vec_take(&list, r.arena, ret_n);
    return true;
}

bool release_get(struct reader r, int64_t id, struct release_info **ret, struct err *err)
{
    struct release_info *found = NULL;
    {
        auto_query struct query q;
        if (!query_open(&q, r.store, SQL(RELEASE_ONE, arg_int(id)), err))
            return false;
        if (query_next(&q, err)) {
            found = arena_alloc(r.arena, sizeof(*found));
            release_from_row(&q, r.arena, found);
        }
        if (q.failed)
            return false;
    }
    if (found && !mark_settled(r.store, found, 1, err))
        return false;
    *ret = found;
    return true;
}

bool release_unfinished(struct reader r, const char *env, struct release_info **ret, struct err *err)
{
    int64_t settled;
    struct env_key key;
    if (!env_resolve(r, env, &key, err) || !settled_get(r.store, env, &settled, err))
        return false;
    auto_query struct query q;
    if (!query_open(&q, r.store, SQL(RELEASE_OPEN, arg_text(key.env), arg_int(settled), arg_text(key.app)),
                    err))
        return false;
    *ret = NULL;
    while (!*ret && query_next(&q, err)) {
        struct release_info info;
        release_from_row(&q, r.arena, &info);
        if (!info.resumable)
            continue;
        *ret = arena_alloc(r.arena, sizeof(info));
        **ret = info;
    }
    return !q.failed;
}

/* Of what is listed newest first. A rollback of N makes things as they were before N: so *below moves there.
 * true: this is the end of the way, *ret NULL when it ends at a revision that somebody named. */
static bool in_force(struct release_info *list, size_t n, int64_t *below, struct release_info **ret)
{
    *ret = NULL;
    for (size_t i = 0; i < n; i++) {
        struct release_info *r = &list[i];
        if (r->exit_status != 0 || r->id >= *below || !KIND_MOVES(r->kind))
            continue;
        if (r->of_release > 0) {
            *below = r->of_release;
            continue;
        }
        *ret = r->kind == KIND_ROLLBACK ? NULL : r;
        return true;
    }
    return false;
}

bool release_in_force(struct reader r, const char *env, int64_t before_id, struct release_info **ret,
                      struct err *err)
{
    struct release_info *list;
    size_t n;
    int64_t before = 0, below = before_id;
    do {
        if (!release_list(r, &(struct newest){.env = env, .limit = 100, .before = before}, &list, &n, err))
            return false;
        if (in_force(list, n, &below, ret))
            return true;
        before = n ? list[n - 1].id : 0;
    } while (n == 100);
    return true;
}

bool release_rollback_of(struct reader r, const char *env, struct release_info **ret, struct err *err)
{
    if (!release_unfinished(r, env, ret, err))
        return false;
    return *ret || release_in_force(r, env, INT64_MAX, ret, err);
}

bool release_plan(struct reader r, int64_t id, const char **ret_json, struct err *err)
{
    auto_query struct query q;
    if (!query_open(&q, r.store, SQL(PLAN_GET, arg_int(id)), err))
        return false;
    if (query_next(&q, err)) {
        *ret_json = query_text(&q, 0, r.arena);
        return true;
    }
    if (q.failed)
        return false;
    return err_set(err, E_JOURNAL,
                   "journal %s has no release %lld; 'release history' lists those that it has",
                   store_place(r.store), (long long)id);
}

bool release_ends_after(struct reader r, const struct since *since, struct release_ended **ret, size_t *ret_n,
                        struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct release_ended);
    auto_query struct query q;
    if (!query_open(&q, r.store, SQL(ENDS_AFTER, arg_int(since->after), arg_limit(since->limit)), err))
        return false;
    while (query_next(&q, err))
        *(struct release_ended *)vec_add(&found) = (struct release_ended){
            .id = query_int(&q, 0),
            .env = env_from_row(&q, 6, 1, r.arena),
            .kind = (enum release_kind)query_word(&q, 2, kind_from_name),
            .exit_status = (int)query_int(&q, 3),
            .took_ms = query_int(&q, 4),
            .release = query_int(&q, 5),
        };
    if (q.failed)
        return false;
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}
