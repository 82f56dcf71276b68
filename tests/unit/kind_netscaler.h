/* SPDX-License-Identifier: MIT */
/* netscaler, for kinds.h: two of the strict stand-ins of tests/lib/nitro.py, which public clients work against unchanged
 * (live/netscaler); told by an operator through NITRO with the headers that those clients use. */
#include "unit/kinds.h"

static struct nets_world {
    int port[2];
    pid_t daemon[2];
    struct middle middle[2];
    char urls[120];
} nets;
static const char *const nets_secrets[] = {"s3cret-NS", NULL};

static const char *nets_post(size_t peer, const char *path, const char *json)
{
    char text[700];
    snprintf(
        text, sizeof text,
        "POST %s HTTP/1.1\r\nHost: x\r\nX-NITRO-USER: release\r\nX-NITRO-PASS: s3cret-NS\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        path, strlen(json), json);
    return rig_talk(nets.port[peer], text);
}

/* The server object, which only operators switch. */
static bool nets_server_off(size_t peer, const char *server)
{
    char text[300];
    snprintf(
        text, sizeof text,
        "GET /nitro/v1/config/server/%s HTTP/1.1\r\nHost: x\r\nX-NITRO-USER: release\r\nX-NITRO-PASS: s3cret-NS\r\n"
        "Connection: close\r\n\r\n",
        server);
    return strstr(rig_talk(nets.port[peer], text), "\"state\": \"DISABLED\"") != NULL;
}

static enum seen nets_shows(size_t peer, const char *server)
{
    char key[80];
    if (nets_server_off(peer, server))
        return SEEN_MAINT;
    snprintf(key, sizeof key, "\"shop/%s:80\": \"", server);
    const char *state = strstr(nets_post(peer, "/order", "{}"), key);
    assert_non_null(state);
    state += strlen(key);
    return str_starts(state, "UP\"") ? SEEN_IN : strstr(state, "OUT OF SERVICE") ? SEEN_OUT : SEEN_NONE;
}

static void nets_hand(size_t peer, const char *server, enum seen want)
{
    char path[100], json[200];
    if (want == SEEN_MAINT || nets_server_off(peer, server)) {
        snprintf(path, sizeof path, "/nitro/v1/config/server?action=%s",
                 want == SEEN_MAINT ? "disable" : "enable");
        snprintf(json, sizeof json, "{\"server\": {\"name\": \"%s\"}}", server);
        assert_says(nets_post(peer, path, json), " 200 ");
        return;
    }
    snprintf(path, sizeof path, "/nitro/v1/config/servicegroup?action=%s",
             want == SEEN_IN ? "enable" : "disable");
    snprintf(json, sizeof json,
             "{\"servicegroup\": {\"servicegroupname\": \"shop\", \"servername\": \"%s\", \"port\": 80}}",
             server);
    assert_says(nets_post(peer, path, json), " 200 ");
}

static bool nets_start(const char **ret_why)
{
    static char program[300];
    (void)ret_why;
    snprintf(program, sizeof program, "%s/tests/lib/nitro.py", SOURCE_DIR);
    for (size_t i = 0; i < 2; i++) {
        char port[8];
        nets.port[i] = port_pick();
        snprintf(port, sizeof port, "%d", nets.port[i]);
        nets.daemon[i] = rig_spawn((const char *const[]){"/usr/bin/python3", "-B", program, port, NULL});
        middle_start(&nets.middle[i], nets.port[i]);
        strcpy(nets.middle[i].rule->needle, "action=disable");
        strcpy(
            nets.middle[i].rule->answer,
            "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 70\r\nConnection: close\r\n\r\n"
            "{ \"errorcode\": 2138, \"message\": \"Not authorized\", \"severity\": \"ERROR\"}");
        nets.middle[i].rule->closes = true;
    }
    snprintf(nets.urls, sizeof nets.urls, "[\"http://127.0.0.1:%d\",\"http://127.0.0.1:%d\"]",
             nets.middle[0].port, nets.middle[1].port);
    rig_until(rig_port_open(nets.port[0]) && rig_port_open(nets.port[1]));
    rig_secrets = nets_secrets;
    return true;
}

static void nets_stop(void)
{
    rig_secrets = NULL;
    for (size_t i = 0; i < 2; i++) {
        rig_stop(&nets.daemon[i], SIGKILL);
        middle_stop(&nets.middle[i]);
    }
}

static void nets_forget(size_t peer)
{
    nets_post(peer, "/order", "{\"forget\": 1}");
}

static void nets_fresh(void)
{
    for (size_t i = 0; i < 2; i++) {
        middle_fault(&nets.middle[i], FAULT_NONE, nets.daemon[i]);
        nets_post(i, "/order", "{\"clients\": [\"app1\", 0]}");
        for (int s = 1; s <= 3; s++) {
            char name[8];
            snprintf(name, sizeof name, "app%d", s);
            nets_hand(i, name, SEEN_IN);
        }
        nets_forget(i);
    }
}

static size_t nets_args(struct op_pair *ret)
{
    size_t n = args_add(ret, 0, "url", nets.urls);
    n = args_add(ret, args_add(ret, n, "user", "release"), "password", "s3cret-NS");
    return args_add(ret, args_add(ret, n, "servicegroup", "[\"shop\"]"), "graceful", "yes");
}

static void nets_fault(size_t peer, enum fault f)
{
    middle_fault(&nets.middle[peer], f, nets.daemon[peer]);
}

static int nets_busy(void)
{
    nets_post(0, "/order", "{\"clients\": [\"app1\", 2]}");
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void nets_clear(void)
{
    nets_post(0, "/order", "{\"clients\": [\"app1\", 0]}");
}

static struct kind netscaler_kind = {
    .name = "netscaler",
    .server_param = "server",
    .servers = {"app1", "app2", "app3"},
    .can = LB_CAN_KILL | LB_CAN_COUNTS | LB_CAN_FORGET | LB_TELLS_REQUESTS,
    .peers = 2,
    .start = nets_start,
    .stop = nets_stop,
    .fresh = nets_fresh,
    .args = nets_args,
    .shows = nets_shows,
    .hand = nets_hand,
    .forget = nets_forget,
    .fault = nets_fault,
    .busy = nets_busy,
    .clear = nets_clear,
};
