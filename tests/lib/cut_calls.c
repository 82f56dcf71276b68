/* SPDX-License-Identifier: MIT */
/* Preloaded into a node's shell and all that it starts: counts what changes files (every write, rename, link,
 * removal, directory, truncation), and at the CUT_AT-th kills the whole process group, as a power cut would:
 * before the effect, or with CUT_TORN=1 half-way through a write. Appends to CUT_LOG what the harness must
 * know to lose what was not synced: W path (written) | S path (synced) | A (all synced) | R from<TAB>to
 * (renamed) CUT_BOOT: a file to be read instead of the kernel's boot id, for a machine that came up again. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int *counter; /* shared by all processes of the script */
static int cut_at;
static bool torn;
static const char *log_path;

__attribute__((constructor)) static void set_up(void)
{
    const char *path = getenv("CUT_COUNT"), *at = getenv("CUT_AT");
    log_path = getenv("CUT_LOG");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    counter = p == MAP_FAILED ? NULL : p;
    cut_at = at ? atoi(at) : 0;
    torn = getenv("CUT_TORN") != NULL;
}

/* One change is about to happen; true: this is the one. */
static bool counted(void)
{
    return counter && atomic_fetch_add(counter, 1) + 1 == cut_at;
}

static void cut(void)
{
    kill(0, SIGKILL);
    for (;;)
        pause();
}

static void effect(void)
{
    if (counted())
        cut();
}

static void note(const char *what, const char *a, const char *b)
{
    char line[8300];
    if (!log_path)
        return;
    int n = snprintf(line, sizeof(line), "%s%s%s%s%s\n", what, a ? " " : "", a ? a : "", b ? "\t" : "",
                     b ? b : "");
    int fd = (int)syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        long unused = syscall(SYS_write, fd, line, (size_t)n);
        (void)unused;
        close(fd);
    }
}

static const char *whole(int dir, const char *path, char out[4096])
{
    char link[64], where[2048];
    if (path[0] == '/') {
        snprintf(out, 4096, "%s", path);
        return out;
    }
    snprintf(link, sizeof(link), dir == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir);
    ssize_t n = readlink(link, where, sizeof(where) - 1);
    where[n > 0 ? n : 0] = '\0';
    snprintf(out, 4096, "%s/%.2000s", where, path);
    return out;
}

static bool plain_file(int fd, char out[4096])
{
    struct stat st;
    char link[64];
    if (!counter || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, 4095);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
    char name[4096];
    const char *boot = getenv("CUT_BOOT");
    if (boot && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
        path = boot;
    bool real = strncmp(path, "/dev/", 5) != 0 && strncmp(path, "/proc/", 6) != 0;
    if (counter && real && (flags & (O_CREAT | O_TRUNC))) {
        effect();
        note("W", whole(dir, path, name), NULL);
    }
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define MODE_OF(flags)                                                                                       \
    mode_t mode = 0;                                                                                         \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                                   \
        va_list ap;                                                                                          \
        va_start(ap, flags);                                                                                 \
        mode = va_arg(ap, mode_t);                                                                           \
        va_end(ap);                                                                                          \
    }
int open(const char *path, int flags, ...)
{
    MODE_OF(flags);
    return open_at(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...)
{
    MODE_OF(flags);
    return open_at(AT_FDCWD, path, flags, mode);
}
int openat(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags);
    return open_at(dir, path, flags, mode);
}
int openat64(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags);
    return open_at(dir, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t n)
{
    char path[4096];
    if (plain_file(fd, path)) {
        note("W", path, NULL);
        if (counted()) {
            long unused = torn ? syscall(SYS_write, fd, data, n / 2) : 0;
            (void)unused;
            cut();
        }
    }
    return syscall(SYS_write, fd, data, n);
}
ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t n, unsigned flags)
{
    char path[4096];
    if (plain_file(out, path)) {
        note("W", path, NULL);
        effect();
    }
    return syscall(SYS_copy_file_range, in, in_at, out, out_at, n, flags);
}

int fsync(int fd)
{
    char path[4096];
    int rc = (int)syscall(SYS_fsync, fd);
    if (rc == 0 && plain_file(fd, path))
        note("S", path, NULL);
    return rc;
}
int fdatasync(int fd)
{
    return fsync(fd);
}
int syncfs(int fd)
{
    (void)fd; /* the disk of the harness needs no real one */
    note("A", NULL, NULL);
    return 0;
}
void sync(void)
{
    note("A", NULL, NULL);
}

static void renaming(int from_dir, const char *from, int to_dir, const char *to)
{
    char a[4096], b[4096];
    effect();
    note("R", whole(from_dir, from, a), whole(to_dir, to, b));
}
int rename(const char *from, const char *to)
{
    renaming(AT_FDCWD, from, AT_FDCWD, to);
    return REAL(rename)(from, to);
}
int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    renaming(from_dir, from, to_dir, to);
    return REAL(renameat)(from_dir, from, to_dir, to);
}
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    renaming(from_dir, from, to_dir, to);
    return REAL(renameat2)(from_dir, from, to_dir, to, flags);
}
int link(const char *from, const char *to)
{
    char a[4096], b[4096];
    effect();
    note("R", whole(AT_FDCWD, from, a), whole(AT_FDCWD, to, b));
    return REAL(link)(from, to);
}

/* The rest is counted and nothing more. */
#define COUNTED(name, parameters, arguments)                                                                 \
    int name parameters                                                                                      \
    {                                                                                                        \
        effect();                                                                                            \
        return REAL(name) arguments;                                                                         \
    }
COUNTED(linkat, (int a, const char *b, int c, const char *d, int e), (a, b, c, d, e))
COUNTED(symlink, (const char *a, const char *b), (a, b))
COUNTED(symlinkat, (const char *a, int b, const char *c), (a, b, c))
COUNTED(unlink, (const char *a), (a))
COUNTED(unlinkat, (int a, const char *b, int c), (a, b, c))
COUNTED(rmdir, (const char *a), (a))
COUNTED(mkdir, (const char *a, mode_t b), (a, b))
COUNTED(mkdirat, (int a, const char *b, mode_t c), (a, b, c))
COUNTED(ftruncate, (int a, off_t b), (a, b))
