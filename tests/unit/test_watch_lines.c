/* SPDX-License-Identifier: MIT */
/* Plain lines for pipes and JSON lines for programs, and following a journal that somebody else writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "watch/json.h"
#include "base/auto.h"
#include "base/clock.h"
#include "unit/watch_fixture.h"

static int64_t took_ms = -1;

static const char *plain(struct row row, bool colour)
{
    static struct buf out = BUF_INIT(1024 * 1024);
    buf_reset(&out);
    plain_row(&fixture_plan, &row, took_ms, colour, &out);
    return buf_str(&out);
}

/* Behind the time of day, which depends on where the test runs. */
static void says(struct row row, const char *wanted)
{
    const char *line = plain(row, false);
    assert_true(strlen(line) > 9);
    assert_int_equal(line[8], ' ');
    assert_string_equal(line + 9, wanted);
}

static void each_event_is_one_line(void **state)
{
    (void)state;
    says(INTENT_ROW(0, "app1", 1), "app1: drain\n");
    says(DONE_ROW(0, "app1", 1), "app1: drain: ok\n");
    took_ms = 61234;
    says(DONE_ROW(0, "app1", 1), "app1: drain: ok (1m01s)\n");
    took_ms = 40;
    says(DONE_ROW(0, "app1", 1), "app1: drain: ok\n");
    took_ms = -1;
    struct row failed = fixture_row(0, ROW_OUTCOME, "app1", 4, "run", "failed", 1, 0);
    failed.text = "app1: check: answered 500 (wanted 200)";
    says(failed, "app1: check: failed: answered 500 (wanted 200)\n");
    failed.attempt = 2;
    failed.back = true;
    says(failed, "app1: check: going back: failed (attempt 2): answered 500 (wanted 200)\n");
    says(NOTE_ROW(0, "app1", NOTE_NODE_IN, 0, 0), "app1: in rotation\n");
    struct row note = NOTE_ROW(0, "", NOTE_STAGE, 1, 3);
    note.text = "stage 1: up to 3 nodes";
    says(note, "stage 1: up to 3 nodes\n");
    says(fixture_row(0, ROW_ORDER, "", -1, "", "stop", 0, 0), "order: stop\n");
}

static void looks_that_say_nothing_make_no_line(void **state)
{
    (void)state;
    assert_string_equal(plain(fixture_row(0, ROW_OUTCOME, "app1", 2, "run", "ok", 0, 14), false), "");
    assert_string_equal(plain(fixture_row(0, ROW_OUTCOME, "app1", 2, "guard", "ok", 1, 0), false), "");
    assert_string_equal(plain(fixture_row(0, ROW_INTENT, "app1", 1, "before", "before", 0, 0), false), "");
    struct row again = INTENT_ROW(0, "app1", 1);
    again.attempt = 2;
    assert_string_equal(plain(again, false), "");
    assert_string_not_equal(plain(fixture_row(0, ROW_OUTCOME, "app1", 2, "guard", "unknown", 0, 0), false),
                            "");
}

static void colours_only_when_asked_for(void **state)
{
    (void)state;
    assert_null(strchr(plain(DONE_ROW(0, "app1", 1), false), '\x1b'));
    assert_non_null(strchr(plain(DONE_ROW(0, "app1", 1), true), '\x1b'));
}

static void output_keeps_its_lines_and_loses_its_powers(void **state)
{
    (void)state;
    auto_buf struct buf out = BUF_INIT(4096);
    struct joiner j = {0};
    static const char text[] = "one\r\ntwo\x1b[2J\n\nlast";
    struct output o = {
        .release = 41, .node = "app1", .step = 3, .stream = 1, .data = text, .n = sizeof text - 1};
    plain_output(&j, &fixture_plan, &o, &out);
    assert_string_equal(buf_str(&out), "app1 | one\napp1 | two\\x1b[2J\napp1 | \n");
    plain_flush(&j, "app2", &out);
    plain_flush(&j, "app1", &out);
    assert_string_equal(buf_str(&out), "app1 | one\napp1 | two\\x1b[2J\napp1 | \napp1 | last\n");
    joiner_fini(&j);
}

/* Pieces end anywhere, those of several nodes and streams come mixed, and a long line does not stay for ever.
 */
