/* SPDX-License-Identifier: MIT */
/* varnish-service: the node's own Varnish stands behind HAProxies that probe it. The node leaves by failing
 * that probe on purpose, while it goes on serving what still comes; only when every balancer says so and no
 * session is left may a later step stop anything. Stopping Varnish first, and letting the probe find out,
 * costs every request in flight (docs/protocols.md#varnish: 8 of 120).
 *
 * So the servers are those that HAProxy lists, and a put is told to the node: by a VCL of ours (leave.c), or by two
 * commands of the pillar. Ours is out as long as it leaves: what an administrator says of it at a balancer is never
 * written, only read. */
#include "drivers/balancer/haproxy/haproxy.h"
#include "drivers/balancer/varnish/varnish.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "drivers/node/node.h"

/* The balancers have this long to see what the node was told, where only they show it. */
#define CHANGE_MS 60000

/* "$1" is a command of the pillar, run as one by the node's shell: that is its meaning. */
static const char command_script[] = "exec sh -c \"$1\"\n";

struct service {
    struct varnish_admin admin;
    struct vcli cli;    /* of the node's own Varnish; fd -1: not asked yet */
    enum lb_state told; /* the node, by this op: for all places at once. LB_UNKNOWN: nothing */
};

static bool by_command(struct op *op)
{
    return op_arg(op, "down_cmd") != NULL;
}

static bool service_open(struct lb *lb)
{
    struct service *s = arena_alloc(op_arena(lb->op), sizeof *s);
    *s = (struct service){.cli.fd = -1};
    lb->own = s;
    return haproxy_balancer.open(lb);
}

static void service_close(struct lb *lb)
{
    if (lb->own)
        vcli_close(&((struct service *)lb->own)->cli);
}

static const char *admin_text(struct op *op)
{
    const char *given = op_arg(op, "admin"), *host = op_var(op, "host");
    bool v6 = host && strchr(host, ':');
    return given ? given
                 : arena_printf(op_arena(op), "tcp://%s%s%s:6082", v6 ? "[" : "", host ? host : "",
                                v6 ? "]" : "");
}

/* NULL: op failed. */
static struct vcli *own_cli(struct lb *lb)
{
    struct service *s = lb->own;
    struct err err = {0};
    if (s->cli.fd >= 0)
        return &s->cli;
    if (varnish_admin_parse(admin_text(lb->op), op_arena(lb->op), &s->admin, &err))
        return vcli_open(lb->op, &s->admin, &s->cli) ? &s->cli : NULL;
    op_refused(lb->op, err.code, "%s", err.text);
    return NULL;
}

/* ---- list ------------------------------------------------------------------ */

/* Told, and not seen by this balancer: out, whatever became of its Varnish meanwhile (a later step may have stopped
 * it). Where requests come, its Varnish says whether it leaves; a command has left no trace to ask for. */
static bool node_leaves(struct lb *lb, const struct lb_place *p, const struct lb_server *s, bool *ret)
{
    enum lb_state told = ((struct service *)lb->own)->told;
    *ret = !s->serving && (told == LB_DRAIN || (told == LB_UNKNOWN && lb_was_told(lb, p)));
    if (*ret || lb_state_is_out(s->state) || by_command(lb->op))
        return true;
    struct vcli *c = own_cli(lb);
    return c && varnish_leaves(c, ret);
}

static bool mark(struct lb *lb, const struct lb_place *p, enum lb_ask ask, struct lb_server *io)
{
    bool leaves;
    if (!node_leaves(lb, p, io, &leaves))
        return false;
    if (!leaves)
        return true;
    io->leaving = io->serving;
    io->state = LB_DRAIN;
    if (io->leaving && ask == LB_ASK_COUNTS)
        op_say(lb->op, "%s: still %s on %s (wanted DOWN)", lb->server, io->status ? io->status : "serving",
               lb->peers[p->peer].text);
    return true;
}

