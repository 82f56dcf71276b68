/* SPDX-License-Identifier: MIT */
/* The rules under random worlds: ops end ok, failed or unknown at random, operators stop and resume, the
 * controller dies between any two rows. After every step the invariants hold and the core rebuilt from the
 * rows equals the live one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "core/core.h"

#define ROWS_MAX 200000
#define OPS_MAX  4096

struct world {
    struct core_plan plan;
    uint8_t flags[64];
    struct core *core, *twin;
    struct record *rows;
    size_t n_rows;
    struct op_req ops[OPS_MAX];
    size_t n_ops;
    int64_t now;
    uint64_t seed;
    int p_failed, p_unknown; /* per mille */
    bool up[64];             /* what the balancer shows */
    bool drained[64];
    int once_runs;
    size_t n_steps_taken;
};

static uint32_t draw(struct world *w, uint32_t below)
{
    w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((w->seed >> 33) % below);
}

enum {
    S_FETCH,
    S_DRAIN,
    S_IDLE,
    S_STOP,
    S_ONCE,
    S_START,
    S_CHECK,
    S_ENABLE,
    S_WAITUP,
    S_VERIFY,
    S_CLEAN,
    N_STEPS
};

static void make_plan(struct world *w, uint32_t n_nodes, uint32_t window, bool rollback)
{
    const struct core_step_def change = {.effect = EFFECT_CHANGE, .has_observe = true, .timeout_ms = 60000};
    const struct core_step_def wait = {
        .effect = EFFECT_READ, .waits = true, .stable = 1, .timeout_ms = 20000, .interval_ms = 500};
    struct core_step_def s[N_STEPS];
    for (int i = 0; i < N_STEPS; i++)
        s[i] = change;
    s[S_FETCH].phase = PHASE_PREPARE;
    s[S_FETCH].forward_only = true;
    s[S_DRAIN].phase = PHASE_DRAIN;
    s[S_DRAIN].record_before = true;
    s[S_IDLE] = wait;
    s[S_IDLE].phase = PHASE_DRAIN;
    s[S_STOP].phase = PHASE_CHANGE;
    s[S_ONCE].phase = PHASE_CHANGE;
    s[S_ONCE].once = ONCE_FIRST;
    s[S_START].phase = PHASE_CHANGE;
    s[S_CHECK] = wait;
    s[S_CHECK].phase = PHASE_CHECK;
    s[S_CHECK].stable = 2;
    s[S_ENABLE].phase = PHASE_ENABLE;
    s[S_WAITUP] = wait;
    s[S_WAITUP].phase = PHASE_ENABLE;
    s[S_VERIFY] = wait;
    s[S_VERIFY].phase = PHASE_VERIFY;
    s[S_CLEAN].phase = PHASE_FINISH;
    s[S_CLEAN].forward_only = true;
    w->plan = (struct core_plan){.n_nodes = n_nodes,
                                 .n_steps = N_STEPS,
                                 .n_stages = 2,
                                 .stage_end = {1, n_nodes},
                                 .n_groups = 1,
                                 .groups = {{.end = n_nodes,
                                             .window = window,
                                             .min_up = n_nodes > 2 ? n_nodes / 2 : 1,
                                             .has_capacity = true,
                                             .has_guard = true,
                                             .soak_ms = 3000}},
                                 .rollback_on_failure = rollback,
                                 .guard_ms = 2000,
                                 .floor_wait_ms = 10000,
                                 .unknown_grace_ms = 20000,
                                 .node_flags = w->flags};
    memcpy(w->plan.steps, s, sizeof(s));
    for (uint32_t i = 0; i < n_nodes; i++) {
        w->flags[i] = CORE_NODE_WAS_UP | CORE_NODE_HAS_BEFORE;
        w->up[i] = true;
        w->drained[i] = false;
    }
    w->core = core_init(xcalloc(1, core_size(&w->plan)), &w->plan);
    w->twin = core_init(xcalloc(1, core_size(&w->plan)), &w->plan);
    w->rows = xcalloc(ROWS_MAX, sizeof(*w->rows));
}

static void world_free(struct world *w)
{
    free(w->core);
    free(w->twin);
    free(w->rows);
}

