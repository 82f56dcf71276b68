/* SPDX-License-Identifier: MIT */
/* command: a balancer that has no driver here, listed and put by a program of the user's. */
#include "drivers/balancer/command/command.h"

#include <string.h>

#include "base/str.h"

static bool command_open(struct lb *lb)
{
    for (size_t i = 0; i < lb->n_peers; i++) {
        if (command_name_valid(lb->peers[i].text))
            continue;
        op_refused(lb->op, E_CONFIG,
                   "balancer: \"%s\" cannot be the name of a balancer; wanted letters, digits and ._:@~-",
                   lb->peers[i].text);
        return false;
    }
    return true;
}

/* ---- list ------------------------------------------------------------------ */

static bool on_node(const struct lb *lb)
{
    const char *idle = op_arg(lb->op, "idle");
    return idle && !strcmp(idle, "node");
}

static json_t *pools_of(const struct lb *lb)
{
    json_t *list = json_array();
    for (size_t i = 0; i < lb->n_pools; i++)
        json_array_append_new(list, json_string(lb->pools[i]));
    return list;
}

/* Of several balancers one may be able to do less: what is asked of all of them is what each can. */
static bool command_list(struct lb *lb, size_t peer, enum lb_ask ask, struct lb_table *ret)
{
    struct err err = {0};
    struct arena *a = op_arena(lb->op);
    json_t *question = json_object();
    json_object_set_new(question, "do", json_string("list"));
    json_object_set_new(question, "counts", json_boolean(ask == LB_ASK_COUNTS));
    json_object_set_new(question, "pools", pools_of(lb));
    const char *answer = command_ask(lb, peer, question);
    if (!answer)
        return false;
    if (!command_parse_list(answer, ask == LB_ASK_COUNTS, a, &lb->can, ret, &err))
        return lb_not_understood(lb, peer, &err);
    /* Looked at before a release begins: there must be a way to know that nothing runs any more. */
    if (lb->server && !(lb->can & LB_CAN_COUNTS) && !on_node(lb)) {
        op_refused(
            lb->op, E_CONFIG,
            "%s: the program counts no sessions (\"counts\" is not in \"can\"), so nothing would be known "
            "to be idle; give `idle: node` in the pillar, or let the program count",
            lb->peers[peer].text);
        return false;
    }
    return true;
}

/* ---- put ------------------------------------------------------------------- */

static bool tell(struct lb *lb, const struct lb_place *p, json_t *question, const char **ret_refusal)
{
    struct err err = {0};
    json_object_set_new(question, "pool", json_string(p->pool));
    json_object_set_new(question, "server", json_string(lb->server));
    const char *answer = command_ask(lb, p->peer, question);
    if (!answer)
        return false;
    return command_parse_done(answer, op_arena(lb->op), ret_refusal, &err) ||
           lb_not_understood(lb, p->peer, &err);
}

static bool command_put(struct lb *lb, const struct lb_place *p, enum lb_state want, const char **ret_refusal)
{
    json_t *question = json_object();
    json_object_set_new(question, "do", json_string("put"));
    json_object_set_new(question, "state", json_string(lb_word(lb, want)));
    return tell(lb, p, question, ret_refusal);
}

static bool command_weigh(struct lb *lb, const struct lb_place *p, int weight, const char **ret_refusal)
{
    json_t *question = json_object();
    json_object_set_new(question, "do", json_string("put"));
    json_object_set_new(question, "weight", json_integer(weight));
    return tell(lb, p, question, ret_refusal);
}

static bool command_kill(struct lb *lb, const struct lb_place *p, const char **ret_refusal)
{
    json_t *question = json_object();
    json_object_set_new(question, "do", json_string("kill"));
    return tell(lb, p, question, ret_refusal);
}

static bool command_count(struct lb *lb, int64_t *ret)
{
    return on_node(lb) ? lb_idle_on_node(lb, ret) : lb_idle_sum(lb, ret);
}

static const struct balancer command_balancer = {
    .name = "command",
    .can = LB_CAN_ALL | LB_TELLS_ALL,
    .peers_param = "balancers",
    .pools_param = "backend",
    .server_param = "server",
    .words = {[LB_READY] = "ready", [LB_DRAIN] = "drain", [LB_MAINT] = "maint"},
    .pool_noun = "pool",
    .server_noun = "server",
    .deed = "drained",
    .up_words = "up and ready",
    .many = "balancers",
    .forgets = " (a reload, or somebody's hand)",
    .stuck = "",
    .name_valid = command_name_valid,
    .name_wanted = "letters, digits and ._:@~-, at most 200, no - first",
    .open = command_open,
    .list = command_list,
    .put = command_put,
    .weigh = command_weigh,
    .kill = command_kill,
    .count = command_count,
};

/* ---- table ----------------------------------------------------------------- */

#define P_PROGRAM                                                                                            \
    {                                                                                                        \
        .name = "program", .type = PARAM_LIST, .required = true,                                             \
        .help = "the program on this machine and its arguments, run without a shell: [/PATH, ARGUMENT, ...]" \
    }
#define P_BALANCERS                                                                                          \
    {                                                                                                        \
        .name = "balancers", .type = PARAM_LIST, .deflt = "[\"balancer\"]",                                  \
        .help = "names of the balancers that the program is asked about, one by one; several are one"        \
    }
