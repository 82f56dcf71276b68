/* SPDX-License-Identifier: MIT */
/* nginx-plus: servers of upstreams, listed, drained and put down by the API of NGINX Plus, over HTTP or on its own host. */
#include "drivers/balancer/nginx_plus/nginx_plus.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "drivers/balancer/door.h"
#include "drivers/op/auto_json.h"

#define ANSWER_MAX (8u << 20) /* some ten thousand servers */

/* ---- dialog ---------------------------------------------------------------- */

/* What came of a request: its JSON, or the API's own words against it. */
struct plus_answer {
    json_t *root;
    int status;
    const char *words, *code; /* NULL, "": none */
};

static void answer_fn(struct plus_answer *a)
{
    json_decref(a->root);
}
#define auto_answer __attribute__((cleanup(answer_fn)))

/* false: op failed. 405 is the API's word on an API that is only read; who sits before it may say others. */
static bool request(struct lb *lb, size_t peer, const char *method, const char *path, const char *body,
                    struct plus_answer *ret)
{
    const struct op_pair headers[] = {{"Accept", "application/json"}, {"Content-Type", "application/json"}};
    struct http_req req = {.method = method,
                           .body = body,
                           .body_len = body ? strlen(body) : 0,
                           .headers = headers,
                           .n_headers = body ? 2 : 1,
                           .max_bytes = ANSWER_MAX};
    struct http_res res;
    struct err err = {0};
    *ret = (struct plus_answer){.code = ""};
    if (!lb_door_ask(lb, peer, &req, path, &res) || !lb_door_answered(lb, peer, &req, &res))
        return false;
    ret->status = res.status;
    ret->root = plus_json(res.body, res.body_len, op_arena(lb->op), &err);
    if (ret->root)
        ret->words = plus_error(ret->root, op_arena(lb->op), &ret->code);
    if (res.status >= 200 && res.status < 300 && ret->root)
        return true;
    if (res.status >= 400 && res.status < 500 && ret->words)
        return true;
    if (res.status >= 400 && res.status < 500)
        op_refused(lb->op, E_CONFIG,
                   "%s: answered status %d to %s %s, and not as NGINX Plus' API does; check `api:`",
                   lb->peers[peer].text, res.status, method, path);
    else
        op_fail(lb->op, E_PROTO, "%s: status %d: %s", lb->peers[peer].text, res.status,
                ret->root ? "not what NGINX Plus' API says" : err.text);
    return false;
}

/* false: op failed, also when the API said no. */
static bool get(struct lb *lb, size_t peer, const char *path, struct plus_answer *ret)
{
    if (!request(lb, peer, "GET", path, NULL, ret))
        return false;
    if (!ret->words)
        return true;
    op_refused(lb->op, E_REFUSED, "%s: %s: %s", lb->peers[peer].text, path, ret->words);
    return false;
}

static bool version(struct lb *lb, size_t peer, int *ret)
{
    auto_answer struct plus_answer got = {.root = NULL};
    struct err err = {0};
    if (!get(lb, peer, "/", &got))
        return false;
    if (plus_version(got.root, ret, &err))
        return true;
    op_refused(lb->op, err.code, "%s: %s", lb->peers[peer].text, err.text);
    return false;
}

/* ---- list ------------------------------------------------------------------ */

/* One without a route has no name of its own: it goes by HOST:PORT, as it is or as the configuration has it. */
static const char *name_of(struct lb *lb, const struct lb_server *s)
{
    const struct plus_server *own = s->own;
    size_t n = 0;
    const char *const *asked = lb->server ? &lb->server : op_arg_list(lb->op, "servers", &n);
    n = lb->server ? 1 : n;
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(asked[i], own->address) || !strcmp(asked[i], own->name))
            return asked[i];
    }
    return s->name;
}

