/* SPDX-License-Identifier: MIT */
/* The lock of an environment: one unique row, a history that only grows, and fences that only rise.
 *
 * There is no expiry (docs/promises.md#lock): a lock whose holder died stays until resume or rollback takes
 * it over, or a person forces it. Whether the holder lives is judged by host, boot and the start time of its
 * process, so a reused pid is not the holder. When it cannot be told (another host), nobody takes over: a
 * person must.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/str.h"
#include "state/chat.h"
#include "state/process.h"
#include "state/store_priv.h"

/* A fence given from outside must leave room for all that come after it. */
#define FENCE_MOST (INT64_MAX / 2)

static enum holder holder_of(const struct lock_info *l, bool by_hand)
{
    char host[256], boot[64];
    if (by_hand)
        return HOLDER_BY_HAND;
    process_host(host, sizeof(host));
    if (strcmp(l->host, host) != 0)
        return HOLDER_ELSEWHERE;
    process_boot(boot, sizeof(boot));
    if (strcmp(l->boot_id, boot) != 0)
        return HOLDER_DEAD; /* this host was started anew since */
    return process_lives(l->pid, l->pid_start) ? HOLDER_ALIVE : HOLDER_DEAD;
}

/* ---- rows */

bool lock_get(struct reader r, const char *env, struct lock_info *ret, struct err *err)
{
    struct env_key key;
    auto_query struct query q = {0};
    if (!env_resolve(r, env, &key, err) ||
        !query_open(&q, r.store, SQL(LOCK_GET, arg_text(key.env), arg_text(key.app)), err))
        return false;
    struct lock_info l = {
        .env = arena_strdup(r.arena, env), .app = key.app, .who = "", .why = "", .host = "", .boot_id = ""};
    if (query_next(&q, err)) {
        l.held = true;
        l.fence = query_int(&q, 1);
        l.release = query_int(&q, 2);
        l.since_ms = query_int(&q, 3);
        l.who = query_text(&q, 4, r.arena);
        l.why = query_text(&q, 5, r.arena);
        l.host = query_text(&q, 6, r.arena);
        l.boot_id = query_text(&q, 7, r.arena);
        l.pid = query_int(&q, 8);
        l.pid_start = query_int(&q, 9);
        l.holder = holder_of(&l, query_int(&q, 10) != 0);
    }
    if (q.failed)
        return false;
    *ret = l;
    return true;
}

bool lock_fence_last(struct store *s, int64_t *ret, struct err *err)
{
    auto_query struct query q;
    if (!query_open(&q, s, SQL(LOCK_FENCE), err) || !query_next(&q, err))
        return false;
    *ret = query_int(&q, 0);
    return true;
}

/* who and why are the actor's, which after a `force` is not the holder. */
static bool history_add(struct store *s, enum lock_event_kind event, const struct lock_info *l,
                        int64_t over_fence, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct env_key key;
    return env_resolve(reader(s, &arena), l->env, &key, err) &&
           sql_run(s,
                   SQL(LOCK_HISTORY, arg_int(clock_wall_ms()), arg_text(key.env),
                       arg_text(lock_event_name(event)), arg_int(l->fence), arg_int(over_fence),
                       arg_int(l->release), arg_text(l->who), arg_text(l->why), arg_text(l->host),
                       arg_text(l->boot_id), arg_int(l->pid), arg_int(l->pid_start), arg_text(key.app)),
                   err);
}

/* What is written of whoever acts now: this process, on this host, in this boot. */
static struct lock_info actor(const char *env, const char *who, const char *why, struct arena *arena)
{
    char host[256], boot[64], state;
    process_host(host, sizeof(host));
    process_boot(boot, sizeof(boot));
    struct lock_info l = {
        .env = arena_strdup(arena, env),
        .who = arena_strdup(arena, who ? who : ""),
        .why = arena_strdup(arena, why ? why : ""),
        .host = arena_strdup(arena, host),
        .boot_id = arena_strdup(arena, boot),
        .pid = getpid(),
        .since_ms = clock_wall_ms(),
    };
    if (!process_started(l.pid, &l.pid_start, &state))
        l.pid_start = 0;
    return l;
}

/* ---- taking */

static const char *next_step(const struct lock_info *l, struct arena *arena)
{
    switch (l->holder) {
    case HOLDER_ALIVE:
        return arena_printf(arena, "wait for it ('release status %s --watch' shows it)", l->env);
    case HOLDER_DEAD:
        return arena_printf(arena, "'release resume %s' goes on from there, 'release rollback %s' goes back",
                            l->env, l->env);
    case HOLDER_ELSEWHERE:
        return arena_printf(arena,
                            "look on %s first; when nothing of it runs there, 'release unlock %s --force "
                            "--reason TEXT' frees it",
                            l->host, l->env);
    case HOLDER_BY_HAND: return arena_printf(arena, "'release unlock %s' frees it", l->env);
    }
    return "";
}