static void explain(struct world *w)
{
    for (size_t i = w->n_rows > 60 ? w->n_rows - 60 : 0; i < w->n_rows; i++) {
        const struct record *r = &w->rows[i];
        const char *code = r->kind == ROW_NOTE      ? note_name((enum note)r->code)
                           : r->kind == ROW_OUTCOME ? outcome_name((enum outcome)r->code)
                           : r->kind == ROW_ORDER   ? order_name((enum order)r->code)
                                                    : role_name((enum role)r->code);
        printf("  %zu %s %s role=%s node=%u step=%d back=%d a=%lld b=%lld\n", i, row_kind_name(r->kind), code,
               role_name((enum role)r->role), r->node, r->step, r->back, (long long)r->a, (long long)r->b);
    }
    for (uint32_t i = 0; i < w->plan.n_nodes; i++) {
        struct core_view v;
        core_view(w->core, i, &v);
        printf("  node %u state %d step %d busy %d debt %d\n", i, v.state, v.step, v.busy, v.debt);
    }
    printf("  life %s due %lld now %lld\n", life_name(core_life(w->core)), (long long)core_due(w->core),
           (long long)w->now);
}

static void feed(struct world *w, struct event ev)
{
    static struct update up;
    ev.now_ms = w->now;
    core_step(w->core, &ev, &up);
    w->n_steps_taken++;
    for (uint32_t i = 0; i < up.n_records; i++) {
        assert_true(w->n_rows < ROWS_MAX);
        w->rows[w->n_rows++] = up.records[i];
        core_replay(w->twin, &up.records[i]);
        if (up.records[i].kind == ROW_INTENT && up.records[i].step == S_ONCE)
            w->once_runs++;
    }
    for (uint32_t i = 0; i < up.n_ops; i++) {
        assert_true(w->n_ops < OPS_MAX);
        w->ops[w->n_ops++] = up.ops[i];
    }
    enum invariant broken = core_check(w->core);
    if (broken != INVARIANT_NONE || !core_same(w->core, w->twin)) {
        explain(w);
        fail_msg("invariant %d, twin %d", broken, core_same(w->core, w->twin));
    }
}

static int64_t serving(const struct world *w)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < w->plan.n_nodes; i++)
        n += w->up[i] && !w->drained[i];
    return n;
}

/* The world's answer to one op: its effect is true to the outcome, an unknown one flips a coin. */
static void answer(struct world *w, size_t k)
{
    struct op_req op = w->ops[k];
    w->ops[k] = w->ops[--w->n_ops];
    uint32_t dice = draw(w, 1000);
    enum outcome out = dice < (uint32_t)w->p_failed                    ? OUT_FAILED
                       : dice < (uint32_t)(w->p_failed + w->p_unknown) ? OUT_UNKNOWN
                                                                       : OUT_OK;
    bool done = out == OUT_OK || (out == OUT_UNKNOWN && draw(w, 2));
    struct event ev = {
        .kind = EV_OUTCOME, .op = op.op, .node = op.node, .outcome = out, .ready = true, .changed = true};
    bool drain = op.step == S_DRAIN && (op.role == ROLE_RUN || op.role == ROLE_GUARD);
    bool enable = op.step == S_ENABLE && op.role == ROLE_RUN;
    if (op.node < w->plan.n_nodes && drain && done)
        w->drained[op.node] = true;
    if (op.node < w->plan.n_nodes && enable && done)
        w->drained[op.node] = false;
    if (op.role == ROLE_CAPACITY)
        ev.gauge = serving(w);
    if (op.role == ROLE_OBSERVE && op.step == S_DRAIN)
        ev.ready = w->drained[op.node];
    else if (op.role == ROLE_OBSERVE && op.step == S_ENABLE)
        ev.ready = !w->drained[op.node];
    else if (op.role == ROLE_OBSERVE)
        ev.ready = draw(w, 2);
    else if (op.role == ROLE_RUN && w->plan.steps[op.step].waits)
        ev.ready = draw(w, 4) != 0;
    if (op.role == ROLE_GUARD && op.step == CORE_NO_STEP)
        ev.ready = w->drained[op.node];
    feed(w, ev);
}