static bool pool_refused(struct lb *lb, size_t peer, const char *pool, const struct plus_answer *got)
{
    const char *who = lb->peers[peer].text;
    if (!strcmp(got->code, "UpstreamNotFound"))
        op_refused(lb->op, E_NOTFOUND, "%s: has no upstream \"%s\"; check `upstream:` of the pillar", who,
                   pool);
    else if (!strcmp(got->code, "UpstreamStatic"))
        op_refused(lb->op, E_CONFIG,
                   "%s: upstream \"%s\" cannot be changed while nginx runs; give it a `zone %s 64k;`", who,
                   pool, pool);
    else
        op_refused(lb->op, E_REFUSED, "%s: upstream \"%s\": %s", who, pool, got->words);
    return false;
}

static bool list_pool(struct lb *lb, size_t peer, int api, const char *pool, struct lb_table *io)
{
    auto_answer struct plus_answer set = {.root = NULL}, runs = {.root = NULL};
    struct err err = {0};
    const char *path = arena_printf(op_arena(lb->op), "/%d/http/upstreams/%s", api, pool);
    const char *servers = arena_printf(op_arena(lb->op), "%s/servers", path);
    size_t first = io->n;
    if (!request(lb, peer, "GET", servers, NULL, &set))
        return false;
    if (set.words)
        return pool_refused(lb, peer, pool, &set);
    if (!request(lb, peer, "GET", path, NULL, &runs))
        return false;
    if (runs.words)
        return pool_refused(lb, peer, pool, &runs);
    if (!plus_servers(pool, set.root, runs.root, op_arena(lb->op), io, &err))
        return lb_not_understood(lb, peer, &err);
    for (size_t i = first; i < io->n; i++)
        io->rows[i].name = name_of(lb, &io->rows[i]);
    return true;
}

static bool list_all(struct lb *lb, size_t peer, int api, struct lb_table *io)
{
    auto_answer struct plus_answer got = {.root = NULL};
    struct err err = {0};
    return get(lb, peer, arena_printf(op_arena(lb->op), "/%d/http/upstreams", api), &got) &&
           (plus_upstreams(got.root, op_arena(lb->op), io, &err) || lb_not_understood(lb, peer, &err));
}

static bool plus_list(struct lb *lb, size_t peer, enum lb_ask want, struct lb_table *ret)
{
    int api;
    *ret = (struct lb_table){.rows = arena_array(op_arena(lb->op), 1, sizeof *ret->rows)};
    if (!version(lb, peer, &api))
        return false;
    if (want == LB_ASK_ALL)
        return list_all(lb, peer, api, ret);
    for (size_t i = 0; i < lb->n_pools; i++) {
        if (!list_pool(lb, peer, api, lb->pools[i], ret))
            return false;
    }
    return true;
}

/* ---- put ------------------------------------------------------------------- */

static bool change(struct lb *lb, const struct lb_place *p, const char *id, const char *body,
                   struct plus_answer *ret)
{
    int api;
    return version(lb, p->peer, &api) &&
           request(lb, p->peer, "PATCH",
                   arena_printf(op_arena(lb->op), "/%d/http/upstreams/%s/servers/%s", api, p->pool, id), body,
                   ret);
}

/* *ret_state: as the API says it is now, after a change that was taken. */
static bool change_one(struct lb *lb, const struct lb_place *p, size_t row, const char *body,
                       enum lb_state *ret_state, const char **ret_refusal)
{
    auto_answer struct plus_answer got = {.root = NULL};
    const struct plus_server *own = p->rows[row].own;
    *ret_state = LB_UNKNOWN;
    if (!change(lb, p, arena_printf(op_arena(lb->op), "%" PRId64, own->id), body, &got))
        return false;
    if (got.words)
        *ret_refusal = got.words;
    else if (!plus_server_state(got.root, ret_state))
        *ret_state = LB_UNKNOWN; /* it is read back */
    return true;
}

/* NGINX's own console takes a server back by down=false, which ends its drain, too. Where it does not, the drain is
 * ended by its own name. */
