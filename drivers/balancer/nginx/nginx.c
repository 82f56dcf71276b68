/* SPDX-License-Identifier: MIT */
/* nginx: the servers of a file that stands inside upstream blocks, listed and put `down` and back (nginx.h). */
#include "drivers/balancer/nginx/nginx.h"

#include <string.h>

#include "base/str.h"
#include "drivers/balancer/host.h"
#include "drivers/node/report.h"

/* One row's own: whose line it is, and what was seen around it. */
struct own {
    const struct nginx_server *server;
    const struct nginx_look *look;
};

static bool nginx_open(struct lb *lb)
{
    return lb_hosts_open(lb) && want_path(lb->op, "include", op_arg(lb->op, "include")) &&
           want_path(lb->op, "pid", op_arg(lb->op, "pid"));
}

/* ---- list ------------------------------------------------------------------ */

static bool same_address(struct arena *a, const char *text, const struct nginx_server *s)
{
    const char *host;
    int port;
    if (!str_starts(text + (*text == '['), s->host)) /* most are not, and there may be thousands */
        return false;
    return nginx_addr_parse(text, a, &host, &port) && port == s->port && !strcmp(host, s->host);
}

/* A server has no name in nginx: it goes by the one word behind its line, or by its address, whichever the pillar uses. */
static const char *name_of(struct lb *lb, const struct nginx_server *s)
{
    struct arena *a = op_arena(lb->op);
    size_t n = 0;
    const char *const *asked = lb->server ? NULL : op_arg_list(lb->op, "servers", &n);
    if (lb->server && same_address(a, lb->server, s))
        return lb->server;
    for (size_t i = 0; i < n; i++) {
        if (same_address(a, asked[i], s))
            return asked[i];
    }
    return s->name ? s->name : s->addr;
}

static struct lb_server row_of(struct lb *lb, const char *pool, const struct nginx_look *look,
                               const struct nginx_server *s)
{
    struct own *own = arena_alloc(op_arena(lb->op), sizeof *own);
    *own = (struct own){.server = s, .look = look};
    bool serving = !look->stale && !s->down;
    return (struct lb_server){.pool = pool,
                              .name = name_of(lb, s),
                              .state = look->stale ? LB_UNKNOWN
                                       : s->down   ? LB_DRAIN
                                                   : LB_READY,
                              .serving = serving,
                              .up = serving,
                              .weight = -1,
                              .sessions = -1,
                              .queued = -1,
                              .status = look->stale
                                            ? "the file was changed after nginx was last reloaded: reload it"
                                        : s->down ? "down"
                                                  : "up",
                              .check = look->status && !look->unfit_status ? look->status : NULL,
                              .addr = s->host,
                              .port = s->port,
                              .own = own};
}

/* Included in every upstream block that the pillar names, and the pid file is the configuration's. */
static bool config_fits(struct lb *lb, size_t peer, const struct nginx_config *c)
{
    const char *who = lb->peers[peer].text, *include = op_arg(lb->op, "include"),
               *pid = op_arg(lb->op, "pid");
    for (size_t i = 0; i < lb->n_pools; i++) {
        auto_buf struct buf names = BUF_INIT(300);
        for (size_t k = 0; k < c->n_upstreams; k++)
            buf_printf(&names, "%s%s", k ? ", " : "", lb_first_line(lb->op, c->upstreams[k]));
        if (nginx_config_includes(c, lb->pools[i]))
            continue;
        op_refused(
            lb->op, E_CONFIG,
            "%s: %s is not included in a block `upstream %s {}` of the configuration that nginx -T shows "
            "(its upstreams: %s%s); write `include %s;` there",
            who, include, lb->pools[i], names.len ? buf_str(&names) : "none", names.cut ? "..." : "",
            include);
        return false;
    }
    if (c->pid && c->pid[0] == '/' && strcmp(c->pid, pid) != 0 &&
        !(str_starts(c->pid, "/var/run/") && !strcmp(c->pid + strlen("/var"), pid))) {
        op_refused(lb->op, E_CONFIG, "%s: nginx writes its process number to %s, the pillar says `pid: %s`",
                   who, lb_first_line(lb->op, c->pid), pid);
        return false;
    }
    return true;
}

/* Who else sends to these addresses: the servers of other upstream blocks, or of other files. */
static void add_others(struct lb *lb, const struct nginx_config *c, struct lb_table *io)
{
    struct lb_server *rows = arena_array(op_arena(lb->op), io->n + c->n + 1, sizeof *rows);
    if (io->n > 0)
        memcpy(rows, io->rows, io->n * sizeof *rows);
    for (size_t i = 0; i < c->n; i++) {
        const struct nginx_use *u = &c->uses[i];
        if (u->down || !strcmp(u->file, op_arg(lb->op, "include")))
            continue;
        rows[io->n++] = (struct lb_server){.pool = u->upstream,
                                           .name = u->addr,
                                           .state = LB_READY,
                                           .weight = -1,
                                           .addr = u->host,
                                           .port = u->port};
    }
    io->rows = rows;
}

