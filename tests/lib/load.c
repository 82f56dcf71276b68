/* SPDX-License-Identifier: MIT */
/* release-load: the clients of the test fleet.
 *
 * Sends GET requests at a fixed rate over a fixed number of connection slots: even slots keep their
 * connection alive, odd slots open one per request. It never retries, so that a restart that a friendlier
 * client would hide is seen: what counts as failed is any status but 200, a connection refused, reset or
 * closed before the whole body by Content-Length came, a body that belongs to another revision than its
 * header says, and no answer in time. A keep-alive connection that the server closes *between* requests is no
 * failure. With --repeat-kept a request that went out on a kept connection just as the server closed it, without a byte
 * of answer, is sent once more on a new one, as every client may (RFC 9110, 9.2.2), and counted as repeated.
 *
 * One thread, epoll, until SIGTERM, SIGINT or --seconds; then one line of JSON. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TARGETS_MAX   8
#define SLOTS_MAX     4096
#define REVS_MAX      32
#define BUCKETS       30001 /* one a millisecond; the last holds all that is longer */
#define RESPONSE_HEAD 8192
#define BODY_KEPT     64

enum slot_state { SLOT_IDLE, SLOT_CONNECTING, SLOT_WAITING };
enum fault { FAULT_CONNECT, FAULT_RESET, FAULT_SHORT, FAULT_STATUS, FAULT_TIMEOUT, FAULT_MIXED, FAULT_COUNT };
static const char *const fault_names[FAULT_COUNT] = {"connect", "reset",   "short",
                                                     "status",  "timeout", "mixed"};

struct slot {
    int fd; /* -1 = no connection */
    enum slot_state state;
    bool keep_alive, kept; /* kept: this connection has answered before */
    int target;
    int64_t started_us;
    char head[RESPONSE_HEAD + 1];
    size_t n_head;
    bool head_done;
    int status;
    bool closes; /* the answer said Connection: close */
    int64_t body_want, body_got;
    char rev[BODY_KEPT], body[BODY_KEPT];
    char cookie[256];
};

struct options {
    struct sockaddr_in targets[TARGETS_MAX];
    char names[TARGETS_MAX][64];
    int n_targets, n_slots, rate;
    const char *path;
    int64_t seconds, timeout_ms, late_ms;
    bool sticky; /* send back the cookie that the balancer set */
    bool repeat_kept;
};

struct tally {
    int64_t sent, ok, behind, late, repeated, longest_us, faults[FAULT_COUNT];
    int64_t statuses[600];
    int64_t buckets[BUCKETS];
    struct {
        char rev[BODY_KEPT];
        int64_t n;
    } revs[REVS_MAX];
    char first_failure[256];
};

static struct options opt = {.n_slots = 40, .rate = 100, .path = "/", .timeout_ms = 10000, .late_ms = 1000};
static struct tally tally;
static struct slot slots[SLOTS_MAX];
static int epoll_fd;
static int64_t start_us;

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "release-load: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void slot_close(struct slot *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->state = SLOT_IDLE;
    s->kept = false;
}

/* The same after a whole answer, so that the kernel does not keep the connection for a minute: thousands of them would make
 * everything slow that reads the kernel's list of sockets, the product's scripts on the nodes first. */
static void slot_forget(struct slot *s)
{
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    slot_close(s);
}

static void slot_fail(struct slot *s, enum fault fault, const char *why)
{
    tally.faults[fault]++;
    if (!tally.first_failure[0])
        snprintf(tally.first_failure, sizeof tally.first_failure,
                 "%s: %s: %s, %lld ms after start, request took %lld ms", opt.names[s->target],
                 fault_names[fault], why, (long long)(now_us() - start_us) / 1000,
                 (long long)(now_us() - s->started_us) / 1000);
    slot_close(s);
}

static void count_revision(const char *rev)
{
    for (int i = 0; i < REVS_MAX; i++) {
        if (!tally.revs[i].n)
            memcpy(tally.revs[i].rev, rev, BODY_KEPT);
        if (strcmp(tally.revs[i].rev, rev) == 0) {
            tally.revs[i].n++;
            return;
        }
    }
}

