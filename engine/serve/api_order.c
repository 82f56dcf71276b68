/* SPDX-License-Identifier: MIT */
/* Orders over the API: what people tell an environment, and what became of it. */
#include <inttypes.h>
#include <string.h>

#include "serve/api.h"
#include "state/chat.h"
#include "state/orders.h"
#include "watch/json.h"

#define OUTPUT_TAIL 16384

/* ---- giving one */

/* "" counts as not given: a form sends every field. false: wrong type, the reply says so. */
static bool field(const struct request *r, const json_t *body, const char *name, const char **ret,
                  struct reply *reply)
{
    const json_t *v = body ? json_object_get(body, name) : NULL;
    const char *text = body ? json_string_value(v) : request_form(r, name);
    if (v && !json_is_string(v) && !json_is_null(v))
        return reply_error(reply, 400, "usage", "%s: wanted text", name);
    if (text && !utf8_valid(text))
        return reply_error(reply, 400, "usage", "%s: wanted text in UTF-8", name);
    *ret = text && text[0] ? text : NULL;
    return true;
}

static bool flag(const struct request *r, const json_t *body, const char *name)
{
    const char *text = body ? NULL : request_form(r, name);
    return body ? json_is_true(json_object_get(body, name))
                : text && (strcmp(text, "1") == 0 || strcmp(text, "true") == 0 || strcmp(text, "on") == 0);
}

/* The number of a release, 0 when it is not given. */
static bool number(const struct request *r, const json_t *body, const char *name, int64_t *ret,
                   struct reply *reply)
{
    const json_t *v = body ? json_object_get(body, name) : NULL;
    const char *text = body ? NULL : request_form(r, name);
    long long n = json_is_integer(v) ? json_integer_value(v) : 0;
    bool given = json_is_integer(v) || (text && text[0]);
    if (text && text[0] && strspn(text, "0123456789") == strlen(text) && strlen(text) <= 18)
        n = strtoll(text, NULL, 10);
    *ret = n;
    return (v && !json_is_integer(v) && !json_is_null(v)) || (given && n < 1)
               ? reply_error(reply, 400, "usage", "%s: wanted the number of a release", name)
               : true;
}

/* A mistyped key would be an order that means something else. */
static bool keys_known(const json_t *body, struct reply *reply)
{
    static const char *const known[] = {"rev",     "plan",   "stages",  "window", "only",
                                        "exclude", "reason", "release", "force",  "confirm",
                                        "brief",   "digest", "to",      "before"};
    size_t n = sizeof known / sizeof known[0];
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)body, key, v)
    {
        size_t i = 0;
        while (i < n && strcmp(known[i], key) != 0)
            i++;
        int near = str_nearest(key, known, n);
        if (i == n)
            return reply_error(reply, 400, "usage", "unknown key '%s'%s%s%s", key,
                               near >= 0 ? "; did you mean '" : "", near >= 0 ? known[near] : "",
                               near >= 0 ? "'?" : "");
    }
    return true;
}

static bool wish_read(const struct request *r, const json_t *body, struct order_wish *w, const char **confirm,
                      struct reply *reply)
{
    w->force = flag(r, body, "force");
    w->brief = flag(r, body, "brief");
    return (!body || keys_known(body, reply)) && field(r, body, "rev", &w->rev, reply) &&
           field(r, body, "plan", &w->plan, reply) && field(r, body, "stages", &w->stages, reply) &&
           field(r, body, "window", &w->window, reply) && field(r, body, "only", &w->only, reply) &&
           field(r, body, "reason", &w->reason, reply) && field(r, body, "confirm", confirm, reply) &&
           field(r, body, "digest", &w->digest, reply) && field(r, body, "to", &w->to, reply) &&
           field(r, body, "exclude", &w->exclude, reply) && number(r, body, "release", &w->release, reply) &&
           number(r, body, "before", &w->before, reply);
}

/* Whoever holds the lock by hand frees it; others break it, as admins and with a reason. */
static bool may_unlock(const struct request *r, const struct order_wish *w, struct reply *reply)
{
    struct lock_info lock;
    struct err err;
    if (!lock_get(reader(r->store, r->arena), w->env, &lock, &err))
        return reply_err(reply, &err);
    if (!lock.held || lock.holder != HOLDER_BY_HAND || r->actor.right >= RIGHT_ADMIN ||
        queue_same(lock.who, r->actor.name))
        return true;
    return reply_error(reply, 403, "auth", "%s holds the lock of %s (%s); ask them, or an admin breaks it",
                       lock.who, w->env, lock.why);
}

/* S26: what changes servers names the environment a second time; only an admin breaks the lock of others. */
static bool may_order(const struct request *r, const struct order_wish *w, const char *confirm,
                      struct reply *reply)
{
    if (w->force && r->actor.right < RIGHT_ADMIN)
        return reply_error(reply, 403, "auth", "%s is a %s; to break a lock needs the role admin",
                           r->actor.name, right_name(r->actor.right));
    if (w->verb == WISH_UNLOCK && !w->force && !may_unlock(r, w, reply))
        return false;
    if (WISH_MOVES(w->verb) && (!confirm || strcmp(confirm, w->env) != 0))
        return reply_error(reply, 400, "confirm",
                           "'confirm' must be the environment's name, '%s'; nothing was touched", w->env);
    return true;
}

static bool held_by_a_part(struct request *r, const struct order_wish *w, struct reply *reply)
{
    for (const struct serve_part *const *p = r->serve->parts; *p; p++)
        if ((*p)->gate && (*p)->gate(w, r, reply) == GATE_HELD)
            return true;
    return false;
}

