/* SPDX-License-Identifier: MIT */
/* The varnish verbs on a real varnishd in front of a small application, and varnish-service on a real HAProxy
 * in front of two varnishds under load. */
#include "unit/lb_rig.h"

static int app_port, app2_port;
static pid_t app, app2;

struct vd {
    pid_t pid;
    int http, admin;
    char name[80], text[64];
};
static struct vd one, two;
static pid_t front, clients;

static void start_varnish(struct vd *v, const char *dir, const char *vcl)
{
    char http[64], admin[64], file[160];
    if (!v->http) {
        v->http = port_pick();
        v->admin = port_pick();
    }
    snprintf(v->name, sizeof v->name, "%s/%s", rig_dir, dir);
    snprintf(v->text, sizeof v->text, "tcp://127.0.0.1:%d", v->admin);
    snprintf(http, sizeof http, "127.0.0.1:%d", v->http);
    snprintf(admin, sizeof admin, "127.0.0.1:%d", v->admin);
    snprintf(file, sizeof file, "%s.vcl", v->name);
    rig_write(file, "%s", vcl);
    v->pid = rig_spawn((const char *const[]){"varnishd", "-F", "-n", v->name, "-a", http, "-T", admin, "-S",
                                             rig_path("secret"), "-f", file, "-p", "thread_pools=1", "-p",
                                             "thread_pool_min=20", "-s", "malloc,16m", NULL});
    rig_until(rig_port_open(v->http));
}

static void stop_varnish(struct vd *v)
{
    rig_stop(&v->pid, SIGTERM);
}

/* The oracle: varnishadm, not our dialog. */
static const char *adm(const struct vd *v, const char *command)
{
    static char out[16384];
    char line[512];
    snprintf(line, sizeof line, "varnishadm -n %s %s 2>&1", v->name, command);
    FILE *p = popen(line, "r");
    assert_non_null(p);
    out[fread(out, 1, sizeof out - 1, p)] = '\0';
    pclose(p);
    return out;
}

static bool admin_health_is(const struct vd *v, const char *backend, const char *wanted)
{
    char key[128];
    snprintf(key, sizeof key, "%s ", backend);
    const char *row = strstr(adm(v, "backend.list '*.*'"), key);
    return row && !strncmp(row + strlen(key) + strspn(row + strlen(key), " "), wanted, strlen(wanted));
}

static const char *two_backends(void)
{
    static char vcl[1500];
    snprintf(
        vcl, sizeof vcl,
        "vcl 4.1;\nimport directors;\n"
        "probe p { .url = \"/\"; .interval = 200ms; .window = 2; .threshold = 1; }\n"
        "backend web1 { .host = \"127.0.0.1\"; .port = \"%d\"; .probe = p; }\n"
        "backend web2 { .host = \"127.0.0.1\"; .port = \"%d\"; .probe = p; }\n"
        "sub vcl_init { new rr = directors.round_robin(); rr.add_backend(web1); rr.add_backend(web2); }\n"
        "sub vcl_recv { if (req.http.x-pin) { set req.backend_hint = web1; } else { set req.backend_hint = "
        "rr.backend(); }\n"
        "  return (pass); }\n",
        app_port, app2_port);
    return vcl;
}

static int group_setup(void **state)
{
    (void)state;
    rig_open();
    app_port = port_pick(), app2_port = port_pick();
    app = rig_app(app_port), app2 = rig_app(app2_port);
    rig_write(rig_path("secret"), "not much of a secret\n");
    chmod(rig_path("secret"), 0600);
    start_varnish(&one, "one", two_backends());
    rig_until(strstr(adm(&one, "backend.list"), "healthy"));
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    /* also what a failed test left: varnishd gives up root, and with it the order to die with us */
    rig_stop(&clients, SIGTERM);
    rig_stop(&front, SIGKILL);
    stop_varnish(&two);
    stop_varnish(&one);
    rig_stop(&app, SIGKILL);
    rig_stop(&app2, SIGKILL);
    rig_forget();
    rig_close();
    return 0;
}

