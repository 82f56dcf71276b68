/* SPDX-License-Identifier: MIT */
/* Transport `ssh`: commands over one libssh2 session per target.
 *
 * A channel costs two round trips, a login shell and whatever its rc files do. So commands are fed as text to
 * a `sh` that stays: one round trip each. It says where each begins and ends by lines with a nonce, on both
 * streams. While one is busy (a long step) the next call opens another. A little input that is text goes
 * along as a here-document; more of it, or bytes that a shell could not carry, needs a channel of its own. */
#include "drivers/op/scan.h"
#include "drivers/transport/ssh/ssh_priv.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/clock.h"

/* Shells kept per session; sshd allows 10 channels by default. */
#define SHELLS_MAX 3
/* Input that goes along in the shell's text: what every pipe holds, so that no shell forks to write it. */
#define SHELL_INPUT_MAX 4000
/* No status of libssh2's: the shell is gone, the connection is not. */
#define SHELL_ENDED (-1000)
/* How long a server may take to notice that a command has ended, and how often it is asked. */
#define ROOM_MS      2000
#define ROOM_LOOK_MS 20

struct ssh_link {
    struct link link;
    struct ssh_session *s;
    char *name;                          /* the target's id, for messages */
    LIBSSH2_CHANNEL *shells[SHELLS_MAX]; /* idle ones */
};

enum step { STEP_OPEN, STEP_MAKE_ROOM, STEP_EXEC, STEP_RUN, STEP_CLOSE, STEP_DONE };
struct call {
    struct ssh_link *l;
    const struct call_req *req;
    LIBSSH2_CHANNEL *channel, *closing;
    enum step step;
    const char *input; /* text, for the shell or the one command */
    size_t input_len, n_written;
    bool eof_sent;
    int64_t room_ms;   /* until then a refused channel is asked for again */
    bool shell, fresh; /* fresh: opened by this call */
    struct buf text, command;
    struct buf early; /* what a login shell said before the shell's first word */
    struct part {
        struct call *call;
        int stream;
        struct scan scan;
        bool begun, ended;
    } parts[2];
    int status;
};

static enum link_end ssh_open(struct op *op, struct conns *conns, const struct target *t, struct link **ret,
                              struct err *err)
{
    struct ssh_session *s = NULL;
    enum link_end end = session_open(op, conns, t, &s, err);
    if (end != LINK_OK)
        return end;
    struct ssh_link *l = xcalloc(1, sizeof(*l));
    *l = (struct ssh_link){.link = {.transport = &transport_ssh}, .s = s, .name = xstrdup(t->id)};
    *ret = &l->link;
    return LINK_OK;
}

/* An idle link that has something to say is asked what: a peer that closed is found here, not in the next
 * step. */
static bool ssh_alive(struct link *link)
{
    struct ssh_link *l = (struct ssh_link *)link;
    const struct ssh_session *root = l->s;
    while (root->outer)
        root = root->outer;
    char byte;
    ssize_t n = recv(root->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0)
        return false;
    l->s->heard_ms = clock_mono_ms();
    return true;
}

static void ssh_close(struct link *link)
{
    struct ssh_link *l = (struct ssh_link *)link;
    session_close(l->s);
    free(l->name);
    free(l);
}

/* What came before the first line is the login shell's own. */
static void part_plain(void *ctx, const char *data, size_t n)
{
    struct part *p = ctx;
    if (p->begun)
        p->call->req->output(p->call->req->ctx, p->stream, data, n);
    else
        buf_add(&p->call->early, data, n);
}

static void part_line(void *ctx, const char *data, size_t n)
{
    struct part *p = ctx;
    (void)n;
    if (strcmp(data, "begin\n") == 0) {
        p->begun = true;
        return;
    }
    p->ended = true;
    p->call->status = atoi(data);
}

/* A here-document ends in a newline and holds no NUL. */
static bool shell_fits(const char *input, size_t n)
{
    return n == 0 || (n <= SHELL_INPUT_MAX && input[n - 1] == '\n' && !memchr(input, '\0', n));
}