static void slot_done(struct slot *s)
{
    int64_t took_us = now_us() - s->started_us;
    tally.statuses[s->status]++;
    if (s->status != 200) {
        char why[32];
        snprintf(why, sizeof why, "answered %d", s->status);
        slot_fail(s, FAULT_STATUS, why);
        return;
    }
    if (s->rev[0] && strncmp(s->body, s->rev, strlen(s->rev)) != 0) {
        slot_fail(s, FAULT_MIXED, "body and X-Revision differ");
        return;
    }
    tally.ok++;
    count_revision(s->rev);
    int64_t ms = took_us / 1000;
    tally.buckets[ms < BUCKETS ? ms : BUCKETS - 1]++;
    tally.late += ms > opt.late_ms;
    if (took_us > tally.longest_us)
        tally.longest_us = took_us;
    s->kept = true;
    s->state = SLOT_IDLE;
    if (!s->keep_alive)
        slot_forget(s);
    else if (s->closes)
        slot_close(s);
}

/* Copies the value of a header into ret (at most cap-1 bytes); empty when it is not there. */
static void header_get(const char *head, const char *name, char *ret, size_t cap)
{
    size_t n_name = strlen(name);
    ret[0] = 0;
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n_name) != 0 || line[n_name] != ':')
            continue;
        line += n_name + 1;
        line += strspn(line, " ");
        size_t n = strcspn(line, "\r\n");
        n = n < cap ? n : cap - 1;
        memcpy(ret, line, n);
        ret[n] = 0;
        return;
    }
}

static void slot_head(struct slot *s, size_t head_len)
{
    char text[256];
    s->head_done = true;
    s->status = s->n_head > 12 ? atoi(s->head + 9) : 0;
    if (s->status < 100 || s->status > 599)
        s->status = 0;
    header_get(s->head, "Content-Length", text, sizeof text);
    s->body_want = text[0] ? atoll(text) : -1;
    header_get(s->head, "X-Revision", s->rev, sizeof s->rev);
    header_get(s->head, "Connection", text, sizeof text);
    s->closes = strcasecmp(text, "close") == 0;
    header_get(s->head, "Set-Cookie", text, sizeof text);
    if (opt.sticky && text[0]) {
        text[strcspn(text, ";")] = 0;
        memcpy(s->cookie, text, sizeof s->cookie);
    }
    s->body_got = (int64_t)(s->n_head - head_len);
    size_t kept = s->n_head - head_len < BODY_KEPT - 1 ? s->n_head - head_len : BODY_KEPT - 1;
    memcpy(s->body, s->head + head_len, kept);
    s->body[kept] = 0;
}

static void slot_connect(struct slot *s);

/* The server closed this connection as an idle one, and had not seen the request. */
static bool slot_repeat(struct slot *s)
{
    if (!opt.repeat_kept || !s->kept || s->state != SLOT_WAITING || s->n_head > 0)
        return false;
    tally.repeated++;
    slot_close(s);
    slot_connect(s);
    return true;
}

static void slot_eof(struct slot *s)
{
    if (s->state == SLOT_IDLE)
        slot_close(s);
    else if (slot_repeat(s))
        return;
    else if (!s->head_done)
        slot_fail(s, FAULT_RESET, s->n_head ? "closed inside the header" : "closed without an answer");
    else if (s->body_want < 0)
        slot_close(s), slot_done(s);
    else
        slot_fail(s, FAULT_SHORT, "closed before the end of the body");
}

static void slot_data(struct slot *s, const char *data, size_t n)
{
    if (s->head_done) {
        size_t have = strlen(s->body), kept = n < BODY_KEPT - 1 - have ? n : BODY_KEPT - 1 - have;
        memcpy(s->body + have, data, kept);
        s->body[have + kept] = 0;
        s->body_got += (int64_t)n;
    } else {
        size_t room = RESPONSE_HEAD - s->n_head, kept = n < room ? n : room;
        memcpy(s->head + s->n_head, data, kept);
        s->n_head += kept;
        s->head[s->n_head] = 0;
        char *end = strstr(s->head, "\r\n\r\n");
        if (!end && s->n_head == RESPONSE_HEAD) {
            slot_fail(s, FAULT_SHORT, "header too long");
            return;
        }
        if (!end)
            return;
        slot_head(s, (size_t)(end + 4 - s->head));
        s->body_got += (int64_t)(n - kept);
    }
    if (s->body_want >= 0 && s->body_got >= s->body_want)
        slot_done(s);
}

static void slot_read(struct slot *s)
{
    char buf[16384];
    while (s->fd >= 0) {
        ssize_t n = recv(s->fd, buf, sizeof buf, 0);
        if (n > 0 && s->state == SLOT_WAITING) {
            slot_data(s, buf, (size_t)n);
            continue;
        }
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && slot_repeat(s))
            return;
        if (n < 0 && s->state != SLOT_IDLE)
            slot_fail(s, FAULT_RESET, strerror(errno));
        else
            slot_eof(s); /* also bytes that nobody asked for: the connection is of no use any more */
        return;
    }
}

