/* SPDX-License-Identifier: MIT */
/* Opening times are asked minute by minute, from the zone's own clock: then a day of 23 or 25 hours needs no rule of its
 * own, and what is open is written down once. */
#include "plans/times.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/auto.h"
#include "base/str.h"

#define DAY_MINUTES  (24 * 60)
#define LOOK_AHEAD_S ((int64_t)400 * 24 * 3600)

/* ---- windows */

static const char wanted[] =
    "wanted (DAYS,FROM-TO) as in (M-F,8-16) or (S,22:30-23:15); days are M T W H F S U, H for "
    "Thursday, U for Sunday, hours 0 to 24";

static int day_read(const char **s)
{
    static const char letters[] = "MTWHFSU";
    const char *at = **s ? strchr(letters, toupper((unsigned char)**s)) : NULL;
    *s += at != NULL;
    return at != NULL ? (int)(at - letters) : -1;
}

static bool days_read(const char **s, uint8_t *ret)
{
    int first = day_read(s), last = first;
    if (first >= 0 && **s == '-') {
        ++*s;
        last = day_read(s);
    }
    if (first < 0 || last < 0)
        return false;
    for (int d = first;; d = (d + 1) % 7) { /* F-M is a long weekend */
        *ret |= (uint8_t)(1u << d);
        if (d == last)
            return true;
    }
}

static bool two_digits(const char **s, unsigned max, unsigned *ret)
{
    if (!isdigit((unsigned char)**s))
        return false;
    *ret = (unsigned)(*(*s)++ - '0');
    if (isdigit((unsigned char)**s))
        *ret = *ret * 10 + (unsigned)(*(*s)++ - '0');
    return *ret <= max;
}

static bool minute_read(const char **s, uint16_t *ret)
{
    unsigned hour, minute = 0;
    if (!two_digits(s, 24, &hour))
        return false;
    if (**s == ':') {
        ++*s;
        if (!isdigit((unsigned char)(*s)[0]) || !isdigit((unsigned char)(*s)[1]) ||
            !two_digits(s, 59, &minute))
            return false;
    }
    *ret = (uint16_t)(hour * 60 + minute);
    return *ret <= DAY_MINUTES;
}

const char *window_parse(const char *text, struct window_span *ret)
{
    const char *s = text;
    *ret = (struct window_span){.days = 0};
    if (*s++ != '(' || !days_read(&s, &ret->days) || *s++ != ',')
        return wanted;
    s += strspn(s, " ");
    if (!minute_read(&s, &ret->from) || *s++ != '-' || !minute_read(&s, &ret->to) || strcmp(s, ")") != 0)
        return wanted;
    if (ret->from == DAY_MINUTES || ret->from == ret->to)
        return "it ends where it begins";
    if (ret->to < ret->from)
        ret->to = (uint16_t)(ret->to + DAY_MINUTES);
    return NULL;
}

/* ---- dates: those of one form compare as text does */

static bool digits_at(const char *s, const char *form)
{
    for (; *form; s++, form++)
        if (*form == '0' ? !isdigit((unsigned char)*s) : *s != *form)
            return false;
    return *s == '\0';
}

static bool calendar_has(const char *day)
{
    struct tm given = {
        .tm_year = atoi(day) - 1900, .tm_mon = atoi(day + 5) - 1, .tm_mday = atoi(day + 8), .tm_hour = 12};
    struct tm tm = given;
    return timegm(&tm) != -1 && tm.tm_mon == given.tm_mon && tm.tm_mday == given.tm_mday;
}

bool day_valid(const char *text)
{
    return digits_at(text, "0000-00-00") && calendar_has(text);
}

bool date_valid(const char *text)
{
    bool timed = digits_at(text, "0000-00-00 00:00") && calendar_has(text) && atoi(text + 11) < 24 &&
                 atoi(text + 14) < 60;
    return timed || day_valid(text);
}

/* ---- the zone's clock */

