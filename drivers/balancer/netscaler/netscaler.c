/* SPDX-License-Identifier: MIT */
/* netscaler: which question lists what, and which action puts it. What is out is told by the service's own state
 * (svrstate): a graceful disable goes through GOING OUT OF SERVICE, and the appliance ends it by itself. */
#include "drivers/balancer/netscaler/netscaler.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"

#define MEMBERS "config/servicegroup_servicegroupmember_binding"
#define ONLY    "?attrs="

/* What a node is there. */
enum what { MEMBER, SERVICE, SERVER };

static enum what what_of(const struct lb *lb)
{
    return lb->n_pools ? MEMBER : op_arg_bool(lb->op, "service") ? SERVICE : SERVER;
}

static bool netscaler_open(struct lb *lb)
{
    struct arena *a = op_arena(lb->op);
    struct err err = {0};
    for (size_t i = 0; i < lb->n_peers; i++) {
        struct nitro_peer *p = arena_alloc(a, sizeof *p);
        lb->peers[i].own = p;
        if (nitro_peer_parse(lb->peers[i].text, op_arg_bool(lb->op, "insecure_http"), a, p, &err))
            continue;
        op_refused(lb->op, err.code, "balancer: %s", err.text);
        return false;
    }
    return true;
}

static bool not_understood(struct lb *lb, size_t peer, const char *what, const struct err *err)
{
    op_fail(lb->op, err->code, "%s: %s: %s", lb->peers[peer].text, what, err->text);
    return false;
}

/* ---- list ------------------------------------------------------------------ */

typedef bool (*read_fn)(const json_t *root, struct arena *a, struct lb_table *io, struct err *err);

static bool read_into(struct lb *lb, size_t peer, const char *path, read_fn read, struct lb_table *io)
{
    struct err err = {0};
    auto_json json_t *root = nitro_get(lb, peer, path, NULL);
    return root && (read(root, op_arena(lb->op), io, &err) || not_understood(lb, peer, path, &err));
}

/* Out, and by whom? A server that is disabled itself is somebody's doing: enabling its member or service would
 * not bring it back, and is not for us to do. Asked for our own alone, when it is out. */
static bool mark_disabled(struct lb *lb, size_t peer, struct lb_server *s, const char *server)
{
    struct err err = {0};
    bool disabled, missing;
    if (!s || s->state != LB_DRAIN || !server || !nitro_name_valid(server))
        return true;
    const char *path = arena_printf(op_arena(lb->op), "config/server/%s", server);
    auto_json json_t *root = nitro_get(lb, peer, path, &missing);
    if (!root)
        return missing;
    if (!nitro_server_disabled(root, &disabled, &err))
        return not_understood(lb, peer, path, &err);
    if (disabled)
        s->state = LB_MAINT;
    return true;
}

static bool member_counts(struct lb *lb, size_t peer, const char *group, struct lb_table *io)
{
    struct err err = {0};
    const char *path = arena_printf(op_arena(lb->op), "stat/servicegroup/%s?statbindings=yes", group);
    auto_json json_t *root = nitro_get(lb, peer, path, NULL);
    return root && (nitro_member_stats(root, group, op_arena(lb->op), io, &err) ||
                    not_understood(lb, peer, path, &err));
}

static bool list_members(struct lb *lb, size_t peer, enum lb_ask ask, struct lb_table *io)
{
    for (size_t i = 0; i < lb->n_pools; i++) {
        bool missing;
        struct err err = {0};
        const char *path = arena_printf(op_arena(lb->op), MEMBERS "/%s", lb->pools[i]);
        auto_json json_t *root = nitro_get(lb, peer, path, &missing);
        if (!root && missing)
            op_refused(lb->op, E_NOTFOUND,
                       "%s: has no service group \"%s\"; check `servicegroup:` of the pillar",
                       lb->peers[peer].text, lb->pools[i]);
        if (!root)
            return false;
        if (!nitro_members(root, op_arena(lb->op), io, &err))
            return not_understood(lb, peer, path, &err);
        struct lb_server *mine = lb_table_find(io, lb->pools[i], lb->server);
        if (!mark_disabled(lb, peer, mine, mine ? mine->own : NULL) ||
            (ask == LB_ASK_COUNTS && !member_counts(lb, peer, lb->pools[i], io)))
            return false;
    }
    return true;
}

