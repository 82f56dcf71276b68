/* SPDX-License-Identifier: MIT */
/* The user's ssh configuration on the transport `ssh`, with ssh itself as the judge: what `ssh host` does is
 * done here as well, or refused with the setting's name. Never something else. */
#pragma GCC diagnostic ignored "-Wunused-function" /* half of the rig is not needed */
#include "unit/ssh_rig.h"

#include "drivers/transport/ssh/ssh_priv.h"

/* libssh2 1.10 loses 112 bytes of libcrypto's in each login with an ECDSA key. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:CRYPTO_zalloc";
}

static struct sshd sshd, jump1, jump2;
static struct target target = {.id = "web1", .transport = "ssh", .host = "web1"};

static const struct target *the_target(void)
{
    return &target;
}

static void agent_start(const char *name, const char *keys)
{
    assert_int_equal(sh("cd %s && ssh-agent -a %s/%s >%s.env && . ./%s.env >/dev/null && ssh-add -q %s",
                        scratch, scratch, name, name, name, keys),
                     0);
}

static int setup(void **state)
{
    (void)state;
    drivers_init();
    scratch_make();
    keys_make();
    assert_int_equal(
        sh("cd %s && mkdir 'a b' && cp uk_ed25519 'a b/key' && cp uk_ed25519 \"$(id -un)@127.0.0.1\" && "
           "for i in 1 2 3 4 5 6 7 8 9 10; do ssh-keygen -q -t ed25519 -N '' -f other$i; done",
           scratch),
        0);
    agent_start("few", "other[1-3]");
    agent_start("others", "other*[0-9]");
    agent_start("all", "other*[0-9] uk_ed25519");
    sshd = sshd_start("sshd_config", "hk_ed25519", NULL);
    jump1 = sshd_start("sshd_jump1", "hk_ed25519", NULL);
    jump2 = sshd_start("sshd_jump2", "hk_ed25519", NULL);
    known_hosts_write("known_hosts", "[127.0.0.1]:* %s\n", public_key("hk_ed25519"));
    known_hosts_write("a b/known", "[127.0.0.1]:* %s\n", public_key("hk_ed25519"));
    known_hosts_write("revoking", "@revoked * %s\n", public_key("hk_ed25519"));
    known_hosts_write("by_address", "the-name %s\n[127.0.0.1]:%d %s\n", public_key("hk_ed25519"), sshd.port,
                      public_key("hk_ecdsa"));
    known_hosts_write("none_here", "other %s\n", public_key("hk_ed25519"));
    setenv("SSH_AUTH_SOCK", scratch_path("few"), 1);
    setenv("AGENT_OF_MINE", scratch_path("all"), 1);
    setenv("KEY_PLACE", scratch, 1);
    target.ssh.config = scratch_keep("ssh_config");
    target.state_dir = scratch_keep("state/prod/web1");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sh("for i in few others all; do . %s/$i.env >/dev/null; kill $SSH_AGENT_PID; done", scratch);
    sshd_stop(&sshd);
    sshd_stop(&jump1);
    sshd_stop(&jump2);
    scratch_remove();
    return 0;
}

/* One configuration: `first` comes before what makes a login work, so it wins; @ stands for scratch, J1 and
 * J2 for the ports of the jump hosts. */
struct row {
    const char *first;
    const char *refused; /* by its name; NULL = it works as with ssh */
    bool fails;          /* refused, and so does ssh */
    bool endless;        /* ssh itself would go on for ever */
};

static void config_write(const char *first)
{
    FILE *f = fopen(scratch_path("ssh_config"), "w");
    assert_non_null(f);
    for (const char *p = first; *p; p++)
        if (*p == '@' && (p[1] == '/' || p[1] == '"'))
            fputs(scratch, f);
        else if (p[0] == 'J' && (p[1] == '1' || p[1] == '2'))
            fprintf(f, "%d", *++p == '1' ? jump1.port : jump2.port);
        else
            fputc(*p, f);
    fprintf(f,
            "\nHost *\n Port %d\n HostName 127.0.0.1\n UserKnownHostsFile %s/known_hosts\n IdentityFile "
            "%s/uk_ed25519\n",
            sshd.port, scratch, scratch);
    fclose(f);
}

static bool ssh_works(void)
{
    return sh("test \"$(timeout 20 ssh -F %s/ssh_config -o BatchMode=yes -o StrictHostKeyChecking=yes web1 "
              "echo in 2>%s/ssh.err </dev/null)\" = in",
              scratch, scratch) == 0;
}

