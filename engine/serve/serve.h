/* SPDX-License-Identifier: MIT */
/* `release serve`: the journal over HTTP, and orders given by starting the same program.
 *
 * The server is an observer: it reads the journal on READ stores and keeps nothing that a restart loses. What
 * changes the world is a detached child (`release run ...`) in a session of its own with the person as
 * --operator; killing the server leaves it alone.
 *
 * Threads: one of libmicrohttpd's moves bytes and never waits; finished requests go to a few workers, each
 * with a READ store, which match the route, find out who asks and call its handler; one thread feeds the
 * streams of /events; one keeper looks after children, slow clients and token times. A part (page, chat)
 * brings routes and, when it wants one, a thread of its own. A handler runs on one worker at a time;
 * everything it gets lives until the answer is sent.
 *
 * Parts are put together by engine/cli/cmd_serve.c; this library knows none of them. */
#ifndef RELEASE_SERVE_SERVE_H
#define RELEASE_SERVE_SERVE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "plans/pillar.h"
#include "state/store.h"

struct serve; /* the running server */

/* ---- who asks */

enum actor_via { ACTOR_NOBODY, ACTOR_BEARER, ACTOR_COOKIE, ACTOR_PROXY };
struct actor {
    const char *name; /* "page:bob", "api:ci"; "" = nobody. Goes into the journal as `who` */
    /* What the same one has in every door that takes tokens: "token:3"; "token:3/ann" of a bot that speaks
     * for ann; "proxy/ann". */
    const char *person;
    enum right right;
    bool unnamed_bot; /* a bot that does not say for whom it speaks */
    enum actor_via via;
    int64_t token;     /* whose right it is; 0 = the proxy's */
    const char *login; /* hash of the browser's login, "" when not by one */
    const char
        *csrf; /* what a POST by cookie or proxy must bring back: field `csrf` or header X-CSRF-Token; "" */
};

/* ---- request */

struct pair {
    const char *name, *value;
};
#define REQUEST_VARS_MAX 4

struct request {
    struct serve *serve;
    struct store *store;                /* READ, this worker's own */
    struct arena *arena;                /* this request's */
    const char *method;                 /* "GET" (HEAD comes as GET), "POST" */
    const char *path;                   /* decoded once; starts with '/', has no "..", no control bytes */
    const char *vars[REQUEST_VARS_MAX]; /* what {..} in the route's pattern stood for, in order */
    const struct pair *headers, *query, *form; /* form: of an urlencoded body */
    size_t n_headers, n_query, n_form;
    const char *body; /* raw bytes, NUL behind them */
    size_t body_bytes;
    const char *peer; /* address without port */
    const char *from; /* for the journal: the peer, or whom the trusted proxy says it asks for */
    bool loopback;    /* the peer is this machine */
    struct actor actor;
};
const char *request_header(const struct request *r, const char *name); /* any case; NULL when absent */
const char *request_query(const struct request *r, const char *name);
const char *request_form(const struct request *r, const char *name);
/* A number >= 0 in the query; `deflt` when absent. false: the reply is a 400 already. */
struct reply;
bool request_number(const struct request *r, const char *name, int64_t deflt, int64_t *ret,
                    struct reply *reply);
/* The body as a JSON object with a limited depth; NULL: the reply is a 400 already. Caller: json_decref. */
json_t *request_json(const struct request *r, struct reply *reply);
/* The body is a JSON object or a form: the text of one of its fields, NULL when absent. */
bool request_is_json(const struct request *r);

/* ---- reply */

#define REPLY_HEADERS_MAX 8
struct reply {
    int status;       /* 0 until set; a handler that sets nothing answers 500 */
    const char *type; /* content type */
    struct buf body;  /* limit 32 MiB */
    struct pair headers[REPLY_HEADERS_MAX];
    size_t n_headers;
    struct stream *stream; /* /events: taken over by the streams' thread */
};
/* Every reply also gets nosniff, no-store, no referrer, no framing and `Content-Security-Policy: default-src
 * 'none'`; reply_html and files of the page get the policy of the page ('self', nothing inline). */
