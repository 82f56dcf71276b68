/* SPDX-License-Identifier: MIT */
/* This machine, by address (host.h). */
#include "base/host.h"

#include <arpa/inet.h>
#include <string.h>

bool host_is_loopback(const char *host)
{
    struct in_addr a;
    return (inet_pton(AF_INET, host, &a) == 1 && (ntohl(a.s_addr) >> 24) == 127) ||
           strcmp(host, "::1") == 0 || strcmp(host, "[::1]") == 0;
}

bool host_is_here(const char *host)
{
    return strcmp(host, "localhost") == 0 || host_is_loopback(host);
}
