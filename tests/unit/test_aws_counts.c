/* SPDX-License-Identifier: MIT */
/* What CloudWatch counts of groups, against a small server that answers as each test says: of whom it is asked, and that what was not told
 * is no number. */
#include "unit/aws_rig.h"

#include "drivers/balancer/aws/aws_lb.h"

#define GROUP(name, lb)                                                                                      \
    "<member><TargetGroupName>" name                                                                         \
    "</TargetGroupName><TargetGroupArn>arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/" name           \
    "/7</TargetGroupArn><Port>80</Port><TargetType>instance</TargetType><LoadBalancerArns>" lb               \
    "</LoadBalancerArns></member>"
#define USED_BY(name) "<member>arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/" name "</member>"
#define GROUPS                                                                                               \
    "<DescribeTargetGroupsResponse><DescribeTargetGroupsResult><TargetGroups>" GROUP(                        \
        "site", USED_BY("app/front/5")) GROUP("bytes", USED_BY("net/wire/6"))                                \
        GROUP("spare", "") "</TargetGroups></DescribeTargetGroupsResult></DescribeTargetGroupsResponse>"
#define HEALTH                                                                                               \
    "<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions><member><Target>"   \
    "<Id>i-1</Id><Port>80</Port></Target><TargetHealth><State>healthy</State></TargetHealth></member>"       \
    "</TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>"
#define V(n) "<member>" n "</member>"
#define SERIES(id, values)                                                                                   \
    "<member><Id>" id "</Id><Label>x</Label><Values>" values                                                 \
    "</Values><StatusCode>Complete</StatusCode></member>"
#define RESULT(rows)                                                                                         \
    "<GetMetricDataResult><MetricDataResults>" rows "</MetricDataResults></GetMetricDataResult>"
#define DATA(rows) "<GetMetricDataResponse>" RESULT(rows) "</GetMetricDataResponse>"
#define WHERE                                                                                                \
    {"region", "[\"eu-west-1\"]"}, {"profile", "shop"},                                                      \
    {                                                                                                        \
        "endpoint", endpoint                                                                                 \
    }

static void a_target_group_is_counted_as_a_whole(void **state)
{
    auto_call struct call c, off;
    (void)state;
    rule("Action=DescribeTargetGroups&", 200, GROUPS);
    rule("Action=DescribeTargetHealth", 200, HEALTH);
    rule("Action=GetMetricData", 200,
         DATA(SERIES("s0", V("100.0") V("20.0")) SERIES("s1", V("3.0")) SERIES("s2", V("6.0"))
                  SERIES("s3", V("120.0"))));
    order();
    RUN(&off, "elbv2.show", WHERE, {"target_group", "[\"site\"]"});
    assert_ok(&off);
    assert_null(rig_fact(&off, "lb.eu-west-1.site/"));
    assert_int_equal(times_asked(was_asked(), "GetMetricData"), 0);
    rule("Action=DescribeTargetGroups&", 200, GROUPS);
    rule("Action=DescribeTargetHealth", 200, HEALTH);
    rule("Action=GetMetricData", 200,
         DATA(SERIES("s0", V("100.0") V("20.0")) SERIES("s1", V("3.0")) SERIES("s2", V("6.0"))
                  SERIES("s3", V("120.0"))));
    order();
    RUN(&c, "elbv2.show", WHERE, {"target_group", "[\"site\", \"bytes\", \"spare\"]"}, {"cloudwatch", "yes"});
    assert_ok(&c);
    assert_string_equal(
        rig_fact(&c, "lb.eu-west-1.site/"),
        "{\"balancer\":\"eu-west-1\",\"backend\":\"site\",\"seconds\":300,\"requests\":120,\"errors\":3,"
        "\"answer_ms\":50}");
    assert_null(rig_fact(&c, "lb.eu-west-1.bytes/")); /* a network balancer counts no requests */
    assert_null(rig_fact(&c, "lb.eu-west-1.spare/"));
    assert_null(strstr(rig_fact(&c, "lb.eu-west-1.site/i-1"), "requests"));
    const char *text = was_asked();
    assert_int_equal(times_asked(text, "Action=GetMetricData"), 1);
    assert_says(text, "Dimensions.member.1.Name=LoadBalancer&");
    assert_says(text, "Dimensions.member.1.Value=app%2Ffront%2F5&");
    assert_says(text, "Dimensions.member.2.Value=targetgroup%2Fsite%2F7&");
    assert_says(text, "Metric.Namespace=AWS%2FApplicationELB");
    assert_says(text, "MetricName=HTTPCode_Target_5XX_Count");
}

