/* SPDX-License-Identifier: MIT */
/* Pillar files as Salt finds them and puts them together (salt/pillar/__init__.py, render_pstate): what a
 * file includes comes under it, what a node's files include is rendered once for the node - the second time a
 * file is included its own values alone count, not what it includes - and nothing in one node's pillar
 * depends on another's. */
#include "plans/sls.h"

#include <string.h>
#include <sys/stat.h>

#include "plans/merge.h"

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static const char *dir_of(const struct sls_reader *r, size_t i)
{
    return i == 0 ? r->dir : r->more[i - 1];
}

const char *sls_dirs(const struct sls_reader *r)
{
    const char *text = arena_printf(r->arena, "%s/", r->dir);
    for (size_t i = 0; i < r->n_more; i++)
        text = arena_printf(r->arena, "%s, %s/", text, r->more[i]);
    return text;
}

/* As Salt looks: a/b.sls in every root, before a/b/init.sls in any. */
const char *sls_find_next(const struct sls_reader *r, const char *name, size_t *ret_from)
{
    static const char *const endings[] = {".sls",      "/init.sls",  ".yml", ".yaml",
                                          "/init.yml", "/init.yaml", ".json"};
    size_t n_dirs = r->n_more + 1, n = n_dirs * (r->salt ? 2 : sizeof(endings) / sizeof(endings[0]));
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL || strstr(name, "..") != NULL)
        return NULL;
    char *path = arena_strdup(r->arena, name);
    for (char *c = path; *c != '\0'; c++)
        if (*c == '.')
            *c = '/';
    while (*ret_from < n) {
        size_t i = (*ret_from)++;
        const char *full =
            arena_printf(r->arena, "%s/%s%s", dir_of(r, i % n_dirs), path, endings[i / n_dirs]);
        if (is_file(full))
            return full;
    }
    return NULL;
}

const char *sls_find(const struct sls_reader *r, const char *name)
{
    size_t from = 0;
    return sls_find_next(r, name, &from);
}

/* How much of a file's path is the root it was found under. */
static size_t root_len(const struct sls_reader *r, const char *file)
{
    size_t len = 0;
    for (size_t i = 0; i <= r->n_more; i++) {
        size_t n = strlen(dir_of(r, i));
        if (n > len && strncmp(file, dir_of(r, i), n) == 0 && file[n] == '/')
            len = n;
    }
    return len;
}

/* The name of a file that was not found by one: a/b.sls and a/b/init.sls are "a.b". */
static const char *name_of(const struct sls_reader *r, const char *path)
{
    size_t skip = root_len(r, path);
    char *name = arena_strdup(r->arena, path + (skip == 0 ? 0 : skip + 1));
    char *slash = strrchr(name, '/'), *dot = strrchr(slash == NULL ? name : slash, '.');
    if (dot != NULL)
        *dot = '\0';
    if (slash != NULL && strcmp(slash, "/init") == 0)
        *slash = '\0';
    for (char *c = name; *c != '\0'; c++)
        if (*c == '/')
            *c = '.';
    return name;
}

static bool is_init(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL && str_starts(slash, "/init.");
}

/* ---- one file */

struct file {
    const char *path, *name;
    const struct value *include; /* NULL: there is none */
    const struct value *own;     /* all but include */
};

static const struct value *without_include(struct arena *a, const struct value *tree)
{
    if (map_entry(tree, "include") == NULL)
        return tree;
    struct value *ret = value_map(a, tree->at);
    for (size_t i = 0; i < tree->n; i++)
        if (strcmp(tree->entries[i].key, "include") != 0)
            (void)map_add_entry(a, ret, &tree->entries[i]);
    ret->aliased = tree->aliased;
    return ret;
}

static struct value *path_map(struct sls_reader *r, struct value **map)
{
    if (*map == NULL)
        *map = value_map(r->arena, (struct place){.file = NULL});
    return *map;
}

/* Each file is read and counted once, however often it is used. */
static bool file_load(struct sls_reader *r, const char *path, const char *name, struct place at,
                      struct file *ret)
{
    const struct value *tree = map_get(r->trees, path);
    *ret = (struct file){.path = path, .name = name};
    if (tree == NULL && path_map(r, &r->trees)->n == SLS_FILES_MAX) {
        problem_at(r->problems, at, "more than %d pillar files", SLS_FILES_MAX);
        return false;
    }
    if (tree == NULL) {
        tree = yaml_load_file(r->arena, path, r->problems);
        if (tree == NULL)
            return false;
        (void)map_add(r->arena, r->trees, path, at, tree);
        (void)map_add(r->arena, path_map(r, &r->owns), path, at, without_include(r->arena, tree));
    }
    ret->include = map_get(tree, "include");
    ret->own = map_get(r->owns, path);
    if (ret->include == NULL || ret->include->kind == VALUE_LIST)
        return true;
    problem_at(r->problems, ret->include->at, "include wants a list of names, not %s",
               value_kind_text(ret->include));
    return false;
}

