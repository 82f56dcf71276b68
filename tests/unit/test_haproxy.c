/* SPDX-License-Identifier: MIT */
/* The haproxy verbs on two real HAProxies with a small application behind them. Each test starts from
 * balancers that have just started. */
#include "unit/lb_rig.h"

#include "base/lb.h"

static int port_a, port_b, port_b_read, front_a, app_port, agent_port;
static pid_t proxy_a, proxy_b, master, app, agent;
static char socks[256], sock_a[64], sock_b[64];

/* Past its first checks, all four that are checked: a server that has just started shows "UP 1/2". */
static bool all_up(int admin)
{
    int n = 0;
    const char *p = rig_talk(admin, "show stat -1 4 -1\n");
    while ((p = strstr(p, ",UP,")))
        n++, p++;
    return n == 4;
}

static void start_proxy(pid_t *pid, const char *name, int admin, int reader, int front)
{
    char cfg[160];
    snprintf(cfg, sizeof cfg, "%s", rig_path(name));
    rig_write(
        cfg,
        "global\n  stats socket ipv4@127.0.0.1:%d level admin\n  stats socket ipv4@127.0.0.1:%d level "
        "operator\n"
        "  stats socket %s.sock level admin\n"
        "defaults\n  mode http\n  timeout connect 1s\n  timeout client 20s\n  timeout server 20s\n"
        "  timeout tunnel 20s\n  timeout check 3s\n"
        "frontend web\n  bind 127.0.0.1:%d\n  default_backend web\n"
        "backend web\n  default-server inter 100 fall 2 rise 2 weight 50\n"
        "  server web1 127.0.0.1:%d check\n  server web2 127.0.0.1:%d check weight 70\n"
        "  server web3 127.0.0.1:%d check slowstart 60s\n"
        "backend other\n  server web1 127.0.0.1:%d\n  server idle 127.0.0.1:1\n"
        "backend agents\n  server web1 127.0.0.1:2 weight 50 agent-check agent-port %d agent-inter 100\n"
        "  server web2 127.0.0.1:%d check inter 100 weight 0\n",
        admin, reader, cfg, front, app_port, app_port, app_port, app_port, agent_port, app_port);
    *pid = rig_spawn((const char *const[]){"haproxy", "-db", "-f", cfg, NULL});
    rig_until(all_up(admin));
}

static int each_teardown(void **state)
{
    (void)state;
    rig_stop(&proxy_a, SIGKILL);
    rig_stop(&proxy_b, SIGKILL);
    rig_stop(&master, SIGTERM); /* a killed one leaves its worker behind */
    return 0;
}

static int each_setup(void **state)
{
    (void)each_teardown(state); /* of a case whose setup failed: two HAProxies would share the ports */
    rig_forget();
    start_proxy(&proxy_a, "a.cfg", port_a, port_pick(), front_a);
    start_proxy(&proxy_b, "b.cfg", port_b, port_b_read, port_pick());
    return 0;
}

static int group_setup(void **state)
{
    (void)state;
    rig_open();
    port_a = port_pick(), port_b = port_pick(), port_b_read = port_pick(), front_a = port_pick();
    app_port = port_pick();
    agent_port = port_pick();
    app = rig_app(app_port);
    agent = rig_liar(agent_port, "ready\n", 6);
    snprintf(socks, sizeof socks, "[\"tcp://127.0.0.1:%d\",\"tcp://127.0.0.1:%d\"]", port_a, port_b);
    snprintf(sock_a, sizeof sock_a, "tcp://127.0.0.1:%d", port_a);
    snprintf(sock_b, sizeof sock_b, "tcp://127.0.0.1:%d", port_b);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    rig_stop(&app, SIGKILL);
    rig_stop(&agent, SIGKILL);
    rig_forget();
    rig_close();
    return 0;
}

#define ON(sockets, name)                                                                                    \
    {"sockets", (sockets)}, {"backend", "web"},                                                              \
    {                                                                                                        \
        "server", (name)                                                                                     \
    }
#define BOTH(name) ON(socks, name)

static bool both_are(const char *server, const char *wanted)
{
    return !strcmp(rig_state(port_a, server), wanted) && !strcmp(rig_state(port_b, server), wanted);
}

/* ---- drain and give back
 * ----------------------------------------------------------------------------------- */

