/* The fold: the only place where durable state changes. The live core applies each record as it emits it; a
 * resume applies the journal's rows. Every case must therefore depend on the state and the record alone: no
 * time. */
#include "core/core_priv.h"

#include <string.h>

static void set_state(struct core *core, struct node *n, enum node_state state)
{
    core->counts[n->state]--;
    n->state = (uint8_t)state;
    core->counts[state]++;
}

static void set_sick(struct core *core, struct node *n, bool sick)
{
    core->n_sick += sick - n->sick;
    n->sick = sick;
}

static void step_reset(struct node *n)
{
    n->attempt = 0;
    n->unknown = false;
    n->inflight = ROLE_NONE;
    n->inflight_step = CORE_NO_STEP;
    n->settling = n->escalated = n->killed = n->last_unknown = n->lost_here = false;
    n->seen_in = SEEN_NOT_YET;
    n->ready_count = n->looks = 0;
    n->started = -1;
    n->gauge_said = -1;
    n->due = 0;
}

/* From drain to enable anew, and nothing that an earlier walk did counts any more. Without our drain in force
 * it may be in rotation. */
static void walk_again(const struct core *core, struct node *n, uint16_t step)
{
    step_reset(n);
    n->step = step;
    n->losses = 0;
    if (n->before_of > core->phase_first[PHASE_CHANGE])
        n->before_of = 0; /* other pids by now; what balancers are owed stays as it was first seen */
    n->walk++;
    n->may_be_in = !n->drained;
}

static void apply_intent(struct core *core, struct node *n, const struct record *row)
{
    if (row->role == ROLE_GUARD) /* the drain again, beside the node's own step */
        return;
    const struct core_step_def *def = &core->plan->steps[row->step];
    n->fresh = false;
    n->inflight = row->role;
    n->inflight_step = row->step;
    if (row->role == ROLE_RUN || row->role == ROLE_UNDO) {
        n->attempt++;
        n->unknown = false;
    }
    if (def->phase == PHASE_DRAIN) {
        n->debt = true;
        n->may_be_in = n->stale = false;
    }
    if (def->phase == PHASE_CHANGE)
        n->touched = true;
    if (def->phase == PHASE_ENABLE) {
        n->drained = false;
        n->returned = true;
    }
    if (def->once != ONCE_NO && row->role == ROLE_RUN) {
        core->once_state[row->step] = ONCE_RUNNING;
        core->once_node[row->step] = row->node;
    } else if (def->once != ONCE_NO && row->role == ROLE_UNDO) {
        core->once_state[row->step] = ONCE_UNDOING;
    }
}

static void step_done(struct core *core, struct node *n, const struct record *row)
{
    const struct core_step_def *def = &core->plan->steps[row->step];
    if (def->once != ONCE_NO) {
        core->once_state[row->step] = row->back ? ONCE_FREE : ONCE_DONE;
        core->once_walk[row->step] += row->back;
    }
    if (def->phase == PHASE_DRAIN && def->effect == EFFECT_CHANGE)
        n->drained = true;
    if (def->phase == PHASE_DRAIN)
        n->may_be_in = n->stale = false;
    n->fresh = false;
    step_reset(n);
    n->step = (uint16_t)(row->step + 1);
}

static void apply_outcome(struct core *core, struct node *n, const struct record *row)
{
    if (row->role == ROLE_GUARD || row->role == ROLE_CAPACITY)
        return;
    n->inflight = ROLE_NONE;
    n->inflight_step = CORE_NO_STEP;
    if (row->role == ROLE_OBSERVE && row->code == OUT_FAILED)
        n->unknown = false; /* learnt: it certainly failed */
    if (row->role == ROLE_BEFORE)
        n->before_of = row->code == OUT_OK ? (uint16_t)(row->step + 1) : 0;
    else if (row->code == OUT_UNKNOWN && (row->role == ROLE_RUN || row->role == ROLE_UNDO))
        n->unknown = true;
    else if (row->code == OUT_OK && row->a == 1)
        step_done(core, n, row);
}

