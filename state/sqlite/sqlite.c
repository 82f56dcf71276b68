/* SPDX-License-Identifier: MIT */
/* The table of the kind (state/db.h): open, transactions, statements, rows. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "state/sqlite/sqlite_priv.h"

static const char *const own_texts[OWN_COUNT] = {
    [OWN_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [OWN_BEGIN_READ] = "BEGIN",
    [OWN_COMMIT] = "COMMIT",
    [OWN_ROLLBACK] = "ROLLBACK",
    [OWN_DATA_VERSION] = "PRAGMA data_version",
};

static struct sqlite *of(struct db *db)
{
    return (struct sqlite *)db; /* its first member */
}

/* ---- open and close */

static void sqlite_close(struct db *db)
{
    struct sqlite *s = of(db);
    disconnect(s);
    auto_fd_fn(&s->dir);
    free(s->path);
    free(s->wal_path);
    free(s);
}

static bool sqlite_open(const char *place, enum store_mode mode, struct db **ret, struct err *err)
{
    struct sqlite *s = xcalloc(1, sizeof(*s));
    auto_buf struct buf wal = BUF_INIT(8192);
    *s = (struct sqlite){.db = {&sqlite_kind}, .mode = mode, .dir = -1};
    bool ok = file_resolve(place, &s->path, err);
    if (ok) {
        buf_printf(&wal, "%s-wal", s->path);
        s->wal_path = xstrdup(buf_str(&wal));
        ok = mode == STORE_WRITE ? connect_write(s, err) : connect_read(s, err);
    }
    if (ok)
        *ret = &s->db;
    else
        sqlite_close(&s->db);
    return ok;
}

static const char *sqlite_place(const struct db *db)
{
    return ((const struct sqlite *)db)->path;
}

/* ---- statements, prepared once and kept until the connection closes */

