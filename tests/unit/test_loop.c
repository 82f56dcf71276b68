/* SPDX-License-Identifier: MIT */
/* The loop over ports that do what a test says: the commit fails or takes long, an op ends twice, the wait is
 * interrupted, the process stands still, the lock is lost, signals come. No threads, no clock, no journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "loop/loop.h"

#define OPS_MAX  256
#define NEWS_MAX 32

enum { S_FETCH, S_DRAIN, S_STOP, S_START, S_ENABLE, S_VERIFY, N_STEPS };

struct news {
    enum loop_news kind;
    struct event ev;
};

struct rig {
    struct core_plan plan;
    uint8_t flags[2];
    struct core *core;
    struct loop loop;
    struct loop_room room;
    int64_t now;
    struct op_req ops[OPS_MAX]; /* dispatched */
    size_t n_ops, n_answered;
    struct news news[NEWS_MAX]; /* waiting */
    size_t n_news, n_taken;
    uint32_t n_rows, n_durable, n_stops; /* rows decided, committed; of them ORDER_STOP */
    int n_commits, n_decided, n_timers, n_asked, n_cancels, n_waits;
    int fail_at, late_at; /* which commit */
    int64_t late_ms;      /* how long that one takes */
    int64_t stall_ms;     /* the next wait is that much too long */
    int64_t asking_ms;
    bool wakes; /* the next wait ends with nothing to take */
    bool taken_over;
    char trace[512]; /* decided, Commit, dispatch: "d", "C", ">" */
    size_t n_trace;
};

static void mark(struct rig *r, char what)
{
    if (r->n_trace + 1 < sizeof(r->trace))
        r->trace[r->n_trace++] = what;
}

static int64_t port_now(void *ctx)
{
    return ((struct rig *)ctx)->now;
}

static bool port_wait(void *ctx, int64_t until)
{
    struct rig *r = ctx;
    r->n_waits++;
    assert_true(r->n_waits < 100000); /* else it spins */
    bool came = r->n_taken < r->n_news || r->wakes;
    r->wakes = false;
    if (!came && until > r->now)
        r->now = until;
    r->now += r->stall_ms;
    r->stall_ms = 0;
    return came;
}

static bool port_ours(void *ctx)
{
    struct rig *r = ctx;
    r->n_asked++;
    r->now += r->asking_ms;
    return !r->taken_over;
}

static enum loop_news port_take(void *ctx, struct event *ret)
{
    struct rig *r = ctx;
    if (r->n_taken == r->n_news) {
        r->n_taken = r->n_news = 0;
        return NEWS_NONE;
    }
    *ret = r->news[r->n_taken].ev;
    return r->news[r->n_taken++].kind;
}

static void port_decided(void *ctx, const struct event *ev, const struct update *up)
{
    struct rig *r = ctx;
    r->n_decided++;
    r->n_timers += ev->kind == EV_TIMER;
    r->n_cancels += up->cancel_all;
    r->n_rows += up->n_records;
    for (uint32_t i = 0; i < up->n_records; i++)
        r->n_stops += up->records[i].kind == ROW_ORDER && up->records[i].code == ORDER_STOP;
    mark(r, 'd');
}

static bool port_commit(void *ctx)
{
    struct rig *r = ctx;
    mark(r, 'C');
    r->n_commits++;
    r->now += r->n_commits == r->late_at ? r->late_ms : 0;
    if (r->n_commits == r->fail_at)
        return false;
    r->n_durable = r->n_rows;
    return true;
}

static void port_dispatch(void *ctx, const struct op_req *op)
{
    struct rig *r = ctx;
    mark(r, '>');
    assert_int_equal(r->n_durable, r->n_rows); /* intent before action */
    assert_true(r->n_ops < OPS_MAX);
    r->ops[r->n_ops++] = *op;
}