/* An agent check is the balancer's own matter: nothing that it says makes the probe succeed. */
static bool service_list(struct lb *lb, size_t peer, enum lb_ask ask, struct lb_table *ret)
{
    if (!haproxy_balancer.list(lb, peer, ask, ret))
        return false;
    for (size_t i = 0; i < ret->n; i++)
        ret->rows[i].agent = false;
    for (size_t k = 0; k < lb->n; k++) {
        const struct lb_place *p = &lb->at[k];
        struct lb_server *ours = p->peer == peer ? lb_table_find(ret, p->pool, lb->server) : NULL;
        if (ours && !mark(lb, p, ask, ours))
            return false;
    }
    return true;
}

/* A check that does not ask Varnish never sees the node leave: better said before anything is begun. */
static bool sees_it_leave(struct lb *lb, size_t peer, const struct lb_server *s)
{
    const char *check = s->check ? s->check : "";
    bool none = s->status && !strcmp(s->status, "no check");
    bool blind = !by_command(lb->op) && (strstr(check, "L4OK") || strstr(check, "L6OK"));
    if (!none && !blind)
        return true;
    op_refused(
        lb->op, E_CONFIG,
        "%s: %s/%s: its checks (%s) never see the node leave; wanted HTTP checks of %s there (`option httpchk`)",
        lb->peers[peer].text, s->pool, s->name, none ? "none" : check, op_arg(lb->op, "probe_path"));
    return false;
}

static bool service_fits(struct lb *lb, size_t peer)
{
    struct lb_table t;
    const char *refusal = NULL;
    if (!haproxy_balancer.list(lb, peer, LB_ASK_COUNTS, &t))
        return false;
    for (size_t i = 0; i < t.n; i++) {
        if (!strcmp(t.rows[i].name, lb->server) && !sees_it_leave(lb, peer, &t.rows[i]))
            return false;
    }
    if (by_command(lb->op))
        return true;
    struct vcli *c = own_cli(lb);
    if (!c || !varnish_can_leave(c, &refusal))
        return false;
    if (refusal)
        op_refused(lb->op, E_STATE, "%s", refusal);
    return !refusal;
}

/* ---- put ------------------------------------------------------------------- */

/* Safe to repeat, and repeated when it was forgotten: so each run is a job of its own. */
static bool run_command(struct lb *lb, const char *param, const char **ret_refusal)
{
    struct op *op = lb->op;
    const char *const args[] = {op_arg(op, param), NULL};
    const struct node_cmd cmd = {
        .script = command_script,
        .args = args,
        .step_key = arena_printf(op_arena(op), "%s-%" PRIx64, param, (uint64_t)clock_wall_ms())};
    struct node_result r;
    if (!node_change(op, &cmd, &r))
        return false;
    if (r.status != 0)
        *ret_refusal = arena_printf(op_arena(op), "%s ended with status %d", param, r.status);
    return true;
}

static bool put_by_vcl(struct lb *lb, enum lb_state want, const char **ret_refusal)
{
    struct op *op = lb->op;
    struct vcli *c = own_cli(lb);
    if (!c)
        return false;
    return want == LB_DRAIN
               ? varnish_leave(c, op_arg(op, "probe_path"), (int)op_arg_int(op, "down_status"), ret_refusal)
               : varnish_return(c, ret_refusal);
}

/* The node leaves every pool of every balancer at once. */
static bool service_put(struct lb *lb, const struct lb_place *p, enum lb_state want, const char **ret_refusal)
{
    struct service *s = lb->own;
    (void)p;
    if (s->told == want)
        return true;
    s->told = LB_UNKNOWN;
    if (!(by_command(lb->op) ? run_command(lb, want == LB_DRAIN ? "down_cmd" : "up_cmd", ret_refusal)
                             : put_by_vcl(lb, want, ret_refusal)))
        return false;
    if (!*ret_refusal)
        s->told = want;
    return true;
}

