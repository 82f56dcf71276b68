/* SPDX-License-Identifier: MIT */
/* An environment whose pillar, or whose list of nodes, another program knows: asked here, then it is as if it
 * had been read from files. */
#include "plans/environment.h"

#include <fnmatch.h>
#include <string.h>

#include "plans/inventory.h"
#include "plans/json.h"
#include "plans/schema.h"

#define ROUNDS_MAX  3
#define SOURCES_MAX 16

const struct render_rule *pillar_renderer(const struct pillar *p)
{
    if (p->command.renderer != RENDERER_OWN)
        return &p->command;
    return p->rule != NULL ? &p->rule->render : &p->yml.render;
}

/* "PROGRAM ARG ARG" or a list as in YAML. What would want a shell is refused, not passed on. */
bool pillar_command_read(struct pillar *p, const char *text, struct problems *problems)
{
    struct schema_reader r = {.arena = &p->arena, .problems = problems};
    const struct value *map;
    if (text[strspn(text, " ")] == '[') {
        const char *yaml = arena_printf(&p->arena, "command: %s", text);
        return yaml_read(&p->arena, "--pillar-command", yaml, strlen(yaml), &map, problems) &&
               render_command_read(&r, map_get(map, "command"), "--pillar-command", &p->command);
    }
    const struct place at = {.file = "--pillar-command", .line = 1, .col = 1};
    if (strpbrk(text, "\"'\\$`|&;<>(){}*?\n") != NULL) {
        problems_add(problems,
                     "--pillar-command: '%s': no shell reads this (wanted: PROGRAM ARG ..., or a list: "
                     "'[PROGRAM, \"an "
                     "ARG\"]')",
                     text);
        return false;
    }
    struct value *list = value_list(&p->arena, at);
    for (const char *s = text + strspn(text, " "); *s != '\0'; s += strspn(s, " ")) {
        size_t n = strcspn(s, " ");
        list_add(&p->arena, list, value_scalar(&p->arena, at, arena_strndup(&p->arena, s, n)));
        s += n;
    }
    return render_command_read(&r, list, "--pillar-command", &p->command);
}

#define LISTED_BY "app_servers"

bool plan_is_listed(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_rendered; i++)
        if (str_starts(plan->rendered[i].name, LISTED_BY " by "))
            return true;
    return false;
}

static void source_add(struct pillar *p, const char *what, const struct rendered *r)
{
    if (p->sources == NULL)
        p->sources = arena_array(&p->arena, SOURCES_MAX, sizeof(*p->sources));
    if (p->n_sources < SOURCES_MAX)
        p->sources[p->n_sources++] =
            (struct op_pair){.name = arena_printf(&p->arena, "%s by %s", what, r->source),
                             .value = arena_strdup(&p->arena, r->digest)};
}

/* ---- app_servers that are a question */

static const struct value *map_with(struct arena *a, const struct value *map, const char *key,
                                    const struct value *v)
{
    struct value *ret = value_map(a, map->at);
    for (size_t i = 0; i < map->n; i++) {
        const struct entry *e = &map->entries[i];
        (void)map_add(a, ret, e->key, e->at, strcmp(e->key, key) == 0 ? v : e->value);
    }
    return ret;
}

struct rendering {
    struct pillar *p;
    struct problems *problems;
    struct value *answers; /* map: the question as JSON -> its answer */
    const struct value *block,
        *after; /* the last block, and what became of it: most nodes have the same one */
};

