/* SPDX-License-Identifier: MIT */
/* The story of a run: one line per durable row that people would want to read, with its virtual time. */
#include "sim/sim_priv.h"

#include <stdarg.h>
#include <stdio.h>

const char *sim_node_name(const struct sim_plan *plan, uint32_t node, char buf[32])
{
    if (node >= plan->core.n_nodes)
        return "controller";
    if (plan->names)
        return plan->names[node];
    snprintf(buf, 32, "n%u", node + 1);
    return buf;
}

static void say(struct sim *s, bool routine, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void say_line(struct sim *s, bool routine, const char *fmt, va_list ap)
{
    char text[500];
    if (!s->opt.story)
        return;
    vsnprintf(text, sizeof(text), fmt, ap);
    s->opt.story(s->opt.ctx, &(struct sim_line){.at_ms = s->now, .text = text, .routine = routine});
}

static void say(struct sim *s, bool routine, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say_line(s, routine, fmt, ap);
    va_end(ap);
}

void sim_say(struct sim *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say_line(s, false, fmt, ap);
    va_end(ap);
}

static const char *step_label(const struct sim *s, uint16_t step)
{
    return step < s->plan->core.n_steps ? s->plan->steps[step].label : "";
}

static void story_outcome(struct sim *s, const struct record *row)
{
    char name[32];
    const char *node = sim_node_name(s->plan, row->node, name), *label = step_label(s, row->step);
    const char *role = row->role == ROLE_RUN ? "" : role_name((enum role)row->role);
    const char *sep = *role ? ": " : "";
    if (row->code != OUT_OK)
        sim_say(s, "%s: %s%s%s: %s", node, label, sep, role, outcome_name((enum outcome)row->code));
    else if (row->a == 1)
        say(s, row->node < s->plan->core.n_nodes, "%s: %s%s", node, label, row->back ? " (back)" : "");
}

void story_row(struct sim *s, const struct record *row)
{
    char name[32];
    if (!s->opt.story)
        return;
    if (row->kind == ROW_OUTCOME) {
        story_outcome(s, row);
    } else if (row->kind == ROW_ORDER) {
        sim_say(s, "order: %s", order_name((enum order)row->code));
    } else if (row->kind == ROW_NOTE && row->code != NOTE_PROGRESS && row->code != NOTE_GANG_OK) {
        struct buf text = BUF_INIT(400);
        note_text(&text, (enum note)row->code, sim_node_name(s->plan, row->node, name),
                  step_label(s, row->step), row->a, row->b);
        say(s, row->code == NOTE_ADMIT || row->code == NOTE_NODE_IN, "%s", buf_str(&text));
        buf_fini(&text);
    }
}