static bool list_services(struct lb *lb, size_t peer, enum lb_ask ask, struct lb_table *io)
{
    struct arena *a = op_arena(lb->op);
    if (!read_into(lb, peer, "config/service" ONLY "name,servername,ipaddress,port,svrstate,state",
                   nitro_services, io))
        return false;
    struct lb_server *mine = lb_table_find(io, NULL, lb->server);
    if (!mark_disabled(lb, peer, mine, mine ? mine->own : NULL))
        return false;
    if (ask != LB_ASK_COUNTS || (lb->server && !mine))
        return true;
    return read_into(lb, peer, mine ? arena_printf(a, "stat/service/%s", mine->name) : "stat/service",
                     nitro_service_stats, io);
}

/* The connections of a server are those of all that is bound to it. */
static bool server_counts(struct lb *lb, size_t peer, const json_t *root, struct lb_server *mine)
{
    struct arena *a = op_arena(lb->op);
    struct nitro_bond *bonds;
    size_t n = nitro_bonds(root, a, &bonds);
    mine->sessions = mine->queued = 0;
    for (size_t i = 0; i < n; i++) {
        const struct nitro_bond *b = &bonds[i];
        const char *name = b->service ? b->service : b->group;
        struct lb_server one = {.pool = name,
                                .name = name,
                                .addr = b->ip ? b->ip : mine->addr,
                                .port = b->port,
                                .sessions = -1,
                                .queued = -1};
        struct lb_table t = {.rows = &one, .n = 1};
        if (!nitro_name_valid(name)) {
            op_refused(lb->op, E_CONFIG,
                       "%s: \"%s\", which is bound to server %s, has a name that cannot be asked for",
                       lb->peers[peer].text, lb_first_line(lb->op, name), mine->name);
            return false;
        }
        if (b->group
                ? !member_counts(lb, peer, name, &t)
                : !read_into(lb, peer, arena_printf(a, "stat/service/%s", name), nitro_service_stats, &t))
            return false;
        mine->sessions = mine->sessions < 0 || one.sessions < 0 ? -1 : mine->sessions + one.sessions;
        mine->queued += one.queued > 0 ? one.queued : 0;
    }
    return true;
}

static bool list_servers(struct lb *lb, size_t peer, enum lb_ask ask, struct lb_table *io)
{
    struct arena *a = op_arena(lb->op);
    struct err err = {0};
    bool missing;
    if (!read_into(lb, peer, "config/server" ONLY "name,ipaddress,state", nitro_servers, io))
        return false;
    struct lb_server *mine = lb_table_find(io, NULL, lb->server);
    if (lb->server && !mine)
        return true; /* told with the names that are there */
    const char *path = mine ? arena_printf(a, "config/server_binding/%s", mine->name)
                            : "config/server_binding?bulkbindings=yes";
    auto_json json_t *root = nitro_get(lb, peer, path, &missing);
    if (!root)
        return missing; /* nothing is bound to any */
    if (!nitro_bound(root, io, &err))
        return not_understood(lb, peer, path, &err);
    return ask != LB_ASK_COUNTS || !mine || server_counts(lb, peer, root, mine);
}

/* Who else sends to a node: a server that is disabled itself is out of everything. */
static bool list_all(struct lb *lb, size_t peer, struct lb_table *io)
{
    return what_of(lb) == SERVER || (read_into(lb, peer, MEMBERS "?bulkbindings=yes", nitro_members, io) &&
                                     list_services(lb, peer, LB_ASK_STATE, io));
}

static bool netscaler_list(struct lb *lb, size_t peer, enum lb_ask ask, struct lb_table *ret)
{
    *ret = (struct lb_table){.rows = arena_array(op_arena(lb->op), 1, sizeof *ret->rows)};
    bool on_node = op_arg(lb->op, "idle") && !strcmp(op_arg(lb->op, "idle"), "node");
    if (ask == LB_ASK_ALL)
        return list_all(lb, peer, ret);
    if (ask == LB_ASK_COUNTS && on_node)
        ask = LB_ASK_STATE;
    enum what what = what_of(lb);
    return what == MEMBER    ? list_members(lb, peer, ask, ret)
           : what == SERVICE ? list_services(lb, peer, ask, ret)
                             : list_servers(lb, peer, ask, ret);
}

/* ---- put ------------------------------------------------------------------- */

static json_t *object_of(const struct lb *lb, const struct lb_place *p)
{
    if (what_of(lb) != MEMBER)
        return json_pack("{s:s}", "name", lb->server);
    return json_pack("{s:s, s:s, s:i}", "servicegroupname", p->pool, "servername",
                     (const char *)p->rows[0].own, "port", p->rows[0].port ? p->rows[0].port : 65535);
}

static bool act(struct lb *lb, const struct lb_place *p, const char *action, json_t *object,
                const char **ret_refusal)
{
    static const char *const kinds[] = {
        [MEMBER] = "servicegroup", [SERVICE] = "service", [SERVER] = "server"};
    const char *kind = kinds[what_of(lb)];
    return nitro_act(lb, p->peer, arena_printf(op_arena(lb->op), "config/%s?action=%s", kind, action),
                     json_pack("{s:o}", kind, object), ret_refusal);
}

