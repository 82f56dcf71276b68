/* SPDX-License-Identifier: MIT */
/* nginx: what is asked and done on its host, through SSH or on this machine. */
#include <inttypes.h>
#include <string.h>

#include "drivers/balancer/nginx/nginx.h"
#include "drivers/balancer/scripts.h"
#include "drivers/node/node.h"
#include "drivers/node/report.h"

#define LOOK_MAX   (4u << 20)
#define CONFIG_MAX (16u << 20)
#define ARGS_MAX   (8 + NGINX_COMMAND_MAX)
/* Of lib.sh: how a script ends that refuses, and one that could not find out. */
#define REFUSED     65
#define CANNOT_TELL 69
#define SPARE_S     4
#define RELOAD_S    15

/* NULL: this machine, without SSH. Others of 127.0.0.0/8 may be a tunnel's, or a container's. */
static const char *host_of(const struct lb *lb, size_t peer)
{
    static const char *const here[] = {"localhost", "127.0.0.1", "::1"};
    for (size_t i = 0; i < sizeof here / sizeof *here; i++) {
        if (!strcmp(lb->peers[peer].text, here[i]))
            return NULL;
    }
    return lb->peers[peer].text;
}

struct words {
    const char *args[ARGS_MAX + 1];
    size_t n;
};

static void add(struct words *w, const char *word)
{
    must(w->n < ARGS_MAX);
    w->args[w->n++] = word;
}

/* How nginx is called there; nginx_check has seen that it fits. */
static void add_nginx(struct lb *lb, struct words *w)
{
    size_t n;
    const char *const *command = op_arg_list(lb->op, "command", &n);
    for (size_t i = 0; i < n; i++)
        add(w, command[i]);
}

/* "refuse CODE WORDS" or "unknown CODE WORDS" stands in the last line of what a script said. */
static const char *its_words(struct lb *lb, const struct node_result *r)
{
    const char *line = r->out, *next;
    while ((next = strchr(line, '\n')) && next[1])
        line = next + 1;
    for (int word = 0; word < 2 && strchr(line, ' '); word++)
        line = strchr(line, ' ') + 1;
    const char *words = r->status == REFUSED || r->status == CANNOT_TELL ? line : report_tail(lb->op, r->err);
    return *words ? lb_first_line(lb->op, words) : "it said nothing";
}

static bool ask(struct lb *lb, size_t peer, const struct words *w, size_t max_out, struct node_result *ret)
{
    struct op *op = lb->op;
    const char *who = lb->peers[peer].text;
    const struct node_cmd cmd = {.script = script_nginx,
                                 .args = w->args,
                                 .runas = op_arg(op, "runas"),
                                 .max_out = max_out,
                                 .quiet = true};
    if (!host_read(op, host_of(lb, peer), &cmd, ret))
        return false;
    if (ret->cut)
        op_fail(op, E_LIMIT, "%s: more than %zu MiB were answered", who, max_out >> 20);
    else if (ret->status == REFUSED)
        op_refused(op, E_CONFIG, "%s: %s", who, its_words(lb, ret));
    else if (ret->status != 0)
        op_fail(op, E_STATE, "%s: %s", who, its_words(lb, ret));
    return !op_failed(op);
}

/* How long to wait there for others, so that it is told before the op's deadline ends everything. */
static const char *seconds_left(struct op *op, int64_t most)
{
    int64_t s = op_left_ms(op) / 1000 - SPARE_S;
    return arena_printf(op_arena(op), "%" PRId64, s < 1 ? 1 : s < most ? s : most);
}

bool nginx_look(struct lb *lb, size_t peer, struct nginx_look *ret)
{
    struct op *op = lb->op;
    struct words w = {.n = 0};
    struct node_result r;
    struct err err = {0};
    const char *status = op_arg(op, "status");
    add(&w, "look");
    add(&w, op_arg(op, "include"));
    add(&w, op_arg(op, "pid"));
    add(&w, status ? status : "");
    add(&w, seconds_left(op, INT32_MAX));
    if (!ask(lb, peer, &w, LOOK_MAX, &r))
        return false;
    if (nginx_look_parse(r.out, r.out_len, op_arena(op), ret, &err))
        return true;
    if (err.code == E_CONFIG) /* the file's own fault, and somebody must mend it */
        op_refused(op, E_CONFIG, "%s: %s: %s", lb->peers[peer].text, op_arg(op, "include"), err.text);
    else
        op_fail(op, err.code, "%s: %s", lb->peers[peer].text, err.text);
    return false;
}

bool nginx_config(struct lb *lb, size_t peer, struct nginx_config *ret)
{
    struct op *op = lb->op;
    struct words w = {.n = 0};
    struct node_result r;
    struct err err = {0};
    add(&w, "config");
    add(&w, op_arg(op, "include"));
    add(&w, op_arg(op, "pid"));
    add_nginx(lb, &w);
    if (!ask(lb, peer, &w, CONFIG_MAX, &r))
        return false;
    if (nginx_config_parse(r.out, r.out_len, op_arg(op, "include"), op_arena(op), ret, &err))
        return true;
    op_refused(op, err.code, "%s: %s", lb->peers[peer].text, err.text);
    return false;
}

bool nginx_put(struct lb *lb, size_t peer, const struct nginx_server *s, bool down, bool stale,
               const char **ret_refusal)
{
    struct op *op = lb->op;
    struct words w = {.n = 0};
    struct node_result r;
    add(&w, "put");
    add(&w, op_arg(op, "include"));
    add(&w, op_arg(op, "pid"));
    add(&w, s->addr);
    add(&w, down ? "down" : "up");
    add(&w, stale ? "yes" : "no");
    add(&w, seconds_left(op, RELOAD_S));
    add_nginx(lb, &w);
    const struct node_cmd cmd = {
        .script = script_nginx, .args = w.args, .runas = op_arg(op, "runas"), .quiet = true};
    if (!host_change(op, host_of(lb, peer), op_arg(op, "include"), &cmd, &r))
        return false;
    if (r.status == REFUSED)
        *ret_refusal = its_words(lb, &r);
    else if (r.status != 0)
        op_fail(op, E_STATE, "%s: %s", lb->peers[peer].text, its_words(lb, &r));
    return !op_failed(op);
}
