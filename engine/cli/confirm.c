/* SPDX-License-Identifier: MIT */
/* The question before anything is changed: what a person has to know in about a dozen lines, then the
 * environment's name to be typed. Who can be asked is decided by who is there, stdin or the terminal that the
 * command was started from, never by where its output goes: `release run ... | tee log` asks, too. Where a
 * yes is wanted and nobody can be asked, nothing is done. */
#include "cli/confirm.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "cli/plan_brief.h"
#include "cli/signals.h"
#include "cli/watching.h"
#include "plans/judge.h"

#define CHANGES_SHOWN 3
#define COMMITS_SHOWN 3
#define NODES_SHOWN   6
#define REV_SHOWN     12
#define BRIEF_MAX     (64 * 1024)
#define WARN          "\x1b[1;33m"
#define PLAIN         "\x1b[0m"

/* ---- what is said yes to */

static const char *rev_text(struct arena *arena, const char *rev)
{
    return rev && *rev ? arena_printf(arena, "%.*s", REV_SHOWN, rev) : "nothing";
}

static void put_outside(struct buf *out, const char *text)
{
    text_visible(out, text, strlen(text));
}

/* Name and commit; the commit alone where that was typed. */
static const char *name_and_rev(struct arena *arena, const char *typed, const char *rev)
{
    auto_buf struct buf out = BUF_INIT(1024);
    if (typed && *typed && !str_starts(rev ? rev : "", typed)) {
        put_outside(&out, typed);
        buf_puts(&out, " ");
    }
    buf_puts(&out, rev_text(arena, rev));
    return arena_strdup(arena, buf_str(&out));
}

static void put_head(struct session *s, const struct plan *plan, const char *about, struct buf *out)
{
    buf_printf(out, "\n%s of %s in %s", kind_name(plan->kind), plan->app, plan->env);
    if (about)
        buf_printf(out, ": %s", about);
    else if (plan->needs_rev)
        buf_printf(out, ": %s", name_and_rev(&s->cli->arena, plan->rev_typed, plan->rev));
    buf_printf(out, ", plan %s\n", plan->name);
}

static void put_nodes_of_change(const struct plan *plan, size_t of, struct buf *out)
{
    size_t n = 0;
    for (size_t i = of; i < plan->n_nodes; i++)
        if (plan_same_change(plan, of, i) && ++n <= NODES_SHOWN)
            buf_printf(out, "%s%s", n > 1 ? ", " : "", plan->nodes[i].id);
    if (n > NODES_SHOWN)
        buf_printf(out, " and %zu more", n - NODES_SHOWN);
}

static const char *direction_words(int direction, long long count, struct arena *arena)
{
    const char *commits = count == 1 ? "commit" : "commits";
    if (direction == DIRECTION_BACKWARD)
        return arena_printf(arena, "BACK to an ancestor; it takes away %lld %s:", count, commits);
    if (direction == DIRECTION_SIDEWAYS)
        return arena_printf(arena, "ANOTHER line of history; it adds %lld %s:", count, commits);
    return arena_printf(arena, "adds %lld %s:", count, commits);
}

static void put_commits(struct session *s, const struct plan *plan, size_t of, bool colour, struct buf *out)
{
    const char *why;
    const struct probe *probe =
        plan_commits(s, plan, plan->nodes[of].rev_before, plan_target(plan, of), &why);
    if (!probe) {
        buf_puts(out, "      the commits cannot be listed: ");
        put_outside(out, why);
        buf_puts(out, "\n");
        return;
    }
    long long count = 0, shown = 0;
    int direction = direction_from_name(probe_fact(probe, "direction"));
    bool counted = parse_number(probe_fact(probe, "count"), &count);
    bool warn = colour && direction != DIRECTION_FORWARD;
    if (counted)
        buf_printf(out, "      %s%s%s\n", warn ? WARN : "", direction_words(direction, count, &s->cli->arena),
                   warn ? PLAIN : "");
    for (size_t i = 0; i < probe->n_facts && shown < COMMITS_SHOWN; i++) {
        if (!str_starts(probe->facts[i].name, "commit."))
            continue;
        buf_puts(out, "      ");
        put_outside(out, probe->facts[i].value);
        buf_puts(out, "\n");
        shown++;
    }
    if (count > shown)
        buf_printf(out, "      ... and %lld more\n", count - shown);
}

