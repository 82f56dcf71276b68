/* SPDX-License-Identifier: MIT */
/* known_hosts line by line, private key files, and `ssh -G`: pure functions, real ssh-keygen as the other
 * opinion. */
#pragma GCC diagnostic ignored "-Wunused-function" /* of the rig only the scratch directory is needed */
#include "unit/ssh_rig.h"

#include "drivers/transport/ssh/ssh_priv.h"

static const struct target *the_target(void)
{
    return NULL;
}

static struct arena arena;

static enum known judge(const char *name, const char *shown, const char *text, struct known_hosts *ret)
{
    static unsigned char blob[2048];
    const char *space = strchr(shown, ' ');
    int n = base64_decode(space + 1, strlen(space + 1), blob);
    const struct known_key *key = NULL;
    assert_true(n > 0);
    *ret = (struct known_hosts){0};
    known_hosts_parse(&(struct hosts_file){.name = "kh", .text = text, .n = strlen(text)}, name, &arena, ret);
    return known_hosts_check(ret, blob, (size_t)n, &key);
}

static void every_kind_of_line(void **state)
{
    (void)state;
    char good[2048], other[2048];
    strcpy(good, public_key("hk_ed25519"));
    strcpy(other, public_key("uk_ed25519"));
    /* %1 = the key that the host shows, %2 = another one */
    static const struct {
        const char *name, *lines;
        enum known want;
    } rows[] = {
        {"web1", "web1 %1\n", KNOWN_MATCH},
        {"web1", "web1 %1", KNOWN_MATCH}, /* no last newline */
        {"web1", "  web1\t%1 comment\r\n", KNOWN_MATCH},
        {"web1", "WEB1 %1\n", KNOWN_MATCH},
        {"web1", "", KNOWN_MISSING},
        {"web1", "# web1 %1\n", KNOWN_MISSING},
        {"web1", "web10 %1\n", KNOWN_MISSING},
        {"web1", "web1 %2\n", KNOWN_CHANGED},
        {"web1", "web1 %2\nweb1 %1\n", KNOWN_MATCH},
        {"web1", "10.0.0.1,web1,x %1\n", KNOWN_MATCH},
        {"web1", "web? %1\n", KNOWN_MATCH},
        {"web1", "*.example,w*1 %1\n", KNOWN_MATCH},
        {"web1", "*,!web1 %1\n", KNOWN_MISSING},
        {"web1", "!web2,* %1\n", KNOWN_MATCH},
        {"web1", "!web1 %1\n", KNOWN_MISSING},
        /* A port of its own is a name of its own, in both directions. */
        {"[web1]:2222", "web1 %1\n", KNOWN_MISSING},
        {"[web1]:2222", "[web1]:2222 %1\n", KNOWN_MATCH},
        {"[web1]:2222", "[web1]:22 %1\n", KNOWN_MISSING},
        {"web1", "[web1]:2222 %1\n", KNOWN_MISSING},
        {"[web1]:2222", "[*]:2222 %1\n", KNOWN_MATCH},
        /* Revoked wins, wherever it stands. */
        {"web1", "web1 %1\n@revoked web1 %1\n", KNOWN_REVOKED},
        {"web1", "@revoked * %1\nweb1 %1\n", KNOWN_REVOKED},
        {"web1", "@revoked web1 %2\nweb1 %1\n", KNOWN_MATCH},
        {"web1", "@revoked web1 %2\n", KNOWN_MISSING},
        {"web1", "@cert-authority web* %1\n", KNOWN_AUTHORITY},
        {"web1", "@cert-authority * %1\nweb1 %1\n", KNOWN_MATCH},
        {"web1", "@sometime web1 %1\n", KNOWN_MISSING},
        /* A bad line costs itself and nothing else. */
        {"web1", "rubbish\nweb1 %1\n", KNOWN_MATCH},
        {"web1", "web2 ssh-ed25519 !!!!\nweb1 %1\n", KNOWN_MATCH},
        {"web1", "web1 ssh-ed25519 AAAA\n", KNOWN_BAD},
        {"web1", "web1 ssh-ed25519 AAAA\nweb1 %1\n", KNOWN_MATCH},
        {"web1", "@revoked web1 ssh-ed25519 AAAA\nweb1 %1\n", KNOWN_BAD},
        {"web1", "web1 ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA\n", KNOWN_BAD}, /* says rsa outside, ed25519 inside */
        {"web1", "web1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AA=A\n", KNOWN_BAD}, /* OpenSSL would take it */
        {"*[web1", "@revoked * %1\n", KNOWN_REVOKED}, /* a name with a star in it is matched by stars, too */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_buf struct buf text = BUF_INIT(16384);
        for (const char *p = rows[i].lines; *p; p++) {
            if (p[0] == '%')
                buf_puts(&text, *++p == '1' ? good : other);
            else
                buf_add(&text, p, 1);
        }
        struct known_hosts known;
        enum known is = judge(rows[i].name, good, buf_str(&text), &known);
        if (is != rows[i].want)
            fail_msg("row %zu (%s): %d, wanted %d", i, rows[i].lines, is, rows[i].want);
    }
}

static void bad_lines_are_told_by_place(void **state)
{
    (void)state;
    struct known_hosts known;
    judge("web1", public_key("hk_ed25519"), "\n# c\nrubbish\nweb1 x y\n", &known);
    assert_string_equal(known.bad_where, "kh:3");
    assert_int_equal(known.n_bad, 2);
}

