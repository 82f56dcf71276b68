/* SPDX-License-Identifier: MIT */
/* Addresses of balancers that are asked by HTTP, what Apache's manager answers, and what is sent: as data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "drivers/balancer/apache/apache.h"
#include "drivers/balancer/door.h"

#define assert_says(text, part)                                                                              \
    do {                                                                                                     \
        if (!strstr((text), (part)))                                                                         \
            fail_msg("\"%s\" does not say \"%s\"", (text), (part));                                          \
    } while (0)

static void an_address_is_a_url_and_where_it_is_asked_from(void **state)
{
    (void)state;
    static const struct {
        const char *text, *url, *name, *host;
    } rows[] = {
        {"http://lb1/balancer-manager", "http://lb1/balancer-manager", "lb1", NULL},
        {"https://lb1.example.org:8443/api/", "https://lb1.example.org:8443/api", "lb1.example.org", NULL},
        {"http://127.0.0.1:8080/b-m@lb1", "http://127.0.0.1:8080/b-m", "127.0.0.1", "lb1"},
        {"http://[::1]:8080/@fd00::2", "http://[::1]:8080", "::1", "fd00::2"},
        {"http://127.0.0.1:8080@lb1", "http://127.0.0.1:8080", "127.0.0.1", "lb1"},
    };
    auto_arena struct arena a = {0};
    const struct lb_door_rule rule = {.login = false};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        struct lb_door d;
        if (!lb_door_parse(rows[i].text, &rule, &a, &d, &err))
            fail_msg("%s", err.text);
        assert_string_equal(d.url, rows[i].url);
        assert_string_equal(d.name, rows[i].name);
        if (rows[i].host)
            assert_string_equal(d.host, rows[i].host);
        else
            assert_null(d.host);
    }
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "does not begin with"},
        {"lb1:80", "does not begin with"},
        {"ftp://lb1/", "does not begin with"},
        {"http://", "wanted http://HOST"},
        {"http:///x", "wanted http://HOST"},
        {"http://lb1:/x", "wanted http://HOST"},
        {"http://lb1:80x/", "wanted http://HOST"},
        {"http://[::1/x", "wanted http://HOST"},
        {"http://::1/x", "wanted http://HOST"},
        {"http://-x/", "wanted http://HOST"},
        {"http://lb1/?xml=1", "wanted http://HOST"},
        {"http://lb1/a b", "wanted http://HOST"},
        {"http://lb1/\"", "wanted http://HOST"},
        {"http://user:pw@lb1/x", "@SSHHOST"},
        {"http://lb1/x@-oProxyCommand=x", "@SSHHOST"},
        {"http://lb1/x@", "@SSHHOST"},
    };
    auto_arena struct arena a = {0};
    const struct lb_door_rule rule = {.login = false};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        struct lb_door d;
        if (lb_door_parse(rows[i].text, &rule, &a, &d, &err))
            fail_msg("\"%s\" was taken", rows[i].text);
        assert_says(err.text, rows[i].says);
    }
}

/* Through SSH the address is the other machine's own, and the password stays on it. */
static void a_password_travels_in_no_plain_http(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct lb_door d;
    const struct lb_door_rule login = {.login = true}, anyway = {.login = true, .insecure = true};
    static const char *const fine[] = {"https://lb1/x", "http://127.0.0.1/x", "http://localhost:80/x@lb1",
                                       "http://[::1]/x"};
    static const char *const bad[] = {"http://lb1/x", "http://127.evil.example/x", "http://lb2/x@lb1"};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        assert_true(lb_door_parse(fine[i], &login, &a, &d, &err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(lb_door_parse(bad[i], &login, &a, &d, &err));
        assert_says(err.text, "plain http");
        assert_true(lb_door_parse(bad[i], &anyway, &a, &d, &err));
    }
    const struct op_pair half[] = {{"manager", "[\"https://lb1/x\"]"}, {"user", "ann"}};
    assert_false(lb_doors_check(half, 2, "manager", &err));
    assert_says(err.text, "or neither");
    const struct op_pair open[] = {{"manager", "[\"https://lb1/x\", \"http://lb2/y@lb2\"]"}};
    assert_true(lb_doors_check(open, 1, "manager", &err));
}

static void what_curl_reads_is_quoted(void **state)
{
    (void)state;
    auto_buf struct buf b = BUF_INIT(4096);
    const struct op_pair headers[] = {{"Referer", "http://x"}};
    const struct http_req req = {.url = "http://x",
                                 .method = "PATCH",
                                 .body = "{\"down\":true}",
                                 .headers = headers,
                                 .n_headers = 1,
                                 .user = "ann",
                                 .password = "a\"b\\c\n-K /etc/shadow",
                                 .timeout_ms = 10050};
    lb_door_curl(&req, &b);
    assert_string_equal(buf_str(&b), "url = \"http://x\"\nmax-time = 10.050\nuser-agent = \"release\"\n"
                                     "request = \"PATCH\"\ndata-raw = \"{\\\"down\\\":true}\"\n"
                                     "header = \"Referer: http://x\"\n"
                                     "user = \"ann:a\\\"b\\\\c\\n-K /etc/shadow\"\n");
}

/* ---- Apache ---------------------------------------------------------------- */

#define LIST(nonce, rows)                                                                                    \
    "<?xml version='1.0' encoding='UTF-8' ?><httpd:manager xmlns:httpd='http://httpd.apache.org'>"           \
    "<httpd:balancers><httpd:balancer><httpd:name>balancer://shop</httpd:name><httpd:nonce>" nonce           \
    "</httpd:nonce><httpd:workers>" rows "</httpd:workers></httpd:balancer></httpd:balancers>"               \
    "</httpd:manager>"
#define ROW(status, more)                                                                                    \
    "<httpd:worker><httpd:name>http://10.0.0.1:80</httpd:name><httpd:hostname>10.0.0.1</httpd:hostname>"     \
    "<httpd:status>" status "</httpd:status>" more "</httpd:worker>"
#define NUMBERS "<httpd:port>80</httpd:port><httpd:busy>3</httpd:busy><httpd:elected>9</httpd:elected>"

static void a_member_is_what_its_flags_say(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum lb_state is;
        bool serving;
    } rows[] = {
        {LIST("n", ROW("Init Ok ", NUMBERS)), LB_READY, true},
        {LIST("n", ROW("Init Stby Ok ", NUMBERS)), LB_READY, true},
        {LIST("n", ROW("Init Drn Ok ", NUMBERS)), LB_DRAIN, false},
        {LIST("n", ROW("Init Dis ", NUMBERS)), LB_MAINT, false},
        {LIST("n", ROW("Init Drn Dis ", NUMBERS)), LB_MAINT, false},
        {LIST("n", ROW("Init Stop ", NUMBERS)), LB_MAINT, false},
        {LIST("n", ROW("Init Err ", NUMBERS)), LB_READY, false},
        {LIST("n", ROW("Init HcFl ", NUMBERS)), LB_READY, false},
        {LIST("n", ROW("Init Disco Okay ", NUMBERS)), LB_READY, false},
    };
    auto_arena struct arena a = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        struct lb_table t;
        if (!apache_parse(rows[i].text, strlen(rows[i].text), &a, &t, &err))
            fail_msg("%s", err.text);
        const struct apache_member *m = t.rows[0].own;
        assert_int_equal(t.n, 1);
        assert_int_equal(t.rows[0].state, rows[i].is);
        assert_true(t.rows[0].serving == rows[i].serving && t.rows[0].up == rows[i].serving);
        assert_true(t.rows[0].sessions == 3 && t.rows[0].traffic->requests == 9 && t.rows[0].weight == -1);
        assert_string_equal(t.rows[0].name, "10.0.0.1:80");
        assert_string_equal(m->nonce, "n");
    }
}

