/* SPDX-License-Identifier: MIT */
/* Old workers. After a reload HAProxy's old process finishes what it has, and the new one, whose socket is asked for all
 * else, does not know of it. The master (haproxy -W -S SOCKET) does: `show proc` has the old workers, `@!PID COMMAND` asks
 * one. One that has ended meanwhile has nothing left. */
#include "drivers/balancer/haproxy/haproxy.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"

#define GONE "Can't find the target PID"

static bool not_understood(struct lb *lb, const struct hap_socket *master, const struct err *err)
{
    op_fail(lb->op, err->code, "%s: %s", master->text, err->text);
    return false;
}

static bool old_workers(struct lb *lb, const struct hap_socket *master, struct hap_pids *ret)
{
    struct err err = {0};
    const char *answer = hap_ask(lb->op, master, "show proc");
    return answer &&
           (hap_parse_old_workers(answer, op_arena(lb->op), ret, &err) || not_understood(lb, master, &err));
}

bool hap_master_fits(struct lb *lb, const struct hap_socket *master)
{
    struct hap_pids old;
    return old_workers(lb, master, &old);
}

/* *ret NULL: that worker has ended. "": it closed without an answer, as one does that is about to. */
static bool ask_old(struct lb *lb, const struct hap_socket *master, int pid, const char *command,
                    const char **ret)
{
    *ret = hap_ask_ending(lb->op, master, arena_printf(op_arena(lb->op), "@!%d %s", pid, command));
    if (!*ret)
        return false;
    if (str_starts(*ret, GONE))
        *ret = NULL;
    return true;
}

/* An old worker that says nothing may have anything: it is asked again, until the master does not list it any more. */
static bool says_nothing(struct lb *lb, const struct hap_socket *master, int pid)
{
    op_fail(lb->op, E_PROTO, "%s: old worker %d, which is ending, did not say what it has left", master->text,
            pid);
    return false;
}

/* None, when that worker has ended. */
static bool sessions_in(struct lb *lb, const struct hap_socket *master, const char *answer, struct hap_key of,
                        struct hap_ids *ret)
{
    struct err err = {0};
    *ret = (struct hap_ids){.n = 0};
    return !answer || hap_parse_sessions(answer, of, op_arena(lb->op), ret, &err) ||
           not_understood(lb, master, &err);
}

/* By `show stat`, which is short; where that has no such server, by the list of sessions: the server may be new, or the
 * version one that hides what is stopped. */
static bool left_in(struct lb *lb, const struct hap_socket *master, int pid, struct hap_key of, int64_t *ret)
{
    struct err err = {0};
    struct hap_ids ids;
    const char *answer;
    *ret = 0;
    if (!ask_old(lb, master, pid, "show stat -1 4 -1", &answer))
        return false;
    if (!answer)
        return true;
    if (!*answer)
        return says_nothing(lb, master, pid);
    if (!hap_parse_left(answer, of, op_arena(lb->op), ret, &err))
        return not_understood(lb, master, &err);
    if (*ret >= 0)
        return true;
    if (!ask_old(lb, master, pid, "show sess", &answer))
        return false;
    if (answer && !*answer)
        return says_nothing(lb, master, pid);
    if (!sessions_in(lb, master, answer, of, &ids))
        return false;
    *ret = (int64_t)ids.n;
    return true;
}

static struct hap_key key_of(const struct lb_server *s)
{
    return (struct hap_key){s->pool, ((const struct hap_server *)s->own)->name};
}

bool hap_add_old(struct lb *lb, const struct hap_socket *master, const char *peer, struct lb_table *io)
{
    struct hap_pids old;
    int64_t all = 0, left;
    if (!old_workers(lb, master, &old))
        return false;
    for (size_t i = 0; i < old.n; i++)
        for (size_t k = 0; k < io->n; k++) {
            if (strcmp(io->rows[k].name, lb->server) != 0)
                continue;
            if (!left_in(lb, master, old.pids[i], key_of(&io->rows[k]), &left))
                return false;
            io->rows[k].sessions += left;
            all += left;
        }
    if (all > 0) /* of workers that the socket does not show: else nobody would find them */
        op_fact(lb->op, arena_printf(op_arena(lb->op), "old_workers.%s", peer),
                "%" PRId64 " of its sessions in %zu", all, old.n);
    return true;
}

static bool kill_in(struct lb *lb, const struct hap_socket *master, int pid, struct hap_key of,
                    const char **ret_refusal)
{
    const char *answer;
    struct hap_ids ids;
    if (!ask_old(lb, master, pid, "show sess", &answer))
        return false;
    if (answer && !*answer) /* it is ending; what it may have left is counted, and then asked for */
        return true;
    if (!sessions_in(lb, master, answer, of, &ids))
        return false;
    for (size_t i = 0; i < ids.n; i++) {
        const char *command = arena_printf(op_arena(lb->op), "shutdown session %s", ids.ids[i]);
        if (!ask_old(lb, master, pid, command, &answer))
            return false;
        if (answer && str_starts(answer, "Permission denied"))
            *ret_refusal =
                arena_printf(op_arena(lb->op), "%s: %s", master->text, lb_first_line(lb->op, answer));
    }
    return true;
}

/* `shutdown sessions server` is refused there (its proxies are stopped): one by one. */
bool hap_kill_old(struct lb *lb, const struct hap_socket *master, struct hap_key of, const char **ret_refusal)
{
    struct hap_pids old;
    if (!old_workers(lb, master, &old))
        return false;
    for (size_t i = 0; i < old.n && !*ret_refusal; i++) {
        if (!kill_in(lb, master, old.pids[i], of, ret_refusal))
            return false;
    }
    return true;
}