static void drain_and_enable_give_back_state_and_weight(void **state)
{
    (void)state;
    auto_call struct call before, drain, again, enable, up;
    RUN(&before, "haproxy.observe", BOTH("web2"));
    assert_ok(&before);
    assert_false(before.r->ready);
    assert_string_equal(rig_fact(&before, "in_rotation"), "yes");
    assert_says(rig_fact(&before, "lb.before"), "web/web2=ready,w70");
    RUN(&drain, "haproxy.drain", BOTH("web2"));
    assert_ok(&drain);
    assert_true(drain.r->changed);
    assert_true(both_are("web2", "2 8 70"));
    RUN(&again, "haproxy.drain", BOTH("web2"));
    assert_ok(&again);
    assert_false(again.r->changed);
    rig_talk(port_a, "set server web/web2 weight 3\n"); /* an accident meanwhile */
    RUN(&enable, "haproxy.enable", BOTH("web2"));
    assert_ok(&enable);
    assert_true(both_are("web2", "2 0 70"));
    RUN(&up, "haproxy.wait_up", BOTH("web2"));
    assert_ok(&up);
    assert_true(up.r->ready);
}

static void observing_our_own_drain_does_not_change_what_was_before(void **state)
{
    (void)state;
    auto_call struct call before, drain, observe, enabled;
    RUN(&before, "haproxy.observe", BOTH("web1"));
    RUN(&drain, "haproxy.drain", BOTH("web1"));
    RUN(&observe, "haproxy.observe", BOTH("web1"));
    assert_ok(&observe);
    assert_true(observe.r->ready);
    assert_null(rig_fact(&observe, "lb.before"));
    RUN(&enabled, "haproxy.enabled", BOTH("web1"));
    assert_ok(&enabled);
    assert_false(enabled.r->ready);
}

static void a_server_in_maintenance_before_stays_so(void **state)
{
    (void)state;
    auto_call struct call before, drain, idle, enable, enabled, up;
    rig_talk(port_a, "set server web/web1 state maint\n");
    rig_talk(port_b, "set server web/web1 state maint\n");
    RUN(&before, "haproxy.observe", BOTH("web1"));
    assert_true(before.r->ready);
    RUN(&drain, "haproxy.drain", BOTH("web1"));
    assert_ok(&drain);
    assert_false(drain.r->changed);
    RUN(&idle, "haproxy.wait_idle", BOTH("web1"));
    assert_true(idle.r->ready);
    RUN(&enable, "haproxy.enable", BOTH("web1"));
    assert_ok(&enable);
    assert_string_equal(rig_fact(&enable, "kept"), "maint");
    assert_true(both_are("web1", "0 1 50"));
    RUN(&enabled, "haproxy.enabled", BOTH("web1"));
    assert_true(enabled.r->ready);
    RUN(&up, "haproxy.wait_up", BOTH("web1"));
    assert_true(up.r->ready);
}

static void maintenance_set_by_hand_meanwhile_stays(void **state)
{
    (void)state;
    auto_call struct call before, drain, enable, up;
    RUN(&before, "haproxy.observe", BOTH("web1"));
    RUN(&drain, "haproxy.drain", BOTH("web1"));
    rig_talk(port_b, "set server web/web1 state maint\n");
    RUN(&enable, "haproxy.enable", BOTH("web1"));
    assert_ok(&enable);
    assert_says(enable.said, "by hand");
    assert_string_equal(rig_state(port_a, "web1"), "2 0 50");
    assert_string_equal(rig_state(port_b, "web1"), "0 1 50");
    RUN(&up, "haproxy.wait_up", BOTH("web1"));
    assert_true(up.r->ready);
}

static void our_own_maintenance_is_given_back(void **state)
{
    (void)state;
    auto_call struct call before, drain, maint, seen, enable;
    RUN(&before, "haproxy.observe", BOTH("web1"));
    RUN(&drain, "haproxy.drain", BOTH("web1"));
    RUN(&maint, "haproxy.maint", BOTH("web1"));
    assert_ok(&maint);
    RUN(&seen, "haproxy.in_maint", BOTH("web1"));
    assert_true(seen.r->ready);
    RUN(&enable, "haproxy.enable", BOTH("web1"));
    assert_ok(&enable);
    /* "ready" on a server whose checks are running: up at once, or after its next good check */
    rig_until(both_are("web1", "2 0 50"));
}

/* What preflight takes out of a debt of the first version: of a release that was given up while web2 was in
 * maintenance by its own hand. */