/* Every test begins with both backends in the hands of their probes. */
static int each_setup(void **state)
{
    (void)state;
    rig_forget();
    adm(&one, "vcl.use boot");
    adm(&one, "backend.set_health 'boot.*' auto");
    return 0;
}

/* The secret as a careful reader of the file hands it over, and as one that strips it. */
#define SECRET                                                                                               \
    {                                                                                                        \
        "secret", "not much of a secret\n"                                                                   \
    }
#define STRIPPED                                                                                             \
    {                                                                                                        \
        "secret", "not much of a secret"                                                                     \
    }
#define ON(v, b)                                                                                             \
    {"admin", (v)->text}, SECRET, {"backend", (b)},                                                          \
    {                                                                                                        \
        "stats", (v)->name                                                                                   \
    }

static void drain_and_enable(void **state)
{
    (void)state;
    auto_call struct call before, drain, again, guard, idle, enable, enabled, up;
    RUN(&before, "varnish.observe", ON(&one, "web1"));
    assert_ok(&before);
    assert_false(before.r->ready);
    assert_string_equal(rig_fact(&before, "in_rotation"), "yes");
    assert_says(rig_fact(&before, "lb.before"), "varnish/web1=probe");
    RUN(&drain, "varnish.drain", ON(&one, "web1"));
    assert_ok(&drain);
    assert_true(drain.r->changed);
    assert_true(admin_health_is(&one, "boot.web1", "sick"));
    assert_true(admin_health_is(&one, "boot.web2", "probe"));
    RUN(&again, "varnish.drain", ON(&one, "web1"));
    assert_false(again.r->changed);
    RUN(&guard, "varnish.guard", ON(&one, "web1"));
    assert_true(guard.r->ready);
    RUN(&idle, "varnish.wait_idle", ON(&one, "web1"));
    assert_ok(&idle);
    assert_true(idle.r->ready);
    RUN(&enable, "varnish.enable", ON(&one, "web1"));
    assert_ok(&enable);
    assert_true(admin_health_is(&one, "boot.web1", "probe"));
    RUN(&enabled, "varnish.enabled", ON(&one, "web1"));
    assert_true(enabled.r->ready);
    RUN(&up, "varnish.wait_up", ON(&one, "web1"));
    assert_true(up.r->ready);
}

static void a_backend_sick_before_stays_so(void **state)
{
    (void)state;
    auto_call struct call before, drain, enable, up;
    adm(&one, "backend.set_health boot.web1 sick");
    RUN(&before, "varnish.observe", ON(&one, "web1"));
    RUN(&drain, "varnish.drain", ON(&one, "web1"));
    assert_false(drain.r->changed);
    RUN(&enable, "varnish.enable", ON(&one, "web1"));
    assert_ok(&enable);
    assert_string_equal(rig_fact(&enable, "kept"), "sick");
    assert_true(admin_health_is(&one, "boot.web1", "sick"));
    RUN(&up, "varnish.wait_up", ON(&one, "web1"));
    assert_true(up.r->ready);
}

/* The trap: vcl.use puts the backend back to its probe. */
static void another_vcl_forgets_the_drain(void **state)
{
    (void)state;
    auto_call struct call before, drain, lost, idle, again, enable;
    RUN(&before, "varnish.observe", ON(&one, "web1"));
    RUN(&drain, "varnish.drain", ON(&one, "web1"));
    char load[300];
    snprintf(load, sizeof load, "vcl.load v2 %s.vcl", one.name);
    adm(&one, load);
    adm(&one, "vcl.use v2");
    RUN(&lost, "varnish.guard", ON(&one, "web1"));
    assert_ok(&lost);
    assert_true(lost.r->lost);
    RUN(&idle, "varnish.wait_idle", ON(&one, "web1"));
    assert_true(idle.r->lost);
    assert_false(idle.r->ready);
    RUN(&again, "varnish.drain", ON(&one, "web1"));
    assert_true(again.r->changed);
    assert_true(admin_health_is(&one, "v2.web1", "sick"));
    RUN(&enable, "varnish.enable", ON(&one, "web1"));
    assert_ok(&enable);
    assert_true(admin_health_is(&one, "v2.web1", "probe"));
}

