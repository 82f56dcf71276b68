/* Open, close, transactions, and what becomes of a store that failed.
 *
 * After a failed commit, memory is ahead of the disk, and the kernel may have forgotten which pages it could
 * not write: so a failed store refuses every further write until it is opened anew, and what counts is what
 * is read then. */
#include "state/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/str.h"
#include "state/store_priv.h"

/* ---- what SQLite said, for people */

static const char *reason_text(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL: return "the disk is full";
    case SQLITE_IOERR: return "input/output error";
    case SQLITE_READONLY: return "it is read-only";
    case SQLITE_BUSY: return "another process kept it busy for 5 s";
    case SQLITE_CORRUPT: return "it is damaged";
    case SQLITE_CANTOPEN: return "its files cannot be opened";
    case SQLITE_PERM:
    case SQLITE_AUTH: return "permission denied";
    case SQLITE_NOMEM: return "out of memory";
    default: return NULL;
    }
}

static const char *next_text(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL: return "; make room and start the command again";
    case SQLITE_BUSY: return "; see who with 'release status'";
    case SQLITE_CORRUPT: return "; put a backup in its place";
    case SQLITE_IOERR:
    case SQLITE_READONLY: return "; look at the disk (dmesg), then start the command again";
    default: return "";
    }
}

bool db_failed(sqlite3 *db, const char *path, int rc, const char *doing, struct err *err)
{
    if ((rc & 0xff) == SQLITE_NOTADB)
        return err_set(err, E_JOURNAL,
                       "journal %s is not a journal of release (not a SQLite file, or damaged at its "
                       "beginning); nothing was touched; name the right one with --state",
                       path);
    int sys = db ? sqlite3_system_errno(db) : 0;
    const char *reason = reason_text(rc);
    bool with_errno = sys != 0 && ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN);
    return err_set(err, E_JOURNAL, "journal %s: cannot %s: %s%s%s%s", path, doing,
                   reason ? reason
                   : db   ? sqlite3_errmsg(db)
                          : sqlite3_errstr(rc),
                   with_errno ? ", " : "", with_errno ? strerror(sys) : "", next_text(rc));
}

/* ---- connections */

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
    sqlite3_busy_timeout(db, STORE_BUSY_MS);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    return sqlite3_exec(db, pragmas, NULL, NULL, NULL);
}

bool db_connect(const struct opening *how, sqlite3 **ret, struct err *err)
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
    db_failed(*ret, how->path, rc, "open it", err);
    sqlite3_close(*ret);
    *ret = NULL;
    return false;
}

static bool connect(struct store *s, struct err *err)
{
    const struct opening how = {.dir = s->dir,
                                .name = strrchr(s->path, '/') + 1,
                                .path = s->path,
                                .mode = s->mode,
                                .immutable = s->immutable};
    return db_connect(&how, &s->db, err);
}

static void disconnect(struct store *s)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(s->stmts[i]);
        s->stmts[i] = NULL;
    }
    must(sqlite3_close(s->db) == SQLITE_OK);
    s->db = NULL;
}

/* Until a file is known to be ours and of our version, closing it must not touch it. */
static void checkpoint_at_close(struct store *s, bool on)
{
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !on, NULL);
    int persist = 1; /* -wal and -shm stay, so that readers need not make them */
    sqlite3_file_control(s->db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
}

/* ---- opening to read */

static bool connect_read(struct store *s, struct err *err)
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
static bool read_is_stale(struct store *s)
{
    struct file_id now;
    if (!file_id_get(s->path, &now))
        return s->db != NULL;
    if (!s->db || !file_id_same(&now, &s->file))
        return true;
    return s->immutable && file_id_get(s->wal_path, &now);
}

bool store_refresh(struct store *s, struct err *err)
{
    if (s->mode != STORE_READ || s->in_tx || s->open_queries > 0 || !read_is_stale(s))
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

/* *ret_gone: it was there a moment ago, and what we opened has no name any more: put back from a backup, say.
 */
static bool connect_once(struct store *s, bool again, bool *ret_gone, struct err *err)
{
    enum file_state state;
    *ret_gone = false;
    auto_fd_fn(&s->dir);
    if (!way_open(s->path, s->mode, &s->dir, err) || !file_check(s->dir, s->path, s->mode, &state, err))
        return false;
    if (state == FILE_MISSING && again) /* half-way through being put back: no new one in its place */
        return err_set(err, E_JOURNAL, "journal %s went away while it was opened", s->path);
    if (state == FILE_MISSING && !create(s->dir, s->path, err))
        return false;
    if (!connect(s, err))
        return false;
    checkpoint_at_close(s, false);
    if (!schema_vet(s, err))
        return false;
    checkpoint_at_close(s, true);
    if (file_id_at(s->dir, s->path, &s->file) && file_id_at(s->dir, s->wal_path, &s->wal))
        return true;
    *ret_gone = true;
    return err_set(err, E_JOURNAL, "journal %s went away while it was opened", s->path);
}

/* Nothing was written yet, so what bears the name by now is opened as well as what did. */
static bool connect_write(struct store *s, struct err *err)
{
    bool gone = true;
    for (int attempt = 0; gone && attempt < 3; attempt++) {
        if (attempt > 0) {
            checkpoint_at_close(s, false);
            disconnect(s);
        }
        if (connect_once(s, attempt > 0, &gone, err))
            return true;
    }
    return false;
}

bool store_open(const char *path, enum store_mode mode, struct store **ret, struct err *err)
{
    auto_store struct store *s = xcalloc(1, sizeof(*s));
    s->mode = mode;
    s->dir = -1;
    if (!file_resolve(path, &s->path, err))
        return false;
    auto_buf struct buf wal = BUF_INIT(8192);
    buf_printf(&wal, "%s-wal", s->path);
    s->wal_path = xstrdup(buf_str(&wal));
    if (!(mode == STORE_WRITE ? connect_write(s, err) : connect_read(s, err)))
        return false;
    *ret = s;
    s = NULL;
    return true;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    if (s->in_tx)
        store_rollback(s);
    disconnect(s);
    scope_fini(s);
    auto_fd_fn(&s->dir);
    free(s->path);
    free(s->wal_path);
    free(s);
}

void store_auto_close(struct store **s)
{
    store_close(*s);
}

const char *store_path(const struct store *s)
{
    return s->path;
}

/* A new connection counts from its own beginning, so how often we connected is part of the number. */
bool store_version(struct store *s, int64_t *ret, struct err *err)
{
    auto_query struct query q;
    if (!query_open(&q, s, SQL_DATA_VERSION, NO_ARGS, err))
        return false;
    int64_t version = query_next(&q, err) ? query_int(&q, 0) : 0;
    *ret = ((int64_t)s->n_opened << 32) + version;
    return !q.failed;
}

/* ---- failures */

/* These concern one statement; after anything else the connection itself is in doubt. */
static bool only_this_statement(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
    case SQLITE_ERROR: return true;
    default: return false;
    }
}

