/* SPDX-License-Identifier: MIT */
/* The judge of stages: its tests of rates against sums computed apart, how often it is wrong on simulated soaks, and what becomes of
 * the balancers' counts. */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "run/judge.h"
#include "run/run_priv.h"
#include "run/verdict.h"

#define SOAKS 1000
#define LOOKS 10

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b) + 1e-290;
}

/* Wanted: the sum of the binomial terms as fractions of whole numbers (Python's fractions and math.comb). */
static void exact_tests_agree_with_sums_computed_apart(void **state)
{
    (void)state;
    static const struct {
        struct rate r;
        double limit, want;
    } above[] = {
        {{5, 500}, 0.01, 0.5603889132518971},
        {{12, 500}, 0.01, 0.005208044254171333},
        {{15, 500}, 0.01, 0.0002056778648200341},
        {{30, 30}, 0.01, 1e-60},
        {{1, 10}, 0.5, 0.9990234375},
        {{10, 20}, 0.3, 0.04796189733134348},
        {{40, 1000}, 0.01, 4.688553566249803e-13},
        {{3, 2000}, 0.001, 0.32332356123847944},
        {{500, 1000}, 0.5, 0.5126125090891804},
        {{0, 100}, 0.01, 1},
        {{1000, 1000}, 0.01, 0},
        {{0, 0}, 0.01, 1},
    };
    static const struct {
        struct rate r, others;
        double times, want;
    } worse[] = {
        {{3, 500}, {0, 4500}, 2, 0.006010518407212622},
        {{20, 500}, {20, 4500}, 2, 4.894642515032808e-06},
        {{10, 1000}, {5, 1000}, 2, 0.6183718383567474},
        {{30, 1000}, {5, 1000}, 2, 0.009891168178659948},
        {{5, 100}, {5, 100}, 1, 0.623046875},
        {{8, 400}, {1, 400}, 1, 0.01953125},
        {{8, 400}, {0, 0}, 1, 1},
    };
    for (size_t i = 0; i < sizeof(above) / sizeof(*above); i++)
        assert_true(near(rate_above(above[i].r, above[i].limit), above[i].want));
    for (size_t i = 0; i < sizeof(worse) / sizeof(*worse); i++)
        assert_true(near(rate_above_others(worse[i].r, worse[i].others, worse[i].times), worse[i].want));
}

/* ---- how often it is wrong ------------------------------------------------ */

static uint64_t dice_state = 7;

static double draw(void)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((double)(dice_state >> 11) + 0.5) / 9007199254740992.0;
}

/* Of n requests, each failing with chance p: the gaps between failures are geometric. */
static int64_t failures(int64_t n, double p)
{
    int64_t hits = 0;
    for (double at = 0; p > 0;) {
        at += floor(log(draw()) / log1p(-p)) + 1;
        if (at > (double)n)
            break;
        hits++;
    }
    return hits;
}

static const struct plan_judge all_limits = {
    .errors_ppm = 10000, .worse_percent = 200, .slower_percent = 150, .min_requests = 200};

/* A soak of ten looks, one node of four released: `requests` on it in all. */
static enum judged soak(int64_t requests, double rate, double others_rate, int *ret_look)
{
    struct soak_counts t = {.n_others = 3};
    for (int look = 1; look <= LOOKS; look++) {
        auto_buf struct buf why = BUF_INIT(2000);
        int64_t n = requests * look / LOOKS - requests * (look - 1) / LOOKS;
        t.released.of += n;
        t.released.hits += failures(n, rate);
        t.others.of += 3 * n;
        t.others.hits += failures(3 * n, others_rate);
        t.ms = 60 + 80 * draw();
        t.others_ms = 80 + 40 * draw();
        t.slow_looks = t.ms > t.others_ms * 1.5 ? t.slow_looks + 1 : 0;
        enum judged said = verdict_of(&all_limits, &t, look < LOOKS ? JUDGE_EARLY : JUDGE_LAST, &why);
        *ret_look = look;
        if (said == JUDGED_BADLY || look == LOOKS)
            return said;
    }
    return JUDGED_NOT;
}

struct counted {
    int bad, early;
};