/* Hashed by the real ssh-keygen, with and without port. */
static void hashed_names_match(void **state)
{
    (void)state;
    static const char *const names[] = {"web1.example.org", "[web1.example.org]:2222"};
    for (size_t i = 0; i < 2; i++) {
        known_hosts_write("hashed", "%s %s\n", names[i], public_key("hk_ed25519"));
        assert_int_equal(sh("ssh-keygen -q -H -f %s/hashed >/dev/null 2>&1", scratch), 0);
        const char *files[] = {scratch_path("hashed"), NULL};
        struct known_hosts known;
        known_hosts_load(files, names[i], &arena, &known);
        assert_non_null(known.keys);
        known_hosts_load(files, names[1 - i], &arena, &known);
        assert_null(known.keys);
    }
}

static void types_are_asked_for_in_our_order(void **state)
{
    (void)state;
    char text[8192];
    struct known_hosts known;
    snprintf(text, sizeof(text), "w %s\nw %s\nw %s\n", public_key("hk_rsa"), public_key("hk_ecdsa"),
             public_key("hk_ed25519"));
    judge("w", public_key("hk_ed25519"), text, &known);
    assert_string_equal(known_hosts_types(&known, &arena), "ssh-ed25519,ecdsa-sha2-nistp256");
    snprintf(text, sizeof(text), "w %s\n", public_key("hk_rsa"));
    judge("w", public_key("hk_ed25519"), text, &known);
    assert_null(known_hosts_types(&known, &arena));
}

static void fingerprint_is_that_of_ssh_keygen(void **state)
{
    (void)state;
    unsigned char blob[2048];
    const char *key = strchr(public_key("hk_ecdsa"), ' ') + 1;
    int n = base64_decode(key, strlen(key), blob);
    const char *print = key_fingerprint(blob, (size_t)n, &arena);
    assert_int_equal(sh("ssh-keygen -lf %s/hk_ecdsa.pub | grep -qF '%s'", scratch, print), 0);
}

static void key_files_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(
        sh("cd %s && ssh-keygen -q -t rsa -b 2048 -m PEM -N '' -f pem_rsa && ssh-keygen -q -t ecdsa -m PEM "
           "-N '' -f "
           "pem_ec && ssh-keygen -q -t ecdsa -m PKCS8 -N '' -f pkcs8_ec && ssh-keygen -q -t rsa -b 2048 -m "
           "PKCS8 "
           "-N '' -f pkcs8_rsa && ssh-keygen -q -t ecdsa -m PEM -N secret -f pem_locked && ssh-keygen -q -t "
           "ed25519 -Z aes256-gcm@openssh.com -N secret -f gcm && echo rubbish >rubbish",
           scratch),
        0);
    static const struct {
        const char *file;
        enum key_kind kind;
    } rows[] = {{"uk_ed25519", KEY_GOOD},      {"uk_ecdsa", KEY_GOOD},       {"pem_ec", KEY_GOOD},
                {"pkcs8_ec", KEY_GOOD},        {"uk_rsa", KEY_UNABLE},       {"pem_rsa", KEY_UNABLE},
                {"pkcs8_rsa", KEY_UNABLE},     {"uk_locked", KEY_ENCRYPTED}, {"gcm", KEY_ENCRYPTED},
                {"pem_locked", KEY_ENCRYPTED}, {"rubbish", KEY_BROKEN},      {"uk_rsa.pub", KEY_PUBLIC},
                {"nothing", KEY_MISSING}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct key_file k = key_file_read(scratch_path(rows[i].file), &arena);
        if (k.kind != rows[i].kind)
            fail_msg("%s: %d, wanted %d", rows[i].file, (int)k.kind, (int)rows[i].kind);
        assert_true(k.kind == KEY_GOOD || k.why != NULL);
    }
}

static void ssh_g_is_understood(void **state)
{
    (void)state;
    char text[] = "user deploy\nhostname 10.0.0.1\nport 2222\nidentityfile /k/one\nidentityfile /k/two\n"
                  "userknownhostsfile /a /b\nglobalknownhostsfile /c\nproxyjump j1,u@j2:22\nhostkeyalias al\n"
                  "identitiesonly yes\nidentityagent /run/agent\nunknown thing\n";
    struct ssh_settings *s = xcalloc(1, sizeof(*s));
    ssh_settings_parse(s, text);
    assert_string_equal(s->user, "deploy");
    assert_string_equal(s->host, "10.0.0.1");
    assert_int_equal(s->port, 2222);
    assert_string_equal(s->keys[1], "/k/two");
    assert_null(s->keys[2]);
    assert_string_equal(s->known_hosts[0], "/a");
    assert_string_equal(s->global_known[0], "/c");
    assert_string_equal(s->proxy_jump, "j1,u@j2:22");
    assert_string_equal(s->alias, "al");
    assert_string_equal(s->agent, "/run/agent");
    assert_true(s->identities_only);
    ssh_settings_free(s);
}

static int setup(void **state)
{
    (void)state;
    scratch_make();
    keys_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_line),
        cmocka_unit_test(bad_lines_are_told_by_place),
        cmocka_unit_test(hashed_names_match),
        cmocka_unit_test(types_are_asked_for_in_our_order),
        cmocka_unit_test(fingerprint_is_that_of_ssh_keygen),
        cmocka_unit_test(key_files_are_told_apart),
        cmocka_unit_test(ssh_g_is_understood),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
