/* SPDX-License-Identifier: MIT */
/* ProxyCommand: a program of the user's whose standard input and output are the connection. */
#include "drivers/transport/ssh/ssh_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"

#define GOODBYE_MS 200

struct proxy {
    pid_t pid;
    int said_fd; /* its standard error */
};

static int spawn(const char *command, int wire, int said, pid_t *ret)
{
    const char *shell = getenv("SHELL");
    const char *argv[] = {shell && *shell ? shell : "/bin/sh", "-c", command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_adddup2(&files, wire, 0);
    posix_spawn_file_actions_adddup2(&files, wire, 1);
    posix_spawn_file_actions_adddup2(&files, said, 2);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    char **words;
    const char *const *to = argv;
    memcpy(&words, &to, sizeof(words)); /* posix_spawn does not write to them */
    int rc = posix_spawn(ret, argv[0], &files, &attr, words, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

struct proxy *proxy_start(const char *command, struct arena *arena, int *ret_fd, struct err *err)
{
    int wire[2], said[2];
    pid_t pid = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire) < 0) {
        err_errno(err, E_IO, "ProxyCommand");
        return NULL;
    }
    auto_fd int ours = wire[0], theirs = wire[1];
    /* Nobody reads its words before something failed: what does not fit is not worth waiting for. */
    if (pipe2(said, O_CLOEXEC | O_NONBLOCK) < 0) {
        err_errno(err, E_IO, "ProxyCommand");
        return NULL;
    }
    auto_fd int said_ours = said[0], said_theirs = said[1];
    fcntl(ours, F_SETFL, O_NONBLOCK);
    int rc = spawn(arena_printf(arena, "exec %s", command), theirs, said_theirs, &pid);
    if (rc != 0) {
        err_set(err, E_IO, "ProxyCommand cannot be started: %s", strerror(rc));
        return NULL;
    }
    struct proxy *p = xcalloc(1, sizeof(*p));
    *p = (struct proxy){.pid = pid, .said_fd = fd_take(&said_ours)};
    *ret_fd = fd_take(&ours);
    return p;
}

const char *proxy_said(struct proxy *p, struct arena *arena)
{
    char text[400];
    ssize_t n = read(p->said_fd, text, sizeof(text) - 1);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    for (ssize_t i = 0; i < n; i++)
        if (text[i] == '\n' || text[i] == '\r' || text[i] == '\0')
            text[i] = ' ';
    return n > 0 ? arena_strndup(arena, text, (size_t)n) : "";
}

/* Its connection is closed already; it may say good-bye, but nobody waits long for that. */
void proxy_end(struct proxy *p)
{
    if (!p)
        return;
    auto_fd int pid_fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    kill(-p->pid, SIGHUP);
    struct pollfd gone = {.fd = pid_fd, .events = POLLIN};
    if (pid_fd < 0 || poll(&gone, 1, GOODBYE_MS) != 1)
        kill(-p->pid, SIGKILL);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    close(p->said_fd);
    free(p);
}
