/* SPDX-License-Identifier: MIT */
/* A short list under a lock (keep.h). */
#include "drivers/aws/keep.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

struct aws_kept {
    struct aws_kept *next;
    char *key, *value;
    int64_t until_ms;
};

struct aws_keep {
    pthread_mutex_t lock;
    struct aws_kept *list;
};

static void kept_clear(struct aws_kept *e)
{
    secret_wipe(e->value, strlen(e->value));
    free(e->value);
    e->value = NULL;
}

static void *keep_new(void)
{
    struct aws_keep *k = xcalloc(1, sizeof *k);
    pthread_mutex_init(&k->lock, NULL);
    return k;
}

static void keep_end(void *data)
{
    struct aws_keep *k = data;
    for (struct aws_kept *e = k->list, *next; e; e = next) {
        next = e->next;
        kept_clear(e);
        free(e->key);
        free(e);
    }
    pthread_mutex_destroy(&k->lock);
    free(k);
}

struct aws_keep *aws_keep_of(struct op *op)
{
    return op_kept(op, "aws", keep_new, keep_end);
}

static struct aws_kept *find(struct aws_keep *k, const char *key)
{
    for (struct aws_kept *e = k->list; e; e = e->next) {
        if (!strcmp(e->key, key))
            return e;
    }
    return NULL;
}

char *aws_keep_get(struct aws_keep *k, const char *key, struct arena *a)
{
    pthread_mutex_lock(&k->lock);
    struct aws_kept *e = find(k, key);
    char *ret = e && clock_mono_ms() < e->until_ms ? arena_strdup(a, e->value) : NULL;
    pthread_mutex_unlock(&k->lock);
    return ret;
}

void aws_keep_put(struct aws_keep *k, const char *key, const char *value, int64_t for_ms)
{
    pthread_mutex_lock(&k->lock);
    struct aws_kept *e = find(k, key);
    if (e)
        kept_clear(e);
    else {
        e = xcalloc(1, sizeof *e);
        e->key = xstrdup(key);
        e->next = k->list;
        k->list = e;
    }
    e->value = xstrdup(value);
    e->until_ms = clock_mono_ms() + for_ms;
    pthread_mutex_unlock(&k->lock);
}
