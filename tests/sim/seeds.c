/* SPDX-License-Identifier: MIT */
/* Random worlds: plans, faults, orders and deaths drawn from a seed; the oracle watches. A seed that goes
 * wrong is shrunk and printed as a scenario file that can be kept as a test.
 *
 *   sim-seeds [--from N] [--seeds N] [--seconds N] [--nodes N] [--calm 1]
 *   sim-seeds --wide N                               N-1, N and N+1 nodes in turn, all of them at once
 *   sim-seeds --bench [--seconds N] [--nodes N]      whole releases without faults, and how many a second */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "scenario.h"

struct dice {
    uint64_t state;
};

static uint32_t draw(struct dice *d, uint32_t below)
{
    d->state = d->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((d->state >> 33) % below);
}

static bool chance(struct dice *d, uint32_t one_in)
{
    return draw(d, one_in) == 0;
}

/* The nodes fall into two or three roles. */
static void draw_roles(struct dice *d, struct sim_shape *s)
{
    uint32_t left = s->n_nodes;
    for (uint32_t n = 2 + draw(d, 2); left > 0 && s->n_roles < n; s->n_roles++) {
        uint32_t most = left - (n - s->n_roles - 1 < left ? n - s->n_roles - 1 : left - 1);
        s->roles[s->n_roles] = s->n_roles + 1 == n ? left : 1 + draw(d, most);
        left -= s->roles[s->n_roles];
    }
    s->n_bare = draw(d, s->n_roles);
    s->once_role = draw(d, s->n_roles + 1);
}

static void draw_shape(struct dice *d, struct scenario *sc, uint32_t n_nodes)
{
    static const char *const plans[] = {"rolling", "rolling", "rolling", "in-place", "restart", "reload"};
    struct sim_shape *s = &sc->shape;
    snprintf(sc->plan_name, sizeof(sc->plan_name), "%s", plans[draw(d, 6)]);
    *s = (struct sim_shape){.plan = sc->plan_name};
    s->n_nodes = n_nodes ? n_nodes : 2 + draw(d, 9);
    s->window = 1 + draw(d, 3);
    s->n_lbs = chance(d, 8) ? 0 : 1 + draw(d, 2);
    s->n_maint = chance(d, 6) ? 1 : 0;
    s->n_new = chance(d, 10) && s->n_nodes > 2 ? 1 : 0;
    s->n_down = chance(d, 8) && s->n_nodes > 2 + s->n_maint + s->n_new ? 1 : 0;
    s->min_up = (s->n_nodes - s->n_maint - s->n_new) / 2;
    s->max_failed = chance(d, 4) ? 1 : 0;
    s->stop_on_failure = chance(d, 3);
    s->soak_ms = chance(d, 2) ? 3000 + draw(d, 20000) : 0;
    s->once = (enum once)(chance(d, 2) ? draw(d, ONCE_COUNT) : 0);
    s->once_undo = chance(d, 3);
    s->on_timeout = (enum on_timeout)(chance(d, 3) ? draw(d, ON_TIMEOUT_COUNT) : 0);
    s->retries = (uint8_t)draw(d, 3);
    s->hooks = chance(d, 4);
    s->blind_check = chance(d, 6);
    s->judge = chance(d, 2);
    s->judge_passes = s->judge && chance(d, 4);
    s->judge_late = s->judge && chance(d, 3);
    if (chance(d, 2) && s->n_nodes > 2) {
        s->n_stages = 2;
        s->stages[0] = 1;
        s->stages[1] = s->n_nodes;
    }
    sc->seed = d->state >> 20;
    if (chance(d, 3) && s->n_nodes > 2)
        draw_roles(d, s);
    if (chance(d, 3) && strcmp(s->plan, "in-place") != 0)
        s->instances = 2 + draw(d, 3);
}

static void add(struct scenario *sc, struct move m)
{
    if (sc->n_moves < MOVES_MAX)
        sc->moves[sc->n_moves++] = m;
}

