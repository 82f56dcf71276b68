#include "state/sql.h"

#include <limits.h>
#include <string.h>

#include "state/store_priv.h"

#define SQL_TEXT(n, text) text,
static const char *const texts[] = {SQL_LIST(SQL_TEXT)};

const char *sql_text(enum sql id)
{
    return texts[id];
}

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

static int arg_bind(sqlite3_stmt *stmt, int i, const struct arg *v)
{
    switch (v->kind) {
    case ARG_INT: return sqlite3_bind_int64(stmt, i, v->number);
    case ARG_TEXT: return sqlite3_bind_text64(stmt, i, v->data, v->n, SQLITE_STATIC, SQLITE_UTF8);
    case ARG_BLOB: return sqlite3_bind_blob64(stmt, i, v->data, v->n, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

/* Prepared once, kept until the connection closes. */
static int statement(struct store *s, enum sql id, sqlite3_stmt **ret)
{
    int rc = SQLITE_OK;
    if (!s->stmts[id])
        rc = sqlite3_prepare_v3(s->db, texts[id], -1, SQLITE_PREPARE_PERSISTENT, &s->stmts[id], NULL);
    *ret = s->stmts[id];
    return rc;
}

static int statement_bound(struct store *s, enum sql id, const struct arg *args, size_t n, sqlite3_stmt **ret)
{
    int rc = statement(s, id, ret);
    for (size_t i = 0; rc == SQLITE_OK && i < n; i++)
        rc = arg_bind(*ret, (int)i + 1, &args[i]);
    return rc;
}

bool sql_run(struct store *s, enum sql id, const struct arg *args, size_t n, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = statement_bound(s, id, args, n, &stmt);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    bool ok = rc == SQLITE_DONE || store_failed(s, rc, "write a row", err);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return ok;
}

bool query_open(struct query *q, struct store *s, enum sql id, const struct arg *args, size_t n,
                struct err *err)
{
    *q = (struct query){.store = s};
    if (!store_refresh(s, err))
        return false;
    if (!s->db)
        return true;
    int rc = statement_bound(s, id, args, n, &q->stmt);
    if (rc != SQLITE_OK) {
        q->stmt = NULL;
        return store_failed(s, rc, "read", err);
    }
    s->open_queries++;
    return true;
}

bool query_next(struct query *q, struct err *err)
{
    if (!q->stmt || q->failed)
        return false;
    int rc = sqlite3_step(q->stmt);
    if (rc == SQLITE_ROW)
        return true;
    if (rc != SQLITE_DONE) {
        store_failed(q->store, rc, "read", err);
        q->failed = true;
    }
    return false;
}

void query_end(struct query *q)
{
    if (!q->stmt)
        return;
    /* Left un-reset it would hold its snapshot, and with it every later checkpoint. */
    sqlite3_reset(q->stmt);
    sqlite3_clear_bindings(q->stmt);
    q->store->open_queries--;
    q->stmt = NULL;
}

int64_t query_int(const struct query *q, int column)
{
    return sqlite3_column_int64(q->stmt, column);
}

const char *query_peek(const struct query *q, int column)
{
    const unsigned char *text = sqlite3_column_text(q->stmt, column);
    return text ? (const char *)text : "";
}

const char *query_text(const struct query *q, int column, struct arena *arena)
{
    const char *text = query_peek(q, column);
    return arena_strndup(arena, text, (size_t)sqlite3_column_bytes(q->stmt, column));
}
