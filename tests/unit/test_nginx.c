/* SPDX-License-Identifier: MIT */
/* The nginx verbs on a real nginx on this machine, in front of a small application. */
#include "unit/lb_rig.h"

#include <sys/file.h>

static int app_port, front_port;
static pid_t app, nginx;
static char include[160], pid_file[160], conf[160], log_file[160], command[500], status_url[100],
    status_port[20];

#define SERVERS                                                                                              \
    "# of the site\nserver 127.0.0.1:%d weight=2 ; # app1\nserver 127.0.0.1:9 down;   # app2\n"              \
    "server 127.0.0.1:10;\n"

static void write_servers(void)
{
    char next[200];
    snprintf(next, sizeof next, "%s.next", include);
    rig_write(next, SERVERS, app_port);
    assert_int_equal(rename(next, include), 0);
}

/* more: into `upstream site`'s place. */
static void write_conf(const char *upstreams)
{
    rig_write(conf,
              "daemon off;\n%spid %s;\nworker_processes 2;\nevents { worker_connections 64; }\n"
              "http {\n access_log off;\n client_body_temp_path %s/t1; proxy_temp_path %s/t2;\n"
              " fastcgi_temp_path %s/t3; uwsgi_temp_path %s/t4; scgi_temp_path %s/t5;\n%s\n"
              " server { listen 127.0.0.1:%d; location / { proxy_pass http://site; }\n"
              "  location = /status { stub_status; } }\n}\n",
              getuid() == 0 ? "user root;\n" : "", pid_file, rig_dir, rig_dir, rig_dir, rig_dir, rig_dir,
              upstreams, front_port);
}

#define GOOD "upstream site { include servers.conf; }"

static const char *servers(void)
{
    static char text[2000];
    FILE *f = fopen(include, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static const char *servers_before(void)
{
    static char text[2000];
    snprintf(text, sizeof text, SERVERS, app_port);
    return text;
}

#define ARGS                                                                                                 \
    {"hosts", "[\"localhost\"]"}, {"upstream", "[\"site\"]"}, {"include", include}, {"pid", pid_file},       \
    {                                                                                                        \
        "command", command                                                                                   \
    }
#define NODE(name)                                                                                           \
    ARGS, {"server", (name)},                                                                                \
    {                                                                                                        \
        "idle", "workers"                                                                                    \
    }

/* Is one of these processes still there? */
static bool any_lives(const char *pids)
{
    for (char *end; *pids; pids = end + strspn(end, " ")) {
        long pid = strtol(pids, &end, 10);
        if (end == pids)
            return false;
        if (kill((pid_t)pid, 0) == 0)
            return true;
    }
    return false;
}

/* What stands in the files is what runs: the workers of before have ended. */
static void reload(void)
{
    char path[80], old[500] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)nginx, (int)nginx);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(old, sizeof old, f));
    fclose(f);
    kill(nginx, SIGHUP);
    rig_until(!any_lives(old));
}

static int each_setup(void **state)
{
    (void)state;
    rig_forget();
    write_conf(GOOD);
    write_servers();
    reload();
    return 0;
}

static int group_setup(void **state)
{
    (void)state;
    rig_open();
    rig_deadline_ms = 30000;
    app_port = port_pick();
    front_port = port_pick();
    snprintf(include, sizeof include, "%s/servers.conf", rig_dir);
    snprintf(pid_file, sizeof pid_file, "%s/nginx.pid", rig_dir);
    snprintf(conf, sizeof conf, "%s/nginx.conf", rig_dir);
    snprintf(log_file, sizeof log_file, "%s/error.log", rig_dir);
    snprintf(command, sizeof command, "[\"nginx\",\"-c\",\"%s\",\"-e\",\"%s\"]", conf, log_file);
    snprintf(status_url, sizeof status_url, "http://127.0.0.1:%d/status", front_port);
    snprintf(status_port, sizeof status_port, "http://127.0.0.1:%d/", port_pick());
    app = rig_app(app_port);
    write_conf(GOOD);
    write_servers();
    nginx = rig_spawn((const char *const[]){"nginx", "-c", conf, "-e", log_file, NULL});
    rig_until(rig_port_open(front_port));
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    rig_forget();
    rig_stop(&nginx, SIGTERM);
    rig_stop(&app, SIGTERM);
    rig_close();
    return 0;
}

