/* SPDX-License-Identifier: MIT */
/* /metrics in Prometheus' text format. Releases are counted by a cursor on their ends, so a scrape reads what
 * is new; what stands now (locks, debts) is read as it is. After a restart the journal is counted through
 * once more. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "serve/api.h"
#include "serve/fold.h"
#include "watch/json.h"

#define ENDS_CHUNK 2000

static const int64_t bucket_s[] = {10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200};
#define BUCKETS (sizeof bucket_s / sizeof bucket_s[0])

struct tally {
    char env[ENV_NAME_MAX];
    enum release_kind kind;
    int exit_status;
    int64_t n;
};
struct histogram {
    char env[ENV_NAME_MAX];
    enum release_kind kind;
    int64_t n, sum_ms, buckets[BUCKETS];
};

struct counts {
    pthread_mutex_t lock;
    int64_t last_end;
    struct tally *tallies;
    struct histogram *histograms;
    size_t n_tallies, n_histograms;
};

void counts_open(struct serve *s)
{
    s->counts = xcalloc(1, sizeof *s->counts);
    pthread_mutex_init(&s->counts->lock, NULL);
}

void counts_free(struct serve *s)
{
    if (!s->counts)
        return;
    pthread_mutex_destroy(&s->counts->lock);
    free(s->counts->tallies);
    free(s->counts->histograms);
    free(s->counts);
    s->counts = NULL;
}

/* ---- releases */

static void tally(struct counts *c, const struct release_ended *e)
{
    size_t i = 0;
    while (i < c->n_tallies && (c->tallies[i].exit_status != e->exit_status ||
                                strcmp(c->tallies[i].env, e->env) != 0 || c->tallies[i].kind != e->kind))
        i++;
    if (i == c->n_tallies) {
        c->tallies = xrealloc(c->tallies, ++c->n_tallies * sizeof *c->tallies);
        c->tallies[i] = (struct tally){.kind = e->kind, .exit_status = e->exit_status};
        snprintf(c->tallies[i].env, sizeof c->tallies[i].env, "%s", e->env);
    }
    c->tallies[i].n++;
}

static void measure(struct counts *c, const struct release_ended *e)
{
    size_t i = 0;
    while (i < c->n_histograms &&
           (strcmp(c->histograms[i].env, e->env) != 0 || c->histograms[i].kind != e->kind))
        i++;
    if (i == c->n_histograms) {
        c->histograms = xrealloc(c->histograms, ++c->n_histograms * sizeof *c->histograms);
        c->histograms[i] = (struct histogram){.kind = e->kind};
        snprintf(c->histograms[i].env, sizeof c->histograms[i].env, "%s", e->env);
    }
    struct histogram *h = &c->histograms[i];
    h->n++;
    h->sum_ms += e->took_ms;
    for (size_t b = 0; b < BUCKETS; b++)
        h->buckets[b] += e->took_ms <= bucket_s[b] * 1000;
}

static bool count_ends(struct counts *c, struct store *store, struct err *err)
{
    size_t n;
    do {
        auto_arena struct arena arena = {0};
        struct release_ended *ends;
        if (!release_ends_after(reader(store, &arena),
                                &(struct since){.after = c->last_end, .limit = ENDS_CHUNK}, &ends, &n, err))
            return false;
        for (size_t i = 0; i < n; i++) {
            tally(c, &ends[i]);
            measure(c, &ends[i]);
            c->last_end = ends[i].id;
        }
    } while (n == ENDS_CHUNK);
    return true;
}

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_releases(const struct counts *c, struct buf *out)
{
    head(out, "release_releases_total", "counter", "Ends of releases, by environment, kind and exit status.");
    for (size_t i = 0; i < c->n_tallies; i++)
        buf_printf(out, "release_releases_total{env=\"%s\",kind=\"%s\",exit=\"%d\"} %" PRId64 "\n",
                   c->tallies[i].env, kind_name(c->tallies[i].kind), c->tallies[i].exit_status,
                   c->tallies[i].n);
    head(out, "release_duration_seconds", "histogram", "From the start of a release to its end.");
    for (size_t i = 0; i < c->n_histograms; i++) {
        const struct histogram *h = &c->histograms[i];
        const char *form = "release_duration_seconds_%s{env=\"%s\",kind=\"%s\"%s} ";
        const char *kind = kind_name(h->kind);
        char le[40];
        for (size_t b = 0; b < BUCKETS; b++) {
            snprintf(le, sizeof le, ",le=\"%" PRId64 "\"", bucket_s[b]);
            buf_printf(out, form, "bucket", h->env, kind, le);
            buf_printf(out, "%" PRId64 "\n", h->buckets[b]);
        }
        buf_printf(out, form, "bucket", h->env, kind, ",le=\"+Inf\"");
        buf_printf(out, "%" PRId64 "\n", h->n);
        buf_printf(out, form, "sum", h->env, kind, "");
        buf_printf(out, "%.3f\n", (double)h->sum_ms / 1000);
        buf_printf(out, form, "count", h->env, kind, "");
        buf_printf(out, "%" PRId64 "\n", h->n);
    }
}

/* ---- environments */

struct standing {
    const char *env;
    int64_t total, up, owed, held_ms, last_end_ms;
    bool held, running, unfinished;
};

static int64_t out_now(struct request *r, const struct env_state *st)
{
    struct err err;
    struct fold *f = st->running ? fold_get(r->serve, r->store, st->running->id, &err) : NULL;
    int64_t out = -1;
    if (f) {
        const uint32_t *n = f->model.counts;
        out = n[SHOWN_OUT] + n[SHOWN_BACK] + n[SHOWN_LEFT];
        fold_put(r->serve, f);
    }
    return out;
}

