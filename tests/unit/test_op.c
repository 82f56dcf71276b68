/* SPDX-License-Identifier: MIT */
/* The op: arguments, waiting, outcomes, facts, secrets. No network but loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "drivers/node/report.h"
#include "drivers/op/op.h"

static const struct param params[] = {
    {.name = "timeout", .type = PARAM_DURATION, .deflt = "60s"},
    {.name = "size", .type = PARAM_SIZE, .deflt = "64K"},
    {.name = "n", .type = PARAM_INT},
    {.name = "yes", .type = PARAM_BOOL, .deflt = "yes"},
    {.name = "list", .type = PARAM_LIST},
    {.name = "map", .type = PARAM_MAP},
    PARAM_END,
};

static enum outcome (*body)(struct op *);
static enum outcome body_run(struct op *op)
{
    return body(op);
}
static const struct verb read_verb = {
    .name = "test.read", .effect = EFFECT_READ, .params = params, .run = body_run};
static const struct verb change_verb = {
    .name = "test.change", .effect = EFFECT_CHANGE, .params = params, .run = body_run};

struct got {
    enum outcome outcome;
    struct err err;
    bool changed, ready;
    int64_t took_ms;
    char log[3][4096];
    size_t n_facts;
    char fact[256];
};
static struct got got;

static void keep(void *ctx, int stream, const char *data, size_t n)
{
    (void)ctx;
    size_t len = strlen(got.log[stream]);
    assert_true(len + n < sizeof(got.log[stream]));
    memcpy(got.log[stream] + len, data, n);
}

static void run(enum outcome (*fn)(struct op *), struct op_spec spec)
{
    memset(&got, 0, sizeof(got));
    body = fn;
    if (!spec.verb)
        spec.verb = &read_verb;
    if (!spec.cancel_fd)
        spec.cancel_fd = -1;
    if (!spec.deadline_mono_ms)
        spec.deadline_mono_ms = clock_mono_ms() + 10000;
    spec.sink.write = keep;
    struct op *op = op_new(&spec);
    int64_t begun = clock_mono_ms();
    const struct op_result *r = op_run(op);
    got.took_ms = clock_mono_ms() - begun;
    got.outcome = r->outcome;
    got.err = r->err;
    got.changed = r->changed;
    got.ready = r->ready;
    got.n_facts = r->n_facts;
    if (r->n_facts)
        snprintf(got.fact, sizeof(got.fact), "%s", r->facts[r->n_facts - 1].value);
    op_free(op);
}

static enum outcome arguments(struct op *op)
{
    size_t n = 0;
    assert_string_equal(op_arg(op, "timeout"), "60s");
    assert_int_equal(op_arg_ms(op, "timeout"), 60000);
    assert_int_equal(op_arg_int(op, "size"), 65536);
    assert_int_equal(op_arg_int(op, "n"), -3);
    assert_true(op_arg_bool(op, "yes"));
    assert_false(op_arg_bool(op, "none"));
    assert_null(op_arg(op, "none"));
    const char *const *list = op_arg_list(op, "list", &n);
    assert_int_equal(n, 3);
    assert_string_equal(list[0], "a b");
    assert_string_equal(list[1], "2");
    assert_string_equal(list[2], "it's");
    assert_null(list[3]);
    const struct op_pair *map = op_arg_map(op, "map", &n);
    assert_int_equal(n, 2);
    assert_string_equal(map[0].name, "Z");
    assert_string_equal(map[1].value, "yes");
    assert_null(op_arg_list(op, "none", &n)[0]);
    assert_int_equal(n, 0);
    assert_string_equal(op_var(op, "rev"), "abc");
    assert_string_equal(op_recall(op, "pid"), "12");
    return op_end(op);
}

static void arguments_are_typed_and_have_defaults(void **state)
{
    (void)state;
    const struct op_pair args[] = {
        {"n", "-3"}, {"list", "[\"a b\", 2, \"it's\"]"}, {"map", "{\"Z\": \"1\", \"A\": true}"}};
    const struct op_pair vars[] = {{"rev", "abc"}}, recall[] = {{"pid", "12"}};
    run(arguments,
        (struct op_spec){
            .args = args, .n_args = 3, .vars = vars, .n_vars = 1, .recall = recall, .n_recall = 1});
    assert_int_equal(got.outcome, OUT_OK);
}

static enum outcome fails_before(struct op *op)
{
    return op_fail(op, E_NET, "no %d", 1);
}

static enum outcome fails_after(struct op *op)
{
    op_sending(op);
    return op_fail(op, E_NET, "gone");
}

static enum outcome refused_after(struct op *op)
{
    op_sending(op);
    return op_refused(op, E_REFUSED, "no");
}

static enum outcome first_stays(struct op *op)
{
    op_fail(op, E_NET, "first");
    op_sending(op);
    op_unknown(op, E_PROTO, "second");
    return OUT_OK; /* a verb that forgets what it recorded */
}

