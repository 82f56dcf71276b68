/* SPDX-License-Identifier: MIT */
/* One line per event, for pipes and logs: "09:13:59 app1: drain: ok (2 s)". What only engines need (reads,
 * guards, repeated looks) is left out; it is all in --json and in the journal. */
#include "watch/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"

#define RED    "\x1b[31m"
#define GREEN  "\x1b[32m"
#define YELLOW "\x1b[33m"
#define PLAIN  "\x1b[0m"

const char *watch_label(const struct watch_plan *plan, int step)
{
    return plan && step >= 0 && (size_t)step < plan->n_steps ? plan->steps[step].label : "";
}

/* One line: a newline inside a message would look like another event. */
static void put_line(struct buf *out, const char *text)
{
    auto_buf struct buf safe = BUF_INIT(64 * 1024);
    text_visible(&safe, text, strlen(text));
    for (size_t i = 0; i < safe.len; i++)
        if (safe.data[i] == '\n')
            safe.data[i] = ' ';
    buf_puts(out, buf_str(&safe));
}

static void put_head(struct buf *out, int64_t at_ms, const char *node, const char *what)
{
    char when[CLOCK_TEXT_MAX];
    clock_text(at_ms, when, sizeof when);
    const char *time = strchr(when, ' ');
    buf_printf(out, "%s ", time ? time + 1 : when);
    if (node[0]) {
        put_line(out, node);
        buf_puts(out, ": ");
    }
    if (what[0]) {
        put_line(out, what);
        buf_puts(out, ": ");
    }
}

static const char *row_what(const struct watch_plan *plan, const struct row *row)
{
    const char *label = watch_label(plan, row->step);
    return label[0] ? label : row->verb;
}

/* The engine's messages name node and step for readers of the journal; here both stand at the front already.
 */
static const char *without_prefix(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    return n && str_starts(text, prefix) && str_starts(text + n, ": ") ? text + n + 2 : text;
}

const char *watch_message(const struct watch_plan *plan, const struct row *row)
{
    return without_prefix(without_prefix(row->text ? row->text : "", row->node), row_what(plan, row));
}

static bool outcome_matters(const struct row *row)
{
    int role = role_from_name(row->role), code = outcome_from_name(row->code);
    if (code != OUT_OK)
        return true;
    return row->a && (role == ROLE_RUN || role == ROLE_OBSERVE || role == ROLE_UNDO);
}

static const char *outcome_colour(int code)
{
    return code == OUT_OK ? GREEN : code == OUT_FAILED ? RED : YELLOW;
}

static void put_outcome(const struct watch_plan *plan, const struct row *row, int64_t took_ms, bool colour,
                        struct buf *out)
{
    int role = role_from_name(row->role), code = outcome_from_name(row->code);
    put_head(out, row->at_ms, row->node, row_what(plan, row));
    if (row->back)
        buf_puts(out, "going back: ");
    if (role != ROLE_RUN && role != ROLE_NONE && !(role == ROLE_OBSERVE && code == OUT_OK))
        buf_printf(out, "%s: ", role_name((enum role)role));
    buf_printf(out, "%s%s%s", colour ? outcome_colour(code) : "", row->code, colour ? PLAIN : "");
    char text[DURATION_TEXT_MAX];
    if (took_ms >= 100)
        buf_printf(
            out, " (%s)",
            duration_text(took_ms >= 60000 ? took_ms / 1000 * 1000 : took_ms / 100 * 100, text, sizeof text));
    if (row->attempt > 1)
        buf_printf(out, " (attempt %d)", row->attempt);
    const char *message = watch_message(plan, row);
    if (message[0]) {
        buf_puts(out, ": ");
        put_line(out, message);
    }
    buf_puts(out, "\n");
}

static bool note_is_bad(int note, const struct row *row)
{
    return (note == NOTE_JUDGED && row->b != JUDGED_WELL) || note == NOTE_NODE_FAILED ||
           note == NOTE_NODE_LEFT || note == NOTE_GANG_BAD || note == NOTE_SOAK_FAILED ||
           note == NOTE_FLOOR_STOP || note == NOTE_DEADLINE;
}

static void put_note(const struct watch_plan *plan, const struct row *row, bool colour, struct buf *out)
{
    int note = note_from_name(row->code);
    auto_buf struct buf text = BUF_INIT(8192);
    if (row->text[0])
        buf_puts(&text, row->text);
    else if (note >= 0)
        note_text(&text, (enum note)note, row->node, row_what(plan, row), row->a, row->b);
    else
        buf_printf(&text, "%s%s%s", row->node, row->node[0] ? ": " : "", row->code);
    const char *counts =
        row->step >= 0 && (size_t)row->step < plan->n_steps ? plan->steps[row->step].counts : NULL;
    if (note == NOTE_PROGRESS && counts)
        buf_printf(&text, " %s", counts);
    bool paint = colour && note_is_bad(note, row);
    put_head(out, row->at_ms, "", "");
    buf_puts(out, paint ? RED : "");
    put_line(out, buf_str(&text));
    buf_puts(out, paint ? PLAIN "\n" : "\n");
}

