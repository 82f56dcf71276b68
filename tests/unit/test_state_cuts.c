/* SPDX-License-Identifier: MIT */
/* Power goes after every single write, sync, rename and truncation of a small release, and of what was not
 * synced nothing, all, any sectors or half a sector are left (docs/promises.md#m4): the journal always opens
 * and is sound, no acknowledged row is lost, none is there that was not written, and one can go on.
 *
 * The same while a journal of each older version is brought up to date: it is the old one or the new one.
 *
 * CUT_EVERY=1 takes every point (the suite every third), CUT_RANDOM=20 so many random disks at each,
 * CUT_SEED=N others. */
#include "unit/cut_disk.h"

#include "base/auto.h"
#include "state/sqlite/sqlite_priv.h"

/* All that can be seen of the journal. */
struct world {
    size_t releases, ended, rows, outputs;
    int64_t cursor;
    bool locked;
};

#define ACTS_MAX 200
static struct world after[ACTS_MAX + 1]; /* after so many acknowledged acts; 0 = opened */
static size_t n_acts;
static struct world now;

static const char *row_text(size_t i)
{
    static char text[6001];
    size_t n = (i * 37) % 200 + (i % 9 == 8 ? 5800 : 0); /* some over more than one page */
    memset(text, 'a' + (int)(i % 26), n);
    text[n] = '\0';
    return text;
}

static void acknowledged(void)
{
    after[++n_acts] = now;
    assert_true(n_acts < ACTS_MAX);
    rec_add(REC_ACK, -1);
}

/* ---- what is recorded: three times opened, two releases, checkpoints at each close and one in between */

static void commit_rows(struct store *s, int64_t release, size_t n)
{
    struct err err;
    ok(store_begin(s, &err));
    for (size_t i = 0; i < n; i++, now.rows++) {
        struct row row = {.release = release,
                          .kind = now.rows % 2 ? ROW_OUTCOME : ROW_INTENT,
                          .node = "app1",
                          .verb = "cmd.run",
                          .role = "run",
                          .code = now.rows % 2 ? "ok" : "",
                          .a = (int64_t)now.rows,
                          .text = row_text(now.rows)};
        ok(journal_append(s, &row, &err));
    }
    if (n > 2) {
        struct output o = {.release = release,
                           .node = "app1",
                           .stream = 1,
                           .data = row_text(now.rows),
                           .n = strlen(row_text(now.rows))};
        if (o.n) {
            ok(output_append(s, &o, &err));
            now.outputs++;
        }
    }
    ok(store_commit(s, &err));
    acknowledged();
}

static void lock_it(struct store *s, struct arena *a, struct lock_info *ret)
{
    struct err err;
    ok(lock_take(s, &(struct lock_request){.env = "prod", .who = "ann", .why = "a test"}, a, ret, &err));
    now.locked = true;
    acknowledged();
}

static void unlock_it(struct store *s, int64_t fence)
{
    struct err err;
    ok(lock_free(s, &(struct lock_end){.env = "prod", .fence = fence, .who = "ann", .why = "done"}, &err));
    now.locked = false;
    acknowledged();
}

static void release_of_two_nodes(struct store *s, size_t turns, const char *name)
{
    struct err err;
    auto_arena struct arena a = {0};
    struct lock_info lock;
    lock_it(s, &a, &lock);
    int64_t release = release_of(s, "prod", KIND_RELEASE);
    now.releases++;
    acknowledged();
    for (size_t i = 0; i < turns; i++) {
        commit_rows(s, release, 1 + i % 5);
        if (i == turns / 2 && name) /* a reader with a checkpoint in the middle, as a long run has them */
            assert_int_equal(raw_sql(name, "PRAGMA wal_checkpoint(FULL)"), SQLITE_OK);
    }
    ok(cursor_set(s, "chat", (int64_t)now.rows, &err));
    now.cursor = (int64_t)now.rows;
    acknowledged();
    ok(release_end(s, &(struct release_end_new){.release = release, .summary = "released", .at_ms = 5},
                   &err));
    now.ended++;
    acknowledged();
    unlock_it(s, lock.fence);
}

static void make_record(void)
{
    assert_int_equal(mkdir(scratch("rec"), 0700), 0);
    record_start(scratch("rec"));
    for (int session = 0; session < 3; session++) {
        struct store *s = store_write("rec/j.db");
        if (session == 0)
            acknowledged();
        release_of_two_nodes(s, session == 1 ? 12 : 6, session == 1 ? "rec/j.db" : NULL);
        store_close(s);
    }
    record_end();
}

/* ---- what is judged at every cut */

static size_t cut_at;
static const char *cut_how;

#define hold(x) hold_at((x), #x, __LINE__)
static void hold_at(bool x, const char *text, int line)
{
    if (!x)
        fail_msg("line %d: not so: %s; cut after record %zu of %zu, %s", line, text, cut_at, record.n,
                 cut_how);
}
#define need(call) need_at((call), &err, #call, __LINE__)
static void need_at(bool x, const struct err *err, const char *text, int line)
{
    if (!x)
        fail_msg("line %d: %s: %s; cut after record %zu of %zu, %s", line, text, err->text, cut_at, record.n,
                 cut_how);
}

