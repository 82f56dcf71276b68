/* SPDX-License-Identifier: MIT */
/* nginx's file of servers, its whole configuration, and what is told of its host: as data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/balancer/nginx/nginx.h"

#define assert_says(text, part)                                                                              \
    do {                                                                                                     \
        if (!strstr((text), (part)))                                                                         \
            fail_msg("\"%s\" does not say \"%s\"", (text), (part));                                          \
    } while (0)

static void a_server_a_line(void **state)
{
    (void)state;
    static const char text[] = "# of the site\n"
                               "\n"
                               "server 10.0.0.1:8080 weight=2 max_fails=0 fail_timeout=1m30s;  # app1\n"
                               "\tserver\t[fd00::1]:81 down backup ;# app2 \n"
                               "server app3.example.org max_conns=0 resolve; # the big one\n"
                               "server 10.0.0.4; # spare\n"
                               "server 10.0.0.5; ## spare";
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct nginx_servers s;
    if (!nginx_servers_parse(text, sizeof text - 1, &a, &s, &err))
        fail_msg("%s", err.text);
    assert_int_equal(s.n, 5);
    assert_string_equal(s.rows[0].addr, "10.0.0.1:8080");
    assert_string_equal(s.rows[0].name, "app1");
    assert_true(s.rows[0].port == 8080 && !s.rows[0].down && s.rows[0].line == 3);
    assert_string_equal(s.rows[1].host, "fd00::1");
    assert_string_equal(s.rows[1].name, "app2");
    assert_true(s.rows[1].port == 81 && s.rows[1].down);
    assert_string_equal(s.rows[2].host, "app3.example.org");
    assert_true(s.rows[2].port == 80 && !s.rows[2].name);
    assert_true(!s.rows[3].name && !s.rows[4].name); /* what stands behind two is the name of none */
}

static void anything_else_is_refused_by_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"server a\n", "line 1: no ';' in \"server a\""},
        {"server a; server b;\n", "line 1: behind the server stands \"server b;\""},
        {"\nkeepalive 8;\n", "line 2: found \"keepalive\""},
        {"upstream x {\n", "line 1: no ';'"},
        {"server a {;\n", "parameter \"{\""},
        {"server $backend;\n", "\"$backend\""},
        {"server \"a\";\n", "\"\"a\"\""},
        {"server unix:/run/x.sock;\n", "\"unix:/run/x.sock\""},
        {"server a:0;\n", "\"a:0\""},
        {"server a:65536;\n", "\"a:65536\""},
        {"server a:8080-8081;\n", "\"a:8080-8081\""},
        {"server [::1;\n", "\"[::1\""},
        {"server ;\n", "no HOST, HOST:PORT"},
        {";\n", "found \";\""},
        {"server a weight=0;\n", "line 1: server a: parameter \"weight=0\"; wanted a whole number"},
        {"server a fail_timeout=soon;\n", "wanted a time"},
        {"server a slow_start=30s;\n", "parameter \"slow_start=30s\"; wanted weight="},
        {"server a down down;\n", "one down"},
        {"server a; # x\nserver b:80;\nserver a:80 down;\n", "line 3: server a:80 stands in line 1 already"},
        {"server a;\r\n", "line 1: byte 0x0d"},
        {"server \x1b[31m;\n", "byte 0x1b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_arena struct arena a = {0};
        struct err err = {0};
        struct nginx_servers s;
        if (nginx_servers_parse(rows[i].text, strlen(rows[i].text), &a, &s, &err))
            fail_msg("taken: %s", rows[i].text);
        assert_int_equal(err.code, E_CONFIG);
        assert_says(err.text, rows[i].says);
    }
}

#define CLOCKS     "changed 1000.5\nstarted 50025\nnow 1010.5\nticks 100\n"
#define LOOK(text) (text), sizeof(text) - 1

static void the_workers_age_tells_what_they_run(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool stale;
        size_t current, leaving;
    } rows[] = {
        {CLOCKS "worker 7 49025 current\nfile\n", false, 1, 0}, /* 10 s old, as the file */
        {CLOCKS "worker 7 49024 current\nfile\n", false, 1, 0}, /* within what the clocks can tell */
        {CLOCKS "worker 7 49015 current\nfile\n", true, 1, 0},
        {CLOCKS "worker 7 49500 current\nworker 8 49015 current\nfile\n", true, 2,
         0}, /* one was born again */
        {CLOCKS "worker 7 49500 current\nworker 8 100 leaving\nfile\n", false, 1, 1},
        {"changed -\nstarted 50025\nnow 1010.5\nticks 100\nworker 7 1 current\nfile\n", false, 1, 0},
        {CLOCKS "worker 7 50028 current\nfile\n", false, 1, 0},
        {CLOCKS "worker 7 50029 current\nfile\n", true, 1, 0}, /* yet to start: another clock's */
        {"changed 1000.5\nstarted 9000050025\nnow 1010.5\nticks 100\nworker 7 9000049015 current\nfile\n",
         true, 1, 0},
        {CLOCKS "file\n", false, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_arena struct arena a = {0};
        struct err err = {0};
        struct nginx_look look;
        if (!nginx_look_parse(rows[i].text, strlen(rows[i].text), &a, &look, &err))
            fail_msg("%s: %s", rows[i].text, err.text);
        if (look.stale != rows[i].stale || look.current != rows[i].current || look.leaving != rows[i].leaving)
            fail_msg("%s: stale %d, %zu, %zu leaving", rows[i].text, look.stale, look.current, look.leaving);
    }
}