static void a_debt_of_an_earlier_version_is_paid(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    auto_call struct call observe, enable;
    const char *debt =
        arena_printf(&a,
                     "haproxy.drain: out of rotation by release 41; before: %s web/web2=ready,w33;"
                     "%s web/web2=ready,w44; haproxy.maint: maintenance by release 41; lb.maint=ours",
                     sock_a, sock_b);
    rig_talk(port_a, "set server web/web2 state maint\n");
    rig_talk(port_b, "set server web/web2 state maint\n");
    rig_remember(&(struct op_pair){"lb.before", lb_debt_before(debt, &a)});
    assert_true(lb_debt_is_maint(debt));
    rig_remember(&(struct op_pair){"lb.maint", "ours"});
    RUN(&observe, "haproxy.observe", BOTH("web2"));
    assert_ok(&observe);
    assert_null(rig_fact(&observe, "lb.before"));
    RUN(&enable, "haproxy.enable", BOTH("web2"));
    assert_ok(&enable);
    assert_string_equal(rig_state(port_a, "web2"), "2 0 33");
    assert_string_equal(rig_state(port_b, "web2"), "2 0 44");
}

/* A server that is in one backend of a balancer and out of another before the release stays so. */
static void a_server_stands_in_two_backends(void **state)
{
    (void)state;
#define TWO {"sockets", socks}, {"backend", "[\"web\",\"other\"]"}, {"server", "web1"}
    auto_call struct call before, drain, guard, idle, lost, enable, show, one;
    char name[128];
    RUN(&before, "haproxy.observe", TWO);
    assert_ok(&before);
    assert_says(rig_fact(&before, "lb.before"), "web/web1=ready,w50");
    assert_says(rig_fact(&before, "lb.before"), "other/web1=ready,w1");
    RUN(&drain, "haproxy.drain", TWO);
    assert_ok(&drain);
    assert_says(rig_fact(&drain, "lb.state"), "drain in other on tcp://");
    RUN(&guard, "haproxy.guard", TWO);
    assert_true(guard.r->ready);
    RUN(&idle, "haproxy.wait_idle", TWO);
    assert_true(idle.r->ready);
    rig_talk(port_b, "set server other/web1 state ready\n");
    RUN(&lost, "haproxy.guard", TWO);
    assert_true(lost.r->lost);
    RUN(&enable, "haproxy.enable", TWO);
    assert_ok(&enable);
    assert_true(both_are("web1", "2 0 50"));
    RUN(&show, "haproxy.show", {"sockets", socks}, {"backend", "[\"web\",\"other\"]"});
    snprintf(name, sizeof name, "lb.%s.other/web1", sock_b);
    assert_says(rig_fact(&show, name), "\"admin\":\"ready\"");
    RUN(&one, "haproxy.capacity", {"sockets", socks}, {"backend", "[\"web\",\"other\"]"},
        {"servers", "[\"web2\"]"});
    assert_int_equal(one.r->outcome, OUT_FAILED);
    assert_says(one.r->err.text, "backend other has no server \"web2\"");
}

static void balancers_that_disagree_are_told(void **state)
{
    (void)state;
    auto_call struct call before;
    rig_talk(port_b, "set server web/web1 state maint\n");
    RUN(&before, "haproxy.observe", BOTH("web1"));
    assert_int_equal(before.r->outcome, OUT_FAILED);
    assert_int_equal(before.r->err.code, E_STATE);
    assert_says(before.r->err.text, "ready on tcp://127.0.0.1");
    assert_says(before.r->err.text, "maint on tcp://127.0.0.1");
}

/* Row 23. */
static void a_refusal_gives_the_other_balancer_back(void **state)
{
    (void)state;
    auto_call struct call drain;
    char list[128];
    snprintf(list, sizeof list, "[\"%s\",\"tcp://127.0.0.1:%d\"]", sock_a, port_b_read);
    RUN(&drain, "haproxy.drain", ON(list, "web1"));
    assert_int_equal(drain.r->outcome, OUT_FAILED);
    assert_says(drain.r->err.text, "level admin");
    assert_true(both_are("web1", "2 0 50"));
}

static void unknown_names_are_refused_by_name(void **state)
{
    (void)state;
    auto_call struct call server, backend, word;
    RUN(&server, "haproxy.drain", BOTH("web9"));
    assert_int_equal(server.r->outcome, OUT_FAILED);
    assert_says(server.r->err.text, "\"web9\" (it has web1, web2, web3)");
    RUN(&backend, "haproxy.observe", {"sockets", socks}, {"backend", "nosuch"}, {"server", "web1"});
    assert_int_equal(backend.r->outcome, OUT_FAILED);
    assert_says(backend.r->err.text, "no backend \"nosuch\"");
    RUN(&word, "haproxy.drain", BOTH("web1 state ready;disable server web/web2"));
    assert_int_equal(word.r->outcome, OUT_FAILED);
    assert_says(word.r->err.text, "cannot be the name of a server; wanted letters, digits and ._:-");
    assert_true(both_are("web2", "2 0 70"));
}