static struct counted soaks(int64_t requests, double rate, double others_rate)
{
    struct counted ret = {0, 0};
    for (int i = 0; i < SOAKS; i++) {
        int look;
        bool bad = soak(requests, rate, others_rate, &look) == JUDGED_BADLY;
        ret.bad += bad;
        ret.early += bad && look < LOOKS;
    }
    return ret;
}

static const int64_t levels[] = {200, 500, 2000, 10000, 100000};
#define N_LEVELS (sizeof(levels) / sizeof(*levels))

/* The chance of a false alarm is largest where a revision is as bad as is just allowed. */
static void healthy_soaks_are_hardly_ever_failed(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_LEVELS; i++) {
        struct counted healthy = soaks(levels[i], 0.002, 0.002), at_limit = soaks(levels[i], 0.01, 0.01),
                       twice = soaks(levels[i], 0.004, 0.002);
        printf("%6" PRId64
               " requests, of 1000 soaks failed: %d at 0.2%% (as the others), %d at the limit of 1%% "
               "(as the others), %d at twice the others\n",
               levels[i], healthy.bad, at_limit.bad, twice.bad);
        assert_in_range(healthy.bad, 0, 1);
        assert_in_range(at_limit.bad, 0, 12);
        assert_in_range(twice.bad, 0, 12);
        assert_in_range(healthy.early + at_limit.early + twice.early, 0, 1);
    }
}

/* At twice the limit: the more requests, the fewer are missed; at three times hardly any. */
static void bad_revisions_are_found_as_soon_as_there_are_requests(void **state)
{
    (void)state;
    static const int most_missed[N_LEVELS] = {1000, 850, 200, 0, 0},
                     most_at_3[N_LEVELS] = {900, 350, 1, 0, 0};
    for (size_t i = 0; i < N_LEVELS; i++) {
        struct counted at_2 = soaks(levels[i], 0.02, 0.002), at_3 = soaks(levels[i], 0.03, 0.002),
                       alone = soaks(levels[i], 0.02, 0.02);
        printf("%6" PRId64
               " requests, of 1000 soaks missed: %d at 2%%, %d at 3%% (the others 0.2%%), %d at 2%% "
               "(the others, too)\n",
               levels[i], SOAKS - at_2.bad, SOAKS - at_3.bad, SOAKS - alone.bad);
        assert_in_range(SOAKS - alone.bad, 0, most_missed[i]);
        assert_in_range(SOAKS - at_3.bad, 0, most_at_3[i]);
        assert_true(at_2.bad >= alone.bad - 20);
    }
}

static enum judged say(struct soak_counts t, const struct plan_judge *judge, enum judge_look look,
                       struct buf *why)
{
    buf_reset(why);
    return verdict_of(judge, &t, look, why);
}

static void verdicts_say_what_was_seen_and_wanted(void **state)
{
    (void)state;
    auto_buf struct buf why = BUF_INIT(2000);
    struct soak_counts t = {
        .released = {39, 1240}, .others = {4, 3700}, .n_others = 3, .ms = 12.4, .others_ms = 11};
    const struct plan_judge only_others = {.worse_percent = 150, .min_requests = 10};
    assert_int_equal(say(t, &all_limits, JUDGE_EARLY, &why), JUDGED_BADLY);
    assert_string_equal(buf_str(&why),
                        "3.15% errors (39 of 1240 requests); the others 0.11% errors (4 of 3700 requests); "
                        "answers take 12 ms, those of the others 11 ms; wanted at most 1%");
    t.released.hits = 1;
    assert_int_equal(say(t, &all_limits, JUDGE_EARLY, &why), JUDGED_NOT);
    assert_int_equal(say(t, &all_limits, JUDGE_LAST, &why), JUDGED_WELL);
    t.slow_looks = VERDICT_SLOW_LOOKS;
    assert_int_equal(say(t, &all_limits, JUDGE_EARLY, &why), JUDGED_NOT);
    assert_int_equal(say(t, &all_limits, JUDGE_LAST, &why), JUDGED_BADLY);
    assert_non_null(strstr(buf_str(&why), "; wanted at most 1.5x their time"));
    t = (struct soak_counts){.released = {4, 199}, .n_others = 0, .ms = -1, .others_ms = -1};
    assert_int_equal(say(t, &all_limits, JUDGE_LAST, &why), JUDGED_NOT);
    assert_string_equal(buf_str(&why),
                        "2.01% errors (4 of 199 requests); no other node is left to hold it against; wanted "
                        "at least 200 requests");
    t = (struct soak_counts){.released = {0, 500}, .n_others = 2, .ms = -1, .others_ms = -1};
    assert_int_equal(say(t, &only_others, JUDGE_LAST, &why),
                     JUDGED_NOT); /* they had none to hold it against */
    t.n_others = 0;
    assert_int_equal(say(t, &only_others, JUDGE_LAST, &why), JUDGED_WELL);
    t.down = "app1 gets no requests from lb1: DOWN";
    t.down_looks = VERDICT_DOWN_LOOKS - 1;
    assert_int_equal(say(t, &all_limits, JUDGE_EARLY, &why), JUDGED_NOT);
    t.down_looks = VERDICT_DOWN_LOOKS;
    assert_int_equal(say(t, &all_limits, JUDGE_EARLY, &why), JUDGED_BADLY);
    assert_true(str_starts(buf_str(&why), t.down));
}

