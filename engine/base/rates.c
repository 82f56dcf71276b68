/* SPDX-License-Identifier: MIT */
#include "base/rates.h"

#include <math.h>

#define TERMS_MAX 20000
#define TINY      1e-300
#define NEARLY    1e-14

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* The continued fraction of the incomplete beta function, by Lentz's method as modified by Thompson and Barnett. */
static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < TINY ? TINY : d);
    double sum = d;
    for (int m = 1; m <= TERMS_MAX; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        const double parts[2] = {even, odd};
        double step = 1;
        for (int k = 0; k < 2; k++) {
            d = 1 + parts[k] * d;
            c = 1 + parts[k] / c;
            d = 1 / (fabs(d) < TINY ? TINY : d);
            c = fabs(c) < TINY ? TINY : c;
            step = d * c;
            sum *= step;
        }
        if (fabs(step - 1) < NEARLY)
            break;
    }
    return sum;
}

/* The regularised incomplete beta function. */
static double beta_part(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                     : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

/* That of n tries with chance p at least k hit. */
static double at_least(int64_t k, int64_t n, double p)
{
    if (k <= 0)
        return 1;
    return k > n ? 0 : beta_part((double)k, (double)(n - k) + 1, p);
}

double rate_above(struct rate r, double limit)
{
    return at_least(r.hits, r.of, limit);
}

double rate_above_others(struct rate r, struct rate others, double times)
{
    double here = times * (double)r.of;
    if (r.of <= 0 || others.of <= 0)
        return 1;
    return at_least(r.hits, r.hits + others.hits, here / (here + (double)others.of));
}
