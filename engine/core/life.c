/* SPDX-License-Identifier: MIT */
/* The release as a whole: which part of its life comes next, when it ends and with what. */
#include "core/core_priv.h"

/* Lives that walk one phase: on every node in parallel, on one node (run-once), or on the controller (hooks).
 */
bool life_gang_phase(enum life life, enum phase *ret_phase)
{
    static const struct {
        bool gang;
        enum phase phase;
    } table[LIFE_COUNT] = {
        [LIFE_HOOK_BEFORE] = {true, PHASE_HOOK_BEFORE},
        [LIFE_PREPARE] = {true, PHASE_PREPARE},
        [LIFE_BEFORE] = {true, PHASE_BEFORE},
        [LIFE_AFTER] = {true, PHASE_AFTER},
        [LIFE_VERIFY] = {true, PHASE_VERIFY},
        [LIFE_FINISH] = {true, PHASE_FINISH},
        [LIFE_HOOK_AFTER] = {true, PHASE_HOOK_AFTER},
        [LIFE_BACK_ONCE] = {true, PHASE_BEFORE}, /* up to PHASE_AFTER, the run-once steps only */
        [LIFE_BACK_VERIFY] = {true, PHASE_VERIFY},
        [LIFE_HOOK_FAILURE] = {true, PHASE_HOOK_FAILURE},
    };
    *ret_phase = table[life].phase;
    return table[life].gang;
}

bool life_range(const struct core *core, uint16_t *ret_first, uint16_t *ret_end)
{
    enum phase phase;
    if (!life_gang_phase((enum life)core->kept.life, &phase))
        return false;
    *ret_first = core->phase_first[phase];
    *ret_end = core->phase_first[core->kept.life == LIFE_BACK_ONCE ? PHASE_VERIFY : phase + 1];
    return true;
}

/* The undo of a run-once step belongs to the release, and comes when nobody serves what it would be taken
 * from: when every node is back, or let go. */
static bool owes_undo(const struct core *core, uint32_t i)
{
    if (core->kept.counts[NODE_LEFT] > 0 || core->nodes[i].kept.given_up)
        return false;
    for (uint16_t s = 0; s < core->plan->n_steps; s++)
        if (node_owes_undo_of(core, i, s))
            return true;
    return false;
}

/* `owner` as in core_step_def.group. Nobody whose host could not be prepared: what runs once would run in what is half
 * there. */
static uint32_t first_in_state(const struct core *core, uint8_t owner, enum node_state state)
{
    uint32_t i = owner > 1 ? core->plan->groups[owner - 2].end : 0;
    uint32_t end = owner > 0 ? core->plan->groups[owner - 1].end : core->plan->n_nodes;
    for (; i < end; i++)
        if (core->nodes[i].kept.state == state && (state != NODE_PENDING || host_is_prepared(core, i)))
            return i;
    return core->plan->n_nodes;
}

/* The node that the run-once steps of an owner are walked on: who has begun them already (only there can be seen
 * what became of them), else the first. No node: nobody, or the owner has none. */
static uint32_t once_node_of(const struct core *core, enum phase phase, uint8_t owner, enum node_state state)
{
    bool has_any = false;
    for (uint16_t s = core->phase_first[phase]; s < core->phase_first[phase + 1]; s++) {
        if (step_def(core, s)->group != owner)
            continue;
        has_any = true;
        if (core->kept.once_state[s] == ONCE_RUNNING &&
            core->nodes[core->kept.once_node[s]].kept.state == state)
            return core->kept.once_node[s];
    }
    return has_any ? first_in_state(core, owner, state) : core->plan->n_nodes;
}

static bool walks_once(const struct core *core, enum phase phase, uint32_t i, enum node_state state)
{
    if (core->nodes[i].kept.state != state)
        return false;
    uint8_t own = (uint8_t)(core_group_of(core->plan, i) + 1);
    return i == once_node_of(core, phase, 0, state) || i == once_node_of(core, phase, own, state);
}

/* Called for every node when a life begins, and for one node in each of its turns: cheap but for run-once
 * lives, which have few turns. */
bool life_takes_part(const struct core *core, uint32_t i)
{
    uint32_t none = core->plan->n_nodes;
    const struct node *n = &core->nodes[i];
    switch ((enum life)core->kept.life) {
    case LIFE_HOOK_BEFORE:
    case LIFE_HOOK_AFTER:
    case LIFE_HOOK_FAILURE: return i == none;
    case LIFE_PREPARE: return i != none && n->kept.state == NODE_PENDING;
    case LIFE_BEFORE: return i != none && walks_once(core, PHASE_BEFORE, i, NODE_PENDING);
    case LIFE_AFTER: return i != none && walks_once(core, PHASE_AFTER, i, NODE_DONE);
    case LIFE_VERIFY:
    case LIFE_FINISH: return i != none && n->kept.state == NODE_DONE;
    case LIFE_BACK_ONCE: return i != none && owes_undo(core, i);
    case LIFE_BACK_VERIFY:
        return i != none && ((n->kept.state == NODE_UNDONE && n->kept.touched) || host_may_run_new(core, i));
    case LIFE_NEW:
    case LIFE_ROLL:
    case LIFE_BACK:
    case LIFE_END:
    case LIFE_COUNT: return false;
    }
    return false;
}