/* After the soak each look is a last one, and while requests are waited for there may be a hundred of them. */
static void few_requests_that_all_fail_are_no_lack_of_requests(void **state)
{
    (void)state;
    auto_buf struct buf why = BUF_INIT(2000);
    struct plan_judge judge = all_limits;
    judge.min_requests = 500;
    struct soak_counts t = {.released = {488, 488}, .ms = -1, .others_ms = -1};
    assert_int_equal(say(t, &judge, JUDGE_LAST, &why), JUDGED_BADLY);
    assert_string_equal(buf_str(&why), "100% errors (488 of 488 requests); no other node is left to hold it "
                                       "against; wanted at most 1%");
    const struct plan_judge only_others = {.worse_percent = 200, .min_requests = 500};
    t = (struct soak_counts){.released = {90, 400}, .others = {0, 4000}, .n_others = 3, .ms = -1};
    assert_int_equal(say(t, &only_others, JUDGE_LAST, &why), JUDGED_BADLY);
    t = (struct soak_counts){.released = {15, 499}, .ms = -1, .others_ms = -1};
    assert_int_equal(say(t, &judge, JUDGE_LAST, &why), JUDGED_NOT); /* one in 5,000: it may be chance */
    t.released.of = 500;
    assert_int_equal(say(t, &judge, JUDGE_LAST, &why), JUDGED_BADLY);
    t.decided = true;
    assert_int_equal(say(t, &judge, JUDGE_LAST, &why), JUDGED_WELL);
}

/* ---- counts --------------------------------------------------------------- */

struct world {
    struct arena arena;
    struct plan plan;
    struct plan_node nodes[3];
    struct plan_judge judge;
    struct op_pair vars[3], args;
    struct core_plan core_plan;
    struct core *core;
    struct facts *facts;
    struct judge *j;
    struct op_pair rows[8];
    size_t n_rows;
    const char *lack; /* why not all balancers could be asked; NULL: all were */
};

/* app1 is released, app2 is not, app3 is of the environment and left alone by --only. */
static void world_init(struct world *w)
{
    static const char *const ids[] = {"app1", "app2"};
    *w = (struct world){.plan = {.n_nodes = 2, .n_stages = 1, .stage_end = {2}, .capacity = true}};
    for (int i = 0; i < 2; i++) {
        w->vars[i] = (struct op_pair){"lb_server", ids[i]};
        w->nodes[i] = (struct plan_node){.id = ids[i], .was_up = true, .vars = &w->vars[i], .n_vars = 1};
    }
    w->args = (struct op_pair){"servers", "[\"app1\",\"app2\",\"app3\"]"};
    w->judge = all_limits;
    w->judge.min_requests = 100;
    w->judge.where = "prod.sls:9:3";
    w->judge.step = (struct plan_step){.verb = "haproxy.show", .args = &w->args, .n_args = 1};
    w->plan.nodes = w->nodes;
    w->plan.judge = &w->judge;
    w->plan.guard_step = (struct plan_step){.verb = "haproxy.guard"};
    static const uint8_t flags[] = {3, 3};
    w->core_plan = (struct core_plan){.n_nodes = 2,
                                      .n_stages = 1,
                                      .stage_end = {2},
                                      .n_groups = 1,
                                      .groups = {{.end = 2, .window = 1}},
                                      .node_flags = flags};
    w->core = core_init(arena_alloc(&w->arena, core_size(&w->core_plan)), &w->core_plan);
    core_replay(w->core,
                &(struct record){.kind = ROW_NOTE, .code = NOTE_ADMIT, .node = 0, .step = CORE_NO_STEP});
    core_replay(w->core,
                &(struct record){.kind = ROW_NOTE, .code = NOTE_NODE_IN, .node = 0, .step = CORE_NO_STEP});
    w->facts = facts_new(&w->plan);
    w->j = judge_new(&w->plan);
}