static const struct value *answer_of(struct rendering *k, const struct value *question)
{
    struct pillar *p = k->p;
    auto_buf struct buf text = BUF_INIT(YAML_BYTES_MAX);
    value_json(&text, question);
    const struct value *known = map_get(k->answers, buf_str(&text));
    if (known != NULL)
        return known;
    const struct env_rule *rule = p->rule;
    const struct inventory_request req = {.root = p->root,
                                          .env = p->env,
                                          .pillarenv = rule == NULL ? NULL : rule->pillarenv,
                                          .render = pillar_renderer(p),
                                          .globs = rule == NULL ? NULL : (const char *const *)rule->nodes,
                                          .n_globs = rule == NULL ? 0 : rule->n_nodes,
                                          .grains = p->yml.grains,
                                          .rendered = p->rendered,
                                          .wait_max_ms = p->wait_max_ms};
    struct rendered answer;
    if (!inventory_ask(question, &req, &p->arena, &known, &answer, k->problems))
        return NULL;
    source_add(p, LISTED_BY, &answer);
    (void)map_add(&p->arena, k->answers, arena_strdup(&p->arena, buf_str(&text)), question->at, known);
    return known;
}

/* The map - the block, or a role of it - with the answer in the place of the question. NULL: problems has why. */
static const struct value *servers_answered(struct rendering *k, const struct value *map)
{
    const struct value *question = map_get(map, "app_servers");
    if (question == NULL || !inventory_wanted(question))
        return map;
    const struct value *answer = answer_of(k, question);
    return answer == NULL ? NULL : map_with(&k->p->arena, map, "app_servers", answer);
}

static const struct value *roles_answered(struct rendering *k, const struct value *block)
{
    const struct value *roles = map_get(block, "roles"), *all = roles;
    for (size_t i = 0; roles != NULL && roles->kind == VALUE_MAP && i < roles->n; i++) {
        const struct entry *e = &roles->entries[i];
        const struct value *role = servers_answered(k, e->value);
        if (role == NULL)
            return NULL;
        if (role != e->value)
            all = map_with(&k->p->arena, all, e->key, role);
    }
    return all == roles ? block : map_with(&k->p->arena, block, "roles", all);
}

/* The tree with the answers in the place of the questions. NULL: problems has why. */
static const struct value *tree_answered(struct rendering *k, const struct value *tree)
{
    const struct value *block = map_get(tree, "release"), *after = k->after;
    if (block == NULL || block != k->block) {
        after = servers_answered(k, block);
        after = after == NULL ? NULL : roles_answered(k, after);
        if (block != NULL && after == NULL)
            return NULL;
        k->block = block;
        k->after = after;
    }
    return after == block ? tree : map_with(&k->p->arena, tree, "release", after);
}

bool pillar_ask_servers(struct pillar *p, struct problems *problems)
{
    p->answers = value_map(&p->arena, (struct place){.file = NULL});
    struct rendering k = {.p = p, .problems = problems, .answers = p->answers};
    const struct value *before = p->tree;
    bool again = false;
    for (size_t i = 0; i < p->top.n; i++) {
        const struct value *tree = tree_answered(&k, p->top.layers[i].tree);
        if (tree == NULL)
            return false;
        again |= tree != p->top.layers[i].tree;
        p->top.layers[i].tree = tree;
    }
    for (size_t i = 0; p->top.n > 0 && i < p->n_overrides; i++) {
        const struct value *tree = tree_answered(&k, p->overrides[i]);
        if (tree == NULL)
            return false;
        again |= tree != p->overrides[i];
        p->overrides[i] = tree;
    }
    if (!p->per_node)
        p->tree = tree_answered(&k, p->tree);
    else if (again) {
        p->tree = value_map(&p->arena, before->at);
        for (size_t i = 0; i < p->top.n; i++)
            p->tree = value_merge(&p->arena, p->tree, p->top.layers[i].tree);
        for (size_t i = 0; i < p->n_overrides; i++)
            p->tree = value_merge(&p->arena, p->tree, p->overrides[i]);
    }
    return p->tree != NULL;
}

const struct value *pillar_answered(struct pillar *p, const struct value *tree)
{
    struct rendering k = {.p = p, .problems = &p->late, .answers = p->answers};
    const struct value *ret = p->answers == NULL ? tree : tree_answered(&k, tree);
    return ret == NULL ? tree : ret;
}

