/* SPDX-License-Identifier: MIT */
/* HAProxy's answers and addresses, and what must not pass for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/balancer/balancer.h"
#include "drivers/balancer/haproxy/haproxy.h"

#define STATE_HEAD                                                                                           \
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight\n"
#define STAT_HEAD "# pxname,iid,svname,qcur,qmax,scur,status,weight,check_status,last_chk\n"

static const char state_text[] = STATE_HEAD "2 web 1 web1 127.0.0.1 2 0 50 50\n"
                                            "2 web 2 web2 127.0.0.1 2 12 1 1\n"
                                            "2 web 3 web3 127.0.0.1 0 5 1 1\n"
                                            "3 other 1 web1 127.0.0.1 2 1 7 7\n\n";

static const struct hap_server *row_of(const struct hap_table *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++) {
        if (!strcmp(t->rows[i].name, name))
            return &t->rows[i];
    }
    return NULL;
}

static void addresses_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *path;
        int port;
    } rows[] = {
        {"tcp://lb1:9999", "lb1", NULL, 9999},
        {"tcp://[::1]:80", "::1", NULL, 80},
        {"unix:///run/haproxy/admin.sock", NULL, "/run/haproxy/admin.sock", 0},
        {"unix:///run/haproxy/admin.sock@lb2.example.org", "lb2.example.org", "/run/haproxy/admin.sock", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_arena struct arena a = {0};
        struct hap_socket s;
        struct err err = {0};
        assert_true(hap_socket_parse(rows[i].text, &a, &s, &err));
        assert_string_equal(s.text, rows[i].text);
        assert_int_equal(s.port, rows[i].port);
        assert_true(!s.host == !rows[i].host && (!s.host || !strcmp(s.host, rows[i].host)));
        assert_true(!s.path == !rows[i].path && (!s.path || !strcmp(s.path, rows[i].path)));
    }
}

static void other_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "lb1:9999",
        "tcp://lb1",
        "tcp://lb1:0",
        "tcp://lb1:65536",
        "tcp://lb1:99x",
        "tcp://:99",
        "tcp://-o:99",
        "tcp://a b:99",
        "unix://rel.sock",
        "unix:///a,b",
        "unix:///a;b",
        "unix:///a@-oProxyCommand=x",
        "unix:///a@h h",
        "http://lb1:9999",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_arena struct arena a = {0};
        struct hap_socket s;
        struct err err = {0};
        assert_false(hap_socket_parse(rows[i], &a, &s, &err));
        assert_int_equal(err.code, E_CONFIG);
    }
}

static void names_cannot_carry_a_second_command(void **state)
{
    (void)state;
    assert_true(hap_name_valid("web-1.example:8080_a"));
    static const char *const bad[] = {"", "a b", "a;b", "a\nb", "a/b", "-1", "#1", "w\xc3\xa9"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(hap_name_valid(bad[i]));
}

static void state_is_judged_by_admin_bits(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct hap_table t;
    struct err err = {0};
    assert_true(hap_parse_state(state_text, "web", &a, &t, &err));
    assert_int_equal(t.n, 3);
    assert_int_equal(hap_state_of(row_of(&t, "web1")), LB_READY);
    assert_true(hap_is_serving(row_of(&t, "web1")));
    /* 12: drained, and once "disabled" in the configuration: that bit stays and means nothing */
    assert_int_equal(hap_state_of(row_of(&t, "web2")), LB_DRAIN);
    assert_int_equal(hap_state_of(row_of(&t, "web3")), LB_MAINT);
    assert_false(hap_is_serving(row_of(&t, "web2")));
    assert_int_equal(row_of(&t, "web1")->weight, 50);
    assert_null(row_of(&t, "web4"));
}