/* ---- what it includes */

struct inclusion {
    const char *name;
    struct place at;
    const char *key; /* "a:b", or NULL */
};

/* `defaults` are variables for templates. A file without Jinja has no use for them, but Salt hands them to
 * its own functions too, and stumbles over names that these have. */
static bool defaults_ok(struct sls_reader *r, const struct value *v)
{
    static const char *const taken[] = {
        "template",   "renderers", "default",       "blacklist",    "whitelist", "saltenv",
        "sls",        "argline",   "input_data",    "context",      "env",       "tmplpath",
        "mask_value", "yaml_data", "template_file", "_pillar_rend", "from_str"};
    if (v->kind != VALUE_MAP) {
        problem_at(r->problems, v->at, "defaults wants a map of variables, not %s", value_kind_text(v));
        return false;
    }
    for (size_t i = 0; i < v->n; i++)
        for (size_t k = 0; k < sizeof(taken) / sizeof(taken[0]); k++)
            if (v->entries[i].type != SCALAR_STR || strcmp(v->entries[i].key, taken[k]) == 0) {
                problem_at(r->problems, v->entries[i].at,
                           "defaults: '%s' cannot be a variable's name: Salt uses it itself",
                           v->entries[i].key);
                return false;
            }
    return true;
}

static bool options_read(struct sls_reader *r, const struct value *options, struct inclusion *ret)
{
    bool ok = true;
    for (size_t i = 0; i < options->n; i++) {
        const struct entry *e = &options->entries[i];
        if (strcmp(e->key, "key") == 0 && value_is_text(e->value))
            ret->key = e->value->text;
        else if (strcmp(e->key, "key") == 0 || strcmp(e->key, "defaults") != 0)
            ok = false;
        else if (!defaults_ok(r, e->value))
            return false;
    }
    if (!ok || options->n == 0)
        problem_at(r->problems, options->at, "include: %s wants {key: a:b, defaults: {...}}", ret->name);
    return ok && options->n > 0;
}

static bool inclusion_read(struct sls_reader *r, const struct value *item, struct inclusion *ret)
{
    *ret = (struct inclusion){.at = item->at};
    if (value_is_text(item)) {
        ret->name = item->text;
    } else if (item->kind == VALUE_MAP && item->n == 1 && item->entries[0].type == SCALAR_STR &&
               item->entries[0].value->kind == VALUE_MAP) {
        ret->name = item->entries[0].key;
        if (!options_read(r, item->entries[0].value, ret))
            return false;
    } else {
        problem_at(r->problems, item->at, "include wants names, or {name: {key: a:b}}, not %s",
                   value_kind_text(item));
        return false;
    }
    if (strpbrk(ret->name, "*?[") == NULL && !str_starts(ret->name, "..") && !str_starts(ret->name, "./"))
        return true;
    problem_at(r->problems, item->at,
               "include: '%s' is not read here (wanted: a plain name, or one dot before a neighbour's)",
               ret->name);
    return false;
}

/* The names that Salt makes of one: for ".near" in a/b.sls both "near", when that is there, and "a.near"; for
 * a/b the name a.b. */
static size_t names_of(struct sls_reader *r, const struct file *f, const char *name, const char *ret[2])
{
    char *plain = arena_strdup(r->arena, name + (name[0] == '.'));
    size_t n = 0;
    for (char *c = plain; *c != '\0'; c++)
        if (*c == '/')
            *c = '.';
    if (sls_find(r, plain) != NULL)
        ret[n++] = plain;
    if (name[0] == '.') {
        const char *last = strrchr(f->name, '.');
        int len = is_init(f->path) ? (int)strlen(f->name) : last == NULL ? 0 : (int)(last - f->name);
        const char *near = arena_printf(r->arena, "%.*s%s%s", len, f->name, len == 0 ? "" : ".", name + 1);
        if (strchr(near, '/') == NULL && strcmp(near, plain) != 0 && (n == 0 || sls_find(r, near) != NULL))
            ret[n++] = near;
    }
    if (n == 0)
        ret[n++] = plain;
    return n;
}

