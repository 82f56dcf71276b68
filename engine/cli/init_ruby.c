/* SPDX-License-Identifier: MIT */
#include "cli/init_ruby.h"

#include <ctype.h>
#include <string.h>

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '?' || c == '!' || c == '@' || c == '$';
}

static void add(struct ruby_statement *s, enum ruby_kind kind, const char *text, bool fills)
{
    if (s->n == RUBY_TOKENS_MAX) {
        s->cut = true;
        return;
    }
    s->tokens[s->n++] = (struct ruby_token){.kind = kind, .text = text, .fills = fills};
}

static char closing(char open)
{
    return open == '(' ? ')' : open == '[' ? ']' : open == '{' ? '}' : open == '<' ? '>' : open;
}

/* From behind the opening sign to the closing one, escapes resolved; the reader stands behind it. */
static const char *quoted(struct ruby_reader *r, char open, bool fills)
{
    char close = closing(open), *out = arena_alloc(r->arena, strlen(r->p) + 1), *to = out;
    for (int depth = 1; *r->p; r->p++) {
        char c = *r->p;
        if (c == '\n')
            r->line++;
        if (c == '\\' && r->p[1]) {
            c = *++r->p;
            if (fills && (c == 'n' || c == 't'))
                c = c == 'n' ? '\n' : '\t';
            *to++ = c;
            continue;
        }
        if (c == close && --depth == 0) {
            r->p++;
            break;
        }
        if (c == open && open != close)
            depth++;
        *to++ = c;
    }
    return out;
}

/* %w{..}, %i[..], %q(..), %Q|..|. false: a percent sign of arithmetic. */
static bool percent(struct ruby_reader *r, struct ruby_statement *s)
{
    char kind = r->p[1], open = kind ? r->p[2] : '\0';
    if (!kind || !strchr("wWiIqQ", kind) || !open || isalnum((unsigned char)open) ||
        isspace((unsigned char)open))
        return false;
    r->p += 3;
    bool fills = kind == 'W' || kind == 'Q';
    add(s, strchr("qQ", kind) ? RUBY_TEXT : RUBY_WORDS, quoted(r, open, fills), fills);
    return true;
}

static void word(struct ruby_reader *r, struct ruby_statement *s)
{
    const char *from = r->p;
    while (word_char(*r->p) ||
           (*r->p == '.' && isdigit((unsigned char)r->p[-1]) && isdigit((unsigned char)r->p[1])))
        r->p++;
    const char *text = arena_strndup(r->arena, from, (size_t)(r->p - from));
    if (*r->p == ':' && r->p[1] != ':' && !isdigit((unsigned char)*from)) {
        r->p++;
        add(s, RUBY_LABEL, text, false);
    } else {
        add(s, RUBY_WORD, text, false);
    }
}

static void sign(struct ruby_reader *r, struct ruby_statement *s)
{
    static const char *const twins[] = {"=>", "->", "||", "&&", "==", "::", "<<", "+=", NULL};
    size_t n = 1;
    for (const char *const *t = twins; *t; t++)
        if (strncmp(r->p, *t, 2) == 0)
            n = 2;
    add(s, RUBY_SIGN, arena_strndup(r->arena, r->p, n), false);
    r->p += n;
}

static void token(struct ruby_reader *r, struct ruby_statement *s)
{
    char c = *r->p;
    bool symbol = c == ':' && (word_char(r->p[1]) || r->p[1] == '"' || r->p[1] == '\'');
    if (c == '\'' || c == '"' || c == '`') {
        r->p++;
        add(s, c == '`' ? RUBY_SIGN : RUBY_TEXT, quoted(r, c, c == '"'), c == '"');
    } else if (symbol) {
        r->p++;
        size_t n = strspn(r->p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_?!");
        const char *name = n ? arena_strndup(r->arena, r->p, n) : NULL;
        r->p += n;
        if (!name) {
            char open = *r->p++;
            name = quoted(r, open, false);
        }
        add(s, RUBY_SYMBOL, name, false);
    } else if (word_char(c)) {
        word(r, s);
    } else if (c != '%' || !percent(r, s)) {
        sign(r, s);
    }
}

static bool is_sign(const struct ruby_token *t, const char *signs)
{
    return t->kind == RUBY_SIGN && t->text[0] && strchr(signs, t->text[0]) != NULL;
}

/* Does the statement end at this end of line? `open`: brackets. */
static bool ends_here(const struct ruby_statement *s, int open, const char *rest)
{
    const char *next = rest + strspn(rest, " \t\r\n");
    if (s->n == 0 || open > 0)
        return false;
    if (*next == '.' && next[1] != '.')
        return false;
    const struct ruby_token *last = &s->tokens[s->n - 1];
    return !is_sign(last, ",+|=.&<") && last->kind != RUBY_LABEL;
}

static void skip_comment(struct ruby_reader *r)
{
    r->p += strcspn(r->p, "\n");
}

/* "=begin" .. "=end" at the beginning of lines. */
static bool skip_block_comment(struct ruby_reader *r)
{
    if (strncmp(r->p, "\n=begin", 7) != 0)
        return false;
    const char *end = strstr(r->p, "\n=end");
    end = end ? end + 1 : r->p + strlen(r->p);
    for (; r->p < end; r->p++)
        r->line += *r->p == '\n';
    skip_comment(r);
    return true;
}

bool ruby_next(struct ruby_reader *r, struct ruby_statement *ret)
{
    int open = 0;
    ret->n = 0;
    ret->cut = false;
    while (*r->p) {
        if (*r->p == '#') {
            skip_comment(r);
        } else if (*r->p == '\n' || *r->p == ';') {
            if (*r->p == '\n' && skip_block_comment(r))
                continue;
            bool over = ends_here(ret, open, *r->p == ';' ? "" : r->p);
            r->line += *r->p++ == '\n';
            if (over)
                return true;
        } else if (isspace((unsigned char)*r->p)) {
            r->p++;
        } else if (*r->p == '\\' && (r->p[1] == '\n' || r->p[1] == '\r')) {
            r->p += 2;
            r->line++;
        } else {
            if (ret->n == 0)
                ret->line = r->line;
            token(r, ret);
            const struct ruby_token *last = &ret->tokens[ret->n ? ret->n - 1 : 0];
            open += is_sign(last, "([{") - (is_sign(last, ")]}") && open > 0);
        }
    }
    return ret->n > 0;
}

bool ruby_is(const struct ruby_statement *s, size_t i, const char *text)
{
    return i < s->n && (s->tokens[i].kind == RUBY_WORD || s->tokens[i].kind == RUBY_SIGN) &&
           strcmp(s->tokens[i].text, text) == 0;
}

int ruby_depth(const struct ruby_statement *s)
{
    static const char *const openers[] = {"if",     "unless", "case",  "begin", "def", "class",
                                          "module", "while",  "until", "for",   NULL};
    int depth = 0;
    bool loop = false;
    for (const char *const *o = openers; *o; o++)
        if (ruby_is(s, 0, *o)) {
            depth = 1;
            loop = (*o)[0] == 'w' || strcmp(*o, "until") == 0 || strcmp(*o, "for") == 0;
        }
    for (size_t i = 0; i < s->n; i++) {
        bool behind_dot = i > 0 && ruby_is(s, i - 1, ".");
        depth += !loop && !behind_dot && ruby_is(s, i, "do");
        depth -= !behind_dot && ruby_is(s, i, "end");
    }
    return depth;
}
