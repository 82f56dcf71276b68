/* SPDX-License-Identifier: MIT */
/* The thread that sees requests from rooms to their last answer (ask_thread.h). */
#include "chat/ask_thread.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "chat/asks.h"
#include "chat/context.h"
#include "chat/outbox.h"
#include "chat/sentences.h"
#include "state/orders.h"

#define TICK_MS    100
#define REPLY_MS   (29 * 60 * 1000) /* Slack takes answers for half an hour */
#define OUTPUT_MAX (32 * 1024)

/* How far the answers of an ask went (ask.said). */
enum { SAID_NOTHING, SAID_QUESTION, SAID_STARTED };

/* ---- answers to an ask */

struct ask_thread {
    struct serve *serve;
    struct store *store;
    struct arena arena; /* of one tick */
};

static void say(struct ask_thread *f, const struct ask *a, struct said *out)
{
    struct chat *chat = chat_of(f->serve);
    bool mm = a->via == VIA_MATTERMOST;
    if (!a->reply_to[0] || clock_wall_ms() - a->made_ms > REPLY_MS)
        return;
    const char *url = arena_printf(&f->arena, "%s/chat/mattermost/action", serve_url(f->serve));
    json_t *message = mm ? mattermost_message(out, url, chat->config.mm_token) : slack_message(out);
    if (message)
        outbox_add(a->reply_to, message);
    json_decref(message);
}

/* Says no more than where to, and what changes with it. */
static bool move(struct ask_thread *f, const struct ask *a, struct ask_step step)
{
    struct err err;
    bool moved = false;
    struct store *w = serve_writer(f->serve, &err);
    step.id = a->id;
    step.from = a->state;
    bool ok = w && ask_move(w, &step, &moved, &err);
    if (w)
        serve_writer_done(f->serve);
    if (!ok)
        serve_log("chat: %s: %s", a->code, err.text);
    if (moved)
        waits_changed(f->serve, a->env);
    return moved;
}

static void said_so_far(struct ask_thread *f, const struct ask *a, int64_t said)
{
    struct err err;
    struct store *w = serve_writer(f->serve, &err);
    if (!w || !ask_said(w, a->id, said, &err))
        serve_log("chat: %s: %s", a->code, err.text);
    if (w)
        serve_writer_done(f->serve);
}

static const char *output_of(struct ask_thread *f, int64_t order)
{
    return serve_order_output(f->serve, order, OUTPUT_MAX, &f->arena);
}

/* ---- plan: a child looked at it */

static void say_failed_look(struct ask_thread *f, const struct ask *a, struct said *out)
{
    say_text(out, "%s of %s is not possible now, nothing was touched:\n", wish_name(a->verb), a->env);
    tell_output(out, output_of(f, a->plan_order), 12);
    say(f, a, out);
}

static void put_question(const struct ask *a, struct said *out)
{
    bool back = a->verb == WISH_ROLLBACK;
    say_text(out, "\n%s? `confirm %s` within 5 minutes does it, `cancel %s` does not",
             back ? "Roll back" : "Release this", a->code, a->code);
    if (back)
        say_button(out, "Roll back", "confirm", a->code, BUTTON_DANGER);
    else
        say_button(out, "Release", "confirm", a->code, BUTTON_PRIMARY);
    say_cancel(out, a->code);
}

static void lapse(struct ask_thread *f, const struct ask *a, const char *what)
{
    auto_said struct said out = SAID_INIT;
    if (!move(f, a, (struct ask_step){.to = ASK_ENDED}))
        return;
    say_text(&out, "%s of %s: %s; nothing was touched", wish_name(a->verb), a->env, what);
    say(f, a, &out);
}

static void ask_the_second(struct ask_thread *f, const struct ask *a, const struct brief *brief)
{
    const struct ask_step step = {
        .rev = brief->rev, .digest = brief->digest, .lapse_ms = clock_wall_ms() + ASK_APPROVE_MS};
    struct err err;
    bool moved = false;
    if (!ask_second(f->serve, a, step, &moved, &err))
        serve_log("chat: %s: %s", a->code, err.text);
}

/* The page has shown a plan: it is that one that the asker confirmed. */
static bool as_shown(struct ask_thread *f, const struct ask *a, const struct brief *brief)
{
    struct order_wish w;
    return wish_load(a, &f->arena, &w) && (!w.digest || strcmp(w.digest, brief->digest) == 0);
}

static void look_ended(struct ask_thread *f, const struct ask *a, const struct order_info *o)
{
    auto_said struct said out = SAID_INIT;
    struct brief brief;
    bool ok = o->exit_status == 0 && tell_brief(&out, output_of(f, o->id), &f->arena, &brief);
    bool only_look = a->verb == WISH_PLAN || (ok && brief.nodes == 0); /* nothing to say yes to */
    if (ok && !only_look && !as_shown(f, a, &brief)) {
        lapse(f, a, "the plan is not what was shown any more");
        return;
    }
    if (ok && !only_look && ask_confirmed(a)) {
        ask_the_second(f, a, &brief);
        return;
    }
    if (ok && !only_look) { /* the question is said when it can be answered */
        move(f, a,
             (struct ask_step){.to = ASK_CONFIRM,
                               .rev = brief.rev,
                               .digest = brief.digest,
                               .lapse_ms = clock_wall_ms() + ASK_CONFIRM_MS});
        return;
    }
    if (!move(f, a, (struct ask_step){.to = ASK_ENDED}))
        return;
    if (ok)
        say(f, a, &out);
    else {
        buf_reset(&out.text);
        say_failed_look(f, a, &out);
    }
}

