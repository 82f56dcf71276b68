/* SPDX-License-Identifier: MIT */
/* For the driver tests of balancers: daemons of their own on free loopback ports, a small HTTP application,
 * one verb at a time, and a raw look at HAProxy that shares no code with the driver. Included once per test
 * program. */
#ifndef TESTS_UNIT_LB_RIG_H
#define TESTS_UNIT_LB_RIG_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "drivers/op/op.h"
#include "unit/port_rig.h"

#define RIG_UNUSED __attribute__((unused))
#define UNTIL_MS   30000

/* ---- places ----------------------------------------------------------------------------------------------
 */

static char rig_dir[64];

RIG_UNUSED static const char *rig_path(const char *name)
{
    static char paths[16][160];
    static int next;
    char *p = paths[next++ % 16];
    snprintf(p, sizeof paths[0], "%s/%s", rig_dir, name);
    return p;
}

RIG_UNUSED static void rig_write(const char *path, const char *fmt, ...)
{
    FILE *f = fopen(path, "w");
    va_list ap;
    assert_non_null(f);
    va_start(ap, fmt);
    vfprintf(f, fmt, ap);
    va_end(ap);
    assert_int_equal(fclose(f), 0);
}

RIG_UNUSED static void rig_open(void)
{
    strcpy(rig_dir, "/tmp/release-lb-XXXXXX");
    assert_non_null(mkdtemp(rig_dir));
    chmod(rig_dir, 0711); /* varnishd gives up root and must still find its directory */
    drivers_init();
}

RIG_UNUSED static void rig_close(void)
{
    pid_t pid = fork();
    if (pid == 0)
        execlp("rm", "rm", "-rf", rig_dir, (char *)NULL);
    waitpid(pid, NULL, 0);
}

