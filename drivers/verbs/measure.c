/* SPDX-License-Identifier: MIT */
/* measure: what else may judge a stage than the balancers' counts: a program of the user's, and a query to Prometheus. They
 * look and change nothing. The op is ok when there is a verdict, whichever; that is in a fact. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/judge.h"
#include "base/str.h"
#include "drivers/op/http_call.h"
#include "drivers/op/process.h"

#define WORDS_MAX  2000
#define ANSWER_MAX (1u << 20)
#define CALL_MS    10000

static void tell(struct op *op, const char *who, const char *verdict, const char *words)
{
    auto_buf struct buf b = BUF_INIT(WORDS_MAX + 100);
    text_visible(&b, words, strlen(words));
    op_fact(op, arena_printf(op_arena(op), "%s%s", JUDGE_FACT, who), "%s", verdict);
    op_fact(op, arena_printf(op_arena(op), "%s%s%s", JUDGE_FACT, who, JUDGE_WORDS), "%s: %s", who,
            buf_str(&b));
}

/* ---- a program ------------------------------------------------------------ */

/* The end of what it says; its last line is there. */
struct heard {
    char text[WORDS_MAX + 1];
    size_t n;
};

static void hear(void *ctx, int stream, const char *data, size_t n)
{
    struct heard *h = ctx;
    (void)stream;
    size_t fresh = n < WORDS_MAX ? n : WORDS_MAX, room = WORDS_MAX - fresh, kept = h->n < room ? h->n : room;
    memmove(h->text, h->text + h->n - kept, kept);
    memcpy(h->text + kept, data + n - fresh, fresh);
    h->n = kept + fresh;
}

static void process_fn(struct process **p)
{
    process_free(*p);
}

/* Its last line that is not empty, of whichever stream. */
static const char *last_line(struct op *op, const struct heard *h)
{
    const char *last = "it said nothing";
    size_t n = strlen(last);
    for (const char *p = h->text; *p;) {
        size_t len = strcspn(p, "\n");
        if (len > 0) {
            last = p;
            n = len;
        }
        p += len + (p[len] == '\n');
    }
    return arena_strndup(op_arena(op), last, n);
}

static enum outcome measure_cmd(struct op *op)
{
    size_t n;
    const char *const *argv = op_arg_list(op, "cmd", &n);
    struct heard out = {.n = 0};
    const struct call_req req = {.output = hear, .ctx = &out};
    struct err err = {0};
    struct call_end how = {0};
    if (n == 0)
        return op_refused(op, E_CONFIG, "judge: cmd: there is no program in the list");
    __attribute__((cleanup(process_fn))) struct process *p = process_start(argv, &req, &err);
    if (!p)
        return op_refused(op, E_CONFIG, "judge: cmd: %s", err.text);
    op_asking(op, argv[0]);
    enum link_end end = process_pump(op, p, INT64_MAX, &how, &err);
    op_asking(op, NULL);
    if (end != LINK_OK) {
        process_fail(op, end);
        return op_end(op);
    }
    if (how.signal)
        return op_fail(op, E_STATUS, "judge: cmd: %s was ended by signal %d: %s", argv[0], how.signal,
                       last_line(op, &out));
    tell(op, "cmd", how.status == 0 ? JUDGE_WELL : JUDGE_BADLY,
         arena_printf(op_arena(op), "status %d: %s", how.status, last_line(op, &out)));
    return OUT_OK;
}

/* ---- Prometheus ----------------------------------------------------------- */

static const char *escaped(struct arena *a, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~",
                      hex[] = "0123456789ABCDEF";
    char *ret = arena_alloc(a, 3 * strlen(text) + 1), *p = ret;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (strchr(plain, *c)) {
            *p++ = (char)*c;
            continue;
        }
        *p++ = '%';
        *p++ = hex[*c >> 4];
        *p++ = hex[*c & 15];
    }
    *p = '\0';
    return ret;
}

/* [TIME, "VALUE"]; false: it is none. */
static bool sample(const json_t *v, double *ret)
{
    const char *text = json_string_value(json_array_get(v, 1));
    char *end = NULL;
    if (!text || !*text)
        return false;
    *ret = strtod(text, &end); /* NaN and +Inf, too */
    return *end == '\0';
}