static void draw_fault(struct dice *d, struct scenario *sc, const struct sim_plan *plan)
{
    struct sim_fault f = {.kind = (enum sim_fault_kind)draw(d, FAULT_COUNT),
                          .node = draw(d, plan->core.n_nodes),
                          .step = SIM_ANY_STEP,
                          .times = chance(d, 6) ? SIM_EVER : 1 + draw(d, 2),
                          .at_ms = -1,
                          .nth = 1 + draw(d, 40 + 20 * plan->core.n_nodes)};
    enum sim_fault_at at = sim_fault_at(f.kind);
    if (at != FAULT_AT_COMMIT)
        f.step = (uint16_t)draw(d, plan->core.n_steps);
    f.on_way_back = chance(d, 5);
    if (at == FAULT_AT_OP && chance(d, 4))
        f.node = SIM_ANY;
    if (at == FAULT_AT_WORLD && chance(d, 3)) {
        f.step = SIM_ANY_STEP;
        f.at_ms = draw(d, 60000);
    }
    add(sc, (struct move){.kind = MOVE_FAULT, .fault = f});
}

static void draw_scenario(uint64_t seed, uint32_t n_nodes, bool wide, bool calm, struct scenario *sc)
{
    auto_arena struct arena arena = {0};
    struct dice d = {seed * UINT64_C(0x9e3779b97f4a7c15) + 12345};
    struct sim_plan plan;
    struct err err;
    *sc = (struct scenario){.comment = BUF_INIT(1000), .story = BUF_INIT(1000)};
    draw(&d, 2);
    draw_shape(&d, sc, wide ? n_nodes + (uint32_t)(seed % 3) - 1 : n_nodes);
    if (wide) {
        sc->shape.window = sc->shape.n_nodes;
        sc->shape.min_up = 0;
    }
    must(sim_plan_stock(&sc->shape, &arena, &plan, &err));
    uint32_t n = calm ? 0 : draw(&d, 4);
    for (uint32_t i = 0; i < n; i++)
        draw_fault(&d, sc, &plan);
    add(sc, (struct move){.kind = MOVE_RUN, .exit = -1});
    if (calm)
        return;
    for (uint32_t i = draw(&d, 4); i-- > 0;) {
        if (chance(&d, 2))
            draw_fault(&d, sc, &plan);
        if (chance(&d, 12))
            add(sc, (struct move){.kind = MOVE_EXCLUDE, .fault = {.node = draw(&d, plan.core.n_nodes)}});
        add(sc, (struct move){.kind = chance(&d, 2) ? MOVE_RESUME : MOVE_ROLLBACK, .exit = -1});
    }
    add(sc, (struct move){.kind = MOVE_HEAL});
    add(sc, (struct move){.kind = chance(&d, 2) ? MOVE_RESUME : MOVE_ROLLBACK, .exit = -1});
}

/* Row 55: which pairs of faults met in one world. */
struct met {
    bool pair[FAULT_COUNT][FAULT_COUNT];
};

static void note_pairs(const struct scenario *sc, struct met *met)
{
    for (size_t i = 0; i < sc->n_moves; i++)
        for (size_t k = 0; k < i; k++)
            if (sc->moves[i].kind == MOVE_FAULT && sc->moves[k].kind == MOVE_FAULT) {
                enum sim_fault_kind a = sc->moves[i].fault.kind, b = sc->moves[k].fault.kind;
                met->pair[a > b ? a : b][a > b ? b : a] = true;
            }
}

static int count_pairs(const struct met *met)
{
    int n = 0;
    for (int a = 0; a < FAULT_COUNT; a++)
        for (int b = 0; b <= a; b++)
            n += met->pair[a][b];
    return n;
}

static void report(uint64_t seed, struct scenario *sc)
{
    struct buf text = BUF_INIT(1u << 20), story = BUF_INIT(1u << 20);
    struct verdict v;
    scenario_shrink(sc);
    scenario_run(sc, &story, &v);
    scenario_text(sc, &text);
    printf("# seed %" PRIu64 ": %s\n%sstory\n%s\n", seed, v.why, buf_str(&text), buf_str(&story));
    buf_fini(&text);
    buf_fini(&story);
}

static uint64_t option(int argc, char **argv, const char *name, uint64_t deflt)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return strtoull(argv[i + 1], NULL, 10);
    return deflt;
}

