/* SPDX-License-Identifier: MIT */
/* Orders: written down, then given to a detached child.
 *
 * Between the server and the command stands a small process of our own image that does nothing but wait: it
 * is in a session of its own, so neither the server's end nor a signal to it reaches the command, and it
 * leaves the exit status in a file, so that a server that was started anew learns it, too. It begins the
 * command only when it is told that the order's start is in the journal. Files: DIR/orders/N.out, N.rc beside
 * the journal, nobody else's to read. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "serve/serve_priv.h"
#include "state/orders.h"
#include "state/process.h"

#define ARGV_MAX       32
#define ORDERS_AT_ONCE 100 /* each is two processes */

/* ---- words of a wish */

#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

struct word_rule {
    const char *what, *accept;
    size_t max;
    const char *wanted; /* for people */
};
static const struct word_rule stages_rule = {
    "stages", DIGITS ",%", 200, "numbers of nodes or percentages with commas between: 1,25%,100%"};
static const struct word_rule window_rule = {"window", DIGITS "%", 8,
                                             "a number of nodes or a percentage: 2, 25%"};
static const struct word_rule only_rule = {"only", LETTERS DIGITS "._,-", 8000,
                                           "nodes' ids with commas between"};
static const struct word_rule exclude_rule = {"exclude", LETTERS DIGITS "._,-", 8000,
                                              "nodes' ids with commas between"};

static bool word_ok(const struct word_rule *rule, const char *text, struct err *err)
{
    if (!text)
        return true;
    size_t n = strspn(text, rule->accept);
    return (n > 0 && text[n] == '\0' && n <= rule->max && text[0] != '-') ||
           err_set(err, E_USAGE, "%s: '%.100s' was given; wanted %s", rule->what, text, rule->wanted);
}

static bool person_ok(const char *what, const char *text, struct err *err)
{
    return operator_valid(text) ||
           err_set(
               err, E_USAGE,
               "%s: '%.100s' cannot be a person's name: wanted at most 64 letters, digits and . _ @ + -, the door "
               "they come in by before a colon",
               what, text);
}

static bool reason_ok(const char *text, struct err *err)
{
    for (const char *p = text; p && *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return err_set(err, E_USAGE, "reason: wanted one line of text");
    if (text && !utf8_valid(text))
        return err_set(err, E_USAGE, "reason: wanted text in UTF-8");
    return !text || strlen(text) <= 500 || err_set(err, E_USAGE, "reason: wanted at most 500 bytes");
}

static bool revision_ok(const char *what, const char *text, struct err *err)
{
    return !text || rev_valid(text) ||
           err_set(err, E_USAGE, "%s: '%s' is not a revision (wanted a commit in hex, a branch or a tag)",
                   what, text);
}

#define OF(wish) (1U << WISH_##wish)
#define FORWARD  (OF(RUN) | OF(PLAN))
#define BACK     (OF(ROLLBACK) | OF(PLAN))
#define CHOOSES  (FORWARD | BACK | OF(RESUME))

static bool refuse_word(const struct order_wish *w, const char *word, unsigned takers, struct err *err)
{
    auto_buf struct buf names = BUF_INIT(200);
    for (int v = 0; v < WISH_COUNT; v++)
        if (takers & (1U << v))
            buf_printf(&names, "%s%s", names.len ? ", " : "", wish_name((enum wish)v));
    return err_set(err, E_USAGE, "%s: '%s' is not taken (it belongs to %s); nothing was touched",
                   wish_name(w->verb), word, buf_str(&names));
}

/* An order without the word that it does not take would be another than was meant. */
static bool words_are_its_own(const struct order_wish *w, struct err *err)
{
    const struct {
        const char *name;
        bool given;
        unsigned takers;
    } words[] = {
        {"rev", w->rev, FORWARD},
        {"plan", w->plan, FORWARD},
        {"stages", w->stages, FORWARD},
        {"window", w->window, FORWARD},
        {"only", w->only, CHOOSES},
        {"exclude", w->exclude, CHOOSES},
        {"to", w->to, BACK},
        {"before", w->before > 0, BACK},
        {"release", w->release > 0, BACK | OF(RESUME)}, /* of resume: the one that was asked about */
        {"digest", w->digest, OF(RUN) | OF(ROLLBACK)},
        {"reason", w->reason, OF(LOCK) | OF(UNLOCK)},
        {"force", w->force, OF(UNLOCK)},
        {"brief", w->brief, OF(PLAN)},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i].given && !(words[i].takers & (1U << w->verb)))
            return refuse_word(w, words[i].name, words[i].takers, err);
    return true;
}

