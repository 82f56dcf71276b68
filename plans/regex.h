/* SPDX-License-Identifier: MIT */
/* Regular expressions that Python's `re` and PCRE2 read alike, for Salt's matchers E@ and P@. What the two
 * read in different ways, or one of them not at all, is refused by name. Private to plans/. */
#ifndef RELEASE_PLANS_REGEX_H
#define RELEASE_PLANS_REGEX_H

#include <stdbool.h>

#include "base/arena.h"

struct regex;

/* NULL: *ret_why says what is not read, in `a`. The expression lives in the arena. */
struct regex *regex_new(struct arena *a, const char *pattern, const char **ret_why);
/* As re.match: from the beginning, not necessarily to the end. -1: not decided (not plain ASCII, or too
 * costly). */
int regex_match(struct regex *re, const char *text);

#endif
