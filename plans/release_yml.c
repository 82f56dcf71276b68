/* SPDX-License-Identifier: MIT */
/* Keys are strict here: a word that is spelled wrong in this file could send a release to other servers. */
#include "plans/release_yml.h"

#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "plans/schema.h"
#include "plans/sls.h"

#define ROOTS_MAX 64

/* A map as the schema hands it over, before its values are looked at. */
struct file_keys {
    const struct value *environments, *pillar, *grains, *nodegroups;
    const char *state;
};
struct env_keys {
    const char *pillarenv;
    const struct value *roots, *nodes, *pillar, *command;
    const char *renderer;
};
struct pillar_keys {
    const struct value *command;
    const char *renderer, *python, *config, *masterless;
    int64_t timeout_ms;
};

#define FILE_AT(member) offsetof(struct file_keys, member)
static const struct field file_fields[] = {
    {.name = "environments", .type = FIELD_VALUE, .offset = FILE_AT(environments)},
    {.name = "pillar", .type = FIELD_VALUE, .offset = FILE_AT(pillar)},
    {.name = "grains", .type = FIELD_VALUE, .offset = FILE_AT(grains)},
    {.name = "nodegroups", .type = FIELD_VALUE, .offset = FILE_AT(nodegroups)},
    {.name = "state", .type = FIELD_PATH, .offset = FILE_AT(state)},
    FIELD_END,
};

#define ENV_AT(member) offsetof(struct env_keys, member)
static const struct field env_fields[] = {
    {.name = "pillarenv", .type = FIELD_TEXT, .offset = ENV_AT(pillarenv)},
    {.name = "roots", .type = FIELD_VALUE, .offset = ENV_AT(roots)},
    {.name = "nodes", .type = FIELD_VALUE, .offset = ENV_AT(nodes)},
    {.name = "pillar", .type = FIELD_VALUE, .offset = ENV_AT(pillar)},
    {.name = "command", .type = FIELD_VALUE, .offset = ENV_AT(command)},
    {.name = "renderer", .type = FIELD_CHOICE, .offset = ENV_AT(renderer), .choices = "salt|own"},
    FIELD_END,
};

#define PILLAR_AT(member) offsetof(struct pillar_keys, member)
static const struct field pillar_fields[] = {
    {.name = "command", .type = FIELD_VALUE, .offset = PILLAR_AT(command)},
    {.name = "renderer", .type = FIELD_CHOICE, .offset = PILLAR_AT(renderer), .choices = "salt|own"},
    {.name = "python", .type = FIELD_FILE, .offset = PILLAR_AT(python)},
    {.name = "config", .type = FIELD_FILE, .offset = PILLAR_AT(config)},
    {.name = "masterless",
     .type = FIELD_CHOICE,
     .offset = PILLAR_AT(masterless),
     .choices = "yes|no|true|false"},
    {.name = "timeout", .type = FIELD_DURATION, .offset = PILLAR_AT(timeout_ms)},
    FIELD_END,
};

const char *root_path(struct arena *a, const char *root, const char *path)
{
    path = home_expanded(a, path);
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    path = arena_strndup(a, path, n);
    return path[0] == '/' || strcmp(root, ".") == 0 ? path : arena_printf(a, "%s/%s", root, path);
}

static struct place place_in(const struct value *map, const char *key)
{
    const struct entry *e = map_entry(map, key);
    return e == NULL ? (struct place){.file = NULL} : e->value->at;
}

/* One text or a list of them, NULL-terminated. false: a problem says what `what` wants. */
static bool texts_read(struct schema_reader *r, const struct value *v, const char *what, const char *wanted,
                       const char ***ret, size_t *ret_n)
{
    bool list = v->kind == VALUE_LIST;
    size_t n = list ? v->n : 1;
    const char **texts = arena_array(r->arena, n + 1, sizeof(*texts));
    for (size_t i = 0; i < n; i++) {
        const struct value *item = list ? v->items[i] : v;
        if (item->kind != VALUE_SCALAR || value_is_null(item) || item->text[0] == '\0') {
            problem_at(r->problems, item->at, "%s: wanted %s, found %s", what, wanted,
                       item->kind == VALUE_SCALAR && !value_is_null(item) ? "an empty text"
                                                                          : value_kind_text(item));
            return false;
        }
        texts[i] = item->text;
    }
    if (n == 0)
        problem_at(r->problems, v->at, "%s: wanted %s, found an empty list", what, wanted);
    *ret = texts;
    *ret_n = n;
    return n > 0;
}

bool render_command_read(struct schema_reader *r, const struct value *v, const char *what,
                         struct render_rule *ret)
{
    static const char wanted[] = "[PROGRAM, ARGUMENT, ...] (no shell reads it)";
    const char **argv;
    size_t n;
    if (v->kind != VALUE_LIST) {
        problem_at(r->problems, v->at, "%s: wanted %s, found %s", what, wanted, value_kind_text(v));
        return false;
    }
    if (!texts_read(r, v, what, wanted, &argv, &n))
        return false;
    *ret = (struct render_rule){.renderer = RENDERER_COMMAND, .argv = argv, .at = v->at};
    return true;
}

