/* SPDX-License-Identifier: MIT */
/* A balancer's HTTP address, asked from here or on its host (door.h). */
#include "drivers/balancer/door.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "base/host.h"
#include "base/str.h"
#include "drivers/node/node.h"
#include "drivers/op/auto_json.h"

#define NO_CURL     127
#define HEAD_BYTES  (32u << 10)
#define CONFIG_MAX  (64u << 10)
#define URL_MAX     200
#define HOST_MAX    253
#define PATH_MARKS  "/._~%-"
#define HOST_MARKS  ".-_:"
#define MAX_OUT(rq) ((rq)->max_bytes + HEAD_BYTES)

/* ---- addresses ------------------------------------------------------------- */

static bool only(const char *s, size_t n, const char *marks)
{
    for (size_t i = 0; i < n; i++) {
        if (!isascii((unsigned char)s[i]) || !(isalnum((unsigned char)s[i]) || strchr(marks, s[i])))
            return false;
    }
    return true;
}

static bool host_fits(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= HOST_MAX && *s != '-' && only(s, n, HOST_MARKS);
}

/* "HOST", "HOST:PORT", "[V6]:PORT" */
static bool place_parse(const char *s, size_t n, struct arena *a, const char **ret_host)
{
    bool six = n > 0 && *s == '[';
    const char *end = memchr(s, six ? ']' : ':', n);
    size_t n_host = end ? (size_t)(end - s) - six : n;
    const char *port = !end ? "" : end + six;
    size_t n_port = end ? (size_t)(s + n - port) : 0;
    if (six && !end)
        return false;
    *ret_host = arena_strndup(a, s + six, n_host);
    if (n_port > 0 && (*port != ':' || n_port < 2 || n_port > 6))
        return false;
    for (size_t i = 1; i < n_port; i++) {
        if (!isdigit((unsigned char)port[i]))
            return false;
    }
    return host_fits(*ret_host) && (six || !strchr(*ret_host, ':'));
}

bool lb_door_parse(const char *text, const struct lb_door_rule *rule, struct arena *a, struct lb_door *ret,
                   struct err *err)
{
    const char *at = strrchr(text, '@');
    size_t n = at ? (size_t)(at - text) : strlen(text);
    bool tls = str_starts(text, "https://");
    *ret = (struct lb_door){.host = at ? arena_strdup(a, at + 1) : NULL};
    if (!tls && !str_starts(text, "http://"))
        return err_set(err, E_CONFIG, "\"%.200s\" does not begin with http:// or https://", text);
    const char *place = text + (tls ? 8 : 7);
    if (n > URL_MAX || (at && (at < place || !host_fits(ret->host))))
        return err_set(err, E_CONFIG,
                       "\"%.200s\": wanted http://HOST:PORT/PATH, or the same with @SSHHOST behind it", text);
    size_t n_place = strcspn(place, "/@");
    const char *path = place + n_place;
    if (!place_parse(place, n_place, a, &ret->name) || !only(path, (size_t)(text + n - path), PATH_MARKS))
        return err_set(err, E_CONFIG,
                       "\"%.200s\": wanted http://HOST:PORT/PATH of letters, digits and %s, or the same with "
                       "@SSHHOST behind it",
                       text, PATH_MARKS);
    while (n > (size_t)(path - text) && text[n - 1] == '/')
        n--;
    ret->url = arena_strndup(a, text, n);
    return tls || !rule->login || rule->insecure || host_is_here(ret->name) ||
           err_set(err, E_CONFIG,
                   "\"%.200s\": the password would travel in plain http; wanted https:// (or `insecure_http: "
                   "yes`)",
                   text);
}

bool lb_doors_open(struct lb *lb)
{
    const struct lb_door_rule rule = {.login = op_arg(lb->op, "password") != NULL,
                                      .insecure = op_arg_bool(lb->op, "insecure_http")};
    struct err err = {0};
    for (size_t i = 0; i < lb->n_peers; i++) {
        struct lb_door *d = arena_alloc(op_arena(lb->op), sizeof *d);
        lb->peers[i].own = d;
        if (lb_door_parse(lb->peers[i].text, &rule, op_arena(lb->op), d, &err))
            continue;
        op_refused(lb->op, err.code, "balancer: %s", err.text);
        return false;
    }
    return true;
}

bool lb_doors_check(const struct op_pair *args, size_t n, const char *name, struct err *err)
{
    auto_arena struct arena a = {.head = NULL};
    const char *value = op_pair_value(args, n, name), *user = op_pair_value(args, n, "user");
    const char *insecure = op_pair_value(args, n, "insecure_http");
    const struct lb_door_rule rule = {.login = op_pair_value(args, n, "password") != NULL,
                                      .insecure = insecure &&
                                                  (!strcmp(insecure, "yes") || !strcmp(insecure, "true"))};
    auto_json json_t *list = json_loads(value ? value : "", 0, NULL);
    struct lb_door d;
    if (!user != !rule.login || (user && (!*user || strchr(user, ':') || !http_text_valid(user))))
        return err_set(err, E_CONFIG, "wanted `user:` (without a colon) and `password:`, or neither");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (!lb_door_parse(one ? one : "", &rule, &a, &d, err))
            return false;
    }
    return true;
}

/* ---- on its host ----------------------------------------------------------- */

