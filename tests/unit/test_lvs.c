/* SPDX-License-Identifier: MIT */
/* The lvs verbs on a director with a kernel of its own (tests/lib/director.sh): real ipvsadm, keepalived and connections. And the
 * stand-in for ipvsadm, which the suite of all kinds uses, is held to the real one here. */
#include "unit/lb_rig.h"

#include <sched.h>

#define DIRECTOR "10.77.0.2"
#define VIP      "10.77.0.100"
#define PORT     8080
#define SERVICE  VIP ":8080"
#define ONE      "10.77.0.11:8080"

static struct {
    pid_t pid, clients;
    int in, ns, clients_ns, listener;
    FILE *out;
    char dir[100], key[160], known[160];
    struct target ssh;
} at;
static bool there; /* it could be booted */

/* ---- the director ------------------------------------------------------------------------------------------ */

/* What a command prints, here (who NULL) or at the director's console. */
static void read_answer(char out[8192], FILE *from, const char *until)
{
    char line[1000];
    size_t n = 0;
    for (out[0] = '\0';
         fgets(line, sizeof line, from) && (!until || strncmp(line, until, strlen(until)) != 0);)
        n += (size_t)snprintf(out + n, n < 8000 ? 8192 - n : 0, "%s", line);
    if (until && n > 0 && out[n - 1] == '\n')
        out[n - 1] = '\0'; /* the console's own, before its status */
}

