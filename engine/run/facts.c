/* SPDX-License-Identifier: MIT */
/* What ops reported about each node in this release: small, looked up by name. */
#include "run/run_priv.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct fact {
    struct fact *next;
    const char *name;
    char *value;
};

struct facts {
    struct arena arena;
    uint32_t n_nodes;
    struct fact **of; /* n_nodes + 1 lists */
};

struct facts *facts_new(const struct plan *plan)
{
    struct facts *f = xcalloc(1, sizeof(*f));
    f->n_nodes = (uint32_t)plan->n_nodes;
    f->of = xcalloc(plan->n_nodes + 1, sizeof(struct fact *));
    for (uint32_t i = 0; i < f->n_nodes; i++)
        for (size_t k = 0; k < plan->nodes[i].n_facts; k++)
            facts_set(f, i, plan->nodes[i].facts[k].name, plan->nodes[i].facts[k].value);
    return f;
}

void facts_free(struct facts *f)
{
    if (!f)
        return;
    arena_fini(&f->arena);
    free(f->of);
    free(f);
}

void facts_set(struct facts *f, uint32_t node, const char *name, const char *value)
{
    struct fact *fact = f->of[node];
    while (fact && strcmp(fact->name, name) != 0)
        fact = fact->next;
    if (!fact) {
        fact = arena_alloc(&f->arena, sizeof(*fact));
        *fact = (struct fact){.next = f->of[node], .name = arena_strdup(&f->arena, name)};
        f->of[node] = fact;
    }
    if (fact->value && strlen(value) <= strlen(fact->value))
        memmove(fact->value, value, strlen(value) + 1); /* some change with every reading: no new memory */
    else
        fact->value = arena_strdup(&f->arena, value);
}

void facts_set_json(struct facts *f, uint32_t node, const char *json)
{
    if (!*json)
        return;
    json_t *object = json_loads(json, 0, NULL);
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) if (json_is_string(value))
        facts_set(f, node, name, json_string_value(value));
    json_decref(object);
}

const char *facts_get(const struct facts *f, uint32_t node, const char *name)
{
    for (const struct fact *fact = f->of[node]; fact; fact = fact->next)
        if (strcmp(fact->name, name) == 0)
            return fact->value;
    return NULL;
}

const struct op_pair *facts_all(const struct facts *f, uint32_t node, struct arena *arena, size_t *ret_n)
{
    size_t n = 0;
    for (const struct fact *fact = f->of[node]; fact; fact = fact->next)
        n++;
    struct op_pair *pairs = arena_array(arena, n + 1, sizeof(*pairs));
    n = 0;
    for (const struct fact *fact = f->of[node]; fact; fact = fact->next)
        pairs[n++] = (struct op_pair){.name = arena_strdup(arena, fact->name),
                                      .value = arena_strdup(arena, fact->value)};
    *ret_n = n;
    return pairs;
}

const char *facts_json(const struct op_pair *facts, size_t n, struct arena *arena)
{
    if (n == 0)
        return "";
    json_t *object = json_object();
    for (size_t i = 0; i < n; i++) {
        /* Remote bytes need not be UTF-8: what is not becomes visible text. */
        auto_buf struct buf visible = BUF_INIT(64u * 1024u);
        json_t *value = json_string(facts[i].value);
        if (!value) {
            text_visible(&visible, facts[i].value, strlen(facts[i].value));
            value = json_string(buf_str(&visible));
        }
        json_object_set_new(object, facts[i].name, value ? value : json_string(""));
    }
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(object);
    must(text != NULL);
    const char *kept = arena_strdup(arena, text);
    free(text);
    return kept;
}
