/* Transport `openssh`: the same calls through the system's ssh program, for what libssh2 cannot do (RSA and
 * FIDO keys, certificates, @cert-authority, other ciphers).
 *
 * One private master per target does the login; every call is a client of it that never connects by itself.
 * What ssh has to say goes to a file of its own (-E), so that a command's output is never mixed with it, and
 * 255 with an empty file is the command's. */
#include "drivers/process.h"
#include "drivers/ssh/ssh_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"

#define WORDS_MAX 48

struct master {
    struct link link;
    char *name, *socket;
    atomic_int n_calls;
};

struct words {
    struct arena *arena;
    const char *words[WORDS_MAX];
    size_t n;
};

static void add(struct words *w, const char *word)
{
    must(w->n + 1 < WORDS_MAX);
    w->words[w->n++] = word;
}

static void add_option(struct words *w, const char *name, const char *value)
{
    add(w, "-o");
    add(w, arena_printf(w->arena, "%s=%s", name, value));
}

/* A file where ssh expects a list of them. */
static const char *quoted_file(struct arena *arena, const char *path)
{
    return strchr(path, ' ') ? arena_printf(arena, "\"%s\"", path) : path;
}

/* One more word of a command that ssh gives to a shell; '%' is ssh's own sign there. */
static void jump_word(struct buf *command, const char *word)
{
    auto_buf struct buf plain = BUF_INIT(4096);
    for (const char *p = word; *p; p++)
        buf_puts(&plain, *p == '%' ? "%%" : (char[]){*p, '\0'});
    buf_puts(command, command->len ? " " : "");
    quote_sh(command, buf_str(&plain));
}

/* ssh's own ProxyJump logs in to the jump host with nothing of what the pillar says: key and known_hosts must
 * be given to that login too, and with the same strictness. A chain of several hosts is left to ssh and its
 * configuration. */
static void add_jump(struct words *w, const struct target *t)
{
    static const char *const strict[] = {"BatchMode=yes", "StrictHostKeyChecking=yes", "ForwardAgent=no",
                                         "PreferredAuthentications=publickey", "LogLevel=ERROR"};
    const char *at = strchr(t->proxy_jump, '@'), *host = at ? at + 1 : t->proxy_jump,
               *port = strrchr(host, ':');
    if (strchr(t->proxy_jump, ',') || strchr(host, '[')) {
        add_option(w, "ProxyJump", t->proxy_jump);
        return;
    }
    auto_buf struct buf command = BUF_INIT(16384);
    jump_word(&command, "ssh");
    for (size_t i = 0; i < sizeof(strict) / sizeof(strict[0]); i++) {
        jump_word(&command, "-o");
        jump_word(&command, strict[i]);
    }
    if (t->known_hosts) {
        jump_word(&command, "-o");
        jump_word(&command,
                  arena_printf(w->arena, "UserKnownHostsFile=%s", quoted_file(w->arena, t->known_hosts)));
    }
    if (t->ssh_config) {
        jump_word(&command, "-F");
        jump_word(&command, t->ssh_config);
    }
    if (t->key) {
        jump_word(&command, "-i");
        jump_word(&command, t->key);
    }
    if (at) {
        jump_word(&command, "-l");
        jump_word(&command, arena_strndup(w->arena, t->proxy_jump, (size_t)(at - t->proxy_jump)));
    }
    if (port) {
        jump_word(&command, "-p");
        jump_word(&command, port + 1);
    }
    buf_puts(&command, " -W '[%h]:%p' -- ");
    quote_sh(&command, port ? arena_strndup(w->arena, host, (size_t)(port - host)) : host);
    add_option(w, "ProxyCommand", arena_strdup(w->arena, buf_str(&command)));
}

