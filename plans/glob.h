/* SPDX-License-Identifier: MIT */
/* Globs as Python's fnmatch reads them (Salt's targets): '*', '?', '[abc]', '[!abc]', nothing else special,
 * no backslash. The C library's fnmatch differs in '[^', '[[:alpha:]]' and the backslash. Private to plans/.
 */
#ifndef RELEASE_PLANS_GLOB_H
#define RELEASE_PLANS_GLOB_H

#include <stdbool.h>

/* false: has a '[...]' whose meaning is not plain: anything but letters, digits, '_', '.', and ranges of
 * them. */
bool glob_plain(const char *glob);
bool glob_match(const char *glob, const char *text);
/* No wildcard in it: it matches itself alone. */
bool glob_literal(const char *glob);

#endif