/* Before a part keeps it: nobody is asked to say yes to what could never be done. */
static bool words_ok(const struct order_wish *w, struct reply *reply)
{
    struct err err;
    if (w->verb == WISH_RESUME && w->release)
        return reply_error(reply, 400, "usage",
                           "resume: 'release' is not taken (it goes on with what is unfinished); nothing was "
                           "touched");
    return serve_wish_ok(w, &err) || reply_err(reply, &err);
}

/* Refused here as the command would, before anybody is asked for a yes. */
static bool back_ok(const struct request *r, const struct order_wish *w, struct reply *reply)
{
    struct release_info *named;
    struct err err;
    const struct back_way way = {.release = w->release, .to = w->to, .before = w->before};
    return !serve_wish_is_back(w) || back_way_ok(reader(r->store, r->arena), w->env, &way, &named, &err) ||
           reply_err(reply, &err);
}

/* A browser's form without script goes back to the page; programs get the order's number. */
static void answer_order(struct request *r, const struct order_wish *w, int64_t id, struct reply *reply)
{
    if (!request_is_json(r) && r->n_form > 0 && r->actor.via != ACTOR_BEARER)
        reply_redirect(reply, arena_printf(r->arena, "/env/%s?order=%" PRId64, w->env, id));
    else
        reply_json(reply, 202, json_pack("{s:I}", "order", (json_int_t)id));
}

static void give(struct request *r, struct reply *reply, enum wish verb)
{
    struct order_wish w = {.verb = verb,
                           .env = r->vars[0],
                           .who = r->actor.name,
                           .via = r->actor.via == ACTOR_BEARER ? VIA_API : VIA_PAGE,
                           .place = r->from};
    const char *confirm = NULL;
    struct err err;
    int64_t id;
    json_t *body = r->n_form > 0 && !request_is_json(r) ? NULL : request_json(r, reply);
    if (!body && r->n_form == 0)
        return;
    if (wish_read(r, body, &w, &confirm, reply) && api_env_known(r, reply) &&
        may_order(r, &w, confirm, reply) && words_ok(&w, reply) && back_ok(r, &w, reply) &&
        !held_by_a_part(r, &w, reply)) {
        if (serve_order(r->serve, &w, &id, &err))
            answer_order(r, &w, id, reply);
        else
            reply_err(reply, &err);
    }
    json_decref(body);
}

#define ORDER_VERBS(X)                                                                                       \
    X(plan, PLAN)                                                                                            \
    X(run, RUN)                                                                                              \
    X(rollback, ROLLBACK)                                                                                    \
    X(resume, RESUME)                                                                                        \
    X(pause, PAUSE)                                                                                          \
    X(abort, ABORT)                                                                                          \
    X(lock, LOCK)                                                                                            \
    X(unlock, UNLOCK)
#define ORDER_HANDLER(verb, wish)                                                                            \
    static void order_##verb(struct request *r, struct reply *reply)                                         \
    {                                                                                                        \
        give(r, reply, WISH_##wish);                                                                         \
    }
ORDER_VERBS(ORDER_HANDLER)

/* ---- reading them */

json_t *api_order_json(const struct order_info *o)
{
    json_t *argv = json_loads(o->argv, 0, NULL);
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:s, s:o}", "id", (json_int_t)o->id,
                     "env", o->env, "verb", wish_name(o->verb), "who", o->who, "via", via_name(o->via),
                     "from", o->place, "at", (json_int_t)o->at_ms, "ended",
                     o->ended_ms ? json_integer(o->ended_ms) : json_null(), "exit",
                     o->exit_status >= 0 ? json_integer(o->exit_status) : json_null(), "release",
                     o->release ? json_integer(o->release) : json_null(), "text", o->text, "argv",
                     argv ? argv : json_null());
}

static void one(struct request *r, struct reply *reply)
{
    struct order_info *o = NULL;
    struct err err;
    int64_t id;
    if (!api_number(r, 0, &id, reply))
        return;
    if (!order_get(reader(r->store, r->arena), id, &o, &err)) {
        reply_err(reply, &err);
        return;
    }
    if (!o) {
        reply_error(reply, 404, "not-found", "there is no order %" PRId64, id);
        return;
    }
    json_t *j = api_order_json(o);
    json_object_set_new(j, "output", json_string(serve_order_output(r->serve, id, OUTPUT_TAIL, r->arena)));
    reply_json(reply, 200, j);
}

static void list(struct request *r, struct reply *reply)
{
    struct order_info *orders;
    struct err err;
    int64_t limit, before;
    size_t n;
    if (!request_number(r, "limit", 20, &limit, reply) || !request_number(r, "before", 0, &before, reply))
        return;
    if (!order_list(reader(r->store, r->arena),
                    &(struct newest){.env = request_query(r, "env"),
                                     .limit = limit > 200 ? 200 : (size_t)limit,
                                     .before = before},
                    &orders, &n, &err)) {
        reply_err(reply, &err);
        return;
    }
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(all, api_order_json(&orders[i]));
    reply_json(reply, 200, all);
}

#define ORDER_ROUTE(verb, wish)                                                                              \
    {.method = "POST",                                                                                       \
     .pattern = "/api/v1/envs/{env}/" #verb,                                                                 \
     .right = RIGHT_OPERATOR,                                                                                \
     .handle = order_##verb},
const struct route api_order_routes[] = {
    ORDER_VERBS(ORDER_ROUTE){
        .method = "GET", .pattern = "/api/v1/orders", .right = RIGHT_VIEWER, .handle = list},
    {.method = "GET", .pattern = "/api/v1/orders/{id}", .right = RIGHT_VIEWER, .handle = one},
    ROUTE_END,
};