/* The configuration is asked for with every look at all servers: before a release, and before each drain. */
static bool nginx_list(struct lb *lb, size_t peer, enum lb_ask ask, struct lb_table *ret)
{
    struct nginx_look *look = arena_alloc(op_arena(lb->op), sizeof *look);
    struct nginx_config config = {.n = 0};
    if (!nginx_look(lb, peer, look))
        return false;
    if (!lb->server && (!nginx_config(lb, peer, &config) || !config_fits(lb, peer, &config)))
        return false;
    if (!lb->server && look->unfit_status) {
        op_refused(lb->op, E_CONFIG, "%s: status: %s: %s", lb->peers[peer].text, op_arg(lb->op, "status"),
                   lb_first_line(lb->op, look->status));
        return false;
    }
    *ret = (struct lb_table){
        .rows = arena_array(op_arena(lb->op), look->servers.n * lb->n_pools + 1, sizeof *ret->rows)};
    for (size_t k = 0; k < lb->n_pools; k++)
        for (size_t i = 0; i < look->servers.n; i++)
            ret->rows[ret->n++] = row_of(lb, lb->pools[k], look, &look->servers.rows[i]);
    if (ask == LB_ASK_ALL)
        add_others(lb, &config, ret);
    return true;
}

/* ---- put, count ------------------------------------------------------------ */

static bool nginx_place_put(struct lb *lb, const struct lb_place *p, enum lb_state want,
                            const char **ret_refusal)
{
    const struct own *own = p->rows[0].own;
    return nginx_put(lb, p->peer, own->server, lb_state_is_out(want), own->look->stale, ret_refusal);
}

/* Old workers of all nginxes together: each may still send to the server that was taken out. */
static bool nginx_count(struct lb *lb, int64_t *ret)
{
    if (!strcmp(op_arg(lb->op, "idle"), "node"))
        return lb_idle_on_node(lb, ret);
    *ret = 0;
    for (size_t i = 0; i < lb->n; i += lb->n_pools) {
        const struct nginx_look *look = ((const struct own *)lb->at[i].rows[0].own)->look;
        *ret += (int64_t)look->leaving;
        if (look->status)
            op_fact(lb->op, arena_printf(op_arena(lb->op), "nginx.status.%s", lb->peers[lb->at[i].peer].text),
                    "%s%s", look->unfit_status ? "not told: " : "", lb_first_line(lb->op, look->status));
    }
    return true;
}

static const struct balancer nginx_balancer = {
    .name = "nginx",
    .can = LB_CAN_FORGET,
    .peers_param = "hosts",
    .pools_param = "upstream",
    .server_param = "server",
    .words = {[LB_READY] = "up", [LB_DRAIN] = "down"},
    .pool_noun = "upstream",
    .server_noun = "server",
    .deed = "down",
    .up_words = "up, and nginx reloaded since",
    .many = "the nginxes",
    .forgets = ", somebody else has written the file",
    .stuck = "; somebody else writes the file",
    .left = "workers",
    .name_valid = nginx_name_valid,
    .name_wanted = "letters, digits and ._:@~[]-, at most 200, no - first",
    .open = nginx_open,
    .list = nginx_list,
    .put = nginx_place_put,
    .count = nginx_count,
};

/* ---- table ----------------------------------------------------------------- */

#define P_HOSTS LB_P_HOSTS("nginx")
#define P_UPSTREAM                                                                                           \
    {                                                                                                        \
        .name = "upstream", .type = PARAM_LIST, .required = true,                                            \
        .help = "the upstream block that includes the file, or a list of all that do"                        \
    }
#define P_INCLUDE                                                                                            \
    {                                                                                                        \
        .name = "include", .type = PARAM_STR, .required = true,                                              \
        .help =                                                                                              \
            "the file of servers on those hosts, one `server ADDRESS [PARAMETERS];` a line, nothing else"    \
    }
#define P_COMMAND                                                                                            \
    {                                                                                                        \
        .name = "command", .type = PARAM_LIST, .deflt = "[\"nginx\"]",                                       \
        .help = "how nginx is called there, for -T, -t and -s reload: [sudo, -n, /usr/sbin/nginx]"           \
    }
#define P_PID                                                                                                \
    {                                                                                                        \
        .name = "pid", .type = PARAM_STR, .deflt = "/run/nginx.pid",                                         \
        .help = "file with its master's process number"                                                      \
    }
