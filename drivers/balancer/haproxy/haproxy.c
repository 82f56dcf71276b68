/* SPDX-License-Identifier: MIT */
/* haproxy: HAProxy's servers listed and put by its runtime API. cli.c has the dialog, parse.c the answers. */
#include "drivers/balancer/haproxy/haproxy.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define ADMIN_WANTED   "give it `level admin` in the balancer's configuration"
#define OPERATOR_LEVEL "this socket may only read; " ADMIN_WANTED

/* One balancer: the socket of its worker, and that of its master when the pillar gives it. */
struct peer {
    struct hap_socket worker, master;
    bool has_master;
};

static const struct peer *peer_of(const struct lb *lb, size_t peer)
{
    return lb->peers[peer].own;
}

static const struct hap_socket *socket_of(const struct lb *lb, size_t peer)
{
    return &peer_of(lb, peer)->worker;
}

static bool open_peer(struct lb *lb, size_t peer, const char *master, struct err *err)
{
    struct arena *a = op_arena(lb->op);
    struct peer *own = arena_array(a, 1, sizeof *own);
    lb->peers[peer].own = own;
    if (!hap_socket_parse(lb->peers[peer].text, a, &own->worker, err))
        return false;
    if (!master)
        return true;
    bool good = hap_socket_parse(master, a, &own->master, err);
    own->has_master = own->master.master = good;
    return good;
}

static bool hap_open(struct lb *lb)
{
    struct err err = {0};
    size_t n;
    const char *const *masters = op_arg_list(lb->op, "master", &n);
    if (n > 0 && n != lb->n_peers) {
        op_refused(lb->op, E_CONFIG,
                   "balancer: %zu in `master`, %zu in `sockets`; wanted one for each, in their order", n,
                   lb->n_peers);
        return false;
    }
    for (size_t i = 0; i < lb->n_peers; i++) {
        if (!open_peer(lb, i, n ? masters[i] : NULL, &err)) {
            op_refused(lb->op, err.code, "%s", err.text);
            return false;
        }
    }
    return true;
}

/* ---- list ------------------------------------------------------------------ */

static bool add_stat(struct lb *lb, size_t peer, const char *backend, bool floor, struct hap_table *io)
{
    struct err err = {0};
    if (io->n == 0)
        return true;
    /* By number: a frontend may have the backend's name, and HAProxy would find that first. */
    const char *command = backend
                              ? arena_printf(op_arena(lb->op), "show stat #%d 4 -1", io->rows[0].backend_id)
                              : "show stat -1 4 -1";
    char *answer = hap_ask(lb->op, socket_of(lb, peer), command);
    if (!answer)
        return false;
    if (!hap_parse_stat(answer, backend, op_arena(lb->op), io, &err))
        return lb_not_understood(lb, peer, &err);
    hap_stand_by(io, floor);
    return true;
}

static bool one_backend(struct lb *lb, size_t peer, const char *backend, enum lb_ask ask,
                        struct hap_table *ret)
{
    struct err err = {0};
    struct arena *a = op_arena(lb->op);
    char *answer =
        hap_ask(lb->op, socket_of(lb, peer),
                backend ? arena_printf(a, "show servers state %s", backend) : "show servers state");
    if (!answer)
        return false;
    if (backend && (str_starts(answer, "Can't find backend") || str_starts(answer, "No such backend"))) {
        op_refused(lb->op, E_NOTFOUND, "%s: has no backend \"%s\"; check `backend:` of the pillar",
                   lb->peers[peer].text, backend);
        return false;
    }
    if (!hap_parse_state(answer, backend, a, ret, &err))
        return lb_not_understood(lb, peer, &err);
    bool floor = ask == LB_ASK_FLOOR;
    return (ask != LB_ASK_COUNTS && !floor) || add_stat(lb, peer, backend, floor, ret);
}

