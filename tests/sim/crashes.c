/* SPDX-License-Identifier: MIT */
/* A crash at every commit, before it and after it, and after every effect, of a set of releases; times a
 * resume and a rollback; times another crash in that one, at each of its commits; times a third in a sample
 * of those. All of it judged by the oracle (docs/promises.md#m1 to 3); and where nothing else is wrong, a
 * continuation that was killed and continued leaves the world that it would have left alone (I9).
 * Deterministic: the same points on every run.
 *
 *   sim-crashes [--every N] [--third N]    N > 1: only each N-th point of the second and the third crash;
 *                                          --third 0: no third one */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "scenario.h"

static const char *const worlds[] = {
    "plan rolling nodes 3 window 1 min-up 1 lbs 2 once first stages 1,3 soak 3s\n",
    "plan rolling nodes 4 window 2 min-up 1 lbs 1 once before undo hooks maint 1\n",
    "plan in-place nodes 3 window 1 min-up 1 lbs 1 once first undo\n",
    "plan restart nodes 3 window 2 min-up 1 lbs 1\n",
    "plan reload nodes 2 window 1 min-up 0 lbs 0 once first undo\nfault start-fails@n2/reload\n",
    "plan rolling nodes 3 window 1 min-up 1 lbs 1 max-failed 1 once after\nfault start-fails@n2/start x1\n",
    "plan rolling nodes 3 window 1 min-up 1 lbs 2\nfault unhealthy@n3\n",
    "plan rolling nodes 3 window 1 min-up 1 lbs 1 on-failure stop\nfault cmd-fails@n2/switch\n",
    "plan rolling nodes 3 window 2 min-up 1 lbs 1\nfault lb-forgets@n2/wait_idle\nfault slow@n1/stop\n",
    "plan rolling roles 2,2 window 1 min-up 1 lbs 1 bare 1 once first once-role 1 undo\n",
    "plan rolling roles 1,2,1 window 2 min-up 0 lbs 1 bare 1 once before once-role 3 undo soak 2s\nfault unhealthy@n4\n",
    "plan rolling nodes 3 window 2 min-up 1 lbs 1 instances 2 once first undo\n",
    "plan rolling nodes 3 window 1 min-up 1 lbs 1 instances 3 max-failed 1\nfault unhealthy@n2\n",
    "plan rolling nodes 3 window 1 min-up 1 lbs 1 stages 1,3 soak 3s judge\nfault errors@n3\n",
};

