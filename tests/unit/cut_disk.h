/* SPDX-License-Identifier: MIT */
/* A record of all that SQLite and the store did to the files of one directory, and every disk that a power
 * cut may leave of it.
 *
 * Rules of that disk: what was synced stays. Of what was written since, any set of sectors may be there, and
 * a sector may be torn. Names (made, renamed, removed) become durable by a sync of the directory; before it
 * they are there in order, up to any one. Writes come in through the VFS, syncs and renames through the C
 * library's own functions, which are defined here and so win over the library's. */
#ifndef RELEASE_TESTS_CUT_DISK_H
#define RELEASE_TESTS_CUT_DISK_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "unit/vfs_shim.h"

#define SECTOR     512u
#define FILES_MAX  64
#define NAME_BYTES 96

enum rec_kind { REC_MADE, REC_WRITE, REC_CUT_TO, REC_SYNC, REC_GONE, REC_RENAME, REC_DIR_SYNC, REC_ACK };
struct rec {
    enum rec_kind kind;
    int file;
    size_t at, n;
    unsigned char *data;
    char name[NAME_BYTES], to[NAME_BYTES];
};

/* ---- recording */

static struct {
    char dir[256]; /* "" = not recording */
    ino_t dir_ino;
    struct rec *recs;
    size_t n, cap;
    ino_t inode[FILES_MAX]; /* of each file, 0 = gone: the number may serve another */
    int n_files;
} record;

static struct rec *rec_add(enum rec_kind kind, int file)
{
    if (record.n == record.cap) {
        record.cap = record.cap ? record.cap * 2 : 256;
        record.recs = realloc(record.recs, record.cap * sizeof(*record.recs));
    }
    record.recs[record.n] = (struct rec){.kind = kind, .file = file};
    return &record.recs[record.n++];
}

