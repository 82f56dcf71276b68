/* SPDX-License-Identifier: MIT */
/* What ipvsadm lists, and addresses of services and real servers: as data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "drivers/balancer/lvs/lvs.h"

#define assert_says(text, part)                                                                              \
    do {                                                                                                     \
        if (!strstr((text), (part)))                                                                         \
            fail_msg("\"%s\" does not say \"%s\"", (text), (part));                                          \
    } while (0)

#define HEAD "IP Virtual Server version 1.2.1 (size=4096)\n"
#define TITLES                                                                                               \
    "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n  -> RemoteAddress:Port\n"

static void services_have_one_way_to_be_written(void **state)
{
    static const struct {
        const char *text, *wanted, *option, *address;
        bool six;
    } rows[] = {
        {"10.0.0.1:80", "10.0.0.1:80", "-t", "10.0.0.1:80", false},
        {"udp:10.0.0.1:53", "udp:10.0.0.1:53", "-u", "10.0.0.1:53", false},
        {"[2001:DB8:0::1]:80", "[2001:db8::1]:80", "-t", "[2001:db8::1]:80", false},
        {"fwm:7", "fwm:7", "-f", "7", false},
        {"fwm6:7", "fwm6:7", "-f", "7", true},
        {"10.0.0.1", NULL, NULL, NULL, false},
        {"10.0.0.1:65536", NULL, NULL, NULL, false},
        {"10.0.0.1:", NULL, NULL, NULL, false},
        {"10.0.0.256:80", NULL, NULL, NULL, false},
        {"www:80", NULL, NULL, NULL, false},
        {"[::1:80", NULL, NULL, NULL, false},
        {"fwm:0", NULL, NULL, NULL, false},
        {"fwm:4294967296", NULL, NULL, NULL, false},
        {"tcp:10.0.0.1:80", NULL, NULL, NULL, false},
        {"", NULL, NULL, NULL, false},
    };
    (void)state;
    auto_arena struct arena a = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct lvs_service s;
        if (lvs_service_parse(rows[i].text, &a, &s) != !!rows[i].wanted)
            fail_msg("\"%s\"", rows[i].text);
        if (!rows[i].wanted)
            continue;
        assert_string_equal(s.text, rows[i].wanted);
        assert_string_equal(s.option, rows[i].option);
        assert_string_equal(s.address, rows[i].address);
        assert_int_equal(s.six, rows[i].six);
    }
}

static void an_address_without_a_port_is_each_of_them(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct lvs_address asked, listed, other;
    assert_true(lvs_address_parse("10.0.0.11", &a, &asked) &&
                lvs_address_parse("10.0.0.11:8080", &a, &listed) &&
                lvs_address_parse("10.0.0.11:8081", &a, &other));
    assert_true(lvs_address_same(&asked, &listed) && lvs_address_same(&asked, &other));
    assert_false(lvs_address_same(&listed, &other));
    assert_true(lvs_address_parse("[2001:DB8::b]:1", &a, &asked) &&
                lvs_address_parse("[2001:db8::b]:1", &a, &listed));
    assert_true(lvs_address_same(&asked, &listed));
    assert_false(lvs_address_parse("app1", &a, &asked) || lvs_address_parse("app1:80", &a, &asked));
}

static bool parse(const char *text, struct arena *a, struct lvs_table *ret, struct err *err)
{
    memset(err, 0, sizeof *err);
    return lvs_table_parse(text, strlen(text), a, ret, err);
}

static void a_list_is_read_by_its_columns(void **state)
{
    static const char text[] =
        "quiescent 1\nopen 10.0.0.11:8080 5\nlist\n" HEAD TITLES
        "TCP  10.0.0.1:80 wrr persistent 300 mask 255.255.255.0\n"
        "  -> 10.0.0.11:8080               3         2           4          17        \n"
        "  -> 10.0.0.12:8080               0         0           0          0         \n"
        "SCTP 10.0.0.1:90 rr\n"
        "  -> 10.0.0.12:8080               1         0           0          0         \n"
        "FWM  2 IPv6 wlc\n"
        "  -> [2001:db8::b]:0              1         0           0          0         \n";
    /* Another version may have its columns elsewhere, and more of them. */
    static const char moved[] =
        "quiescent -\nlist\n" HEAD "Prot LocalAddress:Port Scheduler Flags\n"
        "  -> RemoteAddress:Port           Forward ActiveConn Weight InActConn PersistConn\n"
        "UDP  10.0.0.1:53 rr ops\n"
        "  -> 10.0.0.11:53                 Masq    1          2      3         4\n";
    (void)state;
    auto_arena struct arena a = {0};
    struct lvs_table t;
    struct err err;
    if (!parse(text, &a, &t, &err))
        fail_msg("%s", err.text);
    assert_true(t.quiescent && t.n == 3 && t.n_services == 2);
    assert_int_equal(t.services[0].persistent_s, 300);
    const struct lvs_server *s = &t.rows[0];
    assert_string_equal(s->service->text, "10.0.0.1:80");
    assert_true(s->weight == 3 && s->templates == 2 && s->active == 4 && s->inactive == 17 && s->open == 5);
    assert_int_equal(t.rows[1].weight, 0);
    assert_string_equal(t.rows[2].service->text, "fwm6:2");
    assert_string_equal(t.rows[2].address.host, "2001:db8::b");
    if (!parse(moved, &a, &t, &err))
        fail_msg("%s", err.text);
    assert_false(t.quiescent);
    s = &t.rows[0];
    assert_string_equal(s->service->text, "udp:10.0.0.1:53");
    assert_true(s->active == 1 && s->weight == 2 && s->inactive == 3 && s->templates == 4);
}