static void a_classic_balancer_is_counted_as_a_whole(void **state)
{
    auto_call struct call c, denied;
    (void)state;
    rule(
        "Action=DescribeInstanceHealth", 200,
        "<DescribeInstanceHealthResponse><DescribeInstanceHealthResult><InstanceStates><member><InstanceId>i-1"
        "</InstanceId><State>InService</State><Description>N/A</Description></member></InstanceStates>"
        "</DescribeInstanceHealthResult></DescribeInstanceHealthResponse>");
    rule_times("Action=GetMetricData", DATA(SERIES("s0", V("7"))), 1);
    rule("Action=GetMetricData", 403,
         "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>");
    order();
    RUN(&c, "elb.show", WHERE, {"name", "[\"old\"]"}, {"cloudwatch", "yes"});
    assert_ok(&c);
    assert_string_equal(
        rig_fact(&c, "lb.eu-west-1.old/"),
        "{\"balancer\":\"eu-west-1\",\"backend\":\"old\",\"seconds\":300,\"requests\":7,\"errors\":0}");
    RUN(&denied, "elb.show", WHERE, {"name", "[\"old\"]"}, {"cloudwatch", "yes"});
    assert_int_not_equal(denied.r->outcome, OUT_OK);
    assert_says(denied.r->err.text, "must allow cloudwatch:GetMetricData");
    assert_says(was_asked(), "Dimensions.member.1.Name=LoadBalancerName&");
}

static void what_was_not_told_is_no_number(void **state)
{
    static const struct {
        const char *body;
        bool fine;
        int64_t requests, errors, answer_ms;
    } rows[] = {
        {RESULT(""), true, -1, -1, -1},
        {RESULT(SERIES("s0", "") SERIES("s1", "") SERIES("s2", "") SERIES("s3", "")), true, -1, -1, -1},
        {RESULT(SERIES("s0", V("0"))), true, 0, 0, -1},
        {RESULT(SERIES("s1", V("5"))), true, -1, -1, -1},
        {RESULT(SERIES("s0", V("1e300"))), true, -1, -1, -1},
        {RESULT(SERIES("s0", V("nan"))), true, -1, -1, -1},
        {RESULT(SERIES("s0", V("-1"))), true, -1, -1, -1},
        {RESULT(SERIES("s0", V("many"))), true, -1, -1, -1},
        {RESULT(SERIES("s2", V("1")) SERIES("s3", V("0"))), true, -1, -1, -1},
        {RESULT(SERIES("s9", V("1"))), false, 0, 0, 0},
        {"<GetMetricDataResult/>", false, 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_arena struct arena a = {0};
        struct err err = {0};
        struct lb_traffic t;
        struct xml *x = xml_parse(&a, rows[i].body, strlen(rows[i].body), &err);
        assert_non_null(x);
        if (parse_metric_data(x, &t, &err) != rows[i].fine ||
            (rows[i].fine && (t.requests != rows[i].requests || t.errors != rows[i].errors ||
                              t.answer_ms != rows[i].answer_ms)))
            fail_msg("%s", rows[i].body);
    }
}

#define T(name) cmocka_unit_test_setup(name, each_setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_target_group_is_counted_as_a_whole),
        T(a_classic_balancer_is_counted_as_a_whole),
        T(what_was_not_told_is_no_number),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
