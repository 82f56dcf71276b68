/* SPDX-License-Identifier: MIT */
/* The verbs of a balancer behind a program: what the contract promises, kept whatever the program does. */
#include "unit/lb_rig.h"

#include <jansson.h>

#include "drivers/balancer/command/command.h"

static char program[300];

static void world(const char *lb, const char *can, int sessions)
{
    auto_buf struct buf text = BUF_INIT(4000);
    buf_printf(&text, "{%s%s\"servers\": [", can ? can : "", can ? ", " : "");
    for (int i = 1; i <= 3; i++)
        buf_printf(&text,
                   "%s{\"pool\": \"shop\", \"server\": \"app%d\", \"state\": \"ready\", \"weight\": %d, "
                   "\"sessions\": %d, \"queued\": 0, \"status\": \"UP\"}",
                   i > 1 ? ", " : "", i, 10 * i, sessions);
    buf_puts(&text, ", {\"pool\": \"api\", \"server\": \"app1\", \"state\": \"ready\", \"weight\": 7, "
                    "\"sessions\": 0}]}");
    char name[32];
    snprintf(name, sizeof name, "%s.json", lb);
    rig_write(rig_path(name), "%s", buf_str(&text));
}

static void fault(const char *lb, const char *what)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s.fault", rig_dir, lb);
    rig_write(path, "%s", what);
}

/* "ready 10" as the balancer's own file says. */
static const char *is(const char *lb, const char *pool, const char *server)
{
    static char out[64];
    char path[200];
    snprintf(path, sizeof path, "%s/%s.json", rig_dir, lb);
    json_t *all = json_load_file(path, 0, NULL), *s;
    size_t i;
    out[0] = '\0';
    json_array_foreach(json_object_get(all, "servers"), i, s)
    {
        if (!strcmp(json_string_value(json_object_get(s, "pool")), pool) &&
            !strcmp(json_string_value(json_object_get(s, "server")), server))
            snprintf(out, sizeof out, "%s %d", json_string_value(json_object_get(s, "state")),
                     (int)json_integer_value(json_object_get(s, "weight")));
    }
    json_decref(all);
    return out;
}

static int each_setup(void **state)
{
    (void)state;
    rig_forget();
    fault("a", "");
    fault("b", "");
    world("a", NULL, 0);
    world("b", NULL, 0);
    return 0;
}

static int group_setup(void **state)
{
    (void)state;
    rig_open();
    snprintf(program, sizeof program,
             "[\"/usr/bin/python3\",\"-S\",\"%s/tests/lib/balancer_program.py\",\"%s\"]", SOURCE_DIR,
             rig_dir);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    rig_forget();
    rig_close();
    return 0;
}

#define ARGS(name)                                                                                           \
    {"program", program}, {"balancers", "[\"a\",\"b\"]"}, {"backend", "[\"shop\"]"},                         \
    {                                                                                                        \
        "server", (name)                                                                                     \
    }
#define FLEET                                                                                                \
    {"program", program}, {"balancers", "[\"a\",\"b\"]"},                                                    \
    {                                                                                                        \
        "backend", "[\"shop\"]"                                                                              \
    }
#define assert_is(lb, server, wanted) assert_string_equal(is(lb, "shop", server), wanted)

static void a_refusal_gives_the_other_balancer_back(void **state)
{
    (void)state;
    auto_call struct call refused, lied, dead;
    fault("b", "refuse");
    RUN(&refused, "command.drain", ARGS("app1"));
    assert_int_equal(refused.r->outcome, OUT_FAILED);
    assert_says(refused.r->err.text,
                "b: shop/app1: wanted drain, the balancer said: it is locked; the other");
    assert_is("a", "app1", "ready 10");
    fault("b", "lie");
    RUN(&lied, "command.drain", ARGS("app1"));
    assert_int_equal(lied.r->outcome, OUT_FAILED);
    assert_says(lied.r->err.text, "still shows ready");
    assert_is("a", "app1", "ready 10");
    fault("b", "die");
    RUN(&dead, "command.drain", ARGS("app1"));
    assert_int_equal(dead.r->outcome, OUT_UNKNOWN);
    assert_says(dead.r->err.text, "b: the program ended with status 3: no route to the balancer");
    assert_null(strstr(dead.r->err.text, "second"));
    assert_is("a", "app1", "ready 10");
}

