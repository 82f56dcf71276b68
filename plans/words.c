/* SPDX-License-Identifier: MIT */
/* The engine's own words in a step: timeout, retries, once, on_timeout, way ... What the step leaves out, its driver's block
 * says, then the verb. */
#include "plans/making.h"

#include <stddef.h>
#include <string.h>

#define TIMEOUT_DEFAULT_MS  60000
#define INTERVAL_DEFAULT_MS 500
#define LABEL_MAX           60

struct step_words {
    int64_t timeout_ms, interval_ms, retries, stable;
    const char *once, *undo, *on_timeout, *label, *way, *if_fails;
};

#define AT(member) offsetof(struct step_words, member)
const struct field step_word_fields[] = {
    {.name = "timeout", .type = FIELD_DURATION, .offset = AT(timeout_ms)},
    {.name = "interval", .type = FIELD_DURATION, .offset = AT(interval_ms)},
    {.name = "retries", .type = FIELD_INT, .offset = AT(retries), .max = 100},
    {.name = "stable", .type = FIELD_INT, .offset = AT(stable), .min = 1, .max = 255},
    {.name = "once", .type = FIELD_CHOICE, .offset = AT(once), .choices = "no|before|first|after"},
    {.name = "undo", .type = FIELD_TEXT, .offset = AT(undo)},
    {.name = "on_timeout", .type = FIELD_CHOICE, .offset = AT(on_timeout), .choices = "restore|proceed|kill"},
    {.name = "label", .type = FIELD_TEXT, .offset = AT(label)},
    {.name = "way", .type = FIELD_CHOICE, .offset = AT(way), .choices = "both|forward|back|out"},
    {.name = "if_fails", .type = FIELD_CHOICE, .offset = AT(if_fails), .choices = "fail|warn"},
    FIELD_END,
};

bool step_word_is(const char *name)
{
    for (const struct field *f = step_word_fields; f->name != NULL; f++)
        if (strcmp(f->name, name) == 0)
            return true;
    return false;
}

static void block_duration(struct making *m, const char *key, int64_t *ret)
{
    const struct value *v = m->block == NULL ? NULL : map_get(m->block->map, key);
    if (value_is_null(v))
        return;
    if (!duration_read(&m->c->r, v, arena_printf(m->c->r.arena, "%s: %s", m->block->what, key), ret))
        m->ok = false;
}

/* The step's own timeout, else the block's by the verb's word for it, else `VERB_timeout` of the block, else the verb's. */
static int64_t timeout_of(struct making *m, int64_t given_ms)
{
    const struct verb *verb = m->verb;
    int64_t ms = verb->default_timeout_ms > 0 ? verb->default_timeout_ms : TIMEOUT_DEFAULT_MS;
    if (verb->deadline != NULL && *verb->deadline != '\0')
        block_duration(m, verb->deadline, &ms);
    if (verb->deadline == NULL || *verb->deadline != '\0')
        block_duration(m, arena_printf(m->c->r.arena, "%s_timeout", strchr(verb->name, '.') + 1), &ms);
    return given_ms > 0 ? given_ms : ms;
}

static const char *block_choice(struct making *m, const char *key, const char *choices, const char *deflt)
{
    const struct value *v = m->block == NULL ? NULL : map_get(m->block->map, key);
    if (value_is_null(v))
        return deflt;
    if (v->kind == VALUE_SCALAR && choice_has(choices, v->text))
        return v->text;
    m->ok = false;
    problem_at(m->c->r.problems, v->at, "%s: %s: '%s' is not %s", m->block->what, key,
               v->kind == VALUE_SCALAR ? v->text : value_kind_text(v), choices_text(m->c->r.arena, choices));
    return deflt;
}

/* A driver that ends nobody's sessions would go on as with `restore`, and nobody would know why. */
static void kill_prove(struct making *m, const struct step_words *w, const char *on_timeout)
{
    const struct value *v = m->block == NULL ? NULL : map_get(m->block->map, "on_timeout");
    if (m->verb->does != DOES_IDLE || m->verb->kill != NULL || strcmp(on_timeout, "kill") != 0)
        return;
    m->ok = false;
    problem_at(m->c->r.problems, w->on_timeout != NULL || v == NULL ? m->where.at : v->at,
               "%s: on_timeout: kill: %s has no way to end sessions; say restore or proceed",
               m->block != NULL ? m->block->what : m->verb->name, m->driver);
}