/* `key: a:b` puts what the file holds under a, b. */
static const struct value *under_key(struct arena *a, const struct value *v, const char *key, struct place at)
{
    const char *colon = strrchr(key, ':');
    struct value *map = value_map(a, at);
    (void)map_add(a, map, arena_strdup(a, colon == NULL ? key : colon + 1), at, v);
    map->aliased = v->aliased;
    return colon == NULL ? map : under_key(a, map, arena_strndup(a, key, (size_t)(colon - key)), at);
}

static const struct value *file_render(struct sls_reader *r, const struct file *f, struct value *seen,
                                       struct place at);

/* Salt goes round once and stops; nobody means that. */
static bool may_enter(struct sls_reader *r, const char *path, struct place at)
{
    for (size_t i = 0; i < r->n_chain; i++)
        if (strcmp(r->chain[i], path) == 0) {
            problem_at(r->problems, at, "%s includes itself (through %s)", path, r->chain[r->n_chain - 1]);
            return false;
        }
    if (r->n_chain < SLS_CHAIN_MAX)
        return true;
    problem_at(r->problems, at, "more than %d files include each other", SLS_CHAIN_MAX);
    return false;
}

static bool include_name(struct sls_reader *r, struct value *seen, const struct inclusion *inc,
                         const char *name, struct merging *sum)
{
    struct file f;
    const char *path = sls_find(r, name);
    if (path == NULL)
        return sls_missing(r, name, inc->at);
    if (!may_enter(r, path, inc->at))
        return false;
    const struct value *v = map_get(seen, name);
    if (v == NULL)
        v = file_load(r, path, name, inc->at, &f) ? file_render(r, &f, seen, inc->at) : NULL;
    if (v != NULL && v->n > 0)
        merge_add(sum, inc->key == NULL ? v : under_key(r->arena, v, inc->key, inc->at));
    return v != NULL;
}

static bool include_all(struct sls_reader *r, const struct file *f, struct value *seen, struct merging *sum)
{
    bool ok = true;
    for (size_t i = 0; i < f->include->n; i++) {
        struct inclusion inc;
        const char *names[2];
        if (!inclusion_read(r, f->include->items[i], &inc)) {
            ok = false;
            continue;
        }
        size_t n = names_of(r, f, inc.name, names);
        for (size_t k = 0; k < n; k++)
            ok = include_name(r, seen, &inc, names[k], sum) && ok;
    }
    return ok;
}

/* The including file's own values are authoritative, whatever the place of `include:` in it. */
static const struct value *file_render(struct sls_reader *r, const struct file *f, struct value *seen,
                                       struct place at)
{
    struct merging sum;
    map_put(r->arena, seen, f->name, at, f->own);
    if (f->include == NULL)
        return f->own;
    merge_start(&sum, r->arena, r->problems, NULL);
    r->chain[r->n_chain++] = f->path;
    bool ok = include_all(r, f, seen, &sum);
    r->n_chain--;
    merge_add(&sum, f->own);
    return ok && sum.ok ? sum.sum : NULL;
}

/* ---- doors */

void sls_session(struct sls_reader *r)
{
    r->seen = value_map(r->arena, (struct place){.file = NULL});
}

bool sls_missing(struct sls_reader *r, const char *name, struct place at)
{
    if (map_entry(r->ignored, name) != NULL)
        return true;
    struct sls_reader any = *r;
    any.salt = false;
    const char *other = r->salt ? sls_find(&any, name) : NULL;
    if (other != NULL)
        problem_at(r->problems, at,
                   "'%s' is %s, which Salt does not read beside a top.sls (wanted: a name that ends in .sls)",
                   name, other);
    else
        problem_at(r->problems, at, "no pillar file for '%s' under %s", name, sls_dirs(r));
    return false;
}

static const struct value *render(struct sls_reader *r, const char *path, const char *name, struct place at)
{
    struct file f;
    if (r->seen == NULL)
        sls_session(r);
    return file_load(r, path, name, at, &f) ? file_render(r, &f, r->seen, at) : NULL;
}

const struct value *sls_load(struct sls_reader *r, const char *path)
{
    sls_session(r);
    return render(r, path, name_of(r, path), (struct place){.file = path});
}

const struct value *sls_load_alone(struct sls_reader *r, const char *path)
{
    struct file f;
    return file_load(r, path, "", (struct place){.file = path}, &f) ? map_get(r->trees, path) : NULL;
}

const struct value *sls_load_next(struct sls_reader *r, const char *name, struct place at)
{
    const char *path = sls_find(r, name);
    return path == NULL ? NULL : render(r, path, name, at);
}

const struct value *sls_load_named(struct sls_reader *r, const char *name, struct place at)
{
    sls_session(r);
    if (sls_find(r, name) != NULL)
        return sls_load_next(r, name, at);
    return sls_missing(r, name, at) ? value_map(r->arena, at) : NULL;
}
