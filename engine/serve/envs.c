/* SPDX-License-Identifier: MIT */
/* Which environments there are, and what a path says of one. */
#include <string.h>

#include "serve/api.h"
#include "plans/pillar.h"
#include "watch/json.h"

bool api_number(const struct request *r, size_t i, int64_t *ret, struct reply *reply)
{
    const char *text = r->vars[i];
    size_t n = strspn(text, "0123456789");
    *ret = n > 0 && n <= 18 && text[n] == '\0' ? strtoll(text, NULL, 10) : 0;
    return *ret > 0 ||
           reply_error(reply, 404, "not-found", "'%s' is no number; wanted one of at least 1", text);
}

static bool has(const char *const *envs, size_t n, const char *env)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(envs[i], env) == 0)
            return true;
    return false;
}

const char *const *api_envs(struct serve *s, struct store *store, struct arena *arena, size_t *ret_n)
{
    const char *const *pillar = pillar_envs(s->options.root, arena);
    const char *const *list;
    struct err err;
    size_t n = 0, n_list = 0, most = 0;
    if (!env_all(reader(store, arena), &list, &n_list, &err))
        n_list = 0; /* whatever is read next says why */
    while (pillar && pillar[most])
        most++;
    const char **envs = arena_array(arena, most + n_list + 1, sizeof *envs);
    for (; n < most; n++)
        envs[n] = pillar[n];
    for (size_t i = 0; i < n_list; i++)
        if (!has(envs, n, list[i]))
            envs[n++] = list[i];
    *ret_n = n;
    return envs;
}

size_t api_apps(struct store *store, const char *const *envs, size_t n, struct arena *arena)
{
    size_t n_apps = 0;
    const char **apps = arena_array(arena, n + 1, sizeof *apps);
    for (size_t i = 0; i < n; i++) {
        const char *app = env_app(store, envs[i], arena);
        if (app[0] && !has(apps, n_apps, app))
            apps[n_apps++] = app;
    }
    return n_apps;
}

size_t serve_apps(struct serve *s, struct store *store, struct arena *arena)
{
    size_t n;
    const char *const *envs = api_envs(s, store, arena, &n);
    return api_apps(store, envs, n, arena);
}

bool api_env_known(struct request *r, struct reply *reply)
{
    struct release_info *list;
    struct err err;
    size_t n = 0;
    const char *env = r->vars[0];
    if (!env_valid(env))
        return reply_error(reply, 404, "not-found", "'%s' cannot be an environment's name: " NAME_WANTED,
                           env);
    if (!release_list(reader(r->store, r->arena), &(struct newest){.env = env, .limit = 1}, &list, &n, &err))
        return reply_err(reply, &err);
    if (n > 0)
        return true;
    const char *const *envs = pillar_envs(r->serve->options.root, r->arena);
    for (size_t i = 0; envs && envs[i]; i++)
        if (strcmp(envs[i], env) == 0)
            return true;
    return reply_error(reply, 404, "not-found",
                       "neither the pillar nor the journal knows the environment '%s'", env);
}
