/* SPDX-License-Identifier: MIT */
/* Logins to jump hosts, shared by the nodes behind them.
 *
 * One at a time logs in to a jump host; who comes meanwhile waits for how it ends, by a descriptor, so that
 * deadline and cancel count while waiting. Hops live as long as their conns; a dead one is only not found any
 * more. The lock covers list and counters; logging in happens outside it. */
#include "drivers/transport/ssh/master.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"

/* Each node costs a jump host's sshd a socket or two, and our ssh three descriptors: far below the usual
 * 1,024. */
#define HOP_NODES_MAX 32
#define HOP_DEPTH_MAX 8

enum hop_state { HOP_OPENING, HOP_OPEN, HOP_DEAD };

struct hop {
    struct hop *next;
    struct hops *all;
    struct hop *via; /* joined until this one is dead */
    char *key, *path;
    int settled_fd; /* readable once it is no longer opening */
    enum hop_state state;
    int n_nodes;
    enum link_end end; /* of the login */
    struct err err;
};

struct hops {
    pthread_mutex_t lock;
    struct hop *first;
};

static void *hops_new(void)
{
    struct hops *all = xcalloc(1, sizeof(*all));
    pthread_mutex_init(&all->lock, NULL);
    return all;
}

/* Newest first: what goes through another goes before it. */
static void hops_free(void *part)
{
    struct hops *all = part;
    for (struct hop *h = all->first, *next; h; h = next) {
        next = h->next;
        if (h->state == HOP_OPEN)
            master_quit(h->path);
        close(h->settled_fd);
        free(h->key);
        free(h->path);
        free(h);
    }
    pthread_mutex_destroy(&all->lock);
    free(all);
}

const char *hop_path(const struct hop *h)
{
    return h->path;
}

void hop_leave(struct hop *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->all->lock);
    must(h->n_nodes > 0);
    h->n_nodes--;
    pthread_mutex_unlock(&h->all->lock);
}

/* ---- one jump host
 * ------------------------------------------------------------------------------------------------- */

static char *hop_key(const struct target *t, const struct hop *via)
{
    auto_buf struct buf key = BUF_INIT(SIZE_MAX);
    buf_printf(&key, "%s\n", via ? via->path : "-");
    target_way(&key, t);
    return xstrdup(buf_str(&key));
}

/* Of this key: one with room, else one that opens. Under the lock. */
static struct hop *hop_look(struct hops *all, const char *key)
{
    struct hop *found = NULL;
    for (struct hop *h = all->first; h; h = h->next) {
        if (h->state == HOP_DEAD || strcmp(h->key, key) != 0)
            continue;
        if (h->state == HOP_OPENING)
            found = h;
        else if (h->n_nodes < HOP_NODES_MAX)
            return h;
    }
    return found;
}

static struct hop *hop_new(struct hops *all, const char *key, struct hop *via)
{
    struct hop *h = xcalloc(1, sizeof(*h));
    *h = (struct hop){.all = all, .via = via, .key = xstrdup(key), .next = all->first};
    h->settled_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(h->settled_fd >= 0);
    if (via)
        via->n_nodes++;
    all->first = h;
    return h;
}

/* Not found any more. Under the lock. */
static void hop_bury(struct hop *h)
{
    if (h->state != HOP_DEAD && h->via)
        h->via->n_nodes--;
    h->state = HOP_DEAD;
}

/* How the login ended, for all who wait. The one who opened it has joined it. */
static void hop_settle(struct hop *h, const char *path, enum link_end end, const struct err *err)
{
    pthread_mutex_lock(&h->all->lock);
    h->path = path ? xstrdup(path) : NULL;
    h->end = end;
    if (end == LINK_OK) {
        h->n_nodes = 1;
        h->state = HOP_OPEN;
    } else {
        h->err = *err;
        hop_bury(h);
    }
    pthread_mutex_unlock(&h->all->lock);
    uint64_t one = 1;
    must(write(h->settled_fd, &one, sizeof(one)) == sizeof(one));
}

static enum link_end hop_open(struct op *op, struct conns *conns, const struct target *t, struct hop *h,
                              struct err *err)
{
    const char *path = master_path(op, conns, err), *way = "";
    /* INFO: it says why it opened no way for a node, which its client is not told. */
    struct master_login l = {.path = path, .via = h->via ? h->via->path : NULL, .log_level = "INFO"};
    long mark = h->via ? hop_mark(h->via) : 0;
    enum link_end end = path ? master_login(op, t, &l, &way, err) : LINK_REFUSED;
    if (end == LINK_LOST && *way) {
        const char *reason = hop_reason(h->via, mark, op_arena(op));
        err_set(err, E_NET, "%s: the one before it opens no connection to %s: %s", t->id, t->host,
                reason ? reason : way);
    }
    hop_settle(h, path, end, err);
    return end;
}

/* Its answer is ours, unless it ended for what concerns only the one who opened it. */
static bool hop_answered(struct hop *h, enum link_end *ret, struct err *err)
{
    pthread_mutex_lock(&h->all->lock);
    bool answered = h->state == HOP_DEAD && (h->end == LINK_LOST || h->end == LINK_REFUSED);
    if (answered) {
        *ret = h->end;
        *err = h->err;
    }
    pthread_mutex_unlock(&h->all->lock);
    return answered;
}

