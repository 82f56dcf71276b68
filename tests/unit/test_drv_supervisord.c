/* drivers/supervisord.c against a real supervisord with programs that behave well, ignore TERM, leave
 * children behind that hold the port, and crash. */
#include "unit/drv_rig.h"

static int port, deaf_port, escape_port;

static const char serve_py[] = "import os, signal, socket, sys, time\n"
                               "port, mode = int(sys.argv[1]), sys.argv[2]\n"
                               "if mode == 'escape' and os.fork():\n"
                               "    while True: signal.pause()\n"
                               "if mode == 'escape': os.setsid()\n"
                               "if mode != 'well': signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                               "s = socket.socket()\n"
                               "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
                               "s.bind(('127.0.0.1', port)); s.listen()\n"
                               "while True: time.sleep(60)\n";

static void write_file(const char *name, const char *content)
{
    FILE *f = fopen(text("%s/%s", rig_dir, name), "w");
    assert_non_null(f);
    fputs(content, f);
    assert_int_equal(fclose(f), 0);
}

static const char *program(const char *name, const char *command, const char *more)
{
    return text("[program:%s]\ncommand=%s\nautostart=false\nautorestart=false\nstartsecs=0\n%s\n", name,
                command, more);
}

static void start_supervisord(void)
{
    sh("cd $D && supervisord -c $D/sv.conf && true");
    until("supervisorctl -c $D/sv.conf status >/dev/null 2>&1; [ $? != 4 ]");
}

static int setup(void **state)
{
    (void)state;
    rig_open();
    port = free_port(), deaf_port = free_port(), escape_port = free_port();
    write_file("serve.py", serve_py);
    write_file(
        "sv.conf",
        text(
            "[unix_http_server]\nfile=%s/sv.sock\nusername=ann\npassword=s3%%%%cret\n"
            "[supervisord]\nlogfile=%s/sv.log\npidfile=%s/sv.pid\nchildlogdir=%s\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            "[supervisorctl]\nserverurl=unix://%s/sv.sock\nusername=ann\npassword=s3%%%%cret\n"
            "%s%s%s%s%s%s%s[group:pair]\nprograms=one,two\n",
            rig_dir, rig_dir, rig_dir, rig_dir, rig_dir,
            program("web", text("/usr/bin/python3 -S %s/serve.py %d well", rig_dir, port), "startsecs=1"),
            program("deaf", text("/usr/bin/python3 -S %s/serve.py %d deaf", rig_dir, deaf_port),
                    "stopwaitsecs=1"),
            program("escape", text("/usr/bin/python3 -S %s/serve.py %d escape", rig_dir, escape_port), ""),
            program("crash", "sh -c 'echo boom: no such setting >&2; exit 3'", "startsecs=8\nstartretries=0"),
            program("flap", "sh -c 'echo flapping >&2; exit 3'", "startsecs=5\nstartretries=20"),
            program("one", "sleep 1000", ""), program("two", "sleep 1000", "")));
    start_supervisord();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sh("pid=$(cat $D/sv.pid 2>/dev/null) && kill $pid; for n in 1 2 3 4 5 6 7 8 9 0; do kill -0 $pid "
       "2>/dev/null || exit 0; "
       "sleep 0.3; done; true");
    rig_close();
    return 0;
}

static struct answer call_with(const char *verb, const char *programs, int at, const struct op_pair *recall,
                               bool back)
{
    return rig_ask(&(struct ask){
        .verb = verb,
        .args = PAIRS({"programs", programs}, {"conf", text("%s/sv.conf", rig_dir)}, {"ctl", "supervisorctl"},
                      {"port", at ? text("%d", at) : "0"}, {"listen", "127.0.0.1"}, {"grace", "1s"},
                      {"kill", "yes"}),
        .recall = recall,
        .back = back,
    });
}

static struct answer call(const char *verb, const char *programs, int at)
{
    return call_with(verb, programs, at, NO_PAIRS, false);
}

static const char *pid_of(const char *name)
{
    return sh("supervisorctl -c $D/sv.conf pid %s", name);
}

/* Or a zombie that nobody has waited for yet. */
static bool gone(const char *pid)
{
    return sh_true(text("! grep -q '^[0-9]* (.*) [^Z]' /proc/%s/stat 2>/dev/null", pid));
}

static void start_and_stop_are_seen_in_processes_and_port(void **state)
{
    (void)state;
    struct answer ans = call("supervisord.start", "[\"web\"]", port);
    WANT_OK(ans);
    WANT(ans, ans.changed);
    const char *pid = pid_of("web");
    WANT(ans, strcmp(fact(&ans, "app.started"), text("web:%s", pid)) == 0);
    ans = call("supervisord.start", "[\"web\"]", port);
    WANT_OK(ans);
    WANT(ans, !ans.changed);
    ans = call("supervisord.running", "[\"web\"]", port);
    WANT_OK(ans);
    ans = call("supervisord.stopped", "[\"web\"]", port);
    WANT_WAITING(ans);
    ans = call("supervisord.stop", "[\"web\"]", port);
    WANT_OK(ans);
    WANT(ans, ans.changed && str_starts(fact(&ans, "app.pids"), text("%s:", pid)));
    WANT(ans, gone(pid));
    const char *pids = fact(&ans, "app.pids");
    ans = call("supervisord.stop", "[\"web\"]", port);
    WANT_OK(ans);
    WANT(ans, !ans.changed);
    ans = call_with("supervisord.stopped", "[\"web\"]", port, PAIRS({"app.pids", pids}), false);
    WANT_OK(ans);
}