static struct world look(struct store *s)
{
    struct err err;
    auto_arena struct arena a = {0};
    struct world w = {0};
    struct release_info *list;
    struct row *rows;
    struct output *outputs;
    struct lock_info lock;
    need(release_list(reader(s, &a), &(struct newest){.limit = 100}, &list, &w.releases, &err));
    for (size_t i = 0; i < w.releases; i++)
        w.ended += list[i].ended_ms != 0;
    need(journal_read(reader(s, &a), &(struct row_range){.limit = 10000}, &rows, &w.rows, &err));
    size_t ours = 0;
    for (size_t i = 0; i < w.rows; i++) {
        if (rows[i].kind != ROW_INTENT && rows[i].kind != ROW_OUTCOME)
            continue;
        hold(rows[i].a == (int64_t)ours && strcmp(rows[i].text, row_text(ours)) == 0);
        ours++;
    }
    w.rows = ours;
    for (int64_t id = 1; id <= (int64_t)w.releases; id++) {
        size_t n = 0;
        need(output_read(reader(s, &a), &(struct output_range){.release = id, .step = -1, .limit = 10000},
                         &outputs, &n, &err));
        w.outputs += n;
    }
    need(cursor_get(s, "chat", &w.cursor, &err));
    need(lock_get(reader(s, &a), "prod", &lock, &err));
    w.locked = lock.held;
    return w;
}

static bool same(const struct world *a, const struct world *b)
{
    return a->releases == b->releases && a->ended == b->ended && a->rows == b->rows &&
           a->outputs == b->outputs && a->cursor == b->cursor && a->locked == b->locked;
}

/* As acknowledged, or with the one act that was under way. */
static void judge(const struct world *w, size_t acked)
{
    if (same(w, &after[acked]) || (acked < n_acts && same(w, &after[acked + 1])))
        return;
    fail_msg("%zu acts were acknowledged (%zu rows, %zu releases, cursor %lld, lock %d), and there are %zu "
             "rows, %zu "
             "releases, cursor %lld, lock %d; cut after record %zu of %zu, %s",
             acked, after[acked].rows, after[acked].releases, (long long)after[acked].cursor,
             after[acked].locked, w->rows, w->releases, (long long)w->cursor, w->locked, cut_at, record.n,
             cut_how);
}

static void check_cut(size_t acked)
{
    struct err err;
    struct store *s = NULL;
    need(store_open(scratch("cut/j.db"), STORE_READ, &s, &err));
    struct world w = look(s);
    store_close(s);
    judge(&w, acked);
    need(store_open(scratch("cut/j.db"), STORE_WRITE, &s, &err));
    struct world again = look(s);
    hold(same(&w, &again));
    need(cursor_set(s, "other", 7, &err));
    int64_t seven = 0;
    store_close(s);
    need(store_open(scratch("cut/j.db"), STORE_READ, &s, &err));
    need(cursor_get(s, "other", &seven, &err));
    hold(seven == 7);
    again = look(s);
    hold(same(&w, &again));
    store_close(s);
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    hold(sqlite3_open(scratch("cut/j.db"), &db) == SQLITE_OK &&
         sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL) == SQLITE_OK &&
         sqlite3_step(stmt) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

static size_t number_of(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    return text ? (size_t)strtoul(text, NULL, 10) : otherwise;
}

static size_t check_point(size_t acked, size_t n_random)
{
    static const char *const names[] = {"nothing unsynced left", "all left", "the last write torn",
                                        "random sectors left"};
    size_t n = 0;
    for (int how = LEAVE_NONE; how <= LEAVE_RANDOM; how++) {
        size_t times = disk.n_pending == 0 && how != LEAVE_NONE ? 0 : how == LEAVE_RANDOM ? n_random : 1;
        for (size_t i = 0; i < times; i++, n++) {
            cut_how = names[how];
            disk_leave(scratch("cut"), (enum leave)how,
                       number_of("CUT_SEED", 1) * 1000003 + cut_at * 101 + i);
            check_cut(acked);
        }
    }
    return n;
}

static void power_goes_at_every_point(void **state)
{
    (void)state;
    memset(&now, 0, sizeof(now));
    n_acts = 0;
    make_record();
    assert_int_equal(mkdir(scratch("cut"), 0700), 0);
    size_t every = number_of("CUT_EVERY", 3), n_random = number_of("CUT_RANDOM", 2), acked = 0, points = 0,
           disks = 0;
    for (cut_at = 0; cut_at <= record.n; cut_at++) {
        if (cut_at) {
            disk_step(cut_at - 1);
            acked += record.recs[cut_at - 1].kind == REC_ACK;
        }
        if (cut_at % every && cut_at != record.n)
            continue;
        points++;
        /* Act 1 is the opening itself: until it is acknowledged there may be no file. */
        disks += check_point(acked, n_random);
    }
    assert_int_equal(acked, n_acts);
    print_message("  %zu points of %zu records, %zu disks, %zu acknowledged acts\n", points, record.n, disks,
                  n_acts);
    disk_free();
    record_free();
}

/* ---- an older journal on its way up */

/* All that the tables hold, but for the journal's name for itself, which is drawn when it climbs. */
static void digest_rows(sqlite3 *db, const char *table, struct buf *ret)
{
    char sql[200];
    sqlite3_stmt *stmt = NULL;
    snprintf(sql, sizeof(sql), "SELECT * FROM %s ORDER BY 1, 2", table);
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) { /* one column has no second */
        snprintf(sql, sizeof(sql), "SELECT * FROM %s ORDER BY 1", table);
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    }
    buf_printf(ret, "%s:\n", table);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        for (int i = 0; strcmp(table, "self") != 0 && i < sqlite3_column_count(stmt); i++)
            buf_printf(ret, "%s|", (const char *)sqlite3_column_text(stmt, i));
        buf_puts(ret, "\n");
    }
    sqlite3_finalize(stmt);
}