/* The rule that everything rests on: not sent = failed, sent without a clear answer = unknown. */
static void outcomes_follow_what_was_sent(void **state)
{
    (void)state;
    run(fails_before, (struct op_spec){.verb = &change_verb});
    assert_int_equal(got.outcome, OUT_FAILED);
    assert_string_equal(got.err.text, "no 1");
    run(fails_after, (struct op_spec){.verb = &change_verb});
    assert_int_equal(got.outcome, OUT_UNKNOWN);
    run(refused_after, (struct op_spec){.verb = &change_verb});
    assert_int_equal(got.outcome, OUT_FAILED);
    run(first_stays, (struct op_spec){.verb = &change_verb});
    assert_int_equal(got.outcome, OUT_FAILED);
    assert_string_equal(got.err.text, "first");
}

static enum outcome undoes(struct op *op)
{
    op_sending(op);
    op_fail(op, E_NET, "first");
    struct op_failure failure = op_set_aside(op);
    assert_false(op_failed(op));
    op_refused(op, E_REFUSED, "of the undoing");
    op_take_up(op, &failure);
    assert_true(op_failed(op));
    return op_end(op);
}

static enum outcome undoes_before_it_tells(struct op *op)
{
    struct op_failure failure = op_set_aside(op);
    op_fail(op, E_NET, "of the undoing");
    op_take_up(op, &failure);
    assert_false(op_failed(op));
    return op_refused(op, E_REFUSED, "no");
}

/* What fails while something is put back hides neither why, nor that it failed. */
static void a_failure_is_set_aside_while_it_is_undone(void **state)
{
    (void)state;
    run(undoes, (struct op_spec){.verb = &change_verb});
    assert_int_equal(got.outcome, OUT_UNKNOWN);
    assert_string_equal(got.err.text, "first");
    run(undoes_before_it_tells, (struct op_spec){.verb = &change_verb});
    assert_int_equal(got.outcome, OUT_FAILED);
    assert_string_equal(got.err.text, "no");
}

static enum outcome waits(struct op *op)
{
    op_wait(op, -1, 0);
    return op_end(op);
}

static enum outcome waits_bound(struct op *op)
{
    bool late = false;
    assert_false(op_wait_ms(op, -1, 0, 30, &late));
    assert_true(late);
    assert_false(op_failed(op));
    int64_t old = op_deadline_cap(op, 20);
    assert_true(op_left_ms(op) <= 20);
    op_deadline_set(op, old);
    assert_true(op_left_ms(op) > 1000);
    return op_end(op);
}

static void waiting_ends_at_deadline_and_cancel(void **state)
{
    (void)state;
    run(waits, (struct op_spec){.deadline_mono_ms = clock_mono_ms() + 40});
    assert_int_equal(got.err.code, E_LATE);
    assert_true(got.took_ms >= 35 && got.took_ms < 2000);
    int fd = eventfd(1, EFD_CLOEXEC);
    run(waits, (struct op_spec){.cancel_fd = fd});
    assert_int_equal(got.err.code, E_CANCELED);
    assert_true(got.took_ms < 2000);
    close(fd);
    run(waits_bound, (struct op_spec){0});
    assert_int_equal(got.outcome, OUT_OK);
}

/* A peer that always has one more byte must not carry a verb beyond its deadline. */
static enum outcome reads_for_ever(struct op *op)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    while (op_wait(op, fds[0], POLLIN))
        continue;
    close(fds[0]);
    close(fds[1]);
    return op_end(op);
}

static void a_dripping_peer_does_not_outlive_the_deadline(void **state)
{
    (void)state;
    run(reads_for_ever, (struct op_spec){.deadline_mono_ms = clock_mono_ms() + 50});
    assert_int_equal(got.err.code, E_LATE);
    assert_true(got.took_ms < 2000);
}

static int listen_port(int *ret_fd)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*ret_fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(*ret_fd, 5), 0);
    assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&a, &n), 0);
    return ntohs(a.sin_port);
}

static int the_port, the_listener;

static enum outcome talks(struct op *op)
{
    int fd = op_connect_tcp(op, "127.0.0.1", the_port);
    assert_true(fd >= 0);
    int peer = accept(the_listener, NULL, NULL);
    assert_true(op_write_all(op, fd, "hello", 5));
    shutdown(fd, SHUT_WR);
    char text[8] = "";
    assert_int_equal(recv(peer, text, 8, MSG_WAITALL), 5);
    assert_int_equal(write(peer, "0123456789", 10), 10);
    close(peer);
    size_t n = 0;
    char *all = op_read_all(op, fd, 100, &n);
    assert_string_equal(all, "0123456789");
    assert_int_equal(n, 10);
    close(fd);
    return op_end(op);
}

static enum outcome connects_nowhere(struct op *op)
{
    assert_int_equal(op_connect_tcp(op, "127.0.0.1", the_port), -1);
    return op_end(op);
}

static enum outcome connects_unix(struct op *op)
{
    assert_int_equal(op_connect_unix(op, "/nowhere/sock"), -1);
    return op_end(op);
}

