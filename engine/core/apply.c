/* SPDX-License-Identifier: MIT */
/* The fold: the only place where durable state changes. The live core applies each record as it emits it; a
 * resume applies the journal's rows. Every case must therefore depend on the state and the record alone: no
 * time. */
#include "core/core_priv.h"

static struct node_kept *keep(struct node *n)
{
    return (struct node_kept *)(uintptr_t)&n->kept;
}

static struct core_kept *keep_core(struct core *core)
{
    return (struct core_kept *)(uintptr_t)&core->kept;
}

void readings_forget(struct core *core)
{
    for (uint32_t g = 0; g < core->plan->n_groups; g++) {
        reading_ends(&core->readings[g]);
        core->readings[g].short_since = -1;
    }
}

void apply_first(struct core *core)
{
    keep_core(core)->life = LIFE_NEW;
    keep_core(core)->counts[NODE_PENDING] = core->plan->n_nodes;
    for (uint32_t g = 0, first = 0; g < core->plan->n_groups; first = core->plan->groups[g++].end) {
        keep_core(core)->of_group[g][NODE_PENDING] = core->plan->groups[g].end - first;
        keep_core(core)->held_most[g] = core->plan->groups[g].window;
    }
    for (uint32_t i = 0; i <= core->plan->n_nodes; i++)
        keep(&core->nodes[i])->inflight_step = CORE_NO_STEP;
}

static void set_state(struct core *core, struct node *n, enum node_state state)
{
    struct core_kept *c = keep_core(core);
    struct node_kept *k = keep(n);
    uint32_t *of_group = c->of_group[core_group_of(core->plan, (uint32_t)(n - core->nodes))];
    c->counts[k->state]--;
    of_group[k->state]--;
    k->state = (uint8_t)state;
    c->counts[state]++;
    of_group[state]++;
}

static void set_sick(struct core *core, struct node *n, bool sick)
{
    struct core_kept *c = keep_core(core);
    struct node_kept *k = keep(n);
    c->n_sick += sick - k->sick;
    k->sick = sick;
}

static void step_reset(struct node *n)
{
    struct node_kept *k = keep(n);
    k->attempt = 0;
    k->unknown = false;
    k->inflight = ROLE_NONE;
    k->inflight_step = CORE_NO_STEP;
    n->stance = STANCE_BEGINS;
    n->last_unknown = n->lost_here = false;
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
    struct node_kept *k = keep(n);
    step_reset(n);
    k->step = step;
    k->losses = 0;
    if (k->before_of > core->phase_first[PHASE_CHANGE])
        k->before_of = 0; /* other pids by now; what balancers are owed stays as it was first seen */
    k->walk++;
    k->hold = node_drained(n) ? HOLD_OUT : HOLD_MAY_BE_IN;
}

/* In the walk from drain to enable: only there do its phases say what is so between it and its balancer. A run-once step
 * of one of them is undone when the walk is over. */
static bool walks(const struct node_kept *k)
{
    return k->state == NODE_OUT || k->state == NODE_BACK;
}

/* It was told to leave, or is known to have left: where it was judged to be, it is no more. */
static void told_out(struct node *n)
{
    struct node_kept *k = keep(n);
    if (k->hold == HOLD_MAY_BE_IN)
        k->hold = HOLD_HELD;
    else if (k->hold == HOLD_UNSEEN)
        k->hold = HOLD_OUT;
    n->stale = false;
}

/* Given back, or forgotten. */
static void drain_ends(struct node *n)
{
    struct node_kept *k = keep(n);
    if (k->hold == HOLD_OUT)
        k->hold = HOLD_HELD;
    else if (k->hold == HOLD_UNSEEN)
        k->hold = HOLD_MAY_BE_IN;
}

static void walk_intent(struct node *n, const struct core_step_def *def)
{
    struct node_kept *k = keep(n);
    if (k->hold == HOLD_ADMITTED)
        k->hold = HOLD_HELD;
    if (def->phase == PHASE_DRAIN) {
        k->debt = true;
        told_out(n);
    }
    if (def->phase == PHASE_ENABLE) {
        drain_ends(n);
        k->returned = true;
    }
}

