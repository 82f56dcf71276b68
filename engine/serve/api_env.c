/* SPDX-License-Identifier: MIT */
/* Environments: what holds, runs and is owed, out of the journal alone. */
#include <inttypes.h>
#include <string.h>

#include "serve/api.h"
#include "serve/fold.h"
#include "watch/json.h"

/* ---- one environment */

static void add_parts(struct request *r, const char *env, json_t *o)
{
    for (const struct serve_part *const *p = r->serve->parts; *p; p++)
        if ((*p)->env_json)
            (*p)->env_json(r->store, env, o);
    if (!json_object_get(o, "queue"))
        json_object_set_new(o, "queue", json_array());
    if (!json_object_get(o, "pending"))
        json_object_set_new(o, "pending", json_array());
}

static bool needs_pillar(enum wish verb)
{
    return WISH_MOVES(verb) || verb == WISH_PLAN;
}

/* Of another tree's environment ("blog:prod") there is no pillar here: what needs one is ordered there. */
static json_t *verbs_json(enum right right, const char *env)
{
    static const enum wish verbs[] = {WISH_PLAN,  WISH_RUN,   WISH_ROLLBACK, WISH_RESUME,
                                      WISH_PAUSE, WISH_ABORT, WISH_LOCK,     WISH_UNLOCK};
    bool elsewhere = strchr(env, ':') != NULL;
    json_t *list = json_array();
    for (size_t i = 0; right >= RIGHT_OPERATOR && i < sizeof verbs / sizeof verbs[0]; i++)
        if (!elsewhere || !needs_pillar(verbs[i]))
            json_array_append_new(list, json_string(wish_name(verbs[i])));
    if (right >= RIGHT_ADMIN)
        json_array_append_new(list, json_string("force"));
    return list;
}

static void one(struct request *r, struct reply *reply)
{
    struct env_state st;
    struct release_info *back;
    struct err err;
    if (!api_env_known(r, reply))
        return;
    if (!env_state_read(r->store, r->vars[0], r->arena, &st, &err) ||
        !release_rollback_of(reader(r->store, r->arena), r->vars[0], &back, &err)) {
        reply_err(reply, &err);
        return;
    }
    json_t *o = env_state_json(&st, r->arena);
    add_parts(r, st.env, o);
    json_object_set_new(o, "rollback_of", back ? json_integer(back->id) : json_null());
    const char *story = back && !st.unfinished ? back_story(&st, back, r->arena) : "";
    json_object_set_new(o, "rollback_note", *story ? watch_text_json(story, strlen(story)) : json_null());
    json_object_set_new(o, "can", verbs_json(r->actor.right, st.env));
    json_object_set_new(o, "app", json_string(env_app(r->store, st.env, r->arena)));
    reply_json(reply, 200, o);
}

/* ---- all of them */

/* How many are in rotation is known only while a release runs; the balancers are asked by /lb. */
static json_t *nodes_sum(struct request *r, const struct env_state *st, struct err *err)
{
    struct node_counts n;
    json_t *up = json_null();
    if (!sums_nodes(r->serve, r->store, st->env, &n, err))
        return NULL;
    struct fold *f = st->running ? fold_get(r->serve, r->store, st->running->id, err) : NULL;
    if (f) {
        const uint32_t *are = f->model.counts;
        if ((int64_t)f->plan->n_nodes > n.total)
            n.total = (int64_t)f->plan->n_nodes;
        up = json_integer(n.total - are[SHOWN_OUT] - are[SHOWN_BACK] - are[SHOWN_LEFT]);
        fold_put(r->serve, f);
    }
    return json_pack("{s:I, s:o, s:I, s:s, s:I}", "total", (json_int_t)n.total, "in_rotation", up, "owed",
                     (json_int_t)n.owed, "live", n.live, "on_live", (json_int_t)n.on_live);
}

static json_t *summary(struct request *r, const char *env, struct err *err)
{
    struct env_state st;
    if (!env_state_brief(r->store, env, r->arena, &st, err))
        return NULL;
    json_t *nodes = nodes_sum(r, &st, err);
    if (!nodes)
        return NULL;
    json_t *full = env_state_json(&st, r->arena);
    json_t *o = json_pack("{s:s, s:s, s:O, s:O, s:O, s:O, s:o}", "env", env, "app",
                          env_app(r->store, env, r->arena), "lock", json_object_get(full, "lock"), "running",
                          json_object_get(full, "running"), "last", json_object_get(full, "last"),
                          "unfinished", json_object_get(full, "unfinished"), "nodes", nodes);
    json_decref(full);
    add_parts(r, env, o);
    return o;
}

static void all(struct request *r, struct reply *reply)
{
    struct err err;
    size_t n;
    const char *const *envs = api_envs(r->serve, r->store, r->arena, &n);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *o = summary(r, envs[i], &err);
        if (!o) {
            json_decref(list);
            reply_err(reply, &err);
            return;
        }
        json_array_append_new(list, o);
    }
    reply_json(reply, 200, list);
}

const struct route api_env_routes[] = {
    {.method = "GET", .pattern = "/api/v1/envs", .right = RIGHT_VIEWER, .handle = all},
    {.method = "GET", .pattern = "/api/v1/envs/{env}", .right = RIGHT_VIEWER, .handle = one},
    ROUTE_END,
};
