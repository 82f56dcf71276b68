/* SPDX-License-Identifier: MIT */
/* What an exit status means, for people. */
#include "watch/watch.h"

#define CASE(name, status, text)                                                                             \
    case status: return text;

const char *exit_text(enum release_kind kind, int exit_status)
{
    if (exit_status == EXIT_RELEASED && !KIND_MOVES(kind))
        return "done";
    if (exit_status == EXIT_ROLLED_BACK && kind != KIND_RELEASE)
        return kind == KIND_ROLLBACK ? "failed, back on what ran before it" : "failed";
    switch (exit_status) {
        EXIT_LIST(CASE)
    case -1: return "unfinished";
    default: return "ended";
    }
}

const char *end_text(const struct release_info *r)
{
    if (r->exit_status == EXIT_ROLLED_BACK && KIND_MOVES(r->kind) && r->back == BACK_ORDERED)
        return "taken back";
    if (r->exit_status == EXIT_ROLLED_BACK && KIND_MOVES(r->kind) && r->back == BACK_UNTOUCHED)
        return "failed, nothing was switched";
    return exit_text(r->kind, r->exit_status);
}
