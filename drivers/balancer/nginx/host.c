/* SPDX-License-Identifier: MIT */
/* nginx: what is asked and done on its host (../host.h). */
#include <inttypes.h>
#include <string.h>

#include "drivers/balancer/host.h"
#include "drivers/balancer/nginx/nginx.h"
#include "drivers/balancer/scripts.h"

#define LOOK_MAX   (4u << 20)
#define CONFIG_MAX (16u << 20)
#define RELOAD_S   15

bool nginx_look(struct lb *lb, size_t peer, struct nginx_look *ret)
{
    struct op *op = lb->op;
    struct lb_words w = {.script = script_nginx};
    struct node_result r;
    struct err err = {0};
    const char *status = op_arg(op, "status");
    lb_words_add(&w, "look");
    lb_words_add(&w, op_arg(op, "include"));
    lb_words_add(&w, op_arg(op, "pid"));
    lb_words_add(&w, status ? status : "");
    lb_words_add(&w, lb_seconds_left(op, INT32_MAX));
    if (!lb_host_ask(lb, peer, &w, LOOK_MAX, &r))
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
    struct lb_words w = {.script = script_nginx};
    struct node_result r;
    struct err err = {0};
    lb_words_add(&w, "config");
    lb_words_add(&w, op_arg(op, "include"));
    lb_words_add(&w, op_arg(op, "pid"));
    lb_words_add_command(lb, &w);
    if (!lb_host_ask(lb, peer, &w, CONFIG_MAX, &r))
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
    struct lb_words w = {.script = script_nginx};
    lb_words_add(&w, "put");
    lb_words_add(&w, op_arg(op, "include"));
    lb_words_add(&w, op_arg(op, "pid"));
    lb_words_add(&w, s->addr);
    lb_words_add(&w, down ? "down" : "up");
    lb_words_add(&w, stale ? "yes" : "no");
    lb_words_add(&w, lb_seconds_left(op, RELOAD_S));
    lb_words_add_command(lb, &w);
    return lb_host_tell(lb, peer, op_arg(op, "include"), &w, ret_refusal);
}