/* From the first lock to the last verification: a rolling release in two stages behind two balancers, one
 * node at a time, each with its own durations; the oracle watches, and each must end with 0. */
static int bench(uint64_t seconds, uint32_t n_nodes)
{
    struct scenario sc;
    struct err err = {0};
    char text[200];
    uint64_t done = 0, ops = 0, rows = 0, wrong = 0;
    snprintf(text, sizeof(text),
             "plan rolling nodes %u window 1 min-up %u lbs 2 once first stages 1,%u soak 30s seed 1\nrun 0\n",
             n_nodes, n_nodes / 2, n_nodes);
    must(scenario_parse(text, &sc, &err));
    sc.shape.plan = sc.plan_name;
    int64_t begin = clock_mono_ms(), spent;
    clock_t cpu = clock();
    for (; (spent = clock_mono_ms() - begin) < (int64_t)seconds * 1000; done++) {
        struct verdict v;
        sc.seed = done + 1;
        scenario_run(&sc, NULL, &v);
        ops += v.fig.n_ops;
        rows += v.fig.n_rows;
        wrong += !v.good;
    }
    scenario_fini(&sc);
    double of_cpu = (double)(clock() - cpu) / CLOCKS_PER_SEC;
    printf("%" PRIu64 " releases of %u nodes, %" PRIu64 " ops and %" PRIu64 " journal rows each; %" PRIu64
           " wrong\n",
           done, n_nodes, ops / done, rows / done, wrong);
    printf("%.1f s: %.0f releases/s; %.1f s of one core: %.0f releases/s\n", (double)spent / 1000.0,
           (double)done * 1000.0 / (double)spent, of_cpu, (double)done / of_cpu);
    return wrong ? 1 : 0;
}

int main(int argc, char **argv)
{
    bool benches = argc > 1 && strcmp(argv[1], "--bench") == 0;
    if (benches)
        return bench(option(argc, argv, "--seconds", 5), (uint32_t)option(argc, argv, "--nodes", 10));
    uint64_t from = option(argc, argv, "--from", 1), n = option(argc, argv, "--seeds", 5000), done = 0,
             wrong = 0;
    uint64_t seconds = option(argc, argv, "--seconds", 0), steps = 0, sessions = 0,
             most = option(argc, argv, "--wrong", 3);
    uint32_t wide = (uint32_t)option(argc, argv, "--wide", 0);
    uint32_t n_nodes = wide ? wide : (uint32_t)option(argc, argv, "--nodes", 0);
    bool calm = option(argc, argv, "--calm", 0) != 0;
    uint64_t ends[9] = {0};
    static struct met met;
    int64_t begin = clock_mono_ms();
    for (uint64_t seed = from; seconds ? clock_mono_ms() - begin < (int64_t)seconds * 1000 : seed < from + n;
         seed++) {
        struct scenario sc;
        struct verdict v;
        draw_scenario(seed, n_nodes, wide > 0, calm, &sc);
        note_pairs(&sc, &met);
        scenario_run(&sc, NULL, &v);
        done++;
        sessions += v.n_sessions;
        steps += v.fig.n_events;
        ends[v.last_exit >= 0 && v.last_exit < 8 ? v.last_exit : 8]++;
        if (!v.good && ++wrong <= most)
            report(seed, &sc);
        scenario_fini(&sc);
        if (wrong >= most)
            break;
    }
    double took = (double)(clock_mono_ms() - begin) / 1000.0;
    printf("%" PRIu64 " releases (%" PRIu64 " controllers, %" PRIu64
           " core steps) in %.1f s: %.0f releases/s; %" PRIu64 " wrong\n",
           done, sessions, steps, took, (double)done / (took > 0 ? took : 1), wrong);
    printf("%d of %d pairs of %d faults met\n", count_pairs(&met), FAULT_COUNT * (FAULT_COUNT + 1) / 2,
           FAULT_COUNT);
    printf("last exit: 0: %" PRIu64 ", 1: %" PRIu64 ", 4: %" PRIu64 ", 5: %" PRIu64 ", 7: %" PRIu64
           ", killed: %" PRIu64 "\n",
           ends[0], ends[1], ends[4], ends[5], ends[7], ends[8]);
    return wrong ? 1 : 0;
}