static bool netscaler_put(struct lb *lb, const struct lb_place *p, enum lb_state want,
                          const char **ret_refusal)
{
    json_t *object = object_of(lb, p);
    if (want == LB_READY)
        return act(lb, p, "enable", object, ret_refusal);
    int64_t delay_s = op_arg_ms(lb->op, "delay") / 1000;
    if (delay_s > 0)
        json_object_set_new(object, "delay", json_integer(delay_s));
    if (op_arg_bool(lb->op, "graceful"))
        json_object_set_new(object, "graceful", json_string("YES"));
    return act(lb, p, "disable", object, ret_refusal);
}

/* Disabled without grace: out of service at once, whatever runs. */
static bool netscaler_kill(struct lb *lb, const struct lb_place *p, const char **ret_refusal)
{
    return act(lb, p, "disable", object_of(lb, p), ret_refusal);
}

static bool netscaler_count(struct lb *lb, int64_t *ret)
{
    return !strcmp(op_arg(lb->op, "idle"), "node") ? lb_idle_on_node(lb, ret) : lb_idle_sum(lb, ret);
}

static const struct balancer netscaler_balancer = {
    .name = "netscaler",
    .can = LB_CAN_KILL | LB_CAN_COUNTS | LB_CAN_FORGET | LB_TELLS_REQUESTS,
    .peers_param = "url",
    .pools_param = "servicegroup",
    .pool = NITRO_SERVICES,
    .server_param = "server",
    .words = {[LB_READY] = "enabled", [LB_DRAIN] = "disabled", [LB_MAINT] = "server-disabled"},
    .pool_noun = "service group",
    .server_noun = "server",
    .deed = "disabled",
    .up_words = "UP and enabled",
    .many = "NetScalers",
    .forgets = " (a restart or failover that lost it, or somebody's hand)",
    .stuck = "",
    .name_valid = nitro_name_valid,
    .name_wanted = "letters, digits and ._:@-, at most 127, no - first",
    .open = netscaler_open,
    .list = netscaler_list,
    .put = netscaler_put,
    .kill = netscaler_kill,
    .count = netscaler_count,
};

/* ---- table ----------------------------------------------------------------- */

#define P_WHERE                                                                                              \
    {.name = "url",                                                                                          \
     .type = PARAM_LIST,                                                                                     \
     .required = true,                                                                                       \
     .help = "NITRO API of every NetScaler: https://HOST; the nodes of a pair as one: "                      \
             "\"https://ONE|https://OTHER\""},                                                               \
        {.name = "user", .type = PARAM_STR, .required = true, .help = "system user there"},                  \
        {.name = "password",                                                                                 \
         .type = PARAM_SECRET,                                                                               \
         .required = true,                                                                                   \
         .help = "its password; file:PATH or env:NAME keeps it secret"},                                     \
        {.name = "ca", .type = PARAM_STR, .help = "file of CA certificates; default: the system's"},         \
        {.name = "insecure_http",                                                                            \
         .type = PARAM_BOOL,                                                                                 \
         .deflt = "no",                                                                                      \
         .help = "allow plain http to another machine"},                                                     \
        {.name = "call_timeout", .type = PARAM_DURATION, .deflt = "10s", .help = "for one request"},         \
        {.name = "servicegroup",                                                                             \
         .type = PARAM_LIST,                                                                                 \
         .help =                                                                                             \
             "service group whose members the servers are, or a list of those that each node stands in"},    \
    {                                                                                                        \
        .name = "service", .type = PARAM_BOOL, .deflt = "no",                                                \
        .help = "without service groups: the servers are services (else server objects)"                     \
    }
#define P_NODE                                                                                                \
    P_WHERE, LB_P_SERVER,                                                                                     \
        {.name = "graceful",                                                                                  \
         .type = PARAM_BOOL,                                                                                  \
         .deflt = "yes",                                                                                      \
         .help = "connections end by themselves before it is out of service"},                                \
        {.name = "delay",                                                                                     \
         .type = PARAM_DURATION,                                                                              \
         .help = "after which the NetScaler takes it out of service whatever still runs; default: never"},    \
    {                                                                                                         \
        .name = "idle", .type = PARAM_CHOICE, .deflt = "count", .choices = "count|node",                      \
        .help =                                                                                               \
            "client connections as the NetScaler counts them, or connections to the node's port, on the node" \
    }

