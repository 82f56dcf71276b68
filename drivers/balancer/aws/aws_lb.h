/* SPDX-License-Identifier: MIT */
/* What the balancers of AWS share: elbv2 (target groups), elb (classic), asg (Auto Scaling groups). A region is the
 * balancer that is asked, a group is a pool of it, an instance or address a server.
 *
 * parse.c takes answers apart and does no I/O. */
#ifndef RELEASE_DRIVERS_BALANCER_AWS_LB_H
#define RELEASE_DRIVERS_BALANCER_AWS_LB_H

#include "drivers/aws/aws.h"
#include "drivers/balancer/balancer.h"

/* ---- open, ask: common.c -------------------------------------------------------------------------------- */

/* peers are regions; each gets its client. */
bool aws_lb_open(struct lb *lb);
struct aws *aws_lb_peer(struct lb *lb, size_t peer);
/* There is no such thing for these credentials; `more`: what is there, or "". The op fails. */
bool aws_lb_unknown(struct lb *lb, size_t peer, const char *noun, const char *name, const char *more);
/* A change. What AWS says against it is *ret_refusal. false: op failed. */
bool aws_lb_tell(struct lb *lb, size_t peer, const struct aws_question *q, const char **ret_refusal);
/* Is the time that a group gives running requests longer than drain_timeout? Said before anything is touched. */
bool aws_lb_delay_fits(struct lb *lb, const char *what, int64_t delay_s);
/* Servers that still drain, on all groups. */
bool aws_lb_draining(struct lb *lb, int64_t *ret);
/* Names that the op is about: the node's server, or those of all nodes. */
const char *const *aws_lb_asked(struct lb *lb, size_t *ret_n);
/* Kept a while for all ops: what a group is. */
const char *aws_lb_known(struct lb *lb, size_t peer, const char *kind, const char *name);
void aws_lb_learnt(struct lb *lb, size_t peer, const char *kind, const char *name, const char *value);

/* What CloudWatch counts by: cloudwatch.c. */
struct aws_counted {
    const char *pool;     /* its name here */
    const char *balancer; /* "app/site/50dc6c495c0c9188"; of a classic one its name */
    const char *group;    /* "targetgroup/site/73e2d6bc24d8a067"; NULL: a classic balancer */
};
bool aws_lb_count(struct lb *lb, size_t peer, const struct aws_counted *c, struct lb_pool_traffic *ret);

bool aws_name_valid(const char *name);     /* instance or address, perhaps with a port */
bool aws_group_valid(const char *name);    /* a group's name, or its ARN */
bool aws_instance_valid(const char *name); /* i-0123... */

/* ---- answers: parse.c ----------------------------------------------------------------------------------- */

struct aws_target {
    const char *id;
    int port; /* 0: the group's own */
};
/* "i-0123", "i-0123:8080", "10.0.0.1:8080", "2001:db8::1", "[2001:db8::1]:8080". */
bool target_parse(struct arena *a, const char *name, struct aws_target *ret);
/* How a row is called: with its port when that is not the group's own, or when it was asked for so. */
const char *target_name(struct arena *a, const struct aws_target *t, int own_port, const char *const *asked,
                        size_t n_asked);

struct target_group {
    const char *name, *arn, *type;
    int port;
    const char *balancer; /* ARN of the (first) load balancer that uses it; "" */
};
/* Of DescribeTargetGroups. */
bool parse_target_groups(const struct xml *result, struct arena *a, struct target_group **ret, size_t *ret_n,
                         struct err *err);
/* The name in an ARN of a target group, its region; false: it is none. */
bool target_group_arn(struct arena *a, const char *arn, const char **ret_name, const char **ret_region);
/* Of DescribeTargetHealth, DescribeInstanceHealth, DescribeAutoScalingGroups: the rows of one group, behind those that
 * are there. zone_all: a target of another network is among `asked`. */
bool parse_target_health(const struct xml *result, const struct target_group *g, const char *const *asked,
                         size_t n_asked, struct arena *a, struct lb_table *io, const char **ret_zone_all,
                         struct err *err);
bool parse_instance_health(const struct xml *result, const char *pool, struct arena *a, struct lb_table *io,
                           struct err *err);

struct scaling_group {
    const char *name;
    int64_t min, desired;
    const char *suspended; /* "AZRebalance Launch", "" */
    bool several_zones;
};
bool parse_scaling_groups(const struct xml *result, struct arena *a, struct scaling_group *ret_groups,
                          size_t *ret_n, size_t max, struct lb_table *io, struct err *err);
/* Of GetMetricData, as cloudwatch.c asks it. */
bool parse_metric_data(const struct xml *result, struct lb_traffic *ret, struct err *err);
/* The value of an attribute as ELB lists them; NULL: not there. */
const char *parse_attribute(const struct xml *result, const char *key);
bool parse_seconds(const char *text, int64_t *ret);

/* ---- tables --------------------------------------------------------------------------------------------- */

#define AWS_P_REGION                                                                                         \
    {                                                                                                        \
        .name = "region", .type = PARAM_LIST, .required = true,                                              \
        .help = "region of AWS that the group is in: eu-central-1"                                           \
    }
#define AWS_P_DRAIN_TIMEOUT                                                                                  \
    {                                                                                                        \
        .name = "drain_timeout", .type = PARAM_DURATION, .deflt = "60s",                                     \
        .help = "how long to wait until nothing drains any more; must be longer than the group's own delay"  \
    }
#define AWS_P_CLOUDWATCH                                                                                     \
    {                                                                                                        \
        .name = "cloudwatch", .type = PARAM_BOOL, .deflt = "no",                                             \
        .help = "`release lb` asks CloudWatch what went through each group, too"                             \
    }
#define AWS_FLEET_PARAMS                                                                                     \
    AWS_P_REGION, AWS_P_PROFILE, AWS_P_ENDPOINT,                                                             \
        {.name = "servers", .type = PARAM_LIST, .help = "servers of the plan's nodes; default: all"},        \
        PARAM_END
#define AWS_WAIT_IDLE_ROW(k)                                                                                 \
    LB_READ_ROW(k, wait_idle, 60000), .does = DOES_IDLE, .counts = "still draining", .waits = true,          \
                                      .deadline = LB_DEADLINE, .interval_ms = 2000
#define AWS_WAIT_UP_ROW(k)                                                                                   \
    LB_READ_ROW(k, wait_up, 300000), .does = DOES_WAIT_UP, .waits = true, .interval_ms = 2000
#define AWS_OBSERVE_ROW(k) LB_READ_ROW(k, observe, 30000)

#endif