#define P_STATUS                                                                                             \
    {                                                                                                        \
        .name = "status", .type = PARAM_STR,                                                                 \
        .help = "URL of stub_status, asked there: http://127.0.0.1/nginx_status"                             \
    }
#define P_IDLE                                                                                               \
    {                                                                                                        \
        .name = "idle", .type = PARAM_CHOICE, .deflt = "workers", .choices = "workers|node",                 \
        .help = "old workers of nginx, or connections to the node's port, on the node"                       \
    }
#define P_SHARED P_HOSTS, P_UPSTREAM, P_INCLUDE, P_COMMAND, P_PID, LB_P_RUNAS, P_STATUS

static const struct param node_params[] = {P_SHARED, LB_P_SERVER, P_IDLE, PARAM_END};
static const struct param fleet_params[] = {
    P_SHARED,
    {.name = "servers", .type = PARAM_LIST, .help = "servers of the plan's nodes; default: all of the file"},
    PARAM_END,
};
static const struct param survey_params[] = {
    P_SHARED,
    {.name = "ignore_backends",
     .type = PARAM_LIST,
     .help = "other upstreams that send to nodes of this release, and may go on doing so"},
    PARAM_END,
};

static bool nginx_check(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    (void)timeout_ms;
    for (size_t i = 0; i < n; i++) {
        const char *name = args[i].name, *value = args[i].value;
        if (!strcmp(name, "command") &&
            !lb_command_check(value, "[nginx] or [sudo, -n, /usr/sbin/nginx]", err))
            return false;
        if ((!strcmp(name, "include") || !strcmp(name, "pid")) && value[0] != '/')
            return err_set(err, E_CONFIG, "%s: '%.200s' is not an absolute path", name, value);
        if (!strcmp(name, "status") && (!(str_starts(value, "http://") || str_starts(value, "https://")) ||
                                        strpbrk(value, " \t\r\n\"'\\@")))
            return err_set(err, E_CONFIG, "status: '%.200s' is not a URL: http://HOST[:PORT]/PATH", value);
    }
    return true;
}

#define CHANGE_MS 60000 /* a reload may take 15 s on each of several hosts */

static const struct verb verbs[] = {
    {LB_OBSERVE_ROW("nginx"), LB_OF(nginx_balancer, node_params), .check = nginx_check,
     .help = "is the server down in every nginx? records whether it was before the release"},
    {LB_CHANGE_ROW("nginx", drain, "observe", CHANGE_MS), LB_OF(nginx_balancer, node_params),
     .check = nginx_check, .does = DOES_DRAIN, .counts = "old workers left", .deadline = "",
     .record_before = true,
     .help =
         "writes `down` behind the server in the file of every nginx, tests, reloads; running requests finish"},
    {LB_READ_ROW("nginx", wait_idle, 60000), LB_OF(nginx_balancer, node_params), .check = nginx_check,
     .does = DOES_IDLE, .counts = "old workers left", .waits = true, .deadline = LB_DEADLINE,
     .interval_ms = 1000,
     .help = "waits until no worker of before the change is left: these have the requests that still run"},
    {LB_ENABLE_ROW("nginx", CHANGE_MS), LB_OF(nginx_balancer, node_params), .check = nginx_check,
     .help = "takes `down` away again, unless it was there before the release; tests, reloads"},
    {LB_ENABLED_ROW("nginx"), LB_OF(nginx_balancer, node_params), .check = nginx_check,
     .help = "is the server as before the release, in every nginx?"},
    {LB_WAIT_UP_ROW("nginx"), LB_OF(nginx_balancer, node_params), .check = nginx_check,
     .help = "is the server without `down`, and every nginx reloaded since? (it knows no health)"},
    {LB_GUARD_ROW("nginx"), LB_OF(nginx_balancer, node_params), .check = nginx_check,
     .help = "is the server that we hold still down in every nginx? somebody may write the file"},
    {LB_CAPACITY_ROW("nginx"), LB_OF(nginx_balancer, fleet_params), .check = nginx_check,
     .help = "how many servers are not down; is the file in the configuration of every nginx?"},
    {LB_SHOW_ROW("nginx"), LB_OF(nginx_balancer, fleet_params), .check = nginx_check,
     .help = "every server of the file as each nginx has it"},
    {LB_SURVEY_ROW("nginx"), LB_OF(nginx_balancer, survey_params), .check = nginx_check,
     .help = "other upstream blocks that send to the same addresses"},
    {0},
};

extern const struct driver nginx_driver;
const struct driver nginx_driver = {
    .name = "nginx",
    .help =
        "nginx, open source, as the balancer: a file of servers that an upstream block includes is changed on its "
        "host and nginx reloaded; the workers of before are waited for. Needs nginx -T, -t and -s reload there, "
        "and the right to change that file.",
    .verbs = verbs,
};
