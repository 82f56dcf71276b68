/* SPDX-License-Identifier: MIT */
/* What the chat's threads and routes stand on: the part's data, and the journal (context.h). */
#include "chat/context.h"

#define AGAIN_MS 1000

struct chat *chat_of(struct serve *s)
{
    return serve_get(s, "chat");
}

struct store *chat_store(struct serve *s, const char *what)
{
    struct store *store = NULL;
    struct err err;
    for (bool told = false; !serve_store(s, &store, &err); told = true) {
        store = NULL;
        if (!told)
            serve_log("chat: %s is silent until the journal can be opened: %s", what, err.text);
        if (serve_wait(s, AGAIN_MS))
            return NULL;
    }
    return store;
}
