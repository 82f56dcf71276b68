/* SPDX-License-Identifier: MIT */
/* Signals of a command that changes servers. They are blocked before any thread exists and come out of one
 * descriptor: engine/run takes the first as "finish the nodes that are out and stop", the second as "stop
 * now". A closed terminal (SIGHUP) is the first of them, ctrl-Z is ignored: a suspended engine would leave a
 * node out of rotation. */
#include "cli/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a release needs before it holds a connection; and more than 1,024 nodes at once ever do. */
#define FILES_MIN 64
#define FILES_MAX 65536

static bool files_enough(unsigned long *ret_files)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return true;
    if (limit.rlim_cur < FILES_MAX) {
        limit.rlim_cur = limit.rlim_max < FILES_MAX ? limit.rlim_max : FILES_MAX;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    *ret_files = (unsigned long)limit.rlim_cur;
    return limit.rlim_cur >= FILES_MIN;
}

bool process_harden(unsigned long *ret_files)
{
    umask(077);
    signal(SIGPIPE, SIG_IGN);
#if !defined(__SANITIZE_ADDRESS__) &&                                                                        \
    !defined(__SANITIZE_THREAD__) /* the leak check traces its own process */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    return files_enough(ret_files);
}

int signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int signals_taken(int fd)
{
    struct signalfd_siginfo info;
    if (fd < 0 || read(fd, &info, sizeof info) != (ssize_t)sizeof info)
        return 0;
    return (int)info.ssi_signo;
}

bool signals_or_input(int signal_fd, int fd)
{
    struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    return poll(fds, 2, -1) > 0 && fds[0].revents == 0;
}
