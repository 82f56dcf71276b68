/* SPDX-License-Identifier: MIT */
/* drivers/app/supervisord.c against a real supervisord with programs that behave well, ignore TERM, leave
 * children behind that hold the port, and crash. */
#include "unit/drv_rig.h"

static int port, deaf_port, escape_port, slow_port;

static const char serve_py[] =
    "import os, signal, socket, sys, time\n"
    "port, mode = int(sys.argv[1]), sys.argv[2]\n"
    "if mode == 'escape' and os.fork():\n"
    "    while True: signal.pause()\n"
    "if mode == 'escape': os.setsid()\n"
    "if mode != 'well': signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "signal.signal(signal.SIGHUP, lambda *_: open(sys.argv[0] + '.hup', 'a').write(mode + chr(10)))\n"
    "s = socket.socket()\n"
    "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
    "s.bind(('127.0.0.1', port)); s.listen()\n"
    "while True: time.sleep(60)\n";

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
    port = port_pick(), deaf_port = port_pick(), escape_port = port_pick(), slow_port = port_pick();
    write_file("serve.py", serve_py);
    write_file(
        "sv.conf",
        text(
            "[unix_http_server]\nfile=%s/sv.sock\nusername=ann\npassword=s3%%%%cret\n"
            "[supervisord]\nlogfile=%s/sv.log\npidfile=%s/sv.pid\nchildlogdir=%s\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            "[supervisorctl]\nserverurl=unix://%s/sv.sock\nusername=ann\npassword=s3%%%%cret\n"
            "%s%s%s%s%s%s%s%s%s%s%s%s[group:pair]\nprograms=one,two\n"
            "[group:mix]\nprograms=mix_web,mix_shot,mix_idle,mix_bad\n[include]\nfiles=conf.d/*.conf\n",
            rig_dir, rig_dir, rig_dir, rig_dir, rig_dir,
            program("web", text("/usr/bin/python3 -S %s/serve.py %d well", rig_dir, port), "startsecs=1"),
            program("deaf", text("/usr/bin/python3 -S %s/serve.py %d deaf", rig_dir, deaf_port),
                    "stopwaitsecs=1"),
            program("escape", text("/usr/bin/python3 -S %s/serve.py %d escape", rig_dir, escape_port), ""),
            program("slow", text("/usr/bin/python3 -S %s/serve.py %d well", rig_dir, slow_port),
                    "startsecs=1000"),
            program("crash", "sh -c 'echo boom: no such setting >&2; exit 3'", "startsecs=8\nstartretries=0"),
            program("flap", "sh -c 'echo flapping >&2; exit 3'", "startsecs=5\nstartretries=20"),
            program("one", "sleep 1000", ""), program("two", "sleep 1000", ""),
            program("mix_web", "sleep 1000", ""), program("mix_shot", "true", ""),
            program("mix_idle", "sleep 1000", ""),
            program("mix_bad", "sh -c 'exit 3'", "startsecs=8\nstartretries=0")));
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

static struct answer reload(const char *verb, const char *key, const char *program, const char *told)
{
    return rig_ask(&(struct ask){
        .verb = verb,
        .key = key,
        .args = PAIRS({"programs", text("[\"%s\"]", program)}, {"conf", text("%s/sv.conf", rig_dir)},
                      {"signal", "HUP"}),
        .recall = PAIRS({text("app.told.%s", key), told}),
    });
}

