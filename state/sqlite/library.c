/* SPDX-License-Identifier: MIT */
#include <sqlite3.h>

#include "base/library.h"

extern const struct library sqlite_library;

const struct library sqlite_library = {
    .name = "SQLite", .package = "libsqlite3-0", .does = "the journal", .version = sqlite3_libversion};
