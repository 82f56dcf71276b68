/* SPDX-License-Identifier: MIT */
/* Ways back in words, the same at every door: which may be meant, what they come to, and why a plain rollback
 * does not take back what was done last. */
#include <inttypes.h>
#include <string.h>

#include "watch/json.h"

const char *back_name(const struct release_info *r, struct arena *arena)
{
    auto_buf struct buf out = BUF_INIT(1024);
    if (r->rev_typed[0] && !str_starts(r->rev, r->rev_typed)) {
        text_visible(&out, r->rev_typed, strlen(r->rev_typed));
        buf_puts(&out, " ");
    }
    buf_printf(&out, "%.12s", r->rev);
    return arena_strdup(arena, buf_str(&out));
}

bool lock_never_begun(const struct lock_info *lock)
{
    return lock->held && lock->release == 0 && lock->holder == HOLDER_DEAD;
}

const char *back_story(const struct env_state *st, const struct release_info *back, struct arena *arena)
{
    const struct release_info *last = st->last;
    const char *this = arena_printf(arena, "this takes back %s %" PRId64 " (%s)", kind_name(back->kind),
                                    back->id, back_name(back, arena));
    if (lock_never_begun(&st->lock))
        return arena_printf(
            arena, "the last order (%s) died before its plan was frozen, nothing of it was touched; %s",
            lock_text(&st->lock, arena), this);
    if (!last || last->id <= back->id)
        return "";
    if (last->exit_status == EXIT_ROLLED_BACK && last->back == BACK_UNTOUCHED)
        return arena_printf(arena, "%s %" PRId64 " failed and switched nothing; %s", kind_name(last->kind),
                            last->id, this);
    if (last->exit_status == EXIT_ROLLED_BACK)
        return arena_printf(arena, "%s %" PRId64 " %s already; %s", kind_name(last->kind), last->id,
                            last->back == BACK_ORDERED ? "is taken back" : "failed and is back", this);
    if (last->of_release > back->id)
        return arena_printf(arena, "release %" PRId64 " was taken back by %s %" PRId64 "; %s",
                            last->of_release, kind_name(last->kind), last->id, this);
    return arena_printf(arena, "%s %" PRId64 " (%s) stays as it is; %s", kind_name(last->kind), last->id,
                        end_text(last), this);
}

/* ---- the way that was asked for */

static bool one_way(const struct back_way *way, struct err *err)
{
    const struct {
        const char *name;
        bool given;
    } ways[] = {{"release", way->release > 0}, {"to", way->to != NULL}, {"before", way->before > 0}};
    const char *first = NULL;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (ways[i].given && first)
            return err_set(err, E_USAGE,
                           "rollback: --%s and --%s say two things; give one; nothing was touched", first,
                           ways[i].name);
        if (ways[i].given)
            first = ways[i].name;
    }
    return true;
}

static bool is_of(struct reader r, const char *env, int64_t id, const struct release_info *it,
                  struct err *err)
{
    if (!it)
        return err_set(err, E_USAGE,
                       "rollback: there is no release %" PRId64
                       "; 'release history %s' lists them; nothing was touched",
                       id, env);
    return env_same(r, it->env, env) ||
           err_set(err, E_USAGE,
                   "rollback: release %" PRId64
                   " is of %s, not of %s; 'release history %s' lists them; nothing was touched",
                   id, it->env, env, env);
}

static bool was_finished(const struct release_info *r, struct err *err)
{
    bool changes = KIND_MOVES(r->kind);
    return (changes && (r->exit_status == EXIT_RELEASED || r->resumable)) ||
           err_set(err, E_USAGE,
                   "rollback: %s %" PRId64
                   " ended with %d (%s); only a release that was finished can be taken back by number; "
                   "'--before %" PRId64 "' goes to what every node ran before it; nothing was touched",
                   kind_name(r->kind), r->id, r->exit_status, end_text(r), r->id);
}

bool back_way_ok(struct reader r, const char *env, const struct back_way *way, struct release_info **ret,
                 struct err *err)
{
    int64_t id = way->release ? way->release : way->before;
    *ret = NULL;
    if (!one_way(way, err))
        return false;
    if (id == 0)
        return true;
    return release_get(r, id, ret, err) && is_of(r, env, id, *ret, err) &&
           (way->before || was_finished(*ret, err));
}

const char *back_way_text(const struct back_way *way, const struct release_info *named, struct arena *arena)
{
    auto_buf struct buf to = BUF_INIT(1024);
    if (way->to) { /* a whole commit as it is shown everywhere */
        size_t n = strlen(way->to);
        text_visible(&to, way->to, n == 40 && is_hex(way->to, n) ? 12 : n);
        return arena_printf(arena, "every node to %s", buf_str(&to));
    }
    if (way->before)
        return arena_printf(arena, "every node to what it ran before release %" PRId64, way->before);
    return arena_printf(arena, "takes back release %" PRId64 " (%s)", named->id, back_name(named, arena));
}
