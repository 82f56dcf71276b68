/* SPDX-License-Identifier: MIT */
/* Commands that change a node (drivers/node/node.h, ARCHITECTURE "On the node").
 *
 * The runner starts the command detached and writes everything into files, so a lost connection loses
 * nothing: the same call again under the same key finds the command running or ended and goes on from the
 * byte that was taken in last. A command that takes long is polled over a second channel, so that its output
 * is seen while it runs; a short one costs one call. */
#include "drivers/node/node_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define POLL_FIRST_MS    250
#define POLL_LONGEST_MS  1000
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   3000
#define KILL_GRACE       "30" /* tenths of a second between TERM and KILL */
#define KILL_WAIT_MS     20000
/* A call that ends without a word from the runner, this often in a row: the login shell is broken. */
#define SILENT_MAX 3

struct change {
    struct op *op;
    const struct target *target;
    const struct node_cmd *cmd;
    const char *key;
    struct taken taken;
    struct buf input;
    size_t n_env;
    bool polled, attached, installed;
    int silent;
    char nonce[NONCE_LEN + 1]; /* of the main call, for poll and stop */
    char token[NONCE_LEN + 1]; /* of the first one: what this op started, it takes up whatever became of it */
    struct err err;
};

static void number_add(struct buf *command, int64_t n)
{
    buf_printf(command, " %" PRId64, n);
}

static void run_command(struct change *ch, struct buf *command, const struct feed *feed)
{
    const struct op_spec *spec = &ch->op->spec;
    const struct node_cmd *cmd = ch->cmd;
    runner_command(command, "run", feed->nonce, ch->key);
    words_add(command, ch->token);
    words_add(command, op_owner(ch->op));
    number_add(command, spec->forced);
    number_add(command, spec->fence);
    words_add(command, spec->holder ? spec->holder : "?");
    words_add(command, ch->target->identity ? ch->target->identity : "");
    words_add(command, cmd->runas ? cmd->runas : "");
    words_add(command, cmd->cwd ? cmd->cwd : "");
    number_add(command, (int64_t)ch->n_env);
    number_add(command, (int64_t)ch->input.len);
    number_add(command, ch->taken.got[0]);
    number_add(command, ch->taken.got[1]);
    words_add(command, cmd->script);
    for (const char *const *arg = cmd->args; arg && *arg; arg++)
        words_add(command, *arg);
    runner_command_end(command, ch->target, feed->nonce);
}

/* A short runner call beside the main one, over the same link. *ret_state: what it said, NULL when the link
 * is no good. */
static enum link_end side_call(struct change *ch, const char *mode, const char *words, bool take_output,
                               const char **ret_state)
{
    struct taken nothing;
    struct feed feed;
    struct call_end call_end = {0};
    struct err err;
    struct node_cmd quiet = {.quiet = true};
    auto_buf struct buf command = BUF_INIT(COMMAND_MAX);
    taken_init(&nothing, ch->op, &quiet);
    feed_init(&feed, take_output ? &ch->taken : &nothing);
    memcpy(feed.pos, ch->taken.got, sizeof(feed.pos));
    runner_command(&command, mode, feed.nonce, ch->key);
    words_add(&command, ch->nonce);
    buf_puts(&command, words);
    runner_command_end(&command, ch->target, feed.nonce);
    struct call_text text = {.command = buf_str(&command), .prelude = runner_prelude(ch->op, ch->target)};
    enum link_end end = node_call(ch->op, ch->target, &text, &feed, &call_end, &err);
    *ret_state = end == LINK_OK ? feed_line(&feed, "state", op_arena(ch->op)) : NULL;
    feed_fini(&feed);
    taken_fini(&nothing);
    return end;
}

/* What was printed since the last look. */
static enum link_end poll_once(struct change *ch)
{
    const char *state = NULL;
    auto_buf struct buf words = BUF_INIT(64);
    number_add(&words, ch->taken.got[0]);
    number_add(&words, ch->taken.got[1]);
    ch->polled = true;
    return side_call(ch, "poll", buf_str(&words), true, &state);
}

/* The main call, with polls while it lasts. */
static enum link_end pump_polling(struct change *ch, struct link *link, struct call *call,
                                  struct call_end *ret)
{
    int64_t pause = POLL_FIRST_MS;
    for (;;) {
        enum link_end end = link->transport->pump(ch->op, call, clock_mono_ms() + pause, ret, &ch->err);
        if (end != LINK_BOUND)
            return end;
        int64_t before = ch->taken.got[0] + ch->taken.got[1];
        end = poll_once(ch);
        if (end == LINK_REFUSED) {
            /* No room for a second channel: the main call then prints everything at its end. */
            ch->polled = false;
            pause = INT32_MAX;
            continue;
        }
        if (end != LINK_OK)
            return end;
        /* Talkative commands are read often, silent ones cost little. */
        pause = ch->taken.got[0] + ch->taken.got[1] > before ? POLL_FIRST_MS : pause * 3 / 2;
        if (pause > POLL_LONGEST_MS)
            pause = POLL_LONGEST_MS;
    }
}

