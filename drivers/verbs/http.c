/* SPDX-License-Identifier: MIT */
/* http: asks a node whether it serves, and whether what it serves is the wanted revision. */
#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/str.h"
#include "drivers/op/auto_curlu.h"
#include "drivers/op/http_call.h"
#include "drivers/node/node.h"

#define WARM_MAX_BYTES (1u << 20)

/* "$1" seconds, "$2" bytes, "$3" URL, then more words for curl. Headers and body on stdout, curl's own status
 * as the last line of stderr, because a pipeline keeps only that of `head`. */
static const char curl_script[] =
    "t=$1 m=$2 u=$3; shift 3\n"
    "command -v curl >/dev/null 2>&1 || { echo 'curl is not installed' >&2; exit 127; }\n"
    "{ curl -q -sS -i --globoff --proto =http,https --noproxy '*' --max-time \"$t\" \"$@\" --url \"$u\"\n"
    "  echo \"rc=$?\" >&2; } | head -c \"$m\"\n";

struct check {
    struct op *op;
    const char *url;
    size_t max_bytes;
    int timeout_ms;
    bool trying; /* before the release: what runs now is asked, whatever its revision */
};

/* HOST:PORT to connect to. Written as {host}:{port} an address of IPv6 lacks its brackets, as [{host}]:{port}
 * any other has some too many. */
static const char *address_of(struct op *op)
{
    const char *text = op_arg(op, "address"), *host = op_var(op, "host");
    size_t n = host ? strlen(host) : 0;
    if (!text || n == 0)
        return text;
    if (strchr(host, ':') && !strncmp(text, host, n) && text[n] == ':')
        return arena_printf(op_arena(op), "[%s]%s", host, text + n);
    if (!strchr(host, ':') && text[0] == '[' && !strncmp(text + 1, host, n) && text[n + 1] == ']')
        return arena_printf(op_arena(op), "%s%s", host, text + n + 2);
    return text;
}