/* The directory changes: from the intent on it is neither, until the last change of it is done. */
static void dir_moves(struct core *core, struct node *n, const struct record *row, bool done)
{
    uint32_t i = (uint32_t)(n - core->nodes);
    const struct core_step_def *def = &core->plan->steps[row->step];
    if (!def->of_host || def->phase != PHASE_CHANGE)
        return;
    done = done && row->step == way_of(core, i)->dir_step;
    enum dir dir = row->back ? (done ? DIR_BEFORE : DIR_BACK) : (done ? DIR_NEW : DIR_FORTH);
    keep(&core->nodes[host_first(core, i)])->dir = (uint8_t)dir;
}

static void apply_intent(struct core *core, struct node *n, const struct record *row)
{
    struct core_kept *c = keep_core(core);
    struct node_kept *k = keep(n);
    if (row->role == ROLE_GUARD) /* the drain again, beside the node's own step */
        return;
    const struct core_step_def *def = &core->plan->steps[row->step];
    if (walks(k))
        walk_intent(n, def);
    k->inflight = row->role;
    k->step = k->inflight_step = row->step;
    if (row->role == ROLE_RUN || row->role == ROLE_UNDO) {
        k->attempt += k->attempt < UINT8_MAX;
        k->unknown = false;
    }
    if (def->takes_out)
        k->debt = true;
    dir_moves(core, n, row, false);
    if (def->phase == PHASE_CHANGE)
        k->touched = true;
    if (def->once != ONCE_NO && row->role == ROLE_RUN) {
        c->once_state[row->step] = ONCE_RUNNING;
        c->once_node[row->step] = row->node;
    } else if (def->once != ONCE_NO && row->role == ROLE_UNDO) {
        c->once_state[row->step] = ONCE_UNDOING;
    }
}

static void walk_done(const struct core *core, struct node *n, uint16_t step)
{
    const struct core_step_def *def = &core->plan->steps[step];
    struct node_kept *k = keep(n);
    if (k->hold == HOLD_ADMITTED)
        k->hold = HOLD_HELD;
    if (def->phase == PHASE_DRAIN)
        told_out(n);
    if (def->phase == PHASE_DRAIN && def->effect == EFFECT_CHANGE &&
        step >= way_of(core, (uint32_t)(n - core->nodes))->drain_step)
        k->hold = HOLD_OUT;
}

static void step_done(struct core *core, struct node *n, const struct record *row)
{
    struct core_kept *c = keep_core(core);
    struct node_kept *k = keep(n);
    const struct core_step_def *def = &core->plan->steps[row->step];
    if (def->once != ONCE_NO) {
        c->once_state[row->step] = row->back ? ONCE_FREE : ONCE_DONE;
        c->once_walk[row->step] += row->back;
    }
    if (walks(k))
        walk_done(core, n, row->step);
    dir_moves(core, n, row, true);
    step_reset(n);
    k->step = (uint16_t)(row->step + 1);
}

static void apply_outcome(struct core *core, struct node *n, const struct record *row)
{
    struct node_kept *k = keep(n);
    if (row->role == ROLE_GUARD || row->role == ROLE_CAPACITY || row->role == ROLE_JUDGE)
        return;
    k->inflight = ROLE_NONE;
    k->inflight_step = CORE_NO_STEP;
    if (row->role == ROLE_OBSERVE && row->code == OUT_FAILED)
        k->unknown = false; /* learnt: it certainly failed */
    if (row->role == ROLE_BEFORE)
        k->before_of = row->code == OUT_OK ? (uint16_t)(row->step + 1) : 0;
    else if (row->code == OUT_UNKNOWN && (row->role == ROLE_RUN || row->role == ROLE_UNDO))
        k->unknown = true;
    else if (row->code == OUT_OK && row->a == 1)
        step_done(core, n, row);
}

/* Everybody who takes part in the new phase starts at its first step. */
static void gang_begin(struct core *core)
{
    struct core_kept *c = keep_core(core);
    uint16_t first, end;
    c->gang_todo = 0;
    if (!life_range(core, &first, &end))
        return;
    for (uint32_t i = 0; i <= core->plan->n_nodes; i++) {
        struct node *n = &core->nodes[i];
        struct node_kept *k = keep(n);
        k->gang_done = !life_takes_part(core, i);
        if (k->gang_done)
            continue;
        step_reset(n);
        k->step = first;
        c->gang_todo++;
    }
}

