/* SPDX-License-Identifier: MIT */
/* nginx: its whole configuration, as `nginx -T` prints it: one file behind the other, each under a line
 * "# configuration file PATH:". Pure. Only what is asked of it is understood: upstream blocks, their servers, which files
 * are included where, and `pid`. nginx itself has found the text sound. */
#include "drivers/balancer/nginx/nginx.h"

#include <fnmatch.h>
#include <string.h>

#include "base/str.h"

#define HEAD       "# configuration file "
#define DEPTH_MAX  32 /* of includes and blocks */
#define WORDS_MAX  64 /* of one directive that are kept */
#define TOKENS_MAX 1000000

struct config_text {
    const char *path, *text;
    size_t n;
};

struct walk {
    struct arena *a;
    struct config_text *parts;
    size_t n_parts;
    const char *include, *root; /* what is looked for; the folder of the first file */
    struct nginx_config *ret;
    size_t tokens, depth;
    struct err *err;
};

/* ---- files ----------------------------------------------------------------- */

static bool head_of(const char *line, size_t len, const char **ret_path, size_t *ret_n)
{
    size_t head = strlen(HEAD);
    if (len <= head + 1 || memcmp(line, HEAD, head) != 0 || line[len - 1] != ':' || line[head] != '/')
        return false;
    *ret_path = line + head;
    *ret_n = len - head - 1;
    return true;
}

static void parts_of(struct walk *w, const char *text, size_t n)
{
    size_t lines = 1, path_len;
    const char *path;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n' && i + 1 < n && text[i + 1] == '#';
    w->parts = arena_array(w->a, lines + 1, sizeof *w->parts);
    while (n > 0) {
        const char *newline = memchr(text, '\n', n);
        size_t len = newline ? (size_t)(newline - text) : n, step = len + (newline != NULL);
        if (head_of(text, len, &path, &path_len))
            w->parts[w->n_parts++] =
                (struct config_text){.path = arena_strndup(w->a, path, path_len), .text = text + step};
        else if (w->n_parts > 0)
            w->parts[w->n_parts - 1].n += step;
        text += step;
        n -= step;
    }
}

/* ---- words ----------------------------------------------------------------- */

enum token { T_END, T_WORD, T_SEMI, T_OPEN, T_CLOSE };

struct config_reader {
    const char *at, *end;
};

static void skip_blank(struct config_reader *r)
{
    while (r->at < r->end) {
        if (*r->at == '#')
            while (r->at < r->end && *r->at != '\n')
                r->at++;
        else if (!strchr(" \t\r\n", *r->at) || *r->at == '\0')
            return;
        else
            r->at++;
    }
}

/* As nginx reads: quotes only at a word's beginning, a backslash takes the next byte with it, "${" opens no block. */
static const char *word_of(struct walk *w, struct config_reader *r)
{
    auto_buf struct buf b = BUF_INIT(4096);
    char quote = *r->at == '"' || *r->at == '\'' ? *r->at++ : '\0';
    for (; r->at < r->end; r->at++) {
        char c = *r->at;
        if (quote ? c == quote : c == '\0' || strchr(" \t\r\n;", c) != NULL)
            break;
        if (!quote && c == '{' && !(b.len > 0 && b.data[b.len - 1] == '$'))
            break;
        if (c == '\\' && r->at + 1 < r->end)
            c = *++r->at;
        buf_add(&b, &c, 1);
    }
    if (r->at < r->end && (quote || *r->at == '\0'))
        r->at++;
    return arena_strdup(w->a, buf_str(&b));
}

static enum token token_next(struct walk *w, struct config_reader *r, const char **ret_word)
{
    skip_blank(r);
    if (r->at == r->end || ++w->tokens > TOKENS_MAX)
        return T_END;
    switch (*r->at) {
    case ';': r->at++; return T_SEMI;
    case '{': r->at++; return T_OPEN;
    case '}': r->at++; return T_CLOSE;
    default: *ret_word = word_of(w, r); return T_WORD;
    }
}

/* Lua between braces is not nginx's language: its braces are counted, no more. */
static void skip_block(struct config_reader *r)
{
    for (int open = 1; r->at < r->end && open > 0; r->at++)
        open += (*r->at == '{') - (*r->at == '}');
}

/* ---- directives ------------------------------------------------------------ */

struct directive {
    const char *words[WORDS_MAX];
    size_t n;
};

static bool walk_file(struct walk *w, const struct config_text *p, const char *upstream);

/* Twice the room when it is full: the arrays live as long as the op. */
static void *room_for_one(struct walk *w, void *rows, size_t n, size_t size)
{
    if (n != 0 && (n < 8 || (n & (n - 1)) != 0))
        return rows;
    void *bigger = arena_array(w->a, n < 8 ? 8 : 2 * n, size);
    return n > 0 ? memcpy(bigger, rows, n * size) : bigger;
}

