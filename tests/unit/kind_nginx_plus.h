/* SPDX-License-Identifier: MIT */
/* nginx-plus, for kinds.h: two of the strict stand-ins of tests/lib/nginx_plus.py, which the vendor's Python client works against
 * unchanged (live/nginx_plus); told by an operator through the API. */
#include "unit/kinds.h"

static struct plus_world {
    int port[2];
    pid_t daemon[2];
    struct middle middle[2];
    char urls[120];
} plus;

static const char *plus_say(size_t peer, const char *method, const char *path, const char *json)
{
    char text[700];
    snprintf(text, sizeof text,
             "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             method, path, strlen(json), json);
    return rig_talk(plus.port[peer], text);
}

static enum seen plus_shows(size_t peer, const char *server)
{
    char key[80];
    snprintf(key, sizeof key, "\"shop/%s\": \"", server);
    const char *state = strstr(plus_say(peer, "POST", "/order", "{}"), key);
    assert_non_null(state);
    state += strlen(key);
    return str_starts(state, "up ")         ? SEEN_IN
           : str_starts(state, "draining ") ? SEEN_OUT
           : str_starts(state, "down ")     ? SEEN_MAINT
                                            : SEEN_NONE;
}

/* "10.0.0.1:8080" has the id 0. */
static void plus_hand(size_t peer, const char *server, enum seen want)
{
    char path[80];
    snprintf(path, sizeof path, "/api/9/http/upstreams/shop/servers/%d", server[strlen("10.0.0.")] - '1');
    assert_says(plus_say(peer, "PATCH", path,
                         want == SEEN_IN    ? "{\"down\": false}"
                         : want == SEEN_OUT ? "{\"drain\": true}"
                                            : "{\"down\": true}"),
                " 200 ");
}

static bool plus_start(const char **ret_why)
{
    static char program[300];
    static const char words[] =
        "{\"error\": {\"status\": 400, \"text\": \"memory exhausted\", \"code\": \"UpstreamOutOfMemory\"}}";
    (void)ret_why;
    snprintf(program, sizeof program, "%s/tests/lib/nginx_plus.py", SOURCE_DIR);
    for (size_t i = 0; i < 2; i++) {
        char port[8];
        plus.port[i] = port_pick();
        snprintf(port, sizeof port, "%d", plus.port[i]);
        plus.daemon[i] = rig_spawn((const char *const[]){"/usr/bin/python3", "-B", program, port, NULL});
        middle_start(&plus.middle[i], plus.port[i]);
        strcpy(plus.middle[i].rule->needle, "{\"drain\":true}");
        snprintf(plus.middle[i].rule->answer, sizeof plus.middle[i].rule->answer,
                 "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                 "Connection: close\r\n\r\n%s",
                 strlen(words), words);
        plus.middle[i].rule->closes = true;
    }
    snprintf(plus.urls, sizeof plus.urls, "[\"http://127.0.0.1:%d/api\",\"http://127.0.0.1:%d/api\"]",
             plus.middle[0].port, plus.middle[1].port);
    rig_until(rig_port_open(plus.port[0]) && rig_port_open(plus.port[1]));
    return true;
}

static void plus_stop(void)
{
    for (size_t i = 0; i < 2; i++) {
        rig_stop(&plus.daemon[i], SIGKILL);
        middle_stop(&plus.middle[i]);
    }
}

static void plus_forget(size_t peer)
{
    plus_say(peer, "POST", "/order", "{\"reload\": 1}");
}

static void plus_fresh(void)
{
    for (size_t i = 0; i < 2; i++) {
        middle_fault(&plus.middle[i], FAULT_NONE, plus.daemon[i]);
        plus_say(i, "POST", "/order", "{\"reload\": 1, \"clients\": [\"shop\", 0, 0]}");
        assert_says(plus_say(i, "PATCH", "/api/9/http/upstreams/shop/servers/0", "{\"weight\": 20}"),
                    " 200 ");
    }
}

static size_t plus_args(struct op_pair *ret)
{
    return args_add(ret, args_add(ret, 0, "api", plus.urls), "upstream", "[\"shop\"]");
}

static void plus_fault(size_t peer, enum fault f)
{
    middle_fault(&plus.middle[peer], f, plus.daemon[peer]);
}

static int plus_busy(void)
{
    plus_say(0, "POST", "/order", "{\"clients\": [\"shop\", 0, 2]}");
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void plus_clear(void)
{
    plus_say(0, "POST", "/order", "{\"clients\": [\"shop\", 0, 0]}");
}

static int plus_weight(size_t peer, const char *server)
{
    char key[80];
    int weight = -1;
    snprintf(key, sizeof key, "\"shop/%s\": \"", server);
    const char *state = strstr(plus_say(peer, "POST", "/order", "{}"), key);
    assert_non_null(state);
    assert_int_equal(sscanf(state + strlen(key), "%*s %d", &weight), 1);
    return weight;
}

static struct kind nginx_plus_kind = {
    .name = "nginx-plus",
    .server_param = "server",
    .servers = {"10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"},
    .can = LB_CAN_MAINT | LB_CAN_WEIGHT | LB_CAN_COUNTS | LB_CAN_FORGET | LB_TELLS_ALL,
    .peers = 2,
    .start = plus_start,
    .stop = plus_stop,
    .fresh = plus_fresh,
    .args = plus_args,
    .shows = plus_shows,
    .hand = plus_hand,
    .forget = plus_forget,
    .fault = plus_fault,
    .busy = plus_busy,
    .clear = plus_clear,
    .weight = plus_weight,
};
