/* SPDX-License-Identifier: MIT */
/* http.check and notify.webhook against a small server that can misbehave in every way we know of. */
#include "unit/lb_rig.h"

#define REV "0123456789abcdef0123456789abcdef01234567"

static int port, tls_port;
static pid_t server;

/* One answer by path; the request of /hook is kept in a file. */
static void answer(int fd)
{
    static char in[65536];
    size_t n = 0;
    ssize_t got;
    while (n < sizeof in - 1 && (got = read(fd, in + n, sizeof in - 1 - n)) > 0) {
        n += (size_t)got;
        in[n] = '\0';
        const char *body = strstr(in, "\r\n\r\n"), *len = strstr(in, "Content-Length: ");
        if (body && (!len || strlen(body + 4) >= (size_t)atoi(len + 16)))
            break;
    }
    if (n == 0)
        return;
    if (strstr(in, "/hook"))
        rig_write(rig_path("hook"), "%s", in);
    if (strstr(in, " /fine"))
        app_say(fd, "200 OK", "X-Revision: " REV "\r\nX-Colour: green\r\n", "all is ok here\n");
    else if (strstr(in, " /short"))
        app_say(fd, "200 OK", "X-Revision: 0123456\r\n", "ok");
    else if (strstr(in, " /old"))
        app_say(fd, "200 OK", "X-Revision: fff3456789abcdef0123456789abcdef01234567\r\n", "ok");
    else if (strstr(in, " /moved"))
        app_say(fd, "302 Found", "Location: /fine\r\n", "");
    else if (strstr(in, " /broken"))
        app_say(fd, "500 Internal", "", "oops \x1b[2J");
    else if (strstr(in, " /hang"))
        poll(NULL, 0, 5000);
    else if (strstr(in, " /closed"))
        return;
    else if (strstr(in, " /huge")) {
        app_say(fd, "200 OK", "", "ok");
        while (write(fd, in, sizeof in) > 0)
            ;
    } else if (strstr(in, " /flood")) {
        static const char head[] = "HTTP/1.1 200 OK\r\n",
                          line[] = "X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
        if (write(fd, head, sizeof head - 1) > 0)
            while (write(fd, line, sizeof line - 1) > 0)
                ;
    } else if (strstr(in, " /stream")) {
        static const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
        static char zeros[65536];
        if (write(fd, head, sizeof head - 1) > 0)
            while (write(fd, zeros, sizeof zeros) > 0)
                ;
    } else if (strstr(in, "/hook-no"))
        app_say(fd, "403 Forbidden", "", "invalid_token");
    else if (strstr(in, "/hook-bad"))
        app_say(fd, "502 Bad Gateway", "", "");
    else if (strstr(in, "/hook"))
        app_say(fd, "200 OK", "", "ok");
    else
        app_say(fd, "404 Not Found", "", "");
}

static pid_t start_server(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) {
        rig_until(rig_port_open(port));
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN);
    int listener = rig_listen(port);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            answer(fd);
            _exit(0);
        }
        close(fd);
    }
}

static int group_setup(void **state)
{
    (void)state;
    rig_open();
    port = port_pick();
    server = start_server();
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* must not be asked */
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    rig_stop(&server, SIGKILL);
    rig_forget();
    rig_close();
    return 0;
}

static int each_setup(void **state)
{
    (void)state;
    static const struct op_pair vars[] = {
        {"rev", REV}, {"env", "prod"}, {"app", "plone"}, {"operator", "ann"}, {"release", "41"}};
    rig_vars = vars;
    rig_n_vars = 5;
    rig_forget();
    return 0;
}

static const char *url(const char *path)
{
    static char out[4][120];
    static int next;
    char *p = out[next++ % 4];
    snprintf(p, sizeof out[0], "http://127.0.0.1:%d%s", port, path);
    return p;
}

