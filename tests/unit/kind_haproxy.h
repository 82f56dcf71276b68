/* SPDX-License-Identifier: MIT */
/* haproxy, for kinds.h: two real ones; asked by their statistics page, told by an operator on their socket. Those of
 * varnish-service are the same, with other servers and another check. */
#ifndef TESTS_UNIT_KIND_HAPROXY_H
#define TESTS_UNIT_KIND_HAPROXY_H

#include "unit/kinds.h"

static struct hap_world {
    int admin[2], front[2], app_port, first_port; /* app1's, and that of the others */
    const char *check;
    pid_t proxy[2], app;
    struct middle middle[2];
    char sockets[120];
} hap;

/* One field of the page's CSV: 17 status, 18 weight. */
static const char *hap_field(size_t peer, const char *server, int column)
{
    static char out[64];
    char key[80];
    snprintf(key, sizeof key, "\nweb,%s,", server);
    const char *row = strstr(rig_talk(hap.front[peer], "GET /page;csv HTTP/1.0\r\n\r\n"), key);
    assert_non_null(row);
    for (row++; column > 0; column--)
        row = strchr(row, ',') + 1;
    snprintf(out, sizeof out, "%.*s", (int)strcspn(row, ","), row);
    return out;
}

static enum seen hap_kind_shows(size_t peer, const char *server)
{
    const char *status = hap_field(peer, server, 17);
    return str_starts(status, "MAINT")   ? SEEN_MAINT
           : str_starts(status, "DRAIN") ? SEEN_OUT
           : !strcmp(status, "UP")       ? SEEN_IN
                                         : SEEN_NONE;
}

static int hap_kind_weight(size_t peer, const char *server)
{
    return atoi(hap_field(peer, server, 18));
}

static void hap_kind_hand(size_t peer, const char *server, enum seen want)
{
    char text[100];
    snprintf(text, sizeof text, "set server web/%s state %s\n", server,
             want == SEEN_IN    ? "ready"
             : want == SEEN_OUT ? "drain"
                                : "maint");
    assert_string_equal(rig_talk(hap.admin[peer], text), "\n");
}

static void hap_start_one(size_t peer)
{
    char name[16];
    snprintf(name, sizeof name, "hap%zu.cfg", peer);
    rig_write(rig_path(name),
              "global\n  stats socket ipv4@127.0.0.1:%d level admin\n"
              "defaults\n  mode http\n  timeout connect 1s\n  timeout client 20s\n  timeout server 20s\n"
              "  timeout tunnel 20s\n  timeout check 3s\n"
              "frontend web\n  bind 127.0.0.1:%d\n  stats enable\n  stats uri /page\n  default_backend web\n"
              "backend web\n%s  use-server app1 if { hdr(x-pin) app1 }\n"
              "  default-server check inter 100 fall 2 rise 1 weight 50\n"
              "  server app1 127.0.0.1:%d\n  server app2 127.0.0.1:%d\n  server app3 127.0.0.1:%d\n",
              hap.admin[peer], hap.front[peer], hap.check, hap.first_port, hap.app_port, hap.app_port);
    hap.proxy[peer] = rig_spawn((const char *const[]){"haproxy", "-db", "-f", rig_path(name), NULL});
    rig_until(rig_port_open(hap.front[peer]));
}

static void hap_start_both(void)
{
    for (size_t i = 0; i < 2; i++) {
        hap.admin[i] = port_pick(), hap.front[i] = port_pick();
        hap_start_one(i);
        middle_start(&hap.middle[i], hap.admin[i]);
        strcpy(hap.middle[i].rule->needle, "state drain");
        strcpy(hap.middle[i].rule->answer, "Permission denied\n\n");
        hap.middle[i].rule->closes = true;
    }
    snprintf(hap.sockets, sizeof hap.sockets, "[\"tcp://127.0.0.1:%d\",\"tcp://127.0.0.1:%d\"]",
             hap.middle[0].port, hap.middle[1].port);
}

static bool hap_kind_start(const char **ret_why)
{
    (void)ret_why;
    hap.first_port = hap.app_port = port_pick();
    hap.app = rig_app(hap.app_port);
    hap.check = "";
    hap_start_both();
    return true;
}

static void hap_kind_stop(void)
{
    for (size_t i = 0; i < 2; i++) {
        rig_stop(&hap.proxy[i], SIGKILL);
        middle_stop(&hap.middle[i]);
    }
    rig_stop(&hap.app, SIGKILL);
}

static void hap_kind_fresh(void)
{
    for (size_t i = 0; i < 2; i++) {
        middle_fault(&hap.middle[i], FAULT_NONE, hap.proxy[i]);
        for (int s = 1; s <= 3; s++) {
            char name[8], text[64];
            snprintf(name, sizeof name, "app%d", s);
            snprintf(text, sizeof text, "set server web/%s weight 50\n", name);
            rig_talk(hap.admin[i], text);
            hap_kind_hand(i, name, SEEN_IN);
            rig_until(hap_kind_shows(i, name) == SEEN_IN);
        }
    }
}

static size_t hap_kind_args(struct op_pair *ret)
{
    return args_add(ret, args_add(ret, 0, "sockets", hap.sockets), "backend", "web");
}

static void hap_kind_forget(size_t peer)
{
    rig_stop(&hap.proxy[peer], SIGKILL);
    hap_start_one(peer);
}

static void hap_kind_fault(size_t peer, enum fault f)
{
    middle_fault(&hap.middle[peer], f, hap.proxy[peer]);
}

static int hap_kind_busy(void)
{
    return rig_tunnel(hap.front[0], "app1");
}

static void hap_kind_ask(void)
{
    rig_request(hap.front[0], "app1");
}

static struct kind haproxy_kind = {
    .name = "haproxy",
    .server_param = "server",
    .servers = {"app1", "app2", "app3"},
    .can = LB_CAN_MAINT | LB_CAN_KILL | LB_CAN_WEIGHT | LB_CAN_COUNTS | LB_CAN_FORGET | LB_TELLS_REQUESTS |
           LB_TELLS_ERRORS | LB_TELLS_TIMES,
    .peers = 2,
    .start = hap_kind_start,
    .stop = hap_kind_stop,
    .fresh = hap_kind_fresh,
    .args = hap_kind_args,
    .shows = hap_kind_shows,
    .hand = hap_kind_hand,
    .forget = hap_kind_forget,
    .fault = hap_kind_fault,
    .busy = hap_kind_busy,
    .ask = hap_kind_ask,
    .weight = hap_kind_weight,
};

#endif
