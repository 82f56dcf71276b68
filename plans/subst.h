/* SPDX-License-Identifier: MIT */
/* Templates: {name} in arguments. Private to plans/.
 *
 * As written: {{ and }} are literal braces, and so is a brace that encloses no name (shell: awk '{print
 * $1}'); {name} must be known. Canonical, as stored in a plan: every literal brace doubled, so that expansion
 * cannot misread it. */
#ifndef RELEASE_PLANS_SUBST_H
#define RELEASE_PLANS_SUBST_H

#include "base/str.h"

/* Called for each {name}; appends its replacement (canonical) or "{name}" itself. */
typedef void (*subst_fn)(void *ctx, const char *name, struct buf *out);

/* Written form -> canonical form. */
void subst_canonical(struct buf *out, const char *written, subst_fn on_name, void *ctx);
/* Canonical form -> text: names by on_name (plain text), double braces to single ones. */
void subst_expand(struct buf *out, const char *canonical, subst_fn on_name, void *ctx);
/* Literal text -> canonical. */
void subst_literal(struct buf *out, const char *text);
bool subst_has_names(const char *canonical);

#endif
