/* SPDX-License-Identifier: MIT */
/* A finished release's own plan turned round: each node to what it ran before that release, in exactly the
 * directory that it ran. */
#include "cli/rollback.h"

#include <inttypes.h>
#include <string.h>

const char *rollback_fact(const struct plan_node *node, const char *name)
{
    for (size_t i = node->n_facts; i-- > 0;)
        if (strcmp(node->facts[i].name, name) == 0)
            return node->facts[i].value;
    return "";
}

void rollback_keep_dir(struct arena *arena, struct plan_node *node, const char *before)
{
    struct op_pair *vars = arena_array(arena, node->n_vars + 1, sizeof *vars);
    size_t n = 0;
    if (*before == '\0')
        return;
    for (size_t i = 0; i < node->n_vars; i++)
        if (strcmp(node->vars[i].name, "release_dir") != 0)
            vars[n++] = node->vars[i];
    vars[n++] = (struct op_pair){.name = "release_dir", .value = before};
    node->vars = vars;
    node->n_vars = n;
}

/* A check that was not true of what the node ran then is not expected to be true of it now. */
static void keep_untrue_checks(struct arena *arena, struct plan_node *node)
{
    static const char was[] = "http.was.";
    struct op_pair *kept = arena_array(arena, node->n_facts + 1, sizeof *kept);
    size_t n = 0;
    for (size_t i = 0; i < node->n_facts; i++)
        if (str_starts(node->facts[i].name, was))
            kept[n++] = (struct op_pair){
                .name = arena_printf(arena, "http.back.%s", node->facts[i].name + strlen(was)),
                .value = node->facts[i].value};
    node->facts = kept;
    node->n_facts = n;
}

/* What an undo needs of the release that is taken back: it runs there, with what the step had. */
static void keep_for_undo(struct arena *arena, const struct plan *plan, const struct plan_node *of,
                          struct plan_node *node)
{
    size_t n_all, n = 0;
    const struct op_pair *all = plan_vars(plan, of, false, arena, &n_all);
    struct op_pair *vars = arena_array(arena, node->n_vars + 2, sizeof *vars);
    for (size_t i = 0; i < node->n_vars; i++)
        if (!str_starts(node->vars[i].name, "undo."))
            vars[n++] = node->vars[i];
    for (size_t i = 0; i < n_all; i++)
        if (strcmp(all[i].name, "release_dir") == 0 || strcmp(all[i].name, "rev") == 0)
            vars[n++] =
                (struct op_pair){.name = arena_printf(arena, "undo.%s", all[i].name), .value = all[i].value};
    node->vars = vars;
    node->n_vars = n;
}

/* Nodes that ran nothing before have nothing to go back to: they are left alone, and said. */
static void keep_nodes_with_past(struct arena *arena, struct plan *plan, const bool *out)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n_nodes; i++) {
        struct plan_node node = plan->nodes[i];
        if (out && out[i])
            continue;
        if (!node.rev_before || node.rev_before[0] == '\0') {
            say_note("%s: ran nothing before that release; it is left as it is", node.id);
            continue;
        }
        keep_for_undo(arena, plan, &plan->nodes[i], &node);
        rollback_keep_dir(arena, &node, rollback_fact(&node, "release.before"));
        node.rev = node.rev_before;
        node.rev_before = "";
        node.was_up = false;
        node.target.identity = NULL;
        keep_untrue_checks(arena, &node);
        plan->nodes[n++] = node;
    }
    plan->n_nodes = n;
}

static const struct op_pair *with_command(struct arena *arena, const struct plan_step *step)
{
    struct op_pair *args = arena_array(arena, step->n_args + 1, sizeof *args);
    const struct verb *verb = verb_find(step->verb, NULL);
    for (size_t i = 0; i < step->n_args; i++) {
        args[i] = step->args[i];
        if (verb && verb->undo_arg && strcmp(args[i].name, verb->undo_arg) == 0)
            args[i].value = step->undo_cmd;
    }
    return args;
}

static struct plan_step undo_of(struct arena *arena, const struct plan_step *of)
{
    struct plan_step step = *of;
    step.args = with_command(arena, of);
    step.label = arena_printf(arena, "undo %s", of->label);
    step.undo_cmd = NULL;
    step.undoes = true;
    step.phase = PHASE_AFTER;
    step.once = ONCE_AFTER;
    return step;
}

/* Run-once steps (migrations) are not run again for an old revision. One that names its own undo runs that
 * when the last node is back, the last one first: until then nodes serve what it would take away. */
static void once_steps_back(struct arena *arena, struct plan *plan)
{
    struct plan_step *steps = arena_array(arena, plan->n_steps + 1, sizeof *steps);
    size_t n = 0, i = 0;
    for (; i < plan->n_steps && plan->steps[i].phase <= PHASE_AFTER; i++)
        if (plan->steps[i].once == ONCE_NO)
            steps[n++] = plan->steps[i];
        else if (!plan->steps[i].undo_cmd)
            say_note("%s: ran once in that release and names no `undo:`; its effect stays",
                     plan->steps[i].label);
    for (size_t k = i; k-- > 0;)
        if (plan->steps[k].once == ONCE_NO || !plan->steps[k].undo_cmd)
            continue;
        else
            steps[n++] = undo_of(arena, &plan->steps[k]);
    for (; i < plan->n_steps; i++)
        steps[n++] = plan->steps[i];
    plan->steps = steps;
    plan->n_steps = n;
}

/* Its role has no node in this plan. */
static bool nobody_takes(const struct plan *plan, const struct plan_step *step)
{
    for (size_t i = 0; i < plan->n_nodes; i++)
        if (plan_takes(step, &plan->nodes[i]))
            return false;
    return true;
}

void rollback_nodes_known(struct arena *arena, struct plan *plan)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct plan_step *step = &plan->steps[i];
        if (step->undoes && nobody_takes(plan, step))
            say_note("%s: no node of its role goes back, so nobody undoes it; its effect stays", step->label);
        else
            plan->steps[n++] = *step;
    }
    plan->n_steps = n;
    plan_roles_drop_empty(plan, arena);
    rollback_one_stage(plan);
}

void rollback_one_stage(struct plan *plan)
{
    plan->n_stages = 1;
    plan->stage_end[0] = (uint32_t)plan->n_nodes;
    plan->soak_ms = 0;
    if (plan->window > plan->n_nodes)
        plan->window = plan->n_nodes ? (uint32_t)plan->n_nodes : 1;
    for (size_t r = 0; r < plan->n_roles; r++)
        plan->roles[r].soak_ms = 0;
}

void rollback_turn(struct arena *arena, struct plan *plan, const bool *out, int64_t of_release)
{
    keep_nodes_with_past(arena, plan, out);
    once_steps_back(arena, plan);
    plan_roles_reverse(plan, arena);
    plan->kind = KIND_ROLLBACK;
    plan->rev_typed = arena_printf(arena, "before release %" PRId64, of_release);
    plan->rev = plan->n_nodes ? plan->nodes[0].rev : "";
    rollback_one_stage(plan);
}
