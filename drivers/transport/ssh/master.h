/* SPDX-License-Identifier: MIT */
/* Logins of the ssh program that stay (master.c), and those to jump hosts, which nodes share (hop.c). */
#ifndef RELEASE_DRIVERS_SSH_MASTER_H
#define RELEASE_DRIVERS_SSH_MASTER_H

#include "drivers/transport/ssh/ssh_priv.h"

struct master_login {
    const char *path; /* of the control socket; ssh's own words go to PATH.log, which stays when it works */
    const char *via;  /* control socket of the jump host's login, NULL = as ssh's configuration says */
    const char *log_level; /* of ssh */
};
/* Logs in to t; a connection that was dropped for too many logins is tried again. *ret_way: what was said on
 * the way through `via`, "" = nothing. */
enum link_end master_login(struct op *op, const struct target *t, const struct master_login *l,
                           const char **ret_way, struct err *err);
bool master_alive(const char *path);
void master_quit(const char *path);
/* In one line, "" = nothing. */
char *log_read(const char *path, struct arena *arena);
/* A path for one more control socket in the directory of conns. NULL with err set. */
const char *master_path(struct op *op, struct conns *conns, struct err *err);

/* ---- jump hosts */

struct hop;
/* The login to the last jump host of t's way, shared with others: a bastion sees a few, not one for each
 * node. NULL in *ret: no jump host. hop_leave when the node's own connection is closed. */
enum link_end hop_join(struct op *op, struct conns *conns, const struct target *t, struct hop **ret,
                       struct err *err);
void hop_leave(struct hop *h);
const char *hop_path(const struct hop *h);
/* How much the jump host has said so far, and why it opened no way since then: NULL when several reasons
 * were given, which may be other nodes'. */
long hop_mark(const struct hop *h);
const char *hop_reason(const struct hop *h, long mark, struct arena *arena);

#endif
