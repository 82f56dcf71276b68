/* SPDX-License-Identifier: MIT */
/* One step against its verb's table of parameters: every argument typed, defaults taken from the pillar's
 * blocks. The engine's own words: words.c. */
#include "plans/making.h"

#include <string.h>

#include "plans/subst.h"

#define NAMES_MAX 128

/* What a parameter means when neither step nor block says it. Drivers take dir, rev, user and host from the
 * node's variables themselves; written down are only those that are no variable of that name, or that a verb
 * demands. */
static const struct {
    const char *param, *value;
    bool if_required;
} standing[] = {
    {.param = "repo", .value = "{repo}"},
    {.param = "server", .value = "{lb_server}"},
    {.param = "port", .value = "{port}"},
    {.param = "dir", .value = "{dir}", .if_required = true},
    {.param = "release_dir", .value = "{release_dir}", .if_required = true},
    {.param = "rev", .value = "{rev}", .if_required = true},
    {.param = "user", .value = "{user}", .if_required = true},
    {.param = "app", .value = "{app}", .if_required = true},
};

const struct verb *table_verb(const struct driver *const *table, const char *name)
{
    for (; *table != NULL; table++)
        for (const struct verb *v = (*table)->verbs; v->name != NULL; v++)
            if (strcmp(v->name, name) == 0)
                return v;
    return NULL;
}

const char *driver_of(struct arena *a, const char *verb)
{
    return arena_strndup(a, verb, strcspn(verb, "."));
}

