/* SPDX-License-Identifier: MIT */
/* One login of the ssh program that stays: a private ControlMaster, whose clients never connect by
 * themselves.
 *
 * A node's master and the one of a jump host (hop.c) are the same, but for the way there. What ssh has to say
 * goes to a file of its own (-E), and what the client that reaches through a jump host has to say to another.
 */
#include "drivers/transport/ssh/master.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "drivers/op/process.h"

/* Times that a dropped connection is tried again: 100 ms, 200 ms ... */
#define DROPS_MAX 6
#define WORDS_MAX 48

struct ssh_words {
    struct arena *arena;
    const char *words[WORDS_MAX];
    size_t n;
};

static void add(struct ssh_words *w, const char *word)
{
    must(w->n + 1 < WORDS_MAX);
    w->words[w->n++] = word;
}

static void add_option(struct ssh_words *w, const char *name, const char *value)
{
    add(w, "-o");
    add(w, arena_printf(w->arena, "%s=%s", name, value));
}

/* A file where ssh expects a list of them. */
static const char *quoted_file(struct arena *arena, const char *path)
{
    return strchr(path, ' ') ? arena_printf(arena, "\"%s\"", path) : path;
}

/* Through the login that is there: a client of the jump host's master. Our own paths need no quotes. */
static void add_via(struct ssh_words *w, const struct master_login *l)
{
    add_option(w, "ProxyCommand",
               arena_printf(w->arena,
                            "ssh -F none -S %s -E %s.way -o ControlMaster=no -o ProxyCommand=false "
                            "-o BatchMode=yes -o LogLevel=ERROR -W '[%%h]:%%p' -- x",
                            l->via, l->path));
}

static void add_target(struct ssh_words *w, const struct target *t, const struct master_login *l)
{
    if (t->ssh.config) {
        add(w, "-F");
        add(w, ssh_tilde(w->arena, t->ssh.config));
    }
    if (t->ssh.user) {
        add(w, "-l");
        add(w, t->ssh.user);
    }
    if (t->ssh.port) {
        add(w, "-p");
        add(w, arena_printf(w->arena, "%d", t->ssh.port));
    }
    if (t->ssh.key) {
        add(w, "-i");
        add(w, t->ssh.key);
        add_option(w, "IdentitiesOnly", "yes");
    }
    if (t->ssh.known_hosts)
        add_option(w, "UserKnownHostsFile", quoted_file(w->arena, t->ssh.known_hosts));
    if (l->via)
        add_via(w, l);
    else if (t->ssh.proxy_jump && jump_none(t->ssh.proxy_jump))
        add_option(w, "ProxyJump", "none");
}

static void add_master(struct ssh_words *w, const struct op *op, const struct target *t,
                       const struct master_login *l)
{
    /* No question is ever asked, no unknown host believed, nothing forwarded, and a master whose engine was
     * killed goes away by itself. */
    static const char *const options[][2] = {
        {"BatchMode", "yes"},
        {"StrictHostKeyChecking", "yes"},
        {"UpdateHostKeys", "no"},
        {"ForwardAgent", "no"},
        {"ForwardX11", "no"},
        {"ClearAllForwardings", "yes"},
        {"PermitLocalCommand", "no"},
        {"ServerAliveInterval", "15"},
        {"ServerAliveCountMax", "3"},
        {"ControlPersist", "300"},
        {"PreferredAuthentications", "publickey"},
    };
    int left = op_left_ms(op);
    int seconds = (left < CONNECT_MS ? left : CONNECT_MS) / 1000;
    add(w, "ssh");
    add(w, "-fNTM");
    add(w, "-S");
    add(w, l->path);
    add(w, "-E");
    add(w, arena_printf(w->arena, "%s.log", l->path));
    add_option(w, "LogLevel", l->log_level);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        add_option(w, options[i][0], options[i][1]);
    add_option(w, "ConnectTimeout", arena_printf(w->arena, "%d", seconds > 0 ? seconds : 1));
    add_target(w, t, l);
    add(w, "--");
    add(w, t->host);
}

/* What ssh's children said, above all the ssh of a jump host. */
static void take_words(void *ctx, int stream, const char *data, size_t n)
{
    if (stream == 2)
        buf_add(ctx, data, n);
}

