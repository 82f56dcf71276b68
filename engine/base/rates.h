/* SPDX-License-Identifier: MIT */
/* Exact one-sided tests of counted rates. Pure. Each returns the greatest chance that what was counted, or something still
 * further beyond the limit, comes about where the true rate is within it: small means beyond the limit for certain, and
 * never smaller than the truth, however few were counted. */
#ifndef RELEASE_BASE_RATES_H
#define RELEASE_BASE_RATES_H

#include <stdint.h>

struct rate {
    int64_t hits, of; /* 0 <= hits <= of */
};

/* Is the rate above `limit` (0..1)? The exact binomial test: the limit is under the lower bound of Clopper and Pearson just
 * when this is under its level. */
double rate_above(struct rate r, double limit);
/* Is the rate above `times` that of the others? Given how many hits there are in both, how many of them are here is binomial
 * where hits are rare (the conditional test of two Poisson rates, Przyborowski and Wilenski); where they are not, it errs
 * to the side of no verdict. */
double rate_above_others(struct rate r, struct rate others, double times);

#endif
