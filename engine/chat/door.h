/* The routes: what Slack and Mattermost post, checked and given to the desk. Also the part's data. */
#ifndef RELEASE_CHAT_DOOR_H
#define RELEASE_CHAT_DOOR_H

#include "chat/config.h"
#include "serve/serve.h"

struct chat {
    struct chat_config config;
};
struct chat *chat_of(struct serve *s);
extern const struct route chat_routes[];

#endif
