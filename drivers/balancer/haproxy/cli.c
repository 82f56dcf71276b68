/* The dialog with HAProxy's runtime API over TCP, a local socket, or the socket of the balancer's host
 * through SSH. */
#include "drivers/balancer/haproxy/haproxy.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/str.h"
#include "drivers/node.h"

#define ANSWER_MAX      (8u << 20) /* `show stat` of a backend with some ten thousand servers */
#define DIALOG_MS       10000      /* one command: a balancer that hangs must not eat the step's deadline */
#define UNKNOWN_COMMAND "Unknown command"
#define BEFORE_MAX      60000
#define RELAY_MS        8000 /* the same on the balancer's host, so that its words arrive in time */
#define REFUSAL_WORDS   200
#define OPERATOR_LEVEL  "this socket may only read; give it `level admin` in the balancer's configuration"

/* Runs on the balancer's host: "$1" socket path, "$2" one command. Whatever is there that can talk to a unix
 * socket. */
static const char relay_script[] =
    "p=$1 c=$2 t=$3 me=$(id -un 2>/dev/null || echo the login)\n"
    "[ -e \"$p\" ] || { echo \"no such socket, or $me may not look into its directory\" >&2; exit 121; }\n"
    "[ -S \"$p\" ] || { echo 'it is no socket' >&2; exit 121; }\n"
    "[ -w \"$p\" ] || { echo \"$me may not open it (Permission denied); see user, group and mode of its"
    " stats socket line\" >&2; exit 121; }\n"
    "if command -v python3 >/dev/null 2>&1; then\n"
    "  exec python3 -c 'import socket, sys\n"
    "try:\n"
    "    s = socket.socket(socket.AF_UNIX)\n"
    "    s.settimeout(float(sys.argv[3]))\n"
    "    s.connect(sys.argv[1])\n"
    "    s.sendall(sys.argv[2].encode() + b\"\\n\")\n"
    "    while True:\n"
    "        d = s.recv(65536)\n"
    "        sys.stdout.buffer.write(d)\n"
    "        if not d or d.startswith(b\"Unknown command\"): break\n" /* the master does not close */
    "except socket.timeout:\n"
    "    sys.exit(124)\n"
    "except OSError as e:\n"
    "    sys.exit(e.strerror or str(e))' \"$p\" \"$c\" \"$t\"\n"
    "elif command -v socat >/dev/null 2>&1; then\n"
    "  printf '%s\\n' \"$c\" | socat -t \"$t\" -T \"$t\" - \"UNIX-CONNECT:$p\"\n"
    "elif command -v perl >/dev/null 2>&1; then\n"
    "  exec perl -MIO::Socket::UNIX -e '$SIG{ALRM} = sub { exit 124 }; alarm $ARGV[2];"
    " $s = IO::Socket::UNIX->new($ARGV[0]) or die \"$!\\n\"; $| = 1;"
    " print $s \"$ARGV[1]\\n\"; $s->flush; print while <$s>;' \"$p\" \"$c\" \"$t\"\n"
    "elif nc -h 2>&1 | grep -q -e '-U'; then\n"
    "  printf '%s\\n' \"$c\" | nc -U -w \"$t\" \"$p\"\n"
    "else\n"
    "  echo 'none of python3, socat, perl, nc -U is installed there' >&2; exit 122\n"
    "fi\n";

#define RELAY_LATE 124 /* of relay_script: connected, and the answer did not end in time */

/* The first line of an answer, safe to show. */
static const char *first_line(struct op *op, const char *answer)
{
    auto_buf struct buf b = BUF_INIT(REFUSAL_WORDS);
    text_visible(&b, answer, strcspn(answer, "\r\n"));
    return arena_strdup(op_arena(op), buf_str(&b));
}

/* Connected, and then not what a worker's socket does: it answers and closes. The master's socket (-S) knows
 * other commands and stays open; one whose connections are used up takes a new one and says nothing. */
static void ask_failed(struct op *op, const struct hap_socket *s, const char *command, const char *got)
{
    if (str_starts(got, UNKNOWN_COMMAND))
        op_refused(
            op, E_PROTO,
            "%s: answered \"%s\" to \"%s\"; is it the master's socket (haproxy -S)? Wanted the worker's: "
            "`stats socket ... level admin`",
            s->text, first_line(op, got), command);
    else if (*got)
        op_fail(op, E_PROTO, "%s: answered \"%s\" to \"%s\" and did not end the answer in time", s->text,
                first_line(op, got), command);
    else
        op_fail(
            op, E_LATE,
            "%s: took the connection and said nothing to \"%s\" in time; are its connections used up (`stats "
            "maxconn`), or does HAProxy hang?",
            s->text, command);
}

