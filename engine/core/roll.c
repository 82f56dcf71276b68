/* SPDX-License-Identifier: MIT */
/* Who may leave rotation: window, floor, stages, soak. Forward in node order, back in reverse; one group after the
 * other, each inside its own window and floor. */
#include "core/core_priv.h"

#define CAPACITY_AGAIN_MS 1000

static uint32_t nodes_out(const struct core *core)
{
    return core->kept.counts[NODE_OUT] + core->kept.counts[NODE_BACK];
}

static uint32_t out_of_group(const struct core *core, uint32_t g)
{
    return core->kept.of_group[g][NODE_OUT] + core->kept.of_group[g][NODE_BACK];
}

static struct reading *reading_of(struct core *core, uint32_t i)
{
    return &core->readings[core_group_of(core->plan, i)];
}

static uint32_t first_of_group(const struct core *core, uint32_t g)
{
    return g == 0 ? 0 : core->plan->groups[g - 1].end;
}

static bool waits_forward(const struct node *n)
{
    return n->kept.state == NODE_PENDING || (n->kept.state == NODE_DONE && n->kept.suspect);
}

static bool may_go_back(const struct core *core, uint32_t i)
{
    return core->nodes[i].kept.state == NODE_DONE && host_lets_out(core, i);
}

static bool ran_nothing(const struct core *core, uint32_t i)
{
    return core->nodes[i].kept.touched && !(core->plan->node_flags[i] & CORE_NODE_HAS_BEFORE);
}

/* Those that ran nothing before leave rotation last, when the others are back: until then they make room. */
static uint32_t next_that_ran_nothing(const struct core *core, uint32_t g)
{
    uint32_t next = core->plan->n_nodes;
    for (uint32_t i = first_of_group(core, g); i < core->plan->groups[g].end; i++) {
        const struct node *n = &core->nodes[i];
        bool out = n->kept.state == NODE_OUT || n->kept.state == NODE_BACK;
        if (out && !ran_nothing(core, i))
            return core->plan->n_nodes;
        if (may_go_back(core, i))
            next = i;
    }
    return next;
}

/* Nodes that fail their health check while they are judged serve nobody: they go first. */
static uint32_t next_sick(const struct core *core, uint32_t g)
{
    for (uint32_t i = first_of_group(core, g); i < core->plan->groups[g].end; i++)
        if (core->nodes[i].kept.sick && may_go_back(core, i))
            return i;
    return core->plan->n_nodes;
}

/* Of the last group that has one. */
static uint32_t next_back(struct core *core)
{
    uint32_t none = core->plan->n_nodes, g = core->plan->n_groups - 1;
    while (g > 0 && core->kept.of_group[g][NODE_DONE] == 0)
        g--;
    if (core->kept.of_group[g][NODE_DONE] == 0)
        return none;
    uint32_t first = first_of_group(core, g), sick = core->kept.n_sick > 0 ? next_sick(core, g) : none;
    if (sick != none)
        return sick;
    for (; core->admit_hint > first; core->admit_hint--)
        if (core->nodes[core->admit_hint - 1].kept.state == NODE_DONE &&
            !ran_nothing(core, core->admit_hint - 1))
            break;
    for (uint32_t i = core->admit_hint; i-- > first;)
        if (!ran_nothing(core, i) && may_go_back(core, i))
            return i;
    return next_that_ran_nothing(core, g);
}

/* Finished instances of a host that an instance of it took back. */
static uint32_t next_turned(const struct core *core)
{
    if (core->plan->host_first && core->kept.counts[NODE_UNDONE] > 0)
        for (uint32_t i = core->plan->n_nodes; i-- > 0;)
            if (host_turned(core, i) && host_lets_out(core, i))
                return i;
    return core->plan->n_nodes;
}

/* The next node that waits for admission, or n_nodes. */
static uint32_t next_waiting(struct core *core)
{
    uint32_t none = core->plan->n_nodes;
    if (core->kept.life == LIFE_BACK)
        return next_back(core);
    uint32_t end = core->plan->stage_end[core->kept.stage], turned = next_turned(core);
    if (turned != none)
        return turned;
    for (; core->admit_hint < end; core->admit_hint++)
        if (waits_forward(&core->nodes[core->admit_hint]))
            break;
    for (uint32_t i = core->admit_hint; i < end; i++) /* whose host has one out waits, and others go */
        if (waits_forward(&core->nodes[i]) && host_lets_out(core, i))
            return i;
    return none;
}

