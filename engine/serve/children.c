/* SPDX-License-Identifier: MIT */
/* The processes of orders: who runs, how each ended, what it printed. Those of a server before us are taken
 * up: they may still run, or have left how they ended. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "serve/serve_priv.h"
#include "state/orders.h"
#include "state/process.h"

#define TAKEN_UP   1000                             /* so many of the newest orders may be unfinished */
#define FILES_MS   (INT64_C(90) * 24 * 3600 * 1000) /* what orders printed is kept so long */
#define OUTPUT_MAX (64 * 1024)

struct watched {
    int64_t order, pid, pid_start;
};

struct children {
    pthread_mutex_t lock;
    struct watched *watched;
    size_t n_watched, cap_watched;
    atomic_llong given;
};

/* ---- their files, and what the journal is told of them */

const char *children_file(struct serve *s, int64_t id, const char *suffix, struct arena *arena)
{
    return arena_printf(arena, "%s/%" PRId64 ".%s", s->orders_dir, id, suffix);
}

void orders_end(struct serve *s, int64_t id, int exit_status, const char *text)
{
    struct err err;
    struct store *store = serve_writer(s, &err);
    bool ok = store &&
              order_end(store,
                        &(struct order_end_new){
                            .order = id, .exit_status = exit_status, .text = text, .at_ms = clock_wall_ms()},
                        &err);
    if (store)
        serve_writer_done(s);
    if (!ok)
        serve_log("order %" PRId64 ": its end cannot be written: %s", id, err.text);
}

/* The waiting process wrote it, or was killed before it could: -1. */
static int order_exit(struct serve *s, int64_t id)
{
    auto_arena struct arena arena = {0};
    auto_fd int fd = open(children_file(s, id, "rc", &arena), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char text[16];
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 2 || text[n - 1] != '\n')
        return -1;
    text[n] = '\0';
    return (int)strtol(text, NULL, 10);
}

const char *serve_order_output(struct serve *s, int64_t id, size_t max_bytes, struct arena *arena)
{
    if (max_bytes > OUTPUT_MAX)
        max_bytes = OUTPUT_MAX;
    auto_fd int fd = open(children_file(s, id, "out", arena), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    off_t from = end > (off_t)max_bytes ? end - (off_t)max_bytes : 0;
    char *text = arena_alloc(arena, max_bytes + 1);
    ssize_t n = fd < 0 ? 0 : pread(fd, text, max_bytes, from);
    auto_buf struct buf safe = BUF_INIT((size_t)6 * OUTPUT_MAX);
    const char *start = text;
    if (from > 0 && n > 0 && memchr(text, '\n', (size_t)n)) /* not in the middle of a line */
        start = (const char *)memchr(text, '\n', (size_t)n) + 1;
    if (n > 0)
        text_visible(&safe, start, (size_t)(text + n - start));
    return arena_strdup(arena, buf_str(&safe));
}

/* ---- watching */

static void watch(struct children *k, struct watched w)
{
    pthread_mutex_lock(&k->lock);
    if (k->n_watched == k->cap_watched) {
        k->cap_watched = k->cap_watched ? k->cap_watched * 2 : 16;
        k->watched = xrealloc(k->watched, k->cap_watched * sizeof *k->watched);
    }
    k->watched[k->n_watched++] = w;
    pthread_mutex_unlock(&k->lock);
}

void children_watch(struct serve *s, int64_t id, pid_t pid)
{
    struct watched w = {.order = id, .pid = pid};
    char state;
    if (!process_started(pid, &w.pid_start, &state))
        w.pid_start = 0;
    watch(s->children, w);
}

size_t children_count(struct serve *s)
{
    pthread_mutex_lock(&s->children->lock);
    size_t n = s->children->n_watched;
    pthread_mutex_unlock(&s->children->lock);
    return n;
}

/* Our own child is asked for directly, which also buries it; one of a server before us is looked for. */
static bool is_gone(const struct watched *w)
{
    pid_t got = waitpid((pid_t)w->pid, NULL, WNOHANG);
    return got == (pid_t)w->pid || (got < 0 && !process_lives(w->pid, w->pid_start));
}

static void end_order(struct serve *s, int64_t order)
{
    struct err err;
    auto_arena struct arena arena = {0};
    struct order_info *o = NULL;
    auto_store struct store *store = NULL;
    /* One that could not be begun was ended by whoever gave it. */
    if (serve_store(s, &store, &err) && order_get(reader(store, &arena), order, &o, &err) && o &&
        o->ended_ms != 0)
        return;
    int status = order_exit(s, order);
    orders_end(s, order, status, status < 0 ? "its end was not seen: look at the environment's status" : "");
}

void children_look_after(struct serve *s)
{
    struct children *k = s->children;
    for (size_t i = 0;;) {
        pthread_mutex_lock(&k->lock);
        bool more = i < k->n_watched;
        struct watched w = more ? k->watched[i] : (struct watched){0};
        pthread_mutex_unlock(&k->lock);
        if (!more)
            return;
        if (!is_gone(&w)) {
            i++;
            continue;
        }
        end_order(s, w.order);
        pthread_mutex_lock(&k->lock); /* only this thread takes away, so i is still w */
        k->watched[i] = k->watched[--k->n_watched];
        pthread_mutex_unlock(&k->lock);
    }
}

static void take_up(struct serve *s, const struct order_info *o)
{
    char host[256], boot[64];
    process_host(host, sizeof host);
    process_boot(boot, sizeof boot);
    if (o->ended_ms != 0 || strcmp(o->host, host) != 0)
        return;
    if (o->pid == 0)
        orders_end(s, o->id, -1, "the server ended before it was begun; nothing was done");
    else if (strcmp(o->boot_id, boot) != 0)
        end_order(s, o->id);
    else
        watch(s->children, (struct watched){.order = o->id, .pid = o->pid, .pid_start = o->pid_start});
}

bool children_take_up(struct serve *s, struct err *err)
{
    auto_arena struct arena arena = {0};
    auto_store struct store *store = NULL;
    struct order_info *list;
    size_t n;
    if (!serve_store(s, &store, err) ||
        !order_list(reader(store, &arena), &(struct newest){.limit = TAKEN_UP}, &list, &n, err))
        return false;
    for (size_t i = 0; i < n; i++)
        take_up(s, &list[i]);
    return true;
}

void children_remove_old_files(struct serve *s)
{
    DIR *dir = opendir(s->orders_dir);
    struct dirent *e;
    struct stat st;
    while (dir && (e = readdir(dir)) != NULL)
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            clock_wall_ms() - (int64_t)st.st_mtime * 1000 > FILES_MS)
            unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        closedir(dir);
}

void children_given(struct serve *s)
{
    atomic_fetch_add(&s->children->given, 1);
}

int64_t children_given_count(struct serve *s)
{
    return atomic_load(&s->children->given);
}

void children_open(struct serve *s)
{
    s->children = xcalloc(1, sizeof *s->children);
    pthread_mutex_init(&s->children->lock, NULL);
}

void children_free(struct serve *s)
{
    if (!s->children)
        return;
    pthread_mutex_destroy(&s->children->lock);
    free(s->children->watched);
    free(s->children);
    s->children = NULL;
}
