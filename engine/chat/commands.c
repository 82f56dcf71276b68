/* SPDX-License-Identifier: MIT */
/* What each verb that people type in a room does (commands.h). */
#include "chat/commands.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "chat/sentences.h"
#include "watch/json.h"

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
static bool stands_in_the_way(const struct visit *v, const struct chat_words *w, struct said *out)
{
    struct lock_info lock;
    struct waiter *places;
    struct err err;
    size_t n;
    if (!lock_get(reader(v->store, v->arena), w->env, &lock, &err) ||
        !queue_list(reader(v->store, v->arena), w->env, &places, &n, &err)) {
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

static struct order_wish wish_of(const struct visit *v, const struct chat_words *w)
{
    return (struct order_wish){.verb = chat_wish(w->verb),
                               .env = w->env,
                               .rev = w->rev,
                               .plan = w->plan,
                               .stages = w->stages,
                               .window = w->window,
                               .only = w->only,
                               .exclude = w->exclude,
                               .release = w->release,
                               .to = w->to,
                               .before = w->before,
                               .who = v->asker.who,
                               .via = v->asker.via,
                               .place = v->asker.place};
}

/* Where a rollback goes: by node, out of the frozen plan. */
static void say_targets(const struct visit *v, const struct release_info *r, struct said *out)
{
    const char *json;
    struct plan *plan;
    struct err err;
    if (!release_plan(reader(v->store, v->arena), r->id, &json, &err) || !json ||
        !plan_decode(v->arena, json, &plan, &err))
        return;
    say_text(out, ": nodes go back to ");
    say_quote(out, plan_before_text(plan, v->arena));
}

static void say_chosen(struct said *out, const char *lead, const char *nodes)
{
    if (!nodes)
        return;
    say_text(out, "%s", lead);
    say_quote(out, nodes);
}

/* What was done last is not what would go back. */
static bool say_story(const struct visit *v, const struct chat_words *w, const struct release_info *r,
                      struct said *out, struct err *err)
{
    struct env_state st;
    if (!env_state_brief(v->store, w->env, v->arena, &st, err))
        return false;
    const char *story = st.unfinished ? "" : back_story(&st, r, v->arena);
    if (*story) {
        say_quote(out, story);
        say_text(out, ".\n");
    }
    return true;
}

/* What a rollback or a resume is about: the journal knows without asking anybody. */
static bool say_subject(const struct visit *v, const struct chat_words *w, struct order_wish *wish,
                        struct said *out, struct err *err)
{
    struct release_info *r = NULL;
    if (!ask_subject(v->store, wish, v->arena, &r, err))
        return false;
    if (w->verb != CHAT_RESUME && !say_story(v, w, r, out, err))
        return false;
    say_text(out, w->verb == CHAT_RESUME ? "Go on with " : "Take back ");
    tell_release(out, r);
    say_text(out, " (");
    tell_end(out, r);
    say_text(out, ")");
    if (w->verb != CHAT_RESUME)
        say_targets(v, r, out);
    say_chosen(out, ", only ", w->only);
    say_chosen(out, ", all but ", w->exclude);
    say_text(out, "?");
    return true;
}

static void ask_first(const struct visit *v, const struct chat_words *w, struct order_wish *wish,
                      struct said *out)
{
    char code[ASK_CODE_LEN + 1];
    struct err err;
    if (ask_wants_look(wish)) {
        int64_t look;
        if (!ask_look(v->serve, wish, &v->asker, &look, code, &err)) {
            sorry(out, &err);
            return;
        }
        say_text(out, "Looking at what ");
        if (w->before)
            say_text(out, "going back to before release %" PRId64, w->before);
        else
            say_quote(out, w->to ? w->to : w->rev);
        say_text(out, " would do to %s; the question follows", w->env);
        return;
    }
    if (!say_subject(v, w, wish, out, &err) ||
        !ask_open(v->serve, wish, &v->asker, ASK_CONFIRM, code, &err)) {
        buf_reset(&out->text);
        sorry(out, &err);
        return;
    }
    const char *kept = arena_strdup(v->arena, code);
    say_text(out, "\n`confirm %s` within 5 minutes does it, `cancel %s` does not", kept, kept);
    if (w->verb == CHAT_RESUME)
        say_button(out, "Resume", "confirm", kept, BUTTON_PRIMARY);
    else
        say_button(out, "Roll back", "confirm", kept, BUTTON_DANGER);
    say_cancel(out, kept);
}

static void change(const struct visit *v, const struct chat_words *w, struct said *out)
{
    struct order_wish wish = wish_of(v, w);
    const struct back_way way = {.release = w->release, .to = w->to, .before = w->before};
    struct release_info *named;
    struct consent consent;
    struct err err;
    int64_t order;
    if (!consent_of(serve_root(v->serve), w->env, &consent, &err)) {
        sorry(out, &err);
        return;
    }
    if (stands_in_the_way(v, w, out))
        return;
    if (w->verb == CHAT_ROLLBACK && !back_way_ok(reader(v->store, v->arena), w->env, &way, &named, &err)) {
        sorry(out, &err);
        return;
    }
    if (consent.confirm) {
        ask_first(v, w, &wish, out);
        return;
    }
    if (!ask_go(v->serve, &wish, &v->asker, &order, &err)) {
        sorry(out, &err);
        return;
    }
    say_text(out, "%s of %s is under way (order %" PRId64 ")", wish_name(wish.verb), w->env, order);
    out->in_channel = true;
}

static void plan(const struct visit *v, const struct chat_words *w, struct said *out)
{
    struct order_wish wish = wish_of(v, w);
    char code[ASK_CODE_LEN + 1];
    int64_t look;
    struct consent consent;
    struct err err;
    if (!consent_of(serve_root(v->serve), w->env, &consent, &err) ||
        !ask_look(v->serve, &wish, &v->asker, &look, code, &err)) {
        sorry(out, &err);
        return;
    }
    say_text(out, "Looking at what ");
    say_quote(out, w->rev);
    say_text(out, " would do to %s; nothing is touched", w->env);
}

static void signal_holder(const struct visit *v, const struct chat_words *w, struct said *out)
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

/* ---- looking */

/* Reads the pillar: asked once for each answer. */
static bool live_apart(const struct visit *v)
{
    return serve_apps(v->serve, v->store, v->arena) > 1;
}

static bool each_env(const struct visit *v, const struct chat_words *w, struct said *out,
                     bool (*tell)(const struct visit *, const char *, bool, struct said *, struct err *))
{
    const char *const *envs = pillar_envs(serve_root(v->serve), v->arena);
    bool apart = live_apart(v);
    struct err err;
    size_t shown = 0;
    for (size_t i = 0; envs[i]; i++) {
        if (!chat_allowed(v->config, w->verb, envs[i], &v->sender))
            continue;
        say_text(out, "%s", shown++ ? "\n" : "");
        if (!tell(v, envs[i], apart, out, &err)) {
            sorry(out, &err);
            return false;
        }
    }
    if (shown == 0)
        say_text(out, "there is no environment that you may see here");
    return shown > 0;
}

static bool status_of(const struct visit *v, const char *env, bool apart, struct said *out, struct err *err)
{
    return tell_status(out, reader(v->store, v->arena), env, apart, err);
}

static bool history_of(const struct visit *v, const char *env, bool apart, struct said *out, struct err *err)
{
    (void)apart;
    return tell_history(out, reader(v->store, v->arena), env, 3, err);
}

static bool queue_of(const struct visit *v, const char *env, bool apart, struct said *out, struct err *err)
{
    say_text(out, "%s: ", env_title(v->store, env, apart, v->arena));
    return tell_queue(out, reader(v->store, v->arena), env, err);
}

static bool where_of(const struct visit *v, const char *env, bool apart, struct said *out, struct err *err)
{
    struct lock_info lock;
    struct release_info *open;
    if (!lock_get(reader(v->store, v->arena), env, &lock, err) ||
        !release_unfinished(reader(v->store, v->arena), env, &open, err))
        return false;
    say_text(out, "%s: ", env_title(v->store, env, apart, v->arena));
    if (!chat_allowed(v->config, CHAT_RUN, env, &v->sender))
        say_text(out, "not from here: no rule of serve.yml lets you");
    else if (lock.held)
        say_quote(out, lock_text(&lock, v->arena));
    else if (open)
        say_text(out, "%s %" PRId64 " is unfinished", kind_name(open->kind), open->id);
    else
        say_text(out, "free: `run REV %s`", env);
    return true;
}

static void look_at(const struct visit *v, const struct chat_words *w, struct said *out)
{
    struct consent consent;
    struct err err;
    bool ok = consent_of(serve_root(v->serve), w->env, &consent, &err);
    if (ok)
        ok = w->verb == CHAT_STATUS
                 ? tell_status(out, reader(v->store, v->arena), w->env, live_apart(v), &err)
                 : tell_history(out, reader(v->store, v->arena), w->env, 10, &err);
    if (!ok)
        sorry(out, &err);
    out->link = arena_printf(v->arena, "%s/env/%s", serve_url(v->serve), w->env);
    out->link_label = w->env;
}

/* ---- answers */

static void answer(const struct visit *v, enum ask_reply what, const char *code, struct said *out)
{
    struct err err;
    struct ask *a = NULL;
    enum chat_verb verb = what == ANSWER_APPROVE  ? CHAT_APPROVE
                          : what == ANSWER_CANCEL ? CHAT_CANCEL
                                                  : CHAT_CONFIRM;
    if (ask_find(reader(v->store, v->arena), code, &a, &err) && a) {
        /* A confirmation needs what the order needs; so does a button. */
        int asked = chat_verb_from_name(wish_name(a->verb));
        bool may = chat_allowed(v->config, verb, a->env, &v->sender) ||
                   (verb != CHAT_APPROVE && asked >= 0 &&
                    chat_allowed(v->config, (enum chat_verb)asked, a->env, &v->sender));
        if (!may) {
            say_text(out, "you may not %s for %s here; nothing was touched", chat_verb_name(verb), a->env);
            return;
        }
    }
    const struct ask_answer answer = {.code = code, .reply = what, .who = &v->asker};
    if (ask_answer(v->serve, reader(v->store, v->arena), &answer, out, &err)) {
        out->in_channel = true;
        return;
    }
    sorry(out, &err);
}

void command_pressed(const struct visit *v, const char *action, const char *code, struct said *out)
{
    int verb = ask_code_valid(code) ? chat_verb_from_name(action) : -1;
    switch (verb) {
    case CHAT_CONFIRM: answer(v, ANSWER_CONFIRM, code, out); break;
    case CHAT_CANCEL: answer(v, ANSWER_CANCEL, code, out); break;
    case CHAT_APPROVE: answer(v, ANSWER_APPROVE, code, out); break;
    default: say_text(out, "that is no button of ours");
    }
}

static void help(const struct visit *v, struct said *out)
{
    say_output(out, chat_help(v->arena));
}

static void look_around(const struct visit *v, const struct chat_words *w, struct said *out)
{
    if (w->verb == CHAT_STATUS)
        each_env(v, w, out, status_of);
    else if (w->verb == CHAT_HISTORY)
        each_env(v, w, out, history_of);
    else
        each_env(v, w, out, queue_of);
}

static void serve_words(const struct visit *v, const struct chat_words *w, struct said *out)
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
    case CHAT_LOCK:
    case CHAT_UNLOCK:
    case CHAT_TAKE:
    case CHAT_HAND:
    case CHAT_LEAVE: command_of_lock(v, w, out); break;
    case CHAT_QUEUE: w->env ? command_of_lock(v, w, out) : look_around(v, w, out); break;
    case CHAT_CONFIRM: answer(v, ANSWER_CONFIRM, w->code, out); break;
    case CHAT_CANCEL: answer(v, ANSWER_CANCEL, w->code, out); break;
    case CHAT_APPROVE: answer(v, ANSWER_APPROVE, w->code, out); break;
    case CHAT_HELP:
    case CHAT_VERB_COUNT: help(v, out); break;
    }
}

void command_typed(const struct visit *v, const char *text, struct said *out)
{
    struct chat_words w;
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
