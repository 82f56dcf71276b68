/* SPDX-License-Identifier: MIT */
/* Inside state/sqlite only: the open file, and where its parts meet. */
#ifndef RELEASE_STATE_SQLITE_PRIV_H
#define RELEASE_STATE_SQLITE_PRIV_H

#include <sqlite3.h>
#include <sys/types.h>

#include "base/str.h"
#include "state/db.h"
#include "state/sqlite/sqlite.h"

#define SQLITE_BUSY_MS 5000

/* Which file a name stood for when we opened it. */
struct file_id {
    dev_t dev;
    ino_t ino;
};

/* Statements of this kind's own, beside those of sql.h. */
enum own { OWN_BEGIN_WRITE, OWN_BEGIN_READ, OWN_COMMIT, OWN_ROLLBACK, OWN_DATA_VERSION, OWN_COUNT };

struct sqlite {
    struct db db;
    sqlite3 *conn; /* NULL: READ, and there is no file yet */
    char *path, *wal_path;
    int dir; /* its directory; SQLite reaches all its files through it */
    enum store_mode mode;
    bool in_tx;
    bool immutable;    /* READ of a file without a -wal: nobody writes, and we create nothing */
    uint32_t n_opened; /* connections made so far */
    int open_rows;     /* a READ store changes its connection only between questions */
    struct file_id file, wal;
    sqlite3_stmt *stmts[SQL_COUNT], *own[OWN_COUNT];
};

/* ---- failed.c: what SQLite said, for people */
/* Returns false. conn may be NULL. */
bool conn_failed(sqlite3 *conn, const char *path, int rc, const char *doing, struct err *err);
/* And what it means for the store. */
enum db_end sqlite_failed(struct sqlite *s, int rc, const char *doing, struct err *err);

/* ---- connect.c */
/* How a file is opened: by its name in a directory; `path` is for messages. */
struct opening {
    int dir;
    const char *name, *path;
    enum store_mode mode;
    bool immutable;
};
/* A connection with all our settings on. */
bool conn_open(const struct opening *how, sqlite3 **ret, struct err *err) MUST_CHECK;
/* s->path, as s->mode says; s->dir is the caller's to close. */
bool connect_read(struct sqlite *s, struct err *err) MUST_CHECK;
bool connect_write(struct sqlite *s, struct err *err) MUST_CHECK;
void disconnect(struct sqlite *s);
/* READ: the file may appear, or be put back from a backup, while a watcher looks. */
bool connect_again(struct sqlite *s, struct err *err) MUST_CHECK;
/* WRITE: a name that stands for another file now would make every further row invisible to all others. */
bool still_there(struct sqlite *s, struct err *err) MUST_CHECK;

/* ---- way.c: the directory, as a descriptor; files in it are reached through that alone */
/* WRITE makes what is missing of the way. *ret_fd -1 (READ): it is not there. */
bool way_open(const char *path, enum store_mode mode, int *ret_fd, struct err *err) MUST_CHECK;

/* ---- file.c: names and permissions. Never opens the database itself: closing any descriptor of it would
 * drop the POSIX locks that SQLite holds in this process. */
enum file_state { FILE_MISSING, FILE_THERE };
bool file_resolve(const char *given, char **ret, struct err *err) MUST_CHECK;
/* A name for SQLite, which knows no directory descriptors: good while `dir` is open. */
void file_via(int dir, const char *name, struct buf *out);
bool file_check(int dir, const char *path, enum store_mode mode, enum file_state *ret,
                struct err *err) MUST_CHECK;
bool file_id_get(const char *path, struct file_id *ret); /* what the name leads to now; false: nothing */
bool file_id_at(int dir, const char *path, struct file_id *ret); /* the file of that name in `dir` */
bool file_id_same(const struct file_id *a, const struct file_id *b);
/* An empty file beside `path` that nobody else can open; its bare name. Caller frees it. */
bool file_new_beside(int dir, const char *path, char **ret_tmp, struct err *err) MUST_CHECK;
/* Syncs tmp and gives it its name; keeps a file that another process put there first. */
bool file_publish(int dir, const char *tmp, const char *path, struct err *err) MUST_CHECK;
void file_remove_new(int dir, const char *tmp);

/* ---- schema.c: the ladder of schema/N.sql */
#define SCHEMA_VERSION 5
#define SCHEMA_APP_ID  0x52454c53 /* "RELS" */
bool schema_build(int dir, const char *name, struct err *err) MUST_CHECK;
/* Ours, and of a version that we know; migrates when the store is open for writing. */
bool schema_vet(struct sqlite *s, struct err *err) MUST_CHECK;

#endif