static bool hop_usable(struct hop *h)
{
    if (master_alive(h->path))
        return true;
    pthread_mutex_lock(&h->all->lock);
    hop_bury(h);
    h->n_nodes--;
    pthread_mutex_unlock(&h->all->lock);
    return false;
}

static enum link_end hop_get(struct op *op, struct conns *conns, const struct target *t, struct hop *via,
                             struct hop **ret, struct err *err)
{
    struct hops *all = conns_kept(conns, "ssh jump hosts", hops_new, hops_free);
    auto_free char *key = hop_key(t, via);
    for (;;) {
        pthread_mutex_lock(&all->lock);
        struct hop *h = hop_look(all, key);
        bool ours = !h, opening = h && h->state == HOP_OPENING;
        if (ours)
            h = hop_new(all, key, via);
        else if (!opening)
            h->n_nodes++;
        pthread_mutex_unlock(&all->lock);
        *ret = h;
        if (ours)
            return hop_open(op, conns, t, h, err);
        if (!opening && hop_usable(h))
            return LINK_OK;
        if (!opening)
            continue;
        enum link_end end;
        enum wait w = op_poll(op, &(struct pollfd){.fd = h->settled_fd, .events = POLLIN}, 1, CLOCK_NEVER);
        if (w == WAIT_LATE || w == WAIT_CANCELED)
            return w == WAIT_LATE ? LINK_LATE : LINK_CANCELED;
        if (hop_answered(h, &end, err))
            return end;
    }
}

/* ---- the way to a node
 * --------------------------------------------------------------------------------------------- */

/* As ssh has it: of several jump hosts the first is reached as the configuration says of *it*, which may be
 * through others; each further one through the one before it. */
static enum link_end way_join(struct op *op, struct conns *conns, const struct target *t, int depth,
                              struct hop **ret, struct err *err)
{
    const char *named = NULL;
    enum link_end end = ssh_jump_find(op, conns, t, &named, err);
    char *rest = NULL, *jumps = end == LINK_OK && named ? arena_strdup(op_arena(op), named) : NULL;
    *ret = NULL;
    if (jumps && depth == HOP_DEPTH_MAX) {
        err_set(err, E_CONFIG, "ProxyJump leads in a circle, or through more than %d hosts", HOP_DEPTH_MAX);
        return LINK_REFUSED;
    }
    for (char *word = jumps ? strtok_r(jumps, ",", &rest) : NULL; word && end == LINK_OK;
         word = strtok_r(NULL, ",", &rest)) {
        struct target jump;
        struct hop *via = *ret;
        if (!jump_target(op, t, word, &jump)) {
            err_set(err, E_CONFIG, "proxy_jump: '%s' is not user@host:port", word);
            return LINK_REFUSED;
        }
        jump.id = arena_printf(op_arena(op), "jump host %s", jump.host);
        /* What the user's configuration names is reached with what it says, as ssh does it. */
        if (!t->ssh.proxy_jump)
            jump.ssh.key = jump.ssh.known_hosts = NULL;
        jump.ssh.proxy_jump = via ? "" : NULL;
        if (!via)
            end = way_join(op, conns, &jump, depth + 1, &via, err);
        if (end == LINK_OK)
            end = hop_get(op, conns, &jump, via, ret, err);
        hop_leave(via);
        if (end != LINK_OK)
            *ret = NULL;
    }
    return end;
}

enum link_end hop_join(struct op *op, struct conns *conns, const struct target *t, struct hop **ret,
                       struct err *err)
{
    enum link_end end = way_join(op, conns, t, 0, ret, err);
    if (end == LINK_LOST || end == LINK_REFUSED)
        err_wrap(err, "%s", t->id);
    return end;
}

/* ---- its words
 * ----------------------------------------------------------------------------------------------------- */

static const char *hop_log(const struct hop *h, char *room, size_t n)
{
    snprintf(room, n, "%s.log", h->path);
    return room;
}

long hop_mark(const struct hop *h)
{
    char path[128];
    struct stat st;
    return stat(hop_log(h, path, sizeof(path)), &st) == 0 ? (long)st.st_size : 0;
}

/* "channel 3: open failed: connect failed: Connection refused" */
const char *hop_reason(const struct hop *h, long mark, struct arena *arena)
{
    static const char sign[] = "open failed: ";
    char path[128], line[400];
    const char *found = NULL;
    auto_close_file FILE *f = fopen(hop_log(h, path, sizeof(path)), "re");
    if (!f || fseek(f, mark, SEEK_SET) != 0)
        return NULL;
    while (fgets(line, sizeof(line), f)) {
        const char *at = strstr(line, sign);
        line[strcspn(line, "\r\n")] = '\0';
        if (at && found && strcmp(found, at + sizeof(sign) - 1) != 0)
            return NULL;
        if (at)
            found = arena_strdup(arena, at + sizeof(sign) - 1);
    }
    return found;
}
