/* SPDX-License-Identifier: MIT */
/* Connections to the file: how one is made, to read and to write, and whether it still leads to the file that
 * bears the name. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/str.h"
#include "state/sqlite/sqlite_priv.h"

/* SQLite makes a name absolute by resolving every link of it and opens what comes out, by name: what stands
 * there by then may be another file. This one opens the name that it is given, "/proc/self/fd/N/NAME", which
 * leads through our descriptor, and so do the names of -wal and -shm. All the rest is SQLite's own. */
static int name_as_given(sqlite3_vfs *vfs, const char *name, int cap, char *ret)
{
    (void)vfs;
    size_t n = strlen(name);
    if (n >= (size_t)cap)
        return SQLITE_CANTOPEN;
    memcpy(ret, name, n + 1);
    return SQLITE_OK;
}

static const char *vfs_as_given(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static sqlite3_vfs own;
    static sqlite3_vfs *made_of;
    pthread_mutex_lock(&lock);
    sqlite3_vfs *deflt = sqlite3_vfs_find(NULL);
    if (deflt != made_of) { /* once; tests put another below us */
        if (made_of)
            sqlite3_vfs_unregister(&own);
        made_of = deflt;
        own = *deflt;
        own.pNext = NULL;
        own.zName = "release";
        own.xFullPathname = name_as_given;
        must(sqlite3_vfs_register(&own, 0) == SQLITE_OK);
    }
    pthread_mutex_unlock(&lock);
    return own.zName;
}

/* A file: URI, for the one option that has no other door (immutable). */
static void uri_of(const char *path, struct buf *out)
{
    buf_puts(out, "file:");
    for (const char *p = path; *p; p++)
        if (*p == '%' || *p == '?' || *p == '#')
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)*p);
        else
            buf_add(out, p, 1);
    buf_puts(out, "?immutable=1");
}

static int db_settings(sqlite3 *db)
{
    /* recursive_triggers: else REPLACE would delete behind the append-only triggers' back. */
    static const char pragmas[] = "PRAGMA synchronous = FULL; PRAGMA recursive_triggers = ON;"
                                  "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;"
                                  "PRAGMA journal_size_limit = 16777216";
    sqlite3_busy_timeout(db, SQLITE_BUSY_MS);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    return sqlite3_exec(db, pragmas, NULL, NULL, NULL);
}

bool conn_open(const struct opening *how, sqlite3 **ret, struct err *err)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE |
                (how->mode == STORE_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    auto_buf struct buf via = BUF_INIT(16384), name = BUF_INIT(16384);
    file_via(how->dir, how->name, &via);
    if (how->immutable)
        uri_of(buf_str(&via), &name);
    else
        buf_puts(&name, buf_str(&via));
    int rc =
        sqlite3_open_v2(buf_str(&name), ret, flags | (how->immutable ? SQLITE_OPEN_URI : 0), vfs_as_given());
    if (rc == SQLITE_OK)
        rc = db_settings(*ret);
    if (rc == SQLITE_OK)
        return true;
    conn_failed(*ret, how->path, rc, "open it", err);
    sqlite3_close(*ret);
    *ret = NULL;
    return false;
}

static bool connect(struct sqlite *s, struct err *err)
{
    const struct opening how = {.dir = s->dir,
                                .name = strrchr(s->path, '/') + 1,
                                .path = s->path,
                                .mode = s->mode,
                                .immutable = s->immutable};
    return conn_open(&how, &s->conn, err);
}

void disconnect(struct sqlite *s)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(s->stmts[i]);
        s->stmts[i] = NULL;
    }
    for (int i = 0; i < OWN_COUNT; i++) {
        sqlite3_finalize(s->own[i]);
        s->own[i] = NULL;
    }
    must(sqlite3_close(s->conn) == SQLITE_OK);
    s->conn = NULL;
}

