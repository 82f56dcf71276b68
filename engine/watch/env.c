/* SPDX-License-Identifier: MIT */
/* Where an environment stands, out of the journal alone. */
#include <inttypes.h>
#include <string.h>

#include "watch/json.h"

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* Tasks and exec are not what an environment runs. */
static bool find_last(struct store *store, const char *env, struct arena *arena, struct release_info **ret,
                      struct err *err)
{
    struct release_info *list;
    int64_t before = 0;
    size_t n;
    *ret = NULL;
    do {
        if (!release_list(reader(store, arena), &(struct newest){.env = env, .limit = 50, .before = before},
                          &list, &n, err))
            return false;
        for (size_t i = 0; i < n; i++) {
            before = list[i].id;
            if (KIND_MOVES(list[i].kind)) {
                *ret = &list[i];
                return true;
            }
        }
    } while (n == 50);
    return true;
}

static bool leaves_nobody_out(const json_t *plan)
{
    size_t i;
    json_t *pair;
    json_array_foreach(json_object_get(plan, "vars"), i, pair)
    {
        const char *name = json_string_value(json_array_get(pair, 0));
        const char *value = json_string_value(json_array_get(pair, 1));
        if (name && value && same(name, "left_out"))
            return same(value, "0");
    }
    return false;
}

/* The frozen plan of the newest release that left no node out: who is not in it is no node of the environment any
 * more. NULL: none is known. Caller frees by json_decref. */
static json_t *whole_plan(struct store *store, const char *env, struct arena *a, int64_t *ret_id)
{
    struct release_info *list;
    struct err err;
    const char *text;
    size_t n;
    if (!release_list(reader(store, a), &(struct newest){.env = env, .limit = 20}, &list, &n, &err))
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (list[i].kind != KIND_RELEASE || !release_plan(reader(store, a), list[i].id, &text, &err) || !text)
            continue;
        json_t *plan = json_loads(text, 0, NULL);
        *ret_id = list[i].id;
        if (leaves_nobody_out(plan))
            return plan;
        json_decref(plan);
    }
    return NULL;
}

static bool plan_has(const json_t *plan, const char *node)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(plan, "nodes"), i, one)
    {
        const char *id = json_string_value(json_object_get(one, "id"));
        if (id && same(id, node))
            return true;
    }
    return false;
}

/* Nodes that were taken out of the pillar are told once, by name, and not as if they served; unless they owe. */
static void set_gone_apart(struct store *store, struct env_state *st, struct arena *a)
{
    int64_t id = 0;
    json_t *plan = whole_plan(store, st->env, a, &id);
    if (!plan)
        return;
    size_t k = 0;
    bool *left = arena_array(a, st->n_nodes + 1, sizeof *left);
    st->gone = arena_array(a, st->n_nodes + 1, sizeof *st->gone);
    for (size_t i = 0; i < st->n_nodes; i++) {
        bool gone = st->nodes[i].release < id && !plan_has(plan, st->nodes[i].node);
        if (gone && !st->nodes[i].debt) {
            st->gone[st->n_gone++] = st->nodes[i].node;
            continue;
        }
        left[k] = gone;
        st->nodes[k++] = st->nodes[i];
    }
    st->n_nodes = k;
    st->left = left;
    st->gone_since = id;
    json_decref(plan);
}

bool env_state_read(struct store *store, const char *env, struct arena *a, struct env_state *st,
                    struct err *err)
{
    if (!env_state_brief(store, env, a, st, err) ||
        !node_states(reader(store, a), env, &st->nodes, &st->n_nodes, err))
        return false;
    if (st->n_nodes > 0)
        set_gone_apart(store, st, a);
    return true;
}