static void world_fini(struct world *w)
{
    judge_free(w->j);
    facts_free(w->facts);
    arena_fini(&w->arena);
}

static void row(struct world *w, const char *lb, const char *server, const char *more)
{
    w->rows[w->n_rows++] = (struct op_pair){
        arena_printf(&w->arena, LB_FACT_SHOW "%s.%s", lb, server),
        arena_printf(&w->arena,
                     "{\"balancer\":\"%s\",\"backend\":\"site\",\"server\":\"%s\",\"state\":\"UP\","
                     "\"admin\":\"ready\",\"serving\":true,\"up\":true,%s}",
                     lb, server, more)};
}

static void counts(struct world *w, const char *lb, const char *server, int requests, int errors)
{
    row(w, lb, server,
        arena_printf(&w->arena, "\"requests\":%d,\"errors\":%d,\"answer_ms\":10", requests, errors));
}

/* What a program or a query said; NULL: it has no such judge. */
struct said {
    const char *verdict, *words; /* NULL: it could not be asked, for these words */
};

static struct job *job_of(struct world *w, struct job *job, const struct plan_step *step, const char *name,
                          const struct said *said)
{
    struct op_pair *facts = arena_array(&w->arena, 2, sizeof(*facts));
    struct op_result *r = arena_alloc(&w->arena, sizeof(*r));
    facts[0] = (struct op_pair){arena_printf(&w->arena, "judge.%s", name), said->verdict};
    facts[1] = (struct op_pair){arena_printf(&w->arena, "judge.%s.words", name), said->words};
    *r = said->verdict ? (struct op_result){.outcome = OUT_OK, .facts = facts, .n_facts = 2}
                       : (struct op_result){.outcome = OUT_FAILED};
    if (!said->verdict)
        err_set(&r->err, E_STATUS, "%s", said->words);
    *job = (struct job){.spec = {.verb = verb_find(step->verb, NULL)}, .own = r};
    return job;
}

static enum judged look_at(struct world *w, enum judge_look look, const struct said *cmd,
                           const struct said *prometheus)
{
    struct job jobs[3], *first = NULL, **end = &first;
    struct op_result counted = {.outcome = OUT_OK, .facts = w->rows, .n_facts = w->n_rows};
    if (w->lack) {
        counted.outcome = OUT_UNKNOWN;
        err_set(&counted.err, E_NET, "%s", w->lack);
    }
    w->judge.cmd.verb = cmd ? "measure.cmd" : NULL;
    w->judge.prometheus.verb = prometheus ? "measure.prometheus" : NULL;
    if (w->judge.step.verb) {
        jobs[0] = (struct job){.spec = {.verb = verb_find(w->judge.step.verb, NULL)}, .own = &counted};
        *end = &jobs[0], end = &jobs[0].also;
    }
    if (prometheus)
        *end = job_of(w, &jobs[1], &w->judge.prometheus, "prometheus", prometheus), end = &jobs[1].also;
    if (cmd)
        *end = job_of(w, &jobs[2], &w->judge.cmd, "cmd", cmd);
    first->req = (struct op_req){.role = ROLE_JUDGE, .look = (uint8_t)look, .node = 2, .step = CORE_NO_STEP};
    enum judged ret = judge_take(w->j, w->core, first, w->facts);
    w->n_rows = 0;
    return ret;
}

static enum judged look(struct world *w, enum judge_look look)
{
    return look_at(w, look, NULL, NULL);
}

