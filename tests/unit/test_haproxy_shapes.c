/* SPDX-License-Identifier: MIT */
/* HAProxies as people have them: several backends, servers that track others, templates, servers made at run time,
 * backups, names that do not resolve, sockets of lower levels, and old workers behind a master. Each test starts
 * from a HAProxy that has just started. */
#include "unit/lb_rig.h"

static int port, port_read, front, app_port;
static pid_t proxy, app;
static char sock[64], sock_read[64], master_path[200], master_sock[256];

static void write_config(const char *cfg, int admin, int reader, int web)
{
    rig_write(
        cfg,
        "global\n  nbthread 2\n  stats socket ipv4@127.0.0.1:%d level admin\n"
        "  stats socket ipv4@127.0.0.1:%d level operator\n"
        "resolvers none\n  nameserver n 127.0.0.1:1\n  hold nx 1s\n  hold refused 1s\n  timeout retry 100ms\n"
        "defaults\n  mode http\n  timeout connect 1s\n  timeout client 20s\n  timeout server 20s\n"
        "  timeout tunnel 20s\n"
        "frontend site\n  bind 127.0.0.1:%d\n  default_backend site\n"
        "backend site\n  server web1 127.0.0.1:%d weight 50 check inter 100 rise 1\n  server web2 127.0.0.1:%d weight 0\n"
        "backend api\n  server web1 127.0.0.1:%d weight 30\n  server web2 127.0.0.1:%d\n"
        "backend tracks\n  server web1 127.0.0.1:%d track site/web1\n"
        "backend chain\n  server web1 127.0.0.1:%d track tracks/web1\n"
        "backend tpl\n  server-template app 2 127.0.0.1:%d\n  server other 127.0.0.1:2\n"
        "backend dyn\n  balance roundrobin\n  server web1 127.0.0.1:3\n"
        "backend bak\n  server b1 127.0.0.1:3\n  server b2 127.0.0.1:3\n  server b3 127.0.0.1:3 backup\n"
        "  server b4 127.0.0.1:3 backup\n"
        "backend dns\n  server d1 nosuch.invalid:80 resolvers none init-addr none\n"
        "  server d2 127.0.0.1:3\n"
        "backend dns2\n  server d3 nosuch.invalid:80 resolvers none init-addr none\n",
        admin, reader, web, app_port, app_port, app_port, app_port, app_port, app_port, app_port);
}

/* site/web1, and what tracks it. */
static bool checked_up(void)
{
    int n = 0;
    const char *p = rig_talk(port, "show stat -1 4 -1\n");
    while ((p = strstr(p, ",UP,")))
        n++, p++;
    return n == 3;
}

static int each_teardown(void **state)
{
    (void)state;
    rig_stop(&proxy, SIGTERM); /* a killed one leaves its workers behind */
    return 0;
}

static int each_setup(void **state)
{
    char cfg[160];
    (void)each_teardown(state); /* of a case whose setup failed: two HAProxies would share the ports */
    rig_forget();
    snprintf(cfg, sizeof cfg, "%s", rig_path("shapes.cfg"));
    write_config(cfg, port, port_read, front);
    proxy = rig_spawn((const char *const[]){"haproxy", "-W", "-S", master_path, "-f", cfg, NULL});
    rig_until(checked_up() && rig_master_answers(master_path));
    return 0;
}

static int group_setup(void **state)
{
    (void)state;
    rig_open();
    port = port_pick(), port_read = port_pick(), front = port_pick(), app_port = port_pick();
    app = rig_app(app_port);
    snprintf(sock, sizeof sock, "tcp://127.0.0.1:%d", port);
    snprintf(sock_read, sizeof sock_read, "tcp://127.0.0.1:%d", port_read);
    snprintf(master_path, sizeof master_path, "%s", rig_path("master.sock"));
    snprintf(master_sock, sizeof master_sock, "unix://%s", master_path);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    rig_stop(&app, SIGKILL);
    rig_forget();
    rig_close();
    return 0;
}

#define AT(backends, name)                                                                                   \
    {"sockets", sock}, {"backend", (backends)},                                                              \
    {                                                                                                        \
        "server", (name)                                                                                     \
    }

