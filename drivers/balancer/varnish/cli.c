/* SPDX-License-Identifier: MIT */
/* The dialog with Varnish's CLI: frames, login, and the two lists that every verb needs. */
#include "drivers/balancer/varnish/varnish.h"

#include <poll.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/str.h"

#define DIALOG_MS 10000 /* one frame: a Varnish that hangs must not eat the step's deadline */

bool varnish_admin_parse(const char *text, struct arena *a, struct varnish_admin *ret, struct err *err)
{
    const char *rest = str_starts(text, "tcp://") ? text + 6 : "";
    const char *colon = strrchr(rest, ':');
    char *end = NULL;
    long port = colon ? strtol(colon + 1, &end, 10) : 0;
    *ret = (struct varnish_admin){.text = arena_strdup(a, text), .port = (int)port};
    if (!colon || colon == rest || *end || port < 1 || port > 65535 || rest[0] == '-' ||
        strpbrk(rest, " \t\r\n;"))
        return err_set(err, E_CONFIG, "Varnish admin address \"%s\" is not one; wanted tcp://HOST:PORT",
                       text);
    bool v6 = rest[0] == '[' && colon[-1] == ']';
    ret->host = arena_strndup(a, rest + v6, (size_t)(colon - rest) - 2 * v6);
    if (ret->host[0] == '\0' || ret->host[0] == '-')
        return err_set(err, E_CONFIG, "Varnish admin address \"%s\" names no host; wanted tcp://HOST:PORT",
                       text);
    return true;
}

/* ---- frames -------------------------------------------------------------------------------------- */

static bool read_exactly(struct vcli *c, char *to, size_t n)
{
    while (n) {
        ssize_t got = read(c->fd, to, n);
        if (got > 0) {
            to += got;
            n -= (size_t)got;
        } else if (got < 0 && errno == EAGAIN) {
            if (!op_wait(c->op, c->fd, POLLIN))
                return false;
        } else if (got == 0 || errno != EINTR) {
            op_fail(c->op, E_NET, "%s: the CLI connection ended", c->admin->text);
            return false;
        }
    }
    return true;
}

static bool read_frame(struct vcli *c, int *ret_status, char **ret_body)
{
    char head[VARNISH_HEAD];
    size_t len;
    if (!read_exactly(c, head, sizeof head))
        return false;
    if (!varnish_head_parse(head, ret_status, &len)) {
        op_fail(c->op, E_PROTO, "%s: does not speak Varnish's CLI", c->admin->text);
        return false;
    }
    *ret_body = arena_alloc(op_arena(c->op), len + 1);
    char end;
    return read_exactly(c, *ret_body, len) && read_exactly(c, &end, 1);
}

static bool dialog(struct vcli *c, const char *line, int *ret_status, char **ret_body)
{
    int64_t deadline = op_deadline_cap(c->op, DIALOG_MS);
    op_asking(c->op, c->admin->text);
    bool fine =
        (!line || op_write_all(c->op, c->fd, line, strlen(line))) && read_frame(c, ret_status, ret_body);
    op_asking(c->op, NULL);
    op_deadline_set(c->op, deadline);
    if (!fine) /* a late answer must not pass for that to the next question */
        vcli_close(c);
    return fine;
}

bool vcli_ask(struct vcli *c, int *ret_status, char **ret_body, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *command = arena_vprintf(op_arena(c->op), fmt, ap);
    va_end(ap);
    must(!strchr(command, '\n'));
    return dialog(c, arena_printf(op_arena(c->op), "%s\n", command), ret_status, ret_body);
}

bool vcli_want(struct vcli *c, char **ret_body, const char *fmt, ...)
{
    va_list ap;
    int status;
    va_start(ap, fmt);
    const char *command = arena_vprintf(op_arena(c->op), fmt, ap);
    va_end(ap);
    if (!vcli_ask(c, &status, ret_body, "%s", command))
        return false;
    if (status == VARNISH_OK)
        return true;
    if (status == VARNISH_UNKNOWN && strstr(*ret_body, "child not running"))
        op_fail(c->op, E_STATE, "%s: Varnish's child process is not running; `start` it first",
                c->admin->text);
    else if (status == VARNISH_CUT)
        op_refused(
            c->op, E_LIMIT,
            "%s: %.*s: Varnish cut its answer at %zu bytes, so not all of it is known; raise its limit "
            "(param.set cli_limit 8m, and varnishd -p cli_limit=8m for its next start)",
            c->admin->text, (int)strcspn(command, " "), command, strlen(*ret_body));
    else
        op_refused(c->op, E_REFUSED, "%s: %.*s: Varnish said %d %s", c->admin->text,
                   (int)strcspn(command, " "), command, status, lb_first_line(c->op, *ret_body));
    return false;
}