static const char *fact(struct world *w, const char *name)
{
    return facts_get(w->facts, 2, name);
}

static void what_came_before_the_soak_does_not_count(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    counts(&w, "lb1", "app1", 5000, 4000);
    counts(&w, "lb1", "app2", 5000, 0);
    counts(&w, "lb1", "app3", 5000, 0);
    counts(&w, "lb1", "backup", 10, 10); /* nobody's of this environment */
    assert_int_equal(look(&w, JUDGE_FIRST), JUDGED_NOT);
    counts(&w, "lb1", "app1", 5200, 4001);
    counts(&w, "lb1", "app2", 5300, 2);
    counts(&w, "lb1", "app3", 5400, 3);
    counts(&w, "lb1", "backup", 500, 500);
    assert_int_equal(look(&w, JUDGE_LAST), JUDGED_WELL);
    assert_string_equal(fact(&w, "judge.requests"), "200");
    assert_string_equal(fact(&w, "judge.errors"), "1");
    assert_string_equal(fact(&w, "judge.others_requests"), "700");
    assert_string_equal(fact(&w, "judge.others_errors"), "5");
    world_fini(&w);
}

/* A reload: a smaller number is no negative sum, and what lb1 counted between these looks is known of none of its servers. */
static void a_balancer_that_counts_anew_is_left_out_for_that_look(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for (int lb = 0; lb < 2; lb++) {
        counts(&w, lb ? "lb2" : "lb1", "app1", 5000, 40);
        counts(&w, lb ? "lb2" : "lb1", "app2", 50, 0);
    }
    assert_int_equal(look(&w, JUDGE_FIRST), JUDGED_NOT);
    counts(&w, "lb1", "app1", 90, 90);
    counts(&w, "lb1", "app2", 900, 0); /* more than before, and still counted anew */
    counts(&w, "lb2", "app1", 5100, 40);
    counts(&w, "lb2", "app2", 150, 0);
    assert_int_equal(look(&w, JUDGE_EARLY), JUDGED_NOT);
    counts(&w, "lb1", "app1", 190, 90);
    counts(&w, "lb1", "app2", 1000, 0);
    counts(&w, "lb2", "app1", 5200, 40);
    counts(&w, "lb2", "app2", 250, 0);
    assert_int_equal(look(&w, JUDGE_LAST), JUDGED_WELL);
    assert_string_equal(fact(&w, "judge.requests"), "300");
    assert_string_equal(fact(&w, "judge.errors"), "0");
    assert_string_equal(fact(&w, "judge.others_requests"), "300");
    assert_non_null(strstr(fact(&w, JUDGE_FACT_WHY), "; lb1 began to count anew 1 time: "));
    world_fini(&w);
}

/* `took`: how long answers of app1 take; those of app2 take 10 ms. */
static void timed(struct world *w, int requests, int took)
{
    row(w, "lb1", "app1",
        arena_printf(&w->arena, "\"requests\":%d,\"errors\":0,\"answer_ms\":%d", requests, took));
    counts(w, "lb1", "app2", requests, 0);
}

static void slow_is_what_is_so_up_to_the_end(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    timed(&w, 0, 40);
    assert_int_equal(look(&w, JUDGE_FIRST), JUDGED_NOT);
    for (int k = 1; k < VERDICT_SLOW_LOOKS; k++) {
        timed(&w, k * 100, 40);
        assert_int_equal(look(&w, JUDGE_EARLY), JUDGED_NOT);
    }
    timed(&w, VERDICT_SLOW_LOOKS * 100, 40);
    assert_int_equal(look(&w, JUDGE_LAST), JUDGED_BADLY);
    assert_non_null(strstr(fact(&w, JUDGE_FACT_WHY), "; answers take 40 ms, those of the others 10 ms; "));
    timed(&w, VERDICT_SLOW_LOOKS * 100, 40); /* no requests meanwhile: these numbers are old */
    assert_int_equal(look(&w, JUDGE_LAST), JUDGED_WELL);
    assert_string_equal(fact(&w, "judge.answer_ms"), "");
    timed(&w, VERDICT_SLOW_LOOKS * 100 + 100, 40); /* and they were not in a row */
    assert_int_equal(look(&w, JUDGE_LAST), JUDGED_WELL);
    assert_string_equal(fact(&w, "judge.answer_ms"), "40");
    world_fini(&w);
}

