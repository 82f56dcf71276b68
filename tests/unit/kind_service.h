/* SPDX-License-Identifier: MIT */
/* varnish-service, for kinds.h: a real Varnish of the node's own behind two real HAProxies that probe it. They are asked by their
 * statistics page; an operator tells HAProxy by its socket, and the Varnish by varnishadm. */
#include "unit/kind_haproxy.h"

static struct serv_world {
    int admin, loads;
    pid_t daemon;
    struct middle middle; /* before the Varnish's CLI */
    char name[100], text[64];
} serv;

static const char *serv_adm(const char *command)
{
    return rig_says("varnishadm -n %s %s 2>&1", serv.name, command);
}

static enum seen serv_shows(size_t peer, const char *server)
{
    enum seen seen = hap_kind_shows(peer, server);
    return seen == SEEN_NONE && str_starts(hap_field(peer, server, 17), "DOWN") ? SEEN_OUT : seen;
}

/* In: at the balancer, and the Varnish goes back to the VCL that it had. */
static void serv_hand(size_t peer, const char *server, enum seen want)
{
    hap_kind_hand(peer, server, want);
    if (want == SEEN_IN && !strcmp(server, "app1"))
        serv_adm("vcl.use boot");
}

/* As after a restart of varnishd. */
static void serv_forget(size_t peer)
{
    (void)peer;
    serv_adm("vcl.use boot");
}

static bool serv_start(const char **ret_why)
{
    char http[40], admin[40];
    int port = port_pick();
    (void)ret_why;
    hap.app_port = port_pick(), hap.first_port = port;
    hap.app = rig_app(hap.app_port);
    hap.check = "  option httpchk GET /health\n";
    serv.admin = port_pick();
    snprintf(serv.name, sizeof serv.name, "%s/own", rig_dir);
    snprintf(http, sizeof http, "127.0.0.1:%d", port);
    snprintf(admin, sizeof admin, "127.0.0.1:%d", serv.admin);
    rig_write(rig_path("secret"), "of the kinds\n");
    chmod(rig_path("secret"), 0600);
    rig_write(rig_path("own.vcl"),
              "vcl 4.1;\nbackend app { .host = \"127.0.0.1\"; .port = \"%d\"; }\n"
              "sub vcl_recv { if (req.http.upgrade) { return (pipe); } return (pass); }\n"
              "sub vcl_pipe { set bereq.http.upgrade = req.http.upgrade; }\n",
              hap.app_port);
    serv.daemon = rig_spawn((const char *const[]){
        "varnishd", "-F", "-n", serv.name, "-a", http, "-T", admin, "-S", rig_path("secret"), "-f",
        rig_path("own.vcl"), "-p", "thread_pools=1", "-p", "thread_pool_min=20", "-s", "malloc,16m", NULL});
    rig_until(rig_port_open(port));
    middle_start(&serv.middle, serv.admin);
    strcpy(serv.middle.rule->needle, "vcl.use release_down");
    strcpy(serv.middle.rule->answer, "106 8       \nnot now!\n");
    snprintf(serv.text, sizeof serv.text, "tcp://127.0.0.1:%d", serv.middle.port);
    hap_start_both();
    return true;
}

static void serv_stop(void)
{
    hap_kind_stop();
    middle_stop(&serv.middle);
    rig_stop(&serv.daemon, SIGTERM);
}

static void serv_fresh(void)
{
    serv.middle.rule->fault = FAULT_NONE;
    serv_adm("vcl.use boot");
    hap_kind_fresh();
}

static size_t serv_args(struct op_pair *ret)
{
    size_t n = args_add(ret, hap_kind_args(ret), "admin", serv.text);
    n = args_add(ret, args_add(ret, n, "secret", "of the kinds\n"), "probe_path", "/health");
    return args_add(ret, n, "down_status", "503");
}

static void serv_fault(size_t peer, enum fault f)
{
    serv.middle.rule->fault = f == FAULT_REFUSES || f == FAULT_LOSES ? f : FAULT_NONE;
    hap_kind_fault(peer, serv.middle.rule->fault == f && f != FAULT_NONE ? FAULT_NONE : f);
}

static struct kind service_kind = {
    .name = "varnish-service",
    .server_param = "server",
    .servers = {"app1", "app2", "app3"},
    .can = LB_CAN_COUNTS | LB_CAN_FORGET | LB_TELLS_ALL,
    .peers = 2,
    .late = true,
    .start = serv_start,
    .stop = serv_stop,
    .fresh = serv_fresh,
    .args = serv_args,
    .shows = serv_shows,
    .hand = serv_hand,
    .forget = serv_forget,
    .fault = serv_fault,
    .busy = hap_kind_busy,
    .ask = hap_kind_ask,
};