/* A balancer that cannot be asked: nothing is known about anything, and a drain that could not look drains nothing. */
static void a_dead_balancer_is_not_an_answer(void **state)
{
    (void)state;
    auto_call struct call drain, observe, idle, enable, capacity;
    rig_stop(&proxy_b, SIGKILL);
    RUN(&drain, "haproxy.drain", BOTH("web1"));
    assert_int_equal(drain.r->outcome, OUT_UNKNOWN);
    assert_string_equal(rig_state(port_a, "web1"), "2 0 50");
    RUN(&observe, "haproxy.observe", BOTH("web1"));
    assert_int_equal(observe.r->outcome, OUT_UNKNOWN);
    RUN(&idle, "haproxy.wait_idle", BOTH("web1"));
    assert_int_equal(idle.r->outcome, OUT_UNKNOWN);
    RUN(&enable, "haproxy.enable", BOTH("web1"));
    assert_int_equal(enable.r->outcome, OUT_UNKNOWN);
    RUN(&capacity, "haproxy.capacity", {"sockets", socks}, {"backend", "web"});
    assert_int_equal(capacity.r->outcome, OUT_UNKNOWN);
}

static void a_lying_balancer_is_not_success(void **state)
{
    (void)state;
    static const char *const lies[] = {
        "",
        "\n",
        "1\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        ("1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n2 web 1 web1 "
         "x 9 0 1\n"),
        "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n\n"};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        auto_call struct call drain, idle;
        int port = port_pick();
        char list[128];
        pid_t liar = rig_liar(port, lies[i], strlen(lies[i]));
        snprintf(list, sizeof list, "[\"%s\",\"tcp://127.0.0.1:%d\"]", sock_a, port);
        RUN(&drain, "haproxy.drain", ON(list, "web1"));
        assert_int_not_equal(drain.r->outcome, OUT_OK);
        assert_string_equal(rig_state(port_a, "web1"), "2 0 50");
        RUN(&idle, "haproxy.wait_idle", ON(list, "web1"));
        assert_int_not_equal(idle.r->outcome, OUT_OK);
        rig_stop(&liar, SIGKILL);
    }
}

/* ---- sessions
 * ------------------------------------------------------------------------------------------------ */

