/* SPDX-License-Identifier: MIT */
/* elb: classic load balancers. An instance is drained by deregistering it; connection draining must be on, or its running
 * requests would be cut. */
#include <string.h>

#include "drivers/balancer/aws/aws_lb.h"

static bool ask(struct lb *lb, size_t peer, const char *action, const char *name, struct aws_answer *ret)
{
    struct aws_question q = {.service = aws_service_find("elb"), .action = action};
    aws_param(&q, "LoadBalancerName", name);
    if (!aws_ask(aws_lb_peer(lb, peer), &q, ret))
        return false;
    if (ret->code &&
        (!strcmp(ret->code, "LoadBalancerNotFound") || !strcmp(ret->code, "AccessPointNotFound")))
        return aws_lb_unknown(lb, peer, "classic load balancer", name, "");
    if (ret->code)
        aws_fail(aws_lb_peer(lb, peer), &q, ret);
    return !ret->code;
}

static bool elb_list(struct lb *lb, size_t peer, enum lb_ask what, struct lb_table *ret)
{
    struct err err = {0};
    (void)what;
    *ret = (struct lb_table){.n = 0};
    for (size_t i = 0; i < lb->n_pools; i++) {
        struct aws_answer answer;
        if (!ask(lb, peer, "DescribeInstanceHealth", lb->pools[i], &answer))
            return false;
        if (!parse_instance_health(answer.result, lb->pools[i], op_arena(lb->op), ret, &err))
            return lb_not_understood(lb, peer, &err);
    }
    return true;
}

static bool elb_put(struct lb *lb, const struct lb_place *p, enum lb_state want, const char **ret_refusal)
{
    struct aws_question q = {.service = aws_service_find("elb"),
                             .action = want == LB_READY ? "RegisterInstancesWithLoadBalancer"
                                                        : "DeregisterInstancesFromLoadBalancer",
                             .changes = true};
    aws_param(&q, "LoadBalancerName", p->pool);
    aws_param(&q, "Instances.member.1.InstanceId", lb->server);
    return aws_lb_tell(lb, p->peer, &q, ret_refusal);
}

static bool delay_fits(struct lb *lb, size_t peer, const char *name)
{
    struct aws_answer answer;
    int64_t delay_s;
    if (!ask(lb, peer, "DescribeLoadBalancerAttributes", name, &answer))
        return false;
    const struct xml *draining = xml_get(answer.result, "LoadBalancerAttributes/ConnectionDraining");
    const char *what = arena_printf(op_arena(lb->op), "%s: load balancer %s", lb->peers[peer].text, name);
    if (strcmp(xml_text(draining, "Enabled"), "true") != 0) {
        op_refused(lb->op, E_CONFIG,
                   "%s: connection draining is off, so running requests would be cut; switch it on "
                   "(ModifyLoadBalancerAttributes)",
                   what);
        return false;
    }
    if (!parse_seconds(xml_text(draining, "Timeout"), &delay_s)) {
        op_fail(lb->op, E_PROTO, "%s: the answer has no usable time for connection draining", what);
        return false;
    }
    return aws_lb_delay_fits(lb, what, delay_s);
}

static bool elb_fits(struct lb *lb, size_t peer)
{
    for (size_t i = 0; i < lb->n_pools; i++) {
        if (!delay_fits(lb, peer, lb->pools[i]))
            return false;
    }
    return true;
}

static bool elb_count_pools(struct lb *lb, size_t peer, struct lb_pool_traffic *ret, size_t *ret_n)
{
    *ret_n = 0;
    for (size_t i = 0; op_arg_bool(lb->op, "cloudwatch") && i < lb->n_pools; i++) {
        const struct aws_counted c = {.pool = lb->pools[i], .balancer = lb->pools[i]};
        if (!aws_lb_count(lb, peer, &c, &ret[*ret_n]))
            return false;
        (*ret_n)++;
    }
    return true;
}

static const struct balancer elb_balancer = {
    .name = "elb",
    .can = LB_CAN_FORGET | LB_CAN_MEMBERSHIP | LB_CAN_LAG,
    .peers_param = "region",
    .shared_peers = true,
    .pools_param = "name",
    .server_param = "server",
    .words = {[LB_READY] = "registered", [LB_DRAIN] = "deregistered"},
    .pool_noun = "load balancer",
    .server_noun = "instance",
    .deed = "deregistered",
    .up_words = "InService",
    .many = "regions",
    .forgets = " (somebody registered it, or an Auto Scaling group did)",
    .stuck = "",
    .name_valid = aws_group_valid,
    .name_wanted = "letters, digits and ._:/-, at most 256, no - first",
    .open = aws_lb_open,
    .list = elb_list,
    .put = elb_put,
    .fits = elb_fits,
    .count = aws_lb_draining,
    .count_pools = elb_count_pools,
};

#define P_NAME                                                                                               \
    {                                                                                                        \
        .name = "name", .type = PARAM_LIST, .required = true,                                                \
        .help = "name of the load balancer, or a list of those that each node stands in"                     \
    }

static const struct param node_params[] = {P_NAME,         AWS_P_REGION,        LB_P_SERVER, AWS_P_PROFILE,
                                           AWS_P_ENDPOINT, AWS_P_DRAIN_TIMEOUT, PARAM_END};
static const struct param fleet_params[] = {P_NAME, AWS_P_CLOUDWATCH, AWS_FLEET_PARAMS};

static const struct verb verbs[] = {
    {AWS_OBSERVE_ROW("elb"), LB_OF(elb_balancer, node_params),
     .help =
         "is the instance deregistered everywhere? records what was, and refuses a balancer that does not drain in time"},
    {LB_DRAIN_ROW("elb"), LB_OF(elb_balancer, node_params),
     .help = "deregisters the instance: no new requests, running ones have the time of connection draining"},
    {AWS_WAIT_IDLE_ROW("elb"), LB_OF(elb_balancer, node_params),
     .help = "waits until the instance drains nowhere any more"},
    {LB_ENABLE_ROW("elb", 120000), LB_OF(elb_balancer, node_params), .help = "registers the instance again"},
    {LB_ENABLED_ROW("elb"), LB_OF(elb_balancer, node_params),
     .help = "is the instance registered as it was before the release?"},
    {AWS_WAIT_UP_ROW("elb"), LB_OF(elb_balancer, node_params),
     .help = "waits until every balancer calls the instance InService (or it was out before)"},
    {LB_GUARD_ROW("elb"), LB_OF(elb_balancer, node_params),
     .help = "is the instance that we hold still deregistered everywhere?"},
    {LB_CAPACITY_ROW("elb"), LB_OF(elb_balancer, fleet_params),
     .help = "how many instances are InService on every balancer"},
    {LB_SHOW_ROW("elb"), LB_OF(elb_balancer, fleet_params), .help = "every instance as its balancer sees it"},
    {0},
};

extern const struct driver elb_driver;
const struct driver elb_driver = {
    .name = "elb",
    .help =
        "Classic load balancers of AWS: instances are deregistered and registered. Credentials and rights as for elbv2.",
    .verbs = verbs,
};
