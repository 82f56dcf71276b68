/* The journal as a file: its name, its directory, its permissions, its birth.
 *
 * Nothing here opens the database itself (see store_priv.h). What the umask takes away or leaves is
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
#include "state/store_priv.h"

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

static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    must(slash != NULL);
    char *dir = xstrdup(path);
    dir[slash == path ? 1 : slash - path] = '\0';
    return dir;
}

static bool sync_dir(const char *dir, struct err *err)
{
    auto_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return err_errno(err, E_JOURNAL, "journal: cannot sync the directory %s", dir);
    return true;
}

static bool make_one(const char *dir, struct err *err)
{
    struct stat st;
    if (stat(dir, &st) == 0)
        return S_ISDIR(st.st_mode) || err_set(err, E_JOURNAL, "journal: %s is not a directory", dir);
    if (mkdir(dir, 0700) != 0)
        return errno == EEXIST || err_errno(err, E_JOURNAL, "journal: cannot make the directory %s", dir);
    if (chmod(dir, 0700) != 0) /* a umask may have taken even our own bits */
        return err_errno(err, E_JOURNAL, "journal: cannot make the directory %s private", dir);
    auto_free char *parent = dir_of(dir);
    return sync_dir(parent, err);
}

/* Nobody but root and us may decide where one step of the way leads: in a shared directory (sticky, like
 * /tmp) what stands there must be ours, and one that others may write freely leads nowhere for sure. */
static bool step_check(const char *path, const char *step, bool parent_shared, struct err *err)
{
    struct stat st;
    if (lstat(step, &st) != 0)
        return errno == ENOENT || errno == ENOTDIR ||
               err_errno(err, E_JOURNAL, "journal %s: cannot look at %s", path, step);
    bool ours = st.st_uid == geteuid() || st.st_uid == 0;
    if (!ours && (parent_shared || S_ISLNK(st.st_mode)))
        return err_set(err, E_JOURNAL,
                       "journal %s: on the way to it %s belongs to uid %u, who may lead it elsewhere; name a "
                       "directory of your own with --state",
                       path, step, (unsigned)st.st_uid);
    return true;
}

static bool way_check(const char *path, struct err *err)
{
    auto_free char *step = xstrdup(path);
    struct stat st;
    bool shared = false;
    for (char *p = step + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (!step_check(path, step, shared, err))
            return false;
        shared = stat(step, &st) == 0 && (st.st_mode & S_IWOTH);
        bool above = strchr(p + 1, '/') != NULL; /* the directory itself is file_dir_check's */
        if (above && shared && S_ISDIR(st.st_mode) && !(st.st_mode & S_ISVTX))
            return err_set(
                err, E_JOURNAL,
                "journal %s: on the way to it everybody may write in %s (mode %04o) and put another "
                "directory there; name a private one with --state",
                path, step, (unsigned)(st.st_mode & 07777));
        *p = '/';
    }
    return true;
}

bool file_dir_make(const char *path, struct err *err)
{
    if (!way_check(path, err))
        return false;
    auto_free char *dir = dir_of(path);
    for (char *p = dir + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        bool ok = make_one(dir, err);
        *p = '/';
        if (!ok)
            return false;
    }
    return make_one(dir, err);
}

bool file_dir_check(const char *path, enum store_mode mode, struct err *err)
{
    if (!way_check(path, err))
        return false;
    auto_free char *dir = dir_of(path);
    struct stat st;
    if (stat(dir, &st) != 0) {
        if (mode == STORE_READ && (errno == ENOENT || errno == ENOTDIR))
            return true;
        return err_errno(err, E_JOURNAL, "journal %s: cannot look at its directory", path);
    }
    if (!S_ISDIR(st.st_mode))
        return err_set(err, E_JOURNAL, "journal %s: %s is not a directory", path, dir);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return err_set(err, E_JOURNAL,
                       "journal %s: others may write in its directory %s (mode %04o), and so replace the "
                       "journal; 'chmod go-w %s', or name a private directory with --state",
                       path, dir, (unsigned)(st.st_mode & 07777), dir);
    if (mode == STORE_WRITE && st.st_uid != geteuid() && st.st_uid != 0)
        return err_set(err, E_JOURNAL,
                       "journal %s: its directory belongs to uid %u and you are uid %u; work as that user, "
                       "or name another journal with --state",
                       path, (unsigned)st.st_uid, (unsigned)geteuid());
    return true;
}

