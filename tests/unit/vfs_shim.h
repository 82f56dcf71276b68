/* SPDX-License-Identifier: MIT */
/* A VFS between SQLite and the disk, for tests that count, fail or record what reaches it. It is the default
 * one once installed, so the store knows nothing of it. */
#ifndef RELEASE_TESTS_VFS_SHIM_H
#define RELEASE_TESTS_VFS_SHIM_H

#include "unit/state_help.h"

struct shim_file {
    sqlite3_file base;
    sqlite3_file *real;
    int tag; /* the hooks' own: which file this is */
};

/* What a test puts in; NULL: straight through. Each calls real_of() itself, or does not. */
static struct shim_hooks {
    int (*write)(sqlite3_file *f, const void *data, int n, sqlite3_int64 at);
    int (*sync)(sqlite3_file *f, int flags);
    int (*truncate)(sqlite3_file *f, sqlite3_int64 n);
    void (*opened)(struct shim_file *f,
                   const char *name); /* when it could be opened; name NULL: a nameless one */
    void (*deleting)(const char *name);
} shim_hooks;

static sqlite3_vfs *real_vfs;
static sqlite3_io_methods shim_methods;

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct shim_file *)f)->real;
}

#define REAL(f)     (real_of(f))
#define CALL(f, fn) REAL(f)->pMethods->fn
static int shim_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
    return shim_hooks.write ? shim_hooks.write(f, data, n, at) : CALL(f, xWrite)(REAL(f), data, n, at);
}
static int shim_sync(sqlite3_file *f, int flags)
{
    return shim_hooks.sync ? shim_hooks.sync(f, flags) : CALL(f, xSync)(REAL(f), flags);
}
static int shim_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    return shim_hooks.truncate ? shim_hooks.truncate(f, n) : CALL(f, xTruncate)(REAL(f), n);
}
static int shim_close(sqlite3_file *f)
{
    sqlite3_file *real = real_of(f);
    int rc = real->pMethods->xClose(real);
    free(real);
    return rc;
}
static int shim_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return CALL(f, xRead)(REAL(f), p, n, at);
}
static int shim_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return CALL(f, xFileSize)(REAL(f), n);
}
static int shim_lock(sqlite3_file *f, int level)
{
    return CALL(f, xLock)(REAL(f), level);
}
static int shim_unlock(sqlite3_file *f, int level)
{
    return CALL(f, xUnlock)(REAL(f), level);
}
static int shim_reserved(sqlite3_file *f, int *ret)
{
    return CALL(f, xCheckReservedLock)(REAL(f), ret);
}
static int shim_control(sqlite3_file *f, int op, void *arg)
{
    return CALL(f, xFileControl)(REAL(f), op, arg);
}
static int shim_sector(sqlite3_file *f)
{
    return CALL(f, xSectorSize)(REAL(f));
}
static int shim_traits(sqlite3_file *f)
{
    return CALL(f, xDeviceCharacteristics)(REAL(f));
}
static int shim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
    return CALL(f, xShmMap)(REAL(f), page, size, extend, ret);
}
static int shim_shm_lock(sqlite3_file *f, int from, int n, int flags)
{
    return CALL(f, xShmLock)(REAL(f), from, n, flags);
}
static void shim_shm_barrier(sqlite3_file *f)
{
    CALL(f, xShmBarrier)(REAL(f));
}
static int shim_shm_unmap(sqlite3_file *f, int remove)
{
    return CALL(f, xShmUnmap)(REAL(f), remove);
}

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    (void)vfs;
    struct shim_file *shim = (struct shim_file *)f;
    shim->base.pMethods = NULL;
    shim->tag = -1;
    shim->real = calloc(1, (size_t)real_vfs->szOsFile);
    int rc = real_vfs->xOpen(real_vfs, name, shim->real, flags, ret_flags);
    if (rc != SQLITE_OK) {
        free(shim->real);
        return rc;
    }
    shim->base.pMethods = &shim_methods;
    if (shim_hooks.opened)
        shim_hooks.opened(shim, name);
    return rc;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    (void)vfs;
    if (shim_hooks.deleting)
        shim_hooks.deleting(name);
    return real_vfs->xDelete(real_vfs, name, sync_dir);
}

static void shim_install(void)
{
    static sqlite3_vfs shim;
    real_vfs = sqlite3_vfs_find(NULL);
    shim = *real_vfs;
    shim.zName = "shim";
    shim.szOsFile = sizeof(struct shim_file);
    shim.xOpen = shim_open;
    shim.xDelete = shim_delete;
    shim_methods = (sqlite3_io_methods){
        .iVersion = 2,
        .xClose = shim_close,
        .xRead = shim_read,
        .xWrite = shim_write,
        .xTruncate = shim_truncate,
        .xSync = shim_sync,
        .xFileSize = shim_size,
        .xLock = shim_lock,
        .xUnlock = shim_unlock,
        .xCheckReservedLock = shim_reserved,
        .xFileControl = shim_control,
        .xSectorSize = shim_sector,
        .xDeviceCharacteristics = shim_traits,
        .xShmMap = shim_shm_map,
        .xShmLock = shim_shm_lock,
        .xShmBarrier = shim_shm_barrier,
        .xShmUnmap = shim_shm_unmap,
    };
    assert_int_equal(sqlite3_vfs_register(&shim, 1), SQLITE_OK);
}

#endif
