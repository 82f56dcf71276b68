/* SPDX-License-Identifier: MIT */
/* `judge:` read and checked. */
#include "plans/judge.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "plans/compile_priv.h"

#define DEFAULT_REQUESTS    500
#define DEFAULT_DEADLINE_MS (10 * 60 * 1000)
#define SLOWER_SOAK_MS      5000 /* it is judged by five looks, at most two a second */

struct judge_block {
    const struct value *errors, *worse_than_others, *slower, *cmd, *prometheus;
    const char *on_no_traffic;
    int64_t min_requests, deadline_ms;
};

#define AT(member) offsetof(struct judge_block, member)
static const struct field fields[] = {
    {.name = "errors", .type = FIELD_VALUE, .offset = AT(errors)},
    {.name = "worse_than_others", .type = FIELD_VALUE, .offset = AT(worse_than_others)},
    {.name = "slower", .type = FIELD_VALUE, .offset = AT(slower)},
    {.name = "cmd", .type = FIELD_VALUE, .offset = AT(cmd)},
    {.name = "prometheus", .type = FIELD_VALUE, .offset = AT(prometheus)},
    {.name = "min_requests", .type = FIELD_INT, .offset = AT(min_requests), .min = 1, .max = 1000000000},
    {.name = "deadline", .type = FIELD_DURATION, .offset = AT(deadline_ms)},
    {.name = "on_no_traffic", .type = FIELD_CHOICE, .offset = AT(on_no_traffic), .choices = "stop|pass"},
    FIELD_END,
};

/* "1.25" -> 125 * 10^(decimals - 2): exact, without a float. false: no such number. */
static bool decimal(const char *text, size_t n, int decimals, int64_t max, int64_t *ret)
{
    int64_t value = 0;
    int behind = -1;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '.' && behind < 0 && i > 0 && i + 1 < n) {
            behind = 0;
            continue;
        }
        if (text[i] < '0' || text[i] > '9' || behind >= decimals || value > max)
            return false;
        behind += behind >= 0;
        value = value * 10 + (text[i] - '0');
    }
    for (int k = behind < 0 ? 0 : behind; k < decimals; k++)
        value *= 10;
    *ret = value;
    return n > 0 && value > 0 && value <= max;
}

struct unit {
    char end;
    int decimals;
    int64_t most;
    const char *wanted;
};

/* A number with its unit behind it; 0 where the key is not given. */
static int64_t amount(struct compiler *c, const char *key, const struct value *v, const struct unit *unit)
{
    int64_t ret = 0;
    if (value_is_null(v))
        return 0;
    const char *text = v->kind == VALUE_SCALAR ? v->text : "";
    size_t n = strlen(text);
    if (n > 20 || n < 2 || text[n - 1] != unit->end ||
        !decimal(text, n - 1, unit->decimals, unit->most, &ret)) {
        problem_at(c->r.problems, v->at, "release: judge: %s: '%s' is not %s", key,
                   v->kind == VALUE_SCALAR ? v->text : value_kind_text(v), unit->wanted);
        return 1; /* given, whatever it was to be */
    }
    return ret;
}

bool judge_counts(const struct plan_judge *j)
{
    return j->errors_ppm + j->worse_percent + j->slower_percent > 0;
}

/* key: of the one argument that stands alone; NULL: v has them all. */
static void ask_make(struct compiler *c, const char *verb, const char *key, const struct value *v,
                     struct plan_step *ret)
{
    if (value_is_null(v))
        return;
    const struct value *args = v;
    if (key != NULL) {
        struct value *map = value_map(c->r.arena, v->at);
        (void)map_add(c->r.arena, map, key, v->at, v);
        args = map;
    }
    const struct item item = {.verb = verb, .args = args, .at = v->at, .phase = PHASE_HOOK_BEFORE};
    bool list = v->kind == VALUE_LIST && v->n > 0 && v->items[0]->kind == VALUE_SCALAR;
    if (key != NULL && (!list || v->items[0]->text[0] != '/'))
        problem_at(c->r.problems, v->at,
                   "release: judge: cmd: wanted a program and its arguments, run without a shell: [/PATH, "
                   "ARGUMENT, ...]");
    else
        (void)step_make(c, &item, ret);
}

static void prometheus_make(struct compiler *c, const struct value *v, struct plan_step *ret)
{
    if (value_is_null(v))
        return;
    if (v->kind != VALUE_MAP) {
        problem_at(c->r.problems, v->at, "release: judge: prometheus: wanted {url, query, max}, found %s",
                   value_kind_text(v));
        return;
    }
    ask_make(c, "measure.prometheus", NULL, v, ret);
    const struct value *max = map_get(v, "max");
    char *end = NULL;
    if (max == NULL || max->kind != VALUE_SCALAR)
        return; /* told already */
    double most = strtod(max->text, &end);
    if (end == max->text || *end != '\0' || !isfinite(most))
        problem_at(c->r.problems, max->at, "release: judge: prometheus: max: '%s' is not a number",
                   max->text);
}