static void what_is_not_told_is_no_number(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "no element found"},
        {LIST("n", ROW("", NUMBERS)), "without its name or status"},
        {LIST("n", ROW("Init Ok ", "<httpd:busy>-1</httpd:busy>")), "no number that can be"},
        {LIST("n", ROW("Init Ok ", "<httpd:busy>1x</httpd:busy>")), "no number that can be"},
        {LIST("n", ROW("Init Ok ", "<httpd:port>65536</httpd:port>")), "no number that can be"},
        {"<!DOCTYPE html><html></html>", "document type"},
    };
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct lb_table t;
    static const char silent[] =
        LIST("", ROW("Init Ok ", "<httpd:loadfactor>1.50</httpd:loadfactor><httpd:route>r</httpd:route>"));
    assert_true(apache_parse(silent, sizeof silent - 1, &a, &t, &err));
    assert_true(t.rows[0].sessions == -1 && t.rows[0].traffic->requests == -1 && t.rows[0].weight == -1);
    assert_string_equal(t.rows[0].name, "r");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(apache_parse(bad[i].text, strlen(bad[i].text), &a, &t, &err));
        assert_says(err.text, bad[i].says);
    }
}

static void a_form_says_one_thing(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    const struct apache_member m = {.balancer = "shop", .url = "http://a:1/x?y&w_status_D=1", .nonce = "n-1"};
    const struct apache_put put = {.member = &m, .drained = true};
    assert_string_equal(apache_form(NULL, &a), "xml=1");
    assert_string_equal(apache_form(&put, &a),
                        "b=shop&w=http%3A%2F%2Fa%3A1%2Fx%3Fy%26w_status_D%3D1&nonce=n-1"
                        "&w_status_N=1&w_status_D=0&xml=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_a_url_and_where_it_is_asked_from),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(a_password_travels_in_no_plain_http),
        cmocka_unit_test(what_curl_reads_is_quoted),
        cmocka_unit_test(a_member_is_what_its_flags_say),
        cmocka_unit_test(what_is_not_told_is_no_number),
        cmocka_unit_test(a_form_says_one_thing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
