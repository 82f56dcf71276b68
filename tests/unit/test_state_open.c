/* SPDX-License-Identifier: MIT */
/* Opening: names, permissions, files that are not ours, files that vanish. */
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "unit/state_help.h"

static mode_t mode_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return 0;
    return st.st_mode & 07777;
}

static void put_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static struct row life(int64_t release)
{
    return (struct row){.release = release, .kind = ROW_NOTE, .code = "life"};
}

static void modes_do_not_depend_on_the_umask(void **state)
{
    (void)state;
    static const mode_t masks[] = {0, 022, 077, 0777};
    for (size_t i = 0; i < 4; i++) {
        char name[64], path[256];
        snprintf(name, sizeof(name), "m%zu/deep/j.db", i);
        snprintf(path, sizeof(path), "%s", scratch(name));
        mode_t old = umask(masks[i]);
        struct store *s = store_write(name);
        row_add(s, life(release_of(s, "prod", KIND_RELEASE)));
        umask(old);
        snprintf(name, sizeof(name), "m%zu", i);
        assert_int_equal(mode_of(scratch(name)), 0700);
        snprintf(name, sizeof(name), "m%zu/deep", i);
        assert_int_equal(mode_of(scratch(name)), 0700);
        assert_int_equal(mode_of(path), 0600);
        strcat(path, "-wal");
        assert_int_equal(mode_of(path), 0600);
        strcpy(path + strlen(path) - 4, "-shm");
        assert_int_equal(mode_of(path), 0600);
        store_close(s);
    }
}

static void a_file_opened_too_wide_is_closed_to_others(void **state)
{
    (void)state;
    store_close(store_write("j.db"));
    assert_int_equal(chmod(scratch("j.db"), 0644), 0);
    assert_int_equal(chmod(scratch("j.db-wal"), 0644), 0);
    store_close(store_write("j.db"));
    assert_int_equal(mode_of(scratch("j.db")), 0600);
    assert_int_equal(mode_of(scratch("j.db-wal")), 0600);
    struct err err;
    struct store *s = NULL;
    assert_int_equal(chmod(scratch("j.db"), 0666), 0);
    refused(store_open(scratch("j.db"), STORE_WRITE, &s, &err), E_JOURNAL, "everybody may write to it");
    refused(store_open(scratch("j.db"), STORE_READ, &s, &err), E_JOURNAL, "everybody may write to it");
}

static void directories_of_others_are_refused(void **state)
{
    (void)state;
    struct err err;
    struct store *s = NULL;
    static const mode_t modes[] = {0770, 0707, 0777, 01777};
    for (size_t i = 0; i < 4; i++) {
        mkdir(scratch("wide"), 0700);
        assert_int_equal(chmod(scratch("wide"), modes[i]), 0);
        refused(store_open(scratch("wide/j.db"), STORE_WRITE, &s, &err), E_JOURNAL, "chmod go-w");
        refused(store_open(scratch("wide/j.db"), STORE_READ, &s, &err), E_JOURNAL, "chmod go-w");
        assert_int_equal(access(scratch("wide/j.db"), F_OK), -1);
    }
    if (geteuid() != 0)
        return; /* only root can give a directory away */
    assert_int_equal(mkdir(scratch("hers"), 0755), 0);
    assert_int_equal(chown(scratch("hers"), 4711, (gid_t)-1), 0);
    refused(store_open(scratch("hers/j.db"), STORE_WRITE, &s, &err), E_JOURNAL, "belongs to uid 4711");
}

