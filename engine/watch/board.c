/* SPDX-License-Identifier: MIT */
/* The live board: a head, one line per node, a foot with progress. Rendered whole into a buffer from the
 * model, so that it can be tested without a terminal. With more nodes than lines the ones that need eyes come
 * first and the rest are counted. */
#include "watch/watch_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 2048
#define NAME_MAX_COLS  24

struct pen {
    struct buf *out;
    int width;
    bool colour;
};

static const char *const colours[SHOWN_COUNT] = {
    [SHOWN_WAITING] = "\x1b[2m",   [SHOWN_PREPARING] = "",      [SHOWN_PREPARED] = "",
    [SHOWN_OUT] = "\x1b[36m",      [SHOWN_DONE] = "\x1b[32m",   [SHOWN_BACK] = "\x1b[33m",
    [SHOWN_UNDONE] = "\x1b[33m",   [SHOWN_FAILED] = "\x1b[31m", [SHOWN_LEFT] = "\x1b[31;1m",
    [SHOWN_UNTOUCHED] = "\x1b[2m",
};

/* East Asian characters take two columns; to count too many only cuts a line early. */
static int char_columns(unsigned char lead)
{
    return lead >= 0xe1 ? 2 : 1;
}

size_t text_fit(const char *s, int columns, int *ret_columns)
{
    size_t i = 0;
    int used = 0;
    while (s[i]) {
        if (s[i] == '\x1b') {
            i += strcspn(s + i, "m") + 1;
            continue;
        }
        int w = char_columns((unsigned char)s[i]);
        if (used + w > columns)
            break;
        used += w;
        i++;
        while (((unsigned char)s[i] & 0xc0) == 0x80)
            i++;
    }
    *ret_columns = used;
    return i;
}

static void put_line(struct pen *pen, const char *text)
{
    int used;
    size_t n = text_fit(text, pen->width, &used);
    buf_add(pen->out, text, n);
    buf_puts(pen->out, pen->colour ? "\x1b[0m\n" : "\n");
}

/* ---- head */

static void put_life(const struct model *m, int64_t now_ms, struct buf *line)
{
    char text[DURATION_TEXT_MAX];
    struct release_info end = {.kind = m->plan->kind, .exit_status = m->exit_status, .back = m->back};
    buf_puts(line, m->ended ? end_text(&end) : m->started_ms ? life_name(m->life) : "starting");
    if (m->life == LIFE_ROLL && m->plan->n_stages > 1 && !m->ended)
        buf_printf(line, ", stage %" PRIu32 " of %zu", m->stage + 1, m->plan->n_stages);
    if (m->soak_until_ms > now_ms && !m->ended)
        buf_printf(line, ", judging for %s", duration_text(m->soak_until_ms - now_ms, text, sizeof text));
    if (m->stopping && !m->ended)
        buf_puts(line, ", stopping");
}

static void put_head(const struct model *m, int64_t now_ms, struct pen *pen)
{
    auto_buf struct buf line = BUF_INIT(LINE_MAX_BYTES);
    const struct watch_plan *p = m->plan;
    buf_printf(&line, "%s%s %" PRId64 "%s  %s ", pen->colour ? "\x1b[1m" : "", kind_name(p->kind), p->release,
               pen->colour ? "\x1b[0m" : "", env_bare(p->env));
    buf_printf(&line, p->app && p->app[0] ? "of %s  " : " ", p->app);
    if (p->rev[0])
        buf_printf(&line, "%.12s  ", p->rev);
    put_life(m, now_ms, &line);
    put_line(pen, buf_str(&line));
}

/* ---- nodes */

