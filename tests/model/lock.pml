/* SPDX-License-Identifier: MIT */
/* Lock, fence and take-over: two controllers, one node, an operator who forces the lock; messages that are lost, late or
 * overtaken; controllers that die or stand still between any two of their acts (a process that is not scheduled).
 *
 * The store grants the lock in one transaction and raises the fence with each grant. A controller sends commands with the
 * fence of its grant and never looks again whether it still holds the lock: a paused one that wakes cannot know. The node's
 * runner, under its own lock (atomic here): refuses a fence below the highest it has seen, remembers this one, ends the job
 * of anybody else that still runs, starts the command.
 *
 * Claim: changes of two releases never interleave on the node: once a later release has changed something there, no
 * command of an earlier one starts, and no job of an earlier one still runs. With NO_FENCE the runner does not compare:
 * then it must fail. tests/model/spin.py checks both. */

#define COMMANDS 2 /* of each release */
#define FORCES   1 /* unlock --force */

byte holder = 0;  /* 0 = free, else the controller's number */
byte fence = 0;   /* of the last grant */
bool alive[3] = true;

byte node_fence = 0; /* highest seen */
byte running = 0;    /* fence of the job that runs, 0 = none */
byte newest = 0;     /* highest fence that ever started a change here */

chan sent = [4] of { byte };      /* commands under way, by their fence */
chan arrived = [1] of { byte };

inline take_lock(id, mine)
{
    atomic {
        (holder == 0 || !alive[holder]) ->
        holder = id;
        fence++;
        mine = fence
    }
}

proctype Controller(byte id)
{
    byte mine = 0, n = 0;
    take_lock(id, mine);
    do
    :: n < COMMANDS && nfull(sent) -> sent ! mine; n++
    :: n == COMMANDS -> break
    :: alive[id] = false; goto dead /* killed: what was sent stays under way */
    od;
    atomic {
        if
        :: holder == id && fence == mine -> holder = 0 /* frees its own grant only */
        :: else
        fi
    };
dead:
    skip
}

proctype Operator()
{
    byte n = 0;
    do
    :: n < FORCES -> atomic { holder = 0; n++ } /* forces the lock of one that may well live */
    :: break
    od
}

/* Loses, delays and reorders. */
proctype Network()
{
    byte m;
end:
    do
    :: sent ? m -> arrived ! m
    :: sent ? m -> skip
    :: atomic { len(sent) > 1 -> sent ? m; sent ! m }
    od
}

proctype Node()
{
    byte f;
end:
    do
    :: atomic {
        arrived ? f ->
        if
#ifndef NO_FENCE
        :: f < node_fence -> skip /* refused */
        :: f >= node_fence ->
#else
        :: true ->
#endif
            if
            :: f > node_fence -> node_fence = f
            :: else
            fi;
            if
            :: running != 0 && running != f -> running = 0 /* somebody's leftover is ended first */
            :: else
            fi;
            assert(f >= newest); /* no change of an earlier release after one of a later */
            newest = f;
            running = f
        fi;
        f = 0
    }
    :: atomic { running != 0 -> assert(running == newest); running = 0 } /* the job ends */
    od
}

init
{
    atomic {
        run Controller(1);
        run Controller(2);
        run Operator();
        run Network();
        run Node()
    }
}