/* "admin weight" of a server, read without the driver's code. */
static const char *is(const char *backend, const char *server)
{
    static char out[64];
    char command[100], key[64], addr[64];
    int admin = -1, weight = -1;
    snprintf(command, sizeof command, "show servers state %s\n", backend);
    snprintf(key, sizeof key, " %s ", server);
    const char *row = strstr(rig_talk(port, command), key);
    if (!row || sscanf(row + strlen(key), "%63s %*d %d %d", addr, &admin, &weight) != 3)
        return "none";
    snprintf(out, sizeof out, "%d %d", admin, weight);
    return out;
}

/* Each backend's state is its own, before and after. */
static void every_backend_that_has_the_server(void **state)
{
    (void)state;
    auto_call struct call before, drain, lost, idle, enable, enabled, up, unknown;
    rig_talk(port, "set server dyn/web1 state maint\n");
    RUN(&before, "haproxy.observe", AT("*", "web1"));
    assert_ok(&before);
    assert_says(rig_fact(&before, "lb.before"), "site/web1=ready,w50");
    assert_says(rig_fact(&before, "lb.before"), "api/web1=ready,w30");
    assert_says(rig_fact(&before, "lb.before"), "dyn/web1=maint,w1");
    RUN(&drain, "haproxy.drain", AT("*", "web1"));
    assert_ok(&drain);
    assert_says(rig_fact(&drain, "lb.state"), "drain in api on tcp://");
    assert_string_equal(is("site", "web1"), "8 50");
    assert_string_equal(is("api", "web1"), "8 30");
    assert_string_equal(is("api", "web2"), "0 1");
    assert_string_equal(is("dyn", "web1"), "1 1");
    rig_talk(port, "set server api/web1 state ready\n");
    RUN(&lost, "haproxy.guard", AT("*", "web1"));
    assert_true(lost.r->lost);
    RUN(&idle, "haproxy.wait_idle", AT("*", "web1"));
    assert_ok(&idle);
    RUN(&enable, "haproxy.enable", AT("*", "web1"));
    assert_ok(&enable);
    assert_string_equal(is("site", "web1"), "0 50");
    assert_string_equal(is("api", "web1"), "0 30");
    assert_string_equal(is("dyn", "web1"), "1 1");
    RUN(&enabled, "haproxy.enabled", AT("*", "web1"));
    assert_true(enabled.r->ready);
    RUN(&up, "haproxy.wait_up", AT("*", "web1"));
    assert_true(up.r->ready);
    RUN(&unknown, "haproxy.observe", AT("*", "nosuch"));
    assert_int_equal(unknown.r->outcome, OUT_FAILED);
    assert_says(unknown.r->err.text, "no backend has a server \"nosuch\" (there are web1, web2");
}

/* Two balancers may have other backends. */
static void every_backend_of_the_fleet(void **state)
{
    (void)state;
    auto_call struct call floor, missing, show;
    char fact[128];
    RUN(&floor, "haproxy.capacity", {"sockets", sock}, {"backend", "*"},
        {"servers", "[\"web1\",\"other\",\"d1\"]"});
    assert_ok(&floor);
    assert_string_equal(rig_fact(&floor, "lb.serving"), "110");
    RUN(&missing, "haproxy.capacity", {"sockets", sock}, {"backend", "*"}, {"servers", "[\"web7\"]"});
    assert_int_equal(missing.r->outcome, OUT_FAILED);
    assert_says(missing.r->err.text, "no backend has a server \"web7\"");
    RUN(&show, "haproxy.show", {"sockets", sock}, {"backend", "*"});
    assert_ok(&show);
    snprintf(fact, sizeof fact, "lb.%s.api/web1", sock);
    assert_says(rig_fact(&show, fact), "\"weight\":30");
}