/* ---- pillars */

static bool is_wanted(const struct env_rule *rule, const char *id)
{
    bool yes = rule == NULL || rule->n_nodes == 0;
    for (size_t i = 0; !yes && i < rule->n_nodes; i++)
        yes = fnmatch(rule->nodes[i], id, 0) == 0;
    return yes;
}

static bool ask_for(struct pillar *p, const char *const *nodes, size_t n, struct problems *problems,
                    const struct value **ret)
{
    struct rendered r;
    const struct render_request req = {.root = p->root,
                                       .env = p->env,
                                       .pillarenv = p->rule == NULL ? NULL : p->rule->pillarenv,
                                       .nodes = nodes,
                                       .n_nodes = n,
                                       .grains = p->yml.grains};
    struct render_rule rule = *pillar_renderer(p);
    int64_t usual = rule.timeout_ms > 0 ? rule.timeout_ms : RENDER_TIMEOUT_MS;
    if (p->wait_max_ms > 0 && p->wait_max_ms < usual)
        rule.timeout_ms = p->wait_max_ms;
    if (!render_pillars(&rule, &req, &p->arena, &r, problems))
        return false;
    source_add(p, "pillar", &r);
    *ret = r.nodes;
    return true;
}

/* YAML has made a number of it before we could see how it was written: 0123456 is 123456 by now, 1.10 is 1.1.
 */
static bool branch_ok(const struct value *tree, const char *node, struct problems *problems)
{
    const struct value *branch = map_get(map_get(tree, "release"), "branch");
    if (branch == NULL || branch->kind != VALUE_SCALAR || !branch->plain || value_is_null(branch))
        return true;
    problem_at(problems, branch->at,
               "release: branch: of node '%s' is %s, no text: what was written may have been another "
               "revision (wanted: "
               "quotes around it in the pillar)",
               node, branch->text);
    return false;
}

/* The --pillar texts, and the answer where app_servers is a question. */
static bool take_in(struct pillar *p, const struct value *nodes, struct problems *problems)
{
    struct rendering k = {
        .p = p, .problems = problems, .answers = value_map(&p->arena, (struct place){.file = NULL})};
    struct value *all = value_map(&p->arena, nodes->at);
    for (size_t i = 0; p->rendered != NULL && i < p->rendered->n; i++)
        (void)map_add(&p->arena, all, p->rendered->entries[i].key, p->rendered->entries[i].at,
                      p->rendered->entries[i].value);
    for (size_t i = 0; i < nodes->n; i++) {
        const struct value *tree = nodes->entries[i].value;
        if (!branch_ok(tree, nodes->entries[i].key, problems))
            return false;
        for (size_t o = 0; o < p->n_overrides; o++)
            tree = value_merge(&p->arena, tree, p->overrides[o]);
        (void)map_add(&p->arena, all, nodes->entries[i].key, nodes->entries[i].at, tree);
    }
    p->rendered = all; /* a match: names values of the nodes' own pillars */
    struct value *answered = value_map(&p->arena, nodes->at);
    for (size_t i = 0; i < all->n; i++) {
        const struct value *tree = tree_answered(&k, all->entries[i].value);
        if (tree == NULL)
            return false;
        (void)map_add(&p->arena, answered, all->entries[i].key, all->entries[i].at, tree);
    }
    p->rendered = answered;
    return true;
}

/* Nodes that some block lists and nobody has rendered yet: what was asked for first was only how to find
 * them. */
