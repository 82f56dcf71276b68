/* SPDX-License-Identifier: MIT */
/* Rows -> report. One pass over the rows of the release, folded by the model that the board shows, too. */
#include "watch/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "state/stats.h"

#define PAGE         2000
#define EVENTS_MAX   120
#define FAILURES_MAX 10
#define VERDICTS_MAX 64
#define SMALL_FLEET  12 /* every leave and return is an event */
#define EARLIER_MAX  20
#define TAIL_PIECES  32
#define TAIL_LINES   12
#define ROLES_MAX    256 /* of a byte */

/* How many are in rotation from a moment on. */
struct point {
    int64_t at_ms, up;
};

struct report_fold {
    struct reader r;
    struct report *rep;
    struct model model;
    bool *in;                 /* of nodes: in rotation */
    int64_t level[ROLES_MAX]; /* by role, once a balancer counted it */
    bool counted[ROLES_MAX];
    bool any_counted;
    struct point *points;
    size_t n_points, cap_points;
    size_t *event_point; /* by event: which point holds then */
    int64_t first_ms, last_ms;
    int last_code; /* of the last event */
};

static void fold_fini(struct report_fold *f)
{
    model_fini(&f->model);
    free(f->in);
    free(f->points);
    free(f->event_point);
}
#define auto_fold __attribute__((cleanup(fold_fini)))

/* ---- capacity */

static void add_point(struct report_fold *f, int64_t at_ms, int64_t change)
{
    int64_t up = f->n_points ? f->points[f->n_points - 1].up : 0;
    if (f->n_points == f->cap_points) {
        f->cap_points = f->cap_points ? f->cap_points * 2 : 256;
        f->points = xrealloc(f->points, f->cap_points * sizeof *f->points);
    }
    f->points[f->n_points++] = (struct point){.at_ms = at_ms, .up = up + change};
}

static size_t role_of(const struct report_fold *f, int node)
{
    const struct watch_plan *p = f->rep->of.plan;
    return p->n_roles > 0 ? p->role_of[node] : 0;
}

/* The balancer's own count comes with each node that leaves. What it first says was so from the beginning. */
static void level_is(struct report_fold *f, size_t role, int64_t at_ms, int64_t up)
{
    if (!f->counted[role]) {
        for (size_t i = 0; i < f->n_points; i++)
            f->points[i].up += up;
        f->counted[role] = f->any_counted = true;
    } else if (f->level[role] != up)
        add_point(f, at_ms, up - f->level[role]);
    f->level[role] = up;
}

static void take_capacity(struct report_fold *f, int note, int node, const struct row *row)
{
    size_t role = role_of(f, node);
    if (note == NOTE_ADMIT && row->a >= 0) {
        level_is(f, role, row->at_ms, row->a);
        if (f->in[node])
            level_is(f, role, row->at_ms, row->a - 1);
        f->in[node] = false;
    } else if (note == NOTE_NODE_IN && row->b == WHERE_TOLD && f->counted[role] && !f->in[node]) {
        level_is(f, role, row->at_ms, f->level[role] + 1);
        f->in[node] = true;
    }
}

static void put_slots(struct report_fold *f)
{
    struct report *rep = f->rep;
    int64_t took = f->last_ms - f->first_ms;
    rep->most_up = rep->least_up = -1;
    if (!f->any_counted)
        return;
    rep->n_slots = took >= REPORT_SLOTS * 1000 ? REPORT_SLOTS : (size_t)(took / 1000) + 1;
    size_t at = 0;
    for (size_t s = 0; s < rep->n_slots; s++) {
        int64_t from = f->first_ms + took * (int64_t)s / (int64_t)rep->n_slots;
        int64_t to = f->first_ms + took * (int64_t)(s + 1) / (int64_t)rep->n_slots;
        int64_t least = f->points[at].up;
        for (; at + 1 < f->n_points && (f->points[at + 1].at_ms < to || s + 1 == rep->n_slots); at++)
            least = f->points[at + 1].up < least ? f->points[at + 1].up : least;
        rep->slots[s] = (struct report_slot){.from_ms = from, .least_up = least};
    }
    rep->most_up = rep->least_up = f->points[0].up;
    for (size_t i = 1; i < f->n_points; i++) {
        rep->most_up = f->points[i].up > rep->most_up ? f->points[i].up : rep->most_up;
        rep->least_up = f->points[i].up < rep->least_up ? f->points[i].up : rep->least_up;
    }
}

