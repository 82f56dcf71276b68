/* top.sls as Salt has it: section -> target -> files. Globs and lists of node ids are matched; matchers that
 * ask a minion (grains, compounds, nodegroups) are refused by name, because nobody here can answer them. */
#include "plans/top.h"

#include <fnmatch.h>
#include <string.h>

bool target_matches(const char *target, const char *node)
{
    char one[256];
    for (const char *s = target; *s != '\0';) {
        size_t n = strcspn(s, ",");
        if (n < sizeof(one)) {
            memcpy(one, s, n);
            one[n] = '\0';
            if (fnmatch(one, node, 0) == 0)
                return true;
        }
        s += n + (s[n] == ',');
    }
    return false;
}

static void layer_add(struct sls_reader *r, struct top *top, const struct entry *target,
                      const struct value *tree)
{
    if (top->n == top->cap) {
        size_t cap = top->cap == 0 ? 8 : top->cap * 2;
        struct top_layer *bigger = arena_array(r->arena, cap, sizeof(*bigger));
        for (size_t i = 0; i < top->n; i++)
            bigger[i] = top->layers[i];
        top->layers = bigger;
        top->cap = cap;
    }
    top->layers[top->n++] = (struct top_layer){.target = target->key, .at = target->at, .tree = tree};
}

static bool option_ok(struct sls_reader *r, const struct value *options, bool *ret_ignore_missing)
{
    bool ok = true;
    for (size_t i = 0; i < options->n; i++) {
        const struct entry *e = &options->entries[i];
        const char *text = e->value->kind == VALUE_SCALAR ? e->value->text : "";
        bool yes = false;
        if (strcmp(e->key, "ignore_missing") == 0 && scalar_bool(text, &yes)) {
            *ret_ignore_missing = yes;
            continue;
        }
        if (strcmp(e->key, "match") == 0 && (strcmp(text, "glob") == 0 || strcmp(text, "list") == 0))
            continue;
        problem_at(r->problems, e->at,
                   "%s: %s is not supported (wanted: globs or 'match: list' of node ids); let Salt decide: "
                   "salt-call "
                   "--local pillar.items --out=json > pillar/ENV.json",
                   e->key, *text == '\0' ? value_kind_text(e->value) : text);
        ok = false;
    }
    return ok;
}

static bool target_load(struct sls_reader *r, const struct entry *target, struct top *top)
{
    const struct value *list = target->value;
    bool ignore_missing = false, ok = true;
    if (list->kind != VALUE_LIST) {
        problem_at(r->problems, list->at, "target '%s' wants a list of pillar files, not %s", target->key,
                   value_kind_text(list));
        return false;
    }
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i]->kind == VALUE_MAP)
            ok = option_ok(r, list->items[i], &ignore_missing) && ok;
    for (size_t i = 0; ok && i < list->n; i++) {
        const struct value *item = list->items[i];
        if (item->kind == VALUE_MAP || (ignore_missing && sls_find(r, item->text) == NULL))
            continue;
        const struct value *tree =
            item->kind == VALUE_SCALAR ? sls_load_named(r, item->text, item->at) : NULL;
        if (tree != NULL)
            layer_add(r, top, target, tree);
        ok = tree != NULL;
    }
    return ok;
}

bool top_load(struct sls_reader *r, const char *path, const char *env, struct top *ret)
{
    const struct value *file = yaml_load_file(r->arena, path, r->problems);
    if (file == NULL)
        return false;
    const struct value *section = map_get(file, env);
    if (section == NULL) {
        problem_at(r->problems, file->at, "no section '%s'", env);
        return false;
    }
    if (section->kind != VALUE_MAP) {
        problem_at(r->problems, section->at, "a section of top.sls wants a map of targets, not %s",
                   value_kind_text(section));
        return false;
    }
    bool ok = true;
    for (size_t i = 0; i < section->n; i++)
        ok = target_load(r, &section->entries[i], ret) && ok;
    return ok;
}

size_t top_sections(const struct value *top, const char **names, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < top->n && n < max; i++)
        names[n++] = top->entries[i].key;
    return n;
}
