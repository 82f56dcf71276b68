/* SPDX-License-Identifier: MIT */
/* The schema and its ladder: one file of SQL per version (schema/N.sql, compiled in), forward only, never
 * destroying anything.
 *
 * PRAGMA user_version says where a file stands; application_id says that it is ours. A new file climbs the
 * same ladder as an old one, so there is one way to get a schema. Tables that hold history refuse UPDATE and
 * DELETE themselves. docs/journal.md describes the columns for people and for other programs. */
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "base/str.h"
#include "state/sqlite/sqlite_priv.h"

/* ladder[n] brings version n to n + 1. Texts that were released never change; a new version is a new file,
 * with its fixture in tests/unit/fixtures. */
extern const char schema_1[], schema_2[], schema_3[], schema_4[], schema_5[];
static const char *const ladder[SCHEMA_VERSION] = {schema_1, schema_2, schema_3, schema_4, schema_5};

static bool run_text(sqlite3 *db, const char *sql, struct err *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    return err_set(err, E_JOURNAL, "%s", sqlite3_errmsg(db));
}

/* One rung and its number in one transaction: a crash leaves the old version or the new one. */
static bool climb_one(sqlite3 *db, int from, struct err *err)
{
    char number[64];
    snprintf(number, sizeof(number), "PRAGMA user_version = %d", from + 1);
    if (!run_text(db, "BEGIN IMMEDIATE", err))
        return false;
    if (run_text(db, ladder[from], err) && run_text(db, number, err) && run_text(db, "COMMIT", err))
        return true;
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

static bool climb(sqlite3 *db, int from, struct err *err)
{
    for (int v = from; v < SCHEMA_VERSION; v++)
        if (!climb_one(db, v, err))
            return err_wrap(err, "bringing the journal from version %d to %d", v, v + 1);
    return true;
}

static int ask_number(sqlite3 *db, const char *sql, int64_t *ret)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(stmt, 0);
    /* A pragma that changes something commits only when it ends. */
    int end = sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? end : rc;
}

static int ask_word(sqlite3 *db, const char *sql, struct buf *ret)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW && sqlite3_column_text(stmt, 0))
        buf_puts(ret, (const char *)sqlite3_column_text(stmt, 0));
    /* A pragma that changes something commits only when it ends. */
    int end = sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? end : rc;
}

static bool wal_on(sqlite3 *db, struct err *err)
{
    auto_buf struct buf mode = BUF_INIT(100);
    int rc = ask_word(db, "PRAGMA journal_mode = WAL", &mode);
    if (rc != SQLITE_OK)
        return err_set(err, E_JOURNAL, "%s", sqlite3_errmsg(db));
    if (strcmp(buf_str(&mode), "wal") != 0)
        return err_set(err, E_JOURNAL,
                       "this file system cannot hold a write-ahead log (mode is '%s'); put the "
                       "journal on a local disk with --state",
                       buf_str(&mode));
    int64_t version; /* the log comes into being with the first look into the file */
    return ask_number(db, "PRAGMA user_version", &version) == SQLITE_OK ||
           err_set(err, E_JOURNAL, "%s", sqlite3_errmsg(db));
}

bool schema_build(int dir, const char *name, struct err *err)
{
    const struct opening how = {.dir = dir, .name = name, .path = name, .mode = STORE_WRITE};
    char app[64];
    snprintf(app, sizeof(app), "PRAGMA application_id = %d", SCHEMA_APP_ID);
    sqlite3 *db = NULL;
    if (!conn_open(&how, &db, err))
        return false;
    bool ok = run_text(db, app, err) && climb(db, 0, err) && wal_on(db, err);
    if (sqlite3_close(db) != SQLITE_OK && ok)
        ok = err_set(err, E_JOURNAL, "the new journal cannot be closed");
    return ok;
}

static bool version_known(struct sqlite *s, int64_t version, struct err *err)
{
    if (version > SCHEMA_VERSION)
        return err_set(err, E_JOURNAL,
                       "journal %s was written by a newer release (its schema is %lld, this program knows up "
                       "to %d); nothing was touched; use the newer program",
                       s->path, (long long)version, SCHEMA_VERSION);
    if (version < 1)
        return err_set(err, E_JOURNAL,
                       "journal %s has no schema version: it is damaged; put a backup in its place", s->path);
    if (version < SCHEMA_VERSION && s->mode == STORE_READ)
        return err_set(
            err, E_JOURNAL,
            "journal %s was written by an older release (schema %lld, wanted %d); the next command "
            "that changes something brings it up to date",
            s->path, (long long)version, SCHEMA_VERSION);
    return true;
}

/* A small file is read through; of a large one the tables that decide (who holds the lock, what is
 * unfinished). A damaged page elsewhere shows when it is read, and then nothing goes on either. */
static bool check_pages(struct sqlite *s, struct err *err)
{
    static const char *const small[] = {"releases", "release_ends", "locks", "lock_history", "cursors"};
    int64_t pages = 0;
    auto_buf struct buf said = BUF_INIT(500);
    int rc = ask_number(s->conn, "PRAGMA page_count", &pages);
    if (rc == SQLITE_OK && pages <= 2048)
        rc = ask_word(s->conn, "PRAGMA quick_check(1)", &said);
    for (size_t i = 0; rc == SQLITE_OK && pages > 2048 && i < sizeof(small) / sizeof(small[0]); i++) {
        char sql[100];
        snprintf(sql, sizeof(sql), "PRAGMA quick_check(%s)", small[i]);
        buf_reset(&said);
        rc = ask_word(s->conn, sql, &said);
        if (strcmp(buf_str(&said), "ok") != 0)
            break;
    }
    if (rc != SQLITE_OK)
        return conn_failed(s->conn, s->path, rc, "read it", err);
    return strcmp(buf_str(&said), "ok") == 0 ||
           err_set(err, E_JOURNAL,
                   "journal %s is damaged (%s); nothing was touched; put a backup in its place", s->path,
                   buf_str(&said));
}

/* A table or column that is not there shows now, not in the middle of a release. */
static bool check_statements(struct sqlite *s, struct err *err)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        int rc = sqlite3_prepare_v3(s->conn, sql_text((enum sql)i), -1, SQLITE_PREPARE_PERSISTENT,
                                    &s->stmts[i], NULL);
        if (rc != SQLITE_OK)
            return conn_failed(s->conn, s->path, rc, "use it (its tables are not as they should be)", err);
    }
    return true;
}

bool schema_vet(struct sqlite *s, struct err *err)
{
    int64_t app = 0, version = 0;
    int rc = ask_number(s->conn, "PRAGMA application_id", &app);
    if (rc == SQLITE_OK)
        rc = ask_number(s->conn, "PRAGMA user_version", &version);
    if (rc != SQLITE_OK)
        return conn_failed(s->conn, s->path, rc, "read it", err);
    if (app != SCHEMA_APP_ID)
        return err_set(err, E_JOURNAL,
                       "journal %s is a database of another program; nothing was touched; name the right one "
                       "with --state",
                       s->path);
    if (!version_known(s, version, err))
        return false;
    if (s->mode == STORE_READ)
        return true;
    if (!check_pages(s, err))
        return false;
    if ((version < SCHEMA_VERSION && !climb(s->conn, (int)version, err)) || !wal_on(s->conn, err))
        return err_wrap(err, "journal %s", s->path);
    return check_statements(s, err);
}
