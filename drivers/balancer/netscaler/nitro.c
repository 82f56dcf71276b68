/* SPDX-License-Identifier: MIT */
/* The dialog with NITRO: one login for all ops of this process, renewed when the appliance has ended it, and the
 * primary of a pair. The session's token is kept in memory alone, and given back when the process ends.
 *
 * Nothing is tried again here but a request whose session was over (it was certainly not carried out): busy,
 * broken and late are told, and the core asks again by its own timers. */
#include "drivers/balancer/netscaler/netscaler.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/str.h"
#include "drivers/op/http_call.h"
#include "drivers/op/op.h"
#include "drivers/op/redact.h"

#define ANSWER_MAX (8u << 20) /* some ten thousand members */
#define LOGOUT_MS  1500
#define REFUSED_MS                                                                                           \
    30000 /* a login that was refused is not tried again by every op of a fleet: accounts get locked */
#define CODE_SESSION     444 /* expired or killed: log in again */
#define CODE_SESSIONS    445 /* too many at once: others end */
#define CODE_CONNECTIONS 446
#define CODE_NO_THING    258
#define CODE_NO_SERVICE  344

enum end {
    END_DONE,
    END_REFUSED, /* the appliance said no: its words in err */
    END_MISSING, /* there is no such thing */
    END_SESSION, /* the login is over */
    END_FAILED,  /* nothing was learnt: why in err */
    END_OP,      /* op failed already: deadline, cancel */
};

/* ---- the session ----------------------------------------------------------- */

struct nitro_session {
    pthread_mutex_t lock; /* held while one logs in for all */
    char *url, *ca, *token;
    char *refused; /* the last login's refusal, NULL: none */
    int64_t refused_ms;
};

