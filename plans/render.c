/* SPDX-License-Identifier: MIT */
/* A pillar rendered by another program: the user's own Salt, or a command (render.h). */
#include "plans/render.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/child.h"
#include "base/hash.h"
#include "plans/json.h"

#define SAID_LINES    8
#define SAID_LINE_MAX 300
#define MISSING_SHOWN 5
#define SALT_PROGRAM  "salt-pillar"

static void (*_Atomic say_progress)(const char *text);

void pillar_on_progress(void (*say)(const char *text))
{
    say_progress = say;
}

/* ---- the program */

/* Beside an installed program in libexec, beside one that was just built in its folder. */
static const char *salt_program(struct arena *a)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash != NULL)
        *slash = '\0';
    static const char *const places[] = {"../libexec/release/" SALT_PROGRAM, SALT_PROGRAM};
    const char *path = NULL;
    for (size_t i = 0; i < 2; i++) {
        path = arena_printf(a, "%s/%s", exe, places[i]);
        if (access(path, R_OK) == 0)
            return path;
    }
    return path;
}

static const char *const *salt_argv(const struct render_rule *rule, struct arena *a)
{
    const char **argv = arena_array(a, 6, sizeof(*argv));
    size_t n = 0;
    argv[n++] = rule->python == NULL ? "python3" : rule->python;
    argv[n++] = salt_program(a);
    if (rule->config != NULL) {
        argv[n++] = "--config-dir";
        argv[n++] = rule->config;
    }
    if (rule->masterless)
        argv[n++] = "--masterless";
    return argv;
}

static const char *source_text(const struct render_rule *rule, struct arena *a)
{
    auto_buf struct buf out = BUF_INIT(1000);
    if (rule->renderer == RENDERER_SALT)
        return "salt";
    buf_puts(&out, "command");
    for (size_t i = 0; rule->argv[i] != NULL; i++)
        buf_printf(&out, " %s", rule->argv[i]);
    return arena_strdup(a, buf_str(&out));
}

/* ---- what it is asked */

static void key_put(struct buf *out, const char *key)
{
    buf_puts(out, out->len == 1 ? "" : ", ");
    json_string_add(out, key);
    buf_puts(out, ": ");
}

static void text_put(struct buf *out, const char *key, const char *text)
{
    if (text == NULL)
        return;
    key_put(out, key);
    json_string_add(out, text);
}

static void request_put(struct buf *out, const struct render_request *req, const char *want)
{
    buf_puts(out, "{");
    key_put(out, "version");
    buf_puts(out, "1");
    text_put(out, "want", want);
    text_put(out, "env", req->env);
    text_put(out, "pillarenv", req->pillarenv);
    text_put(out, "match", req->match);
    key_put(out, "nodes");
    buf_puts(out, "[");
    for (size_t i = 0; i < req->n_nodes; i++) {
        buf_puts(out, i == 0 ? "" : ", ");
        json_string_add(out, req->nodes[i]);
    }
    buf_puts(out, "]");
    if (req->grains != NULL) {
        key_put(out, "grains");
        value_json(out, req->grains);
    }
    buf_puts(out, "}\n");
}

/* ---- what it says while it works */

struct watch {
    const char *what; /* "pillar", "nodes" */
    const struct render_request *req;
    const char *source;
};

static void tick(void *ctx, const char *said, int64_t elapsed_ms)
{
    const struct watch *w = ctx;
    char text[300], time[DURATION_TEXT_MAX];
    long long done = -1, all = -1;
    const char *last = NULL;
    for (const char *s = said; (s = strstr(s, "progress ")) != NULL; s++)
        if (s == said || s[-1] == '\n')
            last = s;
    void (*say)(const char *) = say_progress;
    if (say == NULL)
        return;
    (void)duration_text(elapsed_ms / 1000 * 1000, time, sizeof(time));
    if (last != NULL && sscanf(last, "progress %lld of %lld", &done, &all) == 2)
        (void)snprintf(text, sizeof(text), "%s of %s by %.100s: %lld of %lld nodes, %s", w->what, w->req->env,
                       w->source, done, all, time);
    else
        (void)snprintf(text, sizeof(text), "%s of %s by %.100s: %s", w->what, w->req->env, w->source, time);
    say(text);
}

