/* SPDX-License-Identifier: MIT */
/* The real ports of the loop (engine/run/ports.c), by themselves: a pool with real workers, no journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run/ports.c" /* they are handed to the loop alone */

static enum outcome fenced_run(struct op *op)
{
    return op_refused(op, E_FENCED, "the node belongs to somebody else");
}
static const struct verb fenced_verb = {.name = "test.fenced", .effect = EFFECT_READ, .run = fenced_run};

static int begun_fd;

/* Says that it has begun, and goes on until it is cancelled. */
static enum outcome hang_run(struct op *op)
{
    uint64_t one = 1;
    must(write(begun_fd, &one, sizeof(one)) == sizeof(one));
    op_wait(op, -1, 0);
    return op_end(op);
}
static const struct verb hang_verb = {.name = "test.hang", .effect = EFFECT_READ, .run = hang_run};

static void put_job(struct run *l, const struct verb *verb)
{
    struct job *job = xcalloc(1, sizeof(*job));
    outbuf_init(&job->out, pool_done_fd(l->pool));
    job->spec = (struct op_spec){
        .verb = verb, .sink = {.write = outbuf_write, .ctx = &job->out}, .step_key = "t", .attempt = 1};
    job->budget_ms = 20000;
    start(l, job);
}

/* Three nodes were taken over by somebody else, and their steps have ended when the loop looks: the turn ends with the first,
 * and nobody waits for the other two afterwards, who have ended long since. */
static void a_batch_of_refused_jobs_ends(void **state)
{
    (void)state;
    struct err err = {.code = E_NONE};
    struct event ev;
    uint64_t n;
    struct run l = {.pool = pool_new(1), .cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .err = &err};
    begun_fd = eventfd(0, EFD_CLOEXEC);
    for (int i = 0; i < 3; i++)
        put_job(&l, &fenced_verb);
    put_job(&l, &hang_verb);
    /* The one worker takes them in order: where the fourth has begun, the three have ended. */
    assert_int_equal(read(begun_fd, &n, sizeof(n)), sizeof(n));
    assert_int_equal(port_take(&l, &ev), NEWS_LOST);
    assert_int_equal(err.code, E_FENCED);
    assert_int_equal(l.n_running, 1);
    alarm(20);
    end_running(&l);
    alarm(0);
    jobs_free(l.fresh);
    jobs_free(l.taken);
    pool_free(l.pool);
    close(l.cancel_fd);
    close(begun_fd);
    free(l.running);
}

int main(void)
{
    drivers_init();
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_batch_of_refused_jobs_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
