/* SPDX-License-Identifier: MIT */
/* The op: what a verb was asked, its one way to wait, and what it reports (drivers/op/driver.h).
 *
 * An op belongs to one worker thread from op_new to op_free. Nothing here blocks but op_poll, which honours
 * deadline and cancel. */
#include "drivers/op/inner.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct op *op_new(const struct op_spec *spec)
{
    struct op *op = xcalloc(1, sizeof(*op));
    op->spec = *spec;
    op->deadline_ms = spec->deadline_mono_ms;
    op->result.ready = true;
    op->result.changed = spec->verb && spec->verb->effect == EFFECT_CHANGE;
    for (int i = 0; i < 3; i++)
        op->redactors[i] = redact_new(spec->secrets);
    return op;
}

struct flush_to {
    struct op *op;
    int stream;
};

static void sink_write(void *ctx, const char *data, size_t n)
{
    struct flush_to *to = ctx;
    if (to->op->spec.sink.write && n)
        to->op->spec.sink.write(to->op->spec.sink.ctx, to->stream, data, n);
}

static void leave(struct op *op)
{
    if (op->leave)
        op->leave(op);
}

const struct op_result *op_run(struct op *op)
{
    enum outcome said = op->spec.verb->run(op);
    /* A verb that forgot to return what it recorded must not turn a failure into ok. */
    if (!op->failed)
        op->result.outcome = said;
    for (int i = 0; i < 3; i++)
        if (op->redactors[i])
            redact_flush(op->redactors[i], sink_write, &(struct flush_to){.op = op, .stream = i});
    leave(op);
    op->result.err = op->err;
    op->result.facts = op->facts;
    op->result.n_facts = op->n_facts;
    return &op->result;
}

void op_free(struct op *op)
{
    if (!op)
        return;
    leave(op);
    for (int i = 0; i < 3; i++)
        redact_free(op->redactors[i]);
    arena_fini(&op->arena);
    free(op);
}

const char *verb_deadline_key(const struct verb *verb, struct arena *arena)
{
    const char *name = verb ? strchr(verb->name, '.') : NULL;
    if (!name || (verb->deadline && !*verb->deadline))
        return "timeout";
    return verb->deadline ? verb->deadline : arena_printf(arena, "%s_timeout", name + 1);
}

/* ---- what it was asked
 * -------------------------------------------------------------------------------------------- */

const char *op_pair_value(const struct op_pair *pairs, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(pairs[i].name, name) == 0)
            return pairs[i].value;
    return NULL;
}