static void answers_that_are_not_tables_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "\n",
        "1\n",
        "2\n# be_id be_name srv_id srv_name srv_op_state srv_admin_state srv_uweight\n",
        "1\n# be_id be_name srv_id srv_name\n2 web 1 web1\n",
        STATE_HEAD "2 web 1 web1 127.0.0.1 2 zero 1 1\n",
        STATE_HEAD "2 web 1 web1 127.0.0.1\n",
        STATE_HEAD "2 web 1 web1 127.0.0.1 2 0 300 1\n",
        "Permission denied\n\n",
        "\x1b]0;owned\x07\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_arena struct arena a = {0};
        struct hap_table t;
        struct err err = {0};
        assert_false(hap_parse_state(rows[i], "web", &a, &t, &err));
        assert_int_equal(err.code, E_PROTO);
        assert_null(strchr(err.text, '\x1b'));
    }
}

static bool parse_both(struct arena *a, const char *stat, struct hap_table *ret)
{
    struct err err = {0};
    assert_true(hap_parse_state(state_text, "web", a, ret, &err));
    return hap_parse_stat(stat, "web", a, ret, &err);
}

static void sessions_come_by_header(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct hap_table t;
    assert_true(parse_both(&a,
                           STAT_HEAD "web,2,web1,2,0,14,UP,1,L7OK,\"a \"\"quoted\"\", text\"\n"
                                     "web,2,web2,,0,3,DRAIN (agent),1,,\n"
                                     "other,3,web1,9,9,9,UP,1,,\n"
                                     "web,2,web3,0,0,0,MAINT,1,,\n\n",
                           &t));
    assert_int_equal(row_of(&t, "web1")->sessions, 14);
    assert_int_equal(row_of(&t, "web1")->queued, 2);
    assert_string_equal(row_of(&t, "web1")->check_status, "L7OK");
    assert_int_equal(row_of(&t, "web2")->sessions, 3);
}

/* What a health check answered is in the table, quoted: a hostile node must not be able to write rows. */
/* Columns that an older version lacks, and fields that it leaves empty, are not told. */
static void traffic_is_told_where_it_is(void **state)
{
    (void)state;
    static const char more[] =
        "# pxname,iid,svname,qcur,scur,status,check_status,stot,hrsp_5xx,eresp,econ,ttime\n"
        "web,2,web1,0,3,UP,L7OK,100,4,2,1,35\nweb,2,web2,0,0,DRAIN,L7OK,7,,0,0,\n"
        "web,2,web3,0,0,MAINT,,-1,x,,,99999999999999999999\n";
    static const char less[] = STAT_HEAD "web,2,web1,0,0,3,UP,1,L7OK,\nweb,2,web2,0,0,0,DRAIN,1,L7OK,\n"
                                         "web,2,web3,0,0,0,MAINT,1,,\n";
    auto_arena struct arena a = {0};
    struct hap_table t;
    assert_true(parse_both(&a, more, &t));
    const struct lb_traffic *one = &row_of(&t, "web1")->traffic;
    assert_true(one->requests == 100 && one->errors == 7 && one->answer_ms == 35);
    const struct lb_traffic *two = &row_of(&t, "web2")->traffic;
    assert_true(two->requests == 7 && two->errors == 0 && two->answer_ms == -1);
    const struct lb_traffic *three = &row_of(&t, "web3")->traffic;
    assert_true(three->requests == -1 && three->errors == -1 && three->answer_ms == -1);
    assert_true(parse_both(&a, less, &t));
    one = &row_of(&t, "web1")->traffic;
    assert_true(one->requests == -1 && one->errors == -1 && one->answer_ms == -1);
}

static void a_quoted_line_end_is_no_row(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct hap_table t;
    assert_true(parse_both(&a,
                           STAT_HEAD "web,2,web1,0,0,14,UP,1,L7OK,\"x\nweb,web2,0,0,0,UP,1,,\"\n"
                                     "web,2,web2,0,0,3,DRAIN,1,,\n"
                                     "web,2,web3,0,0,0,MAINT,1,,\n\n",
                           &t));
    assert_int_equal(row_of(&t, "web1")->sessions, 14);
    assert_int_equal(row_of(&t, "web2")->sessions, 3);
}

