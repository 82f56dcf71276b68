/* SPDX-License-Identifier: MIT */
/* What node scripts answer (drivers/node/sh/lib.sh): lines of facts and refusals, applied to the op, so that a
 * verb is its arguments, its script and one call. Only for scripts that source lib.sh. */
#ifndef RELEASE_DRIVERS_REPORT_H
#define RELEASE_DRIVERS_REPORT_H

#include "drivers/op/driver.h"
#include "drivers/node/node.h"

/* How a script ends that did what it could, and it is not so yet (lib.sh: wait_more). */
#define STATUS_NOT_READY 75

/* Runs the script (node_read, or node_change) and applies its report: facts, say, changed, ready, refusals.
 * The outcome is what the verb returns. A script that ends without a refusal and with a status other than 0
 * is an E_STATUS failure that quotes what it wrote last. */
enum outcome report_read(struct op *op, const struct node_cmd *cmd);
enum outcome report_change(struct op *op, const struct node_cmd *cmd);
/* The same on the controller, whatever the op's target is (git.resolve, git.log). */
enum outcome report_local(struct op *op, const struct node_cmd *cmd);
/* Applies a report that was read already. */
enum outcome report_apply(struct op *op, const struct node_result *res);

/* The last lines of an output on one line, at most 600 bytes, in the op's arena; "" when it is blank. */
const char *report_tail(struct op *op, const char *text);

/* The user that changes on the node are made as: `runas` or `user`, NULL when that is the login user anyway.
 */
const char *report_runas(const struct op *op, const char *param);

/* An argument, or the variable of that name when the argument is not given; "" when there is neither. */
const char *arg_or_var(const struct op *op, const char *name);
/* op_recall, "" when there is none. */
const char *recall_or_empty(const struct op *op, const char *fact);
/* false, op refused: not 40 hex digits. */
bool want_rev(struct op *op, const char *rev);
/* false, op refused: not an absolute path free of "..", control bytes and a trailing slash. */
bool want_path(struct op *op, const char *what, const char *path);
/* `git: {path: ..}`; "" is all of the repository. */
bool want_subdir(struct op *op, const char *path);

#endif