/* A VCL that a label points to gets requests too. */
static void labelled_vcls_are_drained_as_well(void **state)
{
    (void)state;
    auto_call struct call drain;
    adm(&one, "vcl.label shop boot");
    adm(&one, "vcl.inline top '\"vcl 4.1; backend none0 none; sub vcl_recv { return (vcl(shop)); }\"'");
    adm(&one, "vcl.use top");
    RUN(&drain, "varnish.drain", ON(&one, "web1"));
    assert_ok(&drain);
    assert_true(admin_health_is(&one, "boot.web1", "sick"));
    adm(&one, "vcl.use boot");
    adm(&one, "vcl.discard top");
    adm(&one, "vcl.discard shop");
}

static int ask_slow(int port)
{
    static const char req[] = "GET /slow HTTP/1.1\r\nHost: x\r\nx-pin: 1\r\nConnection: close\r\n\r\n";
    int fd = rig_connect(port);
    assert_int_equal(write(fd, req, sizeof req - 1), sizeof req - 1);
    return fd;
}

static void wait_idle_counts_requests(void **state)
{
    (void)state;
    auto_call struct call drain, busy;
    char answer[1000] = "";
    int fd = ask_slow(one.http);
    rig_until(strstr(adm(&one, "backend.list"), "healthy") != NULL);
    rig_until(({
        auto_call struct call c;
        adm(&one, "backend.set_health boot.web1 sick");
        RUN(&c, "varnish.wait_idle", ON(&one, "web1"));
        c.r->outcome == OUT_OK &&c.r->gauge == 1;
    }));
    RUN(&drain, "varnish.drain", ON(&one, "web1"));
    RUN(&busy, "varnish.wait_idle", ON(&one, "web1"));
    assert_ok(&busy);
    assert_false(busy.r->ready);
    rig_until(({
        auto_call struct call c;
        RUN(&c, "varnish.wait_idle", ON(&one, "web1"));
        c.r->outcome == OUT_OK &&c.r->ready;
    }));
    assert_true(read(fd, answer, sizeof answer - 1) > 0);
    assert_says(answer, "200 OK");
    close(fd);
}

static void connections_can_be_counted_on_the_node(void **state)
{
    (void)state;
    auto_call struct call drain, busy;
    char port[16];
    snprintf(port, sizeof port, "%d", app2_port);
    const struct op_pair vars[] = {{"port", port}};
    rig_vars = vars, rig_n_vars = 1;
    int fd = rig_connect(app2_port);
    RUN(&drain, "varnish.drain", ON(&one, "web2"));
    RUN(&busy, "varnish.wait_idle", ON(&one, "web2"), {"idle", "node"});
    rig_vars = NULL, rig_n_vars = 0;
    assert_ok(&busy);
    assert_false(busy.r->ready);
    assert_true(busy.r->gauge >= 1);
    close(fd);
}

/* Its client has said all, and still reads. */
static void half_closed_ones_are_counted_on_the_node(void **state)
{
    (void)state;
    auto_call struct call drain, busy;
    int port = port_pick(), at = rig_listen(port), fd = rig_connect(port);
    char text[16];
    snprintf(text, sizeof text, "%d", port);
    const struct op_pair vars[] = {{"port", text}};
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    RUN(&drain, "varnish.drain", ON(&one, "web2"));
    rig_vars = vars, rig_n_vars = 1;
    RUN(&busy, "varnish.wait_idle", ON(&one, "web2"), {"idle", "node"});
    rig_vars = NULL, rig_n_vars = 0;
    assert_ok(&busy);
    assert_int_equal(busy.r->gauge, 1);
    close(fd);
    close(at);
}