const struct param *param_find(const struct verb *verb, const char *name)
{
    for (const struct param *p = verb->params; p != NULL && p->name != NULL; p++)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

/* ---- one argument
 * ------------------------------------------------------------------------------------------------- */

/* A value of a block is read by several verbs: it is one mistake, and the block's. */
static const char *bad(struct making *m, const struct value *v, const char *name, const char *wanted)
{
    const char *whose = m->from != NULL ? m->from->what : m->verb->name;
    m->ok = false;
    if (v->kind == VALUE_SCALAR)
        problem_at(m->c->r.problems, v->at, "%s: %s: '%s' is not %s", whose, name, v->text, wanted);
    else
        problem_at(m->c->r.problems, v->at, "%s: %s: wanted %s, found %s", whose, name, wanted,
                   value_kind_text(v));
    return NULL;
}

static const char *templated(struct making *m, const struct value *v)
{
    struct template_place where = m->where;
    where.at = v->at;
    size_t before = m->c->r.problems->n + m->c->r.problems->dropped;
    const char *text = template_text(m->c, v->text, &where);
    m->ok = m->ok && m->c->r.problems->n + m->c->r.problems->dropped == before;
    return text;
}

static bool sound(const struct param *p, const char *text)
{
    int64_t n;
    bool yes;
    switch (p->type) {
    case PARAM_INT:
        return text[0] != '\0' && strspn(text, "0123456789") == strlen(text) && strlen(text) <= 18;
    case PARAM_BOOL: return scalar_bool(text, &yes);
    case PARAM_DURATION: return duration_parse(text, &n);
    case PARAM_SIZE: return size_parse(text, &n);
    case PARAM_CHOICE: return choice_has(p->choices, text);
    case PARAM_SECRET: return secret_is_reference(text) || str_starts(text, "pillar:");
    case PARAM_STR:
    case PARAM_LIST:
    case PARAM_MAP: return true;
    }
    return true;
}

static const char *wanted_of(struct arena *a, const struct param *p)
{
    switch (p->type) {
    case PARAM_STR: return "text";
    case PARAM_INT: return "a number";
    case PARAM_BOOL: return "yes or no";
    case PARAM_DURATION: return "a duration (30s, 5m)";
    case PARAM_SIZE: return "a size (64K, 10M)";
    case PARAM_LIST: return "a list";
    case PARAM_MAP: return "a map";
    case PARAM_CHOICE: return choices_text(a, p->choices);
    case PARAM_SECRET:
        return "a reference to a secret (file:PATH, env:NAME or cmd:COMMAND; secrets do not belong into the "
               "pillar)";
    }
    return "?";
}

/* env:NAME and no more: whoever writes that wants what is in it. (file: and cmd: begin addresses and commands, too.) */
static bool reads_as_secret(const char *text)
{
    static const char name[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    return str_starts(text, "env:") && text[4] != '\0' && text[4 + strspn(text + 4, name)] == '\0';
}

static const char *no_secret_text(const struct making *m)
{
    return param_find(m->verb, "env") == NULL
               ? "read here as a secret, but taken as it is written"
               : "read here as a secret, but taken as it is written; this verb takes one by its environment: "
                 "`env: {NAME: \"env:NAME\"}`";
}

/* `drain_timeout` may be the engine's word and a parameter at once: judged in the same words it is one mistake (words.c). */
static bool duration_of_block(struct making *m, const char *name, const struct value *v)
{
    int64_t ms;
    if (v->kind == VALUE_SCALAR && subst_has_names(v->text))
        return true;
    bool ok = duration_read(&m->c->r, v, arena_printf(m->c->r.arena, "%s: %s", m->from->what, name), &ms);
    m->ok = m->ok && ok;
    return ok;
}

static const char *scalar_arg(struct making *m, const struct param *p, const struct value *v)
{
    bool yes;
    if (m->from != NULL && p->type == PARAM_DURATION && !duration_of_block(m, p->name, v))
        return NULL;
    if (v->kind != VALUE_SCALAR)
        return bad(m, v, p->name, wanted_of(m->c->r.arena, p));
    const char *text = templated(m, v);
    if (p->type == PARAM_STR && reads_as_secret(text))
        return bad(m, v, p->name, no_secret_text(m));
    if (!subst_has_names(text) && !sound(p, text))
        return bad(m, v, p->name, wanted_of(m->c->r.arena, p));
    if (p->type == PARAM_BOOL && scalar_bool(text, &yes))
        return yes ? "yes" : "no";
    return text;
}

/* Lists and maps are kept as JSON text whose strings are templates. */
static const char *list_arg(struct making *m, const struct param *p, const struct value *v)
{
    auto_buf struct buf out = BUF_INIT((size_t)YAML_BYTES_MAX * 4);
    const struct value *one[1] = {v};
    const struct value *const *items = v->kind == VALUE_LIST ? v->items : one;
    size_t n = v->kind == VALUE_LIST ? v->n : 1;
    if (v->kind == VALUE_MAP)
        return bad(m, v, p->name, "a list");
    buf_puts(&out, "[");
    for (size_t i = 0; i < n; i++) {
        if (items[i]->kind != VALUE_SCALAR)
            return bad(m, items[i], p->name, "a list of plain values");
        const char *text = templated(m, items[i]);
        if (reads_as_secret(text))
            return bad(m, items[i], p->name, no_secret_text(m));
        buf_puts(&out, i == 0 ? "" : ",");
        json_string_add(&out, text);
    }
    buf_puts(&out, "]");
    return arena_strdup(m->c->r.arena, buf_str(&out));
}

static const char *map_arg(struct making *m, const struct param *p, const struct value *v)
{
    auto_buf struct buf out = BUF_INIT((size_t)YAML_BYTES_MAX * 4);
    if (v->kind != VALUE_MAP)
        return bad(m, v, p->name, "a map");
    buf_puts(&out, "{");
    for (size_t i = 0; i < v->n; i++) {
        if (v->entries[i].value->kind != VALUE_SCALAR)
            return bad(m, v->entries[i].value, p->name, "a map of plain values");
        buf_puts(&out, i == 0 ? "" : ",");
        json_string_add(&out, v->entries[i].key);
        buf_puts(&out, ":");
        json_string_add(&out, templated(m, v->entries[i].value));
    }
    buf_puts(&out, "}");
    return arena_strdup(m->c->r.arena, buf_str(&out));
}

static const char *arg_text(struct making *m, const struct param *p, const struct value *v)
{
    if (p->type == PARAM_LIST)
        return list_arg(m, p, v);
    return p->type == PARAM_MAP ? map_arg(m, p, v) : scalar_arg(m, p, v);
}

static void arg_add(struct making *m, const char *name, const char *value)
{
    if (value != NULL)
        m->pairs[m->n++] = (struct op_pair){.name = name, .value = value};
}

/* ---- all arguments
 * ------------------------------------------------------------------------------------------------ */

static void unknown_arg(struct making *m, const struct entry *e)
{
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (const struct param *p = m->verb->params; p != NULL && p->name != NULL && n < NAMES_MAX; p++)
        names[n++] = p->name;
    for (const struct field *f = step_word_fields; f->name != NULL && n < NAMES_MAX; f++)
        names[n++] = f->name;
    m->ok = false;
    problem_at(m->c->r.problems, e->at, "%s: unknown parameter '%s'%s", m->verb->name, e->key,
               nearest_hint(m->c->r.arena, e->key, names, n));
}

static void given_args(struct making *m)
{
    for (size_t i = 0; m->args != NULL && i < m->args->n; i++) {
        const struct entry *e = &m->args->entries[i];
        const struct param *p = param_find(m->verb, e->key);
        if (p == NULL && !step_word_is(e->key))
            unknown_arg(m, e);
        else if (p != NULL && !value_is_null(e->value))
            arg_add(m, p->name, arg_text(m, p, e->value));
    }
}

/* A standing value is taken only when all its names are known here: a default must never be a mistake. */
static const char *if_known(struct making *m, const char *value)
{
    const char *name = arena_strndup(m->c->r.arena, value + 1, strlen(value) - 2);
    if (is_plan_name(m->c, name))
        return value;
    if (m->where.no_node)
        return NULL;
    if (strcmp(name, "port") == 0 && !m->c->all_have_port)
        return NULL;
    return template_text(m->c, value, &m->where);
}

static const char *servers_text(struct making *m)
{
    auto_buf struct buf out = BUF_INIT((size_t)4 * 1024 * 1024);
    buf_puts(&out, "[");
    for (size_t i = 0; i < m->c->n_all_nodes; i++) {
        buf_puts(&out, i == 0 ? "" : ",");
        json_string_add(&out, m->c->servers[i]);
    }
    buf_puts(&out, "]");
    return arena_strdup(m->c->r.arena, buf_str(&out));
}

static const char *standing_value(struct making *m, const struct param *p)
{
    struct compiler *c = m->c;
    if (strcmp(p->name, "shared") == 0 && c->b.shared != NULL)
        return arg_text(m, p, c->b.shared);
    if (strcmp(p->name, "content") == 0 && p->type == PARAM_MAP && c->b.content != NULL)
        return arg_text(m, p, c->b.content);
    if (strcmp(p->name, "keep") == 0 && p->type == PARAM_INT)
        return arena_printf(c->r.arena, "%lld", (long long)c->b.keep);
    if (strcmp(p->name, "workers") == 0 && m->verb->does == DOES_RELOAD && c->revision)
        return "new"; /* what it reloads is another revision */
    if (strcmp(p->name, "servers") == 0 && p->type == PARAM_LIST)
        return servers_text(m);
    for (size_t i = 0; i < sizeof(standing) / sizeof(standing[0]); i++)
        if (strcmp(standing[i].param, p->name) == 0 && (p->required || !standing[i].if_required))
            return if_known(m, standing[i].value);
    return NULL;
}

/* The application's block also serves the verb that asks whether it runs the right revision. */
static const struct driver_block *app_block(struct making *m, const char *name)
{
    if (m->verb->does != DOES_VERIFY)
        return NULL;
    for (size_t i = 0; i < m->c->b.n_apps; i++)
        if (block_may_hold(m->c, &m->c->b.apps[i], name) &&
            !value_is_null(map_get(m->c->b.apps[i].map, name)))
            return &m->c->b.apps[i];
    return NULL;
}

/* Who left it out: the block, when the step relies on it. */
static void missing(struct making *m, const struct param *p)
{
    bool block = m->block != NULL && m->args == NULL;
    m->ok = false;
    problem_at(m->c->r.problems, block ? m->block->map->at : m->item->at, "%s: '%s' is missing (%s)",
               block ? m->block->what : m->verb->name, p->name,
               p->help == NULL ? wanted_of(m->c->r.arena, p) : p->help);
}

static void default_arg(struct making *m, const struct param *p)
{
    const struct value *own = m->block == NULL ? NULL : map_get(m->block->map, p->name);
    m->from = value_is_null(own) ? app_block(m, p->name) : m->block;
    const struct value *v = m->from == NULL ? NULL : map_get(m->from->map, p->name);
    const char *text = value_is_null(v) ? standing_value(m, p) : arg_text(m, p, v);
    m->from = NULL;
    if (text == NULL && p->type == PARAM_LIST && instances_say_all(m->c, m->verb, p->name))
        text = "[]"; /* each node's own stands in its place */
    if (text != NULL)
        arg_add(m, p->name, text);
    else if (p->required && value_is_null(v))
        missing(m, p);
}

static void missing_args(struct making *m)
{
    for (const struct param *p = m->verb->params; p != NULL && p->name != NULL; p++)
        if (value_is_null(map_get(m->args, p->name)))
            default_arg(m, p);
}

/* ---- a step
 * ---------------------------------------------------------------------------------------------------- */

static bool no_node(const struct item *item, const struct verb *verb)
{
    return verb->scope == SCOPE_FLEET || PHASE_IS_HOOK(item->phase);
}

/* A plain value behind a verb is its first parameter: `cmd.run: bin/migrate`. */
static const struct value *args_map(struct making *m)
{
    const struct value *v = m->item->args;
    if (value_is_null(v) || v->kind == VALUE_MAP)
        return value_is_null(v) ? NULL : v;
    if (m->verb->params == NULL || m->verb->params[0].name == NULL) {
        m->ok = false;
        problem_at(m->c->r.problems, v->at, "%s: takes no arguments", m->verb->name);
        return NULL;
    }
    struct value *map = value_map(m->c->r.arena, v->at);
    (void)map_add(m->c->r.arena, map, m->verb->params[0].name, v->at, v);
    return map;
}

static void unknown_verb(struct compiler *c, const struct item *item)
{
    const char *names[512];
    size_t n = 0;
    for (size_t i = 0; c->table[i] != NULL; i++)
        for (const struct verb *v = c->table[i]->verbs; v->name != NULL && n < 512; v++)
            names[n++] = v->name;
    problem_at(c->r.problems, item->at, "unknown verb '%s'%s", item->verb,
               nearest_hint(c->r.arena, item->verb, names, n));
}

bool step_make(struct compiler *c, const struct item *item, struct plan_step *ret)
{
    const struct verb *verb = table_verb(c->table, item->verb);
    if (verb == NULL) {
        unknown_verb(c, item);
        return false;
    }
    struct making m = {
        .c = c, .item = item, .verb = verb, .driver = driver_of(c->r.arena, verb->name), .ok = true};
    m.where = (struct template_place){.at = item->at, .no_node = no_node(item, verb)};
    m.block = item->block != NULL ? item->block : block_of_driver(c, m.driver);
    m.args = args_map(&m);
    m.pairs = arena_array(c->r.arena, NAMES_MAX, sizeof(*m.pairs));
    given_args(&m);
    missing_args(&m);
    *ret = (struct plan_step){.verb = verb->name,
                              .counts = verb->counts,
                              .phase = item->phase,
                              .args = m.pairs,
                              .one_of = item->one_of,
                              .where = place_text(c->r.arena, item->at)};
    if (m.block != NULL && m.args == NULL)
        ret->by_block =
            arena_printf(c->r.arena, "%s: %s", place_text(c->r.arena, m.block->map->at), m.block->what);
    step_words_set(&m, ret);
    ret->n_args = m.n;
    return m.ok;
}

static enum phase phase_of(const struct plan_step *step)
{
    if (step->once == ONCE_BEFORE)
        return PHASE_BEFORE;
    return step->once == ONCE_AFTER ? PHASE_AFTER : step->phase;
}

void step_add(struct compiler *c, const struct item *item)
{
    struct plan *plan = c->plan;
    struct plan_step step;
    if (!step_make(c, item, &step))
        return;
    if (plan->n_steps == PLAN_STEPS_MAX) {
        problem_at(c->r.problems, item->at, "more than %d steps in one plan", PLAN_STEPS_MAX);
        return;
    }
    step.phase = phase_of(&step);
    if (plan->steps == NULL)
        plan->steps = arena_array(c->r.arena, PLAN_STEPS_MAX, sizeof(*plan->steps));
    /* Steps stand in phase order; inside a phase as written. */
    size_t i = plan->n_steps++;
    for (; i > 0 && plan->steps[i - 1].phase > step.phase; i--)
        plan->steps[i] = plan->steps[i - 1];
    plan->steps[i] = step;
}