bool serve_wish_is_back(const struct order_wish *w)
{
    return w->verb == WISH_ROLLBACK || (w->verb == WISH_PLAN && (w->release > 0 || w->to || w->before > 0));
}

bool serve_wish_ok(const struct order_wish *w, struct err *err)
{
    if (!w->env || !env_valid(w->env))
        return err_set(err, E_USAGE, "env: '%.100s' cannot be an environment's name: " NAME_WANTED,
                       w->env ? w->env : "");
    if (w->digest && (strlen(w->digest) != 64 || !is_hex(w->digest, 64)))
        return err_set(err, E_USAGE,
                       "digest: '%.100s' was given; wanted the 64 hex digits that the plan came with",
                       w->digest);
    if (w->approved_by && !person_ok("approved by", w->approved_by, err))
        return false;
    if (!person_ok("who", w->who ? w->who : "", err))
        return false;
    if (!revision_ok("rev", w->rev, err) || !revision_ok("to", w->to, err))
        return false;
    if (serve_wish_is_back(w) && (w->rev || w->plan || w->stages || w->window))
        return err_set(err, E_USAGE,
                       "%s: a way back goes by what is recorded: rev, plan, stages and window are not taken; "
                       "nothing was touched",
                       wish_name(w->verb));
    if (!words_are_its_own(w, err))
        return false;
    if (w->plan && !name_valid(w->plan, 64))
        return err_set(err, E_USAGE, "plan: '%.100s' cannot be a plan's name: " NAME_WANTED, w->plan);
    return word_ok(&stages_rule, w->stages, err) && word_ok(&window_rule, w->window, err) &&
           word_ok(&only_rule, w->only, err) && word_ok(&exclude_rule, w->exclude, err) &&
           reason_ok(w->reason, err);
}

/* ---- the command line: values stand behind '=', so none of them can be taken for an option */

struct command_line {
    struct arena *arena;
    char *argv[ARGV_MAX];
    size_t n;
};

static void word_add(struct command_line *w, const char *option, const char *value)
{
    must(w->n + 1 < ARGV_MAX);
    if (value)
        w->argv[w->n++] =
            option[0] ? arena_printf(w->arena, "--%s=%s", option, value) : arena_strdup(w->arena, value);
}

/* A way back, or a look at what it would do: that takes no lock. */
static void back_words(const struct order_wish *w, bool look, struct command_line *ret)
{
    word_add(ret, "to", w->to);
    if (w->release > 0)
        word_add(ret, "release", arena_printf(ret->arena, "%" PRId64, w->release));
    if (w->before > 0)
        word_add(ret, "before", arena_printf(ret->arena, "%" PRId64, w->before));
    word_add(ret, "", look ? "--brief" : "--yes");
    if (!look)
        word_add(ret, "digest", w->digest);
}

