/* SPDX-License-Identifier: MIT */
/* The apache verbs on a real Apache on this machine, in front of a small application. */
#include "unit/lb_rig.h"

static int app_port, front_port, manager_port, canonical_port, other_port;
static pid_t app, apache, other;
static char conf[160], manager[100], canonical[100], other_manager[100], dead_name[40], app_name[40];
static const char *const secrets[] = {"s3cret-AP", NULL};

static const char *const modules[] = {
    "mpm_event", "authn_core", "authn_file",  "authz_core",     "authz_user",         "auth_basic",
    "proxy",     "proxy_http", "slotmem_shm", "proxy_balancer", "lbmethod_byrequests"};
#define AT_MANAGER                                                                                           \
    " <Location /balancer-manager>\n  SetHandler balancer-manager\n  AuthType Basic\n  AuthName x\n"         \
    "  AuthUserFile %s\n  Require valid-user\n </Location>\n"

/* app1 has a route, the others go by their address; [::1]:10 is out before any release. */
static void write_conf(void)
{
    const char *passwords = rig_path("passwords");
    auto_buf struct buf load = BUF_INIT(4096);
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        buf_printf(&load, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", modules[i],
                   modules[i]);
    rig_write(conf,
              "ServerRoot %s\nDefaultRuntimeDir %s\nServerName edge.example.org\nPidFile %s/pid\n"
              "ErrorLog %s/error.log\n%sListen 127.0.0.1:%d\nListen 127.0.0.1:%d\nListen 127.0.0.1:%d\n%s"
              "ServerLimit 4\nThreadsPerChild 8\nMaxRequestWorkers 16\nStartServers 1\nMinSpareThreads 2\n"
              "<Proxy balancer://shop>\n BalancerMember http://%s route=app1 upgrade=websocket loadfactor=7\n"
              " BalancerMember http://%s\n BalancerMember http://[::1]:10 status=+D\n"
              " ProxySet stickysession=SRV\n</Proxy>\n"
              "<Proxy balancer://api>\n BalancerMember http://%s\n</Proxy>\n"
              "<Proxy balancer://mute>\n BalancerMember http://127.0.0.1:9\n ProxySet nonce=None\n</Proxy>\n"
              "<VirtualHost 127.0.0.1:%d>\n ProxyPass / balancer://shop/\n</VirtualHost>\n"
              "<VirtualHost 127.0.0.1:%d>\n" AT_MANAGER "</VirtualHost>\n"
              "<VirtualHost 127.0.0.1:%d>\n UseCanonicalName On\n" AT_MANAGER "</VirtualHost>\n",
              rig_dir, rig_dir, rig_dir, rig_dir, getuid() == 0 ? "User nobody\nGroup nogroup\n" : "",
              front_port, manager_port, canonical_port, buf_str(&load), app_name, dead_name, app_name,
              front_port, manager_port, passwords, canonical_port, passwords);
}

/* The manager's list, asked without the driver's code; the text behind `from`, up to the next tag. */
static const char *listed(const char *from, const char *tag)
{
    static char out[100], request[400];
    snprintf(request, sizeof request,
             "GET /balancer-manager?xml=1 HTTP/1.0\r\nHost: 127.0.0.1\r\nReferer: http://127.0.0.1/\r\n"
             "Authorization: Basic cmVsZWFzZTpzM2NyZXQtQVA=\r\n\r\n");
    const char *at = strstr(rig_talk(manager_port, request), from);
    at = at ? strstr(at, tag) : NULL;
    if (!at || sscanf(at + strlen(tag), "%99[^<]", out) != 1)
        strcpy(out, "none");
    return out;
}

static bool app_is(const char *flags)
{
    return !strcmp(listed(app_name, "<httpd:status>"), flags);
}

/* As `apachectl graceful`: what the manager was told is forgotten, each balancer has another nonce. */
static void reload(void)
{
    char before[100];
    snprintf(before, sizeof before, "%s", listed("balancer://shop", "<httpd:nonce>"));
    kill(apache, SIGUSR1);
    rig_until(strcmp(listed("balancer://shop", "<httpd:nonce>"), before) != 0 &&
              strcmp(listed("balancer://shop", "<httpd:nonce>"), "none") != 0);
}

static int each_setup(void **state)
{
    (void)state;
    rig_forget();
    reload();
    return 0;
}

