/* SPDX-License-Identifier: MIT */
/* AWS's verbs against a small server that answers as each test says: what a call without an answer means, credentials that have to
 * be asked for, and balancers that show late what they were told. */
#include "unit/aws_rig.h"

/* ---- aws.call -------------------------------------------------------------- */

#define SNAPSHOT(at, who)                                                                                    \
    {"service", "ec2"}, {"action", "CreateSnapshot"}, {"params", "{\"VolumeId\": \"vol-1\"}"},               \
        {"keep", "[\"snapshotId\", \"nothing\"]"}, {"region", "eu-west-1"}, {"profile", (who)},              \
    {                                                                                                        \
        "endpoint", (at)                                                                                     \
    }
#define MADE                                                                                                 \
    "<CreateSnapshotResponse><requestId>r-7</requestId><snapshotId>snap-1</snapshotId></CreateSnapshotResponse>"
#define ERROR(code)                                                                                          \
    "<Response><Errors><Error><Code>" code "</Code><Message>no</Message></Error></Errors></Response>"

/* Done, certainly not done, or nobody knows: the release passes over none but the first. */
static void a_call_is_done_or_it_is_not_passed_over(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body, *says;
        enum outcome outcome;
    } rows[] = {
        {200, MADE, "", OUT_OK},
        {400, ERROR("InvalidVolume.NotFound"), "InvalidVolume.NotFound", OUT_FAILED},
        {503, ERROR("RequestLimitExceeded"), "it was certainly not done",
         OUT_FAILED}, /* until the deadline */
        {500, ERROR("InternalError"), "InternalError", OUT_UNKNOWN},
        {0, "", "CreateSnapshot of 127.0.0.1", OUT_UNKNOWN},
        {200, "<html>Sign in</html>", "HTML", OUT_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_call struct call c;
        rig_deadline_ms = rows[i].status == 503 ? 1200 : 8000;
        rule("Action=CreateSnapshot", rows[i].status, rows[i].body);
        order();
        RUN(&c, "aws.call", SNAPSHOT(endpoint, "shop"));
        if (c.r->outcome != rows[i].outcome)
            fail_msg("%d %s: %s", rows[i].status, rows[i].body, outcome_name(c.r->outcome));
        assert_says(c.r->err.text, rows[i].says);
        if (c.r->outcome != OUT_OK)
            continue;
        assert_string_equal(rig_fact(&c, "aws.snapshotId"), "snap-1");
        assert_null(rig_fact(&c, "aws.nothing"));
        assert_says(c.said, "nothing: not kept");
    }
    auto_call struct call closed, called;
    char nobody[64];
    snprintf(nobody, sizeof nobody, "http://127.0.0.1:%d", port_pick());
    RUN(&closed, "aws.call", SNAPSHOT(nobody, "shop"));
    assert_int_equal(closed.r->outcome, OUT_FAILED);
    assert_says(closed.r->err.text, "it was certainly not done");
    RUN(&called, "aws.called", SNAPSHOT(endpoint, "shop"));
    assert_int_equal(called.r->outcome, OUT_FAILED);
    assert_says(called.r->err.text, "nobody knows whether AWS did CreateSnapshot in eu-west-1");
    assert_says(called.r->err.text, "that asks for it once more");
    const struct verb *verb = verb_find("aws.call", NULL);
    assert_int_equal(verb->effect, EFFECT_CHANGE);
    assert_string_equal(verb->observe, "aws.called");
}

static void plain_http_goes_to_this_machine_alone(void **state)
{
    (void)state;
    static const char *const bad[] = {"http://127.evil.example", "http://localhost.evil.example",
                                      "http://127.0.0.1.evil.example", "http://10.0.0.1",
                                      "http://user@127.0.0.1@evil.example"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        auto_call struct call c;
        RUN(&c, "aws.call", SNAPSHOT(bad[i], "shop"));
        if (c.r->outcome != OUT_FAILED || c.r->err.code != E_CONFIG)
            fail_msg("%s: %s", bad[i], c.r->err.text);
    }
}

