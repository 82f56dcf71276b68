/* SPDX-License-Identifier: MIT */
/* command, for kinds.h: the tests' program, whose balancers are files; those are read and written here without it. */
#include "unit/kinds.h"

#include <jansson.h>

static const char *const comm_names[] = {"a", "b"};
static char comm_program[300];

static const char *comm_path(size_t peer, const char *ending)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s.%s", rig_dir, comm_names[peer], ending);
    return path;
}

static void comm_fault(size_t peer, enum fault f)
{
    static const char *const words[] = {"", "refuse", "lose", "gone", "hang"};
    rig_write(comm_path(peer, "fault"), "%s", words[f]);
}

static void comm_world(size_t peer)
{
    auto_buf struct buf text = BUF_INIT(4000);
    for (int i = 1; i <= 3; i++)
        buf_printf(
            &text,
            "%s{\"pool\": \"shop\", \"server\": \"app%d\", \"state\": \"ready\", \"weight\": 50, \"sessions\": 0, "
            "\"queued\": 0, \"status\": \"UP\", \"requests\": 1, \"errors\": 0, \"answer_ms\": 2}",
            i > 1 ? ", " : "", i);
    rig_write(comm_path(peer, "json"), "{\"servers\": [%s]}", buf_str(&text));
}

/* The object of a server in *ret_all, which the caller gives back. */
static json_t *comm_server(size_t peer, const char *server, json_t **ret_all)
{
    json_t *s;
    size_t i;
    *ret_all = json_load_file(comm_path(peer, "json"), 0, NULL);
    json_array_foreach(json_object_get(*ret_all, "servers"), i, s)
    {
        if (!strcmp(json_string_value(json_object_get(s, "server")), server))
            return s;
    }
    fail_msg("no %s", server);
    return NULL;
}

static void comm_set(size_t peer, const char *server, const char *key, json_t *value)
{
    json_t *all;
    json_object_set_new(comm_server(peer, server, &all), key, value);
    assert_int_equal(json_dump_file(all, comm_path(peer, "json"), 0), 0);
    json_decref(all);
}

static enum seen comm_shows(size_t peer, const char *server)
{
    json_t *all;
    const char *state = json_string_value(json_object_get(comm_server(peer, server, &all), "state"));
    enum seen seen = !strcmp(state, "ready") ? SEEN_IN : !strcmp(state, "maint") ? SEEN_MAINT : SEEN_OUT;
    json_decref(all);
    return seen;
}

static int comm_weight(size_t peer, const char *server)
{
    json_t *all;
    int weight = (int)json_integer_value(json_object_get(comm_server(peer, server, &all), "weight"));
    json_decref(all);
    return weight;
}

static void comm_hand(size_t peer, const char *server, enum seen want)
{
    comm_set(peer, server, "state",
             json_string(want == SEEN_IN    ? "ready"
                         : want == SEEN_OUT ? "drain"
                                            : "maint"));
}

static bool comm_start(const char **ret_why)
{
    (void)ret_why;
    snprintf(comm_program, sizeof comm_program,
             "[\"/usr/bin/python3\",\"-S\",\"%s/tests/lib/balancer_program.py\",\"%s\"]", SOURCE_DIR,
             rig_dir);
    return true;
}

static void comm_fresh(void)
{
    for (size_t i = 0; i < 2; i++) {
        comm_fault(i, FAULT_NONE);
        comm_world(i);
    }
}

static void comm_stop(void)
{
}

static size_t comm_args(struct op_pair *ret)
{
    size_t n = args_add(ret, 0, "program", comm_program);
    n = args_add(ret, n, "balancers", "[\"a\",\"b\"]");
    return args_add(ret, args_add(ret, n, "backend", "[\"shop\"]"), "call_timeout", "20s");
}

static int comm_busy(void)
{
    comm_set(0, "app1", "sessions", json_integer(2));
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static struct kind command_kind = {
    .name = "command",
    .server_param = "server",
    .servers = {"app1", "app2", "app3"},
    .can = LB_CAN_ALL | LB_TELLS_ALL,
    .peers = 2,
    .start = comm_start,
    .stop = comm_stop,
    .fresh = comm_fresh,
    .args = comm_args,
    .shows = comm_shows,
    .hand = comm_hand,
    .forget = comm_world,
    .fault = comm_fault,
    .busy = comm_busy,
    .weight = comm_weight,
};