/* S18: who may write above the directory decides where its name leads. */
static void a_way_that_others_may_turn_is_refused(void **state)
{
    (void)state;
    struct err err;
    struct store *s = NULL;
    static const enum store_mode modes[] = {STORE_WRITE, STORE_READ};
    mkdir(scratch("open"), 0700);
    mkdir(scratch("open/mine"), 0700);
    assert_int_equal(chmod(scratch("open"), 0777), 0);
    for (size_t i = 0; i < 2; i++)
        refused(store_open(scratch("open/mine/j.db"), modes[i], &s, &err), E_JOURNAL,
                "put another directory there");
    assert_int_equal(chmod(scratch("open"), 01777), 0);
    store_close(store_write("open/mine/j.db"));
    if (geteuid() != 0)
        return; /* only root can give things away */
    mkdir(scratch("victim"), 0700);
    assert_int_equal(symlink(scratch("victim"), scratch("open/hers")), 0);
    assert_int_equal(lchown(scratch("open/hers"), 4711, (gid_t)-1), 0);
    mkdir(scratch("open/dir"), 0700);
    assert_int_equal(chown(scratch("open/dir"), 4711, (gid_t)-1), 0);
    for (size_t i = 0; i < 2; i++) {
        refused(store_open(scratch("open/hers/j.db"), modes[i], &s, &err), E_JOURNAL, "lead it elsewhere");
        refused(store_open(scratch("open/hers/sub/j.db"), modes[i], &s, &err), E_JOURNAL,
                "lead it elsewhere");
        refused(store_open(scratch("open/dir/sub/j.db"), modes[i], &s, &err), E_JOURNAL, "lead it elsewhere");
    }
    assert_int_equal(access(scratch("victim/j.db"), F_OK), -1);
}

/* A stranger who puts a link, a directory or nothing where our directory is to be, as fast as he can. */
static void swap_for_ever(const char *name, const char *victim)
{
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(1);
    for (;;) {
        if (symlink(victim, name) == 0) {
            for (int i = 0; i < 500; i++) /* for about as long as an opening takes */
                access(name, F_OK);
            unlink(name);
        }
        if (mkdir(name, 0777) == 0)
            rmdir(name);
    }
}

/* In a sticky directory what is ours stays ours, so some openings succeed; where all may remove all, none
 * may. (The kernel helps in the first, where fs.protected_symlinks is on; in the second it never does.) */
static void race_with_a_stranger(mode_t mode, int most, bool may_open)
{
    struct err err;
    int made = 0, refusals = 0;
    mkdir(scratch("open"), 0700);
    mkdir(scratch("victim"), 0700);
    assert_int_equal(chmod(scratch("open"), mode), 0);
    char name[256], victim[256], command[600];
    snprintf(name, sizeof(name), "%s", scratch("open/state"));
    snprintf(victim, sizeof(victim), "%s", scratch("victim"));
    snprintf(command, sizeof(command), "rm -rf %s", name);
    pid_t pid = fork();
    if (pid == 0)
        swap_for_ever(name, victim);
    for (int i = 0; i < most && (made < 2 || refusals < 100); i++) {
        struct store *s = NULL;
        bool opened = store_open(scratch("open/state/j.db"), STORE_WRITE, &s, &err);
        store_close(s);
        made += opened;
        refusals += !opened;
        if (opened)
            assert_int_equal(system(command), 0);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    print_message("  mode %04o: opened %d times, refused %d times\n", (unsigned)mode, made, refusals);
    assert_true(refusals > 0 && (may_open || made == 0));
    assert_int_equal(rmdir(victim), 0); /* empty: nothing was led there */
}

static void a_stranger_who_swaps_links_leads_nobody_astray(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(scratch_dir, 0711), 0);
    race_with_a_stranger(01777, 5000, true);
    race_with_a_stranger(0777, 2000, false);
}