/* The words are HAProxy's, which is asked: so are those of journals and debts. */
static const struct balancer service_balancer = {
    .name = "varnish-service",
    .can = LB_CAN_COUNTS | LB_CAN_FORGET | LB_CAN_LAG | LB_TELLS_ALL,
    .peers_param = "sockets",
    .pools_param = "backend",
    .server_param = "server",
    .words = {[LB_READY] = "ready", [LB_DRAIN] = "drain", [LB_MAINT] = "maint"},
    .pool_noun = "backend",
    .server_noun = "server",
    .deed = "fails its probe",
    .up_words = "UP and ready",
    .many = "balancers",
    .forgets = ", another VCL or somebody's hand",
    .stuck = "",
    .name_valid = hap_name_valid,
    .name_wanted = HAP_NAME_WANTED,
    .open = service_open,
    .close = service_close,
    .list = service_list,
    .put = service_put,
    .fits = service_fits,
};

/* ---- table ----------------------------------------------------------------- */

static bool service_check(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    const char *down = op_pair_value(args, n, "down_cmd"), *up = op_pair_value(args, n, "up_cmd");
    const char *path = op_pair_value(args, n, "probe_path");
    (void)timeout_ms;
    if ((down != NULL) != (up != NULL))
        return err_set(err, E_CONFIG, "%s is given, so %s is needed, too", down ? "down_cmd" : "up_cmd",
                       down ? "up_cmd" : "down_cmd");
    return !path || varnish_probe_path_valid(path) ||
           err_set(
               err, E_CONFIG,
               "probe_path \"%s\" is not a plain path; wanted / and letters, digits and /._~-, at most 200",
               path);
}

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
     .help = "instead of the VCL: a command on the node that fails the probe; safe to repeat"},
    {.name = "up_cmd", .type = PARAM_STR, .help = "the command that undoes down_cmd; safe to repeat"},
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
static const struct param survey_params[] = {
    P_SOCKETS,
    P_BACKEND,
    {.name = "ignore_backends",
     .type = PARAM_LIST,
     .help =
         "backends that may go on sending to a node while it is out; others that the pillar does not name "
         "are refused"},
    PARAM_END,
};

#define K          "varnish-service"
#define OF(params) LB_OF(service_balancer, params)

static const struct verb verbs[] = {
    {LB_OBSERVE_ROW(K), OF(params),
     .help =
         "does the node fail the balancers' probe, as we told it? records what they say before the release"},
    {LB_CHANGE_ROW(K, drain, "observe", CHANGE_MS), OF(params), .check = service_check, .does = DOES_DRAIN,
     .counts = "sessions left", .deadline = "", .record_before = true,
     .help = "makes the balancers' probe see the node leave; it goes on serving"},
    {LB_WAIT_IDLE_ROW(K, 500), OF(params),
     .help = "waits until every balancer says DOWN and has no session left on the node"},
    {LB_ENABLE_ROW(K, CHANGE_MS), OF(params), .help = "lets the probe succeed again"},
    {LB_ENABLED_ROW(K), OF(params), .help = "does the node's Varnish serve by its own VCL again?"},
    {LB_WAIT_UP_ROW(K), OF(params), .help = "waits until every balancer says UP"},
    {LB_GUARD_ROW(K), OF(params), .help = "does the node that we hold still leave? its own VCL forgets it"},
    {LB_CAPACITY_ROW(K), OF(fleet_params), .help = "how many Varnishes get requests from every balancer"},
    {LB_SHOW_ROW(K), OF(fleet_params), .help = "every server of the backend as each balancer sees it"},
    {LB_SURVEY_ROW(K), OF(survey_params),
     .help = "addresses that more than one server stands for, over all backends of each balancer"},
    {0},
};

extern const struct driver varnish_service_driver;
const struct driver varnish_service_driver = {
    .name = K,
    .help =
        "Nodes whose own Varnish is probed by HAProxies in front: the node leaves by failing that probe, "
        "through a VCL of ours over Varnish's CLI (6.0 and later, VCL 4.1) or two commands of the pillar; "
        "the balancers are only read.",
    .verbs = verbs,
};
