/* SPDX-License-Identifier: MIT */
/* varnish-service: the node's own Varnish stands behind HAProxies that probe it. The node leaves by failing
 * that probe on purpose, while it goes on serving what still comes; only when every balancer says so and no
 * session is left may a later step stop anything. Stopping Varnish first, and letting the probe find out,
 * costs every request in flight (docs/protocols.md#varnish: 8 of 120).
 *
 * How the probe is made to fail: a VCL of our own becomes active. It answers the probed path with 503 and
 * hands everything else, through a label, to the VCL that was active before; that one keeps its backends and
 * what their probes know, so nothing starts cold, neither now nor on the way back. Or two commands of the
 * pillar do it. */
#include "drivers/balancer/haproxy/haproxy.h"
#include "drivers/balancer/varnish/varnish.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/str.h"
#include "drivers/node/node.h"

#define DOWN_PREFIX "release_down_"
#define UP_PREFIX   "release_up_"

/* "$1" is a command of the pillar, run as one by the node's shell: that is its meaning. */
static const char command_script[] = "exec sh -c \"$1\"\n";

/* A VCL of ours, as a VCL string cannot hold quotes or percent signs. */
static const char down_vcl[] = "vcl 4.1;\n"
                               "backend release_none none;\n"
                               "sub vcl_recv {\n"
                               "  if (req.url == \"%s\" || req.url ~ \"^%s[?]\") {\n"
                               "    return (synth(%d, \"leaving rotation\"));\n"
                               "  }\n"
                               "  return (vcl(%s));\n"
                               "}\n";

static bool by_command(struct op *op)
{
    return op_arg(op, "down_cmd") != NULL;
}

/* ---- the VCL ------------------------------------------------------------------------------------- */

static const char *admin_text(struct op *op)
{
    const char *given = op_arg(op, "admin"), *host = op_var(op, "host");
    bool v6 = host && strchr(host, ':');
    return given ? given
                 : arena_printf(op_arena(op), "tcp://%s%s%s:6082", v6 ? "[" : "", host ? host : "",
                                v6 ? "]" : "");
}

static bool open_vcli(struct op *op, struct vcli *ret, struct varnish_admin *admin)
{
    struct err err = {0};
    *ret = (struct vcli){.op = op, .fd = -1};
    if (varnish_admin_parse(admin_text(op), op_arena(op), admin, &err))
        return vcli_open(op, admin, ret);
    op_refused(op, err.code, "%s", err.text);
    return false;
}

static const char *label_target(const struct varnish_vcls *v, const char *suffix)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct varnish_vcl *row = &v->rows[i];
        if (row->label && str_starts(row->name, UP_PREFIX) && !strcmp(row->name + strlen(UP_PREFIX), suffix))
            return row->target;
    }
    return NULL;
}

static bool is_down(const struct varnish_vcls *v)
{
    return str_starts(v->active, DOWN_PREFIX);
}

/* return(vcl(label)) works from the active VCL only: where the user's VCL does the same, ours cannot stand
 * before it. */
static bool labels_of_others(const struct varnish_vcls *v)
{
    for (size_t i = 0; i < v->n; i++) {
        if (v->rows[i].label && !str_starts(v->rows[i].name, UP_PREFIX))
            return true;
    }
    return false;
}

/* A path as a VCL string and a regular expression holds it without escapes. */
static bool probe_path_valid(const char *s)
{
    if (!s || s[0] != '/' || strlen(s) > 200)
        return false;
    for (; *s; s++) {
        if (!isascii((unsigned char)*s) || !(isalnum((unsigned char)*s) || strchr("/._~-", *s)))
            return false;
    }
    return true;
}