static struct sockaddr_in rig_addr(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int rig_listen(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = rig_addr(port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 128) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int rig_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = rig_addr(port);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Repeats `expr` until it is true; fails the test after UNTIL_MS. */
#define rig_until(expr)                                                                                      \
    do {                                                                                                     \
        int64_t end_ms = clock_mono_ms() + UNTIL_MS;                                                         \
        while (!(expr)) {                                                                                    \
            if (clock_mono_ms() > end_ms)                                                                    \
                fail_msg("not within %d ms: %s", UNTIL_MS, #expr);                                           \
            poll(NULL, 0, 10);                                                                               \
        }                                                                                                    \
    } while (0)

static bool rig_port_open(int port)
{
    int fd = rig_connect(port);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* ---- processes
 * --------------------------------------------------------------------------------------------- */

/* Dies with us, so that a failed test leaves nothing behind. */
RIG_UNUSED static pid_t rig_spawn(const char *const *argv)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int log = open(rig_path("log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(log, 1);
    dup2(log, 2);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

RIG_UNUSED static void rig_stop(pid_t *pid, int sig)
{
    if (*pid > 0) {
        kill(*pid, sig);
        waitpid(*pid, NULL, 0);
    }
    *pid = 0;
}

/* ---- an application
 * ---------------------------------------------------------------------------------------- */

static void app_say(int fd, const char *status, const char *extra, const char *body)
{
    char out[1024];
    int n = snprintf(out, sizeof out, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n%s",
                     status, strlen(body), extra, body);
    if (write(fd, out, (size_t)n) != n)
        _exit(1);
}

/* One request per connection, in its own process: / at once, /slow after 700 ms, /ws a tunnel that echoes. */
static void app_serve(int fd)
{
    char in[4096], piece[256];
    size_t n = 0;
    ssize_t got;
    while (n < sizeof in - 1 && (got = read(fd, in + n, sizeof in - 1 - n)) > 0) {
        n += (size_t)got;
        in[n] = '\0';
        if (strstr(in, "\r\n\r\n"))
            break;
    }
    if (n == 0)
        return;
    if (strstr(in, "GET /slow"))
        poll(NULL, 0, 700);
    if (strstr(in, "GET /ws")) {
        const char *up = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        if (write(fd, up, strlen(up)) < 0)
            return;
        while ((got = read(fd, piece, sizeof piece)) > 0 && write(fd, piece, (size_t)got) == got)
            ;
        return;
    }
    app_say(fd, "200 OK", "X-Revision: 0123456789abcdef0123456789abcdef01234567\r\n", "fine, ok\n");
}

RIG_UNUSED static pid_t rig_app(int port)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) {
        rig_until(rig_port_open(port));
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN);
    int listener = rig_listen(port);
    if (listener < 0)
        _exit(1);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            app_serve(fd);
            _exit(0);
        }
        close(fd);
    }
}

/* ---- a server that says one thing to everybody
 * --------------------------------------------------------------- */

RIG_UNUSED static pid_t rig_liar(int port, const char *answer, size_t n)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) {
        rig_until(rig_port_open(port));
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    int listener = rig_listen(port);
    for (;;) {
        char in[4096];
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            _exit(1);
        struct pollfd asked = {.fd = fd, .events = POLLIN};
        poll(&asked, 1, 50); /* some protocols want the server to speak first */
        if (asked.revents && read(fd, in, sizeof in) < 0)
            errno = 0;
        if (write(fd, answer, n) < 0)
            errno = 0;
        close(fd);
    }
}

/* ---- raw dialog
 * ------------------------------------------------------------------------------------------------ */

/* Sends text, half-closes nothing, reads to the end; static buffer. "" when nothing answers. */
RIG_UNUSED static const char *rig_talk(int port, const char *text)
{
    static char out[65536];
    size_t n = 0;
    ssize_t got;
    int fd = rig_connect(port);
    out[0] = '\0';
    if (fd < 0)
        return out;
    if (write(fd, text, strlen(text)) < 0)
        return out;
    while (n < sizeof out - 1 && (got = read(fd, out + n, sizeof out - 1 - n)) > 0)
        n += (size_t)got;
    out[n] = '\0';
    close(fd);
    return out;
}

/* Does HAProxy's master answer? It binds its socket, forks its worker and then starts itself anew: who connected before
 * that is reset or never answered, and a SIGUSR2 then ends it. So neither a socket that is there nor a worker that answers
 * says anything. */
RIG_UNUSED static bool rig_master_answers(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char in[4096];
    size_t n = 0;
    ssize_t got;
    assert_true(strlen(path) < sizeof a.sun_path);
    strcpy(a.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_usec = 500000}, sizeof(struct timeval));
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
        send(fd, "show proc\n", 10, MSG_NOSIGNAL) == 10) {
        shutdown(fd, SHUT_WR);
        while (n < sizeof in - 1 && (got = read(fd, in + n, sizeof in - 1 - n)) > 0)
            n += (size_t)got;
    }
    in[n] = '\0';
    close(fd);
    return strstr(in, "# workers") != NULL;
}

/* "op admin weight" of a server, read without the driver's code. */
RIG_UNUSED static const char *rig_state(int port, const char *server)
{
    static char out[64];
    char key[64], addr[64];
    int op = -1, admin = -1, weight = -1;
    snprintf(key, sizeof key, " %s ", server);
    const char *row = strstr(rig_talk(port, "show servers state web\n"), key);
    if (row && sscanf(row + strlen(key), "%63s %d %d %d", addr, &op, &admin, &weight) == 4)
        snprintf(out, sizeof out, "%d %d %d", op, admin, weight);
    else
        snprintf(out, sizeof out, "none");
    return out;
}

/* ---- one verb
 * --------------------------------------------------------------------------------------------------- */

#define FACTS_MAX 1100
struct call {
    struct op *op;
    const struct op_result *r;
    char said[4096];
};
static struct op_pair rig_recalled[FACTS_MAX];
static size_t rig_n_recalled;
static const char *const *rig_secrets;
static const struct op_pair *rig_vars;
static size_t rig_n_vars;
static int rig_deadline_ms = 8000;
static bool rig_going_back;
static bool rig_dies; /* what the next ops find is heard by nobody, as when the controller dies then */
static const struct target *rig_ssh; /* how hosts that are no nodes are reached; NULL: as the node */

