/* SPDX-License-Identifier: MIT */
/* How many nodes an environment has, owes and runs what: asked by every page and scrape, and thousands of
 * questions to the journal, so the answer holds for a moment. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "serve/serve_priv.h"
#include "watch/json.h"

#define SUMS_MS 2000
struct node_sum {
    char env[ENV_NAME_MAX];
    struct node_counts n;
    int64_t at_ms;
};

struct sums {
    pthread_mutex_t lock;
    struct node_sum *sums;
    size_t n_sums;
};

static struct node_sum *sum_of(struct sums *c, const char *env)
{
    for (size_t i = 0; i < c->n_sums; i++)
        if (strcmp(c->sums[i].env, env) == 0)
            return &c->sums[i];
    c->sums = xrealloc(c->sums, (c->n_sums + 1) * sizeof *c->sums);
    struct node_sum *sum = &c->sums[c->n_sums++];
    *sum = (struct node_sum){0};
    snprintf(sum->env, sizeof sum->env, "%s", env);
    return sum;
}

static int by_rev(const void *a, const void *b)
{
    return strcmp(((const struct node_state_info *)a)->rev, ((const struct node_state_info *)b)->rev);
}

static void count_nodes(struct node_state_info *nodes, size_t n, struct node_counts *ret)
{
    *ret = (struct node_counts){.total = (int64_t)n};
    qsort(nodes, n, sizeof *nodes, by_rev);
    for (size_t i = 0, from = 0; i < n; i++) {
        ret->owed += nodes[i].debt;
        if (strcmp(nodes[i].rev, nodes[from].rev) != 0)
            from = i;
        if (nodes[i].rev[0] && (int64_t)(i - from + 1) > ret->on_live) {
            ret->on_live = (int64_t)(i - from + 1);
            snprintf(ret->live, sizeof ret->live, "%s", nodes[i].rev);
        }
    }
}

bool sums_nodes(struct serve *s, struct store *store, const char *env, struct node_counts *ret,
                struct err *err)
{
    auto_arena struct arena arena = {0};
    struct env_state st; /* nodes that left the pillar are not among its nodes */
    int64_t now = clock_mono_ms();
    pthread_mutex_lock(&s->sums->lock);
    struct node_sum *sum = sum_of(s->sums, env);
    bool ok = sum->at_ms != 0 && now - sum->at_ms < SUMS_MS;
    if (!ok && env_state_read(store, env, &arena, &st, err)) {
        ok = true;
        sum->at_ms = now;
        count_nodes(st.nodes, st.n_nodes, &sum->n);
    }
    *ret = sum->n;
    pthread_mutex_unlock(&s->sums->lock);
    return ok;
}

void sums_open(struct serve *s)
{
    s->sums = xcalloc(1, sizeof *s->sums);
    pthread_mutex_init(&s->sums->lock, NULL);
}

void sums_free(struct serve *s)
{
    if (!s->sums)
        return;
    pthread_mutex_destroy(&s->sums->lock);
    free(s->sums->sums);
    free(s->sums);
    s->sums = NULL;
}