/* Files that we make are 0600; a backup put back by hand may be wider. */
static bool tighten(const char *path, const char *suffix, struct err *err)
{
    auto_buf struct buf name = BUF_INIT(PATH_BYTES + 8);
    buf_printf(&name, "%s%s", path, suffix);
    struct stat st;
    if (lstat(buf_str(&name), &st) != 0)
        return errno == ENOENT || err_errno(err, E_JOURNAL, "journal: cannot look at %s", buf_str(&name));
    if (!S_ISREG(st.st_mode))
        return err_set(err, E_JOURNAL, "journal: %s is not a plain file; nothing was touched",
                       buf_str(&name));
    if ((st.st_mode & 0077) == 0)
        return true;
    if (chmod(buf_str(&name), 0600) != 0)
        return err_errno(err, E_JOURNAL,
                         "journal: %s is open to others (mode %04o) and cannot be closed to them",
                         buf_str(&name), (unsigned)(st.st_mode & 07777));
    return true;
}

/* SQLite would replay a -wal that stayed behind into whatever file bears the name next. */
static bool no_orphan_wal(const char *path, struct err *err)
{
    auto_buf struct buf name = BUF_INIT(PATH_BYTES + 8);
    buf_printf(&name, "%s-wal", path);
    struct stat st;
    if (lstat(buf_str(&name), &st) != 0 || st.st_size == 0)
        return true;
    if (lstat(path, &st) == 0)
        return true; /* made by another process since we looked; making it will find that */
    return err_set(err, E_JOURNAL,
                   "journal %s is gone, but its newest rows (%" PRId64
                   " bytes) are still in %s; put the journal "
                   "back, or move that file away to begin an empty one",
                   path, (int64_t)st.st_size, buf_str(&name));
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

bool file_check(const char *path, enum store_mode mode, enum file_state *ret, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            return err_errno(err, E_JOURNAL, "journal %s: cannot look at it", path);
        *ret = FILE_MISSING;
        return no_orphan_wal(path, err);
    }
    *ret = FILE_THERE;
    if (!file_usable(path, &st, err))
        return false;
    return mode == STORE_READ ||
           (tighten(path, "", err) && tighten(path, "-wal", err) && tighten(path, "-shm", err));
}

bool file_id_get(const char *path, struct file_id *ret)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    *ret = (struct file_id){.dev = st.st_dev, .ino = st.st_ino};
    return true;
}

bool file_id_same(const struct file_id *a, const struct file_id *b)
{
    return a->dev == b->dev && a->ino == b->ino;
}

bool file_new_beside(const char *path, char **ret_tmp, struct err *err)
{
    auto_buf struct buf name = BUF_INIT(PATH_BYTES + 64);
    buf_printf(&name, "%s.new-%ld-%" PRId64, path, (long)getpid(), clock_mono_ms());
    auto_fd int fd = open(buf_str(&name), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fchmod(fd, 0600) != 0)
        return err_errno(err, E_JOURNAL, "journal: cannot make %s", buf_str(&name));
    *ret_tmp = text_take(&name);
    return true;
}

/* One name, one winner: never over a journal that another process made meanwhile. */
static bool rename_new(const char *tmp, const char *path)
{
    if (renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS)
        return false;
    return link(tmp, path) == 0 && unlink(tmp) == 0;
}

bool file_publish(const char *tmp, const char *path, struct err *err)
{
    auto_fd int fd = open(tmp, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return err_errno(err, E_JOURNAL, "journal: cannot sync %s", tmp);
    if (!rename_new(tmp, path) && errno != EEXIST)
        return err_errno(err, E_JOURNAL, "journal: cannot give %s its name %s", tmp, path);
    auto_free char *dir = dir_of(path);
    return sync_dir(dir, err);
}

void file_remove_new(const char *tmp)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        auto_buf struct buf name = BUF_INIT(PATH_BYTES + 80);
        buf_printf(&name, "%s%s", tmp, suffixes[i]);
        unlink(buf_str(&name));
    }
}
