/* SPDX-License-Identifier: MIT */
/* The chat part of serve.yml: rooms, bots, rules (config.h). */
#include "chat/config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/hash.h"
#include "chat/https.h"

#define SECRET_MAX     4096
#define QUEUE_LAPSE_MS (10 * 60 * 1000)

/* ---- secrets */

/* The file's first line. Nobody else may read it, nobody else may have written it. */
static const char *secret_read(struct schema_reader *r, const struct value *at, const char *what,
                               const char *path)
{
    struct stat st;
    char text[SECRET_MAX + 1] = "";
    auto_close_file FILE *f = fopen(path, "re");
    if (!f || fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
        problem_at(r->problems, at->at, "%s: %s cannot be read (wanted: a file with the secret in it)", what,
                   path);
        return NULL;
    }
    if (st.st_mode & 037) {
        problem_at(r->problems, at->at,
                   "%s: %s has mode %04o (wanted: 0600 or 0640); 'chmod 0640 %s' repairs it", what, path,
                   (unsigned)(st.st_mode & 07777), path);
        return NULL;
    }
    size_t n = fread(text, 1, SECRET_MAX, f);
    text[n] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (text[0])
        return arena_strdup(r->arena, text);
    problem_at(r->problems, at->at, "%s: %s is empty", what, path);
    return NULL;
}

/* ---- lists of words */

static const char *const *words_of(struct schema_reader *r, const struct value *v, const char *what)
{
    if (!v)
        return NULL;
    if (v->kind != VALUE_LIST) {
        problem_at(r->problems, v->at, "%s: wanted a list, found %s", what, value_kind_text(v));
        return NULL;
    }
    const char **words = arena_array(r->arena, v->n + 1, sizeof *words);
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++) {
        const char *word = scalar_wanted(r, v->items[i], what, "words");
        if (word)
            words[n++] = word;
    }
    return words;
}

/* An address of a page: https, or plain http to this machine. */
static const char *site_read(struct schema_reader *r, const struct value *v, const char *what,
                             const char *url)
{
    struct err err;
    if (!url)
        return NULL;
    if (!https_url_ok(url, NULL, &err)) {
        problem_at(r->problems, v->at, "%s: %s", what, err.text);
        return NULL;
    }
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        n--;
    return arena_strndup(r->arena, url, n);
}

/* ---- slack: and mattermost: */

struct slack_block {
    const char *signing_secret, *bot_token, *api, *channel;
    const struct value *hooks;
};
static const struct field slack_fields[] = {
    {.name = "signing_secret", .type = FIELD_PATH, .offset = offsetof(struct slack_block, signing_secret)},
    {.name = "bot_token", .type = FIELD_PATH, .offset = offsetof(struct slack_block, bot_token)},
    {.name = "api", .type = FIELD_TEXT, .offset = offsetof(struct slack_block, api)},
    {.name = "channel", .type = FIELD_NAME, .offset = offsetof(struct slack_block, channel)},
    {.name = "hooks", .type = FIELD_VALUE, .offset = offsetof(struct slack_block, hooks)},
    FIELD_END,
};

static void slack_read(struct schema_reader *r, const struct value *v, struct chat_config *c)
{
    static const char *const slack_own[] = {"hooks.slack.com", NULL};
    struct slack_block b = {.api = "https://slack.com/api"};
    if (!v || !schema_read(r, v, "slack", slack_fields, &b))
        return;
    if (!b.signing_secret) {
        problem_at(r->problems, v->at,
                   "slack: wanted signing_secret:, the file with the app's signing secret");
        return;
    }
    c->slack_secret = secret_read(r, v, "slack: signing_secret", b.signing_secret);
    c->slack_hosts = b.hooks ? words_of(r, b.hooks, "slack: hooks") : slack_own;
    c->slack_api = site_read(r, v, "slack: api", b.api);
    if (b.bot_token) {
        c->slack_token = secret_read(r, v, "slack: bot_token", b.bot_token);
        c->slack_channel = b.channel;
        if (!b.channel)
            problem_at(r->problems, v->at,
                       "slack: bot_token: wanted channel:, too, where releases are announced");
    }
}

struct mm_block {
    const char *token, *site;
};
static const struct field mm_fields[] = {
    {.name = "token", .type = FIELD_PATH, .offset = offsetof(struct mm_block, token)},
    {.name = "site", .type = FIELD_TEXT, .offset = offsetof(struct mm_block, site)},
    FIELD_END,
};

