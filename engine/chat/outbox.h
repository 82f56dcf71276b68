/* SPDX-License-Identifier: MIT */
/* Answers on their way to response_urls. A thread of its own: a host that does not answer delays other
 * answers, never the requests that are followed. */
#ifndef RELEASE_CHAT_OUTBOX_H
#define RELEASE_CHAT_OUTBOX_H

#include <jansson.h>

#include "serve/serve.h"

/* Sends a message to a response_url that was vetted, soon. Keeps `message`. Any thread. */
void outbox_add(const char *url, json_t *message);

void outbox_run(struct serve *s, void *arg); /* for serve_thread */

#endif
