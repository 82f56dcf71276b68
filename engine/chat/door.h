/* SPDX-License-Identifier: MIT */
/* The routes: what Slack and Mattermost post, checked and given to the desk. Also the part's data. */
#ifndef RELEASE_CHAT_DOOR_H
#define RELEASE_CHAT_DOOR_H

#include "chat/config.h"
#include "serve/serve.h"

struct chat {
    struct chat_config config;
};
struct chat *chat_of(struct serve *s);
/* The journal for a thread of ours, tried again every second while it cannot be opened; NULL: the server
 * ends. `what` is silent meanwhile, says the log. */
struct store *chat_store(struct serve *s, const char *what);
extern const struct route chat_routes[];

#endif
