/* SPDX-License-Identifier: MIT */
/* Connections that break: CUT_CASES, for both ssh transports; and logging in with this or that. */
#ifndef RELEASE_TESTS_SSH_CASES_H
#define RELEASE_TESTS_SSH_CASES_H

#include "unit/ssh_rig.h"

/* ---- a connection that breaks in the middle
 * ------------------------------------------------------------------------- */

struct cut {
    struct ask ask;
    pthread_t thread;
};

static void cut_while_running(struct cut *c, const char *began)
{
    unlink(scratch_path(began));
    unlink(scratch_path("go"));
    pthread_create(&c->thread, NULL, ask_thread, &c->ask);
    UNTIL(file_there(began));
    assert_int_equal(sshd_cut(&sshd), 0);
    /* Only now may the command end: it really runs across the break. */
    fclose(fopen(scratch_path("go"), "w"));
    pthread_join(c->thread, NULL);
    unlink(scratch_path("go"));
}

static void a_quiet_command_survives_a_cut(void **state)
{
    (void)state;
    unlink(scratch_path("runs"));
    struct cut c = {
        .ask = {
            .act = ACT_CHANGE,
            .key = "30-1",
            .fence = 8,
            .cmd = {.script =
                        "echo x >>\"$1/runs\"; true >\"$1/began\"; until [ -e \"$1/go\" ]; do sleep 0.02; "
                        "done; echo out; echo err >&2; exit 3",
                    .args = ARGS(scratch)}}};
    cut_while_running(&c, "began");
    assert_true(c.ask.good);
    assert_int_equal(c.ask.status, 3);
    assert_true(c.ask.attached);
    assert_string_equal(c.ask.out, "out\n");
    assert_string_equal(c.ask.errs, "err\n");
    assert_int_equal(file_lines("runs"), 1);
    ask_free(&c.ask);
}

/* 200,000 numbered lines, the link cut while they come: each arrives once, in order. */
static void a_chatty_command_survives_a_cut(void **state)
{
    (void)state;
    struct cut c = {
        .ask = {.act = ACT_CHANGE,
                .key = "31-1",
                .fence = 8,
                .cmd = {.script =
                            "i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i+1)); [ $i = 10000 ] && { "
                            "sleep 0.6; true >\"$1/began\"; }; done; until [ -e \"$1/go\" ]; do sleep 0.02; "
                            "done; echo end",
                        .args = ARGS(scratch),
                        .max_out = 1 << 20}}};
    cut_while_running(&c, "began");
    assert_true(c.ask.good);
    assert_int_equal(c.ask.status, 0);
    auto_buf struct buf want = BUF_INIT(1 << 20);
    for (int i = 0; i < 40000; i++)
        buf_printf(&want, "line %d\n", i);
    buf_puts(&want, "end\n");
    assert_int_equal(c.ask.out_len, want.len);
    assert_memory_equal(c.ask.out, want.data, want.len);
    assert_int_equal(c.ask.log.bytes[1], want.len);
    ask_free(&c.ask);
}

/* An idle connection that the server closed costs nothing but a new one. */
static void an_idle_connection_may_break(void **state)
{
    (void)state;
    struct ask a = {.cmd = {.script = "echo 1"}};
    ask_ok(&a);
    ask_free(&a);
    assert_int_equal(sshd_cut(&sshd), 0);
    struct ask b = {.act = ACT_CHANGE, .key = "32-1", .fence = 8, .cmd = {.script = "echo 2"}};
    ask_ok(&b);
    assert_string_equal(b.out, "2\n");
    ask_free(&b);
}

static void a_closed_port_is_a_plain_failure(void **state)
{
    (void)state;
    struct target t = *the_target();
    t.ssh.port = port_pick();
    struct ask a = {.act = ACT_CHANGE, .target = &t, .key = "33-1", .cmd = {.script = "true"}};
    ask(&a);
    assert_int_equal(a.outcome, OUT_FAILED); /* not unknown: nothing was sent */
    assert_int_equal(a.err.code, E_NET);
    assert_non_null(strstr(a.err.text, "refused"));
    ask_free(&a);
}

/* ---- what stands between the server and `sh`
 * ------------------------------------------------------------------------- */

/* A server like ours, with `more`; the target that goes there. */
static struct sshd odd_sshd;
static const struct target *odd_start(const char *host_key, const char *more)
{
    static struct target t;
    odd_sshd = sshd_start("sshd_odd_one", host_key, more);
    known_hosts_write("kh_odd_one", "[127.0.0.1]:* %s\n", public_key(host_key));
    t = *the_target();
    t.ssh.port = odd_sshd.port;
    t.ssh.known_hosts = scratch_keep("kh_odd_one");
    return &t;
}

static const char *odd_host_key(void)
{
    return strcmp(the_target()->transport, "ssh") == 0 ? "hk_ed25519" : "hk_rsa";
}

/* Everything that a release does on a node: the preflight's look, a read, a step with input that is no text,
 * one that takes so long that its output is fetched meanwhile. */
