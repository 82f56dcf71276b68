/* SPDX-License-Identifier: MIT */
/* One JSON object per line, for programs: docs/json.md describes them. Keys are only ever added. Strings from
 * nodes are kept as they are where they are UTF-8; JSON escapes control bytes, so a line is a line. */
#include "watch/json.h"

#include <stdlib.h>
#include <string.h>

/* jansson refuses what is not UTF-8: then the visible form is given. */
json_t *watch_text_json(const char *s, size_t n)
{
    json_t *v = json_stringn(s, n);
    if (v)
        return v;
    auto_buf struct buf safe = BUF_INIT(4 * 1024 * 1024);
    text_visible(&safe, s, n);
    return json_stringn(buf_str(&safe), safe.len);
}

static void set_text(json_t *o, const char *key, const char *s)
{
    if (s && s[0])
        json_object_set_new(o, key, watch_text_json(s, strlen(s)));
}

static void put(struct buf *out, json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    must(text);
    buf_puts(out, text);
    buf_puts(out, "\n");
    free(text);
    json_decref(o);
}

static json_t *object(const char *kind, int64_t release, int64_t at_ms)
{
    json_t *o = json_object();
    json_object_set_new(o, "kind", json_string(kind));
    json_object_set_new(o, "release", json_integer(release));
    json_object_set_new(o, "at", json_integer(at_ms));
    return o;
}

static void set_step(json_t *o, const struct watch_plan *plan, int step)
{
    if (step < 0)
        return;
    json_object_set_new(o, "step", json_integer(step));
    set_text(o, "label", watch_label(plan, step));
    if (plan && (size_t)step < plan->n_steps)
        set_text(o, "phase", phase_name(plan->steps[step].phase));
}

static void set_note(json_t *o, const struct watch_plan *plan, const struct row *row)
{
    int note = note_from_name(row->code);
    if (note < 0)
        return;
    auto_buf struct buf text = BUF_INIT(8192);
    const char *label = watch_label(plan, row->step);
    note_text(&text, (enum note)note, row->node, label[0] ? label : row->verb, row->a, row->b);
    set_text(o, "sentence", buf_str(&text));
}

json_t *watch_row_json(const struct watch_plan *plan, const struct row *row)
{
    json_t *o = object(row_kind_name(row->kind), row->release, row->at_ms);
    json_object_set_new(o, "seq", json_integer(row->seq));
    set_text(o, "node", row->node);
    set_step(o, plan, row->step);
    set_text(o, "verb", row->verb);
    set_text(o, "role", row->role);
    set_text(o, "code", row->code);
    if (row->attempt)
        json_object_set_new(o, "attempt", json_integer(row->attempt));
    if (row->back)
        json_object_set_new(o, "back", json_true());
    json_object_set_new(o, "a", json_integer(row->a));
    json_object_set_new(o, "b", json_integer(row->b));
    json_t *facts = row->facts && row->facts[0] ? json_loads(row->facts, 0, NULL) : NULL;
    if (facts)
        json_object_set_new(o, "facts", facts);
    set_text(o, "text", row->text);
    if (row->kind == ROW_NOTE)
        set_note(o, plan, row);
    return o;
}

void jsonl_row(const struct watch_plan *plan, const struct row *row, struct buf *out)
{
    put(out, watch_row_json(plan, row));
}

json_t *watch_output_json(const struct watch_plan *plan, const struct output *out_row)
{
    static const char *const streams[] = {"log", "stdout", "stderr"};
    json_t *o = object("output", out_row->release, out_row->at_ms);
    set_text(o, "node", out_row->node);
    set_step(o, plan, out_row->step);
    json_object_set_new(o, "attempt", json_integer(out_row->attempt));
    if (out_row->back)
        json_object_set_new(o, "back", json_true());
    set_text(o, "stream", out_row->stream >= 0 && out_row->stream < 3 ? streams[out_row->stream] : "?");
    json_object_set_new(o, "data", watch_text_json(out_row->data, out_row->n));
    return o;
}

void jsonl_output(const struct watch_plan *plan, const struct output *out_row, struct buf *out)
{
    put(out, watch_output_json(plan, out_row));
}

json_t *watch_release_json(const struct release_info *r)
{
    json_t *o = object("release", r->id, r->started_ms);
    set_text(o, "env", r->env);
    set_text(o, "app", r->app);
    set_text(o, "what", kind_name(r->kind));
    set_text(o, "plan", r->plan_name);
    set_text(o, "rev", r->rev);
    set_text(o, "rev_typed", r->rev_typed);
    set_text(o, "who", r->who);
    set_text(o, "host", r->host);
    set_text(o, "digest", r->plan_digest);
    if (r->of_release)
        json_object_set_new(o, "of", json_integer(r->of_release));
    json_object_set_new(o, "ended", r->ended_ms ? json_integer(r->ended_ms) : json_null());
    json_object_set_new(o, "exit", r->exit_status >= 0 ? json_integer(r->exit_status) : json_null());
    set_text(o, "result", end_text(r));
    json_object_set_new(o, "resumable", json_boolean(r->resumable));
    set_text(o, "summary", r->summary);
    return o;
}

void jsonl_release(const struct release_info *r, struct buf *out)
{
    put(out, watch_release_json(r));
}