/* With `asked`: the commits too, which cost a question to the repository. */
static void put_changes(struct session *s, const struct plan *plan, bool asked, bool colour, struct buf *out)
{
    size_t n = 0;
    for (size_t i = 0; plan->needs_rev && i < plan->n_nodes; i++) {
        const char *before = plan->nodes[i].rev_before, *to = plan_target(plan, i);
        if (!plan_first_of_change(plan, i) || n++ >= CHANGES_SHOWN)
            continue;
        buf_printf(out, "  %-8s%s -> %s on ", n == 1 ? "change" : "", rev_text(&s->cli->arena, before),
                   rev_text(&s->cli->arena, to));
        put_nodes_of_change(plan, i, out);
        buf_puts(out, strcmp(before, to) == 0 ? " (runs it already, is restarted)\n" : "\n");
        if (asked && before[0] && strcmp(before, to) != 0)
            put_commits(s, plan, i, colour, out);
    }
    if (n > CHANGES_SHOWN)
        buf_printf(out, "          and %zu changes more\n", n - CHANGES_SHOWN);
}

static void put_walk(const struct plan *plan, struct buf *out)
{
    char soak[DURATION_TEXT_MAX];
    buf_printf(out, "  %-8s%zu node%s in stages of ", "walk", plan->n_nodes, plan->n_nodes == 1 ? "" : "s");
    for (size_t i = 0; i < plan->n_stages; i++)
        buf_printf(out, "%s%u", i ? ", " : "", plan->stage_end[i]);
    if (plan->soak_ms > 0)
        buf_printf(out, ", each judged for %s", duration_text(plan->soak_ms, soak, sizeof soak));
    for (size_t r = 0; r < plan_n_roles(plan); r++) {
        const struct plan_role role = plan_role_of(plan, r);
        buf_printf(out, "; %s%s%u out at once", role.name, *role.name ? " " : "", role.window);
        if (role.capacity_step.verb)
            buf_printf(out, ", %u must stay in rotation", role.min_up);
        if (role.judge && role.soak_ms > 0) {
            buf_puts(out, ", judge: ");
            judge_text(role.judge, out);
        }
    }
    buf_printf(out, "\n  %-8s%s\n", "failure",
               plan->rollback_on_failure ? "every touched node goes back" : "stops; finished nodes stay");
}

static void put_once(const struct plan *plan, struct buf *out)
{
    bool first = true;
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct plan_step *step = &plan->steps[i];
        if (step->once == ONCE_NO)
            continue;
        buf_printf(out, "  %-8s", first ? "once" : "");
        put_outside(out, step->label);
        buf_puts(out, step->undo_cmd ? " (can be undone)\n" : " (its effect stays, also after a way back)\n");
        first = false;
    }
}

static void put_time(struct session *s, const struct plan *plan, struct buf *out)
{
    struct model m;
    char text[DURATION_TEXT_MAX];
    model_init(&m, watching_plan(&s->cli->arena, s->store, plan, 0));
    m.started_ms = clock_wall_ms();
    int64_t left = model_left_ms(&m, m.started_ms);
    model_fini(&m);
    if (left >= 0)
        buf_printf(out, "  %-8sabout %s, by past releases\n", "time",
                   duration_text((left + 999) / 1000 * 1000, text, sizeof text));
}

/* asked_on: the terminal of the person who is asked, -1 = nobody is. */
static void put_brief(struct session *s, const struct plan *plan, const char *about, int asked_on,
                      struct buf *out)
{
    put_head(s, plan, about, out);
    put_changes(s, plan, asked_on >= 0, watching_colour(asked_on), out);
    put_walk(plan, out);
    put_once(plan, out);
    put_time(s, plan, out);
    buf_printf(out, "  %-8s--dry-run prints every step\n", "more");
}

