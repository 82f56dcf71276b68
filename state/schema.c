/* The schema and its ladder: one function per version, forward only, never destroying anything.
 *
 *   1  the first: releases, plans, journal, outputs, locks, cursors
 *   2  the server: tokens, logins, orders
 *   3  chat rooms: asks, seen requests, queue, messages, notices, locks held by hand
 *   4  tokens of bots, which may speak for people
 *   5  an environment is (application, name); the journal has an identity; where nodes stand
 *
 * PRAGMA user_version says where a file stands; application_id says that it is ours. A new file climbs the
 * same ladder as an old one, so there is one way to get a schema. Tables that hold history refuse UPDATE and
 * DELETE themselves. docs/journal.md describes the columns for people and for other programs. */
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "base/str.h"
#include "state/store_priv.h"

#define APPEND_ONLY(table)                                                                                   \
    "CREATE TRIGGER " table "_no_update BEFORE UPDATE ON " table " BEGIN SELECT RAISE(ABORT, '" table        \
    " is append-only'); END;"                                                                                \
    "CREATE TRIGGER " table "_no_delete BEFORE DELETE ON " table " BEGIN SELECT RAISE(ABORT, '" table        \
    " is append-only'); END;"

static const char version_1[] =
    "CREATE TABLE releases ("
    " id INTEGER PRIMARY KEY, env TEXT NOT NULL, app TEXT NOT NULL,"
    " kind TEXT NOT NULL CHECK (kind IN ('release', 'rollback', 'task', 'exec')), plan_name TEXT NOT NULL,"
    " rev TEXT NOT NULL, rev_typed TEXT NOT NULL, who TEXT NOT NULL, host TEXT NOT NULL,"
    " plan_digest TEXT NOT NULL, of_release INTEGER NOT NULL, started_ms INTEGER NOT NULL);"
    "CREATE INDEX releases_env ON releases (env);" APPEND_ONLY("releases")

        "CREATE TABLE plans ("
        " release INTEGER PRIMARY KEY REFERENCES releases (id), json TEXT NOT NULL);" APPEND_ONLY("plans")

            "CREATE TABLE release_ends ("
            " id INTEGER PRIMARY KEY, release INTEGER NOT NULL REFERENCES releases (id),"
            " exit_status INTEGER NOT NULL, summary TEXT NOT NULL, at_ms INTEGER NOT NULL);"
            "CREATE INDEX release_ends_release ON release_ends (release);" APPEND_ONLY("release_ends")

                "CREATE TABLE journal ("
                " seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, release INTEGER REFERENCES releases (id),"
                " env TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('intent', 'outcome', 'note', "
                "'order')),"
                " node TEXT NOT NULL, step INTEGER NOT NULL, verb TEXT NOT NULL, role TEXT NOT NULL, code "
                "TEXT NOT NULL,"
                " attempt INTEGER NOT NULL, back INTEGER NOT NULL, a INTEGER NOT NULL, b INTEGER NOT NULL,"
                " facts TEXT, text TEXT NOT NULL,"
                " rev TEXT, identity TEXT, debt TEXT);" /* copies out of facts: no JSON function may stand in
                                                           a schema */
                "CREATE INDEX journal_release ON journal (release);"
                "CREATE INDEX journal_abandon ON journal (release) WHERE kind = 'order' AND code = 'abandon';"
                "CREATE INDEX journal_node_in ON journal (env, node) WHERE kind = 'note' AND code = "
                "'node-in';"
                "CREATE INDEX journal_identity ON journal (env, node) WHERE identity IS NOT NULL;"
                "CREATE INDEX journal_debt ON journal (env, node) WHERE debt IS NOT NULL;" APPEND_ONLY(
                    "journal")

                    "CREATE TABLE outputs ("
                    " id INTEGER PRIMARY KEY, release INTEGER NOT NULL REFERENCES releases (id), at_ms "
                    "INTEGER NOT NULL,"
                    " node TEXT NOT NULL, step INTEGER NOT NULL, attempt INTEGER NOT NULL, stream INTEGER "
                    "NOT NULL,"
                    " back INTEGER NOT NULL, data BLOB NOT NULL);"
                    "CREATE INDEX outputs_release ON outputs (release);" APPEND_ONLY("outputs")

                        "CREATE TABLE output_ends ("
                        " id INTEGER PRIMARY KEY, release INTEGER NOT NULL REFERENCES releases (id), at_ms "
                        "INTEGER NOT NULL,"
                        " node TEXT NOT NULL, step INTEGER NOT NULL, attempt INTEGER NOT NULL, back INTEGER "
                        "NOT NULL,"
                        " total_bytes INTEGER NOT NULL, cut INTEGER NOT NULL, sha256 TEXT NOT NULL);"
                        "CREATE INDEX output_ends_release ON output_ends (release);" APPEND_ONLY(
                            "output_ends")

    /* Who holds what now; the unique row is the lock. The only table besides cursors that changes in place.
     */
    "CREATE TABLE locks ("
    " env TEXT PRIMARY KEY, fence INTEGER NOT NULL UNIQUE, release INTEGER NOT NULL, since_ms INTEGER NOT "
    "NULL,"
    " who TEXT NOT NULL, why TEXT NOT NULL, host TEXT NOT NULL, boot_id TEXT NOT NULL, pid INTEGER NOT NULL,"
    " pid_start INTEGER NOT NULL, by_hand INTEGER NOT NULL) WITHOUT ROWID;"

    /* The next fence is one above the highest here, so no number comes twice. */
    "CREATE TABLE lock_history ("
    " id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, env TEXT NOT NULL,"
    " event TEXT NOT NULL CHECK (event IN ('take', 'take-over', 'bind', 'free', 'force')),"
    " fence INTEGER NOT NULL, over_fence INTEGER NOT NULL, release INTEGER NOT NULL, who TEXT NOT NULL,"
    " why TEXT NOT NULL, host TEXT NOT NULL, boot_id TEXT NOT NULL, pid INTEGER NOT NULL,"
    " pid_start INTEGER NOT NULL);"
    "CREATE INDEX lock_history_fence ON lock_history (fence);" APPEND_ONLY("lock_history")

        "CREATE TABLE cursors (observer TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;";