static void pieces_become_lines_again(void **state)
{
    (void)state;
    auto_buf struct buf out = BUF_INIT(1024 * 1024);
    struct joiner j = {0};
    static const struct {
        const char *node, *data;
        int stream;
    } pieces[] = {{"app1", "mod", 2},           {"app2", "x", 1},  {"app1", "out\n", 1},
                  {"app1", "ule not found", 2}, {"app1", "\n", 2}, {"app2", "y\nz\n", 1}};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct output o = {.node = pieces[i].node,
                           .step = 0,
                           .stream = pieces[i].stream,
                           .data = pieces[i].data,
                           .n = strlen(pieces[i].data)};
        plain_output(&j, &fixture_plan, &o, &out);
    }
    plain_flush(&j, NULL, &out);
    assert_string_equal(buf_str(&out), "app1 | out\napp1 ! module not found\napp2 | xy\napp2 | z\n");
    buf_reset(&out);
    static char much[60 * 1024];
    memset(much, 'x', sizeof much);
    struct output o = {.node = "app1", .step = 0, .stream = 1, .data = much, .n = sizeof much};
    plain_output(&j, &fixture_plan, &o, &out);
    assert_int_equal(out.len, 0);
    plain_output(&j, &fixture_plan, &o, &out);
    assert_int_equal(out.len, sizeof much + 8);
    joiner_fini(&j);
}

/* ---- JSON */

static json_t *one_object(const struct buf *line)
{
    assert_true(line->len > 0 && line->data[line->len - 1] == '\n');
    assert_ptr_equal(strchr(line->data, '\n'), line->data + line->len - 1);
    json_t *o = json_loads(line->data, 0, NULL);
    assert_true(json_is_object(o));
    return o;
}

static const char *text_of(json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "(none)";
}

static void a_row_is_an_object(void **state)
{
    (void)state;
    auto_buf struct buf out = BUF_INIT(65536);
    struct row row = fixture_row(5, ROW_OUTCOME, "app1", 2, "run", "failed", 1, 14);
    row.seq = 7;
    row.facts = "{\"sessions\":\"14\"}";
    row.text = "14 left\n\x1b[2J \xff";
    row.back = true;
    jsonl_row(&fixture_plan, &row, &out);
    json_t *o = one_object(&out);
    assert_string_equal(text_of(o, "kind"), "outcome");
    assert_int_equal(json_integer_value(json_object_get(o, "release")), 41);
    assert_int_equal(json_integer_value(json_object_get(o, "seq")), 7);
    assert_int_equal(json_integer_value(json_object_get(o, "at")), T0 + 5);
    assert_string_equal(text_of(o, "node"), "app1");
    assert_string_equal(text_of(o, "label"), "wait idle");
    assert_string_equal(text_of(o, "phase"), "drain");
    assert_string_equal(text_of(o, "code"), "failed");
    assert_int_equal(json_integer_value(json_object_get(o, "b")), 14);
    assert_true(json_is_true(json_object_get(o, "back")));
    assert_string_equal(text_of(json_object_get(o, "facts"), "sessions"), "14");
    assert_non_null(strstr(text_of(o, "text"), "\\xff")); /* not UTF-8: the visible form */
    json_decref(o);
}

static void a_note_has_its_sentence_and_output_its_stream(void **state)
{
    (void)state;
    auto_buf struct buf out = BUF_INIT(65536);
    struct row row = NOTE_ROW(0, "app1", NOTE_ADMIT, 3, 2);
    jsonl_row(&fixture_plan, &row, &out);
    json_t *o = one_object(&out);
    assert_string_equal(text_of(o, "sentence"), "app1: leaves rotation (3 nodes up, 2 must stay)");
    json_decref(o);
    buf_reset(&out);
    struct output text = {.release = 41, .node = "app1", .step = 0, .stream = 2, .data = "a\nb\n", .n = 4};
    jsonl_output(&fixture_plan, &text, &out);
    o = one_object(&out);
    assert_string_equal(text_of(o, "stream"), "stderr");
    assert_string_equal(text_of(o, "data"), "a\nb\n");
    json_decref(o);
    buf_reset(&out);
    struct release_info r = {.id = 41,
                             .exit_status = -1,
                             .env = "prod",
                             .app = "site",
                             .kind = KIND_RELEASE,
                             .plan_name = "rolling",
                             .rev = "f5",
                             .rev_typed = "main",
                             .who = "ann",
                             .host = "ctl1",
                             .plan_digest = "",
                             .summary = "",
                             .resumable = true};
    jsonl_release(&r, &out);
    o = one_object(&out);
    assert_true(json_is_null(json_object_get(o, "exit")));
    assert_true(json_is_null(json_object_get(o, "ended")));
    assert_true(json_is_true(json_object_get(o, "resumable")));
    json_decref(o);
}

/* ---- following */

struct journal {
    char dir[64], path[96];
    struct store *store;
    int64_t release;
    struct watch_plan plan;
};

