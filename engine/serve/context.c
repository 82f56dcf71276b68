/* SPDX-License-Identifier: MIT */
/* What every file of the server stands on: its threads and their end, what parts share, the journal to read
 * and to write, and the log. Knows no request. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
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

void context_threads_stop(struct serve *s)
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

const char *serve_url(const struct serve *s)
{
    return s->url;
}

void context_scope(const struct serve *s, struct store *store)
{
    store_scope(store, s->tree);
    for (size_t i = 0; i < s->n_apps; i++)
        store_app(store, s->apps[i].env, s->apps[i].app);
}

bool serve_store(struct serve *s, struct store **ret, struct err *err)
{
    if (!store_open(s->state_path, STORE_READ, ret, err))
        return false;
    context_scope(s, *ret);
    return true;
}

static bool writer_open(struct serve *s, struct err *err)
{
    if (!store_open(s->options.state_path, STORE_WRITE, &s->writer, err))
        return false;
    context_scope(s, s->writer);
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
