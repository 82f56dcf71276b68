/* SPDX-License-Identifier: MIT */
/* Scenarios: a plan, faults, what is ordered, with which status it must end, and (kept ones) the story that
 * must be told. The same text is what a failing seed is printed as.
 *
 *   # comment                                   (kept)
 *   plan rolling nodes 10 window 1 min-up 5 stages 1,10 soak 5s lbs 2 once first seed 7
 *   fault build-fails@n3/build
 *   run 1                                       start it; it must end with 1 (? = any)
 *   heal                                        the faults are gone
 *   exclude n2                                  orders from here on are given without that node
 *   resume 0 | rollback 1
 *   story                                       the rest of the file, one line each: [virtual time] text */
#ifndef RELEASE_TESTS_SCENARIO_H
#define RELEASE_TESTS_SCENARIO_H

#include "sim/sim.h"

#define MOVES_MAX 48

enum move_kind { MOVE_FAULT, MOVE_RUN, MOVE_RESUME, MOVE_ROLLBACK, MOVE_HEAL, MOVE_EXCLUDE };
struct move {
    enum move_kind kind;
    struct sim_fault fault;
    int exit; /* -1 = any */
};

struct scenario {
    struct sim_shape shape;
    char plan_name[32];
    uint64_t seed;
    bool steady;
    struct move moves[MOVES_MAX];
    size_t n_moves;
    struct buf comment, story;
};

/* How a run went. */
struct verdict {
    bool good;
    char why[500];
    struct sim_figures fig;
    uint32_t n_releases, n_sessions;
    int last_exit;
    uint64_t world; /* what each node runs at the end, and whether it is in rotation */
};

bool scenario_parse(const char *text, struct scenario *ret, struct err *err) MUST_CHECK;
void scenario_text(const struct scenario *sc, struct buf *out); /* without the story */
void scenario_fini(struct scenario *sc);
/* story may be NULL: then it is not told, which is faster. */
void scenario_run(const struct scenario *sc, struct buf *story, struct verdict *ret);
/* Takes away whatever is not needed for it to go wrong. */
void scenario_shrink(struct scenario *sc);

#endif