/* Last known: while a release runs what it took out, else what is still owed. */
static bool stand(struct request *r, const char *env, struct standing *ret, struct err *err)
{
    struct env_state st;
    struct node_counts n;
    if (!env_state_brief(r->store, env, r->arena, &st, err) || !sums_nodes(r->serve, r->store, env, &n, err))
        return false;
    *ret = (struct standing){.env = env,
                             .total = n.total,
                             .owed = n.owed,
                             .held = st.lock.held,
                             .held_ms = st.lock.held ? clock_wall_ms() - st.lock.since_ms : 0,
                             .running = st.running != NULL,
                             .unfinished = st.unfinished != NULL && st.running == NULL,
                             .last_end_ms = st.last ? st.last->ended_ms : 0};
    int64_t out = out_now(r, &st);
    ret->up = ret->total - (out >= 0 && out <= ret->total ? out : ret->owed);
    return true;
}

typedef double (*value_fn)(const struct standing *s);
static double is_held(const struct standing *s)
{
    return s->held;
}
static double held_for(const struct standing *s)
{
    return (double)s->held_ms / 1000;
}
static double is_running(const struct standing *s)
{
    return s->running;
}
static double is_unfinished(const struct standing *s)
{
    return s->unfinished;
}
static double node_count(const struct standing *s)
{
    return (double)s->total;
}
static double up_count(const struct standing *s)
{
    return (double)s->up;
}
static double owed_count(const struct standing *s)
{
    return (double)s->owed;
}
static double last_end(const struct standing *s)
{
    return (double)s->last_end_ms / 1000;
}

static void put_gauge(struct buf *out, const struct standing *all, size_t n, const char *name,
                      const char *help, value_fn value)
{
    head(out, name, "gauge", help);
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s{env=\"%s\"} %.3f\n", name, all[i].env, value(&all[i]));
}

static bool put_envs(struct request *r, struct buf *out, struct err *err)
{
    static const struct {
        const char *name, *help;
        value_fn value;
    } gauges[] = {
        {"release_lock_held", "1 while somebody holds the environment's lock.", is_held},
        {"release_lock_held_seconds", "For how long; 0 when it is free.", held_for},
        {"release_running", "1 while a release runs.", is_running},
        {"release_unfinished", "1 when a release waits for resume or rollback.", is_unfinished},
        {"release_nodes", "Nodes that the journal knows.", node_count},
        {"release_nodes_in_rotation", "Of them, in rotation as far as the journal knows.", up_count},
        {"release_nodes_owed", "Nodes that were drained and not given back.", owed_count},
        {"release_last_end_timestamp_seconds", "When the last release ended; 0 = never or running.",
         last_end},
    };
    size_t n;
    const char *const *envs = api_envs(r->serve, r->store, r->arena, &n);
    struct standing *all = arena_array(r->arena, n + 1, sizeof *all);
    for (size_t i = 0; i < n; i++)
        if (!stand(r, envs[i], &all[i], err))
            return false;
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0]; i++)
        put_gauge(out, all, n, gauges[i].name, gauges[i].help, gauges[i].value);
    return true;
}

/* ---- the server itself */

static void put_one(struct buf *out, const char *name, const char *type, const char *help, int64_t value)
{
    head(out, name, type, help);
    buf_printf(out, "%s %" PRId64 "\n", name, value);
}

static void put_server(struct serve *s, struct buf *out)
{
    struct http_counts h = http_counted(s);
    head(out, "release_http_requests_total", "counter",
         "Answers of the server, by the first digit of the status.");
    for (int i = 2; i < 6; i++)
        buf_printf(out, "release_http_requests_total{code=\"%dxx\"} %lld\n", i, (long long)h.answers[i]);
    put_one(out, "release_http_connections", "gauge", "Open connections besides streams.",
            (int64_t)h.connections);
    put_one(out, "release_event_streams", "gauge", "Open streams of /events.", (int64_t)streams_counted(s));
    put_one(out, "release_http_evicted_total", "counter", "Connections ended to make room for others.",
            (int64_t)h.evicted);
    put_one(out, "release_http_late_total", "counter",
            "Connections ended because their request did not come in time.", (int64_t)h.late);
    put_one(out, "release_orders_total", "counter", "Orders given by this server since it started.",
            children_given_count(s));
}

static void metrics(struct request *r, struct reply *reply)
{
    struct counts *c = r->serve->counts;
    auto_buf struct buf out = BUF_INIT((size_t)8 * 1024 * 1024);
    struct err err;
    pthread_mutex_lock(&c->lock);
    bool ok = count_ends(c, r->store, &err);
    if (ok)
        put_releases(c, &out);
    pthread_mutex_unlock(&c->lock);
    if (!ok || !put_envs(r, &out, &err)) {
        reply_err(reply, &err);
        return;
    }
    put_server(r->serve, &out);
    for (const struct serve_part *const *p = r->serve->parts; *p; p++)
        if ((*p)->metrics)
            (*p)->metrics(r->store, &out);
    reply_text(reply, 200, "text/plain; version=0.0.4; charset=utf-8", out.data, out.len);
}

const struct route metrics_routes[] = {
    {.method = "GET", .pattern = "/metrics", .right = RIGHT_VIEWER, .flags = ROUTE_STATUS, .handle = metrics},
    ROUTE_END,
};