static bool refuse_held(const struct lock_info *l, struct arena *arena, struct err *err)
{
    return err_set(err, E_LOCKED, "%s is locked, nothing was touched: %s; %s", l->env, lock_text(l, arena),
                   next_step(l, arena));
}

/* *io: what is held now, or a free lock; then what was granted. */
static bool grant(struct reader r, const struct lock_request *req, struct lock_info *io, struct err *err)
{
    struct store *s = r.store;
    const struct lock_info over = *io;
    struct lock_info l = actor(req->env, req->who, req->why, r.arena);
    struct env_key key;
    if (!env_resolve(r, req->env, &key, err) || !lock_fence_last(s, &l.fence, err))
        return false;
    l.app = key.app;
    l.fence++;
    l.held = true;
    l.release = req->release;
    l.holder = req->by_hand ? HOLDER_BY_HAND : HOLDER_ALIVE;
    if (over.held && !sql_run(s, SQL(LOCK_DELETE, arg_text(key.env), arg_int(over.fence)), err))
        return false;
    *io = l;
    return sql_run(s,
                   SQL(LOCK_INSERT, arg_text(key.env), arg_int(l.fence), arg_int(l.release),
                       arg_int(l.since_ms), arg_text(l.who), arg_text(l.why), arg_text(l.host),
                       arg_text(l.boot_id), arg_int(l.pid), arg_int(l.pid_start), arg_int(req->by_hand),
                       arg_text(key.app)),
                   err) &&
           history_add(s, over.held ? LOCK_EVENT_TAKE_OVER : LOCK_EVENT_TAKE, &l, over.held ? over.fence : 0,
                       err) &&
           queue_served(s, &(struct turn){.env = l.env, .who = l.who, .now_ms = l.since_ms}, err);
}

/* A free lock that is kept for the first of the queue. What the look brought up to date stays, else no turn
 * would ever end. */
static bool refuse_turn(struct tx *tx, const struct waiter *other, struct err *err)
{
    char until[CLOCK_TEXT_MAX];
    if (!tx_close(tx, true, err))
        return false;
    clock_text(other->offered_ms + other->lapse_ms, until, sizeof(until));
    return err_set(
        err, E_LOCKED,
        "%s is free, but it is the turn of %s until %s, nothing was touched; wait, line up in the queue, "
        "or take it over",
        other->env, other->who, until);
}

bool lock_take(struct store *s, const struct lock_request *req, struct arena *arena, struct lock_info *ret,
               struct err *err)
{
    must(!s->in_tx);
    struct tx tx;
    struct lock_info lock = {0};
    const struct waiter *other = NULL;
    if (!tx_open(&tx, s, err))
        return false;
    const struct turn turn = {.env = req->env, .who = req->who, .now_ms = clock_wall_ms()};
    bool ok = lock_get(reader(s, arena), req->env, &lock, err) &&
              (!req->in_turn || lock.held || queue_turn(reader(s, arena), &turn, &other, err));
    if (ok && other) {
        *ret = lock;
        return refuse_turn(&tx, other, err);
    }
    if (ok && lock.held && !(req->take_over && lock.holder == HOLDER_DEAD)) {
        store_rollback(s);
        *ret = lock;
        return refuse_held(&lock, arena, err);
    }
    ok = ok && grant(reader(s, arena), req, &lock, err);
    if (!tx_close(&tx, ok, err))
        return false;
    *ret = lock;
    return true;
}

bool lock_pass(struct store *s, const struct lock_handover *over, struct arena *arena, struct lock_info *ret,
               struct err *err)
{
    must(!s->in_tx);
    struct tx tx;
    struct lock_info lock = {0};
    const struct lock_request req = {.env = over->env, .who = over->to, .why = over->why, .by_hand = true};
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = lock_get(reader(s, arena), over->env, &lock, err);
    bool theirs = !over->from || (lock.held && queue_same(lock.who, over->from));
    if (ok && ((lock.held && lock.holder != HOLDER_BY_HAND) || !theirs)) {
        store_rollback(s);
        *ret = lock;
        return lock.held
                   ? refuse_held(&lock, arena, err)
                   : err_set(err, E_STATE, "%s is not locked: there is nothing to hand over", over->env);
    }
    ok = ok && grant(reader(s, arena), &req, &lock, err);
    if (!tx_close(&tx, ok, err))
        return false;
    *ret = lock;
    return true;
}

bool lock_bind(struct store *s, const char *env, int64_t fence, int64_t release, struct err *err)
{
    struct tx tx;
    auto_arena struct arena arena = {0};
    if (!tx_open(&tx, s, err))
        return false;
    struct lock_info l = actor(env, "", "", &arena);
    l.fence = fence;
    l.release = release;
    bool ok = sql_run(s, SQL(LOCK_BIND, arg_text(env_bare(env)), arg_int(fence), arg_int(release)), err);
    if (ok && sql_changed(s) != 1)
        ok =
            err_set(err, E_LOCKED,
                    "%s: the lock was taken away meanwhile (our grant was %" PRId64 "); nothing was touched; "
                    "'release status %s' shows by whom",
                    env, fence, env);
    ok = ok && history_add(s, LOCK_EVENT_BIND, &l, 0, err);
    return tx_close(&tx, ok, err);
}

