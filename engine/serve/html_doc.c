/* SPDX-License-Identifier: MIT */
/* A doc (watch/doc.h) as HTML: a part of a page, or a page by itself that needs nothing else. */
#include "serve/html_doc.h"

#include "serve/page.h"

/* Nothing is fetched and nothing runs, whatever the text says. */
static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n";
static const char style[] =
    "<style>\n:root { color-scheme: light dark }\n"
    "body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }\n"
    "h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }\n"
    "dl > div { display: flex; gap: 1rem } dt { min-width: 9rem; font-weight: 600 } dd { margin: 0 }\n"
    ".scroll { overflow-x: auto } table { border-collapse: collapse; width: 100% }\n"
    "caption { text-align: left; padding-bottom: .25rem }\n"
    "th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8886 }\n"
    "pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: 4px }\n"
    "</style>\n";

static void put_table(struct buf *out, const struct doc_block *b)
{
    buf_puts(out, "<div class=\"scroll\" tabindex=\"0\"><table>");
    if (b->text[0])
        html_row(out, "<caption>%s</caption>", b->text);
    for (size_t r = 0; r < b->n_rows; r++) {
        buf_puts(out, r == 0 ? "<thead><tr>" : r == 1 ? "<tbody><tr>" : "<tr>");
        for (size_t c = 0; c < b->n_cols; c++)
            html_row(out,
                     r == 0   ? "<th scope=\"col\">%s</th>"
                     : c == 0 ? "<th scope=\"row\">%s</th>"
                              : "<td>%s</td>",
                     b->cells[r * b->n_cols + c]);
        buf_puts(out, r == 0 ? "</tr></thead>\n" : "</tr>\n");
    }
    buf_puts(out, b->n_rows > 1 ? "</tbody></table></div>\n" : "</table></div>\n");
}

static void put_facts(struct buf *out, const struct doc_block *b)
{
    buf_puts(out, "<dl class=\"facts\">\n");
    for (size_t r = 0; r < b->n_rows; r++) {
        html_row(out, "<div><dt>%s</dt>", b->cells[2 * r]);
        html_row(out, "<dd>%s</dd></div>\n", b->cells[2 * r + 1]);
    }
    buf_puts(out, "</dl>\n");
}

static void put_lines(struct buf *out, const struct doc_block *b)
{
    buf_puts(out, "<ul>\n");
    for (size_t r = 0; r < b->n_rows; r++)
        html_row(out, "<li>%s</li>\n", b->cells[r]);
    buf_puts(out, "</ul>\n");
}

static void put_block(struct buf *out, const struct doc_block *b)
{
    switch (b->kind) {
    case DOC_HEADING: html_row(out, "<h2>%s</h2>\n", b->text); break;
    case DOC_TEXT: html_row(out, "<p>%s</p>\n", b->text); break;
    case DOC_OUTPUT: html_row(out, "<pre tabindex=\"0\">%s</pre>\n", b->text); break;
    case DOC_FACTS: put_facts(out, b); break;
    case DOC_TABLE: put_table(out, b); break;
    case DOC_LINES: put_lines(out, b); break;
    }
}

void html_doc(struct buf *out, const struct doc *d)
{
    html_row(out, "<h1>%s</h1>\n", d->title);
    for (const struct doc_block *b = d->first; b; b = b->next)
        put_block(out, b);
}

void html_doc_alone(struct buf *out, const struct doc *d)
{
    buf_puts(out, head);
    html_row(out, "<title>%s</title>\n", d->title);
    buf_puts(out, style);
    buf_puts(out, "</head>\n<body><main>\n");
    html_doc(out, d);
    buf_puts(out, "</main></body></html>\n");
}
