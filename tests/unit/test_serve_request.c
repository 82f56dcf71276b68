/* SPDX-License-Identifier: MIT */
/* What strangers send: paths, queries, patterns of routes, addresses to listen on, and a serve.yml with
 * mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "serve/serve_priv.h"

static void paths_are_decoded_once_and_never_climb(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *path; /* NULL: refused */
    } rows[] = {
        {"/", "/"},
        {"/api/v1/envs?x=1", "/api/v1/envs"},
        {"/a%20b", "/a b"},
        {"/a+b", "/a+b"},
        {"/%41", "/A"},
        {"/caf%c3%a9", "/caf\xc3\xa9"},
        {"/a..b/c", "/a..b/c"},
        {"/...", "/..."},
        {"", NULL},
        {"a", NULL},
        {"http://x/", NULL},
        {"*", NULL},
        {"/..", NULL},
        {"/a/..", NULL},
        {"/a/../b", NULL},
        {"/a/./b", NULL},
        {"/%2e%2e/x", NULL},
        {"/..%2fx", NULL},
        {"/a%2f..%2fb", NULL},
        {"/a//b", NULL},
        {"/a%00b", NULL},
        {"/a%0ab", NULL},
        {"/a%7f", NULL},
        {"/a\\b", NULL},
        {"/a%5cb", NULL},
        {"/%252e", NULL},
        {"/%", NULL},
        {"/%4", NULL},
        {"/%4g", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        auto_arena struct arena a = {0};
        const char *path = NULL;
        bool ok = path_clean(&a, rows[i].raw, &path);
        if (ok != (rows[i].path != NULL) || (ok && strcmp(path, rows[i].path) != 0))
            fail_msg("'%s' became '%s'", rows[i].raw, ok ? path : "(refused)");
    }
}

static void a_form_is_names_and_values(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct pair *pairs;
    size_t n;
    assert_true(pairs_parse(&a, "a=1&b=x+y%26z&c&=d&&e=%C3%BC", &pairs, &n));
    assert_int_equal(n, 5);
    assert_string_equal(pairs[1].value, "x y&z");
    assert_string_equal(pairs[2].name, "c");
    assert_string_equal(pairs[2].value, "");
    assert_string_equal(pairs[3].name, "");
    assert_string_equal(pairs[4].value, "\xc3\xbc");
    assert_true(pairs_parse(&a, "", &pairs, &n));
    assert_int_equal(n, 0);
    assert_false(pairs_parse(&a, "a=%0", &pairs, &n));
    assert_false(pairs_parse(&a, "a=%00", &pairs, &n));
    auto_buf struct buf many = BUF_INIT(10000);
    for (int i = 0; i < 101; i++)
        buf_puts(&many, "a=b&");
    assert_false(pairs_parse(&a, buf_str(&many), &pairs, &n));
}

static void a_pattern_takes_whole_pieces(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    const char *vars[REQUEST_VARS_MAX];
    assert_true(route_matches("/", "/", &a, vars));
    assert_true(route_matches("/api/v1/envs/{env}/lb", "/api/v1/envs/prod/lb", &a, vars));
    assert_string_equal(vars[0], "prod");
    assert_true(route_matches("/static/{*}", "/static/a/b.js", &a, vars));
    assert_string_equal(vars[0], "a/b.js");
    static const char *const no[][2] = {{"/", "/x"},
                                        {"/x", "/"},
                                        {"/api/v1/envs/{env}", "/api/v1/envs/"},
                                        {"/api/v1/envs/{env}", "/api/v1/envs"},
                                        {"/api/v1/envs/{env}", "/api/v1/envs/prod/lb"},
                                        {"/api/v1/envs", "/api/v1/envs/"},
                                        {"/static/{*}", "/static/"},
                                        {"/a/{x}/b", "/a/b"}};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (route_matches(no[i][0], no[i][1], &a, vars))
            fail_msg("'%s' takes '%s'", no[i][0], no[i][1]);
}

static void a_cookie_is_found_by_its_whole_name(void **state)
{
    (void)state;
    auto_arena struct arena a = {0};
    struct pair header = {.name = "cookie", .value = "xrelease=1; release=abc; release2=3;y"};
    struct request r = {.arena = &a, .headers = &header, .n_headers = 1};
    assert_string_equal(cookie_get(&r, "release"), "abc");
    assert_string_equal(cookie_get(&r, "release2"), "3");
    assert_null(cookie_get(&r, "rel"));
    assert_null(cookie_get(&r, "y"));
    header.value = "release";
    assert_null(cookie_get(&r, "release"));
    header.value = "";
    assert_null(cookie_get(&r, "release"));
}