/* ---- events */

static void add_event(struct report_fold *f, const struct row *row, const char *text)
{
    struct report *rep = f->rep;
    if (rep->n_events == EVENTS_MAX) {
        rep->events_more++;
        return;
    }
    f->event_point[rep->n_events] = f->n_points - 1;
    rep->events[rep->n_events++] =
        (struct report_event){.at_ms = row->at_ms, .text = arena_strdup(f->r.arena, text), .up = -1};
}

static bool note_is_told(const struct report_fold *f, int note)
{
    bool small = f->rep->of.plan->n_nodes <= SMALL_FLEET;
    switch (note) {
    case NOTE_FLOOR_WAIT: return f->last_code != note; /* said again and again */
    case NOTE_ADMIT:
    case NOTE_NODE_IN:
    case NOTE_NODE_OUT: return small;
    case NOTE_PROGRESS:
    case NOTE_RETRY:
    case NOTE_GANG_OK: return false;
    default: return note >= 0;
    }
}

static void take_event(struct report_fold *f, int note, const struct row *row)
{
    auto_buf struct buf text = BUF_INIT(4096);
    if (row->kind == ROW_ORDER) {
        buf_printf(&text, "ordered: %s", row->code);
    } else if (note_is_told(f, note)) {
        if (row->text[0])
            buf_puts(&text, row->text);
        else
            note_text(&text, (enum note)note, row->node, watch_label(f->rep->of.plan, row->step), row->a,
                      row->b);
    } else
        return;
    add_event(f, row, buf_str(&text));
    f->last_code = note;
}

/* ---- failures */

/* The last lines of what the step printed there. */
static const char *tail_of(struct report_fold *f, const char *node, int step)
{
    struct output *pieces;
    struct err err;
    size_t n = 0, lines = 0;
    auto_buf struct buf text = BUF_INIT(1024 * 1024);
    const struct output_range range = {
        .release = f->rep->of.release->id, .node = node, .step = step, .limit = TAIL_PIECES};
    if (step < 0 || !output_last(f->r, &range, &pieces, &n, &err))
        return "";
    for (size_t i = n; i-- > 0;)
        buf_add(&text, pieces[i].data, pieces[i].n);
    const char *begin = buf_str(&text), *at = begin + text.len;
    for (; at > begin; at--)
        if (at[-1] == '\n' && at != begin + text.len && ++lines == TAIL_LINES)
            break;
    return arena_strdup(f->r.arena, at);
}

static void take_failure(struct report_fold *f, int note, int node, const struct row *row)
{
    struct report *rep = f->rep;
    const struct model_node *n = &f->model.nodes[node];
    bool failed = note == NOTE_NODE_FAILED || note == NOTE_GANG_BAD || note == NOTE_SOAK_FAILED;
    if (!failed && note != NOTE_NODE_LEFT)
        return;
    if (rep->n_failures == FAILURES_MAX) {
        rep->failures_more++;
        return;
    }
    int step = row->step >= 0 ? row->step : n->step;
    rep->failures[rep->n_failures++] = (struct report_failure){
        .at_ms = row->at_ms,
        .node = rep->of.plan->nodes[node],
        .label = arena_strdup(f->r.arena, watch_label(rep->of.plan, step)),
        .text = arena_strdup(f->r.arena, failed && n->text[0] ? n->text : row->text),
        .output = failed ? tail_of(f, rep->of.plan->nodes[node], step) : "",
    };
}

static void take_verdict(struct report_fold *f, const struct row *row)
{
    struct report *rep = f->rep;
    if (rep->n_verdicts < VERDICTS_MAX)
        rep->verdicts[rep->n_verdicts++] =
            (struct report_event){.at_ms = row->at_ms, .text = arena_strdup(f->r.arena, row->text), .up = -1};
}