/* Is the open directory `fd` the recorded one? */
static bool is_recorded(int fd)
{
    char via[64], where[256];
    snprintf(via, sizeof(via), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(via, where, sizeof(where) - 1);
    return n > 0 && (size_t)n == strlen(record.dir) && strncmp(where, record.dir, (size_t)n) == 0;
}

/* The name inside the recorded directory, which is reached through a descriptor or by its own name; NULL when
 * it is elsewhere or nothing is recorded. */
static const char *inside(const char *path)
{
    size_t n = strlen(record.dir);
    int fd = -1, skip = 0;
    if (n == 0 || !path)
        return NULL;
    if (sscanf(path, "/proc/self/fd/%d/%n", &fd, &skip) == 1 && skip > 0)
        return is_recorded(fd) ? path + skip : NULL;
    return strncmp(path, record.dir, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

static const char *inside_at(int dir, const char *name)
{
    return record.dir[0] && !strchr(name, '/') && is_recorded(dir) ? name : inside(name);
}

static int file_of_inode(ino_t ino)
{
    for (int i = 0; i < record.n_files; i++)
        if (record.inode[i] == ino)
            return i;
    return -1;
}

static void on_opened(struct shim_file *f, const char *path)
{
    struct stat st;
    const char *name = inside(path);
    if (!name || stat(path, &st) != 0)
        return;
    f->tag = file_of_inode(st.st_ino);
    if (f->tag >= 0)
        return;
    assert_true(record.n_files < FILES_MAX && st.st_size == 0);
    f->tag = record.n_files++;
    record.inode[f->tag] = st.st_ino;
    snprintf(rec_add(REC_MADE, f->tag)->name, NAME_BYTES, "%s", name);
}

static void on_deleting(const char *path)
{
    struct stat st;
    const char *name = inside(path);
    if (!name || stat(path, &st) != 0)
        return;
    int file = file_of_inode(st.st_ino);
    if (file >= 0)
        record.inode[file] = 0;
    snprintf(rec_add(REC_GONE, file)->name, NAME_BYTES, "%s", name);
}

static int on_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
    int tag = ((struct shim_file *)f)->tag;
    if (tag >= 0 && record.dir[0]) {
        struct rec *r = rec_add(REC_WRITE, tag);
        r->at = (size_t)at;
        r->n = (size_t)n;
        r->data = malloc((size_t)n);
        memcpy(r->data, data, (size_t)n);
    }
    return real_of(f)->pMethods->xWrite(real_of(f), data, n, at);
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    int tag = ((struct shim_file *)f)->tag;
    if (tag >= 0 && record.dir[0])
        rec_add(REC_CUT_TO, tag)->n = (size_t)n;
    return real_of(f)->pMethods->xTruncate(real_of(f), n);
}

static void synced(int fd)
{
    struct stat st;
    if (!record.dir[0] || fstat(fd, &st) != 0)
        return;
    if (S_ISDIR(st.st_mode) && st.st_ino == record.dir_ino)
        rec_add(REC_DIR_SYNC, -1);
    else if (file_of_inode(st.st_ino) >= 0)
        rec_add(REC_SYNC, file_of_inode(st.st_ino));
}

int fsync(int fd)
{
    synced(fd);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    synced(fd);
    return (int)syscall(SYS_fdatasync, fd);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    int rc = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
    if (rc == 0 && inside_at(from_dir, from) && inside_at(to_dir, to)) {
        struct rec *r = rec_add(REC_RENAME, -1);
        snprintf(r->name, NAME_BYTES, "%s", inside_at(from_dir, from));
        snprintf(r->to, NAME_BYTES, "%s", inside_at(to_dir, to));
    }
    return rc;
}

/* From here on all that happens in dir, which must be empty. */
static void record_start(const char *dir)
{
    struct stat st;
    assert_int_equal(stat(dir, &st), 0);
    record.dir_ino = st.st_ino;
    snprintf(record.dir, sizeof(record.dir), "%s", dir);
}

static void record_end(void)
{
    record.dir[0] = '\0';
}

static void record_free(void)
{
    for (size_t i = 0; i < record.n; i++)
        free(record.recs[i].data);
    free(record.recs);
    memset(&record, 0, sizeof(record));
}

/* ---- the disk at a point of the record */

struct content {
    unsigned char *bytes;
    size_t n;
};
struct names {
    char name[FILES_MAX][NAME_BYTES]; /* "" = unused */
    int file[FILES_MAX];
};
static struct {
    struct content kept[FILES_MAX]; /* as of the last sync */
    struct names names;             /* as of the last sync of the directory */
    size_t *pending, n_pending;     /* records that no sync has made durable, in order */
} disk;

static void content_write(struct content *c, size_t at, const unsigned char *data, size_t n)
{
    if (at + n > c->n) {
        c->bytes = realloc(c->bytes, at + n);
        memset(c->bytes + c->n, 0, at + n - c->n);
        c->n = at + n;
    }
    memcpy(c->bytes + at, data, n);
}

static void content_cut_to(struct content *c, size_t n)
{
    static const unsigned char zero;
    if (n < c->n)
        c->n = n;
    else if (n > c->n)
        content_write(c, n - 1, &zero, 1);
}

static int name_slot(const struct names *t, const char *name)
{
    for (int i = 0; i < FILES_MAX; i++)
        if (strcmp(t->name[i], name) == 0)
            return i;
    return -1;
}

static void name_put(struct names *t, const char *name, int file)
{
    int slot = name_slot(t, name);
    if (slot < 0)
        slot = name_slot(t, "");
    assert_true(slot >= 0);
    snprintf(t->name[slot], NAME_BYTES, "%s", name);
    t->file[slot] = file;
}

static void name_apply(struct names *t, const struct rec *r)
{
    int slot = name_slot(t, r->name);
    if (r->kind == REC_MADE) {
        name_put(t, r->name, r->file);
    } else if (slot >= 0) {
        t->name[slot][0] = '\0';
        if (r->kind == REC_RENAME)
            name_put(t, r->to, t->file[slot]);
    }
}

static bool of_names(const struct rec *r)
{
    return r->kind == REC_MADE || r->kind == REC_GONE || r->kind == REC_RENAME;
}

static bool made_durable(const struct rec *pending, const struct rec *sync)
{
    return sync->kind == REC_DIR_SYNC ? of_names(pending) : !of_names(pending) && pending->file == sync->file;
}

static void content_apply(struct content *c, const struct rec *r)
{
    if (r->kind == REC_WRITE)
        content_write(c, r->at, r->data, r->n);
    else
        content_cut_to(c, r->n);
}

/* One more record has happened. */
static void disk_step(size_t i)
{
    const struct rec *r = &record.recs[i];
    if (r->kind == REC_ACK)
        return;
    if (r->kind != REC_SYNC && r->kind != REC_DIR_SYNC) {
        disk.pending = realloc(disk.pending, (disk.n_pending + 1) * sizeof(*disk.pending));
        disk.pending[disk.n_pending++] = i;
        return;
    }
    size_t n = 0;
    for (size_t k = 0; k < disk.n_pending; k++) {
        const struct rec *p = &record.recs[disk.pending[k]];
        if (!made_durable(p, r))
            disk.pending[n++] = disk.pending[k];
        else if (of_names(p))
            name_apply(&disk.names, p);
        else
            content_apply(&disk.kept[p->file], p);
    }
    disk.n_pending = n;
}

static void disk_free(void)
{
    for (int i = 0; i < FILES_MAX; i++)
        free(disk.kept[i].bytes);
    free(disk.pending);
    memset(&disk, 0, sizeof(disk));
}

/* ---- what may be left of it */

enum leave { LEAVE_NONE, LEAVE_ALL, LEAVE_LAST_TORN, LEAVE_RANDOM };

static uint64_t dice_state;
static unsigned dice(unsigned sides)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return (unsigned)(dice_state >> 33) % sides;
}

/* Each sector is there, not there, or there up to a byte in its middle. */
static void leave_sectors(struct content *c, const struct rec *r)
{
    for (size_t from = 0, n; from < r->n; from += n) {
        n = SECTOR - (r->at + from) % SECTOR;
        if (n > r->n - from)
            n = r->n - from;
        unsigned luck = dice(8);
        if (luck < 4)
            content_write(c, r->at + from, r->data + from, n);
        else if (luck == 4)
            content_write(c, r->at + from, r->data + from, dice((unsigned)n));
    }
}

static void leave_data(struct content *c, const struct rec *r, enum leave how, bool last)
{
    if (how == LEAVE_ALL || (how == LEAVE_LAST_TORN && !last))
        content_apply(c, r);
    else if (how == LEAVE_LAST_TORN && r->kind == REC_WRITE)
        content_write(c, r->at, r->data, dice((unsigned)r->n));
    else if (how == LEAVE_RANDOM && r->kind == REC_WRITE)
        leave_sectors(c, r);
    else if (how == LEAVE_RANDOM && dice(2))
        content_apply(c, r);
}

static void leave_names(struct names *t, enum leave how)
{
    *t = disk.names;
    if (how == LEAVE_NONE)
        return;
    size_t n = 0, stay;
    for (size_t k = 0; k < disk.n_pending; k++)
        n += of_names(&record.recs[disk.pending[k]]);
    stay = how == LEAVE_RANDOM ? dice((unsigned)n + 1) : n;
    for (size_t k = 0; k < disk.n_pending && stay; k++)
        if (of_names(&record.recs[disk.pending[k]])) {
            name_apply(t, &record.recs[disk.pending[k]]);
            stay--;
        }
}

static void empty_dir(const char *dir)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

static void put_file(const char *dir, const char *name, const struct content *c)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, c->bytes, c->n), c->n);
    close(fd);
}

/* Fills dir with one of the disks that a cut at this point may leave. */
static void disk_leave(const char *dir, enum leave how, uint64_t seed)
{
    static struct names names;
    dice_state = seed * 0x9e3779b97f4a7c15u + 1;
    empty_dir(dir);
    leave_names(&names, how);
    for (int i = 0; i < FILES_MAX; i++) {
        if (!names.name[i][0])
            continue;
        struct content c = {0};
        if (disk.kept[names.file[i]].n)
            content_write(&c, 0, disk.kept[names.file[i]].bytes, disk.kept[names.file[i]].n);
        for (size_t k = 0; k < disk.n_pending; k++) {
            const struct rec *r = &record.recs[disk.pending[k]];
            if (!of_names(r) && r->file == names.file[i])
                leave_data(&c, r, how, k + 1 == disk.n_pending);
        }
        put_file(dir, names.name[i], &c);
        free(c.bytes);
    }
}

#endif