static void what_is_no_journal_is_refused_untouched(void **state)
{
    (void)state;
    struct err err;
    struct store *s = NULL;
    static const enum store_mode modes[] = {STORE_WRITE, STORE_READ};
    char noise[9000];
    memset(noise, 'x', sizeof(noise));
    put_file(scratch("noise"), noise, sizeof(noise));
    put_file(scratch("short"), "hello", 5);
    put_file(scratch("empty"), "", 0);
    assert_int_equal(raw_sql("other", "CREATE TABLE t (x); PRAGMA user_version = 1"), SQLITE_OK);
    assert_int_equal(mkdir(scratch("dir"), 0700), 0);
    store_close(store_write("real"));
    assert_int_equal(symlink(scratch("real"), scratch("link")), 0);
    for (size_t i = 0; i < 2; i++) {
        refused(store_open(scratch("noise"), modes[i], &s, &err), E_JOURNAL, "not a journal of release");
        refused(store_open(scratch("short"), modes[i], &s, &err), E_JOURNAL, "not a journal of release");
        refused(store_open(scratch("empty"), modes[i], &s, &err), E_JOURNAL, "empty (0 bytes)");
        refused(store_open(scratch("other"), modes[i], &s, &err), E_JOURNAL, "of another program");
        refused(store_open(scratch("dir"), modes[i], &s, &err), E_JOURNAL, "not a plain file");
        refused(store_open(scratch("link"), modes[i], &s, &err), E_JOURNAL, "symbolic link");
        refused(store_open(scratch("dir/"), modes[i], &s, &err), E_JOURNAL, "not the name of a file");
        refused(store_open(scratch("dir/"), modes[i], &s, &err), E_JOURNAL, "not the name of a file");
    }
    refused(store_open(scratch("noise/j.db"), STORE_WRITE, &s, &err), E_JOURNAL, "not a directory");
    FILE *f = fopen(scratch("noise"), "r");
    char now[sizeof(noise)];
    assert_int_equal(fread(now, 1, sizeof(now), f), sizeof(now));
    fclose(f);
    assert_memory_equal(noise, now, sizeof(now));
}

/* A page in the middle, the end, and the first page of a journal with some rows. */
static void damaged_files_are_refused(void **state)
{
    (void)state;
    struct err err;
    struct store *s = store_write("good.db");
    int64_t r = release_of(s, "prod", KIND_RELEASE);
    ok(store_begin(s, &err));
    for (int i = 0; i < 2000; i++) {
        struct row row = life(r);
        row.text = "something that fills the pages of this file";
        ok(journal_append(s, &row, &err));
    }
    ok(store_commit(s, &err));
    store_close(s);
    FILE *f = fopen(scratch("good.db"), "r");
    static char bytes[1 << 20];
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    assert_in_range(n, 100000, sizeof(bytes) - 1);
    put_file(scratch("cut.db"), bytes, n / 2 / 4096 * 4096);
    refused(store_open(scratch("cut.db"), STORE_WRITE, &s, &err), E_JOURNAL, "damaged");
    refused(store_open(scratch("cut.db"), STORE_READ, &s, &err), E_JOURNAL, "damaged");
    memset(bytes + 20 * 4096, 0xa5, 4096);
    put_file(scratch("hole.db"), bytes, n);
    refused(store_open(scratch("hole.db"), STORE_WRITE, &s, &err), E_JOURNAL, "damaged");
    memset(bytes + 100, 0xa5, 3000);
    put_file(scratch("head.db"), bytes, n);
    refused(store_open(scratch("head.db"), STORE_WRITE, &s, &err), E_JOURNAL, "damaged");
    assert_int_equal(raw_sql("good.db", "DROP TABLE cursors"), SQLITE_OK);
    refused(store_open(scratch("good.db"), STORE_WRITE, &s, &err), E_JOURNAL,
            "tables are not as they should");
}

static void reading_creates_nothing(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    struct release_info *list;
    struct node_state_info *nodes;
    struct lock_info lock;
    size_t n;
    auto_store struct store *s = store_read("none/deep/j.db");
    ok(release_list(reader(s, &a), &(struct newest){.limit = 10}, &list, &n, &err));
    assert_int_equal(n, 0);
    ok(node_states(reader(s, &a), "prod", &nodes, &n, &err));
    assert_int_equal(n, 0);
    ok(lock_get(reader(s, &a), "prod", &lock, &err));
    assert_false(lock.held);
    assert_int_equal(journal_last_seq(s), 0);
    ok(store_begin(s, &err));
    ok(store_commit(s, &err));
    int64_t id;
    refused(release_insert(s, &(struct release_new){.env = "prod", .kind = KIND_RELEASE}, &id, &err),
            E_JOURNAL, "reading only");
    assert_int_equal(access(scratch("none"), F_OK), -1);
    /* a copy without its -wal, as from a backup */
    store_close(store_write("j.db"));
    unlink(scratch("j.db-wal"));
    unlink(scratch("j.db-shm"));
    auto_store struct store *copy = store_read("j.db");
    ok(release_list(reader(copy, &a), &(struct newest){.limit = 10}, &list, &n, &err));
    assert_int_equal(access(scratch("j.db-wal"), F_OK), -1);
    assert_int_equal(access(scratch("j.db-shm"), F_OK), -1);
    /* and yet what a writer then does is seen */
    auto_store struct store *w = store_write("j.db");
    row_add(w, life(release_of(w, "prod", KIND_RELEASE)));
    assert_int_equal(journal_last_seq(copy), 1);
}

