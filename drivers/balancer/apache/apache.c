/* SPDX-License-Identifier: MIT */
/* apache: members of mod_proxy_balancer, listed and put by its balancer-manager, over HTTP or on its own host.
 *
 * Every question is a POST whose Referer is the manager's own address: without it Apache takes the request for another
 * site's doing and answers its page for people. A look is the same request without a change in it, so that what a release
 * will need was needed by preflight, too. Each balancer has a nonce, new with every start and reload, that a change
 * must bring: it is read with the list, each time. */
#include "drivers/balancer/apache/apache.h"

#include <string.h>

#include "base/str.h"
#include "drivers/balancer/door.h"

#define ANSWER_MAX (8u << 20) /* some eight thousand members */

/* ---- dialog ---------------------------------------------------------------- */

static bool not_a_list(struct lb *lb, size_t peer, const struct http_res *res, const struct err *err)
{
    const char *who = lb->peers[peer].text;
    if (apache_is_page(res->body, res->body_len))
        op_refused(
            lb->op, E_CONFIG,
            "%s: answered balancer-manager's page, not its list: it wants to be asked by the name that is "
            "its own (ServerName, where UseCanonicalName is on); write that name in `manager:`",
            who);
    else
        op_fail(lb->op, err->code, "%s: %s", who, err->text);
    return false;
}

/* A change that is answered by a no was not made: *ret_refusal. put NULL: a look. */
static bool ask(struct lb *lb, size_t peer, const struct apache_put *put, struct lb_table *ret,
                const char **ret_refusal)
{
    struct op *op = lb->op;
    const struct lb_door *door = lb->peers[peer].own;
    const char *form = apache_form(put, op_arena(op));
    const struct op_pair headers[] = {{"Referer", door->url},
                                      {"Content-Type", "application/x-www-form-urlencoded"}};
    struct http_req req = {.body = form, .headers = headers, .n_headers = 2, .max_bytes = ANSWER_MAX};
    struct http_res res;
    struct err err = {0};
    if (!form || strlen(form) >= APACHE_FORM_MAX) {
        op_refused(op, E_LIMIT, "%s: the member's URL is longer than balancer-manager reads",
                   lb->peers[peer].text);
        return false;
    }
    req.body_len = strlen(form);
    if (!lb_door_ask(lb, peer, &req, "", &res) || !lb_door_answered(lb, peer, &req, &res))
        return false;
    if (put && res.status >= 400 && res.status < 500) {
        *ret_refusal = arena_printf(op_arena(op), "status %d", res.status);
        return true;
    }
    if (res.status != 200) {
        op_refused(op, E_CONFIG,
                   "%s: answered status %d; wanted balancer-manager there, and that it takes a POST",
                   lb->peers[peer].text, res.status);
        return false;
    }
    return apache_parse(res.body, res.body_len, op_arena(op), ret, &err) || not_a_list(lb, peer, &res, &err);
}

/* ---- list ------------------------------------------------------------------ */

/* A member without a route has no name of its own: it goes by HOST:PORT. So may one with a route, where the pillar says so. */
static const char *name_of(struct lb *lb, const struct lb_server *s)
{
    const char *place = ((const struct apache_member *)s->own)->place;
    size_t n = 0;
    const char *const *asked = lb->server ? NULL : op_arg_list(lb->op, "servers", &n);
    if (lb->server && !strcmp(lb->server, place))
        return lb->server;
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(asked[i], place))
            return asked[i];
    }
    return s->name;
}

static bool has_pool(const struct lb_table *t, const char *pool)
{
    for (size_t i = 0; i < t->n; i++) {
        if (!strcmp(t->rows[i].pool, pool))
            return true;
    }
    return false;
}

static bool pools_known(struct lb *lb, size_t peer, const struct lb_table *t)
{
    for (size_t k = 0; k < lb->n_pools; k++) {
        auto_buf struct buf names = BUF_INIT(300);
        if (has_pool(t, lb->pools[k]))
            continue;
        for (size_t i = 0; i < t->n; i++) {
            if (i == 0 || strcmp(t->rows[i].pool, t->rows[i - 1].pool) != 0)
                buf_printf(&names, "%s%s", names.len ? ", " : "", lb_first_line(lb->op, t->rows[i].pool));
        }
        op_refused(
            lb->op, E_NOTFOUND,
            "%s: has no balancer \"%s\" with members (it has %s%s; those of other virtual hosts are not "
            "shown there); check `balancer:` of the pillar",
            lb->peers[peer].text, lb->pools[k], names.len ? buf_str(&names) : "none", names.cut ? "..." : "");
        return false;
    }
    return true;
}