static void apply_life(struct core *core, const struct record *row)
{
    struct core_kept *c = keep_core(core);
    c->life = (uint8_t)row->a;
    c->back |= c->life == LIFE_BACK; /* a release that has turned never turns again */
    c->soaking = false;
    if (c->life == LIFE_BACK && c->why == WHY_NONE)
        c->why = (uint8_t)row->b;
    gang_begin(core);
    core->scan = 0;
    core->admit_hint = c->life == LIFE_BACK ? core->plan->n_nodes : 0;
    readings_forget(core);
}

static void apply_admit(struct core *core, struct node *n)
{
    struct core_kept *c = keep_core(core);
    struct node_kept *k = keep(n);
    bool anew = k->state != NODE_PENDING,
         back = c->life == LIFE_BACK || host_turned(core, (uint32_t)(n - core->nodes));
    set_state(core, n, back ? NODE_BACK : NODE_OUT);
    k->suspect = false;
    set_sick(core, n, false);
    if (anew)
        walk_again(core, n, core->phase_first[PHASE_DRAIN]);
    step_reset(n);
    k->step = core->phase_first[PHASE_DRAIN];
    k->hold = HOLD_ADMITTED; /* the floor was looked at for it just now */
}

/* a = 1: found before anything of it was stopped, by a controller that took over: as if never drained. */
static void apply_lost(struct core *core, struct node *n, const struct record *row)
{
    struct node_kept *k = keep(n);
    k->losses += k->losses < UINT8_MAX;
    keep_core(core)->n_lost++;
    if (row->a == 1) {
        uint8_t losses = k->losses;
        drain_ends(n);
        walk_again(core, n, core->phase_first[PHASE_DRAIN]);
        k->losses = losses;
        return;
    }
    /* Beyond drain, and where it is left out, the guard drains again beside the step; inside drain the node
     * itself starts over. */
    if (node_step(core, n) >= core->phase_first[PHASE_CHANGE] || k->state == NODE_LEFT)
        return;
    step_reset(n);
    drain_ends(n);
    k->step = way_of(core, (uint32_t)(n - core->nodes))->drain_step;
}

static void apply_node_in(struct core *core, struct node *n, bool still_out)
{
    struct node_kept *k = keep(n);
    set_state(core, n, k->state == NODE_OUT ? NODE_DONE : NODE_UNDONE);
    step_reset(n);
    k->debt = still_out;
    k->hold = HOLD_NOT;
    n->soak_fails = 0;
    n->due = CORE_NEVER;
    n->guard_due = 0;
}

static void apply_failed(struct core *core, const struct record *row)
{
    struct core_kept *c = keep_core(core);
    c->failed[core_group_of(core->plan, row->node)]++;
    /* a: its outcome is unknown, so it may have been done: only a look may tell, never another run. */
    if (row->step != CORE_NO_STEP && core->plan->steps[row->step].once != ONCE_NO && row->a == 0)
        c->once_state[row->step] = ONCE_FAILED;
    core->scan = 0; /* others may wait for it */
}

static uint8_t left_from(const struct node_kept *k)
{
    return k->state == NODE_BACK                              ? LEFT_FROM_WAY_BACK
           : k->state == NODE_DONE || k->state == NODE_UNDONE ? LEFT_FROM_ROTATION
                                                              : LEFT_FROM_WALK;
}

static void apply_left(struct core *core, struct node *n, const struct record *row)
{
    struct node_kept *k = keep(n);
    k->left_from = left_from(k);
    /* It ran nothing before: out of rotation it is as undone as it can be. */
    set_state(core, n, row->a == WHY_NOTHING_BEFORE ? NODE_GONE : NODE_LEFT);
    step_reset(n);
    if (row->step != CORE_NO_STEP)
        k->step = row->step;
    core->scan = 0;
    n->due = CORE_NEVER;
}

/* It is through the parallel phase, well or badly. */
static void apply_gang(struct core *core, struct node *n, const struct record *row)
{
    struct node_kept *k = keep(n);
    k->gang_done = true;
    step_reset(n);
    n->due = CORE_NEVER;
    keep_core(core)->gang_todo--;
    if (row->code == NOTE_GANG_BAD && row->a == PHASE_PREPARE)
        set_state(core, n, NODE_FAILED);
    if (row->code == NOTE_GANG_BAD && row->a == PHASE_VERIFY)
        k->suspect = k->state == NODE_DONE && row->b == 0;
    if (row->code == NOTE_GANG_BAD && row->a == PHASE_VERIFY && row->b == 0 &&
        host_may_run_new(core, (uint32_t)(n - core->nodes))) {
        k->touched = true; /* by what was done to its directory: it goes back like its sisters */
        set_state(core, n, NODE_DONE);
    }
    struct node_kept *first = keep(&core->nodes[host_first(core, (uint32_t)(n - core->nodes))]);
    if (k->state == NODE_DONE && k->suspect && first->dir == DIR_NEW)
        first->dir = DIR_FORTH; /* it may not hold what rows say */
}

