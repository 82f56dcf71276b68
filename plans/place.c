/* SPDX-License-Identifier: MIT */
/* Where a node keeps what is released, and where the runner keeps its files there. */
#include "plans/compile_priv.h"

#include <ctype.h>
#include <string.h>

#include "base/auto.h"
#include "base/hash.h"
#include "plans/subst.h"

static const char *dir_written(struct compiler *c, const struct plan_node *node)
{
    const char *own = op_pair_value(node->vars, node->n_vars, "dir");
    return own != NULL ? own : c->b.dir;
}

struct naming {
    struct compiler *c;
    const struct plan_node *node;
    const char *unknown; /* the first name that nobody knows */
};

static void put_name(void *ctx, const char *name, struct buf *out)
{
    struct naming *n = ctx;
    const char *value = strcmp(name, "env") == 0   ? n->c->pillar->env
                        : strcmp(name, "app") == 0 ? n->c->plan->app
                        : strcmp(name, "dir") == 0 ? NULL
                                                   : op_pair_value(n->node->vars, n->node->n_vars, name);
    if (value == NULL && n->unknown == NULL)
        n->unknown = arena_strdup(n->c->r.arena, name);
    buf_puts(out, value == NULL ? "" : value);
}

const char *place_dir(struct compiler *c, const struct plan_node *node, const struct entry *own)
{
    const char *written = dir_written(c, node);
    const struct entry *e = own != NULL ? own : map_entry(c->b.map, "dir");
    if (written == NULL || strpbrk(written, "{}") == NULL)
        return NULL;
    auto_buf struct buf dir = BUF_INIT(8192);
    struct naming names = {.c = c, .node = node};
    subst_expand(&dir, written, put_name, &names);
    if (names.unknown != NULL && e != NULL)
        problem_at(c->r.problems, e->at,
                   "dir: '{%s}' names nothing (known: {node} {host} {port} {lb_server} {env} "
                   "{app}, and what the node's entry in app_servers says)",
                   names.unknown);
    return names.unknown != NULL ? NULL : arena_strdup(c->r.arena, buf_str(&dir));
}

const char *place_state_dir(struct compiler *c, const struct plan_node *node)
{
    char hex[SHA256_HEX_LEN + 1];
    struct arena *a = c->r.arena;
    const char *dir = dir_written(c, node);
    if (dir == NULL || dir[0] == '\0')
        return arena_printf(a, ".release/%s+%s/%s", c->plan->app, c->pillar->env,
                            node->of_host != NULL ? node->of_host : node->id);
    auto_buf struct buf whole = BUF_INIT(8192);
    for (const char *s = dir; *s != '\0'; s++)
        if (*s != '/' || (s[1] != '/' && s[1] != '\0'))
            buf_add(&whole, s, 1); /* "/srv//x/" is "/srv/x" */
    sha256_hex(whole.data, whole.len, hex);
    const char *last = strrchr(buf_str(&whole), '/');
    auto_buf struct buf name = BUF_INIT(40);
    for (const char *s = last == NULL ? "" : last + 1; *s != '\0' && name.len < 30; s++)
        buf_printf(&name, "%c", isalnum((unsigned char)*s) ? *s : '_');
    return arena_printf(a, ".release/at/%s-%.12s", buf_str(&name), hex);
}
