/* SPDX-License-Identifier: MIT */
/* From the journal to sentences: what a room is told about environments and releases. Reads only. */
#ifndef RELEASE_CHAT_SENTENCES_H
#define RELEASE_CHAT_SENTENCES_H

#include "chat/message.h"
#include "state/chat.h"
#include "state/store.h"

/* "prod: held by ann@ctl1 since ..."; who waits; what ran last; what is unfinished or owed, and who left. With
 * `apart` "prod of shop". */
bool tell_status(struct said *s, struct reader r, const char *env, bool apart, struct err *err) MUST_CHECK;
bool tell_history(struct said *s, struct reader r, const char *env, size_t limit, struct err *err) MUST_CHECK;
bool tell_queue(struct said *s, struct reader r, const char *env, struct err *err) MUST_CHECK;
/* "release 41 of prod to f5d9859f5d98 (main) by slack:ann" */
void tell_release(struct said *s, const struct release_info *r);
/* "done and verified after 3m12s" */
void tell_end(struct said *s, const struct release_info *r);
/* The answer of `release plan --brief`. false: that is not what it was. rev and digest live in `arena`. */
struct brief {
    const char *rev, *digest;
    int64_t nodes; /* 0: there is nothing to change */
};
bool tell_brief(struct said *s, const char *output, struct arena *arena, struct brief *ret);
/* What a command said last: at most `lines` lines of it. */
void tell_output(struct said *s, const char *output, size_t lines);
/* "09:20" of today, else with the date. */
const char *tell_time(int64_t wall_ms, struct arena *arena);

#endif