/* One move of the world; false when nothing can move. */
static bool move(struct world *w)
{
    int64_t due = core_due(w->core);
    if (w->n_ops > 0 && (due > w->now || draw(w, 3))) {
        w->now += draw(w, 50);
        answer(w, draw(w, (uint32_t)w->n_ops));
        return true;
    }
    if (due == CORE_NEVER)
        return false;
    if (due > w->now)
        w->now = due;
    feed(w, (struct event){.kind = EV_TIMER});
    return true;
}

static int run_to_end(struct world *w)
{
    int status = -1;
    enum why why;
    for (size_t k = 0; !core_ended(w->core, &status, &why); k++) {
        if (!move(w) || k > 200000) {
            explain(w);
            fail_msg("stuck: nothing moves and the release has not ended");
        }
    }
    return status;
}

/* The controller dies: its memory is gone, the rows stay. What was in flight may have happened. */
static void crash(struct world *w)
{
    for (size_t k = 0; k < w->n_ops; k++) {
        struct op_req op = w->ops[k];
        if (op.node >= w->plan.n_nodes || !draw(w, 2))
            continue;
        if (op.step == S_DRAIN && (op.role == ROLE_RUN || op.role == ROLE_GUARD))
            w->drained[op.node] = true;
        if (op.step == S_ENABLE && op.role == ROLE_RUN)
            w->drained[op.node] = false;
    }
    w->n_ops = 0;
    core_init(w->core, &w->plan);
    core_init(w->twin, &w->plan);
    for (size_t i = 0; i < w->n_rows; i++) {
        core_replay(w->core, &w->rows[i]);
        core_replay(w->twin, &w->rows[i]);
    }
    w->now = 0;
}

static void check_end(struct world *w, int status)
{
    for (uint32_t i = 0; i < w->plan.n_nodes; i++) {
        struct core_view v;
        core_view(w->core, i, &v);
        bool in = v.state == NODE_DONE || v.state == NODE_UNDONE || v.state == NODE_PENDING ||
                  v.state == NODE_FAILED;
        if (in && w->drained[i]) {
            explain(w);
            fail_msg("node %u counts as in rotation (state %d) but is drained", i, v.state);
        }
        if (status == 0)
            assert_int_equal(v.state, NODE_DONE);
        if (status == 1)
            assert_true(v.state == NODE_UNDONE || v.state == NODE_PENDING || v.state == NODE_FAILED);
    }
}

static void released_everywhere_when_nothing_fails(void **state)
{
    (void)state;
    for (uint32_t nodes = 2; nodes <= 12; nodes++) {
        struct world w = {.seed = nodes};
        make_plan(&w, nodes, 1 + nodes / 4, true);
        feed(&w, (struct event){.kind = EV_START});
        assert_int_equal(run_to_end(&w), 0);
        assert_int_equal(w.once_runs, 1);
        check_end(&w, 0);
        world_free(&w);
    }
}

static void random_worlds_end_and_resume(void **state)
{
    (void)state;
    size_t ends[8] = {0}, steps = 0;
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        struct world w = {.seed = seed * 7919};
        make_plan(&w, 2 + draw(&w, 6), 1 + draw(&w, 3), draw(&w, 2));
        w.p_failed = (int)draw(&w, 60);
        w.p_unknown = (int)draw(&w, 60);
        feed(&w, (struct event){.kind = EV_START});
        size_t until = draw(&w, 300);
        int status;
        enum why why;
        for (size_t k = 0; k < until && !core_ended(w.core, &status, &why); k++)
            if (!move(&w))
                break;
        bool died = draw(&w, 2);
        if (died)
            crash(&w);
        else if (!core_ended(w.core, &status, &why) && draw(&w, 2))
            feed(&w, (struct event){.kind = EV_ORDER, .order = draw(&w, 2) ? ORDER_STOP : ORDER_ABORT});
        if (!died)
            status = run_to_end(&w);
        if (died || status == 4 || status == 5) {
            /* The faults are gone: one command ends it. */
            w.p_failed = w.p_unknown = 0;
            enum order order = draw(&w, 2) ? ORDER_RESUME : ORDER_ROLLBACK;
            bool was_over = core_ended(w.core, &status, &why) && (status == 0 || status == 1);
            if (!was_over) {
                feed(&w, (struct event){.kind = EV_ORDER, .order = order});
                status = run_to_end(&w);
                if (status != 0 && status != 1) {
                    explain(&w);
                    fail_msg("seed %llu: order %d ended with %d though nothing fails any more",
                             (unsigned long long)seed, (int)order, status);
                }
            }
        }
        check_end(&w, status);
        ends[status]++;
        steps += w.n_steps_taken;
        world_free(&w);
    }
    print_message("%zu core steps; ended 0: %zu, 1: %zu, 4: %zu, 5: %zu\n", steps, ends[0], ends[1], ends[4],
                  ends[5]);
    assert_true(ends[0] > 100 && ends[1] > 100);
}

