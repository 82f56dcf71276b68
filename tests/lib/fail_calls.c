/* SPDX-License-Identifier: MIT */
/* Preloaded into `release`: makes the N-th call of one kind fail, once or from then on (docs/promises.md#m9,
 * "Nth failure").
 *
 *   FAIL_CALL=malloc:120      the 120th allocation, of whatever library
 *   FAIL_CALL=ssh:7+          the 7th call into libssh2 and all after it
 * Kinds: malloc; disk (writing, syncing and cutting files); net (connect, send, receive); balancer (the same,
 * to port FAIL_PORT only, and plain read and write there); ssh (libssh2); http (curl); thread (new threads);
 * files (new file descriptors). FAIL_COUNT=FILE: how many calls there were is written there at the end.
 * Children run without all this. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char kind[16];
static int fail_at = -1, port;
static bool for_ever;
static atomic_int calls;
static char count_path[512];

__attribute__((constructor)) static void set_up(void)
{
    const char *want = getenv("FAIL_CALL"), *at = getenv("FAIL_PORT"), *path = getenv("FAIL_COUNT");
    const char *colon = want ? strchr(want, ':') : NULL;
    unsetenv("LD_PRELOAD");
    if (!colon || (size_t)(colon - want) >= sizeof(kind))
        return;
    for_ever = want[strlen(want) - 1] == '+';
    port = at ? atoi(at) : 0;
    if (path)
        snprintf(count_path, sizeof(count_path), "%s", path);
    fail_at = atoi(colon + 1);
    memcpy(kind, want, (size_t)(colon - want)); /* from here on */
}

