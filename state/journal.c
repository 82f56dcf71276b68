/* SPDX-License-Identifier: MIT */
/* The journal: rows go in at the end and are read by number. */
#include <string.h>

#include "state/chat.h"
#include "state/store_priv.h"

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

bool journal_append(struct store *s, struct row *row, struct err *err)
{
    must(s->in_tx || s->mode == STORE_READ);
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(
        s,
        SQL(JOURNAL_INSERT, arg_int(row->at_ms), arg_int(row->release), arg_text(row_kind_name(row->kind)),
            arg_text(or_empty(row->node)), arg_int(row->step), arg_text(or_empty(row->verb)),
            arg_text(or_empty(row->role)), arg_text(or_empty(row->code)), arg_int(row->attempt),
            arg_int(row->back), arg_int(row->a), arg_int(row->b),
            arg_text(row->facts && row->facts[0] ? row->facts : NULL), arg_text(or_empty(row->text))),
        err);
    if (!tx_close(&tx, ok, err))
        return false;
    row->seq = sql_id(s);
    return true;
}

static bool row_from_query(const struct query *q, struct reader r, struct row *ret, struct err *err)
{
    int kind = row_kind_from_name(query_peek(q, 3));
    if (kind < 0)
        return err_set(err, E_JOURNAL, "journal %s: row %lld is of an unknown kind '%s'; it is damaged",
                       store_place(r.store), (long long)query_int(q, 0), query_peek(q, 3));
    *ret = (struct row){
        .seq = query_int(q, 0),
        .at_ms = query_int(q, 1),
        .release = query_int(q, 2),
        .kind = (enum row_kind)kind,
        .node = query_text(q, 4, r.arena),
        .step = (int)query_int(q, 5),
        .verb = query_text(q, 6, r.arena),
        .role = query_text(q, 7, r.arena),
        .code = query_text(q, 8, r.arena),
        .attempt = (int)query_int(q, 9),
        .back = query_int(q, 10) != 0,
        .a = query_int(q, 11),
        .b = query_int(q, 12),
        .facts = query_text(q, 13, r.arena),
        .text = query_text(q, 14, r.arena),
    };
    return true;
}

static bool rows_read(struct reader r, const struct statement *what, struct row **ret, size_t *ret_n,
                      struct err *err)
{
    auto_vec struct vec rows = VEC_INIT(struct row);
    auto_query struct query q;
    if (!query_open(&q, r.store, what, err))
        return false;
    while (query_next(&q, err))
        if (!row_from_query(&q, r, vec_add(&rows), err))
            return false;
    if (q.failed)
        return false;
    *ret = vec_take(&rows, r.arena, ret_n);
    return true;
}

bool journal_read(struct reader r, const struct row_range *range, struct row **ret, size_t *ret_n,
                  struct err *err)
{
    struct arg after = arg_int(range->after), most = arg_limit(range->limit);
    const struct statement *of_all = SQL(JOURNAL_ALL, after, most);
    const struct statement *of_one = SQL(JOURNAL_RELEASE, after, most, arg_int(range->release));
    return rows_read(r, range->release ? of_one : of_all, ret, ret_n, err);
}

bool journal_told(struct reader r, const struct since *since, struct row **ret, size_t *ret_n,
                  struct err *err)
{
    return rows_read(r, SQL(JOURNAL_TOLD, arg_int(since->after), arg_limit(since->limit)), ret, ret_n, err);
}

int64_t journal_last_seq(struct store *s)
{
    struct err err;
    auto_query struct query q;
    if (!query_open(&q, s, SQL(JOURNAL_LAST), &err))
        return 0;
    return query_next(&q, &err) ? query_int(&q, 0) : 0;
}