#define LIKE_THIS(name, words)                                                                               \
    {"hosts", "[\"localhost\"]"}, {"upstream", "[\"site\"]"}, {"include", include}, {"pid", pid_file},       \
        {"command", words},                                                                                  \
    {                                                                                                        \
        "server", (name)                                                                                     \
    }

/* A program in nginx's place: `shell` first, then nginx itself. In words: how it is called. */
static const char *wrapper(const char *name, const char *shell)
{
    static char words[700];
    const char *path = rig_path(name);
    rig_write(path, "#!/bin/sh\n%s\nexec nginx \"$@\"\n", shell);
    chmod(path, 0755);
    snprintf(words, sizeof words, "[\"%s\",\"-c\",\"%s\",\"-e\",\"%s\"]", path, conf, log_file);
    return words;
}

static void the_file_comes_back_byte_by_byte(void **state)
{
    (void)state;
    auto_call struct call before = {0}, drain = {0}, again = {0}, observe = {0}, guard = {0}, enable = {0},
                          enabled = {0}, up = {0};
    RUN(&before, "nginx.observe", NODE("app1"));
    assert_ok(&before);
    assert_string_equal(rig_fact(&before, "lb.before"), "localhost site/app1=up");
    RUN(&drain, "nginx.drain", NODE("app1"));
    assert_ok(&drain);
    assert_true(drain.r->changed);
    assert_says(servers(), "weight=2  down; # app1");
    assert_int_equal(access(rig_path(".servers.conf.release-was"), F_OK), -1);
    RUN(&again, "nginx.drain", NODE("app1"));
    assert_false(again.r->changed);
    RUN(&observe, "nginx.observe", NODE("app1"));
    assert_true(observe.r->ready);
    RUN(&guard, "nginx.guard", NODE("app1"));
    assert_true(guard.r->ready);
    RUN(&enable, "nginx.enable", NODE("app1"));
    assert_ok(&enable);
    assert_string_equal(servers(), servers_before());
    RUN(&enabled, "nginx.enabled", NODE("app1"));
    assert_true(enabled.r->ready);
    RUN(&up, "nginx.wait_up", NODE("app1"));
    assert_true(up.r->ready);
}

/* The request runs in a worker that is shutting down; what is new goes to no server that is down. */
static void old_workers_are_waited_for(void **state)
{
    (void)state;
    auto_call struct call drain = {0}, busy = {0}, idle = {0};
    char address[40];
    snprintf(address, sizeof address, "127.0.0.1:%d", app_port); /* a server goes by its address, too */
    int fd = rig_connect(front_port);
    static const char ask[] = "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(write(fd, ask, sizeof ask - 1), sizeof ask - 1);
    rig_until(
        strstr(rig_talk(front_port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "fine, ok"));
    RUN(&drain, "nginx.drain", NODE(address));
    assert_ok(&drain);
    RUN(&busy, "nginx.wait_idle", NODE(address), {"status", status_url});
    assert_ok(&busy);
    assert_false(busy.r->ready);
    assert_string_equal(rig_fact(&busy, "workers"), "1");
    assert_says(rig_fact(&busy, "nginx.status.localhost"), "connections:");
    close(fd);
    bool ready = false;
    rig_until((rig_done(&idle), RUN(&idle, "nginx.wait_idle", NODE(address)), ready = idle.r->ready));
    assert_true(ready);
}

static void a_file_written_by_others_is_noticed(void **state)
{
    (void)state;
    auto_call struct call before = {0}, drain = {0}, lost = {0}, unknown = {0}, first = {0}, again = {0};
    RUN(&before, "nginx.observe", NODE("app1"));
    RUN(&drain, "nginx.drain", NODE("app1"));
    assert_ok(&drain);
    write_servers();
    RUN(&lost, "nginx.guard", NODE("app1"));
    assert_true(lost.r->lost && !lost.r->ready);
    assert_says(lost.said, "unknown on localhost");
    RUN(&unknown, "nginx.enabled", NODE("app1"));
    assert_false(unknown.r->ready);
    RUN(&again, "nginx.drain", NODE("app1"));
    assert_ok(&again);
    assert_says(servers(), "down; # app1");
    write_servers();
    rig_forget(); /* another release, before which it is not known */
    RUN(&first, "nginx.observe", NODE("app1"));
    assert_int_equal(first.r->outcome, OUT_FAILED);
    assert_says(first.r->err.text, "nobody knows whether it gets requests: the file was changed");
}

static void what_is_unfit_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *conf, *says;
    } rows[] = {
        {"upstream site { server 127.0.0.1:9; }",
         "servers.conf is not included in a block `upstream site {}`"},
        {"upstream site { server 127.0.0.1:9; } upstream other { include servers.conf; }",
         "(its upstreams: site, other)"},
        {"upstream site { include servers.conf; keepalive many; }",
         "invalid value \"many\" in \"keepalive\" directive"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_call struct call fleet = {0}, drain = {0};
        write_conf(rows[i].conf);
        RUN(&fleet, "nginx.capacity", ARGS);
        assert_int_not_equal(fleet.r->outcome, OUT_OK);
        assert_says(fleet.r->err.text, rows[i].says);
        if (i < 2)
            continue; /* preflight's to refuse: the file is part of the configuration */
        RUN(&drain, "nginx.drain", NODE("app1"));
        assert_int_equal(drain.r->outcome, OUT_FAILED);
        assert_says(drain.r->err.text, "before anything was changed");
        assert_string_equal(servers(), servers_before());
    }
    write_conf(GOOD);
    auto_call struct call unread = {0}, pid = {0}, capacity = {0};
    RUN(&unread, "nginx.capacity", ARGS, {"status", status_port});
    assert_int_equal(unread.r->outcome, OUT_FAILED);
    assert_says(unread.r->err.text, "status: http://127.0.0.1:");
    RUN(&pid, "nginx.observe", {"hosts", "[\"localhost\"]"}, {"upstream", "[\"site\"]"}, {"include", include},
        {"pid", "/nosuch/nginx.pid"}, {"command", command}, {"server", "app1"});
    assert_int_equal(pid.r->outcome, OUT_UNKNOWN);
    assert_says(pid.r->err.text, "no process in /nosuch/nginx.pid (pid:)");
    RUN(&capacity, "nginx.capacity", ARGS, {"servers", "[\"app1\",\"app2\",\"127.0.0.1:10\"]"});
    assert_ok(&capacity);
    assert_string_equal(rig_fact(&capacity, "lb.serving"), "101");
}

