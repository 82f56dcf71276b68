/* SPDX-License-Identifier: MIT */
/* Records of the core as journal rows with names and messages, and rows as records for a replay. */
#include "run/judge.h"
#include "run/run_priv.h"

#include <stdlib.h>
#include <string.h>

struct node_index {
    const struct plan *plan;
    uint32_t *sorted;
};

static int by_id(const void *a, const void *b, void *plan)
{
    const struct plan_node *nodes = ((const struct plan *)plan)->nodes;
    return strcmp(nodes[*(const uint32_t *)a].id, nodes[*(const uint32_t *)b].id);
}

struct node_index *node_index_new(const struct plan *plan, struct arena *arena)
{
    struct node_index *x = arena_alloc(arena, sizeof(*x));
    *x = (struct node_index){.plan = plan, .sorted = arena_array(arena, plan->n_nodes + 1, sizeof(uint32_t))};
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        x->sorted[i] = i;
    struct plan copy = *plan; /* qsort_r wants a plain pointer */
    qsort_r(x->sorted, plan->n_nodes, sizeof(uint32_t), by_id, &copy);
    return x;
}

static bool index_find(const struct node_index *x, const char *id, uint32_t *ret)
{
    size_t low = 0, high = x->plan->n_nodes;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(x->plan->nodes[x->sorted[middle]].id, id);
        if (order == 0) {
            *ret = x->sorted[middle];
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static const char *code_text(const struct record *r)
{
    switch (r->kind) {
    case ROW_INTENT: return role_name((enum role)r->code);
    case ROW_OUTCOME: return outcome_name((enum outcome)r->code);
    case ROW_NOTE: return note_name((enum note)r->code);
    case ROW_ORDER: return order_name((enum order)r->code);
    case ROW_COUNT: break;
    }
    return "?";
}

/* "app1: drain: 14 sessions left ..." for outcomes that did not go well; the driver's own words carry
 * observed and wanted. */
static const char *outcome_message(const struct row_context *ctx, const struct record *r, const char *node,
                                   const char *label)
{
    if (r->code == OUT_OK)
        return "";
    if (!ctx->job || !ctx->job->result)
        return arena_printf(ctx->arena, "%s: %s: its outcome is not known: the controller ended in between",
                            node, label);
    const char *what = ctx->job->result->err.text;
    return arena_printf(ctx->arena, "%s%s%s: %s", node, *node ? ": " : "", label,
                        *what ? what : outcome_name((enum outcome)r->code));
}

const char *rows_why(const struct plan *plan, enum why why, const char *failed, struct arena *arena)
{
    switch (why) {
    case WHY_FAILED:
        if (!*failed)
            return why_name(why);
        return plan->max_failed == 0 || plan->n_roles > 0
                   ? failed
                   : arena_printf(arena, "%s (max_failed %u): %s", why_name(why), plan->max_failed, failed);
    case WHY_SOAK:
    case WHY_JUDGED:
    case WHY_UNJUDGED:
    case WHY_VERIFY:
    case WHY_PREPARE:
    case WHY_ONCE:
    case WHY_HOOK:
    case WHY_UNKNOWN:
    case WHY_DRAIN:
    case WHY_BACK_FAILED:
        return *failed ? arena_printf(arena, "%s: %s", why_name(why), failed) : why_name(why);
    case WHY_NONE:
    case WHY_OPERATOR:
    case WHY_FLOOR:
    case WHY_BALANCER:
    case WHY_NOTHING_BEFORE:
    case WHY_COUNT: break;
    }
    return why_name(why);
}

/* An end, or a stop, names the node that it is about. */
static const char *why_message(const struct row_context *ctx, const struct record *r)
{
    static const char colon[] = ": ";
    auto_buf struct buf text = BUF_INIT(2000);
    note_text(&text, (enum note)r->code, "", "", r->a, WHY_NONE);
    const char *why = rows_why(ctx->plan, (enum why)r->b, ctx->failed, ctx->arena);
    return arena_printf(ctx->arena, "%s%s%s", buf_str(&text), *why ? colon : "", why);
}

/* What is still not so, and what gives it longer. What could not be learnt is no number. */
static const char *deadline_message(const struct row_context *ctx, const struct record *r, const char *node,
                                    const char *label)
{
    const struct plan_step *step = &ctx->plan->steps[r->step];
    const struct verb *verb = verb_find(step->verb, NULL);
    const char *look = facts_get(ctx->facts, r->node, "look");
    const char *unknown = facts_get(ctx->facts, r->node, "look.unknown");
    char spent[DURATION_TEXT_MAX];
    auto_buf struct buf text = BUF_INIT(2000);
    duration_text(r->b, spent, sizeof(spent));
    if (unknown && *unknown)
        buf_printf(&text, "%s: %s: not known after %s: %s", node, label, spent, unknown);
    else if (look && step->phase != PHASE_DRAIN)
        buf_printf(&text, "%s: %s: not as wanted after %s: %s", node, label, spent, look);
    else
        note_text(&text, NOTE_DEADLINE, node, label, r->a, r->b);
    if (verb)
        buf_printf(&text, "; `%s` allows more", verb_deadline_key(verb, ctx->arena));
    return arena_strdup(ctx->arena, buf_str(&text));
}

static const char *note_message(const struct row_context *ctx, const struct record *r, const char *node,
                                const char *label)
{
    if (r->code == NOTE_END || r->code == NOTE_STOPPING)
        return why_message(ctx, r);
    if (r->code == NOTE_DEADLINE)
        return deadline_message(ctx, r, node, label);
    const char *why =
        r->code == NOTE_JUDGED ? facts_get(ctx->facts, (uint32_t)ctx->plan->n_nodes, JUDGE_FACT_WHY) : NULL;
    auto_buf struct buf text = BUF_INIT(4000);
    note_text(&text, (enum note)r->code, node, label, r->a, r->b);
    if (why && *why)
        buf_printf(&text, ": %s", why);
    return arena_strdup(ctx->arena, buf_str(&text));
}

/* A drain, or the maintenance that a waiting step sets when sessions do not go: which of them may have been
 * done is owed back, by a later release too. LB_FACT_MAINT tells `enable` whose maintenance it finds. */
static size_t debt_facts(const struct row_context *ctx, const struct record *r, struct op_pair *ret)
{
    const char *verb = ctx->plan->steps[r->step].verb,
               *before = facts_get(ctx->facts, r->node, LB_FACT_BEFORE);
    if (r->role == ROLE_ESCALATE || r->role == ROLE_KILL) {
        ret[0] = (struct op_pair){"debt", lb_debt_maint(ctx->arena, verb, ctx->release)};
        ret[1] = (struct op_pair){LB_FACT_MAINT, LB_OURS};
        return 2;
    }
    ret[0] = (struct op_pair){"debt", lb_debt_drain(ctx->arena, verb, ctx->release, before)};
    return 1;
}

/* Any step of the phase that takes a node out, and a balancer's drain wherever it stands. */
static bool step_takes_out(const struct plan_step *step)
{
    const struct verb *verb = verb_find(step->verb, NULL);
    bool drain = verb && verb_takes_out(verb);
    return step->phase == PHASE_DRAIN || drain;
}

/* The numbers of the verdict. */
static const char *judge_facts(const struct row_context *ctx)
{
    size_t n, used = 0;
    const struct op_pair *all = facts_all(ctx->facts, (uint32_t)ctx->plan->n_nodes, ctx->arena, &n);
    struct op_pair *ret = arena_array(ctx->arena, n + 1, sizeof(*ret));
    for (size_t i = 0; i < n; i++)
        if (str_starts(all[i].name, JUDGE_FACT) && strcmp(all[i].name, JUDGE_FACT_WHY) != 0 && *all[i].value)
            ret[used++] = all[i];
    return facts_json(ret, used, ctx->arena);
}

/* Facts that the readers of state/ rely on (docs/journal.md): what a node runs when it is back in rotation,
 * and the debt that begins with the intent of its drain. */
static const char *row_facts(const struct row_context *ctx, const struct record *r)
{
    const struct plan *plan = ctx->plan;
    bool of_node = r->node < plan->n_nodes;
    struct op_pair facts[3];
    size_t n = 0;
    if (r->kind == ROW_OUTCOME && ctx->job && ctx->job->result && ctx->job->req.op == r->op)
        return facts_json(ctx->job->result->facts, ctx->job->result->n_facts, ctx->arena);
    if (r->kind == ROW_NOTE && r->code == NOTE_JUDGED)
        return judge_facts(ctx);
    if (r->kind == ROW_ORDER && r->code == ORDER_START)
        return facts_json(plan->about, plan->n_about, ctx->arena);
    if (!of_node)
        return "";
    const struct plan_node *node = &plan->nodes[r->node];
    if (r->kind == ROW_NOTE && r->code == NOTE_NODE_IN) {
        facts[n++] = (struct op_pair){.name = "rev", .value = r->a ? node->rev_before : node->rev};
        if (node->target.identity)
            facts[n++] = (struct op_pair){.name = "identity", .value = node->target.identity};
    } else if (r->kind == ROW_INTENT && r->step < plan->n_steps && step_takes_out(&plan->steps[r->step])) {
        n = debt_facts(ctx, r, facts);
    }
    return facts_json(facts, n, ctx->arena);
}

void rows_from_record(const struct row_context *ctx, const struct record *r, struct row *ret)
{
    const struct plan *plan = ctx->plan;
    const char *node = r->node < plan->n_nodes ? plan->nodes[r->node].id : "";
    bool has_step = r->step < plan->n_steps;
    const char *label = has_step ? plan->steps[r->step].label : "";
    *ret =
        (struct row){.release = ctx->release,
                     .kind = r->kind,
                     .node = node,
                     .step = has_step ? r->step : -1,
                     .verb = has_step ? plan->steps[r->step].verb : "",
                     .role = r->kind == ROW_NOTE || r->kind == ROW_ORDER ? "" : role_name((enum role)r->role),
                     .code = code_text(r),
                     .attempt = r->attempt,
                     .back = r->back,
                     .a = r->a,
                     .b = r->b,
                     .facts = row_facts(ctx, r),
                     .text = r->kind == ROW_OUTCOME ? outcome_message(ctx, r, node, label)
                             : r->kind == ROW_NOTE  ? note_message(ctx, r, node, label)
                                                    : ""};
}

/* The core believes its rows: a number that leads out of its arrays must not get that far. */
static bool note_sound(const struct plan *plan, enum note note, const struct row *row)
{
    switch (note) {
    case NOTE_LIFE: return row->a >= 0 && row->a < LIFE_COUNT && row->b >= 0 && row->b < WHY_COUNT;
    case NOTE_STAGE: return row->a >= 0 && row->a < (int64_t)plan->n_stages;
    case NOTE_NODE_TURN: return row->a >= 0 && row->a <= (int64_t)plan->n_steps;
    case NOTE_WENT_ON:
    case NOTE_RETRY: return row->step >= 0;
    case NOTE_STOPPING: return row->b >= 0 && row->b < WHY_COUNT;
    case NOTE_END: return row->a >= 0 && row->a <= 255 && row->b >= 0 && row->b < WHY_COUNT;
    case NOTE_JUDGED: return row->b >= 0 && row->b <= JUDGED_BADLY;
    case NOTE_SOAK:
    case NOTE_SOAKED:
    case NOTE_SOAK_FAILED:
    case NOTE_ADMIT:
    case NOTE_FLOOR_WAIT:
    case NOTE_FLOOR_STOP:
    case NOTE_PROGRESS:
    case NOTE_LOST:
    case NOTE_ESCALATE:
    case NOTE_DEADLINE:
    case NOTE_PROCEED:
    case NOTE_NODE_FAILED:
    case NOTE_NODE_IN:
    case NOTE_NODE_OUT:
    case NOTE_GIVEN_UP:
    case NOTE_NODE_LEFT:
    case NOTE_GANG_OK:
    case NOTE_GANG_BAD:
    case NOTE_COUNT: return true;
    }
    return false;
}

static bool row_sound(const struct plan *plan, const struct row *row, int code, int role)
{
    if (row->attempt < 0 || row->attempt > UINT8_MAX)
        return false;
    if (row->kind == ROW_NOTE)
        return note_sound(plan, (enum note)code, row);
    bool beside = role == ROLE_GUARD || role == ROLE_CAPACITY || role == ROLE_JUDGE;
    return row->kind == ROW_ORDER || row->step >= 0 || beside;
}

bool rows_to_record(const struct plan *plan, const struct node_index *index, const struct row *row,
                    struct record *ret)
{
    int code = -1;
    int role = row->role && *row->role ? role_from_name(row->role) : ROLE_NONE;
    uint32_t node = (uint32_t)plan->n_nodes;
    switch (row->kind) {
    case ROW_INTENT: code = role_from_name(row->code); break;
    case ROW_OUTCOME: code = outcome_from_name(row->code); break;
    case ROW_NOTE: code = note_from_name(row->code); break;
    case ROW_ORDER: code = order_from_name(row->code); break;
    case ROW_COUNT: break;
    }
    if (code < 0 || role < 0 || row->step >= (int)plan->n_steps ||
        (*row->node && !index_find(index, row->node, &node)) || !row_sound(plan, row, code, role))
        return false;
    *ret = (struct record){.kind = row->kind,
                           .code = (uint8_t)code,
                           .role = (uint8_t)role,
                           .attempt = (uint8_t)row->attempt,
                           .back = row->back,
                           .node = node,
                           .step = row->step < 0 ? CORE_NO_STEP : (uint16_t)row->step,
                           .a = row->a,
                           .b = row->b};
    return true;
}
