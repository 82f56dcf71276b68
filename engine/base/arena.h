/* SPDX-License-Identifier: MIT */
/* Arena: pointer-bump memory with one owner and one end. Out of memory aborts, so nothing here fails.
 * Not thread-safe: an arena belongs to whoever owns the plan, the op or the call. */
#ifndef RELEASE_BASE_ARENA_H
#define RELEASE_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t total_bytes;
};

/* A zeroed struct arena is a valid empty one. */
void *arena_alloc(struct arena *a, size_t n_bytes);        /* zeroed, aligned for any type */
void *arena_array(struct arena *a, size_t n, size_t size); /* zeroed; aborts on overflow */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void arena_reset(struct arena *a); /* forgets everything, keeps one block for reuse */
void arena_fini(struct arena *a);
#define auto_arena __attribute__((cleanup(arena_fini)))

/* Heap for what outlives an arena: as malloc and friends, abort when there is no memory. */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n_bytes);
char *xstrdup(const char *s);

#endif
