/* SPDX-License-Identifier: MIT */
/* drivers/node/node.h over the transport `openssh`: the same table of tests, through the system's ssh program. */
#include "unit/node_cases.h"
#include "unit/ssh_rig.h"

static struct sshd sshd;
static struct target target = {
    .id = "app1", .transport = "openssh", .host = "127.0.0.1", .ssh = {.config = "none"}};

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
    target.ssh.port = sshd.port;
    target.ssh.key = scratch_keep("uk_rsa");
    target.ssh.known_hosts = scratch_keep("known_hosts");
    target.state_dir = scratch_keep("state/prod/app1");
    the_conns = conns_new(transport_table);
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

/* One who is logging in is all that this bastion bears; it drops us until he is gone. */
static void openssh_tries_a_full_bastion_again(void **state)
{
    (void)state;
    struct sshd jump = sshd_start("sshd_full", "hk_rsa", "MaxStartups 1:100:1");
    known_hosts_write("kh_full", "[127.0.0.1]:* %s\n", public_key("hk_rsa"));
    char hop[64];
    snprintf(hop, sizeof(hop), "127.0.0.1:%d", jump.port);
    struct target t = *with_known("kh_full");
    t.ssh.proxy_jump = hop;
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)jump.port)};
    int held = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(held, (struct sockaddr *)&a, sizeof(a)), 0);
    struct cut c = {.ask = {.target = &t, .cmd = {.script = "echo in", .quiet = true}}};
    pthread_create(&c.thread, NULL, ask_thread, &c.ask);
    UNTIL(sh("grep -q 'MaxStartups' %s/sshd.log", scratch) == 0);
    close(held);
    pthread_join(c.thread, NULL);
    if (!c.ask.good)
        print_error("%s\n", c.ask.err.text);
    assert_true(c.ask.good);
    ask_free(&c.ask);
    sshd_stop(&jump);
    /* And a bastion that is not there is told in ssh's own words. */
    login_fails(&(struct target){.id = "app1",
                                 .transport = "openssh",
                                 .host = "127.0.0.2",
                                 .ssh = {.port = t.ssh.port, .proxy_jump = hop, .config = "none"}},
                E_NET, ARGS("port", "Connection refused"));
}

static int logins_at(const struct sshd *d)
{
    char command[200];
    int n = -1;
    snprintf(command, sizeof(command), "grep -c 'on 127.0.0.1 port %d ' %s/sshd.log", d->port, scratch);
    FILE *f = popen(command, "r");
    assert_int_equal(fscanf(f, "%d", &n), 1);
    pclose(f);
    return n - 1; /* sshd_start looked once whether it is there */
}

enum { BEHIND = 34 };

/* More nodes at once than a bastion as it is installed bears logins: it sees two. */
static void openssh_nodes_share_the_login_to_their_bastion(void **state)
{
    (void)state;
    static struct cut c[BEHIND];
    static char hosts[BEHIND][16];
    struct sshd jump = sshd_start("sshd_jump", "hk_rsa", "MaxStartups 10:30:100"),
                nodes = sshd_start("sshd_nodes", "hk_rsa", "ListenAddress 0.0.0.0\n");
    char hop[64];
    snprintf(hop, sizeof(hop), "127.0.0.1:%d", jump.port);
    known_hosts_write("kh_many", "127.*,[127.*]:* %s\n", public_key("hk_rsa"));
    struct target t = *with_known("kh_many");
    t.ssh.port = nodes.port;
    t.ssh.proxy_jump = hop;
    struct conns *before = the_conns;
    the_conns = conns_new(transport_table);
    static struct target targets[BEHIND];
    for (int i = 0; i < BEHIND; i++) {
        snprintf(hosts[i], sizeof(hosts[i]), "127.0.1.%d", i + 1);
        targets[i] = t;
        targets[i].host = hosts[i];
        c[i] = (struct cut){.ask = {.target = &targets[i], .cmd = {.script = "echo in", .quiet = true}}};
    }
    for (int i = 0; i < BEHIND; i++)
        pthread_create(&c[i].thread, NULL, ask_thread, &c[i].ask);
    for (int i = 0; i < BEHIND; i++)
        pthread_join(c[i].thread, NULL);
    for (int i = 0; i < BEHIND; i++) {
        if (!c[i].ask.good)
            print_error("%s\n", c[i].ask.err.text);
        assert_true(c[i].ask.good);
        ask_free(&c[i].ask);
    }
    assert_int_equal(logins_at(&jump), 2);
    /* The bastion's own words about one that it cannot reach. */
    t.host = "127.0.1.99";
    t.ssh.port = port_pick();
    login_fails(&t, E_NET, ARGS("app1: the jump host", "127.0.1.99", "Connection refused"));
    /* It was started anew: the shared login is dead, and the next node makes another. */
    assert_int_equal(sshd_cut(&jump), 0);
    t.host = "127.0.1.98";
    t.ssh.port = nodes.port;
    login_works(&t);
    assert_int_equal(logins_at(&jump), 3);
    conns_free(the_conns);
    the_conns = before;
    sshd_stop(&nodes);
    sshd_stop(&jump);
}

