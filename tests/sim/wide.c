/* SPDX-License-Identifier: MIT */
/* Fleets so wide that what one event decides does not fit into one update: every node has an intent open when
 * the controller dies, at sizes around the edges of an update (511, 512, 513) and far beyond. A crash at many
 * commits, then a resume or a rollback, which dies as well, at each of the turns in which it only says what
 * became of the open intents; then one that goes to the end. The oracle judges, as everywhere: each order has
 * its row, nothing that was applied is missing from the rows.
 *
 *   sim-wide [--nodes N] [--points N]      default: all sizes, with few points at the large ones */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/clock.h"
#include "scenario.h"

static const char *const shapes[] = {
    "plan rolling nodes %u window %u min-up 0 lbs 1 once first undo hooks\n",
    "plan in-place nodes %u window %u min-up 0 lbs 2 on-failure stop\n",
};

struct tally {
    uint32_t runs, wrong;
};

static void add_kill(struct scenario *sc, enum sim_fault_kind kind, uint32_t nth)
{
    sc->moves[sc->n_moves++] = (struct move){
        .kind = MOVE_FAULT,
        .fault = {.kind = kind, .node = SIM_ANY, .step = SIM_ANY_STEP, .times = 1, .at_ms = -1, .nth = nth}};
}

static void add(struct scenario *sc, enum move_kind kind)
{
    sc->moves[sc->n_moves++] = (struct move){.kind = kind, .exit = -1};
}

static void judge(struct scenario *sc, struct tally *t, struct verdict *v)
{
    sc->shape.plan = sc->plan_name;
    scenario_run(sc, NULL, v);
    t->runs++;
    if (v->good)
        return;
    struct buf text = BUF_INIT(1u << 20);
    scenario_text(sc, &text);
    printf("# %s\n%s\n", v->why, buf_str(&text));
    buf_fini(&text);
    t->wrong++;
}

/* Dies at commit `first`; the order after it at each of its own first turns, then `last` ends it. */
static void crash_at(const struct scenario *base, uint32_t first, uint32_t pages, struct tally *t)
{
    for (int order = MOVE_RESUME; order <= MOVE_ROLLBACK; order++)
        for (uint32_t page = 0; page <= pages; page++) {
            struct scenario sc = *base;
            struct verdict v;
            add_kill(&sc, FAULT_KILL_AFTER_COMMIT, first);
            if (page > 0)
                add_kill(&sc, page % 2 ? FAULT_KILL_AFTER_COMMIT : FAULT_KILL_BEFORE_COMMIT, first + page);
            add(&sc, MOVE_RUN);
            add(&sc, (enum move_kind)order);
            add(&sc, MOVE_HEAL);
            add(&sc, page % 2 ? MOVE_RESUME : MOVE_ROLLBACK);
            judge(&sc, t, &v);
        }
}

/* ---- how long it takes to take over a release with an open intent on every node */

struct rows {
    struct record *rows;
    size_t n, cap;
    bool ordered;
};

static void feed(struct core *core, struct event ev, struct rows *io)
{
    static struct update up; /* large; this program has one thread */
    core_step(core, &ev, &up);
    for (uint32_t i = 0; i < up.n_records; i++) {
        if (io->n == io->cap) {
            io->cap = io->cap ? io->cap * 2 : 1024;
            io->rows = xrealloc(io->rows, io->cap * sizeof(*io->rows));
        }
        io->rows[io->n++] = up.records[i];
        io->ordered |= up.records[i].kind == ROW_ORDER && up.records[i].code == ORDER_RESUME;
    }
}

static void report_resume(uint32_t n_nodes)
{
    auto_arena struct arena arena = {0};
    struct sim_shape shape = {.plan = "rolling", .n_nodes = n_nodes, .window = n_nodes, .n_lbs = 1};
    struct sim_plan plan;
    struct err err;
    struct rows rows = {0};
    must(sim_plan_stock(&shape, &arena, &plan, &err));
    struct core *core = core_init(xcalloc(1, core_size(&plan.core)), &plan.core);
    feed(core, (struct event){.kind = EV_START}, &rows);
    while (core_due(core) <= 0)
        feed(core, (struct event){.kind = EV_TIMER}, &rows);
    size_t dead = rows.n;
    int turns = 1;
    int64_t begin = clock_mono_ms();
    core_init(core, &plan.core);
    for (size_t i = 0; i < dead; i++)
        core_replay(core, &rows.rows[i]);
    feed(core, (struct event){.kind = EV_ORDER, .order = ORDER_RESUME}, &rows);
    for (; !rows.ordered; turns++)
        feed(core, (struct event){.kind = EV_TIMER}, &rows);
    printf("%u open intents: the core takes over in %d turns, %zu rows and %" PRId64 " ms\n", n_nodes, turns,
           rows.n - dead, clock_mono_ms() - begin);
    must(rows.n - dead > n_nodes);
    free(rows.rows);
    free(core);
}

static void sweep(const char *shape, uint32_t n_nodes, uint32_t points, struct tally *t)
{
    struct scenario base, calm;
    struct verdict v;
    struct err err = {0};
    char text[200];
    snprintf(text, sizeof(text), shape, n_nodes, n_nodes);
    must(scenario_parse(text, &base, &err));
    base.shape.plan = base.plan_name;
    calm = base;
    add(&calm, MOVE_RUN);
    judge(&calm, t, &v);
    uint32_t commits = (uint32_t)v.fig.n_commits, step = commits / points ? commits / points : 1;
    for (uint32_t at = n_nodes / 252 + 2; at < commits; at += step) /* at first, all are preparing */
        crash_at(&base, at, n_nodes / 490 < points ? n_nodes / 490 + 1 : points / 2, t);
    scenario_fini(&base);
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
    static const struct {
        uint32_t n_nodes, points;
    } sizes[] = {{240, 12}, {511, 8}, {512, 8}, {513, 8}, {2000, 3}, {10000, 1}};
    uint32_t only = option(argc, argv, "--nodes", 0), points = option(argc, argv, "--points", 0);
    struct tally t = {0};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
            if (!only || only == sizes[i].n_nodes) {
                int64_t begin = clock_mono_ms();
                sweep(shapes[s], sizes[i].n_nodes, points ? points : sizes[i].points, &t);
                if (s == 0)
                    report_resume(sizes[i].n_nodes);
                printf("%u nodes: %.1f s\n", sizes[i].n_nodes, (double)(clock_mono_ms() - begin) / 1000.0);
            }
    printf("%u releases of wide fleets, %u wrong\n", t.runs, t.wrong);
    return t.wrong > 0 || t.runs < 10;
}
