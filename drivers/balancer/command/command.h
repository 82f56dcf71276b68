/* SPDX-License-Identifier: MIT */
/* command: a balancer behind a program of the user's, which is asked in JSON on its stdin and answers in JSON
 * on its stdout (docs/balancers.md has the exact form). */
#ifndef RELEASE_DRIVERS_BALANCER_COMMAND_H
#define RELEASE_DRIVERS_BALANCER_COMMAND_H

#include <jansson.h>

#include "drivers/balancer/balancer.h"

#define COMMAND_FORM 1 /* the version of the form, in every question */

/* ---- pure: parse.c ----------------------------------------------------------------------------------------
 */

/* Letters, digits and "._:@~-": what facts can hold. */
bool command_name_valid(const char *s);
/* The answer to `list`. *io_can loses what the program does not say that it can. */
bool command_parse_list(const char *text, bool with_counts, struct arena *a, unsigned *io_can,
                        struct lb_table *ret, struct err *err);
/* The answer to a write: {"ok": true} or {"refused": "words"}; *ret_refusal NULL: taken. */
bool command_parse_done(const char *text, struct arena *a, const char **ret_refusal, struct err *err);

/* ---- ask.c ------------------------------------------------------------------------------------------------
 */

/* Runs the program once: `question` on its stdin (taken over). Its whole stdout, or NULL: op failed. */
const char *command_ask(struct lb *lb, size_t peer, json_t *question);

#endif