/* What was seen, for people; not ready. */
static void not_ready(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void not_ready(struct check *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(op_arena(c->op), fmt, ap);
    va_end(ap);
    auto_buf struct buf b = BUF_INIT(500);
    text_visible(&b, text, strlen(text));
    op_ready(c->op, false);
    op_fact(c->op, "observed", "%s", buf_str(&b));
    op_say(c->op, "%s: %s", c->url, buf_str(&b));
}

/* ---- asking -------------------------------------------------------------------------------------- */

static const char *const *curl_words(struct check *c, const char *url)
{
    size_t n_send, n = 0;
    struct arena *a = op_arena(c->op);
    const struct op_pair *send = op_arg_map(c->op, "send", &n_send);
    const char **words = arena_array(a, 3 + 2 * n_send + 4 + 1, sizeof *words);
    words[n++] = arena_printf(a, "%d.%03d", c->timeout_ms / 1000, c->timeout_ms % 1000);
    words[n++] = arena_printf(a, "%zu", c->max_bytes + 32768);
    words[n++] = url;
    for (size_t i = 0; i < n_send; i++) {
        words[n++] = "-H";
        words[n++] = arena_printf(a, "%s: %s", send[i].name, send[i].value);
    }
    if (op_arg(c->op, "ca")) {
        words[n++] = "--cacert";
        words[n++] = op_arg(c->op, "ca");
    }
    if (address_of(c->op)) {
        words[n++] = "--connect-to";
        words[n++] = arena_printf(a, "::%s", address_of(c->op));
    }
    return words;
}

/* "rc=N" at the beginning of the last line, NULL when it is not there. */
static const char *last_status(const char *err)
{
    const char *line = NULL;
    for (const char *p = err; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        if (str_starts(p, "rc="))
            line = p;
    }
    return line;
}

static bool ask_on_node(struct check *c, const char *url, struct http_res *ret)
{
    const struct node_cmd cmd = {
        .script = curl_script, .args = curl_words(c, url), .max_out = c->max_bytes + 32768, .quiet = true};
    struct node_result r;
    if (!node_read(c->op, &cmd, &r))
        return false;
    const char *rc = last_status(r.err);
    if (r.status != 0 || !rc) {
        op_refused(c->op, E_NOTFOUND, "curl on the node: %s; install it or use `via: direct`",
                   r.err_len ? r.err : "could not be run");
        return false;
    }
    /* 23: `head` had enough */
    bool whole = !strncmp(rc, "rc=0\n", 5) || !strncmp(rc, "rc=23\n", 6);
    *ret = (struct http_res){0};
    bool parsed = whole && http_parse(op_arena(c->op), r.out, r.out_len, ret);
    ret->end = parsed ? HTTP_ANSWERED : HTTP_BROKEN;
    if (ret->end != HTTP_ANSWERED)
        ret->problem = arena_strndup(op_arena(c->op), r.err, strcspn(r.err, "\n"));
    if (ret->body_len > c->max_bytes) {
        ret->body[ret->body_len = c->max_bytes] = '\0';
        ret->cut = true;
    }
    return true;
}

static bool ask(struct check *c, const char *url, struct http_res *ret)
{
    if (!strcmp(op_arg(c->op, "via"), "ssh"))
        return ask_on_node(c, url, ret);
    struct http_req req = {.url = url,
                           .ca = op_arg(c->op, "ca"),
                           .address = address_of(c->op),
                           .max_bytes = c->max_bytes,
                           .timeout_ms = c->timeout_ms};
    req.headers = op_arg_map(c->op, "send", &req.n_headers);
    return http_call(c->op, &req, ret);
}

/* ---- judging ------------------------------------------------------------------------------------- */

static bool headers_as_wanted(struct check *c, const struct http_res *res)
{
    size_t n;
    const struct op_pair *wanted = op_arg_map(c->op, "header", &n);
    for (size_t i = 0; i < n; i++) {
        const char *is = http_header(res, wanted[i].name);
        if (is && !strcmp(is, wanted[i].value))
            continue;
        not_ready(c, "header %s is %s%s%s, wanted \"%s\"", wanted[i].name, is ? "\"" : "not there",
                  is ? is : "", is ? "\"" : "", wanted[i].value);
        return false;
    }
    return true;
}

/* An application may show a shortened revision: at least 7 hex digits that begin the wanted one. */
static bool same_rev(const char *is, const char *wanted)
{
    size_t n = strlen(is);
    return !strcmp(is, wanted) || (n >= 7 && n <= 40 && is_hex(is, n) && !strncmp(is, wanted, n));
}

static bool rev_as_wanted(struct check *c, const struct http_res *res)
{
    const char *name = op_arg(c->op, "rev_header"), *wanted = op_var(c->op, "rev");
    if (!name)
        return true;
    const char *is = http_header(res, name);
    op_fact(c->op, "rev_served", "%s", is ? is : "");
    if (c->trying && is)
        return true; /* another revision than the wanted one, of course */
    if (c->trying) {
        not_ready(c, "%s says no revision", name);
        return false;
    }
    if (!wanted || !*wanted) {
        op_refused(c->op, E_CONFIG, "rev_header is given, but this plan has no revision");
        return false;
    }
    if (is && same_rev(is, wanted))
        return true;
    not_ready(c, "%s says revision %s, wanted %s", name, is ? is : "nothing", wanted);
    return false;
}

static bool as_wanted(struct check *c, const struct http_res *res)
{
    const char *expect = op_arg(c->op, "expect");
    if (res->end != HTTP_ANSWERED) {
        not_ready(c, "%s", res->problem);
        return false;
    }
    if (res->status != op_arg_int(c->op, "status")) {
        not_ready(c, "status %d, wanted %" PRId64 "%s", res->status, op_arg_int(c->op, "status"),
                  res->status >= 300 && res->status < 400 ? " (redirects are not followed)" : "");
        return false;
    }
    if (expect && *expect && !memmem(res->body, res->body_len, expect, strlen(expect))) {
        not_ready(c, "\"%s\" is not in the body%s", expect, res->cut ? " (cut at max_size)" : "");
        return false;
    }
    return headers_as_wanted(c, res) && rev_as_wanted(c, res);
}

/* ---- warming ------------------------------------------------------------------------------------- */

/* `path` on the checked URL's server; NULL: not a path. */
static const char *warm_url(struct check *c, const char *path)
{
    auto_curlu CURLU *u = curl_url();
    char *text = NULL;
    if (path[0] != '/' || path[1] == '/' || curl_url_set(u, CURLUPART_URL, c->url, 0) != CURLUE_OK ||
        curl_url_set(u, CURLUPART_URL, path, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_URL, &text, 0) != CURLUE_OK)
        return NULL;
    const char *copy = arena_strdup(op_arena(c->op), text);
    curl_free(text);
    return copy;
}

/* Fills caches before the balancer sends anybody. Any answer below 500 will do: a warm path may ask for a
 * login. */
static bool warm(struct check *c)
{
    size_t n;
    const char *const *paths = op_arg_list(c->op, "warm", &n);
    for (size_t i = 0; i < n; i++) {
        struct http_res res;
        const char *url = warm_url(c, paths[i]);
        if (!url) {
            op_refused(c->op, E_CONFIG, "warm: \"%s\" is not a path that begins with /", paths[i]);
            return false;
        }
        if (!ask(c, url, &res))
            return false;
        if (res.end != HTTP_ANSWERED || res.status >= 500) {
            not_ready(c, "warm %s: %s", paths[i],
                      res.problem ? res.problem : arena_printf(op_arena(c->op), "status %d", res.status));
            return false;
        }
    }
    return true;
}

/* Repeats of the check need not warm again; another revision must. */
static bool warm_once(struct check *c)
{
    const char *rev = op_var(c->op, "rev"), *done = op_recall(c->op, "warmed");
    const char *mark = rev && *rev ? rev : "yes";
    if (done && !strcmp(done, mark))
        return true;
    if (!warm(c))
        return false;
    op_fact(c->op, "warmed", "%s", mark);
    return true;
}

/* What a node answered before the release when the check was not true of it: the fact `http.was.URL`, which a
 * rollback of that release gets as `http.back.URL`. Going back to the same revision it may answer so again:
 * that says nothing against the way back. */
static bool as_it_was(struct check *c, const struct http_res *res)
{
    const char *kind = op_going_back(c->op) ? "was" : "back";
    const char *was = op_recall(c->op, arena_printf(op_arena(c->op), "http.%s.%s", kind, c->url));
    int status = res->end == HTTP_ANSWERED ? res->status : 0;
    if (!was || atoi(was) != status)
        return false;
    op_say(c->op, "%s: not as wanted, and as it was before the release: not judged", c->url);
    return true;
}

static bool check_open(struct op *op, struct check *ret)
{
    *ret = (struct check){.op = op,
                          .url = op_arg(op, "url"),
                          .max_bytes = (size_t)op_arg_int(op, "max_size"),
                          .timeout_ms = (int)op_arg_ms(op, "request_timeout")};
    if (!ret->url || (!str_starts(ret->url, "http://") && !str_starts(ret->url, "https://")) ||
        !http_text_valid(ret->url))
        op_refused(op, E_CONFIG, "http.check: \"%s\" is not an http or https URL", ret->url ? ret->url : "");
    else if (ret->max_bytes == 0 || ret->max_bytes > WARM_MAX_BYTES || ret->timeout_ms <= 0)
        op_refused(op, E_CONFIG, "http.check: max_size must be 1..1M and request_timeout more than 0");
    return !op_failed(op);
}

static enum outcome run_check(struct op *op)
{
    struct check c;
    struct http_res res;
    if (!check_open(op, &c))
        return op_end(op);
    /* A READ verb that could not find out is UNKNOWN, not failed: a broken SSH link says nothing of the
     * application (rows 14 and 15). */
    op_sending(op);
    if (!ask(&c, c.url, &res))
        return op_end(op);
    op_fact(op, "status", "%d", res.status);
    if (as_wanted(&c, &res) ? warm_once(&c) : as_it_was(&c, &res))
        op_ready(op, true);
    return op_end(op);
}

static enum outcome run_try(struct op *op)
{
    struct check c;
    struct http_res res;
    if (!check_open(op, &c))
        return op_end(op);
    c.trying = true;
    op_sending(op);
    if (!ask(&c, c.url, &res))
        return op_end(op);
    if (as_wanted(&c, &res))
        op_ready(op, true);
    else if (!op_failed(op))
        op_fact(op, arena_printf(op_arena(op), "http.was.%s", c.url), "%d",
                res.end == HTTP_ANSWERED ? res.status : 0);
    return op_end(op);
}

/* What curl cannot read now it cannot read later, when the node is out of rotation. */
static bool check_args(const struct op_pair *args, size_t n, int64_t timeout_ms, struct err *err)
{
    auto_curlu CURLU *u = curl_url();
    const char *url = op_pair_value(args, n, "url");
    (void)timeout_ms;
    if (!url || !http_text_valid(url) || (!str_starts(url, "http://") && !str_starts(url, "https://")))
        return err_set(err, E_CONFIG, "url: \"%s\" is not an http or https URL", url ? url : "");
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, url, 0);
    return rc == CURLUE_OK || err_set(err, E_CONFIG, "url: \"%s\": %s", url, curl_url_strerror(rc));
}

