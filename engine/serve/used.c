/* SPDX-License-Identifier: MIT */
/* When tokens were used: noted by each request, written down by the keeper once in a while. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "serve/serve_priv.h"
#include "state/tokens.h"

#define TOKENS_MAX 64

struct used_tokens {
    pthread_mutex_t lock;
    struct used {
        int64_t token, at_ms;
    } used[TOKENS_MAX];
    size_t n_used;
};

void used_token(struct serve *s, int64_t token)
{
    struct used_tokens *k = s->used;
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
void used_write(struct serve *s)
{
    struct used_tokens *k = s->used;
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

void used_open(struct serve *s)
{
    s->used = xcalloc(1, sizeof *s->used);
    pthread_mutex_init(&s->used->lock, NULL);
}

void used_free(struct serve *s)
{
    if (!s->used)
        return;
    pthread_mutex_destroy(&s->used->lock);
    free(s->used);
    s->used = NULL;
}
