/* SPDX-License-Identifier: MIT */
/* The last words of a release: what it came to, what a failing step printed last, what to do next. */
#include "cli/watching.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define TAIL_LINES 40
#define PAGE       64

/* The rows of a release folded into a model: who failed, who is where. false: the journal cannot be read. */
static bool fold(struct store *store, struct model *m, int64_t release)
{
    int64_t seq = 0;
    size_t n;
    do {
        auto_arena struct arena arena = {0};
        struct row *rows;
        struct err err;
        if (!journal_read(reader(store, &arena),
                          &(struct row_range){.release = release, .after = seq, .limit = 1000}, &rows, &n,
                          &err))
            return false;
        for (size_t i = 0; i < n; i++) {
            model_apply(m, &rows[i]);
            seq = rows[i].seq;
        }
    } while (n == 1000);
    return true;
}

/* The last lines of a text; at most TAIL_LINES of them. */
static const char *last_lines(const struct buf *text)
{
    const char *p = buf_str(text) + text->len;
    int lines = 0;
    while (p > buf_str(text)) {
        if (p[-1] == '\n' && p != buf_str(text) + text->len && ++lines == TAIL_LINES)
            break;
        p--;
    }
    return p;
}

static void gather_output(struct store *store, const struct watch_plan *plan, const char *node, int step,
                          struct buf *text)
{
    struct joiner joiner = {0};
    int64_t id = 0;
    size_t n;
    do {
        auto_arena struct arena arena = {0};
        struct output *o;
        struct err err;
        if (!output_read(
                reader(store, &arena),
                &(struct output_range){
                    .release = plan->release, .node = node, .step = step, .after = id, .limit = PAGE},
                &o, &n, &err))
            n = 0;
        for (size_t i = 0; i < n; i++) {
            if (text->len > 4 * 1024 * 1024)
                buf_reset(text); /* only the end is wanted */
            plain_output(&joiner, plan, &o[i], text);
            id = o[i].id;
        }
    } while (n == PAGE);
    plain_flush(&joiner, NULL, text);
    joiner_fini(&joiner);
}

static void say_tail(struct store *store, const struct model *m)
{
    if (m->failed_node < 0)
        return;
    const char *node = m->plan->nodes[m->failed_node];
    auto_buf struct buf text = BUF_INIT(8 * 1024 * 1024);
    gather_output(store, m->plan, node, m->failed_step, &text);
    if (m->failed_text[0])
        say_note("%s: %s%s%s", node, watch_label(m->plan, m->failed_step), m->failed_step >= 0 ? ": " : "",
                 m->failed_text);
    if (text.len == 0)
        return;
    say_note("last lines of %s: %s:", node, watch_label(m->plan, m->failed_step));
    const char *tail = last_lines(&text);
    say_note("%.*s", (int)strlen(tail) - 1, tail); /* say_note ends the line */
}

/* A release that ended in spite of them: they ran nothing before, and are as undone as they can be. */
static void say_left(const struct model *m, int status)
{
    const char *next = status == EXIT_ROLLED_BACK ? "; the next 'release run' takes it in" : "";
    for (size_t i = 0; i < m->plan->n_nodes; i++)
        if (m->nodes[i].state == SHOWN_LEFT)
            say_note("%s: left %s%s%s%s", m->plan->nodes[i], m->nodes[i].stays ? "out" : "out of rotation",
                     m->nodes[i].text[0] ? ": " : "", m->nodes[i].text, next);
}

static const char *next_step(struct cli *cli, const struct plan *plan, int64_t release, int status)
{
    const char *env = plan->env;
    switch (status) {
    case EXIT_RELEASED: return "";
    case EXIT_ROLLED_BACK:
        return arena_printf(&cli->arena, "; 'release log %" PRId64 "' has all that was printed", release);
    default:
        if (!KIND_MOVES(plan->kind))
            return arena_printf(&cli->arena, "; 'release log %" PRId64 "' has all that was printed", release);
        return arena_printf(&cli->arena, "; next: 'release resume %s' or 'release rollback %s'%s", env, env,
                            status == EXIT_PERSON ? ", with --exclude NODE where one died for good" : "");
    }
}

/* The engine counts nodes by revision; to a command or task that means nothing. */
static const char *summary_of(struct arena *arena, const struct release_info *r, const struct plan *plan,
                              int status)
{
    bool revision = KIND_MOVES(plan->kind);
    if (!revision)
        return arena_printf(arena, "%zu node%s", plan->n_nodes, plan->n_nodes == 1 ? "" : "s");
    return r->summary && r->summary[0] ? r->summary : exit_text(plan->kind, status);
}

static void say_result(struct cli *cli, const struct release_info *r, const struct plan *plan, int status)
{
    char took[DURATION_TEXT_MAX];
    int64_t ms = r->ended_ms > r->started_ms ? r->ended_ms - r->started_ms : 0;
    duration_text(ms >= 10000 ? ms / 1000 * 1000 : ms, took, sizeof took);
    const char *summary = summary_of(&cli->arena, r, plan, status);
    const char *next = next_step(cli, plan, r->id, status);
    bool back = status == EXIT_RELEASED && r->exit_status == EXIT_ROLLED_BACK; /* by order, so all is well */
    if (back)
        out_printf("%s: %s %" PRId64 " is taken back: %s (%s)\n", plan->env, kind_name(plan->kind), r->id,
                   summary, took);
    else if (status == EXIT_RELEASED)
        out_printf("%s: %s %" PRId64 "%s%.12s done: %s (%s)\n", plan->env, kind_name(plan->kind), r->id,
                   plan->rev && plan->rev[0] ? " to " : "", plan->rev ? plan->rev : "", summary, took);
    else
        say_error("%s: %s %" PRId64 " %s: %s (%s, exit %d)%s", plan->env, kind_name(plan->kind), r->id,
                  status == r->exit_status ? end_text(r) : exit_text(plan->kind, status), summary, took,
                  status, next);
}

void final_words(struct cli *cli, struct store *store, const struct plan *plan, int64_t release,
                 int exit_status)
{
    struct release_info *r = NULL;
    struct err err;
    if (!release_get(reader(store, &cli->arena), release, &r, &err) || !r) {
        say_error("%s %" PRId64 " of %s: ended with %d (%s)", kind_name(plan->kind), release, plan->env,
                  exit_status, exit_text(plan->kind, exit_status));
        return;
    }
    if (cli_flag(cli, "json")) {
        auto_buf struct buf line = BUF_INIT(256 * 1024);
        jsonl_release(r, &line);
        out_buf(&line);
        return;
    }
    if (exit_status != EXIT_RELEASED) {
        struct model m;
        model_init(&m, watching_plan(&cli->arena, NULL, plan, release));
        if (fold(store, &m, release)) {
            say_tail(store, &m);
            say_left(&m, exit_status);
        }
        model_fini(&m);
    }
    say_result(cli, r, plan, exit_status);
}
