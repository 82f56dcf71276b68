/* SPDX-License-Identifier: MIT */
/* What the board shows of a release, row by row; that it fits its terminal; that nodes cannot paint on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "unit/watch_fixture.h"

static void apply(struct model *m, struct row row)
{
    model_apply(m, &row);
}

static const char *render(const struct model *m, int64_t at_ms, int width, int height, bool colour)
{
    static struct buf out = BUF_INIT(1024 * 1024);
    buf_reset(&out);
    board_render(m, T0 + at_ms, width, height, colour, &out);
    return buf_str(&out);
}

static void has(const char *text, const char *wanted)
{
    if (!strstr(text, wanted))
        fail_msg("'%s' is not in:\n%s", wanted, text);
}

static void hasnt(const char *text, const char *unwanted)
{
    if (strstr(text, unwanted))
        fail_msg("'%s' is in:\n%s", unwanted, text);
}

/* The line that begins with the node's name. */
static const char *line_of(const char *board, const char *node)
{
    static char line[512];
    for (const char *p = board; *p; p += strcspn(p, "\n") + 1)
        if (strncmp(p, node, strlen(node)) == 0 && p[strlen(node)] == ' ') {
            snprintf(line, sizeof line, "%.*s", (int)strcspn(p, "\n"), p);
            return line;
        }
    fail_msg("no line of %s in:\n%s", node, board);
    return NULL;
}

/* Each node with its role, and no step of another role's as the one that comes next. */
static void roles_are_shown(void **state)
{
    (void)state;
    static const char *const roles[] = {"worker", "web"};
    static const uint8_t role_of[] = {0, 1, 1};
    static const uint32_t windows[] = {1, 2};
    struct watch_step steps[7];
    struct watch_plan plan = fixture_plan;
    struct model m;
    memcpy(steps, fixture_steps, sizeof steps);
    steps[2].role = 2;
    plan.steps = steps;
    plan.roles = roles;
    plan.role_of = role_of;
    plan.windows = windows;
    plan.n_roles = 2;
    model_init(&m, &plan);
    apply(&m, NOTE_ROW(0, "", NOTE_LIFE, LIFE_PREPARE, 0));
    apply(&m, NOTE_ROW(1500, "", NOTE_LIFE, LIFE_ROLL, 0));
    apply(&m, NOTE_ROW(1600, "app1", NOTE_ADMIT, 3, 2));
    apply(&m, INTENT_ROW(1600, "app1", 1));
    apply(&m, DONE_ROW(2000, "app1", 1));
    const char *board = render(&m, 2100, 100, 24, false);
    has(line_of(board, "app1"), "app1   worker  out");
    has(line_of(board, "app1"), fixture_steps[3].label);
    has(line_of(board, "app2"), "app2   web     waiting");
    model_fini(&m);
}

static void prepare_and_take_out_app1(struct model *m)
{
    apply(m, NOTE_ROW(0, "", NOTE_LIFE, LIFE_PREPARE, 0));
    apply(m, INTENT_ROW(10, "app1", 0));
    apply(m, DONE_ROW(1000, "app1", 0));
    apply(m, NOTE_ROW(1000, "app1", NOTE_GANG_OK, PHASE_PREPARE, 0));
    apply(m, INTENT_ROW(20, "app2", 0));
    apply(m, NOTE_ROW(1500, "", NOTE_LIFE, LIFE_ROLL, 0));
    apply(m, NOTE_ROW(1600, "app1", NOTE_ADMIT, 3, 2));
    apply(m, INTENT_ROW(1600, "app1", 1));
    apply(m, DONE_ROW(2000, "app1", 1));
}