static bool put_one(struct lb *lb, const struct lb_place *p, size_t row, enum lb_state want,
                    const char **ret_refusal)
{
    enum lb_state now;
    if (want == LB_MAINT)
        return change_one(lb, p, row, "{\"down\":true}", &now, ret_refusal);
    if (want == LB_DRAIN && p->rows[row].state != LB_MAINT)
        return change_one(lb, p, row, "{\"drain\":true}", &now, ret_refusal);
    if (want == LB_DRAIN)
        return change_one(lb, p, row, "{\"down\":false,\"drain\":true}", &now, ret_refusal);
    if (!change_one(lb, p, row, "{\"down\":false}", &now, ret_refusal))
        return false;
    return *ret_refusal || now != LB_DRAIN || change_one(lb, p, row, "{\"drain\":false}", &now, ret_refusal);
}

static bool plus_put(struct lb *lb, const struct lb_place *p, enum lb_state want, const char **ret_refusal)
{
    for (size_t i = 0; i < p->n && !*ret_refusal; i++) {
        if (p->rows[i].state != want && !put_one(lb, p, i, want, ret_refusal))
            return false;
    }
    return true;
}

static bool plus_weigh(struct lb *lb, const struct lb_place *p, int weight, const char **ret_refusal)
{
    enum lb_state now;
    const char *body = arena_printf(op_arena(lb->op), "{\"weight\":%d}", weight);
    for (size_t i = 0; i < p->n && !*ret_refusal; i++) {
        if (!change_one(lb, p, i, body, &now, ret_refusal))
            return false;
    }
    return true;
}

/* Is it an API that may be written, and by us? Asked with a change of a server that cannot be there: its id is none. */
static bool plus_fits(struct lb *lb, size_t peer)
{
    auto_answer struct plus_answer got = {.root = NULL};
    const struct lb_place p = {.peer = peer, .pool = lb->pools[0]};
    if (!change(lb, &p, "none", "{}", &got))
        return false;
    if (got.status != 405)
        return true;
    op_refused(lb->op, E_CONFIG, "%s: the API may only be read (%s); wanted `api write=on;` there",
               lb->peers[peer].text, got.words);
    return false;
}

static bool plus_count(struct lb *lb, int64_t *ret)
{
    return !strcmp(op_arg(lb->op, "idle"), "node") ? lb_idle_on_node(lb, ret) : lb_idle_sum(lb, ret);
}

static const struct balancer plus_balancer = {
    .name = "nginx-plus",
    .can = LB_CAN_MAINT | LB_CAN_WEIGHT | LB_CAN_COUNTS | LB_CAN_FORGET | LB_TELLS_ALL,
    .peers_param = "api",
    .pools_param = "upstream",
    .server_param = "server",
    .words = {[LB_READY] = "ready", [LB_DRAIN] = "drain", [LB_MAINT] = "maint"},
    .pool_noun = "upstream",
    .server_noun = "server",
    .deed = "drained",
    .up_words = "up and not drained",
    .many = "the nginxes",
    .forgets = " (a reload: without a `state` file nginx forgets what its API was told)",
    .stuck = "",
    .name_valid = plus_name_valid,
    .name_wanted = "letters, digits and ._:@~[]-, at most 200, no - first",
    .open = lb_doors_open,
    .list = plus_list,
    .put = plus_put,
    .weigh = plus_weigh,
    .fits = plus_fits,
    .count = plus_count,
};

/* ---- table ----------------------------------------------------------------- */

#define P_WHERE                                                                                              \
    {.name = "api",                                                                                          \
     .type = PARAM_LIST,                                                                                     \
     .required = true,                                                                                       \
     .help = "API of every NGINX Plus: http://HOST:PORT/api, or the same with @SSHHOST behind it: asked "    \
             "there by curl"},                                                                               \
        {.name = "upstream",                                                                                 \
         .type = PARAM_LIST,                                                                                 \
         .required = true,                                                                                   \
         .help = "upstream whose servers the nodes are, or a list of those that each node stands in"},       \
        LB_P_DOOR