static int group_setup(void **state)
{
    (void)state;
    rig_open();
    rig_secrets = secrets;
    app_port = port_pick();
    front_port = port_pick();
    manager_port = port_pick();
    canonical_port = port_pick();
    other_port = port_pick();
    snprintf(conf, sizeof conf, "%s/httpd.conf", rig_dir);
    snprintf(app_name, sizeof app_name, "127.0.0.1:%d", app_port);
    snprintf(dead_name, sizeof dead_name, "127.0.0.1:%d", port_pick());
    snprintf(manager, sizeof manager, "[\"http://127.0.0.1:%d/balancer-manager\"]", manager_port);
    snprintf(canonical, sizeof canonical, "[\"http://127.0.0.1:%d/balancer-manager\"]", canonical_port);
    snprintf(other_manager, sizeof other_manager, "[\"http://127.0.0.1:%d/balancer-manager\"]", other_port);
    rig_write(rig_path("passwords"), "release:{SHA}SpstxWsH02gsJbDSZFyzsuFLsj8=\n"); /* s3cret-AP */
    chmod(rig_path("passwords"), 0644);
    write_conf();
    app = rig_app(app_port);
    apache = rig_spawn((const char *const[]){"apache2", "-f", conf, "-DFOREGROUND", NULL});
    rig_until(rig_port_open(manager_port) && app_is("Init Ok "));
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    rig_forget();
    rig_stop(&apache, SIGTERM);
    rig_stop(&app, SIGTERM);
    rig_close();
    return 0;
}

#define LIKE(where, pool)                                                                                    \
    {"manager", (where)}, {"user", "release"}, {"password", "s3cret-AP"},                                    \
    {                                                                                                        \
        "balancer", (pool)                                                                                   \
    }
#define FLEET LIKE(manager, "[\"shop\"]")
#define NODE(name)                                                                                           \
    FLEET, {"idle", "busy"},                                                                                 \
    {                                                                                                        \
        "server", (name)                                                                                     \
    }

static const char *status_of(const char *request)
{
    return rig_talk(front_port, request);
}

#define STICKY "GET / HTTP/1.0\r\nHost: x\r\nCookie: SRV=1.app1\r\n\r\n"

static void what_was_is_given_back(void **state)
{
    (void)state;
    auto_call struct call before, drain, again, observe, guard, enable, enabled, up;
    RUN(&before, "apache.observe", NODE("app1"));
    assert_ok(&before);
    assert_false(before.r->ready);
    assert_says(rig_fact(&before, "lb.before"), " shop/app1=ready");
    assert_string_equal(rig_fact(&before, "in_rotation"), "yes");
    assert_says(rig_fact(&before, "lb.at"), app_name);
    RUN(&drain, "apache.drain", NODE("app1"));
    assert_ok(&drain);
    assert_true(app_is("Init Drn Ok "));
    assert_string_equal(listed(dead_name, "<httpd:status>"), "Init Ok ");
    RUN(&again, "apache.drain", NODE("app1"));
    assert_false(again.r->changed);
    RUN(&observe, "apache.observe", NODE("app1"));
    assert_true(observe.r->ready);
    RUN(&guard, "apache.guard", NODE("app1"));
    assert_true(guard.r->ready);
    RUN(&enable, "apache.enable", NODE("app1"));
    assert_ok(&enable);
    assert_true(app_is("Init Ok "));
    RUN(&enabled, "apache.enabled", NODE("app1"));
    assert_true(enabled.r->ready);
    RUN(&up, "apache.wait_up", NODE("app1"));
    assert_true(up.r->ready);
}

/* Drained, it still gets its sticky clients; disabled it does not. Neither ends what runs. */
static void sticky_clients_and_what_runs(void **state)
{
    (void)state;
    static const char tunnel[] =
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: SRV=1.app1\r\n\r\n";
    auto_call struct call drain, idle, maint, in, over, enable;
    char piece[500];
    int fd = rig_connect(front_port);
    assert_int_equal(write(fd, tunnel, sizeof tunnel - 1), sizeof tunnel - 1);
    assert_true(read(fd, piece, sizeof piece) > 12 && !memcmp(piece, "HTTP/1.1 101", 12));
    RUN(&drain, "apache.drain", NODE("app1"));
    assert_ok(&drain);
    assert_says(status_of(STICKY), "200 OK");
    RUN(&idle, "apache.wait_idle", NODE("app1"));
    assert_ok(&idle);
    assert_true(!idle.r->ready && !idle.r->lost && idle.r->gauge == 1);
    RUN(&maint, "apache.maint", NODE("app1"));
    assert_ok(&maint);
    assert_true(app_is("Init Drn Dis "));
    RUN(&in, "apache.in_maint", NODE("app1"));
    assert_true(in.r->ready);
    assert_says(status_of(STICKY), " 503 ");
    assert_true(write(fd, "still", 5) == 5 && read(fd, piece, sizeof piece) == 5);
    close(fd);
    rig_until(!strcmp(listed(app_name, "<httpd:busy>"), "0"));
    RUN(&over, "apache.wait_idle", NODE("app1"));
    assert_true(over.r->ready);
    assert_string_equal(rig_fact(&over, "sessions"), "0");
    RUN(&enable, "apache.enable", NODE("app1"));
    assert_ok(&enable);
    assert_true(app_is("Init Ok "));
    assert_says(status_of(STICKY), "200 OK");
}

