/* SPDX-License-Identifier: MIT */
/* The seam between what the store keeps (releases, journal, lock, orders ...) and the database that keeps it.
 *
 * A kind of database fills the table below; nothing above it includes a database's own headers, and nothing
 * below it knows what a release is. SQLite's is state/sqlite. CONTRIBUTING.md, "a new store", says what else
 * a kind owes. One thread uses one connection. */
#ifndef RELEASE_STATE_DB_H
#define RELEASE_STATE_DB_H

#include "state/sql.h"
#include "state/store.h"

/* A kind's own connection begins with it. */
struct db {
    const struct db_kind *kind;
};
/* An answer whose rows are not all taken yet; the kind's own. */
struct db_rows;

/* DB_REFUSED concerns this statement alone: a constraint, a busy database. After DB_BROKEN the connection is
 * in doubt: a store that writes refuses every further write until it is opened anew. Both set *err. */
enum db_end { DB_OK, DB_REFUSED, DB_BROKEN };

/* What a statement that changes something did. */
struct db_ran {
    int64_t id;      /* of the row that it inserted last */
    int64_t changed; /* how many rows */
};

struct db_kind {
    /* `place` NULL: the kind's default. READ of what is not there yet: ok, and every answer is empty until it
     * comes. WRITE makes it, and brings an older schema up to date. */
    bool (*open)(const char *place, enum store_mode mode, struct db **ret, struct err *err);
    void (*close)(struct db *db);
    /* For people, and good for `open`; lives as long as the connection. */
    const char *(*place)(const struct db *db);

    /* READ: one snapshot for several questions. WRITE: nobody else writes until the end. */
    enum db_end (*begin)(struct db *db, struct err *err);
    /* Durable when it says DB_OK. After anything else rollback follows. */
    enum db_end (*commit)(struct db *db, struct err *err);
    void (*rollback)(struct db *db);

    /* Inside a transaction. */
    enum db_end (*run)(struct db *db, const struct statement *what, struct db_ran *ret, struct err *err);

    /* A question. *ret NULL: there is nothing yet that could be asked. What its values point to lives until
     * `done`. */
    enum db_end (*ask)(struct db *db, const struct statement *what, struct db_rows **ret, struct err *err);
    /* *ret_row false: no more rows. */
    enum db_end (*next)(struct db *db, struct db_rows *rows, bool *ret_row, struct err *err);
    void (*done)(struct db *db, struct db_rows *rows);
    int64_t (*number)(struct db_rows *rows, int column);
    /* NULL for NULL; ends with a NUL that *ret_n does not count; lives until the next `next`. */
    const char *(*bytes)(struct db_rows *rows, int column, size_t *ret_n);

    /* A number that is another one when somebody else has committed. Cheap, for pollers. */
    enum db_end (*version)(struct db *db, int64_t *ret, struct err *err);
};

#endif