#define P_BACKEND                                                                                            \
    {                                                                                                        \
        .name = "backend", .type = PARAM_LIST, .required = true,                                             \
        .help = "pool that holds the servers, or a list of those that each node stands in"                   \
    }
#define P_SECRET                                                                                             \
    {                                                                                                        \
        .name = "secret", .type = PARAM_SECRET,                                                              \
        .help = "handed to the program in every question, on its stdin"                                      \
    }
#define P_CALL_TIMEOUT                                                                                       \
    {                                                                                                        \
        .name = "call_timeout", .type = PARAM_DURATION, .deflt = "10s",                                      \
        .help = "how long one run of the program may take; then it is killed"                                \
    }
#define P_IDLE                                                                                               \
    {                                                                                                        \
        .name = "idle", .type = PARAM_CHOICE, .deflt = "count", .choices = "count|node",                     \
        .help = "sessions as the program counts them, or connections to the node's port, on the node"        \
    }

static const struct param node_params[] = {P_PROGRAM, P_BALANCERS,    P_BACKEND, LB_P_SERVER,
                                           P_SECRET,  P_CALL_TIMEOUT, P_IDLE,    PARAM_END};
static const struct param enable_params[] = {
    P_PROGRAM,
    P_BALANCERS,
    P_BACKEND,
    LB_P_SERVER,
    P_SECRET,
    P_CALL_TIMEOUT,
    P_IDLE,
    {.name = "weight_ramp",
     .type = PARAM_LIST,
     .help = "shares of the weight to return with, one after the other: [10%, 50%]; 100% always ends it"},
    {.name = "ramp_step", .type = PARAM_DURATION, .deflt = LB_RAMP_STEP, .help = "how long each share lasts"},
    PARAM_END,
};
static const struct param fleet_params[] = {
    P_PROGRAM,
    P_BALANCERS,
    P_BACKEND,
    P_SECRET,
    P_CALL_TIMEOUT,
    {.name = "servers", .type = PARAM_LIST, .help = "servers of the plan's nodes; default: all of the pool"},
    PARAM_END,
};

static bool program_check(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    (void)timeout_ms;
    for (size_t i = 0; i < n; i++) {
        json_t *list = strcmp(args[i].name, "program") == 0 ? json_loads(args[i].value, 0, NULL) : NULL;
        const char *first = json_string_value(json_array_get(list, 0));
        bool fine = !list || (first && first[0] == '/');
        json_decref(list);
        if (!fine)
            return err_set(err, E_CONFIG,
                           "program: wanted the program's whole path first: [/PATH, ARGUMENT, ...]");
    }
    return true;
}

static bool enable_check(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    return program_check(args, n, timeout_ms, err) && lb_check_ramp(args, n, timeout_ms, err);
}

static const struct verb verbs[] = {
    {LB_OBSERVE_ROW("command"), LB_OF(command_balancer, node_params), .check = program_check,
     .help = "is the server out of rotation on every balancer? records state and weight before the release"},
    {LB_DRAIN_ROW("command"), LB_OF(command_balancer, node_params), .check = program_check,
     .help = "no new sessions for the server, on every balancer; running ones finish"},
    {LB_WAIT_IDLE_ROW("command", 1000), LB_OF(command_balancer, node_params), .escalate = "command.maint",
     .kill = "command.kill", .check = program_check,
     .help = "waits until nothing runs on the server, on all balancers together"},
    {LB_MAINT_ROW("command"), LB_OF(command_balancer, node_params),
     .help = "maintenance instead of drain, where the balancer has it: sticky clients go elsewhere too"},
    {LB_IN_MAINT_ROW("command"), LB_OF(command_balancer, node_params),
     .help = "is the server as far out as each balancer takes it?"},
    {LB_KILL_ROW("command"), LB_OF(command_balancer, node_params),
     .help =
         "maintenance, and ends what is left on the server, where the balancer can: clients see an error"},
    {LB_KILLED_ROW("command"), LB_OF(command_balancer, node_params),
     .help = "is the server out with nothing left on it on every balancer?"},
    {LB_ENABLE_ROW("command", 120000), LB_OF(command_balancer, enable_params), .check = enable_check,
     .help = "gives the server back the state and weight it had before the release"},
    {LB_ENABLED_ROW("command"), LB_OF(command_balancer, enable_params),
     .help = "has the server the state and weight it had before the release, on every balancer?"},
    {LB_WAIT_UP_ROW("command"), LB_OF(command_balancer, node_params), .check = program_check,
     .help = "waits until every balancer says that the server is up (or it was out of rotation before)"},
    {LB_GUARD_ROW("command"), LB_OF(command_balancer, node_params),
     .help = "is the server that we hold still out on every balancer?"},
    {LB_CAPACITY_ROW("command"), LB_OF(command_balancer, fleet_params),
     .help = "how many servers get requests from every balancer"},
    {LB_SHOW_ROW("command"), LB_OF(command_balancer, fleet_params),
     .help = "every server of the pool as each balancer sees it"},
    {0},
};

extern const struct driver command_driver;
const struct driver command_driver = {
    .name = "command",
    .help = "A balancer of any make behind a program of yours, which lists its servers and puts one ready or "
            "out: asked in JSON on stdin, answering in JSON on stdout, on the machine that releases "
            "(docs/balancers.md has the form and an example).",
    .verbs = verbs,
};