/* ---- login --------------------------------------------------------------------------------------- */

static bool connect_to(struct op *op, const struct varnish_admin *admin, struct vcli *ret, int *status,
                       char **body)
{
    *ret = (struct vcli){.op = op, .admin = admin, .fd = -1};
    int64_t deadline = op_deadline_cap(op, DIALOG_MS);
    op_asking(op, admin->text);
    ret->fd = op_connect_tcp(op, admin->host, admin->port);
    op_asking(op, NULL);
    op_deadline_set(op, deadline);
    return ret->fd >= 0 && dialog(ret, NULL, status, body);
}

/* A greeting that is cut is one, too. */
static bool greets(int status)
{
    return status == VARNISH_OK || status == VARNISH_CUT;
}

/* false: op failed, or *ret_no: the secret is not the one. A wrong answer gets an empty frame 500 or 107
 * again, and the connection ends. */
static bool log_in(struct vcli *c, const char *challenge, const char *secret, bool *ret_no)
{
    char answer[65];
    int status;
    char *body;
    if (strnlen(challenge, VARNISH_CHALLENGE) < VARNISH_CHALLENGE) {
        op_fail(c->op, E_PROTO, "%s: the CLI's challenge is too short", c->admin->text);
        return false;
    }
    varnish_auth(challenge, secret, answer);
    if (!vcli_ask(c, &status, &body, "auth %s", answer))
        return false;
    *ret_no = !greets(status);
    return true;
}

void vcli_close(struct vcli *c)
{
    auto_fd_fn(&c->fd);
    c->fd = -1;
}

/* The secret file's last line end is part of the secret; whoever read the file may have taken it off. */
bool vcli_open(struct op *op, const struct varnish_admin *admin, struct vcli *ret)
{
    const char *secret = op_arg(op, "secret");
    *ret = (struct vcli){.op = op, .admin = admin, .fd = -1};
    for (int with_newline = 0; with_newline <= 1; with_newline++) {
        int status;
        char *body;
        bool no = false;
        vcli_close(ret);
        if (!connect_to(op, admin, ret, &status, &body))
            return false;
        if (greets(status))
            return true;
        if (status != VARNISH_AUTH || !secret) {
            op_refused(op, E_AUTH,
                       "%s: the CLI wants a login (answer %d); give `secret: file:PATH` in the pillar",
                       admin->text, status);
            return false;
        }
        if (!log_in(ret, body + strspn(body, "\n"),
                    arena_printf(op_arena(op), "%s%s", secret, with_newline ? "\n" : ""), &no))
            return false;
        if (!no)
            return true;
        if (secret[0] && secret[strlen(secret) - 1] == '\n')
            break;
    }
    op_refused(op, E_AUTH,
               "%s: the CLI refused the secret; is it the file that varnishd was started with (-S)?",
               admin->text);
    return false;
}

/* ---- the two lists ------------------------------------------------------------------------------- */

bool vcli_vcls(struct vcli *c, struct varnish_vcls *ret)
{
    char *body;
    struct err err = {0};
    if (!vcli_want(c, &body, "vcl.list -j"))
        return false;
    bool fine = varnish_vcls_parse(body, op_arena(c->op), ret, &err);
    if (fine && !ret->active)
        fine = err_set(&err, E_STATE, "Varnish has no active VCL");
    if (!fine)
        op_fail(c->op, err.code, "%s: %s", c->admin->text, err.text);
    return fine;
}

bool vcli_backends(struct vcli *c, struct varnish_backends *ret)
{
    char *body;
    struct err err = {0};
    if (!vcli_want(c, &body, "backend.list -j *.*"))
        return false;
    bool fine = varnish_backends_parse(body, op_arena(c->op), ret, &err);
    if (!fine)
        op_fail(c->op, err.code, "%s: %s", c->admin->text, err.text);
    return fine;
}
