/* SPDX-License-Identifier: MIT */
/* Putting the server together and taking it apart. */
#include "serve/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/hash.h"
#include "plans/pillar.h"
#include "serve/serve_priv.h"

/* ---- threads */

struct task {
    struct serve *serve;
    void (*run)(struct serve *s, void *arg);
    void *arg;
};

static void *task_run(void *arg)
{
    struct task t = *(struct task *)arg;
    free(arg);
    t.run(t.serve, t.arg);
    return NULL;
}

bool serve_thread(struct serve *s, const char *name, void (*run)(struct serve *s, void *arg), void *arg,
                  struct err *err)
{
    must(s->n_threads < SERVE_THREADS);
    struct task *t = xcalloc(1, sizeof *t);
    *t = (struct task){.serve = s, .run = run, .arg = arg};
    if (pthread_create(&s->threads[s->n_threads], NULL, task_run, t) != 0) {
        free(t);
        return err_set(err, E_LIMIT, "no thread for the server's %s (limit reached?)", name);
    }
    pthread_setname_np(s->threads[s->n_threads++], name);
    return true;
}

bool serve_wait(struct serve *s, int64_t ms)
{
    struct pollfd fd = {.fd = s->stop_fd, .events = POLLIN};
    return poll(&fd, 1, ms > 60000 ? 60000 : (int)ms) > 0;
}

static void threads_stop(struct serve *s)
{
    uint64_t one = 1;
    if (s->stop_fd >= 0 && write(s->stop_fd, &one, sizeof one) != sizeof one)
        serve_log("cannot wake the server's threads");
    for (size_t i = 0; i < s->n_threads; i++)
        pthread_join(s->threads[i], NULL);
    s->n_threads = 0;
}

/* ---- what parts and handlers share */

void serve_put(struct serve *s, const char *name, void *data)
{
    must(s->n_slots < SERVE_PARTS);
    s->slots[s->n_slots++] = (struct slot){.name = name, .data = data};
}

void *serve_get(struct serve *s, const char *name)
{
    for (size_t i = 0; i < s->n_slots; i++)
        if (strcmp(s->slots[i].name, name) == 0)
            return s->slots[i].data;
    return NULL;
}

const struct serve_config *serve_config(const struct serve *s)
{
    return &s->config;
}

const char *serve_root(const struct serve *s)
{
    return s->options.root;
}

const char *serve_state_path(const struct serve *s)
{
    return s->state_path;
}

const char *serve_url(const struct serve *s)
{
    return s->url;
}

static void scope(const struct serve *s, struct store *store)
{
    store_scope(store, s->tree);
    for (size_t i = 0; i < s->n_apps; i++)
        store_app(store, s->apps[i].env, s->apps[i].app);
}

bool serve_store(struct serve *s, struct store **ret, struct err *err)
{
    if (!store_open(s->state_path, STORE_READ, ret, err))
        return false;
    scope(s, *ret);
    return true;
}

static bool writer_open(struct serve *s, struct err *err)
{
    if (!store_open(s->options.state_path, STORE_WRITE, &s->writer, err))
        return false;
    scope(s, s->writer);
    return true;
}

/* A store that failed refuses everything after: it is opened anew, and what counts is what is read then. */
struct store *serve_writer(struct serve *s, struct err *err)
{
    pthread_mutex_lock(&s->writer_lock);
    if (s->writer && store_begin(s->writer, err))
        store_rollback(s->writer);
    else if (s->writer) {
        store_close(s->writer);
        s->writer = NULL;
    }
    if (s->writer || writer_open(s, err))
        return s->writer;
    s->writer = NULL;
    pthread_mutex_unlock(&s->writer_lock);
    return NULL;
}

void serve_writer_done(struct serve *s)
{
    pthread_mutex_unlock(&s->writer_lock);
}

void serve_log(const char *fmt, ...)
{
    auto_buf struct buf text = BUF_INIT(2000), safe = BUF_INIT(8000);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    text_visible(&safe, buf_str(&text), text.len);
    fprintf(stderr, "release: serve: %s\n", buf_str(&safe));
}

/* ---- names */

static void host_add(struct serve *s, const char *host)
{
    if (host[0] && s->n_hosts < sizeof s->hosts / sizeof s->hosts[0])
        snprintf(s->hosts[s->n_hosts++], sizeof s->hosts[0], "%s", host);
}

/* What people may call it: the page's address, the address it listens on, and localhost on this machine. */
void serve_name(struct serve *s)
{
    const struct listen_address *at = &s->address;
    char own[100];
    snprintf(own, sizeof own, at->ip6 ? "[%s]:%d" : "%s:%d", at->host, at->port);
    if (s->config.url)
        snprintf(s->url, sizeof s->url, "%s", s->config.url);
    else
        snprintf(s->url, sizeof s->url, "%s://%s", s->config.tls_cert ? "https" : "http", own);
    const char *host = strstr(s->url, "://") + 3;
    char name[300];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(host, "/"), host);
    host_add(s, name);
    host_add(s, own);
    if (at->loopback) {
        snprintf(name, sizeof name, "localhost:%d", at->port);
        host_add(s, name);
        snprintf(name, sizeof name, "127.0.0.1:%d", at->port);
        host_add(s, name);
    }
}

