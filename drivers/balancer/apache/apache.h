/* SPDX-License-Identifier: MIT */
/* apache: members of Apache's mod_proxy_balancer, through its balancer-manager. */
#ifndef RELEASE_DRIVERS_BALANCER_APACHE_H
#define RELEASE_DRIVERS_BALANCER_APACHE_H

#include "drivers/balancer/balancer.h"

/* ---- pure: parse.c ----------------------------------------------------------------------------------------
 */

/* What is sent back to change a member; lb_server.own. */
struct apache_member {
    const char *balancer, *url; /* as the manager calls them: "shop", "http://10.0.0.11:8080" */
    const char *nonce;          /* of this balancer, since Apache was started or reloaded; "": nonce=None */
    const char *place;          /* HOST:PORT of the URL */
};

/* Names of balancers and members: what facts can hold. */
bool apache_name_valid(const char *s);

/* The manager's answer to `xml=1`. A member goes by its route where it has one, else by HOST:PORT. */
bool apache_parse(const char *text, size_t n, struct arena *a, struct lb_table *ret, struct err *err);
/* Where it answers with its page: it did not take the request for one of its own. */
bool apache_is_page(const char *text, size_t n);

/* The form that asks for the list, and with a member for a change before it: drained and disabled, 0 or 1. */
struct apache_put {
    const struct apache_member *member;
    bool drained, disabled;
};
const char *apache_form(const struct apache_put *put, struct arena *a);
#define APACHE_FORM_MAX 1024 /* more of a form Apache does not read */

#endif
