/* SPDX-License-Identifier: MIT */
/* What an exit status means, for people. */
#include "watch/watch.h"

#include <string.h>

const char *exit_text(const char *kind, int exit_status)
{
    bool revision = strcmp(kind, "task") != 0 && strcmp(kind, "exec") != 0;
    bool rollback = strcmp(kind, "rollback") == 0;
    switch (exit_status) {
    case -1: return "unfinished";
    case EXIT_RELEASED: return revision ? "done and verified" : "done";
    case EXIT_ROLLED_BACK:
        return rollback   ? "failed, back on what ran before it"
               : revision ? "failed, back on the old revision"
                          : "failed";
    case EXIT_USAGE: return "refused";
    case EXIT_LOCKED: return "locked";
    case EXIT_STOPPED: return "stopped part-way";
    case EXIT_PERSON: return "needs a person";
    case EXIT_PREFLIGHT: return "preflight failed";
    case EXIT_JOURNAL: return "journal failed";
    case EXIT_SIGINT:
    case EXIT_SIGTERM: return "stopped by a signal";
    default: return "ended";
    }
}

const char *end_text(const struct release_info *r)
{
    bool revision = strcmp(r->kind, "task") != 0 && strcmp(r->kind, "exec") != 0;
    if (r->exit_status == EXIT_ROLLED_BACK && revision && r->back == BACK_ORDERED)
        return "taken back";
    if (r->exit_status == EXIT_ROLLED_BACK && revision && r->back == BACK_UNTOUCHED)
        return "failed, nothing was switched";
    return exit_text(r->kind, r->exit_status);
}
