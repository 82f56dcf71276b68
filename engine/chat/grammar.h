/* SPDX-License-Identifier: MIT */
/* What people type behind /release: one strict grammar, the words and options of the command line. Pure.
 *
 * Nothing of the text reaches a program but through the same checks that the command line makes (rev_valid,
 * name_valid); what is free text (a reason) is text and nothing else. */
#ifndef RELEASE_CHAT_GRAMMAR_H
#define RELEASE_CHAT_GRAMMAR_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/words.h"

/* X(SUFFIX, "word", "usage", "help") in the order of help. */
#define CHAT_VERBS(X)                                                                                        \
    X(RUN, "run",                                                                                            \
      "run REV ENV [--plan NAME] [--stages LIST] [--window N] [--only NODE,..] [--exclude NODE,..]",         \
      "release a revision")                                                                                  \
    X(PLAN, "plan", "plan REV ENV", "what a release would do; options as for run")                           \
    X(ROLLBACK, "rollback",                                                                                  \
      "rollback [N] ENV, rollback ENV to REV, rollback ENV before N [--only NODE,..] [--exclude NODE,..]",   \
      "back to what ran before (release N), every node to a revision, to what it ran before release N")      \
    X(RESUME, "resume", "resume ENV [--only NODE,..] [--exclude NODE,..]",                                   \
      "go on with what was interrupted")                                                                     \
    X(PAUSE, "pause", "pause ENV", "finish the nodes that are out, start no other")                          \
    X(ABORT, "abort", "abort ENV", "stop now; resume or rollback afterwards")                                \
    X(STATUS, "status", "status [ENV]", "what runs, and who holds the lock")                                 \
    X(HISTORY, "history", "history [ENV]", "past releases")                                                  \
    X(WHERE, "where", "where", "where you can release now")                                                  \
    X(LOCK, "lock", "lock ENV REASON..", "hold the lock by hand")                                            \
    X(UNLOCK, "unlock", "unlock ENV", "free a lock that is held by hand")                                    \
    X(TAKE, "take", "take ENV REASON..", "take over a lock held by hand, or the turn of the queue")          \
    X(HAND, "hand", "hand ENV @PERSON", "hand your lock over")                                               \
    X(QUEUE, "queue", "queue [ENV]", "line up for the lock; without ENV: who waits")                         \
    X(LEAVE, "leave", "leave ENV", "leave the queue")                                                        \
    X(CONFIRM, "confirm", "confirm CODE", "yes, do it")                                                      \
    X(CANCEL, "cancel", "cancel CODE", "no, do not")                                                         \
    X(APPROVE, "approve", "approve CODE", "a second person's yes")                                           \
    X(HELP, "help", "help", "this list")

#define CHAT_ENUM(s, w, u, h) CHAT_##s,
enum chat_verb { CHAT_VERBS(CHAT_ENUM) CHAT_VERB_COUNT };
const char *chat_verb_name(enum chat_verb v);
int chat_verb_from_name(const char *word); /* -1: none */
/* Of a verb that is an order to an environment: those that change something, or look at a plan. */
enum wish chat_wish(enum chat_verb v);
/* One line a verb, for people. */
const char *chat_help(struct arena *arena);

#define CHAT_TEXT_MAX   1000
#define CHAT_REASON_MAX 300

struct chat_words {
    enum chat_verb verb;
    const char *env, *rev, *plan, *stages, *window, *only, *exclude, *reason; /* NULL = not given */
    const char *to;          /* rollback: every node to this revision */
    const char *code;        /* confirm, cancel, approve: upper case */
    const char *person;      /* hand: "ann", or "U123" of <@U123|ann> */
    const char *person_name; /* hand: what to call them */
    int64_t release;         /* rollback, 0 = the last */
    int64_t before;          /* rollback: to before that release, 0 = not given */
};
/* The text behind the command, as it came (Slack's &amp; &lt; &gt; are read as what they stand for).
 * Everything in `ret` lives in `arena`. false: E_USAGE, a sentence for the person, with the nearest word
 * there is; it quotes at most a few of theirs, made safe to show. */
bool words_read(const char *text, struct arena *arena, struct chat_words *ret, struct err *err) MUST_CHECK;

/* "1,25%,100%" and "2" or "25%": as the command line takes them. */
bool stages_valid(const char *s);
bool window_valid(const char *s);
/* Names with commas between them. */
bool names_valid(const char *s);

#endif