static char *ask_relay(struct op *op, const struct hap_socket *s, const char *command)
{
    const char *seconds = arena_printf(op_arena(op), "%d", RELAY_MS / 1000);
    const char *const args[] = {s->path, command, seconds, NULL};
    const struct node_cmd cmd = {.script = relay_script, .args = args, .max_out = ANSWER_MAX, .quiet = true};
    struct node_result r;
    const struct target *host = op_target_host(op, s->host);
    if (!host || !target_read(op, host, &cmd, &r))
        return NULL;
    if (r.status == 0)
        return r.out;
    if (r.status == RELAY_LATE)
        ask_failed(op, s, command, r.out);
    else
        op_fail(op, E_NET, "%s: %s: %s", s->text, s->path,
                r.err_len ? first_line(op, r.err) : "the socket could not be reached on its host");
    return NULL;
}

/* Until the other side closes. */
static char *read_answer(struct op *op, int fd, const struct hap_socket *s, const char *command)
{
    auto_buf struct buf all = BUF_INIT(ANSWER_MAX);
    char piece[16384];
    int left_ms = op_left_ms(op) - 100; /* who does not answer is told by us, not by the op's deadline */
    int64_t end_ms = clock_mono_ms() + (left_ms < RELAY_MS ? left_ms : RELAY_MS);
    while (!all.cut) {
        ssize_t got = read(fd, piece, sizeof(piece));
        int64_t left = end_ms - clock_mono_ms();
        bool late = left <= 0;
        if (got == 0)
            return arena_strndup(op_arena(op), buf_str(&all), all.len);
        if (got > 0) {
            buf_add(&all, piece, (size_t)got);
            if (str_starts(buf_str(&all), UNKNOWN_COMMAND)) /* the master would keep us waiting */
                return arena_strndup(op_arena(op), buf_str(&all), all.len);
        } else if (errno == EAGAIN) {
            if (late || !op_wait_ms(op, fd, POLLIN, (int)left, &late)) {
                if (late)
                    ask_failed(op, s, command, buf_str(&all));
                return NULL;
            }
        } else if (errno != EINTR) {
            op_fail(op, E_NET, "%s: cannot read the answer: %s", s->text, strerror(errno));
            return NULL;
        }
    }
    op_fail(op, E_PROTO, "%s: more than %u MiB in answer to \"%s\"", s->text, ANSWER_MAX >> 20, command);
    return NULL;
}

static char *ask_fd(struct op *op, const struct hap_socket *s, const char *command)
{
    auto_fd int fd = s->path ? op_connect_unix(op, s->path) : op_connect_tcp(op, s->host, s->port);
    const char *line = arena_printf(op_arena(op), "%s\n", command);
    if (fd < 0 || !op_write_all(op, fd, line, strlen(line)))
        return NULL;
    return read_answer(op, fd, s, command);
}

/* One command, one connection. NULL: op failed. */
static char *ask(struct op *op, const struct hap_socket *s, const char *command)
{
    int64_t deadline = op_deadline_cap(op, DIALOG_MS);
    op_asking(op, s->text);
    char *answer = s->path && s->host ? ask_relay(op, s, command) : ask_fd(op, s, command);
    op_asking(op, NULL);
    op_deadline_set(op, deadline);
    if (answer && !*answer)
        op_fail(op, E_PROTO, "%s: closed the connection without an answer to \"%s\"", s->text, command);
    else if (answer && str_starts(answer, UNKNOWN_COMMAND))
        ask_failed(op, s, command, answer);
    return op_failed(op) ? NULL : answer;
}

/* ---- arguments ------------------------------------------------------------- */

static bool open_sockets(struct hap *h)
{
    size_t n;
    struct arena *a = op_arena(h->op);
    const char *const *texts = op_arg_list(h->op, "sockets", &n);
    if (n == 0 || n > HAP_BALANCERS_MAX) {
        op_refused(h->op, E_CONFIG, "balancer: %zu sockets given; wanted 1 to %d", n, HAP_BALANCERS_MAX);
        return false;
    }
    h->socks = arena_array(a, n, sizeof *h->socks);
    h->now = arena_array(a, n, sizeof *h->now);
    for (; h->n < n; h->n++) {
        struct err err = {0};
        if (!hap_socket_parse(texts[h->n], a, &h->socks[h->n], &err)) {
            op_refused(h->op, err.code, "%s", err.text);
            return false;
        }
    }
    return true;
}

bool hap_open_fleet(struct op *op, struct hap *ret)
{
    *ret = (struct hap){.op = op, .backend = op_arg(op, "backend")};
    if (!ret->backend || !hap_name_valid(ret->backend)) {
        op_refused(op, E_CONFIG, "balancer: \"%s\" cannot be the name of a backend",
                   ret->backend ? ret->backend : "");
        return false;
    }
    return open_sockets(ret);
}