static char *one_line(char *text, size_t n)
{
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    text[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\n' || text[i] == '\r' || text[i] == '\0')
            text[i] = ' ';
    return text;
}

char *log_read(const char *path, struct arena *arena)
{
    auto_close_file FILE *f = fopen(path, "re");
    char text[800];
    return arena_strdup(arena, one_line(text, f ? fread(text, 1, sizeof(text) - 1, f) : 0));
}

/* sshd drops connections at random while more than MaxStartups are logging in: that is not an answer. */
static bool dropped(const char *said)
{
    return strstr(said, "kex_exchange_identification") || strstr(said, "banner exchange") ||
           strstr(said, "Connection reset by");
}

static enum link_end judge(const struct target *t, const char *said, struct err *err)
{
    bool key =
        strstr(said, "Host key verification failed") || strstr(said, "host key") || strstr(said, "REVOKED");
    bool login = strstr(said, "Permission denied") || strstr(said, "Too many authentication failures");
    if (key)
        err_set(err, E_HOSTKEY,
                "%s: ssh does not accept the host key of %s: %s. Compare it on the host itself, then "
                "correct known_hosts",
                t->id, t->host, said);
    else if (login)
        err_set(err, E_AUTH,
                "%s: %s refused the login: %s. Put the public key into that user's authorized_keys", t->id,
                t->host, said);
    else
        err_set(err, E_NET, "%s: ssh cannot connect to %s: %s", t->id, t->host,
                *said ? said : "no reason given");
    return key || login ? LINK_REFUSED : LINK_LOST;
}

static enum link_end login_once(struct op *op, const struct target *t, const struct master_login *l,
                                const char **ret_said, struct err *err)
{
    struct ssh_words w = {.arena = op_arena(op)};
    auto_buf struct buf words = BUF_INIT(600);
    struct call_req req = {.output = take_words, .ctx = &words};
    struct call_end end = {0};
    add_master(&w, op, t, l);
    struct process *call = process_start(w.words, &req, err);
    if (!call) {
        err_wrap(err, "%s: the openssh transport needs the ssh program", t->id);
        return LINK_REFUSED;
    }
    enum link_end done = process_pump(op, call, clock_mono_ms() + 2 * CONNECT_MS, &end, err);
    process_free(call);
    const char *log = arena_printf(w.arena, "%s.log", l->path);
    const char *said = *ret_said = log_read(log, w.arena);
    if (done == LINK_OK && end.status == 0)
        return LINK_OK;
    unlink(log);
    if (!*said && words.len)
        said = *ret_said = one_line(arena_strndup(w.arena, words.data, words.len), words.len);
    if (done == LINK_BOUND) {
        err_set(err, E_NET, "%s: ssh did not log in to %s within %d s", t->id, t->host,
                2 * CONNECT_MS / 1000);
        return LINK_LOST;
    }
    return done != LINK_OK ? done : judge(t, said, err);
}

/* What the client said that goes through the jump host. "" = nothing: then it got there. */
static const char *way_said(struct op *op, const struct master_login *l)
{
    const char *path = arena_printf(op_arena(op), "%s.way", l->path);
    const char *said = l->via ? log_read(path, op_arena(op)) : "";
    unlink(path);
    return said;
}

enum link_end master_login(struct op *op, const struct target *t, const struct master_login *l,
                           const char **ret_way, struct err *err)
{
    for (int attempt = 0;; attempt++) {
        const char *said = "";
        enum link_end end = login_once(op, t, l, &said, err);
        *ret_way = way_said(op, l);
        if (end != LINK_LOST || attempt == DROPS_MAX || **ret_way || !dropped(said))
            return end;
        int64_t pause = (100 << attempt) + clock_mono_ms() % 100; /* not all of them at once */
        enum wait w = op_poll(op, &(struct pollfd){.fd = -1}, 1, clock_mono_ms() + pause);
        if (w != WAIT_BOUND)
            return w == WAIT_LATE ? LINK_LATE : LINK_CANCELED;
    }
}

const char *master_path(struct op *op, struct conns *conns, struct err *err)
{
    static atomic_uint number;
    const char *dir = ssh_kept_dir(conns, err);
    return dir ? arena_printf(op_arena(op), "%s/%u", dir, atomic_fetch_add(&number, 1)) : NULL;
}

bool master_alive(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        return false;
    memcpy(addr.sun_path, path, strlen(path) + 1);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0;
}

static void nothing(void *ctx, int stream, const char *data, size_t n)
{
    (void)ctx, (void)stream, (void)data, (void)n;
}

/* There is no op any more: a bound of its own, and the master's own ControlPersist behind it. */
void master_quit(const char *path)
{
    const char *argv[] = {"ssh",  "-F", "none",           "-S", path, "-O",
                          "exit", "-o", "LogLevel=QUIET", "--", "x",  NULL};
    struct call_req req = {.output = nothing};
    struct op_spec spec = {.cancel_fd = -1, .deadline_mono_ms = clock_mono_ms() + 2000};
    struct call_end end;
    struct err err;
    struct op *op = op_new(&spec);
    struct process *call = process_start(argv, &req, &err);
    if (call)
        process_pump(op, call, CLOCK_NEVER, &end, &err);
    process_free(call);
    op_free(op);
    unlink(path);
}
