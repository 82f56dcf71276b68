/* SPDX-License-Identifier: MIT */
/* Putting the server together and taking it apart: the only file that knows all others. */
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

static const struct route *const tables[] = {
    status_routes, auth_routes,  api_env_routes, api_release_routes, api_order_routes,
    ask_routes,    event_routes, metrics_routes, api_plan_routes,    NULL};

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
        if ((env_resolve(reader(store, &arena), envs[i], &key, &err) && key.app[0]) ||
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
    context_scope(s, store);
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
    context_threads_stop(s);
    http_stop(s);
    for (const struct serve_part *const *p = s->parts; *p; p++)
        if ((*p)->stop)
            (*p)->stop(s);
    used_free(s);
    children_free(s);
    sums_free(s);
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
    s->tables = tables;
    bool ok = standard_open(err);
    s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    random_hex(32, s->proxy_secret);
    used_open(s);
    children_open(s);
    sums_open(s);
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
