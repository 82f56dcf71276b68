/* SPDX-License-Identifier: MIT */
/* What can only be judged with the values of each node in place: has each node what steps use, which server of a balancer is
 * whose, and arguments that a verb itself calls wrong. */
#include "plans/compile_priv.h"

#include <string.h>

#include "plans/judge.h"

/* ---- what steps use
 * ------------------------------------------------------------------------------------------- */

const char *node_pillar_value(struct compiler *c, const struct plan_node *node, const char *name)
{
    const struct value *v =
        value_get(pillar_tree_of(c->pillar, node->of_host != NULL ? node->of_host : node->id),
                  name + strlen("pillar:"));
    return v != NULL && v->kind == VALUE_SCALAR ? v->text : NULL;
}

static void add_node_var(struct compiler *c, struct plan_node *node, const char *name, const char *value)
{
    struct op_pair *vars = arena_array(c->r.arena, node->n_vars + 1, sizeof(*vars));
    memcpy(vars, node->vars, node->n_vars * sizeof(*vars));
    vars[node->n_vars++] = (struct op_pair){.name = name, .value = value};
    node->vars = vars;
}

static bool prove_one(struct compiler *c, struct plan_node *node, const struct var_use *use)
{
    if (op_pair_value(node->vars, node->n_vars, use->name) != NULL)
        return true;
    if (!str_starts(use->name, "pillar:")) {
        problem_at(c->r.problems, use->at, "{%s}: node '%s' (%s) has no '%s'", use->name, node->id,
                   node->where, use->name);
        return false;
    }
    const char *value = node_pillar_value(c, node, use->name);
    if (value == NULL)
        problem_at(c->r.problems, use->at, "{%s}: the pillar of node '%s' has no such text", use->name,
                   node->id);
    else
        add_node_var(c, node, use->name, value);
    return value != NULL;
}

void nodes_prove(struct compiler *c)
{
    for (size_t u = 0; u < c->n_uses && !c->nodes_wrong; u++)
        for (size_t i = 0; i < c->plan->n_nodes; i++)
            if (!prove_one(c, &c->plan->nodes[i], &c->uses[u]))
                break; /* one node stands for all that lack it */
}

/* A node that --only leaves out is counted as well, and has not been proved: its pillar values are looked up
 * here, and one that it lacks stays as it is written. */
static struct plan_node with_pillar_values(struct compiler *c, const struct plan_node *node)
{
    struct plan_node copy = *node;
    struct op_pair *vars = arena_array(c->r.arena, node->n_vars + c->n_uses + 1, sizeof(*vars));
    memcpy(vars, node->vars, node->n_vars * sizeof(*vars));
    for (size_t u = 0; u < c->n_uses; u++) {
        const char *name = c->uses[u].name;
        const char *value = str_starts(name, "pillar:") && op_pair_value(vars, copy.n_vars, name) == NULL
                                ? node_pillar_value(c, node, name)
                                : NULL;
        if (value != NULL)
            vars[copy.n_vars++] = (struct op_pair){.name = name, .value = value};
    }
    copy.vars = vars;
    return copy;
}

/* By the arguments of the block's own verbs: `server`, or the `backend` of a node in a VCL; else lb_server.
 */
const char *plan_server(const struct plan *plan, const struct plan_step *step, const struct verb *verb,
                        const struct plan_node *node, struct arena *arena)
{
    size_t n;
    const struct op_pair *args = plan_args(plan, step, node, false, arena, &n);
    bool has_server = false;
    for (const struct param *p = verb->params; p != NULL && p->name != NULL; p++)
        has_server = has_server || strcmp(p->name, "server") == 0;
    const char *own = op_pair_value(args, n, has_server ? "server" : "backend");
    return own != NULL ? own : op_pair_value(node->vars, node->n_vars, "lb_server");
}

static const char *servers_of_block(struct compiler *c, const struct plan_step *guard)
{
    auto_buf struct buf out = BUF_INIT((size_t)16 * 1024 * 1024);
    struct value *seen = value_map(c->r.arena, c->b.map->at);
    buf_puts(&out, "[");
    for (size_t i = 0; i < c->n_all_nodes; i++) {
        struct plan_node node = with_pillar_values(c, &c->all_nodes[i]);
        const char *server =
            plan_server(c->plan, guard, table_verb(c->table, guard->verb), &node, c->r.arena);
        const struct entry *first = map_entry(seen, server);
        if (first != NULL)
            problems_add(c->r.problems,
                         "%s: '%s' is the server of node %s and of node %s: each node needs one of its own "
                         "(server: \"{node}-web\")",
                         guard->where, server, first->value->text, node.id);
        else
            (void)map_add(c->r.arena, seen, server, c->b.map->at,
                          value_scalar(c->r.arena, c->b.map->at, node.id));
        buf_puts(&out, i == 0 ? "" : ",");
        json_string_add(&out, server);
        if (first != NULL)
            break;
    }
    buf_puts(&out, "]");
    return arena_strdup(c->r.arena, buf_str(&out));
}

/* The floor counts what the drains take out: each block the servers that it names itself. */
static void servers_set(struct compiler *c, struct plan_step *step)
{
    const struct plan_step *guard = &c->plan->guard_step;
    for (; step != NULL && guard != NULL && step->verb != NULL && guard->verb != NULL; guard = guard->also) {
        struct op_pair *args = arena_array(c->r.arena, step->n_args + 1, sizeof(*args));
        for (size_t i = 0; i < step->n_args; i++) {
            args[i] = step->args[i];
            if (strcmp(args[i].name, "servers") == 0)
                args[i].value = servers_of_block(c, guard);
        }
        step->args = args;
        /* The chain was made in balancer_probe, of this compiler's own memory. */
        struct plan_step *next = NULL;
        if (step->also != NULL) {
            next = arena_alloc(c->r.arena, sizeof(*next));
            *next = *step->also;
            step->also = next;
        }
        step = next;
    }
}

void lb_servers_set(struct compiler *c)
{
    servers_set(c, &c->plan->capacity_step);
    if (c->judge != NULL)
        servers_set(c, &c->judge->step); /* and the judge looks for those that the drains take out */
}

void args_prove(struct compiler *c)
{
    const struct plan *plan = c->plan;
    for (size_t s = 0; s < plan->n_steps; s++) {
        const struct plan_step *step = &plan->steps[s];
        const struct verb *verb = table_verb(c->table, step->verb);
        bool of_node = verb->scope == SCOPE_NODE || verb->scope == SCOPE_BALANCER;
        for (size_t i = 0; verb->check != NULL && i < (of_node ? plan->n_nodes : 1); i++) {
            auto_arena struct arena scratch = {.head = NULL};
            const struct plan_node *node = of_node ? &plan->nodes[i] : NULL;
            struct err err = {.code = E_NONE};
            size_t n;
            const struct op_pair *args = plan_args(plan, step, node, false, &scratch, &n);
            if (verb->check(args, n, step->timeout_ms, &err))
                continue;
            const char *whose = step->by_block != NULL
                                    ? step->by_block
                                    : arena_printf(&scratch, "%s: %s", step->where, step->verb);
            problems_add(c->r.problems, "%s: %s%s%s%s", whose, err.text, node ? " (node " : "",
                         node ? node->id : "", node ? ")" : "");
            break; /* one node stands for all */
        }
    }
}