bool tz_known(const char *name)
{
    const char *dir = getenv("TZDIR");
    struct stat st;
    auto_buf struct buf path = BUF_INIT(4096);
    if (*name == '\0' || *name == '/' || strstr(name, "..") != NULL ||
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") != strlen(name))
        return false;
    buf_printf(&path, "%s/%s", dir != NULL ? dir : "/usr/share/zoneinfo", name);
    return stat(buf_str(&path), &st) == 0 && S_ISREG(st.st_mode);
}

static void zone_is(const char *tz)
{
    if (tz != NULL)
        (void)setenv("TZ", tz, 1);
    else
        (void)unsetenv("TZ");
    tzset();
}

static const char *clock_text(int64_t at_s, const char *form, char *ret, size_t n)
{
    time_t t = (time_t)at_s;
    struct tm tm;
    if (localtime_r(&t, &tm) == NULL || strftime(ret, n, form, &tm) == 0)
        *ret = '\0';
    return ret;
}

static bool in_spans(const struct window_span *spans, size_t n, const struct tm *tm)
{
    unsigned day = (unsigned)(tm->tm_wday + 6) % 7, before = (day + 6) % 7;
    int minute = tm->tm_hour * 60 + tm->tm_min;
    for (size_t i = 0; i < n; i++) {
        if ((spans[i].days >> day & 1) && minute >= spans[i].from && minute < spans[i].to)
            return true;
        if ((spans[i].days >> before & 1) && minute + DAY_MINUTES < spans[i].to)
            return true;
    }
    return n == 0;
}

/* A day that ends it is in it: "2026-12-18" is before "2026-12-18 23:59" and not behind it. */
static bool frozen(const struct plan_freeze *f, const char *now)
{
    size_t n = strlen(f->to);
    return strcmp(now, f->from) >= 0 &&
           (n == strlen("0000-00-00") ? strncmp(now, f->to, n) <= 0 : strcmp(now, f->to) < 0);
}

enum closed { OPEN, CLOSED_WINDOWS, CLOSED_SKIPPED, CLOSED_FROZEN };

struct clock {
    const struct plan_times *times;
    struct window_span *spans;
    const struct plan_freeze *freeze; /* the one that closed it */
};

static enum closed closed_at(struct clock *c, int64_t at_s)
{
    const struct plan_times *times = c->times;
    char now[32];
    time_t t = (time_t)at_s;
    struct tm tm;
    if (localtime_r(&t, &tm) == NULL || strftime(now, sizeof now, "%Y-%m-%d %H:%M", &tm) == 0)
        return CLOSED_WINDOWS;
    for (size_t i = 0; i < times->n_freezes; i++)
        if (frozen(c->freeze = &times->freezes[i], now))
            return CLOSED_FROZEN;
    for (size_t i = 0; i < times->n_skip_days; i++)
        if (str_starts(now, times->skip_days[i]))
            return CLOSED_SKIPPED;
    return in_spans(c->spans, times->n_windows, &tm) ? OPEN : CLOSED_WINDOWS;
}

static int64_t changes_at(struct clock *c, int64_t now_s, bool open)
{
    time_t now = (time_t)now_s;
    struct tm tm;
    int64_t next = now_s + 60 - (localtime_r(&now, &tm) != NULL ? tm.tm_sec % 60 : now_s % 60);
    for (int64_t t = next; t < now_s + LOOK_AHEAD_S; t += 60)
        if ((closed_at(c, t) == OPEN) != open)
            return t;
    return TIMES_NEVER;
}

static const char *why_of(const struct clock *c, enum closed closed, int64_t now_s, struct arena *arena)
{
    const struct plan_times *times = c->times;
    char now[64];
    auto_buf struct buf out = BUF_INIT(4096);
    clock_text(now_s, "%a %Y-%m-%d %H:%M", now, sizeof now);
    if (closed == CLOSED_FROZEN) {
        const struct plan_freeze *f = c->freeze;
        buf_printf(&out, "frozen from %s to %s%s%s", f->from, f->to, *f->why ? ": " : "", f->why);
    } else if (closed == CLOSED_SKIPPED) {
        buf_printf(&out, "%.10s is one of skip_days", now + 4);
    } else {
        buf_puts(&out, times->n_windows > 0 ? "windows " : "");
        for (size_t i = 0; i < times->n_windows; i++)
            buf_printf(&out, "%s%s", i == 0 ? "" : " ", times->windows[i]);
    }
    buf_printf(&out, "%sit is %s%s%s", out.len > 0 ? "; " : "", now, *times->tz ? " in " : "", times->tz);
    return arena_strdup(arena, buf_str(&out));
}

struct times_now times_at(const struct plan_times *times, int64_t now_s, struct arena *arena)
{
    const char *tz = getenv("TZ");
    auto_free char *before = tz != NULL ? xstrdup(tz) : NULL;
    struct clock c = {.times = times, .spans = arena_array(arena, times->n_windows + 1, sizeof(*c.spans))};
    for (size_t i = 0; i < times->n_windows; i++)
        if (window_parse(times->windows[i], &c.spans[i]) != NULL)
            c.spans[i].days = 0; /* a damaged journal: never open */
    if (*times->tz)
        zone_is(times->tz);
    char changes[64] = "";
    enum closed closed = closed_at(&c, now_s);
    const char *why = why_of(&c, closed, now_s, arena);
    int64_t at = changes_at(&c, now_s, closed == OPEN);
    if (at != TIMES_NEVER)
        clock_text(at, "%a %Y-%m-%d %H:%M", changes, sizeof changes);
    if (*times->tz)
        zone_is(before);
    return (struct times_now){
        .open = closed == OPEN, .why = why, .changes_s = at, .changes = arena_strdup(arena, changes)};
}