/* `release_input` tells the runner that its input is there as a whole: nothing can cut it any more. */
static void shell_text(struct call *c, const char *nonce)
{
    const struct call_req *req = c->req;
    buf_printf(&c->text, "printf '\\001%%s begin\\n' %s; printf '\\001%%s begin\\n' %s >&2\n%s\n", nonce,
               nonce, req->prelude ? req->prelude : ":");
    if (req->input_len > 0) {
        /* A shell takes the end of its own input for the end of a here-document; in braces, what was cut
         * there is a mistake of syntax, and nothing runs. */
        buf_printf(&c->text, "{ (release_input=whole\n%s\n) <<'%s'\n", req->command, nonce);
        buf_add(&c->text, req->input, req->input_len);
        buf_printf(&c->text, "%s\n}\n", nonce);
    } else {
        buf_printf(&c->text, "(%s\n) </dev/null\n", req->command);
    }
    buf_printf(&c->text, "s=$?; printf '\\001%%s %%s\\n' %s $s; printf '\\001%%s %%s\\n' %s $s >&2\n", nonce,
               nonce);
    c->input = c->text.data;
    c->input_len = c->text.len;
}

/* An idle shell of the link, or one to be opened. */
static void shell_take(struct call *c)
{
    char nonce[NONCE_LEN + 1];
    c->shell = true;
    nonce_make(nonce);
    shell_text(c, nonce);
    for (int i = 0; i < 2; i++) {
        c->parts[i] = (struct part){.call = c, .stream = i + 1};
        scan_init(&c->parts[i].scan, nonce, part_plain, part_line, &c->parts[i]);
    }
    for (int i = 0; i < SHELLS_MAX; i++)
        if (c->l->shells[i]) {
            c->channel = c->l->shells[i];
            c->l->shells[i] = NULL;
            c->step = STEP_RUN;
            return;
        }
}

/* False: there are enough. */
static bool shell_keep(struct call *c)
{
    for (int i = 0; i < SHELLS_MAX; i++)
        if (!c->l->shells[i]) {
            c->l->shells[i] = c->channel;
            return true;
        }
    return false;
}

static enum link_end ssh_call(struct op *op, struct link *link, const struct call_req *req, struct call **ret,
                              struct err *err)
{
    (void)op, (void)err;
    struct call *c = xcalloc(1, sizeof(*c));
    c->l = (struct ssh_link *)link;
    c->req = req;
    c->text = c->command = BUF_INIT(SIZE_MAX);
    c->early = BUF_INIT(300);
    if (shell_fits(req->input, req->input_len)) {
        shell_take(c);
    } else {
        call_text_wrap(req, &c->command, &c->text);
        c->input = c->text.data;
        c->input_len = c->text.len;
    }
    *ret = c;
    return LINK_OK;
}

/* LIBSSH2_ERROR_EAGAIN: wait and come again. 0: next step. Else the session is lost, or refuses. */
static int step_open(struct call *c)
{
    c->channel = safe_channel(c->l->s);
    if (!c->channel)
        return safe_errno(c->l->s);
    c->fresh = true;
    c->step = STEP_EXEC;
    return 0;
}

/* A server that opens no further channel may have room when an idle shell of ours goes (MaxSessions 1).
 * False: there is none. */
static bool shell_give_up(struct call *c)
{
    for (int i = 0; i < SHELLS_MAX; i++)
        if (c->l->shells[i]) {
            c->closing = c->l->shells[i];
            c->l->shells[i] = NULL;
            c->step = STEP_MAKE_ROOM;
            return true;
        }
    return false;
}

/* The server has room once the shell has ended, which it does at the end of its input; a channel that is just
 * closed may leave it running. */
static int step_make_room(struct call *c)
{
    struct ssh_session *s = c->l->s;
    char piece[256];
    int rc = c->eof_sent ? 0 : safe_eof_send(s, c->closing);
    if (rc != 0)
        return rc;
    c->eof_sent = true;
    while (!libssh2_channel_eof(c->closing)) {
        ssize_t out = safe_read(s, c->closing, 0, piece, sizeof(piece)),
                errs = safe_read(s, c->closing, 1, piece, sizeof(piece));
        if (out <= 0 && errs <= 0)
            return out < 0 ? (int)out : errs < 0 ? (int)errs : LIBSSH2_ERROR_EAGAIN;
    }
    rc = safe_channel_close(s, c->closing);
    if (rc == 0)
        rc = safe_channel_wait(s, c->closing);
    if (rc == 0)
        rc = safe_channel_free(s, c->closing);
    if (rc != 0)
        return rc;
    c->closing = NULL;
    c->eof_sent = false;
    c->step = STEP_OPEN;
    return 0;
}

