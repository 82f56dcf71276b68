/* SPDX-License-Identifier: MIT */
/* Open links, kept for the next op of the same target.
 *
 * A link is used by one thread at a time: leased by an op, given back at its end, dropped when broken. The
 * lock covers the lists only; connecting, closing and all else happen outside it. */
#include "drivers/op/op_priv.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

#define BUCKETS 1024u

struct idle {
    struct idle *next;
    struct link *link;
    char key[];
};

struct setting {
    struct setting *next;
    struct ssh_settings *settings;
    char key[];
};

struct kept {
    struct kept *next;
    void *data;
    void (*end)(void *);
    char key[];
};

struct conns {
    pthread_mutex_t lock, asking;
    struct kept *kept;
    struct idle *idle[BUCKETS];
    struct setting *settings[BUCKETS];
    char dir[64]; /* "" = none made yet */
    struct hops *hops;
};

struct lease {
    struct lease *next;
    struct link *link;
    char *key;
};

struct conns *conns_new(void)
{
    struct conns *c = xcalloc(1, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->asking, NULL);
    c->hops = hops_new();
    return c;
}

static void dir_remove(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
}

static void kept_end(struct kept *k)
{
    for (struct kept *next; k; k = next) {
        next = k->next;
        k->end(k->data);
        free(k);
    }
}

void *op_kept(struct op *op, const char *key, void *(*make)(void), void (*end)(void *))
{
    struct conns *c = op->spec.conns;
    must(c);
    pthread_mutex_lock(&c->lock);
    struct kept *k = c->kept;
    while (k && strcmp(k->key, key) != 0)
        k = k->next;
    if (!k) {
        k = xcalloc(1, sizeof(*k) + strlen(key) + 1);
        k->next = c->kept;
        k->data = make();
        k->end = end;
        memcpy(k->key, key, strlen(key) + 1);
        c->kept = k;
    }
    pthread_mutex_unlock(&c->lock);
    return k->data;
}

void conns_free(struct conns *c)
{
    if (!c)
        return;
    kept_end(c->kept);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct idle *e = c->idle[i], *next; e; e = next) {
            next = e->next;
            e->link->transport->close(e->link);
            free(e);
        }
        for (struct setting *e = c->settings[i], *next; e; e = next) {
            next = e->next;
            ssh_settings_free(e->settings);
            free(e);
        }
    }
    hops_free(c->hops);
    if (c->dir[0])
        dir_remove(c->dir);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->asking);
    free(c);
}

const char *conns_dir(struct conns *c, struct err *err)
{
    pthread_mutex_lock(&c->lock);
    if (!c->dir[0]) {
        /* Short, because a control socket's path must fit into 108 bytes. */
        strcpy(c->dir, "/tmp/release-XXXXXX");
        if (!mkdtemp(c->dir)) {
            err_errno(err, E_IO, "/tmp: cannot make a directory for ssh's control sockets");
            c->dir[0] = '\0';
        }
    }
    pthread_mutex_unlock(&c->lock);
    return c->dir[0] ? c->dir : NULL;
}

struct hops *conns_hops(struct conns *c)
{
    return c->hops;
}

static size_t bucket(const char *key)
{
    size_t h = 5381;
    for (; *key; key++)
        h = h * 33 + (unsigned char)*key;
    return h % BUCKETS;
}

static char *target_key(const struct target *t)
{
    auto_buf struct buf key = BUF_INIT(SIZE_MAX);
    const char *words[] = {t->transport,   t->host,       t->user,      t->key,
                           t->known_hosts, t->proxy_jump, t->ssh_config};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        buf_printf(&key, "%s\n", words[i] ? words[i] : "");
    buf_printf(&key, "%d", t->port);
    return xstrdup(buf_str(&key));
}

static struct link *idle_take(struct conns *c, const char *key)
{
    struct link *found = NULL;
    pthread_mutex_lock(&c->lock);
    for (struct idle **p = &c->idle[bucket(key)]; *p && !found; p = &(*p)->next)
        if (strcmp((*p)->key, key) == 0) {
            struct idle *e = *p;
            found = e->link;
            *p = e->next;
            free(e);
            break;
        }
    pthread_mutex_unlock(&c->lock);
    return found;
}

