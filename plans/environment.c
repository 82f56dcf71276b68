/* SPDX-License-Identifier: MIT */
/* Where an environment's pillar is: an entry of release.yml, a section of top.sls, a file; or why it is unknown. */
#include "plans/environment.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NAMES_SHOWN 20

const char *pillar_dir(const char *root, struct arena *a)
{
    return root_path(a, root, "pillar");
}

static bool is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* The first root that has a top file gives it, as in Salt. NULL: none has. */
static const char *top_of(const struct sls_reader *r)
{
    for (size_t i = 0; i <= r->n_more; i++) {
        const char *path = arena_printf(r->arena, "%s/top.sls", i == 0 ? r->dir : r->more[i - 1]);
        if (is_there(path))
            return path;
    }
    return NULL;
}

/* ---- what a top file says about a name */

static bool lists_file(const struct value *files, const char *name)
{
    for (size_t i = 0; files->kind == VALUE_LIST && i < files->n; i++)
        if (files->items[i]->kind == VALUE_SCALAR && fnmatch(files->items[i]->text, name, 0) == 0)
            return true;
    return false;
}

struct mention {
    const char *section;
    const struct entry *target;
    bool as_file; /* the target's files are named so, not only the target */
};

/* Where the name stands without being a section: among the files of a target, else in a target ('*-staging').
 */
static bool mention_find(const struct value *top, const char *env, struct mention *ret)
{
    *ret = (struct mention){.section = NULL};
    for (size_t s = 0; top != NULL && s < top->n; s++) {
        const struct value *targets = top->entries[s].value;
        for (size_t i = 0; targets->kind == VALUE_MAP && i < targets->n; i++) {
            const struct entry *target = &targets->entries[i];
            bool as_file = lists_file(target->value, env);
            if (as_file || (ret->section == NULL && strstr(target->key, env) != NULL))
                *ret = (struct mention){.section = top->entries[s].key, .target = target, .as_file = as_file};
            if (as_file)
                return true;
        }
    }
    return ret->section != NULL;
}

/* ---- the list of names */

struct names {
    struct arena *arena;
    struct value *set; /* map: name -> anything */
};

static void name_add(struct names *names, const char *name)
{
    (void)map_add(names->arena, names->set, name, names->set->at, names->set);
}

/* Files that others include are no environments: only those with a release: block (or that cannot be read)
 * count. */
static bool holds_release(const struct sls_reader *like, const char *path)
{
    auto_problems struct problems ignored = {.n = 0};
    struct sls_reader r = {.arena = like->arena,
                           .problems = &ignored,
                           .dir = like->dir,
                           .more = like->more,
                           .n_more = like->n_more};
    const struct value *v = sls_load(&r, path);
    return v == NULL || map_get(v, "release") != NULL;
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

static void files_add(struct names *names, const struct sls_reader *r, const struct value *top)
{
    DIR *d = opendir(r->dir);
    struct mention m;
    if (d == NULL)
        return;
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        const char *name = env_of(r, arena_strdup(r->arena, e->d_name));
        if (name == NULL || map_entry(names->set, name) != NULL || (mention_find(top, name, &m) && m.as_file))
            continue;
        if (holds_release(r, sls_find(r, name)))
            name_add(names, name);
    }
    (void)closedir(d);
}