static void waiting_set(struct making *m, const struct step_words *w, struct plan_step *step)
{
    const char *on_timeout = block_choice(m, "on_timeout", "restore|proceed|kill", "restore");
    const char *sticky = block_choice(m, "sticky", "wait|maint", "maint");
    int64_t stable = w->stable, interval = w->interval_ms;
    const struct value *v = m->block == NULL ? NULL : map_get(m->block->map, "stable");
    if (stable == 0 && !value_is_null(v) && m->verb->does == DOES_HEALTH)
        m->ok = int_read(&m->c->r, v, arena_printf(m->c->r.arena, "%s: stable", m->block->what), 1, 255,
                         &stable) &&
                m->ok;
    if (interval == 0)
        block_duration(m, "interval", &interval);
    if (interval > 0)
        step->interval_ms = interval;
    step->stable = stable > 0 ? (int)stable : 1;
    on_timeout = w->on_timeout != NULL ? w->on_timeout : on_timeout;
    kill_prove(m, w, on_timeout);
    step->on_timeout = (enum on_timeout)on_timeout_from_name(on_timeout);
    if (m->verb->escalate != NULL && strcmp(sticky, "maint") == 0)
        step->escalate_ms = step->timeout_ms / 2;
}

static const char *label_of(struct making *m, const struct step_words *w)
{
    static const char *const telling[] = {"cmd", "name", "url"};
    struct arena *a = m->c->r.arena;
    if (w->label != NULL)
        return w->label;
    for (size_t i = 0; i < 3; i++) {
        const struct value *v = m->args == NULL ? NULL : map_get(m->args, telling[i]);
        const struct param *p = param_find(m->verb, telling[i]);
        if (v == NULL || v->kind != VALUE_SCALAR || p == NULL || p->type == PARAM_SECRET)
            continue;
        size_t n = strcspn(v->text, "\n");
        bool cut = n > LABEL_MAX || v->text[n] != '\0';
        n = n > LABEL_MAX ? LABEL_MAX : n;
        while (n > 0 && ((unsigned char)v->text[n] & 0xc0) == 0x80)
            n--; /* not inside a character */
        return arena_printf(a, "%s %.*s%s", m->verb->name, (int)n, v->text, cut ? "..." : "");
    }
    return m->verb->name;
}

/* On which way it runs, and what its failure means. On the way back a hook's failure is a warning: what
 * failed forward fails there again, and is no reason to leave a node out that is as it was. */
static void ways_set(struct making *m, const struct step_words *w, struct plan_step *step)
{
    if (step->once != ONCE_NO && (w->way != NULL || w->if_fails != NULL)) {
        const char *word = w->way != NULL ? "way" : "if_fails";
        m->ok = false;
        problem_at(m->c->r.problems, map_entry(m->args, word)->at,
                   "%s: %s: a step that runs once runs on the way forward, and the release fails with it; "
                   "`undo:` names its way back",
                   m->verb->name, word);
    }
    step->forward_only |= w->way != NULL && strcmp(w->way, "forward") == 0;
    step->out_only = w->way != NULL && strcmp(w->way, "out") == 0;
    step->back_only = step->out_only || (w->way != NULL && strcmp(w->way, "back") == 0);
    step->warns = w->if_fails != NULL && strcmp(w->if_fails, "warn") == 0;
    step->warns_back = step->warns || (m->item->hook && w->if_fails == NULL);
}

void step_words_set(struct making *m, struct plan_step *step)
{
    struct value *words = value_map(m->c->r.arena, m->item->at);
    for (size_t i = 0; m->args != NULL && i < m->args->n; i++)
        if (step_word_is(m->args->entries[i].key))
            (void)map_add(m->c->r.arena, words, m->args->entries[i].key, m->args->entries[i].at,
                          m->args->entries[i].value);
    struct step_words w = {.timeout_ms = 0};
    m->ok = schema_read(&m->c->r, words, m->verb->name, step_word_fields, &w) && m->ok;
    step->timeout_ms = timeout_of(m, w.timeout_ms);
    step->interval_ms = w.interval_ms > 0          ? w.interval_ms
                        : m->verb->interval_ms > 0 ? m->verb->interval_ms
                                                   : INTERVAL_DEFAULT_MS;
    step->retries = (int)w.retries;
    step->stable = 1;
    step->once = m->item->once != ONCE_NO ? m->item->once
                 : w.once == NULL         ? ONCE_NO
                                          : (enum once)once_from_name(w.once);
    if (m->verb->waits)
        waiting_set(m, &w, step);
    const struct template_place where = {.at = m->item->at, .no_node = m->where.no_node};
    step->undo_cmd = w.undo == NULL ? NULL : template_text(m->c, w.undo, &where);
    if (w.undo != NULL && (step->once == ONCE_NO || m->verb->undo_arg == NULL)) {
        m->ok = false;
        problem_at(m->c->r.problems, map_entry(m->args, "undo")->at,
                   "%s: undo: only a cmd.* step that runs once names its own way back; others are undone by "
                   "the plan",
                   m->verb->name);
    }
    step->forward_only = m->verb->forward_only || (step->once != ONCE_NO && step->undo_cmd == NULL);
    ways_set(m, &w, step);
    step->label = label_of(m, &w);
}
