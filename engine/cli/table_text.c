/* SPDX-License-Identifier: MIT */
/* Tables for people: gather the cells, measure, print. Text from nodes may be in them, so each cell is made
 * safe. */
#include "cli/cli.h"

#include <string.h>

#define CELL_MAX 4096

void table_init(struct table *t, struct arena *arena, size_t n_cols)
{
    *t = (struct table){.arena = arena, .n_cols = n_cols};
}

void table_row(struct table *t, const char *const *cells)
{
    if (t->n_rows == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 16;
        const char **grown = arena_array(t->arena, cap * t->n_cols, sizeof *grown);
        if (t->n_rows)
            memcpy(grown, t->cells, t->n_rows * t->n_cols * sizeof *grown);
        t->cells = grown;
        t->cap = cap;
    }
    for (size_t i = 0; i < t->n_cols; i++) {
        auto_buf struct buf safe = BUF_INIT(CELL_MAX);
        if (cells[i])
            text_visible(&safe, cells[i], strlen(cells[i]));
        t->cells[t->n_rows * t->n_cols + i] = arena_strdup(t->arena, buf_str(&safe));
    }
    t->n_rows++;
}

/* Columns on the screen: bytes that begin a character. */
static size_t text_width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void table_render(const struct table *t, struct buf *out)
{
    size_t *width = arena_array(t->arena, t->n_cols, sizeof *width);
    for (size_t i = 0; i < t->n_rows * t->n_cols; i++) {
        size_t w = text_width(t->cells[i]);
        if (w > width[i % t->n_cols])
            width[i % t->n_cols] = w;
    }
    for (size_t i = 0; i < t->n_rows * t->n_cols; i++) {
        size_t col = i % t->n_cols;
        buf_puts(out, t->cells[i]);
        if (col + 1 == t->n_cols) {
            while (out->len > 0 && out->data[out->len - 1] == ' ')
                out->data[--out->len] = '\0';
            buf_puts(out, "\n");
        } else
            buf_printf(out, "%*s", (int)(width[col] - text_width(t->cells[i]) + 2), "");
    }
}
