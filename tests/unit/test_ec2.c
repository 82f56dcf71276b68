/* SPDX-License-Identifier: MIT */
/* ec2.instances against a small server that answers as each test says: which instances are nodes, what they are called, and what is
 * told instead of a list. */
#include "unit/aws_rig.h"

#include "drivers/aws/instances.h"

#define ITEM(id, state, ip, more)                                                                            \
    "<item><instanceId>" id "</instanceId><instanceState><code>16</code><name>" state                        \
    "</name></instanceState><privateIpAddress>" ip "</privateIpAddress><placement><availabilityZone>"        \
    "eu-west-1a</availabilityZone></placement>" more "</item>"
#define TAG(key, value)   "<item><key>" key "</key><value>" value "</value></item>"
#define TAGS(rows)        "<tagSet>" rows "</tagSet>"
#define RESERVATION(rows) "<item><reservationId>r</reservationId><instancesSet>" rows "</instancesSet></item>"
#define ANSWER(rows, more)                                                                                   \
    "<DescribeInstancesResponse><requestId>q</requestId><reservationSet>" rows "</reservationSet>" more      \
    "</DescribeInstancesResponse>"
#define NEXT(token) "<nextToken>" token "</nextToken>"

#define ASK                                                                                                  \
    {"region", "eu-west-1"}, {"profile", "shop"}, {"endpoint", endpoint},                                    \
    {                                                                                                        \
        "filters", "{\"tag:Role\": [\"web\", \"api\"], \"vpc-id\": \"vpc-1\"}"                               \
    }

/* ---- the list -------------------------------------------------------------- */

static void pages_are_one_list_in_the_order_of_the_names(void **state)
{
    auto_call struct call c;
    (void)state;
    rule("NextToken=more%2B", 200, ANSWER("", NEXT("last"))); /* a page may be empty, and another follow */
    rule("NextToken=last", 200, ANSWER(RESERVATION(ITEM("i-1", "running", "10.0.0.1", "")), "<nextToken/>"));
    rule("Action=DescribeInstances", 200,
         ANSWER(RESERVATION(ITEM("i-3", "running", "10.0.0.3", "") ITEM("i-9", "stopped", "10.0.0.9", ""))
                    RESERVATION(ITEM("i-2", "running", "10.0.0.2", "") ITEM("i-8", "terminated", "", "")),
                NEXT("more+")));
    order();
    RUN(&c, "ec2.instances", ASK);
    assert_ok(&c);
    assert_string_equal(
        rig_fact(&c, NODES_FACT),
        "{\n\"i-1\": {\"host\":\"10.0.0.1\",\"lb_server\":\"i-1\",\"instance_id\":\"i-1\",\"private_ip\":\"10.0.0.1\","
        "\"zone\":\"eu-west-1a\"},\n"
        "\"i-2\": {\"host\":\"10.0.0.2\",\"lb_server\":\"i-2\",\"instance_id\":\"i-2\",\"private_ip\":\"10.0.0.2\","
        "\"zone\":\"eu-west-1a\"},\n"
        "\"i-3\": {\"host\":\"10.0.0.3\",\"lb_server\":\"i-3\",\"instance_id\":\"i-3\",\"private_ip\":\"10.0.0.3\","
        "\"zone\":\"eu-west-1a\"}\n}\n");
    assert_string_equal(
        rig_fact(&c, NODES_FACT_SOURCE),
        "ec2 eu-west-1 (profile shop) tag:Role=web,api vpc-id=vpc-1; not running: i-9 stopped");
    const char *text = was_asked();
    assert_int_equal(times_asked(text, "Action=DescribeInstances"), 3);
    assert_int_equal(times_asked(text, "Filter.1.Name=tag%3ARole&Filter.1.Value.1=web&Filter.1.Value.2=api&"
                                       "Filter.2.Name=vpc-id&Filter.2.Value.1=vpc-1&MaxResults=100"),
                     3);
}