/* Known before anything is touched: the file may be changed, and nginx could not be reloaded. */
static void one_that_may_not_reload_is_refused(void **state)
{
    (void)state;
    auto_call struct call fleet = {0};
    const char *sudo = rig_path("sudo");
    char words[600];
    rig_write(
        sudo,
        "#!/bin/sh\n[ \"$1\" = -l ] && case \"$*\" in *reload) echo 'not allowed to execute' >&2; exit 1;; esac\n"
        "[ \"$1\" = -l ] || exec \"$@\"\n");
    chmod(sudo, 0755);
    snprintf(words, sizeof words, "[\"%s\",\"nginx\",\"-c\",\"%s\",\"-e\",\"%s\"]", sudo, conf, log_file);
    RUN(&fleet, "nginx.capacity", {"hosts", "[\"localhost\"]"}, {"upstream", "[\"site\"]"},
        {"include", include}, {"pid", pid_file}, {"command", words});
    assert_int_equal(fleet.r->outcome, OUT_FAILED);
    assert_says(fleet.r->err.text, "-s reload\": not allowed to execute");
}

/* nginx takes the configuration and not the changed one: here by a test that fails once the file is another. */
static void a_file_that_nginx_refuses_is_put_back(void **state)
{
    (void)state;
    auto_call struct call drain = {0}, look = {0};
    RUN(&drain, "nginx.drain",
        LIKE_THIS("app1", wrapper("picky", "case \"$*\" in *' -t') echo 'nginx: [emerg] no such server' >&2; "
                                           "exit 1;; esac")));
    assert_int_equal(drain.r->outcome, OUT_FAILED);
    assert_says(drain.r->err.text, "no such server");
    assert_says(drain.r->err.text, "is as it was");
    assert_string_equal(servers(), servers_before());
    RUN(&look, "nginx.observe", NODE("app1")); /* younger than the workers, and yet what they have */
    assert_ok(&look);
    assert_string_equal(rig_fact(&look, "in_rotation"), "yes");
}

