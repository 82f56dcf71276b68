/* SPDX-License-Identifier: MIT */
/* The places of a node and where each may lead, in tables: as a node of the release, to its balancer, in its step. By a decision
 * about it, that is; an order takes up anew what has ended, and rows of an old journal mean what they meant. */
#include "core/core_priv.h"

#define TO(place) (1u << (place))

static bool leads(const uint16_t *next, unsigned from, unsigned to)
{
    return from == to || (next[from] >> to & 1u);
}

bool walk_state_leads(enum node_state from, enum node_state to)
{
    static const uint16_t next[NODE_STATE_COUNT] = {
        [NODE_PENDING] =
            TO(NODE_OUT) | TO(NODE_FAILED) | TO(NODE_LEFT) |
            TO(NODE_DONE), /* DONE: an instance that runs the new revision without a walk of its own */
        [NODE_OUT] = TO(NODE_DONE) | TO(NODE_BACK) | TO(NODE_LEFT),
        [NODE_DONE] = TO(NODE_OUT) | TO(NODE_BACK) | TO(NODE_LEFT), /* OUT: suspect, walked again */
        [NODE_BACK] = TO(NODE_UNDONE) | TO(NODE_LEFT) | TO(NODE_GONE),
        [NODE_UNDONE] = TO(NODE_LEFT) | TO(NODE_DONE), /* DONE, and the next: as above */
        [NODE_FAILED] =
            TO(NODE_LEFT) | TO(NODE_DONE), /* like the next: what it ran once could not be undone */
        [NODE_GONE] = TO(NODE_LEFT),
        [NODE_LEFT] = 0,
    };
    return leads(next, from, to);
}

/* UNSEEN is nothing that a controller decides: it is what the one after it begins with. */
bool walk_hold_leads(enum hold from, enum hold to)
{
    static const uint16_t next[HOLD_COUNT] = {
        [HOLD_NOT] = TO(HOLD_ADMITTED),
        [HOLD_ADMITTED] = TO(HOLD_HELD) | TO(HOLD_OUT) | TO(HOLD_MAY_BE_IN) | TO(HOLD_NOT),
        [HOLD_HELD] = TO(HOLD_OUT) | TO(HOLD_MAY_BE_IN) | TO(HOLD_NOT),
        [HOLD_OUT] = TO(HOLD_HELD) | TO(HOLD_MAY_BE_IN) | TO(HOLD_NOT),
        [HOLD_UNSEEN] = TO(HOLD_OUT) | TO(HOLD_MAY_BE_IN) | TO(HOLD_NOT),
        [HOLD_MAY_BE_IN] = TO(HOLD_HELD) | TO(HOLD_OUT) | TO(HOLD_NOT),
    };
    return leads(next, from, to);
}

void walk_stance(struct node *n, enum stance to)
{
    static const uint16_t next[STANCE_COUNT] = {
        [STANCE_BEGINS] = TO(STANCE_SETTLES) | TO(STANCE_ESCALATED) | TO(STANCE_KILLED),
        [STANCE_SETTLES] = TO(STANCE_BEGINS), /* it certainly failed, and is tried again */
        [STANCE_ESCALATED] = TO(STANCE_KILLED),
        [STANCE_KILLED] = 0,
    };
    core_must(leads(next, n->stance, to));
    n->stance = (uint8_t)to;
}