static enum link_end main_call(struct change *ch, struct feed *feed)
{
    struct link *link = NULL;
    struct call *call = NULL;
    struct call_end call_end = {0};
    auto_buf struct buf command = BUF_INIT(COMMAND_MAX);
    run_command(ch, &command, feed);
    if (command.cut) {
        err_set(&ch->err, E_LIMIT, "%s: the command and its arguments are longer than %u bytes",
                ch->target->id, COMMAND_MAX);
        return LINK_REFUSED;
    }
    enum link_end end = link_lease(ch->op, ch->target, &link, &ch->err);
    if (end != LINK_OK)
        return end;
    op_sending(ch->op);
    struct call_req req = {.command = buf_str(&command),
                           .prelude = runner_prelude(ch->op, ch->target),
                           .input = ch->input.data,
                           .input_len = ch->input.len,
                           .output = feed_output,
                           .ctx = feed};
    link->n_calls++;
    end = link->transport->call(ch->op, link, &req, &call, &ch->err);
    if (end == LINK_OK)
        end = pump_polling(ch, link, call, &call_end);
    feed_end(feed);
    link->transport->call_free(call);
    link->n_calls--;
    if (end == LINK_LOST)
        link->broken = true;
    return end;
}

/* ---- what the runner said
 * ------------------------------------------------------------------------------------------ */

/* The runner refused before it started anything. True: it did. */
static bool judge_refusal(struct change *ch, const struct feed *feed)
{
    struct op *op = ch->op;
    struct arena *a = op_arena(op);
    const char *id = ch->target->id, *w;
    if (claim_refused(op, ch->target, feed))
        return true;
    if ((w = feed_line(feed, "identity", a)))
        op_refused(op, E_IDENTITY,
                   "%s: this is %s, and the plan was made for %s; nothing was done there. "
                   "Is the address right?",
                   id, w, ch->target->identity);
    else if (feed_line(feed, "cwd", a))
        op_refused(op, E_NOTFOUND, "%s: there is no directory %s", id, ch->cmd->cwd);
    else if (feed_line(feed, "input", a))
        op_refused(op, E_IO, "%s: could not store the command's input in %s/jobs; is the disk full?", id,
                   target_state_dir(ch->target));
    else if ((w = feed_line(feed, "cannot", a)))
        op_refused(op, E_IO, "%s: cannot %s; is the disk full or read-only?", id, w);
    else if ((w = feed_line(feed, "leftover", a)))
        op_refused(op, E_STATE,
                   "%s: a process of an earlier step (%s: key and pid) cannot be ended; look at it "
                   "there, then 'release resume'",
                   id, w);
    else if (feed_line(feed, "stopped", a))
        op_refused(op, E_LATE, "%s: not started, the step's deadline had passed", id);
    else
        return false;
    return true;
}

static bool ended(struct change *ch, const char *words, struct node_result *ret)
{
    const char *status = strchr(words, ' ');
    ret->status = status ? atoi(status + 1) : -1;
    ret->attached = ch->attached || str_starts(words, "attached") || str_starts(words, "recorded");
    if (ch->polled) {
        /* The main call printed nothing then; a poll after the end gives the rest. */
        enum link_end end = poll_once(ch);
        if (end == LINK_LATE || end == LINK_CANCELED)
            op_say(ch->op, "the end of the output could not be fetched in time");
    }
    taken_result(&ch->taken, ret);
    return true;
}

/* DONE: *ret_good says how. AGAIN: call again. */
enum verdict { DONE, AGAIN };

static enum verdict judge(struct change *ch, const struct feed *feed, struct node_result *ret, bool *ret_good)
{
    struct op *op = ch->op;
    const char *words;
    *ret_good = false;
    if ((words = feed_line(feed, "ended", op_arena(op)))) {
        *ret_good = ended(ch, words, ret);
        return DONE;
    }
    if (judge_refusal(ch, feed))
        return DONE;
    if (feed_line(feed, "lost", op_arena(op))) {
        op_unknown(op, E_STATUS,
                   "%s: the command was started and is gone without an exit status (killed, or the node "
                   "restarted)",
                   ch->target->id);
        return DONE;
    }
    if (feed_line(feed, "install", op_arena(op)) && !ch->installed) {
        ch->installed = true;
        enum link_end end = runner_install(op, ch->target, &ch->err);
        if (end == LINK_OK || end == LINK_LOST)
            return AGAIN;
        node_fail(op, ch->target, end, &ch->err);
        return DONE;
    }
    if (++ch->silent < SILENT_MAX)
        return AGAIN;
    op_fail(op, E_PROTO,
            "%s: the runner ended without an answer: '%.200s'; does the login shell print or exit "
            "by itself?",
            ch->target->id, buf_str(&ch->taken.keep[1]));
    return DONE;
}