/* Each has its own state back, and what tracks serves with the one that it tracks, in whichever order the pillar names them. */
static void tracking_servers_in_any_order(void **state)
{
    (void)state;
    static const char *const orders[] = {"[\"chain\",\"tracks\",\"site\"]", "[\"site\",\"tracks\",\"chain\"]",
                                         "[\"tracks\",\"chain\",\"site\"]"};
    for (size_t i = 0; i < 3; i++) {
        auto_call struct call before, drain, idle, enable, enabled;
        rig_forget();
        RUN(&before, "haproxy.observe", AT(orders[i], "web1"));
        assert_ok(&before);
        RUN(&drain, "haproxy.drain", AT(orders[i], "web1"));
        assert_ok(&drain);
        assert_string_not_equal(is("chain", "web1"), "0 1");
        RUN(&idle, "haproxy.wait_idle", AT(orders[i], "web1"));
        assert_true(idle.r->ready);
        RUN(&enable, "haproxy.enable", AT(orders[i], "web1"));
        assert_ok(&enable);
        assert_string_equal(is("site", "web1"), "0 50");
        assert_string_equal(is("tracks", "web1"), "0 1");
        assert_string_equal(is("chain", "web1"), "0 1");
        RUN(&enabled, "haproxy.enabled", AT(orders[i], "web1"));
        assert_true(enabled.r->ready);
    }
}

/* A drain that another balancer refuses, too. */
static void a_refusal_puts_tracking_servers_back(void **state)
{
    (void)state;
    auto_call struct call drain;
    char cfg[160], list[160];
    int admin = port_pick(), other = port_pick();
    snprintf(cfg, sizeof cfg, "%s", rig_path("other.cfg"));
    write_config(cfg, admin, other, port_pick());
    pid_t second = rig_spawn((const char *const[]){"haproxy", "-db", "-f", cfg, NULL});
    rig_until(rig_port_open(other));
    snprintf(list, sizeof list, "[\"%s\",\"tcp://127.0.0.1:%d\"]", sock, other);
    RUN(&drain, "haproxy.drain", {"sockets", list}, {"backend", "[\"tracks\",\"site\"]"}, {"server", "web1"});
    assert_int_equal(drain.r->outcome, OUT_FAILED);
    assert_says(drain.r->err.text, "level admin");
    assert_says(drain.r->err.text, "the other balancers are as before");
    assert_string_equal(is("tracks", "web1"), "0 1");
    assert_string_equal(is("site", "web1"), "0 50");
    rig_stop(&second, SIGKILL);
}

/* A block for each backend: the second looks when the first has drained already. Nothing of that is the second's. */
static void tracking_servers_with_a_block_each(void **state)
{
    (void)state;
    static const char *const blocks[] = {"site", "tracks", "chain"};
    for (size_t i = 0; i < 3; i++) {
        auto_call struct call before, drain;
        RUN(&before, "haproxy.observe", AT(blocks[i], "web1"));
        assert_ok(&before);
        assert_false(before.r->ready);
        assert_says(rig_fact(&before, "lb.state"),
                    i == 0 ? "web1 ready on" : "ready (what it follows: drain)");
        RUN(&drain, "haproxy.drain", AT(blocks[i], "web1"));
        assert_ok(&drain);
    }
    assert_string_equal(is("chain", "web1"), "24 1");
    for (size_t i = 3; i-- > 0;) {
        auto_call struct call enable;
        RUN(&enable, "haproxy.enable", AT(blocks[i], "web1"));
        assert_ok(&enable);
    }
    assert_string_equal(is("site", "web1"), "0 50");
    assert_string_equal(is("tracks", "web1"), "0 1");
    assert_string_equal(is("chain", "web1"), "0 1");
    for (size_t i = 0; i < 3; i++) {
        auto_call struct call up;
        RUN(&up, "haproxy.wait_up", AT(blocks[i], "web1"));
        assert_true(up.r->ready);
    }
}

/* Somebody drains the server that ours tracks, and that the pillar does not name: who is waited for is told. */
static void a_tracked_server_that_is_out_is_named(void **state)
{
    (void)state;
    auto_call struct call before, drain, enable, enabled, waits, up;
    RUN(&before, "haproxy.observe", AT("tracks", "web1"));
    RUN(&drain, "haproxy.drain", AT("tracks", "web1"));
    rig_talk(port, "set server site/web1 state drain\n");
    assert_string_equal(is("tracks", "web1"), "24 1");
    RUN(&enable, "haproxy.enable", AT("tracks", "web1"));
    assert_ok(&enable);
    assert_string_equal(is("tracks", "web1"), "16 1");
    RUN(&enabled, "haproxy.enabled", AT("tracks", "web1"));
    assert_true(enabled.r->ready);
    RUN(&waits, "haproxy.wait_up", AT("tracks", "web1"));
    assert_false(waits.r->ready);
    assert_says(waits.said, "for site/web1, which it follows and which is in drain");
    rig_talk(port, "set server site/web1 state ready\n");
    assert_string_equal(is("tracks", "web1"), "0 1");
    RUN(&up, "haproxy.wait_up", AT("tracks", "web1"));
    assert_true(up.r->ready);
}