/* `renderer:` and `command:` are two answers to one question. */
static bool render_read(struct schema_reader *r, const struct value *map, const char *what,
                        const struct pillar_keys *keys, struct render_rule *ret)
{
    if (keys->command != NULL && keys->renderer != NULL) {
        problem_at(r->problems, place_in(map, "command"), "%s: give renderer or command, not both (%s)", what,
                   place_text(r->arena, place_in(map, "renderer")));
        return false;
    }
    if (keys->command != NULL)
        return render_command_read(r, keys->command, arena_printf(r->arena, "%s: command", what), ret);
    if (keys->renderer != NULL)
        *ret = (struct render_rule){.renderer =
                                        strcmp(keys->renderer, "salt") == 0 ? RENDERER_SALT : RENDERER_OWN,
                                    .at = place_in(map, "renderer")};
    return true;
}

static bool salt_keys_ok(struct schema_reader *r, const struct value *map, const char *what,
                         const struct render_rule *rule)
{
    static const char *const keys[] = {"python", "config", "masterless"};
    for (size_t i = 0; i < 3 && rule->renderer != RENDERER_SALT; i++)
        if (map_get(map, keys[i]) != NULL) {
            problem_at(r->problems, place_in(map, keys[i]), "%s: %s goes with renderer: salt", what, keys[i]);
            return false;
        }
    return true;
}

/* `pillar: {renderer: salt}` or `pillar: {command: [...]}`. */
static bool pillar_read(struct schema_reader *r, const struct value *v, const char *what,
                        struct render_rule *ret)
{
    struct pillar_keys keys = {.command = NULL};
    if (v == NULL)
        return true;
    if (!schema_read(r, v, what, pillar_fields, &keys) || !render_read(r, v, what, &keys, ret) ||
        !salt_keys_ok(r, v, what, ret))
        return false;
    bool yes = false;
    ret->python = keys.python;
    ret->config = keys.config;
    ret->masterless = keys.masterless != NULL && scalar_bool(keys.masterless, &yes) && yes;
    ret->timeout_ms = keys.timeout_ms;
    return true;
}

/* The entry may say it in short, without `pillar:`. */
static bool env_render_read(struct schema_reader *r, const struct value *map, const char *what,
                            const struct env_keys *keys, struct render_rule *ret)
{
    const struct pillar_keys own = {.command = keys->command, .renderer = keys->renderer};
    if (keys->pillar != NULL && (own.command != NULL || own.renderer != NULL)) {
        problem_at(r->problems, keys->pillar->at, "%s: give pillar or %s, not both (%s)", what,
                   own.command != NULL ? "command" : "renderer",
                   place_text(r->arena, place_in(map, own.command != NULL ? "command" : "renderer")));
        return false;
    }
    return pillar_read(r, keys->pillar, arena_printf(r->arena, "%s: pillar", what), ret) &&
           render_read(r, map, what, &own, ret);
}

static bool roots_read(struct schema_reader *r, const char *root, const struct value *v, const char *what,
                       struct env_rule *rule)
{
    struct stat st;
    if (!texts_read(r, v, what, "a directory, or a list of them", &rule->roots, &rule->n_roots))
        return false;
    rule->roots_at = v->at;
    if (rule->n_roots > ROOTS_MAX) {
        problem_at(r->problems, v->at, "%s: %zu directories, at most %d", what, rule->n_roots, ROOTS_MAX);
        return false;
    }
    for (size_t i = 0; i < rule->n_roots; i++) {
        const char *path = root_path(r->arena, root, rule->roots[i]);
        if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
            problem_at(r->problems, v->kind == VALUE_LIST ? v->items[i]->at : v->at,
                       "%s: there is no directory %s", what, path);
            return false;
        }
        rule->roots[i] = path;
    }
    return true;
}

static bool nodes_read_globs(struct schema_reader *r, const struct value *v, const char *what,
                             struct env_rule *rule)
{
    static const char wanted[] = "a glob like '*-staging', or a list of globs and node ids";
    if (!texts_read(r, v, what, wanted, &rule->nodes, &rule->n_nodes))
        return false;
    rule->nodes_at = v->at;
    for (size_t i = 0; i < rule->n_nodes; i++)
        if (strpbrk(rule->nodes[i], " ,@") != NULL) {
            problem_at(r->problems, v->kind == VALUE_LIST ? v->items[i]->at : v->at, "%s: '%s' is not %s",
                       what, rule->nodes[i], wanted);
            return false;
        }
    return true;
}

static bool env_name_ok(struct schema_reader *r, const struct entry *e)
{
    if (name_valid(e->key, 64) && strcmp(e->key, "top") != 0)
        return true;
    problem_at(r->problems, e->at,
               "environments: '%s' cannot be an environment's name (wanted: letters, digits, '.', '_', '-', "
               "not first '-' or '.'; not 'top')",
               e->key);
    return false;
}