static void a_forgotten_drain_is_noticed(void **state)
{
    (void)state;
    auto_call struct call before, drain, guard, idle, again;
    RUN(&before, "apache.observe", NODE("app1"));
    RUN(&drain, "apache.drain", NODE("app1"));
    assert_ok(&drain);
    reload();
    RUN(&guard, "apache.guard", NODE("app1"));
    assert_true(guard.r->lost && !guard.r->ready);
    assert_says(guard.said, "Apache forgets what its manager was told");
    RUN(&idle, "apache.wait_idle", NODE("app1"));
    assert_true(idle.r->lost && !idle.r->ready);
    RUN(&again, "apache.drain", NODE("app1"));
    assert_ok(&again);
    assert_true(app_is("Init Drn Ok "));
}

static void one_that_was_disabled_stays(void **state)
{
    (void)state;
    auto_call struct call before, drain, enable, up;
    RUN(&before, "apache.observe", NODE("[::1]:10"));
    assert_says(rig_fact(&before, "lb.before"), " shop/[::1]:10=maint");
    assert_true(before.r->ready);
    RUN(&drain, "apache.drain", NODE("[::1]:10"));
    assert_true(drain.r->outcome == OUT_OK && !drain.r->changed);
    RUN(&enable, "apache.enable", NODE("[::1]:10"));
    assert_ok(&enable);
    assert_string_equal(rig_fact(&enable, "kept"), "maint");
    assert_string_equal(listed("http://[::1]:10", "<httpd:status>"), "Init Dis ");
    RUN(&up, "apache.wait_up", NODE("[::1]:10"));
    assert_true(up.r->ready);
}

/* A member goes by its route, or by its address; in several balancers, each is a place. */
static void several_balancers(void **state)
{
    (void)state;
    auto_call struct call drain, enable;
    const struct op_pair both[] = {
        LIKE(manager, "[\"shop\",\"api\"]"), {"idle", "busy"}, {"server", app_name}};
    rig_run(&drain, "apache.drain", both, sizeof both / sizeof *both);
    assert_ok(&drain);
    assert_true(app_is("Init Drn Ok "));
    assert_string_equal(listed("balancer://api", "<httpd:status>"), "Init Drn Ok ");
    rig_run(&enable, "apache.enable", both, sizeof both / sizeof *both);
    assert_ok(&enable);
    assert_string_equal(listed("balancer://api", "<httpd:status>"), "Init Ok ");
}

static void all_members_at_once(void **state)
{
    (void)state;
    auto_call struct call capacity, show, survey, ignored;
    char key[200];
    RUN(&capacity, "apache.capacity", FLEET, {"servers", "[\"app1\",\"[::1]:10\"]"});
    assert_ok(&capacity);
    assert_string_equal(rig_fact(&capacity, "lb.serving"), "10");
    for (int i = 0; i < 3; i++)
        assert_says(status_of(STICKY), "200 OK");
    RUN(&show, "apache.show", FLEET);
    assert_ok(&show);
    snprintf(key, sizeof key, "lb.http://127.0.0.1:%d/balancer-manager.app1", manager_port);
    assert_non_null(rig_fact(&show, key));
    assert_says(rig_fact(&show, key),
                "\"state\":\"Init Ok\",\"admin\":\"ready\",\"sessions\":0,\"weight\":7");
    assert_says(rig_fact(&show, key), "\"requests\":3,\"serving\":true");
    assert_null(strstr(rig_fact(&show, key), "errors"));
    RUN(&survey, "apache.survey", FLEET);
    assert_ok(&survey);
    snprintf(key, sizeof key, "lb.at.http://127.0.0.1:%d/balancer-manager %s", manager_port, app_name);
    assert_non_null(rig_fact(&survey, key));
    assert_says(rig_fact(&survey, key), "api/");
    RUN(&ignored, "apache.survey", FLEET, {"ignore_backends", "[\"api\"]"});
    assert_null(rig_fact(&ignored, key));
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *password, *path, *pool, *server, *says;
    } rows[] = {
        {"wrong-pw-AP", "balancer-manager", "shop", "app1",
         "status 401 to release; check `user:`, `password:`"},
        {"s3cret-AP", "nosuch", "shop", "app1", "answered status 404; wanted balancer-manager there"},
        {"s3cret-AP", "balancer-manager", "nosuch", "app1",
         "no balancer \"nosuch\" with members (it has shop, api, mute;"},
        {"s3cret-AP", "balancer-manager", "mute", "127.0.0.1:9", "\"mute\" is set to nonce=None, with which"},
        {"s3cret-AP", "balancer-manager", "shop", "app9", "has no member \"app9\" (it has app1, 127.0.0.1:"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_call struct call c;
        char where[100], pool[40];
        snprintf(where, sizeof where, "[\"http://127.0.0.1:%d/%s\"]", manager_port, rows[i].path);
        snprintf(pool, sizeof pool, "[\"%s\"]", rows[i].pool);
        RUN(&c, "apache.observe", {"manager", where}, {"user", "release"}, {"password", rows[i].password},
            {"balancer", pool}, {"server", rows[i].server});
        assert_int_equal(c.r->outcome, OUT_FAILED);
        assert_says(c.r->err.text, rows[i].says);
        assert_null(strstr(c.r->err.text, "-pw-AP"));
    }
    auto_call struct call page, down;
    RUN(&page, "apache.observe", LIKE(canonical, "[\"shop\"]"), {"server", "app1"});
    assert_int_equal(page.r->outcome, OUT_FAILED);
    assert_says(page.r->err.text, "balancer-manager's page, not its list");
    RUN(&down, "apache.observe", LIKE(other_manager, "[\"shop\"]"), {"server", "app1"});
    assert_int_equal(down.r->outcome, OUT_UNKNOWN);
}