/* Everybody who takes part in the new phase starts at its first step. */
static void gang_begin(struct core *core)
{
    uint16_t first, end;
    core->gang_todo = 0;
    if (!life_range(core, &first, &end))
        return;
    for (uint32_t i = 0; i <= core->plan->n_nodes; i++) {
        struct node *n = &core->nodes[i];
        n->gang_done = !life_takes_part(core, i);
        if (n->gang_done)
            continue;
        step_reset(n);
        n->step = first;
        core->gang_todo++;
    }
}

static void apply_life(struct core *core, const struct record *row)
{
    core->life = (uint8_t)row->a;
    core->back |= core->life == LIFE_BACK; /* a release that has turned never turns again */
    core->soaking = false;
    if (core->life == LIFE_BACK && core->why == WHY_NONE)
        core->why = (uint8_t)row->b;
    gang_begin(core);
    core->scan = 0;
    core->admit_hint = core->life == LIFE_BACK ? core->plan->n_nodes : 0;
    core->cap_valid = false;
    core->floor_since = -1;
}

static void apply_admit(struct core *core, struct node *n)
{
    bool anew = n->state != NODE_PENDING;
    set_state(core, n, core->life == LIFE_BACK ? NODE_BACK : NODE_OUT);
    n->suspect = false;
    set_sick(core, n, false);
    if (anew)
        walk_again(core, n, core->phase_first[PHASE_DRAIN]);
    step_reset(n);
    n->step = core->phase_first[PHASE_DRAIN];
    n->may_be_in = false; /* the floor was looked at for it just now */
    n->fresh = true;
}

/* a = 1: found before anything of it was stopped, by a controller that took over: as if never drained. */
static void apply_lost(struct core *core, struct node *n, const struct record *row)
{
    n->losses += n->losses < UINT8_MAX;
    if (row->a == 1) {
        uint8_t losses = n->losses;
        n->drained = false;
        walk_again(core, n, core->phase_first[PHASE_DRAIN]);
        n->losses = losses;
        return;
    }
    /* Beyond drain, and where it is left out, the guard drains again beside the step; inside drain the node
     * itself starts over. */
    if (n->step >= core->phase_first[PHASE_CHANGE] || n->state == NODE_LEFT)
        return;
    step_reset(n);
    n->drained = false;
    n->step = core->drain_step;
}

static void apply_node_in(struct core *core, struct node *n)
{
    set_state(core, n, n->state == NODE_OUT ? NODE_DONE : NODE_UNDONE);
    step_reset(n);
    n->debt = n->drained = false;
    n->soak_fails = 0;
    n->due = CORE_NEVER;
    n->guard_due = 0;
}