bool store_failed(struct store *s, int rc, const char *doing, struct err *err)
{
    db_failed(s->db, s->path, rc, doing, err);
    if (s->in_tx && s->tx_err.code == E_NONE)
        s->tx_err = *err;
    if (s->mode == STORE_WRITE && !only_this_statement(rc) && s->broken.code == E_NONE)
        s->broken = *err;
    return false;
}

static bool refuse_broken(const struct store *s, struct err *err)
{
    *err = s->broken;
    return err_wrap(err, "nothing more is written after an earlier failure");
}

/* A name that stands for another file now would make every further row invisible to all others. */
static bool still_there(struct store *s, struct err *err)
{
    struct file_id now, wal;
    if (file_id_get(s->path, &now) && file_id_same(&now, &s->file) && file_id_get(s->wal_path, &wal) &&
        file_id_same(&wal, &s->wal))
        return true;
    err_set(
        err, E_JOURNAL,
        "journal %s was deleted or replaced while in use; what was written since is not kept; put it back "
        "(a backup), then 'release status' says where things stand",
        s->path);
    s->broken = *err;
    return false;
}

/* ---- transactions */

static int run_plain(struct store *s, enum sql id)
{
    int rc = SQLITE_OK;
    if (!s->stmts[id])
        rc = sqlite3_prepare_v3(s->db, sql_text(id), -1, SQLITE_PREPARE_PERSISTENT, &s->stmts[id], NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s->stmts[id]);
    sqlite3_reset(s->stmts[id]);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* READ: one snapshot for several questions. */
static bool begin_read(struct store *s, struct err *err)
{
    if (!store_refresh(s, err))
        return false;
    int rc = s->db ? run_plain(s, SQL_BEGIN_READ) : SQLITE_OK;
    s->in_tx = rc == SQLITE_OK;
    return rc == SQLITE_OK || store_failed(s, rc, "read", err);
}

bool store_begin(struct store *s, struct err *err)
{
    must(!s->in_tx);
    s->tx_err.code = E_NONE;
    if (s->mode == STORE_READ)
        return begin_read(s, err);
    if (s->broken.code != E_NONE)
        return refuse_broken(s, err);
    if (!still_there(s, err))
        return false;
    int rc = run_plain(s, SQL_BEGIN_WRITE);
    s->in_tx = rc == SQLITE_OK;
    return rc == SQLITE_OK || store_failed(s, rc, "begin to write", err);
}

void store_rollback(struct store *s)
{
    /* SQLite may have rolled back by itself after an error; then this one has nothing to do and says so. */
    if (s->db && s->in_tx && !sqlite3_get_autocommit(s->db))
        run_plain(s, SQL_ROLLBACK);
    s->in_tx = false;
}

bool store_commit(struct store *s, struct err *err)
{
    must(s->in_tx);
    if (s->tx_err.code != E_NONE) {
        *err = s->tx_err;
        store_rollback(s);
        return false;
    }
    int rc = s->db ? run_plain(s, SQL_COMMIT) : SQLITE_OK;
    if (rc != SQLITE_OK) {
        store_failed(s, rc, "commit", err);
        if (s->broken.code == E_NONE)
            s->broken = *err;
        store_rollback(s);
        return false;
    }
    s->in_tx = false;
    return s->mode == STORE_READ || still_there(s, err);
}

bool tx_open(struct tx *tx, struct store *s, struct err *err)
{
    *tx = (struct tx){.store = s, .own = !s->in_tx};
    if (s->mode != STORE_WRITE)
        return err_set(err, E_JOURNAL, "journal %s is open for reading only", s->path);
    return !tx->own || store_begin(s, err);
}

bool tx_close(struct tx *tx, bool ok, struct err *err)
{
    if (!tx->own)
        return ok;
    if (ok)
        return store_commit(tx->store, err);
    store_rollback(tx->store);
    return false;
}
