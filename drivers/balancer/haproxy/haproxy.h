/* SPDX-License-Identifier: MIT */
/* HAProxy's runtime API (2.4 and later; 2.6 is what the tests run).
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
    int port;   /* 0: the client's, or not told */
    bool agent; /* an agent check is configured and runs: what it says changes state and weight */
    /* from `show stat`, when asked for */
    int64_t sessions, queued;
    struct lb_traffic traffic;
    const char *status, *check_status;
};
enum lb_state hap_state_of(const struct hap_server *s);
/* Out by an administrator's word. A server that is merely DOWN comes back by itself: not out. */
bool hap_is_out(const struct hap_server *s);
/* Gets new requests now. */
bool hap_is_serving(const struct hap_server *s);
/* With `show stat`: its checks have made up their mind that it is fine, or it has none. */
bool hap_is_up(const struct hap_server *s);

struct hap_table {
    struct hap_server *rows;
    size_t n;
};
struct hap_server *hap_table_find(const struct hap_table *t, const char *name);
/* `show servers state [BACKEND]`, by its header line; backend NULL: all of them. false: not such an answer,
 * err says what came. */
bool hap_parse_state(const char *text, const char *backend, struct arena *a, struct hap_table *ret,
                     struct err *err);
/* `show stat #BACKEND_ID 4 -1`, by its header line, into the rows of the same name. */
bool hap_parse_stat(const char *text, const char *backend, struct arena *a, struct hap_table *io,
                    struct err *err);

/* ---- dialog: cli.c --------------------------------------------------------- */

/* One command over a connection of its own; the whole answer. NULL: op_fail or op_refused was called. */
char *hap_ask(struct op *op, const struct hap_socket *s, const char *command);

/* varnish-service looks at HAProxies, too. */
extern const struct balancer haproxy_balancer;

#endif
