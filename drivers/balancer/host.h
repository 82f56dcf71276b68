/* SPDX-License-Identifier: MIT */
/* A balancer that is asked and told by a script on its own host, through SSH or on this machine (nginx, lvs). */
#ifndef RELEASE_DRIVERS_BALANCER_HOST_H
#define RELEASE_DRIVERS_BALANCER_HOST_H

#include "drivers/balancer/balancer.h"
#include "drivers/node/node.h"

#define LB_COMMAND_MAX 16 /* words of `command` */
#define LB_ARGS_MAX    (8 + LB_COMMAND_MAX)

/* Pure: a name or an address as ssh takes it. */
bool lb_host_valid(const char *s);
/* For `open`: every peer is one. */
bool lb_hosts_open(struct lb *lb);
/* For a verb's `check`: the words by which the balancer's own program is called there. */
bool lb_command_check(const char *value, const char *example, struct err *err);

/* A script, and what it is given. */
struct lb_words {
    const char *script;
    const char *args[LB_ARGS_MAX + 1];
    size_t n;
};
void lb_words_add(struct lb_words *w, const char *word);
/* Those of `command`; a verb's `check` has seen that they fit. */
void lb_words_add_command(struct lb *lb, struct lb_words *w);
/* How long to wait there for others, so that it is told before the op's deadline ends everything. */
const char *lb_seconds_left(struct op *op, int64_t most);

/* A look. false: op failed, by the script's own words where it had some. */
bool lb_host_ask(struct lb *lb, size_t peer, const struct lb_words *w, size_t max_out,
                 struct node_result *ret);
/* A change, under the lock of path's directory there (host_change). *ret_refusal: it was certainly not made. */
bool lb_host_tell(struct lb *lb, size_t peer, const char *path, const struct lb_words *w,
                  const char **ret_refusal);

#define LB_P_HOSTS(what)                                                                                     \
    {                                                                                                        \
        .name = "hosts", .type = PARAM_LIST, .deflt = "[\"localhost\"]",                                     \
        .help = "where " what                                                                                \
                " runs, through SSH as the nodes are reached; localhost, 127.0.0.1, ::1: this machine. "     \
                "Several are one"                                                                            \
    }
#define LB_P_RUNAS                                                                                           \
    {                                                                                                        \
        .name = "runas", .type = PARAM_STR, .help = "user on those hosts, by sudo; default: who logs in"     \
    }

#endif
