/* SPDX-License-Identifier: MIT */
/* Ports for daemons that unit tests start. */
#ifndef TESTS_UNIT_PORT_RIG_H
#define TESTS_UNIT_PORT_RIG_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* A name that one program on the machine can have at a time, and that goes with the program. */
static bool port_reserve(int port)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int n = snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "release-rig-port-%d", port);
    if (bind(fd, (struct sockaddr *)&a,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0)
        return true; /* and stays open */
    close(fd);
    return false;
}

static bool port_unused(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool is = bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return is;
}

/* Not one of the kernel's choice: between our close and the daemon's bind that goes to whoever connects or
 * asks next. These lie below the range that connections come from, and below the live fleets'; each is one
 * test program's until it ends. */
#define PORT_FIRST 10000
#define PORTS      8000
__attribute__((unused)) static int port_pick(void)
{
    static unsigned next;
    next = next ? next : (unsigned)getpid() * 131u;
    for (int tries = 0; tries < PORTS; tries++) {
        int port = PORT_FIRST + (int)(next++ % PORTS);
        if (port_reserve(port) && port_unused(port))
            return port;
    }
    fail_msg("no free port from %d on", PORT_FIRST);
    return -1;
}

#endif
