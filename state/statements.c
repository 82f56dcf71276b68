/* SPDX-License-Identifier: MIT */
/* The texts of sql.h, for whoever prepares them. */
#include "state/sql.h"

#define SQL_TEXT(n, text) text,
static const char *const texts[] = {SQL_LIST(SQL_TEXT)};

const char *sql_text(enum sql id)
{
    return texts[id];
}
