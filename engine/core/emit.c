/* SPDX-License-Identifier: MIT */
/* What the core decides becomes a record here, and is applied at once. A decision that cannot be right stops the
 * program before anything of it is durable or done. */
#include "core/core_priv.h"

/* Where a node may go from where it is, by a decision about it; only an order takes up anew what has ended. */
static bool may_become(enum node_state from, enum node_state to)
{
#define TO(state) (1u << NODE_##state)
    static const uint16_t next[NODE_STATE_COUNT] = {
        [NODE_PENDING] = TO(OUT) | TO(FAILED) | TO(LEFT),
        [NODE_OUT] = TO(DONE) | TO(BACK) | TO(LEFT),
        [NODE_DONE] = TO(OUT) | TO(BACK) | TO(LEFT), /* OUT: suspect, walked again */
        [NODE_BACK] = TO(UNDONE) | TO(LEFT) | TO(GONE),
        [NODE_UNDONE] = TO(LEFT),
        [NODE_FAILED] = TO(LEFT), /* like the next: what it ran once could not be undone */
        [NODE_GONE] = TO(LEFT),
        [NODE_LEFT] = 0,
    };
#undef TO
    return from == to || (next[from] >> to & 1u);
}

/* A decision; rows of a journal go to core_apply alone, so that an old one stays readable whatever is legal now. */
void emit(struct core *core, struct update *up, struct record row)
{
    core_must(row.node <= core->plan->n_nodes);
    const struct node_kept *k = &core->nodes[row.node].kept;
    enum node_state from = (enum node_state)k->state;
    core_must(up->n_records <
              CORE_RECORDS_MAX); /* what is applied and not written, a resume would not know */
    core_apply(core, &row);
    core_must(may_become(from, (enum node_state)k->state));
    up->records[up->n_records++] = row;
}

void emit_note(struct core *core, struct update *up, enum note code, uint32_t node, uint16_t step, int64_t a,
               int64_t b)
{
    bool back = node < core->plan->n_nodes && core->nodes[node].kept.state == NODE_BACK;
    emit(core, up,
         (struct record){.kind = ROW_NOTE,
                         .code = (uint8_t)code,
                         .node = node,
                         .step = step,
                         .back = back,
                         .a = a,
                         .b = b});
}

/* Every decision about one node emits fewer than 16 records and 4 ops; ask before deciding. Who finds no room
 * comes again in the next turn, when what is in the update is durable. */
bool has_room(struct core *core, const struct update *up)
{
    bool room = up->n_records + CORE_DECISION_RECORDS <= CORE_RECORDS_MAX &&
                up->n_ops + CORE_DECISION_OPS <= CORE_OPS_MAX;
    if (!room)
        core->more = true;
    return room;
}
