/* SPDX-License-Identifier: MIT */
/* apache, for kinds.h: two real ones with a member for each of three routes; told by an operator through the manager's form, and seen
 * in its list. */
#include "unit/kinds.h"

static struct apache_world {
    int manager[2], front[2], app_port;
    pid_t daemon[2], app;
    struct middle middle[2];
    char urls[160];
} apa;

static const char *apa_ask(size_t peer, const char *form)
{
    char text[700];
    snprintf(text, sizeof text,
             "POST /balancer-manager HTTP/1.0\r\nHost: 127.0.0.1\r\nReferer: http://127.0.0.1/\r\n"
             "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(form), form);
    return rig_talk(apa.manager[peer], text);
}

/* What stands in the first <tag> behind `from`; "" when there is none. */
static const char *apa_listed(size_t peer, const char *from, const char *tag)
{
    static char out[100];
    const char *at = strstr(apa_ask(peer, "xml=1"), from);
    at = at ? strstr(at, tag) : NULL;
    if (!at || sscanf(at + strlen(tag), "%99[^<]", out) != 1)
        out[0] = '\0';
    return out;
}

/* "app1" is the member on 127.0.0.1, app2 on 127.0.0.2: one application. */
static const char *apa_url(const char *server)
{
    static char url[60];
    snprintf(url, sizeof url, "http://127.0.0.%c:%d", server[strlen("app")], apa.app_port);
    return url;
}

static enum seen apa_shows(size_t peer, const char *server)
{
    const char *flags = apa_listed(peer, apa_url(server), "<httpd:status>");
    return strstr(flags, "Dis")   ? SEEN_MAINT
           : strstr(flags, "Drn") ? SEEN_OUT
           : strstr(flags, "Ok")  ? SEEN_IN
                                  : SEEN_NONE;
}

static void apa_hand(size_t peer, const char *server, enum seen want)
{
    char form[300];
    snprintf(form, sizeof form, "b=shop&w=%s&nonce=%s&w_status_N=%d&w_status_D=%d&xml=1", apa_url(server),
             apa_listed(peer, "balancer://shop", "<httpd:nonce>"), want == SEEN_OUT, want == SEEN_MAINT);
    assert_says(apa_ask(peer, form), " 200 ");
}

static void apa_start_one(size_t peer)
{
    static const char *const modules[] = {"mpm_event",          "authz_core",  "proxy",
                                          "proxy_http",         "slotmem_shm", "proxy_balancer",
                                          "lbmethod_byrequests"};
    char name[16], dir[16], members[400] = "";
    auto_buf struct buf load = BUF_INIT(4096);
    snprintf(name, sizeof name, "apache%zu.conf", peer);
    snprintf(dir, sizeof dir, "apache%zu", peer);
    assert_true(mkdir(rig_path(dir), 0755) == 0);
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        buf_printf(&load, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", modules[i],
                   modules[i]);
    for (int s = 1; s <= 3; s++)
        snprintf(members + strlen(members), sizeof members - strlen(members),
                 " BalancerMember http://127.0.0.%d:%d route=app%d upgrade=websocket\n", s, apa.app_port, s);
    rig_write(
        rig_path(name),
        "ServerRoot %s\nDefaultRuntimeDir %s\nServerName x\nPidFile %s/pid\nErrorLog %s/error.log\n%s%s"
        "Listen 127.0.0.1:%d\nListen 127.0.0.1:%d\nStartServers 1\nServerLimit 4\nThreadsPerChild 8\n"
        "MaxRequestWorkers 16\nMinSpareThreads 2\n<Proxy balancer://shop>\n%s ProxySet stickysession=SRV\n"
        "</Proxy>\n<VirtualHost 127.0.0.1:%d>\n ProxyPass / balancer://shop/\n</VirtualHost>\n"
        "<VirtualHost 127.0.0.1:%d>\n <Location /balancer-manager>\n  SetHandler balancer-manager\n"
        " </Location>\n</VirtualHost>\n",
        rig_path(dir), rig_path(dir), rig_path(dir), rig_path(dir),
        getuid() == 0 ? "User nobody\nGroup nogroup\n" : "", buf_str(&load), apa.front[peer],
        apa.manager[peer], members, apa.front[peer], apa.manager[peer]);
    apa.daemon[peer] =
        rig_spawn((const char *const[]){"apache2", "-f", rig_path(name), "-DFOREGROUND", NULL});
}

static bool apa_start(const char **ret_why)
{
    (void)ret_why;
    apa.app_port = port_pick();
    apa.app = rig_app(apa.app_port);
    for (size_t i = 0; i < 2; i++) {
        apa.front[i] = port_pick();
        apa.manager[i] = port_pick();
        apa_start_one(i);
        rig_until(rig_port_open(apa.manager[i]));
        middle_start(&apa.middle[i], apa.manager[i]);
        strcpy(apa.middle[i].rule->needle, "w_status_N=1&w_status_D=0");
        strcpy(apa.middle[i].rule->answer,
               "HTTP/1.1 405 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        apa.middle[i].rule->closes = true;
    }
    snprintf(apa.urls, sizeof apa.urls,
             "[\"http://127.0.0.1:%d/balancer-manager\",\"http://127.0.0.1:%d/balancer-manager\"]",
             apa.middle[0].port, apa.middle[1].port);
    return true;
}

static void apa_stop(void)
{
    for (size_t i = 0; i < 2; i++) {
        rig_stop(&apa.daemon[i], SIGTERM);
        middle_stop(&apa.middle[i]);
    }
    rig_stop(&apa.app, SIGTERM);
}

/* As `apachectl graceful`: from then on each balancer has another nonce. */
static void apa_forget(size_t peer)
{
    char before[100];
    snprintf(before, sizeof before, "%s", apa_listed(peer, "balancer://shop", "<httpd:nonce>"));
    kill(apa.daemon[peer], SIGUSR1);
    rig_until(*apa_listed(peer, "balancer://shop", "<httpd:nonce>") &&
              strcmp(apa_listed(peer, "balancer://shop", "<httpd:nonce>"), before) != 0);
}

static void apa_fresh(void)
{
    for (size_t i = 0; i < 2; i++) {
        middle_fault(&apa.middle[i], FAULT_NONE, apa.daemon[i]);
        for (int s = 1; s <= 3; s++) {
            char name[8];
            snprintf(name, sizeof name, "app%d", s);
            apa_hand(i, name, SEEN_IN);
        }
    }
}

static size_t apa_args(struct op_pair *ret)
{
    return args_add(ret, args_add(ret, 0, "manager", apa.urls), "balancer", "[\"shop\"]");
}

/* Its children answer. */
static void apa_signal_children(size_t peer, int number)
{
    char path[80];
    int pid;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)apa.daemon[peer], (int)apa.daemon[peer]);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fscanf(f, "%d", &pid) == 1)
        kill(pid, number);
    fclose(f);
}

static void apa_fault(size_t peer, enum fault f)
{
    if (f == FAULT_STOPPED || f == FAULT_NONE)
        apa_signal_children(peer, f == FAULT_STOPPED ? SIGSTOP : SIGCONT);
    middle_fault(&apa.middle[peer], f, apa.daemon[peer]);
}

static struct kind apache_kind = {
    .name = "apache",
    .server_param = "server",
    .servers = {"app1", "app2", "app3"},
    .can = LB_CAN_MAINT | LB_CAN_COUNTS | LB_CAN_FORGET | LB_TELLS_REQUESTS,
    .peers = 2,
    .start = apa_start,
    .stop = apa_stop,
    .fresh = apa_fresh,
    .args = apa_args,
    .shows = apa_shows,
    .hand = apa_hand,
    .forget = apa_forget,
    .fault = apa_fault,
};
