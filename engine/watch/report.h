/* SPDX-License-Identifier: MIT */
/* One release told from its rows: for a pull request, a ticket, a post-mortem. What the journal does not have is left out or
 * said to be unknown. */
#ifndef RELEASE_WATCH_REPORT_H
#define RELEASE_WATCH_REPORT_H

#include <jansson.h>

#include "watch/doc.h"
#include "watch/watch.h"

/* What the frozen plan knows and no row. */
struct report_of {
    const struct release_info *release;
    const struct watch_plan *plan;
    const bool *was_up;    /* of its nodes: in rotation when it began */
    const char *overrides; /* "window: the shop burns"; "" = none */
};

struct report_event {
    int64_t at_ms;
    const char *text;
    int64_t up; /* nodes in rotation then, -1 = not known */
};
struct report_failure {
    int64_t at_ms;
    const char *node, *label, *text;
    const char *output; /* its last lines; "" = it printed nothing */
};
struct report_slot {
    int64_t from_ms;
    int64_t least_up; /* in it, -1 = not known */
};
#define REPORT_SLOTS 20
struct report {
    struct report_of of;
    struct report_event *events;
    size_t n_events, events_more;
    struct report_failure *failures;
    size_t n_failures, failures_more;
    struct report_event *verdicts; /* of judges, one a stage and attempt */
    size_t n_verdicts;
    struct step_time *steps; /* by their longest */
    size_t n_steps;
    struct report_slot slots[REPORT_SLOTS];
    size_t n_slots;
    int64_t most_up, least_up; /* -1 = no balancer counted */
    const char *about;         /* facts of its first row (docs/journal.md), JSON; "" = none */
    int64_t took_ms;           /* -1 = it has not ended */
    size_t n_earlier;          /* finished well, of the same plan, at most 20 */
    int64_t earlier_median_ms, earlier_longest_ms;
};
/* Everything lives in the reader's arena. */
bool report_gather(struct reader r, const struct report_of *of, struct report *ret,
                   struct err *err) MUST_CHECK;
struct doc report_doc(const struct report *rep, struct arena *arena);
json_t *report_json(const struct report *rep);

#endif