static void apply_note(struct core *core, struct node *n, const struct record *row)
{
    switch ((enum note)row->code) {
    case NOTE_LIFE: apply_life(core, row); break;
    case NOTE_STAGE:
        core->stage = (uint32_t)row->a;
        core->soaking = false;
        core->scan = 0;
        break;
    case NOTE_SOAK:
        core->soaking = true;
        core->scan = 0;
        break;
    case NOTE_SOAKED: core->soaking = false; break;
    case NOTE_ADMIT: apply_admit(core, n); break;
    case NOTE_LOST: apply_lost(core, n, row); break;
    case NOTE_NODE_FAILED:
        core->n_failed++;
        /* a: its outcome is unknown, so it may have been done: only a look may tell, never another run. */
        if (row->step != CORE_NO_STEP && core->plan->steps[row->step].once != ONCE_NO && row->a == 0)
            core->once_state[row->step] = ONCE_FAILED;
        core->scan = 0; /* others may wait for it */
        break;
    case NOTE_NODE_TURN:
        set_state(core, n, NODE_BACK);
        n->fresh = false;
        walk_again(core, n, (uint16_t)row->a);
        break;
    case NOTE_NODE_IN: apply_node_in(core, n); break;
    case NOTE_NODE_LEFT:
        n->left_back = row->back;
        n->left_in = n->state == NODE_DONE || n->state == NODE_UNDONE;
        set_state(core, n, NODE_LEFT);
        step_reset(n);
        core->scan = 0;
        n->due = CORE_NEVER;
        break;
    case NOTE_GANG_OK:
    case NOTE_GANG_BAD:
        n->gang_done = true;
        step_reset(n);
        n->due = CORE_NEVER;
        core->gang_todo--;
        if (row->code == NOTE_GANG_BAD && row->a == PHASE_PREPARE)
            set_state(core, n, NODE_FAILED);
        if (row->code == NOTE_GANG_BAD && row->a == PHASE_VERIFY)
            n->suspect = n->state == NODE_DONE && row->b == 0;
        break;
    case NOTE_STOPPING:
        core->stop = true;
        core->why = (uint8_t)row->b;
        break;
    case NOTE_END:
        core->ended = true;
        core->exit_status = (int)row->a;
        break;
    case NOTE_RETRY: /* certainly not done, so a run-once step may run again; its undo is still owed */
        if (core->plan->steps[row->step].once != ONCE_NO && core->once_state[row->step] == ONCE_RUNNING)
            core->once_state[row->step] = ONCE_FREE;
        break;
    case NOTE_SOAK_FAILED: /* b: it could not be asked, and may serve all the same */
        set_sick(core, n, row->b == 0);
        break;
    case NOTE_FLOOR_WAIT:
    case NOTE_FLOOR_STOP:
    case NOTE_PROGRESS:
    case NOTE_ESCALATE:
    case NOTE_DEADLINE:
    case NOTE_PROCEED:
    case NOTE_COUNT: break;
    }
}

/* A node that was left for a person, and is not in rotation as far as we know: at once, it is out already. A
 * healthy one that its balancer did not take back is judged and given back; all others walk from drain. */
static void take_up_left(struct core *core, struct node *n)
{
    bool judged = n->step >= core->phase_first[PHASE_ENABLE] && n->left_back == core->back;
    set_state(core, n, core->back ? NODE_BACK : NODE_OUT);
    if (!judged) {
        walk_again(core, n, core->phase_first[PHASE_DRAIN]);
        return;
    }
    step_reset(n);
    n->step = core->phase_first[PHASE_CHECK];
}

/* Where a node takes up again after an order. One that is in rotation has to wait for its admission like any
 * other, also when it was admitted before: that was judged by what was so then. */
static void take_up(struct core *core, struct node *n)
{
    bool held = n->touched || n->debt;
    if (n->fresh) {
        n->suspect = n->touched && n->state == NODE_OUT;
        set_state(core, n, n->touched ? NODE_DONE : NODE_PENDING);
        n->fresh = false;
        step_reset(n);
        n->due = CORE_NEVER;
    } else if (n->state == NODE_FAILED || (n->state == NODE_LEFT && !held)) {
        set_state(core, n, NODE_PENDING);
        n->walk++;
    } else if (n->state == NODE_LEFT && n->left_in) {
        set_state(core, n, NODE_DONE);
        step_reset(n);
    } else if (n->state == NODE_LEFT) {
        take_up_left(core, n);
    } else if (n->state == NODE_UNDONE && !core->back) {
        set_state(core, n, NODE_PENDING);
        n->touched = false;
        n->walk++;
        step_reset(n);
    } else if (n->state == NODE_BACK && !core->back) {
        set_state(core, n, NODE_OUT);
        walk_again(core, n, core->phase_first[PHASE_DRAIN]);
    }
    /* Its drain may have been forgotten while no controller looked. */
    if ((n->state == NODE_OUT || n->state == NODE_BACK) && n->step < core->phase_first[PHASE_CHANGE])
        n->may_be_in = true;
    /* The order is a new chance. What ended well and has no effect yet is asked for anew, not for its old
     * answer. */
    if (n->attempt > 0 && n->inflight == ROLE_NONE && !n->unknown)
        n->walk++;
    n->attempt = n->losses = 0;
    n->guard_due = 0;
    n->soak_fails = 0;
    set_sick(core, n, false); /* that was then */
}

