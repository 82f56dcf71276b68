/* SPDX-License-Identifier: MIT */
/* Why a plain rollback does not take back what was done last: said before it is asked about, everywhere. */
#include <inttypes.h>
#include <string.h>

#include "watch/json.h"

/* "v7 3fa9c1d20b44", in one line that shows what strangers typed and obeys none of it. */
static const char *name_of(const struct release_info *r, struct arena *arena)
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
    const char *this = arena_printf(arena, "this takes back %s %" PRId64 " (%s)", back->kind, back->id,
                                    name_of(back, arena));
    if (lock_never_begun(&st->lock))
        return arena_printf(
            arena, "the last order (%s) died before its plan was frozen, nothing of it was touched; %s",
            lock_text(&st->lock, arena), this);
    if (!last || last->id <= back->id)
        return "";
    if (last->exit_status == EXIT_ROLLED_BACK && last->back == BACK_UNTOUCHED)
        return arena_printf(arena, "%s %" PRId64 " failed and switched nothing; %s", last->kind, last->id,
                            this);
    if (last->exit_status == EXIT_ROLLED_BACK)
        return arena_printf(arena, "%s %" PRId64 " %s already; %s", last->kind, last->id,
                            last->back == BACK_ORDERED ? "is taken back" : "failed and is back", this);
    if (last->of_release > back->id)
        return arena_printf(arena, "release %" PRId64 " was taken back by %s %" PRId64 "; %s",
                            last->of_release, last->kind, last->id, this);
    return arena_printf(arena, "%s %" PRId64 " (%s) stays as it is; %s", last->kind, last->id, end_text(last),
                        this);
}
