/* SPDX-License-Identifier: MIT */
/* nginx-plus: servers of NGINX Plus' upstreams, through its API. */
#ifndef RELEASE_DRIVERS_BALANCER_NGINX_PLUS_H
#define RELEASE_DRIVERS_BALANCER_NGINX_PLUS_H

#include <jansson.h>

#include "drivers/balancer/balancer.h"

/* ---- pure: parse.c ----------------------------------------------------------------------------------------
 */

#define PLUS_VERSION_MIN 2 /* knows `drain` */
#define PLUS_VERSION_MAX 9 /* the last one whose fields are known here */

/* lb_server.own */
struct plus_server {
    int64_t id;
    const char *address, *name; /* HOST:PORT as it is, and as the configuration has it */
};

/* Names of upstreams and servers: what facts and a path of the API can hold. */
bool plus_name_valid(const char *s);

/* NULL: it is no JSON. */
json_t *plus_json(const char *text, size_t n, struct arena *a, struct err *err);
/* Of `/`: the newest version that is known on both sides. */
bool plus_version(const json_t *root, int *ret, struct err *err);
/* "upstream not found (UpstreamNotFound)", made safe; NULL: it is none of the API's errors. *ret_code: "UpstreamNotFound". */
const char *plus_error(const json_t *root, struct arena *a, const char **ret_code);

/* `servers`, how they are set, and what runs on them (`peers` of the upstream). Servers that are no peers (a name that is resolved
 * to others) are left out. Rows are added to *io. */
bool plus_servers(const char *pool, const json_t *servers, const json_t *upstream, struct arena *a,
                  struct lb_table *io, struct err *err);
/* Of `http/upstreams`: what every upstream sends to, by state alone. */
bool plus_upstreams(const json_t *root, struct arena *a, struct lb_table *io, struct err *err);
/* One server, in answer to a change. */
bool plus_server_state(const json_t *server, enum lb_state *ret);

#endif
