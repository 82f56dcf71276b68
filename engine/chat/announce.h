/* SPDX-License-Identifier: MIT */
/* What rooms are told without having asked: rows, locks and notices become sentences. sinks.h sends them. */
#ifndef RELEASE_CHAT_ANNOUNCE_H
#define RELEASE_CHAT_ANNOUNCE_H

#include "chat/config.h"
#include "chat/message.h"
#include "serve/serve.h"
#include "state/chat.h"

/* The sentence of a row into `out` and the events (enum room_event) that it is; 0: nothing to say. */
unsigned announce_row(struct said *out, struct store *store, const struct row *row, const char *url,
                      struct arena *arena);
unsigned announce_lock(struct said *out, const struct lock_event *e);
unsigned announce_notice(struct said *out, struct store *store, const struct notice *n, struct arena *arena);

#endif
