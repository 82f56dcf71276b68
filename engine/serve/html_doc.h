/* SPDX-License-Identifier: MIT */
/* A doc (watch/doc.h) as HTML. */
#ifndef RELEASE_SERVE_HTML_DOC_H
#define RELEASE_SERVE_HTML_DOC_H

#include "base/str.h"
#include "watch/doc.h"

/* Its title is an <h1>, its headings are <h2>. */
void html_doc(struct buf *out, const struct doc *d);
/* A file by itself: style inside, no script, nothing fetched. */
void html_doc_alone(struct buf *out, const struct doc *d);

#endif