static void take_row(struct report_fold *f, const struct row *row)
{
    int node = row->node[0] ? model_find(&f->model, row->node) : -1;
    int note = row->kind == ROW_NOTE ? note_from_name(row->code) : -1;
    if (!f->first_ms) {
        f->first_ms = row->at_ms;
        add_point(f, row->at_ms, 0);
    }
    f->last_ms = row->at_ms > f->last_ms ? row->at_ms : f->last_ms;
    if (note >= 0 && node >= 0) {
        take_capacity(f, note, node, row);
        take_failure(f, note, node, row); /* before the model leaves the step */
    }
    if (note == NOTE_JUDGED)
        take_verdict(f, row);
    if (row->kind == ROW_NOTE || row->kind == ROW_ORDER)
        take_event(f, note, row);
    model_apply(&f->model, row);
}

static bool read_rows(struct report_fold *f, struct err *err)
{
    int64_t after = 0;
    size_t n;
    do {
        auto_arena struct arena arena = {0};
        struct row *rows;
        const struct row_range range = {.release = f->rep->of.release->id, .after = after, .limit = PAGE};
        if (!journal_read(reader(f->r.store, &arena), &range, &rows, &n, err))
            return false;
        for (size_t i = 0; i < n; i++) {
            take_row(f, &rows[i]);
            after = rows[i].seq;
        }
    } while (n == PAGE);
    for (size_t i = 0; i < f->rep->n_events; i++)
        f->rep->events[i].up = f->any_counted ? f->points[f->event_point[i]].up : -1;
    put_slots(f);
    return true;
}

/* ---- against others */

static int by_longest(const void *a, const void *b)
{
    const struct step_time *x = a, *y = b;
    return (x->longest_ms < y->longest_ms) - (x->longest_ms > y->longest_ms);
}

static int by_ms(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool read_earlier(struct reader r, struct report *rep, struct err *err)
{
    const struct release_info *own = rep->of.release;
    int64_t ms[EARLIER_MAX], before = own->id;
    struct release_info *list;
    size_t n;
    do {
        if (!release_list(r, &(struct newest){.env = own->env, .limit = 50, .before = before}, &list, &n,
                          err))
            return false;
        for (size_t i = 0; i < n && rep->n_earlier < EARLIER_MAX; i++)
            if (list[i].kind == own->kind && list[i].exit_status == EXIT_RELEASED &&
                list[i].ended_ms >= list[i].started_ms && strcmp(list[i].plan_name, own->plan_name) == 0)
                ms[rep->n_earlier++] = list[i].ended_ms - list[i].started_ms;
        before = n ? list[n - 1].id : 0;
    } while (n == 50 && rep->n_earlier < EARLIER_MAX);
    if (rep->n_earlier == 0)
        return true;
    qsort(ms, rep->n_earlier, sizeof ms[0], by_ms);
    rep->earlier_median_ms = ms[(rep->n_earlier - 1) / 2];
    rep->earlier_longest_ms = ms[rep->n_earlier - 1];
    return true;
}

bool report_gather(struct reader r, const struct report_of *of, struct report *ret, struct err *err)
{
    auto_fold struct report_fold f = {.r = r, .rep = ret, .last_code = -1};
    *ret = (struct report){
        .of = *of, .took_ms = of->release->ended_ms ? of->release->ended_ms - of->release->started_ms : -1};
    model_init(&f.model, of->plan);
    f.in = xcalloc(of->plan->n_nodes + 1, sizeof *f.in);
    memcpy(f.in, of->was_up, of->plan->n_nodes * sizeof *f.in);
    f.event_point = xcalloc(EVENTS_MAX, sizeof *f.event_point);
    ret->events = arena_array(r.arena, EVENTS_MAX, sizeof *ret->events);
    ret->verdicts = arena_array(r.arena, VERDICTS_MAX, sizeof *ret->verdicts);
    ret->failures = arena_array(r.arena, FAILURES_MAX, sizeof *ret->failures);
    if (!read_rows(&f, err) || !journal_release_times(r, of->release->id, &ret->steps, &ret->n_steps, err) ||
        !stats_first_facts(r, of->release->id, &ret->about, err) || !read_earlier(r, ret, err))
        return false;
    if (ret->n_steps)
        qsort(ret->steps, ret->n_steps, sizeof *ret->steps, by_longest);
    return true;
}
