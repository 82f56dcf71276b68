/* SPDX-License-Identifier: MIT */
/* The way to the journal's directory, walked by descriptors: each step is looked at, opened without following
 * links, and looked at again as what was opened. Names are never resolved a second time, so nobody can put
 * another directory there between a look and a use. Links on the way are followed here, when they are ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/str.h"
#include "state/sqlite/sqlite_priv.h"

#define WAY_BYTES 8192
#define LINKS_MAX 40
#define STEP_OPEN (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct path_way {
    const char *path; /* the journal's, for messages */
    int fd;           /* the directory that was reached */
    mode_t mode;      /* of it */
    struct buf here;  /* its name */
    struct buf todo;  /* what is left of the way */
    int links;
};

static bool go_to(struct path_way *w, int fd, mode_t mode)
{
    auto_fd_fn(&w->fd);
    w->fd = fd;
    w->mode = mode;
    return true;
}

static bool to_root(struct path_way *w, struct err *err)
{
    struct stat st;
    int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_errno(err, E_JOURNAL, "journal %s: cannot open /", w->path);
    buf_reset(&w->here);
    return go_to(w, fd, st.st_mode);
}

/* The next name of the way; false: it is at its end. */
static bool next_step(struct path_way *w, char *ret, size_t cap)
{
    const char *s = buf_str(&w->todo);
    s += strspn(s, "/");
    size_t n = strcspn(s, "/");
    if (n == 0 || n >= cap)
        return false;
    memcpy(ret, s, n);
    ret[n] = '\0';
    auto_free char *rest = xstrdup(s + n);
    buf_reset(&w->todo);
    buf_puts(&w->todo, rest);
    return true;
}

/* In a directory that all may write (sticky, like /tmp) what stands there must be ours or root's, and so must
 * a link anywhere: nobody else decides where the way leads. */
static bool owner_fits(const struct path_way *w, const char *step, const struct stat *st, struct err *err)
{
    bool ours = st->st_uid == geteuid() || st->st_uid == 0;
    if (ours || (!(w->mode & S_IWOTH) && !S_ISLNK(st->st_mode)))
        return true;
    return err_set(err, E_JOURNAL,
                   "journal %s: on the way to it %s/%s belongs to uid %u, who may lead it elsewhere; name a "
                   "directory of your own with --state",
                   w->path, buf_str(&w->here), step, (unsigned)st->st_uid);
}

static bool follow_link(struct path_way *w, const char *step, struct err *err)
{
    char target[4096];
    ssize_t n = readlinkat(w->fd, step, target, sizeof(target) - 1);
    if (n < 0 || ++w->links > LINKS_MAX)
        return err_errno(err, E_JOURNAL, "journal %s: cannot follow the link %s/%s", w->path,
                         buf_str(&w->here), step);
    target[n] = '\0';
    auto_free char *rest = xstrdup(buf_str(&w->todo));
    buf_reset(&w->todo);
    buf_printf(&w->todo, "%s%s", target, rest);
    return target[0] != '/' || to_root(w, err);
}