static void others_that_send_there_are_found(void **state)
{
    (void)state;
    auto_call struct call survey = {0};
    char upstreams[300], fact[80], wanted[80];
    snprintf(upstreams, sizeof upstreams, GOOD "\nupstream old { server 127.0.0.1:%d; server 127.0.0.1:9; }",
             app_port);
    write_conf(upstreams);
    RUN(&survey, "nginx.survey", ARGS);
    assert_ok(&survey);
    snprintf(fact, sizeof fact, "lb.at.localhost 127.0.0.1:%d", app_port);
    snprintf(wanted, sizeof wanted, "site/app1 old/127.0.0.1:%d", app_port);
    if (!rig_fact(&survey, fact))
        fail_msg("no %s", fact);
    assert_says(rig_fact(&survey, fact), "site/app1");
    assert_says(rig_fact(&survey, fact), strchr(wanted, ' ') + 1);
}

/* ---- others, and what goes wrong ------------------------------------------- */

/* Another application's step: a lock on the file's directory, or on the pid file when its own stands elsewhere. Nobody
 * knows what becomes of it, so it is asked again. */
static void who_waits_for_others_in_vain_does_not_know(void **state)
{
    (void)state;
    static const struct {
        const char *path, *says;
    } rows[] = {{rig_dir, "somebody else has been changing"}, {pid_file, "changing the nginx of"}};
    int deadline_ms = rig_deadline_ms;
    rig_deadline_ms = 5500;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_call struct call drain = {0};
        int fd = open(rows[i].path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(flock(fd, LOCK_EX), 0);
        RUN(&drain, "nginx.drain", NODE("app1"));
        close(fd);
        assert_int_equal(drain.r->outcome, OUT_UNKNOWN);
        assert_says(drain.r->err.text, rows[i].says);
        assert_string_equal(servers(), servers_before());
    }
    rig_deadline_ms = deadline_ms;
}

static void a_reload_that_does_not_come_is_no_drain(void **state)
{
    (void)state;
    auto_call struct call before = {0}, drain = {0}, observe = {0};
    int deadline_ms = rig_deadline_ms;
    RUN(&before, "nginx.observe", NODE("app1"));
    rig_deadline_ms = 7000;
    RUN(&drain, "nginx.drain",
        LIKE_THIS("app1", wrapper("deaf", "case \"$*\" in *' -s reload') exit 0;; esac")));
    rig_deadline_ms = deadline_ms;
    assert_int_equal(drain.r->outcome, OUT_UNKNOWN);
    assert_says(drain.r->err.text, "its workers are still the former ones");
    /* The word is taken out again: somebody's next reload would bring a drain that no release holds any more. */
    assert_string_equal(servers(), servers_before());
    RUN(&observe, "nginx.observe", NODE("app1"));
    assert_ok(&observe);
    assert_false(observe.r->ready);
}

/* One file under two names is two balancers here; the second is refused its reload. What the first did before nobody
 * knew, so nothing is given back. */
static void what_was_not_known_is_not_given_back(void **state)
{
    (void)state;
    auto_call struct call before = {0}, drain = {0};
    char once[300];
    RUN(&before, "nginx.observe", NODE("app1"));
    assert_ok(&before);
    write_servers();
    snprintf(once, sizeof once, "case \"$*\" in *' -s reload') [ ! -e %s/was ] || exit 1; : >%s/was;; esac",
             rig_dir, rig_dir);
    RUN(&drain, "nginx.drain", {"hosts", "[\"localhost\",\"127.0.0.1\"]"}, {"upstream", "[\"site\"]"},
        {"include", include}, {"pid", pid_file}, {"command", wrapper("once", once)}, {"server", "app1"});
    assert_int_equal(drain.r->outcome, OUT_UNKNOWN);
    assert_says(drain.r->err.text, "localhost stays down: what it did before was not known");
    assert_says(servers(), "down; # app1");
}

static void two_upstreams_are_one_line(void **state)
{
    (void)state;
    auto_call struct call before = {0}, drain = {0};
    write_conf(GOOD " upstream two { include servers.conf; }");
    RUN(&before, "nginx.observe", {"hosts", "[\"localhost\"]"}, {"upstream", "[\"site\",\"two\"]"},
        {"include", include}, {"pid", pid_file}, {"command", command}, {"server", "app1"});
    assert_ok(&before);
    assert_string_equal(rig_fact(&before, "lb.before"), "localhost site/app1=up;localhost two/app1=up");
    RUN(&drain, "nginx.drain", {"hosts", "[\"localhost\"]"}, {"upstream", "[\"site\",\"two\"]"},
        {"include", include}, {"pid", pid_file}, {"command", command}, {"server", "app1"});
    assert_ok(&drain);
    assert_says(rig_fact(&drain, "lb.state"), "down in two on localhost");
    assert_says(servers(), "weight=2  down; # app1");
}