/* An Apache that is restarted when its list was just read, once or with every request. */
static pid_t restless(bool always)
{
    pid_t pid = fork();
    if (pid > 0) {
        rig_until(rig_port_open(other_port));
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int listener = rig_listen(other_port), asked = 0, nonce = 1;
    bool drained = false;
    for (;;) {
        char in[4096] = "", body[800], wanted[40];
        size_t n = 0;
        ssize_t got = 1;
        int fd = accept(listener, NULL, NULL);
        while (n < sizeof in - 1 && !strstr(in, "xml=1") && (got = read(fd, in + n, sizeof in - 1 - n)) > 0)
            in[n += (size_t)got] = '\0';
        if (n > 0) {
            nonce += always || ++asked == 2;
            snprintf(wanted, sizeof wanted, "&nonce=n%d&", nonce);
            drained = drained || (strstr(in, wanted) && strstr(in, "&w_status_N=1&"));
            snprintf(body, sizeof body,
                     "<m:manager xmlns:m='m'><m:balancers><m:balancer><m:name>balancer://shop</m:name>"
                     "<m:nonce>n%d</m:nonce><m:workers><m:worker><m:name>http://a:1</m:name><m:hostname>a"
                     "</m:hostname><m:port>1</m:port><m:status>Init %sOk </m:status><m:busy>0</m:busy>"
                     "</m:worker></m:workers></m:balancer></m:balancers></m:manager>",
                     nonce, drained ? "Drn " : "");
            app_say(fd, "200 OK", "", body);
        }
        close(fd);
    }
}

static void a_restart_in_between_is_told_again(void **state)
{
    (void)state;
    auto_call struct call once, always;
    other = restless(false);
    RUN(&once, "apache.drain", LIKE(other_manager, "[\"shop\"]"), {"server", "a:1"});
    rig_stop(&other, SIGKILL);
    assert_ok(&once);
    other = restless(true);
    RUN(&always, "apache.drain", LIKE(other_manager, "[\"shop\"]"), {"server", "a:1"});
    rig_stop(&other, SIGKILL);
    assert_int_equal(always.r->outcome, OUT_FAILED);
    assert_says(always.r->err.text, "several Apaches behind one address?");
}

/* Nothing that is no answer of the manager's is taken for one. */
static void whatever_answers_is_not_believed(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *says;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n\r\n<html><br></html>", "not XML that can be used"},
        {"HTTP/1.1 200 OK\r\n\r\n<a/>", "is not balancer-manager's"},
        {"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "status 503: busy, or broken"},
        {"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n", "status 500: busy, or broken"},
        {"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "redirects are not followed"},
        {"SSH-2.0-OpenSSH\r\n", "http://127.0.0.1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_call struct call c;
        other = rig_liar(other_port, rows[i].answer, strlen(rows[i].answer));
        RUN(&c, "apache.guard", LIKE(other_manager, "[\"shop\"]"), {"server", "app1"});
        rig_stop(&other, SIGKILL);
        assert_int_equal(c.r->outcome, OUT_UNKNOWN);
        assert_says(c.r->err.text, rows[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_is_given_back),
        cmocka_unit_test_setup(sticky_clients_and_what_runs, each_setup),
        cmocka_unit_test_setup(a_forgotten_drain_is_noticed, each_setup),
        cmocka_unit_test_setup(one_that_was_disabled_stays, each_setup),
        cmocka_unit_test_setup(several_balancers, each_setup),
        cmocka_unit_test_setup(all_members_at_once, each_setup),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(a_restart_in_between_is_told_again),
        cmocka_unit_test(whatever_answers_is_not_believed),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
