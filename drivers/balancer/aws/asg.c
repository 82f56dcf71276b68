/* SPDX-License-Identifier: MIT */
/* asg: Auto Scaling groups. An instance that is worked on stands by: the group neither replaces it for being unhealthy nor
 * counts it, and takes it out of the target groups that it manages. */
#include <string.h>

#include "base/str.h"
#include "drivers/balancer/aws/aws_lb.h"

static const struct scaling_group *group_find(const struct scaling_group *groups, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(groups[i].name, name))
            return &groups[i];
    }
    return NULL;
}

/* It is not in its group: AWS, or somebody, put another in its place. */
static bool is_there(struct lb *lb, size_t peer, const char *group, const struct lb_table *t)
{
    auto_buf struct buf b = BUF_INIT(300);
    if (!lb->server || lb_table_find(t, group, lb->server))
        return true;
    for (size_t i = 0; i < t->n; i++) {
        if (!strcmp(t->rows[i].pool, group))
            buf_printf(&b, "%s%s", b.len ? ", " : "", t->rows[i].name);
    }
    op_refused(
        lb->op, E_NOTFOUND,
        "%s: Auto Scaling group %s has no instance %s: it was never there, or was replaced (there: %s%s). Give the "
        "node its new instance (lb_server), or leave it out with --exclude",
        lb->peers[peer].text, group, lb->server, b.len ? buf_str(&b) : "none", b.cut ? "..." : "");
    return false;
}

static bool groups_read(struct lb *lb, size_t peer, struct lb_table *ret, struct scaling_group *ret_groups,
                        size_t *ret_n)
{
    struct aws_question q = {.service = aws_service_find("autoscaling"),
                             .action = "DescribeAutoScalingGroups"};
    struct aws_answer answer;
    struct err err = {0};
    *ret = (struct lb_table){.n = 0};
    for (size_t i = 0; i < lb->n_pools; i++)
        aws_param(&q, arena_printf(op_arena(lb->op), "AutoScalingGroupNames.member.%zu", i + 1),
                  lb->pools[i]);
    if (!aws_read(aws_lb_peer(lb, peer), &q, &answer))
        return false;
    if (parse_scaling_groups(answer.result, op_arena(lb->op), ret_groups, ret_n, lb->n_pools, ret, &err))
        return true;
    return lb_not_understood(lb, peer, &err);
}

static bool asg_list(struct lb *lb, size_t peer, enum lb_ask ask, struct lb_table *ret)
{
    struct scaling_group groups[LB_POOLS_MAX];
    size_t n;
    (void)ask;
    if (!groups_read(lb, peer, ret, groups, &n))
        return false;
    for (size_t i = 0; i < lb->n_pools; i++) {
        if (!group_find(groups, n, lb->pools[i]))
            return aws_lb_unknown(lb, peer, "Auto Scaling group", lb->pools[i], "");
        if (!is_there(lb, peer, lb->pools[i], ret))
            return false;
    }
    return true;
}

static bool asg_put(struct lb *lb, const struct lb_place *p, enum lb_state want, const char **ret_refusal)
{
    struct aws_question q = {.service = aws_service_find("autoscaling"),
                             .action = want == LB_READY ? "ExitStandby" : "EnterStandby",
                             .changes = true};
    aws_param(&q, "AutoScalingGroupName", p->pool);
    aws_param(&q, "InstanceIds.member.1", lb->server);
    if (want != LB_READY)
        aws_param(&q, "ShouldDecrementDesiredCapacity", op_arg_bool(lb->op, "decrement") ? "true" : "false");
    return aws_lb_tell(lb, p->peer, &q, ret_refusal);
}

/* EnterStandby is refused where it would leave fewer than MinSize: better told before. How many are out at a time is the plan's to
 * say, so this asks for room for one. */
