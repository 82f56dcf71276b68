/* SPDX-License-Identifier: MIT */
/* varnish: what runs on a backend. The CLI has no such number. */
#include "drivers/balancer/varnish/varnish.h"

#include <string.h>

#include "base/host.h"
#include "drivers/node/node.h"

#define STAT_MAX (4u << 20)

/* varnishstat on Varnish's host: "$1" backend, "$2" instance (varnishd -n) or empty. */
static const char stat_script[] = "command -v varnishstat >/dev/null 2>&1 ||"
                                  " { echo 'varnishstat is not installed' >&2; exit 127; }\n"
                                  "exec varnishstat -1 -j ${2:+-n \"$2\"} -f \"VBE.*.$1.conn\"\n";

static const char *host_of(struct lb *lb, size_t peer)
{
    const struct vcli *c = lb->peers[peer].own;
    return c->admin->host;
}

/* varnishstat runs here for a Varnish on this machine's loopback, else on its host through SSH. `stats` says
 * otherwise, one word per admin address: NAME, NAME@HOST or @HOST. */
static const struct target *stat_target(struct lb *lb, size_t i, const char **ret_name)
{
    size_t n;
    const char *const *stats = op_arg_list(lb->op, "stats", &n);
    const char *host = host_of(lb, i), *word = i < n ? stats[i] : "", *at = strrchr(word, '@');
    *ret_name = at ? arena_strndup(op_arena(lb->op), word, (size_t)(at - word)) : word;
    if (at)
        return op_target_host(lb->op, at + 1);
    return host_is_here(host) ? &target_controller : op_target_host(lb->op, host);
}

static bool count_by_stat(struct lb *lb, size_t i, int64_t *ret)
{
    const char *name;
    const struct target *t = stat_target(lb, i, &name);
    const char *const args[] = {lb->server, name, NULL};
    const struct node_cmd cmd = {.script = stat_script, .args = args, .max_out = STAT_MAX, .quiet = true};
    struct node_result r;
    struct err err = {0};
    if (!t || !target_read(lb->op, t, &cmd, &r))
        return false;
    if (r.status != 0)
        op_refused(
            lb->op, E_NOTFOUND,
            "%s: sessions cannot be counted: varnishstat: %s; say where it runs by `stats:`, or `idle: node`",
            lb->peers[i].text,
            r.err_len ? arena_strndup(op_arena(lb->op), r.err, strcspn(r.err, "\n")) : "failed");
    else if (!varnish_conns_parse(r.out, lb->server, ret, &err))
        op_fail(lb->op, err.code, "%s: %s", lb->peers[i].text, err.text);
    return !op_failed(lb->op);
}

bool varnish_count(struct lb *lb, int64_t *ret)
{
    *ret = 0;
    if (!strcmp(op_arg(lb->op, "idle"), "node"))
        return lb_idle_on_node(lb, ret);
    for (size_t i = 0; i < lb->n_peers; i++) {
        int64_t here = 0;
        if (!count_by_stat(lb, i, &here))
            return false;
        *ret += here;
    }
    return true;
}
