/* SPDX-License-Identifier: MIT */
/* The nginx-plus verbs against the strict stand-in of tests/lib/nginx_plus.py, and what its answers mean, as data. */
#include "unit/lb_rig.h"

#include "base/auto.h"
#include "drivers/balancer/nginx_plus/nginx_plus.h"
#include "drivers/op/auto_json.h"

static pid_t stand_in;
static int port_a, port_b, liar_port;
static char one[100], both[160], liars[100];

/* One order to a stand-in; its answer. */
static const char *order(int port, const char *json)
{
    char text[512];
    snprintf(text, sizeof text,
             "POST /order HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(json), json);
    return rig_talk(port, text);
}

static bool shows(int port, const char *server, const char *state)
{
    char want[120];
    snprintf(want, sizeof want, "\"%s:8080\": \"%s\"", server, state);
    return strstr(order(port, "{}"), want) != NULL;
}

static int each_setup(void **state)
{
    static const char well[] =
        "{\"reload\": 1, \"fault\": \"\", \"write\": true, \"stubborn\": false, \"static\": [], \"versions\": [1, 2, 3, 9], "
        "\"health\": [\"shop\", 0, \"UP\"], \"clients\": [\"shop\", 0, 0]}";
    (void)state;
    rig_forget();
    order(port_a, well);
    order(port_b, well);
    return 0;
}

static int group_setup(void **state)
{
    static char program[300], a[8], b[8];
    (void)state;
    rig_open();
    port_a = port_pick();
    port_b = port_pick();
    liar_port = port_pick();
    snprintf(program, sizeof program, "%s/tests/lib/nginx_plus.py", SOURCE_DIR);
    snprintf(a, sizeof a, "%d", port_a);
    snprintf(b, sizeof b, "%d", port_b);
    stand_in = rig_spawn((const char *const[]){"/usr/bin/python3", "-B", program, a, b, NULL});
    rig_until(rig_port_open(port_a) && rig_port_open(port_b));
    snprintf(one, sizeof one, "[\"http://127.0.0.1:%d/api\"]", port_a);
    snprintf(both, sizeof both, "[\"http://127.0.0.1:%d/api\",\"http://127.0.0.1:%d/api/\"]", port_a, port_b);
    snprintf(liars, sizeof liars, "[\"http://127.0.0.1:%d/api\"]", liar_port);
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

#define LIKE(where, pool, name)                                                                              \
    {"api", (where)}, {"upstream", (pool)}, {"idle", "active"},                                              \
    {                                                                                                        \
        "server", (name)                                                                                     \
    }
#define NODE LIKE(both, "[\"shop\"]", "10.0.0.1:8080")

static void what_was_is_given_back(void **state)
{
    (void)state;
    auto_call struct call before, drain, again, observe, idle, maint, in, guard, enable, enabled, up;
    RUN(&before, "nginx-plus.observe", NODE);
    assert_ok(&before);
    assert_false(before.r->ready);
    assert_says(rig_fact(&before, "lb.before"), " shop/10.0.0.1:8080=ready,w1;");
    assert_string_equal(rig_fact(&before, "in_rotation"), "yes");
    assert_says(rig_fact(&before, "lb.at"), " 10.0.0.1:8080");
    RUN(&drain, "nginx-plus.drain", NODE);
    assert_ok(&drain);
    assert_true(shows(port_a, "shop/10.0.0.1", "draining 1") && shows(port_b, "shop/10.0.0.1", "draining 1"));
    assert_true(shows(port_a, "shop/10.0.0.2", "up 1") && shows(port_a, "api/10.0.0.1", "up 20"));
    RUN(&again, "nginx-plus.drain", NODE);
    assert_false(again.r->changed);
    RUN(&observe, "nginx-plus.observe", NODE);
    assert_true(observe.r->ready);
    order(port_b, "{\"clients\": [\"shop\", 0, 2]}");
    RUN(&idle, "nginx-plus.wait_idle", NODE);
    assert_true(idle.r->outcome == OUT_OK && !idle.r->ready && !idle.r->lost && idle.r->gauge == 2);
    RUN(&maint, "nginx-plus.maint", NODE);
    assert_ok(&maint);
    assert_true(shows(port_a, "shop/10.0.0.1", "down 1"));
    RUN(&in, "nginx-plus.in_maint", NODE);
    assert_true(in.r->ready);
    RUN(&guard, "nginx-plus.guard", NODE);
    assert_true(guard.r->ready);
    RUN(&enable, "nginx-plus.enable", NODE);
    assert_ok(&enable);
    assert_true(shows(port_a, "shop/10.0.0.1", "up 1") && shows(port_b, "shop/10.0.0.1", "up 1"));
    RUN(&enabled, "nginx-plus.enabled", NODE);
    assert_true(enabled.r->ready);
    RUN(&up, "nginx-plus.wait_up", NODE);
    assert_true(up.r->ready);
}

/* A check that finds the stopped application sick hides the drain in `state`: how the server is set tells it. */
static void a_sick_server_is_still_drained(void **state)
{
    (void)state;
    auto_call struct call before, drain, guard, enable, up;
    RUN(&before, "nginx-plus.observe", NODE);
    RUN(&drain, "nginx-plus.drain", NODE);
    order(port_a, "{\"health\": [\"shop\", 0, \"DOWN\"]}");
    assert_true(shows(port_a, "shop/10.0.0.1", "unhealthy 1"));
    RUN(&guard, "nginx-plus.guard", NODE);
    assert_true(guard.r->ready && !guard.r->lost);
    RUN(&enable, "nginx-plus.enable", NODE);
    assert_ok(&enable);
    RUN(&up, "nginx-plus.wait_up", NODE);
    assert_true(up.r->outcome == OUT_OK && !up.r->ready);
    assert_says(up.said, "status unhealthy, state ready");
}

static void a_forgotten_drain_is_noticed(void **state)
{
    (void)state;
    auto_call struct call before, drain, guard;
    RUN(&before, "nginx-plus.observe", NODE);
    RUN(&drain, "nginx-plus.drain", NODE);
    order(port_b, "{\"reload\": 1}");
    RUN(&guard, "nginx-plus.guard", NODE);
    assert_true(guard.r->lost && !guard.r->ready);
    assert_says(guard.said, "without a `state` file");
}

/* `down: false` ends a drain in NGINX's console; one that does not take it so gets `drain: false`. */
static void a_drain_is_ended_by_either_name(void **state)
{
    (void)state;
    auto_call struct call before, drain, enable;
    order(port_a, "{\"stubborn\": true}");
    RUN(&before, "nginx-plus.observe", NODE);
    RUN(&drain, "nginx-plus.drain", NODE);
    assert_ok(&drain);
    RUN(&enable, "nginx-plus.enable", NODE);
    assert_ok(&enable);
    assert_true(shows(port_a, "shop/10.0.0.1", "up 1") && shows(port_b, "shop/10.0.0.1", "up 1"));
    assert_says(order(port_a, "{}"), "{\\\"drain\\\":false}");
    assert_null(strstr(order(port_b, "{}"), "{\\\"drain\\\":false}"));
}

static void a_weight_is_given_back(void **state)
{
    (void)state;
    auto_call struct call before, drain, enable;
#define HEAVY LIKE(one, "[\"api\"]", "10.0.0.1:8080")
    RUN(&before, "nginx-plus.observe", HEAVY);
    assert_says(rig_fact(&before, "lb.before"), " api/10.0.0.1:8080=ready,w20");
    RUN(&drain, "nginx-plus.drain", HEAVY);
    RUN(&enable, "nginx-plus.enable", HEAVY, {"weight_ramp", "[\"10%\"]"}, {"ramp_step", "20ms"});
    assert_ok(&enable);
    assert_says(enable.said, "at 10 % of its weight");
    assert_says(order(port_a, "{}"), "{\\\"weight\\\":2}");
    assert_true(shows(port_a, "api/10.0.0.1", "up 20"));
}

static void names_of_a_server(void **state)
{
    (void)state;
    static const char *const names[] = {"10.0.0.2:8080", "app2.example.org:8080", "app3"};
    for (size_t i = 0; i < 3; i++) {
        auto_call struct call c;
        RUN(&c, "nginx-plus.observe", LIKE(one, "[\"shop\"]", names[i]));
        assert_ok(&c);
        assert_says(rig_fact(&c, "lb.before"), names[i]);
        rig_forget();
    }
    auto_call struct call was_down, capacity, show, survey;
    RUN(&was_down, "nginx-plus.observe", LIKE(one, "[\"shop\"]", "10.0.0.4:8080"));
    assert_says(rig_fact(&was_down, "lb.before"), "10.0.0.4:8080=maint");
#define FLEET {"api", one}, {"upstream", "[\"shop\"]"}
    RUN(&capacity, "nginx-plus.capacity", FLEET,
        {"servers", "[\"app2.example.org:8080\",\"10.0.0.4:8080\"]"});
    assert_string_equal(rig_fact(&capacity, "lb.serving"), "10");
    order(port_a, "{\"5xx\": [\"shop\", 0, 3], \"fails\": [\"shop\", 0, 4]}");
    RUN(&show, "nginx-plus.show", FLEET);
    char key[160];
    snprintf(key, sizeof key, "lb.http://127.0.0.1:%d/api.10.0.0.1:8080", port_a);
    assert_non_null(rig_fact(&show, key));
    assert_says(rig_fact(&show, key), "\"state\":\"up\",\"admin\":\"ready\",\"sessions\":0,\"weight\":1");
    assert_says(rig_fact(&show, key), "\"requests\":0,\"errors\":7,\"answer_ms\":36,\"serving\":true");
    RUN(&survey, "nginx-plus.survey", FLEET);
    snprintf(key, sizeof key, "lb.at.http://127.0.0.1:%d/api 10.0.0.1:8080", port_a);
    assert_non_null(rig_fact(&survey, key));
    assert_says(rig_fact(&survey, key), "api/10.0.0.1:8080");
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *order, *pool, *server, *says;
        enum outcome is;
    } rows[] = {
        {"{\"write\": false}", "shop", "app3", "may only be read (method disabled (MethodDisabled))",
         OUT_FAILED},
        {"{\"static\": [\"shop\"]}", "shop", "app3", "give it a `zone shop 64k;`", OUT_FAILED},
        {"{}", "nosuch", "app3", "has no upstream \"nosuch\"", OUT_FAILED},
        {"{}", "shop", "app9", "upstream shop has no server \"app9\" (it has 10.0.0.1:8080, ", OUT_FAILED},
        {"{\"versions\": [1, 10]}", "shop", "app3", "no version of the API between 2 and 9", OUT_FAILED},
        {"{\"fault\": \"html\"}", "shop", "app3", "a page (\"<html>Please log in", OUT_UNKNOWN},
        {"{\"fault\": \"503\"}", "shop", "app3", "status 503: busy, or broken", OUT_UNKNOWN},
        {"{\"fault\": \"flood\"}", "shop", "app3", "more than 8 MiB", OUT_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_call struct call c;
        char pool[40];
        snprintf(pool, sizeof pool, "[\"%s\"]", rows[i].pool);
        each_setup(state);
        order(port_a, rows[i].order);
        RUN(&c, "nginx-plus.observe", LIKE(one, pool, rows[i].server));
        assert_int_equal(c.r->outcome, rows[i].is);
        assert_says(c.r->err.text, rows[i].says);
    }
    auto_call struct call other;
    static const char not_ours[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
    pid_t liar = rig_liar(liar_port, not_ours, sizeof not_ours - 1);
    RUN(&other, "nginx-plus.guard", LIKE(liars, "[\"shop\"]", "app3"));
    rig_stop(&liar, SIGKILL);
    assert_int_equal(other.r->outcome, OUT_FAILED);
    assert_says(other.r->err.text, "not as NGINX Plus' API does; check `api:`");
}

/* ---- as data --------------------------------------------------------------- */

#define CONF(more) "[{\"id\": 3, \"server\": \"a:1\", \"weight\": 5, \"down\": false" more "}]"
#define PEER(more) "{\"peers\": [{\"id\": 3, \"server\": \"[fd00::1]:81\", \"state\": \"up\"" more "}]}"

static void rows_are_what_both_lists_say(void **state)
{
    (void)state;
    static const struct {
        const char *conf, *peers, *says; /* says NULL: one row; "": none */
    } rows[] = {
        {CONF(""), PEER(""), NULL},
        {CONF(""), "{\"peers\": []}", ""},
        {"[]", PEER(""), ""},
        {"{}", PEER(""), "are no list"},
        {CONF(""), "[]", "are no list"},
        {"[{}]", PEER(""), "without its id"},
        {"[{\"id\": 3}]", PEER(""), "without its address or state"},
        {CONF(", \"drain\": 1"), PEER(""), "without its address or state"},
        {CONF(""), PEER(", \"active\": -1"), "number that cannot be"},
        {CONF(""), PEER(", \"requests\": \"9\""), "number that cannot be"},
        {CONF(""), PEER(", \"fails\": 9e99"), "number that cannot be"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_arena struct arena a = {0};
        struct err err = {0};
        struct lb_table t = {0};
        auto_json json_t *conf = json_loads(rows[i].conf, 0, NULL),
                         *peers = json_loads(rows[i].peers, 0, NULL);
        bool fine = plus_servers("p", conf, peers, &a, &t, &err);
        if (rows[i].says && *rows[i].says) {
            assert_false(fine);
            assert_says(err.text, rows[i].says);
            continue;
        }
        assert_true(fine && t.n == (rows[i].says == NULL));
        if (t.n == 0)
            continue;
        assert_string_equal(t.rows[0].addr, "fd00::1");
        assert_true(t.rows[0].port == 81 && t.rows[0].sessions == -1 && t.rows[0].weight == 5);
        assert_true(t.rows[0].traffic->errors == -1 && t.rows[0].traffic->requests == -1 &&
                    t.rows[0].serving);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_was_is_given_back, each_setup),
        cmocka_unit_test_setup(a_sick_server_is_still_drained, each_setup),
        cmocka_unit_test_setup(a_forgotten_drain_is_noticed, each_setup),
        cmocka_unit_test_setup(a_drain_is_ended_by_either_name, each_setup),
        cmocka_unit_test_setup(a_weight_is_given_back, each_setup),
        cmocka_unit_test_setup(names_of_a_server, each_setup),
        cmocka_unit_test_setup(what_is_wrong_is_told, each_setup),
        cmocka_unit_test(rows_are_what_both_lists_say),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
