/* SPDX-License-Identifier: MIT */
/* Transport `local`: commands on the controller itself, through /bin/sh in a process group of their own.
 *
 * The process itself is drivers/op/process.c, which the openssh transport uses too. */
#include "drivers/op/process.h"
#include "drivers/transport/transport.h"

#include <stdlib.h>

static enum link_end local_open(struct op *op, struct conns *conns, const struct target *t, struct link **ret,
                                struct err *err)
{
    (void)op, (void)conns, (void)t, (void)err;
    struct link *l = xcalloc(1, sizeof(*l));
    l->transport = &transport_local;
    *ret = l;
    return LINK_OK;
}

static bool local_alive(struct link *l)
{
    (void)l;
    return true;
}

static void local_close(struct link *l)
{
    free(l);
}

struct call {
    struct process *process;
};

static enum link_end local_call(struct op *op, struct link *l, const struct call_req *req, struct call **ret,
                                struct err *err)
{
    (void)op, (void)l;
    const char *argv[] = {"/bin/sh", "-c", req->command, NULL};
    *ret = xcalloc(1, sizeof(**ret));
    (*ret)->process = process_start(argv, req, err);
    return (*ret)->process ? LINK_OK : LINK_REFUSED;
}

static enum link_end local_pump(struct op *op, struct call *c, int64_t bound_ms, struct call_end *ret,
                                struct err *err)
{
    return process_pump(op, c->process, bound_ms, ret, err);
}

static void local_call_free(struct call *c)
{
    if (!c)
        return;
    process_free(c->process);
    free(c);
}

const struct transport transport_local = {
    .name = "local",
    .open = local_open,
    .alive = local_alive,
    .close = local_close,
    .call = local_call,
    .pump = local_pump,
    .call_free = local_call_free,
};