struct row {
    const char *path;
    struct op_pair args[4];
    bool ready;
    const char *says; /* part of what people see; NULL: nothing asked */
};
static const struct row rows[] = {
    {"/fine", {{0}}, true, NULL},
    {"/fine", {{"expect", "is ok"}}, true, NULL},
    {"/fine", {{"expect", "is bad"}}, false, "\"is bad\" is not in the body"},
    {"/fine", {{"header", "{\"x-colour\":\"green\"}"}}, true, NULL},
    {"/fine", {{"header", "{\"X-Colour\":\"red\"}"}}, false, "is \"green\", wanted \"red\""},
    {"/fine", {{"header", "{\"X-None\":\"red\"}"}}, false, "is not there"},
    {"/fine", {{"rev_header", "X-Revision"}}, true, NULL},
    {"/short", {{"rev_header", "X-Revision"}}, true, NULL},
    {"/old", {{"rev_header", "X-Revision"}}, false, "says revision fff3456"},
    {"/broken", {{"rev_header", "X-Revision"}}, false, "status 500, wanted 200"},
    {"/broken", {{"status", "500"}}, true, NULL},
    {"/moved", {{0}}, false, "status 302, wanted 200 (redirects are not followed)"},
    {"/moved", {{"status", "302"}}, true, NULL},
    {"/closed", {{0}}, false, ""},
    {"/hang", {{"request_timeout", "200ms"}}, false, ""},
    {"/fine", {{"warm", "[\"/fine\",\"/nosuch\"]"}}, true, NULL},
    {"/fine", {{"warm", "[\"/broken\"]"}}, false, "warm /broken: status 500"},
    {"/stream", {{"max_size", "64K"}}, true, NULL},
    {"/stream", {{"max_size", "64K"}, {"expect", "ok"}}, false, "(cut at max_size)"},
};

static void check_row(const struct row *row, const char *via)
{
    struct op_pair args[8] = {{"url", url(row->path)}, {"via", via}};
    size_t n = 2;
    for (size_t i = 0; i < 4 && row->args[i].name; i++)
        args[n++] = row->args[i];
    auto_call struct call c;
    rig_forget();
    rig_run(&c, "http.check", args, n);
    if (c.r->outcome != OUT_OK || c.r->ready != row->ready)
        fail_msg("%s via %s, %s: %s, ready %d: %s %s", row->path, via,
                 row->args[0].name ? row->args[0].name : "", outcome_name(c.r->outcome), c.r->ready,
                 c.r->err.text, c.said);
    if (row->says)
        assert_says(c.said, row->says);
}

static void directly(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_row(&rows[i], "direct");
}

static void with_curl_on_the_node(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_row(&rows[i], "ssh");
}

static void nobody_listening_is_not_ready_yet(void **state)
{
    (void)state;
    char text[64];
    snprintf(text, sizeof text, "http://127.0.0.1:%d/", port_pick());
    auto_call struct call direct, node;
    RUN(&direct, "http.check", {"url", text});
    assert_ok(&direct);
    assert_false(direct.r->ready);
    RUN(&node, "http.check", {"url", text}, {"via", "ssh"});
    assert_ok(&node);
    assert_false(node.r->ready);
}

/* What was not true of the earlier revision is not asked of it on the way back; what was another fault is. */
static void a_check_that_was_never_true_does_not_hold_up_the_way_back(void **state)
{
    (void)state;
    auto_call struct call tried, forward, back, other, fine, rev, none;
    RUN(&tried, "http.try", {"url", url("/broken")}, {"warm", "[\"/nosuch\"]"});
    assert_ok(&tried);
    assert_false(tried.r->ready);
    assert_says(rig_fact(&tried, "observed"), "status 500, wanted 200");
    RUN(&forward, "http.check", {"url", url("/broken")});
    assert_false(forward.r->ready);
    rig_going_back = true;
    RUN(&back, "http.check", {"url", url("/broken")});
    RUN(&other, "http.check", {"url", url("/moved")});
    rig_going_back = false;
    assert_true(back.r->ready);
    assert_says(back.said, "as it was before");
    assert_false(other.r->ready);
    RUN(&fine, "http.try", {"url", url("/fine")});
    assert_true(fine.r->ready);
    RUN(&rev, "http.try", {"url", url("/old")}, {"rev_header", "X-Revision"}); /* of what runs now */
    assert_true(rev.r->ready);
    RUN(&none, "http.try", {"url", url("/fine")}, {"rev_header", "X-Revison"});
    assert_false(none.r->ready);
    assert_says(rig_fact(&none, "observed"), "says no revision");
}

