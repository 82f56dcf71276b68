/* SPDX-License-Identifier: MIT */
/* The journal as a file: its name, its permissions, its birth. way.c has its directory.
 *
 * Nothing here opens the database itself (see sqlite_priv.h). What the umask takes away or leaves is
 * corrected, so that the modes are the same wherever release is called from. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/str.h"
#include "state/sqlite/sqlite_priv.h"

#define PATH_BYTES 4000

static char *text_take(struct buf *b)
{
    char *text = xstrdup(buf_str(b));
    buf_fini(b);
    return text;
}

static const char *home_dir(void)
{
    const char *home = getenv("HOME");
    if (home && home[0] == '/')
        return home;
    const struct passwd *pw = getpwuid(geteuid());
    return pw ? pw->pw_dir : "/";
}

static void default_path(struct buf *out)
{
    const char *own = getenv("RELEASE_STATE");
    const char *xdg = getenv("XDG_STATE_HOME");
    if (own && own[0])
        buf_puts(out, own);
    else if (xdg && xdg[0] == '/') /* the XDG rules: a relative one is ignored */
        buf_printf(out, "%s/release/release.db", xdg);
    else if (geteuid() == 0)
        buf_puts(out, "/var/lib/release/release.db");
    else
        buf_printf(out, "%s/.local/state/release/release.db", home_dir());
}

bool file_resolve(const char *given, char **ret, struct err *err)
{
    auto_buf struct buf name = BUF_INIT(PATH_BYTES), whole = BUF_INIT(PATH_BYTES);
    if (given)
        buf_puts(&name, given);
    else
        default_path(&name);
    if (name.len == 0 || buf_str(&name)[name.len - 1] == '/')
        return err_set(err, E_JOURNAL, "journal: '%s' is not the name of a file; give one with --state FILE",
                       buf_str(&name));
    if (buf_str(&name)[0] != '/') {
        /* Absolute from here on, so that a later chdir changes nothing. */
        auto_free char *cwd = getcwd(NULL, 0);
        if (!cwd)
            return err_errno(err, E_JOURNAL, "journal %s: cannot tell the current directory", buf_str(&name));
        buf_printf(&whole, "%s/", cwd);
    }
    buf_puts(&whole, buf_str(&name));
    if (name.cut || whole.cut)
        return err_set(err, E_JOURNAL, "journal: the name '%.100s...' is longer than %d bytes",
                       buf_str(&name), PATH_BYTES);
    *ret = text_take(&whole);
    return true;
}

/* ---- the file, beside whose directory nothing is resolved again */

static const char *base_of(const char *path)
{
    return strrchr(path, '/') + 1;
}

void file_via(int dir, const char *name, struct buf *out)
{
    buf_printf(out, "/proc/self/fd/%d/%s", dir, name);
}

