/* SPDX-License-Identifier: MIT */
/* LVS, for kinds.h: two directors, this machine and a second host through a real sshd, each with a stand-in for ipvsadm
 * (tests/lib/ipvsadm.py), since this kernel may have no ip_vs. What the stand-in says is held to a real kernel by test_lvs.c. */
#include "unit/kinds.h"
#include "unit/second_host.h"

#define LVS_SERVICE "10.77.0.100:8080"
#define LVS_WEIGHT  4

static struct lvs_world {
    struct second_host second;
    char command[200];
} lvs;

static const char *lvs_dir(size_t peer)
{
    static char dirs[2][100];
    snprintf(dirs[peer], sizeof dirs[peer], "%s/lvs%zu", rig_dir, peer);
    return dirs[peer];
}

static const char *lvs_sh(size_t peer, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static const char *lvs_sh(size_t peer, const char *fmt, ...)
{
    char words[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    return rig_says("IPVS_DIR=%s " SOURCE_DIR "/tests/lib/ipvsadm.py %s 2>&1", lvs_dir(peer), words);
}

/* -1: not listed. */
static int lvs_weight(size_t peer, const char *server)
{
    char key[80], method[20];
    int weight = -1;
    snprintf(key, sizeof key, "-> %s ", server);
    const char *row = strstr(lvs_sh(peer, "-L -n"), key);
    return row && sscanf(row + strlen(key), "%19s %d", method, &weight) == 2 ? weight : -1;
}

static enum seen lvs_shows(size_t peer, const char *server)
{
    int weight = lvs_weight(peer, server);
    return weight < 0 ? SEEN_NONE : weight > 0 ? SEEN_IN : SEEN_OUT;
}

static void lvs_hand(size_t peer, const char *server, enum seen want)
{
    assert_string_equal(
        lvs_sh(peer, "-e -t " LVS_SERVICE " -r %s -m -w %d", server, want == SEEN_IN ? LVS_WEIGHT : 0), "");
}

/* As keepalived does it when it is started anew. */
static void lvs_forget(size_t peer)
{
    rig_says("cp %s/fresh %s/table", lvs_dir(peer), lvs_dir(peer));
}

static void lvs_touch(size_t peer, const char *name, bool there)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", lvs_dir(peer), name);
    if (there)
        rig_write(path, "x");
    else
        unlink(path);
}

static void lvs_fault(size_t peer, enum fault f)
{
    lvs_touch(peer, "refuse", f == FAULT_REFUSES);
    lvs_touch(peer, "lose", f == FAULT_LOSES);
    if (peer == 0)
        return;
    second_host_fault(&lvs.second, f);
    rig_write(rig_path("second.pid"), "%d\n", (int)lvs.second.sshd);
}

static void lvs_fresh(void)
{
    for (size_t i = 0; i < 2; i++) {
        lvs_fault(i, FAULT_NONE);
        lvs_touch(i, "connections", false);
        lvs_forget(i);
    }
}

/* Which director's it is says the environment of its sshd. It can refuse, and lose its caller's connection after a change. */
static void lvs_write_program(void)
{
    const char *path = rig_path("ipvsadm");
    rig_write(
        path,
        "#!/bin/sh\nexport IPVS_DIR=%s/lvs${DIRECTOR:-0}\ncd $IPVS_DIR || exit\n"
        "[ -e refuse ] && case $* in '-e '*' -w 0'*) echo 'Memory allocation problem' >&2; exit 255 ;; esac\n" SOURCE_DIR
        "/tests/lib/ipvsadm.py \"$@\" || exit\n"
        "[ -e lose ] && case $* in '-e '*) rm lose; ps -o pid= --ppid \"$(cat ../second.pid)\" | xargs -r kill -9 ;; esac\n"
        "exit 0\n",
        rig_dir);
    chmod(path, 0755);
    snprintf(lvs.command, sizeof lvs.command, "[\"%s\"]", path);
}

static bool lvs_start(const char **ret_why)
{
    if (getuid() != 0) {
        *ret_why = "its second host is entered by nsenter, which only root may do here";
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(mkdir(lvs_dir(i), 0755), 0);
        lvs_sh(i, "-A -t " LVS_SERVICE " -s rr");
        for (int k = 1; k <= 3; k++)
            lvs_sh(i, "-a -t " LVS_SERVICE " -r 10.77.0.1%d:8080 -m -w %d", k, LVS_WEIGHT);
        rig_says("cp %s/table %s/fresh", lvs_dir(i), lvs_dir(i));
    }
    lvs_write_program();
    second_host_start(&lvs.second, 0, "DIRECTOR=1");
    return true;
}

static void lvs_stop(void)
{
    second_host_stop(&lvs.second);
}

static size_t lvs_args(struct op_pair *ret)
{
    size_t n = args_add(ret, 0, "hosts", "[\"localhost\",\"" SECOND_HOST "\"]");
    n = args_add(ret, args_add(ret, n, "service", "[\"" LVS_SERVICE "\"]"), "command", lvs.command);
    return args_add(ret, args_add(ret, n, "idle", "count"), "drain_timeout", "60s");
}

/* What the kernel would list: one connection, and one that its client has half closed. */
static int lvs_busy(void)
{
    char path[160];
    snprintf(path, sizeof path, "%s/connections", lvs_dir(1));
    rig_write(path, "TCP ESTABLISHED 10.77.0.9:41000 " LVS_SERVICE " 10.77.0.11:8080\n"
                    "TCP CLOSE_WAIT 10.77.0.9:41001 " LVS_SERVICE " 10.77.0.11:8080\n"
                    "TCP TIME_WAIT 10.77.0.9:41002 " LVS_SERVICE " 10.77.0.11:8080\n");
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void lvs_clear(void)
{
    lvs_touch(1, "connections", false);
}

static struct kind lvs_kind = {
    .name = "lvs",
    .server_param = "server",
    .servers = {"10.77.0.11:8080", "10.77.0.12:8080", "10.77.0.13:8080"},
    .can = LB_CAN_WEIGHT | LB_CAN_COUNTS | LB_CAN_FORGET | LB_CAN_MEMBERSHIP,
    .peers = 2,
    .no_loss = true,
    .start = lvs_start,
    .stop = lvs_stop,
    .fresh = lvs_fresh,
    .args = lvs_args,
    .shows = lvs_shows,
    .hand = lvs_hand,
    .forget = lvs_forget,
    .fault = lvs_fault,
    .busy = lvs_busy,
    .clear = lvs_clear,
    .weight = lvs_weight,
};
