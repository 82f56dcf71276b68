/* SPDX-License-Identifier: MIT */
/* The client of AWS without a network: signatures against published and botocore's own values, credentials in the order of AWS's tools,
 * and answers taken apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "drivers/aws/ini.h"
#include "drivers/balancer/aws/aws_lb.h"
#include "unit/aws_env.h"

static const struct sigv4_keys example = {.id = "AKIDEXAMPLE",
                                          .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};

static const char *sign(struct arena *a, struct sigv4_request req)
{
    const char *canonical;
    const char *text = sigv4_authorization(a, &example, &req, &canonical);
    return strstr(text, "Signature=") + strlen("Signature=");
}

static void signatures_are_those_of_botocore(void **state)
{
    auto_arena struct arena a = {0};
    (void)state;
    const struct op_pair pairs[] = {{.name = "Version", .value = "2016-11-15"},
                                    {.name = "Filter.1.Value.1", .value = "web"},
                                    {.name = "Filter.1.Name", .value = "tag:Role"},
                                    {.name = "Action", .value = "DescribeInstances"}};
    const struct op_pair headers[] = {{.name = "X-Amz-Date", .value = "20261120T093000Z"},
                                      {.name = "Host", .value = "ec2.us-east-1.amazonaws.com"},
                                      {.name = "Content-Type", .value = "application/x-www-form-urlencoded"}};
    const char *body = sigv4_encode(&a, pairs, 4);
    assert_string_equal(
        body, "Action=DescribeInstances&Filter.1.Name=tag%3ARole&Filter.1.Value.1=web&Version=2016-11-15");
    struct sigv4_request req = {.method = "POST",
                                .path = "/",
                                .query = "",
                                .headers = headers,
                                .n_headers = 3,
                                .body = body,
                                .n_body = strlen(body),
                                .region = "us-east-1",
                                .service = "ec2",
                                .date = "20261120T093000Z"};
    assert_string_equal(sign(&a, req), "2a27a254d035f8534e85e0311d54dc59a3b759c86111e817d8be2cb7144541d9");
    req.n_headers = 2;
    assert_string_equal(sign(&a, req), "711472b0c2c540d78612b890ae0f7e5608bd201a04537d0d7b4d701183135b14");
    req.method = "GET";
    req.n_body = 0;
    req.query = sigv4_encode(&a, (struct op_pair[]){pairs[0], pairs[3]}, 2);
    assert_string_equal(sign(&a, req), "6e47b32ea5db1db8918ea403da18887e5259e61d44fef0232d37beb140abe334");
}

/* The suite that AWS publishes: names in any case, blanks in values, all but unreserved bytes encoded. */
static void signatures_are_those_of_the_published_suite(void **state)
{
    auto_arena struct arena a = {0};
    (void)state;
    const struct op_pair plain[] = {{.name = "Host", .value = "example.amazonaws.com"},
                                    {.name = "X-Amz-Date", .value = "20150830T123600Z"}};
    const struct op_pair blanks[] = {plain[0],
                                     {.name = "My-Header1", .value = " value1"},
                                     {.name = "My-Header2", .value = " \"a   b   c\""},
                                     plain[1]};
    struct sigv4_request req = {.method = "GET",
                                .path = "/",
                                .query = "",
                                .headers = plain,
                                .n_headers = 2,
                                .body = "",
                                .region = "us-east-1",
                                .service = "service",
                                .date = "20150830T123600Z"};
    assert_string_equal(sign(&a, req), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    req.method = "POST";
    assert_string_equal(sign(&a, req), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
    req.method = "GET";
    req.headers = blanks;
    req.n_headers = 4;
    assert_string_equal(sign(&a, req), "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736");
    assert_string_equal(sigv4_encode(&a, (struct op_pair[]){{.name = "a b", .value = "\xc3\xa4/~_.-*"}}, 1),
                        "a%20b=%C3%A4%2F~_.-%2A");
}

/* ---- credentials ----------------------------------------------------------- */

static char home[64];

static void put(const char *name, const char *text)
{
    auto_buf struct buf path = BUF_INIT(200);
    buf_printf(&path, "%s/.aws/%s", home, name);
    FILE *f = fopen(buf_str(&path), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_home(void **state)
{
    (void)state;
    aws_env_forget();
    strcpy(home, "/tmp/release-aws-XXXXXX");
    assert_non_null(mkdtemp(home));
    setenv("HOME", home, 1);
    auto_buf struct buf path = BUF_INIT(200);
    buf_printf(&path, "%s/.aws", home);
    assert_int_equal(mkdir(buf_str(&path), 0700), 0);
    put("credentials", "[default]\naws_access_key_id = AKD\naws_secret_access_key = sd # mine\n"
                       "[shop]\naws_access_key_id=AKS\naws_secret_access_key=ss\naws_session_token=tok=en\n"
                       "[half]\naws_access_key_id=AKH\n");
    put("config",
        "[default]\nregion = eu-west-1\ns3 =\n    max = 5\n[profile deploy]\nrole_arn = arn:aws:iam::1:role/deploy\n"
        "source_profile = shop\nexternal_id = x9\nendpoint_url = http://localhost:1\n"
        "[profile web]\nrole_arn = arn:aws:iam::1:role/web\nweb_identity_token_file = /t\n"
        "[profile a]\nrole_arn=r\nsource_profile=b\n[profile b]\nrole_arn=r\nsource_profile=a\n"
        "[profile boss]\nrole_arn=r\nsource_profile=shop\nmfa_serial=m\n[profile sso]\nsso_session = s\n"
        "[profile bare]\nregion=x\n[profile hollow]\nrole_arn=r\nsource_profile=bare\n");
    return 0;
}

static int remove_home(void **state)
{
    (void)state;
    auto_buf struct buf path = BUF_INIT(300);
    const char *const names[] = {".aws/credentials", ".aws/config", ".aws", ""};
    for (size_t i = 0; i < 4; i++) {
        buf_reset(&path);
        buf_printf(&path, "%s/%s", home, names[i]);
        (void)remove(buf_str(&path));
    }
    return 0;
}

static void credentials_come_in_the_order_of_the_tools(void **state)
{
    auto_arena struct arena a = {0};
    struct creds c;
    struct err err = {0};
    (void)state;
    assert_true(creds_find(&a, NULL, &c, &err));
    assert_string_equal(c.keys.id, "AKD");
    assert_string_equal(c.keys.secret, "sd");
    assert_null(c.keys.token);
    setenv("AWS_PROFILE", "shop", 1);
    assert_true(creds_find(&a, NULL, &c, &err));
    assert_string_equal(c.keys.token, "tok=en");
    assert_non_null(strstr(c.from, "profile shop"));
    setenv("AWS_ACCESS_KEY_ID", "AKE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "se", 1);
    assert_true(creds_find(&a, NULL, &c, &err)); /* the environment's keys before the environment's profile */
    assert_string_equal(c.keys.id, "AKE");
    assert_true(creds_find(&a, "shop", &c, &err)); /* the pillar's profile before the environment */
    assert_string_equal(c.keys.id, "AKS");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    assert_false(creds_find(&a, NULL, &c, &err));
    assert_non_null(strstr(err.text, "AWS_SECRET_ACCESS_KEY"));
}

static void roles_and_machines_are_found(void **state)
{
    auto_arena struct arena a = {0};
    struct creds c;
    struct err err = {0};
    (void)state;
    assert_true(creds_find(&a, "deploy", &c, &err));
    assert_int_equal(c.kind, CREDS_ROLE);
    assert_string_equal(c.source->keys.id, "AKS");
    assert_string_equal(c.external_id, "x9");
    assert_string_equal(c.endpoint, "http://localhost:1");
    assert_true(creds_find(&a, "web", &c, &err));
    assert_int_equal(c.kind, CREDS_WEB);
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/t", 1);
    setenv("AWS_ROLE_ARN", "arn:r", 1);
    assert_true(creds_find(&a, NULL, &c, &err)); /* before the shared files */
    assert_int_equal(c.kind, CREDS_WEB);
    unsetenv("AWS_ROLE_ARN");
    assert_true(creds_find(&a, "bare", &c, &err));
    assert_int_equal(c.kind, CREDS_METADATA);
    setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x", 1);
    assert_true(creds_find(&a, "bare", &c, &err));
    assert_int_equal(c.kind, CREDS_CONTAINER);
}

static void what_gives_no_credentials_is_named(void **state)
{
    static const struct {
        const char *profile, *words;
    } rows[] = {
        {.profile = "nosuch", .words = "there: default, shop, half, deploy"},
        {.profile = "half", .words = "without aws_secret_access_key"},
        {.profile = "a", .words = "in a circle"},
        {.profile = "boss", .words = "MFA"},
        {.profile = "sso", .words = "export-credentials"},
        {.profile = "bare", .words = "switched off"},
        {.profile = "hollow", .words = "its source_profile 'bare' has no credentials"},
    };
    auto_arena struct arena a = {0};
    (void)state;
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct creds c;
        struct err err = {0};
        assert_false(creds_find(&a, rows[i].profile, &c, &err));
        if (!strstr(err.text, rows[i].words))
            fail_msg("%s: \"%s\" is not said: %s", rows[i].profile, rows[i].words, err.text);
    }
    struct ini ini;
    struct err err = {0};
    assert_false(ini_parse(&a, "f", "[x]\nnonsense\n", &ini, &err));
    assert_string_equal(err.text, "f:2: wanted KEY = VALUE");
    assert_false(ini_parse(&a, "f", "[x\n", &ini, &err));
    assert_false(ini_parse(&a, "f", "a=b\n", &ini, &err));
}

/* A key that would be signed with has a line's end in it. */
static void a_key_of_two_lines_is_refused(void **state)
{
    auto_arena struct arena a = {0};
    struct creds c;
    struct err err = {0};
    (void)state;
    put("credentials", "[default]\naws_access_key_id = AKD\n  aws_secret_access_key = s\n");
    assert_false(creds_find(&a, "default", &c, &err));
    assert_non_null(
        strstr(err.text, "/credentials: [default] aws_access_key_id: the line below stands deeper"));
}

/* What Python's configparser makes of the same text. */
static void files_may_be_indented(void **state)
{
    static const char text[] = "[one]\n  a = 1\n  b = 2\n\tc = 3\nd = 4\n"
                               "s3 =\n  a = inner\n    deeper = x\n  b = y\n  # none\n"
                               "e = 5\n  [no.section\n"
                               "  [two]\n"
                               "[three]\n   \r\n    [four]\n    a = 6\r\n  f = 7\n";
    static const struct {
        const char *section, *name, *value;
    } rows[] = {{"one", "a", "1"},
                {"one", "b", "2"},
                {"one", "c", "3"}, /* a tab is one column, as there */
                {"one", "d", "4"},
                {"one", "s3", "\na = inner\ndeeper = x\nb = y"},
                {"one", "e", "5\n[no.section\n[two]"},
                {"four", "a", "6"},
                {"four", "f", "7"},
                {"two", "a", NULL},
                {"one", "deeper", NULL}};
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct ini ini;
    (void)state;
    assert_true(ini_parse(&a, "f", text, &ini, &err));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *value = ini_get(&ini, rows[i].section, rows[i].name);
        if (!rows[i].value)
            assert_null(value);
        else
            assert_string_equal(value, rows[i].value);
    }
    assert_true(ini_has(&ini, "three") && !ini_has(&ini, "two"));
}

/* ---- answers --------------------------------------------------------------- */

static struct xml *xml(struct arena *a, const char *text)
{
    struct err err = {0};
    struct xml *x = xml_parse(a, text, strlen(text), &err);
    if (!x)
        fail_msg("%s", err.text);
    return x;
}

static void xml_is_bounded(void **state)
{
    static const char *const bad[] = {"",
                                      "<html>",
                                      "<a><b></a></b>",
                                      "not xml",
                                      "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
                                      "<a>&nosuch;</a>",
                                      "<a/><b/>"};
    auto_arena struct arena a = {0};
    struct err err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(xml_parse(&a, bad[i], strlen(bad[i]), &err));
        assert_int_equal(err.code, E_PROTO);
    }
    auto_buf struct buf deep = BUF_INIT(10000);
    for (int i = 0; i < 100; i++)
        buf_puts(&deep, "<a>");
    assert_null(xml_parse(&a, buf_str(&deep), deep.len, &err));
    assert_non_null(strstr(err.text, "too deeply"));
    struct xml *x =
        xml(&a, "<?xml version='1.0'?><n:R xmlns:n='u'><a> x &amp; y </a><l><m>1</m><k/><m>2</m></l></n:R>");
    assert_string_equal(x->name, "R");
    assert_string_equal(xml_text(x, "a"), "x & y");
    assert_string_equal(xml_next(xml_get(x, "l/m"))->text, "2");
    assert_null(xml_next(xml_next(xml_get(x, "l/m"))));
    assert_string_equal(xml_text(x, "l/none/below"), "");
}

#define TARGET(id, port, state, reason)                                                                      \
    "<member><Target><Id>" id "</Id><Port>" port "</Port></Target><TargetHealth><State>" state               \
    "</State><Reason>" reason "</Reason></TargetHealth></member>"

static void targets_are_what_the_group_says(void **state)
{
    static const struct target_group g = {.name = "site", .port = 8080};
    static const struct {
        const char *name;
        enum lb_state state;
        bool serving, up, leaving;
    } rows[] = {
        {"i-1", LB_READY, true, true, false},
        {"i-2", LB_READY, false, false, false},
        {"i-3:81", LB_READY, false, false, false},
        {"i-4", LB_READY, false, true, false},
        {"i-5", LB_READY, false, false, false},
        {"i-6", LB_READY, true, true, false},
        {"i-7", LB_DRAIN, false, false, true},
        {"i-9:8080", LB_READY, true, true, false},
        {"[2001:db8::1]:81", LB_READY, true, true, false},
    };
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct lb_table t = {.n = 0};
    const char *const asked[] = {"i-9:8080"};
    const char *zone = NULL;
    (void)state;
    struct xml *x =
        xml(&a, "<R><TargetHealthDescriptions>" TARGET("i-1", "8080", "healthy", "")
                    TARGET("i-2", "8080", "initial", "Elb.RegistrationInProgress")
                        TARGET("i-3", "81", "unhealthy", "Target.Timeout")
                            TARGET("i-4", "8080", "unused", "Target.NotInUse")
                                TARGET("i-5", "8080", "unused", "Target.InvalidState")
                                    TARGET("i-6", "8080", "unavailable", "Target.HealthCheckDisabled")
                                        TARGET("i-7", "8080", "draining", "Target.DeregistrationInProgress")
                                            TARGET("i-8", "8080", "unused", "Target.NotRegistered")
                                                TARGET("i-9", "8080", "healthy", "")
                                                    TARGET("2001:db8::1", "81", "healthy",
                                                           "") "</TargetHealthDescriptions></R>");
    assert_true(parse_target_health(x, &g, asked, 1, &a, &t, &zone, &err));
    assert_int_equal(t.n, sizeof rows / sizeof *rows);
    for (size_t i = 0; i < t.n; i++) {
        assert_string_equal(t.rows[i].name, rows[i].name);
        assert_int_equal(t.rows[i].state, rows[i].state);
        assert_int_equal(t.rows[i].serving, rows[i].serving);
        assert_int_equal(t.rows[i].up, rows[i].up);
        assert_int_equal(t.rows[i].leaving, rows[i].leaving);
    }
    t.n = 0;
    x = xml(&a, "<R><TargetHealthDescriptions>" TARGET("i-1", "8080", "resting",
                                                       "") "</TargetHealthDescriptions></R>");
    assert_false(parse_target_health(x, &g, asked, 1, &a, &t, &zone, &err));
    assert_non_null(strstr(err.text, "resting"));
    assert_false(parse_target_health(xml(&a, "<R/>"), &g, asked, 1, &a, &t, &zone, &err));
}

/* One of the group gets requests, so its balancer is there: who is not in use is where it does not reach. */
static void only_a_group_of_none_in_use_is_unused(void **state)
{
    static const struct target_group g = {.name = "site", .port = 80};
    static const struct {
        const char *state, *reason;
        bool unused;
    } others[] = {{"unused", "Target.NotInUse", true},
                  {"unused", "Target.InvalidState", true},
                  {"draining", "Target.DeregistrationInProgress", true},
                  {"healthy", "", false},
                  {"initial", "", false},
                  {"unhealthy", "Target.Timeout", false}};
    auto_arena struct arena a = {0};
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct err err = {0};
        struct lb_table t = {.n = 0};
        const char *zone = NULL;
        auto_buf struct buf b = BUF_INIT(2000);
        buf_printf(&b,
                   "<R><TargetHealthDescriptions>" TARGET("i-1", "80", "unused", "Target.NotInUse")
                       TARGET("i-2", "80", "%s", "%s") "</TargetHealthDescriptions></R>",
                   others[i].state, others[i].reason);
        assert_true(parse_target_health(xml(&a, buf_str(&b)), &g, NULL, 0, &a, &t, &zone, &err));
        assert_int_equal(t.rows[0].unused, others[i].unused);
        assert_false(t.rows[0].serving);
    }
}

/* One that drains is InService, in so many words. */
static void classic_instances_drain_in_words(void **state)
{
    static const struct {
        const char *state, *why;
        enum lb_state wants;
        bool serving, leaving;
    } rows[] = {
        {"InService", "N/A", LB_READY, true, false},
        {"OutOfService", "Instance has failed at least the UnhealthyThreshold", LB_READY, false, false},
        {"InService", "Instance deregistration currently in progress.", LB_DRAIN, false, true},
        {"InService", "Something else.", LB_READY, true, false}};
    auto_arena struct arena a = {0};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        struct lb_table t = {.n = 0};
        auto_buf struct buf b = BUF_INIT(2000);
        buf_printf(&b,
                   "<R><InstanceStates><member><InstanceId>i-1</InstanceId><State>%s</State><Description>%s"
                   "</Description></member></InstanceStates></R>",
                   rows[i].state, rows[i].why);
        assert_true(parse_instance_health(xml(&a, buf_str(&b)), "old", &a, &t, &err));
        assert_int_equal(t.rows[0].state, rows[i].wants);
        assert_int_equal(t.rows[0].serving, rows[i].serving);
        assert_int_equal(t.rows[0].leaving, rows[i].leaving);
    }
}