static void apply_order(struct core *core, const struct record *row)
{
    if (row->code == ORDER_STOP) {
        core->stop = true;
        core->why = WHY_OPERATOR;
        return;
    }
    if (row->code == ORDER_ABORT) {
        core->stop = core->abort = true;
        core->why = WHY_OPERATOR;
        return;
    }
    if (row->code != ORDER_RESUME && row->code != ORDER_ROLLBACK)
        return;
    core->stop = core->abort = core->ended = false;
    core->why = row->code == ORDER_ROLLBACK ? WHY_OPERATOR : WHY_NONE;
    core->n_failed = 0;
    if (row->code == ORDER_ROLLBACK) {
        core->life = LIFE_BACK;
        core->back = true;
    }
    for (uint32_t s = 0; s < core->plan->n_steps; s++)
        if (core->once_state[s] == ONCE_FAILED)
            core->once_state[s] = ONCE_FREE;
    bool again = false;
    each_node(core, i)
    {
        take_up(core, &core->nodes[i]);
        again |= core->nodes[i].suspect;
    }
    /* Nodes that are not through walk the parallel part before the roll again, which costs nothing where its
     * work is done; nodes that are out go on with their own walk meanwhile. */
    if (core->back)
        core->life = LIFE_BACK;
    else if (core->life > LIFE_PREPARE && (again || core->counts[NODE_PENDING] + core->counts[NODE_OUT] > 0))
        core->life = LIFE_PREPARE;
    else if (core->life == LIFE_END)
        core->life = LIFE_VERIFY;
    core->held_most = core->counts[NODE_OUT] + core->counts[NODE_BACK];
    if (core->held_most < core->plan->window)
        core->held_most = core->plan->window;
    gang_begin(core);
    core->soaking = false;
    core->scan = 0;
    core->admit_hint = core->back ? core->plan->n_nodes : 0;
    core->cap_valid = false;
    core->floor_since = -1;
}

void core_apply(struct core *core, const struct record *row)
{
    struct node *n = &core->nodes[row->node <= core->plan->n_nodes ? row->node : core->plan->n_nodes];
    switch (row->kind) {
    case ROW_INTENT: apply_intent(core, n, row); break;
    case ROW_OUTCOME: apply_outcome(core, n, row); break;
    case ROW_NOTE: apply_note(core, n, row); break;
    case ROW_ORDER: apply_order(core, row); break;
    case ROW_COUNT: break;
    }
}

void emit(struct core *core, struct update *up, struct record row)
{
    core_apply(core, &row);
    if (up->n_records < CORE_RECORDS_MAX)
        up->records[up->n_records++] = row;
}

void emit_note(struct core *core, struct update *up, enum note code, uint32_t node, uint16_t step, int64_t a,
               int64_t b)
{
    bool back = node < core->plan->n_nodes && core->nodes[node].state == NODE_BACK;
    emit(core, up,
         (struct record){.kind = ROW_NOTE,
                         .code = (uint8_t)code,
                         .node = node,
                         .step = step,
                         .back = back,
                         .a = a,
                         .b = b});
}

/* Every decision about one node emits fewer than 16 records and 4 ops; ask before deciding. */
bool has_room(struct core *core, const struct update *up)
{
    bool room = up->n_records + 16 <= CORE_RECORDS_MAX && up->n_ops + 4 <= CORE_OPS_MAX;
    if (!room)
        core->more = true;
    return room;
}