static int journal_setup(void **state)
{
    struct journal *j = test_calloc(1, sizeof *j);
    struct err err;
    snprintf(j->dir, sizeof j->dir, "/tmp/test-watch-XXXXXX");
    assert_non_null(mkdtemp(j->dir));
    snprintf(j->path, sizeof j->path, "%s/s/release.db", j->dir);
    assert_true(store_open(j->path, STORE_WRITE, &j->store, &err));
    struct release_new r = {.env = "prod",
                            .app = "site",
                            .kind = KIND_RELEASE,
                            .plan_name = "rolling",
                            .rev = fixture_plan.rev,
                            .rev_typed = "main",
                            .who = "ann",
                            .host = "ctl1",
                            .plan_json = "{}",
                            .plan_digest = "",
                            .at_ms = T0};
    assert_true(release_insert(j->store, &r, &j->release, &err));
    j->plan = fixture_plan;
    j->plan.release = j->release;
    *state = j;
    return 0;
}

static int journal_teardown(void **state)
{
    struct journal *j = *state;
    char command[128];
    store_close(j->store);
    snprintf(command, sizeof command, "rm -rf %s", j->dir);
    assert_int_equal(system(command), 0);
    test_free(j);
    return 0;
}

static void add(struct journal *j, struct row row)
{
    struct err err;
    row.release = j->release;
    assert_true(store_begin(j->store, &err));
    assert_true(journal_append(j->store, &row, &err));
    assert_true(store_commit(j->store, &err));
}

static void print(struct journal *j, const char *node, const char *text)
{
    struct err err;
    struct output o = {.release = j->release,
                       .at_ms = T0,
                       .node = node,
                       .step = 0,
                       .attempt = 1,
                       .stream = 1,
                       .data = text,
                       .n = strlen(text)};
    assert_true(store_begin(j->store, &err));
    assert_true(output_append(j->store, &o, &err));
    assert_true(store_commit(j->store, &err));
}

static struct watch_spec spec_of(const struct journal *j, enum watch_form form, int fd)
{
    return (struct watch_spec){.state_path = j->path,
                               .plan = &j->plan,
                               .form = form,
                               .out_fd = fd,
                               .wake_fd = -1,
                               .output = true,
                               .step = -1};
}

/* Reads from fd until `wanted` has come, or fails after ten seconds. */
static void await(int fd, struct buf *seen, const char *wanted)
{
    int64_t end = clock_mono_ms() + 10000;
    while (!strstr(buf_str(seen), wanted)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char chunk[4096];
        assert_true(clock_mono_ms() < end);
        if (poll(&p, 1, 1000) <= 0)
            continue;
        ssize_t n = read(fd, chunk, sizeof chunk);
        assert_true(n > 0);
        buf_add(seen, chunk, (size_t)n);
    }
}

static void a_watcher_shows_rows_as_they_are_committed(void **state)
{
    struct journal *j = *state;
    auto_buf struct buf seen = BUF_INIT(1024 * 1024);
    struct watcher *w;
    struct err err;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct watch_spec spec = spec_of(j, WATCH_PLAIN, fds[1]);
    assert_true(watch_start(&spec, &w, &err));
    add(j, INTENT_ROW(0, "app1", 0));
    await(fds[0], &seen, "app1: fetch\n");
    print(j, "app1", "cloning\n");
    await(fds[0], &seen, "app1 | cloning\n");
    add(j, DONE_ROW(10, "app1", 0));
    watch_stop(w); /* what is there by then is shown */
    close(fds[1]);
    await(fds[0], &seen, "app1: fetch: ok\n");
    close(fds[0]);
}

static void what_was_known_before_is_not_shown_again(void **state)
{
    struct journal *j = *state;
    auto_buf struct buf seen = BUF_INIT(1024 * 1024);
    struct watcher *w;
    struct err err;
    int fds[2];
    add(j, INTENT_ROW(0, "app1", 0));
    print(j, "app1", "old news\n");
    assert_int_equal(pipe(fds), 0);
    struct watch_spec spec = spec_of(j, WATCH_PLAIN, fds[1]);
    spec.after = journal_last_seq(j->store);
    assert_true(watch_start(&spec, &w, &err));
    add(j, DONE_ROW(10, "app1", 0));
    print(j, "app1", "fresh\n");
    watch_stop(w);
    close(fds[1]);
    await(fds[0], &seen, "app1: fetch: ok\n");
    await(fds[0], &seen, "fresh\n");
    assert_null(strstr(buf_str(&seen), "old news"));
    assert_null(strstr(buf_str(&seen), "app1: fetch\n"));
    close(fds[0]);
}