static void connections_of_a_mark_are_those_to_any_port(void **state)
{
    static const char text[] =
        "quiescent 0\nopen 10.0.0.11:80 2\nopen 10.0.0.11:443 3\nopen 10.0.0.12:80 7\n"
        "open [2001:db8::b]:80 1\nopen [2001:db8::b]:443 1\nlist\n" HEAD TITLES "FWM  1 wlc\n"
        "  -> 10.0.0.11:0                  1         0           1          4         \n"
        "  -> 10.0.0.13:0                  1         0           0          0         \n"
        "TCP  10.0.0.1:80 wrr\n"
        "  -> 10.0.0.11:80                 1         0           0          0         \n"
        "  -> 10.0.0.12:8080               1         0           0          0         \n"
        "FWM  2 IPv6 wlc\n"
        "  -> [2001:db8::b]:0              1         0           0          0         \n";
    (void)state;
    auto_arena struct arena a = {0};
    struct lvs_table t;
    struct err err;
    if (!parse(text, &a, &t, &err))
        fail_msg("%s", err.text);
    static const int64_t wanted[] = {5, 0, 2, 0, 2};
    assert_int_equal(t.n, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < t.n; i++)
        assert_int_equal(t.rows[i].open, wanted[i]);
}

static void what_is_no_list_is_said(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "no list"},
        {"quiescent 0\n", "no list"},
        {"<html>\n", "no list"},
        {"list\n", "no line \"IP Virtual Server\""},
        {"list\n<html><body>\n", "no line \"IP Virtual Server\""},
        {"open 10.0.0.11:80 b\nlist\n", "are no number"},
        {"open app1:80 1\nlist\n", "\"app1:80\", which is no address"},
        {"list\n" HEAD, "no column Weight"},
        {"list\n" HEAD
         "Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn "
         "InActConn\n",
         "no column PersistConn"},
        {"list\n" HEAD "TCP  10.0.0.1:80 rr\n", "no column Weight"},
        {"list\n" HEAD TITLES "TCP\n", "without its address"},
        {"list\n" HEAD TITLES "TCP  www:80 rr\n", "no address or mark"},
        {"list\n" HEAD TITLES "TCP  10.0.0.1:80 rr persistent soon\n", "as persistent for \"soon\""},
        {"list\n" HEAD TITLES "  -> 10.0.0.11:80 1 0 0 0\n", "without its service"},
        {"list\n" HEAD TITLES "TCP  10.0.0.1:80 rr\n  -> app1:80 1 0 0 0\n",
         "\"app1:80\" that is no address"},
        {"list\n" HEAD TITLES "TCP  10.0.0.1:80 rr\n  -> 10.0.0.11:80 1 0 0\n",
         "without a number for InActConn"},
        {"list\n" HEAD TITLES "TCP  10.0.0.1:80 rr\n  -> 10.0.0.11:80 1 0 many 0\n",
         "without a number for ActiveConn"},
        {"list\n" HEAD TITLES "TCP  10.0.0.1:80 rr\n  -> 10.0.0.11:80 -1 0 0 0\n",
         "without a number for Weight"},
        {"list\n" HEAD TITLES "TCP  10.0.0.1:80 rr\n  -> 10.0.0.11:80 99999999999999999999 0 0 0\n",
         "without a number for Weight"},
    };
    (void)state;
    auto_arena struct arena a = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct lvs_table t;
        struct err err;
        if (parse(rows[i].text, &a, &t, &err))
            fail_msg("taken: %s", rows[i].text);
        assert_says(err.text, rows[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_have_one_way_to_be_written),
        cmocka_unit_test(an_address_without_a_port_is_each_of_them),
        cmocka_unit_test(a_list_is_read_by_its_columns),
        cmocka_unit_test(connections_of_a_mark_are_those_to_any_port),
        cmocka_unit_test(what_is_no_list_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
