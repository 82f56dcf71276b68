/* SPDX-License-Identifier: MIT */
/* lvs: real servers of the kernel's virtual services, listed and given weights on their directors (lvs.h). */
#include "drivers/balancer/lvs/lvs.h"

#include <inttypes.h>
#include <string.h>

#include "drivers/balancer/host.h"
#include "drivers/balancer/scripts.h"

#define TABLE_MAX (8u << 20)
#define LOCK_PATH                                                                                            \
    "/run/ipvsadm" /* whoever changes it so goes one after another: the lock is the directory's */

struct lvs_row {
    const struct lvs_server *server;
    const struct lvs_table *table;
};

static const struct lvs_server *server_of(const struct lb_server *row)
{
    return ((const struct lvs_row *)row->own)->server;
}

static bool lvs_open(struct lb *lb)
{
    struct lvs_service s;
    for (size_t i = 0; i < lb->n_pools; i++) {
        if (lvs_service_parse(lb->pools[i], op_arena(lb->op), &s))
            continue;
        op_refused(
            lb->op, E_CONFIG,
            "balancer: lvs: \"%s\" is no virtual service; wanted ADDRESS:PORT, udp:ADDRESS:PORT or fwm:MARK",
            lb->pools[i]);
        return false;
    }
    return lb_hosts_open(lb);
}

/* ---- list ------------------------------------------------------------------ */

/* Services and real servers are called as the pillar calls them, where it means the same. */
static const char *pool_of(struct lb *lb, const struct lvs_service *s)
{
    for (size_t i = 0; i < lb->n_pools; i++) {
        struct lvs_service named;
        if (lvs_service_parse(lb->pools[i], op_arena(lb->op), &named) && !strcmp(named.text, s->text))
            return lb->pools[i];
    }
    return NULL;
}

/* Addresses that the pillar names; others are passed over. Read once: there may be thousands on either side. */
struct lvs_asked {
    const char **texts;
    struct lvs_address *addresses;
    size_t n;
};

static void read_asked(struct lb *lb, struct lvs_asked *ret)
{
    size_t n = 1;
    const char *const *asked = lb->server ? &lb->server : op_arg_list(lb->op, "servers", &n);
    *ret = (struct lvs_asked){.texts = arena_array(op_arena(lb->op), n + 1, sizeof *ret->texts),
                              .addresses = arena_array(op_arena(lb->op), n + 1, sizeof *ret->addresses)};
    for (size_t i = 0; i < n; i++) {
        ret->texts[ret->n] = asked[i];
        ret->n += lvs_address_parse(asked[i], op_arena(lb->op), &ret->addresses[ret->n]);
    }
}

static const char *name_of(const struct lvs_asked *asked, const struct lvs_server *s)
{
    for (size_t i = 0; i < asked->n; i++) {
        if (lvs_address_same(&asked->addresses[i], &s->address))
            return asked->texts[i];
    }
    return s->text;
}

/* Connections of the kernel's own count, or those that were counted one by one: half-open and half-closed ones, and all of UDP, are
 * "inactive" there. */
static int64_t sessions_of(const struct lvs_server *s)
{
    int64_t counted = s->active + (!strcmp(s->service->option, "-u") ? s->inactive : 0);
    return counted > s->open ? counted : s->open;
}

/* Clients that a template binds to it may come at any time, though it is drained. Templates outlive the service's own persistence. */
static int64_t bound_to(const struct lb_server *row)
{
    const struct lvs_row *own = row->own;
    bool binds = own->server->service->persistent_s > 0 && !own->table->quiescent;
    return binds ? own->server->templates : 0;
}

static struct lb_server row_of(struct lb *lb, const struct lvs_table *t, const struct lvs_server *s,
                               const struct lvs_asked *asked)
{
    struct arena *a = op_arena(lb->op);
    struct lvs_row *own = arena_alloc(a, sizeof *own);
    const char *pool = pool_of(lb, s->service);
    bool in = s->weight > 0;
    *own = (struct lvs_row){.server = s, .table = t};
    return (struct lb_server){
        .pool = pool ? pool : s->service->text,
        .name = name_of(asked, s),
        .label = s->text,
        .state = in ? LB_READY : LB_DRAIN,
        .serving = in,
        .up = in,
        .weight = s->weight,
        .sessions = sessions_of(s),
        .queued = -1,
        .status = in ? "listed" : "listed with weight 0",
        .check = arena_printf(a, "%" PRId64 " active, %" PRId64 " inactive, %" PRId64 " bound", s->active,
                              s->inactive, s->templates),
        .addr = s->address.host,
        .port = s->address.port,
        .own = own};
}