/* One word of a CLI command. */
static const char *cli_quote(struct op *op, const char *text)
{
    auto_buf struct buf b = BUF_INIT(8192);
    buf_puts(&b, "\"");
    for (; *text; text++) {
        if (*text == '\n')
            buf_puts(&b, "\\n");
        else
            buf_printf(&b, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
    }
    buf_puts(&b, "\"");
    return arena_strdup(op_arena(op), buf_str(&b));
}

static bool load_down(struct vcli *c, const char *up, const char *down, const char *active)
{
    struct op *op = c->op;
    char *body;
    const char *path = op_arg(op, "probe_path");
    if (!probe_path_valid(path)) {
        op_refused(op, E_CONFIG, "varnish-service: probe_path \"%s\" is not a plain path", path ? path : "");
        return false;
    }
    const char *vcl =
        arena_printf(op_arena(op), down_vcl, path, path, (int)op_arg_int(op, "down_status"), up);
    op_sending(op);
    return vcli_want(c, &body, "vcl.label %s %s", up, active) &&
           vcli_want(c, &body, "vcl.inline %s %s", down, cli_quote(op, vcl));
}

/* Drops what earlier drains left: down VCLs first, they refer to the labels. An error is no harm: a busy one
 * goes next time. */
static void clean_up(struct vcli *c, const struct varnish_vcls *v)
{
    int status;
    char *body;
    static const char *const prefixes[] = {DOWN_PREFIX, UP_PREFIX};
    for (int p = 0; p < 2; p++) {
        for (size_t i = 0; i < v->n; i++) {
            if (str_starts(v->rows[i].name, prefixes[p]) && !v->rows[i].active &&
                !vcli_ask(c, &status, &body, "vcl.discard %s", v->rows[i].name))
                return;
        }
    }
}

static bool use(struct vcli *c, const char *vcl)
{
    char *body;
    struct varnish_vcls now;
    op_sending(c->op);
    if (!vcli_want(c, &body, "vcl.use %s", vcl) || !vcli_vcls(c, &now))
        return false;
    if (!strcmp(now.active, vcl))
        return true;
    op_refused(c->op, E_STATE, "%s: took vcl.use %s but %s is active", c->admin->text, vcl, now.active);
    return false;
}

static enum outcome leave_by_vcl(struct op *op)
{
    auto_vcli struct vcli c;
    struct varnish_admin admin;
    struct varnish_vcls now;
    if (!open_vcli(op, &c, &admin) || !vcli_vcls(&c, &now))
        return op_end(op);
    op_changed(op, !is_down(&now));
    if (is_down(&now))
        return OUT_OK;
    if (labels_of_others(&now))
        return op_refused(
            op, E_STATE,
            "%s: this Varnish uses VCL labels, so a VCL of ours cannot stand before %s; give down_cmd and "
            "up_cmd",
            admin.text, now.active);
    clean_up(&c, &now);
    const char *suffix = arena_printf(op_arena(op), "%" PRIx64, (uint64_t)clock_wall_ms());
    const char *up = arena_printf(op_arena(op), UP_PREFIX "%s", suffix);
    const char *down = arena_printf(op_arena(op), DOWN_PREFIX "%s", suffix);
    if (!load_down(&c, up, down, now.active) || !use(&c, down))
        return op_end(op);
    op_say(op, "%s: the probe of %s now gets %d", admin.text, op_arg(op, "probe_path"),
           (int)op_arg_int(op, "down_status"));
    return OUT_OK;
}

static enum outcome return_by_vcl(struct op *op)
{
    auto_vcli struct vcli c;
    struct varnish_admin admin;
    struct varnish_vcls now;
    op_sending(op); /* row 22: a Varnish that cannot be asked says nothing about the revision */
    if (!open_vcli(op, &c, &admin) || !vcli_vcls(&c, &now))
        return op_end(op);
    op_changed(op, is_down(&now));
    if (!is_down(&now)) /* restarted meanwhile, or somebody's hand: it serves by its own VCL */
        return OUT_OK;
    const char *target = label_target(&now, now.active + strlen(DOWN_PREFIX));
    if (!target)
        return op_refused(op, E_STATE,
                          "%s: which VCL was active before %s is not known; `vcl.use` the right one by hand",
                          admin.text, now.active);
    if (!use(&c, target))
        return op_end(op);
    if (vcli_vcls(&c, &now))
        clean_up(&c, &now);
    return op_end(op);
}

/* ---- verbs --------------------------------------------------------------------------------------- */

static enum outcome run_command(struct op *op, const char *param)
{
    const char *const args[] = {op_arg(op, param), NULL};
    const struct node_cmd cmd = {.script = command_script, .args = args, .step_key = param};
    struct node_result r;
    if (!args[0])
        return op_refused(op, E_CONFIG, "varnish-service: down_cmd is given, so up_cmd is needed too");
    if (!node_change(op, &cmd, &r))
        return op_end(op);
    if (r.status != 0)
        return op_refused(op, E_STATUS, "varnish-service: %s ended with status %d", param, r.status);
    return OUT_OK;
}

static enum outcome run_drain(struct op *op)
{
    auto_lb struct lb lb;
    if (!lb_open(op, &lb) || !lb_see(&lb, LB_ASK_STATE))
        return op_end(op);
    op_fact(op, LB_FACT_DEBT, "varnish-service %s fails its probe, before: %s", lb_place_text(&lb, &lb.at[0]),
            lb_text(&lb));
    return by_command(op) ? run_command(op, "down_cmd") : leave_by_vcl(op);
}

static enum outcome run_enable(struct op *op)
{
    return by_command(op) ? run_command(op, "up_cmd") : return_by_vcl(op);
}

/* Is the node leaving as we told it? A Varnish that does not answer its CLI (a later step may have stopped
 * it) is judged by the balancers alone. */
static bool still_leaving(struct lb *lb, bool *ret)
{
    auto_vcli struct vcli c = {.fd = -1};
    struct varnish_admin admin;
    struct varnish_vcls now;
    struct err err = {0};
    *ret = !lb_any_serving(lb);
    if (by_command(lb->op) || !varnish_admin_parse(admin_text(lb->op), op_arena(lb->op), &admin, &err))
        return true;
    if (*ret) /* out in the eyes of every balancer: no more needs to be known */
        return true;
    if (!vcli_open(lb->op, &admin, &c) || !vcli_vcls(&c, &now))
        return false;
    *ret = is_down(&now);
    return true;
}

static enum outcome run_observe(struct op *op)
{
    auto_lb struct lb lb;
    bool leaving;
    if (!lb_open_read(op, &lb) || !lb_see(&lb, LB_ASK_STATE))
        return op_end(op);
    op_fact(op, LB_FACT_STATE, "%s", lb_text(&lb));
    op_fact(op, "in_rotation", "%s", lb_all_serving(&lb) ? "yes" : "no");
    if (!lb_report_before(&lb))
        return op_end(op);
    if (!still_leaving(&lb, &leaving))
        return op_end(op);
    op_ready(op, leaving);
    return OUT_OK;
}

static enum outcome run_wait_idle(struct op *op)
{
    auto_lb struct lb lb;
    bool leaving;
    int64_t left;
    if (!lb_open_read(op, &lb) || !lb_see(&lb, LB_ASK_COUNTS))
        return op_end(op);
    if (!lb_idle_sum(&lb, &left))
        return op_end(op);
    bool seen = !lb_any_serving(&lb);
    if (!seen && !still_leaving(&lb, &leaving))
        return op_end(op);
    if (!seen && !leaving) {
        op_lost(op);
        op_say(op, "%s: its own VCL is active again, so it does not leave", lb.server);
    }
    for (size_t i = 0; i < lb.n; i++) {
        if (lb_place_serving(&lb.at[i]))
            op_say(op, "%s: still %s on %s (wanted DOWN)", lb.server, lb.at[i].rows[0].status,
                   lb.peers[lb.at[i].peer].text);
    }
    op_ready(op, seen && left == 0);
    return OUT_OK;
}

static enum outcome run_guard(struct op *op)
{
    auto_lb struct lb lb;
    if (!lb_open_read(op, &lb) || !lb_see(&lb, LB_ASK_STATE))
        return op_end(op);
    bool out = !lb_any_serving(&lb);
    op_ready(op, out);
    if (!out) {
        op_lost(op);
        op_say(op, "%s: a balancer sends it requests again", lb.server);
    }
    return OUT_OK;
}

static enum outcome run_enabled(struct op *op)
{
    auto_vcli struct vcli c = {.fd = -1};
    struct varnish_admin admin;
    struct varnish_vcls now;
    auto_lb struct lb lb = {.op = op};
    op_sending(op); /* as lb_open_read */
    if (by_command(op)) {
        if (!lb_open_read(op, &lb) || !lb_see(&lb, LB_ASK_STATE))
            return op_end(op);
        op_ready(op, lb_any_serving(&lb) || !lb_was_in(&lb));
        return OUT_OK;
    }
    if (!open_vcli(op, &c, &admin) || !vcli_vcls(&c, &now))
        return op_end(op);
    op_ready(op, !is_down(&now));
    return OUT_OK;
}

/* ---- table --------------------------------------------------------------------------------------- */

#define P_SOCKETS                                                                                            \
    {                                                                                                        \
        .name = "sockets", .type = PARAM_LIST, .required = true,                                             \
        .help = "runtime API of every balancer in front, only read: tcp://HOST:PORT, unix:///PATH[@HOST]"    \
    }
#define P_BACKEND                                                                                            \
    {                                                                                                        \
        .name = "backend", .type = PARAM_LIST, .required = true,                                             \
        .help = "HAProxy backend that holds the Varnishes, or a list of such"                                \
    }

static const struct param params[] = {
    P_SOCKETS,
    P_BACKEND,
    LB_P_SERVER,
    {.name = "admin",
     .type = PARAM_STR,
     .help = "CLI of the node's own Varnish: tcp://HOST:PORT (varnishd -T); default: port 6082 of the node"},
    {.name = "secret", .type = PARAM_SECRET, .help = "file:PATH of the CLI's secret (varnishd -S)"},
    {.name = "probe_path",
     .type = PARAM_STR,
     .deflt = "/health",
     .help = "the path that the balancers probe"},
    {.name = "down_status",
     .type = PARAM_INT,
     .deflt = "503",
     .help = "what the probe gets while the node leaves"},
    {.name = "down_cmd",
     .type = PARAM_STR,
     .help = "instead of the VCL: a command on the node that fails the probe"},
    {.name = "up_cmd", .type = PARAM_STR, .help = "the command that undoes down_cmd"},
    PARAM_END,
};
static const struct param fleet_params[] = {
    P_SOCKETS,
    P_BACKEND,
    {.name = "servers",
     .type = PARAM_LIST,
     .help = "servers of the plan's nodes; default: all of the backend"},
    PARAM_END,
};

static const struct verb verbs[] = {
    {.name = "varnish-service.observe",
     .help =
         "does the node fail the balancers' probe, as we told it? records what they say before the release",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .default_timeout_ms = 15000,
     LB_OF(haproxy_balancer, params),
     .run = run_observe},
    {.name = "varnish-service.drain",
     .help = "makes the balancers' probe see the node leave; it goes on serving",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_BALANCER,
     .does = DOES_DRAIN,
     .deadline = "",
     .counts = "sessions left",
     .observe = "varnish-service.observe",
     .record_before = true,
     .default_timeout_ms = 30000,
     LB_OF(haproxy_balancer, params),
     .run = run_drain},
    {.name = "varnish-service.wait_idle",
     .help = "waits until every balancer says DOWN and has no session left on the node",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .does = DOES_IDLE,
     .deadline = LB_DEADLINE,
     .counts = "sessions left",
     .waits = true,
     .default_timeout_ms = 60000,
     .interval_ms = 500,
     LB_OF(haproxy_balancer, params),
     .run = run_wait_idle},
    {.name = "varnish-service.enable",
     .help = "lets the probe succeed again",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_BALANCER,
     .does = DOES_ENABLE,
     .observe = "varnish-service.enabled",
     .default_timeout_ms = 30000,
     LB_OF(haproxy_balancer, params),
     .run = run_enable},
    {.name = "varnish-service.enabled",
     .help = "does the node's Varnish serve by its own VCL again?",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .default_timeout_ms = 15000,
     LB_OF(haproxy_balancer, params),
     .run = run_enabled},
    {.name = "varnish-service.wait_up",
     .help = "waits until every balancer says UP",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .does = DOES_WAIT_UP,
     .waits = true,
     .default_timeout_ms = 60000,
     .interval_ms = 250,
     LB_OF(haproxy_balancer, params),
     .run = lb_run_wait_up},
    {.name = "varnish-service.guard",
     .help = "does no balancer send the node that we hold requests?",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .default_timeout_ms = 15000,
     LB_OF(haproxy_balancer, params),
     .run = run_guard},
    {.name = "varnish-service.capacity",
     .help = "how many Varnishes get requests from every balancer",
     .effect = EFFECT_READ,
     .scope = SCOPE_FLEET,
     .default_timeout_ms = 15000,
     LB_OF(haproxy_balancer, fleet_params),
     .run = lb_run_capacity},
    {.name = "varnish-service.show",
     .help = "every server of the backend as each balancer sees it",
     .effect = EFFECT_READ,
     .scope = SCOPE_FLEET,
     .default_timeout_ms = 15000,
     LB_OF(haproxy_balancer, fleet_params),
     .run = lb_run_show},
    {0},
};

extern const struct driver varnish_service_driver;
const struct driver varnish_service_driver = {
    .name = "varnish-service",
    .help = "Nodes whose own Varnish is probed by HAProxies in front: the node leaves by failing that probe, "
            "through "
            "a VCL of ours over Varnish's CLI (6.0 and later, VCL 4.1) or two commands of the pillar; the "
            "balancers "
            "are only read.",
    .verbs = verbs,
};
