/* A crash at every commit, before it and after it, and at every effect, of a set of releases; times a resume
 * and a rollback; times another crash in that one, at each of its commits. All of it judged by the oracle
 * (PROMISES rows 1 to 3). Deterministic: the same points on every run.
 *
 *   sim-crashes [--every N]      N > 1: only each N-th point of the second crash */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "scenario.h"

static const char *const worlds[] = {
    "plan rolling nodes 3 window 1 min-up 1 lbs 2 once first stages 1,3 soak 3s\n",
    "plan rolling nodes 4 window 2 min-up 1 lbs 1 once before undo hooks maint 1\n",
    "plan in-place nodes 3 window 1 min-up 1 lbs 1 once first undo\n",
    "plan restart nodes 3 window 2 min-up 1 lbs 1\n",
    "plan rolling nodes 3 window 1 min-up 1 lbs 1 max-failed 1 once after\nfault start-fails@n2/start x1\n",
    "plan rolling nodes 3 window 1 min-up 1 lbs 2\nfault unhealthy@n3\n",
    "plan rolling nodes 3 window 1 min-up 1 lbs 1 on-failure stop\nfault cmd-fails@n2/switch\n",
    "plan rolling nodes 3 window 2 min-up 1 lbs 1\nfault lb-forgets@n2/wait_idle\nfault slow@n1/stop\n",
};

struct tally {
    uint64_t first, pairs, wrong;
};

static void show(const struct scenario *sc)
{
    struct scenario copy = *sc;
    struct buf text = BUF_INIT(1u << 20), story = BUF_INIT(4u << 20);
    struct verdict v;
    copy.shape.plan = copy.plan_name;
    scenario_shrink(&copy);
    scenario_run(&copy, &story, &v);
    scenario_text(&copy, &text);
    printf("# %s\n%sstory\n%s\n", v.why, buf_str(&text), buf_str(&story));
    buf_fini(&text);
    buf_fini(&story);
}

static bool judge(const struct scenario *sc, struct tally *t, struct verdict *v)
{
    scenario_run(sc, NULL, v);
    if (!v->good && ++t->wrong <= 3)
        show(sc);
    return v->good;
}

static void add(struct scenario *sc, enum move_kind kind)
{
    sc->moves[sc->n_moves++] = (struct move){.kind = kind, .exit = -1};
}

static void add_kill(struct scenario *sc, enum sim_fault_kind kind, uint32_t nth)
{
    sc->moves[sc->n_moves++] = (struct move){
        .kind = MOVE_FAULT,
        .fault = {.kind = kind, .node = SIM_ANY, .step = SIM_ANY_STEP, .times = 1, .at_ms = -1, .nth = nth}};
}

/* A dead controller at commit `first`; then `order`, which dies at each of its own commits, then `last` to
 * the end. */
static void second_crash(const struct scenario *base, uint32_t first, enum sim_fault_kind kind,
                         enum move_kind order, uint32_t every, struct tally *t)
{
    for (uint32_t k = 1; k < 1000; k += every)
        for (int last = MOVE_RESUME; last <= MOVE_ROLLBACK; last++) {
            struct scenario sc = *base;
            struct verdict v;
            sc.shape.plan = sc.plan_name;
            add_kill(&sc, kind, first);
            add_kill(&sc, k % 2 ? FAULT_KILL_BEFORE_COMMIT : FAULT_KILL_AFTER_COMMIT, first + k);
            add(&sc, MOVE_RUN);
            add(&sc, order);
            add(&sc, MOVE_HEAL);
            add(&sc, (enum move_kind)last);
            t->pairs++;
            if (!judge(&sc, t, &v))
                return;
            if (v.fig.n_commits < first + k)
                return; /* it had ended before: no further point */
        }
}

static void sweep(const struct scenario *base, uint32_t every, struct tally *t)
{
    static const enum sim_fault_kind kinds[] = {FAULT_KILL_BEFORE_COMMIT, FAULT_KILL_AFTER_COMMIT};
    for (uint32_t first = 1; first < 2000; first++)
        for (int k = 0; k < 2; k++) {
            struct verdict v;
            struct scenario sc = *base;
            sc.shape.plan = sc.plan_name;
            add(&sc, MOVE_RUN);
            scenario_run(&sc, NULL, &v);
            if (v.fig.n_commits < first)
                return;
            for (int order = MOVE_RESUME; order <= MOVE_ROLLBACK; order++) {
                struct scenario one = *base;
                one.shape.plan = one.plan_name;
                add_kill(&one, kinds[k], first);
                add(&one, MOVE_RUN);
                add(&one, MOVE_HEAL);
                add(&one, (enum move_kind)order);
                t->first++;
                if (judge(&one, t, &v))
                    second_crash(base, first, kinds[k], (enum move_kind)order, every, t);
            }
        }
}

int main(int argc, char **argv)
{
    uint32_t every = argc > 2 && strcmp(argv[1], "--every") == 0 ? (uint32_t)atoi(argv[2]) : 1;
    struct tally t = {0};
    int64_t begin = clock_mono_ms();
    for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++) {
        struct scenario sc;
        struct err err = {0};
        if (!scenario_parse(worlds[i], &sc, &err)) {
            printf("%s: %s\n", worlds[i], err.text);
            return 1;
        }
        sweep(&sc, every, &t);
        scenario_fini(&sc);
    }
    printf("%" PRIu64 " crash points x continuations, %" PRIu64 " of them crashed again, in %.1f s; %" PRIu64
           " wrong\n",
           t.first, t.pairs, (double)(clock_mono_ms() - begin) / 1000.0, t.wrong);
    return t.wrong > 0 || t.first < 100;
}