static void a_node_walks_through_its_states(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, &fixture_plan);
    has(line_of(render(&m, 0, 100, 24, false), "app1"), "waiting");
    prepare_and_take_out_app1(&m);
    const char *line = line_of(render(&m, 5000, 100, 24, false), "app1");
    has(line, "out");
    has(line, "wait idle"); /* a read has no intent row: known from the step before it */
    has(line, "3s");
    has(line_of(render(&m, 5000, 100, 24, false), "app2"), "preparing");
    struct row progress = NOTE_ROW(3000, "app1", NOTE_PROGRESS, 14, 0);
    progress.step = 2;
    apply(&m, progress);
    has(line_of(render(&m, 5000, 100, 24, false), "app1"), "14 sessions");
    apply(&m, NOTE_ROW(9000, "app1", NOTE_NODE_IN, 0, 0));
    line = line_of(render(&m, 9000, 100, 24, false), "app1");
    has(line, "done");
    has(line, "was out for 7.4s");
    hasnt(line, "sessions");
    has(render(&m, 9000, 100, 24, false), "1 of 3 done, 0 out (at most 1)");
    model_fini(&m);
}

static void a_failing_node_says_why_and_goes_back(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, &fixture_plan);
    prepare_and_take_out_app1(&m);
    struct row bad = fixture_row(5000, ROW_OUTCOME, "app1", 4, "run", "failed", 1, 0);
    bad.text = "app1: check: answered 500 (wanted 200)";
    apply(&m, bad);
    struct row failed = NOTE_ROW(5000, "app1", NOTE_NODE_FAILED, 0, 0);
    failed.step = 4;
    apply(&m, failed);
    apply(&m, NOTE_ROW(5001, "app1", NOTE_NODE_TURN, 1, WHY_FAILED));
    const char *line = line_of(render(&m, 6000, 100, 24, false), "app1");
    has(line, "going back");
    has(line, "answered 500 (wanted 200)");
    hasnt(line, "app1: check");
    assert_int_equal(m.failed_node, 0);
    assert_int_equal(m.failed_step, 4);
    apply(&m, NOTE_ROW(5500, "", NOTE_LIFE, LIFE_BACK, WHY_FAILED));
    apply(&m, NOTE_ROW(7000, "app1", NOTE_NODE_IN, 1, 0));
    has(line_of(render(&m, 7000, 100, 24, false), "app1"), "back on the old");
    apply(&m, NOTE_ROW(7100, "", NOTE_END, 1, WHY_FAILED));
    assert_true(m.ended);
    assert_int_equal(m.exit_status, 1);
    has(render(&m, 7100, 100, 24, false), "more nodes failed than max_failed allows");
    model_fini(&m);
}

static void the_end_leaves_nobody_at_work(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, &fixture_plan);
    apply(&m, NOTE_ROW(1000, "", NOTE_LIFE, LIFE_PREPARE, 0));
    apply(&m, fixture_row(1100, ROW_INTENT, "app1", 0, "run", "run", 1, 0));
    apply(&m, fixture_row(1100, ROW_INTENT, "app2", 0, "run", "run", 1, 0));
    has(line_of(render(&m, 1200, 100, 24, false), "app2"), "preparing");
    struct row bad = fixture_row(1300, ROW_OUTCOME, "app1", 0, "run", "failed", 1, 0);
    auto_buf struct buf said = BUF_INIT(4000);
    buf_puts(&said, "app1: prepare: ");
    for (int i = 0; i < 100; i++)
        buf_puts(&said, "stylesheet ");
    bad.text = buf_str(&said);
    apply(&m, bad);
    apply(&m, NOTE_ROW(1300, "app1", NOTE_GANG_BAD, PHASE_PREPARE, 0));
    struct row end = NOTE_ROW(1400, "", NOTE_END, 1, WHY_PREPARE);
    end.text = "release ended: a node could not be prepared: app1: no space left";
    apply(&m, end);
    const char *board = render(&m, 1500, 200, 24, false);
    has(line_of(board, "app1"), "failed");
    has(line_of(board, "app2"), "not touched");
    has(board, "app1: no space left"); /* the row's own words, which name the node */
    hasnt(board, "preparing");
    const char *last = strrchr(m.failed_text, ' ');
    assert_string_equal(last, " stylesheet...");
    apply(&m, fixture_row(2000, ROW_ORDER, "", -1, "", "resume", 0, 0));
    has(line_of(render(&m, 2000, 100, 24, false), "app2"), "waiting");
    model_fini(&m);
}

