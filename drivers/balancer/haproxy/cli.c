/* SPDX-License-Identifier: MIT */
/* The dialog with HAProxy's runtime API over TCP, a local socket, or the socket of the balancer's host
 * through SSH. */
#include "drivers/balancer/haproxy/haproxy.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/str.h"
#include "drivers/node/node.h"

#define ANSWER_MAX      (8u << 20) /* `show stat` of a backend with some ten thousand servers */
#define DIALOG_MS       10000      /* one command: a balancer that hangs must not eat the step's deadline */
#define UNKNOWN_COMMAND "Unknown command"
#define RELAY_MS        8000 /* the same on the balancer's host, so that its words arrive in time */

/* Runs on the balancer's host: "$1" socket path, "$2" one command. Whatever is there that can talk to a unix
 * socket. */
static const char relay_script[] =
    "p=$1 c=$2 t=$3 half=$4 me=$(id -un 2>/dev/null || echo the login)\n"
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
    "    if sys.argv[4]: s.shutdown(1)\n"
    "    while True:\n"
    "        d = s.recv(65536)\n"
    "        sys.stdout.buffer.write(d)\n"
    "        if not d or d.startswith(b\"Unknown command\"): break\n" /* the master does not close */
    "except socket.timeout:\n"
    "    sys.exit(124)\n"
    "except OSError as e:\n"
    "    sys.exit(e.strerror or str(e))' \"$p\" \"$c\" \"$t\" \"$half\"\n"
    "elif command -v socat >/dev/null 2>&1; then\n"
    "  printf '%s\\n' \"$c\" | socat -t \"$t\" -T \"$t\" - \"UNIX-CONNECT:$p\"\n"
    "elif command -v perl >/dev/null 2>&1; then\n"
    "  exec perl -MIO::Socket::UNIX -e '$SIG{ALRM} = sub { exit 124 }; alarm $ARGV[2];"
    " $s = IO::Socket::UNIX->new($ARGV[0]) or die \"$!\\n\"; $| = 1;"
    " print $s \"$ARGV[1]\\n\"; $s->flush; shutdown($s, 1) if $ARGV[3]; print while <$s>;' \"$p\" \"$c\" \"$t\""
    " \"$half\"\n"
    "elif nc -h 2>&1 | grep -q -e '-U'; then\n"
    "  printf '%s\\n' \"$c\" | nc -U ${half:+-N} -w \"$t\" \"$p\"\n"
    "else\n"
    "  echo 'none of python3, socat, perl, nc -U is installed there' >&2; exit 122\n"
    "fi\n";

#define RELAY_LATE 124 /* of relay_script: connected, and the answer did not end in time */

/* Connected, and then not what a worker's socket does: it answers and closes. The master's socket (-S) knows
 * other commands and stays open; one whose connections are used up takes a new one and says nothing. */
static void ask_failed(struct op *op, const struct hap_socket *s, const char *command, const char *got)
{
    if (str_starts(got, UNKNOWN_COMMAND) && s->master)
        op_refused(op, E_PROTO,
                   "%s: answered \"%s\" to \"%s\"; is it a worker's socket? Wanted the master's: haproxy -S",
                   s->text, lb_first_line(op, got), command);
    else if (str_starts(got, UNKNOWN_COMMAND))
        op_refused(
            op, E_PROTO,
            "%s: answered \"%s\" to \"%s\"; is it the master's socket (haproxy -S)? Wanted the worker's: "
            "`stats socket ... level admin`",
            s->text, lb_first_line(op, got), command);
    else if (*got)
        op_fail(op, E_PROTO, "%s: answered \"%s\" to \"%s\" and did not end the answer in time", s->text,
                lb_first_line(op, got), command);
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
    const char *const args[] = {s->path, command, seconds, s->master ? "half" : "", NULL};
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
                r.err_len ? lb_first_line(op, r.err) : "the socket could not be reached on its host");
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
    if (s->master)
        shutdown(fd, SHUT_WR);
    return read_answer(op, fd, s, command);
}

/* Also after the op failed: what it drained is still put back. */
char *hap_ask_ending(struct op *op, const struct hap_socket *s, const char *command)
{
    int64_t deadline = op_deadline_cap(op, DIALOG_MS);
    op_asking(op, s->text);
    char *answer = s->path && s->host ? ask_relay(op, s, command) : ask_fd(op, s, command);
    op_asking(op, NULL);
    op_deadline_set(op, deadline);
    if (!answer || !str_starts(answer, UNKNOWN_COMMAND))
        return answer;
    ask_failed(op, s, command, answer);
    return NULL;
}

char *hap_ask(struct op *op, const struct hap_socket *s, const char *command)
{
    char *answer = hap_ask_ending(op, s, command);
    if (!answer || *answer)
        return answer;
    op_fail(op, E_PROTO, "%s: closed the connection without an answer to \"%s\"", s->text, command);
    return NULL;
}