static bool table_ask(struct lb *lb, size_t peer, bool opens, struct lvs_table *ret)
{
    struct lb_words w = {.script = script_lvs};
    struct node_result r;
    struct err err = {0};
    lb_words_add(&w, "look");
    lb_words_add(&w, opens ? "yes" : "no");
    lb_words_add_command(lb, &w);
    return lb_host_ask(lb, peer, &w, TABLE_MAX, &r) &&
           (lvs_table_parse(r.out, r.out_len, op_arena(lb->op), ret, &err) ||
            lb_not_understood(lb, peer, &err));
}

static bool has_service(const struct lvs_table *t, const char *pool, struct arena *a)
{
    struct lvs_service s;
    for (size_t i = 0; lvs_service_parse(pool, a, &s) && i < t->n_services; i++) {
        if (!strcmp(t->services[i].text, s.text))
            return true;
    }
    return false;
}

static bool services_known(struct lb *lb, size_t peer, const struct lvs_table *t)
{
    for (size_t k = 0; k < lb->n_pools; k++) {
        auto_buf struct buf names = BUF_INIT(300);
        if (has_service(t, lb->pools[k], op_arena(lb->op)))
            continue;
        for (size_t i = 0; i < t->n_services; i++)
            buf_printf(&names, "%s%s", i ? ", " : "", t->services[i].text);
        op_refused(
            lb->op, E_NOTFOUND,
            "%s: has no virtual service \"%s\" (it has %s%s); check `service:` of the pillar, and whether "
            "keepalived runs there",
            lb->peers[peer].text, lb->pools[k], names.len ? buf_str(&names) : "none", names.cut ? "..." : "");
        return false;
    }
    return true;
}

static bool lvs_list(struct lb *lb, size_t peer, enum lb_ask ask, struct lb_table *ret)
{
    struct lvs_table *t = arena_alloc(op_arena(lb->op), sizeof *t);
    struct lvs_asked asked;
    if (!table_ask(lb, peer, ask == LB_ASK_COUNTS && lb->server, t) || !services_known(lb, peer, t))
        return false;
    read_asked(lb, &asked);
    *ret = (struct lb_table){.rows = arena_array(op_arena(lb->op), t->n + 1, sizeof *ret->rows)};
    for (size_t i = 0; i < t->n; i++) {
        if (ask == LB_ASK_ALL || pool_of(lb, t->rows[i].service))
            ret->rows[ret->n++] = row_of(lb, t, &t->rows[i], &asked);
    }
    return true;
}

/* ---- put ------------------------------------------------------------------- */

static bool put_one(struct lb *lb, size_t peer, const struct lvs_server *s, int weight,
                    const char **ret_refusal)
{
    struct lb_words w = {.script = script_lvs};
    lb_words_add(&w, "put");
    lb_words_add(&w, s->service->option);
    lb_words_add(&w, s->service->address);
    lb_words_add(&w, s->service->six ? "-6" : "");
    lb_words_add(&w, s->text);
    lb_words_add(&w, arena_printf(op_arena(lb->op), "%d", weight));
    lb_words_add_command(lb, &w);
    return lb_host_tell(lb, peer, LOCK_PATH, &w, ret_refusal);
}

/* keepalived lists a real server whose check failed again when it passes: nothing of ours, and nothing to be refused. */
static bool not_listed(struct lb *lb, const struct lb_place *p)
{
    if (!p->rows[0].absent)
        return false;
    op_fail(
        lb->op, E_STATE,
        "%s: %s is not listed at the moment; keepalived lists it again when its check of it passes, and who "
        "took it out by hand must put it back",
        lb->peers[p->peer].text, lb_place_text(lb, p));
    return true;
}

static bool lvs_weigh(struct lb *lb, const struct lb_place *p, int weight, const char **ret_refusal)
{
    if (not_listed(lb, p))
        return false;
    for (size_t i = 0; i < p->n && !*ret_refusal; i++) {
        if (p->rows[i].weight != weight && !put_one(lb, p->peer, server_of(&p->rows[i]), weight, ret_refusal))
            return false;
    }
    return true;
}