static void a_resume_takes_up_what_was_left(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, &fixture_plan);
    prepare_and_take_out_app1(&m);
    apply(&m, NOTE_ROW(5000, "app1", NOTE_NODE_LEFT, WHY_UNKNOWN, 0));
    apply(&m, NOTE_ROW(5000, "", NOTE_END, 5, WHY_UNKNOWN));
    has(line_of(render(&m, 6000, 100, 24, false), "app1"), "left out");
    assert_true(m.ended);
    apply(&m, fixture_row(9000, ROW_ORDER, "", -1, "", "resume", 0, 0));
    assert_false(m.ended);
    has(line_of(render(&m, 9000, 100, 24, false), "app1"), "out");
    assert_int_equal(m.counts[SHOWN_LEFT], 0);
    model_fini(&m);
}

static void the_time_left_comes_from_the_past_and_from_now(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, &fixture_plan);
    apply(&m, NOTE_ROW(0, "", NOTE_LIFE, LIFE_ROLL, 0));
    /* Three nodes of 10 s one at a time, one soak of 30 s between the stages, half a second of verification.
     */
    assert_int_equal(model_left_ms(&m, T0), 30000 + 30000 + 500);
    apply(&m, NOTE_ROW(0, "app1", NOTE_ADMIT, 3, 2));
    apply(&m, INTENT_ROW(0, "app1", 1));
    apply(&m, DONE_ROW(3000, "app1", 1)); /* drain takes 3 s today, not 1 */
    assert_int_equal(model_left_ms(&m, T0 + 3000), 2 * 12000 + 6000 + 30000 + 500);
    model_fini(&m);

    static struct watch_step unknown[7];
    memcpy(unknown, fixture_steps, sizeof unknown);
    for (int i = 0; i < 7; i++)
        unknown[i].usual_ms = -1;
    struct watch_plan plan = fixture_plan;
    plan.steps = unknown;
    model_init(&m, &plan);
    assert_int_equal(model_left_ms(&m, T0), -1);
    hasnt(render(&m, 0, 100, 24, false), "left");
    model_fini(&m);
}

/* Widest line in columns and number of lines; escape sequences do not count. */
static void measure(const char *board, int *ret_width, int *ret_lines)
{
    int width = 0;
    *ret_width = *ret_lines = 0;
    for (const char *p = board; *p; p++) {
        if (*p == '\x1b')
            p += strcspn(p, "m");
        else if (*p == '\n') {
            *ret_lines += 1;
            *ret_width = width > *ret_width ? width : *ret_width;
            width = 0;
        } else
            width += ((unsigned char)*p & 0xc0) != 0x80;
    }
}

static void it_fits_every_terminal(void **state)
{
    (void)state;
    enum { MANY = 300 };
    static char names[MANY][16];
    static const char *ids[MANY];
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "web-%03d", i);
        ids[i] = names[i];
    }
    struct watch_plan plan = fixture_plan;
    plan.nodes = ids;
    plan.n_nodes = MANY;
    struct model m;
    model_init(&m, &plan);
    apply(&m, NOTE_ROW(0, "web-200", NOTE_ADMIT, 3, 2));
    apply(&m, NOTE_ROW(0, "web-150", NOTE_NODE_LEFT, WHY_UNKNOWN, 0));
    static const int sizes[][2] = {{120, 40}, {80, 24}, {80, 10}, {40, 8}, {20, 5}, {200, 310}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int colour = 0; colour < 2; colour++) {
            int width, lines;
            const char *board = render(&m, 5000, sizes[i][0], sizes[i][1], colour);
            measure(board, &width, &lines);
            assert_true(width <= sizes[i][0]);
            assert_true(lines <= sizes[i][1]);
            assert_int_equal(strchr(board, '\x1b') != NULL, colour);
            if (sizes[i][1] >= 8) {
                line_of(board, "web-150"); /* who needs eyes is shown */
                line_of(board, "web-200");
            }
        }
    has(render(&m, 5000, 120, 24, false), "280 waiting");
    model_fini(&m);
}