/* Does the plan take nodes out of rotation at all? `exec` and most tasks do not. */
static bool plan_rolls(const struct watch_plan *plan)
{
    for (size_t i = 0; plan && i < plan->n_steps; i++)
        if (plan->steps[i].phase >= PHASE_DRAIN && plan->steps[i].phase <= PHASE_ENABLE)
            return true;
    return !plan || plan->n_steps == 0;
}

static bool is_of_roll(int note)
{
    return note == NOTE_STAGE || note == NOTE_SOAK || note == NOTE_SOAKED || note == NOTE_ADMIT ||
           note == NOTE_NODE_IN;
}

/* That a count began at zero helps nobody; that one node is through, or through with failing, has its own
 * line. */
static bool note_matters(const struct watch_plan *plan, const struct row *row)
{
    int note = note_from_name(row->code);
    if (note == NOTE_GANG_OK || (note == NOTE_GANG_BAD && row->a == PHASE_PREPARE))
        return false;
    if (note == NOTE_PROGRESS && row->a == 0)
        return false;
    if (note == NOTE_LIFE && (row->a == LIFE_ROLL || row->a == LIFE_BACK) && !plan_rolls(plan))
        return false;
    return !is_of_roll(note) || plan_rolls(plan);
}

void plain_row(const struct watch_plan *plan, const struct row *row, int64_t took_ms, bool colour,
               struct buf *out)
{
    switch (row->kind) {
    case ROW_INTENT:
        if (row->attempt > 1 || role_from_name(row->role[0] ? row->role : row->code) != ROLE_RUN)
            return;
        put_head(out, row->at_ms, row->node, "");
        put_line(out, row_what(plan, row));
        buf_puts(out, row->back ? ": going back\n" : "\n");
        return;
    case ROW_OUTCOME:
        if (outcome_matters(row))
            put_outcome(plan, row, took_ms, colour, out);
        return;
    case ROW_NOTE:
        if (note_matters(plan, row))
            put_note(plan, row, colour, out);
        return;
    case ROW_ORDER:
        put_head(out, row->at_ms, "", "order");
        put_line(out, row->code);
        if (row->text[0]) {
            buf_puts(out, ": ");
            put_line(out, row->text);
        }
        buf_puts(out, "\n");
        return;
    case ROW_COUNT: return;
    }
}

/* ---- output */

#define OPEN_LINE_MAX (64 * 1024) /* a longer line is shown in parts */

struct open_line {
    char node[80];
    int step, stream;
    struct buf text; /* empty = this place is free */
};

static void put_output_line(const char *who, int stream, const char *line, size_t n, struct buf *out)
{
    put_line(out, who);
    buf_puts(out, stream == 2 ? " ! " : " | ");
    text_visible(out, line, n > 0 && line[n - 1] == '\r' ? n - 1 : n);
    buf_puts(out, "\n");
}

static struct open_line *open_of(struct joiner *j, const char *who, int step, int stream)
{
    struct open_line *free_place = NULL;
    for (size_t i = 0; i < j->n; i++) {
        struct open_line *l = &j->open[i];
        if (l->text.len == 0)
            free_place = l;
        else if (l->step == step && l->stream == stream && strcmp(l->node, who) == 0)
            return l;
    }
    if (!free_place) {
        if (j->n == j->cap) {
            j->cap = j->cap ? 2 * j->cap : 8;
            j->open = xrealloc(j->open, j->cap * sizeof *j->open);
        }
        free_place = &j->open[j->n++];
        *free_place = (struct open_line){.text = BUF_INIT(OPEN_LINE_MAX)};
    }
    snprintf(free_place->node, sizeof free_place->node, "%s", who);
    free_place->step = step;
    free_place->stream = stream;
    return free_place;
}

static void end_line(struct open_line *l, struct buf *out)
{
    if (l->text.len > 0)
        put_output_line(l->node, l->stream, l->text.data, l->text.len, out);
    buf_reset(&l->text);
}

void plain_output(struct joiner *j, const struct watch_plan *plan, const struct output *o, struct buf *out)
{
    const char *who = o->node[0] ? o->node : watch_label(plan, o->step);
    struct open_line *l = open_of(j, who, o->step, o->stream);
    for (size_t i = 0; i < o->n;) {
        const char *line = o->data + i, *end = memchr(line, '\n', o->n - i);
        size_t n = end ? (size_t)(end - line) : o->n - i;
        if (l->text.len + n > OPEN_LINE_MAX)
            end_line(l, out);
        if (end && l->text.len == 0)
            put_output_line(who, o->stream, line, n, out);
        else
            buf_add(&l->text, line, n);
        if (end)
            end_line(l, out);
        i += n + (end ? 1 : 0);
    }
}

void plain_flush(struct joiner *j, const char *node_or_all, struct buf *out)
{
    for (size_t i = 0; i < j->n; i++)
        if (!node_or_all || strcmp(j->open[i].node, node_or_all) == 0)
            end_line(&j->open[i], out);
}

void joiner_fini(struct joiner *j)
{
    for (size_t i = 0; i < j->n; i++)
        buf_fini(&j->open[i].text);
    free(j->open);
    *j = (struct joiner){0};
}
