/* SPDX-License-Identifier: MIT */
/* Releases whose message is not final yet, each folded from the journal as far as it was read. */
#ifndef RELEASE_CHAT_LIVE_RELEASES_H
#define RELEASE_CHAT_LIVE_RELEASES_H

#include "base/arena.h"
#include "state/store.h"
#include "watch/watch.h"

#define LIVE_MAX 32

/* The fold goes on from where it was. */
struct live {
    int64_t release, seq; /* release 0 = an empty place */
    uint64_t used;        /* the turn in which it was last asked for */
    struct arena arena;
    struct model model;
};
/* Of one thread. Zeroed = empty. When all places are taken, the one that nobody asked for longest goes: it
 * is folded anew when it is wanted again. */
struct lives {
    struct live places[LIVE_MAX];
    uint64_t turn;
};
/* The release up to the journal's present end; NULL: it cannot be read. Until the next call. */
const struct model *live_model(struct lives *all, struct store *store, int64_t release);
void live_forget(struct lives *all, int64_t release);
void lives_fini(struct lives *all);

/* Whether nothing more can happen to it: it has ended, or it was given up in the middle. */
bool live_is_final(const struct model *m, const struct release_info *r);
bool live_is_given_up(const struct release_info *r);

#endif
