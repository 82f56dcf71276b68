/* SPDX-License-Identifier: MIT */
/* Blocks of an arena, zeroed as they are handed out (arena.h). */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define BLOCK_BYTES 4096u

/* Under the address sanitizer what is not handed out is poisoned, and a gap stands behind every piece: else
 * reading past the end of a string would only meet the next one and nobody would notice. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define GAP_BYTES      16u
#define poison(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define unpoison(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define GAP_BYTES      0u
#define poison(p, n)   ((void)(p), (void)(n))
#define unpoison(p, n) ((void)(p), (void)(n))
#endif

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    alignas(max_align_t) unsigned char bytes[];
};

static struct arena_block *block_new(struct arena *a, size_t n_bytes)
{
    /* Double with the arena, so that a large plan needs few blocks; cap it, so that memory stays near the
     * need. */
    size_t size = a->total_bytes / 2;
    if (size < BLOCK_BYTES)
        size = BLOCK_BYTES;
    if (size > 256u * 1024u)
        size = 256u * 1024u;
    if (size < n_bytes)
        size = n_bytes;
    struct arena_block *b = malloc(sizeof(*b) + size);
    must(b != NULL);
    *b = (struct arena_block){.next = a->head, .size = size};
    a->head = b;
    a->total_bytes += size;
    poison(b->bytes, size);
    return b;
}

void *arena_alloc(struct arena *a, size_t n_bytes)
{
    must(n_bytes < SIZE_MAX / 2);
    size_t align = alignof(max_align_t);
    size_t need = (n_bytes + align - 1) / align * align + GAP_BYTES;
    struct arena_block *b = a->head;
    if (!b || b->size - b->used < need)
        b = block_new(a, need);
    void *p = b->bytes + b->used;
    b->used += need;
    unpoison(p, n_bytes);
    memset(p, 0, n_bytes);
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    must(size == 0 || n <= SIZE_MAX / 4 / size);
    return arena_alloc(a, n * size);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    memcpy(p, s, n);
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    must(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *p = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = a->head;
    if (!keep)
        return;
    for (struct arena_block *b = keep->next, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    keep->next = NULL;
    keep->used = 0;
    poison(keep->bytes, keep->size);
    a->total_bytes = keep->size;
}

void arena_fini(struct arena *a)
{
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *a = (struct arena){0};
}

void *xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    must(p != NULL);
    return p;
}

void *xrealloc(void *p, size_t n_bytes)
{
    void *q = realloc(p, n_bytes ? n_bytes : 1);
    must(q != NULL);
    return q;
}

char *xstrdup(const char *s)
{
    char *p = strdup(s);
    must(p != NULL);
    return p;
}
