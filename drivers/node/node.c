/* SPDX-License-Identifier: MIT */
/* Commands on a node that observe (drivers/node/node.h): read, job, probe; and how a command becomes one string
 * for a login shell. Changes are in node_change.c. */
#include "drivers/node/node_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/host.h"

/* Runs a script that observes: as another user if asked, then in its directory with its environment from
 * stdin. The same as `inner` in runner.sh, with the pid told first so that a late one can be ended. */
static const char read_text[] =
    "i=$1 m=$2 u=$3\n"
    "shift 3\n"
    "printf '\\001%s pid %s\\n' \"$m\" $$ >&2\n"
    "if [ -n \"$u\" ] && [ \"$(id -un)\" != \"$u\" ]; then\n"
    "    [ \"$(id -u)\" = 0 ] && exec runuser -u \"$u\" -- sh -c \"$i\" sh \"$m\" \"$u\" \"$@\"\n"
    "    exec sudo -n -u \"$u\" -- sh -c \"$i\" sh \"$m\" \"$u\" \"$@\"\n"
    "fi\n"
    "set -- \"$m\" '' \"$@\"\n"
    "unset i m u\n"
    "eval \"unset INNER\n"
    "$INNER\"\n";

static const char inner_text[] = "m=$1 u=$2 n=$3 d=$4 s=$5\n"
                                 "shift 5\n"
                                 "[ -z \"$u\" ] || { eval \"HOME=~$u\"; USER=$u LOGNAME=$u; export HOME USER "
                                 "LOGNAME; }\n"
                                 "cd -- \"${d:-$HOME}\" 2>/dev/null || if [ -z \"$d\" ]; then cd /; else\n"
                                 "    printf '\\001%s cwd\\n' \"$m\" >&2\n"
                                 "    exit 125\n"
                                 "fi\n"
                                 "[ \"$n\" = 0 ] || eval \"$(head -c \"$n\")\"\n"
                                 "(unset m u n d\n"
                                 "eval \"unset s\n"
                                 "$s\")\n"
                                 "s=$?\n"
                                 "printf '\\001%s status %s\\n' \"$m\" $s >&2\n"
                                 "exit $s\n";

void words_add(struct buf *command, const char *word)
{
    if (command->len)
        buf_add(command, " ", 1);
    quote_sh(command, word);
}

void env_text(struct buf *out, const struct node_cmd *cmd)
{
    for (size_t i = 0; i < cmd->n_env; i++) {
        buf_printf(out, "export %s=", cmd->env[i].name);
        quote_sh(out, cmd->env[i].value);
        buf_puts(out, "\n");
    }
    if (cmd->n_env)
        buf_puts(out, ":\n");
}

static bool variable_valid(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    return n > 0 && name[n] == '\0' && (name[0] < '0' || name[0] > '9');
}

bool cmd_valid(struct op *op, const struct node_cmd *cmd)
{
    if (cmd->runas && *cmd->runas && !name_valid(cmd->runas, 64))
        return op_refused(op, E_CONFIG, "runas: '%s' is not a user name", cmd->runas), false;
    for (size_t i = 0; i < cmd->n_env; i++)
        if (!variable_valid(cmd->env[i].name))
            return op_refused(op, E_CONFIG, "env: '%s' is not a variable name", cmd->env[i].name), false;
    return true;
}

const char *target_state_dir(const struct target *t)
{
    return t->state_dir ? t->state_dir : ".release/default";
}

static void result_op_fail_late(struct op *op, const struct target *t)
{
    op_fail(op, E_LATE, "%s: the command did not end before the step's deadline", t->id);
}

void node_fail(struct op *op, const struct target *t, enum link_end end, const struct err *err)
{
    switch (end) {
    case LINK_LATE: result_op_fail_late(op, t); break;
    case LINK_CANCELED: op_fail(op, E_CANCELED, "%s: stopped by the operator", t->id); break;
    case LINK_LOST:
    case LINK_REFUSED: op_fail(op, err->code, "%s", err->text); break;
    case LINK_OK:
    case LINK_BOUND: must(false);
    }
}

bool node_needed(struct op *op)
{
    if (op->spec.target)
        return true;
    op_fail(op, E_CONFIG, "%s needs a node and the plan gave none",
            op->spec.verb ? op->spec.verb->name : "this verb");
    return false;
}