static bool we_work(char *why, size_t n)
{
    struct ask a = {.cmd = {.script = "echo in", .quiet = true}};
    the_conns = conns_new(transport_table);
    ask(&a);
    bool good = a.good && strcmp(a.out, "in\n") == 0;
    snprintf(why, n, "%s", a.err.text);
    ask_free(&a);
    conns_free(the_conns);
    the_conns = NULL;
    return good;
}

static void as_ssh_does(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.first = ""},
        /* jump hosts */
        {.first = "Host web1\n ProxyJump 127.0.0.1:J1\n"},
        {.first = "Host web1\n ProxyJump j1\nHost j1\n Port J1\n ProxyJump j2\nHost j2\n Port J2\n"},
        {.first = "Host web1\n ProxyJump j2,j1\nHost j1\n Port J1\n ProxyJump nowhere.invalid\nHost j2\n "
                  "Port J2\n"},
        {.first = "Host *\n ProxyJump j1\n", .refused = "circle", .fails = true, .endless = true},
        {.first = "ProxyJump none\n"},
        {.first = "ProxyCommand none\n"},
        {.first = "ProxyCommand /usr/sbin/sshd -i -f @/sshd_config\n"},
        {.first = "ProxyCommand echo %h is closed on %p >&2; exit 1\n",
         .refused = "127.0.0.1 is closed on",
         .fails = true},
        {.first = "ProxyCommand false\nProxyUseFdpass yes\n", .refused = "ProxyUseFdpass", .fails = true},
        /* keys */
        {.first = "Host web1\n IdentityFile \"@/a b/key\"\nHost *\n IdentitiesOnly yes\n"},
        {.first = "IdentityFile @/%r@%h\nIdentitiesOnly yes\n"},
        {.first = "IdentityFile ${KEY_PLACE}/uk_ed25519\nIdentitiesOnly yes\n"},
        {.first = "IdentityFile @/%C\n", .refused = "IdentityFile", .fails = false},
        {.first = "IdentityFile ${NOT_THERE_AT_ALL}/x\n", .refused = "NOT_THERE_AT_ALL", .fails = true},
        {.first = "IdentityAgent $AGENT_OF_MINE\n"},
        {.first = "IdentityAgent @/all\nIdentityFile @/uk_ed25519.pub\nIdentitiesOnly yes\n"},
        {.first = "IdentityAgent none\n"},
        {.first = "IdentityAgent none\nIdentityFile none\nIdentityFile @/other1\n"},
        {.first = "PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256\n",
         .refused = "PubkeyAcceptedAlgorithms",
         .fails = true},
        {.first = "PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256\nIdentityFile @/uk_ecdsa\n"},
        {.first = "PubkeyAuthentication no\n", .refused = "PubkeyAuthentication", .fails = true},
        {.first = "PreferredAuthentications password\n",
         .refused = "PreferredAuthentications",
         .fails = true},
        {.first = "CertificateFile @/nothing-cert.pub\nUser nobody-of-that-name\n",
         .refused = "CertificateFile",
         .fails = true},
        /* host keys */
        {.first = "UserKnownHostsFile \"@/a b/known\"\n"},
        {.first = "UserKnownHostsFile @/none_here \"@/a b/known\"\n"},
        {.first = "UserKnownHostsFile none\nGlobalKnownHostsFile @/known_hosts\n"},
        {.first = "GlobalKnownHostsFile @/none_here @/revoking\n", .refused = "revoked", .fails = true},
        {.first = "UserKnownHostsFile @/none_here\nGlobalKnownHostsFile none\n",
         .refused = "missing",
         .fails = true},
        {.first = "UserKnownHostsFile @/by_address\nHostKeyAlias the-name\nCheckHostIP yes\n"},
        {.first = "KnownHostsCommand /bin/true %H\n", .refused = "KnownHostsCommand"},
        {.first = "RevokedHostKeys @/nothing\n", .refused = "RevokedHostKeys", .fails = true},
        {.first = "HostKeyAlgorithms ecdsa-sha2-nistp256\n", .refused = "HostKeyAlgorithms", .fails = true},
        {.first = "HostKeyAlgorithms ssh-ed25519\n"},
        {.first = "UserKnownHostsFile @/none_here\nVerifyHostKeyDNS yes\n",
         .refused = "VerifyHostKeyDNS",
         .fails = true},
        /* the wire */
        {.first = "Ciphers aes256-gcm@openssh.com\n", .refused = "Ciphers"},
        {.first = "Ciphers aes256-ctr\nMACs hmac-sha2-256\nKexAlgorithms curve25519-sha256\n"},
        {.first = "BindAddress 127.0.0.1\n", .refused = "BindAddress"},
        {.first = "AddressFamily inet\nConnectTimeout 3\n"},
        {.first = "AddressFamily inet6\n", .refused = "127.0.0.1", .fails = true},
        {.first = "ControlMaster auto\nControlPath @/%C\nForwardAgent yes\nSendEnv LANG\nCompression yes\n"},
    };
    char why[1000];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];
        config_write(r->first);
        bool ssh = r->endless ? false : ssh_works(), us = we_work(why, sizeof(why));
        if (ssh != !r->fails && ssh != !r->refused) {
            sh("cat %s/ssh.err >&2", scratch);
            fail_msg("%s: ssh itself %s", r->first, ssh ? "works" : "fails");
        }
        if (us != !r->refused)
            fail_msg("%s: %s", r->first, us ? "works, wanted a refusal" : why);
        if (r->refused && !strstr(why, r->refused))
            fail_msg("%s: '%s' is not in: %s", r->first, r->refused, why);
        if (us && !ssh)
            fail_msg("%s: works here, and not with ssh", r->first);
    }
}

