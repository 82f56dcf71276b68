/* SPDX-License-Identifier: MIT */
/* A plan file's phases -> steps. Words that are no verbs expand here from the pillar: build, once, hooks,
 * balancer.*, app.*, http.check. */
#include "plans/compile_priv.h"

#include <string.h>
#include <sys/stat.h>

#include "plans/stock.h"

static const char *const plan_phases[] = {"prepare", "before", "drain",  "change", "check",
                                          "enable",  "after",  "verify", "finish"};
#define N_PHASES (sizeof(plan_phases) / sizeof(plan_phases[0]))

struct steps_walk {
    struct compiler *c;
    const struct value *file;
    bool has_build, has_once, in_hooks;
    bool hooked[PHASE_COUNT]; /* the word `hooks` stood in this phase */
};

static const char *plan_path(struct compiler *c, const char *name)
{
    const char *root = c->req->root;
    return strcmp(root, ".") == 0 ? arena_printf(c->r.arena, "plans/%s.yml", name)
                                  : arena_printf(c->r.arena, "%s/plans/%s.yml", root, name);
}

static const struct value *unknown_plan(struct compiler *c, const char *name, const char *path)
{
    const char *names[64];
    size_t n = 0;
    auto_buf struct buf list = BUF_INIT(1000);
    for (const struct stock_plan *s = stock_plans; s->name != NULL && n < 64; s++) {
        buf_printf(&list, "%s%s", n == 0 ? "" : ", ", s->name);
        names[n++] = s->name;
    }
    struct place at = {.file = NULL};
    if (c->req->plan_name == NULL && map_entry(c->b.map, "plan") != NULL)
        at = map_get(c->b.map, "plan")->at;
    problem_at(c->r.problems, at, "unknown plan '%s'%s: there is no %s, and built in are %s", name,
               nearest_hint(c->r.arena, name, names, n), path, buf_str(&list));
    return NULL;
}

const struct value *plan_file_load(struct compiler *c, const char *name)
{
    const char *path = plan_path(c, name);
    struct stat st;
    if (!name_valid(name, 64))
        return unknown_plan(c, name, path);
    if (stat(path, &st) == 0)
        return yaml_load_file(c->r.arena, path, c->r.problems);
    for (const struct stock_plan *s = stock_plans; s->name != NULL; s++) {
        const struct value *v;
        if (strcmp(s->name, name) != 0)
            continue;
        const char *file = arena_printf(c->r.arena, "(built-in) %s.yml", name);
        return yaml_read(c->r.arena, file, s->text, strlen(s->text), &v, c->r.problems) ? v : NULL;
    }
    return unknown_plan(c, name, path);
}

/* Any verb of the file. */
static bool mentions(const struct value *v, enum does does)
{
    if (v->kind == VALUE_SCALAR)
        return verb_does(v->text) == does;
    for (size_t i = 0; i < v->n; i++) {
        if (v->kind == VALUE_MAP && verb_does(v->entries[i].key) == does)
            return true;
        if (mentions(v->kind == VALUE_MAP ? v->entries[i].value : v->items[i], does))
            return true;
    }
    return false;
}

static bool stops(const char *word)
{
    enum does does = verb_does(word);
    return does == DOES_STOP || does == DOES_RESTART || strcmp(word, "app.stop") == 0 ||
           strcmp(word, "app.restart") == 0;
}

const struct place *plan_file_stops(const struct value *v)
{
    if (v->kind == VALUE_SCALAR)
        return stops(v->text) ? &v->at : NULL;
    for (size_t i = 0; i < v->n; i++) {
        const struct value *way = v->kind == VALUE_MAP ? map_get(v->entries[i].value, "way") : NULL;
        bool out = way != NULL && way->kind == VALUE_SCALAR && strcmp(way->text, "out") == 0;
        if (v->kind == VALUE_MAP && !out && stops(v->entries[i].key))
            return &v->entries[i].at;
        const struct place *at = plan_file_stops(v->kind == VALUE_MAP ? v->entries[i].value : v->items[i]);
        if (at != NULL)
            return at;
    }
    return NULL;
}

const char *plan_file_layout(const struct value *file)
{
    const struct value *v = map_get(file, "layout");
    if (v != NULL && v->kind == VALUE_SCALAR)
        return v->text;
    return mentions(file, DOES_CHECKOUT) && !mentions(file, DOES_SWITCH) ? LAYOUT_IN_PLACE : LAYOUT_RELEASES;
}