static const struct param check_params[] = {
    {.name = "url",
     .type = PARAM_STR,
     .required = true,
     .help = "what to ask for: http://{host}:{port}/health"},
    {.name = "status", .type = PARAM_INT, .deflt = "200", .help = "the status wanted"},
    {.name = "expect", .type = PARAM_STR, .help = "text that must be in the body"},
    {.name = "header", .type = PARAM_MAP, .help = "response headers that must have these values"},
    {.name = "rev_header",
     .type = PARAM_STR,
     .help = "response header that must say the revision, e.g. X-Revision"},
    {.name = "send", .type = PARAM_MAP, .help = "request headers to send, e.g. {Host: www.example.org}"},
    {.name = "address", .type = PARAM_STR, .help = "connect to this HOST:PORT instead of the URL's"},
    {.name = "via",
     .type = PARAM_CHOICE,
     .deflt = "direct",
     .choices = "direct|ssh",
     .help = "ask from here, or with curl on the node"},
    {.name = "warm",
     .type = PARAM_LIST,
     .help = "paths fetched once when the check is fine, before the node serves"},
    {.name = "ca", .type = PARAM_STR, .help = "file of CA certificates; default: the system's"},
    {.name = "max_size", .type = PARAM_SIZE, .deflt = "64K", .help = "how much of the body is read"},
    {.name = "request_timeout", .type = PARAM_DURATION, .deflt = "5s", .help = "for one request"},
    PARAM_END,
};

static const struct verb verbs[] = {
    {.name = "http.check",
     .help = "waits until a URL of the node answers as wanted",
     .deadline = "within",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .does = DOES_HEALTH,
     .counts = "healthy answers in a row",
     .waits = true,
     .default_timeout_ms = 120000,
     .interval_ms = 1000,
     .params = check_params,
     .check = check_args,
     .run = run_check},
    {.name = "http.try",
     .help = "is the check true of what the node runs now, whatever revision that is? asked before a release",
     .effect = EFFECT_READ,
     .scope = SCOPE_NODE,
     .does = DOES_TRY,
     .default_timeout_ms = 30000,
     .params = check_params,
     .check = check_args,
     .run = run_try},
    {0},
};

extern const struct driver http_driver;
const struct driver http_driver = {
    .name = "http",
    .help =
        "HTTP and HTTPS health checks, from the controller or with curl on the node. TLS is always verified, "
        "redirects are not followed, proxies are not asked, at most max_size of the body is read.",
    .verbs = verbs,
};
