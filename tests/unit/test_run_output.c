/* SPDX-License-Identifier: MIT */
/* Output on its way from worker to journal: bounded, counted, hashed, and never in anybody's way. Also the
 * pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "run/run_priv.h"

static size_t chunks_bytes(const struct output_chunk *c)
{
    size_t n = 0;
    for (; c; c = c->next)
        n += c->n;
    return n;
}

static void short_output_is_kept_whole(void **state)
{
    (void)state;
    struct outbuf o;
    int waker = eventfd(0, EFD_NONBLOCK);
    outbuf_init(&o, waker);
    outbuf_write(&o, 1, "hello ", 6);
    outbuf_write(&o, 2, "world", 5);
    struct pollfd fd = {.fd = waker, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 0), 1);
    struct output_chunk *c = outbuf_take(&o);
    assert_int_equal(c->stream, 1);
    assert_memory_equal(c->data, "hello ", 6);
    assert_int_equal(c->next->stream, 2);
    assert_null(outbuf_tail(&o));
    assert_null(outbuf_take(&o));
    chunks_free(c);
    outbuf_fini(&o);
    close(waker);
}

static void what_drivers_say_are_lines(void **state)
{
    (void)state;
    struct outbuf o;
    int waker = eventfd(0, EFD_NONBLOCK);
    outbuf_init(&o, waker);
    outbuf_write(&o, 0, "at 10 %", 7);
    outbuf_write(&o, 0, "at 50 %\n", 8);
    outbuf_write(&o, 1, "$ ", 2);
    struct output_chunk *c = outbuf_take(&o);
    assert_int_equal(c->n, 8);
    assert_memory_equal(c->data, "at 10 %\n", 8);
    assert_int_equal(c->next->n, 8);
    assert_int_equal(c->next->next->n, 2);
    assert_int_equal(o.total_bytes, 18);
    chunks_free(c);
    outbuf_fini(&o);
    close(waker);
}

static void a_flood_keeps_head_tail_count_and_hash(void **state)
{
    (void)state;
    struct outbuf o;
    int waker = eventfd(0, EFD_NONBLOCK);
    outbuf_init(&o, waker);
    struct sha256 *h = sha256_new();
    char line[1000];
    size_t total = 0, kept = 0;
    for (int i = 0; i < 20000; i++) {
        int n = snprintf(line, sizeof(line), "line %d %0900d\n", i, i);
        outbuf_write(&o, 1, line, (size_t)n);
        sha256_add(h, line, (size_t)n);
        total += (size_t)n;
        struct output_chunk *c = outbuf_take(&o);
        kept += chunks_bytes(c);
        chunks_free(c);
    }
    struct output_chunk *notice = outbuf_tail(&o);
    assert_non_null(notice);
    assert_int_equal(notice->stream, 0);
    assert_memory_equal(notice->data, "output cut: 16.4 MiB left out here, of 17.4 MiB in all\n", notice->n);
    struct output_chunk *tail = notice->next;
    assert_non_null(tail);
    assert_null(tail->next);
    assert_int_equal(kept, OUTPUT_HEAD_BYTES);
    assert_int_equal(tail->n, OUTPUT_TAIL_BYTES);
    assert_memory_equal(tail->data + tail->n - 6, "19999\n", 6);
    assert_int_equal(o.total_bytes, total);
    char want[SHA256_HEX_LEN + 1], got[SHA256_HEX_LEN + 1];
    sha256_end(h, want);
    sha256_end(o.hash, got);
    o.hash = NULL;
    assert_string_equal(got, want);
    chunks_free(notice);
    outbuf_fini(&o);
    close(waker);
}

static enum outcome count_run(struct op *op)
{
    op_say(op, "on %s", op_var(op, "node"));
    op_gauge(op, op_left_ms(op) > 0);
    return op_end(op);
}
static const struct verb count_verb = {.name = "test.count", .effect = EFFECT_READ, .run = count_run};

static enum outcome hang_run(struct op *op)
{
    op_wait(op, -1, 0); /* until the deadline or cancel */
    return op_end(op);
}
static const struct verb hang_verb = {.name = "test.hang", .effect = EFFECT_READ, .run = hang_run};

