/* SPDX-License-Identifier: MIT */
/* Releases of an environment as figures are made of them (watch/stats.h). */
#ifndef RELEASE_STATE_STATS_H
#define RELEASE_STATE_STATS_H

#include "state/store.h"

/* A release of a revision, or a rollback. */
struct stats_release {
    int64_t id, of_release, started_ms, ended_ms; /* ended_ms 0 = it has no end */
    int exit_status;                              /* of its last end, -1 = it has none */
    enum release_kind kind;
    const char *rev;
    const char *commit_date; /* "2026-11-20T09:13:59+01:00" when it was recorded, else "" */
    bool moved;              /* a node began to leave rotation: asked of those only that did not end well */
    int64_t failed_ms;       /* when the first node failed, 0 = none did; asked of the same */
};
/* Oldest first. */
bool stats_releases(struct reader r, const char *env, struct stats_release **ret, size_t *ret_n,
                    struct err *err) MUST_CHECK;

/* The facts of a release's first row, JSON; "" = none. */
bool stats_first_facts(struct reader r, int64_t release, const char **ret, struct err *err) MUST_CHECK;

#endif
