/* SPDX-License-Identifier: MIT */
/* A reload that brings a revision (drivers/node/sh/workers.sh): what masters make of a signal, each by a small one that
 * does so. */
#include "unit/drv_rig.h"

/* PORT LINK HOW: works where it was started. By HUP it
 *   follows   works in LINK and makes a worker anew, the old one goes
 *   keeps     the same, and stays where it is
 *   deaf      does nothing
 *   begins    its program anew, in LINK, with no worker of its own
 *   hands     the socket to a new one like it in LINK, and goes
 *   waits     makes a worker anew, and the old one stays */
static const char master[] = "import os, signal, socket, sys, time\n"
                             "port, link, how = int(sys.argv[1]), sys.argv[2], sys.argv[3]\n"
                             "fd = os.environ.pop('SOCKET', None)\n"
                             "s = socket.socket(fileno=int(fd)) if fd else socket.socket()\n"
                             "if not fd:\n"
                             "    s.bind(('127.0.0.1', port))\n"
                             "    s.listen()\n"
                             "w = 0\n"
                             "def work():\n"
                             "    global w\n"
                             "    old, w = w, os.fork()\n"
                             "    if not w:\n"
                             "        signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
                             "        while True:\n"
                             "            time.sleep(300)\n"
                             "    if old and how != 'waits':\n"
                             "        os.kill(old, 9)\n"
                             "        os.waitpid(old, 0)\n"
                             "def again():\n"
                             "    os.chdir(link)\n"
                             "    os.set_inheritable(s.fileno(), True)\n"
                             "    os.environ['SOCKET'] = str(s.fileno())\n"
                             "    os.execv(sys.executable, [sys.executable, '-S'] + sys.argv)\n"
                             "def hup(*_):\n"
                             "    signal.pthread_sigmask(signal.SIG_SETMASK, [])\n"
                             "    if how == 'begins' or how == 'hands' and not os.fork():\n"
                             "        again()\n"
                             "    if how == 'hands':\n"
                             "        os._exit(0)\n"
                             "    if how == 'follows':\n"
                             "        os.chdir(link)\n"
                             "    if how != 'deaf':\n"
                             "        work()\n"
                             "if how not in ('begins', 'hands'):\n"
                             "    work()\n"
                             "signal.signal(signal.SIGHUP, hup)\n"
                             "open(sys.argv[0] + '.ready', 'w').write(str(os.getpid()))\n"
                             "while True:\n"
                             "    time.sleep(300)\n";

static int port, turn;

static int setup(void **state)
{
    (void)state;
    rig_open();
    port = port_pick();
    sh("mkdir -p $D/srv/releases/one $D/srv/releases/two");
    write_file("master.py", master);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close();
    return 0;
}

/* `current` leads to one, and it was started there. */
static const char *master_starts(const char *how)
{
    sh("rm -f $D/master.py.ready; ln -sfn releases/one $D/srv/current; cd $D/srv/current && "
       "setsid /usr/bin/python3 -S $D/master.py %d $D/srv/current %s >/dev/null 2>&1 </dev/null &",
       port, how);
    until(text("test -s %s/master.py.ready", rig_dir));
    return sh("cat $D/master.py.ready");
}

static void all_end(void)
{
    sh("for p in $(ls -l /proc/[0-9]*/cwd 2>/dev/null | grep \"$D/srv/releases/\" | sed 's|.*/proc/\\([0-9]*\\)/cwd.*|\\1|'); do kill -9 "
       "$p; done; true");
    until(text("! ss -Hltn 'sport = :%d' | grep -q .", port));
}

static struct answer ask(const char *verb, const char *command, const char *told, bool back)
{
    const char *key = text("5-%d", turn), *to = text("%s/srv/releases/%s", rig_dir, back ? "one" : "two");
    return rig_ask(&(struct ask){
        .verb = verb,
        .key = key,
        .back = back,
        .args = PAIRS({"stop", "true"}, {"start", "exit 9"}, {"reload", command}, {"port", text("%d", port)},
                      {"listen", "127.0.0.1"}, {"workers", "new"}, {"grace", "1s"}),
        .vars = PAIRS({"dir", text("%s/srv", rig_dir)}, {"release_dir", to}, {"layout", "releases"}),
        .recall = PAIRS({text("app.told.%s", key), told}, {"release.before", to}),
    });
}

