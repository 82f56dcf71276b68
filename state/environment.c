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
static bool one_text(struct store *s, enum sql id, const char *a, const char *b, struct arena *arena,
                     const char **ret, struct err *err)
{
    auto_query struct query q;
    *ret = NULL;
    if (!query_open(&q, s, id, ARGS(arg_text(a), arg_text(b)), err))
        return false;
    if (query_next(&q, err))
        *ret = query_text(&q, 0, arena);
    return !q.failed;
}

/* Was it last released from another tree, one that is still there? (One that is gone has moved here.) */
static bool elsewhere(struct store *s, const char *env, const char *app, struct arena *arena, bool *ret,
                      struct err *err)
{
    const char *root;
    *ret = false;
    if (!s->root)
        return true;
    if (!one_text(s, SQL_ENV_ROOT, env, app, arena, &root, err))
        return false;
    *ret = root && root[0] && strcmp(root, s->root) != 0 && (access(root, F_OK) == 0 || errno != ENOENT);
    return true;
}

static bool next_app(struct store *s, const char *env, const char *after, struct arena *arena,
                     const char **ret, struct err *err)
{
    if (!one_text(s, SQL_ENV_APP_NEXT, env, after, arena, ret, err))
        return false;
    if (*ret && !(*ret)[0])
        *ret = NULL;
    return true;
}

/* The applications with an environment of this name that a bare name may mean here. */
static bool the_only_one(struct store *s, const char *env, struct arena *arena, const char **ret_app,
                         struct err *err)
{
    auto_buf struct buf names = BUF_INIT(300);
    const char *found = "";
    size_t n = 0;
    bool other;
    for (const char *app = "";;) {
        if (!next_app(s, env, app, arena, &app, err))
            return false;
        if (!app)
            break;
        if (!elsewhere(s, env, app, arena, &other, err))
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
                            env, n, store_place(s), buf_str(&names), found, env);
}

static const char *said_app(const struct store *s, const char *env)
{
    for (size_t i = 0; i < s->n_said; i++)
        if (strcmp(s->said[i].env, env) == 0)
            return s->said[i].app;
    return NULL;
}

bool env_resolve(struct store *s, const char *name, struct arena *arena, struct env_key *ret, struct err *err)
{
    const char *bare = env_bare(name), *app;
    *ret = (struct env_key){.app = "", .env = bare};
    if (bare != name) {
        ret->app = arena_printf(arena, "%.*s", (int)(bare - 1 - name), name);
        return true;
    }
    if ((app = said_app(s, bare))) {
        ret->app = arena_strdup(arena, app);
        return true;
    }
    if (s->root) {
        if (!one_text(s, SQL_ENV_OF_ROOT, bare, s->root, arena, &app, err))
            return false;
        if (app) {
            ret->app = app;
            return true;
        }
    }
    return the_only_one(s, bare, arena, &ret->app, err);
}

const char *env_name(struct store *s, const char *app, const char *env, struct arena *arena)
{
    struct env_key key;
    struct err err;
    bool plain = app[0] == '\0' || (env_resolve(s, env, arena, &key, &err) && strcmp(key.app, app) == 0);
    return plain ? arena_strdup(arena, env) : arena_printf(arena, "%s:%s", app, env);
}

const char *env_from_row(const struct query *q, int app_column, int env_column, struct arena *arena)
{
    return env_name(q->store, query_text(q, app_column, arena), query_text(q, env_column, arena), arena);
}

bool env_all(struct store *s, struct arena *arena, const char *const **ret, size_t *ret_n, struct err *err)
{
    auto_vec struct vec found = VEC_INIT(const char *);
    for (const char *env = "";;) {
        if (!one_text(s, SQL_ENV_NEXT, env, NULL, arena, &env, err))
            return false;
        if (!env || !env[0])
            break;
        for (const char *app = "";;) {
            if (!next_app(s, env, app, arena, &app, err))
                return false;
            if (!app)
                break;
            *(const char **)vec_add(&found) = env_name(s, app, env, arena);
        }
    }
    *ret = vec_take(&found, arena, ret_n);
    return true;
}

bool env_same(struct store *s, const char *a, const char *b, struct arena *arena)
{
    struct env_key one, two;
    struct err err;
    return env_resolve(s, a, arena, &one, &err) && env_resolve(s, b, arena, &two, &err) &&
           strcmp(one.env, two.env) == 0 && strcmp(one.app, two.app) == 0;
}

/* ---- the journal itself */

bool store_identity(struct store *s, struct arena *arena, const char **ret, struct err *err)
{
    auto_query struct query q;
    *ret = "";
    if (!query_open(&q, s, SQL_SELF, NO_ARGS, err))
        return false;
    if (query_next(&q, err))
        *ret = query_text(&q, 0, arena);
    return !q.failed;
}