static void a_missing_row_or_number_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "No such proxy.\n\n",
        STAT_HEAD "web,2,web1,0,0,1,UP,1,,\n",
        STAT_HEAD "web,2,web1,0,0,,UP,1,,\nweb,web2,0,0,0,UP,1,,\nweb,web3,0,0,0,UP,1,,\n",
        STAT_HEAD "web,2,web1\n",
        STAT_HEAD "web,2,web1,0,0,-1,UP,1,,\nweb,web2,0,0,0,UP,1,,\nweb,web3,0,0,0,UP,1,,\n",
        STAT_HEAD "\"",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_arena struct arena a = {0};
        struct hap_table t;
        assert_false(parse_both(&a, rows[i], &t));
    }
}

/* `frontend web` and `backend web` are two proxies: a row of another number is no row of ours. */
static void rows_of_a_namesake_are_not_ours(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct hap_table t;
    assert_false(parse_both(
        &a, STAT_HEAD "web,9,web1,0,0,1,UP,1,,\nweb,9,web2,0,0,0,UP,1,,\nweb,9,web3,0,0,0,UP,1,,\n", &t));
    assert_true(parse_both(&a,
                           STAT_HEAD
                           "web,9,FRONTEND,,,7,OPEN,,,\nweb,9,web1,0,0,9,DOWN,1,,\n"
                           "web,2,web1,0,0,1,UP,1,,\nweb,2,web2,0,0,0,UP,1,,\nweb,2,web3,0,0,0,UP,1,,\n",
                           &t));
    assert_int_equal(row_of(&t, "web1")->sessions, 1);
}

/* Every state that `show stat` prints for a server, with the state that `show servers state` has beside it.
 */
