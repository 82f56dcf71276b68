/* SPDX-License-Identifier: MIT */
/* What rooms are told without having asked: rows, locks and notices become sentences. And the threads that
 * send them: one for each webhook, one for the bot's channel, each with cursors of its own, so that none
 * waits for another. */
#ifndef RELEASE_CHAT_ANNOUNCE_H
#define RELEASE_CHAT_ANNOUNCE_H

#include "chat/config.h"
#include "chat/say.h"
#include "serve/serve.h"
#include "state/chat.h"

/* The sentence of a row into `out` and the events (enum room_event) that it is; 0: nothing to say. */
unsigned announce_row(struct said *out, struct store *store, const struct row *row, const char *url,
                      struct arena *arena);
unsigned announce_lock(struct said *out, const struct lock_event *e);
unsigned announce_notice(struct said *out, struct store *store, const struct notice *n, struct arena *arena);

/* Where a sink has got to, in the three things that it follows. */
struct marks {
    int64_t row, lock, notice;
};
/* A sink that is new begins today. Names are at most 60 bytes. */
bool marks_load(struct serve *s, struct store *store, const char *name, struct marks *ret,
                struct err *err) MUST_CHECK;
bool marks_save(struct serve *s, const char *name, const struct marks *was, const struct marks *now,
                struct err *err) MUST_CHECK;

/* Sends what is new since `m`, one by one, moving m on; false: that one could not be delivered, try again
 * later. */
struct sink {
    const char *name;
    unsigned events;
    bool rows; /* false: the sink tells releases in its own way */
    bool (*send)(struct sink *k, struct said *said);
    struct serve *serve;
    struct store *store;
    struct marks saved;
    int64_t wait_ms; /* set by send when it fails and knows how long to wait; else 0 */
    const void *data;
};
bool sink_turn(struct sink *k, struct marks *m);
/* Opens the sink's store and loads its marks, again and again until that goes; false: the server ends. */
bool sink_open(struct sink *k, struct marks *m) MUST_CHECK;
/* After the nth failure in a row: 1 s, doubling, at most a minute. */
int64_t back_off_ms(unsigned failures);

void hook_run(struct serve *s, void *hook); /* for serve_thread; a struct hook */
void bot_run(struct serve *s, void *arg);   /* the bot's channel */

#endif