static void capacity_show_and_names(void **state)
{
    (void)state;
    auto_call struct call all, unknown, drain, glob, show;
    char key[128];
    adm(&one, "backend.set_health boot.web2 sick");
    RUN(&all, "varnish.capacity", {"admin", one.text}, SECRET, {"servers", "[\"web1\",\"web2\"]"});
    assert_ok(&all);
    assert_int_equal(all.r->gauge, 1);
    RUN(&unknown, "varnish.capacity", {"admin", one.text}, SECRET, {"servers", "[\"web9\"]"});
    assert_int_equal(unknown.r->outcome, OUT_FAILED);
    RUN(&drain, "varnish.drain", ON(&one, "web9"));
    assert_int_equal(drain.r->outcome, OUT_FAILED);
    assert_says(drain.r->err.text, "it has web1, web2");
    RUN(&glob, "varnish.drain", ON(&one, "web*"));
    assert_int_equal(glob.r->outcome, OUT_FAILED);
    assert_true(admin_health_is(&one, "boot.web1", "probe"));
    RUN(&show, "varnish.show", {"admin", one.text}, SECRET);
    snprintf(key, sizeof key, "lb.%s.boot/web2", one.text);
    assert_says(rig_fact(&show, key), "\"admin\":\"sick\",\"serving\":false");
}

/* With very many backends; half of a list is none. */
static void an_answer_that_is_cut_is_not_believed(void **state)
{
    (void)state;
    auto_call struct call cut, whole;
    adm(&one, "param.set cli_limit 128b");
    RUN(&cut, "varnish.observe", ON(&one, "web1"));
    adm(&one, "param.set cli_limit 64k");
    assert_int_equal(cut.r->outcome, OUT_FAILED);
    assert_says(cut.r->err.text, "Varnish cut its answer at 12");
    assert_says(cut.r->err.text, "param.set cli_limit 8m");
    RUN(&whole, "varnish.observe", ON(&one, "web1"));
    assert_ok(&whole);
}

static void logins(void **state)
{
    (void)state;
    auto_call struct call stripped, wrong, none, liar;
    RUN(&stripped, "varnish.observe", {"admin", one.text}, STRIPPED, {"backend", "web1"});
    assert_ok(&stripped);
    RUN(&wrong, "varnish.drain", {"admin", one.text}, {"secret", "guess"}, {"backend", "web1"});
    assert_int_equal(wrong.r->outcome, OUT_FAILED);
    assert_int_equal(wrong.r->err.code, E_AUTH);
    assert_null(strstr(wrong.r->err.text, "guess"));
    RUN(&none, "varnish.drain", {"admin", one.text}, {"backend", "web1"});
    assert_int_equal(none.r->err.code, E_AUTH);
    int port = port_pick();
    char text[64];
    pid_t pid = rig_liar(port, "200 99999999\nx", 14);
    snprintf(text, sizeof text, "tcp://127.0.0.1:%d", port);
    RUN(&liar, "varnish.drain", {"admin", text}, SECRET, {"backend", "web1"});
    assert_int_equal(liar.r->outcome, OUT_UNKNOWN);
    assert_int_equal(liar.r->err.code, E_PROTO);
    rig_stop(&pid, SIGKILL);
}

static void ban_is_seen_afterwards(void **state)
{
    (void)state;
    auto_call struct call none, ban, seen, bad;
    RUN(&none, "varnish.banned", {"admin", one.text}, SECRET, {"ban", "req.url ~ ^/news"});
    assert_ok(&none);
    assert_false(none.r->ready);
    RUN(&ban, "varnish.ban", {"admin", one.text}, SECRET, {"ban", "req.url ~ ^/news"});
    assert_ok(&ban);
    RUN(&seen, "varnish.banned", {"admin", one.text}, SECRET, {"ban", "req.url ~ ^/news"});
    assert_true(seen.r->ready);
    RUN(&bad, "varnish.ban", {"admin", one.text}, SECRET, {"ban", "nonsense"});
    assert_int_equal(bad.r->outcome, OUT_FAILED);
}

/* ---- varnish-service
 * ------------------------------------------------------------------------------------------- */

static int proxy_admin, proxy_front;

static const char *behind(void)
{
    static char vcl[600];
    snprintf(vcl, sizeof vcl,
             "vcl 4.1;\nbackend app { .host = \"127.0.0.1\"; .port = \"%d\"; .max_connections = 500; }\n"
             "sub vcl_recv { return (pass); }\n"
             "sub vcl_synth { set resp.status = 200; return (deliver); }\n",
             app_port);
    return vcl;
}

