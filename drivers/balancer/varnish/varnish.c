/* varnish: takes backends out of a Varnish director and gives them back, through the CLI.
 *
 * A health set by hand belongs to one VCL. So verbs act on the backend in every VCL that may get requests
 * now, the active one and those that labels point to, each by its exact name, and judge by what these say
 * *now*: after a vcl.use that forgot us the backend shows as back, and the core drains it again. */
#include "drivers/balancer/varnish/varnish.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/str.h"
#include "drivers/node.h"

#define STAT_MAX (4u << 20)

/* varnishstat on Varnish's host: "$1" backend, "$2" instance (varnishd -n) or empty. */
static const char stat_script[] = "command -v varnishstat >/dev/null 2>&1 ||"
                                  " { echo 'varnishstat is not installed' >&2; exit 127; }\n"
                                  "exec varnishstat -1 -j ${2:+-n \"$2\"} -f \"VBE.*.$1.conn\"\n";

/* On the node: established connections to its port, "$1" in hex as the kernel prints it. */
static const char node_script[] =
    "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v p=\"$1\" "
    "'$4 == \"01\" { n = split($2, a, \":\"); if (a[n] == p) c++ } END { print c + 0 }'\n";

static bool all_agree(const struct varn *v)
{
    for (size_t i = 1; i < v->n; i++) {
        if (varn_is_out(v, i) != varn_is_out(v, 0))
            return false;
    }
    return true;
}

static enum outcome run_observe(struct op *op)
{
    struct varn v;
    if (!varn_open_read(op, &v) || !varn_look_all(&v))
        return op_end(op);
    bool serving = true;
    for (size_t i = 0; i < v.n; i++)
        serving = serving && varn_serving(&v.now[i]);
    op_fact(op, "lb.state", "%s", varn_text(&v));
    op_fact(op, "in_rotation", "%s", serving ? "yes" : "no");
    if (!varn_recorded(&v) && !all_agree(&v))
        return op_refused(op, E_STATE, "the Varnishes disagree: %s; make them agree by hand, then try again",
                          varn_text(&v));
    varn_report_before(&v);
    op_ready(op, varn_out_everywhere(&v));
    return OUT_OK;
}

/* ---- writing ------------------------------------------------------------------------------------- */

/* auto, sick or healthy, in every live VCL of one Varnish, read back. */
static bool put(struct varn *v, size_t i, const char *word)
{
    auto_vcli struct vcli c;
    char *body;
    const char *wanted = !strcmp(word, "auto") ? "probe" : word;
    if (!vcli_open(v->op, &v->admins[i], &c))
        return false;
    for (size_t k = 0; k < v->now[i].n; k++) {
        if (!vcli_want(&c, &body, "backend.set_health %s.%s %s", v->now[i].at[k].vcl, v->backend, word))
            return false;
    }
    if (!varn_look(v, &c, i))
        return false;
    for (size_t k = 0; k < v->now[i].n; k++) {
        if (strcmp(v->now[i].at[k].admin, wanted) != 0) {
            op_refused(v->op, E_STATE, "%s: took %s for %s.%s but still shows %s", v->admins[i].text, word,
                       v->now[i].at[k].vcl, v->backend, v->now[i].at[k].admin);
            return false;
        }
    }
    return true;
}

static enum outcome run_drain(struct op *op)
{
    struct varn v;
    bool mine[VARN_ADMINS_MAX] = {false}, changed = false;
    const char *was[VARN_ADMINS_MAX] = {NULL};
    if (!varn_open_node(op, &v) || !varn_look_all(&v))
        return op_end(op);
    op_fact(op, "lb.debt", "varnish %s set sick, before: %s", v.backend, varn_text(&v));
    for (size_t i = 0; i < v.n; i++) {
        if (varn_is_out(&v, i))
            continue;
        was[i] = !strcmp(varn_word(&v.now[i]), "healthy") ? "healthy" : "auto";
        mine[i] = changed = true;
        op_sending(op);
        if (!put(&v, i, "sick")) {
            /* Row 23: what this op drained before the failure goes back. */
            for (size_t k = 0; k <= i; k++) {
                if (mine[k])
                    put(&v, k, was[k]);
            }
            return op_end(op);
        }
    }
    op_fact(op, "lb.state", "%s", varn_text(&v));
    op_changed(op, changed);
    return OUT_OK;
}