static const char version_2[] =
    /* Who may ask the server. A token is known by its hash alone; used_ms is set now and then, revoked_ms
     * once. */
    "CREATE TABLE tokens ("
    " id INTEGER PRIMARY KEY, name TEXT NOT NULL,"
    " role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')), hash TEXT NOT NULL,"
    " made_ms INTEGER NOT NULL, made_by TEXT NOT NULL, used_ms INTEGER NOT NULL, revoked_ms INTEGER NOT "
    "NULL);"
    "CREATE UNIQUE INDEX tokens_name ON tokens (name) WHERE revoked_ms = 0;"
    "CREATE TRIGGER tokens_no_delete BEFORE DELETE ON tokens BEGIN SELECT RAISE(ABORT, 'tokens are revoked, "
    "never deleted'); END;"

    /* Browsers that are logged in, by the hash of their cookie: they outlive a restart of the server. */
    "CREATE TABLE logins ("
    " hash TEXT PRIMARY KEY, token INTEGER NOT NULL REFERENCES tokens (id), made_ms INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX logins_expires ON logins (expires_ms);"

    /* What people told the server to do: written before it is done, and what became of it beside it. */
    "CREATE TABLE orders ("
    " id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, env TEXT NOT NULL, verb TEXT NOT NULL, who TEXT NOT "
    "NULL,"
    " via TEXT NOT NULL, place TEXT NOT NULL, argv TEXT NOT NULL, host TEXT NOT NULL);"
    "CREATE INDEX orders_env ON orders (env);" APPEND_ONLY("orders")

        "CREATE TABLE order_events ("
        " id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders (id),"
        " event TEXT NOT NULL CHECK (event IN ('start', 'release', 'end')), at_ms INTEGER NOT NULL,"
        " release INTEGER NOT NULL, pid INTEGER NOT NULL, pid_start INTEGER NOT NULL, boot_id TEXT NOT NULL,"
        " exit_status INTEGER NOT NULL, text TEXT NOT NULL);"
        "CREATE INDEX order_events_order ON order_events (order_id);"
        "CREATE INDEX order_events_release ON order_events (release) WHERE event = 'release';" APPEND_ONLY(
            "order_events");

