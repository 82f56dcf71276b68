/* SPDX-License-Identifier: MIT */
/* Inside state/ only: the open store, and where its parts meet. */
#ifndef RELEASE_STATE_STORE_PRIV_H
#define RELEASE_STATE_STORE_PRIV_H

#include "base/str.h"
#include "state/db.h"
#include "state/sql.h"
#include "state/store.h"

/* What a tree's pillar says: the application of its environment `env`. */
struct app_said {
    char *env, *app;
};

struct store {
    struct db *db;
    enum store_mode mode;
    bool in_tx;
    struct db_ran ran; /* what the last sql_run did */
    struct err tx_err; /* the first failure inside this transaction: it can only be rolled back */
    struct err broken; /* after a failed commit: why every further write is refused */
    char *root;        /* the tree that bare names of environments are of; NULL = none */
    struct app_said *said;
    size_t n_said;
};

/* ---- store.c */
/* BEGIN and COMMIT around a function that writes, unless its caller has a transaction open already. */
struct tx {
    struct store *store;
    bool own;
};
bool tx_open(struct tx *tx, struct store *s, struct err *err) MUST_CHECK;
bool tx_close(struct tx *tx, bool ok, struct err *err) MUST_CHECK;
/* What became of a call of the database, remembered where it must be. true: it went well. */
bool store_ok(struct store *s, enum db_end end, struct err *err);

/* ---- environment.c */
/* The name of an environment out of two columns. */
const char *env_from_row(const struct query *q, int app_column, int env_column, struct arena *arena);

/* ---- queue.c: inside a transaction of the caller */
struct turn;
struct waiter;
/* For whom the free lock is kept; *ret_other NULL: for nobody, or for turn->who. Settles the queue first. */
bool queue_turn(struct reader r, const struct turn *turn, const struct waiter **ret_other,
                struct err *err) MUST_CHECK;
/* turn->who has the lock now: its place, if it had one, is used up. */
bool queue_served(struct store *s, const struct turn *turn, struct err *err) MUST_CHECK;

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