static void put_doing(const struct model *m, const struct model_node *n, int64_t now_ms, struct buf *line)
{
    char text[DURATION_TEXT_MAX];
    if (n->step >= 0) {
        auto_buf struct buf label = BUF_INIT(LINE_MAX_BYTES);
        const struct watch_step *s = &m->plan->steps[n->step];
        text_visible(&label, s->label, strlen(s->label));
        buf_printf(line, "%-8s %.60s", phase_name(s->phase), buf_str(&label));
        if (n->step_ms && now_ms >= n->step_ms + 1000 && !m->ended)
            buf_printf(line, "  %s", duration_text((now_ms - n->step_ms) / 1000 * 1000, text, sizeof text));
        if (n->gauge >= 0)
            buf_printf(line, "  %" PRId64 "%s%s", n->gauge, s->counts ? " " : "", s->counts ? s->counts : "");
        if (n->attempt > 1)
            buf_printf(line, "  attempt %d", n->attempt);
        if (n->unknown)
            buf_puts(line, "  outcome unknown, looking");
    }
    if ((n->state == SHOWN_DONE || n->state == SHOWN_UNDONE) && n->out_ms && n->step < 0)
        buf_printf(line, "was out for %s", duration_text(n->out_ms / 100 * 100, text, sizeof text));
    bool trouble = n->state == SHOWN_FAILED || n->state == SHOWN_LEFT || n->state == SHOWN_BACK || n->unknown;
    if (trouble && n->text[0])
        buf_printf(line, "  %s", n->text);
}

static int name_columns(const struct model *m)
{
    int widest = 4;
    for (size_t i = 0; i < m->plan->n_nodes; i++) {
        int n = (int)strlen(m->plan->nodes[i]);
        widest = n > widest ? n : widest;
    }
    return widest < NAME_MAX_COLS ? widest : NAME_MAX_COLS;
}

/* The widest name of a role; 0 = there are none. */
static int role_columns(const struct model *m)
{
    int widest = 0;
    for (size_t i = 0; i < m->plan->n_roles; i++) {
        int n = (int)strlen(m->plan->roles[i]);
        widest = n > widest ? n : widest;
    }
    return widest;
}

static void put_node(const struct model *m, uint32_t i, int name_cols, int64_t now_ms, struct pen *pen)
{
    auto_buf struct buf line = BUF_INIT(LINE_MAX_BYTES);
    const struct model_node *n = &m->nodes[i];
    buf_printf(&line, "%-*.*s  ", name_cols, name_cols, m->plan->nodes[i]);
    if (m->plan->n_roles > 0)
        buf_printf(&line, "%-*s  ", role_columns(m), m->plan->roles[m->plan->role_of[i]]);
    buf_printf(&line, "%s%-15s%s ", pen->colour ? colours[n->state] : "", shown_name(n->state),
               pen->colour ? "\x1b[0m" : "");
    put_doing(m, n, now_ms, &line);
    while (line.len > 0 && line.data[line.len - 1] == ' ')
        line.data[--line.len] = '\0';
    put_line(pen, buf_str(&line));
}

/* What needs eyes first. */
static const enum shown by_interest[SHOWN_COUNT] = {
    SHOWN_LEFT, SHOWN_FAILED,    SHOWN_BACK,     SHOWN_OUT,     SHOWN_UNDONE,
    SHOWN_DONE, SHOWN_PREPARING, SHOWN_PREPARED, SHOWN_WAITING, SHOWN_UNTOUCHED};

static void put_some_nodes(const struct model *m, int lines, int64_t now_ms, struct pen *pen)
{
    int name_cols = name_columns(m), room = lines - 1;
    uint32_t shown[SHOWN_COUNT] = {0}, hidden = 0;
    for (size_t k = 0; k < SHOWN_COUNT; k++)
        for (uint32_t i = 0; i < m->plan->n_nodes && room > 0; i++)
            if (m->nodes[i].state == by_interest[k]) {
                put_node(m, i, name_cols, now_ms, pen);
                shown[by_interest[k]]++;
                room--;
            }
    auto_buf struct buf line = BUF_INIT(LINE_MAX_BYTES);
    for (size_t k = 0; k < SHOWN_COUNT; k++) {
        uint32_t rest = m->counts[by_interest[k]] - shown[by_interest[k]];
        if (rest)
            buf_printf(&line, "%s%" PRIu32 " %s", hidden ? ", " : "and ", rest, shown_name(by_interest[k]));
        hidden += rest;
    }
    put_line(pen, buf_str(&line));
}

/* ---- foot */