static bool both_up(void)
{
    const char *text = rig_talk(proxy_admin, "show stat web 4 -1\n");
    const char *up = strstr(text, ",UP,");
    return up && strstr(up + 1, ",UP,");
}

static pid_t start_front(void)
{
    proxy_admin = port_pick(), proxy_front = port_pick();
    rig_write(
        rig_path("front.cfg"),
        "global\n  stats socket ipv4@127.0.0.1:%d level admin\n"
        "defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n  timeout "
        "check 3s\n  retries 0\n"
        "listen web\n  bind 127.0.0.1:%d\n  option httpchk GET /health\n  default-server inter 100 fall 2 "
        "rise 2\n"
        "  server v1 127.0.0.1:%d check\n  server v2 127.0.0.1:%d check\n"
        "backend blind\n  server v2 127.0.0.1:%d check inter 100\n"
        "backend none\n  server v2 127.0.0.1:%d\n",
        proxy_admin, proxy_front, one.http, two.http, two.http, two.http);
    pid_t pid = rig_spawn((const char *const[]){"haproxy", "-db", "-f", rig_path("front.cfg"), NULL});
    rig_until(both_up());
    return pid;
}

/* Twenty clients, one request after the other, most of them slow, until told to stop. Exit status: how many
 * were not a whole 200, at most 250; 255: fewer than 20 requests, so the test says nothing. */
static pid_t load(int port)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int bad[2], status;
    if (pipe(bad) < 0)
        _exit(255);
    pid_t kids[20];
    for (int i = 0; i < 20; i++) {
        if ((kids[i] = fork()) > 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            const char *got =
                rig_talk(port, i % 4 ? "GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                                     : "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            bool fine = str_starts(got, "HTTP/1.1 200") && strstr(got, "fine, ok\n");
            if (!fine)
                rig_write(rig_path("lost"), "%.200s", *got ? got : "no answer");
            if (write(bad[1], fine ? "." : "x", 1) != 1)
                _exit(0);
        }
    }
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    sigwait(&term, &status);
    for (int i = 0; i < 20; i++) {
        kill(kids[i], SIGKILL);
        waitpid(kids[i], NULL, 0);
    }
    close(bad[1]);
    int lost = 0, all = 0;
    char c;
    while (read(bad[0], &c, 1) == 1)
        all++, lost += c == 'x';
    _exit(all < 20 ? 255 : lost > 250 ? 250 : lost);
}

/* One of the answers that were not as wanted, for the message. */
static const char *one_lost(void)
{
    static char text[300];
    FILE *f = fopen(rig_path("lost"), "r");
    text[0] = '\0';
    if (f) {
        text[fread(text, 1, sizeof text - 1, f)] = '\0';
        fclose(f);
    }
    return text;
}

static int load_end(pid_t *pid)
{
    int status;
    kill(*pid, SIGTERM);
    assert_int_equal(waitpid(*pid, &status, 0), *pid);
    *pid = 0;
    return WEXITSTATUS(status);
}

#define LEAVING {"sockets", sockets}, {"backend", "web"}, {"server", "v2"}, {"admin", two.text}, SECRET

static void a_service_leaves_without_losing_a_request(void **state)
{
    (void)state;
    auto_call struct call before, drain, again, guard, enable, enabled;
    char sockets[64];
    stop_varnish(&one);
    start_varnish(&one, "one", behind());
    start_varnish(&two, "two", behind());
    front = start_front();
    snprintf(sockets, sizeof sockets, "tcp://127.0.0.1:%d", proxy_admin);
    clients = load(proxy_front);
    RUN(&before, "varnish-service.observe", LEAVING);
    assert_ok(&before);
    assert_false(before.r->ready);
    RUN(&drain, "varnish-service.drain", LEAVING);
    assert_ok(&drain);
    assert_true(drain.r->changed);
    RUN(&again, "varnish-service.drain", LEAVING);
    assert_ok(&again);
    assert_false(again.r->changed);
    rig_until(({
        auto_call struct call c;
        RUN(&c, "varnish-service.wait_idle", LEAVING);
        assert_ok(&c);
        assert_false(c.r->lost);
        c.r->ready;
    }));
    RUN(&guard, "varnish-service.guard", LEAVING);
    assert_true(guard.r->ready);
    /* the node is ours: whatever happens to it now, nobody notices */
    rig_stop(&app2, SIGKILL);
    adm(&two, "stop");
    adm(&two, "start");
    app2 = rig_app(app2_port);
    RUN(&enable, "varnish-service.enable", LEAVING);
    assert_ok(&enable);
    RUN(&enabled, "varnish-service.enabled", LEAVING);
    assert_true(enabled.r->ready);
    rig_until(({
        auto_call struct call c;
        RUN(&c, "varnish-service.wait_up", LEAVING);
        c.r->outcome == OUT_OK &&c.r->ready;
    }));
    int lost = load_end(&clients);
    rig_stop(&front, SIGKILL);
    stop_varnish(&two);
    stop_varnish(&one);
    start_varnish(&one, "one", two_backends());
    if (lost != 0)
        fail_msg("%d requests lost, one of them: %s", lost, one_lost());
}