static const char *const *missing(struct pillar *p, size_t *ret_n)
{
    struct value *names = value_map(&p->arena, (struct place){.file = NULL});
    const struct value *last = NULL;
    struct servers_kept of_roles = {.all = NULL};
    struct server_entry e;
    for (size_t i = 0; i < p->rendered->n; i++) {
        const struct value *tree = p->rendered->entries[i].value;
        const char *name_key;
        const struct value *servers = servers_of_all(&p->arena, &of_roles, tree, &name_key);
        for (size_t k = 0; servers != last && k < servers_count(servers); k++)
            if (servers_at(servers, name_key, k, &e) && is_wanted(p->rule, e.id) &&
                map_get(p->rendered, e.id) == NULL)
                (void)map_add(&p->arena, names, e.id, e.at, names);
        last = servers;
    }
    const char **ret = arena_array(&p->arena, names->n + 1, sizeof(*ret));
    for (size_t i = 0; i < names->n; i++)
        ret[i] = names->entries[i].key;
    *ret_n = names->n;
    return ret;
}

/* Any node's tree will do until they are settled, best one with a block. */
static void tree_set(struct pillar *p)
{
    p->tree = p->rendered->entries[0].value;
    for (size_t i = 0; i < p->rendered->n; i++)
        if (map_get(p->rendered->entries[i].value, "release") != NULL) {
            p->tree = p->rendered->entries[i].value;
            return;
        }
}

bool pillar_render(struct pillar *p, const char *only, struct problems *problems)
{
    const char *const *nodes = p->rule == NULL ? NULL : (const char *const *)p->rule->nodes;
    size_t n = p->rule == NULL ? 0 : p->rule->n_nodes;
    const struct value *got;
    p->per_node = true;
    if (only != NULL) {
        nodes = &only;
        n = 1;
    }
    for (int round = 0; round < ROUNDS_MAX && (round == 0 || n > 0); round++) {
        if (!ask_for(p, nodes, n, problems, &got) || !take_in(p, got, problems))
            return false;
        nodes = missing(p, &n);
        n = only != NULL ? 0 : n;
    }
    tree_set(p);
    return true;
}

/* ---- ENV.json */

/* `salt-call pillar.items --out=json` puts everything under "local": the pillar of one id, and nothing says
 * whose. */
static const struct value *without_local(struct arena *a, const struct value *v, const char *path,
                                         struct problems *problems)
{
    const struct value *local = v->n == 1 ? map_get(v, "local") : NULL;
    const char *name_key;
    if (local == NULL || local->kind != VALUE_MAP)
        return v;
    struct servers_kept of_roles = {.all = NULL};
    size_t n = servers_count(servers_of_all(a, &of_roles, local, &name_key));
    if (n <= 1)
        return local;
    problems_add(
        problems,
        "%s: under 'local' is the pillar that Salt gives to one id, and app_servers has %zu nodes: nothing "
        "says "
        "that theirs is the same; write all of them, as {NODE: pillar}: salt -L 'NODE,NODE' pillar.items "
        "--out=json --static > %s, or let Salt render each time (release.yml: environments: {ENV: {renderer: "
        "salt}}, and remove this file)",
        path, n, path);
    return NULL;
}

bool pillar_json_load(struct pillar *p, const char *path, struct problems *problems)
{
    size_t n;
    const struct value *v;
    char *text = config_read(&p->arena, path, JSON_BYTES_MAX, &n, problems);
    if (text == NULL || !json_read(&p->arena, path, text, n, &v, problems))
        return false;
    if (v->kind != VALUE_MAP) {
        problem_at(problems, v->at, "the file must hold a map of keys");
        return false;
    }
    if ((v = without_local(&p->arena, v, path, problems)) == NULL)
        return false;
    if (is_by_node(v)) {
        p->rendered = v;
        return rendered_ok(v, &p->arena, problems);
    }
    p->tree = v;
    struct value *one = value_map(&p->arena, v->at);
    (void)map_add(&p->arena, one, p->env, v->at, v);
    return rendered_ok(one, &p->arena, problems);
}

bool pillar_by_node(struct pillar *p, const struct value *nodes, struct problems *problems)
{
    p->per_node = true;
    p->rendered = NULL;
    if (!take_in(p, nodes, problems))
        return false;
    tree_set(p);
    return true;
}