static bool is_named(const struct lb *lb, const char *pool)
{
    for (size_t k = 0; k < lb->n_pools; k++) {
        if (!strcmp(lb->pools[k], pool))
            return true;
    }
    return false;
}

static bool apache_list(struct lb *lb, size_t peer, enum lb_ask want, struct lb_table *ret)
{
    struct lb_table all;
    if (!ask(lb, peer, NULL, &all, NULL) || !pools_known(lb, peer, &all))
        return false;
    *ret = (struct lb_table){.rows = arena_array(op_arena(lb->op), all.n + 1, sizeof *ret->rows)};
    for (size_t i = 0; i < all.n; i++) {
        if (want != LB_ASK_ALL && !is_named(lb, all.rows[i].pool))
            continue;
        ret->rows[ret->n] = all.rows[i];
        ret->rows[ret->n++].name = name_of(lb, &all.rows[i]);
    }
    return true;
}

/* ---- put ------------------------------------------------------------------- */

static const struct apache_member *same_member(const struct lb_table *t, const struct apache_member *m)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct apache_member *one = t->rows[i].own;
        if (!strcmp(one->balancer, m->balancer) && !strcmp(one->url, m->url))
            return one;
    }
    return NULL;
}

/* A nonce that is not Apache's any more (it was restarted since the list was read) is passed over without a word, and the
 * answer has the new one: told once more, with that. */
static bool put_one(struct lb *lb, size_t peer, struct apache_put put, const char **ret_refusal)
{
    struct lb_table t;
    for (int again = 0; again < 2; again++) {
        if (!ask(lb, peer, &put, &t, ret_refusal))
            return false;
        if (*ret_refusal)
            return true;
        const struct apache_member *now = same_member(&t, put.member);
        if (!now) {
            *ret_refusal = "the member is gone";
            return true;
        }
        if (!strcmp(now->nonce, put.member->nonce))
            return true;
        put.member = now;
    }
    *ret_refusal = "its nonce changes with every request; is this several Apaches behind one address?";
    return true;
}

/* A disabled member stays drained, too: Apache takes one flag after the other, and it must not be in between them. */
static bool apache_put(struct lb *lb, const struct lb_place *p, enum lb_state want, const char **ret_refusal)
{
    for (size_t i = 0; i < p->n && !*ret_refusal; i++) {
        const struct apache_put put = {
            .member = p->rows[i].own, .drained = want != LB_READY, .disabled = want == LB_MAINT};
        if (p->rows[i].state != want && !put_one(lb, p->peer, put, ret_refusal))
            return false;
    }
    return true;
}

/* Without a nonce (nonce=None) Apache 2.4 passes over every change, and says nothing. */
static bool apache_fits(struct lb *lb, size_t peer)
{
    for (size_t i = 0; i < lb->n; i++) {
        const struct apache_member *m = lb->at[i].rows[0].own;
        if (lb->at[i].peer != peer || *m->nonce)
            continue;
        op_refused(
            lb->op, E_CONFIG,
            "%s: balancer \"%s\" is set to nonce=None, with which Apache takes no change of it; leave that "
            "out of its ProxySet or ProxyPass",
            lb->peers[peer].text, m->balancer);
        return false;
    }
    return true;
}

static bool apache_count(struct lb *lb, int64_t *ret)
{
    return !strcmp(op_arg(lb->op, "idle"), "node") ? lb_idle_on_node(lb, ret) : lb_idle_sum(lb, ret);
}

static const struct balancer apache_balancer = {
    .name = "apache",
    .can = LB_CAN_MAINT | LB_CAN_COUNTS | LB_CAN_FORGET | LB_TELLS_REQUESTS,
    .peers_param = "manager",
    .pools_param = "balancer",
    .server_param = "server",
    .words = {[LB_READY] = "ready", [LB_DRAIN] = "drain", [LB_MAINT] = "maint"},
    .pool_noun = "balancer",
    .server_noun = "member",
    .deed = "drained",
    .up_words = "Ok and not drained",
    .many = "the Apaches",
    .forgets = " (a restart or a reload: Apache forgets what its manager was told)",
    .stuck = "",
    .name_valid = apache_name_valid,
    .name_wanted = "letters, digits and ._:@~[]-, at most 200, no - first",
    .open = lb_doors_open,
    .list = apache_list,
    .put = apache_put,
    .fits = apache_fits,
    .count = apache_count,
};

