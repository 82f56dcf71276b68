/* SPDX-License-Identifier: MIT */
/* Whether a process that the journal names still lives: a pid alone may have been given to another since. */
#include "state/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"

static bool read_small(const char *path, char *buf, size_t n)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, buf, n - 1);
    if (got < 0)
        return false;
    buf[got] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    return true;
}

/* Field 22 of /proc/PID/stat, in clock ticks since boot; fields count from behind the name's last ')'. */
bool process_started(int64_t pid, int64_t *ret, char *ret_state)
{
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%" PRId64 "/stat", pid);
    if (!read_small(path, text, sizeof(text)))
        return false;
    char *p = strrchr(text, ')');
    if (!p || p[1] != ' ')
        return false;
    *ret_state = p[2];
    p++; /* the space before field 3 */
    for (int field = 3; field < 22 && p; field++)
        p = strchr(p + 1, ' ');
    if (!p)
        return false;
    *ret = strtoll(p, NULL, 10);
    return true;
}

void process_boot(char *buf, size_t n)
{
    if (!read_small("/proc/sys/kernel/random/boot_id", buf, n))
        buf[0] = '\0';
}

void process_host(char *buf, size_t n)
{
    if (gethostname(buf, n) != 0)
        snprintf(buf, n, "localhost");
    buf[n - 1] = '\0';
}

bool process_lives(int64_t pid, int64_t started)
{
    int64_t start;
    char state;
    if (process_started(pid, &start, &state))
        return start == started && state != 'Z' && state != 'X';
    /* /proc may be hidden from us (hidepid); then a pid that exists counts as the holder. */
    return pid > 0 && pid <= INT32_MAX && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}