static const char *sh_there(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *sh_there(const char *fmt, ...)
{
    static char out[8192];
    char line[1000];
    va_list ap;
    va_start(ap, fmt);
    size_t n = (size_t)vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    line[n] = '\n';
    if (n > 0)
        assert_int_equal(write(at.in, line, n + 1), n + 1);
    read_answer(out, at.out, "== ");
    return out;
}

static const char *sh_here(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *sh_here(const char *fmt, ...)
{
    static char out[8192];
    char line[1000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    FILE *p = popen(line, "re");
    assert_non_null(p);
    read_answer(out, p, NULL);
    pclose(p);
    return out;
}

static int namespace_of(pid_t pid)
{
    char path[60];
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void make_network(void)
{
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    at.ns = namespace_of(getpid());
    at.clients = rig_spawn((const char *const[]){"unshare", "-n", "sleep", "infinity", NULL});
    rig_until(
        *sh_here("[ /proc/%d/ns/net -ef /proc/%d/ns/net ] || echo other", (int)at.clients, (int)getpid()));
    assert_string_equal(
        sh_here(SOURCE_DIR "/tests/lib/director.sh network %d 2>&1 && echo fine", (int)at.clients), "fine\n");
    at.clients_ns = namespace_of(at.clients);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    at.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(at.listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(at.listener, 128), 0);
}

static void boot(void)
{
    int in[2], out[2];
    snprintf(at.dir, sizeof at.dir, "%s/lvs", rig_dir);
    snprintf(at.key, sizeof at.key, "%s/key", at.dir);
    snprintf(at.known, sizeof at.known, "%s/known", at.dir);
    sh_here(
        "mkdir %s && cd %s && ssh-keygen -q -t ed25519 -N '' -f key && ssh-keygen -q -t ed25519 -N '' -f host_key && "
        "{ printf '" DIRECTOR " ' && cut -d' ' -f1,2 host_key.pub; } >known",
        at.dir, at.dir);
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    at.pid = fork();
    if (at.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int log = open(rig_path("log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        dup2(in[0], 0), dup2(out[1], 1), dup2(log, 2);
        execl(SOURCE_DIR "/tests/lib/director.sh", "director.sh", "boot", at.dir, (char *)NULL);
        _exit(127);
    }
    close(in[0]), close(out[1]);
    at.in = in[1], at.out = fdopen(out[0], "r");
    at.ssh = (struct target){.transport = "ssh",
                             .ssh = {.port = 22, .user = "root", .key = at.key, .known_hosts = at.known},
                             .state_dir = "/run/release"};
    rig_ssh = &at.ssh;
    sh_there("%s", ""); /* until it is up */
}

static int begin(void **state)
{
    (void)state;
    rig_open();
    there =
        getuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0 &&
        access("/usr/lib/uml/modules", R_OK) == 0 &&
        *sh_here(
            "for c in linux ipvsadm keepalived modprobe; do command -v $c >/dev/null || exit; done; echo yes");
    if (!there)
        print_message(
            "[  SKIPPED ] what needs a kernel with ip_vs: wants root, /dev/net/tun, user-mode-linux, kmod, ipvsadm and "
            "keepalived\n");
    else
        make_network(), boot();
    return 0;
}

static int end(void **state)
{
    (void)state;
    if (there) {
        close(at.in); /* switched off */
        waitpid(at.pid, NULL, 0);
        rig_stop(&at.clients, SIGKILL);
    }
    rig_forget();
    rig_close();
    return 0;
}

/* ---- the verbs --------------------------------------------------------------------------------------------- */

#define ARGS                                                                                                 \
    {"hosts", "[\"" DIRECTOR "\"]"}, {"service", "[\"" SERVICE "\"]"}, {"command", "[\"ipvsadm\"]"},         \
        {"idle", "count"},                                                                                   \
    {                                                                                                        \
        "drain_timeout", "60s"                                                                               \
    }

static void verb(struct call *c, const char *name, const char *server)
{
    char full[40];
    snprintf(full, sizeof full, "lvs.%s", name);
    RUN(c, full, ARGS, {"server", server});
}

static bool is_ready(const char *name)
{
    auto_call struct call c;
    verb(&c, name, ONE);
    assert_ok(&c);
    return c.r->ready;
}

static void must_do(const char *name)
{
    auto_call struct call c;
    verb(&c, name, ONE);
    assert_ok(&c);
}

static int64_t left(const char *fact)
{
    auto_call struct call c;
    verb(&c, "wait_idle", ONE);
    assert_ok(&c);
    assert_false(c.r->lost);
    return strtoll(rig_fact(&c, fact), NULL, 10);
}

static void fresh(const char *service, const char *server)
{
    rig_forget();
    sh_there("ipvsadm -C; ipvsadm -A -t " SERVICE " %s; ipvsadm -a -t " SERVICE " -r " ONE " %s", service,
             server);
}

/* A socket belongs to the namespace where it was made. */
static int client(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    inet_pton(AF_INET, VIP, &a.sin_addr);
    assert_int_equal(setns(at.clients_ns, CLONE_NEWNET), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setns(at.ns, CLONE_NEWNET), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

#define NEEDS_DIRECTOR                                                                                       \
    do {                                                                                                     \
        (void)state;                                                                                         \
        if (!there)                                                                                          \
            skip();                                                                                          \
    } while (0)

/* ---- what it does there ------------------------------------------------------------------------------------ */

/* ipvsadm's edit makes what it is not told again: a real server of masquerading would become one of direct routing. */
static void nothing_but_the_weight_is_changed(void **state)
{
    char before[2000];
    NEEDS_DIRECTOR;
    fresh("-s wrr", "-m -w 3 -x 900 -y 800");
    sh_there("ipvsadm -A -f 1 -s rr; ipvsadm -a -f 1 -r 10.77.0.11 -i -w 2 --tun-type gue --tun-port 6080");
    snprintf(before, sizeof before, "%s",
             sh_there("ipvsadm -S -n; ipvsadm -L -n --thresholds | awk '{ print $1, $2, $3, $4 }'"));
    assert_false(is_ready("observe"));
    must_do("drain");
    assert_says(sh_there("ipvsadm -S -n"), "-r " ONE " -m -w 0\n");
    assert_says(sh_there("ipvsadm -L -n --thresholds | awk '{ print $1, $2, $3, $4 }'"),
                "-> " ONE " 900 800\n");
    must_do("enable");
    assert_string_equal(
        sh_there("ipvsadm -S -n; ipvsadm -L -n --thresholds | awk '{ print $1, $2, $3, $4 }'"), before);
    static const char *const verbs[] = {"lvs.observe", "lvs.drain", "lvs.enable"};
    for (size_t i = 0; i < 3; i++) {
        auto_call struct call c;
        RUN(&c, verbs[i], {"hosts", "[\"" DIRECTOR "\"]"}, {"service", "[\"fwm:1\"]"},
            {"command", "[\"ipvsadm\"]"}, {"idle", "count"}, {"drain_timeout", "60s"},
            {"server", "10.77.0.11"});
        assert_ok(&c);
        if (i == 1)
            assert_says(sh_there("ipvsadm -S -n"),
                        "-a -f 1 -r 10.77.0.11:0 -i -w 0 --tun-type gue --tun-port 6080");
    }
    assert_string_equal(
        sh_there("ipvsadm -S -n; ipvsadm -L -n --thresholds | awk '{ print $1, $2, $3, $4 }'"), before);
}

static void connections_are_waited_for(void **state)
{
    NEEDS_DIRECTOR;
    fresh("-s rr", "-g -w 1");
    int fd = client();
    must_do("observe");
    must_do("drain");
    assert_int_equal(left("sessions"), 1);
    assert_false(is_ready("wait_idle"));
    close(fd);
    rig_until(is_ready("wait_idle"));
    must_do("enable");
}

/* A client that persistence binds comes to a real server with weight 0 as well. */
static void templates_are_waited_for(void **state)
{
    auto_call struct call refused = {0};
    NEEDS_DIRECTOR;
    fresh("-s rr -p 300", "-g -w 1");
    verb(&refused, "observe", ONE);
    assert_int_equal(refused.r->outcome, OUT_FAILED);
    assert_says(refused.r->err.text, "binds clients for 300 s (persistent)");
    fresh("-s rr -p 30", "-g -w 1");
    close(client());
    must_do("observe");
    must_do("drain");
    rig_until(left("sessions") == 0);
    assert_int_equal(left("templates"), 1);
    assert_false(is_ready("wait_idle"));
    int bound = client(); /* it is let in */
    assert_int_equal(left("sessions"), 1);
    close(bound);
    sh_there("echo 1 >/proc/sys/net/ipv4/vs/expire_quiescent_template");
    rig_until(is_ready("wait_idle"));
    must_do("enable");
    sh_there("echo 0 >/proc/sys/net/ipv4/vs/expire_quiescent_template");
}

static void who_may_not_is_told_before(void **state)
{
    auto_call struct call may = {0}, none = {0};
    NEEDS_DIRECTOR;
    fresh("-s rr", "-g -w 1");
    RUN(&may, "lvs.survey", {"hosts", "[\"" DIRECTOR "\"]"}, {"service", "[\"" SERVICE "\"]"},
        {"command", "[\"setpriv\",\"--reuid=65534\",\"--clear-groups\",\"ipvsadm\"]"});
    assert_int_equal(may.r->outcome, OUT_FAILED);
    assert_says(may.r->err.text, "Permission denied (you must be root)");
    RUN(&none, "lvs.survey", {"hosts", "[\"" DIRECTOR "\"]"}, {"service", "[\"10.9.9.9:80\"]"},
        {"command", "[\"ipvsadm\"]"});
    assert_int_equal(none.r->outcome, OUT_FAILED);
    assert_says(none.r->err.text, "has no virtual service \"10.9.9.9:80\" (it has " SERVICE ")");
}

/* ---- keepalived -------------------------------------------------------------------------------------------- */

static void keepalived(const char *more)
{
    FILE *f = fopen(rig_path("keepalived.conf"), "w");
    assert_non_null(f);
    fprintf(f,
            "global_defs { router_id a }\nvirtual_server " VIP
            " 8080 {\n delay_loop 1\n lb_algo rr\n lb_kind DR\n protocol TCP\n"
            " real_server 10.77.0.11 8080 { weight 3\n %s\n"
            "  TCP_CHECK { connect_timeout 1\n connect_port 8080\n retry 0 } }\n}\n",
            more);
    fclose(f);
    rig_forget();
    sh_there(
        "[ -e /run/k.pid ] && kill $(cat /run/k.pid); while [ -e /run/k.pid ]; do sleep 0.1; done; ipvsadm -C; "
        "keepalived -C -f %s -p /run/k.pid -c /run/kc.pid",
        rig_path("keepalived.conf"));
    rig_until(strstr(sh_there("ipvsadm -L -n"), ONE "              Route   3 "));
}

static bool lost(void)
{
    auto_call struct call c;
    verb(&c, "guard", ONE);
    assert_ok(&c);
    return c.r->lost;
}

/* Its check of a node that is stopped takes it out of the table, and puts it back with its weight when it passes: out, and then a
 * drain that was lost. */
static void keepalived_is_noticed(const char *more, const char *while_down)
{
    keepalived(more);
    must_do("observe");
    must_do("drain");
    assert_true(is_ready("guard"));
    shutdown(at.listener, SHUT_RDWR); /* the application stops */
    rig_until(strstr(sh_there("ipvsadm -L -n; echo end"), while_down));
    assert_true(is_ready("guard"));
    assert_int_equal(left("sessions"), 0);
    assert_true(is_ready("wait_idle"));
    assert_int_equal(listen(at.listener, 128), 0);
    rig_until(lost());
    must_do("drain");
    assert_true(is_ready("guard"));
    must_do("enable");
    assert_true(is_ready("wait_up"));
    assert_says(sh_there("ipvsadm -L -n"), ONE "              Route   3 ");
}

static void keepalived_takes_it_out_and_in(void **state)
{
    NEEDS_DIRECTOR;
    keepalived_is_noticed("", SERVICE " rr\nend");
    /* While it is out, it cannot be given back, and that is nobody's refusal. */
    must_do("drain");
    shutdown(at.listener, SHUT_RDWR);
    rig_until(strstr(sh_there("ipvsadm -L -n; echo end"), SERVICE " rr\nend"));
    auto_call struct call enable = {0};
    verb(&enable, "enable", ONE);
    assert_int_equal(enable.r->outcome, OUT_UNKNOWN);
    assert_says(enable.r->err.text, "is not listed at the moment");
    assert_int_equal(listen(at.listener, 128), 0);
    rig_until(is_ready("enabled"));
}

static void keepalived_inhibits(void **state)
{
    NEEDS_DIRECTOR;
    keepalived_is_noticed("inhibit_on_failure", ONE "              Route   0 ");
    sh_there("kill $(cat /run/k.pid); while [ -e /run/k.pid ]; do sleep 0.1; done");
}

/* ---- the stand-in ------------------------------------------------------------------------------------------ */

static void the_stand_in_answers_as_the_real_one(void **state)
{
    static const char *const commands[] = {
        "-C",
        "-A -t " SERVICE " -s rr",
        "-A -t " SERVICE " -s rr",
        "-A -u 10.77.0.100:53 -s wlc -o",
        "-A -f 1 -s wlc -p 60 -M 255.255.255.0",
        "-A -f 2 -6 -s wlc",
        "-A -t [2001:db8::1]:80 -s wrr -p 300",
        "-a -t " SERVICE " -r 10.77.0.13:80 -m -w 3 -x 900 -y 800",
        "-a -t " SERVICE " -r 10.77.0.12 -m",
        "-a -t " SERVICE " -r " ONE " -g -w 65535",
        "-a -t " SERVICE " -r 10.77.0.9:81 -i",
        "-a -t " SERVICE " -r " ONE " -g",
        "-a -t [2001:db8::1]:80 -r [2001:db8::11]:8080 -m -w 7",
        "-a -f 1 -r 10.77.0.11 -g -w 2",
        "-a -u 10.77.0.100:53 -r 10.77.0.11:53 -m",
        "-a -t 10.9.9.9:80 -r 10.77.0.11:80",
        "-L -n",
        "-L -n --persistent-conn",
        "-L -n --thresholds",
        "-S -n",
        "-e -t " SERVICE " -r " ONE " -w 0",
        "-e -t " SERVICE " -r 10.77.0.13:80 -w 5",
        "-e -t " SERVICE " -r 192.0.2.1:9 -w 0",
        "-e -t 10.9.9.9:80 -r 192.0.2.1:9 -w 0",
        "-e -f 1 -r 192.0.2.1:9 -w 0",
        "-e -f 2 -6 -r [100::1]:9 -w 0",
        "-e -t [2001:db8::1]:80 -r [100::1]:9 -w 0",
        "-d -t " SERVICE " -r 10.77.0.12:8080",
        "-d -t " SERVICE " -r 10.77.0.12:8080",
        "-D -f 2 -6",
        "-D -f 2 -6",
        "-L -n --persistent-conn",
        "-L -n --thresholds",
        "-S -n",
        "-L -n -c",
    };
    char real[8192];
    NEEDS_DIRECTOR;
    sh_here("mkdir %s/stand-in", rig_dir);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(real, sizeof real, "%s", sh_there("ipvsadm %s; echo \"status $?\"", commands[i]));
        const char *ours =
            sh_here("IPVS_DIR=%s/stand-in " SOURCE_DIR "/tests/lib/ipvsadm.py %s 2>&1; echo \"status $?\"",
                    rig_dir, commands[i]);
        if (strcmp(real, ours) != 0)
            fail_msg("ipvsadm %s: the real one says\n%sthe stand-in\n%s", commands[i], real, ours);
    }
}

/* Its line of a connection, but for how long that lives. */
static void the_stand_in_lists_connections_as_the_real_one(void **state)
{
    char real[8192], source[40] = "", *line;
    NEEDS_DIRECTOR;
    fresh("-s rr", "-g -w 1");
    int fd = client();
    snprintf(real, sizeof real, "%s",
             sh_there("ipvsadm -L -n -c | sed 's/ [0-9][0-9]:[0-9][0-9] / 14:59 /'"));
    assert_non_null(line = strstr(real, "ESTABLISHED"));
    assert_int_equal(sscanf(line, "ESTABLISHED %39s", source), 1);
    close(fd);
    rig_write(rig_path("stand-in/connections"), "TCP ESTABLISHED %s " SERVICE " " ONE "\n", source);
    assert_string_equal(sh_here("IPVS_DIR=%s/stand-in " SOURCE_DIR "/tests/lib/ipvsadm.py -L -n -c", rig_dir),
                        real);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stand_in_answers_as_the_real_one),
        cmocka_unit_test(the_stand_in_lists_connections_as_the_real_one),
        cmocka_unit_test(nothing_but_the_weight_is_changed),
        cmocka_unit_test(connections_are_waited_for),
        cmocka_unit_test(templates_are_waited_for),
        cmocka_unit_test(who_may_not_is_told_before),
        cmocka_unit_test(keepalived_takes_it_out_and_in),
        cmocka_unit_test(keepalived_inhibits),
    };
    if (getenv("CASE"))
        cmocka_set_test_filter(getenv("CASE"));
    return cmocka_run_group_tests(tests, begin, end);
}
