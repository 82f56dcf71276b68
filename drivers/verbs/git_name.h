/* SPDX-License-Identifier: MIT */
/* Naming a commit of the controller's mirror; for git.resolve and for what keeps versions there (source.resolve). */
#ifndef RELEASE_DRIVERS_GIT_NAME_H
#define RELEASE_DRIVERS_GIT_NAME_H

#include "drivers/op/driver.h"

/* What a revision must be, and what is asked of it beside. Strings of the op; NULL and 0: nothing. */
struct git_wants {
    const char *submodules, *lfs; /* "ignore": it may have some; else refused */
    const char *subdir;           /* the application is this directory of it */
    const char *allow;            /* patterns of branches, one a line */
    const char *max_age;          /* seconds */
    const char *keyring, *signers;
    const char *const *shared; /* words of `shared:`: which of them does it hold? */
    size_t n_shared;
};

/* Facts rev (40 hex), rev_kind, subject, author, date, and what was wanted and is not so (guard.NAME, path_trouble), as
 * git.resolve reports them. name: as typed, sound (rev_valid). */
enum outcome git_name(struct op *op, const char *repo, const char *name, const struct git_wants *wants);

#endif
