/* SPDX-License-Identifier: MIT */
/* Requests that wait for a yes: confirmations and approvals (asks.h). */
#include "chat/asks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/auto.h"
#include "base/clock.h"
#include "chat/sentences.h"

/* ---- what the environment wants */

static bool unknown_env(const char *root, const char *env, const struct problems *problems, struct err *err)
{
    auto_arena struct arena arena = {0};
    const char *const *envs = pillar_envs(root, &arena);
    bool there = false;
    auto_buf struct buf list = BUF_INIT(400);
    for (size_t i = 0; envs[i]; i++) {
        buf_printf(&list, "%s%s", i ? ", " : "", envs[i]);
        there |= strcmp(envs[i], env) == 0;
    }
    if (there)
        return err_set(err, E_CONFIG, "the pillar of %s cannot be read: %s", env,
                       problems->n ? problems->lines[0] : "unknown");
    return err_set(err, E_CONFIG, "there is no environment '%s' (there is: %s)", env,
                   list.len ? list.data : "none");
}

bool consent_of(const char *root, const char *env, struct consent *ret, struct err *err)
{
    auto_problems struct problems problems = {0};
    struct pillar *p = NULL;
    if (!pillar_load(root, env, NULL, 0, &p, &problems))
        return unknown_env(root, env, &problems, err);
    *ret = (struct consent){.second = pillar_wants_second(p)};
    ret->confirm = ret->second || pillar_confirms(p, env);
    pillar_free(p);
    return true;
}

/* ---- wishes */

static void put(json_t *o, const char *key, const char *text)
{
    if (text) /* a word that dropped out would make another order of it; callers have checked them */
        must(json_object_set_new(o, key, json_string(text)) == 0);
}

const char *wish_text(const struct order_wish *w, struct arena *arena)
{
    json_t *o = json_object();
    put(o, "rev", w->rev);
    put(o, "plan", w->plan);
    put(o, "stages", w->stages);
    put(o, "window", w->window);
    put(o, "only", w->only);
    put(o, "exclude", w->exclude);
    put(o, "digest", w->digest);
    put(o, "to", w->to);
    if (w->release)
        json_object_set_new(o, "release", json_integer(w->release));
    if (w->before)
        json_object_set_new(o, "before", json_integer(w->before));
    auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_SORT_KEYS);
    must(text);
    json_decref(o);
    return arena_strdup(arena, text);
}

static const char *get(const json_t *o, const char *key, struct arena *arena)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? arena_strdup(arena, text) : NULL;
}

bool wish_load(const struct ask *a, struct arena *arena, struct order_wish *ret)
{
    json_t *o = json_loads(a->wish, 0, NULL);
    if (!json_is_object(o)) {
        json_decref(o);
        return false;
    }
    *ret = (struct order_wish){.verb = a->verb,
                               .env = a->env,
                               .who = a->who,
                               .via = a->via,
                               .place = a->place,
                               .rev = get(o, "rev", arena),
                               .plan = get(o, "plan", arena),
                               .stages = get(o, "stages", arena),
                               .window = get(o, "window", arena),
                               .only = get(o, "only", arena),
                               .exclude = get(o, "exclude", arena),
                               .to = get(o, "to", arena),
                               .before = json_integer_value(json_object_get(o, "before")),
                               .digest = get(o, "digest", arena),
                               .release = json_integer_value(json_object_get(o, "release"))};
    json_decref(o);
    if (a->verb == WISH_RUN && a->rev[0])
        ret->rev = a->rev; /* the 40 digits that were shown, not what a branch means by now */
    if (ret->to && a->rev[0])
        ret->to = a->rev;
    if (a->digest[0])
        ret->digest = a->digest;
    if (a->approved_by[0])
        ret->approved_by = a->approved_by;
    return true;
}

void waits_changed(struct serve *s, const char *env)
{
    char data[ENV_NAME_MAX + 20];
    snprintf(data, sizeof data, "{\"env\":\"%s\"}", env);
    serve_publish(s, "queue", env, 0, data);
}

/* ---- asks begin */

static struct ask_new ask_of(const struct order_wish *w, const struct asker *who, enum ask_state state,
                             struct arena *arena)
{
    int64_t now = clock_wall_ms();
    int64_t lapse = state == ASK_APPROVE ? ASK_APPROVE_MS : ASK_CONFIRM_MS;
    return (struct ask_new){.env = w->env,
                            .verb = w->verb,
                            .who = who->who,
                            .person = who->person,
                            .via = who->via,
                            .place = who->place,
                            .reply_to = who->reply_to,
                            .wish = wish_text(w, arena),
                            .state = state,
                            .made_ms = now,
                            .lapse_ms = now + lapse};
}

