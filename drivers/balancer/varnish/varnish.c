/* SPDX-License-Identifier: MIT */
/* varnish: backends of a Varnish director listed and put through the CLI (cli.c; parse.c has the answers).
 *
 * A health set by hand belongs to one VCL. So the backend is acted on in every VCL that may get requests now,
 * the active one and those that labels point to, each by its exact name, and judged by what these say *now*:
 * after a vcl.use that forgot us the backend shows as back, and the core drains it again. */
#include "drivers/balancer/varnish/varnish.h"

#include <string.h>

/* Word of set_health for a state, which backend.list shows as words[]. */
static const char *const put_words[LB_STATES] = {
    [LB_READY] = "auto", [LB_FORCED] = "healthy", [LB_DRAIN] = "sick"};

static bool varn_open(struct lb *lb)
{
    struct arena *a = op_arena(lb->op);
    for (size_t i = 0; i < lb->n_peers; i++) {
        struct varnish_admin *admin = arena_alloc(a, sizeof *admin);
        struct vcli *c = arena_alloc(a, sizeof *c);
        struct err err = {0};
        if (!varnish_admin_parse(lb->peers[i].text, a, admin, &err)) {
            op_refused(lb->op, err.code, "%s", err.text);
            return false;
        }
        *c = (struct vcli){.op = lb->op, .admin = admin, .fd = -1};
        lb->peers[i].own = c;
    }
    return true;
}

static void varn_close(struct lb *lb)
{
    for (size_t i = 0; i < lb->n_peers; i++) {
        if (lb->peers[i].own)
            vcli_close(lb->peers[i].own);
    }
}

struct vcli *varnish_cli(struct lb *lb, size_t peer)
{
    struct vcli *c = lb->peers[peer].own;
    return c->fd >= 0 || vcli_open(lb->op, c->admin, c) ? c : NULL;
}

/* ---- list ------------------------------------------------------------------ */

static bool gets_requests(const struct varnish_vcls *vcls, const char *vcl)
{
    for (size_t i = 0; i < vcls->n; i++) {
        const struct varnish_vcl *v = &vcls->rows[i];
        if ((v->active && !strcmp(v->name, vcl)) || (v->label && !strcmp(v->target, vcl)))
            return true;
    }
    return false;
}

static struct lb_server row_of(const struct varnish_backend *b)
{
    enum lb_state state = lb_state_of_word(b->admin, strlen(b->admin));
    bool serving = !lb_state_is_out(state) && (b->healthy || state == LB_FORCED);
    return (struct lb_server){.pool = b->vcl,
                              .name = b->name,
                              .state = state,
                              .serving = serving,
                              .up = serving,
                              .weight = -1,
                              .sessions = -1,
                              .queued = -1,
                              .status = b->healthy ? "healthy" : "sick",
                              .addr = ""};
}

/* Directors are left out: what they send goes to backends. */
static bool varn_list(struct lb *lb, size_t peer, enum lb_ask ask, struct lb_table *ret)
{
    struct varnish_vcls vcls;
    struct varnish_backends all;
    struct vcli *c = varnish_cli(lb, peer);
    (void)ask;
    if (!c || !vcli_vcls(c, &vcls) || !vcli_backends(c, &all))
        return false;
    *ret = (struct lb_table){.rows = arena_array(op_arena(lb->op), all.n + 1, sizeof *ret->rows)};
    for (size_t i = 0; i < all.n; i++) {
        if (!all.rows[i].director && gets_requests(&vcls, all.rows[i].vcl))
            ret->rows[ret->n++] = row_of(&all.rows[i]);
    }
    return true;
}

/* ---- put ------------------------------------------------------------------- */