static void stub_status_in_words(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct nginx_look look;
    assert_true(nginx_look_parse(LOOK(CLOCKS "status Active connections: 3  server accepts handled requests  "
                                             "9 9 12  Reading: 0 Writing: 1 Waiting: 2  \nfile\nserver a;\n"),
                                 &a, &look, &err));
    assert_string_equal(look.status, "3 connections: 0 reading, 1 writing, 2 waiting");
    assert_true(!look.unfit_status && look.servers.n == 1);
    assert_true(nginx_look_parse(LOOK(CLOCKS "status <html>hello</html>\nfile\n"), &a, &look, &err));
    assert_true(look.unfit_status);
    assert_true(nginx_look_parse(LOOK(CLOCKS "nostatus curl: (7) refused\nfile\n"), &a, &look, &err));
    assert_true(look.unfit_status);
    assert_string_equal(look.status, "curl: (7) refused");
    static const char *const bad[] = {"",
                                      "file\n",
                                      CLOCKS,
                                      CLOCKS "worker x\nfile\n",
                                      CLOCKS "worker 1 2 idle\nfile\n",
                                      "changed x\nfile\n",
                                      "hello\n" CLOCKS "file\n",
                                      CLOCKS "ticks 0\nfile\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err = (struct err){0};
        assert_false(nginx_look_parse(bad[i], strlen(bad[i]), &a, &look, &err));
        assert_int_equal(err.code, E_PROTO);
    }
}

static const char whole[] = "# configuration file /etc/nginx/nginx.conf:\n"
                            "user www-data; pid /run/nginx.pid; # include /nosuch;\n"
                            "http {\n"
                            "  log_format x '$remote_addr { \"upstream y {\" ';\n"
                            "  set $x \"${y}\";\n"
                            "  include upstreams/*.up;\n"
                            "  include \"/etc/nginx/sites/a b\";\n"
                            "  content_by_lua_block { return \"{ ; }\" -- it's \n }\n"
                            "}\n"
                            "# configuration file /etc/nginx/upstreams/shop.up:\n"
                            "upstream shop { zone z 64k; include /srv/site.conf; server unix:/run/x; }\n"
                            "upstream api{least_conn;include /srv/site.conf;}\n"
                            "# configuration file /srv/site.conf:\n"
                            "server 10.0.0.1:8080 weight=2; # app1\n"
                            "# configuration file /etc/nginx/sites/a b:\n"
                            "server { listen 80; location / { proxy_pass http://shop; } }\n"
                            "upstream old { server 10.0.0.1:8080 backup; server 10.0.0.2 down; }\n"
                            "# configuration file /etc/nginx/upstreams/.hidden.up:\n"
                            "upstream hidden { include /srv/site.conf; }\n";

static void includes_are_followed(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct err err = {0};
    struct nginx_config c;
    if (!nginx_config_parse(whole, sizeof whole - 1, "/srv/site.conf", &a, &c, &err))
        fail_msg("%s", err.text);
    assert_string_equal(c.pid, "/run/nginx.pid");
    assert_int_equal(c.n_upstreams, 3);
    assert_true(nginx_config_includes(&c, "shop") && nginx_config_includes(&c, "api"));
    assert_false(nginx_config_includes(&c, "old") || nginx_config_includes(&c, "hidden"));
    assert_int_equal(c.n, 4);
    assert_string_equal(c.uses[0].upstream, "shop");
    assert_string_equal(c.uses[1].upstream, "api");
    assert_string_equal(c.uses[2].upstream, "old");
    assert_string_equal(c.uses[2].host, "10.0.0.1");
    assert_true(c.uses[2].port == 8080 && !c.uses[2].down && c.uses[3].down && c.uses[3].port == 80);
    assert_string_equal(c.uses[2].file, "/etc/nginx/sites/a b");
}

static void what_is_no_configuration_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "no configuration file"},
        {"nginx: [warn] x\n", "no configuration file"},
        {"# configuration file /a:\nhttp {\n", "not closed"},
        {"# configuration file /a:\n}\n", "not opened"},
        {"# configuration file /a:\ninclude /a;\n", "too deep"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_arena struct arena a = {0};
        struct err err = {0};
        struct nginx_config c;
        assert_false(nginx_config_parse(rows[i].text, strlen(rows[i].text), "/f", &a, &c, &err));
        assert_says(err.text, rows[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_a_line),
        cmocka_unit_test(anything_else_is_refused_by_its_line),
        cmocka_unit_test(the_workers_age_tells_what_they_run),
        cmocka_unit_test(stub_status_in_words),
        cmocka_unit_test(includes_are_followed),
        cmocka_unit_test(what_is_no_configuration_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