static void a_reader_sees_a_journal_that_comes_goes_and_comes_back(void **state)
{
    (void)state;
    struct store *r = store_read("d/j.db");
    assert_int_equal(journal_last_seq(r), 0);
    struct store *w = store_write("d/j.db");
    int64_t id = release_of(w, "prod", KIND_RELEASE);
    row_add(w, life(id));
    assert_int_equal(journal_last_seq(r), 1);
    row_add(w, life(id));
    assert_int_equal(journal_last_seq(r), 2);
    store_close(w);
    unlink(scratch("d/j.db"));
    unlink(scratch("d/j.db-wal")); /* the reader kept the writer from emptying it */
    assert_int_equal(journal_last_seq(r), 0);
    w = store_write("d/j.db");
    row_add(w, life(release_of(w, "prod", KIND_RELEASE)));
    assert_int_equal(journal_last_seq(r), 1);
    store_close(w);
    store_close(r);
}

static void a_snapshot_holds_while_rows_are_added(void **state)
{
    (void)state;
    struct err err;
    auto_store struct store *w = store_write("j.db"), *r = store_read("j.db");
    int64_t id = release_of(w, "prod", KIND_RELEASE);
    row_add(w, life(id));
    ok(store_begin(r, &err));
    assert_int_equal(journal_last_seq(r), 1);
    row_add(w, life(id));
    assert_int_equal(journal_last_seq(r), 1);
    ok(store_commit(r, &err));
    assert_int_equal(journal_last_seq(r), 2);
}

enum vanish { DELETE_DB, DELETE_WAL, REPLACE_DB };

/* Whenever it happens, the next commit must not be believed. */
static void vanishes(enum vanish how, bool inside)
{
    struct err err;
    char name[32];
    snprintf(name, sizeof(name), "v%d%d.db", how, inside);
    auto_store struct store *s = store_write(name);
    struct row row = life(release_of(s, "prod", KIND_RELEASE));
    row_add(s, row);
    if (inside)
        ok(store_begin(s, &err));
    char path[256];
    snprintf(path, sizeof(path), "%s%s", scratch(name), how == DELETE_WAL ? "-wal" : "");
    assert_int_equal(unlink(path), 0);
    if (how == REPLACE_DB)
        put_file(path, "another", 7);
    if (inside) {
        ok(journal_append(s, &row, &err));
        refused(store_commit(s, &err), E_JOURNAL, "deleted or replaced");
    }
    refused(store_begin(s, &err), E_JOURNAL, "deleted or replaced");
    refused(cursor_set(s, "x", 1, &err), E_JOURNAL, "deleted or replaced");
}

static void a_journal_deleted_or_replaced_while_in_use_is_noticed(void **state)
{
    (void)state;
    for (int how = DELETE_DB; how <= REPLACE_DB; how++) {
        vanishes((enum vanish)how, false);
        vanishes((enum vanish)how, true);
    }
}

static void newest_rows_left_behind_are_not_mixed_into_a_new_journal(void **state)
{
    (void)state;
    struct err err;
    struct store *s = store_write("j.db"), *other = NULL;
    row_add(s, life(release_of(s, "prod", KIND_RELEASE))); /* still in the -wal */
    unlink(scratch("j.db"));
    refused(store_open(scratch("j.db"), STORE_WRITE, &other, &err), E_JOURNAL, "newest rows");
    refused(store_open(scratch("j.db"), STORE_READ, &other, &err), E_JOURNAL, "newest rows");
    store_close(s);
}

