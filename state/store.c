/* SPDX-License-Identifier: MIT */
/* Open, close, transactions, and what becomes of a store that failed.
 *
 * After a failed commit, memory is ahead of what is kept, and nobody knows how much of it: so a failed store
 * refuses every further write until it is opened anew, and what counts is what is read then. */
#include "state/store.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/str.h"
#include "state/sqlite/sqlite.h"
#include "state/store_priv.h"

static const struct db_kind *db_kind_of(const char *place)
{
    (void)place; /* one kind so far: every place is a file */
    return &sqlite_kind;
}

bool store_open(const char *place, enum store_mode mode, struct store **ret, struct err *err)
{
    auto_store struct store *s = xcalloc(1, sizeof(*s));
    s->mode = mode;
    if (!db_kind_of(place)->open(place, mode, &s->db, err))
        return false;
    *ret = s;
    s = NULL;
    return true;
}

static void scope_fini(struct store *s)
{
    for (size_t i = 0; i < s->n_said; i++) {
        free(s->said[i].env);
        free(s->said[i].app);
    }
    free(s->said);
    free(s->root);
}

void store_close(struct store *s)
{
    if (!s)
        return;
    if (s->in_tx)
        store_rollback(s);
    if (s->db)
        s->db->kind->close(s->db);
    scope_fini(s);
    free(s);
}

void store_auto_close(struct store **s)
{
    store_close(*s);
}

const char *store_place(const struct store *s)
{
    return s->db->kind->place(s->db);
}

struct reader reader(struct store *s, struct arena *arena)
{
    return (struct reader){.store = s, .arena = arena};
}

bool store_version(struct store *s, int64_t *ret, struct err *err)
{
    return store_ok(s, s->db->kind->version(s->db, ret, err), err);
}

/* ---- failures */

bool store_ok(struct store *s, enum db_end end, struct err *err)
{
    if (end == DB_OK)
        return true;
    if (s->in_tx && s->tx_err.code == E_NONE)
        s->tx_err = *err;
    if (s->mode == STORE_WRITE && end == DB_BROKEN && s->broken.code == E_NONE)
        s->broken = *err;
    return false;
}

static bool refuse_broken(const struct store *s, struct err *err)
{
    *err = s->broken;
    return err_wrap(err, "nothing more is written after an earlier failure");
}

/* ---- transactions */

bool store_begin(struct store *s, struct err *err)
{
    must(!s->in_tx);
    s->tx_err.code = E_NONE;
    if (s->mode == STORE_WRITE && s->broken.code != E_NONE)
        return refuse_broken(s, err);
    s->in_tx = store_ok(s, s->db->kind->begin(s->db, err), err);
    return s->in_tx;
}

void store_rollback(struct store *s)
{
    if (s->in_tx)
        s->db->kind->rollback(s->db);
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
    enum db_end end = s->db->kind->commit(s->db, err);
    if (end != DB_OK) {
        store_ok(s, DB_BROKEN, err); /* whether it was kept is not known, whatever the reason */
        store_rollback(s);
        return false;
    }
    s->in_tx = false;
    return true;
}

bool tx_open(struct tx *tx, struct store *s, struct err *err)
{
    *tx = (struct tx){.store = s, .own = !s->in_tx};
    if (s->mode != STORE_WRITE)
        return err_set(err, E_JOURNAL, "journal %s is open for reading only", store_place(s));
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
