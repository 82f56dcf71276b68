/* SPDX-License-Identifier: MIT */
/* How an environment is released: the four figures of DORA, read off the journal. What the journal does not know is said, and
 * is part of no figure. */
#ifndef RELEASE_WATCH_STATS_H
#define RELEASE_WATCH_STATS_H

#include <jansson.h>

#include "state/store.h"
#include "watch/doc.h"

/* Of some durations: `unknown` more could not be learnt. */
struct stats_times {
    size_t n, unknown;
    int64_t median_ms, longest_ms; /* n > 0 */
};
struct stats {
    const char *env;
    int64_t from_ms, to_ms;    /* from_ms: of the first release in it, where that is later than asked for */
    size_t live;               /* releases that ended well, on every node */
    size_t broken, taken_back; /* a node failed; live, and a rollback took it back later */
    size_t untouched, open;    /* neither: it ended before a node left rotation; it has not ended */
    struct stats_times lead;   /* of revisions that were new here */
    struct stats_times restore;
    size_t not_restored;
};
struct stats_span {
    const char *env;
    int64_t from_ms, to_ms;
};
bool stats_read(struct reader r, const struct stats_span *span, struct stats *ret,
                struct err *err) MUST_CHECK;
struct doc stats_doc(const struct stats *s, struct arena *arena);
json_t *stats_json(const struct stats *s);

#endif
