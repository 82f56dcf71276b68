/* SPDX-License-Identifier: MIT */
/* The lock: who gets it, who is refused and told what, and fences that only rise. */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "unit/state_help.h"

static struct lock_request want(const char *env)
{
    return (struct lock_request){.env = env, .who = "ann", .why = "deploying f5d9859"};
}

static void a_lock_is_taken_once_and_given_back(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct lock_request ask = want("prod");
    struct lock_info mine, held;
    ok(lock_take(s, &ask, &a, &mine, &err));
    assert_true(mine.held);
    assert_int_equal(mine.holder, HOLDER_ALIVE);
    assert_int_equal(mine.pid, getpid());
    refused(lock_take(s, &ask, &a, &held, &err), E_LOCKED,
            "prod is locked, nothing was touched: held by ann@");
    assert_int_equal(held.fence, mine.fence);
    ask.take_over = true;
    refused(lock_take(s, &ask, &a, &held, &err), E_LOCKED, "alive");
    struct lock_request other = want("test");
    ok(lock_take(s, &other, &a, &held, &err));
    assert_true(held.fence > mine.fence);
    int64_t release = release_of(s, "prod", KIND_RELEASE);
    ok(lock_bind(s, "prod", mine.fence, release, &err));
    ok(lock_get(reader(s, &a), "prod", &held, &err));
    assert_int_equal(held.release, release);
    ok(lock_free(
        s, &(struct lock_end){.env = "prod", .fence = mine.fence + 7, .who = "ann", .why = "not this one"},
        &err));
    ok(lock_get(reader(s, &a), "prod", &held, &err));
    assert_true(held.held);
    ok(lock_free(s, &(struct lock_end){.env = "prod", .fence = mine.fence, .who = "ann", .why = "done"},
                 &err));
    ok(lock_free(s, &(struct lock_end){.env = "prod", .fence = mine.fence, .who = "ann", .why = "done"},
                 &err));
    ok(lock_get(reader(s, &a), "prod", &held, &err));
    assert_false(held.held);
    assert_string_equal(lock_text(&held, &a), "not held");
    refused(lock_bind(s, "prod", mine.fence, release, &err), E_LOCKED, "taken away");
    assert_int_equal(raw_number("j.db", "SELECT count(*) FROM lock_history WHERE env = 'prod'"), 3);
}

/* Read another way: field 22 of our own /proc entry, which never changes. The one behind it is our memory,
 * which does: a holder that grows is still the holder. */
static void a_holder_that_grows_stays_the_holder(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct lock_request ask = want("prod");
    struct lock_info l;
    ok(lock_take(s, &ask, &a, &l, &err));
    FILE *f = popen("cut -d')' -f2 /proc/$PPID/stat | cut -d' ' -f21", "r");
    long long start = 0;
    assert_int_equal(fscanf(f, "%lld", &start), 1);
    pclose(f);
    assert_int_equal(l.pid_start, start);
    volatile char *more = malloc(64 << 20);
    for (size_t i = 0; i < 64 << 20; i += 4096)
        more[i] = 1;
    ok(lock_get(reader(s, &a), "prod", &l, &err));
    assert_int_equal(l.holder, HOLDER_ALIVE);
    free((void *)(uintptr_t)more);
}

/* A holder that is not this process: the row as another would have left it. */
static void holder_is(const char *assignments)
{
    char sql[300];
    snprintf(sql, sizeof(sql), "UPDATE locks SET %s", assignments);
    assert_int_equal(raw_sql("j.db", sql), SQLITE_OK);
}

static void a_holder_lives_only_by_host_boot_pid_and_start(void **state)
{
    (void)state;
    static const struct {
        const char *row, *text;
        enum holder holder;
        bool taken;
    } cases[] = {
        {"pid = pid", "alive", HOLDER_ALIVE, false},
        {"pid = 4194305", "its process 4194305 is gone", HOLDER_DEAD, true},
        {"pid = 1", "its process 1 is gone", HOLDER_DEAD, true}, /* reused: another start time */
        {"pid_start = pid_start + 1", "is gone", HOLDER_DEAD, true},
        {"boot_id = 'an earlier one'", "is gone", HOLDER_DEAD, true},
        {"host = 'ctl9'", "on another host, cannot tell", HOLDER_ELSEWHERE, false},
        {"host = 'ctl9', pid = 4194305", "on another host, cannot tell", HOLDER_ELSEWHERE, false},
    };
    struct err err;
    auto_arena struct arena a = {0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct store *s = store_write("j.db");
        struct lock_request ask = want("prod");
        struct lock_info l, got;
        ok(lock_take(s, &ask, &a, &l, &err));
        holder_is(cases[i].row);
        ok(lock_get(reader(s, &a), "prod", &l, &err));
        assert_int_equal(l.holder, cases[i].holder);
        assert_non_null(strstr(lock_text(&l, &a), cases[i].text));
        refused(lock_take(s, &ask, &a, &got, &err), E_LOCKED, cases[i].text);
        ask.take_over = true;
        if (cases[i].taken) {
            ok(lock_take(s, &ask, &a, &got, &err));
            assert_true(got.fence > l.fence);
        } else {
            refused(lock_take(s, &ask, &a, &got, &err), E_LOCKED, cases[i].text);
        }
        ok(lock_force(s, &(struct lock_end){.env = "prod", .who = "ann", .why = "next case"}, &err));
        store_close(s);
    }
}

