/* SPDX-License-Identifier: MIT */
/* An XML answer as a tree of names and texts. Attributes, comments and processing instructions are dropped; a
 * document type is refused, so there are no entities but XML's own five. Bounded in depth and number. */
#ifndef RELEASE_DRIVERS_OP_XML_H
#define RELEASE_DRIVERS_OP_XML_H

#include "base/arena.h"
#include "base/err.h"

#define XML_DEPTH_MAX 32
#define XML_NODES_MAX 400000

struct xml {
    const char *name; /* without a namespace's prefix */
    const char *text; /* never NULL; without the blanks around it */
    struct xml *child, *next;
};

/* NULL: err says why. */
struct xml *xml_parse(struct arena *a, const char *text, size_t n, struct err *err) MUST_CHECK;
/* The first child of that name; a path "a/b" leads down. NULL: none. `at` may be NULL. */
const struct xml *xml_get(const struct xml *at, const char *path);
/* Its text, "" when there is none. */
const char *xml_text(const struct xml *at, const char *path);
/* The next of the same name beside it; NULL: it was the last. */
const struct xml *xml_next(const struct xml *at);

#endif