void reply_json(struct reply *reply, int status, json_t *o); /* takes o */
void reply_text(struct reply *reply, int status, const char *type, const char *text, size_t n);
void reply_html(struct reply *reply, int status, const char *html, size_t n);
/* {"error": {"code", "text"}}; always returns false, so that `return reply_error(...)` reads well. */
bool reply_error(struct reply *reply, int status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The store or something like it failed: 503 for E_JOURNAL, 404 E_NOTFOUND, 409 E_LOCKED, else 400. */
bool reply_err(struct reply *reply, const struct err *err);
void reply_redirect(struct reply *reply, const char *path); /* 303 */
/* name is a constant, value lives in the request's arena. */
void reply_header(struct reply *reply, const char *name, const char *value);

/* ---- routes */

enum route_flags {
    ROUTE_SLOW = 1, /* starts a child and waits for it: two workers of their own */
    ROUTE_SIGNED =
        2, /* the body is signed by a program (chat): no login, no CSRF token; Host is checked all the same */
    ROUTE_HTML = 4,   /* a person looks: without a login they are sent to /login */
    ROUTE_STATUS = 8, /* healthz, metrics: no login from this machine */
};
typedef void (*handler_fn)(struct request *r, struct reply *reply);
struct route {
    const char *method;  /* "GET" or "POST" */
    const char *pattern; /* "/api/v1/envs/{env}/lb": {..} is one piece; "{*}" at the end is all the rest */
    enum right right;    /* RIGHT_NONE: anybody */
    unsigned flags;
    handler_fn handle;
};
#define ROUTE_END ((struct route){.method = NULL})

/* ---- orders */

/* What may be told to an environment, and what it needs. */
struct order_wish {
    enum wish verb; /* those that `release` has: run rollback resume plan lock unlock pause abort */
    const char *env;
    const char *rev, *plan, *stages, *window; /* run, plan; NULL = not given */
    const char *only, *exclude;               /* run, plan, rollback, resume */
    const char *reason;                       /* lock, unlock */
    int64_t release;         /* rollback, 0 = the last; resume: the one that was asked about */
    const char *to;          /* rollback: every node to this revision */
    int64_t before;          /* rollback: every node to what it ran before this release, 0 = not given */
    bool force;              /* unlock */
    bool brief;              /* plan: the short form, as JSON */
    const char *digest;      /* run, rollback: only when the plan is still this one; NULL = whatever it is */
    const char *approved_by; /* run, rollback, resume: the second person */
    enum via via;
    const char *who, *place; /* "slack:ann", channel or address: recorded with the order */
};
/* Is it about a way back? `plan` with release, to or before looks at what that rollback would do. */
bool serve_wish_is_back(const struct order_wish *wish);
/* Every word is one, and text, and the order takes it: what is checked before anything is kept of the wish.
 * E_USAGE. Pure. */
bool serve_wish_ok(const struct order_wish *wish, struct err *err) MUST_CHECK;
/* Checks every word, writes the order down, then starts the child (or signals the lock's holder for pause and
 * abort). false: E_USAGE a word is wrong; E_STATE nothing runs that could be paused; E_JOURNAL it could not
 * be written down, and nothing was started. Any thread. */
bool serve_order(struct serve *s, const struct order_wish *wish, int64_t *ret_id, struct err *err) MUST_CHECK;
/* The last bytes of what an order's child printed, made safe to show; "" when there is nothing. */
const char *serve_order_output(struct serve *s, int64_t id, size_t max_bytes, struct arena *arena);

/* ---- parts */

struct serve_config;
enum gate { GATE_PASS, GATE_HELD };
struct serve_part {
    const char *name;
    const struct route *routes; /* ends with ROUTE_END; may be NULL */
    /* Reads what is its own in serve.yml and says every mistake. The config lives as long as the server. */
    bool (*config)(struct serve *s, const struct serve_config *config, struct problems *problems);
    /* Before the first request; may call serve_thread. */
    bool (*start)(struct serve *s, struct err *err);
    void (*stop)(struct serve *s); /* all threads have ended; frees what start made */
    /* Before an order of the page or the API is given: HELD when it has to wait (approval, queue); the reply
     * says so. */
    enum gate (*gate)(const struct order_wish *wish, struct request *r, struct reply *reply);
    /* Adds what it knows of an environment to GET /api/v1/envs[/ENV]: queue, pending. */
    void (*env_json)(struct store *store, const char *env, json_t *o);
    /* Adds its own metrics in Prometheus' text format. */
    void (*metrics)(struct store *store, struct buf *out);
};

/* A thread of the server: run returns soon after serve_wait said true. Its store is its own to open. */
bool serve_thread(struct serve *s, const char *name, void (*run)(struct serve *s, void *arg), void *arg,
                  struct err *err) MUST_CHECK;
/* Waits up to that long; true: the server ends. */
bool serve_wait(struct serve *s, int64_t ms);
/* The part's data: what config and start made, found again by handlers and threads. */
void serve_put(struct serve *s, const char *name, void *data);
void *serve_get(struct serve *s, const char *name);

const struct serve_config *serve_config(const struct serve *s);
const char *serve_root(const struct serve *s); /* of pillar/ and plans/ */
const char *serve_url(const struct serve *s);  /* how people reach it, without a slash at the end */

/* How many applications live beside each other here: with more than one, an environment is told with its own.
 * Reads the pillar: asked once for each answer. */
size_t serve_apps(struct serve *s, struct store *store, struct arena *arena);

/* The one connection that writes; others wait. NULL: E_JOURNAL. Give it back soon: `serve_writer_done`. */
struct store *serve_writer(struct serve *s, struct err *err);
void serve_writer_done(struct serve *s);

/* The journal, open to read; bare names of environments are those of the server's tree. Any thread, one store
 * for each. */
bool serve_store(struct serve *s, struct store **ret, struct err *err) MUST_CHECK;

/* An event for the streams of /events: event is "queue", "lock", "order" ...; env may be ""; release 0 = of
 * none. data is JSON text. Streams that look at that environment (or all) get it. Any thread. */
void serve_publish(struct serve *s, const char *event, const char *env, int64_t release, const char *data);
/* For people's eyes on the server's own output, one line; never a token, cookie or body. */
void serve_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- running */

struct serve_options {
    const char *root, *state_path;
    const char *listen;      /* over serve.yml's; NULL */
    const char *config_path; /* NULL: ROOT/serve.yml when there is one */
    const char *program;     /* what children run: /proc/self/exe */
    int signal_fd;           /* readable: end */
};
/* Until a signal comes. Problems of serve.yml are in `problems`; other reasons in err (E_USAGE: wrong address
 * or configuration, nothing was opened to the world). */
bool serve_run(const struct serve_options *options, const struct serve_part *const *parts,
               struct problems *problems, struct err *err) MUST_CHECK;

#endif