static void slot_send(struct slot *s)
{
    char text[1024];
    int n =
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: release-load\r\n%s%s%s%s\r\n",
                 opt.path, opt.names[s->target], s->keep_alive ? "" : "Connection: close\r\n",
                 s->cookie[0] ? "Cookie: " : "", s->cookie, s->cookie[0] ? "\r\n" : "");
    s->state = SLOT_WAITING;
    s->n_head = 0;
    s->head_done = false;
    s->body[0] = s->rev[0] = 0;
    if (send(s->fd, text, (size_t)n, MSG_NOSIGNAL) != n && !slot_repeat(s))
        slot_fail(s, FAULT_RESET, strerror(errno));
}

static void slot_connected(struct slot *s)
{
    int err = 0;
    socklen_t n = sizeof err;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &n);
    if (err)
        slot_fail(s, FAULT_CONNECT, strerror(err));
    else
        slot_send(s);
}

static void slot_connect(struct slot *s)
{
    const struct sockaddr_in *to = &opt.targets[s->target];
    int one = 1;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        die("socket");
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    s->state = SLOT_CONNECTING;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) != 0)
        die("epoll_ctl");
    if (connect(s->fd, (const struct sockaddr *)to, sizeof *to) == 0)
        slot_send(s);
    else if (errno != EINPROGRESS)
        slot_fail(s, FAULT_CONNECT, strerror(errno));
}

static void slot_start(struct slot *s)
{
    tally.sent++;
    s->started_us = now_us();
    if (s->fd < 0)
        slot_connect(s);
    else
        slot_send(s);
}

static void slot_event(struct slot *s, uint32_t events)
{
    if (s->fd < 0)
        return;
    if (s->state == SLOT_CONNECTING && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        slot_connected(s);
    if (s->fd >= 0 && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        slot_read(s);
}

/* Starts what is due by now. A request whose slot is not free is not sent later in a burst: it is counted. */
static void start_due(int64_t now, int64_t *due, int *cursor)
{
    int64_t gap_us = 1000000 / opt.rate;
    for (; *due <= now; *due += gap_us) {
        int tries = 0;
        while (tries < opt.n_slots && slots[*cursor].state != SLOT_IDLE) {
            *cursor = (*cursor + 1) % opt.n_slots;
            tries++;
        }
        if (tries == opt.n_slots) {
            tally.behind++;
            continue;
        }
        slot_start(&slots[*cursor]);
        *cursor = (*cursor + 1) % opt.n_slots;
    }
}

static void fail_overdue(int64_t now)
{
    for (int i = 0; i < opt.n_slots; i++)
        if (slots[i].state != SLOT_IDLE && now - slots[i].started_us > opt.timeout_ms * 1000)
            slot_fail(&slots[i], FAULT_TIMEOUT, "no answer in time");
}

static bool any_waiting(void)
{
    for (int i = 0; i < opt.n_slots; i++)
        if (slots[i].state != SLOT_IDLE)
            return true;
    return false;
}

/* Until told to stop; then no new request, and those in flight are waited for. */
static void run(int signal_fd)
{
    int cursor = 0;
    bool stopping = false;
    int64_t due = start_us = now_us(), end_us = opt.seconds ? start_us + opt.seconds * 1000000 : INT64_MAX;
    while (!stopping || any_waiting()) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll_fd, events, 256, 1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                slot_event(events[i].data.ptr, events[i].events);
            else
                stopping = true;
        }
        int64_t now = now_us();
        stopping = stopping || now >= end_us;
        if (!stopping)
            start_due(now, &due, &cursor);
        fail_overdue(now);
    }
    close(signal_fd);
}

static int64_t percentile_ms(int64_t percent)
{
    int64_t seen = 0, want = (tally.ok * percent + 99) / 100;
    for (int i = 0; i < BUCKETS; i++) {
        seen += tally.buckets[i];
        if (tally.ok && seen >= want)
            return i;
    }
    return 0;
}

static void print_text(const char *text)
{
    putchar('"');
    for (; *text; text++)
        putchar(*text == '"' || *text == '\\' || (unsigned char)*text < 32 ? '?' : *text);
    putchar('"');
}

