/* SPDX-License-Identifier: MIT */
/* Workers run straight-line driver code, one op at a time. Exactly two shared objects: the work queue and the
 * done queue. */
#include "run/run_priv.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

/* libssh2 and curl need less than half of this; the default of 8 MiB times 1,024 would not fit anywhere. */
#define WORKER_STACK_BYTES (512u * 1024u)

struct queue {
    struct job *first, *last;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work_ready;
    struct queue work, done;
    bool ending;
    int done_fd;
    size_t n_workers, n_started, n_idle;
    pthread_t *workers;
};

static void queue_put(struct queue *q, struct job *job)
{
    job->next = NULL;
    if (q->last)
        q->last->next = job;
    else
        q->first = job;
    q->last = job;
}

static struct job *queue_take(struct queue *q)
{
    struct job *job = q->first;
    if (job) {
        q->first = job->next;
        if (!q->first)
            q->last = NULL;
        job->next = NULL;
    }
    return job;
}

static void one_run(struct job *job, int64_t deadline_ms)
{
    job->spec.deadline_mono_ms = deadline_ms;
    job->op = op_new(&job->spec);
    job->own = job->result = op_run(job->op);
}

static struct op_pair *fact_of(struct op_pair *facts, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(facts[i].name, name) == 0)
            return &facts[i];
    return NULL;
}

/* Who serves, server by server: only who serves on both counts, whichever of them has fewer. */
static void fold_serving(struct op_result *sum, struct op_pair *mine, struct op_pair *theirs,
                         struct arena *arena)
{
    int64_t n;
    const char *both = lb_serving_both(arena, mine->value, theirs->value, &n);
    if (!both)
        return;
    mine->value = theirs->value = both;
    sum->gauge = n;
}

/* Several balancers are one: what is wrong with any of them is wrong, the smallest number counts. */
static void fold(struct op_result *sum, const struct op_result *one, struct arena *arena)
{
    bool failed = sum->outcome != OUT_OK;
    struct op_pair *facts = arena_array(arena, sum->n_facts + one->n_facts + 1, sizeof(*facts));
    for (size_t i = 0; i < sum->n_facts; i++)
        facts[i] = sum->facts[i];
    for (size_t i = 0; i < one->n_facts; i++)
        facts[sum->n_facts + i] = one->facts[i];
    struct op_pair *serving = fact_of(facts, sum->n_facts, LB_FACT_SERVING);
    struct op_pair *more = fact_of(facts + sum->n_facts, one->n_facts, LB_FACT_SERVING);
    sum->facts = facts;
    sum->n_facts += one->n_facts;
    sum->outcome = failed ? sum->outcome : one->outcome;
    sum->err = failed ? sum->err : one->err;
    sum->ready = sum->ready && one->ready;
    sum->changed = sum->changed || one->changed;
    sum->lost = sum->lost || one->lost;
    sum->gauge = one->gauge < sum->gauge ? one->gauge : sum->gauge;
    if (serving && more)
        fold_serving(sum, serving, more, arena);
}

static void job_run(struct job *job)
{
    job->taken_ms = clock_mono_ms();
    one_run(job, job->taken_ms + job->budget_ms);
    if (job->also)
        job->folded = *job->result;
    for (struct job *also = job->also; also; also = also->also) {
        also->spec.cancel_fd = job->spec.cancel_fd;
        one_run(also, job->taken_ms + job->budget_ms);
        fold(&job->folded, also->result, &job->arena);
        job->result = &job->folded;
    }
    job->done_ms = clock_mono_ms();
    if (job->spec.verb->effect == EFFECT_READ)
        return;
    failpoint("effect-after"); /* done on the wire, and the journal does not know yet */
    failpoint(job->spec.verb->name);
}

/* Called and left with the lock held. */
static void job_do(struct pool *p, struct job *job)
{
    must(pthread_mutex_unlock(&p->lock) == 0);
    job_run(job);
    must(pthread_mutex_lock(&p->lock) == 0);
    queue_put(&p->done, job);
    uint64_t one = 1;
    must(write(p->done_fd, &one, sizeof(one)) == sizeof(one));
}

static void *worker_main(void *arg)
{
    struct pool *p = arg;
    must(pthread_mutex_lock(&p->lock) == 0);
    for (;;) {
        struct job *job;
        p->n_idle++;
        while (!(job = queue_take(&p->work)) && !p->ending)
            must(pthread_cond_wait(&p->work_ready, &p->lock) == 0);
        p->n_idle--;
        if (!job)
            break;
        job_do(p, job);
    }
    must(pthread_mutex_unlock(&p->lock) == 0);
    return NULL;
}

struct pool *pool_new(size_t n_workers)
{
    struct pool *p = xcalloc(1, sizeof(*p));
    must(pthread_mutex_init(&p->lock, NULL) == 0 && pthread_cond_init(&p->work_ready, NULL) == 0);
    p->n_workers = n_workers == 0 ? 64 : n_workers > 1024 ? 1024 : n_workers;
    p->workers = xcalloc(p->n_workers, sizeof(*p->workers));
    p->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(p->done_fd >= 0);
    return p;
}

/* Threads are started as work arrives: a release of three nodes has three. Workers block every signal. */
static void start_worker(struct pool *p)
{
    sigset_t all, old;
    pthread_attr_t attr;
    sigfillset(&all);
    must(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES) == 0);
    must(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
    if (pthread_create(&p->workers[p->n_started], &attr, worker_main, p) == 0)
        p->n_started++;
    must(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    pthread_attr_destroy(&attr);
}

void pool_put(struct pool *p, struct job *job)
{
    must(pthread_mutex_lock(&p->lock) == 0);
    bool busy = p->n_idle == 0 || p->work.first;
    queue_put(&p->work, job);
    if (busy && p->n_started < p->n_workers)
        start_worker(p);
    /* Fewer workers are slower, not wrong; with none at all the loop itself is the one. */
    if (p->n_started == 0)
        job_do(p, queue_take(&p->work));
    must(pthread_cond_signal(&p->work_ready) == 0);
    must(pthread_mutex_unlock(&p->lock) == 0);
}

struct job *pool_take_done(struct pool *p)
{
    must(pthread_mutex_lock(&p->lock) == 0);
    struct job *first = p->done.first;
    p->done = (struct queue){0};
    must(pthread_mutex_unlock(&p->lock) == 0);
    return first;
}

int pool_done_fd(const struct pool *p)
{
    return p->done_fd;
}

void pool_done_clear(struct pool *p)
{
    uint64_t n;
    ssize_t unused = read(p->done_fd, &n, sizeof(n));
    (void)unused; /* nothing to read is fine */
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    must(pthread_mutex_lock(&p->lock) == 0);
    p->ending = true;
    must(pthread_cond_broadcast(&p->work_ready) == 0);
    must(pthread_mutex_unlock(&p->lock) == 0);
    for (size_t i = 0; i < p->n_started; i++)
        must(pthread_join(p->workers[i], NULL) == 0);
    pthread_cond_destroy(&p->work_ready);
    pthread_mutex_destroy(&p->lock);
    close(p->done_fd);
    free(p->workers);
    free(p);
}

void job_free(struct job *job)
{
    if (job->also)
        job_free(job->also);
    if (job->op)
        op_free(job->op);
    outbuf_fini(&job->out);
    arena_fini(&job->arena);
    arena_fini(&job->kept);
    free(job);
}
