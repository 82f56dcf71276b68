/* SPDX-License-Identifier: MIT */
/* A growing array for rows that are read. */
#include <stdlib.h>
#include <string.h>

#include "state/store_priv.h"

void *vec_add(struct vec *v)
{
    if (v->n == v->cap) {
        v->cap = v->cap ? v->cap * 2 : 32;
        v->data = xrealloc(v->data, v->cap * v->size);
    }
    char *last = (char *)v->data + v->n++ * v->size;
    memset(last, 0, v->size);
    return last;
}

void *vec_take(struct vec *v, struct arena *arena, size_t *ret_n)
{
    void *copy = arena_array(arena, v->n ? v->n : 1, v->size);
    if (v->n)
        memcpy(copy, v->data, v->n * v->size);
    *ret_n = v->n;
    return copy;
}

void vec_fini(struct vec *v)
{
    free(v->data);
    *v = (struct vec){.size = v->size};
}