static int prepared(struct sqlite *s, sqlite3_stmt **stmt, const char *text)
{
    return *stmt ? SQLITE_OK : sqlite3_prepare_v3(s->conn, text, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
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

static int bound(struct sqlite *s, const struct statement *what)
{
    sqlite3_stmt **stmt = &s->stmts[what->id];
    int rc = prepared(s, stmt, sql_text(what->id));
    for (size_t i = 0; rc == SQLITE_OK && i < what->n; i++)
        rc = arg_bind(*stmt, (int)i + 1, &what->args[i]);
    return rc;
}

/* Left un-reset it would hold its snapshot, and with it every later checkpoint. */
static void unbound(sqlite3_stmt *stmt)
{
    if (!stmt) /* it could not even be prepared */
        return;
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
}

static enum db_end sqlite_run(struct db *db, const struct statement *what, struct db_ran *ret,
                              struct err *err)
{
    struct sqlite *s = of(db);
    int rc = bound(s, what);
    sqlite3_stmt *stmt = s->stmts[what->id];
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    enum db_end end = rc == SQLITE_DONE ? DB_OK : sqlite_failed(s, rc, "write a row", err);
    unbound(stmt);
    *ret = (struct db_ran){.id = sqlite3_last_insert_rowid(s->conn), .changed = sqlite3_changes64(s->conn)};
    return end;
}

/* ---- rows: the statement itself, while it is stepped through */

static sqlite3_stmt *stmt_of(struct db_rows *rows)
{
    return (sqlite3_stmt *)(void *)rows;
}

static enum db_end sqlite_ask(struct db *db, const struct statement *what, struct db_rows **ret,
                              struct err *err)
{
    struct sqlite *s = of(db);
    *ret = NULL;
    if (!connect_again(s, err))
        return DB_BROKEN;
    if (!s->conn)
        return DB_OK;
    int rc = bound(s, what);
    if (rc != SQLITE_OK)
        return sqlite_failed(s, rc, "read", err);
    s->open_rows++;
    *ret = (struct db_rows *)(void *)s->stmts[what->id];
    return DB_OK;
}

static enum db_end sqlite_next(struct db *db, struct db_rows *rows, bool *ret_row, struct err *err)
{
    int rc = sqlite3_step(stmt_of(rows));
    *ret_row = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? DB_OK : sqlite_failed(of(db), rc, "read", err);
}

static void sqlite_done(struct db *db, struct db_rows *rows)
{
    unbound(stmt_of(rows));
    of(db)->open_rows--;
}

static int64_t sqlite_number(struct db_rows *rows, int column)
{
    return sqlite3_column_int64(stmt_of(rows), column);
}

static const char *sqlite_bytes(struct db_rows *rows, int column, size_t *ret_n)
{
    /* As text also of a blob: the bytes are the same, and a NUL stands behind them. */
    const unsigned char *data = sqlite3_column_text(stmt_of(rows), column);
    *ret_n = (size_t)sqlite3_column_bytes(stmt_of(rows), column);
    return (const char *)data;
}

/* ---- transactions */

static int run_own(struct sqlite *s, enum own which, int64_t *ret)
{
    int rc = prepared(s, &s->own[which], own_texts[which]);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s->own[which]);
    if (rc == SQLITE_ROW && ret)
        *ret = sqlite3_column_int64(s->own[which], 0);
    sqlite3_reset(s->own[which]);
    return rc == SQLITE_DONE || (rc == SQLITE_ROW && ret) ? SQLITE_OK : rc;
}

static enum db_end begin_read(struct sqlite *s, struct err *err)
{
    if (!connect_again(s, err))
        return DB_BROKEN;
    int rc = s->conn ? run_own(s, OWN_BEGIN_READ, NULL) : SQLITE_OK;
    s->in_tx = rc == SQLITE_OK;
    return s->in_tx ? DB_OK : sqlite_failed(s, rc, "read", err);
}

static enum db_end sqlite_begin(struct db *db, struct err *err)
{
    struct sqlite *s = of(db);
    if (s->mode == STORE_READ)
        return begin_read(s, err);
    if (!still_there(s, err))
        return DB_BROKEN;
    int rc = run_own(s, OWN_BEGIN_WRITE, NULL);
    s->in_tx = rc == SQLITE_OK;
    return s->in_tx ? DB_OK : sqlite_failed(s, rc, "begin to write", err);
}

static enum db_end sqlite_commit(struct db *db, struct err *err)
{
    struct sqlite *s = of(db);
    int rc = s->conn ? run_own(s, OWN_COMMIT, NULL) : SQLITE_OK;
    if (rc != SQLITE_OK)
        return sqlite_failed(s, rc, "commit", err);
    s->in_tx = false;
    return s->mode == STORE_READ || still_there(s, err) ? DB_OK : DB_BROKEN;
}

static void sqlite_rollback(struct db *db)
{
    struct sqlite *s = of(db);
    /* SQLite may have rolled back by itself after an error; then this one has nothing to do and says so. */
    if (s->conn && s->in_tx && !sqlite3_get_autocommit(s->conn))
        run_own(s, OWN_ROLLBACK, NULL);
    s->in_tx = false;
}

/* A new connection counts from its own beginning, so how often we connected is part of the number. */
static enum db_end sqlite_version(struct db *db, int64_t *ret, struct err *err)
{
    struct sqlite *s = of(db);
    int64_t version = 0;
    if (!connect_again(s, err))
        return DB_BROKEN;
    int rc = s->conn ? run_own(s, OWN_DATA_VERSION, &version) : SQLITE_OK;
    *ret = ((int64_t)s->n_opened << 32) + version;
    return rc == SQLITE_OK ? DB_OK : sqlite_failed(s, rc, "read", err);
}

const struct db_kind sqlite_kind = {
    .open = sqlite_open,
    .close = sqlite_close,
    .place = sqlite_place,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .run = sqlite_run,
    .ask = sqlite_ask,
    .next = sqlite_next,
    .done = sqlite_done,
    .number = sqlite_number,
    .bytes = sqlite_bytes,
    .version = sqlite_version,
};