static bool add(struct serve *s, const struct ask_new *a, int64_t *ret_id, char code[ASK_CODE_LEN + 1],
                struct err *err)
{
    struct store *w = serve_writer(s, err);
    bool ok = w && ask_add(w, a, ret_id, code, err);
    if (w)
        serve_writer_done(s);
    return ok;
}

static struct order_wish by(const struct order_wish *w, const struct asker *who)
{
    struct order_wish mine = *w;
    mine.who = who->who;
    mine.via = who->via;
    mine.place = who->place;
    return mine;
}

bool ask_go(struct serve *s, const struct order_wish *w, const struct asker *who, int64_t *ret_order,
            struct err *err)
{
    auto_arena struct arena arena = {0};
    struct order_wish mine = by(w, who);
    if (!serve_wish_ok(&mine, err))
        return false;
    struct ask_new a = ask_of(w, who, ASK_GOING, &arena);
    char code[ASK_CODE_LEN + 1];
    int64_t id;
    if (!serve_order(s, &mine, ret_order, err))
        return false;
    a.order = *ret_order;
    if (!add(s, &a, &id, code, err)) /* it goes on all the same; only its last words will not come */
        serve_log("chat: order %" PRId64 " cannot be followed: %s", *ret_order, err->text);
    return true;
}

bool ask_look(struct serve *s, const struct order_wish *w, const struct asker *who, int64_t *ret_look,
              char ret_code[ASK_CODE_LEN + 1], struct err *err)
{
    auto_arena struct arena arena = {0};
    struct order_wish look = by(w, who);
    if (!serve_wish_ok(&look, err))
        return false;
    struct ask_new a = ask_of(w, who, ASK_PLAN, &arena);
    int64_t id;
    look.verb = WISH_PLAN;
    look.brief = true;
    look.digest = NULL; /* what it finds is compared with that (ask_thread.c) */
    if (!serve_order(s, &look, &a.plan_order, err))
        return false;
    *ret_look = a.plan_order;
    return add(s, &a, &id, ret_code, err);
}

bool ask_wants_look(const struct order_wish *w)
{
    return w->verb == WISH_RUN || (w->verb == WISH_ROLLBACK && (w->to || w->before));
}

bool ask_subject(struct store *store, struct order_wish *w, struct arena *arena, struct release_info **ret,
                 struct err *err)
{
    bool resume = w->verb == WISH_RESUME;
    bool ok = resume       ? release_unfinished(reader(store, arena), w->env, ret, err)
              : w->release ? release_get(reader(store, arena), w->release, ret, err)
                           : release_rollback_of(reader(store, arena), w->env, ret, err);
    if (!ok)
        return false;
    if (!*ret || strcmp((*ret)->env, w->env) != 0)
        return err_set(err, E_NOTFOUND,
                       resume ? "%s has no unfinished release" : "%s has no such release to take back",
                       w->env);
    w->release = (*ret)->id;
    return true;
}

bool ask_confirmed(const struct ask *a)
{
    return a->via == VIA_API || a->via == VIA_PAGE;
}

static void tell_word(struct said *out, const char *before, const char *text)
{
    if (!text)
        return;
    say_text(out, "%s", before);
    say_quote(out, text);
}

void ask_tell(struct said *out, const struct ask *a, struct arena *arena)
{
    struct order_wish w;
    json_t *wish = json_loads(a->wish, 0, NULL);
    const char *to = json_string_value(json_object_get(wish, "to")), *of = to ? "to" : "of";
    const char *typed = to ? to : json_string_value(json_object_get(wish, "rev"));
    bool before = json_object_get(wish, "before") != NULL; /* then each node has a revision of its own */
    say_text(out, "%s", wish_name(a->verb));
    if (a->rev[0] && !before)
        say_text(out, " %s %.12s", of, a->rev);
    if (typed && !str_starts(a->rev, typed)) {
        say_text(out, a->rev[0] ? " (" : " %s ", of);
        say_quote(out, typed);
        say_text(out, "%s", a->rev[0] ? ")" : "");
    }
    json_decref(wish);
    if (!wish_load(a, arena, &w))
        return;
    if (w.release)
        say_text(out, " of release %" PRId64, w.release);
    if (w.before)
        say_text(out, " to before release %" PRId64, w.before);
    tell_word(out, ", plan ", w.plan);
    tell_word(out, ", stages ", w.stages);
    tell_word(out, ", window ", w.window);
    tell_word(out, ", only ", w.only);
    tell_word(out, ", all but ", w.exclude);
}

