/* SPDX-License-Identifier: MIT */
/* A second host of balancers, for kinds.h: reached through a real sshd of its own, which may stand in another process' mount namespace. */
#ifndef TESTS_UNIT_SECOND_HOST_H
#define TESTS_UNIT_SECOND_HOST_H

#include "unit/kinds.h"

#define SECOND_HOST "127.0.0.2" /* any of 127.0.0.0/8 but the first is another host */

struct second_host {
    pid_t sshd, inside; /* inside: whose mount namespace; 0: this program's */
    int port;
    char conf[176], key[160], known[176];
    struct target ssh;
};

static bool second_host_open(const struct second_host *h)
{
    struct sockaddr_in a = rig_addr(h->port);
    inet_pton(AF_INET, SECOND_HOST, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return open;
}

static void second_host_listen(struct second_host *h)
{
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)(h->inside ? h->inside : getpid()));
    h->sshd = rig_spawn(
        (const char *const[]){"nsenter", "-m", "-t", pid, "/usr/sbin/sshd", "-D", "-e", "-f", h->conf, NULL});
    rig_until(second_host_open(h));
}

/* sshd and those who serve its connections. */
static void second_host_signal(struct second_host *h, int sig)
{
    rig_says("ps -o pid= --ppid %d | xargs -r kill -%d; kill -%d %d", (int)h->sshd, sig, sig, (int)h->sshd);
}

/* env: NAME=VALUE that its commands have. */
static void second_host_start(struct second_host *h, pid_t inside, const char *env)
{
    mkdir("/run/sshd", 0755);
    *h = (struct second_host){.port = port_pick(), .inside = inside};
    snprintf(h->key, sizeof h->key, "%s/second_%d", rig_dir, h->port);
    snprintf(h->known, sizeof h->known, "%s.known", h->key);
    snprintf(h->conf, sizeof h->conf, "%s.conf", h->key);
    rig_says("ssh-keygen -q -t ed25519 -N '' -f %s && ssh-keygen -q -t ed25519 -N '' -f %s.host && "
             "{ printf '[%s]:%d ' && cut -d' ' -f1,2 %s.host.pub; } >%s",
             h->key, h->key, SECOND_HOST, h->port, h->key, h->known);
    rig_write(
        h->conf,
        "ListenAddress " SECOND_HOST "\nPort %d\nHostKey %s.host\nAuthorizedKeysFile %s.pub\nPidFile none\n"
        "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "SetEnv %s\n",
        h->port, h->key, h->key, env);
    h->ssh = (struct target){.transport = "ssh",
                             .ssh = {.port = h->port, .user = "root", .key = h->key, .known_hosts = h->known},
                             .state_dir = xstrdup(rig_path("second-state"))};
    rig_ssh = &h->ssh;
    second_host_listen(h);
}

static void second_host_stop(struct second_host *h)
{
    rig_ssh = NULL;
    second_host_signal(h, SIGCONT);
    second_host_signal(h, SIGKILL);
    rig_stop(&h->sshd, SIGKILL);
    free((void *)(uintptr_t)h->ssh.state_dir);
}

/* What ends or holds the host; a program of its kind refuses and loses by itself. */
static void second_host_fault(struct second_host *h, enum fault f)
{
    if (f == FAULT_STOPPED)
        second_host_signal(h, SIGSTOP);
    if (f == FAULT_GONE) {
        second_host_signal(h, SIGKILL);
        rig_stop(&h->sshd, SIGKILL);
    }
    if (f == FAULT_NONE && !h->sshd)
        second_host_listen(h);
    else if (f == FAULT_NONE)
        second_host_signal(h, SIGCONT);
}

#endif