/* ---- deadline and broken links
 * ------------------------------------------------------------------------------------- */

/* The deadline is gone: the command must not go on behind our back. A bounded time of its own, in which the
 * operator's cancel is not looked at. */
static void kill_late(struct change *ch)
{
    struct op *op = ch->op;
    const char *state = NULL;
    int64_t deadline = op->deadline_ms;
    op->deadline_ms = clock_mono_ms() + KILL_WAIT_MS;
    op->deaf = true;
    enum link_end end = side_call(ch, "stop", " " KILL_GRACE, false, &state);
    if (end == LINK_LOST) /* a link that broke unnoticed: one more */
        end = side_call(ch, "stop", " " KILL_GRACE, false, &state);
    if (end == LINK_OK)
        poll_once(ch);
    op->deaf = false;
    op->deadline_ms = deadline;
    const char *id = ch->target->id;
    if (end != LINK_OK || !state)
        op_unknown(op, E_LATE,
                   "%s: the command did not end in time, and the node does not answer; it may still "
                   "run there",
                   id);
    else if (str_starts(state, "alive"))
        op_unknown(op, E_LATE, "%s: the command did not end in time and cannot be killed (pid%s)", id,
                   state + strlen("alive"));
    else if (strcmp(state, "never") == 0)
        op_refused(op, E_LATE, "%s: the command was not started before the step's deadline", id);
    else
        op_fail(op, E_LATE, "%s: the command did not end before the step's deadline%s; `%s` allows more", id,
                strcmp(state, "killed") == 0 ? "; it was killed with all its processes" : "",
                verb_deadline_key(op->spec.verb, op_arena(op)));
}

/* After a break: wait, longer each time, until the deadline. False: late or cancelled, the op has failed. */
static bool back_off(struct change *ch, int64_t *pause)
{
    struct pollfd none = {.fd = -1};
    op_say(ch->op, "%s; connecting again", ch->err.text);
    enum wait w = op_poll(ch->op, &none, 1, clock_mono_ms() + *pause);
    *pause = *pause * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : *pause * 2;
    if (w == WAIT_BOUND)
        return true;
    if (w == WAIT_CANCELED)
        node_fail(ch->op, ch->target, LINK_CANCELED, &ch->err);
    else
        kill_late(ch);
    return false;
}

static bool change_run(struct change *ch, struct node_result *ret)
{
    int64_t pause = BACKOFF_FIRST_MS;
    for (;;) {
        struct feed feed;
        bool good = false;
        feed_init(&feed, &ch->taken);
        memcpy(feed.pos, ch->taken.got, sizeof(feed.pos));
        memcpy(ch->nonce, feed.nonce, sizeof(feed.nonce));
        if (!ch->token[0])
            memcpy(ch->token, feed.nonce, sizeof(feed.nonce));
        ch->polled = false;
        bool before = ch->op->sent;
        enum link_end end = main_call(ch, &feed);
        enum verdict v = end == LINK_OK ? judge(ch, &feed, ret, &good) : DONE;
        feed_fini(&feed);
        if (end == LINK_OK && v == DONE)
            return good;
        if (end == LINK_OK)
            continue;
        /* Nothing was ever sent: an ordinary failure, which the core may try again. */
        if (end == LINK_LOST && (before || ch->op->sent)) {
            ch->attached = true;
            if (!back_off(ch, &pause))
                return false;
        } else if (end == LINK_LATE && ch->op->sent) {
            kill_late(ch);
            return false;
        } else {
            node_fail(ch->op, ch->target, end, &ch->err);
            return false;
        }
    }
}

bool node_change(struct op *op, const struct node_cmd *cmd, struct node_result *ret)
{
    *ret = (struct node_result){.status = -1};
    return !op->failed && node_needed(op) && target_change(op, op->spec.target, cmd, ret);
}

bool target_change(struct op *op, const struct target *t, const struct node_cmd *cmd, struct node_result *ret)
{
    *ret = (struct node_result){.status = -1};
    if (op->failed || !cmd_valid(op, cmd))
        return false;
    struct change ch = {
        .op = op, .target = t, .cmd = cmd, .key = op_job_key(op, cmd->step_key), .input = BUF_INIT(SIZE_MAX)};
    taken_init(&ch.taken, op, cmd);
    env_text(&ch.input, cmd);
    ch.n_env = ch.input.len;
    if (cmd->input)
        buf_add(&ch.input, cmd->input, cmd->input_len);
    bool good = change_run(&ch, ret);
    taken_fini(&ch.taken);
    buf_fini(&ch.input);
    return good;
}