static bool env_read(struct schema_reader *r, const char *root, const struct entry *e, struct env_rule *rule)
{
    struct env_keys keys = {.pillarenv = NULL};
    const char *what = arena_printf(r->arena, "environments: %s", e->key);
    rule->name = e->key;
    rule->at = e->at;
    if (!env_name_ok(r, e) ||
        !schema_read(r, value_is_null(e->value) ? NULL : e->value, what, env_fields, &keys))
        return false;
    rule->pillarenv = keys.pillarenv;
    if (keys.pillarenv != NULL)
        rule->pillarenv_at = place_in(e->value, "pillarenv");
    bool ok = env_render_read(r, e->value, what, &keys, &rule->render);
    if (keys.roots != NULL)
        ok = roots_read(r, root, keys.roots, arena_printf(r->arena, "%s: roots", what), rule) && ok;
    if (keys.roots != NULL && ok && rule->render.renderer != RENDERER_OWN) {
        problem_at(r->problems, keys.roots->at,
                   "%s: roots are read by this program, and the pillar is rendered by "
                   "another (%s); leave roots out, or write renderer: own",
                   what, place_text(r->arena, rule->render.at));
        ok = false;
    }
    if (keys.nodes != NULL)
        ok = nodes_read_globs(r, keys.nodes, arena_printf(r->arena, "%s: nodes", what), rule) && ok;
    return ok;
}

static bool map_wanted(struct schema_reader *r, const struct value *v, const char *what, const char *wanted)
{
    if (v == NULL || v->kind == VALUE_MAP)
        return true;
    problem_at(r->problems, v->at, "%s: wanted %s, found %s", what, wanted, value_kind_text(v));
    return false;
}

static bool envs_read(struct schema_reader *r, const char *root, const struct value *v,
                      struct release_yml *ret)
{
    if (!map_wanted(r, v, "environments", "{NAME: {pillarenv: ..., roots: [...], nodes: ...}, ...}"))
        return false;
    size_t n = v == NULL ? 0 : v->n;
    bool ok = true;
    ret->envs = arena_array(r->arena, n + 1, sizeof(*ret->envs));
    for (size_t i = 0; i < n; i++) {
        struct env_rule *rule = &ret->envs[ret->n_envs++];
        rule->render = ret->render;
        ok = env_read(r, root, &v->entries[i], rule) && ok;
    }
    return ok;
}

static bool grains_read(struct schema_reader *r, const struct value *v)
{
    bool ok = map_wanted(r, v, "grains", "{NODE: {GRAIN: VALUE, ...}, ...}");
    for (size_t i = 0; ok && v != NULL && i < v->n; i++)
        ok = map_wanted(r, v->entries[i].value, arena_printf(r->arena, "grains: %s", v->entries[i].key),
                        "{GRAIN: VALUE, ...}");
    return ok;
}

static bool nodegroups_read(struct schema_reader *r, const struct value *v)
{
    const char **texts;
    size_t n;
    bool ok = map_wanted(r, v, "nodegroups", "{NAME: 'L@app1,app2', ...}");
    for (size_t i = 0; ok && v != NULL && i < v->n; i++)
        ok = texts_read(r, v->entries[i].value, arena_printf(r->arena, "nodegroups: %s", v->entries[i].key),
                        "a compound like 'L@app1,app2 or G@roles:web', or a list of its words", &texts, &n);
    return ok;
}

static bool read_keys(struct schema_reader *r, const char *root, const struct value *file,
                      struct release_yml *ret)
{
    struct file_keys keys = {.environments = NULL};
    bool ok = schema_read(r, file, "release.yml", file_fields, &keys);
    ok = pillar_read(r, keys.pillar, "pillar", &ret->render) && ok;
    ok = envs_read(r, root, keys.environments, ret) && ok;
    ok = grains_read(r, keys.grains) && ok;
    ok = nodegroups_read(r, keys.nodegroups) && ok;
    ret->grains = keys.grains;
    ret->nodegroups = keys.nodegroups;
    ret->state = keys.state;
    if (keys.state != NULL)
        ret->state_at = place_in(file, "state");
    return ok;
}

bool release_yml_load(struct arena *a, const char *root, struct release_yml *ret, struct problems *problems)
{
    struct schema_reader r = {.arena = a, .problems = problems};
    struct stat st;
    *ret = (struct release_yml){.path = root_path(a, root, "release.yml")};
    if (lstat(ret->path, &st) != 0)
        return true;
    ret->found = true;
    const struct value *file = yaml_load_file(a, ret->path, problems);
    return file != NULL && read_keys(&r, root, file, ret);
}

const struct env_rule *release_yml_env(const struct release_yml *yml, const char *env)
{
    for (size_t i = 0; i < yml->n_envs; i++)
        if (strcmp(yml->envs[i].name, env) == 0)
            return &yml->envs[i];
    return NULL;
}
