/* SPDX-License-Identifier: MIT */
/* HAProxy's runtime API (2.4 and later; 2.6 is what the tests run, answers of others stand in test_haproxy_parse).
 *
 * One command per connection, answered until HAProxy closes. A silent success is exactly "\n"; any other
 * answer to a write is a refusal. State is judged by the admin bits of `show servers state`, never by the
 * status text of `show stat` (docs/protocols.md#haproxy). Everything lives in the op's arena. */
#ifndef RELEASE_DRIVERS_HAPROXY_H
#define RELEASE_DRIVERS_HAPROXY_H

#include "drivers/balancer/balancer.h"

/* ---- pure: parse.c ------------------------------------------------- */

struct hap_socket {
    const char *text; /* as in the pillar: its name in facts and messages */
    const char *host; /* tcp: host; unix@host: the balancer's host; NULL for a local unix socket */
    const char *path; /* unix socket, NULL for tcp */
    int port;         /* tcp */
    bool master;      /* haproxy -S: it does not close after an answer before we do */
};
/* "tcp://host:port", "tcp://[::1]:port", "unix:///path", "unix:///path@host". */
bool hap_socket_parse(const char *text, struct arena *a, struct hap_socket *ret, struct err *err);

/* Names of backends and servers go into a command line: [A-Za-z0-9._:-] only (docs/promises.md#s20). */
bool hap_name_valid(const char *s);
#define HAP_NAME_WANTED "letters, digits and ._:-, at most 200, none of -# first"

struct hap_server {
    const char *backend, *name;
    int backend_id; /* a frontend may have the backend's name, never its number */
    int op_state;   /* 0 stopped, 1 starting, 2 running, 3 stopping */
    unsigned admin_bits;
    int weight; /* the one in use now, absolute */
    const char *addr;
    int port;     /* 0: the client's, or not told */
    bool agent;   /* an agent check is configured and runs: what it says changes state and weight */
    bool standby; /* hap_stand_by: a backup, and others serve */
    /* from `show stat`, when asked for */
    int64_t sessions, queued;
    struct lb_traffic traffic;
    bool backup;
    const char *tracked; /* "BACKEND/SERVER"; NULL: none */
    const char *status, *check_status;
};
/* What was said of this server itself: it is recorded, put and read back, whatever the one that it tracks is. */
enum lb_state hap_state_of(const struct hap_server *s);
/* LB_DRAIN or LB_MAINT: one that it tracks is; put in, it stays out until that one is in. LB_UNKNOWN: neither. */
enum lb_state hap_inherited_of(const struct hap_server *s);
/* Out by an administrator's word, of this server or of one that it tracks. A server that is merely DOWN, or whose name the resolvers do not know, comes back by
 * itself: not out. */
bool hap_is_out(const struct hap_server *s);
/* Gets new requests now. */
bool hap_is_serving(const struct hap_server *s);
/* With `show stat`: its checks have made up their mind that it is fine, or it has none. */
bool hap_is_up(const struct hap_server *s);

struct hap_table {
    struct hap_server *rows;
    size_t n;
};
/* `show servers state [BACKEND]`, by its header line; backend NULL: all of them. false: not such an answer,
 * err says what came. */
bool hap_parse_state(const char *text, const char *backend, struct arena *a, struct hap_table *ret,
                     struct err *err);
/* `show stat #BACKEND_ID 4 -1`, or of all backends (-1, backend NULL), by its header line, into the rows of the same
 * backend and name. */
bool hap_parse_stat(const char *text, const char *backend, struct arena *a, struct hap_table *io,
                    struct err *err);
/* After hap_parse_stat: a backup gets requests when no other server of its backend does, the first of them alone (but with
 * `option allbackups`, which nobody tells). floor: and it is counted as soon as one single server is left for which it
 * would stand in. */
void hap_stand_by(struct hap_table *io, bool floor);

struct hap_key {
    const char *backend, *server;
};
/* Sessions and queue of one server, in an old worker's `show stat -1 4 -1`; -1: it has no such row. Before 2.4 stopped
 * proxies have none. */
bool hap_parse_left(const char *text, struct hap_key of, struct arena *a, int64_t *ret, struct err *err);

/* ---- pure: parse_master.c ---------------------------------------------------- */

#define HAP_OLD_MAX 256
struct hap_pids {
    int pids[HAP_OLD_MAX];
    size_t n;
};
/* `show proc` of a master: the workers that were there before a reload and have not ended. */
bool hap_parse_old_workers(const char *text, struct arena *a, struct hap_pids *ret, struct err *err);
/* `show sess`: the ids of those on this server. */
struct hap_ids {
    const char **ids;
    size_t n;
};
bool hap_parse_sessions(const char *text, struct hap_key of, struct arena *a, struct hap_ids *ret,
                        struct err *err);

/* ---- dialog: cli.c --------------------------------------------------------- */

/* One command over a connection of its own; the whole answer. NULL: op_fail or op_refused was called. */
char *hap_ask(struct op *op, const struct hap_socket *s, const char *command);
/* The same of somebody who may end before the answer: that is "". */
char *hap_ask_ending(struct op *op, const struct hap_socket *s, const char *command);

/* ---- old workers: master.c ---------------------------------------------------- */

/* Is it a master's? false: op_fail or op_refused was called. */
bool hap_master_fits(struct lb *lb, const struct hap_socket *master);
/* Adds what old workers of this master still have on our server to its rows. */
bool hap_add_old(struct lb *lb, const struct hap_socket *master, const char *peer, struct lb_table *io);
/* Ends it there. */
bool hap_kill_old(struct lb *lb, const struct hap_socket *master, struct hap_key of,
                  const char **ret_refusal);

/* varnish-service looks at HAProxies, too. */
extern const struct balancer haproxy_balancer;

#endif