/* Back in is: with the weight of before. */
static bool lvs_put(struct lb *lb, const struct lb_place *p, enum lb_state want, const char **ret_refusal)
{
    struct lb_before was;
    if (lb_state_is_out(want))
        return p->rows[0].absent || lvs_weigh(lb, p, 0, ret_refusal);
    if (!lb_recall(lb, p, &was) || was.weight <= 0) {
        *ret_refusal = "it is not known which weight it had before; give it one by hand (ipvsadm -e ... -w)";
        return true;
    }
    return lvs_weigh(lb, p, was.weight, ret_refusal);
}

/* ---- count, fits, may ------------------------------------------------------ */

/* The kernel passes on nothing for one that is not listed any more: no connection of it is left. */
static bool lvs_count(struct lb *lb, int64_t *ret)
{
    int64_t sessions = 0, templates = 0;
    if (!strcmp(op_arg(lb->op, "idle"), "node"))
        return lb_idle_on_node(lb, ret);
    for (size_t i = 0; i < lb->n; i++)
        for (size_t k = 0; k < lb->at[i].n; k++) {
            const struct lb_server *row = &lb->at[i].rows[k];
            sessions += row->absent ? 0 : row->sessions;
            templates += row->absent ? 0 : bound_to(row);
        }
    op_fact(lb->op, "sessions", "%" PRId64, sessions);
    op_fact(lb->op, "templates", "%" PRId64, templates);
    *ret = sessions + templates;
    return true;
}

/* A template lives as long as the service's persistence, and each connection begins that anew. */
static bool lvs_fits(struct lb *lb, size_t peer)
{
    int64_t timeout_s = op_arg_ms(lb->op, "drain_timeout") / 1000;
    bool counts = strcmp(op_arg(lb->op, "idle"), "node") != 0;
    for (size_t i = 0; i < lb->n; i++) {
        const struct lvs_row *own = lb->at[i].rows[0].own;
        int64_t lives_s = own->server->service->persistent_s;
        if (lb->at[i].peer != peer || own->table->quiescent || lives_s == 0 ||
            (counts && lives_s < timeout_s))
            continue;
        op_refused(lb->op, E_CONFIG,
                   "%s: service %s binds clients for %" PRId64
                   " s (persistent), also to a real server with weight 0%s; set "
                   "net.ipv4.vs.expire_quiescent_template=1 there%s",
                   lb->peers[peer].text, lb->at[i].pool, lives_s,
                   counts ? "" : ", and `idle: node` does not see them",
                   counts ? arena_printf(op_arena(lb->op), ", or make drain_timeout (%" PRId64 " s) longer",
                                         timeout_s)
                          : "");
        return false;
    }
    return true;
}

static bool lvs_may(struct lb *lb, size_t peer)
{
    for (size_t i = 0; i < lb->n_pools; i++) {
        struct lb_words w = {.script = script_lvs};
        struct lvs_service s;
        struct node_result r;
        must(lvs_service_parse(lb->pools[i], op_arena(lb->op), &s)); /* lvs_open has seen that */
        lb_words_add(&w, "may");
        lb_words_add(&w, s.option);
        lb_words_add(&w, s.address);
        lb_words_add(&w, s.six ? "-6" : "");
        lb_words_add_command(lb, &w);
        if (!lb_host_ask(lb, peer, &w, 0, &r))
            return false;
    }
    return true;
}

static const struct balancer lvs_balancer = {
    .name = "lvs",
    .can = LB_CAN_WEIGHT | LB_CAN_COUNTS | LB_CAN_FORGET | LB_CAN_MEMBERSHIP,
    .peers_param = "hosts",
    .pools_param = "service",
    .server_param = "server",
    .words = {[LB_READY] = "ready", [LB_DRAIN] = "drain"},
    .pool_noun = "service",
    .server_noun = "real server",
    .deed = "drained (weight 0)",
    .up_words = "listed, and with a weight",
    .many = "the directors",
    .forgets = " (a reload of keepalived, or its check of the node passed again: it gives the weight back)",
    .stuck = "; does keepalived give it another weight?",
    .left = "clients",
    .name_valid = lvs_name_valid,
    .name_wanted = "ADDRESS:PORT, [ADDRESS]:PORT or ADDRESS, as ipvsadm lists it",
    .open = lvs_open,
    .list = lvs_list,
    .put = lvs_put,
    .weigh = lvs_weigh,
    .fits = lvs_fits,
    .may = lvs_may,
    .count = lvs_count,
};

/* ---- table ----------------------------------------------------------------- */