/* An operator's drain of it, from before: it ends when the operator ends it, or stays, and neither is ours. */
static void a_tracked_server_that_was_out_leaves_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        auto_call struct call before, drain, guard, enable, up;
        rig_forget();
        rig_talk(port, "set server site/web1 state drain\n");
        RUN(&before, "haproxy.observe", AT("tracks", "web1"));
        assert_says(rig_fact(&before, "lb.before"), "tracks/web1=ready,w1,behind");
        assert_string_equal(rig_fact(&before, "in_rotation"), "no");
        RUN(&drain, "haproxy.drain", AT("tracks", "web1"));
        if (i == 1)
            rig_talk(port, "set server site/web1 state ready\n");
        RUN(&guard, "haproxy.guard", AT("tracks", "web1"));
        assert_true(guard.r->ready); /* held by our own word */
        RUN(&enable, "haproxy.enable", AT("tracks", "web1"));
        assert_ok(&enable);
        assert_string_equal(is("tracks", "web1"), i == 0 ? "16 1" : "0 1");
        RUN(&up, "haproxy.wait_up", AT("tracks", "web1"));
        assert_true(up.r->ready);
    }
}

/* Maintenance by hand stays there, too, and with it what follows. */
static void maintenance_of_a_tracked_server_stays(void **state)
{
    (void)state;
    auto_call struct call before, drain, enable, up;
    RUN(&before, "haproxy.observe", AT("[\"site\",\"tracks\"]", "web1"));
    RUN(&drain, "haproxy.drain", AT("[\"site\",\"tracks\"]", "web1"));
    rig_talk(port, "set server site/web1 state maint\n");
    RUN(&enable, "haproxy.enable", AT("[\"site\",\"tracks\"]", "web1"));
    assert_ok(&enable);
    assert_string_equal(rig_fact(&enable, "kept"), "maint");
    assert_string_equal(is("tracks", "web1"), "2 1");
    RUN(&up, "haproxy.wait_up", AT("[\"site\",\"tracks\"]", "web1"));
    assert_true(up.r->ready);
}

/* The slots of a template have names of their own: by the address they are the node's. */
static void templates_by_name_and_by_address(void **state)
{
    (void)state;
    auto_call struct call before, drain, idle, enable, up, floor, named, unknown;
    char address[32], list[64], fact[64];
    snprintf(address, sizeof address, "127.0.0.1:%d", app_port);
    snprintf(list, sizeof list, "[\"%s\"]", address);
    RUN(&named, "haproxy.observe", AT("tpl", "app2"));
    assert_ok(&named);
    rig_forget();
    rig_talk(port, "set server tpl/app2 weight 7\n");
    rig_talk(port, "set server tpl/app1 weight 7\n");
    RUN(&before, "haproxy.observe", AT("tpl", address));
    assert_ok(&before);
    snprintf(fact, sizeof fact, "tpl/%s=ready,w7", address);
    assert_says(rig_fact(&before, "lb.before"), fact);
    RUN(&drain, "haproxy.drain", AT("tpl", address));
    assert_ok(&drain);
    assert_string_equal(is("tpl", "app1"), "8 7"); /* both slots have it */
    assert_string_equal(is("tpl", "app2"), "8 7");
    assert_string_equal(is("tpl", "other"), "0 1");
    RUN(&idle, "haproxy.wait_idle", AT("tpl", address));
    assert_true(idle.r->ready);
    RUN(&floor, "haproxy.capacity", {"sockets", sock}, {"backend", "tpl"}, {"servers", list});
    assert_int_equal(floor.r->gauge, 0);
    RUN(&enable, "haproxy.enable", AT("tpl", address));
    assert_ok(&enable);
    assert_string_equal(is("tpl", "app2"), "0 7");
    RUN(&up, "haproxy.wait_up", AT("tpl", address));
    assert_true(up.r->ready);
    RUN(&unknown, "haproxy.observe", AT("tpl", "127.0.0.9:80"));
    assert_says(unknown.r->err.text, "\"127.0.0.9:80\" (it has app1, app2, other)");
}