static struct job *make_job(struct pool *p, const struct verb *verb, int64_t budget_ms, int cancel_fd)
{
    static const struct op_pair vars[] = {{.name = "node", .value = "n1"}};
    struct job *job = xcalloc(1, sizeof(*job));
    outbuf_init(&job->out, pool_done_fd(p));
    job->spec = (struct op_spec){.verb = verb,
                                 .vars = vars,
                                 .n_vars = 1,
                                 .sink = {.write = outbuf_write, .ctx = &job->out},
                                 .cancel_fd = cancel_fd,
                                 .step_key = "t",
                                 .attempt = 1};
    job->budget_ms = budget_ms;
    return job;
}

static size_t take_all(struct pool *p, size_t want, enum outcome outcome)
{
    size_t n = 0;
    int64_t until = clock_mono_ms() + 20000;
    while (n < want && clock_mono_ms() < until) {
        struct pollfd fd = {.fd = pool_done_fd(p), .events = POLLIN};
        poll(&fd, 1, 1000);
        pool_done_clear(p);
        for (struct job *job = pool_take_done(p), *next; job; job = next) {
            next = job->next;
            assert_int_equal(job->result->outcome, outcome);
            job_free(job);
            n++;
        }
    }
    return n;
}

static void a_thousand_jobs_come_back_from_eight_workers(void **state)
{
    (void)state;
    struct pool *p = pool_new(8);
    for (int i = 0; i < 1000; i++)
        pool_put(p, make_job(p, &count_verb, 5000, -1));
    assert_int_equal(take_all(p, 1000, OUT_OK), 1000);
    pool_free(p);
}

static void a_deadline_counts_from_the_start_not_from_the_queue(void **state)
{
    (void)state;
    struct pool *p = pool_new(1);
    pool_put(p, make_job(p, &hang_verb, 200, -1));  /* ends by its deadline */
    pool_put(p, make_job(p, &count_verb, 150, -1)); /* waits longer than its budget, and still has it */
    int64_t until = clock_mono_ms() + 20000;
    int ok = 0, n = 0;
    while (n < 2 && clock_mono_ms() < until) {
        struct pollfd fd = {.fd = pool_done_fd(p), .events = POLLIN};
        poll(&fd, 1, 1000);
        pool_done_clear(p);
        for (struct job *job = pool_take_done(p), *next; job; job = next) {
            next = job->next;
            ok += job->result->outcome == OUT_OK && job->result->gauge == 1;
            n++;
            job_free(job);
        }
    }
    assert_int_equal(n, 2);
    assert_int_equal(ok, 1);
    pool_free(p);
}

static void cancel_ends_every_op_at_once(void **state)
{
    (void)state;
    struct pool *p = pool_new(16);
    int cancel = eventfd(0, EFD_NONBLOCK);
    uint64_t one = 1;
    int64_t begun = clock_mono_ms();
    for (int i = 0; i < 16; i++)
        pool_put(p, make_job(p, &hang_verb, 60000, cancel));
    assert_int_equal(write(cancel, &one, sizeof(one)), sizeof(one));
    assert_int_equal(take_all(p, 16, OUT_FAILED), 16); /* nothing was sent: certainly not done */
    assert_true(clock_mono_ms() - begun < 15000);
    pool_free(p);
    close(cancel);
}

int main(void)
{
    drivers_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_output_is_kept_whole),
        cmocka_unit_test(what_drivers_say_are_lines),
        cmocka_unit_test(a_flood_keeps_head_tail_count_and_hash),
        cmocka_unit_test(a_thousand_jobs_come_back_from_eight_workers),
        cmocka_unit_test(a_deadline_counts_from_the_start_not_from_the_queue),
        cmocka_unit_test(cancel_ends_every_op_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