/* ---- giving back */

bool lock_free(struct store *s, const struct lock_end *end, struct err *err)
{
    struct tx tx;
    auto_arena struct arena arena = {0};
    if (!tx_open(&tx, s, err))
        return false;
    struct lock_info l = actor(end->env, end->who, end->why, &arena);
    l.fence = end->fence;
    bool ok = sql_run(s, SQL(LOCK_DELETE, arg_text(env_bare(end->env)), arg_int(end->fence)), err);
    if (ok && sql_changed(s) == 1)
        ok = history_add(s, LOCK_EVENT_FREE, &l, end->fence, err);
    return tx_close(&tx, ok, err);
}

static bool force_inside(struct store *s, struct lock_info *l, int64_t fence_above, struct arena *arena,
                         struct err *err)
{
    struct lock_info held;
    if (!lock_get(reader(s, arena), l->env, &held, err) || !lock_fence_last(s, &l->fence, err))
        return false;
    l->release = held.release;
    l->fence++;
    if (l->fence < fence_above)
        l->fence = fence_above;
    return (!held.held ||
            sql_run(s, SQL(LOCK_DELETE, arg_text(env_bare(l->env)), arg_int(held.fence)), err)) &&
           history_add(s, LOCK_EVENT_FORCE, l,
                       fence_above > 0 ? -fence_above
                       : held.held     ? held.fence
                                       : 0,
                       err);
}

bool lock_force(struct store *s, const struct lock_end *end, struct err *err)
{
    struct tx tx;
    auto_arena struct arena arena = {0};
    if (end->fence > FENCE_MOST)
        return err_set(err, E_JOURNAL,
                       "%s: fence %" PRId64 " is no number that release gives (at most %" PRId64
                       "); a node's fence file is damaged",
                       end->env, end->fence, FENCE_MOST);
    if (!tx_open(&tx, s, err))
        return false;
    struct lock_info l = actor(end->env, end->who, end->why, &arena);
    return tx_close(&tx, force_inside(s, &l, end->fence, &arena, err), err);
}

bool lock_forced(struct store *s, const char *env, int64_t *ret, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct env_key key;
    auto_query struct query q = {0};
    *ret = 0;
    if (!env_resolve(reader(s, &arena), env, &key, err) ||
        !query_open(&q, s, SQL(LOCK_FORCED, arg_text(key.env), arg_text(key.app)), err))
        return false;
    if (query_next(&q, err))
        *ret = query_int(&q, 0);
    return !q.failed; /* nothing was ever forced in a journal that is not there */
}

/* ---- text */

static const char *since_text(int64_t since_ms, struct arena *arena)
{
    char since[CLOCK_TEXT_MAX], now[CLOCK_TEXT_MAX];
    clock_text(since_ms, since, sizeof(since));
    clock_text(clock_wall_ms(), now, sizeof(now));
    /* "2026-11-20 09:13:59": of today the time is enough */
    bool today = strlen(since) == 19 && strncmp(since, now, 11) == 0;
    return arena_strdup(arena, today ? since + 11 : since);
}

static const char *holder_text(const struct lock_info *l, struct arena *arena)
{
    const char *what = l->release ? arena_printf(arena, "release %" PRId64 ", ", l->release) : "";
    switch (l->holder) {
    case HOLDER_ALIVE: return arena_printf(arena, "%spid %" PRId64 " alive", what, l->pid);
    case HOLDER_DEAD: return arena_printf(arena, "%sits process %" PRId64 " is gone", what, l->pid);
    case HOLDER_ELSEWHERE: return arena_printf(arena, "%son another host, cannot tell if it is alive", what);
    case HOLDER_BY_HAND: return "held by hand";
    }
    return "";
}

/* People's words in one line that no terminal obeys. */
static void put_visible(struct buf *out, const char *words)
{
    size_t from = out->len;
    text_visible(out, words, strlen(words));
    for (size_t i = from; i < out->len; i++)
        if (out->data[i] == '\n' || out->data[i] == '\t')
            out->data[i] = ' ';
}

char *lock_text(const struct lock_info *l, struct arena *arena)
{
    if (!l->held)
        return arena_strdup(arena, "not held");
    auto_buf struct buf text = BUF_INIT(2000);
    buf_puts(&text, "held by ");
    put_visible(&text, l->who[0] ? l->who : "somebody");
    buf_puts(&text, "@");
    put_visible(&text, l->host);
    buf_printf(&text, " since %s (%s)", since_text(l->since_ms, arena), holder_text(l, arena));
    if (l->why[0]) {
        buf_puts(&text, ": ");
        put_visible(&text, l->why);
    }
    return arena_strdup(arena, buf_str(&text));
}
