/* SPDX-License-Identifier: MIT */
/* Statements and questions of the store, by whatever database keeps it. */
#include "state/sql.h"

#include <string.h>

#include "state/store_priv.h"

struct arg arg_int(int64_t v)
{
    return (struct arg){.kind = ARG_INT, .number = v};
}

struct arg arg_text(const char *v)
{
    return (struct arg){.kind = ARG_TEXT, .data = v, .n = v ? strlen(v) : 0};
}

struct arg arg_blob(const char *data, size_t n)
{
    return (struct arg){.kind = ARG_BLOB, .data = data ? data : "", .n = n};
}

struct arg arg_limit(size_t most)
{
    return arg_int(most > INT32_MAX ? INT32_MAX : (int64_t)most);
}

struct arg arg_before(int64_t number)
{
    return arg_int(number > 0 ? number : INT64_MAX);
}

bool sql_run(struct store *s, const struct statement *what, struct err *err)
{
    s->ran = (struct db_ran){0};
    return store_ok(s, s->db->kind->run(s->db, what, &s->ran, err), err);
}

int64_t sql_id(const struct store *s)
{
    return s->ran.id;
}

int64_t sql_changed(const struct store *s)
{
    return s->ran.changed;
}

bool query_open(struct query *q, struct store *s, const struct statement *what, struct err *err)
{
    *q = (struct query){.store = s, .err = err};
    return store_ok(s, s->db->kind->ask(s->db, what, &q->rows, err), err);
}

bool sql_number(struct store *s, const struct statement *what, int64_t *ret, struct err *err)
{
    auto_query struct query q;
    if (!query_open(&q, s, what, err))
        return false;
    *ret = query_next(&q, err) ? query_int(&q, 0) : 0;
    return !q.failed;
}

bool query_next(struct query *q, struct err *err)
{
    bool row = false;
    struct db *db = q->store->db;
    if (!q->rows || q->failed)
        return false;
    q->failed = !store_ok(q->store, db->kind->next(db, q->rows, &row, err), err);
    return row && !q->failed;
}

void query_end(struct query *q)
{
    if (q->rows)
        q->store->db->kind->done(q->store->db, q->rows);
    q->rows = NULL;
}

int64_t query_int(const struct query *q, int column)
{
    return q->store->db->kind->number(q->rows, column);
}

const char *query_peek(const struct query *q, int column)
{
    size_t n;
    const char *text = q->store->db->kind->bytes(q->rows, column, &n);
    return text ? text : "";
}

int query_word(struct query *q, int column, int (*from_name)(const char *text))
{
    const char *text = query_peek(q, column);
    int word = from_name(text);
    if (word >= 0)
        return word;
    q->failed = true;
    (void)err_set(q->err, E_JOURNAL,
                  "journal %s: column %d of a row reads '%.40s', which is no word that is written there: the "
                  "file was changed by another program; nothing was touched",
                  store_place(q->store), column, text);
    return 0;
}

const char *query_blob(const struct query *q, int column, struct arena *arena, size_t *ret_n)
{
    const char *data = q->store->db->kind->bytes(q->rows, column, ret_n);
    return arena_strndup(arena, data ? data : "", *ret_n);
}

const char *query_text(const struct query *q, int column, struct arena *arena)
{
    size_t n;
    return query_blob(q, column, arena, &n);
}