static void names_of_targets_are_taken_apart(void **state)
{
    static const struct {
        const char *text, *id;
        int port;
    } rows[] = {{"i-1", "i-1", 0},
                {"i-1:80", "i-1", 80},
                {"10.0.0.1:8080", "10.0.0.1", 8080},
                {"2001:db8::1", "2001:db8::1", 0},
                {"[2001:db8::1]:81", "2001:db8::1", 81},
                {"[2001:db8::1]", "2001:db8::1", 0},
                {"i-1:", NULL, 0},
                {"i-1:70000", NULL, 0},
                {"[]:1", NULL, 0},
                {"", NULL, 0},
                {":80", NULL, 0}};
    auto_arena struct arena a = {0};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct aws_target t;
        assert_int_equal(target_parse(&a, rows[i].text, &t), rows[i].id != NULL);
        if (!rows[i].id)
            continue;
        assert_string_equal(t.id, rows[i].id);
        assert_int_equal(t.port, rows[i].port);
    }
    const char *name, *region;
    assert_true(target_group_arn(&a, "arn:aws:elasticloadbalancing:eu-west-1:12:targetgroup/site/50dc", &name,
                                 &region));
    assert_string_equal(name, "site");
    assert_string_equal(region, "eu-west-1");
    assert_false(target_group_arn(&a, "arn:aws:elasticloadbalancing:eu-west-1:12:loadbalancer/app/x/50dc",
                                  &name, &region));
    assert_false(target_group_arn(&a, "arn:aws", &name, &region));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_of_botocore),
        cmocka_unit_test(signatures_are_those_of_the_published_suite),
        cmocka_unit_test_setup_teardown(credentials_come_in_the_order_of_the_tools, make_home, remove_home),
        cmocka_unit_test_setup_teardown(roles_and_machines_are_found, make_home, remove_home),
        cmocka_unit_test_setup_teardown(what_gives_no_credentials_is_named, make_home, remove_home),
        cmocka_unit_test(files_may_be_indented),
        cmocka_unit_test_setup_teardown(a_key_of_two_lines_is_refused, make_home, remove_home),
        cmocka_unit_test(xml_is_bounded),
        cmocka_unit_test(targets_are_what_the_group_says),
        cmocka_unit_test(only_a_group_of_none_in_use_is_unused),
        cmocka_unit_test(classic_instances_drain_in_words),
        cmocka_unit_test(names_of_targets_are_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