#define P_WHERE                                                                                              \
    LB_P_HOSTS("ipvsadm"),                                                                                   \
        {.name = "service",                                                                                  \
         .type = PARAM_LIST,                                                                                 \
         .required = true,                                                                                   \
         .help = "virtual service: ADDRESS:PORT (TCP), udp:ADDRESS:PORT, fwm:MARK, fwm6:MARK; or a list of " \
                 "those that each node stands in"},                                                          \
        {.name = "command",                                                                                  \
         .type = PARAM_LIST,                                                                                 \
         .deflt = "[\"ipvsadm\"]",                                                                           \
         .help = "how ipvsadm is called there: [sudo, -n, /usr/sbin/ipvsadm]"},                              \
        LB_P_RUNAS
#define P_NODE                                                                                               \
    P_WHERE,                                                                                                 \
        {.name = "server",                                                                                   \
         .type = PARAM_STR,                                                                                  \
         .help = "ADDRESS:PORT of this node's real server, \"{host}:{port}\"; default: lb_server"},          \
        {.name = "idle",                                                                                     \
         .type = PARAM_CHOICE,                                                                               \
         .deflt = "count",                                                                                   \
         .choices = "count|node",                                                                            \
         .help = "connections as the directors count them, or those to the node's port, on the node"},       \
    {                                                                                                        \
        .name = "drain_timeout", .type = PARAM_DURATION, .deflt = "60s",                                     \
        .help = "how long connections may take to end"                                                       \
    }

static const struct param node_params[] = {P_NODE, PARAM_END};
static const struct param enable_params[] = {
    P_NODE,
    {.name = "weight_ramp", .type = PARAM_LIST, .help = "shares of the weight that come first: [10%, 50%]"},
    {.name = "ramp_step",
     .type = PARAM_DURATION,
     .deflt = LB_RAMP_STEP,
     .help = "how long each share is kept"},
    PARAM_END,
};
static const struct param fleet_params[] = {
    P_WHERE,
    {.name = "servers", .type = PARAM_LIST, .help = "real servers of the plan's nodes; default: all"},
    PARAM_END,
};
static const struct param survey_params[] = {
    P_WHERE,
    {.name = "ignore_backends",
     .type = PARAM_LIST,
     .help = "other services that send to nodes of this release, and may go on doing so"},
    PARAM_END,
};

static bool lvs_check(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(args[i].name, "command") &&
            !lb_command_check(args[i].value, "[ipvsadm] or [sudo, -n, /usr/sbin/ipvsadm]", err))
            return false;
    }
    return lb_check_ramp(args, n, timeout_ms, err);
}

#define OF_NODE  LB_OF(lvs_balancer, node_params), .check = lvs_check
#define OF_FLEET LB_OF(lvs_balancer, fleet_params), .check = lvs_check

static const struct verb verbs[] = {
    {LB_OBSERVE_ROW("lvs"), OF_NODE,
     .help = "has the real server weight 0 on every director? records the weight that it had before"},
    {LB_DRAIN_ROW("lvs"), OF_NODE,
     .help = "weight 0 on every director: no new clients; connections that are there go on"},
    {LB_WAIT_IDLE_ROW("lvs", 1000), OF_NODE,
     .help = "waits until no director has a connection to it, nor a template that binds a client to it"},
    {LB_ENABLE_ROW("lvs", 120000), LB_OF(lvs_balancer, enable_params), .check = lvs_check,
     .help = "gives the real server the weight that it had before the release"},
    {LB_ENABLED_ROW("lvs"), OF_NODE, .help = "has the real server its weight of before, on every director?"},
    {LB_WAIT_UP_ROW("lvs"), OF_NODE,
     .help = "is it listed with a weight on every director? (LVS itself knows no health)"},
    {LB_GUARD_ROW("lvs"), OF_NODE, .help = "has the one that we hold weight 0 on every director, still?"},
    {LB_CAPACITY_ROW("lvs"), OF_FLEET, .help = "how many real servers have a weight on every director"},
    {LB_SHOW_ROW("lvs"), OF_FLEET, .help = "every real server as each director has it"},
    {LB_SURVEY_ROW("lvs"), LB_OF(lvs_balancer, survey_params), .check = lvs_check,
     .help = "other services that send to the same addresses; may weights be changed?"},
    {0},
};

extern const struct driver lvs_driver;
const struct driver lvs_driver = {
    .name = "lvs",
    .help =
        "LVS, with or without keepalived, as the balancer: real servers get weight 0 by ipvsadm on each director, through "
        "SSH. Needs ipvsadm there, as root or by sudo.",
    .verbs = verbs,
};
