/* SPDX-License-Identifier: MIT */
/* A doc in Markdown (CommonMark with tables), for a pull request or a ticket. What others wrote is shown and says
 * nothing to Markdown: no markup, no HTML, no mention of a person. */
#include "watch/doc.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX    (256 * 1024)
#define FENCE_LEAST 3

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* At the beginning of a line these would make a list, a rule or a heading of it; "1. " too. */
static bool begins_block(const char *text, size_t at)
{
    if (at == 0)
        return strchr("-+=", text[0]) != NULL;
    return (text[at] == '.' || text[at] == ')') && strchr(" \t\n", text[at + 1]) != NULL &&
           strspn(text, "0123456789") == at;
}

static void put_at(struct buf *out, const char *text, bool line_begins)
{
    auto_buf struct buf safe = BUF_INIT(TEXT_MAX);
    text_visible(&safe, text, strlen(text));
    const char *s = buf_str(&safe);
    s += strspn(s, " \t\n");
    for (size_t i = 0; s[i]; i++) {
        if (s[i] == '\n' || s[i] == '\t') {
            buf_puts(out, " ");
            continue;
        }
        if (strchr("\\`*_[]<>|~#&$", s[i]) || (line_begins && begins_block(s, i)))
            buf_puts(out, "\\");
        buf_add(out, &s[i], 1);
        if (s[i] == '@' && (i == 0 || !is_word(s[i - 1])))
            buf_puts(out, "<!-- -->"); /* "@ann" would call her */
    }
}

static void put(struct buf *out, const char *text)
{
    put_at(out, text, false);
}

/* Longer than any run of it inside. */
static void put_fence(struct buf *out, const char *text)
{
    size_t longest = FENCE_LEAST - 1;
    for (const char *p = text; (p = strchr(p, '`')) != NULL;) {
        size_t n = strspn(p, "`");
        longest = n > longest ? n : longest;
        p += n;
    }
    for (size_t i = 0; i <= longest; i++)
        buf_puts(out, "`");
    buf_puts(out, "\n");
}

static void put_verbatim(struct buf *out, const char *text)
{
    auto_buf struct buf safe = BUF_INIT(TEXT_MAX);
    text_visible(&safe, text, strlen(text));
    const char *s = buf_str(&safe);
    put_fence(out, s);
    buf_puts(out, s);
    if (safe.len == 0 || s[safe.len - 1] != '\n')
        buf_puts(out, "\n");
    put_fence(out, s);
}

static void put_rows(struct buf *out, const struct doc_block *b)
{
    for (size_t r = 0; r < b->n_rows; r++) {
        for (size_t c = 0; c < b->n_cols; c++) {
            buf_puts(out, c == 0 ? "| " : " | ");
            put(out, b->cells[r * b->n_cols + c]);
        }
        buf_puts(out, " |\n");
        for (size_t c = 0; r == 0 && c < b->n_cols; c++)
            buf_puts(out, c + 1 < b->n_cols ? "|---" : "|---|\n");
    }
}

static void put_facts(struct buf *out, const struct doc_block *b)
{
    for (size_t r = 0; r < b->n_rows; r++) {
        buf_puts(out, "- **");
        put(out, b->cells[2 * r]);
        buf_puts(out, "**: ");
        put(out, b->cells[2 * r + 1]);
        buf_puts(out, "\n");
    }
}

static void put_lines(struct buf *out, const struct doc_block *b)
{
    auto_buf struct buf all = BUF_INIT(TEXT_MAX);
    for (size_t r = 0; r < b->n_rows; r++)
        buf_printf(&all, "%s\n", b->cells[r]);
    put_verbatim(out, buf_str(&all));
}

static void put_block(struct buf *out, const struct doc_block *b)
{
    switch (b->kind) {
    case DOC_HEADING:
        buf_puts(out, "## ");
        put(out, b->text);
        buf_puts(out, "\n");
        break;
    case DOC_TEXT:
        put_at(out, b->text, true);
        buf_puts(out, "\n");
        break;
    case DOC_FACTS: put_facts(out, b); break;
    case DOC_TABLE: put_rows(out, b); break;
    case DOC_LINES: put_lines(out, b); break;
    case DOC_OUTPUT: put_verbatim(out, b->text); break;
    }
}

void doc_markdown(const struct doc *d, struct buf *out)
{
    buf_puts(out, "# ");
    put(out, d->title);
    buf_puts(out, "\n");
    for (const struct doc_block *b = d->first; b; b = b->next) {
        buf_puts(out, "\n");
        put_block(out, b);
    }
}
