/* SPDX-License-Identifier: MIT */
/* What stands between us and AWS, or is wrong with what we ask, for every kind that asks: each is told by its name, and no change is
 * sent. Exit statuses are test_aws.py's. */
#include "unit/aws_rig.h"

#define PLACE                                                                                                \
    {"region", "[\"eu-west-1\"]"}, {"profile", "shop"}, {"endpoint", endpoint},                              \
    {                                                                                                        \
        "server", "i-1"                                                                                      \
    }
#define CALL                                                                                                 \
    {"region", "eu-west-1"}, {"profile", "shop"},                                                            \
    {                                                                                                        \
        "endpoint", endpoint                                                                                 \
    }
#define N_KINDS 5

static void ask(size_t kind, struct call *ret)
{
    switch (kind) {
    case 0: RUN(ret, "elbv2.observe", PLACE, {"target_group", "[\"site\"]"}); break;
    case 1: RUN(ret, "elb.observe", PLACE, {"name", "[\"old\"]"}); break;
    case 2: RUN(ret, "asg.observe", PLACE, {"group", "[\"web\"]"}); break;
    case 3: RUN(ret, "ec2.instances", CALL, {"filters", "{\"tag:Role\": \"web\"}"}); break;
    default:
        RUN(ret, "aws.call", CALL, {"service", "ec2"}, {"action", "CreateSnapshot"},
            {"params", "{\"VolumeId\": \"vol-1\"}"});
    }
}

#define ERROR(code)                                                                                          \
    "<ErrorResponse><Error><Code>" code                                                                      \
    "</Code><Message>words</Message></Error><RequestId>r</RequestId></ErrorResponse>"

static const struct fault {
    int status;
    const char *body, *says;
    int repeat, date;
} faults[] = {
    {403, ERROR("ExpiredToken"), "the credentials of profile shop", 1, 0},
    {403, ERROR("InvalidClientTokenId"), "check the credentials of profile shop", 1, 0},
    {403, ERROR("SignatureDoesNotMatch"), "this machine's clock is 10m", 1, 600},
    {403, ERROR("RequestExpired"), "ahead of AWS's: set it (NTP)", 1, -600},
    {403, ERROR("AccessDenied"), "must allow ", 1, 0},
    {400, ERROR("ValidationError"), "AWS answered ValidationError: words", 1, 0},
    {200, "<html><body>Sign in</body></html>", "a page in HTML", 1, 0},
    {200, "{\"json\": 1}", "is a proxy or another service in its place?", 1, 0},
    {200, "<OtherResponse/>", "the answer is a <OtherResponse>", 1, 0},
    {200, "0123456789abcdef", "longer than 8 MiB", 6250000, 0}, /* 100 MB */
    {429, ERROR("TooManyRequestsException"), "; asked ", 1, 0},
    {429, "<html>slow down</html>", "a page in HTML", 1, 0},
    {400, ERROR("Throttling"), "; asked ", 1, 0},
    {503, ERROR("ServiceUnavailable"), "ServiceUnavailable: words", 1, 0},
    {502, "<html>Bad Gateway</html>", "AWS answered 502: <html>Bad Gateway</html>", 1, 0},
    {0, "", "check region, endpoint and the way there", 1, 0},
};

static void every_kind_tells_what_is_wrong_and_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const struct fault *f = &faults[i];
        rig_deadline_ms = f->repeat > 1 ? 20000 : 700;
        json_array_append_new(rules,
                              json_pack("{s:s, s:i, s:s, s:i, s:i}", "when", "POST /", "status", f->status,
                                        "body", f->body, "repeat", f->repeat, "date", f->date));
        order();
        for (size_t kind = 0; kind < N_KINDS; kind++) {
            auto_call struct call c;
            ask(kind, &c);
            if (c.r->outcome == OUT_OK || !strstr(c.r->err.text, f->says))
                fail_msg("fault %zu, kind %zu: \"%s\" is not said: %s: %s", i, kind, f->says,
                         outcome_name(c.r->outcome), c.r->err.text);
        }
        const char *text = was_asked();
        assert_int_equal(times_asked(text, "RegisterTargets") + times_asked(text, "DeregisterTargets") +
                             times_asked(text, "DeregisterInstances") + times_asked(text, "EnterStandby"),
                         0);
        /* A change is sent once, but where it was certainly not done. */
        if (!strstr(f->says, "asked"))
            assert_int_equal(times_asked(text, "CreateSnapshot"), 1);
    }
}

#define T(name) cmocka_unit_test_setup(name, each_setup)

int main(void)
{
    const struct CMUnitTest tests[] = {T(every_kind_tells_what_is_wrong_and_changes_nothing)};
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