static void fits(struct compiler *c, const struct plan_judge *j, const struct judge_block *b,
                 const struct value *at)
{
    if (!judge_counts(j) && value_is_null(b->cmd) && value_is_null(b->prometheus))
        problem_at(
            c->r.problems, at->at,
            "release: judge: it says no limit (wanted one of errors: 1%%, worse_than_others: 2x, slower: 1.5x, "
            "cmd: [/PATH], prometheus: {url, query, max})");
    if (c->b.soak_ms == 0)
        problem_at(c->r.problems, at->at,
                   "release: judge: `soak` is 0, so there is no time in which a stage could be judged");
    else if (j->slower_percent > 0 && c->b.soak_ms < SLOWER_SOAK_MS)
        problem_at(c->r.problems, at->at, "release: judge: slower: it takes a `soak` of at least 5s");
    if (c->b.n_balancers == 0 && judge_counts(j))
        problem_at(c->r.problems, at->at,
                   "release: judge: what clients get is counted by a balancer, and `balancer:` names none");
}

void judge_set(struct compiler *c)
{
    static const struct unit percent = {'%', 4, 1000000, "a share of requests, as in 1% or 0.5%"};
    static const struct unit times = {'x', 2, 100000, "a factor, as in 2x or 1.5x"};
    const struct value *v = c->b.judge;
    if (value_is_null(v))
        return;
    struct judge_block b = {.min_requests = DEFAULT_REQUESTS, .deadline_ms = DEFAULT_DEADLINE_MS};
    if (!schema_read(&c->r, v, "release: judge", fields, &b) && v->kind != VALUE_MAP)
        return;
    struct plan_judge *j = arena_alloc(c->r.arena, sizeof(*j));
    *j = (struct plan_judge){.errors_ppm = amount(c, "errors", b.errors, &percent),
                             .worse_percent = amount(c, "worse_than_others", b.worse_than_others, &times),
                             .slower_percent = amount(c, "slower", b.slower, &times),
                             .min_requests = b.min_requests,
                             .deadline_ms = b.deadline_ms,
                             .passes = b.on_no_traffic != NULL && strcmp(b.on_no_traffic, "pass") == 0,
                             .where = place_text(c->r.arena, v->at)};
    if ((j->worse_percent > 0 && j->worse_percent < 100) ||
        (j->slower_percent > 0 && j->slower_percent < 100))
        problem_at(c->r.problems, v->at,
                   "release: judge: worse_than_others and slower are at least 1x: below, the same is worse");
    ask_make(c, "measure.cmd", "cmd", b.cmd, &j->cmd);
    prometheus_make(c, b.prometheus, &j->prometheus);
    fits(c, j, &b, v);
    c->plan->judge = c->judge = j;
}

/* ---- for people ---------------------------------------------------------- */

/* value in units of 10^-decimals, without zeros behind. */
static void decimal_put(struct buf *out, int64_t value, int decimals, char unit)
{
    int64_t scale = 1;
    for (int k = 0; k < decimals; k++)
        scale *= 10;
    int64_t rest = value % scale;
    buf_printf(out, "%" PRId64, value / scale);
    for (; rest > 0 && rest % 10 == 0; rest /= 10)
        decimals--;
    if (rest > 0)
        buf_printf(out, ".%0*" PRId64, decimals, rest);
    buf_printf(out, "%c", unit);
}

void ppm_put(struct buf *out, int64_t ppm)
{
    decimal_put(out, ppm, 4, '%');
}

void times_put(struct buf *out, int64_t percent)
{
    decimal_put(out, percent, 2, 'x');
}

static void limit_put(struct buf *out, bool *io_more, void (*put)(struct buf *, int64_t), int64_t limit,
                      const char *of_what)
{
    if (limit == 0)
        return;
    buf_puts(out, *io_more ? ", " : "at most ");
    put(out, limit);
    buf_puts(out, of_what);
    *io_more = true;
}

static void ask_put(struct buf *out, bool *io_more, const struct plan_step *step, const char *name,
                    const char *of_arg)
{
    if (step->verb == NULL)
        return;
    buf_printf(out, "%s%s", *io_more ? "; " : "", name);
    if (of_arg != NULL)
        buf_puts(out, op_pair_value(step->args, step->n_args, of_arg));
    *io_more = true;
}

void judge_text(const struct plan_judge *j, struct buf *out)
{
    bool more = false;
    limit_put(out, &more, ppm_put, j->errors_ppm, " errors");
    limit_put(out, &more, times_put, j->worse_percent, " the errors of the others");
    limit_put(out, &more, times_put, j->slower_percent, " their time");
    if (more)
        buf_printf(out, ", from %" PRId64 " requests", j->min_requests);
    ask_put(out, &more, &j->cmd, "its cmd ends with 0", NULL);
    ask_put(out, &more, &j->prometheus, "its query gives at most ", "max");
}
