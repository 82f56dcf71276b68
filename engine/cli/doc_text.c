/* SPDX-License-Identifier: MIT */
#include "cli/doc_text.h"

#include <string.h>

/* Under a heading, its text and tables are set in. */
#define INDENT  "  "
#define ALL_MAX (16 * 1024 * 1024)

/* Made safe, each line set in. */
static void put_indented(struct buf *out, const char *text, const char *before)
{
    auto_buf struct buf safe = BUF_INIT(ALL_MAX);
    text_visible(&safe, text, strlen(text));
    for (const char *line = buf_str(&safe); *line;) {
        size_t n = strcspn(line, "\n");
        buf_printf(out, "%s%.*s\n", before, (int)n, line);
        line += n + (line[n] == '\n');
    }
}

static void put_table(struct buf *out, const struct doc *d, const struct doc_block *b)
{
    auto_buf struct buf text = BUF_INIT(ALL_MAX);
    struct table t;
    table_init(&t, d->arena, b->n_cols);
    for (size_t r = 0; r < b->n_rows; r++)
        table_row(&t, b->cells + r * b->n_cols);
    table_render(&t, &text);
    put_indented(out, buf_str(&text), INDENT);
}

void doc_text(const struct doc *d, struct buf *out)
{
    put_indented(out, d->title, "");
    for (const struct doc_block *b = d->first; b; b = b->next) {
        if (b->kind == DOC_HEADING) {
            buf_puts(out, "\n");
            put_indented(out, b->text, "");
        } else if (b->kind == DOC_TEXT)
            put_indented(out, b->text, INDENT);
        else if (b->kind == DOC_OUTPUT)
            put_indented(out, b->text, INDENT "| ");
        else
            put_table(out, d, b);
    }
}
