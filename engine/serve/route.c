/* SPDX-License-Identifier: MIT */
/* From a request to its handler: the table, who asks, and whether they may. The order of the checks is the
 * order of what they cost a stranger: names, Host, Origin, route, login, right, token of the form. */
#include <string.h>

#include "serve/serve_priv.h"

/* ---- patterns */

/* What stands between two slashes. */
struct path_piece {
    const char *text;
    size_t n;
};
/* What the path has where the pattern has {}: its pieces, in order. */
struct path_vars {
    struct arena *arena;
    const char **list;
    size_t n;
};

static struct path_piece piece_at(const char *path)
{
    return (struct path_piece){.text = path, .n = strcspn(path, "/")};
}

static bool piece_matches(struct path_piece pattern, struct path_piece path, struct path_vars *vars)
{
    if (pattern.n < 2 || pattern.text[0] != '{')
        return pattern.n == path.n && memcmp(pattern.text, path.text, path.n) == 0;
    if (path.n == 0 || vars->n == REQUEST_VARS_MAX)
        return false;
    vars->list[vars->n++] = arena_strndup(vars->arena, path.text, path.n);
    return true;
}

bool route_matches(const char *pattern, const char *path, struct arena *a, const char *vars[REQUEST_VARS_MAX])
{
    struct path_vars taken = {.arena = a, .list = vars};
    while (*pattern == '/' && *path == '/') {
        pattern++;
        path++;
        if (strcmp(pattern, "{*}") == 0) {
            vars[taken.n] = arena_strdup(a, path);
            return *path != '\0';
        }
        struct path_piece want = piece_at(pattern), got = piece_at(path);
        if (!piece_matches(want, got, &taken))
            return false;
        pattern += want.n;
        path += got.n;
    }
    return *pattern == '\0' && *path == '\0';
}

static const struct route *find_in(const struct route *table, struct request *r, bool *ret_other_method)
{
    for (; table && table->method; table++) {
        if (!route_matches(table->pattern, r->path, r->arena, r->vars))
            continue;
        if (strcmp(table->method, r->method) == 0)
            return table;
        *ret_other_method = true;
    }
    return NULL;
}

static const struct route *find(struct request *r, bool *ret_other_method)
{
    const struct route *found = NULL;
    *ret_other_method = false;
    for (const struct route *const *t = r->serve->tables; !found && *t; t++)
        found = find_in(*t, r, ret_other_method);
    for (const struct serve_part *const *p = r->serve->parts; !found && *p; p++)
        found = find_in((*p)->routes, r, ret_other_method);
    return found;
}

bool route_is_slow(struct request *r)
{
    bool other;
    const struct route *route = find(r, &other);
    return route && (route->flags & ROUTE_SLOW);
}

/* ---- the checks */

static bool may(struct request *r, const struct route *route, struct reply *reply)
{
    bool open = route->right == RIGHT_NONE || ((route->flags & ROUTE_STATUS) && r->loopback);
    if (open || r->actor.right >= route->right)
        return true;
    if (r->actor.via == ACTOR_NOBODY && (route->flags & ROUTE_HTML)) {
        reply_redirect(reply, "/login");
        return false;
    }
    if (r->actor.via == ACTOR_NOBODY)
        return reply_error(reply, 401, "auth",
                           "log in, or send 'Authorization: Bearer TOKEN' ('release token add' "
                           "makes one)");
    return reply_error(reply, 403, "auth", "%s is a %s; this needs the role %s", r->actor.name,
                       right_name(r->actor.right), right_name(route->right));
}

static bool meant(struct request *r, const struct route *route, struct reply *reply)
{
    if (strcmp(r->method, "POST") != 0 || (route->flags & ROUTE_SIGNED) || route->right == RIGHT_NONE)
        return true;
    return auth_csrf_ok(r) ||
           reply_error(reply, 403, "csrf",
                       "the form's token is missing or of another login; load the page again and repeat");
}

static bool allowed(struct request *r, const struct route **ret, struct reply *reply)
{
    bool other_method;
    if (!host_ok(r->serve, request_header(r, "Host")))
        return reply_error(reply, 421, "host",
                           "this server is not reached by that name; `url:` in serve.yml says "
                           "which it has");
    const struct route *route = find(r, &other_method);
    if (!(route && (route->flags & ROUTE_SIGNED)) && !origin_ok(r->serve, r))
        return reply_error(reply, 403, "origin", "asked for by a page of another site");
    if (!route && other_method)
        return reply_error(reply, 405, "method", "not with %s", r->method);
    if (!route)
        return reply_error(reply, 404, "not-found", "there is nothing at this path");
    *ret = route;
    if (!(route->flags & ROUTE_SIGNED) && !auth_find(r, reply))
        return false;
    return may(r, route, reply) && meant(r, route, reply);
}

void request_serve(struct request *r, struct reply *reply)
{
    const struct route *route = NULL;
    if (allowed(r, &route, reply)) {
        route->handle(r, reply);
        if (reply->status == 0)
            reply_error(reply, 500, "internal", "the handler of this path gave no answer");
    }
}
