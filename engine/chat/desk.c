#include "chat/desk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "chat/tell.h"
#include "state/orders.h"

/* A sentence that says why not: it may quote people and nodes. */
static void sorry(struct said *out, const struct err *err)
{
    say_quote(out, err->text);
}

static int64_t now_ms(void)
{
    return clock_wall_ms();
}

/* ---- what changes servers */

/* Said at once, before any child is started: somebody has the lock, or the turn. */
static bool stands_in_the_way(const struct visit *v, const struct words *w, struct said *out)
{
    struct lock_info lock;
    struct waiter *places;
    struct err err;
    size_t n;
    if (!lock_get(v->store, w->env, v->arena, &lock, &err) ||
        !queue_list(v->store, w->env, v->arena, &places, &n, &err)) {
        sorry(out, &err);
        return true;
    }
    bool takes_over = w->verb != CHAT_RUN && lock.holder == HOLDER_DEAD;
    if (lock.held && !takes_over && lock.holder != HOLDER_DEAD) {
        say_text(out, "%s is ", w->env);
        say_quote(out, lock_text(&lock, v->arena));
        say_text(out, "; nothing was touched. `queue %s` lines you up", w->env);
        return true;
    }
    bool theirs = n > 0 && places[0].offered_ms > 0 && !queue_same(places[0].who, v->asker.who) &&
                  now_ms() < places[0].offered_ms + places[0].lapse_ms;
    if (w->verb != CHAT_RUN || !theirs)
        return false;
    say_text(out, "%s is free, but it is the turn of ", w->env);
    say_quote(out, places[0].who);
    say_text(out,
             " until %s; nothing was touched. `queue %s` lines you up, `take %s REASON` takes the turn over",
             tell_time(places[0].offered_ms + places[0].lapse_ms, v->arena), w->env, w->env);
    return true;
}

static struct order_wish wish_of(const struct visit *v, const struct words *w)
{
    return (struct order_wish){.verb = chat_verb_name(w->verb),
                               .env = w->env,
                               .rev = w->rev,
                               .plan = w->plan,
                               .stages = w->stages,
                               .window = w->window,
                               .only = w->only,
                               .release = w->release,
                               .who = v->asker.who,
                               .via = v->asker.via,
                               .place = v->asker.place};
}

/* What a rollback or a resume is about: the journal knows without asking anybody. */
static bool say_subject(const struct visit *v, const struct words *w, struct said *out, struct err *err)
{
    struct release_info *r = NULL, *list;
    size_t n = 0;
    bool ok = w->release ? release_get(v->store, w->release, v->arena, &r, err)
                         : release_unfinished(v->store, w->env, v->arena, &r, err);
    if (ok && !r && w->verb == CHAT_ROLLBACK && !w->release &&
        release_list(v->store, w->env, 1, 0, v->arena, &list, &n, err) && n)
        r = &list[0];
    if (!ok)
        return false;
    if (!r || strcmp(r->env, w->env) != 0)
        return err_set(err, E_NOTFOUND,
                       w->verb == CHAT_RESUME ? "%s has no unfinished release" : "%s has no such release",
                       w->env);
    say_text(out, w->verb == CHAT_RESUME ? "Go on with " : "Go back before ");
    tell_release(out, r);
    say_text(out, " (");
    tell_end(out, r);
    say_text(out, ")?");
    return true;
}

static void ask_first(const struct visit *v, const struct words *w, const struct order_wish *wish,
                      struct said *out)
{
    char code[ASK_CODE_LEN + 1];
    struct err err;
    if (w->verb == CHAT_RUN) {
        if (!ask_look(v->serve, wish, &v->asker, &err)) {
            sorry(out, &err);
            return;
        }
        say_text(out, "Looking at what ");
        say_quote(out, w->rev);
        say_text(out, " would do to %s; the question follows", w->env);
        return;
    }
    if (!say_subject(v, w, out, &err) || !ask_open(v->serve, wish, &v->asker, "confirm", code, &err)) {
        buf_reset(&out->text);
        sorry(out, &err);
        return;
    }
    const char *kept = arena_strdup(v->arena, code);
    say_text(out, "\n`confirm %s` within 5 minutes does it, `cancel %s` does not", kept, kept);
    say_button(out, w->verb == CHAT_RESUME ? "Resume" : "Roll back", "confirm", kept);
    say_button(out, "Cancel", "cancel", kept);
}