/* The last lines of stderr, progress left out: what a person needs to see why. */
static void said_put(struct buf *out, const char *said)
{
    const char *lines[SAID_LINES];
    size_t n = 0;
    for (const char *s = said; *s != '\0'; s += strcspn(s, "\n"), s += *s == '\n') {
        if (*s == '\n' || str_starts(s, "progress "))
            continue;
        if (n == SAID_LINES)
            memmove(lines, lines + 1, (--n) * sizeof(*lines));
        lines[n++] = s;
    }
    buf_puts(out, n == 0 ? "; it said nothing on stderr" : "; it said:");
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(lines[i], "\n");
        buf_puts(out, "\n    ");
        text_visible(out, lines[i], len < SAID_LINE_MAX ? len : SAID_LINE_MAX);
        buf_puts(out, len < SAID_LINE_MAX ? "" : "...");
    }
}

static void failed(const struct render_rule *rule, const struct watch *w, const struct err *err,
                   const char *said, struct problems *problems)
{
    auto_buf struct buf text = BUF_INIT(16384);
    char limit[DURATION_TEXT_MAX];
    said_put(&text, said);
    if (err->code == E_LATE)
        problem_at(
            problems, rule->at, "%s of %s by %s: %s (timeout: beside it sets another time than %s)%s",
            w->what, w->req->env, w->source, err->text,
            duration_text(rule->timeout_ms > 0 ? rule->timeout_ms : RENDER_TIMEOUT_MS, limit, sizeof(limit)),
            buf_str(&text));
    else
        problem_at(problems, rule->at, "%s of %s by %s: %s%s", w->what, w->req->env, w->source, err->text,
                   buf_str(&text));
}

/* All that it printed, wiped when it was read: it may hold secrets. */
static bool ask(const struct render_rule *rule, const struct render_request *req, const char *want,
                struct arena *a, struct rendered *ret, struct problems *problems)
{
    struct buf out = BUF_INIT(JSON_BYTES_MAX);
    auto_buf struct buf said = BUF_INIT(CHILD_STDERR_MAX), in = BUF_INIT(JSON_BYTES_MAX);
    struct err err = {.code = E_NONE};
    ret->source = source_text(rule, a);
    struct watch w = {.what = want, .req = req, .source = ret->source};
    request_put(&in, req, want);
    const struct child_req child = {
        .argv = rule->renderer == RENDERER_SALT ? salt_argv(rule, a) : rule->argv,
        .cwd = req->root,
        .input = buf_str(&in),
        .input_len = in.len,
        .timeout_ms = rule->timeout_ms > 0 ? rule->timeout_ms : RENDER_TIMEOUT_MS,
        .tick = tick,
        .ctx = &w,
    };
    bool ok = child_run(&child, &out, &said, &err);
    if (!ok)
        failed(rule, &w, &err, buf_str(&said), problems);
    else
        sha256_hex(buf_str(&out), out.len, ret->digest);
    const char *file = arena_printf(a, "output of %s", ret->source);
    ok = ok && json_read(a, file, buf_str(&out), out.len, &ret->nodes, problems);
    if (out.data != NULL)
        explicit_bzero(out.data, out.cap);
    buf_fini(&out);
    return ok;
}

/* ---- what it answered */

static void errors_report(const struct value *errors, const char *node, struct arena *a,
                          struct problems *problems)
{
    auto_buf struct buf text = BUF_INIT(8000);
    bool list = errors->kind == VALUE_LIST;
    for (size_t i = 0; i < (list ? errors->n : 1); i++) {
        const struct value *e = list ? errors->items[i] : errors;
        const char *line = e->kind == VALUE_SCALAR ? e->text : "(not text)";
        buf_puts(&text, "\n    ");
        text_visible(&text, line, strlen(line));
    }
    problems_add(problems, "%s: Salt could not render the pillar of '%s':%s", place_text(a, errors->at), node,
                 buf_str(&text));
}