static bool words_of(struct serve *s, const struct order_wish *w, struct command_line *ret, struct err *err)
{
    bool run = w->verb == WISH_RUN, lock = w->verb == WISH_LOCK, unlock = w->verb == WISH_UNLOCK;
    bool back = serve_wish_is_back(w), plan = w->verb == WISH_PLAN;
    must(WISH_MOVES(w->verb) || plan || lock || unlock); /* the routes and the rooms know no other */
    if (lock && (!w->reason || !w->reason[0]))
        return err_set(err, E_USAGE, "lock: a reason is wanted, it is shown to everybody who is refused");
    if (unlock && w->force && (!w->reason || !w->reason[0]))
        return err_set(err, E_USAGE, "unlock: force wants a reason; it is recorded");
    word_add(ret, "", "release");
    word_add(ret, "", wish_name(back ? WISH_ROLLBACK : w->verb));
    word_add(ret, "root", s->options.root);
    word_add(ret, "state", s->state_path);
    word_add(ret, "operator", w->who);
    if (run || (plan && !back)) {
        word_add(ret, "rev", w->rev);
        word_add(ret, "plan", w->plan);
        word_add(ret, "stages", w->stages);
        word_add(ret, "window", w->window);
    }
    if (!lock && !unlock) {
        word_add(ret, "only", w->only);
        word_add(ret, "exclude", w->exclude);
    }
    if (back)
        back_words(w, plan, ret);
    if (run || w->verb == WISH_RESUME) /* its doors ask for the environment's name themselves */
        word_add(ret, "", "--yes");
    if (plan && w->brief && !back)
        word_add(ret, "", "--brief");
    if (run)
        word_add(ret, "digest", w->digest);
    if (!plan && !lock && !unlock)
        word_add(ret, "approved-by", w->approved_by);
    if ((lock || unlock) && w->reason && w->reason[0])
        word_add(ret, "reason", w->reason);
    if (unlock && w->force)
        word_add(ret, "", "--force");
    word_add(ret, "", w->env);
    return true;
}

/* NULL: a word is no text (a path, say); it would drop out of the record. */
static const char *words_json(const struct command_line *w, struct arena *arena, struct err *err)
{
    json_t *list = json_array();
    bool ok = true;
    for (size_t i = 0; i < w->n; i++)
        ok = ok && json_array_append_new(list, json_string(w->argv[i])) == 0;
    auto_free char *text = json_dumps(list, JSON_COMPACT | JSON_ENSURE_ASCII);
    must(text);
    json_decref(list);
    if (ok)
        return arena_strdup(arena, text);
    err_set(err, E_USAGE, "the order cannot be written down: a word of its command line is not UTF-8");
    return NULL;
}

/* ---- files */

bool orders_open(struct serve *s, struct err *err)
{
    const char *slash = strrchr(s->state_path, '/');
    int n = slash ? (int)(slash - s->state_path) : 1;
    snprintf(s->orders_dir, sizeof s->orders_dir, "%.*s/orders", n, slash ? s->state_path : ".");
    struct stat st;
    if ((mkdir(s->orders_dir, 0700) != 0 && errno != EEXIST) || lstat(s->orders_dir, &st) != 0)
        return err_errno(err, E_JOURNAL, "%s cannot be made", s->orders_dir);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return err_set(
            err, E_CONFIG,
            "%s must be a directory of this user alone (mode 0700), as the output of orders lies in it",
            s->orders_dir);
    return true;
}

/* ---- the process that waits */

struct order_child {
    char **argv, **envp;
    const char *program;
    int go_fd; /* one byte: the start is in the journal; end of file: it is not */
    int out_fd, rc_fd, null_fd;
};

/* From here on only calls that are safe in a copy of a process with threads. */
static _Noreturn void be_command(const struct order_child *c)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(c->program, c->argv, c->envp);
    _exit(127);
}

#define RC_FD 3
#define GO_FD 4

/* Ends of other pipes would keep others waiting for an end of file, so they go at once. Copies high up first:
 * none of ours is then in the way of another. */