static const struct loop_ports ports = {
    .now = port_now,
    .wait = port_wait,
    .ours = port_ours,
    .take = port_take,
    .decided = port_decided,
    .commit = port_commit,
    .dispatch = port_dispatch,
};

static int begin(void **state)
{
    static const uint8_t phases[N_STEPS] = {PHASE_PREPARE, PHASE_DRAIN,  PHASE_CHANGE,
                                            PHASE_CHANGE,  PHASE_ENABLE, PHASE_VERIFY};
    struct rig *r = xcalloc(1, sizeof(*r));
    r->plan = (struct core_plan){.n_nodes = 2,
                                 .n_steps = N_STEPS,
                                 .n_stages = 1,
                                 .stage_end = {2},
                                 .n_groups = 1,
                                 .groups = {{.end = 2, .window = 1, .min_up = 1}},
                                 .rollback_on_failure = true,
                                 .unknown_grace_ms = 5000,
                                 .node_flags = r->flags};
    for (int i = 0; i < N_STEPS; i++)
        r->plan.steps[i] = (struct core_step_def){
            .phase = phases[i], .effect = EFFECT_CHANGE, .has_observe = true, .timeout_ms = 10000};
    memset(r->flags, CORE_NODE_WAS_UP | CORE_NODE_HAS_BEFORE, sizeof(r->flags));
    r->core = core_init(xcalloc(1, core_size(&r->plan)), &r->plan);
    r->now = 1000;
    loop_init(&r->loop, &ports, r, r->core, &r->room);
    *state = r;
    return 0;
}

static int end(void **state)
{
    struct rig *r = *state;
    loop_room_fini(&r->room);
    free(r->core);
    free(r);
    return 0;
}

static void comes(struct rig *r, enum loop_news kind, struct event ev)
{
    assert_true(r->n_news < NEWS_MAX);
    r->news[r->n_news++] = (struct news){kind, ev};
}

static void op_ends(struct rig *r, size_t k, enum outcome outcome)
{
    comes(r, NEWS_OUTCOME,
          (struct event){.kind = EV_OUTCOME,
                         .op = r->ops[k].op,
                         .node = r->ops[k].node,
                         .outcome = outcome,
                         .ready = true});
}

/* Everything that is under way ends well, turn by turn, until an op of that step is dispatched. */
static size_t until_step(struct rig *r, uint16_t step)
{
    for (size_t k = r->n_answered;; k = r->n_answered) {
        for (; k < r->n_ops; k++)
            if (r->ops[k].step == step)
                return k;
        for (; r->n_answered < r->n_ops; r->n_answered++)
            op_ends(r, r->n_answered, OUT_OK);
        assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    }
}

static enum loop_state to_the_end(struct rig *r)
{
    for (;;) {
        for (; r->n_answered < r->n_ops; r->n_answered++)
            op_ends(r, r->n_answered, OUT_OK);
        enum loop_state state = loop_turn(&r->loop);
        if (state != LOOP_GOES_ON)
            return state;
    }
}

static void a_release_goes_to_its_end(void **state)
{
    struct rig *r = *state;
    assert_int_equal(loop_begin(&r->loop, ORDER_START), LOOP_GOES_ON);
    assert_int_equal(to_the_end(r), LOOP_ENDED);
    assert_int_equal(loop_exit(&r->loop), EXIT_RELEASED);
    assert_int_equal(r->n_durable, r->n_rows);
    assert_int_equal(r->n_asked, 0);
}

/* However many ops end at once, their rows are one transaction, and what follows from them goes out behind it. */
static void a_turn_is_one_commit(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    assert_int_equal(r->n_ops, 2);
    op_ends(r, 0, OUT_OK);
    op_ends(r, 1, OUT_OK);
    r->n_answered = 2;
    r->n_trace = 0;
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    r->trace[r->n_trace] = '\0';
    assert_string_equal(r->trace, "ddC>");
    assert_int_equal(r->n_commits, 2);
}