static struct lb_server row_of(const struct hap_server *s)
{
    return (struct lb_server){.pool = s->backend,
                              .name = s->name,
                              .label = s->name,
                              .state = hap_state_of(s),
                              .serving = hap_is_serving(s),
                              .up = hap_is_up(s),
                              .agent = s->agent,
                              .inherited = hap_inherited_of(s),
                              .follows = s->tracked,
                              .weight = s->weight,
                              .sessions = s->sessions,
                              .queued = s->queued,
                              .traffic = s->status ? &s->traffic : NULL,
                              .status = s->status,
                              .check = s->check_status,
                              .addr = s->addr,
                              .port = s->port,
                              .own = s};
}

static const char *name_of(const struct lb_server *row)
{
    return ((const struct hap_server *)row->own)->name;
}

static bool is_at(const struct lb_server *s, const char *wanted)
{
    char port[16];
    if (s->port <= 0 || !str_starts(wanted, s->addr))
        return false;
    snprintf(port, sizeof port, ":%d", s->port);
    return !strcmp(wanted + strlen(s->addr), port);
}

static void take_address(const char *wanted, struct lb_table *io)
{
    if (!wanted || !strchr(wanted, ':') || lb_table_find(io, NULL, wanted))
        return;
    for (size_t i = 0; i < io->n; i++) {
        if (is_at(&io->rows[i], wanted))
            io->rows[i].name = wanted;
    }
}

/* The servers of a template, and those that somebody adds at run time, have names that say nothing of a node:
 * `server: "{host}:{port}"` goes by their address. */
static void take_addresses(struct lb *lb, struct lb_table *io)
{
    size_t n;
    const char *const *names = op_arg_list(lb->op, "servers", &n);
    take_address(lb->server, io);
    for (size_t i = 0; i < n; i++)
        take_address(names[i], io);
}

static bool hap_list(struct lb *lb, size_t peer, enum lb_ask ask, struct lb_table *ret)
{
    struct hap_table tables[LB_POOLS_MAX];
    bool every = ask == LB_ASK_ALL || lb->every;
    size_t n = every ? 1 : lb->n_pools, all = 0;
    for (size_t i = 0; i < n; i++) {
        if (!one_backend(lb, peer, every ? NULL : lb->pools[i], ask, &tables[i]))
            return false;
        all += tables[i].n;
    }
    *ret = (struct lb_table){.rows = arena_array(op_arena(lb->op), all + 1, sizeof *ret->rows)};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < tables[i].n; k++)
            ret->rows[ret->n++] = row_of(&tables[i].rows[k]);
    take_addresses(lb, ret);
    const struct peer *own = peer_of(lb, peer);
    return !own->has_master || !lb->server || !lb->summing || ask != LB_ASK_COUNTS ||
           hap_add_old(lb, &own->master, lb->peers[peer].text, ret);
}

/* ---- put ------------------------------------------------------------------- */

/* A silent success is exactly "\n"; any other answer to a write is a refusal. */
static bool tell(struct lb *lb, const struct lb_place *p, const char *command, const char **ret_refusal)
{
    const char *answer = hap_ask(lb->op, socket_of(lb, p->peer), command);
    if (!answer)
        return false;
    if (!strcmp(answer, "\n"))
        return true;
    *ret_refusal = lb_first_line(lb->op, answer);
    if (str_starts(answer, "Permission denied"))
        *ret_refusal = arena_printf(op_arena(lb->op), "%s: %s", *ret_refusal, OPERATOR_LEVEL);
    return true;
}

/* The same to each of the place's servers: an address may stand in a backend twice. */
static bool tell_each(struct lb *lb, const struct lb_place *p, const char *before, const char *after,
                      const char **ret_refusal)
{
    for (size_t i = 0; i < p->n && !*ret_refusal; i++) {
        const char *command = arena_printf(op_arena(lb->op), "%s %s/%s%s", before, p->rows[i].pool,
                                           name_of(&p->rows[i]), after);
        if (!tell(lb, p, command, ret_refusal))
            return false;
    }
    return true;
}