static void up_is_up_in_every_way_that_it_is_written(void **state)
{
    (void)state;
    static const struct {
        struct hap_server s;
        bool up;
    } rows[] = {
        {{.status = "UP", .op_state = 2, .weight = 1}, true},
        {{.status = "no check", .op_state = 2, .weight = 1}, true},
        {{.status = "UP", .op_state = 1, .weight = 1}, true}, /* slowstart */
        {{.status = "DRAIN", .op_state = 2, .weight = 0}, true},
        {{.status = "DRAIN", .op_state = 2, .weight = 1, .admin_bits = 8}, false},
        {{.status = "UP 1/2", .op_state = 2, .weight = 1}, false},
        {{.status = "UP 1/2", .op_state = 1, .weight = 1}, false},
        {{.status = "UP", .op_state = 0, .weight = 1}, false}, /* a status that lags behind the state */
        {{.status = "no check", .op_state = 0, .weight = 1}, false},
        {{.status = "UP", .op_state = 3, .weight = 1}, false}, /* soft stop */
        {{.status = "DOWN", .op_state = 0, .weight = 1}, false},
        {{.status = "DOWN 1/2", .op_state = 0, .weight = 1}, false},
        {{.status = "DOWN (agent)", .op_state = 0, .weight = 1}, false},
        {{.status = "UP", .op_state = 0, .weight = 1}, false},
        {{.status = "NOLB", .op_state = 3, .weight = 1}, false},
        {{.status = "MAINT", .op_state = 0, .weight = 1, .admin_bits = 1}, false},
        {{.status = NULL, .op_state = 2, .weight = 1}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(hap_is_up(&rows[i].s), rows[i].up);
}

static void agent_and_address_come_by_header(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct hap_table t;
    struct err err = {0};
    static const char head[] =
        "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight "
        "srv_agent_state srv_port\n";
    assert_true(hap_parse_state(arena_printf(&a, "%s%s", head,
                                             "2 web 1 web1 10.0.0.1 2 0 50 22 80\n"
                                             "2 web 2 web2 ::1 2 0 50 18 81\n" /* held off */
                                             "3 api 1 a1 10.0.0.1 2 0 50 0 80\n" /* none */),
                                NULL, &a, &t, &err));
    assert_int_equal(t.n, 3);
    assert_true(t.rows[0].agent && !t.rows[1].agent && !t.rows[2].agent);
    assert_string_equal(t.rows[1].addr, "::1");
    assert_int_equal(t.rows[1].port, 81);
    assert_string_equal(t.rows[2].backend, "api");
    assert_int_equal(t.rows[2].backend_id, 3);
    static const char *const bad[] = {"2 web 1 web1 a 2 0 50 x 80\n", "2 web 1 web1 a 2 0 50 22 65536\n",
                                      "2 web 1 web1 a 2 0 50 22\n", "x web 1 web1 a 2 0 50 22 80\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(hap_parse_state(arena_printf(&a, "%s%s", head, bad[i]), NULL, &a, &t, &err));
}

static const char *ramp_said(const char *shares, const char *step, int64_t timeout_ms)
{
    static struct err err;
    const struct op_pair args[] = {{"server", "web1"}, {"weight_ramp", shares}, {"ramp_step", step}};
    err.text[0] = '\0';
    return lb_check_ramp(args, step ? 3 : 2, timeout_ms, &err) ? "" : err.text;
}

/* It is read before anything is touched: with the node in the hand it would be too late. */
static void a_ramp_is_checked_when_the_plan_is_made(void **state)
{
    (void)state;
    assert_string_equal(ramp_said("[\"10%\", \"50%\", \"100%\"]", NULL, 120000), "");
    assert_non_null(strstr(ramp_said("[\"10\"]", NULL, 120000), "\"10\" is not a percentage"));
    assert_non_null(strstr(ramp_said("[\"0%\"]", NULL, 120000), "is not a percentage"));
    assert_non_null(strstr(ramp_said("[\"10%\", \"50%\"]", NULL, 20000), "do not fit the step's deadline"));
    assert_non_null(strstr(ramp_said("[\"10%\"]", "1h", 120000), "give enable a longer `timeout`"));
    auto_buf struct buf many = BUF_INIT(1000);
    for (int i = 0; i < 21; i++)
        buf_printf(&many, "%s\"%d%%\"", i ? ", " : "[", i + 1);
    buf_puts(&many, "]");
    assert_non_null(strstr(ramp_said(buf_str(&many), "1ms", 120000), "more than 20 shares"));
}

/* ---- versions ----------------------------------------------------------------------------------------------- */

/* Heads and rows as the versions printed them, cut where nothing is read any more. */
#define STATE_22                                                                                             \
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "      \
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state "         \
    "srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord"
#define STATE_26 STATE_22 " srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port"
#define STAT_22                                                                                              \
    "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status," \
    "weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,"   \
    "rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,"
#define ROWS_STAT                                                                                            \
    "bak,web1,0,0,2,0,,0,0,0,,0,,0,0,0,0,no check,1,1,0,,,5,,,1,7,1,,0,,2,0,,0,,,,0,0,0,0,0,\n"              \
    "bak,web2,0,0,0,0,,0,0,0,,0,,0,0,0,0,DRAIN,1,0,1,,,5,,,1,7,2,,0,site/web2,2,0,,0,,,,0,0,0,0,0,\n\n"

static void tables_of_2_2_to_3_2_are_read_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *state, *stat;
    } rows[] = {
        {STATE_22 "\n7 bak 1 web1 127.0.0.1 2 0 1 1 4 1 0 2 0 0 0 0 - 59001 -\n"
                  "7 bak 2 web2 - 0 32 1 1 4 1 0 0 0 0 0 0 nosuch.invalid 59001 -\n\n",
         STAT_22 "hrsp_other,hanafail\n" ROWS_STAT},
        {STATE_26 "\n7 bak 1 web1 127.0.0.1 2 0 1 1 4 1 0 2 0 0 0 0 - 59001 - 0 0 - - 0\n"
                  "7 bak 2 web2 - 0 32 1 1 4 1 0 0 0 0 0 0 nosuch.invalid 59001 - 0 0 - - 0\n\n",
         STAT_22 "hrsp_other,uweight,agg_check_status,srid,sess_other,h1sess,proto,-,ssl_sess\n" ROWS_STAT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_arena struct arena a = {0};
        struct hap_table t;
        struct err err = {0};
        assert_true(hap_parse_state(rows[i].state, NULL, &a, &t, &err));
        assert_true(hap_parse_stat(rows[i].stat, NULL, &a, &t, &err));
        assert_int_equal(t.n, 2);
        assert_true(t.rows[0].sessions == 2 && !t.rows[0].backup && !t.rows[0].tracked);
        assert_true(hap_is_serving(&t.rows[0]) && !hap_is_serving(&t.rows[1]));
        assert_int_equal(hap_state_of(&t.rows[1]), LB_READY); /* MAINT (resolution) */
        assert_int_equal(t.rows[1].port, 0);
        assert_true(t.rows[1].backup);
        assert_string_equal(t.rows[1].tracked, "site/web2");
    }
}

static void old_workers_of_2_2_to_3_2_are_found(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "#<PID>          <type>          <relative PID>  <reloads>       <uptime>        <version>      \n"
        "25290           master          0               1               0d00h00m08s     2.2.9\n"
        "# workers\n26517           worker          1               0               0d00h00m03s     2.2.9\n"
        "# old workers\n25298           worker          [was: 1]        1               0d00h00m08s     2.2.9\n"
        "# programs\n\n\n",
        "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
        "3259            master          1 [failed: 0]   0d00h00m05s     2.6.12-1\n"
        "# workers\n3681            worker          0               0d00h00m02s     2.6.12-1\n"
        "# old workers\n25298           worker          1               0d00h00m04s     2.6.12-1\n"
        "# programs\n77              watcher         0               0d00h00m04s     -\n\n\n",
        "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
        "15391           master          1 [failed: 0]   0d00h00m13s     3.2.26-1       \n"
        "# workers\n17305           worker          0               0d00h00m03s     3.2.26-1       \n"
        "# old workers\n25298           worker          1               0d00h00m13s     3.2.26-1       \n\n\n",
    };
    static const char *const bad[] = {"", "Unknown command\n", "#<PID> <type>\n1 master\n\n",
                                      "#<PID> <type>\n# workers\n# old workers\nx worker\n\n",
                                      "#<PID> <type>\n# workers\n# old workers\n-1 worker\n\n"};
    auto_arena struct arena a = {0};
    struct hap_pids old;
    struct err err = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(hap_parse_old_workers(rows[i], &a, &old, &err));
        assert_int_equal(old.n, 1);
        assert_int_equal(old.pids[0], 25298);
    }
    assert_true(hap_parse_old_workers("#<PID> <type>\n1 master\n# workers\n2 worker\n\n", &a, &old, &err));
    assert_int_equal(old.n, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(hap_parse_old_workers(bad[i], &a, &old, &err));
}

/* Cut short it is no answer: the worker ended while it gave it, and what is missing is not nothing. */
static void what_an_old_worker_has_left(void **state)
{
    (void)state;
    const struct hap_key one = {"bak", "web1"}, none = {"bak", "web9"};
    auto_arena struct arena a = {0};
    struct err err = {0};
    int64_t left;
    assert_true(hap_parse_left(STAT_22 "x\n" ROWS_STAT, one, &a, &left, &err));
    assert_int_equal(left, 2);
    assert_true(hap_parse_left(STAT_22 "x\n" ROWS_STAT, none, &a, &left, &err));
    assert_int_equal(left, -1);
    assert_false(hap_parse_left(STAT_22 "x\nbak,web1,0", one, &a, &left, &err));
    assert_false(hap_parse_left("\n\n", one, &a, &left, &err));
    assert_false(hap_parse_left(STAT_22 "x\nbak,web1,0,0,many,\n\n", one, &a, &left, &err));
}

#define SESS_REST                                                                                            \
    " ts=00 epoch=0 age=6s calls=3 rate=0 cpu=0 lat=0 rq[f=49c40000h,i=0,an=8000h] exp=13s rc=0 c_exp=\n"
static void sessions_of_a_server_are_found_by_whole_words(void **state)
{
    (void)state;
    static const char text[] =
        "0x556da7a9bf40: proto=tcpv4 src=127.0.0.1:43396 fe=web be=web srv=web1" SESS_REST
        "0x556da7bba060: proto=sockpair src=unix:2 fe=GLOBAL be=<NONE> srv=<none>" SESS_REST
        "0x7f1e64042150: proto=tcpv4 src=127.0.0.1:43400 fe=web be=web srv=web12" SESS_REST
        "0x7f1e64042151: proto=tcpv4 src=127.0.0.1:43400 fe=web be=web2 srv=web1" SESS_REST
        "0x7f;shutdown: proto=tcpv4 src=127.0.0.1:43400 fe=web be=web srv=web1" SESS_REST
        "0x7f1e64042152: proto=tcpv4 src=unix:2 fe=be=web srv=web1" SESS_REST "\n";
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct hap_ids ids;
    assert_true(hap_parse_sessions(text, (struct hap_key){"web", "web1"}, &a, &ids, &err));
    assert_int_equal(ids.n, 1);
    assert_string_equal(ids.ids[0], "0x556da7a9bf40");
    assert_false(
        hap_parse_sessions("0x556da7a9bf40: proto", (struct hap_key){"web", "web1"}, &a, &ids, &err));
}

/* What tracks shows the other's bits beside its own: only its own are its state, and either keeps it from serving. */
static void bits_of_tracking_and_resolution(void **state)
{
    (void)state;
    static const struct {
        unsigned bits;
        enum lb_state own, inherited;
    } rows[] = {{0x00, LB_READY, LB_UNKNOWN}, {0x04, LB_READY, LB_UNKNOWN}, {0x08, LB_DRAIN, LB_UNKNOWN},
                {0x10, LB_READY, LB_DRAIN},   {0x18, LB_DRAIN, LB_DRAIN},   {0x01, LB_MAINT, LB_UNKNOWN},
                {0x02, LB_READY, LB_MAINT},   {0x0a, LB_DRAIN, LB_MAINT},   {0x12, LB_READY, LB_MAINT},
                {0x20, LB_READY, LB_UNKNOWN}, {0x28, LB_DRAIN, LB_UNKNOWN}, {0x21, LB_MAINT, LB_UNKNOWN},
                {0x40, LB_READY, LB_UNKNOWN}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct hap_server s = {.op_state = 2, .weight = 1, .status = "UP", .admin_bits = rows[i].bits};
        bool in = rows[i].own == LB_READY && rows[i].inherited == LB_UNKNOWN;
        assert_int_equal(hap_state_of(&s), rows[i].own);
        assert_int_equal(hap_inherited_of(&s), rows[i].inherited);
        assert_int_equal(hap_is_out(&s), !in);
        assert_int_equal(hap_is_up(&s), in);
        assert_int_equal(hap_is_serving(&s), in && !(rows[i].bits & 0x20));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(a_ramp_is_checked_when_the_plan_is_made),
        cmocka_unit_test(other_addresses_are_refused),
        cmocka_unit_test(names_cannot_carry_a_second_command),
        cmocka_unit_test(state_is_judged_by_admin_bits),
        cmocka_unit_test(answers_that_are_not_tables_are_refused),
        cmocka_unit_test(traffic_is_told_where_it_is),
        cmocka_unit_test(sessions_come_by_header),
        cmocka_unit_test(a_quoted_line_end_is_no_row),
        cmocka_unit_test(a_missing_row_or_number_is_refused),
        cmocka_unit_test(rows_of_a_namesake_are_not_ours),
        cmocka_unit_test(up_is_up_in_every_way_that_it_is_written),
        cmocka_unit_test(agent_and_address_come_by_header),
        cmocka_unit_test(tables_of_2_2_to_3_2_are_read_by_name),
        cmocka_unit_test(old_workers_of_2_2_to_3_2_are_found),
        cmocka_unit_test(what_an_old_worker_has_left),
        cmocka_unit_test(sessions_of_a_server_are_found_by_whole_words),
        cmocka_unit_test(bits_of_tracking_and_resolution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
