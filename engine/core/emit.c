/* SPDX-License-Identifier: MIT */
/* What the core decides becomes a record here, and is applied at once. A decision that cannot be right stops the
 * program before anything of it is durable or done. */
#include "core/core_priv.h"

/* A decision; rows of a journal go to core_apply alone, so that an old one stays readable whatever is legal now. */
void emit(struct core *core, struct update *up, struct record row)
{
    core_must(row.node <= core->plan->n_nodes);
    const struct node_kept *k = &core->nodes[row.node].kept;
    enum node_state state = (enum node_state)k->state;
    enum hold hold = (enum hold)k->hold;
    core_must(up->n_records <
              CORE_RECORDS_MAX); /* what is applied and not written, a resume would not know */
    core_apply(core, &row);
    core_must(walk_state_leads(state, (enum node_state)k->state));
    core_must(walk_hold_leads(hold, (enum hold)k->hold));
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
