/* SPDX-License-Identifier: MIT */
/* What was released in a time, for figures about it: one row a release, with what its journal rows say summed up by the
 * database. Of a release that went well no more than its first row is looked at. */
#include "state/stats.h"

#include <string.h>

#include "state/store_priv.h"

/* Columns of SQL_STATS_RELEASES. */
static void from_row(struct query *q, struct arena *arena, struct stats_release *ret)
{
    *ret = (struct stats_release){
        .id = query_int(q, 0),
        .kind = (enum release_kind)query_word(q, 1, kind_from_name),
        .of_release = query_int(q, 2),
        .started_ms = query_int(q, 3),
        .ended_ms = query_int(q, 4),
        .exit_status = (int)query_int(q, 5),
        .rev = query_text(q, 6, arena),
        .commit_date = query_text(q, 7, arena),
        .moved = query_int(q, 8) != 0,
        .failed_ms = query_int(q, 9),
    };
}

bool stats_releases(struct reader r, const char *env, struct stats_release **ret, size_t *ret_n,
                    struct err *err)
{
    auto_vec struct vec list = VEC_INIT(struct stats_release);
    struct env_key key;
    auto_query struct query q = {0};
    if (!env_resolve(r, env, &key, err) ||
        !query_open(&q, r.store, SQL(STATS_RELEASES, arg_text(key.env), arg_text(key.app)), err))
        return false;
    while (query_next(&q, err))
        from_row(&q, r.arena, vec_add(&list));
    if (q.failed)
        return false;
    *ret = vec_take(&list, r.arena, ret_n);
    return true;
}

bool stats_first_facts(struct reader r, int64_t release, const char **ret, struct err *err)
{
    auto_query struct query q;
    *ret = "";
    if (!query_open(&q, r.store, SQL(START_FACTS, arg_int(release)), err))
        return false;
    if (query_next(&q, err))
        *ret = query_text(&q, 0, r.arena);
    return !q.failed;
}
