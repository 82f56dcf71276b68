/* SPDX-License-Identifier: MIT */
/* What NITRO answers, as data: whatever comes, nothing is guessed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "drivers/balancer/netscaler/netscaler.h"

#define MEMBERS "servicegroup_servicegroupmember_binding"

static json_t *json(const char *text)
{
    json_t *j = json_loads(text, 0, NULL);
    assert_non_null(j);
    return j;
}

static const struct lb_server *row(const struct lb_table *t, const char *name)
{
    const struct lb_server *s = lb_table_find(t, NULL, name);
    assert_non_null(s);
    return s;
}

static void the_envelope_is_wanted(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "a text"},
        {"  <!DOCTYPE html><title>x", "a page (\"<!DOCTYPE"},
        {"[]", "a text (\"[]\")"},
        {"{}", "without an errorcode"},
        {"{\"errorcode\": \"0\"}", "without an errorcode"},
        {"{\"errorcode\": 0", "a text"},
    };
    auto_arena struct arena a = {0};
    int64_t code;
    const char *message;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        assert_null(nitro_parse(bad[i].text, strlen(bad[i].text), &a, &code, &message, &err));
        if (!strstr(err.text, bad[i].says))
            fail_msg("\"%s\" does not say \"%s\"", err.text, bad[i].says);
    }
    struct err err = {0};
    static const char good[] = "{\"errorcode\": 258, \"message\": \"No\\u001b[31m such\\nthing\"}";
    auto_json json_t *root = nitro_parse(good, sizeof good - 1, &a, &code, &message, &err);
    assert_non_null(root);
    assert_int_equal(code, 258);
    assert_null(strchr(message, '\x1b'));
    assert_null(strstr(message, "thing"));
}

static void members_have_their_state_by_svrstate(void **state)
{
    (void)state;
    auto_json json_t *root = json(
        "{\"" MEMBERS "\": ["
        "{\"servicegroupname\": \"g\", \"servername\": \"a\", \"ip\": \"10.0.0.1\", \"port\": 80, \"svrstate\": \"UP\","
        " \"state\": \"ENABLED\", \"weight\": \"7\"},"
        "{\"servicegroupname\": \"g\", \"servername\": \"b\", \"ip\": \"10.0.0.2\", \"port\": \"80\", \"svrstate\": "
        "\"GOING OUT OF SERVICE\", \"state\": \"DISABLED\"},"
        "{\"servicegroupname\": \"g\", \"servername\": \"c\", \"port\": 80, \"svrstate\": \"OUT OF SERVICE\"},"
        "{\"servicegroupname\": \"g\", \"servername\": \"d\", \"port\": 81, \"svrstate\": \"DOWN\"},"
        "{\"servicegroupname\": \"g\", \"servername\": \"d\", \"port\": 82, \"svrstate\": \"UP\", \"state\": "
        "\"DISABLED\"},"
        "{\"servicegroupname\": \"g\", \"ip\": \"10.0.0.9\", \"port\": 80, \"svrstate\": \"HALF DEAD\"}]}");
    auto_arena struct arena a = {0};
    struct lb_table t = {0};
    struct err err = {0};
    assert_true(nitro_members(root, &a, &t, &err));
    assert_int_equal(t.n, 6);
    const struct lb_server *s = row(&t, "a");
    assert_true(s->state == LB_READY && s->serving && s->up && !s->leaving && s->weight == 7 &&
                s->port == 80);
    s = row(&t, "b");
    assert_true(s->state == LB_DRAIN && s->leaving && !s->serving && s->weight == -1 && s->sessions == -1);
    s = row(&t, "c");
    assert_true(s->state == LB_DRAIN && !s->leaving && !s->serving);
    s = row(&t, "d:81");
    assert_true(s->state == LB_READY && !s->up && !strcmp(s->own, "d"));
    s = row(&t, "d:82"); /* half told: not out, and not serving either */
    assert_true(s->state == LB_READY && !s->serving);
    assert_int_equal(row(&t, "10.0.0.9")->state, LB_UNKNOWN);
}

static void rows_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"" MEMBERS "\": 7}",
        "{\"" MEMBERS "\": [7]}",
        "{\"" MEMBERS "\": [{\"servicegroupname\": \"g\", \"servername\": \"a\", \"port\": 80}]}",
        "{\"" MEMBERS "\": [{\"servername\": \"a\", \"port\": 80, \"svrstate\": \"UP\"}]}",
        "{\"" MEMBERS
        "\": [{\"servicegroupname\": \"g\", \"servername\": \"a\", \"port\": 65536, \"svrstate\": "
        "\"UP\"}]}",
        "{\"" MEMBERS
        "\": [{\"servicegroupname\": \"g\", \"servername\": \"a\", \"port\": \"8x\", \"svrstate\": "
        "\"UP\"}]}",
        "{\"" MEMBERS
        "\": [{\"servicegroupname\": \"g\", \"servername\": \"a\", \"port\": -1, \"svrstate\": \"UP\"}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        auto_arena struct arena a = {0};
        auto_json json_t *root = json(bad[i]);
        struct lb_table t = {0};
        struct err err = {0};
        if (nitro_members(root, &a, &t, &err))
            fail_msg("taken: %s", bad[i]);
        assert_true(err.code != E_NONE);
    }
    auto_arena struct arena a = {0};
    auto_json json_t *empty = json("{\"errorcode\": 0}"); /* a group without members has no such key */
    struct lb_table t = {0};
    struct err err = {0};
    assert_true(nitro_members(empty, &a, &t, &err));
    assert_int_equal(t.n, 0);
}