static void one_node_only(void **state)
{
    struct journal *j = *state;
    auto_buf struct buf seen = BUF_INIT(1024 * 1024);
    struct err err;
    int fds[2];
    add(j, INTENT_ROW(0, "app1", 0));
    add(j, INTENT_ROW(0, "app2", 0));
    print(j, "app1", "of one\n");
    print(j, "app2", "of two\n");
    assert_int_equal(pipe(fds), 0);
    struct watch_spec spec = spec_of(j, WATCH_PLAIN, fds[1]);
    spec.node = "app2";
    spec.once = true;
    assert_true(watch_run(&spec, -1, &err));
    close(fds[1]);
    await(fds[0], &seen, "app2: fetch\n");
    assert_non_null(strstr(buf_str(&seen), "app2 | of two\n"));
    assert_null(strstr(buf_str(&seen), "app1"));
    close(fds[0]);
}

/* More than a page of both, and a clock that was set back in the middle: nothing is lost, all is in its
 * place. */
static void a_long_past_is_told_in_order(void **state)
{
    struct journal *j = *state;
    auto_buf struct buf seen = BUF_INIT(4 * 1024 * 1024);
    struct err err;
    char text[64];
    assert_true(store_begin(j->store, &err));
    for (int i = 0; i < 1500; i++) {
        int64_t at = i < 700 ? i * 10 : (i - 300) * 10;
        struct row row = fixture_row(at, ROW_ORDER, "", -1, "", "stop", 0, 0);
        snprintf(text, sizeof text, "row %d", i);
        row.release = j->release;
        row.text = text;
        assert_true(journal_append(j->store, &row, &err));
        if (i % 3)
            continue;
        struct output o = {
            .release = j->release, .at_ms = T0 + at, .node = "app1", .step = 0, .stream = 1, .data = text};
        o.n = (size_t)snprintf(text, sizeof text, "out %d\n", i);
        assert_true(output_append(j->store, &o, &err));
    }
    assert_true(store_commit(j->store, &err));
    char path[128];
    snprintf(path, sizeof path, "%s/out", j->dir);
    auto_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct watch_spec spec = spec_of(j, WATCH_PLAIN, fd);
    spec.once = true;
    assert_true(watch_run(&spec, -1, &err));
    assert_true(lseek(fd, 0, SEEK_SET) == 0);
    await(fd, &seen, "row 1499\n");
    const char *p = buf_str(&seen);
    for (int i = 0; i < 1500; i++) {
        snprintf(text, sizeof text, ": row %d\n", i);
        const char *row = strstr(p, text);
        assert_non_null(row);
        if (i % 3 == 0 && i < 300) { /* before the clock's jump every line has its place */
            snprintf(text, sizeof text, "app1 | out %d\n", i);
            assert_non_null(strstr(p, text));
            assert_true(strstr(p, text) < row);
        }
        p = row;
    }
    for (int i = 0; i < 1500; i += 3) {
        snprintf(text, sizeof text, "app1 | out %d\n", i);
        assert_non_null(strstr(buf_str(&seen), text));
    }
}

static void a_reader_that_went_away_ends_only_the_watching(void **state)
{
    struct journal *j = *state;
    struct watcher *w;
    struct err err;
    int fds[2];
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    struct watch_spec spec = spec_of(j, WATCH_JSON, fds[1]);
    assert_true(watch_start(&spec, &w, &err));
    add(j, INTENT_ROW(0, "app1", 0));
    add(j, DONE_ROW(10, "app1", 0));
    watch_stop(w);
    close(fds[1]);
}

static void a_reader_that_does_not_read_holds_nobody_up(void **state)
{
    struct journal *j = *state;
    struct watcher *w;
    struct err err;
    static char much[256 * 1024];
    int fds[2];
    memset(much, 'x', sizeof much - 1);
    assert_int_equal(pipe(fds), 0);
    struct watch_spec spec = spec_of(j, WATCH_PLAIN, fds[1]);
    assert_true(watch_start(&spec, &w, &err));
    print(j, "app1", much); /* more than a pipe holds */
    int64_t began = clock_mono_ms();
    watch_stop(w);
    assert_true(clock_mono_ms() - began < 8000);
    close(fds[0]);
    close(fds[1]);
}

/* Nobody holds the lock: no more rows will come, so a follower in another process must end by itself. */
static void following_a_dead_engine_ends(void **state)
{
    struct journal *j = *state;
    auto_buf struct buf seen = BUF_INIT(1024 * 1024);
    struct err err;
    int fds[2];
    add(j, INTENT_ROW(0, "app1", 0));
    assert_int_equal(pipe(fds), 0);
    struct watch_spec spec = spec_of(j, WATCH_PLAIN, fds[1]);
    spec.quit_on_death = true;
    int64_t began = clock_mono_ms();
    assert_true(watch_run(&spec, -1, &err));
    assert_true(clock_mono_ms() - began < 20000);
    close(fds[1]);
    await(fds[0], &seen, "app1: fetch\n");
    close(fds[0]);
}

