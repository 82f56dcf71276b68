/* SPDX-License-Identifier: MIT */
/* What each node was last known to run, be and owe, read off the journal by three partial indexes.
 *
 * The facts this rests on (docs/journal.md): a note node-in carries "rev"; any row of a node may carry
 * "identity"; the intent row of a drain carries "debt", which the node's next node-in clears and node-left
 * does not; the outcome row of role `before` carries "lb.before". */
#include <string.h>

#include "base/lb.h"
#include "base/str.h"
#include "state/store_priv.h"

static bool next_node(struct reader r, const struct env_key *env, const char *after, const char **ret,
                      struct err *err)
{
    auto_query struct query q;
    if (!query_open(&q, r.store, SQL(NODE_NEXT, arg_text(env->env), arg_text(after), arg_text(env->app)),
                    err))
        return false;
    *ret = query_next(&q, err) && query_peek(&q, 0)[0] ? query_text(&q, 0, r.arena) : NULL;
    return !q.failed;
}

/* What a later row tells is what release and at_ms speak of. */
static void told(struct node_state_info *n, int64_t release, int64_t at_ms)
{
    if (release < n->release)
        return;
    n->release = release;
    n->at_ms = at_ms;
}

/* The revision of its newest node-in that names one; *ret_seq is the newest node-in of all. */
static bool read_rev(struct reader r, const struct env_key *env, struct node_state_info *n, int64_t *ret_seq,
                     struct err *err)
{
    auto_query struct query q;
    *ret_seq = 0;
    if (!query_open(&q, r.store, SQL(NODE_IN, arg_text(env->env), arg_text(n->node), arg_text(env->app)),
                    err))
        return false;
    while (n->rev[0] == '\0' && query_next(&q, err)) {
        if (*ret_seq == 0)
            *ret_seq = query_int(&q, 0);
        n->rev = query_text(&q, 3, r.arena);
        if (n->rev[0]) /* a command or a restart brought nothing that it runs since */
            told(n, query_int(&q, 1), query_int(&q, 2));
    }
    return !q.failed;
}

static bool read_identity(struct reader r, const struct env_key *env, struct node_state_info *n,
                          struct err *err)
{
    auto_query struct query q;
    if (!query_open(&q, r.store,
                    SQL(NODE_IDENTITY, arg_text(env->env), arg_text(n->node), arg_text(env->app)), err))
        return false;
    if (query_next(&q, err)) {
        n->identity = query_text(&q, 2, r.arena);
        if (n->release == 0)
            told(n, query_int(&q, 0), query_int(&q, 1));
    }
    return !q.failed;
}

static bool read_before(struct store *s, struct node_state_info *n, struct buf *text, struct err *err)
{
    auto_query struct query q;
    if (!query_open(&q, s, SQL(NODE_BEFORE, arg_int(n->release), arg_text(n->node)), err))
        return false;
    if (query_next(&q, err))
        lb_debt_add_before(text, query_peek(&q, 0));
    return !q.failed;
}

/* Every different debt since it was last in rotation, in one line. */
static bool read_debt(struct reader r, const struct env_key *env, struct node_state_info *n, int64_t since,
                      struct err *err)
{
    auto_buf struct buf text = BUF_INIT(4096);
    {
        auto_query struct query q;
        if (!query_open(
                &q, r.store,
                SQL(NODE_DEBT, arg_text(env->env), arg_text(n->node), arg_int(since), arg_text(env->app)),
                err))
            return false;
        while (query_next(&q, err)) {
            told(n, query_int(&q, 0), query_int(&q, 1));
            n->debt = true;
            if (!strstr(buf_str(&text), query_peek(&q, 2)))
                buf_printf(&text, "%s%s", text.len ? "; " : "", query_peek(&q, 2));
        }
        if (q.failed)
            return false;
    }
    if (!n->debt)
        return true;
    if (!lb_debt_has_before(buf_str(&text)) && !read_before(r.store, n, &text, err))
        return false;
    n->debt_text = arena_strdup(r.arena, buf_str(&text));
    return true;
}

static bool read_node(struct reader r, const struct env_key *env, struct node_state_info *n, struct err *err)
{
    int64_t in_seq;
    return read_rev(r, env, n, &in_seq, err) && read_identity(r, env, n, err) &&
           read_debt(r, env, n, in_seq, err);
}

bool node_states(struct reader r, const char *env, struct node_state_info **ret, size_t *ret_n,
                 struct err *err)
{
    auto_vec struct vec found = VEC_INIT(struct node_state_info);
    struct env_key key;
    if (!env_resolve(r, env, &key, err))
        return false;
    for (const char *node = "";;) {
        if (!next_node(r, &key, node, &node, err))
            return false;
        if (!node)
            break;
        struct node_state_info *n = vec_add(&found);
        *n = (struct node_state_info){.node = node, .rev = "", .identity = "", .debt_text = ""};
        if (!read_node(r, &key, n, err))
            return false;
    }
    *ret = vec_take(&found, r.arena, ret_n);
    return true;
}
