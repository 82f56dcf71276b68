/* SPDX-License-Identifier: MIT */
/* Who a target of top.sls is for, as Salt's matchers decide: compound where nothing else is said. What a
 * matcher asks about a node - its id, its grains, the groups of nodes - is answered from what is written down
 * in ROOT; where that does not say, the answer is "not known", never "no". Private to plans/. */
#ifndef RELEASE_PLANS_MATCH_H
#define RELEASE_PLANS_MATCH_H

#include "plans/value.h"

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_UNKNOWN };

struct matcher;
struct match_reader {
    struct arena *arena;
    struct problems *problems;
    const struct value *nodegroups; /* map: name -> text or list of texts, or NULL */
};
struct match_node {
    struct arena *arena; /* for what lives until the answer is given */
    const char *id;
    const struct value *grains; /* map, or NULL: none are known */
    const char *why;            /* set with ANSWER_UNKNOWN: what is not known */
};

/* `kind` is what `match:` says, NULL for none. NULL: problems has what is not read, with its place. */
struct matcher *matcher_new(struct match_reader *r, const char *target, const char *kind, struct place at);
enum answer matcher_asks(const struct matcher *m, struct match_node *node);
/* The one id that it matches, or NULL: it has to be asked. "*" matches everybody. */
const char *matcher_id(const struct matcher *m);
/* Asks for the id alone. */
bool matcher_local(const struct matcher *m);
bool matcher_everyone(const struct matcher *m);

/* Grains (grains.c): as salt.utils.data.subdict_match, "a:b:pattern". */
struct grain_pattern {
    const char *text; /* the whole of it */
    char delimiter;
    bool regex;
};
bool grain_pattern_ok(struct match_reader *r, const struct grain_pattern *p, struct place at);
enum answer grain_asks(const struct grain_pattern *p, struct match_node *node);
enum answer cidr_asks(const char *text, struct match_node *node);
bool cidr_ok(const char *text);

#endif