/* Nothing of a request stands in an argument: user and password are in it. */
static const char curl_script[] =
    "command -v curl >/dev/null 2>&1 || { echo 'curl is not installed there' >&2; exit 127; }\n"
    "exec curl -q -sS -i --globoff --proto =http,https --noproxy '*' -K -\n";

static void option(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%s = \"", name);
    for (; *value; value++) {
        if (strchr("\"\\", *value))
            buf_puts(out, "\\");
        if (strchr("\n\r\t\v", *value))
            buf_puts(out, *value == '\n' ? "\\n" : *value == '\r' ? "\\r" : *value == '\t' ? "\\t" : "\\v");
        else
            buf_add(out, value, 1);
    }
    buf_puts(out, "\"\n");
}

void lb_door_curl(const struct http_req *req, struct buf *out)
{
    option(out, "url", req->url);
    buf_printf(out, "max-time = %d.%03d\n", req->timeout_ms / 1000, req->timeout_ms % 1000);
    option(out, "user-agent", "release");
    if (req->method)
        option(out, "request", req->method);
    if (req->body)
        option(out, "data-raw", req->body);
    if (req->ca)
        option(out, "cacert", req->ca);
    for (size_t i = 0; i < req->n_headers; i++) {
        auto_buf struct buf line = BUF_INIT(4096);
        buf_printf(&line, "%s: %s", req->headers[i].name, req->headers[i].value);
        option(out, "header", buf_str(&line));
    }
    if (req->user) {
        auto_buf struct buf both = BUF_INIT(4096);
        buf_printf(&both, "%s:%s", req->user, req->password);
        option(out, "user", buf_str(&both));
    }
}

static bool ask_there(struct lb *lb, const struct lb_door *d, const struct http_req *req,
                      struct http_res *ret)
{
    struct op *op = lb->op;
    auto_buf struct buf config = BUF_INIT(CONFIG_MAX);
    struct node_result r;
    lb_door_curl(req, &config);
    if (config.cut) {
        op_refused(op, E_LIMIT, "%s: the request has more than %u KiB", d->url, CONFIG_MAX >> 10);
        return false;
    }
    const struct node_cmd cmd = {.script = curl_script,
                                 .input = buf_str(&config),
                                 .input_len = config.len,
                                 .max_out = MAX_OUT(req),
                                 .quiet = true};
    if (!host_read(op, d->host, &cmd, &r))
        return false;
    if (r.status == NO_CURL) {
        op_refused(op, E_NOTFOUND, "%s: %s", d->host, lb_first_line(op, r.err));
        return false;
    }
    *ret = (struct http_res){.end = HTTP_BROKEN};
    if ((r.status == 0 || r.cut) && http_parse(op_arena(op), r.out, r.out_len, ret))
        ret->end = HTTP_ANSWERED;
    else
        ret->problem = r.err_len ? lb_first_line(op, r.err) : "curl there gave no answer";
    ret->cut = r.cut || ret->body_len > req->max_bytes;
    return true;
}

/* ---- asking ---------------------------------------------------------------- */

bool lb_door_ask(struct lb *lb, size_t peer, struct http_req *req, const char *path, struct http_res *ret)
{
    struct op *op = lb->op;
    const struct lb_door *d = lb->peers[peer].own;
    req->url = arena_printf(op_arena(op), "%s%s", d->url, path);
    req->user = op_arg(op, "password") ? op_arg(op, "user") : NULL;
    req->password = op_arg(op, "password");
    req->ca = op_arg(op, "ca");
    req->timeout_ms = (int)op_arg_ms(op, "call_timeout");
    op_asking(op, lb->peers[peer].text);
    bool made = d->host ? ask_there(lb, d, req, ret) : http_call(op, req, ret);
    op_asking(op, NULL);
    return made;
}

/* Busy, a proxy's word, an error of the server before it or of its own: who was asked did not answer, and may have done it. */
static bool is_elsewhere(int status)
{
    return status == 408 || status == 429 || (status >= 300 && status < 400) || status >= 500;
}

bool lb_door_answered(struct lb *lb, size_t peer, const struct http_req *req, const struct http_res *res)
{
    struct op *op = lb->op;
    const char *who = lb->peers[peer].text;
    bool answered = false;
    if (res->end != HTTP_ANSWERED && res->untrusted)
        op_fail(op, E_NET, "%s: its certificate cannot be trusted (%s); check `ca:` and the name in the URL",
                who, res->problem);
    else if (res->end != HTTP_ANSWERED)
        op_fail(op, E_NET, "%s: %s", who, res->problem);
    else if (res->cut)
        op_fail(op, E_LIMIT, "%s: answered more than %zu MiB", who, req->max_bytes >> 20);
    else if (is_elsewhere(res->status))
        op_fail(op, E_STATUS, "%s: answered status %d%s", who, res->status,
                res->status < 400 ? " (redirects are not followed; is it https:// there?)"
                                  : ": busy, or broken");
    else if (res->status == 401 || res->status == 403)
        op_refused(op, E_AUTH, "%s: answered status %d to %s; check %s", who, res->status,
                   req->user ? req->user : "a request without a user",
                   req->user ? "`user:`, `password:` and what that user may do there"
                             : "who may ask there (`user:` and `password:`, or an address that is let in)");
    else
        answered = true;
    return answered;
}