/* Until a file is known to be ours and of our version, closing it must not touch it. */
static void checkpoint_at_close(struct sqlite *s, bool on)
{
    sqlite3_db_config(s->conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !on, NULL);
    int persist = 1; /* -wal and -shm stay, so that readers need not make them */
    sqlite3_file_control(s->conn, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
}

/* ---- opening to read */

bool connect_read(struct sqlite *s, struct err *err)
{
    enum file_state state;
    auto_fd_fn(&s->dir);
    if (!way_open(s->path, s->mode, &s->dir, err))
        return false;
    if (s->dir < 0)
        return true;
    if (!file_check(s->dir, s->path, s->mode, &state, err))
        return false;
    if (state == FILE_MISSING)
        return true;
    struct file_id wal;
    if (!file_id_at(s->dir, s->path, &s->file))
        return true; /* gone again: an empty store, as before it came */
    s->immutable = !file_id_at(s->dir, s->wal_path, &wal);
    if (!connect(s, err))
        return false;
    checkpoint_at_close(s, false);
    s->n_opened++;
    if (schema_vet(s, err))
        return true;
    disconnect(s);
    return false;
}

/* A writer may have come to a file that stood still when we opened it, or the file may be another. */
static bool read_is_stale(struct sqlite *s)
{
    struct file_id now;
    if (!file_id_get(s->path, &now))
        return s->conn != NULL;
    if (!s->conn || !file_id_same(&now, &s->file))
        return true;
    return s->immutable && file_id_get(s->wal_path, &now);
}

bool connect_again(struct sqlite *s, struct err *err)
{
    if (s->mode != STORE_READ || s->in_tx || s->open_rows > 0 || !read_is_stale(s))
        return true;
    disconnect(s);
    return connect_read(s, err);
}

/* ---- opening to write */

static bool create(int dir, const char *path, struct err *err)
{
    auto_free char *tmp = NULL;
    if (!file_new_beside(dir, path, &tmp, err))
        return false;
    bool ok = schema_build(dir, tmp, err) ? file_publish(dir, tmp, path, err)
                                          : err_wrap(err, "journal %s cannot be made", path);
    file_remove_new(dir, tmp);
    return ok;
}

/* Does the journal's name still lead to the file that SQLite has open? Asked of SQLite: what bears the name
 * by now says nothing about that. */
static bool has_its_name(struct sqlite *s)
{
    int moved = 1;
    return file_id_at(s->dir, s->path, &s->file) &&
           sqlite3_file_control(s->conn, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && !moved;
}

/* The -wal that was there before must still be there: another one belongs to another journal. */
static bool has_its_wal(struct sqlite *s, const struct file_id *before)
{
    return file_id_at(s->dir, s->wal_path, &s->wal) && (!before || file_id_same(before, &s->wal));
}

static bool went_away(const struct sqlite *s, struct err *err)
{
    return err_set(err, E_JOURNAL, "journal %s went away while it was opened", s->path);
}

/* *ret_gone: it was there a moment ago, and what we opened has no name any more: put back from a backup, say.
 */
static bool connect_once(struct sqlite *s, bool again, bool *ret_gone, struct err *err)
{
    enum file_state state;
    *ret_gone = false;
    auto_fd_fn(&s->dir);
    if (!way_open(s->path, s->mode, &s->dir, err) || !file_check(s->dir, s->path, s->mode, &state, err))
        return false;
    if (state == FILE_MISSING && again) /* half-way through being put back: no new one in its place */
        return went_away(s, err);
    if (state == FILE_MISSING && !create(s->dir, s->path, err))
        return false;
    struct file_id wal, file;
    bool has_wal = file_id_at(s->dir, s->wal_path, &wal), has_file = file_id_at(s->dir, s->path, &file);
    if (!connect(s, err)) {
        /* What SQLite says of a file that vanished under it sounds like a broken disk. */
        *ret_gone = !has_file || !file_id_at(s->dir, s->path, &s->file) || !file_id_same(&file, &s->file);
        return *ret_gone ? went_away(s, err) : false;
    }
    checkpoint_at_close(s, false);
    bool fit = schema_vet(s, err);
    *ret_gone = !has_its_name(s) || (fit && !has_its_wal(s, has_wal ? &wal : NULL));
    if (!*ret_gone) {
        checkpoint_at_close(s, fit);
        return fit;
    }
    return went_away(s, err);
}

/* Nothing was written yet, so what bears the name by now is opened as well as what did. */
bool connect_write(struct sqlite *s, struct err *err)
{
    bool gone = true;
    for (int attempt = 0; gone && attempt < 3; attempt++) {
        if (attempt > 0 && s->conn) {
            checkpoint_at_close(s, false);
            disconnect(s);
        }
        if (connect_once(s, attempt > 0, &gone, err))
            return true;
    }
    return false;
}

bool still_there(struct sqlite *s, struct err *err)
{
    struct file_id now, wal;
    if (file_id_get(s->path, &now) && file_id_same(&now, &s->file) && file_id_get(s->wal_path, &wal) &&
        file_id_same(&wal, &s->wal))
        return true;
    return err_set(
        err, E_JOURNAL,
        "journal %s was deleted or replaced while in use; what was written since is not kept; put it back "
        "(a backup), then 'release status' says where things stand",
        s->path);
}
