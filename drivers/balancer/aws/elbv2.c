/* SPDX-License-Identifier: MIT */
/* elbv2: target groups of application, network and gateway load balancers. A target is drained by deregistering it, which
 * gives running requests the group's own delay, and comes back by being registered with the port that it had. */
#include <string.h>

#include "base/str.h"
#include "drivers/balancer/aws/aws_lb.h"

#define DELAY "deregistration_delay.timeout_seconds"

/* Pools are called by the group's name, also where the pillar gives its ARN. */
struct groups {
    const char *const *given;
    struct target_group *list; /* one for each pool; arn NULL: not learnt yet */
};

static struct groups *groups_of(struct lb *lb)
{
    struct groups *g = arena_alloc(op_arena(lb->op), sizeof *g);
    g->given = lb->pools;
    g->list = arena_array(op_arena(lb->op), lb->n_pools, sizeof *g->list);
    return g;
}

/* ---- open ------------------------------------------------------------------ */

static bool pool_name(struct lb *lb, const char *given, const char **ret)
{
    const char *region = NULL;
    *ret = given;
    if (!strchr(given, ':'))
        return true;
    if (!target_group_arn(op_arena(lb->op), given, ret, &region)) {
        op_refused(lb->op, E_CONFIG, "balancer: \"%s\" is not the ARN of a target group", given);
        return false;
    }
    for (size_t i = 0; i < lb->n_peers; i++) {
        if (strcmp(lb->peers[i].text, region) == 0)
            continue;
        op_refused(lb->op, E_CONFIG, "balancer: region is %s, and the target group is of %s (%s)",
                   lb->peers[i].text, region, given);
        return false;
    }
    return true;
}

static bool elbv2_open(struct lb *lb)
{
    const char **names = arena_array(op_arena(lb->op), lb->n_pools, sizeof *names);
    for (size_t i = 0; i < lb->n_pools; i++) {
        if (!pool_name(lb, lb->pools[i], &names[i]))
            return false;
        for (size_t k = 0; k < i; k++)
            if (!strcmp(names[k], names[i])) {
                op_refused(lb->op, E_CONFIG,
                           "balancer: two target groups are called %s; give each a block of its own",
                           names[i]);
                return false;
            }
    }
    if (!aws_lb_open(lb))
        return false;
    for (size_t i = 0; i < lb->n_peers; i++)
        aws_lb_peer(lb, i)->own = groups_of(lb);
    lb->pools = names;
    return true;
}

/* ---- what the groups are --------------------------------------------------- */

static struct groups *learnt(struct lb *lb, size_t peer)
{
    return aws_lb_peer(lb, peer)->own;
}

static bool group_recall(struct lb *lb, size_t peer, size_t i)
{
    const char *kept = aws_lb_known(lb, peer, "group", learnt(lb, peer)->given[i]);
    char *text = kept ? arena_strdup(op_arena(lb->op), kept) : NULL;
    const char *arn = text ? strsep(&text, " ") : NULL, *port = text ? strsep(&text, " ") : NULL;
    int64_t number;
    if (!port || !text || !parse_seconds(port, &number))
        return false;
    learnt(lb, peer)->list[i] =
        (struct target_group){.name = lb->pools[i], .arn = arn, .type = text, .port = (int)number};
    return true;
}

static bool group_take(struct lb *lb, size_t peer, size_t i, const struct target_group *rows, size_t n)
{
    struct groups *g = learnt(lb, peer);
    for (size_t k = 0; k < n; k++) {
        if (strcmp(rows[k].name, lb->pools[i]) != 0 ||
            (strchr(g->given[i], ':') && strcmp(rows[k].arn, g->given[i]) != 0))
            continue;
        g->list[i] = rows[k];
        g->list[i].name = lb->pools[i];
        aws_lb_learnt(lb, peer, "group", g->given[i],
                      arena_printf(op_arena(lb->op), "%s %d %s", rows[k].arn, rows[k].port, rows[k].type));
        return true;
    }
    return false;
}

/* What there is, for the message. */
static const char *names_there(struct lb *lb, size_t peer)
{
    struct aws_question q = {.service = aws_service_find("elbv2"), .action = "DescribeTargetGroups"};
    struct aws_answer answer;
    struct target_group *rows;
    size_t n = 0;
    struct err err;
    auto_buf struct buf b = BUF_INIT(300);
    if (!aws_ask(aws_lb_peer(lb, peer), &q, &answer) || answer.code ||
        !parse_target_groups(answer.result, op_arena(lb->op), &rows, &n, &err))
        return "";
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", rows[i].name);
    return arena_printf(op_arena(lb->op), " (there: %s%s)", n ? buf_str(&b) : "none", b.cut ? "..." : "");
}

