/* SPDX-License-Identifier: MIT */
/* Chat-ops: slash commands, confirmations and approvals, the lock and its queue in the room, announcements. A
 * part of the server (serve/serve.h); engine/cli/cmd_serve.c puts it in.
 *
 *   chat           how the server sees all this     config       serve.yml: rooms, bots, rules
 *   context        the part's data, the journal     routes       what Slack and Mattermost post
 *   signatures     who sent it             (pure)   grammar      what was typed -> words         (pure)
 *   workers        commands within Slack's three seconds, or later by response_url
 *   commands       what each verb does              commands_lock  the lock in people's hands, the queue
 *   asks           confirmations and approvals      ask_thread   follows them to their last answer
 *   message        what is said, its forms (pure)   sentences    journal -> what is said
 *   announce       what is said without being asked sinks        marks and turns of who sends that
 *   webhooks       a sink each                      slack_bot    a sink: a message a release, kept up to date
 *   live_releases  what that bot shows
 *   https          one request out                  outbox       answers on their way to response_urls
 */
#ifndef RELEASE_CHAT_CHAT_H
#define RELEASE_CHAT_CHAT_H

#include "serve/serve.h"

extern const struct serve_part chat_part;

#endif
