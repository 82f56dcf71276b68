/* SPDX-License-Identifier: MIT */
/* `judge:` of the release: block: what clients must have got of a stage's nodes, as the balancers count it, for the release to
 * go on (docs/pillar.md). */
#ifndef RELEASE_PLANS_JUDGE_H
#define RELEASE_PLANS_JUDGE_H

#include "base/str.h"
#include "plans/plan.h"

struct plan_judge {
    /* Limits; 0 = not given. Of requests, how many may fail; how many times as many as of the others; how many times as long
     * answers may take as theirs. */
    int64_t errors_ppm, worse_percent, slower_percent;
    int64_t min_requests; /* fewer are no verdict */
    int64_t deadline_ms;  /* how long beyond the soak they may take to come */
    bool passes;          /* ... and then the stage passes; else the release stops */
    /* verb NULL where it has no such judge. */
    struct plan_step cmd, prometheus; /* asked when the soak is over */
    struct plan_step step;            /* asks every balancer what it has counted, as show_step does */
    const char *where;
};

/* Is there a limit that the balancers' counts are held against? */
bool judge_counts(const struct plan_judge *judge);
/* "at most 1% errors, 2x the errors of the others, from 500 requests" */
void judge_text(const struct plan_judge *judge, struct buf *out);
void ppm_put(struct buf *out, int64_t ppm);       /* 2500: "0.25%" */
void times_put(struct buf *out, int64_t percent); /* 150: "1.5x" */

#endif