enum link_end node_call(struct op *op, const struct target *t, const struct call_text *text,
                        struct feed *feed, struct call_end *ret, struct err *err)
{
    struct link *link = NULL;
    struct call *call = NULL;
    enum link_end end = link_lease(op, t, &link, err);
    if (end != LINK_OK)
        return end;
    struct call_req req = {.command = text->command,
                           .prelude = text->prelude,
                           .input = text->input ? text->input->data : NULL,
                           .input_len = text->input ? text->input->len : 0,
                           .output = feed_output,
                           .ctx = feed};
    link->n_calls++;
    end = link->transport->call(op, link, &req, &call, err);
    if (end == LINK_OK)
        end = link->transport->pump(op, call, CLOCK_NEVER, ret, err);
    feed_end(feed);
    link->transport->call_free(call);
    link->n_calls--;
    if (end == LINK_LOST)
        link->broken = true;
    return end;
}

/* ---- reading
 * ------------------------------------------------------------------------------------------------------ */

static void read_command(struct buf *command, const struct node_cmd *cmd, const char *nonce, size_t n_env)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%zu", n_env);
    buf_puts(command, "exec sh -c");
    auto_buf struct buf text = BUF_INIT(COMMAND_MAX);
    buf_puts(&text, "INNER=$1\n");
    buf_puts(&text, read_text);
    words_add(command, buf_str(&text));
    const char *words[] = {
        "sh", inner_text, nonce, cmd->runas ? cmd->runas : "", digits, cmd->cwd ? cmd->cwd : "", cmd->script};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        words_add(command, words[i]);
    for (const char *const *arg = cmd->args; arg && *arg; arg++)
        words_add(command, *arg);
}

/* A late reader is ended, so that it does not pile up with the next one. The op is over: a bounded extra
 * second or two, and whatever happens then is not the op's business. */
static void read_kill(struct op *op, const struct target *t, const struct feed *feed)
{
    const char *pid = feed_line(feed, "pid", op_arena(op));
    if (!pid || atoi(pid) < 2)
        return;
    /* Its whole group: over a shell that stays, that is the shell, too, which is given up anyway. */
    static const char text[] = "read -r s </proc/$1/stat || exit 0\n"
                               "set -- ${s##*) }\n"
                               "kill -s TERM -- -$3\n"
                               "sleep 0.5\n"
                               "kill -s KILL -- -$3 2>/dev/null\n";
    auto_buf struct buf command = BUF_INIT(COMMAND_MAX);
    buf_puts(&command, "exec setsid sh -c");
    words_add(&command, text);
    words_add(&command, "sh");
    words_add(&command, pid);
    struct node_cmd none = {.quiet = true};
    struct taken taken;
    struct feed quiet;
    struct call_end end;
    struct err err;
    int64_t deadline = op->deadline_ms;
    op->deadline_ms = clock_mono_ms() + 3000;
    taken_init(&taken, op, &none);
    feed_init(&quiet, &taken);
    node_call(op, t, &(struct call_text){.command = buf_str(&command)}, &quiet, &end, &err);
    feed_fini(&quiet);
    taken_fini(&taken);
    op->deadline_ms = deadline;
}

/* The script's own last word is its status: libssh2 says 0 when none ever came, and ssh says 255 for a
 * signal. */
/* A command that was read to its end: where, what, and what came back. */
struct read_back {
    const struct target *target;
    const struct node_cmd *cmd;
    struct feed *feed;
    struct call_end end;
};

static enum link_end read_judge(struct op *op, const struct read_back *r, struct node_result *ret,
                                struct err *err)
{
    struct feed *feed = r->feed;
    const struct call_end *end = &r->end;
    const char *status = feed_line(feed, "status", op_arena(op));
    if (feed_line(feed, "cwd", op_arena(op))) {
        err_set(err, E_NOTFOUND, "%s: there is no directory %s", r->target->id, r->cmd->cwd);
        return LINK_REFUSED;
    }
    if (!status && end->status == 0) {
        err_set(err, E_NET, "%s: the command ended without a status", r->target->id);
        return LINK_LOST;
    }
    ret->status = status ? atoi(status) : end->status;
    ret->signal = status ? 0 : end->signal;
    if (!status && end->status > 128) {
        /* Run by a shell that stays, a killed one looks like this. */
        ret->status = -1;
        ret->signal = end->status - 128;
    }
    taken_result(feed->taken, ret);
    return LINK_OK;
}