/* One series, or none yet: more have no one value to be held against a limit. */
static enum outcome take_data(struct op *op, const json_t *data)
{
    const char *type = json_string_value(json_object_get(data, "resultType")), *max = op_arg(op, "max");
    const json_t *result = json_object_get(data, "result");
    bool scalar = type && strcmp(type, "scalar") == 0, vector = type && strcmp(type, "vector") == 0;
    size_t n = scalar ? 1 : json_array_size(result);
    double value, most = strtod(max, NULL);
    if (!scalar && !vector)
        return op_refused(op, E_PROTO, "judge: prometheus: the query gives a %s, wanted one value now",
                          type ? type : "thing without a type");
    if (n > 1)
        return op_refused(
            op, E_CONFIG,
            "judge: prometheus: the query gives %zu series, wanted one: put sum() or max() around it, or name its labels",
            n);
    if (n == 0) {
        tell(op, "prometheus", JUDGE_NOTHING, "the query gives no series");
        return OUT_OK;
    }
    if (!sample(scalar ? result : json_object_get(json_array_get(result, 0), "value"), &value))
        return op_fail(op, E_PROTO, "judge: prometheus: its answer has no value");
    tell(op, "prometheus",
         isnan(value)    ? JUDGE_NOTHING
         : value <= most ? JUDGE_WELL
                         : JUDGE_BADLY,
         isnan(value) ? "the query gives NaN (of nothing)"
                      : arena_printf(op_arena(op), "%.6g, wanted at most %s", value, max));
    return OUT_OK;
}

static enum outcome take_answer(struct op *op, const struct http_res *res)
{
    json_t *o = json_loads(res->body, 0, NULL);
    const char *status = json_string_value(json_object_get(o, "status")),
               *said = json_string_value(json_object_get(o, "error"));
    enum outcome ret;
    if (status && strcmp(status, "success") == 0)
        ret = take_data(op, json_object_get(o, "data"));
    else if (said)
        ret = op_refused(op, E_CONFIG, "judge: prometheus: %.400s", said);
    else
        ret =
            op_fail(op, E_PROTO,
                    "judge: prometheus: status %d and not what its API answers; is `url` that of Prometheus?",
                    res->status);
    json_decref(o);
    return ret;
}

static enum outcome measure_prometheus(struct op *op)
{
    const char *url = op_arg(op, "url");
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        n--;
    const struct http_req req = {.url = arena_printf(op_arena(op), "%.*s/api/v1/query?query=%s", (int)n, url,
                                                     escaped(op_arena(op), op_arg(op, "query"))),
                                 .user = op_arg(op, "user"),
                                 .password = op_arg(op, "password"),
                                 .ca = op_arg(op, "ca"),
                                 .max_bytes = ANSWER_MAX,
                                 .timeout_ms = CALL_MS};
    struct http_res res;
    if (!http_call(op, &req, &res))
        return op_end(op);
    if (res.end != HTTP_ANSWERED)
        return op_fail(op, E_NET, "judge: prometheus: %s: %s", url, res.problem);
    if (res.cut)
        return op_fail(op, E_PROTO, "judge: prometheus: it answered more than %u MiB", ANSWER_MAX >> 20);
    return take_answer(op, &res);
}

/* ---- table ----------------------------------------------------------------- */

static const struct param cmd_params[] = {
    {.name = "cmd",
     .type = PARAM_LIST,
     .required = true,
     .help = "the program on this machine and its arguments, run without a shell: [/PATH, ARGUMENT, ...]"},
    PARAM_END,
};
static const struct param prometheus_params[] = {
    {.name = "url", .type = PARAM_STR, .required = true, .help = "of Prometheus: http://HOST:9090"},
    {.name = "query", .type = PARAM_STR, .required = true, .help = "PromQL that gives one series"},
    {.name = "max", .type = PARAM_STR, .required = true, .help = "its value is at most this"},
    {.name = "user", .type = PARAM_STR, .help = "for HTTP's basic authentication"},
    {.name = "password", .type = PARAM_SECRET, .help = "its password; file:PATH or env:NAME keeps it secret"},
    {.name = "ca", .type = PARAM_STR, .help = "file of CA certificates; default: the system's"},
    PARAM_END,
};

static const struct verb verbs[] = {
    {.name = "measure.cmd",
     .help = "for `judge`: a program ends with 0 where all is well; what it says last is the verdict's words",
     .effect = EFFECT_READ,
     .scope = SCOPE_CONTROLLER,
     .default_timeout_ms = 60000,
     .params = cmd_params,
     .run = measure_cmd},
    {.name = "measure.prometheus",
     .help = "for `judge`: is the value of a query at most `max`?",
     .effect = EFFECT_READ,
     .scope = SCOPE_CONTROLLER,
     .default_timeout_ms = 15000,
     .params = prometheus_params,
     .run = measure_prometheus},
    {0},
};

extern const struct driver measure_driver;
const struct driver measure_driver = {
    .name = "measure",
    .help =
        "What may judge a stage beside the balancers' counts (`judge:`): a program, and a query to Prometheus.",
    .verbs = verbs,
};