static void a_failed_commit_dispatches_nothing(void **state)
{
    struct rig *r = *state;
    r->fail_at = 2;
    loop_begin(&r->loop, ORDER_START);
    size_t before = r->n_ops;
    op_ends(r, 0, OUT_OK);
    op_ends(r, 1, OUT_OK);
    assert_int_equal(loop_turn(&r->loop), LOOP_BROKEN);
    assert_true(r->n_rows > r->n_durable);
    assert_int_equal(r->n_ops, before);
}

static void a_first_commit_that_fails_begins_nothing(void **state)
{
    struct rig *r = *state;
    r->fail_at = 1;
    assert_int_equal(loop_begin(&r->loop, ORDER_START), LOOP_BROKEN);
    assert_int_equal(r->n_ops, 0);
}

/* A disk that hangs is a standstill like any other: between the decision and the deed others may have come. */
static void a_late_commit_asks_before_it_dispatches(void **state)
{
    struct rig *r = *state;
    r->late_at = 2;
    r->late_ms = LOOP_PAUSED_MS + 1;
    loop_begin(&r->loop, ORDER_START);
    op_ends(r, 0, OUT_OK);
    op_ends(r, 1, OUT_OK);
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    assert_int_equal(r->n_asked, 1);
    assert_int_equal(r->n_ops, 3);
}

static void a_late_commit_of_who_was_taken_over_dispatches_nothing(void **state)
{
    struct rig *r = *state;
    r->late_at = 2;
    r->late_ms = LOOP_PAUSED_MS + 1;
    r->taken_over = true;
    loop_begin(&r->loop, ORDER_START);
    op_ends(r, 0, OUT_OK);
    op_ends(r, 1, OUT_OK);
    assert_int_equal(loop_turn(&r->loop), LOOP_LOST);
    assert_int_equal(r->n_ops, 2);
}

static void an_op_that_ends_twice_ends_once(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    size_t k = until_step(r, S_STOP);
    op_ends(r, k, OUT_OK);
    op_ends(r, k, OUT_FAILED);
    op_ends(r, k, OUT_OK);
    r->n_answered = k + 1;
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    assert_int_equal(r->n_ops, k + 2);
    assert_int_equal(r->ops[k + 1].step, S_START);
    uint32_t rows = r->n_rows;
    op_ends(r, k, OUT_FAILED); /* and again, a turn later */
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    assert_int_equal(r->n_rows, rows);
    assert_int_equal(r->n_ops, k + 2);
    assert_int_equal(to_the_end(r), LOOP_ENDED);
    assert_int_equal(loop_exit(&r->loop), EXIT_RELEASED);
}

static void an_interrupted_wait_decides_nothing(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    int decided = r->n_decided;
    r->wakes = true;
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    assert_int_equal(r->n_decided, decided);
    assert_int_equal(r->n_ops, 2);
}

/* A look after an unknown outcome has its time; nothing else comes, and the loop looks up meanwhile. */
static void a_timer_comes_in_its_time(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    size_t k = until_step(r, S_STOP);
    op_ends(r, k, OUT_UNKNOWN);
    r->n_answered = k + 1;
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    assert_int_equal(r->ops[k + 1].role, ROLE_OBSERVE);
    op_ends(r, k + 1, OUT_UNKNOWN);
    r->n_answered = k + 2;
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    int64_t due = core_due(r->core);
    int timers = r->n_timers;
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    assert_int_equal(r->n_timers, timers + 1);
    assert_int_equal(r->now, due);
    assert_int_equal(r->ops[k + 2].role, ROLE_OBSERVE);
    assert_int_equal(r->n_asked, 0);
}

static void who_stood_still_asks_before_it_decides(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    op_ends(r, 0, OUT_OK);
    r->n_answered = 1;
    r->stall_ms = LOOP_PAUSED_MS + 1;
    r->asking_ms = LOOP_PAUSED_MS + 1; /* which is no standstill */
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    assert_int_equal(r->n_asked, 1);
    op_ends(r, 1, OUT_OK);
    r->n_answered = 2;
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    assert_int_equal(r->n_asked, 1);
}