/* A plan of a few steps where everything goes well; true when a row of this note was written. */
static bool walk_well(const struct core_step_def *steps, uint32_t n_steps, enum note wanted,
                      struct core_view *ret, bool *ret_owed_meanwhile)
{
    static struct update up;
    struct core_plan plan = {.n_nodes = 1,
                             .n_steps = n_steps,
                             .n_stages = 1,
                             .stage_end = {1},
                             .n_groups = 1,
                             .groups = {{.end = 1, .window = 1}}};
    const uint8_t flags[] = {CORE_NODE_WAS_UP | CORE_NODE_HAS_BEFORE};
    struct op_req todo[64];
    size_t n_todo = 0;
    bool seen = false;
    int status = -1;
    enum why why;
    memcpy(plan.steps, steps, n_steps * sizeof(*steps));
    plan.node_flags = flags;
    struct core *core = core_init(xcalloc(1, core_size(&plan)), &plan);
    struct event ev = {.kind = EV_START};
    *ret_owed_meanwhile = false;
    for (int turns = 0; turns < 100 && !core_ended(core, &status, &why); turns++) {
        core_step(core, &ev, &up);
        assert_int_equal(core_check(core), INVARIANT_NONE);
        for (uint32_t i = 0; i < up.n_records; i++)
            seen |= up.records[i].kind == ROW_NOTE && up.records[i].code == wanted;
        for (uint32_t i = 0; i < up.n_ops; i++)
            todo[n_todo++] = up.ops[i];
        core_view(core, 0, ret);
        *ret_owed_meanwhile |= ret->state == NODE_OUT && ret->debt;
        if (n_todo > 0)
            ev = (struct event){.kind = EV_OUTCOME,
                                .now_ms = ev.now_ms + 10,
                                .op = todo[n_todo - 1].op,
                                .node = todo[n_todo - 1].node,
                                .outcome = OUT_OK,
                                .ready = true};
        else
            ev = (struct event){.kind = EV_TIMER, .now_ms = core_due(core)};
        n_todo -= n_todo > 0;
    }
    assert_int_equal(status, 0);
    core_view(core, 0, ret);
    free(core);
    return seen;
}

/* Wherever it stands, a drain is a debt; one that nothing gives back stays owed, and is said. */
static void a_drain_is_owed_wherever_it_stands(void **state)
{
    (void)state;
    static const struct core_step_def in_change[] = {
        {.phase = PHASE_CHANGE, .effect = EFFECT_CHANGE, .takes_out = true, .timeout_ms = 1000},
        {.phase = PHASE_CHANGE, .effect = EFFECT_CHANGE, .timeout_ms = 1000},
        {.phase = PHASE_ENABLE, .effect = EFFECT_CHANGE, .gives_back = true, .timeout_ms = 1000},
    };
    static const struct core_step_def only_drains[] = {
        {.phase = PHASE_DRAIN, .effect = EFFECT_CHANGE, .takes_out = true, .timeout_ms = 1000},
    };
    struct core_view v;
    bool owed;
    assert_true(walk_well(in_change, 3, NOTE_NODE_IN, &v, &owed));
    assert_true(owed && !v.debt && v.state == NODE_DONE);
    assert_false(walk_well(in_change, 3, NOTE_NODE_OUT, &v, &owed));
    assert_true(walk_well(only_drains, 1, NOTE_NODE_OUT, &v, &owed));
    assert_true(owed && v.debt && v.state == NODE_DONE);
    assert_true(walk_well(in_change, 1, NOTE_NODE_OUT, &v, &owed)); /* a drain in change, and no enable */
    assert_true(v.debt);
}

/* A plan may do something before it takes a node out of its balancers. That is no drain: what the floor was judged by is
 * judged anew behind it, and nothing is counted as out by it. */