static void print_report(void)
{
    int64_t failed = 0;
    const char *comma = "";
    for (int i = 0; i < FAULT_COUNT; i++)
        failed += tally.faults[i];
    printf("{\"sent\":%lld,\"ok\":%lld,\"failed\":%lld", (long long)tally.sent, (long long)tally.ok,
           (long long)failed);
    for (int i = 0; i < FAULT_COUNT; i++)
        printf(",\"%s\":%lld", fault_names[i], (long long)tally.faults[i]);
    printf(",\"repeated\":%lld", (long long)tally.repeated);
    printf(
        ",\"late\":%lld,\"behind\":%lld,\"longest_ms\":%.1f,\"p50_ms\":%lld,\"p99_ms\":%lld,\"seconds\":%.1f",
        (long long)tally.late, (long long)tally.behind, (double)tally.longest_us / 1000.0,
        (long long)percentile_ms(50), (long long)percentile_ms(99), (double)(now_us() - start_us) / 1e6);
    printf(",\"statuses\":{");
    for (int i = 0; i < 600; i++) {
        if (!tally.statuses[i])
            continue;
        printf("%s\"%d\":%lld", comma, i, (long long)tally.statuses[i]);
        comma = ",";
    }
    printf("},\"revisions\":{");
    for (int i = 0; i < REVS_MAX && tally.revs[i].n; i++) {
        printf("%s", i ? "," : "");
        print_text(tally.revs[i].rev);
        printf(":%lld", (long long)tally.revs[i].n);
    }
    printf("},\"first_failure\":");
    print_text(tally.first_failure);
    printf("}\n");
    fflush(stdout);
}

static void add_targets(char *list)
{
    for (char *one = strtok(list, ","); one; one = strtok(NULL, ",")) {
        char *colon = strrchr(one, ':');
        struct sockaddr_in *to = &opt.targets[opt.n_targets];
        if (!colon || opt.n_targets == TARGETS_MAX) {
            fprintf(stderr, "release-load: '%s' is not ADDRESS:PORT, or too many targets\n", one);
            exit(2);
        }
        snprintf(opt.names[opt.n_targets], sizeof opt.names[0], "%s", one);
        *colon = 0;
        to->sin_family = AF_INET;
        to->sin_port = htons((uint16_t)atoi(colon + 1));
        if (inet_pton(AF_INET, one, &to->sin_addr) != 1) {
            fprintf(stderr, "release-load: '%s' is not an IPv4 address\n", one);
            exit(2);
        }
        opt.n_targets++;
    }
}

static const struct option long_options[] = {
    {"targets", required_argument, NULL, 't'}, {"path", required_argument, NULL, 'p'},
    {"rate", required_argument, NULL, 'r'},    {"connections", required_argument, NULL, 'c'},
    {"seconds", required_argument, NULL, 's'}, {"timeout-ms", required_argument, NULL, 'T'},
    {"late-ms", required_argument, NULL, 'l'}, {"sticky", no_argument, NULL, 'k'},
    {"repeat-kept", no_argument, NULL, 'R'},   {NULL, 0, NULL, 0},
};

static bool read_options(int argc, char **argv)
{
    for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (c) {
        case 't': add_targets(optarg); break;
        case 'p': opt.path = optarg; break;
        case 'r': opt.rate = atoi(optarg); break;
        case 'c': opt.n_slots = atoi(optarg); break;
        case 's': opt.seconds = atoll(optarg); break;
        case 'T': opt.timeout_ms = atoll(optarg); break;
        case 'l': opt.late_ms = atoll(optarg); break;
        case 'k': opt.sticky = true; break;
        case 'R': opt.repeat_kept = true; break;
        default: return false;
        }
    }
    return opt.n_targets && opt.rate > 0 && opt.rate <= 100000 && opt.n_slots > 0 && opt.n_slots <= SLOTS_MAX;
}

/* The stop signals arrive as an event without a slot. */
static int watch_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
        die("signalfd");
    return fd;
}

int main(int argc, char **argv)
{
    if (!read_options(argc, argv)) {
        fprintf(stderr, "usage: release-load --targets ADDRESS:PORT,.. [--path /] [--rate N] [--connections "
                        "N] [--seconds N]\n"
                        "                    [--timeout-ms N] [--late-ms N] [--sticky] [--repeat-kept]\n");
        return 2;
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll_create1");
    for (int i = 0; i < opt.n_slots; i++)
        slots[i] = (struct slot){.fd = -1, .keep_alive = i % 2 == 0, .target = (i / 2) % opt.n_targets};
    run(watch_signals());
    print_report();
    return 0;
}
