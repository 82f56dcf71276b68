/* SPDX-License-Identifier: MIT */
/* The routes: what Slack and Mattermost post, checked and given to commands.h. */
#ifndef RELEASE_CHAT_ROUTES_H
#define RELEASE_CHAT_ROUTES_H

#include "serve/serve.h"

extern const struct route chat_routes[];

#endif