static bool unknown_group(struct lb *lb, size_t peer, const char *which)
{
    return aws_lb_unknown(lb, peer, "target group", which, names_there(lb, peer));
}

/* By names or by ARNs: AWS takes no mixture. */
static bool learn_some(struct lb *lb, size_t peer, bool arns)
{
    struct groups *g = learnt(lb, peer);
    struct aws_question q = {.service = aws_service_find("elbv2"), .action = "DescribeTargetGroups"};
    struct aws_answer answer;
    struct target_group *rows;
    struct err err = {0};
    size_t n = 0;
    const char *which = "";
    struct arena *a = op_arena(lb->op);
    for (size_t i = 0; i < lb->n_pools; i++) {
        if (g->list[i].arn || (strchr(g->given[i], ':') != NULL) != arns)
            continue;
        aws_param(&q, arena_printf(a, "%s.member.%zu", arns ? "TargetGroupArns" : "Names", q.n + 1),
                  g->given[i]);
        which = arena_printf(a, "%s%s%s", which, *which ? " or " : "", g->given[i]);
    }
    if (q.n == 0)
        return true;
    if (!aws_ask(aws_lb_peer(lb, peer), &q, &answer))
        return false;
    if (answer.code && !strcmp(answer.code, "TargetGroupNotFound"))
        return unknown_group(lb, peer, which);
    if (answer.code) {
        aws_fail(aws_lb_peer(lb, peer), &q, &answer);
        return false;
    }
    if (!parse_target_groups(answer.result, a, &rows, &n, &err))
        return lb_not_understood(lb, peer, &err);
    for (size_t i = 0; i < lb->n_pools; i++) {
        if (!g->list[i].arn && (strchr(g->given[i], ':') != NULL) == arns &&
            !group_take(lb, peer, i, rows, n))
            return unknown_group(lb, peer, g->given[i]);
    }
    return true;
}

static bool learn(struct lb *lb, size_t peer)
{
    struct groups *g = learnt(lb, peer);
    for (size_t i = 0; i < lb->n_pools; i++)
        if (!g->list[i].arn)
            (void)group_recall(lb, peer, i);
    if (!learn_some(lb, peer, false) || !learn_some(lb, peer, true))
        return false;
    for (size_t i = 0; i < lb->n_pools; i++) {
        if (!strcmp(g->list[i].type, "instance") || !strcmp(g->list[i].type, "ip"))
            continue;
        op_refused(lb->op, E_CONFIG, "%s: target group %s has targets of the kind '%s', which are no servers",
                   lb->peers[peer].text, lb->pools[i], g->list[i].type);
        return false;
    }
    return true;
}

/* ---- list ------------------------------------------------------------------ */

/* It would have to be registered with that word again. */
static bool zone_fits(struct lb *lb, size_t peer, const char *zone_all)
{
    const char *zone = op_arg(lb->op, "zone");
    if (!zone_all || !lb->server || (zone && !strcmp(zone, "all")))
        return true;
    op_refused(lb->op, E_CONFIG,
               "%s: target %s is outside the group's network: say `zone: all` in the pillar, so that it "
               "can be registered again",
               lb->peers[peer].text, zone_all);
    return false;
}

static bool elbv2_list(struct lb *lb, size_t peer, enum lb_ask ask, struct lb_table *ret)
{
    struct err err = {0};
    size_t n_asked;
    const char *const *asked = aws_lb_asked(lb, &n_asked);
    const char *zone_all = NULL;
    (void)ask;
    if (!learn(lb, peer))
        return false;
    *ret = (struct lb_table){.n = 0};
    for (size_t i = 0; i < lb->n_pools; i++) {
        const struct target_group *g = &learnt(lb, peer)->list[i];
        struct aws_question q = {.service = aws_service_find("elbv2"), .action = "DescribeTargetHealth"};
        struct aws_answer answer;
        aws_param(&q, "TargetGroupArn", g->arn);
        if (!aws_read(aws_lb_peer(lb, peer), &q, &answer))
            return false;
        if (!parse_target_health(answer.result, g, asked, n_asked, op_arena(lb->op), ret, &zone_all, &err))
            return lb_not_understood(lb, peer, &err);
    }
    return zone_fits(lb, peer, zone_all);
}