static void begin(struct core *core, struct update *up, enum life life, enum why why)
{
    emit_note(core, up, NOTE_LIFE, core->plan->n_nodes, CORE_NO_STEP, life, why);
    if (life == LIFE_ROLL)
        emit_note(
            core, up, NOTE_STAGE, core->plan->n_nodes, CORE_NO_STEP, core->kept.stage,
            core->plan->stage_end[core->kept.stage]); /* a resume goes on in the stage that it had reached */
}

static enum life life_after(enum life life)
{
    switch (life) {
    case LIFE_BACK: return LIFE_BACK_ONCE;
    case LIFE_BACK_ONCE: return LIFE_BACK_VERIFY;
    case LIFE_BACK_VERIFY: return LIFE_HOOK_FAILURE;
    case LIFE_HOOK_AFTER:
    case LIFE_HOOK_FAILURE: return LIFE_END;
    case LIFE_NEW:
    case LIFE_HOOK_BEFORE:
    case LIFE_PREPARE:
    case LIFE_BEFORE:
    case LIFE_ROLL:
    case LIFE_AFTER:
    case LIFE_VERIFY:
    case LIFE_FINISH:
    case LIFE_END:
    case LIFE_COUNT: break;
    }
    return (enum life)(life + 1);
}

static bool life_has_steps(const struct core *core, enum life life)
{
    enum phase phase;
    if (!life_gang_phase(life, &phase))
        return true;
    if (life == LIFE_BACK_ONCE) {
        each_node(core, i) if (owes_undo(core, i)) return true;
        return false;
    }
    return core->phase_first[phase] < core->phase_first[phase + 1];
}

static bool any_suspect(const struct core *core)
{
    each_node(core, i) if (core->nodes[i].kept.suspect) return true;
    return false;
}

/* Instances that were not touched are looked at before anything that ran once is undone: one that runs the new revision
 * all the same goes back first. A plan that verifies nothing cannot look, and undoes all the same. */
static enum life life_back_after(const struct core *core)
{
    enum life life = (enum life)core->kept.life;
    bool looks = false, undoes = life_has_steps(core, LIFE_BACK_ONCE);
    if (life_has_steps(core, LIFE_BACK_VERIFY))
        each_node(core, i) looks |= host_may_run_new(core, i);
    if (life == LIFE_BACK_VERIFY && core->kept.counts[NODE_DONE] > 0)
        return LIFE_BACK;
    if (life == LIFE_BACK_VERIFY && undoes)
        return LIFE_BACK_ONCE;
    if (life == LIFE_BACK && undoes && looks)
        return LIFE_BACK_VERIFY;
    return life_after(life);
}

void life_next(struct core *core, struct update *up)
{
    if (core->kept.life == LIFE_VERIFY && any_suspect(core)) {
        life_fail(core, up, WHY_VERIFY);
        return;
    }
    enum life life = core->kept.back ? life_back_after(core) : life_after((enum life)core->kept.life);
    while (life != LIFE_END && !life_has_steps(core, life))
        life = life_after(life);
    begin(core, up, life, (enum why)core->kept.why);
}

/* The revision is at fault, or the release cannot go on: turn round or stop. Reasons that say nothing about
 * the revision never roll back what is finished and healthy. */
void life_fail(struct core *core, struct update *up, enum why why)
{
    bool revision = why == WHY_FAILED || why == WHY_SOAK || why == WHY_VERIFY || why == WHY_PREPARE ||
                    why == WHY_ONCE || why == WHY_HOOK || why == WHY_JUDGED;
    if (core->kept.back || core->kept.ended)
        return;
    if (revision && core->plan->rollback_on_failure)
        begin(core, up, LIFE_BACK, why);
    else if (!core->kept.stop)
        emit_note(core, up, NOTE_STOPPING, core->plan->n_nodes, CORE_NO_STEP, 0, why);
}

/* Nobody of the group is there to run a step that is its own: nobody else may run it. */
static bool once_missed(const struct core *core, uint32_t g)
{
    for (uint16_t s = 0; s < core->plan->n_steps; s++) {
        const struct core_step_def *def = step_def(core, s);
        if (def->once != ONCE_NO && def->group == g + 1 && !def->back_only &&
            core->kept.once_state[s] != ONCE_DONE && core->kept.of_group[g][NODE_DONE] == 0)
            return true;
    }
    return false;
}

bool life_once_failed(const struct core *core, uint32_t g)
{
    uint32_t i = g == 0 ? 0 : core->plan->groups[g - 1].end;
    while (i < core->plan->groups[g].end && core->nodes[i].kept.given_up == GIVEN_UP)
        i++;
    return i < core->plan->groups[g].end && once_missed(core, g);
}

static bool any_once_missed(const struct core *core)
{
    for (uint32_t g = 0; g < core->plan->n_groups; g++)
        if (once_missed(core, g))
            return true;
    return false;
}

