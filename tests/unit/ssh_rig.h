/* SPDX-License-Identifier: MIT */
/* A real sshd on loopback with host keys and authorized keys of its own, for the tests of the transports.
 * Nothing of the user's own ssh set-up is read or changed. */
#ifndef RELEASE_TESTS_SSH_RIG_H
#define RELEASE_TESTS_SSH_RIG_H

#include "unit/node_rig.h"
#include "unit/port_rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>

struct sshd {
    pid_t pid;
    int port;
};

static int sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int sh(const char *fmt, ...)
{
    char command[4096];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(command, sizeof(command), fmt, ap);
    va_end(ap);
    assert_true(n > 0 && (size_t)n < sizeof(command));
    return system(command);
}

static bool port_open(int port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
    close(fd);
    return open;
}

/* Host keys hk_ed25519, hk_ecdsa, hk_rsa; user keys uk_*; all in scratch, made once. */
static void keys_make(void)
{
    assert_int_equal(sh("cd %s && for k in hk uk; do for t in 'ed25519' 'ecdsa' 'rsa -b 2048'; do "
                        "ssh-keygen -q -t $t -N '' -f ${k}_${t%%%% *} || exit 1; done; done; "
                        "ssh-keygen -q -t ed25519 -N secret -f uk_locked && "
                        "cat uk_*.pub > authorized && chmod 600 authorized",
                        scratch),
                     0);
}

/* SHLVL keeps bash from reading the rc files of whoever runs the tests. `more`: further lines of sshd_config,
 * before ours: the first value counts, but of MaxStartups the last. */
static struct sshd sshd_start(const char *name, const char *host_key, const char *more)
{
    struct sshd d = {.port = port_pick()};
    char *config = scratch_path(name);
    FILE *f = fopen(config, "w");
    assert_non_null(f);
    fprintf(f,
            "MaxStartups 200\n%s\n%sPort %d\nHostKey %s/%s\nAuthorizedKeysFile %s/authorized\n"
            "PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nSetEnv SHLVL=5\nMaxSessions 50\nLogLevel VERBOSE\n",
            more ? more : "", more && strstr(more, "ListenAddress") ? "" : "ListenAddress 127.0.0.1\n",
            d.port, scratch, host_key, scratch);
    fclose(f);
    char *log = scratch_path("sshd.log");
    d.pid = fork();
    assert_true(d.pid >= 0);
    if (d.pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(fd, 1); /* whoever reads what the test says must not wait for a server that a failed case left */
        dup2(fd, 2);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getuid() == 0)
            mkdir("/run/sshd", 0755);
        execl("/usr/sbin/sshd", "/usr/sbin/sshd", "-D", "-e", "-f", config, (char *)NULL);
        _exit(127);
    }
    int64_t until = clock_mono_ms() + 10000;
    while (!port_open(d.port)) {
        if (clock_mono_ms() > until) {
            sh("cat %s >&2", log);
            fail_msg("sshd does not start");
        }
        poll(NULL, 0, 5);
    }
    return d;
}

static void sshd_stop(struct sshd *d)
{
    if (d->pid > 0) {
        kill(d->pid, SIGTERM);
        waitpid(d->pid, NULL, 0);
    }
    d->pid = 0;
}

/* The processes that serve connections: children of the listener. What a cut cable does, at once. */
static int sshd_cut(const struct sshd *d)
{
    return sh("ps -o pid= --ppid %d | xargs -r kill -9", (int)d->pid);
}

static void known_hosts_write(const char *file, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void known_hosts_write(const char *file, const char *fmt, ...)
{
    FILE *f = fopen(scratch_path(file), "w");
    va_list ap;
    va_start(ap, fmt);
    vfprintf(f, fmt, ap);
    va_end(ap);
    fclose(f);
}

/* "ssh-ed25519 AAAA..." of a .pub file. */
static const char *public_key(const char *name)
{
    static char texts[4][2048];
    static int i;
    char type[64], key[1900], path[32];
    i = (i + 1) % 4;
    snprintf(path, sizeof(path), "%s.pub", name);
    FILE *f = fopen(scratch_path(path), "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%63s %1899s", type, key), 2);
    fclose(f);
    snprintf(texts[i], sizeof(texts[i]), "%s %s", type, key);
    return texts[i];
}

/* Memory of its own for a path that must outlive the ring of scratch_path. */
static const char *scratch_keep(const char *name)
{
    static char kept[64][160];
    static int n;
    assert_true(n < 64);
    snprintf(kept[n], sizeof(kept[n]), "%s/%s", scratch, name);
    return kept[n++];
}

#endif