static void mm_read(struct schema_reader *r, const struct value *v, struct chat_config *c)
{
    struct mm_block b = {0};
    if (!v || !schema_read(r, v, "mattermost", mm_fields, &b))
        return;
    if (!b.token || !b.site) {
        problem_at(r->problems, v->at,
                   "mattermost: wanted token: (the file with the command's token) and site: "
                   "(https://mm.example.org)");
        return;
    }
    c->mm_token = secret_read(r, v, "mattermost: token", b.token);
    c->mm_site = site_read(r, v, "mattermost: site", b.site);
}

/* ---- webhooks: */

static const char *const event_names[] = {"started", "stage",       "gate", "finished",
                                          "failed",  "rolled-back", "lock", "queue"};
#define N_EVENTS (sizeof event_names / sizeof event_names[0])

static unsigned events_read(struct schema_reader *r, const struct value *v)
{
    unsigned events = 0;
    const char *const *words = words_of(r, v, "webhooks: events");
    for (size_t i = 0; words && words[i]; i++) {
        size_t e = 0;
        while (e < N_EVENTS && strcmp(event_names[e], words[i]) != 0)
            e++;
        if (e < N_EVENTS)
            events |= 1u << e;
        else
            problem_at(r->problems, v->at,
                       "webhooks: events: '%s' is none%s (wanted: started, stage, gate, finished, failed, "
                       "rolled-back, lock or queue)",
                       words[i], nearest_hint(r->arena, words[i], event_names, N_EVENTS));
    }
    return words ? events : EVENT_ALL;
}

struct hook_block {
    const char *url, *file;
    const struct value *events;
};
static const struct field hook_fields[] = {
    {.name = "url", .type = FIELD_TEXT, .offset = offsetof(struct hook_block, url)},
    {.name = "file", .type = FIELD_PATH, .offset = offsetof(struct hook_block, file)},
    {.name = "events", .type = FIELD_VALUE, .offset = offsetof(struct hook_block, events)},
    FIELD_END,
};

static void hook_read(struct schema_reader *r, const struct value *v, struct chat_config *c)
{
    struct hook_block b = {0};
    char digest[SHA256_HEX_LEN + 1];
    if (!schema_read(r, v, "webhooks", hook_fields, &b))
        return;
    const char *url = b.file ? secret_read(r, v, "webhooks: file", b.file) : b.url;
    if (!url && !b.file)
        problem_at(r->problems, v->at, "webhooks: wanted url:, or file: with the url in it");
    url = site_read(r, v, "webhooks: url", url);
    if (!url)
        return;
    sha256_hex(url, strlen(url), digest);
    c->hooks[c->n_hooks++] = (struct hook){
        .url = url, .name = arena_printf(r->arena, "hook-%.12s", digest), .events = events_read(r, b.events)};
}

/* A list of maps, each read by `read`. */
static size_t each_map(struct schema_reader *r, const struct value *v, const char *what,
                       void (*read)(struct schema_reader *, const struct value *, struct chat_config *),
                       struct chat_config *c)
{
    if (!v)
        return 0;
    if (v->kind != VALUE_LIST) {
        problem_at(r->problems, v->at, "%s: wanted a list, found %s", what, value_kind_text(v));
        return 0;
    }
    for (size_t i = 0; read && i < v->n; i++)
        read(r, v->items[i], c);
    return v->n;
}

/* ---- allow: */

struct rule_block {
    const char *env, *via, *team;
    const struct value *verbs, *channels, *users;
};
static const struct field rule_fields[] = {
    {.name = "env", .type = FIELD_TEXT, .offset = offsetof(struct rule_block, env)},
    {.name = "via",
     .type = FIELD_CHOICE,
     .offset = offsetof(struct rule_block, via),
     .choices = "slack|mattermost"},
    {.name = "team", .type = FIELD_TEXT, .offset = offsetof(struct rule_block, team)},
    {.name = "verbs", .type = FIELD_VALUE, .offset = offsetof(struct rule_block, verbs)},
    {.name = "channels", .type = FIELD_VALUE, .offset = offsetof(struct rule_block, channels)},
    {.name = "users", .type = FIELD_VALUE, .offset = offsetof(struct rule_block, users)},
    FIELD_END,
};

