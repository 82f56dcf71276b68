/* SPDX-License-Identifier: MIT */
/* Slack waits three seconds for an answer, whatever the disk does. A command is served by threads of our own:
 * what is done in time is the answer, what is not follows on its response_url. */
#ifndef RELEASE_CHAT_WORKERS_H
#define RELEASE_CHAT_WORKERS_H

#include "chat/commands.h"

struct chat_job; /* one command at work */

struct received {
    const char *signature; /* remembered, so that it counts once */
    const char *text;      /* what was typed; NULL: a button */
    const char *action, *code;
};
enum served { SERVED_DONE, SERVED_REPLAYED, SERVED_FAILED, SERVED_BUSY, SERVED_FOLLOWS };
/* Serves the command within `budget_ms`. DONE: *ret is the answer (json_decref). FOLLOWS: it was not done in
 * time and will be told by response_url. BUSY: nothing of it is done, for want of room or because the server
 * ends. v's store and arena are not kept. */
enum served worker_serve(const struct visit *v, const struct received *work, int64_t budget_ms, json_t **ret,
                         struct err *err);

void worker_run(struct serve *s, void *arg); /* for serve_thread, several times */

#endif
