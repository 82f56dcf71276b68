/* SPDX-License-Identifier: MIT */
/* What steps printed: pieces as they came, and one row of totals when an op ends. Bytes are kept as they are;
 * whoever shows them makes them visible text first (docs/promises.md#s9). */
#include "state/store_priv.h"

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

bool output_append(struct store *s, const struct output *o, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = sql_run(s,
                      SQL(OUTPUT_INSERT, arg_int(o->release), arg_int(o->at_ms), arg_text(or_empty(o->node)),
                          arg_int(o->step), arg_int(o->attempt), arg_int(o->stream), arg_int(o->back),
                          arg_blob(o->data, o->n)),
                      err);
    return tx_close(&tx, ok, err);
}

bool output_end(struct store *s, const struct output_sum *sum, struct err *err)
{
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok =
        sql_run(s,
                SQL(OUTPUT_END, arg_int(sum->release), arg_int(sum->at_ms), arg_text(or_empty(sum->node)),
                    arg_int(sum->step), arg_int(sum->attempt), arg_int(sum->back), arg_int(sum->total_bytes),
                    arg_int(sum->cut), arg_text(or_empty(sum->sha256))),
                err);
    return tx_close(&tx, ok, err);
}

static void output_from_row(const struct query *q, struct arena *arena, struct output *ret)
{
    size_t n;
    const char *data = query_blob(q, 8, arena, &n);
    *ret = (struct output){
        .id = query_int(q, 0),
        .release = query_int(q, 1),
        .at_ms = query_int(q, 2),
        .node = query_text(q, 3, arena),
        .step = (int)query_int(q, 4),
        .attempt = (int)query_int(q, 5),
        .stream = (int)query_int(q, 6),
        .back = query_int(q, 7) != 0,
        .data = data,
        .n = n,
    };
}

bool output_read(struct reader r, const struct output_range *range, struct output **ret, size_t *ret_n,
                 struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct output);
    auto_query struct query q;
    if (!query_open(&q, r.store,
                    SQL(OUTPUT_READ, arg_int(range->release), arg_int(range->after), arg_text(range->node),
                        arg_int(range->step), arg_limit(range->limit)),
                    err))
        return false;
    while (query_next(&q, err))
        output_from_row(&q, r.arena, vec_add(&found));
    if (q.failed)
        return false;
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}

bool output_last(struct reader r, const struct output_range *range, struct output **ret, size_t *ret_n,
                 struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct output);
    auto_query struct query q;
    if (!query_open(&q, r.store,
                    SQL(OUTPUT_LAST, arg_int(range->release), arg_int(range->after), arg_text(range->node),
                        arg_int(range->step), arg_limit(range->limit)),
                    err))
        return false;
    while (query_next(&q, err))
        output_from_row(&q, r.arena, vec_add(&found));
    if (q.failed)
        return false;
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}

bool output_sums(struct reader r, int64_t release, struct output_sum **ret, size_t *ret_n, struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct output_sum);
    auto_query struct query q;
    if (!query_open(&q, r.store, SQL(OUTPUT_SUMS, arg_int(release)), err))
        return false;
    while (query_next(&q, err))
        *(struct output_sum *)vec_add(&found) = (struct output_sum){
            .release = query_int(&q, 0),
            .at_ms = query_int(&q, 1),
            .node = query_text(&q, 2, r.arena),
            .step = (int)query_int(&q, 3),
            .attempt = (int)query_int(&q, 4),
            .back = query_int(&q, 5) != 0,
            .total_bytes = query_int(&q, 6),
            .cut = query_int(&q, 7) != 0,
            .sha256 = query_text(&q, 8, r.arena),
        };
    if (q.failed)
        return false;
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}
