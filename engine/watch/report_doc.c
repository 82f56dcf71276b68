/* SPDX-License-Identifier: MIT */
/* A report as a text for people, and as JSON. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "watch/json.h"
#include "watch/report.h"

#define STEPS_SHOWN 8
#define REV_SHOWN   12
#define BAR_WIDTH   20
/* PLAN_CHANGES_MAX and PLAN_COMMITS_MAX of the plan that wrote them, or of a later version's. */
#define CHANGES_MAX 16
#define COMMITS_MAX 100

static const char *length_text(struct arena *arena, int64_t ms)
{
    char text[DURATION_TEXT_MAX];
    return arena_strdup(arena, duration_text(ms >= 10000 ? ms / 1000 * 1000 : ms, text, sizeof text));
}

static const char *time_text(struct arena *arena, int64_t ms)
{
    char text[CLOCK_TEXT_MAX];
    return arena_strdup(arena, clock_text(ms, text, sizeof text));
}

/* ---- what and who */

static const char *about_fact(const json_t *about, const char *name)
{
    const char *text = json_string_value(json_object_get(about, name));
    return text ? text : "";
}

static void fact(struct doc *d, const char *name, const char *value)
{
    if (value[0])
        DOC_ROW(d, name, value);
}

static const char *revision_text(const struct release_info *r, struct arena *arena)
{
    if (!r->rev[0])
        return "";
    bool named = r->rev_typed[0] && !str_starts(r->rev, r->rev_typed);
    return named ? arena_printf(arena, "%s (%s)", r->rev_typed, r->rev) : r->rev;
}

static const char *commit_text(const json_t *about, struct arena *arena)
{
    const char *date = about_fact(about, "commit.date");
    return date[0] ? arena_printf(arena, "%s, by %s, %s", about_fact(about, "commit.subject"),
                                  about_fact(about, "commit.author"), date)
                   : "";
}

static const char *result_text(const struct release_info *r, struct arena *arena)
{
    if (r->exit_status < 0)
        return r->resumable ? "not ended" : "not ended, given up";
    return arena_printf(arena, "%s (exit %d)%s%s", end_text(r), r->exit_status, r->summary[0] ? ": " : "",
                        r->summary);
}

static void put_facts(struct doc *d, const struct report *rep, const json_t *about)
{
    const struct release_info *r = rep->of.release;
    struct arena *a = d->arena;
    doc_add(d, DOC_FACTS, "");
    fact(d, "result", result_text(r, a));
    fact(d, "revision", revision_text(r, a));
    fact(d, "commit", commit_text(about, a));
    fact(d, "takes back", r->of_release ? arena_printf(a, "release %" PRId64, r->of_release) : "");
    fact(d, "by", arena_printf(a, "%s on %s", r->who, r->host));
    fact(d, "why", about_fact(about, "why"));
    fact(d, "overridden", rep->of.overrides);
    fact(d, "began", time_text(a, r->started_ms));
    fact(d, "took", rep->took_ms >= 0 ? length_text(a, rep->took_ms) : "");
    fact(d, "plan",
         arena_printf(a, "%s, %zu node%s in %zu stage%s", r->plan_name, rep->of.plan->n_nodes,
                      rep->of.plan->n_nodes == 1 ? "" : "s", rep->of.plan->n_stages,
                      rep->of.plan->n_stages == 1 ? "" : "s"));
}

/* ---- commits */

static const char *direction_words(const char *direction)
{
    switch (direction_from_name(direction)) {
    case DIRECTION_FORWARD: return "adds";
    case DIRECTION_BACKWARD: return "goes back to an ancestor and takes away";
    case DIRECTION_SIDEWAYS: return "goes to another line of history and adds";
    default: return "has";
    }
}