bool target_read(struct op *op, const struct target *t, const struct node_cmd *cmd, struct node_result *ret)
{
    *ret = (struct node_result){.status = -1};
    if (op->failed || !cmd_valid(op, cmd))
        return false;
    auto_buf struct buf input = BUF_INIT(SIZE_MAX);
    env_text(&input, cmd);
    size_t n_env = input.len;
    if (cmd->input)
        buf_add(&input, cmd->input, cmd->input_len);
    enum link_end end = LINK_LOST;
    struct err err = {0};
    op->unreached = false;
    /* Reading may be repeated: a connection that broke while idle, or in the middle, costs one more attempt.
     * A host that could not be reached had its time already. */
    for (int attempt = 0; attempt < 2 && end == LINK_LOST && !op->unreached; attempt++) {
        struct taken taken;
        struct feed feed;
        struct read_back now = {.target = t, .cmd = cmd, .feed = &feed};
        auto_buf struct buf command = BUF_INIT(COMMAND_MAX);
        taken_init(&taken, op, cmd);
        feed_init(&feed, &taken);
        read_command(&command, cmd, feed.nonce, n_env);
        if (command.cut) {
            err_set(&err, E_LIMIT, "%s: the command and its arguments are longer than %u bytes", t->id,
                    COMMAND_MAX);
            end = LINK_REFUSED;
        } else {
            end = node_call(op, t, &(struct call_text){.command = buf_str(&command), .input = &input}, &feed,
                            &now.end, &err);
        }
        if (end == LINK_OK)
            end = read_judge(op, &now, ret, &err);
        else if (end == LINK_LATE)
            read_kill(op, t, &feed);
        feed_fini(&feed);
        taken_fini(&taken);
    }
    if (end != LINK_OK)
        node_fail(op, t, end, &err);
    return end == LINK_OK;
}

bool node_read(struct op *op, const struct node_cmd *cmd, struct node_result *ret)
{
    return node_needed(op) && target_read(op, op->spec.target, cmd, ret);
}

/* ---- the runner
 * --------------------------------------------------------------------------------------------------- */

static const char *runner_name(void)
{
    static _Thread_local char name[32];
    if (!name[0]) {
        char hex[SHA256_HEX_LEN + 1];
        sha256_hex(runner_text, runner_text_len, hex);
        snprintf(name, sizeof(name), "runner-%.16s", hex);
    }
    return name;
}

void runner_command(struct buf *out, const char *mode, const char *nonce, const char *key)
{
    buf_puts(out, "set --");
    words_add(out, mode);
    words_add(out, nonce);
    words_add(out, key);
}

void runner_command_end(struct buf *out, const struct target *t, const char *nonce)
{
    buf_puts(out, "\ncd && cd -- ");
    quote_sh(out, target_state_dir(t));
    buf_printf(
        out,
        " 2>/dev/null && [ -r %s ] && if [ \"$release_runner\" = %s ]; then release_main \"$@\"; exit; "
        "else exec sh %s \"$@\"; fi; printf '\\001%%s install\\n' %s >&2",
        runner_name(), runner_name(), runner_name(), nonce);
}

/* Reading the runner costs a shell a millisecond; one that stays does it once. */
const char *runner_prelude(struct op *op, const struct target *t)
{
    auto_buf struct buf out = BUF_INIT(COMMAND_MAX);
    buf_printf(&out, "[ \"$release_runner\" = %s ] || { cd && cd -- ", runner_name());
    quote_sh(&out, target_state_dir(t));
    buf_printf(&out, " && [ -r %s ] && . ./%s && release_runner=%s; } </dev/null >/dev/null 2>&1",
               runner_name(), runner_name(), runner_name());
    return arena_strdup(op_arena(op), buf_str(&out));
}

/* Under a temporary name first: a cut upload must never be run. */
static const char install_text[] =
    "umask 077\n"
    "mkdir -p -- \"$1/jobs\" && cd -- \"$1\" && head -c \"$3\" >\"$2.$$\" || exit 1\n"
    "if [ \"$(wc -c <\"$2.$$\")\" -ne \"$3\" ]; then rm -f \"$2.$$\"; exit 1; fi\n"
    "mv -f \"$2.$$\" \"$2\"\n"
    "for old in runner-*; do [ \"$old\" = \"$2\" ] || rm -f \"$old\"; done\n";