/* ---- credentials that have to be asked for --------------------------------- */

#define CREDENTIALS(id, until)                                                                               \
    "<Credentials><AccessKeyId>" id                                                                          \
    "</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>token-" id                              \
    "</SessionToken><Expiration>" until "</Expiration></Credentials>"
#define SESSION_JSON(id)                                                                                     \
    "{\"AccessKeyId\": \"" id "\", \"SecretAccessKey\": \"s\", \"Token\": \"token-" id "\"}"

/* The call was signed with that key, and says its session. */
static void signed_with(const char *text, const char *id)
{
    auto_buf struct buf key = BUF_INIT(100), token = BUF_INIT(100);
    buf_printf(&key, "Credential=%s/", id);
    buf_printf(&token, "X-Amz-Security-Token: token-%s", id);
    assert_says(text, buf_str(&key));
    assert_says(text, buf_str(&token));
}

static void roles_are_assumed_and_kept(void **state)
{
    (void)state;
    auto_call struct call first, second;
    rule("Action=AssumeRole&", 200,
         "<AssumeRoleResponse><AssumeRoleResult>" CREDENTIALS(
             "ASROLE", "2999-01-01T00:00:00Z") "</AssumeRoleResult></AssumeRoleResponse>");
    rule("Action=CreateSnapshot", 200, MADE);
    order();
    RUN(&first, "aws.call", SNAPSHOT(endpoint, "deploy"));
    assert_ok(&first);
    RUN(&second, "aws.call", SNAPSHOT(endpoint, "deploy"));
    assert_ok(&second);
    const char *text = was_asked();
    assert_int_equal(times_asked(text, "Action=AssumeRole&"), 1);
    assert_says(text, "ExternalId=x9");
    assert_says(text, "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fdeploy");
    assert_says(text, "Credential=AKS/");
    assert_int_equal(times_asked(text, "Credential=ASROLE/"), 2);
    signed_with(text, "ASROLE");
}

static void a_web_identity_is_shown_unsigned(void **state)
{
    (void)state;
    auto_call struct call c, denied;
    put_file("token", "web.token\n");
    auto_buf struct buf path = BUF_INIT(200);
    buf_printf(&path, "%s/.aws/token", rig_dir);
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", buf_str(&path), 1);
    setenv("AWS_ROLE_ARN", "arn:web", 1);
    rule("Action=AssumeRoleWithWebIdentity", 200,
         "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>" CREDENTIALS(
             "ASWEB", "") "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>");
    rule("Action=CreateSnapshot", 200, MADE);
    order();
    RUN(&c, "aws.call", SNAPSHOT(endpoint, NULL));
    assert_ok(&c);
    const char *text = was_asked();
    assert_says(text, "WebIdentityToken=web.token\"");
    assert_int_equal(times_asked(text, "Authorization: "), 1);
    signed_with(text, "ASWEB");
    rule("Action=AssumeRoleWithWebIdentity", 403, ERROR("AccessDenied"));
    order();
    RUN(&denied, "aws.call", SNAPSHOT(endpoint, NULL));
    assert_int_equal(denied.r->outcome, OUT_FAILED);
    assert_says(denied.r->err.text, "must allow sts:AssumeRoleWithWebIdentity");
}

static void a_container_is_asked_where_a_token_may_go(void **state)
{
    (void)state;
    static const char *const bad[] = {"http://127.evil.example/c",
                                      "http://localhost.evil.example/c",
                                      "http://169.254.170.2.evil.example/",
                                      "http://169.254.170.2@evil.example/",
                                      "http://169.254.170.234/",
                                      "ftp://127.0.0.1/"};
    auto_call struct call c, relative;
    auto_buf struct buf url = BUF_INIT(100);
    buf_printf(&url, "%s/creds", endpoint);
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", buf_str(&url), 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "agent-token", 1);
    rule("GET /creds", 200, SESSION_JSON("ASBOX"));
    rule("Action=CreateSnapshot", 200, MADE);
    order();
    RUN(&c, "aws.call", SNAPSHOT(endpoint, "bare"));
    assert_ok(&c);
    const char *text = was_asked();
    assert_says(text, "Authorization: agent-token");
    signed_with(text, "ASBOX");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        auto_call struct call no;
        setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", bad[i], 1);
        RUN(&no, "aws.call", SNAPSHOT(endpoint, "bare"));
        if (!strstr(no.r->err.text, "AWS_CONTAINER_CREDENTIALS_FULL_URI leads to another machine"))
            fail_msg("%s: %s", bad[i], no.r->err.text);
    }
    setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ".evil.example/c", 1);
    RUN(&relative, "aws.call", SNAPSHOT(endpoint, "bare"));
    assert_says(relative.r->err.text, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI leads to another machine");
    assert_int_equal(times_asked(was_asked(), "agent-token"), 0);
}