const char *op_arg(const struct op *op, const char *name)
{
    const char *value = op_pair_value(op->spec.args, op->spec.n_args, name);
    if (value || !op->spec.verb || !op->spec.verb->params)
        return value;
    for (const struct param *p = op->spec.verb->params; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p->deflt;
    return NULL;
}

const char *op_arg_text(const struct op *op, const char *name)
{
    const char *v = op_arg(op, name);
    return v ? v : "";
}

static enum param_type param_type_of(const struct op *op, const char *name)
{
    for (const struct param *p = op->spec.verb ? op->spec.verb->params : NULL; p && p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p->type;
    return PARAM_STR;
}

int64_t op_arg_int(const struct op *op, const char *name)
{
    const char *value = op_arg(op, name);
    int64_t n = 0;
    if (!value)
        return 0;
    if (param_type_of(op, name) == PARAM_SIZE)
        return size_parse(value, &n) ? n : 0;
    return strtoll(value, NULL, 10);
}

int64_t op_arg_ms(const struct op *op, const char *name)
{
    const char *value = op_arg(op, name);
    int64_t ms = 0;
    return value && duration_parse(value, &ms) ? ms : 0;
}

bool op_arg_bool(const struct op *op, const char *name)
{
    const char *value = op_arg(op, name);
    return value && (strcmp(value, "yes") == 0 || strcmp(value, "true") == 0);
}

/* Scalars of a frozen list or map are text already; numbers and truths are accepted for hand-made ones. */
static const char *json_scalar(struct op *op, const json_t *v)
{
    if (json_is_string(v))
        return arena_strdup(&op->arena, json_string_value(v));
    if (json_is_integer(v))
        return arena_printf(&op->arena, "%" PRId64, (int64_t)json_integer_value(v));
    if (json_is_boolean(v))
        return json_is_true(v) ? "yes" : "no";
    return "";
}

static struct op_list list_read(struct op *op, const char *text)
{
    json_t *list = text ? json_loads(text, 0, NULL) : NULL;
    size_t n = json_array_size(list);
    const char **items = arena_array(&op->arena, n + 1, sizeof(*items));
    for (size_t i = 0; i < n; i++)
        items[i] = json_scalar(op, json_array_get(list, i));
    if (text && !json_is_array(list) && *text) {
        items = arena_array(&op->arena, 2, sizeof(*items)); /* one bare word is a list of one */
        items[0] = text;
        n = 1;
    }
    json_decref(list);
    return (struct op_list){.text = text, .items = items, .n = n};
}

const char *const *op_arg_list(struct op *op, const char *name, size_t *ret_n)
{
    const char *text = op_arg(op, name);
    size_t i = 0;
    while (i < op->n_lists && op->lists[i].text != text)
        i++;
    struct op_list list = i < op->n_lists ? op->lists[i] : list_read(op, text);
    if (i == op->n_lists && i < sizeof op->lists / sizeof *op->lists)
        op->lists[op->n_lists++] = list;
    if (ret_n)
        *ret_n = list.n;
    return list.items;
}

const struct op_pair *op_arg_map(struct op *op, const char *name, size_t *ret_n)
{
    const char *text = op_arg(op, name);
    json_t *map = text ? json_loads(text, 0, NULL) : NULL;
    size_t n = json_object_size(map), i = 0;
    struct op_pair *pairs = arena_array(&op->arena, n + 1, sizeof(*pairs));
    const char *key;
    json_t *v;
    json_object_foreach(map, key, v)
    {
        pairs[i++] = (struct op_pair){.name = arena_strdup(&op->arena, key), .value = json_scalar(op, v)};
    }
    json_decref(map);
    if (ret_n)
        *ret_n = n;
    return pairs;
}

const char *op_var(const struct op *op, const char *name)
{
    return op_pair_value(op->spec.vars, op->spec.n_vars, name);
}

const char *op_recall(const struct op *op, const char *fact)
{
    return op_pair_value(op->spec.recall, op->spec.n_recall, fact);
}

bool op_going_back(const struct op *op)
{
    return op->spec.going_back;
}

const struct verb *op_verb(const struct op *op)
{
    return op->spec.verb;
}

struct arena *op_arena(struct op *op)
{
    return &op->arena;
}

/* ---- waiting
 * ------------------------------------------------------------------------------------------------------ */

int op_left_ms(const struct op *op)
{
    if (op->deadline_ms == CLOCK_NEVER)
        return INT_MAX;
    int64_t left = op->deadline_ms - clock_mono_ms();
    return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

#define POLL_FDS_MAX 7

enum wait op_poll(struct op *op, struct pollfd *fds, nfds_t n, int64_t bound_ms)
{
    must(n <= POLL_FDS_MAX);
    struct pollfd all[POLL_FDS_MAX + 1];
    memcpy(all, fds, n * sizeof(*fds));
    all[n] = (struct pollfd){.fd = op->deaf ? -1 : op->spec.cancel_fd, .events = POLLIN};
    for (;;) {
        int64_t until = bound_ms < op->deadline_ms ? bound_ms : op->deadline_ms;
        int64_t left = until == CLOCK_NEVER ? -1 : until - clock_mono_ms();
        int timeout = until == CLOCK_NEVER ? -1 : left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
        int rc = poll(all, n + 1, timeout);
        if (rc < 0 && errno != EINTR)
            must_fail(__FILE__, __LINE__, "poll");
        if (rc < 0)
            continue;
        if (all[n].revents)
            return WAIT_CANCELED;
        /* A verb that is fed without pause must not outlive its deadline. */
        if (clock_mono_ms() >= op->deadline_ms)
            return WAIT_LATE;
        if (rc > 0) {
            for (nfds_t i = 0; i < n; i++)
                fds[i].revents = all[i].revents;
            return WAIT_READY;
        }
        if (clock_mono_ms() >= bound_ms)
            return WAIT_BOUND;
    }
}

enum outcome op_fail_wait(struct op *op, enum wait why)
{
    const char *id = op->asking ? op->asking : op->spec.target ? op->spec.target->id : NULL;
    if (why == WAIT_CANCELED)
        return op_fail(op, E_CANCELED, "%s%sstopped by the operator", id ? id : "", id ? ": " : "");
    return op_fail(op, E_LATE, "%s%sno answer before the step's deadline", id ? id : "", id ? ": " : "");
}

void op_asking(struct op *op, const char *who)
{
    op->asking = who;
}

bool op_wait(struct op *op, int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    enum wait w = op_poll(op, &p, 1, CLOCK_NEVER);
    if (w != WAIT_READY)
        op_fail_wait(op, w);
    return w == WAIT_READY;
}

bool op_wait_ms(struct op *op, int fd, short events, int bound_ms, bool *ret_late)
{
    struct pollfd p = {.fd = fd, .events = events};
    *ret_late = false;
    enum wait w = op_poll(op, &p, 1, clock_mono_ms() + bound_ms);
    if (w == WAIT_BOUND)
        *ret_late = true;
    else if (w != WAIT_READY)
        op_fail_wait(op, w);
    return w == WAIT_READY;
}

int64_t op_deadline_cap(struct op *op, int64_t ms_from_now)
{
    int64_t old = op->deadline_ms, wanted = clock_mono_ms() + ms_from_now;
    if (wanted < old)
        op->deadline_ms = wanted;
    return old;
}

void op_deadline_set(struct op *op, int64_t deadline_mono_ms)
{
    op->deadline_ms = deadline_mono_ms;
}

/* ---- what it reports
 * ---------------------------------------------------------------------------------------------- */

void op_sending(struct op *op)
{
    op->sent = true;
}

void op_fact(struct op *op, const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = arena_vprintf(&op->arena, fmt, ap);
    va_end(ap);
    const char *value = redact_text(op->spec.secrets, text, &op->arena);
    for (size_t i = 0; i < op->n_facts; i++)
        if (strcmp(op->facts[i].name, name) == 0) {
            op->facts[i].value = value; /* said twice: the later one holds */
            return;
        }
    if (op->n_facts == op->cap_facts) {
        size_t cap = op->cap_facts ? 2 * op->cap_facts : 8;
        struct op_pair *facts = arena_array(&op->arena, cap, sizeof(*facts));
        if (op->n_facts)
            memcpy(facts, op->facts, op->n_facts * sizeof(*facts));
        op->facts = facts;
        op->cap_facts = cap;
    }
    op->facts[op->n_facts++] = (struct op_pair){.name = arena_strdup(&op->arena, name), .value = value};
}

void op_ready(struct op *op, bool ready)
{
    op->result.ready = ready;
}

void op_changed(struct op *op, bool changed)
{
    op->result.changed = changed;
}

void op_lost(struct op *op)
{
    op->result.lost = true;
}

void op_gauge(struct op *op, int64_t value)
{
    op->result.gauge = value;
}

void op_say(struct op *op, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = arena_vprintf(&op->arena, fmt, ap);
    va_end(ap);
    const char *shown = redact_text(op->spec.secrets, text, &op->arena);
    sink_write(&(struct flush_to){.op = op, .stream = 0}, shown, strlen(shown));
}

void op_output(struct op *op, int stream, const void *data, size_t n)
{
    must(stream == 1 || stream == 2);
    struct flush_to to = {.op = op, .stream = stream};
    if (op->redactors[stream])
        redact_add(op->redactors[stream], data, n, sink_write, &to);
    else
        sink_write(&to, data, n);
}

/* The first failure stays: what came after it is only its consequence. */
static enum outcome op_record(struct op *op, enum outcome outcome, enum err_code code, const char *fmt,
                              va_list ap)
{
    if (op->failed)
        return op->result.outcome;
    const char *text = redact_text(op->spec.secrets, arena_vprintf(&op->arena, fmt, ap), &op->arena);
    err_set(&op->err, code, "%s", text);
    op->failed = true;
    op->result.outcome = outcome;
    return outcome;
}

enum outcome op_fail(struct op *op, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum outcome outcome = op_record(op, op->sent ? OUT_UNKNOWN : OUT_FAILED, code, fmt, ap);
    va_end(ap);
    return outcome;
}

enum outcome op_refused(struct op *op, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum outcome outcome = op_record(op, OUT_FAILED, code, fmt, ap);
    va_end(ap);
    return outcome;
}

enum outcome op_unknown(struct op *op, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum outcome outcome = op_record(op, OUT_UNKNOWN, code, fmt, ap);
    va_end(ap);
    return outcome;
}

enum outcome op_end(struct op *op)
{
    return op->failed ? op->result.outcome : OUT_OK;
}

struct op_failure op_set_aside(struct op *op)
{
    struct op_failure was = {.failed = op->failed, .outcome = op->result.outcome, .err = op->err};
    op->failed = false;
    op->err = (struct err){0};
    return was;
}

void op_take_up(struct op *op, const struct op_failure *was)
{
    op->failed = was->failed;
    op->result.outcome = was->outcome;
    op->err = was->err;
}

bool op_failed(const struct op *op)
{
    return op->failed;
}

const struct err *op_err(const struct op *op)
{
    return &op->err;
}
