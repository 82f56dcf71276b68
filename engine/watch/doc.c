/* SPDX-License-Identifier: MIT */
#include "watch/doc.h"

#include <string.h>

#include "base/err.h"

struct doc doc_new(struct arena *arena, const char *title)
{
    return (struct doc){.arena = arena, .title = title};
}

struct doc_block *doc_add(struct doc *d, enum doc_kind kind, const char *text)
{
    struct doc_block *b = arena_alloc(d->arena, sizeof *b);
    *b = (struct doc_block){.kind = kind, .text = text ? text : ""};
    if (d->last)
        d->last->next = b;
    else
        d->first = b;
    d->last = b;
    return b;
}

void doc_row(struct doc *d, const char *const *cells, size_t n_cols)
{
    struct doc_block *b = d->last;
    must(b && (b->n_rows == 0 || b->n_cols == n_cols));
    b->n_cols = n_cols;
    if (b->n_rows == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 8;
        const char **grown = arena_array(d->arena, cap * n_cols, sizeof *grown);
        if (b->n_rows)
            memcpy(grown, b->cells, b->n_rows * n_cols * sizeof *grown);
        b->cells = grown;
        b->cap = cap;
    }
    for (size_t i = 0; i < n_cols; i++)
        b->cells[b->n_rows * n_cols + i] = cells[i] ? cells[i] : "";
    b->n_rows++;
}
