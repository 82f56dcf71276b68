/* SPDX-License-Identifier: MIT */
/* Notes: what the core decided, as codes and two numbers, journaled as rows of kind `note`.
 *
 * X(CODE, "journal text", "sentence"). In the sentence {node} {step} {a} {b} stand for the row's values, {da}
 * for a as a duration. Notes are also what a resume replays: the core changes its durable state only by
 * applying rows. Texts stay as they are once released. */
#ifndef RELEASE_BASE_NOTES_H
#define RELEASE_BASE_NOTES_H

#include <stdint.h>

#include "base/str.h"

#define NOTE_LIST(X)                                                                                         \
    X(LIFE, "life", "release: {a}") /* a = enum life */                                                      \
    X(STAGE, "stage", "stage {a}: up to {b} nodes")                                                          \
    X(SOAK, "soak", "stage {a}: judging for {db}")                                                           \
    X(SOAKED, "soaked", "stage {a}: healthy")                                                                \
    X(SOAK_FAILED, "soak-failed", "{node}: unhealthy while its stage was judged")                            \
    X(ADMIT, "admit", "{node}: leaves rotation ({a} nodes up, {b} must stay)")                               \
    X(FLOOR_WAIT, "floor-wait", "waiting: {a} nodes up, {b} must stay in rotation")                          \
    X(FLOOR_STOP, "floor-stop", "stopped: {a} nodes up, {b} must stay in rotation")                          \
    X(PROGRESS, "progress", "{node}: {step}: {a}")                                                           \
    X(RETRY, "retry", "{node}: {step}: attempt {a} failed, trying again in {db}")                            \
    X(LOST, "lost", "{node}: the balancer forgot the drain; draining again")                                 \
    X(ESCALATE, "escalate", "{node}: {step}: {a} left after {db}; taking away sticky sessions")              \
    X(DEADLINE, "deadline", "{node}: {step}: {a} left after {db}")                                           \
    X(PROCEED, "proceed", "{node}: {step}: going on with {a} left")                                          \
    X(NODE_FAILED, "node-failed", "{node}: failed at {step}") /* counts against max_failed */                \
    X(NODE_TURN, "node-turn", "{node}: going back")           /* a = first step, b = why */                  \
    X(NODE_IN, "node-in", "{node}: in rotation") /* a = 0 new, 1 earlier revision; b = enum whereabouts */   \
    X(NODE_LEFT, "node-left", "{node}: left out of rotation, needs a person") /* a = why, b as above */      \
    X(GANG_OK, "gang-ok", "{node}: done")                                     /* a = phase */                \
    X(GANG_BAD, "gang-bad", "{node}: failed")                                 /* a = phase */                \
    X(STOPPING, "stopping", "stopping: finishing the nodes that are out, starting no other") /* a = why */   \
    X(END, "end", "release ended") /* a = exit status, b = why */                                            \
    X(NODE_OUT, "node-out", "{node}: done; out of rotation, as it was told, until it is given back")         \
    X(WENT_ON, "went-on", "{node}: {step}: failed, going on without it") /* a = its outcome is unknown */    \
    X(GIVEN_UP, "given-up", "{node}: the release ends without it, as ordered")                               \
    X(JUDGED, "judged", "stage {a}: passed by its judge") /* b = enum judged */

/* NOTE_ADMIT's a where nothing was read, and where no balancer takes part. */
#define ADMIT_UNREAD      (-1)
#define ADMIT_NO_BALANCER (-2)
/* Where a node of NOTE_NODE_IN or NOTE_NODE_LEFT is: as the sentence says, or without having left anything.
 */
enum whereabouts { WHERE_TOLD, WHERE_IT_WAS };

/* What a judge says of a stage, also as the gauge of its op. NOT: it has not seen enough. */
enum judged { JUDGED_NOT, JUDGED_WELL, JUDGED_BADLY };

#define NOTE_ENUM(n, t, s) NOTE_##n,
enum note { NOTE_LIST(NOTE_ENUM) NOTE_COUNT };

/* Release-level states, in NOTE_LIFE's a. */
#define LIFE_LIST(X)                                                                                         \
    X(NEW, "new")                                                                                            \
    X(HOOK_BEFORE, "before hooks")                                                                           \
    X(PREPARE, "preparing")                                                                                  \
    X(BEFORE, "run-once steps before")                                                                       \
    X(ROLL, "rolling")                                                                                       \
    X(AFTER, "run-once steps after")                                                                         \
    X(VERIFY, "verifying")                                                                                   \
    X(FINISH, "finishing")                                                                                   \
    X(HOOK_AFTER, "after hooks")                                                                             \
    X(BACK, "rolling back")                                                                                  \
    X(BACK_VERIFY, "verifying the earlier revisions")                                                        \
    X(HOOK_FAILURE, "failure hooks")                                                                         \
    X(END, "ended")                                                                                          \
    X(BACK_ONCE, "undoing run-once steps") /* behind END: numbers stand in journals */
#define LIFE_ENUM(n, t) LIFE_##n,
enum life { LIFE_LIST(LIFE_ENUM) LIFE_COUNT };

/* Why a release stops or turns (NOTE_STOPPING, NOTE_END, NOTE_NODE_TURN b, NOTE_NODE_LEFT a). */
#define WHY_LIST(X)                                                                                          \
    X(NONE, "")                                                                                              \
    X(OPERATOR, "ordered by the operator")                                                                   \
    X(FAILED, "more nodes failed than max_failed allows")                                                    \
    X(UNKNOWN, "the outcome of a step could not be learnt")                                                  \
    X(FLOOR, "too few nodes in rotation")                                                                    \
    X(BALANCER, "the balancer could not be asked")                                                           \
    X(DRAIN, "a node could not be drained")                                                                  \
    X(SOAK, "a finished node became unhealthy")                                                              \
    X(VERIFY, "a node does not run the wanted revision")                                                     \
    X(PREPARE, "a node could not be prepared")                                                               \
    X(ONCE, "a run-once step failed, or nobody was left to run it")                                          \
    X(HOOK, "a hook failed")                                                                                 \
    X(NOTHING_BEFORE, "it ran nothing before this release")                                                  \
    X(BACK_FAILED, "the way back failed")                                                                    \
    X(JUDGED, "its judge failed the stage")                                                                  \
    X(UNJUDGED, "a stage could not be judged")
#define WHY_ENUM(n, t) WHY_##n,
enum why { WHY_LIST(WHY_ENUM) WHY_COUNT };

const char *note_name(enum note n);
int note_from_name(const char *text);
const char *life_name(enum life l);
const char *why_name(enum why w);
/* The sentence of a note into out; node and step may be NULL. */
void note_text(struct buf *out, enum note n, const char *node, const char *step, int64_t a, int64_t b);

#endif