static void an_instance_tells_its_role_by_version_2(void **state)
{
    (void)state;
    auto_call struct call c, none;
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint, 1);
    rule("PUT /latest/api/token", 200, "imds-token");
    rule("GET /latest/meta-data/iam/security-credentials/web", 200, SESSION_JSON("ASVM"));
    rule("GET /latest/meta-data/iam/security-credentials/", 200, "web\n");
    rule("Action=CreateSnapshot", 200, MADE);
    order();
    RUN(&c, "aws.call", SNAPSHOT(endpoint, "bare"));
    assert_ok(&c);
    const char *text = was_asked();
    assert_int_equal(times_asked(text, "X-aws-ec2-metadata-token: imds-token"), 2);
    assert_says(text, "X-aws-ec2-metadata-token-ttl-seconds: 21600");
    signed_with(text, "ASVM");
    rule("PUT /latest/api/token", 200, "imds-token");
    order();
    RUN(&none, "aws.call", SNAPSHOT(endpoint, "bare"));
    assert_int_equal(none.r->outcome, OUT_FAILED);
    assert_says(none.r->err.text, "the instance's role cannot be asked (status 404)");
}

/* ---- target groups --------------------------------------------------------- */

#define GROUP(name)                                                                                          \
    "<member><TargetGroupName>" name "</TargetGroupName><TargetGroupArn>arn:" name                           \
    "</TargetGroupArn><Port>80</Port><TargetType>instance</TargetType></member>"
#define GROUPS                                                                                               \
    "<DescribeTargetGroupsResponse><DescribeTargetGroupsResult><TargetGroups>" GROUP("used")                 \
        GROUP("spare") "</TargetGroups></DescribeTargetGroupsResult></DescribeTargetGroupsResponse>"
#define TARGET(id, state, reason)                                                                            \
    "<member><Target><Id>" id "</Id><Port>80</Port></Target><TargetHealth><State>" state                     \
    "</State><Reason>" reason "</Reason></TargetHealth></member>"
#define HEALTH(rows)                                                                                         \
    "<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions>" rows              \
    "</TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>"
#define DELAY                                                                                                \
    "<DescribeTargetGroupAttributesResponse><DescribeTargetGroupAttributesResult><Attributes><member>"       \
    "<Key>deregistration_delay.timeout_seconds</Key><Value>5</Value></member></Attributes>"                  \
    "</DescribeTargetGroupAttributesResult></DescribeTargetGroupAttributesResponse>"
#define WHERE                                                                                                \
    {"region", "[\"eu-west-1\"]"}, {"profile", "shop"},                                                      \
    {                                                                                                        \
        "endpoint", endpoint                                                                                 \
    }
#define IN_GROUPS(list) {"target_group", (list)}, WHERE
#define OF_USED         "TargetGroupArn=arn%3Aused"
#define OF_SPARE        "TargetGroupArn=arn%3Aspare"

static void groups_are_there(void)
{
    rule("Action=DescribeTargetGroups&", 200, GROUPS);
    rule("Action=DescribeTargetGroupAttributes", 200, DELAY);
}