static bool hap_put(struct lb *lb, const struct lb_place *p, enum lb_state want, const char **ret_refusal)
{
    return tell_each(lb, p, "set server", arena_printf(op_arena(lb->op), " state %s", lb_word(lb, want)),
                     ret_refusal);
}

static bool hap_weigh(struct lb *lb, const struct lb_place *p, int weight, const char **ret_refusal)
{
    return tell_each(lb, p, "set server", arena_printf(op_arena(lb->op), " weight %d", weight), ret_refusal);
}

static bool hap_agent(struct lb *lb, const struct lb_place *p, bool on, const char **ret_refusal)
{
    return tell_each(lb, p, on ? "enable agent" : "disable agent", "", ret_refusal);
}

static bool hap_kill(struct lb *lb, const struct lb_place *p, const char **ret_refusal)
{
    const struct peer *own = peer_of(lb, p->peer);
    if (!tell_each(lb, p, "shutdown sessions server", "", ret_refusal))
        return false;
    for (size_t i = 0; i < p->n && own->has_master && !*ret_refusal; i++) {
        const struct hap_key key = {p->rows[i].pool, name_of(&p->rows[i])};
        if (!hap_kill_old(lb, &own->master, key, ret_refusal))
            return false;
    }
    return true;
}

/* A socket of another level shows everything, and would refuse the first drain. */
static bool hap_may(struct lb *lb, size_t peer)
{
    const char *level = hap_ask(lb->op, socket_of(lb, peer), "show cli level");
    if (!level)
        return false;
    if (str_starts(level, "admin\n"))
        return !peer_of(lb, peer)->has_master || hap_master_fits(lb, &peer_of(lb, peer)->master);
    op_refused(lb->op, E_REFUSED, "%s: a socket of level \"%s\" may look and not drain; " ADMIN_WANTED,
               lb->peers[peer].text, lb_first_line(lb->op, level));
    return false;
}

const struct balancer haproxy_balancer = {
    .name = "haproxy",
    .can = LB_CAN_MAINT | LB_CAN_KILL | LB_CAN_WEIGHT | LB_CAN_COUNTS | LB_CAN_FORGET | LB_TELLS_ALL,
    .peers_param = "sockets",
    .pools_param = "backend",
    .all_pools = "*",
    .server_param = "server",
    .words = {[LB_READY] = "ready", [LB_DRAIN] = "drain", [LB_MAINT] = "maint"},
    .pool_noun = "backend",
    .server_noun = "server",
    .deed = "drained",
    .up_words = "UP and ready",
    .many = "balancers",
    .forgets = "",
    .stuck = "",
    .name_valid = hap_name_valid,
    .name_wanted = HAP_NAME_WANTED " (of backends also \"*\" alone: all)",
    .open = hap_open,
    .may = hap_may,
    .list = hap_list,
    .put = hap_put,
    .weigh = hap_weigh,
    .agent = hap_agent,
    .kill = hap_kill,
};

/* ---- table ----------------------------------------------------------------- */

#define P_SOCKETS                                                                                            \
    {                                                                                                        \
        .name = "sockets", .type = PARAM_LIST, .required = true,                                             \
        .help = "runtime API of every balancer: tcp://HOST:PORT, unix:///PATH, unix:///PATH@HOST (by SSH)"   \
    }
#define P_BACKEND                                                                                            \
    {                                                                                                        \
        .name = "backend", .type = PARAM_LIST, .required = true,                                             \
        .help = "backend that holds the servers, a list of those that each node stands in, or \"*\": all"    \
    }

#define P_MASTER                                                                                             \
    {                                                                                                        \
        .name = "master", .type = PARAM_LIST,                                                                \
        .help = "the master's socket (haproxy -S) of each of `sockets`, in their order: sessions that old "  \
                "workers have after a reload are waited for, too"                                            \
    }