static void put_change(struct doc *d, const json_t *about, int number)
{
    struct arena *a = d->arena;
    const char *head = arena_printf(a, "change.%d.", number);
    const char *from = about_fact(about, arena_printf(a, "%sfrom", head));
    const char *nodes = about_fact(about, arena_printf(a, "%snodes", head));
    const char *unknown = about_fact(about, arena_printf(a, "%sunknown", head));
    const char *count = about_fact(about, arena_printf(a, "%scount", head));
    long listed = 0, all = strtol(count, NULL, 10);
    if (unknown[0] || !count[0]) {
        doc_add(d, DOC_TEXT,
                arena_printf(a, "From %.*s, on %s nodes: the commits could not be listed: %s", REV_SHOWN,
                             from, nodes, unknown));
        return;
    }
    doc_add(d, DOC_TEXT,
            arena_printf(a, "From %.*s, on %s node%s: it %s %s commit%s.", REV_SHOWN, from, nodes,
                         strcmp(nodes, "1") == 0 ? "" : "s",
                         direction_words(about_fact(about, arena_printf(a, "%sdirection", head))), count,
                         all == 1 ? "" : "s"));
    if (all > 0)
        doc_add(d, DOC_LINES, "");
    for (int i = 1; i <= COMMITS_MAX; i++) {
        const char *commit = about_fact(about, arena_printf(a, "%scommit.%d", head, i));
        if (!commit[0])
            break;
        DOC_ROW(d, commit);
        listed++;
    }
    if (all > listed && all > 0)
        DOC_ROW(d, arena_printf(a, "... and %ld more", all - listed));
}

static void put_commits(struct doc *d, const struct report *rep, const json_t *about)
{
    if (rep->of.release->kind != KIND_RELEASE || !rep->of.release->rev[0])
        return;
    doc_add(d, DOC_HEADING, "Commits");
    bool any = false;
    for (int i = 1; i <= CHANGES_MAX; i++)
        if (about_fact(about, arena_printf(d->arena, "change.%d.from", i))[0]) {
            put_change(d, about, i);
            any = true;
        }
    if (!any)
        doc_add(d, DOC_TEXT,
                rep->about[0] ? "None: no node ran another revision before, as far as was seen."
                              : "Not recorded with this release.");
}

/* ---- timeline */

static const char *up_text(struct arena *arena, int64_t up)
{
    return up < 0 ? "" : arena_printf(arena, "%" PRId64, up);
}

static void put_timeline(struct doc *d, const struct report *rep)
{
    int64_t began = rep->of.release->started_ms;
    bool counted = rep->least_up >= 0;
    doc_add(d, DOC_HEADING, "Timeline");
    if (rep->n_events == 0) {
        doc_add(d, DOC_TEXT, "It did nothing.");
        return;
    }
    doc_add(d, DOC_TABLE, "What happened, by the time since it began");
    if (counted)
        DOC_ROW(d, "after", "what", "nodes in rotation");
    else
        DOC_ROW(d, "after", "what");
    for (size_t i = 0; i < rep->n_events; i++) {
        const struct report_event *e = &rep->events[i];
        const char *after = length_text(d->arena, e->at_ms > began ? e->at_ms - began : 0);
        if (counted)
            DOC_ROW(d, after, e->text, up_text(d->arena, e->up));
        else
            DOC_ROW(d, after, e->text);
    }
    if (rep->events_more)
        doc_add(d, DOC_TEXT,
                arena_printf(d->arena, "And %zu more; 'release log %" PRId64 "' has all of them.",
                             rep->events_more, rep->of.release->id));
}

static void put_capacity(struct doc *d, const struct report *rep)
{
    if (rep->n_slots == 0)
        return;
    doc_add(d, DOC_HEADING, "Capacity");
    doc_add(d, DOC_TEXT,
            arena_printf(d->arena,
                         "In rotation, as the balancers counted when a node left: at most %" PRId64
                         ", at least %" PRId64 ".",
                         rep->most_up, rep->least_up));
    doc_add(d, DOC_TABLE, "The fewest in rotation, from each time on");
    DOC_ROW(d, "after", "nodes", "");
    for (size_t i = 0; i < rep->n_slots; i++) {
        char bar[BAR_WIDTH + 1] = "";
        int64_t n = rep->most_up > 0 ? rep->slots[i].least_up * BAR_WIDTH / rep->most_up : 0;
        memset(bar, '=', (size_t)(n < 0 ? 0 : n > BAR_WIDTH ? BAR_WIDTH : n));
        DOC_ROW(d, length_text(d->arena, rep->slots[i].from_ms - rep->slots[0].from_ms),
                up_text(d->arena, rep->slots[i].least_up), arena_strdup(d->arena, bar));
    }
}