static bool sync_here(const struct path_way *w, struct err *err)
{
    auto_fd int fd = openat(w->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return err_errno(err, E_JOURNAL, "journal: cannot sync the directory %s", buf_str(&w->here));
    return true;
}

static bool make_step(struct path_way *w, const char *step, struct err *err)
{
    if (mkdirat(w->fd, step, 0700) != 0)
        return errno == EEXIST ||
               err_errno(err, E_JOURNAL, "journal: cannot make the directory %s/%s", buf_str(&w->here), step);
    /* A umask may have taken even our own bits; a link that somebody put there instead is not followed. */
    struct stat st;
    auto_fd int fd = openat(w->fd, step, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char via[64];
    snprintf(via, sizeof(via), "/proc/self/fd/%d", fd);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_uid != geteuid() || chmod(via, 0700) != 0)
        return err_errno(err, E_JOURNAL, "journal: cannot make the directory %s/%s private",
                         buf_str(&w->here), step);
    return sync_here(w, err);
}

static bool enter(struct path_way *w, const char *step, struct err *err)
{
    struct stat st;
    int fd = openat(w->fd, step, STEP_OPEN);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_errno(err, E_JOURNAL, "journal %s: cannot open %s/%s", w->path, buf_str(&w->here), step);
    if (!owner_fits(w, step, &st, err)) { /* as what was opened, whatever the name stands for by now */
        close(fd);
        return false;
    }
    buf_printf(&w->here, "/%s", step);
    go_to(w, fd, st.st_mode);
    bool above = buf_str(&w->todo)[strspn(buf_str(&w->todo), "/")] != '\0';
    return !above || !(st.st_mode & S_IWOTH) || (st.st_mode & S_ISVTX) ||
           err_set(err, E_JOURNAL,
                   "journal %s: on the way to it everybody may write in %s (mode %04o) and put another "
                   "directory there; name a private one with --state",
                   w->path, buf_str(&w->here), (unsigned)(st.st_mode & 07777));
}

/* *ret_there false: the way ends here, nothing bears that name. */
static bool walk_step(struct path_way *w, const char *step, bool make, bool *ret_there, struct err *err)
{
    struct stat st;
    *ret_there = true;
    if (fstatat(w->fd, step, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT)
            return err_errno(err, E_JOURNAL, "journal %s: cannot look at %s/%s", w->path, buf_str(&w->here),
                             step);
        *ret_there = make;
        return !make || (make_step(w, step, err) && enter(w, step, err));
    }
    if (!owner_fits(w, step, &st, err))
        return false;
    if (S_ISLNK(st.st_mode))
        return follow_link(w, step, err);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, E_JOURNAL, "journal %s: %s/%s is not a directory", w->path, buf_str(&w->here),
                       step);
    return enter(w, step, err);
}

static bool walk(struct path_way *w, bool make, bool *ret_there, struct err *err)
{
    char step[NAME_MAX + 1];
    for (*ret_there = true; *ret_there && next_step(w, step, sizeof(step));)
        if (strcmp(step, ".") != 0 && !walk_step(w, step, make, ret_there, err))
            return false;
    return true;
}

static bool dir_fits(const struct path_way *w, enum store_mode mode, struct err *err)
{
    struct stat st;
    const char *dir = w->here.len ? buf_str(&w->here) : "/";
    if (fstat(w->fd, &st) != 0)
        return err_errno(err, E_JOURNAL, "journal %s: cannot look at its directory", w->path);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return err_set(err, E_JOURNAL,
                       "journal %s: others may write in its directory %s (mode %04o), and so replace the "
                       "journal; 'chmod go-w %s', or name a private directory with --state",
                       w->path, dir, (unsigned)(st.st_mode & 07777), dir);
    if (mode == STORE_WRITE && st.st_uid != geteuid() && st.st_uid != 0)
        return err_set(err, E_JOURNAL,
                       "journal %s: its directory belongs to uid %u and you are uid %u; work as that user, "
                       "or name another journal with --state",
                       w->path, (unsigned)st.st_uid, (unsigned)geteuid());
    return true;
}

bool way_open(const char *path, enum store_mode mode, int *ret_fd, struct err *err)
{
    auto_buf struct buf here = BUF_INIT(WAY_BYTES), todo = BUF_INIT(WAY_BYTES);
    struct path_way w = {.path = path, .fd = -1, .here = here, .todo = todo};
    bool there = false;
    buf_add(&w.todo, path, (size_t)(strrchr(path, '/') - path));
    bool ok =
        to_root(&w, err) && walk(&w, mode == STORE_WRITE, &there, err) && (!there || dir_fits(&w, mode, err));
    here = w.here;
    todo = w.todo;
    *ret_fd = -1;
    if (ok && there) {
        *ret_fd = w.fd;
        w.fd = -1;
    }
    auto_fd_fn(&w.fd);
    return ok;
}
