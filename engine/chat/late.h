/* SPDX-License-Identifier: MIT */
/* Slack waits three seconds for an answer, whatever the disk does. A command is served by threads of our own:
 * what is done in time is the answer, what is not follows on its response_url. */
#ifndef RELEASE_CHAT_LATE_H
#define RELEASE_CHAT_LATE_H

#include "chat/desk.h"

struct late; /* one command at work */

struct late_work {
    const char *signature; /* remembered, so that it counts once */
    const char *text;      /* what was typed; NULL: a button */
    const char *action, *code;
};
enum late_end { LATE_DONE, LATE_REPLAYED, LATE_FAILED, LATE_BUSY, LATE_FOLLOWS };
/* Serves the command within `budget_ms`. DONE: *ret is the answer (json_decref). FOLLOWS: it was not done in
 * time and will be told by response_url. BUSY: nothing of it is done, for want of room or because the server
 * ends. v's store and arena are not kept. */
enum late_end late_serve(const struct visit *v, const struct late_work *work, int64_t budget_ms, json_t **ret,
                         struct err *err);

void late_run(struct serve *s, void *arg); /* for serve_thread, several times */

#endif
