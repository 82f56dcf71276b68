/* SPDX-License-Identifier: MIT */
/* Following the journal: a cursor for rows and one for output on an own read-only connection. The engine's
 * eventfd wakes us after a commit; the poll beside it makes a lost wake-up, or an engine in another process,
 * only a little late. */
#include "watch/watch_priv.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/clock.h"

#define POLL_MS     250
#define ROWS_MAX    512
#define OUTPUT_MAX  64
#define DEATH_MS    3000
#define LINES_MAX   (8 * 1024 * 1024)
#define FLUSH_BYTES 65536

struct follow {
    const struct watch_spec *spec;
    struct store *store;
    struct model model;
    struct term term;
    struct sink sink;
    struct arena arena;
    struct buf lines;
    struct joiner joiner;
    int64_t seq, output_id, looked_ms;
    bool gone; /* the engine that ran the release is not there any more */
};

static bool wanted(const struct follow *f, const struct row *row)
{
    const struct watch_spec *spec = f->spec;
    if (row->seq <= spec->after)
        return false;
    if (spec->node && strcmp(spec->node, row->node) != 0)
        return false;
    return spec->step < 0 || spec->step == row->step;
}

/* How long the step took that this row ends: known before the model goes on to the next. */
static int64_t step_took(const struct follow *f, const struct row *row)
{
    int i = row->kind == ROW_OUTCOME && row->node[0] ? model_find(&f->model, row->node) : -1;
    const struct model_node *n = i >= 0 ? &f->model.nodes[i] : NULL;
    return n && n->step == row->step && n->step_ms ? row->at_ms - n->step_ms : -1;
}

static void show_row(struct follow *f, const struct row *row)
{
    int64_t took_ms = step_took(f, row);
    model_apply(&f->model, row);
    if (!wanted(f, row))
        return;
    if (f->spec->form == WATCH_PLAIN && row->kind == ROW_OUTCOME)
        plain_flush(&f->joiner, row->node, &f->lines);
    if (f->spec->form == WATCH_PLAIN)
        plain_row(f->spec->plan, row, took_ms, f->spec->colour, &f->lines);
    else if (f->spec->form == WATCH_JSON)
        jsonl_row(f->spec->plan, row, &f->lines);
}

static void flush_lines(struct follow *f)
{
    sink_write(&f->sink, buf_str(&f->lines), f->lines.len);
    buf_reset(&f->lines);
}

static void show_output(struct follow *f, const struct output *o)
{
    if (f->spec->form == WATCH_JSON)
        jsonl_output(f->spec->plan, o, &f->lines);
    else
        plain_output(&f->joiner, f->spec->plan, o, &f->lines);
}

/* One page of rows and one of output, told in the order of their time; output first where that is the same,
 * because what a step printed belongs before the line that says how it ended. */
struct page {
    struct row *rows;
    struct output *outputs;
    size_t n_rows, n_outputs;
    int64_t until_ms; /* nothing later may be told before the next page is there */
};

static bool page_read(struct follow *f, struct page *p, struct err *err)
{
    const struct watch_spec *spec = f->spec;
    *p = (struct page){.until_ms = INT64_MAX};
    arena_reset(&f->arena);
    if (!journal_read(reader(f->store, &f->arena),
                      &(struct row_range){.release = spec->plan->release, .after = f->seq, .limit = ROWS_MAX},
                      &p->rows, &p->n_rows, err))
        return false;
    if (spec->output && !output_read(reader(f->store, &f->arena),
                                     &(struct output_range){.release = spec->plan->release,
                                                            .node = spec->node,
                                                            .step = spec->step,
                                                            .after = f->output_id,
                                                            .limit = OUTPUT_MAX},
                                     &p->outputs, &p->n_outputs, err))
        return false;
    /* The latest time of a full page, not its last: clocks are set back, too, and a page must get told whole.
     */
    int64_t rows_ms = INT64_MIN, outputs_ms = INT64_MIN;
    for (size_t i = 0; i < p->n_rows; i++)
        rows_ms = p->rows[i].at_ms > rows_ms ? p->rows[i].at_ms : rows_ms;
    for (size_t i = 0; i < p->n_outputs; i++)
        outputs_ms = p->outputs[i].at_ms > outputs_ms ? p->outputs[i].at_ms : outputs_ms;
    if (p->n_rows == ROWS_MAX)
        p->until_ms = rows_ms;
    if (p->n_outputs == OUTPUT_MAX && outputs_ms < p->until_ms)
        p->until_ms = outputs_ms;
    return true;
}

static void page_tell(struct follow *f, const struct page *p)
{
    size_t row = 0, output = 0;
    for (;;) {
        const struct row *r = row < p->n_rows ? &p->rows[row] : NULL;
        const struct output *o = output < p->n_outputs ? &p->outputs[output] : NULL;
        bool output_next = o && (!r || o->at_ms <= r->at_ms);
        if ((!r && !o) || (output_next ? o->at_ms : r->at_ms) > p->until_ms)
            return;
        if (output_next) {
            show_output(f, o);
            f->output_id = o->id;
            output++;
        } else {
            show_row(f, r);
            f->seq = r->seq;
            row++;
        }
        if (f->lines.len > FLUSH_BYTES)
            flush_lines(f);
    }
}

static bool follow_turn(struct follow *f, struct err *err)
{
    struct page page;
    do {
        if (!page_read(f, &page, err))
            return false;
        page_tell(f, &page);
        flush_lines(f);
    } while (page.until_ms != INT64_MAX && !f->sink.dead);
    if (f->spec->form == WATCH_BOARD)
        term_draw(&f->term, &f->model, clock_wall_ms());
    return true;
}