static int step_exec(struct call *c)
{
    int rc = safe_exec(c->l->s, c->channel, c->shell ? "exec sh" : buf_str(&c->command));
    if (rc == 0)
        c->step = STEP_RUN;
    return rc;
}

/* Both streams, always: data that nobody takes closes the window for the other one, too. */
static int drain(struct call *c, int stream, char *piece, size_t size, bool *ret_any)
{
    ssize_t n = safe_read(c->l->s, c->channel, stream - 1, piece, size);
    if (n <= 0)
        return (int)n;
    *ret_any = true;
    if (c->shell)
        scan_add(&c->parts[stream - 1].scan, piece, (size_t)n);
    else
        c->req->output(c->req->ctx, stream, piece, (size_t)n);
    return 0;
}

static int input_write(struct call *c, bool *ret_any)
{
    if (c->n_written < c->input_len) {
        ssize_t n = safe_write(c->l->s, c->channel, c->input + c->n_written, c->input_len - c->n_written);
        if (n < 0)
            return (int)n;
        c->n_written += (size_t)n;
        *ret_any |= n > 0;
        return 0;
    }
    if (!c->eof_sent && !c->shell) {
        int rc = safe_eof_send(c->l->s, c->channel);
        if (rc == 0)
            c->eof_sent = true;
        return rc;
    }
    return 0;
}

static int step_run(struct call *c)
{
    char piece[32768];
    bool any = false;
    int out = drain(c, 1, piece, sizeof(piece), &any);
    int errs = drain(c, 2, piece, sizeof(piece), &any);
    if (out < 0 && out != LIBSSH2_ERROR_EAGAIN)
        return out;
    if (errs < 0 && errs != LIBSSH2_ERROR_EAGAIN)
        return errs;
    if (c->shell && c->parts[0].ended && c->parts[1].ended) {
        c->step = STEP_DONE;
        return 0;
    }
    if (libssh2_channel_eof(c->channel)) {
        if (c->shell)
            return SHELL_ENDED;
        c->step = STEP_CLOSE;
        return 0;
    }
    int in = input_write(c, &any);
    if (in < 0 && in != LIBSSH2_ERROR_EAGAIN && in != LIBSSH2_ERROR_CHANNEL_EOF_SENT &&
        in != LIBSSH2_ERROR_CHANNEL_CLOSED)
        return in;
    return any ? 0 : LIBSSH2_ERROR_EAGAIN;
}

static int step_close(struct call *c)
{
    int rc = safe_channel_close(c->l->s, c->channel);
    if (rc == 0)
        rc = safe_channel_wait(c->l->s, c->channel);
    if (rc == 0)
        c->step = STEP_DONE;
    return rc;
}

static int signal_number(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } known[] = {{"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"FPE", SIGFPE},   {"HUP", SIGHUP},
                 {"ILL", SIGILL},   {"INT", SIGINT},   {"KILL", SIGKILL}, {"PIPE", SIGPIPE},
                 {"QUIT", SIGQUIT}, {"SEGV", SIGSEGV}, {"TERM", SIGTERM}, {"USR1", SIGUSR1},
                 {"USR2", SIGUSR2}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].number;
    return 255;
}

/* libssh2 says status 0 for a killed command: only the exit signal tells. */
static void status_take(struct call *c, struct call_end *ret)
{
    char *name = NULL, *text = NULL, *lang = NULL;
    size_t n = 0, n_text = 0, n_lang = 0;
    *ret = (struct call_end){.status = libssh2_channel_get_exit_status(c->channel)};
    libssh2_channel_get_exit_signal(c->channel, &name, &n, &text, &n_text, &lang, &n_lang);
    if (name) {
        ret->status = -1;
        ret->signal = signal_number(name);
    }
    libssh2_free(c->l->s->ssh, name);
    libssh2_free(c->l->s->ssh, text);
    libssh2_free(c->l->s->ssh, lang);
}