static void apply_note(struct core *core, struct node *n, const struct record *row)
{
    struct core_kept *c = keep_core(core);
    struct node_kept *k = keep(n);
    switch ((enum note)row->code) {
    case NOTE_LIFE: apply_life(core, row); break;
    case NOTE_STAGE:
        c->stage = (uint32_t)row->a;
        c->soaking = false;
        core->scan = 0;
        break;
    case NOTE_SOAK:
        c->soaking = true;
        c->judged = false;
        core->scan = 0;
        break;
    case NOTE_JUDGED:
        c->judged =
            row->b == JUDGED_WELL || (row->b == JUDGED_NOT && stage_group(core)->unjudged == UNJUDGED_PASSES);
        break;
    case NOTE_SOAKED: c->soaking = false; break;
    case NOTE_ADMIT: apply_admit(core, n); break;
    case NOTE_LOST: apply_lost(core, n, row); break;
    case NOTE_NODE_FAILED: apply_failed(core, row); break;
    case NOTE_NODE_TURN:
        set_state(core, n, NODE_BACK);
        walk_again(core, n, (uint16_t)row->a);
        break;
    case NOTE_NODE_IN: apply_node_in(core, n, false); break;
    case NOTE_NODE_OUT: apply_node_in(core, n, true); break;
    case NOTE_NODE_LEFT: apply_left(core, n, row); break;
    case NOTE_GANG_OK:
    case NOTE_GANG_BAD: apply_gang(core, n, row); break;
    case NOTE_WENT_ON:
        step_reset(n);
        k->step = (uint16_t)(row->step + 1);
        break;
    case NOTE_GIVEN_UP: k->given_up = GIVEN_UP_ASKED; break;
    case NOTE_STOPPING:
        c->stop = true;
        c->why = (uint8_t)row->b;
        break;
    case NOTE_END:
        c->ended = true;
        c->exit_status = (uint32_t)row->a;
        break;
    case NOTE_RETRY: /* certainly not done, so a run-once step may run again; its undo is still owed */
        if (core->plan->steps[row->step].once != ONCE_NO && c->once_state[row->step] == ONCE_RUNNING)
            c->once_state[row->step] = ONCE_FREE;
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
    struct core_kept *c = keep_core(core);
    struct node_kept *k = keep(n);
    bool judged =
        k->step >= core->phase_first[PHASE_ENABLE] && (k->left_from == LEFT_FROM_WAY_BACK) == c->back;
    set_state(core, n, c->back ? NODE_BACK : NODE_OUT);
    if (!judged) {
        walk_again(core, n, core->phase_first[PHASE_DRAIN]);
        return;
    }
    step_reset(n);
    k->step = core->phase_first[PHASE_CHECK];
}

/* The release is to end without it. What it would be taken up as, should a later order want it again, is kept
 * in the words of a node that was left. */
static void let_go(struct core *core, struct node *n)
{
    struct node_kept *k = keep(n);
    if (k->state != NODE_LEFT && k->state != NODE_GONE)
        k->left_from = left_from(k);
    set_state(core, n, NODE_GONE);
    set_sick(core, n, false);
    step_reset(n);
    if (k->hold == HOLD_ADMITTED)
        k->hold = HOLD_NOT;
    k->suspect = false;
    n->due = CORE_NEVER;
}

/* It waits for its admission, or for what judges it. */
static void let_be(struct core *core, struct node *n, enum node_state state)
{
    set_state(core, n, state);
    keep(n)->hold = HOLD_NOT;
}

/* Where a node takes up again after an order. One that is in rotation has to wait for its admission like any
 * other, also when it was admitted before: that was judged by what was so then. */
static void take_up(struct core *core, struct node *n)
{
    struct core_kept *c = keep_core(core);
    struct node_kept *k = keep(n);
    bool held = k->touched || k->debt, was_given_up = k->given_up == GIVEN_UP;
    k->given_up = k->given_up == GIVEN_UP_ASKED ? GIVEN_UP : GIVEN_UP_NOT;
    if (k->given_up) {
        let_go(core, n);
        return;
    }
    if (k->state == NODE_GONE && c->back && !was_given_up)
        return; /* left out for good */
    bool left = k->state == NODE_LEFT || k->state == NODE_GONE;
    if (k->hold == HOLD_ADMITTED) {
        k->suspect = k->touched && k->state == NODE_OUT;
        let_be(core, n, k->touched ? NODE_DONE : NODE_PENDING);
        step_reset(n);
        n->due = CORE_NEVER;
    } else if (k->state == NODE_FAILED || (left && !held)) {
        let_be(core, n, NODE_PENDING);
        k->walk++;
    } else if (left && k->left_from == LEFT_FROM_ROTATION) {
        let_be(core, n, NODE_DONE);
        step_reset(n);
    } else if (left) {
        take_up_left(core, n);
    } else if (k->state == NODE_UNDONE && !c->back) {
        let_be(core, n, NODE_PENDING);
        k->touched = false;
        k->walk++;
        step_reset(n);
    } else if (k->state == NODE_BACK && !c->back) {
        set_state(core, n, NODE_OUT);
        walk_again(core, n, core->phase_first[PHASE_DRAIN]);
    }
    /* Its drain may have been forgotten while no controller looked. */
    if ((k->state == NODE_OUT || k->state == NODE_BACK) &&
        node_step(core, n) < core->phase_first[PHASE_CHANGE])
        k->hold = node_drained(n) ? HOLD_UNSEEN : HOLD_MAY_BE_IN;
    /* The order is a new chance. What ended well and has no effect yet is asked for anew, not for its old
     * answer. */
    if (k->attempt > 0 && k->inflight == ROLE_NONE && !k->unknown)
        k->walk++;
    k->attempt = k->losses = 0;
    n->guard_due = 0;
    n->soak_fails = 0;
    set_sick(core, n, false); /* that was then */
}

static void apply_order(struct core *core, const struct record *row)
{
    struct core_kept *c = keep_core(core);
    if (row->code == ORDER_STOP) {
        c->stop = true;
        c->why = WHY_OPERATOR;
        return;
    }
    if (row->code == ORDER_ABORT) {
        c->stop = c->abort = true;
        c->why = WHY_OPERATOR;
        return;
    }
    if (row->code != ORDER_RESUME && row->code != ORDER_ROLLBACK)
        return;
    c->stop = c->abort = c->ended = false;
    c->why = row->code == ORDER_ROLLBACK ? WHY_OPERATOR : WHY_NONE;
    if (row->code == ORDER_ROLLBACK) {
        c->life = LIFE_BACK;
        c->back = true;
    }
    for (uint32_t s = 0; s < core->plan->n_steps; s++)
        if (c->once_state[s] == ONCE_FAILED)
            c->once_state[s] = ONCE_FREE;
    bool again = false;
    each_node(core, i)
    {
        take_up(core, &core->nodes[i]);
        again |= core->nodes[i].kept.suspect;
        /* Forward all go on, also those whose directory one of them took back. */
        uint8_t dir = core->nodes[i].kept.dir;
        if (!c->back && (dir == DIR_BACK || dir == DIR_BEFORE))
            keep(&core->nodes[i])->dir = DIR_FORTH;
    }
    /* Nodes that are not through walk the parallel part before the roll again, which costs nothing where its
     * work is done; nodes that are out go on with their own walk meanwhile. */
    if (c->back)
        c->life = LIFE_BACK;
    else if (c->life > LIFE_PREPARE && (again || c->counts[NODE_PENDING] + c->counts[NODE_OUT] > 0))
        c->life = LIFE_PREPARE;
    else if (c->life == LIFE_END)
        c->life = LIFE_VERIFY;
    for (uint32_t g = 0; g < core->plan->n_groups; g++) {
        uint32_t held = c->of_group[g][NODE_OUT] + c->of_group[g][NODE_BACK],
                 window = core->plan->groups[g].window;
        c->held_most[g] = held < window ? window : held;
        c->failed[g] = 0;
    }
    gang_begin(core);
    c->soaking = false;
    core->scan = 0;
    core->admit_hint = c->back ? core->plan->n_nodes : 0;
    readings_forget(core);
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