static void a_program_that_ignores_term_is_gone_all_the_same(void **state)
{
    (void)state;
    struct answer ans = call("supervisord.start", "[\"deaf\"]", deaf_port);
    WANT_OK(ans);
    until(text("ss -Hltn 'sport = :%d' | grep -q .", deaf_port));
    const char *pid = pid_of("deaf");
    ans = call("supervisord.stop", "[\"deaf\"]", deaf_port);
    WANT_OK(ans);
    WANT(ans, gone(pid));
}

/* It left the session and the process group, and supervisord says STOPPED. */
static void a_child_that_keeps_the_port_is_named_or_killed(void **state)
{
    (void)state;
    struct answer ans = call("supervisord.start", "[\"escape\"]", escape_port);
    WANT_OK(ans);
    until(text("ss -Hltn 'sport = :%d' | grep -q .", escape_port));
    const char *child = sh("ss -Hltnp 'sport = :%d' | sed 's/.*pid=\\([0-9]*\\).*/\\1/'", escape_port);
    ans = rig_ask(
        &(struct ask){.verb = "supervisord.stop",
                      .args = PAIRS({"programs", "[\"escape\"]"}, {"conf", text("%s/sv.conf", rig_dir)},
                                    {"ctl", "supervisorctl"}, {"port", text("%d", escape_port)},
                                    {"listen", "127.0.0.1"}, {"grace", "1s"}, {"kill", "no"}),
                      .recall = NO_PAIRS});
    WANT_WAITING(ans);
    WANT(ans, strstr(buf_str(&rig_log), text("pid %s", child)) != NULL);
    const char *pids = fact(&ans, "app.pids");
    WANT(ans, strstr(pids, text("%s:", child)) != NULL);
    ans = call_with("supervisord.stopped", "[\"escape\"]", escape_port, PAIRS({"app.pids", pids}), false);
    WANT_WAITING(ans);
    assert_int_equal(kill(atoi(child), SIGKILL), 0);
    until(text("! grep -q '^[0-9]* (.*) [^Z]' /proc/%s/stat 2>/dev/null", child));

    WANT_OK(call("supervisord.start", "[\"escape\"]", escape_port));
    until(text("ss -Hltn 'sport = :%d' | grep -q .", escape_port));
    child = sh("ss -Hltnp 'sport = :%d' | sed 's/.*pid=\\([0-9]*\\).*/\\1/'", escape_port);
    ans = call("supervisord.stop", "[\"escape\"]", escape_port);
    WANT_OK(ans);
    WANT(ans, strstr(fact(&ans, "app.killed"), child) != NULL && gone(child));
}

static void a_crash_is_reported_with_what_it_wrote(void **state)
{
    (void)state;
    struct answer ans = call("supervisord.start", "[\"crash\"]", 0);
    WANT_REFUSED(ans, "boom: no such setting");
    WANT(ans, strstr(ans.err.text, "crash FATAL") != NULL);
    ans = call("supervisord.running", "[\"crash\"]", 0);
    WANT_REFUSED(ans, "boom: no such setting");
    ans = call("supervisord.start", "[\"flap\"]", 0);
    WANT_WAITING(ans);
    WANT(ans, strstr(buf_str(&rig_log), "BACKOFF") != NULL && strstr(buf_str(&rig_log), "flapping") != NULL);
    WANT_OK(call("supervisord.stop", "[\"flap\"]", 0));
}

/* The same step asked again must act again, not repeat what it answered when it was not ready. */
static void a_start_that_was_not_ready_is_not_taken_for_done(void **state)
{
    (void)state;
    const struct op_pair *args = PAIRS({"programs", "[\"flap\"]"}, {"conf", text("%s/sv.conf", rig_dir)},
                                       {"ctl", "supervisorctl"}, {"grace", "1s"}, {"kill", "yes"});
    struct answer ans = rig_ask(&(struct ask){.verb = "supervisord.start", .args = args, .key = "7-1"});
    WANT_WAITING(ans);
    WANT_OK(call("supervisord.stop", "[\"flap\"]", 0));
    ans = rig_ask(&(struct ask){.verb = "supervisord.start", .args = args, .key = "7-1"});
    WANT_WAITING(ans);
    WANT(ans, strcmp(sh("supervisorctl -c $D/sv.conf status flap | awk '{print $2}'"), "STOPPED") != 0);
    WANT_OK(call("supervisord.stop", "[\"flap\"]", 0));
}