static void who_was_taken_over_decides_nothing(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    int decided = r->n_decided, commits = r->n_commits;
    op_ends(r, 0, OUT_OK);
    r->stall_ms = LOOP_PAUSED_MS + 1;
    r->taken_over = true;
    assert_int_equal(loop_turn(&r->loop), LOOP_LOST);
    assert_int_equal(r->n_decided, decided);
    assert_int_equal(r->n_commits, commits);
}

/* Waiting long for an op is no standstill. */
static void a_long_wait_asks_nobody(void **state)
{
    struct rig *r = *state;
    r->plan.steps[S_FETCH].timeout_ms = 3600000;
    loop_begin(&r->loop, ORDER_START);
    comes(r, NEWS_TERMINATE, (struct event){.kind = EV_OUTCOME});
    loop_turn(&r->loop); /* its abort, a minute later, is all there is to wait for */
    int64_t from = r->now;
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    assert_int_equal(r->now, from + LOOP_TERM_ABORT_MS);
    assert_int_equal(r->n_asked, 0);
    assert_int_equal(r->n_cancels, 1);
    r->wakes = true;
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    assert_int_equal(r->n_cancels, 1); /* once */
}

/* A refusal by a node: what was taken in the same turn is not written, and nothing is dispatched. */
static void a_lost_lock_ends_the_turn(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    int commits = r->n_commits;
    op_ends(r, 0, OUT_OK);
    comes(r, NEWS_LOST, (struct event){.kind = EV_OUTCOME});
    op_ends(r, 1, OUT_OK);
    assert_int_equal(loop_turn(&r->loop), LOOP_LOST);
    assert_int_equal(r->n_commits, commits);
    assert_int_equal(r->n_ops, 2);
}

/* An order in the turn in which the last node of the phase is ready: what was ready is written, and nothing new
 * begins. */
static void an_order_comes_with_the_last_answer(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    op_ends(r, 0, OUT_OK);
    comes(r, NEWS_INTERRUPT, (struct event){.kind = EV_OUTCOME});
    op_ends(r, 1, OUT_OK);
    assert_int_equal(loop_turn(&r->loop), LOOP_ENDED);
    assert_int_equal(r->n_ops, 2);
    assert_int_equal(r->n_stops, 1);
    assert_int_equal(loop_exit(&r->loop), EXIT_SIGINT);
}

static void a_second_signal_aborts_and_a_third_is_nothing(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    size_t k = until_step(r, S_STOP);
    for (int i = 0; i < 3; i++)
        comes(r, NEWS_INTERRUPT, (struct event){.kind = EV_OUTCOME});
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    assert_int_equal(r->n_cancels, 1);
    assert_int_equal(r->n_stops, 1);
    op_ends(r, k, OUT_UNKNOWN);
    r->n_answered = k + 1;
    assert_int_equal(loop_turn(&r->loop), LOOP_ENDED);
    assert_int_equal(loop_exit(&r->loop), EXIT_SIGINT);
    assert_int_equal(r->n_ops, k + 1);
}

/* Its window closes: what is out comes back, nobody else leaves, and a resume goes on; no signal, so no signal's status. */
static void its_time_is_over_as_by_a_first_signal(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    size_t k = until_step(r, S_STOP);
    int64_t over = r->loop.stop_at = r->now + 90;
    assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    assert_int_equal(r->now, over);
    assert_int_equal(r->n_stops, 1);
    assert_int_equal(r->n_cancels, 0);
    op_ends(r, k, OUT_OK);
    r->n_answered = k + 1;
    assert_int_equal(to_the_end(r), LOOP_ENDED);
    assert_int_equal(loop_exit(&r->loop), EXIT_STOPPED);
    assert_int_equal(r->n_stops, 1);
}