/* ---- running */

static bool configure(struct serve *s, struct problems *problems, struct err *err)
{
    const char *path = s->options.config_path;
    auto_buf struct buf deflt = BUF_INIT(4096);
    buf_printf(&deflt, "%s/serve.yml", s->options.root);
    if (!config_load(path ? path : buf_str(&deflt), path != NULL, s->options.listen, &s->config, problems))
        return err_set(err, E_CONFIG, "serve.yml has mistakes; nothing was opened");
    bool ok = true;
    for (const struct serve_part *const *p = s->parts; *p; p++)
        ok = (!(*p)->config || (*p)->config(s, &s->config, problems)) && ok;
    if (!ok)
        return err_set(err, E_CONFIG, "serve.yml has mistakes; nothing was opened");
    return listen_parse(s->config.listen, &s->address, err) &&
           config_exposure_ok(&s->config, &s->address, err);
}

/* Of an environment that was never released from this tree only the pillar knows the application. That may be
 * slow (another program may render it), so it is asked once, and only where the journal cannot tell. */
static void learn_apps(struct serve *s, struct store *store)
{
    auto_arena struct arena arena = {0};
    const char *const *envs = pillar_envs(s->options.root, &arena);
    for (size_t i = 0; envs && envs[i]; i++) {
        auto_problems struct problems problems = {0};
        struct pillar *p = NULL;
        struct env_key key;
        struct err err;
        if ((env_resolve(store, envs[i], &arena, &key, &err) && key.app[0]) ||
            !pillar_load(s->options.root, envs[i], NULL, 0, &p, &problems))
            continue;
        s->apps = xrealloc(s->apps, (s->n_apps + 1) * sizeof(*s->apps));
        struct app_known *known = &s->apps[s->n_apps++];
        snprintf(known->env, sizeof known->env, "%s", envs[i]);
        snprintf(known->app, sizeof known->app, "%s", pillar_app(p));
        pillar_free(p);
    }
}

/* The journal is made, or brought up to date, before anybody reads it. */
static bool open_journal(struct serve *s, struct err *err)
{
    s->tree = realpath(s->options.root, NULL);
    struct store *store = serve_writer(s, err);
    if (!store)
        return false;
    s->state_path = xstrdup(store_place(store));
    learn_apps(s, store);
    scope(s, store);
    serve_writer_done(s);
    return orders_open(s, err);
}

/* Children get 0, 1 and 2: what we open must never be one of them. */
static bool standard_open(struct err *err)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= 2);
    if (fd < 0)
        return err_errno(err, E_IO, "/dev/null cannot be opened");
    close(fd);
    return true;
}

static bool parts_start(struct serve *s, struct err *err)
{
    for (const struct serve_part *const *p = s->parts; *p; p++)
        if ((*p)->start && !(*p)->start(s, err))
            return false;
    return true;
}

static void stop(struct serve *s)
{
    http_quiesce(s);
    threads_stop(s);
    http_stop(s);
    for (const struct serve_part *const *p = s->parts; *p; p++)
        if ((*p)->stop)
            (*p)->stop(s);
    keeper_free(s);
    folds_free(s);
    askers_free(s);
    counts_free(s);
    streams_free(s);
    store_close(s->writer);
    pthread_mutex_destroy(&s->writer_lock);
    config_fini(&s->config);
    free(s->state_path);
    free(s->tree);
    free(s->apps);
    auto_fd_fn(&s->stop_fd);
}

static void wait_for_signal(const struct serve *s)
{
    struct pollfd fd = {.fd = s->options.signal_fd, .events = POLLIN};
    while (poll(&fd, 1, -1) < 0 && errno == EINTR)
        ;
}

bool serve_run(const struct serve_options *options, const struct serve_part *const *parts,
               struct problems *problems, struct err *err)
{
    struct serve *s = xcalloc(1, sizeof *s);
    s->options = *options;
    s->parts = parts;
    bool ok = standard_open(err);
    s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    random_hex(32, s->proxy_secret);
    keeper_open(s);
    folds_open(s);
    askers_open(s);
    counts_open(s);
    streams_open(s);
    pthread_mutex_init(&s->writer_lock, NULL);
    ok = ok && (s->stop_fd >= 0 || err_set(err, E_LIMIT, "no descriptor for the server's end"));
    ok = ok && configure(s, problems, err) && open_journal(s, err) && http_start(s, err) &&
         keeper_start(s, err) && streams_start(s, err) && parts_start(s, err);
    if (ok) {
        serve_log("listening on %s (%s:%d)", s->url, s->address.host, s->address.port);
        wait_for_signal(s);
        serve_log("ending; what was started goes on");
    }
    stop(s);
    free(s);
    return ok;
}