/* Tells it, and looks until it is ready or refused, or `enough` of it was seen; the last answer. */
static struct answer reloads(const char *command, bool back, const char *enough)
{
    turn++;
    struct answer ans = ask("service.reload", command, "", back);
    const char *told = arena_strdup(&rig_arena, fact(&ans, text("app.told.5-%d", turn)));
    for (int i = 0; i < 200 && ans.outcome == OUT_OK && !ans.ready; i++) {
        if (enough && strstr(buf_str(&rig_log), enough))
            return ans;
        usleep(20000);
        ans = ask("service.reloaded", command, told, back);
    }
    if (enough)
        fail_msg("never said: %s; but %s %s", enough, ans.err.text, buf_str(&rig_log));
    return ans;
}

/* By HUP, with `current` led on to two. */
static struct answer hup(const char *pid, const char *enough)
{
    sh("ln -sfn releases/two $D/srv/current");
    return reloads(text("kill -HUP %s", pid), false, enough);
}

static void new_workers_of_the_revision_are_wanted(void **state)
{
    (void)state;
    const char *pid = master_starts("follows");
    struct answer ans = hup(pid, NULL);
    WANT_OK(ans);
    WANT(ans, str_starts(fact(&ans, "app.reloaded"), text("%s:", pid)));
    sh("ln -sfn releases/one $D/srv/current"); /* and back */
    WANT_OK(reloads(text("kill -HUP %s", pid), true, NULL));
    all_end();
}

static void a_master_that_keeps_its_directory_is_refused(void **state)
{
    (void)state;
    WANT_REFUSED(hup(master_starts("keeps"), NULL), "keeps the directory that it was started in");
    all_end();
}

static void without_new_processes_nothing_is_reloaded(void **state)
{
    (void)state;
    WANT_WAITING(hup(master_starts("deaf"), "no process is younger than the signal"));
    all_end();
    WANT_WAITING(hup(master_starts("waits"), "from before the signal, and still there"));
    all_end();
}

static void a_process_that_begins_anew_under_its_number_is_new(void **state)
{
    (void)state;
    WANT_OK(hup(master_starts("begins"), NULL));
    all_end();
}

/* The socket tells a new master from a restart. */
static void a_master_may_hand_over(void **state)
{
    (void)state;
    WANT_OK(hup(master_starts("hands"), NULL));
    all_end();
    const char *pid = master_starts("begins");
    sh("ln -sfn releases/two $D/srv/current");
    const char *again = text("kill -9 %s; cd %s/srv/current; rm -f %s/master.py.ready; "
                             "setsid /usr/bin/python3 -S %s/master.py %d . deaf >/dev/null 2>&1 </dev/null & "
                             "until test -s %s/master.py.ready; do sleep 0.02; done",
                             pid, rig_dir, rig_dir, rig_dir, port, rig_dir);
    WANT_REFUSED(reloads(again, false, NULL), "that was a restart");
    all_end();
}

static void what_the_master_loads_itself_is_refused_but_on_the_way_back(void **state)
{
    (void)state;
    const char *pid = master_starts("follows --preload");
    WANT_REFUSED(hup(pid, NULL), "loads the application itself (--preload)");
    sh("ln -sfn releases/one $D/srv/current");
    WANT_OK(reloads(text("kill -HUP %s", pid), true, NULL));
    all_end();
}

/* Nobody serves there: nothing can be lost. */
static void what_is_down_is_started(void **state)
{
    (void)state;
    WANT_REFUSED(reloads("true", false, NULL), "start command ended with status 9");
}

static void without_a_port_nobody_could_see_it(void **state)
{
    (void)state;
    struct err err = {.code = E_NONE};
    const struct op_pair args[] = {{"stop", "a"}, {"start", "b"}, {"reload", "c"}, {"workers", "new"}};
    assert_false(verb_find("service.reload", NULL)->check(args, 4, 0, &err));
    assert_non_null(strstr(err.text, "give the `port`"));
    assert_true(verb_find("service.reload", NULL)->check(args, 3, 0, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_workers_of_the_revision_are_wanted),
        cmocka_unit_test(a_master_that_keeps_its_directory_is_refused),
        cmocka_unit_test(without_new_processes_nothing_is_reloaded),
        cmocka_unit_test(a_process_that_begins_anew_under_its_number_is_new),
        cmocka_unit_test(a_master_may_hand_over),
        cmocka_unit_test(what_the_master_loads_itself_is_refused_but_on_the_way_back),
        cmocka_unit_test(what_is_down_is_started),
        cmocka_unit_test(without_a_port_nobody_could_see_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