/* ---- one line
 * ------------------------------------------------------------------------------------------------------- */

static bool read_line(struct compiler *c, const struct value *v, struct item *ret)
{
    ret->at = v->at;
    if (v->kind == VALUE_SCALAR) {
        ret->verb = v->text;
        return true;
    }
    if (v->kind != VALUE_MAP || v->n == 0) {
        problem_at(c->r.problems, v->at, "a step is a verb or {verb: {arguments}}, found %s",
                   value_kind_text(v));
        return false;
    }
    if (v->n > 1) {
        problem_at(c->r.problems, v->entries[1].at,
                   "'%s' stands beside '%s': a step is one verb, and its arguments are indented under it",
                   v->entries[1].key, v->entries[0].key);
        return false;
    }
    ret->verb = v->entries[0].key;
    ret->at = v->entries[0].at;
    ret->args = v->entries[0].value;
    return true;
}

static enum once once_of(const struct value *line)
{
    const struct value *args = line->kind == VALUE_MAP && line->n == 1 ? line->entries[0].value : NULL;
    const struct value *once = map_get(args, "once");
    int i = once != NULL && once->kind == VALUE_SCALAR ? once_from_name(once->text) : ONCE_NO;
    return i < 0 ? ONCE_NO : (enum once)i;
}

static void line_add(struct steps_walk *w, const struct value *line, enum phase phase);

static void lines_add(struct steps_walk *w, const struct value *list, enum phase phase)
{
    if (value_is_null(list))
        return;
    if (list->kind != VALUE_LIST) {
        line_add(w, list, phase);
        return;
    }
    for (size_t i = 0; i < list->n; i++)
        line_add(w, list->items[i], phase);
}

/* Those entries of build: that run this often. */
static void build_add(struct steps_walk *w, enum once once, enum phase phase)
{
    const struct value *build = w->c->b.build;
    for (size_t i = 0; build != NULL && build->kind == VALUE_LIST && i < build->n; i++)
        if (once_of(build->items[i]) == once)
            line_add(w, build->items[i], phase);
}

/* A line that stands for a step of each block: this block's. */
static struct item item_of(struct compiler *c, const struct item *line, const struct driver_block *block)
{
    struct item one = *line;
    one.block = block;
    one.one_of = place_text(c->r.arena, block->map->at);
    return one;
}

/* Some lines are for those blocks alone that say what they are about. Which they are, the kind that has the verb knows: a
 * kind without it has such a block as well, and is left out, too. */
static bool left_out(struct compiler *c, const struct item *item, const char *word)
{
    for (const struct driver *const *d = c->table; *d != NULL; d++) {
        const struct verb *verb = table_verb(c->table, arena_printf(c->r.arena, "%s.%s", (*d)->name, word));
        if (verb != NULL && verb->only_with != NULL && map_get(item->block->map, verb->only_with) == NULL)
            return strcmp((*d)->name, item->block->driver) == 0 || table_verb(c->table, item->verb) == NULL;
    }
    return false;
}

/* Verbs by which a node leaves rotation and comes back. */
static bool is_rotation(const struct verb *verb)
{
    return verb != NULL && (verb->does == DOES_DRAIN || verb->does == DOES_IDLE ||
                            verb->does == DOES_ENABLE || verb->does == DOES_WAIT_UP);
}

static void balancer_line(struct steps_walk *w, struct item *item, const char *verb)
{
    struct compiler *c = w->c;
    for (size_t i = 0; i < c->b.n_balancers; i++) {
        struct item one = item_of(c, item, &c->b.balancers[i]);
        one.verb = arena_printf(c->r.arena, "%s.%s", one.block->driver, verb);
        if (!left_out(c, &one, verb) && !(c->under_load && is_rotation(table_verb(c->table, one.verb))))
            step_add(c, &one);
    }
}

/* `reread: no`, or a driver that reads nothing anew: the word is for those that do. */
static bool never_rereads(struct compiler *c, const struct item *item, const char *verb)
{
    const char *word = does_name(DOES_REREAD);
    const struct value *says = map_get(item->block->map, word);
    if (strcmp(verb, word) != 0)
        return false;
    return table_verb(c->table, item->verb) == NULL ||
           (!value_is_null(says) && says->kind == VALUE_SCALAR && strcmp(says->text, "no") == 0);
}