static void change(const struct visit *v, const struct words *w, struct said *out)
{
    struct order_wish wish = wish_of(v, w);
    struct consent consent;
    struct err err;
    int64_t order;
    if (!consent_of(serve_root(v->serve), w->env, &consent, &err)) {
        sorry(out, &err);
        return;
    }
    if (stands_in_the_way(v, w, out))
        return;
    if (consent.confirm) {
        ask_first(v, w, &wish, out);
        return;
    }
    if (!ask_go(v->serve, &wish, &v->asker, &order, &err)) {
        sorry(out, &err);
        return;
    }
    say_text(out, "%s of %s is under way (order %" PRId64 ")", wish.verb, w->env, order);
    out->in_channel = true;
}

static void plan(const struct visit *v, const struct words *w, struct said *out)
{
    struct order_wish wish = wish_of(v, w);
    struct consent consent;
    struct err err;
    if (!consent_of(serve_root(v->serve), w->env, &consent, &err) ||
        !ask_look(v->serve, &wish, &v->asker, &err)) {
        sorry(out, &err);
        return;
    }
    say_text(out, "Looking at what ");
    say_quote(out, w->rev);
    say_text(out, " would do to %s; nothing is touched", w->env);
}

static void signal_holder(const struct visit *v, const struct words *w, struct said *out)
{
    struct order_wish wish = wish_of(v, w);
    struct err err;
    int64_t order;
    if (!serve_order(v->serve, &wish, &order, &err)) {
        sorry(out, &err);
        return;
    }
    say_text(out,
             w->verb == CHAT_PAUSE
                 ? "%s: finishing the nodes that are out, starting no other; `resume %s` goes on"
                 : "%s: stopping now; `resume %s` goes on, `rollback` goes back",
             w->env, w->env);
    out->in_channel = true;
}

/* ---- the lock by hand: quick, so done here in one transaction of the store, and written down as an order */

