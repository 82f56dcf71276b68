/* SPDX-License-Identifier: MIT */
/* elbv2, elb and asg, for kinds.h: moto behind the strict layer of tests/lib/aws_world.py, which boto3 asks and an operator's boto3
 * tells. Target groups of addresses stand in two regions; an instance is in one region and, as far as this goes, in one group. */
#include "unit/kinds.h"

#include "unit/aws_env.h"

#include <jansson.h>

#define AWS_PEERS 2
static const char *const aws_regions[AWS_PEERS] = {"eu-west-1", "us-east-1"};

static struct aws_world {
    pid_t daemon, app;
    int port, app_port;
    struct middle middle;
    char endpoint[64], group[AWS_PEERS][200], subnet[AWS_PEERS][40], vpc[AWS_PEERS][40], ids[3][40];
} aws;

/* What the layer answers; the caller gives it back. */
static json_t *aws_world(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static json_t *aws_world(const char *fmt, ...)
{
    char text[3000], json[2500];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(json, sizeof json, fmt, ap);
    va_end(ap);
    snprintf(text, sizeof text, "POST /_world HTTP/1.0\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(json), json);
    const char *answer = rig_talk(aws.port, text), *body = strstr(answer, "\r\n\r\n");
    json_t *got = body ? json_loads(body, 0, NULL) : NULL;
    if (!got)
        fail_msg("%s: %s", json, answer);
    return got;
}

static json_t *aws_boto(size_t peer, const char *service, const char *method, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static json_t *aws_boto(size_t peer, const char *service, const char *method, const char *fmt, ...)
{
    char args[2000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(args, sizeof args, fmt, ap);
    va_end(ap);
    return aws_world("{\"boto\": [\"%s\", \"%s\", {%s}, \"%s\"]}", service, method, args, aws_regions[peer]);
}

/* A text of the answer, by a path of keys. */
static void aws_take(json_t *answer, const char *list, const char *key, char *ret, size_t max)
{
    json_t *at = json_object_get(answer, list);
    at = json_is_array(at) ? json_array_get(at, 0) : at;
    assert_non_null(json_string_value(json_object_get(at, key)));
    snprintf(ret, max, "%s", json_string_value(json_object_get(at, key)));
    json_decref(answer);
}

static void aws_make_region(size_t r)
{
    aws_take(aws_boto(r, "ec2", "create_vpc", "\"CidrBlock\": \"10.0.0.0/24\""), "Vpc", "VpcId", aws.vpc[r],
             sizeof aws.vpc[r]);
    aws_take(
        aws_boto(r, "ec2", "create_subnet", "\"VpcId\": \"%s\", \"CidrBlock\": \"10.0.0.0/24\"", aws.vpc[r]),
        "Subnet", "SubnetId", aws.subnet[r], sizeof aws.subnet[r]);
}

/* For all three kinds, once. */
static bool aws_start(const char **ret_why)
{
    static char python[300];
    if (aws.daemon)
        return true;
    snprintf(
        python, sizeof python, "%s",
        rig_says(
            "python3 -c 'import sys; sys.path.insert(0, \"%s/tests/lib\"); import salt_env; print(salt_env.path(\"aws\"))' 2>&1",
            SOURCE_DIR));
    python[strcspn(python, "\n")] = '\0';
    strcat(python, "/bin/python3");
    if (access(python, X_OK) != 0) {
        *ret_why = "moto cannot be installed here";
        return false;
    }
    static char world[300], port[8];
    aws.port = port_pick(), aws.app_port = port_pick();
    snprintf(world, sizeof world, "%s/tests/lib/aws_world.py", SOURCE_DIR);
    snprintf(port, sizeof port, "%d", aws.port);
    aws.daemon = rig_spawn((const char *const[]){python, "-B", world, "127.0.0.1", port, NULL});
    aws.app = rig_app(aws.app_port);
    rig_until(rig_port_open(aws.port));
    middle_start(&aws.middle, aws.port);
    snprintf(aws.endpoint, sizeof aws.endpoint, "http://127.0.0.1:%d", aws.middle.port);
    aws_env_forget();
    setenv("AWS_ACCESS_KEY_ID", "AKIDWORLD", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "s3cret/World+Key", 1);
    setenv("HOME", rig_dir, 1);
    for (size_t r = 0; r < AWS_PEERS; r++)
        aws_make_region(r);
    return true;
}

static void aws_stop(void) /* the others use it, too; it dies with us */
{
}

static size_t aws_args(struct op_pair *ret, const char *regions)
{
    size_t n = args_add(ret, args_add(ret, 0, "region", regions), "endpoint", aws.endpoint);
    return args_add(ret, n, "drain_timeout", "20s");
}

/* 500 after it was done: nobody knows that it was. */
static void aws_fault_on(size_t peer, enum fault f, const char *action)
{
    static const char denied[] =
        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not now</Message></Error></ErrorResponse>";
    bool says = f == FAULT_REFUSES || f == FAULT_LOSES; /* the layer itself does */
    middle_fault(&aws.middle, says ? FAULT_NONE : f, aws.daemon);
    if (f == FAULT_STOPPED)
        return;
    if (says)
        json_decref(aws_world(
            "{\"fault\": [{\"action\": \"%s\", \"region\": \"%s\", \"status\": %d, \"body\": \"%s\", "
            "\"does\": %s, \"times\": %d}]}",
            action, aws_regions[peer], f == FAULT_LOSES ? 500 : 403,
            f == FAULT_LOSES ? "<html>later</html>" : denied, f == FAULT_LOSES ? "true" : "false",
            f == FAULT_LOSES ? 1 : 1000));
    else
        json_decref(aws_world("{\"fault\": []}"));
}

/* ---- elbv2 --------------------------------------------------------------------------------------------------- */

static enum seen elbv2_shows(size_t peer, const char *server)
{
    json_t *got = aws_boto(peer, "elbv2", "describe_target_health", "\"TargetGroupArn\": \"%s\"",
                           aws.group[peer]),
           *one;
    enum seen seen = SEEN_OUT;
    size_t i;
    json_array_foreach(json_object_get(got, "TargetHealthDescriptions"), i, one)
    {
        const char *id = json_string_value(json_object_get(json_object_get(one, "Target"), "Id"));
        const char *state = json_string_value(json_object_get(json_object_get(one, "TargetHealth"), "State"));
        if (!strcmp(id, server) && strcmp(state, "draining") != 0)
            seen = !strcmp(state, "healthy") ? SEEN_IN : SEEN_NONE;
    }
    json_decref(got);
    return seen;
}

static void elbv2_hand(size_t peer, const char *server, enum seen want)
{
    json_decref(aws_boto(peer, "elbv2", want == SEEN_IN ? "register_targets" : "deregister_targets",
                         "\"TargetGroupArn\": \"%s\", \"Targets\": [{\"Id\": \"%s\", \"Port\": 80}]",
                         aws.group[peer], server));
}

static bool elbv2_start(const char **ret_why)
{
    if (!aws_start(ret_why))
        return false;
    for (size_t r = 0; r < AWS_PEERS; r++) {
        aws_take(
            aws_boto(
                r, "elbv2", "create_target_group",
                "\"Name\": \"site\", \"Protocol\": \"HTTP\", \"Port\": 80, \"TargetType\": \"ip\", \"VpcId\": \"%s\"",
                aws.vpc[r]),
            "TargetGroups", "TargetGroupArn", aws.group[r], sizeof aws.group[r]);
        json_decref(aws_boto(
            r, "elbv2", "modify_target_group_attributes",
            "\"TargetGroupArn\": \"%s\", \"Attributes\": [{\"Key\": \"deregistration_delay.timeout_seconds\", "
            "\"Value\": \"1\"}]",
            aws.group[r]));
        json_decref(aws_world("{\"delay\": {\"%s\": 1}}", aws.group[r]));
    }
    for (int i = 1; i <= 3; i++)
        json_decref(aws_world("{\"health\": {\"10.0.0.%d\": \"127.0.0.1:%d\"}}", i, aws.app_port));
    return true;
}

static void elbv2_fault(size_t peer, enum fault f)
{
    aws_fault_on(peer, f, "DeregisterTargets");
}

static void elbv2_fresh(void)
{
    elbv2_fault(0, FAULT_NONE);
    for (size_t r = 0; r < AWS_PEERS; r++)
        for (int i = 1; i <= 3; i++) {
            char name[16];
            snprintf(name, sizeof name, "10.0.0.%d", i);
            elbv2_hand(r, name, SEEN_IN);
            rig_until(elbv2_shows(r, name) == SEEN_IN);
        }
}

static size_t elbv2_args(struct op_pair *ret)
{
    return args_add(ret, aws_args(ret, "[\"eu-west-1\",\"us-east-1\"]"), "target_group", "[\"site\"]");
}

static void elbv2_forget(size_t peer)
{
    elbv2_hand(peer, "10.0.0.1", SEEN_IN);
}

#define AWS_CAN (LB_CAN_FORGET | LB_CAN_MEMBERSHIP)

static struct kind elbv2_kind = {
    .name = "elbv2",
    .server_param = "server",
    .servers = {"10.0.0.1", "10.0.0.2", "10.0.0.3"},
    .can = AWS_CAN,
    .peers = AWS_PEERS,
    .late = true,
    .out_is_gone = true,
    .start = elbv2_start,
    .stop = aws_stop,
    .fresh = elbv2_fresh,
    .args = elbv2_args,
    .shows = elbv2_shows,
    .hand = elbv2_hand,
    .forget = elbv2_forget,
    .fault = elbv2_fault,
};

/* ---- elb ----------------------------------------------------------------------------------------------------- */

static void aws_make_instances(struct kind *k)
{
    for (int i = 0; i < 3; i++) {
        if (!aws.ids[i][0])
            aws_take(
                aws_boto(
                    0, "ec2", "run_instances",
                    "\"ImageId\": \"ami-12c6146b\", \"MinCount\": 1, \"MaxCount\": 1, \"SubnetId\": \"%s\"",
                    aws.subnet[0]),
                "Instances", "InstanceId", aws.ids[i], sizeof aws.ids[i]);
        k->servers[i] = aws.ids[i];
    }
}

static size_t aws_one_region(struct op_pair *ret)
{
    return aws_args(ret, "[\"eu-west-1\"]");
}

static enum seen elb_shows(size_t peer, const char *server)
{
    json_t *got = aws_boto(peer, "elb", "describe_load_balancers", "\"LoadBalancerNames\": [\"old\"]"), *one;
    json_t *lb = json_array_get(json_object_get(got, "LoadBalancerDescriptions"), 0);
    enum seen seen = SEEN_OUT;
    size_t i;
    json_array_foreach(json_object_get(lb, "Instances"), i, one)
    {
        if (!strcmp(json_string_value(json_object_get(one, "InstanceId")), server))
            seen = SEEN_IN;
    }
    json_decref(got);
    return seen;
}

static void elb_hand(size_t peer, const char *server, enum seen want)
{
    json_decref(aws_boto(peer, "elb",
                         want == SEEN_IN ? "register_instances_with_load_balancer"
                                         : "deregister_instances_from_load_balancer",
                         "\"LoadBalancerName\": \"old\", \"Instances\": [{\"InstanceId\": \"%s\"}]", server));
}

static struct kind elb_kind, asg_kind;

static bool elb_start(const char **ret_why)
{
    if (!aws_start(ret_why))
        return false;
    aws_make_instances(&elb_kind);
    json_decref(aws_boto(
        0, "elb", "create_load_balancer",
        "\"LoadBalancerName\": \"old\", \"Subnets\": [\"%s\"], \"Listeners\": [{\"Protocol\": \"HTTP\", "
        "\"LoadBalancerPort\": 80, \"InstancePort\": 80}]",
        aws.subnet[0]));
    json_decref(aws_boto(
        0, "elb", "modify_load_balancer_attributes",
        "\"LoadBalancerName\": \"old\", \"LoadBalancerAttributes\": {\"ConnectionDraining\": {\"Enabled\": true, "
        "\"Timeout\": 5}}"));
    return true;
}

static void elb_fault(size_t peer, enum fault f)
{
    aws_fault_on(peer, f, "DeregisterInstancesFromLoadBalancer");
}

static void elb_fresh(void)
{
    elb_fault(0, FAULT_NONE);
    for (int i = 0; i < 3; i++)
        if (elb_shows(0, aws.ids[i]) != SEEN_IN)
            elb_hand(0, aws.ids[i], SEEN_IN);
}

static size_t elb_args(struct op_pair *ret)
{
    return args_add(ret, aws_one_region(ret), "name", "[\"old\"]");
}

static void elb_forget(size_t peer)
{
    elb_hand(peer, aws.ids[0], SEEN_IN);
}

static struct kind elb_kind = {
    .name = "elb",
    .server_param = "server",
    .can = AWS_CAN,
    .peers = 1,
    .out_is_gone = true,
    .start = elb_start,
    .stop = aws_stop,
    .fresh = elb_fresh,
    .args = elb_args,
    .shows = elb_shows,
    .hand = elb_hand,
    .forget = elb_forget,
    .fault = elb_fault,
};

/* ---- asg ----------------------------------------------------------------------------------------------------- */

static enum seen asg_shows(size_t peer, const char *server)
{
    json_t *got =
        aws_boto(peer, "autoscaling", "describe_auto_scaling_instances", "\"InstanceIds\": [\"%s\"]", server);
    const char *state = json_string_value(
        json_object_get(json_array_get(json_object_get(got, "AutoScalingInstances"), 0), "LifecycleState"));
    enum seen seen = !state                        ? SEEN_NONE
                     : !strcmp(state, "InService") ? SEEN_IN
                     : !strcmp(state, "Standby")   ? SEEN_OUT
                                                   : SEEN_NONE;
    json_decref(got);
    return seen;
}

static void asg_hand(size_t peer, const char *server, enum seen want)
{
    json_decref(aws_boto(peer, "autoscaling", want == SEEN_IN ? "exit_standby" : "enter_standby",
                         "\"AutoScalingGroupName\": \"web\", \"InstanceIds\": [\"%s\"]%s", server,
                         want == SEEN_IN ? "" : ", \"ShouldDecrementDesiredCapacity\": true"));
}

static bool asg_start(const char **ret_why)
{
    if (!aws_start(ret_why))
        return false;
    aws_make_instances(&asg_kind);
    json_decref(aws_boto(
        0, "autoscaling", "create_launch_configuration",
        "\"LaunchConfigurationName\": \"web\", \"ImageId\": \"ami-12c6146b\", \"InstanceType\": \"t3.micro\""));
    json_decref(aws_boto(
        0, "autoscaling", "create_auto_scaling_group",
        "\"AutoScalingGroupName\": \"web\", \"LaunchConfigurationName\": \"web\", \"MinSize\": 0, \"MaxSize\": 9, "
        "\"DesiredCapacity\": 0, \"VPCZoneIdentifier\": \"%s\"",
        aws.subnet[0]));
    json_decref(aws_boto(0, "autoscaling", "attach_instances",
                         "\"AutoScalingGroupName\": \"web\", \"InstanceIds\": [\"%s\",\"%s\",\"%s\"]",
                         aws.ids[0], aws.ids[1], aws.ids[2]));
    return true;
}

static void asg_fault(size_t peer, enum fault f)
{
    aws_fault_on(peer, f, "EnterStandby");
}

static void asg_fresh(void)
{
    asg_fault(0, FAULT_NONE);
    for (int i = 0; i < 3; i++)
        if (asg_shows(0, aws.ids[i]) != SEEN_IN)
            asg_hand(0, aws.ids[i], SEEN_IN);
}

static size_t asg_args(struct op_pair *ret)
{
    return args_add(ret, args_add(ret, aws_one_region(ret), "group", "[\"web\"]"), "decrement", "yes");
}

static void asg_forget(size_t peer)
{
    asg_hand(peer, aws.ids[0], SEEN_IN);
}

static struct kind asg_kind = {
    .name = "asg",
    .server_param = "server",
    .can = AWS_CAN,
    .peers = 1,
    .start = asg_start,
    .stop = aws_stop,
    .fresh = asg_fresh,
    .args = asg_args,
    .shows = asg_shows,
    .hand = asg_hand,
    .forget = asg_forget,
    .fault = asg_fault,
};