/* What one of them is cannot be recorded for both. */
static void slots_of_one_address_that_disagree_are_refused(void **state)
{
    (void)state;
    auto_call struct call out, weight, fine;
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%d", app_port);
    rig_talk(port, "set server tpl/app2 state maint\n");
    RUN(&out, "haproxy.observe", AT("tpl", address));
    assert_int_equal(out.r->outcome, OUT_FAILED);
    assert_says(out.r->err.text, "disagree: app1 ready with weight 1, app2 maint with weight 1; make them");
    assert_null(rig_fact(&out, "lb.before"));
    rig_talk(port, "set server tpl/app2 state ready\n");
    rig_talk(port, "set server tpl/app2 weight 9\n");
    RUN(&weight, "haproxy.observe", AT("tpl", address));
    assert_int_equal(weight.r->outcome, OUT_FAILED);
    assert_says(weight.r->err.text, "app1 ready with weight 1, app2 ready with weight 9");
    rig_talk(port, "set server tpl/app1 weight 9\n");
    RUN(&fine, "haproxy.observe", AT("tpl", address));
    assert_ok(&fine);
    assert_string_equal(is("tpl", "app2"), "0 9");
}

/* It is born in maintenance, which is nobody's of ours; deleted, it is told by name. */
static void servers_that_are_added_and_deleted_at_run_time(void **state)
{
    (void)state;
    auto_call struct call born, before, drain, enable, gone;
    char add[64];
    snprintf(add, sizeof add, "add server dyn/web5 127.0.0.1:%d\n", app_port);
    assert_says(rig_talk(port, add), "registered");
    RUN(&born, "haproxy.observe", AT("dyn", "web5"));
    assert_says(rig_fact(&born, "lb.before"), "dyn/web5=maint");
    rig_forget();
    rig_talk(port, "set server dyn/web5 state ready\n");
    RUN(&before, "haproxy.observe", AT("dyn", "web5"));
    RUN(&drain, "haproxy.drain", AT("dyn", "web5"));
    assert_string_equal(is("dyn", "web5"), "8 1");
    RUN(&enable, "haproxy.enable", AT("dyn", "web5"));
    assert_ok(&enable);
    assert_string_equal(is("dyn", "web5"), "0 1");
    rig_talk(port, "set server dyn/web5 state maint\n");
    assert_says(rig_talk(port, "del server dyn/web5\n"), "deleted");
    RUN(&gone, "haproxy.guard", AT("dyn", "web5"));
    assert_int_equal(gone.r->outcome, OUT_FAILED);
    assert_says(gone.r->err.text, "backend dyn has no server \"web5\" (it has web1)");
}

static const char *serving(void)
{
    static char out[16];
    auto_call struct call c;
    RUN(&c, "haproxy.capacity", {"sockets", sock}, {"backend", "bak"},
        {"servers", "[\"b1\",\"b2\",\"b3\",\"b4\"]"});
    assert_ok(&c);
    snprintf(out, sizeof out, "%s", rig_fact(&c, "lb.serving"));
    return out;
}

/* A backup gets no requests while others serve: it is in no floor, but as the one that stands in for the last of them. */
static void backups_are_counted_when_they_serve(void **state)
{
    (void)state;
    auto_call struct call show, alone;
    char b3[128], b4[128];
    snprintf(b3, sizeof b3, "lb.%s.b3", sock);
    snprintf(b4, sizeof b4, "lb.%s.b4", sock);
    assert_string_equal(serving(), "1100");
    rig_talk(port, "set server bak/b1 state drain\n");
    assert_string_equal(serving(), "0110");
    RUN(&show, "haproxy.show", {"sockets", sock}, {"backend", "bak"});
    assert_says(rig_fact(&show, b3), "\"serving\":false,\"up\":true");
    rig_talk(port, "set server bak/b2 state drain\n");
    assert_string_equal(serving(), "0010");
    RUN(&alone, "haproxy.show", {"sockets", sock}, {"backend", "bak"});
    assert_says(rig_fact(&alone, b3), "\"serving\":true");
    assert_says(rig_fact(&alone, b4), "\"serving\":false");
    rig_talk(port, "set server bak/b3 state drain\n");
    assert_string_equal(serving(), "0001");
}

