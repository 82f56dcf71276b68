/* SPDX-License-Identifier: MIT */
/* What SQLite said, for people, and what it means for the store. */
#include <string.h>

#include "state/sqlite/sqlite_priv.h"

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

bool conn_failed(sqlite3 *conn, const char *path, int rc, const char *doing, struct err *err)
{
    if ((rc & 0xff) == SQLITE_NOTADB)
        return err_set(err, E_JOURNAL,
                       "journal %s is not a journal of release (not a SQLite file, or damaged at its "
                       "beginning); nothing was touched; name the right one with --state",
                       path);
    int sys = conn ? sqlite3_system_errno(conn) : 0;
    const char *reason = reason_text(rc);
    bool with_errno = sys != 0 && ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN);
    return err_set(err, E_JOURNAL, "journal %s: cannot %s: %s%s%s%s", path, doing,
                   reason ? reason
                   : conn ? sqlite3_errmsg(conn)
                          : sqlite3_errstr(rc),
                   with_errno ? ", " : "", with_errno ? strerror(sys) : "", next_text(rc));
}

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

enum db_end sqlite_failed(struct sqlite *s, int rc, const char *doing, struct err *err)
{
    conn_failed(s->conn, s->path, rc, doing, err);
    return only_this_statement(rc) ? DB_REFUSED : DB_BROKEN;
}
