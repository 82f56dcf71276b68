/* SPDX-License-Identifier: MIT */
/* nginx as a balancer, open source: it has no runtime API. A file of servers stands inside an upstream block by
 * `include`; a server's word `down` is written there and nginx reloaded, on its own host (../sh/nginx.sh).
 *
 * What nginx runs is what the file says when all of its workers that take connections were started after the file was
 * last changed. Else nobody knows, and the state is LB_UNKNOWN: nothing follows from it, and a put reloads. Workers that
 * are shutting down have the former configuration and may still send to the server: they are what is waited for. */
#ifndef RELEASE_DRIVERS_BALANCER_NGINX_H
#define RELEASE_DRIVERS_BALANCER_NGINX_H

#include "drivers/balancer/balancer.h"

/* ---- pure: servers.c --------------------------------------------------------------------------------------
 */

struct nginx_server {
    const char *addr; /* as it is written: HOST[:PORT], [V6][:PORT] */
    const char *host;
    int port;         /* 80 where none is written */
    const char *name; /* the word behind the line's '#', when it is one word; else NULL */
    bool down;
    int line;
};
struct nginx_servers {
    struct nginx_server *rows;
    size_t n;
};

/* HOST, HOST:PORT, [V6], [V6]:PORT; false: no such address (a variable, a unix socket). */
bool nginx_addr_parse(const char *text, struct arena *a, const char **ret_host, int *ret_port);
/* What facts can hold: an address, or a name of letters, digits and "._:@~[]-". */
bool nginx_name_valid(const char *s);
/* The included file: `server ADDRESS [PARAMETER ...];` one a line, comments, empty lines. What is anything else is refused by
 * its line: the file is changed line by line, and nothing in it is guessed. */
bool nginx_servers_parse(const char *text, size_t n, struct arena *a, struct nginx_servers *ret,
                         struct err *err);

/* What the script tells of the host. */
struct nginx_look {
    bool stale;              /* a worker that takes connections is older than the file */
    size_t current, leaving; /* workers that take connections; those that finish what they have */
    const char *status;      /* stub_status in words; NULL: not asked for */
    bool unfit_status;       /* asked for, and `status` says why there is none */
    struct nginx_servers servers;
};
bool nginx_look_parse(const char *text, size_t n, struct arena *a, struct nginx_look *ret, struct err *err);

/* ---- pure: config.c ---------------------------------------------------------------------------------------
 */

/* A server of some upstream block. */
struct nginx_use {
    const char *upstream, *addr, *host, *file;
    int port;
    bool down;
};
struct nginx_config {
    struct nginx_use *uses;
    size_t n;
    const char **including; /* upstream blocks in which the file that was asked for is included */
    size_t n_including;
    const char **upstreams;
    size_t n_upstreams;
    const char *pid; /* of the `pid` directive; NULL: none */
};
/* What `nginx -T` prints, with includes followed from the first file on. */
bool nginx_config_parse(const char *text, size_t n, const char *include, struct arena *a,
                        struct nginx_config *ret, struct err *err);
bool nginx_config_includes(const struct nginx_config *c, const char *upstream);

/* ---- host.c -----------------------------------------------------------------------------------------------
 */

/* What stands on one host. false: op failed. */
bool nginx_look(struct lb *lb, size_t peer, struct nginx_look *ret);
/* Is the file where it must be, may it be changed, is the configuration sound? All else that it shows, too. */
bool nginx_config(struct lb *lb, size_t peer, struct nginx_config *ret);
bool nginx_put(struct lb *lb, size_t peer, const struct nginx_server *s, bool down, bool stale,
               const char **ret_refusal);

#endif