static void one_that_its_balancer_calls_down_fails_the_stage(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for (int k = 0; k <= VERDICT_DOWN_LOOKS; k++) {
        counts(&w, "lb1", "app2", 50, 0);
        w.rows[w.n_rows++] = (struct op_pair){
            "lb.lb1.app1", "{\"balancer\":\"lb1\",\"server\":\"app1\",\"state\":\"DOWN\",\"admin\":\"ready\","
                           "\"serving\":false,\"up\":false,\"requests\":9,\"errors\":0}"};
        assert_int_equal(look(&w, k ? JUDGE_EARLY : JUDGE_FIRST),
                         k == VERDICT_DOWN_LOOKS ? JUDGED_BADLY : JUDGED_NOT);
    }
    assert_true(str_starts(fact(&w, JUDGE_FACT_WHY), "app1 gets no requests from lb1: DOWN; "));
    world_fini(&w);
}

/* A backup gets no requests as long as others do, and nothing is wrong with it. */
static void one_that_stands_by_is_not_down(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for (int k = 0; k <= VERDICT_DOWN_LOOKS; k++) {
        counts(&w, "lb1", "app2", 50, 0);
        w.rows[w.n_rows++] = (struct op_pair){
            "lb.lb1.app1", "{\"balancer\":\"lb1\",\"server\":\"app1\",\"state\":\"UP\",\"admin\":\"ready\","
                           "\"serving\":false,\"up\":true,\"requests\":9,\"errors\":0}"};
        assert_int_equal(look(&w, k ? JUDGE_EARLY : JUDGE_FIRST), JUDGED_NOT);
    }
    world_fini(&w);
}

static void backend_counts(struct world *w, const char *backend, int requests, int errors)
{
    w->rows[w->n_rows++] = (struct op_pair){
        "lb.lb1.app1",
        arena_printf(
            &w->arena,
            "{\"balancer\":\"lb1\",\"backend\":\"%s\",\"server\":\"app1\",\"requests\":%d,\"errors\":%d}",
            backend, requests, errors)};
}

/* Two blocks: their facts have one name. */
static void backends_of_one_balancer_are_counted_apart(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for (int k = 0; k < 2; k++) {
        backend_counts(&w, "site", k * 200, k * 50);
        backend_counts(&w, "api", k * 200 + 1000, 0);
        assert_int_equal(look(&w, k ? JUDGE_EARLY : JUDGE_FIRST), k ? JUDGED_BADLY : JUDGED_NOT);
    }
    assert_string_equal(fact(&w, "judge.requests"), "400");
    assert_string_equal(fact(&w, "judge.errors"), "50");
    world_fini(&w);
}

static void fits(struct world *w, struct problems *problems)
{
    const struct op_result r = {.outcome = OUT_OK, .facts = w->rows, .n_facts = w->n_rows};
    judge_fits(&w->plan, 0, &r, problems);
    w->n_rows = 0;
}

static void a_balancer_that_does_not_count_is_refused_by_name(void **state)
{
    (void)state;
    struct world w;
    auto_problems struct problems problems = {.n = 0};
    world_init(&w);
    counts(&w, "lb1", "app1", 0, 0);
    fits(&w, &problems);
    assert_int_equal(problems.n, 0);
    row(&w, "ns1", "app1", "\"requests\":7");
    row(&w, "ns1", "app2", "\"requests\":8");
    fits(&w, &problems);
    assert_int_equal(problems.n, 1);
    assert_string_equal(problems.lines[0],
                        "prod.sls:9:3: release: judge: balancer ns1 does not tell errors of each server (of "
                        "app1, for one), so no stage could be judged by it; leave that limit out, or "
                        "judge: as a whole");
    counts(&w, "lb1", "another", 0, 0);
    fits(&w, &problems);
    assert_int_equal(problems.n, 2);
    assert_non_null(strstr(problems.lines[1], "of no server of this environment"));
    world_fini(&w);
}

/* ---- a program and a query ------------------------------------------------ */