/* What Varnish i should show once the node is back, as a word of set_health. */
static const char *wanted(struct varn *v, size_t i)
{
    const char *was = varn_before(v, i);
    return !was || !strcmp(was, "probe") ? "auto" : was;
}

static bool as_wanted(struct varn *v, size_t i)
{
    const char *shown = !strcmp(wanted(v, i), "auto") ? "probe" : wanted(v, i);
    for (size_t k = 0; k < v->now[i].n; k++) {
        if (strcmp(v->now[i].at[k].admin, shown) != 0)
            return false;
    }
    return true;
}

static bool word_known(struct varn *v, size_t i)
{
    const char *w = wanted(v, i);
    return !strcmp(w, "auto") || !strcmp(w, "sick") || !strcmp(w, "healthy");
}

static enum outcome run_enable(struct op *op)
{
    struct varn v;
    bool changed = false;
    if (!varn_open_node(op, &v))
        return op_end(op);
    op_sending(op); /* row 22: a Varnish that cannot be asked says nothing about the node */
    if (!varn_look_all(&v))
        return op_end(op);
    for (size_t i = 0; i < v.n; i++) {
        if (!strcmp(wanted(&v, i), "sick")) {
            op_fact(op, "kept", "sick");
            op_say(op, "%s: stays sick on %s, as before this release", v.backend, v.admins[i].text);
        }
        if (as_wanted(&v, i))
            continue;
        changed = true;
        if (!put(&v, i, word_known(&v, i) ? wanted(&v, i) : "auto"))
            return op_end(op);
    }
    op_fact(op, "lb.state", "%s", varn_text(&v));
    op_changed(op, changed);
    return OUT_OK;
}

static enum outcome run_enabled(struct op *op)
{
    struct varn v;
    bool all = true;
    if (!varn_open_read(op, &v) || !varn_look_all(&v))
        return op_end(op);
    for (size_t i = 0; i < v.n; i++)
        all = all && as_wanted(&v, i);
    op_fact(op, "lb.state", "%s", varn_text(&v));
    op_ready(op, all);
    return OUT_OK;
}

/* ---- waiting ------------------------------------------------------------------------------------- */

/* varnishstat runs here for a Varnish on this machine's loopback, else on its host through SSH. `stats` says
 * otherwise, one word per admin address: NAME, NAME@HOST or @HOST. */
static const struct target *stat_target(struct varn *v, size_t i, const char **ret_name)
{
    static const struct target here = {.id = "controller", .transport = "local", .host = "localhost"};
    size_t n;
    const char *const *stats = op_arg_list(v->op, "stats", &n);
    const char *host = v->admins[i].host, *word = i < n ? stats[i] : "", *at = strrchr(word, '@');
    *ret_name = at ? arena_strndup(op_arena(v->op), word, (size_t)(at - word)) : word;
    if (at)
        return op_target_host(v->op, at + 1);
    bool local = str_starts(host, "127.") || !strcmp(host, "::1") || !strcmp(host, "localhost");
    return local ? &here : op_target_host(v->op, host);
}

static bool count_by_stat(struct varn *v, size_t i, int64_t *ret)
{
    const char *name;
    const struct target *t = stat_target(v, i, &name);
    const char *const args[] = {v->backend, name, NULL};
    const struct node_cmd cmd = {.script = stat_script, .args = args, .max_out = STAT_MAX, .quiet = true};
    struct node_result r;
    struct err err = {0};
    if (!t || !target_read(v->op, t, &cmd, &r))
        return false;
    if (r.status != 0)
        op_refused(
            v->op, E_NOTFOUND,
            "%s: sessions cannot be counted: varnishstat: %s; say where it runs by `stats:`, or `idle: node`",
            v->admins[i].text,
            r.err_len ? arena_strndup(op_arena(v->op), r.err, strcspn(r.err, "\n")) : "failed");
    else if (!varnish_conns_parse(r.out, v->backend, ret, &err))
        op_fail(v->op, err.code, "%s: %s", v->admins[i].text, err.text);
    return !op_failed(v->op);
}