/* Of two jump hosts the second is reached through the first; a configuration's ProxyJump is shared as well.
 */
static void openssh_goes_through_several(void **state)
{
    (void)state;
    struct sshd first = sshd_start("sshd_first", "hk_rsa", "AllowTcpForwarding yes"),
                second = sshd_start("sshd_second", "hk_rsa", "AllowTcpForwarding yes"),
                closed = sshd_start("sshd_closed", "hk_rsa", "AllowTcpForwarding no");
    known_hosts_write("kh_chain", "[127.0.0.1]:* %s\n", public_key("hk_rsa"));
    char chain[64], config[200];
    snprintf(chain, sizeof(chain), "127.0.0.1:%d,127.0.0.1:%d", first.port, second.port);
    struct target t = *with_known("kh_chain");
    t.ssh.proxy_jump = chain;
    login_works(&t);
    assert_int_equal(logins_at(&first), 1);
    assert_int_equal(logins_at(&second), 1);
    FILE *f = fopen(scratch_path("ssh_jumps"), "w");
    fprintf(f,
            "Host way\nHostName 127.0.0.1\nPort %d\nIdentityFile %s\nUserKnownHostsFile %s\n"
            "Match originalhost 127.0.0.1\nProxyJump way\n",
            first.port, t.ssh.key, t.ssh.known_hosts);
    fclose(f);
    snprintf(config, sizeof(config), "%s/ssh_jumps", scratch);
    t.ssh.proxy_jump = NULL;
    t.ssh.config = config;
    login_works(&t);
    assert_int_equal(logins_at(&first), 2);
    snprintf(chain, sizeof(chain), "127.0.0.1:%d", closed.port);
    t.ssh.proxy_jump = chain;
    t.ssh.config = "none";
    login_fails(&t, E_NET, ARGS("app1: the jump host", "administratively prohibited"));
    sshd_stop(&closed);
    sshd_stop(&second);
    sshd_stop(&first);
}

/* After conns_free no master runs and no socket is left. */
static void openssh_masters_go_with_us(void **state)
{
    (void)state;
    struct conns *before = the_conns;
    the_conns = conns_new(transport_table);
    login_works(the_target());
    assert_int_equal(sh("pgrep -f 'ssh -fNTM -S /tmp/release-[A-Za-z0-9]*/.*%s' >/dev/null", scratch), 0);
    conns_free(the_conns);
    the_conns = NULL;
    conns_free(before);
    UNTIL(sh("pgrep -f '[s]sh -fNTM.*%s' >/dev/null", scratch) != 0);
    the_conns = conns_new(transport_table);
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
        cmocka_unit_test(openssh_tries_a_full_bastion_again),
        cmocka_unit_test(openssh_nodes_share_the_login_to_their_bastion),
        cmocka_unit_test(openssh_goes_through_several),
        cmocka_unit_test(openssh_masters_go_with_us),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, setup, teardown);
}