static void groups_and_unknown_programs(void **state)
{
    (void)state;
    struct answer ans = call("supervisord.start", "[\"pair:*\"]", 0);
    WANT_OK(ans);
    WANT(ans,
         strstr(fact(&ans, "app.started"), "pair:one:") && strstr(fact(&ans, "app.started"), "pair:two:"));
    WANT_OK(call("supervisord.stop", "[\"pair\"]", 0));
    WANT_OK(call("supervisord.start", "[\"pair\"]", 0));
    WANT_OK(call("supervisord.stop", "[\"pair:one\",\"pair:two\"]", 0));
    ans = call("supervisord.stop", "[\"webb\"]", 0);
    WANT_REFUSED(ans, "no program webb");
    WANT(ans, strstr(ans.err.text, "pair:one") != NULL);
    WANT_REFUSED(call("supervisord.stop", "[\"web; shutdown\"]", 0),
                 "is not the name of a supervisord program");
    WANT_REFUSED(call("supervisord.stop", "[]", 0), "no programs");
}

static void restart_means_new_processes(void **state)
{
    (void)state;
    WANT_OK(call("supervisord.start", "[\"web\"]", port));
    const char *pid = pid_of("web");
    struct answer ans = call("supervisord.restarted", "[\"web\"]", port);
    WANT_WAITING(ans);
    const char *pids = fact(&ans, "app.pids");
    WANT(ans, str_starts(pids, text("%s:", pid)));
    ans = call_with("supervisord.restarted", "[\"web\"]", port, PAIRS({"app.pids", pids}), false);
    WANT_WAITING(ans);
    ans = call_with("supervisord.start", "[\"web\"]", port, PAIRS({"app.pids", pids}), false);
    WANT_REFUSED(ans, "from before the stop");
    ans = call_with("supervisord.restart", "[\"web\"]", port, PAIRS({"app.pids", pids}), false);
    WANT_OK(ans);
    WANT(ans, ans.changed && strcmp(pid_of("web"), pid) != 0);
    ans = call_with("supervisord.restarted", "[\"web\"]", port, PAIRS({"app.pids", pids}), false);
    WANT_OK(ans);
    WANT_OK(call("supervisord.stop", "[\"web\"]", port));
}

static void by_address_with_a_password_that_no_command_line_shows(void **state)
{
    (void)state;
    const char *url = text("unix://%s/sv.sock", rig_dir);
    struct answer ans = rig_ask(&(struct ask){
        .verb = "supervisord.probe",
        .args = PAIRS({"programs", "[\"web\"]"}, {"url", url}, {"ctl", "supervisorctl"}, {"username", "ann"},
                      {"password", "s3%cret"}, {"grace", "1s"}, {"kill", "yes"})});
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "app.states"), "web STOPPED") == 0);
    ans = rig_ask(&(struct ask){.verb = "supervisord.stop",
                                .args = PAIRS({"programs", "[\"web\"]"}, {"url", url},
                                              {"ctl", "supervisorctl"}, {"username", "ann"},
                                              {"password", "wrong"}, {"grace", "1s"}, {"kill", "yes"})});
    WANT_REFUSED(ans, "supervisord does not answer");
}

/* PROMISES row 30. */
static void an_orphan_of_a_dead_supervisord_is_named(void **state)
{
    (void)state;
    WANT_OK(call("supervisord.start", "[\"web\"]", port));
    until(text("ss -Hltn 'sport = :%d' | grep -q .", port));
    const char *pid = pid_of("web");
    const char *daemon = sh("cat $D/sv.pid");
    assert_int_equal(kill(atoi(daemon), SIGKILL), 0);
    until(text("! kill -0 %s 2>/dev/null", daemon));
    static const char *const verbs[] = {"supervisord.stop", "supervisord.stopped", "supervisord.start",
                                        "supervisord.running", "supervisord.probe"};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        struct answer ans = call(verbs[i], "[\"web\"]", port);
        WANT_REFUSED(ans, text("pid %s", pid));
        WANT(ans, strstr(ans.err.text, "orphan") != NULL);
    }
    assert_int_equal(kill(atoi(pid), SIGKILL), 0);
    until(text("! ss -Hltn 'sport = :%d' | grep -q .", port));
    struct answer ans = call("supervisord.stopped", "[\"web\"]", port);
    WANT(ans, ans.outcome == OUT_UNKNOWN);
    WANT_REFUSED(call("supervisord.start", "[\"web\"]", port), "does not answer");
    sh("rm -f $D/sv.sock $D/sv.pid");
    start_supervisord();
    WANT_OK(call("supervisord.stopped", "[\"web\"]", port));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_and_stop_are_seen_in_processes_and_port),
        cmocka_unit_test(a_program_that_ignores_term_is_gone_all_the_same),
        cmocka_unit_test(a_child_that_keeps_the_port_is_named_or_killed),
        cmocka_unit_test(a_crash_is_reported_with_what_it_wrote),
        cmocka_unit_test(a_start_that_was_not_ready_is_not_taken_for_done),
        cmocka_unit_test(groups_and_unknown_programs),
        cmocka_unit_test(restart_means_new_processes),
        cmocka_unit_test(by_address_with_a_password_that_no_command_line_shows),
        cmocka_unit_test(an_orphan_of_a_dead_supervisord_is_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