static const char version_3[] =
    /* A request from a room until its last answer (state/chat.h). What was ordered stands in orders, for
       good. */
    "CREATE TABLE asks ("
    " id INTEGER PRIMARY KEY, code TEXT NOT NULL, env TEXT NOT NULL, verb TEXT NOT NULL, who TEXT NOT NULL,"
    " person TEXT NOT NULL, via TEXT NOT NULL, place TEXT NOT NULL, reply_to TEXT NOT NULL, wish TEXT NOT "
    "NULL,"
    " state TEXT NOT NULL CHECK (state IN ('plan', 'confirm', 'approve', 'going', 'ended')), rev TEXT NOT "
    "NULL,"
    " digest TEXT NOT NULL, approved_by TEXT NOT NULL, plan_order INTEGER NOT NULL, order_id INTEGER NOT "
    "NULL,"
    " made_ms INTEGER NOT NULL, lapse_ms INTEGER NOT NULL, said INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX asks_code ON asks (code) WHERE state <> 'ended';"
    "CREATE INDEX asks_open ON asks (env) WHERE state <> 'ended';"

    /* Signatures of requests, for as long as their stamp is young enough to be played again. */
    "CREATE TABLE seen (hash TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX seen_at ON seen (at_ms);"

    /* Who waits for the lock; ended_ms is set once. */
    "CREATE TABLE queue ("
    " id INTEGER PRIMARY KEY, env TEXT NOT NULL, who TEXT NOT NULL, person TEXT NOT NULL, via TEXT NOT NULL,"
    " place TEXT NOT NULL, joined_ms INTEGER NOT NULL, lapse_ms INTEGER NOT NULL, offered_ms INTEGER NOT "
    "NULL,"
    " ended_ms INTEGER NOT NULL, how TEXT NOT NULL);"
    "CREATE UNIQUE INDEX queue_who ON queue (env, who) WHERE ended_ms = 0;"
    "CREATE INDEX queue_open ON queue (env) WHERE ended_ms = 0;"

    /* The one message of a release in a room, which is kept up to date. */
    "CREATE TABLE messages ("
    " sink TEXT NOT NULL, release INTEGER NOT NULL, place TEXT NOT NULL, ts TEXT NOT NULL, digest TEXT NOT "
    "NULL,"
    " done INTEGER NOT NULL, PRIMARY KEY (sink, release)) WITHOUT ROWID;"

    "CREATE TABLE notices ("
    " id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, env TEXT NOT NULL, event TEXT NOT NULL, who TEXT NOT "
    "NULL,"
    " person TEXT NOT NULL, via TEXT NOT NULL, ask INTEGER NOT NULL, text TEXT NOT NULL);" APPEND_ONLY(
        "notices")

    /* Which grants were by hand: the history alone does not say, and rooms are told of these only. */
    "CREATE TABLE hand_locks (fence INTEGER PRIMARY KEY);"
    "INSERT INTO hand_locks (fence) SELECT fence FROM locks WHERE by_hand;"
    "CREATE TRIGGER locks_by_hand AFTER INSERT ON locks WHEN new.by_hand BEGIN "
    "INSERT OR IGNORE INTO hand_locks (fence) VALUES (new.fence); END;";

/* To speak for people is a right that a token is given, not a matter of its name. */
static const char version_4[] =
    "ALTER TABLE tokens ADD COLUMN bot INTEGER NOT NULL DEFAULT 0 CHECK (bot IN (0, 1));";

/* Until here an environment was its name alone, and two applications with a `prod` each were one. Rows that
 * belong to a release take its application. Of locks by hand and of what rooms wait for it is not known: ''
 * there means any application of that name, so that nothing that was held comes free by an update. */
