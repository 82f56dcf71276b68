/* SPDX-License-Identifier: MIT */
/* Orders: what people told the server to do, who and from where, written before it is done; and what became
 * of each (append-only, as the journal). */
#ifndef RELEASE_STATE_ORDERS_H
#define RELEASE_STATE_ORDERS_H

#include "state/store.h"

struct order_new {
    const char *env;
    enum wish verb;
    enum via via;
    const char *who;   /* slack:ann, page:bob, api:ci */
    const char *place; /* where it came from: a peer's address, a channel */
    const char *argv;  /* JSON list of the command's words */
    int64_t at_ms;
};
bool order_insert(struct store *s, const struct order_new *o, int64_t *ret_id, struct err *err) MUST_CHECK;
/* The process that sees the command to its end, on this host and boot. */
bool order_started(struct store *s, int64_t id, int64_t pid, int64_t at_ms, struct err *err) MUST_CHECK;
/* The release that the command works on; the command itself says it, in its transaction. */
bool order_release(struct store *s, int64_t id, int64_t release, int64_t at_ms, struct err *err) MUST_CHECK;
struct order_end_new {
    int64_t order, at_ms;
    int exit_status; /* -1: it ended, and nobody saw how */
    const char *text;
};
bool order_end(struct store *s, const struct order_end_new *e, struct err *err) MUST_CHECK;

struct order_info {
    int64_t id, at_ms, release, pid, pid_start;
    int64_t ended_ms; /* 0 = not ended */
    int exit_status;  /* -1 = not known (yet) */
    enum wish verb;
    enum via via;
    const char *env, *who, *place, *argv, *host, *boot_id, *text;
};
bool order_get(struct reader r, int64_t id, struct order_info **ret,
               struct err *err) MUST_CHECK; /* *ret NULL when there is none */
bool order_list(struct reader r, const struct newest *which, struct order_info **ret, size_t *ret_n,
                struct err *err) MUST_CHECK;
/* The order that a release was started or last continued by; 0 = by hand. */
bool order_of_release(struct store *s, int64_t release, int64_t *ret_id, struct err *err) MUST_CHECK;
/* Which orders changed, by the number of the change. For observers with a cursor. */
struct order_change {
    int64_t id, order;
};
bool order_changes(struct reader r, const struct since *since, struct order_change **ret, size_t *ret_n,
                   struct err *err) MUST_CHECK;
bool order_last_change(struct store *s, int64_t *ret_id, struct err *err) MUST_CHECK;

#endif