static bool asg_fits(struct lb *lb, size_t peer)
{
    struct scaling_group groups[LB_POOLS_MAX];
    struct lb_table t;
    size_t n;
    if (!groups_read(lb, peer, &t, groups, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct scaling_group *g = &groups[i];
        const struct lb_server *s = lb_table_find(&t, g->name, lb->server);
        if (!s || s->state != LB_READY || !op_arg_bool(lb->op, "decrement"))
            continue;
        if (g->several_zones && !strstr(g->suspended, "AZRebalance"))
            op_say(
                lb->op,
                "%s: Auto Scaling group %s may rebalance its zones while instances stand by: suspend AZRebalance",
                lb->peers[peer].text, g->name);
        if (g->desired > g->min)
            continue;
        op_refused(
            lb->op, E_CONFIG,
            "%s: Auto Scaling group %s wants %lld instances and at least %lld, so none may stand by; lower its MinSize, "
            "or say `decrement: no` (it then starts another instance for each that stands by)",
            lb->peers[peer].text, g->name, (long long)g->desired, (long long)g->min);
        return false;
    }
    return true;
}

static const struct balancer asg_balancer = {
    .name = "asg",
    .can = LB_CAN_FORGET | LB_CAN_MEMBERSHIP | LB_CAN_LAG,
    .peers_param = "region",
    .shared_peers = true,
    .pools_param = "group",
    .server_param = "server",
    .words = {[LB_READY] = "in-service", [LB_DRAIN] = "standby"},
    .pool_noun = "Auto Scaling group",
    .server_noun = "instance",
    .deed = "put to standby",
    .up_words = "InService and Healthy",
    .many = "regions",
    .forgets = " (somebody ended the standby)",
    .stuck = "",
    .name_valid = aws_group_valid,
    .name_wanted = "letters, digits and ._:/-, at most 256, no - first",
    .open = aws_lb_open,
    .list = asg_list,
    .put = asg_put,
    .fits = asg_fits,
    .count = aws_lb_draining,
};

#define P_GROUP                                                                                              \
    {                                                                                                        \
        .name = "group", .type = PARAM_LIST, .required = true, .help = "name of the Auto Scaling group"      \
    }

static const struct param node_params[] = {
    P_GROUP,
    AWS_P_REGION,
    LB_P_SERVER,
    AWS_P_PROFILE,
    AWS_P_ENDPOINT,
    {.name = "decrement",
     .type = PARAM_BOOL,
     .deflt = "yes",
     .help = "the group wants one less while an instance stands by, so that it starts no other"},
    AWS_P_DRAIN_TIMEOUT,
    PARAM_END,
};
static const struct param fleet_params[] = {P_GROUP, AWS_FLEET_PARAMS};

static const struct verb verbs[] = {
    {AWS_OBSERVE_ROW("asg"), LB_OF(asg_balancer, node_params),
     .help = "does the instance stand by? records what was, and refuses a group that is at its MinSize"},
    {LB_DRAIN_ROW("asg"), LB_OF(asg_balancer, node_params),
     .help =
         "lets the instance stand by: it is neither replaced nor counted, and leaves the group's balancers"},
    {AWS_WAIT_IDLE_ROW("asg"), LB_OF(asg_balancer, node_params),
     .help = "waits until the instance stands by"},
    {LB_ENABLE_ROW("asg", 120000), LB_OF(asg_balancer, node_params),
     .help = "puts the instance into service again"},
    {LB_ENABLED_ROW("asg"), LB_OF(asg_balancer, node_params),
     .help = "is the instance in service as before the release?"},
    {AWS_WAIT_UP_ROW("asg"), LB_OF(asg_balancer, node_params),
     .help = "waits until the group calls the instance InService and Healthy (or it was out before)"},
    {LB_GUARD_ROW("asg"), LB_OF(asg_balancer, node_params),
     .help = "does the instance that we hold still stand by?"},
    {LB_CAPACITY_ROW("asg"), LB_OF(asg_balancer, fleet_params),
     .help = "how many instances are in service in every group"},
    {LB_SHOW_ROW("asg"), LB_OF(asg_balancer, fleet_params), .help = "every instance as its group sees it"},
    {0},
};

extern const struct driver asg_driver;
const struct driver asg_driver = {
    .name = "asg",
    .help =
        "Auto Scaling groups of AWS: a node's instance stands by while it is worked on. Goes before an elbv2 block for "
        "target groups that the group does not manage. Credentials as for elbv2.",
    .verbs = verbs,
};