static void write_order(const struct visit *v, struct store *writer, const struct words *w, bool ok,
                        const char *text)
{
    json_t *list = json_pack("[s, s, s]", chat_verb_name(w->verb), w->env,
                             w->reason   ? w->reason
                             : w->person ? w->person
                                         : "");
    char *argv = list ? json_dumps(list, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    struct order_new o = {.env = w->env,
                          .verb = chat_verb_name(w->verb),
                          .who = v->asker.who,
                          .via = v->asker.via,
                          .place = v->asker.place,
                          .argv = argv ? arena_strdup(v->arena, argv) : "[]",
                          .at_ms = now_ms()};
    struct err err;
    int64_t id;
    if (!order_insert(writer, &o, &id, &err) ||
        !order_end(writer, id, ok ? 0 : EXIT_LOCKED, text, o.at_ms, &err))
        serve_log("chat: an order of %s cannot be written down: %s", v->asker.who, err.text);
    json_decref(list);
    free(argv);
}

static bool do_lock(const struct visit *v, struct store *writer, const struct words *w, struct said *out,
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

static bool do_unlock(const struct visit *v, struct store *writer, const struct words *w, struct said *out,
                      struct err *err)
{
    struct lock_info lock;
    if (!lock_get(writer, w->env, v->arena, &lock, err))
        return false;
    if (!lock.held)
        return err_set(err, E_STATE, "%s is not locked", w->env);
    if (lock.holder != HOLDER_BY_HAND)
        return err_set(err, E_LOCKED, "%s is %s; a release gives its lock back by itself", w->env,
                       lock_text(&lock, v->arena));
    if (!queue_same(lock.who, v->asker.who))
        return err_set(err, E_LOCKED, "%s is %s; 'take %s REASON' takes it over", w->env,
                       lock_text(&lock, v->arena), w->env);
    if (!lock_free(writer, w->env, lock.fence, v->asker.who, "by hand", err) ||
        !queue_settle(writer, w->env, now_ms(), err))
        return false;
    say_text(out, "%s is free", w->env);
    return true;
}

static struct waiter place_of(const struct visit *v, const struct words *w)
{
    return (struct waiter){.env = w->env,
                           .who = v->asker.who,
                           .person = v->asker.person,
                           .via = v->asker.via,
                           .place = v->asker.place,
                           .lapse_ms = v->config->queue_lapse_ms};
}

/* A lock by hand passes over; a free lock that is somebody else's turn becomes ours first. */
static bool do_take(const struct visit *v, struct store *writer, const struct words *w, struct said *out,
                    struct err *err)
{
    struct lock_info lock;
    struct waiter mine = place_of(v, w);
    const char *over = NULL;
    if (!lock_get(writer, w->env, v->arena, &lock, err))
        return false;
    if (lock.held) {
        const char *from = lock.who;
        if (!lock_pass(writer, w->env, NULL, v->asker.who, w->reason, v->arena, &lock, err))
            return false;
        over = from;
    } else if (!queue_take_turn(writer, &mine, now_ms(), v->arena, &over, err))
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

static bool do_hand(const struct visit *v, struct store *writer, const struct words *w, struct said *out,
                    struct err *err)
{
    struct lock_info lock;
    const char *to = arena_printf(v->arena, "%s:%s", v->asker.via, w->person_name);
    if (!lock_get(writer, w->env, v->arena, &lock, err))
        return false;
    const char *why = arena_printf(v->arena, "handed over by %s: %s", v->asker.who, lock.why);
    if (!lock_pass(writer, w->env, v->asker.who, to, why, v->arena, &lock, err))
        return false;
    say_text(out, "%s is held by ", w->env);
    say_quote(out, to);
    say_text(out, " now");
    return true;
}

static bool do_queue(const struct visit *v, struct store *writer, const struct words *w, struct said *out,
                     struct err *err)
{
    struct waiter mine = place_of(v, w);
    size_t ahead;
    if (!queue_join(writer, &mine, now_ms(), &ahead, err))
        return false;
    if (ahead == 0)
        say_text(out, "%s: you are next", w->env);
    else
        say_text(out, "%s: %zu before you", w->env, ahead);
    say_text(out, "; ");
    return tell_queue(out, writer, w->env, v->arena, err);
}

static bool do_leave(const struct visit *v, struct store *writer, const struct words *w, struct said *out,
                     struct err *err)
{
    bool was;
    if (!queue_leave(writer, w->env, v->asker.who, "left", now_ms(), &was, err))
        return false;
    say_text(out, was ? "%s: you left the queue" : "%s: you did not stand in the queue", w->env);
    return true;
}

/* Pages that look at it ask anew. */
static void publish_queue(struct serve *s, const char *env)
{
    char data[100];
    snprintf(data, sizeof data, "{\"env\":\"%s\"}", env);
    serve_publish(s, "queue", env, 0, data);
}

typedef bool (*by_hand_fn)(const struct visit *, struct store *, const struct words *, struct said *,
                           struct err *);

static void by_hand(const struct visit *v, const struct words *w, by_hand_fn act, struct said *out)
{
    struct consent consent;
    struct err err;
    if (!consent_of(serve_root(v->serve), w->env, &consent, &err)) {
        sorry(out, &err);
        return;
    }
    struct store *writer = serve_writer(v->serve, &err);
    bool ok = writer && act(v, writer, w, out, &err);
    if (writer) {
        write_order(v, writer, w, ok, ok ? "" : err.text);
        serve_writer_done(v->serve);
    }
    if (ok) {
        out->in_channel = true;
        publish_queue(v->serve, w->env);
        return;
    }
    buf_reset(&out->text);
    sorry(out, &err);
}

/* ---- looking */

static bool each_env(const struct visit *v, const struct words *w, struct said *out,
                     bool (*tell)(const struct visit *, const char *, struct said *, struct err *))
{
    const char *const *envs = pillar_envs(serve_root(v->serve), v->arena);
    struct err err;
    size_t shown = 0;
    for (size_t i = 0; envs[i]; i++) {
        if (!chat_allowed(v->config, w->verb, envs[i], &v->sender))
            continue;
        say_text(out, "%s", shown++ ? "\n" : "");
        if (!tell(v, envs[i], out, &err)) {
            sorry(out, &err);
            return false;
        }
    }
    if (shown == 0)
        say_text(out, "there is no environment that you may see here");
    return shown > 0;
}

static bool status_of(const struct visit *v, const char *env, struct said *out, struct err *err)
{
    return tell_status(out, v->store, env, v->arena, err);
}

static bool history_of(const struct visit *v, const char *env, struct said *out, struct err *err)
{
    return tell_history(out, v->store, env, 3, v->arena, err);
}

static bool queue_of(const struct visit *v, const char *env, struct said *out, struct err *err)
{
    say_text(out, "%s: ", env);
    return tell_queue(out, v->store, env, v->arena, err);
}

static bool where_of(const struct visit *v, const char *env, struct said *out, struct err *err)
{
    struct lock_info lock;
    struct release_info *open;
    if (!lock_get(v->store, env, v->arena, &lock, err) ||
        !release_unfinished(v->store, env, v->arena, &open, err))
        return false;
    say_text(out, "%s: ", env);
    if (!chat_allowed(v->config, CHAT_RUN, env, &v->sender))
        say_text(out, "not from here: no rule of serve.yml lets you");
    else if (lock.held)
        say_quote(out, lock_text(&lock, v->arena));
    else if (open)
        say_text(out, "%s %" PRId64 " is unfinished", open->kind, open->id);
    else
        say_text(out, "free: `run REV %s`", env);
    return true;
}

static void look_at(const struct visit *v, const struct words *w, struct said *out)
{
    struct consent consent;
    struct err err;
    bool ok = consent_of(serve_root(v->serve), w->env, &consent, &err);
    if (ok)
        ok = w->verb == CHAT_STATUS ? tell_status(out, v->store, w->env, v->arena, &err)
                                    : tell_history(out, v->store, w->env, 10, v->arena, &err);
    if (!ok)
        sorry(out, &err);
    out->link = arena_printf(v->arena, "%s/env/%s", serve_url(v->serve), w->env);
    out->link_label = w->env;
}

/* ---- answers */

static void answer(const struct visit *v, enum answer what, const char *code, struct said *out)
{
    struct err err;
    struct ask *a = NULL;
    enum chat_verb verb = what == ANSWER_APPROVE  ? CHAT_APPROVE
                          : what == ANSWER_CANCEL ? CHAT_CANCEL
                                                  : CHAT_CONFIRM;
    if (ask_find(v->store, code, v->arena, &a, &err) && a) {
        /* A confirmation needs what the order needs; so does a button. */
        int asked = chat_verb_from_name(a->verb);
        bool may = chat_allowed(v->config, verb, a->env, &v->sender) ||
                   (verb != CHAT_APPROVE && asked >= 0 &&
                    chat_allowed(v->config, (enum chat_verb)asked, a->env, &v->sender));
        if (!may) {
            say_text(out, "you may not %s for %s here; nothing was touched", chat_verb_name(verb), a->env);
            return;
        }
    }
    if (ask_answer(v->serve, v->store, code, what, &v->asker, out, v->arena, &err)) {
        out->in_channel = true;
        return;
    }
    sorry(out, &err);
}

void desk_press(const struct visit *v, const char *action, const char *code, struct said *out)
{
    if (!ask_code_valid(code))
        say_text(out, "that is no button of ours");
    else if (strcmp(action, "confirm") == 0)
        answer(v, ANSWER_CONFIRM, code, out);
    else if (strcmp(action, "cancel") == 0)
        answer(v, ANSWER_CANCEL, code, out);
    else if (strcmp(action, "approve") == 0)
        answer(v, ANSWER_APPROVE, code, out);
    else
        say_text(out, "that is no button of ours");
}

static void help(const struct visit *v, struct said *out)
{
    say_output(out, chat_help(v->arena));
}

static void look_around(const struct visit *v, const struct words *w, struct said *out)
{
    if (w->verb == CHAT_STATUS)
        each_env(v, w, out, status_of);
    else if (w->verb == CHAT_HISTORY)
        each_env(v, w, out, history_of);
    else
        each_env(v, w, out, queue_of);
}

static void serve_words(const struct visit *v, const struct words *w, struct said *out)
{
    switch (w->verb) {
    case CHAT_RUN:
    case CHAT_ROLLBACK:
    case CHAT_RESUME: change(v, w, out); break;
    case CHAT_PLAN: plan(v, w, out); break;
    case CHAT_PAUSE:
    case CHAT_ABORT: signal_holder(v, w, out); break;
    case CHAT_STATUS:
    case CHAT_HISTORY: w->env ? look_at(v, w, out) : look_around(v, w, out); break;
    case CHAT_WHERE: each_env(v, w, out, where_of); break;
    case CHAT_LOCK: by_hand(v, w, do_lock, out); break;
    case CHAT_UNLOCK: by_hand(v, w, do_unlock, out); break;
    case CHAT_TAKE: by_hand(v, w, do_take, out); break;
    case CHAT_HAND: by_hand(v, w, do_hand, out); break;
    case CHAT_QUEUE: w->env ? by_hand(v, w, do_queue, out) : look_around(v, w, out); break;
    case CHAT_LEAVE: by_hand(v, w, do_leave, out); break;
    case CHAT_CONFIRM: answer(v, ANSWER_CONFIRM, w->code, out); break;
    case CHAT_CANCEL: answer(v, ANSWER_CANCEL, w->code, out); break;
    case CHAT_APPROVE: answer(v, ANSWER_APPROVE, w->code, out); break;
    case CHAT_HELP:
    case CHAT_VERB_COUNT: help(v, out); break;
    }
}

void desk_command(const struct visit *v, const char *text, struct said *out)
{
    struct words w;
    struct err err;
    if (!words_read(text, v->arena, &w, &err)) {
        sorry(out, &err);
        return;
    }
    /* What a code belongs to is known only when its ask is read: answer() asks then. */
    if (!w.code && !chat_allowed(v->config, w.verb, w.env, &v->sender)) {
        say_text(out, "you may not %s%s%s here; nothing was touched", chat_verb_name(w.verb),
                 w.env ? " " : "", w.env ? w.env : "");
        return;
    }
    serve_words(v, &w, out);
}
