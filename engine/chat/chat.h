/* SPDX-License-Identifier: MIT */
/* Chat-ops: slash commands, confirmations and approvals, the lock and its queue in the room, announcements. A
 * part of the server (serve/serve.h); engine/cli/cmd_serve.c puts it in.
 *
 *   grammar  text -> words             (pure)      sign    who sent this                (pure)
 *   say      what is said, its forms   (pure)      config  serve.yml: rooms, rules
 *   door     the routes of Slack and Mattermost    desk    what each verb does
 *   hand     the lock in people's hands, the queue
 *   late     answers within Slack's three seconds  part    how the server sees all this
 *   asks     confirmations and approvals           follow  the thread that sees requests to their last answer
 *   tell     journal -> sentences                  hooks   the threads that announce to webhooks and rooms
 *   post     one HTTPS request out                 bot     the message of a release that is kept up to date
 *   outbox   answers on their way to response_urls live    the releases that bot shows
 */
#ifndef RELEASE_CHAT_CHAT_H
#define RELEASE_CHAT_CHAT_H

#include "serve/serve.h"

extern const struct serve_part chat_part;

#endif