static enum judged asked(struct world *w, const char *cmd, const char *prometheus)
{
    const struct said program = {cmd, "cmd: status 1: no good"}, query = {prometheus, "prometheus: 1"};
    return look_at(w, JUDGE_LAST, cmd ? &program : NULL, prometheus ? &query : NULL);
}

/* One that calls it bad is enough; well it is when all say so. */
static void every_judge_is_heard(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.judge.step.verb = NULL;
    assert_int_equal(asked(&w, JUDGE_WELL, NULL), JUDGED_WELL);
    assert_int_equal(asked(&w, JUDGE_WELL, JUDGE_WELL), JUDGED_WELL);
    assert_int_equal(asked(&w, JUDGE_WELL, JUDGE_NOTHING), JUDGED_NOT);
    assert_int_equal(asked(&w, JUDGE_NOTHING, JUDGE_WELL), JUDGED_NOT);
    assert_int_equal(asked(&w, JUDGE_NOTHING, JUDGE_BADLY), JUDGED_BADLY);
    assert_int_equal(asked(&w, "whatever", NULL), JUDGED_NOT);
    assert_int_equal(asked(&w, JUDGE_BADLY, JUDGE_WELL), JUDGED_BADLY);
    assert_true(str_starts(fact(&w, JUDGE_FACT_WHY), "cmd: status 1: no good; "));
    w.judge.step.verb = "haproxy.show";
    counts(&w, "lb1", "app1", 0, 0);
    assert_int_equal(look(&w, JUDGE_FIRST), JUDGED_NOT);
    counts(&w, "lb1", "app1", 10, 0);
    assert_int_equal(asked(&w, JUDGE_WELL, JUDGE_WELL), JUDGED_NOT); /* too few requests */
    counts(&w, "lb1", "app1", 500, 0);
    assert_int_equal(asked(&w, JUDGE_WELL, JUDGE_WELL), JUDGED_WELL);
    counts(&w, "lb1", "app1", 1000, 0);
    assert_int_equal(asked(&w, JUDGE_BADLY, JUDGE_WELL), JUDGED_BADLY);
    world_fini(&w);
}

/* What it cannot say is said, and what the others say is heard all the same. */
static void one_that_cannot_be_asked_hides_nobody(void **state)
{
    (void)state;
    struct world w;
    const struct said mute = {NULL, "/bin/is-well was ended by signal 9"},
                      well = {JUDGE_WELL, "prometheus: 0"}, bad = {JUDGE_BADLY, "cmd: status 1: no good"};
    world_init(&w);
    counts(&w, "lb1", "app1", 0, 0);
    assert_int_equal(look(&w, JUDGE_FIRST), JUDGED_NOT);
    counts(&w, "lb1", "app1", 200, 0);
    assert_int_equal(look_at(&w, JUDGE_LAST, &mute, &well), JUDGED_NOT);
    assert_string_equal(
        fact(&w, JUDGE_FACT_WHY),
        "0% errors (0 of 200 requests); the others 0% errors (0 of 0 requests); answers take 10 ms; "
        "cmd: no verdict (/bin/is-well was ended by signal 9); prometheus: 0");
    counts(&w, "lb1", "app1", 400, 200);
    assert_int_equal(look_at(&w, JUDGE_LAST, &mute, &mute), JUDGED_BADLY);
    assert_string_equal(fact(&w, "judge.errors"), "200");
    world_fini(&w);
    world_init(&w);
    w.lack = "lb2: connection refused";
    assert_int_equal(look_at(&w, JUDGE_LAST, &bad, &mute), JUDGED_BADLY);
    assert_int_equal(look_at(&w, JUDGE_LAST, NULL, &well), JUDGED_NOT);
    assert_non_null(
        strstr(fact(&w, JUDGE_FACT_WHY), "; not all balancers could be asked: lb2: connection refused; "));
    world_fini(&w);
}