/* A mistake that `release check` finds without asking anybody. */
static void urls_are_judged_before_anything_is_asked(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool good;
    } urls[] = {{"http://10.0.0.1:80/", true},
                {"http://[fd00::1]:8080/x", true},
                {"https://a.example/", true},
                {"http://fd00::1:8080/", false},
                {"http://[fd00::1:8080/", false},
                {"http://h:port/", false},
                {"http://h:123456/", false},
                {"ftp://h/", false},
                {"http://a b/", false},
                {"http://h/\n", false},
                {"", false}};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct err err = {0};
        const struct op_pair args[] = {{"url", urls[i].url}};
        if (verb_find("http.check", NULL)->check(args, 1, 60000, &err) != urls[i].good)
            fail_msg("\"%s\" is %s", urls[i].url, urls[i].good ? err.text : "taken");
    }
}

static void an_address_gets_the_brackets_that_it_needs(void **state)
{
    (void)state;
    static const struct op_pair v6[] = {{"host", "::1"}}, v4[] = {{"host", "127.0.0.1"}};
    char text[64];
    auto_call struct call six, four;
    rig_vars = v6;
    rig_n_vars = 1;
    snprintf(text, sizeof text, "::1:%d", port); /* nobody listens there; what is said is by connecting */
    RUN(&six, "http.check", {"url", "http://www.example.org/fine"}, {"address", text});
    assert_false(six.r->ready);
    assert_null(strstr(six.said, "resolve"));
    rig_vars = v4;
    snprintf(text, sizeof text, "[127.0.0.1]:%d", port);
    RUN(&four, "http.check", {"url", "http://www.example.org/fine"}, {"address", text});
    assert_true(four.r->ready);
}

static void floods_end(void **state)
{
    (void)state;
    int64_t began_ms = clock_mono_ms();
    auto_call struct call headers, body;
    RUN(&headers, "http.check", {"url", url("/flood")});
    assert_ok(&headers);
    assert_false(headers.r->ready);
    RUN(&body, "http.check", {"url", url("/huge")}, {"expect", "ok"});
    assert_ok(&body);
    assert_true(body.r->ready);
    assert_true(clock_mono_ms() - began_ms < 4000);
}

static void what_is_no_http_url_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"file:///etc/passwd", "gopher://x", "-o/tmp/x", "http://a\nb", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        auto_call struct call c;
        RUN(&c, "http.check", {"url", bad[i]});
        assert_int_equal(c.r->outcome, OUT_FAILED);
    }
    auto_call struct call warm, header, link_local;
    RUN(&warm, "http.check", {"url", url("/fine")}, {"warm", "[\"//evil.example/\"]"});
    assert_int_not_equal(warm.r->outcome, OUT_OK);
    RUN(&header, "http.check", {"url", url("/fine")}, {"send", "{\"Host\":\"a\\r\\nX: b\"}"});
    assert_int_equal(header.r->outcome, OUT_FAILED);
    RUN(&link_local, "http.check", {"url", "http://169.254.169.254/latest/"});
    assert_false(link_local.r->ready);
    assert_says(link_local.said, "link-local");
}

static void certificates_are_verified(void **state)
{
    (void)state;
    char command[600], text[64], accept[16];
    snprintf(command, sizeof command,
             "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem "
             "-out c.pem "
             "-days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost >/dev/null 2>&1",
             rig_dir);
    assert_int_equal(system(command), 0);
    tls_port = port_pick();
    snprintf(accept, sizeof accept, "%d", tls_port);
    pid_t tls = rig_spawn((const char *const[]){"openssl", "s_server", "-quiet", "-www", "-accept", accept,
                                                "-key", rig_path("k.pem"), "-cert", rig_path("c.pem"), NULL});
    rig_until(rig_port_open(tls_port));
    auto_call struct call none, chat, ca, name;
    snprintf(text, sizeof text, "https://localhost:%d/", tls_port);
    RUN(&none, "http.check", {"url", text});
    assert_ok(&none);
    assert_false(none.r->ready);
    RUN(&chat, "notify.webhook", {"url", text}, {"event", "started"});
    assert_int_equal(chat.r->outcome, OUT_FAILED); /* refused before anything was sent */
    assert_says(chat.r->err.text, "certificate");
    RUN(&ca, "http.check", {"url", text}, {"ca", rig_path("c.pem")});
    assert_ok(&ca);
    assert_true(ca.r->ready);
    snprintf(text, sizeof text, "https://127.0.0.1:%d/", tls_port);
    RUN(&name, "http.check", {"url", text}, {"ca", rig_path("c.pem")});
    assert_false(name.r->ready);
    rig_stop(&tls, SIGKILL);
}