static void a_node_cannot_paint_on_the_board(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, &fixture_plan);
    prepare_and_take_out_app1(&m);
    struct row bad = fixture_row(5000, ROW_OUTCOME, "app1", 3, "run", "unknown", 0, 0);
    bad.text = "\x1b[2J\x1b]0;owned\a\nall is \xe2\x80\xae well\r\xff";
    apply(&m, bad);
    const char *board = render(&m, 6000, 200, 24, false);
    assert_null(strpbrk(board, "\x1b\a\r"));
    has(board, "\\x1b[2J");
    has(board, "\\u202e");
    int width, lines;
    measure(board, &width, &lines);
    assert_int_equal(lines, 5); /* head, three nodes, foot: the newline made no line */
    model_fini(&m);
}

static void rows_of_strangers_are_ignored(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, &fixture_plan);
    apply(&m, INTENT_ROW(0, "app7", 0));
    apply(&m, fixture_row(0, ROW_OUTCOME, "app1", 6, "nonsense", "nonsense", 1, 0));
    apply(&m, fixture_row(0, ROW_NOTE, "app1", -1, "", "from-the-future", 0, 0));
    apply(&m, NOTE_ROW(0, "", NOTE_LIFE, 9999, 0));
    struct row far = INTENT_ROW(0, "app1", 0);
    far.step = 99;
    apply(&m, far);
    assert_int_equal(m.counts[SHOWN_WAITING], 3);
    render(&m, 0, 80, 24, true);
    model_fini(&m);
}

static void an_order_to_stop_is_acknowledged_at_once(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, &fixture_plan);
    prepare_and_take_out_app1(&m);
    hasnt(render(&m, 5000, 100, 24, false), "stopping");
    apply(&m, fixture_row(5000, ROW_ORDER, "", -1, "", order_name(ORDER_STOP), 0, 0));
    has(render(&m, 5000, 100, 24, false), "stopping: finishing app1, nothing else starts\n");
    m.ours = true; /* ctrl-C here is an order */
    has(render(&m, 5000, 100, 24, false),
        "stopping: finishing app1, nothing else starts; Ctrl-C again stops now and leaves it out\n");
    apply(&m, NOTE_ROW(6000, "app1", NOTE_NODE_IN, 0, 0));
    has(render(&m, 6000, 100, 24, false), "stopping: nothing else starts\n");
    apply(&m, fixture_row(7000, ROW_ORDER, "", -1, "", order_name(ORDER_ABORT), 0, 0));
    has(render(&m, 7000, 100, 24, false), "stopping now: nothing more is sent");
    apply(&m, fixture_row(8000, ROW_ORDER, "", -1, "", order_name(ORDER_RESUME), 0, 0));
    hasnt(render(&m, 8000, 100, 24, false), "stopping");
    model_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_are_shown),
        cmocka_unit_test(a_node_walks_through_its_states),
        cmocka_unit_test(a_failing_node_says_why_and_goes_back),
        cmocka_unit_test(the_end_leaves_nobody_at_work),
        cmocka_unit_test(a_resume_takes_up_what_was_left),
        cmocka_unit_test(an_order_to_stop_is_acknowledged_at_once),
        cmocka_unit_test(the_time_left_comes_from_the_past_and_from_now),
        cmocka_unit_test(it_fits_every_terminal),
        cmocka_unit_test(a_node_cannot_paint_on_the_board),
        cmocka_unit_test(rows_of_strangers_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