/* The rig can see what it claims to see: stopping Varnish without leaving first loses requests. */
static void stopping_it_at_once_does_lose_requests(void **state)
{
    (void)state;
    stop_varnish(&one);
    start_varnish(&one, "one", behind());
    start_varnish(&two, "two", behind());
    front = start_front();
    clients = load(proxy_front);
    rig_until(strstr(rig_talk(proxy_admin, "show stat web 4 -1\n"), "web,v2,0,0,7,") ||
              strstr(rig_talk(proxy_admin, "show stat web 4 -1\n"), "web,v2,0,0,8,"));
    adm(&two, "stop");
    int lost = load_end(&clients);
    rig_stop(&front, SIGKILL);
    stop_varnish(&two);
    stop_varnish(&one);
    start_varnish(&one, "one", two_backends());
    assert_int_not_equal(lost, 0);
    assert_int_not_equal(lost, 255);
}

static void a_vcl_switched_back_by_hand_is_noticed(void **state)
{
    (void)state;
    auto_call struct call drain, lost, enable;
    char sockets[64];
    start_varnish(&two, "two", behind());
    front = start_front();
    snprintf(sockets, sizeof sockets, "tcp://127.0.0.1:%d", proxy_admin);
    RUN(&drain, "varnish-service.drain", LEAVING);
    assert_ok(&drain);
    adm(&two, "vcl.use boot");
    RUN(&lost, "varnish-service.wait_idle", LEAVING);
    assert_ok(&lost);
    assert_true(lost.r->lost || lost.r->ready == false);
    rig_until(({
        auto_call struct call c;
        RUN(&c, "varnish-service.wait_idle", LEAVING);
        c.r->outcome == OUT_OK &&c.r->lost;
    }));
    RUN(&enable, "varnish-service.enable", LEAVING);
    assert_ok(&enable);
    assert_false(enable.r->changed);
    rig_stop(&front, SIGKILL);
    stop_varnish(&two);
}

/* Varnish two behind a HAProxy that knows it in three backends; the place of its runtime API. */
static const char *service_up(void)
{
    static char sockets[64];
    start_varnish(&two, "two", behind());
    front = start_front();
    snprintf(sockets, sizeof sockets, "tcp://127.0.0.1:%d", proxy_admin);
    return sockets;
}

static void service_down(void)
{
    rig_stop(&front, SIGKILL);
    stop_varnish(&two);
}

static bool runs_own_vcl(void)
{
    char list[16384 + 2];
    snprintf(list, sizeof list, "\n%s", adm(&two, "vcl.list"));
    char *active = strstr(list, "\nactive ");
    assert_non_null(active);
    active[1 + strcspn(active + 1, "\n")] = '\0';
    return strstr(active, " boot") != NULL;
}

#define UNTIL_READY(verb, ...)                                                                               \
    rig_until(({                                                                                             \
        auto_call struct call c;                                                                             \
        RUN(&c, verb, __VA_ARGS__);                                                                          \
        assert_ok(&c);                                                                                       \
        assert_false(c.r->lost);                                                                             \
        c.r->ready;                                                                                          \
    }))