static bool count_by_node(struct varn *v, int64_t *ret)
{
    const char *port = op_var(v->op, "port");
    struct node_result r;
    if (!port) {
        op_refused(v->op, E_CONFIG, "varnish: `idle: node` needs the node's port in the pillar");
        return false;
    }
    const char *const args[] = {arena_printf(op_arena(v->op), "%04X", (unsigned)atoi(port)), NULL};
    const struct node_cmd cmd = {.script = node_script, .args = args, .quiet = true};
    if (!node_read(v->op, &cmd, &r))
        return false;
    char *end;
    *ret = strtoll(r.out, &end, 10);
    if (r.status == 0 && end != r.out)
        return true;
    op_fail(v->op, E_PROTO, "connections on the node cannot be counted: %s", r.err);
    return false;
}

static bool count_sessions(struct varn *v, int64_t *ret)
{
    *ret = 0;
    if (!strcmp(op_arg(v->op, "idle"), "node"))
        return count_by_node(v, ret);
    for (size_t i = 0; i < v->n; i++) {
        int64_t here = 0;
        if (!count_by_stat(v, i, &here))
            return false;
        *ret += here;
    }
    return true;
}

static bool drain_lost(struct varn *v)
{
    if (varn_out_everywhere(v))
        return false;
    op_lost(v->op);
    op_ready(v->op, false);
    op_say(v->op, "the drain is gone, another VCL or somebody's hand: %s", varn_text(v));
    return true;
}

static enum outcome run_wait_idle(struct op *op)
{
    struct varn v;
    int64_t left;
    if (!varn_open_read(op, &v) || !varn_look_all(&v))
        return op_end(op);
    if (drain_lost(&v))
        return OUT_OK;
    if (!count_sessions(&v, &left))
        return op_end(op);
    op_fact(op, "sessions", "%" PRId64, left);
    op_gauge(op, left);
    op_ready(op, left == 0);
    return OUT_OK;
}

static enum outcome run_guard(struct op *op)
{
    struct varn v;
    if (!varn_open_read(op, &v) || !varn_look_all(&v))
        return op_end(op);
    if (!drain_lost(&v))
        op_ready(op, true);
    return OUT_OK;
}

static enum outcome run_wait_up(struct op *op)
{
    struct varn v;
    int64_t up = 0;
    if (!varn_open_read(op, &v) || !varn_look_all(&v))
        return op_end(op);
    for (size_t i = 0; i < v.n; i++) {
        bool fine = !strcmp(wanted(&v, i), "sick") || varn_serving(&v.now[i]);
        up += fine;
        if (!fine)
            op_say(op, "%s: not healthy yet on %s (admin health %s)", v.backend, v.admins[i].text,
                   varn_word(&v.now[i]));
    }
    op_gauge(op, up);
    op_ready(op, up == (int64_t)v.n);
    return OUT_OK;
}

/* ---- table --------------------------------------------------------------------------------------- */

#define P_ADMIN                                                                                              \
    {                                                                                                        \
        .name = "admin", .type = PARAM_LIST, .required = true,                                               \
        .help = "CLI of every Varnish: tcp://HOST:PORT (varnishd -T)"                                        \
    }
#define P_SECRET                                                                                             \
    {                                                                                                        \
        .name = "secret", .type = PARAM_SECRET, .help = "file:PATH of the CLI's secret (varnishd -S)"        \
    }
#define P_BACKEND                                                                                            \
    {                                                                                                        \
        .name = "backend", .type = PARAM_STR,                                                                \
        .help = "the node's backend in the VCL; default: lb_server, else the node's id"                      \
    }