static void put_bar(const struct model *m, int columns, struct buf *line)
{
    size_t total = m->plan->n_nodes ? m->plan->n_nodes : 1;
    size_t through = m->counts[SHOWN_DONE] + m->counts[SHOWN_UNDONE];
    if (through > total)
        through = total;
    int full = (int)(through * (size_t)columns / total);
    buf_printf(line, "[%.*s%.*s] ", full, "########################################", columns - full,
               "........................................");
}

static void put_foot(const struct model *m, int64_t now_ms, struct pen *pen)
{
    auto_buf struct buf line = BUF_INIT(LINE_MAX_BYTES);
    char text[DURATION_TEXT_MAX];
    uint32_t out = m->counts[SHOWN_OUT] + m->counts[SHOWN_BACK];
    put_bar(m, pen->width >= 100 ? 30 : 10, &line);
    buf_printf(&line, "%" PRIu32 " of %zu done, %" PRIu32 " out (at most %" PRIu32 ")", m->counts[SHOWN_DONE],
               m->plan->n_nodes, out, m->plan->window);
    if (m->counts[SHOWN_UNDONE])
        buf_printf(&line, ", %" PRIu32 " back", m->counts[SHOWN_UNDONE]);
    if (m->counts[SHOWN_FAILED] + m->counts[SHOWN_LEFT])
        buf_printf(&line, ", %" PRIu32 " failed", m->counts[SHOWN_FAILED] + m->counts[SHOWN_LEFT]);
    if (m->started_ms) {
        int64_t until = m->ended ? m->last_ms : now_ms;
        buf_printf(&line, "; %s", duration_text((until - m->started_ms) / 1000 * 1000, text, sizeof text));
    }
    int64_t left = model_left_ms(m, now_ms);
    if (left >= 0)
        buf_printf(&line, ", about %s left", duration_text((left + 999) / 1000 * 1000, text, sizeof text));
    put_line(pen, buf_str(&line));
    if (m->text[0])
        put_line(pen, m->text);
}

static bool is_held(const struct model_node *n)
{
    return n->state == SHOWN_OUT || n->state == SHOWN_BACK;
}

#define STOPPING_NODES_SHOWN 4

/* An order to stop is acknowledged at once, with what it waits for and what the next one would do. */
static void put_stopping(const struct model *m, struct pen *pen)
{
    auto_buf struct buf line = BUF_INIT(LINE_MAX_BYTES);
    uint32_t held = 0;
    if (m->told == ORDER_ABORT) {
        put_line(pen,
                 "stopping now: nothing more is sent; nodes that are out stay out until resume or rollback");
        return;
    }
    buf_puts(&line, "stopping: ");
    for (uint32_t i = 0; i < m->plan->n_nodes; i++)
        if (is_held(&m->nodes[i]) && ++held <= STOPPING_NODES_SHOWN)
            buf_printf(&line, "%s%s", held == 1 ? "finishing " : ", ", m->plan->nodes[i]);
    if (held > STOPPING_NODES_SHOWN)
        buf_printf(&line, " and %" PRIu32 " more", held - STOPPING_NODES_SHOWN);
    buf_puts(&line, held ? ", nothing else starts" : "nothing else starts");
    if (m->ours && held)
        buf_printf(&line, "; Ctrl-C again stops now and leaves %s out", held == 1 ? "it" : "them");
    put_line(pen, buf_str(&line));
}

void board_render(const struct model *m, int64_t now_ms, int width, int height, bool colour, struct buf *out)
{
    struct pen pen = {.out = out, .width = width < 20 ? 20 : width, .colour = colour};
    bool told = m->told != ORDER_START && !m->ended;
    int lines = height - 3 - told; /* head, foot, sentence, what an order to stop does */
    put_head(m, now_ms, &pen);
    if ((int)m->plan->n_nodes > lines)
        put_some_nodes(m, lines > 1 ? lines : 1, now_ms, &pen);
    else {
        int name_cols = name_columns(m);
        for (uint32_t i = 0; i < m->plan->n_nodes; i++)
            put_node(m, i, name_cols, now_ms, &pen);
    }
    put_foot(m, now_ms, &pen);
    if (told)
        put_stopping(m, &pen);
}