/* Numbers as texts, as numbers, not there; of other members; and none. */
static void statistics_find_their_member(void **state)
{
    (void)state;
    struct lb_server rows[2] = {
        {.pool = "g", .name = "a", .addr = "10.0.0.1", .port = 80, .sessions = -1, .queued = -1},
        {.pool = "g", .name = "b", .addr = "10.0.0.2", .port = 80, .sessions = -1, .queued = -1}};
    struct lb_table t = {.rows = rows, .n = 2};
    auto_arena struct arena a = {0};
    struct err err = {0};
    auto_json json_t *root = json(
        "{\"servicegroup\": [{\"servicegroupmember\": ["
        "{\"primaryipaddress\": \"10.0.0.1\", \"primaryport\": 80, \"curclntconnections\": \"3\", \"surgecount\": "
        "\"2\", \"totalrequests\": 99, \"activetransactions\": \"5\"},"
        "{\"primaryipaddress\": \"10.0.0.2\", \"primaryport\": 81, \"curclntconnections\": \"9\"}]}]}");
    assert_true(nitro_member_stats(root, "g", &a, &t, &err));
    assert_true(rows[0].sessions == 5 && rows[0].queued == 2);
    assert_true(rows[0].traffic->requests == 99 && rows[0].traffic->errors == -1);
    assert_true(rows[1].sessions == -1 && !rows[1].traffic);
    auto_json json_t *bad =
        json("{\"servicegroup\": [{\"servicegroupmember\": [{\"primaryipaddress\": \"10.0.0.1\", "
             "\"primaryport\": 80, \"curclntconnections\": \"many\"}]}]}");
    assert_false(nitro_member_stats(bad, "g", &a, &t, &err));
}

static void who_is_primary(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool fine;
        enum nitro_ha is;
    } rows[] = {
        {"{\"hanode\": {\"hacurstatus\": \"NO\"}}", true, NITRO_PRIMARY},
        {"{\"hanode\": {\"hacurstatus\": \"YES\", \"hacurmasterstate\": \"Primary\"}}", true, NITRO_PRIMARY},
        {"{\"hanode\": [{\"hacurstatus\": \"YES\", \"hacurmasterstate\": \"PRIMARY\"}]}", true,
         NITRO_PRIMARY},
        {"{\"hanode\": {\"hacurstatus\": \"YES\", \"hacurmasterstate\": \"Secondary\"}}", true,
         NITRO_SECONDARY},
        {"{\"hanode\": {\"hacurstatus\": \"YES\", \"hacurmasterstate\": \"Claiming\"}}", true, NITRO_NEITHER},
        {"{\"hanode\": {\"hacurstatus\": \"YES\"}}", true, NITRO_NEITHER},
        {"{\"hanode\": {}}", false, NITRO_NEITHER},
        {"{}", false, NITRO_NEITHER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_arena struct arena a = {0};
        auto_json json_t *root = json(rows[i].text);
        enum nitro_ha is = NITRO_NEITHER;
        const char *words;
        struct err err = {0};
        assert_int_equal(nitro_ha_of(root, &a, &is, &words, &err), rows[i].fine);
        assert_int_equal(is, rows[i].is);
    }
}

static void a_server_serves_when_all_of_it_does(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct lb_table t = {0};
    struct err err = {0};
    auto_json json_t *servers =
        json("{\"server\": [{\"name\": \"a\", \"state\": \"ENABLED\"}, {\"name\": \"b\", "
             "\"state\": \"DISABLED\"}, {\"name\": \"c\", \"state\": \"ENABLED\"}]}");
    auto_json json_t *bound = json(
        "{\"server_binding\": [{\"name\": \"a\", \"server_service_binding\": [{\"servicename\": \"s\", \"svrstate\": "
        "\"UP\"}], \"server_servicegroup_binding\": [{\"servicegroupname\": \"g\", \"port\": 80, \"svrstate\": "
        "\"UP\"}]}, {\"name\": \"b\", \"server_service_binding\": [{\"svrstate\": \"GOING OUT OF SERVICE\"}]}]}");
    assert_true(nitro_servers(servers, &a, &t, &err));
    assert_true(nitro_bound(bound, &t, &err));
    assert_true(row(&t, "a")->serving && row(&t, "a")->state == LB_READY);
    assert_true(row(&t, "b")->leaving && row(&t, "b")->state == LB_DRAIN && !row(&t, "b")->serving);
    assert_false(row(&t, "c")->serving); /* nothing is bound to it */
    struct nitro_bond *bonds;
    assert_int_equal(nitro_bonds(bound, &a, &bonds), 2);
    assert_string_equal(bonds[0].service, "s");
    assert_string_equal(bonds[1].group, "g");
    assert_int_equal(bonds[1].port, 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_envelope_is_wanted),
        cmocka_unit_test(members_have_their_state_by_svrstate),
        cmocka_unit_test(rows_that_cannot_be_are_refused),
        cmocka_unit_test(statistics_find_their_member),
        cmocka_unit_test(who_is_primary),
        cmocka_unit_test(a_server_serves_when_all_of_it_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