/* In rotation but for what we do with it. */
static bool serves(const struct core *core, uint32_t i)
{
    uint8_t flags = core->plan->node_flags[i];
    return (flags & CORE_NODE_WAS_UP) || ((flags & CORE_NODE_COMES_BACK) && core->nodes[i].kept.returned);
}

static void ask_capacity(struct core *core, struct update *up, uint32_t g)
{
    struct node *none = &core->nodes[core->plan->n_nodes];
    struct reading *r = &core->readings[g];
    if (none->side_op || r->due > core->now)
        return;
    /* Nodes on their way out whose drain the balancer has not confirmed yet: the reading may still count
     * them. And those that we hold serve nobody, whatever a balancer that forgot our drain says of them, nor
     * do those that were out before. */
    r->undrained = 0;
    r->most = core->plan->groups[g].n_others;
    for (uint32_t i = first_of_group(core, g); i < core->plan->groups[g].end; i++) {
        const struct node *n = &core->nodes[i];
        bool was_up = serves(core, i);
        bool ours = n->kept.state == NODE_OUT || n->kept.state == NODE_BACK;
        bool held = ours && (!node_may_be_in(n) || n->seen_in == SEEN_SOME) &&
                    node_step(core, n) < core->phase_first[PHASE_ENABLE];
        r->most += was_up && !held;
        r->undrained += was_up && ours && !node_may_be_in(n) && !node_drained(n) &&
                        node_step(core, n) < core->phase_first[PHASE_CHANGE];
        /* Left for a person while its guard drained it again. */
        r->undrained += n->kept.state == NODE_LEFT && n->side_op && n->side_role == ROLE_RUN;
    }
    none->side_op =
        node_dispatch(core, up, core->plan->n_nodes, CORE_NO_STEP, ROLE_CAPACITY, core->now + LOOK_MS);
    none->side_role = ROLE_CAPACITY;
    up->ops[up->n_ops - 1].group = core->asks = (uint8_t)g;
    r->asked = core->now;
}

void roll_capacity_outcome(struct core *core, const struct event *ev)
{
    struct reading *r = &core->readings[core->asks];
    r->read = ev->outcome == OUT_OK ? READ_WELL : READ_FAILED;
    r->avail = ev->outcome == OUT_OK ? ev->gauge - r->undrained : 0;
    if (r->avail > r->most)
        r->avail = r->most;
    r->due = ev->outcome == OUT_OK ? core->now : core->now + CAPACITY_AGAIN_MS;
    core->min_due = core->now; /* held nodes may wait for it, be it good or bad */
}

/* Is a node of it out that does not itself wait for the floor? It comes back, or is left. */
static bool others_come(const struct core *core, uint32_t g)
{
    for (uint32_t i = first_of_group(core, g); i < core->plan->groups[g].end; i++) {
        const struct node *n = &core->nodes[i];
        bool waits = node_may_be_in(n) && n->seen_in != SEEN_NOT_YET;
        if ((n->kept.state == NODE_OUT || n->kept.state == NODE_BACK) && !waits)
            return true;
    }
    return false;
}

/* Too few in rotation, or the balancer does not answer: wait a while, then stop. The while begins when those
 * that we hold are back. */
static void floor_short(struct core *core, struct update *up, uint32_t g)
{
    uint32_t none = core->plan->n_nodes, min_up = core->plan->groups[g].min_up;
    struct reading *r = &core->readings[g];
    if (r->short_since < 0) {
        r->short_since = core->now;
        emit_note(core, up, NOTE_FLOOR_WAIT, none, CORE_NO_STEP, r->avail, min_up);
    }
    if (r->read != READ_FAILED && others_come(core, g))
        r->short_since = core->now;
    r->due = core->now + CAPACITY_AGAIN_MS;
    if (r->due < core->min_due)
        core->min_due = r->due;
    if (core->now - r->short_since < core->plan->floor_wait_ms)
        return;
    emit_note(core, up, NOTE_FLOOR_STOP, none, CORE_NO_STEP, r->avail, min_up);
    if (!core->kept.stop)
        emit_note(core, up, NOTE_STOPPING, none, CORE_NO_STEP, 0,
                  r->read == READ_FAILED ? WHY_BALANCER : WHY_FLOOR);
}

