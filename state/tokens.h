/* SPDX-License-Identifier: MIT */
/* Who may ask the server: tokens, and browsers that are logged in with one.
 *
 * A token reads "rt3-<64 hex digits>": the row's number and 256 random bits, of which only the SHA-256 is
 * kept. It is looked up by its number and compared in constant time. One thread per store, as everywhere. */
#ifndef RELEASE_STATE_TOKENS_H
#define RELEASE_STATE_TOKENS_H

#include "state/store.h"

#define TOKEN_TEXT_MAX 96
#define LOGIN_TEXT_MAX 65

struct token_info {
    int64_t id, made_ms, used_ms, revoked_ms; /* used_ms 0 = never; revoked_ms 0 = in force */
    enum right role;
    const char *name, *made_by;
    bool bot; /* may say for whom it speaks */
};
/* A bot's name stands before the people it speaks for ("hubot:ann"): 1 to 16 small letters, and none of the
 * server's own doors (api, page, slack, mattermost, cli), so that it cannot pose as whoever came in there. */
bool token_bot_name_ok(const char *name);
struct token_new {
    const char *name, *made_by;
    enum right role;
    bool bot;
};
/* ret_text is the only copy there will ever be. false with E_USAGE: a token of that name is in force, or it
 * is no name for a bot. */
bool token_add(struct store *s, const struct token_new *t, char ret_text[TOKEN_TEXT_MAX],
               struct err *err) MUST_CHECK;
bool token_list(struct reader r, struct token_info **ret, size_t *ret_n, struct err *err) MUST_CHECK;
/* *ret false: no token of that name is in force. Its logins end with it. */
bool token_revoke(struct store *s, const char *name, bool *ret, struct err *err) MUST_CHECK;
/* *ret NULL: unknown, wrong or revoked. */
bool token_check(struct reader r, const char *text, struct token_info **ret, struct err *err) MUST_CHECK;
bool token_used(struct store *s, int64_t id, int64_t at_ms, struct err *err) MUST_CHECK;

/* A login: ret_cookie is what the browser keeps; the store keeps its hash. Forgets those that have expired.
 */
bool login_add(struct store *s, int64_t token, int64_t expires_ms, char ret_cookie[LOGIN_TEXT_MAX],
               struct err *err) MUST_CHECK;
/* *ret NULL: unknown, expired, or its token was revoked. */
bool login_check(struct reader r, const char *cookie, struct token_info **ret, struct err *err) MUST_CHECK;
/* What a login is known by in the journal, for whoever keeps it longer than a request. */
const char *login_hash(const char *cookie, struct arena *arena);
/* Whether a right that was checked once still is one: the token was not revoked and, when `login` is not "",
 * that login is neither ended nor expired. */
bool token_in_force(struct store *s, int64_t token, const char *login, bool *ret, struct err *err) MUST_CHECK;
bool login_end(struct store *s, const char *cookie, struct err *err) MUST_CHECK;

#endif