static int exit_status_of(const struct core *core)
{
    const uint32_t *counts = core->kept.counts;
    if (counts[NODE_LEFT] + counts[NODE_OUT] + counts[NODE_BACK] > 0)
        return 5;
    if (core->kept.stop)
        return 4;
    if (core->kept.back)
        return 1;
    if (any_once_missed(core))
        return 4;
    uint32_t given_up = 0;
    each_node(core, i) given_up += core->nodes[i].kept.given_up == GIVEN_UP;
    return counts[NODE_DONE] > 0 && counts[NODE_DONE] + given_up == core->plan->n_nodes ? 0 : 4;
}

static void end(struct core *core, struct update *up)
{
    emit_note(core, up, NOTE_END, core->plan->n_nodes, CORE_NO_STEP, exit_status_of(core), core->kept.why);
}

static bool nobody_out(const struct core *core)
{
    return core->kept.counts[NODE_OUT] == 0 && core->kept.counts[NODE_BACK] == 0;
}

/* Every node that has not had its turn since the last global change. */
static void scan_nodes(struct core *core, struct update *up)
{
    for (; core->scan <= core->plan->n_nodes; core->scan++) {
        if (!has_room(core, up))
            return;
        node_advance(core, up, core->scan);
    }
}

static bool part_finished(const struct core *core)
{
    enum phase phase;
    if (life_gang_phase((enum life)core->kept.life, &phase))
        return core->kept.gang_todo == 0;
    if (core->kept.life == LIFE_BACK)
        return nobody_out(core) && core->kept.counts[NODE_DONE] == 0 && core->n_inflight == 0;
    return core->kept.life == LIFE_NEW;
}

void life_pump(struct core *core, struct update *up)
{
    for (;;) {
        if (core->kept.ended || !has_room(core, up))
            return;
        if (core->kept.abort) {
            if (core->n_inflight == 0)
                end(core, up);
            return;
        }
        scan_nodes(core, up);
        if (core->scan <= core->plan->n_nodes)
            return; /* the update is full: go on in the next one */
        if (core->kept.life == LIFE_END || (core->kept.stop && nobody_out(core))) {
            if (core->n_inflight == 0 && core->scan > core->plan->n_nodes)
                end(core, up);
            return;
        }
        uint8_t life = core->kept.life;
        bool stop = core->kept.stop;
        if (life == LIFE_ROLL || life == LIFE_BACK)
            roll_pump(core, up);
        if (core->kept.life == life && core->scan > core->plan->n_nodes && part_finished(core))
            life_next(core, up);
        if (core->kept.life == life && core->kept.stop == stop && core->scan > core->plan->n_nodes)
            return; /* nothing moved but by outcomes and timers */
    }
}

/* Intents whose outcome the journal does not have: the controller died in between. Said before the order,
 * which begins walks and phases anew. There may be one for each node: true when all are said. */
static bool close_open_intents(struct core *core, struct update *up)
{
    for (; core->close_scan <= core->plan->n_nodes; core->close_scan++) {
        uint32_t i = core->close_scan;
        const struct node *n = &core->nodes[i];
        if (n->kept.inflight == ROLE_NONE || n->op)
            continue;
        if (!has_room(core, up))
            return false;
        emit(core, up,
             (struct record){.kind = ROW_OUTCOME,
                             .code = OUT_UNKNOWN,
                             .role = n->kept.inflight,
                             .attempt = n->kept.attempt,
                             .back = n->kept.state == NODE_BACK,
                             .node = i,
                             .step = n->kept.inflight_step});
    }
    return true;
}

static bool goes_on(enum order order)
{
    return order == ORDER_RESUME || order == ORDER_ROLLBACK;
}

static void write_order(struct core *core, struct update *up, enum order order)
{
    emit(core, up,
         (struct record){
             .kind = ROW_ORDER, .code = (uint8_t)order, .node = core->plan->n_nodes, .step = CORE_NO_STEP});
    up->cancel_all |= order == ORDER_ABORT;
    if (goes_on(order))
        core->min_due = core->now; /* timers start anew: everybody has a turn */
}

/* ORDER_START stands for none: it is written at once, by who begins. */
bool life_order_written(struct core *core, struct update *up)
{
    while (core->order != ORDER_START) {
        enum order order = (enum order)core->order;
        if ((goes_on(order) && !close_open_intents(core, up)) || !has_room(core, up))
            return false;
        write_order(core, up, order);
        core->order = core->then;
        core->then = ORDER_START;
    }
    return true;
}

void life_order(struct core *core, struct update *up, enum order order)
{
    bool known = order == ORDER_STOP || order == ORDER_ABORT || goes_on(order);
    bool waits = core->order != ORDER_START;
    if (!known || (core->kept.ended && !goes_on(order) && !waits))
        return;
    if (waits) { /* ctrl-C while the order before it is being written; twice is an abort */
        core->then = (uint8_t)(order == ORDER_STOP && core->then == ORDER_ABORT ? ORDER_ABORT : order);
    } else {
        core->order = (uint8_t)order;
        core->close_scan = 0;
    }
    life_order_written(core, up);
}