/* The same processes are told, and only when all of them run. */
static void a_reload_tells_what_runs_and_leaves_it_up(void **state)
{
    (void)state;
    sh("rm -f $D/serve.py.hup");
    struct answer ans = reload("supervisord.reload", "7-1", "web", "");
    WANT_REFUSED(ans, "web STOPPED; start them");
    WANT_OK(call("supervisord.start", "[\"web\"]", port));
    until("supervisorctl -c $D/sv.conf status web | grep -q RUNNING");
    const char *pid = pid_of("web");
    ans = reload("supervisord.reload", "7-2", "web", "");
    WANT_WAITING(ans); /* who dies of it does so a moment later */
    until("grep -qx well $D/serve.py.hup");
    assert_string_equal(pid_of("web"), pid);
    assert_true(str_starts(fact(&ans, "app.told.7-2"), text("%s:", pid)));
    WANT_OK(reload("supervisord.reloaded", "7-2", "web", fact(&ans, "app.told.7-2")));
    WANT_WAITING(reload("supervisord.reloaded", "7-2", "web", "")); /* its answer was lost: told again */
    WANT_OK(call("supervisord.stop", "[\"web\"]", port));
}

/* supervisord starts it again, and says RUNNING: under another pid, so that was no reload. */
static void a_reload_that_kills_is_none(void **state)
{
    (void)state;
    WANT_OK(call("supervisord.start", "[\"pair:one\"]", 0));
    until("supervisorctl -c $D/sv.conf status pair:one | grep -q RUNNING");
    const char *pid = pid_of("pair:one");
    struct answer ans = reload("supervisord.reload", "7-3", "pair:one", "");
    if (ans.outcome == OUT_OK)
        WANT_WAITING(ans);
    else
        WANT_REFUSED(ans, "do the programs know that signal?");
    const char *told = fact(&ans, "app.told.7-3");
    until(text("! kill -0 %s 2>/dev/null", pid));
    WANT_REFUSED(reload("supervisord.reloaded", "7-3", "pair:one", told), "was told to reload, is gone");
    (void)call("supervisord.stop", "[\"pair:one\"]", 0);
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

/* docs/promises.md#m30. */
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

static struct answer mix(const char *verb, const char *were)
{
    return call_with(verb, "[\"mix\"]", 0, PAIRS({"app.were", were}), false);
}

static const char *mix_state(const char *name)
{
    return sh("supervisorctl -c $D/sv.conf status mix:mix_%s | awk '{print $2}'", name);
}

/* A one-shot that ended, a program that somebody stopped, one that failed all along: the release gives them
 * back so. */
static void what_did_not_run_before_is_given_back_so(void **state)
{
    (void)state;
    sh("supervisorctl -c $D/sv.conf start mix:mix_web mix:mix_shot mix:mix_bad >/dev/null; true");
    until("supervisorctl -c $D/sv.conf status mix:mix_bad | grep -q FATAL");
    until("supervisorctl -c $D/sv.conf status mix:mix_shot | grep -q EXITED");
    struct answer ans = mix("supervisord.stop", "");
    WANT_OK(ans);
    const char *were = fact(&ans, "app.were");
    WANT(ans, strstr(were, "mix:mix_web RUNNING") && strstr(were, "mix:mix_shot EXITED") &&
                  strstr(were, "mix:mix_idle STOPPED") && strstr(were, "mix:mix_bad FATAL"));
    /* Asked again it does not remember its own work. */
    WANT_SO(mix("supervisord.stop", were), *fact(&got, "app.were") == '\0');
    ans = mix("supervisord.start", were);
    WANT_OK(ans);
    WANT(ans,
         str_starts(fact(&ans, "app.started"), "mix:mix_web:") && !strchr(fact(&ans, "app.started"), ' '));
    assert_string_equal(mix_state("web"), "RUNNING");
    assert_string_equal(mix_state("shot"), "EXITED");
    assert_string_equal(mix_state("idle"), "STOPPED");
    WANT_OK(mix("supervisord.running", were));
    /* Nothing of it ran: the release brings all of it up, and a one-shot may end. */
    WANT_OK(mix("supervisord.stop", were));
    const char *down = "mix:mix_web STOPPED, mix:mix_shot EXITED, mix:mix_idle STOPPED";
    ans = call_with("supervisord.start", "[\"mix:mix_web\",\"mix:mix_shot\",\"mix:mix_idle\"]", 0,
                    PAIRS({"app.were", down}), false);
    WANT_OK(ans);
    assert_string_equal(mix_state("idle"), "RUNNING");
    /* What ran before must run again. */
    WANT_OK(mix("supervisord.stop", were));
    WANT_REFUSED(mix("supervisord.start", "mix:mix_web RUNNING, mix:mix_bad RUNNING"), "mix:mix_bad FATAL");
    WANT_OK(mix("supervisord.stop", were));
}

/* `status` shows no pid of a program that is starting; what it serves is its own all the same. */
static void a_program_that_is_starting_has_its_own_port(void **state)
{
    (void)state;
    sh("printf 'start slow\\n' | timeout 2 supervisorctl -c $D/sv.conf >/dev/null 2>&1 & true");
    until(text("ss -Hltn 'sport = :%d' | grep -q .", slow_port));
    until("supervisorctl -c $D/sv.conf status slow | grep -q STARTING");
    WANT_OK(call("supervisord.probe", "[\"slow\"]", slow_port));
    struct answer ans = call("supervisord.probe", "[\"pair:one\"]", slow_port);
    WANT_REFUSED(ans, text("pid %s", pid_of("slow")));
    sh("supervisorctl -c $D/sv.conf stop slow; true");
    until(text("! ss -Hltn 'sport = :%d' | grep -q .", slow_port));
}

/* A proxy of the node holds the port that the pillar gives, the application another one. */
static void a_port_that_others_hold_is_found_in_preflight(void **state)
{
    (void)state;
    int front = port_pick();
    WANT_OK(call("supervisord.start", "[\"web\"]", port));
    until(text("ss -Hltn 'sport = :%d' | grep -q .", port));
    WANT_OK(call("supervisord.probe", "[\"web\"]", port));
    sh("{ setsid /usr/bin/python3 -S $D/serve.py %d well >/dev/null 2>&1 & echo $! >$D/front.pid; }", front);
    until(text("ss -Hltn 'sport = :%d' | grep -q .", front));
    struct answer ans = call("supervisord.probe", "[\"web\"]", front);
    WANT_REFUSED(ans, text("pid %s", sh("cat $D/front.pid")));
    WANT(ans, strstr(ans.err.text, text("`supervisor: port: %d`", port)) && !strstr(ans.err.text, "kill"));
    /* Both at one port number: the address tells them apart. */
    sh("kill $(cat $D/front.pid)");
    WANT_OK(call("supervisord.stop", "[\"web\"]", port));
}

static struct answer probe_conf(const char *conf)
{
    return rig_ask(
        &(struct ask){.verb = "supervisord.probe",
                      .args = PAIRS({"programs", "[\"web\"]"}, {"conf", conf}, {"ctl", "supervisorctl"},
                                    {"port", text("%d", port)}, {"listen", "127.0.0.1"})});
}

/* What hurts when it is wrong is advised only when it is certain. */
static void a_healthy_application_is_never_called_an_orphan(void **state)
{
    (void)state;
    WANT_OK(call("supervisord.start", "[\"web\"]", port));
    until(text("ss -Hltn 'sport = :%d' | grep -q .", port));
    sh("sed 's|sv.sock|sx.sock|' $D/sv.conf >$D/other.conf && sed '/supervisorctl/d' $D/sv.conf "
       ">$D/none.conf");
    static const char *const confs[] = {"sw.conf", "other.conf", "none.conf"};
    for (size_t i = 0; i < 3; i++) {
        struct answer ans = probe_conf(text("%s/%s", rig_dir, confs[i]));
        WANT_REFUSED(ans, "correct `conf`");
        WANT(ans, strstr(ans.err.text, text("supervisord -c %s/sv.conf", rig_dir)) &&
                      !strstr(ans.err.text, "orphan") && !strstr(ans.err.text, "kill"));
    }
    WANT_OK(call("supervisord.stop", "[\"web\"]", port));
    /* Somebody else's process on the port, and no supervisord. */
    sh("{ setsid /usr/bin/python3 -S $D/serve.py %d well >/dev/null 2>&1 & echo $! >$D/front.pid; }", port);
    until(text("ss -Hltn 'sport = :%d' | grep -q .", port));
    struct answer ans = probe_conf(text("%s/other.conf", rig_dir));
    WANT_REFUSED(ans, "cannot be told");
    WANT(ans, !strstr(ans.err.text, "orphan") && !strstr(ans.err.text, "kill"));
    sh("kill $(cat $D/front.pid)");
    until(text("! ss -Hltn 'sport = :%d' | grep -q .", port));
}

static struct answer reread(const char *verb, const char *how, const char *dir, bool back)
{
    return rig_ask(&(struct ask){.verb = verb,
                                 .args = PAIRS({"programs", "[\"late\",\"later\"]"},
                                               {"conf", text("%s/sv.conf", rig_dir)},
                                               {"ctl", "supervisorctl"}, {"reread", how}),
                                 .vars = PAIRS({"dir", dir}),
                                 .recall = PAIRS({"app.were", "late RUNNING"}),
                                 .back = back});
}

/* A supervisorctl that says `line` whatever it is asked. */
static struct answer probe_that_says(const char *line)
{
    sh("printf '#!/bin/sh\\ncat >/dev/null\\ncat $D/said\\n' >$D/ctl && chmod +x $D/ctl");
    write_file("said", line);
    return rig_ask(&(struct ask){
        .verb = "supervisord.probe",
        .args = PAIRS({"programs", "[\"site\"]"}, {"ctl", text("%s/ctl", rig_dir)}, {"conf", "none"})});
}

static void one_without_programs_has_answered(void **state)
{
    (void)state;
    struct answer ans = probe_that_says("No config updates to processes\n");
    WANT_REFUSED(ans, "supervisord has no program site (it has: none)");
    assert_int_equal(ans.err.code, E_NOTFOUND);
    WANT_REFUSED(probe_that_says("site: available\n"), "supervisorctl update");
    ans = probe_that_says(
        "error: <class 'PermissionError'>, [Errno 13] Permission denied: file: xmlrpc.py line: 557\n");
    WANT_REFUSED(ans, "supervisord does not let ");
    assert_int_equal(ans.err.code, E_AUTH);
}

/* A changed file changes nothing by itself: supervisord runs with what it read. */
static void a_changed_configuration_is_taken_in_or_told(void **state)
{
    (void)state;
    const char *app = text("%s/app", rig_dir), *elsewhere = text("%s/none", rig_dir);
    sh("mkdir -p $D/app/etc $D/conf.d && ln -s $D/app/etc/late.conf $D/conf.d/late.conf");
    write_file("app/etc/late.conf", program("late", "sleep 1000", "environment=STAGE=\"one\""));
    WANT_REFUSED(reread("supervisord.running", "no", elsewhere, false), "no program late");
    WANT_WAITING(reread("supervisord.reread_done", "auto", app, false));
    struct answer ans = reread("supervisord.probe", "auto", app, false);
    WANT_OK(ans);
    WANT(ans, strcmp(fact(&ans, "app.brings"), "yes") == 0 && *fact(&ans, "app.config") == '\0');
    ans = reread("supervisord.reread", "auto", app, false);
    WANT_OK(ans);
    WANT(ans, ans.changed);
    WANT_OK(reread("supervisord.reread_done", "auto", app, false));
    WANT_SO(reread("supervisord.reread", "auto", app, false), got.outcome == OUT_OK && !got.changed);
    sh("supervisorctl -c $D/sv.conf start late >/dev/null");
    const char *env = "tr '\\0' '\\n' </proc/$(supervisorctl -c $D/sv.conf pid late)/environ | grep STAGE";
    assert_string_equal(sh("%s", env), "STAGE=one");
    /* Another environment for one, and a program more, that starts by itself. */
    write_file("app/etc/late.conf", text("%s%s", program("late", "sleep 1000", "environment=STAGE=\"two\""),
                                         "[program:later]\ncommand=sleep 1000\nstartsecs=0\n"));
    /* A file that the release does not bring is told of, and left. */
    ans = reread("supervisord.probe", "no", elsewhere, false);
    WANT_REFUSED(ans, "supervisorctl update");
    ans =
        rig_ask(&(struct ask){.verb = "supervisord.probe",
                              .args = PAIRS({"programs", "[\"late\"]"}, {"conf", text("%s/sv.conf", rig_dir)},
                                            {"ctl", "supervisorctl"}),
                              .vars = PAIRS({"dir", elsewhere})});
    WANT_OK(ans);
    WANT(ans,
         strstr(fact(&ans, "app.config"), "late changed") && strstr(fact(&ans, "app.config"), "reread: yes"));
    WANT_SO(reread("supervisord.reread", "auto", elsewhere, false), got.outcome == OUT_OK && !got.changed);
    ans = reread("supervisord.reread", "yes", elsewhere, false);
    WANT_OK(ans);
    WANT(ans, ans.changed);
    assert_string_equal(sh("supervisorctl -c $D/sv.conf start late >/dev/null; %s", env), "STAGE=two");
    until("supervisorctl -c $D/sv.conf status later | grep -q RUNNING");
    /* One that cannot be read stops the way forward, and is no reason to fail on the way back. */
    sh("echo '[program:late' >$D/app/etc/late.conf");
    WANT_REFUSED(reread("supervisord.reread", "auto", app, false), "CANT_REREAD");
    ans = reread("supervisord.reread", "auto", app, true);
    WANT_OK(ans);
    WANT(ans, !ans.changed && strstr(buf_str(&rig_log), "keeps the one that it has"));
    sh("rm -rf $D/conf.d $D/app");
    sh("supervisorctl -c $D/sv.conf update >/dev/null");
}

/* The last line of a traceback is the one that says it. */
static void what_is_cut_of_a_message_is_not_its_end(void **state)
{
    (void)state;
    write_file("boom.sh",
               "i=0; while [ $i -lt 30 ]; do printf 'File \"/srv/app/some/long/path.py\", in f'; "
               "i=$((i + 1)); done >&2; echo >&2; echo 'ImportError: no module named zope' >&2; exit 3\n");
    sh("mkdir -p $D/conf.d");
    write_file("conf.d/boom.conf",
               program("boom", text("sh %s/boom.sh", rig_dir), "startsecs=8\nstartretries=0"));
    sh("supervisorctl -c $D/sv.conf update >/dev/null");
    WANT_REFUSED(call("supervisord.start", "[\"boom\"]", 0), "ImportError: no module named zope");
    sh("rm -rf $D/conf.d && supervisorctl -c $D/sv.conf update >/dev/null");
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
        cmocka_unit_test(a_reload_tells_what_runs_and_leaves_it_up),
        cmocka_unit_test(a_reload_that_kills_is_none),
        cmocka_unit_test(by_address_with_a_password_that_no_command_line_shows),
        cmocka_unit_test(what_did_not_run_before_is_given_back_so),
        cmocka_unit_test(a_program_that_is_starting_has_its_own_port),
        cmocka_unit_test(a_port_that_others_hold_is_found_in_preflight),
        cmocka_unit_test(a_healthy_application_is_never_called_an_orphan),
        cmocka_unit_test(one_without_programs_has_answered),
        cmocka_unit_test(a_changed_configuration_is_taken_in_or_told),
        cmocka_unit_test(what_is_cut_of_a_message_is_not_its_end),
        cmocka_unit_test(an_orphan_of_a_dead_supervisord_is_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