static void follow_plan(struct ask_thread *f, const struct ask *a)
{
    struct order_info *o = NULL;
    struct err err;
    if (!order_get(reader(f->store, &f->arena), a->plan_order, &o, &err))
        return;
    if (o && o->ended_ms)
        look_ended(f, a, o);
    else if (clock_wall_ms() > a->lapse_ms)
        lapse(f, a, "looking at it took longer than five minutes");
}

/* ---- confirm, approve: people are asked */

static void follow_question(struct ask_thread *f, const struct ask *a)
{
    auto_said struct said out = SAID_INIT;
    struct brief brief;
    bool confirm = a->state == ASK_CONFIRM;
    if (clock_wall_ms() > a->lapse_ms) {
        lapse(f, a, confirm ? "nobody confirmed it in time" : "no second person approved it in time");
        return;
    }
    if (!confirm || a->plan_order == 0 || a->said >= SAID_QUESTION)
        return;
    if (tell_brief(&out, output_of(f, a->plan_order), &f->arena, &brief)) {
        put_question(a, &out);
        say(f, a, &out);
    }
    said_so_far(f, a, SAID_QUESTION);
}

/* ---- going: the order runs */

static struct release_info *release_of(struct ask_thread *f, const struct order_info *o)
{
    struct release_info *r = NULL;
    struct err err;
    if (o->release > 0 && !release_get(reader(f->store, &f->arena), o->release, &r, &err))
        return NULL;
    return r;
}

static void say_started(struct ask_thread *f, const struct ask *a, const struct release_info *r)
{
    auto_said struct said out = SAID_INIT;
    tell_release(&out, r);
    say_text(&out, " has started");
    out.link = arena_printf(&f->arena, "%s/release/%" PRId64, serve_url(f->serve), r->id);
    out.link_label = "watch it";
    out.in_channel = true;
    say(f, a, &out);
    said_so_far(f, a, SAID_STARTED);
}

static void say_ended(struct ask_thread *f, const struct ask *a, const struct order_info *o,
                      const struct release_info *r)
{
    auto_said struct said out = SAID_INIT;
    if (!move(f, a, (struct ask_step){.to = ASK_ENDED}))
        return;
    out.in_channel = true;
    if (r) {
        tell_release(&out, r);
        say_text(&out, ": ");
        tell_end(&out, r);
        say_text(&out, "\n");
        say_quote(&out, r->summary);
        out.link = arena_printf(&f->arena, "%s/release/%" PRId64, serve_url(f->serve), r->id);
        out.link_label = "what happened";
    } else {
        say_text(&out, "%s of %s was not begun:\n", wish_name(a->verb), a->env);
        tell_output(&out, output_of(f, o->id), 6);
    }
    say(f, a, &out);
}

static void follow_order(struct ask_thread *f, const struct ask *a)
{
    struct order_info *o = NULL;
    struct err err;
    if (a->order == 0) { /* the server ended between yes and order: a yes is never used twice */
        if (clock_wall_ms() > a->lapse_ms)
            lapse(f, a, "the order was not begun; ask again");
        return;
    }
    if (!order_get(reader(f->store, &f->arena), a->order, &o, &err) || !o)
        return;
    struct release_info *r = release_of(f, o);
    if (o->ended_ms)
        say_ended(f, a, o, r);
    else if (r && a->said < SAID_STARTED)
        say_started(f, a, r);
}

static void follow_ask(struct ask_thread *f, const struct ask *a)
{
    if (a->state == ASK_PLAN)
        follow_plan(f, a);
    else if (a->state == ASK_GOING)
        follow_order(f, a);
    else
        follow_question(f, a);
}

/* Places lapse and turns begin also when nobody comes: rooms are told by the notices that this writes. */
static void settle_queues(struct ask_thread *f)
{
    struct waiter *places;
    struct err err;
    size_t n;
    if (!queue_list(reader(f->store, &f->arena), NULL, &places, &n, &err) || n == 0)
        return;
    struct store *w = serve_writer(f->serve, &err);
    if (!w)
        return;
    for (size_t i = 0; i < n; i++)
        if ((i == 0 || strcmp(places[i].env, places[i - 1].env) != 0) &&
            !queue_settle(w, places[i].env, clock_wall_ms(), &err))
            serve_log("chat: queue of %s: %s", places[i].env, err.text);
    serve_writer_done(f->serve);
}

static void tick(struct ask_thread *f, bool every_second)
{
    struct ask *asks;
    struct err err;
    size_t n;
    arena_reset(&f->arena);
    if (every_second)
        settle_queues(f);
    if (!ask_list(reader(f->store, &f->arena), NULL, &asks, &n, &err))
        return;
    for (size_t i = 0; i < n; i++)
        follow_ask(f, &asks[i]);
}

void ask_thread_run(struct serve *s, void *arg)
{
    (void)arg;
    struct ask_thread f = {.serve = s, .store = chat_store(s, "what follows")};
    if (!f.store)
        return;
    for (unsigned turn = 0; !serve_wait(s, TICK_MS); turn++)
        tick(&f, turn % (1000 / TICK_MS) == 0);
    arena_fini(&f.arena);
    store_close(f.store);
}
