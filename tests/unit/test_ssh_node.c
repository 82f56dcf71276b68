/* SPDX-License-Identifier: MIT */
/* drivers/node/node.h over the transport `ssh`, against a real sshd; and what only this transport has: host keys,
 * keys, jump hosts, connections that break. */
#include "unit/node_cases.h"
#include "unit/ssh_rig.h"

/* libssh2 1.10 loses 112 bytes of libcrypto's in each login with an ECDSA key. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:CRYPTO_zalloc";
}

static struct sshd sshd;
static struct target target = {
    .id = "app1", .transport = "ssh", .host = "127.0.0.1", .ssh = {.config = "none"}};

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
    sshd = sshd_start("sshd_config", "hk_ed25519", NULL);
    known_hosts_write("known_hosts", "[127.0.0.1]:%d %s\n", sshd.port, public_key("hk_ed25519"));
    target.ssh.port = sshd.port;
    target.ssh.key = scratch_keep("uk_ed25519");
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

/* ---- host keys
 * ------------------------------------------------------------------------------------------- */

static void host_key_missing(void **state)
{
    (void)state;
    known_hosts_write("kh1", "127.0.0.1 %s\n", public_key("hk_ed25519")); /* port 22, not ours */
    login_fails(with_known("kh1"), E_HOSTKEY, ARGS("missing", "SHA256:", "kh1", "ssh-keygen"));
}

static void host_key_changed(void **state)
{
    (void)state;
    known_hosts_write("kh2", "# comment\n[127.0.0.1]:%d %s\n", sshd.port, public_key("uk_ed25519"));
    login_fails(with_known("kh2"), E_HOSTKEY, ARGS("changed", "SHA256:", "kh2:2"));
}

static void host_key_revoked(void **state)
{
    (void)state;
    known_hosts_write("kh3", "[127.0.0.1]:%d %s\n@revoked * %s\n", sshd.port, public_key("hk_ed25519"),
                      public_key("hk_ed25519"));
    login_fails(with_known("kh3"), E_HOSTKEY, ARGS("revoked", "SHA256:", "kh3:2"));
}

static void host_key_by_authority_proposes_openssh(void **state)
{
    (void)state;
    known_hosts_write("kh4", "@cert-authority *,[*]:* %s\n", public_key("uk_ed25519"));
    login_fails(with_known("kh4"), E_HOSTKEY, ARGS("@cert-authority", "transport: openssh"));
}

static void host_key_rsa_only_proposes_openssh(void **state)
{
    (void)state;
    known_hosts_write("kh5", "[127.0.0.1]:%d %s\n", sshd.port, public_key("hk_rsa"));
    login_fails(with_known("kh5"), E_HOSTKEY, ARGS("ssh-rsa", "transport: openssh"));
}

static void host_key_beside_a_bad_line(void **state)
{
    (void)state;
    known_hosts_write("kh6", "garbage\n[127.0.0.1]:%d %s\n", sshd.port, public_key("hk_ed25519"));
    const struct target *t = with_known("kh6");
    struct ask a = try_login(t);
    assert_true(a.good);
    assert_non_null(strstr(buf_str(&a.log.text[0]), "kh6:1"));
    ask_free(&a);
}

static void host_key_wildcard(void **state)
{
    (void)state;
    known_hosts_write("kh7", "[127.0.*.1]:* %s\n", public_key("hk_ed25519"));
    login_works(with_known("kh7"));
}

/* A server with two keys, known by the one that libssh2 would not pick. */
static void host_key_type_is_asked_for(void **state)
{
    (void)state;
    char more[200];
    snprintf(more, sizeof(more), "HostKey %s/hk_ecdsa", scratch);
    struct sshd two = sshd_start("sshd_two", "hk_ed25519", more);
    known_hosts_write("kh8", "[127.0.0.1]:%d %s\n", two.port, public_key("hk_ed25519"));
    struct target t = *with_known("kh8");
    t.ssh.port = two.port;
    login_works(&t);
    known_hosts_write("kh9", "[127.0.0.1]:%d %s\n", two.port, public_key("hk_ecdsa"));
    t.ssh.known_hosts = scratch_keep("kh9");
    login_works(&t);
    sshd_stop(&two);
}

/* ---- login keys
 * --------------------------------------------------------------------------------------------------- */

static void key_ecdsa_works(void **state)
{
    (void)state;
    login_works(with_key("uk_ecdsa"));
}

static void key_rsa_proposes_openssh(void **state)
{
    (void)state;
    login_fails(with_key("uk_rsa"), E_AUTH, ARGS("uk_rsa", "RSA", "transport: openssh"));
}

static void key_encrypted_wants_the_agent(void **state)
{
    (void)state;
    login_fails(with_key("uk_locked"), E_AUTH, ARGS("encrypted", "ssh-add"));
}

static void key_unknown_to_the_server(void **state)
{
    (void)state;
    assert_int_equal(sh("ssh-keygen -q -t ed25519 -N '' -f %s/stranger", scratch), 0);
    login_fails(with_key("stranger"), E_AUTH, ARGS("stranger", "authorized_keys"));
}

static void key_missing_is_named(void **state)
{
    (void)state;
    login_fails(with_key("nothing"), E_AUTH, ARGS("nothing", "does not exist"));
}