static void add_name(struct walk *w, const char ***list, size_t *io_n, const char *name)
{
    for (size_t i = 0; i < *io_n; i++) {
        if (!strcmp((*list)[i], name))
            return;
    }
    *list = room_for_one(w, *list, *io_n, sizeof **list);
    (*list)[(*io_n)++] = name;
}

static void server_found(struct walk *w, const struct config_text *p, const struct directive *d,
                         const char *upstream)
{
    struct nginx_config *c = w->ret;
    struct nginx_use u = {.upstream = upstream, .addr = d->words[1], .file = p->path};
    if (!nginx_addr_parse(u.addr, w->a, &u.host, &u.port))
        return; /* a unix socket: no node's address */
    for (size_t i = 2; i < d->n; i++)
        u.down = u.down || !strcmp(d->words[i], "down");
    c->uses = room_for_one(w, c->uses, c->n, sizeof *c->uses);
    c->uses[c->n++] = u;
}

static bool include_found(struct walk *w, const char *pattern, const char *upstream)
{
    const char *whole = pattern[0] == '/' ? pattern : arena_printf(w->a, "%s/%s", w->root, pattern);
    for (size_t i = 0; i < w->n_parts; i++) {
        const struct config_text *p = &w->parts[i];
        if (strcmp(p->path, whole) != 0 && fnmatch(whole, p->path, FNM_PATHNAME | FNM_PERIOD) != 0)
            continue;
        if (upstream && !strcmp(p->path, w->include))
            add_name(w, &w->ret->including, &w->ret->n_including, upstream);
        if (!walk_file(w, p, upstream))
            return false;
    }
    return true;
}

static bool directive_end(struct walk *w, const struct config_text *p, const struct directive *d,
                          const char *upstream)
{
    if (d->n == 2 && !strcmp(d->words[0], "include"))
        return include_found(w, d->words[1], upstream);
    if (d->n == 2 && !strcmp(d->words[0], "pid"))
        w->ret->pid = d->words[1];
    if (d->n >= 2 && upstream && !strcmp(d->words[0], "server"))
        server_found(w, p, d, upstream);
    return true;
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && !strcmp(s + n - m, tail);
}

/* The directive in front of a '{'. Which upstream is inside? */
static const char *block_upstream(struct walk *w, const struct directive *d, const char *outer)
{
    if (d->n != 2 || strcmp(d->words[0], "upstream") != 0)
        return outer;
    add_name(w, &w->ret->upstreams, &w->ret->n_upstreams, d->words[1]);
    return d->words[1];
}

static bool lost(struct walk *w, const struct config_text *p, const char *why)
{
    auto_buf struct buf b = BUF_INIT(200);
    text_visible(&b, p->path, strlen(p->path));
    return err_set(w->err, E_PROTO, "%s, as `nginx -T` shows it, cannot be understood: %s", buf_str(&b), why);
}

static bool walk_file(struct walk *w, const struct config_text *p, const char *upstream)
{
    struct config_reader r = {.at = p->text, .end = p->text + p->n};
    const char *inside[DEPTH_MAX + 1] = {upstream}, *word;
    struct directive d = {.n = 0};
    size_t level = 0;
    if (++w->depth > DEPTH_MAX)
        return lost(w, p, "includes are too deep");
    for (enum token t; (t = token_next(w, &r, &word)) != T_END;) {
        if (t == T_WORD) {
            if (d.n < WORDS_MAX)
                d.words[d.n++] = word;
            continue;
        }
        if (t == T_SEMI && !directive_end(w, p, &d, inside[level]))
            return false;
        if (t == T_CLOSE && level-- == 0)
            return lost(w, p, "a block is closed that was not opened");
        if (t == T_OPEN && d.n > 0 && ends_with(d.words[0], "_by_lua_block"))
            skip_block(&r);
        else if (t == T_OPEN) {
            if (level == DEPTH_MAX)
                return lost(w, p, "blocks are too deep");
            inside[level + 1] = block_upstream(w, &d, inside[level]);
            level++;
        }
        d.n = 0;
    }
    w->depth--;
    if (w->tokens > TOKENS_MAX)
        return lost(w, p, "it is too long");
    return level == 0 || lost(w, p, "a block is not closed");
}

bool nginx_config_parse(const char *text, size_t n, const char *include, struct arena *a,
                        struct nginx_config *ret, struct err *err)
{
    struct walk w = {.a = a, .include = include, .ret = ret, .err = err};
    *ret = (struct nginx_config){0};
    parts_of(&w, text, n);
    if (w.n_parts == 0)
        return err_set(err, E_PROTO, "`nginx -T` shows no configuration file");
    const char *slash = strrchr(w.parts[0].path, '/');
    w.root = arena_strndup(a, w.parts[0].path, (size_t)(slash - w.parts[0].path));
    return walk_file(&w, &w.parts[0], NULL);
}

bool nginx_config_includes(const struct nginx_config *c, const char *upstream)
{
    for (size_t i = 0; i < c->n_including; i++) {
        if (!strcmp(c->including[i], upstream))
            return true;
    }
    return false;
}