/* ---- who can be asked */

struct terminal {
    int in, out;
    int opened; /* ours to close, or -1 */
};

static void terminal_close(struct terminal *t)
{
    auto_fd_fn(&t->opened);
}

/* In the background a question would only stop the process (SIGTTIN), and nobody would see why. */
static bool in_front(int fd)
{
    pid_t group = tcgetpgrp(fd);
    return group < 0 || group == getpgrp();
}

/* A person at stdin, else at the terminal of the command. false: nobody is there. */
static bool terminal_find(struct terminal *t)
{
    *t = (struct terminal){.in = STDIN_FILENO, .out = STDOUT_FILENO, .opened = -1};
    bool stdin_is = isatty(STDIN_FILENO) && in_front(STDIN_FILENO);
    if (stdin_is && isatty(STDOUT_FILENO))
        return true;
    t->opened = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (t->opened >= 0 && in_front(t->opened)) {
        t->in = stdin_is ? STDIN_FILENO : t->opened;
        t->out = t->opened;
        return true;
    }
    t->out = STDERR_FILENO;
    return stdin_is && isatty(STDERR_FILENO);
}

static void terminal_put(const struct terminal *t, const struct buf *text)
{
    for (size_t done = 0; done < text->len;) {
        ssize_t n = write(t->out, text->data + done, text->len - done);
        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

static bool typed_name(struct session *s, const struct plan *plan, const struct terminal *t)
{
    char line[256];
    auto_buf struct buf question = BUF_INIT(BRIEF_MAX);
    buf_printf(&question, "This will change %zu node%s of %s. Type '%s' to go on: ", plan->n_nodes,
               plan->n_nodes == 1 ? "" : "s", s->env, s->env);
    terminal_put(t, &question);
    ssize_t n = signals_or_input(s->signal_fd, t->in) ? read(t->in, line, sizeof line - 1) : 0;
    line[n > 0 ? n : 0] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    if (strcmp(line, s->env) == 0)
        return true;
    say_error("%s: not confirmed (read '%s', wanted '%s'); nothing was touched", s->cli->command->name, line,
              s->env);
    return false;
}

static bool wants_confirmation(const struct session *s)
{
    return s->pillar ? pillar_confirms(s->pillar, s->key.env) : str_starts(s->key.env, "prod");
}

static bool is_wanted(const struct session *s)
{
    return !cli_flag(s->cli, "yes") && (wants_confirmation(s) || cli_opt(s->cli, "window"));
}

/* What a log or a screen gets of a plan that nobody is asked about. */
static void show_unasked(struct session *s, const struct plan *plan, const char *about)
{
    if (cli_flag(s->cli, "json"))
        return;
    if (!isatty(STDOUT_FILENO)) {
        auto_free char *text = plan_text(plan);
        out_text(text);
        return;
    }
    auto_buf struct buf brief = BUF_INIT(BRIEF_MAX);
    put_brief(s, plan, about, -1, &brief);
    out_buf(&brief);
}

bool session_confirm(struct session *s, const struct plan *plan, const char *about)
{
    __attribute__((cleanup(terminal_close))) struct terminal t = {.opened = -1};
    if (!is_wanted(s)) {
        show_unasked(s, plan, about);
        return true;
    }
    if (!terminal_find(&t)) {
        say_error(
            "%s: %s wants a yes before it is changed, and nobody can be asked here (no terminal); give --yes "
            "when the answer is yes, 'release plan' or --dry-run shows what would be done; nothing was "
            "touched",
            s->cli->command->name, s->env);
        return false;
    }
    auto_buf struct buf brief = BUF_INIT(BRIEF_MAX);
    put_brief(s, plan, about, t.out, &brief);
    terminal_put(&t, &brief);
    return typed_name(s, plan, &t);
}

int session_dry_run(struct session *s, struct plan *plan)
{
    bool json = cli_flag(s->cli, "json");
    auto_free char *text = json ? plan_encode(plan) : plan_text(plan);
    out_text(text);
    if (json)
        out_text("\n");
    return 0;
}