static void sessions_are_waited_for_and_ended(void **state)
{
    (void)state;
    auto_call struct call before, drain, idle, maint, kill;
    world("a", NULL, 4);
    RUN(&before, "command.observe", ARGS("app1"));
    RUN(&drain, "command.drain", ARGS("app1"));
    RUN(&idle, "command.wait_idle", ARGS("app1"));
    assert_int_equal(idle.r->gauge, 4);
    assert_false(idle.r->ready);
    RUN(&maint, "command.maint", ARGS("app1"));
    assert_ok(&maint);
    assert_is("a", "app1", "maint 10");
    RUN(&kill, "command.kill", ARGS("app1"));
    assert_ok(&kill);
    assert_true(kill.r->ready);
    assert_string_equal(rig_fact(&kill, "killed"), "4");
}

/* Said by the program, so asked before a release begins. */
static void what_it_cannot_is_not_assumed(void **state)
{
    (void)state;
    auto_call struct call observe, maint, kill, uncounted, node;
    world("a", "\"can\": [\"counts\"]", 0);
    RUN(&observe, "command.observe", ARGS("app1"));
    assert_ok(&observe);
    assert_string_equal(rig_fact(&observe, "lb.can"), "counts");
    assert_string_equal(rig_fact(&observe, "lb.before"), "a shop/app1=ready;b shop/app1=ready");
    RUN(&maint, "command.maint", ARGS("app1"));
    assert_ok(&maint);
    assert_is("a", "app1", "drain 10");
    assert_is("b", "app1", "drain 10");
    RUN(&kill, "command.kill", ARGS("app1"));
    assert_int_equal(kill.r->outcome, OUT_FAILED);
    assert_says(kill.r->err.text, "cannot end sessions");
    world("b", "\"can\": []", 0);
    RUN(&uncounted, "command.observe", ARGS("app1"));
    assert_int_equal(uncounted.r->outcome, OUT_FAILED);
    assert_says(uncounted.r->err.text, "idle: node");
    RUN(&node, "command.observe", ARGS("app1"), {"idle", "node"});
    assert_ok(&node);
}

/* A balancer that takes a server out by leaving it off its list. */
static void a_member_that_left_is_out(void **state)
{
    (void)state;
    static const char can[] = "\"can\": [\"membership\", \"weight\"]";
    auto_call struct call before, drain, guard, enable, stranger, all;
    world("a", can, 0);
    world("b", can, 0);
    RUN(&before, "command.observe", ARGS("app1"), {"idle", "node"});
    assert_ok(&before);
    RUN(&drain, "command.drain", ARGS("app1"), {"idle", "node"});
    assert_ok(&drain);
    RUN(&guard, "command.guard", ARGS("app1"), {"idle", "node"});
    assert_true(guard.r->ready);
    RUN(&all, "command.capacity", FLEET, {"servers", "[\"app1\",\"app2\",\"app3\"]"});
    assert_string_equal(rig_fact(&all, "lb.serving"), "011");
    RUN(&enable, "command.enable", ARGS("app1"), {"idle", "node"});
    assert_ok(&enable);
    assert_is("b", "app1", "ready 10");
    rig_forget();
    RUN(&stranger, "command.observe", ARGS("app9"), {"idle", "node"});
    assert_int_equal(stranger.r->outcome, OUT_FAILED);
    assert_says(stranger.r->err.text, "pool shop has no server \"app9\" (it has app1, app2, app3)");
}

static void a_server_stands_in_two_pools(void **state)
{
    (void)state;
#define TWO {"program", program}, {"balancers", "a"}, {"backend", "[\"shop\",\"api\"]"}, {"server", "app1"}
    auto_call struct call before, drain, back, missing;
    RUN(&before, "command.observe", TWO);
    assert_string_equal(rig_fact(&before, "lb.before"), "a shop/app1=ready,w10;a api/app1=ready,w7");
    RUN(&drain, "command.drain", TWO);
    assert_ok(&drain);
    assert_string_equal(rig_fact(&drain, "lb.state"), "app1 drain in shop on a, drain in api on a");
    assert_string_equal(is("a", "api", "app1"), "drain 7");
    RUN(&back, "command.enable", TWO);
    assert_ok(&back);
    assert_string_equal(is("a", "api", "app1"), "ready 7");
    RUN(&missing, "command.observe", {"program", program}, {"balancers", "a"},
        {"backend", "[\"shop\",\"api\"]"}, {"server", "app2"});
    assert_int_equal(missing.r->outcome, OUT_FAILED);
    assert_says(missing.r->err.text, "pool api has no server \"app2\" (it has app1)");
}