static const char version_5[] =
    /* Who this journal is, wherever its file lies: nodes are claimed in its name. */
    "CREATE TABLE self (id TEXT NOT NULL);"
    "INSERT INTO self (id) VALUES (lower(hex(randomblob(16))));" APPEND_ONLY("self")

    /* The tree that it was released from. */
    "ALTER TABLE releases ADD COLUMN root TEXT NOT NULL DEFAULT '';"
    "CREATE INDEX releases_app ON releases (env, app);"
    "CREATE INDEX releases_root ON releases (env, root);"

    "ALTER TABLE journal ADD COLUMN app TEXT NOT NULL DEFAULT '';"
    "DROP TRIGGER journal_no_update;"
    "UPDATE journal SET app = (SELECT app FROM releases WHERE id = journal.release) WHERE release IS NOT "
    "NULL;"
    "CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'journal is "
    "append-only'); END;"
    "DROP INDEX journal_node_in; DROP INDEX journal_identity; DROP INDEX journal_debt;"
    "CREATE INDEX journal_node_in ON journal (app, env, node) WHERE kind = 'note' AND code = 'node-in';"
    "CREATE INDEX journal_identity ON journal (app, env, node) WHERE identity IS NOT NULL;"
    "CREATE INDEX journal_debt ON journal (app, env, node) WHERE debt IS NOT NULL;"

    "CREATE TABLE locks_5 ("
    " app TEXT NOT NULL, env TEXT NOT NULL, fence INTEGER NOT NULL UNIQUE, release INTEGER NOT NULL,"
    " since_ms INTEGER NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, host TEXT NOT NULL, boot_id TEXT NOT "
    "NULL,"
    " pid INTEGER NOT NULL, pid_start INTEGER NOT NULL, by_hand INTEGER NOT NULL,"
    " PRIMARY KEY (app, env)) WITHOUT ROWID;"
    "INSERT INTO locks_5 SELECT coalesce((SELECT app FROM releases WHERE id = l.release), "
    "(SELECT max(app) FROM releases WHERE env = l.env GROUP BY env HAVING min(app) = max(app)), ''), "
    "env, fence, release, since_ms, who, why, host, boot_id, pid, pid_start, by_hand FROM locks l;"
    "DROP TABLE locks; ALTER TABLE locks_5 RENAME TO locks;"
    "CREATE TRIGGER locks_by_hand AFTER INSERT ON locks WHEN new.by_hand BEGIN "
    "INSERT OR IGNORE INTO hand_locks (fence) VALUES (new.fence); END;"

    "ALTER TABLE lock_history ADD COLUMN app TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE orders ADD COLUMN app TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE asks ADD COLUMN app TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE notices ADD COLUMN app TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE queue ADD COLUMN app TEXT NOT NULL DEFAULT '';"
    "DROP INDEX queue_who; CREATE UNIQUE INDEX queue_who ON queue (env, app, who) WHERE ended_ms = 0;"

    /* Where the nodes of an environment stood when its lock was last taken for them: two environments with a
       site in common are one to the lock. */
    "CREATE TABLE sites ("
    " site TEXT NOT NULL, app TEXT NOT NULL, env TEXT NOT NULL, node TEXT NOT NULL,"
    " PRIMARY KEY (site, app, env)) WITHOUT ROWID;"
    "CREATE INDEX sites_env ON sites (env, app);";

/* ladder[n] brings version n to n + 1. Texts that were released never change; a new version is a new entry,
 * with its fixture in tests/unit/fixtures. */
static const char *const ladder[SCHEMA_VERSION] = {version_1, version_2, version_3, version_4, version_5};

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
    if (!db_connect(&how, &db, err))
        return false;
    bool ok = run_text(db, app, err) && climb(db, 0, err) && wal_on(db, err);
    if (sqlite3_close(db) != SQLITE_OK && ok)
        ok = err_set(err, E_JOURNAL, "the new journal cannot be closed");
    return ok;
}

static bool version_known(struct store *s, int64_t version, struct err *err)
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
static bool check_pages(struct store *s, struct err *err)
{
    static const char *const small[] = {"releases", "release_ends", "locks", "lock_history", "cursors"};
    int64_t pages = 0;
    auto_buf struct buf said = BUF_INIT(500);
    int rc = ask_number(s->db, "PRAGMA page_count", &pages);
    if (rc == SQLITE_OK && pages <= 2048)
        rc = ask_word(s->db, "PRAGMA quick_check(1)", &said);
    for (size_t i = 0; rc == SQLITE_OK && pages > 2048 && i < sizeof(small) / sizeof(small[0]); i++) {
        char sql[100];
        snprintf(sql, sizeof(sql), "PRAGMA quick_check(%s)", small[i]);
        buf_reset(&said);
        rc = ask_word(s->db, sql, &said);
        if (strcmp(buf_str(&said), "ok") != 0)
            break;
    }
    if (rc != SQLITE_OK)
        return store_failed(s, rc, "read it", err);
    return strcmp(buf_str(&said), "ok") == 0 ||
           err_set(err, E_JOURNAL,
                   "journal %s is damaged (%s); nothing was touched; put a backup in its place", s->path,
                   buf_str(&said));
}

/* A table or column that is not there shows now, not in the middle of a release. */
static bool check_statements(struct store *s, struct err *err)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        int rc = sqlite3_prepare_v3(s->db, sql_text((enum sql)i), -1, SQLITE_PREPARE_PERSISTENT, &s->stmts[i],
                                    NULL);
        if (rc != SQLITE_OK)
            return store_failed(s, rc, "use it (its tables are not as they should be)", err);
    }
    return true;
}

bool schema_vet(struct store *s, struct err *err)
{
    int64_t app = 0, version = 0;
    int rc = ask_number(s->db, "PRAGMA application_id", &app);
    if (rc == SQLITE_OK)
        rc = ask_number(s->db, "PRAGMA user_version", &version);
    if (rc != SQLITE_OK)
        return store_failed(s, rc, "read it", err);
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
    if ((version < SCHEMA_VERSION && !climb(s->db, (int)version, err)) || !wal_on(s->db, err))
        return err_wrap(err, "journal %s", s->path);
    return check_statements(s, err);
}