/* Nobody but the balancers can say whether a command did it: that is waited for, and not taken for a lost drain. */
static void two_commands_instead_of_the_vcl(void **state)
{
    (void)state;
    auto_call struct call before, drain, broken, again, enable;
    const char *sockets = service_up();
    char down[300], up[300];
    rig_write(rig_path("gone.vcl"), "vcl 4.1;\nbackend none none;\nsub vcl_recv { return (synth(503)); }\n");
    snprintf(down, sizeof down, "vcl.load gone %s", rig_path("gone.vcl"));
    adm(&two, down);
    snprintf(down, sizeof down, "varnishadm -n '%s' vcl.use gone && echo 'it'\\''s' >> '%s/flag'", two.name,
             rig_dir);
    snprintf(up, sizeof up, "varnishadm -n '%s' vcl.use boot", two.name);
#define COMMANDS {"down_cmd", down}, {"up_cmd", up}
    RUN(&before, "varnish-service.observe", LEAVING, COMMANDS);
    assert_ok(&before);
    assert_false(before.r->ready);
    RUN(&broken, "varnish-service.drain", LEAVING, {"down_cmd", "exit 3"}, {"up_cmd", "true"});
    assert_int_equal(broken.r->outcome, OUT_FAILED);
    assert_says(broken.r->err.text, "down_cmd ended with status 3");
    RUN(&drain, "varnish-service.drain", LEAVING, COMMANDS);
    assert_ok(&drain);
    UNTIL_READY("varnish-service.observe", LEAVING, COMMANDS);
    UNTIL_READY("varnish-service.wait_idle", LEAVING, COMMANDS);
    adm(&two, "vcl.use boot"); /* somebody's hand */
    rig_until(({
        auto_call struct call c;
        RUN(&c, "varnish-service.guard", LEAVING, COMMANDS);
        c.r->outcome == OUT_OK &&c.r->lost;
    }));
    RUN(&again, "varnish-service.drain", LEAVING,
        COMMANDS); /* the same step of the same release: told anew */
    assert_ok(&again);
    UNTIL_READY("varnish-service.observe", LEAVING, COMMANDS);
    RUN(&enable, "varnish-service.enable", LEAVING, COMMANDS);
    assert_ok(&enable);
    assert_true(runs_own_vcl());
    UNTIL_READY("varnish-service.enabled", LEAVING, COMMANDS);
    UNTIL_READY("varnish-service.wait_up", LEAVING, COMMANDS);
    service_down();
}

/* Maintenance at a balancer is an operator's: it stays, and the node leaves no more all the same. */
static void maintenance_of_a_service_stays(void **state)
{
    (void)state;
    auto_call struct call drain, enable, before, nothing, kept;
    const char *sockets = service_up();
    RUN(&drain, "varnish-service.drain", LEAVING);
    assert_ok(&drain);
    assert_false(runs_own_vcl());
    rig_talk(proxy_admin, "set server web/v2 state maint\n");
    RUN(&enable, "varnish-service.enable", LEAVING);
    assert_ok(&enable);
    assert_string_equal(rig_fact(&enable, "kept"), "maint");
    assert_true(runs_own_vcl());
    UNTIL_READY("varnish-service.enabled", LEAVING);
    UNTIL_READY("varnish-service.wait_up", LEAVING);
    rig_forget(); /* the next release finds it so */
    RUN(&before, "varnish-service.observe", LEAVING);
    assert_ok(&before);
    assert_says(rig_fact(&before, "lb.before"), "web/v2=maint");
    RUN(&nothing, "varnish-service.drain", LEAVING);
    assert_ok(&nothing);
    assert_false(nothing.r->changed);
    assert_true(runs_own_vcl());
    RUN(&kept, "varnish-service.enable", LEAVING);
    assert_ok(&kept);
    assert_string_equal(rig_fact(&kept, "kept"), "maint");
    assert_says(rig_state(proxy_admin, "v2"), " 1 ");
    service_down();
}