/* MAINT (resolution) is nobody's word. It hides no drain, is not given back as if it were somebody's, and ends by itself. */
static void a_name_that_does_not_resolve_is_no_maintenance(void **state)
{
    (void)state;
    auto_call struct call before, drain, guard, enable, enabled, up, survey;
    assert_string_equal(is("dns", "d1"), "32 1");
    RUN(&before, "haproxy.observe", AT("dns", "d1"));
    assert_ok(&before);
    assert_says(rig_fact(&before, "lb.before"), "dns/d1=ready");
    assert_string_equal(rig_fact(&before, "in_rotation"), "no");
    RUN(&drain, "haproxy.drain", AT("dns", "d1"));
    assert_ok(&drain);
    assert_string_equal(is("dns", "d1"), "40 1");
    RUN(&guard, "haproxy.guard", AT("dns", "d1"));
    assert_true(guard.r->ready);
    RUN(&enable, "haproxy.enable", AT("dns", "d1"));
    assert_ok(&enable);
    assert_null(rig_fact(&enable, "kept"));
    assert_string_equal(is("dns", "d1"), "32 1");
    RUN(&enabled, "haproxy.enabled", AT("dns", "d1"));
    assert_true(enabled.r->ready);
    RUN(&up, "haproxy.wait_up", AT("dns", "d1"));
    assert_false(up.r->ready);
    assert_says(up.said, "MAINT (resolution)");
    RUN(&survey, "haproxy.survey", {"sockets", sock}, {"backend", "dns"});
    assert_ok(&survey);
    for (size_t i = 0; i < survey.r->n_facts; i++) /* what has no address shares none */
        assert_null(strstr(survey.r->facts[i].value, "dns2/"));
}

/* ---- levels, masters ---------------------------------------------------------------------------------------- */

/* Before anything is touched, not at the first drain. */
static void a_socket_that_may_only_look_is_told_before(void **state)
{
    (void)state;
    auto_call struct call survey, master, many, good;
    char list[160];
    snprintf(list, sizeof list, "[\"%s\",\"%s\"]", sock, sock_read);
    RUN(&survey, "haproxy.survey", {"sockets", list}, {"backend", "site"});
    assert_int_equal(survey.r->outcome, OUT_FAILED);
    assert_says(survey.r->err.text, sock_read);
    assert_says(survey.r->err.text, "level \"operator\"");
    RUN(&master, "haproxy.survey", {"sockets", sock}, {"backend", "site"}, {"master", sock});
    assert_int_equal(master.r->outcome, OUT_FAILED);
    assert_says(master.r->err.text, "Wanted the master's");
    RUN(&many, "haproxy.observe", AT("site", "web1"), {"master", list});
    assert_int_equal(many.r->outcome, OUT_FAILED);
    assert_says(many.r->err.text, "2 in `master`, 1 in `sockets`");
    RUN(&good, "haproxy.survey", {"sockets", sock}, {"backend", "site"}, {"master", master_sock});
    assert_ok(&good);
}