enum link_end runner_install(struct op *op, const struct target *t, struct err *err)
{
    char length[16];
    snprintf(length, sizeof(length), "%u", runner_text_len);
    auto_buf struct buf command = BUF_INIT(COMMAND_MAX), input = BUF_INIT(SIZE_MAX);
    buf_puts(&command, "cd && exec sh -c");
    words_add(&command, install_text);
    const char *words[] = {"sh", target_state_dir(t), runner_name(), length};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        words_add(&command, words[i]);
    buf_add(&input, runner_text, runner_text_len);
    struct node_cmd quiet = {.quiet = true};
    struct taken taken;
    struct feed feed;
    struct call_end call_end = {0};
    taken_init(&taken, op, &quiet);
    feed_init(&feed, &taken);
    enum link_end end = node_call(op, t, &(struct call_text){.command = buf_str(&command), .input = &input},
                                  &feed, &call_end, err);
    if (end == LINK_OK && call_end.status != 0) {
        err_set(err, E_IO, "%s: cannot write the runner into %s: %s; is the disk full or read-only?", t->id,
                target_state_dir(t), buf_str(&taken.keep[1]));
        end = LINK_REFUSED;
    }
    feed_fini(&feed);
    taken_fini(&taken);
    return end;
}

const char *op_job_key(struct op *op, const char *suffix)
{
    const char *key = op->spec.step_key ? op->spec.step_key : "exec";
    if (suffix)
        key = arena_printf(op_arena(op), "%s-%s", key, suffix);
    must(name_valid(key, 200));
    return key;
}

/* One question to the runner; *ret_state NULL when it gave no answer. */
static enum link_end job_ask(struct op *op, const struct target *t, const char **ret_state, struct err *err)
{
    struct node_cmd quiet = {.quiet = true};
    struct taken taken;
    struct feed feed;
    struct call_end call_end = {0};
    auto_buf struct buf command = BUF_INIT(COMMAND_MAX);
    enum link_end end = LINK_LOST;
    op->unreached = false;
    for (int attempt = 0; attempt < 2 && end == LINK_LOST && !op->unreached; attempt++) {
        buf_reset(&command);
        taken_init(&taken, op, &quiet);
        feed_init(&feed, &taken);
        runner_command(&command, "job", feed.nonce, op_job_key(op, NULL));
        runner_command_end(&command, t, feed.nonce);
        end = node_call(op, t,
                        &(struct call_text){.command = buf_str(&command), .prelude = runner_prelude(op, t)},
                        &feed, &call_end, err);
        *ret_state = feed_line(&feed, "state", op_arena(op));
        feed_fini(&feed);
        taken_fini(&taken);
    }
    return end;
}

bool node_job(struct op *op, enum node_job *ret, int *ret_status)
{
    if (op->failed || !node_needed(op))
        return false;
    const struct target *t = op->spec.target;
    const char *state = NULL;
    struct err err = {0};
    enum link_end end = job_ask(op, t, &state, &err);
    if (end == LINK_OK && !state) {
        /* No runner of this version there, but an older one may have started jobs: ask with ours. */
        end = runner_install(op, t, &err);
        if (end == LINK_OK)
            end = job_ask(op, t, &state, &err);
    }
    if (end != LINK_OK) {
        node_fail(op, t, end, &err);
        return false;
    }
    if (!state) {
        op_unknown(op, E_PROTO, "%s: the runner gave no answer about '%s'", t->id, op_job_key(op, NULL));
        return false;
    }
    *ret_status = str_starts(state, "ended ") ? atoi(state + 6) : -1;
    *ret = strcmp(state, "never") == 0    ? JOB_NEVER
           : str_starts(state, "ended")   ? JOB_ENDED
           : str_starts(state, "running") ? JOB_RUNNING
                                          : JOB_LOST;
    return true;
}

/* ---- targets
 * ------------------------------------------------------------------------------------------------------ */

const struct target *op_target(const struct op *op)
{
    return op->spec.target;
}

const struct target target_controller = {.id = "controller", .transport = "local", .host = "localhost"};

const struct target *op_target_host(struct op *op, const char *host)
{
    static const struct target here = {.id = "localhost", .transport = "local", .host = "localhost"};
    struct target *t = arena_alloc(op_arena(op), sizeof(*t));
    if (!host) {
        *t = here;
        t->state_dir = op->spec.ssh_defaults ? op->spec.ssh_defaults->state_dir : NULL;
        return t;
    }
    if (op->spec.ssh_defaults)
        *t = *op->spec.ssh_defaults;
    t->id = t->host = arena_strdup(op_arena(op), host);
    t->identity = NULL;
    /* Nodes that are this machine say nothing of where their balancer is: run here, a name would be dropped in silence. */
    if (!t->transport || (!strcmp(t->transport, "local") && !host_is_here(host)))
        t->transport = "ssh";
    return t;
}
