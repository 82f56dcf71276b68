/* SPDX-License-Identifier: MIT */
/* The Nth write or sync fails, once or for ever, for every N until a run passes: no acknowledged row may be
 * lost, none may be acknowledged that is not there, and the journal opens again.
 *
 * A VFS between SQLite and the disk counts (vfs_shim.h). */
#include <sys/wait.h>

#include "unit/vfs_shim.h"

enum fault_kind { FAULT_NONE, FAULT_WRITE_IO, FAULT_WRITE_FULL, FAULT_WRITE_TORN, FAULT_SYNC };

static struct {
    enum fault_kind kind;
    bool for_ever;
    int left; /* calls until the first failure */
    int hits;
} fault;
static int n_syncs;

static bool strikes(bool is_sync)
{
    bool mine = is_sync ? fault.kind == FAULT_SYNC : fault.kind != FAULT_NONE && fault.kind != FAULT_SYNC;
    if (!mine || fault.left < 0)
        return false;
    if (fault.left > 0) {
        fault.left--;
        return false;
    }
    if (!fault.for_ever)
        fault.left = -1;
    fault.hits++;
    return true;
}

static int failing_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
    sqlite3_file *real = real_of(f);
    if (!strikes(false))
        return real->pMethods->xWrite(real, data, n, at);
    if (fault.kind == FAULT_WRITE_TORN)
        real->pMethods->xWrite(real, data, n / 2, at);
    return fault.kind == FAULT_WRITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

/* A failed sync has written nothing for sure; what the kernel kept of it is what it was before. */
static int failing_sync(sqlite3_file *f, int flags)
{
    sqlite3_file *real = real_of(f);
    n_syncs++;
    return strikes(true) ? SQLITE_IOERR_FSYNC : real->pMethods->xSync(real, flags);
}

#define COMMITS         12
#define ROWS_PER_COMMIT 3

/* What one run was told: opened, release acknowledged, commits acknowledged. */
struct told {
    bool opened, release;
    int commits;
};

static bool commit_some(struct store *s, int64_t release, int turn)
{
    struct err err;
    if (!store_begin(s, &err))
        return false;
    for (int i = 0; i < ROWS_PER_COMMIT; i++) {
        struct row row = {.release = release,
                          .kind = ROW_NOTE,
                          .code = "life",
                          .a = turn,
                          .b = i,
                          .text =
                              "a row that is long enough to fill a page or two in the course of this run"};
        if (!journal_append(s, &row, &err)) {
            store_rollback(s);
            return false;
        }
    }
    int before = n_syncs;
    if (!store_commit(s, &err))
        return false;
    assert_true(n_syncs > before); /* no acknowledgement without a sync of its own */
    return true;
}

/* What is swept: the making of a journal, or writing to one that is there (a copy: making one is nine tenths
 * of the work, and the same for each point behind it). */
enum part { PART_OPENING, PART_WRITING };

struct point {
    enum fault_kind kind;
    bool for_ever;
    int n;
    enum part part;
};

static void arm(const struct point *p)
{
    fault = (__typeof__(fault)){.kind = p->kind, .for_ever = p->for_ever, .left = p->n};
}

static struct store *open_at(const char *name, const struct point *p, struct told *told)
{
    struct err err;
    struct store *s = NULL;
    if (p->part == PART_OPENING)
        arm(p);
    told->opened = store_open(scratch(name), STORE_WRITE, &s, &err);
    if (!told->opened)
        assert_int_equal(err.code, E_JOURNAL);
    if (p->part == PART_WRITING)
        arm(p);
    return told->opened ? s : NULL;
}

static void write_until_it_fails(struct store *s, struct told *told)
{
    struct err err;
    int64_t release = 0;
    struct release_new r = {.env = "prod", .kind = KIND_RELEASE, .plan_json = "{}"};
    told->release = release_insert(s, &r, &release, &err);
    while (told->release && told->commits < COMMITS && commit_some(s, release, told->commits))
        told->commits++;
}

/* Then every further write must be refused. */
static struct told run(const char *name, const struct point *p)
{
    struct err err;
    struct told told = {0};
    struct store *s = open_at(name, p, &told);
    if (!s)
        return told;
    write_until_it_fails(s, &told);
    if (!told.release || told.commits < COMMITS) {
        assert_true(fault.hits > 0);
        refused(store_begin(s, &err), E_JOURNAL, "nothing more is written");
        refused(cursor_set(s, "x", 1, &err), E_JOURNAL, "nothing more is written");
    }
    store_close(s);
    return told;
}