static void everything_works(const struct target *t, const char *key)
{
    static char input[9000];
    input[0] = 1;
    char first[32], second[32];
    snprintf(first, sizeof(first), "%s-1", key);
    snprintf(second, sizeof(second), "%s-2", key);
    struct ask p = {.act = ACT_PROBE, .target = t};
    ask(&p);
    if (p.outcome != OUT_OK)
        fail_msg("%s", p.err.text);
    ask_free(&p);
    struct ask r = {.target = t, .cmd = {.script = "echo \"$1\"", .args = ARGS("it's!\n$HOME `x` \\ \"q\"")}};
    ask_ok(&r);
    assert_string_equal(r.out, "it's!\n$HOME `x` \\ \"q\"\n");
    ask_free(&r);
    struct ask c = {.act = ACT_CHANGE,
                    .target = t,
                    .key = first,
                    .fence = 8,
                    .cmd = {.script = "wc -c", .input = input, .input_len = sizeof(input)}};
    ask_ok(&c);
    assert_string_equal(c.out, "9000\n");
    ask_free(&c);
    struct ask l = {.act = ACT_CHANGE,
                    .target = t,
                    .key = second,
                    .fence = 8,
                    .cmd = {.script = "echo a; sleep 0.6; echo b; echo c >&2; exit 3"}};
    ask(&l);
    assert_true(l.good);
    assert_int_equal(l.status, 3);
    assert_string_equal(l.out, "a\nb\n");
    assert_string_equal(l.errs, "c\n");
    ask_free(&l);
}

static void any_login_shell_will_do(void **state)
{
    (void)state;
    static const char *const shells[] = {"/usr/bin/tcsh", "/usr/bin/fish", "/bin/bash"};
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
        char more[200], key[16];
        if (access(shells[i], X_OK) < 0) {
            print_message("no %s here\n", shells[i]);
            continue;
        }
        snprintf(more, sizeof(more), "ForceCommand exec %s -c \"$SSH_ORIGINAL_COMMAND\"", shells[i]);
        snprintf(key, sizeof(key), "5%zu", i);
        everything_works(odd_start(odd_host_key(), more), key);
        sshd_stop(&odd_sshd);
    }
}

static void one_session_at_a_time_is_enough(void **state)
{
    (void)state;
    everything_works(odd_start(odd_host_key(), "MaxSessions 1"), "60");
    sshd_stop(&odd_sshd);
}

static void a_login_that_is_none_says_so(void **state)
{
    (void)state;
    struct ask a = {.act = ACT_PROBE, .target = odd_start(odd_host_key(), "ForceCommand /usr/sbin/nologin")};
    ask(&a);
    assert_int_equal(a.outcome, OUT_FAILED);
    if (!strstr(a.err.text, "This account is currently not available") || strstr(a.err.text, "would block"))
        fail_msg("%s", a.err.text);
    ask_free(&a);
    sshd_stop(&odd_sshd);
}

/* sudo's own words, not a guess at them: here the real one, which knows nothing of this user. */
static void sudo_is_quoted(void **state)
{
    (void)state;
    if (getuid() != 0 || access("/usr/bin/sudo", X_OK) < 0 || access("/usr/bin/setpriv", X_OK) < 0)
        skip();
    struct ask a = {.act = ACT_PROBE,
                    .runas = "daemon",
                    .target =
                        odd_start(odd_host_key(), "ForceCommand exec setpriv --reuid=nobody --regid=nogroup "
                                                  "--clear-groups sh -c \"$SSH_ORIGINAL_COMMAND\"")};
    ask(&a);
    assert_int_equal(a.outcome, OUT_FAILED);
    if (!strstr(a.err.text, "sudo -n -u daemon: sudo: a password is required"))
        fail_msg("%s", a.err.text);
    ask_free(&a);
    sshd_stop(&odd_sshd);
}

#define SHELL_CASES                                                                                          \
    cmocka_unit_test(any_login_shell_will_do), cmocka_unit_test(one_session_at_a_time_is_enough),            \
        cmocka_unit_test(a_login_that_is_none_says_so), cmocka_unit_test(sudo_is_quoted)

#define CUT_CASES                                                                                            \
    cmocka_unit_test(a_quiet_command_survives_a_cut), cmocka_unit_test(a_chatty_command_survives_a_cut),     \
        cmocka_unit_test(an_idle_connection_may_break), cmocka_unit_test(a_closed_port_is_a_plain_failure)

/* ---- host keys
 * ---------------------------------------------------------------------------------------------------- */

static struct ask try_login(const struct target *t)
{
    struct ask a = {.target = t, .cmd = {.script = "echo in", .quiet = true}};
    ask(&a);
    return a;
}

static void login_fails(const struct target *t, enum err_code code, const char *const *words)
{
    struct ask a = try_login(t);
    assert_false(a.good);
    if (a.err.code != code)
        print_error("%s\n", a.err.text);
    assert_int_equal(a.err.code, code);
    for (; *words; words++)
        if (!strstr(a.err.text, *words))
            fail_msg("'%s' is not in: %s", *words, a.err.text);
    ask_free(&a);
}

static void login_works(const struct target *t)
{
    struct ask a = try_login(t);
    if (!a.good)
        print_error("%s\n", a.err.text);
    assert_true(a.good);
    assert_string_equal(a.out, "in\n");
    ask_free(&a);
}

static const struct target *with_known(const char *file)
{
    static struct target t;
    t = *the_target();
    t.ssh.known_hosts = scratch_keep(file);
    return &t;
}

static const struct target *with_key(const char *file)
{
    static struct target t;
    t = *the_target();
    t.ssh.key = scratch_keep(file);
    return &t;
}

#endif