/* What an operator or a later step does to the node meanwhile, and what an older version wrote down. */
static void a_service_whose_varnish_is_gone(void **state)
{
    (void)state;
    auto_call struct call drain, guard, unknown, enable;
    const char *sockets = service_up();
    char before[160];
    snprintf(before, sizeof before, "%s web/v2=ready,w1,agent", sockets);
    rig_remember(&(struct op_pair){"lb.before", before});
    RUN(&drain, "varnish-service.drain", LEAVING);
    assert_ok(&drain);
    UNTIL_READY("varnish-service.wait_idle", LEAVING);
    stop_varnish(&two);
    RUN(&guard, "varnish-service.guard", LEAVING);
    assert_ok(&guard);
    assert_true(guard.r->ready && !guard.r->lost);
    /* asked again until the step's deadline: a Varnish that is not there says nothing about the node */
    RUN(&unknown, "varnish-service.enable", LEAVING);
    assert_int_equal(unknown.r->outcome, OUT_UNKNOWN);
    start_varnish(&two, "two", behind());
    RUN(&enable, "varnish-service.enable", LEAVING);
    assert_ok(&enable);
    UNTIL_READY("varnish-service.enabled", LEAVING);
    UNTIL_READY("varnish-service.wait_up", LEAVING);
    stop_varnish(&two);
    rig_forget();
    rig_until(!both_up());
    auto_call struct call late;
    RUN(&late, "varnish-service.drain", LEAVING);
    assert_int_equal(late.r->outcome, OUT_UNKNOWN);
    service_down();
}

/* What a release would stumble over is said by the first look. */
static void a_service_that_cannot_leave_is_told_before(void **state)
{
    (void)state;
    auto_call struct call labels, blind, none, survey, capacity;
    const char *sockets = service_up();
    char shared[120];
#define IN(pool) {"sockets", sockets}, {"backend", pool}, {"server", "v2"}, {"admin", two.text}, SECRET
    rig_until(strstr(rig_talk(proxy_admin, "show stat blind 4 -1\n"), "L4OK"));
    RUN(&blind, "varnish-service.observe", IN("blind"));
    assert_int_equal(blind.r->outcome, OUT_FAILED);
    assert_says(blind.r->err.text,
                "blind/v2: its checks (L4OK) never see the node leave; wanted HTTP checks of /health");
    RUN(&none, "varnish-service.observe", IN("none"));
    assert_int_equal(none.r->outcome, OUT_FAILED);
    assert_says(none.r->err.text, "none/v2: its checks (none) never see the node leave");
    RUN(&survey, "varnish-service.survey", {"sockets", sockets}, {"backend", "web"});
    assert_ok(&survey);
    snprintf(shared, sizeof shared, "lb.at.%s 127.0.0.1:%d", sockets, two.http);
    assert_non_null(rig_fact(&survey, shared));
    assert_says(rig_fact(&survey, shared), "blind/v2");
    RUN(&capacity, "varnish-service.capacity", {"sockets", sockets}, {"backend", "web"},
        {"servers", "[\"v1\",\"v2\"]"});
    assert_ok(&capacity);
    assert_int_equal(capacity.r->gauge, 2);
    adm(&two, "vcl.label mine boot");
    RUN(&labels, "varnish-service.observe", LEAVING);
    assert_int_equal(labels.r->outcome, OUT_FAILED);
    assert_says(labels.r->err.text, "uses VCL labels");
    service_down();
}

#define T(f) cmocka_unit_test_setup(f, each_setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(drain_and_enable),
        T(a_backend_sick_before_stays_so),
        T(another_vcl_forgets_the_drain),
        T(labelled_vcls_are_drained_as_well),
        T(wait_idle_counts_requests),
        T(connections_can_be_counted_on_the_node),
        T(half_closed_ones_are_counted_on_the_node),
        T(capacity_show_and_names),
        T(an_answer_that_is_cut_is_not_believed),
        T(logins),
        T(ban_is_seen_afterwards),
        T(a_vcl_switched_back_by_hand_is_noticed),
        T(two_commands_instead_of_the_vcl),
        T(maintenance_of_a_service_stays),
        T(a_service_whose_varnish_is_gone),
        T(a_service_that_cannot_leave_is_told_before),
        T(a_service_leaves_without_losing_a_request),
        T(stopping_it_at_once_does_lose_requests),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