static void hosts_and_origins_are_ours_or_refused(void **state)
{
    (void)state;
    struct serve s = {.address = {.host = "127.0.0.1", .port = 8710, .loopback = true}};
    s.config.url = "https://release.example.org/below";
    serve_name(&s);
    static const char *const ours[] = {"release.example.org", "Release.Example.ORG", "127.0.0.1:8710",
                                       "localhost:8710"};
    static const char *const others[] = {
        "",          "example.org",  "release.example.org:443",  "release.example.org.", "127.0.0.1",
        "localhost", "evil.example", "release.example.org/below"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        assert_true(host_ok(&s, ours[i]));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (host_ok(&s, others[i]))
            fail_msg("'%s' is taken for ours", others[i]);
    assert_false(host_ok(&s, NULL));
    struct pair header = {.name = "Origin", .value = "https://release.example.org"};
    struct request r = {.method = "POST", .headers = &header, .n_headers = 1};
    assert_true(origin_ok(&s, &r));
    static const char *const foreign[] = {"",
                                          "null",
                                          "https://evil.example",
                                          "https://release.example.org.evil.example",
                                          "ftp://release.example.org",
                                          "release.example.org",
                                          "https://"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        header.value = foreign[i];
        if (origin_ok(&s, &r))
            fail_msg("origin '%s' is taken for ours", foreign[i]);
    }
}

static void an_address_is_named_not_meant(void **state)
{
    (void)state;
    struct listen_address at;
    struct err err;
    assert_true(listen_parse("127.0.0.1:8710", &at, &err));
    assert_true(at.loopback && !at.ip6 && at.port == 8710);
    assert_true(listen_parse("[::1]:1", &at, &err));
    assert_true(at.loopback && at.ip6);
    assert_true(listen_parse("localhost:0", &at, &err));
    assert_string_equal(at.host, "127.0.0.1");
    assert_true(listen_parse("0.0.0.0:80", &at, &err));
    assert_false(at.loopback);
    assert_true(listen_parse("[::]:80", &at, &err));
    assert_false(at.loopback);
    assert_true(listen_parse("[::ffff:127.0.0.1]:80", &at, &err));
    assert_false(at.loopback); /* refused rather than guessed */
    static const char *const bad[] = {
        "",     "8710",         ":8710", "127.0.0.1",     "127.0.0.1:", "127.0.0.1:70000",
        "x:1",  "127.0.0.1:1x", "[::1]", "[127.0.0.1]:1", "::1:80",     "1.2.3:4",
        "*:80", "127.0.0.1:-1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (listen_parse(bad[i], &at, &err))
            fail_msg("'%s' is taken", bad[i]);
}

static void opening_it_needs_tls_or_a_proxy(void **state)
{
    (void)state;
    struct listen_address inside = {.loopback = true}, outside = {.loopback = false};
    struct serve_config c = {.listen = "x"};
    struct err err;
    assert_true(config_exposure_ok(&c, &inside, &err));
    assert_false(config_exposure_ok(&c, &outside, &err));
    assert_int_equal(err_code_exit(err.code), 2);
    c.tls_cert = "/c";
    assert_true(config_exposure_ok(&c, &outside, &err));
    c.tls_cert = NULL;
    c.proxy_address = "10.0.0.1";
    assert_true(config_exposure_ok(&c, &outside, &err));
}

static bool config_of(const char *text, mode_t mode, struct problems *problems)
{
    char path[] = "/tmp/release-serve-yml-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    fchmod(fd, mode);
    close(fd);
    struct serve_config c;
    bool ok = config_load(path, true, NULL, &c, problems);
    config_fini(&c);
    unlink(path);
    return ok;
}

static void a_configuration_with_mistakes_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words; /* NULL: fine */
    } rows[] = {
        {"{}\n", NULL},
        {"listen: 127.0.0.1:1\nurl: https://r.example.org:8443/x/\n", NULL},
        {"slack: {channel: C1}\nwebhooks: []\nallow: []\nqueue: {lapse: 10m}\n",
         NULL}, /* their parts read them */
        {"proxy: {address: '::1', user_header: X-User, role: admin}\n", NULL},
        {"listn: x\n", "did you mean 'listen'"},
        {"proxy: {address: everywhere}\n", "the one address"},
        {"proxy: {address: 1.2.3.4, role: root}\n", "viewer, operator or admin"},
        {"proxy: {address: 1.2.3.4, user_header: 'X: y'}\n", "not a name"},
        {"tls: {cert: /dev/null}\n", "both cert: and key:"},
        {"tls: {cert: relative, key: /k}\n", "not an absolute path"},
        {"url: release.example.org\n", "not an address of a page"},
        {"url: 'javascript://x'\n", "not an address of a page"},
        {"url: 'https://a b'\n", "not an address of a page"},
        {"- a\n", "map"},
        {"listen: [a]\n", "wanted text"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        auto_problems struct problems problems = {0};
        bool ok = config_of(rows[i].text, 0600, &problems);
        if (ok != (rows[i].words == NULL) || (!ok && !strstr(problems.lines[0], rows[i].words)))
            fail_msg("%s: %s", rows[i].text, ok ? "taken" : problems.lines[0]);
    }
}

static void a_configuration_of_others_is_refused(void **state)
{
    (void)state;
    static const mode_t bad[] = {0620, 0602, 0666, 0660};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        auto_problems struct problems problems = {0};
        assert_false(config_of("{}\n", bad[i], &problems));
    }
    auto_problems struct problems problems = {0};
    assert_true(config_of("{}\n", 0640, &problems));
}