static void add_target(struct words *w, const struct target *t)
{
    if (t->ssh_config) {
        add(w, "-F");
        add(w, t->ssh_config);
    }
    if (t->user) {
        add(w, "-l");
        add(w, t->user);
    }
    if (t->port) {
        add(w, "-p");
        add(w, arena_printf(w->arena, "%d", t->port));
    }
    if (t->key) {
        add(w, "-i");
        add(w, t->key);
        add_option(w, "IdentitiesOnly", "yes");
    }
    if (t->known_hosts)
        add_option(w, "UserKnownHostsFile", quoted_file(w->arena, t->known_hosts));
    if (t->proxy_jump && jump_none(t->proxy_jump))
        add_option(w, "ProxyJump", "none");
    else if (t->proxy_jump)
        add_jump(w, t);
}

static void add_master(struct words *w, const struct op *op, const struct target *t, const char *path,
                       const char *log)
{
    /* No question is ever asked, no unknown host believed, nothing forwarded, and a master whose engine was
     * killed goes away by itself. */
    static const char *const options[][2] = {
        {"BatchMode", "yes"},         {"StrictHostKeyChecking", "yes"},
        {"UpdateHostKeys", "no"},     {"ForwardAgent", "no"},
        {"ForwardX11", "no"},         {"ClearAllForwardings", "yes"},
        {"PermitLocalCommand", "no"}, {"ServerAliveInterval", "15"},
        {"ServerAliveCountMax", "3"}, {"ControlPersist", "300"},
        {"LogLevel", "ERROR"},        {"PreferredAuthentications", "publickey"},
    };
    int left = op_left_ms(op);
    int seconds = (left < CONNECT_MS ? left : CONNECT_MS) / 1000;
    add(w, "ssh");
    add(w, "-fNTM");
    add(w, "-S");
    add(w, path);
    add(w, "-E");
    add(w, log);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        add_option(w, options[i][0], options[i][1]);
    add_option(w, "ConnectTimeout", arena_printf(w->arena, "%d", seconds > 0 ? seconds : 1));
    add_target(w, t);
    add(w, "--");
    add(w, t->host);
}

static void nothing(void *ctx, int stream, const char *data, size_t n)
{
    (void)ctx, (void)stream, (void)data, (void)n;
}

/* What ssh said, in one line, and away with the file. "" = nothing. */
static char *log_take(const char *path, struct arena *arena)
{
    auto_close_file FILE *f = fopen(path, "re");
    char text[800];
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    unlink(path);
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    text[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\n' || text[i] == '\r')
            text[i] = ' ';
    return arena_strndup(arena, text, n);
}

static enum link_end master_judge(const struct target *t, const char *said, struct err *err)
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

static enum link_end master_start(struct op *op, const struct target *t, const char *path, struct err *err)
{
    struct words w = {.arena = op_arena(op)};
    const char *log = arena_printf(w.arena, "%s.log", path);
    add_master(&w, op, t, path, log);
    struct call_req req = {.output = nothing};
    struct call_end end = {0};
    struct process *call = process_start(w.words, &req, err);
    if (!call) {
        err_wrap(err, "%s: the openssh transport needs the ssh program", t->id);
        return LINK_REFUSED;
    }
    enum link_end done = process_pump(op, call, clock_mono_ms() + 2 * CONNECT_MS, &end, err);
    process_free(call);
    const char *said = log_take(log, w.arena);
    if (done == LINK_BOUND) {
        err_set(err, E_NET, "%s: ssh did not log in to %s within %d s", t->id, t->host,
                2 * CONNECT_MS / 1000);
        return LINK_LOST;
    }
    return done != LINK_OK ? done : end.status == 0 ? LINK_OK : master_judge(t, said, err);
}

static enum link_end openssh_open(struct op *op, struct conns *conns, const struct target *t,
                                  struct link **ret, struct err *err)
{
    static atomic_uint number;
    if (t->host[0] == '-' || t->host[0] == '\0') {
        err_set(err, E_CONFIG, "%s: '%s' is not a host name", t->id, t->host);
        return LINK_REFUSED;
    }
    const char *dir = conns_dir(conns, err);
    if (!dir)
        return LINK_REFUSED;
    const char *path = arena_printf(op_arena(op), "%s/%u", dir, atomic_fetch_add(&number, 1));
    enum link_end end = master_start(op, t, path, err);
    if (end != LINK_OK)
        return end;
    struct master *m = xcalloc(1, sizeof(*m));
    m->link.transport = &transport_openssh;
    m->name = xstrdup(t->id);
    m->socket = xstrdup(path);
    *ret = &m->link;
    return LINK_OK;
}

static bool openssh_alive(struct link *link)
{
    struct master *m = (struct master *)link;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(m->socket) >= sizeof(addr.sun_path))
        return false;
    memcpy(addr.sun_path, m->socket, strlen(m->socket) + 1);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0;
}

