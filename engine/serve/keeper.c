/* SPDX-License-Identifier: MIT */
/* The keeper: one thread for what must be done now and then: slow clients, children that ended, token times.
 * It takes up the orders of a server before us: their processes may still run, or have left how they ended.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "serve/serve_priv.h"
#include "state/orders.h"
#include "state/process.h"
#include "state/tokens.h"

#define TICK_MS    250
#define TOKENS_MS  30000
#define TOKENS_MAX 64
#define TAKEN_UP   1000                             /* so many of the newest orders may be unfinished */
#define FILES_MS   (INT64_C(90) * 24 * 3600 * 1000) /* what orders printed is kept so long */

struct watched {
    int64_t order, pid, pid_start;
};

struct keeper {
    pthread_mutex_t lock;
    struct used {
        int64_t token, at_ms;
    } used[TOKENS_MAX];
    size_t n_used;
    struct watched *watched;
    size_t n_watched, cap_watched;
};

/* ---- token times */

void keeper_token_used(struct serve *s, int64_t token)
{
    struct keeper *k = s->keeper;
    size_t i = 0;
    pthread_mutex_lock(&k->lock);
    while (i < k->n_used && k->used[i].token != token)
        i++;
    if (i < TOKENS_MAX) {
        k->used[i] = (struct used){.token = token, .at_ms = clock_wall_ms()};
        k->n_used += i == k->n_used;
    }
    pthread_mutex_unlock(&k->lock);
}

/* A journal that cannot be written loses a time, nothing more. */
static void write_used(struct serve *s)
{
    struct keeper *k = s->keeper;
    struct used used[TOKENS_MAX];
    struct err err;
    pthread_mutex_lock(&k->lock);
    size_t n = k->n_used;
    memcpy(used, k->used, n * sizeof used[0]);
    k->n_used = 0;
    pthread_mutex_unlock(&k->lock);
    struct store *w = n ? serve_writer(s, &err) : NULL;
    for (size_t i = 0; w && i < n; i++)
        if (!token_used(w, used[i].token, used[i].at_ms, &err))
            break;
    if (w)
        serve_writer_done(s);
}

/* ---- orders */

static void watch(struct keeper *k, struct watched w)
{
    pthread_mutex_lock(&k->lock);
    if (k->n_watched == k->cap_watched) {
        k->cap_watched = k->cap_watched ? k->cap_watched * 2 : 16;
        k->watched = xrealloc(k->watched, k->cap_watched * sizeof *k->watched);
    }
    k->watched[k->n_watched++] = w;
    pthread_mutex_unlock(&k->lock);
}

void keeper_watch_order(struct serve *s, int64_t id, pid_t pid)
{
    struct watched w = {.order = id, .pid = pid};
    char state;
    if (!process_started(pid, &w.pid_start, &state))
        w.pid_start = 0;
    watch(s->keeper, w);
}

size_t keeper_orders(struct serve *s)
{
    pthread_mutex_lock(&s->keeper->lock);
    size_t n = s->keeper->n_watched;
    pthread_mutex_unlock(&s->keeper->lock);
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
    if (serve_store(s, &store, &err) && order_get(store, order, &arena, &o, &err) && o && o->ended_ms != 0)
        return;
    int status = orders_exit(s, order);
    orders_end(s, order, status, status < 0 ? "its end was not seen: look at the environment's status" : "");
}

static void look_after_orders(struct serve *s)
{
    struct keeper *k = s->keeper;
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
        watch(s->keeper, (struct watched){.order = o->id, .pid = o->pid, .pid_start = o->pid_start});
}

static bool take_up_all(struct serve *s, struct err *err)
{
    auto_arena struct arena arena = {0};
    auto_store struct store *store = NULL;
    struct order_info *list;
    size_t n;
    if (!serve_store(s, &store, err) || !order_list(store, NULL, TAKEN_UP, 0, &arena, &list, &n, err))
        return false;
    for (size_t i = 0; i < n; i++)
        take_up(s, &list[i]);
    return true;
}

static void remove_old_files(struct serve *s)
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

/* ---- the thread */

static void run(struct serve *s, void *arg)
{
    (void)arg;
    int64_t tokens_ms = clock_mono_ms();
    remove_old_files(s);
    while (!serve_wait(s, TICK_MS)) {
        http_sweep(s);
        look_after_orders(s);
        if (clock_mono_ms() - tokens_ms > TOKENS_MS) {
            write_used(s);
            tokens_ms = clock_mono_ms();
        }
    }
    write_used(s);
}

void keeper_open(struct serve *s)
{
    s->keeper = xcalloc(1, sizeof *s->keeper);
    pthread_mutex_init(&s->keeper->lock, NULL);
}

bool keeper_start(struct serve *s, struct err *err)
{
    return take_up_all(s, err) && serve_thread(s, "keeper", run, NULL, err);
}

void keeper_free(struct serve *s)
{
    if (!s->keeper)
        return;
    pthread_mutex_destroy(&s->keeper->lock);
    free(s->keeper->watched);
    free(s->keeper);
    s->keeper = NULL;
}
