/* SPDX-License-Identifier: MIT */
/* What a command on a node prints, sorted into log, result and the runner's lines (feed.h). */
#include "drivers/node/feed.h"

#include <string.h>

#define KEEP_DEFAULT (64u * 1024u)

void taken_init(struct taken *t, struct op *op, const struct node_cmd *cmd)
{
    size_t max = cmd->max_out ? cmd->max_out : KEEP_DEFAULT;
    *t = (struct taken){.op = op, .cmd = cmd, .keep = {BUF_INIT(max), BUF_INIT(max)}};
}

void taken_fini(struct taken *t)
{
    buf_fini(&t->keep[0]);
    buf_fini(&t->keep[1]);
}

void taken_result(struct taken *t, struct node_result *ret)
{
    ret->out = arena_strndup(op_arena(t->op), buf_str(&t->keep[0]), t->keep[0].len);
    ret->out_len = t->keep[0].len;
    ret->err = arena_strndup(op_arena(t->op), buf_str(&t->keep[1]), t->keep[1].len);
    ret->err_len = t->keep[1].len;
    ret->cut = t->keep[0].cut || t->keep[1].cut;
}

static void take(struct feed *f, int stream, const char *data, size_t n)
{
    struct taken *t = f->taken;
    int64_t *got = &t->got[stream - 1], pos = f->pos[stream - 1];
    f->pos[stream - 1] += (int64_t)n;
    if (pos + (int64_t)n <= *got)
        return; /* all of it is known already */
    size_t known = *got > pos ? (size_t)(*got - pos) : 0;
    *got = pos + (int64_t)n;
    buf_add(&t->keep[stream - 1], data + known, n - known);
    if (!t->cmd->quiet)
        op_output(t->op, stream, data + known, n - known);
}

static void take_err(void *ctx, const char *data, size_t n)
{
    take(ctx, 2, data, n);
}

static void take_line(void *ctx, const char *data, size_t n)
{
    struct feed *f = ctx;
    buf_add(&f->lines, data, n);
}

void feed_init(struct feed *f, struct taken *t)
{
    *f = (struct feed){.taken = t, .lines = BUF_INIT(FEED_LINES_MAX)};
    nonce_make(f->nonce);
    scan_init(&f->scan, f->nonce, take_err, take_line, f);
}

void feed_fini(struct feed *f)
{
    scan_fini(&f->scan);
    buf_fini(&f->lines);
}

void feed_output(void *ctx, int stream, const char *data, size_t n)
{
    struct feed *f = ctx;
    if (stream == 1)
        take(f, 1, data, n);
    else
        scan_add(&f->scan, data, n);
}

void feed_end(struct feed *f)
{
    scan_end(&f->scan);
}

const char *feed_line(const struct feed *f, const char *word, struct arena *arena)
{
    size_t n = strlen(word);
    for (const char *p = buf_str(&f->lines); *p;) {
        const char *end = strchr(p, '\n');
        if (!end)
            return NULL;
        if (strncmp(p, word, n) == 0 && (p[n] == ' ' || p[n] == '\n')) {
            const char *words = p[n] == ' ' ? p + n + 1 : p + n;
            return arena_strndup(arena, words, (size_t)(end - words));
        }
        p = end + 1;
    }
    return NULL;
}
