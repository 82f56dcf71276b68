/* SPDX-License-Identifier: MIT */
/* serve.yml's slack:, mattermost:, webhooks:, allow: and queue:. Secrets come from files and are wiped at the
 * end. */
#ifndef RELEASE_CHAT_CONFIG_H
#define RELEASE_CHAT_CONFIG_H

#include "base/arena.h"
#include "chat/grammar.h"
#include "serve/config.h"

enum room_event { /* what webhooks may ask for */
                  EVENT_STARTED = 1,
                  EVENT_STAGE = 2,
                  EVENT_GATE = 4,
                  EVENT_FINISHED = 8,
                  EVENT_FAILED = 16,
                  EVENT_ROLLED_BACK = 32,
                  EVENT_LOCK = 64,
                  EVENT_QUEUE = 128,
                  EVENT_ALL = 255,
};

/* A webhook's url is a credential: `name` is what may be shown. */
#define HOOKS_MAX 16 /* webhooks: in serve.yml */

struct hook {
    const char *url, *name; /* "hook-3fa9c1" */
    unsigned events;
};

/* Who may do what. Lists are NULL-terminated, NULL = not asked for. */
struct rule {
    const char *env; /* "*" = all */
    uint32_t verbs;  /* bits by enum chat_verb */
    enum via via;    /* NONE = not asked for */
    const char *team;
    const char *const *channels, *const *users;
};

struct chat_config {
    struct arena arena;
    const char *slack_secret, *slack_token, *slack_api, *slack_channel; /* NULL = not there */
    const char *const
        *slack_hosts; /* where a response_url may lead: "hooks.slack.com", "http://127.0.0.1:8080" */
    const char *mm_token, *mm_site; /* mm_site: "https://mm.example.org" */
    struct hook *hooks;
    size_t n_hooks;
    struct rule *rules;
    size_t n_rules;
    int64_t queue_lapse_ms;
};
/* false: problems has every mistake, with its place. */
bool chat_config_read(const struct serve_config *from, struct chat_config *ret,
                      struct problems *problems) MUST_CHECK;
void chat_config_fini(struct chat_config *c);

struct sender {
    enum via via;
    const char *team, *channel, *user;
};
/* Nobody may do anything that no rule names. `env` NULL: a verb without one; any rule's environment will do.
 */
bool chat_allowed(const struct chat_config *c, enum chat_verb verb, const char *env,
                  const struct sender *who);

#endif