/* The locked key through a real agent, and only that one of its two keys. */
static void key_through_the_agent(void **state)
{
    (void)state;
    assert_int_equal(
        sh("cd %s && ssh-agent -a %s/agent >agent.env && . ./agent.env >/dev/null && ssh-add -q uk_ecdsa && "
           "echo 'echo secret' >ask && chmod +x ask && SSH_ASKPASS=%s/ask SSH_ASKPASS_REQUIRE=force ssh-add "
           "-q uk_locked </dev/null 2>/dev/null",
           scratch, scratch, scratch),
        0);
    setenv("SSH_AUTH_SOCK", scratch_path("agent"), 1);
    struct conns *before = the_conns;
    the_conns = conns_new(transport_table); /* settings remember the agent */
    login_works(with_key("uk_locked"));
    conns_free(the_conns);
    the_conns = before;
    unsetenv("SSH_AUTH_SOCK");
    assert_int_equal(sh(". %s/agent.env >/dev/null; kill $SSH_AGENT_PID", scratch), 0);
}

/* ---- the user's configuration, jump hosts, odd servers
 * -------------------------------------------------------------- */

static void settings_come_from_ssh_config(void **state)
{
    (void)state;
    FILE *f = fopen(scratch_path("ssh_config"), "w");
    fprintf(f,
            "Host web-*\n HostName 127.0.0.1\n Port %d\n IdentityFile %s/uk_ecdsa\n UserKnownHostsFile "
            "%s/kh_alias\n"
            " HostKeyAlias the-alias\n",
            sshd.port, scratch, scratch);
    fclose(f);
    known_hosts_write("kh_alias", "the-alias %s\n", public_key("hk_ed25519"));
    struct target t = {.id = "web-1",
                       .transport = "ssh",
                       .host = "web-1",
                       .ssh = {.config = scratch_keep("ssh_config")},
                       .state_dir = the_target()->state_dir};
    login_works(&t);
}

static void proxy_jump_reaches_through_a_second_sshd(void **state)
{
    (void)state;
    struct sshd jump = sshd_start("sshd_jump", "hk_ecdsa", NULL);
    known_hosts_write("kh_jump", "[127.0.0.1]:%d %s\n[127.0.0.1]:%d %s\n", sshd.port,
                      public_key("hk_ed25519"), jump.port, public_key("hk_ecdsa"));
    char hop[64];
    snprintf(hop, sizeof(hop), "127.0.0.1:%d", jump.port);
    struct target t = *with_known("kh_jump");
    t.ssh.proxy_jump = hop;
    t.ssh.user = NULL;
    login_works(&t);
    struct ask a = {.target = &t,
                    .cmd = {.script = "head -c 20000000 /dev/zero; head -c 1000000 /dev/zero >&2"}};
    ask_ok(&a);
    assert_int_equal(a.log.bytes[1], 20000000);
    assert_int_equal(a.log.bytes[2], 1000000);
    ask_free(&a);
    struct ask b = {
        .act = ACT_CHANGE, .target = &t, .key = "40-1", .fence = 8, .cmd = {.script = "sleep 0.5; echo hop"}};
    ask_ok(&b);
    assert_string_equal(b.out, "hop\n");
    ask_free(&b);
    /* The jump host's key is judged like any other. */
    known_hosts_write("kh_jump2", "[127.0.0.1]:%d %s\n[127.0.0.1]:%d %s\n", sshd.port,
                      public_key("hk_ed25519"), jump.port, public_key("uk_ecdsa"));
    t.ssh.known_hosts = scratch_keep("kh_jump2");
    login_fails(&t, E_HOSTKEY, ARGS("jump host", "changed"));
    sshd_stop(&jump);
}

/* docs/promises.md#m16: accepts, never answers. */
static void a_mute_server_is_given_up(void **state)
{
    (void)state;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &n), 0);
    struct target t = *the_target();
    t.ssh.port = ntohs(addr.sin_port);
    struct ask a = {.target = &t, .timeout_ms = 500, .cmd = {.script = "true"}};
    int64_t begun = clock_mono_ms();
    ask(&a);
    assert_int_equal(a.err.code, E_LATE);
    assert_true(clock_mono_ms() - begun < 3000);
    ask_free(&a);
    close(fd);
}

static void ciphers_it_cannot_do_propose_openssh(void **state)
{
    (void)state;
    struct sshd odd = sshd_start("sshd_odd", "hk_ed25519", "Ciphers aes256-gcm@openssh.com");
    known_hosts_write("kh_odd", "[127.0.0.1]:%d %s\n", odd.port, public_key("hk_ed25519"));
    struct target t = *with_known("kh_odd");
    t.ssh.port = odd.port;
    login_fails(&t, E_PROTO, ARGS("transport: openssh"));
    sshd_stop(&odd);
}

#define SSH_CASES                                                                                            \
    cmocka_unit_test(host_key_missing), cmocka_unit_test(host_key_changed),                                  \
        cmocka_unit_test(host_key_revoked), cmocka_unit_test(host_key_by_authority_proposes_openssh),        \
        cmocka_unit_test(host_key_rsa_only_proposes_openssh), cmocka_unit_test(host_key_beside_a_bad_line),  \
        cmocka_unit_test(host_key_wildcard), cmocka_unit_test(host_key_type_is_asked_for),                   \
        cmocka_unit_test(key_ecdsa_works), cmocka_unit_test(key_rsa_proposes_openssh),                       \
        cmocka_unit_test(key_encrypted_wants_the_agent), cmocka_unit_test(key_unknown_to_the_server),        \
        cmocka_unit_test(key_missing_is_named), cmocka_unit_test(key_through_the_agent),                     \
        cmocka_unit_test(settings_come_from_ssh_config),                                                     \
        cmocka_unit_test(proxy_jump_reaches_through_a_second_sshd),                                          \
        cmocka_unit_test(a_mute_server_is_given_up), cmocka_unit_test(ciphers_it_cannot_do_propose_openssh)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {NODE_CASES, CUT_CASES, SHELL_CASES, SSH_CASES};
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, setup, teardown);
}