/* Nobody sends to the spare group: who serves is said by the other. */
static void a_group_that_nobody_uses_says_nothing(void **state)
{
    (void)state;
    auto_call struct call observe, both, alone;
    groups_are_there();
    rule(OF_USED, 200, HEALTH(TARGET("i-1", "healthy", "") TARGET("i-2", "unhealthy", "")));
    rule(OF_SPARE, 200,
         HEALTH(TARGET("i-1", "unused", "Target.NotInUse") TARGET("i-2", "unused", "Target.NotInUse")));
    order();
    RUN(&observe, "elbv2.observe", IN_GROUPS("[\"used\", \"spare\"]"), {"server", "i-1"});
    assert_ok(&observe);
    assert_string_equal(rig_fact(&observe, "in_rotation"), "yes");
    RUN(&both, "elbv2.capacity", IN_GROUPS("[\"used\", \"spare\"]"), {"servers", "[\"i-1\", \"i-2\"]"});
    assert_ok(&both);
    assert_string_equal(rig_fact(&both, "lb.serving"), "10");
    RUN(&alone, "elbv2.capacity", IN_GROUPS("[\"spare\"]"), {"servers", "[\"i-1\", \"i-2\"]"});
    assert_string_equal(rig_fact(&alone, "lb.serving"), "00");
}

static void targets_are_called_as_aws_calls_them(void **state)
{
    (void)state;
    auto_call struct call six, no;
    groups_are_there();
    rule(OF_USED, 200, HEALTH(TARGET("2001:db8::1", "healthy", "")));
    order();
    RUN(&six, "elbv2.observe", IN_GROUPS("[\"used\"]"), {"server", "[2001:db8::1]:80"});
    assert_ok(&six);
    assert_says(rig_fact(&six, "lb.before"), "used/[2001:db8::1]:80=registered");
    RUN(&no, "elbv2.observe", IN_GROUPS("[\"used\"]"), {"server", "[2001:db8::1];x"});
    assert_int_equal(no.r->outcome, OUT_FAILED);
    assert_says(no.r->err.text, "cannot be the name of a target");
}

#define DEREGISTERED "<DeregisterTargetsResponse><DeregisterTargetsResult/></DeregisterTargetsResponse>"
#define REGISTERED   "<RegisterTargetsResponse><RegisterTargetsResult/></RegisterTargetsResponse>"

static void what_is_shown_late_is_waited_for(void **state)
{
    (void)state;
    auto_call struct call before, drain, early, late, enable, enabled, again;
    groups_are_there();
    rule("Action=DeregisterTargets", 200, DEREGISTERED);
    rule("Action=RegisterTargets", 200, REGISTERED);
    rule_times(OF_USED, HEALTH(TARGET("i-1", "healthy", "")), 4);
    rule_times(OF_USED, HEALTH(TARGET("i-1", "draining", "Target.DeregistrationInProgress")), 3);
    rule(OF_USED, 200, HEALTH(TARGET("i-1", "initial", "")));
    order();
#define ONE IN_GROUPS("[\"used\"]"), {"server", "i-1"}
    RUN(&before, "elbv2.observe", ONE);
    RUN(&drain, "elbv2.drain", ONE);
    assert_ok(&drain);
    assert_false(drain.r->ready);
    assert_says(rig_fact(&drain, "lb.told"), "elbv2:eu-west-1 used/i-1=drain");
    RUN(&early, "elbv2.observe", ONE);
    assert_false(early.r->ready);
    RUN(&late, "elbv2.observe", ONE);
    assert_true(late.r->ready);
    RUN(&enable, "elbv2.enable", ONE);
    assert_ok(&enable);
    assert_false(enable.r->ready);
    RUN(&enabled, "elbv2.enabled", ONE);
    assert_true(enabled.r->ready);
    RUN(&again, "elbv2.enable", ONE); /* nothing is owed any more */
    assert_int_equal(times_asked(was_asked(), "Action=RegisterTargets"), 1);
}