static void app_line(struct steps_walk *w, struct item *item, const char *verb)
{
    struct compiler *c = w->c;
    if (c->b.n_apps == 0 && !c->told_app)
        problem_at(c->r.problems, c->b.map->at,
                   "release: neither supervisor: nor service:, so app.%s (%s) has no application to act on",
                   verb, place_text(c->r.arena, item->at));
    c->told_app = true;
    for (size_t i = 0; i < c->b.n_apps; i++) {
        struct item one = item_of(c, item, &c->b.apps[i]);
        one.verb = arena_printf(c->r.arena, "%s.%s", one.block->driver, verb);
        if (!left_out(c, &one, verb) && !never_rereads(c, &one, verb))
            step_add(c, &one);
    }
}

static void check_line(struct steps_walk *w, struct item *item)
{
    struct compiler *c = w->c;
    if (map_get(item->args, "url") != NULL) {
        if (c->b.n_checks > 0) /* what it does not say itself, the pillar's first check says */
            item->block = &c->b.checks[0];
        step_add(c, item);
        return;
    }
    for (size_t i = 0; i < c->b.n_checks; i++) {
        struct item one = item_of(c, item, &c->b.checks[i]);
        step_add(c, &one);
    }
}

static void hooks_of_phase(struct steps_walk *w, enum phase phase)
{
    w->hooked[phase] = true;
    w->in_hooks = true;
    lines_add(w, map_get(w->c->b.hooks, phase_name(phase)), phase);
    w->in_hooks = false;
}

static void line_add(struct steps_walk *w, const struct value *line, enum phase phase)
{
    struct item item = {.phase = phase, .hook = w->in_hooks};
    if (!read_line(w->c, line, &item))
        return;
    if (phase == PHASE_BEFORE)
        item.once = ONCE_BEFORE;
    if (phase == PHASE_AFTER)
        item.once = ONCE_AFTER;
    if (strcmp(item.verb, "build") == 0) {
        w->has_build = true;
        build_add(w, ONCE_NO, phase);
    } else if (strcmp(item.verb, "once") == 0) {
        w->has_once = true;
        build_add(w, ONCE_FIRST, phase);
    } else if (strcmp(item.verb, "hooks") == 0) {
        hooks_of_phase(w, phase);
    } else if (str_starts(item.verb, "balancer.")) {
        balancer_line(w, &item, item.verb + strlen("balancer."));
    } else if (str_starts(item.verb, "app.")) {
        app_line(w, &item, item.verb + strlen("app."));
    } else if (verb_does(item.verb) == DOES_HEALTH) {
        check_line(w, &item);
    } else {
        const struct verb *verb = table_verb(w->c->table, item.verb);
        if (PHASE_IS_HOOK(phase) && verb != NULL && verb->on_controller != NULL)
            item.verb = verb->on_controller; /* hooks run there */
        step_add(w->c, &item);
    }
}

/* ---- the file
 * ---------------------------------------------------------------------------------------------------------
 */

static void check_keys(struct steps_walk *w)
{
    const char *known[N_PHASES + 3];
    size_t n = 0;
    for (; n < N_PHASES; n++)
        known[n] = plan_phases[n];
    known[n++] = "revision";
    known[n++] = "layout";
    known[n++] = "description";
    for (size_t i = 0; i < w->file->n; i++) {
        const struct entry *e = &w->file->entries[i];
        bool ok = false;
        for (size_t k = 0; k < n && !ok; k++)
            ok = strcmp(known[k], e->key) == 0;
        if (!ok)
            problem_at(w->c->r.problems, e->at, "plan %s: unknown phase '%s'%s", w->c->plan->name, e->key,
                       nearest_hint(w->c->r.arena, e->key, known, n));
    }
}

/* A release that does not ask every node what it runs has not ended well. */
static void default_verify(struct steps_walk *w)
{
    struct compiler *c = w->c;
    if (map_entry(w->file, "verify") != NULL || !c->revision || c->req->task)
        return;
    const struct verb *verb = verb_verifies(c->layout);
    if (verb == NULL)
        return; /* the layout was found wrong already */
    const struct item item = {.verb = verb->name, .phase = PHASE_VERIFY, .at = w->file->at};
    step_add(c, &item);
}