bool env_state_brief(struct store *store, const char *env, struct arena *a, struct env_state *st,
                     struct err *err)
{
    *st = (struct env_state){.env = env};
    if (!lock_get(reader(store, a), env, &st->lock, err) || !find_last(store, env, a, &st->last, err) ||
        !release_unfinished(reader(store, a), env, &st->unfinished, err))
        return false;
    bool lives = st->lock.held && st->lock.release &&
                 (st->lock.holder == HOLDER_ALIVE || st->lock.holder == HOLDER_ELSEWHERE);
    return !lives || release_get(reader(store, a), st->lock.release, &st->running, err);
}

const char *env_gone_text(const struct env_state *st, struct arena *arena)
{
    auto_buf struct buf out = BUF_INIT(1024 * 1024);
    for (size_t i = 0; i < st->n_gone; i++)
        buf_printf(&out, "%s%s", i ? ", " : "", st->gone[i]);
    if (st->n_gone)
        buf_printf(&out, ": no nodes of %s any more since release %" PRId64, env_bare(st->env),
                   st->gone_since);
    return arena_strdup(arena, buf_str(&out));
}

const char *env_app(struct store *store, const char *env, struct arena *arena)
{
    struct env_key key;
    struct err err;
    return env_resolve(reader(store, arena), env, &key, &err) ? key.app : "";
}

const char *env_title_with(const char *env, const char *app, struct arena *arena)
{
    return app[0] ? arena_printf(arena, "%s of %s", env_bare(env), app) : env;
}

const char *env_title(struct store *store, const char *env, bool apart, struct arena *arena)
{
    return env_title_with(env, apart ? env_app(store, env, arena) : "", arena);
}

/* What people and nodes wrote may be no UTF-8. */
static json_t *text(const char *s)
{
    return watch_text_json(s ? s : "", s ? strlen(s) : 0);
}

static json_t *release_json(const struct release_info *r)
{
    if (!r)
        return json_null();
    return json_pack("{s:I, s:s, s:o, s:o, s:o, s:I, s:i, s:s, s:b}", "release", (json_int_t)r->id, "what",
                     kind_name(r->kind), "rev", text(r->rev), "who", text(r->who), "host", text(r->host),
                     "started", (json_int_t)r->started_ms, "exit", r->exit_status, "result", end_text(r),
                     "resumable", (int)r->resumable);
}

json_t *env_lock_json(const struct lock_info *l, struct arena *arena)
{
    static const char *const holders[] = {[HOLDER_ALIVE] = "alive",
                                          [HOLDER_DEAD] = "dead",
                                          [HOLDER_ELSEWHERE] = "elsewhere",
                                          [HOLDER_BY_HAND] = "by-hand"};
    if (!l->held)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:s, s:o}", "who", text(l->who), "host",
                     text(l->host), "why", text(l->why), "since", (json_int_t)l->since_ms, "release",
                     (json_int_t)l->release, "fence", (json_int_t)l->fence, "pid", (json_int_t)l->pid,
                     "holder", holders[l->holder], "text", text(lock_text(l, arena)));
}

json_t *env_state_json(const struct env_state *st, struct arena *arena)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < st->n_nodes; i++) {
        const struct node_state_info *n = &st->nodes[i];
        json_array_append_new(nodes, json_pack("{s:o, s:o, s:I, s:I, s:o, s:b}", "node", text(n->node), "rev",
                                               text(n->rev), "release", (json_int_t)n->release, "at",
                                               (json_int_t)n->at_ms, "owed",
                                               n->debt ? text(n->debt_text) : json_null(), "gone",
                                               st->left && st->left[i] ? 1 : 0));
    }
    json_t *o =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "kind", "status", "env", st->env, "running",
                  release_json(st->running), "last", release_json(st->last), "unfinished",
                  release_json(st->unfinished), "lock", env_lock_json(&st->lock, arena), "nodes", nodes);
    must(o);
    json_t *gone = json_array();
    for (size_t i = 0; i < st->n_gone; i++)
        json_array_append_new(gone, text(st->gone[i]));
    json_object_set_new(o, "gone", gone);
    return o;
}
