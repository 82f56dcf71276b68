/* SPDX-License-Identifier: MIT */
/* What HAProxy's parsers share. */
#ifndef RELEASE_DRIVERS_HAPROXY_PARSE_PRIV_H
#define RELEASE_DRIVERS_HAPROXY_PARSE_PRIV_H

#include "drivers/balancer/haproxy/haproxy.h"

#define COLUMNS_MAX 256

bool hap_number(const char *s, long min, long max, int *ret);
/* The index of a column by its name in the header; -1: it is not there. */
int hap_column(char *const *cols, size_t n, const char *name);
/* The next line of *io, in place, without its end; NULL: none. */
char *hap_line(char **io);
/* Did the answer end as answers do? A worker may end while it answers. */
bool hap_is_whole(const char *text);
/* err says what came in answer to what, made safe and short; false. */
bool hap_strange(struct err *err, const char *wanted, const char *text);

#endif
