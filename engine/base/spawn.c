/* SPDX-License-Identifier: MIT */
/* Starting a program without a shell, its pipes and its process group (spawn.h). */
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"

void fd_forget(int *fd)
{
    auto_fd_fn(fd);
    *fd = -1;
}

static void pipes_close(int pipes[3][2])
{
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++)
            fd_forget(&pipes[i][k]);
}

static int start(const char *const *argv, const char *cwd, int pipes[3][2], pid_t *ret)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_adddup2(&files, pipes[0][0], 0);
    posix_spawn_file_actions_adddup2(&files, pipes[1][1], 1);
    posix_spawn_file_actions_adddup2(&files, pipes[2][1], 2);
    if (cwd != NULL)
        posix_spawn_file_actions_addchdir_np(&files, cwd);
    /* Workers block all signals and ignore SIGPIPE; a program must not inherit that. */
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    char **words;
    memcpy(&words, &argv, sizeof(words)); /* posix_spawnp does not write to them */
    int rc = posix_spawnp(ret, argv[0], &files, &attr, words, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

bool spawn_piped(const char *const *argv, const char *cwd, struct spawned *ret, struct err *err)
{
    int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    for (int i = 0; i < 3; i++)
        if (pipe2(pipes[i], O_CLOEXEC) < 0) {
            err_errno(err, E_IO, "cannot make a pipe for %s", argv[0]);
            pipes_close(pipes);
            return false;
        }
    struct spawned s = {.pid_fd = -1, .fds = {pipes[0][1], pipes[1][0], pipes[2][0]}};
    int rc = start(argv, cwd, pipes, &s.pid);
    if (rc != 0) {
        err_set(err, E_IO, "cannot start %s: %s", argv[0], strerror(rc));
        pipes_close(pipes);
        return false;
    }
    fd_forget(&pipes[0][0]);
    fd_forget(&pipes[1][1]);
    fd_forget(&pipes[2][1]);
    s.pid_fd = (int)syscall(SYS_pidfd_open, s.pid, 0);
    if (s.pid_fd < 0) {
        err_errno(err, E_IO, "cannot watch %s", argv[0]);
        spawn_end(&s);
        return false;
    }
    fcntl(s.pid_fd, F_SETFD, FD_CLOEXEC);
    for (int i = 0; i < 3; i++)
        fcntl(s.fds[i], F_SETFL, O_NONBLOCK);
    *ret = s;
    return true;
}

void spawn_end(struct spawned *s)
{
    if (s->pid > 0) {
        kill(-s->pid, SIGKILL);
        kill(s->pid, SIGKILL);
        while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        s->pid = 0;
    }
    fd_forget(&s->pid_fd);
    for (int i = 0; i < 3; i++)
        fd_forget(&s->fds[i]);
}
