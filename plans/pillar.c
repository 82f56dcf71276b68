/* Finding and merging an environment's pillar (DESIGN section 5): top.sls section, else ENV.sls, ENV.yml,
 * ENV/init.sls, then the --pillar texts on top. */
#include "plans/pillar_priv.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENVS_MAX 256

struct node_tree {
    struct node_tree *next;
    const bool *matches; /* one per layer */
    const struct value *tree;
};

static struct pillar *pillar_new(const char *env)
{
    struct pillar *p = xcalloc(1, sizeof(*p));
    p->env = arena_strdup(&p->arena, env);
    return p;
}

void pillar_free(struct pillar *p)
{
    if (p == NULL)
        return;
    struct arena arena = p->arena;
    free(p);
    arena_fini(&arena);
}

static const char *pillar_dir(const char *root, struct arena *a)
{
    return strcmp(root, ".") == 0 ? "pillar" : arena_printf(a, "%s/pillar", root);
}

static void name_add(const char **names, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp(names[i], name) == 0)
            return;
    if (*n < ENVS_MAX)
        names[(*n)++] = name;
}

/* "prod.sls" or "prod/" with an init file in it -> "prod". NULL: not the name of an environment. */
static const char *env_of(const struct sls_reader *r, const char *file)
{
    if (file[0] == '.')
        return NULL;
    const char *dot = strchr(file, '.');
    const char *name = dot == NULL ? file : arena_strndup(r->arena, file, (size_t)(dot - file));
    if (strcmp(name, "top") == 0 || !name_valid(name, 64) || sls_find(r, name) == NULL)
        return NULL;
    return name;
}

/* Files that others include are no environments: only those with a release: block (or that cannot be read)
 * count. */
static bool holds_release(struct arena *a, const char *path, const char *dir)
{
    auto_problems struct problems ignored = {.n = 0};
    struct sls_reader r = {.arena = a, .problems = &ignored, .dir = dir};
    const struct value *v = sls_load(&r, path);
    return v == NULL || map_get(v, "release") != NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void envs_of_files(const struct sls_reader *r, const char **names, size_t *n)
{
    DIR *d = opendir(r->dir);
    if (d == NULL)
        return;
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        const char *name = env_of(r, arena_strdup(r->arena, e->d_name));
        if (name != NULL && holds_release(r->arena, sls_find(r, name), r->dir))
            name_add(names, n, name);
    }
    (void)closedir(d);
}

const char *const *pillar_envs(const char *root, struct arena *arena)
{
    auto_problems struct problems ignored = {.n = 0};
    struct sls_reader r = {.arena = arena, .problems = &ignored, .dir = pillar_dir(root, arena)};
    const char **names = arena_array(arena, ENVS_MAX + 1, sizeof(*names));
    size_t n = 0;
    const char *top = arena_printf(arena, "%s/top.sls", r.dir);
    struct stat st;
    const struct value *file = stat(top, &st) == 0 ? yaml_load_file(arena, top, &ignored) : NULL;
    if (file != NULL)
        n = top_sections(file, names, ENVS_MAX);
    envs_of_files(&r, names, &n);
    qsort(names, n, sizeof(*names), by_name);
    return names;
}

static bool unknown_env(struct sls_reader *r, const char *root, const char *env)
{
    const char *const *known = pillar_envs(root, r->arena);
    auto_buf struct buf list = BUF_INIT(4096);
    size_t n = 0;
    for (; known[n] != NULL; n++)
        buf_printf(&list, "%s%s", n == 0 ? "" : ", ", known[n]);
    const char *hint = nearest_hint(r->arena, env, known, n);
    if (n == 0)
        problems_add(r->problems,
                     "unknown environment '%s': no pillar in %s/ (wanted: %s/%s.sls, or choose another place "
                     "with --root; 'release init' writes a first one)",
                     env, r->dir, r->dir, env);
    else
        problems_add(r->problems, "unknown environment '%s'%s: known in %s/ are %s", env, hint, r->dir,
                     buf_str(&list));
    return false;
}

static bool is_everyone(const char *target)
{
    return strcmp(target, "*") == 0;
}

static bool load_top(struct pillar *p, struct sls_reader *r, const char *path, bool *ret_found)
{
    if (!top_load(r, path, p->env, &p->top, ret_found))
        return false;
    for (size_t i = 0; i < p->top.n; i++) {
        p->tree = value_merge(&p->arena, p->tree, p->top.layers[i].tree);
        p->per_node |= !is_everyone(p->top.layers[i].target);
    }
    return true;
}

static bool load_base(struct pillar *p, struct sls_reader *r, const char *root)
{
    const char *top = arena_printf(&p->arena, "%s/top.sls", r->dir);
    struct stat st;
    bool found = false;
    if (stat(top, &st) == 0 && !load_top(p, r, top, &found))
        return false;
    if (found && p->tree == NULL)
        p->tree = value_map(&p->arena, (struct place){.file = top, .line = 1, .col = 1});
    if (found)
        return true;
    const char *path = name_valid(p->env, 64) && strcmp(p->env, "top") != 0 ? sls_find(r, p->env) : NULL;
    if (path == NULL)
        return unknown_env(r, root, p->env);
    p->tree = sls_load(r, path);
    return p->tree != NULL;
}