/* Nothing else runs over the link, so what takes the server's room has ended, and it needs a moment to
 * notice. */
static bool room_may_come(struct call *c)
{
    if (c->l->link.n_calls > 1)
        return false;
    if (c->room_ms == 0)
        c->room_ms = clock_mono_ms() + ROOM_MS;
    return clock_mono_ms() < c->room_ms;
}

/* One that never came up will not next time either; one that stayed for a while may have been ended by
 * anybody. */
static enum link_end shell_ended(const struct call *c, struct err *err)
{
    if (!c->fresh || c->parts[0].begun) {
        err_set(err, E_NET, "%s: connection lost: the shell on the node ended", c->l->name);
        return LINK_LOST;
    }
    auto_buf struct buf said = BUF_INIT(400);
    text_visible(&said, buf_str(&c->early), strcspn(buf_str(&c->early), "\r\n"));
    err_set(
        err, E_AUTH,
        "%s: the login shell there ended at once%s%s%s; a release needs a user whose login shell starts `sh`",
        c->l->name, said.len ? ": '" : " without a word", buf_str(&said), said.len ? "'" : "");
    return LINK_REFUSED;
}

static enum link_end ssh_pump(struct op *op, struct call *c, int64_t bound_ms, struct call_end *ret,
                              struct err *err)
{
    static int (*const steps[])(struct call *) = {step_open, step_make_room, step_exec, step_run, step_close};
    while (c->step != STEP_DONE) {
        int rc = steps[c->step](c);
        if (rc == LIBSSH2_ERROR_CHANNEL_FAILURE && c->step == STEP_OPEN && shell_give_up(c))
            continue;
        if (rc == LIBSSH2_ERROR_CHANNEL_FAILURE && c->step == STEP_OPEN && room_may_come(c)) {
            enum wait w = op_poll(op, &(struct pollfd){.fd = -1}, 1, clock_mono_ms() + ROOM_LOOK_MS);
            if (w != WAIT_BOUND)
                return w == WAIT_LATE ? LINK_LATE : LINK_CANCELED;
            continue;
        }
        if (rc == LIBSSH2_ERROR_CHANNEL_FAILURE && c->step < STEP_RUN) {
            session_err(c->l->s, err, E_NET, "%s: the server opens no further channel (MaxSessions?)",
                        c->l->name);
            return LINK_REFUSED;
        }
        if (rc == SHELL_ENDED)
            return shell_ended(c, err);
        if (rc < 0 && rc != LIBSSH2_ERROR_EAGAIN) {
            session_err(c->l->s, err, E_NET, "%s: connection lost", c->l->name);
            return LINK_LOST;
        }
        if (rc == LIBSSH2_ERROR_EAGAIN) {
            /* A packet that is half sent must go before another call may use the session. */
            bool half = libssh2_session_block_directions(c->l->s->ssh) & LIBSSH2_SESSION_BLOCK_OUTBOUND;
            enum link_end end =
                session_wait(op, c->l->s, c->step == STEP_RUN && !half ? bound_ms : CLOCK_NEVER, err);
            if (end == LINK_LOST)
                err_wrap(err, "%s", c->l->name);
            if (end != LINK_OK)
                return end;
        }
    }
    if (c->shell)
        *ret = (struct call_end){.status = c->status};
    else
        status_take(c, ret);
    return LINK_OK;
}

static void ssh_call_free(struct call *c)
{
    if (!c)
        return;
    /* A call that did not end leaves its channel half open: the link is not worth keeping for that. */
    if (c->step != STEP_DONE || (c->shell && !shell_keep(c)))
        c->l->link.broken = true;
    else if (!c->shell)
        safe_channel_free(c->l->s, c->channel);
    scan_fini(&c->parts[0].scan);
    scan_fini(&c->parts[1].scan);
    buf_fini(&c->text);
    buf_fini(&c->command);
    buf_fini(&c->early);
    free(c);
}

static void ssh_init(void)
{
    must(libssh2_init(0) == 0);
}

const struct transport transport_ssh = {
    .name = "ssh",
    .init = ssh_init,
    .open = ssh_open,
    .alive = ssh_alive,
    .close = ssh_close,
    .call = ssh_call,
    .pump = ssh_pump,
    .call_free = ssh_call_free,
};
