/* SPDX-License-Identifier: MIT */
/* Transport `openssh`: the same calls through the system's ssh program, for what libssh2 cannot do (RSA and
 * FIDO keys, certificates, @cert-authority, other ciphers).
 *
 * One private master per target does the login; every call is a client of it that never connects by itself.
 * What ssh has to say goes to a file of its own (-E), so that a command's output is never mixed with it, and
 * 255 with an empty file is the command's. */
#include "drivers/op/process.h"
#include "drivers/transport/ssh/master.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"

struct master {
    struct link link;
    char *name, *socket;
    struct hop *hop; /* NULL = without jump host */
    atomic_int n_calls;
};

/* What ssh said, in one line, and away with the file. "" = nothing. */
static char *log_take(const char *path, struct arena *arena)
{
    char *said = log_read(path, arena);
    unlink(path);
    return said;
}

static enum link_end login_at(struct op *op, const struct target *t, const char *path, const struct hop *hop,
                              struct err *err)
{
    struct master_login l = {.path = path, .via = hop ? hop_path(hop) : NULL, .log_level = "ERROR"};
    long mark = hop ? hop_mark(hop) : 0;
    const char *way = "";
    enum link_end end = master_login(op, t, &l, &way, err);
    unlink(arena_printf(op_arena(op), "%s.log", path));
    if (end == LINK_LOST && *way) {
        const char *reason = hop_reason(hop, mark, op_arena(op));
        err_set(err, E_NET, "%s: the jump host opens no connection to %s: %s", t->id, t->host,
                reason ? reason : way);
    }
    return end;
}

static enum link_end openssh_open(struct op *op, struct conns *conns, const struct target *t,
                                  struct link **ret, struct err *err)
{
    if (t->host[0] == '-' || t->host[0] == '\0') {
        err_set(err, E_CONFIG, "%s: '%s' is not a host name", t->id, t->host);
        return LINK_REFUSED;
    }
    const char *path = master_path(op, conns, err);
    if (!path)
        return LINK_REFUSED;
    struct hop *hop = NULL;
    enum link_end end = LINK_LOST;
    bool again = true;
    /* A shared login may have died without our having seen it; then it is another one's turn. */
    while (again) {
        end = hop_join(op, conns, t, &hop, err);
        if (end != LINK_OK)
            return end;
        end = login_at(op, t, path, hop, err);
        again = end == LINK_LOST && hop && !master_alive(hop_path(hop));
        if (end != LINK_OK)
            hop_leave(hop);
    }
    if (end != LINK_OK)
        return end;
    struct master *m = xcalloc(1, sizeof(*m));
    *m = (struct master){.link = {.transport = &transport_openssh},
                         .name = xstrdup(t->id),
                         .socket = xstrdup(path),
                         .hop = hop};
    *ret = &m->link;
    return LINK_OK;
}

static bool openssh_alive(struct link *link)
{
    return master_alive(((struct master *)link)->socket);
}

static void openssh_close(struct link *link)
{
    struct master *m = (struct master *)link;
    master_quit(m->socket);
    hop_leave(m->hop);
    free(m->name);
    free(m->socket);
    free(m);
}

/* ---- calls
 * -------------------------------------------------------------------------------------------------------- */

struct call {
    struct master *master;
    struct process *process;
    char *log;
    struct call_req whole; /* with the command before the input */
    struct buf input;
};

static enum link_end openssh_call(struct op *op, struct link *link, const struct call_req *req,
                                  struct call **ret, struct err *err)
{
    struct master *m = (struct master *)link;
    struct arena *arena = op_arena(op);
    const char *log = arena_printf(arena, "%s-%d.log", m->socket, atomic_fetch_add(&m->n_calls, 1));
    struct call *c = xcalloc(1, sizeof(*c));
    *c = (struct call){.master = m, .log = xstrdup(log), .input = BUF_INIT(SIZE_MAX)};
    auto_buf struct buf command = BUF_INIT(256);
    call_text_wrap(req, &command, &c->input);
    c->whole = *req;
    c->whole.input = c->input.data;
    c->whole.input_len = c->input.len;
    /* ProxyCommand=false: when the master is gone this must fail, not connect anew by other rules. */
    const char *argv[] = {"ssh",
                          "-F",
                          "none",
                          "-T",
                          "-S",
                          m->socket,
                          "-E",
                          log,
                          "-o",
                          "ControlMaster=no",
                          "-o",
                          "ProxyCommand=false",
                          "-o",
                          "BatchMode=yes",
                          "-o",
                          "LogLevel=ERROR",
                          "--",
                          "x",
                          buf_str(&command),
                          NULL};
    c->process = process_start(argv, &c->whole, err);
    *ret = c;
    return c->process ? LINK_OK : LINK_REFUSED;
}

static enum link_end openssh_pump(struct op *op, struct call *c, int64_t bound_ms, struct call_end *ret,
                                  struct err *err)
{
    enum link_end end = process_pump(op, c->process, bound_ms, ret, err);
    if (end != LINK_OK || ret->status != 255)
        return end;
    const char *said = log_take(c->log, op_arena(op));
    if (strstr(said, "ession open refused by peer")) {
        err_set(err, E_NET, "%s: the server opens no further channel (MaxSessions?): %s", c->master->name,
                said);
        return LINK_REFUSED;
    }
    if (*said || !openssh_alive(&c->master->link)) {
        err_set(err, E_NET, "%s: connection lost: %s", c->master->name,
                *said ? said : "the ssh master ended");
        return LINK_LOST;
    }
    /* ssh gives 255 for a command that a signal ended, and for one that said 255 itself; the script's own
     * last word comes first where there is one (node.c). */
    *ret = (struct call_end){.status = -1, .signal = 255};
    return LINK_OK;
}

static void openssh_call_free(struct call *c)
{
    if (!c)
        return;
    process_free(c->process);
    unlink(c->log);
    free(c->log);
    buf_fini(&c->input);
    free(c);
}

const struct transport transport_openssh = {
    .name = "openssh",
    .open = openssh_open,
    .alive = openssh_alive,
    .close = openssh_close,
    .call = openssh_call,
    .pump = openssh_pump,
    .call_free = openssh_call_free,
};