static void unknown_is_not_success(void **state)
{
    (void)state;
    static const struct {
        const char *fault, *says;
    } rows[] = {
        {"hang", "did not end within 1 s (call_timeout) and was killed"},
        {"flood", "more than 8 MiB"},
        {"say hello", "\"hello\" is not JSON"},
        {"say [1]", "is not a JSON object"},
        {"say {}", "no list \"servers\""},
        {"say {\"error\": \"login failed\"}", "it says: login failed"},
        {"say {\"servers\": [], \"can\": [\"fly\"]}", "none of maint, kill"},
        {"say {\"can\": [\"counts\"], \"servers\": [{\"pool\": \"shop\", \"server\": \"app1\", \"state\": "
         "\"up\", "
         "\"serving\": true}]}",
         "app1 that is wrong in \"state\""},
        {"say {\"can\": [\"counts\"], \"servers\": [{\"pool\": \"shop\", \"server\": \"app1\", \"state\": "
         "\"drain\", "
         "\"serving\": true, \"sessions\": 0}]}",
         "wrong in \"serving\""},
        {"say {\"can\": [\"weight\"], \"servers\": [{\"pool\": \"shop\", \"server\": \"app1\", \"state\": "
         "\"ready\", "
         "\"serving\": true, \"weight\": -1}]}",
         "whole number"},
        {"say {\"can\": [\"counts\"], \"servers\": [{\"pool\": \"shop\", \"server\": \"app1\", \"state\": "
         "\"ready\", "
         "\"serving\": true}]}",
         "\"counts\" is in \"can\""},
        {"say {\"servers\": [{\"pool\": \"shop\", \"server\": \"a b\", \"state\": \"ready\", \"serving\": true}]}",
         "wanted letters, digits"},
        {"say \x1b[2J", "is not JSON (line 1: '[' or '{' expected near '\\x1b"},
        {"say {\"can\": [\"counts\"], \"servers\": []}", "pool shop has no server \"app1\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_call struct call idle;
        fault("a", rows[i].fault);
        RUN(&idle, "command.wait_idle", ARGS("app1"), {"call_timeout", "1s"});
        if (idle.r->outcome == OUT_OK)
            fail_msg("%s is success", rows[i].fault);
        assert_says(idle.r->err.text, rows[i].says);
    }
}

static void secrets_go_by_stdin_and_are_not_told(void **state)
{
    (void)state;
    static const char *const secrets[] = {"hunter22hunter22", NULL};
    auto_call struct call said;
    rig_secrets = secrets;
    fault("a", "say {\"error\": \"bad password hunter22hunter22\"}");
    RUN(&said, "command.observe", ARGS("app1"), {"secret", "hunter22hunter22"});
    assert_int_equal(said.r->outcome, OUT_UNKNOWN);
    assert_says(said.r->err.text, "bad password ***");
    FILE *f = fopen(rig_path("asked"), "r");
    char line[1000] = "", last[1000] = "";
    while (fgets(line, sizeof line, f))
        strcpy(last, line);
    fclose(f);
    assert_string_equal(last,
                        "{\"balancer\": \"a\", \"counts\": false, \"do\": \"list\", \"form\": 1, \"pools\": "
                        "[\"shop\"], \"secret\": \"hunter22hunter22\"}\n");
    rig_secrets = NULL;
}

static void show_tells_every_server(void **state)
{
    (void)state;
    auto_call struct call show, half, none;
    RUN(&show, "command.show", FLEET);
    assert_ok(&show);
    assert_string_equal(
        rig_fact(&show, "lb.b.app2"),
        "{\"balancer\":\"b\",\"backend\":\"shop\",\"server\":\"app2\",\"state\":\"UP\",\"admin\":"
        "\"ready\",\"sessions\":0,\"queued\":0,\"weight\":20,\"serving\":true,\"up\":true}");
    fault("a", "say {\"error\": \"it is locked\"}");
    RUN(&half, "command.show", FLEET);
    assert_int_not_equal(half.r->outcome, OUT_OK);
    assert_says(half.r->err.text, "a: ");
    assert_null(rig_fact(&half, "lb.a.app2"));
    assert_says(rig_fact(&half, "lb.b.app2"), "\"server\":\"app2\"");
    RUN(&none, "command.show", {"program", "[\"/nosuch/program\"]"}, {"backend", "shop"});
    assert_int_equal(none.r->outcome, OUT_FAILED);
    assert_says(none.r->err.text, "/nosuch/program");
}

#define T(name) cmocka_unit_test_setup(name, each_setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_refusal_gives_the_other_balancer_back),
        T(sessions_are_waited_for_and_ended),
        T(what_it_cannot_is_not_assumed),
        T(a_member_that_left_is_out),
        T(a_server_stands_in_two_pools),
        T(unknown_is_not_success),
        T(secrets_go_by_stdin_and_are_not_told),
        T(show_tells_every_server),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
