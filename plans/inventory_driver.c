/* SPDX-License-Identifier: MIT */
/* app_servers: {DRIVER: {...}}: what stands there are the parameters of the driver's verb that lists nodes (inventory.h). */
#include "plans/inventory.h"

#include <string.h>

#include "base/hash.h"
#include "plans/json.h"
#include "plans/schema.h"

#define ARGS_MAX 32

static pillar_list_fn *_Atomic list_by;

void pillar_lists_by(pillar_list_fn *list)
{
    list_by = list;
}

static const struct verb *lists_nodes(const char *driver)
{
    for (const struct driver *const *d = driver_table; *d != NULL; d++)
        if (strcmp((*d)->name, driver) == 0)
            return driver_verb(*d, DOES_NODES);
    return NULL;
}

/* A node may be called as a driver is: then it has no parameter that the driver demands, or it has a host. */
static bool is_question(const struct value *v, const struct verb *verb)
{
    bool some = false;
    for (const struct param *p = verb->params; v->kind == VALUE_MAP && p->name != NULL; p++)
        some = some || (p->required && map_entry(v, p->name) != NULL);
    return some && map_entry(v, "host") == NULL;
}

const struct entry *inventory_driver(const struct value *app_servers, const struct verb **ret)
{
    for (size_t i = 0; app_servers != NULL && app_servers->kind == VALUE_MAP && i < app_servers->n; i++) {
        const struct entry *e = &app_servers->entries[i];
        const struct verb *verb = e->value == NULL ? NULL : lists_nodes(e->key);
        if (verb != NULL && is_question(e->value, verb)) {
            *ret = verb;
            return e;
        }
    }
    return NULL;
}

/* ---- its parameters */

struct listing_question {
    const struct entry *e;
    const struct verb *verb;
    struct arena *arena;
    struct problems *problems;
    struct op_pair args[ARGS_MAX];
    size_t n;
};

static bool wrong(struct listing_question *k, const struct value *v, const char *name, const char *wanted)
{
    problem_at(k->problems, v->at, "app_servers: %s: %s: wanted %s, found %s", k->e->key, name, wanted,
               v->kind == VALUE_SCALAR && !value_is_null(v) ? v->text : value_kind_text(v));
    return false;
}

/* As the text of an op's list or map: every scalar a string, as it is written. */
static bool text_put(struct buf *out, const struct value *v)
{
    bool ok = v->kind != VALUE_SCALAR || !value_is_null(v);
    if (v->kind == VALUE_SCALAR)
        json_string_add(out, v->text);
    else
        buf_puts(out, v->kind == VALUE_LIST ? "[" : "{");
    for (size_t i = 0; v->kind != VALUE_SCALAR && ok && i < v->n; i++) {
        buf_puts(out, i == 0 ? "" : ", ");
        if (v->kind == VALUE_MAP) {
            json_string_add(out, v->entries[i].key);
            buf_puts(out, ": ");
        }
        ok = text_put(out, v->kind == VALUE_LIST ? v->items[i] : v->entries[i].value);
    }
    if (v->kind != VALUE_SCALAR)
        buf_puts(out, v->kind == VALUE_LIST ? "]" : "}");
    return ok;
}

static const struct param *param_of(const struct verb *verb, const char *name)
{
    const struct param *p = verb->params;
    while (p->name != NULL && strcmp(p->name, name) != 0)
        p++;
    return p->name == NULL ? NULL : p;
}

static bool param_take(struct listing_question *k, const struct param *p, const struct value *v)
{
    auto_buf struct buf text = BUF_INIT(YAML_BYTES_MAX);
    bool plain = v->kind == VALUE_SCALAR && !value_is_null(v);
    if (p->type == PARAM_MAP && (v->kind != VALUE_MAP || !text_put(&text, v)))
        return wrong(k, v, p->name, "a map with plain values");
    if (p->type != PARAM_MAP && !plain)
        return wrong(k, v, p->name, "one plain value");
    if (p->type == PARAM_CHOICE && !choice_has(p->choices, v->text))
        return wrong(k, v, p->name, choices_text(k->arena, p->choices));
    must(k->n < ARGS_MAX);
    k->args[k->n++] = (struct op_pair){
        .name = p->name, .value = p->type == PARAM_MAP ? arena_strdup(k->arena, buf_str(&text)) : v->text};
    return true;
}

static bool unknown(struct listing_question *k, const struct entry *key)
{
    const char *names[ARGS_MAX];
    size_t n = 0;
    for (const struct param *p = k->verb->params; p->name != NULL && n < ARGS_MAX; p++)
        names[n++] = p->name;
    problem_at(k->problems, key->at, "app_servers: %s: unknown key '%s'%s; 'release help %s' lists them",
               k->e->key, key->key, nearest_hint(k->arena, key->key, names, n), k->verb->name);
    return false;
}

static bool question_read(struct listing_question *k)
{
    const struct value *map = k->e->value;
    struct err err = {.code = E_NONE};
    bool ok = true;
    for (size_t i = 0; i < map->n; i++) {
        const struct entry *key = &map->entries[i];
        const struct param *p = param_of(k->verb, key->key);
        ok = (p == NULL ? unknown(k, key) : param_take(k, p, key->value)) && ok;
    }
    for (const struct param *p = k->verb->params; p->name != NULL; p++)
        if (p->required && map_entry(map, p->name) == NULL) {
            problem_at(k->problems, k->e->at, "app_servers: %s: no %s (wanted: %s)", k->e->key, p->name,
                       p->help);
            ok = false;
        }
    if (!ok || k->verb->check == NULL || k->verb->check(k->args, k->n, k->verb->default_timeout_ms, &err))
        return ok;
    problem_at(k->problems, map->at, "app_servers: %s: %s", k->e->key, err.text);
    return false;
}

/* ---- asking */

bool inventory_driver_ask(const struct entry *e, const struct verb *verb, int64_t timeout_ms, struct arena *a,
                          struct rendered *ret_answer, struct problems *problems)
{
    struct listing_question k = {.e = e, .verb = verb, .arena = a, .problems = problems};
    struct err err = {.code = E_NONE};
    const struct op_pair *facts = NULL;
    size_t n = 0;
    pillar_list_fn *list = list_by;
    if (!question_read(&k))
        return false;
    const struct listing listing = {.verb = verb, .args = k.args, .n_args = k.n, .timeout_ms = timeout_ms};
    bool ok = list == NULL ? err_set(&err, E_STATE, "nobody here may ask for nodes")
                           : list(&listing, a, &facts, &n, &err);
    const char *nodes = op_pair_value(facts, n, NODES_FACT),
               *source = op_pair_value(facts, n, NODES_FACT_SOURCE);
    char limit[DURATION_TEXT_MAX];
    if (!ok && err.code == E_LATE)
        err_wrap(&err, "not done in %s (timeout: beside it sets another time)",
                 duration_text(timeout_ms, limit, sizeof(limit)));
    if (!ok) {
        problem_at(problems, e->at, "app_servers: %s: %s", e->key, err.text);
        return false;
    }
    must(nodes != NULL && source != NULL);
    ret_answer->source = source;
    sha256_hex(nodes, strlen(nodes), ret_answer->digest);
    return json_read(a, arena_printf(a, "answer of %s", e->key), nodes, strlen(nodes), &ret_answer->nodes,
                     problems);
}
