/* SPDX-License-Identifier: MIT */
/* Frozen plans, and the difference of two. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "serve/api.h"

#define DIFF_MAX 2000

static bool plan_of(struct request *r, int64_t id, const char **ret, struct reply *reply)
{
    struct release_info *info = NULL;
    struct err err;
    if (!release_get(reader(r->store, r->arena), id, &info, &err))
        return reply_err(reply, &err);
    if (!info)
        return reply_error(reply, 404, "not-found", "there is no release %" PRId64, id);
    return release_plan(reader(r->store, r->arena), id, ret, &err) || reply_err(reply, &err);
}

static void plan(struct request *r, struct reply *reply)
{
    const char *json;
    int64_t id;
    if (api_number(r, 0, &id, reply) && plan_of(r, id, &json, reply))
        reply_text(reply, 200, "application/json", json, strlen(json));
}

struct differ {
    json_t *found;
    struct buf path;
};

static void differ_add(struct differ *d, json_t *was, json_t *is)
{
    if (json_array_size(d->found) >= DIFF_MAX)
        return;
    json_t *o = json_pack("{s:s}", "path", buf_str(&d->path));
    json_object_set(o, "was", was ? was : json_null());
    json_object_set(o, "is", is ? is : json_null());
    json_array_append_new(d->found, o);
}

static void diff(struct differ *d, json_t *was, json_t *is);

static void diff_at(struct differ *d, const char *key, json_t *was, json_t *is)
{
    size_t len = d->path.len;
    buf_printf(&d->path, "%s%s", len ? "/" : "", key);
    if (was && is)
        diff(d, was, is);
    else
        differ_add(d, was, is);
    d->path.len = len;
    if (d->path.data)
        d->path.data[len] = '\0';
}

static void diff_objects(struct differ *d, json_t *was, json_t *is)
{
    const char *key;
    json_t *v;
    json_object_foreach(was, key, v) diff_at(d, key, v, json_object_get(is, key));
    json_object_foreach(is, key, v) if (!json_object_get(was, key)) diff_at(d, key, NULL, v);
}

/* Nodes stand beside their namesakes, other lists beside what has the same place. */
static json_t *find_id(json_t *items, const char *id)
{
    size_t i;
    json_t *v;
    json_array_foreach(items, i, v)
    {
        const char *other = json_string_value(json_object_get(v, "id"));
        if (other && strcmp(other, id) == 0)
            return v;
    }
    return NULL;
}

static void diff_arrays(struct differ *d, json_t *was, json_t *is)
{
    char key[32];
    size_t i;
    json_t *v;
    bool named = json_string_value(json_object_get(json_array_get(was, 0), "id")) != NULL;
    size_t n = json_array_size(was) > json_array_size(is) ? json_array_size(was) : json_array_size(is);
    for (i = 0; !named && i < n; i++) {
        snprintf(key, sizeof key, "%zu", i);
        diff_at(d, key, json_array_get(was, i), json_array_get(is, i));
    }
    if (!named || json_array_size(was) > 5000)
        return;
    json_array_foreach(was, i, v)
    {
        const char *id = json_string_value(json_object_get(v, "id"));
        diff_at(d, id ? id : "?", v, id ? find_id(is, id) : NULL);
    }
    json_array_foreach(is, i, v)
    {
        const char *id = json_string_value(json_object_get(v, "id"));
        if (id && !find_id(was, id))
            diff_at(d, id, NULL, v);
    }
}

static void diff(struct differ *d, json_t *was, json_t *is)
{
    if (json_is_object(was) && json_is_object(is))
        diff_objects(d, was, is);
    else if (json_is_array(was) && json_is_array(is))
        diff_arrays(d, was, is);
    else if (!json_equal(was, is))
        differ_add(d, was, is);
}

static void diff_plans(struct request *r, struct reply *reply)
{
    struct differ d = {.path = BUF_INIT(4096)};
    const char *was, *is;
    int64_t id, with;
    if (!api_number(r, 0, &id, reply) || !request_number(r, "with", 0, &with, reply) ||
        !plan_of(r, id, &was, reply) || !plan_of(r, with, &is, reply))
        return;
    json_t *a = json_loads(was, 0, NULL), *b = json_loads(is, 0, NULL);
    d.found = json_array();
    if (a && b)
        diff(&d, a, b);
    json_decref(a);
    json_decref(b);
    buf_fini(&d.path);
    reply_json(reply, 200, d.found);
}

const struct route api_plan_routes[] = {
    {.method = "GET", .pattern = "/api/v1/releases/{n}/plan", .right = RIGHT_VIEWER, .handle = plan},
    {.method = "GET", .pattern = "/api/v1/releases/{n}/diff", .right = RIGHT_VIEWER, .handle = diff_plans},
    ROUTE_END,
};
