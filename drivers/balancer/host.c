/* SPDX-License-Identifier: MIT */
/* What is asked and done on a balancer's own host, by a script. */
#include "drivers/balancer/host.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "drivers/node/report.h"

/* Of lib.sh: how a script ends that refuses, and one that could not find out. */
#define REFUSED     65
#define CANNOT_TELL 69
#define SPARE_S     4

bool lb_host_valid(const char *s)
{
    size_t n = strspn(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._:-");
    return n > 0 && n <= 253 && s[n] == '\0' && *s != '-';
}

bool lb_hosts_open(struct lb *lb)
{
    for (size_t i = 0; i < lb->n_peers; i++) {
        if (lb_host_valid(lb->peers[i].text))
            continue;
        op_refused(
            lb->op, E_CONFIG,
            "balancer: %s: \"%s\" is no host; wanted a name or an address as ssh takes it, or localhost",
            lb->kind->name, lb->peers[i].text);
        return false;
    }
    return true;
}

bool lb_command_check(const char *value, const char *example, struct err *err)
{
    json_t *list = json_loads(value, 0, NULL), *one;
    size_t i, n = json_array_size(list);
    bool fine = n >= 1 && n <= LB_COMMAND_MAX;
    json_array_foreach(list, i, one) fine = fine && json_is_string(one) && *json_string_value(one);
    json_decref(list);
    return fine || err_set(err, E_CONFIG, "command: wanted 1 to %d words: %s", LB_COMMAND_MAX, example);
}

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

void lb_words_add(struct lb_words *w, const char *word)
{
    must(w->n < LB_ARGS_MAX);
    w->args[w->n++] = word;
}

void lb_words_add_command(struct lb *lb, struct lb_words *w)
{
    size_t n;
    const char *const *command = op_arg_list(lb->op, "command", &n);
    for (size_t i = 0; i < n; i++)
        lb_words_add(w, command[i]);
}

const char *lb_seconds_left(struct op *op, int64_t most)
{
    int64_t s = op_left_ms(op) / 1000 - SPARE_S;
    return arena_printf(op_arena(op), "%" PRId64, s < 1 ? 1 : s < most ? s : most);
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

bool lb_host_ask(struct lb *lb, size_t peer, const struct lb_words *w, size_t max_out,
                 struct node_result *ret)
{
    struct op *op = lb->op;
    const char *who = lb->peers[peer].text;
    const struct node_cmd cmd = {.script = w->script,
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

bool lb_host_tell(struct lb *lb, size_t peer, const char *path, const struct lb_words *w,
                  const char **ret_refusal)
{
    struct op *op = lb->op;
    struct node_result r;
    const struct node_cmd cmd = {
        .script = w->script, .args = w->args, .runas = op_arg(op, "runas"), .quiet = true};
    if (!host_change(op, host_of(lb, peer), path, &cmd, &r))
        return false;
    if (r.status == REFUSED)
        *ret_refusal = its_words(lb, &r);
    else if (r.status != 0)
        op_fail(op, E_STATE, "%s: %s", lb->peers[peer].text, its_words(lb, &r));
    return !op_failed(op);
}
