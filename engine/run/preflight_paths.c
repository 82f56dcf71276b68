/* SPDX-License-Identifier: MIT */
/* Preflight of `shared:`: what a release would find missing or wrong with a node in the hand is said before.
 * The node says what is in its way (release.probe: fact shared.N), the repository which paths the revision
 * brings itself (git.resolve: holds.N); N counts the words of `shared:`, which are explained in
 * drivers/node/sh/dirlib.sh. */
#include <jansson.h>
#include <string.h>

#include "run/preflight_priv.h"

struct shared_word {
    const char *path;
    bool required, may_be_made;
};

static struct shared_word word_read(struct arena *arena, const char *word)
{
    const char *flags_end = word[0] == '/' ? strchr(word + 1, '/') : NULL,
               *path = flags_end ? flags_end + 1 : word;
    const char *flags = flags_end ? arena_strndup(arena, word + 1, strcspn(word + 1, ",/")) : "";
    size_t n = strlen(path);
    bool slash = n > 0 && path[n - 1] == '/';
    return (struct shared_word){.path = arena_strndup(arena, path, slash ? n - 1 : n),
                                .required = strchr(flags, 'r') != NULL,
                                .may_be_made = slash || *flags};
}

static void judge(struct preflight *p, const struct plan_node *node, const struct shared_word *w,
                  const char *trouble, bool in_revision)
{
    const char *dir = preflight_dir(p, node);
    bool missing = strcmp(trouble, "missing") == 0;
    if (!missing)
        problems_add(p->problems, "%s: %s/shared/%s %s", node->id, dir, w->path, trouble);
    else if (w->required)
        problems_add(p->problems,
                     "%s: %s/shared/%s is missing, and the pillar says that it is required: put it there",
                     node->id, dir, w->path);
    else if (!w->may_be_made && !in_revision)
        problems_add(
            p->problems,
            "%s: %s/shared/%s is missing, and the revision does not bring it: put it there, or say in the "
            "pillar what may begin empty: '%s/' is a directory, {path: %s, file: yes, required: no} a file",
            node->id, dir, w->path, w->path, w->path);
}

void preflight_paths(struct preflight *p, size_t i)
{
    const struct plan_role role = plan_role_of(p->plan, p->plan->nodes[i].role);
    const struct plan_step *step = &role.probe_step;
    const char *json = op_pair_value(step->args, step->n_args, "shared");
    /* A way back goes to a directory whose links were made then. */
    if (!json || p->plan->kind != KIND_RELEASE || !preflight_good(p->asked[i].runs) ||
        !preflight_good(p->resolve))
        return;
    json_t *words = json_loads(json, 0, NULL);
    for (size_t n = 0; n < json_array_size(words); n++) {
        const char *trouble = preflight_fact(p->asked[i].runs, arena_printf(p->arena, "shared.%zu", n));
        const char *text = json_string_value(json_array_get(words, n));
        if (!trouble || !text)
            continue;
        struct shared_word w = word_read(p->arena, text);
        judge(p, &p->plan->nodes[i], &w, trouble,
              preflight_fact(p->resolve, arena_printf(p->arena, "holds.%zu", n)) != NULL);
    }
    json_decref(words);
}