static void a_killed_or_unreaped_holder_is_dead(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    int said[2];
    assert_int_equal(pipe(said), 0);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
        struct store *s = store_write("j.db");
        struct lock_request ask = want("prod");
        struct lock_info l;
        bool fine = lock_take(s, &ask, &a, &l, &err);
        if (write(said[1], fine ? "y" : "n", 1) == 1)
            pause();
        _exit(1);
    }
    char c = 0;
    assert_int_equal(read(said[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    auto_store struct store *s = store_write("j.db");
    struct lock_info l;
    ok(lock_get(reader(s, &a), "prod", &l, &err));
    assert_int_equal(l.holder, HOLDER_ALIVE);
    assert_int_equal(kill(child, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    ok(lock_get(reader(s, &a), "prod", &l, &err)); /* a zombie still */
    assert_int_equal(l.holder, HOLDER_DEAD);
    assert_int_equal(waitpid(child, NULL, 0), child);
    ok(lock_get(reader(s, &a), "prod", &l, &err));
    assert_int_equal(l.holder, HOLDER_DEAD);
    refused(lock_take(s, &(struct lock_request){.env = "prod", .who = "bob", .why = "x"}, &a, &l, &err),
            E_LOCKED, "'release resume prod' goes on from there");
    close(said[0]);
    close(said[1]);
}

static void a_lock_held_by_hand_is_nobodys_to_take(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct lock_request hand = {.env = "prod", .who = "bob", .why = "audit until Monday", .by_hand = true};
    struct lock_info l, got;
    ok(lock_take(s, &hand, &a, &l, &err));
    holder_is("pid = 4194305"); /* the command that took it is long gone */
    struct lock_request ask = want("prod");
    refused(lock_take(s, &ask, &a, &got, &err), E_LOCKED, "(held by hand): audit until Monday");
    ask.take_over = true;
    refused(lock_take(s, &ask, &a, &got, &err), E_LOCKED, "'release unlock prod' frees it");
    refused(lock_take(s, &hand, &a, &got, &err), E_LOCKED, "held by hand");
    assert_int_equal(got.holder, HOLDER_BY_HAND);
    ok(lock_free(s, &(struct lock_end){.env = "prod", .fence = got.fence, .who = "bob", .why = "audit done"},
                 &err));
    ok(lock_take(s, &ask, &a, &got, &err));
}

static void fences_only_rise_whatever_happens(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct lock_info l;
    int64_t last = 0;
    static const int64_t above[] = {0, 0, 500, 3, 0};
    for (size_t i = 0; i < 5; i++) {
        struct lock_request ask = want(i % 2 ? "prod" : "test");
        ok(lock_take(s, &ask, &a, &l, &err));
        assert_true(l.fence > last);
        last = l.fence;
        ok(lock_force(s, &(struct lock_end){.env = ask.env, .who = "root", .why = "stuck", .fence = above[i]},
                      &err));
        ok(lock_get(reader(s, &a), ask.env, &l, &err));
        assert_false(l.held);
        if (above[i] > last)
            last = above[i];
    }
    assert_true(last >= 500);
    ok(lock_force(s, &(struct lock_end){.env = "prod", .who = "root", .why = "not even held"}, &err));
    refused(
        lock_force(s, &(struct lock_end){.env = "prod", .who = "root", .why = "x", .fence = INT64_MAX}, &err),
        E_JOURNAL, "no number that release gives");
    assert_int_equal(
        raw_number("j.db", "SELECT count(*) FROM lock_history WHERE event = 'force' AND who = 'root'"), 6);
    assert_int_equal(raw_number("j.db", "SELECT count(*) FROM lock_history WHERE event = 'force' "
                                        "AND why = 'stuck' AND over_fence > 0 AND fence > over_fence"),
                     3);
    assert_int_equal(raw_number("j.db", "SELECT min(over_fence) FROM lock_history"), -500);
    /* Only a grant that a person named is broken on the nodes: of other environments' locks nothing follows.
     */
    int64_t forced;
    ok(lock_forced(s, "prod", &forced, &err));
    assert_int_equal(forced, 3);
    ok(lock_forced(s, "test", &forced, &err));
    assert_int_equal(forced, 500);
    assert_int_equal(raw_number("j.db", "SELECT count(*) - count(DISTINCT fence) FROM lock_history"), 0);
}

static void the_text_is_one_line_that_no_terminal_obeys(void **state)
{
    (void)state;
    struct err err;
    auto_arena struct arena a = {0};
    auto_store struct store *s = store_write("j.db");
    struct lock_request ask = {.env = "prod", .who = "a\x1b[2Jnn", .why = "two\nlines"};
    struct lock_info l;
    ok(lock_take(s, &ask, &a, &l, &err));
    ok(lock_bind(s, "prod", l.fence, release_of(s, "prod", KIND_RELEASE), &err));
    ok(lock_get(reader(s, &a), "prod", &l, &err));
    const char *text = lock_text(&l, &a);
    assert_null(strpbrk(text, "\x1b\n"));
    assert_non_null(strstr(text, "(release 1, pid "));
    assert_non_null(strstr(text, "alive): two lines"));
}

#define RACERS 40
#define ROUNDS 25

/* One racer: opens, waits at the gate, asks once, says how it went, stays alive until the others have asked.
 */
static void race(const int gate[2], const int said[2], const int leave[2], bool take_over)
{
    auto_arena struct arena a = {0};
    struct err err;
    struct store *s = store_write("j.db");
    struct lock_request ask = want("prod");
    struct lock_info l;
    char c = '?';
    ask.take_over = take_over;
    close(gate[1]);
    close(leave[1]);
    while (read(gate[0], &c, 1) < 0 && errno == EINTR)
        ;
    bool won = lock_take(s, &ask, &a, &l, &err);
    c = won ? 'w' : err.code == E_LOCKED ? 'l' : '?';
    if (c == '?')
        fprintf(stderr, "%s\n", err.text);
    if (write(said[1], &c, 1) != 1)
        _exit(1);
    while (read(leave[0], &c, 1) < 0 && errno == EINTR)
        ;
    _exit(0);
}

static void race_once(bool take_over)
{
    int gate[2], said[2], leave[2], won = 0;
    assert_int_equal(pipe(gate) | pipe(said) | pipe(leave), 0);
    for (int i = 0; i < RACERS; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            race(gate, said, leave, take_over);
    }
    close(gate[0]);
    close(gate[1]); /* go */
    for (int i = 0; i < RACERS; i++) {
        char c = 0;
        assert_int_equal(read(said[0], &c, 1), 1);
        assert_int_not_equal(c, '?');
        won += c == 'w';
    }
    close(leave[0]);
    close(leave[1]);
    close(said[0]);
    close(said[1]);
    for (int i = 0; i < RACERS; i++) {
        int status = -1;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(won, 1);
}

/* The winner of a round dies with it, so that the next round fights for its place. */
static void of_forty_racers_exactly_one_wins_each_time(void **state)
{
    (void)state;
    store_close(store_write("j.db"));
    for (int i = 0; i < ROUNDS; i++)
        race_once(i > 0);
    assert_int_equal(raw_number("j.db", "SELECT count(*) FROM lock_history"), ROUNDS);
    assert_int_equal(raw_number("j.db", "SELECT count(DISTINCT fence) FROM lock_history"), ROUNDS);
    assert_int_equal(raw_number("j.db", "SELECT count(*) FROM lock_history WHERE event = 'take-over'"),
                     ROUNDS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(a_lock_is_taken_once_and_given_back),
        in_scratch(a_holder_that_grows_stays_the_holder),
        in_scratch(a_holder_lives_only_by_host_boot_pid_and_start),
        in_scratch(a_killed_or_unreaped_holder_is_dead),
        in_scratch(a_lock_held_by_hand_is_nobodys_to_take),
        in_scratch(fences_only_rise_whatever_happens),
        in_scratch(the_text_is_one_line_that_no_terminal_obeys),
        in_scratch(of_forty_racers_exactly_one_wins_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
