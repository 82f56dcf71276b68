/* SPDX-License-Identifier: MIT */
/* Open links, kept for the next op of the same target.
 *
 * A link is used by one thread at a time: leased by an op, given back at its end, dropped when broken. The
 * lock covers the lists only; connecting, closing and all else happen outside it. */
#include "drivers/transport/transport.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

#define BUCKETS 1024u

struct idle {
    struct idle *next;
    struct link *link;
    char key[];
};

struct conn_kept {
    struct conn_kept *next;
    void *data;
    void (*end)(void *);
    char key[];
};

struct conns {
    const struct transport *const *table;
    pthread_mutex_t lock;
    struct idle *idle[BUCKETS];
    struct conn_kept *kept; /* the latest first */
};

struct lease {
    struct lease *next;
    struct link *link;
    char *key;
};

struct conns *conns_new(const struct transport *const *table)
{
    struct conns *c = xcalloc(1, sizeof(*c));
    c->table = table;
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void conns_free(struct conns *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct idle *e = c->idle[i], *next; e; e = next) {
            next = e->next;
            e->link->transport->close(e->link);
            free(e);
        }
    for (struct conn_kept *k = c->kept, *next; k; k = next) {
        next = k->next;
        k->end(k->data);
        free(k);
    }
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void *conns_kept(struct conns *c, const char *key, void *(*make)(void), void (*end)(void *))
{
    must(c);
    pthread_mutex_lock(&c->lock);
    struct conn_kept *k = c->kept;
    while (k && strcmp(k->key, key) != 0)
        k = k->next;
    if (!k) {
        k = xcalloc(1, sizeof(*k) + strlen(key) + 1);
        *k = (struct conn_kept){.next = c->kept, .data = make(), .end = end};
        memcpy(k->key, key, strlen(key) + 1);
        c->kept = k;
    }
    pthread_mutex_unlock(&c->lock);
    return k->data;
}

void *op_kept(struct op *op, const char *key, void *(*make)(void), void (*end)(void *))
{
    return conns_kept(op->spec.conns, key, make, end);
}

void target_way(struct buf *out, const struct target *t)
{
    const char *words[] = {t->host,           t->ssh.user,  t->ssh.key, t->ssh.known_hosts,
                           t->ssh.proxy_jump, t->ssh.config};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        buf_printf(out, "%s\n", words[i] ? words[i] : "-");
    buf_printf(out, "%d", t->ssh.port);
}

static char *target_key(const struct target *t)
{
    auto_buf struct buf key = BUF_INIT(SIZE_MAX);
    buf_printf(&key, "%s\n", t->transport ? t->transport : "-");
    target_way(&key, t);
    return xstrdup(buf_str(&key));
}

static struct link *idle_take(struct conns *c, const char *key)
{
    struct link *found = NULL;
    pthread_mutex_lock(&c->lock);
    for (struct idle **p = &c->idle[str_hash(key) % BUCKETS]; *p && !found; p = &(*p)->next)
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
    e->next = c->idle[str_hash(key) % BUCKETS];
    c->idle[str_hash(key) % BUCKETS] = e;
    pthread_mutex_unlock(&c->lock);
}

static const struct transport *transport_find(const struct conns *c, const struct target *t, struct err *err)
{
    const char *name = t->transport ? t->transport : "ssh";
    auto_buf struct buf known = BUF_INIT(SIZE_MAX);
    for (const struct transport *const *x = c->table; *x; x++) {
        if (strcmp((*x)->name, name) == 0)
            return *x;
        buf_printf(&known, "%s%s", known.len ? ", " : "", (*x)->name);
    }
    err_set(err, E_CONFIG, "%s: unknown transport '%s'; there are %s", t->id, name, buf_str(&known));
    return NULL;
}

static enum link_end link_get(struct op *op, const struct target *t, const char *key, struct link **ret,
                              struct err *err)
{
    struct link *l;
    struct conns *c = op->spec.conns;
    if (!c) {
        err_set(err, E_CONFIG, "%s: this op was made without connections", t->id);
        return LINK_REFUSED;
    }
    const struct transport *transport = transport_find(c, t, err);
    if (!transport)
        return LINK_REFUSED;
    while ((l = idle_take(c, key))) {
        if (transport->alive(l)) {
            *ret = l;
            return LINK_OK;
        }
        transport->close(l);
    }
    enum link_end end = transport->open(op, c, t, ret, err);
    op->unreached = end == LINK_LOST;
    return end;
}

static void lease_end(struct op *op, struct lease *l)
{
    if (!l->link->broken)
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

static void leases_return(struct op *op)
{
    while (op->leases) {
        struct lease *l = op->leases;
        op->leases = l->next;
        lease_end(op, l);
    }
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
        op->leave = leases_return;
    }
    *ret = l->link;
    return LINK_OK;
}
