/* SPDX-License-Identifier: MIT */
/* From what was counted while a stage soaked to a verdict on it. Pure: numbers in, a verdict and its words out. */
#ifndef RELEASE_RUN_VERDICT_H
#define RELEASE_RUN_VERDICT_H

#include "base/notes.h"
#include "base/rates.h"
#include "base/str.h"
#include "core/core.h"
#include "plans/judge.h"

/* A limit counts as broken when what was counted had a chance below this, were it kept. EARLY, for each look before the soak
 * is over, and for those after it that wait for requests or for what else is asked: a hundred such looks together add less than a fiftieth to the chance of the last one (Haybittle and Peto). */
#define VERDICT_LEVEL       0.005
#define VERDICT_LEVEL_EARLY 1e-6
/* Whatever the chances say: so few errors are nobody's verdict. */
#define VERDICT_LEAST       5
#define VERDICT_LEAST_EARLY 10
/* Balancers tell how long answers take as a moving average without its spread: beyond the limit it must be in so many looks,
 * one after the other, and by as much as they can tell apart. */
#define VERDICT_SLOW_LOOKS 5
#define VERDICT_SLOW_MS    2
#define VERDICT_DOWN_LOOKS 3

/* All of it since the soak began. */
struct soak_counts {
    struct rate released, others; /* errors of requests */
    size_t n_others;              /* nodes to hold it against */
    double ms, others_ms;         /* of the last look; < 0: it told none */
    uint32_t slow_looks;          /* the last ones, in a row */
    uint32_t down_looks;
    const char *down; /* a released server that gets no requests, and its balancer says why; NULL: none */
    const char *anew; /* a balancer that began to count anew; NULL: none did */
    uint32_t n_anew;  /* how often */
    /* A look after the soak had enough already, or not all balancers were in this one: it fails a stage as an early one does. */
    bool decided;
};

/* `why` gets the verdict's words: what was seen and what was wanted. */
enum judged verdict_of(const struct plan_judge *judge, const struct soak_counts *t, enum judge_look look,
                       struct buf *why);

#endif