/* ---- notify
 * ---------------------------------------------------------------------------------------------------- */

static const char *hook(void)
{
    static char text[8192];
    FILE *f = fopen(rig_path("hook"), "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static void a_webhook_takes_slacks_json(void **state)
{
    (void)state;
    auto_call struct call plain, own;
    RUN(&plain, "notify.webhook", {"url", url("/hook/T0/B0/x")}, {"event", "started"});
    assert_ok(&plain);
    assert_says(hook(), "POST /hook/T0/B0/x");
    assert_says(hook(), "Content-Type: application/json");
    assert_says(hook(), "{\"text\":\"plone prod: release 41 started, revision 0123456789ab (ann)\"}");
    RUN(&own, "notify.webhook", {"url", url("/hook")}, {"text", "<!channel> a & b \x1b[2J \xff \"q\"\n2"},
        {"fields", "{\"nodes\":\"4\"}"});
    assert_ok(&own);
    assert_says(hook(), "&lt;!channel&gt; a &amp; b \\\\x1b[2J \\\\xff \\\"q\\\"\\n2");
    assert_says(hook(),
                "\"attachments\":[{\"fields\":[{\"title\":\"nodes\",\"value\":\"4\",\"short\":true}]}]");
}

static void the_url_never_shows(void **state)
{
    (void)state;
    static const char *const paths[] = {"/hook-no/s3cr3t", "/hook-bad/s3cr3t", "/moved/s3cr3t",
                                        "/closed/s3cr3t"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        auto_call struct call c;
        RUN(&c, "notify.webhook", {"url", url(paths[i])});
        assert_int_not_equal(c.r->outcome, OUT_OK);
        assert_null(strstr(c.r->err.text, "s3cr3t"));
        assert_null(strstr(c.said, "s3cr3t"));
    }
}

/* Sent and answered "no": certainly not posted. Sent and lost: nobody knows. Not sent: certainly not. */
static void outcomes_of_a_webhook(void **state)
{
    (void)state;
    char text[64];
    snprintf(text, sizeof text, "http://127.0.0.1:%d/", port_pick());
    auto_call struct call no, lost, gone;
    RUN(&no, "notify.webhook", {"url", url("/hook-no")});
    assert_int_equal(no.r->outcome, OUT_FAILED);
    assert_says(no.r->err.text, "403 invalid_token");
    RUN(&lost, "notify.webhook", {"url", url("/closed")});
    assert_int_equal(lost.r->outcome, OUT_UNKNOWN);
    RUN(&gone, "notify.webhook", {"url", text});
    assert_int_equal(gone.r->outcome, OUT_FAILED);
    static const char *const elsewhere[] = {"http://chat.example.org/hook", "http://127.evil.example/hook",
                                            "http://localhost.evil.example/hook"};
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        auto_call struct call plain;
        RUN(&plain, "notify.webhook", {"url", elsewhere[i]});
        assert_int_equal(plain.r->outcome, OUT_FAILED);
        assert_says(plain.r->err.text, "plain http");
    }
}

#define T(f) cmocka_unit_test_setup(f, each_setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(directly),
        T(with_curl_on_the_node),
        T(nobody_listening_is_not_ready_yet),
        T(a_check_that_was_never_true_does_not_hold_up_the_way_back),
        T(urls_are_judged_before_anything_is_asked),
        T(an_address_gets_the_brackets_that_it_needs),
        T(floods_end),
        T(what_is_no_http_url_is_refused),
        T(certificates_are_verified),
        T(a_webhook_takes_slacks_json),
        T(the_url_never_shows),
        T(outcomes_of_a_webhook),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