static void the_board_puts_the_cursor_back(void **state)
{
    struct journal *j = *state;
    auto_buf struct buf seen = BUF_INIT(1024 * 1024);
    struct err err;
    int fds[2];
    add(j, NOTE_ROW(0, "app1", NOTE_ADMIT, 3, 2));
    assert_int_equal(pipe(fds), 0);
    struct watch_spec spec = spec_of(j, WATCH_BOARD, fds[1]);
    spec.output = false;
    spec.once = true;
    assert_true(watch_run(&spec, -1, &err));
    close(fds[1]);
    await(fds[0], &seen, "\x1b[?25h");
    assert_true(str_starts(buf_str(&seen), "\x1b[?25l"));
    assert_string_equal(buf_str(&seen) + seen.len - 6, "\x1b[?25h");
    assert_non_null(strstr(buf_str(&seen), "app10"));
    close(fds[0]);
}

#define WITH_JOURNAL(f) cmocka_unit_test_setup_teardown(f, journal_setup, journal_teardown)
static void a_way_back_says_why_it_is_not_the_last(void **state)
{
    (void)state;
    auto_arena struct arena arena = {0};
    struct release_info back = {.id = 9, .kind = KIND_RELEASE, .rev = "f5d98590aaaabbbb", .rev_typed = "v7"};
    static const struct {
        struct release_info last;
        struct lock_info lock;
        const char *said;
    } rows[] = {
        {{.id = 9, .kind = KIND_RELEASE}, {0}, ""},
        {{.id = 10, .kind = KIND_RELEASE, .exit_status = 1},
         {0},
         "release 10 failed and is back already; this takes back release 9 (v7 f5d98590aaaa)"},
        {{.id = 10, .kind = KIND_RELEASE, .exit_status = 1, .back = BACK_UNTOUCHED},
         {0},
         "release 10 failed and switched nothing; this takes back release 9 (v7 f5d98590aaaa)"},
        {{.id = 10, .kind = KIND_RELEASE, .exit_status = 1, .back = BACK_ORDERED},
         {0},
         "release 10 is taken back already; this takes back release 9 (v7 f5d98590aaaa)"},
        {{.id = 11, .kind = KIND_ROLLBACK, .of_release = 10},
         {0},
         "release 10 was taken back by rollback 11; this takes back release 9 (v7 f5d98590aaaa)"},
        {{.id = 10, .kind = KIND_RELEASE, .exit_status = 4},
         {0},
         "release 10 (stopped part-way) stays as it is; this takes back release 9 (v7 f5d98590aaaa)"},
        {{.id = 9, .kind = KIND_RELEASE},
         {.held = true,
          .holder = HOLDER_DEAD,
          .who = "ann",
          .host = "ctl",
          .why = "releasing v8",
          .since_ms = 1,
          .pid = 12},
         "nothing of it was touched; this takes back release 9 (v7 f5d98590aaaa)"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct release_info last = rows[i].last;
        struct env_state st = {.env = "prod", .last = &last, .lock = rows[i].lock};
        const char *said = back_story(&st, &back, &arena);
        if (rows[i].lock.held)
            assert_non_null(strstr(said, rows[i].said));
        else
            assert_string_equal(said, rows[i].said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_way_back_says_why_it_is_not_the_last),
        cmocka_unit_test(each_event_is_one_line),
        cmocka_unit_test(looks_that_say_nothing_make_no_line),
        cmocka_unit_test(colours_only_when_asked_for),
        cmocka_unit_test(output_keeps_its_lines_and_loses_its_powers),
        cmocka_unit_test(pieces_become_lines_again),
        cmocka_unit_test(a_row_is_an_object),
        cmocka_unit_test(a_note_has_its_sentence_and_output_its_stream),
        WITH_JOURNAL(a_watcher_shows_rows_as_they_are_committed),
        WITH_JOURNAL(what_was_known_before_is_not_shown_again),
        WITH_JOURNAL(one_node_only),
        WITH_JOURNAL(a_long_past_is_told_in_order),
        WITH_JOURNAL(a_reader_that_went_away_ends_only_the_watching),
        WITH_JOURNAL(a_reader_that_does_not_read_holds_nobody_up),
        WITH_JOURNAL(following_a_dead_engine_ends),
        WITH_JOURNAL(the_board_puts_the_cursor_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
