/* SPDX-License-Identifier: MIT */
/* What cmd.run and npm.install share: where a command of the pillar runs, as whom, with which environment,
 * and how its end is reported. */
#ifndef RELEASE_DRIVERS_JOBRUN_H
#define RELEASE_DRIVERS_JOBRUN_H

#include "drivers/node/node.h"

/* The directory that relative paths start from: the release's (on the way back the one of before), "" when
 * the plan has no revision. */
const char *jobrun_base(struct op *op);
/* `name` of the arguments relative to jobrun_base; NULL = the login directory. */
const char *jobrun_cwd(struct op *op, const char *name);
/* The release directory when this is a prepare step beside the running release, "" otherwise: such a step is
 * not repeated once the directory is complete. */
const char *jobrun_built_dir(struct op *op);
/* The checkout that this step may change, "" when the release is no checkout: what the step changes there is
 * noted by script_tree, so that no later release takes it for a change by hand. */
const char *jobrun_checkout(struct op *op);
/* RELEASE_* and then the map `env`. */
const struct op_pair *jobrun_env(struct op *op, size_t *ret_n);
/* ok, skipped, or refused with the last lines of output. */
enum outcome jobrun_judge(struct op *op, const struct node_result *res);
/* Observe by what the runner knows of the step's job. */
enum outcome jobrun_observe(struct op *op);
/* The same for who has asked node_job. */
enum outcome jobrun_seen(struct op *op, enum node_job job, int status);

#endif