static void sockets_connect_write_and_read(void **state)
{
    (void)state;
    the_port = listen_port(&the_listener);
    run(talks, (struct op_spec){0});
    assert_int_equal(got.outcome, OUT_OK);
    close(the_listener);
    run(connects_nowhere, (struct op_spec){0});
    assert_int_equal(got.outcome, OUT_FAILED);
    assert_non_null(strstr(got.err.text, "refused"));
    run(connects_unix, (struct op_spec){0});
    assert_int_equal(got.err.code, E_NET);
    assert_non_null(strstr(got.err.text, "/nowhere/sock"));
}

static enum outcome reports(struct op *op)
{
    op_fact(op, "a", "1");
    op_fact(op, "pass", "x s3cr+t/word y");
    op_fact(op, "a", "%d", 2);
    op_fact(op, "last", "s3cr%%2Bt%%2Fword");
    op_say(op, "logged in with %s", "s3cr+t/word");
    op_output(op, 1, "s3cr", 4);
    op_output(op, 1, "+t/wor", 6);
    op_output(op, 1, "d and s3cr", 10);
    op_output(op, 1, "umb", 3);
    op_ready(op, false);
    op_changed(op, false);
    return op_fail(op, E_AUTH, "bad password s3cr+t/word");
}

static void reports_hide_secrets_cut_anywhere(void **state)
{
    (void)state;
    const char *const secrets[] = {"s3cr+t/word", "", NULL};
    run(reports, (struct op_spec){.verb = &change_verb, .secrets = secrets});
    assert_string_equal(got.log[0], "logged in with ***");
    assert_string_equal(got.log[1], "*** and s3crumb");
    assert_string_equal(got.err.text, "bad password ***");
    assert_int_equal(got.n_facts, 3);
    assert_string_equal(got.fact, "***");
    assert_false(got.changed);
    assert_false(got.ready);
}

/* Base64 of the secret at each of the three alignments. */
static enum outcome base64s(struct op *op)
{
    op_output(op, 1, "aHVudGVyMnBhc3M=|", 17);    /* hunter2pass */
    op_output(op, 1, "eGh1bnRlcjJwYXNz|", 17);    /* xhunter2pass */
    op_output(op, 1, "eHhodW50ZXIycGFzcw==", 20); /* xxhunter2pass */
    return op_end(op);
}

static void base64_of_a_secret_is_hidden(void **state)
{
    (void)state;
    const char *const secrets[] = {"hunter2pass", NULL};
    run(base64s, (struct op_spec){.secrets = secrets});
    assert_null(strstr(got.log[1], "aHVudGVyMnBhc3"));
    assert_null(strstr(got.log[1], "h1bnRlcjJwYXNz"));
    assert_null(strstr(got.log[1], "odW50ZXIycGFzc"));
    int n = 0;
    for (const char *p = got.log[1]; (p = strstr(p, "***")); p += 3)
        n++;
    assert_int_equal(n, 3);
}

static void deadlines_have_the_names_that_people_write(void **state)
{
    (void)state;
    static const struct {
        struct verb verb;
        const char *key;
    } rows[] = {{{.name = "supervisord.stop"}, "stop_timeout"},
                {{.name = "haproxy.wait_idle", .deadline = "drain_timeout"}, "drain_timeout"},
                {{.name = "haproxy.drain", .deadline = ""}, "timeout"}};
    auto_arena struct arena a = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(verb_deadline_key(&rows[i].verb, &a), rows[i].key);
    assert_string_equal(verb_deadline_key(NULL, &a), "timeout");
}

static enum outcome lies(struct op *op)
{
    char said[] = "fact host_key.app2 SHA256:x ssh-ed25519 AAAA /root/.ssh/known_hosts\nfact home /srv\n";
    return report_apply(op, &(struct node_result){.out = said, .out_len = strlen(said)});
}

/* Only who connects to a host sees its key: what a node says of another one's would come to be trusted. */
static void a_node_tells_nothing_of_host_keys(void **state)
{
    (void)state;
    run(lies, (struct op_spec){.verb = &read_verb});
    assert_int_equal(got.outcome, OUT_OK);
    assert_int_equal(got.n_facts, 1);
    assert_non_null(strstr(got.fact, "/srv"));
}

int main(void)
{
    drivers_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_have_the_names_that_people_write),
        cmocka_unit_test(arguments_are_typed_and_have_defaults),
        cmocka_unit_test(outcomes_follow_what_was_sent),
        cmocka_unit_test(a_failure_is_set_aside_while_it_is_undone),
        cmocka_unit_test(waiting_ends_at_deadline_and_cancel),
        cmocka_unit_test(a_dripping_peer_does_not_outlive_the_deadline),
        cmocka_unit_test(sockets_connect_write_and_read),
        cmocka_unit_test(reports_hide_secrets_cut_anywhere),
        cmocka_unit_test(base64_of_a_secret_is_hidden),
        cmocka_unit_test(a_node_tells_nothing_of_host_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
