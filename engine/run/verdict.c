/* SPDX-License-Identifier: MIT */
#include "run/verdict.h"

#include <inttypes.h>

struct levels {
    double level;
    int64_t least;
};

static void put_rate(struct buf *out, struct rate r)
{
    ppm_put(out, r.of > 0 ? ((int64_t)((double)r.hits * 1e6 / (double)r.of) + 50) / 100 * 100 : 0);
    buf_printf(out, " errors (%" PRId64 " of %" PRId64 " requests)", r.hits, r.of);
}

static void put_others(struct buf *out, const struct soak_counts *t)
{
    if (t->n_others == 0) {
        buf_puts(out, "; no other node is left to hold it against");
        return;
    }
    buf_puts(out, "; the others ");
    put_rate(out, t->others);
}

static void put_times(struct buf *out, const struct soak_counts *t)
{
    if (t->ms < 0)
        return;
    buf_printf(out, "; answers take %.0f ms", t->ms);
    if (t->others_ms >= 0)
        buf_printf(out, ", those of the others %.0f ms", t->others_ms);
}

static void put_anew(struct buf *out, const struct soak_counts *t)
{
    if (t->n_anew > 0)
        buf_printf(out, "; %s began to count anew %" PRIu32 " time%s: what it counted meanwhile is left out",
                   t->anew, t->n_anew, t->n_anew == 1 ? "" : "s");
}

static void put_all(struct buf *out, const struct soak_counts *t)
{
    put_rate(out, t->released);
    put_others(out, t);
    put_times(out, t);
    put_anew(out, t);
}

static bool too_many(const struct plan_judge *j, const struct soak_counts *t, struct levels at,
                     struct buf *why)
{
    if (j->errors_ppm == 0 || t->released.hits < at.least ||
        rate_above(t->released, (double)j->errors_ppm / 1e6) >= at.level)
        return false;
    put_all(why, t);
    buf_puts(why, "; wanted at most ");
    ppm_put(why, j->errors_ppm);
    return true;
}

static bool worse(const struct plan_judge *j, const struct soak_counts *t, struct levels at, struct buf *why)
{
    if (j->worse_percent == 0 || t->released.hits < at.least ||
        rate_above_others(t->released, t->others, (double)j->worse_percent / 100) >= at.level)
        return false;
    put_all(why, t);
    buf_puts(why, "; wanted at most ");
    times_put(why, j->worse_percent);
    buf_puts(why, " the errors of the others");
    return true;
}

static bool slow(const struct plan_judge *j, const struct soak_counts *t, struct buf *why)
{
    if (j->slower_percent == 0 || t->slow_looks < VERDICT_SLOW_LOOKS)
        return false;
    put_all(why, t);
    buf_puts(why, "; wanted at most ");
    times_put(why, j->slower_percent);
    buf_puts(why, " their time");
    return true;
}

static bool down(const struct soak_counts *t, struct buf *why)
{
    if (!t->down || t->down_looks < VERDICT_DOWN_LOOKS)
        return false;
    buf_printf(why, "%s; ", t->down);
    put_all(why, t);
    return true;
}

/* The others are there and were asked for nothing: then nothing is known of what is only held against them. */
static bool nothing_to_hold_against(const struct plan_judge *j, const struct soak_counts *t)
{
    return j->errors_ppm == 0 && t->n_others > 0 && t->others.of == 0;
}

enum judged verdict_of(const struct plan_judge *j, const struct soak_counts *t, enum judge_look look,
                       struct buf *why)
{
    bool last = look == JUDGE_LAST, enough = t->released.of >= j->min_requests;
    /* Few requests, or one more look after that of the end: many looks, of which only what is beyond doubt counts. */
    bool decides = last && enough && !t->decided;
    const struct levels at = decides ? (struct levels){VERDICT_LEVEL, VERDICT_LEAST}
                                     : (struct levels){VERDICT_LEVEL_EARLY, VERDICT_LEAST_EARLY};
    if (down(t, why))
        return JUDGED_BADLY;
    if (too_many(j, t, at, why) || worse(j, t, at, why))
        return JUDGED_BADLY;
    if (!last)
        return JUDGED_NOT;
    if (enough && slow(j, t, why))
        return JUDGED_BADLY;
    put_all(why, t);
    if (!enough)
        buf_printf(why, "; wanted at least %" PRId64 " requests", j->min_requests);
    return enough && !nothing_to_hold_against(j, t) ? JUDGED_WELL : JUDGED_NOT;
}