struct tally {
    uint64_t first, effects, pairs, thirds, wrong;
    uint32_t every, third;
    bool calm; /* this world has no other faults */
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

/* A point at which the controller dies the first time, and what the world is when only that happens. */
struct point {
    const struct scenario *base;
    struct sim_fault kill;
    uint32_t commits;     /* of the controller that died */
    uint64_t world[2];    /* after a resume, after a rollback */
    enum move_kind order; /* the first continuation */
};

static void begin_at(const struct point *p, struct scenario *ret)
{
    *ret = *p->base;
    ret->shape.plan = ret->plan_name;
    ret->moves[ret->n_moves++] = (struct move){.kind = MOVE_FAULT, .fault = p->kill};
}

static enum sim_fault_kind kill_kind(uint32_t k)
{
    return k % 2 ? FAULT_KILL_BEFORE_COMMIT : FAULT_KILL_AFTER_COMMIT;
}

/* I9. A rollback that died before it was written down never was. */
static void same_world(const struct scenario *sc, const struct point *p, uint32_t k, enum move_kind last,
                       struct tally *t, struct verdict *v)
{
    bool back = p->order == MOVE_ROLLBACK || last == MOVE_ROLLBACK;
    bool unsaid = p->order == MOVE_ROLLBACK && k == 1;
    if (!t->calm || v->world == p->world[back] || (unsaid && v->world == p->world[0]))
        return;
    printf("# another world than without the second crash\n");
    if (++t->wrong <= 3)
        show(sc);
}

/* The third controller dies, too, at each of its commits; `last` goes to the end. */
static void third_crash(const struct point *p, uint32_t k, enum move_kind second, struct tally *t)
{
    for (uint32_t j = 1; j < 1000; j += t->third)
        for (int last = MOVE_RESUME; last <= MOVE_ROLLBACK; last++) {
            struct scenario sc;
            struct verdict v;
            begin_at(p, &sc);
            add_kill(&sc, kill_kind(k), p->commits + k);
            add_kill(&sc, kill_kind(j / t->third), p->commits + k + j);
            add(&sc, MOVE_RUN);
            add(&sc, p->order);
            add(&sc, second);
            add(&sc, MOVE_HEAL);
            add(&sc, (enum move_kind)last);
            t->thirds++;
            if (!judge(&sc, t, &v) || v.fig.n_commits < p->commits + k + j)
                return;
        }
}

/* The first continuation dies at each of its own commits, then `last` goes to the end. */
static void second_crash(const struct point *p, struct tally *t)
{
    for (uint32_t k = 1; k < 1000; k += t->every)
        for (int last = MOVE_RESUME; last <= MOVE_ROLLBACK; last++) {
            struct scenario sc;
            struct verdict v;
            begin_at(p, &sc);
            add_kill(&sc, kill_kind(k), p->commits + k);
            add(&sc, MOVE_RUN);
            add(&sc, p->order);
            add(&sc, MOVE_HEAL);
            add(&sc, (enum move_kind)last);
            t->pairs++;
            if (!judge(&sc, t, &v))
                return;
            same_world(&sc, p, k, (enum move_kind)last, t, &v);
            if (v.fig.n_commits < p->commits + k)
                return; /* it had ended before: no further point */
            if (t->third > 0 && t->pairs % t->third == 0)
                third_crash(p, k, (enum move_kind)last, t);
        }
}

/* false: it is never reached. */
static bool crash_at(const struct scenario *base, const struct sim_fault *kill, uint64_t *io_count,
                     struct tally *t)
{
    struct point p = {.base = base, .kill = *kill};
    struct scenario dead;
    struct verdict v;
    begin_at(&p, &dead);
    add(&dead, MOVE_RUN);
    scenario_run(&dead, NULL, &v);
    if (v.last_exit != 137)
        return false;
    p.commits = (uint32_t)v.fig.n_commits;
    bool good = true;
    for (int back = 0; back < 2; back++) {
        struct scenario one = dead;
        one.shape.plan = one.plan_name;
        add(&one, MOVE_HEAL);
        add(&one, back ? MOVE_ROLLBACK : MOVE_RESUME);
        ++*io_count;
        good &= judge(&one, t, &v);
        p.world[back] = v.world;
    }
    for (int order = MOVE_RESUME; good && order <= MOVE_ROLLBACK; order++) {
        p.order = (enum move_kind)order;
        second_crash(&p, t);
    }
    return true;
}

/* Dies after an effect, and again after the same one when the continuation repeats it, or after one of a
 * rollback that was ordered when most was done. */
static void effect_again(const struct scenario *base, const struct sim_fault *kill, struct tally *t)
{
    for (int order = MOVE_RESUME; order <= MOVE_ROLLBACK; order++)
        for (int last = MOVE_RESUME; last <= MOVE_ROLLBACK; last++) {
            struct scenario sc = *base;
            struct sim_fault again = *kill;
            struct verdict v;
            sc.shape.plan = sc.plan_name;
            again.on_way_back = order == MOVE_ROLLBACK;
            again.times = again.on_way_back ? 1 : 2;
            if (again.on_way_back)
                add_kill(&sc, FAULT_KILL_AFTER_COMMIT, 30);
            sc.moves[sc.n_moves++] = (struct move){.kind = MOVE_FAULT, .fault = again};
            add(&sc, MOVE_RUN);
            add(&sc, (enum move_kind)order);
            add(&sc, MOVE_HEAL);
            add(&sc, (enum move_kind)last);
            t->effects++;
            judge(&sc, t, &v);
        }
}

static void sweep(const struct scenario *base, struct tally *t)
{
    auto_arena struct arena arena = {0};
    struct sim_plan plan;
    struct err err;
    struct sim_fault kill = {.node = SIM_ANY, .step = SIM_ANY_STEP, .times = 1, .at_ms = -1};
    bool more = true;
    for (kill.nth = 1; more && kill.nth < 2000; kill.nth++)
        for (int k = 0; k < 2; k++) {
            kill.kind = kill_kind((uint32_t)k + 1);
            more = crash_at(base, &kill, &t->first, t);
        }
    must(sim_plan_stock(&base->shape, &arena, &plan, &err));
    kill = (struct sim_fault){.kind = FAULT_KILL_AFTER_EFFECT, .times = 1, .at_ms = -1};
    for (kill.node = 0; kill.node <= plan.core.n_nodes; kill.node++)
        for (kill.step = 0; kill.step < plan.core.n_steps; kill.step++)
            for (int back = 0; back < 2; back++) {
                kill.on_way_back = back;
                crash_at(base, &kill, &t->effects, t);
                if (!back)
                    effect_again(base, &kill, t);
            }
}

static uint32_t option(int argc, char **argv, const char *name, uint32_t deflt)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return (uint32_t)atoi(argv[i + 1]);
    return deflt;
}

int main(int argc, char **argv)
{
    struct tally t = {.every = option(argc, argv, "--every", 1), .third = option(argc, argv, "--third", 29)};
    int64_t begin = clock_mono_ms();
    must(t.every > 0);
    for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++) {
        struct scenario sc;
        struct err err = {0};
        if (!scenario_parse(worlds[i], &sc, &err)) {
            printf("%s: %s\n", worlds[i], err.text);
            return 1;
        }
        sc.shape.plan = sc.plan_name;
        t.calm = sc.n_moves == 0;
        sweep(&sc, &t);
        scenario_fini(&sc);
    }
    printf("%" PRIu64 " crash points at commits and %" PRIu64 " after effects x continuations, %" PRIu64
           " of them crashed again, %" PRIu64 " a third time, in %.1f s; %" PRIu64 " wrong\n",
           t.first, t.effects, t.pairs, t.thirds, (double)(clock_mono_ms() - begin) / 1000.0, t.wrong);
    return t.wrong > 0 || t.first < 100 || t.effects < 100;
}
