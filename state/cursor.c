/* SPDX-License-Identifier: MIT */
/* How far each observer has got. An observer that never said anything stands at 0. */
#include "state/store_priv.h"

bool cursor_get(struct store *s, const char *observer, int64_t *ret_seq, struct err *err)
{
    auto_query struct query q;
    if (!query_open(&q, s, SQL(CURSOR_GET, arg_text(observer)), err))
        return false;
    int64_t seq = query_next(&q, err) ? query_int(&q, 0) : 0;
    if (q.failed)
        return false;
    *ret_seq = seq;
    return true;
}

bool cursor_set(struct store *s, const char *observer, int64_t seq, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(s, SQL(CURSOR_SET, arg_text(observer), arg_int(seq)), err);
    return tx_close(&tx, ok, err);
}