static void a_command_before_the_drain_takes_nobody_out(void **state)
{
    static struct world w;
    (void)state;
    memset(&w, 0, sizeof(w));
    make_plan(&w, 4, 1, true);
    w.plan.steps[S_FETCH] = w.plan.steps[S_STOP];
    w.plan.steps[S_FETCH].phase = PHASE_DRAIN; /* the command, before S_DRAIN */
    w.plan.steps[S_DRAIN].takes_out = true;
    core_init(w.core, &w.plan);
    core_init(w.twin, &w.plan);
    int64_t ended = -1, judged = -1;
    feed(&w, (struct event){.kind = EV_START});
    for (int k = 0; k < 200; k++) {
        if (w.n_ops == 0) {
            w.now = core_due(w.core);
            feed(&w, (struct event){.kind = EV_TIMER});
            continue;
        }
        struct op_req op = w.ops[0];
        if (op.step == S_DRAIN && op.role == ROLE_RUN)
            break;
        w.now += op.step == S_FETCH && op.role == ROLE_RUN ? 30000 : 10;
        if (op.step == S_FETCH && op.role == ROLE_RUN)
            ended = w.now;
        if (op.role == ROLE_CAPACITY)
            judged = w.now;
        w.ops[0] = w.ops[--w.n_ops];
        feed(&w, (struct event){.kind = EV_OUTCOME,
                                .op = op.op,
                                .node = op.node,
                                .outcome = OUT_OK,
                                .ready = op.role != ROLE_OBSERVE || op.step == S_WAITUP,
                                .changed = true,
                                .gauge = 4});
        assert_int_not_equal(op.role, ROLE_GUARD); /* there is no drain to look after */
    }
    assert_int_equal(w.ops[0].step, S_DRAIN);
    assert_true(ended > 0 && judged >= ended);
    world_free(&w);
}

/* A program that judges may take a minute. Who is found unhealthy meanwhile goes back at once: the floor is asked for it
 * beside the judge. A look of the soak itself asks no program, and has no such time. */
static void a_judge_under_way_keeps_nobody_in_rotation(void **state)
{
    static struct world w;
    (void)state;
    memset(&w, 0, sizeof(w));
    make_plan(&w, 4, 1, true);
    w.plan.groups[0].judges = true;
    w.plan.groups[0].judge_look_ms = 60000;
    w.plan.groups[0].judge_wait_ms = 600000;
    core_init(w.core, &w.plan);
    core_init(w.twin, &w.plan);
    int64_t until = -1;
    int early = 0;
    bool drained = false;
    feed(&w, (struct event){.kind = EV_START});
    for (int k = 0; k < 300 && !drained; k++) {
        size_t at = 0;
        while (at < w.n_ops && w.ops[at].role == ROLE_JUDGE && w.ops[at].look == JUDGE_LAST)
            until = w.ops[at++].deadline_ms; /* asked, and not answered */
        if (at == w.n_ops) {
            w.now = core_due(w.core);
            assert_int_not_equal(w.now, CORE_NEVER);
            feed(&w, (struct event){.kind = EV_TIMER});
            continue;
        }
        struct op_req op = w.ops[at];
        bool judge = op.role == ROLE_JUDGE;
        drained = op.back && op.step == S_DRAIN && op.role == ROLE_RUN;
        early += judge;
        assert_true(!judge || op.deadline_ms <= w.now + 10000);
        w.now += 10;
        w.ops[at] = w.ops[--w.n_ops];
        feed(&w,
             (struct event){.kind = EV_OUTCOME,
                            .op = op.op,
                            .node = op.node,
                            .outcome = OUT_OK,
                            .ready = op.role == ROLE_SOAK ? until < 0
                                                          : op.role != ROLE_OBSERVE || op.step == S_WAITUP,
                            .changed = true,
                            .gauge = judge ? JUDGED_NOT : 4});
    }
    assert_true(drained && early > 1);
    assert_true(until > w.now + 50000);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_before_the_drain_takes_nobody_out),
        cmocka_unit_test(released_everywhere_when_nothing_fails),
        cmocka_unit_test(random_worlds_end_and_resume),
        cmocka_unit_test(a_drain_is_owed_wherever_it_stands),
        cmocka_unit_test(a_judge_under_way_keeps_nobody_in_rotation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
