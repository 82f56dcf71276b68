/* SPDX-License-Identifier: MIT */
/* The verbs of NetScalers, against the strict stand-in of tests/lib/nitro.py: what the contract promises, and
 * what the appliance does beside it (sessions, a pair, states of its own). */
#include "unit/lb_rig.h"

#include <jansson.h>

static pid_t stand_in;
static int port_a, port_b, port_c;
static char pair[160], large[64];
static const char *const secrets[] = {"s3cret-NS", NULL};

/* One order to a stand-in; its answer. */
static const char *order(int port, const char *json)
{
    char text[512];
    snprintf(text, sizeof text, "POST /order HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(json), json);
    return rig_talk(port, text);
}

static int asked(int port)
{
    const char *at = strstr(order(port, "{}"), "\"asked\": ");
    assert_non_null(at);
    return atoi(at + strlen("\"asked\": "));
}

static bool shows(const char *member, const char *state)
{
    char want[120];
    snprintf(want, sizeof want, "\"%s\": \"%s\"", member, state);
    return strstr(order(port_a, "{}"), want) != NULL;
}

static int each_setup(void **state)
{
    (void)state;
    rig_forget();
    rig_deadline_ms = 8000;
    order(port_a,
          "{\"fault\": \"\", \"forget\": 1, \"ha\": \"Primary\", \"expire\": 1, \"clients\": [\"app1\", 0]}");
    order(port_b, "{\"fault\": \"\", \"ha\": \"Secondary\", \"expire\": 1}");
    order(port_c, "{\"fault\": \"\", \"forget\": 1}");
    return 0;
}

static int group_setup(void **state)
{
    static char program[300], a[8], b[8], c[8];
    (void)state;
    rig_open();
    port_a = port_pick();
    port_b = port_pick();
    port_c = port_pick();
    snprintf(program, sizeof program, "%s/tests/lib/nitro.py", SOURCE_DIR);
    snprintf(a, sizeof a, "%d", port_a);
    snprintf(b, sizeof b, "%d", port_b);
    snprintf(c, sizeof c, "%d", port_c);
    const char *const argv[] = {"/usr/bin/python3", "-B", program, a, b, c, NULL};
    stand_in = rig_spawn(argv);
    rig_until(rig_port_open(port_a) && rig_port_open(port_b) && rig_port_open(port_c));
    snprintf(pair, sizeof pair, "[\"http://127.0.0.1:%d|http://127.0.0.1:%d\"]", port_a, port_b);
    snprintf(large, sizeof large, "[\"http://127.0.0.1:%d\"]", port_c);
    rig_secrets = secrets;
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    rig_forget();
    rig_stop(&stand_in, SIGTERM);
    rig_close();
    return 0;
}

#define LOGIN                                                                                                \
    {"user", "release"},                                                                                     \
    {                                                                                                        \
        "password", "s3cret-NS"                                                                              \
    }
#define GROUP(name)                                                                                          \
    {"url", pair}, LOGIN, {"servicegroup", "[\"shop\"]"},                                                    \
    {                                                                                                        \
        "server", (name)                                                                                     \
    }

static void what_was_is_recorded(void **state)
{
    (void)state;
    auto_call struct call before;
    RUN(&before, "netscaler.observe", GROUP("app2"));
    assert_ok(&before);
    assert_says(rig_fact(&before, "lb.before"), " shop/app2=enabled");
    assert_says(rig_fact(&before, "lb.at"), " 10.0.0.3:80");
}

/* Gracefully: it is not idle before the appliance itself says OUT OF SERVICE, and with `delay` it says so with
 * connections left. */
static void going_out_of_service_is_waited_for(void **state)
{
    (void)state;
    auto_call struct call drain, idle, done, kill, killed;
    order(port_a, "{\"clients\": [\"app1\", 3]}");
    RUN(&drain, "netscaler.drain", GROUP("app1"));
    assert_ok(&drain);
    assert_true(shows("shop/app1:80", "GOING OUT OF SERVICE"));
    assert_says(order(port_a, "{}"),
                "\"body\": {\"servicegroup\": {\"servicegroupname\": \"shop\", \"servername\": "
                "\"app1\", \"port\": 80, \"graceful\": \"YES\"}}");
    RUN(&idle, "netscaler.wait_idle", GROUP("app1"));
    assert_ok(&idle);
    assert_false(idle.r->ready || idle.r->lost);
    assert_int_equal(idle.r->gauge, 3);
    RUN(&kill, "netscaler.kill", GROUP("app1"));
    assert_ok(&kill);
    assert_string_equal(rig_fact(&kill, "killed"), "3");
    assert_true(shows("shop/app1:80", "OUT OF SERVICE"));
    RUN(&killed, "netscaler.killed", GROUP("app1"));
    assert_true(killed.r->ready);
    RUN(&done, "netscaler.wait_idle", GROUP("app1"));
    assert_true(done.r->ready);
}

static void delay_is_told_in_seconds(void **state)
{
    (void)state;
    auto_call struct call drain;
    struct err err = {0};
    const struct verb *wait = verb_find("netscaler.wait_idle", NULL);
    RUN(&drain, "netscaler.drain", GROUP("app1"), {"delay", "90s"}, {"graceful", "no"});
    assert_ok(&drain);
    assert_says(order(port_a, "{}"), "\"port\": 80, \"delay\": 90}");
    assert_true(shows("shop/app1:80", "GOING OUT OF SERVICE"));
    static const struct {
        struct op_pair args[3];
        const char *says;
    } rows[] = {
        {{{"delay", "60s"}}, "not shorter than drain_timeout (60 s)"},
        {{{"delay", "500ms"}}, "whole seconds"},
        {{{"service", "yes"}, {"servicegroup", "[\"g\"]"}}, "not both"},
        {{{"url", "[\"ns1\"]"}}, "https://"},
        {{{"url", "[\"http://ns1\"]"}}, "plain http"},
        {{{"url", "[\"http://127.evil.example\"]"}}, "plain http"},
        {{{"url", "[\"http://localhost.evil.example:80\"]"}}, "plain http"},
        {{{"url", "[\"http://[::1].evil.example\"]"}}, "plain http"},
        {{{"url", "[\"https://ns1/nitro\"]"}}, "alone"},
        {{{"url", "[\"https://ns1|\"]"}}, "does not begin"},
        {{{"url", "[\"https://a;b\"]"}}, "alone"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = rows[i].args[1].name ? 2 : 1;
        assert_false(wait->check(rows[i].args, n, 60000, &err));
        assert_says(err.text, rows[i].says);
    }
    assert_true(
        wait->check((const struct op_pair[]){{"delay", "59s"}, {"url", "[\"https://ns1|https://[::1]:8\"]"}},
                    2, 60000, &err));
}

/* Each op asks which node is the primary; nothing is ever told to the other. */
static void the_primary_of_a_pair_is_talked_to(void **state)
{
    (void)state;
    auto_call struct call drain, enable, neither, alone;
    char one[64];
    int before = asked(port_b);
    RUN(&drain, "netscaler.drain", GROUP("app1"));
    assert_ok(&drain);
    assert_int_equal(asked(port_b), before);
    order(port_a, "{\"ha\": \"Secondary\"}");
    order(port_b, "{\"ha\": \"Primary\"}");
    RUN(&enable, "netscaler.enable", GROUP("app1"));
    assert_ok(&enable);
    assert_says(order(port_b, "{}"), "action=enable");
    order(port_b, "{\"ha\": \"Claiming\"}");
    RUN(&neither, "netscaler.guard", GROUP("app1"));
    assert_int_equal(neither.r->outcome, OUT_UNKNOWN);
    assert_says(neither.r->err.text, "is the secondary of its pair; http");
    assert_says(neither.r->err.text, "is Claiming; none of the pair is the primary");
    snprintf(one, sizeof one, "[\"http://127.0.0.1:%d\"]", port_a);
    RUN(&alone, "netscaler.observe", {"url", one}, LOGIN, {"servicegroup", "[\"shop\"]"}, {"server", "app1"});
    assert_int_equal(alone.r->outcome, OUT_UNKNOWN);
    assert_says(alone.r->err.text, "is the secondary of its pair; wanted the primary: give both");
}

static void a_session_is_kept_and_renewed(void **state)
{
    (void)state;
    auto_call struct call first, second, renewed;
    RUN(&first, "netscaler.guard", GROUP("app1"));
    RUN(&second, "netscaler.guard", GROUP("app1"));
    assert_says(order(port_a, "{}"), "\"sessions\": 1");
    order(port_a, "{\"expire\": 1}");
    RUN(&renewed, "netscaler.drain", GROUP("app1"));
    assert_ok(&renewed);
    assert_says(order(port_a, "{}"), "\"sessions\": 1");
    assert_true(shows("shop/app1:80", "OUT OF SERVICE"));
}

/* Others may have all sessions: that is no word about the password, and over some time. */
static void too_many_sessions_are_waited_out(void **state)
{
    (void)state;
    auto_call struct call busy, again;
    order(port_a, "{\"crowd\": 1}");
    RUN(&busy, "netscaler.guard", GROUP("app1"));
    assert_int_equal(busy.r->outcome, OUT_UNKNOWN);
    assert_says(busy.r->err.text, "is busy: Maximum number of sessions");
    order(port_a, "{\"expire\": 1}");
    RUN(&again, "netscaler.guard", GROUP("app1"));
    assert_ok(&again);
}

/* An account is not locked by a fleet that asks with a wrong password for each of its nodes. */
static void a_wrong_password_is_tried_once(void **state)
{
    (void)state;
    auto_call struct call wrong, again, viewer;
    RUN(&wrong, "netscaler.observe", {"url", large}, {"user", "release"}, {"password", "hunter2hunter2"},
        {"servicegroup", "[\"shop\"]"}, {"server", "web1"});
    assert_int_equal(wrong.r->outcome, OUT_FAILED);
    assert_says(wrong.r->err.text, "login of \"release\" was refused: Invalid username or password");
    assert_null(strstr(wrong.r->err.text, "hunter2"));
    int before = asked(port_c);
    RUN(&again, "netscaler.observe", {"url", large}, {"user", "release"}, {"password", "hunter2hunter2"},
        {"servicegroup", "[\"shop\"]"}, {"server", "web2"});
    assert_int_equal(again.r->outcome, OUT_FAILED);
    assert_int_equal(asked(port_c), before);
    RUN(&viewer, "netscaler.drain", {"url", pair}, {"user", "viewer"}, {"password", "look-only"},
        {"servicegroup", "[\"shop\"]"}, {"server", "app1"});
    assert_int_equal(viewer.r->outcome, OUT_FAILED);
    assert_says(viewer.r->err.text,
                "Not authorized to execute this command [disable servicegroup shop app1 80");
    assert_true(shows("shop/app1:80", "UP"));
}

static void a_server_that_somebody_disabled_stays(void **state)
{
    (void)state;
    auto_call struct call before, drain, enable, enabled, up;
    RUN(&before, "netscaler.observe", GROUP("app3"));
    RUN(&drain, "netscaler.drain", GROUP("app3"));
    assert_ok(&drain);
    order(port_a, "{\"server_off\": \"app3\"}");
    RUN(&enable, "netscaler.enable", GROUP("app3"));
    assert_ok(&enable);
    assert_string_equal(rig_fact(&enable, "kept"), "server-disabled");
    assert_true(shows("shop/app3:80", "OUT OF SERVICE"));
    RUN(&enabled, "netscaler.enabled", GROUP("app3"));
    assert_true(enabled.r->ready);
    RUN(&up, "netscaler.wait_up", GROUP("app3"));
    assert_true(up.r->ready);
    auto_call struct call on;
    RUN(&on, "netscaler.enable", {"url", pair}, LOGIN, {"server", "app3"});
    assert_ok(&on);
}

/* It was off before the release, so nothing is ours to set: what an operator did since stays, and a drain of ours on top of it is
 * taken back. */
static void a_server_that_is_enabled_meanwhile_stays(void **state)
{
    (void)state;
    auto_call struct call before, enable, enabled, drain, back, again;
    order(port_a, "{\"server_off\": \"app3\"}");
    RUN(&before, "netscaler.observe", GROUP("app3"));
    assert_says(rig_fact(&before, "lb.before"), "shop/app3=server-disabled");
    order(port_a, "{\"server_on\": \"app3\"}");
    RUN(&enable, "netscaler.enable", GROUP("app3"));
    assert_ok(&enable);
    assert_true(shows("shop/app3:80", "UP"));
    assert_null(strstr(order(port_a, "{}"), "action=disable\", \"body\": {\"servicegroup\": "
                                            "{\"servicegroupname\": \"shop\", \"servername\": \"app3\""));
    RUN(&enabled, "netscaler.enabled", GROUP("app3"));
    assert_true(enabled.r->ready);
    RUN(&drain, "netscaler.drain", GROUP("app3"));
    assert_ok(&drain);
    assert_true(shows("shop/app3:80", "OUT OF SERVICE"));
    RUN(&again, "netscaler.enabled", GROUP("app3"));
    assert_false(again.r->ready);
    RUN(&back, "netscaler.enable", GROUP("app3"));
    assert_ok(&back);
    assert_true(shows("shop/app3:80", "UP"));
}

/* Nothing is counted on it, and the delay goes on: the kill ends that, too. */
static void a_kill_ends_a_delay_with_nothing_left(void **state)
{
    (void)state;
    auto_call struct call drain, kill, killed;
    RUN(&drain, "netscaler.drain", GROUP("app1"), {"delay", "90s"}, {"graceful", "no"});
    assert_ok(&drain);
    assert_true(shows("shop/app1:80", "GOING OUT OF SERVICE"));
    RUN(&kill, "netscaler.kill", GROUP("app1"));
    assert_ok(&kill);
    assert_true(kill.r->ready && kill.r->changed);
    assert_string_equal(rig_fact(&kill, "killed"), "0");
    RUN(&killed, "netscaler.killed", GROUP("app1"));
    assert_true(killed.r->ready);
}

static void services_and_servers(void **state)
{
    (void)state;
    auto_call struct call drain, idle, enable, off, none, guard, on, all;
#define SVC {"url", pair}, LOGIN, {"service", "yes"}, {"server", "svc-app1"}
#define SRV                                                                                                  \
    {"url", pair}, LOGIN,                                                                                    \
    {                                                                                                        \
        "server", "app2"                                                                                     \
    }
    RUN(&drain, "netscaler.drain", SVC);
    assert_ok(&drain);
    assert_says(order(port_a, "{}"), "{\"service\": {\"name\": \"svc-app1\", \"graceful\": \"YES\"}}");
    RUN(&idle, "netscaler.wait_idle", SVC);
    assert_true(idle.r->ready);
    RUN(&all, "netscaler.capacity", {"url", pair}, LOGIN, {"service", "yes"},
        {"servers", "[\"svc-app1\",\"svc-app2\"]"});
    assert_string_equal(rig_fact(&all, "lb.serving"), "01");
    RUN(&enable, "netscaler.enable", SVC);
    assert_ok(&enable);
    RUN(&off, "netscaler.drain", SRV);
    assert_ok(&off);
    assert_true(shows("shop/app2:80", "OUT OF SERVICE"));
    auto_call struct call counted;
    RUN(&counted, "netscaler.wait_idle", SRV);
    assert_ok(&counted);
    assert_true(counted.r->ready);
    RUN(&guard, "netscaler.guard", SRV);
    assert_true(guard.r->ready);
    RUN(&on, "netscaler.enable", SRV);
    assert_ok(&on);
    assert_true(shows("shop/app2:80", "UP"));
    RUN(&none, "netscaler.observe", {"url", pair}, LOGIN, {"service", "yes"}, {"server", "svc-app9"});
    assert_int_equal(none.r->outcome, OUT_FAILED);
    assert_says(none.r->err.text, "it has no server \"svc-app9\" (it has svc-app1, svc-app2, svc-app3)");
}

static void unknown_names_are_told(void **state)
{
    (void)state;
    auto_call struct call group, member, twice, port;
    RUN(&group, "netscaler.observe", {"url", pair}, LOGIN, {"servicegroup", "[\"nosuch\"]"},
        {"server", "app1"});
    assert_int_equal(group.r->outcome, OUT_FAILED);
    assert_says(group.r->err.text, "has no service group \"nosuch\"");
    RUN(&member, "netscaler.observe", GROUP("app9"));
    assert_says(member.r->err.text, "service group shop has no server \"app9\" (it has app1, app2, app3)");
    RUN(&twice, "netscaler.observe", {"url", pair}, LOGIN, {"servicegroup", "[\"double\"]"},
        {"server", "app1"});
    assert_says(twice.r->err.text, "(it has app1:81, app1:82)");
    RUN(&port, "netscaler.drain", {"url", pair}, LOGIN, {"servicegroup", "[\"double\"]"},
        {"server", "app1:82"});
    assert_ok(&port);
    assert_true(shows("double/app1:82", "OUT OF SERVICE") && shows("double/app1:81", "UP"));
}

static void unknown_is_not_success(void **state)
{
    (void)state;
    static const struct {
        const char *fault, *says;
    } rows[] = {
        {"html", "answered a page (\"<html><body>Please log in"},
        {"429", "answered status 429: busy"},
        {"503", "answered status 503: busy"},
        {"redirect", "status 301 (redirects are not followed"},
        {"drop", "http://127.0.0.1:"},
        {"hang", "http://127.0.0.1:"},
        {"flood", "answered more than 8 MiB"},
        {"partial", "shop/app1: its state (svrstate) is not told"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_call struct call idle;
        char text[64];
        rig_deadline_ms = 20000;
        snprintf(text, sizeof text, "{\"fault\": \"%s\"}", rows[i].fault);
        order(port_a, text);
        /* Only silence needs its time to be up: a machine that is busy takes its own to read 8 MiB. */
        RUN(&idle, "netscaler.wait_idle", GROUP("app1"),
            {"call_timeout", strcmp(rows[i].fault, "hang") ? "20s" : "1s"});
        if (idle.r->outcome != OUT_UNKNOWN)
            fail_msg("%s is %s", rows[i].fault, outcome_name(idle.r->outcome));
        assert_says(idle.r->err.text, rows[i].says);
    }
}

/* All of a group in one question, whatever their number. */
static void a_thousand_servers_are_one_question(void **state)
{
    (void)state;
    auto_call struct call first, all, show;
    RUN(&first, "netscaler.capacity", {"url", large}, {"user", "viewer"}, {"password", "look-only"},
        {"servicegroup", "[\"shop\"]"});
    assert_ok(&first);
    int before = asked(port_c);
    int64_t began = clock_mono_ms();
    RUN(&all, "netscaler.capacity", {"url", large}, {"user", "viewer"}, {"password", "look-only"},
        {"servicegroup", "[\"shop\"]"});
    assert_ok(&all);
    print_message("1,000 members: %d calls, %d ms\n", asked(port_c) - before, (int)(clock_mono_ms() - began));
    assert_int_equal(all.r->gauge, 1000);
    assert_int_equal(asked(port_c) - before, 2); /* who is the primary, and the list */
    before = asked(port_c);
    RUN(&show, "netscaler.show", {"url", large}, {"user", "viewer"}, {"password", "look-only"},
        {"servicegroup", "[\"shop\"]"});
    assert_ok(&show);
    assert_int_equal(asked(port_c) - before, 3);
    char name[80];
    snprintf(name, sizeof name, "lb.http://127.0.0.1:%d.web999", port_c);
    assert_says(rig_fact(&show, name),
                "\"state\":\"UP\",\"admin\":\"enabled\",\"sessions\":0,\"queued\":0,\"weight\":1,"
                "\"requests\":0,\"serving\":true,\"up\":true}");
}

static void who_else_sends_there_is_found(void **state)
{
    (void)state;
    auto_call struct call survey;
#define SHOP {"url", pair}, LOGIN, {"servicegroup", "[\"shop\"]"}
    auto_call struct call shared, ignored;
    RUN(&survey, "netscaler.survey", SHOP);
    assert_ok(&survey);
    assert_int_equal(survey.r->n_facts, 0);
    order(port_a, "{\"member\": [\"api\", \"app2\", 80]}");
    RUN(&shared, "netscaler.survey", SHOP);
    assert_ok(&shared);
    assert_int_equal(shared.r->n_facts, 1);
    assert_says(shared.r->facts[0].name, " 10.0.0.3:80");
    assert_says(shared.r->facts[0].value, "shop/app2");
    assert_says(shared.r->facts[0].value, "api/app2");
    RUN(&ignored, "netscaler.survey", SHOP, {"ignore_backends", "[\"api\"]"});
    assert_int_equal(ignored.r->n_facts, 0);
}

#define T(name) cmocka_unit_test_setup(name, each_setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_was_is_recorded),
        T(going_out_of_service_is_waited_for),
        T(delay_is_told_in_seconds),
        T(the_primary_of_a_pair_is_talked_to),
        T(a_session_is_kept_and_renewed),
        T(too_many_sessions_are_waited_out),
        T(a_wrong_password_is_tried_once),
        T(a_server_that_somebody_disabled_stays),
        T(a_server_that_is_enabled_meanwhile_stays),
        T(a_kill_ends_a_delay_with_nothing_left),
        T(services_and_servers),
        T(unknown_names_are_told),
        T(unknown_is_not_success),
        T(a_thousand_servers_are_one_question),
        T(who_else_sends_there_is_found),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