/* May node i leave rotation now? true: yes. false: a reading was asked for, or there are too few. */
static bool floor_allows(struct core *core, struct update *up, uint32_t i)
{
    if (!serves(core, i))
        return true;
    if (core->kept.life == LIFE_BACK && ran_nothing(core, i))
        return true; /* what it adds is of this release: without it there are as many as before */
    uint32_t g = core_group_of(core->plan, i);
    const struct core_group *group = &core->plan->groups[g];
    struct reading *r = &core->readings[g];
    if (!group->has_capacity) {
        r->avail = (int64_t)group->end - first_of_group(core, g) - out_of_group(core, g) -
                   core->kept.of_group[g][NODE_LEFT];
        r->read = READ_WELL;
    }
    if (r->read == READ_FAILED && r->due > core->now) {
        if (r->short_since < 0 || core->now - r->short_since >= core->plan->floor_wait_ms)
            floor_short(core, up, g);
        return false;
    }
    if (r->read != READ_WELL) {
        ask_capacity(core, up, g);
        return false;
    }
    /* A node that failed its health check while its stage was judged serves nobody, and one that a balancer
     * has out is in no reading of the least: they may go even when the others are just enough. */
    bool uncounted = core->nodes[i].kept.sick || core->nodes[i].seen_in == SEEN_SOME;
    if (group->min_up > 0 && r->avail - !uncounted < (int64_t)group->min_up) {
        floor_short(core, up, g);
        return false;
    }
    return true;
}

bool roll_may_drain(struct core *core, struct update *up, uint32_t i)
{
    struct reading *r = reading_of(core, i);
    if (floor_allows(core, up, i)) {
        r->avail -= core->nodes[i].seen_in != SEEN_SOME;
        core->nodes[i].judged_at = core->now;
        r->short_since = -1;
        return true;
    }
    if (r->short_since < 0 || core->now - r->short_since < core->plan->floor_wait_ms)
        return false;
    if (core->nodes[i].kept.state == NODE_OUT && !core->nodes[i].kept.touched)
        node_turn(core, up, i, WHY_FLOOR); /* nothing of it was changed: it is given back what it had */
    else
        emit_note(core, up, NOTE_NODE_LEFT, i, way_of(core, i)->drain_step, WHY_FLOOR, 0);
    return false;
}

static void admit(struct core *core, struct update *up, uint32_t i)
{
    /* A sick one, too, may be in the reading: it may go when the others are just enough, and nobody with it.
     */
    bool counted = serves(core, i);
    struct reading *r = reading_of(core, i);
    bool known = r->read == READ_WELL && r->avail >= 0; /* not asked for a node that serves nobody */
    int64_t read = where_walked(core, i) == WHERE_IT_WAS ? ADMIT_NO_BALANCER
                   : known                               ? r->avail
                                                         : ADMIT_UNREAD;
    emit_note(core, up, NOTE_ADMIT, i, CORE_NO_STEP, read, group_of(core, i)->min_up);
    r->avail -= counted;
    r->short_since = -1;
    core->nodes[i].judged_at = core->now;
    node_advance(core, up, i);
}

/* Is there room for another of its group? Nobody leaves while a node of another group is out: what the roles are to
 * each other is in their order. */
static bool window_allows(const struct core *core, uint32_t i)
{
    uint32_t g = core_group_of(core->plan, i), out = out_of_group(core, g);
    return out < core->plan->groups[g].window && out == nodes_out(core);
}

static void admit_all(struct core *core, struct update *up)
{
    while (!core->kept.stop && has_room(core, up)) {
        uint8_t life = core->kept.life;
        uint32_t i = next_waiting(core);
        if (i == core->plan->n_nodes || !window_allows(core, i) || !floor_allows(core, up, i))
            break;
        admit(core, up, i);
        if (core->kept.life != life)
            break;
    }
}

