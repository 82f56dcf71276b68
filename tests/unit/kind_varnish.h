/* SPDX-License-Identifier: MIT */
/* varnish, for kinds.h: two real ones whose directors send to the application; asked and told by varnishadm. */
#include "unit/kinds.h"

static struct varn_world {
    int http[2], admin[2], app_port, loads;
    pid_t daemon[2], app;
    struct middle middle[2];
    char admins[120], stats[220], name[2][100];
} varn;

static const char *varn_adm(size_t peer, const char *command)
{
    return rig_says("varnishadm -n %s %s 2>&1", varn.name[peer], command);
}

/* `Backend name   Admin  Probe  Health ...`, of the VCL in use. */
static enum seen varn_kind_shows(size_t peer, const char *server)
{
    char key[64], admin[32], probe[32], health[32];
    snprintf(key, sizeof key, ".%s ", server);
    const char *row = strstr(varn_adm(peer, "backend.list"), key);
    if (!row || sscanf(row + strlen(key), "%31s %31s %31s", admin, probe, health) != 3)
        return SEEN_NONE;
    return !strcmp(admin, "sick")                                  ? SEEN_OUT
           : !strcmp(admin, "probe") && !strcmp(health, "healthy") ? SEEN_IN
                                                                   : SEEN_NONE;
}

static void varn_kind_hand(size_t peer, const char *server, enum seen want)
{
    char text[100];
    snprintf(text, sizeof text, "backend.set_health '*.%s' %s", server, want == SEEN_IN ? "auto" : "sick");
    varn_adm(peer, text);
}

static bool varn_all_in(size_t peer)
{
    return varn_kind_shows(peer, "app1") == SEEN_IN && varn_kind_shows(peer, "app2") == SEEN_IN &&
           varn_kind_shows(peer, "app3") == SEEN_IN;
}

static void varn_write_vcl(void)
{
    rig_write(
        rig_path("kind.vcl"),
        "vcl 4.1;\nimport directors;\n"
        "probe p { .url = \"/\"; .interval = 100ms; .window = 2; .threshold = 1; .initial = 1; }\n"
        "backend app1 { .host = \"127.0.0.1\"; .port = \"%d\"; .probe = p; }\n"
        "backend app2 { .host = \"127.0.0.1\"; .port = \"%d\"; .probe = p; }\n"
        "backend app3 { .host = \"127.0.0.1\"; .port = \"%d\"; .probe = p; }\n"
        "sub vcl_init { new rr = directors.round_robin(); rr.add_backend(app2); rr.add_backend(app3); }\n"
        "sub vcl_recv { set req.backend_hint = rr.backend(); if (req.http.x-pin) { set req.backend_hint = app1; }\n"
        "  if (req.http.upgrade) { return (pipe); } return (pass); }\n"
        "sub vcl_pipe { set bereq.http.upgrade = req.http.upgrade; }\n",
        varn.app_port, varn.app_port, varn.app_port);
}

static bool varn_kind_start(const char **ret_why)
{
    (void)ret_why;
    varn.app_port = port_pick();
    varn.app = rig_app(varn.app_port);
    rig_write(rig_path("secret"), "of the kinds\n");
    chmod(rig_path("secret"), 0600);
    varn_write_vcl();
    for (size_t i = 0; i < 2; i++) {
        char http[40], admin[40];
        varn.http[i] = port_pick(), varn.admin[i] = port_pick();
        snprintf(varn.name[i], sizeof varn.name[i], "%s/v%zu", rig_dir, i);
        snprintf(http, sizeof http, "127.0.0.1:%d", varn.http[i]);
        snprintf(admin, sizeof admin, "127.0.0.1:%d", varn.admin[i]);
        varn.daemon[i] = rig_spawn((const char *const[]){"varnishd", "-F", "-n", varn.name[i], "-a", http,
                                                         "-T", admin, "-S", rig_path("secret"), "-f",
                                                         rig_path("kind.vcl"), "-p", "thread_pools=1", "-p",
                                                         "thread_pool_min=20", "-s", "malloc,16m", NULL});
        middle_start(&varn.middle[i], varn.admin[i]);
        strcpy(varn.middle[i].rule->needle, " sick");
        strcpy(varn.middle[i].rule->answer, "106 8       \nnot now!\n");
    }
    snprintf(varn.admins, sizeof varn.admins, "[\"tcp://127.0.0.1:%d\",\"tcp://127.0.0.1:%d\"]",
             varn.middle[0].port, varn.middle[1].port);
    snprintf(varn.stats, sizeof varn.stats, "[\"%s\",\"%s\"]", varn.name[0], varn.name[1]);
    for (size_t i = 0; i < 2; i++)
        rig_until(rig_port_open(varn.http[i]) && varn_all_in(i));
    return true;
}

static void varn_kind_stop(void)
{
    for (size_t i = 0; i < 2; i++) {
        rig_stop(&varn.daemon[i], SIGTERM);
        middle_stop(&varn.middle[i]);
    }
    rig_stop(&varn.app, SIGKILL);
}

static void varn_kind_fresh(void)
{
    for (size_t i = 0; i < 2; i++) {
        middle_fault(&varn.middle[i], FAULT_NONE, varn.daemon[i]);
        varn_adm(i, "backend.set_health '*.*' auto");
        rig_until(varn_all_in(i));
    }
}

static size_t varn_kind_args(struct op_pair *ret)
{
    size_t n = args_add(ret, 0, "admin", varn.admins);
    return args_add(ret, args_add(ret, n, "secret", "of the kinds\n"), "stats", varn.stats);
}

/* The trap: a new VCL begins with all backends in the hands of their probes. */
static void varn_kind_forget(size_t peer)
{
    char text[200];
    snprintf(text, sizeof text, "vcl.load again%d %s", ++varn.loads, rig_path("kind.vcl"));
    varn_adm(peer, text);
    snprintf(text, sizeof text, "vcl.use again%d", varn.loads);
    varn_adm(peer, text);
}

/* varnishd's manager answers the CLI. */
static void varn_kind_fault(size_t peer, enum fault f)
{
    middle_fault(&varn.middle[peer], f, varn.daemon[peer]);
}

static int varn_kind_busy(void)
{
    return rig_tunnel(varn.http[0], "app1");
}

static void varn_kind_ask(void)
{
    rig_request(varn.http[0], "app1");
}

static struct kind varnish_kind = {
    .name = "varnish",
    .server_param = "backend",
    .servers = {"app1", "app2", "app3"},
    .can = LB_CAN_FORGET,
    .peers = 2,
    .start = varn_kind_start,
    .stop = varn_kind_stop,
    .fresh = varn_kind_fresh,
    .args = varn_kind_args,
    .shows = varn_kind_shows,
    .hand = varn_kind_hand,
    .forget = varn_kind_forget,
    .fault = varn_kind_fault,
    .busy = varn_kind_busy,
    .ask = varn_kind_ask,
};
