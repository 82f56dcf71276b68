/* SPDX-License-Identifier: MIT */
/* Hiding secrets in what is shown. */
#ifndef RELEASE_DRIVERS_REDACT_H
#define RELEASE_DRIVERS_REDACT_H

#include "base/arena.h"

struct redactor;

/* Replaces every secret, also in base64 and URL form, by "***". One per stream: what may be the beginning of
 * a secret is held back until the next piece or redact_flush. */
struct redactor *redact_new(const char *const *secrets); /* NULL when there is nothing to hide */
void redact_free(struct redactor *r);
typedef void (*redact_write_fn)(void *ctx, const char *data, size_t n);
void redact_add(struct redactor *r, const char *data, size_t n, redact_write_fn write, void *ctx);
void redact_flush(struct redactor *r, redact_write_fn write, void *ctx);
/* A whole text at once, in the arena; the text itself when nothing is to be hidden. */
const char *redact_text(const char *const *secrets, const char *text, struct arena *arena);

#endif
