/* SPDX-License-Identifier: MIT */
/* The threads that announce: one for each webhook (webhooks.c), one for the bot's channel (slack_bot.c), each
 * with marks of its own of what it has told, so that none waits for another. */
#ifndef RELEASE_CHAT_SINKS_H
#define RELEASE_CHAT_SINKS_H

#include "chat/config.h"
#include "chat/message.h"
#include "serve/serve.h"

/* Where a sink has got to, in the three things that it follows. */
struct sink_marks {
    int64_t row, lock, notice;
};
/* A sink that is new begins today. Names are at most 60 bytes. */
bool marks_load(struct serve *s, struct store *store, const char *name, struct sink_marks *ret,
                struct err *err) MUST_CHECK;
bool marks_save(struct serve *s, const char *name, const struct sink_marks *was, const struct sink_marks *now,
                struct err *err) MUST_CHECK;

/* Sends what is new since `m`, one by one, moving m on; false: that one could not be delivered, try again
 * later. */
struct room_sink {
    const char *name;
    unsigned events;
    bool rows; /* false: the sink tells releases in its own way */
    bool (*send)(struct room_sink *k, struct said *said);
    struct serve *serve;
    struct store *store;
    struct sink_marks saved;
    int64_t wait_ms; /* set by send when it fails and knows how long to wait; else 0 */
    const void *data;
};
bool sink_turn(struct room_sink *k, struct sink_marks *m);
/* Opens the sink's store and loads its marks, again and again until that goes; false: the server ends. */
bool sink_open(struct room_sink *k, struct sink_marks *m) MUST_CHECK;
/* After the nth failure in a row: 1 s, doubling, at most a minute. */
int64_t back_off_ms(unsigned failures);

void hook_run(struct serve *s, void *arg); /* for serve_thread; a struct hook */
void bot_run(struct serve *s, void *arg);  /* the bot's channel */

#endif