/* An instance that two pages have is one. */
static void one_that_is_listed_twice_is_one(void **state)
{
    (void)state;
    static const char *const names[] = {"instance_id", "tag:Name"};
    for (size_t i = 0; i < 2; i++) {
        auto_call struct call c;
        rule("NextToken=more", 200,
             ANSWER(RESERVATION(ITEM("i-2", "running", "10.0.0.2", TAGS(TAG("Name", "b")))
                                    ITEM("i-1", "running", "10.0.0.1", TAGS(TAG("Name", "a")))),
                    ""));
        rule("Action=DescribeInstances", 200,
             ANSWER(RESERVATION(ITEM("i-1", "running", "10.0.0.1", TAGS(TAG("Name", "a")))), NEXT("more")));
        order();
        RUN(&c, "ec2.instances", ASK, {"name", names[i]});
        assert_ok(&c);
        assert_int_equal(times_asked(rig_fact(&c, NODES_FACT), "\"lb_server\":\"i-1\""), 1);
        assert_int_equal(times_asked(rig_fact(&c, NODES_FACT), "\"lb_server\":"), 2);
    }
}

static void instances_are_called_by_a_tag(void **state)
{
    auto_call struct call c;
    (void)state;
    rule(
        "Action=DescribeInstances", 200,
        ANSWER(RESERVATION(ITEM(
                   "i-1", "running", "10.0.0.1",
                   TAGS(TAG("Zeta", "a &amp; b; rm") TAG("Name", "web10")) "<ipAddress>192.0.2.1</ipAddress>")
                               ITEM("i-2", "running", "10.0.0.2",
                                    TAGS(TAG("Name", "web9") TAG("aws:autoscaling:groupName",
                                                                 "web")) "<ipAddress>192.0.2.2</ipAddress>")),
               ""));
    order();
    RUN(&c, "ec2.instances", ASK, {"name", "tag:Name"}, {"address", "public"});
    assert_ok(&c);
    const char *nodes = rig_fact(&c, NODES_FACT);
    assert_true(str_starts(nodes, "{\n\"web9\": {\"host\":\"192.0.2.2\",\"lb_server\":\"i-2\""));
    assert_says(nodes, "\"tag:aws:autoscaling:groupName\":\"web\"");
    assert_says(nodes,
                "\"tag:Zeta\":null"); /* no part of a plan: whoever tags is not whoever writes pillars */
    assert_int_equal(times_asked(was_asked(), "Action=DescribeInstances"), 1);
}

