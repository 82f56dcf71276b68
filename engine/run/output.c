/* SPDX-License-Identifier: MIT */
/* What an op prints: the worker writes, the loop fetches and journals. Neither waits for the other: beyond
 * the head only the last part is kept, so a flood costs the build nothing but hashing. */
#include "run/run_priv.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"

void outbuf_init(struct outbuf *o, int waker_fd)
{
    *o = (struct outbuf){.waker_fd = waker_fd};
    must(pthread_mutex_init(&o->lock, NULL) == 0);
}

void chunks_free(struct output_chunk *c)
{
    for (struct output_chunk *next; c; c = next) {
        next = c->next;
        free(c);
    }
}

void outbuf_fini(struct outbuf *o)
{
    char unused[SHA256_HEX_LEN + 1];
    chunks_free(o->first);
    free(o->tail);
    if (o->hash)
        sha256_end(o->hash, unused);
    pthread_mutex_destroy(&o->lock);
}

static void add_head(struct outbuf *o, int stream, const char *data, size_t n)
{
    struct output_chunk *c = xcalloc(1, sizeof(*c) + n);
    c->stream = stream;
    c->n = n;
    memcpy(c->data, data, n);
    if (o->last)
        o->last->next = c;
    else
        o->first = c;
    o->last = c;
    o->head_bytes += n;
}

static void add_tail(struct outbuf *o, const char *data, size_t n)
{
    if (!o->tail)
        o->tail = xcalloc(1, OUTPUT_TAIL_BYTES);
    if (n > OUTPUT_TAIL_BYTES) {
        data += n - OUTPUT_TAIL_BYTES;
        n = OUTPUT_TAIL_BYTES;
    }
    size_t first = OUTPUT_TAIL_BYTES - o->tail_at < n ? OUTPUT_TAIL_BYTES - o->tail_at : n;
    memcpy(o->tail + o->tail_at, data, first);
    memcpy(o->tail, data + first, n - first);
    o->tail_at = (o->tail_at + n) % OUTPUT_TAIL_BYTES;
    o->tail_n = o->tail_n + n < OUTPUT_TAIL_BYTES ? o->tail_n + n : OUTPUT_TAIL_BYTES;
}

static void outbuf_add(struct outbuf *o, int stream, const char *data, size_t n)
{
    must(pthread_mutex_lock(&o->lock) == 0);
    if (!o->hash)
        o->hash = sha256_new();
    sha256_add(o->hash, data, n);
    o->total_bytes += (int64_t)n;
    bool wake = o->first == NULL;
    size_t room = OUTPUT_HEAD_BYTES - o->head_bytes;
    size_t head = n < room ? n : room;
    if (head > 0)
        add_head(o, stream, data, head);
    if (head < n)
        add_tail(o, data + head, n - head);
    must(pthread_mutex_unlock(&o->lock) == 0);
    uint64_t one = 1;
    if (wake && head > 0 && write(o->waker_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: the loop is awake anyway */
}

/* What a driver says (stream 0) are lines without their ends; what commands print has its own. */
void outbuf_write(void *ctx, int stream, const char *data, size_t n)
{
    if (n == 0)
        return;
    if (stream != 0 || data[n - 1] == '\n') {
        outbuf_add(ctx, stream, data, n);
        return;
    }
    auto_free char *line = xcalloc(1, n + 1);
    memcpy(line, data, n);
    line[n] = '\n';
    outbuf_add(ctx, stream, line, n + 1);
}

struct output_chunk *outbuf_take(struct outbuf *o)
{
    must(pthread_mutex_lock(&o->lock) == 0);
    struct output_chunk *c = o->first;
    o->first = o->last = NULL;
    must(pthread_mutex_unlock(&o->lock) == 0);
    return c;
}

static struct output_chunk *chunk_new(int stream, size_t n)
{
    struct output_chunk *c = xcalloc(1, sizeof(*c) + n);
    c->stream = stream;
    c->n = n;
    return c;
}

/* A reader of the log must see where something is missing, and how much. */
static struct output_chunk *cut_notice(int64_t dropped, int64_t total)
{
    char text[160];
    int n = snprintf(text, sizeof(text), "output cut: %.1f MiB left out here, of %.1f MiB in all\n",
                     (double)dropped / (1 << 20), (double)total / (1 << 20));
    struct output_chunk *c = chunk_new(0, (size_t)n);
    memcpy(c->data, text, (size_t)n);
    return c;
}

struct output_chunk *outbuf_tail(struct outbuf *o)
{
    if (o->tail_n == 0)
        return NULL;
    struct output_chunk *c = chunk_new(1, o->tail_n);
    size_t start = (o->tail_at + OUTPUT_TAIL_BYTES - o->tail_n) % OUTPUT_TAIL_BYTES;
    size_t first = OUTPUT_TAIL_BYTES - start < o->tail_n ? OUTPUT_TAIL_BYTES - start : o->tail_n;
    memcpy(c->data, o->tail + start, first);
    memcpy(c->data + first, o->tail, o->tail_n - first);
    int64_t dropped = o->total_bytes - (int64_t)(o->head_bytes + o->tail_n);
    if (dropped <= 0)
        return c;
    struct output_chunk *notice = cut_notice(dropped, o->total_bytes);
    notice->next = c;
    return notice;
}