bool hap_open(struct op *op, struct hap *ret)
{
    if (!hap_open_fleet(op, ret))
        return false;
    ret->server = op_arg(op, "server");
    if (!ret->server)
        ret->server = op_var(op, "lb_server");
    if (!ret->server)
        ret->server = op_var(op, "node");
    if (ret->server && hap_name_valid(ret->server))
        return true;
    op_refused(op, E_CONFIG, "balancer: \"%s\" cannot be the name of a server",
               ret->server ? ret->server : "");
    return false;
}

bool hap_open_read(struct op *op, struct hap *ret)
{
    op_sending(op);
    return hap_open(op, ret);
}

/* ---- reading --------------------------------------------------------------- */

static bool not_understood(struct hap *h, size_t i, const struct err *err)
{
    op_fail(h->op, err->code, "%s: %s", h->socks[i].text, err->text);
    return false;
}

static bool add_stat(struct hap *h, size_t i, struct hap_table *io)
{
    struct err err = {0};
    if (io->n == 0)
        return true;
    /* By number: a frontend may have the backend's name, and HAProxy would find that first. */
    const char *command = arena_printf(op_arena(h->op), "show stat #%d 4 -1", io->rows[0].backend_id);
    char *answer = ask(h->op, &h->socks[i], command);
    if (!answer)
        return false;
    return hap_parse_stat(answer, h->backend, op_arena(h->op), io, &err) || not_understood(h, i, &err);
}

bool hap_table(struct hap *h, size_t i, bool with_stat, struct hap_table *ret)
{
    struct err err = {0};
    struct arena *a = op_arena(h->op);
    char *answer = ask(h->op, &h->socks[i], arena_printf(a, "show servers state %s", h->backend));
    if (!answer)
        return false;
    if (str_starts(answer, "Can't find backend") || str_starts(answer, "No such backend")) {
        op_refused(h->op, E_NOTFOUND, "%s: has no backend \"%s\"; check `backend:` of the pillar",
                   h->socks[i].text, h->backend);
        return false;
    }
    if (!hap_parse_state(answer, h->backend, a, ret, &err))
        return not_understood(h, i, &err);
    return !with_stat || add_stat(h, i, ret);
}

bool hap_table_all(struct hap *h, size_t i, struct hap_table *ret)
{
    struct err err = {0};
    char *answer = ask(h->op, &h->socks[i], "show servers state");
    return answer &&
           (hap_parse_state(answer, NULL, op_arena(h->op), ret, &err) || not_understood(h, i, &err));
}