/* Of two balancers one is away for a while: the other's counts are heard, and it counts on meanwhile. */
static void a_balancer_that_is_away_hides_no_other(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    counts(&w, "lb1", "app1", 0, 0);
    counts(&w, "lb2", "app1", 0, 0);
    assert_int_equal(look(&w, JUDGE_FIRST), JUDGED_NOT);
    w.lack = "lb2: connection refused";
    counts(&w, "lb1", "app1", 200, 0);
    assert_int_equal(look(&w, JUDGE_LAST), JUDGED_NOT);
    counts(&w, "lb1", "app1", 400, 5);
    assert_int_equal(look(&w, JUDGE_LAST), JUDGED_NOT);
    w.lack = NULL;
    counts(&w, "lb1", "app1", 400, 5);
    counts(&w, "lb2", "app1", 300, 13);
    assert_int_equal(look(&w, JUDGE_LAST), JUDGED_BADLY); /* the first that has all: it decides */
    assert_string_equal(fact(&w, "judge.requests"), "700");
    assert_string_equal(fact(&w, "judge.errors"), "18");
    w.lack = "lb2: connection refused";
    counts(&w, "lb1", "app1", 600, 200);
    assert_int_equal(look(&w, JUDGE_EARLY), JUDGED_BADLY);
    world_fini(&w);
}

static enum outcome program(struct arena *a, const char *shell, const char **ret_verdict,
                            const char **ret_words)
{
    const struct op_pair arg = {"cmd", arena_printf(a, "[\"/bin/sh\",\"-c\",\"%s\"]", shell)};
    const struct op_spec spec = {.verb = verb_find("measure.cmd", NULL),
                                 .args = &arg,
                                 .n_args = 1,
                                 .deadline_mono_ms = clock_mono_ms() + 5000,
                                 .cancel_fd = -1,
                                 .attempt = 1};
    struct op *op = op_new(&spec);
    const struct op_result *r = op_run(op);
    const char *verdict = op_pair_value(r->facts, r->n_facts, "judge.cmd"),
               *words = op_pair_value(r->facts, r->n_facts, "judge.cmd.words");
    *ret_verdict = arena_strdup(a, verdict ? verdict : "");
    *ret_words = arena_strdup(a, words ? words : r->err.text);
    enum outcome outcome = r->outcome;
    op_free(op);
    return outcome;
}

static void a_program_judges_by_its_status_and_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *shell;
        enum outcome outcome;
        const char *verdict, *words;
    } rows[] = {
        {"echo looking; echo all is well", OUT_OK, "well", "cmd: status 0: all is well"},
        {"echo one; echo carts are empty >&2; exit 3", OUT_OK, "badly", "cmd: status 3: carts are empty"},
        {"seq 1 3000; echo the carts are full; exit 4", OUT_OK, "badly", "cmd: status 4: the carts are full"},
        {"printf %3000d 7", OUT_OK, "well", "    7"}, /* the end of a line that is too long */
        {"exit 1", OUT_OK, "badly", "cmd: status 1: it said nothing"},
        {"kill -9 $$", OUT_FAILED, "", "was ended by signal 9"}, /* no verdict */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        auto_arena struct arena a = {0};
        const char *verdict, *words;
        assert_int_equal(program(&a, rows[i].shell, &verdict, &words), rows[i].outcome);
        assert_string_equal(verdict, rows[i].verdict);
        if (!strstr(words, rows[i].words))
            fail_msg("%s, wanted %s", words, rows[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_tests_agree_with_sums_computed_apart),
        cmocka_unit_test(healthy_soaks_are_hardly_ever_failed),
        cmocka_unit_test(bad_revisions_are_found_as_soon_as_there_are_requests),
        cmocka_unit_test(verdicts_say_what_was_seen_and_wanted),
        cmocka_unit_test(few_requests_that_all_fail_are_no_lack_of_requests),
        cmocka_unit_test(what_came_before_the_soak_does_not_count),
        cmocka_unit_test(a_balancer_that_counts_anew_is_left_out_for_that_look),
        cmocka_unit_test(slow_is_what_is_so_up_to_the_end),
        cmocka_unit_test(one_that_its_balancer_calls_down_fails_the_stage),
        cmocka_unit_test(one_that_stands_by_is_not_down),
        cmocka_unit_test(backends_of_one_balancer_are_counted_apart),
        cmocka_unit_test(a_balancer_that_does_not_count_is_refused_by_name),
        cmocka_unit_test(every_judge_is_heard),
        cmocka_unit_test(one_that_cannot_be_asked_hides_nobody),
        cmocka_unit_test(a_balancer_that_is_away_hides_no_other),
        cmocka_unit_test(a_program_judges_by_its_status_and_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