static void digest_of(const char *path, struct buf *ret)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    buf_printf(ret, "%s\n", (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT name, sql FROM sqlite_schema ORDER BY name", -1, &stmt, NULL),
        SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *sql = (const char *)sqlite3_column_text(stmt, 1);
        buf_printf(ret, "%s\n", sql ? sql : "");
        if (sql && strncmp(sql, "CREATE TABLE", 12) == 0)
            digest_rows(db, (const char *)sqlite3_column_text(stmt, 0), ret);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

static void record_climb(int version)
{
    record_start(scratch("rec"));
    put_fixture("rec/j.db", version);
    int dir = open(scratch("rec"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0 && fsync(dir) == 0);
    close(dir);
    rec_add(REC_ACK, -1);
    struct store *s = store_write("rec/j.db");
    rec_add(REC_ACK, -1);
    store_close(s);
    record_end();
}

/* Read as it is, brought up, and compared; what was brought up before the cut needs nobody to bring it up again. */
static void check_climb(bool climbed, const char *wanted)
{
    struct err err = {0};
    struct store *s = NULL;
    if (store_open(scratch("cut/j.db"), STORE_READ, &s, &err))
        store_close(s);
    else
        hold(!climbed && strstr(err.text, "written by an older release"));
    need(store_open(scratch("cut/j.db"), STORE_WRITE, &s, &err));
    store_close(s);
    auto_buf struct buf now_there = BUF_INIT(8 << 20);
    digest_of(scratch("cut/j.db"), &now_there);
    if (strcmp(buf_str(&now_there), wanted) != 0)
        fail_msg("another journal came of it; cut after record %zu of %zu, %s", cut_at, record.n, cut_how);
}

static size_t cut_climb(const char *wanted)
{
    static const char *const names[] = {"nothing unsynced left", "all left", "the last write torn",
                                        "random sectors left"};
    size_t acked = 0, disks = 0, every = number_of("CUT_EVERY", 3);
    for (cut_at = 0; cut_at <= record.n; cut_at++) {
        if (cut_at) {
            disk_step(cut_at - 1);
            acked += record.recs[cut_at - 1].kind == REC_ACK;
        }
        if (acked == 0 || (cut_at % every && cut_at != record.n))
            continue;
        for (int how = LEAVE_NONE; how <= LEAVE_RANDOM; how++, disks++) {
            cut_how = names[how];
            disk_leave(scratch("cut"), (enum leave)how, number_of("CUT_SEED", 1) * 1000003 + cut_at * 101);
            check_climb(acked == 2, wanted);
        }
    }
    assert_int_equal(acked, 2);
    return disks;
}

static void power_goes_while_an_older_journal_climbs(void **state)
{
    (void)state;
    for (int version = 1; version < SCHEMA_VERSION; version++) {
        assert_int_equal(mkdir(scratch("rec"), 0700), 0);
        assert_int_equal(mkdir(scratch("cut"), 0700), 0);
        record_climb(version);
        auto_buf struct buf wanted = BUF_INIT(8 << 20);
        digest_of(scratch("rec/j.db"), &wanted);
        assert_true(strncmp(buf_str(&wanted), "ok\n", 3) == 0);
        size_t disks = cut_climb(buf_str(&wanted));
        print_message("  from version %d: %zu records, %zu disks\n", version, record.n, disks);
        disk_free();
        record_free();
        assert_int_equal(scratch_remove(state), 0);
        assert_int_equal(mkdir(scratch_dir, 0700), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(power_goes_at_every_point),
        in_scratch(power_goes_while_an_older_journal_climbs),
    };
    shim_hooks = (struct shim_hooks){
        .write = on_write, .truncate = on_truncate, .opened = on_opened, .deleting = on_deleting};
    shim_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
