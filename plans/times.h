/* SPDX-License-Identifier: MIT */
/* When an environment may be released: `windows:`, `tz:`, `skip_days:`, `freeze:`, `window_closes:` of the release: block
 * (docs/pillar.md#windows). The grammar of windows is that of the off-hours tools: "(M-F,8-16)". */
#ifndef RELEASE_PLANS_TIMES_H
#define RELEASE_PLANS_TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

#define TIMES_NEVER INT64_MAX

/* "2026-12-18" or "2026-12-18 14:00", of the zone's clock; a day that ends it is in it. */
struct plan_freeze {
    const char *from, *to, *why; /* why: "" = not said */
};

/* As written, and found sound by times_set; in the frozen plan as well. */
struct plan_times {
    const char *const *windows; /* n 0 = always, but for the others */
    size_t n_windows;
    const char *tz; /* of the zoneinfo database; "" = this machine's */
    const char *const *skip_days;
    size_t n_skip_days;
    const struct plan_freeze *freezes;
    size_t n_freezes;
    bool
        pauses; /* a release that is running when they close is stopped, to be resumed; else it goes on to its end */
};

/* Minutes of a day, and the days by bits, Monday is 1. `to` may be the next day's: then it is above 24 * 60. */
struct window_span {
    uint8_t days;
    uint16_t from, to;
};
/* NULL: read; else what was wanted. */
const char *window_parse(const char *text, struct window_span *ret);
bool day_valid(const char *text);  /* 2026-12-18 */
bool date_valid(const char *text); /* the same, and maybe a time of day behind it */
/* Does the machine know that time zone? */
bool tz_known(const char *name);

struct times_now {
    bool open;
    /* For people: "windows: (M-F,8-16); it is Sat 2026-11-28 01:00 (Europe/Berlin)", "frozen until .. : Christmas". */
    const char *why;
    int64_t changes_s;   /* when it opens or closes; TIMES_NEVER = not in the next 400 days */
    const char *changes; /* that, by the zone's clock: "Mon 2026-11-30 08:00"; "" = never */
};
/* How things stand at that second since the epoch. Sets the process's time zone for a while: for one thread, before there
 * are others. */
struct times_now times_at(const struct plan_times *times, int64_t now_s, struct arena *arena);

#endif