bool ask_open(struct serve *s, const struct order_wish *w, const struct asker *who, enum ask_state state,
              char ret_code[ASK_CODE_LEN + 1], struct err *err)
{
    auto_arena struct arena arena = {0};
    struct order_wish mine = by(w, who);
    if (!serve_wish_ok(&mine, err))
        return false;
    struct ask_new a = ask_of(w, who, state, &arena);
    int64_t id;
    if (!add(s, &a, &id, ret_code, err))
        return false;
    if (state != ASK_APPROVE)
        return true;
    struct store *writer = serve_writer(s, err);
    struct notice n = {.at_ms = a.made_ms,
                       .env = w->env,
                       .event = NOTICE_APPROVAL,
                       .who = who->who,
                       .person = who->person,
                       .via = who->via,
                       .ask = id,
                       .text = ret_code};
    bool ok = writer && notice_add(writer, &n, err);
    if (writer)
        serve_writer_done(s);
    waits_changed(s, w->env);
    return ok;
}

bool ask_second(struct serve *s, const struct ask *a, struct ask_step step, bool *ret_moved, struct err *err)
{
    struct store *w = serve_writer(s, err);
    struct notice n = {.at_ms = clock_wall_ms(),
                       .env = a->env,
                       .event = NOTICE_APPROVAL,
                       .who = a->who,
                       .person = a->person,
                       .via = a->via,
                       .ask = a->id,
                       .text = a->code};
    step.id = a->id;
    step.from = a->state;
    step.to = ASK_APPROVE;
    bool ok = w && store_begin(w, err);
    if (ok) {
        ok = ask_move(w, &step, ret_moved, err) && (!*ret_moved || notice_add(w, &n, err)) &&
             store_commit(w, err);
        if (!ok)
            store_rollback(w);
    }
    if (w)
        serve_writer_done(s);
    if (ok && *ret_moved)
        waits_changed(s, a->env);
    return ok;
}

/* ---- answers */

/* Ann, ann and ann@corp are one until somebody says otherwise: rooms and proxies write names each in its way.
 */
static bool same_name(const char *a, const char *b)
{
    a += strspn(a, "@");
    b += strspn(b, "@");
    size_t n = strcspn(a, "@");
    return strcspn(b, "@") == n && strncasecmp(a, b, n) == 0;
}

/* "token:3" alone is whoever holds that token, so it is also each one that its bot could name. */
static bool same_asker(const char *a, const char *b)
{
    size_t n = strcspn(a, "/");
    if (!str_starts(a, "token:") || strcspn(b, "/") != n || strncmp(a, b, n) != 0)
        return strcmp(a, b) == 0;
    return a[n] == '\0' || b[n] == '\0' || strcmp(a + n, b + n) == 0;
}

const char *answer_refused(const struct ask *a, enum ask_reply answer, const struct asker *who,
                           int64_t now_ms, struct arena *arena)
{
    bool open = a->state != ASK_GOING, shared = a->state == ASK_APPROVE;
    bool own = same_asker(a->person, who->person);
    enum ask_state wanted = answer == ANSWER_APPROVE ? ASK_APPROVE : ASK_CONFIRM;
    if (now_ms > a->lapse_ms)
        return arena_printf(arena, "%s has lapsed; ask again", a->code);
    if (answer == ANSWER_CANCEL)
        return open ? own || shared ? NULL : arena_printf(arena, "%s is the question of %s", a->code, a->who)
                    : arena_printf(arena, "%s is under way already; `abort %s` stops it", a->code, a->env);
    if (a->state != wanted)
        return a->state == ASK_GOING ? arena_printf(arena, "%s is under way already", a->code)
               : a->state == ASK_PLAN
                   ? arena_printf(arena, "%s is still being looked at; the question follows", a->code)
               : answer == ANSWER_APPROVE
                   ? arena_printf(arena, "%s must confirm %s first", a->who, a->code)
                   : arena_printf(arena, "%s waits for another person: `approve %s`", a->code, a->code);
    if (answer == ANSWER_CONFIRM && !own)
        return arena_printf(arena, "%s is the question of %s; only they can answer it", a->code, a->who);
    /* One human may have a name in each room. */
    if (answer == ANSWER_APPROVE && (own || same_name(person_bare(a->who), person_bare(who->who))))
        return arena_printf(arena, "a second person must approve, not %s who asks", person_bare(a->who));
    return NULL;
}

/* Compare-and-set first, then the order: of two clicks one starts it, and a crash between them starts
 * nothing. */