/* Files that we make are 0600; a backup put back by hand may be wider. */
static bool tighten(int dir, const char *path, const char *suffix, struct err *err)
{
    auto_buf struct buf name = BUF_INIT(PATH_BYTES + 8);
    buf_printf(&name, "%s%s", path, suffix);
    struct stat st;
    if (fstatat(dir, base_of(buf_str(&name)), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || err_errno(err, E_JOURNAL, "journal: cannot look at %s", buf_str(&name));
    if (!S_ISREG(st.st_mode))
        return err_set(err, E_JOURNAL, "journal: %s is not a plain file; nothing was touched",
                       buf_str(&name));
    if ((st.st_mode & 0077) == 0)
        return true;
    if (fchmodat(dir, base_of(buf_str(&name)), 0600, 0) != 0)
        return err_errno(err, E_JOURNAL,
                         "journal: %s is open to others (mode %04o) and cannot be closed to them",
                         buf_str(&name), (unsigned)(st.st_mode & 07777));
    return true;
}

/* SQLite would replay a -wal that stayed behind into whatever file bears the name next. */
static bool no_orphan_wal(int dir, const char *path, struct err *err)
{
    auto_buf struct buf name = BUF_INIT(PATH_BYTES + 8);
    buf_printf(&name, "%s-wal", path);
    struct stat st;
    if (fstatat(dir, base_of(buf_str(&name)), &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_size == 0)
        return true;
    int64_t rows = st.st_size;
    if (fstatat(dir, base_of(path), &st, AT_SYMLINK_NOFOLLOW) == 0)
        return true; /* made by another process since we looked; making it will find that */
    return err_set(err, E_JOURNAL,
                   "journal %s is gone, but its newest rows (%" PRId64
                   " bytes) are still in %s; put the journal "
                   "back, or move that file away to begin an empty one",
                   path, rows, buf_str(&name));
}

static bool file_usable(const char *path, const struct stat *st, struct err *err)
{
    if (S_ISLNK(st->st_mode))
        return err_set(err, E_JOURNAL, "journal %s is a symbolic link; give the file itself with --state",
                       path);
    if (!S_ISREG(st->st_mode))
        return err_set(err, E_JOURNAL, "journal %s is not a plain file; name another with --state", path);
    if (st->st_mode & S_IWOTH)
        return err_set(
            err, E_JOURNAL,
            "journal %s: everybody may write to it (mode %04o), so it cannot be believed; look who "
            "did, then 'chmod 600 %s'",
            path, (unsigned)(st->st_mode & 07777), path);
    if (st->st_size == 0)
        return err_set(err, E_JOURNAL,
                       "journal %s is empty (0 bytes): cut short, or made by something else; put a backup in "
                       "its place, or remove it to begin a new one",
                       path);
    return true;
}

bool file_check(int dir, const char *path, enum store_mode mode, enum file_state *ret, struct err *err)
{
    struct stat st;
    if (fstatat(dir, base_of(path), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT)
            return err_errno(err, E_JOURNAL, "journal %s: cannot look at it", path);
        *ret = FILE_MISSING;
        return no_orphan_wal(dir, path, err);
    }
    *ret = FILE_THERE;
    if (!file_usable(path, &st, err))
        return false;
    return mode == STORE_READ || (tighten(dir, path, "", err) && tighten(dir, path, "-wal", err) &&
                                  tighten(dir, path, "-shm", err));
}

static void id_take(const struct stat *st, struct file_id *ret)
{
    *ret = (struct file_id){.dev = st->st_dev, .ino = st->st_ino};
}

bool file_id_get(const char *path, struct file_id *ret)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    id_take(&st, ret);
    return true;
}

bool file_id_at(int dir, const char *path, struct file_id *ret)
{
    struct stat st;
    if (fstatat(dir, base_of(path), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    id_take(&st, ret);
    return true;
}

bool file_id_same(const struct file_id *a, const struct file_id *b)
{
    return a->dev == b->dev && a->ino == b->ino;
}

bool file_new_beside(int dir, const char *path, char **ret_tmp, struct err *err)
{
    auto_buf struct buf name = BUF_INIT(PATH_BYTES + 64);
    buf_printf(&name, "%s.new-%ld-%" PRId64, base_of(path), (long)getpid(), clock_mono_ms());
    auto_fd int fd = openat(dir, buf_str(&name), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fchmod(fd, 0600) != 0)
        return err_errno(err, E_JOURNAL, "journal %s: cannot make %s beside it", path, buf_str(&name));
    *ret_tmp = text_take(&name);
    return true;
}

/* One name, one winner: never over a journal that another process made meanwhile. */
static bool rename_new(int dir, const char *tmp, const char *name)
{
    if (renameat2(dir, tmp, dir, name, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS)
        return false;
    return linkat(dir, tmp, dir, name, 0) == 0 && unlinkat(dir, tmp, 0) == 0;
}

bool file_publish(int dir, const char *tmp, const char *path, struct err *err)
{
    auto_fd int fd = openat(dir, tmp, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return err_errno(err, E_JOURNAL, "journal %s: cannot sync %s", path, tmp);
    if (!rename_new(dir, tmp, base_of(path)) && errno != EEXIST)
        return err_errno(err, E_JOURNAL, "journal %s: cannot give %s its name", path, tmp);
    auto_fd int here = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return (here >= 0 && fsync(here) == 0) ||
           err_errno(err, E_JOURNAL, "journal %s: cannot sync its directory", path);
}

void file_remove_new(int dir, const char *tmp)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        auto_buf struct buf name = BUF_INIT(PATH_BYTES + 80);
        buf_printf(&name, "%s%s", tmp, suffixes[i]);
        unlinkat(dir, buf_str(&name), 0);
    }
}