/* Everything acknowledged is there, in whole transactions, and new rows can be added. */
static void check_after(const char *name, const struct told *told)
{
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write(name);
    struct release_info *list;
    struct row *rows;
    size_t n;
    ok(release_list(reader(s, &a), &(struct newest){.limit = 10}, &list, &n, &err));
    assert_true(n <= 1 && n >= (told->release ? 1u : 0u));
    ok(journal_read(reader(s, &a), &(struct row_range){.limit = 1000}, &rows, &n, &err));
    assert_int_equal(n % ROWS_PER_COMMIT, 0);
    assert_true(n >= (size_t)told->commits * ROWS_PER_COMMIT);
    assert_true(n <= (size_t)(told->commits + 1) * ROWS_PER_COMMIT);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rows[i].a, i / ROWS_PER_COMMIT);
        assert_int_equal(rows[i].b, i % ROWS_PER_COMMIT);
    }
    assert_true(commit_some(s, release_of(s, "prod", KIND_RELEASE), 0));
}

/* The controller's power goes instead of a clean close: a child that never closes its store. */
static struct told run_and_die(const char *name, const struct point *p)
{
    struct told told = {0};
    int out[2];
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct store *s = open_at(name, p, &told);
        if (s)
            write_until_it_fails(s, &told);
        bool said = write(out[1], &told, sizeof(told)) == sizeof(told) &&
                    write(out[1], &fault.hits, sizeof(fault.hits)) == sizeof(fault.hits);
        _exit(said ? 0 : 1);
    }
    assert_int_equal(read(out[0], &told, sizeof(told)), sizeof(told));
    assert_int_equal(read(out[0], &fault.hits, sizeof(fault.hits)), sizeof(fault.hits));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(out[0]);
    close(out[1]);
    return told;
}

static void copy_journal(const char *from, const char *to)
{
    char command[300];
    snprintf(command, sizeof(command), "cp -a %s/%s %s/%s", scratch_dir, from, scratch_dir, to);
    assert_int_equal(system(command), 0);
}

/* Every point from the first until nothing is hit any more; of the opening each `every`th, beginning with
 * `from`. */
static void sweep_part(struct point p, bool dies, int from, int every)
{
    int points = 0;
    if (p.part == PART_WRITING && access(scratch("made"), F_OK) != 0)
        store_close(store_write("made/j.db"));
    for (int hit = 1; hit; p.n++) {
        char dir[40], name[48];
        if (p.part == PART_OPENING && p.n % every != from)
            continue;
        snprintf(dir, sizeof(dir), "f%d.%d.%d.%d", p.part, p.kind, p.for_ever, p.n);
        snprintf(name, sizeof(name), "%s/j.db", dir);
        if (p.part == PART_WRITING)
            copy_journal("made", dir);
        struct told told = dies ? run_and_die(name, &p) : run(name, &p);
        hit = fault.hits && !(p.part == PART_OPENING && told.release); /* behind it is the other part's */
        bool all = !fault.hits;
        fault.kind = FAULT_NONE;
        check_after(name, &told);
        if (all)
            assert_int_equal(told.commits, COMMITS);
        assert_true(p.n < 1000);
        points++;
    }
    print_message("  kind %d, %s, %s, %s: %d points\n", p.kind, p.for_ever ? "for ever" : "once",
                  dies ? "then killed" : "then closed", p.part == PART_OPENING ? "opening" : "writing",
                  points);
}

static void sweep(enum fault_kind kind, bool for_ever, bool dies, int from, int every)
{
    sweep_part((struct point){.kind = kind, .for_ever = for_ever, .part = PART_OPENING}, dies, from, every);
    sweep_part((struct point){.kind = kind, .for_ever = for_ever, .part = PART_WRITING}, dies, 0, 1);
}

/* The three kinds, once and for ever, share the opening's points among them: each point is met by one of the
 * six. */
static void the_nth_write_fails(void **state)
{
    (void)state;
    for (int kind = FAULT_WRITE_IO; kind <= FAULT_WRITE_TORN; kind++)
        for (int for_ever = 0; for_ever < 2; for_ever++)
            sweep((enum fault_kind)kind, for_ever, false, kind % 3 * 2 + for_ever, 6);
}

static void the_nth_sync_fails(void **state)
{
    (void)state;
    sweep(FAULT_SYNC, false, false, 0, 1);
    sweep(FAULT_SYNC, true, false, 0, 1);
}

static void the_nth_write_or_sync_fails_and_the_process_dies(void **state)
{
    (void)state;
    sweep(FAULT_WRITE_TORN, true, true, 0, 3);
    sweep(FAULT_SYNC, true, true, 0, 1);
}

static void a_full_disk_is_said_in_plain_words(void **state)
{
    (void)state;
    struct err err;
    auto_store struct store *s = store_write("j.db");
    fault = (__typeof__(fault)){.kind = FAULT_WRITE_FULL, .for_ever = true};
    refused(cursor_set(s, "x", 1, &err), E_JOURNAL, "the disk is full; make room");
    fault.kind = FAULT_NONE;
    refused(cursor_set(s, "x", 1, &err), E_JOURNAL, "nothing more is written after an earlier failure");
    refused(cursor_set(s, "x", 1, &err), E_JOURNAL, "the disk is full");
    int64_t seq = 9;
    ok(cursor_get(s, "x", &seq, &err)); /* reading still works */
    assert_int_equal(seq, 0);
    struct store *again = store_write("j.db");
    ok(cursor_set(again, "x", 1, &err));
    store_close(again);
}

