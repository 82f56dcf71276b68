/* The keeper: one thread for what must be done now and then: slow clients, children that ended, token times.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "serve/serve_priv.h"
#include "state/tokens.h"

#define TICK_MS    250
#define TOKENS_MS  30000
#define TOKENS_MAX 64

struct keeper {
    pthread_mutex_t lock;
    struct used {
        int64_t token, at_ms;
    } used[TOKENS_MAX];
    size_t n_used;
};

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
    for (size_t i = 0; i < n; i++)
        used[i] = k->used[i];
    k->n_used = 0;
    pthread_mutex_unlock(&k->lock);
    struct store *w = n ? serve_writer(s, &err) : NULL;
    for (size_t i = 0; w && i < n; i++)
        if (!token_used(w, used[i].token, used[i].at_ms, &err))
            break;
    if (w)
        serve_writer_done(s);
}

static void run(struct serve *s, void *arg)
{
    (void)arg;
    int64_t tokens_ms = clock_mono_ms();
    while (!serve_wait(s, TICK_MS)) {
        http_sweep(s);
        if (clock_mono_ms() - tokens_ms > TOKENS_MS) {
            write_used(s);
            tokens_ms = clock_mono_ms();
        }
    }
    write_used(s);
}

bool keeper_start(struct serve *s, struct err *err)
{
    s->keeper = xcalloc(1, sizeof *s->keeper);
    pthread_mutex_init(&s->keeper->lock, NULL);
    return serve_thread(s, "keeper", run, NULL, err);
}

void keeper_free(struct serve *s)
{
    if (s->keeper)
        pthread_mutex_destroy(&s->keeper->lock);
    free(s->keeper);
    s->keeper = NULL;
}
