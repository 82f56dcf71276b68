/* SPDX-License-Identifier: MIT */
/* drivers/verbs/cmd.c, npm.c and service.c on a real shell, real git and a real npm. */
#include "unit/drv_rig.h"

#include <sys/stat.h>

static const char *rev1, *rev2, *rev3, *subdir = "";

static int setup(void **state)
{
    (void)state;
    rig_open();
    sh("git init -q -b main $D/work && cd $D/work && mkdir theme && echo 1 >theme/a.css && echo 1 >app && "
       "git add -A && git commit -qm 1");
    rev1 = sh("git -C $D/work rev-parse HEAD");
    sh("cd $D/work && echo 2 >app && git commit -qam 2");
    rev2 = sh("git -C $D/work rev-parse HEAD");
    sh("cd $D/work && echo 3 >theme/a.css && git commit -qam 3");
    rev3 = sh("git -C $D/work rev-parse HEAD");
    sh("mkdir -p $D/srv/releases && git clone -q --bare $D/work $D/srv/repo.git");
    sh("cd $D/srv/releases && mkdir r1 r2 r3 && cp -a $D/work/theme r1/ && cp -a $D/work/theme r2/ && cp -a "
       "$D/work/theme r3/ && "
       "echo rev %s >r1/.release-complete && mkdir -p r1/theme/dist r1/out && echo built >r1/theme/dist/x && "
       "echo out >r1/out/y",
       rev1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close();
    return 0;
}

static struct answer run(const char *cmd, const struct op_pair *more)
{
    struct op_pair args[12] = {{"cmd", cmd}, {"shell", "/bin/sh"}};
    size_t n = 2;
    for (; more != NULL && more->name != NULL; more++)
        args[n++] = *more;
    return rig_ask(&(struct ask){.verb = "cmd.run", .args = args});
}

static void a_command_has_its_directory_environment_and_status(void **state)
{
    (void)state;
    struct answer ans =
        run("printf '%s %s' \"$GREETING\" \"$(pwd -P)\" >$D/out; echo shown; echo \"it's\" >&2",
            PAIRS({"cwd", text("%s/work", rig_dir)}, {"env", "{\"GREETING\": \"it's \\\"$HOME\\\" `x`\"}"}));
    WANT_OK(ans);
    WANT(ans, ans.changed && strstr(buf_str(&rig_log), "shown") && strstr(buf_str(&rig_log), "it's"));
    assert_string_equal(sh("cat $D/out"), text("it's \"$HOME\" `x` %s/work", rig_dir));
    ans = run("echo one; echo two; echo 'no space' >&2; exit 3", NULL);
    WANT_REFUSED(ans, "ended with status 3; it wrote last: no space");
    WANT(ans, ans.err.code == E_STATUS && strcmp(fact(&ans, "status"), "3") == 0);
    WANT_REFUSED(run("exit 1", NULL), "and wrote nothing");
    WANT_REFUSED(run("true", PAIRS({"cwd", "/no/such/place"})), "/no/such/place");
    WANT_OK(rig_ask(
        &(struct ask){.verb = "cmd.run", .args = PAIRS({"cmd", "[[ a == a ]]"}, {"shell", "/bin/bash"})}));
    /* A shell with options, as Salt takes it. */
    WANT_OK(rig_ask(&(struct ask){
        .verb = "cmd.run",
        .args = PAIRS({"cmd", "[[ $- == *u* ]]"}, {"shell", "/bin/bash -u"}, {"onlyif", "[[ a == a ]]"})}));
}

static void conditions_in_salts_words(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        bool runs;
    } rows[] = {
        {"creates", "/etc/passwd", false}, {"creates", "/no/such", true}, {"unless", "true", false},
        {"unless", "false", true},         {"onlyif", "true", true},      {"onlyif", "exit 7", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sh("rm -f $D/ran");
        struct answer ans = run("touch $D/ran", PAIRS({rows[i].name, rows[i].value}));
        WANT_OK(ans);
        WANT(ans, ans.changed == rows[i].runs && (*fact(&ans, "skipped") == '\0') == rows[i].runs);
        assert_int_equal(sh_true("test -e $D/ran"), rows[i].runs);
    }
}

static struct answer build(const char *place, const char *rev, const char *phase, const struct op_pair *more,
                           bool back)
{
    struct op_pair args[12] = {{"cmd", "touch \"$RELEASE_RELEASE_DIR/ran\""}, {"shell", "/bin/sh"}};
    size_t n = 2;
    for (; more != NULL && more->name != NULL; more++)
        args[n++] = *more;
    return rig_ask(&(struct ask){
        .verb = "cmd.run",
        .args = args,
        .vars = PAIRS({"dir", text("%s/srv", rig_dir)},
                      {"release_dir", text("%s/srv/releases/%s", rig_dir, place)}, {"rev", rev},
                      {"rev_before", rev1}, {"phase", phase}, {"git_path", subdir}),
        .recall = PAIRS({"release.before", text("%s/srv/releases/r1", rig_dir)}),
        .back = back,
    });
}

static bool ran(const char *place)
{
    bool yes = sh_true(text("test -e $D/srv/releases/%s/ran", place));
    sh("rm -f $D/srv/releases/*/ran");
    return yes;
}

static void builds_are_skipped_where_nothing_changed_and_their_results_carried_over(void **state)
{
    (void)state;
    const struct op_pair *theme = PAIRS({"when_changed", "[\"theme\"]"});
    struct answer ans = build("r2", rev2, "prepare", theme, false);
    WANT_OK(ans);
    WANT(ans, !ran("r2") && strstr(fact(&ans, "skipped"), "nothing changed in theme"));
    assert_string_equal(sh("cat $D/srv/releases/r2/theme/dist/x"), "built");
    /* Named outputs instead; and what is not there any more cannot be carried over. */
    WANT_OK(build("r2", rev2, "prepare", PAIRS({"when_changed", "[\"theme\"]"}, {"outputs", "[\"out\"]"}),
                  false));
    WANT(ans, !ran("r2"));
    assert_string_equal(sh("cat $D/srv/releases/r2/out/y"), "out");
    WANT_OK(build("r2", rev2, "prepare", PAIRS({"when_changed", "[\"theme\"]"}, {"outputs", "[\"gone\"]"}),
                  false));
    WANT(ans, ran("r2"));
    /* A commit that touches it, an unknown revision, a path of another name, the way back: all run. */
    WANT_OK(build("r3", rev3, "prepare", theme, false));
    WANT(ans, ran("r3"));
    WANT_OK(build("r3", "0123456789012345678901234567890123456789", "prepare", theme, false));
    WANT(ans, ran("r3"));
    WANT_OK(build("r2", rev2, "prepare", PAIRS({"when_changed", "[\"theme\", \"app\"]"}), false));
    WANT(ans, ran("r2"));
    WANT_OK(build("r2", rev2, "change", theme, true));
    WANT(ans, ran("r1"));
}

/* Paths begin where the application does, and results are carried over from the same directory alone. */
static void below_a_directory_of_the_repository_paths_are_its_own(void **state)
{
    (void)state;
    const struct op_pair *x = PAIRS({"when_changed", "[\"a.css\"]"});
    subdir = "theme";
    WANT_OK(build("r2", rev2, "prepare", x, false));
    assert_true(ran("r2")); /* what ran before was made of the whole repository */
    sh("echo path theme >>$D/srv/releases/r1/.release-complete && touch $D/srv/releases/r1/a.css");
    struct answer ans = build("r2", rev2, "prepare", x, false);
    WANT_OK(ans);
    WANT(ans, !ran("r2") && strstr(fact(&ans, "skipped"), "nothing changed in a.css"));
    WANT_OK(build("r3", rev3, "prepare", x, false));
    WANT(ans, ran("r3"));
    sh("sed -i '/^path /d' $D/srv/releases/r1/.release-complete && rm $D/srv/releases/r1/a.css");
    subdir = "";
}

static void a_complete_directory_is_not_built_again(void **state)
{
    (void)state;
    struct answer ans = build("r1", rev1, "prepare", NULL, false);
    WANT_OK(ans);
    WANT(ans, !ran("r1") && strcmp(fact(&ans, "skipped"), "already built") == 0);
    WANT_OK(build("r1", rev2, "prepare", NULL, false));
    WANT(ans, ran("r1"));
    WANT_OK(build("r1", rev1, "change", NULL, false));
    WANT(ans, ran("r1"));
}

static struct answer observed(const char *key, const char *once)
{
    return rig_ask(&(struct ask){
        .verb = "cmd.ran", .args = PAIRS({"cmd", "x"}), .vars = PAIRS({"once", once}), .key = key});
}

static void the_end_of_a_command_is_known_afterwards(void **state)
{
    (void)state;
    WANT_WAITING(observed("9-1", "no"));
    WANT_OK(rig_ask(&(struct ask){
        .verb = "cmd.run", .args = PAIRS({"cmd", "true"}, {"shell", "/bin/sh"}), .key = "9-1"}));
    WANT_OK(observed("9-1", "no"));
    struct answer ans = rig_ask(&(struct ask){
        .verb = "cmd.run", .args = PAIRS({"cmd", "exit 4"}, {"shell", "/bin/sh"}), .key = "9-2"});
    WANT_REFUSED(ans, "status 4");
    WANT_REFUSED(observed("9-2", "no"), "status 4");
    /* Cut short at its deadline. The whole group goes. */
    ans =
        rig_ask(&(struct ask){.verb = "cmd.run",
                              .args = PAIRS({"cmd", "echo $$ >$D/slow.pid; sleep 300"}, {"shell", "/bin/sh"}),
                              .key = "9-3",
                              .timeout_ms = 1500});
    WANT(ans, ans.outcome == OUT_UNKNOWN && ans.err.code == E_LATE);
    until("! grep -q '^[0-9]* (.*) [^Z]' /proc/$(cat $D/slow.pid)/stat 2>/dev/null");
    /* Started, gone, and no status: as after a power cut. */
    sh("cd $D/state/app1/jobs && for f in 9-1.*; do cp \"$f\" \"9-4.${f#9-1.}\"; done && : >9-4.rc");
    WANT_WAITING(observed("9-4", "no"));
    ans = observed("9-4", "first");
    WANT(ans, ans.outcome == OUT_UNKNOWN && strstr(ans.err.text, "may run only once"));
}

static void hooks_run_on_the_controller(void **state)
{
    (void)state;
    struct answer ans =
        rig_ask(&(struct ask){.verb = "cmd.local",
                              .args = PAIRS({"cmd", "echo \"$RELEASE_ENV\" >$D/hook"}, {"shell", "/bin/sh"}),
                              .vars = PAIRS({"env", "prod"})});
    WANT_OK(ans);
    assert_string_equal(sh("cat $D/hook"), "prod");
    ans = rig_ask(&(struct ask){.verb = "cmd.local",
                                .args = PAIRS({"cmd", "echo no >&2; exit 2"}, {"shell", "/bin/sh"})});
    WANT_REFUSED(ans, "status 2; it wrote last: no");
}

static void packages_come_from_the_lock_file_once(void **state)
{
    (void)state;
    if (!sh_true("command -v npm >/dev/null"))
        skip();
    sh("mkdir -p $D/js/dep $D/js/app && cd $D/js && echo '{\"name\":\"dep\",\"version\":\"1.0.0\"}' "
       ">dep/package.json && "
       "echo '{\"name\":\"app\",\"version\":\"1.0.0\",\"dependencies\":{\"dep\":\"file:../dep\"}}' "
       ">app/package.json && "
       "cd app && npm install --offline --package-lock-only --no-audit --no-fund >/dev/null 2>&1");
    const struct op_pair *args = PAIRS({"dir", text("%s/js/app", rig_dir)}, {"offline", "yes"});
    WANT_WAITING(rig_ask(&(struct ask){.verb = "npm.installed", .args = args}));
    struct answer ans = rig_ask(&(struct ask){.verb = "npm.install", .args = args});
    WANT_OK(ans);
    WANT(ans, ans.changed && sh_true("test -e $D/js/app/node_modules/dep/package.json"));
    WANT_OK(rig_ask(&(struct ask){.verb = "npm.installed", .args = args}));
    ans = rig_ask(&(struct ask){.verb = "npm.install", .args = args});
    WANT_OK(ans);
    WANT(ans, !ans.changed);
    sh("cd $D/js/app && sed -i 's/1.0.0/1.0.1/' package.json");
    WANT_WAITING(rig_ask(&(struct ask){.verb = "npm.installed", .args = args}));
    sh("echo '{' >$D/js/app/package.json");
    ans = rig_ask(&(struct ask){.verb = "npm.install", .args = args});
    WANT(ans, ans.outcome == OUT_FAILED);
}

/* ---- service */

static int port;

static struct answer service(const char *verb, const char *pids)
{
    const char *serve =
        text("setsid /usr/bin/python3 -S %s/serve.py %d >/dev/null 2>&1 </dev/null & echo $! >%s/app.pid; "
             "for n in 1 2 3 4 5 6 7 8 9 0; do ss -Hltn 'sport = :%d' | grep -q . && break; sleep 0.3; done",
             rig_dir, port, rig_dir, port);
    return rig_ask(&(struct ask){
        .verb = verb,
        .args = PAIRS({"stop", text("kill $(cat %s/app.pid)", rig_dir)}, {"start", serve},
                      {"port", text("%d", port)}, {"listen", "127.0.0.1"}, {"grace", "1s"}, {"kill", "yes"}),
        .recall = PAIRS({"app.pids", pids}),
    });
}

static struct answer reload(const char *key, const char *command)
{
    return rig_ask(&(struct ask){
        .verb = "service.reload",
        .key = key,
        .args = PAIRS({"stop", "true"}, {"start", "true"}, {"reload", command}, {"port", text("%d", port)},
                      {"listen", "127.0.0.1"}, {"grace", "1s"}, {"kill", "yes"}),
    });
}

/* The same processes serve before and after; what its command says, and a service that dies of it, are told. */
static void service_reloads(void)
{
    const char *pid = sh("cat $D/app.pid");
    struct answer ans = reload("9-3", text("echo reloaded >%s/reloaded", rig_dir));
    WANT_WAITING(ans); /* who dies of it does so a moment later */
    assert_string_equal(sh("cat $D/reloaded && cat $D/app.pid && kill -0 %s", pid),
                        text("reloaded\n%s", pid));
    const struct op_pair *args =
        PAIRS({"stop", "true"}, {"start", "true"}, {"port", text("%d", port)}, {"listen", "127.0.0.1"});
    const struct op_pair *told = PAIRS({"app.told.9-3", fact(&ans, "app.told.9-3")});
    WANT(ans, str_starts(told[0].value, text("%s:", pid)));
    struct ask look = {.verb = "service.reloaded", .args = args, .key = "9-3", .recall = told};
    WANT_OK(rig_ask(&look));
    look.key = "9-4"; /* another step, which was never sent: what the first told says nothing of it */
    WANT_WAITING(rig_ask(&look));
    look.key = "9-3";
    look.recall = NO_PAIRS; /* its answer was lost */
    WANT_WAITING(rig_ask(&look));
    look.recall = PAIRS({"app.told.9-3", "1:7"});
    WANT_REFUSED(rig_ask(&look), "that was a restart");
    WANT_REFUSED(rig_ask(&(struct ask){.verb = "service.reload", .args = args}), "how is it reloaded?");
    args = PAIRS({"stop", "true"}, {"start", "true"}, {"port", text("%d", port)}, {"listen", "127.0.0.1"},
                 {"reload", "echo bad line 3 >&2; exit 4"});
    WANT_REFUSED(rig_ask(&(struct ask){.verb = "service.reload", .args = args}),
                 "ended with status 4: bad line 3");
}

/* Nobody is seen who could be told: by what its command and its status say. */
static void a_reload_without_a_port(void)
{
    const struct op_pair *args =
        PAIRS({"stop", "true"}, {"start", "true"}, {"status", "true"}, {"reload", "true"});
    WANT_OK(rig_ask(&(struct ask){.verb = "service.reload", .args = args, .key = "9-5"}));
    WANT_OK(rig_ask(&(struct ask){.verb = "service.reloaded", .args = args, .key = "9-5"}));
}

/* A master and its worker have the socket; a reload replaces the worker. */
static void a_reload_may_replace_workers(void **state)
{
    (void)state;
    port = port_pick();
    write_file("prefork.py", "import os, signal, socket, sys, time\n"
                             "s = socket.socket()\n"
                             "s.bind((\"127.0.0.1\", int(sys.argv[1])))\n"
                             "s.listen()\n"
                             "w = 0\n"
                             "def work(*_):\n"
                             "    global w\n"
                             "    if w:\n"
                             "        os.kill(w, 9)\n"
                             "        os.waitpid(w, 0)\n"
                             "    w = os.fork()\n"
                             "    if not w:\n"
                             "        time.sleep(300)\n"
                             "    open(sys.argv[2], 'w').write(str(w))\n"
                             "def end(*_):\n"
                             "    os.kill(w, 9)\n"
                             "    os._exit(0)\n"
                             "signal.signal(signal.SIGTERM, end)\n"
                             "work()\n"
                             "signal.signal(signal.SIGHUP, work)\n"
                             "while True:\n"
                             "    time.sleep(300)\n");
    sh("setsid /usr/bin/python3 -S $D/prefork.py %d $D/worker >/dev/null 2>&1 </dev/null & echo $! >$D/app.pid",
       port);
    until("test -s $D/worker");
    const char *pid = sh("cat $D/app.pid"), *worker = sh("cat $D/worker");
    struct answer ans = reload("9-6", text("kill -HUP %s", pid));
    WANT_WAITING(ans);
    const char *told = fact(&ans, "app.told.9-6");
    WANT(ans, str_starts(told, text("%s:", pid)) && strchr(told, ' ') == NULL);
    until(text("! kill -0 %s 2>/dev/null", worker));
    WANT_OK(rig_ask(&(struct ask){.verb = "service.reloaded",
                                  .args = PAIRS({"stop", "true"}, {"start", "true"},
                                                {"port", text("%d", port)}, {"listen", "127.0.0.1"}),
                                  .key = "9-6",
                                  .recall = PAIRS({"app.told.9-6", told})}));
    sh("kill %s", pid);
}

static void a_service_of_commands_is_judged_by_port_and_processes(void **state)
{
    (void)state;
    port = port_pick();
    sh("printf 'import signal, socket, sys, time\\nif len(sys.argv) > 2: signal.signal(signal.SIGTERM, "
       "signal.SIG_IGN)\\n"
       "s = socket.socket()\\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, "
       "1)\\ns.bind((\"127.0.0.1\", "
       "int(sys.argv[1])))\\ns.listen()\\ntime.sleep(300)\\n' >$D/serve.py");
    WANT_OK(service("service.stopped", ""));
    struct answer ans = service("service.start", "");
    WANT_OK(ans);
    WANT(ans,
         ans.changed && strcmp(fact(&ans, "app.started"), text("service:%s", sh("cat $D/app.pid"))) == 0);
    WANT_OK(service("service.running", ""));
    WANT_WAITING(service("service.stopped", ""));
    ans = service("service.start", "");
    WANT(ans, ans.outcome == OUT_OK && !ans.changed);
    ans = service("service.stop", "");
    WANT_OK(ans);
    const char *pids = fact(&ans, "app.pids");
    WANT(ans, ans.changed && str_starts(pids, text("%s:", sh("cat $D/app.pid"))));
    ans = service("service.stop", "");
    WANT(ans, ans.outcome == OUT_OK && ans.ready && !ans.changed);
    WANT_WAITING(service("service.running", ""));
    WANT_OK(service("service.start", pids));
    WANT_OK(service("service.running", pids));
    ans = service("service.restart", "");
    WANT_OK(ans);
    WANT_OK(service("service.restarted", fact(&ans, "app.pids")));
    service_reloads();
    a_reload_without_a_port();
    WANT_OK(service("service.stop", ""));
    WANT_REFUSED(reload(NULL, "true"), "does not run, so it cannot be reloaded");
    ans = rig_ask(&(struct ask){.verb = "service.start",
                                .args = PAIRS({"stop", "true"}, {"start", "echo no config >&2; exit 9"},
                                              {"status", "false"}, {"grace", "1s"}, {"kill", "yes"})});
    WANT_REFUSED(ans, "ended with status 9: no config");
    WANT_REFUSED(rig_ask(&(struct ask){.verb = "service.start", .args = PAIRS({"start", "true"})}),
                 "give the `name`");
    WANT_REFUSED(rig_ask(&(struct ask){.verb = "service.stop", .args = PAIRS({"name", "-x"})}),
                 "is not the name");
}

/* There is no systemd here: a fake systemctl, answering as the real one of Debian 12 does, stands in PATH. It
 * proves our side of the talk only. */
static void a_unit_of_a_fake_systemd(void **state)
{
    (void)state;
    sh("mkdir -p $D/bin && cat >$D/bin/systemctl <<'E'\n#!/bin/sh\nd=$(dirname \"$0\")\ncase $1 in\n"
       "show) [ \"$5\" = app ] || [ \"$4\" = app ] || { printf "
       "'LoadState=not-found\\nActiveState=inactive\\n'; exit 0; }\n"
       "printf "
       "'LoadState=loaded\\nSubState=x\\nType=simple\\nControlGroup=\\nResult=exit-code\\nExecMainStatus="
       "3\\n'\n"
       "echo \"MainPID=$(cat $d/pid 2>/dev/null || echo 0)\"; echo \"ActiveState=$(cat $d/state)\" ;;\n"
       "start) cat $d/next >$d/state; [ -e $d/norun ] || { setsid sleep 300 >/dev/null 2>&1 & echo $! "
       ">$d/pid; } ;;\n"
       "stop) echo inactive >$d/state; [ -e $d/deaf ] || kill $(cat $d/pid); rm -f $d/pid ;;\nesac\nE\n"
       "chmod +x $D/bin/systemctl; echo inactive >$D/bin/state; echo active >$D/bin/next");
    const char *old = arena_strdup(&rig_arena, getenv("PATH"));
    setenv("PATH", text("%s/bin:%s", rig_dir, old), 1);
    const struct op_pair *args = PAIRS({"name", "app"}, {"grace", "1s"}, {"kill", "yes"});
    struct answer started = rig_ask(&(struct ask){.verb = "service.start", .args = args});
    struct answer running = rig_ask(&(struct ask){.verb = "service.running", .args = args});
    struct answer stopped = rig_ask(&(struct ask){.verb = "service.stop", .args = args});
    sh("echo failed >$D/bin/next; touch $D/bin/norun");
    struct answer failed = rig_ask(&(struct ask){.verb = "service.start", .args = args});
    struct answer unknown = rig_ask(&(struct ask){
        .verb = "service.stop", .args = PAIRS({"name", "nope"}, {"grace", "1s"}, {"kill", "yes"})});
    setenv("PATH", old, 1);
    WANT_OK(started);
    WANT(started, str_starts(fact(&started, "app.started"), "app:"));
    WANT_OK(running);
    WANT_OK(stopped);
    WANT(stopped, stopped.changed && *fact(&stopped, "app.pids") != '\0');
    WANT_REFUSED(failed, "failed (exit-code, status 3)");
    WANT_REFUSED(unknown, "systemd has no service nope");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_has_its_directory_environment_and_status),
        cmocka_unit_test(conditions_in_salts_words),
        cmocka_unit_test(builds_are_skipped_where_nothing_changed_and_their_results_carried_over),
        cmocka_unit_test(below_a_directory_of_the_repository_paths_are_its_own),
        cmocka_unit_test(a_complete_directory_is_not_built_again),
        cmocka_unit_test(the_end_of_a_command_is_known_afterwards),
        cmocka_unit_test(hooks_run_on_the_controller),
        cmocka_unit_test(packages_come_from_the_lock_file_once),
        cmocka_unit_test(a_service_of_commands_is_judged_by_port_and_processes),
        cmocka_unit_test(a_reload_may_replace_workers),
        cmocka_unit_test(a_unit_of_a_fake_systemd),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
