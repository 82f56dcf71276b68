/* SPDX-License-Identifier: MIT */
/* Starting a program on the controller: no shell, three pipes, a process group of its own, watched by a
 * pidfd. */
#ifndef RELEASE_BASE_SPAWN_H
#define RELEASE_BASE_SPAWN_H

#include <sys/types.h>

#include "base/err.h"

struct spawned {
    pid_t pid;
    int pid_fd;
    int fds[3]; /* our ends of stdin, stdout, stderr: non-blocking, close-on-exec */
};

/* argv[0] is looked up in PATH when it has no slash; `cwd` may be NULL. Signals are as a fresh program has
 * them, whatever the calling thread blocks or ignores. false: E_IO, nothing runs. */
bool spawn_piped(const char *const *argv, const char *cwd, struct spawned *ret, struct err *err) MUST_CHECK;
/* Kills the group when the program was not waited for (pid > 0), and closes what is open. */
void spawn_end(struct spawned *s);
/* Unlike auto_fd it forgets the number: poll skips -1, and a closed number may be somebody else's by now. */
void fd_forget(int *fd);

#endif