/* The drain was taken, was never seen, and the node turned round: what comes after it must not find it out. */
static void a_drain_that_was_never_seen_is_taken_back(void **state)
{
    (void)state;
    auto_call struct call before, drain, enable;
    groups_are_there();
    rule("Action=DeregisterTargets", 200, DEREGISTERED);
    rule("Action=RegisterTargets", 200, REGISTERED);
    rule(OF_USED, 200, HEALTH(TARGET("i-1", "healthy", "")));
    order();
    RUN(&before, "elbv2.observe", ONE);
    RUN(&drain, "elbv2.drain", ONE);
    assert_ok(&drain);
    assert_false(drain.r->ready);
    RUN(&enable, "elbv2.enable", ONE);
    assert_ok(&enable);
    assert_true(enable.r->ready);
    const char *text = was_asked();
    assert_int_equal(times_asked(text, "Action=DeregisterTargets"), 1);
    assert_int_equal(times_asked(text, "Action=RegisterTargets"), 1);
}

/* ---- Auto Scaling groups, classic balancers -------------------------------- */

#define INSTANCE(id, state)                                                                                  \
    "<member><InstanceId>" id "</InstanceId><LifecycleState>" state                                          \
    "</LifecycleState><HealthStatus>Healthy</HealthStatus></member>"
#define SCALING(min, desired, rows)                                                                          \
    "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups><member>"        \
    "<AutoScalingGroupName>web</AutoScalingGroupName><MinSize>" min                                          \
    "</MinSize><MaxSize>9</MaxSize><DesiredCapacity>" desired                                                \
    "</DesiredCapacity><AvailabilityZones><member>a</member><member>b</member></AvailabilityZones>"          \
    "<Instances>" rows "</Instances></member></AutoScalingGroups></DescribeAutoScalingGroupsResult>"         \
    "</DescribeAutoScalingGroupsResponse>"
#define BOTH_IN INSTANCE("i-1", "InService") INSTANCE("i-2", "InService")
#define IN_WEB(s)                                                                                            \
    {"group", "[\"web\"]"}, WHERE,                                                                           \
    {                                                                                                        \
        "server", (s)                                                                                        \
    }
#define ENTERED "<EnterStandbyResponse><EnterStandbyResult/></EnterStandbyResponse>"

static void a_replaced_instance_is_told_and_the_others_counted(void **state)
{
    (void)state;
    auto_call struct call floor, gone;
    rule("Action=DescribeAutoScalingGroups", 200, SCALING("1", "3", BOTH_IN));
    order();
    RUN(&floor, "asg.capacity", {"group", "[\"web\"]"}, WHERE, {"servers", "[\"i-1\", \"i-9\", \"i-2\"]"});
    assert_ok(&floor);
    assert_string_equal(rig_fact(&floor, "lb.serving"), "101");
    RUN(&gone, "asg.observe", IN_WEB("i-9"));
    assert_int_equal(gone.r->outcome, OUT_FAILED);
    assert_says(gone.r->err.text, "no instance i-9: it was never there, or was replaced (there: i-1, i-2)");
}

static void a_group_at_its_smallest_lets_none_stand_by(void **state)
{
    (void)state;
    auto_call struct call full, larger, drain, kept, other;
    rule("Action=DescribeAutoScalingGroups", 200, SCALING("2", "2", BOTH_IN));
    order();
    RUN(&full, "asg.observe", IN_WEB("i-1"));
    assert_int_equal(full.r->outcome, OUT_FAILED);
    assert_says(full.r->err.text, "wants 2 instances and at least 2");
    RUN(&larger, "asg.observe", IN_WEB("i-1"), {"decrement", "no"});
    assert_ok(&larger);
    rig_forget();
    rule("Action=DescribeAutoScalingGroups", 200, SCALING("1", "2", BOTH_IN));
    order();
    RUN(&kept, "asg.observe", IN_WEB("i-1"));
    assert_ok(&kept);
    assert_says(kept.said, "suspend AZRebalance");
    rule("Action=EnterStandby", 200, ENTERED);
    rule_times("Action=DescribeAutoScalingGroups", SCALING("1", "2", BOTH_IN), 1);
    rule_times("Action=DescribeAutoScalingGroups",
               SCALING("1", "1", INSTANCE("i-1", "Standby") INSTANCE("i-2", "InService")), 2);
    rule("Action=DescribeAutoScalingGroups", 200,
         SCALING("1", "1", INSTANCE("i-1", "Standby") INSTANCE("i-2", "Standby")));
    order();
    RUN(&drain, "asg.drain", IN_WEB("i-1"));
    assert_ok(&drain);
    assert_true(drain.r->ready);
    RUN(&other, "asg.drain", IN_WEB("i-2"), {"decrement", "no"});
    assert_ok(&other);
    const char *text = was_asked();
    assert_int_equal(times_asked(text, "ShouldDecrementDesiredCapacity=true"), 1);
    assert_int_equal(times_asked(text, "ShouldDecrementDesiredCapacity=false"), 1);
}

