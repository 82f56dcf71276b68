/* SPDX-License-Identifier: MIT */
/* The judge of a stage: while it soaks, what clients got of its nodes is held against what they got of the others. What
 * that says (pass, fail, too little seen) is an observation like any other, made beside the health checks; here stands
 * what follows from it. A stage without a verdict is never left as if it had one. */
#include "core/core_priv.h"

#define JUDGE_LEAST_MS 500
#define JUDGE_MOST_MS  10000
#define JUDGE_LOOKS    10 /* in a soak, about */

static bool judging(const struct core *core)
{
    return core->kept.soaking && !core->kept.stop && !core->kept.judged && core->kept.life == LIFE_ROLL &&
           stage_group(core)->judges;
}

void judge_begin(struct core *core)
{
    bool late = stage_group(core)->judge_late;
    core->judge_look = late ? JUDGE_LAST : JUDGE_FIRST;
    core->judge_due = late ? core->soak_until : core->now;
    if (judging(core) && core->judge_due < core->min_due)
        core->min_due = core->judge_due;
}

int64_t judge_due(const struct core *core)
{
    if (!judging(core) || core->judge_op)
        return CORE_NEVER;
    return core->judge_due > core->now ? core->judge_due : core->now;
}

void judge_look(struct core *core, struct update *up)
{
    if (!judging(core) || core->judge_op || core->judge_due > core->now || !has_room(core, up))
        return;
    if (core->judge_look != JUDGE_FIRST)
        core->judge_look = core->now < core->soak_until ? JUDGE_EARLY : JUDGE_LAST;
    int64_t ms = core->judge_look == JUDGE_LAST ? stage_group(core)->judge_look_ms : 0;
    core->judge_op = node_dispatch(core, up, core->plan->n_nodes, CORE_NO_STEP, ROLE_JUDGE,
                                   core->now + (ms > 0 ? ms : LOOK_MS));
    struct op_req *op = &up->ops[up->n_ops - 1];
    op->group = (uint8_t)core_group_of(core->plan, core->plan->stage_end[core->kept.stage] - 1);
    op->look = core->judge_look;
}

static void judge_again(struct core *core)
{
    int64_t pause = stage_group(core)->soak_ms / JUDGE_LOOKS;
    pause = pause < JUDGE_LEAST_MS ? JUDGE_LEAST_MS : pause > JUDGE_MOST_MS ? JUDGE_MOST_MS : pause;
    /* The last look of the soak is when it ends, not up to a pause later. */
    if (core->now < core->soak_until && core->now + pause > core->soak_until)
        pause = core->soak_until - core->now;
    core->judge_due = core->now + pause;
    if (core->judge_due < core->min_due)
        core->min_due = core->judge_due;
}

static void say(struct core *core, struct update *up, enum judged judged)
{
    emit_note(core, up, NOTE_JUDGED, core->plan->n_nodes, CORE_NO_STEP, core->kept.stage, judged);
}

/* Its time is gone, and it has not seen enough. */
static void unjudged(struct core *core, struct update *up)
{
    say(core, up, JUDGED_NOT);
    if (!core->kept.judged)
        emit_note(core, up, NOTE_STOPPING, core->plan->n_nodes, CORE_NO_STEP, 0, WHY_UNJUDGED);
}

void judge_outcome(struct core *core, struct update *up, const struct event *ev)
{
    bool last = core->judge_look == JUDGE_LAST, first = core->judge_look == JUDGE_FIRST;
    if (!judging(core))
        return;
    enum judged said = ev->outcome == OUT_OK && !first ? (enum judged)ev->gauge : JUDGED_NOT;
    if (said == JUDGED_BADLY) {
        say(core, up, said);
        life_fail(core, up, WHY_JUDGED);
    } else if (last && said == JUDGED_WELL) {
        say(core, up, said);
    } else if (core->now >= core->soak_until + stage_group(core)->judge_wait_ms) {
        unjudged(core, up);
    } else {
        if (ev->outcome == OUT_OK)
            core->judge_look = JUDGE_EARLY; /* what it is held against is known now */
        judge_again(core);
    }
}
