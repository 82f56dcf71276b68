/* SPDX-License-Identifier: MIT */
/* notify: -> (event, arguments of notify.webhook). A webhook's address is a secret: a literal one stays in
 * the pillar, and the plan only says where. */
#include "plans/compile_priv.h"

#include <string.h>

#include "plans/subst.h"

static const char *const event_names[] = {"started", "finished", "failed", "stopped", "rollback", "lock"};
#define N_EVENTS (sizeof(event_names) / sizeof(event_names[0]))

static bool event_known(const char *name)
{
    for (size_t i = 0; i < N_EVENTS; i++)
        if (strcmp(event_names[i], name) == 0)
            return true;
    return false;
}

static bool is_reference(const char *s)
{
    return str_starts(s, "file:") || str_starts(s, "env:");
}

/* The entry as a step of notify.webhook, so that its parameters are checked as everywhere. */
static const struct value *as_args(struct compiler *c, const struct value *entry, const char *path)
{
    struct value *args = value_map(c->r.arena, entry->at);
    for (size_t i = 0; i < entry->n; i++) {
        const struct entry *e = &entry->entries[i];
        bool url = strcmp(e->key, "webhook") == 0;
        const struct value *v = e->value;
        if (strcmp(e->key, "events") == 0)
            continue;
        if (url && v->kind == VALUE_SCALAR && !is_reference(v->text))
            v = value_scalar(c->r.arena, v->at, path);
        if (url && e->value->kind == VALUE_SCALAR && !is_reference(e->value->text) &&
            !str_starts(e->value->text, "https://") && !str_starts(e->value->text, "http://"))
            problem_at(c->r.problems, e->value->at,
                       "release: notify: webhook: not an address (wanted: https://..., "
                       "file:PATH or env:NAME)");
        (void)map_add(c->r.arena, args, url ? "url" : e->key, e->at, v);
    }
    return args;
}

static const char *args_json(struct compiler *c, const struct plan_step *step)
{
    auto_buf struct buf out = BUF_INIT((size_t)YAML_BYTES_MAX);
    for (size_t i = 0; i < step->n_args; i++) {
        buf_puts(&out, i == 0 ? "{" : ",");
        json_string_add(&out, step->args[i].name);
        buf_puts(&out, ":");
        json_string_add(&out, step->args[i].value);
    }
    buf_puts(&out, step->n_args == 0 ? "{}" : "}");
    return arena_strdup(c->r.arena, buf_str(&out));
}

static void event_add(struct compiler *c, const char *event, const char *json)
{
    struct plan *plan = c->plan;
    struct op_pair *bigger = arena_array(c->r.arena, plan->n_events + 1, sizeof(*bigger));
    if (plan->n_events > 0)
        memcpy(bigger, plan->events, plan->n_events * sizeof(*bigger));
    bigger[plan->n_events++] = (struct op_pair){.name = event, .value = json};
    plan->events = bigger;
}

static void events_of(struct compiler *c, const struct value *events, const char *json)
{
    static const char *const usual[] = {"started", "finished", "failed", "stopped", "rollback"};
    if (value_is_null(events)) {
        for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
            event_add(c, usual[i], json);
        return;
    }
    for (size_t i = 0; i < (events->kind == VALUE_LIST ? events->n : 1); i++) {
        const struct value *v = events->kind == VALUE_LIST ? events->items[i] : events;
        const char *name = v->kind == VALUE_SCALAR ? v->text : value_kind_text(v);
        if (event_known(name))
            event_add(c, name, json);
        else
            problem_at(c->r.problems, v->at,
                       "release: notify: unknown event '%s'%s (known: started, finished, failed, "
                       "stopped, rollback, lock)",
                       name, nearest_hint(c->r.arena, name, event_names, N_EVENTS));
    }
}

static void entry_read(struct compiler *c, const struct value *entry, size_t number)
{
    if (entry->kind != VALUE_MAP || map_get(entry, "webhook") == NULL) {
        problem_at(c->r.problems, entry->at,
                   "release: notify: wanted {webhook: https://..., events: [...]}, found %s",
                   value_kind_text(entry));
        return;
    }
    const char *path = arena_printf(c->r.arena, "pillar:release:notify:%zu:webhook", number);
    const struct item item = {.verb = "notify.webhook",
                              .args = as_args(c, entry, path),
                              .at = entry->at,
                              .phase = PHASE_HOOK_AFTER};
    struct plan_step step;
    if (step_make(c, &item, &step))
        events_of(c, map_get(entry, "events"), args_json(c, &step));
}

void events_set(struct compiler *c)
{
    const struct value *v = c->b.notify;
    if (v == NULL)
        return;
    if (v->kind != VALUE_LIST) {
        problem_at(c->r.problems, v->at,
                   "release: notify: wanted a list of {webhook: ..., events: [...]}, found %s",
                   value_kind_text(v));
        return;
    }
    for (size_t i = 0; i < v->n; i++)
        entry_read(c, v->items[i], i);
}