void roll_soak_look(struct core *core, struct update *up, uint32_t i)
{
    struct node *n = &core->nodes[i];
    if (n->kept.state != NODE_DONE || n->op || n->due > core->now || core->kept.stop || !has_room(core, up))
        return;
    uint16_t step = way_of(core, i)->soak_step;
    n->op = node_dispatch(core, up, i, step, ROLE_SOAK, core->now + LOOK_MS);
    n->op_role = ROLE_SOAK;
    n->op_step = step;
    n->due = CORE_NEVER;
}

void roll_soak_outcome(struct core *core, struct update *up, uint32_t i, const struct event *ev)
{
    struct node *n = &core->nodes[i];
    if (n->kept.state == NODE_OUT || n->kept.state == NODE_BACK) { /* admitted while it was being looked at */
        node_advance(core, up, i);
        return;
    }
    n->due = CORE_NEVER;
    if (!core->kept.soaking || n->kept.state != NODE_DONE)
        return;
    bool good = ev->outcome == OUT_OK && ev->ready;
    n->soak_fails = good ? 0 : (uint8_t)(n->soak_fails + 1);
    if (n->soak_fails >= SOAK_FAILS_MAX) {
        emit_note(core, up, NOTE_SOAK_FAILED, i, n->op_step, n->soak_fails, ev->outcome != OUT_OK);
        life_fail(core, up, WHY_SOAK);
        return;
    }
    int64_t pause = stage_group(core)->soak_ms / 5;
    pause = pause < 500 ? 500 : pause > 10000 ? 10000 : pause;
    if (!good)
        pause = 1000;
    bool judge_waits = stage_group(core)->judges && !core->kept.judged;
    if (core->now + pause <= core->soak_until || judge_waits || !good)
        node_due(core, n, core->now + pause);
}

static void soak_begin(struct core *core, struct update *up)
{
    int64_t soak_ms = stage_group(core)->soak_ms;
    if (!core->kept.soaking)
        emit_note(core, up, NOTE_SOAK, core->plan->n_nodes, CORE_NO_STEP, core->kept.stage, soak_ms);
    core->soak_until = core->now + soak_ms;
    judge_begin(core);
    if (core->soak_until < core->min_due)
        core->min_due = core->soak_until;
    each_node(core,
              i) if (core->nodes[i].kept.state == NODE_DONE && way_of(core, i)->soak_step != CORE_NO_STEP)
        node_due(core, &core->nodes[i], core->now);
}

static bool soak_finished(struct core *core)
{
    if (core->now < core->soak_until || (stage_group(core)->judges && !core->kept.judged))
        return false;
    each_node(core, i)
    {
        const struct node *n = &core->nodes[i];
        if (n->kept.state == NODE_DONE && (n->op || n->soak_fails > 0))
            return false;
    }
    return true;
}

static void stage_next(struct core *core, struct update *up)
{
    uint32_t none = core->plan->n_nodes;
    if (core->kept.soaking)
        emit_note(core, up, NOTE_SOAKED, none, CORE_NO_STEP, core->kept.stage, 0);
    if (core->kept.stage + 1 == core->plan->n_stages) {
        life_next(core, up);
        return;
    }
    uint32_t end = core->plan->stage_end[core->kept.stage], g = core_group_of(core->plan, end - 1);
    if (end == core->plan->groups[g].end && life_once_failed(core, g))
        life_fail(core, up, WHY_ONCE); /* the next group would run on what that was to do */
    else
        emit_note(core, up, NOTE_STAGE, none, CORE_NO_STEP, core->kept.stage + 1,
                  core->plan->stage_end[core->kept.stage + 1]);
}

void roll_pump(struct core *core, struct update *up)
{
    if (!core->kept.soaking)
        admit_all(core, up);
    if (core->kept.life != LIFE_ROLL || core->kept.stop || core->more)
        return;
    bool stage_out = next_waiting(core) != core->plan->n_nodes || nodes_out(core) > 0;
    if (stage_out)
        return;
    if (!core->kept.soaking && stage_group(core)->soak_ms > 0 && core->kept.counts[NODE_DONE] > 0)
        soak_begin(core, up);
    else if (!core->kept.soaking || soak_finished(core))
        stage_next(core, up);
}
