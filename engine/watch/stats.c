/* SPDX-License-Identifier: MIT */
#include "watch/stats.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "state/stats.h"

#define DAY_MS 86400000

/* ---- reading */

/* Durations as they are gathered. */
struct gather {
    int64_t *ms;
    size_t n, unknown;
};

struct stats_walk {
    const struct stats_release *list;
    size_t n;
    int64_t *back_ms; /* of each: when a rollback of it had ended, 0 = there was none */
    struct gather lead, restore;
    struct stats *ret;
};

static void gather_add(struct gather *g, int64_t from_ms, int64_t to_ms)
{
    if (from_ms <= 0 || to_ms < from_ms) /* not recorded, or a clock that is wrong */
        g->unknown++;
    else
        g->ms[g->n++] = to_ms - from_ms;
}

static int by_length(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static struct stats_times times_of(struct gather *g)
{
    if (g->n == 0)
        return (struct stats_times){.unknown = g->unknown};
    qsort(g->ms, g->n, sizeof *g->ms, by_length);
    return (struct stats_times){
        .n = g->n, .unknown = g->unknown, .median_ms = g->ms[(g->n - 1) / 2], .longest_ms = g->ms[g->n - 1]};
}

/* "2026-11-20T09:13:59+01:00"; 0: it is none. */
static int64_t date_ms(const char *text)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S%z", &tm);
    long east_s = tm.tm_gmtoff;
    if (!end || *end)
        return 0;
    return ((int64_t)timegm(&tm) - east_s) * 1000;
}

static bool is_live(const struct stats_release *r)
{
    return r->kind == KIND_RELEASE && r->exit_status == EXIT_RELEASED;
}

static bool is_broken(const struct stats_release *r)
{
    if (r->kind != KIND_RELEASE)
        return false;
    return (r->exit_status == EXIT_ROLLED_BACK && r->moved) || r->exit_status == EXIT_PERSON ||
           (r->exit_status == EXIT_STOPPED && r->failed_ms > 0);
}

/* A rollback names the release that it takes back, or it goes to a revision: then it is the last one that is live. */
static void mark_taken_back(struct stats_walk *w)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct stats_release *r = &w->list[i];
        bool found = r->kind != KIND_ROLLBACK || r->exit_status != EXIT_RELEASED;
        for (size_t k = i; k-- > 0 && !found;) {
            found = is_live(&w->list[k]) && w->back_ms[k] == 0 &&
                    (r->of_release == 0 || w->list[k].id == r->of_release);
            if (found)
                w->back_ms[k] = r->ended_ms;
        }
    }
}

/* The first release or rollback behind i that ended well. */
static int64_t mended_ms(const struct stats_walk *w, size_t i)
{
    for (size_t k = i + 1; k < w->n; k++)
        if (w->list[k].exit_status == EXIT_RELEASED || w->list[k].exit_status == EXIT_ROLLED_BACK)
            return w->list[k].ended_ms;
    return 0;
}

static void count_restore(struct stats_walk *w, size_t i)
{
    const struct stats_release *r = &w->list[i];
    int64_t mended = r->exit_status == EXIT_ROLLED_BACK ? r->ended_ms : mended_ms(w, i);
    if (mended)
        gather_add(&w->restore, r->failed_ms, mended);
    else
        w->ret->not_restored++;
}

static bool was_live_before(const struct stats_walk *w, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (is_live(&w->list[k]) && strcmp(w->list[k].rev, w->list[i].rev) == 0)
            return true;
    return false;
}

static void count(struct stats_walk *w, size_t i)
{
    const struct stats_release *r = &w->list[i];
    struct stats *s = w->ret;
    if (is_live(r)) {
        s->live++;
        if (!was_live_before(w, i))
            gather_add(&w->lead, date_ms(r->commit_date), r->ended_ms);
        if (w->back_ms[i]) {
            s->taken_back++;
            gather_add(&w->restore, r->ended_ms, w->back_ms[i]);
        }
    } else if (is_broken(r)) {
        s->broken++;
        count_restore(w, i);
    } else if (r->exit_status < 0 || r->exit_status == EXIT_STOPPED || r->exit_status >= EXIT_JOURNAL)
        s->open++;
    else
        s->untouched++;
}

bool stats_read(struct reader r, const struct stats_span *span, struct stats *ret, struct err *err)
{
    struct stats_release *list;
    struct stats_walk w = {.ret = ret};
    *ret = (struct stats){.env = span->env, .from_ms = span->from_ms, .to_ms = span->to_ms};
    if (!stats_releases(r, span->env, &list, &w.n, err))
        return false;
    w.list = list;
    w.back_ms = arena_array(r.arena, w.n + 1, sizeof *w.back_ms);
    w.lead.ms = arena_array(r.arena, w.n + 1, sizeof(int64_t));
    w.restore.ms = arena_array(r.arena, w.n + 1, sizeof(int64_t));
    mark_taken_back(&w);
    if (w.n > 0 && list[0].started_ms > ret->from_ms)
        ret->from_ms = list[0].started_ms;
    for (size_t i = 0; i < w.n; i++)
        if (list[i].kind == KIND_RELEASE && list[i].started_ms >= span->from_ms &&
            list[i].started_ms < span->to_ms)
            count(&w, i);
    ret->lead = times_of(&w.lead);
    ret->restore = times_of(&w.restore);
    return true;
}