/* ---- put ------------------------------------------------------------------- */

static const struct target_group *group_at(struct lb *lb, const struct lb_place *p)
{
    size_t i = 0;
    while (strcmp(lb->pools[i], p->pool) != 0)
        i++;
    return &learnt(lb, p->peer)->list[i];
}

static bool elbv2_put(struct lb *lb, const struct lb_place *p, enum lb_state want, const char **ret_refusal)
{
    const struct target_group *g = group_at(lb, p);
    struct arena *a = op_arena(lb->op);
    struct aws_target t;
    struct aws_question q = {.service = aws_service_find("elbv2"),
                             .action = want == LB_READY ? "RegisterTargets" : "DeregisterTargets",
                             .changes = true};
    if (!target_parse(a, lb->server, &t)) {
        op_refused(lb->op, E_CONFIG, "balancer: \"%s\" is not INSTANCE, ADDRESS, or one of them with :PORT",
                   lb->server);
        return false;
    }
    aws_param(&q, "TargetGroupArn", g->arn);
    aws_param(&q, "Targets.member.1.Id", t.id);
    if (t.port || g->port)
        aws_param(&q, "Targets.member.1.Port", arena_printf(a, "%d", t.port ? t.port : g->port));
    if (op_arg(lb->op, "zone"))
        aws_param(&q, "Targets.member.1.AvailabilityZone", op_arg(lb->op, "zone"));
    return aws_lb_tell(lb, p->peer, &q, ret_refusal);
}

/* ---- the group's delay ----------------------------------------------------- */

static bool delay_of(struct lb *lb, size_t peer, const struct target_group *g, int64_t *ret)
{
    struct aws_question q = {.service = aws_service_find("elbv2"), .action = "DescribeTargetGroupAttributes"};
    struct aws_answer answer;
    const char *kept = aws_lb_known(lb, peer, "delay", g->arn);
    if (kept)
        return parse_seconds(kept, ret);
    aws_param(&q, "TargetGroupArn", g->arn);
    if (!aws_read(aws_lb_peer(lb, peer), &q, &answer))
        return false;
    const char *text = parse_attribute(answer.result, DELAY);
    if (!parse_seconds(text, ret)) {
        op_fail(lb->op, E_PROTO, "%s: target group %s: the answer has no usable " DELAY, lb->peers[peer].text,
                g->name);
        return false;
    }
    aws_lb_learnt(lb, peer, "delay", g->arn, text);
    return true;
}

static bool elbv2_fits(struct lb *lb, size_t peer)
{
    if (!learn(lb, peer))
        return false;
    for (size_t i = 0; i < lb->n_pools; i++) {
        const struct target_group *g = &learnt(lb, peer)->list[i];
        int64_t delay_s;
        if (!delay_of(lb, peer, g, &delay_s))
            return false;
        op_fact(lb->op, arena_printf(op_arena(lb->op), "lb.delay.%s.%s", lb->peers[peer].text, g->name),
                "%lld s", (long long)delay_s);
        if (!aws_lb_delay_fits(
                lb, arena_printf(op_arena(lb->op), "%s: target group %s", lb->peers[peer].text, g->name),
                delay_s))
            return false;
    }
    return true;
}

/* ---- what CloudWatch counts ------------------------------------------------- */

/* Behind "loadbalancer/" or as it is called: what the dimensions of its metrics are. */
static const char *tail_of(const char *arn, const char *head, bool with_head)
{
    const char *at = strstr(arn, head);
    return !at ? NULL : with_head ? at : at + strlen(head);
}

/* Groups of application load balancers: the others forward bytes, and nobody counts requests there. */
static bool elbv2_count_pools(struct lb *lb, size_t peer, struct lb_pool_traffic *ret, size_t *ret_n)
{
    struct groups *g = learnt(lb, peer);
    *ret_n = 0;
    if (!op_arg_bool(lb->op, "cloudwatch"))
        return true;
    for (size_t i = 0; i < lb->n_pools; i++)
        g->list[i].arn = NULL; /* what was kept does not say which balancer */
    if (!learn_some(lb, peer, false) || !learn_some(lb, peer, true))
        return false;
    for (size_t i = 0; i < lb->n_pools; i++) {
        struct aws_counted c = {.pool = lb->pools[i],
                                .balancer = tail_of(g->list[i].balancer, ":loadbalancer/", false),
                                .group = tail_of(g->list[i].arn, "targetgroup/", true)};
        if (!c.balancer || !c.group || !str_starts(c.balancer, "app/"))
            continue;
        if (!aws_lb_count(lb, peer, &c, &ret[*ret_n]))
            return false;
        (*ret_n)++;
    }
    return true;
}