static void keep_only(const struct order_child *c)
{
    int null = fcntl(c->null_fd, F_DUPFD, 10), out = fcntl(c->out_fd, F_DUPFD, 10);
    int rc = fcntl(c->rc_fd, F_DUPFD, 10), go = fcntl(c->go_fd, F_DUPFD, 10);
    dup2(null, 0);
    dup2(out, 1);
    dup2(out, 2);
    dup2(rc, RC_FD);
    dup2(go, GO_FD);
    close_range(GO_FD + 1, ~0U, 0);
    fcntl(RC_FD, F_SETFD, FD_CLOEXEC);
    fcntl(GO_FD, F_SETFD, FD_CLOEXEC);
}

static _Noreturn void be_waiter(const struct order_child *c)
{
    char go = 0, text[16];
    int status = 0, rc;
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setsid();
    prctl(PR_SET_NAME, "release-order");
    keep_only(c);
    if (read(GO_FD, &go, 1) != 1)
        _exit(0);
    close(GO_FD);
    pid_t pid = fork();
    if (pid == 0)
        be_command(c);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    rc = pid < 0 ? 127 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    size_t n = 0;
    if (rc >= 100)
        text[n++] = (char)('0' + rc / 100);
    if (rc >= 10)
        text[n++] = (char)('0' + rc / 10 % 10);
    text[n++] = (char)('0' + rc % 10);
    text[n++] = '\n';
    _exit(write(RC_FD, text, n) == (ssize_t)n ? 0 : 1);
}

/* Our environment without what is between systemd and the server, and with the order's number, which the
 * command writes beside its release. */
static char **environment(int64_t id, struct arena *arena)
{
    size_t n = 0, k = 0;
    while (environ[n])
        n++;
    char **envp = arena_array(arena, n + 2, sizeof *envp);
    for (size_t i = 0; i < n; i++)
        if (!str_starts(environ[i], "NOTIFY_SOCKET=") && !str_starts(environ[i], "LISTEN_") &&
            !str_starts(environ[i], "RELEASE_ORDER="))
            envp[k++] = environ[i];
    envp[k++] = arena_printf(arena, "RELEASE_ORDER=%" PRId64, id);
    return envp;
}

static int file_make(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_APPEND, 0600);
}

/* The waiting process, and in *ret_go the pipe that lets it begin. -1: err says why. */
static pid_t waiter_start(struct serve *s, int64_t id, struct command_line *words, struct arena *arena,
                          int *ret_go, struct err *err)
{
    int go[2] = {-1, -1};
    auto_fd int out = file_make(children_file(s, id, "out", arena));
    auto_fd int rc = file_make(children_file(s, id, "rc", arena));
    auto_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct order_child c = {.argv = words->argv,
                            .envp = environment(id, arena),
                            .program = s->options.program,
                            .out_fd = out,
                            .rc_fd = rc,
                            .null_fd = null};
    if (out < 0 || rc < 0 || null < 0 || pipe2(go, O_CLOEXEC) != 0) {
        err_errno(err, E_IO, "order %" PRId64 ": no file for its output in %s", id, s->orders_dir);
        return -1;
    }
    c.go_fd = go[0];
    pid_t pid = fork();
    if (pid == 0) {
        close(go[1]);
        be_waiter(&c);
    }
    close(go[0]);
    *ret_go = go[1];
    if (pid < 0) {
        err_errno(err, E_LIMIT, "order %" PRId64 ": no process", id);
        auto_fd_fn(ret_go);
    }
    return pid;
}

/* ---- giving an order */

static bool write_down(struct serve *s, const struct order_wish *w, const char *argv, int64_t *ret_id,
                       struct err *err)
{
    struct order_new o = {.env = w->env,
                          .verb = w->verb,
                          .who = w->who,
                          .via = w->via,
                          .place = w->place ? w->place : "",
                          .argv = argv,
                          .at_ms = clock_wall_ms()};
    struct store *store = serve_writer(s, err);
    bool ok = store && order_insert(store, &o, ret_id, err);
    if (store)
        serve_writer_done(s);
    return ok;
}

static bool write_start(struct serve *s, int64_t id, pid_t pid, struct err *err)
{
    struct store *store = serve_writer(s, err);
    bool ok = store && order_started(store, id, pid, clock_wall_ms(), err);
    if (store)
        serve_writer_done(s);
    return ok;
}

