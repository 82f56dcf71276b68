/* SPDX-License-Identifier: MIT */
/* A balancer that is asked by HTTP at an address of its own: "https://lb1:8443/api", or
 * "http://127.0.0.1:8080/api@lb1", asked there by curl through SSH, for doors that open to their own host alone. */
#ifndef RELEASE_DRIVERS_BALANCER_DOOR_H
#define RELEASE_DRIVERS_BALANCER_DOOR_H

#include "drivers/balancer/balancer.h"
#include "drivers/op/http_call.h"

struct lb_door {
    const char *url;  /* without a slash at its end */
    const char *name; /* HOST of the URL, brackets around an address of IPv6 taken off */
    const char *host; /* where it is asked from, through SSH; NULL: from here */
};

/* Pure. `login`: a password goes there, which plain http carries to the very machine alone, unless `insecure`. */
struct lb_door_rule {
    bool login, insecure;
};
bool lb_door_parse(const char *text, const struct lb_door_rule *rule, struct arena *a, struct lb_door *ret,
                   struct err *err);
/* The doors of every peer, into peers[].own, by the parameters `user`, `password` and `insecure_http`. For `open`. */
bool lb_doors_open(struct lb *lb);
/* The same for a verb's `check`: the list of doors is the parameter `name`. */
bool lb_doors_check(const struct op_pair *args, size_t n, const char *name, struct err *err);

/* One request; req->url, user, password, ca and timeout are filled in here. false: op failed. */
bool lb_door_ask(struct lb *lb, size_t peer, struct http_req *req, const char *path, struct http_res *ret);
/* Whatever is no answer (broken, late, cut, busy, somewhere else) has failed the op, as what it is: true when there is one to
 * read. 401 and 403 are refusals of who asks. */
bool lb_door_answered(struct lb *lb, size_t peer, const struct http_req *req, const struct http_res *res);

/* What curl reads on its stdin, where nobody else sees it. Pure. */
void lb_door_curl(const struct http_req *req, struct buf *out);

/* For the tables of kinds. */
#define LB_P_DOOR                                                                                            \
    {.name = "user", .type = PARAM_STR, .help = "for HTTP's basic authentication"},                          \
        {.name = "password",                                                                                 \
         .type = PARAM_SECRET,                                                                               \
         .help = "its password; file:PATH or env:NAME keeps it secret"},                                     \
        {.name = "ca",                                                                                       \
         .type = PARAM_STR,                                                                                  \
         .help = "file of CA certificates, on the machine that asks; default: the system's"},                \
        {.name = "insecure_http",                                                                            \
         .type = PARAM_BOOL,                                                                                 \
         .deflt = "no",                                                                                      \
         .help = "allow a password in plain http to another machine"},                                       \
    {                                                                                                        \
        .name = "call_timeout", .type = PARAM_DURATION, .deflt = "10s", .help = "for one request"            \
    }

#endif