static bool load_override(struct pillar *p, const char *text, size_t number, struct problems *problems)
{
    const char *file = number == 0 ? "--pillar" : arena_printf(&p->arena, "--pillar (%zu)", number + 1);
    const struct value *v;
    if (!yaml_read(&p->arena, file, text, strlen(text), &v, problems))
        return false;
    p->overrides[p->n_overrides++] = v;
    p->tree = value_merge(&p->arena, p->tree, v);
    return true;
}

/* What an entry asks for and nobody does yet must not be read as if it were not there. */
static bool renderer_here(const struct pillar *p, struct problems *problems)
{
    const struct render_rule *render = p->rule != NULL ? &p->rule->render : &p->yml.render;
    if (render->renderer == RENDERER_OWN)
        return true;
    problem_at(problems, render->at, "%s: environment %s cannot be rendered so yet (wanted: plain YAML)",
               render->renderer == RENDERER_SALT ? "renderer: salt" : "command", p->env);
    return false;
}

static bool yml_take(struct pillar *p, struct problems *problems)
{
    if (!release_yml_load(&p->arena, p->root, &p->yml, problems))
        return false;
    p->rule = release_yml_env(&p->yml, p->env);
    return renderer_here(p, problems);
}

bool pillar_load(const char *root, const char *env, const char *const *overrides, size_t n_overrides,
                 struct pillar **ret, struct problems *problems)
{
    struct pillar *p = pillar_new(env);
    struct sls_reader r = {.arena = &p->arena, .problems = problems, .dir = pillar_dir(root, &p->arena)};
    p->root = arena_strdup(&p->arena, root);
    bool ok = yml_take(p, problems) && load_base(p, &r, root);
    p->overrides = arena_array(&p->arena, n_overrides + 1, sizeof(*p->overrides));
    for (size_t i = 0; ok && i < n_overrides; i++)
        ok = load_override(p, overrides[i], i, problems);
    if (ok)
        *ret = p;
    else
        pillar_free(p);
    return ok;
}

bool pillar_load_file(const char *path, struct pillar **ret, struct problems *problems)
{
    struct pillar *p = pillar_new("");
    const char *slash = strrchr(path, '/');
    const char *dir = slash == NULL ? "." : arena_strndup(&p->arena, path, (size_t)(slash - path));
    struct sls_reader r = {.arena = &p->arena, .problems = problems, .dir = dir};
    p->tree = sls_load(&r, arena_strdup(&p->arena, path));
    bool ok = p->tree != NULL;
    if (ok)
        *ret = p;
    else
        pillar_free(p);
    return ok;
}

static const struct value *merge_matching(struct pillar *p, const bool *matches)
{
    const struct value *tree = NULL;
    for (size_t i = 0; i < p->top.n; i++)
        if (matches[i])
            tree = value_merge(&p->arena, tree, p->top.layers[i].tree);
    for (size_t i = 0; i < p->n_overrides; i++)
        tree = value_merge(&p->arena, tree, p->overrides[i]);
    return tree == NULL ? value_map(&p->arena, p->tree->at) : tree;
}

const struct value *pillar_tree_of(struct pillar *p, const char *node)
{
    if (!p->per_node)
        return p->tree;
    bool *matches = arena_array(&p->arena, p->top.n, sizeof(*matches));
    for (size_t i = 0; i < p->top.n; i++)
        matches[i] = target_matches(p->top.layers[i].target, node);
    for (struct node_tree *t = p->trees; t != NULL; t = t->next)
        if (memcmp(t->matches, matches, p->top.n * sizeof(*matches)) == 0)
            return t->tree;
    struct node_tree *t = arena_alloc(&p->arena, sizeof(*t));
    *t = (struct node_tree){.next = p->trees, .matches = matches, .tree = merge_matching(p, matches)};
    p->trees = t;
    return t->tree;
}

const struct value *pillar_get(const struct pillar *p, const char *path)
{
    return value_get(p->tree, path);
}

#define DUMP_BYTES_MAX ((size_t)256 * 1024 * 1024)

static char *dump(const struct value *v, void (*print)(struct buf *, const struct value *))
{
    struct buf out = BUF_INIT(DUMP_BYTES_MAX);
    if (v != NULL)
        print(&out, v);
    if (out.data == NULL)
        buf_puts(&out, "");
    return out.data == NULL ? xstrdup("") : out.data;
}

char *pillar_json(const struct pillar *p, const char *path_or_null)
{
    const struct value *v = path_or_null == NULL ? p->tree : pillar_get(p, path_or_null);
    return v == NULL ? xstrdup("null") : dump(v, value_json);
}

char *pillar_text(const struct pillar *p, const char *path_or_null)
{
    return dump(path_or_null == NULL ? p->tree : pillar_get(p, path_or_null), value_text);
}