static bool begin(struct serve *s, int64_t id, struct command_line *words, struct arena *arena,
                  struct err *err)
{
    auto_fd int go = -1;
    pid_t pid = waiter_start(s, id, words, arena, &go, err);
    bool ok = pid > 0 && write_start(s, id, pid, err);
    if (ok && write(go, "g", 1) != 1)
        ok = err_errno(err, E_IO, "order %" PRId64 ": its process is gone", id);
    if (pid > 0)
        children_watch(s, id, pid);
    if (!ok)
        orders_end(s, id, -1, err->text);
    return ok;
}

static bool start_child(struct serve *s, const struct order_wish *wish, int64_t *ret_id, struct err *err)
{
    auto_arena struct arena arena = {0};
    struct command_line words = {.arena = &arena};
    if (!words_of(s, wish, &words, err))
        return false;
    const char *argv = words_json(&words, &arena, err);
    return argv && write_down(s, wish, argv, ret_id, err) && begin(s, *ret_id, &words, &arena, err);
}

/* ---- pause and abort: what ctrl-C does, to the process that holds the lock */

static bool holder_find(const char *env, struct store *store, struct lock_info *l, struct arena *arena,
                        struct err *err)
{
    if (!lock_get(reader(store, arena), env, l, err))
        return false;
    return (l->held && l->holder == HOLDER_ALIVE && l->pid > 1) ||
           err_set(err, E_STATE, "%s: nothing runs here that could be stopped (lock: %s)", env,
                   lock_text(l, arena));
}

/* The descriptor names one process for good; asked again through it, the pid cannot have become another's.
 * Two signals that differ, as two equal ones that come at once are one. */
static bool holder_signal(const struct lock_info *l, bool abort_now, struct err *err)
{
    auto_fd int fd = (int)syscall(SYS_pidfd_open, (pid_t)l->pid, 0);
    bool ok = fd >= 0 && process_lives(l->pid, l->pid_start) &&
              syscall(SYS_pidfd_send_signal, fd, SIGINT, NULL, 0) == 0 &&
              (!abort_now || syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) == 0);
    return ok || err_errno(err, E_STATE, "process %" PRId64 " cannot be told", l->pid);
}

static bool tell_holder(struct serve *s, const struct order_wish *wish, int64_t *ret_id, struct err *err)
{
    auto_arena struct arena arena = {0};
    auto_store struct store *store = NULL;
    struct lock_info l;
    if (!serve_store(s, &store, err) || !holder_find(wish->env, store, &l, &arena, err))
        return false;
    const char *argv =
        arena_printf(&arena, "[\"%s\",%" PRId64 "]", wish->verb == WISH_ABORT ? "INT+TERM" : "INT", l.pid);
    if (!write_down(s, wish, argv, ret_id, err))
        return false;
    bool ok = holder_signal(&l, wish->verb == WISH_ABORT, err);
    orders_end(s, *ret_id, ok ? 0 : -1, ok ? "" : err->text);
    return ok;
}

bool serve_order(struct serve *s, const struct order_wish *wish, int64_t *ret_id, struct err *err)
{
    if (!serve_wish_ok(wish, err))
        return false;
    if (children_count(s) >= ORDERS_AT_ONCE)
        return err_set(err, E_LIMIT, "%d orders are under way at once; nothing was started; try again",
                       ORDERS_AT_ONCE);
    bool ok = wish->verb == WISH_PAUSE || wish->verb == WISH_ABORT ? tell_holder(s, wish, ret_id, err)
                                                                   : start_child(s, wish, ret_id, err);
    if (ok)
        children_given(s);
    if (ok)
        serve_log("order %" PRId64 ": %s %s by %s (%s)", *ret_id, wish_name(wish->verb), wish->env, wish->who,
                  wish->place ? wish->place : "");
    return ok;
}