static void idle_put(struct conns *c, const char *key, struct link *link)
{
    size_t n = strlen(key) + 1;
    struct idle *e = xcalloc(1, sizeof(*e) + n);
    e->link = link;
    memcpy(e->key, key, n);
    pthread_mutex_lock(&c->lock);
    e->next = c->idle[bucket(key)];
    c->idle[bucket(key)] = e;
    pthread_mutex_unlock(&c->lock);
}

static enum link_end link_get(struct op *op, const struct target *t, const char *key, struct link **ret,
                              struct err *err)
{
    struct link *l;
    const struct transport *transport = transport_find(t->transport ? t->transport : "ssh");
    if (!transport) {
        err_set(err, E_CONFIG, "%s: unknown transport '%s'; there are ssh, openssh and local", t->id,
                t->transport);
        return LINK_REFUSED;
    }
    if (!op->spec.conns && transport != &transport_local) {
        err_set(err, E_CONFIG, "%s: this op was made without connections", t->id);
        return LINK_REFUSED;
    }
    while (op->spec.conns && (l = idle_take(op->spec.conns, key))) {
        if (transport->alive(l)) {
            *ret = l;
            return LINK_OK;
        }
        transport->close(l);
    }
    enum link_end end = transport->open(op, op->spec.conns, t, ret, err);
    op->unreached = end == LINK_LOST;
    return end;
}

static void lease_end(struct op *op, struct lease *l)
{
    if (op->spec.conns && !l->link->broken)
        idle_put(op->spec.conns, l->key, l->link);
    else
        l->link->transport->close(l->link);
    free(l->key);
    free(l);
}

/* What the op has leased under this key; a broken link is closed as soon as no call uses it. */
static struct lease *lease_find(struct op *op, const char *key)
{
    for (struct lease **p = &op->leases; *p; p = &(*p)->next) {
        struct lease *l = *p;
        if (strcmp(l->key, key) != 0)
            continue;
        if (!l->link->broken || l->link->n_calls > 0)
            return l;
        *p = l->next;
        lease_end(op, l);
        return NULL;
    }
    return NULL;
}

enum link_end link_lease(struct op *op, const struct target *t, struct link **ret, struct err *err)
{
    auto_free char *key = target_key(t);
    struct lease *l = lease_find(op, key);
    op->unreached = false;
    if (l && l->link->broken) {
        err_set(err, E_NET, "%s: connection lost", t->id);
        return LINK_LOST;
    }
    if (!l) {
        struct link *link = NULL;
        enum link_end end = link_get(op, t, key, &link, err);
        if (end != LINK_OK)
            return end;
        l = xcalloc(1, sizeof(*l));
        *l = (struct lease){.next = op->leases, .link = link, .key = xstrdup(key)};
        op->leases = l;
    }
    *ret = l->link;
    return LINK_OK;
}

void op_leases_return(struct op *op)
{
    while (op->leases) {
        struct lease *l = op->leases;
        op->leases = l->next;
        lease_end(op, l);
    }
}

void conns_ask_lock(struct conns *c)
{
    pthread_mutex_lock(&c->asking);
}

void conns_ask_unlock(struct conns *c)
{
    pthread_mutex_unlock(&c->asking);
}

struct ssh_settings *conns_settings_get(struct conns *c, const char *key)
{
    struct ssh_settings *found = NULL;
    pthread_mutex_lock(&c->lock);
    for (struct setting *e = c->settings[bucket(key)]; e && !found; e = e->next)
        if (strcmp(e->key, key) == 0)
            found = e->settings;
    pthread_mutex_unlock(&c->lock);
    return found;
}

struct ssh_settings *conns_settings_put(struct conns *c, const char *key, struct ssh_settings *s)
{
    size_t n = strlen(key) + 1;
    struct setting *e = xcalloc(1, sizeof(*e) + n);
    memcpy(e->key, key, n);
    pthread_mutex_lock(&c->lock);
    struct setting **head = &c->settings[bucket(key)], *there = *head;
    while (there && strcmp(there->key, key) != 0)
        there = there->next;
    if (!there) {
        e->next = *head;
        e->settings = s;
        *head = e;
    }
    pthread_mutex_unlock(&c->lock);
    if (!there)
        return s;
    free(e);
    ssh_settings_free(s);
    return there->settings;
}
