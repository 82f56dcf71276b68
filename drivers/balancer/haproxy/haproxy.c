/* haproxy: the table of its verbs. haproxy_drain.c, haproxy_enable.c and haproxy_fleet.c hold them,
 * haproxy_cli.c the dialog, haproxy_parse.c the answers. */
#include "drivers/balancer/haproxy/haproxy.h"

#define P_SOCKETS                                                                                            \
    {                                                                                                        \
        .name = "sockets", .type = PARAM_LIST, .required = true,                                             \
        .help = "runtime API of every balancer: tcp://HOST:PORT, unix:///PATH, unix:///PATH@HOST (by SSH)"   \
    }
#define P_BACKEND                                                                                            \
    {                                                                                                        \
        .name = "backend", .type = PARAM_STR, .required = true, .help = "backend that holds the servers"     \
    }
#define P_SERVER                                                                                             \
    {                                                                                                        \
        .name = "server", .type = PARAM_STR,                                                                 \
        .help = "server of this node; default: lb_server, else the node's id"                                \
    }

static const struct param node_params[] = {P_SOCKETS, P_BACKEND, P_SERVER, PARAM_END};
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
static const struct param enable_params[] = {
    P_SOCKETS,
    P_BACKEND,
    P_SERVER,
    {.name = "weight_ramp",
     .type = PARAM_LIST,
     .help = "shares of the weight to return with, one after the other: [10%, 50%]; 100% always ends it"},
    {.name = "ramp_step", .type = PARAM_DURATION, .deflt = "10s", .help = "how long each share lasts"},
    PARAM_END,
};

static const struct verb verbs[] = {
    {.name = "haproxy.observe",
     .help = "is the server out of rotation on every balancer? records state and weight before the release",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .default_timeout_ms = 15000,
     .params = node_params,
     .run = haproxy_run_observe},
    {.name = "haproxy.drain",
     .help = "no new sessions for the server, on every balancer; running ones finish",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_BALANCER,
     .observe = "haproxy.observe",
     .record_before = true,
     .default_timeout_ms = 30000,
     .params = node_params,
     .run = haproxy_run_drain},
    {.name = "haproxy.wait_idle",
     .help = "waits until sessions and queue of the server are 0 on all balancers together",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .escalate = "haproxy.maint",
     .kill = "haproxy.kill",
     .waits = true,
     .default_timeout_ms = 60000,
     .interval_ms = 500,
     .params = node_params,
     .run = haproxy_run_wait_idle},
    {.name = "haproxy.maint",
     .help = "maintenance instead of drain: clients with a sticky cookie go elsewhere too",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_BALANCER,
     .observe = "haproxy.in_maint",
     .default_timeout_ms = 30000,
     .params = node_params,
     .run = haproxy_run_maint},
    {.name = "haproxy.in_maint",
     .help = "is the server in maintenance on every balancer?",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .default_timeout_ms = 15000,
     .params = node_params,
     .run = haproxy_run_in_maint},
    {.name = "haproxy.kill",
     .help = "maintenance, and ends the sessions that are left: their clients see an error",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_BALANCER,
     .observe = "haproxy.killed",
     .default_timeout_ms = 30000,
     .params = node_params,
     .run = haproxy_run_kill},
    {.name = "haproxy.killed",
     .help = "is the server in maintenance with no session left on every balancer?",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .default_timeout_ms = 15000,
     .params = node_params,
     .run = haproxy_run_killed},
    {.name = "haproxy.enable",
     .help = "gives the server back the state and weight it had before the release",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_BALANCER,
     .observe = "haproxy.enabled",
     .default_timeout_ms = 120000,
     .params = enable_params,
     .run = haproxy_run_enable},
    {.name = "haproxy.enabled",
     .help = "has the server the state and weight it had before the release, on every balancer?",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .default_timeout_ms = 15000,
     .params = enable_params,
     .run = haproxy_run_enabled},
    {.name = "haproxy.wait_up",
     .help = "waits until every balancer says UP (or the server was out of rotation before)",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .waits = true,
     .default_timeout_ms = 60000,
     .interval_ms = 250,
     .params = node_params,
     .run = haproxy_run_wait_up},
    {.name = "haproxy.guard",
     .help = "is the server that we hold still out on every balancer? a reload forgets drains",
     .effect = EFFECT_READ,
     .scope = SCOPE_BALANCER,
     .default_timeout_ms = 15000,
     .params = node_params,
     .run = haproxy_run_guard},
    {.name = "haproxy.capacity",
     .help = "how many servers get requests from every balancer",
     .effect = EFFECT_READ,
     .scope = SCOPE_FLEET,
     .default_timeout_ms = 15000,
     .params = fleet_params,
     .run = haproxy_run_capacity},
    {.name = "haproxy.show",
     .help = "every server of the backend as each balancer sees it",
     .effect = EFFECT_READ,
     .scope = SCOPE_FLEET,
     .default_timeout_ms = 15000,
     .params = fleet_params,
     .run = haproxy_run_show},
    {.name = "haproxy.survey",
     .help = "addresses that more than one server stands for, over all backends of each balancer",
     .effect = EFFECT_READ,
     .scope = SCOPE_FLEET,
     .default_timeout_ms = 30000,
     .params = survey_params,
     .run = haproxy_run_survey},
    {0},
};

extern const struct driver haproxy_driver;
const struct driver haproxy_driver = {
    .name = "haproxy",
    .help =
        "HAProxy 2.0 and later through its runtime API (`stats socket ... level admin`), over TCP, a local "
        "socket, or the socket of the balancer's host through SSH (with socat, python3, perl or nc there). "
        "Several balancers are drained and given back together.",
    .verbs = verbs,
};
