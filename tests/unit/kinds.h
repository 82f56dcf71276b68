/* SPDX-License-Identifier: MIT */
/* For the suite that all kinds of balancers pass (test_balancer_kinds.c). A kind is one row: how its balancers are started and
 * named in the pillar, what others' means say of a server, how an operator's hand, a reload and a fault look there. The row states
 * what the kind can; the suite holds the kind's own table (`can`) to it, by what it does. */
#ifndef TESTS_UNIT_KINDS_H
#define TESTS_UNIT_KINDS_H

#include "unit/lb_rig.h"

#include <sys/mman.h>

#include "drivers/balancer/balancer.h"

/* What others' means say of a server. */
enum seen { SEEN_NONE, SEEN_IN, SEEN_OUT, SEEN_MAINT };

enum fault {
    FAULT_NONE,
    FAULT_REFUSES, /* it says no to a drain */
    FAULT_LOSES,   /* it does the next drain, and its answer is lost */
    FAULT_GONE,    /* nobody listens */
    FAULT_STOPPED, /* it takes the question and says nothing */
};

#define KIND_ARGS 24
struct kind {
    const char *name;                    /* of its driver */
    const char *server_param;            /* of its balancer */
    const char *servers[3];              /* set by start, where they have names of their own */
    unsigned can;                        /* as the matrix of docs/balancers.md says it */
    size_t peers;                        /* balancers that are asked as one */
    bool (*start)(const char **ret_why); /* false: it cannot run here */
    void (*stop)(void);
    void (*fresh)(void); /* all servers in, no faults */
    size_t (*args)(struct op_pair *ret);
    enum seen (*shows)(size_t peer, const char *server);
    void (*hand)(size_t peer, const char *server, enum seen want);
    void (*forget)(size_t peer); /* LB_CAN_FORGET: a reload, a new configuration */
    void (*fault)(size_t peer, enum fault f);
    int (*busy)(void);   /* something runs on servers[0] until this is closed; NULL: cannot be made here */
    void (*clear)(void); /* after that was closed; NULL: nothing to do */
    void (*ask)(void);   /* one request to servers[0]; NULL */
    int (*weight)(size_t peer, const char *server); /* LB_CAN_WEIGHT */
    bool late; /* its places are out and up some time after they were told */
    bool
        out_is_gone; /* one that is out is not listed: one that was so before the release is nobody's server */
    bool no_loss;    /* FAULT_LOSES: what was cut is taken up again, so that no answer is lost */
};

/* ---- a man in the middle: refuses or loses what holds a text, else carries on ------------------------------- */

struct middle_rule {
    enum fault fault;
    bool closes; /* the protocol ends with the answer */
    char needle[64], answer[400];
};
struct middle {
    int port, to;
    pid_t pid;
    struct middle_rule *rule; /* shared with its processes */
};

static void middle_carry(const struct middle *m, int client)
{
    struct pollfd fds[2] = {{.fd = client, .events = POLLIN}, {.fd = rig_connect(m->to), .events = POLLIN}};
    const int ends[2] = {client, fds[1].fd};
    char data[65536];
    bool losing = false;
    while (fds[1].fd >= 0 && poll(fds, 2, -1) > 0)
        for (int i = 0; i < 2; i++) {
            ssize_t n = fds[i].revents ? read(ends[i], data, sizeof data - 1) : -1;
            if (!fds[i].revents)
                continue;
            if (n <= 0 && i == 1)
                return;
            if (n <= 0) { /* asked all that it wants to ask */
                shutdown(ends[1], SHUT_WR);
                fds[0].fd = -1;
                fds[0].revents = 0;
                continue;
            }
            data[n] = '\0';
            bool meant = i == 0 && m->rule->fault != FAULT_NONE && strstr(data, m->rule->needle);
            if (meant && m->rule->fault == FAULT_REFUSES) {
                if (write(client, m->rule->answer, strlen(m->rule->answer)) < 0 || m->rule->closes)
                    return;
                continue;
            }
            if (i == 1 && losing)
                return;
            if (meant) {
                losing = true;
                m->rule->fault = FAULT_NONE;
            }
            if (write(ends[!i], data, (size_t)n) < 0)
                return;
        }
}

static void middle_listen(struct middle *m)
{
    m->pid = fork();
    assert_true(m->pid >= 0);
    if (m->pid > 0) {
        rig_until(rig_port_open(m->port));
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    int listener = rig_listen(m->port);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            _exit(1);
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            middle_carry(m, fd);
            _exit(0);
        }
        close(fd);
    }
}

RIG_UNUSED static void middle_start(struct middle *m, int to)
{
    *m = (struct middle){.port = port_pick(), .to = to};
    m->rule = mmap(NULL, sizeof *m->rule, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(m->rule != MAP_FAILED);
    middle_listen(m);
}

RIG_UNUSED static void middle_stop(struct middle *m)
{
    rig_stop(&m->pid, SIGKILL);
    munmap(m->rule, sizeof *m->rule);
}

/* daemon: who is stopped. */
RIG_UNUSED static void middle_fault(struct middle *m, enum fault f, pid_t daemon)
{
    m->rule->fault = f == FAULT_REFUSES || f == FAULT_LOSES ? f : FAULT_NONE;
    if (f == FAULT_STOPPED)
        kill(daemon, SIGSTOP);
    if (f == FAULT_GONE)
        rig_stop(&m->pid, SIGKILL);
    if (f != FAULT_NONE)
        return;
    kill(daemon, SIGCONT);
    if (!m->pid)
        middle_listen(m);
}

/* ---- small things of the rows -------------------------------------------------------------------------------- */

RIG_UNUSED static size_t args_add(struct op_pair *args, size_t n, const char *name, const char *value)
{
    assert_true(n + 1 < KIND_ARGS);
    args[n] = (struct op_pair){.name = name, .value = value};
    return n + 1;
}

/* What a command prints. */
RIG_UNUSED static const char *rig_says(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
RIG_UNUSED static const char *rig_says(const char *fmt, ...)
{
    static char out[16384];
    char line[1000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    FILE *p = popen(line, "re");
    assert_non_null(p);
    out[fread(out, 1, sizeof out - 1, p)] = '\0';
    pclose(p);
    return out;
}

/* A tunnel to servers[0] through a front that sends there what says so; what comes back shows that it stands. */
RIG_UNUSED static int rig_tunnel(int port, const char *server)
{
    char text[200], got[1000] = "";
    int fd = rig_connect(port);
    assert_true(fd >= 0);
    snprintf(text, sizeof text,
             "GET /ws HTTP/1.1\r\nHost: x\r\nx-pin: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             server);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_true(read(fd, got, sizeof got - 1) > 0);
    assert_says(got, "101");
    return fd;
}

RIG_UNUSED static void rig_request(int port, const char *server)
{
    char text[200];
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: x\r\nx-pin: %s\r\nConnection: close\r\n\r\n",
             server);
    assert_says(rig_talk(port, text), "200 OK");
}

#endif