static int ask_front(const char *path)
{
    char req[200];
    int fd = rig_connect(front_a);
    snprintf(req, sizeof req,
             "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             path);
    assert_int_equal(write(fd, req, strlen(req)), strlen(req));
    return fd;
}

/* Only web1 gets requests. */
static void only_web1(void)
{
    rig_talk(port_a, "set server web/web2 state maint\n");
    rig_talk(port_a, "set server web/web3 state maint\n");
}

static bool one_session(void)
{
    return strstr(rig_talk(port_a, "show stat -1 4 -1\n"), "web,web1,0,0,1,") != NULL;
}

static void wait_idle_waits_for_requests_and_queue(void **state)
{
    (void)state;
    auto_call struct call drain, busy;
    char answer[1000] = "";
    only_web1();
    int fd = ask_front("/slow");
    rig_until(one_session());
    RUN(&drain, "haproxy.drain", BOTH("web1"));
    assert_ok(&drain);
    RUN(&busy, "haproxy.wait_idle", BOTH("web1"));
    assert_ok(&busy);
    assert_false(busy.r->ready);
    assert_int_equal(busy.r->gauge, 1);
    bool ready = false;
    rig_until(({
        auto_call struct call idle;
        RUN(&idle, "haproxy.wait_idle", BOTH("web1"));
        assert_ok(&idle);
        ready = idle.r->ready;
        ready;
    }));
    assert_true(read(fd, answer, sizeof answer - 1) > 0);
    assert_says(answer, "200 OK");
    close(fd);
}

/* A websocket never ends by itself: drain and maintenance leave it alone, kill ends it and says how many. */
static void kill_ends_what_drain_and_maint_leave(void **state)
{
    (void)state;
    auto_call struct call before, drain, maint, busy, killed;
    char answer[1000];
    only_web1();
    int fd = ask_front("/ws");
    assert_true(read(fd, answer, sizeof answer) > 0);
    RUN(&before, "haproxy.observe", BOTH("web1"));
    RUN(&drain, "haproxy.drain", BOTH("web1"));
    RUN(&maint, "haproxy.maint", BOTH("web1"));
    RUN(&busy, "haproxy.wait_idle", BOTH("web1"));
    assert_false(busy.r->ready);
    assert_int_equal(busy.r->gauge, 1);
    RUN(&killed, "haproxy.kill", BOTH("web1"));
    assert_ok(&killed);
    assert_string_equal(rig_fact(&killed, "killed"), "1");
    assert_int_equal(read(fd, answer, sizeof answer), 0);
    rig_until(({
        auto_call struct call done;
        RUN(&done, "haproxy.killed", BOTH("web1"));
        done.r->outcome == OUT_OK &&done.r->ready;
    }));
    close(fd);
}

/* ---- reload
 * ---------------------------------------------------------------------------------------------------- */

static void a_reload_that_forgot_the_drain_is_noticed(void **state)
{
    (void)state;
    auto_call struct call drain, guard, lost, idle, again, held;
    RUN(&drain, "haproxy.drain", BOTH("web1"));
    RUN(&guard, "haproxy.guard", BOTH("web1"));
    assert_true(guard.r->ready);
    assert_false(guard.r->lost);
    rig_stop(&proxy_b, SIGTERM);
    start_proxy(&proxy_b, "b.cfg", port_b, port_b_read, port_pick());
    RUN(&lost, "haproxy.guard", BOTH("web1"));
    assert_ok(&lost);
    assert_true(lost.r->lost);
    assert_false(lost.r->ready);
    RUN(&idle, "haproxy.wait_idle", BOTH("web1"));
    assert_true(idle.r->lost);
    assert_false(idle.r->ready);
    RUN(&again, "haproxy.drain", BOTH("web1"));
    assert_true(again.r->changed);
    RUN(&held, "haproxy.guard", BOTH("web1"));
    assert_true(held.r->ready);
}

/* A DOWN server is not held: it would take requests the moment its application answers. */
static void down_is_not_drained(void **state)
{
    (void)state;
    auto_call struct call guard, drain, held, up;
    rig_stop(&app, SIGKILL);
    rig_until(both_are("web1", "0 0 50"));
    RUN(&guard, "haproxy.guard", BOTH("web1"));
    assert_true(guard.r->lost);
    RUN(&up, "haproxy.wait_up", BOTH("web1"));
    assert_ok(&up);
    assert_false(up.r->ready);
    assert_says(up.said, "DOWN");
    RUN(&drain, "haproxy.drain", BOTH("web1"));
    assert_ok(&drain);
    RUN(&held, "haproxy.guard", BOTH("web1"));
    assert_true(held.r->ready);
    app = rig_app(app_port);
}

/* ---- up, slowly or without weight
 * --------------------------------------------------------------------------------- */

static void a_server_that_starts_slowly_is_up(void **state)
{
    (void)state;
    auto_call struct call before, drain, maint, enable;
    RUN(&before, "haproxy.observe", BOTH("web3"));
    RUN(&drain, "haproxy.drain", BOTH("web3"));
    RUN(&maint, "haproxy.maint", BOTH("web3")); /* as a restart does, it makes the slow start begin */
    RUN(&enable, "haproxy.enable", BOTH("web3"));
    assert_ok(&enable);
    rig_until(({
        auto_call struct call up;
        RUN(&up, "haproxy.wait_up", BOTH("web3"));
        up.r->outcome == OUT_OK &&up.r->ready;
    }));
    assert_true(both_are("web3", "1 0 50"));
}

#define AGENTS(name)                                                                                         \
    {"sockets", socks}, {"backend", "agents"},                                                               \
    {                                                                                                        \
        "server", (name)                                                                                     \
    }

static void a_server_without_weight_is_up_without_it(void **state)
{
    (void)state;
    auto_call struct call before, drain, enable;
    RUN(&before, "haproxy.observe", AGENTS("web2"));
    RUN(&drain, "haproxy.drain", AGENTS("web2"));
    RUN(&enable, "haproxy.enable", AGENTS("web2"));
    assert_ok(&enable);
    rig_until(({
        auto_call struct call up;
        RUN(&up, "haproxy.wait_up", AGENTS("web2"));
        up.r->outcome == OUT_OK &&up.r->ready;
    }));
}

/* ---- agent checks
 * --------------------------------------------------------------------------------- */

/* "op admin weight agent" of agents/web1 on one balancer. */
static const char *agent_state(int port)
{
    static char out[64];
    int op, admin, weight, bits;
    const char *row = strstr(rig_talk(port, "show servers state agents\n"), " web1 ");
    assert_non_null(row);
    assert_int_equal(
        sscanf(row, " web1 %*s %d %d %d %*d %*d %*d %*d %*d %*d %d", &op, &admin, &weight, &bits), 4);
    snprintf(out, sizeof out, "%d %d %s", admin, weight, bits & 4 ? "runs" : "held");
    return out;
}

static bool both_agents_are(const char *wanted)
{
    return !strcmp(agent_state(port_a), wanted) && !strcmp(agent_state(port_b), wanted);
}

/* The agent says "ready" ten times a second. Held off it cannot undo the drain, and it runs again after it.
 */
static void an_agent_check_is_held_off_while_the_node_is_out(void **state)
{
    (void)state;
    auto_call struct call before, drain, again, observe, guard, enable, enabled;
    assert_true(both_agents_are("0 50 runs"));
    RUN(&before, "haproxy.observe", AGENTS("web1"));
    assert_says(rig_fact(&before, "lb.before"), "agents/web1=ready,w50,agent");
    RUN(&drain, "haproxy.drain", AGENTS("web1"));
    assert_ok(&drain);
    assert_says(rig_fact(&drain, "lb.debt"), "agent check held off");
    assert_true(both_agents_are("8 50 held"));
    for (int i = 0; i < 20; i++) { /* through several turns of the agent */
        auto_call struct call idle;
        RUN(&idle, "haproxy.wait_idle", AGENTS("web1"));
        assert_true(idle.r->ready);
        poll(NULL, 0, 20);
    }
    RUN(&again, "haproxy.drain", AGENTS("web1"));
    assert_false(again.r->changed);
    RUN(&observe, "haproxy.observe", AGENTS("web1"));
    assert_true(observe.r->ready);
    RUN(&guard, "haproxy.guard", AGENTS("web1"));
    assert_true(guard.r->ready);
    RUN(&enable, "haproxy.enable", AGENTS("web1"));
    assert_ok(&enable);
    assert_true(both_agents_are("0 50 runs"));
    RUN(&enabled, "haproxy.enabled", AGENTS("web1"));
    assert_true(enabled.r->ready);
}

/* Killed between the two commands, or reloaded from a state file: the drain holds, the agent check runs. */
static void an_agent_check_that_runs_again_is_a_lost_drain(void **state)
{
    (void)state;
    auto_call struct call before, drain, guard, again, enabled, enable;
    RUN(&before, "haproxy.observe", AGENTS("web1"));
    RUN(&drain, "haproxy.drain", AGENTS("web1"));
    rig_stop(&agent, SIGKILL); /* so that it does not undo the drain as well */
    rig_talk(port_b, "enable agent agents/web1\n");
    RUN(&guard, "haproxy.guard", AGENTS("web1"));
    assert_true(guard.r->lost);
    RUN(&again, "haproxy.drain", AGENTS("web1"));
    assert_true(again.r->changed);
    assert_true(both_agents_are("8 50 held"));
    RUN(&enabled, "haproxy.enabled", AGENTS("web1"));
    assert_false(enabled.r->ready);
    RUN(&enable, "haproxy.enable", AGENTS("web1"));
    assert_ok(&enable);
    assert_true(both_agents_are("0 50 runs"));
    agent = rig_liar(agent_port, "ready\n", 6);
}

/* ---- who else sends there
 * --------------------------------------------------------------------------------- */

static void other_backends_of_the_same_address_are_found(void **state)
{
    (void)state;
    auto_call struct call observe, survey, quiet;
    char address[128], fact[256];
    snprintf(address, sizeof address, "tcp://127.0.0.1:%d 127.0.0.1:%d", port_a, app_port);
    RUN(&observe, "haproxy.observe", BOTH("web1"));
    assert_says(rig_fact(&observe, "lb.at"), address);
    snprintf(fact, sizeof fact, "lb.at.%s", address);
    RUN(&survey, "haproxy.survey", {"sockets", socks}, {"backend", "web"});
    assert_ok(&survey);
    assert_non_null(rig_fact(&survey, fact));
    assert_says(rig_fact(&survey, fact), "other/web1");
    assert_says(rig_fact(&survey, fact), "web/web1");
    assert_null(strstr(rig_fact(&survey, fact), "idle"));
    rig_talk(port_a, "set server agents/web2 state maint\n");
    RUN(&quiet, "haproxy.survey", {"sockets", socks}, {"backend", "web"}, {"ignore_backends", "[\"other\"]"});
    assert_null(strstr(rig_fact(&quiet, fact), "other/"));
    assert_null(strstr(rig_fact(&quiet, fact), "agents/"));
}

/* ---- sockets that are none
 * --------------------------------------------------------------------------------- */

/* Not "no answer before the step's deadline": which balancer, what it did, what it may be. */
static void a_socket_that_is_used_up_is_named(void **state)
{
    (void)state;
    auto_call struct call observe, relayed;
    int port = port_pick(), fds[4];
    char list[256], cfg[160];
    snprintf(cfg, sizeof cfg, "%s", rig_path("full.cfg"));
    rig_write(cfg,
              "global\n  stats socket ipv4@127.0.0.1:%d level admin\n  stats socket %s.sock level admin\n"
              "  stats maxconn 2\n  stats timeout 60s\ndefaults\n  timeout connect 1s\n  timeout client 1s\n"
              "  timeout server 1s\nbackend web\n  server web1 127.0.0.1:1\n",
              port, cfg);
    pid_t full = rig_spawn((const char *const[]){"haproxy", "-db", "-f", cfg, NULL});
    rig_until(rig_port_open(port));
    for (int i = 0; i < 4; i++)
        fds[i] = rig_connect(port);
    rig_deadline_ms = 1500;
    snprintf(list, sizeof list, "[\"tcp://127.0.0.1:%d\"]", port);
    RUN(&observe, "haproxy.observe", ON(list, "web1"));
    assert_int_equal(observe.r->outcome, OUT_UNKNOWN);
    assert_says(observe.r->err.text, "tcp://127.0.0.1:");
    assert_says(observe.r->err.text, "stats maxconn");
    rig_deadline_ms = 8000;
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    rig_stop(&full, SIGKILL);
    snprintf(list, sizeof list, "[\"unix://%s.sock@127.0.0.1\"]", cfg); /* nobody listens there any more */
    RUN(&relayed, "haproxy.observe", ON(list, "web1"));
    assert_int_equal(relayed.r->outcome, OUT_UNKNOWN);
    assert_says(relayed.r->err.text, "full.cfg.sock: Connection refused");
    assert_null(strstr(relayed.r->err.text, "Traceback"));
}

static void the_masters_socket_is_not_a_workers(void **state)
{
    (void)state;
    char cfg[160], sock[200], list[256];
    snprintf(cfg, sizeof cfg, "%s", rig_path("b.cfg"));
    snprintf(sock, sizeof sock, "%s", rig_path("master.sock"));
    rig_stop(&proxy_b, SIGKILL);
    master = rig_spawn((const char *const[]){"haproxy", "-W", "-f", cfg, "-S", sock, NULL});
    rig_until(all_up(port_b) && rig_master_answers(sock));
    for (size_t i = 0; i < 2; i++) {
        auto_call struct call observe;
        snprintf(list, sizeof list, i == 0 ? "[\"unix://%s\"]" : "[\"unix://%s@127.0.0.1\"]", sock);
        rig_deadline_ms = 12000;
        RUN(&observe, "haproxy.observe", ON(list, "web1"));
        assert_says(observe.r->err.text, "master.sock");
        assert_says(observe.r->err.text, "haproxy -S");
        assert_int_equal(observe.r->outcome, OUT_FAILED);
    }
    rig_deadline_ms = 8000;
}

/* ---- weight ramp, fleet, sockets
 * --------------------------------------------------------------------------------- */

static void a_ramp_returns_by_shares(void **state)
{
    (void)state;
    auto_call struct call before, drain, enable, bad, slow;
    RUN(&before, "haproxy.observe", BOTH("web2"));
    RUN(&drain, "haproxy.drain", BOTH("web2"));
    RUN(&bad, "haproxy.enable", BOTH("web2"), {"weight_ramp", "[\"10\"]"});
    assert_int_equal(bad.r->outcome, OUT_FAILED);
    RUN(&slow, "haproxy.enable", BOTH("web2"), {"weight_ramp", "[\"10%\"]"}, {"ramp_step", "1h"});
    assert_int_equal(slow.r->outcome, OUT_FAILED);
    assert_true(both_are("web2", "2 8 70"));
    RUN(&enable, "haproxy.enable", BOTH("web2"), {"weight_ramp", "[\"10%\",\"50%\",\"100%\"]"},
        {"ramp_step", "50ms"});
    assert_ok(&enable);
    assert_says(enable.said, "at 10 %");
    assert_says(enable.said, "at 50 %");
    assert_true(both_are("web2", "2 0 70"));
}

static void capacity_counts_who_serves_on_every_balancer(void **state)
{
    (void)state;
    auto_call struct call all, two, crossed, unknown, weightless;
    rig_talk(port_b, "set server web/web3 state drain\n");
    RUN(&all, "haproxy.capacity", {"sockets", socks}, {"backend", "web"},
        {"servers", "[\"web1\",\"web2\",\"web3\"]"});
    assert_ok(&all);
    assert_int_equal(all.r->gauge, 2);
    RUN(&two, "haproxy.capacity", {"sockets", socks}, {"backend", "web"}, {"servers", "[\"web1\",\"web2\"]"});
    assert_int_equal(two.r->gauge, 2);
    rig_talk(port_a,
             "set server web/web2 state drain\n"); /* another one on each: of three, one serves on both */
    RUN(&crossed, "haproxy.capacity", {"sockets", socks}, {"backend", "web"},
        {"servers", "[\"web1\",\"web2\",\"web3\"]"});
    assert_int_equal(crossed.r->gauge, 1);
    assert_string_equal(rig_fact(&crossed, "lb.serving"), "100");
    rig_talk(port_a, "set server web/web2 state ready\n");
    rig_talk(port_a, "set server web/web1 weight 0\n");
    RUN(&weightless, "haproxy.capacity", {"sockets", socks}, {"backend", "web"},
        {"servers", "[\"web1\",\"web2\"]"});
    assert_int_equal(weightless.r->gauge, 1);
    RUN(&unknown, "haproxy.capacity", {"sockets", socks}, {"backend", "web"}, {"servers", "[\"web7\"]"});
    assert_int_equal(unknown.r->outcome, OUT_FAILED);
    assert_says(unknown.r->err.text, "\"web7\"");
}

static void show_tells_every_server_of_every_balancer(void **state)
{
    (void)state;
    auto_call struct call show;
    char name[128];
    RUN(&show, "haproxy.show", {"sockets", socks}, {"backend", "web"});
    assert_ok(&show);
    snprintf(name, sizeof name, "lb.%s.web2", sock_b);
    assert_non_null(rig_fact(&show, name));
    assert_says(
        rig_fact(&show, name),
        "\"server\":\"web2\",\"state\":\"UP\",\"admin\":\"ready\",\"sessions\":0,\"queued\":0,\"weight\":70");
}

static void unix_sockets_here_and_on_the_balancers_host(void **state)
{
    (void)state;
    auto_call struct call drain, gone;
    char list[256];
    snprintf(list, sizeof list, "[\"unix://%s/a.cfg.sock\",\"unix://%s/b.cfg.sock@127.0.0.1\"]", rig_dir,
             rig_dir);
    RUN(&drain, "haproxy.drain", ON(list, "web1"));
    assert_ok(&drain);
    assert_true(both_are("web1", "2 8 50"));
    snprintf(list, sizeof list, "[\"unix://%s/nosuch.sock@127.0.0.1\"]", rig_dir);
    RUN(&gone, "haproxy.drain", ON(list, "web2"));
    assert_int_equal(gone.r->outcome, OUT_UNKNOWN); /* asked again: it may be starting anew */
    assert_says(gone.r->err.text, "no such socket");
}

#define T(f) cmocka_unit_test_setup_teardown(f, each_setup, each_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(drain_and_enable_give_back_state_and_weight),
        T(observing_our_own_drain_does_not_change_what_was_before),
        T(a_server_in_maintenance_before_stays_so),
        T(maintenance_set_by_hand_meanwhile_stays),
        T(our_own_maintenance_is_given_back),
        T(a_debt_of_an_earlier_version_is_paid),
        T(a_server_stands_in_two_backends),
        T(balancers_that_disagree_are_told),
        T(a_refusal_gives_the_other_balancer_back),
        T(unknown_names_are_refused_by_name),
        T(a_dead_balancer_is_not_an_answer),
        T(a_lying_balancer_is_not_success),
        T(wait_idle_waits_for_requests_and_queue),
        T(kill_ends_what_drain_and_maint_leave),
        T(a_reload_that_forgot_the_drain_is_noticed),
        T(down_is_not_drained),
        T(a_server_that_starts_slowly_is_up),
        T(a_server_without_weight_is_up_without_it),
        T(an_agent_check_is_held_off_while_the_node_is_out),
        T(an_agent_check_that_runs_again_is_a_lost_drain),
        T(other_backends_of_the_same_address_are_found),
        T(a_socket_that_is_used_up_is_named),
        T(the_masters_socket_is_not_a_workers),
        T(a_ramp_returns_by_shares),
        T(capacity_counts_who_serves_on_every_balancer),
        T(show_tells_every_server_of_every_balancer),
        T(unix_sockets_here_and_on_the_balancers_host),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
