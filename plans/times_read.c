/* SPDX-License-Identifier: MIT */
/* The keys of the release: block that say when it may be released (plans/times.h). */
#include "plans/times.h"

#include <stddef.h>
#include <string.h>

#include "plans/compile_priv.h"

#define WEEK_MINUTES (7 * 24 * 60)

/* The week's minutes by bits, to find windows that overlap: one of them is a mistake. */
struct week {
    uint8_t taken[WEEK_MINUTES / 8];
};

static bool take_span(struct week *week, const struct window_span *span)
{
    bool was_free = true;
    for (unsigned day = 0; day < 7; day++)
        for (unsigned m = span->from; (span->days >> day & 1) && m < span->to; m++) {
            unsigned at = (day * 24 * 60 + m) % WEEK_MINUTES;
            was_free = was_free && !(week->taken[at / 8] >> at % 8 & 1);
            week->taken[at / 8] |= (uint8_t)(1u << at % 8);
        }
    return was_free;
}

static void window_check(struct compiler *c, struct week *week, const struct value *v)
{
    struct window_span span;
    const char *wanted = window_parse(v->text, &span);
    if (wanted != NULL)
        problem_at(c->r.problems, v->at, "windows: '%s': %s", v->text, wanted);
    else if (!take_span(week, &span))
        problem_at(c->r.problems, v->at, "windows: '%s' overlaps with one before it", v->text);
}

/* Texts of a list, or of one in its place. */
static const char *const *texts_read(struct compiler *c, const struct value *list, const char *what,
                                     void (*check)(struct compiler *, struct week *, const struct value *),
                                     size_t *ret_n)
{
    *ret_n = 0;
    if (value_is_null(list))
        return NULL;
    struct week week = {.taken = {0}};
    const struct value *one[1] = {list}, *const *items = list->kind == VALUE_LIST ? list->items : one;
    size_t n = list->kind == VALUE_LIST ? list->n : 1;
    const char **texts = arena_array(c->r.arena, n + 1, sizeof(*texts));
    for (size_t i = 0; i < n; i++) {
        if (items[i]->kind != VALUE_SCALAR) {
            problem_at(c->r.problems, items[i]->at, "%s: wanted text, found %s", what,
                       value_kind_text(items[i]));
            continue;
        }
        check(c, &week, items[i]);
        texts[(*ret_n)++] = items[i]->text;
    }
    return texts;
}

static void day_check(struct compiler *c, struct week *week, const struct value *v)
{
    (void)week;
    if (!day_valid(v->text))
        problem_at(c->r.problems, v->at, "skip_days: '%s' is no day; wanted one as in 2026-12-24", v->text);
}

#define AT(member) offsetof(struct plan_freeze, member)
static const struct field freeze_fields[] = {
    {.name = "from", .type = FIELD_TEXT, .offset = AT(from)},
    {.name = "to", .type = FIELD_TEXT, .offset = AT(to)},
    {.name = "why", .type = FIELD_TEXT, .offset = AT(why)},
    FIELD_END,
};

static bool freeze_read(struct compiler *c, const struct value *v, struct plan_freeze *ret)
{
    *ret = (struct plan_freeze){.why = ""};
    if (v->kind != VALUE_MAP || !schema_read(&c->r, v, "freeze", freeze_fields, ret) || ret->from == NULL ||
        ret->to == NULL) {
        problem_at(c->r.problems, v->at, "freeze: wanted {from: 2026-12-18, to: 2027-01-04, why: ..}");
        return false;
    }
    if (!date_valid(ret->from) || !date_valid(ret->to))
        problem_at(c->r.problems, v->at,
                   "freeze: from '%s' to '%s': wanted days, as in 2026-12-18, or '2026-12-18 14:00'",
                   ret->from, ret->to);
    else if (strcmp(ret->from, ret->to) > 0)
        problem_at(c->r.problems, v->at, "freeze: it ends (%s) before it begins (%s)", ret->to, ret->from);
    return true;
}

static void freezes_read(struct compiler *c, struct plan_times *times)
{
    const struct value *list = c->b.freeze;
    if (value_is_null(list))
        return;
    const struct value *one[1] = {list}, *const *items = list->kind == VALUE_LIST ? list->items : one;
    size_t n = list->kind == VALUE_LIST ? list->n : 1;
    struct plan_freeze *freezes = arena_array(c->r.arena, n + 1, sizeof(*freezes));
    for (size_t i = 0; i < n; i++)
        times->n_freezes += freeze_read(c, items[i], &freezes[times->n_freezes]);
    times->freezes = freezes;
}

void times_set(struct compiler *c)
{
    struct plan_times *times = arena_alloc(c->r.arena, sizeof(*times));
    *times =
        (struct plan_times){.tz = c->b.tz != NULL ? c->b.tz : "",
                            .pauses = c->b.window_closes != NULL && strcmp(c->b.window_closes, "pause") == 0};
    times->windows = texts_read(c, c->b.windows, "windows", window_check, &times->n_windows);
    times->skip_days = texts_read(c, c->b.skip_days, "skip_days", day_check, &times->n_skip_days);
    freezes_read(c, times);
    if (c->b.tz != NULL && !tz_known(c->b.tz))
        problem_at(
            c->r.problems, map_get(c->b.map, "tz")->at,
            "tz: there is no time zone '%s' in this machine's zoneinfo (wanted: one as in Europe/Berlin; Debian's package is tzdata)",
            c->b.tz);
    if (times->n_windows + times->n_skip_days + times->n_freezes > 0)
        c->plan->times = times;
    else if (c->b.tz != NULL || c->b.window_closes != NULL)
        problem_at(c->r.problems, map_get(c->b.map, c->b.tz != NULL ? "tz" : "window_closes")->at,
                   "'%s' says nothing without windows, skip_days or freeze",
                   c->b.tz != NULL ? "tz" : "window_closes");
}