/* ---- table ----------------------------------------------------------------- */

#define P_WHERE                                                                                              \
    {.name = "manager",                                                                                      \
     .type = PARAM_LIST,                                                                                     \
     .required = true,                                                                                       \
     .help = "balancer-manager of every Apache: http://HOST:PORT/balancer-manager, or the same with "        \
             "@SSHHOST behind it: asked there by curl"},                                                     \
        {.name = "balancer",                                                                                 \
         .type = PARAM_LIST,                                                                                 \
         .required = true,                                                                                   \
         .help = "NAME of `<Proxy balancer://NAME>`, or a list of those that each node stands in"},          \
        LB_P_DOOR
#define P_NODE                                                                                               \
    P_WHERE,                                                                                                 \
        {.name = "server",                                                                                   \
         .type = PARAM_STR,                                                                                  \
         .help = "route of this node's member, or its HOST:PORT; default: lb_server, else the node's id"},   \
    {                                                                                                        \
        .name = "idle", .type = PARAM_CHOICE, .deflt = "busy", .choices = "busy|node",                       \
        .help = "requests as Apache counts them, or connections to the node's port, on the node"             \
    }

static const struct param node_params[] = {P_NODE, PARAM_END};
static const struct param fleet_params[] = {
    P_WHERE,
    {.name = "servers", .type = PARAM_LIST, .help = "members of the plan's nodes; default: all"},
    PARAM_END,
};
static const struct param survey_params[] = {
    P_WHERE,
    {.name = "ignore_backends",
     .type = PARAM_LIST,
     .help = "balancers that may go on sending to a node while it is out; others that the pillar does not "
             "name are refused"},
    PARAM_END,
};

static bool apache_check(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    (void)timeout_ms;
    return lb_doors_check(args, n, "manager", err);
}

#define OF_NODE  LB_OF(apache_balancer, node_params), .check = apache_check
#define OF_FLEET LB_OF(apache_balancer, fleet_params), .check = apache_check

static const struct verb verbs[] = {
    {LB_OBSERVE_ROW("apache"), OF_NODE,
     .help = "is the member out in every Apache? records its state before the release"},
    {LB_DRAIN_ROW("apache"), OF_NODE,
     .help = "drain mode in every Apache: no new requests but those of sticky clients, running ones finish"},
    {LB_WAIT_IDLE_ROW("apache", 500), OF_NODE,
     .help = "waits until every Apache counts no request on the member", .escalate = "apache.maint"},
    {LB_MAINT_ROW("apache"), OF_NODE,
     .help = "disabled in every Apache: sticky clients go elsewhere, too; running requests finish"},
    {LB_IN_MAINT_ROW("apache"), OF_NODE, .help = "is the member disabled in every Apache?"},
    {LB_ENABLE_ROW("apache", 60000), OF_NODE,
     .help = "gives the member back the state that it had before the release"},
    {LB_ENABLED_ROW("apache"), OF_NODE,
     .help = "has the member the state that it had before the release, in every Apache?"},
    {LB_WAIT_UP_ROW("apache"), OF_NODE,
     .help = "waits until every Apache says Ok (or the member was out before)"},
    {LB_GUARD_ROW("apache"), OF_NODE, .help = "is the member that we hold still out in every Apache?"},
    {LB_CAPACITY_ROW("apache"), OF_FLEET, .help = "how many members get requests from every Apache"},
    {LB_SHOW_ROW("apache"), OF_FLEET, .help = "every member as each Apache sees it"},
    {LB_SURVEY_ROW("apache"), LB_OF(apache_balancer, survey_params), .check = apache_check,
     .help = "addresses that several members stand for, over all balancers of each Apache"},
    {0},
};

extern const struct driver apache_driver;
const struct driver apache_driver = {
    .name = "apache",
    .help =
        "Apache 2.4 as the balancer: members of mod_proxy_balancer are put into drain mode by its balancer-manager, "
        "asked over HTTP, with user and password where it wants them, or by curl on its own host through SSH.",
    .verbs = verbs,
};
