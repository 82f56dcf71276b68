#include "drivers/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"

extern char **environ;

struct process {
    const struct call_req *req;
    pid_t pid;
    int pid_fd;
    int fds[3]; /* our ends: stdin (or -1 when all is written), stdout, stderr */
    size_t n_written;
};

/* Unlike auto_fd it forgets the number: poll skips -1, and a closed number may be somebody else's by now. */
static void fd_close(int *fd)
{
    auto_fd_fn(fd);
    *fd = -1;
}

static void pipes_close(int pipes[3][2])
{
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++)
            fd_close(&pipes[i][k]);
}

static int spawn(const char *const *argv, int pipes[3][2], pid_t *ret)
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

struct process *process_start(const char *const *argv, const struct call_req *req, struct err *err)
{
    int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    for (int i = 0; i < 3; i++)
        if (pipe2(pipes[i], O_CLOEXEC) < 0) {
            err_errno(err, E_IO, "cannot make a pipe for %s", argv[0]);
            pipes_close(pipes);
            return NULL;
        }
    struct process *c = xcalloc(1, sizeof(*c));
    *c = (struct process){.req = req, .fds = {pipes[0][1], pipes[1][0], pipes[2][0]}};
    int rc = spawn(argv, pipes, &c->pid);
    if (rc != 0) {
        err_set(err, E_IO, "cannot start %s: %s", argv[0], strerror(rc));
        pipes_close(pipes);
        free(c);
        return NULL;
    }
    fd_close(&pipes[0][0]);
    fd_close(&pipes[1][1]);
    fd_close(&pipes[2][1]);
    c->pid_fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    if (c->pid_fd < 0) {
        err_errno(err, E_IO, "cannot watch %s", argv[0]);
        kill(-c->pid, SIGKILL);
        kill(c->pid, SIGKILL);
        waitpid(c->pid, NULL, 0);
        for (int i = 0; i < 3; i++)
            fd_close(&c->fds[i]);
        free(c);
        return NULL;
    }
    fcntl(c->pid_fd, F_SETFD, FD_CLOEXEC);
    for (int i = 0; i < 3; i++)
        fcntl(c->fds[i], F_SETFL, O_NONBLOCK);
    return c;
}

static void input_write(struct process *c)
{
    while (c->n_written < c->req->input_len) {
        ssize_t n =
            write(c->fds[0], (const char *)c->req->input + c->n_written, c->req->input_len - c->n_written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            break; /* it does not want the rest: its business */
        c->n_written += (size_t)n;
    }
    fd_close(&c->fds[0]);
}

/* At most one buffer a turn, so that one stream cannot starve the other or the deadline. True: there may be
 * more. */
static bool output_read(struct process *c, int stream)
{
    char piece[65536];
    if (c->fds[stream] < 0)
        return false;
    ssize_t n = read(c->fds[stream], piece, sizeof(piece));
    if (n > 0)
        c->req->output(c->req->ctx, stream, piece, (size_t)n);
    else if (n == 0)
        fd_close(&c->fds[stream]);
    return n > 0 || (n < 0 && errno == EINTR);
}

static void reap(struct process *c, struct call_end *ret)
{
    int status = 0;
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    c->pid = 0;
    /* What it printed before it ended is in the pipes; who else holds them open is not waited for. */
    while (output_read(c, 1))
        continue;
    while (output_read(c, 2))
        continue;
    ret->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    ret->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

enum link_end process_pump(struct op *op, struct process *c, int64_t bound_ms, struct call_end *ret,
                           struct err *err)
{
    (void)err;
    for (;;) {
        if (c->fds[0] >= 0)
            input_write(c);
        struct pollfd fds[] = {
            {.fd = c->pid_fd, .events = POLLIN},
            {.fd = c->fds[0], .events = POLLOUT},
            {.fd = c->fds[1], .events = POLLIN},
            {.fd = c->fds[2], .events = POLLIN},
        };
        switch (op_poll(op, fds, 4, bound_ms)) {
        case WAIT_READY: break;
        case WAIT_BOUND: return LINK_BOUND;
        case WAIT_LATE: return LINK_LATE;
        case WAIT_CANCELED: return LINK_CANCELED;
        }
        if (fds[2].revents)
            output_read(c, 1);
        if (fds[3].revents)
            output_read(c, 2);
        if (fds[0].revents) {
            reap(c, ret);
            return LINK_OK;
        }
    }
}

void process_free(struct process *c)
{
    if (!c)
        return;
    if (c->pid > 0) {
        kill(-c->pid, SIGKILL);
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    fd_close(&c->pid_fd);
    for (int i = 0; i < 3; i++)
        fd_close(&c->fds[i]);
    free(c);
}