#define P_NODE                                                                                               \
    P_WHERE,                                                                                                 \
        {.name = "server",                                                                                   \
         .type = PARAM_STR,                                                                                  \
         .help =                                                                                             \
             "this node's server there: its route, or HOST:PORT; default: lb_server, else the node's id"},   \
    {                                                                                                        \
        .name = "idle", .type = PARAM_CHOICE, .deflt = "active", .choices = "active|node",                   \
        .help = "connections as nginx counts them, or connections to the node's port, on the node"           \
    }

static const struct param node_params[] = {P_NODE, PARAM_END};
static const struct param enable_params[] = {
    P_NODE,
    {.name = "weight_ramp", .type = PARAM_LIST, .help = "shares of the weight, [10%, 50%]; default: at once"},
    {.name = "ramp_step", .type = PARAM_DURATION, .deflt = LB_RAMP_STEP, .help = "how long each share lasts"},
    PARAM_END,
};
static const struct param fleet_params[] = {
    P_WHERE,
    {.name = "servers", .type = PARAM_LIST, .help = "servers of the plan's nodes; default: all"},
    PARAM_END,
};
static const struct param survey_params[] = {
    P_WHERE,
    {.name = "ignore_backends",
     .type = PARAM_LIST,
     .help = "upstreams that may go on sending to a node while it is out; others that the pillar does not "
             "name are refused"},
    PARAM_END,
};

static bool plus_check(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    (void)timeout_ms;
    return lb_doors_check(args, n, "api", err);
}

static bool enable_check(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    return lb_doors_check(args, n, "api", err) && lb_check_ramp(args, n, timeout_ms, err);
}

#define OF_NODE  LB_OF(plus_balancer, node_params), .check = plus_check
#define OF_FLEET LB_OF(plus_balancer, fleet_params), .check = plus_check

static const struct verb verbs[] = {
    {LB_OBSERVE_ROW("nginx-plus"), OF_NODE,
     .help = "is the server out in every nginx? records its state and weight before the release"},
    {LB_DRAIN_ROW("nginx-plus"), OF_NODE,
     .help = "draining in every nginx: only requests of sessions that are bound to it, running ones finish"},
    {LB_WAIT_IDLE_ROW("nginx-plus", 500), OF_NODE,
     .help = "waits until every nginx has no active connection to the server",
     .escalate = "nginx-plus.maint"},
    {LB_MAINT_ROW("nginx-plus"), OF_NODE,
     .help = "down in every nginx: sticky clients go elsewhere, too; running requests finish"},
    {LB_IN_MAINT_ROW("nginx-plus"), OF_NODE, .help = "is the server down in every nginx?"},
    {LB_ENABLE_ROW("nginx-plus", 120000), LB_OF(plus_balancer, enable_params), .check = enable_check,
     .help = "gives the server back the state and weight that it had before the release"},
    {LB_ENABLED_ROW("nginx-plus"), LB_OF(plus_balancer, enable_params), .check = enable_check,
     .help = "has the server the state that it had before the release, in every nginx?"},
    {LB_WAIT_UP_ROW("nginx-plus"), OF_NODE,
     .help = "waits until every nginx says up (or the server was out before)"},
    {LB_GUARD_ROW("nginx-plus"), OF_NODE, .help = "is the server that we hold still out in every nginx?"},
    {LB_CAPACITY_ROW("nginx-plus"), OF_FLEET, .help = "how many servers get requests from every nginx"},
    {LB_SHOW_ROW("nginx-plus"), OF_FLEET, .help = "every server as each nginx sees it"},
    {LB_SURVEY_ROW("nginx-plus"), LB_OF(plus_balancer, survey_params), .check = plus_check,
     .help = "addresses that several servers stand for, over all upstreams of each nginx"},
    {0},
};

extern const struct driver nginx_plus_driver;
const struct driver nginx_plus_driver = {
    .name = "nginx-plus",
    .help =
        "NGINX Plus as the balancer: servers of an upstream with a `zone` are drained by its API (`api write=on`), "
        "versions 2 to 9, over HTTP or by curl on its own host through SSH. nginx, open source: see nginx.",
    .verbs = verbs,
};