static bool start(struct serve *s, const struct ask *a, const char *approved_by, struct said *out,
                  struct err *err)
{
    auto_arena struct arena arena = {0};
    struct order_wish w;
    struct ask now = *a;
    const struct ask_step begins = {
        .id = a->id, .from = a->state, .to = ASK_GOING, .approved_by = approved_by};
    int64_t order = 0;
    bool moved = false;
    if (approved_by)
        now.approved_by = approved_by;
    struct store *writer = serve_writer(s, err);
    bool ok = writer && ask_move(writer, &begins, &moved, err);
    if (writer)
        serve_writer_done(s);
    if (!ok)
        return false;
    if (!moved)
        return err_set(err, E_STATE, "%s was answered a moment ago", a->code);
    waits_changed(s, a->env);
    ok = wish_load(&now, &arena, &w) ? serve_order(s, &w, &order, err)
                                     : err_set(err, E_STATE, "%s cannot be read", a->code);
    struct err ignored;
    writer = serve_writer(s, &ignored);
    if (writer) {
        const struct ask_step goes_on = {
            .id = a->id, .from = ASK_GOING, .to = ok ? ASK_GOING : ASK_ENDED, .order = order};
        if (!ask_move(writer, &goes_on, &moved, &ignored))
            serve_log("chat: %s cannot be followed: %s", a->code, ignored.text);
        serve_writer_done(s);
    }
    if (!ok)
        return false;
    say_text(out, "%s of %s is under way (order %" PRId64 ")", wish_name(a->verb), a->env, order);
    if (approved_by) {
        say_text(out, ", asked by ");
        say_quote(out, a->who);
        say_text(out, ", approved by ");
        say_quote(out, approved_by);
    }
    return true;
}

static bool wait_for_second(struct serve *s, const struct ask *a, struct said *out, struct err *err)
{
    bool moved = false;
    if (!ask_second(s, a, (struct ask_step){.lapse_ms = clock_wall_ms() + ASK_APPROVE_MS}, &moved, err))
        return false;
    if (!moved)
        return err_set(err, E_STATE, "%s was answered a moment ago", a->code);
    say_text(out, "%s of %s is confirmed by ", wish_name(a->verb), a->env);
    say_quote(out, a->who);
    say_text(out, " and waits for a second person: `approve %s` within 15 minutes", a->code);
    say_button(out, "Approve", "approve", a->code, BUTTON_PRIMARY);
    say_cancel(out, a->code);
    out->in_channel = true;
    return true;
}

static bool cancel(struct serve *s, const struct ask *a, struct said *out, struct err *err)
{
    bool moved = false;
    struct store *w = serve_writer(s, err);
    const struct ask_step ends = {.id = a->id, .from = a->state, .to = ASK_ENDED};
    bool ok = w && ask_move(w, &ends, &moved, err);
    if (w)
        serve_writer_done(s);
    if (ok && !moved)
        return err_set(err, E_STATE, "%s was answered a moment ago", a->code);
    if (!ok)
        return false;
    waits_changed(s, a->env);
    say_text(out, "%s of %s is cancelled; nothing was touched", wish_name(a->verb), a->env);
    return true;
}

/* `release resume` takes no number: what is unfinished now must be what was asked about. */
static bool still_about(struct reader r, const struct ask *a, struct err *err)
{
    struct order_wish w;
    struct release_info *open = NULL;
    if (a->verb != WISH_RESUME || !wish_load(a, r.arena, &w) || w.release == 0)
        return true;
    if (!release_unfinished(r, a->env, &open, err))
        return false;
    return (open && open->id == w.release) ||
           err_set(err, E_STATE, "release %" PRId64 " of %s is not the unfinished one any more; ask again",
                   w.release, a->env);
}

bool ask_answer(struct serve *s, struct reader r, const struct ask_answer *answer, struct said *out,
                struct err *err)
{
    struct ask *a;
    struct consent consent;
    if (!ask_find(r, answer->code, &a, err))
        return false;
    if (!a)
        return err_set(err, E_NOTFOUND, "there is no open question %s (it was answered, or it lapsed)",
                       answer->code);
    const char *refused = answer_refused(a, answer->reply, answer->who, clock_wall_ms(), r.arena);
    if (refused)
        return err_set(err, E_STATE, "%s", refused);
    if (answer->reply == ANSWER_CANCEL)
        return cancel(s, a, out, err);
    if (!still_about(r, a, err))
        return false;
    if (answer->reply == ANSWER_APPROVE)
        return start(s, a, answer->who->who, out, err);
    if (!consent_of(serve_root(s), a->env, &consent, err))
        return false;
    return consent.second ? wait_for_second(s, a, out, err) : start(s, a, NULL, out, err);
}