/* ---- telling */

static const char *length_text(struct arena *arena, int64_t ms)
{
    char text[DURATION_TEXT_MAX];
    return arena_strdup(arena, duration_text(ms >= 10000 ? ms / 1000 * 1000 : ms, text, sizeof text));
}

static double days_of(const struct stats *s)
{
    int64_t ms = s->to_ms - s->from_ms;
    return ms > DAY_MS ? (double)ms / DAY_MS : 1.0; /* a few hours are no day's measure of the next */
}

static const char *frequency_text(const struct stats *s, struct arena *arena)
{
    double a_week = (double)s->live * 7 / days_of(s);
    return s->live == 0 ? "none"
                        : arena_printf(arena, "%zu in %.1f days: %.1f a week", s->live, days_of(s), a_week);
}

static const char *times_text(const struct stats_times *t, const char *of, struct arena *arena)
{
    const char *more = t->unknown ? arena_printf(arena, "; of %zu more it is unknown", t->unknown) : "";
    if (t->n == 0)
        return t->unknown ? arena_printf(arena, "unknown (of %zu %s)", t->unknown, of)
                          : "unknown: there were none";
    return arena_printf(arena, "median %s, longest %s (of %zu %s%s)", length_text(arena, t->median_ms),
                        length_text(arena, t->longest_ms), t->n, of, more);
}

static size_t failures(const struct stats *s)
{
    return s->broken + s->taken_back;
}

static const char *rate_text(const struct stats *s, struct arena *arena)
{
    size_t of = s->live + s->broken;
    return of == 0 ? "unknown: there were none"
                   : arena_printf(arena, "%zu of %zu: %.0f %%", failures(s), of,
                                  100.0 * (double)failures(s) / (double)of);
}

static void put_rest(struct doc *d, const struct stats *s)
{
    if (s->not_restored)
        doc_add(d, DOC_TEXT,
                arena_printf(d->arena, "Not restored yet: %zu. Nothing has ended well here since.",
                             s->not_restored));
    if (s->untouched + s->open)
        doc_add(
            d, DOC_TEXT,
            arena_printf(
                d->arena,
                "Counted in none of these: %zu that ended before a node left rotation, %zu that were stopped or "
                "have not ended.",
                s->untouched, s->open));
}

struct doc stats_doc(const struct stats *s, struct arena *arena)
{
    char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
    struct doc d = doc_new(arena, arena_printf(arena, "How %s was released", s->env));
    if (s->live + s->broken + s->untouched + s->open == 0) {
        doc_add(&d, DOC_TEXT, "No release of a revision began in this time: nothing can be said.");
        return d;
    }
    doc_add(&d, DOC_TABLE,
            arena_printf(arena, "Releases that began from %s to %s",
                         clock_text(s->from_ms, from, sizeof from), clock_text(s->to_ms, to, sizeof to)));
    DOC_ROW(&d, "figure", "value", "how it is counted");
    DOC_ROW(
        &d, "deployment frequency", frequency_text(s, arena),
        "releases of a revision that ended well (exit 0) on every node, from the first one in this time on");
    DOC_ROW(
        &d, "lead time for changes", times_text(&s->lead, "revisions", arena),
        "from the date of the revision's commit to the end of the first release that brought it; older versions recorded no date");
    DOC_ROW(
        &d, "change failure rate", rate_text(s, arena),
        "releases that went back or stopped when a node had failed or left rotation, and those that a rollback took back "
        "later, of all that ended well or so");
    DOC_ROW(
        &d, "time to restore", times_text(&s->restore, "failures", arena),
        "from the first node that failed until the release was back, or the next one had ended well; of one that was taken "
        "back later, from its end to that of the rollback");
    put_rest(&d, s);
    return d;
}

static json_t *times_json(const struct stats_times *t)
{
    return json_pack("{s:I, s:I, s:o, s:o}", "n", (json_int_t)t->n, "unknown", (json_int_t)t->unknown,
                     "median_ms", t->n ? json_integer(t->median_ms) : json_null(), "longest_ms",
                     t->n ? json_integer(t->longest_ms) : json_null());
}

json_t *stats_json(const struct stats *s)
{
    size_t of = s->live + s->broken;
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:I}", "kind", "stats", "env",
        s->env, "from_ms", (json_int_t)s->from_ms, "to_ms", (json_int_t)s->to_ms, "live", (json_int_t)s->live,
        "broken", (json_int_t)s->broken, "taken_back", (json_int_t)s->taken_back, "untouched",
        (json_int_t)s->untouched, "open", (json_int_t)s->open, "per_week",
        of + s->untouched + s->open ? json_real((double)s->live * 7 / days_of(s)) : json_null(), "lead",
        times_json(&s->lead), "failure_rate", of ? json_real((double)failures(s) / (double)of) : json_null(),
        "restore", times_json(&s->restore), "not_restored", (json_int_t)s->not_restored);
}
