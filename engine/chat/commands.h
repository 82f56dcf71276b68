/* SPDX-License-Identifier: MIT */
/* What each verb does. Called on a worker of the server; everything here is quick: what takes time is a
 * child's, and its answer follows (ask_thread.c). */
#ifndef RELEASE_CHAT_COMMANDS_H
#define RELEASE_CHAT_COMMANDS_H

#include "chat/asks.h"
#include "chat/config.h"
#include "chat/message.h"

struct visit {
    struct serve *serve;
    const struct chat_config *config;
    struct store *store; /* READ */
    struct arena *arena;
    struct sender sender;
    struct asker asker;
};
/* The answer to what was typed. Always says something. */
void command_typed(const struct visit *v, const char *text, struct said *out);
/* lock, unlock, take, hand, queue ENV, leave (commands_lock.c). */
void command_of_lock(const struct visit *v, const struct chat_words *w, struct said *out);
/* A button: "confirm", "cancel" or "approve" with its code. */
void command_pressed(const struct visit *v, const char *action, const char *code, struct said *out);

#endif