static void sections_add(struct names *names, const struct value *top)
{
    for (size_t i = 0; top != NULL && i < top->n; i++)
        if (strcmp(top->entries[i].key, "include") != 0)
            name_add(names, top->entries[i].key);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *pillar_envs(const char *root, struct arena *arena)
{
    auto_problems struct problems ignored = {.n = 0};
    struct sls_reader r = {.arena = arena, .problems = &ignored, .dir = pillar_dir(root, arena)};
    struct names names = {.arena = arena, .set = value_map(arena, (struct place){.file = NULL})};
    const char *path = top_of(&r);
    const struct value *top = path == NULL ? NULL : yaml_load_file(arena, path, &ignored);
    struct release_yml yml;
    (void)release_yml_load(arena, root, &yml, &ignored); /* what could be read of it; loading says the rest */
    for (size_t i = 0; i < yml.n_envs; i++)
        name_add(&names, yml.envs[i].name);
    sections_add(&names, top);
    files_add(&names, &r, top);
    size_t n = names.set->n;
    const char **ret = arena_array(arena, n + 1, sizeof(*ret));
    for (size_t i = 0; i < n; i++)
        ret[i] = names.set->entries[i].key;
    qsort(ret, n, sizeof(*ret), by_name);
    return ret;
}

/* ---- names that nobody wrote */

static const char *names_text(struct arena *a, const char *const *names, size_t n)
{
    auto_buf struct buf list = BUF_INIT(4096);
    for (size_t i = 0; i < n && i < NAMES_SHOWN; i++)
        buf_printf(&list, "%s%s", i == 0 ? "" : ", ", names[i]);
    if (n > NAMES_SHOWN)
        buf_printf(&list, " and %zu more", n - NAMES_SHOWN);
    return arena_strdup(a, buf_str(&list));
}

/* A glob of top.sls is one for `nodes:`; what only Salt's other matchers understand is not. */
static const char *entry_to_write(struct arena *a, const char *env, const struct mention *m)
{
    bool glob = strpbrk(m->target->key, " ,@:()") == NULL;
    return arena_printf(a, "environments: {%s: {pillarenv: %s, nodes: '%s'}}", env, m->section,
                        glob ? m->target->key : "GLOB");
}

static bool unknown_env(struct pillar *p, struct sls_reader *r, const struct value *top)
{
    struct arena *a = r->arena;
    const char *const *known = pillar_envs(p->root, a);
    size_t n = 0;
    while (known[n] != NULL)
        n++;
    const char *hint = nearest_hint(a, p->env, known, n);
    const char *there = arena_printf(a, "unknown environment '%s'%s: known in %s/ are %s", p->env, hint,
                                     r->dir, n == 0 ? "none" : names_text(a, known, n));
    struct mention m;
    p->unknown = n > 0;
    if (n == 0)
        problems_add(r->problems,
                     "unknown environment '%s': no pillar in %s/ (wanted: %s/%s.sls, or choose another place "
                     "with --root; 'release init' writes a first one)",
                     p->env, r->dir, r->dir, p->env);
    else if (mention_find(top, p->env, &m))
        problems_add(r->problems,
                     "%s; section %s of the top file has it %s target '%s' (%s), which is no environment: if "
                     "these nodes are one, write into %s: %s",
                     there, m.section, m.as_file ? "as a file of" : "in", m.target->key,
                     place_text(a, m.target->at), p->yml.path, entry_to_write(a, p->env, &m));
    else
        problems_add(r->problems, "%s", there);
    return false;
}

/* ---- where a known one's pillar is */

static bool two_sources(struct pillar *p, struct problems *problems, const char *one, const char *other)
{
    problems_add(problems,
                 "environment '%s' has two sources: %s and %s; nothing says which of them is meant: remove "
                 "or rename one",
                 p->env, one, other);
    return false;
}

/* A second file of the same name is one that nothing reads; which of them was edited last nobody knows. */
static bool file_find(struct pillar *p, const struct sls_reader *r, const char **ret)
{
    size_t from = 0;
    *ret = name_valid(p->env, 64) && strcmp(p->env, "top") != 0 ? sls_find_next(r, p->env, &from) : NULL;
    if (*ret == NULL)
        return true;
    for (const char *other = sls_find_next(r, p->env, &from); other != NULL;
         other = sls_find_next(r, p->env, &from))
        if (strcmp(strrchr(other, '/'), strrchr(*ret, '/')) != 0) /* in another root: the first one is it */
            return two_sources(p, r->problems, arena_printf(r->arena, "the file %s", *ret),
                               arena_printf(r->arena, "the file %s", other));
    return true;
}

static bool section_missing(struct pillar *p, const struct sls_reader *r, const char *path,
                            const struct value *top)
{
    const struct env_rule *rule = p->rule;
    const char **names = arena_array(r->arena, top == NULL ? 1 : top->n + 1, sizeof(*names));
    size_t n = 0;
    for (; top != NULL && n < top->n; n++)
        names[n] = top->entries[n].key;
    if (path == NULL)
        problem_at(r->problems, rule->pillarenv_at,
                   "environments: %s: pillarenv names a section of a top.sls, and there is none under %s",
                   p->env, sls_dirs(r));
    else
        problem_at(r->problems, rule->pillarenv_at,
                   "environments: %s: pillarenv: %s has no section '%s'%s (it has: %s)", p->env, path,
                   rule->pillarenv, nearest_hint(r->arena, rule->pillarenv, names, n),
                   n == 0 ? "none" : names_text(r->arena, names, n));
    return false;
}

static bool nowhere(struct pillar *p, const struct sls_reader *r)
{
    problem_at(r->problems, p->rule->at,
               "environments: %s: its pillar is nowhere: there is no section '%s' in a top.sls and no file "
               "%s.sls under %s (wanted: pillarenv: SECTION, roots: [DIRECTORY], or command: [PROGRAM])",
               p->env, p->env, p->env, sls_dirs(r));
    return false;
}

/* The sources that ROOT/pillar has under the environment's own name, when release.yml says another. */
static bool no_other(struct pillar *p, const struct sls_reader *r, const struct env_source *source)
{
    auto_problems struct problems ignored = {.n = 0};
    struct sls_reader own = {.arena = r->arena, .problems = &ignored, .dir = pillar_dir(p->root, r->arena)};
    const char *path = top_of(&own), *file = NULL;
    const struct value *top = path == NULL ? NULL : yaml_load_file(r->arena, path, &ignored);
    const struct entry *section = map_entry(top, p->env);
    bool same_top = source->top != NULL && path != NULL && strcmp(path, source->top) == 0;
    const char *rule = arena_printf(r->arena, "its entry at %s", place_text(r->arena, p->rule->at));
    struct mention m;
    if (section != NULL && !(same_top && strcmp(source->section, p->env) == 0))
        return two_sources(p, r->problems, rule,
                           arena_printf(r->arena, "the section at %s", place_text(r->arena, section->at)));
    if (!file_find(p, &own, &file) || file == NULL ||
        (source->file != NULL && strcmp(file, source->file) == 0) ||
        (mention_find(top, p->env, &m) && m.as_file) || !holds_release(&own, file))
        return true;
    return same_top || two_sources(p, r->problems, rule, arena_printf(r->arena, "the file %s", file));
}

bool env_no_files(struct pillar *p, const struct sls_reader *r)
{
    const struct env_source none = {.file = NULL};
    return no_other(p, r, &none);
}

/* As Salt's pillar_roots. */
static void dirs_set(const struct pillar *p, struct sls_reader *r)
{
    if (p->rule == NULL || p->rule->n_roots == 0)
        return;
    r->dir = p->rule->roots[0];
    r->more = p->rule->roots + 1;
    r->n_more = p->rule->n_roots - 1;
}

bool env_find(struct pillar *p, struct sls_reader *r, struct env_source *ret)
{
    const struct env_rule *rule = p->rule;
    *ret = (struct env_source){.section = rule != NULL && rule->pillarenv != NULL ? rule->pillarenv : p->env};
    dirs_set(p, r);
    const char *path = top_of(r);
    const struct value *top = path == NULL ? NULL : yaml_load_file(r->arena, path, r->problems);
    struct mention m;
    if (path != NULL && top == NULL)
        return false;
    if (map_entry(top, ret->section) != NULL)
        ret->top = path;
    else if (rule != NULL && rule->pillarenv != NULL)
        return section_missing(p, r, path, top);
    else if (!file_find(p, r, &ret->file))
        return false;
    if (ret->file != NULL && mention_find(top, p->env, &m) && m.as_file)
        ret->file = NULL; /* a layer of a section: on its own it would be half of a pillar */
    if (ret->top == NULL && ret->file == NULL)
        return rule != NULL ? nowhere(p, r) : unknown_env(p, r, top);
    return rule == NULL || no_other(p, r, ret);
}

/* Whether a file is part of a merged tree, by the places of what it brought. */
static bool tree_has_file(const struct value *tree, const char *file)
{
    if (tree->at.file != NULL && strcmp(tree->at.file, file) == 0)
        return true;
    for (size_t i = 0; i < tree->n; i++)
        if (tree_has_file(tree->kind == VALUE_MAP ? tree->entries[i].value : tree->items[i], file))
            return true;
    return false;
}

static bool was_read(const struct pillar *p, const char *file)
{
    for (size_t i = 0; i < p->top.n; i++)
        if (tree_has_file(p->top.layers[i].tree, file))
            return true;
    return false;
}

bool env_all_read(struct pillar *p, const struct sls_reader *r, const struct env_source *source)
{
    const struct value *top = yaml_load_file(r->arena, source->top, r->problems);
    struct mention m;
    size_t from = 0;
    if (!name_valid(p->env, 64) || top == NULL)
        return top != NULL;
    bool layer = mention_find(top, p->env, &m) && m.as_file; /* then the first file is one of a section */
    for (const char *file = sls_find_next(r, p->env, &from); file != NULL;
         file = sls_find_next(r, p->env, &from)) {
        if (!layer && !was_read(p, file) && holds_release(r, file)) {
            const struct entry *section = map_entry(top, source->section);
            return two_sources(p, r->problems,
                               arena_printf(r->arena, "section %s at %s", source->section,
                                            place_text(r->arena, section->at)),
                               arena_printf(r->arena, "the file %s", file));
        }
        layer = false;
    }
    return true;
}
