/* SPDX-License-Identifier: MIT */
/* Inside of engine/serve: the running server and where its files meet. */
#ifndef RELEASE_SERVE_SERVE_PRIV_H
#define RELEASE_SERVE_SERVE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "serve/config.h"
#include "serve/serve.h"

#define SERVE_HEADER_BYTES 8192
#define SERVE_BODY_BYTES   65536
#define SERVE_REQUEST_MS   10000 /* from the first byte of a request to its last */
#define SERVE_ANSWER_MS    30000 /* until the client has taken the answer */
#define SERVE_CONNECTIONS  64    /* besides streams */
#define SERVE_STREAMS      64
#define SERVE_WORKERS      4
#define SERVE_SLOW_WORKERS 2
#define SERVE_QUEUE        128
#define SERVE_PARTS        8
#define SERVE_THREADS      32
#define SERVE_LOGIN_MS     (INT64_C(12) * 3600 * 1000)
#define SERVE_PAGE_POLICY                                                                                    \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "             \
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
#define SERVE_DATA_POLICY "default-src 'none'; frame-ancestors 'none'"

struct slot {
    const char *name;
    void *data;
};

struct http;
struct streams;
struct used_tokens;
struct children;
struct sums;
struct folds;
struct askers;
struct counts;

struct serve {
    struct serve_options options;
    const struct serve_part *const *parts;
    const struct route *const *tables; /* the server's own, by serve.c; ends with NULL */
    struct serve_config config;
    struct listen_address address;
    char *state_path; /* the journal's file, resolved */
    char *tree;       /* the real path of options.root, NULL = there is none */
    struct app_known {
        char env[72], app[72];
    } * apps; /* what the pillar said at the start of those that the journal does not know for sure */
    size_t n_apps;
    char orders_dir[4096]; /* beside it: what orders printed, and how they ended */
    char proxy_secret[65]; /* of this process: what forms of the proxy's users bring back is made of it */
    char url[300];
    char hosts[8][300]; /* what a Host header may say */
    size_t n_hosts;
    int stop_fd; /* eventfd: readable once the server ends */
    pthread_t threads[SERVE_THREADS];
    size_t n_threads;
    pthread_mutex_t writer_lock;
    struct store *writer;
    struct slot slots[SERVE_PARTS];
    size_t n_slots;
    struct http *http;         /* http.c */
    struct streams *streams;   /* events.c */
    struct used_tokens *used;  /* used.c */
    struct children *children; /* children.c */
    struct sums *sums;         /* sums.c */
    struct folds *folds;       /* fold.c */
    struct askers *askers;     /* ask.c */
    struct counts *counts;     /* metrics.c */
};

/* ---- http.c: libmicrohttpd, limits, workers */
bool http_start(struct serve *s, struct err *err) MUST_CHECK;
void http_quiesce(struct serve *s); /* nobody new is let in; who is connected is answered */
void http_stop(
    struct serve *s); /* no request is in flight any more when it returns; nothing started is fine */
/* Ends connections whose request is not complete in time; called by the keeper. */
void http_sweep(struct serve *s);
struct http_counts {
    size_t connections, streams, evicted, late;
    int64_t answers[6]; /* by status / 100 */
};
struct http_counts http_counted(struct serve *s);

/* ---- request.c: names and values */
/* Percent-decoded; false: a broken escape or a NUL. plus: '+' is a space (forms and queries). */
bool url_decode(struct arena *a, const char *text, size_t n, bool plus, const char **ret);
/* "a=1&b=2" into pairs; false: broken, or more than 100. */
bool pairs_parse(struct arena *a, const char *text, struct pair **ret, size_t *ret_n);
/* The path of a request line; false: it does not begin with '/', climbs, or holds what no path of ours holds.
 */
bool path_clean(struct arena *a, const char *raw, const char **ret);
/* One cookie's value out of the Cookie header; NULL. */
const char *cookie_get(const struct request *r, const char *name);

/* ---- context.c */
void context_threads_stop(struct serve *s);
void context_scope(const struct serve *s, struct store *store); /* what a bare environment's name means */

/* ---- names.c */
void serve_name(struct serve *s); /* once the port is known */
bool host_ok(const struct serve *s, const char *host);
bool origin_ok(const struct serve *s, const struct request *r);

/* ---- keeper.c: what must be done now and then */
bool keeper_start(struct serve *s, struct err *err) MUST_CHECK;

/* ---- used.c: when tokens were used. Any thread. */
void used_open(struct serve *s);
void used_free(struct serve *s);
void used_token(struct serve *s, int64_t token);
void used_write(struct serve *s);

/* ---- children.c: processes of orders */
void children_open(struct serve *s);
void children_free(struct serve *s);
bool children_take_up(struct serve *s, struct err *err) MUST_CHECK; /* those of a server before us */
/* Its end is written down once that process is gone. Any thread. */
void children_watch(struct serve *s, int64_t id, pid_t pid);
size_t children_count(struct serve *s); /* under way */
void children_given(struct serve *s);   /* one more order was given */
int64_t children_given_count(struct serve *s);
void children_look_after(struct serve *s);
void children_remove_old_files(struct serve *s);
const char *children_file(struct serve *s, int64_t id, const char *suffix, struct arena *arena);
void orders_end(struct serve *s, int64_t id, int exit_status, const char *text);

/* ---- orders.c */
bool orders_open(struct serve *s, struct err *err) MUST_CHECK;

/* ---- route.c: which handler, and may they */
bool route_is_slow(struct request *r);
void request_serve(struct request *r, struct reply *reply);
bool route_matches(const char *pattern, const char *path, struct arena *a,
                   const char *vars[REQUEST_VARS_MAX]);

/* ---- auth.c */
/* Fills r->actor. false: the reply says why not (401 for a token that is none). */
bool auth_find(struct request *r, struct reply *reply);
/* Whether a POST of a browser was meant: token of the login, and an Origin that is ours when there is one. */
bool auth_csrf_ok(const struct request *r);
extern const struct route auth_routes[];

/* ---- reply.c */
void reply_fini(struct reply *reply);

/* ---- fold.c */
void folds_open(struct serve *s);
void folds_free(struct serve *s);

/* ---- events.c */
void streams_open(struct serve *s);
bool streams_start(struct serve *s, struct err *err) MUST_CHECK;
void streams_free(struct serve *s);
size_t streams_counted(struct serve *s);

/* ---- metrics.c */
void counts_open(struct serve *s);
void counts_free(struct serve *s);

/* ---- sums.c */
void sums_open(struct serve *s);
void sums_free(struct serve *s);
/* Nodes that the journal knows of an environment; up to two seconds old. */
struct node_counts {
    int64_t total, owed; /* owed: drained, and not given back to a balancer */
    char live[48];       /* the revision that most of them run, "" when none is known */
    int64_t on_live;     /* how many do */
};
bool sums_nodes(struct serve *s, struct store *store, const char *env, struct node_counts *ret,
                struct err *err) MUST_CHECK;

/* ---- ask.c: questions that a child answers */
void askers_open(struct serve *s);
void askers_free(struct serve *s);

/* ---- the API's tables */
extern const struct route api_env_routes[], api_release_routes[], api_order_routes[], status_routes[],
    event_routes[], ask_routes[], metrics_routes[], api_plan_routes[];

#endif