/* sshd takes six keys. Ten others in the agent must not come before the one that is named: in the agent too,
 * as ssh has it, or on disk only, where ssh itself gives up. */
static void a_named_key_comes_before_the_agents_others(void **state)
{
    (void)state;
    char why[1000];
    setenv("SSH_AUTH_SOCK", scratch_path("all"), 1);
    config_write("");
    assert_true(ssh_works());
    if (!we_work(why, sizeof(why)))
        fail_msg("%s", why);
    setenv("SSH_AUTH_SOCK", scratch_path("others"), 1);
    if (!we_work(why, sizeof(why)))
        fail_msg("%s", why);
    config_write("IdentityFile @/other11\n"); /* not there: and our own comes behind it, from `Host *` */
    if (!we_work(why, sizeof(why)))
        fail_msg("%s", why);
}

/* The way through j1 is j1's own: both jump hosts see a login. */
static void a_chain_of_jumps_goes_through_each(void **state)
{
    (void)state;
    char why[1000];
    config_write("Host web1\n ProxyJump j1\nHost j1\n Port J1\n ProxyJump j2\nHost j2\n Port J2\n");
    unlink(scratch_path("sshd.log"));
    sshd_stop(&jump1);
    sshd_stop(&jump2);
    sshd_stop(&sshd);
    /* One log for all, begun anew. */
    sshd = sshd_start("sshd_config", "hk_ed25519", NULL);
    jump1 = sshd_start("sshd_jump1", "hk_ed25519", NULL);
    jump2 = sshd_start("sshd_jump2", "hk_ed25519", NULL);
    config_write("Host web1\n ProxyJump j1\nHost j1\n Port J1\n ProxyJump j2\nHost j2\n Port J2\n");
    if (!we_work(why, sizeof(why)))
        fail_msg("%s", why);
    assert_int_equal(sh("test $(grep -c 'Accepted publickey' %s/sshd.log) = 3", scratch), 0);
    /* The pillar's `none` is no host. */
    target.ssh.proxy_jump = "none";
    bool direct = we_work(why, sizeof(why));
    target.ssh.proxy_jump = NULL;
    if (!direct)
        fail_msg("%s", why);
    assert_int_equal(sh("test $(grep -c 'Accepted publickey' %s/sshd.log) = 4", scratch), 0);
}

/* Whatever ssh prints, somebody has thought about; and people can read what was thought. */
static void every_setting_has_a_fate(void **state)
{
    (void)state;
    char line[4096];
    assert_int_equal(sh("ssh -G -F none x >%s/settings && cat docs/transports.md >%s/docs", scratch, scratch),
                     0);
    FILE *f = fopen(scratch_path("settings"), "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, " \n")] = '\0';
        if (!ssh_setting_known(line))
            fail_msg("%s: drivers/transport/ssh/settings_words.c does not know it", line);
        if (sh("grep -qi '\\b%s\\b' %s/docs", line, scratch) != 0)
            fail_msg("%s: docs/transports.md does not name it", line);
    }
    fclose(f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_ssh_does),
        cmocka_unit_test(every_setting_has_a_fate),
        cmocka_unit_test(a_named_key_comes_before_the_agents_others),
        cmocka_unit_test(a_chain_of_jumps_goes_through_each),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, setup, teardown);
}
