/* SPDX-License-Identifier: MIT */
/* What the chat's threads and routes stand on: the part's data, and the journal. */
#ifndef RELEASE_CHAT_CONTEXT_H
#define RELEASE_CHAT_CONTEXT_H

#include "chat/config.h"
#include "serve/serve.h"

struct chat {
    struct chat_config config;
};

struct chat *chat_of(struct serve *s);
/* The journal for a thread of ours, tried again every second while it cannot be opened; NULL: the server
 * ends. `what` is silent meanwhile, says the log. */
struct store *chat_store(struct serve *s, const char *what);

#endif