/* In every VCL that may get requests. */
static bool varn_put(struct lb *lb, const struct lb_place *p, enum lb_state want, const char **ret_refusal)
{
    struct vcli *c = varnish_cli(lb, p->peer);
    for (size_t k = 0; c && k < p->n; k++) {
        int status;
        char *body;
        if (!vcli_ask(c, &status, &body, "backend.set_health %s.%s %s", p->rows[k].pool, lb->server,
                      put_words[want]))
            return false;
        if (status != VARNISH_OK) {
            *ret_refusal = arena_printf(op_arena(lb->op), "%d %s", status, lb_first_line(lb->op, body));
            return true;
        }
    }
    return c != NULL;
}

const struct balancer varnish_balancer = {
    .name = "varnish",
    .can = LB_CAN_FORGET,
    .peers_param = "admin",
    .pool = "varnish",
    .server_param = "backend",
    .words = {[LB_READY] = "probe", [LB_FORCED] = "healthy", [LB_DRAIN] = "sick"},
    .pool_noun = "the active VCL",
    .server_noun = "backend",
    .deed = "set sick",
    .up_words = "healthy",
    .many = "the Varnishes",
    .forgets = ", another VCL or somebody's hand",
    .stuck = "",
    .name_valid = varnish_name_valid,
    .name_wanted = "letters, digits and _.-, at most 200, none of -. first",
    .open = varn_open,
    .close = varn_close,
    .list = varn_list,
    .put = varn_put,
    .count = varnish_count,
};

/* ---- table ----------------------------------------------------------------- */

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
    {LB_OBSERVE_ROW("varnish"), LB_OF(varnish_balancer, node_params),
     .help = "is the backend set sick in every Varnish? records its health before the release"},
    {LB_DRAIN_ROW("varnish"), LB_OF(varnish_balancer, node_params),
     .help = "sets the backend sick, in every VCL that may get requests; running requests finish"},
    {LB_WAIT_IDLE_ROW("varnish", 1000), LB_OF(varnish_balancer, idle_params),
     .help = "waits until no Varnish has a request on the backend"},
    {LB_ENABLE_ROW("varnish", 30000), LB_OF(varnish_balancer, node_params),
     .help = "gives the backend the health it had before the release (auto: by its probe)"},
    {LB_ENABLED_ROW("varnish"), LB_OF(varnish_balancer, node_params),
     .help = "has the backend the health it had before the release?"},
    {LB_WAIT_UP_ROW("varnish"), LB_OF(varnish_balancer, node_params),
     .help = "waits until every Varnish sees the backend healthy (or it was sick before)"},
    {LB_GUARD_ROW("varnish"), LB_OF(varnish_balancer, node_params),
     .help = "is the backend that we hold still sick in every Varnish? another VCL forgets it"},
    {LB_CAPACITY_ROW("varnish"), LB_OF(varnish_balancer, fleet_params),
     .help = "how many backends get requests from every Varnish"},
    {LB_SHOW_ROW("varnish"), LB_OF(varnish_balancer, fleet_params),
     .help = "every backend as each Varnish sees it"},
    {.name = "varnish.ban",
     .help = "makes every Varnish forget cached objects",
     .effect = EFFECT_CHANGE,
     .scope = SCOPE_FLEET,
     .observe = "varnish.banned",
     .only_with = "ban", /* a cache is emptied only where the pillar says what of it */
     .default_timeout_ms = 30000,
     LB_OF(varnish_balancer, ban_params),
     .run = varnish_run_ban},
    {.name = "varnish.banned",
     .help = "has every Varnish this ban, made in the last ten minutes?",
     .effect = EFFECT_READ,
     .scope = SCOPE_FLEET,
     .default_timeout_ms = 15000,
     LB_OF(varnish_balancer, ban_params),
     .run = varnish_run_banned},
    {0},
};

extern const struct driver varnish_driver;
const struct driver varnish_driver = {
    .name = "varnish",
    .help = "Varnish 6.0 and later as the balancer, through its CLI (varnishd -T and -S): backends are set "
            "sick and "
            "back. Requests in flight are counted by varnishstat on Varnish's host.",
    .verbs = verbs,
};