/* When the last node has left, all are through, or on their way back, it is too late to stop. */
static void its_time_is_over_when_the_last_has_left(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    while (core_count(r->core, NODE_PENDING) > 0) {
        for (; r->n_answered < r->n_ops; r->n_answered++)
            op_ends(r, r->n_answered, OUT_OK);
        assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
    }
    assert_int_equal(core_life(r->core), LIFE_ROLL);
    r->loop.stop_at = r->now;
    assert_int_equal(to_the_end(r), LOOP_ENDED);
    assert_int_equal(r->n_stops, 0);
    assert_int_equal(loop_exit(&r->loop), EXIT_RELEASED);
}

static void its_time_is_over_when_all_are_done(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    (void)until_step(r, S_VERIFY);
    r->loop.stop_at = r->now;
    assert_int_equal(to_the_end(r), LOOP_ENDED);
    assert_int_equal(r->n_stops, 0);
    assert_int_equal(loop_exit(&r->loop), EXIT_RELEASED);
}

static void what_was_terminated_says_so(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    comes(r, NEWS_TERMINATE, (struct event){.kind = EV_OUTCOME});
    comes(r, NEWS_INTERRUPT, (struct event){.kind = EV_OUTCOME});
    loop_turn(&r->loop);
    assert_int_equal(r->n_cancels, 1);
    assert_int_equal(to_the_end(r), LOOP_ENDED);
    assert_int_equal(loop_exit(&r->loop), EXIT_SIGTERM);
}

/* A signal that came when nothing was to be stopped any more does not change what the release ended with. */
static void a_signal_at_the_end_changes_nothing(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    size_t k = until_step(r, S_VERIFY);
    for (; k < r->n_ops; k++)
        op_ends(r, k, OUT_OK);
    comes(r, NEWS_INTERRUPT, (struct event){.kind = EV_OUTCOME});
    assert_int_equal(loop_turn(&r->loop), LOOP_ENDED);
    assert_int_equal(loop_exit(&r->loop), EXIT_RELEASED);
}

/* ---- that a node could not be asked says nothing of it (docs/promises.md#m13, 15, 19) */

static void fails(struct rig *r, size_t k, bool unreached, bool late)
{
    op_ends(r, k, OUT_FAILED);
    r->news[r->n_news - 1].ev.unreached = unreached;
    r->news[r->n_news - 1].ev.late = late;
    r->n_answered = k + 1;
    while (r->n_ops == k + 1) /* until it is asked again, or goes back */
        assert_int_equal(loop_turn(&r->loop), LOOP_GOES_ON);
}

/* Turn by turn to the end where the first drain is refused, with a signal behind all that comes in that turn: -1, none.
 * Gives the turn that was the last. */
static int refused_to_the_end(struct rig *r, int signal_in)
{
    loop_begin(&r->loop, ORDER_START);
    for (int turn = 0;; turn++) {
        for (; r->n_answered < r->n_ops; r->n_answered++)
            op_ends(r, r->n_answered, r->ops[r->n_answered].step == S_DRAIN ? OUT_FAILED : OUT_OK);
        if (turn == signal_in)
            comes(r, NEWS_INTERRUPT, (struct event){0});
        if (loop_turn(&r->loop) != LOOP_GOES_ON)
            return turn;
    }
}

/* What ended by itself ended so, whoever pressed ctrl-C meanwhile. */
static void a_signal_behind_the_end_is_not_why_it_stopped(void **state)
{
    struct rig *r = *state, *again;
    void *other = NULL;
    int last = refused_to_the_end(r, -1);
    assert_int_equal(loop_exit(&r->loop), EXIT_STOPPED);
    begin(&other);
    again = other;
    assert_int_equal(refused_to_the_end(again, last), last);
    assert_int_equal(again->loop.signals, 1);
    assert_int_equal(loop_exit(&again->loop), EXIT_STOPPED);
    end(&other);
}

