/* SPDX-License-Identifier: MIT */
/* The page: files that ship inside the program (engine/serve/page), and what the server writes itself, so
 * that status and history are read without script. */
#ifndef RELEASE_SERVE_PAGE_H
#define RELEASE_SERVE_PAGE_H

#include "serve/serve.h"
#include "watch/json.h"

extern const struct serve_part page_part;

/* Ends with a row without a name. data has a NUL behind its n bytes. */
struct page_file {
    const char *name, *data;
    size_t n;
    const char *tag; /* for ETag: the digest in quotes */
};
extern const struct page_file page_files[];
const struct page_file *page_file_find(const char *name); /* NULL: there is none of that name */

/* ---- html.c: the only way for data into HTML. Text is made visible (text_visible) and escaped, so it can
 * stand between tags and in a quoted attribute. */
void html_text(struct buf *out, const char *text);
/* One pair of %s: html_row(out, "<td>%s</td>", rev). The format is a constant. */
void html_row(struct buf *out, const char *fmt, const char *text);
/* A whole page: index.html with {{name}} put in place. main and person are HTML already. */
struct html_page {
    const char *title, *view, *env, *release, *csrf;
    const char *app, *apps; /* of env; how many applications there are here */
    const char *person, *main;
};
void html_shell(struct buf *out, const struct html_page *page);

/* Pieces of pages; times are local to the server. */
void html_release_table(struct buf *out, const struct release_info *list, size_t n, bool apart);
void html_release_line(struct buf *out, const char *head, const struct release_info *r);
void html_release_facts(struct buf *out, const struct release_info *r);
/* How many nodes are in which state, then at most `most` of them: those that need eyes first. */
void html_model(struct buf *out, const struct model *m, size_t most);
void html_node_table(struct buf *out, const struct env_state *st, size_t most);

#endif
