/* SPDX-License-Identifier: MIT */
/* Who sent this: Slack's v0 signature, Mattermost's token, our own proof on buttons. Pure; times come in. */
#ifndef RELEASE_CHAT_SIGNATURES_H
#define RELEASE_CHAT_SIGNATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGN_TEXT_LEN 67 /* "v0=" and 64 hex digits */
#define SIGN_SKEW_S   300

/* "v0=<hmac-sha256 of v0:STAMP:BODY>" */
void slack_sign(const char *secret, const char *stamp, const void *body, size_t n,
                char ret[SIGN_TEXT_LEN + 1]);

enum sign_result { SIGN_OK, SIGN_MISSING, SIGN_MALFORMED, SIGN_OLD, SIGN_FUTURE, SIGN_WRONG };
const char *sign_result_name(enum sign_result r); /* for the log; the sender learns nothing but 401 */
/* Stamp and signature are the headers' texts, NULL when absent. Both directions of 300 s; the comparison
 * takes the same time wherever the first difference is (docs/promises.md#s11). */
enum sign_result slack_check(const char *secret, const char *stamp, const char *signature, const void *body,
                             size_t n, int64_t now_s);

/* Two texts, compared in constant time but for their lengths. NULL is never equal. */
bool token_equal(const char *a, const char *b);
/* What a button of ours carries so that nobody else can press it: 64 hex digits over `what`. */
void proof_make(const char *secret, const char *what, char ret[65]);

#endif
