/* SPDX-License-Identifier: MIT */
/* LVS as a balancer: the kernel's virtual services, listed and changed by `ipvsadm` on each director (../sh/lvs.sh).
 *
 * A real server has no state, only a weight: 0 is a drain, which takes no new connections but those of clients that a template of
 * persistence binds to it. One that keepalived took out of the table is not listed, and so is out. */
#ifndef RELEASE_DRIVERS_BALANCER_LVS_H
#define RELEASE_DRIVERS_BALANCER_LVS_H

#include "drivers/balancer/balancer.h"

/* ---- pure: parse.c ----------------------------------------------------------------------------------------
 */

/* A virtual service: "10.0.0.1:80", "[2001:db8::1]:80" (TCP), "udp:10.0.0.1:53", "fwm:1", "fwm6:1". */
struct lvs_service {
    const char *text;     /* one way to write it, as in these examples */
    const char *option;   /* ipvsadm's: "-t", "-u", "-f" */
    const char *address;  /* behind it */
    bool six;             /* a mark's, that wants -6 */
    int64_t persistent_s; /* 0: it is not. As listed */
};
bool lvs_service_parse(const char *text, struct arena *a, struct lvs_service *ret);

/* A real server: "10.0.0.11:8080", "[2001:db8::11]:8080"; an address alone stands for each of its ports. */
struct lvs_address {
    const char *host;
    int port; /* -1: none is said. 0 is that of marks, "as the client asked" */
};
bool lvs_address_parse(const char *text, struct arena *a, struct lvs_address *ret);
bool lvs_address_same(const struct lvs_address *asked, const struct lvs_address *listed);
/* Names of services and real servers: what facts can hold. */
bool lvs_name_valid(const char *s);

struct lvs_server {
    const struct lvs_service *service;
    const char *text; /* as ipvsadm has it */
    struct lvs_address address;
    int weight;
    int64_t active, inactive, templates;
    /* Connections that may still carry something, of all services of this address (port 0: to any port of its host); 0 where
     * they were not asked for. */
    int64_t open;
};
struct lvs_table {
    struct lvs_service *services;
    size_t n_services;
    struct lvs_server *rows;
    size_t n;
    bool
        quiescent; /* a template for a real server with weight 0 binds nobody: net.ipv4.vs.expire_quiescent_template */
};
/* What the script's `look` prints: "quiescent 0|1|-", "open ADDRESS N" ..., "list", and `ipvsadm -L -n --persistent-conn`. Columns go
 * by their names. */
bool lvs_table_parse(const char *text, size_t n, struct arena *a, struct lvs_table *ret, struct err *err);

#endif