/* Tells the master to go. There is no op any more: a bound of its own, and the master's own ControlPersist
 * behind it. */
static void openssh_close(struct link *link)
{
    struct master *m = (struct master *)link;
    const char *argv[] = {"ssh",  "-F", "none",           "-S", m->socket, "-O",
                          "exit", "-o", "LogLevel=QUIET", "--", "x",       NULL};
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
    unlink(m->socket);
    free(m->name);
    free(m->socket);
    free(m);
}

/* ---- calls
 * -------------------------------------------------------------------------------------------------------- */

struct call {
    struct master *master;
    struct process *process;
    char *log;
    struct call_req whole; /* with the command before the input */
    struct buf input;
};

static enum link_end openssh_call(struct op *op, struct link *link, const struct call_req *req,
                                  struct call **ret, struct err *err)
{
    struct master *m = (struct master *)link;
    struct arena *arena = op_arena(op);
    const char *log = arena_printf(arena, "%s-%d.log", m->socket, atomic_fetch_add(&m->n_calls, 1));
    struct call *c = xcalloc(1, sizeof(*c));
    *c = (struct call){.master = m, .log = xstrdup(log), .input = BUF_INIT(SIZE_MAX)};
    auto_buf struct buf command = BUF_INIT(256);
    call_text_wrap(req, &command, &c->input);
    c->whole = *req;
    c->whole.input = c->input.data;
    c->whole.input_len = c->input.len;
    /* ProxyCommand=false: when the master is gone this must fail, not connect anew by other rules. */
    const char *argv[] = {"ssh",
                          "-F",
                          "none",
                          "-T",
                          "-S",
                          m->socket,
                          "-E",
                          log,
                          "-o",
                          "ControlMaster=no",
                          "-o",
                          "ProxyCommand=false",
                          "-o",
                          "BatchMode=yes",
                          "-o",
                          "LogLevel=ERROR",
                          "--",
                          "x",
                          buf_str(&command),
                          NULL};
    c->process = process_start(argv, &c->whole, err);
    *ret = c;
    return c->process ? LINK_OK : LINK_REFUSED;
}

static enum link_end openssh_pump(struct op *op, struct call *c, int64_t bound_ms, struct call_end *ret,
                                  struct err *err)
{
    enum link_end end = process_pump(op, c->process, bound_ms, ret, err);
    if (end != LINK_OK || ret->status != 255)
        return end;
    const char *said = log_take(c->log, op_arena(op));
    if (strstr(said, "ession open refused by peer")) {
        err_set(err, E_NET, "%s: the server opens no further channel (MaxSessions?): %s", c->master->name,
                said);
        return LINK_REFUSED;
    }
    if (*said || !openssh_alive(&c->master->link)) {
        err_set(err, E_NET, "%s: connection lost: %s", c->master->name,
                *said ? said : "the ssh master ended");
        return LINK_LOST;
    }
    /* ssh gives 255 for a command that a signal ended, and for one that said 255 itself; the script's own
     * last word comes first where there is one (node.c). */
    *ret = (struct call_end){.status = -1, .signal = 255};
    return LINK_OK;
}

static void openssh_call_free(struct call *c)
{
    if (!c)
        return;
    process_free(c->process);
    unlink(c->log);
    free(c->log);
    buf_fini(&c->input);
    free(c);
}

const struct transport transport_openssh = {
    .name = "openssh",
    .open = openssh_open,
    .alive = openssh_alive,
    .close = openssh_close,
    .call = openssh_call,
    .pump = openssh_pump,
    .call_free = openssh_call_free,
};
