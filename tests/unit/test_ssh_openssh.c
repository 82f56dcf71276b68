/* drivers/node.h over the transport `openssh`: the same table of tests, through the system's ssh program. */
#include "unit/node_cases.h"
#include "unit/ssh_rig.h"

static struct sshd sshd;
static struct target target = {
    .id = "app1", .transport = "openssh", .host = "127.0.0.1", .ssh_config = "none"};

static const struct target *the_target(void)
{
    return &target;
}

static int setup(void **state)
{
    (void)state;
    drivers_init();
    unsetenv("SSH_AUTH_SOCK");
    scratch_make();
    keys_make();
    sshd = sshd_start("sshd_config", "hk_rsa", NULL);
    known_hosts_write("known_hosts", "[127.0.0.1]:%d %s\n", sshd.port, public_key("hk_rsa"));
    target.port = sshd.port;
    target.key = scratch_keep("uk_rsa");
    target.known_hosts = scratch_keep("known_hosts");
    target.state_dir = scratch_keep("state/prod/app1");
    the_conns = conns_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    conns_free(the_conns);
    sshd_stop(&sshd);
    scratch_remove();
    return 0;
}

#include "unit/ssh_cases.h"

static void openssh_says_why_a_host_key_is_refused(void **state)
{
    (void)state;
    known_hosts_write("kh1", "[127.0.0.1]:%d %s\n", sshd.port, public_key("uk_rsa"));
    login_fails(with_known("kh1"), E_HOSTKEY, ARGS("known_hosts"));
}

static void openssh_says_why_a_login_is_refused(void **state)
{
    (void)state;
    assert_int_equal(sh("ssh-keygen -q -t ed25519 -N '' -f %s/stranger", scratch), 0);
    login_fails(with_key("stranger"), E_AUTH, ARGS("authorized_keys"));
}

static void openssh_keeps_a_status_of_255(void **state)
{
    (void)state;
    struct ask a = {.cmd = {.script = "exit 255"}};
    ask_ok(&a);
    assert_int_equal(a.status, 255);
    ask_free(&a);
}

/* After conns_free no master runs and no socket is left. */
static void openssh_masters_go_with_us(void **state)
{
    (void)state;
    struct conns *before = the_conns;
    the_conns = conns_new();
    login_works(the_target());
    assert_int_equal(sh("pgrep -f 'ssh -fNTM -S /tmp/release-[A-Za-z0-9]*/.*%s' >/dev/null", scratch), 0);
    conns_free(the_conns);
    the_conns = NULL;
    conns_free(before);
    UNTIL(sh("pgrep -f '[s]sh -fNTM.*%s' >/dev/null", scratch) != 0);
    the_conns = conns_new();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        NODE_CASES,
        CUT_CASES,
        SHELL_CASES,
        cmocka_unit_test(openssh_says_why_a_host_key_is_refused),
        cmocka_unit_test(openssh_says_why_a_login_is_refused),
        cmocka_unit_test(openssh_keeps_a_status_of_255),
        cmocka_unit_test(openssh_masters_go_with_us),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, setup, teardown);
}