static void rig_sink(void *ctx, int stream, const char *data, size_t n)
{
    struct call *c = ctx;
    size_t used = strlen(c->said);
    (void)stream;
    if (used + n + 2 < sizeof c->said) {
        memcpy(c->said + used, data, n);
        c->said[used + n] = '\n';
        c->said[used + n + 1] = '\0';
    }
}

RIG_UNUSED static void rig_forget(void)
{
    for (size_t i = 0; i < rig_n_recalled; i++) {
        free((void *)(uintptr_t)rig_recalled[i].name);
        free((void *)(uintptr_t)rig_recalled[i].value);
    }
    rig_n_recalled = 0;
}

RIG_UNUSED static const char *rig_fact(const struct call *c, const char *name)
{
    for (size_t i = 0; i < c->r->n_facts; i++) {
        if (!strcmp(c->r->facts[i].name, name))
            return c->r->facts[i].value;
    }
    return NULL;
}

/* As the engine does: what an op reported is recalled by the next ones, the latest value of a name. */
static void rig_remember(const struct op_pair *f)
{
    for (size_t i = 0; i < rig_n_recalled; i++) {
        if (!strcmp(rig_recalled[i].name, f->name)) {
            free((void *)(uintptr_t)rig_recalled[i].value);
            rig_recalled[i].value = xstrdup(f->value);
            return;
        }
    }
    assert_true(rig_n_recalled < FACTS_MAX);
    rig_recalled[rig_n_recalled++] = (struct op_pair){.name = xstrdup(f->name), .value = xstrdup(f->value)};
}

RIG_UNUSED static void rig_done(struct call *c)
{
    op_free(c->op);
    c->op = NULL;
}
#define auto_call __attribute__((cleanup(rig_done)))

RIG_UNUSED static void rig_run(struct call *c, const char *verb, const struct op_pair *args, size_t n_args)
{
    static const struct target here = {.id = "app1", .transport = "local", .host = "127.0.0.1"};
    static char state_dir[128];
    static struct target node;
    static struct conns *conns;
    if (!conns)
        conns = conns_new(transport_table);
    node = here;
    snprintf(state_dir, sizeof state_dir, "%s/state", rig_dir);
    node.state_dir = state_dir;
    memset(c, 0, sizeof *c);
    struct op_spec spec = {
        .verb = verb_find(verb, NULL),
        .args = args,
        .n_args = n_args,
        .vars = rig_vars,
        .n_vars = rig_n_vars,
        .recall = rig_recalled,
        .n_recall = rig_n_recalled,
        .target = &node,
        .ssh_defaults = rig_ssh ? rig_ssh : &node,
        .secrets = rig_secrets,
        .conns = conns,
        .sink = {.write = rig_sink, .ctx = c},
        .deadline_mono_ms = clock_mono_ms() + rig_deadline_ms,
        .cancel_fd = -1,
        .release = 1,
        .fence = 1,
        .holder = "test@here",
        .step_key = "1-1",
        .attempt = 1,
        .going_back = rig_going_back,
    };
    assert_non_null(spec.verb);
    c->op = op_new(&spec);
    c->r = op_run(c->op);
    for (size_t i = 0; !rig_dies && i < c->r->n_facts; i++)
        rig_remember(&c->r->facts[i]);
}
#define RUN(c, verb, ...)                                                                                    \
    rig_run((c), (verb), (const struct op_pair[]){__VA_ARGS__},                                              \
            sizeof((const struct op_pair[]){__VA_ARGS__}) / sizeof(struct op_pair))

#define assert_ok(c)                                                                                         \
    do {                                                                                                     \
        if ((c)->r->outcome != OUT_OK)                                                                       \
            fail_msg("%s: %s", outcome_name((c)->r->outcome), (c)->r->err.text);                             \
    } while (0)
#define assert_says(text, part)                                                                              \
    do {                                                                                                     \
        if (!strstr((text), (part)))                                                                         \
            fail_msg("\"%s\" does not say \"%s\"", (text), (part));                                          \
    } while (0)

#endif
