/* SPDX-License-Identifier: MIT */
/* JSON of other programs -> the value tree that YAML becomes. Private to plans/.
 *
 * Rendered pillars of thousands of nodes are mostly the same: a part that reads byte for byte like one before
 * is the same tree, so that 256 MiB of text do not become gigabytes of values. */
#ifndef RELEASE_PLANS_JSON_H
#define RELEASE_PLANS_JSON_H

#include "plans/value.h"

#define JSON_BYTES_MAX  ((size_t)256 * 1024 * 1024)
#define JSON_VALUES_MAX ((size_t)16 * 1000 * 1000) /* distinct ones */

/* One JSON text that is a map or a list. false: one problem, with line and column and never the text itself,
 * which may hold secrets. */
bool json_read(struct arena *a, const char *file, const char *text, size_t n, const struct value **ret,
               struct problems *problems) MUST_CHECK;

#endif