/* Nothing is left to be done: whose the nodes are by now is nothing to it, however long the last commit took. */
static void a_release_that_is_over_asks_nobody(void **state)
{
    struct rig *r = *state, *again;
    void *other = NULL;
    loop_begin(&r->loop, ORDER_START);
    assert_int_equal(to_the_end(r), LOOP_ENDED);
    begin(&other);
    again = other;
    again->late_at = r->n_commits;
    again->late_ms = LOOP_PAUSED_MS + 1;
    again->taken_over = true;
    loop_begin(&again->loop, ORDER_START);
    assert_int_equal(to_the_end(again), LOOP_ENDED);
    assert_int_equal(again->n_commits, again->late_at);
    assert_int_equal(again->n_asked, 0);
    end(&other);
}

static void a_look_that_found_nobody_looks_again(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    size_t k = until_step(r, S_STOP);
    fails(r, k, true, false); /* the change itself was never sent, and is looked at all the same */
    for (int late = 0; late < 2; late++) {
        k++;
        assert_int_equal(r->ops[k].role, ROLE_OBSERVE);
        fails(r, k, !late, late);
    }
    assert_int_equal(r->ops[k + 1].role, ROLE_OBSERVE);
    assert_false(r->ops[k + 1].back);
}

static void a_look_that_says_no_is_believed(void **state)
{
    struct rig *r = *state;
    loop_begin(&r->loop, ORDER_START);
    size_t k = until_step(r, S_STOP);
    fails(r, k, true, false);
    fails(r, k + 1, false, false);
    assert_true(r->ops[k + 2].back);
}

/* The application was asked and says nothing; a node that was not reached was not asked. */
static void a_silent_check_has_failed_and_one_not_reached_has_not(void **state)
{
    struct rig *r = *state;
    r->plan.steps[S_START] = (struct core_step_def){
        .phase = PHASE_CHANGE, .effect = EFFECT_READ, .waits = true, .timeout_ms = 10000, .interval_ms = 500};
    loop_begin(&r->loop, ORDER_START);
    size_t k = until_step(r, S_START);
    fails(r, k, true, false);
    assert_int_equal(r->ops[k + 1].step, S_START);
    assert_false(r->ops[k + 1].back);
    fails(r, k + 1, false, true);
    assert_true(r->ops[k + 2].back);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_release_goes_to_its_end),
        TEST(a_turn_is_one_commit),
        TEST(a_failed_commit_dispatches_nothing),
        TEST(a_first_commit_that_fails_begins_nothing),
        TEST(a_late_commit_asks_before_it_dispatches),
        TEST(a_late_commit_of_who_was_taken_over_dispatches_nothing),
        TEST(an_op_that_ends_twice_ends_once),
        TEST(an_interrupted_wait_decides_nothing),
        TEST(a_timer_comes_in_its_time),
        TEST(who_stood_still_asks_before_it_decides),
        TEST(who_was_taken_over_decides_nothing),
        TEST(a_long_wait_asks_nobody),
        TEST(a_lost_lock_ends_the_turn),
        TEST(an_order_comes_with_the_last_answer),
        TEST(a_second_signal_aborts_and_a_third_is_nothing),
        TEST(its_time_is_over_as_by_a_first_signal),
        TEST(its_time_is_over_when_the_last_has_left),
        TEST(its_time_is_over_when_all_are_done),
        TEST(what_was_terminated_says_so),
        TEST(a_signal_at_the_end_changes_nothing),
        TEST(a_signal_behind_the_end_is_not_why_it_stopped),
        TEST(a_release_that_is_over_asks_nobody),
        TEST(a_look_that_found_nobody_looks_again),
        TEST(a_look_that_says_no_is_believed),
        TEST(a_silent_check_has_failed_and_one_not_reached_has_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