static uint32_t verbs_read(struct schema_reader *r, const struct value *v)
{
    static const char *const names[] = {
#define RULE_VERB(s, w, u, h) w,
        CHAT_VERBS(RULE_VERB)};
    uint32_t verbs = 0;
    const char *const *words = words_of(r, v, "allow: verbs");
    for (size_t i = 0; words && words[i]; i++) {
        int verb = chat_verb_from_name(words[i]);
        if (strcmp(words[i], "*") == 0)
            verbs = UINT32_MAX;
        else if (verb >= 0)
            verbs |= 1u << verb;
        else
            problem_at(r->problems, v->at, "allow: verbs: '%s' is none%s", words[i],
                       nearest_hint(r->arena, words[i], names, CHAT_VERB_COUNT));
    }
    return verbs;
}

static void rule_read(struct schema_reader *r, const struct value *v, struct chat_config *c)
{
    struct rule_block b = {0};
    if (!schema_read(r, v, "allow", rule_fields, &b))
        return;
    if (!b.env || !b.verbs || (strcmp(b.env, "*") != 0 && !name_valid(b.env, 64))) {
        problem_at(r->problems, v->at, "allow: wanted env: (a name or \"*\") and verbs: (a list of words)");
        return;
    }
    c->rules[c->n_rules++] = (struct rule){.env = b.env,
                                           .verbs = verbs_read(r, b.verbs),
                                           .via = b.via ? (enum via)via_from_name(b.via) : VIA_NONE,
                                           .team = b.team,
                                           .channels = words_of(r, b.channels, "allow: channels"),
                                           .users = words_of(r, b.users, "allow: users")};
}

static bool listed(const char *const *list, const char *word)
{
    if (!list)
        return true;
    for (size_t i = 0; list[i]; i++)
        if (word && strcmp(list[i], word) == 0)
            return true;
    return false;
}

static bool same_or_any(const char *wanted, const char *is)
{
    return !wanted || (is && strcmp(wanted, is) == 0);
}

bool chat_allowed(const struct chat_config *c, enum chat_verb verb, const char *env, const struct sender *who)
{
    if (verb == CHAT_HELP)
        return true;
    for (size_t i = 0; i < c->n_rules; i++) {
        const struct rule *r = &c->rules[i];
        bool here = !env || strcmp(r->env, "*") == 0 || strcmp(r->env, env) == 0;
        if (here && (r->verbs & (1u << verb)) && (r->via == VIA_NONE || r->via == who->via) &&
            same_or_any(r->team, who->team) && listed(r->channels, who->channel) &&
            listed(r->users, who->user))
            return true;
    }
    return false;
}

/* ---- queue: */

struct queue_block {
    int64_t lapse_ms;
};
static const struct field queue_fields[] = {
    {.name = "lapse", .type = FIELD_DURATION, .offset = offsetof(struct queue_block, lapse_ms)},
    FIELD_END,
};

static void queue_read(struct schema_reader *r, const struct value *v, struct chat_config *c)
{
    struct queue_block b = {.lapse_ms = QUEUE_LAPSE_MS};
    if (v && schema_read(r, v, "queue", queue_fields, &b) && b.lapse_ms < 1000)
        problem_at(r->problems, v->at, "queue: lapse: wanted at least 1s");
    c->queue_lapse_ms = b.lapse_ms;
}

bool chat_config_read(const struct serve_config *from, struct chat_config *ret, struct problems *problems)
{
    *ret = (struct chat_config){0};
    struct schema_reader r = {.arena = &ret->arena, .problems = problems};
    size_t before = problems->n + problems->dropped;
    slack_read(&r, from->slack, ret);
    mm_read(&r, from->mattermost, ret);
    size_t n = each_map(&r, from->webhooks, "webhooks", NULL, ret);
    if (n > HOOKS_MAX)
        problem_at(problems, from->webhooks->at,
                   "webhooks: %zu of them (wanted at most %d: each has a thread of its own)", n, HOOKS_MAX);
    ret->hooks = arena_array(&ret->arena, n + 1, sizeof *ret->hooks);
    each_map(&r, from->webhooks, "webhooks", hook_read, ret);
    n = each_map(&r, from->allow, "allow", NULL, ret);
    ret->rules = arena_array(&ret->arena, n + 1, sizeof *ret->rules);
    each_map(&r, from->allow, "allow", rule_read, ret);
    queue_read(&r, from->queue, ret);
    return problems->n + problems->dropped == before;
}

static void wipe(const char *secret)
{
    /* The arena's memory is ours; the pointer is const for readers only. */
    if (secret)
        explicit_bzero((char *)(uintptr_t)secret, strlen(secret));
}

void chat_config_fini(struct chat_config *c)
{
    wipe(c->slack_secret);
    wipe(c->slack_token);
    wipe(c->mm_token);
    arena_fini(&c->arena);
}