static const struct param node_params[] = {P_ADMIN, P_SECRET, P_BACKEND, PARAM_END};
static const struct param idle_params[] = {
    P_ADMIN,
    P_SECRET,
    P_BACKEND,
    {.name = "idle",
     .type = PARAM_CHOICE,
     .deflt = "stat",
     .choices = "stat|node",
     .help = "count requests by varnishstat, or connections to the node's port on the node"},
    {.name = "stats",
     .type = PARAM_LIST,
     .help = "varnishstat's instance per Varnish: NAME, NAME@HOST, @HOST; default: on the CLI's host"},
    PARAM_END,
};
static const struct param fleet_params[] = {
    P_ADMIN,
    P_SECRET,
    {.name = "servers", .type = PARAM_LIST, .help = "backends of the plan's nodes; default: all of the VCL"},
    PARAM_END,
};
static const struct param ban_params[] = {
    P_ADMIN,
    P_SECRET,
    {.name = "ban", .type = PARAM_STR, .deflt = "req.url ~ .", .help = "ban expression; default: everything"},
    PARAM_END,
};

static const struct verb verbs[] = {
    {.name = "varnish.observe",
     .help = "is the backend set sick in every Varnish? records its health before the release",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .default_timeout_ms = 15000,
     .params = node_params,
     .run = run_observe},
    {.name = "varnish.drain",
     .help = "sets the backend sick, in every VCL that may get requests; running requests finish",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_BALANCER,
     .observe = "varnish.observe",
     .record_before = true,
     .default_timeout_ms = 30000,
     .params = node_params,
     .run = run_drain},
    {.name = "varnish.wait_idle",
     .help = "waits until no Varnish has a request on the backend",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .waits = true,
     .default_timeout_ms = 60000,
     .interval_ms = 1000,
     .params = idle_params,
     .run = run_wait_idle},
    {.name = "varnish.enable",
     .help = "gives the backend the health it had before the release (auto: by its probe)",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_BALANCER,
     .observe = "varnish.enabled",
     .default_timeout_ms = 30000,
     .params = node_params,
     .run = run_enable},
    {.name = "varnish.enabled",
     .help = "has the backend the health it had before the release?",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .default_timeout_ms = 15000,
     .params = node_params,
     .run = run_enabled},
    {.name = "varnish.wait_up",
     .help = "waits until every Varnish sees the backend healthy (or it was sick before)",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .waits = true,
     .default_timeout_ms = 60000,
     .interval_ms = 250,
     .params = node_params,
     .run = run_wait_up},
    {.name = "varnish.guard",
     .help = "is the backend that we hold still sick in every Varnish? another VCL forgets it",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .default_timeout_ms = 15000,
     .params = node_params,
     .run = run_guard},
    {.name = "varnish.capacity",
     .help = "how many backends get requests from every Varnish",
     .effect = EFFECT_READ,
     .scope = SCOPE_FLEET,
     .default_timeout_ms = 15000,
     .params = fleet_params,
     .run = varnish_run_capacity},
    {.name = "varnish.show",
     .help = "every backend as each Varnish sees it",
     .effect = EFFECT_READ,
     .scope = SCOPE_FLEET,
     .default_timeout_ms = 15000,
     .params = fleet_params,
     .run = varnish_run_show},
    {.name = "varnish.ban",
     .help = "makes every Varnish forget cached objects",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_FLEET,
     .observe = "varnish.banned",
     .default_timeout_ms = 30000,
     .params = ban_params,
     .run = varnish_run_ban},
    {.name = "varnish.banned",
     .help = "has every Varnish this ban, made in the last ten minutes?",
     .effect = EFFECT_READ,
     .scope = SCOPE_FLEET,
     .default_timeout_ms = 15000,
     .params = ban_params,
     .run = varnish_run_banned},
    {0},
};

const struct driver varnish_driver = {
    .name = "varnish",
    .help = "Varnish 6.0 and later as the balancer, through its CLI (varnishd -T and -S): backends are set "
            "sick and "
            "back. Requests in flight are counted by varnishstat on Varnish's host.",
    .verbs = verbs,
};