/* A directory that is never marked complete is never a target: plans that unpack and do not say where it is
 * complete, say it at the end of prepare. */
static void default_seal(struct steps_walk *w)
{
    const struct item item = {.verb = "release.seal", .phase = PHASE_PREPARE, .at = w->file->at};
    if (mentions(w->file, DOES_UNPACK) && !mentions(w->file, DOES_SEAL) &&
        table_verb(w->c->table, item.verb) != NULL)
        step_add(w->c, &item);
}

static void once_without_place(struct steps_walk *w)
{
    const struct value *build = w->c->b.build;
    for (size_t i = 0; build != NULL && build->kind == VALUE_LIST && i < build->n; i++)
        if (once_of(build->items[i]) == ONCE_FIRST)
            problem_at(
                w->c->r.problems, build->items[i]->at,
                "'once: first' has no place: plan %s has no word 'once' (wanted: change: [..., once, ...])",
                w->c->plan->name);
}

static void hooks_check(struct compiler *c)
{
    static const char *const known[] = {"before", "after", "on_failure", "prepare", "drain",
                                        "change", "check", "enable",     "finish"};
    const struct value *hooks = c->b.hooks;
    if (hooks == NULL)
        return;
    if (hooks->kind != VALUE_MAP) {
        problem_at(c->r.problems, hooks->at,
                   "release: hooks: wanted {before: ..., after: ..., on_failure: ...}, found %s",
                   value_kind_text(hooks));
        return;
    }
    for (size_t i = 0; i < hooks->n; i++) {
        bool ok = false;
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]) && !ok; k++)
            ok = strcmp(known[k], hooks->entries[i].key) == 0;
        if (!ok)
            problem_at(
                c->r.problems, hooks->entries[i].at, "release: hooks: unknown key '%s'%s",
                hooks->entries[i].key,
                nearest_hint(c->r.arena, hooks->entries[i].key, known, sizeof(known) / sizeof(known[0])));
    }
}

static void hooks_add(struct steps_walk *w)
{
    static const struct {
        const char *key;
        enum phase phase;
    } rows[] = {
        {.key = "before", .phase = PHASE_HOOK_BEFORE},
        {.key = "after", .phase = PHASE_HOOK_AFTER},
        {.key = "on_failure", .phase = PHASE_HOOK_FAILURE},
    };
    static const enum phase of_nodes[] = {PHASE_PREPARE, PHASE_DRAIN,  PHASE_CHANGE,
                                          PHASE_CHECK,   PHASE_ENABLE, PHASE_FINISH};
    for (size_t i = 0; i < 3; i++)
        lines_add(w, map_get(w->c->b.hooks, rows[i].key), rows[i].phase);
    for (size_t i = 0; i < sizeof(of_nodes) / sizeof(of_nodes[0]); i++)
        if (!w->hooked[of_nodes[i]])
            hooks_of_phase(w, of_nodes[i]);
}

static void build_check(struct compiler *c)
{
    const struct value *build = c->b.build;
    if (build != NULL && build->kind != VALUE_LIST)
        problem_at(c->r.problems, build->at, "release: build: wanted a list of steps, found %s",
                   value_kind_text(build));
}

void steps_read(struct compiler *c, const struct value *plan_file)
{
    struct steps_walk w = {.c = c, .file = plan_file};
    check_keys(&w);
    build_check(c);
    hooks_check(c);
    for (size_t i = 0; i < N_PHASES; i++)
        lines_add(&w, map_get(plan_file, plan_phases[i]), (enum phase)phase_from_name(plan_phases[i]));
    default_seal(&w);
    default_verify(&w);
    if (w.has_build) {
        build_add(&w, ONCE_BEFORE, PHASE_BEFORE);
        build_add(&w, ONCE_AFTER, PHASE_AFTER);
    }
    if (w.has_build && !w.has_once)
        once_without_place(&w);
    if (!c->req->task)
        hooks_add(&w);
    if (c->plan->n_steps == 0 && c->r.problems->n == c->n_plan_problems)
        problem_at(c->r.problems, plan_file->at, "plan %s has no steps", c->plan->name);
}