__attribute__((destructor)) static void say_count(void)
{
    char text[32];
    int fd = count_path[0] ? open(count_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    int n = snprintf(text, sizeof(text), "%d\n", atomic_load(&calls));
    kind[0] = '\0';
    if (fd >= 0 && write(fd, text, (size_t)n) != n)
        return;
    if (fd >= 0)
        close(fd);
}

static bool fails(const char *mine)
{
    if (kind[0] != mine[0] || strcmp(kind, mine) != 0)
        return false;
    int n = atomic_fetch_add(&calls, 1) + 1;
    return fail_at > 0 && (n == fail_at || (for_ever && n > fail_at));
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* ---- memory: dlsym allocates, so the first calls get theirs from here */

static char early[1 << 16];
static size_t early_used;
static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static bool finding;

static void *early_take(size_t n)
{
    size_t at = (early_used + 15) / 16 * 16;
    if (at + n > sizeof(early))
        abort();
    early_used = at + n;
    return early + at;
}

static bool is_early(const void *p)
{
    return (const char *)p >= early && (const char *)p < early + sizeof(early);
}

static bool found(void)
{
    if (real_free)
        return true;
    if (finding)
        return false;
    finding = true;
    *(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&real_calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&real_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&real_free = dlsym(RTLD_NEXT, "free");
    return true;
}

static bool no_memory(void)
{
    if (!fails("malloc"))
        return false;
    errno = ENOMEM;
    return true;
}
void *malloc(size_t n)
{
    return !found() ? early_take(n) : no_memory() ? NULL : real_malloc(n);
}
void *calloc(size_t n, size_t size)
{
    return !found() ? early_take(n * size) : no_memory() ? NULL : real_calloc(n, size);
}
void *realloc(void *p, size_t n)
{
    if (!found() || is_early(p)) {
        void *q = found() ? real_malloc(n) : early_take(n);
        if (p && q)
            memcpy(q, p, n < (size_t)(early + sizeof(early) - (char *)p) ? n : 0);
        return q;
    }
    return no_memory() ? NULL : real_realloc(p, n);
}
void free(void *p)
{
    if (p && !is_early(p) && found())
        real_free(p);
}

/* ---- files and sockets */

static bool is_file(int fd)
{
    struct stat st;
    return strcmp(kind, "disk") == 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static bool disk_fails(int fd)
{
    if (!is_file(fd) || !fails("disk"))
        return false;
    errno = EIO;
    return true;
}

static bool net_fails(int port_to)
{
    if (!(port_to > 0 && (fails("net") || (port_to == port && fails("balancer")))))
        return false;
    errno = ECONNRESET;
    return true;
}

static int port_of(const struct sockaddr *a)
{
    return a->sa_family == AF_INET ? ntohs(((const struct sockaddr_in *)(const void *)a)->sin_port) : 0;
}

static int peer_port(int fd)
{
    struct sockaddr_in a;
    socklen_t n = sizeof(a);
    if (kind[0] != 'n' && kind[0] != 'b')
        return 0;
    return getpeername(fd, (struct sockaddr *)&a, &n) == 0 ? port_of((struct sockaddr *)&a) : 0;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    return disk_fails(fd) ? -1 : REAL(pwrite)(fd, data, n, at);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
    return disk_fails(fd) ? -1 : REAL(pwrite64)(fd, data, n, at);
}
int fsync(int fd)
{
    return disk_fails(fd) ? -1 : REAL(fsync)(fd);
}
int fdatasync(int fd)
{
    return disk_fails(fd) ? -1 : REAL(fdatasync)(fd);
}
int ftruncate(int fd, off_t n)
{
    return disk_fails(fd) ? -1 : REAL(ftruncate)(fd, n);
}
int connect(int fd, const struct sockaddr *to, socklen_t n)
{
    return net_fails(port_of(to)) ? -1 : REAL(connect)(fd, to, n);
}
ssize_t send(int fd, const void *data, size_t n, int flags)
{
    return net_fails(peer_port(fd)) ? -1 : REAL(send)(fd, data, n, flags);
}
ssize_t recv(int fd, void *data, size_t n, int flags)
{
    return net_fails(peer_port(fd)) ? -1 : REAL(recv)(fd, data, n, flags);
}
ssize_t read(int fd, void *data, size_t n)
{
    return net_fails(peer_port(fd)) ? -1 : REAL(read)(fd, data, n);
}
ssize_t write(int fd, const void *data, size_t n)
{
    return net_fails(peer_port(fd)) || disk_fails(fd) ? -1 : REAL(write)(fd, data, n);
}
int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*main_fn)(void *), void *arg)
{
    return fails("thread") ? EAGAIN : REAL(pthread_create)(t, attr, main_fn, arg);
}

/* ---- new descriptors */

static bool files_fail(void)
{
    if (!fails("files"))
        return false;
    errno = EMFILE;
    return true;
}
int socket(int domain, int type, int protocol)
{
    return files_fail() ? -1 : REAL(socket)(domain, type, protocol);
}
int pipe2(int fds[2], int flags)
{
    return files_fail() ? -1 : REAL(pipe2)(fds, flags);
}
int epoll_create1(int flags)
{
    return files_fail() ? -1 : REAL(epoll_create1)(flags);
}
#define OPEN(name)                                                                                           \
    int name(const char *path, int flags, ...)                                                               \
    {                                                                                                        \
        va_list ap;                                                                                          \
        va_start(ap, flags);                                                                                 \
        mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;                                              \
        va_end(ap);                                                                                          \
        return files_fail() ? -1 : REAL(name)(path, flags, mode);                                            \
    }
OPEN(open)
OPEN(open64)

/* ---- libraries: only the calls that the drivers make; no header, so that none is needed to build this */

#define SOCKET_SEND (-7)
#define LIBRARY(kind_name, type, wrong, name, parameters, arguments)                                         \
    type name parameters;                                                                                    \
    type name parameters                                                                                     \
    {                                                                                                        \
        return fails(kind_name) ? (type)(wrong) : REAL(name) arguments;                                      \
    }
LIBRARY("ssh", int, SOCKET_SEND, libssh2_session_handshake, (void *s, int fd), (s, fd))
LIBRARY("ssh", const char *, NULL, libssh2_session_hostkey, (void *s, size_t *n, int *t), (s, n, t))
LIBRARY("ssh", int, SOCKET_SEND, libssh2_userauth_publickey_frommemory,
        (void *s, const char *u, size_t un, const char *p, size_t pn, const char *k, size_t kn,
         const char *w),
        (s, u, un, p, pn, k, kn, w))
LIBRARY("ssh", void *, NULL, libssh2_channel_open_ex,
        (void *s, const char *t, unsigned tn, unsigned w, unsigned p, const char *m, unsigned mn),
        (s, t, tn, w, p, m, mn))
LIBRARY("ssh", int, SOCKET_SEND, libssh2_channel_process_startup,
        (void *c, const char *r, unsigned rn, const char *m, unsigned mn), (c, r, rn, m, mn))
LIBRARY("ssh", ssize_t, SOCKET_SEND, libssh2_channel_read_ex, (void *c, int i, char *b, size_t n),
        (c, i, b, n))
LIBRARY("ssh", ssize_t, SOCKET_SEND, libssh2_channel_write_ex, (void *c, int i, const char *b, size_t n),
        (c, i, b, n))
LIBRARY("ssh", int, SOCKET_SEND, libssh2_channel_send_eof, (void *c), (c))
LIBRARY("ssh", int, SOCKET_SEND, libssh2_channel_close, (void *c), (c))
LIBRARY("ssh", int, SOCKET_SEND, libssh2_channel_free, (void *c), (c))
LIBRARY("http", void *, NULL, curl_easy_init, (void), ())
LIBRARY("http", void *, NULL, curl_multi_init, (void), ())
LIBRARY("http", int, 27, curl_easy_perform, (void *c), (c))
LIBRARY("http", int, 3, curl_multi_perform, (void *c, int *n), (c, n))
LIBRARY("http", int, 3, curl_multi_add_handle, (void *m, void *c), (m, c))
LIBRARY("http", int, 3, curl_multi_socket_action, (void *m, int s, int b, int *n), (m, s, b, n))
LIBRARY("http", void *, NULL, curl_slist_append, (void *l, const char *t), (l, t))
