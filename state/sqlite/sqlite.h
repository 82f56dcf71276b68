/* SPDX-License-Identifier: MIT */
/* SQLite as the store's database: one file, WAL, synchronous=FULL, mode 0600 in a directory that nobody else
 * may write to. sqlite3.h stays in this folder. */
#ifndef RELEASE_STATE_SQLITE_H
#define RELEASE_STATE_SQLITE_H

#include "state/db.h"

extern const struct db_kind sqlite_kind;

#endif