static void another_file_or_another_binary_is_left_alone(void **state)
{
    (void)state;
    auto_call struct call link = {0}, binary = {0};
    const char *path = rig_path("link.conf");
    char old[200];
    assert_int_equal(symlink(include, path), 0);
    RUN(&link, "nginx.drain", {"hosts", "[\"localhost\"]"}, {"upstream", "[\"site\"]"}, {"include", path},
        {"pid", pid_file}, {"command", command}, {"server", "app1"});
    assert_int_equal(link.r->outcome, OUT_FAILED);
    assert_says(link.r->err.text, "is a symbolic link");
    snprintf(old, sizeof old, "%s.oldbin", pid_file);
    rig_write(old, "1\n");
    RUN(&binary, "nginx.drain", NODE("app1"));
    unlink(old);
    assert_int_equal(binary.r->outcome, OUT_UNKNOWN);
    assert_says(binary.r->err.text, "another binary of nginx takes over");
    assert_string_equal(servers(), servers_before());
}

static void whose_file_it_is_stays(void **state)
{
    (void)state;
    auto_call struct call drain = {0};
    struct stat s;
    if (getuid() != 0)
        skip();
    assert_int_equal(chown(include, 12345, 12346), 0);
    assert_int_equal(chmod(include, 0640), 0);
    reload();
    RUN(&drain, "nginx.drain", NODE("app1"));
    assert_ok(&drain);
    assert_int_equal(stat(include, &s), 0);
    assert_true(s.st_uid == 12345 && s.st_gid == 12346 && (s.st_mode & 07777) == 0640);
}

/* A login that may write the file and whose copy would be its own: refused by preflight, and by the step. */
static void a_copy_that_would_be_anothers_is_refused(void **state)
{
    (void)state;
    auto_call struct call fleet = {0}, drain = {0};
    char dir[160], file[200], words[300];
    if (getuid() != 0)
        skip();
    snprintf(dir, sizeof dir, "%s/theirs", rig_dir);
    snprintf(file, sizeof file, "%s/servers.conf", dir);
    assert_true(mkdir(dir, 0755) == 0 && chmod(dir, 0777) == 0);
    rig_write(file, "server 127.0.0.1:9; # app1\n");
    chmod(file, 0666);
    const char *sudo = rig_path("sudo");
    rig_write(sudo, "#!/bin/sh\n[ \"$1\" = -l ] || echo '# configuration file %s:'\n", file);
    chmod(sudo, 0755);
    snprintf(words, sizeof words, "[\"%s\",\"nginx\"]", sudo);
#define THEIRS                                                                                               \
    {"hosts", "[\"localhost\"]"}, {"upstream", "[\"site\"]"}, {"include", file}, {"pid", pid_file},          \
        {"command", words}, {"runas", "nobody"}
    RUN(&fleet, "nginx.capacity", THEIRS);
    assert_int_equal(fleet.r->outcome, OUT_FAILED);
    assert_says(fleet.r->err.text, "is root's, and a copy by nobody would not be");
    rig_forget();
    RUN(&drain, "nginx.drain", THEIRS, {"server", "app1"});
    assert_int_equal(drain.r->outcome, OUT_FAILED);
    assert_says(drain.r->err.text, "would have another owner, group, mode or label: nothing was changed");
    char left[220];
    snprintf(left, sizeof left, "%s/.servers.conf.release-new", dir);
    assert_int_equal(access(left, F_OK), -1);
}

#define T(name) cmocka_unit_test_setup(name, each_setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_file_comes_back_byte_by_byte),
        T(old_workers_are_waited_for),
        T(a_file_written_by_others_is_noticed),
        T(what_is_unfit_is_refused),
        T(one_that_may_not_reload_is_refused),
        T(a_file_that_nginx_refuses_is_put_back),
        T(others_that_send_there_are_found),
        T(who_waits_for_others_in_vain_does_not_know),
        T(a_reload_that_does_not_come_is_no_drain),
        T(what_was_not_known_is_not_given_back),
        T(two_upstreams_are_one_line),
        T(another_file_or_another_binary_is_left_alone),
        T(whose_file_it_is_stays),
        T(a_copy_that_would_be_anothers_is_refused),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