/* ---- steps, failures, earlier ones */

static int64_t usual_ms(const struct report *rep, const struct step_time *t)
{
    const struct watch_plan *p = rep->of.plan;
    return t->step >= 0 && (size_t)t->step < p->n_steps ? p->steps[t->step].usual_ms : -1;
}

static void put_steps(struct doc *d, const struct report *rep)
{
    if (rep->n_steps == 0)
        return;
    doc_add(d, DOC_HEADING, "Slowest steps");
    doc_add(d, DOC_TABLE, "By the node on which each took longest");
    DOC_ROW(d, "step", "longest", "on", "median", "nodes", "usually");
    for (size_t i = 0; i < rep->n_steps && i < STEPS_SHOWN; i++) {
        const struct step_time *t = &rep->steps[i];
        int64_t usual = usual_ms(rep, t);
        DOC_ROW(d, watch_label(rep->of.plan, t->step), length_text(d->arena, t->longest_ms),
                t->longest_node[0] ? t->longest_node : "the controller", length_text(d->arena, t->median_ms),
                arena_printf(d->arena, "%zu", t->n), usual >= 0 ? length_text(d->arena, usual) : "unknown");
    }
}

static void put_failures(struct doc *d, const struct report *rep)
{
    if (rep->n_failures == 0)
        return;
    doc_add(d, DOC_HEADING, "Failures");
    for (size_t i = 0; i < rep->n_failures; i++) {
        const struct report_failure *f = &rep->failures[i];
        doc_add(d, DOC_TEXT,
                arena_printf(d->arena, "%s, %s%s%s: %s", time_text(d->arena, f->at_ms), f->node,
                             f->label[0] ? ", " : "", f->label, f->text));
        if (f->output[0])
            doc_add(d, DOC_OUTPUT, f->output);
    }
    if (rep->failures_more)
        doc_add(d, DOC_TEXT, arena_printf(d->arena, "And %zu more.", rep->failures_more));
}

static void put_verdicts(struct doc *d, const struct report *rep)
{
    if (rep->n_verdicts == 0)
        return;
    doc_add(d, DOC_HEADING, "Judgement");
    doc_add(d, DOC_FACTS, "");
    for (size_t i = 0; i < rep->n_verdicts; i++)
        DOC_ROW(d, time_text(d->arena, rep->verdicts[i].at_ms), rep->verdicts[i].text);
}

static void put_earlier(struct doc *d, const struct report *rep)
{
    struct arena *a = d->arena;
    doc_add(d, DOC_HEADING, "Against earlier ones");
    if (rep->n_earlier == 0) {
        doc_add(d, DOC_TEXT, "Unknown: no earlier one of this environment and plan ended well.");
        return;
    }
    doc_add(
        d, DOC_TEXT,
        arena_printf(
            a, "%s. The last %zu of this environment and plan that ended well took %s (median), at most %s.",
            rep->took_ms >= 0 ? arena_printf(a, "It took %s", length_text(a, rep->took_ms))
                              : "It has not ended",
            rep->n_earlier, length_text(a, rep->earlier_median_ms), length_text(a, rep->earlier_longest_ms)));
}

