/* SPDX-License-Identifier: MIT */
/* What the tests of the store share: a private directory, a release to hang rows on, raw SQL from outside. */
#ifndef RELEASE_TESTS_STATE_HELP_H
#define RELEASE_TESTS_STATE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "state/store.h"

static char scratch_dir[64];

/* A directory of our own for one test, and a name in it; in memory where there is such a file system, because
 * thousands of real syncs on a busy disk take minutes and prove nothing more (the faults are made, not met).
 */
static inline int scratch_make(void **state)
{
    snprintf(scratch_dir, sizeof(scratch_dir), "%s/release-state-XXXXXX",
             access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
    *state = mkdtemp(scratch_dir);
    return *state ? 0 : -1;
}

static inline int scratch_remove(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof(command), "rm -rf %s", scratch_dir);
    return system(command);
}

static inline const char *scratch(const char *name)
{
    static char paths[8][256];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", scratch_dir, name);
    return path;
}

#define ok(call) ok_at((call), &err, #call, __LINE__)
static inline void ok_at(bool result, const struct err *err, const char *call, int line)
{
    if (!result)
        fail_msg("line %d: %s: %s", line, call, err->text);
}

/* The call must fail with this code and say these words. */
#define refused(call, wanted, words) refused_at((call), &err, (wanted), (words), #call, __LINE__)
static inline void refused_at(bool result, const struct err *err, enum err_code code, const char *words,
                              const char *call, int line)
{
    if (result)
        fail_msg("line %d: %s succeeded, wanted '%s'", line, call, words);
    if (err->code != code || !strstr(err->text, words))
        fail_msg("line %d: %s said (%d) '%s', wanted (%d) '%s'", line, call, err->code, err->text, code,
                 words);
}

static inline struct store *store_write(const char *name)
{
    struct err err;
    struct store *s = NULL;
    ok(store_open(scratch(name), STORE_WRITE, &s, &err));
    return s;
}

static inline struct store *store_read(const char *name)
{
    struct err err;
    struct store *s = NULL;
    ok(store_open(scratch(name), STORE_READ, &s, &err));
    return s;
}

static inline int64_t release_of(struct store *s, const char *env, enum release_kind kind)
{
    struct err err;
    int64_t id = 0;
    struct release_new r = {
        .env = env,
        .app = "plone",
        .kind = kind,
        .plan_name = "rolling",
        .rev = "f5d9859f5d9859f5d9859f5d9859f5d9859f5d98",
        .rev_typed = "f5d9859",
        .who = "ann",
        .host = "ctl1",
        .plan_json = "{\"nodes\":[]}",
        .plan_digest = "d1",
        .at_ms = 1000,
    };
    ok(release_insert(s, &r, &id, &err));
    return id;
}

static inline void row_add(struct store *s, struct row row)
{
    struct err err;
    ok(store_begin(s, &err));
    ok(journal_append(s, &row, &err));
    ok(store_commit(s, &err));
}

/* SQL from a stranger with the file in his hands; returns SQLite's code. */
static inline int raw_sql(const char *name, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(scratch(name), &db), SQLITE_OK);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_close(db);
    return rc;
}

static inline int64_t raw_number(const char *name, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open(scratch(name), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

#define in_scratch(test) cmocka_unit_test_setup_teardown(test, scratch_make, scratch_remove)

static inline char *file_text(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("cannot read %s", path);
    char *text = calloc(1, 1 << 20);
    *ret_n = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    return text;
}

/* The journal that an older version left, as a file. */
static inline void put_fixture(const char *name, int version)
{
    size_t n;
    char path[300];
    snprintf(path, sizeof(path), SOURCE_DIR "/tests/unit/fixtures/journal-v%d.sql", version);
    char *sql = file_text(path, &n);
    assert_int_equal(raw_sql(name, "PRAGMA journal_mode = WAL"), SQLITE_OK);
    assert_int_equal(raw_sql(name, sql), SQLITE_OK);
    assert_int_equal(chmod(scratch(name), 0600), 0);
    free(sql);
}

#endif