bool rendered_ok(const struct value *nodes, struct arena *a, struct problems *problems)
{
    size_t bad = 0;
    for (size_t i = 0; i < nodes->n; i++) {
        const struct entry *e = &nodes->entries[i];
        const struct value *errors = map_get(e->value, "_errors");
        if (e->value->kind != VALUE_MAP)
            problem_at(problems, e->value->at, "the pillar of node '%s' is %s, not a map", e->key,
                       value_kind_text(e->value));
        else if (errors != NULL)
            errors_report(errors, e->key, a, problems);
        bad += e->value->kind != VALUE_MAP || errors != NULL;
    }
    return bad == 0;
}

static bool is_glob(const char *name)
{
    return strpbrk(name, "*?[") != NULL;
}

/* Names that were asked for and not answered. */
static bool all_there(const struct render_request *req, const struct rendered *r,
                      const struct render_rule *rule, struct problems *problems)
{
    auto_buf struct buf list = BUF_INIT(1000);
    size_t n = 0;
    for (size_t i = 0; i < req->n_nodes; i++)
        if (!is_glob(req->nodes[i]) && map_get(r->nodes, req->nodes[i]) == NULL && n++ < MISSING_SHOWN)
            buf_printf(&list, "%s%s", n == 1 ? "" : ", ", req->nodes[i]);
    if (n > MISSING_SHOWN)
        buf_printf(&list, " and %zu more", n - MISSING_SHOWN);
    if (n > 0)
        problem_at(problems, rule->at, "pillar of %s by %s: nothing was printed for node%s %s", req->env,
                   r->source, n == 1 ? "" : "s", buf_str(&list));
    return n == 0;
}

/* A program may print more than it was asked for; nobody else's pillar is looked at. */
static const struct value *only_wanted(const struct render_request *req, const struct value *nodes,
                                       struct arena *a)
{
    auto_arena struct arena scratch = {.head = NULL};
    struct value *names = value_map(&scratch, nodes->at), *ret = value_map(a, nodes->at);
    if (req->n_nodes == 0)
        return nodes;
    for (size_t i = 0; i < req->n_nodes; i++)
        (void)map_add(&scratch, names, req->nodes[i], nodes->at, nodes);
    for (size_t i = 0; i < nodes->n; i++) {
        const struct entry *e = &nodes->entries[i];
        bool wanted = map_get(names, e->key) != NULL;
        for (size_t k = 0; k < req->n_nodes && !wanted; k++)
            wanted = is_glob(req->nodes[k]) && fnmatch(req->nodes[k], e->key, 0) == 0;
        if (wanted)
            (void)map_add(a, ret, e->key, e->at, e->value);
    }
    return ret;
}

bool render_pillars(const struct render_rule *rule, const struct render_request *req, struct arena *a,
                    struct rendered *ret, struct problems *problems)
{
    struct rendered r = {.source = NULL};
    if (!ask(rule, req, "pillar", a, &r, problems))
        return false;
    if (r.nodes->kind != VALUE_MAP) {
        problem_at(problems, r.nodes->at, "wanted {NODE: {its pillar}, ...}, found %s",
                   value_kind_text(r.nodes));
        return false;
    }
    if (!all_there(req, &r, rule, problems))
        return false;
    r.nodes = only_wanted(req, r.nodes, a);
    if (r.nodes->n == 0) {
        problem_at(problems, rule->at, "pillar of %s by %s: no node matches", req->env, r.source);
        return false;
    }
    if (!rendered_ok(r.nodes, a, problems))
        return false;
    *ret = r;
    return true;
}

bool render_nodes(const struct render_rule *rule, const struct render_request *req, struct arena *a,
                  struct rendered *ret, struct problems *problems)
{
    struct rendered r = {.source = NULL};
    if (!ask(rule, req, "nodes", a, &r, problems))
        return false;
    *ret = r;
    return true;
}

bool is_by_node(const struct value *v)
{
    if (v->kind != VALUE_MAP || v->n == 0 || map_get(v, "release") != NULL)
        return false;
    for (size_t i = 0; i < v->n; i++)
        if (v->entries[i].value->kind != VALUE_MAP)
            return false;
    return true;
}