/* Without it the order would be given all the same, and be another than was meant. */
static void a_word_of_another_order_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct order_wish wish;
        const char *refused; /* NULL: taken */
    } rows[] = {
        {{.verb = WISH_RESUME, .to = "v7"}, "resume: 'to' is not taken (it belongs to plan, rollback)"},
        {{.verb = WISH_RUN, .rev = "v7", .to = "v6"}, "run: 'to' is not taken"},
        {{.verb = WISH_RUN, .rev = "v7", .before = 41}, "run: 'before' is not taken"},
        {{.verb = WISH_RUN, .rev = "v7", .release = 41}, "run: 'release' is not taken"},
        {{.verb = WISH_RESUME, .before = 41}, "resume: 'before' is not taken"},
        {{.verb = WISH_RESUME, .rev = "v7"}, "resume: 'rev' is not taken (it belongs to run, plan)"},
        {{.verb = WISH_RESUME, .stages = "1"}, "resume: 'stages' is not taken"},
        {{.verb = WISH_RESUME, .window = "1"}, "resume: 'window' is not taken"},
        {{.verb = WISH_ABORT, .only = "app1"}, "abort: 'only' is not taken"},
        {{.verb = WISH_LOCK, .reason = "x", .exclude = "app1"}, "lock: 'exclude' is not taken"},
        {{.verb = WISH_PAUSE, .reason = "lunch"},
         "pause: 'reason' is not taken (it belongs to lock, unlock)"},
        {{.verb = WISH_LOCK, .reason = "x", .force = true}, "lock: 'force' is not taken"},
        {{.verb = WISH_RUN, .rev = "v7", .brief = true}, "run: 'brief' is not taken"},
        {{.verb = WISH_ROLLBACK, .rev = "v7"}, "rollback: a way back goes by what is recorded"},
        {{.verb = WISH_PLAN, .rev = "v7", .before = 41}, "plan: a way back goes by what is recorded"},
        {{.verb = WISH_RUN, .rev = "v7", .plan = "p", .stages = "1", .window = "1", .only = "app1"}, NULL},
        {{.verb = WISH_PLAN, .rev = "v7", .exclude = "app1", .brief = true}, NULL},
        {{.verb = WISH_PLAN, .to = "v7"}, NULL},
        {{.verb = WISH_ROLLBACK, .before = 41, .only = "app1"}, NULL},
        {{.verb = WISH_ROLLBACK, .release = 41}, NULL},
        {{.verb = WISH_RESUME, .release = 41, .exclude = "app1"}, NULL}, /* as it was asked about */
        {{.verb = WISH_UNLOCK, .reason = "x", .force = true}, NULL},
        {{.verb = WISH_ABORT}, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct order_wish w = rows[i].wish;
        struct err err = {.text = ""};
        w.env = "prod";
        w.who = "api:ci";
        bool taken = serve_wish_ok(&w, &err);
        const char *wanted = rows[i].refused;
        if (taken != !wanted || (wanted && (err.code != E_USAGE || !str_starts(err.text, wanted))))
            fail_msg("row %zu: %s, wanted %s", i, taken ? "taken" : err.text, wanted ? wanted : "taken");
        assert_true(taken || strstr(err.text, "nothing was touched"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_decoded_once_and_never_climb),
        cmocka_unit_test(a_form_is_names_and_values),
        cmocka_unit_test(a_pattern_takes_whole_pieces),
        cmocka_unit_test(a_cookie_is_found_by_its_whole_name),
        cmocka_unit_test(hosts_and_origins_are_ours_or_refused),
        cmocka_unit_test(an_address_is_named_not_meant),
        cmocka_unit_test(opening_it_needs_tls_or_a_proxy),
        cmocka_unit_test(a_configuration_with_mistakes_is_refused),
        cmocka_unit_test(a_configuration_of_others_is_refused),
        cmocka_unit_test(a_word_of_another_order_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
