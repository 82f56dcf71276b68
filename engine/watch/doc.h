/* SPDX-License-Identifier: MIT */
/* A text for people that is the same on a terminal, in Markdown and in HTML: a title, headings, facts, tables, lists and what
 * was printed. Whoever writes one says what stands where; how it looks, and what of foreign text has to be made
 * harmless, is each form's own: doc_md.c, serve/html_doc.c, cli/doc_text.c.
 *
 * Everything lives in the doc's arena. Texts may come from anywhere. */
#ifndef RELEASE_WATCH_DOC_H
#define RELEASE_WATCH_DOC_H

#include "base/arena.h"
#include "base/str.h"

enum doc_kind {
    DOC_HEADING,
    DOC_TEXT,
    DOC_FACTS,  /* two columns, a name and what it is */
    DOC_TABLE,  /* its first row are the heads */
    DOC_LINES,  /* one cell a row: commits */
    DOC_OUTPUT, /* what a program printed, as it came */
};
struct doc_block {
    enum doc_kind kind;
    const char *text; /* of a heading, a text, an output; of a table what it shows */
    const char **cells;
    size_t n_cols, n_rows, cap;
    struct doc_block *next;
};
struct doc {
    struct arena *arena;
    const char *title;
    struct doc_block *first, *last;
};

struct doc doc_new(struct arena *arena, const char *title);
struct doc_block *doc_add(struct doc *d, enum doc_kind kind, const char *text);
/* n_cols of them: 2 of facts, 1 of lines, of a table as many as its heads. NULL = "". */
void doc_row(struct doc *d, const char *const *cells, size_t n_cols);
#define DOC_ROW(d, ...)                                                                                      \
    doc_row((d), (const char *const[]){__VA_ARGS__},                                                         \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

void doc_markdown(const struct doc *d, struct buf *out);

#endif