/* Somebody else's engine: when its lock is free or its process dead, no more rows will come. */
static bool look_for_engine(struct follow *f, struct err *err)
{
    int64_t now = clock_mono_ms();
    if (!f->spec->quit_on_death || now - f->looked_ms < DEATH_MS)
        return true;
    f->looked_ms = now;
    struct release_info *r = NULL;
    struct lock_info lock;
    arena_reset(&f->arena);
    if (!release_get(reader(f->store, &f->arena), f->spec->plan->release, &r, err) ||
        !lock_get(reader(f->store, &f->arena), f->spec->plan->env, &lock, err))
        return false;
    bool held = lock.held && lock.release == f->spec->plan->release && lock.holder != HOLDER_DEAD;
    f->gone = (r && r->ended_ms != 0) || !held;
    return true;
}

/* What was printed before the part that is to be shown: only the cursor moves. */
static bool skip_output(struct follow *f, struct err *err)
{
    struct output *o;
    size_t n = f->spec->output && f->spec->after > 0 ? OUTPUT_MAX : 0;
    while (n == OUTPUT_MAX) {
        arena_reset(&f->arena);
        if (!output_read(reader(f->store, &f->arena),
                         &(struct output_range){.release = f->spec->plan->release,
                                                .step = -1,
                                                .after = f->output_id,
                                                .limit = OUTPUT_MAX},
                         &o, &n, err))
            return false;
        if (n > 0)
            f->output_id = o[n - 1].id;
    }
    return true;
}

static bool follow_open(struct follow *f, const struct watch_spec *spec, int stop_fd, struct err *err)
{
    *f = (struct follow){.spec = spec,
                         .sink = {.fd = spec->out_fd, .stop_fd = stop_fd},
                         .looked_ms = clock_mono_ms(),
                         .lines = BUF_INIT(LINES_MAX)};
    if (!store_open(spec->state_path, STORE_READ, &f->store, err))
        return false;
    if (spec->plan->app && spec->plan->app[0])
        store_app(f->store, spec->plan->env, spec->plan->app);
    if (!skip_output(f, err)) {
        arena_fini(&f->arena);
        store_close(f->store);
        return false;
    }
    model_init(&f->model, spec->plan);
    f->model.ours = spec->wake_fd >= 0;
    if (spec->form == WATCH_BOARD)
        term_open(&f->term, &f->sink, spec->colour);
    return true;
}

static void follow_close(struct follow *f)
{
    if (f->spec->form == WATCH_BOARD)
        term_close(&f->term, &f->model, clock_wall_ms());
    plain_flush(&f->joiner, NULL, &f->lines);
    flush_lines(f);
    joiner_fini(&f->joiner);
    model_fini(&f->model);
    buf_fini(&f->lines);
    arena_fini(&f->arena);
    store_close(f->store);
}

/* true: stop_fd is readable. */
static bool follow_wait(const struct follow *f, int stop_fd)
{
    struct pollfd fds[] = {{.fd = stop_fd, .events = POLLIN}, {.fd = f->spec->wake_fd, .events = POLLIN}};
    int n = poll(fds, 2, f->term.dirty ? 100 : POLL_MS);
    uint64_t count;
    if (n > 0 && fds[1].revents && read(f->spec->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
        return false;
    return n > 0 && fds[0].revents;
}

static bool follow_loop(struct follow *f, int stop_fd, struct err *err)
{
    for (bool last = f->spec->once;;) {
        /* Looked at before the turn, so that the turn sees the last rows of an engine that has gone. */
        if (!last && !look_for_engine(f, err))
            return false;
        last |= f->gone;
        if (!follow_turn(f, err))
            return false;
        if (last || f->sink.dead || (f->spec->quit_on_death && f->model.ended))
            return true;
        last = follow_wait(f, stop_fd);
    }
}

bool watch_run(const struct watch_spec *spec, int stop_fd, struct err *err)
{
    struct follow f;
    if (!follow_open(&f, spec, stop_fd, err))
        return false;
    bool ok = follow_loop(&f, stop_fd, err);
    follow_close(&f);
    return ok;
}

/* ---- in a thread */

struct watcher {
    struct watch_spec spec;
    struct follow follow;
    pthread_t thread;
    int stop_fd;
};

static void *watcher_main(void *arg)
{
    struct watcher *w = arg;
    struct err err;
    /* A journal that cannot be read only blinds the watcher; the engine says what it thinks of it itself. */
    if (!follow_loop(&w->follow, w->stop_fd, &err))
        w->follow.sink.dead = true;
    return NULL;
}

bool watch_start(const struct watch_spec *spec, struct watcher **ret, struct err *err)
{
    struct watcher *w = xcalloc(1, sizeof *w);
    w->spec = *spec;
    w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool ok = w->stop_fd >= 0 ? follow_open(&w->follow, &w->spec, w->stop_fd, err)
                              : err_errno(err, E_IO, "watcher: no event descriptor");
    if (ok && pthread_create(&w->thread, NULL, watcher_main, w) != 0) {
        follow_close(&w->follow);
        ok = err_set(err, E_IO, "watcher: no thread");
    }
    if (!ok) {
        auto_fd_fn(&w->stop_fd);
        free(w);
        return false;
    }
    *ret = w;
    return true;
}

void watch_stop(struct watcher *w)
{
    if (!w)
        return;
    uint64_t one = 1;
    must(write(w->stop_fd, &one, sizeof one) == sizeof one);
    must(pthread_join(w->thread, NULL) == 0);
    follow_close(&w->follow);
    auto_fd_fn(&w->stop_fd);
    free(w);
}
