/* SPDX-License-Identifier: MIT */
/* Varnish's frames, login and lists as data, and what must not pass for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/balancer/varnish/varnish.h"

static void heads(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool fine;
        int status;
        size_t len;
    } rows[] = {
        {"107 59      \n", true, 107, 59}, {"200 0       \n", true, 200, 0}, {"200 99999999\n", false, 0, 0},
        {"200 -1      \n", false, 0, 0},   {"200 1 2     \n", false, 0, 0},  {"20  1       \n", false, 0, 0},
        {"HTTP/1.1 400\n", false, 0, 0},   {"200 59       ", false, 0, 0},   {"200         \n", false, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int status = 0;
        size_t len = 0;
        assert_int_equal(varnish_head_parse(rows[i].head, &status, &len), rows[i].fine);
        assert_int_equal(status, rows[i].status);
        assert_int_equal(len, rows[i].len);
    }
}

/* The oracle is sha256sum over the same bytes. */
static void the_answer_to_a_challenge(void **state)
{
    (void)state;
    char answer[65];
    varnish_auth("abcdefghijklmnopqrstuvwxyzabcdef", "s3cret\n", answer);
    assert_string_equal(answer, "62434a6780a5350d13f97c166072e5ac3a8b3408fcd01eadf579e15a166438b5");
}

static void vcls(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct varnish_vcls v;
    struct err err = {0};
    assert_true(varnish_vcls_parse(
        "[2,[\"vcl.list\",\"-j\"],1.5,"
        "{\"status\":\"available\",\"state\":\"auto\",\"name\":\"boot\"},"
        "{\"status\":\"available\",\"state\":\"label\",\"name\":\"up\",\"label\":{\"name\":\"boot\"}},"
        "{\"status\":\"active\",\"state\":\"auto\",\"name\":\"down\"}]",
        &a, &v, &err));
    assert_int_equal(v.n, 3);
    assert_string_equal(v.active, "down");
    assert_true(v.rows[1].label);
    assert_string_equal(v.rows[1].target, "boot");
}

static void backends(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct varnish_backends b;
    struct err err = {0};
    assert_true(varnish_backends_parse(
        "[3,[\"backend.list\",\"-j\"],1.5,{"
        "\"boot.web1\":{\"type\":\"backend\",\"admin_health\":\"probe\",\"probe_message\":[4,4,\"healthy\"]},"
        "\"boot.web2\":{\"type\":\"backend\",\"admin_health\":\"sick\",\"probe_message\":[0,4,\"sick\"]},"
        "\"boot.rr\":{\"type\":\"round-robin\",\"admin_health\":\"probe\",\"probe_message\":[2,3,\"healthy\"]"
        "}}]",
        &a, &b, &err));
    assert_int_equal(b.n, 3);
    assert_string_equal(b.rows[0].vcl, "boot");
    assert_string_equal(b.rows[0].name, "web1");
    assert_true(b.rows[0].healthy);
    assert_string_equal(b.rows[1].admin, "sick");
    assert_false(b.rows[1].healthy);
    assert_true(b.rows[2].director);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "[]",
                                       "{}",
                                       "[1,2,3]",
                                       "[2,[\"x\"],1",
                                       "\x1b[2J",
                                       "[2,[\"x\"],1,7]",
                                       "[2,[\"x\"],1,{\"noname\":1}]"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_arena struct arena a = {0};
        struct varnish_vcls v;
        struct varnish_backends b;
        struct err err = {0};
        assert_false(varnish_vcls_parse(rows[i], &a, &v, &err));
        assert_int_equal(err.code, E_PROTO);
        assert_false(varnish_backends_parse(rows[i], &a, &b, &err));
        assert_null(strchr(err.text, '\x1b'));
    }
}

static void connections_are_summed_over_vcls(void **state)
{
    (void)state;
    int64_t n;
    struct err err = {0};
    static const char json[] = "{\"version\":1,\"counters\":{\"VBE.boot.web1.conn\":{\"value\":3},"
                               "\"VBE.v2.web1.conn\":{\"value\":2},\"VBE.v2.web11.conn\":{\"value\":9}}}";
    assert_true(varnish_conns_parse(json, "web1", &n, &err));
    assert_int_equal(n, 5);
    assert_false(varnish_conns_parse(json, "web2", &n, &err));
    assert_false(varnish_conns_parse("{}", "web1", &n, &err));
    assert_false(varnish_conns_parse("garbage", "web1", &n, &err));
}

static void bans_are_recent(void **state)
{
    (void)state;
    bool there;
    struct err err = {0};
    static const char json[] =
        "[2,[\"ban.list\",\"-j\"],1000.0,{\"time\":995.0,\"refs\":0,\"spec\":\"req.url ~ .\"},"
        "{\"time\":100.0,\"refs\":0,\"spec\":\"req.url ~ old\"}]";
    assert_true(varnish_ban_parse(json, "req.url ~ .", 60, &there, &err));
    assert_true(there);
    assert_true(varnish_ban_parse(json, "req.url ~ old", 60, &there, &err));
    assert_false(there);
}

static void globs_and_spaces_are_no_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "*", "web*", "a b", "a?", "[ab]", "-1", ".x", "a\nb", "a\"b"};
    assert_true(varnish_name_valid("web-1_a.b"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(varnish_name_valid(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads),
        cmocka_unit_test(the_answer_to_a_challenge),
        cmocka_unit_test(vcls),
        cmocka_unit_test(backends),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(connections_are_summed_over_vcls),
        cmocka_unit_test(bans_are_recent),
        cmocka_unit_test(globs_and_spaces_are_no_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
