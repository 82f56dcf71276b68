/* SPDX-License-Identifier: MIT */
/* netscaler: members of service groups, services and servers of NetScaler ADCs, by their NITRO REST API. */
#ifndef RELEASE_DRIVERS_BALANCER_NETSCALER_H
#define RELEASE_DRIVERS_BALANCER_NETSCALER_H

#include <jansson.h>

#include "drivers/balancer/balancer.h"
#include "drivers/op/auto_json.h"

/* ---- pure: parse.c ----------------------------------------------------------------------------------------
 */

#define NITRO_NODES_MAX 4

/* One balancer: an appliance, or the nodes of one high availability pair. */
struct nitro_peer {
    const char *urls[NITRO_NODES_MAX];
    size_t n;
    const char *node; /* the one of `urls` that this op talks to: the primary; NULL: not asked yet */
};
/* "https://ns1" or "https://ns1|https://ns2"; plain http only to this machine, unless `insecure`. */
bool nitro_peer_parse(const char *text, bool insecure, struct arena *a, struct nitro_peer *ret,
                      struct err *err);

/* Names of groups, services and servers: what facts can hold. */
bool nitro_name_valid(const char *s);

/* The envelope of every answer. NULL: it is none. The message lives in the arena, made safe. */
json_t *nitro_parse(const char *text, size_t n, struct arena *a, int64_t *ret_code, const char **ret_message,
                    struct err *err);

enum nitro_ha { NITRO_PRIMARY, NITRO_SECONDARY, NITRO_NEITHER };
/* Of `stat/hanode`. An appliance that stands alone is its own primary. *ret_words: as it says itself. */
bool nitro_ha_of(const json_t *root, struct arena *a, enum nitro_ha *ret, const char **ret_words,
                 struct err *err);

/* Rows are added to *io, which has room. A member's name is its server's, with ":PORT" where the group has
 * that server several times; lb_server.own
 * is the name of its server object. */
size_t nitro_rows_of(const json_t *root, const char *kind);
bool nitro_members(const json_t *root, struct arena *a, struct lb_table *io, struct err *err);
bool nitro_services(const json_t *root, struct arena *a, struct lb_table *io, struct err *err);
bool nitro_servers(const json_t *root, struct arena *a, struct lb_table *io, struct err *err);
/* `server_binding`: what serves on each server, into its row. */
bool nitro_bound(const json_t *root, struct lb_table *io, struct err *err);
/* Of `server_binding` of one server: groups and services that it stands in. */
struct nitro_bond {
    const char *group, *service; /* one of them */
    const char *ip;
    int port;
};
size_t nitro_bonds(const json_t *root, struct arena *a, struct nitro_bond **ret);
/* `config/server/NAME`: has somebody disabled the server itself? */
bool nitro_server_disabled(const json_t *root, bool *ret, struct err *err);
/* `stat/servicegroup/NAME?statbindings=yes` and `stat/service`, into the rows of one pool. */
bool nitro_member_stats(const json_t *root, const char *pool, struct arena *a, struct lb_table *io,
                        struct err *err);
bool nitro_service_stats(const json_t *root, struct arena *a, struct lb_table *io, struct err *err);
#define NITRO_SERVICES "service" /* the pool of services and servers, which have none */

/* ---- dialog: nitro.c --------------------------------------------------------------------------------------
 */

/* GET of `path` ("stat/hanode") at the primary, logged in. NULL: op failed, or *ret_missing (when not NULL):
 * there is no such thing. */
json_t *nitro_get(struct lb *lb, size_t peer, const char *path, bool *ret_missing);
/* POST of an action ("config/service?action=disable"); takes `body` over. false: op failed. */
bool nitro_act(struct lb *lb, size_t peer, const char *path, json_t *body, const char **ret_refusal);

#endif