static void *session_make(void)
{
    struct nitro_session *s = xcalloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void token_forget(struct nitro_session *s)
{
    if (s->token)
        explicit_bzero(s->token, strlen(s->token));
    free(s->token);
    s->token = NULL;
}

/* Appliances allow a user few sessions at a time. What cannot be said now times out there. */
static void session_logout(struct nitro_session *s)
{
    static const char body[] = "{\"logout\":{}}";
    const struct op_spec spec = {.deadline_mono_ms = clock_mono_ms() + LOGOUT_MS, .cancel_fd = -1};
    struct op *op = op_new(&spec);
    const struct op_pair headers[] = {
        {"Content-Type", "application/json"},
        {"Cookie", arena_printf(op_arena(op), "NITRO_AUTH_TOKEN=%s", s->token)},
    };
    const struct http_req req = {.url = arena_printf(op_arena(op), "%s/nitro/v1/config/logout", s->url),
                                 .body = body,
                                 .body_len = sizeof body - 1,
                                 .headers = headers,
                                 .n_headers = 2,
                                 .ca = s->ca,
                                 .max_bytes = 4096,
                                 .timeout_ms = LOGOUT_MS};
    struct http_res res;
    (void)http_call(op, &req, &res);
    op_free(op);
}

static void session_end(void *data)
{
    struct nitro_session *s = data;
    if (s->token)
        session_logout(s);
    token_forget(s);
    pthread_mutex_destroy(&s->lock);
    free(s->url);
    free(s->ca);
    free(s->refused);
    free(s);
}

static struct nitro_session *session_of(struct lb *lb, const char *url)
{
    const char *user = op_arg(lb->op, "user"), *ca = op_arg(lb->op, "ca");
    struct nitro_session *s =
        op_kept(lb->op, arena_printf(op_arena(lb->op), "nitro %s %s", user, url), session_make, session_end);
    pthread_mutex_lock(&s->lock);
    if (!s->url) {
        s->url = xstrdup(url);
        s->ca = ca ? xstrdup(ca) : NULL;
    }
    pthread_mutex_unlock(&s->lock);
    return s;
}

/* ---- one request ----------------------------------------------------------- */

struct answer {
    json_t *root;
    const char *message;
    const char *cookie; /* of a login */
};

static void answer_fn(struct answer *a)
{
    json_decref(a->root);
}
#define auto_answer __attribute__((cleanup(answer_fn)))

/* The appliance's own words, without what only we and it may know. */
static const char *words(struct lb *lb, const char *token, const char *text)
{
    const char *const secrets[] = {op_arg(lb->op, "password"), token, NULL};
    return redact_text(secrets, *text ? text : "nothing", op_arena(lb->op));
}

static enum end not_answered(const char *url, const struct http_res *res, struct err *err)
{
    if (res->untrusted)
        err_set(err, E_NET, "%s: its certificate cannot be trusted (%s); check `ca:` and the name in `url:`",
                url, res->problem);
    else
        err_set(err, E_NET, "%s: %s", url, res->problem);
    return END_FAILED;
}

/* Busy, a proxy's word, an error of the appliance's own server: NITRO itself did not answer. */
static bool is_busy(int status)
{
    return status == 408 || status == 429 || (status >= 500 && status < 599);
}

/* What is asked of a node, and by which session (token NULL: by none yet). */
struct nitro_call {
    const char *url, *path, *body, *token;
};

static enum end judge(struct lb *lb, const struct nitro_call *call, const struct http_res *res,
                      struct answer *ret, struct err *err)
{
    const char *url = call->url, *token = call->token;
    int64_t code = 0;
    struct err why = {0};
    if (res->end != HTTP_ANSWERED)
        return not_answered(url, res, err);
    if (res->cut) {
        err_set(err, E_LIMIT, "%s: answered more than %u MiB", url, ANSWER_MAX >> 20);
        return END_FAILED;
    }
    if (is_busy(res->status) || (res->status >= 300 && res->status < 400)) {
        err_set(err, E_STATUS, "%s: answered status %d%s", url, res->status,
                res->status < 400 ? " (redirects are not followed; is it https:// there?)"
                                  : ": busy, or broken");
        return END_FAILED;
    }
    ret->root = nitro_parse(res->body, res->body_len, op_arena(lb->op), &code, &ret->message, &why);
    if (!ret->root) {
        err_set(err, E_PROTO, "%s: status %d: %s", url, res->status, words(lb, token, why.text));
        return END_FAILED;
    }
    if (code == 0 && res->status < 300)
        return END_DONE;
    if (code == CODE_SESSIONS || code == CODE_CONNECTIONS) {
        err_set(err, E_STATUS, "%s: is busy: %s (errorcode %lld)", url, words(lb, token, ret->message),
                (long long)code);
        return END_FAILED;
    }
    err_set(err, E_REFUSED, "%s (status %d, errorcode %lld)", words(lb, token, ret->message), res->status,
            (long long)code);
    if (token && (code == CODE_SESSION || res->status == 401))
        return END_SESSION;
    return code == CODE_NO_THING || code == CODE_NO_SERVICE ? END_MISSING : END_REFUSED;
}

static const char *cookie_of(struct lb *lb, const struct http_res *res)
{
    static const char name[] = "NITRO_AUTH_TOKEN=";
    for (size_t i = 0; i < res->n_headers; i++) {
        const char *v = res->headers[i].value;
        if (!strcasecmp(res->headers[i].name, "Set-Cookie") && str_starts(v, name))
            return arena_strndup(op_arena(lb->op), v + sizeof name - 1, strcspn(v, "; ") - (sizeof name - 1));
    }
    return NULL;
}

/* body NULL: GET. */
static enum end request(struct lb *lb, const struct nitro_call *call, struct answer *ret, struct err *err)
{
    const char *body = call->body, *token = call->token;
    struct arena *a = op_arena(lb->op);
    struct op_pair headers[3];
    struct http_req req = {.url = arena_printf(a, "%s/nitro/v1/%s", call->url, call->path),
                           .body = body,
                           .body_len = body ? strlen(body) : 0,
                           .headers = headers,
                           .ca = op_arg(lb->op, "ca"),
                           .max_bytes = ANSWER_MAX,
                           .timeout_ms = (int)op_arg_ms(lb->op, "call_timeout")};
    struct http_res res;
    headers[req.n_headers++] = (struct op_pair){"Accept", "application/json"};
    if (body)
        headers[req.n_headers++] = (struct op_pair){"Content-Type", "application/json"};
    if (token)
        headers[req.n_headers++] = (struct op_pair){"Cookie", arena_printf(a, "NITRO_AUTH_TOKEN=%s", token)};
    *ret = (struct answer){.root = NULL};
    op_asking(lb->op, call->url);
    bool made = http_call(lb->op, &req, &res);
    op_asking(lb->op, NULL);
    if (!made)
        return END_OP;
    ret->cookie = cookie_of(lb, &res);
    return judge(lb, call, &res, ret, err);
}

/* ---- logging in ------------------------------------------------------------ */

static bool token_valid(const char *t)
{
    return t && *t && strlen(t) < 4096 && http_text_valid(t) && !strpbrk(t, "; ,\"");
}

static enum end login(struct lb *lb, struct nitro_session *s, struct err *err)
{
    auto_answer struct answer got = {.root = NULL};
    auto_json json_t *body = json_pack("{s:{s:s, s:s}}", "login", "username", op_arg(lb->op, "user"),
                                       "password", op_arg(lb->op, "password"));
    auto_free char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    if (!text) {
        err_set(err, E_CONFIG, "%s: user or password is not text in UTF-8", s->url);
        return END_REFUSED;
    }
    enum end end =
        request(lb, &(struct nitro_call){.url = s->url, .path = "config/login", .body = text}, &got, err);
    explicit_bzero(text, strlen(text));
    const char *token = got.cookie ? got.cookie : json_string_value(json_object_get(got.root, "sessionid"));
    if (end == END_DONE && token_valid(token)) {
        s->token = xstrdup(token);
        return END_DONE;
    }
    if (end == END_DONE) {
        err_set(err, E_PROTO, "%s: took the login and gave no session", s->url);
        return END_FAILED;
    }
    if (end != END_REFUSED && end != END_MISSING)
        return end;
    struct err why = *err;
    err_set(err, E_AUTH, "%s: login of \"%s\" was refused: %s; check `user:` and `password:`", s->url,
            op_arg(lb->op, "user"), why.text);
    free(s->refused);
    s->refused = xstrdup(err->text);
    s->refused_ms = clock_mono_ms();
    return END_REFUSED;
}

/* `old` is not any more: another op may have renewed it meanwhile. *ret_token lives in the arena. */
static enum end token_of(struct lb *lb, struct nitro_session *s, const char *old, const char **ret_token,
                         struct err *err)
{
    enum end end = END_DONE;
    pthread_mutex_lock(&s->lock);
    if (s->token && old && !strcmp(s->token, old))
        token_forget(s);
    if (!s->token && s->refused && clock_mono_ms() - s->refused_ms < REFUSED_MS) {
        err_set(err, E_AUTH, "%s", s->refused);
        end = END_REFUSED;
    } else if (!s->token) {
        end = login(lb, s, err);
    }
    *ret_token = s->token ? arena_strdup(op_arena(lb->op), s->token) : NULL;
    pthread_mutex_unlock(&s->lock);
    return end;
}

static enum end ask(struct lb *lb, struct nitro_call call, struct answer *ret, struct err *err)
{
    struct nitro_session *s = session_of(lb, call.url);
    enum end end = token_of(lb, s, NULL, &call.token, err);
    if (end != END_DONE)
        return end;
    end = request(lb, &call, ret, err);
    if (end != END_SESSION)
        return end;
    json_decref(ret->root);
    ret->root = NULL;
    end = token_of(lb, s, call.token, &call.token, err);
    if (end == END_DONE)
        end = request(lb, &call, ret, err);
    return end == END_SESSION ? END_REFUSED : end; /* new, and over already */
}

/* ---- the primary ----------------------------------------------------------- */

static struct nitro_peer *peer_of(const struct lb *lb, size_t peer)
{
    return lb->peers[peer].own;
}

/* Is this node the one to talk to? Else what speaks against it is added to `why`. */
static enum end primary_is(struct lb *lb, const char *url, struct buf *why, struct err *err)
{
    auto_answer struct answer got = {.root = NULL};
    enum nitro_ha ha = NITRO_NEITHER;
    const char *says = "";
    enum end end = ask(lb, (struct nitro_call){.url = url, .path = "stat/hanode"}, &got, err);
    if (end == END_DONE && !nitro_ha_of(got.root, op_arena(lb->op), &ha, &says, err))
        end = END_FAILED;
    if (end == END_DONE && ha == NITRO_PRIMARY)
        return END_DONE;
    if (end == END_DONE)
        buf_printf(why, "%s%s is %s", why->len ? "; " : "", url,
                   ha == NITRO_SECONDARY ? "the secondary of its pair" : says);
    else if (end != END_OP)
        buf_printf(why, "%s%s%s%s", why->len ? "; " : "", strstr(err->text, url) ? "" : url,
                   strstr(err->text, url) ? "" : ": ", err->text);
    return end == END_DONE ? END_FAILED : end;
}

/* Each op asks: a pair may have failed over since the last one. */
static bool find_primary(struct lb *lb, size_t peer)
{
    struct nitro_peer *p = peer_of(lb, peer);
    auto_buf struct buf why = BUF_INIT(1500);
    struct err err = {0};
    enum err_code code = E_STATE;
    size_t refused = 0;
    for (size_t i = 0; i < p->n; i++) {
        enum end end = primary_is(lb, p->urls[i], &why, &err);
        if (end == END_OP)
            return false;
        if (end == END_DONE) {
            p->node = p->urls[i];
            return true;
        }
        code = err.code != E_NONE ? err.code : code;
        refused += end == END_REFUSED;
    }
    if (refused == p->n)
        op_refused(lb->op, code, "%s", buf_str(&why));
    else
        op_fail(lb->op, code, "%s%s%s", buf_str(&why), p->n > 1 ? "; none of the pair is the primary" : "",
                p->n == 1 && code == E_STATE
                    ? "; wanted the primary: give both, `url: \"https://ONE|https://OTHER\"`"
                    : "");
    return false;
}

static bool node_known(struct lb *lb, size_t peer)
{
    return peer_of(lb, peer)->node || find_primary(lb, peer);
}

/* ---- for the kind ---------------------------------------------------------- */

json_t *nitro_get(struct lb *lb, size_t peer, const char *path, bool *ret_missing)
{
    auto_answer struct answer got = {.root = NULL};
    struct err err = {0};
    if (ret_missing)
        *ret_missing = false;
    if (!node_known(lb, peer))
        return NULL;
    const char *url = peer_of(lb, peer)->node;
    enum end end = ask(lb, (struct nitro_call){.url = url, .path = path}, &got, &err);
    if (end == END_DONE)
        return json_incref(got.root);
    if (end == END_MISSING && ret_missing)
        *ret_missing = true;
    else if (end == END_REFUSED || end == END_MISSING)
        op_refused(lb->op, err.code, "%s%s%s: %s", strstr(err.text, url) ? "" : url,
                   strstr(err.text, url) ? "" : ": ", path, err.text);
    else if (end != END_OP)
        op_fail(lb->op, err.code, "%s", err.text);
    return NULL;
}

bool nitro_act(struct lb *lb, size_t peer, const char *path, json_t *body, const char **ret_refusal)
{
    auto_json json_t *all = body;
    auto_answer struct answer got = {.root = NULL};
    struct err err = {0};
    auto_free char *text = json_dumps(all, JSON_COMPACT);
    if (!node_known(lb, peer))
        return false;
    enum end end =
        ask(lb, (struct nitro_call){.url = peer_of(lb, peer)->node, .path = path, .body = text}, &got, &err);
    if (end == END_REFUSED || end == END_MISSING)
        *ret_refusal = arena_strdup(op_arena(lb->op), err.text);
    else if (end != END_DONE && end != END_OP)
        op_fail(lb->op, err.code, "%s", err.text);
    return end == END_DONE || *ret_refusal;
}