/* ---- table ----------------------------------------------------------------- */

/* Of a group or of a target: the one has no [], the other no '/'. */
static bool target_valid(const char *name)
{
    return aws_group_valid(name) || aws_name_valid(name);
}

static const struct balancer elbv2_balancer = {
    .name = "elbv2",
    .can = LB_CAN_FORGET | LB_CAN_MEMBERSHIP | LB_CAN_LAG,
    .peers_param = "region",
    .shared_peers = true,
    .pools_param = "target_group",
    .server_param = "server",
    .words = {[LB_READY] = "registered", [LB_DRAIN] = "deregistered"},
    .pool_noun = "target group",
    .server_noun = "target",
    .deed = "deregistered",
    .up_words = "healthy",
    .many = "regions",
    .forgets = " (somebody registered it, or an Auto Scaling group did)",
    .stuck = "",
    .name_valid = target_valid,
    .name_wanted = "letters, digits and ._:/-, or INSTANCE, ADDRESS, [IPV6], or one of them with :PORT",
    .open = elbv2_open,
    .list = elbv2_list,
    .put = elbv2_put,
    .fits = elbv2_fits,
    .count = aws_lb_draining,
    .count_pools = elbv2_count_pools,
};

#define P_TARGET_GROUP                                                                                       \
    {                                                                                                        \
        .name = "target_group", .type = PARAM_LIST, .required = true,                                        \
        .help = "name or ARN of the target group, or a list of those that each node stands in"               \
    }

static const struct param node_params[] = {
    P_TARGET_GROUP,
    AWS_P_REGION,
    LB_P_SERVER,
    AWS_P_PROFILE,
    AWS_P_ENDPOINT,
    {.name = "zone", .type = PARAM_STR, .help = "`all` for addresses outside the group's network"},
    AWS_P_DRAIN_TIMEOUT,
    PARAM_END,
};
static const struct param fleet_params[] = {P_TARGET_GROUP, AWS_P_CLOUDWATCH, AWS_FLEET_PARAMS};

static const struct verb verbs[] = {
    {AWS_OBSERVE_ROW("elbv2"), LB_OF(elbv2_balancer, node_params),
     .help =
         "is the target deregistered from every group? records what was, and refuses a group whose delay is longer "
         "than drain_timeout"},
    {LB_DRAIN_ROW("elbv2"), LB_OF(elbv2_balancer, node_params),
     .help = "deregisters the target: no new requests, running ones have the group's delay to finish"},
    {AWS_WAIT_IDLE_ROW("elbv2"), LB_OF(elbv2_balancer, node_params),
     .help = "waits until the target is `draining` in no group any more"},
    {LB_ENABLE_ROW("elbv2", 120000), LB_OF(elbv2_balancer, node_params),
     .help = "registers the target again, with the port that it had"},
    {LB_ENABLED_ROW("elbv2"), LB_OF(elbv2_balancer, node_params),
     .help = "is the target registered as it was before the release?"},
    {AWS_WAIT_UP_ROW("elbv2"), LB_OF(elbv2_balancer, node_params),
     .help = "waits until every group calls the target healthy (or it was out before)"},
    {LB_GUARD_ROW("elbv2"), LB_OF(elbv2_balancer, node_params),
     .help = "is the target that we hold still deregistered everywhere?"},
    {LB_CAPACITY_ROW("elbv2"), LB_OF(elbv2_balancer, fleet_params),
     .help = "how many targets are healthy in every group"},
    {LB_SHOW_ROW("elbv2"), LB_OF(elbv2_balancer, fleet_params), .help = "every target as its group sees it"},
    {0},
};

extern const struct driver elbv2_driver;
const struct driver elbv2_driver = {
    .name = "elbv2",
    .help =
        "Application, Network and Gateway Load Balancers of AWS: targets are deregistered and registered. Needs "
        "credentials as AWS's own tools find them, and the rights that docs/balancers.md lists.",
    .verbs = verbs,
};
