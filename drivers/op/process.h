/* SPDX-License-Identifier: MIT */
/* A program on the controller: pipes, own process group, reaped by pidfd. One thread each. */
#ifndef RELEASE_DRIVERS_PROCESS_H
#define RELEASE_DRIVERS_PROCESS_H

#include "drivers/op/call.h"
#include "drivers/op/driver.h"

struct process;

/* NULL: err says why it could not be started. req must live until process_free. */
struct process *process_start(const char *const *argv, const struct call_req *req, struct err *err);
enum link_end process_pump(struct op *op, struct process *c, int64_t bound_ms, struct call_end *ret,
                           struct err *err);
/* The pump ended with LINK_LATE or LINK_CANCELED: the op fails with the words for it. */
void process_fail(struct op *op, enum link_end end);
void process_free(struct process *c); /* kills the group when it still runs */

#endif
