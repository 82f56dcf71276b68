/* SPDX-License-Identifier: MIT */
/* Where the nodes of an environment stand, for the lock: two environments with a site in common (an address
 * and port, or a directory of a machine) are one to it. What is written here is the set that an environment
 * took its lock for last, so it holds for a dead holder and for a lock taken by hand, too. */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "state/store_priv.h"

/* Of a set of thousands that another environment has as well, one line is enough. */
static bool listed(const struct vec *found, const char *env)
{
    const struct site_shared *list = found->data;
    for (size_t i = 0; i < found->n; i++)
        if (strcmp(list[i].env, env) == 0)
            return true;
    return false;
}

static bool others_at(struct reader r, const struct env_key *key, const struct site *site, struct vec *found,
                      struct err *err)
{
    auto_query struct query q;
    if (!query_open(&q, r.store,
                    SQL(SITE_OTHERS, arg_text(site->site), arg_text(key->env), arg_text(key->app)), err))
        return false;
    while (query_next(&q, err)) {
        const char *env = env_from_row(&q, 0, 1, r.arena);
        if (listed(found, env))
            continue;
        *(struct site_shared *)vec_add(found) = (struct site_shared){
            .env = env, .node = site->node, .other_node = query_text(&q, 2, r.arena), .site = site->site};
    }
    return !q.failed;
}

/* A holder that died before its release had a number, or after the last row of it, holds nothing. */
static bool holds(struct reader r, const struct lock_info *lock, bool *ret, struct err *err)
{
    struct release_info *its = NULL;
    *ret = lock->held;
    if (!lock->held || lock->holder != HOLDER_DEAD)
        return true;
    if (lock->release && !release_get(r, lock->release, &its, err))
        return false;
    *ret = its && its->resumable;
    return true;
}

bool sites_shared(struct reader r, const struct sites *at, struct site_shared **ret, size_t *ret_n,
                  struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct site_shared);
    struct env_key key;
    if (!env_resolve(r, at->env, &key, err))
        return false;
    for (size_t i = 0; i < at->n; i++)
        if (!others_at(r, &key, &at->list[i], &found, err))
            return false;
    struct site_shared *list = vec_take(&found, r.arena, ret_n);
    for (size_t i = 0; i < *ret_n; i++)
        if (!lock_get(r, list[i].env, &list[i].lock, err) || !holds(r, &list[i].lock, &list[i].held, err) ||
            !release_unfinished(r, list[i].env, &list[i].unfinished, err))
            return false;
    *ret = list;
    return true;
}

char *site_shared_text(const struct site_shared *x, struct arena *arena)
{
    const char *same =
        strcmp(x->node, x->other_node) == 0 ? "" : arena_printf(arena, " (%s there)", x->other_node);
    return arena_printf(arena, "%s is a node of %s, too%s: %s", x->node, x->env, same, x->site);
}

static bool refuse(const char *env, const struct site_shared *x, struct arena *arena, struct err *err)
{
    const char *text = site_shared_text(x, arena);
    if (x->held)
        return err_set(err, E_LOCKED, "%s: %s; and %s is %s; nothing was touched", env, text, x->env,
                       lock_text(&x->lock, arena));
    return err_set(err, E_LOCKED,
                   "%s: %s; and %s %" PRId64 " of %s is unfinished: 'release resume %s' or 'release rollback "
                   "%s' ends it; nothing was touched",
                   env, text, kind_name(x->unfinished->kind), x->unfinished->id, x->env, x->env, x->env);
}

static bool write_sites(struct store *s, const struct sites *at, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct env_key key;
    bool ok = env_resolve(reader(s, &arena), at->env, &key, err) &&
              sql_run(s, SQL(SITE_DROP, arg_text(key.env), arg_text(key.app)), err);
    for (size_t i = 0; ok && i < at->n; i++)
        ok = sql_run(s,
                     SQL(SITE_ADD, arg_text(at->list[i].site), arg_text(key.app), arg_text(key.env),
                         arg_text(at->list[i].node)),
                     err);
    return ok;
}

bool sites_take(struct store *s, const struct sites *at, bool going_on, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct site_shared *list;
    size_t n_list;
    struct tx tx;
    if (!tx_open(&tx, s, err))
        return false;
    bool ok = sites_shared(reader(s, &arena), at, &list, &n_list, err);
    for (size_t i = 0; ok && i < n_list; i++)
        if (list[i].held || (list[i].unfinished && !going_on))
            ok = refuse(at->env, &list[i], &arena, err);
    return tx_close(&tx, ok && write_sites(s, at, err), err);
}
