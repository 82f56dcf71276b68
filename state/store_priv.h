/* Inside state/ only: the open store, and where its parts meet. */
#ifndef RELEASE_STATE_STORE_PRIV_H
#define RELEASE_STATE_STORE_PRIV_H

#include <sqlite3.h>
#include <sys/types.h>

#include "base/str.h"
#include "state/sql.h"
#include "state/store.h"

#define STORE_BUSY_MS 5000

/* Which file a name stood for when we opened it. */
struct file_id {
    dev_t dev;
    ino_t ino;
};

/* What a tree's pillar says: the application of its environment `env`. */
struct app_said {
    char *env, *app;
};

struct store {
    sqlite3 *db; /* NULL: READ, and there is no file yet */
    char *path, *wal_path;
    int dir; /* its directory; SQLite reaches all its files through it */
    enum store_mode mode;
    bool in_tx;
    bool immutable;    /* READ of a file without a -wal: nobody writes, and we create nothing */
    uint32_t n_opened; /* connections made so far */
    int open_queries;  /* a READ store changes its connection only between queries */
    struct err tx_err; /* the first failure inside this transaction: it can only be rolled back */
    struct err broken; /* after a failed commit: why every further write is refused */
    struct file_id file, wal;
    char *root; /* the tree that bare names of environments are of; NULL = none */
    struct app_said *said;
    size_t n_said;
    sqlite3_stmt *stmts[SQL_COUNT];
};

/* ---- store.c */
/* BEGIN and COMMIT around a function that writes, unless its caller has a transaction open already. */
struct tx {
    struct store *store;
    bool own;
};
bool tx_open(struct tx *tx, struct store *s, struct err *err) MUST_CHECK;
bool tx_close(struct tx *tx, bool ok, struct err *err) MUST_CHECK;
/* READ: the file may appear, or be put back from a backup, while a watcher looks. */
bool store_refresh(struct store *s, struct err *err) MUST_CHECK;
/* What SQLite said, for people; returns false. db may be NULL. */
bool db_failed(sqlite3 *db, const char *path, int rc, const char *doing, struct err *err);
/* As db_failed, and marks the store broken when no further write can be trusted. */
bool store_failed(struct store *s, int rc, const char *doing, struct err *err);

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

/* ---- schema.c */
#define SCHEMA_VERSION 5
#define SCHEMA_APP_ID  0x52454c53 /* "RELS" */
bool schema_build(int dir, const char *name, struct err *err) MUST_CHECK;
/* Ours, and of a version that we know; migrates when the store is open for writing. */
bool schema_vet(struct store *s, struct err *err) MUST_CHECK;
/* How a file is opened: by its name in a directory; `path` is for messages. */
struct opening {
    int dir;
    const char *name, *path;
    enum store_mode mode;
    bool immutable;
};
/* A connection with all our settings on. */
bool db_connect(const struct opening *how, sqlite3 **ret, struct err *err) MUST_CHECK;

/* ---- environment.c */
void scope_fini(struct store *s);
/* The name of an environment out of two columns. */
const char *env_from_row(const struct query *q, int app_column, int env_column, struct arena *arena);

/* ---- queue.c: inside a transaction of the caller */
struct waiter;
/* Is the free lock of env kept for somebody else (*ret_mine false, *ret_other who)? Settles the queue first.
 */
bool queue_turn(struct store *s, const char *env, const char *who, int64_t now_ms, struct arena *arena,
                struct waiter *ret_other, bool *ret_mine, struct err *err) MUST_CHECK;
/* `who` has the lock now: its place, if it had one, is used up. */
bool queue_served(struct store *s, const char *env, const char *who, int64_t now_ms,
                  struct err *err) MUST_CHECK;

/* ---- vec: results grow on the heap and end in the caller's arena */
struct vec {
    void *data;
    size_t n, cap, size;
};
#define VEC_INIT(type) ((struct vec){.size = sizeof(type)})
void *vec_add(struct vec *v); /* the new last element, zeroed; valid until the next add */
void *vec_take(struct vec *v, struct arena *arena, size_t *ret_n);
void vec_fini(struct vec *v);
#define auto_vec __attribute__((cleanup(vec_fini)))

#endif