/* A transaction too large for the cache is written out before its commit; failing there counts, too. */
static void a_failure_before_the_commit_ends_all_writing_too(void **state)
{
    (void)state;
    struct err err;
    auto_store struct store *s = store_write("j.db");
    int64_t release = release_of(s, "prod", KIND_RELEASE);
    static char text[100001];
    memset(text, 'x', sizeof(text) - 1);
    struct row row = {.release = release, .kind = ROW_NOTE, .code = "life", .text = text};
    fault = (__typeof__(fault)){.kind = FAULT_WRITE_FULL, .for_ever = true};
    ok(store_begin(s, &err));
    int i = 0;
    while (i < 500 && journal_append(s, &row, &err))
        i++;
    assert_in_range(i, 1, 499);
    fault.kind = FAULT_NONE;
    refused(store_commit(s, &err), E_JOURNAL, "the disk is full");
    refused(store_begin(s, &err), E_JOURNAL, "nothing more is written");
    auto_store struct store *again = store_write("j.db");
    assert_int_equal(journal_last_seq(again), 0);
}

/* ---- a journal that is put back while it is opened */

static struct {
    char name[64];
    int left; /* times that it still happens */
    bool put_back;
} away;

/* Between SQLite's opening of the file and its first look into it: a backup takes its name. */
static void taken_away(struct shim_file *f, const char *name)
{
    size_t n = strlen(away.name);
    (void)f;
    if (!name || away.left == 0 || strlen(name) < n || strcmp(name + strlen(name) - n, away.name) != 0)
        return;
    away.left--;
    char from[64], wal[80];
    snprintf(from, sizeof(from), "%s.bak%d", away.name, away.left);
    snprintf(wal, sizeof(wal), "%s-wal", away.name);
    unlink(scratch(away.name));
    unlink(scratch(wal));
    if (away.put_back)
        assert_int_equal(rename(scratch(from), scratch(away.name)), 0);
}

static void backups_make(const char *name, int n)
{
    struct store *s = store_write(name);
    release_of(s, "prod", KIND_RELEASE);
    store_close(s);
    for (int i = 0; i < n; i++) {
        char command[600];
        snprintf(command, sizeof(command), "cp %s/%s %s/%s.bak%d", scratch_dir, name, scratch_dir, name, i);
        assert_int_equal(system(command), 0);
    }
    snprintf(away.name, sizeof(away.name), "%s", name);
    shim_hooks.opened = taken_away;
}

/* What is written then is in the file that has the name, not in one that nobody finds again. */
static void a_journal_put_back_while_it_is_opened_is_the_one_that_is_written(void **state)
{
    (void)state;
    for (int times = 1; times <= 2; times++) {
        char name[32];
        snprintf(name, sizeof(name), "back%d.db", times);
        backups_make(name, times);
        away.left = times;
        away.put_back = true;
        struct store *s = store_write(name);
        assert_int_equal(away.left, 0);
        row_add(s, (struct row){.release = 1, .kind = ROW_NOTE, .code = "life", .a = 7});
        store_close(s);
        shim_hooks.opened = NULL;
        struct err err;
        auto_arena struct arena a = {0};
        auto_store struct store *again = store_write(name);
        struct row *rows;
        size_t n;
        ok(journal_read(reader(again, &a), &(struct row_range){.limit = 10}, &rows, &n, &err));
        assert_int_equal(n, 1);
        assert_int_equal(rows[0].a, 7);
    }
}

/* Gone for good, or never still: said, and no new one is made in its place. */
static void a_journal_that_goes_away_while_it_is_opened_is_not_made_anew(void **state)
{
    (void)state;
    for (int put_back = 0; put_back <= 1; put_back++) {
        char name[32];
        struct err err;
        struct store *s = NULL;
        snprintf(name, sizeof(name), "gone%d.db", put_back);
        backups_make(name, 5);
        away.left = 5;
        away.put_back = put_back;
        refused(store_open(scratch(name), STORE_WRITE, &s, &err), E_JOURNAL, "went away while it was opened");
        shim_hooks.opened = NULL;
        assert_int_equal(access(scratch(name), F_OK) == 0, put_back);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        in_scratch(the_nth_write_fails),
        in_scratch(the_nth_sync_fails),
        in_scratch(the_nth_write_or_sync_fails_and_the_process_dies),
        in_scratch(a_failure_before_the_commit_ends_all_writing_too),
        in_scratch(a_full_disk_is_said_in_plain_words),
        in_scratch(a_journal_put_back_while_it_is_opened_is_the_one_that_is_written),
        in_scratch(a_journal_that_goes_away_while_it_is_opened_is_not_made_anew),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    shim_hooks = (struct shim_hooks){.write = failing_write, .sync = failing_sync};
    shim_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