static void a_busy_journal_is_waited_for_but_not_for_ever(void **state)
{
    (void)state;
    struct err err;
    auto_store struct store *one = store_write("j.db"), *two = store_write("j.db");
    ok(store_begin(one, &err));
    int64_t began = clock_mono_ms();
    refused(store_begin(two, &err), E_JOURNAL, "kept it busy for 5 s");
    assert_in_range(clock_mono_ms() - began, 4500, 8000);
    ok(store_commit(one, &err));
    ok(store_begin(two, &err)); /* waiting in vain is no damage */
    ok(store_commit(two, &err));
}

static void the_default_name_follows_the_environment(void **state)
{
    (void)state;
    struct err err;
    struct store *s = NULL;
    setenv("RELEASE_STATE", scratch("own.db"), 1);
    setenv("XDG_STATE_HOME", scratch("xdg"), 1);
    ok(store_open(NULL, STORE_READ, &s, &err));
    assert_string_equal(store_place(s), scratch("own.db"));
    store_close(s);
    unsetenv("RELEASE_STATE");
    ok(store_open(NULL, STORE_READ, &s, &err));
    assert_string_equal(store_place(s), scratch("xdg/release/release.db"));
    store_close(s);
    setenv("XDG_STATE_HOME", "relative", 1);
    setenv("HOME", scratch("home"), 1);
    ok(store_open(NULL, STORE_READ, &s, &err));
    assert_string_equal(store_place(s), geteuid() == 0 ? "/var/lib/release/release.db"
                                                       : scratch("home/.local/state/release/release.db"));
    store_close(s);
    unsetenv("XDG_STATE_HOME");
    char cwd[1024];
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    assert_int_equal(chdir(scratch_dir), 0);
    ok(store_open("rel.db", STORE_WRITE, &s, &err));
    assert_int_equal(chdir(cwd), 0);
    row_add(s, life(release_of(s, "prod", KIND_RELEASE))); /* a later chdir changes nothing */
    assert_string_equal(store_place(s), scratch("rel.db"));
    store_close(s);
    char longest[6000];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    refused(store_open(longest, STORE_READ, &s, &err), E_JOURNAL, "longer than");
}

static void many_may_make_it_at_once_and_none_loses_a_row(void **state)
{
    (void)state;
    enum { N = 12 };
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < N; i++) {
        if (fork() != 0)
            continue;
        char c;
        close(gate[1]);
        while (read(gate[0], &c, 1) < 0 && errno == EINTR)
            ;
        struct err err;
        struct store *s = NULL;
        int64_t id;
        struct release_new r = {.env = "prod", .kind = KIND_RELEASE};
        bool fine =
            store_open(scratch("race/j.db"), STORE_WRITE, &s, &err) && release_insert(s, &r, &id, &err);
        if (!fine)
            fprintf(stderr, "%s\n", err.text);
        _exit(fine ? 0 : 1);
    }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < N; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(raw_number("race/j.db", "SELECT count(*) FROM releases"), N);
    char command[300];
    snprintf(command, sizeof(command), "ls %s | grep -q new-", scratch("race"));
    assert_int_not_equal(system(command), 0); /* no half-made file stays */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(modes_do_not_depend_on_the_umask),
        in_scratch(a_file_opened_too_wide_is_closed_to_others),
        in_scratch(directories_of_others_are_refused),
        in_scratch(a_way_that_others_may_turn_is_refused),
        in_scratch(a_stranger_who_swaps_links_leads_nobody_astray),
        in_scratch(what_is_no_journal_is_refused_untouched),
        in_scratch(damaged_files_are_refused),
        in_scratch(reading_creates_nothing),
        in_scratch(a_reader_sees_a_journal_that_comes_goes_and_comes_back),
        in_scratch(a_snapshot_holds_while_rows_are_added),
        in_scratch(a_journal_deleted_or_replaced_while_in_use_is_noticed),
        in_scratch(newest_rows_left_behind_are_not_mixed_into_a_new_journal),
        in_scratch(a_busy_journal_is_waited_for_but_not_for_ever),
        in_scratch(the_default_name_follows_the_environment),
        in_scratch(many_may_make_it_at_once_and_none_loses_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
