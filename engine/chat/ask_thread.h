/* SPDX-License-Identifier: MIT */
/* The thread that sees requests from rooms to their last answer: plans that were looked at, questions that
 * lapse, orders that start and end. Everything it has to know stands in the store, so a restart of the server
 * loses no answer. */
#ifndef RELEASE_CHAT_ASK_THREAD_H
#define RELEASE_CHAT_ASK_THREAD_H

#include "serve/serve.h"

void ask_thread_run(struct serve *s, void *arg); /* for serve_thread */

#endif
