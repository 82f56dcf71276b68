/* SPDX-License-Identifier: MIT */
/* Running the program: no shell, a process group of its own, a deadline of its own, bounded output. */
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/str.h"
#include "drivers/balancer/command/command.h"
#include "drivers/op/process.h"

#define ANSWER_MAX (8u << 20)
#define WORDS_MAX  (16u << 10)

struct program_said {
    struct buf out, err;
};

static void said_fini(struct program_said *s)
{
    buf_fini(&s->out);
    buf_fini(&s->err);
}

static void hear(void *ctx, int stream, const char *data, size_t n)
{
    struct program_said *s = ctx;
    buf_add(stream == 1 ? &s->out : &s->err, data, n);
}

static void process_fn(struct process **p)
{
    process_free(*p);
}

/* What it wrote to stderr is for people, and may be anything. */
static const char *its_words(struct op *op, const struct program_said *s)
{
    const char *line = lb_first_line(op, buf_str(&s->err));
    return *line ? line : "it said nothing on stderr";
}

/* Ended in time, with status 0 and an answer of a size that can be. */
static bool answered(struct lb *lb, const char *who, enum link_end end, const struct call_end *how,
                     const struct program_said *s)
{
    struct op *op = lb->op;
    if (end == LINK_BOUND)
        op_fail(op, E_LATE, "%s: the program did not end within %lld s (call_timeout) and was killed: %s",
                who, (long long)op_arg_ms(op, "call_timeout") / 1000, its_words(op, s));
    else if (end != LINK_OK)
        process_fail(op, end);
    else if (how->signal)
        op_fail(op, E_STATUS, "%s: the program was ended by signal %d: %s", who, how->signal,
                its_words(op, s));
    else if (how->status != 0)
        op_fail(op, E_STATUS, "%s: the program ended with status %d: %s", who, how->status, its_words(op, s));
    else if (s->out.cut)
        op_fail(op, E_PROTO, "%s: the program answered more than %u MiB", who, ANSWER_MAX >> 20);
    else
        return true;
    return false;
}

const char *command_ask(struct lb *lb, size_t peer, json_t *question)
{
    struct op *op = lb->op;
    const char *who = lb->peers[peer].text;
    size_t n;
    const char *const *argv = op_arg_list(op, "program", &n);
    json_object_set_new(question, "form", json_integer(COMMAND_FORM));
    json_object_set_new(question, "balancer", json_string(who));
    if (op_arg(op, "secret"))
        json_object_set_new(question, "secret", json_string(op_arg(op, "secret")));
    auto_free char *text = json_dumps(question, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_SORT_KEYS);
    json_decref(question);
    if (!text) { /* bytes that are no UTF-8, which only the secret can have */
        op_refused(op, E_CONFIG, "%s: the secret is not text in UTF-8", who);
        return NULL;
    }
    __attribute__((cleanup(said_fini))) struct program_said said = {.out = BUF_INIT(ANSWER_MAX),
                                                                    .err = BUF_INIT(WORDS_MAX)};
    const struct call_req req = {.input = text, .input_len = strlen(text), .output = hear, .ctx = &said};
    struct err err = {0};
    struct call_end how = {0};
    __attribute__((cleanup(process_fn))) struct process *p = process_start(argv, &req, &err);
    if (!p) {
        op_refused(op, E_CONFIG, "%s: %s (program: of the pillar)", who, err.text);
        return NULL;
    }
    op_asking(op, who);
    enum link_end end = process_pump(op, p, clock_mono_ms() + op_arg_ms(op, "call_timeout"), &how, &err);
    bool fine = answered(lb, who, end, &how, &said);
    op_asking(op, NULL);
    return fine ? arena_strndup(op_arena(op), buf_str(&said.out), said.out.len) : NULL;
}