static void what_makes_no_list_is_told(void **state)
{
#define TWO                                                                                                  \
    ITEM("i-1", "running", "10.0.0.1", TAGS(TAG("Name", "web")))                                             \
    ITEM("i-2", "running", "10.0.0.2", TAGS(TAG("Name", "web")))
    static const struct {
        const char *body, *name, *address, *says;
    } rows[] = {
        {ANSWER("", ""), "instance_id", "private",
         "no running instance matches ec2 eu-west-1 (profile shop) tag:Role"},
        {ANSWER(RESERVATION(ITEM("i-1", "stopping", "", "")), ""), "instance_id", "private",
         "; not running: i-1 stopping; check region, profile and filters"},
        {ANSWER(RESERVATION(TWO), ""), "tag:Name", "private",
         "i-1 and i-2 are both called 'web' by their tag Name; give one another name"},
        {ANSWER(RESERVATION(TWO), ""), "tag:Host", "private", "i-1, i-2 has no tag Host, by which `name:`"},
        {ANSWER(RESERVATION(TWO), ""), "instance_id", "public_dns", "i-1, i-2 has no public_dns address"},
        {ANSWER(RESERVATION(ITEM("x-1", "running", "", "")), ""), "instance_id", "private",
         "an instance without a usable id or state"},
        {"<DescribeInstancesResponse/>", "instance_id", "private", "the answer has no reservationSet"},
        {"<html>Sign in</html>", "instance_id", "private", "a page in HTML"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_call struct call c;
        rule("Action=DescribeInstances", 200, rows[i].body);
        order();
        RUN(&c, "ec2.instances", ASK, {"name", rows[i].name}, {"address", rows[i].address});
        assert_int_equal(c.r->outcome, OUT_FAILED);
        assert_says(c.r->err.text, rows[i].says);
        assert_null(rig_fact(&c, NODES_FACT));
    }
}

/* Asked again inside the deadline, and no longer. */
static void throttling_is_waited_for(void **state)
{
#define LATER                                                                                                \
    "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>later</Message></Error></Errors></Response>"
    auto_call struct call c, late;
    (void)state;
    json_array_append_new(rules, json_pack("{s:s, s:i, s:s, s:i}", "when", "Action=Describe", "status", 503,
                                           "body", LATER, "times", 2));
    rule("Action=DescribeInstances", 200, ANSWER(RESERVATION(ITEM("i-1", "running", "10.0.0.1", "")), ""));
    order();
    RUN(&c, "ec2.instances", ASK);
    assert_ok(&c);
    assert_int_equal(times_asked(was_asked(), "Action=DescribeInstances"), 3);
    rig_deadline_ms = 1200;
    rule("Action=DescribeInstances", 503, LATER);
    order();
    RUN(&late, "ec2.instances", ASK);
    assert_int_equal(late.r->outcome, OUT_FAILED);
    assert_says(late.r->err.text, "RequestLimitExceeded: later; asked ");
}

/* An answer that leads on to itself. */
static void pages_have_an_end(void **state)
{
    auto_call struct call c;
    (void)state;
    rule("Action=DescribeInstances", 200, ANSWER("", NEXT("same")));
    order();
    RUN(&c, "ec2.instances", ASK);
    assert_int_equal(c.r->outcome, OUT_FAILED);
    assert_says(c.r->err.text, "leads to itself, or");
    assert_int_equal(times_asked(was_asked(), "Action=DescribeInstances"), 2);
}

/* ---- the question ---------------------------------------------------------- */

static void questions_are_looked_at_before_they_are_asked(void **state)
{
    static const struct {
        const char *region, *filters, *name, *says;
    } rows[] = {
        {"eu west", "{\"a\": \"b\"}", NULL, "'eu west' cannot be a region"},
        {"eu-west-1", NULL, NULL, "filters: wanted at least one"},
        {"eu-west-1", "{}", NULL, "filters: wanted at least one"},
        {"eu-west-1", "{\"a\": []}", NULL, "filters: a: wanted a text"},
        {"eu-west-1", "{\"a\": [{\"b\": \"c\"}]}", NULL, "filters: a: wanted a text"},
        {"eu-west-1", "{\"a\": \"b\\nc\"}", NULL, "filters: a: wanted a text"},
        {"eu-west-1", "{\"a\": \"b\"}", "tag:", "'tag:' names no value"},
        {"eu-west-1", "{\"a\": \"b\"}", "Name", "'Name' names no value"},
    };
    const struct verb *verb = verb_find("ec2.instances", NULL);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct op_pair args[3] = {{"region", rows[i].region}};
        struct err err = {0};
        size_t n = 1;
        if (rows[i].filters)
            args[n++] = (struct op_pair){"filters", rows[i].filters};
        if (rows[i].name)
            args[n++] = (struct op_pair){"name", rows[i].name};
        assert_false(verb->check(args, n, 1000, &err));
        assert_says(err.text, rows[i].says);
    }
}

static void tags_that_may_be_in_a_plan(void **state)
{
    static const char *const good[] = {"", "web", "a b", "+-=._:/@", "caf\xc3\xa9"}, *const bad[] = {
                                                                                         "a;b",  "$(x)",
                                                                                         "a\nb", "a'b",
                                                                                         "`a`",  "{a}",
                                                                                         "a\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(aws_tag_plain(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(aws_tag_plain(bad[i]));
}

#define T(name) cmocka_unit_test_setup(name, each_setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(pages_are_one_list_in_the_order_of_the_names),
        T(one_that_is_listed_twice_is_one),
        T(instances_are_called_by_a_tag),
        T(what_makes_no_list_is_told),
        T(throttling_is_waited_for),
        T(pages_have_an_end),
        T(questions_are_looked_at_before_they_are_asked),
        T(tags_that_may_be_in_a_plan),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