static const char *server_names(struct hap *h, const struct hap_table *t)
{
    auto_buf struct buf b = BUF_INIT(300);
    for (size_t i = 0; i < t->n; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", t->rows[i].name);
    return arena_printf(op_arena(h->op), "%s%s", buf_str(&b), b.cut ? "..." : "");
}

bool hap_look(struct hap *h, size_t i, bool with_stat)
{
    struct hap_table t;
    if (!hap_table(h, i, with_stat, &t))
        return false;
    const struct hap_server *s = hap_table_find(&t, h->server);
    if (s) {
        h->now[i] = *s;
        return true;
    }
    op_refused(h->op, E_NOTFOUND,
               "%s: backend %s has no server \"%s\" (it has %s); check `lb_server:` of the pillar",
               h->socks[i].text, h->backend, h->server, server_names(h, &t));
    return false;
}

bool hap_look_all(struct hap *h, bool with_stat)
{
    for (size_t i = 0; i < h->n; i++) {
        if (!hap_look(h, i, with_stat))
            return false;
    }
    return true;
}

/* ---- writing --------------------------------------------------------------- */

bool hap_tell(struct hap *h, size_t i, const char **ret_refusal, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *command = arena_vprintf(op_arena(h->op), fmt, ap);
    va_end(ap);
    *ret_refusal = NULL;
    const char *answer = ask(h->op, &h->socks[i], command);
    if (!answer)
        return false;
    if (!strcmp(answer, "\n"))
        return true;
    *ret_refusal = first_line(h->op, answer);
    if (str_starts(answer, "Permission denied"))
        *ret_refusal = arena_printf(op_arena(h->op), "%s: %s", *ret_refusal, OPERATOR_LEVEL);
    return true;
}

bool hap_put(struct hap *h, size_t i, enum hap_admin want, const char **ret_refusal)
{
    if (!hap_tell(h, i, ret_refusal, "set server %s/%s state %s", h->backend, h->server,
                  hap_admin_name(want)))
        return false;
    if (*ret_refusal)
        return true;
    if (!hap_look(h, i, false))
        return false;
    enum hap_admin is = hap_admin_of(&h->now[i]);
    if (is != want)
        *ret_refusal = arena_printf(
            op_arena(h->op), "took the command but still shows %s (a tracked server?)", hap_admin_name(is));
    return true;
}

bool hap_put_weight(struct hap *h, size_t i, int weight, const char **ret_refusal)
{
    *ret_refusal = NULL;
    if (h->now[i].weight == weight)
        return true;
    if (!hap_tell(h, i, ret_refusal, "set server %s/%s weight %d", h->backend, h->server, weight))
        return false;
    if (*ret_refusal)
        return true;
    if (!hap_look(h, i, false))
        return false;
    if (h->now[i].weight != weight)
        *ret_refusal =
            arena_printf(op_arena(h->op), "took weight %d but still shows %d", weight, h->now[i].weight);
    return true;
}

/* What its agent says would undo a drain ("ready") or take weight away. */
bool hap_put_agent(struct hap *h, size_t i, bool on, const char **ret_refusal)
{
    if (!hap_tell(h, i, ret_refusal, "%s agent %s/%s", on ? "enable" : "disable", h->backend, h->server))
        return false;
    if (*ret_refusal)
        return true;
    if (!hap_look(h, i, false))
        return false;
    if (h->now[i].agent != on)
        *ret_refusal = arena_printf(op_arena(h->op), "took the command but its agent check is still %s",
                                    on ? "held off" : "running");
    return true;
}

enum outcome hap_refused(struct hap *h, size_t i, const char *wanted, const char *words)
{
    return op_refused(h->op, E_REFUSED, "%s: %s/%s: wanted %s, the balancer said: %s", h->socks[i].text,
                      h->backend, h->server, wanted, words);
}

/* ---- what was, what is ----------------------------------------------------- */

const char *hap_text(const struct hap *h)
{
    auto_buf struct buf b = BUF_INIT(2000);
    buf_printf(&b, "%s ", h->server);
    for (size_t i = 0; i < h->n; i++)
        buf_printf(&b, "%s%s on %s", i ? ", " : "", hap_admin_name(hap_admin_of(&h->now[i])),
                   h->socks[i].text);
    return arena_strdup(op_arena(h->op), buf_str(&b));
}

bool hap_recall_before(const struct hap *h, size_t i, struct hap_before *ret)
{
    return hap_before_find(op_recall(h->op, "lb.before"), h->socks[i].text, h->backend, h->server, ret);
}

bool hap_before_recorded(const struct hap *h)
{
    struct hap_before b;
    for (size_t i = 0; i < h->n; i++) {
        if (!hap_recall_before(h, i, &b))
            return false;
    }
    return true;
}

bool hap_was_in(const struct hap *h)
{
    struct hap_before b;
    for (size_t i = 0; i < h->n; i++) {
        if (!hap_recall_before(h, i, &b) || b.admin == HAP_READY)
            return true;
    }
    return false;
}

bool hap_report_before(struct hap *h)
{
    if (hap_before_recorded(h))
        return true;
    /* Another balancer step of the same node may have recorded its own entries: keep them. */
    const char *old = op_recall(h->op, "lb.before");
    auto_buf struct buf b = BUF_INIT(BEFORE_MAX);
    buf_puts(&b, old ? old : "");
    for (size_t i = 0; i < h->n; i++) {
        struct hap_before recorded;
        if (hap_recall_before(h, i, &recorded))
            continue;
        buf_printf(&b, "%s%s %s/%s=%s,w%d%s", b.len ? ";" : "", h->socks[i].text, h->backend, h->server,
                   hap_admin_name(hap_admin_of(&h->now[i])), h->now[i].weight,
                   h->now[i].agent ? ",agent" : "");
    }
    if (b.cut) {
        op_refused(h->op, E_CONFIG, "%s: its state on all balancers is more than %d bytes of text", h->server,
                   BEFORE_MAX);
        return false;
    }
    op_fact(h->op, "lb.before", "%s", buf_str(&b));
    return true;
}

void hap_report_address(struct hap *h)
{
    auto_buf struct buf b = BUF_INIT(BEFORE_MAX);
    for (size_t i = 0; i < h->n; i++)
        if (h->now[i].port > 0)
            buf_printf(&b, "%s%s %s:%d", b.len ? ";" : "", h->socks[i].text, h->now[i].addr, h->now[i].port);
    if (!b.cut)
        op_fact(h->op, "lb.at", "%s", buf_str(&b));
}

int64_t hap_count_sessions(struct hap *h)
{
    int64_t sessions = 0, queued = 0;
    for (size_t i = 0; i < h->n; i++) {
        sessions += h->now[i].sessions;
        queued += h->now[i].queued;
    }
    op_fact(h->op, "sessions", "%" PRId64, sessions);
    op_fact(h->op, "queued", "%" PRId64, queued);
    op_gauge(h->op, sessions + queued);
    return sessions + queued;
}