static const struct param node_params[] = {P_SOCKETS, P_BACKEND, P_MASTER, LB_P_SERVER, PARAM_END};
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
    P_MASTER,
    {.name = "ignore_backends",
     .type = PARAM_LIST,
     .help =
         "backends that may go on sending to a node while it is out; others that the pillar does not name "
         "are refused"},
    PARAM_END,
};
static const struct param enable_params[] = {
    P_SOCKETS,
    P_BACKEND,
    P_MASTER,
    LB_P_SERVER,
    {.name = "weight_ramp",
     .type = PARAM_LIST,
     .help = "shares of the weight to return with, one after the other: [10%, 50%]; 100% always ends it"},
    {.name = "ramp_step", .type = PARAM_DURATION, .deflt = LB_RAMP_STEP, .help = "how long each share lasts"},
    PARAM_END,
};

static const struct verb verbs[] = {
    {LB_OBSERVE_ROW("haproxy"), LB_OF(haproxy_balancer, node_params),
     .help = "is the server out of rotation on every balancer? records state and weight before the release"},
    {LB_DRAIN_ROW("haproxy"), LB_OF(haproxy_balancer, node_params),
     .help = "no new sessions for the server, on every balancer; running ones finish"},
    {LB_WAIT_IDLE_ROW("haproxy", 500), LB_OF(haproxy_balancer, node_params),
     .help = "waits until sessions and queue of the server are 0 on all balancers together",
     .escalate = "haproxy.maint", .kill = "haproxy.kill"},
    {LB_MAINT_ROW("haproxy"), LB_OF(haproxy_balancer, node_params),
     .help = "maintenance instead of drain: clients with a sticky cookie go elsewhere too"},
    {LB_IN_MAINT_ROW("haproxy"), LB_OF(haproxy_balancer, node_params),
     .help = "is the server in maintenance on every balancer?"},
    {LB_KILL_ROW("haproxy"), LB_OF(haproxy_balancer, node_params),
     .help = "maintenance, and ends the sessions that are left: their clients see an error"},
    {LB_KILLED_ROW("haproxy"), LB_OF(haproxy_balancer, node_params),
     .help = "is the server in maintenance with no session left on every balancer?"},
    {LB_ENABLE_ROW("haproxy", 120000), LB_OF(haproxy_balancer, enable_params), .check = lb_check_ramp,
     .help = "gives the server back the state and weight it had before the release"},
    {LB_ENABLED_ROW("haproxy"), LB_OF(haproxy_balancer, enable_params),
     .help = "has the server the state and weight it had before the release, on every balancer?"},
    {LB_WAIT_UP_ROW("haproxy"), LB_OF(haproxy_balancer, node_params),
     .help = "waits until every balancer says UP (or the server was out of rotation before)"},
    {LB_GUARD_ROW("haproxy"), LB_OF(haproxy_balancer, node_params),
     .help = "is the server that we hold still out on every balancer? a reload forgets drains"},
    {LB_CAPACITY_ROW("haproxy"), LB_OF(haproxy_balancer, fleet_params),
     .help = "how many servers get requests from every balancer"},
    {LB_SHOW_ROW("haproxy"), LB_OF(haproxy_balancer, fleet_params),
     .help = "every server of the backend as each balancer sees it"},
    {LB_SURVEY_ROW("haproxy"), LB_OF(haproxy_balancer, survey_params),
     .help = "addresses that more than one server stands for, over all backends of each balancer"},
    {0},
};

extern const struct driver haproxy_driver;
const struct driver haproxy_driver = {
    .name = "haproxy",
    .help =
        "HAProxy 2.4 and later through its runtime API (`stats socket ... level admin`), over TCP, a local "
        "socket, or the socket of the balancer's host through SSH (with socat, python3, perl or nc there). "
        "Several balancers are drained and given back together.",
    .verbs = verbs,
};