static const struct param node_params[] = {P_NODE, PARAM_END};
static const struct param fleet_params[] = {
    P_WHERE,
    {.name = "servers", .type = PARAM_LIST, .help = "servers of the plan's nodes; default: all"},
    PARAM_END,
};
static const struct param survey_params[] = {
    P_WHERE,
    {.name = "ignore_backends",
     .type = PARAM_LIST,
     .help =
         "service groups that may go on sending to a node while it is out; others that the pillar does not "
         "name are refused"},
    PARAM_END,
};

static bool is_yes(const char *v)
{
    return v && (!strcmp(v, "yes") || !strcmp(v, "true"));
}

static bool urls_check(const struct op_pair *args, size_t n, struct err *err)
{
    auto_arena struct arena a = {.head = NULL};
    auto_json json_t *list =
        json_loads(op_pair_value(args, n, "url") ? op_pair_value(args, n, "url") : "", 0, NULL);
    struct nitro_peer p;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (!nitro_peer_parse(one ? one : "", is_yes(op_pair_value(args, n, "insecure_http")), &a, &p, err))
            return false;
    }
    return true;
}

static bool netscaler_check(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    const char *delay = op_pair_value(args, n, "delay");
    int64_t ms = 0;
    (void)timeout_ms;
    if (is_yes(op_pair_value(args, n, "service")) && op_pair_value(args, n, "servicegroup"))
        return err_set(err, E_CONFIG, "give `servicegroup:` or `service: yes`, not both");
    if (delay && (!duration_parse(delay, &ms) || ms < 1000 || ms % 1000))
        return err_set(err, E_CONFIG, "delay: %s: the NetScaler takes whole seconds from 1s", delay);
    return urls_check(args, n, err);
}

/* With a delay the NetScaler decides, before the step does. */
static bool idle_check(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    const char *delay = op_pair_value(args, n, "delay");
    int64_t ms = 0;
    if (!netscaler_check(args, n, timeout_ms, err))
        return false;
    if (!delay || !duration_parse(delay, &ms) || ms < timeout_ms)
        return true;
    return err_set(
        err, E_CONFIG,
        "delay: %s is not shorter than drain_timeout (%lld s): it would be over before the NetScaler lets "
        "the node go; make `drain_timeout:` longer",
        delay, (long long)timeout_ms / 1000);
}

#define OF_NODE  LB_OF(netscaler_balancer, node_params), .check = netscaler_check
#define OF_FLEET LB_OF(netscaler_balancer, fleet_params)

static const struct verb verbs[] = {
    {LB_OBSERVE_ROW("netscaler"), OF_NODE,
     .help = "is the server out of service on every NetScaler? records its state before the release"},
    {LB_DRAIN_ROW("netscaler"), OF_NODE,
     .help = "disables the server on every NetScaler, gracefully: no new connections, running ones finish"},
    {LB_WAIT_IDLE_ROW("netscaler", 1000), LB_OF(netscaler_balancer, node_params), .check = idle_check,
     .help = "waits until every NetScaler says OUT OF SERVICE and counts no client connection",
     .kill = "netscaler.kill"},
    {LB_KILL_ROW("netscaler"), OF_NODE,
     .help = "out of service at once: clients of what still runs see an error"},
    {LB_KILLED_ROW("netscaler"), OF_NODE,
     .help = "is the server out of service with no client connection left on every NetScaler?"},
    {LB_ENABLE_ROW("netscaler", 60000), OF_NODE,
     .help = "gives the server back the state that it had before the release"},
    {LB_ENABLED_ROW("netscaler"), OF_NODE,
     .help = "has the server the state that it had before the release, on every NetScaler?"},
    {LB_WAIT_UP_ROW("netscaler"), OF_NODE,
     .help = "waits until every NetScaler says UP (or the server was disabled before)"},
    {LB_GUARD_ROW("netscaler"), OF_NODE,
     .help = "is the server that we hold still disabled on every NetScaler?"},
    {LB_CAPACITY_ROW("netscaler"), OF_FLEET, .help = "how many servers get requests from every NetScaler"},
    {LB_SHOW_ROW("netscaler"), OF_FLEET, .help = "every server as each NetScaler sees it"},
    {LB_SURVEY_ROW("netscaler"), LB_OF(netscaler_balancer, survey_params),
     .help = "addresses that several members or services stand for, over all of each NetScaler"},
    {0},
};

extern const struct driver netscaler_driver;
const struct driver netscaler_driver = {
    .name = "netscaler",
    .help =
        "NetScaler ADC (Citrix ADC) 11.1 and later by its NITRO REST API: members of service groups, services or "
        "servers are disabled gracefully. Of a pair the primary is asked for and talked to. The user there needs a "
        "command policy that lets it show, stat, enable and disable them (docs/balancers.md).",
    .verbs = verbs,
};
