/* SPDX-License-Identifier: MIT */
/* What the chat rooms' side of the server has to remember over a restart: requests that wait for a yes, who
 * waits for the lock, requests that were seen already, and what was said where.
 *
 * An ask is one request from a room, from the moment it came until its last answer: enum ask_state has the way
 * that it goes. It moves by compare-and-set only, so of two clicks one counts. */
#ifndef RELEASE_STATE_CHAT_H
#define RELEASE_STATE_CHAT_H

#include "state/store.h"

/* ---- asks */

#define ASK_CODE_LEN 4
struct ask_new {
    enum wish verb;
    enum via via;
    const char *env, *who;     /* who: "slack:ann" */
    const char *person;        /* what is compared: "slack/T1/U1", "token:3", "proxy/bob" */
    const char *place;         /* the channel */
    const char *reply_to;      /* response_url, "" = none */
    const char *wish;          /* JSON object of the words; the caller's own */
    enum ask_state state;      /* where it begins */
    int64_t plan_order, order; /* the children at work for it, 0 = none */
    int64_t made_ms, lapse_ms; /* lapse_ms: when it ends by itself, wall time */
};
struct ask {
    int64_t id, plan_order, order, made_ms, lapse_ms, said;
    enum wish verb;
    enum via via;
    enum ask_state state;
    const char *code, *env, *who, *person, *place, *reply_to, *wish, *rev, *digest, *approved_by;
};
/* From one state to the next. What changes with it: zeroes and NULLs leave things as they are. */
struct ask_step {
    int64_t id;
    enum ask_state from, to;
    const char *rev, *digest, *approved_by;
    int64_t order, lapse_ms;
};
bool ask_add(struct store *s, const struct ask_new *a, int64_t *ret_id, char ret_code[ASK_CODE_LEN + 1],
             struct err *err) MUST_CHECK;
/* *ret NULL: there is none (any more). A code is found while its ask is open. */
bool ask_get(struct reader r, int64_t id, struct ask **ret, struct err *err) MUST_CHECK;
bool ask_find(struct reader r, const char *code, struct ask **ret, struct err *err) MUST_CHECK;
/* All that are open, by environment, oldest first; env NULL = of all. */
bool ask_list(struct reader r, const char *env, struct ask **ret, size_t *ret_n, struct err *err) MUST_CHECK;
/* *ret_moved false: it was not in state `from` any more, and nothing changed. */
bool ask_move(struct store *s, const struct ask_step *step, bool *ret_moved, struct err *err) MUST_CHECK;
/* How far its answers went: a number of the caller's. */
bool ask_said(struct store *s, int64_t id, int64_t said, struct err *err) MUST_CHECK;
/* The form in which codes are stored: upper case, 0 and 1 read as O and I are not in the alphabet. */
bool ask_code_valid(const char *text);

/* ---- requests seen (docs/promises.md#s11) */

struct seen_new {
    const char *hash; /* of its signature */
    int64_t at_ms, forget_ms;
};
/* *ret_new false: this signature came before. Forgets those from before `forget_ms`. */
bool seen_add(struct store *s, const struct seen_new *seen, bool *ret_new, struct err *err) MUST_CHECK;

/* ---- the queue for the lock: first come, first served */

struct waiter {
    int64_t id, joined_ms, lapse_ms; /* lapse_ms: how long an offered lock is kept for it */
    int64_t offered_ms;              /* since when it is its turn, 0 = not yet */
    enum via via;
    const char *env, *who, *person, *place;
};
/* From p->joined_ms, which is now. *ret_ahead: how many wait before it. ok when it stands there already. */
bool queue_join(struct store *s, const struct waiter *p, size_t *ret_ahead, struct err *err) MUST_CHECK;
/* Somebody at the queue of an environment. */
struct turn {
    const char *env, *who;
    int64_t now_ms;
};
/* *ret_was false: it did not stand there. */
bool queue_leave(struct store *s, const struct turn *turn, bool *ret_was, struct err *err) MUST_CHECK;
/* As queue_join, but to the head of the queue, with the turn: the others keep their places behind it.
 * *ret_over: whose turn it was, NULL when nobody's or its own; in `arena`. */
bool queue_take_turn(struct store *s, const struct waiter *p, struct arena *arena, const char **ret_over,
                     struct err *err) MUST_CHECK;
bool queue_list(struct reader r, const char *env, struct waiter **ret, size_t *ret_n,
                struct err *err) MUST_CHECK;
/* Brings turns up to date: a free lock is offered to the first, a place that was not taken in time lapses.
 * Writes notices `turn` and `lapsed`. lock_take does it in its own transaction, so the answer does not hang
 * on a server. */
bool queue_settle(struct store *s, const char *env, int64_t now_ms, struct err *err) MUST_CHECK;
/* The same person: "slack:ann" and "ann" on the command line are. */
bool queue_same(const char *a, const char *b);
const char *person_bare(const char *who); /* "ann" of "slack:ann" */

/* ---- what is said */

/* One message of a release in a room, kept up to date. */
struct message {
    const char *place, *ts, *digest; /* digest: of what it shows */
    bool done;
};
bool message_get(struct reader r, const char *sink, int64_t release, struct message **ret,
                 struct err *err) MUST_CHECK;
bool message_put(struct store *s, const char *sink, int64_t release, const struct message *m,
                 struct err *err) MUST_CHECK;
bool message_open(struct reader r, const char *sink, int64_t **ret, size_t *ret_n,
                  struct err *err) MUST_CHECK;

/* Things that rooms shall hear of and that no other table has. */
struct notice {
    int64_t id, at_ms, ask;
    enum notice_kind event;
    enum via via;
    const char *env, *who, *person, *text;
};
bool notice_add(struct store *s, const struct notice *n, struct err *err) MUST_CHECK;
bool notice_after(struct reader r, const struct since *since, struct notice **ret, size_t *ret_n,
                  struct err *err) MUST_CHECK;

struct lock_event {
    int64_t id, at_ms, fence, over_fence, release;
    enum lock_event_kind event;
    const char *env, *who, *why;
    bool by_hand;
};
bool lock_events_after(struct reader r, const struct since *since, struct lock_event **ret, size_t *ret_n,
                       struct err *err) MUST_CHECK;
/* Orders and the notes about a release as a whole: as journal_read, without facts. */
bool journal_told(struct reader r, const struct since *since, struct row **ret, size_t *ret_n,
                  struct err *err) MUST_CHECK;
/* Where these three end now: for an observer that begins today. */
bool chat_ends(struct store *s, int64_t *ret_notice, int64_t *ret_lock, struct err *err) MUST_CHECK;

#endif
