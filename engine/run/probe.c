/* SPDX-License-Identifier: MIT */
/* READ verbs outside a release: many at once, results in order. */
#include "run/run_priv.h"
#include "run/probe_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/auto.h"

struct batch *batch_new(const struct plan *plan, const struct run_options *opt)
{
    struct batch *b = xcalloc(1, sizeof(*b));
    *b = (struct batch){.plan = plan,
                        .opt = opt,
                        .pool = pool_new(opt->workers),
                        .conns = opt->conns,
                        .cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    must(b->cancel_fd >= 0);
    if (!b->conns)
        b->conns = b->own_conns = conns_new(transport_table);
    return b;
}

struct job_basis batch_basis(const struct batch *b)
{
    return (struct job_basis){
        .plan = b->plan, .opt = b->opt, .conns = b->conns, .waker_fd = pool_done_fd(b->pool)};
}

void batch_take(struct batch *b, struct job *job)
{
    job->spec.cancel_fd = b->cancel_fd;
    b->jobs = xrealloc(b->jobs, (b->n + 1) * sizeof(struct job *));
    b->jobs[b->n++] = job;
}

struct job *batch_later(struct batch *b, const struct plan_step *step, const struct verb *verb,
                        const struct plan_node *node)
{
    const struct job_basis basis = batch_basis(b);
    struct job *job = bridge_probe_job(&basis, &(struct step_call){.step = step, .verb = verb, .node = node});
    batch_take(b, job);
    return job;
}

void batch_start(struct batch *b, struct job *job)
{
    pool_put(b->pool, job);
}

struct job *batch_add(struct batch *b, const struct plan_step *step, const struct verb *verb,
                      const struct plan_node *node)
{
    struct job *job = batch_later(b, step, verb, node);
    pool_put(b->pool, job);
    return job;
}

struct job *batch_add_after(struct batch *b, struct job *after, const struct plan_step *step,
                            const struct verb *verb, const struct plan_node *node)
{
    struct job *job = batch_later(b, step, verb, node);
    job->then = after->then;
    after->then = job;
    return job;
}

/* The signal stays unread for nobody: it ends the batch, and the caller says so. */
static void cancel_on_signal(struct batch *b, const struct pollfd *fd)
{
    struct signalfd_siginfo info;
    uint64_t one = 1;
    if (!(fd->revents & POLLIN))
        return;
    while (read(fd->fd, &info, sizeof(info)) == sizeof(info))
        if (b->opt->ret_signal)
            *b->opt->ret_signal = (int)info.ssi_signo;
    b->canceled = true;
    must(write(b->cancel_fd, &one, sizeof(one)) == sizeof(one));
}

#define WAITS_EVERY_MS 5000
#define WAITS_SHOWN    3

/* Long work shows that it goes on, and at whose pace. */
static void tell_waits(struct batch *b, int64_t began_ms)
{
    auto_buf struct buf what = BUF_INIT(4096);
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct job *job = b->jobs[i];
        const char *verb = job->spec.verb->name, *node = job->spec.target ? job->spec.target->id : NULL;
        if (job->came_back || ++n > WAITS_SHOWN)
            continue;
        buf_printf(&what, "%s%s", n > 1 ? ", " : "", node ? node : verb);
        if (node)
            buf_printf(&what, " (%s)", verb);
    }
    if (n > WAITS_SHOWN)
        buf_printf(&what, " and %zu more", n - WAITS_SHOWN);
    b->opt->waits(b->opt->waits_ctx, buf_str(&what), clock_mono_ms() - began_ms);
}

void batch_wait(struct batch *b)
{
    size_t left = b->n;
    int64_t began_ms = clock_mono_ms(), told_ms = began_ms;
    while (left > 0) {
        struct pollfd fds[2] = {{.fd = pool_done_fd(b->pool), .events = POLLIN},
                                {.fd = b->canceled ? -1 : b->opt->signal_fd, .events = POLLIN}};
        int n = poll(fds, 2, b->opt->waits ? WAITS_EVERY_MS : -1);
        must(n >= 0 || errno == EINTR);
        if (b->opt->waits && clock_mono_ms() - told_ms >= WAITS_EVERY_MS) {
            told_ms = clock_mono_ms();
            tell_waits(b, began_ms);
        }
        cancel_on_signal(b, &fds[1]);
        pool_done_clear(b->pool);
        for (struct job *job = pool_take_done(b->pool), *next; job; job = next, left--) {
            next = job->next;
            job->came_back = true;
            if (job->then)
                pool_put(b->pool, job->then);
        }
    }
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->n; i++)
        job_free(b->jobs[i]);
    pool_free(b->pool);
    conns_free(b->own_conns);
    close(b->cancel_fd);
    free(b->jobs);
    free(b);
}

const struct op_pair *pairs_copy(const struct op_pair *pairs, size_t n, struct arena *arena)
{
    struct op_pair *copy = arena_array(arena, n + 1, sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = (struct op_pair){.name = arena_strdup(arena, pairs[i].name),
                                   .value = arena_strdup(arena, pairs[i].value)};
    return copy;
}

bool run_probe(const struct plan *plan, const struct plan_step *step, const struct run_options *opt,
               struct probes *io, struct err *err)
{
    struct arena *arena = io->arena;
    const struct verb *verb = step->verb ? verb_find(step->verb, NULL) : NULL;
    if (!verb || verb->effect != EFFECT_READ)
        return err_set(err, E_CONFIG, "%s: only verbs that read can be asked outside a release",
                       step->verb ? step->verb : "(no verb)");
    struct batch *b = batch_new(plan, opt);
    bool per_node = verb->scope == SCOPE_NODE || verb->scope == SCOPE_BALANCER;
    if (!per_node)
        batch_add(b, step, verb, NULL);
    for (size_t i = 0; per_node && i < plan->n_nodes; i++)
        batch_add(b, step, verb, &plan->nodes[i]);
    batch_wait(b);
    struct probe *probes = arena_array(arena, b->n + 1, sizeof(*probes));
    for (size_t i = 0; i < b->n; i++) {
        const struct op_result *r = b->jobs[i]->result;
        probes[i] = (struct probe){.node = per_node ? plan->nodes[i].id : "",
                                   .outcome = r->outcome,
                                   .code = r->err.code,
                                   .text = arena_strdup(arena, r->err.text),
                                   .facts = pairs_copy(r->facts, r->n_facts, arena),
                                   .n_facts = r->n_facts};
    }
    io->list = probes;
    io->n = b->n;
    batch_free(b);
    return true;
}