#define CLASSIC(id, state, why)                                                                              \
    "<DescribeInstanceHealthResponse><DescribeInstanceHealthResult><InstanceStates><member><InstanceId>" id  \
    "</InstanceId><State>" state "</State><Description>" why                                                 \
    "</Description></member></InstanceStates></DescribeInstanceHealthResult></DescribeInstanceHealthResponse>"
#define DRAINING(on)                                                                                         \
    "<DescribeLoadBalancerAttributesResponse><DescribeLoadBalancerAttributesResult>"                         \
    "<LoadBalancerAttributes><ConnectionDraining><Enabled>" on                                               \
    "</Enabled><Timeout>5</Timeout></ConnectionDraining></LoadBalancerAttributes>"                           \
    "</DescribeLoadBalancerAttributesResult></DescribeLoadBalancerAttributesResponse>"
#define IN_OLD                                                                                               \
    {"name", "[\"web\"]"}, WHERE,                                                                            \
    {                                                                                                        \
        "server", "i-1"                                                                                      \
    }

/* It is called as the scaling group that the node stands in, too: what is known of that says nothing about it. */
static void a_classic_balancer_must_drain(void **state)
{
    (void)state;
    auto_call struct call scaling, off, on, idle;
    rule("Action=DescribeAutoScalingGroups", 200, SCALING("1", "2", BOTH_IN));
    rule("Action=DescribeInstanceHealth", 200, CLASSIC("i-1", "InService", "N/A"));
    rule_times("Action=DescribeLoadBalancerAttributes", DRAINING("false"), 1);
    rule("Action=DescribeLoadBalancerAttributes", 200, DRAINING("true"));
    order();
    RUN(&scaling, "asg.observe", IN_WEB("i-1"));
    assert_ok(&scaling);
    assert_string_equal(rig_fact(&scaling, "lb.before"), "asg:eu-west-1 web/i-1=in-service");
    RUN(&off, "elb.observe", IN_OLD);
    assert_int_equal(off.r->outcome, OUT_FAILED);
    assert_says(off.r->err.text, "connection draining is off");
    RUN(&on, "elb.observe", IN_OLD);
    assert_ok(&on);
    rule("Action=DescribeInstanceHealth", 200,
         CLASSIC("i-1", "InService", "Instance deregistration currently in progress."));
    order();
    RUN(&idle, "elb.wait_idle", IN_OLD);
    assert_ok(&idle);
    assert_false(idle.r->ready || idle.r->lost);
    assert_int_equal(idle.r->gauge, 1);
}

#define T(name) cmocka_unit_test_setup(name, each_setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_call_is_done_or_it_is_not_passed_over),
        T(plain_http_goes_to_this_machine_alone),
        T(roles_are_assumed_and_kept),
        T(a_web_identity_is_shown_unsigned),
        T(a_container_is_asked_where_a_token_may_go),
        T(an_instance_tells_its_role_by_version_2),
        T(a_group_that_nobody_uses_says_nothing),
        T(targets_are_called_as_aws_calls_them),
        T(what_is_shown_late_is_waited_for),
        T(a_drain_that_was_never_seen_is_taken_back),
        T(a_replaced_instance_is_told_and_the_others_counted),
        T(a_group_at_its_smallest_lets_none_stand_by),
        T(a_classic_balancer_must_drain),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
