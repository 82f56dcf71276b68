/* SPDX-License-Identifier: MIT */
/* The lock in people's hands, and the queue for it: quick, so done here, each in one transaction of the
 * store, and written down as an order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "chat/commands.h"
#include "chat/sentences.h"
#include "state/orders.h"

static void write_order(const struct visit *v, struct store *writer, const struct chat_words *w, bool ok,
                        const char *text)
{
    json_t *list = json_pack("[s, s, s]", chat_verb_name(w->verb), w->env,
                             w->reason   ? w->reason
                             : w->person ? w->person
                                         : "");
    char *argv = list ? json_dumps(list, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    struct order_new o = {.env = w->env,
                          .verb = chat_wish(w->verb),
                          .who = v->asker.who,
                          .via = v->asker.via,
                          .place = v->asker.place,
                          .argv = argv ? arena_strdup(v->arena, argv) : "[]",
                          .at_ms = clock_wall_ms()};
    struct err err;
    int64_t id;
    if (!order_insert(writer, &o, &id, &err) ||
        !order_end(writer,
                   &(struct order_end_new){
                       .order = id, .exit_status = ok ? 0 : EXIT_LOCKED, .text = text, .at_ms = o.at_ms},
                   &err))
        serve_log("chat: an order of %s cannot be written down: %s", v->asker.who, err.text);
    json_decref(list);
    free(argv);
}

static bool do_lock(const struct visit *v, struct store *writer, const struct chat_words *w, struct said *out,
                    struct err *err)
{
    struct lock_info lock;
    struct lock_request req = {
        .env = w->env, .who = v->asker.who, .why = w->reason, .by_hand = true, .in_turn = true};
    if (!lock_take(writer, &req, v->arena, &lock, err))
        return false;
    say_text(out, "%s is locked by ", w->env);
    say_quote(out, v->asker.who);
    say_text(out, ": ");
    say_quote(out, w->reason);
    return true;
}

static bool do_unlock(const struct visit *v, struct store *writer, const struct chat_words *w,
                      struct said *out, struct err *err)
{
    struct lock_info lock;
    if (!lock_get(reader(writer, v->arena), w->env, &lock, err))
        return false;
    if (!lock.held)
        return err_set(err, E_STATE, "%s is not locked", w->env);
    if (lock.holder != HOLDER_BY_HAND)
        return err_set(err, E_LOCKED, "%s is %s; a release gives its lock back by itself", w->env,
                       lock_text(&lock, v->arena));
    if (!queue_same(lock.who, v->asker.who))
        return err_set(err, E_LOCKED, "%s is %s; 'take %s REASON' takes it over", w->env,
                       lock_text(&lock, v->arena), w->env);
    if (!lock_free(
            writer,
            &(struct lock_end){.env = w->env, .fence = lock.fence, .who = v->asker.who, .why = "by hand"},
            err) ||
        !queue_settle(writer, w->env, clock_wall_ms(), err))
        return false;
    say_text(out, "%s is free", w->env);
    return true;
}

static struct waiter place_of(const struct visit *v, const struct chat_words *w)
{
    return (struct waiter){.env = w->env,
                           .who = v->asker.who,
                           .person = v->asker.person,
                           .via = v->asker.via,
                           .place = v->asker.place,
                           .joined_ms = clock_wall_ms(),
                           .lapse_ms = v->config->queue_lapse_ms};
}

/* A lock by hand passes over; a free lock that is somebody else's turn becomes ours first. */
static bool do_take(const struct visit *v, struct store *writer, const struct chat_words *w, struct said *out,
                    struct err *err)
{
    struct lock_info lock;
    struct waiter mine = place_of(v, w);
    const char *over = NULL;
    if (!lock_get(reader(writer, v->arena), w->env, &lock, err))
        return false;
    if (lock.held) {
        const char *from = lock.who;
        if (!lock_pass(writer, &(struct lock_handover){.env = w->env, .to = v->asker.who, .why = w->reason},
                       v->arena, &lock, err))
            return false;
        over = from;
    } else if (!queue_take_turn(writer, &mine, v->arena, &over, err))
        return false;
    say_quote(out, v->asker.who);
    say_text(out, lock.held ? " has the lock of %s" : " has the turn of %s", w->env);
    if (over) {
        say_text(out, ", over ");
        say_quote(out, over);
    }
    say_text(out, ": ");
    say_quote(out, w->reason);
    return true;
}

static bool do_hand(const struct visit *v, struct store *writer, const struct chat_words *w, struct said *out,
                    struct err *err)
{
    struct lock_info lock;
    const char *to = arena_printf(v->arena, "%s:%s", via_name(v->asker.via), w->person_name);
    if (!lock_get(reader(writer, v->arena), w->env, &lock, err))
        return false;
    const char *why = arena_printf(v->arena, "handed over by %s: %s", v->asker.who, lock.why);
    if (!lock_pass(writer, &(struct lock_handover){.env = w->env, .from = v->asker.who, .to = to, .why = why},
                   v->arena, &lock, err))
        return false;
    say_text(out, "%s is held by ", w->env);
    say_quote(out, to);
    say_text(out, " now");
    return true;
}

static bool do_queue(const struct visit *v, struct store *writer, const struct chat_words *w,
                     struct said *out, struct err *err)
{
    struct waiter mine = place_of(v, w);
    size_t ahead;
    if (!queue_join(writer, &mine, &ahead, err))
        return false;
    if (ahead == 0)
        say_text(out, "%s: you are next", w->env);
    else
        say_text(out, "%s: %zu before you", w->env, ahead);
    say_text(out, "; ");
    return tell_queue(out, reader(writer, v->arena), w->env, err);
}

static bool do_leave(const struct visit *v, struct store *writer, const struct chat_words *w,
                     struct said *out, struct err *err)
{
    bool was;
    if (!queue_leave(writer, &(struct turn){.env = w->env, .who = v->asker.who, .now_ms = clock_wall_ms()},
                     &was, err))
        return false;
    say_text(out, was ? "%s: you left the queue" : "%s: you did not stand in the queue", w->env);
    return true;
}

typedef bool (*by_hand_fn)(const struct visit *, struct store *, const struct chat_words *, struct said *,
                           struct err *);

static by_hand_fn act_of(enum chat_verb verb)
{
    switch ((int)verb) {
    case CHAT_LOCK: return do_lock;
    case CHAT_UNLOCK: return do_unlock;
    case CHAT_TAKE: return do_take;
    case CHAT_HAND: return do_hand;
    case CHAT_QUEUE: return do_queue;
    default: return do_leave;
    }
}

void command_of_lock(const struct visit *v, const struct chat_words *w, struct said *out)
{
    struct consent consent;
    struct err err;
    if (!consent_of(serve_root(v->serve), w->env, &consent, &err)) {
        say_quote(out, err.text);
        return;
    }
    struct store *writer = serve_writer(v->serve, &err);
    bool ok = writer && act_of(w->verb)(v, writer, w, out, &err);
    if (writer) {
        write_order(v, writer, w, ok, ok ? "" : err.text);
        serve_writer_done(v->serve);
    }
    if (ok) {
        out->in_channel = true;
        waits_changed(v->serve, w->env);
        return;
    }
    buf_reset(&out->text);
    say_quote(out, err.text);
}
