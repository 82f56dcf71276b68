/* SPDX-License-Identifier: MIT */
/* `via: controller`: the controller reads the repository once and brings each node the objects it lacks, through
 * the connection that is open anyway. A node then needs no credentials, and the origin is asked once. */
#ifndef RELEASE_DRIVERS_GIT_CARRY_H
#define RELEASE_DRIVERS_GIT_CARRY_H

#include "drivers/op/driver.h"

/* The words of drivers/verbs/sh/git.sh, in its order. Checked; strings of the op. */
struct git_words {
    const char *act, *layout, *dir, *repo, *rev, *force, *via;
};
#define GIT_WORDS(w) (w).act, (w).layout, (w).dir, (w).repo, (w).rev, (w).force, (w).via

/* git.fetch: asks the node what it has, makes (or finds) the pack of what it lacks, sends it in pieces and has
 * it opened. A piece is a change of its own on the node (runner, fence); an attempt after a cut goes on behind
 * the last whole piece. The pack's name there is its SHA-256, which the node checks before it is opened. */
enum outcome git_carry(struct op *op, const struct git_words *words);

/* The mirror's name in the cache for this address, and how long a script there may take. */
const char *git_repo_key(struct op *op, const char *repo);
const char *git_seconds_left(struct op *op);

#endif