struct doc report_doc(const struct report *rep, struct arena *arena)
{
    const struct release_info *r = rep->of.release;
    json_t *about = json_loads(rep->about, 0, NULL);
    struct doc d = doc_new(arena, arena_printf(arena, "%s %" PRId64 " of %s in %s", kind_name(r->kind), r->id,
                                               r->app, env_bare(r->env)));
    put_facts(&d, rep, about);
    put_commits(&d, rep, about);
    put_verdicts(&d, rep);
    put_failures(&d, rep);
    put_timeline(&d, rep);
    put_capacity(&d, rep);
    put_steps(&d, rep);
    put_earlier(&d, rep);
    /* What is shown of the facts points into them. */
    for (struct doc_block *b = d.first; b; b = b->next)
        for (size_t i = 0; i < b->n_rows * b->n_cols; i++)
            b->cells[i] = arena_strdup(arena, b->cells[i]);
    json_decref(about);
    return d;
}

/* ---- JSON */

static json_t *text_json(const char *s)
{
    return watch_text_json(s, strlen(s));
}

static json_t *known(int64_t v)
{
    return v < 0 ? json_null() : json_integer(v);
}

static json_t *events_json(const struct report *rep)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rep->n_events; i++)
        json_array_append_new(list,
                              json_pack("{s:I, s:o, s:o}", "at_ms", (json_int_t)rep->events[i].at_ms, "text",
                                        text_json(rep->events[i].text), "up", known(rep->events[i].up)));
    return list;
}

static json_t *verdicts_json(const struct report *rep)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rep->n_verdicts; i++)
        json_array_append_new(list, json_pack("{s:I, s:o}", "at_ms", (json_int_t)rep->verdicts[i].at_ms,
                                              "text", text_json(rep->verdicts[i].text)));
    return list;
}

static json_t *failures_json(const struct report *rep)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rep->n_failures; i++) {
        const struct report_failure *f = &rep->failures[i];
        json_array_append_new(list, json_pack("{s:I, s:o, s:o, s:o, s:o}", "at_ms", (json_int_t)f->at_ms,
                                              "node", text_json(f->node), "step", text_json(f->label), "text",
                                              text_json(f->text), "output", text_json(f->output)));
    }
    return list;
}

static json_t *steps_json(const struct report *rep)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rep->n_steps; i++) {
        const struct step_time *t = &rep->steps[i];
        json_array_append_new(list,
                              json_pack("{s:i, s:s, s:o, s:I, s:I, s:o, s:I, s:o}", "step", t->step, "verb",
                                        t->verb, "label", text_json(watch_label(rep->of.plan, t->step)),
                                        "median_ms", (json_int_t)t->median_ms, "longest_ms",
                                        (json_int_t)t->longest_ms, "longest_on", text_json(t->longest_node),
                                        "n", (json_int_t)t->n, "usual_ms", known(usual_ms(rep, t))));
    }
    return list;
}

static json_t *capacity_json(const struct report *rep)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rep->n_slots; i++)
        json_array_append_new(list, json_pack("{s:I, s:o}", "from_ms", (json_int_t)rep->slots[i].from_ms,
                                              "least_up", known(rep->slots[i].least_up)));
    return json_pack("{s:o, s:o, s:o}", "most_up", known(rep->most_up), "least_up", known(rep->least_up),
                     "slots", list);
}

json_t *report_json(const struct report *rep)
{
    json_t *about = json_loads(rep->about, 0, NULL);
    json_t *o =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:I, s:o, s:I, s:o, s:o}", "kind", "report", "release",
                  watch_release_json(rep->of.release), "overridden", text_json(rep->of.overrides), "about",
                  about ? about : json_object(), "events", events_json(rep), "events_more",
                  (json_int_t)rep->events_more, "failures", failures_json(rep), "failures_more",
                  (json_int_t)rep->failures_more, "capacity", capacity_json(rep), "steps", steps_json(rep));
    json_object_set_new(o, "earlier",
                        json_pack("{s:I, s:o, s:o}", "n", (json_int_t)rep->n_earlier, "median_ms",
                                  known(rep->n_earlier ? rep->earlier_median_ms : -1), "longest_ms",
                                  known(rep->n_earlier ? rep->earlier_longest_ms : -1)));
    json_object_set_new(o, "judged", verdicts_json(rep));
    json_object_set_new(o, "took_ms", known(rep->took_ms));
    return o;
}