static int ask_front(const char *path)
{
    char req[200];
    int fd = rig_connect(front);
    snprintf(req, sizeof req,
             "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             path);
    assert_int_equal(write(fd, req, strlen(req)), strlen(req));
    return fd;
}

static int worker_pid(void)
{
    const char *line = strstr(rig_talk(port, "show info\n"), "\nPid: ");
    return line ? atoi(line + 6) : 0;
}

/* The new worker answers, and the old one still has the websocket. */
static int reload_under_a_websocket(void)
{
    char answer[1000];
    int old = worker_pid(), fd = ask_front("/ws");
    assert_true(read(fd, answer, sizeof answer) > 0);
    rig_until(strstr(rig_talk(port, "show stat -1 4 -1\n"), "site,web1,0,0,1,") != NULL);
    kill(proxy, SIGUSR2);
    rig_until(worker_pid() != old && worker_pid() > 0 && rig_master_answers(master_path));
    assert_null(strstr(rig_talk(port, "show stat -1 4 -1\n"), "site,web1,0,0,1,"));
    return fd;
}

#define WITH_MASTER(list)                                                                                    \
    AT("[\"site\",\"api\"]", "web1"),                                                                        \
    {                                                                                                        \
        "master", (list)                                                                                     \
    }

static void sessions_of_old_workers_are_waited_for(void **state)
{
    (void)state;
    int fd = reload_under_a_websocket();
    char fact[100], relayed[300];
    snprintf(fact, sizeof fact, "old_workers.%s", sock);
    snprintf(relayed, sizeof relayed, "%s@127.0.0.1", master_sock);
    auto_call struct call drain, blind;
    RUN(&drain, "haproxy.drain", WITH_MASTER(master_sock));
    assert_ok(&drain);
    RUN(&blind, "haproxy.wait_idle", AT("[\"site\",\"api\"]", "web1"));
    assert_true(blind.r->ready); /* without the master nobody sees it */
    for (size_t i = 0; i < 2; i++) {
        auto_call struct call busy;
        RUN(&busy, "haproxy.wait_idle", WITH_MASTER(i == 0 ? master_sock : relayed));
        assert_ok(&busy);
        assert_false(busy.r->ready);
        assert_int_equal(busy.r->gauge, 1);
        assert_says(rig_fact(&busy, fact), "1 of its sessions in 1");
    }
    close(fd);
    rig_until(({
        auto_call struct call idle;
        RUN(&idle, "haproxy.wait_idle", WITH_MASTER(master_sock)); /* unknown, while that worker ends */
        assert_int_not_equal(idle.r->outcome, OUT_FAILED);
        idle.r->outcome == OUT_OK &&idle.r->ready;
    }));
}

static void sessions_of_old_workers_are_ended_by_kill(void **state)
{
    (void)state;
    char answer[100];
    int fd = reload_under_a_websocket();
    auto_call struct call before, drain, killed;
    RUN(&before, "haproxy.observe", WITH_MASTER(master_sock));
    RUN(&drain, "haproxy.drain", WITH_MASTER(master_sock));
    RUN(&killed, "haproxy.kill", WITH_MASTER(master_sock));
    assert_int_not_equal(killed.r->outcome, OUT_FAILED); /* unknown, when that worker ends meanwhile */
    assert_int_equal(read(fd, answer, sizeof answer), 0);
    rig_until(({
        auto_call struct call done;
        RUN(&done, "haproxy.killed", WITH_MASTER(master_sock));
        done.r->outcome == OUT_OK &&done.r->ready;
    }));
    close(fd);
}

/* A master that cannot be asked says nothing about what is left; who is up needs none. */
static void a_master_that_is_not_there_is_not_idle(void **state)
{
    (void)state;
    auto_call struct call drain, idle, enable, up;
    RUN(&drain, "haproxy.drain", WITH_MASTER("unix:///nosuch/master.sock"));
    assert_ok(&drain);
    RUN(&idle, "haproxy.wait_idle", WITH_MASTER("unix:///nosuch/master.sock"));
    assert_int_equal(idle.r->outcome, OUT_UNKNOWN);
    assert_says(idle.r->err.text, "/nosuch/master.sock");
    RUN(&enable, "haproxy.enable", WITH_MASTER("unix:///nosuch/master.sock"));
    assert_ok(&enable);
    RUN(&up, "haproxy.wait_up", WITH_MASTER("unix:///nosuch/master.sock"));
    assert_ok(&up);
}

#define T(f) cmocka_unit_test_setup_teardown(f, each_setup, each_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_backend_that_has_the_server),
        T(every_backend_of_the_fleet),
        T(tracking_servers_in_any_order),
        T(a_refusal_puts_tracking_servers_back),
        T(tracking_servers_with_a_block_each),
        T(a_tracked_server_that_is_out_is_named),
        T(a_tracked_server_that_was_out_leaves_nothing),
        T(maintenance_of_a_tracked_server_stays),
        T(templates_by_name_and_by_address),
        T(slots_of_one_address_that_disagree_are_refused),
        T(servers_that_are_added_and_deleted_at_run_time),
        T(backups_are_counted_when_they_serve),
        T(a_name_that_does_not_resolve_is_no_maintenance),
        T(a_socket_that_may_only_look_is_told_before),
        T(sessions_of_old_workers_are_waited_for),
        T(sessions_of_old_workers_are_ended_by_kill),
        T(a_master_that_is_not_there_is_not_idle),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
