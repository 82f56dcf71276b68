/* SPDX-License-Identifier: MIT */
/* Which environment a name means. An environment is (application, name): two applications may have a `prod`
 * each, in one journal. People say `prod` in their own tree and `shop:prod` anywhere; everything here takes
 * both, and whatever comes out of the journal bears the shortest name that leads back to it.
 *
 * A bare name belongs to the tree (store_scope): what its pillar says (store_app), else what was last
 * released from it. An environment of another tree is never meant by a bare name. Without a tree it is the
 * only one of that name, and where there are several, none is guessed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/str.h"
#include "state/store_priv.h"

/* ---- the tree */

void store_scope(struct store *s, const char *root)
{
    free(s->root);
    s->root = root && root[0] ? xstrdup(root) : NULL;
}

void store_app(struct store *s, const char *env, const char *app)
{
    const char *bare = env_bare(env);
    for (size_t i = 0; i < s->n_said; i++)
        if (strcmp(s->said[i].env, bare) == 0) {
            free(s->said[i].app);
            s->said[i].app = xstrdup(app);
            return;
        }
    s->said = xrealloc(s->said, (s->n_said + 1) * sizeof(*s->said));
    s->said[s->n_said++] = (struct app_said){.env = xstrdup(bare), .app = xstrdup(app)};
}

/* ---- names */

const char *env_bare(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

bool env_valid(const char *name)
{
    auto_buf struct buf app = BUF_INIT(ENV_NAME_MAX);
    const char *bare = env_bare(name);
    if (bare == name)
        return name_valid(name, 64);
    buf_add(&app, name, (size_t)(bare - 1 - name));
    return name_valid(buf_str(&app), 64) && name_valid(bare, 64);
}

/* One text of a question; *ret NULL: no row. */
static bool one_text(struct reader r, const struct statement *what, const char **ret, struct err *err)
{
    auto_query struct query q;
    *ret = NULL;
    if (!query_open(&q, r.store, what, err))
        return false;
    if (query_next(&q, err))
        *ret = query_text(&q, 0, r.arena);
    return !q.failed;
}

/* Was it last released from another tree, one that is still there? (One that is gone has moved here.) */
static bool elsewhere(struct reader r, const char *env, const char *app, bool *ret, struct err *err)
{
    const char *root;
    *ret = false;
    if (!r.store->root)
        return true;
    if (!one_text(r, SQL(ENV_ROOT, arg_text(env), arg_text(app)), &root, err))
        return false;
    *ret =
        root && root[0] && strcmp(root, r.store->root) != 0 && (access(root, F_OK) == 0 || errno != ENOENT);
    return true;
}

static bool next_app(struct reader r, const char *env, const char *after, const char **ret, struct err *err)
{
    if (!one_text(r, SQL(ENV_APP_NEXT, arg_text(env), arg_text(after)), ret, err))
        return false;
    if (*ret && !(*ret)[0])
        *ret = NULL;
    return true;
}

/* The applications with an environment of this name that a bare name may mean here. */
static bool the_only_one(struct reader r, const char *env, const char **ret_app, struct err *err)
{
    auto_buf struct buf names = BUF_INIT(300);
    const char *found = "";
    size_t n = 0;
    bool other;
    for (const char *app = "";;) {
        if (!next_app(r, env, app, &app, err))
            return false;
        if (!app)
            break;
        if (!elsewhere(r, env, app, &other, err))
            return false;
        if (other)
            continue;
        buf_printf(&names, "%s%s:%s", n++ ? ", " : "", app, env);
        found = app;
    }
    *ret_app = found;
    return n < 2 || err_set(err, E_USAGE,
                            "'%s' is an environment of %zu applications in the journal %s: %s; say which, as "
                            "in '%s/%s'",
                            env, n, store_place(r.store), buf_str(&names), found, env);
}

static const char *said_app(const struct store *s, const char *env)
{
    for (size_t i = 0; i < s->n_said; i++)
        if (strcmp(s->said[i].env, env) == 0)
            return s->said[i].app;
    return NULL;
}

bool env_resolve(struct reader r, const char *name, struct env_key *ret, struct err *err)
{
    const char *bare = env_bare(name), *app;
    *ret = (struct env_key){.app = "", .env = bare};
    if (bare != name) {
        ret->app = arena_printf(r.arena, "%.*s", (int)(bare - 1 - name), name);
        return true;
    }
    if ((app = said_app(r.store, bare))) {
        ret->app = arena_strdup(r.arena, app);
        return true;
    }
    if (r.store->root) {
        if (!one_text(r, SQL(ENV_OF_ROOT, arg_text(bare), arg_text(r.store->root)), &app, err))
            return false;
        if (app) {
            ret->app = app;
            return true;
        }
    }
    return the_only_one(r, bare, &ret->app, err);
}

const char *env_name(struct reader r, const char *app, const char *env)
{
    struct env_key key;
    struct err err;
    bool plain = app[0] == '\0' || (env_resolve(r, env, &key, &err) && strcmp(key.app, app) == 0);
    return plain ? arena_strdup(r.arena, env) : arena_printf(r.arena, "%s:%s", app, env);
}

const char *env_from_row(const struct query *q, int app_column, int env_column, struct arena *arena)
{
    return env_name(reader(q->store, arena), query_text(q, app_column, arena),
                    query_text(q, env_column, arena));
}

bool env_all(struct reader r, const char *const **ret, size_t *ret_n, struct err *err)
{
    auto_vec struct vec found = VEC_INIT(const char *);
    for (const char *env = "";;) {
        if (!one_text(r, SQL(ENV_NEXT, arg_text(env), arg_text(NULL)), &env, err))
            return false;
        if (!env || !env[0])
            break;
        for (const char *app = "";;) {
            if (!next_app(r, env, app, &app, err))
                return false;
            if (!app)
                break;
            *(const char **)vec_add(&found) = env_name(r, app, env);
        }
    }
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}

bool env_same(struct reader r, const char *a, const char *b)
{
    struct env_key one, two;
    struct err err;
    return env_resolve(r, a, &one, &err) && env_resolve(r, b, &two, &err) && strcmp(one.env, two.env) == 0 &&
           strcmp(one.app, two.app) == 0;
}

/* ---- the journal itself */

bool store_identity(struct reader r, const char **ret, struct err *err)
{
    auto_query struct query q;
    *ret = "";
    if (!query_open(&q, r.store, SQL(SELF), err))
        return false;
    if (query_next(&q, err))
        *ret = query_text(&q, 0, r.arena);
    return !q.failed;
}
