/* SPDX-License-Identifier: MIT */
/* Finding and merging an environment's pillar (docs/pillar.md): top.sls section, else ENV.sls, ENV.yml,
 * ENV/init.sls, then the --pillar texts on top. */
#include "plans/environment.h"
#include "plans/merge.h"

#include <stdlib.h>
#include <string.h>

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
    problems_fini(&p->late);
    free(p);
    arena_fini(&arena);
}

/* For everybody the tree is Salt's; where nodes differ it is all layers merged, whoever they are for. */
static bool load_top(struct pillar *p, struct sls_reader *r, const struct env_source *source)
{
    struct merging sum;
    if (!top_load(r, source->top, source->section, p->yml.nodegroups, &p->top))
        return false;
    p->reader = *r;
    r->salt = false; /* files that Salt does not read are environments all the same */
    if (!env_all_read(p, r, source))
        return false;
    for (size_t i = 0; i < p->top.n_targets; i++)
        p->per_node |= !matcher_everyone(p->top.targets[i].matcher);
    merge_start(&sum, &p->arena, NULL,
                value_map(&p->arena, (struct place){.file = source->top, .line = 1, .col = 1}));
    for (size_t i = 0; i < p->top.n; i++)
        merge_add(&sum, p->top.layers[i].tree);
    p->tree = sum.sum;
    if (!p->per_node)
        p->tree = pillar_everyones(p);
    return true;
}

static bool is_json(const char *path)
{
    size_t n = strlen(path);
    return n > 5 && strcmp(path + n - 5, ".json") == 0;
}

static bool load_base(struct pillar *p, struct sls_reader *r)
{
    struct env_source source;
    if (!env_find(p, r, &source))
        return false;
    if (source.top != NULL)
        return load_top(p, r, &source);
    if (is_json(source.file))
        return pillar_json_load(p, source.file, r->problems);
    p->tree = sls_load(r, source.file);
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

static bool yml_take(struct pillar *p, struct problems *problems)
{
    if (!release_yml_load(&p->arena, p->root, &p->yml, problems))
        return false;
    p->rule = release_yml_env(&p->yml, p->env);
    return true;
}

/* An entry of release.yml is enough to know a rendered one by. ROOT/pillar may be the very tree that Salt
 * renders; beside what a command prints it would be a second source. */
static bool known(struct pillar *p, struct sls_reader *r)
{
    struct env_source source;
    if (p->rule == NULL)
        return env_find(p, r, &source);
    bool own = p->command.renderer == RENDERER_OWN && p->rule->render.renderer == RENDERER_COMMAND;
    return !own || env_no_files(p, r);
}

/* Files, other programs and --pillar texts; p->tree is all of them merged, whoever they are for. `only`:
 * nobody else's pillar is needed. NULL: problems has why. */
static struct pillar *pillar_read(const struct pillar_request *req, const char *only,
                                  struct problems *problems)
{
    struct pillar *p = pillar_new(req->env);
    struct sls_reader r = {.arena = &p->arena, .problems = problems, .dir = pillar_dir(req->root, &p->arena)};
    p->root = arena_strdup(&p->arena, req->root);
    p->wait_max_ms = req->wait_max_ms;
    bool ok =
        yml_take(p, problems) && (req->command == NULL || pillar_command_read(p, req->command, problems));
    bool rendered = ok && pillar_renderer(p)->renderer != RENDERER_OWN;
    ok = ok && (rendered ? known(p, &r) : load_base(p, &r));
    p->overrides = arena_array(&p->arena, req->n_overrides + 1, sizeof(*p->overrides));
    for (size_t i = 0; ok && i < req->n_overrides; i++)
        ok = load_override(p, req->overrides[i], i, problems);
    if (ok && rendered)
        ok = pillar_render(p, only, problems);
    else if (ok && p->rendered != NULL)
        ok = pillar_by_node(p, p->rendered, problems);
    else if (ok && only == NULL)
        ok = pillar_ask_servers(p, problems);
    if (ok)
        return p;
    pillar_free(p);
    return NULL;
}

static void problems_move(struct problems *from, struct problems *to)
{
    for (size_t i = 0; i < from->n; i++)
        problems_add(to, "%s", from->lines[i]);
}

/* Where a node's own tree is not known, what follows from it is none of the mistakes. */
static bool nothing_late(struct pillar *p, struct problems *others, struct problems *problems)
{
    bool ok = p->late.n == 0;
    problems_move(ok ? others : &p->late, problems);
    return ok;
}

bool pillar_load_as(const struct pillar_request *req, struct pillar **ret, struct problems *problems)
{
    struct pillar *p = pillar_read(req, req->node, problems);
    auto_problems struct problems settled = {.n = 0};
    if (p != NULL && req->node != NULL)
        p->tree = pillar_tree_of(p, req->node);
    bool ok = p != NULL && (req->node != NULL || pillar_settle(p, &settled));
    if (p != NULL)
        ok = nothing_late(p, &settled, problems) && ok;
    if (ok)
        *ret = p;
    else
        pillar_free(p);
    return ok;
}

bool pillar_load(const char *root, const char *env, const char *const *overrides, size_t n_overrides,
                 struct pillar **ret, struct problems *problems)
{
    const struct pillar_request req = {
        .root = root, .env = env, .overrides = overrides, .n_overrides = n_overrides};
    return pillar_load_as(&req, ret, problems);
}

enum pillar_known pillar_known(const char *root, const char *env, struct problems *problems)
{
    struct pillar *p = pillar_new(env);
    struct sls_reader r = {.arena = &p->arena, .problems = problems, .dir = pillar_dir(root, &p->arena)};
    struct env_source source;
    p->root = arena_strdup(&p->arena, root);
    bool ok = release_yml_load(&p->arena, p->root, &p->yml, problems);
    p->rule = release_yml_env(&p->yml, env);
    ok =
        ok && ((p->rule != NULL && pillar_renderer(p)->renderer != RENDERER_OWN) || env_find(p, &r, &source));
    enum pillar_known known = ok ? PILLAR_KNOWN_YES : p->unknown ? PILLAR_KNOWN_NO : PILLAR_KNOWN_CANNOT_TELL;
    pillar_free(p);
    return known;
}

bool pillar_state(const char *root, struct arena *arena, const char **ret, struct problems *problems)
{
    struct release_yml yml;
    *ret = NULL;
    if (!release_yml_load(arena, root, &yml, problems))
        return false;
    *ret = yml.state;
    return true;
}

bool pillar_load_file(const char *path, const char *root_or_null, struct pillar **ret,
                      struct problems *problems)
{
    struct pillar *p = pillar_new("");
    struct sls_reader r = {.arena = &p->arena, .problems = problems, .dir = ""};
    if (root_or_null != NULL)
        r.dir = pillar_dir(root_or_null, &p->arena);
    p->tree = root_or_null == NULL ? sls_load_alone(&r, arena_strdup(&p->arena, path))
                                   : sls_load(&r, arena_strdup(&p->arena, path));
    bool ok = p->tree != NULL;
    if (ok)
        *ret = p;
    else
        pillar_free(p);
    return ok;
}

const char *pillar_differs(const struct pillar *p)
{
    return p->differs;
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
